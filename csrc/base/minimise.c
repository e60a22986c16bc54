#include "minimise.h"

#include <math.h>
#include <stdlib.h>

#include <gsl/gsl_errno.h>
#include <gsl/gsl_math.h>
#include <gsl/gsl_min.h>
#include <gsl/gsl_roots.h>

#define MAX_STEPS 200

/* GSL keeps the state of a search in its solver, so a search inside a search needs solvers of its
 * own. */
typedef struct {
    gsl_min_fminimizer *values;
    gsl_root_fsolver *slopes;
} solvers;

struct dph_minimiser {
    solvers levels[DPH_MINIMISE_DEPTH];
    int depth; /* searches under way */
};

typedef struct {
    dph_function f;
    void *ctx;
} problem;

void
dph_gsl_init(void)
{
    gsl_set_error_handler_off();
}

dph_minimiser *
dph_minimiser_new(void)
{
    dph_minimiser *m = calloc(1, sizeof *m);

    if (m == NULL) {
        return NULL;
    }
    for (int i = 0; i < DPH_MINIMISE_DEPTH; i++) {
        solvers *level = &m->levels[i];

        level->values = gsl_min_fminimizer_alloc(gsl_min_fminimizer_brent);
        level->slopes = gsl_root_fsolver_alloc(gsl_root_fsolver_brent);
        if (level->values == NULL || level->slopes == NULL) {
            dph_minimiser_free(m);
            return NULL;
        }
    }
    return m;
}

void
dph_minimiser_free(dph_minimiser *m)
{
    if (m == NULL) {
        return;
    }
    for (int i = 0; i < DPH_MINIMISE_DEPTH; i++) {
        if (m->levels[i].values != NULL) {
            gsl_min_fminimizer_free(m->levels[i].values);
        }
        if (m->levels[i].slopes != NULL) {
            gsl_root_fsolver_free(m->levels[i].slopes);
        }
    }
    free(m);
}

static double
value_at(double x, void *ctx)
{
    problem *p = ctx;
    double slope = 0;

    return p->f(x, p->ctx, &slope);
}

static double
slope_at(double x, void *ctx)
{
    problem *p = ctx;
    double slope = 0;

    (void)p->f(x, p->ctx, &slope);
    return slope;
}

/* Root of the slope in [lo, hi]; 0 if its signs do not bracket a minimum there or GSL gives up. */
static int
refine_by_slope(solvers *m, problem *p, double lo, double hi, double *x)
{
    gsl_function g = {.function = slope_at, .params = p};
    double slope_lo = slope_at(lo, p);
    double slope_hi = slope_at(hi, p);
    double tolerance =
        GSL_DBL_EPSILON * fmax(fabs(lo), fabs(hi)); /* near 0 a relative one is no end */

    if (!(slope_lo < 0) || !(slope_hi > 0)) {
        return 0;
    }
    if (gsl_root_fsolver_set(m->slopes, &g, lo, hi) != GSL_SUCCESS) {
        return 0;
    }
    for (int step = 0; step < MAX_STEPS; step++) {
        double left = 0;
        double right = 0;

        if (gsl_root_fsolver_iterate(m->slopes) != GSL_SUCCESS) {
            return 0;
        }
        *x = gsl_root_fsolver_root(m->slopes);
        left = gsl_root_fsolver_x_lower(m->slopes);
        right = gsl_root_fsolver_x_upper(m->slopes);
        if (gsl_root_test_interval(left, right, tolerance, 4 * GSL_DBL_EPSILON) == GSL_SUCCESS) {
            return 1;
        }
    }
    return 0;
}

/* Brent's minimiser on values, for the rare bracket with several roots of the slope. */
static int
refine_by_value(solvers *m, problem *p, double lo, double mid, double hi, double *x)
{
    gsl_function g = {.function = value_at, .params = p};

    if (gsl_min_fminimizer_set(m->values, &g, mid, lo, hi) != GSL_SUCCESS) {
        return 0;
    }
    for (int step = 0; step < MAX_STEPS; step++) {
        int status = gsl_min_fminimizer_iterate(m->values);
        double left = gsl_min_fminimizer_x_lower(m->values);
        double right = gsl_min_fminimizer_x_upper(m->values);

        *x = gsl_min_fminimizer_x_minimum(m->values);
        if (status != GSL_SUCCESS) {
            return 0;
        }
        if (gsl_min_test_interval(left, right, 0, 1e-9) == GSL_SUCCESS) {
            double exact = 0;
            if (refine_by_slope(m, p, left, right, &exact)) {
                *x = exact;
            }
            return 1;
        }
    }
    return 0;
}

static int
scan_and_refine(solvers *m, dph_function f, void *ctx, const double *grid, int n, dph_minimum *out)
{
    problem p = {.f = f, .ctx = ctx};
    double values[DPH_SCAN_MAX] = {0};
    double slopes[DPH_SCAN_MAX] = {0};
    double x = 0;
    int best = 0;
    int left = 0;
    int right = 0;

    for (int i = 0; i < n; i++) {
        values[i] = f(grid[i], ctx, &slopes[i]);
        if (isnan(values[i])) {
            return DPH_E_NO_CONVERGENCE;
        }
        if (values[i] < values[best]) {
            best = i;
        }
    }
    /* A plateau that reaches an end counts as that end: nothing inside is better. */
    if (values[n - 1] <= values[best] && slopes[n - 1] <= 0) {
        *out = (dph_minimum){.x = grid[n - 1], .value = values[n - 1], .edge = 1};
        return DPH_OK;
    }
    if (best == 0 && slopes[0] >= 0) {
        *out = (dph_minimum){.x = grid[0], .value = values[0], .edge = -1};
        return DPH_OK;
    }
    left = best > 0 ? best - 1 : 0;
    right = best < n - 1 ? best + 1 : n - 1;
    *out = (dph_minimum){.x = grid[best], .value = values[best], .edge = 0};
    if (slopes[best] == 0) {
        return DPH_OK;
    }
    /* The slope at the lowest grid point says on which side of it the minimum lies. */
    if (refine_by_slope(m, &p, slopes[best] > 0 ? grid[left] : grid[best],
                        slopes[best] > 0 ? grid[best] : grid[right], &x) ||
        (best > left && best < right &&
         refine_by_value(m, &p, grid[left], grid[best], grid[right], &x))) {
        double slope = 0;
        double value = f(x, ctx, &slope);
        /* Near the minimum values differ by rounding only; the slope is the finer judge. */
        *out = (dph_minimum){.x = x, .value = value, .edge = 0};
        return DPH_OK;
    }
    return DPH_E_NO_CONVERGENCE;
}

int
dph_minimise(dph_minimiser *m, dph_function f, void *ctx, const double *grid, int n,
             dph_minimum *out)
{
    int code = DPH_OK;

    if (n < 2 || n > DPH_SCAN_MAX || m->depth >= DPH_MINIMISE_DEPTH) {
        return DPH_E_ARGUMENT;
    }
    m->depth++;
    code = scan_and_refine(&m->levels[m->depth - 1], f, ctx, grid, n, out);
    m->depth--;
    return code;
}

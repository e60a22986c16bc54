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

/* Root of the slope between lo and hi, where it is negative and positive; 0 if GSL gives up. */
static int
refine_by_slope(solvers *m, problem *p, double lo, double hi, double *x)
{
    gsl_function g = {.function = slope_at, .params = p};
    double tolerance = GSL_DBL_EPSILON * fmax(fabs(lo), fabs(hi)); /* near 0 relative never ends */

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

/* Brent's minimiser on values, for the rare bracket whose slopes do not change sign as they should.
 * Values alone give half the digits; the slope gives the rest. */
static int
refine_by_value(solvers *m, problem *p, double lo, double mid, double hi, double *x)
{
    gsl_function g = {.function = value_at, .params = p};
    double tolerance = 4 * GSL_SQRT_DBL_EPSILON * fmax(hi - lo, fmax(fabs(lo), fabs(hi)));

    if (gsl_min_fminimizer_set(m->values, &g, mid, lo, hi) != GSL_SUCCESS) {
        return 0;
    }
    for (int step = 0; step < MAX_STEPS; step++) {
        double left = 0;
        double right = 0;

        if (gsl_min_fminimizer_iterate(m->values) != GSL_SUCCESS) {
            return 0;
        }
        *x = gsl_min_fminimizer_x_minimum(m->values);
        left = gsl_min_fminimizer_x_lower(m->values);
        right = gsl_min_fminimizer_x_upper(m->values);
        if (right - left <= tolerance || step == MAX_STEPS - 1) {
            double exact = 0;

            if (slope_at(left, p) < 0 && slope_at(right, p) > 0 &&
                refine_by_slope(m, p, left, right, &exact)) {
                *x = exact;
            }
            return right - left <= tolerance;
        }
    }
    return 0;
}

/* Take x as the minimum if its value is below the best so far. */
static void
consider(problem *p, double x, dph_minimum *best)
{
    double value = value_at(x, p);

    if (value < best->value) {
        *best = (dph_minimum){.x = x, .value = value, .edge = 0};
    }
}

static int
scan_and_refine(solvers *m, dph_function f, void *ctx, const double *grid, int n, dph_minimum *out)
{
    problem p = {.f = f, .ctx = ctx};
    double values[DPH_SCAN_MAX] = {0};
    double slopes[DPH_SCAN_MAX] = {0};
    double x = 0;
    double level = 0;
    int lowest = 0;

    *out = (dph_minimum){.x = NAN, .value = INFINITY};
    for (int i = 0; i < n; i++) {
        values[i] = f(grid[i], ctx, &slopes[i]);
        if (isnan(values[i]) || isnan(slopes[i])) {
            return DPH_E_NO_CONVERGENCE;
        }
        lowest = values[i] < values[lowest] ? i : lowest;
    }
    /* Wherever the slope turns from falling to rising there is a local minimum: refine them all. */
    for (int i = 0; i < n - 1; i++) {
        if (i > 0 && slopes[i] == 0) {
            consider(&p, grid[i], out);
        } else if (slopes[i] < 0 && slopes[i + 1] > 0 &&
                   refine_by_slope(m, &p, grid[i], grid[i + 1], &x)) {
            consider(&p, x, out);
        }
    }
    /* A plateau that reaches an end counts as that end: nothing inside is better. */
    if (slopes[0] >= 0 && values[0] <= out->value) {
        *out = (dph_minimum){.x = grid[0], .value = values[0], .edge = -1};
    }
    level = fmin(out->value, values[lowest]);
    if (slopes[n - 1] <= 0 && values[n - 1] <= level + 16 * GSL_DBL_EPSILON * fabs(level)) {
        *out = (dph_minimum){.x = grid[n - 1], .value = values[n - 1], .edge = 1};
        return DPH_OK;
    }
    /* A grid point below all of them and its neighbours hides a minimum that no sign betrays. */
    if (lowest > 0 && lowest < n - 1 && values[lowest] < out->value) {
        if (!refine_by_value(m, &p, grid[lowest - 1], grid[lowest], grid[lowest + 1], &x)) {
            return DPH_E_NO_CONVERGENCE;
        }
        consider(&p, x, out);
    }
    return isfinite(out->value) ? DPH_OK : DPH_E_NO_CONVERGENCE;
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

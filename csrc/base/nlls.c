#include "nlls.h"

#include <math.h>
#include <stdlib.h>

#include <gsl/gsl_blas.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_matrix.h>
#include <gsl/gsl_multifit_nlinear.h>
#include <gsl/gsl_vector.h>

#define MAX_STEPS 500
#define TOLERANCE 1e-10 /* relative offset at which lm.h stops; the polish goes on from there */
#define CONVERGED 1e-5  /* relative offset that still counts as an optimum */
#define SETTLED 1e-10   /* relative step that counts as none where rounding is the misfit */
#define SAME 1e-8       /* relative difference of two sums of squares that are one */
#define POLISH_STEPS 100
#define ENOUGH 4 /* strategies at one sharp optimum end the search */

/* Strategy 0 is lm.h alone; the others begin with a method of GSL and a rule of scaling. */
static const struct {
    const char *name;
    int method;
    int scaling;
} strategies[DPH_NLLS_STRATEGIES] = {
    {"projected Levenberg-Marquardt", -1, 0},
    {"Levenberg-Marquardt (More)", 0, 0},
    {"geodesic acceleration (More)", 1, 0},
    {"geodesic acceleration (Marquardt)", 1, 1},
    {"dogleg (More)", 2, 0},
    {"double dogleg (More)", 3, 0},
    {"two-dimensional subspace (More)", 4, 0},
    {"geodesic acceleration (Levenberg)", 1, 2},
};

struct dph_nlls {
    gsl_multifit_nlinear_workspace *methods[DPH_NLLS_STRATEGIES];
    gsl_vector *start;
    double *columns; /* Jacobian, column after column, as lm.h has it */
    double *scratch;
    int64_t n;
    int n_params;
};

typedef struct {
    const dph_lm_problem *problem;
    dph_nlls *w;
} job;

const char *
dph_nlls_strategy_name(int strategy)
{
    return strategy >= 0 && strategy < DPH_NLLS_STRATEGIES ? strategies[strategy].name : "unknown";
}

static gsl_multifit_nlinear_workspace *
method_new(int strategy, size_t n, size_t n_params)
{
    const gsl_multifit_nlinear_trs *methods[] = {
        gsl_multifit_nlinear_trs_lm, gsl_multifit_nlinear_trs_lmaccel,
        gsl_multifit_nlinear_trs_dogleg, gsl_multifit_nlinear_trs_ddogleg,
        gsl_multifit_nlinear_trs_subspace2D};
    const gsl_multifit_nlinear_scale *scalings[] = {gsl_multifit_nlinear_scale_more,
                                                    gsl_multifit_nlinear_scale_marquardt,
                                                    gsl_multifit_nlinear_scale_levenberg};
    gsl_multifit_nlinear_parameters settings = gsl_multifit_nlinear_default_parameters();

    settings.trs = methods[strategies[strategy].method];
    settings.scale = scalings[strategies[strategy].scaling];
    settings.solver = gsl_multifit_nlinear_solver_qr;
    return gsl_multifit_nlinear_alloc(gsl_multifit_nlinear_trust, &settings, n, n_params);
}

dph_nlls *
dph_nlls_new(int64_t n, int n_params)
{
    dph_nlls *w = NULL;

    if (n_params < 1 || n_params > DPH_LM_MAX || n < n_params || n > INT64_C(1) << 40) {
        return NULL;
    }
    w = calloc(1, sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    w->n = n;
    w->n_params = n_params;
    w->start = gsl_vector_alloc((size_t)n_params);
    w->columns = malloc((size_t)n * (size_t)n_params * sizeof(double));
    w->scratch = malloc((size_t)dph_lm_scratch(n, n_params) * sizeof(double));
    if (w->start == NULL || w->columns == NULL || w->scratch == NULL) {
        dph_nlls_free(w);
        return NULL;
    }
    for (int i = 1; i < DPH_NLLS_STRATEGIES; i++) {
        w->methods[i] = method_new(i, (size_t)n, (size_t)n_params);
        if (w->methods[i] == NULL) {
            dph_nlls_free(w);
            return NULL;
        }
    }
    return w;
}

void
dph_nlls_free(dph_nlls *w)
{
    if (w == NULL) {
        return;
    }
    for (int i = 0; i < DPH_NLLS_STRATEGIES; i++) {
        if (w->methods[i] != NULL) {
            gsl_multifit_nlinear_free(w->methods[i]);
        }
    }
    if (w->start != NULL) {
        gsl_vector_free(w->start);
    }
    free(w->columns);
    free(w->scratch);
    free(w);
}

/* The point of the box nearest to x. */
static void
project(const dph_lm_problem *p, const gsl_vector *x, double *theta)
{
    for (int j = 0; j < p->n_params; j++) {
        double value = gsl_vector_get(x, (size_t)j);

        value = p->lo != NULL ? fmax(value, p->lo[j]) : value;
        theta[j] = p->hi != NULL ? fmin(value, p->hi[j]) : value;
    }
}

static int
residuals(const gsl_vector *x, void *ctx, gsl_vector *f)
{
    const job *j = ctx;
    double theta[DPH_LM_MAX];
    int finite = 1;

    project(j->problem, x, theta);
    j->problem->residuals(theta, f->data, NULL, j->problem->ctx);
    for (int64_t i = 0; i < j->problem->n; i++) {
        finite &= isfinite(f->data[i]) != 0;
    }
    /* A huge sum makes the method shorten its step; an error code would end it. */
    if (!finite) {
        gsl_vector_set_all(f, 1e150 / (double)j->problem->n);
    }
    return GSL_SUCCESS;
}

static int
jacobian(const gsl_vector *x, void *ctx, gsl_matrix *J)
{
    const job *j = ctx;
    const dph_lm_problem *p = j->problem;
    double theta[DPH_LM_MAX];

    project(p, x, theta);
    p->residuals(theta, j->w->scratch, j->w->columns, p->ctx);
    for (int64_t i = 0; i < p->n; i++) {
        for (int c = 0; c < p->n_params; c++) {
            double value = j->w->columns[c * p->n + i];

            if (!isfinite(value)) {
                return GSL_EBADFUNC;
            }
            gsl_matrix_set(J, (size_t)i, (size_t)c, value);
        }
    }
    return GSL_SUCCESS;
}

/* Where a method of GSL gets to from start; its reasons to stop do not matter, see lm.h. 0 if it
 * could not begin. */
static int
run_method(int strategy, job *j, const double *start, double *theta)
{
    gsl_multifit_nlinear_workspace *method = j->w->methods[strategy];
    gsl_multifit_nlinear_fdf functions = {.f = residuals,
                                          .df = jacobian,
                                          .n = (size_t)j->problem->n,
                                          .p = (size_t)j->problem->n_params,
                                          .params = j};

    for (int i = 0; i < j->problem->n_params; i++) {
        gsl_vector_set(j->w->start, (size_t)i, start[i]);
    }
    if (gsl_multifit_nlinear_init(j->w->start, &functions, method) != GSL_SUCCESS) {
        return 0;
    }
    for (int step = 0; step < MAX_STEPS; step++) {
        int info = 0;

        if (gsl_multifit_nlinear_iterate(method) != GSL_SUCCESS ||
            gsl_multifit_nlinear_test(1e-12, 1e-14, 0, &info, method) == GSL_SUCCESS) {
            break;
        }
    }
    project(j->problem, gsl_multifit_nlinear_position(method), theta);
    return 1;
}

static int
agreeing(const double *sums, double rss)
{
    int n = 0;

    for (int i = 0; i < DPH_NLLS_STRATEGIES; i++) {
        n += fabs(sums[i] - rss) <= SAME * rss;
    }
    return n;
}

void
dph_nlls_fit(const dph_lm_problem *problem, const double *start, dph_nlls *w, dph_nlls_result *out)
{
    job j = {.problem = problem, .w = w};
    double sums[DPH_NLLS_STRATEGIES];
    dph_lm_result best = {.rss = INFINITY, .ending = DPH_LM_GAVE_UP};
    int sharp = 0;

    *out = (dph_nlls_result){.rss = NAN, .offset = NAN, .strategy = -1};
    for (int j_param = 0; j_param < DPH_LM_MAX; j_param++) {
        out->theta[j_param] = NAN;
        out->se[j_param] = NAN;
    }
    for (int i = 0; i < DPH_NLLS_STRATEGIES; i++) {
        sums[i] = NAN;
    }
    for (int i = 0; i < DPH_NLLS_STRATEGIES && !(sharp && agreeing(sums, best.rss) >= ENOUGH);
         i++) {
        double from[DPH_LM_MAX];
        dph_lm_result found = {0};
        int full = 0;

        for (int c = 0; c < problem->n_params; c++) {
            from[c] = start[c];
        }
        if (w->methods[i] != NULL && !run_method(i, &j, start, from)) {
            continue;
        }
        dph_lm(problem, from, MAX_STEPS, TOLERANCE, w->scratch, &found);
        if (!isfinite(found.rss)) {
            continue;
        }
        full = dph_lm_polish(problem, POLISH_STEPS, w->scratch, &found);
        sums[i] = found.rss;
        full = full && (found.offset <= CONVERGED || found.shift <= SETTLED);
        /* Among equal sums the sharp optimum wins, then the earlier strategy. */
        if (found.rss < best.rss * (1 - SAME) || (full && !sharp && found.rss <= best.rss) ||
            !isfinite(best.rss)) {
            best = found;
            sharp = full;
            out->strategy = i;
        }
    }
    if (out->strategy < 0) {
        out->status = DPH_E_NO_CONVERGENCE;
        return;
    }
    out->n_agree = agreeing(sums, best.rss);
    for (int c = 0; c < problem->n_params; c++) {
        out->theta[c] = best.theta[c];
    }
    out->rss = best.rss;
    out->offset = best.offset;
    out->status = dph_lm_errors(problem, &best, NAN, w->scratch, out->se);
    if (out->status == DPH_E_TOO_FEW_POINTS) {
        out->status = DPH_OK; /* a perfect fit of as many points as parameters: no errors to give */
    }
    if (out->status == DPH_OK && !sharp) {
        out->status = DPH_E_NO_CONVERGENCE;
    }
}

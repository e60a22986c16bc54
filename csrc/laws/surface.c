#include "surface.h"

#include <math.h>
#include <string.h>

#include "../base/column.h"
#include "surfacedesign.h"
#include "surfacescan.h"
#include "surfacesearch.h"
#include "surfacespread.h"

#define SIZE DPH_SURFACE_SIZE
#define E_ DPH_SURFACE_E
#define A_ DPH_SURFACE_A
#define B_ DPH_SURFACE_B
#define ALPHA DPH_SURFACE_ALPHA
#define BETA DPH_SURFACE_BETA

#define COLUMNS 8      /* N, D, loss, u, v, y, w, unit */
#define ILL 1e-9       /* relative error of a parameter that rounding may make */
#define ROUNDING 1e-15 /* relative error of a loss, in the last place and a bit */

/* The points of one fit, those of weight 0 left out. */
typedef struct {
    const double *params;
    const double *tokens;
    const double *loss;
    const double *weights; /* or NULL */
    const double *fixed;   /* [SIZE] or NULL */
    int64_t n;
} input;

typedef struct {
    dph_surface_problem problem;
    double *N, *D, *loss; /* [n] gathered */
    double *rest;         /* of the search, then of the spread */
    double fixed[SIZE];   /* NaN where free */
    double N_centre, D_centre;
    double u_span, v_span;
    double scale;
    int32_t warnings;
} fit;

static int64_t
padded(int64_t n)
{
    return (n + DPH_SURFACE_PAD - 1) / DPH_SURFACE_PAD * DPH_SURFACE_PAD;
}

size_t
dph_surface_scratch(int64_t n_largest)
{
    int64_t stride = padded(n_largest);
    size_t search = dph_surface_search_scratch(stride);
    size_t spread = dph_surface_spread_scratch(stride);

    return COLUMNS * (size_t)stride + (search > spread ? search : spread);
}

static void
no_law(dph_surface *out, int64_t n, int32_t status)
{
    *out = (dph_surface){.n = n,
                         .E = NAN,
                         .A = NAN,
                         .B = NAN,
                         .alpha = NAN,
                         .beta = NAN,
                         .log_A = NAN,
                         .log_B = NAN,
                         .N_centre = NAN,
                         .D_centre = NAN,
                         .N_term = NAN,
                         .D_term = NAN,
                         .scale = NAN,
                         .objective = NAN,
                         .rss = NAN,
                         .delta = NAN,
                         .status = status};
    for (int j = 0; j < SIZE; j++) {
        out->se[j] = NAN;
    }
    for (int j = 0; j < SIZE * SIZE; j++) {
        out->covariance[j] = NAN;
    }
}

/* Gather the points that count into the fit's columns. */
static int32_t
gather(const input *in, double *scratch, fit *f)
{
    dph_surface_problem *p = &f->problem;
    int64_t stride = padded(in->n);
    int64_t n = 0;

    f->N = scratch;
    f->D = scratch + stride;
    f->loss = scratch + 2 * stride;
    p->u = scratch + 3 * stride;
    p->v = scratch + 4 * stride;
    p->y = scratch + 5 * stride;
    p->w = scratch + 6 * stride;
    p->unit = scratch + 7 * stride;
    f->rest = scratch + COLUMNS * stride;
    for (int64_t i = 0; i < in->n; i++) {
        double w = in->weights != NULL ? in->weights[i] : 1;

        if (!(w >= 0) || isinf(w)) {
            return DPH_E_BAD_VALUE;
        }
        if (w > 0) {
            f->N[n] = in->params[i];
            f->D[n] = in->tokens[i];
            f->loss[n] = in->loss[i];
            p->w[n] = w;
            n++;
        }
    }
    p->n = n;
    p->stride = padded(n);
    return DPH_OK;
}

/* ln(x / x_min) about its weighted mean, or ln x itself; returns its mean and span. */
static double
centre(const double *x, const double *w, int64_t n, double x_min, double x_max, int about_zero,
       double *out, double *span)
{
    double mean = 0;
    double total = 0;

    for (int64_t i = 0; i < n; i++) {
        out[i] = log(x[i] / x_min);
        mean += w[i] * out[i];
        total += w[i];
    }
    mean /= total;
    for (int64_t i = 0; i < n; i++) {
        out[i] = about_zero ? log(x[i]) : out[i] - mean;
    }
    *span = log(x_max / x_min);
    return mean + log(x_min);
}

/* Bounds of one of (e, a, b), in units of the scale. */
static void
bound_amount(fit *f, int j, const dph_surface_options *options)
{
    dph_surface_problem *p = &f->problem;

    p->lo[j] = p->is_free[j] ? (options->nonnegative ? 0 : -INFINITY) : f->fixed[j] / f->scale;
    p->hi[j] = p->is_free[j] ? INFINITY : p->lo[j];
}

static void
bound_exponent(fit *f, int j, double span)
{
    dph_surface_problem *p = &f->problem;
    double range = span > 0 ? span : 1;

    p->lo[j] = p->is_free[j] ? DPH_SURFACE_SHORTEST / range : f->fixed[j];
    p->hi[j] = p->is_free[j] ? DPH_SURFACE_LONGEST / range : f->fixed[j];
}

/* Fill the problem from the gathered columns; the status says whether there is one. */
static int32_t
prepare(const input *in, const dph_surface_options *options, double *scratch, fit *f)
{
    dph_surface_problem *p = &f->problem;
    dph_column N;
    dph_column D;
    dph_column y;
    double mean = 0;
    int32_t status = gather(in, scratch, f);

    if (status != DPH_OK) {
        return status;
    }
    for (int j = 0; j < SIZE; j++) {
        f->fixed[j] = in->fixed != NULL ? in->fixed[j] : NAN;
        p->is_free[j] = isnan(f->fixed[j]);
        if (isinf(f->fixed[j])) {
            return DPH_E_BAD_VALUE;
        }
    }
    for (int j = A_; j <= B_; j++) { /* without a term its exponent has nothing to say */
        int exponent = j + 2;

        if (f->fixed[j] == 0 && p->is_free[exponent]) {
            p->is_free[exponent] = 0;
            f->fixed[exponent] = 0;
        }
    }
    for (int j = 0; j < SIZE; j++) {
        p->n_free += p->is_free[j];
    }
    N = dph_column_summary(f->N, p->n);
    D = dph_column_summary(f->D, p->n);
    y = dph_column_summary(f->loss, p->n);
    if (p->n == 0) {
        return DPH_E_TOO_FEW_POINTS;
    }
    if (!N.finite || !D.finite || !y.finite || !(N.min > 0) || !(D.min > 0) || !(y.min > 0)) {
        return DPH_E_BAD_VALUE;
    }
    status = dph_surface_identified(p, f->N, f->D);
    if (status != DPH_OK) {
        return status;
    }
    if (y.distinct == 1 && p->n > 1) {
        return DPH_E_CONSTANT_LOSS;
    }
    for (int64_t i = 0; i < p->n; i++) {
        mean += p->w[i] * log(f->loss[i] / y.min);
        p->total += p->w[i];
    }
    f->scale = y.min * exp(mean / p->total);
    f->N_centre = centre(f->N, p->w, p->n, N.min, N.max, !p->is_free[A_], p->u, &f->u_span);
    f->D_centre = centre(f->D, p->w, p->n, D.min, D.max, !p->is_free[B_], p->v, &f->v_span);
    if (p->n > 2 && N.distinct > 1 && D.distinct > 1 && dph_surface_on_a_line(p)) {
        if (p->is_free[E_] && p->is_free[ALPHA] && p->is_free[BETA] && p->is_free[A_] &&
            p->is_free[B_]) {
            return DPH_E_ONE_BUDGET;
        }
        f->warnings |= DPH_W_SURFACE_ON_A_LINE;
    }
    for (int64_t i = 0; i < p->stride; i++) {
        int real = i < p->n;

        p->y[i] = real ? f->loss[i] / f->scale : 1;
        p->w[i] = real ? p->w[i] : 0;
        p->u[i] = real ? p->u[i] : 0;
        p->v[i] = real ? p->v[i] : 0;
        p->unit[i] = options->space == DPH_SPACE_LOG ? 1 / p->y[i] : 1;
    }
    p->objective = options->objective;
    p->log_space = options->space == DPH_SPACE_LOG;
    p->delta = options->objective == DPH_OBJECTIVE_HUBER      ? options->delta
               : options->objective == DPH_OBJECTIVE_ABSOLUTE ? 0
                                                              : INFINITY;
    p->stopped = options->stopped;
    for (int j = E_; j <= B_; j++) {
        bound_amount(f, j, options);
    }
    bound_exponent(f, ALPHA, f->u_span);
    bound_exponent(f, BETA, f->v_span);
    return DPH_OK;
}

/* Variance of ln A = ln a + alpha ln N_centre, from the covariance of a and alpha. */
static double
log_variance(const double covariance[SIZE][SIZE], int j, double a, double c)
{
    int e = j + 2;

    return covariance[j][j] / (a * a) + 2 * c * covariance[j][e] / a + c * c * covariance[e][e];
}

/* Standard errors and covariance in the unit of the losses; warns where rounding counts. */
static void
fill_errors(const fit *f, const double *theta, const dph_surface_spread *s, dph_surface *out)
{
    const dph_surface_problem *p = &f->problem;
    double unit[SIZE] = {f->scale, f->scale, f->scale, 1, 1};

    for (int j = 0; j < SIZE; j++) {
        out->se[j] = !p->is_free[j] ? 0 : s->counted[j] ? sqrt(s->covariance[j][j]) * unit[j] : NAN;
        for (int k = 0; k < SIZE; k++) {
            out->covariance[j * SIZE + k] = s->covariance[j][k] * unit[j] * unit[k];
        }
    }
    for (int j = A_; j <= B_; j++) {
        double c = !p->is_free[j] ? 0 : j == A_ ? f->N_centre : f->D_centre;
        double rounding = 0;

        if (!s->counted[j]) {
            continue;
        }
        rounding = fmax(log_variance(s->rounding, j, theta[j], c),
                        s->rounding[j + 2][j + 2] / (theta[j + 2] * theta[j + 2]));
        out->se[j] = fabs(j == A_ ? out->A : out->B) *
                     sqrt(fmax(log_variance(s->covariance, j, theta[j], c), 0));
        if (!(ROUNDING * sqrt(rounding) < ILL)) {
            out->status |= DPH_W_SURFACE_ILL_CONDITIONED;
        }
    }
}

static void
finish(const fit *f, const dph_surface_point *best, int64_t n_minima,
       const dph_surface_options *options, double *scratch, dph_surface *out)
{
    const dph_surface_problem *p = &f->problem;
    const double *theta = best->theta;
    double unit = p->log_space ? 1 : f->scale; /* of the residuals */
    double half = options->objective == DPH_OBJECTIVE_SQUARED    ? 2 * unit * unit
                  : options->objective == DPH_OBJECTIVE_ABSOLUTE ? unit
                                                                 : unit * unit;
    dph_surface_spread spread;
    int rank = dph_surface_spread_of(p, theta, scratch, &spread);

    *out = (dph_surface){.n = p->n,
                         .n_inside = spread.n_inside,
                         .E = p->is_free[E_] ? theta[E_] * f->scale : f->fixed[E_],
                         .alpha = theta[A_] == 0 ? NAN : theta[ALPHA],
                         .beta = theta[B_] == 0 ? NAN : theta[BETA],
                         .N_centre = exp(f->N_centre),
                         .D_centre = exp(f->D_centre),
                         .scale = f->scale,
                         .objective = best->objective * half,
                         .rss = spread.sum_squares * unit * unit,
                         .delta = p->delta * unit,
                         .iterations = best->iterations,
                         .n_minima = n_minima,
                         .status = f->warnings};
    /* A fixed amount is about N = 1, a free one about the centre. */
    out->log_A = log(theta[A_] * f->scale) + (p->is_free[A_] ? theta[ALPHA] * f->N_centre : 0);
    out->log_B = log(theta[B_] * f->scale) + (p->is_free[B_] ? theta[BETA] * f->D_centre : 0);
    out->A = theta[A_] == 0
                 ? 0
                 : theta[A_] * f->scale * (p->is_free[A_] ? exp(theta[ALPHA] * f->N_centre) : 1);
    out->B = theta[B_] == 0
                 ? 0
                 : theta[B_] * f->scale * (p->is_free[B_] ? exp(theta[BETA] * f->D_centre) : 1);
    out->N_term = theta[A_] * f->scale * (p->is_free[A_] ? 1 : exp(-theta[ALPHA] * f->N_centre));
    out->D_term = theta[B_] * f->scale * (p->is_free[B_] ? 1 : exp(-theta[BETA] * f->D_centre));
    fill_errors(f, theta, &spread, out);
    out->status |= rank != DPH_OK ? DPH_W_SURFACE_ILL_CONDITIONED : 0;
    for (int j = 0; j < SIZE; j++) {
        static const int32_t low[SIZE] = {DPH_W_SURFACE_E_AT_ZERO, DPH_W_SURFACE_A_AT_ZERO,
                                          DPH_W_SURFACE_B_AT_ZERO, DPH_W_SURFACE_ALPHA_AT_BOUND,
                                          DPH_W_SURFACE_BETA_AT_BOUND};
        int gone = j >= ALPHA && theta[j - 2] == 0;

        if (p->is_free[j] && !gone && (theta[j] <= p->lo[j] || theta[j] >= p->hi[j])) {
            out->status |= low[j];
        }
    }
    if (dph_surface_distinct(f->N, f->D, p->n) <= p->n_free) {
        out->status |= DPH_W_SURFACE_SATURATED;
    }
    if (!isfinite(out->E) || !isfinite(out->N_term) || !isfinite(out->D_term)) {
        no_law(out, p->n, DPH_E_NO_CONVERGENCE);
    }
}

static void
fit_one(const input *in, const dph_surface_options *options, double *scratch, dph_surface *out)
{
    fit f = {0};
    dph_surface_point best = {0};
    int64_t n_minima = 0;
    int32_t status = prepare(in, options, scratch, &f);

    if (status == DPH_OK) {
        status = dph_surface_search(&f.problem, f.u_span, f.v_span, f.rest, &best, &n_minima);
    }
    if (status != DPH_OK) {
        no_law(out, f.problem.n, status);
        return;
    }
    finish(&f, &best, n_minima, options, f.rest, out);
}

static int
stopped(const dph_surface_options *options)
{
    return options->stopped != NULL && atomic_load(options->stopped);
}

void
dph_surface_fit(const dph_surface_batch *batch, int64_t begin, int64_t end,
                const dph_surface_options *options, double *scratch, dph_surface *out)
{
    for (int64_t g = begin; g < end && !stopped(options); g++) {
        int64_t first = batch->offsets[g];
        input in = {.params = batch->params + first,
                    .tokens = batch->tokens + first,
                    .loss = batch->loss + first,
                    .weights = batch->weights != NULL ? batch->weights + first : NULL,
                    .fixed = batch->fixed != NULL ? batch->fixed + g * SIZE : NULL,
                    .n = batch->offsets[g + 1] - first};

        fit_one(&in, options, scratch, &out[g]);
    }
}

void
dph_surface_refit(const dph_surface_replicates *replicates, int64_t begin, int64_t end,
                  const dph_surface_options *options, double *scratch, dph_surface *out)
{
    int64_t n = replicates->n;

    for (int64_t b = begin; b < end && !stopped(options); b++) {
        input in = {.params = replicates->params,
                    .tokens = replicates->tokens,
                    .loss =
                        replicates->losses != NULL ? replicates->losses + b * n : replicates->loss,
                    .weights = replicates->weights != NULL ? replicates->weights + b * n : NULL,
                    .fixed = replicates->fixed,
                    .n = n};

        fit_one(&in, options, scratch, &out[b]);
    }
}

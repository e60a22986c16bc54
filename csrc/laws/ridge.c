#include "ridge.h"

#include <math.h>

#include "../base/svd.h"

#define N_LAMBDA 61 /* values of ln lambda scanned */
#define N_REFINE 40 /* golden-section steps in the best bracket */
#define COLLINEAR 1e8
#define RANK_TOL 1e-12 /* singular values below this part of the largest count as 0 */

/* One group, centred and scaled, and its decomposition. */
typedef struct {
    int64_t n;
    int64_t rows; /* of the matrix: at least as many as columns */
    int p;
    double *u;     /* [rows][p] */
    double *v;     /* [p][p] */
    double *s;     /* [p] */
    double *uty;   /* [p] */
    double *mean;  /* [p] of the columns */
    double *scale; /* [p]; 0 for a constant column */
    double *y;     /* [n] centred */
    double *work;  /* [p][p + 1] for the decomposition */
    double y_mean;
    double tss;
    int rank;
} problem;

typedef struct {
    double rss;
    double edf;
    double loo;
} outcome;

size_t
dph_ridge_scratch(int64_t n_largest, int n_features)
{
    size_t p = (size_t)n_features;
    size_t n = (size_t)n_largest;
    size_t rows = n > p ? n : p;

    return rows * p + 2 * p * p + 5 * p + n;
}

static void
lay_out(problem *k, double *scratch)
{
    k->rows = k->n > k->p ? k->n : k->p;
    k->u = scratch;
    k->v = k->u + k->rows * k->p;
    k->s = k->v + k->p * k->p;
    k->uty = k->s + k->p;
    k->mean = k->uty + k->p;
    k->scale = k->mean + k->p;
    k->y = k->scale + k->p;
    k->work = k->y + k->n;
}

/* Centre and scale into u and y. DPH_OK or DPH_E_BAD_VALUE. */
static int
centre(problem *k, const double *features, const double *target, int standardise)
{
    double n = (double)k->n;
    double sum = 0;

    for (int64_t i = 0; i < k->n; i++) {
        sum += target[i];
    }
    k->y_mean = sum / n;
    if (!isfinite(k->y_mean)) {
        return DPH_E_BAD_VALUE;
    }
    k->tss = 0;
    for (int64_t i = 0; i < k->n; i++) {
        k->y[i] = target[i] - k->y_mean;
        k->tss += k->y[i] * k->y[i];
    }
    for (int j = 0; j < k->p; j++) {
        double largest = 0;
        double squares = 0;

        sum = 0;
        for (int64_t i = 0; i < k->n; i++) {
            sum += features[i * k->p + j];
            largest = fmax(largest, fabs(features[i * k->p + j]));
        }
        k->mean[j] = sum / n;
        if (!isfinite(k->mean[j])) {
            return DPH_E_BAD_VALUE;
        }
        for (int64_t i = 0; i < k->n; i++) {
            double gap = features[i * k->p + j] - k->mean[j];

            squares += gap * gap;
        }
        k->scale[j] = sqrt(squares / n);
        if (!(k->scale[j] > 1e-14 * largest)) {
            k->scale[j] = 0;
        } else if (!standardise) {
            k->scale[j] = 1;
        }
        for (int64_t i = 0; i < k->rows; i++) {
            double gap = i < k->n ? features[i * k->p + j] - k->mean[j] : 0;

            k->u[i * k->p + j] = k->scale[j] > 0 ? gap / k->scale[j] : 0;
        }
    }
    return DPH_OK;
}

static int
decompose(problem *k)
{
    int code = dph_svd(k->u, k->rows, k->p, k->v, k->s, k->work);

    if (code != DPH_OK) {
        return code;
    }
    k->rank = 0;
    for (int j = 0; j < k->p; j++) {
        k->rank += k->s[j] > RANK_TOL * k->s[0] && k->s[j] > 0;
        k->uty[j] = 0;
    }
    for (int64_t i = 0; i < k->n; i++) {
        for (int j = 0; j < k->rank; j++) {
            k->uty[j] += k->u[i * k->p + j] * k->y[i];
        }
    }
    return DPH_OK;
}

/* Part of direction j that stays at this lambda. */
static double
kept(const problem *k, int j, double lambda)
{
    double s2 = k->s[j] * k->s[j];

    return j < k->rank ? s2 / (s2 + (double)k->n * lambda) : 0;
}

/* Residuals at a lambda, and what follows from them; the leave-one-out error costs another pass. */
static outcome
judge(problem *k, double lambda, int loo)
{
    double explained = 0;
    outcome result = {k->tss, 1, NAN};

    for (int j = 0; j < k->rank; j++) {
        double f = kept(k, j, lambda);

        result.edf += f;
        explained += (2 - f) * f * k->uty[j] * k->uty[j];
    }
    result.rss = k->tss - explained;
    if (loo || result.rss < 1e-6 * k->tss) { /* what cancels is summed instead */
        double sum = 0;
        double left = 0;

        for (int64_t i = 0; i < k->n; i++) {
            double fit = 0;
            double leverage = 1 / (double)k->n;
            double gap = 0;

            for (int j = 0; j < k->rank; j++) {
                double u = k->u[i * k->p + j];
                double f = kept(k, j, lambda);

                fit += f * u * k->uty[j];
                leverage += f * u * u;
            }
            gap = k->y[i] - fit;
            sum += gap * gap;
            left += gap / (1 - leverage) * (gap / (1 - leverage));
        }
        result.rss = sum;
        result.loo = left / (double)k->n;
    }
    return result;
}

static double
score(problem *k, double log_lambda, int rule)
{
    outcome o = judge(k, exp(log_lambda), rule == DPH_RIDGE_LOO);
    double left = (double)k->n - o.edf;
    double value = rule == DPH_RIDGE_LOO ? o.loo : (double)k->n * o.rss / (left * left);

    return isfinite(value) && left > 0.5 ? value : INFINITY;
}

/* ln lambda with the lowest score; *edge is 1 at an end of the range. */
static double
choose(problem *k, const dph_ridge_options *options, int *edge)
{
    const double golden = 0.61803398874989485;
    double lo = log(options->lambda_lo);
    double step = (log(options->lambda_hi) - lo) / (N_LAMBDA - 1);
    double best = INFINITY;
    int at = N_LAMBDA - 1;
    double a = 0;
    double b = 0;

    for (int i = 0; i < N_LAMBDA; i++) {
        double value = score(k, lo + i * step, options->rule);

        if (value < best) {
            best = value;
            at = i;
        }
    }
    *edge = at == 0 || at == N_LAMBDA - 1;
    if (*edge) {
        return lo + at * step;
    }
    a = lo + (at - 1) * step;
    b = lo + (at + 1) * step;
    for (int i = 0; i < N_REFINE; i++) {
        double left = b - golden * (b - a);
        double right = a + golden * (b - a);

        if (score(k, left, options->rule) <= score(k, right, options->rule)) {
            b = right;
        } else {
            a = left;
        }
    }
    return 0.5 * (a + b);
}

/* Coefficients in units of the features, intercept, and their covariance over sigma^2. */
static void
solve(const problem *k, double lambda, double *coefficients, double *covariance, dph_ridge *out)
{
    int p = k->p;
    int m = p + 1;

    out->intercept = k->y_mean;
    for (int i = 0; i < p; i++) {
        double sum = 0;

        for (int j = 0; j < k->rank; j++) {
            sum += k->v[i * p + j] * kept(k, j, lambda) / k->s[j] * k->uty[j];
        }
        coefficients[i] = k->scale[i] > 0 ? sum / k->scale[i] : 0;
        out->intercept -= coefficients[i] * k->mean[i];
    }
    if (covariance == NULL) {
        return;
    }
    for (int a = 0; a < p; a++) {
        for (int b = 0; b <= a; b++) {
            double sum = 0;

            for (int j = 0; j < k->rank; j++) {
                double s2 = k->s[j] * k->s[j] + (double)k->n * lambda;

                sum += k->v[a * p + j] * k->v[b * p + j] / s2;
            }
            sum = k->scale[a] > 0 && k->scale[b] > 0 ? sum / (k->scale[a] * k->scale[b]) : 0;
            covariance[(a + 1) * m + b + 1] = sum;
            covariance[(b + 1) * m + a + 1] = sum;
        }
    }
    covariance[0] = 1 / (double)k->n;
    for (int a = 0; a < p; a++) {
        double sum = 0;

        for (int b = 0; b < p; b++) {
            sum -= covariance[(a + 1) * m + b + 1] * k->mean[b];
        }
        covariance[a + 1] = sum;
        covariance[(a + 1) * m] = sum;
    }
    for (int a = 0; a < p; a++) {
        covariance[0] -= covariance[a + 1] * k->mean[a];
    }
}

static void
fail(int code, int64_t n, int p, double *coefficients, double *covariance, dph_ridge *out)
{
    *out = (dph_ridge){.n = n,
                       .intercept = NAN,
                       .lambda = NAN,
                       .edf = NAN,
                       .rss = NAN,
                       .sigma = NAN,
                       .gcv = NAN,
                       .loo = NAN,
                       .r2 = NAN,
                       .condition = NAN,
                       .status = code};
    for (int j = 0; j < p; j++) {
        coefficients[j] = NAN;
    }
    for (int j = 0; covariance != NULL && j < (p + 1) * (p + 1); j++) {
        covariance[j] = NAN;
    }
}

static void
fit_one(problem *k, const double *features, const double *target, const dph_ridge_options *options,
        double *coefficients, double *covariance, dph_ridge *out)
{
    int edge = 0;
    int constant = 0;
    int varying = 0;
    double lambda = options->lambda;
    double left = 0;
    outcome o = {0};
    int code = k->n < 2 ? DPH_E_TOO_FEW_POINTS : centre(k, features, target, options->standardise);

    if (code == DPH_OK) {
        code = decompose(k);
    }
    for (int j = 0; code == DPH_OK && j < k->p; j++) {
        constant = constant || !(k->scale[j] > 0);
        varying += k->scale[j] > 0;
    }
    if (code == DPH_OK && options->rule == DPH_RIDGE_FIXED && !(lambda > 0) && k->rank < varying) {
        code = DPH_E_RANK;
    }
    if (code != DPH_OK) {
        fail(code, k->n, k->p, coefficients, covariance, out);
        return;
    }
    if (options->rule != DPH_RIDGE_FIXED) {
        lambda = exp(choose(k, options, &edge));
    }
    *out = (dph_ridge){.n = k->n, .lambda = lambda};
    solve(k, lambda, coefficients, covariance, out);
    o = judge(k, lambda, 1);
    left = (double)k->n - o.edf;
    out->edf = o.edf;
    out->rss = o.rss;
    out->sigma = left > 1e-9 ? sqrt(o.rss / left) : NAN;
    out->gcv = left > 1e-9 ? (double)k->n * o.rss / (left * left) : NAN;
    out->loo = isfinite(o.loo) && left > 1e-9 ? o.loo : NAN;
    out->r2 = k->tss > 0 ? 1 - o.rss / k->tss : NAN;
    out->condition = varying > 0 ? k->s[0] / k->s[varying - 1] : NAN;
    out->status = (constant ? DPH_W_RIDGE_CONSTANT : 0) | (edge ? DPH_W_RIDGE_AT_BOUND : 0) |
                  (out->condition <= COLLINEAR ? 0 : DPH_W_RIDGE_COLLINEAR) |
                  (left > 1e-9 ? 0 : DPH_W_RIDGE_SATURATED) |
                  (k->n > varying ? 0 : DPH_W_FEW_POINTS);
}

void
dph_ridge_fit(const dph_ridge_batch *batch, int64_t begin, int64_t end,
              const dph_ridge_options *options, double *scratch, double *coefficients,
              double *covariance, dph_ridge *out)
{
    int p = batch->n_features;

    for (int64_t g = begin; g < end; g++) {
        int64_t first = batch->offsets[g];
        problem k = {.n = batch->offsets[g + 1] - first, .p = p};

        if (options->stopped != NULL &&
            atomic_load_explicit(options->stopped, memory_order_relaxed)) {
            return;
        }
        lay_out(&k, scratch);
        fit_one(&k, batch->features + first * p, batch->target + first, options,
                coefficients + g * p,
                covariance != NULL ? covariance + g * (p + 1) * (p + 1) : NULL, out + g);
    }
}

#include "process.h"

#include <math.h>

#include "../base/cholesky.h"
#include "../base/vecexp.h"
#include "../base/veclog.h"

static const double half_log_2pi = 0.91893853320467274178;

DPH_CLONES static void
add_matern12(double weight, double d2, const double *restrict c, double *restrict acc, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        acc[i] += weight * dph_exp_falling(-sqrt(d2 + c[i]));
    }
}

DPH_CLONES static void
add_matern32(double weight, double d2, const double *restrict c, double *restrict acc, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double t = sqrt(3 * (d2 + c[i]));

        acc[i] += weight * (1 + t) * dph_exp_falling(-t);
    }
}

DPH_CLONES static void
add_matern52(double weight, double d2, const double *restrict c, double *restrict acc, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double s = 5 * (d2 + c[i]);
        double t = sqrt(s);

        acc[i] += weight * (1 + t + s * (1.0 / 3.0)) * dph_exp_falling(-t);
    }
}

DPH_CLONES static void
add_rbf(double weight, double d2, const double *restrict c, double *restrict acc, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        acc[i] += weight * dph_exp_falling(-0.5 * (d2 + c[i]));
    }
}

void
dph_process_kernel(int kernel, double weight, double d2, const double *c, double *acc, int64_t n)
{
    switch (kernel) {
    case DPH_MATERN12:
        add_matern12(weight, d2, c, acc, n);
        break;
    case DPH_MATERN32:
        add_matern32(weight, d2, c, acc, n);
        break;
    case DPH_MATERN52:
        add_matern52(weight, d2, c, acc, n);
        break;
    default:
        add_rbf(weight, d2, c, acc, n);
    }
}

DPH_CLONES static void
matern12_slope(const double *restrict d2, double c, double *restrict value, double *restrict slope,
               int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double r = sqrt(d2[i] + c);

        value[i] = dph_exp_falling(-r);
        slope[i] = r > 0 ? value[i] / r : 0; /* what it multiplies is 0 wherever r is */
    }
}

DPH_CLONES static void
matern32_slope(const double *restrict d2, double c, double *restrict value, double *restrict slope,
               int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double t = sqrt(3 * (d2[i] + c));
        double falling = dph_exp_falling(-t);

        value[i] = (1 + t) * falling;
        slope[i] = 3 * falling;
    }
}

DPH_CLONES static void
matern52_slope(const double *restrict d2, double c, double *restrict value, double *restrict slope,
               int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double s = 5 * (d2[i] + c);
        double t = sqrt(s);
        double falling = dph_exp_falling(-t);

        value[i] = (1 + t + s * (1.0 / 3.0)) * falling;
        slope[i] = 5.0 / 3.0 * (1 + t) * falling;
    }
}

DPH_CLONES static void
rbf_slope(const double *restrict d2, double c, double *restrict value, double *restrict slope,
          int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        value[i] = dph_exp_falling(-0.5 * (d2[i] + c));
        slope[i] = value[i];
    }
}

void
dph_process_kernel_slope(int kernel, const double *d2, double c, double *value, double *slope,
                         int64_t n)
{
    switch (kernel) {
    case DPH_MATERN12:
        matern12_slope(d2, c, value, slope, n);
        break;
    case DPH_MATERN32:
        matern32_slope(d2, c, value, slope, n);
        break;
    case DPH_MATERN52:
        matern52_slope(d2, c, value, slope, n);
        break;
    default:
        rbf_slope(d2, c, value, slope, n);
    }
}

/* sums[k] += weight[k] (z[k] - own)^2 */
DPH_CLONES static void
add_squares(const double *restrict weight, const double *restrict z, double own,
            double *restrict sums, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        double gap = z[k] - own;

        sums[k] += weight[k] * gap * gap;
    }
}

static int
check(const dph_process *p)
{
    if (p->n < 1) {
        return DPH_E_TOO_FEW_POINTS;
    }
    if (!(p->amplitude > 0 && isfinite(p->amplitude) && p->noise >= 0 && isfinite(p->noise))) {
        return DPH_E_BAD_VALUE;
    }
    for (int j = 0; j < p->n_dims; j++) {
        if (!(p->length_scale[j] > 0 && isfinite(p->length_scale[j]))) {
            return DPH_E_BAD_VALUE;
        }
    }
    for (int64_t i = 0; i < p->n; i++) {
        if (!isfinite(p->y[i])) {
            return DPH_E_BAD_VALUE;
        }
    }
    for (int64_t i = 0; i < p->n * p->n_dims; i++) {
        if (!isfinite(p->x[i])) {
            return DPH_E_BAD_VALUE;
        }
    }
    return DPH_OK;
}

/* x over length scales, one column a dimension. */
static void
scale_columns(const dph_process *p, double *z)
{
    for (int j = 0; j < p->n_dims; j++) {
        for (int64_t i = 0; i < p->n; i++) {
            z[j * p->n + i] = p->x[i * p->n_dims + j] / p->length_scale[j];
        }
    }
}

/* Squared distances from point i to points i .. n - 1. */
DPH_CLONES static void
distances(const double *restrict z, int64_t n, int n_dims, int64_t i, double *restrict d2)
{
    for (int64_t k = i; k < n; k++) {
        d2[k - i] = 0;
    }
    for (int j = 0; j < n_dims; j++) {
        const double *column = z + j * n;

        for (int64_t k = i; k < n; k++) {
            double gap = column[k] - column[i];

            d2[k - i] += gap * gap;
        }
    }
}

size_t
dph_process_scratch(int64_t n, int n_dims)
{
    size_t rows = (size_t)n;

    return rows * (size_t)n_dims + 3 * rows + 3 * rows * rows;
}

int
dph_process_factor(const dph_process *p, double *scratch, double *factor, double *dual,
                   double *evidence)
{
    int64_t n = p->n;
    double *z = scratch;
    double *d2 = z + n * p->n_dims;
    double quadratic = 0;
    double log_det = 0;
    int code = check(p);

    if (code != DPH_OK) {
        return code;
    }
    scale_columns(p, z);
    for (int64_t i = 0; i < n; i++) {
        double *row = factor + i * n;

        distances(z, n, p->n_dims, i, d2);
        for (int64_t k = 0; k < n; k++) {
            row[k] = 0;
        }
        dph_process_kernel(p->kernel, 1, 0, d2, row + i, n - i);
        for (int64_t k = i; k < n; k++) {
            row[k] *= p->amplitude;
        }
        row[i] += p->noise;
    }
    code = dph_cholesky(factor, n);
    if (code != DPH_OK) {
        return code;
    }
    for (int64_t i = 0; i < n; i++) {
        dual[i] = p->y[i];
    }
    dph_cholesky_forward(factor, n, dual, 1);
    for (int64_t i = 0; i < n; i++) {
        quadratic += dual[i] * dual[i];
        log_det += log(factor[i * n + i]);
    }
    dph_cholesky_backward(factor, n, dual);
    if (evidence != NULL) {
        *evidence = -0.5 * quadratic - log_det - (double)n * half_log_2pi;
    }
    return DPH_OK;
}

int
dph_process_evidence(const dph_process *p, double *scratch, double *evidence, double *gradient)
{
    int64_t n = p->n;
    double *z = scratch;
    double *d2 = z + n * p->n_dims;
    double *slope = d2 + n;
    double *dual = slope + n;
    double *factor = dual + n;
    double *work = factor + n * n;
    double *inverse = work + n * n;
    double trace = 0;
    double energy = 0;
    int code = dph_process_factor(p, scratch, factor, dual, evidence);

    for (int j = 0; j < p->n_dims + 2; j++) {
        gradient[j] = code == DPH_OK ? 0 : NAN;
    }
    if (code != DPH_OK) {
        *evidence = NAN;
        return code;
    }
    dph_cholesky_inverse(factor, n, work, inverse);
    /* twice the upper triangle stands for both; work takes kernel values that nobody needs */
    for (int64_t i = 0; i < n; i++) {
        double *row = inverse + i * n;

        distances(z, n, p->n_dims, i, d2);
        dph_process_kernel_slope(p->kernel, d2, 0, work, slope, n - i);
        trace += row[i];
        energy += dual[i] * dual[i];
        for (int64_t k = i; k < n; k++) {
            row[k] = (dual[i] * dual[k] - row[k]) * slope[k - i] * p->amplitude;
        }
    }
    for (int j = 0; j < p->n_dims; j++) {
        const double *column = z + j * n;

        for (int64_t k = 0; k < n; k++) {
            d2[k] = 0;
        }
        for (int64_t i = 0; i < n; i++) {
            add_squares(inverse + i * n + i, column + i, column[i], d2 + i, n - i);
        }
        for (int64_t k = 0; k < n; k++) {
            gradient[1 + j] += d2[k];
        }
    }
    gradient[p->n_dims + 1] = 0.5 * p->noise * (energy - trace);
    /* tr((dual y^T - I)) / 2 is the sum of the derivatives by ln amplitude and ln noise */
    for (int64_t i = 0; i < n; i++) {
        gradient[0] += dual[i] * p->y[i] - 1;
    }
    gradient[0] = 0.5 * gradient[0] - gradient[p->n_dims + 1];
    return DPH_OK;
}

void
dph_process_dual_slopes(const dph_process *p, const double *factor, const double *dual,
                        double *scratch, double *slopes)
{
    int64_t n = p->n;
    double *z = scratch;
    double *d2 = z + n * p->n_dims;
    double *value = d2 + n;
    double *slope = value + n;
    double *by_noise = slopes + (p->n_dims + 1) * n;

    for (int64_t i = 0; i < (p->n_dims + 2) * n; i++) {
        slopes[i] = 0;
    }
    scale_columns(p, z);
    for (int64_t i = 0; i < n; i++) { /* d(K)/d(ln length scale) dual, pair by pair */
        distances(z, n, p->n_dims, i, d2);
        dph_process_kernel_slope(p->kernel, d2, 0, value, slope, n - i);
        for (int j = 0; j < p->n_dims; j++) {
            const double *column = z + j * n;
            double *to = slopes + (1 + j) * n;

            for (int64_t k = i + 1; k < n; k++) {
                double gap = column[k] - column[i];
                double part = p->amplitude * slope[k - i] * gap * gap;

                to[i] += part * dual[k];
                to[k] += part * dual[i];
            }
        }
    }
    for (int64_t i = 0; i < n; i++) {
        by_noise[i] = p->noise * dual[i];
        slopes[i] = p->y[i] - by_noise[i];
    }
    for (int j = 0; j < p->n_dims + 2; j++) { /* d(dual) = -K^-1 d(K) dual */
        double *to = slopes + j * n;

        dph_cholesky_forward(factor, n, to, 1);
        dph_cholesky_backward(factor, n, to);
        for (int64_t i = 0; i < n; i++) {
            to[i] = -to[i];
        }
    }
}

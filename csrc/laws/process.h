/* A Gaussian process of zero mean with a stationary kernel: covariances, factor, evidence.
 *
 * cov(x, x') = amplitude k(r), r^2 = sum_j ((x_j - x'_j) / length_scale_j)^2; y = f(x) + noise.
 *
 *   matern12  exp(-r)
 *   matern32  (1 + t) exp(-t),            t = sqrt(3) r
 *   matern52  (1 + t + t^2 / 3) exp(-t),  t = sqrt(5) r
 *   rbf       exp(-r^2 / 2)
 */
#ifndef DPH_PROCESS_H
#define DPH_PROCESS_H

#include <stddef.h>
#include <stdint.h>

#include "../base/status.h"

enum { DPH_MATERN12, DPH_MATERN32, DPH_MATERN52, DPH_RBF, DPH_KERNELS };

#define DPH_PROCESS_DIMS 64 /* the most dimensions x may have */

/* Data and kernel; the caller owns all of it. */
typedef struct {
    int64_t n;
    int n_dims;                 /* 1 .. DPH_PROCESS_DIMS */
    int kernel;                 /* DPH_MATERN12 .. DPH_RBF */
    const double *x;            /* double[n][n_dims], row after row */
    const double *y;            /* double[n] */
    double amplitude;           /* variance of f, > 0 */
    const double *length_scale; /* double[n_dims], > 0, in units of x */
    double noise;               /* variance of the noise, >= 0 */
} dph_process;

/* acc[i] += weight k(sqrt(d2 + c[i])), with k as above.
 *
 * c, acc  double[n];  d2  added to every c
 */
void
dph_process_kernel(int kernel, double weight, double d2, const double *c, double *acc, int64_t n);

/* value[i] = k(r) and slope[i] = -2 dk / d(r^2), at r^2 = d2[i] + c: a derivative by ln
 * length_scale_j is the slope times what input j has in r^2. At r = 0 the slope of matern12 is
 * given as 0.
 *
 * d2, value, slope  double[n]
 */
void dph_process_kernel_slope(int kernel, const double *d2, double c, double *value, double *slope,
                              int64_t n);

/* Doubles of scratch that dph_process_factor and dph_process_evidence need. */
size_t dph_process_scratch(int64_t n, int n_dims);

/* Factor K = amplitude k(X, X) + noise I as U^T U, and solve K dual = y.
 *
 * factor   receives double[n][n]: U, upper triangle, row-major
 * dual     receives double[n]
 * evidence receives log p(y | X); may be NULL
 * Returns DPH_OK, DPH_E_TOO_FEW_POINTS (n < 1), DPH_E_BAD_VALUE (NaN or inf in x or y; amplitude,
 * noise or a length scale out of range) or DPH_E_NOT_POSITIVE_DEFINITE.
 */
DPH_MUST_CHECK int dph_process_factor(const dph_process *p, double *scratch, double *factor,
                                      double *dual, double *evidence);

/* log p(y | X) and its derivatives by the logarithms of amplitude, length scales and noise.
 *
 * gradient  receives double[n_dims + 2]: amplitude, length scales, noise
 * Returns as dph_process_factor; outputs are NaN on failure.
 */
DPH_MUST_CHECK int
dph_process_evidence(const dph_process *p, double *scratch, double *evidence, double *gradient);

/* Derivatives of dual by the logarithms of amplitude, length scales and noise.
 *
 * factor, dual  from dph_process_factor
 * scratch       double[dph_process_scratch()]
 * slopes        receives double[n_dims + 2][n]: amplitude, length scales, noise
 */
void dph_process_dual_slopes(const dph_process *p, const double *factor, const double *dual,
                             double *scratch, double *slopes);

#endif

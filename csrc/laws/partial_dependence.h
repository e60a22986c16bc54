/* Partial dependence of a Gaussian process on one of its inputs, with the variance of the mean.
 *
 * At a grid value g the input's column is g in every row of the data, and f is averaged over the
 * rows (Friedman 2001; with the process's own uncertainty of that average, Moosbauer et al. 2021).
 * The distances between such rows do not depend on g: neither does their averaged prior covariance.
 * What is left for each g is the averaged cross-covariance with the data and one triangular solve,
 * where the predictive covariance of n rows would be a matrix.
 */
#ifndef DPH_PARTIAL_DEPENDENCE_H
#define DPH_PARTIAL_DEPENDENCE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/status.h"
#include "process.h"

typedef struct {
    int64_t n;             /* rows averaged over */
    double prior_variance; /* of the average, before data; the same at every grid value */
    double x_min;          /* smallest value of the input in the data */
    double x_max;          /* largest */
    int32_t status;        /* DPH_OK, DPH_W_VARIANCE_LOST or DPH_E_* */
    int32_t reserved;      /* 0 */
} dph_partial_dependence;

/* Doubles of scratch for a process of n points in n_dims inputs and n_grid grid values. */
size_t dph_partial_dependence_scratch(int64_t n, int n_dims, int64_t n_grid);

/* Mean and standard deviation of the average of f (noise-free) at every grid value.
 *
 * p        the process
 * factor   double[n][n], dual double[n], from dph_process_factor
 * feature  the input, 0 .. n_dims - 1
 * grid     double[n_grid], in units of x
 * stopped  not 0: give up, results are not needed; may be NULL
 * mean, sd receive double[n_grid]; NaN where the status is below 0
 *
 * DPH_E_BAD_VALUE: a grid value is not finite. DPH_W_VARIANCE_LOST: a variance came out negative by
 * rounding, its sd is given as 0.
 */
void dph_partial_dependence_fit(const dph_process *p, const double *factor, const double *dual,
                                int feature, const double *grid, int64_t n_grid, double *scratch,
                                const atomic_int *stopped, double *mean, double *sd,
                                dph_partial_dependence *out);

/* Doubles of scratch of dph_partial_dependence_slopes. */
size_t dph_partial_dependence_slopes_scratch(int64_t n, int n_dims);

/* Derivatives of the mean by the logarithms of amplitude, length scales and noise.
 *
 * dual         double[n], from dph_process_factor
 * dual_slopes  double[n_dims + 2][n], from dph_process_dual_slopes
 * grid         double[n_grid], finite (not checked)
 * slopes       receives double[n_dims + 2][n_grid]
 */
void dph_partial_dependence_slopes(const dph_process *p, const double *dual,
                                   const double *dual_slopes, int feature, const double *grid,
                                   int64_t n_grid, double *scratch, double *slopes);

/* The outcome of a process without a factor: code in the status, NaN everywhere else. */
void dph_partial_dependence_fail(int32_t code, int64_t n, int64_t n_grid, double *mean, double *sd,
                                 dph_partial_dependence *out);

#endif

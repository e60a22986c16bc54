/* Quantiles without sorting everything and without allocation. */
#ifndef DPH_QUANTILE_H
#define DPH_QUANTILE_H

#include <stdint.h>

/* Quantiles of x, double[n], linear between neighbouring ranks: q at rank q (n - 1), counted
 * from 0.
 *
 * x      reordered; no NaN (infinities are ordered like numbers)
 * q      double[n_q], in [0, 1], never decreasing
 * out    double[n_q]; NaN for n = 0
 */
void dph_quantiles(double *x, int64_t n, const double *q, int64_t n_q, double *out);

#endif

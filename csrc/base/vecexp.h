/* exp, expm1 and log1p of many numbers at once, written so that compilers vectorise them. */
#ifndef DPH_VECEXP_H
#define DPH_VECEXP_H

#include <stdint.h>

/* y[i] = exp(x[i]) to 1 ulp or so for -708 <= x <= 709, 0 below, exp(709) above; NaN stays NaN.
 *
 * x, y  double[n]; x may be y
 */
void dph_exp_many(const double *x, double *y, int64_t n);

/* y[i] = exp(x[i]) - 1 to about 1 ulp, for x <= 0 (not checked; -inf gives -1); x may be y.
 *
 * x, y  double[n]
 */
void dph_expm1_many(const double *x, double *y, int64_t n);

/* y[i] = ln(1 + scale x[i]) to about 2 ulp, for scale x >= 0 and finite (not checked); x may not be
 * y.
 *
 * x, y  double[n]
 */
void dph_log1p_many(const double *x, double scale, double *y, int64_t n);

#endif

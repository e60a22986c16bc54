/* Exponentials of many numbers at once, written so that compilers vectorise it. */
#ifndef DPH_VECEXP_H
#define DPH_VECEXP_H

#include <stdint.h>

/* y[i] = exp(x[i]) to 1 ulp or so for -708 <= x <= 709, 0 below, exp(709) above; NaN stays NaN.
 *
 * x, y  double[n]; x may be y
 */
void dph_exp_many(const double *x, double *y, int64_t n);

#endif

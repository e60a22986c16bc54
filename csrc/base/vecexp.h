/* exp, expm1 and log1p of many numbers at once, written so that compilers vectorise them. */
#ifndef DPH_VECEXP_H
#define DPH_VECEXP_H

#include <stdint.h>
#include <string.h>

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

/* exp(x) for one x <= 0 (not checked) inside a loop that computes more, to 3 ulp; below -708 it
 * stays at 3e-308. x = k ln 2 + r with |r| <= ln(2) / 2, and the series of exp(r) to r^13 / 13!. */
static inline double
dph_exp_falling(double x)
{
    const double per_ln2 = 0x1.71547652b82fep0;
    const double ln2_high = 0x1.62e42fefa38p-1;
    const double ln2_low = 0x1.ef35793c7673p-45;
    const double magic = 0x1.8p52;
    double inside = x < -708.0 ? -708.0 : x;
    double shifted = inside * per_ln2 + magic;
    double k = shifted - magic;
    double r = (inside - k * ln2_high) - k * ln2_low;
    double r2 = r * r;
    double r4 = r2 * r2;
    double scale = 0;
    double low = 0;
    double high = 0;
    uint64_t bits = 0;

    /* Estrin's order: short chains, so that sums of several numbers overlap */
    low = (1.0 + r) + r2 * (0.5 + r * (1.0 / 6.0)) +
          r4 * ((1.0 / 24.0 + r * (1.0 / 120.0)) + r2 * (1.0 / 720.0 + r * (1.0 / 5040.0)));
    high = (1.0 / 40320.0 + r * (1.0 / 362880.0)) +
           r2 * (1.0 / 3628800.0 + r * (1.0 / 39916800.0)) +
           r4 * (1.0 / 479001600.0 + r * (1.0 / 6227020800.0));
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52;
    memcpy(&scale, &bits, sizeof scale);
    return (low + r4 * r4 * high) * scale;
}

#endif

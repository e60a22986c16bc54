/* The exponential function as straight-line code, for loops that compilers vectorise. */
#ifndef DPH_VECEXP_H
#define DPH_VECEXP_H

#include <stdint.h>
#include <string.h>

/* exp(x) to 1.5 ulp for x from -708 to 709. Below that 0, above it infinity; NaN stays NaN.
 *
 * x = k ln 2 + r with |r| <= ln(2) / 2; the Taylor series of exp(r) ends at r^13 / 13!, what
 * follows is below 2^-57.
 */
static inline double
dph_exp(double x)
{
    const double per_ln2 = 0x1.71547652b82fep0;
    const double ln2_high = 0x1.62e42fefa38p-1; /* zeros at the end: k times it is exact */
    const double ln2_low = 0x1.ef35793c7673p-45;
    const double magic = 0x1.8p52; /* adding it rounds to a whole number, in the low bits */
    double inside = x < -708.0 ? -708.0 : x > 709.0 ? 709.0 : x;
    double shifted = inside * per_ln2 + magic;
    double k = shifted - magic;
    double r = (inside - k * ln2_high) - k * ln2_low;
    double sum = 1.0 / 6227020800.0;
    double scale = 0;
    uint64_t bits = 0;

    sum = 1.0 / 479001600.0 + r * sum;
    sum = 1.0 / 39916800.0 + r * sum;
    sum = 1.0 / 3628800.0 + r * sum;
    sum = 1.0 / 362880.0 + r * sum;
    sum = 1.0 / 40320.0 + r * sum;
    sum = 1.0 / 5040.0 + r * sum;
    sum = 1.0 / 720.0 + r * sum;
    sum = 1.0 / 120.0 + r * sum;
    sum = 1.0 / 24.0 + r * sum;
    sum = 1.0 / 6.0 + r * sum;
    sum = 0.5 + r * sum;
    sum = 1.0 + (r + r * r * sum);
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 1023) << 52; /* the bits of 2^k: those of the magic number fall off the top */
    memcpy(&scale, &bits, sizeof scale);
    sum *= scale;
    return x < -708.0 ? 0.0 : x > 709.0 ? x * 0x1p1023 : sum;
}

/* The same for x <= 0 (not checked), some instructions cheaper, to 3 ulp; below -708 it stays at
 * 3e-308. */
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

/* y[i] = exp(x[i]); x may be y.
 *
 * x, y  double[n]
 */
void dph_exp_many(const double *x, double *y, int64_t n);

#endif

#include "vecexp.h"

#include <string.h>

#include "veclog.h"

/* ln(2) in two parts: the first has zeros at the end, so that k times it is exact. */
static const double ln2_high = 0x1.62e42fefa38p-1;
static const double ln2_low = 0x1.ef35793c7673p-45;
static const double inverse_ln2 = 0x1.71547652b82fep0;

/* x = k ln(2) + r with |r| <= ln(2) / 2; exp(r) by thirteen terms of its series (to 2^-57), the
 * first two kept apart so that their rounding is the only one that counts. */
static inline double
exp_one(double x)
{
    double top = x > 709.0 ? 709.0 : x;
    double clipped = top < -708.0 ? -708.0 : top;
    double shifted = clipped * inverse_ln2 + 0x1.8p52; /* k as the low bits of 1.5 * 2^52 */
    double k = shifted - 0x1.8p52;
    double r = (clipped - k * ln2_high) - k * ln2_low;
    double p = 1.0 / 6227020800.0;
    double value = 0;
    uint64_t bits = 0;
    uint64_t power = 0;

    p = 1.0 / 479001600.0 + r * p;
    p = 1.0 / 39916800.0 + r * p;
    p = 1.0 / 3628800.0 + r * p;
    p = 1.0 / 362880.0 + r * p;
    p = 1.0 / 40320.0 + r * p;
    p = 1.0 / 5040.0 + r * p;
    p = 1.0 / 720.0 + r * p;
    p = 1.0 / 120.0 + r * p;
    p = 1.0 / 24.0 + r * p;
    p = 1.0 / 6.0 + r * p;
    p = 0.5 + r * p;
    value = 1.0 + (r + r * r * p);
    memcpy(&bits, &shifted, sizeof bits);
    power = (bits << 52) + 0x3ff0000000000000ULL;
    memcpy(&k, &power, sizeof k);
    value *= k;
    return top < -708.0 ? 0.0 : value;
}

DPH_CLONES void
dph_exp_many(const double *x, double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] = exp_one(x[i]);
    }
}

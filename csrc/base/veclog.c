#include "veclog.h"

#include <string.h>

/* ln(2) in two parts: the first has zeros at the end, so that k times it is exact. */
static const double ln2_high = 0x1.62e42fefa38p-1;
static const double ln2_low = 0x1.ef35793c7673p-45;

/* log10(2) likewise, and 1 / ln(10). */
static const double log10_2_high = 0x1.34413509f6p-2;
static const double log10_2_low = 0x1.9fef311f12b36p-42;
static const double inverse_ln10 = 0x1.bcb7b1526e50ep-2;

/* x = 2^k m with m in [sqrt(1/2), sqrt(2)). ln(m) = f - small, f = m - 1 exact, from
 * ln(m) = 2 atanh(s), s = f/(2 + f): ten terms of the series reach 2^-58 as s < 0.1716. */
typedef struct {
    double k;
    double f;
    double small;
} parts;

static inline parts
take_apart(double x)
{
    const uint64_t sqrt_half = 0x3fe6a09e667f3bcdULL;
    const uint64_t one = 0x3ff0000000000000ULL;
    uint64_t bits = 0;
    uint64_t exponent = 0;
    uint64_t magic = 0;
    double m = 0;
    double s = 0;
    double z = 0;
    double rest = 0;
    double half = 0;
    parts out = {0};

    memcpy(&bits, &x, sizeof bits);
    exponent = (bits - sqrt_half + one) >> 52; /* k + 1023 */
    bits = bits - (exponent << 52) + one;
    memcpy(&m, &bits, sizeof m);
    magic = exponent + 0x4338000000000000ULL; /* the integer as the low bits of 1.5 * 2^52 */
    memcpy(&out.k, &magic, sizeof out.k);
    out.k = (out.k - 0x1.8p52) - 1023.0;

    out.f = m - 1.0;
    s = out.f / (2.0 + out.f);
    z = s * s;
    rest = 2.0 / 21.0;
    rest = 2.0 / 19.0 + z * rest;
    rest = 2.0 / 17.0 + z * rest;
    rest = 2.0 / 15.0 + z * rest;
    rest = 2.0 / 13.0 + z * rest;
    rest = 2.0 / 11.0 + z * rest;
    rest = 2.0 / 9.0 + z * rest;
    rest = 2.0 / 7.0 + z * rest;
    rest = 2.0 / 5.0 + z * rest;
    rest = 2.0 / 3.0 + z * rest;
    rest = z * rest;
    half = 0.5 * out.f * out.f;
    out.small = half - s * (half + rest);
    return out;
}

DPH_CLONES void
dph_log_many(const double *x, double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        parts p = take_apart(x[i]);
        y[i] = p.k * ln2_high - ((p.small - p.k * ln2_low) - p.f);
    }
}

DPH_CLONES void
dph_log10_many(const double *x, double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        parts p = take_apart(x[i]);
        y[i] = p.k * log10_2_high + (p.k * log10_2_low + (p.f - p.small) * inverse_ln10);
    }
}

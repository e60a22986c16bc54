#include "veclog.h"

#include <string.h>

/* ln(2) in two parts: the first has zeros at the end, so that k times it is exact. */
static const double ln2_high = 0x1.62e42fefa38p-1;
static const double ln2_low = 0x1.ef35793c7673p-45;

/* x = 2^k m with m in [sqrt(1/2), sqrt(2)); ln(m) = 2 atanh(s), s = f/(2 + f), f = m - 1.
 * With s < 0.1716 ten terms of the series reach 2^-58. Written as f - (f^2/2 - s (f^2/2 + rest)),
 * the leading part f is exact and only the small rest is rounded. */
DPH_CLONES void
dph_log_many(const double *x, double *y, int64_t n)
{
    const uint64_t sqrt_half = 0x3fe6a09e667f3bcdULL;
    const double to_double = 0x1.8p52;

    for (int64_t i = 0; i < n; i++) {
        uint64_t bits = 0;
        uint64_t shifted = 0;
        uint64_t exponent = 0;
        uint64_t magic = 0;
        double m = 0;
        double k = 0;
        double f = 0;
        double s = 0;
        double z = 0;
        double rest = 0;
        double half = 0;

        memcpy(&bits, &x[i], sizeof bits);
        shifted = bits - sqrt_half + 0x3ff0000000000000ULL;
        exponent = shifted >> 52; /* k + 1023 */
        bits = bits - (exponent << 52) + 0x3ff0000000000000ULL;
        memcpy(&m, &bits, sizeof m);
        magic = exponent + 0x4338000000000000ULL; /* the integer as the low bits of 1.5 * 2^52 */
        memcpy(&k, &magic, sizeof k);
        k = (k - to_double) - 1023.0;

        f = m - 1.0;
        s = f / (2.0 + f);
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
        half = 0.5 * f * f;
        y[i] = k * ln2_high - ((half - (s * (half + rest) + k * ln2_low)) - f);
    }
}

#include "vecexp.h"

#include <string.h>

#include "lanes.h"
#include "veclog.h"

#define LOWEST -60.0 /* below it exp(x) - 1 is -1 to the last bit */

/* ln(2) in two parts: the first has zeros at the end, so that k times it is exact. */
static const double ln2_high = 0x1.62e42fefa38p-1;
static const double ln2_low = 0x1.ef35793c7673p-45;
static const double inverse_ln2 = 0x1.71547652b82fep0;

/* x = k ln(2) + r with |r| <= ln(2) / 2, for -708 <= x <= 709: 2^k goes to *power, exp(r) - 1 is
 * returned, by thirteen terms of its series (to 2^-56 of it). */
static inline double
reduced(double x, double *power)
{
    double shifted = x * inverse_ln2 + 0x1.8p52; /* k as the low bits of 1.5 * 2^52 */
    double k = shifted - 0x1.8p52;
    double r = (x - k * ln2_high) - k * ln2_low;
    double p = 1.0 / 6227020800.0;
    uint64_t bits = 0;

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
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 52) + 0x3ff0000000000000ULL;
    memcpy(power, &bits, sizeof bits);
    return r + r * r * p;
}

DPH_CLONES void
dph_exp_many(const double *x, double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double top = x[i] > 709.0 ? 709.0 : x[i];
        double power = 0;
        double less_one = reduced(top < -708.0 ? -708.0 : top, &power);

        y[i] = top < -708.0 ? 0.0 : (1.0 + less_one) * power;
    }
}

/* exp(x) - 1 = 2^k expm1(r) + (2^k - 1). */
DPH_LANES_INLINE dph_lanes
expm1_of(dph_lanes given)
{
    dph_lanes x = dph_lanes_choose(given > LOWEST, given, dph_lanes_all(LOWEST));
    dph_lanes shifted = x * inverse_ln2 + 0x1.8p52;
    dph_lanes k = shifted - 0x1.8p52;
    dph_lanes r = (x - k * ln2_high) - k * ln2_low;
    dph_lanes p = dph_lanes_all(1.0 / 6227020800.0);
    dph_lanes power = (dph_lanes)(((dph_marks)shifted << 52) + 0x3ff0000000000000LL);

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
    return power * (r + r * r * p) + (power - 1.0);
}

DPH_CLONES void
dph_expm1_many(const double *x, double *y, int64_t n)
{
    int64_t whole = n - n % DPH_LANES;

    for (int64_t i = 0; i < whole; i += DPH_LANES) {
        dph_lanes_store(expm1_of(dph_lanes_load(x + i)), y + i);
    }
    if (whole < n) {
        dph_lanes rest = expm1_of(dph_lanes_load_part(x + whole, n - whole));

        for (int64_t i = whole; i < n; i++) {
            y[i] = rest[i - whole];
        }
    }
}

/* ln(u) with u = fl(1 + z) misses z - (u - 1), which is exact and adds its share of 1 / u. */
DPH_CLONES void
dph_log1p_many(const double *x, double scale, double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] = 1.0 + scale * x[i];
    }
    dph_log_many(y, y, n);
    for (int64_t i = 0; i < n; i++) {
        double z = scale * x[i];
        double u = 1.0 + z;

        y[i] += (z - (u - 1.0)) / u;
    }
}

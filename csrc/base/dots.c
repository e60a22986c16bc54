#include "dots.h"

#include "lanes.h"
#include "veclog.h"

DPH_CLONES double
dph_dot(const double *x, const double *y, int64_t n)
{
    dph_lanes low = {0};
    dph_lanes high = {0};
    double rest = 0;
    int64_t i = 0;

    for (; i + 2 * DPH_LANES <= n; i += 2 * DPH_LANES) {
        low += dph_lanes_load(x + i) * dph_lanes_load(y + i);
        high += dph_lanes_load(x + i + DPH_LANES) * dph_lanes_load(y + i + DPH_LANES);
    }
    if (i + DPH_LANES <= n) {
        low += dph_lanes_load(x + i) * dph_lanes_load(y + i);
        i += DPH_LANES;
    }
    for (; i < n; i++) {
        rest += x[i] * y[i];
    }
    return dph_lanes_sum(low + high) + rest;
}

DPH_CLONES void
dph_subtract(double factor, const double *x, double *y, int64_t n)
{
    int64_t whole = n - n % DPH_LANES;

    for (int64_t i = 0; i < whole; i += DPH_LANES) {
        dph_lanes_store(dph_lanes_load(y + i) - factor * dph_lanes_load(x + i), y + i);
    }
    for (int64_t i = whole; i < n; i++) {
        y[i] -= factor * x[i];
    }
}

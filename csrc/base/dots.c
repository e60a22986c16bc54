#include "dots.h"

#include "veclog.h"

#define LANES 8

DPH_CLONES double
dph_dot(const double *x, const double *y, int64_t n)
{
    double sum[LANES] = {0};
    double rest = 0;
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            sum[k] += x[i + k] * y[i + k];
        }
    }
    for (; i < n; i++) {
        rest += x[i] * y[i];
    }
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7])) + rest;
}

DPH_CLONES void
dph_subtract(double factor, const double *x, double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] -= factor * x[i];
    }
}

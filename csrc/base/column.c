#include "column.h"

#include <math.h>

dph_column
dph_column_summary(const double *x, int64_t n)
{
    dph_column out = {.min = NAN, .max = NAN, .distinct = 0, .finite = 1};
    double seen[DPH_DISTINCT_MAX];

    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) {
            out.finite = 0;
            return out;
        }
        out.min = i == 0 || x[i] < out.min ? x[i] : out.min;
        out.max = i == 0 || x[i] > out.max ? x[i] : out.max;
        if (out.distinct < DPH_DISTINCT_MAX) {
            int known = 0;

            for (int k = 0; k < out.distinct; k++) {
                known |= seen[k] == x[i];
            }
            if (!known) {
                seen[out.distinct++] = x[i];
            }
        }
    }
    return out;
}

int
dph_column_finite(const double *x, int64_t n)
{
    int good = 1;

    for (int64_t i = 0; i < n; i++) {
        good &= x[i] - x[i] == 0; /* NaN for NaN and inf */
    }
    return good;
}

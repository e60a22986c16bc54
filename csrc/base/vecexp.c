#include "vecexp.h"

#include "veclog.h"

DPH_CLONES void
dph_exp_many(const double *x, double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] = dph_exp(x[i]);
    }
}

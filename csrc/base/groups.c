#include "groups.h"

#include <stddef.h>

int
dph_groups_check(const int64_t *offsets, int64_t n_groups, int64_t n, int64_t *bad)
{
    int64_t g = 0;

    if (n_groups < 0 || offsets[0] != 0) {
        goto wrong;
    }
    for (g = 1; g <= n_groups; g++) {
        if (offsets[g] < offsets[g - 1] || offsets[g] > n) {
            goto wrong;
        }
    }
    g = n_groups;
    if (offsets[n_groups] != n) {
        goto wrong;
    }
    return DPH_OK;

wrong:
    if (bad != NULL) {
        *bad = g;
    }
    return DPH_E_OFFSETS;
}

int64_t
dph_groups_largest(const int64_t *offsets, int64_t n_groups)
{
    int64_t largest = 0;

    for (int64_t g = 0; g < n_groups; g++) {
        int64_t size = offsets[g + 1] - offsets[g];
        if (size > largest) {
            largest = size;
        }
    }
    return largest;
}

/* The offsets contract: group g owns the points offsets[g] .. offsets[g + 1] - 1. */
#ifndef DPH_GROUPS_H
#define DPH_GROUPS_H

#include <stdint.h>

#include "status.h"

/* Check offsets[n_groups + 1]: the first is 0, the last is n, none decreases. Empty groups are
 * legal.
 *
 * offsets   int64[n_groups + 1], never NULL (n_groups 0 still has offsets[0] = 0)
 * n         number of points
 * bad       receives the index of the first offending entry; may be NULL
 * Returns DPH_OK or DPH_E_OFFSETS.
 */
DPH_MUST_CHECK int
dph_groups_check(const int64_t *offsets, int64_t n_groups, int64_t n, int64_t *bad);

/* Size of the largest group: what scratch has to hold. offsets must have passed the check. */
int64_t dph_groups_largest(const int64_t *offsets, int64_t n_groups);

#endif

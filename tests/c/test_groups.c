#include "base/groups.h"

#include "check.h"
#include "suites.h"

/* Check offsets of n_groups groups over n points; the bad index, or -1 where all is well. */
static int64_t
bad_index(const int64_t *offsets, int64_t n_groups, int64_t n)
{
    int64_t bad = -1;
    int code = dph_groups_check(offsets, n_groups, n, &bad);

    CHECK_INT(code, bad == -1 ? DPH_OK : DPH_E_OFFSETS);
    CHECK_INT(dph_groups_check(offsets, n_groups, n, NULL), code);
    return bad;
}

static void
test_check(void)
{
    CHECK_INT(bad_index((int64_t[]){0}, 0, 0), -1);
    CHECK_INT(bad_index((int64_t[]){0, 0}, 1, 0), -1);
    CHECK_INT(bad_index((int64_t[]){0, 7}, 1, 7), -1);
    CHECK_INT(bad_index((int64_t[]){0, 0, 3, 3, 5, 5}, 5, 5), -1);
    CHECK_INT(bad_index((int64_t[]){0, INT64_MAX}, 1, INT64_MAX), -1);

    CHECK_INT(bad_index((int64_t[]){0}, 0, 4), 0);
    CHECK_INT(bad_index((int64_t[]){1, 4}, 1, 4), 0);
    CHECK_INT(bad_index((int64_t[]){-1, 4}, 1, 4), 0);
    CHECK_INT(bad_index((int64_t[]){0, 3, 2, 4}, 3, 4), 2);
    CHECK_INT(bad_index((int64_t[]){0, 3, 2, 1}, 3, 1), 1); /* 3 of 1 points comes first */
    CHECK_INT(bad_index((int64_t[]){0, -1, 4}, 2, 4), 1);
    CHECK_INT(bad_index((int64_t[]){0, 5, 4}, 2, 4), 1);
    CHECK_INT(bad_index((int64_t[]){0, 2, 5}, 2, 4), 2);
    CHECK_INT(bad_index((int64_t[]){0, 2, 3}, 2, 4), 2);
    CHECK_INT(bad_index((int64_t[]){0, INT64_MAX, INT64_MIN}, 2, INT64_MAX), 2);
    CHECK_INT(bad_index((int64_t[]){0, INT64_MIN}, 1, 0), 1);
}

static void
test_largest(void)
{
    CHECK_INT(dph_groups_largest((int64_t[]){0}, 0), 0);
    CHECK_INT(dph_groups_largest((int64_t[]){0, 0, 0}, 2), 0);
    CHECK_INT(dph_groups_largest((int64_t[]){0, 2, 9, 9, 12}, 4), 7);
    CHECK_INT(dph_groups_largest((int64_t[]){0, 1, 2, 6}, 3), 4);
    CHECK_INT(dph_groups_largest((int64_t[]){0, INT64_MAX}, 1), INT64_MAX);
}

void
test_groups(void)
{
    test_check();
    test_largest();
}

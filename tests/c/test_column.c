#include "base/column.h"

#include "check.h"
#include "suites.h"

static void
test_summary(void)
{
    const double mixed[] = {3, -1, 3, 8, -1, 0.0, -0.0};
    const double many[] = {9, 8, 7, 6, 5, 4, 3, 2, 1, 0};
    const double last[] = {2, 2, 2, 2, 2, 2, 2, 1};
    dph_column c = dph_column_summary(mixed, 7);

    CHECK(c.min == -1 && c.max == 8 && c.finite == 1);
    CHECK_INT(c.distinct, 4); /* the two zeros are one value */
    c = dph_column_summary(many, 10);
    CHECK(c.min == 0 && c.max == 9 && c.finite == 1);
    CHECK_INT(c.distinct, DPH_DISTINCT_MAX); /* bounds go on after the counting stops */
    c = dph_column_summary(last, 8);
    CHECK(c.min == 1 && c.max == 2);
    CHECK_INT(c.distinct, 2);
    c = dph_column_summary(mixed, 1);
    CHECK(c.min == 3 && c.max == 3 && c.distinct == 1);
    for (int n = 1; n <= 10; n++) {
        CHECK_INT(dph_column_summary(many, n).distinct, n < 6 ? n : 6);
    }
}

static void
test_odd_values(void)
{
    const double bad[] = {NAN, INFINITY, -INFINITY};
    dph_column c = dph_column_summary(NULL, 0);

    CHECK(isnan(c.min) && isnan(c.max) && c.distinct == 0 && c.finite == 1);
    for (int b = 0; b < 3; b++) {
        for (int at = 0; at < 9; at++) {
            double x[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

            CHECK_INT(dph_column_finite(x, 9), 1);
            x[at] = bad[b];
            CHECK_INT(dph_column_summary(x, 9).finite, 0);
            CHECK_INT(dph_column_finite(x, 9), 0);
            CHECK_INT(dph_column_finite(x, at), 1);
        }
    }
    c = dph_column_summary((double[]){5e-324, 1.7e308, -1.7e308}, 3);
    CHECK_INT(dph_column_finite(NULL, 0), 1);
    CHECK_INT(dph_column_finite((double[]){5e-324, 1.7e308, -1.7e308}, 3), 1);
    CHECK(c.finite == 1 && c.min == -1.7e308 && c.max == 1.7e308 && c.distinct == 3);
}

void
test_column(void)
{
    test_summary();
    test_odd_values();
}

#include "base/quantile.h"

#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "suites.h"

static int
compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

/* The same by sorting everything. */
static double
slow(const double *sorted, int64_t n, double q)
{
    double rank = q * (double)(n - 1);
    int64_t k = (int64_t)floor(rank);

    return k + 1 < n ? sorted[k] + (sorted[k + 1] - sorted[k]) * (rank - (double)k) : sorted[k];
}

static void
test_against_sorting(void)
{
    static const double q[] = {0, 0.05, 0.25, 0.5, 0.5, 0.95, 1};
    static double x[3000];
    static double sorted[3000];
    uint64_t seed = 5;

    for (int64_t trial = 0; trial < check_heavy(600); trial++) {
        int64_t n = 1 + check_below(&seed, trial % 10 == 0 ? 3000 : 80);
        int64_t values = trial % 3 == 0 ? 5 : 1000000;
        double out[7];

        for (int64_t i = 0; i < n; i++) {
            /* random, many ties, rising, falling, organ pipe */
            switch (trial % 5) {
            case 0:
                x[i] = check_normal(&seed);
                break;
            case 1:
                x[i] = (double)check_below(&seed, values);
                break;
            case 2:
                x[i] = (double)i;
                break;
            case 3:
                x[i] = (double)(n - i);
                break;
            default:
                x[i] = (double)(i < n / 2 ? i : n - i);
            }
            sorted[i] = x[i];
        }
        qsort(sorted, (size_t)n, sizeof *sorted, compare);
        dph_quantiles(x, n, q, 7, out);
        for (int k = 0; k < 7; k++) {
            CHECK_ABS(out[k], slow(sorted, n, q[k]), 1e-9);
        }
        CHECK(out[0] == sorted[0] && out[6] == sorted[n - 1]);
    }
}

static void
test_edges(void)
{
    static const double q[] = {0, 0.5, 1};
    double out[3] = {1, 1, 1};
    double ends[] = {INFINITY, 1, -INFINITY, INFINITY};
    double same[] = {INFINITY, INFINITY};

    dph_quantiles(ends, 0, q, 3, out);
    CHECK(isnan(out[0]) && isnan(out[2]));
    dph_quantiles(ends, 4, q, 3, out);
    CHECK(out[0] == -INFINITY && out[1] == INFINITY && out[2] == INFINITY);
    dph_quantiles(same, 2, q, 3, out);
    CHECK(out[1] == INFINITY);
}

void
test_quantile(void)
{
    test_against_sorting();
    test_edges();
}

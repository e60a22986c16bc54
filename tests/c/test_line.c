#include "base/line.h"

#include <stdlib.h>

#include "check.h"
#include "suites.h"

static void
check_no_line(const double *x, const double *y, int64_t n, int32_t status)
{
    dph_line line;

    memset(&line, 0x55, sizeof line);
    dph_line_fit(x, y, n, &line);
    CHECK_INT(line.status, status);
    CHECK_INT(line.n, n);
    CHECK_INT(line.reserved, 0);
    CHECK(isnan(line.slope) && isnan(line.intercept) && isnan(line.x_mean) && isnan(line.y_mean));
    CHECK(isnan(line.sxx) && isnan(line.rss) && isnan(line.se_slope) && isnan(line.se_intercept));
}

/* Five points worked by hand: slope 6/10, residuals -0.8 0.6 1 -0.6 -0.2. */
static void
test_textbook(void)
{
    const double x[] = {1, 2, 3, 4, 5};
    const double y[] = {2, 4, 5, 4, 5};
    dph_line line;

    dph_line_fit(x, y, 5, &line);
    CHECK_INT(line.status, DPH_OK);
    CHECK_INT(line.n, 5);
    CHECK_NEAR(line.slope, 0.6, 1e-15);
    CHECK_NEAR(line.intercept, 2.2, 1e-15);
    CHECK_NEAR(line.x_mean, 3, 0);
    CHECK_NEAR(line.y_mean, 4, 0);
    CHECK_NEAR(line.sxx, 10, 1e-15);
    CHECK_NEAR(line.rss, 2.4, 1e-14);
    CHECK_NEAR(line.se_slope, sqrt(0.8 / 10), 1e-14);
    CHECK_NEAR(line.se_intercept, sqrt(0.8 * (1.0 / 5 + 9.0 / 10)), 1e-14);
}

/* A shift of x that dwarfs its spread must not cost the slope its digits. */
static void
test_far_from_origin(void)
{
    double x[6];
    double y[6];
    dph_line line;

    for (int i = 0; i < 6; i++) {
        x[i] = 1e9 + i;
        y[i] = 1e9 - 3 * i;
    }
    dph_line_fit(x, y, 6, &line);
    CHECK_INT(line.status, DPH_OK);
    CHECK_NEAR(line.slope, -3, 1e-14);
    CHECK_ABS(line.rss, 0, 1e-20);
}

static void
test_two_points(void)
{
    dph_line line;

    dph_line_fit((double[]){1, 3}, (double[]){5, 1}, 2, &line);
    CHECK_INT(line.status, DPH_W_SATURATED);
    CHECK(line.slope == -2 && line.intercept == 7 && line.rss == 0);
    CHECK(isnan(line.se_slope) && isnan(line.se_intercept));
}

static void
test_failures(void)
{
    const double bad[] = {NAN, INFINITY, -INFINITY};
    const double equal[] = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1};
    const double y[] = {1, 2, 3, 4, 5, 6};

    check_no_line(NULL, NULL, 0, DPH_E_TOO_FEW_POINTS);
    check_no_line(y, y, 1, DPH_E_TOO_FEW_POINTS);
    check_no_line(equal, y, 6, DPH_E_EQUAL_X); /* the mean of six 0.1 is not 0.1 */
    check_no_line(equal, y, 2, DPH_E_EQUAL_X);
    for (int b = 0; b < 3; b++) {
        for (int at = 0; at < 6; at++) {
            double z[6] = {1, 2, 3, 4, 5, 6};

            z[at] = bad[b];
            check_no_line(z, y, 6, DPH_E_BAD_VALUE);
            check_no_line(y, z, 6, DPH_E_BAD_VALUE);
        }
    }
    check_no_line((double[]){INFINITY, -INFINITY}, y, 2, DPH_E_BAD_VALUE);
}

/* Truth known, noise drawn: the estimate lies within a few of its own standard errors. */
static void
test_many_points(void)
{
    int64_t n = check_heavy(100000);
    double *x = malloc((size_t)n * sizeof *x);
    double *y = malloc((size_t)n * sizeof *y);
    uint64_t seed = 11;
    dph_line line;

    if (!CHECK(x != NULL && y != NULL)) {
        goto out;
    }
    for (int64_t i = 0; i < n; i++) {
        x[i] = 40 + 7 * check_uniform(&seed);
        y[i] = 2.5 - 0.05 * x[i] + 0.01 * check_normal(&seed);
    }
    dph_line_fit(x, y, n, &line);
    CHECK_INT(line.status, DPH_OK);
    CHECK_ABS(line.slope, -0.05, 4 * line.se_slope);
    CHECK_ABS(line.intercept, 2.5, 4 * line.se_intercept);
    CHECK_NEAR(line.rss / (double)(n - 2), 1e-4, 0.1);
    CHECK_NEAR(line.se_slope, 0.01 / sqrt((double)n * 49 / 12), 0.1);

out:
    free(x);
    free(y);
}

void
test_line(void)
{
    test_textbook();
    test_far_from_origin();
    test_two_points();
    test_failures();
    test_many_points();
}

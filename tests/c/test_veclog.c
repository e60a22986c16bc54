#include "base/veclog.h"

#include <float.h>
#include <stdlib.h>

#include "check.h"
#include "suites.h"

#define BLOCK 1024

/* Error in units of the last place of the true value. Where long double is no wider than double (valgrind
 * computes it so) the reference is log(), itself good to about half a unit. */
static int wide;

static double
error_ulp(double x, double got)
{
    double nearest = wide ? (double)logl((long double)x) : log(x);
    double ulp = nextafter(fabs(nearest), INFINITY) - fabs(nearest);

    if (!wide) {
        return fabs(got - nearest) / ulp;
    }
    return (double)fabsl((long double)got - logl((long double)x)) / ulp;
}

static double
worst(const double *x, int64_t n, double so_far)
{
    double y[BLOCK];

    dph_log_many(x, y, n);
    for (int64_t i = 0; i < n; i++) {
        double e = error_ulp(x[i], y[i]);

        if (!(e <= so_far)) {
            so_far = e;
        }
    }
    return so_far;
}

/* One positive normal double with a uniform exponent. */
static double
any_normal(uint64_t *seed)
{
    uint64_t bits = check_bits(seed) >> 1;
    double x = 0;

    do {
        bits = check_bits(seed) >> 1;
        memcpy(&x, &bits, sizeof x);
    } while (!(x >= DBL_MIN && x <= DBL_MAX));
    return x;
}

static void
test_accuracy(void)
{
    volatile long double one = 1;
    const double allowed = one + LDBL_EPSILON != one && LDBL_EPSILON < DBL_EPSILON ? 1.0 : 1.55;
    int64_t blocks = check_heavy(1000);
    uint64_t seed = 42;
    double anywhere = 0;
    double near_one = 0;
    double losses = 0;
    double cuts = 0;

    wide = allowed == 1.0;
    for (int64_t b = 0; b < blocks; b++) {
        double x[BLOCK];

        for (int i = 0; i < BLOCK; i++) {
            x[i] = any_normal(&seed);
        }
        anywhere = worst(x, BLOCK, anywhere);
        for (int i = 0; i < BLOCK; i++) { /* 1 +- 2^-1 .. 2^-52 */
            double d = ldexp(check_uniform(&seed), -(int)check_below(&seed, 52));
            x[i] = i % 2 ? 1 + d : 1 - d / 2;
        }
        near_one = worst(x, BLOCK, near_one);
        for (int i = 0; i < BLOCK; i++) { /* loss - floor */
            x[i] = 8 * check_uniform(&seed);
        }
        losses = worst(x, BLOCK, losses);
        for (int i = 0; i < BLOCK; i++) { /* where the exponent steps: 2^k sqrt(1/2) */
            double near = 0x1.6a09e667f3bcdp-1 * (1 + 1e-9 * (check_uniform(&seed) - 0.5));
            x[i] = ldexp(near, (int)check_below(&seed, 2000) - 1000);
        }
        cuts = worst(x, BLOCK, cuts);
    }
    CHECK(anywhere < allowed);
    CHECK(near_one < allowed);
    CHECK(losses < allowed);
    CHECK(cuts < allowed);
    if (getenv("DPH_TEST_VERBOSE") != NULL) {
        printf("    veclog max error in ulp (reference %s): any %.4f, near 1 %.4f, (0, 8) %.4f, "
               "cuts %.4f\n",
               wide ? "logl" : "log", anywhere, near_one, losses, cuts);
    }
}

/* Every power of two, and the ends of the range. */
static void
test_special_points(void)
{
    double y = NAN;
    double x = 1;

    dph_log_many(&x, &y, 1);
    CHECK(y == 0);
    for (int k = -1022; k <= 1023; k++) {
        x = ldexp(1, k);
        dph_log_many(&x, &y, 1);
        CHECK_NEAR(y, k * 0.693147180559945309417, 3e-16);
    }
    x = DBL_MAX;
    dph_log_many(&x, &y, 1);
    CHECK_NEAR(y, 709.78271289338397, 1e-15);
    x = nextafter(1, 2);
    dph_log_many(&x, &y, 1);
    CHECK_NEAR(y, DBL_EPSILON, 2e-16);
    x = nextafter(1, 0);
    dph_log_many(&x, &y, 1);
    CHECK_NEAR(y, -DBL_EPSILON / 2, 2e-16);
}

/* All lengths, so that vector bodies and their tails both run: same bits as one by one, in place too, and
 * not one element past the end. */
static void
test_lengths(void)
{
    uint64_t seed = 7;
    double x[70];
    double single[70];

    for (int i = 0; i < 70; i++) {
        x[i] = any_normal(&seed);
        dph_log_many(&x[i], &single[i], 1);
    }
    for (int n = 0; n <= 69; n++) {
        double y[70];
        double in_place[70];

        memset(y, 0x77, sizeof y);
        memcpy(in_place, x, sizeof x);
        dph_log_many(x, y, n);
        dph_log_many(in_place, in_place, n);
        CHECK_SAME(y, single, (size_t)n * sizeof *y);
        CHECK_SAME(in_place, single, (size_t)n * sizeof *y);
        CHECK_SAME(&in_place[n], &x[n], sizeof x[0] * (size_t)(70 - n));
        for (int i = n; i < 70; i++) {
            unsigned char guard[sizeof(double)];

            memset(guard, 0x77, sizeof guard);
            if (memcmp(&y[i], guard, sizeof guard) != 0) {
                CHECK(!"wrote past the end");
            }
        }
    }
    dph_log_many(NULL, NULL, 0);
}

void
test_veclog(void)
{
    test_accuracy();
    test_special_points();
    test_lengths();
}

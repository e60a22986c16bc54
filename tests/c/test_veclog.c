#include "base/veclog.h"

#include <float.h>
#include <stdlib.h>

#include "check.h"
#include "suites.h"

#define BLOCK 1024

/* Where long double is no wider than double (valgrind computes it so) the reference is log()
 * itself, good to about half a unit in the last place. */
static int wide;

static void
natural(const double *x, double *y, int64_t n)
{
    dph_log_many(x, y, n);
}

static void
decimal(const double *x, double *y, int64_t n)
{
    dph_log10_many(x, y, n);
}

typedef struct {
    void (*many)(const double *, double *, int64_t);
    long double (*fine)(long double);
    double (*plain)(double);
} logarithm;

static const logarithm logs[] = {{natural, logl, log}, {decimal, log10l, log10}};

/* Largest error in units of the last place of the true value. */
static double
worst(const logarithm *l, const double *x, int64_t n, double so_far)
{
    double y[BLOCK];

    l->many(x, y, n);
    for (int64_t i = 0; i < n; i++) {
        long double want = wide ? l->fine((long double)x[i]) : (long double)l->plain(x[i]);
        double size = fabs((double)want);
        double error = (double)fabsl((long double)y[i] - want) / (nextafter(size, INFINITY) - size);

        so_far = error <= so_far ? so_far : error; /* NaN stays */
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
test_accuracy(const logarithm *l, double allowed, double allowed_near_one)
{
    int64_t blocks = check_heavy(400);
    uint64_t seed = 42;
    double anywhere = 0;
    double near_one = 0;
    double losses = 0;
    double cuts = 0;

    for (int64_t b = 0; b < blocks; b++) {
        double x[BLOCK];

        for (int i = 0; i < BLOCK; i++) {
            do { /* any exponent, or those of tokens and compute */
                x[i] = i % 2 ? any_normal(&seed)
                             : ldexp(1 + check_uniform(&seed), (int)check_below(&seed, 90) - 20);
            } while (x[i] > 0.5 && x[i] < 2);
        }
        anywhere = worst(l, x, BLOCK, anywhere);
        for (int i = 0; i < BLOCK; i++) { /* 1 +- 2^-1 .. 2^-52 */
            double d = ldexp(check_uniform(&seed), -(int)check_below(&seed, 52));
            x[i] = i % 2 ? 1 + d : 1 - d / 2;
        }
        near_one = worst(l, x, BLOCK, near_one);
        for (int i = 0; i < BLOCK; i++) { /* loss - floor */
            x[i] = 8 * check_uniform(&seed);
        }
        losses = worst(l, x, BLOCK, losses);
        for (int i = 0; i < BLOCK; i++) { /* where the exponent steps: 2^k sqrt(1/2) */
            double near = 0x1.6a09e667f3bcdp-1 * (1 + 1e-9 * (check_uniform(&seed) - 0.5));
            x[i] = ldexp(near, (int)check_below(&seed, 2000) - 1000);
        }
        cuts = worst(l, x, BLOCK, cuts);
    }
    CHECK(anywhere < allowed);
    CHECK(near_one < allowed_near_one);
    CHECK(losses < allowed_near_one);
    CHECK(cuts < allowed_near_one);
    if (getenv("DPH_TEST_VERBOSE") != NULL) {
        printf(
            "    %s: max error in ulp: away from 1 %.4f, near 1 %.4f, (0, 8) %.4f, cuts %.4f%s\n",
            l == logs ? "ln" : "log10", anywhere, near_one, losses, cuts,
            wide ? "" : " (against double)");
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
    for (int k = -307; k <= 308; k++) {
        x = pow(10, k);
        dph_log10_many(&x, &y, 1);
        CHECK_NEAR(y, k, 3e-16);
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

/* All lengths, so that vector bodies and their tails both run: same bits as one by one, in place
 * too, and not one element past the end. */
static void
test_lengths(const logarithm *l)
{
    uint64_t seed = 7;
    double x[70];
    double single[70];

    for (int i = 0; i < 70; i++) {
        x[i] = any_normal(&seed);
        l->many(&x[i], &single[i], 1);
    }
    for (int n = 0; n <= 69; n++) {
        double y[70];
        double in_place[70];

        memset(y, 0x77, sizeof y);
        memcpy(in_place, x, sizeof x);
        l->many(x, y, n);
        l->many(in_place, in_place, n);
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
    l->many(NULL, NULL, 0);
}

void
test_veclog(void)
{
    volatile long double one = 1;
    double slack = 0;

    wide = LDBL_EPSILON < DBL_EPSILON && one + LDBL_EPSILON != one;
    slack = wide ? 0 : 0.6;
    test_accuracy(&logs[0], 1 + slack, 1 + slack);
    test_accuracy(&logs[1], 1.3 + slack, 2 + slack);
    test_special_points();
    for (int l = 0; l < 2; l++) {
        test_lengths(&logs[l]);
    }
}

#include "base/vecexp.h"

#include <float.h>

#include "check.h"
#include "suites.h"

#define BLOCK 512

/* Against exp(), itself good to half a unit in the last place. */
static void
test_accuracy(void)
{
    uint64_t seed = 3;
    double x[BLOCK];
    double y[BLOCK];
    double worst = 0;

    for (int64_t b = 0; b < check_heavy(2000); b++) {
        double scale = b % 3 == 0 ? 700 : b % 3 == 1 ? 2 : 1e-6;

        for (int i = 0; i < BLOCK; i++) {
            x[i] = scale * (2 * check_uniform(&seed) - 1);
        }
        dph_exp_many(x, y, BLOCK);
        for (int i = 0; i < BLOCK; i++) {
            double want = exp(x[i]);
            double error = fabs(y[i] - want) / (nextafter(want, INFINITY) - want);

            worst = error <= worst ? worst : error; /* NaN stays */
        }
    }
    CHECK(worst <= 2);
}

static void
test_ends(void)
{
    double x[] = {0, -0.0, -708, -708.1, -1e300, -INFINITY, 709, 1e6, NAN, 1};
    double y[10];

    dph_exp_many(x, y, 10);
    CHECK(y[0] == 1 && y[1] == 1);
    CHECK_NEAR(y[2], exp(-708), 1e-15);
    CHECK(y[3] == 0 && y[4] == 0 && y[5] == 0);
    CHECK_NEAR(y[6], exp(709), 1e-15);
    CHECK(y[7] == y[6]);
    CHECK(isnan(y[8]));
    CHECK_NEAR(y[9], exp(1), 1e-15);
    for (int n = 0; n < 10; n++) { /* in place, any length: the same bits */
        double z[10];

        memcpy(z, x, sizeof z);
        dph_exp_many(z, z, n);
        CHECK_SAME(z, y, (size_t)(n < 8 ? n : 8) * sizeof *z);
    }
}

static void
test_falling(void)
{
    uint64_t seed = 7;
    double worst = 0;

    for (int64_t i = 0; i < check_heavy(100000); i++) {
        double x = -708 * check_uniform(&seed) * check_uniform(&seed);
        long double want = expl((long double)x);
        int exponent = 0;

        (void)frexp((double)want, &exponent);
        worst = fmax(worst, (double)fabsl((long double)dph_exp_falling(x) - want) /
                                ldexp(1, exponent - DBL_MANT_DIG));
    }
    if (!CHECK(worst < (LDBL_MANT_DIG > DBL_MANT_DIG ? 3 : 4))) {
        fprintf(stderr, "    %g ulp\n", worst);
    }
    CHECK_NEAR(dph_exp_falling(0), 1, 0);
    CHECK(dph_exp_falling(-1e9) < 1e-307);
    CHECK(isnan(dph_exp_falling(NAN)));
}

void
test_vecexp(void)
{
    test_falling();
    test_accuracy();
    test_ends();
}

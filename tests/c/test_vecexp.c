#include "base/vecexp.h"

#include <float.h>

#include "check.h"
#include "suites.h"

/* Errors are counted in units of the last place of the true value, taken from long double. */
static void
test_accuracy(void)
{
    uint64_t seed = 1;
    double worst = 0;
    double allowed = LDBL_MANT_DIG > DBL_MANT_DIG ? 1.5 : 2.5;

    for (int64_t i = 0; i < check_heavy(300000); i++) {
        double x = i % 2 ? -708 + 1417 * check_uniform(&seed) : 4 * check_normal(&seed);
        long double want = expl((long double)x);
        double got = dph_exp(x);
        int exponent = 0;
        double ulps = 0;

        (void)frexp((double)want, &exponent);
        ulps = (double)fabsl((long double)got - want) / ldexp(1, exponent - DBL_MANT_DIG);
        worst = ulps > worst ? ulps : worst;
    }
    CHECK(worst < allowed);
    CHECK(worst > 0.1);
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

static void
test_special_values(void)
{
    CHECK_NEAR(dph_exp(0), 1, 0);
    CHECK_NEAR(dph_exp(-0.0), 1, 0);
    CHECK(dph_exp(-708.5) == 0);
    CHECK(dph_exp(-INFINITY) == 0);
    CHECK(isinf(dph_exp(710)));
    CHECK(isinf(dph_exp(INFINITY)));
    CHECK(isnan(dph_exp(NAN)));
    CHECK(dph_exp(-708) > DBL_MIN);
    CHECK(isfinite(dph_exp(709)));
}

static void
test_many_is_one_after_the_other(void)
{
    double x[37];
    double y[37];
    uint64_t seed = 5;

    for (int i = 0; i < 37; i++) {
        x[i] = 30 * check_normal(&seed);
    }
    dph_exp_many(x, y, 37);
    for (int i = 0; i < 37; i++) {
        double one = dph_exp(x[i]);

        CHECK_SAME(&one, &y[i], sizeof one);
    }
    dph_exp_many(x, x, 37);
    CHECK_SAME(x, y, sizeof x);
    dph_exp_many(x, y, 0);
}

void
test_vecexp(void)
{
    test_accuracy();
    test_falling();
    test_special_values();
    test_many_is_one_after_the_other();
}

#include "laws/identify.h"

#include "base/distributions.h"
#include "check.h"
#include "fits.h"
#include "suites.h"

static const dph_powerlaw_options judged = {
    .score = DPH_SCORE_LOSS, .search = DPH_SEARCH_PROFILE, .diagnose = 1};

/* Flags of a noisy law, over many draws: a clear law has none, one without a bend has both. */
static void
test_flags(void)
{
    uint64_t seed = 71;
    int clear = 0;
    int bent = 0;

    for (int trial = 0; trial < 50; trial++) {
        double compute[9];
        double loss[9];

        draw_powerlaw(compute, loss, 9, 1.8, 1.5, 0.4, 1e-4, &seed);
        clear += fit_powerlaw(compute, loss, 9, NAN, &judged).status == DPH_OK;
        draw_powerlaw(compute, loss, 9, 0, 3, 0.03, 0.02, &seed);
        bent += (fit_powerlaw(compute, loss, 9, NAN, &judged).status &
                 (DPH_W_FLOOR_NOT_IDENTIFIED | DPH_W_ALPHA_WEAK)) ==
                (DPH_W_FLOOR_NOT_IDENTIFIED | DPH_W_ALPHA_WEAK);
    }
    CHECK_INT(clear, 50);
    CHECK(bent > 35);
}

/* Only the flags differ from a fit that does not look. */
static void
test_same_law(void)
{
    uint64_t seed = 72;

    for (int trial = 0; trial < 20; trial++) {
        double compute[7];
        double loss[7];
        dph_powerlaw plain;
        dph_powerlaw looked;

        draw_powerlaw(compute, loss, 7, 1.2, 1.5, 0.1, 0.01, &seed);
        plain = fit_powerlaw(compute, loss, 7, NAN, &profile);
        looked = fit_powerlaw(compute, loss, 7, NAN, &judged);
        CHECK_INT(plain.status & (DPH_W_FLOOR_NOT_IDENTIFIED | DPH_W_ALPHA_WEAK), 0);
        CHECK_INT(looked.status & plain.status, plain.status);
        CHECK(plain.L_inf == looked.L_inf && plain.log_A == looked.log_A);
        CHECK(plain.alpha == looked.alpha && plain.rss == looked.rss);
    }
}

/* Three points leave nothing to judge by, pinned floors are nobody's estimate. */
static void
test_nothing_to_judge(void)
{
    uint64_t seed = 73;
    double compute[4];
    double loss[4];

    draw_powerlaw(compute, loss, 4, 1.2, 1.5, 0.2, 0.001, &seed);
    CHECK_INT(fit_powerlaw(compute, loss, 3, NAN, &judged).status &
                  (DPH_W_FLOOR_NOT_IDENTIFIED | DPH_W_ALPHA_WEAK),
              0);
    CHECK_INT(fit_powerlaw(compute, loss, 4, 0.5, &judged).status, DPH_OK);
}

void
test_identify(void)
{
    test_flags();
    test_same_law();
    test_nothing_to_judge();
}

#include "laws/survival.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "suites.h"

static const dph_survival_options options = {.threshold = 0.8, .slack = 0.01};

/* One rollout with up to eight forks at tokens 0, 4, 8, ... */
static dph_rollout
watch(const double *pmass, int64_t n_forks, int64_t n_row, int64_t gen_len, uint8_t *mask)
{
    static const int64_t forks[] = {0, 4, 8, 12, 16, 20, 24, 28};
    const int64_t fork_offsets[] = {0, n_forks};
    const int64_t token_offsets[] = {0, n_row};
    dph_survival_batch batch = {.pmass = pmass,
                                .forks = forks,
                                .fork_offsets = fork_offsets,
                                .token_offsets = token_offsets,
                                .gen_lens = &gen_len};
    dph_rollout out;

    dph_survival_watch(&batch, 0, 1, &options, mask, &out);
    return out;
}

static void
test_fates(void)
{
    static const double dies[] = {0.9, 0.95, 0.7, 0.99};
    static const double lives[] = {0.9, 0.95, 0.8, 0.99};
    static const double gaps[] = {0.9, NAN, 0.95, NAN};
    static const double blind[] = {NAN, NAN, NAN, NAN};
    uint8_t mask[16];
    dph_rollout out = watch(dies, 4, 16, 16, mask);

    CHECK_INT(out.status, DPH_OK);
    CHECK_INT(out.died, 1);
    CHECK_INT(out.time, 8);
    CHECK_INT(out.n_forks, 3);
    CHECK(out.pmass_min == 0.7);
    for (int t = 0; t < 16; t++) {
        CHECK_INT(mask[t], t < 8);
    }
    /* a mass at the threshold is alive, and the last token seen is the time */
    out = watch(lives, 4, 16, 16, mask);
    CHECK_INT(out.died, 0);
    CHECK_INT(out.time, 15);
    CHECK(memchr(mask, 0, 16) == NULL);
    /* generation ends before the fork that would have killed it: at its very token, too */
    for (int64_t gen_len = 1; gen_len <= 8; gen_len++) {
        out = watch(dies, 4, 16, gen_len, mask);
        CHECK_INT(out.status, DPH_W_LENGTHS_DIFFER);
        CHECK_INT(out.died, 0);
        CHECK_INT(out.time, gen_len - 1);
        CHECK(memchr(mask, 0, 16) == NULL);
    }
    out = watch(dies, 4, 16, 9, mask);
    CHECK_INT(out.died, 1);
    CHECK_INT(mask[8], 0);
    CHECK_INT(mask[9], 1);
    /* a gap inside is bridged, one at the end censors */
    out = watch(gaps, 4, 16, 16, mask);
    CHECK_INT(out.status, DPH_W_TAIL_NOT_MEASURED);
    CHECK_INT(out.time, 11);
    CHECK_INT(out.n_forks, 2);
    out = watch(gaps, 4, 12, 12, mask);
    CHECK_INT(out.status, DPH_OK);
    CHECK_INT(out.time, 11);
    out = watch(blind, 4, 16, 16, mask);
    CHECK_INT(out.status, DPH_W_NEVER_MEASURED);
    CHECK_INT(out.time, -1);
    CHECK(isnan(out.pmass_min));
    CHECK(memchr(mask, 0, 16) == NULL);
    out = watch(dies, 0, 16, 16, mask);
    CHECK_INT(out.status, DPH_W_NEVER_MEASURED);
}

static void
test_failures(void)
{
    static const double odd[] = {0.9, 1.2};
    static const double fine[] = {0.9, 1.005};
    static const double mass[] = {0.9, 0.9, 0.9};
    static const int64_t unsorted[] = {0, 8, 4};
    static const int64_t negative[] = {-1, 8, 9};
    static const int64_t forks_at[] = {0, 3};
    static const int64_t tokens_at[] = {0, 10};
    static const int64_t gen_len = 10;
    dph_survival_batch batch = {.pmass = mass,
                                .forks = unsorted,
                                .fork_offsets = forks_at,
                                .token_offsets = tokens_at,
                                .gen_lens = &gen_len};
    uint8_t mask[10];
    dph_rollout out = watch(odd, 2, 10, 10, mask);

    CHECK_INT(out.status, DPH_E_PMASS_RANGE);
    CHECK_INT(out.time, -1);
    CHECK(isnan(out.pmass_min) && mask[0] == 0 && mask[9] == 0);
    CHECK_INT(watch(fine, 2, 10, 10, mask).status, DPH_OK);
    CHECK_INT(watch(mass, 3, 0, 0, mask).status, DPH_E_EMPTY_ROLLOUT);
    CHECK_INT(watch(mass, 3, 10, 0, mask).status, DPH_E_EMPTY_ROLLOUT);
    CHECK(memchr(mask, 0, 10) == NULL);
    dph_survival_watch(&batch, 0, 1, &options, NULL, &out);
    CHECK_INT(out.status, DPH_E_FORKS_ORDER);
    batch.forks = negative;
    dph_survival_watch(&batch, 0, 1, &options, NULL, &out);
    CHECK_INT(out.status, DPH_E_FORKS_ORDER);
}

/* Against the definition, value by value. */
static void
test_rolling(void)
{
    static double x[400];
    static double out[400];
    static double scratch[3000];
    uint64_t seed = 9;

    for (int64_t trial = 0; trial < check_heavy(300); trial++) {
        int64_t n = check_below(&seed, 400);
        int64_t window = 1 + check_below(&seed, trial % 4 == 0 ? 3 : 150);

        for (int64_t i = 0; i < n; i++) {
            x[i] = check_normal(&seed) + (trial % 2 == 0 ? 1e8 : 0);
        }
        CHECK(dph_rolling_scratch(n, window) <= 3000);
        dph_rolling_mean(x, n, window, scratch, out);
        for (int64_t i = 0; i < n; i++) {
            double sum = 0;

            for (int64_t k = i - window / 2; k < i - window / 2 + window; k++) {
                sum += x[k < 0 ? 0 : k < n ? k : n - 1];
            }
            CHECK_NEAR(out[i], window > n ? x[i] : sum / (double)window,
                       trial % 2 == 0 ? 1e-14 : 1e-9);
        }
        dph_rolling_mean(x, n, window, scratch, x);
        CHECK_SAME(x, out, (size_t)n * sizeof *x);
    }
    /* a NaN and a huge value are felt by their windows and by no other */
    for (int i = 0; i < 400; i++) {
        x[i] = 0.1;
    }
    x[100] = NAN;
    x[200] = 1e300;
    dph_rolling_mean(x, 400, 5, scratch, out);
    for (int i = 0; i < 400; i++) {
        if (i >= 98 && i <= 102) {
            CHECK(isnan(out[i]));
        } else if (i >= 198 && i <= 202) {
            CHECK_NEAR(out[i], 2e299, 1e-15);
        } else {
            CHECK_NEAR(out[i], 0.1, 1e-15);
        }
    }
}

static void
test_calibration(void)
{
    static const double kl[] = {1, 2, NAN, 4, 5, 6, 0, 0, 0, NAN, NAN, 3};
    static const int64_t offsets[] = {0, 6, 6, 9, 12};
    dph_calibration_options how = {
        .window = 1, .head = 4, .q = 0.5, .scale_min = 1e-8, .normalise = 1};
    double scratch[64];
    double values[12];
    dph_calibration out[4];

    CHECK(dph_calibration_scratch(6, &how) <= 64);
    dph_kl_calibrate(kl, offsets, 0, 4, &how, scratch, values, out);
    CHECK(out[0].scale == 2 && out[0].n_head == 3 && out[0].status == DPH_W_KL_MISSING);
    CHECK(values[0] == 0.5 && isnan(values[2]) && values[5] == 3);
    CHECK_INT(out[1].status, DPH_E_EMPTY_ROLLOUT);
    CHECK_INT(out[2].status, DPH_E_NO_SCALE);
    CHECK(isnan(out[2].scale) && isnan(values[6]) && isnan(values[8]));
    CHECK(out[3].scale == 3 && out[3].n_head == 1 && values[11] == 1);
    /* smoothed before: the head knows of what comes after it */
    how = (dph_calibration_options){
        .window = 3, .head = 1, .q = 1, .scale_min = 0, .order = DPH_SMOOTH_FIRST, .normalise = 1};
    dph_kl_calibrate(kl + 3, offsets, 0, 1, &how, scratch, values, out);
    CHECK_NEAR(out[0].scale, 13.0 / 3, 1e-15);
    CHECK(values[0] == 1);
    how.order = DPH_CALIBRATE_FIRST;
    dph_kl_calibrate(kl + 3, offsets, 0, 1, &how, scratch, values, out);
    CHECK(out[0].scale == 4);
    CHECK_NEAR(values[0], 13.0 / 12, 1e-15);
    /* only measured; and a row that its window is too wide for */
    how.normalise = 0;
    how.window = 7;
    dph_kl_calibrate(kl, offsets, 0, 3, &how, scratch, values, out);
    CHECK_INT(out[0].status, DPH_W_KL_MISSING | DPH_W_NOT_SMOOTHED);
    CHECK(out[0].scale == 1 && values[5] == 6);
    CHECK_INT(out[2].status, DPH_W_NOT_SMOOTHED);
    CHECK(out[2].scale == 0 && values[6] == 0);
}

/* Groups of ragged rows, in one piece and cell by cell. */
static void
test_token_quantiles(void)
{
    static const double q[] = {0, 0.5, 1};
    static const int64_t offsets[] = {0, 3, 3, 5, 6, 40};
    static const int64_t groups[] = {0, 3, 3, 5};
    static const int64_t cells[] = {0, 3, 3, 37};
    double values[40];
    double out[37 * 3];
    double again[37 * 3];
    int64_t count[37];
    int64_t count_again[37];
    double scratch[16 * 3];
    dph_quantile_batch batch = {.values = values,
                                .offsets = offsets,
                                .groups = groups,
                                .group_offsets = cells,
                                .n_groups = 3};

    for (int i = 0; i < 40; i++) {
        values[i] = i;
    }
    values[4] = NAN;
    CHECK_INT(dph_kl_quantiles_scratch(3), 16 * 3);
    dph_kl_quantiles(&batch, 0, 37, q, 3, scratch, out, count);
    CHECK(count[0] == 2 && count[1] == 1 && count[2] == 1 && count[3] == 2 && count[4] == 1);
    CHECK(out[0] == 0 && out[1] == 1.5 && out[2] == 3);
    CHECK(out[3] == 1 && out[5] == 1);
    CHECK(out[9] == 5 && out[10] == 5.5 && out[11] == 6);
    CHECK(out[36 * 3] == 39);
    for (int64_t c = 0; c < 37; c++) {
        dph_kl_quantiles(&batch, c, c + 1, q, 3, scratch, again, count_again);
    }
    CHECK_SAME(out, again, sizeof out);
    CHECK_SAME(count, count_again, sizeof count);
}

void
test_survival(void)
{
    test_fates();
    test_failures();
    test_rolling();
    test_calibration();
    test_token_quantiles();
}

#include "laws/floorfit.h"

#include <stdlib.h>

#include "check.h"
#include "suites.h"

#define POINTS_MAX 40

static dph_minimiser *minimiser;

/* A suite with the columns it points to. */
typedef struct {
    dph_suite suite;
    double s[POINTS_MAX];
    double loss[POINTS_MAX];
    double work[POINTS_MAX];
} sample;

/* What the power law works out before it asks for an inner fit. */
static void
complete(sample *k, int64_t n)
{
    double s_mean = 0;
    double sss = 0;
    double ssy = 0;

    memset(k->work, 0xff, sizeof k->work);
    k->suite = (dph_suite){.s = k->s, .loss = k->loss, .n = n, .span = 1, .work = k->work};
    k->suite.loss_min = INFINITY;
    k->suite.loss_max = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        s_mean += k->s[i] / (double)n;
        k->suite.loss_mean += k->loss[i] / (double)n;
        k->suite.loss_min = fmin(k->suite.loss_min, k->loss[i]);
        k->suite.loss_max = fmax(k->suite.loss_max, k->loss[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        sss += (k->s[i] - s_mean) * (k->s[i] - s_mean);
        ssy += (k->s[i] - s_mean) * (k->loss[i] - k->suite.loss_mean);
    }
    k->suite.linear_slope = ssy / sss;
}

/* loss = L + B exp(-u s) + noise, s from 0 to 1. */
static void
draw(sample *k, int64_t n, double L, double B, double u, double noise, uint64_t *seed)
{
    for (int64_t i = 0; i < n; i++) {
        k->s[i] = i == 0 ? 0 : i == n - 1 ? 1 : check_uniform(seed);
        k->loss[i] = L + B * exp(-u * k->s[i]) + noise * check_normal(seed);
    }
    complete(k, n);
}

/* Sum of squares at (L, u) with the best B. */
static double
squares(const sample *k, double L, double u)
{
    double see = 0;
    double sez = 0;
    double sum = 0;

    for (int64_t i = 0; i < k->suite.n; i++) {
        double e = exp(-u * k->s[i]);
        see += e * e;
        sez += e * (k->loss[i] - L);
    }
    for (int64_t i = 0; i < k->suite.n; i++) {
        double r = k->loss[i] - L - sez / see * exp(-u * k->s[i]);
        sum += r * r;
    }
    return sum;
}

static void
test_loss_exact(void)
{
    static const double us[] = {0.05, 0.3, 1, 4, 20};
    static const double floors[] = {0, 0.5, 2};
    uint64_t seed = 31;

    for (size_t a = 0; a < sizeof us / sizeof us[0]; a++) {
        for (size_t b = 0; b < sizeof floors / sizeof floors[0]; b++) {
            double L = floors[b];
            sample k;
            dph_floorfit fit;

            draw(&k, 9, L, 1.5, us[a], 0, &seed);
            CHECK_INT(dph_floorfit_loss(&k.suite, L, L, minimiser, &fit), DPH_OK);
            CHECK_NEAR(fit.u, us[a], 1e-11);
            CHECK_NEAR(exp(fit.log_B), 1.5, 1e-11);
            CHECK(fit.L == L);
            CHECK_ABS(fit.objective, 0, 1e-26);
            CHECK_INT(fit.edge, 0);
            CHECK_INT(
                dph_floorfit_loss(&k.suite, 0, nextafter(k.suite.loss_min, 0), minimiser, &fit),
                DPH_OK);
            CHECK_NEAR(fit.u, us[a], 1e-7);
            CHECK_ABS(fit.L, L, 1e-7);
            CHECK_NEAR(exp(fit.log_B), 1.5, 1e-7);
            CHECK_ABS(fit.objective, 0, 1e-24);
        }
    }
}

/* Noisy points: no u on a fine grid does better, nor any floor within its bounds. */
static void
test_loss_is_least(void)
{
    uint64_t seed = 32;
    int beaten = 0;

    for (int trial = 0; trial < 40; trial++) {
        double pinned = 0.02 * trial;
        double L_hi = 0;
        sample k;
        dph_floorfit fit;

        draw(&k, 6 + trial / 4, 1, 1.2, 0.2 + 0.1 * trial, 0.02, &seed);
        CHECK_INT(dph_floorfit_loss(&k.suite, pinned, pinned, minimiser, &fit), DPH_OK);
        CHECK_NEAR(fit.objective, squares(&k, pinned, fit.u), 1e-10);
        for (int i = 0; i < 2000; i++) {
            beaten += squares(&k, pinned, 1e-3 * exp(0.005 * i)) < fit.objective * (1 - 1e-12);
        }
        L_hi = nextafter(k.suite.loss_min, 0);
        CHECK_INT(dph_floorfit_loss(&k.suite, 0, L_hi, minimiser, &fit), DPH_OK);
        CHECK(fit.L >= 0 && fit.L <= L_hi);
        for (int j = 0; j <= 20; j++) {
            for (int i = 0; i < 300; i++) {
                beaten +=
                    squares(&k, L_hi * j / 20, 1e-2 * exp(0.03 * i)) < fit.objective * (1 - 1e-12);
            }
        }
    }
    CHECK_INT(beaten, 0);
}

/* The slopes in L that the outer search trusts, against differences of the objective itself. */
static void
test_slopes(void)
{
    uint64_t seed = 33;

    for (int trial = 0; trial < 40; trial++) {
        double L = 0.1 + 0.02 * trial;
        double h = 1e-5;
        sample k;
        dph_floorfit low;
        dph_floorfit here;
        dph_floorfit high;

        draw(&k, 8, 1.2, 1.2, 1 + 0.05 * trial, 0.02, &seed);
        dph_floorfit_log(&k.suite, L - h, &low);
        dph_floorfit_log(&k.suite, L, &here);
        dph_floorfit_log(&k.suite, L + h, &high);
        CHECK_ABS(here.slope, (high.objective - low.objective) / (2 * h), 1e-7);
        CHECK_INT(dph_floorfit_loss(&k.suite, L - h, L - h, minimiser, &low), DPH_OK);
        CHECK_INT(dph_floorfit_loss(&k.suite, L, L, minimiser, &here), DPH_OK);
        CHECK_INT(dph_floorfit_loss(&k.suite, L + h, L + h, minimiser, &high), DPH_OK);
        CHECK_ABS(here.slope, (high.objective - low.objective) / (2 * h), 1e-7);
    }
}

static void
test_loss_bounds(void)
{
    const double convex[] = {2, 1.9, 1.75, 1.5, 1}; /* falls ever faster: wants a floor below 0 */
    const double elbow[] = {2, 1.1, 1, 1.06, 1.06}; /* levels out above its lowest point */
    sample k = {0};
    dph_floorfit fit;

    for (int i = 0; i < 5; i++) {
        k.s[i] = i / 4.0;
        k.loss[i] = convex[i];
    }
    complete(&k, 5);
    CHECK_INT(dph_floorfit_loss(&k.suite, 0, 0.99, minimiser, &fit), DPH_OK);
    CHECK(fit.L == 0 && fit.slope > 0);
    memcpy(k.loss, elbow, sizeof elbow);
    complete(&k, 5);
    CHECK_INT(dph_floorfit_loss(&k.suite, 0, 0.999, minimiser, &fit), DPH_OK);
    CHECK(fit.L == 0.999 && fit.slope < 0);
    CHECK_INT(fit.edge, 0);
    k.suite.linear_slope = 0.5;
    CHECK_INT(dph_floorfit_loss(&k.suite, 0, 0.999, minimiser, &fit), DPH_E_BAD_VALUE);
    k.suite.linear_slope = NAN;
    CHECK_INT(dph_floorfit_loss(&k.suite, 0, 0.999, minimiser, &fit), DPH_E_BAD_VALUE);
}

/* One run at the smallest compute, a thousand at the largest: two levels have an exact answer, and
 * a first guess of u from the straight line through them is far above it. */
static void
test_lopsided(void)
{
    enum { N = 1001 };
    static double s[N];
    static double loss[N];
    static double work[N];
    dph_suite k = {.s = s, .loss = loss, .n = N, .span = 1, .loss_min = 1, .work = work};
    dph_floorfit fit;

    for (int i = 0; i < N; i++) {
        s[i] = i > 0;
        loss[i] = i > 0 ? 1 : 10;
    }
    k.loss_max = 10;
    k.loss_mean = 1 + 9.0 / N;
    k.linear_slope = -9;
    CHECK_INT(dph_floorfit_loss(&k, 0.999, 0.999, minimiser, &fit), DPH_OK);
    CHECK_INT(fit.edge, 0);
    CHECK_NEAR(fit.u, log(9.001 / 0.001), 1e-9);
}

static void
test_log(void)
{
    uint64_t seed = 34;

    for (int trial = 0; trial < 60; trial++) {
        double L = trial % 3 == 0 ? 0 : trial % 3 == 1 ? 0.7 : -0.5;
        double s_mean = 0;
        double z_mean = 0;
        double sss = 0;
        double ssz = 0;
        double rss = 0;
        sample k;
        dph_floorfit fit;

        draw(&k, 7, L, 0.8, 0.1 * (trial + 1), 0, &seed);
        dph_floorfit_log(&k.suite, L, &fit);
        CHECK_NEAR(fit.u, 0.1 * (trial + 1), 1e-11);
        CHECK_NEAR(exp(fit.log_B), 0.8, 1e-11);
        CHECK_ABS(fit.objective, 0, 1e-22);
        CHECK(fit.L == L);
        CHECK_INT(fit.edge, 0);

        draw(&k, 12, 1.2, 0.8, 2, 0.01, &seed);
        dph_floorfit_log(&k.suite, L, &fit);
        for (int i = 0; i < 12; i++) {
            s_mean += k.s[i] / 12;
            z_mean += log(k.loss[i] - L) / 12;
        }
        for (int i = 0; i < 12; i++) {
            sss += (k.s[i] - s_mean) * (k.s[i] - s_mean);
            ssz += (k.s[i] - s_mean) * log(k.loss[i] - L);
        }
        for (int i = 0; i < 12; i++) {
            double r = log(k.loss[i] - L) - z_mean - ssz / sss * (k.s[i] - s_mean);
            rss += r * r;
        }
        CHECK_NEAR(fit.u, -ssz / sss, 1e-12);
        CHECK_NEAR(fit.log_B, z_mean - ssz / sss * s_mean, 1e-12);
        CHECK_NEAR(fit.objective, rss, 1e-10);
    }
}

/* Blocks of every size against one floor at a time; nothing past the block's end is written. */
static void
test_log_many(void)
{
    const int64_t n = 11;
    uint64_t seed = 35;
    double floors[DPH_FLOOR_BLOCK];
    double *block = malloc((size_t)n * DPH_FLOOR_BLOCK * sizeof *block);
    sample k;

    draw(&k, n, 1.2, 0.8, 2, 0.02, &seed);
    for (int i = 0; i < DPH_FLOOR_BLOCK; i++) {
        floors[i] = 0.99 * k.suite.loss_min * i / (DPH_FLOOR_BLOCK - 1);
    }
    for (int n_floors = 0; block != NULL && n_floors <= DPH_FLOOR_BLOCK; n_floors++) {
        double mse[DPH_FLOOR_BLOCK + 1];
        double u[DPH_FLOOR_BLOCK + 1];

        memset(block, 0xff, (size_t)n * DPH_FLOOR_BLOCK * sizeof *block);
        for (int i = 0; i <= DPH_FLOOR_BLOCK; i++) {
            mse[i] = u[i] = 777;
        }
        dph_floorfit_log_many(&k.suite, floors, n_floors, block, mse, u);
        for (int i = 0; i < n_floors; i++) {
            dph_floorfit fit;

            dph_floorfit_log(&k.suite, floors[i], &fit);
            CHECK_NEAR(mse[i], fit.objective / (double)n, 1e-12);
            CHECK_NEAR(u[i], fit.u, 1e-13);
        }
        for (int i = n_floors; i <= DPH_FLOOR_BLOCK; i++) {
            CHECK(mse[i] == 777 && u[i] == 777);
        }
    }
    CHECK(block != NULL);
    free(block);
}

void
test_floorfit(void)
{
    minimiser = dph_minimiser_new();
    if (!CHECK(minimiser != NULL)) {
        return;
    }
    test_loss_exact();
    test_loss_is_least();
    test_slopes();
    test_loss_bounds();
    test_lopsided();
    test_log();
    test_log_many();
    dph_minimiser_free(minimiser);
}

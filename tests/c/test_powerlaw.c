#include <stdlib.h>

#include "base/parallel.h"
#include "check.h"
#include "fits.h"
#include "suites.h"

#define POINTS_MAX 64
#define SUITES_MAX 4

/* Without noise both scores give the law back, wherever the floor lies below the lowest loss. */
static void
test_exact(void)
{
    static const double fractions[] = {0, 0.3, 0.9, 0.99};
    static const double alphas[] = {0.03, 0.1, 0.3, 1};
    static const dph_powerlaw_options *const options[] = {&profile, &log_profile};
    uint64_t seed = 41;

    for (size_t f = 0; f < 4; f++) {
        for (size_t a = 0; a < 4; a++) {
            /* the lowest term sits near C = 10^3, so that L_inf is this fraction of the lowest loss
             */
            double A = pow(10, 3 * alphas[a]) * (1 - fractions[f]) * 2;
            double L = 2 * fractions[f];
            double compute[9];
            double loss[9];

            draw_powerlaw(compute, loss, 9, L, A, alphas[a], 0, &seed);
            for (int o = 0; o < 2; o++) {
                dph_powerlaw law = fit_powerlaw(compute, loss, 9, NAN, options[o]);

                CHECK_INT(law.status & ~DPH_W_FLOOR_AT_ZERO, 0);
                CHECK(L == 0 || law.status == 0);
                CHECK_ABS(law.L_inf, L, 1e-8 * 2);
                CHECK_NEAR(law.alpha, alphas[a], 1e-8);
                CHECK_NEAR(law.log_A, log(A) + alphas[a] * log(1e18), 1e-8);
                CHECK_NEAR(law.A, exp(law.log_A), 1e-15);
                CHECK_ABS(law.rss, 0, 1e-20);
                CHECK_ABS(law.score, 0, 1e-16);
                CHECK_INT(law.grid_index, -1);
                for (int i = 0; i < 9; i++) {
                    double C = compute[i];

                    CHECK_NEAR(dph_powerlaw_loss(C, law.L_inf, law.log_A, law.alpha), loss[i],
                               1e-10);
                    CHECK_NEAR(dph_powerlaw_compute(loss[i], law.L_inf, law.log_A, law.alpha), C,
                               1e-5);
                }
            }
        }
    }
}

static void
test_pinned_exact(void)
{
    static const double floors[] = {-1, 0, 0.5, 1.9};
    uint64_t seed = 42;

    for (int f = 0; f < 4; f++) {
        for (int score = 0; score < 2; score++) {
            for (int search = 0; search < 2; search++) {
                dph_powerlaw_options options = {.score = score, .search = search, .n_grid = 7};
                double compute[6];
                double loss[6];
                dph_powerlaw law;

                draw_powerlaw(compute, loss, 6, floors[f], 1.5, 0.125, 0, &seed);
                law = fit_powerlaw(compute, loss, 6, floors[f], &options);
                CHECK_INT(law.status, DPH_OK); /* a pinned zero is no bound that was hit */
                CHECK(law.L_inf == floors[f]);
                CHECK_NEAR(law.alpha, 0.125, 1e-11);
                CHECK_NEAR(law.log_A, log(1.5) + 0.125 * log(1e18), 1e-11);
                CHECK_INT(law.grid_index, -1);
                law = fit_powerlaw(compute, loss, 2, floors[f], &options);
                CHECK_INT(law.status, DPH_W_SATURATED);
                CHECK_NEAR(law.alpha, 0.125, 1e-10);
            }
        }
    }
}

/* Another unit of compute or loss gives the same law. */
static void
test_units(void)
{
    static const dph_powerlaw_options *const options[] = {&profile, &log_profile, &grid, &log_grid};
    static const double ln2 = 0.693147180559945309417;
    uint64_t seed = 43;

    for (int trial = 0; trial < 20; trial++) {
        double compute[8];
        double small[8];
        double nats[8];
        double bits[8];

        draw_powerlaw(compute, nats, 8, 1.7, 1.3, 0.2, 0.003, &seed);
        for (int i = 0; i < 8; i++) {
            small[i] = compute[i] / 1e18;
            bits[i] = nats[i] / ln2;
        }
        for (int o = 0; o < 4; o++) {
            dph_powerlaw p = fit_powerlaw(compute, nats, 8, NAN, options[o]);
            dph_powerlaw q = fit_powerlaw(small, bits, 8, NAN, options[o]);

            CHECK_INT(q.status, p.status);
            CHECK_INT(q.grid_index, p.grid_index);
            CHECK_ABS(q.L_inf * ln2, p.L_inf, 1e-10);
            CHECK_NEAR(q.alpha, p.alpha, 1e-10);
            CHECK_NEAR(q.log_A + log(ln2) + q.alpha * log(1e18), p.log_A, 1e-10);
            CHECK_NEAR(q.rss * ln2 * ln2, p.rss, 1e-9);
        }
    }
}

/* What a user would write: one straight line in logs for every floor of the grid. */
static int64_t
naive_grid(const double *compute, const double *loss, const int64_t *offsets, int n_suites,
           int64_t n_grid, int weigh_suites, double *best)
{
    double y_min = INFINITY;
    int64_t index = -1;

    for (int64_t i = 0; i < offsets[n_suites]; i++) {
        y_min = fmin(y_min, loss[i]);
    }
    *best = INFINITY;
    for (int64_t k = 0; k < n_grid; k++) {
        double L = n_grid == 1       ? 0
                   : k == n_grid - 1 ? 0.95 * y_min
                                     : (double)k * (0.95 * y_min / (double)(n_grid - 1));
        double total = 0;

        for (int s = 0; s < n_suites; s++) {
            double n = (double)(offsets[s + 1] - offsets[s]);
            double x_mean = 0;
            double z_mean = 0;
            double sxx = 0;
            double sxz = 0;
            double rss = 0;

            for (int64_t i = offsets[s]; i < offsets[s + 1]; i++) {
                x_mean += log(compute[i]) / n;
                z_mean += log(loss[i] - L) / n;
            }
            for (int64_t i = offsets[s]; i < offsets[s + 1]; i++) {
                double dx = log(compute[i]) - x_mean;
                sxx += dx * dx;
                sxz += dx * (log(loss[i] - L) - z_mean);
            }
            for (int64_t i = offsets[s]; i < offsets[s + 1]; i++) {
                double r = log(loss[i] - L) - z_mean - sxz / sxx * (log(compute[i]) - x_mean);
                rss += r * r;
            }
            total += sxz < 0 ? (weigh_suites ? rss / n : rss) : INFINITY;
        }
        if (total < *best) {
            *best = total;
            index = k;
        }
    }
    return index;
}

static void
test_grid_against_loop(void)
{
    static const int64_t sizes[] = {1, 2, 63, 64, 65, 129, 400};
    int64_t trials = check_heavy(10);
    uint64_t seed = 44;

    for (int64_t trial = 0; trial < trials; trial++) {
        for (int g = 0; g < 7; g++) {
            for (int n_suites = 1; n_suites <= 3; n_suites++) {
                dph_powerlaw_options options = log_grid;
                int64_t offsets[SUITES_MAX] = {0};
                double compute[POINTS_MAX];
                double loss[POINTS_MAX];
                double best = 0;
                double total = 0;
                double top = INFINITY;
                int64_t index = 0;
                dph_powerlaw laws[SUITES_MAX];

                options.n_grid = sizes[g];
                options.weigh_suites = (int)(trial % 2);
                for (int s = 0; s < n_suites; s++) {
                    int64_t n = 4 + check_below(&seed, 6);

                    draw_powerlaw(compute + offsets[s], loss + offsets[s], n, 1.2, 1.5,
                                  0.1 + 0.1 * s, 0.01, &seed);
                    offsets[s + 1] = offsets[s] + n;
                }
                for (int64_t i = 0; i < offsets[n_suites]; i++) {
                    top = fmin(top, 0.95 * loss[i]);
                }
                index = naive_grid(compute, loss, offsets, n_suites, sizes[g], options.weigh_suites,
                                   &best);
                fit_powerlaws(compute, loss, offsets, n_suites, NAN, &options, laws);
                for (int s = 0; s < n_suites; s++) {
                    double n = options.weigh_suites ? 1 : (double)laws[s].n;

                    CHECK_INT(laws[s].status, index == 0 ? DPH_W_FLOOR_AT_ZERO : DPH_OK);
                    CHECK_INT(laws[s].grid_index, index);
                    CHECK_NEAR(laws[s].L_inf,
                               sizes[g] == 1 ? 0 : top * (double)index / (double)(sizes[g] - 1),
                               4e-16);
                    total += laws[s].score * n;
                }
                CHECK_NEAR(total, best, 1e-9);
            }
        }
    }
}

/* The grid scored in loss space: the winner's score is the pinned fit's, and no other floor beats
 * it. */
static void
test_loss_grid(void)
{
    uint64_t seed = 45;

    for (int trial = 0; trial < 4; trial++) {
        dph_powerlaw_options options = grid;
        double compute[8];
        double loss[8];
        double lowest = INFINITY;
        double y_min = INFINITY;
        int64_t index = -1;
        dph_powerlaw law;

        options.n_grid = 65 + trial;
        draw_powerlaw(compute, loss, 8, 1.2, 1.5, 0.2, 0.01, &seed);
        for (int i = 0; i < 8; i++) {
            y_min = fmin(y_min, loss[i]);
        }
        for (int64_t k = 0; k < options.n_grid; k++) {
            double L = 0.95 * y_min * (double)k / (double)(options.n_grid - 1);
            double rss = fit_powerlaw(compute, loss, 8, L, &profile).rss;

            if (rss < lowest) {
                lowest = rss;
                index = k;
            }
        }
        law = fit_powerlaw(compute, loss, 8, NAN, &options);
        CHECK_INT(law.status, index == 0 ? DPH_W_FLOOR_AT_ZERO : DPH_OK);
        CHECK_INT(law.grid_index, index);
        CHECK_NEAR(law.rss, lowest, 1e-10);
        CHECK_NEAR(law.score * 8, law.rss, 1e-10);
        CHECK(law.rss >= fit_powerlaw(compute, loss, 8, NAN, &profile).rss);
    }
}

static void
test_failures(void)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY, 0, -1};
    static const dph_powerlaw_options *const options[] = {&profile, &log_profile, &grid, &log_grid};
    const double compute[] = {1e18, 1e19, 1e20, 1e21, 1e22};
    const double loss[] = {3, 2.6, 2.4, 2.3, 2.25};
    const double rising[] = {2.25, 2.3, 2.4, 2.6, 3};
    const double one[] = {1e18, 1e18, 1e18, 1e18, 1e18};
    const double two[] = {1e18, 1e19, 1e18, 1e19, 1e19};
    const double flat[] = {2, 2, 2, 2, 2};

    for (int o = 0; o < 4; o++) {
        const dph_powerlaw_options *opt = options[o];
        int is_grid = opt->search == DPH_SEARCH_GRID;

        for (int pinned = 0; pinned < 2; pinned++) {
            double floor = pinned ? 1 : NAN;
            int32_t least = pinned || is_grid ? 2 : 3;

            for (int n = 0; n < least; n++) {
                check_no_powerlaw(fit_powerlaw(compute, loss, n, floor, opt), DPH_E_TOO_FEW_POINTS);
            }
            CHECK_INT(fit_powerlaw(compute, loss, least, floor, opt).status & DPH_W_SATURATED,
                      DPH_W_SATURATED);
            if (least == 3) {
                check_no_powerlaw(fit_powerlaw(two, loss, 5, floor, opt), DPH_E_TOO_FEW_POINTS);
            }
            check_no_powerlaw(fit_powerlaw(one, loss, 5, floor, opt), DPH_E_EQUAL_X);
            check_no_powerlaw(fit_powerlaw(one, loss, 2, floor, opt), DPH_E_EQUAL_X);
            check_no_powerlaw(fit_powerlaw(compute, flat, 5, floor, opt), DPH_E_CONSTANT_LOSS);
            check_no_powerlaw(fit_powerlaw(compute, rising, 5, floor, opt), DPH_E_NOT_DECREASING);
            for (int b = 0; b < 5; b++) {
                for (int at = 0; at < 5; at++) {
                    double column[5];

                    memcpy(column, compute, sizeof column);
                    column[at] = bad[b];
                    check_no_powerlaw(fit_powerlaw(column, loss, 5, floor, opt), DPH_E_BAD_VALUE);
                    memcpy(column, loss, sizeof column);
                    column[at] = bad[b];
                    check_no_powerlaw(fit_powerlaw(compute, column, 5, floor, opt),
                                      pinned && b >= 3 ? DPH_E_FLOOR_TOO_HIGH : DPH_E_BAD_VALUE);
                }
            }
        }
        check_no_powerlaw(fit_powerlaw(compute, loss, 5, 2.25, opt), DPH_E_FLOOR_TOO_HIGH);
        check_no_powerlaw(fit_powerlaw(compute, loss, 5, 9, opt), DPH_E_FLOOR_TOO_HIGH);
        check_no_powerlaw(fit_powerlaw(compute, loss, 5, INFINITY, opt), DPH_E_BAD_VALUE);
        check_no_powerlaw(fit_powerlaw(compute, loss, 5, -INFINITY, opt), DPH_E_BAD_VALUE);
        CHECK_INT(fit_powerlaw(compute, loss, 5, 2.2, opt).status, DPH_OK);
    }
    /* Losses of both signs are fine above a floor that lies below them. */
    CHECK_INT(fit_powerlaw(compute, (double[]){2, 1, 0, -0.5, -0.7}, 5, -1, &profile).status,
              DPH_OK);
}

/* Each warning with exactly the bits that belong to it. */
static void
test_warnings(void)
{
    const double compute[] = {1e18, 1e19, 1e20, 1e21, 1e22};
    const double convex[] = {3, 2.9, 2.75, 2.5, 2}; /* falls ever faster */
    const double elbow[] = {2, 1.1, 1, 1.06, 1.06}; /* levels out above its lowest point */
    const double step[] = {2, 1, 1, 1, 1};
    dph_powerlaw law = fit_powerlaw(compute, convex, 5, NAN, &profile);

    CHECK_INT(law.status, DPH_W_FLOOR_AT_ZERO);
    CHECK(law.L_inf == 0 && law.alpha > 0);
    law = fit_powerlaw(compute, convex, 5, NAN, &log_profile);
    CHECK_INT(law.status, DPH_W_FLOOR_AT_ZERO);
    CHECK(law.L_inf == 0);
    law = fit_powerlaw(compute, convex, 5, NAN, &log_grid);
    CHECK_INT(law.status, DPH_W_FLOOR_AT_ZERO);
    CHECK(law.L_inf == 0 && law.grid_index == 0);
    law = fit_powerlaw(compute, convex, 5, NAN, &grid);
    CHECK_INT(law.status, DPH_W_FLOOR_AT_ZERO);

    law = fit_powerlaw(compute, elbow, 5, NAN, &profile);
    CHECK_INT(law.status, DPH_W_FLOOR_AT_MIN);
    CHECK(law.L_inf < 1 && law.L_inf >= nextafter(1, 0));

    law = fit_powerlaw(compute, step, 5, NAN, &profile);
    CHECK_INT(law.status, DPH_W_FLOOR_AT_MIN | DPH_W_ALPHA_AT_BOUND);
    law = fit_powerlaw(compute, (double[]){1, 1e-300, 1e-300}, 3, 0, &profile);
    CHECK_INT(law.status, DPH_W_ALPHA_AT_BOUND);
    CHECK_NEAR(law.alpha, 500 / log(100), 1e-12);

    law = fit_powerlaw(compute, (double[]){3, 2.5, 2.25}, 3, NAN, &profile);
    CHECK_INT(law.status, DPH_W_SATURATED);
    CHECK_NEAR(law.L_inf, 2, 1e-8);
    CHECK_NEAR(law.alpha, log10(2), 1e-8);
    CHECK_INT(fit_powerlaw(compute, (double[]){3, 2.5, 2.25, 2.1}, 4, NAN, &profile).status,
              DPH_OK);
    CHECK_INT(fit_powerlaw(compute, (double[]){3, 2.5}, 2, NAN, &log_grid).status,
              DPH_W_SATURATED | DPH_W_FLOOR_AT_ZERO);
}

/* Points that drop to a level and scatter about it: ever larger alphas fit alike, to rounding. */
static void
test_plateau(void)
{
    const double compute[] = {2.0694448008532733e+18, 7.4392067780396186e+18,
                              4.2058586549349724e+18, 2.3048359750117458e+18};
    const double loss[] = {3.3148080248966929, 2.8796327657287457, 3.0968871692408597,
                           2.7486700747229174};
    const double later[] = {2.3314232788149076e+19, 4.271690702318397e+20, 2.8214891608830411e+19,
                            1.9664420441007964e+19};
    const double drop[] = {2.4342674578006358, 2.6223325627057381, 2.6401925698158704,
                           3.4925383833424428};

    CHECK_INT(fit_powerlaw(compute, loss, 4, NAN, &profile).status,
              DPH_W_FLOOR_AT_MIN | DPH_W_ALPHA_AT_BOUND);
    CHECK_INT(fit_powerlaw(later, drop, 4, NAN, &profile).status,
              DPH_W_FLOOR_AT_MIN | DPH_W_ALPHA_AT_BOUND);
}

/* A profile is a minimum: no pinned floor fits better. */
static void
test_profile_is_least(void)
{
    uint64_t seed = 46;

    for (int trial = 0; trial < 12; trial++) {
        double compute[8];
        double loss[8];
        double y_min = INFINITY;
        dph_powerlaw p;
        dph_powerlaw q;
        int beaten = 0;

        draw_powerlaw(compute, loss, 8, 1 + 0.1 * trial, 1, 0.15, 0.02, &seed);
        for (int i = 0; i < 8; i++) {
            y_min = fmin(y_min, loss[i]);
        }
        p = fit_powerlaw(compute, loss, 8, NAN, &profile);
        q = fit_powerlaw(compute, loss, 8, NAN, &log_profile);
        CHECK(p.status >= 0 && q.status >= 0);
        CHECK_NEAR(p.score, p.rss / 8, 1e-9);
        for (int k = 0; k < 60; k++) {
            double L = y_min * (1 - pow(10, -k / 10.0));
            dph_powerlaw at = fit_powerlaw(compute, loss, 8, L, &profile);
            dph_powerlaw log_at = fit_powerlaw(compute, loss, 8, L, &log_profile);

            beaten += at.status >= 0 && at.score < p.score * (1 - 1e-12);
            beaten += log_at.status >= 0 && log_at.score < q.score * (1 - 1e-12);
        }
        CHECK_INT(beaten, 0);
    }
}

static void
test_permutation(void)
{
    static const dph_powerlaw_options *const options[] = {&profile, &log_profile, &grid, &log_grid};
    uint64_t seed = 50;

    for (int trial = 0; trial < 10; trial++) {
        double compute[9];
        double loss[9];
        double c[9];
        double y[9];

        draw_powerlaw(compute, loss, 9, 1.5, 1, 0.2, 0.01, &seed);
        for (int i = 0; i < 9; i++) {
            int to = (4 * i + trial) % 9;
            c[to] = compute[i];
            y[to] = loss[i];
        }
        for (int o = 0; o < 4; o++) {
            dph_powerlaw p = fit_powerlaw(compute, loss, 9, NAN, options[o]);
            dph_powerlaw q = fit_powerlaw(c, y, 9, NAN, options[o]);

            CHECK_INT(q.status, p.status);
            CHECK_INT(q.grid_index, p.grid_index);
            CHECK_NEAR(q.L_inf, p.L_inf, 1e-10);
            CHECK_NEAR(q.alpha, p.alpha, 1e-10);
            CHECK_NEAR(q.rss, p.rss, 1e-10);
        }
    }
}

static void
test_large_suite(void)
{
    int64_t n = check_heavy(100000);
    double *compute = malloc((size_t)n * sizeof *compute);
    double *loss = malloc((size_t)n * sizeof *loss);
    uint64_t seed = 52;

    if (CHECK(compute != NULL && loss != NULL)) {
        dph_powerlaw_options few = log_grid;
        dph_powerlaw law;

        few.n_grid = 20;
        draw_powerlaw(compute, loss, n, 1.5, 1, 0.3, 0.002, &seed);
        law = fit_powerlaw(compute, loss, n, NAN, &profile);
        CHECK_INT(law.status, DPH_OK);
        CHECK_NEAR(law.L_inf, 1.5, 2e-2);
        CHECK_NEAR(law.alpha, 0.3, 5e-2);
        CHECK_NEAR(law.score, 4e-6, 5e-2);
        law = fit_powerlaw(compute, loss, n, NAN, &few);
        CHECK_INT(law.status, DPH_OK);
        CHECK(law.L_inf > 1.2 && law.L_inf < 1.6);
    }
    free(compute);
    free(loss);
}

static void
test_forward(void)
{
    double log_A = log(4);

    CHECK_NEAR(dph_powerlaw_loss(16, 1.5, log_A, 0.5), 2.5, 1e-15);
    CHECK_NEAR(dph_powerlaw_compute(2.5, 1.5, log_A, 0.5), 16, 1e-14);
    CHECK(isnan(dph_powerlaw_compute(1.5, 1.5, log_A, 0.5)));
    CHECK(isnan(dph_powerlaw_compute(1.4, 1.5, log_A, 0.5)));
    CHECK(isnan(dph_powerlaw_compute(NAN, 1.5, log_A, 0.5)));
    CHECK(isnan(dph_powerlaw_compute(2, NAN, log_A, 0.5)));
    CHECK(isnan(dph_powerlaw_loss(NAN, 1.5, log_A, 0.5)));
    CHECK(isnan(dph_powerlaw_loss(-1, 1.5, log_A, 0.5)));
    CHECK_NEAR(dph_powerlaw_loss(INFINITY, 1.5, log_A, 0.5), 1.5, 0);
    /* A itself overflows here, the law does not. */
    CHECK_NEAR(dph_powerlaw_loss(1e300, 0, 800, 1), exp(800 - 300 * log(10)), 1e-12);
}

void
test_powerlaw(void)
{
    test_exact();
    test_pinned_exact();
    test_units();
    test_grid_against_loop();
    test_loss_grid();
    test_failures();
    test_warnings();
    test_plateau();
    test_profile_is_least();
    test_permutation();
    test_large_suite();
    test_forward();
}

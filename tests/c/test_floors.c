/* Sets of suites that share a floor, and batches of sets, in powerlaw.c. */
#include <stdlib.h>

#include "base/parallel.h"
#include "check.h"
#include "fits.h"
#include "suites.h"

#define POINTS_MAX 64
#define SUITES_MAX 4

/* Two and three suites on one floor, no noise: all come back, whatever the weights. */
static void
test_shared_exact(void)
{
    static const double A[] = {1.2, 0.8, 2};
    static const double alpha[] = {0.1, 0.25, 0.4};
    uint64_t seed = 47;

    for (int n_suites = 2; n_suites <= 3; n_suites++) {
        for (int score = 0; score < 2; score++) {
            for (int weigh = 0; weigh < 2; weigh++) {
                dph_powerlaw_options options = {.score = score, .weigh_suites = weigh};
                int64_t offsets[SUITES_MAX] = {0};
                double compute[POINTS_MAX];
                double loss[POINTS_MAX];
                dph_powerlaw laws[SUITES_MAX];

                for (int s = 0; s < n_suites; s++) {
                    draw_powerlaw(compute + offsets[s], loss + offsets[s], 5 + 2 * s, 1.75, A[s],
                                  alpha[s], 0, &seed);
                    offsets[s + 1] = offsets[s] + 5 + 2 * s;
                }
                fit_powerlaws(compute, loss, offsets, n_suites, NAN, &options, laws);
                for (int s = 0; s < n_suites; s++) {
                    CHECK_INT(laws[s].status, DPH_OK);
                    CHECK_NEAR(laws[s].L_inf, 1.75, 1e-8);
                    CHECK(laws[s].L_inf == laws[0].L_inf);
                    CHECK_NEAR(laws[s].alpha, alpha[s], 1e-7);
                    CHECK_NEAR(laws[s].log_A, log(A[s]) + alpha[s] * log(1e18), 1e-7);
                }
            }
        }
    }
}

/* Noise: the shared floor is where the weighted sum of the pinned scores is least. */
static void
test_shared_is_least(void)
{
    uint64_t seed = 48;

    for (int score = 0; score < 2; score++) {
        for (int weigh = 0; weigh < 2; weigh++) {
            dph_powerlaw_options options = {.score = score, .weigh_suites = weigh};
            const int64_t offsets[] = {0, 5, 18};
            double compute[18];
            double loss[18];
            double total[200];
            double got = 0;
            double y_min = INFINITY;
            int beaten = 0;
            dph_powerlaw laws[2];
            dph_powerlaw pinned[2];

            draw_powerlaw(compute, loss, 5, 1.5, 1, 0.2, 0.002, &seed);
            draw_powerlaw(compute + 5, loss + 5, 13, 1.6, 1.2, 0.3, 0.002, &seed);
            for (int i = 0; i < 18; i++) {
                y_min = fmin(y_min, loss[i]);
            }
            fit_powerlaws(compute, loss, offsets, 2, NAN, &options, laws);
            CHECK_INT(laws[0].status, DPH_OK);
            CHECK_INT(laws[1].status, DPH_OK);
            got = weigh ? laws[0].score + laws[1].score : 5 * laws[0].score + 13 * laws[1].score;
            for (int k = 0; k < 200; k++) {
                fit_powerlaws(compute, loss, offsets, 2, y_min * k / 200, &options, pinned);
                total[k] = weigh ? pinned[0].score + pinned[1].score
                                 : 5 * pinned[0].score + 13 * pinned[1].score;
                beaten += total[k] < got * (1 - 1e-12);
            }
            CHECK_INT(beaten, 0);
            /* and it is the floor itself that was found: pinning it gives the same laws */
            fit_powerlaws(compute, loss, offsets, 2, laws[0].L_inf, &options, pinned);
            for (int s = 0; s < 2; s++) {
                CHECK_NEAR(pinned[s].alpha, laws[s].alpha, 1e-12);
                CHECK_NEAR(pinned[s].score, laws[s].score, 1e-12);
            }
        }
    }
}

/* A suite that cannot take part keeps its own code and leaves the others as they were without it.
 */
static void
test_failing_member(void)
{
    static const double broken[][4] = {
        {3, NAN, 2, 1.9}, {2, 2, 2, 2}, {2, 2.1, 2.2, 2.3}, {3, -1, 2, 1.9}};
    static const int32_t codes[] = {DPH_E_BAD_VALUE, DPH_E_CONSTANT_LOSS, DPH_E_NOT_DECREASING,
                                    DPH_E_BAD_VALUE};
    static const dph_powerlaw_options *const options[] = {&profile, &log_profile, &grid, &log_grid};
    const int64_t pair[] = {0, 7, 15};
    double compute[19];
    double loss[19];
    uint64_t seed = 49;

    draw_powerlaw(compute, loss, 7, 1.5, 1, 0.2, 0.001, &seed);
    draw_powerlaw(compute + 7, loss + 7, 8, 1.5, 1.2, 0.3, 0.001, &seed);
    for (int o = 0; o < 4; o++) {
        dph_powerlaw good[2];

        fit_powerlaws(compute, loss, pair, 2, NAN, options[o], good);
        CHECK_INT(good[0].status, DPH_OK);
        CHECK_INT(good[1].status, DPH_OK);
        for (int b = 0; b < 4; b++) {
            for (int at = 0; at < 3; at++) { /* the bad one first, between, last; then empty too */
                int64_t offsets[] = {0, 0, 0, 0, 0};
                double c[POINTS_MAX];
                double y[POINTS_MAX];
                int64_t n = 0;
                int next = 0;
                dph_powerlaw laws[4];

                for (int s = 0; s < 3; s++) {
                    int bad = s == at;
                    int64_t from = bad ? 0 : pair[next];
                    int64_t size = bad ? 4 : pair[next + 1] - pair[next];

                    memcpy(c + n, bad ? compute : compute + from, (size_t)size * sizeof *c);
                    memcpy(y + n, bad ? broken[b] : loss + from, (size_t)size * sizeof *y);
                    n += size;
                    next += !bad;
                    offsets[s + 1] = n;
                }
                offsets[4] = n;
                fit_powerlaws(c, y, offsets, 4, NAN, options[o], laws);
                check_no_powerlaw(laws[3], DPH_E_TOO_FEW_POINTS);
                check_no_powerlaw(laws[at], codes[b]);
                if (options[o] == &log_grid && b == 2) {
                    /* This one asks every suite to fall at a floor: one that rises leaves none. */
                    check_no_powerlaw(laws[at == 0 ? 1 : 0], DPH_E_NOT_DECREASING);
                    continue;
                }
                CHECK_SAME(&laws[at == 0 ? 1 : 0], &good[0], sizeof good[0]);
                CHECK_SAME(&laws[at == 2 ? 1 : 2], &good[1], sizeof good[1]);
            }
        }
    }
}

typedef struct {
    dph_powerlaw_batch batch;
    dph_powerlaw_options options;
    dph_powerlaw *out;
    double *scratch[8];
    dph_minimiser *minimisers[8];
} job;

static int
fit_sets(void *ctx, int64_t begin, int64_t end, int worker)
{
    job *j = ctx;

    dph_powerlaw_fit(&j->batch, begin, end, &j->options, j->scratch[worker], j->minimisers[worker],
                     j->out);
    return DPH_OK;
}

/* Ragged sets of ragged suites, bad and empty ones among them: threads, batch and one set a call
 * give the same bits. */
static void
test_batch(void)
{
    enum { N_SETS = 24, N_SUITES = 3 * N_SETS, N_MAX = N_SUITES * 9 };
    static const dph_powerlaw_options *const options[] = {&profile, &log_profile, &grid, &log_grid};
    static double compute[N_MAX];
    static double loss[N_MAX];
    static double floors[N_SETS];
    static int64_t offsets[N_SUITES + 1];
    static int64_t sets[N_SETS + 1];
    static dph_powerlaw single[N_SUITES];
    static dph_powerlaw out[N_SUITES];
    job j = {.batch = {compute, loss, offsets, sets, floors}, .out = out};
    uint64_t seed = 51;
    int64_t suite = 0;

    for (int t = 0; t < N_SETS; t++) {
        int64_t size = t % 8 == 7 ? 0 : check_below(&seed, 4); /* 0 to 3 suites */

        for (int64_t s = suite; s < suite + size; s++) {
            int64_t n =
                check_below(&seed, 6) == 0 ? check_below(&seed, 4) : 5 + check_below(&seed, 5);

            draw_powerlaw(compute + offsets[s], loss + offsets[s], n, 1.5, 1, 0.2, 0.01, &seed);
            if (check_below(&seed, 8) == 0 && n > 0) {
                loss[offsets[s]] = NAN;
            }
            offsets[s + 1] = offsets[s] + n;
        }
        suite += size;
        sets[t + 1] = suite;
        floors[t] = t % 4 == 1 ? 0.5 : NAN;
    }
    for (int i = 0; i < 8; i++) {
        j.scratch[i] = malloc(dph_powerlaw_scratch(3 * 9, 3, 9, &log_grid) * sizeof(double));
        j.minimisers[i] = dph_minimiser_new();
        CHECK(j.scratch[i] != NULL && j.minimisers[i] != NULL);
    }
    for (int o = 0; o < 4; o++) {
        size_t bytes = (size_t)suite * sizeof *out;

        j.options = *options[o];
        j.options.n_grid = 20;
        for (int t = 0; t < N_SETS; t++) {
            int64_t local[4];

            for (int64_t s = sets[t]; s <= sets[t + 1]; s++) {
                local[s - sets[t]] = offsets[s] - offsets[sets[t]];
            }
            fit_powerlaws(compute + offsets[sets[t]], loss + offsets[sets[t]], local,
                          sets[t + 1] - sets[t], floors[t], &j.options, single + sets[t]);
        }
        for (int threads = 1; threads <= 8; threads++) {
            dph_parallel opts = {.n_threads = threads, .chunk = 1 + threads / 4};

            memset(out, 0x55, sizeof out);
            CHECK_INT(dph_parallel_for(N_SETS, fit_sets, &j, &opts), DPH_OK);
            CHECK_SAME(out, single, bytes);
        }
        memset(out, 0x55, sizeof out);
        CHECK_INT(fit_sets(&j, 3, 5, 0), DPH_OK); /* writes the suites of sets 3 and 4, no others */
        CHECK_SAME(&out[sets[3]], &single[sets[3]], (size_t)(sets[5] - sets[3]) * sizeof *out);
        CHECK_INT(out[sets[3] - 1].status, 0x55555555);
        CHECK_INT(out[sets[5]].status, 0x55555555);
    }
    j.batch.floors = NULL; /* all free */
    j.options = profile;
    CHECK_INT(fit_sets(&j, 0, N_SETS, 0), DPH_OK);
    for (int64_t s = sets[1]; s < sets[2]; s++) {
        CHECK(out[s].status < 0 || out[s].L_inf != 0.5);
    }
    for (int i = 0; i < 8; i++) {
        free(j.scratch[i]);
        dph_minimiser_free(j.minimisers[i]);
    }
}

void
test_floors(void)
{
    test_shared_exact();
    test_shared_is_least();
    test_failing_member();
    test_batch();
}

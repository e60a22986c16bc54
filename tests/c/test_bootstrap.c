#include "laws/bootstrap.h"

#include <stdlib.h>

#include "base/parallel.h"
#include "check.h"
#include "fits.h"
#include "suites.h"

#define N 9
#define N_AT 2
#define N_BOOT 40

static const double at[N_AT] = {1e22, 1e24};

typedef struct {
    double compute[N];
    double loss[N];
    double residuals[N];
    int64_t indices[N_BOOT * N];
    double multipliers[N_BOOT * N];
} data;

static void
draw_data(data *d, uint64_t seed)
{
    draw_powerlaw(d->compute, d->loss, N, 1.8, 1, 0.2, 0.003, &seed);
    for (int i = 0; i < N; i++) {
        d->residuals[i] = 0.005 * check_normal(&seed);
    }
    for (int i = 0; i < N_BOOT * N; i++) {
        /* the first replicates come from one and two points */
        d->indices[i] = check_below(&seed, i / N < 2 ? 1 + i / N : N);
        d->multipliers[i] = check_uniform(&seed) < 0.5 ? -1 : 1;
    }
}

/* Scratch and table are exactly of the size asked for and filled with NaN. */
static double *
some_doubles(size_t n)
{
    double *p = malloc(n * sizeof *p + 1);

    if (CHECK(p != NULL)) {
        memset(p, 0xff, n * sizeof *p);
    }
    return p;
}

static void
run_suite(dph_bootstrap_suite *suite, const dph_bootstrap_task *task, int64_t begin, int64_t end,
          int with_table, const dph_bootstrap_out *out)
{
    size_t size = with_table ? dph_bootstrap_table(suite, task) : 0;
    double *table = some_doubles(size);
    double *scratch = NULL;

    if (size > 0) {
        dph_bootstrap_prepare(suite, task, table);
        suite->table = table;
    }
    scratch = some_doubles(dph_bootstrap_suite_scratch(suite, task));
    dph_bootstrap_suite_fit(suite, begin, end, task, scratch, fits_minimiser, out);
    suite->table = NULL;
    free(scratch);
    free(table);
}

/* A replicate is the fit of its points, bit for bit. */
static void
test_plain(void)
{
    static const dph_powerlaw_options *const options[] = {&profile, &log_profile, &grid, &log_grid};
    data d;

    draw_data(&d, 71);
    for (int o = 0; o < 4; o++) {
        for (int kind = 0; kind < 3; kind++) {
            for (int pinned = 0; pinned < 2; pinned++) {
                dph_bootstrap_task task = {
                    .at = at, .n_targets = N_AT, .floor = pinned ? 1.1 : NAN, .law = *options[o]};
                dph_bootstrap_suite suite = {.compute = d.compute,
                                             .loss = d.loss,
                                             .residuals = d.residuals,
                                             .n = N,
                                             .kind = kind,
                                             .indices = d.indices,
                                             .multipliers = d.multipliers};
                double forecasts[N_BOOT * N_AT];
                double laws[N_BOOT * 3];
                int32_t status[N_BOOT];
                dph_bootstrap_out out = {.forecasts = forecasts, .laws = laws, .status = status};

                task.law.n_grid = 30;
                run_suite(&suite, &task, 0, N_BOOT, 0, &out);
                for (int b = 0; b < N_BOOT; b++) {
                    double c[N];
                    double y[N];
                    dph_powerlaw law;

                    for (int i = 0; i < N; i++) {
                        int64_t from = d.indices[b * N + i];

                        c[i] = d.compute[kind == DPH_BOOTSTRAP_PAIRS ? from : i];
                        y[i] = kind == DPH_BOOTSTRAP_PAIRS ? d.loss[from]
                               : kind == DPH_BOOTSTRAP_RESIDUAL
                                   ? d.loss[i] + d.residuals[from]
                                   : d.loss[i] + d.residuals[i] * d.multipliers[b * N + i];
                    }
                    if (kind == DPH_BOOTSTRAP_PAIRS && b < 2) {
                        CHECK_INT(status[b], DPH_E_TOO_FEW_POINTS);
                        CHECK(isnan(forecasts[b * N_AT]) && isnan(laws[3 * b]));
                        continue;
                    }
                    law = fit_powerlaw(c, y, N, task.floor, &task.law);
                    CHECK_INT(status[b], law.status);
                    CHECK_SAME(&laws[3 * b], &law.L_inf, sizeof(double));
                    CHECK_SAME(&laws[3 * b + 1], &law.log_A, sizeof(double));
                    CHECK_SAME(&laws[3 * b + 2], &law.alpha, sizeof(double));
                    for (int t = 0; t < N_AT; t++) {
                        CHECK_NEAR(forecasts[b * N_AT + t],
                                   dph_powerlaw_loss(at[t], law.L_inf, law.log_A, law.alpha),
                                   1e-15);
                    }
                }
            }
        }
    }
}

/* The table finds the floors that the plain fit finds. */
static void
test_table(void)
{
    static const int64_t sizes[] = {1, 2, 19, 20, 21, 100, 399};
    data d;

    for (int g = 0; g < 7; g++) {
        dph_bootstrap_task task = {.at = at, .n_targets = N_AT, .floor = NAN, .law = log_grid};
        dph_bootstrap_suite suite = {.compute = d.compute,
                                     .loss = d.loss,
                                     .n = N,
                                     .kind = DPH_BOOTSTRAP_PAIRS,
                                     .indices = d.indices};
        double forecasts[2][N_BOOT * N_AT];
        double laws[2][N_BOOT * 3];
        int32_t status[2][N_BOOT];

        draw_data(&d, 72 + (uint64_t)g);
        task.law.n_grid = sizes[g];
        CHECK(dph_bootstrap_table(&suite, &task) > 0);
        for (int with = 0; with < 2; with++) {
            dph_bootstrap_out out = {
                .forecasts = forecasts[with], .laws = laws[with], .status = status[with]};

            run_suite(&suite, &task, 0, N_BOOT, with, &out);
        }
        for (int b = 0; b < N_BOOT; b++) {
            CHECK_INT(status[1][b], status[0][b]);
            if (status[0][b] >= 0) {
                CHECK_SAME(&laws[1][3 * b], &laws[0][3 * b], sizeof(double));
                CHECK_NEAR(laws[1][3 * b + 1], laws[0][3 * b + 1], 1e-11);
                CHECK_NEAR(laws[1][3 * b + 2], laws[0][3 * b + 2], 1e-11);
                CHECK_NEAR(forecasts[1][b * N_AT], forecasts[0][b * N_AT], 1e-11);
            }
        }
    }
}

static void
test_where_no_table_applies(void)
{
    data d;
    dph_bootstrap_task task = {.at = at, .n_targets = N_AT, .floor = NAN, .law = log_grid};
    dph_bootstrap_suite suite = {
        .compute = d.compute, .loss = d.loss, .n = N, .indices = d.indices};

    draw_data(&d, 80);
    CHECK(dph_bootstrap_table(&suite, &task) > 0);
    task.floor = 1;
    CHECK_INT(dph_bootstrap_table(&suite, &task), 0);
    task.floor = NAN;
    task.law.n_grid = 100000000;
    CHECK_INT(dph_bootstrap_table(&suite, &task), 0);
    task.law = log_profile;
    CHECK_INT(dph_bootstrap_table(&suite, &task), 0);
    task.law = grid;
    CHECK_INT(dph_bootstrap_table(&suite, &task), 0);
    task.law = log_grid;
    suite.kind = DPH_BOOTSTRAP_WILD;
    CHECK_INT(dph_bootstrap_table(&suite, &task), 0);
    suite.kind = DPH_BOOTSTRAP_PAIRS;
    suite.n = 2;
    CHECK_INT(dph_bootstrap_table(&suite, &task), 0);
    suite.n = N;
    d.loss[3] = NAN;
    CHECK_INT(dph_bootstrap_table(&suite, &task), 0);
    d.loss[3] = 0;
    CHECK_INT(dph_bootstrap_table(&suite, &task), 0);
    d.loss[3] = 3;
    d.compute[0] = -1;
    CHECK_INT(dph_bootstrap_table(&suite, &task), 0);
}

/* Constant and rising losses, with the table as without. */
static void
test_failures(void)
{
    static const int64_t all[4] = {0, 1, 2, 3};
    const double compute[4] = {1e18, 1e19, 1e20, 1e21};
    const double flat[4] = {2, 2, 2, 2};
    const double rising[4] = {2, 2.1, 2.2, 2.4};
    const double steep[4] = {3, 2.9, 2.5, 1.5};
    dph_bootstrap_task task = {.at = at, .n_targets = N_AT, .floor = NAN, .law = log_grid};

    for (int with = 0; with < 2; with++) {
        const double *losses[] = {flat, rising, steep};
        const int32_t wanted[] = {DPH_E_CONSTANT_LOSS, DPH_E_NOT_DECREASING, DPH_W_FLOOR_AT_ZERO};

        for (int k = 0; k < 3; k++) {
            dph_bootstrap_suite suite = {
                .compute = compute, .loss = losses[k], .n = 4, .indices = all};
            double forecasts[N_AT];
            int32_t status = 0;
            dph_bootstrap_out out = {.forecasts = forecasts, .status = &status};

            run_suite(&suite, &task, 0, 1, with, &out);
            CHECK_INT(status, wanted[k]);
            CHECK(isnan(forecasts[0]) == (wanted[k] < 0));
        }
    }
}

/* Ranges write their own replicates only, and the same bits as one range over all. */
static void
test_ranges(void)
{
    data d;

    draw_data(&d, 90);
    for (int with = 0; with < 2; with++) {
        dph_bootstrap_task task = {.at = at, .n_targets = N_AT, .floor = NAN, .law = log_grid};
        dph_bootstrap_suite suite = {
            .compute = d.compute, .loss = d.loss, .n = N, .indices = d.indices};
        double whole[N_BOOT * N_AT];
        double parts[N_BOOT * N_AT];
        int32_t status[N_BOOT];
        dph_bootstrap_out out = {.forecasts = whole, .status = status};

        run_suite(&suite, &task, 0, N_BOOT, with, &out);
        memset(parts, 0x55, sizeof parts);
        out.forecasts = parts;
        run_suite(&suite, &task, 7, N_BOOT, with, &out);
        CHECK(parts[0] != whole[0] && !isnan(parts[0]));
        run_suite(&suite, &task, 0, 1, with, &out);
        run_suite(&suite, &task, 1, 7, with, &out);
        CHECK_SAME(parts, whole, sizeof whole);
    }
}

#define RUNS 24

static void
test_ladder(void)
{
    static const int64_t offsets[] = {0, 6, 6, 13, 17, 24};
    const double compute[] = {1e18, 3e18, 1e19, 3e19, 1e20};
    uint64_t seed = 91;
    double tokens[RUNS];
    double loss[RUNS];
    double residuals[RUNS];
    int64_t indices[N_BOOT * RUNS];

    for (int g = 0; g < 5; g++) {
        for (int64_t i = offsets[g]; i < offsets[g + 1]; i++) {
            double x = (double)(i - offsets[g]) / 3 - 1 + 0.05 * check_normal(&seed);

            tokens[i] = pow(10, 9 + x);
            loss[i] = 2 + pow(0.5, g) + 0.2 * x * x + 0.001 * check_normal(&seed);
            residuals[i] = 0.002 * check_normal(&seed);
            for (int b = 0; b < N_BOOT; b++) {
                indices[b * RUNS + i] = check_below(&seed, offsets[g + 1] - offsets[g]);
            }
        }
    }
    for (int runs = 0; runs < 2; runs++) {
        dph_bootstrap_task task = {.at = at, .n_targets = N_AT, .floor = NAN, .law = profile};
        dph_bootstrap_ladder ladder = {.tokens = tokens,
                                       .loss = loss,
                                       .residuals = runs ? NULL : residuals,
                                       .offsets = offsets,
                                       .n_buckets = 5,
                                       .compute = compute,
                                       .indices = indices,
                                       .unusable = DPH_W_CONCAVE | DPH_W_CLIPPED |
                                                   DPH_W_UNBRACKETED | DPH_W_SATURATED};
        double *scratch = some_doubles(dph_bootstrap_ladder_scratch(&ladder, &task));
        double forecasts[N_BOOT * N_AT];
        double laws[N_BOOT * 3];
        int32_t status[N_BOOT];
        dph_bootstrap_out out = {.forecasts = forecasts, .laws = laws, .status = status};

        dph_bootstrap_ladder_fit(&ladder, 0, N_BOOT, &task, scratch, fits_minimiser, &out);
        free(scratch);
        for (int b = 0; b < N_BOOT; b++) {
            double c[5];
            double y[5];
            int n = 0;
            dph_powerlaw law;

            for (int g = 0; g < 5; g++) {
                double x_b[RUNS];
                double y_b[RUNS];
                dph_parabola fit;

                for (int64_t i = offsets[g]; i < offsets[g + 1]; i++) {
                    int64_t from = offsets[g] + indices[b * RUNS + i];

                    x_b[i - offsets[g]] = tokens[runs ? from : i];
                    y_b[i - offsets[g]] = runs ? loss[from] : loss[i] + residuals[from];
                }
                fit = fit_parabola(x_b, y_b, NULL, offsets[g + 1] - offsets[g], 0);
                if (fit.status >= 0 && (fit.status & ladder.unusable) == 0) {
                    c[n] = compute[g];
                    y[n++] = fit.loss_star;
                }
            }
            if (n < 3) {
                CHECK_INT(status[b], DPH_E_TOO_FEW_POINTS);
                CHECK(isnan(forecasts[b * N_AT]));
                continue;
            }
            law = fit_powerlaw(c, y, n, NAN, &profile);
            CHECK_INT(status[b], law.status);
            CHECK_SAME(&laws[3 * b], &law.L_inf, sizeof(double));
            CHECK_SAME(&laws[3 * b + 2], &law.alpha, sizeof(double));
        }
    }
}

static void
test_check(void)
{
    static const int64_t offsets[] = {0, 2, 2, 5};
    int64_t indices[] = {0, 1, 0, 2, 1, 1, 1, 2, 2, 2};

    CHECK_INT(dph_bootstrap_check(indices, 2, offsets, 3), -1);
    indices[6] = 2;
    CHECK_INT(dph_bootstrap_check(indices, 2, offsets, 3), 6);
    indices[6] = 0;
    indices[9] = 3;
    CHECK_INT(dph_bootstrap_check(indices, 2, offsets, 3), 9);
    indices[2] = -1;
    CHECK_INT(dph_bootstrap_check(indices, 2, offsets, 3), 2);
    CHECK_INT(dph_bootstrap_check(indices, 0, offsets, 3), -1);
}

static void
test_stop(void)
{
    data d;
    atomic_int stop = 1;
    dph_bootstrap_task task = {.at = at, .n_targets = N_AT, .floor = NAN, .law = profile};
    dph_bootstrap_suite suite = {
        .compute = d.compute, .loss = d.loss, .n = N, .indices = d.indices};
    double forecasts[N_BOOT * N_AT];
    double before[N_BOOT * N_AT];
    int32_t status[N_BOOT];
    dph_bootstrap_out out = {.forecasts = forecasts, .status = status};

    draw_data(&d, 95);
    task.law.stopped = &stop;
    memset(forecasts, 0x55, sizeof forecasts);
    memcpy(before, forecasts, sizeof before);
    run_suite(&suite, &task, 0, N_BOOT, 0, &out);
    CHECK_SAME(forecasts, before, sizeof before);
}

void
test_bootstrap(void)
{
    test_plain();
    test_table();
    test_where_no_table_applies();
    test_failures();
    test_ranges();
    test_ladder();
    test_check();
    test_stop();
}

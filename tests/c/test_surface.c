#include <stdlib.h>

#include "check.h"
#include "laws/surface.h"
#include "suites.h"

#define POINTS 40

static const dph_surface_options huber = {
    .objective = DPH_OBJECTIVE_HUBER, .space = DPH_SPACE_LOG, .delta = 1e-3, .nonnegative = 1};

/* One group; scratch of exactly the size that is asked for, so that sanitizers see its end. */
static dph_surface
fit(const double *N, const double *D, const double *y, const double *weights, const double *fixed,
    int64_t n, const dph_surface_options *options)
{
    int64_t offsets[2] = {0, n};
    dph_surface_batch batch = {.params = N,
                               .tokens = D,
                               .loss = y,
                               .weights = weights,
                               .fixed = fixed,
                               .offsets = offsets};
    dph_surface out = {0};
    double *scratch = malloc(dph_surface_scratch(n) * sizeof *scratch + 1);

    if (CHECK(scratch != NULL)) {
        dph_surface_fit(&batch, 0, 1, options, scratch, &out);
    }
    free(scratch);
    return out;
}

static void
draw(double *N, double *D, double *y, int64_t n, const double *law, double noise, uint64_t *seed)
{
    for (int64_t i = 0; i < n; i++) {
        N[i] = pow(10, 7.5 + 2.5 * check_uniform(seed));
        D[i] = pow(10, 9 + 2.5 * check_uniform(seed));
        y[i] = law[0] + law[1] * pow(N[i], -law[3]) + law[2] * pow(D[i], -law[4]);
        y[i] *= exp(noise * check_normal(seed));
    }
}

static void
test_exact(void)
{
    uint64_t seed = 71;

    for (int trial = 0; trial < 40; trial++) {
        dph_surface_options options = huber;
        double law[5] = {1 + check_uniform(&seed), 300, 700, 0.25 + 0.3 * check_uniform(&seed),
                         0.25 + 0.2 * check_uniform(&seed)};
        double N[POINTS];
        double D[POINTS];
        double y[POINTS];
        int64_t n = 6 + check_below(&seed, POINTS - 5);
        dph_surface s;

        options.objective = trial % 3;
        options.space = trial % 2;
        draw(N, D, y, n, law, 0, &seed);
        s = fit(N, D, y, NULL, NULL, n, &options);
        CHECK_INT(s.status, DPH_OK);
        CHECK_NEAR(s.E, law[0], 1e-8);
        CHECK_NEAR(s.A, law[1], 1e-7);
        CHECK_NEAR(s.B, law[2], 1e-7);
        CHECK_NEAR(s.alpha, law[3], 1e-8);
        CHECK_NEAR(s.beta, law[4], 1e-8);
        CHECK_NEAR(s.log_A, log(law[1]), 1e-8);
        CHECK_NEAR(s.N_term, law[1] * pow(s.N_centre, -law[3]), 1e-8);
        CHECK_ABS(s.rss, 0, 1e-22);
        CHECK_INT(s.n, n);
    }
}

/* At the minimum of squares the covariance is the one of a linearised fit, within its inflation. */
static void
test_errors(void)
{
    const double law[5] = {1.8, 400, 900, 0.34, 0.3};
    dph_surface_options options = huber;
    double N[POINTS];
    double D[POINTS];
    double y[POINTS];
    uint64_t seed = 72;
    int inside = 0;
    int trials = (int)check_heavy(300);

    options.objective = DPH_OBJECTIVE_SQUARED;
    for (int trial = 0; trial < trials; trial++) {
        dph_surface s;

        draw(N, D, y, POINTS, law, 0.003, &seed);
        s = fit(N, D, y, NULL, NULL, POINTS, &options);
        CHECK(s.status >= 0);
        CHECK_NEAR(s.se[0] * s.se[0], s.covariance[0], 1e-12);
        inside += fabs(s.E - law[0]) < 2 * s.se[0];
    }
    CHECK(inside > 0.85 * trials); /* 95% but for the small sample */
}

static void
test_failures(void)
{
    const double law[5] = {1.8, 400, 900, 0.34, 0.3};
    double N[POINTS];
    double D[POINTS];
    double y[POINTS];
    double x[POINTS];
    double fixed[5] = {NAN, NAN, NAN, 0.5, 0.5};
    uint64_t seed = 73;
    dph_surface s;

    draw(N, D, y, POINTS, law, 0.003, &seed);
    CHECK_INT(fit(N, D, y, NULL, NULL, 0, &huber).status, DPH_E_TOO_FEW_POINTS);
    CHECK_INT(fit(N, D, y, NULL, NULL, 4, &huber).status, DPH_E_TOO_FEW_POINTS);
    CHECK_INT(fit(N, D, y, NULL, NULL, 5, &huber).status & DPH_W_SURFACE_SATURATED,
              DPH_W_SURFACE_SATURATED);
    for (int i = 0; i < POINTS; i++) {
        x[i] = 1e9;
    }
    CHECK_INT(fit(x, D, y, NULL, NULL, POINTS, &huber).status, DPH_E_ONE_MODEL_SIZE);
    CHECK_INT(fit(N, x, y, NULL, NULL, POINTS, &huber).status, DPH_E_ONE_TOKEN_COUNT);
    CHECK_INT(fit(N, D, x, NULL, NULL, POINTS, &huber).status, DPH_E_CONSTANT_LOSS);
    for (int i = 0; i < POINTS; i++) {
        x[i] = 1e20 / N[i];
    }
    s = fit(N, x, y, NULL, NULL, POINTS, &huber);
    CHECK_INT(s.status, DPH_E_ONE_BUDGET);
    CHECK(isnan(s.E) && isnan(s.A) && isnan(s.se[0]) && isnan(s.covariance[24]));
    for (int i = 0; i < POINTS; i++) {
        y[i] = 2 + 400 * pow(N[i], -0.5) + 900 * pow(x[i], -0.5);
    }
    s = fit(N, x, y, NULL, fixed, POINTS, &huber);
    CHECK(s.status > 0 && (s.status & DPH_W_SURFACE_ON_A_LINE) == DPH_W_SURFACE_ON_A_LINE);
    CHECK(s.alpha == 0.5 && s.beta == 0.5);
    draw(N, D, y, POINTS, law, 0.003, &seed);
    memcpy(x, y, sizeof x);
    x[3] = NAN;
    CHECK_INT(fit(N, D, x, NULL, NULL, POINTS, &huber).status, DPH_E_BAD_VALUE);
    x[3] = y[3];
    x[4] = -1;
    CHECK_INT(fit(N, D, y, x, NULL, POINTS, &huber).status, DPH_E_BAD_VALUE);
}

static void
test_stopped(void)
{
    const double law[5] = {1.8, 400, 900, 0.34, 0.3};
    atomic_int stop;
    dph_surface_options options = huber;
    double N[POINTS];
    double D[POINTS];
    double y[POINTS];
    uint64_t seed = 74;

    atomic_init(&stop, 1);
    options.stopped = &stop;
    draw(N, D, y, POINTS, law, 0.003, &seed);
    CHECK_INT(fit(N, D, y, NULL, NULL, POINTS, &options).n, 0); /* nothing was written */
}

void
test_surface(void)
{
    test_exact();
    test_errors();
    test_failures();
    test_stopped();
}

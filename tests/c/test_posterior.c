#include "laws/posterior.h"

#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "suites.h"

enum { N_DRAWS = 400, N = 7 };

static const double powers[] = {0, 1, 2};
static const double weights[] = {1, 0.5, 0.25};
static const dph_posterior_options options = {.alpha_lo = 0.01,
                                              .alpha_hi = 1.5,
                                              .powers = powers,
                                              .power_weights = weights,
                                              .n_powers = 3,
                                              .noise_dof = 3};

/* Compute over two decades and a law with noise of a given size. */
static void
draw_ladder(double *compute, double *loss, double noise, uint64_t *seed)
{
    for (int i = 0; i < N; i++) {
        compute[i] = 3e18 * pow(10, i / 3.0);
        loss[i] = 1.8 + exp(log(1600) - 0.16 * log(compute[i])) + noise * check_normal(seed);
    }
}

static void
draw_uniforms(double *u, uint64_t *seed)
{
    for (int i = 0; i < N_DRAWS * DPH_POSTERIOR_UNIFORMS; i++) {
        u[i] = fmin(fmax(check_uniform(seed), 1e-12), 1 - 1e-12);
    }
}

static void
fit_one(const double *compute, const double *loss, int64_t n, double noise, const double *u,
        dph_posterior_draw *draws, dph_posterior *out)
{
    const int64_t offsets[] = {0, n};
    dph_posterior_batch batch = {
        .compute = compute, .loss = loss, .noise = &noise, .offsets = offsets};
    double *scratch = malloc(dph_posterior_scratch(n) * sizeof(double));

    if (CHECK(scratch != NULL)) {
        dph_posterior_fit(&batch, 0, 1, &options, u, N_DRAWS, scratch, draws, out);
    }
    free(scratch);
}

/* Every draw is a law inside its bounds, and little noise leaves little choice. */
static void
test_draws(void)
{
    static const double noises[] = {1e-7, 1e-3, 0.05};
    static double u[N_DRAWS * DPH_POSTERIOR_UNIFORMS];
    static dph_posterior_draw draws[N_DRAWS];
    uint64_t seed = 71;
    double before = 0;

    draw_uniforms(u, &seed);
    for (int k = 0; k < 3; k++) {
        double compute[N];
        double loss[N];
        double lowest = INFINITY;
        double mean = 0;
        double square = 0;
        dph_posterior out;

        draw_ladder(compute, loss, noises[k], &seed);
        for (int i = 0; i < N; i++) {
            lowest = fmin(lowest, loss[i]);
        }
        fit_one(compute, loss, N, noises[k], u, draws, &out);
        CHECK(out.status >= 0);
        CHECK_INT(out.n, N);
        CHECK_NEAR(out.dof, N - 1 + 3, 1e-15);
        CHECK_NEAR(out.compute_max, compute[N - 1], 0);
        for (int b = 0; b < N_DRAWS; b++) {
            CHECK(draws[b].L_inf >= 0 && draws[b].L_inf < lowest);
            CHECK(draws[b].alpha >= 0.01 && draws[b].alpha <= 1.5);
            CHECK(isfinite(draws[b].log_A) && draws[b].sigma > 0);
            CHECK(draws[b].power == 0 || draws[b].power == 1 || draws[b].power == 2);
            mean += draws[b].alpha / N_DRAWS;
            square += draws[b].alpha * draws[b].alpha / N_DRAWS;
        }
        CHECK(sqrt(fmax(square - mean * mean, 0)) > before);
        before = sqrt(fmax(square - mean * mean, 0));
        if (k == 0) {
            CHECK_NEAR(mean, 0.16, 1e-4);
        }
    }
}

/* Each failure has its code, NaN draws, and leaves its neighbours alone. */
static void
test_failures(void)
{
    static double u[N_DRAWS * DPH_POSTERIOR_UNIFORMS];
    static dph_posterior_draw draws[6 * N_DRAWS];
    static dph_posterior_draw alone[N_DRAWS];
    const int64_t offsets[] = {0, 2, 5, 8, 11, 14, 14 + N};
    const int32_t codes[] = {DPH_E_TOO_FEW_POINTS, DPH_E_EQUAL_X, DPH_E_NOT_DECREASING,
                             DPH_E_BAD_VALUE, DPH_E_BAD_VALUE};
    double compute[14 + N] = {1, 2, 5, 5, 5, 1, 2, 3, 1, 2, 3, 1, -2, 3};
    double loss[14 + N] = {3, 2, 3, 2, 1, 1, 2, 3, 3, NAN, 1, 3, 2, 1};
    dph_posterior out[6];
    dph_posterior good;
    dph_posterior_batch batch = {.compute = compute, .loss = loss, .offsets = offsets};
    double *scratch = malloc(dph_posterior_scratch(N) * sizeof(double));
    uint64_t seed = 72;

    draw_uniforms(u, &seed);
    draw_ladder(compute + 14, loss + 14, 1e-3, &seed);
    if (CHECK(scratch != NULL)) {
        dph_posterior_fit(&batch, 0, 6, &options, u, N_DRAWS, scratch, draws, out);
        for (int s = 0; s < 5; s++) {
            CHECK_INT(out[s].status, codes[s]);
            CHECK(isnan(draws[s * N_DRAWS].L_inf) && isnan(draws[(s + 1) * N_DRAWS - 1].alpha));
        }
        fit_one(compute + 14, loss + 14, N, 0, u, alone, &good);
        CHECK_INT(out[5].status, good.status);
        for (int b = 0; b < N_DRAWS; b++) {
            CHECK(draws[5 * N_DRAWS + b].alpha == alone[b].alpha);
        }
    }
    free(scratch);
}

void
test_posterior(void)
{
    test_draws();
    test_failures();
}

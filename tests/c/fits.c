#include "base/groups.h"
#include "fits.h"

#include <stdlib.h>

#include "check.h"

dph_minimiser *fits_minimiser = NULL;

/* Scratch is exactly of the size asked for and filled with NaN, so that nothing past it or stale in
 * it goes unseen. */
dph_parabola
fit_parabola(const double *tokens, const double *loss, const double *params, int64_t n, int joint)
{
    const int64_t offsets[] = {0, n};
    dph_parabola_batch batch = {
        .tokens = tokens, .loss = loss, .params = params, .offsets = offsets};
    dph_parabola_options options = {.joint = joint};
    size_t size = dph_parabola_scratch(n) * sizeof(double);
    double *scratch = malloc(size + (size == 0));
    dph_parabola out;

    memset(&out, 0x55, sizeof out);
    if (CHECK(scratch != NULL)) {
        memset(scratch, 0xff, size);
        dph_parabola_fit(&batch, 0, 1, &options, scratch, joint ? fits_minimiser : NULL, &out);
    }
    free(scratch);
    CHECK_INT(out.n, n);
    CHECK_INT(out.reserved, 0);
    return out;
}

dph_parabola
fit_parabola_x(const double *x, const double *loss, int n, int joint)
{
    double tokens[64];

    for (int i = 0; i < n; i++) {
        tokens[i] = pow(10, x[i]);
    }
    return fit_parabola(tokens, loss, NULL, n, joint);
}

void
check_no_parabola(dph_parabola p, int32_t status)
{
    const double values[] = {p.a,
                             p.b,
                             p.c,
                             p.x_vertex,
                             p.x_star,
                             p.tokens_star,
                             p.params_star,
                             p.loss_star,
                             p.a_under,
                             p.a_over,
                             p.rss,
                             p.se_x_star,
                             p.se_loss_star,
                             p.x_min,
                             p.x_max,
                             p.joint_x_star,
                             p.joint_loss_star,
                             p.joint_a_under,
                             p.joint_a_over,
                             p.joint_rss};

    CHECK_INT(p.status, status);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        CHECK(isnan(values[i]));
    }
}

void
fit_powerlaws(const double *compute, const double *loss, const int64_t *offsets, int64_t n_suites,
              double floor, const dph_powerlaw_options *options, dph_powerlaw *out)
{
    const int64_t sets[] = {0, n_suites};
    dph_powerlaw_batch batch = {
        .compute = compute, .loss = loss, .offsets = offsets, .sets = sets, .floors = &floor};
    int64_t largest = dph_groups_largest(offsets, n_suites);
    size_t size =
        dph_powerlaw_scratch(offsets[n_suites], n_suites, largest, options) * sizeof(double);
    double *scratch = malloc(size + (size == 0));

    memset(out, 0x55, (size_t)n_suites * sizeof *out);
    if (CHECK(scratch != NULL)) {
        memset(scratch, 0xff, size);
        dph_powerlaw_fit(&batch, 0, 1, options, scratch, fits_minimiser, out);
    }
    free(scratch);
    for (int64_t s = 0; s < n_suites; s++) {
        CHECK_INT(out[s].n, offsets[s + 1] - offsets[s]);
        CHECK_INT(out[s].reserved, 0);
    }
}

dph_powerlaw
fit_powerlaw(const double *compute, const double *loss, int64_t n, double floor,
             const dph_powerlaw_options *options)
{
    dph_powerlaw out;

    fit_powerlaws(compute, loss, (int64_t[]){0, n}, 1, floor, options, &out);
    return out;
}

void
check_no_powerlaw(dph_powerlaw law, int32_t status)
{
    CHECK_INT(law.status, status);
    CHECK(isnan(law.L_inf) && isnan(law.A) && isnan(law.alpha) && isnan(law.log_A));
    CHECK(isnan(law.rss) && isnan(law.score));
    CHECK_INT(law.grid_index, -1);
}

void
draw_powerlaw(double *compute, double *loss, int64_t n, double L, double A, double alpha,
              double noise, uint64_t *seed)
{
    for (int64_t i = 0; i < n; i++) {
        compute[i] = 1e18 * pow(10, 3 * ((double)i + 0.5 * check_uniform(seed)) / (double)n);
        loss[i] = L + A * exp(-alpha * log(compute[i] / 1e18)) + noise * check_normal(seed);
    }
}

#include "laws/curve.h"

#include <stdlib.h>

#include "check.h"
#include "suites.h"

#define MOST 200

static const double theta_0[] = {60, 5, 0.03, 0.6};
static const double theta_1[] = {0, 0, 0.5, 20};

static const int64_t one_group[] = {0, 1};

static dph_curve
fit_curve(const double *tau, const double *loss, int64_t n, int form, int kind)
{
    int64_t start = 0;
    dph_curve_batch batch = {
        .tau = tau, .loss = loss, .starts = &start, .ends = &n, .groups = one_group};
    dph_curve_options options = {
        .forms = {form}, .n_forms = 1, .losses = {kind}, .n_losses = 1, .delta = NAN};
    size_t size = dph_curve_scratch(n) * sizeof(double);
    double *scratch = malloc(size);
    dph_curve out = {0};

    if (CHECK(scratch != NULL)) {
        memset(scratch, 0xff, size);
        dph_curve_fit(&batch, 0, 1, &options, scratch, &out);
    }
    free(scratch);
    CHECK_INT(out.n, n);
    CHECK_INT(out.form, form);
    CHECK_INT(out.loss, kind);
    CHECK_INT(out.reserved, 0);
    return out;
}

static double
shape_of(int form, double tau)
{
    return dph_curveshape_at(form, theta_0[form], theta_1[form] > 0 ? theta_1[form] : 1, tau);
}

static void
draw(int form, double noise, int n, double *tau, double *loss, uint64_t *seed)
{
    for (int i = 0; i < n; i++) {
        tau[i] = 0.5 * (i + 1) / n;
        loss[i] = 2.5 + 1.25 * shape_of(form, tau[i]) + noise * check_normal(seed);
    }
}

static void
test_exact_and_noisy(void)
{
    uint64_t seed = 71;
    double tau[MOST];
    double loss[MOST];

    for (int form = 0; form < DPH_N_SHAPES; form++) {
        for (int kind = 0; kind < DPH_N_CURVE_LOSSES; kind++) {
            dph_curve fit;

            draw(form, 0, 50, tau, loss, &seed);
            fit = fit_curve(tau, loss, 50, form, kind);
            CHECK_INT(fit.status, DPH_OK);
            CHECK_ABS(fit.F, 2.5, 1e-7);
            CHECK_ABS(fit.A, 1.25, 1e-4);
            CHECK_NEAR(fit.theta_0, theta_0[form], 1e-4);
            CHECK(isnan(fit.theta_1) == (dph_curveshape_n_theta(form) == 1));
            draw(form, 0.003, MOST, tau, loss, &seed);
            fit = fit_curve(tau, loss, MOST, form, kind);
            CHECK(fit.status >= 0);
            CHECK_ABS(fit.F, 2.5, 0.1);
            CHECK_NEAR(fit.noise, 0.003, 0.3);
            CHECK(fit.objective < (kind == DPH_CURVE_MAE ? 0.003 : 1e-5));
        }
    }
}

/* Slopes against central differences, values against the shape at one point. */
static void
test_shapes(void)
{
    double tau[9];
    double base[9];
    double part[9];
    double s[9];
    double up[9];
    double down[9];
    double slope[2][9];

    for (int i = 0; i < 9; i++) {
        tau[i] = i / 8.0;
    }
    for (int form = 0; form < DPH_N_SHAPES; form++) {
        dph_curveshape shape;
        double at[2] = {log(theta_0[form]), log(theta_1[form] > 0 ? theta_1[form] : 1)};

        dph_curveshape_open(&shape, form, tau, 9, base, part);
        for (int j = 0; j < dph_curveshape_n_theta(form); j++) {
            double to[2] = {at[0], at[1]};

            to[j] = at[j] + 1e-5;
            dph_curveshape_values(&shape, to, up);
            to[j] = at[j] - 1e-5;
            dph_curveshape_values(&shape, to, down);
            dph_curveshape_values(&shape, at, s);
            dph_curveshape_slopes(&shape, at, s, slope[0], slope[1]);
            for (int i = 0; i < 9; i++) {
                CHECK_ABS(slope[j][i], (up[i] - down[i]) / 2e-5, 1e-8);
            }
        }
        for (int i = 0; i < 9; i++) {
            CHECK_ABS(s[i], shape_of(form, tau[i]), 1e-15);
        }
        CHECK(s[0] == 1);
        CHECK_ABS(s[8], 0, 1e-16);
    }
    CHECK(isnan(dph_curveshape_at(9, 1, 1, 0.5)));
    CHECK(isnan(dph_curve_loss(DPH_SHAPE_POWER, 0.5, 1, 1, 1, NAN)));
}

static void
test_failures(void)
{
    double tau[] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6};
    double loss[] = {4, 3.5, 3.2, 3.1, 3.05, 3.02};

    CHECK_INT(fit_curve(tau, loss, 0, DPH_SHAPE_LOG, 0).status, DPH_E_TOO_FEW_POINTS);
    CHECK_INT(fit_curve(tau, loss, 3, DPH_SHAPE_POWER, 0).status, DPH_E_TOO_FEW_POINTS);
    CHECK(fit_curve(tau, loss, 4, DPH_SHAPE_POWER, 0).status > 0);
    CHECK(fit_curve(tau, loss, 4, DPH_SHAPE_POWER, 0).status & DPH_W_CURVE_SATURATED & 0xffffff);
    loss[2] = NAN;
    CHECK_INT(fit_curve(tau, loss, 6, DPH_SHAPE_LOG, 1).status, DPH_E_BAD_VALUE);
    CHECK(isnan(fit_curve(tau, loss, 6, DPH_SHAPE_LOG, 1).F));
    loss[2] = 3.2;
    tau[2] = 0.7;
    CHECK_INT(fit_curve(tau, loss, 6, DPH_SHAPE_LOG, 1).status, DPH_E_PROGRESS);
}

static void
test_cancelled(void)
{
    atomic_int stopped = 1;
    int64_t start = 0;
    int64_t end = 20;
    uint64_t seed = 5;
    double tau[20];
    double loss[20];
    double *scratch = malloc(dph_curve_scratch(20) * sizeof(double));
    dph_curve_batch batch = {
        .tau = tau, .loss = loss, .starts = &start, .ends = &end, .groups = one_group};
    dph_curve_options options = {.forms = {0},
                                 .n_forms = 1,
                                 .losses = {DPH_CURVE_MAE, DPH_CURVE_HUBER},
                                 .n_losses = 2,
                                 .delta = NAN,
                                 .stopped = &stopped};
    dph_curve out[2];

    draw(0, 0.01, 20, tau, loss, &seed);
    if (CHECK(scratch != NULL)) {
        dph_curve_fit(&batch, 0, 1, &options, scratch, out);
        CHECK_INT(out[0].status, DPH_E_CANCELLED);
        CHECK_INT(out[1].status, DPH_E_CANCELLED);
        CHECK(isnan(out[1].F));
    }
    free(scratch);
}

void
test_curve(void)
{
    test_shapes();
    test_exact_and_noisy();
    test_failures();
    test_cancelled();
}

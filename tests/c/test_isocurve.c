#include "laws/isocurve.h"

#include <stdlib.h>

#include "check.h"
#include "fits.h"
#include "suites.h"

#define MOST 64

static dph_isocurve
fit_curve(const double *x, const double *loss, int n, int shape, int loo)
{
    const int64_t offsets[] = {0, n};
    double tokens[MOST];
    double params[MOST];
    dph_parabola_batch batch = {
        .tokens = tokens, .loss = loss, .params = params, .offsets = offsets};
    dph_isocurve_options options = {.shape = shape, .loo = loo, .window = 0.5};
    size_t size = dph_isocurve_scratch(n) * sizeof(double);
    double *scratch = malloc(size + (size == 0));
    dph_isocurve out = {0};

    for (int i = 0; i < n; i++) {
        tokens[i] = pow(10, x[i]);
        params[i] = 1e20 / tokens[i];
    }
    if (CHECK(scratch != NULL)) {
        memset(scratch, 0xff, size);
        dph_isocurve_fit(&batch, 0, 1, &options, scratch, fits_minimiser, &out);
    }
    free(scratch);
    CHECK_INT(out.n, n);
    CHECK_INT(out.shape, shape);
    CHECK_INT(out.reserved, 0);
    return out;
}

static void
check_no_curve(dph_isocurve c, int32_t status)
{
    CHECK_INT(c.status, status);
    CHECK_INT(c.n_used, 0);
    CHECK(isnan(c.x_star) && isnan(c.tokens_star) && isnan(c.params_star) && isnan(c.loss_star));
    CHECK(isnan(c.se_loss_star) && isnan(c.rss) && isnan(c.aicc) && isnan(c.loo));
    CHECK(isnan(c.x_min) && isnan(c.x_max) && isnan(c.x_lo) && isnan(c.x_hi) && isnan(c.x_centre));
    for (int i = 0; i < DPH_ISOCURVE_COEFFICIENTS; i++) {
        CHECK(isnan(c.coefficients[i]));
    }
}

/* An additive law without noise: its exponents, its optimum and its loss there, exactly. */
static void
test_two_power_exact(void)
{
    static const double left[] = {0.34, 0.1, 0.8, 1.6, 0.3};
    static const double right[] = {0.3, 0.5, 0.2, 0.9, 2.4};
    double x[13];
    double loss[13];

    for (int e = 0; e < 5; e++) {
        for (int v = 0; v < 9; v++) {
            double vertex = 9.6 + 0.1 * v;
            double p = left[e];
            double q = right[e];
            dph_isocurve c;

            for (int i = 0; i < 13; i++) {
                double L = 0;

                x[i] = 9 + 2.0 * i / 12;
                L = log(10) * (log10(pow(10, x[i])) - vertex);
                loss[i] = 1.8 + 0.4 * exp(-p * L) / p + 0.4 * exp(q * L) / q;
            }
            c = fit_curve(x, loss, 13, DPH_CURVE_TWO_POWER, 1);
            CHECK((c.status & ~DPH_W_OFF_CENTRE) == 0);
            CHECK_ABS(c.x_star, vertex, 1e-8);
            CHECK_ABS(c.loss_star, 1.8 + 0.4 / p + 0.4 / q, 1e-8);
            CHECK_NEAR(c.params_star * c.tokens_star, 1e20, 1e-9);
            CHECK_NEAR(c.coefficients[3], p, 1e-5);
            CHECK_NEAR(c.coefficients[4], q, 1e-5);
            CHECK_ABS(c.loo, 0, 1e-9);
            CHECK_NEAR(dph_isocurve_value(&c, c.x_star), c.loss_star, 1e-12);
        }
    }
}

static void
test_cubic_exact(void)
{
    double x[9];
    double loss[9];

    for (int v = 0; v < 9; v++) {
        double vertex = 9.5 + 0.125 * v;

        for (int s = -2; s <= 2; s++) { /* s = 0 is a parabola */
            dph_isocurve c;

            for (int i = 0; i < 9; i++) {
                double d = 0;

                x[i] = 9 + 0.25 * i;
                d = log10(pow(10, x[i])) - vertex;
                loss[i] = 3 + 0.25 * d * d + 0.03 * s * d * d * d;
            }
            c = fit_curve(x, loss, 9, DPH_CURVE_CUBIC, 1);
            CHECK((c.status & ~(DPH_W_OFF_CENTRE | DPH_W_UNBRACKETED)) == 0);
            CHECK_ABS(c.x_star, vertex, 1e-11);
            CHECK_ABS(c.loss_star, 3, 1e-12);
            CHECK_ABS(c.coefficients[3], 0.03 * s, 1e-11);
            CHECK(isnan(c.coefficients[4]));
            CHECK_INT(c.n_coefficients, 4);
            CHECK_ABS(c.loo, 0, 1e-10);
        }
    }
}

/* What parabola.c finds, under another name. */
static void
test_parabolas(void)
{
    uint64_t seed = 94;

    for (int trial = 0; trial < 60; trial++) {
        int n = 7 + (int)check_below(&seed, 12);
        double x[20];
        double loss[20];

        for (int i = 0; i < n; i++) {
            x[i] = 9 + 2 * check_uniform(&seed);
            loss[i] = 3 + 0.2 * (x[i] - 10.2) * (x[i] - 10.2) + 0.01 * check_normal(&seed);
        }
        dph_parabola p = fit_parabola_x(x, loss, n, 1);
        dph_isocurve c = fit_curve(x, loss, n, DPH_CURVE_PARABOLA, 0);
        dph_isocurve j = fit_curve(x, loss, n, DPH_CURVE_JOINT, 0);

        CHECK(c.x_star == p.x_star && c.loss_star == p.loss_star && c.rss == p.rss);
        CHECK(c.se_loss_star == p.se_loss_star && isnan(c.loo));
        CHECK_ABS(dph_isocurve_value(&c, 10), p.c + 10 * p.b + 100 * p.a, 1e-12);
        CHECK(j.x_star == p.joint_x_star && j.loss_star == p.joint_loss_star);
        CHECK(j.rss == p.joint_rss);
        CHECK_INT(j.status & (DPH_W_JOINT_AT_BOUND | DPH_W_JOINT_CONCAVE),
                  p.status & (DPH_W_JOINT_AT_BOUND | DPH_W_JOINT_CONCAVE));
    }
}

/* The leave-one-out error and AICc, by hand. */
static void
test_scores(void)
{
    uint64_t seed = 95;
    double x[11];
    double loss[11];

    for (int i = 0; i < 11; i++) {
        x[i] = 9 + 0.2 * i;
        loss[i] = 3 + 0.2 * (x[i] - 10.1) * (x[i] - 10.1) + 0.01 * check_normal(&seed);
    }
    for (int shape = 0; shape < DPH_CURVES; shape++) {
        dph_isocurve all = fit_curve(x, loss, 11, shape, 1);
        double m = (double)all.n_used;
        double k = all.n_coefficients + 1;
        double sum = 0;

        if (!CHECK(all.status >= 0)) {
            continue;
        }
        for (int i = 0; i < 11; i++) {
            double ux[10];
            double uloss[10];
            dph_isocurve c;

            memcpy(ux, x, sizeof ux);
            memcpy(uloss, loss, sizeof uloss);
            if (i < 10) {
                ux[i] = x[10];
                uloss[i] = loss[10];
            }
            c = fit_curve(ux, uloss, 10, shape, 0);
            sum += pow(loss[i] - dph_isocurve_value(&c, log10(pow(10, x[i]))), 2);
        }
        if (all.n_used == 11) {
            CHECK_NEAR(all.loo, sqrt(sum / 11), 1e-6);
        } else { /* the window's own points, not the bucket's */
            CHECK_INT(shape, DPH_CURVE_WINDOWED);
            CHECK(all.loo > 0);
        }
        CHECK(m - k - 1 <= 0 ? isnan(all.aicc)
                             : fabs(all.aicc - (m * log(all.rss / m) + 2 * k +
                                                2 * k * (k + 1) / (m - k - 1))) < 1e-9);
    }
    CHECK(isnan(fit_curve(x, loss, 5, DPH_CURVE_PARABOLA, 0).aicc));
    CHECK(isfinite(fit_curve(x, loss, 6, DPH_CURVE_PARABOLA, 0).aicc));
    CHECK(isnan(fit_curve(x, loss, 3, DPH_CURVE_PARABOLA, 1).loo));
}

static void
test_statuses(void)
{
    const double x[] = {9, 9.5, 10, 10.5, 11, 11.5, 12};
    const double bowl[] = {4, 3.25, 3.01, 3, 3.26, 4.1, 5};
    const double line[] = {4, 3.5, 3, 2.5, 2, 1.5, 1};
    const double hill[] = {2, 2.6, 3.1, 3.2, 3.1, 2.4, 1.9};
    const double flat[] = {2, 2, 2, 2, 2, 2, 2};
    const double bad[] = {2, 2, NAN, 2, 2, 2, 2};
    const double same[] = {9, 9, 9, 9, 9, 9, 9};
    double away[7];

    for (int shape = 0; shape < DPH_CURVES; shape++) {
        int least = shape == DPH_CURVE_JOINT ? 5 : shape < 2 ? 3 : shape == DPH_CURVE_CUBIC ? 4 : 5;

        CHECK((fit_curve(x, bowl, 7, shape, 1).status &
               ~(DPH_W_WINDOW_WIDENED | DPH_W_P_AT_BOUND | DPH_W_Q_AT_BOUND)) == 0);
        for (int n = 0; n < least; n++) {
            check_no_curve(fit_curve(x, bowl, n, shape, 1), DPH_E_TOO_FEW_POINTS);
        }
        CHECK(fit_curve(x, bowl, least, shape, 1).status >= 0);
        check_no_curve(fit_curve(x, flat, 7, shape, 1), DPH_E_CONSTANT_LOSS);
        check_no_curve(fit_curve(x, bad, 7, shape, 1), DPH_E_BAD_VALUE);
        check_no_curve(fit_curve(same, bowl, 7, shape, 1), DPH_E_EQUAL_X);
    }
    CHECK(fit_curve(x, bowl, 4, DPH_CURVE_CUBIC, 0).status & DPH_W_SATURATED);
    CHECK(fit_curve(x, bowl, 5, DPH_CURVE_TWO_POWER, 0).status & DPH_W_SATURATED);
    check_no_curve(fit_curve(x, hill, 7, DPH_CURVE_TWO_POWER, 1), DPH_E_NO_MINIMUM);
    check_no_curve(fit_curve(x, hill, 7, DPH_CURVE_CUBIC, 1), DPH_E_NO_MINIMUM);
    check_no_curve(fit_curve(x, line, 7, DPH_CURVE_CUBIC, 1), DPH_E_NO_MINIMUM);
    CHECK(fit_curve(x, hill, 7, DPH_CURVE_PARABOLA, 1).status & DPH_W_CONCAVE);
    for (int i = 0; i < 7; i++) {
        double L = log(10) * (x[i] - 12.5);

        away[i] = 1.8 + exp(-0.3 * L) + exp(0.3 * L);
    }
    CHECK_INT(fit_curve(x, away, 7, DPH_CURVE_TWO_POWER, 0).status,
              DPH_W_CLIPPED | DPH_W_UNBRACKETED);
    CHECK_NEAR(fit_curve(x, away, 7, DPH_CURVE_TWO_POWER, 0).x_star, 12, 1e-14);
    for (int i = 0; i < 7; i++) { /* symmetric about 10.5: towards the parabola, p and q small */
        away[i] = 3 + 0.2 * (x[i] - 10.5) * (x[i] - 10.5);
    }
    CHECK_INT(fit_curve(x, away, 7, DPH_CURVE_TWO_POWER, 0).status,
              DPH_W_P_AT_BOUND | DPH_W_Q_AT_BOUND);
}

/* Standard errors are those of repeated experiments. */
static void
test_errors(void)
{
    uint64_t seed = 96;
    int64_t n = check_heavy(1500);

    for (int shape = 0; shape < DPH_CURVES; shape++) {
        double sum = 0;
        double sum2 = 0;
        double variance = 0;
        double count = 0;

        if (shape == DPH_CURVE_WINDOWED || shape == DPH_CURVE_JOINT) {
            continue; /* choosing points, and a search range, are no part of the delta method */
        }
        for (int64_t trial = 0; trial < n; trial++) {
            double x[15];
            double loss[15];
            dph_isocurve c;

            for (int i = 0; i < 15; i++) {
                double L = 0;

                x[i] = 9 + 2.0 * i / 14;
                L = log(10) * (x[i] - 10);
                loss[i] = shape == DPH_CURVE_TWO_POWER
                              ? 1.8 + 0.5 * exp(-0.8 * L) + 0.4 * exp(0.9 * L)
                              : 3 + 0.3 * (x[i] - 10) * (x[i] - 10);
                loss[i] += 0.003 * check_normal(&seed);
            }
            c = fit_curve(x, loss, 15, shape, 0);
            if (c.status == DPH_OK) {
                sum += c.loss_star;
                sum2 += c.loss_star * c.loss_star;
                variance += c.se_loss_star * c.se_loss_star;
                count++;
            }
        }
        CHECK(count > 0.9 * (double)n);
        if (n >= 1500) {
            CHECK_NEAR(sqrt(variance / count), sqrt(sum2 / count - pow(sum / count, 2)), 0.1);
        }
    }
}

void
test_isocurve(void)
{
    test_two_power_exact();
    test_cubic_exact();
    test_parabolas();
    test_scores();
    test_statuses();
    test_errors();
}

/* The windowed fit of parabola.c, and its per-bucket diagnostics. */
#include <stdlib.h>

#include "check.h"
#include "fits.h"
#include "suites.h"

#define MOST 80

static dph_parabola
fit_with(const double *x, const double *loss, const double *params, int n,
         dph_parabola_options options)
{
    const int64_t offsets[] = {0, n};
    double tokens[MOST];
    dph_parabola_batch batch = {
        .tokens = tokens, .loss = loss, .params = params, .offsets = offsets};
    size_t size = dph_parabola_scratch(n) * sizeof(double);
    double *scratch = malloc(size + (size == 0));
    dph_parabola out = {0};

    for (int i = 0; i < n; i++) {
        tokens[i] = pow(10, x[i]);
    }
    if (CHECK(scratch != NULL)) {
        memset(scratch, 0xff, size);
        dph_parabola_fit(&batch, 0, 1, &options, scratch, fits_minimiser, &out);
    }
    free(scratch);
    return out;
}

/* Loss of an additive law on a grid of x about its optimum x0, which is exact: p A = q B. */
static void
additive(double *x, double *loss, int n, double half, double x0)
{
    for (int i = 0; i < n; i++) {
        double L = 0;

        x[i] = x0 + half * (2.0 * i / (n - 1) - 1);
        L = log(10) * (x[i] - x0);
        loss[i] = 1.8 + 0.51 * exp(-0.34 * L) + 0.34 * exp(0.51 * L);
    }
}

/* The measured reason for the window. */
static void
test_bias(void)
{
    double x[41];
    double loss[41];
    dph_parabola wide;
    dph_parabola near;

    additive(x, loss, 41, 1, 10);
    wide = fit_with(x, loss, NULL, 41, (dph_parabola_options){0});
    near = fit_with(x, loss, NULL, 41, (dph_parabola_options){.window = 0.5});
    CHECK(wide.loss_star - 2.65 < -0.002 && wide.loss_star - 2.65 > -0.02);
    CHECK(fabs(near.loss_star - 2.65) < fabs(wide.loss_star - 2.65) / 8);
    CHECK_INT(wide.n_used, 41);
    CHECK_INT(near.n, 41);
    CHECK(near.n_used >= 20 && near.n_used <= 21);
    CHECK(near.x_lo >= near.x_star - 0.5 - 1e-8 && near.x_hi <= near.x_star + 0.5 + 1e-8);
    CHECK_NEAR(near.x_min, 9, 1e-14);
    CHECK_NEAR(near.x_max, 11, 1e-14);
    CHECK_INT(near.status, DPH_OK);
}

/* A windowed fit is the plain fit of the points it used. */
static void
test_is_the_fit_of_its_points(void)
{
    uint64_t seed = 91;
    int narrowed = 0;

    for (int trial = 0; trial < 300; trial++) {
        int n = 6 + (int)check_below(&seed, 20);
        double x[26];
        double loss[26];
        double ux[26];
        double uloss[26];
        int m = 0;
        dph_parabola got;
        dph_parabola plain;

        for (int i = 0; i < n; i++) {
            x[i] = log10(pow(10, 9 + 2.5 * check_uniform(&seed)));
            loss[i] = 3 + 0.2 * pow(fabs(x[i] - 10.4), 2.4) + 0.004 * check_normal(&seed);
        }
        got = fit_with(x, loss, NULL, n, (dph_parabola_options){.window = 0.5, .joint = 1});
        if (!CHECK(got.status >= 0)) {
            continue;
        }
        for (int i = 0; i < n; i++) {
            double seen = log10(pow(10, x[i]));

            if (seen >= got.x_lo - 1e-12 && seen <= got.x_hi + 1e-12) {
                ux[m] = x[i];
                uloss[m++] = loss[i];
            }
        }
        narrowed += m < n;
        CHECK_INT(got.n_used, m);
        CHECK(m >= DPH_WINDOW_DISTINCT);
        plain = fit_with(ux, uloss, NULL, m, (dph_parabola_options){.joint = 1});
        CHECK_NEAR(got.a, plain.a, 1e-7);
        CHECK_NEAR(got.x_vertex, plain.x_vertex, 1e-9);
        CHECK_NEAR(got.rss, plain.rss, 1e-7);
        if (!(got.status & DPH_W_CLIPPED) && !(plain.status & DPH_W_CLIPPED)) {
            CHECK_NEAR(got.loss_star, plain.loss_star, 1e-10);
            CHECK_NEAR(got.a_under, plain.a_under, 1e-6);
            CHECK_NEAR(got.a_over, plain.a_over, 1e-6);
        }
        CHECK_NEAR(got.joint_x_star, plain.joint_x_star, 1e-6);
    }
    CHECK(narrowed > 250);
}

/* No window, an infinite one, and one that holds all points: the same bits. */
static void
test_no_window(void)
{
    static const double windows[] = {0, INFINITY, 5};
    double x[12];
    double loss[12];
    double params[12];
    uint64_t seed = 92;
    dph_parabola plain;

    for (int i = 0; i < 12; i++) {
        x[i] = 9 + 2 * check_uniform(&seed);
        loss[i] = 3 + 0.2 * (x[i] - 10) * (x[i] - 10) + 0.003 * check_normal(&seed);
        params[i] = 1e20 / pow(10, x[i]);
    }
    plain = fit_with(x, loss, params, 12, (dph_parabola_options){.joint = 1});
    for (int w = 0; w < 3; w++) {
        dph_parabola got =
            fit_with(x, loss, params, 12, (dph_parabola_options){.joint = 1, .window = windows[w]});

        CHECK_SAME(&got, &plain, sizeof got);
    }
}

static void
test_statuses(void)
{
    const double x[] = {9, 9.5, 10, 10.5, 11, 11.5, 12};
    const double bowl[] = {4, 3.25, 3.01, 3, 3.26, 4.1, 5};
    const double hill[] = {2, 2.6, 3.1, 3, 3.2, 2.4, 1.9};
    const double falling[] = {4, 3.5, 3.1, 2.8, 2.6, 2.5, 2.45};
    const double flat[] = {9, 3, 3, 3, 3, 3, 9};
    const double close[] = {9, 10, 10 + 1e-9, 10 + 2e-9, 10 + 3e-9, 10 + 4e-9, 12};
    dph_parabola p = fit_with(x, bowl, NULL, 7, (dph_parabola_options){.window = 0.3});

    CHECK_INT(p.status, DPH_W_WINDOW_WIDENED); /* 0.3 decades hold one or two points */
    CHECK_INT(p.n_used, 5);
    p = fit_with(x, bowl, NULL, 5, (dph_parabola_options){.window = 0.3});
    CHECK_INT(p.status & DPH_W_WINDOW_WIDENED, 0); /* no more than five: all, and nothing to say */
    CHECK_INT(p.n_used, 5);
    p = fit_with(x, bowl, NULL, 3, (dph_parabola_options){.window = 0.3});
    CHECK_INT(p.n_used, 3);
    CHECK(p.status & DPH_W_SATURATED);
    p = fit_with(x, hill, NULL, 7, (dph_parabola_options){.window = 1}); /* from the lowest loss */
    CHECK(p.status & DPH_W_UNBRACKETED);
    CHECK_NEAR(p.x_hi, 12, 1e-14);
    CHECK_NEAR(p.x_lo, 10, 1e-14);
    p = fit_with(x, falling, NULL, 7, (dph_parabola_options){.window = 1});
    CHECK(p.status & DPH_W_UNBRACKETED);
    CHECK_NEAR(p.x_max, 12, 1e-14);
    p = fit_with(x, flat, NULL, 7, (dph_parabola_options){.window = 1});
    CHECK(p.status >= 0 && (p.status & DPH_W_WINDOW_WIDENED)); /* five equal losses: all are kept */
    CHECK_INT(p.n_used, 7);
    p = fit_with(close, bowl, NULL, 7, (dph_parabola_options){.window = 0.5});
    CHECK(p.status >= 0 && isfinite(p.loss_star));
    p = fit_with((double[]){9, 10, 11}, (double[]){1, NAN, 2}, NULL, 3,
                 (dph_parabola_options){.window = 0.5, .diagnose = 1});
    check_no_parabola(p, DPH_E_BAD_VALUE);
    CHECK_INT(p.n_used, 0);
    CHECK(isnan(p.x_lo) && isnan(p.x_hi));
}

/* The same bits whatever the order of the rows, once a window is narrower than the bucket. */
static void
test_order_of_rows(void)
{
    double x[30];
    double loss[30];
    uint64_t seed = 93;
    dph_parabola first = {0};

    for (int i = 0; i < 30; i++) {
        x[i] = 9 + 0.125 * (double)check_below(&seed, 17); /* with ties */
        loss[i] = 3 + 0.2 * (x[i] - 10.3) * (x[i] - 10.3) + 0.01 * check_normal(&seed);
    }
    first = fit_with(x, loss, NULL, 30, (dph_parabola_options){.window = 0.5});
    CHECK(first.n_used < 30);
    for (int trial = 0; trial < 20; trial++) {
        dph_parabola got;

        for (int i = 29; i > 0; i--) {
            int64_t j = check_below(&seed, i + 1);
            double t = x[i];
            double u = loss[i];

            x[i] = x[j];
            x[j] = t;
            loss[i] = loss[j];
            loss[j] = u;
        }
        got = fit_with(x, loss, NULL, 30, (dph_parabola_options){.window = 0.5});
        CHECK_SAME(&got, &first, sizeof got);
    }
}

static void
test_diagnoses(void)
{
    double x[MOST];
    double loss[MOST];
    const int32_t bits = DPH_W_OFF_CENTRE | DPH_W_DUPLICATED_DESIGNS;
    const dph_parabola_options look = {.diagnose = 1};
    static const double vertices[] = {9.02, 9.49, 9.51, 10, 10.49, 10.51, 10.98};

    for (int n = 9; n <= 79; n += 70) { /* few points are compared in pairs, many are sorted */
        for (int v = 0; v < 7; v++) {
            dph_parabola p;

            for (int i = 0; i < n; i++) {
                x[i] = 9 + 2.0 * i / (n - 1);
                loss[i] = 3 + 0.2 * (x[i] - vertices[v]) * (x[i] - vertices[v]);
            }
            p = fit_with(x, loss, NULL, n, look);
            CHECK_INT(p.status & bits,
                      vertices[v] < 9.5 || vertices[v] > 10.5 ? DPH_W_OFF_CENTRE : 0);
            p = fit_with(x, loss, NULL, n, (dph_parabola_options){0});
            CHECK_INT(p.status & bits, 0);
            x[n - 1] = x[3];
            loss[n - 1] = loss[3] + 0.01;
            p = fit_with(x, loss, NULL, n, look);
            CHECK(p.status & DPH_W_DUPLICATED_DESIGNS);
        }
    }
    for (int i = 0; i < 9; i++) { /* beyond the range, or no minimum: clipped and concave say so */
        x[i] = 9 + 0.25 * i;
        loss[i] = (x[i] - 12) * (x[i] - 12);
    }
    CHECK_INT(fit_with(x, loss, NULL, 9, look).status & (bits | DPH_W_CLIPPED), DPH_W_CLIPPED);
    for (int i = 0; i < 9; i++) {
        loss[i] = -(x[i] - 9.1) * (x[i] - 9.1);
    }
    CHECK_INT(fit_with(x, loss, NULL, 9, look).status & (bits | DPH_W_CONCAVE), DPH_W_CONCAVE);
}

void
test_window(void)
{
    test_bias();
    test_is_the_fit_of_its_points();
    test_no_window();
    test_statuses();
    test_order_of_rows();
    test_diagnoses();
}

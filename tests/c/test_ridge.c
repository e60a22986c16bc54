#include "laws/ridge.h"

#include <stdlib.h>

#include <gsl/gsl_multifit.h>

#include "base/svd.h"
#include "check.h"
#include "suites.h"

enum { N = 40, P = 4 };

static const dph_ridge_options gcv = {
    .rule = DPH_RIDGE_GCV, .lambda_lo = 1e-12, .lambda_hi = 1e3, .standardise = 1};

static void
draw(double *x, double *y, uint64_t *seed)
{
    for (int i = 0; i < N; i++) {
        y[i] = 3;
        for (int j = 0; j < P; j++) {
            x[i * P + j] = 5 + (j + 1) * check_normal(seed);
            y[i] += (j - 1.5) * x[i * P + j];
        }
    }
}

static dph_ridge
fit(const double *x, const double *y, int64_t n, int p, const dph_ridge_options *options,
    double *coefficients, double *covariance)
{
    int64_t offsets[2] = {0, n};
    dph_ridge_batch batch = {x, y, offsets, p};
    dph_ridge out = {0};
    double *scratch = malloc(sizeof *scratch * dph_ridge_scratch(n, p));

    if (CHECK(scratch != NULL)) {
        dph_ridge_fit(&batch, 0, 1, options, scratch, coefficients, covariance, &out);
    }
    free(scratch);
    return out;
}

static void
test_svd(void)
{
    double a[6] = {3, 0, 0, 4, 0, 0};
    double v[4];
    double s[2];
    double work[6];
    double nan[1] = {NAN};

    CHECK_INT(dph_svd(a, 3, 2, v, s, work), DPH_OK);
    CHECK_NEAR(s[0], 4, 1e-15);
    CHECK_NEAR(s[1], 3, 1e-15);
    CHECK_INT(dph_svd(a, 1, 2, v, s, work), DPH_E_ARGUMENT);
    CHECK_INT(dph_svd(nan, 1, 1, v, s, work), DPH_E_NO_CONVERGENCE);
}

static void
test_exact_data_are_recovered(void)
{
    double x[N * P];
    double y[N];
    double b[P];
    double covariance[(P + 1) * (P + 1)];
    uint64_t seed = 2;
    dph_ridge out = {0};
    dph_ridge_options plain = gcv;

    draw(x, y, &seed);
    plain.rule = DPH_RIDGE_FIXED;
    out = fit(x, y, N, P, &plain, b, covariance);
    CHECK_INT(out.status, DPH_OK);
    CHECK_NEAR(out.intercept, 3, 1e-11);
    CHECK_NEAR(out.edf, P + 1, 1e-12);
    for (int j = 0; j < P; j++) {
        CHECK_NEAR(b[j], j - 1.5, 1e-12);
        CHECK(covariance[(j + 1) * (P + 2)] > 0);
    }
    out = fit(x, y, N, P, &gcv, b, NULL);
    CHECK(out.status & DPH_W_RIDGE_AT_BOUND & ~(DPH_SWEEP << 24));
    CHECK_ABS(b[0], -1.5, 1e-8);
}

static void
test_the_chosen_penalty_is_lowest(void)
{
    double x[N * P];
    double y[N];
    double b[P];
    uint64_t seed = 9;

    draw(x, y, &seed);
    for (int i = 0; i < N; i++) {
        y[i] = 0.2 * y[i] + 10 * check_normal(&seed);
    }
    for (int rule = DPH_RIDGE_GCV; rule <= DPH_RIDGE_LOO; rule++) {
        dph_ridge_options options = gcv;
        dph_ridge best = {0};

        options.rule = rule;
        best = fit(x, y, N, P, &options, b, NULL);
        CHECK(best.lambda > 1e-12 && best.lambda < 1e3 && best.edf < P + 1);
        options.rule = DPH_RIDGE_FIXED;
        for (double factor = 0.5; factor < 2.1; factor += 1.5) {
            dph_ridge other = {0};

            options.lambda = best.lambda * factor;
            other = fit(x, y, N, P, &options, b, NULL);
            CHECK(rule == DPH_RIDGE_GCV ? other.gcv > best.gcv : other.loo > best.loo);
        }
    }
}

/* GSL's own regularised least squares on the centred and scaled columns: coefficients, residuals
 * and cross-validation at several penalties. GSL counts no intercept among the degrees of freedom.
 */
static void
test_gsl_s_regularised_least_squares_agrees(void)
{
    double x[N * P];
    double y[N];
    double b[P];
    double scale[P];
    double middle = 0;
    double delta0 = 0;
    uint64_t seed = 9;
    dph_ridge_options options = gcv;
    gsl_matrix *z = gsl_matrix_alloc(N, P);
    gsl_vector *target = gsl_vector_alloc(N);
    gsl_vector *found = gsl_vector_alloc(P);
    gsl_vector *values = gsl_vector_alloc(P);
    gsl_multifit_linear_workspace *work = gsl_multifit_linear_alloc(N, P);

    draw(x, y, &seed);
    for (int i = 0; i < N; i++) {
        y[i] += 2 * check_normal(&seed);
        middle += y[i] / N;
    }
    for (int j = 0; j < P; j++) {
        double mean = 0;
        double squares = 0;

        for (int i = 0; i < N; i++) {
            mean += x[i * P + j] / N;
        }
        for (int i = 0; i < N; i++) {
            squares += (x[i * P + j] - mean) * (x[i * P + j] - mean);
        }
        scale[j] = sqrt(squares / N);
        for (int i = 0; i < N; i++) {
            gsl_matrix_set(z, (size_t)i, (size_t)j, (x[i * P + j] - mean) / scale[j]);
        }
    }
    for (int i = 0; i < N; i++) {
        gsl_vector_set(target, (size_t)i, y[i] - middle);
    }
    CHECK_INT(gsl_multifit_linear_svd(z, work), 0);
    options.rule = DPH_RIDGE_FIXED;
    for (double lambda = 1e-6; lambda < 10; lambda *= 20) {
        dph_ridge out = {0};
        double residual = 0;
        double size = 0;
        double theirs = 0;
        double ratio = 0;

        options.lambda = lambda;
        out = fit(x, y, N, P, &options, b, NULL);
        CHECK_INT(
            gsl_multifit_linear_solve(sqrt(N * lambda), z, target, found, &residual, &size, work),
            0);
        for (int j = 0; j < P; j++) {
            CHECK_NEAR(b[j] * scale[j], gsl_vector_get(found, (size_t)j), 1e-10);
        }
        CHECK_NEAR(out.rss, residual * residual, 1e-11);
        CHECK_INT(gsl_multifit_linear_gcv_init(target, values, found, &delta0, work), 0);
        theirs = gsl_multifit_linear_gcv_calc(sqrt(N * lambda), found, delta0, work);
        ratio = (N - out.edf + 1) / (N - out.edf);
        CHECK_NEAR(out.gcv, N * theirs * ratio * ratio, 1e-10);
    }
    gsl_multifit_linear_free(work);
    gsl_vector_free(values);
    gsl_vector_free(found);
    gsl_vector_free(target);
    gsl_matrix_free(z);
}

static void
test_bad_input(void)
{
    double x[N * P];
    double y[N];
    double b[P];
    uint64_t seed = 6;
    dph_ridge out = {0};
    dph_ridge_options plain = gcv;

    plain.rule = DPH_RIDGE_FIXED;
    draw(x, y, &seed);
    CHECK_INT(fit(x, y, 0, P, &gcv, b, NULL).status, DPH_E_TOO_FEW_POINTS);
    CHECK_INT(fit(x, y, 1, P, &gcv, b, NULL).status, DPH_E_TOO_FEW_POINTS);
    CHECK(isnan(b[0]));
    out = fit(x, y, 3, P, &gcv, b, NULL);
    CHECK(out.status > 0 && isfinite(b[0]));
    for (int i = 0; i < N; i++) {
        x[i * P + 3] = 7;
    }
    out = fit(x, y, N, P, &plain, b, NULL);
    CHECK_INT(out.status, DPH_W_RIDGE_CONSTANT);
    CHECK(b[3] == 0 && isfinite(b[0]));
    for (int i = 0; i < N; i++) {
        x[i * P + 3] = 2 * x[i * P];
    }
    CHECK_INT(fit(x, y, N, P, &plain, b, NULL).status, DPH_E_RANK);
    out = fit(x, y, N, P, &gcv, b, NULL);
    CHECK(out.status > 0 && isfinite(b[0]) && isfinite(b[3]));
    x[5] = NAN;
    CHECK_INT(fit(x, y, N, P, &gcv, b, NULL).status, DPH_E_BAD_VALUE);
    x[5] = 1;
    y[5] = INFINITY;
    CHECK_INT(fit(x, y, N, P, &gcv, b, NULL).status, DPH_E_BAD_VALUE);
}

void
test_ridge(void)
{
    test_svd();
    test_exact_data_are_recovered();
    test_the_chosen_penalty_is_lowest();
    test_gsl_s_regularised_least_squares_agrees();
    test_bad_input();
}

#include "base/cholesky.h"

#include "check.h"
#include "suites.h"

enum { N = 41, COLUMNS = 7 };

/* A random matrix A^T A + 0.1 I, whole. */
static void
draw(double *k, uint64_t *seed)
{
    double a[N * N];

    for (int i = 0; i < N * N; i++) {
        a[i] = check_normal(seed);
    }
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            double sum = i == j ? 0.1 : 0;

            for (int l = 0; l < N; l++) {
                sum += a[l * N + i] * a[l * N + j];
            }
            k[i * N + j] = sum;
        }
    }
}

static void
test_factor_solve_and_inverse(void)
{
    double k[N * N];
    double u[N * N];
    double b[N * COLUMNS];
    double x[N];
    double work[N * N];
    double inverse[N * N];
    uint64_t seed = 3;

    draw(k, &seed);
    memcpy(u, k, sizeof u);
    for (int i = 1; i < N; i++) {
        for (int j = 0; j < i; j++) {
            u[i * N + j] = NAN; /* never looked at */
        }
    }
    CHECK_INT(dph_cholesky(u, N), DPH_OK);
    for (int i = 0; i < N; i++) {
        for (int j = i; j < N; j++) {
            double sum = 0;

            for (int l = 0; l <= i; l++) {
                sum += u[l * N + i] * u[l * N + j];
            }
            CHECK_ABS(sum, k[i * N + j], 1e-12);
        }
        CHECK(i == 0 || isnan(u[i * N]));
    }

    for (int i = 0; i < N * COLUMNS; i++) {
        b[i] = check_normal(&seed);
    }
    for (int i = 0; i < N; i++) {
        x[i] = b[i * COLUMNS + 2];
    }
    dph_cholesky_forward(u, N, b, COLUMNS);
    dph_cholesky_forward(u, N, x, 1);
    for (int i = 0; i < N; i++) {
        CHECK_SAME(&x[i], &b[i * COLUMNS + 2], sizeof *x);
    }
    dph_cholesky_backward(u, N, x);
    dph_cholesky_inverse(u, N, work, inverse);
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) { /* K K^-1 = I */
            double sum = 0;

            for (int l = 0; l < N; l++) {
                sum += k[i * N + l] * (l <= j ? inverse[l * N + j] : inverse[j * N + l]);
            }
            CHECK_ABS(sum, i == j ? 1 : 0, 1e-9);
        }
        CHECK(i == 0 || inverse[i * N] == 0);
    }
}

static void
test_solution(void)
{
    double k[N * N];
    double u[N * N];
    double b[N];
    double x[N];
    uint64_t seed = 8;

    draw(k, &seed);
    memcpy(u, k, sizeof u);
    for (int i = 0; i < N; i++) {
        b[i] = x[i] = check_normal(&seed);
    }
    CHECK_INT(dph_cholesky(u, N), DPH_OK);
    dph_cholesky_forward(u, N, x, 1);
    dph_cholesky_backward(u, N, x);
    for (int i = 0; i < N; i++) {
        double sum = 0;

        for (int j = 0; j < N; j++) {
            sum += k[i * N + j] * x[j];
        }
        CHECK_ABS(sum, b[i], 1e-10);
    }
}

static void
test_what_has_no_factor(void)
{
    double indefinite[4] = {1, 2, 0, 1};
    double singular[4] = {1, 1, 0, 1};
    double missing[4] = {1, NAN, 0, 1};
    double infinite[1] = {INFINITY};
    double negative[1] = {-1};
    double zero[1] = {0};
    double one[1] = {4};

    CHECK_INT(dph_cholesky(indefinite, 2), DPH_E_NOT_POSITIVE_DEFINITE);
    CHECK_INT(dph_cholesky(singular, 2), DPH_E_NOT_POSITIVE_DEFINITE);
    CHECK_INT(dph_cholesky(missing, 2), DPH_E_NOT_POSITIVE_DEFINITE);
    CHECK_INT(dph_cholesky(infinite, 1), DPH_E_NOT_POSITIVE_DEFINITE);
    CHECK_INT(dph_cholesky(negative, 1), DPH_E_NOT_POSITIVE_DEFINITE);
    CHECK_INT(dph_cholesky(zero, 1), DPH_E_NOT_POSITIVE_DEFINITE);
    CHECK_INT(dph_cholesky(one, 1), DPH_OK);
    CHECK_NEAR(one[0], 2, 0);
    CHECK_INT(dph_cholesky(one, 0), DPH_OK);
}

void
test_cholesky(void)
{
    test_factor_solve_and_inverse();
    test_solution();
    test_what_has_no_factor();
}

#include "base/lstsq.h"

#include <float.h>
#include <stdlib.h>

#include "check.h"
#include "suites.h"

#define ROWS_MAX 64

/* NIST's Wampler1: y = 1 + x + ... + x^5 exactly, x = 0 .. 20, columns up to 3.2e6. */
static void
test_wampler(void)
{
    double a[6 * 21];
    double b[21];
    double x[6];
    double rss = 0;

    for (int i = 0; i < 21; i++) {
        double power = 1;

        b[i] = 0;
        for (int k = 0; k < 6; k++) {
            a[k * 21 + i] = power;
            b[i] += power;
            power *= i;
        }
    }
    CHECK_INT(dph_lstsq(a, b, 21, 6, x, NULL, &rss), DPH_OK);
    for (int k = 0; k < 6; k++) {
        CHECK_NEAR(x[k], 1, 1e-8);
    }
    CHECK_ABS(rss, 0, 1e-15 * 3.4e6 * 3.4e6 * 21);
}

/* Lauchli's matrix: the squares of 1e-9 vanish beside 1, so normal equations are singular and QR is
 * not. */
static void
test_lauchli(void)
{
    const double e = 1e-9;
    double a[] = {1, e, 0, 0, 1, 0, e, 0, 1, 0, 0, e};
    double b[] = {6, e, 2 * e, 3 * e};
    double x[3];

    CHECK_INT(dph_lstsq(a, b, 4, 3, x, NULL, NULL), DPH_OK);
    CHECK_NEAR(x[0], 1, 1e-6);
    CHECK_NEAR(x[1], 2, 1e-6);
    CHECK_NEAR(x[2], 3, 1e-6);
}

/* Random designs: the residual is orthogonal to every column, R^T R = A^T A, rss is what is left.
 */
static void
test_random(void)
{
    uint64_t seed = 5;

    for (int trial = 0; trial < 300; trial++) {
        int cols = 1 + (int)check_below(&seed, DPH_LSTSQ_MAX_COLS);
        int64_t rows = cols + check_below(&seed, ROWS_MAX - cols + 1);
        double a[DPH_LSTSQ_MAX_COLS * ROWS_MAX];
        double qr[DPH_LSTSQ_MAX_COLS * ROWS_MAX];
        double b[ROWS_MAX];
        double qb[ROWS_MAX];
        double x[DPH_LSTSQ_MAX_COLS];
        double r[DPH_LSTSQ_MAX_COLS * DPH_LSTSQ_MAX_COLS];
        double residual[ROWS_MAX];
        double rss = 0;
        double want = 0;

        for (int64_t i = 0; i < rows * cols; i++) {
            a[i] = qr[i] = check_normal(&seed);
        }
        for (int64_t i = 0; i < rows; i++) {
            b[i] = qb[i] = check_normal(&seed);
        }
        memset(r, 0xff, sizeof r);
        CHECK_INT(dph_lstsq(qr, qb, rows, cols, x, r, &rss), DPH_OK);
        for (int64_t i = 0; i < rows; i++) {
            residual[i] = b[i];
            for (int k = 0; k < cols; k++) {
                residual[i] -= a[k * rows + i] * x[k];
            }
            want += residual[i] * residual[i];
        }
        CHECK_ABS(rss, want, 1e-10 * (1 + want));
        for (int k = 0; k < cols; k++) {
            double projection = 0;

            for (int64_t i = 0; i < rows; i++) {
                projection += residual[i] * a[k * rows + i];
            }
            CHECK_ABS(projection, 0, 1e-9);
            for (int j = 0; j < cols; j++) {
                double ata = 0;
                double rtr = 0;

                for (int64_t i = 0; i < rows; i++) {
                    ata += a[k * rows + i] * a[j * rows + i];
                }
                for (int i = 0; i < cols; i++) {
                    rtr += r[i * cols + k] * r[i * cols + j];
                }
                CHECK_ABS(rtr, ata, 1e-12 * (double)rows * 4);
                if (j < k) {
                    CHECK(r[k * cols + j] == 0);
                }
            }
        }
    }
}

/* A column scaled by 2^k changes its own coefficient by 2^-k and nothing else, however large k. */
static void
test_scaling(void)
{
    static const int shifts[3] = {-300, 0, 250};
    uint64_t seed = 6;
    double plain[3 * 9];
    double scaled[3 * 9];
    double b[9];
    double b2[9];
    double x[3];
    double x2[3];
    double rss = 0;
    double rss2 = 0;

    for (int i = 0; i < 27; i++) {
        plain[i] = check_normal(&seed);
        scaled[i] = ldexp(plain[i], shifts[i / 9]);
    }
    for (int i = 0; i < 9; i++) {
        b[i] = b2[i] = check_normal(&seed);
    }
    CHECK_INT(dph_lstsq(plain, b, 9, 3, x, NULL, &rss), DPH_OK);
    CHECK_INT(dph_lstsq(scaled, b2, 9, 3, x2, NULL, &rss2), DPH_OK);
    for (int k = 0; k < 3; k++) {
        CHECK_NEAR(ldexp(x2[k], shifts[k]), x[k], 1e-12);
    }
    CHECK_NEAR(rss2, rss, 1e-12);
}

static int
solve(const double *a, int64_t rows, int cols)
{
    double copy[DPH_LSTSQ_MAX_COLS * ROWS_MAX];
    double b[ROWS_MAX] = {0};
    double x[DPH_LSTSQ_MAX_COLS];

    memcpy(copy, a, (size_t)(rows * cols) * sizeof *a);
    return dph_lstsq(copy, b, rows, cols, x, NULL, NULL);
}

static void
test_rank(void)
{
    CHECK_INT(solve((double[]){0, 0, 0}, 3, 1), DPH_E_RANK);
    CHECK_INT(solve((double[]){1, 2, 3, 2, 4, 6}, 3, 2), DPH_E_RANK);
    CHECK_INT(solve((double[]){1, 2, 3, 0, 0, 0}, 3, 2), DPH_E_RANK);
    CHECK_INT(solve((double[]){1, 1, 1, 1, 1, 2, 3, 4, 3, 4, 5, 6}, 4, 3), DPH_E_RANK);
    CHECK_INT(solve((double[]){1, 0, 0, 1, 1, 1}, 2, 2), DPH_OK);
    /* Dependence is judged against the column's own length: 1e-14 apart is equal, 1e-10 is not. */
    CHECK_INT(solve((double[]){1, 1, 1, 1, 1, 1 + 1e-14}, 3, 2), DPH_E_RANK);
    CHECK_INT(solve((double[]){1, 1, 1, 1, 1, 1 + 1e-10}, 3, 2), DPH_OK);
    CHECK_INT(solve((double[]){1e-100, 0, 0, 1e-150}, 2, 2), DPH_OK);
    CHECK_INT(solve((double[]){1, NAN, 1, 1, 2, 3}, 3, 2), DPH_E_RANK);
}

static void
test_arguments(void)
{
    double a[9 * 9] = {0};
    double b[9] = {0};
    double x[9];

    CHECK_INT(dph_lstsq(a, b, 3, 0, x, NULL, NULL), DPH_E_ARGUMENT);
    CHECK_INT(dph_lstsq(a, b, 3, -1, x, NULL, NULL), DPH_E_ARGUMENT);
    CHECK_INT(dph_lstsq(a, b, 2, 3, x, NULL, NULL), DPH_E_ARGUMENT);
    CHECK_INT(dph_lstsq(a, b, 0, 1, x, NULL, NULL), DPH_E_ARGUMENT);
    CHECK_INT(dph_lstsq(a, b, -4, 1, x, NULL, NULL), DPH_E_ARGUMENT);
    CHECK_INT(dph_lstsq(a, b, 9, DPH_LSTSQ_MAX_COLS + 1, x, NULL, NULL), DPH_E_ARGUMENT);
}

/* Straight line on x = 0 .. 3: (A^T A)^-1 = [14 -6; -6 4] / 20. */
static void
test_variance(void)
{
    double a[] = {1, 1, 1, 1, 0, 1, 2, 3};
    double b[] = {1, 3, 5, 7};
    double x[2];
    double r[4];
    double rss = NAN;

    CHECK_INT(dph_lstsq(a, b, 4, 2, x, r, &rss), DPH_OK);
    CHECK_NEAR(x[0], 1, 1e-14);
    CHECK_NEAR(x[1], 2, 1e-14);
    CHECK_ABS(rss, 0, 1e-28);
    CHECK_NEAR(dph_lstsq_variance(r, (double[]){1, 0}, 2), 14.0 / 20, 1e-14);
    CHECK_NEAR(dph_lstsq_variance(r, (double[]){0, 1}, 2), 4.0 / 20, 1e-14);
    CHECK_NEAR(dph_lstsq_variance(r, (double[]){1, 1.5}, 2), 0.25, 1e-14);
    CHECK_NEAR(dph_lstsq_variance(r, (double[]){2, -3}, 2), (56 + 72 + 36) / 20.0, 1e-14);
    CHECK(dph_lstsq_variance(r, (double[]){0, 0}, 2) == 0);
}

static void
test_square(void)
{
    double a[] = {2, 0, 0, 1, 3, 0, 4, 5, 6};
    double b[] = {2 + 2 + 12, 6 + 15, 18};
    double x[3];
    double rss = NAN;

    CHECK_INT(dph_lstsq(a, b, 3, 3, x, NULL, &rss), DPH_OK);
    CHECK_NEAR(x[0], 1, 1e-14);
    CHECK_NEAR(x[1], 2, 1e-14);
    CHECK_NEAR(x[2], 3, 1e-14);
    CHECK(rss == 0); /* no row is left over */
}

void
test_lstsq(void)
{
    test_square();
    test_wampler();
    test_lauchli();
    test_random();
    test_scaling();
    test_rank();
    test_arguments();
    test_variance();
}

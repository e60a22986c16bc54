#include "cholesky.h"

#include <math.h>

#include "veclog.h"

/* y -= factor x */
DPH_CLONES static void
subtract(double *restrict y, const double *restrict x, double factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] -= factor * x[i];
    }
}

/* y -= f0 x0 + f1 x1 + ..., one after the other: y is read and written once for four rows, and the
 * result is that of four calls of subtract */
DPH_CLONES static void
subtract_four(double *restrict y, const double *restrict x0, const double *restrict x1,
              const double *restrict x2, const double *restrict x3, const double f[4], int64_t n)
{
    double f0 = f[0];
    double f1 = f[1];
    double f2 = f[2];
    double f3 = f[3];

    for (int64_t i = 0; i < n; i++) {
        y[i] = (((y[i] - f0 * x0[i]) - f1 * x1[i]) - f2 * x2[i]) - f3 * x3[i];
    }
}

/* y -= sum of factor[i * step] rows[i], for n_rows rows that lie stride apart */
static void
subtract_rows(double *y, const double *rows, int64_t stride, const double *factor, int64_t step,
              int64_t n_rows, int64_t n)
{
    int64_t i = 0;

    for (; i + 4 <= n_rows; i += 4) {
        const double *x = rows + i * stride;
        double f[4] = {factor[i * step], factor[(i + 1) * step], factor[(i + 2) * step],
                       factor[(i + 3) * step]};

        subtract_four(y, x, x + stride, x + 2 * stride, x + 3 * stride, f, n);
    }
    for (; i < n_rows; i++) {
        subtract(y, rows + i * stride, factor[i * step], n);
    }
}

int
dph_cholesky(double *a, int64_t n)
{
    const double tiny = 1e-15;

    for (int64_t j = 0; j < n; j++) {
        double *row = a + j * n;
        double before = row[j];
        double pivot = 0;

        /* row j of U^T U holds rows 0 .. j - 1 of U already */
        subtract_rows(row + j, a + j, n, a + j, n, j, n - j);
        pivot = row[j];
        if (!(pivot > tiny * before) || !isfinite(pivot)) {
            return DPH_E_NOT_POSITIVE_DEFINITE;
        }
        pivot = sqrt(pivot);
        for (int64_t k = j; k < n; k++) {
            row[k] /= pivot;
        }
    }
    return DPH_OK;
}

void
dph_cholesky_forward(const double *u, int64_t n, double *b, int64_t n_cols)
{
    for (int64_t j = 0; j < n; j++) {
        double *row = b + j * n_cols;

        subtract_rows(row, b, n_cols, u + j, n, j, n_cols);
        for (int64_t c = 0; c < n_cols; c++) {
            row[c] /= u[j * n + j];
        }
    }
}

void
dph_cholesky_backward(const double *u, int64_t n, double *b)
{
    for (int64_t j = n - 1; j >= 0; j--) {
        double value = b[j];

        for (int64_t i = j + 1; i < n; i++) {
            value -= u[j * n + i] * b[i];
        }
        b[j] = value / u[j * n + j];
    }
}

void
dph_cholesky_inverse(const double *u, int64_t n, double *work, double *inverse)
{
    /* rows of W = U^-T, which is lower triangular: beyond its j + 1 entries row j holds zeros */
    for (int64_t j = 0; j < n; j++) {
        double *row = work + j * n;

        for (int64_t c = 0; c < n; c++) {
            row[c] = c == j ? 1 : 0;
        }
        subtract_rows(row, work, n, u + j, n, j, j + 1);
        for (int64_t c = 0; c <= j; c++) {
            row[c] /= u[j * n + j];
        }
    }
    for (int64_t i = 0; i < n * n; i++) {
        inverse[i] = 0;
    }
    for (int64_t k = 0; k < n; k += 4) { /* K^-1 = W^T W, four rows of W at a time */
        int64_t n_rows = n - k < 4 ? n - k : 4;

        for (int64_t i = 0; i < k + n_rows; i++) {
            const double *rows = work + k * n + i;

            subtract_rows(inverse + i * n + i, rows, n, rows, n, n_rows, k + n_rows - i);
        }
    }
    for (int64_t i = 0; i < n * n; i++) {
        inverse[i] = 0 - inverse[i];
    }
}

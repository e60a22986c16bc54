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

/* y += factor x */
DPH_CLONES static void
add(double *restrict y, const double *restrict x, double factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] += factor * x[i];
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
        for (int64_t i = 0; i < j; i++) {
            subtract(row + j, a + i * n + j, a[i * n + j], n - j);
        }
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

        for (int64_t i = 0; i < j; i++) {
            subtract(row, b + i * n_cols, u[i * n + j], n_cols);
        }
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
    /* rows of W = U^-T, which is lower triangular: row j has j + 1 entries */
    for (int64_t j = 0; j < n; j++) {
        double *row = work + j * n;

        for (int64_t c = 0; c <= j; c++) {
            row[c] = c == j ? 1 : 0;
        }
        for (int64_t i = 0; i < j; i++) {
            subtract(row, work + i * n, u[i * n + j], i + 1);
        }
        for (int64_t c = 0; c <= j; c++) {
            row[c] /= u[j * n + j];
        }
    }
    for (int64_t i = 0; i < n * n; i++) {
        inverse[i] = 0;
    }
    for (int64_t k = 0; k < n; k++) { /* K^-1 = W^T W */
        const double *row = work + k * n;

        for (int64_t i = 0; i <= k; i++) {
            add(inverse + i * n + i, row + i, row[i], k - i + 1);
        }
    }
}

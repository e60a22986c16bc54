#include "lstsq.h"

#include <math.h>
#include <stddef.h>

static double
dot(const double *u, const double *v, int64_t n)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        sum += u[i] * v[i];
    }
    return sum;
}

/* v -= (2 h.v / h.h) h, the reflection that h stands for. */
static void
reflect(const double *h, double hh, double *v, int64_t n)
{
    double factor = 2 * dot(h, v, n) / hh;

    for (int64_t i = 0; i < n; i++) {
        v[i] -= factor * h[i];
    }
}

int
dph_lstsq(double *a, double *b, int64_t n_rows, int n_cols, double *x, double *r, double *rss)
{
    const double tiny = 1e-13;
    double diagonal[DPH_LSTSQ_MAX_COLS];

    if (n_cols < 1 || n_cols > DPH_LSTSQ_MAX_COLS || n_rows < n_cols) {
        return DPH_E_ARGUMENT;
    }
    for (int k = 0; k < n_cols; k++) {
        double *col = a + (int64_t)k * n_rows;
        double *below = col + k;
        int64_t m = n_rows - k;
        double above2 = dot(col, col, k);
        double below2 = dot(below, below, m);
        double norm = sqrt(below2);
        double hh = 0;

        if (!(below2 > tiny * tiny * (above2 + below2))) {
            return DPH_E_RANK;
        }
        diagonal[k] = below[0] > 0 ? -norm : norm;
        below[0] -= diagonal[k];
        hh = dot(below, below, m);
        for (int j = k + 1; j < n_cols; j++) {
            reflect(below, hh, a + (int64_t)j * n_rows + k, m);
        }
        reflect(below, hh, b + k, m);
    }
    for (int k = n_cols - 1; k >= 0; k--) {
        double sum = b[k];

        for (int j = k + 1; j < n_cols; j++) {
            sum -= a[(int64_t)j * n_rows + k] * x[j];
        }
        x[k] = sum / diagonal[k];
    }
    if (r != NULL) {
        for (int k = 0; k < n_cols; k++) {
            for (int j = 0; j < n_cols; j++) {
                r[k * n_cols + j] = j < k ? 0 : j == k ? diagonal[k] : a[(int64_t)j * n_rows + k];
            }
        }
    }
    if (rss != NULL) {
        *rss = dot(b + n_cols, b + n_cols, n_rows - n_cols);
    }
    return DPH_OK;
}

double
dph_lstsq_variance(const double *r, const double *g, int n_cols)
{
    double w[DPH_LSTSQ_MAX_COLS] = {0};
    double sum = 0;

    for (int k = 0; k < n_cols; k++) { /* solve R^T w = g */
        double value = g[k];

        for (int j = 0; j < k; j++) {
            value -= r[j * n_cols + k] * w[j];
        }
        w[k] = value / r[k * n_cols + k];
        sum += w[k] * w[k];
    }
    return sum;
}

#include "surfacespread.h"

#include <math.h>
#include <string.h>

#include "../base/lstsq.h"
#include "../base/order.h"

#define SIZE DPH_SURFACE_SIZE
#define COLUMNS (2 * SIZE + 6)
#define NORMAL 1.4826 /* standard deviations of a normal in its median absolute value */

/* The problem at theta, with the columns of the parameters that count. */
typedef struct {
    const dph_surface_problem *p;
    const double *jacobian; /* [SIZE][stride] */
    const double *r;
    double *design; /* [SIZE][n] */
    double *rhs;    /* [n] */
    double *slope;  /* [n] the expected second derivative of rho at each point */
    int at[SIZE];   /* parameters that count */
    int k;
} local;

size_t
dph_surface_spread_scratch(int64_t stride)
{
    return (size_t)COLUMNS * (size_t)stride;
}

/* The inverse of sum w slope J J^T as a product of R^-1; 0 where columns are dependent. */
static int
invert(const local *l, double out[SIZE][SIZE])
{
    const dph_surface_problem *p = l->p;
    double R[SIZE * SIZE];
    double x[SIZE];
    double inverse[SIZE][SIZE] = {{0}};
    int k = l->k;

    for (int j = 0; j < k; j++) {
        for (int64_t i = 0; i < p->n; i++) {
            l->design[j * p->n + i] =
                sqrt(p->w[i] * l->slope[i]) * l->jacobian[l->at[j] * p->stride + i];
        }
    }
    for (int64_t i = 0; i < p->n; i++) {
        l->rhs[i] = 0;
    }
    if (p->n < k || dph_lstsq(l->design, l->rhs, p->n, k, x, R, NULL) != DPH_OK) {
        return 0;
    }
    for (int col = 0; col < k; col++) {
        for (int i = col; i >= 0; i--) {
            double sum = i == col;

            for (int j = i + 1; j <= col; j++) {
                sum -= R[i * k + j] * inverse[j][col];
            }
            inverse[i][col] = sum / R[i * k + i];
        }
    }
    for (int i = 0; i < k; i++) {
        for (int j = 0; j < k; j++) {
            out[i][j] = 0;
            for (int m = i > j ? i : j; m < k; m++) {
                out[i][j] += inverse[i][m] * inverse[j][m];
            }
        }
    }
    return 1;
}

/* Second derivatives of rho, smoothed over a window of Silverman's width where it is wider than
 * delta; returns their mean. */
static double
fill_slope(const local *l)
{
    const dph_surface_problem *p = l->p;
    double *sizes = l->rhs;
    double window = 0;
    double height = 0;
    double mean = 0;

    if (isinf(p->delta)) {
        for (int64_t i = 0; i < p->n; i++) {
            l->slope[i] = 1;
        }
        return 1;
    }
    for (int64_t i = 0; i < p->n; i++) {
        sizes[i] = fabs(l->r[i]);
    }
    dph_sort_rows(sizes, p->n, 1);
    window = fmax(p->delta, 0.9 * NORMAL * sizes[p->n / 2] * pow((double)p->n, -0.2));
    height = (p->objective == DPH_OBJECTIVE_ABSOLUTE ? 1 : p->delta) / window;
    for (int64_t i = 0; i < p->n; i++) {
        l->slope[i] = fabs(l->r[i]) <= window ? height : 0;
        mean += p->w[i] * l->slope[i] / p->total;
    }
    return mean;
}

static double
influence(const dph_surface_problem *p, double r)
{
    double limit = p->objective == DPH_OBJECTIVE_ABSOLUTE ? 1 : fmin(fabs(r), p->delta);

    return copysign(limit, r);
}

/* bread meat bread, one outer product a point. */
static void
sandwich(const local *l, double bread[SIZE][SIZE], double inflation, double out[SIZE][SIZE])
{
    const dph_surface_problem *p = l->p;

    for (int64_t i = 0; i < p->n; i++) {
        double psi = p->w[i] * influence(p, l->r[i]);
        double score[SIZE];

        for (int a = 0; a < l->k; a++) {
            score[a] = 0;
            for (int b = 0; b < l->k; b++) {
                score[a] += bread[a][b] * psi * l->jacobian[l->at[b] * p->stride + i];
            }
        }
        for (int a = 0; a < l->k; a++) {
            for (int b = 0; b < l->k; b++) {
                out[l->at[a]][l->at[b]] += inflation * score[a] * score[b];
            }
        }
    }
}

static void
spoil(const local *l, double out[SIZE][SIZE])
{
    for (int a = 0; a < l->k; a++) {
        for (int b = 0; b < l->k; b++) {
            out[l->at[a]][l->at[b]] = NAN;
        }
    }
}

int
dph_surface_spread_of(const dph_surface_problem *p, const double *theta, double *scratch,
                      dph_surface_spread *out)
{
    double *g = scratch;
    double *h = scratch + p->stride;
    double *f = scratch + 2 * p->stride;
    double *r = scratch + 3 * p->stride;
    double *jacobian = scratch + 6 * p->stride;
    local l = {.p = p,
               .jacobian = jacobian,
               .r = r,
               .rhs = scratch + 4 * p->stride,
               .slope = scratch + 5 * p->stride,
               .design = scratch + (6 + SIZE) * p->stride};
    double bread[SIZE][SIZE];
    double near = p->objective == DPH_OBJECTIVE_ABSOLUTE ? 1e-12 : p->delta;
    double spare = 0;
    double mean = 0;

    *out = (dph_surface_spread){0};
    (void)dph_surface_residuals(p, theta, g, h, f, r);
    dph_surface_jacobian(p, theta, g, h, f, jacobian);
    for (int64_t i = 0; i < p->n; i++) {
        out->sum_squares += p->w[i] * r[i] * r[i];
        out->n_inside += fabs(r[i]) <= near;
        l.slope[i] = 1;
    }
    for (int j = 0; j < SIZE; j++) {
        int edge = theta[j] <= p->lo[j] || theta[j] >= p->hi[j];

        out->counted[j] = p->is_free[j] && !edge && !(j >= DPH_SURFACE_ALPHA && theta[j - 2] == 0);
        if (out->counted[j]) {
            l.at[l.k++] = j;
        }
    }
    if (l.k == 0) {
        return DPH_OK;
    }
    if (!invert(&l, bread)) {
        spoil(&l, out->covariance);
        spoil(&l, out->rounding);
        return DPH_E_RANK;
    }
    for (int a = 0; a < l.k; a++) {
        for (int b = 0; b < l.k; b++) {
            out->rounding[l.at[a]][l.at[b]] = bread[a][b];
        }
    }
    spare = (double)(p->n - l.k);
    mean = fill_slope(&l);
    if (!(spare > 0) || !(mean > 0)) {
        spoil(&l, out->covariance);
        return DPH_OK;
    }
    /* where the window holds too few points, residuals of one distribution are assumed */
    if (!isinf(p->delta) && !invert(&l, bread)) {
        for (int a = 0; a < l.k; a++) {
            for (int b = 0; b < l.k; b++) {
                bread[a][b] = out->rounding[l.at[a]][l.at[b]] / mean;
            }
        }
    }
    sandwich(&l, bread, (double)p->n / spare, out->covariance);
    return DPH_OK;
}

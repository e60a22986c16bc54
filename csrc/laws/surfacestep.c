#include "surfacestep.h"

#include <math.h>
#include <string.h>

#include "../base/lstsq.h"

#define SIZE DPH_SURFACE_SIZE
#define ALPHA DPH_SURFACE_ALPHA

/* Derivative of Huber's function over its argument: the weight of reweighted least squares. */
static double
weight(const dph_surface_local *l, double size)
{
    return size <= l->delta ? 1 : l->delta / size;
}

void
dph_surface_choose_active(dph_surface_local *l)
{
    const dph_surface_problem *p = l->p;

    l->n_active = 0;
    for (int j = 0; j < SIZE; j++) {
        double slope = 0;

        l->active[j] = 0;
        if (!p->is_free[j] || l->pinned[j] || (j >= ALPHA && l->theta[j - 2] == 0)) {
            continue;
        }
        if (l->theta[j] <= p->lo[j] || l->theta[j] >= p->hi[j]) {
            for (int64_t i = 0; i < p->n; i++) {
                slope -=
                    p->w[i] * weight(l, fabs(l->r[i])) * l->r[i] * l->jacobian[j * p->stride + i];
            }
            if (l->theta[j] <= p->lo[j] ? slope >= 0 : slope <= 0) {
                continue;
            }
        }
        l->active[j] = 1;
        l->n_active++;
    }
}

int
dph_surface_factor(dph_surface_local *l, double ridge)
{
    const dph_surface_problem *p = l->p;
    int64_t rows = p->n + (ridge > 0 || p->n < l->n_active ? l->n_active : 0);
    double step[SIZE];
    int k = 0;

    for (int64_t i = 0; i < p->n; i++) {
        l->rhs[i] = sqrt(p->w[i] * weight(l, fabs(l->r[i])));
    }
    for (int j = 0; j < SIZE; j++) {
        double *to = l->design + k * rows;
        double squares = 0;

        if (!l->active[j]) {
            continue;
        }
        for (int64_t i = 0; i < p->n; i++) {
            to[i] = l->rhs[i] * l->jacobian[j * p->stride + i];
            squares += to[i] * to[i];
        }
        for (int64_t i = p->n; i < rows; i++) {
            to[i] = i - p->n == k ? ridge * sqrt(squares) : 0;
        }
        k++;
    }
    for (int64_t i = 0; i < rows; i++) {
        l->rhs[i] = i < p->n ? l->rhs[i] * l->r[i] : 0;
    }
    if (dph_lstsq(l->design, l->rhs, rows, k, step, l->R, NULL) != DPH_OK) {
        return 0;
    }
    memcpy(l->step, l->rhs, (size_t)k * sizeof *l->step); /* the first entries of Q^T rhs */
    return 1;
}

/* s = R^-T s R^-1 for a symmetric s. */
static void
into_metric(const dph_surface_local *l, double s[SIZE][SIZE])
{
    int k = l->n_active;

    for (int pass = 0; pass < 2; pass++) { /* s = R^-T s, twice, with a transpose after each */
        for (int col = 0; col < k; col++) {
            for (int i = 0; i < k; i++) {
                for (int j = 0; j < i; j++) {
                    s[i][col] -= l->R[j * k + i] * s[j][col];
                }
                s[i][col] /= l->R[i * k + i];
            }
        }
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < i; j++) {
                double x = s[i][j];

                s[i][j] = s[j][i];
                s[j][i] = x;
            }
        }
    }
    for (int i = 0; i < k; i++) {
        for (int j = 0; j < i; j++) {
            s[i][j] = 0.5 * (s[i][j] + s[j][i]);
            s[j][i] = s[i][j];
        }
    }
}

void
dph_surface_fill_hessian(dph_surface_local *l)
{
    const dph_surface_problem *p = l->p;
    double full[SIZE][SIZE] = {{0}};
    double s[SIZE][SIZE] = {{0}};
    int k = l->n_active;

    for (int64_t i = 0; i < p->n; i++) {
        double size = fabs(l->r[i]);
        double w = p->w[i] * weight(l, size);
        double psi = w * l->r[i];
        double outer = (size <= l->delta ? 0 : -w) + (p->log_space ? psi : 0);
        double ga = -psi * l->jacobian[1 * p->stride + i] * p->u[i];
        double hb = -psi * l->jacobian[2 * p->stride + i] * p->v[i];
        double at[SIZE];

        for (int j = 0; j < SIZE; j++) {
            at[j] = l->jacobian[j * p->stride + i];
        }
        for (int j = 0; j < SIZE; j++) {
            for (int m = 0; m <= j; m++) {
                full[j][m] += outer * at[j] * at[m];
            }
        }
        full[3][1] -= ga;
        full[4][2] -= hb;
        full[3][3] += ga * p->u[i] * l->theta[DPH_SURFACE_A];
        full[4][4] += hb * p->v[i] * l->theta[DPH_SURFACE_B];
    }
    for (int j = 0, row = 0; j < SIZE; j++) {
        for (int m = 0, col = 0; m <= j && l->active[j]; m++) {
            if (l->active[m]) {
                s[row][col] = full[j][m];
                s[col][row] = full[j][m];
                col++;
            }
        }
        row += l->active[j];
    }
    for (int i = 0; i < k; i++) {
        for (int j = 0; j < k; j++) {
            l->normal[i][j] = s[i][j];
            for (int m = 0; m <= (i < j ? i : j); m++) {
                l->normal[i][j] += l->R[m * k + i] * l->R[m * k + j];
            }
        }
        l->length[i] = 0;
        for (int j = 0; j <= i; j++) {
            l->length[i] += l->R[j * k + i] * l->R[j * k + i];
        }
        l->length[i] = sqrt(l->length[i]);
    }
    into_metric(l, s);
    for (int i = 0; i < k; i++) {
        for (int j = 0; j < k; j++) {
            l->hessian[i][j] = (i == j) + s[i][j];
        }
    }
}

/* Solve c x = b in place of b by Cholesky; 0 where the matrix is not positive definite. */
static int
solve(double c[SIZE][SIZE], double *b, int k)
{
    for (int i = 0; i < k; i++) {
        for (int j = 0; j <= i; j++) {
            for (int m = 0; m < j; m++) {
                c[i][j] -= c[i][m] * c[j][m];
            }
            if (i > j) {
                c[i][j] /= c[j][j];
            } else if (c[i][i] > 1e-12) {
                c[i][i] = sqrt(c[i][i]);
            } else {
                return 0;
            }
        }
        for (int j = 0; j < i; j++) {
            b[i] -= c[i][j] * b[j];
        }
        b[i] /= c[i][i];
    }
    for (int i = k - 1; i >= 0; i--) {
        for (int j = i + 1; j < k; j++) {
            b[i] -= c[j][i] * b[j];
        }
        b[i] /= c[i][i];
    }
    return 1;
}

/* Without damping the step is solved for in the metric, where nothing is squared; with it in
 * units of the columns' lengths, where the directions that the data say least about are held back
 * the most (Marquardt). */
int
dph_surface_damped(const dph_surface_local *l, double mu, double *x, double *d)
{
    double c[SIZE][SIZE];
    int k = l->n_active;

    if (mu == 0) {
        memcpy(c, l->hessian, sizeof c);
        memcpy(x, l->step, (size_t)k * sizeof *x);
        if (!solve(c, x, k)) {
            return 0;
        }
        for (int i = k - 1; i >= 0; i--) {
            d[i] = x[i];
            for (int j = i + 1; j < k; j++) {
                d[i] -= l->R[i * k + j] * d[j];
            }
            d[i] /= l->R[i * k + i];
        }
        return 1;
    }
    for (int i = 0; i < k; i++) {
        d[i] = 0;
        for (int j = 0; j < k; j++) {
            c[i][j] = l->normal[i][j] / (l->length[i] * l->length[j]) + (i == j ? mu : 0);
        }
        for (int j = 0; j <= i; j++) {
            d[i] += l->R[j * k + i] * l->step[j] / l->length[i];
        }
    }
    if (!solve(c, d, k)) {
        return 0;
    }
    for (int i = 0; i < k; i++) {
        d[i] /= l->length[i];
    }
    for (int i = 0; i < k; i++) {
        x[i] = 0;
        for (int j = i; j < k; j++) {
            x[i] += l->R[i * k + j] * d[j];
        }
    }
    return 1;
}

double
dph_surface_promised(const dph_surface_local *l, const double *x, double t)
{
    double linear = 0;
    double quadratic = 0;

    for (int i = 0; i < l->n_active; i++) {
        linear += x[i] * l->step[i];
        for (int j = 0; j < l->n_active; j++) {
            quadratic += x[i] * l->hessian[i][j] * x[j];
        }
    }
    return t * linear - 0.5 * t * t * quadratic;
}

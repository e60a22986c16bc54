#include "surfaceproblem.h"

#include <math.h>

int
dph_surface_residuals(const dph_surface_problem *p, const double *theta, double *g, double *h,
                      double *f, double *r)
{
    double e = theta[DPH_SURFACE_E];
    double a = theta[DPH_SURFACE_A];
    double b = theta[DPH_SURFACE_B];
    double lowest = INFINITY;

    for (int64_t i = 0; i < p->n; i++) {
        g[i] = exp(-theta[DPH_SURFACE_ALPHA] * p->u[i]);
        h[i] = exp(-theta[DPH_SURFACE_BETA] * p->v[i]);
        f[i] = e + a * g[i] + b * h[i];
        lowest = fmin(lowest, f[i]);
    }
    if (!p->log_space) {
        for (int64_t i = 0; i < p->n; i++) {
            r[i] = p->y[i] - f[i];
        }
        return 1;
    }
    if (!(lowest > 1e-300)) {
        return 0;
    }
    for (int64_t i = 0; i < p->n; i++) {
        r[i] = log1p((p->y[i] - f[i]) / f[i]); /* a difference of two logs would cost digits */
    }
    return 1;
}

void
dph_surface_jacobian(const dph_surface_problem *p, const double *theta, const double *g,
                     const double *h, const double *f, double *jacobian)
{
    double a = theta[DPH_SURFACE_A];
    double b = theta[DPH_SURFACE_B];
    double *column[DPH_SURFACE_SIZE];

    for (int j = 0; j < DPH_SURFACE_SIZE; j++) {
        column[j] = jacobian + j * p->stride;
    }
    for (int64_t i = 0; i < p->n; i++) {
        double d = p->log_space ? 1 / f[i] : 1;

        column[0][i] = d;
        column[1][i] = d * g[i];
        column[2][i] = d * h[i];
        column[3][i] = -d * a * p->u[i] * g[i];
        column[4][i] = -d * b * p->v[i] * h[i];
    }
}

double
dph_surface_huber(const dph_surface_problem *p, const double *r, double delta)
{
    double sum = 0;

    for (int64_t i = 0; i < p->n; i++) {
        double size = fabs(r[i]);

        sum += p->w[i] * (size <= delta ? 0.5 * size * size : delta * (size - 0.5 * delta));
    }
    return sum;
}

double
dph_surface_objective(const dph_surface_problem *p, const double *r)
{
    return p->objective == DPH_OBJECTIVE_ABSOLUTE ? p->total * dph_surface_mean_abs(p, r)
                                                  : dph_surface_huber(p, r, p->delta);
}

double
dph_surface_mean_abs(const dph_surface_problem *p, const double *r)
{
    double sum = 0;

    for (int64_t i = 0; i < p->n; i++) {
        sum += p->w[i] * fabs(r[i]);
    }
    return sum / p->total;
}

int
dph_surface_stopped(const dph_surface_problem *p)
{
    return p->stopped != NULL && atomic_load(p->stopped);
}

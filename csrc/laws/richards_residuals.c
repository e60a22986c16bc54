#include "richards_residuals.h"

#include <math.h>
#include <stddef.h>

#include "../base/vecexp.h"
#include "../base/veclog.h"

#define LEAST 1e-300 /* probability of what did happen, at the least */
#define NEAR 1e-4    /* relative distance of p and y at which the deviance is taken by its series */

/* u = k (x - x0), then e = exp(-|u|) and log sigma(u). */
DPH_CLONES static void
arguments(const dph_richards_data *d, double k, double x0, double *u, double *t)
{
    for (int64_t i = 0; i < d->n; i++) {
        u[i] = k * (d->x[i] - x0);
        t[i] = u[i] < 0 ? u[i] : -u[i];
    }
}

DPH_CLONES static void
one_plus(const double *e, double *t, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        t[i] = 1 + e[i];
    }
}

DPH_CLONES static void
minus_log_sigma(const double *u, double *log_term, double v, double *t, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        log_term[i] -= u[i] < 0 ? u[i] : 0;
        t[i] = -v * log_term[i];
    }
}

DPH_CLONES static void
plain(const double *g, const double *y, double floor, double rise, double *r, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        r[i] = floor + rise * g[i] - y[i];
    }
}

DPH_CLONES static void
derivatives(const dph_richards_data *d, double k, double v, double rise, const double *restrict u,
            const double *restrict e, const double *restrict minus, const double *restrict g,
            double *restrict jacobian)
{
    int64_t n = d->n;
    double *restrict by_k = jacobian;
    double *restrict by_x0 = jacobian + n;
    double *restrict by_v = jacobian + 2 * n;
    double *restrict by_ceiling = jacobian + 3 * n;

    for (int64_t i = 0; i < n; i++) {
        double away = (u[i] < 0 ? 1.0 : e[i]) / (1.0 + e[i]); /* sigma(-u) */
        double by_u = rise * g[i] * v * away;

        by_k[i] = by_u * u[i];
        by_x0[i] = -k * by_u;
        by_v[i] = -rise * g[i] * v * minus[i];
        by_ceiling[i] = g[i];
    }
}

/* b ln(b/a) + a - b with the terms of first order taken out by hand where b is near a. */
static double
divergence(double b, double a)
{
    double t = (a - b) / b;

    if (b == 0) {
        return a;
    }
    if (fabs(t) < NEAR) { /* b (t - ln(1 + t)) */
        return b * t * t * (0.5 - t * (1.0 / 3 - t * (0.25 - t * 0.2)));
    }
    return b * log(b / a) + a - b;
}

/* Turn values and their derivatives into signed deviance residuals. */
static void
binomial(const dph_richards_data *d, const double *g, const double *minus, double v, double rise,
         double ceiling, double *r, double *jacobian)
{
    for (int64_t i = 0; i < d->n; i++) {
        double m = d->problems[i];
        double y = d->y[i];
        double p = fmax(d->floor + rise * g[i], LEAST);
        /* 1 - p without cancelling where C = 1 and the curve is saturated */
        double q = fmax((1 - ceiling) - rise * expm1(-v * minus[i]), LEAST);
        double half = m * (divergence(y, p) + divergence(1 - y, q));
        double root = sqrt(2 * fmax(half, 0));
        double slope = 0; /* dr/dp */

        r[i] = p < y ? -root : root;
        if (jacobian == NULL) {
            continue;
        }
        slope = fabs(p - y) <= NEAR * fmin(p, q) ? sqrt(m / (p * q)) : m * (p - y) / (p * q) / r[i];
        for (int j = 0; j < 4; j++) {
            jacobian[j * d->n + i] *= slope;
        }
    }
}

void
dph_richards_residuals(const double *theta, double *r, double *jacobian, void *ctx)
{
    const dph_richards_data *d = ctx;
    int64_t n = d->n;
    double k = exp(theta[0]);
    double v = exp(theta[2]);
    double rise = theta[3] - d->floor;
    double *u = d->work;
    double *e = d->work + n;
    double *minus = d->work + 2 * n; /* -log sigma(u) */
    double *g = d->work + 3 * n;
    double *t = d->work + 4 * n;

    arguments(d, k, theta[1], u, t);
    dph_exp_many(t, e, n);
    one_plus(e, t, n);
    dph_log_many(t, minus, n);
    minus_log_sigma(u, minus, v, t, n);
    dph_exp_many(t, g, n);
    if (jacobian != NULL) {
        derivatives(d, k, v, rise, u, e, minus, g, jacobian);
    }
    if (d->problems != NULL) {
        binomial(d, g, minus, v, rise, theta[3], r, jacobian);
    } else {
        plain(g, d->y, d->floor, rise, r, n);
    }
}

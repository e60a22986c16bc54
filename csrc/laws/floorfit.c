#include "floorfit.h"

#include <math.h>

#include "../base/line.h"
#include "../base/veclog.h"

#define U_SCAN 48
#define U_MAX 500.0

typedef struct {
    dph_suite *suite;
    double L_lo;
    double L_hi;
    double L;
    double B;
} loss_problem;

/* Best (L, B) for one u, a straight line in e = exp(-u s) with L held in its bounds. expm1 keeps
 * the column accurate where u is small and e is nearly constant. */
static double
loss_objective(double u, void *ctx, double *slope)
{
    loss_problem *p = ctx;
    const dph_suite *k = p->suite;
    double *f = k->work;
    double n = (double)k->n;
    double f_mean = 0;
    double sff = 0;
    double sfy = 0;
    double sum = 0;
    double gradient = 0;

    for (int64_t i = 0; i < k->n; i++) {
        f[i] = expm1(-u * k->s[i]);
        f_mean += f[i];
    }
    f_mean /= n;
    for (int64_t i = 0; i < k->n; i++) {
        double d = f[i] - f_mean;
        sff += d * d;
        sfy += d * (k->loss[i] - k->loss_mean);
    }
    p->B = sfy / sff;
    p->L = k->loss_mean - p->B * (1 + f_mean);
    if (!(p->L >= p->L_lo && p->L <= p->L_hi)) {
        double see = 0;
        double sez = 0;

        p->L = p->L > p->L_hi ? p->L_hi : p->L_lo;
        for (int64_t i = 0; i < k->n; i++) {
            double e = 1 + f[i];
            see += e * e;
            sez += e * (k->loss[i] - p->L);
        }
        p->B = sez / see;
    }
    for (int64_t i = 0; i < k->n; i++) {
        double e = 1 + f[i];
        double residual = (k->loss[i] - p->L) - p->B * e;
        sum += residual * residual;
        gradient += residual * k->s[i] * e;
    }
    *slope = 2 * p->B * gradient;
    return sum;
}

int
dph_floorfit_loss(dph_suite *suite, double L_lo, double L_hi, dph_minimiser *minimiser,
                  dph_floorfit *out)
{
    loss_problem p = {.suite = suite, .L_lo = L_lo, .L_hi = L_hi};
    dph_minimum best = {0};
    double grid[U_SCAN];
    double slope = 0;
    double sum = 0;
    /* No exponential with this average slope and this height is flatter than about this; the margin
     * is for curves that are far from one. */
    double u_first = -suite->linear_slope / (suite->loss_max - L_lo) / 16;
    double ratio = 0;
    int code = DPH_OK;

    if (!(u_first > 0)) {
        return DPH_E_BAD_VALUE;
    }
    u_first = u_first < U_MAX / 2 ? u_first : U_MAX / 2;
    ratio = log(U_MAX / u_first);
    for (int i = 0; i < U_SCAN; i++) {
        grid[i] = i == U_SCAN - 1 ? U_MAX : u_first * exp(ratio * i / (U_SCAN - 1));
    }
    code = dph_minimise(minimiser, loss_objective, &p, grid, U_SCAN, &best);
    if (code != DPH_OK) {
        return code;
    }
    out->objective = loss_objective(best.x, &p, &slope);
    for (int64_t i = 0; i < suite->n; i++) {
        sum += (suite->loss[i] - p.L) - p.B * (1 + suite->work[i]);
    }
    out->u = best.x;
    out->edge = best.edge;
    out->L = p.L;
    out->log_B = log(p.B);
    out->slope = -2 * sum;
    return isfinite(out->log_B) ? DPH_OK : DPH_E_BAD_VALUE;
}

void
dph_floorfit_log(dph_suite *suite, double L, dph_floorfit *out)
{
    dph_line line;
    double gradient = 0;

    for (int64_t i = 0; i < suite->n; i++) {
        suite->work[i] = log(suite->loss[i] - L);
    }
    dph_line_fit(suite->s, suite->work, suite->n, &line);
    for (int64_t i = 0; i < suite->n; i++) {
        double residual = (suite->work[i] - line.y_mean) - line.slope * (suite->s[i] - line.x_mean);
        gradient -= residual / (suite->loss[i] - L);
    }
    *out = (dph_floorfit){.u = -line.slope,
                          .L = L,
                          .log_B = line.intercept,
                          .objective = line.rss,
                          .slope = 2 * gradient};
}

/* Floors are the inner dimension: each step below is one pass over a row of them. */
DPH_CLONES void
dph_floorfit_log_many(const dph_suite *suite, const double *floors, int n_floors, double *block,
                      double *mse, double *u)
{
    const double *s = suite->s;
    double n = (double)suite->n;
    double mean[DPH_FLOOR_BLOCK] = {0};
    double slope[DPH_FLOOR_BLOCK] = {0};
    double sum[DPH_FLOOR_BLOCK] = {0};
    double s_mean = 0;
    double sss = 0;

    for (int64_t i = 0; i < suite->n; i++) {
        double *z = block + i * DPH_FLOOR_BLOCK;
        double y = suite->loss[i];

        for (int k = 0; k < n_floors; k++) {
            z[k] = y - floors[k];
        }
        s_mean += s[i];
    }
    s_mean /= n;
    for (int64_t i = 0; i < suite->n; i++) {
        double *z = block + i * DPH_FLOOR_BLOCK;
        double d = s[i] - s_mean;

        dph_log_many(z, z, n_floors);
        for (int k = 0; k < n_floors; k++) {
            mean[k] += z[k];
            slope[k] += d * z[k];
        }
        sss += d * d;
    }
    for (int k = 0; k < n_floors; k++) {
        mean[k] /= n;
        slope[k] /= sss;
    }
    for (int64_t i = 0; i < suite->n; i++) {
        const double *z = block + i * DPH_FLOOR_BLOCK;
        double d = s[i] - s_mean;

        for (int k = 0; k < n_floors; k++) {
            double residual = (z[k] - mean[k]) - slope[k] * d;
            sum[k] += residual * residual;
        }
    }
    for (int k = 0; k < n_floors; k++) {
        mse[k] = sum[k] / n;
        u[k] = -slope[k];
    }
}

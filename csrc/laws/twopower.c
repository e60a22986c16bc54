#include "twopower.h"

#include <math.h>
#include <stddef.h>

#include "../base/lstsq.h"

#define LN10 2.302585092994045684
#define SCAN 16

/* The search for p; the best q of each p is a search of its own. */
typedef struct {
    dph_twopower_points *k;
    dph_twopower *fit;
} search;

/* (u^s - 1) / s and s times its derivative by s, with u = exp(L); s < 0 gives -left. */
static double
power_term(double L, double s, double *slope)
{
    double minus_one = expm1(s * L);
    double value = minus_one / s;

    *slope = L * (minus_one + 1) - value;
    return value;
}

static void
fill_left(dph_twopower_points *k, double p)
{
    for (int64_t i = 0; i < k->n; i++) {
        double slope = 0;

        k->left[i] = -power_term(LN10 * (k->x[i] - k->centre), -p, &slope);
        k->left_slope[i] = -slope;
    }
}

static void
fill_right(dph_twopower_points *k, double q)
{
    for (int64_t i = 0; i < k->n; i++) {
        k->right[i] = power_term(LN10 * (k->x[i] - k->centre), q, &k->right_slope[i]);
    }
}

/* Least squares with or without each term. */
static int
mix_some(const dph_twopower_points *k, int with_left, int with_right, dph_twopower *out)
{
    double c[3] = {0};
    int cols = 1;
    int code = DPH_OK;

    for (int64_t i = 0; i < k->n; i++) {
        k->design[i] = 1;
        k->rhs[i] = k->loss[i];
    }
    if (with_left) {
        for (int64_t i = 0; i < k->n; i++) {
            k->design[cols * k->n + i] = k->left[i];
        }
        cols++;
    }
    if (with_right) {
        for (int64_t i = 0; i < k->n; i++) {
            k->design[cols * k->n + i] = k->right[i];
        }
        cols++;
    }
    code = dph_lstsq(k->design, k->rhs, k->n, cols, c, NULL, &out->rss);
    out->base = c[0];
    out->A = with_left ? c[1] : 0;
    out->B = with_right ? c[cols - 1] : 0;
    return code;
}

/* Least squares with both terms, neither negative. */
static int
mix(const dph_twopower_points *k, dph_twopower *out)
{
    dph_twopower one = *out;
    int code = mix_some(k, 1, 1, out);

    if (code != DPH_OK || (out->A >= 0 && out->B >= 0)) {
        return code;
    }
    code = mix_some(k, 0, 0, out);
    for (int right = 0; right < 2 && code == DPH_OK; right++) {
        code = mix_some(k, !right, right, &one);
        if (one.A >= 0 && one.B >= 0 && one.rss < out->rss) {
            *out = one;
        }
    }
    return code;
}

/* Half of minus the derivative of rss by ln of the exponent whose terms are given. */
static double
slope_sum(const dph_twopower_points *k, const dph_twopower *m, const double *term_slope)
{
    double sum = 0;

    for (int64_t i = 0; i < k->n; i++) {
        sum += (k->loss[i] - m->base - m->A * k->left[i] - m->B * k->right[i]) * term_slope[i];
    }
    return sum;
}

static double
right_objective(double log_q, void *ctx, double *slope)
{
    search *t = ctx;

    t->fit->q = exp(log_q);
    fill_right(t->k, t->fit->q);
    if ((t->k->stopped != NULL && atomic_load(t->k->stopped)) || mix(t->k, t->fit) != DPH_OK) {
        *slope = NAN;
        return NAN;
    }
    *slope = -2 * t->fit->B * slope_sum(t->k, t->fit, t->k->right_slope);
    return t->fit->rss;
}

static void
power_grid(double *grid)
{
    double lo = log(DPH_POWER_MIN);
    double hi = log(DPH_POWER_MAX);

    for (int i = 0; i < SCAN; i++) {
        grid[i] = i == SCAN - 1 ? hi : lo + (hi - lo) * i / (SCAN - 1);
    }
}

static double
left_objective(double log_p, void *ctx, double *slope)
{
    search *t = ctx;
    double grid[SCAN];
    dph_minimum best = {0};
    double value = 0;

    *slope = NAN;
    t->fit->p = exp(log_p);
    fill_left(t->k, t->fit->p);
    power_grid(grid);
    if (dph_minimise(t->k->minimiser, right_objective, t, grid, SCAN, &best) != DPH_OK) {
        return NAN;
    }
    t->fit->q_edge = best.edge;
    value = right_objective(best.x, t, slope);
    *slope = -2 * t->fit->A * slope_sum(t->k, t->fit, t->k->left_slope);
    return value;
}

int
dph_twopower_fit(dph_twopower_points *k, dph_twopower *out)
{
    search t = {.k = k, .fit = out};
    double grid[SCAN];
    double slope = 0;
    dph_minimum best = {0};

    *out = (dph_twopower){0};
    power_grid(grid);
    if (dph_minimise(k->minimiser, left_objective, &t, grid, SCAN, &best) != DPH_OK ||
        !isfinite(left_objective(best.x, &t, &slope))) {
        return DPH_E_NO_CONVERGENCE;
    }
    out->p_edge = best.edge;
    return DPH_OK;
}

double
dph_twopower_value(const dph_twopower *fit, double centre, double x)
{
    double L = LN10 * (x - centre);
    double slope = 0;

    return fit->base - fit->A * power_term(L, -fit->p, &slope) +
           fit->B * power_term(L, fit->q, &slope);
}

double
dph_twopower_lowest(const dph_twopower *fit)
{
    double L = log(fit->A / fit->B) / (fit->p + fit->q);

    return fit->A > 0 && fit->B > 0 && isfinite(L) ? L / LN10 : NAN;
}

int
dph_twopower_gradient(dph_twopower_points *k, const dph_twopower *fit, double x, double *g)
{
    double L = LN10 * (x - k->centre);
    double left_slope = 0;
    double right_slope = 0;
    int cols = 3;

    g[0] = 1;
    g[1] = -power_term(L, -fit->p, &left_slope);
    g[2] = power_term(L, fit->q, &right_slope);
    for (int64_t i = 0; i < k->n; i++) {
        k->design[i] = 1;
        k->design[k->n + i] = k->left[i];
        k->design[2 * k->n + i] = k->right[i];
    }
    if (fit->p_edge == 0) {
        for (int64_t i = 0; i < k->n; i++) {
            k->design[cols * k->n + i] = fit->A * k->left_slope[i];
        }
        g[cols++] = -fit->A * left_slope;
    }
    if (fit->q_edge == 0) {
        for (int64_t i = 0; i < k->n; i++) {
            k->design[cols * k->n + i] = fit->B * k->right_slope[i];
        }
        g[cols++] = fit->B * right_slope;
    }
    return cols;
}

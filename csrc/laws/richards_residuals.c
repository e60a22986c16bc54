#include "richards_residuals.h"

#include <math.h>
#include <stddef.h>

#include "../base/vecexp.h"
#include "../base/veclog.h"

#define LEAST 1e-300     /* probability of what did happen, at the least */
#define LEAST_MISS 1e-16 /* of what did not: 1 - p has no more digits */
#define NEAR 1e-4 /* relative distance of p and y at which the deviance is taken by its series */

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
        r[i] = rise * g[i] - (y[i] - floor); /* exact near the floor */
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

/* p into p, and the ratios whose logarithms the deviance is made of. */
DPH_CLONES static void
ratios(const dph_richards_data *d, const double *g, double rise, double ceiling, double *restrict p,
       double *restrict hit, double *restrict miss)
{
    for (int64_t i = 0; i < d->n; i++) {
        double y = d->y[i];
        double at = d->floor + rise * g[i];
        double rest = (1 - ceiling) + rise * (1 - g[i]);

        p[i] = at > LEAST ? at : LEAST;
        rest = rest > LEAST_MISS ? rest : LEAST_MISS;
        hit[i] = y > 0 ? y / p[i] : 1;
        miss[i] = y < 1 ? (1 - y) / rest : 1;
    }
}

/* b ln(b/a) + a - b for t = (a - b) / b small: b (t - ln(1 + t)). */
static inline double
series(double b, double t)
{
    return b * t * t * (0.5 - t * (1.0 / 3 - t * (0.25 - t * 0.2)));
}

/* Signed roots of the deviance, and dr/dp. Near p = y the logarithms cancel to first order, so the
 * series takes over. */
DPH_CLONES static void
roots(const dph_richards_data *d, const double *p, const double *log_hit, const double *log_miss,
      double *restrict r, double *restrict slope)
{
    for (int64_t i = 0; i < d->n; i++) {
        double m = d->problems[i];
        double y = d->y[i];
        double q = 1 - p[i] > LEAST_MISS ? 1 - p[i] : LEAST_MISS;
        double off = p[i] - y;
        double size = off < 0 ? -off : off;
        double least = y < 1 - y ? y : 1 - y;
        double far = y * log_hit[i] + (1 - y) * log_miss[i];
        double safe = least > 0 ? least : 1;
        double near = series(y, off / (safe == least ? y : 1)) +
                      series(1 - y, -off / (safe == least ? 1 - y : 1));
        int close = size <= NEAR * least;
        double half = close ? near : far;
        double root = sqrt(2 * m * (half > 0 ? half : 0));
        double steep = m * size / (p[i] * q);

        r[i] = off < 0 ? -root : root;
        slope[i] = close || !(root > 0) ? sqrt(m / (p[i] * q)) : steep / root;
    }
}

/* Arrays in data->work. */
enum { U, E, MINUS, G, P, HIT, MISS, SLOPE };

static double *
array(const dph_richards_data *d, int which)
{
    return d->work + which * d->n;
}

/* Everything that takes an exponential or a logarithm. */
static void
evaluate(dph_richards_data *d, const double *theta)
{
    int64_t n = d->n;
    double *t = array(d, P);
    double *minus = array(d, MINUS); /* -log sigma(u) */

    arguments(d, exp(theta[0]), theta[1], array(d, U), t);
    dph_exp_many(t, array(d, E), n);
    one_plus(array(d, E), t, n);
    dph_log_many(t, minus, n);
    minus_log_sigma(array(d, U), minus, exp(theta[2]), t, n);
    dph_exp_many(t, array(d, G), n);
    if (d->problems != NULL) {
        ratios(d, array(d, G), theta[3] - d->floor, theta[3], array(d, P), array(d, HIT),
               array(d, MISS));
        dph_log_many(array(d, HIT), array(d, HIT), n);
        dph_log_many(array(d, MISS), array(d, MISS), n);
    }
    for (int j = 0; j < 4; j++) {
        d->at[j] = theta[j];
    }
}

void
dph_richards_residuals(const double *theta, double *r, double *jacobian, void *ctx)
{
    dph_richards_data *d = ctx;
    int64_t n = d->n;
    double rise = theta[3] - d->floor;
    double *slope = array(d, SLOPE);

    if (!(theta[0] == d->at[0] && theta[1] == d->at[1] && theta[2] == d->at[2] &&
          theta[3] == d->at[3])) {
        evaluate(d, theta);
    }
    if (jacobian != NULL) {
        derivatives(d, exp(theta[0]), exp(theta[2]), rise, array(d, U), array(d, E),
                    array(d, MINUS), array(d, G), jacobian);
    }
    if (d->problems == NULL) {
        plain(array(d, G), d->y, d->floor, rise, r, n);
        return;
    }
    roots(d, array(d, P), array(d, HIT), array(d, MISS), r, slope);
    for (int j = 0; jacobian != NULL && j < 4; j++) {
        for (int64_t i = 0; i < n; i++) {
            jacobian[j * n + i] *= slope[i];
        }
    }
}

/* Half height of the curve lies at x0 - shift / k, where its slope in log share is k steep: with
 * a = ln(2) / v, shift = ln(e^a - 1) and steep = v (1 - e^-a). */
typedef struct {
    double shift;
    double ln_steep;
    double by_shift; /* derivatives by ln v */
    double by_steep;
} half_height;

static half_height
half_height_of(double ln_v)
{
    double a = log(2) * exp(-ln_v);
    double grown = expm1(a);

    return (half_height){.shift = log(grown),
                         .ln_steep = ln_v + log(grown) - a,
                         .by_shift = -a * (1 + 1 / grown),
                         .by_steep = 1 - a / grown};
}

void
dph_richards_retract(const double *theta, const double *step, double *to, void *ctx)
{
    half_height from = half_height_of(theta[2]);
    half_height end = half_height_of(theta[2] + step[2]);
    double k = exp(theta[0]);
    double half = theta[1] - from.shift / k;
    double ln_slope = theta[0] + from.ln_steep;

    (void)ctx;
    half += step[1] + (from.shift * step[0] - from.by_shift * step[2]) / k;
    ln_slope += step[0] + from.by_steep * step[2];
    to[0] = ln_slope - end.ln_steep;
    to[1] = half + end.shift * exp(-to[0]);
}

#include "richardsprofile.h"

#include <math.h>

#include "richards_residuals.h"

#define RUNG_STEPS 25
#define START_STEPS 60
#define ROUGH 1e-4  /* relative offset of a rung */
#define LOWER 1e-10 /* relative gain that counts */

enum { LN_K, X0, LN_V, CEILING, N_COEFFICIENTS };

/* The curve of shape ln_v with the value, slope and curvature (in the log of the share) that theta
 * has at x = at: k sigma(u) and v k sigma(-u) stay, u = k (at - x0). */
static void
reshape(const double *theta, double ln_v, double at, double floor, double *to)
{
    double k = exp(theta[LN_K]);
    double u = k * (at - theta[X0]);
    double other = u + ln_v - theta[LN_V]; /* v e^-u is slope over curvature */
    double new_k = 0;

    /* log sigma(u) = -log1p(exp(-u)) */
    to[LN_K] = theta[LN_K] - log1p(exp(-u)) + log1p(exp(-other));
    new_k = exp(to[LN_K]);
    to[X0] = at - other / new_k;
    to[LN_V] = ln_v;
    to[CEILING] = floor + (theta[CEILING] - floor) * exp(exp(ln_v) * log1p(exp(-other)) -
                                                         exp(theta[LN_V]) * log1p(exp(-u)));
}

/* Where half of the rise is done, or the end of the points that is nearest to it. */
static double
seen_half(const dph_richards_data *data, const double *theta)
{
    double half = theta[X0] - log(expm1(log(2) * exp(-theta[LN_V]))) * exp(-theta[LN_K]);
    double lo = data->x[0];
    double hi = data->x[0];

    for (int64_t i = 1; i < data->n; i++) {
        lo = fmin(lo, data->x[i]);
        hi = fmax(hi, data->x[i]);
    }
    return fmin(fmax(half, lo), hi);
}

void
dph_richards_held(const dph_lm_problem *problem, int which, double value, double tolerance,
                  double *scratch, const dph_lm_result *best, dph_lm_result *out)
{
    const dph_richards_data *data = problem->ctx;
    double lo[N_COEFFICIENTS];
    double hi[N_COEFFICIENTS];
    double start[N_COEFFICIENTS];
    dph_lm_problem held = *problem;

    for (int j = 0; j < N_COEFFICIENTS; j++) {
        lo[j] = j == which ? value : problem->lo[j];
        hi[j] = j == which ? value : problem->hi[j];
        start[j] = best->theta[j];
    }
    if (which == LN_V) {
        reshape(best->theta, value, seen_half(data, best->theta), data->floor, start);
    }
    for (int j = 0; j < N_COEFFICIENTS; j++) {
        start[j] = isfinite(start[j]) ? start[j] : best->theta[j];
    }
    held.lo = lo;
    held.hi = hi;
    dph_lm(&held, start, RUNG_STEPS, tolerance, scratch, out);
}

int
dph_richards_profile(const dph_lm_problem *problem, int which, int n_rungs, double *scratch,
                     dph_lm_result *best)
{
    double step = (problem->hi[which] - problem->lo[which]) / n_rungs;
    double from = best->theta[which];
    dph_lm_result lowest = *best;

    if (!(step > 0)) {
        return 0;
    }
    for (int way = -1; way <= 1; way += 2) {
        dph_lm_result rung[DPH_PROFILE_RUNGS + 1];
        double end = way < 0 ? problem->lo[which] : problem->hi[which];
        int n = (int)fmin(ceil((end - from) * way / step), DPH_PROFILE_RUNGS);

        rung[0] = *best;
        for (int i = 1; i <= n; i++) {
            double value = i == n ? end : from + way * i * step;

            dph_richards_held(problem, which, value, ROUGH, scratch, &rung[i - 1], &rung[i]);
            if (!isfinite(rung[i].rss)) {
                n = i - 1;
            }
        }
        for (int i = 1; i <= n; i++) {
            dph_lm_result found;

            /* the first rung may be on the slope of the start's own valley */
            if ((i > 1 && rung[i].rss > rung[i - 1].rss) ||
                (i < n && rung[i].rss > rung[i + 1].rss)) {
                continue;
            }
            dph_lm(problem, rung[i].theta, START_STEPS, ROUGH, scratch, &found);
            if (found.rss < lowest.rss * (1 - LOWER)) {
                lowest = found;
            }
        }
    }
    if (!(lowest.rss < best->rss)) {
        return 0;
    }
    *best = lowest;
    return 1;
}

#include "richards.h"

#include <math.h>

#include "../base/column.h"
#include "../base/lm.h"
#include "curvescan.h"
#include "richards_residuals.h"

#define SHORT_STEPS 12
#define LONG_STEPS 2000
#define ROUGH 1e-4 /* relative offset at which two sums are within 1e-8 of their minima */
#define TOLERANCE 1e-7
#define VALLEY 1e-3 /* standard errors that a Gauss-Newton step would still move */
#define FINALISTS 6
#define SAME 1e-7
#define EASY 0.2       /* share of the variance left at which two equal answers settle it */
#define ROUNDING 1e-15 /* residuals of this share of the data are exact */
#define VAGUE 0.25

enum { LN_K, X0, LN_V, CEILING, N_COEFFICIENTS };

double
dph_richards_value(double x, double k, double x0, double v, double floor, double ceiling)
{
    double u = k * (x - x0);
    double e = exp(-fabs(u));
    double log_sigma = (isless(u, 0) ? u : 0) - log1p(e);

    return floor + (ceiling - floor) * exp(v * log_sigma);
}

double
dph_richards_x(double y, double k, double x0, double v, double floor, double ceiling)
{
    double share = (y - floor) / (ceiling - floor);

    /* sigma = share^(1/v), hence exp(-u) = share^(-1/v) - 1. */
    return isgreater(share, 0) && isless(share, 1) && isgreater(v, 0)
               ? x0 - log(expm1(-log(share) / v)) / k
               : NAN;
}

void
dph_richards_box(double x_min, double x_max, double floor, double *box)
{
    double w = x_max - x_min;

    box[0] = 0.1 / fmax(1, w);
    box[1] = x_min - 2 * fmax(1, w);
    box[2] = 0.1;
    box[3] = floor + 0.05;
    box[4] = 50 / fmin(1, w);
    box[5] = x_max + 2 * fmax(1, w);
    box[6] = 20;
    box[7] = 1;
}

size_t
dph_richards_scratch(int64_t n)
{
    return (size_t)(dph_lm_scratch(n, N_COEFFICIENTS) + 6 * n);
}

static void
no_curve(dph_richards *out, int64_t n, double floor, int32_t status)
{
    *out = (dph_richards){.n = n,
                          .k = NAN,
                          .x0 = NAN,
                          .v = NAN,
                          .ceiling = NAN,
                          .floor = floor,
                          .sse = NAN,
                          .deviance = NAN,
                          .se_k = NAN,
                          .se_x0 = NAN,
                          .se_v = NAN,
                          .se_ceiling = NAN,
                          .x_half = NAN,
                          .x_min = NAN,
                          .x_max = NAN,
                          .status = status};
}

/* What one group brings to its fit. */
typedef struct {
    dph_richards_data data;
    dph_lm_problem problem;
    double lo[N_COEFFICIENTS];
    double hi[N_COEFFICIENTS];
    double box[DPH_RICHARDS_BOX];
    dph_column x;
    dph_column y;
    double total; /* sum of squares about the mean, in the units of the objective */
    double *weights;
    double *scratch;
    int n_free;
} task;

static int32_t
check(task *t, const dph_richards_batch *batch, int64_t g)
{
    double ceiling = batch->ceilings != NULL ? batch->ceilings[g] : NAN;
    int64_t n = t->data.n;
    int64_t first = batch->offsets[g];

    t->n_free = isnan(ceiling) ? 4 : 3;
    if (n < t->n_free) {
        return DPH_E_TOO_FEW_POINTS;
    }
    if (!t->x.finite || !t->y.finite || !isfinite(t->data.floor) || isinf(ceiling)) {
        return DPH_E_BAD_VALUE;
    }
    if (t->x.distinct == 1) {
        return DPH_E_EQUAL_X;
    }
    if (t->y.distinct == 1) {
        return DPH_E_CONSTANT_ACCURACY;
    }
    if (batch->problems != NULL) {
        if (!(t->y.min >= 0 && t->y.max <= 1 && t->data.floor >= 0 && t->data.floor < 1)) {
            return DPH_E_BAD_VALUE;
        }
        for (int64_t i = first; i < first + n; i++) {
            if (!(batch->problems[i] > 0 && isfinite(batch->problems[i]))) {
                return DPH_E_BAD_VALUE;
            }
        }
    }
    if (batch->boxes != NULL) {
        for (int j = 0; j < DPH_RICHARDS_BOX; j++) {
            t->box[j] = batch->boxes[g * DPH_RICHARDS_BOX + j];
        }
    } else {
        dph_richards_box(t->x.min, t->x.max, t->data.floor, t->box);
    }
    if (!isnan(ceiling)) {
        t->box[3] = ceiling;
        t->box[7] = ceiling;
    }
    if (!(t->box[0] > 0 && t->box[2] > 0 && isfinite(t->box[4]) && isfinite(t->box[6]) &&
          isfinite(t->box[1]) && isfinite(t->box[5]) && isfinite(t->box[7])) ||
        !(t->box[0] <= t->box[4] && t->box[1] <= t->box[5] && t->box[2] <= t->box[6])) {
        return DPH_E_BAD_VALUE;
    }
    return t->box[3] > t->data.floor && t->box[7] >= t->box[3] ? DPH_OK : DPH_E_CEILING_TOO_LOW;
}

/* Weights of the scan, the variance to explain, and the solver's problem. */
static void
prepare(task *t)
{
    int64_t n = t->data.n;
    double sum = 0;
    double mean = 0;
    double mass = 0;
    double level = 0;

    for (int64_t i = 0; i < n; i++) {
        double m = t->data.problems != NULL ? t->data.problems[i] : 0;
        double p = (t->data.y[i] * m + 1) / (m + 2); /* never 0 or 1 */

        t->weights[i] = t->data.problems != NULL ? m / (p * (1 - p)) : 1;
        mass += t->weights[i];
        sum += t->weights[i] * t->data.y[i];
        level += t->weights[i] * t->data.y[i] * t->data.y[i];
    }
    mean = sum / mass;
    t->total = 0;
    for (int64_t i = 0; i < n; i++) {
        t->total += t->weights[i] * (t->data.y[i] - mean) * (t->data.y[i] - mean);
    }
    for (int j = 0; j < N_COEFFICIENTS; j++) {
        t->lo[j] = t->box[j];
        t->hi[j] = t->box[j + 4];
    }
    t->lo[LN_K] = log(t->box[0]);
    t->hi[LN_K] = log(t->box[4]);
    t->lo[LN_V] = log(t->box[2]);
    t->hi[LN_V] = log(t->box[6]);
    t->problem = (dph_lm_problem){.residuals = dph_richards_residuals,
                                  .ctx = &t->data,
                                  .n = n,
                                  .n_params = N_COEFFICIENTS,
                                  .lo = t->lo,
                                  .hi = t->hi,
                                  .noise = ROUNDING * sqrt(level)};
}

/* Refine the starts: a few steps each, then the best few to the end. */
static dph_lm_result
search(task *t, const dph_scan_start *starts, int n_starts, const dph_richards_options *options,
       int32_t *n_refined)
{
    dph_lm_result found[DPH_SCAN_STARTS];
    dph_lm_result best = {.rss = INFINITY, .ending = DPH_LM_GAVE_UP};
    int order[DPH_SCAN_STARTS];
    int n_found = 0;
    int n_equal = 0;
    int n_shapes = 0; /* agreeing starts of another shape than the best one */
    double first_shape = NAN;

    for (int s = 0; s < n_starts; s++) {
        double theta[N_COEFFICIENTS] = {starts[s].ln_k, starts[s].x0, starts[s].ln_v,
                                        starts[s].ceiling};
        dph_lm_result one;
        int place = n_found;

        if (options->stopped != NULL && atomic_load(options->stopped)) {
            return best;
        }
        dph_lm(&t->problem, theta, SHORT_STEPS, ROUGH, t->scratch, &one);
        *n_refined += 1;
        if (!isfinite(one.rss)) {
            continue;
        }
        if (one.ending != DPH_LM_GAVE_UP && one.rss <= EASY * t->total) {
            if (n_found > 0 && fabs(one.rss - found[order[0]].rss) <= SAME * one.rss) {
                n_equal++;
                n_shapes += starts[s].ln_v != first_shape;
            } else if (n_found == 0 || one.rss < found[order[0]].rss) {
                n_equal = 0; /* a better minimum: the agreement was about another one */
                n_shapes = 0;
                first_shape = starts[s].ln_v;
            }
        }
        found[n_found] = one;
        while (place > 0 && found[order[place - 1]].rss > one.rss) {
            order[place] = order[place - 1];
            place--;
        }
        order[place] = n_found++;
        if (n_equal >= 1 && n_shapes >= 1 && found[order[0]].ending == DPH_LM_SHARP) {
            break;
        }
    }
    for (int s = 0; s < n_found && s < FINALISTS; s++) {
        dph_lm_result one = found[order[s]];

        if (options->stopped != NULL && atomic_load(options->stopped)) {
            return best;
        }
        if (one.ending == DPH_LM_GAVE_UP || s == 0) {
            double theta[N_COEFFICIENTS];

            for (int j = 0; j < N_COEFFICIENTS; j++) {
                theta[j] = one.theta[j];
            }
            dph_lm(&t->problem, theta, LONG_STEPS, TOLERANCE, t->scratch, &one);
        }
        if (one.rss < best.rss) {
            best = one;
        }
    }
    return best;
}

static int32_t
judge(const task *t, const dph_lm_result *best, const dph_richards *fit, double slope, int rank)
{
    static const int32_t at_bound[N_COEFFICIENTS] = {DPH_W_K_AT_BOUND, DPH_W_X0_AT_BOUND,
                                                     DPH_W_V_AT_BOUND, DPH_W_CEILING_AT_BOUND};
    int32_t status = DPH_OK;

    for (int j = 0; j < t->n_free; j++) {
        status |= (best->at_lo | best->at_hi) >> j & 1 ? at_bound[j] : 0;
    }
    status |= t->x.max < fit->x_half ? DPH_W_NONE_ABOVE_HALF : 0;
    status |= t->x.min > fit->x_half ? DPH_W_NONE_BELOW_HALF : 0;
    status |= t->n_free == 4 && fit->se_ceiling > VAGUE * (fit->ceiling - fit->floor)
                  ? DPH_W_CEILING_VAGUE
                  : 0;
    status |= rank != DPH_OK || (best->ending != DPH_LM_SHARP && !(best->offset <= VALLEY))
                  ? DPH_W_VALLEY
                  : 0;
    status |= !(slope > 0) ? DPH_W_NOT_RISING : 0;
    status |= t->x.distinct <= t->n_free ? DPH_W_NO_SPARE_POINTS : 0;
    return status;
}

static void
finish(task *t, const dph_lm_result *best, int32_t n_refined, dph_richards *out)
{
    double se[N_COEFFICIENTS];
    double variance = t->data.problems != NULL ? 1 : NAN;
    double x_mean = 0;
    double slope = 0;
    int rank = dph_lm_errors(&t->problem, best, variance, t->scratch, se);

    /* Four points and four coefficients: no spare residual is no lack of rank. */
    rank = rank == DPH_E_TOO_FEW_POINTS ? DPH_OK : rank;
    *out = (dph_richards){.n = t->data.n,
                          .k = exp(best->theta[LN_K]),
                          .x0 = best->theta[X0],
                          .v = exp(best->theta[LN_V]),
                          .ceiling = best->theta[CEILING],
                          .floor = t->data.floor,
                          .sse = 0,
                          .deviance = t->data.problems != NULL ? best->rss : NAN,
                          .x_min = t->x.min,
                          .x_max = t->x.max,
                          .n_starts = n_refined};
    /* exp(log(bound)) need not be the bound */
    out->k = fmin(fmax(out->k, t->box[0]), t->box[4]);
    out->v = fmin(fmax(out->v, t->box[2]), t->box[6]);
    out->se_k = se[LN_K] * out->k;
    out->se_x0 = se[X0];
    out->se_v = se[LN_V] * out->v;
    out->se_ceiling = se[CEILING];
    out->x_half = out->x0 - log(expm1(log(2) / out->v)) / out->k;
    for (int64_t i = 0; i < t->data.n; i++) {
        double value =
            dph_richards_value(t->data.x[i], out->k, out->x0, out->v, out->floor, out->ceiling);

        out->sse += (t->data.y[i] - value) * (t->data.y[i] - value);
        x_mean += t->data.x[i] / (double)t->data.n;
    }
    for (int64_t i = 0; i < t->data.n; i++) {
        slope += (t->data.x[i] - x_mean) * t->data.y[i];
    }
    out->status = judge(t, best, out, slope, rank);
}

void
dph_richards_fit(const dph_richards_batch *batch, int64_t begin, int64_t end,
                 const dph_richards_options *options, double *scratch, dph_richards *out)
{
    for (int64_t g = begin; g < end; g++) {
        int64_t first = batch->offsets[g];
        int64_t n = batch->offsets[g + 1] - first;
        task t = {.data = {.x = batch->x + first,
                           .y = batch->y + first,
                           .problems = batch->problems != NULL ? batch->problems + first : NULL,
                           .n = n,
                           .floor = batch->floors[g],
                           .work = scratch},
                  .weights = scratch + 5 * n,
                  .scratch = scratch + 6 * n};
        dph_scan_start starts[DPH_SCAN_STARTS];
        dph_lm_result best;
        int32_t status = DPH_OK;
        int32_t n_refined = 0;
        int n_starts = 0;

        if (options->stopped != NULL && atomic_load(options->stopped)) {
            no_curve(&out[g], n, t.data.floor, DPH_E_CANCELLED);
            continue;
        }
        t.x = dph_column_summary(t.data.x, n);
        t.y = dph_column_summary(t.data.y, n);
        status = check(&t, batch, g);
        if (status != DPH_OK) {
            no_curve(&out[g], n, t.data.floor, status);
            continue;
        }
        prepare(&t);
        n_starts = dph_scan_curves(&t.data, t.weights, t.box, t.x.min, t.x.max, t.total, starts);
        best = search(&t, starts, n_starts, options, &n_refined);
        if (!isfinite(best.rss)) {
            no_curve(&out[g], n, t.data.floor, DPH_E_NO_CONVERGENCE);
            continue;
        }
        finish(&t, &best, n_refined, &out[g]);
    }
}

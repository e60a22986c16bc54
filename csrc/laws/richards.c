#include "richards.h"

#include <math.h>

#include "../base/column.h"
#include "../base/distributions.h"
#include "../base/lm.h"
#include "richardsscan.h"
#include "richards_residuals.h"
#include "richardsprofile.h"

#define SHORT_STEPS 12
#define MEDIUM_STEPS 40
#define LONG_STEPS 2000
#define QUICK_STARTS 5
#define NEAR_STARTS 6 /* beside a guess: the guess and the best of the scan */
#define NEAR_STEPS 60 /* of the best of them */
#define NEAR_FINALISTS 2
#define ROUGH 1e-4 /* relative offset at which two sums are within 1e-8 of their minima */
#define TOLERANCE 1e-7
#define VALLEY 1e-3 /* standard errors that a Gauss-Newton step would still move */
#define FINALISTS 12
#define CORNERS 5
#define SAME 1e-7
#define EASY 0.2       /* share of the variance left at which two equal answers settle it */
#define ROUNDING 1e-15 /* residuals of this share of the data are exact */
#define VAGUE 0.25
#define SURE 6 /* standard errors to that distance at which no profile is needed */
#define PROFILE_LEVEL 0.995
#define PROFILE_OFFSET 0.02 /* relative offset: the sum to a thousandth */
#define EDGE 0.05           /* share of the rise at either end that is no slope */
#define MOST_SHOWN 8        /* points on the slope that settle where it is */
#define MOST_SPREAD 2       /* standard error of ln v at which the points settle the shape */
#define SHAPE_RUNGS 10      /* of the profile over ln v */
#define CEILING_RUNGS 5
#define MOST_PROFILES 4 /* looks along the profile that find something better */

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
    return (size_t)(dph_lm_scratch(n, N_COEFFICIENTS) + (DPH_RICHARDS_WORK + 1) * n);
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
    double total;        /* sum of squares about the mean, in the units of the objective */
    const double *guess; /* k, x0, v, C, or NULL */
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
    if (batch->guesses != NULL) {
        t->guess = batch->guesses + g * N_COEFFICIENTS;
        if (!(t->guess[0] > 0 && t->guess[2] > 0 && isfinite(t->guess[0]) &&
              isfinite(t->guess[1]) && isfinite(t->guess[2]) && isfinite(t->guess[3]))) {
            return DPH_E_BAD_VALUE;
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
                                  .retract = dph_richards_retract,
                                  .ctx = &t->data,
                                  .n = n,
                                  .n_params = N_COEFFICIENTS,
                                  .lo = t->lo,
                                  .hi = t->hi,
                                  .noise = ROUNDING * sqrt(level)};
}

/* Whether a minimum is sharp, inside the box, and has half height and enough points on its slope
 * among the points: a curve that passes between two points, or ends at a bound, has rivals
 * elsewhere that fit about as well. */
static int
shown_by_points(const task *t, const dph_lm_result *fit)
{
    double k = exp(fit->theta[LN_K]);
    double v = exp(fit->theta[LN_V]);
    double low = dph_richards_x(EDGE, k, fit->theta[X0], v, 0, 1);
    double half = dph_richards_x(0.5, k, fit->theta[X0], v, 0, 1);
    double high = dph_richards_x(1 - EDGE, k, fit->theta[X0], v, 0, 1);
    uint32_t free_bits = (UINT32_C(1) << t->n_free) - 1;
    int on_slope = 0;

    if (fit->ending != DPH_LM_SHARP || ((fit->at_lo | fit->at_hi) & free_bits) != 0 ||
        !(half > t->x.min && half < t->x.max)) {
        return 0;
    }
    for (int64_t i = 0; i < t->data.n; i++) {
        on_slope += t->data.x[i] > low && t->data.x[i] < high;
    }
    return on_slope >= MOST_SHOWN;
}

/* Whether the standard errors of such a minimum are small: the ends of a wide valley may be lower
 * than its middle. */
static int
narrow(const task *t, const dph_lm_result *fit)
{
    double se[N_COEFFICIENTS];
    double variance = t->data.problems != NULL ? 1 : NAN;

    return dph_lm_errors(&t->problem, fit, variance, t->scratch, se) == DPH_OK &&
           se[LN_V] <= MOST_SPREAD &&
           !(se[CEILING] > VAGUE * (fit->theta[CEILING] - t->data.floor));
}

#define MOST_FOUND (QUICK_STARTS + DPH_SCAN_STARTS + CORNERS)

/* Minima found so far, and how far the best of them agree. */
typedef struct {
    dph_lm_result found[MOST_FOUND];
    int order[MOST_FOUND]; /* by sum of squares */
    int n;
    int n_equal;
    int n_shapes; /* agreeing starts of another shape than the first of them */
    double first_shape;
} minima;

static void
add(minima *m, const task *t, const dph_lm_result *one, double ln_v)
{
    int place = m->n;

    if (one->ending != DPH_LM_GAVE_UP && one->rss <= EASY * t->total) {
        if (m->n > 0 && fabs(one->rss - m->found[m->order[0]].rss) <= SAME * one->rss) {
            m->n_equal++;
            m->n_shapes += ln_v != m->first_shape;
        } else if (m->n == 0 || one->rss < m->found[m->order[0]].rss) {
            m->n_equal = 0; /* a better minimum: the agreement was about another one */
            m->n_shapes = 0;
            m->first_shape = ln_v;
        }
    }
    m->found[m->n] = *one;
    while (place > 0 && m->found[m->order[place - 1]].rss > one->rss) {
        m->order[place] = m->order[place - 1];
        place--;
    }
    m->order[place] = m->n++;
}

static void
go_on(task *t, dph_lm_result *one, int max_steps, double tolerance)
{
    double theta[N_COEFFICIENTS];

    for (int j = 0; j < N_COEFFICIENTS; j++) {
        theta[j] = one->theta[j];
    }
    dph_lm(&t->problem, theta, max_steps, tolerance, t->scratch, one);
}

static int
stopped(const dph_richards_options *options)
{
    return options->stopped != NULL && atomic_load(options->stopped);
}

/* A few steps from every start; 1 as soon as two of them agree on what the points show. */
static int
explore(task *t, const dph_scan_start *starts, int n_starts, const dph_richards_options *options,
        minima *m)
{
    for (int s = 0; s < n_starts && !stopped(options); s++) {
        double theta[N_COEFFICIENTS] = {starts[s].ln_k, starts[s].x0, starts[s].ln_v,
                                        starts[s].ceiling};
        dph_lm_result one;

        dph_lm(&t->problem, theta, SHORT_STEPS, ROUGH, t->scratch, &one);
        if (!isfinite(one.rss)) {
            continue;
        }
        add(m, t, &one, starts[s].ln_v);
        if (m->n_equal >= 1 && m->n_shapes >= 1 && shown_by_points(t, &m->found[m->order[0]])) {
            return 1;
        }
    }
    return 0;
}

/* Starts in corners of the box, for rises of which the data are one end. */
static void
corner_starts(const task *t, dph_scan_start *starts)
{
    double width = t->x.max - t->x.min;
    double top = fmin(fmax(t->y.max, t->box[3]), t->box[7]);
    double gentle = log(1.5 / width);
    double steep = log(5 / width);

    starts[0] = (dph_scan_start){t->lo[LN_K], t->hi[X0], log(2.5), 0.5 * (top + t->box[7]), 0};
    starts[1] = (dph_scan_start){gentle, t->hi[X0], t->lo[LN_V], top, 0};
    starts[2] = (dph_scan_start){steep, t->x.min + 0.5 * width, t->lo[LN_V], top, 0};
    starts[3] = (dph_scan_start){steep, t->x.max, t->lo[LN_V], top, 0};
    starts[4] = (dph_scan_start){t->lo[LN_K], t->hi[X0], log(3), t->box[7], 0};
}

/* The best of the finalists after going on with those that gave up, and with the best in any case.
 */
static dph_lm_result
lowest(task *t, const minima *m, int n_finalists, int max_steps, double tolerance,
       const dph_richards_options *options)
{
    dph_lm_result best = {.rss = INFINITY, .ending = DPH_LM_GAVE_UP};

    for (int s = 0; s < m->n && s < n_finalists && !stopped(options); s++) {
        dph_lm_result one = m->found[m->order[s]];

        if (one.ending == DPH_LM_GAVE_UP || s == 0) {
            go_on(t, &one, max_steps, tolerance);
        }
        if (one.rss < best.rss) {
            best = one;
        }
    }
    return best;
}

/* Beside a guess: from it and from the best of a full scan, so that a replicate may leave the
 * valley of the curve it is a replicate of; not to the last digit. */
static dph_lm_result
search_near(task *t, const dph_richards_options *options, int32_t *n_refined)
{
    dph_scan_start starts[1 + DPH_SCAN_STARTS];
    minima m = {.n = 0, .first_shape = NAN};
    int n_starts = 1 + dph_scan_curves(&t->data, t->weights, t->box, t->x.min, t->x.max, t->total,
                                       0, starts + 1);
    int settled = 0;

    starts[0] = (dph_scan_start){log(t->guess[0]), t->guess[1], log(t->guess[2]), t->guess[3], 0};
    t->data.at[0] = NAN; /* the scan used its arrays */
    settled = explore(t, starts, n_starts < NEAR_STARTS ? n_starts : NEAR_STARTS, options, &m);
    *n_refined = m.n;
    return lowest(t, &m, settled ? 1 : NEAR_FINALISTS, NEAR_STEPS, ROUGH, options);
}

/* The lowest minimum: from a quick scan where the points show one curve, else from a full scan. */
static dph_lm_result
search(task *t, const dph_richards_options *options, int32_t *n_refined)
{
    dph_scan_start starts[DPH_SCAN_STARTS + CORNERS];
    minima m = {.n = 0, .first_shape = NAN};
    int n_starts =
        dph_scan_curves(&t->data, t->weights, t->box, t->x.min, t->x.max, t->total, 1, starts);
    dph_lm_result best;
    int n_finalists = 1;

    if (!explore(t, starts, n_starts < QUICK_STARTS ? n_starts : QUICK_STARTS, options, &m)) {
        n_starts =
            dph_scan_curves(&t->data, t->weights, t->box, t->x.min, t->x.max, t->total, 0, starts);
        t->data.at[0] = NAN; /* the scan used its arrays */
        corner_starts(t, starts + n_starts);
        if (!explore(t, starts, n_starts + CORNERS, options, &m)) {
            minima sure = {.n = 0, .first_shape = NAN};

            for (int s = 0; s < m.n && !stopped(options); s++) {
                if (m.found[s].ending == DPH_LM_GAVE_UP) {
                    go_on(t, &m.found[s], MEDIUM_STEPS, ROUGH);
                }
                add(&sure, t, &m.found[s], 0);
            }
            sure.n = stopped(options) ? 0 : sure.n;
            m = sure;
            n_finalists = FINALISTS;
        }
    }
    *n_refined = m.n;
    best = lowest(t, &m, n_finalists, LONG_STEPS, TOLERANCE, options);
    if (isfinite(best.rss) && !(shown_by_points(t, &best) && narrow(t, &best))) {
        for (int i = 0; i < MOST_PROFILES && !stopped(options); i++) {
            int better = dph_richards_profile(&t->problem, LN_V, SHAPE_RUNGS, t->scratch, &best);

            better |= dph_richards_profile(&t->problem, CEILING, CEILING_RUNGS, t->scratch, &best);
            if (!better) {
                break;
            }
            go_on(t, &best, LONG_STEPS, TOLERANCE);
        }
    }
    return best;
}

/* Whether a ceiling a quarter of the rise away fits about as well: inside the 99% interval of the
 * profile likelihood, which a standard error says only of a ceiling that is known far better. */
static int
vague_ceiling(const task *t, const dph_lm_result *best, const dph_richards *fit)
{
    double away = VAGUE * (fit->ceiling - fit->floor);
    double spare = (double)(t->data.n - t->n_free);
    double variance = best->rss / spare;
    double value = fit->ceiling + away;
    double limit = 0;
    dph_lm_result other;

    if (t->n_free < N_COEFFICIENTS || fit->se_ceiling > away) {
        return t->n_free == N_COEFFICIENTS;
    }
    /* Below the ceiling are the points; only where there is no room above is that the open side. */
    value = value <= t->hi[CEILING] ? value : fit->ceiling - away;
    if (spare < 1 || t->guess != NULL || SURE * fit->se_ceiling < away || value < t->lo[CEILING]) {
        return 0;
    }
    variance = t->data.problems != NULL ? fmax(variance, 1) : variance;
    limit = dph_t_quantile(PROFILE_LEVEL, spare);
    limit = best->rss + variance * limit * limit;
    dph_richards_held(&t->problem, CEILING, value, PROFILE_OFFSET, t->scratch, best, &other);
    return other.rss <= limit;
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
    status |= vague_ceiling(t, best, fit) ? DPH_W_CEILING_VAGUE : 0;
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
                           .work = scratch,
                           .at = {NAN}},
                  .weights = scratch + DPH_RICHARDS_WORK * n,
                  .scratch = scratch + (DPH_RICHARDS_WORK + 1) * n};
        dph_lm_result best;
        int32_t status = DPH_OK;
        int32_t n_refined = 0;

        if (stopped(options)) {
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
        best = (t.guess != NULL ? search_near : search)(&t, options, &n_refined);
        if (!isfinite(best.rss)) {
            no_curve(&out[g], n, t.data.floor, DPH_E_NO_CONVERGENCE);
            continue;
        }
        finish(&t, &best, n_refined, &out[g]);
    }
}

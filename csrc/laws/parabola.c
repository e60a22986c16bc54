#include "parabola.h"

#include <math.h>

#include "../base/column.h"
#include "../base/line.h"
#include "../base/lstsq.h"

#define COLS 3
#define JOINT_SCAN 24
#define JOINT_MIN_DISTINCT 5

/* One budget: x scaled to t in [-1, 1], so that no column of the design dwarfs another. */
typedef struct {
    const double *loss;
    double *x;      /* [n] log10 tokens */
    double *log_p;  /* [n] log10 params */
    double *t;      /* [n] (x - centre) / half */
    double *design; /* [3][n] */
    double *rhs;    /* [n] */
    int64_t n;
    double centre;
    double half;
} bucket;

size_t
dph_parabola_scratch(int64_t n_largest)
{
    return (size_t)n_largest * (3 + COLS + 1);
}

static void
no_parabola(dph_parabola *out, int64_t n, int32_t status)
{
    *out = (dph_parabola){.n = n,
                          .a = NAN,
                          .b = NAN,
                          .c = NAN,
                          .x_vertex = NAN,
                          .x_star = NAN,
                          .tokens_star = NAN,
                          .params_star = NAN,
                          .loss_star = NAN,
                          .a_under = NAN,
                          .a_over = NAN,
                          .rss = NAN,
                          .se_x_star = NAN,
                          .se_loss_star = NAN,
                          .x_min = NAN,
                          .x_max = NAN,
                          .joint_x_star = NAN,
                          .joint_loss_star = NAN,
                          .joint_a_under = NAN,
                          .joint_a_over = NAN,
                          .joint_rss = NAN,
                          .status = status};
}

static int
logs_of_positive(const double *raw, double *logs, int64_t n)
{
    int good = 1;

    for (int64_t i = 0; i < n; i++) {
        good &= raw[i] > 0 && isfinite(raw[i]);
        logs[i] = log10(raw[i]);
    }
    return good;
}

/* Curvature of one side about the anchor, sum dx^2 dy / sum dx^4; NaN if no point lies there. */
static double
anchored_curvature(const bucket *k, double x_star, double loss_star, int side)
{
    double num = 0;
    double den = 0;

    for (int64_t i = 0; i < k->n; i++) {
        double dx = k->x[i] - x_star;
        if ((side < 0 && dx < 0) || (side > 0 && dx > 0)) {
            num += dx * dx * (k->loss[i] - loss_star);
            den += dx * dx * dx * dx;
        }
    }
    return num / den;
}

/* Least squares for one vertex v: loss = p0 + p1 min(t - v, 0)^2 + p2 max(t - v, 0)^2. */
static int
joint_solve(const bucket *k, double v, double *p, double *rss)
{
    int64_t n = k->n;

    for (int64_t i = 0; i < n; i++) {
        double d = k->t[i] - v;
        k->design[i] = 1;
        k->design[n + i] = d < 0 ? d * d : 0;
        k->design[2 * n + i] = d > 0 ? d * d : 0;
        k->rhs[i] = k->loss[i];
    }
    return dph_lstsq(k->design, k->rhs, n, COLS, p, NULL, rss);
}

static double
joint_objective(double v, void *ctx, double *slope)
{
    const bucket *k = ctx;
    double p[COLS] = {0};
    double rss = 0;
    double sum = 0;

    if (joint_solve(k, v, p, &rss) != DPH_OK) {
        *slope = NAN;
        return NAN;
    }
    for (int64_t i = 0; i < k->n; i++) {
        double d = k->t[i] - v;
        double curvature = d < 0 ? p[1] : p[2];
        sum += (k->loss[i] - p[0] - curvature * d * d) * curvature * d;
    }
    *slope = 4 * sum;
    return rss;
}

/* Second smallest and second largest t: between them the vertex has a distinct point to spare on
 * each side. */
static void
inner_range(const bucket *k, double x_min, double x_max, double *lo, double *hi)
{
    *lo = 1;
    *hi = -1;
    for (int64_t i = 0; i < k->n; i++) {
        if (k->x[i] > x_min && k->t[i] < *lo) {
            *lo = k->t[i];
        }
        if (k->x[i] < x_max && k->t[i] > *hi) {
            *hi = k->t[i];
        }
    }
}

static void
fit_joint(bucket *k, int distinct, dph_minimiser *minimiser, dph_parabola *out)
{
    double grid[JOINT_SCAN];
    double p[COLS] = {0};
    double lo = 0;
    double hi = 0;
    dph_minimum best = {0};

    inner_range(k, out->x_min, out->x_max, &lo, &hi);
    if (distinct < JOINT_MIN_DISTINCT || !(lo < hi)) {
        out->status |= DPH_W_JOINT_FAILED;
        return;
    }
    for (int i = 0; i < JOINT_SCAN; i++) {
        grid[i] = i == JOINT_SCAN - 1 ? hi : lo + (hi - lo) * i / (JOINT_SCAN - 1);
    }
    if (dph_minimise(minimiser, joint_objective, k, grid, JOINT_SCAN, &best) != DPH_OK ||
        joint_solve(k, best.x, p, &out->joint_rss) != DPH_OK) {
        out->status |= DPH_W_JOINT_FAILED;
        return;
    }
    out->joint_x_star = k->centre + k->half * best.x;
    out->joint_loss_star = p[0];
    out->joint_a_under = p[1] / (k->half * k->half);
    out->joint_a_over = p[2] / (k->half * k->half);
    if (best.edge != 0) {
        out->status |= DPH_W_JOINT_AT_BOUND;
    }
    if (!(p[1] > 0) || !(p[2] > 0)) {
        out->status |= DPH_W_JOINT_CONCAVE;
    }
}

static void
fit_symmetric(bucket *k, int distinct, dph_parabola *out)
{
    int64_t n = k->n;
    double p[COLS] = {0};
    double r[COLS * COLS] = {0};
    double rss = 0;
    double t_star = 0;
    double side = 0;
    int code = DPH_OK;

    for (int64_t i = 0; i < n; i++) {
        double t = (k->x[i] - k->centre) / k->half;
        k->t[i] = t;
        k->design[i] = 1;
        k->design[n + i] = t;
        k->design[2 * n + i] = t * t;
        k->rhs[i] = k->loss[i];
    }
    code = dph_lstsq(k->design, k->rhs, n, COLS, p, r, &rss);
    if (code != DPH_OK) {
        no_parabola(out, n, code);
        return;
    }
    out->a = p[2] / (k->half * k->half);
    out->b = p[1] / k->half - 2 * out->a * k->centre;
    out->c = p[0] - p[1] / k->half * k->centre + out->a * k->centre * k->centre;
    out->rss = rss;
    t_star = -p[1] / (2 * p[2]);
    out->x_vertex = k->centre + k->half * t_star;
    if (!(p[2] > 0)) {
        out->status |= DPH_W_CONCAVE;
    }
    out->x_star = out->x_vertex;
    if (!(t_star >= -1 && t_star <= 1)) {
        out->status |= DPH_W_CLIPPED;
        t_star = t_star > 1 ? 1 : -1;
        out->x_star = t_star > 0 ? out->x_max : out->x_min;
    }
    if (distinct == COLS) {
        out->status |= DPH_W_SATURATED;
    }
    out->tokens_star = pow(10, out->x_star);
    out->loss_star = p[0] + t_star * (p[1] + t_star * p[2]);
    if (n > COLS) {
        const double at_star[COLS] = {1, t_star, t_star * t_star};
        const double vertex[COLS] = {0, -1 / (2 * p[2]), p[1] / (2 * p[2] * p[2])};
        double variance = rss / (double)(n - COLS);
        out->se_loss_star = sqrt(variance * dph_lstsq_variance(r, at_star, COLS));
        out->se_x_star = k->half * sqrt(variance * dph_lstsq_variance(r, vertex, COLS));
    }
    side = anchored_curvature(k, out->x_star, out->loss_star, -1);
    out->a_under = side > 0 ? side : out->a;
    out->status |= side > 0 ? 0 : DPH_W_A_UNDER_FALLBACK;
    side = anchored_curvature(k, out->x_star, out->loss_star, 1);
    out->a_over = side > 0 ? side : out->a;
    out->status |= side > 0 ? 0 : DPH_W_A_OVER_FALLBACK;
}

/* Is the lowest loss an inner point? A minimum seen from one side only is a guess. */
static int
bracketed(const bucket *k, const dph_parabola *out)
{
    int64_t lowest = 0;

    for (int64_t i = 1; i < k->n; i++) {
        if (k->loss[i] < k->loss[lowest]) {
            lowest = i;
        }
    }
    return k->x[lowest] > out->x_min && k->x[lowest] < out->x_max;
}

static void
fit_bucket(bucket *k, const double *tokens, const double *params, int joint,
           dph_minimiser *minimiser, dph_parabola *out)
{
    int64_t n = k->n;
    int good = 1;
    dph_column x;
    dph_column y;

    no_parabola(out, n, DPH_OK);
    good = logs_of_positive(tokens, k->x, n);
    if (params != NULL) {
        good &= logs_of_positive(params, k->log_p, n);
    }
    x = dph_column_summary(k->x, n);
    y = dph_column_summary(k->loss, n);
    if (!good || !x.finite || !y.finite) {
        out->status = DPH_E_BAD_VALUE;
        return;
    }
    if (n >= COLS && x.distinct == 1) {
        out->status = DPH_E_EQUAL_X;
        return;
    }
    if (x.distinct < COLS) {
        out->status = DPH_E_TOO_FEW_POINTS;
        return;
    }
    if (y.distinct == 1) {
        out->status = DPH_E_CONSTANT_LOSS;
        return;
    }
    out->x_min = x.min;
    out->x_max = x.max;
    k->centre = x.min + (x.max - x.min) / 2;
    k->half = (x.max - x.min) / 2;
    fit_symmetric(k, x.distinct, out);
    if (out->status < 0) {
        return;
    }
    if (!bracketed(k, out)) {
        out->status |= DPH_W_UNBRACKETED;
    }
    if (params != NULL) {
        dph_line line;
        dph_line_fit(k->x, k->log_p, n, &line);
        out->params_star = pow(10, line.y_mean + line.slope * (out->x_star - line.x_mean));
    }
    if (joint) {
        fit_joint(k, x.distinct, minimiser, out);
    }
}

void
dph_parabola_fit(const dph_parabola_batch *batch, int64_t begin, int64_t end,
                 const dph_parabola_options *options, double *scratch, dph_minimiser *minimiser,
                 dph_parabola *out)
{
    for (int64_t g = begin; g < end; g++) {
        int64_t first = batch->offsets[g];
        int64_t n = batch->offsets[g + 1] - first;
        bucket k = {.loss = batch->loss + first,
                    .x = scratch,
                    .log_p = scratch + n,
                    .t = scratch + 2 * n,
                    .design = scratch + 3 * n,
                    .rhs = scratch + (3 + COLS) * n,
                    .n = n};

        fit_bucket(&k, batch->tokens + first, batch->params != NULL ? batch->params + first : NULL,
                   options->joint, minimiser, &out[g]);
    }
}

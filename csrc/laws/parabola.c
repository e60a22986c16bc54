#include "parabola.h"

#include <float.h>
#include <math.h>

#include "../base/column.h"
#include "../base/lstsq.h"
#include "../base/order.h"
#include "../base/veclog.h"

#define COLS 3
#define JOINT_SCAN 48
#define JOINT_MIN_DISTINCT 5
#define BLOCK 1024        /* points whose logs are taken in one go */
#define PAIRWISE 48       /* points up to which comparing all pairs is quicker than sorting */
#define WINDOW_SLACK 1e-9 /* decades: a point on the edge of the window is inside */

/* One budget. */
typedef struct {
    const double *tokens;
    const double *loss;
    const double *x;     /* [n] log10 tokens */
    const double *log_p; /* [n] log10 params, or NULL */
    double *p1;          /* [n] x about its mean, or scaled to [-1, 1] in the joint fit */
    double *p2;          /* [n] the quadratic orthogonal to 1 and p1 */
    double *design;      /* [3][n], joint fit */
    double *rhs;         /* [n], joint fit */
    double *sorted;      /* [3][n] x, loss and log_p by x, windowed fit */
    int64_t n;
    const atomic_int *stopped;
} bucket;

size_t
dph_parabola_scratch(int64_t n_largest)
{
    size_t block = n_largest > BLOCK ? (size_t)n_largest : BLOCK;

    return 2 * block + (size_t)n_largest * (2 + COLS + 1 + COLS);
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
                          .x_lo = NAN,
                          .x_hi = NAN,
                          .joint_x_star = NAN,
                          .joint_loss_star = NAN,
                          .joint_a_under = NAN,
                          .joint_a_over = NAN,
                          .joint_rss = NAN,
                          .status = status};
}

/* Least squares for one vertex v: loss = p0 + p1 min(t - v, 0)^2 + p2 max(t - v, 0)^2. */
static int
joint_solve(const bucket *k, double v, double *p, double *rss)
{
    const double *t = k->p1;
    int64_t n = k->n;

    for (int64_t i = 0; i < n; i++) {
        double d = t[i] - v;
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

    if ((k->stopped != NULL && atomic_load(k->stopped)) || joint_solve(k, v, p, &rss) != DPH_OK) {
        *slope = NAN;
        return NAN;
    }
    for (int64_t i = 0; i < k->n; i++) {
        double d = k->p1[i] - v;
        double curvature = d < 0 ? p[1] : p[2];
        sum += (k->loss[i] - p[0] - curvature * d * d) * curvature * d;
    }
    *slope = 4 * sum;
    return rss;
}

/* One vertex, two curvatures. The vertex is searched between the second smallest and the second
 * largest x, so that each side keeps a distinct point to spare. */
static void
fit_joint(bucket *k, int distinct, dph_minimiser *minimiser, dph_parabola *out)
{
    double centre = out->x_lo + (out->x_hi - out->x_lo) / 2;
    double half = (out->x_hi - out->x_lo) / 2;
    double grid[JOINT_SCAN];
    double p[COLS] = {0};
    double lo = 1;
    double hi = -1;
    dph_minimum best = {0};

    for (int64_t i = 0; i < k->n; i++) {
        double t = (k->x[i] - centre) / half;

        k->p1[i] = t;
        lo = k->x[i] > out->x_lo && t < lo ? t : lo;
        hi = k->x[i] < out->x_hi && t > hi ? t : hi;
    }
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
    out->joint_x_star = centre + half * best.x;
    out->joint_loss_star = p[0];
    out->joint_a_under = p[1] / (half * half);
    out->joint_a_over = p[2] / (half * half);
    if (best.edge != 0) {
        out->status |= DPH_W_JOINT_AT_BOUND;
    }
    if (!(p[1] > 0) || !(p[2] > 0)) {
        out->status |= DPH_W_JOINT_CONCAVE;
    }
}

/* Least squares in the orthogonal polynomials 1, p1, p2 of these x (Forsythe 1957): as accurate as
 * QR, each coefficient a ratio of two sums, and their errors independent. */
static void
fit_symmetric(bucket *k, double loss_mean, int distinct, dph_parabola *out)
{
    int64_t n = k->n;
    double count = (double)n;
    double first = out->x_min + (out->x_max - out->x_min) / 2;
    double mean = 0;
    double s11 = 0;
    double s111 = 0;
    double s1y = 0;
    double s1p = 0;
    double log_p_mean = 0;
    double s22 = 0;
    double s2y = 0;
    double s1111 = 0;
    double shift = 0;
    double rss = 0;
    double skew = 0;
    double offset = 0;
    double linear = 0;
    double curvature = 0;
    double slope = 0;
    double base = 0;
    double d_star = 0;

    for (int64_t i = 0; i < n; i++) {
        shift += k->x[i] - first; /* exact differences, hence an accurate mean */
    }
    shift /= count;
    mean = first + shift;
    for (int64_t i = 0; i < n; i++) {
        double d = (k->x[i] - first) - shift;

        k->p1[i] = d;
        s11 += d * d;
        s111 += d * d * d;
        s1111 += d * d * d * d;
        s1y += d * (k->loss[i] - loss_mean);
    }
    skew = s111 / s11;
    offset = s11 / count;
    for (int64_t i = 0; i < n; i++) {
        double d = k->p1[i];
        double q = d * d - skew * d - offset;

        k->p2[i] = q;
        s22 += q * q;
        s2y += q * (k->loss[i] - loss_mean);
    }
    if (!(s22 > 1e-26 * s1111)) {
        no_parabola(out, out->n, DPH_E_RANK);
        return;
    }
    linear = s1y / s11;
    curvature = s2y / s22;
    for (int64_t i = 0; i < n; i++) {
        double residual = (k->loss[i] - loss_mean) - linear * k->p1[i] - curvature * k->p2[i];
        rss += residual * residual;
    }
    if (!isfinite(rss) || !isfinite(curvature)) {
        no_parabola(out, out->n, DPH_E_BAD_VALUE);
        return;
    }
    /* Back to powers of d = x - mean, then of x. */
    slope = linear - curvature * skew;
    base = loss_mean - curvature * offset;
    out->a = curvature;
    out->b = slope - 2 * curvature * mean;
    out->c = base - slope * mean + curvature * mean * mean;
    out->rss = rss;
    d_star = -slope / (2 * curvature);
    out->x_vertex = first + (shift + d_star);
    out->x_star = out->x_vertex;
    if (!(curvature > 0)) {
        out->status |= DPH_W_CONCAVE;
    }
    if (!(out->x_vertex >= out->x_min && out->x_vertex <= out->x_max)) {
        out->status |= DPH_W_CLIPPED;
        out->x_star = out->x_vertex > out->x_max ? out->x_max : out->x_min;
        d_star = (out->x_star - first) - shift;
    }
    if (distinct == COLS) {
        out->status |= DPH_W_SATURATED;
    }
    out->tokens_star = pow(10, out->x_star);
    out->loss_star = base + d_star * (slope + d_star * curvature);
    if (n > COLS) {
        double variance = rss / (count - COLS);
        double q_star = d_star * d_star - skew * d_star - offset;
        double half = 1 / (2 * curvature);
        double ratio = linear / curvature;

        out->se_loss_star =
            sqrt(variance * (1 / count + d_star * d_star / s11 + q_star * q_star / s22));
        out->se_x_star = fabs(half) * sqrt(variance * (1 / s11 + ratio * ratio / s22));
    }
    if (k->log_p != NULL) {
        for (int64_t i = 0; i < n; i++) {
            log_p_mean += k->log_p[i];
        }
        log_p_mean /= count;
        for (int64_t i = 0; i < n; i++) {
            s1p += k->p1[i] * (k->log_p[i] - log_p_mean);
        }
        out->params_star = pow(10, log_p_mean + s1p / s11 * d_star);
    }
}

/* Curvature of each side about the optimum, sum dx^2 dy / sum dx^4; a where that is not positive.
 */
static void
fit_sides(const bucket *k, dph_parabola *out)
{
    double num[2] = {0, 0};
    double den[2] = {0, 0};
    double under = 0;
    double over = 0;

    for (int64_t i = 0; i < k->n; i++) {
        double dx = k->x[i] - out->x_star;
        double dx2 = dx * dx;
        int side = dx > 0;

        num[side] += dx2 * (k->loss[i] - out->loss_star);
        den[side] += dx2 * dx2;
    }
    under = num[0] / den[0]; /* NaN where no point lies on that side */
    over = num[1] / den[1];
    out->a_under = under > 0 ? under : out->a;
    out->a_over = over > 0 ? over : out->a;
    out->status |= under > 0 ? 0 : DPH_W_A_UNDER_FALLBACK;
    out->status |= over > 0 ? 0 : DPH_W_A_OVER_FALLBACK;
}

/* A stretch of a bucket sorted by x. */
typedef struct {
    int64_t lo;
    int64_t hi; /* one past its last point */
    int widened;
} stretch;

/* The points of x, sorted, within window of v; more where that are too few distinct ones. */
static stretch
stretch_about(const double *x, int64_t n, double v, double window)
{
    stretch s = {.lo = 0, .hi = n};
    int distinct = 0;

    while (s.lo < n - 1 && x[s.lo] < v - window - WINDOW_SLACK) {
        s.lo++;
    }
    while (s.hi > s.lo && x[s.hi - 1] > v + window + WINDOW_SLACK) {
        s.hi--;
    }
    for (int64_t i = s.lo; i < s.hi && distinct < DPH_WINDOW_DISTINCT; i++) {
        distinct += i == s.lo || x[i] > x[i - 1];
    }
    while (distinct < DPH_WINDOW_DISTINCT && (s.lo > 0 || s.hi < n)) {
        double below = s.lo > 0 ? v - x[s.lo - 1] : INFINITY;
        double above = s.hi < n ? x[s.hi] - v : INFINITY;

        if (below <= above) {
            double edge = x[s.lo - 1];
            while (s.lo > 0 && x[s.lo - 1] == edge) {
                s.lo--;
            }
        } else {
            double edge = x[s.hi];
            while (s.hi < n && x[s.hi] == edge) {
                s.hi++;
            }
        }
        distinct++;
        s.widened = 1;
    }
    return s;
}

/* k and out become those of a stretch of `all`, sorted. 0, or -1, both untouched, if there is no
 * parabola. */
static int
fit_stretch(const bucket *all, stretch *s, bucket *k, dph_parabola *out)
{
    bucket part = *all;
    dph_parabola fit = {0};
    double sum = 0;
    int constant = 1;

    part.n = s->hi - s->lo;
    part.x = all->x + s->lo;
    part.loss = all->loss + s->lo;
    part.log_p = all->log_p != NULL ? all->log_p + s->lo : NULL;
    for (int64_t i = 0; i < part.n; i++) {
        sum += part.loss[i];
        constant &= part.loss[i] == part.loss[0];
    }
    if (constant) {
        return -1;
    }
    no_parabola(&fit, all->n, DPH_OK);
    fit.n_used = part.n;
    fit.x_min = out->x_min;
    fit.x_max = out->x_max;
    fit.x_lo = part.x[0];
    fit.x_hi = part.x[part.n - 1];
    fit_symmetric(&part, sum / (double)part.n, DPH_WINDOW_DISTINCT, &fit);
    if (fit.status < 0) {
        return -1;
    }
    fit.status |= s->widened ? DPH_W_WINDOW_WIDENED : 0;
    *k = part;
    *out = fit;
    return 0;
}

/* Columns of the bucket by x, in its own scratch. */
static bucket
sorted_bucket(const bucket *k)
{
    bucket by_x = *k;
    double *rows = k->design;
    int64_t n = k->n;

    for (int64_t i = 0; i < n; i++) {
        rows[3 * i] = k->x[i];
        rows[3 * i + 1] = k->loss[i];
        rows[3 * i + 2] = k->log_p != NULL ? k->log_p[i] : 0;
    }
    dph_sort_rows(rows, n, 3);
    for (int64_t i = 0; i < n; i++) {
        for (int c = 0; c < COLS; c++) {
            k->sorted[c * n + i] = rows[3 * i + c];
        }
    }
    by_x.x = k->sorted;
    by_x.loss = k->sorted + n;
    by_x.log_p = k->log_p != NULL ? k->sorted + 2 * n : NULL;
    return by_x;
}

/* From the fit of all points in k and out to that of the window about its vertex; see the header.
 */
static void
fit_window(bucket *k, double window, dph_parabola *out)
{
    const bucket all = sorted_bucket(k);
    double centre = out->x_star;
    stretch used = {0};

    if (out->status & DPH_W_CONCAVE) {
        int64_t lowest = 0;

        for (int64_t i = 1; i < all.n; i++) {
            lowest = all.loss[i] < all.loss[lowest] ? i : lowest;
        }
        centre = all.x[lowest];
    }
    used = stretch_about(all.x, all.n, centre, window);
    if (used.hi - used.lo < all.n && fit_stretch(&all, &used, k, out) < 0) {
        out->status |= DPH_W_WINDOW_WIDENED; /* to all points, the only set with a parabola */
    }
}

/* 1 if two of the tokens are equal. */
static int
has_duplicates(const bucket *k)
{
    double *copy = k->design;
    int found = 0;

    if (k->n <= PAIRWISE) {
        for (int64_t i = 1; i < k->n; i++) {
            for (int64_t j = 0; j < i; j++) {
                found |= k->tokens[i] == k->tokens[j];
            }
        }
        return found;
    }
    for (int64_t i = 0; i < k->n; i++) {
        copy[i] = k->tokens[i];
    }
    dph_sort_rows(copy, k->n, 1);
    for (int64_t i = 1; i < k->n; i++) {
        found |= copy[i] == copy[i - 1];
    }
    return found;
}

static int
all_positive(const double *raw, int64_t n)
{
    int good = 1;

    for (int64_t i = 0; i < n; i++) {
        good &= raw[i] >= DBL_MIN && raw[i] <= DBL_MAX;
    }
    return good;
}

static void
fit_bucket(bucket *k, const dph_parabola_options *options, dph_minimiser *minimiser,
           dph_parabola *out)
{
    int64_t n = k->n;
    double inner = INFINITY;
    double outer = INFINITY;
    double sum = 0;
    int constant = 1;
    int32_t duplicated = 0;
    dph_column x = dph_column_summary(k->x, n);

    if (n >= COLS && x.distinct == 1) {
        out->status = DPH_E_EQUAL_X;
        return;
    }
    if (x.distinct < COLS) {
        out->status = DPH_E_TOO_FEW_POINTS;
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        sum += k->loss[i];
        constant &= k->loss[i] == k->loss[0];
        if (k->x[i] > x.min && k->x[i] < x.max) {
            inner = k->loss[i] < inner ? k->loss[i] : inner;
        } else {
            outer = k->loss[i] < outer ? k->loss[i] : outer;
        }
    }
    if (constant) {
        out->status = DPH_E_CONSTANT_LOSS;
        return;
    }
    out->n_used = n;
    out->x_min = out->x_lo = x.min;
    out->x_max = out->x_hi = x.max;
    fit_symmetric(k, sum / (double)n, x.distinct, out);
    if (out->status < 0) {
        return;
    }
    if (options->diagnose && has_duplicates(k)) {
        duplicated = DPH_W_DUPLICATED_DESIGNS;
    }
    if (options->window > 0 && isfinite(options->window) && x.distinct > DPH_WINDOW_DISTINCT) {
        fit_window(k, options->window, out);
    }
    out->status |= duplicated;
    if (options->diagnose && !(out->status & (DPH_W_CONCAVE | DPH_W_CLIPPED)) &&
        fabs(out->x_star - (x.min + (x.max - x.min) / 2)) > (x.max - x.min) / 4) {
        out->status |= DPH_W_OFF_CENTRE;
    }
    fit_sides(k, out);
    /* A minimum seen from one side only is a guess. */
    if (!(inner <= outer)) {
        out->status |= DPH_W_UNBRACKETED;
    }
    if (options->joint) {
        fit_joint(k, x.distinct, minimiser, out);
    }
}

/* The groups from `begin` on that fill a block: at least one, more while their points fit. */
static int64_t
block_end(const int64_t *offsets, int64_t begin, int64_t end)
{
    int64_t g = begin + 1;

    while (g < end && offsets[g + 1] - offsets[begin] <= BLOCK) {
        g++;
    }
    return g;
}

void
dph_parabola_fit(const dph_parabola_batch *batch, int64_t begin, int64_t end,
                 const dph_parabola_options *options, double *scratch, dph_minimiser *minimiser,
                 dph_parabola *out)
{
    const int64_t *offsets = batch->offsets;

    for (int64_t g = begin; g < end;) {
        int64_t last = block_end(offsets, g, end);
        int64_t first = offsets[g];
        int64_t points = offsets[last] - first;
        double *x = scratch;
        double *log_p = x + points;
        double *rest = log_p + points;

        dph_log10_many(batch->tokens + first, x, points);
        if (batch->params != NULL) {
            dph_log10_many(batch->params + first, log_p, points);
        }
        for (; g < last; g++) {
            int64_t from = offsets[g];
            int64_t n = offsets[g + 1] - from;
            bucket k = {.tokens = batch->tokens + from,
                        .loss = batch->loss + from,
                        .x = x + (from - first),
                        .log_p = batch->params != NULL ? log_p + (from - first) : NULL,
                        .p1 = rest,
                        .p2 = rest + n,
                        .design = rest + 2 * n,
                        .rhs = rest + (2 + COLS) * n,
                        .sorted = rest + (2 + COLS + 1) * n,
                        .n = n,
                        .stopped = options->stopped};

            no_parabola(&out[g], n, DPH_OK);
            if (!all_positive(batch->tokens + from, n) || !dph_column_finite(k.loss, n) ||
                (batch->params != NULL && !all_positive(batch->params + from, n))) {
                out[g].status = DPH_E_BAD_VALUE;
                continue;
            }
            fit_bucket(&k, options, minimiser, &out[g]);
        }
    }
}

#include "isocurve.h"

#include <math.h>

#include "../base/column.h"
#include "../base/line.h"
#include "../base/lstsq.h"
#include "../base/veclog.h"
#include "twopower.h"

#define LN10 2.302585092994045684
#define CUBIC_COLS 4
#define MOST_COLS DPH_ISOCURVE_COEFFICIENTS
#define COLUMNS (9 + MOST_COLS) /* of scratch, besides that of the parabola */

static const int32_t n_coefficients[DPH_CURVES] = {3, 3, 4, 4, 5};

/* Points of one fit, and what it works with. */
typedef struct {
    double *tokens;      /* [n] */
    double *loss;        /* [n] */
    double *x;           /* [n] log10 tokens */
    double *design;      /* [MOST_COLS][n] */
    double *rhs;         /* [n] */
    double *left;        /* [n] (u^-p - 1) / p */
    double *right;       /* [n] (u^q - 1) / q */
    double *left_slope;  /* [n] p d left / dp */
    double *right_slope; /* [n] q d right / dq */
    double *rest;        /* scratch of the parabola */
    int64_t n;
    dph_minimiser *minimiser;
    const atomic_int *stopped;
} points;

size_t
dph_isocurve_scratch(int64_t n_largest)
{
    return (size_t)n_largest * COLUMNS + dph_parabola_scratch(n_largest);
}

static void
no_curve(dph_isocurve *out, int64_t n, int shape, int32_t status)
{
    *out = (dph_isocurve){.n = n,
                          .x_star = NAN,
                          .tokens_star = NAN,
                          .params_star = NAN,
                          .loss_star = NAN,
                          .se_loss_star = NAN,
                          .rss = NAN,
                          .aicc = NAN,
                          .loo = NAN,
                          .x_min = NAN,
                          .x_max = NAN,
                          .x_lo = NAN,
                          .x_hi = NAN,
                          .x_centre = NAN,
                          .coefficients = {NAN, NAN, NAN, NAN, NAN},
                          .shape = shape,
                          .n_coefficients = n_coefficients[shape],
                          .status = status};
}

static int
is_stopped(const points *k)
{
    return k->stopped != NULL && atomic_load(k->stopped);
}

/* Standard error of g'c for the design of this many columns, which it overwrites. */
static double
standard_error(const points *k, int cols, const double *g, double rss)
{
    double c[MOST_COLS];
    double r[MOST_COLS * MOST_COLS];

    if (k->n <= cols) {
        return NAN;
    }
    for (int64_t i = 0; i < k->n; i++) {
        k->rhs[i] = 0;
    }
    if (dph_lstsq(k->design, k->rhs, k->n, cols, c, r, NULL) != DPH_OK) {
        return NAN;
    }
    return sqrt(rss / (double)(k->n - cols) * dph_lstsq_variance(r, g, cols));
}

/* The fitters below fill coefficients, rss, status and, where at_minimum, x_star, loss_star and
 * its standard error. They return a code. out has x_min, x_max and x_centre. */

static int
fit_two_power(points *k, int at_minimum, dph_isocurve *out)
{
    dph_twopower_points terms = {.x = k->x,
                                 .loss = k->loss,
                                 .left = k->left,
                                 .right = k->right,
                                 .left_slope = k->left_slope,
                                 .right_slope = k->right_slope,
                                 .design = k->design,
                                 .rhs = k->rhs,
                                 .n = k->n,
                                 .centre = out->x_centre,
                                 .minimiser = k->minimiser,
                                 .stopped = k->stopped};
    dph_twopower fit = {0};
    double g[MOST_COLS] = {0};
    int cols = 0;

    if (dph_twopower_fit(&terms, &fit) != DPH_OK) {
        return DPH_E_NO_CONVERGENCE;
    }
    out->rss = fit.rss;
    out->coefficients[0] = fit.base - fit.A / fit.p - fit.B / fit.q;
    out->coefficients[1] = fit.A / fit.p;
    out->coefficients[2] = fit.B / fit.q;
    out->coefficients[3] = fit.p;
    out->coefficients[4] = fit.q;
    out->status |= fit.p_edge != 0 ? DPH_W_P_AT_BOUND : 0;
    out->status |= fit.q_edge != 0 ? DPH_W_Q_AT_BOUND : 0;
    if (!at_minimum) {
        return DPH_OK;
    }
    out->x_star = out->x_centre + dph_twopower_lowest(&fit);
    if (isnan(out->x_star)) {
        return DPH_E_NO_MINIMUM;
    }
    if (!(out->x_star >= out->x_min && out->x_star <= out->x_max)) {
        out->x_star = out->x_star > out->x_max ? out->x_max : out->x_min;
        out->status |= DPH_W_CLIPPED;
    }
    out->loss_star = dph_twopower_value(&fit, out->x_centre, out->x_star);
    cols = dph_twopower_gradient(&terms, &fit, out->x_star, g);
    out->se_loss_star = standard_error(k, cols, g, fit.rss);
    return DPH_OK;
}

/* --- cubic ------------------------------------------------------------------------------------ */

static int
fit_cubic(points *k, int at_minimum, dph_isocurve *out)
{
    double half = (out->x_hi - out->x_lo) / 2;
    double c[CUBIC_COLS] = {0};
    double r[CUBIC_COLS * CUBIC_COLS] = {0};
    double scale = 1;
    double t = 0;
    double root = 0;
    int code = DPH_OK;

    for (int64_t i = 0; i < k->n; i++) {
        double power = 1;

        for (int j = 0; j < CUBIC_COLS; j++) {
            k->design[j * k->n + i] = power;
            power *= (k->x[i] - out->x_centre) / half;
        }
        k->rhs[i] = k->loss[i];
    }
    code = dph_lstsq(k->design, k->rhs, k->n, CUBIC_COLS, c, r, &out->rss);
    if (code != DPH_OK) {
        return code == DPH_E_ARGUMENT ? DPH_E_TOO_FEW_POINTS : code;
    }
    for (int j = 0; j < CUBIC_COLS; j++) {
        out->coefficients[j] = c[j] / scale;
        scale *= half;
    }
    if (!at_minimum) {
        return DPH_OK;
    }
    root = sqrt(4 * c[2] * c[2] - 12 * c[3] * c[1]); /* the second derivative at the minimum */
    t = c[2] > 0 ? -2 * c[1] / (2 * c[2] + root) : (root - 2 * c[2]) / (6 * c[3]);
    out->x_star = out->x_centre + half * t;
    if (!(root > 0) || !(out->x_star >= out->x_min && out->x_star <= out->x_max)) {
        return DPH_E_NO_MINIMUM;
    }
    out->loss_star = c[0] + t * (c[1] + t * (c[2] + t * c[3]));
    if (k->n > CUBIC_COLS) {
        const double g[CUBIC_COLS] = {1, t, t * t, t * t * t};

        out->se_loss_star =
            sqrt(out->rss / (double)(k->n - CUBIC_COLS) * dph_lstsq_variance(r, g, CUBIC_COLS));
    }
    return DPH_OK;
}

/* --- what parabola.c finds -------------------------------------------------------------------- */

static dph_parabola
parabola_of(const points *k, const double *params, const dph_parabola_options *options)
{
    const int64_t offsets[] = {0, k->n};
    const dph_parabola_batch batch = {
        .tokens = k->tokens, .loss = k->loss, .params = params, .offsets = offsets};
    dph_parabola fit = {0};

    dph_parabola_fit(&batch, 0, 1, options, k->rest, k->minimiser, &fit);
    return fit;
}

static void
take_parabola(const dph_parabola *p, dph_isocurve *out)
{
    out->coefficients[0] = p->c + out->x_centre * (p->b + out->x_centre * p->a);
    out->coefficients[1] = p->b + 2 * out->x_centre * p->a;
    out->coefficients[2] = p->a;
    out->rss = p->rss;
    out->x_star = p->x_star;
    out->params_star = p->params_star;
    out->loss_star = p->loss_star;
    out->se_loss_star = p->se_loss_star;
}

static int
take_joint(const points *k, const dph_parabola *p, int at_minimum, dph_isocurve *out)
{
    double half = (out->x_hi - out->x_lo) / 2;
    const double g[] = {1, 0, 0, 0};

    if (p->status & DPH_W_JOINT_FAILED) {
        return dph_column_summary(k->x, k->n).distinct < DPH_WINDOW_DISTINCT ? DPH_E_TOO_FEW_POINTS
                                                                             : DPH_E_NO_CONVERGENCE;
    }
    out->coefficients[0] = p->joint_loss_star;
    out->coefficients[1] = p->joint_x_star - out->x_centre;
    out->coefficients[2] = p->joint_a_under;
    out->coefficients[3] = p->joint_a_over;
    out->rss = p->joint_rss;
    out->status |= p->status & (DPH_W_JOINT_AT_BOUND | DPH_W_JOINT_CONCAVE);
    if (!at_minimum) {
        return DPH_OK;
    }
    out->x_star = p->joint_x_star;
    out->loss_star = p->joint_loss_star;
    for (int64_t i = 0; i < k->n; i++) {
        double d = (k->x[i] - p->joint_x_star) / half;

        k->design[i] = 1;
        k->design[k->n + i] = d < 0 ? d * d : 0;
        k->design[2 * k->n + i] = d > 0 ? d * d : 0;
        k->design[3 * k->n + i] = (d < 0 ? p->joint_a_under : p->joint_a_over) * d;
    }
    out->se_loss_star =
        standard_error(k, p->status & DPH_W_JOINT_AT_BOUND ? 3 : 4, g, p->joint_rss);
    return DPH_OK;
}

double
dph_isocurve_value(const dph_isocurve *curve, double x)
{
    const double *c = curve->coefficients;
    double z = x - curve->x_centre;
    double d = z - c[1];

    switch (curve->shape) {
    case DPH_CURVE_JOINT:
        return c[0] + (d < 0 ? c[2] : c[3]) * d * d;
    case DPH_CURVE_CUBIC:
        return c[0] + z * (c[1] + z * (c[2] + z * c[3]));
    case DPH_CURVE_TWO_POWER:
        return c[0] + c[1] * exp(-c[3] * LN10 * z) + c[2] * exp(c[4] * LN10 * z);
    default:
        return c[0] + z * (c[1] + z * c[2]);
    }
}

/* Any shape through the points of k, all of them. */
static int
fit_points(points *k, int at_minimum, dph_isocurve *out)
{
    dph_parabola_options options = {.joint = out->shape == DPH_CURVE_JOINT, .stopped = k->stopped};
    dph_parabola p = {0};

    if (out->shape == DPH_CURVE_CUBIC) {
        return fit_cubic(k, at_minimum, out);
    }
    if (out->shape == DPH_CURVE_TWO_POWER) {
        return fit_two_power(k, at_minimum, out);
    }
    p = parabola_of(k, NULL, &options);
    if (p.status < 0) {
        return p.status;
    }
    if (out->shape == DPH_CURVE_JOINT) {
        return take_joint(k, &p, at_minimum, out);
    }
    take_parabola(&p, out);
    return DPH_OK;
}

/* Root mean squared error of the used points, each predicted by the others. k holds them all and
 * is used up. */
static double
leave_one_out(points *k, const dph_isocurve *curve)
{
    int64_t n = k->n;
    double sum = 0;

    k->n = n - 1;
    for (int64_t i = n - 1; i >= 0; i--) {
        dph_isocurve without = *curve;
        double tokens = k->tokens[i];
        double loss = k->loss[i];
        double x = k->x[i];
        double error = 0;

        /* Point n - 1 takes the place of point i, which moves behind the others. */
        k->tokens[i] = k->tokens[n - 1];
        k->loss[i] = k->loss[n - 1];
        k->x[i] = k->x[n - 1];
        k->tokens[n - 1] = tokens;
        k->loss[n - 1] = loss;
        k->x[n - 1] = x;
        if (is_stopped(k) || dph_column_summary(k->x, n - 1).distinct < curve->n_coefficients ||
            fit_points(k, 0, &without) != DPH_OK) {
            return NAN;
        }
        error = loss - dph_isocurve_value(&without, x);
        sum += error * error;
    }
    return sqrt(sum / (double)n);
}

/* Keep the used points of a bucket, in their order; params shrink with them. */
static void
keep_used(points *k, double *log_p, const dph_isocurve *out)
{
    int64_t n = 0;

    for (int64_t i = 0; i < k->n; i++) {
        if (k->x[i] >= out->x_lo && k->x[i] <= out->x_hi) {
            k->tokens[n] = k->tokens[i];
            k->loss[n] = k->loss[i];
            k->x[n] = k->x[i];
            log_p[n] = log_p[i];
            n++;
        }
    }
    k->n = n;
}

static void
fit_group(points *k, const double *params, double *log_p, const dph_isocurve_options *options,
          dph_isocurve *out)
{
    int shape = options->shape;
    int64_t n = k->n;
    dph_parabola_options base = {.joint = shape == DPH_CURVE_JOINT,
                                 .diagnose = 1,
                                 .window = shape == DPH_CURVE_WINDOWED ? options->window : 0,
                                 .stopped = options->stopped};
    dph_parabola p = parabola_of(k, params, &base);
    int code = p.status;
    int distinct = 0;
    double m = 0;
    double count = n_coefficients[shape] + 1;

    if (p.status < 0) {
        no_curve(out, n, shape, code);
        return;
    }
    dph_log10_many(k->tokens, k->x, n);
    out->x_min = p.x_min;
    out->x_max = p.x_max;
    out->x_lo = p.x_lo;
    out->x_hi = p.x_hi;
    out->x_centre = p.x_lo + (p.x_hi - p.x_lo) / 2;
    out->status = p.status & (DPH_W_UNBRACKETED | DPH_W_DUPLICATED_DESIGNS);
    for (int64_t i = 0; i < n; i++) {
        log_p[i] = 0;
    }
    if (params != NULL) {
        dph_log10_many(params, log_p, n);
    }
    keep_used(k, log_p, out);
    distinct = dph_column_summary(k->x, k->n).distinct;
    out->n_used = k->n;
    if (shape == DPH_CURVE_PARABOLA || shape == DPH_CURVE_WINDOWED) {
        take_parabola(&p, out);
        out->status = p.status & (DPH_W_UNBRACKETED | DPH_W_DUPLICATED_DESIGNS | DPH_W_CONCAVE |
                                  DPH_W_CLIPPED | DPH_W_SATURATED | DPH_W_WINDOW_WIDENED);
        code = DPH_OK;
    } else if (distinct < n_coefficients[shape]) {
        code = DPH_E_TOO_FEW_POINTS;
    } else if (shape == DPH_CURVE_JOINT) {
        code = take_joint(k, &p, 1, out);
    } else {
        code = fit_points(k, 1, out);
    }
    if (code != DPH_OK) {
        no_curve(out, n, shape, code);
        return;
    }
    out->status |= distinct == n_coefficients[shape] ? DPH_W_SATURATED : 0;
    if (!(out->status & (DPH_W_CONCAVE | DPH_W_CLIPPED)) &&
        fabs(out->x_star - (p.x_min + (p.x_max - p.x_min) / 2)) > (p.x_max - p.x_min) / 4) {
        out->status |= DPH_W_OFF_CENTRE;
    }
    out->tokens_star = pow(10, out->x_star);
    if (params != NULL && shape != DPH_CURVE_PARABOLA && shape != DPH_CURVE_WINDOWED) {
        dph_line line = {0};

        dph_line_fit(k->x, log_p, k->n, &line);
        out->params_star = pow(10, line.y_mean + line.slope * (out->x_star - line.x_mean));
    }
    m = (double)k->n;
    if (m - count - 1 > 0) {
        out->aicc = m * log(out->rss / m) + 2 * count + 2 * count * (count + 1) / (m - count - 1);
    }
    if (options->loo) {
        out->loo = leave_one_out(k, out);
    }
}

void
dph_isocurve_fit(const dph_parabola_batch *batch, int64_t begin, int64_t end,
                 const dph_isocurve_options *options, double *scratch, dph_minimiser *minimiser,
                 dph_isocurve *out)
{
    for (int64_t g = begin; g < end; g++) {
        int64_t from = batch->offsets[g];
        int64_t n = batch->offsets[g + 1] - from;
        double *log_p = scratch + 3 * n;
        points k = {.tokens = scratch,
                    .loss = scratch + n,
                    .x = scratch + 2 * n,
                    .left = scratch + 4 * n,
                    .right = scratch + 5 * n,
                    .left_slope = scratch + 6 * n,
                    .right_slope = scratch + 7 * n,
                    .rhs = scratch + 8 * n,
                    .design = scratch + 9 * n,
                    .rest = scratch + COLUMNS * n,
                    .n = n,
                    .minimiser = minimiser,
                    .stopped = options->stopped};

        no_curve(&out[g], n, options->shape, DPH_OK);
        for (int64_t i = 0; i < n; i++) {
            k.tokens[i] = batch->tokens[from + i];
            k.loss[i] = batch->loss[from + i];
        }
        fit_group(&k, batch->params != NULL ? batch->params + from : NULL, log_p, options, &out[g]);
    }
}

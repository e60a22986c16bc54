#include "curve.h"

#include <math.h>

#include "../base/column.h"
#include "../base/order.h"
#include "curverefine.h"
#include "huberline.h"

#define HUBER_NOISE                                                                                \
    1.345                 /* Huber's loss keeps 95% of least squares' efficiency on normal noise   \
                           */
#define DELTA_LEAST 1e-12 /* of the largest loss */
#define NODES_MAX 96      /* of a scan */
#define STARTS 4          /* places of the scan that are refined */
#define FINALISTS 2       /* of them, those refined to the end */
#define SCAN_TOLERANCE 1e-3
#define SCAN_STEPS 2
#define COARSE_TOLERANCE 1e-3
#define COARSE_STEPS 8
#define STEPS 120
#define CLOSE 1.3         /* a start further above the best than this share is not followed */
#define VALLEY_SHARE 0.08 /* how far the probes along the valley climb */
#define STEPS_L1 60
#define TOLERANCE 1e-10 /* of a step's promise */
#define TOLERANCE_L1 1e-9
#define SAME 1e-4 /* two refined starts this close are one */
#define EDGE 1e-6 /* in ln theta */

/* One axis of the scan: n values of ln theta evenly from first to last, within [low, high]. */
typedef struct {
    double low, high;
    double first, last;
    int n;
} axis;

typedef struct {
    double p[DPH_CURVE_PARAMETERS];
    double sum;
} place;

/* One slice under one form. */
typedef struct {
    const double *tau;
    const double *y;
    int64_t n;
    int form;
    double y_max;
    double noise;
    int distinct;
    axis axes[2];
    const dph_curve_options *options;
    double *columns;
    double *base;
    double *part;
    double *thin; /* double[2 * DPH_CURVE_SCAN_MAX] */
} problem;

size_t
dph_curve_scratch(int64_t n_largest)
{
    size_t width = (size_t)n_largest + DPH_CURVE_PARAMETERS;

    return (DPH_REFINE_COLUMNS + 2) * width + (size_t)2 * DPH_CURVE_SCAN_MAX;
}

double
dph_curve_loss(int form, double tau, double F, double A, double theta_0, double theta_1)
{
    return F + A * dph_curveshape_at(form, theta_0, theta_1, tau);
}

double
dph_curve_noise(const double *tau, const double *y, int64_t n, double *scratch)
{
    if (n < 3) {
        return 0;
    }
    for (int64_t i = 1; i + 1 < n; i++) {
        double width = tau[i + 1] - tau[i - 1];
        double w = width > 0 ? (tau[i] - tau[i - 1]) / width : 0.5;
        double off = y[i] - ((1 - w) * y[i - 1] + w * y[i + 1]);

        scratch[i - 1] = fabs(off) / sqrt(1 + w * w + (1 - w) * (1 - w));
    }
    return 1.4826 * dph_select(scratch, n - 2, (n - 2) / 2);
}

static void
no_curve(dph_curve *out, int64_t n, int form, int loss, int32_t status)
{
    *out = (dph_curve){.n = n,
                       .F = NAN,
                       .A = NAN,
                       .theta_0 = NAN,
                       .theta_1 = NAN,
                       .objective = NAN,
                       .delta = NAN,
                       .noise = NAN,
                       .gap = NAN,
                       .form = form,
                       .loss = loss,
                       .status = status};
}

static int
stopped(const dph_curve_options *options)
{
    return options->stopped != NULL && atomic_load(options->stopped);
}

/* Where theta may lie and where it is scanned. Beyond the box a shape is, to rounding, the limit it
 * has at the edge; the scan covers what bends within a run. */
static void
set_axes(problem *q, double tau_min)
{
    double spike = tau_min > 1e-9 ? log(60 / tau_min) : log(6e10);

    switch (q->form) {
    case DPH_SHAPE_LOG:
        q->axes[0] = (axis){log(1e-6), log(1e12), log(3e-2), log(1e6), 18};
        break;
    case DPH_SHAPE_EXPONENTIAL:
        q->axes[0] = (axis){log(1e-6), spike, log(3e-2), spike - log(6.0), 22};
        break;
    case DPH_SHAPE_POWER:
        q->axes[0] = (axis){log(1e-9), log(1e6), log(1e-4), log(30.0), 9};
        q->axes[1] = (axis){log(1e-5), log(1e7), log(5e-2), log(50.0), 8};
        break;
    default:
        q->axes[0] = (axis){log(1e-5), log(1e3), log(5e-2), log(10.0), 9};
        q->axes[1] = (axis){log(1e-7), log(1e9), log(1e-2), log(1e4), 8};
    }
}

static int32_t
prepare(problem *q)
{
    dph_column y = dph_column_summary(q->y, q->n);
    double tau_min = INFINITY;

    if (q->n == 0) {
        return DPH_E_TOO_FEW_POINTS;
    }
    if (!y.finite || !(y.max > 0) || !dph_column_finite(q->tau, q->n)) {
        return DPH_E_BAD_VALUE;
    }
    q->y_max = y.max;
    q->distinct = 1;
    for (int64_t i = 0; i < q->n; i++) {
        if (!(q->tau[i] >= 0 && q->tau[i] <= 1) || (i > 0 && q->tau[i] < q->tau[i - 1])) {
            return DPH_E_PROGRESS;
        }
        q->distinct += i > 0 && q->tau[i] > q->tau[i - 1] && q->distinct <= DPH_CURVE_PARAMETERS;
        if (q->tau[i] > 0 && q->tau[i] < tau_min) {
            tau_min = q->tau[i];
        }
    }
    if (q->distinct < 2 + dph_curveshape_n_theta(q->form)) {
        return DPH_E_TOO_FEW_POINTS;
    }
    q->noise = dph_curve_noise(q->tau, q->y, q->n, q->columns);
    set_axes(q, tau_min);
    return DPH_OK;
}

static double
delta_of(const problem *q, double given)
{
    double delta = given > 0 ? given : HUBER_NOISE * q->noise;

    return fmax(delta, DELTA_LEAST * q->y_max);
}

/* Set up a refinement over every step-th point of the slice. */
static void
open_fit(const problem *q, int64_t step, dph_curvefit *fit)
{
    int n_theta = dph_curveshape_n_theta(q->form);
    const double *tau = q->tau;
    int64_t n = q->n;

    *fit = (dph_curvefit){.y = q->y,
                          .n_parameters = 2 + n_theta,
                          .high = {q->y_max, 2 * q->y_max},
                          .columns = q->columns,
                          .stopped = q->options->stopped};
    for (int k = 0; k < n_theta; k++) {
        fit->low[2 + k] = q->axes[k].low;
        fit->high[2 + k] = q->axes[k].high;
    }
    if (step > 1) {
        double *thin_tau = q->thin;
        double *thin_y = q->thin + DPH_CURVE_SCAN_MAX;

        n = 0;
        for (int64_t i = 0; i < q->n; i += step) {
            thin_tau[n] = q->tau[i];
            thin_y[n++] = q->y[i];
        }
        tau = thin_tau;
        fit->y = thin_y;
    }
    dph_curveshape_open(&fit->shape, q->form, tau, n, q->base, q->part);
}

static double
node(const axis *a, int i)
{
    return a->first + (a->last - a->first) * i / (a->n - 1);
}

/* Solve for (F, A) on a grid of theta. places receives a row of it for every value of theta_0. */
static int
scan(const problem *q, dph_curvefit *fit, double delta, place *places)
{
    int two = fit->n_parameters == DPH_CURVE_PARAMETERS;
    int n_second = two ? q->axes[1].n : 1;
    int at = 0;
    dph_boxline line = {
        .s = q->columns, .y = fit->y, .n = fit->shape.n, .F_max = q->y_max, .A_max = 2 * q->y_max};

    for (int i = 0; i < q->axes[0].n; i++) {
        /* each row starts from the one above it, each node from its neighbour */
        dph_boxfit fitted = {.F = i > 0 ? places[at - n_second].p[0] : fit->y[fit->shape.n - 1],
                             .A = i > 0 ? places[at - n_second].p[1] : q->y_max * 0.1};

        for (int j = 0; j < n_second; j++) {
            place *here = &places[at++];

            *here = (place){.p = {0, 0, node(&q->axes[0], i), two ? node(&q->axes[1], j) : 0}};
            dph_curveshape_values(&fit->shape, here->p + 2, q->columns);
            dph_huberline_fit(&line, delta, SCAN_TOLERANCE, SCAN_STEPS, &fitted);
            here->p[0] = fitted.F;
            here->p[1] = fitted.A;
            here->sum = fitted.objective;
        }
    }
    return at;
}

/* 1 if no neighbour on the grid lies lower. */
static int
is_local_minimum(const place *places, int n_first, int n_second, int at)
{
    int i = at / n_second;
    int j = at % n_second;

    for (int a = i > 0 ? i - 1 : 0; a <= i + 1 && a < n_first; a++) {
        for (int b = j > 0 ? j - 1 : 0; b <= j + 1 && b < n_second; b++) {
            if (places[a * n_second + b].sum < places[at].sum) {
                return 0;
            }
        }
    }
    return 1;
}

/* Put a place into the list of the lowest `most`, in order. Returns the new length. */
static int
keep_lowest(place *list, int n, int most, const place *new)
{
    int at = n < most ? n : most - 1;

    if (n == most && !(new->sum < list[at].sum)) {
        return n;
    }
    while (at > 0 && new->sum < list[at - 1].sum) {
        list[at] = list[at - 1];
        at--;
    }
    list[at] = *new;
    return n < most ? n + 1 : most;
}

static int
is_known(const place *list, int n, const place *new, int n_parameters, double y_max)
{
    for (int k = 0; k < n; k++) {
        double far = fabs(list[k].p[0] - new->p[0]) / y_max;

        for (int j = 2; j < n_parameters; j++) {
            far = fmax(far, fabs(list[k].p[j] - new->p[j]));
        }
        if (far < SAME) {
            return 1;
        }
    }
    return 0;
}

/* The lowest places of the scan, coarsely refined, in order and without doubles. */
static int
find_starts(const problem *q, double delta, place *found)
{
    dph_curvefit fit;
    place places[NODES_MAX];
    place starts[STARTS];
    int64_t step = (q->n + DPH_CURVE_SCAN_MAX - 1) / DPH_CURVE_SCAN_MAX;
    int n_second = dph_curveshape_n_theta(q->form) == 2 ? q->axes[1].n : 1;
    int n_places = 0;
    int n_starts = 0;
    int n_found = 0;

    open_fit(q, step, &fit);
    n_places = scan(q, &fit, delta, places);
    for (int at = 0; at < n_places; at++) {
        if (is_local_minimum(places, q->axes[0].n, n_second, at)) {
            n_starts = keep_lowest(starts, n_starts, STARTS, &places[at]);
        }
    }
    for (int k = 0; k < n_starts && !stopped(q->options); k++) {
        starts[k].sum = dph_curverefine(&fit, delta, COARSE_TOLERANCE, COARSE_STEPS, starts[k].p);
        if (!is_known(found, n_found, &starts[k], fit.n_parameters, q->y_max)) {
            n_found = keep_lowest(found, n_found, STARTS, &starts[k]);
        }
    }
    return n_found;
}

static void
finish(const problem *q, const dph_curvefit *fit, const double *p, dph_curve *out)
{
    int two = fit->n_parameters == DPH_CURVE_PARAMETERS;
    int32_t status = DPH_OK;

    out->F = p[0];
    out->A = p[1];
    out->theta_0 = exp(p[2]);
    out->theta_1 = two ? exp(p[3]) : NAN;
    out->noise = q->noise;
    if (q->distinct <= fit->n_parameters) {
        status |= DPH_W_CURVE_SATURATED;
    }
    if (p[1] <= DELTA_LEAST * q->y_max) {
        status |= DPH_W_CURVE_FLAT;
    }
    if (p[0] <= 0) {
        status |= DPH_W_F_AT_ZERO;
    }
    if (p[0] >= q->y_max) {
        status |= DPH_W_F_AT_MAX;
    }
    if (p[1] >= fit->high[1]) {
        status |= DPH_W_DROP_AT_MAX;
    }
    for (int j = 2; j < fit->n_parameters; j++) {
        if (p[j] <= fit->low[j] + EDGE || p[j] >= fit->high[j] - EDGE) {
            status |= DPH_W_THETA_AT_BOUND;
        }
    }
    out->status = status;
    if (!isfinite(out->objective)) {
        no_curve(out, q->n, q->form, out->loss, DPH_E_NO_CONVERGENCE);
    }
}

/* Refine a start to the end under Huber's loss; (F, A) are exact for its theta afterwards. */
static double
end_huber(const problem *q, dph_curvefit *fit, double delta, double *p)
{
    dph_boxline line = {
        .s = q->columns, .y = q->y, .n = q->n, .F_max = q->y_max, .A_max = 2 * q->y_max};
    dph_boxfit inner = {.F = p[0], .A = p[1]};

    dph_curverefine(fit, delta, TOLERANCE, STEPS, p);
    inner.F = p[0];
    inner.A = p[1];
    dph_curveshape_values(&fit->shape, p + 2, q->columns);
    dph_huberline_fit(&line, delta, 1e-15, DPH_HUBERLINE_STEPS, &inner);
    p[0] = inner.F;
    p[1] = inner.A;
    return inner.objective;
}

/* p moved by some share of a step, within the bounds. */
static void
shift(const dph_curvefit *fit, const double *p, const double *step, double share, double *out)
{
    for (int j = 0; j < fit->n_parameters; j++) {
        out[j] = fmin(fmax(p[j] + share * step[j], fit->low[j]), fit->high[j]);
    }
}

/* The finalists of a slice under Huber's loss, in order and without doubles. */
static int
find_finalists(const problem *q, double delta, place *finalists)
{
    dph_curvefit fit;
    place starts[STARTS];
    int n_starts = find_starts(q, delta, starts);
    double lowest = starts[0].sum;
    double step[DPH_CURVE_PARAMETERS];
    int n = 0;

    open_fit(q, 1, &fit);
    for (int k = 0; k < n_starts && k < FINALISTS && !stopped(q->options); k++) {
        if (starts[k].sum > CLOSE * lowest) {
            break;
        }
        starts[k].sum = end_huber(q, &fit, delta, starts[k].p);
        if (!is_known(finalists, n, &starts[k], fit.n_parameters, q->y_max)) {
            n = keep_lowest(finalists, n, FINALISTS, &starts[k]);
        }
    }
    /* points that enter and leave delta dent the valley: look on both sides of the lowest dent */
    if (n > 0 && dph_curverefine_valley(&fit, delta, VALLEY_SHARE, finalists[0].p, step)) {
        place lowest_place = finalists[0];

        for (int side = -1; side <= 1 && !stopped(q->options); side += 2) {
            place here = lowest_place;

            shift(&fit, lowest_place.p, step, side, here.p);
            here.sum = end_huber(q, &fit, delta, here.p);
            if (!is_known(finalists, n, &here, fit.n_parameters, q->y_max)) {
                n = keep_lowest(finalists, n, FINALISTS, &here);
            }
        }
    }
    return n;
}

static void
fit_loss(const problem *q, int loss, const place *finalists, int n_finalists, double delta,
         dph_curve *out)
{
    dph_curvefit fit;
    place best = finalists[0];
    double step[DPH_CURVE_PARAMETERS];

    open_fit(q, 1, &fit);
    no_curve(out, q->n, q->form, loss, DPH_OK);
    out->gap = 0;
    if (loss == DPH_CURVE_HUBER) {
        out->delta = delta;
    } else {
        best.sum = INFINITY;
        for (int k = 0; k < n_finalists && !stopped(q->options); k++) {
            place here = finalists[k];
            double gap = 0;

            here.sum = dph_curverefine_l1(&fit, TOLERANCE_L1, STEPS_L1, here.p, &gap);
            if (here.sum < best.sum) {
                best = here;
                out->gap = gap / (double)q->n;
            }
        }
        if (dph_curverefine_valley(&fit, delta, VALLEY_SHARE, best.p, step)) {
            place lowest = best;

            for (int side = -1; side <= 1 && !stopped(q->options); side += 2) {
                place here = lowest;
                double gap = 0;

                shift(&fit, lowest.p, step, side, here.p);
                here.sum = dph_curverefine_l1(&fit, TOLERANCE_L1, STEPS_L1, here.p, &gap);
                if (here.sum < best.sum) {
                    best = here;
                    out->gap = gap / (double)q->n;
                }
            }
        }
    }
    if (stopped(q->options)) {
        no_curve(out, q->n, q->form, loss, DPH_E_CANCELLED);
        return;
    }
    out->objective = best.sum / (double)q->n;
    finish(q, &fit, best.p, out);
}

static void
fit_item(const dph_curve_batch *batch, int64_t item, const dph_curve_options *options,
         double *scratch, dph_curve *out)
{
    int64_t slice = item / options->n_forms;
    int64_t first = batch->starts[slice];
    int64_t n = batch->ends[slice] - first;
    size_t width = (size_t)n + DPH_CURVE_PARAMETERS;
    place finalists[FINALISTS] = {0};
    double searched = NAN; /* the delta that the starts were found with */
    int n_finalists = 0;
    int32_t status = DPH_OK;
    problem q = {.tau = batch->tau + first,
                 .y = batch->loss + first,
                 .n = n,
                 .form = options->forms[item % options->n_forms],
                 .options = options,
                 .columns = scratch,
                 .base = scratch + DPH_REFINE_COLUMNS * width,
                 .part = scratch + (DPH_REFINE_COLUMNS + 1) * width,
                 .thin = scratch + (DPH_REFINE_COLUMNS + 2) * width};

    status = prepare(&q);
    for (int l = 0; l < options->n_losses; l++) {
        int loss = options->losses[l];
        double delta = delta_of(&q, loss == DPH_CURVE_HUBER ? options->delta : NAN);

        if (status != DPH_OK) {
            no_curve(&out[l], n, q.form, loss, status);
            continue;
        }
        if (!(delta == searched)) {
            n_finalists = find_finalists(&q, delta, finalists);
            searched = delta;
        }
        fit_loss(&q, loss, finalists, n_finalists, delta, &out[l]);
    }
}

void
dph_curve_fit(const dph_curve_batch *batch, int64_t begin, int64_t end,
              const dph_curve_options *options, double *scratch, dph_curve *out)
{
    for (int64_t i = begin; i < end; i++) {
        fit_item(batch, i, options, scratch, out + i * options->n_losses);
    }
}

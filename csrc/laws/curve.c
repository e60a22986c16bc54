#include "curve.h"

#include <math.h>

#include "../base/column.h"
#include "../base/order.h"
#include "curvel1.h"
#include "curverefine.h"
#include "curvestart.h"
#include "huberline.h"

#define HUBER_NOISE                                                                                \
    1.345                 /* Huber's loss keeps 95% of least squares' efficiency on normal noise   \
                           */
#define DELTA_LEAST 1e-12 /* of the largest loss */
#define LONG 8192         /* points above which the search is on every k-th of them */
#define THIN 4096         /* of that search, at most */
#define PROBED 65536      /* points up to which the whole slice is probed along its valley too */
#define STARTS 3          /* places of the scan that are refined */
#define FINALISTS 2       /* of them, those refined to the end */
#define COARSE_TOLERANCE 1e-3
#define COARSE_STEPS 8
#define STEPS 120
#define CLOSE 1.3         /* a start further above the best than this share is not followed */
#define VALLEY_SHARE 0.08 /* how far the probes along the valley climb */
#define STEPS_L1 60
#define TOLERANCE 1e-10 /* of a step's promise */
#define TOLERANCE_L1 1e-9
#define SAME 1e-4     /* two refined starts this close are one */
#define SAME_SUM 1e-5 /* two sums this close are one */
#define EDGE 1e-6     /* in ln theta */
#define PLACES ((size_t)DPH_CURVESTART_SLICES * DPH_CURVESTART_NODES)

typedef dph_curveplace place;

/* One slice under one form. */
typedef struct {
    const double *tau;
    const double *y;
    int64_t n;
    int form;
    double y_max;
    double noise;
    int distinct;
    dph_curveaxis axes[2];
    const dph_curve_options *options;
    double *columns;
    double *base;
    double *part;               /* then tau and y of the points that are fitted */
    double *thin;               /* double[2 * THIN] */
    const double *F, *A, *sums; /* the scan of this slice */
} problem;

size_t
dph_curve_scratch(int64_t n_largest)
{
    size_t width = DPH_REFINE_WIDTH((size_t)n_largest);

    return (DPH_REFINE_COLUMNS + 4) * width + (size_t)2 * THIN + 3 * PLACES +
           dph_curvestart_scratch();
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
    dph_curvestart_axes(q->form, tau_min, q->axes);
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
    size_t width = DPH_REFINE_WIDTH((size_t)q->n);
    double *tau = q->part + width;
    double *y = tau + width;

    *fit = (dph_curvefit){.y = y,
                          .n_parameters = 2 + n_theta,
                          .high = {q->y_max, 2 * q->y_max},
                          .columns = q->columns,
                          .stopped = q->options->stopped};
    for (int k = 0; k < n_theta; k++) {
        fit->low[2 + k] = q->axes[k].low;
        fit->high[2 + k] = q->axes[k].high;
    }
    fit->n = 0;
    for (int64_t i = 0; i < q->n; i += step) {
        tau[fit->n] = q->tau[i];
        y[fit->n++] = q->y[i];
    }
    for (int64_t i = fit->n; i < DPH_PADDED(fit->n); i++) {
        tau[i] = 0;
        y[i] = 0;
    }
    dph_curveshape_open(&fit->shape, q->form, tau, DPH_PADDED(fit->n), q->base, q->part);
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
    place starts[STARTS];
    int n_starts = dph_curvestart_lowest(q->form, q->axes, q->F, q->A, q->sums, STARTS, starts);
    int n_found = 0;

    open_fit(q, dph_curvestart_step(q->n), &fit);
    for (int k = 0; k < n_starts && !stopped(q->options); k++) {
        starts[k].sum =
            dph_curverefine(&fit, delta, COARSE_TOLERANCE, COARSE_STEPS, INFINITY, starts[k].p);
        if (!is_known(found, n_found, &starts[k], fit.n_parameters, q->y_max)) {
            n_found = dph_curvestart_keep(found, n_found, STARTS, &starts[k]);
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
end_huber(const problem *q, dph_curvefit *fit, double delta, double floor, double *p)
{
    dph_boxline line = {
        .s = q->columns, .y = fit->y, .n = fit->n, .F_max = q->y_max, .A_max = 2 * q->y_max};
    dph_boxfit inner = {.F = p[0], .A = p[1]};

    dph_curverefine(fit, delta, TOLERANCE, STEPS, floor, p);
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

/* What a descent must be expected to reach to be worth its way. */
static double
floor_of(const place *finalists, int n, double delta)
{
    return n > 0 ? finalists[0].sum / delta * (1 - SAME_SUM) : INFINITY;
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
        starts[k].sum = end_huber(q, &fit, delta, floor_of(finalists, n, delta), starts[k].p);
        if (!is_known(finalists, n, &starts[k], fit.n_parameters, q->y_max)) {
            n = dph_curvestart_keep(finalists, n, FINALISTS, &starts[k]);
        }
    }
    /* points that enter and leave delta dent the valley: look on both sides of the lowest dent */
    if (n > 0 && dph_curverefine_valley(&fit, delta, VALLEY_SHARE, finalists[0].p, step)) {
        place lowest_place = finalists[0];

        for (int side = -1; side <= 1 && !stopped(q->options); side += 2) {
            place here = lowest_place;

            shift(&fit, lowest_place.p, step, side, here.p);
            here.sum = end_huber(q, &fit, delta, floor_of(finalists, n, delta), here.p);
            if (!is_known(finalists, n, &here, fit.n_parameters, q->y_max)) {
                n = dph_curvestart_keep(finalists, n, FINALISTS, &here);
            }
        }
    }
    return n;
}

/* Where the absolute error looks along the valley, in lengths of its step; only the first half of
 * them where there are two thetas, whose valleys bend. */
static const double probes[] = {-1, 1, -2.5, 2.5};
#define FAR_SHARE 0.25 /* the valley should have climbed twice as much there */
#define N_PROBES ((int)(sizeof probes / sizeof probes[0]))

/* The lowest place that the finalists lead to under the absolute error. */
static place
find_lowest(const problem *q, const place *finalists, int n_finalists, double delta)
{
    dph_curvefit fit;
    place best = finalists[0];
    double step[DPH_CURVE_PARAMETERS];

    open_fit(q, 1, &fit);
    best.sum = INFINITY;
    for (int k = 0; k < n_finalists && !stopped(q->options); k++) {
        place here = finalists[k];

        here.sum = dph_curverefine_l1(&fit, TOLERANCE_L1, STEPS_L1, best.sum * (1 - SAME_SUM),
                                      INFINITY, here.p);
        best = here.sum < best.sum ? here : best;
    }
    if (dph_curverefine_valley(&fit, delta, VALLEY_SHARE, best.p, step)) {
        place lowest = best;
        int n_probes = fit.n_parameters < DPH_CURVE_PARAMETERS ? N_PROBES : N_PROBES / 2;

        for (int k = 0; k < n_probes && !stopped(q->options); k++) {
            place here = lowest;

            shift(&fit, lowest.p, step, probes[k], here.p);
            here.sum = dph_curverefine_l1(&fit, TOLERANCE_L1, STEPS_L1, best.sum * (1 - SAME_SUM),
                                          k < 2 ? INFINITY : best.sum * (1 + FAR_SHARE), here.p);
            best = here.sum < best.sum ? here : best;
        }
    }
    return best;
}

/* Every k-th point of a long slice as a slice of its own, with the bounds and noise of the whole.
 */
static problem
thin_out(const problem *q)
{
    problem few = *q;
    double *tau = q->thin;
    double *y = tau + THIN;
    int64_t step = (q->n + THIN - 1) / THIN;

    few.n = 0;
    for (int64_t i = 0; i < q->n; i += step) {
        tau[few.n] = q->tau[i];
        y[few.n++] = q->y[i];
    }
    few.tau = tau;
    few.y = y;
    return few;
}

/* The fit of the whole slice under a loss, from where a search (of every k-th point, if long) has
 * led to. */
static void
fit_loss(const problem *q, const problem *few, int loss, const place *finalists, int n_finalists,
         double delta, dph_curve *out)
{
    dph_curvefit fit;
    place best = finalists[0];

    no_curve(out, q->n, q->form, loss, DPH_OK);
    out->gap = 0;
    if (loss == DPH_CURVE_HUBER) {
        out->delta = delta;
        open_fit(q, 1, &fit);
        best.sum = few->n < q->n ? INFINITY : best.sum;
        for (int k = 0; k < n_finalists && few->n < q->n && !stopped(q->options); k++) {
            place here = finalists[k];

            here.sum = end_huber(q, &fit, delta, floor_of(&best, k, delta), here.p);
            best = here.sum < best.sum ? here : best;
        }
    } else {
        double gap = 0;

        best = find_lowest(few, finalists, n_finalists, delta);
        open_fit(q, 1, &fit);
        if (few->n < q->n && q->n <= PROBED && !stopped(q->options)) {
            best = find_lowest(q, &best, 1, delta);
        } else if (few->n < q->n && !stopped(q->options)) {
            (void)dph_curverefine_l1(&fit, TOLERANCE_L1, STEPS_L1, INFINITY, INFINITY, best.p);
        }
        best.sum = stopped(q->options) ? best.sum : dph_curverefine_l1gap(&fit, best.p, &gap);
        out->gap = gap / (double)q->n;
    }
    if (stopped(q->options)) {
        no_curve(out, q->n, q->form, loss, DPH_E_CANCELLED);
        return;
    }
    out->objective = best.sum / (double)q->n;
    finish(q, &fit, best.p, out);
}

/* One slice under one form, scanned: all losses. */
static void
fit_slice(problem *q, double *scratch, dph_curve *out)
{
    size_t width = DPH_REFINE_WIDTH((size_t)q->n);
    const dph_curve_options *options = q->options;
    place finalists[FINALISTS] = {0};
    double searched = NAN; /* the delta that the starts were found with */
    int n_finalists = 0;
    problem few;

    q->columns = scratch;
    q->base = scratch + DPH_REFINE_COLUMNS * width;
    q->part = scratch + (DPH_REFINE_COLUMNS + 1) * width;
    few = q->n > LONG ? thin_out(q) : *q;
    for (int l = 0; l < options->n_losses; l++) {
        int loss = options->losses[l];
        double delta = delta_of(q, loss == DPH_CURVE_HUBER ? options->delta : NAN);

        if (!(delta == searched)) {
            n_finalists = find_finalists(&few, delta, finalists);
            searched = delta;
        }
        fit_loss(q, &few, loss, finalists, n_finalists, delta, &out[l]);
    }
}

/* The slices [first, last) under one form; they have their first point and their step in common. */
static void
fit_group(const dph_curve_batch *batch, int64_t first, int64_t last, int form_index,
          const dph_curve_options *options, double *scratch, dph_curve *out)
{
    int64_t start = batch->starts[first];
    size_t width = DPH_REFINE_WIDTH((size_t)(batch->ends[last - 1] - start));
    double *thin = scratch + (DPH_REFINE_COLUMNS + 4) * width;
    double *F = thin + 2 * THIN;
    double *A = F + PLACES;
    double *sums = A + PLACES;
    problem good[DPH_CURVESTART_SLICES];
    int64_t slices[DPH_CURVESTART_SLICES];
    dph_curveprefixes prefixes = {.tau = batch->tau + start, .y = batch->loss + start};
    int n_nodes = 0;

    for (int64_t k = first; k < last; k++) {
        problem q = {.tau = prefixes.tau,
                     .y = prefixes.y,
                     .n = batch->ends[k] - start,
                     .form = options->forms[form_index],
                     .options = options,
                     .columns = scratch,
                     .thin = thin};
        int32_t status = prepare(&q);
        dph_curve *row = out + (k * options->n_forms + form_index) * options->n_losses;

        for (int l = 0; l < options->n_losses && status != DPH_OK; l++) {
            no_curve(&row[l], q.n, q.form, options->losses[l], status);
        }
        if (status == DPH_OK) {
            prefixes.n[prefixes.n_slices] = q.n;
            prefixes.y_max[prefixes.n_slices] = q.y_max;
            slices[prefixes.n_slices] = k;
            good[prefixes.n_slices++] = q;
        }
    }
    if (prefixes.n_slices == 0) {
        return;
    }
    prefixes.step = dph_curvestart_step(prefixes.n[0]);
    n_nodes = dph_curvestart_scan(&prefixes, good[0].form, good[0].axes, sums + PLACES, F, A, sums);
    for (int i = 0; i < prefixes.n_slices; i++) {
        good[i].F = F + i * n_nodes;
        good[i].A = A + i * n_nodes;
        good[i].sums = sums + i * n_nodes;
        fit_slice(&good[i], scratch,
                  out + (slices[i] * options->n_forms + form_index) * options->n_losses);
    }
}

int64_t
dph_curve_groups(const int64_t *starts, const int64_t *ends, int64_t n_slices, int64_t *groups)
{
    int64_t n = 0;

    groups[0] = 0;
    for (int64_t k = 1; k < n_slices; k++) {
        if (k - groups[n] == DPH_CURVESTART_SLICES || starts[k] != starts[k - 1] ||
            ends[k] < ends[k - 1] ||
            dph_curvestart_step(ends[k] - starts[k]) !=
                dph_curvestart_step(ends[k - 1] - starts[k - 1])) {
            groups[++n] = k;
        }
    }
    if (n_slices > 0) {
        groups[++n] = n_slices;
    }
    return n;
}

void
dph_curve_fit(const dph_curve_batch *batch, int64_t begin, int64_t end,
              const dph_curve_options *options, double *scratch, dph_curve *out)
{
    for (int64_t i = begin; i < end; i++) {
        int64_t group = i / options->n_forms;

        fit_group(batch, batch->groups[group], batch->groups[group + 1],
                  (int)(i % options->n_forms), options, scratch, out);
    }
}

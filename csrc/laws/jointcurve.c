#include "jointcurve.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/order.h"
#include "jointstep.h"

#define STARTS 3          /* places of the scan that are refined */
#define HUBER_WIDTH 1.345 /* of the scatter: 95% as efficient as least squares on normal noise */
#define TO_SIGMA 1.4826
#define DELTA_LEAST 1e-9 /* of the spread of the losses */
#define STEPS 250
#define COARSE_TOLERANCE 1e-4
#define COARSE_STEPS 15 /* of every start; the best goes on */
#define STAGES 5        /* of a falling delta */
#define FALL 0.1        /* from one to the next */
#define TOLERANCE 1e-8  /* of the objective: a promise below it ends a refinement */
#define EDGE 1e-6       /* in ln theta */
#define RANK 1e-11      /* of its own diagonal: a pivot below it is no pivot */
#define NODES_MAX 64

/* The scan: ln theta from low to high in n steps, theta_0 then theta_1. */
typedef struct {
    double low[2], high[2];
    int n[2];
} grid;

static const grid grids[DPH_N_SHAPES] = {
    {{-2.3, 0}, {11.5, 0}, {16, 1}},    /* log */
    {{-2.3, 0}, {4.0, 0}, {16, 1}},     /* exponential */
    {{-9.2, -3.0}, {1.6, 2.3}, {8, 7}}, /* power */
    {{-2.3, -2.3}, {1.1, 7.0}, {7, 7}}, /* rational */
};

typedef struct {
    double theta[2];
    double objective;
} node;

size_t
dph_jointcurve_scratch(int64_t n_largest, int64_t n_runs, int n_terms)
{
    return dph_joint_scratch(n_largest, n_runs, n_terms) + (size_t)(2 * DPH_JOINT_BLOCKS * n_terms);
}

static void
failed(dph_jointcurve *out, double *coefficients, int n_terms, int32_t status)
{
    out->objective = out->penalty = out->delta = out->gap = NAN;
    out->iterations = 0;
    out->status = status;
    for (int k = 0; k < DPH_JOINT_BLOCKS * n_terms; k++) {
        coefficients[k] = NAN;
    }
}

/* Number of runs with points and most distinct tau of a run; 0 where a value is bad. */
static int
look(const dph_jointcurve_batch *batch, int64_t cut, int64_t *n, int64_t *n_runs, int64_t *distinct)
{
    const int64_t *first = batch->first + cut * batch->n_runs;
    const int64_t *last = batch->last + cut * batch->n_runs;

    *n = *n_runs = *distinct = 0;
    for (int64_t r = 0; r < batch->n_runs; r++) {
        int64_t own = 0;

        for (int64_t i = first[r]; i < last[r]; i++) {
            if (!(batch->tau[i] >= 0 && batch->tau[i] <= 1 && isfinite(batch->loss[i]))) {
                return 0;
            }
            own += i == first[r] || batch->tau[i] != batch->tau[i - 1];
        }
        *n += last[r] - first[r];
        *n_runs += last[r] > first[r];
        *distinct = own > *distinct ? own : *distinct;
    }
    return 1;
}

/* Least squares in F and A at the theta of a node; 0 where the design does not determine them. */
static int
least_squares(dph_joint *joint, double *b, const double *theta, double ridge, int repeats,
              double *objective)
{
    dph_joint_goal goal = {.delta = INFINITY, .divisor = 1, .ridge = ridge};

    memset(b, 0, sizeof(double) * (size_t)(DPH_JOINT_BLOCKS * joint->n_terms));
    for (int k = 0; k < joint->n_theta; k++) {
        b[(2 + k) * joint->n_terms] = theta[k];
    }
    for (int k = 0; k < repeats; k++) { /* a second one takes back rounding */
        dph_joint_look(joint, b, 0);
        if (dph_joint_solve(joint, b, &goal, 0, 0, RANK, NULL) != DPH_OK) {
            return 0;
        }
        for (int i = 0; i < 2 * joint->n_terms; i++) {
            b[i] += joint->step[i];
        }
    }
    dph_joint_look(joint, b, 0);
    *objective = dph_joint_value(joint, b, &goal);
    return isfinite(*objective) != 0;
}

/* Scan theta; the best nodes that are no neighbours of better ones, best first. Number of them. */
static int
scan(dph_joint *joint, double *b, double ridge, node *best)
{
    const grid *g = &grids[joint->form];
    node nodes[NODES_MAX];
    int n = 0;
    int found = 0;

    for (int i = 0; i < g->n[0]; i++) {
        for (int j = 0; j < g->n[1]; j++) {
            node *at = &nodes[n++];

            at->theta[0] = g->low[0] + (g->high[0] - g->low[0]) * i / (g->n[0] - 1);
            at->theta[1] =
                g->n[1] > 1 ? g->low[1] + (g->high[1] - g->low[1]) * j / (g->n[1] - 1) : 0;
            if (dph_joint_stopped(joint) ||
                !least_squares(joint, b, at->theta, ridge, 1, &at->objective)) {
                at->objective = INFINITY;
            }
        }
    }
    for (int i = 0; i < n; i++) {
        int row = i / g->n[1];
        int column = i % g->n[1];
        int lowest = isfinite(nodes[i].objective) != 0;

        for (int j = 0; j < n && lowest; j++) {
            int near = abs(j / g->n[1] - row) <= 1 && abs(j % g->n[1] - column) <= 1;

            lowest = !(near && (nodes[j].objective < nodes[i].objective ||
                                (nodes[j].objective == nodes[i].objective && j < i)));
        }
        if (lowest) {
            int place = found < STARTS ? found++ : STARTS;

            while (place > 0 && nodes[i].objective < best[place - 1].objective) {
                if (place < STARTS) {
                    best[place] = best[place - 1];
                }
                place--;
            }
            if (place < STARTS) {
                best[place] = nodes[i];
            }
        }
    }
    return found;
}

/* Median distance of the points from a curve. */
static double
scatter(dph_joint *joint)
{
    for (int64_t i = 0; i < joint->n; i++) {
        joint->spare[i] = fabs(joint->r[i]);
    }
    return dph_select(joint->spare, joint->n, joint->n / 2);
}

static double
mean_distance(const dph_joint *joint)
{
    double sum = 0;

    for (int64_t i = 0; i < joint->n; i++) {
        sum += fabs(joint->r[i]);
    }
    return sum / (double)joint->n;
}

/* Refine b under one loss from where it is, for comparison or (final) to the end. Returns 1 where
 * it came to rest. */
static int
refine(dph_joint *joint, double *b, int loss, double delta0, double ridge, int final,
       dph_jointcurve *out)
{
    dph_joint_goal goal = {.delta = delta0, .divisor = 1, .ridge = ridge};
    int most = final ? STEPS : COARSE_STEPS;
    double tolerance = final ? TOLERANCE : COARSE_TOLERANCE;
    int rest = 1;
    int steps = 0;

    out->gap = 0;
    if (loss == DPH_CURVE_HUBER) {
        rest = dph_joint_descend(joint, b, &goal, joint->n_theta, most, tolerance, &steps);
        out->iterations += steps;
        out->objective = dph_joint_mean(joint, delta0);
        return rest;
    }
    goal.ridge = ridge / delta0;
    for (int stage = 0; stage < (final ? STAGES : 1); stage++) {
        int shapes = stage < STAGES - 2 ? joint->n_theta : 0;
        double mean = 0;

        dph_joint_look(joint, b, 0);
        mean = mean_distance(joint);
        goal.delta = fmax(pow(FALL, stage + 1) * mean, DELTA_LEAST * joint->spread);
        goal.divisor = goal.delta;
        rest = dph_joint_descend(joint, b, &goal, shapes, most, tolerance, &steps);
        out->iterations += steps;
    }
    out->objective = mean_distance(joint);
    out->gap = out->objective - dph_joint_mean(joint, goal.delta) / goal.delta;
    return rest;
}

/* The bits that a finished fit deserves. */
static int32_t
warnings(const dph_joint *joint, const double *b)
{
    int32_t status = 0;

    for (int64_t r = 0; r < joint->n_runs; r++) {
        if (joint->ends[r] > joint->begins[r]) {
            double theta[2];

            if (!(dph_joint_linear(joint, b + joint->n_terms, r, joint->n_terms) > 0)) {
                status |= DPH_W_JOINT_RISES;
            }
            dph_joint_theta(joint, b, r, theta);
            for (int k = 0; k < joint->n_theta; k++) {
                if (theta[k] <= joint->low[k] + EDGE || theta[k] >= joint->high[k] - EDGE) {
                    status |= DPH_W_THETA_AT_BOUND;
                }
            }
        }
    }
    return status;
}

static void
fit_item(const dph_jointcurve_batch *batch, int64_t cut, int form,
         const dph_jointcurve_options *options, double *scratch, dph_jointcurve *out,
         double *coefficients)
{
    int n_terms = batch->n_terms;
    size_t width = (size_t)(DPH_JOINT_BLOCKS * n_terms);
    double *b = scratch;
    double *winner = scratch + width;
    node starts[STARTS + 1];
    dph_joint joint;
    int64_t n = 0;
    int64_t n_runs = 0;
    int64_t distinct = 0;
    int32_t status = DPH_OK;
    int n_starts = 0;
    double delta0 = options->delta;
    int good = look(batch, cut, &n, &n_runs, &distinct);

    dph_joint_open(&joint, batch, cut, form, options->stopped, scratch + 2 * width);
    if (!good) {
        status = DPH_E_BAD_VALUE;
    } else if (n == 0 || distinct < 2 + joint.n_theta) {
        status = DPH_E_TOO_FEW_POINTS;
    } else {
        n_starts = scan(&joint, b, options->ridge, starts);
        status = dph_joint_stopped(&joint) ? DPH_E_CANCELLED : n_starts ? DPH_OK : DPH_E_RANK;
    }
    if (status == DPH_OK && !(delta0 > 0)) {
        double objective = 0;

        least_squares(&joint, b, starts[0].theta, options->ridge, 2, &objective);
        delta0 = fmax(HUBER_WIDTH * TO_SIGMA * scatter(&joint), DELTA_LEAST * joint.spread);
    }
    for (int l = 0; l < options->n_losses; l++) {
        dph_jointcurve *record = out + l;
        double *own = coefficients + (size_t)l * width;
        double least = INFINITY;
        int rest = 1;

        *record = (dph_jointcurve){
            .n = n, .n_runs = n_runs, .form = form, .loss = options->losses[l], .delta = delta0};
        for (int k = 0; k < n_starts && status == DPH_OK; k++) {
            dph_jointcurve trial = *record;
            double ignored = 0;
            double value = 0;

            if (!least_squares(&joint, b, starts[k].theta, options->ridge, 2, &ignored)) {
                continue;
            }
            trial.iterations = 0;
            refine(&joint, b, record->loss, delta0, options->ridge, 0, &trial);
            value = trial.objective + dph_joint_penalty(&joint, b) * options->ridge /
                                          (record->loss == DPH_CURVE_HUBER ? 1 : delta0);
            if (value < least) {
                least = value;
                *record = trial;
                memcpy(winner, b, sizeof(double) * width);
            }
        }
        if (status == DPH_OK && dph_joint_stopped(&joint)) {
            status = DPH_E_CANCELLED;
        } else if (status == DPH_OK && !isfinite(least)) {
            status = DPH_E_NO_CONVERGENCE;
        }
        if (status != DPH_OK) {
            failed(record, own, n_terms, status);
            continue;
        }
        rest = refine(&joint, winner, record->loss, delta0, options->ridge, 1, record);
        record->penalty = options->ridge * dph_joint_penalty(&joint, winner);
        record->status = warnings(&joint, winner) | (rest ? 0 : DPH_W_JOINT_STALLED);
        memcpy(own, winner, sizeof(double) * width);
        for (int k = joint.n_theta + 2; k < DPH_JOINT_BLOCKS; k++) {
            for (int t = 0; t < n_terms; t++) {
                own[k * n_terms + t] = NAN;
            }
        }
    }
}

void
dph_jointcurve_fit(const dph_jointcurve_batch *batch, int64_t begin, int64_t end,
                   const dph_jointcurve_options *options, double *scratch, dph_jointcurve *out,
                   double *coefficients)
{
    size_t width = (size_t)(DPH_JOINT_BLOCKS * batch->n_terms);

    for (int64_t i = begin; i < end; i++) {
        int64_t at = i * options->n_losses;

        fit_item(batch, i / options->n_forms, options->forms[i % options->n_forms], options,
                 scratch, out + at, coefficients + (size_t)at * width);
    }
}

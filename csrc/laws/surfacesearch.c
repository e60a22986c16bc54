#include "surfacesearch.h"

#include <math.h>
#include <string.h>

#include "surfacescan.h"

#define SIZE DPH_SURFACE_SIZE
#define ALPHA DPH_SURFACE_ALPHA
#define BETA DPH_SURFACE_BETA
#define NODES DPH_SURFACE_NODES

#define COLUMNS 2   /* weights of the best law, the exponent that a walk solves for */
#define ROUNDS 3    /* of walks along both exponents */
#define REFINE 12   /* values tried between the nodes, at most */
#define ENOUGH 0.05 /* share of the value that the next one has to promise */
#define HOPE 3.0    /* a minimum of a walk may lie so much deeper than a parabola says */
#define SAME 1e-12  /* relative difference of objectives that are equal */

typedef struct {
    const dph_surface_problem *p;
    dph_surface_table table;
    dph_surface_candidates candidates;
    double *weights; /* [stride] */
    double *column;  /* [stride] */
    double *scratch; /* of the polish */
    dph_surface_point best;
} search;

size_t
dph_surface_search_scratch(int64_t stride)
{
    return COLUMNS * (size_t)stride + dph_surface_table_doubles(stride) +
           dph_surface_polish_scratch(stride);
}

/* Take `trial` if it is lower, polished. */
static int
consider(search *s, dph_surface_point *trial)
{
    dph_surface_point *best = &s->best;
    int code = dph_surface_polish(s->p, s->scratch, trial);
    int iterations = best->iterations + trial->iterations;

    best->iterations = iterations;
    if (code == DPH_E_CANCELLED) {
        return code;
    }
    if (code == DPH_OK && (trial->objective < best->objective ||
                           (trial->converged && !best->converged &&
                            trial->objective <= best->objective * (1 + SAME)))) {
        *best = *trial;
        best->iterations = iterations;
    }
    return DPH_OK;
}

/* The least-squares law as one more start: few outliers leave it close. */
static int
from_squares(search *s)
{
    dph_surface_problem squares = *s->p;
    dph_surface_point best = {.objective = INFINITY};
    int n = s->candidates.n_squares;
    int code = DPH_OK;

    squares.objective = DPH_OBJECTIVE_SQUARED;
    squares.delta = INFINITY;
    for (int k = 0; k < n && code != DPH_E_CANCELLED; k++) {
        dph_surface_point trial = {0};

        memcpy(trial.theta, s->candidates.squares[k], sizeof trial.theta);
        code = dph_surface_polish(&squares, s->scratch, &trial);
        if (code == DPH_OK && trial.objective < best.objective) {
            best = trial;
        }
    }
    if (code == DPH_E_CANCELLED || isinf(best.objective)) {
        return code == DPH_E_CANCELLED ? code : DPH_OK;
    }
    return consider(s, &best);
}

/* Least squares under the weights that the best law gives the points; returns its value there. */
static double
reweight(search *s, dph_surface_problem *squares)
{
    const dph_surface_problem *p = s->p;
    double *r = s->scratch + 3 * p->stride;
    double delta = p->delta;
    double sum = 0;

    *squares = *p;
    squares->objective = DPH_OBJECTIVE_SQUARED;
    squares->delta = INFINITY;
    squares->w = s->weights;
    (void)dph_surface_residuals(p, s->best.theta, s->scratch, s->scratch + p->stride,
                                s->scratch + 2 * p->stride, r);
    if (!isinf(delta)) {
        delta = fmax(delta, 0.1 * dph_surface_mean_abs(p, r));
    }
    for (int64_t i = 0; i < p->stride; i++) {
        double size = i < p->n ? fabs(r[i]) : 0;

        s->weights[i] = size > delta ? p->w[i] * delta / size : p->w[i];
        sum += 0.5 * s->weights[i] * size * size;
    }
    return sum;
}

/* One value of the exponent that is solved for, with the node k of the one that walks. */
typedef struct {
    double x; /* ln of the exponent */
    double value;
    double theta[SIZE];
} trial;

static void
try_at(search *s, const dph_surface_problem *squares, int walks, int k, int node, trial *out)
{
    const dph_surface_table *t = &s->table;
    const dph_surface_problem *p = s->p;
    const double *still = walks == ALPHA ? t->left + k * p->stride : t->right + k * p->stride;
    const double *moves = s->column;
    int other = walks == ALPHA ? BETA : ALPHA;

    if (node >= 0) {
        out->x = log(other == ALPHA ? t->p[node] : t->q[node]);
        moves = other == ALPHA ? t->left + node * p->stride : t->right + node * p->stride;
    } else {
        const double *z = other == ALPHA ? p->u : p->v;

        for (int64_t i = 0; i < p->stride; i++) {
            s->column[i] = i < p->n ? exp(-exp(out->x) * z[i]) : 0;
        }
    }
    for (int j = 0; j < ALPHA; j++) {
        out->theta[j] = p->is_free[j] ? 0 : p->lo[j];
    }
    out->theta[walks] = walks == ALPHA ? t->p[k] : t->q[k];
    out->theta[other] = node >= 0 ? (other == ALPHA ? t->p[node] : t->q[node]) : exp(out->x);
    out->value = dph_surface_inner(squares, walks == ALPHA ? still : moves,
                                   walks == ALPHA ? moves : still, INFINITY, 1, out->theta);
    if (!(out->value >= 0)) {
        out->value = INFINITY;
    }
}

/* The parabola through three points: how far its lowest point lies from the middle one, and how
 * far below it. */
static double
vertex(const trial *three, double *drop)
{
    double left = three[1].x - three[0].x;
    double right = three[2].x - three[1].x;
    double down = (three[0].value - three[1].value) / left;
    double up = (three[2].value - three[1].value) / right;
    double slope = (up * left - down * right) / (left + right);
    double bend = (down + up) / (left + right);

    *drop = bend > 0 ? 0.25 * slope * slope / bend : 0;
    return bend > 0 ? -0.5 * slope / bend : 0;
}

/* Where to try next between three points: at the vertex, off the middle one. */
static double
between(const trial *three, double shift)
{
    double left = three[1].x - three[0].x;
    double right = three[2].x - three[1].x;
    double x = shift;

    if (fabs(shift) < 1e-3 * (left + right) || shift <= -left || shift >= right) {
        x = right > left ? 0.1 * right : -0.1 * left;
    }
    return three[1].x + x;
}

/* The best law with one exponent at its node k: from the best node of the other downhill, then
 * between the nodes. */
static trial
solve_at(search *s, const dph_surface_problem *squares, int walks, int k)
{
    const dph_surface_table *t = &s->table;
    int n = walks == ALPHA ? t->n_q : t->n_p;
    int at = walks == ALPHA ? s->candidates.best_q[k] : s->candidates.best_p[k];
    trial three[3];

    try_at(s, squares, walks, k, at, &three[1]);
    three[0] = three[1];
    three[2] = three[1];
    if (n == 1) {
        return three[1];
    }
    for (int step = 1; step >= -1; step -= 2) { /* up, then down unless up was lower */
        int start = at;

        while (at + step >= 0 && at + step < n) {
            trial *ahead = step > 0 ? &three[2] : &three[0];
            trial *behind = step > 0 ? &three[0] : &three[2];

            try_at(s, squares, walks, k, at + step, ahead);
            if (!(ahead->value < three[1].value)) {
                break;
            }
            *behind = three[1];
            three[1] = *ahead;
            at += step;
        }
        if (at != start && step > 0) {
            break;
        }
    }
    if (at == 0 || at == n - 1 || !isfinite(three[0].value + three[2].value)) {
        return three[1];
    }
    for (int i = 0; i < REFINE; i++) {
        double drop = 0;
        double shift = vertex(three, &drop);
        trial next = {.x = between(three, shift)};
        int above = next.x > three[1].x;

        if (i > 0 && drop <= ENOUGH * three[1].value) {
            break;
        }
        try_at(s, squares, walks, k, -1, &next);
        if (next.value < three[1].value) {
            three[above ? 0 : 2] = three[1];
            three[1] = next;
        } else {
            three[above ? 2 : 0] = next;
        }
    }
    return three[1];
}

/* Whether the minimum at node k of a walk may lead below the best law, and is not that law. */
static int
is_worth(const search *s, int walks, const trial *at, int n, int k, double best)
{
    const double *nodes = walks == ALPHA ? s->table.p : s->table.q;
    double here = s->best.theta[walks];
    double drop = 0;
    trial three[3];

    if (at[k].value < best) {
        return 1;
    }
    if (k == 0 || k == n - 1) {
        return 0;
    }
    /* without its term the exponent of the best law says nothing */
    if (s->best.theta[walks - 2] != 0 && here > nodes[k - 1] && here < nodes[k + 1]) {
        return 0;
    }
    for (int i = 0; i < 3; i++) {
        three[i] = (trial){.x = log(nodes[k - 1 + i]), .value = at[k - 1 + i].value};
    }
    (void)vertex(three, &drop);
    return at[k].value - HOPE * drop < best;
}

/* Walk one exponent over its nodes and polish the minima that may be lower. */
static int
walk(search *s, int walks)
{
    dph_surface_problem squares;
    double best = reweight(s, &squares);
    trial at[NODES];
    int n = walks == ALPHA ? s->table.n_p : s->table.n_q;
    int code = DPH_OK;

    for (int k = 0; k < n; k++) {
        if (dph_surface_stopped(s->p)) {
            return DPH_E_CANCELLED;
        }
        at[k] = solve_at(s, &squares, walks, k);
    }
    for (int k = 0; k < n && code == DPH_OK; k++) {
        int lowest = (k == 0 || at[k].value <= at[k - 1].value) &&
                     (k == n - 1 || at[k].value < at[k + 1].value);

        if (lowest && is_worth(s, walks, at, n, k, best)) {
            dph_surface_point start = {0};

            memcpy(start.theta, at[k].theta, sizeof start.theta);
            code = consider(s, &start);
        }
    }
    return code;
}

int
dph_surface_search(const dph_surface_problem *p, double u_span, double v_span, double *scratch,
                   dph_surface_point *best, int64_t *n_minima)
{
    double *columns = scratch + COLUMNS * p->stride;
    search s = {.p = p,
                .weights = scratch,
                .column = scratch + p->stride,
                .table = {.left = columns, .right = columns + NODES * p->stride},
                .scratch = columns + dph_surface_table_doubles(p->stride),
                .best = {.objective = INFINITY}};
    int code = DPH_OK;

    dph_surface_nodes(p, u_span, v_span, &s.table);
    dph_surface_table_fill(p, &s.table);
    code = dph_surface_scan(p, &s.table, s.scratch, &s.candidates);
    *n_minima = s.candidates.n_minima;
    for (int k = 0; k < s.candidates.n && code == DPH_OK; k++) {
        dph_surface_point start = {0};

        memcpy(start.theta, s.candidates.theta[k], sizeof start.theta);
        code = consider(&s, &start);
    }
    if (p->objective != DPH_OBJECTIVE_SQUARED && code == DPH_OK) {
        code = from_squares(&s);
    }
    for (int round = 0; round < ROUNDS && code == DPH_OK && isfinite(s.best.objective); round++) {
        double before = s.best.objective;

        for (int which = ALPHA; which <= BETA && code == DPH_OK; which++) {
            if (p->is_free[which]) {
                code = walk(&s, which);
            }
        }
        if (!(s.best.objective < before * (1 - SAME))) {
            break;
        }
    }
    *best = s.best;
    if (code != DPH_OK) {
        return code;
    }
    return isfinite(best->objective) && best->converged ? DPH_OK : DPH_E_NO_CONVERGENCE;
}

#include "l1step.h"

#include <math.h>

#include "../base/lanes.h"
#include "../base/smallinverse.h"
#include "l1loops.h"

#define K DPH_L1STEP_MAX
#define PIVOTS_MAX 200
#define TINY 1e-13 /* of a slope: falling no faster is not falling */
#define SINGULAR 1e-14
#define UPDATES 12 /* of the inverse, before it is computed anew */
#define WORTH 2.0  /* of the sum at zero: a vertex with a larger sum is no place to start from */
#define NEAREST 3  /* places of a turn looked for one by one */

/* What holds an edge in place: nothing yet, a residual kept at zero, or a bound. */
enum { LOOSE, POINT, LOW, HIGH };

typedef struct {
    const dph_l1problem *problem; /* its columns padded */
    int64_t padded;               /* rows with padding */
    double scale[K];              /* d = scale z: columns of unit mean size */
    double *r;                    /* [padded] residuals at z */
    double *t;                    /* [padded] where residuals change sign along the edge */
    double *weight;               /* [padded] how much the slope grows there */
    double *index;                /* [padded] which residual it is */
    double z[K];
    double pull[K]; /* the slope of the sum by each z, residuals at zero left out */
    double sum;     /* at z */
    int kind[K];
    int64_t point[K];
    int64_t n_zero;       /* residuals at zero that nothing holds, listed in index */
    double inverse[K][K]; /* column a moves off holder a and keeps the others */
    int updates;          /* of the inverse since it was computed; -1 for none yet */
} walk;

static double
entry(const walk *w, int j, int64_t i)
{
    return w->problem->J[j][i] * w->scale[j];
}

/* The inverse of the holders' rows; 0 if they are not independent. */
static int
invert(walk *w)
{
    int k = w->problem->n_parameters;

    for (int a = 0; a < k; a++) {
        for (int j = 0; j < K; j++) {
            w->inverse[a][j] = w->kind[a] == POINT && j < k ? entry(w, j, w->point[a]) : 0;
        }
        if (w->kind[a] != POINT) {
            w->inverse[a][w->point[a]] = 1;
        }
    }
    return dph_smallinverse(w->inverse, k, SINGULAR);
}

/* Let another row take the place of holder a: the inverse by a change of rank one. */
static int
replace(walk *w, int a, int kind, int64_t point)
{
    int k = w->problem->n_parameters;
    double u[K] = {0};

    w->kind[a] = kind;
    w->point[a] = point;
    if (w->updates < 0 || w->updates >= UPDATES) {
        w->updates = 0;
        return invert(w);
    }
    for (int b = 0; b < k; b++) {
        if (kind == POINT) {
            for (int j = 0; j < k; j++) {
                u[b] += entry(w, j, point) * w->inverse[j][b];
            }
        } else {
            u[b] = w->inverse[point][b];
        }
    }
    if (!(fabs(u[a]) > 1e-6)) { /* the change would be mostly rounding */
        w->updates = 0;
        return invert(w);
    }
    for (int j = 0; j < k; j++) {
        double edge = w->inverse[j][a] / u[a];

        for (int b = 0; b < k; b++) {
            w->inverse[j][b] -= u[b] * edge;
        }
        w->inverse[j][a] = edge;
    }
    w->updates++;
    return 1;
}

static int
holds(const walk *w, int64_t i)
{
    for (int a = 0; a < w->problem->n_parameters; a++) {
        if (w->kind[a] == POINT && w->point[a] == i) {
            return 1;
        }
    }
    return 0;
}

/* The sum at z and its slopes, residuals at zero left out of them: every way from there costs.
 * Those held are exactly zero; others that are zero are listed in w->index. */
static void
settle(walk *w)
{
    const dph_l1problem *q = w->problem;
    double d[K] = {0};
    int64_t zeros = 0;
    int64_t held = w->padded - q->n;

    for (int j = 0; j < q->n_parameters; j++) {
        d[j] = w->z[j] * w->scale[j];
    }
    w->sum = dph_l1loops_look(q->r, q->J, q->n_parameters, d, w->padded, w->r, w->pull, &zeros);
    for (int a = 0; a < q->n_parameters; a++) {
        double *r = &w->r[w->point[a]];

        if (w->kind[a] != POINT) {
            continue;
        }
        if (*r != 0) { /* more than rounding was left of it */
            for (int j = 0; j < q->n_parameters; j++) {
                w->pull[j] += *r > 0 ? q->J[j][w->point[a]] : -q->J[j][w->point[a]];
            }
            w->sum -= fabs(*r);
            *r = 0;
            zeros++;
        }
        held++;
    }
    for (int j = 0; j < q->n_parameters; j++) {
        w->pull[j] *= w->scale[j];
    }
    w->n_zero = 0;
    for (int64_t i = 0; i < q->n && zeros > held; i++) {
        if (w->r[i] == 0 && !holds(w, i)) {
            w->index[w->n_zero++] = (double)i;
        }
    }
}

/* Let a residual that is zero already take the place of a loose holder: along no axis alone need
 * the sum fall from a kink. 1 if there was one, -1 if that left no inverse. */
static int
adopt(walk *w)
{
    int k = w->problem->n_parameters;

    for (int64_t z = 0; z < w->n_zero; z++) {
        double most = 1e-9;
        int best = -1;

        for (int a = 0; a < k; a++) {
            double c = 0;
            double size = 0;

            for (int j = 0; j < k && w->kind[a] == LOOSE; j++) {
                double term = entry(w, j, (int64_t)w->index[z]) * w->inverse[j][a];

                c += term;
                size += fabs(term);
            }
            if (size > 0 && fabs(c) / size > most) {
                most = fabs(c) / size;
                best = a;
            }
        }
        if (best >= 0) {
            return replace(w, best, POINT, (int64_t)w->index[z]) ? 1 : -1;
        }
    }
    return 0;
}

/* What residuals at zero that nothing holds cost for each unit of the way along edge a. */
static double
toll(const walk *w, int a)
{
    double sum = 0;

    for (int64_t z = 0; z < w->n_zero; z++) {
        double c = 0;

        for (int j = 0; j < w->problem->n_parameters; j++) {
            c += entry(w, j, (int64_t)w->index[z]) * w->inverse[j][a];
        }
        sum += fabs(c);
    }
    return sum;
}

/* The edge that falls fastest for its length: which holder to leave and which way. -1 for none. */
static int
steepest(const walk *w, int *way, double *slope)
{
    int k = w->problem->n_parameters;
    int best = -1;
    double fastest = 0; /* the square of the fall for its length */

    for (int a = 0; a < k; a++) {
        double along = 0;
        double length = 0;
        double size = 0;
        double cost = toll(w, a) + (w->kind[a] == POINT ? 1 : 0);

        for (int j = 0; j < k; j++) {
            along += w->pull[j] * w->inverse[j][a];
            size += fabs(w->pull[j] * w->inverse[j][a]);
            length += w->inverse[j][a] * w->inverse[j][a];
        }
        for (int side = -1; side <= 1; side += 2) {
            double falls = side * along + cost;
            int allowed = w->kind[a] == LOW ? side > 0 : w->kind[a] == HIGH ? side < 0 : 1;

            if (allowed && falls < -TINY * (1 + size) && falls * falls > fastest * length) {
                fastest = falls * falls / length;
                *slope = falls;
                *way = side;
                best = a;
            }
        }
    }
    return best;
}

static void
swap(walk *w, int64_t a, int64_t b)
{
    double *columns[] = {w->t, w->weight, w->index};

    for (int c = 0; c < 3; c++) {
        double held = columns[c][a];

        columns[c][a] = columns[c][b];
        columns[c][b] = held;
    }
}

/* The place in w->t and its fellows at which the weights of all up to it reach `need`, for the n
 * that are listed there, after some reordering. -1 if they never do. */
static int64_t
turning(walk *w, int64_t n, double need)
{
    int64_t first = 0;
    int64_t last = n - 1;
    double before = 0;

    while (first <= last) {
        double pivot = w->t[first + (last - first) / 2];
        double less = 0;
        double equal = 0;
        int64_t low = first;
        int64_t high = last;

        for (int64_t i = first; i <= high;) {
            if (w->t[i] < pivot) {
                less += w->weight[i];
                swap(w, i++, low++);
            } else if (w->t[i] > pivot) {
                swap(w, i, high--);
            } else {
                equal += w->weight[i++];
            }
        }
        if (before + less >= need) {
            last = low - 1;
        } else if (before + less + equal >= need) {
            return low;
        } else {
            before += less + equal;
            first = high + 1;
        }
    }
    return -1;
}

/* The residual at which the sum stops falling along v, or -1 where a bound comes first, and how far
 * that is: where residuals have changed sign whose weights reach `need`. */
static int64_t
turn(walk *w, const double *v, double most, double need, double *step)
{
    const dph_l1problem *q = w->problem;
    double scaled[K] = {0};
    int64_t n = 0;
    int64_t at = 0;

    for (int j = 0; j < q->n_parameters; j++) {
        scaled[j] = v[j] * w->scale[j];
    }
    *step = dph_l1loops_crossings(w->r, q->J, q->n_parameters, scaled, w->padded, most, w->t,
                                  w->weight);
    for (int c = 0; c < NEAREST && *step < INFINITY; c++) { /* most edges are short */
        for (at = 0; w->t[at] > *step; at++) {
        }
        need -= w->weight[at];
        if (need <= 0) {
            return at;
        }
        w->t[at] = INFINITY;
        *step = dph_l1loops_nearest(w->t, w->padded);
    }
    for (int64_t i = 0; i < q->n && *step < INFINITY; i++) {
        double t = w->t[i];
        double weight = w->weight[i];

        w->t[n] = t;
        w->weight[n] = weight;
        w->index[n] = (double)i;
        n += t < INFINITY;
    }
    at = n > 0 ? turning(w, n, need) : -1;
    *step = at >= 0 ? w->t[at] : most;
    return at >= 0 ? (int64_t)w->index[at] : -1;
}

/* Follow the edge as far as the sum falls. 1 if that moved on to a new holder, 0 if not. */
static int
follow(walk *w, int leave, int way, double slope)
{
    const dph_l1problem *q = w->problem;
    int k = q->n_parameters;
    double v[K] = {0};
    double most = INFINITY; /* to the nearest bound */
    int bound = -1;
    int64_t at = 0;
    double step = 0;

    for (int j = 0; j < k; j++) {
        double end = 0;
        double t = 0;

        v[j] = way * w->inverse[j][leave];
        if (v[j] == 0) {
            continue;
        }
        end = (v[j] > 0 ? q->high[j] : q->low[j]) / w->scale[j];
        t = (end - w->z[j]) / v[j];
        t = t > 0 ? t : 0;
        for (int a = 0; a < k; a++) { /* a bound that holds is kept, whatever rounding says */
            if (a != leave && (w->kind[a] == LOW || w->kind[a] == HIGH) && w->point[a] == j) {
                t = INFINITY;
            }
        }
        if (t < most) {
            most = t;
            bound = j;
        }
    }
    at = turn(w, v, most, -slope, &step);
    if (at < 0 && bound < 0) {
        return 0;
    }
    for (int j = 0; j < k; j++) {
        w->z[j] += step * v[j];
    }
    if (at >= 0) {
        return replace(w, leave, POINT, at);
    }
    w->z[bound] = (v[bound] > 0 ? q->high[bound] : q->low[bound]) / w->scale[bound];
    return replace(w, leave, v[bound] > 0 ? HIGH : LOW, bound);
}

/* Start from the vertex of an earlier, similar problem: its holders held here. 0 if they do not fix
 * a point within the bounds. */
static int
start_from(walk *w, const dph_l1vertex *vertex)
{
    const dph_l1problem *q = w->problem;
    int k = q->n_parameters;
    double target[K] = {0};

    for (int a = 0; a < k; a++) {
        w->kind[a] = vertex->kind[a];
        w->point[a] = vertex->point[a];
        if (w->kind[a] == POINT) {
            target[a] = q->r[w->point[a]];
        } else {
            int j = (int)w->point[a];

            target[a] = (w->kind[a] == HIGH ? q->high[j] : q->low[j]) / w->scale[j];
        }
    }
    w->updates = 0;
    if (!invert(w)) {
        return 0;
    }
    for (int j = 0; j < k; j++) {
        w->z[j] = 0;
        for (int a = 0; a < k; a++) {
            w->z[j] += w->inverse[j][a] * target[a];
        }
    }
    for (int a = 0; a < k; a++) {
        if (w->kind[a] != POINT) {
            w->z[w->point[a]] = target[a];
        }
    }
    for (int j = 0; j < k; j++) {
        double d = w->z[j] * w->scale[j];

        if (!(d >= q->low[j] && d <= q->high[j])) {
            return 0;
        }
    }
    return 1;
}

/* Remember the holders for the next problem, if every one of them is one. */
static void
keep(const walk *w, dph_l1vertex *vertex)
{
    vertex->n = w->problem->n_parameters;
    for (int a = 0; a < w->problem->n_parameters; a++) {
        vertex->kind[a] = w->kind[a];
        vertex->point[a] = w->point[a];
        vertex->n = w->kind[a] == LOOSE ? 0 : vertex->n;
    }
}

/* Nothing held, at zero. */
static int
start_loose(walk *w)
{
    for (int j = 0; j < w->problem->n_parameters; j++) {
        w->kind[j] = LOOSE;
        w->point[j] = j;
        w->z[j] = 0;
    }
    w->updates = 0;
    return invert(w);
}

double
dph_l1step(const dph_l1problem *given, double *scratch, dph_l1vertex *vertex, double *d)
{
    dph_l1problem problem = *given;
    int k = problem.n_parameters;
    int64_t padded = DPH_PADDED(problem.n);
    walk w = {.problem = &problem,
              .padded = padded,
              .r = scratch,
              .t = scratch + padded,
              .weight = scratch + 2 * padded,
              .index = scratch + 3 * padded};
    double start = 0;
    double here = INFINITY;
    double best = 0;
    int settled = 1;

    problem.r = scratch + 4 * padded;
    best = start = dph_l1loops_take(given->r, problem.n, scratch + 4 * padded);
    for (int j = 0; j < k; j++) {
        double *column = scratch + (5 + j) * padded;
        double size = dph_l1loops_take(given->J[j], problem.n, column);

        problem.J[j] = column;
        w.scale[j] = size > 0 ? (double)problem.n / size : 1;
        d[j] = 0;
    }
    if (vertex->n == k && start_from(&w, vertex)) {
        settle(&w);
        settled = w.sum <= WORTH * start;
    } else {
        settled = 0;
    }
    if (!settled) {
        settled = start_loose(&w);
        settle(&w);
    }
    vertex->n = 0;
    vertex->ended = 0;
    for (int pivot = 0; pivot < PIVOTS_MAX && settled && !dph_l1step_stopped(given); pivot++) {
        double slope = 0;
        int way = 0;
        int leave = -1;
        int adopted = 0;

        if (w.sum < best || pivot == 0) {
            best = w.sum < best ? w.sum : best;
            for (int j = 0; j < k && w.sum <= best; j++) {
                d[j] = w.z[j] * w.scale[j];
            }
        }
        if (pivot > 0 && !(w.sum < here) &&
            (w.sum > here * (1 + 1e-12) || pivot > PIVOTS_MAX / 2)) {
            vertex->ended = 1;
            break; /* edges as short as rounding are followed, for a while: another may lead on */
        }
        here = w.sum;
        adopted = adopt(&w);
        if (adopted == 0) {
            leave = steepest(&w, &way, &slope);
            if (leave < 0) {
                keep(&w, vertex);
                vertex->ended = 1;
                break;
            }
        }
        settled = adopted != 0 ? adopted > 0 : follow(&w, leave, way, slope);
        settle(&w);
    }
    for (int j = 0; j < k; j++) {
        d[j] = fmin(fmax(d[j], problem.low[j]), problem.high[j]);
    }
    return best < start ? best : start;
}

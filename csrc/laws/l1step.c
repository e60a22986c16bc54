#include "l1step.h"

#include <math.h>

#define K DPH_L1STEP_MAX
#define PIVOTS_MAX 200
#define TINY 1e-13 /* of a slope: falling no faster is not falling */
#define SINGULAR 1e-14
#define ROUNDING 4e-15 /* of its terms: a residual below it is zero */

/* What holds an edge in place: nothing yet, a residual kept at zero, or a bound. */
enum { LOOSE, POINT, LOW, HIGH };

typedef struct {
    const dph_l1problem *problem;
    double scale[K]; /* d = scale z: columns of unit mean size */
    double *r;       /* [n] residuals at z */
    double *t;       /* [n] where residuals change sign along the edge */
    double *weight;  /* [n] how much the slope grows there */
    double *index;   /* [n] which residual it is */
    double z[K];
    int kind[K];
    int64_t point[K];
    int64_t n_zero;       /* residuals at zero that nothing holds, listed in index */
    double inverse[K][K]; /* column a moves off holder a and keeps the others */
} walk;

static double
entry(const walk *w, int j, int64_t i)
{
    return w->problem->J[j][i] * w->scale[j];
}

/* The inverse of the holders' rows by elimination with pivoting; 0 if they are not independent. */
static int
invert(walk *w)
{
    int k = w->problem->n_parameters;
    double m[K][2 * K] = {{0}};

    for (int a = 0; a < k; a++) {
        for (int j = 0; j < k; j++) {
            m[a][j] = w->kind[a] == POINT ? entry(w, j, w->point[a]) : 0;
        }
        if (w->kind[a] != POINT) {
            m[a][w->point[a]] = 1;
        }
        m[a][K + a] = 1;
    }
    for (int c = 0; c < k; c++) {
        int top = c;

        for (int a = c + 1; a < k; a++) {
            top = fabs(m[a][c]) > fabs(m[top][c]) ? a : top;
        }
        if (!(fabs(m[top][c]) > SINGULAR)) {
            return 0;
        }
        for (int j = 0; j < 2 * K; j++) {
            double held = m[c][j];

            m[c][j] = m[top][j];
            m[top][j] = held;
        }
        for (int a = 0; a < k; a++) {
            double factor = a == c ? 0 : m[a][c] / m[c][c];

            for (int j = 0; j < 2 * K && factor != 0; j++) {
                m[a][j] -= factor * m[c][j];
            }
        }
    }
    for (int c = 0; c < k; c++) {
        for (int a = 0; a < k; a++) {
            w->inverse[c][a] = m[c][K + a] / m[c][c];
        }
    }
    return 1;
}

static double
total(const walk *w)
{
    double sum = 0;

    for (int64_t i = 0; i < w->problem->n; i++) {
        sum += fabs(w->r[i]);
    }
    return sum;
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

/* The slope of the sum by each parameter, residuals at zero left out: every way from there costs.
 * Those that are not held are listed in w->index. */
static void
pull(walk *w, double *g)
{
    int k = w->problem->n_parameters;

    for (int j = 0; j < k; j++) {
        const double *column = w->problem->J[j];
        double sum = 0;

        for (int64_t i = 0; i < w->problem->n; i++) {
            double up = w->r[i] > 0 ? 1.0 : 0.0;
            double down = w->r[i] < 0 ? 1.0 : 0.0;

            sum += (up - down) * column[i];
        }
        g[j] = -sum * w->scale[j];
    }
    w->n_zero = 0;
    for (int64_t i = 0; i < w->problem->n; i++) {
        if (w->r[i] == 0 && !holds(w, i)) {
            w->index[w->n_zero++] = (double)i;
        }
    }
}

/* Let a residual that is zero already take the place of a loose holder: along no axis alone need
 * the sum fall from a kink. 1 if there was one. */
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
            w->kind[best] = POINT;
            w->point[best] = (int64_t)w->index[z];
            return 1;
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
steepest(const walk *w, const double *g, int *way, double *slope)
{
    int k = w->problem->n_parameters;
    int best = -1;
    double lowest = 0;

    for (int a = 0; a < k; a++) {
        double along = 0;
        double length = 0;
        double size = 0;
        double cost = toll(w, a) + (w->kind[a] == POINT ? 1 : 0);

        for (int j = 0; j < k; j++) {
            along += g[j] * w->inverse[j][a];
            size += fabs(g[j] * w->inverse[j][a]);
            length += w->inverse[j][a] * w->inverse[j][a];
        }
        for (int side = -1; side <= 1; side += 2) {
            double falls = side * along + cost;
            int allowed = w->kind[a] == LOW ? side > 0 : w->kind[a] == HIGH ? side < 0 : 1;

            if (allowed && falls < -TINY * (1 + size) && falls / sqrt(length) < lowest) {
                lowest = falls / sqrt(length);
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

/* Where the slope turns: the place, after some reordering, of the smallest t at which the weights
 * of all up to it reach `need`. -1 if they never do. */
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

/* Follow the edge as far as the sum falls. 1 if that moved on to a new holder, 0 if not. */
static int
follow(walk *w, int leave, int way, double slope)
{
    const dph_l1problem *q = w->problem;
    int k = q->n_parameters;
    double v[K] = {0};
    double most = INFINITY; /* to the nearest bound */
    int bound = -1;
    int64_t n = 0;
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
    for (int64_t i = 0; i < q->n; i++) {
        double c = 0;
        double size = 0;

        for (int j = 0; j < k; j++) {
            double term = q->J[j][i] * (v[j] * w->scale[j]);

            c += term;
            size += fabs(term);
        }
        c = fabs(c) > TINY * size ? c : 0; /* a twin of a held row stays at zero with it */
        w->t[i] = c; /* what the residual loses along the edge; overwritten below only up to i */
    }
    for (int64_t i = 0; i < q->n; i++) {
        double c = w->t[i];
        double t = w->r[i] / c;

        if (w->r[i] != 0 && c != 0 && t > 0 && t < most) {
            w->t[n] = t;
            w->weight[n] = 2 * fabs(c);
            w->index[n++] = (double)i;
        }
    }
    at = turning(w, n, -slope);
    if (at < 0 && bound < 0) {
        return 0;
    }
    step = at >= 0 ? w->t[at] : most;
    for (int j = 0; j < k; j++) {
        w->z[j] += step * v[j];
    }
    if (at >= 0) {
        w->kind[leave] = POINT;
        w->point[leave] = (int64_t)w->index[at];
    } else {
        w->kind[leave] = v[bound] > 0 ? HIGH : LOW;
        w->point[leave] = bound;
        w->z[bound] = (v[bound] > 0 ? q->high[bound] : q->low[bound]) / w->scale[bound];
    }
    for (int64_t i = 0; i < q->n; i++) {
        double r = q->r[i];
        double size = fabs(r);

        for (int j = 0; j < k; j++) {
            double term = q->J[j][i] * (w->z[j] * w->scale[j]);

            r -= term;
            size += fabs(term);
        }
        w->r[i] = fabs(r) > ROUNDING * size ? r : 0;
    }
    for (int a = 0; a < k; a++) {
        if (w->kind[a] == POINT) {
            w->r[w->point[a]] = 0;
        }
    }
    return 1;
}

double
dph_l1step(const dph_l1problem *problem, double *scratch, double *d)
{
    int64_t n = problem->n;
    int k = problem->n_parameters;
    walk w = {.problem = problem,
              .r = scratch,
              .t = scratch + n,
              .weight = scratch + 2 * n,
              .index = scratch + 3 * n};
    double best = 0;
    double worst = 0;

    for (int j = 0; j < k; j++) {
        double size = 0;

        for (int64_t i = 0; i < n; i++) {
            size += fabs(problem->J[j][i]);
        }
        w.scale[j] = size > 0 ? (double)n / size : 1;
        w.kind[j] = LOOSE;
        w.point[j] = j;
        d[j] = 0;
    }
    for (int64_t i = 0; i < n; i++) {
        w.r[i] = problem->r[i];
    }
    best = total(&w);
    worst = best;
    for (int pivot = 0; pivot < PIVOTS_MAX; pivot++) {
        double g[K] = {0};
        double slope = 0;
        double sum = 0;
        int way = 0;
        int leave = -1;

        if (!invert(&w)) {
            break;
        }
        pull(&w, g);
        if (adopt(&w)) {
            continue;
        }
        leave = steepest(&w, g, &way, &slope);
        if (leave < 0 || !follow(&w, leave, way, slope)) {
            break;
        }
        sum = total(&w);
        if (!(sum < best)) {
            if (sum > best * (1 + 1e-12) || pivot > PIVOTS_MAX / 2) {
                break;
            }
            continue; /* an edge as short as rounding: another may lead on */
        }
        best = sum;
        for (int j = 0; j < k; j++) {
            d[j] = w.z[j] * w.scale[j];
        }
    }
    for (int j = 0; j < k; j++) {
        d[j] = fmin(fmax(d[j], problem->low[j]), problem->high[j]);
    }
    return best < worst ? best : worst;
}

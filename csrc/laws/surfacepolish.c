#include "surfacepolish.h"

#include <math.h>
#include <string.h>

#include "../base/lstsq.h"

#define SIZE DPH_SURFACE_SIZE
#define ALPHA DPH_SURFACE_ALPHA
#define COLUMNS (SIZE + SIZE + 6) /* Jacobian, design, and g, h, f, r, rhs, weights */
#define STEPS 300                 /* in the last round */
#define EARLY_STEPS 30            /* in the rounds before it */
#define ROUND_FACTOR 0.25         /* thresholds of successive rounds */
#define RIDGE 1e-7
#define ROUNDING 4e-15 /* residuals below it are none */

/* The problem about one theta. */
typedef struct {
    const dph_surface_problem *p;
    double delta;
    double theta[SIZE];
    double objective; /* Huber's sum at this delta */
    double *g, *h, *f, *r;
    double *jacobian; /* [SIZE][stride]: derivatives of the model in the space of the residuals */
    double *design;   /* [SIZE][n + SIZE] */
    double *rhs;      /* [n + SIZE] */
    int active[SIZE]; /* parameters that move */
    int pinned[SIZE]; /* those at a bound that the last step wanted to leave through it */
    int n_active;
    double R[SIZE * SIZE];
    double step[SIZE]; /* R x the reweighted least-squares step: minus the gradient in the metric */
    double hessian[SIZE][SIZE]; /* in the metric */
    double normal[SIZE][SIZE];  /* the Hessian as it is */
    double length[SIZE];        /* of the weighted columns */
} local;

size_t
dph_surface_polish_scratch(int64_t stride)
{
    return (size_t)COLUMNS * ((size_t)stride + SIZE);
}

static local
open(const dph_surface_problem *p, double *scratch)
{
    size_t column = (size_t)p->stride + SIZE;

    return (local){.p = p,
                   .g = scratch,
                   .h = scratch + column,
                   .f = scratch + 2 * column,
                   .r = scratch + 3 * column,
                   .rhs = scratch + 4 * column,
                   .jacobian = scratch + 6 * column,
                   .design = scratch + (6 + SIZE) * column};
}

/* Objective at theta, whose residuals stay in r; inf outside the domain. */
static double
value_at(local *l, const double *theta)
{
    double value = INFINITY;

    if (dph_surface_residuals(l->p, theta, l->g, l->h, l->f, l->r)) {
        value = dph_surface_huber(l->p, l->r, l->delta);
    }
    return isfinite(value) ? value : INFINITY;
}

/* Derivative of Huber's function over its argument: the weight of reweighted least squares. */
static double
weight(const local *l, double size)
{
    return size <= l->delta ? 1 : l->delta / size;
}

/* Which parameters move: free, with an effect, and not pressed against a bound. */
static void
choose_active(local *l)
{
    const dph_surface_problem *p = l->p;

    l->n_active = 0;
    for (int j = 0; j < SIZE; j++) {
        double slope = 0;

        l->active[j] = 0;
        if (!p->is_free[j] || l->pinned[j] || (j >= ALPHA && l->theta[j - 2] == 0)) {
            continue;
        }
        if (l->theta[j] <= p->lo[j] || l->theta[j] >= p->hi[j]) {
            for (int64_t i = 0; i < p->n; i++) {
                slope -=
                    p->w[i] * weight(l, fabs(l->r[i])) * l->r[i] * l->jacobian[j * p->stride + i];
            }
            if (l->theta[j] <= p->lo[j] ? slope >= 0 : slope <= 0) {
                continue;
            }
        }
        l->active[j] = 1;
        l->n_active++;
    }
}

/* R and the step of reweighted least squares; ridge > 0 adds rows that keep the factor regular. */
static int
factor(local *l, double ridge)
{
    const dph_surface_problem *p = l->p;
    int64_t rows = p->n + (ridge > 0 || p->n < l->n_active ? l->n_active : 0);
    double step[SIZE];
    int k = 0;

    for (int64_t i = 0; i < p->n; i++) {
        l->rhs[i] = sqrt(p->w[i] * weight(l, fabs(l->r[i])));
    }
    for (int j = 0; j < SIZE; j++) {
        double *to = l->design + k * rows;
        double squares = 0;

        if (!l->active[j]) {
            continue;
        }
        for (int64_t i = 0; i < p->n; i++) {
            to[i] = l->rhs[i] * l->jacobian[j * p->stride + i];
            squares += to[i] * to[i];
        }
        for (int64_t i = p->n; i < rows; i++) {
            to[i] = i - p->n == k ? ridge * sqrt(squares) : 0;
        }
        k++;
    }
    for (int64_t i = 0; i < rows; i++) {
        l->rhs[i] = i < p->n ? l->rhs[i] * l->r[i] : 0;
    }
    if (dph_lstsq(l->design, l->rhs, rows, k, step, l->R, NULL) != DPH_OK) {
        return 0;
    }
    memcpy(l->step, l->rhs, (size_t)k * sizeof *l->step); /* the first entries of Q^T rhs */
    return 1;
}

/* s = R^-T s R^-1 for a symmetric s. */
static void
into_metric(const local *l, double s[SIZE][SIZE])
{
    int k = l->n_active;

    for (int pass = 0; pass < 2; pass++) { /* s = R^-T s, twice, with a transpose after each */
        for (int col = 0; col < k; col++) {
            for (int i = 0; i < k; i++) {
                for (int j = 0; j < i; j++) {
                    s[i][col] -= l->R[j * k + i] * s[j][col];
                }
                s[i][col] /= l->R[i * k + i];
            }
        }
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < i; j++) {
                double x = s[i][j];

                s[i][j] = s[j][i];
                s[j][i] = x;
            }
        }
    }
    for (int i = 0; i < k; i++) {
        for (int j = 0; j < i; j++) {
            s[i][j] = 0.5 * (s[i][j] + s[j][i]);
            s[j][i] = s[i][j];
        }
    }
}

/* What the reweighted normal matrix lacks of the Hessian, and what that is in the metric. */
static void
fill_hessian(local *l)
{
    const dph_surface_problem *p = l->p;
    double full[SIZE][SIZE] = {{0}};
    double s[SIZE][SIZE] = {{0}};
    int k = l->n_active;

    for (int64_t i = 0; i < p->n; i++) {
        double size = fabs(l->r[i]);
        double w = p->w[i] * weight(l, size);
        double psi = w * l->r[i];
        double outer = (size <= l->delta ? 0 : -w) + (p->log_space ? psi : 0);
        double ga = -psi * l->jacobian[1 * p->stride + i] * p->u[i];
        double hb = -psi * l->jacobian[2 * p->stride + i] * p->v[i];
        double at[SIZE];

        for (int j = 0; j < SIZE; j++) {
            at[j] = l->jacobian[j * p->stride + i];
        }
        for (int j = 0; j < SIZE; j++) {
            for (int m = 0; m <= j; m++) {
                full[j][m] += outer * at[j] * at[m];
            }
        }
        full[3][1] -= ga;
        full[4][2] -= hb;
        full[3][3] += ga * p->u[i] * l->theta[DPH_SURFACE_A];
        full[4][4] += hb * p->v[i] * l->theta[DPH_SURFACE_B];
    }
    for (int j = 0, row = 0; j < SIZE; j++) {
        for (int m = 0, col = 0; m <= j && l->active[j]; m++) {
            if (l->active[m]) {
                s[row][col] = full[j][m];
                s[col][row] = full[j][m];
                col++;
            }
        }
        row += l->active[j];
    }
    for (int i = 0; i < k; i++) {
        for (int j = 0; j < k; j++) {
            l->normal[i][j] = s[i][j];
            for (int m = 0; m <= (i < j ? i : j); m++) {
                l->normal[i][j] += l->R[m * k + i] * l->R[m * k + j];
            }
        }
        l->length[i] = 0;
        for (int j = 0; j <= i; j++) {
            l->length[i] += l->R[j * k + i] * l->R[j * k + i];
        }
        l->length[i] = sqrt(l->length[i]);
    }
    into_metric(l, s);
    for (int i = 0; i < k; i++) {
        for (int j = 0; j < k; j++) {
            l->hessian[i][j] = (i == j) + s[i][j];
        }
    }
}

/* Solve c x = b in place of b by Cholesky; 0 where the matrix is not positive definite. */
static int
solve(double c[SIZE][SIZE], double *b, int k)
{
    for (int i = 0; i < k; i++) {
        for (int j = 0; j <= i; j++) {
            for (int m = 0; m < j; m++) {
                c[i][j] -= c[i][m] * c[j][m];
            }
            if (i > j) {
                c[i][j] /= c[j][j];
            } else if (c[i][i] > 1e-12) {
                c[i][i] = sqrt(c[i][i]);
            } else {
                return 0;
            }
        }
        for (int j = 0; j < i; j++) {
            b[i] -= c[i][j] * b[j];
        }
        b[i] /= c[i][i];
    }
    for (int i = k - 1; i >= 0; i--) {
        for (int j = i + 1; j < k; j++) {
            b[i] -= c[j][i] * b[j];
        }
        b[i] /= c[i][i];
    }
    return 1;
}

/* The step d of the active parameters, and x = R d; 0 where the damped Hessian is not positive
 * definite. Without damping it is solved for in the metric, where nothing is squared; with it in
 * units of the columns' lengths, where the directions that the data say least about are held back
 * the most (Marquardt). */
static int
damped(const local *l, double mu, double *x, double *d)
{
    double c[SIZE][SIZE];
    int k = l->n_active;

    if (mu == 0) {
        memcpy(c, l->hessian, sizeof c);
        memcpy(x, l->step, (size_t)k * sizeof *x);
        if (!solve(c, x, k)) {
            return 0;
        }
        for (int i = k - 1; i >= 0; i--) {
            d[i] = x[i];
            for (int j = i + 1; j < k; j++) {
                d[i] -= l->R[i * k + j] * d[j];
            }
            d[i] /= l->R[i * k + i];
        }
        return 1;
    }
    for (int i = 0; i < k; i++) {
        d[i] = 0;
        for (int j = 0; j < k; j++) {
            c[i][j] = l->normal[i][j] / (l->length[i] * l->length[j]) + (i == j ? mu : 0);
        }
        for (int j = 0; j <= i; j++) {
            d[i] += l->R[j * k + i] * l->step[j] / l->length[i];
        }
    }
    if (!solve(c, d, k)) {
        return 0;
    }
    for (int i = 0; i < k; i++) {
        d[i] /= l->length[i];
    }
    for (int i = 0; i < k; i++) {
        x[i] = 0;
        for (int j = i; j < k; j++) {
            x[i] += l->R[i * k + j] * d[j];
        }
    }
    return 1;
}

/* Decrease that the quadratic model promises for the share t of x. */
static double
promised(const local *l, const double *x, double t)
{
    double linear = 0;
    double quadratic = 0;

    for (int i = 0; i < l->n_active; i++) {
        linear += x[i] * l->step[i];
        for (int j = 0; j < l->n_active; j++) {
            quadratic += x[i] * l->hessian[i][j] * x[j];
        }
    }
    return t * linear - 0.5 * t * t * quadratic;
}

/* theta + d, cut where it meets a bound; returns the share that was taken, the size of the
 * move relative to the parameters, and the parameter that met its bound, or -1. */
static double
move(const local *l, const double *d, double *trial, double *size, int *hit)
{
    double full[SIZE] = {0};
    double t = 1;

    *hit = -1;
    for (int j = 0, i = 0; j < SIZE; j++) {
        if (l->active[j]) {
            full[j] = d[i++];
        }
    }
    for (int j = 0; j < SIZE; j++) {
        double bound = full[j] < 0 ? l->p->lo[j] : l->p->hi[j];
        double room = bound - l->theta[j];

        if (full[j] != 0 && fabs(room) < t * fabs(full[j])) {
            t = room / full[j];
            *hit = j;
        }
    }
    *size = 0;
    for (int j = 0; j < SIZE; j++) {
        double scale = j == 0 ? fmax(fabs(l->theta[j]), 1e-3) : fabs(l->theta[j]);

        trial[j] = l->theta[j] + t * full[j];
        *size = fmax(*size, t * fabs(full[j]) / (scale > 0 ? scale : 1));
    }
    if (*hit >= 0) {
        trial[*hit] = full[*hit] < 0 ? l->p->lo[*hit] : l->p->hi[*hit];
    }
    return t;
}

static int
n_pinned(const local *l)
{
    int n = 0;

    for (int j = 0; j < SIZE; j++) {
        n += l->pinned[j];
    }
    return n;
}

/* The objective that rounding of the losses alone makes. */
static double
rounding_floor(const dph_surface_problem *p)
{
    double sum = 0;

    for (int64_t i = 0; i < p->n; i++) {
        double error = ROUNDING * (p->log_space ? 1 : p->y[i]);

        sum += 0.5 * p->w[i] * error * error;
    }
    return sum;
}

/* Newton steps at one threshold, at most so many, until one is smaller than enough. */
static int
descend(local *l, int most, double enough, dph_surface_point *point)
{
    double mu = 0;
    double last = INFINITY;
    double floor = rounding_floor(l->p);

    l->objective = value_at(l, l->theta);
    point->converged = 0;
    for (int n = 0; n < most && !point->converged; n++) {
        double size = INFINITY;
        int pinned = n_pinned(l);
        int accepted = 0;

        if (dph_surface_stopped(l->p)) {
            return DPH_E_CANCELLED;
        }
        point->iterations++;
        dph_surface_jacobian(l->p, l->theta, l->g, l->h, l->f, l->jacobian);
        choose_active(l);
        if (l->n_active == 0 || l->objective == 0) {
            point->converged = 1;
            break;
        }
        if ((l->p->n < l->n_active || !factor(l, 0)) && !factor(l, RIDGE)) {
            return DPH_E_NO_CONVERGENCE;
        }
        fill_hessian(l);
        while (!accepted) {
            double x[SIZE];
            double d[SIZE];
            double trial[SIZE];
            double value = INFINITY;
            double hope = 0;
            double t = 1;
            int hit = -1;

            if (!damped(l, mu, x, d)) {
                if (mu > 1e15) {
                    break;
                }
                mu = fmax(4 * mu, 1e-6);
                continue;
            }
            t = move(l, d, trial, &size, &hit);
            if (t <= 0) {
                l->pinned[hit] = 1;
                break;
            }
            hope = promised(l, x, t);
            value = value_at(l, trial);
            if (value < l->objective) {
                double ratio = (l->objective - value) / hope;

                mu = ratio > 0.75   ? (mu < 1e-9 ? 0 : mu / 10)
                     : ratio < 0.25 ? fmax(4 * mu, 0.01)
                                    : mu;
                accepted = 1;
            } else if (value <= l->objective * (1 + 1e-13) && size < 1e-6 && size < 0.5 * last) {
                accepted = 1; /* the values are equal to rounding, the steps still shrink */
            } else if (size < 1e-15 || mu > 1e15) {
                break;
            } else {
                mu = fmax(10 * mu, 1e-6);
                continue;
            }
            memcpy(l->theta, trial, sizeof trial);
            memset(l->pinned, 0, sizeof l->pinned);
            l->objective = value;
        }
        if (!accepted && n_pinned(l) > pinned) {
            l->objective = value_at(l, l->theta); /* the residuals of the last trial are there */
            continue;
        }
        if (!accepted) {
            /* what is left to gain is below what the objective can show */
            double x[SIZE];
            double d[SIZE];

            point->converged =
                damped(l, 0, x, d) && promised(l, x, 1) <= fmax(1e-11 * l->objective, floor);
            l->objective = value_at(l, l->theta);
            return DPH_OK;
        }
        point->converged = size < enough;
        last = size;
    }
    return DPH_OK;
}

static int64_t
count_inside(const local *l)
{
    int64_t n = 0;

    for (int64_t i = 0; i < l->p->n; i++) {
        n += fabs(l->r[i]) <= l->delta;
    }
    return n;
}

/* The least sum of absolute residuals usually passes through as many points as there are
 * parameters: solve for that. */
static void
through_points(local *l)
{
    const dph_surface_problem *p = l->p;
    int at[SIZE];
    double start[SIZE];
    double before = 0;
    int k = l->n_active;
    int found = 0;

    if (count_inside(l) != k || k == 0) {
        return;
    }
    for (int64_t i = 0; i < p->n; i++) {
        if (fabs(l->r[i]) <= l->delta) {
            at[found++] = (int)i;
        }
    }
    memcpy(start, l->theta, sizeof start);
    before = dph_surface_mean_abs(p, l->r);
    for (int n = 0; n < 8; n++) {
        double square[SIZE * SIZE];
        double target[SIZE];
        double step[SIZE];
        int col = 0;

        dph_surface_jacobian(l->p, l->theta, l->g, l->h, l->f, l->jacobian);
        for (int j = 0; j < SIZE; j++) {
            for (int i = 0; i < k && l->active[j]; i++) {
                square[col * k + i] = l->jacobian[j * p->stride + at[i]];
                target[i] = l->r[at[i]];
            }
            col += l->active[j];
        }
        if (dph_lstsq(square, target, k, k, step, NULL, NULL) != DPH_OK) {
            break;
        }
        for (int j = 0, i = 0; j < SIZE; j++) {
            if (l->active[j]) {
                l->theta[j] += step[i++];
            }
        }
        if (!isfinite(value_at(l, l->theta))) {
            break;
        }
    }
    for (int j = 0; j < SIZE; j++) {
        if (!(l->theta[j] >= p->lo[j] && l->theta[j] <= p->hi[j])) {
            before = -1;
        }
    }
    if (!(dph_surface_mean_abs(p, l->r) <= before)) {
        memcpy(l->theta, start, sizeof start);
    }
    (void)value_at(l, l->theta);
}

int
dph_surface_polish(const dph_surface_problem *p, double *scratch, dph_surface_point *point)
{
    local l = open(p, scratch);
    int absolute = p->objective == DPH_OBJECTIVE_ABSOLUTE;
    double spread = 0;
    double last = 0;
    int code = DPH_OK;

    memcpy(l.theta, point->theta, sizeof l.theta);
    l.delta = INFINITY;
    if (!isfinite(value_at(&l, l.theta))) {
        return DPH_E_NO_CONVERGENCE;
    }
    spread = dph_surface_mean_abs(p, l.r);
    last = absolute ? fmax(1e-9 * spread, ROUNDING) : p->delta;
    l.delta = fmax(last, spread);
    for (;;) {
        int final = l.delta <= last;

        code = descend(&l, final || absolute ? STEPS : EARLY_STEPS,
                       final || absolute ? 1e-13 : 1e-3, point);
        if (code != DPH_OK || final || (absolute && count_inside(&l) <= l.n_active)) {
            break;
        }
        l.delta = fmax(last, ROUND_FACTOR * l.delta);
    }
    if (code != DPH_OK) {
        return code;
    }
    (void)value_at(&l, l.theta);
    if (absolute) {
        through_points(&l);
    }
    memcpy(point->theta, l.theta, sizeof l.theta);
    point->objective = dph_surface_objective(p, l.r);
    return DPH_OK;
}

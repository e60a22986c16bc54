#include "surfacepolish.h"

#include <math.h>
#include <string.h>

#include "../base/lstsq.h"
#include "surfacescan.h"
#include "surfacestep.h"

#define SIZE DPH_SURFACE_SIZE
#define COLUMNS (SIZE + SIZE + 6) /* Jacobian, design, and g, h, f, r, rhs, weights */
#define STEPS 1000                /* in the last round; some valleys take hundreds */
#define EARLY_STEPS 30            /* in the rounds before it */
#define ROUND_FACTOR 0.25         /* thresholds of successive rounds */
#define RIDGE 1e-7
#define INNER 2        /* rounds of reweighting where the amounts are solved for anew */
#define SLOW 20        /* steps after which a longer one is tried */
#define STRETCH 8      /* times as long */
#define ROUNDING 4e-15 /* residuals below it are none */

size_t
dph_surface_polish_scratch(int64_t stride)
{
    return (size_t)COLUMNS * ((size_t)stride + SIZE);
}

static dph_surface_local
open(const dph_surface_problem *p, double *scratch)
{
    size_t column = (size_t)p->stride + SIZE;

    for (int64_t i = p->n; i < p->stride; i++) { /* the padding that reproject() reads */
        scratch[i] = 0;
        scratch[(int64_t)column + i] = 0;
    }
    return (dph_surface_local){.p = p,
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
value_at(dph_surface_local *l, const double *theta)
{
    double value = INFINITY;

    if (dph_surface_residuals(l->p, theta, l->g, l->h, l->f, l->r)) {
        value = dph_surface_huber(l->p, l->r, l->delta);
    }
    return isfinite(value) ? value : INFINITY;
}

/* theta + d, cut where it meets a bound; returns the share that was taken, the size of the
 * move relative to the parameters, and the parameter that met its bound, or -1. */
static double
move(const dph_surface_local *l, const double *d, double *trial, double *size, int *hit)
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

/* Solve for (e, a, b) anew at the exponents of a trial that did badly: in the bent valleys between
 * an exponent and its amount a straight step ends on the slopes. Returns the objective of the
 * better of the two, whose residuals stay. */
static double
reproject(dph_surface_local *l, double value, double *trial)
{
    double projected[SIZE];
    double found = INFINITY;

    memcpy(projected, trial, sizeof projected);
    if (!(dph_surface_inner(l->p, l->g, l->h, l->delta, INNER, projected) >= 0)) {
        return value;
    }
    found = value_at(l, projected);
    if (found < value) {
        memcpy(trial, projected, sizeof projected);
        return found;
    }
    return value_at(l, trial);
}

/* Go on where the exponents of the last step went, eight times as far each time. A term that only
 * the outermost point sees has a valley that ends at a bound: its value there is kept. */
static void
stretch(dph_surface_local *l, const double *from)
{
    const dph_surface_problem *p = l->p;
    double first[2] = {0, 0}; /* the smallest ln N and ln D */
    int lower = 1;

    for (int64_t i = 0; i < p->n; i++) {
        first[0] = fmin(first[0], p->u[i]);
        first[1] = fmin(first[1], p->v[i]);
    }
    for (double factor = STRETCH; lower && factor < 1e6; factor *= STRETCH) {
        double trial[SIZE];
        double value = INFINITY;

        memcpy(trial, l->theta, sizeof trial);
        for (int j = DPH_SURFACE_ALPHA; j < SIZE; j++) {
            int amount = j - DPH_SURFACE_ALPHA + DPH_SURFACE_A;

            trial[j] += factor * (l->theta[j] - from[j]);
            trial[j] = fmin(fmax(trial[j], p->lo[j]), p->hi[j]);
            if (p->is_free[amount]) {
                trial[amount] *= exp((trial[j] - l->theta[j]) * first[j - DPH_SURFACE_ALPHA]);
            }
        }
        value = value_at(l, trial);
        lower = value < l->objective;
        if (lower) {
            memcpy(l->theta, trial, sizeof trial);
            l->objective = value;
        }
    }
    (void)value_at(l, l->theta); /* the residuals of the last trial are there */
}

static int
n_pinned(const dph_surface_local *l)
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
descend(dph_surface_local *l, int most, double enough, dph_surface_point *point)
{
    double mu = 0;
    double last = INFINITY;
    double floor = rounding_floor(l->p);

    l->objective = value_at(l, l->theta);
    point->converged = 0;
    for (int n = 0; n < most && !point->converged; n++) {
        double before[SIZE];
        double size = INFINITY;
        int pinned = n_pinned(l);
        int accepted = 0;

        if (dph_surface_stopped(l->p)) {
            return DPH_E_CANCELLED;
        }
        point->iterations++;
        dph_surface_jacobian(l->p, l->theta, l->g, l->h, l->f, l->jacobian);
        dph_surface_choose_active(l);
        if (l->n_active == 0 || l->objective == 0) {
            point->converged = 1;
            break;
        }
        if ((l->p->n < l->n_active || !dph_surface_factor(l, 0)) && !dph_surface_factor(l, RIDGE)) {
            return DPH_E_NO_CONVERGENCE;
        }
        dph_surface_fill_hessian(l);
        while (!accepted) {
            double x[SIZE];
            double d[SIZE];
            double trial[SIZE];
            double value = INFINITY;
            double hope = 0;
            double t = 1;
            int hit = -1;

            if (!dph_surface_damped(l, mu, x, d)) {
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
            hope = dph_surface_promised(l, x, t);
            value = value_at(l, trial);
            if (l->objective - value < 0.25 * hope && size > 1e-6) {
                value = reproject(l, value, trial);
            }
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
            memcpy(before, l->theta, sizeof before);
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

            point->converged = dph_surface_damped(l, 0, x, d) &&
                               dph_surface_promised(l, x, 1) <= fmax(1e-11 * l->objective, floor);
            l->objective = value_at(l, l->theta);
            point->converged = point->converged || l->objective <= 4 * floor;
            return DPH_OK;
        }
        point->converged = size < enough;
        if (n % SLOW == SLOW - 1 && !point->converged) {
            stretch(l, before);
        }
        last = size;
    }
    return DPH_OK;
}

static int64_t
count_inside(const dph_surface_local *l)
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
through_points(dph_surface_local *l)
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
    dph_surface_local l = open(p, scratch);
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

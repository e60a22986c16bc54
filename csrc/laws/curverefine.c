#include "curverefine.h"

#include <math.h>
#include <stddef.h>

#include "../base/dots.h"
#include "../base/veclog.h"
#include "huberline.h"
#include "l1line.h"
#include "l1step.h"

#define LANES 4
#define DAMPING_FIRST 1e-2
#define DAMPING_MIN 1e-12
#define DAMPING_MAX 1e8
#define REJECTED 4
#define RIDGE 1e-3 /* of the damping, on each parameter in its own unit */
#define FOLLOW_TOLERANCE 1e-6
#define FOLLOW_STEPS 1
#define VALLEY_DAMPING 0.1
#define NEAR 0.8 /* of the promise: a gain below it means that the valley bends */
#define TRUST_FIRST 1.0
#define TRUST_LEAST 1e-12
#define LOG_STEP 3.0 /* the furthest that ln theta moves at a time */

/* The columns of one refinement, each double[n + DPH_CURVE_PARAMETERS]. */
typedef struct {
    double *s;
    double *r;
    double *s_next;
    double *r_next;
    double *slope[2];
    double *root;                        /* square roots of the weights */
    double *q[DPH_CURVE_PARAMETERS + 1]; /* weighted Jacobian, then the right-hand side */
} columns;

static columns
lay_out(const dph_curvefit *fit)
{
    int64_t width = fit->shape.n + DPH_CURVE_PARAMETERS;
    double *at = fit->columns;
    columns c = {.s = at,
                 .r = at + width,
                 .s_next = at + 2 * width,
                 .r_next = at + 3 * width,
                 .slope = {at + 4 * width, at + 5 * width},
                 .root = at + 6 * width};

    for (int j = 0; j <= DPH_CURVE_PARAMETERS; j++) {
        c.q[j] = at + (7 + j) * width;
    }
    return c;
}

/* Residuals and their Huber sum over delta. */
DPH_CLONES static double
residuals(const double *y, const double *s, int64_t n, double F, double A, double delta, double *r)
{
    double sum[LANES] = {0};
    double rest = 0;
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            double e = (y[i + k] - F) - A * s[i + k];
            double a = fabs(e);
            double clipped = a < delta ? a : delta;

            r[i + k] = e;
            sum[k] += clipped * (a - 0.5 * clipped);
        }
    }
    for (; i < n; i++) {
        double a = 0;
        double clipped = 0;

        r[i] = (y[i] - F) - A * s[i];
        a = fabs(r[i]);
        clipped = a < delta ? a : delta;
        rest += clipped * (a - 0.5 * clipped);
    }
    return ((sum[0] + sum[2]) + (sum[1] + sum[3]) + rest) / delta;
}

/* Residuals and the sum of their absolute values. */
DPH_CLONES static double
absolute(const double *y, const double *s, int64_t n, double F, double A, double *r)
{
    double sum[LANES] = {0};
    double rest = 0;
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            r[i + k] = (y[i + k] - F) - A * s[i + k];
            sum[k] += fabs(r[i + k]);
        }
    }
    for (; i < n; i++) {
        r[i] = (y[i] - F) - A * s[i];
        rest += fabs(r[i]);
    }
    return (sum[0] + sum[2]) + (sum[1] + sum[3]) + rest;
}

static double
evaluate(dph_curvefit *fit, double delta, const double *p, double *s, double *r)
{
    dph_curveshape_values(&fit->shape, p + 2, s);
    return residuals(fit->y, s, fit->shape.n, p[0], p[1], delta, r);
}

/* Rows of the weighted problem: root of the weight times (1, s, A slopes), and pull over root. */
DPH_CLONES static void
weigh(const columns *c, int64_t n, int n_parameters, double A, double delta, double damping)
{
    for (int64_t i = 0; i < n; i++) {
        double a = fabs(c->r[i]);
        double far = a > delta ? a : delta;
        double weight = (a > delta ? damping : 1 + damping) / far;
        double root = sqrt(weight);

        c->q[0][i] = root;
        c->q[1][i] = root * c->s[i];
        c->q[2][i] = root * A * c->slope[0][i];
        c->q[DPH_CURVE_PARAMETERS][i] = c->r[i] / (far * root);
    }
    if (n_parameters == DPH_CURVE_PARAMETERS) {
        for (int64_t i = 0; i < n; i++) {
            c->q[3][i] = c->q[0][i] * A * c->slope[1][i];
        }
    }
}

/* The step of the free parameters by modified Gram-Schmidt on the weighted rows, damped by one more
 * row a parameter. *promise receives what the local quadratic says it gains; R and free_index the
 * triangular factor of that quadratic and whose rows they are. Returns how many parameters could
 * move. */
static int
solve(const dph_curvefit *fit, columns *c, double damping, const double *p, double *step,
      double *promise, double (*R)[DPH_CURVE_PARAMETERS], int *free_index)
{
    int64_t n = fit->shape.n;
    double *pull = c->q[DPH_CURVE_PARAMETERS];
    double rhs[DPH_CURVE_PARAMETERS] = {0};
    int n_free = 0;

    *promise = 0;
    for (int a = 0; a < DPH_CURVE_PARAMETERS; a++) {
        for (int b = 0; b < DPH_CURVE_PARAMETERS; b++) {
            R[a][b] = 0;
        }
    }
    for (int j = 0; j < fit->n_parameters; j++) {
        double uphill = dph_dot(c->q[j], pull, n); /* minus the derivative */
        double size = dph_dot(c->q[j], c->q[j], n);

        step[j] = 0;
        if ((p[j] <= fit->low[j] && uphill <= 0) || (p[j] >= fit->high[j] && uphill >= 0) ||
            !(size > 0) || !isfinite(size)) {
            continue;
        }
        for (int k = 0; k < DPH_CURVE_PARAMETERS; k++) {
            c->q[j][n + k] = 0;
        }
        c->q[j][n + n_free] = sqrt(RIDGE * damping * size);
        free_index[n_free++] = j;
    }
    for (int k = 0; k < DPH_CURVE_PARAMETERS; k++) {
        pull[n + k] = 0;
    }
    n += n_free;
    for (int a = 0; a < n_free; a++) {
        double *qa = c->q[free_index[a]];

        R[a][a] = sqrt(dph_dot(qa, qa, n));
        if (!(R[a][a] > 0)) {
            continue;
        }
        for (int b = a + 1; b < n_free; b++) {
            double *qb = c->q[free_index[b]];

            R[a][b] = dph_dot(qa, qb, n) / R[a][a];
            dph_subtract(R[a][b] / R[a][a], qa, qb, n);
        }
        rhs[a] = dph_dot(qa, pull, n) / R[a][a];
        dph_subtract(rhs[a] / R[a][a], qa, pull, n);
        *promise += 0.5 * rhs[a] * rhs[a];
    }
    for (int a = n_free - 1; a >= 0; a--) {
        double value = rhs[a];

        for (int b = a + 1; b < n_free; b++) {
            value -= R[a][b] * step[free_index[b]];
        }
        step[free_index[a]] = R[a][a] > 0 ? value / R[a][a] : 0;
    }
    return n_free;
}

/* p plus the step, shortened where ln theta would jump and cut at the bounds. */
static void
move(const dph_curvefit *fit, const double *p, const double *step, double *next)
{
    double part = 1;

    for (int j = 2; j < fit->n_parameters; j++) {
        if (fabs(step[j]) * part > LOG_STEP) {
            part = LOG_STEP / fabs(step[j]);
        }
    }
    for (int j = 0; j < fit->n_parameters; j++) {
        double x = p[j] + part * step[j];

        next[j] = x < fit->low[j] ? fit->low[j] : x > fit->high[j] ? fit->high[j] : x;
    }
}

/* The sum at p after a few steps of its F and A towards their best for its theta: theta then moves
 * along the valley that the three of them form instead of across it. */
static double
follow(dph_curvefit *fit, const columns *c, double delta, double *p)
{
    dph_boxline line = {.s = c->s_next,
                        .y = fit->y,
                        .n = fit->shape.n,
                        .F_max = fit->high[0],
                        .A_max = fit->high[1]};
    dph_boxfit inner = {.F = p[0], .A = p[1]};

    dph_curveshape_values(&fit->shape, p + 2, c->s_next);
    dph_huberline_fit(&line, delta, FOLLOW_TOLERANCE, FOLLOW_STEPS, &inner);
    p[0] = inner.F;
    p[1] = inner.A;
    return residuals(fit->y, c->s_next, fit->shape.n, p[0], p[1], delta, c->r_next);
}

double
dph_curverefine(dph_curvefit *fit, double delta, double tolerance, int steps_max, double *p)
{
    columns c = lay_out(fit);
    double damping = DAMPING_FIRST;
    double here = evaluate(fit, delta, p, c.s, c.r);
    int fresh = 0;    /* the slopes belong to p */
    int rejected = 0; /* a bolder step from p has failed */

    for (int count = 0; count < steps_max; count++) {

        double step[DPH_CURVE_PARAMETERS] = {0};
        double next[DPH_CURVE_PARAMETERS] = {0};
        double promise = 0;
        double there = 0;
        double R[DPH_CURVE_PARAMETERS][DPH_CURVE_PARAMETERS];
        int free_index[DPH_CURVE_PARAMETERS];

        if (fit->stopped != NULL && atomic_load(fit->stopped)) {
            break;
        }
        if (!fresh) {
            dph_curveshape_slopes(&fit->shape, p + 2, c.s, c.slope[0], c.slope[1]);
            fresh = 1;
        }
        weigh(&c, fit->shape.n, fit->n_parameters, p[1], delta, damping);
        if (solve(fit, &c, damping, p, step, &promise, R, free_index) == 0) {
            break;
        }
        if (!(promise > tolerance * here)) {
            if (rejected || damping <= DAMPING_FIRST) {
                break;
            }
            damping *= 1e-3; /* a careful step promises little: look further before giving up */
            continue;
        }
        move(fit, p, step, next);
        there = follow(fit, &c, delta, next);
        if (there < here) {
            double gain = here - there;
            double *held = c.s;

            c.s = c.s_next;
            c.s_next = held;
            held = c.r;
            c.r = c.r_next;
            c.r_next = held;
            for (int j = 0; j < fit->n_parameters; j++) {
                p[j] = next[j];
            }
            here = there;
            fresh = 0;
            rejected = 0;
            /* the quadratic is right: Newton; about right: bolder; far off: more careful */
            damping *= fabs(gain - promise) < 0.1 * promise ? 0.03
                       : gain > 0.5 * promise               ? 0.3
                       : gain < 0.2 * promise               ? 4
                                                            : 1;
            damping = damping > DAMPING_MIN ? damping : DAMPING_MIN;
            if (gain <= tolerance * here && damping <= DAMPING_FIRST) {
                break;
            }
        } else {
            rejected = 1;
            damping *= REJECTED;
            if (damping > DAMPING_MAX) {
                break;
            }
        }
    }
    return here;
}

int
dph_curverefine_valley(dph_curvefit *fit, double delta, double share, const double *p, double *step)
{
    columns c = lay_out(fit);
    double R[DPH_CURVE_PARAMETERS][DPH_CURVE_PARAMETERS];
    double unused[DPH_CURVE_PARAMETERS];
    int free_index[DPH_CURVE_PARAMETERS];
    double promise = 0;
    double here = evaluate(fit, delta, p, c.s, c.r);
    double along[2] = {1, 0};
    double curvature = 0;
    double length = 0;
    int n_free = 0;
    int n_theta = 0;
    int first = 0;

    dph_curveshape_slopes(&fit->shape, p + 2, c.s, c.slope[0], c.slope[1]);
    weigh(&c, fit->shape.n, fit->n_parameters, p[1], delta, VALLEY_DAMPING);
    n_free = solve(fit, &c, VALLEY_DAMPING, p, unused, &promise, R, free_index);
    for (int a = 0; a < n_free; a++) {
        n_theta += free_index[a] >= 2;
    }
    for (int j = 0; j < fit->n_parameters; j++) {
        step[j] = 0;
    }
    if (n_theta == 0) {
        return 0;
    }
    /* theta comes last, so its block of R is that of the sum with F and A at their best */
    first = n_free - n_theta;
    curvature = R[first][first] * R[first][first];
    if (n_theta == 2) {
        double h11 = R[first][first + 1] * R[first][first + 1] +
                     R[first + 1][first + 1] * R[first + 1][first + 1];
        double h01 = R[first][first] * R[first][first + 1];
        double half = 0.5 * (curvature - h11);
        double root = sqrt(half * half + h01 * h01);

        /* the smaller eigenvalue as determinant over the larger, and its vector */
        double larger = 0.5 * (curvature + h11) + root;
        double smaller = curvature / larger * (R[first + 1][first + 1] * R[first + 1][first + 1]);

        along[0] = half <= 0 ? fabs(half) + root : -h01;
        along[1] = half <= 0 ? -h01 : fabs(half) + root;
        length = sqrt(along[0] * along[0] + along[1] * along[1]);
        if (length > 0) {
            along[0] /= length;
            along[1] /= length;
        } else {
            along[0] = 1;
            along[1] = 0;
        }
        curvature = smaller;
    }
    length = sqrt(2 * share * here / curvature);
    length = length < LOG_STEP ? length : LOG_STEP; /* also where the curvature is 0 */
    for (int a = 0; a < n_theta; a++) {
        step[free_index[first + a]] = length * along[a];
    }
    for (int a = first - 1; a >= 0; a--) {
        double value = 0;

        for (int b = a + 1; b < n_free; b++) {
            value -= R[a][b] * step[free_index[b]];
        }
        step[free_index[a]] = R[a][a] > 0 ? value / R[a][a] : 0;
    }
    return 1;
}

static void
multiply(const double *x, double factor, double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] = factor * x[i];
    }
}

/* The linearised curve at p as a problem for dph_l1step, theta within `trust` of where it is. */
static void
linearise(const dph_curvefit *fit, const columns *c, const double *p, double trust,
          dph_l1problem *problem)
{
    int64_t n = fit->shape.n;

    for (int64_t i = 0; i < n; i++) {
        c->q[0][i] = 1;
    }
    multiply(c->slope[0], p[1], c->q[1], n);
    multiply(c->slope[1], p[1], c->q[2], fit->n_parameters == DPH_CURVE_PARAMETERS ? n : 0);
    *problem = (dph_l1problem){.r = c->r,
                               .J = {c->q[0], c->s, c->q[1], c->q[2]},
                               .n = n,
                               .n_parameters = fit->n_parameters};
    for (int j = 0; j < fit->n_parameters; j++) {
        double down = p[j] - fit->low[j];
        double up = fit->high[j] - p[j];

        problem->low[j] = -(j >= 2 && trust < down ? trust : down);
        problem->high[j] = j >= 2 && trust < up ? trust : up;
    }
}

double
dph_curverefine_l1(dph_curvefit *fit, double tolerance, int steps_max, double *p, double *gap)
{
    columns c = lay_out(fit);
    int64_t n = fit->shape.n;
    double trust = TRUST_FIRST;
    int fresh = 0;
    dph_l1vertex vertex = {0};
    dph_boxline line = {
        .s = c.s, .y = fit->y, .n = n, .F_max = fit->high[0], .A_max = fit->high[1]};
    dph_boxfit inner = {.F = p[0], .A = p[1]};
    double here = 0;

    dph_curveshape_values(&fit->shape, p + 2, c.s);
    (void)dph_l1line_fit(&line, c.root, &inner);
    p[0] = inner.F;
    p[1] = inner.A;
    here = absolute(fit->y, c.s, n, p[0], p[1], c.r);
    for (int count = 0; count < steps_max; count++) {
        dph_l1problem problem;
        double step[DPH_CURVE_PARAMETERS] = {0};
        double next[DPH_CURVE_PARAMETERS] = {0};
        double promise = 0;
        double far = 0;

        if (fit->stopped != NULL && atomic_load(fit->stopped)) {
            break;
        }
        if (!fresh) {
            dph_curveshape_slopes(&fit->shape, p + 2, c.s, c.slope[0], c.slope[1]);
            fresh = 1;
        }
        linearise(fit, &c, p, trust, &problem);
        promise = here - dph_l1step(&problem, c.q[3], &vertex, step);
        if (!(promise > tolerance * here)) {
            break;
        }
        for (int j = 0; j < fit->n_parameters; j++) {
            next[j] = fmin(fmax(p[j] + step[j], fit->low[j]), fit->high[j]);
            far = j >= 2 ? fmax(far, fabs(step[j])) : far;
        }
        dph_curveshape_values(&fit->shape, next + 2, c.s_next);
        inner = (dph_boxfit){.F = next[0], .A = next[1]};
        inner.objective = absolute(fit->y, c.s_next, n, next[0], next[1], c.r_next);
        if (here - inner.objective < NEAR * promise) {
            line.s = c.s_next; /* not where the linearised curve said: follow the valley */
            (void)dph_l1line_fit(&line, c.root, &inner);
        }
        if (inner.objective < here) {
            double gain = here - inner.objective;
            double *held = c.s;

            c.s = c.s_next;
            c.s_next = held;
            for (int j = 2; j < fit->n_parameters; j++) {
                p[j] = next[j];
            }
            p[0] = inner.F;
            p[1] = inner.A;
            here = absolute(fit->y, c.s, n, p[0], p[1], c.r);
            fresh = 0;
            trust = gain > 0.7 * promise   ? fmax(trust, 2 * far)
                    : gain < 0.2 * promise ? 0.3 * far
                                           : trust;
        } else {
            trust = 0.2 * far;
            if (!(trust > TRUST_LEAST)) {
                break;
            }
        }
    }
    line.s = c.s;
    inner = (dph_boxfit){.F = p[0], .A = p[1]};
    *gap = dph_l1line_fit(&line, c.root, &inner);
    if (inner.objective <= here) {
        p[0] = inner.F;
        p[1] = inner.A;
        here = inner.objective;
    }
    return here;
}

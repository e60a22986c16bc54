#include "curvel1.h"

#include <math.h>
#include <stddef.h>

#include "../base/lanes.h"
#include "../base/veclog.h"
#include "l1band.h"
#include "l1line.h"
#include "l1step.h"

#define NEAR 0.8 /* of the promise: a gain below it means that the valley bends */
#define SURE 0.99
#define SURE_ENOUGH 1e-9 /* gap of a step, of its sum */
#define TRUST_FIRST 1.0
#define TRUST_LEAST 1e-12

/* Residuals, zero in the padding, and the sum of their absolute values. */
DPH_CLONES static double
absolute(const double *y, const double *s, int64_t n, double F, double A, double *r)
{
    dph_lanes sum = {0};

    for (int64_t i = 0; i < n; i += DPH_LANES) {
        dph_lanes e = (dph_lanes_load(y + i) - F) - A * dph_lanes_load(s + i);

        e = dph_lanes_where(dph_lanes_first(n - i), e);
        dph_lanes_store(e, r + i);
        sum += dph_lanes_abs(e);
    }
    return dph_lanes_sum(sum);
}

static void
multiply(const double *x, double factor, double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] = factor * x[i];
    }
}

static void
ones(const dph_refinecolumns *c, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        c->q[0][i] = 1;
    }
}

/* The exact step, over few points or many. *gap: how far its sum may be from the least. */
static double
exact(const dph_l1problem *problem, double *scratch, dph_l1vertex *vertex, double *step,
      double *gap)
{
    if (problem->n > DPH_L1BAND_LEAST) {
        double sum = dph_l1band_step(problem, scratch, step, gap);

        if (!(*gap > SURE_ENOUGH * sum)) {
            return sum;
        }
    } /* too many residuals are about zero for a band */
    *gap = 0;
    return dph_l1step(problem, scratch, vertex, step);
}

/* The linearised curve at p as a problem for dph_l1step, theta within `trust` of where it is. */
static void
linearise(const dph_curvefit *fit, const dph_refinecolumns *c, const double *p, double trust,
          dph_l1problem *problem)
{
    int64_t n = fit->n;

    multiply(c->slope[0], p[1], c->q[1], n);
    multiply(c->slope[1], p[1], c->q[2], fit->n_parameters == DPH_CURVE_PARAMETERS ? n : 0);
    *problem = (dph_l1problem){.r = c->r,
                               .J = {c->q[0], c->s, c->q[1], c->q[2]},
                               .n = n,
                               .n_parameters = fit->n_parameters,
                               .stopped = fit->stopped};
    for (int j = 0; j < fit->n_parameters; j++) {
        double down = p[j] - fit->low[j];
        double up = fit->high[j] - p[j];

        problem->low[j] = -(j >= 2 && trust < down ? trust : down);
        problem->high[j] = j >= 2 && trust < up ? trust : up;
    }
}

/* The best (F, A) at the theta that s belongs to, from p, whose residuals are r. Returns how far
 * the sum may be from the best. */
static double
level(const dph_curvefit *fit, const dph_refinecolumns *c, const double *s, const double *r,
      dph_l1vertex *vertex, double *p)
{
    dph_l1problem problem = {
        .r = r, .J = {c->q[0], s}, .n = fit->n, .n_parameters = 2, .stopped = fit->stopped};
    double step[DPH_CURVE_PARAMETERS] = {0};
    double gap = 0;

    for (int j = 0; j < 2; j++) {
        problem.low[j] = fit->low[j] - p[j];
        problem.high[j] = fit->high[j] - p[j];
    }
    (void)exact(&problem, c->q[3], vertex, step, &gap);
    p[0] = fmin(fmax(p[0] + step[0], fit->low[0]), fit->high[0]);
    p[1] = fmin(fmax(p[1] + step[1], fit->low[1]), fit->high[1]);
    return gap;
}

double
dph_curverefine_l1(dph_curvefit *fit, double tolerance, int steps_max, double floor, double ceiling,
                   double *p)
{
    dph_refinecolumns c = dph_curverefine_columns(fit);
    int64_t n = fit->n;
    double trust = TRUST_FIRST;
    double here = 0;
    int fresh = 0;
    int good = 0; /* steps that did as they promised */
    dph_l1vertex vertex = {0};
    dph_l1vertex line = {0};

    ones(&c, n);
    dph_curveshape_values(&fit->shape, p + 2, c.s);
    (void)absolute(fit->y, c.s, n, p[0], p[1], c.r);
    (void)level(fit, &c, c.s, c.r, &line, p);
    here = absolute(fit->y, c.s, n, p[0], p[1], c.r);
    if (here > ceiling) {
        return here;
    }
    for (int count = 0; count < steps_max; count++) {
        dph_l1problem problem;
        double step[DPH_CURVE_PARAMETERS] = {0};
        double next[DPH_CURVE_PARAMETERS] = {0};
        double promise = 0;
        double there = 0;
        double far = 0;
        double unsure = 0;

        if (fit->stopped != NULL && atomic_load(fit->stopped)) {
            break;
        }
        if (!fresh) {
            dph_curveshape_slopes(&fit->shape, p + 2, c.s, c.slope[0], c.slope[1]);
            fresh = 1;
        }
        linearise(fit, &c, p, trust, &problem);
        promise = here - exact(&problem, c.q[3], &vertex, step, &unsure);
        if (!(promise > tolerance * here) ||
            (good >= DPH_REFINE_GOOD && here - DPH_REFINE_DOUBT * promise > floor)) {
            break;
        }
        for (int j = 0; j < fit->n_parameters; j++) {
            next[j] = fmin(fmax(p[j] + step[j], fit->low[j]), fit->high[j]);
            far = j >= 2 ? fmax(far, fabs(step[j])) : far;
        }
        dph_curveshape_values(&fit->shape, next + 2, c.s_next);
        there = absolute(fit->y, c.s_next, n, next[0], next[1], c.r_next);
        good += here - there > SURE * promise;
        if (here - there < NEAR * promise) {
            /* not where the linearised curve said: follow the valley */
            (void)level(fit, &c, c.s_next, c.r_next, &line, next);
            there = absolute(fit->y, c.s_next, n, next[0], next[1], c.r_next);
        }
        if (there < here) {
            double gain = here - there;

            dph_curverefine_take(fit, next, &c, p);
            here = there;
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
    return here;
}

double
dph_curverefine_l1gap(dph_curvefit *fit, double *p, double *gap)
{
    dph_refinecolumns c = dph_curverefine_columns(fit);
    dph_boxline line = {
        .s = c.s, .y = fit->y, .n = fit->n, .F_max = fit->high[0], .A_max = fit->high[1]};
    dph_boxfit inner = {.F = p[0], .A = p[1]};
    double here = 0;

    dph_curveshape_values(&fit->shape, p + 2, c.s);
    here = absolute(fit->y, c.s, fit->n, p[0], p[1], c.r);
    if (fit->n > DPH_L1BAND_LEAST) {
        dph_l1vertex vertex = {0};

        ones(&c, fit->n);
        *gap = level(fit, &c, c.s, c.r, &vertex, p);
        return absolute(fit->y, c.s, fit->n, p[0], p[1], c.r);
    }
    *gap = dph_l1line_fit(&line, c.root, &inner);
    if (inner.objective <= here) {
        p[0] = inner.F;
        p[1] = inner.A;
        return inner.objective;
    }
    return here;
}

/* A learning curve refined from a start: all of F, A and theta at once.
 *
 * Huber's loss: each step is a weighted least-squares problem in the linearised curve, where points
 * within delta count with their curvature (Newton) and points beyond with a share `damping` of the
 * weight that would make the step a safe one. Absolute error: each step is an exact one of the
 * linearised curve (l1step.h), theta held within a region of trust.
 */
#ifndef DPH_CURVEREFINE_H
#define DPH_CURVEREFINE_H

#include <stdatomic.h>
#include <stdint.h>

#include "../base/lanes.h"
#include "curveshape.h"
#include "l1step.h"

#define DPH_CURVE_PARAMETERS 4 /* F, A, ln theta_0, ln theta_1 */
#define DPH_REFINE_COLUMNS (10 + DPH_L1STEP_COLUMNS)
#define DPH_REFINE_WIDTH(n) DPH_PADDED((n) + DPH_CURVE_PARAMETERS)

typedef struct {
    dph_curveshape shape; /* of DPH_PADDED(n) points: those behind n do not count */
    int64_t n;            /* points */
    const double *y;      /* [DPH_PADDED(n)] */
    int n_parameters;
    double low[DPH_CURVE_PARAMETERS];
    double high[DPH_CURVE_PARAMETERS];
    double *columns;           /* [DPH_REFINE_COLUMNS * DPH_REFINE_WIDTH(n)] scratch */
    const atomic_int *stopped; /* not 0: end early; may be NULL */
} dph_curvefit;

/* The columns of one refinement, each double[DPH_REFINE_WIDTH(n)]. */
typedef struct {
    double *s;
    double *r;
    double *s_next;
    double *r_next;
    double *slope[2];
    double *root;                        /* square roots of the weights */
    double *q[DPH_CURVE_PARAMETERS + 1]; /* weighted Jacobian, then the right-hand side */
} dph_refinecolumns;

dph_refinecolumns dph_curverefine_columns(const dph_curvefit *fit);

/* Let the next point, and its shape and residuals, be those of p. */
void
dph_curverefine_take(const dph_curvefit *fit, const double *next, dph_refinecolumns *c, double *p);

#define DPH_REFINE_SURE 1e-3  /* damping up to which a step says where a descent ends */
#define DPH_REFINE_GOOD 2     /* steps as promised after which the next one is believed */
#define DPH_REFINE_DOUBT 1.05 /* times a step's promise */

/* Lower Huber's loss, summed over the points and divided by delta, from p, in place, until a step
 * promises less than the share `tolerance` of it, or steps_max steps, or, after a few of them, it
 * is clear that the descent ends above `floor` (INFINITY: never). Returns the sum reached. p stays
 * within [low, high]. */
double dph_curverefine(dph_curvefit *fit, double delta, double tolerance, int steps_max,
                       double floor, double *p);

/* The step from p along which theta is determined worst, F and A following: as long as the local
 * quadratic says that it raises the sum by the given share. 0 where no theta is free to move. */
int dph_curverefine_valley(dph_curvefit *fit, double delta, double share, const double *p,
                           double *step);

#endif

/* One Newton step of the polish: derivatives at a law, the metric they make, and the damped step.
 *
 * The weighted Jacobian is factored by QR, and the Hessian is the identity in the metric of its R
 * plus what residuals and outliers add.
 */
#ifndef DPH_SURFACESTEP_H
#define DPH_SURFACESTEP_H

#include "surfaceproblem.h"

/* The problem about one theta. */
typedef struct {
    const dph_surface_problem *p;
    double delta;
    double theta[DPH_SURFACE_SIZE];
    double objective; /* Huber's sum at this delta */
    double *g, *h, *f, *r;
    double *jacobian; /* [DPH_SURFACE_SIZE][stride]: derivatives of the model in the space of the
                         residuals */
    double *design;   /* [DPH_SURFACE_SIZE][n + SIZE] */
    double *rhs;      /* [n + SIZE] */
    int active[DPH_SURFACE_SIZE]; /* parameters that move */
    int pinned[DPH_SURFACE_SIZE]; /* those at a bound that the last step wanted to leave through it
                                   */
    int n_active;
    double R[DPH_SURFACE_SIZE * DPH_SURFACE_SIZE];
    double step[DPH_SURFACE_SIZE]; /* R x the reweighted least-squares step: minus the gradient in
                                      the metric */
    double hessian[DPH_SURFACE_SIZE][DPH_SURFACE_SIZE]; /* in the metric */
    double normal[DPH_SURFACE_SIZE][DPH_SURFACE_SIZE];  /* the Hessian as it is */
    double length[DPH_SURFACE_SIZE];                    /* of the weighted columns */
} dph_surface_local;

/* Which parameters move: free, with an effect, and not pressed against a bound. */
void dph_surface_choose_active(dph_surface_local *l);

/* R and the step of reweighted least squares; ridge > 0 adds rows that keep the factor regular. 0
 * where there is no factor. */
int dph_surface_factor(dph_surface_local *l, double ridge);

/* What the reweighted normal matrix lacks of the Hessian, and what that is in the metric. */
void dph_surface_fill_hessian(dph_surface_local *l);

/* The step d of the active parameters under damping mu >= 0, and x = R d; 0 where the damped
 * Hessian is not positive definite. */
int dph_surface_damped(const dph_surface_local *l, double mu, double *x, double *d);

/* Decrease that the quadratic model promises for the share t of x. */
double dph_surface_promised(const dph_surface_local *l, const double *x, double t);

#endif

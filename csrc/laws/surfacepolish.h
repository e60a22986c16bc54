/* From a node of the scan to the minimum: Newton steps on all five parameters, to rounding.
 *
 * Each step factors the weighted Jacobian by QR and works in the metric of its R, where the Hessian
 * is the identity plus what residuals and outliers add; a multiple of the identity damps it
 * (Levenberg-Marquardt). Parameters that press against a bound are held there. Thresholds of Huber
 * far below the residuals are approached through larger ones.
 */
#ifndef DPH_SURFACEPOLISH_H
#define DPH_SURFACEPOLISH_H

#include "surfaceproblem.h"

typedef struct {
    double theta[DPH_SURFACE_SIZE];
    double objective; /* dph_surface_objective */
    int iterations;   /* Newton steps so far */
    int converged;    /* the last step was as small as rounding allows */
} dph_surface_point;

/* Doubles of scratch for n points. */
size_t dph_surface_polish_scratch(int64_t stride);

/* Polish theta in place. DPH_OK (look at `converged`), DPH_E_CANCELLED, or DPH_E_NO_CONVERGENCE
 * where the start has no finite objective. */
DPH_MUST_CHECK int
dph_surface_polish(const dph_surface_problem *p, double *scratch, dph_surface_point *point);

#endif

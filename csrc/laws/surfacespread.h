/* How well the data determine a fitted surface: covariance of its parameters.
 *
 * The sandwich of M-estimators, bread meat bread: it asks neither for normal residuals nor for
 * residuals of one size. The meat is the sum of (w psi)^2 J J^T over the points, inflated by
 * n / (n - k); the bread is the inverse of the expected Hessian. Where the objective is flat but
 * for kinks, as with a small delta, that Hessian comes from the points within a window about zero
 * (Powell 1991).
 */
#ifndef DPH_SURFACESPREAD_H
#define DPH_SURFACESPREAD_H

#include "surfaceproblem.h"

typedef struct {
    double covariance[DPH_SURFACE_SIZE][DPH_SURFACE_SIZE]; /* of theta; rows of 0 where not counted,
                                                              NaN without degrees of freedom */
    double rounding[DPH_SURFACE_SIZE][DPH_SURFACE_SIZE];   /* (J^T W J)^-1, the covariance that unit
                                                              noise would make */
    int counted[DPH_SURFACE_SIZE]; /* 1 where free, inside its bounds and of effect */
    int64_t n_inside;              /* points with |residual| <= delta */
    double sum_squares;            /* sum of w r^2 */
} dph_surface_spread;

/* Doubles of scratch for columns of this length. */
size_t dph_surface_spread_scratch(int64_t stride);

/* DPH_OK, or DPH_E_RANK where the derivatives are dependent (both matrices NaN). */
DPH_MUST_CHECK int dph_surface_spread_of(const dph_surface_problem *p, const double *theta,
                                         double *scratch, dph_surface_spread *out);

#endif

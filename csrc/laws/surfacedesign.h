/* What a design of (N, D) can tell apart, before any loss is looked at. */
#ifndef DPH_SURFACEDESIGN_H
#define DPH_SURFACEDESIGN_H

#include "surfaceproblem.h"

/* Distinct (N, D), counted up to one more than a surface has parameters. */
int dph_surface_distinct(const double *N, const double *D, int64_t n_points);

/* DPH_OK, or which parameters cannot be told apart: DPH_E_TOO_FEW_POINTS, DPH_E_ONE_MODEL_SIZE,
 * DPH_E_ONE_TOKEN_COUNT, DPH_E_FEW_MODEL_SIZES, DPH_E_FEW_TOKEN_COUNTS.
 *
 * p               its n, is_free and n_free are looked at
 * params, tokens  double[n], finite
 */
int32_t
dph_surface_identified(const dph_surface_problem *p, const double *params, const double *tokens);

/* Whether ln D is a straight line in ln N, to within a hundredth of its own spread; u and v of p.
 */
int dph_surface_on_a_line(const dph_surface_problem *p);

#endif

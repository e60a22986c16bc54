/* The global search: the scan, its best minima polished, then one exponent at a time walked over
 * its nodes with everything else solved for.
 *
 * A walk finds what the scan cannot see: a small term that the larger one, off by half a step of
 * the grid, hides. Its least squares are those of the best law's weights, so that outliers do not
 * count, and its minima are polished only where they come near the best law.
 */
#ifndef DPH_SURFACESEARCH_H
#define DPH_SURFACESEARCH_H

#include "surfacepolish.h"

/* Doubles of scratch for columns of this length. */
size_t dph_surface_search_scratch(int64_t stride);

/* The lowest objective, and how many minima the scan had; spans are the ranges of u and v. DPH_OK,
 * DPH_E_CANCELLED, or DPH_E_NO_CONVERGENCE. */
DPH_MUST_CHECK int dph_surface_search(const dph_surface_problem *p, double u_span, double v_span,
                                      double *scratch, dph_surface_point *best, int64_t *n_minima);

#endif

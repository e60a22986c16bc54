/* A look along the profile of one coefficient of a Richards curve.
 *
 * Where the points do not settle the curve, other curves fit about as well, and their minima lie
 * along a valley in the shape v or in the ceiling C. One of the two is held at a ladder of values
 * over its whole range while the others are fitted, each rung from the one before it; the minima
 * of that profile are then starts of their own.
 */
#ifndef DPH_RICHARDSPROFILE_H
#define DPH_RICHARDSPROFILE_H

#include "../base/lm.h"

#define DPH_PROFILE_RUNGS 12 /* each way, at most */

/* Improve best in place: replaced by what a minimum of the profile of parameter which (2 is ln v,
 * 3 is C, in the order of richards_residuals.h) leads to, if that is lower.
 *
 * problem  of dph_richards_residuals, with finite bounds; its ctx is a dph_richards_data
 * n_rungs  distances from bound to bound, >= 1
 * Returns 1 if best was replaced. */
int dph_richards_profile(const dph_lm_problem *problem, int which, int n_rungs, double *scratch,
                         dph_lm_result *best);

/* The minimum with parameter which held at value, followed from best to a relative offset of
 * tolerance in a few steps. */
void dph_richards_held(const dph_lm_problem *problem, int which, double value, double tolerance,
                       double *scratch, const dph_lm_result *best, dph_lm_result *out);

#endif

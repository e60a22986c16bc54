/* How much the points of one suite say about the floor and the exponent of its law. */
#ifndef DPH_IDENTIFY_H
#define DPH_IDENTIFY_H

#include "floorfit.h"

/* The widest 95% range of the exponent, highest over lowest, that still counts as known. */
#define DPH_ALPHA_RANGE 2.0

/* Judge a least-squares fit with a free floor by its own residuals.
 *
 * suite  as it was fitted; its work is overwritten
 * fit    what dph_floorfit_loss found with a free L
 *
 * DPH_W_FLOOR_NOT_IDENTIFIED: the best law with L_inf = 0 lies inside the 95% F region of one
 * quantity (Bates and Watts 1988), so the data cannot tell the floor from none.
 * DPH_W_ALPHA_WEAK: the linearised 95% t interval of ln alpha is wider than ln DPH_ALPHA_RANGE.
 * 0 with fewer than four points: nothing is left to judge by.
 */
int32_t dph_identify(dph_suite *suite, const dph_floorfit *fit, dph_minimiser *minimiser);

/* Of n points in n_suites suites that share a floor: objective at floor 0 and at the best floor,
 * sums of squares or anything proportional to them. DPH_W_FLOOR_NOT_IDENTIFIED or 0. */
int32_t dph_identify_shared(double at_zero, double best, int64_t n, int64_t n_suites);

#endif

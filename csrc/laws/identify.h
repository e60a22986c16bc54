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

#endif

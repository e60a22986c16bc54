/* An exact L1 step (l1step.h) over many points.
 *
 * A step over a sample leads near that of all. There, only points whose residual is near zero can
 * still change sign; all others are two rows: the sum of those above and the sum of those below.
 * The step of this small problem is that of the whole one if no sign outside the band has changed,
 * and otherwise a place to look again from.
 *
 * Reference: Portnoy and Koenker (1997), The Gaussian hare and the Laplacian tortoise, Statistical
 * Science 12, 279-300 (the preprocessing by globs).
 */
#ifndef DPH_L1BAND_H
#define DPH_L1BAND_H

#include "l1step.h"

#define DPH_L1BAND_LEAST 8192 /* points below which a walk over all of them is as quick */

/* As dph_l1step for n > DPH_L1BAND_LEAST, from nothing known. *gap receives a bound on how far the
 * sum is above the least. scratch as for dph_l1step.
 */
double dph_l1band_step(const dph_l1problem *problem, double *scratch, double *d, double *gap);

#endif

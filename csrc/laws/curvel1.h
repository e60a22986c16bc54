/* A learning curve refined from a start under the absolute error. */
#ifndef DPH_CURVEL1_H
#define DPH_CURVEL1_H

#include "curverefine.h"

/* Lower the sum of absolute errors from p, in place: exact steps of the linearised curve within a
 * region it can be trusted in, (F, A) following along the valley. No step is taken from a theta
 * whose best sum is above `ceiling`. The rest is as for dph_curverefine. */
double dph_curverefine_l1(dph_curvefit *fit, double tolerance, int steps_max, double floor,
                          double ceiling, double *p);

/* (F, A) of p exactly as good as its theta allows, in place. Returns the sum of absolute errors;
 * *gap bounds how far it is from the best over (F, A). */
double dph_curverefine_l1gap(dph_curvefit *fit, double *p, double *gap);

#endif

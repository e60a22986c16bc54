/* The loops over all points of an exact L1 step (l1step.h).
 *
 * Columns are padded with zeros: n is a multiple of DPH_LANES, and each is double[n]. J has k of
 * them, 1 .. DPH_L1STEP_MAX.
 */
#ifndef DPH_L1LOOPS_H
#define DPH_L1LOOPS_H

#include <stdint.h>

/* r = start - J d, zero where only rounding is left. Returns the sum of |r|.
 *
 * g      double[k], receives minus the sum of sign(r) times each column
 * zeros  receives how many r are zero, padding included
 */
double dph_l1loops_look(const double *start, const double *const *J, int k, const double *d,
                        int64_t n, double *r, double *g, int64_t *zeros);

/* Copy x[0 .. n_rows) and zeros behind it to y. Returns the sum of |x|. */
double dph_l1loops_take(const double *x, int64_t n_rows, double *y);

/* Where residuals change sign along v, INFINITY for those that do not before `most`, and what the
 * slope grows by there. Returns the nearest.
 *
 * t, weight  double[n]
 */
double dph_l1loops_crossings(const double *r, const double *const *J, int k, const double *v,
                             int64_t n, double most, double *t, double *weight);

/* The smallest of t. */
double dph_l1loops_nearest(const double *t, int64_t n);

#endif

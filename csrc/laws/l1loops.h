/* The loops over all points of an exact L1 step (l1step.h). J has four columns, double[n]. */
#ifndef DPH_L1LOOPS_H
#define DPH_L1LOOPS_H

#include <stdint.h>

/* The sum of |r|; minus that of sign(r) times each column; how many r are zero. */
double
dph_l1loops_look(const double *r, const double *const *J, int64_t n, double *g, double *zeros);

/* start - J d, zero where only rounding is left. */
void dph_l1loops_residuals(const double *start, const double *const *J, const double *d, int64_t n,
                           double *r);

/* The sum of |x|. */
double dph_l1loops_size(const double *x, int64_t n);

/* Where residuals change sign along v, and what the slope grows by there. */
void dph_l1loops_crossings(const double *r, const double *const *J, const double *v, int64_t n,
                           double most, double *t, double *weight);

#endif

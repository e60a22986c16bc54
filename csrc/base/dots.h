/* Sums over columns in a fixed order of lanes: vectorised, and the same bits on every machine. */
#ifndef DPH_DOTS_H
#define DPH_DOTS_H

#include <stdint.h>

/* The sum of x[i] y[i]; columns double[n]. */
double dph_dot(const double *x, const double *y, int64_t n);

/* y[i] -= factor x[i]; columns double[n]. */
void dph_subtract(double factor, const double *x, double *y, int64_t n);

#endif

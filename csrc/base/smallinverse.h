/* The inverse of a matrix of a few rows, in registers. */
#ifndef DPH_SMALLINVERSE_H
#define DPH_SMALLINVERSE_H

#define DPH_SMALLINVERSE_MAX 4

/* Replace m by its inverse, by elimination with row pivoting. Returns 1, or 0 where a pivot is not
 * above `least` (m is then undefined).
 *
 * m  double[k][DPH_SMALLINVERSE_MAX], row by row; entries beyond column k are 0
 * k  1 .. DPH_SMALLINVERSE_MAX
 */
int dph_smallinverse(double (*m)[DPH_SMALLINVERSE_MAX], int k, double least);

#endif

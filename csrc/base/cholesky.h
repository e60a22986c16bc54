/* Cholesky factors of dense symmetric matrices of a few hundred rows: K = U^T U.
 *
 * Rows are updated as wholes, so that compilers vectorise the loops and the order of additions is
 * the same on every machine.
 */
#ifndef DPH_CHOLESKY_H
#define DPH_CHOLESKY_H

#include <stdint.h>

#include "status.h"

/* Factor in place.
 *
 * a  double[n][n] row-major; the upper triangle of K goes in, U comes out; what is below the
 *    diagonal is neither read nor written
 * Returns DPH_OK, or DPH_E_NOT_POSITIVE_DEFINITE where a pivot is not above 1e-15 times its
 * diagonal entry (a NaN among them).
 */
DPH_MUST_CHECK int dph_cholesky(double *a, int64_t n);

/* Solve U^T W = B in place, for n_cols right-hand sides at once.
 *
 * u  double[n][n] from dph_cholesky
 * b  double[n][n_cols] row-major
 */
void dph_cholesky_forward(const double *u, int64_t n, double *b, int64_t n_cols);

/* Solve U x = b in place, for one right-hand side: after dph_cholesky_forward it solves K x = b.
 *
 * b  double[n]
 */
void dph_cholesky_backward(const double *u, int64_t n, double *b);

/* The upper triangle of K^-1.
 *
 * work     double[n][n]
 * inverse  receives double[n][n]; below its diagonal are zeros
 */
void dph_cholesky_inverse(const double *u, int64_t n, double *work, double *inverse);

#endif

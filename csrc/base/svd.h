/* Singular values of small dense matrices, by GSL: QR first, then Golub and Reinsch. */
#ifndef DPH_SVD_H
#define DPH_SVD_H

#include <stdint.h>

#include "status.h"

/* a = U diag(s) V^T.
 *
 * a  double[n_rows][n_cols] row-major, n_rows >= n_cols >= 1; U comes out in its place
 * v  receives double[n_cols][n_cols] row-major
 * s  receives double[n_cols], largest first
 * work  double[n_cols * (n_cols + 1)]
 * Returns DPH_OK, DPH_E_ARGUMENT, or DPH_E_NO_CONVERGENCE (a NaN among the values is one reason).
 */
DPH_MUST_CHECK int
dph_svd(double *a, int64_t n_rows, int64_t n_cols, double *v, double *s, double *work);

#endif

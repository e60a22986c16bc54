/* Small dense least squares by Householder QR: min |a x - b|. Never through normal equations. */
#ifndef DPH_LSTSQ_H
#define DPH_LSTSQ_H

#include <stdint.h>

#include "status.h"

#define DPH_LSTSQ_MAX_COLS 8

/* Solve min |a x - b|^2.
 *
 * a     double[n_cols][n_rows], column after column; overwritten by the factorisation
 * b     double[n_rows]; overwritten by Q^T b
 * x     receives double[n_cols]
 * r     receives the upper triangle R, double[n_cols * n_cols] row-major (zeros below); may be NULL
 * rss   receives the residual sum of squares; may be NULL
 *
 * Scale columns to similar size beforehand: a column whose part orthogonal to the ones before it is
 * below 1e-13 of its own length counts as dependent. Returns DPH_OK, DPH_E_RANK, or DPH_E_ARGUMENT
 * (n_cols < 1 or > DPH_LSTSQ_MAX_COLS, n_rows < n_cols).
 */
DPH_MUST_CHECK int
dph_lstsq(double *a, double *b, int64_t n_rows, int n_cols, double *x, double *r, double *rss);

/* g^T (R^T R)^-1 g: the variance factor of the linear combination g of the coefficients.
 *
 * r  double[n_cols * n_cols] from dph_lstsq;  g  double[n_cols]
 */
double dph_lstsq_variance(const double *r, const double *g, int n_cols);

#endif

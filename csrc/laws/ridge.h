/* Ridge regression, one fit a group: min |y - b0 - X b|^2 + lambda |b|^2, the intercept free.
 *
 * Columns are centred, and scaled to unit variance where asked, in each group; lambda is in units
 * of n: the penalty is n lambda |b|^2 for scaled b, so that lambda means the same for any number of
 * points. One singular value decomposition gives every lambda; it is chosen by generalised
 * cross-validation (Golub, Heath and Wahba 1979), by leaving out one point at a time, or given.
 */
#ifndef DPH_RIDGE_H
#define DPH_RIDGE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/status.h"

#define DPH_RIDGE_FEATURES 256 /* the most features */

enum { DPH_RIDGE_GCV, DPH_RIDGE_LOO, DPH_RIDGE_FIXED, DPH_RIDGE_RULES };

typedef struct {
    int64_t n;
    double intercept;
    double lambda;
    double edf;       /* effective degrees of freedom, the intercept included */
    double rss;       /* residual sum of squares */
    double sigma;     /* sqrt(rss / (n - edf)); NaN where n <= edf */
    double gcv;       /* n rss / (n - edf)^2 */
    double loo;       /* mean squared error of leaving out one point; NaN where it cannot be */
    double r2;        /* 1 - rss / total sum of squares; NaN for constant y */
    double condition; /* largest over smallest singular value of the scaled columns */
    int32_t status;   /* DPH_OK, DPH_E_* or bits of DPH_W_RIDGE_* */
    int32_t reserved; /* 0 */
} dph_ridge;

typedef struct {
    int rule;         /* DPH_RIDGE_GCV, DPH_RIDGE_LOO or DPH_RIDGE_FIXED */
    double lambda;    /* for DPH_RIDGE_FIXED, >= 0 */
    double lambda_lo; /* the range searched otherwise, 0 < lo < hi */
    double lambda_hi;
    int standardise;           /* scale columns to unit variance */
    const atomic_int *stopped; /* not 0: give up, results are not needed; may be NULL */
} dph_ridge_options;

/* Points in groups (see base/groups.h); the caller owns all columns. */
typedef struct {
    const double *features; /* double[n][n_features], row after row */
    const double *target;   /* double[n] */
    const int64_t *offsets; /* int64[n_groups + 1], checked */
    int n_features;         /* 1 .. DPH_RIDGE_FEATURES */
} dph_ridge_batch;

/* Doubles of scratch for groups of up to n_largest points. */
size_t dph_ridge_scratch(int64_t n_largest, int n_features);

/* Fit groups [begin, end).
 *
 * coefficients  receives double[n_groups][n_features], in units of the features as given
 * covariance    receives double[n_groups][n_features + 1][n_features + 1] / sigma^2 of intercept
 * and coefficients: of the penalised estimate, its shrinkage taken as a prior (Bayesian); may be
 * NULL out           receives dph_ridge[n_groups]
 *
 * Per group: DPH_E_TOO_FEW_POINTS (fewer than two), DPH_E_BAD_VALUE, DPH_E_RANK (lambda 0 and
 * dependent columns), DPH_E_NO_CONVERGENCE; NaN then. Bits otherwise: RIDGE_CONSTANT (a feature
 * does not vary: its coefficient is 0), RIDGE_COLLINEAR (condition above 1e8), RIDGE_AT_BOUND
 * (lambda at an end of its range), RIDGE_SATURATED (n <= edf: nothing is left to judge by),
 * FEW_POINTS (n <= features that vary).
 */
void dph_ridge_fit(const dph_ridge_batch *batch, int64_t begin, int64_t end,
                   const dph_ridge_options *options, double *scratch, double *coefficients,
                   double *covariance, dph_ridge *out);

#endif

/* The L(N, D) surface: loss = E + A N^-alpha + B D^-beta, in N params and D tokens.
 *
 * For fixed exponents the law is linear in (E, A, B): a scan over both exponents solves for these
 * three at every node, and the best local minima are polished by Newton steps on all five
 * parameters. No start is asked for, and every fit gets a search of its own.
 *
 * The objective is a sum over points of weight times rho(residual). Residuals are ln(loss) -
 * ln(law), or (loss - law) / (geometric mean of the losses); delta is in these units, so that no
 * unit of loss, params or tokens changes the law.
 */
#ifndef DPH_SURFACE_H
#define DPH_SURFACE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/status.h"
#include "surfaceproblem.h"

typedef struct {
    int64_t n;        /* points of weight > 0 */
    int64_t n_inside; /* those with |residual| <= delta, all of them for squares */
    double E;         /* irreducible loss, unit of the losses */
    double A;         /* loss times N^alpha; inf where it overflows */
    double B;         /* loss times D^beta; inf where it overflows */
    double alpha;     /* NaN where A is 0 */
    double beta;      /* NaN where B is 0 */
    double log_A;     /* natural logs; -inf at 0, NaN below */
    double log_B;
    double N_centre; /* weighted geometric means of the points */
    double D_centre;
    double N_term;    /* A N_centre^-alpha, loss */
    double D_term;    /* B D_centre^-beta, loss */
    double scale;     /* geometric mean of the losses */
    double objective; /* sum of w rho: r^2 / 2 up to delta, delta (|r| - delta / 2) beyond; r^2 for
                         squares; |r| for absolute; in loss space r is in the unit of the losses */
    double rss;       /* sum of w r^2, the same r */
    double delta;     /* the threshold in the unit of r; inf for squares, 0 for absolute */
    double se[DPH_SURFACE_SIZE]; /* of E, A, B, alpha, beta; 0 where fixed, NaN where at a bound or
                                    unknown */
    double covariance[DPH_SURFACE_SIZE * DPH_SURFACE_SIZE]; /* of E, N_term, D_term, alpha, beta;
                                    rows of 0 for fixed ones and those at a bound */
    int64_t iterations; /* Newton steps, all candidates together */
    int64_t n_minima;   /* local minima seen on the scan */
    int32_t status;     /* DPH_OK, DPH_E_* or DPH_W_SURFACE_* bits */
    int32_t reserved;   /* 0 */
} dph_surface;

typedef struct {
    int objective;   /* DPH_OBJECTIVE_* */
    int space;       /* DPH_SPACE_* */
    double delta;    /* > 0: of the log loss, or a share of the geometric mean of the losses */
    int nonnegative; /* hold E, A and B at 0 or above */
    const atomic_int *stopped; /* not 0: give up, results are not needed; may be NULL */
} dph_surface_options;

/* Groups of points, one law each. Columns double[n]. */
typedef struct {
    const double *params;  /* > 0, any unit */
    const double *tokens;  /* > 0, any unit */
    const double *loss;    /* > 0 */
    const double *weights; /* finite, >= 0; NULL for ones. Points of weight 0 do not take part */
    const double *fixed;   /* [n_groups][5]: E, A, B, alpha, beta, NaN where free; NULL: all free */
    const int64_t *offsets; /* int64[n_groups + 1], checked */
} dph_surface_batch;

/* Doubles of scratch for groups of up to n_largest points. */
size_t dph_surface_scratch(int64_t n_largest);

/* Fit groups [begin, end) into out[begin .. end - 1].
 *
 * scratch  double[dph_surface_scratch(largest group)], one per thread
 *
 * Failures: DPH_E_BAD_VALUE, DPH_E_TOO_FEW_POINTS (fewer distinct (N, D) than free parameters),
 * DPH_E_CONSTANT_LOSS, DPH_E_ONE_MODEL_SIZE and DPH_E_ONE_TOKEN_COUNT, DPH_E_FEW_MODEL_SIZES and
 * DPH_E_FEW_TOKEN_COUNTS (fewer distinct values than the terms have free parameters),
 * DPH_E_ONE_BUDGET (ln D is a straight line in ln N to 1%, with E and both exponents free),
 * DPH_E_NO_CONVERGENCE, DPH_E_CANCELLED. Warnings: the DPH_W_SURFACE_* bits.
 */
void dph_surface_fit(const dph_surface_batch *batch, int64_t begin, int64_t end,
                     const dph_surface_options *options, double *scratch, dph_surface *out);

/* One data set under many weights or losses: bootstrap replicates, points left out. Each replicate
 * has a search of its own. */
typedef struct {
    const double *params;  /* [n] */
    const double *tokens;  /* [n] */
    const double *loss;    /* [n] */
    const double *fixed;   /* [5] or NULL */
    const double *weights; /* [n_replicates][n], or NULL for ones */
    const double *losses;  /* [n_replicates][n] in place of loss, or NULL */
    int64_t n;
} dph_surface_replicates;

/* As dph_surface_fit, for replicates [begin, end). The centres are those of each replicate. */
void dph_surface_refit(const dph_surface_replicates *replicates, int64_t begin, int64_t end,
                       const dph_surface_options *options, double *scratch, dph_surface *out);

#endif

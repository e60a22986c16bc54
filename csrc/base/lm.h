/* Bounded nonlinear least squares: min sum r_i(theta)^2 with lo <= theta <= hi, by a projected
 * Levenberg-Marquardt method (Marquardt 1963; More 1978; Kanzow, Yamashita and Fukushima 2004).
 *
 * Every step is taken in coordinates scaled by the lengths of the columns of the Jacobian, on the
 * face of the box that the gradient does not push against, and is projected back onto the box. The
 * linear algebra is Householder QR of the Jacobian; damping works on its triangle. No allocation.
 */
#ifndef DPH_LM_H
#define DPH_LM_H

#include <stdint.h>

#include "status.h"

#define DPH_LM_MAX 12 /* parameters */

/* Residuals at theta[n_params] into r[n] and, where jacobian is not NULL, their derivatives into
 * jacobian[n_params][n], column after column. Values that are not finite mean: not defined here. */
typedef void (*dph_residuals)(const double *theta, double *r, double *jacobian, void *ctx);

/* Where a step from theta ends: theta + step but for second-order terms, into to[n_params]. */
typedef void (*dph_retraction)(const double *theta, const double *step, double *to, void *ctx);

typedef struct {
    dph_residuals residuals;
    dph_retraction retract; /* bends steps along a valley; NULL: they are straight */
    void *ctx;
    int64_t n; /* residuals, >= n_params */
    int n_params;
    const double *lo; /* [n_params], -INFINITY where free; NULL if all are */
    const double *hi;
    double noise; /* length of r that is rounding and no misfit: below it the fit is exact; >= 0 */
} dph_lm_problem;

enum {
    DPH_LM_GAVE_UP = 0, /* out of steps, or not finite at the start */
    DPH_LM_STALLED = 1, /* no step makes the sum smaller, yet the slope is not zero: flat valley */
    DPH_LM_FLAT = 2,    /* the slope is zero in every scaled coordinate, the optimum not sharp */
    DPH_LM_SHARP = 3    /* what a Gauss-Newton step could still gain is nothing (relative offset) */
};

typedef struct {
    double theta[DPH_LM_MAX];
    double rss;
    double offset; /* relative offset of Bates and Watts (1981); NaN with no spare residual */
    double shift;  /* after the polish: largest |step / theta| of a Gauss-Newton step from here */
    int ending;    /* DPH_LM_* */
    int n_steps;
    uint32_t at_lo; /* bit i: theta[i] is held at lo[i] */
    uint32_t at_hi;
} dph_lm_result;

/* Doubles of scratch. */
int64_t dph_lm_scratch(int64_t n, int n_params);

/* Minimise from start[n_params] (moved into the box) in at most max_steps steps; a step costs one
 * or more residuals and at most one Jacobian. tolerance is the relative offset at which to stop. */
void dph_lm(const dph_lm_problem *problem, const double *start, int max_steps, double tolerance,
            double *scratch, dph_lm_result *out);

/* Undamped Gauss-Newton steps from result->theta on its face for as long as they get shorter: the
 * last digits. 0 if the Jacobian has not full rank there (result untouched). */
int
dph_lm_polish(const dph_lm_problem *problem, int max_steps, double *scratch, dph_lm_result *result);

/* Standard errors at result->theta, NaN for parameters at a bound; from the triangle of the QR.
 *
 * variance  of one residual, or NaN for rss / (n - free parameters)
 * se        receives double[n_params]
 * Returns DPH_OK, DPH_E_RANK (all NaN), or DPH_E_TOO_FEW_POINTS (no spare residual).
 */
int dph_lm_errors(const dph_lm_problem *problem, const dph_lm_result *result, double variance,
                  double *scratch, double *se);

#endif

/* One suite at a given floor: the inner problem of the power law.
 *
 * A suite is held scale-free: s = (ln C - ln C_min) / span in [0, 1], and the law is
 * loss = L + B exp(-u s) with alpha = u / span, ln A = ln B + alpha ln C_min.
 */
#ifndef DPH_FLOORFIT_H
#define DPH_FLOORFIT_H

#include <stdint.h>

#include "../base/minimise.h"
#include "../base/status.h"

typedef struct {
    const double *s;    /* [n] scaled log compute */
    const double *loss; /* [n] */
    int64_t n;
    double span;      /* ln(C_max / C_min) */
    double log_c_min; /* ln C_min */
    double loss_min;
    double loss_max;
    double loss_mean;
    double linear_slope; /* least-squares slope of loss on s; < 0 for a law that falls */
    double *work;        /* [n] */
} dph_suite;

/* What an inner fit finds. */
typedef struct {
    double u;         /* alpha * span */
    double L;         /* the floor used */
    double log_B;     /* ln of the amplitude at C_min */
    double objective; /* sum of squared residuals in the space it was scored in */
    double slope;     /* d objective / d L with (u, B) at their optimum */
    int edge;         /* -1 or +1: u sits at an end of its search range */
} dph_floorfit;

/* Least squares in loss space over (L, B, u) with L in [L_lo, L_hi], L_hi <= loss_min; equal ends
 * pin L. Returns DPH_OK, DPH_E_NO_CONVERGENCE or DPH_E_BAD_VALUE (overflow inside). */
DPH_MUST_CHECK int dph_floorfit_loss(dph_suite *suite, double L_lo, double L_hi,
                                     dph_minimiser *minimiser, dph_floorfit *out);

/* Least squares of ln(loss - L) on s for one L < loss_min. DPH_OK; u <= 0 is left to the caller. */
void dph_floorfit_log(dph_suite *suite, double L, dph_floorfit *out);

/* Mean squared log residual and u for many floors at once: the hot loop of the grid search.
 *
 * suite      n points
 * floors     double[n_floors], all < loss_min;  n_floors <= DPH_FLOOR_BLOCK
 * block      double[n * DPH_FLOOR_BLOCK] scratch
 * mse, u     receive double[n_floors]
 */
#define DPH_FLOOR_BLOCK 64
void dph_floorfit_log_many(const dph_suite *suite, const double *floors, int n_floors,
                           double *block, double *mse, double *u);

#endif

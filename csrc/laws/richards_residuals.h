/* Residuals of a Richards curve and their derivatives in (ln k, x0, ln v, C). */
#ifndef DPH_RICHARDS_RESIDUALS_H
#define DPH_RICHARDS_RESIDUALS_H

#include <stdint.h>

typedef struct {
    const double *x;        /* [n] */
    const double *y;        /* [n] */
    const double *problems; /* [n], or NULL for plain residuals */
    int64_t n;
    double floor;
    double *work; /* double[DPH_RICHARDS_WORK n] */
    double at[4]; /* theta that work belongs to; NaN at first */
} dph_richards_data;

#define DPH_RICHARDS_WORK 8

/* A dph_residuals of base/lm.h; ctx is a dph_richards_data. Plain residuals are model - y. With
 * problems they are signed roots of the binomial deviance, so that their squares sum to it. A
 * Jacobian where residuals were asked for last costs no exponential. */
void dph_richards_residuals(const double *theta, double *r, double *jacobian, void *ctx);

/* A dph_retraction of base/lm.h: steps are straight in the place and the slope of half height,
 * which the data determine far better than k and x0 for a v. */
void dph_richards_retract(const double *theta, const double *step, double *to, void *ctx);

#endif

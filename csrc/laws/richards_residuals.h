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
    double *work; /* double[5 n] */
} dph_richards_data;

/* A dph_residuals of base/lm.h; ctx is a dph_richards_data. Plain residuals are model - y. With
 * problems they are signed roots of the binomial deviance, so that their squares sum to it. */
void dph_richards_residuals(const double *theta, double *r, double *jacobian, void *ctx);

#endif

/* The four shapes of a learning curve, s(tau; theta): 1 at tau = 0 and 0 at tau = 1.
 *
 *   log          1 - ln(1 + t tau) / ln(1 + t)                                theta = (t)
 *   exponential  (e^(-t tau) - e^-t) / (1 - e^-t)                             theta = (t)
 *   power        (P(tau) - P(1)) / (1 - P(1)), P(tau) = (1 + tau / t0)^-t     theta = (t0, t)
 *   rational     (1 - tau^t) / (1 + c tau^t)                                  theta = (t, c)
 *
 * All are written in expm1 and log1p, which keeps them exact where theta goes to 0 and they become
 * a straight line (log, exponential) or one another. Slopes are by ln theta.
 */
#ifndef DPH_CURVESHAPE_H
#define DPH_CURVESHAPE_H

#include <stdint.h>

enum { DPH_SHAPE_LOG, DPH_SHAPE_EXPONENTIAL, DPH_SHAPE_POWER, DPH_SHAPE_RATIONAL, DPH_N_SHAPES };

typedef struct {
    int form;          /* DPH_SHAPE_* */
    int64_t n;         /* points */
    const double *tau; /* [n] in [0, 1] */
    double *base;      /* [n]: ln(tau) for rational, ln(1 + tau / t0) for power; unused else */
    double *part;      /* [n]: expm1 or log1p of the shape at the theta last asked for */
    double base_theta; /* the ln(t0) that base belongs to; NaN for none yet */
} dph_curveshape;

/* 1 for log and exponential, 2 for power and rational. */
int dph_curveshape_n_theta(int form);

/* Set up for n points; base and part are double[n] of the caller. */
void dph_curveshape_open(dph_curveshape *shape, int form, const double *tau, int64_t n,
                         double *base, double *part);

/* s at all points for ln theta = log_theta[0 .. n_theta). s double[n]. */
void dph_curveshape_values(dph_curveshape *shape, const double *log_theta, double *s);

/* ds / d ln theta_0 and ds / d ln theta_1 (NULL where there is none) at the theta of the last call
 * of dph_curveshape_values, whose s is given back. Each double[n]. */
void dph_curveshape_slopes(const dph_curveshape *shape, const double *log_theta, const double *s,
                           double *slope_0, double *slope_1);

/* s at one tau >= 0 and theta; NaN for an unknown form, a theta that is not > 0, or tau < 0. */
double dph_curveshape_at(int form, double theta_0, double theta_1, double tau);

#endif

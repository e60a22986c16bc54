/* Which power laws the optima leave possible: draws from the posterior of loss = L_inf + A
 * C^-alpha.
 *
 * Noise about the law is Gaussian with variance sigma^2 (C / C_max)^-power: with power > 0 small
 * budgets follow the asymptotic law less closely, which is what real ladders show. Priors: L_inf
 * uniform on [0, min loss), the amplitude uniform, alpha log-uniform on a range, sigma
 * scale-invariant with an optional guess worth a few observations, power by given weights. Given
 * (alpha, power) the model is linear, so sigma and the amplitude are integrated exactly; alpha and
 * L_inf on a grid that zooms to where the mass is. Draws come from that grid, made continuous again
 * inside its cells.
 */
#ifndef DPH_POSTERIOR_H
#define DPH_POSTERIOR_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/status.h"

#define DPH_POSTERIOR_UNIFORMS 4 /* numbers in (0, 1) that one draw takes */

/* One law. */
typedef struct {
    double L_inf;
    double log_A;
    double alpha;
    double sigma; /* noise sd at the largest compute */
    double power; /* noise variance grows as (C / C_max)^-power */
} dph_posterior_draw;

/* What the draws of one suite rest on. */
typedef struct {
    int64_t n;          /* points */
    double compute_max; /* where sigma applies */
    double dof;         /* degrees of freedom of the noise */
    double
        L_inf_spread; /* sd of L_inf over that of a uniform on [0, min loss): near 1 says nothing */
    double alpha_spread; /* sd of ln alpha */
    double alpha_edge;   /* mass in the outermost cells of the prior range of alpha */
    int32_t status;      /* DPH_OK, DPH_E_* or DPH_W_FLOOR_NOT_IDENTIFIED, DPH_W_ALPHA_WEAK,
                            DPH_W_ALPHA_AT_BOUND */
    int32_t reserved;    /* 0 */
} dph_posterior;

typedef struct {
    double alpha_lo; /* prior range of alpha, 0 < lo < hi */
    double alpha_hi;
    const double *powers;        /* [n_powers] >= 0 */
    const double *power_weights; /* [n_powers] > 0, any sum */
    int n_powers;                /* 1 .. DPH_POSTERIOR_POWERS */
    double noise_dof;            /* observations the guesses of sigma are worth, >= 0 */
    const atomic_int *stopped;   /* not 0: give up, results are not needed; may be NULL */
} dph_posterior_options;

#define DPH_POSTERIOR_POWERS 8

/* Suites are groups of points; columns double[n]. */
typedef struct {
    const double *compute;  /* > 0 */
    const double *loss;     /* > 0 */
    const double *noise;    /* [n_suites] guess of sigma, >= 0; NULL for none */
    const int64_t *offsets; /* int64[n_suites + 1], checked */
} dph_posterior_batch;

/* Doubles of scratch for suites of up to n_largest points. */
size_t dph_posterior_scratch(int64_t n_largest);

/* Draw n_draws laws for each suite in [begin, end).
 *
 * uniforms  double[n_draws][DPH_POSTERIOR_UNIFORMS] in (0, 1), the same for every suite
 * draws     [n_suites][n_draws]; NaN where the suite has a status < 0
 * out       [n_suites]
 *
 * Per suite: DPH_E_TOO_FEW_POINTS (fewer than three distinct C), DPH_E_EQUAL_X, DPH_E_BAD_VALUE,
 * DPH_E_CONSTANT_LOSS, DPH_E_NOT_DECREASING.
 */
void
dph_posterior_fit(const dph_posterior_batch *batch, int64_t begin, int64_t end,
                  const dph_posterior_options *options, const double *uniforms, int64_t n_draws,
                  double *scratch, dph_posterior_draw *draws, dph_posterior *out);

#endif

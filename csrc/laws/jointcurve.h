/* Learning curves of many runs at once: loss = F(z) + A(z) s(tau; theta(z)).
 *
 * s is a shape of curveshape.h, z the terms of a run (its mix, learning rate, compute). F and A are
 * linear in all terms, ln theta in the first of them (in one: theta is shared by all runs).
 *
 * The objective is the mean over points of Huber's loss or of the absolute error, plus a ridge on
 * the coefficients of penalised terms. theta is scanned with F and A by least squares, then all
 * coefficients are refined together: Newton steps on the quadratic piece of Huber's loss, damped
 * towards reweighted least squares. The absolute error is the limit of Huber losses over a falling
 * delta, and the record says how far from it the last one can be.
 */
#ifndef DPH_JOINTCURVE_H
#define DPH_JOINTCURVE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/status.h"
#include "curve.h"

#define DPH_JOINT_TERMS 64 /* most terms of a run */

typedef struct {
    int64_t n;          /* points */
    int64_t n_runs;     /* runs with points */
    double objective;   /* mean of the chosen loss, without the ridge */
    double penalty;     /* ridge / 2 times the sum of squares of penalised coefficients */
    double delta;       /* of Huber's loss; for the absolute error the scale of its ridge */
    double gap;         /* absolute error: how far F and A are from its minimum, at most; else 0 */
    int32_t iterations; /* of the refinement that won */
    int32_t form;       /* DPH_SHAPE_* */
    int32_t loss;       /* DPH_CURVE_* */
    int32_t status;     /* DPH_OK, DPH_E_* or DPH_W_* bits */
} dph_jointcurve;

typedef struct {
    const double *tau;      /* double[n_rows] in [0, 1] */
    const double *loss;     /* double[n_rows] */
    const int64_t *first;   /* int64[n_cuts * n_runs]: cut c of run r is rows [first, last) */
    const int64_t *last;    /* int64[n_cuts * n_runs], checked by the caller */
    const double *terms;    /* double[n_runs * n_terms]; the first of each run is 1 */
    const double *ridge_on; /* double[n_terms]: how much each term is penalised; 0 for none */
    int64_t n_cuts;
    int64_t n_runs;
    int n_terms;
    int n_shape_terms; /* 1 to n_terms: the terms that move theta */
} dph_jointcurve_batch;

typedef struct {
    int forms[DPH_N_SHAPES];
    int n_forms;
    int losses[DPH_N_CURVE_LOSSES];
    int n_losses;
    double delta;              /* of Huber's loss, > 0; NaN: 1.345 times the robust scatter */
    double ridge;              /* >= 0 */
    const atomic_int *stopped; /* not 0: give up; may be NULL */
} dph_jointcurve_options;

/* Coefficients of a fit: F, A, ln theta_0 and ln theta_1, each double[n_terms]; NaN where there is
 * none, 0 for terms that do not move theta. */
#define DPH_JOINT_BLOCKS 4

/* Doubles of scratch for fits of up to n_largest points. */
size_t dph_jointcurve_scratch(int64_t n_largest, int64_t n_runs, int n_terms);

/* Fit items [begin, end); item i is form i % n_forms of cut i / n_forms, and fills n_losses records
 * from out[i * n_losses] and their coefficients, double[DPH_JOINT_BLOCKS * n_terms] each.
 *
 * scratch  double[dph_jointcurve_scratch(...)], one per thread
 *
 * Per record: DPH_E_TOO_FEW_POINTS (no run with as many distinct tau as a curve has coefficients),
 * DPH_E_BAD_VALUE, DPH_E_RANK (without a ridge the terms of the runs do not determine F and A),
 * DPH_E_CANCELLED. Otherwise the warning bits JOINT_STALLED, JOINT_RISES, THETA_AT_BOUND.
 */
void dph_jointcurve_fit(const dph_jointcurve_batch *batch, int64_t begin, int64_t end,
                        const dph_jointcurve_options *options, double *scratch, dph_jointcurve *out,
                        double *coefficients);

#endif

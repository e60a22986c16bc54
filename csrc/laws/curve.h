/* Learning curve: loss(tau) = F + A s(tau; theta), tau in [0, 1] normalised progress.
 *
 * s is 1 at tau = 0 and 0 at tau = 1 (curveshape.h), hence F is the final loss and A what is still
 * lost on the way there. F in [0, max loss], A in [0, 2 max loss]; theta in a wide box of ln theta.
 * Losses: the mean absolute error, exact in (F, A) at its theta, or Huber's.
 *
 * A fit is a scan over theta (curvestart.h), shared by the prefixes of a run, then a refinement of
 * everything from the best places of the scan. Long slices are scanned on every k-th point; what is
 * refined to the end and reported is always the whole slice.
 */
#ifndef DPH_CURVE_H
#define DPH_CURVE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/status.h"
#include "curveshape.h"

enum { DPH_CURVE_MAE, DPH_CURVE_HUBER, DPH_N_CURVE_LOSSES };

typedef struct {
    int64_t n;        /* points */
    double F;         /* final loss, that at tau = 1 */
    double A;         /* loss at tau = 0 minus F */
    double theta_0;   /* t; t0 for power */
    double theta_1;   /* t for power, c for rational, else NaN */
    double objective; /* mean of the chosen loss over the slice */
    double delta;     /* of Huber's loss, NaN for the mean absolute error */
    double noise;     /* standard deviation of the loss about a smooth curve, a robust estimate */
    double gap;       /* mean absolute error: how far (F, A) may be from exact, a bound; else 0 */
    int32_t form;     /* DPH_SHAPE_* */
    int32_t loss;     /* DPH_CURVE_* */
    int32_t status;   /* DPH_OK, DPH_E_* or DPH_W_* bits */
    int32_t reserved; /* 0 */
} dph_curve;

typedef struct {
    const double *tau;  /* double[n_rows] */
    const double *loss; /* double[n_rows] */
    const int64_t
        *starts; /* int64[n_slices]: slice k is rows [starts[k], ends[k]); they may overlap */
    const int64_t *ends;   /* int64[n_slices], starts[k] <= ends[k] <= n_rows, checked */
    const int64_t *groups; /* int64[n_groups + 1], of dph_curve_groups */
} dph_curve_batch;

typedef struct {
    int forms[DPH_N_SHAPES];
    int n_forms;
    int losses[DPH_N_CURVE_LOSSES];
    int n_losses;
    double delta;              /* of Huber's loss, > 0; NaN: 1.345 times the noise of the slice */
    const atomic_int *stopped; /* not 0: give up, results are not needed; may be NULL */
} dph_curve_options;

/* Doubles of scratch that slices of up to n_largest points need. */
size_t dph_curve_scratch(int64_t n_largest);

/* Which slices are scanned together: consecutive ones with the same start and growing ends, a few
 * at most. Group g is slices [groups[g], groups[g + 1]). groups int64[n_slices + 1]; returns the
 * number of groups. */
int64_t
dph_curve_groups(const int64_t *starts, const int64_t *ends, int64_t n_slices, int64_t *groups);

/* Fit items [begin, end); item i is form f = i % n_forms of all slices of group i / n_forms. Slice
 * k fills the n_losses records from out[(k * n_forms + f) * n_losses]. What a fit finds does not
 * depend on which slices it is scanned with.
 *
 * scratch  double[dph_curve_scratch(largest slice)], one per thread
 *
 * Per record: DPH_E_TOO_FEW_POINTS (fewer distinct tau than coefficients), DPH_E_BAD_VALUE (not
 * finite, or no loss above 0), DPH_E_PROGRESS (tau outside [0, 1] or decreasing within the slice),
 * DPH_E_CANCELLED. Otherwise the warning bits CURVE_SATURATED, CURVE_FLAT, F_AT_ZERO, F_AT_MAX,
 * DROP_AT_MAX, THETA_AT_BOUND.
 */
void dph_curve_fit(const dph_curve_batch *batch, int64_t begin, int64_t end,
                   const dph_curve_options *options, double *scratch, dph_curve *out);

/* Standard deviation of y about a smooth curve in tau, from the median distance of each point to
 * the line between its neighbours; 0 for fewer than three points.
 *
 * scratch  double[n]
 */
double dph_curve_noise(const double *tau, const double *y, int64_t n, double *scratch);

/* The forward model at one tau; NaN where dph_curveshape_at is. */
double dph_curve_loss(int form, double tau, double F, double A, double theta_0, double theta_1);

#endif

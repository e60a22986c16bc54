/* Curves through the runs of one compute budget, loss against x = log10(tokens), behind one door:
 * how much do the optimum and the loss there depend on the shape that was assumed?
 */
#ifndef DPH_ISOCURVE_H
#define DPH_ISOCURVE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/minimise.h"
#include "../base/status.h"
#include "parabola.h"

#define DPH_ISOCURVE_COEFFICIENTS 5

/* Shapes and the meaning of their coefficients k[], NaN from n_coefficients on. z = x - x_centre,
 * u = 10^z: tokens over their geometric centre.
 */
typedef enum {
    DPH_CURVE_PARABOLA,  /* k0 + k1 z + k2 z^2 through all points */
    DPH_CURVE_WINDOWED,  /* the same through the points near its vertex, see parabola.h */
    DPH_CURVE_JOINT,     /* k0 + (k2 below k1, k3 above) (z - k1)^2 */
    DPH_CURVE_CUBIC,     /* k0 + k1 z + k2 z^2 + k3 z^3 */
    DPH_CURVE_TWO_POWER, /* k0 + k1 u^-k3 + k2 u^k4: what an additive law is at fixed compute */
    DPH_CURVES
} dph_curve;

typedef struct {
    int64_t n;           /* points of the bucket */
    int64_t n_used;      /* points the curve was fitted to */
    double x_star;       /* log10 tokens at the minimum; moved into [x_min, x_max] if CLIPPED */
    double tokens_star;  /* 10^x_star */
    double params_star;  /* on the line log10(params) ~ x of the used points; NaN without params */
    double loss_star;    /* the curve at x_star */
    double se_loss_star; /* delta method; NaN without degrees of freedom */
    double rss;          /* residual sum of squares over the used points */
    double aicc;         /* m ln(rss / m) + 2 k + 2 k (k + 1) / (m - k - 1), with m = n_used and
                          * k = n_coefficients + 1, for the noise; NaN if m - k - 1 <= 0.
                          * Comparable between curves with the same used points only. */
    double loo;          /* root mean squared error at each used point of the curve fitted to the
                          * others; NaN if not asked for or if one of these fits is not possible */
    double x_min;        /* observed range */
    double x_max;
    double x_lo; /* range of the points used */
    double x_hi;
    double x_centre; /* middle of [x_lo, x_hi] */
    double coefficients[DPH_ISOCURVE_COEFFICIENTS];
    int32_t shape;          /* dph_curve */
    int32_t n_coefficients; /* 3, 3, 4, 4, 5 */
    int32_t status;         /* DPH_OK, DPH_E_* or DPH_W_* bits */
    int32_t reserved;       /* 0 */
} dph_isocurve;

typedef struct {
    int shape;                 /* dph_curve */
    int loo;                   /* also fit without each point: n_used more fits a group */
    double window;             /* decades, for DPH_CURVE_WINDOWED; 0 or inf: all points */
    const atomic_int *stopped; /* not 0: give up, results are not needed; may be NULL */
} dph_isocurve_options;

/* Doubles of scratch that groups of up to n_largest points need. */
size_t dph_isocurve_scratch(int64_t n_largest);

/* Fit groups [begin, end) into out[begin .. end - 1].
 *
 * batch      as for parabolas
 * scratch    double[dph_isocurve_scratch(largest group)], one per thread
 * minimiser  one per thread; may be NULL for parabola, windowed and cubic
 *
 * The two-power curve (see twopower.h) is linear in k0, k1 >= 0 and k2 >= 0 for fixed exponents
 * (variable projection); the exponents, DPH_POWER_MIN to DPH_POWER_MAX, are searched by a scan and
 * a root search on the exact slope, one inside the other, so the minimum is global on the scan and
 * good to rounding.
 *
 * Per group, all values NaN: DPH_E_BAD_VALUE, DPH_E_EQUAL_X, DPH_E_TOO_FEW_POINTS (fewer distinct
 * tokens than coefficients; five for the joint curve), DPH_E_CONSTANT_LOSS, DPH_E_RANK,
 * DPH_E_NO_MINIMUM (cubic: none in the observed range; two-power: k1 or k2 is 0),
 * DPH_E_NO_CONVERGENCE. Otherwise bits UNBRACKETED, DUPLICATED_DESIGNS, OFF_CENTRE, SATURATED (as
 * many coefficients as distinct tokens); CONCAVE (parabolas), CLIPPED (parabolas and two-power),
 * WINDOW_WIDENED, JOINT_AT_BOUND, JOINT_CONCAVE, P_AT_BOUND, Q_AT_BOUND.
 */
void dph_isocurve_fit(const dph_parabola_batch *batch, int64_t begin, int64_t end,
                      const dph_isocurve_options *options, double *scratch,
                      dph_minimiser *minimiser, dph_isocurve *out);

/* Value of a fitted curve at x = log10(tokens). */
double dph_isocurve_value(const dph_isocurve *curve, double x);

#endif

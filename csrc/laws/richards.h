/* Richards curve of an accuracy over a soft metric (Richards 1959):
 *
 *     y = floor + (C - floor) sigma(k (x - x0))^v,   sigma(u) = 1 / (1 + exp(-u)).
 *
 * floor is given (chance), C may be. The minimum is looked for in ln k, x0, ln v and C inside a
 * box, from several starts that a scan over half height, steepness and shape finds in the data; for
 * fixed (k, x0, v) the best C is closed-form, so the scan has three dimensions, not four. Each
 * start is refined by the bounded solver of base/lm.h with the analytic Jacobian.
 *
 * Two losses: squares, or the binomial deviance where the number of problems is known. The
 * deviance is a sum of squares too, of signed deviance residuals, hence the same solver.
 */
#ifndef DPH_RICHARDS_H
#define DPH_RICHARDS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/status.h"

typedef struct {
    int64_t n;
    double k;  /* steepness, 1 / unit of x, > 0 */
    double x0; /* location, unit of x */
    double v;  /* shape, > 0; 1 is a logistic */
    double ceiling;
    double floor;
    double sse;      /* sum of squared residuals in y */
    double deviance; /* of the binomial likelihood; NaN for squares */
    double se_k;     /* standard errors; NaN at a bound, and where nothing determines them */
    double se_x0;
    double se_v;
    double se_ceiling;
    double x_half; /* where half of the rise is done, unit of x */
    double x_min;
    double x_max;
    int32_t n_starts; /* starts refined */
    int32_t status;   /* DPH_OK, DPH_E_* or bits of DPH_RICHARDS */
} dph_richards;

/* The box: lower ends of k, x0, v, C, then upper ends. */
#define DPH_RICHARDS_BOX 8

typedef struct {
    const atomic_int *stopped; /* not 0: give up, results are not needed; may be NULL */
} dph_richards_options;

typedef struct {
    const double *x;        /* [n] finite; accuracy should rise with it */
    const double *y;        /* [n] finite; in [0, 1] where problems is given */
    const double *problems; /* [n] number of problems behind each y, > 0; NULL: least squares */
    const int64_t *offsets; /* int64[n_groups + 1], checked */
    const double *floors;   /* [n_groups] */
    const double *ceilings; /* [n_groups] pinned C, NaN where free; NULL if all are free */
    const double *boxes;    /* [n_groups][DPH_RICHARDS_BOX]; NULL: dph_richards_box for each */
    const double *guesses;  /* [n_groups][4] k > 0, x0, v > 0, C: short search beside them, for
                               replicates of a fitted curve; NULL: search the whole box */
} dph_richards_batch;

/* The box used where none is given, for x in nats or bits and from x_min to x_max (width w):
 * k in [0.1, 50] / min(1, w) or max(1, w) whichever is wider, x0 within 2 or 2 w of the data, v in
 * [0.1, 20], C in [floor + 0.05, 1]. */
void dph_richards_box(double x_min, double x_max, double floor, double *box);

/* Doubles of scratch for groups of up to n points. */
size_t dph_richards_scratch(int64_t n);

/* Fit groups [begin, end) into out[g].
 *
 * Per group: DPH_E_TOO_FEW_POINTS (fewer points than free coefficients, or none), DPH_E_BAD_VALUE,
 * DPH_E_EQUAL_X, DPH_E_CONSTANT_ACCURACY, DPH_E_CEILING_TOO_LOW, DPH_E_NO_CONVERGENCE.
 */
void dph_richards_fit(const dph_richards_batch *batch, int64_t begin, int64_t end,
                      const dph_richards_options *options, double *scratch, dph_richards *out);

/* The curve at one x, and the x at which it reaches y: NaN unless floor < y < ceiling. */
double dph_richards_value(double x, double k, double x0, double v, double floor, double ceiling);
double dph_richards_x(double y, double k, double x0, double v, double floor, double ceiling);

#endif

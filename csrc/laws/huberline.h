/* loss = F + A s with F and A in a box: the inner problem of a learning curve, Huber's loss.
 *
 * Huber's loss of a residual r is r^2 / 2 up to |r| = delta and delta (|r| - delta / 2) beyond. Its
 * sum is convex and piecewise quadratic in (F, A): Newton steps on the active piece end at the
 * exact minimum, and a majorising step takes over where Newton's does not descend.
 */
#ifndef DPH_HUBERLINE_H
#define DPH_HUBERLINE_H

#include <stdint.h>

typedef struct {
    const double *s; /* [DPH_PADDED(n)] (lanes.h); behind n anything that is finite */
    const double *y; /* [DPH_PADDED(n)] as well */
    int64_t n;       /* >= 1 */
    double F_max;    /* 0 <= F <= F_max */
    double A_max;    /* 0 <= A <= A_max */
} dph_boxline;

typedef struct {
    double F;
    double A;
    double objective; /* sum over the points */
} dph_boxfit;

/* Minimise the sum of Huber's loss from the (F, A) that fit comes with, until a step would gain
 * less than the share `tolerance` of the sum (1e-15: to rounding), or for steps_max steps. delta >
 * 0; all values finite. */
void dph_huberline_fit(const dph_boxline *line, double delta, double tolerance, int steps_max,
                       dph_boxfit *fit);

#define DPH_HUBERLINE_STEPS 100 /* enough to end at the minimum */

/* The sum of Huber's loss at (F, A). */
double dph_huberline_sum(const dph_boxline *line, double delta, double F, double A);

#endif

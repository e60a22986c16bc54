/* Where to start the search for a learning curve: a grid of theta, for all prefixes of a run at
 * once.
 *
 * At every theta the shape is computed once over the longest prefix, and running sums give the
 * least-squares (F, A) of every prefix. Losses go through a median of three first, which takes out
 * single spikes and leaves a falling curve as it is.
 */
#ifndef DPH_CURVESTART_H
#define DPH_CURVESTART_H

#include <stddef.h>
#include <stdint.h>

#include "curveshape.h"

#define DPH_CURVESTART_POINTS 512 /* of a scan; longer slices give every 2^k-th point */
#define DPH_CURVESTART_SLICES 16  /* of a group */
#define DPH_CURVESTART_NODES 96   /* of a grid, at most */

/* One axis of ln theta: its bounds, and n nodes evenly from first to last. */
typedef struct {
    double low, high;
    double first, last;
    int n;
} dph_curveaxis;

typedef struct {
    double p[4]; /* F, A, ln theta_0, ln theta_1 */
    double sum;
} dph_curveplace;

/* The axes of a form, axes[dph_curveshape_n_theta(form)]. Beyond the bounds a shape is, to
 * rounding, the limit it has at them; the nodes cover what bends within a run.
 *
 * tau_min  smallest tau > 0 (of an exponential, how steep a start is still seen depends on it)
 */
void dph_curvestart_axes(int form, double tau_min, dph_curveaxis *axes);

/* Every how many points a slice of n is scanned: the same for any n within a factor of two. */
int64_t dph_curvestart_step(int64_t n);

/* The prefixes of one run, tau and y from its first point on. */
typedef struct {
    const double *tau;
    const double *y;
    int64_t step;                        /* every how many points are scanned */
    int n_slices;                        /* 1 .. DPH_CURVESTART_SLICES */
    int64_t n[DPH_CURVESTART_SLICES];    /* points of each, not decreasing, >= 1 */
    double y_max[DPH_CURVESTART_SLICES]; /* the bounds are F <= y_max, A <= 2 y_max */
} dph_curveprefixes;

/* Doubles of scratch for dph_curvestart_scan. */
size_t dph_curvestart_scratch(void);

/* Fill sums[slice * nodes + node] with the sum of squares of every slice at every node, and F, A
 * alike; nodes count theta_1 fastest. Returns the number of nodes. scratch
 * double[dph_curvestart_scratch()]. */
int dph_curvestart_scan(const dph_curveprefixes *prefixes, int form, const dph_curveaxis *axes,
                        double *scratch, double *F, double *A, double *sums);

/* The lowest local minima of a slice's scan, in order, at most `most`; returns how many. */
int dph_curvestart_lowest(int form, const dph_curveaxis *axes, const double *F, const double *A,
                          const double *sums, int most, dph_curveplace *places);

/* Put a place into a list of the lowest `most`, in order. Returns the new length. */
int dph_curvestart_keep(dph_curveplace *list, int n, int most, const dph_curveplace *place);

#endif

/* A step d of up to four parameters that minimises the sum of |r_i - J_i d| within a box, exactly.
 *
 * The sum is convex and piecewise linear, and its minimum lies on a vertex, where as many residuals
 * or bounds vanish as there are parameters. The search walks from vertex to vertex along the edge
 * that falls fastest, as far as the sum falls (a weighted median of where residuals change sign).
 */
#ifndef DPH_L1STEP_H
#define DPH_L1STEP_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define DPH_L1STEP_MAX 4
#define DPH_L1STEP_COLUMNS 9 /* of scratch */

typedef struct {
    const double *r;                 /* [n] residuals at d = 0 */
    const double *J[DPH_L1STEP_MAX]; /* columns [n]; one of zeros keeps its parameter where it is */
    int64_t n;
    int n_parameters;           /* 1 .. DPH_L1STEP_MAX */
    double low[DPH_L1STEP_MAX]; /* low <= d <= high, low <= 0 <= high */
    double high[DPH_L1STEP_MAX];
    const atomic_int *stopped; /* not 0: end early; may be NULL */
} dph_l1problem;

static inline int
dph_l1step_stopped(const dph_l1problem *problem)
{
    return problem->stopped != NULL && atomic_load(problem->stopped);
}

/* What holds the vertex that a walk ended on, for a walk over a similar problem to start from. */
typedef struct {
    int n;                         /* n_parameters, or 0: nothing known */
    int kind[DPH_L1STEP_MAX];      /* as in l1step.c */
    int64_t point[DPH_L1STEP_MAX]; /* a residual, or the parameter whose bound holds */
    int ended;                     /* received only: no edge led on, as far as rounding shows */
} dph_l1vertex;

/* d receives the step. Returns the sum at d, at most that at 0. vertex is where to start, if
 * anything is known, and receives where the walk ended; its points must be below n. Columns beyond
 * n_parameters may be NULL. scratch double[DPH_L1STEP_COLUMNS * DPH_PADDED(n)] (lanes.h). */
double dph_l1step(const dph_l1problem *problem, double *scratch, dph_l1vertex *vertex, double *d);

#endif

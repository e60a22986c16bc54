/* One-dimensional minimisation over GSL: scan a grid, bracket the minima, refine to rounding.
 *
 * Every function we minimise has a cheap exact derivative (the envelope theorem: at the inner
 * optimum the inner parameters do not count), so the refinement is a root search on the slope. A
 * minimum is then known to about 1e-15 instead of the 1e-8 that values alone can give.
 */
#ifndef DPH_MINIMISE_H
#define DPH_MINIMISE_H

#include "status.h"

#define DPH_SCAN_MAX 64
#define DPH_MINIMISE_DEPTH 2 /* a function may itself minimise another one, this deep in all */

/* Value at x; *slope receives the derivative. */
typedef double (*dph_function)(double x, void *ctx, double *slope);

/* Workspace of one thread; searches may nest. */
typedef struct dph_minimiser dph_minimiser;

/* NULL when memory is out. Free with dph_minimiser_free, which takes NULL. */
dph_minimiser *dph_minimiser_new(void);
void dph_minimiser_free(dph_minimiser *m);

typedef struct {
    double x;
    double value;
    int edge; /* -1 or +1: the minimum sits at the first or last grid point; 0 inside */
} dph_minimum;

/* Minimise f over [grid[0], grid[n - 1]].
 *
 * grid  double[n], strictly increasing, 2 <= n <= DPH_SCAN_MAX. Every local minimum that shows as a
 *       change of the slope's sign between two points, or as the lowest point, is refined; the
 * lowest of them is the answer. Returns DPH_OK, DPH_E_ARGUMENT (n, or nested too deep), or
 * DPH_E_NO_CONVERGENCE (a value or slope on the grid is NaN, or GSL gave up).
 */
DPH_MUST_CHECK int dph_minimise(dph_minimiser *m, dph_function f, void *ctx, const double *grid,
                                int n, dph_minimum *out);

/* Switch off GSL's error handler, which would end the process. Call once before anything else here.
 */
void dph_gsl_init(void);

#endif

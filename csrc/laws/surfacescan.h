/* The coarse search: for every pair of exponents on a grid the other three parameters in closed
 * form.
 *
 * Residuals are linear in (e, a, b) here: y - f, or 1 - f / y where the fit is in log space, which
 * is the same to first order. Huber's weights come from a few rounds of reweighting; the polish
 * then works on the true objective.
 */
#ifndef DPH_SURFACESCAN_H
#define DPH_SURFACESCAN_H

#include "surfaceproblem.h"

#define DPH_SURFACE_NODES 16      /* exponents of each kind */
#define DPH_SURFACE_CANDIDATES 4  /* local minima handed on, at most */
#define DPH_SURFACE_SHORTEST 1e-3 /* range of an exponent times the range of its logs */
#define DPH_SURFACE_LONGEST 100.0

/* Columns exp(-p u) and exp(-q v) at the nodes. */
typedef struct {
    int n_p; /* 1 where the exponent is fixed */
    int n_q;
    double p[DPH_SURFACE_NODES];
    double q[DPH_SURFACE_NODES];
    double *left;  /* [n_p][stride] */
    double *right; /* [n_q][stride] */
} dph_surface_table;

/* Doubles that the columns of points padded to `stride` need. */
size_t dph_surface_table_doubles(int64_t stride);

/* Nodes within the bounds of the problem; spans are the ranges of u and v. */
void
dph_surface_nodes(const dph_surface_problem *p, double u_span, double v_span, dph_surface_table *t);

/* Fill columns that the caller has pointed left and right at. */
void dph_surface_table_fill(const dph_surface_problem *p, dph_surface_table *t);

typedef struct {
    double theta[DPH_SURFACE_CANDIDATES][DPH_SURFACE_SIZE];
    int n;        /* how many there are, best first */
    int n_minima; /* local minima on the grid, of which these are the best */
    double squares[DPH_SURFACE_CANDIDATES][DPH_SURFACE_SIZE]; /* the same of least squares */
    int n_squares;
    double spread;                 /* mean |residual| of the best least-squares node */
    int best_p[DPH_SURFACE_NODES]; /* of least squares, at each node of the other exponent */
    int best_q[DPH_SURFACE_NODES];
} dph_surface_candidates;

/* Scan the whole grid; work double[stride]. DPH_OK, DPH_E_CANCELLED, or DPH_E_NO_CONVERGENCE where
 * no node has a finite objective. */
DPH_MUST_CHECK int dph_surface_scan(const dph_surface_problem *p, const dph_surface_table *t,
                                    double *work, dph_surface_candidates *out);

/* The best (e, a, b) for the exponents of theta, whose columns are g and h, into theta; returns
 * the objective of the linear residuals at delta, NaN where nothing can be solved. */
double dph_surface_inner(const dph_surface_problem *p, const double *g, const double *h,
                         double delta, int rounds, double *theta);

#endif

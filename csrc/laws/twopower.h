/* The two-power curve at fixed compute: loss = base + A left + B right with
 * left = (u^-p - 1) / p, right = (u^q - 1) / q, u = 10^(x - centre).
 *
 * In these terms nothing cancels as p and q go to 0, where the curve becomes a parabola in x.
 */
#ifndef DPH_TWOPOWER_H
#define DPH_TWOPOWER_H

#include <stdatomic.h>
#include <stdint.h>

#include "../base/minimise.h"
#include "../base/status.h"

#define DPH_POWER_MIN 0.01 /* range of p and q */
#define DPH_POWER_MAX 3.0

/* The points, and what fits work with; the caller owns all columns. */
typedef struct {
    const double *x;     /* [n] log10 tokens */
    const double *loss;  /* [n] */
    double *left;        /* [n] */
    double *right;       /* [n] */
    double *left_slope;  /* [n] p times the derivative of left by p */
    double *right_slope; /* [n] q times the derivative of right by q */
    double *design;      /* [5][n] */
    double *rhs;         /* [n] */
    int64_t n;
    double centre; /* log10 tokens where u is 1 */
    dph_minimiser *minimiser;
    const atomic_int *stopped; /* not 0: give up; may be NULL */
} dph_twopower_points;

typedef struct {
    double base;
    double A; /* >= 0 */
    double B; /* >= 0 */
    double p;
    double q;
    double rss;
    int p_edge; /* -1 or +1: p sits at an end of its range */
    int q_edge;
} dph_twopower;

/* Least squares over (base, A >= 0, B >= 0, p, q); leaves the terms of the answer in the columns.
 * DPH_OK or DPH_E_NO_CONVERGENCE. */
DPH_MUST_CHECK int dph_twopower_fit(dph_twopower_points *k, dph_twopower *out);

/* The curve at x. */
double dph_twopower_value(const dph_twopower *fit, double centre, double x);

/* Where it is lowest, x - centre; NaN unless A and B are positive. */
double dph_twopower_lowest(const dph_twopower *fit);

/* Columns of the derivatives of the curve by its coefficients into design, those by exponents that
 * sit at a bound left out, and their values at x into g[5]; returns their number. After
 * dph_twopower_fit on the same points. */
int dph_twopower_gradient(dph_twopower_points *k, const dph_twopower *fit, double x, double *g);

#endif

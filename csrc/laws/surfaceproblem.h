/* One fit of loss = E + A N^-alpha + B D^-beta in the numbers it is solved in.
 *
 * Logs are about their centres and losses are over their geometric mean, so that no unit counts:
 *   f = e + a exp(-p u) + b exp(-q v),   u = ln(N / N_centre), v = ln(D / D_centre),
 * with theta = (e, a, b, p, q): p and q are alpha and beta, a and b the two terms at the centres.
 */
#ifndef DPH_SURFACEPROBLEM_H
#define DPH_SURFACEPROBLEM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/status.h"

#define DPH_SURFACE_SIZE 5 /* parameters */
#define DPH_SURFACE_PAD 8  /* columns end in points of no weight, up to a multiple of this */

enum { DPH_SURFACE_E, DPH_SURFACE_A, DPH_SURFACE_B, DPH_SURFACE_ALPHA, DPH_SURFACE_BETA };
enum { DPH_OBJECTIVE_HUBER, DPH_OBJECTIVE_SQUARED, DPH_OBJECTIVE_ABSOLUTE };
enum { DPH_SPACE_LOG, DPH_SPACE_LOSS };

typedef struct {
    int64_t n;      /* points, all of weight > 0 */
    int64_t stride; /* n up to a multiple of DPH_SURFACE_PAD: the length of the columns */
    double *u;      /* centred ln N; ln N itself where A is fixed */
    double *v;      /* centred ln D; ln D itself where B is fixed */
    double *y;      /* losses over `scale`; 1 in the padding */
    double *w;      /* weights; 0 in the padding */
    double *unit;  /* what a difference of losses is divided by to be a residual, inverted: 1 / y in
                      log space (to first order), else 1 */
    double total;  /* sum of the weights */
    int objective; /* DPH_OBJECTIVE_* */
    int log_space; /* residuals are ln y - ln f, else y - f */
    double delta;  /* Huber's threshold, in units of these residuals; inf for squares */
    double lo[DPH_SURFACE_SIZE]; /* bounds of theta; equal where fixed */
    double hi[DPH_SURFACE_SIZE];
    int is_free[DPH_SURFACE_SIZE];
    int n_free;
    const atomic_int *stopped; /* may be NULL */
} dph_surface_problem;

/* Residuals of theta into r[stride] and exp(-p u), exp(-q v), f into theirs; 0 where f is not
 * positive in log space, else 1. */
int dph_surface_residuals(const dph_surface_problem *p, const double *theta, double *g, double *h,
                          double *f, double *r);

/* Derivatives of the model, in the space of the residuals, into double[5][stride]; g, h and f as
 * the residuals left them. */
void dph_surface_jacobian(const dph_surface_problem *p, const double *theta, const double *g,
                          const double *h, const double *f, double *jacobian);

/* Sum of w rho(r): r^2 / 2 up to delta, delta (|r| - delta / 2) beyond. */
double dph_surface_huber(const dph_surface_problem *p, const double *r, double delta);

/* What the fit minimises, up to a factor: that sum at the problem's delta, or sum of w |r|. */
double dph_surface_objective(const dph_surface_problem *p, const double *r);

/* Mean of w |r|. */
double dph_surface_mean_abs(const dph_surface_problem *p, const double *r);

int dph_surface_stopped(const dph_surface_problem *p);

#endif

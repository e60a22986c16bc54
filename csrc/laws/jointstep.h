/* The inner problem of jointcurve.h: values, gradients and damped Newton steps over all runs.
 *
 * The points of a run share its terms x, so that the normal matrix is a sum over runs of a small
 * matrix (of 1, s and the slopes of s) times x x^T: the cost of a step is one pass over the points.
 * Steps are corrections with the exact gradient, so that rounding in the matrix is taken back.
 */
#ifndef DPH_JOINTSTEP_H
#define DPH_JOINTSTEP_H

#include "curveshape.h"
#include "jointcurve.h"

typedef struct {
    const dph_jointcurve_batch *batch;
    const double *tau;     /* of the batch */
    const double *y;       /* of the batch */
    const int64_t *begins; /* [n_runs] rows of the cut */
    const int64_t *ends;   /* [n_runs] */
    int64_t n;             /* points of the cut */
    int64_t n_runs;
    int n_terms;
    int n_shape_terms;
    int form;
    int n_theta;
    double low[2];  /* of ln theta */
    double high[2]; /* of ln theta */
    double spread;  /* standard deviation of the losses */
    const atomic_int *stopped;
    dph_curveshape *shapes; /* [n_runs] */
    double *s;              /* [n] at the coefficients last looked at */
    double *slope[2];       /* [n] A ds / d ln theta */
    double *r;              /* [n] loss minus curve */
    double *spare;          /* [n] */
    double *base;           /* [n] of the shapes */
    double *part;           /* [n] of the shapes */
    double *matrix;         /* [size * size], size = DPH_JOINT_BLOCKS * n_terms */
    double *factor;         /* [size * size] */
    double *gradient;       /* [size] */
    double *step;           /* [size] */
    double *trial;          /* [size] */
} dph_joint;

/* The mean of Huber's loss with a delta, over a divisor, plus ridge times dph_joint_penalty. */
typedef struct {
    double delta;
    double divisor;
    double ridge;
} dph_joint_goal;

size_t dph_joint_scratch(int64_t n_largest, int64_t n_runs, int n_terms);

/* Set up for one cut and form. */
void dph_joint_open(dph_joint *joint, const dph_jointcurve_batch *batch, int64_t cut, int form,
                    const atomic_int *stopped, double *scratch);

int dph_joint_stopped(const dph_joint *joint);

/* The first n terms of run r times c. */
double dph_joint_linear(const dph_joint *joint, const double *c, int64_t r, int n);

/* ln theta of run r, held in its box. */
void dph_joint_theta(const dph_joint *joint, const double *b, int64_t r, double *theta);

/* Residuals (and slopes of the shape) at the coefficients b, double[DPH_JOINT_BLOCKS * n_terms]. */
void dph_joint_look(dph_joint *joint, const double *b, int with_slopes);

/* Half the sum of squares of penalised coefficients, those of ln theta in units of the spread. */
double dph_joint_penalty(const dph_joint *joint, const double *b);

/* The mean of Huber's loss at the residuals last looked at; delta may be INFINITY: r^2 / 2. */
double dph_joint_mean(const dph_joint *joint, double delta);

/* The goal at b, whose residuals were looked at last. */
double dph_joint_value(const dph_joint *joint, const double *b, const dph_joint_goal *goal);

/* The step from b by the damped normal equations, over F, A and n_shapes blocks of theta.
 *
 * damping  0 is Newton's step on the quadratic piece, 1 that of reweighted least squares, more is
 *          shorter
 * rank     > 0: return DPH_E_RANK where a pivot is below this share of its diagonal
 * promise  receives what the step should gain; may be NULL
 */
DPH_MUST_CHECK int dph_joint_solve(dph_joint *joint, const double *b, const dph_joint_goal *goal,
                                   int n_shapes, double damping, double rank, double *promise);

/* Go down from b until a step promises less than tolerance of the goal. Returns 1 there, 0 where
 * the steps ran out. Residuals are those at b afterwards. */
int dph_joint_descend(dph_joint *joint, double *b, const dph_joint_goal *goal, int n_shapes,
                      int most, double tolerance, int *steps);

#endif

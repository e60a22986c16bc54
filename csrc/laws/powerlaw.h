/* Asymptotic power law: loss = L_inf + A C^-alpha, one per suite or one floor L_inf shared by
 * several.
 *
 * Two scores. In loss space the objective is the mean squared residual, the least squares a
 * statistician would sign: for fixed alpha (and L_inf) the rest is linear, so one bounded variable
 * is searched and the minimum is global and exact. In log space log(loss - L_inf) is a straight
 * line in log C with closed-form (A, alpha); that is what many notebooks do, and its floor is
 * biased low.
 *
 * Two searches. A continuous profile over L_inf in [0, min loss), or a grid over [0, 0.95 min
 * loss].
 */
#ifndef DPH_POWERLAW_H
#define DPH_POWERLAW_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/minimise.h"
#include "../base/status.h"

typedef struct {
    int64_t n;          /* points */
    double L_inf;       /* irreducible loss, unit of the losses */
    double A;           /* losses times C^alpha; inf where exp(log_A) overflows */
    double alpha;       /* exponent, > 0 */
    double log_A;       /* natural log of A */
    double rss;         /* residual sum of squares in loss space */
    double score;       /* mean squared residual in the space it was scored in */
    int64_t grid_index; /* of L_inf on the grid; -1 for profile and pinned floors */
    int32_t status;     /* DPH_OK, DPH_E_* or DPH_W_* bits */
    int32_t reserved;   /* 0 */
} dph_powerlaw;

enum { DPH_SCORE_LOSS = 0, DPH_SCORE_LOG = 1 };
enum { DPH_SEARCH_PROFILE = 0, DPH_SEARCH_GRID = 1 };

typedef struct {
    int score;        /* DPH_SCORE_* */
    int search;       /* DPH_SEARCH_*; no effect where the floor is pinned */
    int64_t n_grid;   /* grid points, >= 1; used by DPH_SEARCH_GRID */
    int weigh_suites; /* shared floor: every point (0) or every suite (1) counts the same */
    int diagnose; /* also look for FLOOR_NOT_IDENTIFIED and ALPHA_WEAK (score loss, search profile,
                     a floor of its own) */
    const atomic_int *stopped; /* not 0: give up, results are not needed; may be NULL */
} dph_powerlaw_options;

/* Suites are groups of points; sets are groups of suites that share one floor. Columns double[n].
 */
typedef struct {
    const double *compute;  /* > 0, any unit */
    const double *loss;     /* finite, > 0 unless the floor is pinned */
    const int64_t *offsets; /* int64[n_suites + 1], checked */
    const int64_t *sets;    /* int64[n_sets + 1], offsets into suites, checked */
    const double *floors;   /* [n_sets] pinned L_inf, NaN where it is free; NULL if all are free */
} dph_powerlaw_batch;

/* Doubles of scratch that sets of up to n_points points in n_suites suites need, the largest suite
 * of all having n_largest points. */
size_t dph_powerlaw_scratch(int64_t n_points, int64_t n_suites, int64_t n_largest,
                            const dph_powerlaw_options *options);

/* Fit sets [begin, end); the record of suite s goes to out[s].
 *
 * scratch    double[dph_powerlaw_scratch(most points in a set, most suites in a set)], one per
 * thread minimiser  one per thread
 *
 * Per suite: DPH_E_BAD_VALUE, DPH_E_EQUAL_X, DPH_E_TOO_FEW_POINTS (profile: fewer distinct C than
 * coefficients; grid and pinned: fewer than two), DPH_E_CONSTANT_LOSS, DPH_E_NOT_DECREASING,
 * DPH_E_FLOOR_TOO_HIGH, DPH_E_NO_CONVERGENCE. A suite whose data rule out a law takes no
 * part in the floor of its set; where the search itself fails, or the log grid finds no floor at
 * which every suite falls, the whole set fails. Otherwise warning bits FLOOR_AT_ZERO, FLOOR_AT_MIN,
 * ALPHA_AT_BOUND, SATURATED, and with diagnose FLOOR_NOT_IDENTIFIED and ALPHA_WEAK.
 */
void dph_powerlaw_fit(const dph_powerlaw_batch *batch, int64_t begin, int64_t end,
                      const dph_powerlaw_options *options, double *scratch,
                      dph_minimiser *minimiser, dph_powerlaw *out);

/* The forward model at one point, L_inf + exp(log_A - alpha ln C), and its inverse: the C at which
 * the loss is reached, NaN for loss <= L_inf. */
double dph_powerlaw_loss(double compute, double L_inf, double log_A, double alpha);
double dph_powerlaw_compute(double loss, double L_inf, double log_A, double alpha);

#endif

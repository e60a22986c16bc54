/* Nonlinear least squares from a poor start, over GSL: several trust-region methods, each finished
 * by the bounded solver of lm.h and a Gauss-Newton polish, and the best answer taken.
 *
 * GSL's methods know no bounds and are made for one number of residuals; they see the model at the
 * point of the box nearest to where they stand. Their answers are starts for lm.h, which does know
 * the bounds, so that the answer never rests on how GSL stopped.
 */
#ifndef DPH_NLLS_H
#define DPH_NLLS_H

#include <stdint.h>

#include "lm.h"
#include "status.h"

#define DPH_NLLS_STRATEGIES 8

/* Workspaces for problems of exactly n residuals and n_params parameters; one per thread. NULL when
 * memory is out or for n < n_params or n_params > DPH_LM_MAX. Free with dph_nlls_free. */
typedef struct dph_nlls dph_nlls;
dph_nlls *dph_nlls_new(int64_t n, int n_params);
void dph_nlls_free(dph_nlls *w);

typedef struct {
    double theta[DPH_LM_MAX];
    double se[DPH_LM_MAX]; /* NaN at a bound, without full rank, or without spare residuals */
    double rss;
    double offset;  /* relative offset: how far from the optimum, in standard errors */
    int strategy;   /* of the best answer, see dph_nlls_strategy_name */
    int n_agree;    /* strategies that ended at the same sum of squares */
    int32_t status; /* DPH_OK; DPH_E_RANK: a valley or plateau, no unique answer;
                       DPH_E_NO_CONVERGENCE: theta is the best point seen, and no optimum */
} dph_nlls_result;

/* Try the strategies from start[n_params], all of them unless four end at one sharp optimum. n and
 * n_params must be those of the workspace. */
void
dph_nlls_fit(const dph_lm_problem *problem, const double *start, dph_nlls *w, dph_nlls_result *out);

/* Static storage; "unknown" if there is none. */
const char *dph_nlls_strategy_name(int strategy);

#endif

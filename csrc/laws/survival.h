/* Rollouts of a steered or tuned model: when they die, and their KL, calibrated and smoothed.
 *
 * At some tokens (forks) of a rollout the probability mass of sensible answers was measured. A
 * rollout dies at the first fork whose mass is below a threshold and stays dead; generation that
 * ends before that censors it. Tokens count from 0. A fork at token s is seen by rollouts that have
 * a token s.
 */
#ifndef DPH_SURVIVAL_H
#define DPH_SURVIVAL_H

#include <stddef.h>
#include <stdint.h>

#include "../base/status.h"

/* What became of one rollout. */
typedef struct {
    int64_t n;        /* tokens it was watched for: the smaller of its row and its generation */
    int64_t n_forks;  /* measured forks among these tokens */
    int64_t time;     /* token of death, or the last token at which death would have been seen */
    double pmass_min; /* lowest mass measured at these tokens; NaN if none was */
    int32_t died;     /* 1 or 0 */
    int32_t status;   /* DPH_OK, DPH_E_* or DPH_W_* bits */
} dph_rollout;

typedef struct {
    double threshold; /* a mass below it is death */
    double slack;     /* masses from -slack to 1 + slack are taken; infinity takes all */
} dph_survival_options;

/* Rollouts i = 0 .. n - 1, in columns. */
typedef struct {
    const double *pmass;          /* mass at each fork, NaN where it was not measured */
    const int64_t *forks;         /* its token; >= 0, never decreasing within a rollout */
    const int64_t *fork_offsets;  /* int64[n + 1] into both, checked */
    const int64_t *token_offsets; /* int64[n + 1], checked: the tokens of each row */
    const int64_t *gen_lens;      /* int64[n] tokens generated, >= 0 */
} dph_survival_batch;

/* Watch rollouts [begin, end).
 *
 * mask   uint8[token_offsets[n]]: 1 alive, 0 dead; tokens after the end of generation are 1; a
 *        failed row is 0 throughout. NULL if not wanted.
 * out    dph_rollout[n]
 *
 * Per rollout: DPH_E_FORKS_ORDER, DPH_E_PMASS_RANGE; DPH_E_EMPTY_ROLLOUT (its mask is 1: nothing
 * died). A failed one has time -1 and NaN pmass_min. Otherwise warning bits NEVER_MEASURED (time
 * is -1 then), TAIL_NOT_MEASURED (the last forks of a rollout that lives are NaN: time ends before
 * the first of them), LENGTHS_DIFFER (row and generation).
 */
void dph_survival_watch(const dph_survival_batch *batch, int64_t begin, int64_t end,
                        const dph_survival_options *options, uint8_t *mask, dph_rollout *out);

/* Doubles of scratch for a rolling mean of rows of up to n_largest values. */
size_t dph_rolling_scratch(int64_t n_largest, int64_t window);

/* Mean of x, double[n], over a window of `window` values that slides along it; before the first and
 * after the last value stand copies of them. Centred; of an even window the larger half lies
 * before. A row shorter than its window, and a window of less than 2, give the row itself.
 *
 * Window sums are made of running sums that begin anew with every block of `window` values and are
 * only ever added up (a suffix of one block, a prefix of the next): nothing cancels, and a NaN is
 * felt by the windows that hold it and by no other. O(n).
 *
 * x and out may be the same.
 */
void dph_rolling_mean(const double *x, int64_t n, int64_t window, double *scratch, double *out);

enum { DPH_CALIBRATE_FIRST = 0, DPH_SMOOTH_FIRST = 1 };

typedef struct {
    int64_t window;   /* of the rolling mean; 1 leaves the row as it is */
    int64_t head;     /* first tokens that make the scale, >= 1 */
    double q;         /* the scale is this quantile of them, in [0, 1] */
    double scale_min; /* a scale must be larger */
    int order;        /* DPH_CALIBRATE_FIRST: scale from raw values; _SMOOTH_FIRST: smoothed */
    int normalise;    /* divide by the scale; 0 only measures it */
} dph_calibration_options;

typedef struct {
    int64_t n;        /* tokens */
    int64_t n_head;   /* finite values the scale rests on */
    double scale;     /* NaN if there is none */
    int32_t status;   /* DPH_OK, DPH_E_* or DPH_W_* bits */
    int32_t reserved; /* 0 */
} dph_calibration;

/* Doubles of scratch for rows of up to n_largest tokens. */
size_t dph_calibration_scratch(int64_t n_largest, const dph_calibration_options *options);

/* Smooth and divide rows [begin, end) of kl, double[offsets[n]] with offsets int64[n + 1].
 *
 * values   double[offsets[n]]; NaN throughout a failed row
 *
 * Per row: DPH_E_EMPTY_ROLLOUT; DPH_E_NO_SCALE (normalise only: no finite head, or a quantile that
 * is not above scale_min). Otherwise warning bits NOT_SMOOTHED (shorter than the window),
 * KL_MISSING (a value is not finite).
 */
void dph_kl_calibrate(const double *kl, const int64_t *offsets, int64_t begin, int64_t end,
                      const dph_calibration_options *options, double *scratch, double *values,
                      dph_calibration *out);

/* Rows in groups, and for each group as many tokens as its longest row has. */
typedef struct {
    const double *values;         /* double[offsets[n_rows]] */
    const int64_t *offsets;       /* int64[n_rows + 1], checked */
    const int64_t *groups;        /* int64[n_groups + 1], offsets into rows, checked */
    const int64_t *group_offsets; /* int64[n_groups + 1], offsets into the results */
    int64_t n_groups;
} dph_quantile_batch;

/* Doubles of scratch for groups of up to n_largest rows. */
size_t dph_kl_quantiles_scratch(int64_t n_largest);

/* Quantiles over the rows of a group at each token; cells [begin, end) of all results.
 *
 * q       double[n_q] in [0, 1], never decreasing
 * out     double[n_cells][n_q] with n_cells = group_offsets[n_groups]; NaN where no row has a value
 * count   int64[n_cells]: rows with a value that is not NaN
 */
void dph_kl_quantiles(const dph_quantile_batch *batch, int64_t begin, int64_t end, const double *q,
                      int64_t n_q, double *scratch, double *out, int64_t *count);

#endif

/* Bootstrap of the power law: resample, refit, forecast, for many replicates.
 *
 * Random numbers are the caller's: kernels take indices or multipliers, one row a replicate, and do
 * the arithmetic. A replicate depends on its own row alone, so any split into ranges, chunks or
 * threads gives the same bits.
 *
 * The law is refitted as dph_powerlaw_fit does it. Where the log score is searched on a grid,
 * resampled pairs ask for the same logarithms again and again: ln(loss_i - L_k) depends on the
 * point and on the lowest loss drawn, and there are at most n of those. dph_bootstrap_prepare
 * writes them into a table once, which all threads read.
 */
#ifndef DPH_BOOTSTRAP_H
#define DPH_BOOTSTRAP_H

#include <stddef.h>
#include <stdint.h>

#include "parabola.h"
#include "powerlaw.h"

enum { DPH_BOOTSTRAP_PAIRS = 0, DPH_BOOTSTRAP_RESIDUAL = 1, DPH_BOOTSTRAP_WILD = 2 };

/* What every replicate is refitted with and asked for. */
typedef struct {
    const double *at;         /* [n_targets] compute to forecast at, > 0 */
    int64_t n_targets;        /* may be 0 */
    double floor;             /* pinned L_inf, NaN where it is free */
    dph_powerlaw_options law; /* how the law is fitted; its `stopped` ends the kernel early */
} dph_bootstrap_task;

/* One suite. The rows of a replicate b start at b * n, b counted from 0 whatever the range. */
typedef struct {
    const double *compute;     /* [n] > 0, any unit */
    const double *loss;        /* [n] losses to draw from (pairs), or fitted losses */
    const double *residuals;   /* [n] residual, wild: what is added to them; else NULL */
    int64_t n;                 /* points */
    int kind;                  /* DPH_BOOTSTRAP_* */
    const int64_t *indices;    /* [n_boot][n] pairs, residual: in [0, n), checked; else NULL */
    const double *multipliers; /* [n_boot][n] wild; else NULL */
    const double *table;       /* from dph_bootstrap_prepare, or NULL */
} dph_bootstrap_suite;

/* One suite with the runs its optima come from, in buckets (see base/groups.h). */
typedef struct {
    const double *tokens;    /* [n_runs] raw counts, > 0 */
    const double *loss;      /* [n_runs] losses of the runs, or fitted losses */
    const double *residuals; /* [n_runs] drawn within the bucket and added; NULL draws the runs */
    const int64_t *offsets;  /* [n_buckets + 1], checked */
    int64_t n_buckets;
    const double *compute;         /* [n_buckets] > 0 */
    const int64_t *indices;        /* [n_boot][n_runs], each in [0, runs of its bucket), checked */
    int32_t unusable;              /* DPH_W_* bits with which a vertex is no optimum */
    dph_parabola_options parabola; /* joint is taken as 0 */
} dph_bootstrap_ladder;

/* Where replicates go; b counted as above. */
typedef struct {
    double *forecasts; /* [n_boot][n_targets]; NaN where there is no law */
    double *laws;      /* [n_boot][3] L_inf, log_A, alpha, NaN likewise; may be NULL */
    int32_t *status;   /* [n_boot] that of the refitted law; DPH_E_TOO_FEW_POINTS where fewer than
                          three distinct computes were drawn or left, and no law was tried */
} dph_bootstrap_out;

/* The first value of indices[n_boot][n_runs] outside its bucket, or -1. One bucket of n points is
 * offsets {0, n}.
 */
int64_t dph_bootstrap_check(const int64_t *indices, int64_t n_boot, const int64_t *offsets,
                            int64_t n_buckets);

/* Doubles the table takes; 0 where none applies: kind, score, search, a pinned floor, values that
 * no law accepts, or too many points. */
size_t dph_bootstrap_table(const dph_bootstrap_suite *suite, const dph_bootstrap_task *task);

/* Fill table[dph_bootstrap_table()], when that is not 0. */
void dph_bootstrap_prepare(const dph_bootstrap_suite *suite, const dph_bootstrap_task *task,
                           double *table);

/* Doubles of scratch, one per thread. */
size_t
dph_bootstrap_suite_scratch(const dph_bootstrap_suite *suite, const dph_bootstrap_task *task);
size_t
dph_bootstrap_ladder_scratch(const dph_bootstrap_ladder *ladder, const dph_bootstrap_task *task);

/* Replicates [begin, end) of one suite: points drawn with replacement (pairs), fitted losses plus
 * drawn residuals (residual), or plus residuals times multipliers (wild). Residuals come centred
 * and scaled.
 *
 * scratch    double[dph_bootstrap_suite_scratch()], one per thread
 * minimiser  one per thread
 */
void dph_bootstrap_suite_fit(const dph_bootstrap_suite *suite, int64_t begin, int64_t end,
                             const dph_bootstrap_task *task, double *scratch,
                             dph_minimiser *minimiser, const dph_bootstrap_out *out);

/* Replicates [begin, end) of one ladder: runs or residuals drawn within each bucket, parabolas
 * refitted, the law fitted through the optima that are left.
 *
 * scratch    double[dph_bootstrap_ladder_scratch()], one per thread
 * minimiser  one per thread
 */
void dph_bootstrap_ladder_fit(const dph_bootstrap_ladder *ladder, int64_t begin, int64_t end,
                              const dph_bootstrap_task *task, double *scratch,
                              dph_minimiser *minimiser, const dph_bootstrap_out *out);

#endif

#include "survival.h"

#include <math.h>
#include <string.h>

#include "../base/quantile.h"

#define TOKENS 16 /* tokens gathered in one walk over the rows of a group */

/* What there is to say about the forks of one rollout, and its time of death or censoring. */
static void
watch_forks(const double *pmass, const int64_t *forks, int64_t n_forks,
            const dph_survival_options *options, dph_rollout *out)
{
    int64_t unmeasured = -1; /* first fork of a run of NaN that goes on */

    out->time = out->n - 1;
    for (int64_t k = 0; k < n_forks; k++) {
        if (forks[k] < 0 || (k > 0 && forks[k] < forks[k - 1])) {
            out->status = DPH_E_FORKS_ORDER;
            return;
        }
        if (!isnan(pmass[k]) && !(pmass[k] >= -options->slack && pmass[k] <= 1 + options->slack)) {
            out->status = DPH_E_PMASS_RANGE;
            return;
        }
        if (forks[k] >= out->n || out->died) {
            continue;
        }
        if (isnan(pmass[k])) {
            unmeasured = unmeasured < 0 ? forks[k] : unmeasured;
            continue;
        }
        unmeasured = -1;
        out->n_forks++;
        out->pmass_min = fmin(out->pmass_min, pmass[k]);
        if (pmass[k] < options->threshold) {
            out->died = 1;
            out->time = forks[k];
        }
    }
    if (out->n_forks == 0) {
        out->time = -1;
        out->status |= DPH_W_NEVER_MEASURED;
    } else if (unmeasured >= 0) {
        out->time = unmeasured - 1;
        out->status |= DPH_W_TAIL_NOT_MEASURED;
    }
}

void
dph_survival_watch(const dph_survival_batch *batch, int64_t begin, int64_t end,
                   const dph_survival_options *options, uint8_t *mask, dph_rollout *out)
{
    for (int64_t i = begin; i < end; i++) {
        int64_t from = batch->fork_offsets[i];
        int64_t n_row = batch->token_offsets[i + 1] - batch->token_offsets[i];
        int64_t gen_len = batch->gen_lens[i];
        dph_rollout *r = &out[i];

        *r = (dph_rollout){.n = gen_len < n_row ? gen_len : n_row, .pmass_min = NAN};
        r->status = gen_len != n_row ? DPH_W_LENGTHS_DIFFER : DPH_OK;
        watch_forks(batch->pmass + from, batch->forks + from, batch->fork_offsets[i + 1] - from,
                    options, r);
        if (mask != NULL) {
            uint8_t *row = mask + batch->token_offsets[i];

            memset(row, r->status >= 0, (size_t)n_row);
            if (r->status >= 0 && r->died) {
                memset(row + r->time, 0, (size_t)(r->n - r->time));
            }
        }
        if (r->status >= 0 && r->n == 0) {
            r->status = DPH_E_EMPTY_ROLLOUT;
        }
        if (r->status < 0) {
            *r = (dph_rollout){.n = r->n, .time = -1, .pmass_min = NAN, .status = r->status};
        }
    }
}

size_t
dph_rolling_scratch(int64_t n_largest, int64_t window)
{
    /* a row in whole blocks and two blocks of sums; shorter rows are not smoothed */
    return window > 1 && window <= n_largest ? (size_t)n_largest + 4 * (size_t)window : 0;
}

/* Sums of the first n_out windows that end in a block: the suffix of the block before plus the
 * prefix of this one, whose own suffix sums go to next. Two chains of additions side by side, each
 * taking four values at a time: the sums of the four do not wait for the chain. */
static void
add_block(const double *block, int64_t window, int64_t n_out, const double *suffix, double *next,
          double *out)
{
    double prefix = 0;
    double sum = 0;
    int64_t r = 0;

    for (; r + 4 <= n_out; r += 4) {
        const double *x = block + r;
        const double *y = block + window - 4 - r;
        double *z = next + window - 4 - r;
        double x01 = x[0] + x[1];
        double y32 = y[3] + y[2];

        out[r] = suffix[r] + prefix;
        out[r + 1] = suffix[r + 1] + (prefix + x[0]);
        out[r + 2] = suffix[r + 2] + (prefix + x01);
        out[r + 3] = suffix[r + 3] + (prefix + (x01 + x[2]));
        prefix += x01 + (x[2] + x[3]);
        z[3] = sum + y[3];
        z[2] = sum + y32;
        z[1] = sum + (y32 + y[1]);
        sum += y32 + (y[1] + y[0]);
        z[0] = sum;
    }
    for (; r < n_out; r++) {
        out[r] = suffix[r] + prefix;
        prefix += block[r];
        sum += block[window - 1 - r];
        next[window - 1 - r] = sum;
    }
}

void
dph_rolling_mean(const double *x, int64_t n, int64_t window, double *scratch, double *out)
{
    int64_t before = window / 2;
    int64_t n_blocks = 0;
    int64_t length = 0;
    double *suffix = scratch;
    double *next = NULL;
    double *padded = NULL;
    double sum = 0;

    if (window < 2 || n < window) {
        if (out != x && n > 0) {
            memcpy(out, x, (size_t)n * sizeof *x);
        }
        return;
    }
    n_blocks = n / window + (n % window != 0);
    length = (n_blocks + 1) * window;
    next = suffix + window;
    padded = next + window;
    for (int64_t i = 0; i < before; i++) {
        padded[i] = x[0];
    }
    memcpy(padded + before, x, (size_t)n * sizeof *x);
    for (int64_t i = before + n; i < length; i++) {
        padded[i] = x[n - 1];
    }
    for (int64_t r = window - 1; r >= 0; r--) {
        sum += padded[r];
        suffix[r] = sum;
    }
    for (int64_t b = 0; b < n_blocks; b++) {
        const double *block = padded + (b + 1) * window;
        int64_t n_left = n - b * window;
        int64_t n_out = n_left < window ? n_left : window;
        double *kept = suffix;

        add_block(block, window, n_out, suffix, next, out + b * window);
        suffix = next;
        next = kept;
    }
    for (int64_t i = 0; i < n; i++) {
        out[i] /= (double)window;
    }
}

size_t
dph_calibration_scratch(int64_t n_largest, const dph_calibration_options *options)
{
    int64_t head = options->head < n_largest ? options->head : n_largest;

    return dph_rolling_scratch(n_largest, options->window) + (size_t)head;
}

/* The scale of a row from its head; NaN if that has no finite value. */
static double
head_scale(const double *values, int64_t n, const dph_calibration_options *options, double *work,
           int64_t *n_head)
{
    int64_t head = options->head < n ? options->head : n;
    double scale = NAN;

    *n_head = 0;
    for (int64_t t = 0; t < head; t++) {
        if (isfinite(values[t])) {
            work[(*n_head)++] = values[t];
        }
    }
    dph_quantiles(work, *n_head, &options->q, 1, &scale);
    return scale;
}

static void
calibrate_row(const double *kl, int64_t n, const dph_calibration_options *options, double *scratch,
              double *values, dph_calibration *out)
{
    *out = (dph_calibration){.n = n, .scale = NAN};
    if (n == 0) {
        out->status = DPH_E_EMPTY_ROLLOUT;
        return;
    }
    if (options->order == DPH_CALIBRATE_FIRST) {
        out->scale = head_scale(kl, n, options, scratch, &out->n_head);
    }
    for (int64_t t = 0; t < n; t++) {
        if (!isfinite(kl[t])) {
            out->status |= DPH_W_KL_MISSING;
        }
    }
    if (options->window > n) {
        out->status |= DPH_W_NOT_SMOOTHED;
    }
    dph_rolling_mean(kl, n, options->window, scratch, values);
    if (options->order == DPH_SMOOTH_FIRST) {
        out->scale = head_scale(values, n, options, scratch, &out->n_head);
    }
    if (!options->normalise) {
        return;
    }
    if (!(out->scale > options->scale_min)) {
        out->status = DPH_E_NO_SCALE;
        out->scale = NAN;
    }
    for (int64_t t = 0; t < n; t++) {
        values[t] /= out->scale;
    }
}

void
dph_kl_calibrate(const double *kl, const int64_t *offsets, int64_t begin, int64_t end,
                 const dph_calibration_options *options, double *scratch, double *values,
                 dph_calibration *out)
{
    for (int64_t i = begin; i < end; i++) {
        int64_t at = offsets[i];

        calibrate_row(kl + at, offsets[i + 1] - at, options, scratch, values + at, &out[i]);
    }
}

size_t
dph_kl_quantiles_scratch(int64_t n_largest)
{
    return TOKENS * (size_t)n_largest;
}

/* The group that cell c belongs to: the last that begins at or before it and is not empty. */
static int64_t
group_of(const dph_quantile_batch *batch, int64_t c)
{
    int64_t lo = 0;
    int64_t hi = batch->n_groups;

    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;

        if (batch->group_offsets[mid] <= c) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    return lo;
}

void
dph_kl_quantiles(const dph_quantile_batch *batch, int64_t begin, int64_t end, const double *q,
                 int64_t n_q, double *scratch, double *out, int64_t *count)
{
    for (int64_t c = begin; c < end;) {
        int64_t g = group_of(batch, c);
        int64_t first = batch->groups[g];
        int64_t n_rows = batch->groups[g + 1] - first;
        int64_t token = c - batch->group_offsets[g];
        int64_t last = batch->group_offsets[g + 1] < end ? batch->group_offsets[g + 1] : end;
        int64_t n_tokens = last - c < TOKENS ? last - c : TOKENS;

        memset(count + c, 0, (size_t)n_tokens * sizeof *count);
        for (int64_t i = first; i < first + n_rows; i++) {
            int64_t n_left = batch->offsets[i + 1] - batch->offsets[i] - token;
            const double *row = NULL;

            if (n_left <= 0) {
                continue;
            }
            row = batch->values + batch->offsets[i] + token;
            for (int64_t k = 0; k < n_tokens && k < n_left; k++) {
                if (!isnan(row[k])) {
                    scratch[k * n_rows + count[c + k]++] = row[k];
                }
            }
        }
        for (int64_t k = 0; k < n_tokens; k++) {
            dph_quantiles(scratch + k * n_rows, count[c + k], q, n_q, out + (c + k) * n_q);
        }
        c += n_tokens;
    }
}

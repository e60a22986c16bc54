#include "l1band.h"

#include <math.h>

#include "../base/lanes.h"
#include "../base/order.h"
#include "l1loops.h"

#define K DPH_L1STEP_MAX
#define SAMPLE 1024 /* residuals that the width of the band is read from */
#define SHARE 16    /* one point in so many is in the first band */
#define BAND_LEAST 2048
#define ROUNDS_MAX 24
#define GLOBS 2
#define GAP 1e-13 /* of the sum: rounding */

/* The points within a band about zero and the sums of the others, as a problem for dph_l1step. */
typedef struct {
    double *r;
    double *J[K];
    double *scratch;
    int64_t room; /* points there is space for */
    int64_t n;
} reduced;

/* The width of a band that holds about `want` of the n residuals. */
static double
width_of(const double *r, int64_t n, int64_t want)
{
    double sample[SAMPLE];
    int64_t step = n / SAMPLE > 0 ? n / SAMPLE : 1;
    int64_t count = n / step < SAMPLE ? n / step : SAMPLE;

    for (int64_t i = 0; i < count; i++) {
        sample[i] = fabs(r[i * step]);
    }
    return dph_select(sample, count, (int64_t)((double)want / (double)n * (double)(count - 1)));
}

/* Fill `small` from residuals r; 0 if more points are in the band than there is room for. */
static int
gather(const dph_l1problem *problem, const double *r, double width, reduced *small)
{
    double sums[GLOBS][K + 1] = {{0}};
    int k = problem->n_parameters;
    int64_t n = 0;

    for (int64_t i = 0; i < problem->n; i++) {
        if (fabs(r[i]) > width) {
            double *sum = sums[r[i] > 0];

            for (int j = 0; j < k; j++) {
                sum[j] += problem->J[j][i];
            }
            sum[K] += r[i];
            continue;
        }
        if (n == small->room) {
            return 0;
        }
        for (int j = 0; j < k; j++) {
            small->J[j][n] = problem->J[j][i];
        }
        small->r[n++] = r[i];
    }
    for (int g = 0; g < GLOBS; g++, n++) {
        for (int j = 0; j < k; j++) {
            small->J[j][n] = sums[g][j];
        }
        small->r[n] = sums[g][K];
    }
    small->n = n;
    return 1;
}

/* Fill `small` with about `want` points evenly chosen: their step leads near that of all. */
static void
sample_rows(const dph_l1problem *problem, const double *r, int64_t want, reduced *small)
{
    int64_t step = (problem->n + want - 1) / want;

    small->n = 0;
    for (int64_t i = 0; i < problem->n; i += step, small->n++) {
        for (int j = 0; j < problem->n_parameters; j++) {
            small->J[j][small->n] = problem->J[j][i];
        }
        small->r[small->n] = r[i];
    }
}

static reduced
lay_out(double *room, int64_t size, int k)
{
    int64_t length = size / (1 + K + DPH_L1STEP_COLUMNS) / DPH_LANES * DPH_LANES;
    reduced small = {.room = length - GLOBS};

    small.r = room;
    for (int j = 0; j < K; j++) {
        small.J[j] = room + (1 + (j < k ? j : 0)) * length;
    }
    small.scratch = room + (1 + K) * length;
    return small;
}

/* The residuals at d and their sum: whole lanes where they are, the rest in a padded copy. */
static double
look(const dph_l1problem *problem, const double *d, double *r)
{
    int k = problem->n_parameters;
    int64_t rest = problem->n % DPH_LANES;
    int64_t whole = problem->n - rest;
    double rows[K + 2][DPH_LANES];
    const double *J[K] = {rows[0], rows[1], rows[2], rows[3]};
    double unused[K];
    int64_t zeros = 0;
    double sum = dph_l1loops_look(problem->r, problem->J, k, d, whole, r, unused, &zeros);

    for (int j = 0; j < k; j++) {
        (void)dph_l1loops_take(problem->J[j] + whole, rest, rows[j]);
    }
    if (rest > 0) {
        (void)dph_l1loops_take(problem->r + whole, rest, rows[K]);
        sum += dph_l1loops_look(rows[K], J, k, d, DPH_LANES, rows[K + 1], unused, &zeros);
    }
    for (int64_t i = 0; i < rest; i++) {
        r[whole + i] = rows[K + 1][i];
    }
    return sum;
}

double
dph_l1band_step(const dph_l1problem *given, double *scratch, double *d, double *gap)
{
    int64_t n = given->n;
    int k = given->n_parameters;
    double *r = scratch;
    reduced small = lay_out(scratch + n, (DPH_L1STEP_COLUMNS - 1) * n, k);
    int64_t want = n / SHARE > BAND_LEAST ? n / SHARE : BAND_LEAST;
    double at[K] = {0};
    double here = look(given, at, r);

    *gap = here;
    for (int round = 0; round < ROUNDS_MAX && !dph_l1step_stopped(given); round++) {
        dph_l1problem inner = {.r = small.r, .n_parameters = k, .stopped = given->stopped};
        dph_l1vertex vertex = {0};
        double step[K] = {0};
        double next[K] = {0};
        double bound = 0;
        double there = 0;

        if (round == 0) {
            sample_rows(given, r, want, &small);
        } else if (want > small.room || !gather(given, r, width_of(r, n, want), &small)) {
            break;
        }
        inner.n = small.n;
        for (int j = 0; j < k; j++) {
            inner.J[j] = small.J[j];
            inner.low[j] = fmin(given->low[j] - at[j], 0);
            inner.high[j] = fmax(given->high[j] - at[j], 0);
        }
        bound = dph_l1step(&inner, small.scratch, &vertex, step);
        for (int j = 0; j < k; j++) {
            next[j] = fmin(fmax(at[j] + step[j], given->low[j]), given->high[j]);
        }
        there = look(given, next, r);
        if (there < here) {
            here = there;
            for (int j = 0; j < k; j++) {
                at[j] = next[j];
            }
        } else {
            (void)look(given, at, r);
            want *= round > 0 ? 2 : 1;
        }
        /* joining rows lowers the sum or leaves it: nothing lies below the small problem's least,
         * if its walk came to an end */
        if (round > 0 && vertex.ended && here - bound < *gap) {
            *gap = fmax(here - bound, 0);
        }
        if (*gap <= GAP * here) {
            break;
        }
    }
    for (int j = 0; j < k; j++) {
        d[j] = at[j];
    }
    return here;
}

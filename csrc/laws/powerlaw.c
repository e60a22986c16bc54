#include "powerlaw.h"

#include <math.h>

#include "../base/column.h"
#include "floorfit.h"
#include "identify.h"

#define FLOOR_SCAN 48
#define FLOOR_DECADES 9.0
#define GRID_TOP 0.95
#define LOSS_MIN 1e-300 /* below it the vectorised logarithm would meet subnormal numbers */

/* A suite with the record it fills and the last inner fit made for it. */
typedef struct {
    dph_suite data;
    dph_floorfit fit;
    dph_powerlaw *out;
    int distinct;
} member;

/* The suites of one set that take part in its fit. */
typedef struct {
    member *members;
    int64_t n_members;
    int64_t n_points;
    double loss_min;
    const dph_powerlaw_options *options;
    dph_minimiser *minimiser;
    double *block;
    int code; /* of the inner fits since it was last cleared */
} set;

static size_t
members_in_doubles(int64_t n_suites)
{
    return ((size_t)n_suites * sizeof(member) + sizeof(double) - 1) / sizeof(double);
}

static int
needs_block(const dph_powerlaw_options *options)
{
    return options->score == DPH_SCORE_LOG && options->search == DPH_SEARCH_GRID;
}

size_t
dph_powerlaw_scratch(int64_t n_points, int64_t n_suites, int64_t n_largest,
                     const dph_powerlaw_options *options)
{
    size_t block = needs_block(options) ? (size_t)n_largest * DPH_FLOOR_BLOCK : 0;

    return members_in_doubles(n_suites) + 2 * (size_t)n_points + block;
}

double
dph_powerlaw_loss(double compute, double L_inf, double log_A, double alpha)
{
    return L_inf + exp(log_A - alpha * log(compute));
}

double
dph_powerlaw_compute(double loss, double L_inf, double log_A, double alpha)
{
    return isgreater(loss, L_inf) ? exp((log_A - log(loss - L_inf)) / alpha) : NAN;
}

static void
no_law(dph_powerlaw *out, int64_t n, int32_t status)
{
    *out = (dph_powerlaw){.n = n,
                          .L_inf = NAN,
                          .A = NAN,
                          .alpha = NAN,
                          .log_A = NAN,
                          .rss = NAN,
                          .score = NAN,
                          .grid_index = -1,
                          .status = status};
}

/* The log of the ratio, not a difference of logs: near ln C = 45 that would cost two digits. */
static double
log_ratio(double a, double b)
{
    double ratio = a / b;

    return isfinite(ratio) ? log(ratio) : log(a) - log(b);
}

/* Fill one member from its columns; the status says whether it can take part. */
static int32_t
prepare(member *m, const double *compute, const double *loss, int64_t n, double *s, double *work,
        double floor, const dph_powerlaw_options *options)
{
    int pinned = !isnan(floor);
    int judged_by_alpha = 0;
    int least = pinned || options->search == DPH_SEARCH_GRID ? 2 : 3;
    dph_column c = dph_column_summary(compute, n);
    dph_column y = dph_column_summary(loss, n);
    double sum = 0;
    double s_mean = 0;
    double sss = 0;
    double ssy = 0;

    m->distinct = c.distinct;
    if (n == 0) {
        return DPH_E_TOO_FEW_POINTS;
    }
    if (!c.finite || !y.finite || !(c.min > 0) || (!pinned && !(y.min >= LOSS_MIN)) ||
        isinf(floor)) {
        return DPH_E_BAD_VALUE;
    }
    if (n > 1 && c.distinct == 1) {
        return DPH_E_EQUAL_X;
    }
    if (c.distinct < least) {
        return DPH_E_TOO_FEW_POINTS;
    }
    if (y.distinct == 1) {
        return DPH_E_CONSTANT_LOSS;
    }
    if (pinned && !(floor < y.min)) {
        return DPH_E_FLOOR_TOO_HIGH;
    }
    m->data = (dph_suite){.s = s,
                          .loss = loss,
                          .n = n,
                          .log_c_min = log(c.min),
                          .loss_min = y.min,
                          .loss_max = y.max,
                          .work = work};
    m->data.span = log_ratio(c.max, c.min);
    if (!(m->data.span > 0)) {
        return DPH_E_EQUAL_X;
    }
    for (int64_t i = 0; i < n; i++) {
        s[i] = log_ratio(compute[i], c.min) / m->data.span;
        s_mean += s[i];
        sum += loss[i];
    }
    s_mean /= (double)n;
    m->data.loss_mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        sss += (s[i] - s_mean) * (s[i] - s_mean);
        ssy += (s[i] - s_mean) * (loss[i] - m->data.loss_mean);
    }
    m->data.linear_slope = ssy / sss;
    /* A law that falls has a falling straight line. Where one floor at a time is judged in log
     * space (the grid, a pinned floor) its alpha decides instead. */
    judged_by_alpha =
        options->score == DPH_SCORE_LOG && (pinned || options->search == DPH_SEARCH_GRID);
    if (!(m->data.linear_slope < 0) && !judged_by_alpha) {
        return DPH_E_NOT_DECREASING;
    }
    return DPH_OK;
}

static int
stopped(const set *group)
{
    return group->options->stopped != NULL && atomic_load(group->options->stopped);
}

static double
weight(const set *group, const member *m)
{
    return group->options->weigh_suites ? 1.0 / (double)m->data.n : 1.0 / (double)group->n_points;
}

/* Total score of the set at one floor; leaves each member's inner fit behind. */
static double
floor_objective(double L, void *ctx, double *slope)
{
    set *group = ctx;
    double total = 0;

    *slope = 0;
    for (int64_t q = 0; q < group->n_members; q++) {
        member *m = &group->members[q];

        if (stopped(group)) {
            group->code = DPH_E_CANCELLED;
            *slope = NAN;
            return NAN;
        }
        if (group->options->score == DPH_SCORE_LOG) {
            dph_floorfit_log(&m->data, L, &m->fit);
        } else {
            int code = dph_floorfit_loss(&m->data, L, L, group->minimiser, &m->fit);
            if (code != DPH_OK) {
                group->code = code;
                *slope = NAN;
                return NAN;
            }
        }
        total += weight(group, m) * m->fit.objective;
        *slope += weight(group, m) * m->fit.slope;
    }
    return total;
}

static void
finish_member(const set *group, member *m, int32_t status, int64_t grid_index, int n_floors)
{
    dph_powerlaw *out = m->out;
    double alpha = m->fit.u / m->data.span;
    double rss = 0;
    int64_t spare = 0; /* distinct points beyond the two coefficients of each suite */

    if (!(alpha > 0) || !isfinite(alpha)) {
        no_law(out, m->data.n, DPH_E_NOT_DECREASING);
        return;
    }
    for (int64_t q = 0; q < group->n_members; q++) {
        spare += group->members[q].distinct - 2;
    }
    for (int64_t i = 0; i < m->data.n; i++) {
        double model = m->fit.L + exp(m->fit.log_B - m->fit.u * m->data.s[i]);
        rss += (m->data.loss[i] - model) * (m->data.loss[i] - model);
    }
    *out = (dph_powerlaw){.n = m->data.n,
                          .L_inf = m->fit.L,
                          .alpha = alpha,
                          .log_A = m->fit.log_B + alpha * m->data.log_c_min,
                          .rss = rss,
                          .score = m->fit.objective / (double)m->data.n,
                          .grid_index = grid_index,
                          .status = status};
    out->A = exp(out->log_A);
    if (m->fit.edge != 0) {
        out->status |= DPH_W_ALPHA_AT_BOUND;
    }
    if (spare <= n_floors) {
        out->status |= DPH_W_SATURATED;
    }
    if (!isfinite(rss) || !isfinite(out->score)) {
        no_law(out, m->data.n, DPH_E_BAD_VALUE);
    }
}

static void
finish_set(set *group, int32_t status, int64_t grid_index, int n_floors)
{
    for (int64_t q = 0; q < group->n_members; q++) {
        finish_member(group, &group->members[q], status, grid_index, n_floors);
    }
}

static void
fail_set(set *group, int32_t status)
{
    for (int64_t q = 0; q < group->n_members; q++) {
        no_law(group->members[q].out, group->members[q].data.n, status);
    }
}

static int32_t
floor_flags(double L, double L_hi)
{
    return (L <= 0 ? DPH_W_FLOOR_AT_ZERO : 0) | (L >= L_hi ? DPH_W_FLOOR_AT_MIN : 0);
}

static void
fit_pinned(set *group, double floor)
{
    for (int64_t q = 0; q < group->n_members; q++) {
        set one = *group;
        double slope = 0;

        one.members = &group->members[q];
        one.n_members = 1;
        one.code = DPH_OK;
        if (isnan(floor_objective(floor, &one, &slope))) {
            fail_set(&one, one.code != DPH_OK ? one.code : DPH_E_NO_CONVERGENCE);
        } else {
            finish_set(&one, DPH_OK, -1, 0);
        }
    }
}

/* Continuous search of the floor. A single suite in loss space needs no outer search: L is linear
 * there. */
static void
fit_profile(set *group)
{
    double L_hi = nextafter(group->loss_min, 0);
    double grid[FLOOR_SCAN];
    double slope = 0;
    double at_zero = 0;
    int32_t flags = 0;
    dph_minimum best = {0};
    int code = DPH_OK;

    if (group->n_members == 1 && group->options->score == DPH_SCORE_LOSS) {
        member *m = &group->members[0];

        code = dph_floorfit_loss(&m->data, 0, L_hi, group->minimiser, &m->fit);
        if (code != DPH_OK) {
            fail_set(group, code);
        } else {
            int32_t status = floor_flags(m->fit.L, L_hi);

            if (group->options->diagnose) {
                status |= dph_identify(&m->data, &m->fit, group->minimiser);
            }
            finish_set(group, status, -1, 1);
        }
        return;
    }
    /* Evenly spaced in ln(loss_min - L): near the lowest loss the profile moves fast. */
    for (int i = 0; i < FLOOR_SCAN; i++) {
        double below = pow(10, -FLOOR_DECADES * i / (FLOOR_SCAN - 2));
        grid[i] = i == FLOOR_SCAN - 1 ? L_hi : group->loss_min * (1 - below);
    }
    code = dph_minimise(group->minimiser, floor_objective, group, grid, FLOOR_SCAN, &best);
    if (code == DPH_OK && group->options->diagnose && group->options->score == DPH_SCORE_LOSS) {
        at_zero = floor_objective(0, group, &slope);
        flags = dph_identify_shared(at_zero, best.value, group->n_points, group->n_members);
    }
    if (code == DPH_OK && isnan(floor_objective(best.x, group, &slope))) {
        code = DPH_E_NO_CONVERGENCE;
    }
    if (code != DPH_OK) {
        fail_set(group, group->code != DPH_OK ? group->code : code);
        return;
    }
    finish_set(group, flags | floor_flags(best.x, L_hi), -1, 1);
}

/* Scores of one block of floors, summed over the members; inf where some member has no falling law.
 */
static void
score_block(set *group, const double *floors, int n_floors, double *total)
{
    double mse[DPH_FLOOR_BLOCK];
    double u[DPH_FLOOR_BLOCK];

    for (int k = 0; k < n_floors; k++) {
        total[k] = 0;
    }
    for (int64_t q = 0; q < group->n_members; q++) {
        member *m = &group->members[q];
        double share = weight(group, m) * (double)m->data.n;

        if (group->options->score == DPH_SCORE_LOG) {
            dph_floorfit_log_many(&m->data, floors, n_floors, group->block, mse, u);
        } else {
            for (int k = 0; k < n_floors; k++) {
                int code = m->data.linear_slope < 0
                               ? dph_floorfit_loss(&m->data, floors[k], floors[k], group->minimiser,
                                                   &m->fit)
                               : DPH_E_NOT_DECREASING;
                mse[k] = code == DPH_OK ? m->fit.objective / (double)m->data.n : INFINITY;
                u[k] = code == DPH_OK ? m->fit.u : -1;
            }
        }
        for (int k = 0; k < n_floors; k++) {
            total[k] += u[k] > 0 ? share * mse[k] : INFINITY;
        }
    }
}

/* The grid of NumPy's linspace(0, 0.95 min loss, n_grid); the first of equal scores wins. */
static void
fit_grid(set *group)
{
    int64_t n_grid = group->options->n_grid;
    double top = GRID_TOP * group->loss_min;
    double step = n_grid > 1 ? top / (double)(n_grid - 1) : 0;
    double floors[DPH_FLOOR_BLOCK];
    double total[DPH_FLOOR_BLOCK];
    double lowest = INFINITY;
    double best = 0;
    double slope = 0;
    int64_t index = -1;

    for (int64_t first = 0; first < n_grid && !stopped(group); first += DPH_FLOOR_BLOCK) {
        int count = n_grid - first < DPH_FLOOR_BLOCK ? (int)(n_grid - first) : (int)DPH_FLOOR_BLOCK;

        for (int k = 0; k < count; k++) {
            int64_t at = first + k;
            floors[k] = at > 0 && at == n_grid - 1 ? top : (double)at * step;
        }
        score_block(group, floors, count, total);
        for (int k = 0; k < count; k++) {
            if (total[k] < lowest) {
                lowest = total[k];
                index = first + k;
                best = floors[k];
            }
        }
    }
    if (index < 0) {
        fail_set(group, DPH_E_NOT_DECREASING);
        return;
    }
    group->code = DPH_OK;
    if (isnan(floor_objective(best, group, &slope))) {
        fail_set(group, group->code != DPH_OK ? group->code : DPH_E_NO_CONVERGENCE);
        return;
    }
    finish_set(group, (index == 0 ? DPH_W_FLOOR_AT_ZERO : 0), index, 1);
}

static void
fit_set(const dph_powerlaw_batch *batch, int64_t g, const dph_powerlaw_options *options,
        double *scratch, dph_minimiser *minimiser, dph_powerlaw *out)
{
    int64_t first = batch->sets[g];
    int64_t last = batch->sets[g + 1];
    int64_t points = batch->offsets[last] - batch->offsets[first];
    double floor = batch->floors != NULL ? batch->floors[g] : NAN;
    double *s = scratch + members_in_doubles(last - first);
    double *work = s + points;
    set group = {.members = (member *)(void *)scratch,
                 .loss_min = INFINITY,
                 .options = options,
                 .minimiser = minimiser,
                 .block = work + points,
                 .code = DPH_OK};

    for (int64_t q = first; q < last; q++) {
        int64_t from = batch->offsets[q];
        int64_t n = batch->offsets[q + 1] - from;
        int64_t local = from - batch->offsets[first];
        member *m = &group.members[group.n_members];
        int32_t status = prepare(m, batch->compute + from, batch->loss + from, n, s + local,
                                 work + local, floor, options);

        no_law(&out[q], n, status);
        if (status != DPH_OK) {
            continue;
        }
        m->out = &out[q];
        group.n_members++;
        group.n_points += n;
        group.loss_min = m->data.loss_min < group.loss_min ? m->data.loss_min : group.loss_min;
    }
    if (group.n_members == 0) {
        return;
    }
    if (!isnan(floor)) {
        fit_pinned(&group, floor);
    } else if (options->search == DPH_SEARCH_GRID) {
        fit_grid(&group);
    } else {
        fit_profile(&group);
    }
}

void
dph_powerlaw_fit(const dph_powerlaw_batch *batch, int64_t begin, int64_t end,
                 const dph_powerlaw_options *options, double *scratch, dph_minimiser *minimiser,
                 dph_powerlaw *out)
{
    for (int64_t g = begin; g < end; g++) {
        fit_set(batch, g, options, scratch, minimiser, out);
    }
}

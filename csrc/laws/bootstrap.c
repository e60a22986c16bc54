#include "bootstrap.h"

#include <float.h>
#include <math.h>

#include "../base/groups.h"
#include "../base/veclog.h"

#define LEAST_DISTINCT 3
#define GRID_TOP 0.95    /* of the lowest loss, as in powerlaw.c */
#define LOSS_MIN 1e-300  /* likewise */
#define TABLE_MAX 262144 /* doubles: what stays in the second-level cache */
#define LANES 20         /* floors in one step of the scan; divides grids of 100 and 400 */

static int
stopped(const dph_bootstrap_task *task)
{
    return task->law.stopped != NULL && atomic_load(task->law.stopped);
}

int64_t
dph_bootstrap_check(const int64_t *indices, int64_t n_boot, const int64_t *offsets,
                    int64_t n_buckets)
{
    int64_t n = offsets[n_buckets];

    for (int64_t b = 0; b < n_boot; b++) {
        const int64_t *row = indices + b * n;

        for (int64_t g = 0; g < n_buckets; g++) {
            uint64_t size = (uint64_t)(offsets[g + 1] - offsets[g]);
            int bad = 0;

            for (int64_t i = offsets[g]; i < offsets[g + 1]; i++) {
                bad |= (uint64_t)row[i] >= size; /* negative ones are huge */
            }
            for (int64_t i = offsets[g]; bad && i < offsets[g + 1]; i++) {
                if ((uint64_t)row[i] >= size) {
                    return b * n + i;
                }
            }
        }
    }
    return -1;
}

/* Distinct values, counted up to one more than the law needs. */
static int
count_distinct(const double *x, int64_t n)
{
    double seen[LEAST_DISTINCT + 1];
    int distinct = 0;

    for (int64_t i = 0; i < n && distinct <= LEAST_DISTINCT; i++) {
        int known = 0;

        for (int k = 0; k < distinct; k++) {
            known |= seen[k] == x[i];
        }
        if (!known) {
            seen[distinct++] = x[i];
        }
    }
    return distinct;
}

static void
put(const dph_bootstrap_task *task, const double *log_at, int64_t b, double L_inf, double log_A,
    double alpha, int32_t status, const dph_bootstrap_out *out)
{
    double *row = out->forecasts + b * task->n_targets;

    for (int64_t t = 0; t < task->n_targets; t++) {
        row[t] = L_inf + exp(log_A - alpha * log_at[t]);
    }
    if (out->laws != NULL) {
        out->laws[3 * b] = L_inf;
        out->laws[3 * b + 1] = log_A;
        out->laws[3 * b + 2] = alpha;
    }
    out->status[b] = status;
}

/* Fit one replicate's points and write it down. */
static void
refit(const dph_bootstrap_task *task, const double *log_at, int64_t b, const double *compute,
      const double *loss, int64_t n, double *scratch, dph_minimiser *minimiser,
      const dph_bootstrap_out *out)
{
    const int64_t offsets[] = {0, n};
    const int64_t sets[] = {0, 1};
    dph_powerlaw_batch batch = {
        .compute = compute, .loss = loss, .offsets = offsets, .sets = sets, .floors = &task->floor};
    dph_powerlaw law = {.L_inf = NAN, .log_A = NAN, .alpha = NAN, .status = DPH_E_TOO_FEW_POINTS};

    if (count_distinct(compute, n) >= LEAST_DISTINCT) {
        dph_powerlaw_fit(&batch, 0, 1, &task->law, scratch, minimiser, &law);
    }
    put(task, log_at, b, law.L_inf, law.log_A, law.alpha, law.status, out);
}

static void
log_targets(const dph_bootstrap_task *task, double *log_at)
{
    for (int64_t t = 0; t < task->n_targets; t++) {
        log_at[t] = log(task->at[t]);
    }
}

/* --- the table of logarithms ----------------------------------------------------------------- */

/* Points in the order of their losses. For every lowest loss m there is a block of rows, one value
 * a floor L_k of its grid: the line through all points ln(loss_r - L_k) with r >= m, first its
 * height at x = 0, then its slope, then what each of these points lies above it. Replicates fit the
 * remainders: those are small, so that sums of squares may be subtracted from each other. */
typedef struct {
    int64_t n;
    int64_t stride;      /* n_grid, and what fills the last step of the scan */
    double log_c_min;    /* ln C_min */
    const int64_t *rank; /* [n] place of each point in the order */
    const double *x;     /* [n] ln(C / C_min) */
    const double *c;     /* [n] C */
    const double *loss;  /* [n] */
    const double *rows;  /* [first_row(n, n)][stride] */
} grid_table;

#define LINE_ROWS 2 /* before the remainders of a block */

static int64_t
first_row(int64_t n, int64_t m)
{
    return m * (n + LINE_ROWS) - m * (m - 1) / 2;
}

static int64_t
stride_of(const dph_bootstrap_task *task)
{
    return (task->law.n_grid + LANES - 1) / LANES * LANES;
}

static grid_table
read_table(const dph_bootstrap_suite *suite, const dph_bootstrap_task *task)
{
    int64_t n = suite->n;

    return (grid_table){.n = n,
                        .stride = stride_of(task),
                        .log_c_min = suite->table[0],
                        .rank = (const int64_t *)(const void *)(suite->table + 1),
                        .x = suite->table + 1 + n,
                        .c = suite->table + 1 + 2 * n,
                        .loss = suite->table + 1 + 3 * n,
                        .rows = suite->table + 1 + 4 * n};
}

size_t
dph_bootstrap_table(const dph_bootstrap_suite *suite, const dph_bootstrap_task *task)
{
    int64_t n = suite->n;
    int64_t size = 0;

    if (suite->kind != DPH_BOOTSTRAP_PAIRS || task->law.score != DPH_SCORE_LOG ||
        task->law.search != DPH_SEARCH_GRID || !isnan(task->floor) || n < LEAST_DISTINCT ||
        n > TABLE_MAX || task->law.n_grid > TABLE_MAX) {
        return 0;
    }
    if (first_row(n, n) > TABLE_MAX / stride_of(task)) {
        return 0;
    }
    size = first_row(n, n) * stride_of(task);
    for (int64_t i = 0; i < n; i++) {
        double c = suite->compute[i];
        double y = suite->loss[i];

        if (!(c >= DBL_MIN && c <= 1 / DBL_MIN && y >= LOSS_MIN && y <= DBL_MAX)) {
            return 0;
        }
    }
    return 1 + 4 * (size_t)n + (size_t)size;
}

/* Take the line through n rows out of them; line[0] receives its height at x = 0, line[1] its
 * slope. Unweighted, over any points: it only has to be near. */
static DPH_CLONES void
take_line_out(const double *x, int64_t n, int64_t stride, double *line, double *rows)
{
    double *height = line;
    double *slope = line + stride;
    double x_mean = 0;
    double sxx = 0;

    for (int64_t k = 0; k < LINE_ROWS * stride; k++) {
        line[k] = 0;
    }
    for (int64_t i = 0; i < n; i++) {
        x_mean += x[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        const double *z = rows + i * stride;
        double d = x[i] - x_mean;

        for (int64_t k = 0; k < stride; k++) {
            height[k] += z[k];
            slope[k] += d * z[k];
        }
        sxx += d * d;
    }
    for (int64_t k = 0; k < stride; k++) {
        slope[k] = sxx > 0 ? slope[k] / sxx : 0;
        height[k] = height[k] / (double)n - slope[k] * x_mean;
    }
    for (int64_t i = 0; i < n; i++) {
        double *z = rows + i * stride;

        for (int64_t k = 0; k < stride; k++) {
            z[k] -= height[k] + slope[k] * x[i];
        }
    }
}

void
dph_bootstrap_prepare(const dph_bootstrap_suite *suite, const dph_bootstrap_task *task,
                      double *table)
{
    int64_t n = suite->n;
    int64_t n_grid = task->law.n_grid;
    int64_t stride = stride_of(task);
    int64_t *rank = (int64_t *)(void *)(table + 1);
    double *x = table + 1 + n;
    double *c = x + n;
    double *loss = c + n;
    double *row = loss + n;
    double c_min = INFINITY;

    for (int64_t i = 0; i < n; i++) {
        c_min = suite->compute[i] < c_min ? suite->compute[i] : c_min;
    }
    table[0] = log(c_min);
    for (int64_t i = 0; i < n; i++) {
        double ratio = suite->compute[i] / c_min;

        rank[i] = 0;
        for (int64_t j = 0; j < n; j++) {
            rank[i] +=
                suite->loss[j] < suite->loss[i] || (suite->loss[j] == suite->loss[i] && j < i);
        }
        loss[rank[i]] = suite->loss[i];
        c[rank[i]] = suite->compute[i];
        x[rank[i]] = isfinite(ratio) ? log(ratio) : log(suite->compute[i]) - log(c_min);
    }
    for (int64_t m = 0; m < n; m++) {
        double top = GRID_TOP * loss[m];
        double step = n_grid > 1 ? top / (double)(n_grid - 1) : 0;
        double *line = row;

        row += LINE_ROWS * stride;
        for (int64_t r = m; r < n; r++, row += stride) {
            for (int64_t k = 0; k < stride; k++) {
                double floor = k > 0 && k == n_grid - 1 ? top : (double)k * step;
                row[k] = k < n_grid ? loss[r] - floor : 1;
            }
            dph_log_many(row, row, stride);
        }
        take_line_out(x + m, n - m, stride, line, line + LINE_ROWS * stride);
    }
}

/* The distinct points of one replicate. */
typedef struct {
    const double *lines; /* slopes of the lines taken out of the rows */
    const double **z;    /* [n] their rows */
    double *weight;      /* [n] times drawn */
    double *d;           /* [n] ln C about the mean */
    int64_t n;           /* distinct */
    double total;        /* drawn */
    double sxx;
} drawn;

/* The floor with the least squares, the first of equals, or -1 where no line falls; *mean and
 * *slope receive the line of the remainders. Floors are the lanes: what is below has no branch and
 * no order between them. */
static DPH_CLONES int64_t
scan_floors(const drawn *p, int64_t stride, double *mean, double *slope)
{
    double least[LANES];
    double least_mean[LANES] = {0};
    double least_slope[LANES] = {0};
    double least_first[LANES] = {0};
    double per_total = 1 / p->total;
    double per_sxx = 1 / p->sxx;
    double lowest = INFINITY;
    int64_t at = -1;

    for (int j = 0; j < LANES; j++) {
        least[j] = INFINITY;
    }
    for (int64_t first = 0; first < stride; first += LANES) {
        double m[LANES] = {0};
        double b[LANES] = {0};
        double squares[LANES] = {0};
        double block = (double)first;
        const double *taken = p->lines + first;

        for (int64_t i = 0; i < p->n; i++) {
            const double *z = p->z[i] + first;
            double w = p->weight[i];
            double d = p->d[i];

            for (int j = 0; j < LANES; j++) {
                double wz = w * z[j];
                m[j] += wz;
                b[j] += d * wz;
                squares[j] += z[j] * wz;
            }
        }
        for (int j = 0; j < LANES; j++) {
            double rss = squares[j] - m[j] * (m[j] * per_total) - b[j] * (b[j] * per_sxx);
            double score = 0;
            int better = 0;

            m[j] *= per_total; /* a division would take longer than all the rest */
            b[j] *= per_sxx;
            score = taken[j] + b[j] < 0 ? rss : INFINITY;
            better = score < least[j];

            least[j] = better ? score : least[j];
            least_mean[j] = better ? m[j] : least_mean[j];
            least_slope[j] = better ? b[j] : least_slope[j];
            least_first[j] = better ? block : least_first[j];
        }
    }
    for (int j = 0; j < LANES; j++) {
        int64_t k = (int64_t)least_first[j] + j;

        if (least[j] < lowest || (least[j] == lowest && at >= 0 && k < at)) {
            lowest = least[j];
            *mean = least_mean[j];
            *slope = least_slope[j];
            at = k;
        }
    }
    return at;
}

/* One replicate of pairs from the table; scratch double[4 n]. */
static void
look_up(const grid_table *t, const dph_bootstrap_task *task, const double *log_at, int64_t b,
        const int64_t *index, double *scratch, const dph_bootstrap_out *out)
{
    double *count = scratch;
    drawn p = {.weight = scratch + t->n,
               .d = scratch + 2 * t->n,
               .z = (const double **)(void *)(scratch + 3 * t->n),
               .total = (double)t->n};
    double x_mean = 0;
    double mean = 0;
    double slope = 0;
    double step = 0;
    double L_inf = 0;
    int64_t n_grid = task->law.n_grid;
    int64_t lowest = -1;
    int64_t highest = 0;
    int64_t k = -1;
    const double *block = NULL;
    int distinct = 0;
    int32_t status = DPH_E_TOO_FEW_POINTS;

    for (int64_t r = 0; r < t->n; r++) {
        count[r] = 0;
    }
    for (int64_t i = 0; i < t->n; i++) {
        count[t->rank[index[i]]] += 1;
    }
    for (int64_t r = 0; r < t->n; r++) {
        if (count[r] > 0) {
            lowest = lowest < 0 ? r : lowest;
            highest = r;
            block = t->rows + first_row(t->n, lowest) * t->stride;
            p.z[p.n] = block + (LINE_ROWS + r - lowest) * t->stride;
            p.weight[p.n] = count[r];
            p.d[p.n] = t->c[r];
            x_mean += count[r] * t->x[r];
            p.n++;
        }
    }
    distinct = count_distinct(p.d, p.n);
    if (distinct >= LEAST_DISTINCT) {
        x_mean /= p.total;
        for (int64_t r = lowest, i = 0; i < p.n; r++) {
            if (count[r] > 0) {
                p.d[i] = t->x[r] - x_mean;
                p.sxx += p.weight[i] * p.d[i] * p.d[i];
                i++;
            }
        }
        status = t->loss[lowest] < t->loss[highest] ? DPH_E_EQUAL_X : DPH_E_CONSTANT_LOSS;
        if (p.sxx > 0 && t->loss[lowest] < t->loss[highest]) {
            p.lines = block + t->stride;
            k = scan_floors(&p, t->stride, &mean, &slope);
            status = DPH_E_NOT_DECREASING;
        }
    }
    if (k >= 0) {
        mean += block[k] + block[t->stride + k] * x_mean;
        slope += block[t->stride + k];
    }
    if (k < 0 || !isfinite(slope)) {
        put(task, log_at, b, NAN, NAN, NAN, status, out);
        return;
    }
    status = k == 0 ? DPH_W_FLOOR_AT_ZERO : DPH_OK;
    if (distinct == LEAST_DISTINCT) {
        status |= DPH_W_SATURATED;
    }
    step = n_grid > 1 ? GRID_TOP * t->loss[lowest] / (double)(n_grid - 1) : 0;
    L_inf = k > 0 && k == n_grid - 1 ? GRID_TOP * t->loss[lowest] : (double)k * step;
    put(task, log_at, b, L_inf, mean - slope * (x_mean + t->log_c_min), -slope, status, out);
}

/* --- kernels --------------------------------------------------------------------------------- */

static size_t
larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t
dph_bootstrap_suite_scratch(const dph_bootstrap_suite *suite, const dph_bootstrap_task *task)
{
    size_t n = (size_t)suite->n;
    size_t fit = 2 * n + dph_powerlaw_scratch(suite->n, 1, suite->n, &task->law);

    return (size_t)task->n_targets + larger(fit, 4 * n);
}

static void
resample(const dph_bootstrap_suite *suite, int64_t b, double *compute, double *loss)
{
    int64_t n = suite->n;
    const int64_t *index = suite->indices != NULL ? suite->indices + b * n : NULL;

    for (int64_t i = 0; i < n; i++) {
        switch (suite->kind) {
        case DPH_BOOTSTRAP_PAIRS:
            compute[i] = suite->compute[index[i]];
            loss[i] = suite->loss[index[i]];
            break;
        case DPH_BOOTSTRAP_RESIDUAL:
            compute[i] = suite->compute[i];
            loss[i] = suite->loss[i] + suite->residuals[index[i]];
            break;
        default:
            compute[i] = suite->compute[i];
            loss[i] = suite->loss[i] + suite->residuals[i] * suite->multipliers[b * n + i];
        }
    }
}

void
dph_bootstrap_suite_fit(const dph_bootstrap_suite *suite, int64_t begin, int64_t end,
                        const dph_bootstrap_task *task, double *scratch, dph_minimiser *minimiser,
                        const dph_bootstrap_out *out)
{
    int64_t n = suite->n;
    double *log_at = scratch;
    double *compute = log_at + task->n_targets;
    double *loss = compute + n;
    grid_table table = {0};

    log_targets(task, log_at);
    if (suite->table != NULL) {
        table = read_table(suite, task);
    }
    for (int64_t b = begin; b < end && !stopped(task); b++) {
        if (suite->table != NULL) {
            look_up(&table, task, log_at, b, suite->indices + b * n, compute, out);
        } else {
            resample(suite, b, compute, loss);
            refit(task, log_at, b, compute, loss, n, loss + n, minimiser, out);
        }
    }
}

static size_t
records_in_doubles(int64_t n_buckets)
{
    return ((size_t)n_buckets * sizeof(dph_parabola) + sizeof(double) - 1) / sizeof(double);
}

size_t
dph_bootstrap_ladder_scratch(const dph_bootstrap_ladder *ladder, const dph_bootstrap_task *task)
{
    int64_t n = ladder->n_buckets;
    int64_t largest = dph_groups_largest(ladder->offsets, n);

    return records_in_doubles(n) + (size_t)task->n_targets + 2 * (size_t)ladder->offsets[n] +
           2 * (size_t)n +
           larger(dph_parabola_scratch(largest), dph_powerlaw_scratch(n, 1, n, &task->law));
}

/* One replicate's runs. */
static void
resample_runs(const dph_bootstrap_ladder *ladder, int64_t b, double *tokens, double *loss)
{
    const int64_t *index = ladder->indices + b * ladder->offsets[ladder->n_buckets];

    for (int64_t g = 0; g < ladder->n_buckets; g++) {
        int64_t first = ladder->offsets[g];

        for (int64_t i = first; i < ladder->offsets[g + 1]; i++) {
            int64_t from = first + index[i];

            if (ladder->residuals != NULL) {
                tokens[i] = ladder->tokens[i];
                loss[i] = ladder->loss[i] + ladder->residuals[from];
            } else {
                tokens[i] = ladder->tokens[from];
                loss[i] = ladder->loss[from];
            }
        }
    }
}

void
dph_bootstrap_ladder_fit(const dph_bootstrap_ladder *ladder, int64_t begin, int64_t end,
                         const dph_bootstrap_task *task, double *scratch, dph_minimiser *minimiser,
                         const dph_bootstrap_out *out)
{
    int64_t n_buckets = ladder->n_buckets;
    int64_t n_runs = ladder->offsets[n_buckets];
    dph_parabola *fits = (dph_parabola *)(void *)scratch;
    double *log_at = scratch + records_in_doubles(n_buckets);
    double *tokens = log_at + task->n_targets;
    double *loss = tokens + n_runs;
    double *compute = loss + n_runs;
    double *lowest = compute + n_buckets;
    double *rest = lowest + n_buckets;
    dph_parabola_batch batch = {.tokens = tokens, .loss = loss, .offsets = ladder->offsets};
    dph_parabola_options options = ladder->parabola;

    options.joint = 0;
    options.stopped = task->law.stopped;
    log_targets(task, log_at);
    for (int64_t b = begin; b < end && !stopped(task); b++) {
        int64_t n = 0;

        resample_runs(ladder, b, tokens, loss);
        dph_parabola_fit(&batch, 0, n_buckets, &options, rest, minimiser, fits);
        for (int64_t g = 0; g < n_buckets; g++) {
            if (fits[g].status >= 0 && (fits[g].status & ladder->unusable) == 0) {
                compute[n] = ladder->compute[g];
                lowest[n] = fits[g].loss_star;
                n++;
            }
        }
        refit(task, log_at, b, compute, lowest, n, rest, minimiser, out);
    }
}

#include "posterior.h"
#include "identify.h"

#include <math.h>

#include "../base/column.h"
#include "../base/distributions.h"

#define N_ALPHA 96
#define N_FLOOR 24
#define ZOOMS 12
#define CELLS (N_ALPHA * DPH_POSTERIOR_POWERS * N_FLOOR)
#define NEGLIGIBLE 1e-5 /* mass of an alpha below this share of the largest is cut off */
#define FINE 0.08       /* the zoom ends when no alpha holds more than this share of the mass */
#define WEAK_SPREAD (1 / 3.92) /* a 95% range is 3.92 sd of a normal */
#define UNIDENTIFIED 0.8       /* spread of L_inf against its prior's above which it says nothing */
#define EDGE_MASS 0.02
#define ROUNDING 1e-28

/* One suite, compute as x = ln(C / C_max) <= 0. */
typedef struct {
    const double *x;
    const double *loss;
    double *e;
    double *w;
    int64_t n;
    double floor_max;
    double dof;   /* of the noise once the amplitude is integrated */
    double guess; /* sum of squares that the guess of sigma brings along */
    const dph_posterior_options *options;
} problem;

/* The linear model at one (alpha, power): floors about L_hat, amplitude given the floor. */
typedef struct {
    double L_hat;
    double curvature; /* S(L) = s_min + curvature (L - L_hat)^2 */
    double s_min;
    double see;      /* sum w e^2 */
    double e_mean;   /* sum w e / sum w e^2 */
    double ey_mean;  /* sum w e loss / sum w e^2 */
    double log_w;    /* half the sum of the log weights */
    double scale;    /* of L about L_hat */
    double angle_lo; /* floors are laid out as L_hat + scale tan(angle): dense where the mass is */
    double angle_hi;
} linear;

size_t
dph_posterior_scratch(int64_t n_largest)
{
    return 3 * (size_t)n_largest + 2 * CELLS;
}

static linear
solve(const problem *k, double alpha, double power)
{
    linear out = {0};
    double sw = 0;
    double swe = 0;
    double swy = 0;
    double e_mean = 0;
    double y_mean = 0;
    double see = 0;
    double sey = 0;
    double slope = 0;

    for (int64_t i = 0; i < k->n; i++) {
        k->e[i] = exp(-alpha * k->x[i]);
        k->w[i] = exp(power * k->x[i]);
        sw += k->w[i];
        swe += k->w[i] * k->e[i];
        swy += k->w[i] * k->loss[i];
        out.log_w += 0.5 * power * k->x[i];
    }
    e_mean = swe / sw;
    y_mean = swy / sw;
    for (int64_t i = 0; i < k->n; i++) {
        double d = k->e[i] - e_mean;

        see += k->w[i] * d * d;
        sey += k->w[i] * d * (k->loss[i] - y_mean);
        out.see += k->w[i] * k->e[i] * k->e[i];
        out.ey_mean += k->w[i] * k->e[i] * k->loss[i];
    }
    slope = sey / see;
    out.L_hat = y_mean - slope * e_mean;
    for (int64_t i = 0; i < k->n; i++) {
        double residual = (k->loss[i] - y_mean) - slope * (k->e[i] - e_mean);
        out.s_min += k->w[i] * residual * residual;
    }
    /* Losses are known to rounding at best; an exact fit must not have all the mass. */
    out.s_min = fmax(out.s_min + k->guess, ROUNDING * y_mean * y_mean);
    out.e_mean = swe / out.see;
    out.ey_mean /= out.see;
    out.curvature = sw * see / out.see;
    out.scale = sqrt(out.s_min / (fmax(k->dof - 1, 1) * out.curvature));
    out.angle_lo = atan((0 - out.L_hat) / out.scale);
    out.angle_hi = atan((k->floor_max - out.L_hat) / out.scale);
    return out;
}

static double
sum_of_squares(const linear *m, double L)
{
    return m->s_min + m->curvature * (L - m->L_hat) * (L - m->L_hat);
}

/* Log posterior of one cell of floors, all constants dropped. */
static double
log_cell(const problem *k, const linear *m, int cell)
{
    double width = (m->angle_hi - m->angle_lo) / N_FLOOR;
    double angle = m->angle_lo + (cell + 0.5) * width;
    double L = m->L_hat + m->scale * tan(angle);
    double stretch = cos(angle);

    return -0.5 * k->dof * log(sum_of_squares(m, L)) - 0.5 * log(m->see) + m->log_w +
           log(m->scale * width / (stretch * stretch));
}

/* Fill log weights [N_ALPHA][n_powers][N_FLOOR] for alphas between lo and hi; returns the largest.
 */
static double
fill(const problem *k, double lo, double hi, double *weights)
{
    double step = log(hi / lo) / N_ALPHA;
    double largest = -INFINITY;
    int64_t at = 0;

    for (int j = 0; j < N_ALPHA; j++) {
        double alpha = lo * exp((j + 0.5) * step);

        for (int p = 0; p < k->options->n_powers; p++) {
            linear m = solve(k, alpha, k->options->powers[p]);
            double prior = log(k->options->power_weights[p]);

            for (int c = 0; c < N_FLOOR; c++, at++) {
                double value = prior + log_cell(k, &m, c);

                weights[at] = isnan(value) ? -INFINITY : value;
                largest = weights[at] > largest ? weights[at] : largest;
            }
        }
    }
    return largest;
}

/* Narrow [lo, hi] to the alphas that carry mass, until enough nodes share it. */
static double
zoom(const problem *k, double *lo, double *hi, double *weights)
{
    int64_t row = (int64_t)k->options->n_powers * N_FLOOR;
    double largest = 0;

    for (int round = 0; round < ZOOMS; round++) {
        double mass[N_ALPHA] = {0};
        double most = 0;
        double total = 0;
        double step = log(*hi / *lo) / N_ALPHA;
        int first = -1;
        int last = 0;

        largest = fill(k, *lo, *hi, weights);
        for (int j = 0; j < N_ALPHA; j++) {
            for (int64_t c = 0; c < row; c++) {
                mass[j] += exp(weights[j * row + c] - largest);
            }
            most = mass[j] > most ? mass[j] : most;
            total += mass[j];
        }
        for (int j = 0; j < N_ALPHA; j++) {
            if (mass[j] > NEGLIGIBLE * most) {
                first = first < 0 ? j : first;
                last = j;
            }
        }
        if (first < 0 || most < FINE * total || !isfinite(largest) || round == ZOOMS - 1) {
            break;
        }
        first = first > 0 ? first - 1 : 0;
        last = last < N_ALPHA - 1 ? last + 1 : N_ALPHA - 1;
        *hi = *lo * exp((last + 1) * step);
        *lo = *lo * exp(first * step);
    }
    return largest;
}

static dph_posterior_draw
draw(const problem *k, double lo, double hi, int64_t cell, const double *u, double log_c_max)
{
    int64_t row = (int64_t)k->options->n_powers * N_FLOOR;
    int64_t j = cell / row;
    int p = (int)(cell % row / N_FLOOR);
    int64_t c = cell % N_FLOOR;
    double alpha = lo * exp(((double)j + u[1]) * log(hi / lo) / N_ALPHA);
    linear m = solve(k, alpha, k->options->powers[p]);
    double angle = m.angle_lo + ((double)c + u[2]) * (m.angle_hi - m.angle_lo) / N_FLOOR;
    double L = m.L_hat + m.scale * tan(angle);
    double sigma = 0;
    double centre = 0;
    double scale = 0;
    double below = 0;
    double B = 0;

    L = L < 0 ? 0 : L > k->floor_max ? k->floor_max : L;
    sigma = sqrt(sum_of_squares(&m, L) / k->dof);
    centre = m.ey_mean - L * m.e_mean;
    scale = sigma / sqrt(m.see);
    below = dph_t_probability(-centre / scale, k->dof); /* the amplitude is positive */
    B = centre + scale * dph_t_quantile(below + u[3] * (1 - below), k->dof);
    return (dph_posterior_draw){.L_inf = L,
                                .log_A = log(B) + alpha * log_c_max,
                                .alpha = alpha,
                                .sigma = sigma,
                                .power = k->options->powers[p]};
}

/* The cell whose stretch of the cumulative weights holds u times their total. */
static int64_t
pick(const double *cumulative, int64_t n, double u)
{
    double target = u * cumulative[n - 1];
    int64_t lo = 0;
    int64_t hi = n - 1;

    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (cumulative[mid] < target) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* Mass in the outermost alphas of the prior, if the zoom still reaches them. */
static double
edge_mass(const problem *k, double lo, double hi, const double *cumulative)
{
    int64_t row = (int64_t)k->options->n_powers * N_FLOOR;
    double total = cumulative[N_ALPHA * row - 1];
    double mass = 0;

    if (lo <= k->options->alpha_lo * (1 + 1e-9)) {
        mass += cumulative[row - 1];
    }
    if (hi >= k->options->alpha_hi * (1 - 1e-9)) {
        mass += total - cumulative[(N_ALPHA - 1) * row - 1];
    }
    return mass / total;
}

static int32_t
check(const double *compute, const double *loss, int64_t n, const dph_column *c)
{
    double log_mean = 0;
    double loss_mean = 0;
    double sxy = 0;

    if (n > 0 && (!c->finite || !(c->min > 0))) {
        return DPH_E_BAD_VALUE;
    }
    if (n > 1 && c->distinct == 1) {
        return DPH_E_EQUAL_X;
    }
    if (c->distinct < 3) {
        return DPH_E_TOO_FEW_POINTS;
    }
    for (int64_t i = 0; i < n; i++) {
        log_mean += log(compute[i] / c->max) / (double)n;
        loss_mean += loss[i] / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        sxy += (log(compute[i] / c->max) - log_mean) * (loss[i] - loss_mean);
    }
    return sxy < 0 ? DPH_OK : DPH_E_NOT_DECREASING;
}

static void
fit_suite(problem *k, double c_max, const double *uniforms, int64_t n_draws, double *weights,
          dph_posterior_draw *draws, dph_posterior *out)
{
    int64_t n_cells = (int64_t)N_ALPHA * k->options->n_powers * N_FLOOR;
    double *cumulative = weights + CELLS;
    double lo = k->options->alpha_lo;
    double hi = k->options->alpha_hi;
    double largest = zoom(k, &lo, &hi, weights);
    double total = 0;
    double mean = 0;
    double square = 0;
    double log_mean = 0;
    double log_square = 0;

    if (!isfinite(largest)) {
        out->status = DPH_E_BAD_VALUE;
        return;
    }
    for (int64_t c = 0; c < n_cells; c++) {
        total += exp(weights[c] - largest);
        cumulative[c] = total;
    }
    for (int64_t b = 0; b < n_draws; b++) {
        const double *u = uniforms + b * DPH_POSTERIOR_UNIFORMS;

        if (k->options->stopped != NULL && (b & 255) == 0 && atomic_load(k->options->stopped)) {
            return;
        }
        draws[b] = draw(k, lo, hi, pick(cumulative, n_cells, u[0]), u, log(c_max));
        mean += draws[b].L_inf;
        square += draws[b].L_inf * draws[b].L_inf;
        log_mean += log(draws[b].alpha);
        log_square += log(draws[b].alpha) * log(draws[b].alpha);
    }
    mean /= (double)n_draws;
    square = square / (double)n_draws - mean * mean;
    out->L_inf_spread = sqrt(fmax(square, 0) * 12) / k->floor_max;
    log_mean /= (double)n_draws;
    out->alpha_spread = sqrt(fmax(log_square / (double)n_draws - log_mean * log_mean, 0));
    out->alpha_edge = edge_mass(k, lo, hi, cumulative);
    out->status |= out->L_inf_spread > UNIDENTIFIED ? DPH_W_FLOOR_NOT_IDENTIFIED : 0;
    out->status |= out->alpha_spread > WEAK_SPREAD * log(DPH_ALPHA_RANGE) ? DPH_W_ALPHA_WEAK : 0;
    out->status |= out->alpha_edge > EDGE_MASS ? DPH_W_ALPHA_AT_BOUND : 0;
}

void
dph_posterior_fit(const dph_posterior_batch *batch, int64_t begin, int64_t end,
                  const dph_posterior_options *options, const double *uniforms, int64_t n_draws,
                  double *scratch, dph_posterior_draw *draws, dph_posterior *out)
{
    for (int64_t s = begin; s < end; s++) {
        int64_t from = batch->offsets[s];
        int64_t n = batch->offsets[s + 1] - from;
        const double *compute = batch->compute + from;
        const double *loss = batch->loss + from;
        dph_column c = dph_column_summary(compute, n);
        dph_column y = dph_column_summary(loss, n);
        double noise = batch->noise != NULL ? batch->noise[s] : 0;
        double *x = scratch;
        problem k = {.x = x,
                     .loss = loss,
                     .e = x + n,
                     .w = x + 2 * n,
                     .n = n,
                     .floor_max = nextafter(y.min, 0),
                     .dof = (double)n - 1,
                     .options = options};

        out[s] = (dph_posterior){.n = n,
                                 .compute_max = c.max,
                                 .L_inf_spread = NAN,
                                 .alpha_spread = NAN,
                                 .alpha_edge = NAN,
                                 .status = DPH_E_BAD_VALUE};
        if (n == 0 || (y.finite && y.min > 0 && noise >= 0)) {
            out[s].status = check(compute, loss, n, &c);
        }
        if (out[s].status == DPH_OK && y.distinct == 1) {
            out[s].status = DPH_E_CONSTANT_LOSS;
        }
        if (noise > 0) {
            k.dof += options->noise_dof;
            k.guess = options->noise_dof * noise * noise;
        }
        out[s].dof = k.dof;
        for (int64_t b = 0; b < n_draws; b++) {
            draws[s * n_draws + b] = (dph_posterior_draw){NAN, NAN, NAN, NAN, NAN};
        }
        if (out[s].status != DPH_OK) {
            continue;
        }
        for (int64_t i = 0; i < n; i++) {
            x[i] = log(compute[i] / c.max);
        }
        fit_suite(&k, c.max, uniforms, n_draws, scratch + 3 * n, draws + s * n_draws, &out[s]);
    }
}

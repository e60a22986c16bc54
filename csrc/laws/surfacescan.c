#include "surfacescan.h"

#include <math.h>
#include <string.h>

#include "../base/veclog.h"

#define LANES DPH_SURFACE_PAD
#define NODES DPH_SURFACE_NODES
#define FEW_ROUNDS 2 /* of reweighting at every node */
#define ROUNDS 6     /* and at those that look good */
#define GOOD 2.0     /* objective after a few rounds over the lowest one */

/* Exponents times the range of their logs: dense where laws of interest differ most. */
static const double nodes[NODES] = {0.02, 0.12, 0.35, 0.65, 1.0, 1.4,  1.9,  2.5,
                                    3.2,  4.1,  5.2,  6.6,  8.5, 12.0, 20.0, 40.0};

size_t
dph_surface_table_doubles(int64_t stride)
{
    return 2 * (size_t)NODES * (size_t)stride;
}

static int
place_nodes(double lo, double hi, double span, double *out)
{
    int n = 0;

    if (lo >= hi) {
        out[0] = lo;
        return 1;
    }
    for (int k = 0; k < NODES; k++) {
        double x = nodes[k] / span;

        out[n++] = x < lo ? lo : x > hi ? hi : x;
    }
    return n;
}

void
dph_surface_nodes(const dph_surface_problem *p, double u_span, double v_span, dph_surface_table *t)
{
    t->n_p = place_nodes(p->lo[DPH_SURFACE_ALPHA], p->hi[DPH_SURFACE_ALPHA], u_span, t->p);
    t->n_q = place_nodes(p->lo[DPH_SURFACE_BETA], p->hi[DPH_SURFACE_BETA], v_span, t->q);
}

static void
fill(const dph_surface_problem *p, const double *x, const double *exponents, int n, double *columns)
{
    for (int k = 0; k < n; k++) {
        for (int64_t i = 0; i < p->stride; i++) {
            columns[k * p->stride + i] = i < p->n ? exp(-exponents[k] * x[i]) : 0;
        }
    }
}

void
dph_surface_table_fill(const dph_surface_problem *p, dph_surface_table *t)
{
    fill(p, p->u, t->p, t->n_p, t->left);
    fill(p, p->v, t->q, t->n_q, t->right);
}

/* Weighted sums of products: what three coefficients need. */
typedef struct {
    double gram[3][3];
    double rhs[3];
    double objective; /* of the residuals that the weights came from */
} sums;

/* One pass: residuals of c, Huber's weights from them, and the sums under these weights. A
 * threshold of infinity gives least squares. */
DPH_CLONES static void
accumulate(const dph_surface_problem *p, const double *g, const double *h, const double *c,
           double delta, sums *out)
{
    double s[10][LANES] = {{0}};
    double finite_delta = isinf(delta) ? 0 : delta;

    for (int64_t i = 0; i < p->stride; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            double y = p->y[i + j];
            double x = g[i + j];
            double z = h[i + j];
            double scale = p->unit[i + j];
            double r = (y - c[0] - c[1] * x - c[2] * z) * scale;
            double size = fabs(r);
            double near = 0.5 * size * size;
            double far = finite_delta * (size - 0.5 * finite_delta);
            double w = p->w[i + j];

            s[9][j] += w * (size <= delta ? near : far);
            w *= size <= delta ? 1 : finite_delta / size;
            w *= scale * scale;
            s[0][j] += w;
            s[1][j] += w * x;
            s[2][j] += w * z;
            s[3][j] += w * x * x;
            s[4][j] += w * x * z;
            s[5][j] += w * z * z;
            s[6][j] += w * y;
            s[7][j] += w * x * y;
            s[8][j] += w * z * y;
        }
    }
    for (int k = 0; k < 10; k++) {
        for (int j = 1; j < LANES; j++) {
            s[k][0] += s[k][j];
        }
    }
    *out = (sums){.gram = {{s[0][0], s[1][0], s[2][0]},
                           {s[1][0], s[3][0], s[4][0]},
                           {s[2][0], s[4][0], s[5][0]}},
                  .rhs = {s[6][0], s[7][0], s[8][0]},
                  .objective = s[9][0]};
}

/* Minimise the quadratic over the coefficients in `on`, the others as they are in c; 0 where the
 * columns are dependent. Elimination without pivots: a Schur complement each. */
static int
solve_some(const sums *s, const int *on, double *c, double *value)
{
    double a[3][4];
    int at[3];
    int k = 0;

    for (int i = 0; i < 3; i++) {
        if (on[i]) {
            at[k++] = i;
        }
    }
    for (int i = 0; i < k; i++) {
        a[i][3] = s->rhs[at[i]];
        for (int j = 0; j < 3; j++) {
            if (!on[j]) {
                a[i][3] -= s->gram[at[i]][j] * c[j];
            }
        }
        for (int j = 0; j < k; j++) {
            a[i][j] = s->gram[at[i]][at[j]];
        }
    }
    for (int i = 0; i < k; i++) {
        if (!(a[i][i] > 1e-15 * s->gram[at[i]][at[i]])) {
            return 0;
        }
        for (int j = i + 1; j < k; j++) {
            double factor = a[j][i] / a[i][i];

            for (int m = i; m < k; m++) {
                a[j][m] -= factor * a[i][m];
            }
            a[j][3] -= factor * a[i][3];
        }
    }
    for (int i = k - 1; i >= 0; i--) {
        double x = a[i][3];

        for (int j = i + 1; j < k; j++) {
            x -= a[i][j] * c[at[j]];
        }
        c[at[i]] = x / a[i][i];
    }
    *value = 0;
    for (int i = 0; i < 3; i++) {
        double row = -2 * s->rhs[i];

        for (int j = 0; j < 3; j++) {
            row += s->gram[i][j] * c[j];
        }
        *value += c[i] * row;
    }
    return 1;
}

/* The best coefficients within their bounds: all that are free, or the best of the subsets whose
 * others sit at 0. */
static int
solve(const dph_surface_problem *p, const sums *s, double *c)
{
    double best[3] = {0};
    double lowest = INFINITY;
    int found = 0;

    for (int mask = 7; mask >= 0; mask--) {
        double x[3];
        double value = 0;
        int on[3];
        int good = 1;

        for (int i = 0; i < 3; i++) {
            on[i] = mask >> i & 1;
            good = good && (p->is_free[i] || !on[i]);
            x[i] = p->is_free[i] ? (p->lo[i] > 0 ? p->lo[i] : 0) : p->lo[i];
        }
        if (!good || !solve_some(s, on, x, &value)) {
            continue;
        }
        for (int i = 0; i < 3; i++) {
            good = good && x[i] >= p->lo[i] && isfinite(x[i]);
        }
        if (good && (!found || value < lowest)) {
            lowest = value;
            memcpy(best, x, sizeof best);
            found = 1;
        }
        /* nothing beats an inner solution with every free coefficient on */
        if (good && on[0] == p->is_free[0] && on[1] == p->is_free[1] && on[2] == p->is_free[2]) {
            break;
        }
    }
    memcpy(c, best, sizeof best);
    return found;
}

double
dph_surface_inner(const dph_surface_problem *p, const double *g, const double *h, double delta,
                  int rounds, double *theta)
{
    double c[3] = {theta[0], theta[1], theta[2]};
    double lowest = NAN;
    sums s;

    for (int k = 0; k <= rounds; k++) {
        accumulate(p, g, h, c, delta, &s);
        if (!(s.objective >= lowest) && isfinite(s.objective)) {
            lowest = s.objective;
            memcpy(theta, c, sizeof c);
        }
        if (k < rounds && !solve(p, &s, c)) {
            break;
        }
    }
    return lowest;
}

/* No neighbour, on either axis or across, is lower; the first of equals counts. */
static int
is_minimum(const dph_surface_table *t, double value[NODES][NODES], int j, int k)
{
    if (!isfinite(value[j][k])) {
        return 0;
    }
    for (int a = j > 0 ? j - 1 : 0; a <= j + 1 && a < t->n_p; a++) {
        for (int b = k > 0 ? k - 1 : 0; b <= k + 1 && b < t->n_q; b++) {
            int earlier = a < j || (a == j && b < k);

            if (value[a][b] < value[j][k] || (earlier && value[a][b] == value[j][k])) {
                return 0;
            }
        }
    }
    return 1;
}

/* The local minima on the grid, lowest first, as many as there is room for; returns how many there
 * are. */
static int
find_minima(const dph_surface_table *t, double value[NODES][NODES],
            double theta[NODES][NODES][DPH_SURFACE_SIZE],
            double out[DPH_SURFACE_CANDIDATES][DPH_SURFACE_SIZE], int *n)
{
    double values[DPH_SURFACE_CANDIDATES] = {0};
    int found = 0;

    *n = 0;
    for (int j = 0; j < t->n_p; j++) {
        for (int k = 0; k < t->n_q; k++) {
            int at = *n;

            if (!is_minimum(t, value, j, k)) {
                continue;
            }
            found++;
            while (at > 0 && value[j][k] < values[at - 1]) {
                at--;
            }
            if (at >= DPH_SURFACE_CANDIDATES) {
                continue;
            }
            *n += *n < DPH_SURFACE_CANDIDATES;
            for (int i = *n - 1; i > at; i--) {
                values[i] = values[i - 1];
                memcpy(out[i], out[i - 1], sizeof out[i]);
            }
            values[at] = value[j][k];
            memcpy(out[at], theta[j][k], sizeof out[at]);
        }
    }
    return found;
}

/* Which node of one exponent is best at each node of the other. */
static void
find_best(const dph_surface_table *t, double value[NODES][NODES], dph_surface_candidates *out)
{
    for (int j = 0; j < t->n_p; j++) {
        for (int k = 0; k < t->n_q; k++) {
            if (value[j][k] < value[out->best_p[k]][k]) {
                out->best_p[k] = j;
            }
            if (value[j][k] < value[j][out->best_q[j]]) {
                out->best_q[j] = k;
            }
        }
    }
}

/* Least squares at every node; the best of them sets the scale of the residuals. */
static double
scan_squares(const dph_surface_problem *p, const dph_surface_table *t, double value[NODES][NODES],
             double theta[NODES][NODES][DPH_SURFACE_SIZE], double *work,
             dph_surface_candidates *out)
{
    const double *best = NULL;
    double lowest = INFINITY;

    for (int j = 0; j < t->n_p; j++) {
        for (int k = 0; k < t->n_q; k++) {
            double *at = theta[j][k];
            const double start[DPH_SURFACE_SIZE] = {p->is_free[0] ? 0 : p->lo[0],
                                                    p->is_free[1] ? 0 : p->lo[1],
                                                    p->is_free[2] ? 0 : p->lo[2], t->p[j], t->q[k]};

            memcpy(at, start, sizeof start);
            if (dph_surface_stopped(p)) {
                return NAN;
            }
            value[j][k] = dph_surface_inner(p, t->left + j * p->stride, t->right + k * p->stride,
                                            INFINITY, 1, at);
            if (value[j][k] < lowest) {
                lowest = value[j][k];
                best = at;
            }
        }
    }
    if (best == NULL) {
        return NAN;
    }
    (void)find_minima(t, value, theta, out->squares, &out->n_squares);
    find_best(t, value, out);
    for (int64_t i = 0; i < p->n; i++) {
        double f = best[0] + best[1] * exp(-best[3] * p->u[i]) + best[2] * exp(-best[4] * p->v[i]);

        work[i] = (p->y[i] - f) / (p->log_space ? p->y[i] : 1);
    }
    return dph_surface_mean_abs(p, work);
}

/* Robust values in place of least squares, from their coefficients; 0 where stopped. */
static int
reweighted(const dph_surface_problem *p, const dph_surface_table *t, double delta,
           double value[NODES][NODES], double theta[NODES][NODES][DPH_SURFACE_SIZE])
{
    double lowest = INFINITY;

    for (int pass = 0; pass < 2; pass++) {
        int rounds = pass == 0 ? FEW_ROUNDS : ROUNDS - FEW_ROUNDS;
        double most = pass == 0 ? INFINITY : GOOD * lowest;

        for (int j = 0; j < t->n_p; j++) {
            for (int k = 0; k < t->n_q; k++) {
                if (dph_surface_stopped(p)) {
                    return 0;
                }
                if (pass == 1 && !(value[j][k] <= most)) {
                    continue;
                }
                value[j][k] =
                    dph_surface_inner(p, t->left + j * p->stride, t->right + k * p->stride, delta,
                                      rounds, theta[j][k]);
                lowest = fmin(lowest, value[j][k]);
            }
        }
    }
    return 1;
}

int
dph_surface_scan(const dph_surface_problem *p, const dph_surface_table *t, double *work,
                 dph_surface_candidates *out)
{
    double value[NODES][NODES];
    double theta[NODES][NODES][DPH_SURFACE_SIZE];
    double delta = p->delta;

    *out = (dph_surface_candidates){0};
    out->spread = scan_squares(p, t, value, theta, work, out);
    if (dph_surface_stopped(p)) {
        return DPH_E_CANCELLED;
    }
    if (!isfinite(out->spread)) {
        return DPH_E_NO_CONVERGENCE;
    }
    /* below a tenth of the residuals a smaller threshold changes nothing that a scan could see */
    if (p->objective == DPH_OBJECTIVE_ABSOLUTE || delta < 0.1 * out->spread) {
        delta = 0.1 * out->spread;
    }
    if (p->objective != DPH_OBJECTIVE_SQUARED && !reweighted(p, t, delta, value, theta)) {
        return DPH_E_CANCELLED;
    }
    out->n_minima = find_minima(t, value, theta, out->theta, &out->n);
    return out->n > 0 ? DPH_OK : DPH_E_NO_CONVERGENCE;
}

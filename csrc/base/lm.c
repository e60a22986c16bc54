#include "lm.h"

#include <float.h>
#include <math.h>
#include <stddef.h>

#include "veclog.h"

#define RANK_TINY 1e-13
#define FLATNESS 1e-14 /* cosine between r and a column that is rounding */
#define STALL 1e-14    /* relative gain of a step that counts as none */
#define ROUNDED 1e-6   /* relative offset whose square is below the rounding of the sum */

typedef struct {
    const dph_lm_problem *problem;
    double *r;
    double *trial;
    double *jacobian; /* [n_params][n] */
    double *factor;   /* scaled free columns, factorised in place */
    double *rotated;  /* Q^T r */
    double scale[DPH_LM_MAX];
    int free[DPH_LM_MAX]; /* indices of the free parameters */
    int n_free;
    double R[DPH_LM_MAX * DPH_LM_MAX]; /* row-major, n_free columns */
    double q[DPH_LM_MAX];              /* first n_free entries of Q^T r */
    double ss;                         /* |r|^2 */
    double worst;                      /* largest cosine between r and a free column */
} state;

int64_t
dph_lm_scratch(int64_t n, int n_params)
{
    return n * (3 + 2 * (int64_t)n_params);
}

/* Eight sums side by side: one register, and the same bits whatever its width. */
static inline double
dot(const double *u, const double *v, int64_t n)
{
    double sums[8] = {0};
    int64_t i = 0;

    for (; i + 8 <= n; i += 8) {
        for (int l = 0; l < 8; l++) {
            sums[l] += u[i + l] * v[i + l];
        }
    }
    for (; i < n; i++) {
        sums[0] += u[i] * v[i];
    }
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
           ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

static double
lower(const dph_lm_problem *p, int j)
{
    return p->lo != NULL ? p->lo[j] : -INFINITY;
}

static double
upper(const dph_lm_problem *p, int j)
{
    return p->hi != NULL ? p->hi[j] : INFINITY;
}

static double
into_box(const dph_lm_problem *p, int j, double value)
{
    return fmin(fmax(value, lower(p, j)), upper(p, j));
}

static void
open_state(state *s, const dph_lm_problem *problem, double *scratch)
{
    int64_t n = problem->n;

    s->problem = problem;
    s->r = scratch;
    s->trial = scratch + n;
    s->rotated = scratch + 2 * n;
    s->jacobian = scratch + 3 * n;
    s->factor = s->jacobian + n * problem->n_params;
    for (int j = 0; j < DPH_LM_MAX; j++) {
        s->scale[j] = 0;
    }
}

/* v -= (2 h.v / h.h) h, the reflection that h stands for. */
static inline void
reflect(const double *h, double hh, double *v, int64_t n)
{
    double factor = 2 * dot(h, v, n) / hh;

    for (int64_t i = 0; i < n; i++) {
        v[i] -= factor * h[i];
    }
}

/* Residuals and Jacobian at theta; the free set; QR of its scaled columns. 0 if not finite.
 * keep_scale: scales never shrink, so that a parameter that loses its effect cannot run away. */
DPH_CLONES static int
linearise(state *s, const double *theta, int keep_scale)
{
    const dph_lm_problem *p = s->problem;
    int64_t n = p->n;
    int m = 0;

    p->residuals(theta, s->r, s->jacobian, p->ctx);
    s->ss = dot(s->r, s->r, n);
    s->worst = 0;
    if (!isfinite(s->ss)) {
        return 0;
    }
    for (int j = 0; j < p->n_params; j++) {
        const double *column = s->jacobian + j * n;
        double length = sqrt(dot(column, column, n));
        double slope = dot(column, s->r, n);

        if (!isfinite(length)) {
            return 0;
        }
        s->scale[j] = keep_scale ? fmax(s->scale[j], length) : length;
        if ((theta[j] <= lower(p, j) && slope >= 0) || (theta[j] >= upper(p, j) && slope <= 0)) {
            continue;
        }
        if (length > 0 && s->ss > 0) {
            s->worst = fmax(s->worst, fabs(slope) / (length * sqrt(s->ss)));
        }
        s->free[m++] = j;
    }
    s->n_free = m;
    for (int k = 0; k < m; k++) {
        const double *column = s->jacobian + s->free[k] * n;
        double scale = s->scale[s->free[k]] > 0 ? 1 / s->scale[s->free[k]] : 0;

        for (int64_t i = 0; i < n; i++) {
            s->factor[k * n + i] = column[i] * scale;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        s->rotated[i] = s->r[i];
    }
    for (int k = 0; k < m; k++) {
        double *below = s->factor + k * n + k;
        double norm = sqrt(dot(below, below, n - k));
        double diagonal = below[0] > 0 ? -norm : norm;

        for (int i = 0; i < k; i++) {
            s->R[i * m + k] = s->factor[k * n + i];
            s->R[k * m + i] = 0;
        }
        s->R[k * m + k] = diagonal;
        if (norm > 0) {
            double hh = 2 * norm * (norm + fabs(below[0]));

            below[0] -= diagonal;
            for (int j = k + 1; j < m; j++) {
                reflect(below, hh, s->factor + j * n + k, n - k);
            }
            reflect(below, hh, s->rotated + k, n - k);
        }
        s->q[k] = s->rotated[k];
    }
    return 1;
}

static int
full_rank(const state *s)
{
    int m = s->n_free;

    for (int k = 0; k < m; k++) {
        double above = 0;

        for (int i = 0; i <= k; i++) {
            above += s->R[i * m + k] * s->R[i * m + k];
        }
        if (!(fabs(s->R[k * m + k]) > RANK_TINY * sqrt(above))) {
            return 0;
        }
    }
    return 1;
}

/* Rotate one row, zero before first, into the triangle T of m columns and its right side z. */
static inline void
rotate_in(double *T, double *z, int m, int first, double *row, double rest)
{
    for (int j = first; j < m; j++) {
        double inverse = 0;
        double c = 0;
        double sn = 0;
        double zj = z[j];

        inverse = T[j * m + j] * T[j * m + j] + row[j] * row[j];
        if (row[j] == 0 || inverse == 0) {
            continue;
        }
        inverse = 1 / sqrt(inverse);
        c = T[j * m + j] * inverse;
        sn = row[j] * inverse;
        for (int i = j; i < m; i++) {
            double t = T[j * m + i];

            T[j * m + i] = c * t + sn * row[i];
            row[i] = c * row[i] - sn * t;
        }
        z[j] = c * zj + sn * rest;
        rest = c * rest - sn * zj;
    }
}

/* step = argmin |R step + q|^2 + damping |step|^2, by Givens rotations of the damping rows; with
 * step[k] as it is for the bits k of held. */
static void
damped_step(const state *s, double damping, uint32_t held, double *step)
{
    int m = s->n_free;
    int places[DPH_LM_MAX];
    int left = 0;
    double T[DPH_LM_MAX * DPH_LM_MAX];
    double z[DPH_LM_MAX];

    for (int k = 0; k < m; k++) {
        if ((held >> k & 1) == 0) {
            places[left++] = k;
        }
    }
    if (left == m) {
        for (int i = 0; i < m * m; i++) {
            T[i] = s->R[i];
        }
        for (int i = 0; i < m; i++) {
            z[i] = s->q[i];
        }
    } else {
        for (int i = 0; i < left * left; i++) {
            T[i] = 0;
        }
        for (int i = 0; i < left; i++) {
            z[i] = 0;
        }
        for (int i = 0; i < m; i++) {
            double row[DPH_LM_MAX];
            double rest = s->q[i];

            for (int k = i; k < m; k++) {
                rest += (held >> k & 1) != 0 ? s->R[i * m + k] * step[k] : 0;
            }
            for (int k = 0; k < left; k++) {
                row[k] = places[k] >= i ? s->R[i * m + places[k]] : 0;
            }
            rotate_in(T, z, left, 0, row, rest);
        }
    }
    for (int k = 0; damping > 0 && k < left; k++) {
        double row[DPH_LM_MAX] = {0};

        row[k] = sqrt(damping);
        rotate_in(T, z, left, k, row, 0);
    }
    for (int k = left - 1; k >= 0; k--) {
        double sum = -z[k];

        for (int j = k + 1; j < left; j++) {
            sum -= T[k * left + j] * step[places[j]];
        }
        step[places[k]] = T[k * left + k] != 0 ? sum / T[k * left + k] : 0;
    }
}

/* |r|^2 - |r + J step|^2 for a step in the scaled free coordinates. */
static double
predicted_gain(const state *s, const double *step)
{
    int m = s->n_free;
    double gain = 0;

    for (int k = 0; k < m; k++) {
        double moved = 0;

        for (int j = k; j < m; j++) {
            moved += s->R[k * m + j] * step[j];
        }
        gain -= moved * (2 * s->q[k] + moved);
    }
    return gain;
}

/* sqrt((|Q^T r|^2 / free) / (rest / spare)): the length of a Gauss-Newton step in standard
 * errors. */
static double
relative_offset(const state *s)
{
    double inside = 0;
    double spare = (double)(s->problem->n - s->n_free);
    double rest = 0;

    for (int k = 0; k < s->n_free; k++) {
        inside += s->q[k] * s->q[k];
    }
    if (s->n_free == 0) {
        return 0;
    }
    rest = dot(s->rotated + s->n_free, s->rotated + s->n_free, s->problem->n - s->n_free);
    return spare > 0 ? sqrt(inside / s->n_free / (rest / spare)) : NAN;
}

static int
settled(const state *s, double tolerance, dph_lm_result *out)
{
    out->offset = relative_offset(s);
    if (s->n_free == 0 || out->offset <= tolerance || sqrt(s->ss) <= s->problem->noise) {
        out->ending = DPH_LM_SHARP;
        return 1;
    }
    if (s->worst <= FLATNESS) {
        out->ending = DPH_LM_FLAT;
        return 1;
    }
    return 0;
}

static void
note_bounds(const state *s, dph_lm_result *out)
{
    out->at_lo = 0;
    out->at_hi = 0;
    for (int j = 0; j < s->problem->n_params; j++) {
        out->at_lo |= out->theta[j] <= lower(s->problem, j) ? UINT32_C(1) << j : 0;
        out->at_hi |= out->theta[j] >= upper(s->problem, j) ? UINT32_C(1) << j : 0;
    }
}

/* Move by a step in scaled free coordinates; entries of held end on the bound they aim at, and
 * the others are projected onto the box. step becomes what was done, its straight part where the
 * box does not shorten it. Returns the bits of the entries that the box shortened. */
static uint32_t
move(const state *s, const double *theta, uint32_t held, double *step, double *to)
{
    const dph_lm_problem *p = s->problem;
    double straight[DPH_LM_MAX] = {0};
    uint32_t shortened = 0;

    for (int k = 0; k < s->n_free; k++) {
        int j = s->free[k];

        straight[j] = step[k] / (s->scale[j] > 0 ? s->scale[j] : 1);
    }
    for (int j = 0; j < p->n_params; j++) {
        to[j] = theta[j] + straight[j];
    }
    if (p->retract != NULL) {
        p->retract(theta, straight, to, p->ctx);
    }
    for (int k = 0, j = 0; j < p->n_params; j++) {
        int is_free = k < s->n_free && s->free[k] == j;
        int is_held = is_free && (held >> k & 1) != 0;
        double end = straight[j] != 0 ? into_box(p, j, to[j]) : theta[j];

        if (is_held) {
            end = straight[j] < 0 ? lower(p, j) : straight[j] > 0 ? upper(p, j) : theta[j];
        } else if (is_free && end != to[j] && straight[j] != 0) {
            shortened |= UINT32_C(1) << k;
        }
        if (p->retract == NULL || end != to[j]) {
            straight[j] = end - theta[j];
        }
        to[j] = end;
        k += is_free;
    }
    for (int k = 0; k < s->n_free; k++) {
        int j = s->free[k];

        step[k] = straight[j] * (s->scale[j] > 0 ? s->scale[j] : 1);
    }
    return shortened;
}

static int
moved(const dph_lm_problem *p, const double *theta, const double *to)
{
    for (int j = 0; j < p->n_params; j++) {
        if (to[j] != theta[j]) {
            return 1;
        }
    }
    return 0;
}

/* The damped step, in which a parameter that would leave the box goes to its bound and the others
 * make the best of that: a step that is only projected leaves a narrow valley. */
static int
step_in_box(const state *s, const double *theta, double damping, double *step, double *to)
{
    uint32_t held = 0;
    uint32_t shortened = 0;

    damped_step(s, damping, held, step);
    while ((shortened = move(s, theta, held, step, to)) != 0) {
        held |= shortened;
        damped_step(s, damping, held, step);
    }
    return moved(s->problem, theta, to);
}

/* One accepted step, or 0 where no damping finds one. */
static int
advance(state *s, dph_lm_result *out, double *damping, double *gained)
{
    const dph_lm_problem *p = s->problem;
    double step[DPH_LM_MAX] = {0};
    double to[DPH_LM_MAX];
    double grow = 2;

    for (int tries = 0; tries < 60; tries++) {
        double gain = 0;
        double expected = 0;

        if (!step_in_box(s, out->theta, *damping, step, to)) {
            return 0;
        }
        expected = predicted_gain(s, step);
        p->residuals(to, s->trial, NULL, p->ctx);
        gain = s->ss - dot(s->trial, s->trial, p->n);
        if (gain > 0 && expected > 0) {
            double ratio = gain / expected;
            double cubed = (2 * ratio - 1) * (2 * ratio - 1) * (2 * ratio - 1);

            *damping = fmax(*damping * fmax(1.0 / 9, fmin(1 - cubed, 2)), 1e-20);
            *gained = gain / s->ss;
            for (int j = 0; j < p->n_params; j++) {
                out->theta[j] = to[j];
            }
            return 1;
        }
        *damping = fmax(*damping * grow, 1e-16);
        grow *= 2;
    }
    return 0;
}

void
dph_lm(const dph_lm_problem *problem, const double *start, int max_steps, double tolerance,
       double *scratch, dph_lm_result *out)
{
    state s = {0};
    double damping = 1e-4;
    int stalls = 0;

    *out = (dph_lm_result){.rss = NAN, .offset = NAN, .shift = NAN, .ending = DPH_LM_GAVE_UP};
    open_state(&s, problem, scratch);
    for (int j = 0; j < problem->n_params; j++) {
        out->theta[j] = into_box(problem, j, start[j]);
    }
    if (!linearise(&s, out->theta, 1)) {
        return;
    }
    while (!settled(&s, tolerance, out)) {
        double gained = 0;

        if (out->n_steps >= max_steps) {
            break;
        }
        if (!advance(&s, out, &damping, &gained)) {
            out->ending = out->offset <= ROUNDED ? DPH_LM_SHARP : DPH_LM_STALLED;
            break;
        }
        out->n_steps++;
        stalls = gained < STALL ? stalls + 1 : 0;
        if (!linearise(&s, out->theta, 1)) {
            out->ending = DPH_LM_GAVE_UP;
            return;
        }
        if (stalls >= 3) {
            (void)settled(&s, tolerance, out);
            out->ending = out->offset <= ROUNDED ? DPH_LM_SHARP : DPH_LM_STALLED;
            break;
        }
    }
    out->rss = s.ss;
    note_bounds(&s, out);
}

int
dph_lm_polish(const dph_lm_problem *problem, int max_steps, double *scratch, dph_lm_result *result)
{
    state s = {0};
    double last = INFINITY;
    double theta[DPH_LM_MAX];

    open_state(&s, problem, scratch);
    if (!linearise(&s, result->theta, 0) || !full_rank(&s)) {
        return 0;
    }
    result->offset = relative_offset(&s);
    result->rss = s.ss;
    for (int n_steps = 0; n_steps < max_steps && s.n_free > 0; n_steps++) {
        double step[DPH_LM_MAX] = {0};
        double length = 0;

        damped_step(&s, 0, 0, step);
        length = sqrt(dot(step, step, s.n_free));
        result->shift = 0;
        for (int k = 0; k < s.n_free; k++) {
            int j = s.free[k];

            result->shift = fmax(result->shift, fabs(step[k] / s.scale[j] / result->theta[j]));
        }
        /* At rounding level the steps stop shrinking; in units of |r| a step of 1e-16 is none. */
        if (!(length < 0.9 * last)) {
            break;
        }
        move(&s, result->theta, 0, step, theta);
        if (!moved(problem, result->theta, theta) || !linearise(&s, theta, 0) ||
            !(s.ss <= result->rss * (1 + 1e-10)) || !full_rank(&s)) {
            break;
        }
        last = length;
        for (int j = 0; j < problem->n_params; j++) {
            result->theta[j] = theta[j];
        }
        result->rss = s.ss;
        result->offset = relative_offset(&s);
    }
    note_bounds(&s, result);
    return 1;
}

int
dph_lm_errors(const dph_lm_problem *problem, const dph_lm_result *result, double variance,
              double *scratch, double *se)
{
    state s = {0};
    int m = 0;

    for (int j = 0; j < problem->n_params; j++) {
        se[j] = NAN;
    }
    open_state(&s, problem, scratch);
    if (!linearise(&s, result->theta, 0) || !full_rank(&s)) {
        return DPH_E_RANK;
    }
    m = s.n_free;
    if (isnan(variance)) {
        if (problem->n <= m) {
            return DPH_E_TOO_FEW_POINTS;
        }
        /* Without what one more Gauss-Newton step would still remove. */
        variance = dot(s.rotated + m, s.rotated + m, problem->n - m) / (double)(problem->n - m);
    }
    for (int k = 0; k < m; k++) { /* row k of R^-1 from the columns of the identity */
        double unit[DPH_LM_MAX] = {0};
        double sum = 0;

        unit[k] = 1; /* R^T w = e_k, variance factor w.w */
        for (int i = k; i < m; i++) {
            for (int j = k; j < i; j++) {
                unit[i] -= s.R[j * m + i] * unit[j];
            }
            unit[i] /= s.R[i * m + i];
            sum += unit[i] * unit[i];
        }
        se[s.free[k]] = sqrt(variance * sum) / s.scale[s.free[k]];
    }
    return DPH_OK;
}

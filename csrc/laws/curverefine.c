#include "curverefine.h"

#include <math.h>
#include <stddef.h>

#include "../base/dots.h"
#include "../base/lanes.h"
#include "../base/veclog.h"
#include "huberline.h"

#define DAMPING_FIRST 1e-2
#define DAMPING_MIN 1e-12
#define DAMPING_MAX 1e8
#define REJECTED 4
#define RIDGE 1e-3 /* of the damping, on each parameter in its own unit */
#define FOLLOW_TOLERANCE 1e-6
#define FOLLOW_STEPS 1
#define VALLEY_DAMPING 0.1
#define NEARLY 1e-6 /* of the sum: what the last steps by products promise */
#define DEPENDENT                                                                                  \
    1e-9             /* of a column's square: what products leave of it is mostly rounding below */
#define LOG_STEP 3.0 /* the furthest that ln theta moves at a time */

dph_refinecolumns
dph_curverefine_columns(const dph_curvefit *fit)
{
    int64_t width = DPH_REFINE_WIDTH(fit->n);
    double *at = fit->columns;
    dph_refinecolumns c = {.s = at,
                           .r = at + width,
                           .s_next = at + 2 * width,
                           .r_next = at + 3 * width,
                           .slope = {at + 4 * width, at + 5 * width},
                           .root = at + 6 * width};

    for (int j = 0; j <= DPH_CURVE_PARAMETERS; j++) {
        c.q[j] = at + (7 + j) * width;
    }
    return c;
}

void
dph_curverefine_take(const dph_curvefit *fit, const double *next, dph_refinecolumns *c, double *p)
{
    double *held = c->s;

    c->s = c->s_next;
    c->s_next = held;
    held = c->r;
    c->r = c->r_next;
    c->r_next = held;
    for (int j = 0; j < fit->n_parameters; j++) {
        p[j] = next[j];
    }
}

/* Residuals, zero in the padding, and their Huber sum over delta. */
DPH_CLONES static double
residuals(const double *y, const double *s, int64_t n, double F, double A, double delta, double *r)
{
    dph_lanes sum = {0};
    dph_lanes edge = dph_lanes_all(delta);

    for (int64_t i = 0; i < n; i += DPH_LANES) {
        dph_lanes e = (dph_lanes_load(y + i) - F) - A * dph_lanes_load(s + i);
        dph_lanes a;
        dph_lanes clipped;

        e = dph_lanes_where(dph_lanes_first(n - i), e);
        a = dph_lanes_abs(e);
        clipped = dph_lanes_choose(a < edge, a, edge);
        dph_lanes_store(e, r + i);
        sum += clipped * (a - 0.5 * clipped);
    }
    return dph_lanes_sum(sum) / delta;
}

static double
evaluate(dph_curvefit *fit, double delta, const double *p, double *s, double *r)
{
    dph_curveshape_values(&fit->shape, p + 2, s);
    return residuals(fit->y, s, fit->n, p[0], p[1], delta, r);
}

/* Rows of the weighted problem: root of the weight times (1, s, A slopes), and pull over root. */
DPH_CLONES static void
weigh(const dph_refinecolumns *c, int64_t n, int n_parameters, double A, double delta,
      double damping)
{
    for (int64_t i = 0; i < n; i++) {
        double a = fabs(c->r[i]);
        double far = a > delta ? a : delta;
        double weight = (a > delta ? damping : 1 + damping) / far;
        double root = sqrt(weight);

        c->q[0][i] = root;
        c->q[1][i] = root * c->s[i];
        c->q[2][i] = root * A * c->slope[0][i];
        c->q[DPH_CURVE_PARAMETERS][i] = c->r[i] / (far * root);
    }
    if (n_parameters == DPH_CURVE_PARAMETERS) {
        for (int64_t i = 0; i < n; i++) {
            c->q[3][i] = c->q[0][i] * A * c->slope[1][i];
        }
    }
}

/* The step of the free parameters by modified Gram-Schmidt on the weighted rows, damped by one more
 * row a parameter. *promise receives what the local quadratic says it gains; R and free_index the
 * triangular factor of that quadratic and whose rows they are. Returns how many parameters could
 * move. */
static int
solve(const dph_curvefit *fit, dph_refinecolumns *c, double damping, const double *p, double *step,
      double *promise, double (*R)[DPH_CURVE_PARAMETERS], int *free_index)
{
    int64_t n = fit->n;
    int64_t width = DPH_REFINE_WIDTH(n);
    double *pull = c->q[DPH_CURVE_PARAMETERS];
    double rhs[DPH_CURVE_PARAMETERS] = {0};
    int n_free = 0;

    *promise = 0;
    for (int a = 0; a < DPH_CURVE_PARAMETERS; a++) {
        for (int b = 0; b < DPH_CURVE_PARAMETERS; b++) {
            R[a][b] = 0;
        }
    }
    for (int64_t i = n; i < width; i++) {
        pull[i] = 0;
    }
    for (int j = 0; j < fit->n_parameters; j++) {
        double uphill = 0; /* minus the derivative */
        double size = 0;

        for (int64_t i = n; i < width; i++) {
            c->q[j][i] = 0;
        }
        uphill = dph_dot(c->q[j], pull, width);
        size = dph_dot(c->q[j], c->q[j], width);

        step[j] = 0;
        if ((p[j] <= fit->low[j] && uphill <= 0) || (p[j] >= fit->high[j] && uphill >= 0) ||
            !(size > 0) || !isfinite(size)) {
            continue;
        }
        c->q[j][n + n_free] = sqrt(RIDGE * damping * size);
        free_index[n_free++] = j;
    }
    for (int a = 0; a < n_free; a++) {
        double *qa = c->q[free_index[a]];

        R[a][a] = sqrt(dph_dot(qa, qa, width));
        if (!(R[a][a] > 0)) {
            continue;
        }
        for (int b = a + 1; b < n_free; b++) {
            double *qb = c->q[free_index[b]];

            R[a][b] = dph_dot(qa, qb, width) / R[a][a];
            dph_subtract(R[a][b] / R[a][a], qa, qb, width);
        }
        rhs[a] = dph_dot(qa, pull, width) / R[a][a];
        dph_subtract(rhs[a] / R[a][a], qa, pull, width);
        *promise += 0.5 * rhs[a] * rhs[a];
    }
    for (int a = n_free - 1; a >= 0; a--) {
        double value = rhs[a];

        for (int b = a + 1; b < n_free; b++) {
            value -= R[a][b] * step[free_index[b]];
        }
        step[free_index[a]] = R[a][a] > 0 ? value / R[a][a] : 0;
    }
    return n_free;
}

#define N_SUMS 14
#define PULLS 10 /* where the pulls begin */

/* The weighted products of the columns 1, s and the slopes: the upper triangle, then the pull on
 * each. r is zero in the padding. */
DPH_CLONES static void
multiply_out(const double *s_all, const double *d0_all, const double *d1_all, const double *r_all,
             int64_t n, double delta, double damping, double *out)
{
    dph_lanes sum[N_SUMS] = {0};
    dph_lanes edge = dph_lanes_all(delta);
    dph_lanes near = dph_lanes_all(1 + damping);
    dph_lanes beyond = dph_lanes_all(damping);

    for (int64_t i = 0; i < n; i += DPH_LANES) {
        dph_lanes s = dph_lanes_load(s_all + i);
        dph_lanes d0 = dph_lanes_load(d0_all + i);
        dph_lanes d1 = dph_lanes_load(d1_all + i);
        dph_lanes r = dph_lanes_load(r_all + i);
        dph_lanes a = dph_lanes_abs(r);
        dph_marks is_far = a > edge;
        dph_lanes far = 1 / dph_lanes_choose(is_far, a, edge);
        dph_lanes w =
            dph_lanes_where(dph_lanes_first(n - i), dph_lanes_choose(is_far, beyond, near) * far);
        dph_lanes pull = r * far;
        dph_lanes ws = w * s;
        dph_lanes w0 = w * d0;
        dph_lanes w1 = w * d1;

        sum[0] += w;
        sum[1] += ws;
        sum[2] += w0;
        sum[3] += w1;
        sum[4] += ws * s;
        sum[5] += ws * d0;
        sum[6] += ws * d1;
        sum[7] += w0 * d0;
        sum[8] += w0 * d1;
        sum[9] += w1 * d1;
        sum[10] += pull;
        sum[11] += pull * s;
        sum[12] += pull * d0;
        sum[13] += pull * d1;
    }
    for (int j = 0; j < N_SUMS; j++) {
        out[j] = dph_lanes_sum(sum[j]);
    }
}

/* The same step as `solve`, by products of the columns: a fifth of the work, good enough while the
 * columns are not nearly dependent. 0 where they are, or where nothing may move. */
static int
solve_gram(const dph_curvefit *fit, const dph_refinecolumns *c, double delta, double damping,
           const double *p, double *step, double *promise)
{
    static const int place[4][4] = {{0, 1, 2, 3}, {1, 4, 5, 6}, {2, 5, 7, 8}, {3, 6, 8, 9}};
    double unit[4] = {1, 1, p[1], p[1]};
    double L[4][4] = {{0}};
    double z[4] = {0};
    int free_index[4];
    int n_free = 0;
    double sums[N_SUMS];

    multiply_out(c->s, c->slope[0], fit->n_parameters > 3 ? c->slope[1] : c->slope[0], c->r, fit->n,
                 delta, damping, sums);
    *promise = 0;
    for (int j = 0; j < fit->n_parameters; j++) {
        double uphill = sums[PULLS + j] * unit[j];

        step[j] = 0;
        if (!((p[j] <= fit->low[j] && uphill <= 0) || (p[j] >= fit->high[j] && uphill >= 0)) &&
            isgreater(sums[place[j][j]] * unit[j] * unit[j], 0)) {
            free_index[n_free++] = j;
        }
    }
    for (int a = 0; a < n_free; a++) {
        int i = free_index[a];
        double size = sums[place[i][i]] * unit[i] * unit[i];
        double left = size * (1 + RIDGE * damping);

        for (int b = 0; b < a; b++) {
            int j = free_index[b];
            double value = sums[place[i][j]] * unit[i] * unit[j];

            for (int k = 0; k < b; k++) {
                value -= L[a][k] * L[b][k];
            }
            L[a][b] = value / L[b][b];
            left -= L[a][b] * L[a][b];
        }
        if (!(left > DEPENDENT * size)) {
            return 0;
        }
        L[a][a] = sqrt(left);
        z[a] = sums[PULLS + i] * unit[i];
        for (int k = 0; k < a; k++) {
            z[a] -= L[a][k] * z[k];
        }
        z[a] /= L[a][a];
        *promise += 0.5 * z[a] * z[a];
    }
    for (int a = n_free - 1; a >= 0; a--) {
        double value = z[a];

        for (int b = a + 1; b < n_free; b++) {
            value -= L[b][a] * step[free_index[b]];
        }
        step[free_index[a]] = value / L[a][a];
    }
    return n_free > 0;
}

/* p plus the step, shortened where ln theta would jump and cut at the bounds. */
static void
move(const dph_curvefit *fit, const double *p, const double *step, double *next)
{
    double part = 1;

    for (int j = 2; j < fit->n_parameters; j++) {
        if (fabs(step[j]) * part > LOG_STEP) {
            part = LOG_STEP / fabs(step[j]);
        }
    }
    for (int j = 0; j < fit->n_parameters; j++) {
        double x = p[j] + part * step[j];

        next[j] = x < fit->low[j] ? fit->low[j] : x > fit->high[j] ? fit->high[j] : x;
    }
}

/* The sum at p after a few steps of its F and A towards their best for its theta: theta then moves
 * along the valley that the three of them form instead of across it. */
static double
follow(dph_curvefit *fit, const dph_refinecolumns *c, double delta, double *p)
{
    dph_boxline line = {
        .s = c->s_next, .y = fit->y, .n = fit->n, .F_max = fit->high[0], .A_max = fit->high[1]};
    dph_boxfit inner = {.F = p[0], .A = p[1]};

    dph_curveshape_values(&fit->shape, p + 2, c->s_next);
    dph_huberline_fit(&line, delta, FOLLOW_TOLERANCE, FOLLOW_STEPS, &inner);
    p[0] = inner.F;
    p[1] = inner.A;
    return residuals(fit->y, c->s_next, fit->n, p[0], p[1], delta, c->r_next);
}

double
dph_curverefine(dph_curvefit *fit, double delta, double tolerance, int steps_max, double floor,
                double *p)
{
    dph_refinecolumns c = dph_curverefine_columns(fit);
    double damping = DAMPING_FIRST;
    double here = evaluate(fit, delta, p, c.s, c.r);
    int fresh = 0;    /* the slopes belong to p */
    int rejected = 0; /* a bolder step from p has failed */
    int exact = 0;    /* solve by factors, not by products */

    for (int count = 0; count < steps_max; count++) {

        double step[DPH_CURVE_PARAMETERS] = {0};
        double next[DPH_CURVE_PARAMETERS] = {0};
        double promise = 0;
        double there = 0;
        double R[DPH_CURVE_PARAMETERS][DPH_CURVE_PARAMETERS];
        int free_index[DPH_CURVE_PARAMETERS];
        int rough = 0;

        if (fit->stopped != NULL && atomic_load(fit->stopped)) {
            break;
        }
        if (!fresh) {
            dph_curveshape_slopes(&fit->shape, p + 2, c.s, c.slope[0], c.slope[1]);
            fresh = 1;
        }
        rough = !exact && solve_gram(fit, &c, delta, damping, p, step, &promise);
        if (!rough) {
            weigh(&c, fit->shape.n, fit->n_parameters, p[1], delta, damping);
            if (solve(fit, &c, damping, p, step, &promise, R, free_index) == 0) {
                break;
            }
        }
        if (damping <= DPH_REFINE_SURE && here - DPH_REFINE_DOUBT * promise > floor) {
            break; /* on the way to somewhere that is no better than what is known */
        }
        if (rough && !(promise > NEARLY * here)) {
            exact = 1; /* products of columns are not good enough to end with */
            continue;
        }
        if (!(promise > tolerance * here)) {
            if (rejected || damping <= DAMPING_FIRST) {
                break;
            }
            damping *= 1e-3; /* a careful step promises little: look further before giving up */
            continue;
        }
        move(fit, p, step, next);
        there = follow(fit, &c, delta, next);
        if (there < here) {
            double gain = here - there;

            dph_curverefine_take(fit, next, &c, p);
            here = there;
            fresh = 0;
            rejected = 0;
            /* the quadratic is right: Newton; about right: bolder; far off: more careful */
            damping *= fabs(gain - promise) < 0.1 * promise ? 0.03
                       : gain > 0.5 * promise               ? 0.3
                       : gain < 0.2 * promise               ? 4
                                                            : 1;
            damping = damping > DAMPING_MIN ? damping : DAMPING_MIN;
            if (gain <= tolerance * here && damping <= DAMPING_FIRST) {
                break;
            }
        } else if (rough) {
            exact = 1;
        } else {
            rejected = 1;
            damping *= REJECTED;
            if (damping > DAMPING_MAX) {
                break;
            }
        }
    }
    return here;
}

int
dph_curverefine_valley(dph_curvefit *fit, double delta, double share, const double *p, double *step)
{
    dph_refinecolumns c = dph_curverefine_columns(fit);
    double R[DPH_CURVE_PARAMETERS][DPH_CURVE_PARAMETERS];
    double unused[DPH_CURVE_PARAMETERS];
    int free_index[DPH_CURVE_PARAMETERS];
    double promise = 0;
    double here = evaluate(fit, delta, p, c.s, c.r);
    double along[2] = {1, 0};
    double curvature = 0;
    double length = 0;
    int n_free = 0;
    int n_theta = 0;
    int first = 0;

    dph_curveshape_slopes(&fit->shape, p + 2, c.s, c.slope[0], c.slope[1]);
    weigh(&c, fit->shape.n, fit->n_parameters, p[1], delta, VALLEY_DAMPING);
    n_free = solve(fit, &c, VALLEY_DAMPING, p, unused, &promise, R, free_index);
    for (int a = 0; a < n_free; a++) {
        n_theta += free_index[a] >= 2;
    }
    for (int j = 0; j < fit->n_parameters; j++) {
        step[j] = 0;
    }
    if (n_theta == 0) {
        return 0;
    }
    /* theta comes last, so its block of R is that of the sum with F and A at their best */
    first = n_free - n_theta;
    curvature = R[first][first] * R[first][first];
    if (n_theta == 2) {
        double h11 = R[first][first + 1] * R[first][first + 1] +
                     R[first + 1][first + 1] * R[first + 1][first + 1];
        double h01 = R[first][first] * R[first][first + 1];
        double half = 0.5 * (curvature - h11);
        double root = sqrt(half * half + h01 * h01);

        /* the smaller eigenvalue as determinant over the larger, and its vector */
        double larger = 0.5 * (curvature + h11) + root;
        double smaller = curvature / larger * (R[first + 1][first + 1] * R[first + 1][first + 1]);

        along[0] = half <= 0 ? fabs(half) + root : -h01;
        along[1] = half <= 0 ? -h01 : fabs(half) + root;
        length = sqrt(along[0] * along[0] + along[1] * along[1]);
        if (length > 0) {
            along[0] /= length;
            along[1] /= length;
        } else {
            along[0] = 1;
            along[1] = 0;
        }
        curvature = smaller;
    }
    length = sqrt(2 * share * here / curvature);
    length = length < LOG_STEP ? length : LOG_STEP; /* also where the curvature is 0 */
    for (int a = 0; a < n_theta; a++) {
        step[free_index[first + a]] = length * along[a];
    }
    for (int a = first - 1; a >= 0; a--) {
        double value = 0;

        for (int b = a + 1; b < n_free; b++) {
            value -= R[a][b] * step[free_index[b]];
        }
        step[free_index[a]] = R[a][a] > 0 ? value / R[a][a] : 0;
    }
    return 1;
}

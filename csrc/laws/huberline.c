#include "huberline.h"

#include <math.h>

#include "../base/lanes.h"
#include "../base/veclog.h"

#define FLAT 1e-13 /* a determinant below this share of its terms is rounding */

/* A quadratic in (F, A) about a point: value + gradient and curvature. */
typedef struct {
    double value;
    double gF, gA;
    double hFF, hFA, hAA;
} quadratic;

/* Value, gradient and the Newton curvature at (F, A), all of the sum of Huber's loss. */
DPH_CLONES static void
newton(const dph_boxline *line, double delta, double F, double A, quadratic *q)
{
    dph_lanes value = {0};
    dph_lanes g = {0};
    dph_lanes gs = {0};
    dph_lanes n_in = {0};
    dph_lanes s_in = {0};
    dph_lanes ss_in = {0};
    dph_lanes edge = dph_lanes_all(delta);

    for (int64_t i = 0; i < line->n; i += DPH_LANES) {
        dph_marks counts = dph_lanes_first(line->n - i);
        dph_lanes s = dph_lanes_load(line->s + i);
        dph_lanes r = (dph_lanes_load(line->y + i) - F) - A * s;
        dph_lanes a = dph_lanes_abs(r);
        dph_marks inside = a <= edge;
        dph_lanes clipped = dph_lanes_where(counts, dph_lanes_choose(inside, a, edge));
        dph_lanes psi = dph_lanes_sign(clipped, r);
        dph_lanes in = dph_lanes_where(counts & inside, dph_lanes_all(1));

        value += clipped * (a - 0.5 * clipped);
        g += psi;
        gs += psi * s;
        n_in += in;
        s_in += in * s;
        ss_in += in * s * s;
    }
    *q = (quadratic){.value = dph_lanes_sum(value),
                     .gF = -dph_lanes_sum(g),
                     .gA = -dph_lanes_sum(gs),
                     .hFF = dph_lanes_sum(n_in),
                     .hFA = dph_lanes_sum(s_in),
                     .hAA = dph_lanes_sum(ss_in)};
}

/* The curvature of the quadratic that touches the sum at (F, A) and lies above it elsewhere. */
static void
majorise(const dph_boxline *line, double delta, double F, double A, quadratic *q)
{
    q->hFF = 0;
    q->hFA = 0;
    q->hAA = 0;
    for (int64_t i = 0; i < line->n; i++) {
        double s = line->s[i];
        double a = fabs((line->y[i] - F) - A * s);
        double w = a <= delta ? 1.0 : delta / a;

        q->hFF += w;
        q->hFA += w * s;
        q->hAA += w * s * s;
    }
}

static double
clip(double x, double high)
{
    return x < 0 ? 0 : x > high ? high : x;
}

static double
change(const quadratic *q, double dF, double dA)
{
    return q->gF * dF + q->gA * dA + 0.5 * (q->hFF * dF * dF + q->hAA * dA * dA) + q->hFA * dF * dA;
}

/* The step to the minimum of q over the box: inside, or on the best of the four edges. Returns what
 * q says it gains; 0 and no step where q has no curvature to go by. */
static double
step_in_box(const dph_boxline *line, const quadratic *q, double F, double A, double *dF, double *dA)
{
    double det = q->hFF * q->hAA - q->hFA * q->hFA;
    double ends[2][2] = {{-F, line->F_max - F}, {-A, line->A_max - A}};
    double best = 0;

    *dF = 0;
    *dA = 0;
    if (det > FLAT * q->hFF * q->hAA) {
        double f = (q->hFA * q->gA - q->hAA * q->gF) / det;
        double a = (q->hFA * q->gF - q->hFF * q->gA) / det;

        if (F + f >= 0 && F + f <= line->F_max && A + a >= 0 && A + a <= line->A_max) {
            *dF = f;
            *dA = a;
            return -change(q, f, a);
        }
    }
    for (int e = 0; e < 4; e++) {
        double f = 0;
        double a = 0;
        double gain = 0;

        if (e < 2 && q->hAA > 0) {
            f = ends[0][e];
            a = clip(A - (q->gA + q->hFA * f) / q->hAA, line->A_max) - A;
        } else if (e >= 2 && q->hFF > 0) {
            a = ends[1][e - 2];
            f = clip(F - (q->gF + q->hFA * a) / q->hFF, line->F_max) - F;
        }
        gain = -change(q, f, a);
        if (gain > best) {
            best = gain;
            *dF = f;
            *dA = a;
        }
    }
    if (best <= 0 && q->hFF > 0) { /* s is a constant: only the level is determined */
        *dF = clip(F - q->gF / q->hFF, line->F_max) - F;
        best = -change(q, *dF, 0);
    }
    return best > 0 ? best : 0;
}

double
dph_huberline_sum(const dph_boxline *line, double delta, double F, double A)
{
    quadratic q;

    newton(line, delta, F, A, &q);
    return q.value;
}

void
dph_huberline_fit(const dph_boxline *line, double delta, double tolerance, int steps_max,
                  dph_boxfit *fit)
{
    quadratic here;
    quadratic there;
    double F = clip(fit->F, line->F_max);
    double A = clip(fit->A, line->A_max);

    newton(line, delta, F, A, &here);
    for (int step = 0; step < steps_max; step++) {
        double dF = 0;
        double dA = 0;
        double gain = step_in_box(line, &here, F, A, &dF, &dA);

        newton(line, delta, clip(F + dF, line->F_max), clip(A + dA, line->A_max), &there);
        if (!(there.value < here.value) || !(gain > tolerance * here.value)) {
            quadratic above = here;

            majorise(line, delta, F, A, &above);
            gain = step_in_box(line, &above, F, A, &dF, &dA);
            if (!(gain > tolerance * here.value)) {
                break;
            }
            newton(line, delta, clip(F + dF, line->F_max), clip(A + dA, line->A_max), &there);
            if (!(there.value < here.value)) {
                break;
            }
        }
        F = clip(F + dF, line->F_max);
        A = clip(A + dA, line->A_max);
        here = there;
    }
    *fit = (dph_boxfit){.F = F, .A = A, .objective = here.value};
}

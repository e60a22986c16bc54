#include "l1line.h"

#include <math.h>

#include "../base/order.h"

#define ROUNDS_MAX 200
#define GAP 1e-15

/* The best sum at one A, and a slope of its tangent there. */
typedef struct {
    double A;
    double F;
    double value;
    double slope;
} tangent;

static tangent
touch(const dph_boxline *line, double *z, double A)
{
    tangent t = {.A = A};
    double above = 0;
    double below = 0;
    double tied = 0;
    double s_signed = 0;
    double s_tied = 0;
    double share = 0;

    for (int64_t i = 0; i < line->n; i++) {
        z[i] = line->y[i] - A * line->s[i];
    }
    t.F = dph_select(z, line->n, (line->n - 1) / 2);
    t.F = t.F < 0 ? 0 : t.F > line->F_max ? line->F_max : t.F;
    for (int64_t i = 0; i < line->n; i++) {
        double r = (line->y[i] - A * line->s[i]) - t.F;
        double up = r > 0 ? 1.0 : 0.0;
        double down = r < 0 ? 1.0 : 0.0;

        t.value += fabs(r);
        above += up;
        below += down;
        s_signed += (up - down) * line->s[i];
        s_tied += (1 - up - down) * line->s[i];
    }
    tied = (double)line->n - above - below;
    /* The signs of tied points are free in [-1, 1] but must make F stationary; at a bound of F they
     * may also leave a force that pushes F into it. */
    share = tied > 0 ? (below - above) / tied : 0;
    if ((t.F <= 0 && above <= below) || (t.F >= line->F_max && above >= below)) {
        share = 0;
    }
    t.slope = -(s_signed + share * s_tied);
    return t;
}

/* Where the two tangents meet, and their height there: nothing between them lies lower. */
static double
meet(const tangent *low, const tangent *high, double *A)
{
    double rise = high->slope - low->slope;

    *A = ((low->value - low->slope * low->A) - (high->value - high->slope * high->A)) / rise;
    if (!(*A > low->A && *A < high->A)) {
        *A = low->A + 0.5 * (high->A - low->A);
        return fmin(low->value + low->slope * (*A - low->A),
                    high->value + high->slope * (*A - high->A));
    }
    return low->value + low->slope * (*A - low->A);
}

static double
answer(const tangent *t, dph_boxfit *fit, double gap)
{
    *fit = (dph_boxfit){.F = t->F, .A = t->A, .objective = t->value};
    return gap > 0 ? gap : 0;
}

/* Widen [low, high] until it holds the minimum. 1 if it does, 0 if *low (then alone) is the answer.
 */
static int
bracket(const dph_boxline *line, double *z, double start, tangent *low, tangent *high)
{
    double step = fmax(1e-3 * start, 1e-6 * line->A_max);
    tangent here = touch(line, z, start);
    int down = here.slope > 0;

    *low = here;
    *high = here;
    while (here.slope != 0) {
        double A = down ? fmax(here.A - step, 0) : fmin(here.A + step, line->A_max);

        if (A == here.A) { /* at the bound, which it still falls towards */
            *low = here;
            return 0;
        }
        here = touch(line, z, A);
        if (down) {
            *low = here;
        } else {
            *high = here;
        }
        if ((here.slope > 0) != down) {
            return here.slope != 0 ? 1 : (*low = here, 0);
        }
        if (down) {
            *high = here;
        } else {
            *low = here;
        }
        step *= 8;
    }
    *low = here;
    return 0;
}

double
dph_l1line_fit(const dph_boxline *line, double *scratch, dph_boxfit *fit)
{
    double start = fit->A > 0 ? fmin(fit->A, line->A_max) : 0;
    tangent low;
    tangent high;
    double gap = 0;

    if (!bracket(line, scratch, start, &low, &high)) {
        return answer(&low, fit, 0);
    }
    for (int round = 0; round < ROUNDS_MAX; round++) {
        const tangent *best = low.value <= high.value ? &low : &high;
        double A = 0;
        tangent here;

        gap = best->value - meet(&low, &high, &A);
        if (!(gap > GAP * (best->value + line->F_max * (double)line->n))) {
            break;
        }
        if (round % 3 == 2) { /* where the slope would vanish if it were linear between the ends */
            double part = low.slope / (low.slope - high.slope);

            A = low.A + fmin(fmax(part, 0.05), 0.95) * (high.A - low.A);
        }
        if (!(A > low.A && A < high.A)) {
            break;
        }
        here = touch(line, scratch, A);
        if (here.slope == 0) {
            return answer(&here, fit, 0);
        }
        if (here.slope < 0) {
            low = here;
        } else {
            high = here;
        }
    }
    return answer(low.value <= high.value ? &low : &high, fit, gap);
}

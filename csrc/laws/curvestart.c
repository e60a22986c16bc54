#include "curvestart.h"

#include <math.h>
#include <string.h>

#include "../base/veclog.h"

#define LANES 8
#define FLAT 1e-13 /* a determinant below this share of its terms is rounding */

/* Sums over the points of a slice: of s, s^2 and s y. */
typedef struct {
    double s[LANES];
    double ss[LANES];
    double sy[LANES];
} lanes;

void
dph_curvestart_axes(int form, double tau_min, dph_curveaxis *axes)
{
    double spike = tau_min > 1e-9 ? log(60 / tau_min) : log(6e10);

    switch (form) {
    case DPH_SHAPE_LOG:
        axes[0] = (dph_curveaxis){log(1e-6), log(1e12), log(3e-2), log(1e6), 18};
        break;
    case DPH_SHAPE_EXPONENTIAL:
        axes[0] = (dph_curveaxis){log(1e-6), spike, log(3e-2), spike - log(6.0), 22};
        break;
    case DPH_SHAPE_POWER:
        axes[0] = (dph_curveaxis){log(1e-9), log(1e6), log(1e-4), log(30.0), 9};
        axes[1] = (dph_curveaxis){log(1e-8), log(1e7), log(5e-2), log(50.0), 8};
        break;
    default:
        axes[0] = (dph_curveaxis){log(1e-8), log(1e3), log(5e-2), log(10.0), 9};
        axes[1] = (dph_curveaxis){log(1e-7), log(1e9), log(1e-2), log(1e4), 8};
    }
}

int64_t
dph_curvestart_step(int64_t n)
{
    int64_t step = 1;

    while (n / step > DPH_CURVESTART_POINTS) {
        step *= 2;
    }
    return step;
}

size_t
dph_curvestart_scratch(void)
{
    return (size_t)5 * (DPH_CURVESTART_POINTS + 1);
}

static double
median(double a, double b, double c)
{
    return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

static double
fold(const double *sum)
{
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

/* Add points [from, to) to the lanes, whole rounds of them. */
DPH_CLONES static void
add(const double *s, const double *y, int64_t from, int64_t to, lanes *sum)
{
    for (int64_t i = from; i < to; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            sum->s[l] += s[i + l];
            sum->ss[l] += s[i + l] * s[i + l];
            sum->sy[l] += s[i + l] * y[i + l];
        }
    }
}

/* What of a slice does not depend on theta. */
typedef struct {
    int64_t n; /* points that are scanned */
    double count;
    double y, yy;
    double last_y; /* its last point, which no median of three reaches */
} fixed;

/* Least squares of y - level on 1 and s within the bounds. */
static void
solve(const fixed *f, double s, double ss, double sy, double level, double y_max, double *F,
      double *A, double *sum)
{
    double n = f->count;
    double det = n * ss - s * s;
    double a = det > FLAT * n * ss ? (n * sy - s * f->y) / det : 0;
    double c = 0;

    a = a > 0 ? fmin(a, 2 * y_max) : 0;
    c = (f->y - a * s) / n;
    if (c < -level || c > y_max - level) {
        c = c < -level ? -level : y_max - level;
        a = ss > 0 ? fmin(fmax((sy - c * s) / ss, 0), 2 * y_max) : 0;
    }
    *F = level + c;
    *A = a;
    *sum = fmax(f->yy - 2 * (c * f->y + a * sy) + c * c * n + 2 * c * a * s + a * a * ss, 0);
}

static double
node(const dph_curveaxis *axis, int i)
{
    return axis->first + (axis->last - axis->first) * i / (axis->n - 1);
}

int
dph_curvestart_scan(const dph_curveprefixes *prefixes, int form, const dph_curveaxis *axes,
                    double *scratch, double *F, double *A, double *sums)
{
    double *tau = scratch;
    double *y = tau + DPH_CURVESTART_POINTS + 1;
    double *s = y + DPH_CURVESTART_POINTS + 1;
    double *base = s + DPH_CURVESTART_POINTS + 1;
    double *part = base + DPH_CURVESTART_POINTS + 1;
    int64_t step = prefixes->step;
    int64_t longest = (prefixes->n[prefixes->n_slices - 1] + step - 1) / step;
    double level = prefixes->y[0];
    int two = dph_curveshape_n_theta(form) == 2;
    int n_second = two ? axes[1].n : 1;
    int n_nodes = axes[0].n * n_second;
    fixed slices[DPH_CURVESTART_SLICES];
    dph_curveshape shape;
    int64_t at = 0;
    double y_sum = 0;
    double yy_sum = 0;

    for (int64_t i = 0; i < longest; i++) {
        const double *here = prefixes->y + i * step;

        tau[i] = prefixes->tau[i * step];
        y[i] = i == 0 || i + 1 == longest ? *here : median(here[-step], *here, here[step]);
        y[i] -= level;
    }
    for (int k = 0; k < prefixes->n_slices; k++) {
        fixed *f = &slices[k];
        int64_t last = (prefixes->n[k] - 1) / step;

        /* all but the last point by their medians: those do not look beyond the slice */
        *f = (fixed){
            .n = last, .count = (double)(last + 1), .last_y = prefixes->y[last * step] - level};
        for (; at < last; at++) {
            y_sum += y[at];
            yy_sum += y[at] * y[at];
        }
        f->y = y_sum + f->last_y;
        f->yy = yy_sum + f->last_y * f->last_y;
    }
    dph_curveshape_open(&shape, form, tau, longest, base, part);
    for (int i = 0; i < n_nodes; i++) {
        double log_theta[2] = {node(&axes[0], i / n_second),
                               two ? node(&axes[1], i % n_second) : 0};
        lanes sum;

        memset(&sum, 0, sizeof sum);
        at = 0;
        dph_curveshape_values(&shape, log_theta, s);
        for (int k = 0; k < prefixes->n_slices; k++) {
            const fixed *f = &slices[k];
            int64_t whole = f->n - f->n % LANES;
            double end = s[f->n];
            double s1 = end;
            double s2 = end * end;
            double sy = end * f->last_y;
            int here = k * n_nodes + i;

            add(s, y, at, whole, &sum);
            at = whole;
            for (int64_t j = whole; j < f->n; j++) {
                s1 += s[j];
                s2 += s[j] * s[j];
                sy += s[j] * y[j];
            }
            solve(f, fold(sum.s) + s1, fold(sum.ss) + s2, fold(sum.sy) + sy, level,
                  prefixes->y_max[k], &F[here], &A[here], &sums[here]);
        }
    }
    return n_nodes;
}

/* 1 if no neighbour on the grid lies lower. */
static int
is_local_minimum(const double *sums, int n_first, int n_second, int at)
{
    int i = at / n_second;
    int j = at % n_second;

    for (int a = i > 0 ? i - 1 : 0; a <= i + 1 && a < n_first; a++) {
        for (int b = j > 0 ? j - 1 : 0; b <= j + 1 && b < n_second; b++) {
            if (sums[a * n_second + b] < sums[at]) {
                return 0;
            }
        }
    }
    return 1;
}

int
dph_curvestart_keep(dph_curveplace *list, int n, int most, const dph_curveplace *place)
{
    int at = n < most ? n : most - 1;

    if (n == most && !(place->sum < list[at].sum)) {
        return n;
    }
    while (at > 0 && place->sum < list[at - 1].sum) {
        list[at] = list[at - 1];
        at--;
    }
    list[at] = *place;
    return n < most ? n + 1 : most;
}

int
dph_curvestart_lowest(int form, const dph_curveaxis *axes, const double *F, const double *A,
                      const double *sums, int most, dph_curveplace *places)
{
    int two = dph_curveshape_n_theta(form) == 2;
    int n_second = two ? axes[1].n : 1;
    int n = 0;

    for (int at = 0; at < axes[0].n * n_second; at++) {
        if (is_local_minimum(sums, axes[0].n, n_second, at)) {
            dph_curveplace place = {
                .p = {F[at], A[at], node(&axes[0], at / n_second),
                      two ? node(&axes[1], at % n_second) : 0},
                .sum = sums[at],
            };

            n = dph_curvestart_keep(places, n, most, &place);
        }
    }
    return n;
}

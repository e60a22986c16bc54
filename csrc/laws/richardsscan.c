#include "richardsscan.h"

#include <math.h>

#include "../base/vecexp.h"
#include "../base/veclog.h"

#define MOST_HALVES 160
#define N_SHAPES 4
#define QUICK_SHAPES 2 /* the first of them */
#define QUICK_FIRST 2  /* steepnesses of the quick scan */
#define QUICK_LAST 4
#define N_GENTLE 5 /* of the steepnesses */
#define FITTED 0.1 /* share of the variance left at which a gentle curve fits */
#define N_FLAT 7   /* locations of the flattest curves, over the whole box */
#define MARGIN 0.6 /* widths of the data by which half height may lie outside */

static const double steepness[] = {0, 0.7, 2.5, 7, 16, 40, 100}; /* times 1 / width */
#define N_STEEP ((int)(sizeof steepness / sizeof steepness[0]))

typedef struct {
    double gd; /* sum w g (y - floor) */
    double gg; /* sum w g^2 */
} sums;

#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE inline
#endif

/* (1 / (1 + e))^v for v = 1/4, 1, 4, 16, by square roots and squares. */
static ALWAYS_INLINE double
curve(double e, int shape)
{
    double g = 1 / (1 + e);

    if (shape == 0) {
        return sqrt(sqrt(g));
    }
    for (int twice = 0; twice < 2 * (shape - 1); twice++) {
        g *= g;
    }
    return g;
}

/* Eight sums side by side: one register, and the same bits whatever its width. */
static ALWAYS_INLINE sums
curve_sums(const double *E, const double *wd, const double *w, double c, int shape, int64_t n)
{
    double gd[8] = {0};
    double gg[8] = {0};
    sums out = {0};
    int64_t i = 0;

    for (; i + 8 <= n; i += 8) {
        for (int l = 0; l < 8; l++) {
            double g = curve(E[i + l] * c, shape);

            gd[l] += wd[i + l] * g;
            gg[l] += w[i + l] * g * g;
        }
    }
    for (; i < n; i++) {
        double g = curve(E[i] * c, shape);

        gd[0] += wd[i] * g;
        gg[0] += w[i] * g * g;
    }
    for (int l = 0; l < 8; l++) {
        out.gd += gd[l];
        out.gg += gg[l];
    }
    return out;
}

DPH_CLONES static sums
quarter(const double *E, const double *wd, const double *w, double c, int64_t n)
{
    return curve_sums(E, wd, w, c, 0, n);
}

DPH_CLONES static sums
one(const double *E, const double *wd, const double *w, double c, int64_t n)
{
    return curve_sums(E, wd, w, c, 1, n);
}

DPH_CLONES static sums
four(const double *E, const double *wd, const double *w, double c, int64_t n)
{
    return curve_sums(E, wd, w, c, 2, n);
}

DPH_CLONES static sums
sixteen(const double *E, const double *wd, const double *w, double c, int64_t n)
{
    return curve_sums(E, wd, w, c, 3, n);
}

typedef sums (*summer)(const double *, const double *, const double *, double, int64_t);

/* Into the list, which is kept in order of value. */
static int
keep(dph_scan_start *starts, int n, const dph_scan_start *start)
{
    int place = n < DPH_SCAN_STARTS ? n : DPH_SCAN_STARTS - 1;

    if (n == DPH_SCAN_STARTS && !(start->value < starts[place].value)) {
        return n;
    }
    while (place > 0 && starts[place - 1].value > start->value) {
        starts[place] = starts[place - 1];
        place--;
    }
    starts[place] = *start;
    return n < DPH_SCAN_STARTS ? n + 1 : n;
}

static double
within(double value, double lo, double hi)
{
    return fmin(fmax(value, lo), hi);
}

int
dph_scan_curves(const dph_richards_data *data, const double *weights, const double *box,
                double x_min, double x_max, double variance, int quick, dph_scan_start *starts)
{
    static const double shapes[N_SHAPES] = {1, 4, 0.25, 16};
    static const summer summers[N_SHAPES] = {one, four, quarter, sixteen};
    int64_t n = data->n;
    double *E = data->work;
    double *wd = data->work + n;
    double width = x_max - x_min;
    double middle = x_min + 0.5 * width;
    double total = 0;
    double last_k = 0;
    int n_starts = 0;

    for (int64_t i = 0; i < n; i++) {
        double d = data->y[i] - data->floor;

        wd[i] = weights[i] * d;
        total += wd[i] * d;
    }
    for (int s = quick ? QUICK_FIRST : 0; s < (quick ? QUICK_LAST + 1 : N_STEEP); s++) {
        double k = within(steepness[s] / width, box[0], box[4]);
        double ln_k = log(k);
        int n_halves =
            s == 0 ? N_FLAT : (int)within((quick ? 0.35 : 3) * k * width + 5, 6, MOST_HALVES);

        if (k == last_k) {
            continue;
        }
        /* The steep curves take most of the time, and are for data that the others do not fit. */
        if (s >= N_GENTLE && n_starts > 0 && starts[0].value < FITTED * variance &&
            starts[0].ln_k < log(last_k)) {
            break;
        }
        last_k = k;
        for (int64_t i = 0; i < n; i++) {
            E[i] = within(-k * (data->x[i] - middle), -300, 300);
        }
        dph_exp_many(E, E, n);
        for (int v = 0; v < (quick ? QUICK_SHAPES : N_SHAPES); v++) {
            double shape = within(shapes[v], box[2], box[6]);
            double shift = log(expm1(log(2) / shapes[v])) / k;
            dph_scan_start row[MOST_HALVES];

            for (int h = 0; h < n_halves; h++) {
                double half = x_min - MARGIN * width +
                              (1 + 2 * MARGIN) * width * (double)h / (double)(n_halves - 1);
                double x0 = s == 0 ? box[1] + (box[5] - box[1]) * h / (N_FLAT - 1)
                                   : within(half + shift, box[1], box[5]);
                double c = exp(within(k * (x0 - middle), -300, 300));
                sums at = summers[v](E, wd, weights, c, n);
                double rise = within(at.gg > 0 ? at.gd / at.gg : INFINITY, box[3] - data->floor,
                                     box[7] - data->floor);

                row[h] = (dph_scan_start){.ln_k = ln_k,
                                          .x0 = x0,
                                          .ln_v = log(shape),
                                          .ceiling = data->floor + rise,
                                          .value = total - rise * (2 * at.gd - rise * at.gg)};
            }
            for (int h = 0; h < n_halves; h++) {
                if ((h == 0 || row[h].value <= row[h - 1].value) &&
                    (h == n_halves - 1 || row[h].value < row[h + 1].value)) {
                    n_starts = keep(starts, n_starts, &row[h]);
                }
            }
        }
    }
    if (n_starts == 0) { /* a scan without a single step down: all equal */
        starts[n_starts++] = (dph_scan_start){
            .ln_k = log(within(5 / width, box[0], box[4])),
            .x0 = within(middle, box[1], box[5]),
            .ln_v = within(0, log(box[2]), log(box[6])),
            .ceiling = within(0.95, box[3], box[7]),
            .value = total,
        };
    }
    return n_starts;
}

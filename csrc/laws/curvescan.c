#include "curvescan.h"

#include <math.h>

#include "../base/vecexp.h"
#include "../base/veclog.h"

#define MOST_HALVES 40
#define N_SHAPES 4
#define MARGIN 0.6 /* widths of the data by which half height may lie outside */

static const double steepness[] = {0.7, 2.5, 7, 16, 40, 100}; /* times 1 / width */
#define N_STEEP ((int)(sizeof steepness / sizeof steepness[0]))

typedef struct {
    double gd; /* sum w g (y - floor) */
    double gg; /* sum w g^2 */
} sums;

/* Sums for all shapes v = 1/4, 1, 4, 16 at once would share the division but not the location, so
 * each call does one: g = (1 / (1 + E c))^v by square roots or squares. */
DPH_CLONES static sums
curve_sums(const double *E, const double *wd, const double *w, double c, int shape, int64_t n)
{
    double gd[4] = {0};
    double gg[4] = {0};
    int64_t i = 0;

    for (; i + 4 <= n; i += 4) {
        for (int l = 0; l < 4; l++) {
            double g = 1 / (1 + E[i + l] * c);

            if (shape == 0) {
                g = sqrt(sqrt(g));
            } else if (shape >= 2) {
                g = g * g;
                g = g * g;
                if (shape == 3) {
                    g = g * g;
                    g = g * g;
                }
            }
            gd[l] += wd[i + l] * g;
            gg[l] += w[i + l] * g * g;
        }
    }
    for (; i < n; i++) {
        double g = 1 / (1 + E[i] * c);

        if (shape == 0) {
            g = sqrt(sqrt(g));
        } else if (shape >= 2) {
            g = g * g;
            g = g * g;
            if (shape == 3) {
                g = g * g;
                g = g * g;
            }
        }
        gd[0] += wd[i] * g;
        gg[0] += w[i] * g * g;
    }
    return (sums){(gd[0] + gd[1]) + (gd[2] + gd[3]), (gg[0] + gg[1]) + (gg[2] + gg[3])};
}

/* Into the list, which is kept in order of value. */
static int
keep(dph_scan_start *starts, int n, const dph_scan_start *one)
{
    int place = n < DPH_SCAN_STARTS ? n : DPH_SCAN_STARTS - 1;

    if (n == DPH_SCAN_STARTS && !(one->value < starts[place].value)) {
        return n;
    }
    while (place > 0 && starts[place - 1].value > one->value) {
        starts[place] = starts[place - 1];
        place--;
    }
    starts[place] = *one;
    return n < DPH_SCAN_STARTS ? n + 1 : n;
}

static double
within(double value, double lo, double hi)
{
    return fmin(fmax(value, lo), hi);
}

int
dph_scan_curves(const dph_richards_data *data, const double *weights, const double *box,
                double x_min, double x_max, dph_scan_start *starts)
{
    static const double shapes[N_SHAPES] = {0.25, 1, 4, 16};
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
    for (int s = 0; s < N_STEEP; s++) {
        double k = within(steepness[s] / width, box[0], box[4]);
        int n_halves = (int)within(0.35 * k * width + 6, 7, MOST_HALVES);

        if (k == last_k) {
            continue;
        }
        last_k = k;
        for (int64_t i = 0; i < n; i++) {
            E[i] = within(-k * (data->x[i] - middle), -300, 300);
        }
        dph_exp_many(E, E, n);
        for (int v = 0; v < N_SHAPES; v++) {
            double shape = within(shapes[v], box[2], box[6]);
            double shift = log(expm1(log(2) / shapes[v])) / k;
            dph_scan_start row[MOST_HALVES];

            for (int h = 0; h < n_halves; h++) {
                double half = x_min - MARGIN * width +
                              (1 + 2 * MARGIN) * width * (double)h / (double)(n_halves - 1);
                double x0 = within(half + shift, box[1], box[5]);
                double c = exp(within(k * (x0 - middle), -300, 300));
                sums at = curve_sums(E, wd, weights, c, v, n);
                double rise = within(at.gg > 0 ? at.gd / at.gg : INFINITY, box[3] - data->floor,
                                     box[7] - data->floor);

                row[h] = (dph_scan_start){.ln_k = log(k),
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

#include "line.h"

#include <math.h>

static void
no_line(dph_line *out, int64_t n, int32_t status)
{
    *out = (dph_line){.n = n,
                      .slope = NAN,
                      .intercept = NAN,
                      .x_mean = NAN,
                      .y_mean = NAN,
                      .sxx = NAN,
                      .rss = NAN,
                      .se_slope = NAN,
                      .se_intercept = NAN,
                      .status = status};
}

void
dph_line_fit(const double *x, const double *y, int64_t n, dph_line *out)
{
    double count = (double)n;
    double sum_x = 0;
    double sum_y = 0;
    double sxx = 0;
    double sxy = 0;
    double rss = 0;
    double x_mean = 0;
    double y_mean = 0;
    double slope = 0;
    int equal = 1;

    if (n < 2) {
        no_line(out, n, DPH_E_TOO_FEW_POINTS);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        sum_x += x[i];
        sum_y += y[i];
        equal &= x[i] == x[0];
    }
    x_mean = sum_x / count;
    y_mean = sum_y / count;
    if (!isfinite(x_mean) || !isfinite(y_mean)) {
        no_line(out, n, DPH_E_BAD_VALUE);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        double dx = x[i] - x_mean;
        sxx += dx * dx;
        sxy += dx * (y[i] - y_mean);
    }
    if (equal || !(sxx > 0)) {
        no_line(out, n, DPH_E_EQUAL_X);
        return;
    }
    slope = sxy / sxx;
    for (int64_t i = 0; i < n; i++) {
        double residual = (y[i] - y_mean) - slope * (x[i] - x_mean);
        rss += residual * residual;
    }
    *out = (dph_line){.n = n,
                      .slope = slope,
                      .intercept = y_mean - slope * x_mean,
                      .x_mean = x_mean,
                      .y_mean = y_mean,
                      .sxx = sxx,
                      .rss = rss,
                      .se_slope = NAN,
                      .se_intercept = NAN,
                      .status = n == 2 ? DPH_W_SATURATED : DPH_OK};
    if (n > 2) {
        double variance = rss / (count - 2);
        out->se_slope = sqrt(variance / sxx);
        out->se_intercept = sqrt(variance * (1 / count + x_mean * x_mean / sxx));
    }
}

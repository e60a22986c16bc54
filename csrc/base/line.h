/* A straight line y = intercept + slope x by least squares, about the means so that nothing
 * cancels. */
#ifndef DPH_LINE_H
#define DPH_LINE_H

#include <stdint.h>

#include "status.h"

typedef struct {
    int64_t n;
    double slope;
    double intercept; /* at x = 0 */
    double x_mean;
    double y_mean;
    double sxx;          /* sum (x - x_mean)^2 */
    double rss;          /* residual sum of squares */
    double se_slope;     /* NaN with two points */
    double se_intercept; /* NaN with two points */
    int32_t status;      /* DPH_OK, DPH_W_SATURATED (two points), or DPH_E_* */
    int32_t reserved;
} dph_line;

/* Fit n points; NaN fields and DPH_E_TOO_FEW_POINTS (n < 2), DPH_E_EQUAL_X or DPH_E_BAD_VALUE where
 * there is no line.
 *
 * x, y  double[n], any units;  out  one record
 */
void dph_line_fit(const double *x, const double *y, int64_t n, dph_line *out);

#endif

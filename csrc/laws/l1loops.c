#include "l1loops.h"

#include <math.h>

#include "../base/veclog.h"
#include "l1step.h"

#define K DPH_L1STEP_MAX
#define TINY 1e-13     /* of a slope: falling no faster is not falling */
#define ROUNDING 4e-15 /* of its terms: a residual below it is zero */
#define LANES 8

static inline double
fold(const double *sum)
{
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

/* The sum of |r|, of sign(r) times each column, and how many r are zero. */
DPH_CLONES double
dph_l1loops_look(const double *r, const double *const *J, int64_t n, double *g, double *zeros)
{
    double lane[K + 2][LANES] = {{0}};
    const double *a = J[0];
    const double *b = J[1];
    const double *c = J[2];
    const double *d = J[3];
    int64_t whole = n - n % LANES;

    for (int64_t i = 0; i < whole; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            double e = r[i + l];
            double sign = (e > 0 ? 1.0 : 0.0) - (e < 0 ? 1.0 : 0.0);

            lane[0][l] += sign * a[i + l];
            lane[1][l] += sign * b[i + l];
            lane[2][l] += sign * c[i + l];
            lane[3][l] += sign * d[i + l];
            lane[4][l] += fabs(e);
            lane[5][l] += e == 0 ? 1.0 : 0.0;
        }
    }
    for (int64_t i = whole; i < n; i++) {
        double e = r[i];
        double sign = (e > 0 ? 1.0 : 0.0) - (e < 0 ? 1.0 : 0.0);
        int l = (int)(i - whole);

        lane[0][l] += sign * a[i];
        lane[1][l] += sign * b[i];
        lane[2][l] += sign * c[i];
        lane[3][l] += sign * d[i];
        lane[4][l] += fabs(e);
        lane[5][l] += e == 0 ? 1.0 : 0.0;
    }
    for (int j = 0; j < K; j++) {
        g[j] = -fold(lane[j]);
    }
    *zeros = fold(lane[5]);
    return fold(lane[4]);
}

/* The residuals at d: zero where only rounding is left of them. */
DPH_CLONES void
dph_l1loops_residuals(const double *start, const double *const *J, const double *d, int64_t n,
                      double *r)
{
    const double *a = J[0];
    const double *b = J[1];
    const double *c = J[2];
    const double *e = J[3];

    for (int64_t i = 0; i < n; i++) {
        double t0 = a[i] * d[0];
        double t1 = b[i] * d[1];
        double t2 = c[i] * d[2];
        double t3 = e[i] * d[3];
        double left = (((start[i] - t0) - t1) - t2) - t3;
        double size = fabs(start[i]) + fabs(t0) + fabs(t1) + fabs(t2) + fabs(t3);

        r[i] = fabs(left) > ROUNDING * size ? left : 0;
    }
}

DPH_CLONES double
dph_l1loops_size(const double *x, int64_t n)
{
    double lane[LANES] = {0};
    int64_t whole = n - n % LANES;

    for (int64_t i = 0; i < whole; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            lane[l] += fabs(x[i + l]);
        }
    }
    for (int64_t i = whole; i < n; i++) {
        lane[i - whole] += fabs(x[i]);
    }
    return fold(lane);
}

/* Where residuals change sign along v, infinite where they do not before `most`; what the slope
 * grows by there. A twin of a held row stays at zero with it. */
DPH_CLONES void
dph_l1loops_crossings(const double *r, const double *const *J, const double *v, int64_t n,
                      double most, double *t, double *weight)
{
    const double *a = J[0];
    const double *b = J[1];
    const double *c = J[2];
    const double *d = J[3];

    for (int64_t i = 0; i < n; i++) {
        double t0 = a[i] * v[0];
        double t1 = b[i] * v[1];
        double t2 = c[i] * v[2];
        double t3 = d[i] * v[3];
        double loses = ((t0 + t1) + t2) + t3;
        double size = fabs(t0) + fabs(t1) + fabs(t2) + fabs(t3);
        double at = r[i] / (loses != 0 ? loses : 1.0);
        double counts = (fabs(loses) > TINY * size ? 1.0 : 0.0) * (at > 0 ? 1.0 : 0.0) *
                        (at < most ? 1.0 : 0.0);

        t[i] = counts > 0 ? at : INFINITY;
        weight[i] = 2 * fabs(loses);
    }
}

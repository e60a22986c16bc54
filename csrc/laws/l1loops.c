#include "l1loops.h"

#include <math.h>

#include "../base/lanes.h"
#include "../base/veclog.h"
#include "l1step.h"

#define K DPH_L1STEP_MAX
#define TINY 1e-13     /* of a slope: falling no faster is not falling */
#define ROUNDING 4e-15 /* of its terms: a residual below it is zero */

/* The body is written once for any number of columns and compiled for each. */
DPH_LANES_INLINE double
look(const double *start, const double *const *J, int k, const double *d, int64_t n, double *r,
     double *g, int64_t *zeros)
{
    dph_lanes pull[K];
    dph_lanes sum = {0};
    dph_marks none = {0};
    int64_t count = 0;

    for (int j = 0; j < k; j++) {
        pull[j] = dph_lanes_all(0);
    }
    for (int64_t i = 0; i < n; i += DPH_LANES) {
        dph_lanes x[K];
        dph_lanes left = dph_lanes_load(start + i);
        dph_lanes size = dph_lanes_abs(left);
        dph_lanes sign;

        for (int j = 0; j < k; j++) {
            dph_lanes term;

            x[j] = dph_lanes_load(J[j] + i);
            term = x[j] * d[j];
            left -= term;
            size += dph_lanes_abs(term);
        }
        left = dph_lanes_where(dph_lanes_abs(left) > ROUNDING * size, left);
        dph_lanes_store(left, r + i);
        sign = dph_lanes_where(left > 0, dph_lanes_all(1)) -
               dph_lanes_where(left < 0, dph_lanes_all(1));
        for (int j = 0; j < k; j++) {
            pull[j] += sign * x[j];
        }
        sum += dph_lanes_abs(left);
        none -= left == 0;
    }
    for (int j = 0; j < k; j++) {
        g[j] = -dph_lanes_sum(pull[j]);
    }
    for (int l = 0; l < DPH_LANES; l++) {
        count += none[l];
    }
    *zeros = count;
    return dph_lanes_sum(sum);
}

DPH_CLONES double
dph_l1loops_look(const double *start, const double *const *J, int k, const double *d, int64_t n,
                 double *r, double *g, int64_t *zeros)
{
    switch (k) {
    case 1:
        return look(start, J, 1, d, n, r, g, zeros);
    case 2:
        return look(start, J, 2, d, n, r, g, zeros);
    case 3:
        return look(start, J, 3, d, n, r, g, zeros);
    default:
        return look(start, J, K, d, n, r, g, zeros);
    }
}

DPH_CLONES double
dph_l1loops_take(const double *x, int64_t n_rows, double *y)
{
    dph_lanes sum = {0};
    int64_t whole = n_rows - n_rows % DPH_LANES;

    for (int64_t i = 0; i < whole; i += DPH_LANES) {
        dph_lanes v = dph_lanes_load(x + i);

        dph_lanes_store(v, y + i);
        sum += dph_lanes_abs(v);
    }
    if (whole < n_rows) {
        dph_lanes v = dph_lanes_load_part(x + whole, n_rows - whole);

        dph_lanes_store(v, y + whole);
        sum += dph_lanes_abs(v);
    }
    return dph_lanes_sum(sum);
}

/* A twin of a held row stays at zero with it. */
DPH_LANES_INLINE double
crossings(const double *r, const double *const *J, int k, const double *v, int64_t n, double most,
          double *t, double *weight)
{
    dph_lanes least = dph_lanes_all(INFINITY);

    for (int64_t i = 0; i < n; i += DPH_LANES) {
        dph_lanes loses = {0};
        dph_lanes size = {0};
        dph_lanes at;
        dph_marks counts;

        for (int j = 0; j < k; j++) {
            dph_lanes term = dph_lanes_load(J[j] + i) * v[j];

            loses += term;
            size += dph_lanes_abs(term);
        }
        counts = dph_lanes_abs(loses) > TINY * size;
        at = dph_lanes_load(r + i) / dph_lanes_choose(counts, loses, dph_lanes_all(1));
        counts &= (at > 0) & (at < most);
        at = dph_lanes_choose(counts, at, dph_lanes_all(INFINITY));
        dph_lanes_store(at, t + i);
        dph_lanes_store(2 * dph_lanes_abs(loses), weight + i);
        least = dph_lanes_choose(at < least, at, least);
    }
    for (int l = 1; l < DPH_LANES; l++) {
        least[0] = least[l] < least[0] ? least[l] : least[0];
    }
    return least[0];
}

DPH_CLONES double
dph_l1loops_crossings(const double *r, const double *const *J, int k, const double *v, int64_t n,
                      double most, double *t, double *weight)
{
    switch (k) {
    case 1:
        return crossings(r, J, 1, v, n, most, t, weight);
    case 2:
        return crossings(r, J, 2, v, n, most, t, weight);
    case 3:
        return crossings(r, J, 3, v, n, most, t, weight);
    default:
        return crossings(r, J, K, v, n, most, t, weight);
    }
}

DPH_CLONES double
dph_l1loops_nearest(const double *t, int64_t n)
{
    dph_lanes least = dph_lanes_load(t);

    for (int64_t i = DPH_LANES; i < n; i += DPH_LANES) {
        dph_lanes at = dph_lanes_load(t + i);

        least = dph_lanes_choose(at < least, at, least);
    }
    for (int l = 1; l < DPH_LANES; l++) {
        least[0] = least[l] < least[0] ? least[l] : least[0];
    }
    return least[0];
}

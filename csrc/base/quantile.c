#include "quantile.h"

#include <math.h>

#include "order.h"

#define FEW 24 /* values up to which sorting them is quickest */

static void
swap(double *a, double *b)
{
    double kept = *a;

    *a = *b;
    *b = kept;
}

/* Put the value of rank k of x[lo .. hi] in its place, no larger ones before it, no smaller ones
 * after it. Quickselect; what it cannot halve within a few times log2(n) steps is sorted. */
static void
select_rank(double *x, int64_t lo, int64_t hi, int64_t k)
{
    int steps = 8;

    for (int64_t n = hi - lo; n > 0; n >>= 1) {
        steps += 3;
    }
    while (hi - lo > FEW && steps-- > 0) {
        int64_t i = lo;
        int64_t j = hi;
        double pivot = 0;
        int64_t mid = lo + (hi - lo) / 2;

        if (x[mid] < x[lo]) {
            swap(&x[mid], &x[lo]);
        }
        if (x[hi] < x[lo]) {
            swap(&x[hi], &x[lo]);
        }
        if (x[hi] < x[mid]) {
            swap(&x[hi], &x[mid]);
        }
        pivot = x[mid];
        while (i <= j) {
            while (x[i] < pivot) {
                i++;
            }
            while (pivot < x[j]) {
                j--;
            }
            if (i <= j) {
                swap(&x[i++], &x[j--]);
            }
        }
        if (k <= j) {
            hi = j;
        } else if (k >= i) {
            lo = i;
        } else {
            return;
        }
    }
    dph_sort_rows(x + lo, hi - lo + 1, 1);
}

void
dph_quantiles(double *x, int64_t n, const double *q, int64_t n_q, double *out)
{
    int64_t from = 0; /* everything before it is no larger than what follows */

    for (int64_t i = 0; i < n_q; i++) {
        double rank = q[i] * (double)(n - 1);
        int64_t k = 0;
        double part = 0;
        double low = 0;
        double high = 0;

        if (n < 1) {
            out[i] = NAN;
            continue;
        }
        k = (int64_t)rank < n - 1 ? (int64_t)rank : n - 1;
        part = rank - (double)k;
        select_rank(x, from, n - 1, k);
        from = k;
        low = x[k];
        high = low;
        if (k + 1 < n) {
            high = x[k + 1];
            for (int64_t j = k + 2; j < n; j++) {
                high = x[j] < high ? x[j] : high;
            }
        }
        if (!(part > 0) || low == high || isinf(low)) {
            out[i] = low;
        } else if (isinf(high)) {
            out[i] = high;
        } else if (part < 0.5) { /* from the nearer end, so that both ends are met exactly */
            out[i] = low + (high - low) * part;
        } else {
            out[i] = high - (high - low) * (1 - part);
        }
    }
}

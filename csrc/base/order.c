#include "order.h"

#include <string.h>

#define INSERTION 32 /* rows up to which moving one at a time is quicker */
#define SELECT_ROUNDS 60

static int
before(const double *u, const double *v, int width)
{
    int k = 0;

    while (k < width - 1 && u[k] == v[k]) {
        k++;
    }
    return u[k] < v[k];
}

static void
insertion_sort(double *rows, int64_t n, int width)
{
    size_t size = (size_t)width * sizeof *rows;
    double row[DPH_ORDER_MAX_WIDTH];

    for (int64_t i = 1; i < n; i++) {
        int64_t at = i;

        memcpy(row, rows + i * width, size);
        while (at > 0 && before(row, rows + (at - 1) * width, width)) {
            memcpy(rows + at * width, rows + (at - 1) * width, size);
            at--;
        }
        memcpy(rows + at * width, row, size);
    }
}

/* Let the row at `root` sink until no child of it is larger. */
static void
sift(double *rows, int64_t root, int64_t n, int width)
{
    size_t size = (size_t)width * sizeof *rows;
    double row[DPH_ORDER_MAX_WIDTH];

    memcpy(row, rows + root * width, size);
    for (int64_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
        if (child + 1 < n && before(rows + child * width, rows + (child + 1) * width, width)) {
            child++;
        }
        if (!before(row, rows + child * width, width)) {
            break;
        }
        memcpy(rows + root * width, rows + child * width, size);
        root = child;
    }
    memcpy(rows + root * width, row, size);
}

void
dph_sort_rows(double *rows, int64_t n, int width)
{
    size_t size = (size_t)width * sizeof *rows;
    double row[DPH_ORDER_MAX_WIDTH];

    if (n <= INSERTION) {
        insertion_sort(rows, n, width);
        return;
    }
    for (int64_t root = n / 2 - 1; root >= 0; root--) {
        sift(rows, root, n, width);
    }
    for (int64_t last = n - 1; last > 0; last--) {
        memcpy(row, rows, size);
        memcpy(rows, rows + last * width, size);
        memcpy(rows + last * width, row, size);
        sift(rows, 0, last, width);
    }
}

static double
middle_of(double a, double b, double c)
{
    double low = a < b ? a : b;
    double high = a < b ? b : a;

    return c < low ? low : c > high ? high : c;
}

double
dph_select(double *x, int64_t n, int64_t k)
{
    int64_t first = 0;
    int64_t last = n - 1;

    for (int round = 0; last - first > INSERTION; round++) {
        double pivot = middle_of(x[first], x[first + (last - first) / 2], x[last]);
        int64_t i = first;
        int64_t j = last;

        if (round == SELECT_ROUNDS) { /* an unlucky order: sorting bounds the work */
            dph_sort_rows(x + first, last - first + 1, 1);
            return x[k];
        }
        while (i <= j) {
            while (x[i] < pivot) {
                i++;
            }
            while (x[j] > pivot) {
                j--;
            }
            if (i <= j) {
                double held = x[i];

                x[i++] = x[j];
                x[j--] = held;
            }
        }
        if (k <= j) {
            last = j;
        } else if (k >= i) {
            first = i;
        } else {
            return x[k];
        }
    }
    insertion_sort(x + first, last - first + 1, 1);
    return x[k];
}

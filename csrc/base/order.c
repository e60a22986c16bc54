#include "order.h"

#include <string.h>

#define INSERTION 32 /* rows up to which moving one at a time is quicker */

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

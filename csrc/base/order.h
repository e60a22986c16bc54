/* Sorting without allocation. */
#ifndef DPH_ORDER_H
#define DPH_ORDER_H

#include <stdint.h>

#define DPH_ORDER_MAX_WIDTH 4

/* Sort rows, double[n][width] with 1 <= width <= DPH_ORDER_MAX_WIDTH, by their first value, ties by
 * the second, and so on; finite values only. Rows that are equal are alike, so the result does not
 * depend on the order they came in.
 */
void dph_sort_rows(double *rows, int64_t n, int width);

/* The k-th smallest of x, double[n] of finite values, 0 <= k < n; rearranges x. */
double dph_select(double *x, int64_t n, int64_t k);

#endif

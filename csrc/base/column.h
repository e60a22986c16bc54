/* Facts about one column of numbers. */
#ifndef DPH_COLUMN_H
#define DPH_COLUMN_H

#include <stdint.h>

#define DPH_DISTINCT_MAX 6

typedef struct {
    double min;
    double max;
    int distinct; /* number of distinct values, counted up to DPH_DISTINCT_MAX */
    int finite;   /* 1 if every value is */
} dph_column;

/* Summarise x, double[n]; n = 0 gives NaN bounds and no distinct values. */
dph_column dph_column_summary(const double *x, int64_t n);

/* 1 if every value of x, double[n], is finite. */
int dph_column_finite(const double *x, int64_t n);

#endif

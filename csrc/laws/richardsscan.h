/* Starts for a Richards curve: a coarse look at steepness, shape and half height over the data. */
#ifndef DPH_RICHARDSSCAN_H
#define DPH_RICHARDSSCAN_H

#include <stdint.h>

#include "richards_residuals.h"

#define DPH_SCAN_STARTS 32

typedef struct {
    double ln_k;
    double x0;
    double ln_v;
    double ceiling;
    double value; /* weighted sum of squares */
} dph_scan_start;

/* Fill starts[DPH_SCAN_STARTS] in order of value, local minima of the scan only; returns how many
 * (at least one).
 *
 * weights   double[n] of the squared residuals;  box  see richards.h;  uses data->work[2 n]
 * variance  weighted sum of squares about the weighted mean
 * quick     a third of the work: enough where the points show one curve
 */
int dph_scan_curves(const dph_richards_data *data, const double *weights, const double *box,
                    double x_min, double x_max, double variance, int quick, dph_scan_start *starts);

#endif

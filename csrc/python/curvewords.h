/* Options that fits of learning curves share. */
#ifndef DPH_CURVEWORDS_H
#define DPH_CURVEWORDS_H

#include "numpy_api.h"

/* A word or a sequence of distinct words as places in their list; all where obj is NULL. The number
 * of them, or -1 with an exception.
 *
 * out  int[DPH_N_SHAPES], int[DPH_N_CURVE_LOSSES]
 */
int dph_curve_forms(PyObject *obj, int *out);
int dph_curve_losses(PyObject *obj, int *out);

/* delta of Huber's loss, NaN for NULL and None. 0, or -1 with an exception. */
int dph_curve_delta(PyObject *obj, double *delta);

#endif

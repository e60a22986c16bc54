#include "svd.h"

#include <math.h>

#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>

int
dph_svd(double *a, int64_t n_rows, int64_t n_cols, double *v, double *s, double *work)
{
    gsl_matrix_view matrix;
    gsl_matrix_view right;
    gsl_vector_view values;
    gsl_matrix_view square;
    gsl_vector_view spare;

    if (n_cols < 1 || n_rows < n_cols) {
        return DPH_E_ARGUMENT;
    }
    for (int64_t i = 0; i < n_rows * n_cols; i++) {
        if (!isfinite(a[i])) {
            return DPH_E_NO_CONVERGENCE;
        }
    }
    matrix = gsl_matrix_view_array(a, (size_t)n_rows, (size_t)n_cols);
    right = gsl_matrix_view_array(v, (size_t)n_cols, (size_t)n_cols);
    values = gsl_vector_view_array(s, (size_t)n_cols);
    square = gsl_matrix_view_array(work, (size_t)n_cols, (size_t)n_cols);
    spare = gsl_vector_view_array(work + n_cols * n_cols, (size_t)n_cols);
    if (gsl_linalg_SV_decomp_mod(&matrix.matrix, &square.matrix, &right.matrix, &values.vector,
                                 &spare.vector) != GSL_SUCCESS) {
        return DPH_E_NO_CONVERGENCE;
    }
    for (int64_t j = 0; j < n_cols; j++) {
        if (!isfinite(s[j])) {
            return DPH_E_NO_CONVERGENCE;
        }
    }
    return DPH_OK;
}

#include "bindings.h"

#include <stddef.h>

#include "../base/line.h"
#include "args.h"

#define FIELD(name, format) {#name, format, offsetof(dph_line, name)}

static const dph_field fields[] = {
    FIELD(n, "i8"),      FIELD(slope, "f8"),    FIELD(intercept, "f8"),
    FIELD(x_mean, "f8"), FIELD(y_mean, "f8"),   FIELD(sxx, "f8"),
    FIELD(rss, "f8"),    FIELD(se_slope, "f8"), FIELD(se_intercept, "f8"),
    FIELD(status, "i4"),
};

const char dph_line_doc[] =
    "line_fit(x, y, offsets)\n--\n\n"
    "Fit y = intercept + slope x by least squares, one line a group.\n\n"
    "x, y : (n,) float64.\n"
    "offsets : (n_groups + 1,) int64; group g owns rows offsets[g] to offsets[g + 1].\n\n"
    "Returns an array of `line_dtype`, one record a group, each with its status.";

PyArray_Descr *
dph_py_line_type(void)
{
    return dph_args_record_type(fields, (int)(sizeof fields / sizeof fields[0]), sizeof(dph_line));
}

PyObject *
dph_py_line_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {{"x", 1}, {"y", 1}, {"offsets", 1}};
    dph_module_state *state = PyModule_GetState(module);
    PyObject *values[3];
    PyArrayObject *x = NULL;
    PyArrayObject *y = NULL;
    PyArrayObject *offsets = NULL;
    PyObject *out = NULL;
    int64_t n_groups = 0;
    npy_intp shape = 0;

    if (dph_args_parse("line_fit", spec, 3, 3, args, n_args, names, values) < 0) {
        return NULL;
    }
    x = dph_args_column(values[0], "x", -1);
    if (x == NULL) {
        goto out;
    }
    y = dph_args_column(values[1], "y", PyArray_DIM(x, 0));
    if (y == NULL) {
        goto out;
    }
    offsets = dph_args_offsets(values[2], "offsets", PyArray_DIM(x, 0), &n_groups);
    if (offsets == NULL) {
        goto out;
    }
    shape = (npy_intp)n_groups;
    Py_INCREF(state->types[DPH_TYPE_LINE]);
    out = PyArray_Zeros(1, &shape, state->types[DPH_TYPE_LINE], 0);
    if (out != NULL) {
        const double *xs = PyArray_DATA(x);
        const double *ys = PyArray_DATA(y);
        const int64_t *at = PyArray_DATA(offsets);
        dph_line *lines = PyArray_DATA((PyArrayObject *)out);

        Py_BEGIN_ALLOW_THREADS for (int64_t g = 0; g < n_groups; g++)
        {
            dph_line_fit(xs + at[g], ys + at[g], at[g + 1] - at[g], &lines[g]);
        }
        Py_END_ALLOW_THREADS
    }

out:
    Py_XDECREF(x);
    Py_XDECREF(y);
    Py_XDECREF(offsets);
    return out;
}

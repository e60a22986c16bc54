#include "bindings.h"

#include <stddef.h>

#include "../base/groups.h"
#include "../laws/ridge.h"
#include "args.h"

#define FIELD(name, format) {#name, format, offsetof(dph_ridge, name)}

static const dph_field fields[] = {
    FIELD(n, "i8"),   FIELD(intercept, "f8"), FIELD(lambda, "f8"), FIELD(edf, "f8"),
    FIELD(rss, "f8"), FIELD(sigma, "f8"),     FIELD(gcv, "f8"),    FIELD(loo, "f8"),
    FIELD(r2, "f8"),  FIELD(condition, "f8"), FIELD(status, "i4"),
};

const char dph_ridge_doc[] =
    "ridge_fit(features, target, offsets, *, ridge='gcv', strength=0.0, standardize=True, "
    "covariance=False, n_threads=1, progress=None)\n--\n\n"
    "Ridge regression with a free intercept, one a group.\n\n"
    "features : (n, n_features) float64.\n"
    "target : (n,) float64.\n"
    "offsets : (n_groups + 1,) int64; group g owns rows offsets[g] to offsets[g + 1].\n"
    "ridge : 'gcv' or 'loo' (the penalty is searched), or 'fixed'.\n"
    "strength : the penalty where it is fixed, >= 0: strength n |b|^2 in scaled columns.\n"
    "standardize : scale columns to unit variance in each group.\n"
    "covariance : also give that of intercept and coefficients, over sigma^2.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns (coefficients, covariance, records): (n_groups, n_features), (n_groups, n_features + "
    "1,"
    " n_features + 1) or None, and (n_groups,) of `ridge_dtype`.";

PyArray_Descr *
dph_py_ridge_type(void)
{
    return dph_args_record_type(fields, (int)(sizeof fields / sizeof fields[0]), sizeof(dph_ridge));
}

typedef struct {
    dph_workshop shop;
    dph_ridge_batch batch;
    dph_ridge_options options;
    double *coefficients;
    double *covariance;
    dph_ridge *out;
} job;

static int
task(void *ctx, int64_t begin, int64_t end, int worker)
{
    job *j = ctx;
    dph_ridge_options options = j->options;

    options.stopped = &j->shop.stopped;
    dph_ridge_fit(&j->batch, begin, end, &options, j->shop.scratch[worker], j->coefficients,
                  j->covariance, j->out);
    return DPH_OK;
}

/* A table of n rows as a C-contiguous float64 array. NULL with an exception. */
static PyArrayObject *
table(PyObject *obj, const char *name, npy_intp n)
{
    PyObject *made = PyArray_FROM_OTF(obj, NPY_DOUBLE, NPY_ARRAY_IN_ARRAY);
    PyArrayObject *array = (PyArrayObject *)made;

    if (made == NULL) {
        return NULL;
    }
    if (PyArray_NDIM(array) != 2 || PyArray_DIM(array, 0) != n || PyArray_DIM(array, 1) < 1 ||
        PyArray_DIM(array, 1) > DPH_RIDGE_FEATURES) {
        PyErr_Format(PyExc_ValueError, "%s: expected %zd rows of 1 to %d values", name,
                     (Py_ssize_t)n, DPH_RIDGE_FEATURES);
        Py_DECREF(made);
        return NULL;
    }
    return array;
}

/* 1 or 0 for an optional truth value, -1 with an exception. */
static int
truth(PyObject *obj, int fallback)
{
    return obj != NULL ? PyObject_IsTrue(obj) : fallback;
}

PyObject *
dph_py_ridge_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {{"features", 1},   {"target", 1},    {"offsets", 1},
                                   {"ridge", 0},      {"strength", 0},  {"standardize", 0},
                                   {"covariance", 0}, {"n_threads", 0}, {"progress", 0}};
    static const char *const rules[DPH_RIDGE_RULES] = {"gcv", "loo", "fixed"};
    dph_module_state *state = PyModule_GetState(module);
    PyObject *values[9];
    PyArrayObject *features = NULL;
    PyArrayObject *target = NULL;
    PyArrayObject *offsets = NULL;
    PyObject *coefficients = NULL;
    PyObject *covariance = NULL;
    PyObject *records = NULL;
    PyObject *result = NULL;
    job j = {0};
    int64_t n_groups = 0;
    int64_t n_threads = 0;
    int64_t largest = 0;
    int wanted = 0;
    double n = 0;
    npy_intp shape[3] = {0, 0, 0};

    if (dph_args_parse("ridge_fit", spec, 9, 3, args, n_args, names, values) < 0 ||
        dph_args_word(values[3], "ridge", rules, DPH_RIDGE_RULES, DPH_RIDGE_GCV, &j.options.rule) <
            0 ||
        dph_args_int(values[7], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    j.options.standardise = truth(values[5], 1);
    wanted = truth(values[6], 0);
    if (j.options.standardise < 0 || wanted < 0) {
        return NULL;
    }
    j.options.lambda = values[4] != NULL ? PyFloat_AsDouble(values[4]) : 0;
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (!(j.options.lambda >= 0 && j.options.lambda < 1e300)) {
        PyErr_SetString(PyExc_ValueError, "strength: expected a finite number of at least 0");
        return NULL;
    }
    j.options.lambda_lo = 1e-12;
    j.options.lambda_hi = 1e3;
    target = dph_args_column(values[1], "target", -1);
    if (target == NULL) {
        goto out;
    }
    offsets = dph_args_offsets(values[2], "offsets", PyArray_DIM(target, 0), &n_groups);
    features = offsets != NULL ? table(values[0], "features", PyArray_DIM(target, 0)) : NULL;
    if (features == NULL) {
        goto out;
    }
    j.batch = (dph_ridge_batch){.features = PyArray_DATA(features),
                                .target = PyArray_DATA(target),
                                .offsets = PyArray_DATA(offsets),
                                .n_features = (int)PyArray_DIM(features, 1)};
    shape[0] = (npy_intp)n_groups;
    shape[1] = PyArray_DIM(features, 1);
    coefficients = PyArray_ZEROS(2, shape, NPY_DOUBLE, 0);
    Py_INCREF(state->types[DPH_TYPE_RIDGE]);
    records = PyArray_Zeros(1, shape, state->types[DPH_TYPE_RIDGE], 0);
    shape[1] += 1;
    shape[2] = shape[1];
    covariance = wanted ? PyArray_ZEROS(3, shape, NPY_DOUBLE, 0) : Py_NewRef(Py_None);
    if (coefficients == NULL || records == NULL || covariance == NULL) {
        goto out;
    }
    j.coefficients = PyArray_DATA((PyArrayObject *)coefficients);
    j.covariance = wanted ? PyArray_DATA((PyArrayObject *)covariance) : NULL;
    j.out = PyArray_DATA((PyArrayObject *)records);
    largest = dph_groups_largest(j.batch.offsets, n_groups);
    n = (double)PyArray_DIM(target, 0) / (double)(n_groups > 0 ? n_groups : 1);
    if (dph_workshop_open(&j.shop, n_threads, dph_ridge_scratch(largest, j.batch.n_features), 0,
                          n_groups, 1e4 + 10 * n * (double)(shape[1] * shape[1]), values[8]) == 0 &&
        dph_workshop_run(&j.shop, task, &j) == 0) {
        result = PyTuple_Pack(3, coefficients, covariance, records);
    }
    dph_workshop_close(&j.shop);

out:
    Py_XDECREF(features);
    Py_XDECREF(target);
    Py_XDECREF(offsets);
    Py_XDECREF(coefficients);
    Py_XDECREF(covariance);
    Py_XDECREF(records);
    return result;
}

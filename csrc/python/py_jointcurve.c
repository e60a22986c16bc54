#include "bindings.h"

#include <stddef.h>

#include "../laws/jointcurve.h"
#include "args.h"
#include "curvewords.h"

#define FIELD(name, format) {#name, format, offsetof(dph_jointcurve, name)}

static const dph_field fields[] = {
    FIELD(n, "i8"),     FIELD(n_runs, "i8"), FIELD(objective, "f8"),  FIELD(penalty, "f8"),
    FIELD(delta, "f8"), FIELD(gap, "f8"),    FIELD(iterations, "i4"), FIELD(form, "i4"),
    FIELD(loss, "i4"),  FIELD(status, "i4"),
};

const char dph_jointcurve_doc[] =
    "jointcurve_fit(tau, loss, first, last, terms, ridge_on, *, n_shape_terms=1, ridge=0.0, "
    "forms=('log', 'exponential', 'power', 'rational'), losses=('mae', 'huber'), delta=None, "
    "n_threads=1, progress=None)\n--\n\n"
    "Fit loss = F(z) + A(z) s(tau; theta(z)) to many runs at once, one fit a cut, form and "
    "loss.\n\n"
    "tau, loss : (n,) float64; tau in [0, 1], not decreasing within a run.\n"
    "first, last : (n_cuts, n_runs) int64; cut c of run r is rows first[c, r] to last[c, r].\n"
    "terms : (n_runs, n_terms) float64; the first of each run must be 1.\n"
    "ridge_on : (n_terms,) float64 of at least 0; how much each term is penalised.\n"
    "n_shape_terms : the terms that move theta; 1: all runs share it.\n"
    "ridge : strength of the penalty, at least 0.\n"
    "forms : sequence of 'log', 'exponential', 'power', 'rational', each once.\n"
    "losses : sequence of 'mae' and 'huber', each once.\n"
    "delta : of Huber's loss, > 0; None takes 1.345 times the scatter of each cut.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns an array of `jointcurve_dtype` of shape (n_cuts, n_forms, n_losses) and coefficients\n"
    "of shape (n_cuts, n_forms, n_losses, 4, n_terms): F, A, ln theta_0, ln theta_1.";

PyArray_Descr *
dph_py_jointcurve_type(void)
{
    return dph_args_record_type(fields, (int)(sizeof fields / sizeof fields[0]),
                                sizeof(dph_jointcurve));
}

typedef struct {
    dph_workshop shop;
    dph_jointcurve_batch batch;
    dph_jointcurve_options options;
    dph_jointcurve *out;
    double *coefficients;
} job;

static int
task(void *ctx, int64_t begin, int64_t end, int worker)
{
    job *j = ctx;
    dph_jointcurve_options options = j->options;

    options.stopped = &j->shop.stopped;
    dph_jointcurve_fit(&j->batch, begin, end, &options, j->shop.scratch[worker], j->out,
                       j->coefficients);
    return DPH_OK;
}

/* A matrix of one type, with so many rows and columns where they are not negative. NULL with an
 * exception. */
static PyArrayObject *
matrix_of(PyObject *obj, const char *name, int type, npy_intp rows, npy_intp columns)
{
    PyObject *any = PyArray_FROM_O(obj);
    PyArrayObject *out = NULL;

    if (any == NULL) {
        return NULL;
    }
    if (type == NPY_INT64 && !PyArray_ISINTEGER((PyArrayObject *)any)) {
        PyErr_Format(PyExc_TypeError, "%s: expected whole numbers, got %S", name,
                     (PyObject *)PyArray_DESCR((PyArrayObject *)any));
    } else if (PyArray_NDIM((PyArrayObject *)any) != 2) {
        PyErr_Format(PyExc_ValueError, "%s: expected two dimensions, got %d", name,
                     PyArray_NDIM((PyArrayObject *)any));
    } else if ((rows >= 0 && PyArray_DIM((PyArrayObject *)any, 0) != rows) ||
               (columns >= 0 && PyArray_DIM((PyArrayObject *)any, 1) != columns)) {
        PyErr_Format(PyExc_ValueError, "%s: wrong shape (%zd, %zd)", name,
                     (Py_ssize_t)PyArray_DIM((PyArrayObject *)any, 0),
                     (Py_ssize_t)PyArray_DIM((PyArrayObject *)any, 1));
    } else {
        out =
            (PyArrayObject *)PyArray_FROM_OTF(any, type, NPY_ARRAY_IN_ARRAY | NPY_ARRAY_FORCECAST);
    }
    Py_DECREF(any);
    return out;
}

/* The terms begin with 1 and are finite, penalties are not negative. 0, or -1 with an exception. */
static int
check_terms(const dph_jointcurve_batch *batch)
{
    for (int64_t r = 0; r < batch->n_runs; r++) {
        const double *x = batch->terms + r * batch->n_terms;

        if (x[0] != 1) {
            PyErr_Format(PyExc_ValueError, "terms: the first of run %lld is not 1", (long long)r);
            return -1;
        }
        for (int k = 0; k < batch->n_terms; k++) {
            if (!npy_isfinite(x[k])) {
                PyErr_Format(PyExc_ValueError, "terms: run %lld has one that is not finite",
                             (long long)r);
                return -1;
            }
        }
    }
    for (int k = 0; k < batch->n_terms; k++) {
        if (!(batch->ridge_on[k] >= 0) || !npy_isfinite(batch->ridge_on[k])) {
            PyErr_SetString(PyExc_ValueError, "ridge_on: expected finite numbers of at least 0");
            return -1;
        }
    }
    return 0;
}

/* Largest number of points of a cut; -1 with an exception where a slice leaves the rows. */
static int64_t
largest_cut(const dph_jointcurve_batch *batch, npy_intp n)
{
    int64_t largest = 0;

    for (int64_t c = 0; c < batch->n_cuts; c++) {
        int64_t points = 0;

        for (int64_t r = 0; r < batch->n_runs; r++) {
            int64_t first = batch->first[c * batch->n_runs + r];
            int64_t last = batch->last[c * batch->n_runs + r];

            if (!(first >= 0 && first <= last && last <= (int64_t)n)) {
                PyErr_Format(PyExc_ValueError, "run %lld: rows %lld to %lld of %zd", (long long)r,
                             (long long)first, (long long)last, (Py_ssize_t)n);
                return -1;
            }
            points += last - first;
        }
        if (points > INT64_C(1) << 40) {
            PyErr_SetString(PyExc_ValueError, "the runs of a cut overlap too often");
            return -1;
        }
        largest = points > largest ? points : largest;
    }
    return largest;
}

PyObject *
dph_py_jointcurve_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {
        {"tau", 1},      {"loss", 1},          {"first", 1},   {"last", 1},  {"terms", 1},
        {"ridge_on", 1}, {"n_shape_terms", 0}, {"ridge", 0},   {"forms", 0}, {"losses", 0},
        {"delta", 0},    {"n_threads", 0},     {"progress", 0}};
    dph_module_state *state = PyModule_GetState(module);
    PyObject *values[13];
    PyArrayObject *tau = NULL;
    PyArrayObject *loss = NULL;
    PyArrayObject *first = NULL;
    PyArrayObject *last = NULL;
    PyArrayObject *terms = NULL;
    PyArrayObject *ridge_on = NULL;
    PyObject *records = NULL;
    PyObject *coefficients = NULL;
    PyObject *result = NULL;
    job j = {0};
    int64_t n_threads = 0;
    int64_t n_shape_terms = 0;
    int64_t largest = 0;
    npy_intp shape[5] = {0};
    double width = 0;

    if (dph_args_parse("jointcurve_fit", spec, 13, 6, args, n_args, names, values) < 0) {
        return NULL;
    }
    j.options.n_forms = dph_curve_forms(values[8], j.options.forms);
    if (j.options.n_forms < 0) {
        return NULL;
    }
    j.options.n_losses = dph_curve_losses(values[9], j.options.losses);
    if (j.options.n_losses < 0 || dph_curve_delta(values[10], &j.options.delta) < 0 ||
        dph_args_number(values[7], "ridge", 0, 1e300, "a finite number of at least 0", 0,
                        &j.options.ridge) < 0 ||
        dph_args_int(values[11], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    tau = dph_args_column(values[0], "tau", -1);
    loss = tau != NULL ? dph_args_column(values[1], "loss", PyArray_DIM(tau, 0)) : NULL;
    terms = loss != NULL ? matrix_of(values[4], "terms", NPY_DOUBLE, -1, -1) : NULL;
    if (terms == NULL) {
        goto out;
    }
    if (PyArray_DIM(terms, 1) < 1 || PyArray_DIM(terms, 1) > DPH_JOINT_TERMS) {
        PyErr_Format(PyExc_ValueError, "terms: expected 1 to %d of a run, got %zd", DPH_JOINT_TERMS,
                     (Py_ssize_t)PyArray_DIM(terms, 1));
        goto out;
    }
    first = matrix_of(values[2], "first", NPY_INT64, -1, PyArray_DIM(terms, 0));
    last = first != NULL ? matrix_of(values[3], "last", NPY_INT64, PyArray_DIM(first, 0),
                                     PyArray_DIM(terms, 0))
                         : NULL;
    ridge_on = last != NULL ? dph_args_column(values[5], "ridge_on", PyArray_DIM(terms, 1)) : NULL;
    if (ridge_on == NULL ||
        dph_args_int(values[6], "n_shape_terms", 1, PyArray_DIM(terms, 1), 1, &n_shape_terms) < 0) {
        goto out;
    }
    j.batch = (dph_jointcurve_batch){.tau = PyArray_DATA(tau),
                                     .loss = PyArray_DATA(loss),
                                     .first = PyArray_DATA(first),
                                     .last = PyArray_DATA(last),
                                     .terms = PyArray_DATA(terms),
                                     .ridge_on = PyArray_DATA(ridge_on),
                                     .n_cuts = PyArray_DIM(first, 0),
                                     .n_runs = PyArray_DIM(terms, 0),
                                     .n_terms = (int)PyArray_DIM(terms, 1),
                                     .n_shape_terms = (int)n_shape_terms};
    largest = check_terms(&j.batch) < 0 ? -1 : largest_cut(&j.batch, PyArray_DIM(tau, 0));
    if (largest < 0) {
        goto out;
    }
    shape[0] = PyArray_DIM(first, 0);
    shape[1] = j.options.n_forms;
    shape[2] = j.options.n_losses;
    shape[3] = DPH_JOINT_BLOCKS;
    shape[4] = PyArray_DIM(terms, 1);
    Py_INCREF(state->types[DPH_TYPE_JOINTCURVE]);
    records = PyArray_Zeros(3, shape, state->types[DPH_TYPE_JOINTCURVE], 0);
    coefficients = PyArray_ZEROS(5, shape, NPY_DOUBLE, 0);
    if (records == NULL || coefficients == NULL) {
        goto out;
    }
    j.out = PyArray_DATA((PyArrayObject *)records);
    j.coefficients = PyArray_DATA((PyArrayObject *)coefficients);
    /* from trials: some hundreds of passes over points and terms */
    width = (double)shape[4];
    if (dph_workshop_open(
            &j.shop, n_threads, dph_jointcurve_scratch(largest, j.batch.n_runs, j.batch.n_terms), 0,
            j.batch.n_cuts * j.options.n_forms,
            1e5 + 300 * (30 * (double)largest + 10 * (double)j.batch.n_runs * width * width),
            values[12]) == 0 &&
        dph_workshop_run(&j.shop, task, &j) == 0) {
        result = PyTuple_Pack(2, records, coefficients);
    }
    dph_workshop_close(&j.shop);

out:
    Py_XDECREF(tau);
    Py_XDECREF(loss);
    Py_XDECREF(first);
    Py_XDECREF(last);
    Py_XDECREF(terms);
    Py_XDECREF(ridge_on);
    Py_XDECREF(records);
    Py_XDECREF(coefficients);
    return result;
}

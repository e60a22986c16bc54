#include "bindings.h"

#include <stddef.h>

#include "../laws/curve.h"
#include "args.h"

#define FIELD(name, format) {#name, format, offsetof(dph_curve, name)}

static const dph_field fields[] = {
    FIELD(n, "i8"),       FIELD(F, "f8"),         FIELD(A, "f8"),     FIELD(theta_0, "f8"),
    FIELD(theta_1, "f8"), FIELD(objective, "f8"), FIELD(delta, "f8"), FIELD(noise, "f8"),
    FIELD(gap, "f8"),     FIELD(form, "i4"),      FIELD(loss, "i4"),  FIELD(status, "i4"),
};

static const char *const form_words[] = {"log", "exponential", "power", "rational"};
static const char *const loss_words[] = {"mae", "huber"};

const char dph_curve_doc[] =
    "curve_fit(tau, loss, starts, ends, *, forms=('log', 'exponential', 'power', 'rational'), "
    "losses=('mae', 'huber'), delta=None, n_threads=1, progress=None)\n--\n\n"
    "Fit loss = F + A s(tau; theta), one curve a slice, form and loss.\n\n"
    "tau, loss : (n,) float64; tau in [0, 1], not decreasing within a slice.\n"
    "starts, ends : (n_slices,) int64; slice k is rows starts[k] to ends[k]; slices may overlap.\n"
    "forms : sequence of 'log', 'exponential', 'power', 'rational', each once.\n"
    "losses : sequence of 'mae' and 'huber', each once.\n"
    "delta : of Huber's loss, > 0; None takes 1.345 times the noise of each slice.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns an array of `curve_dtype` of shape (n_slices, n_forms, n_losses).";

PyArray_Descr *
dph_py_curve_type(void)
{
    return dph_args_record_type(fields, (int)(sizeof fields / sizeof fields[0]), sizeof(dph_curve));
}

typedef struct {
    dph_workshop shop;
    dph_curve_batch batch;
    dph_curve_options options;
    dph_curve *out;
} job;

static int
task(void *ctx, int64_t begin, int64_t end, int worker)
{
    job *j = ctx;
    dph_curve_options options = j->options;

    options.stopped = &j->shop.stopped;
    dph_curve_fit(&j->batch, begin, end, &options, j->shop.scratch[worker], j->out);
    return DPH_OK;
}

/* A sequence of distinct words as their places in the list; all of them where obj is NULL. The
 * number of them, or -1 with an exception. */
static int
words_of(PyObject *obj, const char *name, const char *const *words, int n_words, int *out)
{
    PyObject *items = NULL;
    int n = 0;

    if (obj == NULL) {
        for (int i = 0; i < n_words; i++) {
            out[i] = i;
        }
        return n_words;
    }
    if (PyUnicode_Check(obj)) {
        return dph_args_word(obj, name, words, n_words, 0, out) < 0 ? -1 : 1;
    }
    items = PySequence_Fast(obj, name);
    if (items == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++) {
        int word = 0;

        if (dph_args_word(PySequence_Fast_GET_ITEM(items, i), name, words, n_words, 0, &word) < 0) {
            n = -1;
            break;
        }
        for (int k = 0; k < n; k++) {
            if (out[k] == word) {
                PyErr_Format(PyExc_ValueError, "%s: '%s' is there twice", name, words[word]);
                Py_DECREF(items);
                return -1;
            }
        }
        out[n++] = word;
    }
    Py_DECREF(items);
    if (n == 0) {
        PyErr_Format(PyExc_ValueError, "%s: expected at least one", name);
        return -1;
    }
    return n;
}

static int
delta_of(PyObject *obj, double *delta)
{
    *delta = NPY_NAN;
    if (obj == NULL || obj == Py_None) {
        return 0;
    }
    *delta = PyFloat_AsDouble(obj);
    if (*delta == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (!(*delta > 0) || !npy_isfinite(*delta)) {
        PyErr_Format(PyExc_ValueError, "delta: expected a finite number > 0, got %R", obj);
        return -1;
    }
    return 0;
}

/* Row numbers: int64[n_slices] or as many as there are. NULL with an exception. */
static PyArrayObject *
rows_of(PyObject *obj, const char *name, npy_intp n_slices)
{
    PyObject *any = PyArray_FROM_O(obj);
    PyArrayObject *rows = NULL;

    if (any == NULL) {
        return NULL;
    }
    if (PyArray_SIZE((PyArrayObject *)any) > 0 && !PyArray_ISINTEGER((PyArrayObject *)any)) {
        PyErr_Format(PyExc_TypeError, "%s: expected whole numbers, got %S", name,
                     (PyObject *)PyArray_DESCR((PyArrayObject *)any));
    } else if (PyArray_NDIM((PyArrayObject *)any) != 1) {
        PyErr_Format(PyExc_ValueError, "%s: expected one dimension, got %d", name,
                     PyArray_NDIM((PyArrayObject *)any));
    } else if (n_slices >= 0 && PyArray_DIM((PyArrayObject *)any, 0) != n_slices) {
        PyErr_Format(PyExc_ValueError, "%s: expected %zd values, got %zd", name,
                     (Py_ssize_t)n_slices, (Py_ssize_t)PyArray_DIM((PyArrayObject *)any, 0));
    } else {
        rows = (PyArrayObject *)PyArray_FROM_OTF(any, NPY_INT64,
                                                 NPY_ARRAY_IN_ARRAY | NPY_ARRAY_FORCECAST);
    }
    Py_DECREF(any);
    return rows;
}

PyObject *
dph_py_curve_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {{"tau", 1},   {"loss", 1},      {"starts", 1},
                                   {"ends", 1},  {"forms", 0},     {"losses", 0},
                                   {"delta", 0}, {"n_threads", 0}, {"progress", 0}};
    dph_module_state *state = PyModule_GetState(module);
    PyObject *values[9];
    PyArrayObject *tau = NULL;
    PyArrayObject *loss = NULL;
    PyArrayObject *starts = NULL;
    PyArrayObject *ends = NULL;
    PyObject *out = NULL;
    job j = {0};
    int64_t n_threads = 0;
    int64_t largest = 0;
    int64_t total = 0;
    int64_t n_slices = 0;
    int64_t n_groups = 0;
    int64_t *groups = NULL;
    npy_intp n = 0;
    npy_intp shape[3] = {0};
    double per_item = 0;

    if (dph_args_parse("curve_fit", spec, 9, 4, args, n_args, names, values) < 0) {
        return NULL;
    }
    j.options.n_forms = words_of(values[4], "forms", form_words, DPH_N_SHAPES, j.options.forms);
    if (j.options.n_forms < 0) {
        return NULL;
    }
    j.options.n_losses =
        words_of(values[5], "losses", loss_words, DPH_N_CURVE_LOSSES, j.options.losses);
    if (j.options.n_losses < 0 || delta_of(values[6], &j.options.delta) < 0 ||
        dph_args_int(values[7], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    tau = dph_args_column(values[0], "tau", -1);
    if (tau == NULL) {
        goto out;
    }
    n = PyArray_DIM(tau, 0);
    loss = dph_args_column(values[1], "loss", n);
    if (loss == NULL) {
        goto out;
    }
    starts = rows_of(values[2], "starts", -1);
    if (starts == NULL) {
        goto out;
    }
    n_slices = (int64_t)PyArray_DIM(starts, 0);
    ends = rows_of(values[3], "ends", (npy_intp)n_slices);
    if (ends == NULL) {
        goto out;
    }
    j.batch = (dph_curve_batch){.tau = PyArray_DATA(tau),
                                .loss = PyArray_DATA(loss),
                                .starts = PyArray_DATA(starts),
                                .ends = PyArray_DATA(ends)};
    for (int64_t k = 0; k < n_slices; k++) {
        int64_t first = j.batch.starts[k];
        int64_t last = j.batch.ends[k];

        if (!(first >= 0 && first <= last && last <= (int64_t)n)) {
            PyErr_Format(PyExc_ValueError, "slice %lld: rows %lld to %lld of %zd", (long long)k,
                         (long long)first, (long long)last, (Py_ssize_t)n);
            goto out;
        }
        total += last - first < INT64_C(1) << 40 ? last - first : INT64_C(1) << 40;
        largest = last - first > largest ? last - first : largest;
    }
    groups = PyMem_New(int64_t, (size_t)n_slices + 1);
    if (groups == NULL) {
        PyErr_NoMemory();
        goto out;
    }
    n_groups = dph_curve_groups(j.batch.starts, j.batch.ends, n_slices, groups);
    j.batch.groups = groups;
    shape[0] = (npy_intp)n_slices;
    shape[1] = j.options.n_forms;
    shape[2] = j.options.n_losses;
    Py_INCREF(state->types[DPH_TYPE_CURVE]);
    out = PyArray_Zeros(3, shape, state->types[DPH_TYPE_CURVE], 0);
    if (out == NULL) {
        goto out;
    }
    j.out = PyArray_DATA((PyArrayObject *)out);
    /* from trials: a scan a group, then some dozens of passes over all points of its slices */
    per_item = 2e4 * (double)n_slices + 500 * (double)total;
    per_item /= (double)(n_groups > 0 ? n_groups : 1);
    if (dph_workshop_open(&j.shop, n_threads, dph_curve_scratch(largest), 0,
                          n_groups * j.options.n_forms, per_item, values[8]) < 0 ||
        dph_workshop_run(&j.shop, task, &j) < 0) {
        Py_CLEAR(out);
    }
    dph_workshop_close(&j.shop);

out:
    PyMem_Free(groups);
    Py_XDECREF(tau);
    Py_XDECREF(loss);
    Py_XDECREF(starts);
    Py_XDECREF(ends);
    return out;
}

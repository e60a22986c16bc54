#include "args.h"

#include <stdlib.h>
#include <string.h>

#include "../base/groups.h"

#define FEW_MS 2e6 /* in nanoseconds: work that is over before a thread pays */

static int
find_arg(const dph_arg *spec, int n_spec, PyObject *name)
{
    for (int i = 0; i < n_spec; i++) {
        if (PyUnicode_CompareWithASCIIString(name, spec[i].name) == 0) {
            return i;
        }
    }
    return -1;
}

int
dph_args_parse(const char *function, const dph_arg *spec, int n_spec, int positional,
               PyObject *const *args, Py_ssize_t n_args, PyObject *names, PyObject **values)
{
    Py_ssize_t n_names = names != NULL ? PyTuple_GET_SIZE(names) : 0;

    for (int i = 0; i < n_spec; i++) {
        values[i] = NULL;
    }
    if (n_args > positional) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %d positional arguments (%zd given)",
                     function, positional, n_args);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n_args; i++) {
        values[i] = args[i];
    }
    for (Py_ssize_t i = 0; i < n_names; i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        int at = find_arg(spec, n_spec, name);

        if (at < 0) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", function,
                         name);
            return -1;
        }
        if (values[at] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%s'", function,
                         spec[at].name);
            return -1;
        }
        values[at] = args[n_args + i];
    }
    for (int i = 0; i < n_spec; i++) {
        if (spec[i].required && values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s'", function,
                         spec[i].name);
            return -1;
        }
    }
    return 0;
}

/* Say which argument NumPy's complaint is about. Other exceptions are the caller's: they stay. */
static void
name_the_culprit(const char *name)
{
    PyObject *type = NULL;
    PyObject *value = NULL;
    PyObject *traceback = NULL;

    PyErr_Fetch(&type, &value, &traceback);
    if (type != PyExc_TypeError && type != PyExc_ValueError && type != PyExc_OverflowError) {
        PyErr_Restore(type, value, traceback);
        return;
    }
    PyErr_NormalizeException(&type, &value, &traceback);
    PyErr_Format(type, "%s: %S", name, value);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

static PyArrayObject *
one_dimensional(PyObject *obj, const char *name, int type, npy_intp n)
{
    PyArrayObject *array = NULL;
    PyObject *any = PyArray_FROM_OTF(obj, type, NPY_ARRAY_IN_ARRAY);

    if (any == NULL) {
        name_the_culprit(name);
        return NULL;
    }
    array = (PyArrayObject *)any;
    if (PyArray_NDIM(array) != 1) {
        PyErr_Format(PyExc_ValueError, "%s: expected one dimension, got %d", name,
                     PyArray_NDIM(array));
        Py_DECREF(array);
        return NULL;
    }
    if (n >= 0 && PyArray_DIM(array, 0) != n) {
        PyErr_Format(PyExc_ValueError, "%s: expected %zd values, got %zd", name, (Py_ssize_t)n,
                     (Py_ssize_t)PyArray_DIM(array, 0));
        Py_DECREF(array);
        return NULL;
    }
    return array;
}

PyArrayObject *
dph_args_column(PyObject *obj, const char *name, npy_intp n)
{
    return one_dimensional(obj, name, NPY_DOUBLE, n);
}

PyArrayObject *
dph_args_whole(PyObject *obj, const char *name, npy_intp n)
{
    PyArrayObject *array = NULL;
    PyObject *any = PyArray_FROM_O(obj); /* NumPy would round a list of fractions to integers */
    int empty = 0;

    if (any == NULL) {
        name_the_culprit(name);
        return NULL;
    }
    empty = PyArray_SIZE((PyArrayObject *)any) == 0;
    if (!empty && !PyArray_ISINTEGER((PyArrayObject *)any)) {
        PyErr_Format(PyExc_TypeError, "%s: expected whole numbers, got %S", name,
                     (PyObject *)PyArray_DESCR((PyArrayObject *)any));
    } else {
        /* an empty list is of floats, and its elements are never looked at */
        array = one_dimensional(any, name, empty ? NPY_DOUBLE : NPY_INT64, n);
    }
    Py_DECREF(any);
    return array;
}

int
dph_args_number(PyObject *obj, const char *name, double lo, double hi, const char *range,
                double fallback, double *out)
{
    *out = fallback;
    if (obj == NULL) {
        return 0;
    }
    *out = PyFloat_AsDouble(obj);
    if (*out == -1 && PyErr_Occurred()) {
        name_the_culprit(name);
        return -1;
    }
    if (!(*out >= lo && *out <= hi)) {
        PyErr_Format(PyExc_ValueError, "%s: expected a number %s, got %R", name, range, obj);
        return -1;
    }
    return 0;
}

PyArrayObject *
dph_args_offsets(PyObject *obj, const char *name, npy_intp n_items, int64_t *n_groups)
{
    PyArrayObject *array = NULL;
    PyObject *any = PyArray_FROM_O(obj); /* NumPy would round a list of fractions to integers */
    int64_t bad = 0;

    if (any == NULL) {
        name_the_culprit(name);
        return NULL;
    }
    if (PyArray_SIZE((PyArrayObject *)any) > 0 && !PyArray_ISINTEGER((PyArrayObject *)any)) {
        PyErr_Format(PyExc_TypeError, "%s: expected whole numbers, got %S", name,
                     (PyObject *)PyArray_DESCR((PyArrayObject *)any));
        Py_DECREF(any);
        return NULL;
    }
    array = PyArray_SIZE((PyArrayObject *)any) > 0 ? one_dimensional(any, name, NPY_INT64, -1)
                                                   : one_dimensional(any, name, NPY_DOUBLE, -1);
    Py_DECREF(any);
    if (array == NULL) {
        return NULL;
    }
    if (PyArray_DIM(array, 0) < 1) {
        PyErr_Format(PyExc_ValueError, "%s: expected at least one value, the 0 it starts with",
                     name);
        Py_DECREF(array);
        return NULL;
    }
    *n_groups = (int64_t)PyArray_DIM(array, 0) - 1;
    if (dph_groups_check(PyArray_DATA(array), *n_groups, (int64_t)n_items, &bad) != DPH_OK) {
        PyErr_Format(PyExc_ValueError, "%s[%lld] is %lld: %s (n = %zd)", name, (long long)bad,
                     (long long)((const int64_t *)PyArray_DATA(array))[bad],
                     dph_status_sentence(DPH_E_OFFSETS), (Py_ssize_t)n_items);
        Py_DECREF(array);
        return NULL;
    }
    return array;
}

int
dph_args_int(PyObject *obj, const char *name, int64_t lo, int64_t hi, int64_t fallback,
             int64_t *out)
{
    PyObject *index = NULL;
    long long value = 0;

    *out = fallback;
    if (obj == NULL || obj == Py_None) {
        return 0;
    }
    index = PyNumber_Index(obj);
    if (index == NULL) {
        name_the_culprit(name);
        return -1;
    }
    value = PyLong_AsLongLong(index);
    Py_DECREF(index);
    if (value == -1 && PyErr_Occurred()) {
        name_the_culprit(name);
        return -1;
    }
    if (value < lo || value > hi) {
        PyErr_Format(PyExc_ValueError, "%s: expected %lld to %lld, got %lld", name, (long long)lo,
                     (long long)hi, value);
        return -1;
    }
    *out = value;
    return 0;
}

int
dph_args_word(PyObject *obj, const char *name, const char *const *words, int n, int fallback,
              int *out)
{
    PyObject *listed = NULL;

    *out = fallback;
    if (obj == NULL) {
        return 0;
    }
    if (PyUnicode_Check(obj)) {
        for (int i = 0; i < n; i++) {
            if (PyUnicode_CompareWithASCIIString(obj, words[i]) == 0) {
                *out = i;
                return 0;
            }
        }
    }
    listed = PyUnicode_FromFormat("'%s'", words[0]);
    for (int i = 1; i < n && listed != NULL; i++) {
        PyObject *longer =
            PyUnicode_FromFormat("%U%s'%s'", listed, i < n - 1 ? ", " : " or ", words[i]);

        Py_DECREF(listed);
        listed = longer;
    }
    if (listed != NULL) {
        PyErr_Format(PyExc_ValueError, "%s: expected %U, got %R", name, listed, obj);
        Py_DECREF(listed);
    }
    return -1;
}

PyArray_Descr *
dph_args_record_type(const dph_field *fields, int n_fields, size_t itemsize)
{
    PyObject *names = PyList_New(n_fields);
    PyObject *formats = PyList_New(n_fields);
    PyObject *offsets = PyList_New(n_fields);
    PyObject *description = NULL;
    PyArray_Descr *type = NULL;

    if (names == NULL || formats == NULL || offsets == NULL) {
        goto out;
    }
    for (int i = 0; i < n_fields; i++) {
        PyObject *name = PyUnicode_FromString(fields[i].name);
        PyObject *format = PyUnicode_FromString(fields[i].format);
        PyObject *offset = PyLong_FromSize_t(fields[i].offset);

        if (name == NULL || format == NULL || offset == NULL) {
            Py_XDECREF(name);
            Py_XDECREF(format);
            Py_XDECREF(offset);
            goto out;
        }
        PyList_SET_ITEM(names, i, name);
        PyList_SET_ITEM(formats, i, format);
        PyList_SET_ITEM(offsets, i, offset);
    }
    description = Py_BuildValue("{s:O,s:O,s:O,s:n}", "names", names, "formats", formats, "offsets",
                                offsets, "itemsize", (Py_ssize_t)itemsize);
    if (description != NULL && PyArray_DescrConverter(description, &type) != NPY_SUCCEED) {
        type = NULL;
    }

out:
    Py_XDECREF(names);
    Py_XDECREF(formats);
    Py_XDECREF(offsets);
    Py_XDECREF(description);
    return type;
}

int
dph_workshop_open(dph_workshop *shop, int64_t n_threads, size_t scratch_doubles, int minimisers,
                  int64_t n_items, double cost_ns, PyObject *progress)
{
    int64_t chunk = dph_parallel_chunk(cost_ns);
    int64_t n_chunks = n_items / chunk + (n_items % chunk != 0);
    size_t n = 0;

    memset(shop, 0, sizeof *shop);
    n_threads = n_threads < n_chunks ? n_threads : n_chunks;
    n_threads = n_threads > 1 ? n_threads : 1;
    n = (size_t)n_threads;
    shop->n_items = n_items;
    shop->progress = progress == Py_None ? NULL : progress;
    atomic_init(&shop->stopped, 0);
    shop->parallel = (dph_parallel){.on_caller = (double)n_items * cost_ns < FEW_MS,
                                    .n_threads = (int)n_threads,
                                    .chunk = chunk,
                                    .stopped = &shop->stopped};
    if (scratch_doubles > SIZE_MAX / sizeof(double) / n) {
        PyErr_NoMemory();
        return -1;
    }
    shop->scratch = calloc(n, sizeof *shop->scratch);
    shop->minimisers = calloc(n, sizeof *shop->minimisers);
    if (shop->scratch == NULL || shop->minimisers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        shop->scratch[i] = malloc((scratch_doubles > 0 ? scratch_doubles : 1) * sizeof(double));
        shop->minimisers[i] = minimisers ? dph_minimiser_new() : NULL;
        if (shop->scratch[i] == NULL || (minimisers && shop->minimisers[i] == NULL)) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return 0;
}

void
dph_workshop_close(dph_workshop *shop)
{
    for (int i = 0; i < shop->parallel.n_threads; i++) {
        if (shop->scratch != NULL) {
            free(shop->scratch[i]);
        }
        if (shop->minimisers != NULL) {
            dph_minimiser_free(shop->minimisers[i]);
        }
    }
    free(shop->scratch);
    free(shop->minimisers);
    memset(shop, 0, sizeof *shop);
}

/* On the calling thread, without the GIL: take it for signals and the callback, then give it back.
 */
static int
serve(void *ctx, int64_t done)
{
    dph_workshop *shop = ctx;
    int stop = 0;

    PyEval_RestoreThread(shop->thread);
    stop = PyErr_CheckSignals() != 0;
    if (!stop && shop->progress != NULL) {
        PyObject *answer =
            PyObject_CallFunction(shop->progress, "LL", (long long)done, (long long)shop->n_items);
        stop = answer == NULL;
        Py_XDECREF(answer);
    }
    shop->thread = PyEval_SaveThread();
    return stop;
}

int
dph_workshop_run(dph_workshop *shop, dph_task task, void *ctx)
{
    int code = DPH_OK;

    shop->parallel.poll = serve;
    shop->parallel.poll_ctx = shop;
    shop->thread = PyEval_SaveThread();
    code = dph_parallel_for(shop->n_items, task, ctx, &shop->parallel);
    PyEval_RestoreThread(shop->thread);
    if (PyErr_Occurred()) {
        return -1;
    }
    if (code == DPH_E_MEMORY) {
        PyErr_NoMemory();
        return -1;
    }
    if (code != DPH_OK) {
        PyErr_Format(PyExc_RuntimeError, "%s", dph_status_sentence(code));
        return -1;
    }
    if (shop->progress != NULL) {
        PyObject *answer = PyObject_CallFunction(shop->progress, "LL", (long long)shop->n_items,
                                                 (long long)shop->n_items);
        if (answer == NULL) {
            return -1;
        }
        Py_DECREF(answer);
    }
    return 0;
}

#include "bindings.h"

#include <stddef.h>

#include "../base/groups.h"
#include "../laws/surface.h"
#include "args.h"

#define FIELD(name, format) {#name, format, offsetof(dph_surface, name)}

static const dph_field fields[] = {
    FIELD(n, "i8"),
    FIELD(n_inside, "i8"),
    FIELD(E, "f8"),
    FIELD(A, "f8"),
    FIELD(B, "f8"),
    FIELD(alpha, "f8"),
    FIELD(beta, "f8"),
    FIELD(log_A, "f8"),
    FIELD(log_B, "f8"),
    FIELD(N_centre, "f8"),
    FIELD(D_centre, "f8"),
    FIELD(N_term, "f8"),
    FIELD(D_term, "f8"),
    FIELD(scale, "f8"),
    FIELD(objective, "f8"),
    FIELD(rss, "f8"),
    FIELD(delta, "f8"),
    FIELD(se, "(5,)f8"),
    FIELD(covariance, "(5,5)f8"),
    FIELD(iterations, "i8"),
    FIELD(n_minima, "i8"),
    FIELD(status, "i4"),
};

#define OPTIONS                                                                                    \
    "objective : 'huber', 'squared' or 'absolute'.\n"                                              \
    "space : 'log' (residuals ln(loss) - ln(law)) or 'loss' (loss - law).\n"                       \
    "delta : Huber's threshold, > 0: of the log loss, or a share of the geometric mean loss.\n"    \
    "nonnegative : hold E, A and B at 0 or above.\n"                                               \
    "n_threads : 1 to MAX_THREADS.\n"                                                              \
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"

const char dph_surface_fit_doc[] =
    "surface_fit(params, tokens, loss, offsets, *, weights=None, fixed=None, objective='huber', "
    "space='log', delta=0.001, nonnegative=True, n_threads=1, progress=None)\n--\n\n"
    "Fit loss = E + A params^-alpha + B tokens^-beta, one law a group.\n\n"
    "params, tokens, loss : (n,) float64.\n"
    "offsets : (n_groups + 1,) int64; group g owns rows offsets[g] to offsets[g + 1].\n"
    "weights : (n,) float64 >= 0; None for ones.\n"
    "fixed : (n_groups, 5) float64 of E, A, B, alpha, beta, NaN where free; None if all "
    "are.\n" OPTIONS
    "Returns an array of `surface_dtype`, one record a group, each with its status.";

const char dph_surface_refit_doc[] =
    "surface_refit(params, tokens, loss, *, weights=None, losses=None, fixed=None, "
    "objective='huber', space='log', delta=0.001, nonnegative=True, n_threads=1, "
    "progress=None)\n--\n\n"
    "Fit the surface to one data set under many weights or losses, each with its own search.\n\n"
    "params, tokens, loss : (n,) float64.\n"
    "weights : (n_replicates, n) float64 >= 0; None for ones.\n"
    "losses : (n_replicates, n) float64 in place of loss; None for loss. One of the two is given.\n"
    "fixed : (5,) float64 of E, A, B, alpha, beta, NaN where free; None if all are.\n" OPTIONS
    "Returns an array of `surface_dtype`, one record a replicate.";

PyArray_Descr *
dph_py_surface_type(void)
{
    return dph_args_record_type(fields, (int)(sizeof fields / sizeof fields[0]),
                                sizeof(dph_surface));
}

typedef struct {
    dph_workshop shop;
    dph_surface_batch batch;
    dph_surface_replicates replicates;
    int is_refit;
    dph_surface_options options;
    dph_surface *out;
} job;

static int
task(void *ctx, int64_t begin, int64_t end, int worker)
{
    job *j = ctx;
    dph_surface_options options = j->options;

    options.stopped = &j->shop.stopped;
    if (j->is_refit) {
        dph_surface_refit(&j->replicates, begin, end, &options, j->shop.scratch[worker], j->out);
    } else {
        dph_surface_fit(&j->batch, begin, end, &options, j->shop.scratch[worker], j->out);
    }
    return DPH_OK;
}

/* Rough cost of one fit in nanoseconds, from trials. */
static double
cost(const dph_surface_options *options, double points)
{
    return 20000 + points * (options->objective == DPH_OBJECTIVE_SQUARED ? 5000 : 15000);
}

/* A float64 array of these dimensions; rows < 0 takes any number of them. */
static PyArrayObject *
matrix(PyObject *obj, const char *name, npy_intp rows, npy_intp columns)
{
    PyArrayObject *array = (PyArrayObject *)PyArray_FROM_OTF(obj, NPY_DOUBLE, NPY_ARRAY_IN_ARRAY);

    if (array == NULL) {
        return NULL;
    }
    if (PyArray_NDIM(array) != 2 || PyArray_DIM(array, 1) != columns ||
        (rows >= 0 && PyArray_DIM(array, 0) != rows)) {
        if (rows >= 0) {
            PyErr_Format(PyExc_ValueError, "%s: expected %zd rows of %zd values", name,
                         (Py_ssize_t)rows, (Py_ssize_t)columns);
        } else {
            PyErr_Format(PyExc_ValueError, "%s: expected rows of %zd values", name,
                         (Py_ssize_t)columns);
        }
        Py_DECREF(array);
        return NULL;
    }
    return array;
}

/* The options both functions share: objective, space, delta, nonnegative. */
static int
parse_options(PyObject *const *values, dph_surface_options *options)
{
    static const char *const objectives[] = {"huber", "squared", "absolute"};
    static const char *const spaces[] = {"log", "loss"};

    options->delta = 1e-3;
    options->nonnegative = 1;
    if (dph_args_word(values[0], "objective", objectives, 3, 0, &options->objective) < 0 ||
        dph_args_word(values[1], "space", spaces, 2, 0, &options->space) < 0) {
        return -1;
    }
    if (values[2] != NULL) {
        options->delta = PyFloat_AsDouble(values[2]);
        if (options->delta == -1 && PyErr_Occurred()) {
            PyErr_Format(PyExc_TypeError, "delta: expected a number, got %R", values[2]);
            return -1;
        }
        if (!(options->delta > 0) || isinf(options->delta)) {
            PyErr_Format(PyExc_ValueError, "delta: expected a finite number above 0, got %R",
                         values[2]);
            return -1;
        }
    }
    if (values[3] != NULL) {
        options->nonnegative = PyObject_IsTrue(values[3]);
    }
    return options->nonnegative < 0 ? -1 : 0;
}

/* Fit n_items into a new array of records; NULL with an exception. */
static PyObject *
run(PyObject *module, job *j, npy_intp n_items, int64_t largest, double points, int64_t n_threads,
    PyObject *progress)
{
    dph_module_state *state = PyModule_GetState(module);
    PyObject *out = NULL;

    Py_INCREF(state->types[DPH_TYPE_SURFACE]);
    out = PyArray_Zeros(1, &n_items, state->types[DPH_TYPE_SURFACE], 0);
    if (out == NULL) {
        return NULL;
    }
    j->out = PyArray_DATA((PyArrayObject *)out);
    if (dph_workshop_open(&j->shop, n_threads, dph_surface_scratch(largest), 0, (int64_t)n_items,
                          cost(&j->options, points), progress) < 0 ||
        dph_workshop_run(&j->shop, task, j) < 0) {
        Py_CLEAR(out);
    }
    dph_workshop_close(&j->shop);
    return out;
}

/* The three columns of values[0 .. 2]; 0, or -1 with an exception and what there is so far. */
static int
columns(PyObject *const *values, PyArrayObject **out)
{
    static const char *const names[] = {"params", "tokens", "loss"};

    for (int k = 0; k < 3; k++) {
        out[k] = dph_args_column(values[k], names[k], k > 0 ? PyArray_DIM(out[0], 0) : -1);
        if (out[k] == NULL) {
            return -1;
        }
    }
    return 0;
}

static int
given(PyObject *obj)
{
    return obj != NULL && obj != Py_None;
}

PyObject *
dph_py_surface_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {{"params", 1},      {"tokens", 1},    {"loss", 1},
                                   {"offsets", 1},     {"weights", 0},   {"fixed", 0},
                                   {"objective", 0},   {"space", 0},     {"delta", 0},
                                   {"nonnegative", 0}, {"n_threads", 0}, {"progress", 0}};
    PyObject *values[12];
    PyArrayObject *arrays[6] = {NULL}; /* params, tokens, loss, offsets, weights, fixed */
    PyObject *out = NULL;
    job j = {0};
    int64_t n_groups = 0;
    int64_t n_threads = 0;
    npy_intp n = 0;

    if (dph_args_parse("surface_fit", spec, 12, 4, args, n_args, names, values) < 0 ||
        parse_options(values + 6, &j.options) < 0 ||
        dph_args_int(values[10], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0 ||
        columns(values, arrays) < 0) {
        goto out;
    }
    n = PyArray_DIM(arrays[0], 0);
    arrays[3] = dph_args_offsets(values[3], "offsets", n, &n_groups);
    if (arrays[3] == NULL) {
        goto out;
    }
    if (given(values[4])) {
        arrays[4] = dph_args_column(values[4], "weights", n);
        if (arrays[4] == NULL) {
            goto out;
        }
    }
    if (given(values[5])) {
        arrays[5] = matrix(values[5], "fixed", (npy_intp)n_groups, DPH_SURFACE_SIZE);
        if (arrays[5] == NULL) {
            goto out;
        }
    }
    j.batch = (dph_surface_batch){.params = PyArray_DATA(arrays[0]),
                                  .tokens = PyArray_DATA(arrays[1]),
                                  .loss = PyArray_DATA(arrays[2]),
                                  .offsets = PyArray_DATA(arrays[3]),
                                  .weights = arrays[4] != NULL ? PyArray_DATA(arrays[4]) : NULL,
                                  .fixed = arrays[5] != NULL ? PyArray_DATA(arrays[5]) : NULL};
    out = run(module, &j, (npy_intp)n_groups, dph_groups_largest(j.batch.offsets, n_groups),
              n_groups > 0 ? (double)n / (double)n_groups : 0, n_threads, values[11]);

out:
    for (int k = 0; k < 6; k++) {
        Py_XDECREF(arrays[k]);
    }
    return out;
}

PyObject *
dph_py_surface_refit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {{"params", 1},      {"tokens", 1},    {"loss", 1},
                                   {"weights", 0},     {"losses", 0},    {"fixed", 0},
                                   {"objective", 0},   {"space", 0},     {"delta", 0},
                                   {"nonnegative", 0}, {"n_threads", 0}, {"progress", 0}};
    PyObject *values[12];
    PyArrayObject *arrays[6] = {NULL}; /* params, tokens, loss, weights, losses, fixed */
    PyObject *out = NULL;
    job j = {.is_refit = 1};
    int64_t n_threads = 0;
    npy_intp n = 0;
    npy_intp n_replicates = -1;

    if (dph_args_parse("surface_refit", spec, 12, 3, args, n_args, names, values) < 0 ||
        parse_options(values + 6, &j.options) < 0 ||
        dph_args_int(values[10], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0 ||
        columns(values, arrays) < 0) {
        goto out;
    }
    n = PyArray_DIM(arrays[0], 0);
    for (int k = 3; k < 5; k++) {
        if (given(values[k])) {
            arrays[k] = matrix(values[k], k == 3 ? "weights" : "losses", n_replicates, n);
            if (arrays[k] == NULL) {
                goto out;
            }
            n_replicates = PyArray_DIM(arrays[k], 0);
        }
    }
    if (n_replicates < 0) {
        PyErr_SetString(PyExc_TypeError, "surface_refit() needs weights or losses");
        goto out;
    }
    if (given(values[5])) {
        arrays[5] = dph_args_column(values[5], "fixed", DPH_SURFACE_SIZE);
        if (arrays[5] == NULL) {
            goto out;
        }
    }
    j.replicates =
        (dph_surface_replicates){.params = PyArray_DATA(arrays[0]),
                                 .tokens = PyArray_DATA(arrays[1]),
                                 .loss = PyArray_DATA(arrays[2]),
                                 .weights = arrays[3] != NULL ? PyArray_DATA(arrays[3]) : NULL,
                                 .losses = arrays[4] != NULL ? PyArray_DATA(arrays[4]) : NULL,
                                 .fixed = arrays[5] != NULL ? PyArray_DATA(arrays[5]) : NULL,
                                 .n = (int64_t)n};
    out = run(module, &j, n_replicates, (int64_t)n, (double)n, n_threads, values[11]);

out:
    for (int k = 0; k < 6; k++) {
        Py_XDECREF(arrays[k]);
    }
    return out;
}

#include "bindings.h"

#include <stddef.h>

#include "../base/groups.h"
#include "../laws/richards.h"
#include "args.h"

#define FIELD(name, format) {#name, format, offsetof(dph_richards, name)}

static const dph_field fields[] = {
    FIELD(n, "i8"),       FIELD(k, "f8"),     FIELD(x0, "f8"),    FIELD(v, "f8"),
    FIELD(ceiling, "f8"), FIELD(floor, "f8"), FIELD(sse, "f8"),   FIELD(deviance, "f8"),
    FIELD(se_k, "f8"),    FIELD(se_x0, "f8"), FIELD(se_v, "f8"),  FIELD(se_ceiling, "f8"),
    FIELD(x_half, "f8"),  FIELD(x_min, "f8"), FIELD(x_max, "f8"), FIELD(n_starts, "i4"),
    FIELD(status, "i4"),
};

const char dph_richards_doc[] =
    "richards_fit(x, y, offsets, floors, *, ceilings=None, problems=None, boxes=None, "
    "guesses=None, n_threads=1, progress=None)\n--\n\n"
    "Fit y = floor + (C - floor) sigma(k (x - x0))^v, one curve a group.\n\n"
    "x, y : (n,) float64; accuracy y should rise with x.\n"
    "offsets : (n_groups + 1,) int64; group g owns rows offsets[g] to offsets[g + 1].\n"
    "floors : (n_groups,) float64.\n"
    "ceilings : (n_groups,) float64 pinned C, NaN where free; None if all are free.\n"
    "problems : (n,) float64 number of problems behind each y: binomial likelihood; None: least "
    "squares.\n"
    "boxes : (8 n_groups,) float64, lower ends of k, x0, v, C, then upper ends; None: from the "
    "data.\n"
    "guesses : (4 n_groups,) float64 k, x0, v, C to search beside, for replicates of a fitted "
    "curve; "
    "None: search the whole box.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns an array of `richards_dtype`, one record a group, each with its status.";

PyArray_Descr *
dph_py_richards_type(void)
{
    return dph_args_record_type(fields, (int)(sizeof fields / sizeof fields[0]),
                                sizeof(dph_richards));
}

typedef struct {
    dph_workshop shop;
    dph_richards_batch batch;
    dph_richards *out;
} job;

static int
task(void *ctx, int64_t begin, int64_t end, int worker)
{
    job *j = ctx;
    dph_richards_options options = {.stopped = &j->shop.stopped};

    dph_richards_fit(&j->batch, begin, end, &options, j->shop.scratch[worker], j->out);
    return DPH_OK;
}

/* A column of n values in *array and *values, both NULL for None. 0, or -1 with an exception. */
static int
optional_column(PyObject *obj, const char *name, npy_intp n, PyArrayObject **array,
                const double **values)
{
    if (obj == NULL || obj == Py_None) {
        return 0;
    }
    *array = dph_args_column(obj, name, n);
    if (*array == NULL) {
        return -1;
    }
    *values = PyArray_DATA(*array);
    return 0;
}

PyObject *
dph_py_richards_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {
        {"x", 1},        {"y", 1},     {"offsets", 1}, {"floors", 1},    {"ceilings", 0},
        {"problems", 0}, {"boxes", 0}, {"guesses", 0}, {"n_threads", 0}, {"progress", 0}};
    dph_module_state *state = PyModule_GetState(module);
    PyObject *values[10];
    PyArrayObject *x = NULL;
    PyArrayObject *y = NULL;
    PyArrayObject *offsets = NULL;
    PyArrayObject *floors = NULL;
    PyArrayObject *ceilings = NULL;
    PyArrayObject *problems = NULL;
    PyArrayObject *boxes = NULL;
    PyArrayObject *guesses = NULL;
    PyObject *out = NULL;
    job j = {0};
    int64_t n_groups = 0;
    int64_t n_threads = 0;
    npy_intp n = 0;
    npy_intp size = 0;
    double points = 0;

    if (dph_args_parse("richards_fit", spec, 10, 4, args, n_args, names, values) < 0 ||
        dph_args_int(values[8], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    x = dph_args_column(values[0], "x", -1);
    if (x == NULL) {
        goto out;
    }
    n = PyArray_DIM(x, 0);
    y = dph_args_column(values[1], "y", n);
    if (y == NULL) {
        goto out;
    }
    offsets = dph_args_offsets(values[2], "offsets", n, &n_groups);
    if (offsets == NULL) {
        goto out;
    }
    size = (npy_intp)n_groups;
    floors = dph_args_column(values[3], "floors", size);
    if (floors == NULL ||
        optional_column(values[4], "ceilings", size, &ceilings, &j.batch.ceilings) < 0 ||
        optional_column(values[5], "problems", n, &problems, &j.batch.problems) < 0 ||
        optional_column(values[6], "boxes", size * DPH_RICHARDS_BOX, &boxes, &j.batch.boxes) < 0 ||
        optional_column(values[7], "guesses", 4 * size, &guesses, &j.batch.guesses) < 0) {
        goto out;
    }
    Py_INCREF(state->types[DPH_TYPE_RICHARDS]);
    out = PyArray_Zeros(1, &size, state->types[DPH_TYPE_RICHARDS], 0);
    if (out == NULL) {
        goto out;
    }
    j.batch.x = PyArray_DATA(x);
    j.batch.y = PyArray_DATA(y);
    j.batch.offsets = PyArray_DATA(offsets);
    j.batch.floors = PyArray_DATA(floors);
    j.out = PyArray_DATA((PyArrayObject *)out);
    points = (double)n / (double)(n_groups > 0 ? n_groups : 1);
    if (dph_workshop_open(&j.shop, n_threads,
                          dph_richards_scratch(dph_groups_largest(j.batch.offsets, n_groups)), 0,
                          n_groups, 10000 + 1000 * points, values[9]) < 0 ||
        dph_workshop_run(&j.shop, task, &j) < 0) {
        Py_CLEAR(out);
    }
    dph_workshop_close(&j.shop);

out:
    Py_XDECREF(x);
    Py_XDECREF(y);
    Py_XDECREF(offsets);
    Py_XDECREF(floors);
    Py_XDECREF(ceilings);
    Py_XDECREF(problems);
    Py_XDECREF(boxes);
    Py_XDECREF(guesses);
    return out;
}

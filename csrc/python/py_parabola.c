#include "bindings.h"

#include <stddef.h>

#include "../base/groups.h"
#include "../laws/parabola.h"
#include "args.h"

#define FIELD(name, format) {#name, format, offsetof(dph_parabola, name)}

static const dph_field fields[] = {
    FIELD(n, "i8"),
    FIELD(n_used, "i8"),
    FIELD(a, "f8"),
    FIELD(b, "f8"),
    FIELD(c, "f8"),
    FIELD(x_vertex, "f8"),
    FIELD(x_star, "f8"),
    FIELD(tokens_star, "f8"),
    FIELD(params_star, "f8"),
    FIELD(loss_star, "f8"),
    FIELD(a_under, "f8"),
    FIELD(a_over, "f8"),
    FIELD(rss, "f8"),
    FIELD(se_x_star, "f8"),
    FIELD(se_loss_star, "f8"),
    FIELD(x_min, "f8"),
    FIELD(x_max, "f8"),
    FIELD(x_lo, "f8"),
    FIELD(x_hi, "f8"),
    FIELD(joint_x_star, "f8"),
    FIELD(joint_loss_star, "f8"),
    FIELD(joint_a_under, "f8"),
    FIELD(joint_a_over, "f8"),
    FIELD(joint_rss, "f8"),
    FIELD(status, "i4"),
};

const char dph_parabola_doc[] =
    "parabola_fit(tokens, loss, params, offsets, *, joint=False, window=0.0, diagnose=False, "
    "n_threads=1, progress=None)\n--\n\n"
    "Fit loss = a x^2 + b x + c in x = log10(tokens), one parabola a group.\n\n"
    "tokens, loss, params : (n,) float64; params may be None.\n"
    "offsets : (n_groups + 1,) int64; group g owns rows offsets[g] to offsets[g + 1].\n"
    "joint : also fit one vertex with two curvatures.\n"
    "window : decades on each side of the vertex whose points are used; 0 or inf: all.\n"
    "diagnose : also look for off_centre and duplicated_designs.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns an array of `parabola_dtype`, one record a group, each with its status.";

PyArray_Descr *
dph_py_parabola_type(void)
{
    return dph_args_record_type(fields, (int)(sizeof fields / sizeof fields[0]),
                                sizeof(dph_parabola));
}

int
dph_py_window(PyObject *obj, double *window)
{
    *window = obj == NULL || obj == Py_None ? 0 : PyFloat_AsDouble(obj);
    if (*window == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (!(*window >= 0)) {
        PyErr_Format(PyExc_ValueError, "window: expected decades >= 0, got %R", obj);
        return -1;
    }
    return 0;
}

int
dph_py_buckets_take(PyObject *const *values, dph_py_buckets *out)
{
    PyArrayObject **a = out->arrays;
    npy_intp n = 0;

    *out = (dph_py_buckets){{NULL, NULL, NULL, NULL}, {0}, 0, 0, 0};
    a[0] = dph_args_column(values[0], "tokens", -1);
    if (a[0] == NULL) {
        return -1;
    }
    n = PyArray_DIM(a[0], 0);
    a[1] = dph_args_column(values[1], "loss", n);
    if (a[1] == NULL) {
        return -1;
    }
    if (values[2] != Py_None) {
        a[2] = dph_args_column(values[2], "params", n);
        if (a[2] == NULL) {
            return -1;
        }
    }
    a[3] = dph_args_offsets(values[3], "offsets", n, &out->n_groups);
    if (a[3] == NULL) {
        return -1;
    }
    out->batch = (dph_parabola_batch){.tokens = PyArray_DATA(a[0]),
                                      .loss = PyArray_DATA(a[1]),
                                      .params = a[2] != NULL ? PyArray_DATA(a[2]) : NULL,
                                      .offsets = PyArray_DATA(a[3])};
    out->largest = dph_groups_largest(out->batch.offsets, out->n_groups);
    out->per_bucket = (double)n / (double)(out->n_groups > 0 ? out->n_groups : 1);
    return 0;
}

void
dph_py_buckets_drop(dph_py_buckets *buckets)
{
    for (int i = 0; i < 4; i++) {
        Py_XDECREF(buckets->arrays[i]);
    }
}

typedef struct {
    dph_workshop shop;
    dph_parabola_batch batch;
    dph_parabola_options options;
    dph_parabola *out;
} job;

static int
task(void *ctx, int64_t begin, int64_t end, int worker)
{
    job *j = ctx;
    dph_parabola_options options = j->options;

    options.stopped = &j->shop.stopped;
    dph_parabola_fit(&j->batch, begin, end, &options, j->shop.scratch[worker],
                     j->shop.minimisers[worker], j->out);
    return DPH_OK;
}

PyObject *
dph_py_parabola_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {{"tokens", 1},   {"loss", 1},      {"params", 1},
                                   {"offsets", 1},  {"joint", 0},     {"window", 0},
                                   {"diagnose", 0}, {"n_threads", 0}, {"progress", 0}};
    dph_module_state *state = PyModule_GetState(module);
    PyObject *values[9];
    dph_py_buckets buckets = {0};
    PyObject *out = NULL;
    job j = {0};
    int64_t n_threads = 0;
    npy_intp shape = 0;
    double cost = 0;
    double window = 0;
    int joint = 0;
    int diagnose = 0;

    if (dph_args_parse("parabola_fit", spec, 9, 4, args, n_args, names, values) < 0 ||
        dph_args_int(values[7], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    joint = values[4] != NULL ? PyObject_IsTrue(values[4]) : 0;
    if (joint < 0) {
        return NULL;
    }
    diagnose = values[6] != NULL ? PyObject_IsTrue(values[6]) : 0;
    if (diagnose < 0 || dph_py_window(values[5], &window) < 0) {
        return NULL;
    }
    j.options.joint = joint;
    j.options.window = window;
    j.options.diagnose = diagnose;
    if (dph_py_buckets_take(values, &buckets) < 0) {
        goto out;
    }
    shape = (npy_intp)buckets.n_groups;
    Py_INCREF(state->types[DPH_TYPE_PARABOLA]);
    out = PyArray_Zeros(1, &shape, state->types[DPH_TYPE_PARABOLA], 0);
    if (out == NULL) {
        goto out;
    }
    j.batch = buckets.batch;
    j.out = PyArray_DATA((PyArrayObject *)out);
    cost = 100 + ((joint ? 1500 : 50) + (window > 0 ? 250 : 0)) * buckets.per_bucket;
    if (dph_workshop_open(&j.shop, n_threads, dph_parabola_scratch(buckets.largest), joint,
                          buckets.n_groups, cost, values[8]) < 0 ||
        dph_workshop_run(&j.shop, task, &j) < 0) {
        Py_CLEAR(out);
    }
    dph_workshop_close(&j.shop);

out:
    dph_py_buckets_drop(&buckets);
    return out;
}

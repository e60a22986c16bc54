#include "bindings.h"

#include <stddef.h>

#include "../base/groups.h"
#include "../laws/isocurve.h"
#include "args.h"

#define FIELD(name, format) {#name, format, offsetof(dph_isocurve, name)}

static const dph_field fields[] = {
    FIELD(n, "i8"),
    FIELD(n_used, "i8"),
    FIELD(x_star, "f8"),
    FIELD(tokens_star, "f8"),
    FIELD(params_star, "f8"),
    FIELD(loss_star, "f8"),
    FIELD(se_loss_star, "f8"),
    FIELD(rss, "f8"),
    FIELD(aicc, "f8"),
    FIELD(loo, "f8"),
    FIELD(x_min, "f8"),
    FIELD(x_max, "f8"),
    FIELD(x_lo, "f8"),
    FIELD(x_hi, "f8"),
    FIELD(x_centre, "f8"),
    FIELD(coefficients, "(5,)f8"),
    FIELD(shape, "i4"),
    FIELD(n_coefficients, "i4"),
    FIELD(status, "i4"),
};

const char dph_isocurve_doc[] =
    "isocurve_fit(tokens, loss, params, offsets, *, shape='windowed', window=0.5, loo=False, "
    "n_threads=1, progress=None)\n--\n\n"
    "Fit a curve of loss against x = log10(tokens), one a group.\n\n"
    "tokens, loss, params : (n,) float64; params may be None.\n"
    "offsets : (n_groups + 1,) int64; group g owns rows offsets[g] to offsets[g + 1].\n"
    "shape : 'parabola', 'windowed', 'joint', 'cubic' or 'two-power'.\n"
    "window : decades on each side of the vertex, for 'windowed'; 0 or inf: all points.\n"
    "loo : also fit without each point, for the leave-one-out error.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns an array of `isocurve_dtype`, one record a group, each with its status.";

PyArray_Descr *
dph_py_isocurve_type(void)
{
    return dph_args_record_type(fields, (int)(sizeof fields / sizeof fields[0]),
                                sizeof(dph_isocurve));
}

typedef struct {
    dph_workshop shop;
    dph_parabola_batch batch;
    dph_isocurve_options options;
    dph_isocurve *out;
} job;

static int
task(void *ctx, int64_t begin, int64_t end, int worker)
{
    job *j = ctx;
    dph_isocurve_options options = j->options;

    options.stopped = &j->shop.stopped;
    dph_isocurve_fit(&j->batch, begin, end, &options, j->shop.scratch[worker],
                     j->shop.minimisers[worker], j->out);
    return DPH_OK;
}

/* Nanoseconds a group of this many points takes, roughly. */
static double
group_cost(const dph_isocurve_options *options, double points)
{
    static const double one[DPH_CURVES] = {50, 300, 1500, 200, 80000};
    double cost = 300 + one[options->shape] * points;

    return options->loo ? cost * (1 + points) : cost;
}

PyObject *
dph_py_isocurve_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {{"tokens", 1},  {"loss", 1},      {"params", 1},
                                   {"offsets", 1}, {"shape", 0},     {"window", 0},
                                   {"loo", 0},     {"n_threads", 0}, {"progress", 0}};
    static const char *const shapes[DPH_CURVES] = {"parabola", "windowed", "joint", "cubic",
                                                   "two-power"};
    dph_module_state *state = PyModule_GetState(module);
    PyObject *values[9];
    dph_py_buckets buckets = {0};
    PyObject *out = NULL;
    job j = {0};
    int64_t n_threads = 0;
    npy_intp size = 0;

    if (dph_args_parse("isocurve_fit", spec, 9, 4, args, n_args, names, values) < 0 ||
        dph_args_word(values[4], "shape", shapes, DPH_CURVES, DPH_CURVE_WINDOWED,
                      &j.options.shape) < 0 ||
        dph_args_int(values[7], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    j.options.window = 0.5;
    if (values[5] != NULL && dph_py_window(values[5], &j.options.window) < 0) {
        return NULL;
    }
    j.options.loo = values[6] != NULL ? PyObject_IsTrue(values[6]) : 0;
    if (j.options.loo < 0) {
        return NULL;
    }
    if (dph_py_buckets_take(values, &buckets) < 0) {
        goto out;
    }
    size = (npy_intp)buckets.n_groups;
    Py_INCREF(state->types[DPH_TYPE_ISOCURVE]);
    out = PyArray_Zeros(1, &size, state->types[DPH_TYPE_ISOCURVE], 0);
    if (out == NULL) {
        goto out;
    }
    j.batch = buckets.batch;
    j.out = PyArray_DATA((PyArrayObject *)out);
    if (dph_workshop_open(&j.shop, n_threads, dph_isocurve_scratch(buckets.largest), 1,
                          buckets.n_groups, group_cost(&j.options, buckets.per_bucket),
                          values[8]) < 0 ||
        dph_workshop_run(&j.shop, task, &j) < 0) {
        Py_CLEAR(out);
    }
    dph_workshop_close(&j.shop);

out:
    dph_py_buckets_drop(&buckets);
    return out;
}

#include "bindings.h"

#include <math.h>
#include <stddef.h>

#include "../base/groups.h"
#include "../laws/survival.h"
#include "args.h"

#define ROLLOUT(name, format) {#name, format, offsetof(dph_rollout, name)}
#define CALIBRATION(name, format) {#name, format, offsetof(dph_calibration, name)}

static const dph_field rollout_fields[] = {
    ROLLOUT(n, "i8"),         ROLLOUT(n_forks, "i8"), ROLLOUT(time, "i8"),
    ROLLOUT(pmass_min, "f8"), ROLLOUT(died, "i4"),    ROLLOUT(status, "i4"),
};

static const dph_field calibration_fields[] = {
    CALIBRATION(n, "i8"),
    CALIBRATION(n_head, "i8"),
    CALIBRATION(scale, "f8"),
    CALIBRATION(status, "i4"),
};

const char dph_survival_doc[] =
    "survival_watch(pmass, forks, fork_offsets, token_offsets, gen_lens, *, threshold=0.8, "
    "slack=0.01, mask=True, n_threads=1, progress=None)\n--\n\n"
    "When rollouts die: at the first fork whose probability mass is below the threshold.\n\n"
    "pmass : (m,) float64 mass at each fork, NaN where it was not measured.\n"
    "forks : (m,) int64 token of each fork, never decreasing within a rollout.\n"
    "fork_offsets : (n + 1,) int64; rollout i owns forks fork_offsets[i] to fork_offsets[i + 1].\n"
    "token_offsets : (n + 1,) int64; rollout i owns tokens token_offsets[i] to "
    "token_offsets[i + 1].\n"
    "gen_lens : (n,) int64 tokens generated.\n"
    "threshold : a mass below it is death.\n"
    "slack : how far outside [0, 1] a mass may lie.\n"
    "mask : also say for every token whether the rollout is alive there.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns (mask, records): (token_offsets[-1],) bool or None, and (n,) of `rollout_dtype`.";

const char dph_rolling_doc[] =
    "rolling_mean(x, offsets, window, *, n_threads=1, progress=None)\n--\n\n"
    "Centred rolling mean of every row, edges padded with the first and the last value.\n\n"
    "x : (n,) float64.\n"
    "offsets : (n_rows + 1,) int64; row i owns values offsets[i] to offsets[i + 1].\n"
    "window : values in the mean; rows shorter than it come back as they are.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns (n,) float64.";

const char dph_calibrate_doc[] =
    "kl_calibrate(kl, offsets, *, window=1, head=20, q=0.95, scale_min=1e-08, "
    "order='calibrate', normalise=True, n_threads=1, progress=None)\n--\n\n"
    "Divide every row by a quantile of its first tokens, and smooth it.\n\n"
    "kl : (n,) float64.\n"
    "offsets : (n_rows + 1,) int64; row i owns values offsets[i] to offsets[i + 1].\n"
    "window : of the rolling mean; 1 for none.\n"
    "head : first tokens that make the scale.\n"
    "q : the scale is this quantile of them.\n"
    "scale_min : a scale must be larger.\n"
    "order : 'calibrate' (scale from raw values) or 'smooth' (from smoothed ones).\n"
    "normalise : divide by the scale; otherwise it is only measured.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns (values, records): (n,) float64 and (n_rows,) of `calibration_dtype`.";

const char dph_kl_quantiles_doc[] =
    "kl_quantiles(values, offsets, groups, q, *, n_threads=1, progress=None)\n--\n\n"
    "Quantiles over the rows of each group, token by token.\n\n"
    "values : (n,) float64; NaN is no value.\n"
    "offsets : (n_rows + 1,) int64; row i owns values offsets[i] to offsets[i + 1].\n"
    "groups : (n_groups + 1,) int64; group g owns rows groups[g] to groups[g + 1].\n"
    "q : (n_q,) float64 in [0, 1], never decreasing.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns (quantiles, count, group_offsets): (n_cells, n_q) float64, (n_cells,) int64 and\n"
    "(n_groups + 1,) int64; group g owns cells group_offsets[g] to group_offsets[g + 1], as many\n"
    "as its longest row has values.";

PyArray_Descr *
dph_py_rollout_type(void)
{
    return dph_args_record_type(rollout_fields,
                                (int)(sizeof rollout_fields / sizeof rollout_fields[0]),
                                sizeof(dph_rollout));
}

PyArray_Descr *
dph_py_calibration_type(void)
{
    return dph_args_record_type(calibration_fields,
                                (int)(sizeof calibration_fields / sizeof calibration_fields[0]),
                                sizeof(dph_calibration));
}

/* Truth of an argument, or the fallback. 0, or -1 with an exception. */
static int
truth(PyObject *obj, int fallback, int *out)
{
    *out = obj == NULL ? fallback : PyObject_IsTrue(obj);
    return *out < 0 ? -1 : 0;
}

/* Offsets whose last value says how many items there are. NULL with an exception. */
static PyArrayObject *
open_offsets(PyObject *obj, const char *name, int64_t n_groups)
{
    PyArrayObject *any = dph_args_whole(obj, name, (npy_intp)n_groups + 1);
    PyArrayObject *array = NULL;
    int64_t found = 0;

    if (any != NULL) {
        array = dph_args_offsets((PyObject *)any, name,
                                 (npy_intp)((const int64_t *)PyArray_DATA(any))[n_groups], &found);
    }
    Py_XDECREF(any);
    return array;
}

typedef struct {
    dph_workshop shop;
    dph_survival_batch batch;
    dph_survival_options options;
    uint8_t *mask;
    dph_rollout *out;
} watch_job;

static int
watch_task(void *ctx, int64_t begin, int64_t end, int worker)
{
    watch_job *j = ctx;

    (void)worker;
    dph_survival_watch(&j->batch, begin, end, &j->options, j->mask, j->out);
    return DPH_OK;
}

PyObject *
dph_py_survival_watch(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {
        {"pmass", 1},     {"forks", 1}, {"fork_offsets", 1}, {"token_offsets", 1}, {"gen_lens", 1},
        {"threshold", 0}, {"slack", 0}, {"mask", 0},         {"n_threads", 0},     {"progress", 0}};
    dph_module_state *state = PyModule_GetState(module);
    PyObject *values[10];
    PyArrayObject *columns[5] = {NULL};
    PyObject *mask = NULL;
    PyObject *records = NULL;
    PyObject *result = NULL;
    watch_job j = {0};
    int64_t n = 0;
    int64_t n_threads = 0;
    int masked = 0;
    npy_intp m = 0;
    npy_intp n_tokens = 0;
    npy_intp shape = 0;

    if (dph_args_parse("survival_watch", spec, 10, 5, args, n_args, names, values) < 0 ||
        dph_args_number(values[5], "threshold", 0, 1, "from 0 to 1", 0.8, &j.options.threshold) <
            0 ||
        dph_args_number(values[6], "slack", 0, INFINITY, "of at least 0", 0.01, &j.options.slack) <
            0 ||
        truth(values[7], 1, &masked) < 0 ||
        dph_args_int(values[8], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    columns[0] = dph_args_column(values[0], "pmass", -1);
    if (columns[0] == NULL) {
        goto out;
    }
    m = PyArray_DIM(columns[0], 0);
    columns[1] = dph_args_whole(values[1], "forks", m);
    if (columns[1] == NULL) {
        goto out;
    }
    columns[2] = dph_args_offsets(values[2], "fork_offsets", m, &n);
    if (columns[2] == NULL) {
        goto out;
    }
    columns[3] = open_offsets(values[3], "token_offsets", n);
    if (columns[3] == NULL) {
        goto out;
    }
    columns[4] = dph_args_whole(values[4], "gen_lens", (npy_intp)n);
    if (columns[4] == NULL) {
        goto out;
    }
    j.batch = (dph_survival_batch){.pmass = PyArray_DATA(columns[0]),
                                   .forks = PyArray_DATA(columns[1]),
                                   .fork_offsets = PyArray_DATA(columns[2]),
                                   .token_offsets = PyArray_DATA(columns[3]),
                                   .gen_lens = PyArray_DATA(columns[4])};
    for (int64_t i = 0; i < n; i++) {
        if (j.batch.gen_lens[i] < 0) {
            PyErr_Format(PyExc_ValueError, "gen_lens[%lld] is %lld: expected 0 or more",
                         (long long)i, (long long)j.batch.gen_lens[i]);
            goto out;
        }
    }
    n_tokens = (npy_intp)j.batch.token_offsets[n];
    if (masked) {
        mask = PyArray_SimpleNew(1, &n_tokens, NPY_BOOL);
        if (mask == NULL) {
            goto out;
        }
        j.mask = PyArray_DATA((PyArrayObject *)mask);
    }
    shape = (npy_intp)n;
    Py_INCREF(state->types[DPH_TYPE_ROLLOUT]);
    records = PyArray_Zeros(1, &shape, state->types[DPH_TYPE_ROLLOUT], 0);
    if (records == NULL) {
        goto out;
    }
    j.out = PyArray_DATA((PyArrayObject *)records);
    if (dph_workshop_open(&j.shop, n_threads, 0, 0, n,
                          30 + (2 * (double)m + 0.05 * (double)n_tokens) / (double)(n + 1),
                          values[9]) == 0 &&
        dph_workshop_run(&j.shop, watch_task, &j) == 0) {
        result = PyTuple_Pack(2, masked ? mask : Py_None, records);
    }
    dph_workshop_close(&j.shop);

out:
    for (int i = 0; i < 5; i++) {
        Py_XDECREF(columns[i]);
    }
    Py_XDECREF(mask);
    Py_XDECREF(records);
    return result;
}

typedef struct {
    dph_workshop shop;
    dph_calibration_options options;
    const double *kl;
    const int64_t *offsets;
    double *values;
    dph_calibration *out; /* NULL: only a rolling mean is wanted */
} row_job;

static int
row_task(void *ctx, int64_t begin, int64_t end, int worker)
{
    row_job *j = ctx;
    double *scratch = j->shop.scratch[worker];

    if (j->out != NULL) {
        dph_kl_calibrate(j->kl, j->offsets, begin, end, &j->options, scratch, j->values, j->out);
        return DPH_OK;
    }
    for (int64_t i = begin; i < end; i++) {
        int64_t at = j->offsets[i];

        dph_rolling_mean(j->kl + at, j->offsets[i + 1] - at, j->options.window, scratch,
                         j->values + at);
    }
    return DPH_OK;
}

/* Rows in, rows out, with records where there is room for them. NULL with an exception. */
static PyObject *
run_rows(row_job *j, PyObject *values, PyObject *offsets, PyObject *records_type, int64_t n_threads,
         PyObject *progress)
{
    PyArrayObject *kl = dph_args_column(values, records_type == NULL ? "x" : "kl", -1);
    PyArrayObject *at = NULL;
    PyObject *out = NULL;
    PyObject *records = NULL;
    PyObject *result = NULL;
    int64_t n_rows = 0;
    int64_t largest = 0;
    npy_intp n = 0;
    npy_intp shape = 0;

    if (kl == NULL) {
        return NULL;
    }
    n = PyArray_DIM(kl, 0);
    at = dph_args_offsets(offsets, "offsets", n, &n_rows);
    if (at == NULL) {
        goto out;
    }
    out = PyArray_SimpleNew(1, &n, NPY_DOUBLE);
    if (out == NULL) {
        goto out;
    }
    if (records_type != NULL) {
        shape = (npy_intp)n_rows;
        Py_INCREF(records_type);
        records = PyArray_Zeros(1, &shape, (PyArray_Descr *)records_type, 0);
        if (records == NULL) {
            goto out;
        }
        j->out = PyArray_DATA((PyArrayObject *)records);
    }
    j->kl = PyArray_DATA(kl);
    j->offsets = PyArray_DATA(at);
    j->values = PyArray_DATA((PyArrayObject *)out);
    largest = dph_groups_largest(j->offsets, n_rows);
    if (dph_workshop_open(&j->shop, n_threads, dph_calibration_scratch(largest, &j->options), 0,
                          n_rows, 100 + 3 * (double)n / (double)(n_rows + 1), progress) == 0 &&
        dph_workshop_run(&j->shop, row_task, j) == 0) {
        result = records != NULL ? PyTuple_Pack(2, out, records) : Py_NewRef(out);
    }
    dph_workshop_close(&j->shop);

out:
    Py_XDECREF(kl);
    Py_XDECREF(at);
    Py_XDECREF(out);
    Py_XDECREF(records);
    return result;
}

PyObject *
dph_py_rolling_mean(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {
        {"x", 1}, {"offsets", 1}, {"window", 1}, {"n_threads", 0}, {"progress", 0}};
    PyObject *values[5];
    row_job j = {0};
    int64_t n_threads = 0;

    (void)module;
    if (dph_args_parse("rolling_mean", spec, 5, 3, args, n_args, names, values) < 0 ||
        dph_args_int(values[2], "window", 1, INT64_C(1) << 40, 1, &j.options.window) < 0 ||
        dph_args_int(values[3], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    return run_rows(&j, values[0], values[1], NULL, n_threads, values[4]);
}

PyObject *
dph_py_kl_calibrate(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {
        {"kl", 1},        {"offsets", 1}, {"window", 0},    {"head", 0},      {"q", 0},
        {"scale_min", 0}, {"order", 0},   {"normalise", 0}, {"n_threads", 0}, {"progress", 0}};
    static const char *const orders[] = {"calibrate", "smooth"};
    dph_module_state *state = PyModule_GetState(module);
    PyObject *values[10];
    row_job j = {0};
    int64_t n_threads = 0;

    if (dph_args_parse("kl_calibrate", spec, 10, 2, args, n_args, names, values) < 0 ||
        dph_args_int(values[2], "window", 1, INT64_C(1) << 40, 1, &j.options.window) < 0 ||
        dph_args_int(values[3], "head", 1, INT64_C(1) << 40, 20, &j.options.head) < 0 ||
        dph_args_number(values[4], "q", 0, 1, "from 0 to 1", 0.95, &j.options.q) < 0 ||
        dph_args_number(values[5], "scale_min", 0, INFINITY, "of at least 0", 1e-8,
                        &j.options.scale_min) < 0 ||
        dph_args_word(values[6], "order", orders, 2, DPH_CALIBRATE_FIRST, &j.options.order) < 0 ||
        truth(values[7], 1, &j.options.normalise) < 0 ||
        dph_args_int(values[8], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    return run_rows(&j, values[0], values[1], (PyObject *)state->types[DPH_TYPE_CALIBRATION],
                    n_threads, values[9]);
}

typedef struct {
    dph_workshop shop;
    dph_quantile_batch batch;
    const double *q;
    int64_t n_q;
    double *out;
    int64_t *count;
} quantile_job;

static int
quantile_task(void *ctx, int64_t begin, int64_t end, int worker)
{
    quantile_job *j = ctx;

    dph_kl_quantiles(&j->batch, begin, end, j->q, j->n_q, j->shop.scratch[worker], j->out,
                     j->count);
    return DPH_OK;
}

/* Offsets of the results: a group has as many cells as its longest row has values. */
static PyArrayObject *
cell_offsets(const int64_t *offsets, const int64_t *groups, int64_t n_groups)
{
    npy_intp shape = (npy_intp)n_groups + 1;
    PyArrayObject *array = (PyArrayObject *)PyArray_SimpleNew(1, &shape, NPY_INT64);

    if (array != NULL) {
        int64_t *at = PyArray_DATA(array);

        at[0] = 0;
        for (int64_t g = 0; g < n_groups; g++) {
            at[g + 1] = at[g] + dph_groups_largest(offsets + groups[g], groups[g + 1] - groups[g]);
        }
    }
    return array;
}

PyObject *
dph_py_kl_quantiles(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {{"values", 1}, {"offsets", 1},   {"groups", 1},
                                   {"q", 1},      {"n_threads", 0}, {"progress", 0}};
    PyObject *values[6];
    PyArrayObject *columns[5] = {NULL};
    PyObject *quantiles = NULL;
    PyObject *count = NULL;
    PyObject *result = NULL;
    quantile_job j = {0};
    int64_t n_rows = 0;
    int64_t n_threads = 0;
    int64_t largest = 0;
    npy_intp shape[2] = {0, 0};

    (void)module;
    if (dph_args_parse("kl_quantiles", spec, 6, 4, args, n_args, names, values) < 0 ||
        dph_args_int(values[4], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    columns[0] = dph_args_column(values[0], "values", -1);
    if (columns[0] == NULL) {
        goto out;
    }
    columns[1] = dph_args_offsets(values[1], "offsets", PyArray_DIM(columns[0], 0), &n_rows);
    if (columns[1] == NULL) {
        goto out;
    }
    columns[2] = dph_args_offsets(values[2], "groups", (npy_intp)n_rows, &j.batch.n_groups);
    if (columns[2] == NULL) {
        goto out;
    }
    columns[3] = dph_args_column(values[3], "q", -1);
    if (columns[3] == NULL) {
        goto out;
    }
    j.q = PyArray_DATA(columns[3]);
    j.n_q = (int64_t)PyArray_DIM(columns[3], 0);
    for (int64_t i = 0; i < j.n_q; i++) {
        if (!(j.q[i] >= (i > 0 ? j.q[i - 1] : 0) && j.q[i] <= 1)) {
            PyErr_Format(PyExc_ValueError,
                         "q[%lld]: expected numbers from 0 to 1 that never "
                         "decrease",
                         (long long)i);
            goto out;
        }
    }
    j.batch.values = PyArray_DATA(columns[0]);
    j.batch.offsets = PyArray_DATA(columns[1]);
    j.batch.groups = PyArray_DATA(columns[2]);
    columns[4] = cell_offsets(j.batch.offsets, j.batch.groups, j.batch.n_groups);
    if (columns[4] == NULL) {
        goto out;
    }
    j.batch.group_offsets = PyArray_DATA(columns[4]);
    shape[0] = (npy_intp)j.batch.group_offsets[j.batch.n_groups];
    shape[1] = (npy_intp)j.n_q;
    quantiles = PyArray_SimpleNew(2, shape, NPY_DOUBLE);
    count = PyArray_SimpleNew(1, shape, NPY_INT64);
    if (quantiles == NULL || count == NULL) {
        goto out;
    }
    j.out = PyArray_DATA((PyArrayObject *)quantiles);
    j.count = PyArray_DATA((PyArrayObject *)count);
    largest = dph_groups_largest(j.batch.groups, j.batch.n_groups);
    if (dph_workshop_open(&j.shop, n_threads, dph_kl_quantiles_scratch(largest), 0, shape[0],
                          50 + 10 * (double)largest * (double)(j.n_q + 1), values[5]) == 0 &&
        dph_workshop_run(&j.shop, quantile_task, &j) == 0) {
        result = PyTuple_Pack(3, quantiles, count, (PyObject *)columns[4]);
    }
    dph_workshop_close(&j.shop);

out:
    for (int i = 0; i < 5; i++) {
        Py_XDECREF(columns[i]);
    }
    Py_XDECREF(quantiles);
    Py_XDECREF(count);
    return result;
}

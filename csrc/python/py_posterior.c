#include "bindings.h"

#include <stddef.h>

#include "../base/groups.h"
#include "../laws/posterior.h"
#include "args.h"

#define FIELD(name, format) {#name, format, offsetof(dph_posterior, name)}
#define DRAW(name) {#name, "f8", offsetof(dph_posterior_draw, name)}

static const dph_field fields[] = {
    FIELD(n, "i8"),
    FIELD(compute_max, "f8"),
    FIELD(dof, "f8"),
    FIELD(L_inf_spread, "f8"),
    FIELD(alpha_spread, "f8"),
    FIELD(alpha_edge, "f8"),
    FIELD(status, "i4"),
};

static const dph_field draw_fields[] = {
    DRAW(L_inf), DRAW(log_A), DRAW(alpha), DRAW(sigma), DRAW(power),
};

const char dph_posterior_doc[] =
    "posterior_fit(compute, loss, offsets, uniforms, *, noise=None, noise_dof=0.0, "
    "alpha_range=(0.01, 1.5), powers=(0.0,), power_weights=(1.0,), n_threads=1, progress=None)"
    "\n--\n\n"
    "Draw power laws loss = L_inf + A compute^-alpha from their posterior, per suite.\n\n"
    "compute, loss : (n,) float64.\n"
    "offsets : (n_suites + 1,) int64; suite s owns rows offsets[s] to offsets[s + 1].\n"
    "uniforms : (4 n_draws,) float64 in (0, 1), four for each draw; the same for every suite.\n"
    "noise : (n_suites,) guesses of the noise sd at the largest compute, worth noise_dof points.\n"
    "alpha_range : (2,) range of the log-uniform prior of alpha.\n"
    "powers, power_weights : prior of the power with which noise variance falls with compute.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns (draws, records): (n_suites, n_draws) of `posterior_draw_dtype` and (n_suites,) of "
    "`posterior_dtype`.";

PyArray_Descr *
dph_py_posterior_type(void)
{
    return dph_args_record_type(fields, (int)(sizeof fields / sizeof fields[0]),
                                sizeof(dph_posterior));
}

PyArray_Descr *
dph_py_posterior_draw_type(void)
{
    return dph_args_record_type(draw_fields, (int)(sizeof draw_fields / sizeof draw_fields[0]),
                                sizeof(dph_posterior_draw));
}

typedef struct {
    dph_workshop shop;
    dph_posterior_batch batch;
    dph_posterior_options options;
    const double *uniforms;
    int64_t n_draws;
    dph_posterior_draw *draws;
    dph_posterior *out;
} job;

static int
task(void *ctx, int64_t begin, int64_t end, int worker)
{
    job *j = ctx;
    dph_posterior_options options = j->options;

    options.stopped = &j->shop.stopped;
    dph_posterior_fit(&j->batch, begin, end, &options, j->uniforms, j->n_draws,
                      j->shop.scratch[worker], j->draws, j->out);
    return DPH_OK;
}

/* A column from the caller, or one number in its place. */
static PyArrayObject *
column_or(PyObject *obj, const char *name, npy_intp n, double fallback)
{
    npy_intp one = 1;
    PyObject *array = NULL;

    if (obj != NULL && obj != Py_None) {
        return dph_args_column(obj, name, n);
    }
    array = PyArray_SimpleNew(1, &one, NPY_DOUBLE);
    if (array != NULL) {
        *(double *)PyArray_DATA((PyArrayObject *)array) = fallback;
    }
    return (PyArrayObject *)array;
}

/* Every value of the column in (lo, hi)? -1 with ValueError if not. */
static int
check_range(PyArrayObject *column, const char *name, double lo, double hi, int lo_too)
{
    const double *values = PyArray_DATA(column);

    for (npy_intp i = 0; i < PyArray_DIM(column, 0); i++) {
        if (!((values[i] > lo || (lo_too && values[i] == lo)) && values[i] < hi)) {
            PyErr_Format(PyExc_ValueError, "%s[%zd] is out of range", name, (Py_ssize_t)i);
            return -1;
        }
    }
    return 0;
}

PyObject *
dph_py_posterior_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {{"compute", 1},     {"loss", 1},    {"offsets", 1},
                                   {"uniforms", 1},    {"noise", 0},   {"noise_dof", 0},
                                   {"alpha_range", 0}, {"powers", 0},  {"power_weights", 0},
                                   {"n_threads", 0},   {"progress", 0}};
    dph_module_state *state = PyModule_GetState(module);
    PyObject *values[11];
    PyArrayObject *columns[7] = {NULL};
    PyArrayObject *offsets = NULL;
    PyObject *draws = NULL;
    PyObject *records = NULL;
    PyObject *result = NULL;
    job j = {0};
    int64_t n_suites = 0;
    int64_t n_threads = 0;
    npy_intp shape[2] = {0, 0};
    npy_intp n = 0;

    if (dph_args_parse("posterior_fit", spec, 11, 4, args, n_args, names, values) < 0 ||
        dph_args_int(values[9], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    columns[0] = dph_args_column(values[0], "compute", -1);
    if (columns[0] == NULL) {
        goto out;
    }
    n = PyArray_DIM(columns[0], 0);
    columns[1] = dph_args_column(values[1], "loss", n);
    if (columns[1] == NULL) {
        goto out;
    }
    offsets = dph_args_offsets(values[2], "offsets", n, &n_suites);
    if (offsets == NULL) {
        goto out;
    }
    columns[2] = dph_args_column(values[3], "uniforms", -1);
    if (columns[2] == NULL || check_range(columns[2], "uniforms", 0, 1, 0) < 0) {
        goto out;
    }
    if (PyArray_DIM(columns[2], 0) % DPH_POSTERIOR_UNIFORMS != 0) {
        PyErr_SetString(PyExc_ValueError, "uniforms: expected four numbers for each draw");
        goto out;
    }
    if (values[4] != NULL && values[4] != Py_None) {
        columns[3] = dph_args_column(values[4], "noise", (npy_intp)n_suites);
        if (columns[3] == NULL) {
            goto out;
        }
    }
    columns[4] = column_or(values[6], "alpha_range", 2, 0);
    columns[5] = column_or(values[7], "powers", -1, 0);
    if (columns[4] == NULL || columns[5] == NULL) {
        goto out;
    }
    columns[6] = column_or(values[8], "power_weights", PyArray_DIM(columns[5], 0), 1);
    if (columns[6] == NULL || check_range(columns[5], "powers", 0, 1e3, 1) < 0 ||
        check_range(columns[6], "power_weights", 0, 1e300, 0) < 0) {
        goto out;
    }
    if (PyArray_DIM(columns[5], 0) < 1 || PyArray_DIM(columns[5], 0) > DPH_POSTERIOR_POWERS ||
        PyArray_DIM(columns[6], 0) != PyArray_DIM(columns[5], 0)) {
        PyErr_Format(PyExc_ValueError, "powers: expected 1 to %d and as many power_weights",
                     DPH_POSTERIOR_POWERS);
        goto out;
    }
    j.options = (dph_posterior_options){.alpha_lo = 0.01,
                                        .alpha_hi = 1.5,
                                        .powers = PyArray_DATA(columns[5]),
                                        .power_weights = PyArray_DATA(columns[6]),
                                        .n_powers = (int)PyArray_DIM(columns[5], 0)};
    if (values[6] != NULL && values[6] != Py_None) {
        const double *range = PyArray_DATA(columns[4]);

        if (!(range[0] > 0 && range[1] > range[0] && range[1] < 1e3)) {
            PyErr_SetString(PyExc_ValueError, "alpha_range: expected 0 < low < high < 1000");
            goto out;
        }
        j.options.alpha_lo = range[0];
        j.options.alpha_hi = range[1];
    }
    if (values[5] != NULL && values[5] != Py_None) {
        j.options.noise_dof = PyFloat_AsDouble(values[5]);
        if (PyErr_Occurred()) {
            goto out;
        }
        if (!(j.options.noise_dof >= 0 && j.options.noise_dof < 1e9)) {
            PyErr_SetString(PyExc_ValueError, "noise_dof: expected a number from 0 to 1e9");
            goto out;
        }
    }
    j.n_draws = (int64_t)PyArray_DIM(columns[2], 0) / DPH_POSTERIOR_UNIFORMS;
    shape[0] = (npy_intp)n_suites;
    shape[1] = (npy_intp)j.n_draws;
    Py_INCREF(state->types[DPH_TYPE_POSTERIOR_DRAW]);
    draws = PyArray_Zeros(2, shape, state->types[DPH_TYPE_POSTERIOR_DRAW], 0);
    Py_INCREF(state->types[DPH_TYPE_POSTERIOR]);
    records = PyArray_Zeros(1, shape, state->types[DPH_TYPE_POSTERIOR], 0);
    if (draws == NULL || records == NULL) {
        goto out;
    }
    j.batch = (dph_posterior_batch){.compute = PyArray_DATA(columns[0]),
                                    .loss = PyArray_DATA(columns[1]),
                                    .noise = columns[3] != NULL ? PyArray_DATA(columns[3]) : NULL,
                                    .offsets = PyArray_DATA(offsets)};
    j.uniforms = PyArray_DATA(columns[2]);
    j.draws = PyArray_DATA((PyArrayObject *)draws);
    j.out = PyArray_DATA((PyArrayObject *)records);
    if (dph_workshop_open(&j.shop, n_threads,
                          dph_posterior_scratch(dph_groups_largest(j.batch.offsets, n_suites)), 0,
                          n_suites, 5e5 * j.options.n_powers + 2e3 * (double)j.n_draws,
                          values[10]) == 0 &&
        dph_workshop_run(&j.shop, task, &j) == 0) {
        result = PyTuple_Pack(2, draws, records);
    }
    dph_workshop_close(&j.shop);

out:
    for (int i = 0; i < 7; i++) {
        Py_XDECREF(columns[i]);
    }
    Py_XDECREF(offsets);
    Py_XDECREF(draws);
    Py_XDECREF(records);
    return result;
}

#include "bindings.h"

#include <stddef.h>

#include "../base/groups.h"
#include "../laws/powerlaw.h"
#include "args.h"

#define FIELD(name, format) {#name, format, offsetof(dph_powerlaw, name)}

static const dph_field fields[] = {
    FIELD(n, "i8"),     FIELD(L_inf, "f8"),      FIELD(A, "f8"),
    FIELD(alpha, "f8"), FIELD(log_A, "f8"),      FIELD(rss, "f8"),
    FIELD(score, "f8"), FIELD(grid_index, "i8"), FIELD(status, "i4"),
};

const char dph_powerlaw_doc[] =
    "powerlaw_fit(compute, loss, offsets, *, sets=None, floors=None, score='loss', "
    "method='profile', n_grid=400, weigh='points', diagnose=False, n_threads=1, "
    "progress=None)\n--\n\n"
    "Fit loss = L_inf + A compute^-alpha, one law a suite, one floor a set of suites.\n\n"
    "compute, loss : (n,) float64.\n"
    "offsets : (n_suites + 1,) int64; suite s owns rows offsets[s] to offsets[s + 1].\n"
    "sets : (n_sets + 1,) int64; set t owns suites sets[t] to sets[t + 1]; None makes every suite "
    "a set.\n"
    "floors : (n_sets,) float64 pinned L_inf, NaN where free; None if all are free.\n"
    "score : 'loss' (mean squared residual) or 'log' (of log(loss - L_inf)).\n"
    "method : 'profile' (continuous) or 'grid' (n_grid floors over [0, 0.95 min loss]).\n"
    "weigh : 'points' or 'suites', what counts the same in a shared floor.\n"
    "diagnose : also look for floor_not_identified and alpha_weak.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns an array of `powerlaw_dtype`, one record a suite, each with its status.";

PyArray_Descr *
dph_py_powerlaw_type(void)
{
    return dph_args_record_type(fields, (int)(sizeof fields / sizeof fields[0]),
                                sizeof(dph_powerlaw));
}

typedef struct {
    dph_workshop shop;
    dph_powerlaw_batch batch;
    dph_powerlaw_options options;
    dph_powerlaw *out;
} job;

static int
task(void *ctx, int64_t begin, int64_t end, int worker)
{
    job *j = ctx;
    dph_powerlaw_options options = j->options;

    options.stopped = &j->shop.stopped;
    dph_powerlaw_fit(&j->batch, begin, end, &options, j->shop.scratch[worker],
                     j->shop.minimisers[worker], j->out);
    return DPH_OK;
}

/* Offsets 0, 1, 2, ... that make every suite a set of its own. */
static PyArrayObject *
single_sets(int64_t n_suites)
{
    npy_intp shape = (npy_intp)n_suites + 1;
    PyObject *array = PyArray_SimpleNew(1, &shape, NPY_INT64);

    if (array != NULL) {
        int64_t *data = PyArray_DATA((PyArrayObject *)array);
        for (int64_t s = 0; s <= n_suites; s++) {
            data[s] = s;
        }
    }
    return (PyArrayObject *)array;
}

/* Rough cost of one set, from trials of the two searches on small suites. */
double
dph_py_powerlaw_cost(const dph_powerlaw_options *options, double points, double suites)
{
    double inner = options->score == DPH_SCORE_LOG ? 5 : 900;

    if (options->search == DPH_SEARCH_GRID) {
        return 200 + (double)options->n_grid * points * inner;
    }
    return 500 + points * (options->diagnose ? 2 : 1) *
                     (suites > 1 || options->score == DPH_SCORE_LOG ? 70 : 1) * inner;
}

PyObject *
dph_py_powerlaw_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {{"compute", 1},  {"loss", 1},      {"offsets", 1},
                                   {"sets", 0},     {"floors", 0},    {"score", 0},
                                   {"method", 0},   {"n_grid", 0},    {"weigh", 0},
                                   {"diagnose", 0}, {"n_threads", 0}, {"progress", 0}};
    static const char *const scores[] = {"loss", "log"};
    static const char *const methods[] = {"profile", "grid"};
    static const char *const weighs[] = {"points", "suites"};
    dph_module_state *state = PyModule_GetState(module);
    PyObject *values[12];
    PyArrayObject *compute = NULL;
    PyArrayObject *loss = NULL;
    PyArrayObject *offsets = NULL;
    PyArrayObject *sets = NULL;
    PyArrayObject *floors = NULL;
    PyObject *out = NULL;
    job j = {0};
    int64_t n_suites = 0;
    int64_t n_sets = 0;
    int64_t n_threads = 0;
    int64_t most_points = 0;
    int64_t most_suites = 0;
    npy_intp n = 0;
    npy_intp shape = 0;
    double per_set = 0;
    size_t scratch = 0;

    if (dph_args_parse("powerlaw_fit", spec, 12, 3, args, n_args, names, values) < 0 ||
        dph_args_word(values[5], "score", scores, 2, 0, &j.options.score) < 0 ||
        dph_args_word(values[6], "method", methods, 2, 0, &j.options.search) < 0 ||
        dph_args_int(values[7], "n_grid", 1, INT64_C(100000000), 400, &j.options.n_grid) < 0 ||
        dph_args_word(values[8], "weigh", weighs, 2, 0, &j.options.weigh_suites) < 0 ||
        dph_args_int(values[10], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    j.options.diagnose = values[9] != NULL ? PyObject_IsTrue(values[9]) : 0;
    if (j.options.diagnose < 0) {
        return NULL;
    }
    compute = dph_args_column(values[0], "compute", -1);
    if (compute == NULL) {
        goto out;
    }
    n = PyArray_DIM(compute, 0);
    loss = dph_args_column(values[1], "loss", n);
    if (loss == NULL) {
        goto out;
    }
    offsets = dph_args_offsets(values[2], "offsets", n, &n_suites);
    if (offsets == NULL) {
        goto out;
    }
    if (values[3] == NULL || values[3] == Py_None) {
        sets = single_sets(n_suites);
        n_sets = n_suites;
    } else {
        sets = dph_args_offsets(values[3], "sets", (npy_intp)n_suites, &n_sets);
    }
    if (sets == NULL) {
        goto out;
    }
    if (values[4] != NULL && values[4] != Py_None) {
        floors = dph_args_column(values[4], "floors", (npy_intp)n_sets);
        if (floors == NULL) {
            goto out;
        }
    }
    shape = (npy_intp)n_suites;
    Py_INCREF(state->types[DPH_TYPE_POWERLAW]);
    out = PyArray_Zeros(1, &shape, state->types[DPH_TYPE_POWERLAW], 0);
    if (out == NULL) {
        goto out;
    }
    j.batch = (dph_powerlaw_batch){.compute = PyArray_DATA(compute),
                                   .loss = PyArray_DATA(loss),
                                   .offsets = PyArray_DATA(offsets),
                                   .sets = PyArray_DATA(sets),
                                   .floors = floors != NULL ? PyArray_DATA(floors) : NULL};
    j.out = PyArray_DATA((PyArrayObject *)out);
    for (int64_t t = 0; t < n_sets; t++) {
        int64_t first = j.batch.sets[t];
        int64_t last = j.batch.sets[t + 1];
        int64_t points = j.batch.offsets[last] - j.batch.offsets[first];
        most_points = points > most_points ? points : most_points;
        most_suites = last - first > most_suites ? last - first : most_suites;
    }
    per_set = (double)(n_sets > 0 ? n_sets : 1);
    scratch = dph_powerlaw_scratch(most_points, most_suites,
                                   dph_groups_largest(j.batch.offsets, n_suites), &j.options);
    if (dph_workshop_open(
            &j.shop, n_threads, scratch, 1, n_sets,
            dph_py_powerlaw_cost(&j.options, (double)n / per_set, (double)n_suites / per_set),
            values[11]) < 0 ||
        dph_workshop_run(&j.shop, task, &j) < 0) {
        Py_CLEAR(out);
    }
    dph_workshop_close(&j.shop);

out:
    Py_XDECREF(compute);
    Py_XDECREF(loss);
    Py_XDECREF(offsets);
    Py_XDECREF(sets);
    Py_XDECREF(floors);
    return out;
}

#include "bindings.h"

#include <stdlib.h>

#include "../base/groups.h"
#include "../laws/bootstrap.h"
#include "args.h"

#define UNUSABLE (DPH_W_CONCAVE | DPH_W_CLIPPED | DPH_W_UNBRACKETED | DPH_W_SATURATED)

const char dph_bootstrap_law_doc[] =
    "bootstrap_law(compute, loss, at, draws, *, kind='pairs', residuals=None, floor=None, "
    "score='loss', method='profile', n_grid=400, laws=False, n_threads=1, progress=None)\n--\n\n"
    "Refit one law to every row of draws and forecast its loss.\n\n"
    "compute, loss : (n,) float64; loss holds fitted losses unless pairs are drawn.\n"
    "at : (n_targets,) float64 compute to forecast at.\n"
    "draws : (n_boot, n) int64 in [0, n): which points (pairs) or residuals (residual) a replicate "
    "takes; float64 multipliers of the residuals for 'wild'.\n"
    "kind : 'pairs', 'residual' or 'wild'.\n"
    "residuals : (n,) float64, centred and scaled; None for pairs.\n"
    "floor : pinned L_inf; None where it is free.\n"
    "score, method, n_grid : as in powerlaw_fit.\n"
    "laws : also return the laws.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns (forecasts, status, laws): (n_boot, n_targets) float64, NaN without a law; (n_boot,) "
    "int32; (n_boot, 3) float64 L_inf, log_A, alpha or None. Fewer than three distinct computes "
    "drawn are too_few_points.";

const char dph_bootstrap_ladder_doc[] =
    "bootstrap_ladder(tokens, loss, offsets, compute, at, draws, *, residuals=None, window=None, "
    "unusable=None, floor=None, score='loss', method='profile', n_grid=400, laws=False, "
    "n_threads=1, progress=None)\n--\n\n"
    "Refit the parabolas of one suite and the law through their optima to every row of draws.\n\n"
    "tokens, loss : (n_runs,) float64; loss holds fitted losses where residuals are drawn.\n"
    "offsets : (n_buckets + 1,) int64; bucket g owns runs offsets[g] to offsets[g + 1].\n"
    "compute : (n_buckets,) float64.\n"
    "at : (n_targets,) float64 compute to forecast at.\n"
    "draws : (n_boot, n_runs) int64, each in [0, runs of its bucket).\n"
    "residuals : (n_runs,) float64, drawn within the bucket; None draws the runs themselves.\n"
    "window : as in parabola_fit.\n"
    "unusable : status bits with which a vertex is no optimum; None for concave, clipped, "
    "unbracketed and saturated.\n"
    "floor, score, method, n_grid, laws, n_threads, progress : as in bootstrap_law.\n\n"
    "Returns (forecasts, status, laws) as bootstrap_law does.";

typedef struct {
    dph_workshop shop;
    dph_bootstrap_task task;
    dph_bootstrap_suite suite;
    dph_bootstrap_ladder ladder;
    dph_bootstrap_out out;
    int is_ladder;
    PyArrayObject *forecasts;
    PyArrayObject *status;
    PyArrayObject *laws; /* or NULL */
} job;

static int
run_task(void *ctx, int64_t begin, int64_t end, int worker)
{
    job *j = ctx;
    double *scratch = j->shop.scratch[worker];
    dph_minimiser *minimiser = j->shop.minimisers[worker];

    if (j->is_ladder) {
        dph_bootstrap_ladder_fit(&j->ladder, begin, end, &j->task, scratch, minimiser, &j->out);
    } else {
        dph_bootstrap_suite_fit(&j->suite, begin, end, &j->task, scratch, minimiser, &j->out);
    }
    return DPH_OK;
}

/* draws as a two-dimensional array of n columns: whole numbers as int64, or float64. */
static PyArrayObject *
matrix(PyObject *obj, const char *name, int type, npy_intp n)
{
    PyArrayObject *array = NULL;
    PyObject *any = PyArray_FROM_O(obj);

    if (any == NULL) {
        return NULL;
    }
    if (type == NPY_INT64 && !PyArray_ISINTEGER((PyArrayObject *)any)) {
        PyErr_Format(PyExc_TypeError, "%s: expected whole numbers, got %S", name,
                     (PyObject *)PyArray_DESCR((PyArrayObject *)any));
        Py_DECREF(any);
        return NULL;
    }
    if (PyArray_NDIM((PyArrayObject *)any) != 2 || PyArray_DIM((PyArrayObject *)any, 1) != n) {
        PyErr_Format(PyExc_ValueError, "%s: expected two dimensions, the second of %zd values",
                     name, (Py_ssize_t)n);
        Py_DECREF(any);
        return NULL;
    }
    array = (PyArrayObject *)PyArray_FROM_OTF(any, type, NPY_ARRAY_IN_ARRAY);
    Py_DECREF(any);
    return array;
}

static int
check_indices(PyArrayObject *draws, const int64_t *offsets, int64_t n_buckets)
{
    const int64_t *data = PyArray_DATA(draws);
    int64_t n = offsets[n_buckets];
    int64_t bad = dph_bootstrap_check(data, (int64_t)PyArray_DIM(draws, 0), offsets, n_buckets);

    if (bad >= 0) {
        PyErr_Format(PyExc_ValueError, "draws[%lld, %lld] is %lld: no such point",
                     (long long)(bad / n), (long long)(bad % n), (long long)data[bad]);
        return -1;
    }
    return 0;
}

/* The options both functions share, at values[0] floor, score, method, n_grid. */
static int
parse_law(PyObject *const *values, dph_bootstrap_task *task)
{
    static const char *const scores[] = {"loss", "log"};
    static const char *const methods[] = {"profile", "grid"};

    task->floor = NAN;
    if (values[0] != NULL && values[0] != Py_None) {
        task->floor = PyFloat_AsDouble(values[0]);
        if (task->floor == -1 && PyErr_Occurred()) {
            PyErr_Format(PyExc_TypeError, "floor: expected a number, got %R", values[0]);
            return -1;
        }
    }
    if (dph_args_word(values[1], "score", scores, 2, 0, &task->law.score) < 0 ||
        dph_args_word(values[2], "method", methods, 2, 0, &task->law.search) < 0) {
        return -1;
    }
    return dph_args_int(values[3], "n_grid", 1, INT64_C(100000000), 400, &task->law.n_grid);
}

/* Arrays for n_boot replicates; 0, or -1 with MemoryError. */
static int
make_out(job *j, npy_intp n_boot, PyObject *laws)
{
    npy_intp shape[2] = {n_boot, (npy_intp)j->task.n_targets};
    npy_intp law_shape[2] = {n_boot, 3};
    int wanted = laws != NULL ? PyObject_IsTrue(laws) : 0;

    if (wanted < 0) {
        return -1;
    }
    j->forecasts = (PyArrayObject *)PyArray_SimpleNew(2, shape, NPY_DOUBLE);
    j->status = (PyArrayObject *)PyArray_SimpleNew(1, shape, NPY_INT32);
    j->laws = wanted ? (PyArrayObject *)PyArray_SimpleNew(2, law_shape, NPY_DOUBLE) : NULL;
    if (j->forecasts == NULL || j->status == NULL || (wanted && j->laws == NULL)) {
        return -1;
    }
    j->out = (dph_bootstrap_out){.forecasts = PyArray_DATA(j->forecasts),
                                 .status = PyArray_DATA(j->status),
                                 .laws = wanted ? PyArray_DATA(j->laws) : NULL};
    return 0;
}

/* Run, and hand over (forecasts, status, laws); NULL with an exception. */
static PyObject *
run_job(job *j, int64_t n_threads, size_t scratch, double cost_ns, PyObject *progress)
{
    PyObject *result = NULL;

    if (dph_workshop_open(&j->shop, n_threads, scratch, 1, (int64_t)PyArray_DIM(j->status, 0),
                          cost_ns, progress) == 0) {
        j->task.law.stopped = &j->shop.stopped;
        if (dph_workshop_run(&j->shop, run_task, j) == 0) {
            result = PyTuple_Pack(3, j->forecasts, j->status,
                                  j->laws != NULL ? (PyObject *)j->laws : Py_None);
        }
    }
    dph_workshop_close(&j->shop);
    return result;
}

static void
drop_out(job *j)
{
    Py_XDECREF(j->forecasts);
    Py_XDECREF(j->status);
    Py_XDECREF(j->laws);
}

PyObject *
dph_py_bootstrap_law(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {{"compute", 1}, {"loss", 1},      {"at", 1},    {"draws", 1},
                                   {"kind", 0},    {"residuals", 0}, {"floor", 0}, {"score", 0},
                                   {"method", 0},  {"n_grid", 0},    {"laws", 0},  {"n_threads", 0},
                                   {"progress", 0}};
    static const char *const kinds[] = {"pairs", "residual", "wild"};
    PyObject *values[13];
    PyArrayObject *compute = NULL;
    PyArrayObject *loss = NULL;
    PyArrayObject *at = NULL;
    PyArrayObject *draws = NULL;
    PyArrayObject *residuals = NULL;
    PyObject *result = NULL;
    double *table = NULL;
    job j = {0};
    int64_t n_threads = 0;
    int64_t offsets[2] = {0, 0};
    npy_intp n = 0;
    size_t size = 0;
    double cost = 0;

    (void)module;
    if (dph_args_parse("bootstrap_law", spec, 13, 4, args, n_args, names, values) < 0 ||
        dph_args_word(values[4], "kind", kinds, 3, 0, &j.suite.kind) < 0 ||
        parse_law(values + 6, &j.task) < 0 ||
        dph_args_int(values[11], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    compute = dph_args_column(values[0], "compute", -1);
    if (compute == NULL) {
        goto out;
    }
    n = PyArray_DIM(compute, 0);
    offsets[1] = (int64_t)n;
    loss = dph_args_column(values[1], "loss", n);
    if (loss == NULL) {
        goto out;
    }
    at = dph_args_column(values[2], "at", -1);
    if (at == NULL) {
        goto out;
    }
    draws =
        matrix(values[3], "draws", j.suite.kind == DPH_BOOTSTRAP_WILD ? NPY_DOUBLE : NPY_INT64, n);
    if (draws == NULL ||
        (j.suite.kind != DPH_BOOTSTRAP_WILD && check_indices(draws, offsets, 1) < 0)) {
        goto out;
    }
    if (j.suite.kind != DPH_BOOTSTRAP_PAIRS) {
        residuals = dph_args_column(values[5] != NULL ? values[5] : Py_None, "residuals", n);
        if (residuals == NULL) {
            goto out;
        }
    } else if (values[5] != NULL && values[5] != Py_None) {
        PyErr_SetString(PyExc_ValueError, "residuals: pairs have none");
        goto out;
    }
    j.task.at = PyArray_DATA(at);
    j.task.n_targets = (int64_t)PyArray_DIM(at, 0);
    j.suite.compute = PyArray_DATA(compute);
    j.suite.loss = PyArray_DATA(loss);
    j.suite.n = (int64_t)n;
    j.suite.residuals = residuals != NULL ? PyArray_DATA(residuals) : NULL;
    if (j.suite.kind == DPH_BOOTSTRAP_WILD) {
        j.suite.multipliers = PyArray_DATA(draws);
    } else {
        j.suite.indices = PyArray_DATA(draws);
    }
    cost = dph_py_powerlaw_cost(&j.task.law, (double)n, 1);
    size = dph_bootstrap_table(&j.suite, &j.task);
    if (size > 0) {
        table = malloc(size * sizeof *table);
        if (table == NULL) {
            PyErr_NoMemory();
            goto out;
        }
        dph_bootstrap_prepare(&j.suite, &j.task, table);
        j.suite.table = table;
        cost = 100 + 0.5 * (double)n * (double)j.task.law.n_grid;
    }
    cost += 12 * (double)j.task.n_targets;
    if (make_out(&j, PyArray_DIM(draws, 0), values[10]) == 0) {
        result = run_job(&j, n_threads, dph_bootstrap_suite_scratch(&j.suite, &j.task), cost,
                         values[12]);
    }

out:
    free(table);
    drop_out(&j);
    Py_XDECREF(compute);
    Py_XDECREF(loss);
    Py_XDECREF(at);
    Py_XDECREF(draws);
    Py_XDECREF(residuals);
    return result;
}

PyObject *
dph_py_bootstrap_ladder(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {
        {"tokens", 1},   {"loss", 1},  {"offsets", 1},   {"compute", 1},
        {"at", 1},       {"draws", 1}, {"residuals", 0}, {"window", 0},
        {"unusable", 0}, {"floor", 0}, {"score", 0},     {"method", 0},
        {"n_grid", 0},   {"laws", 0},  {"n_threads", 0}, {"progress", 0}};
    PyObject *values[16];
    PyArrayObject *tokens = NULL;
    PyArrayObject *loss = NULL;
    PyArrayObject *offsets = NULL;
    PyArrayObject *compute = NULL;
    PyArrayObject *at = NULL;
    PyArrayObject *draws = NULL;
    PyArrayObject *residuals = NULL;
    PyObject *result = NULL;
    job j = {.is_ladder = 1};
    int64_t n_threads = 0;
    int64_t unusable = 0;
    npy_intp n = 0;
    double cost = 0;

    (void)module;
    if (dph_args_parse("bootstrap_ladder", spec, 16, 6, args, n_args, names, values) < 0 ||
        dph_py_window(values[7], &j.ladder.parabola.window) < 0 ||
        dph_args_int(values[8], "unusable", 0, INT32_MAX, UNUSABLE, &unusable) < 0 ||
        parse_law(values + 9, &j.task) < 0 ||
        dph_args_int(values[14], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    tokens = dph_args_column(values[0], "tokens", -1);
    if (tokens == NULL) {
        goto out;
    }
    n = PyArray_DIM(tokens, 0);
    loss = dph_args_column(values[1], "loss", n);
    if (loss == NULL) {
        goto out;
    }
    offsets = dph_args_offsets(values[2], "offsets", n, &j.ladder.n_buckets);
    if (offsets == NULL) {
        goto out;
    }
    compute = dph_args_column(values[3], "compute", (npy_intp)j.ladder.n_buckets);
    if (compute == NULL) {
        goto out;
    }
    at = dph_args_column(values[4], "at", -1);
    if (at == NULL) {
        goto out;
    }
    draws = matrix(values[5], "draws", NPY_INT64, n);
    if (draws == NULL || check_indices(draws, PyArray_DATA(offsets), j.ladder.n_buckets) < 0) {
        goto out;
    }
    if (values[6] != NULL && values[6] != Py_None) {
        residuals = dph_args_column(values[6], "residuals", n);
        if (residuals == NULL) {
            goto out;
        }
    }
    j.task.at = PyArray_DATA(at);
    j.task.n_targets = (int64_t)PyArray_DIM(at, 0);
    j.ladder.tokens = PyArray_DATA(tokens);
    j.ladder.loss = PyArray_DATA(loss);
    j.ladder.residuals = residuals != NULL ? PyArray_DATA(residuals) : NULL;
    j.ladder.offsets = PyArray_DATA(offsets);
    j.ladder.compute = PyArray_DATA(compute);
    j.ladder.indices = PyArray_DATA(draws);
    j.ladder.unusable = (int32_t)unusable;
    cost = dph_py_powerlaw_cost(&j.task.law, (double)j.ladder.n_buckets, 1) + 20 * (double)n +
           12 * (double)j.task.n_targets;
    if (make_out(&j, PyArray_DIM(draws, 0), values[13]) == 0) {
        result = run_job(&j, n_threads, dph_bootstrap_ladder_scratch(&j.ladder, &j.task), cost,
                         values[15]);
    }

out:
    drop_out(&j);
    Py_XDECREF(tokens);
    Py_XDECREF(loss);
    Py_XDECREF(offsets);
    Py_XDECREF(compute);
    Py_XDECREF(at);
    Py_XDECREF(draws);
    Py_XDECREF(residuals);
    return result;
}

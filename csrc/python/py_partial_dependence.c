#include "bindings.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "../base/groups.h"
#include "../laws/partial_dependence.h"
#include "args.h"

#define FIELD(name, format) {#name, format, offsetof(dph_partial_dependence, name)}

static const dph_field fields[] = {
    FIELD(n, "i8"),     FIELD(prior_variance, "f8"), FIELD(x_min, "f8"),
    FIELD(x_max, "f8"), FIELD(status, "i4"),
};

static const char *const kernels[DPH_KERNELS] = {"matern12", "matern32", "matern52", "rbf"};

const char dph_partial_dependence_doc[] =
    "partial_dependence_fit(x, y, offsets, grid, *, kernel, amplitude, length_scale, noise, "
    "features=None, n_threads=1, progress=None)\n--\n\n"
    "Partial dependence of zero-mean Gaussian processes on each of their inputs.\n\n"
    "x : (n n_dims,) float64, row after row.\n"
    "y : (n,) float64.\n"
    "offsets : (n_groups + 1,) int64; group g owns rows offsets[g] to offsets[g + 1].\n"
    "grid : (n_groups n_dims n_grid,) values of each input to look at, in units of x.\n"
    "kernel : 'matern12', 'matern32', 'matern52' or 'rbf'.\n"
    "amplitude, noise : (n_groups,) variances of the function and of the noise.\n"
    "length_scale : (n_groups n_dims,) in units of x; it says what n_dims is.\n"
    "features : inputs to give curves of, whole numbers; all by default.\n"
    "n_threads : 1 to MAX_THREADS.\n"
    "progress : called as progress(done, total) at least every 50 ms while threads run.\n\n"
    "Returns (mean, sd, records): (n_groups, n_features, n_grid) float64 twice, and "
    "(n_groups, n_features) of `partial_dependence_dtype`.";

const char dph_process_doc[] =
    "process_evidence(x, y, *, kernel, amplitude, length_scale, noise)\n--\n\n"
    "Log evidence of a zero-mean Gaussian process, and its gradient.\n\n"
    "x : (n n_dims,) float64, row after row.\n"
    "y : (n,) float64.\n"
    "kernel : 'matern12', 'matern32', 'matern52' or 'rbf'.\n"
    "amplitude, noise : variances of the function and of the noise.\n"
    "length_scale : (n_dims,) in units of x.\n\n"
    "Returns (evidence, gradient, status): the gradient is by the logarithms of amplitude, length "
    "scales and noise; both are NaN where the status is below 0.";

const char dph_partial_slopes_doc[] =
    "partial_dependence_slopes(x, y, grid, *, kernel, amplitude, length_scale, noise)\n--\n\n"
    "Derivatives of the mean partial dependence of one process by its kernel parameters.\n\n"
    "x, y, kernel, amplitude, length_scale, noise : as for process_evidence.\n"
    "grid : (n_dims n_grid,) values of each input to look at, in units of x.\n\n"
    "Returns (slopes, status): (n_dims, n_dims + 2, n_grid) float64, for each input the "
    "derivatives "
    "of its curve by the logarithms of amplitude, length scales and noise; NaN where the status is "
    "below 0.";

PyArray_Descr *
dph_py_partial_dependence_type(void)
{
    return dph_args_record_type(fields, (int)(sizeof fields / sizeof fields[0]),
                                sizeof(dph_partial_dependence));
}

/* All groups: their processes, and room for their factors. */
typedef struct {
    dph_workshop shop;
    const int64_t *offsets;
    const int64_t *places; /* [n_groups + 1] where each factor begins */
    dph_process shared;    /* columns of all groups; n is not used */
    const double *amplitude;
    const double *noise;
    const double *grid;
    int64_t n_grid;
    const int64_t *features; /* [n_features] */
    int64_t n_features;
    double *factor;
    double *dual;
    int32_t *codes;
    double *mean;
    double *sd;
    dph_partial_dependence *out;
} job;

static dph_process
process_of(const job *j, int64_t g)
{
    dph_process p = j->shared;
    int64_t first = j->offsets[g];

    p.n = j->offsets[g + 1] - first;
    p.x += first * p.n_dims;
    p.y += first;
    p.amplitude = j->amplitude[g];
    p.noise = j->noise[g];
    p.length_scale += g * p.n_dims;
    return p;
}

static int
factor_task(void *ctx, int64_t begin, int64_t end, int worker)
{
    job *j = ctx;

    for (int64_t g = begin; g < end; g++) {
        dph_process p = process_of(j, g);

        j->codes[g] = dph_process_factor(&p, j->shop.scratch[worker], j->factor + j->places[g],
                                         j->dual + j->offsets[g], NULL);
    }
    return DPH_OK;
}

/* Items are pairs of a group and one of the chosen inputs. */
static int
grid_task(void *ctx, int64_t begin, int64_t end, int worker)
{
    job *j = ctx;

    for (int64_t i = begin; i < end; i++) {
        int64_t g = i / j->n_features;
        int64_t feature = j->features[i % j->n_features];
        const double *grid = j->grid + (g * j->shared.n_dims + feature) * j->n_grid;
        dph_process p = process_of(j, g);
        double *mean = j->mean + i * j->n_grid;
        double *sd = j->sd + i * j->n_grid;

        if (j->codes[g] != DPH_OK) {
            dph_partial_dependence_fail(j->codes[g], p.n, j->n_grid, mean, sd, j->out + i);
            continue;
        }
        dph_partial_dependence_fit(&p, j->factor + j->places[g], j->dual + j->offsets[g],
                                   (int)feature, grid, j->n_grid, j->shop.scratch[worker],
                                   &j->shop.stopped, mean, sd, j->out + i);
    }
    return DPH_OK;
}

/* Room for the factors and what goes with them; 0, or -1 with MemoryError. */
static int
make_room(job *j, int64_t n_groups, int64_t **places)
{
    size_t groups = (size_t)n_groups;
    size_t total = 0;

    *places = calloc(groups + 1, sizeof **places);
    j->codes = calloc(groups > 0 ? groups : 1, sizeof *j->codes);
    if (*places == NULL || j->codes == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (int64_t g = 0; g < n_groups; g++) {
        size_t n = (size_t)(j->offsets[g + 1] - j->offsets[g]);

        if (n > 0 && (n > SIZE_MAX / 64 / n || n * n > SIZE_MAX / 64 - total)) {
            PyErr_NoMemory();
            return -1;
        }
        total += n * n;
        (*places)[g + 1] = (int64_t)total;
    }
    j->places = *places;
    j->factor = malloc((total > 0 ? total : 1) * sizeof *j->factor);
    j->dual = malloc(((size_t)j->offsets[n_groups] + 1) * sizeof *j->dual);
    if (j->factor == NULL || j->dual == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* Factors first, then every input of every group. 0, or -1 with an exception. */
static int
work(job *j, int64_t n_groups, int64_t n_threads, PyObject *progress)
{
    int n_dims = j->shared.n_dims;
    int64_t largest = dph_groups_largest(j->offsets, n_groups);
    double n = n_groups > 0 ? (double)j->offsets[n_groups] / (double)n_groups : 0;
    int result = dph_workshop_open(&j->shop, n_threads, dph_process_scratch(largest, n_dims), 0,
                                   n_groups, 500 + 3 * n * n + 0.1 * n * n * n, NULL);

    if (result == 0) {
        result = dph_workshop_run(&j->shop, factor_task, j);
    }
    dph_workshop_close(&j->shop);
    if (result < 0) {
        return -1;
    }
    result = dph_workshop_open(
        &j->shop, n_threads, dph_partial_dependence_scratch(largest, n_dims, j->n_grid), 0,
        n_groups * j->n_features, 500 + 3 * n * n * (double)j->n_grid, progress);
    if (result == 0) {
        result = dph_workshop_run(&j->shop, grid_task, j);
    }
    dph_workshop_close(&j->shop);
    return result;
}

/* How many inputs x has, from the number of length scales; -1 with an exception. */
static int
count_dims(PyArrayObject *scales, int64_t n_groups)
{
    npy_intp n = PyArray_DIM(scales, 0);

    if (n_groups < 1 || n % (npy_intp)n_groups != 0 || n / (npy_intp)n_groups < 1 ||
        n / (npy_intp)n_groups > DPH_PROCESS_DIMS) {
        PyErr_Format(PyExc_ValueError,
                     "length_scale: expected 1 to %d values for each of %lld groups, got %zd",
                     DPH_PROCESS_DIMS, (long long)n_groups, (Py_ssize_t)n);
        return -1;
    }
    return (int)(n / (npy_intp)n_groups);
}

/* The inputs to give curves of: those asked for, or all. NULL with an exception. */
static PyArrayObject *
choose(PyObject *asked, int n_dims)
{
    int all = asked == NULL || asked == Py_None;
    npy_intp size = n_dims;
    PyObject *made = all ? PyArray_SimpleNew(1, &size, NPY_INT64)
                         : PyArray_FROM_OTF(asked, NPY_INT64, NPY_ARRAY_IN_ARRAY);
    PyArrayObject *array = (PyArrayObject *)made;
    int64_t *chosen = NULL;

    if (made == NULL) {
        return NULL;
    }
    chosen = PyArray_DATA(array);
    if (PyArray_NDIM(array) != 1 || PyArray_DIM(array, 0) < 1) {
        PyErr_SetString(PyExc_ValueError, "features: expected one dimension and at least one");
        Py_DECREF(made);
        return NULL;
    }
    for (npy_intp i = 0; i < PyArray_DIM(array, 0); i++) {
        if (all) {
            chosen[i] = (int64_t)i;
        } else if (chosen[i] < 0 || chosen[i] >= n_dims) {
            PyErr_Format(PyExc_ValueError, "features: expected 0 to %d, got %lld", n_dims - 1,
                         (long long)chosen[i]);
            Py_DECREF(made);
            return NULL;
        }
    }
    return array;
}

PyObject *
dph_py_partial_dependence_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args,
                              PyObject *names)
{
    static const dph_arg spec[] = {
        {"x", 1},        {"y", 1},         {"offsets", 1},      {"grid", 1},
        {"kernel", 1},   {"amplitude", 1}, {"length_scale", 1}, {"noise", 1},
        {"features", 0}, {"n_threads", 0}, {"progress", 0}};
    dph_module_state *state = PyModule_GetState(module);
    PyObject *values[11];
    PyArrayObject *columns[6] = {NULL};
    PyArrayObject *offsets = NULL;
    PyArrayObject *features = NULL;
    PyObject *mean = NULL;
    PyObject *sd = NULL;
    PyObject *records = NULL;
    PyObject *result = NULL;
    job j = {0};
    int64_t *places = NULL;
    int64_t n_groups = 0;
    int64_t n_threads = 0;
    npy_intp shape[3] = {0, 0, 0};
    npy_intp n = 0;
    npy_intp curves = 0;

    if (dph_args_parse("partial_dependence_fit", spec, 11, 4, args, n_args, names, values) < 0 ||
        dph_args_word(values[4], "kernel", kernels, DPH_KERNELS, DPH_MATERN52, &j.shared.kernel) <
            0 ||
        dph_args_int(values[9], "n_threads", 1, DPH_MAX_THREADS, 1, &n_threads) < 0) {
        return NULL;
    }
    columns[0] = dph_args_column(values[1], "y", -1);
    if (columns[0] == NULL) {
        goto out;
    }
    n = PyArray_DIM(columns[0], 0);
    offsets = dph_args_offsets(values[2], "offsets", n, &n_groups);
    columns[1] = offsets != NULL ? dph_args_column(values[6], "length_scale", -1) : NULL;
    if (columns[1] == NULL) {
        goto out;
    }
    j.shared.n_dims = count_dims(columns[1], n_groups);
    if (j.shared.n_dims < 0) {
        goto out;
    }
    columns[2] = dph_args_column(values[0], "x", n * j.shared.n_dims);
    columns[3] = dph_args_column(values[5], "amplitude", (npy_intp)n_groups);
    columns[4] =
        columns[3] != NULL ? dph_args_column(values[7], "noise", (npy_intp)n_groups) : NULL;
    columns[5] = columns[4] != NULL ? dph_args_column(values[3], "grid", -1) : NULL;
    if (columns[2] == NULL || columns[5] == NULL) {
        goto out;
    }
    curves = (npy_intp)n_groups * j.shared.n_dims;
    if (PyArray_DIM(columns[5], 0) % curves != 0) {
        PyErr_Format(PyExc_ValueError, "grid: expected a multiple of %zd values, got %zd",
                     (Py_ssize_t)curves, (Py_ssize_t)PyArray_DIM(columns[5], 0));
        goto out;
    }
    j.n_grid = (int64_t)(PyArray_DIM(columns[5], 0) / curves);
    shape[0] = (npy_intp)n_groups;
    features = choose(values[8], j.shared.n_dims);
    if (features == NULL) {
        goto out;
    }
    j.features = PyArray_DATA(features);
    j.n_features = (int64_t)PyArray_DIM(features, 0);
    shape[1] = PyArray_DIM(features, 0);
    shape[2] = (npy_intp)j.n_grid;
    mean = PyArray_SimpleNew(3, shape, NPY_DOUBLE);
    sd = PyArray_SimpleNew(3, shape, NPY_DOUBLE);
    Py_INCREF(state->types[DPH_TYPE_PARTIAL_DEPENDENCE]);
    records = PyArray_Zeros(2, shape, state->types[DPH_TYPE_PARTIAL_DEPENDENCE], 0);
    if (mean == NULL || sd == NULL || records == NULL) {
        goto out;
    }
    j.shared.x = PyArray_DATA(columns[2]);
    j.shared.y = PyArray_DATA(columns[0]);
    j.shared.length_scale = PyArray_DATA(columns[1]);
    j.amplitude = PyArray_DATA(columns[3]);
    j.noise = PyArray_DATA(columns[4]);
    j.grid = PyArray_DATA(columns[5]);
    j.offsets = PyArray_DATA(offsets);
    j.mean = PyArray_DATA((PyArrayObject *)mean);
    j.sd = PyArray_DATA((PyArrayObject *)sd);
    j.out = PyArray_DATA((PyArrayObject *)records);
    if (make_room(&j, n_groups, &places) == 0 && work(&j, n_groups, n_threads, values[10]) == 0) {
        result = PyTuple_Pack(3, mean, sd, records);
    }

out:
    free(places);
    free(j.codes);
    free(j.factor);
    free(j.dual);
    for (int i = 0; i < 6; i++) {
        Py_XDECREF(columns[i]);
    }
    Py_XDECREF(offsets);
    Py_XDECREF(features);
    Py_XDECREF(mean);
    Py_XDECREF(sd);
    Py_XDECREF(records);
    return result;
}

/* A number for an argument. 0, or -1 with an exception that names it. */
static int
number(PyObject *obj, const char *name, double *out)
{
    *out = PyFloat_AsDouble(obj);
    if (PyErr_Occurred()) {
        PyErr_Format(PyExc_TypeError, "%s: expected a number, got %R", name, obj);
        return -1;
    }
    return 0;
}

/* One process from its arguments; the columns are owned by the caller. 0, or -1. */
static int
read_process(PyObject *const values[6], PyArrayObject *columns[3], dph_process *p)
{
    if (dph_args_word(values[2], "kernel", kernels, DPH_KERNELS, DPH_MATERN52, &p->kernel) < 0 ||
        number(values[3], "amplitude", &p->amplitude) < 0 ||
        number(values[5], "noise", &p->noise) < 0) {
        return -1;
    }
    columns[0] = dph_args_column(values[1], "y", -1);
    columns[1] = columns[0] != NULL ? dph_args_column(values[4], "length_scale", -1) : NULL;
    if (columns[1] == NULL) {
        return -1;
    }
    p->n_dims = count_dims(columns[1], 1);
    if (p->n_dims < 0) {
        return -1;
    }
    p->n = (int64_t)PyArray_DIM(columns[0], 0);
    columns[2] = dph_args_column(values[0], "x", PyArray_DIM(columns[0], 0) * p->n_dims);
    if (columns[2] == NULL) {
        return -1;
    }
    if (p->n > (int64_t)1 << 20) {
        PyErr_NoMemory();
        return -1;
    }
    p->y = PyArray_DATA(columns[0]);
    p->length_scale = PyArray_DATA(columns[1]);
    p->x = PyArray_DATA(columns[2]);
    return 0;
}

PyObject *
dph_py_process_evidence(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names)
{
    static const dph_arg spec[] = {
        {"x", 1}, {"y", 1}, {"kernel", 1}, {"amplitude", 1}, {"length_scale", 1}, {"noise", 1}};
    PyObject *values[6];
    PyArrayObject *columns[3] = {NULL};
    PyObject *gradient = NULL;
    PyObject *result = NULL;
    dph_process p = {0};
    double *scratch = NULL;
    double evidence = 0;
    npy_intp size = 0;
    int code = DPH_OK;

    (void)module;
    if (dph_args_parse("process_evidence", spec, 6, 2, args, n_args, names, values) < 0 ||
        read_process(values, columns, &p) < 0) {
        goto out;
    }
    size = p.n_dims + 2;
    gradient = PyArray_SimpleNew(1, &size, NPY_DOUBLE);
    scratch = malloc((dph_process_scratch(p.n, p.n_dims) + 1) * sizeof *scratch);
    if (gradient == NULL || scratch == NULL) {
        PyErr_NoMemory();
        goto out;
    }
    Py_BEGIN_ALLOW_THREADS code =
        dph_process_evidence(&p, scratch, &evidence, PyArray_DATA((PyArrayObject *)gradient));
    Py_END_ALLOW_THREADS result = Py_BuildValue("dOi", evidence, gradient, code);

out:
    free(scratch);
    for (int i = 0; i < 3; i++) {
        Py_XDECREF(columns[i]);
    }
    Py_XDECREF(gradient);
    return result;
}

/* Derivatives of the curves of all inputs; NaN where the process has no factor. */
static int
all_slopes(const dph_process *p, const double *grid, int64_t n_grid, double *room, double *out)
{
    int64_t n = p->n;
    int64_t each = (p->n_dims + 2) * n_grid;
    double *dual = room;
    double *dual_slopes = dual + n;
    double *factor = dual_slopes + (p->n_dims + 2) * n;
    double *scratch = factor + n * n;
    int code = dph_process_factor(p, scratch, factor, dual, NULL);

    if (code == DPH_OK) {
        dph_process_dual_slopes(p, factor, dual, scratch, dual_slopes);
    }
    for (int j = 0; j < p->n_dims; j++) {
        if (code == DPH_OK) {
            dph_partial_dependence_slopes(p, dual, dual_slopes, j, grid + j * n_grid, n_grid,
                                          scratch, out + j * each);
        } else {
            for (int64_t i = 0; i < each; i++) {
                out[j * each + i] = NAN;
            }
        }
    }
    return code;
}

PyObject *
dph_py_partial_dependence_slopes(PyObject *module, PyObject *const *args, Py_ssize_t n_args,
                                 PyObject *names)
{
    static const dph_arg spec[] = {{"x", 1},      {"y", 1},         {"grid", 1},
                                   {"kernel", 1}, {"amplitude", 1}, {"length_scale", 1},
                                   {"noise", 1}};
    PyObject *values[7];
    PyObject *process[6];
    PyArrayObject *columns[3] = {NULL};
    PyArrayObject *grid = NULL;
    PyObject *slopes = NULL;
    PyObject *result = NULL;
    dph_process p = {0};
    double *room = NULL;
    npy_intp shape[3] = {0, 0, 0};
    size_t n = 0;
    size_t first = 0;
    size_t second = 0;
    int code = DPH_OK;

    (void)module;
    if (dph_args_parse("partial_dependence_slopes", spec, 7, 3, args, n_args, names, values) < 0) {
        return NULL;
    }
    process[0] = values[0];
    process[1] = values[1];
    for (int i = 2; i < 6; i++) {
        process[i] = values[i + 1];
    }
    if (read_process(process, columns, &p) < 0) {
        goto out;
    }
    grid = dph_args_column(values[2], "grid", -1);
    if (grid == NULL) {
        goto out;
    }
    if (PyArray_DIM(grid, 0) % p.n_dims != 0) {
        PyErr_Format(PyExc_ValueError, "grid: expected a multiple of %d values, got %zd", p.n_dims,
                     (Py_ssize_t)PyArray_DIM(grid, 0));
        goto out;
    }
    shape[0] = p.n_dims;
    shape[1] = p.n_dims + 2;
    shape[2] = PyArray_DIM(grid, 0) / p.n_dims;
    slopes = PyArray_SimpleNew(3, shape, NPY_DOUBLE);
    n = (size_t)p.n;
    first = dph_process_scratch(p.n, p.n_dims);
    second = dph_partial_dependence_slopes_scratch(p.n, p.n_dims);
    room = malloc((n * (n + (size_t)p.n_dims + 3) + (first > second ? first : second) + 1) *
                  sizeof *room);
    if (slopes == NULL || room == NULL) {
        PyErr_NoMemory();
        goto out;
    }
    Py_BEGIN_ALLOW_THREADS code = all_slopes(&p, PyArray_DATA(grid), (int64_t)shape[2], room,
                                             PyArray_DATA((PyArrayObject *)slopes));
    Py_END_ALLOW_THREADS result = Py_BuildValue("Oi", slopes, code);

out:
    free(room);
    for (int i = 0; i < 3; i++) {
        Py_XDECREF(columns[i]);
    }
    Py_XDECREF(grid);
    Py_XDECREF(slopes);
    return result;
}

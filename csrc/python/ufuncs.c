/* Forward models as NumPy ufuncs: they broadcast, take out= and where=, and work on any strides. */
#include "bindings.h"

#include "../base/distributions.h"
#include "../laws/curve.h"
#include "../laws/powerlaw.h"
#include "../laws/richards.h"

typedef double (*two_to_one)(double, double);
typedef double (*four_to_one)(double, double, double, double);

typedef double (*six_to_one)(double, double, double, double, double, double);
typedef double (*five_to_one)(double, double, double, double, double);

typedef union {
    two_to_one two;
    four_to_one four;
    six_to_one six;
    five_to_one five;
} function;

static double
number(const char *at)
{
    return *(const double *)(const void *)at;
}

static void
loop_two(char **args, const npy_intp *dimensions, const npy_intp *steps, void *data)
{
    two_to_one f = ((const function *)data)->two;

    for (npy_intp i = 0; i < dimensions[0]; i++) {
        *(double *)(void *)(args[2] + i * steps[2]) =
            f(number(args[0] + i * steps[0]), number(args[1] + i * steps[1]));
    }
}

static void
loop_four(char **args, const npy_intp *dimensions, const npy_intp *steps, void *data)
{
    four_to_one f = ((const function *)data)->four;

    for (npy_intp i = 0; i < dimensions[0]; i++) {
        *(double *)(void *)(args[4] + i * steps[4]) =
            f(number(args[0] + i * steps[0]), number(args[1] + i * steps[1]),
              number(args[2] + i * steps[2]), number(args[3] + i * steps[3]));
    }
}

static void
loop_six(char **args, const npy_intp *dimensions, const npy_intp *steps, void *data)
{
    six_to_one f = ((const function *)data)->six;

    for (npy_intp i = 0; i < dimensions[0]; i++) {
        *(double *)(void *)(args[6] + i * steps[6]) =
            f(number(args[0] + i * steps[0]), number(args[1] + i * steps[1]),
              number(args[2] + i * steps[2]), number(args[3] + i * steps[3]),
              number(args[4] + i * steps[4]), number(args[5] + i * steps[5]));
    }
}

static void
loop_five(char **args, const npy_intp *dimensions, const npy_intp *steps, void *data)
{
    five_to_one f = ((const function *)data)->five;

    for (npy_intp i = 0; i < dimensions[0]; i++) {
        *(double *)(void *)(args[5] + i * steps[5]) =
            f(number(args[0] + i * steps[0]), number(args[1] + i * steps[1]),
              number(args[2] + i * steps[2]), number(args[3] + i * steps[3]),
              number(args[4] + i * steps[4]));
    }
}

static double
curve_log(double tau, double F, double A, double theta_0, double theta_1)
{
    return dph_curve_loss(DPH_SHAPE_LOG, tau, F, A, theta_0, theta_1);
}

static double
curve_exponential(double tau, double F, double A, double theta_0, double theta_1)
{
    return dph_curve_loss(DPH_SHAPE_EXPONENTIAL, tau, F, A, theta_0, theta_1);
}

static double
curve_power(double tau, double F, double A, double theta_0, double theta_1)
{
    return dph_curve_loss(DPH_SHAPE_POWER, tau, F, A, theta_0, theta_1);
}

static double
curve_rational(double tau, double F, double A, double theta_0, double theta_1)
{
    return dph_curve_loss(DPH_SHAPE_RATIONAL, tau, F, A, theta_0, theta_1);
}

#define CURVE_DOC(shape)                                                                           \
    "The loss F + A s(tau; theta) of the " shape                                                   \
    " learning curve; arguments tau, F, A, theta_0, theta_1 (of no effect where there is none)."

typedef struct {
    const char *name;
    const char *doc;
    int n_in;
    function f;
} model;

static model models[] = {
    {"powerlaw",
     "loss = L_inf + exp(log_A - alpha ln(compute)); arguments compute, L_inf, log_A, alpha.", 4,
     .f.four = dph_powerlaw_loss},
    {"powerlaw_inverse",
     "The compute at which a power law reaches a loss, NaN at or below L_inf; arguments loss, "
     "L_inf, log_A, alpha.",
     4, .f.four = dph_powerlaw_compute},
    {"t_quantile", "The p-quantile of Student's t; arguments p, degrees of freedom.", 2,
     .f.two = dph_t_quantile},
    {"chi2_quantile", "The p-quantile of chi-square; arguments p, degrees of freedom.", 2,
     .f.two = dph_chi2_quantile},
    {"richards",
     "accuracy = floor + (ceiling - floor) / (1 + exp(-k (x - x0)))^v; arguments x, k, x0, v, "
     "floor, ceiling.",
     6, .f.six = dph_richards_value},
    {"richards_inverse",
     "The x at which a Richards curve reaches an accuracy, NaN unless it lies between floor and "
     "ceiling; arguments accuracy, k, x0, v, floor, ceiling.",
     6, .f.six = dph_richards_x},
    {"curve_log", CURVE_DOC("log"), 5, .f.five = curve_log},
    {"curve_exponential", CURVE_DOC("exponential"), 5, .f.five = curve_exponential},
    {"curve_power", CURVE_DOC("power"), 5, .f.five = curve_power},
    {"curve_rational", CURVE_DOC("rational"), 5, .f.five = curve_rational},
};

#define N_MODELS (sizeof models / sizeof models[0])

/* NumPy keeps pointers to these for as long as the ufuncs live, that is as long as the process. */
static PyUFuncGenericFunction loops_two[] = {loop_two};
static PyUFuncGenericFunction loops_four[] = {loop_four};
static PyUFuncGenericFunction loops_six[] = {loop_six};
static PyUFuncGenericFunction loops_five[] = {loop_five};
static const char types[] = {NPY_DOUBLE, NPY_DOUBLE, NPY_DOUBLE, NPY_DOUBLE,
                             NPY_DOUBLE, NPY_DOUBLE, NPY_DOUBLE};
static void *data[N_MODELS][1];

int
dph_ufuncs_add(PyObject *module)
{
    for (size_t i = 0; i < N_MODELS; i++) {
        PyObject *ufunc = NULL;

        data[i][0] = &models[i].f;
        ufunc = PyUFunc_FromFuncAndData(models[i].n_in == 2   ? loops_two
                                        : models[i].n_in == 4 ? loops_four
                                        : models[i].n_in == 5 ? loops_five
                                                              : loops_six,
                                        data[i], types, 1, models[i].n_in, 1, PyUFunc_None,
                                        models[i].name, models[i].doc, 0);
        if (ufunc == NULL || PyModule_AddObjectRef(module, models[i].name, ufunc) < 0) {
            Py_XDECREF(ufunc);
            return -1;
        }
        Py_DECREF(ufunc);
    }
    return 0;
}

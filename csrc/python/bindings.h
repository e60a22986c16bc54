/* What each law gives to the module: its method and its record type. */
#ifndef DPH_BINDINGS_H
#define DPH_BINDINGS_H

#include "numpy_api.h"

#include "../laws/parabola.h"
#include "../laws/powerlaw.h"

/* The record types the module exports, kept in its state. */
enum {
    DPH_TYPE_PARABOLA,
    DPH_TYPE_POWERLAW,
    DPH_TYPE_LINE,
    DPH_TYPE_ISOCURVE,
    DPH_TYPE_POSTERIOR,
    DPH_TYPE_POSTERIOR_DRAW,
    DPH_TYPE_ROLLOUT,
    DPH_TYPE_CALIBRATION,
    DPH_TYPE_SURFACE,
    DPH_TYPE_RICHARDS,
    DPH_TYPE_CURVE,
    DPH_TYPE_JOINTCURVE,
    DPH_TYPE_PARTIAL_DEPENDENCE,
    DPH_TYPE_RIDGE,
    DPH_N_TYPES
};

typedef struct {
    PyArray_Descr *types[DPH_N_TYPES];
} dph_module_state;

extern const char dph_parabola_doc[];
PyObject *
dph_py_parabola_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_parabola_type(void);

extern const char dph_isocurve_doc[];
PyObject *
dph_py_isocurve_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_isocurve_type(void);

/* The runs of a batch of buckets, as the parabola and its relatives take them. */
typedef struct {
    PyArrayObject *arrays[4]; /* owned: tokens, loss, params or NULL, offsets */
    dph_parabola_batch batch;
    int64_t n_groups;
    int64_t largest;   /* points of the largest bucket */
    double per_bucket; /* points of the mean bucket */
} dph_py_buckets;

/* Take tokens, loss, params (may be None) and offsets from values[4]. 0, or -1 with an exception;
 * dph_py_buckets_drop is safe in both cases. */
int dph_py_buckets_take(PyObject *const *values, dph_py_buckets *out);
void dph_py_buckets_drop(dph_py_buckets *buckets);

/* The window of a parabola: decades >= 0; absent and None are 0. 0, or -1 with an exception. */
int dph_py_window(PyObject *obj, double *window);

extern const char dph_powerlaw_doc[];
PyObject *
dph_py_powerlaw_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_powerlaw_type(void);

/* Rough nanoseconds it takes to fit one set of so many points in so many suites. */
double dph_py_powerlaw_cost(const dph_powerlaw_options *options, double points, double suites);

extern const char dph_bootstrap_law_doc[];
PyObject *
dph_py_bootstrap_law(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);

extern const char dph_bootstrap_ladder_doc[];
PyObject *dph_py_bootstrap_ladder(PyObject *module, PyObject *const *args, Py_ssize_t n_args,
                                  PyObject *names);

extern const char dph_line_doc[];
PyObject *
dph_py_line_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_line_type(void);

extern const char dph_posterior_doc[];
PyObject *
dph_py_posterior_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_posterior_type(void);
PyArray_Descr *dph_py_posterior_draw_type(void);

extern const char dph_survival_doc[];
PyObject *
dph_py_survival_watch(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
extern const char dph_rolling_doc[];
PyObject *
dph_py_rolling_mean(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
extern const char dph_calibrate_doc[];
PyObject *
dph_py_kl_calibrate(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
extern const char dph_kl_quantiles_doc[];
PyObject *
dph_py_kl_quantiles(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_rollout_type(void);
PyArray_Descr *dph_py_calibration_type(void);
extern const char dph_surface_fit_doc[];
extern const char dph_surface_refit_doc[];
PyObject *
dph_py_surface_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyObject *
dph_py_surface_refit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_surface_type(void);
extern const char dph_richards_doc[];
PyObject *
dph_py_richards_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_richards_type(void);
extern const char dph_curve_doc[];
PyObject *
dph_py_curve_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_curve_type(void);

extern const char dph_jointcurve_doc[];
PyObject *
dph_py_jointcurve_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_jointcurve_type(void);
extern const char dph_partial_dependence_doc[];
PyObject *dph_py_partial_dependence_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args,
                                        PyObject *names);
PyArray_Descr *dph_py_partial_dependence_type(void);
extern const char dph_partial_slopes_doc[];
PyObject *dph_py_partial_dependence_slopes(PyObject *module, PyObject *const *args,
                                           Py_ssize_t n_args, PyObject *names);

extern const char dph_process_doc[];
PyObject *dph_py_process_evidence(PyObject *module, PyObject *const *args, Py_ssize_t n_args,
                                  PyObject *names);

extern const char dph_ridge_doc[];
PyObject *
dph_py_ridge_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_ridge_type(void);

/* Add the forward models as ufuncs. 0, or -1 with an exception. */
int dph_ufuncs_add(PyObject *module);

#endif

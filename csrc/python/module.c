/* delphi._core: multi-phase init, method table, constants. */
#define DPH_IMPORTS_NUMPY
#include "bindings.h"

#include "../base/minimise.h"
#include "../base/parallel.h"
#include "../base/status.h"

#define METHOD(name, function, doc)                                                                \
    {name, (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS, doc}

static PyMethodDef methods[] = {
    METHOD("isocurve_fit", dph_py_isocurve_fit, dph_isocurve_doc),
    METHOD("line_fit", dph_py_line_fit, dph_line_doc),
    METHOD("parabola_fit", dph_py_parabola_fit, dph_parabola_doc),
    METHOD("powerlaw_fit", dph_py_powerlaw_fit, dph_powerlaw_doc),
    METHOD("posterior_fit", dph_py_posterior_fit, dph_posterior_doc),
    METHOD("bootstrap_law", dph_py_bootstrap_law, dph_bootstrap_law_doc),
    METHOD("bootstrap_ladder", dph_py_bootstrap_ladder, dph_bootstrap_ladder_doc),
    METHOD("survival_watch", dph_py_survival_watch, dph_survival_doc),
    METHOD("rolling_mean", dph_py_rolling_mean, dph_rolling_doc),
    METHOD("kl_calibrate", dph_py_kl_calibrate, dph_calibrate_doc),
    METHOD("kl_quantiles", dph_py_kl_quantiles, dph_kl_quantiles_doc),
    METHOD("surface_fit", dph_py_surface_fit, dph_surface_fit_doc),
    METHOD("surface_refit", dph_py_surface_refit, dph_surface_refit_doc),
    METHOD("richards_fit", dph_py_richards_fit, dph_richards_doc),
    METHOD("curve_fit", dph_py_curve_fit, dph_curve_doc),
    METHOD("jointcurve_fit", dph_py_jointcurve_fit, dph_jointcurve_doc),
    METHOD("partial_dependence_fit", dph_py_partial_dependence_fit, dph_partial_dependence_doc),
    METHOD("partial_dependence_slopes", dph_py_partial_dependence_slopes, dph_partial_slopes_doc),
    METHOD("ridge_fit", dph_py_ridge_fit, dph_ridge_doc),
    METHOD("process_evidence", dph_py_process_evidence, dph_process_doc),
    {NULL, NULL, 0, NULL},
};

/* STATUS: {code: (name, sentence)}, the table of base/status.h. */
static int
add_status(PyObject *module)
{
    PyObject *table = PyDict_New();
    int n = 0;
    const dph_status_entry *rows = dph_status_entries(&n);
    int result = -1;

    if (table == NULL) {
        return -1;
    }
    for (int i = 0; i < n; i++) {
        PyObject *code = PyLong_FromLong(rows[i].code);
        PyObject *words = Py_BuildValue("(ss)", rows[i].name, rows[i].sentence);
        int failed = code == NULL || words == NULL || PyDict_SetItem(table, code, words) < 0;

        Py_XDECREF(code);
        Py_XDECREF(words);
        if (failed) {
            goto out;
        }
    }
    result = PyModule_AddObjectRef(module, "STATUS", table);

out:
    Py_DECREF(table);
    return result;
}

static const struct {
    const char *name;
    PyArray_Descr *(*make)(void);
} types[DPH_N_TYPES] = {
    [DPH_TYPE_PARABOLA] = {"parabola_dtype", dph_py_parabola_type},
    [DPH_TYPE_POWERLAW] = {"powerlaw_dtype", dph_py_powerlaw_type},
    [DPH_TYPE_LINE] = {"line_dtype", dph_py_line_type},
    [DPH_TYPE_ISOCURVE] = {"isocurve_dtype", dph_py_isocurve_type},
    [DPH_TYPE_POSTERIOR] = {"posterior_dtype", dph_py_posterior_type},
    [DPH_TYPE_POSTERIOR_DRAW] = {"posterior_draw_dtype", dph_py_posterior_draw_type},
    [DPH_TYPE_ROLLOUT] = {"rollout_dtype", dph_py_rollout_type},
    [DPH_TYPE_CALIBRATION] = {"calibration_dtype", dph_py_calibration_type},
    [DPH_TYPE_SURFACE] = {"surface_dtype", dph_py_surface_type},
    [DPH_TYPE_RICHARDS] = {"richards_dtype", dph_py_richards_type},
    [DPH_TYPE_CURVE] = {"curve_dtype", dph_py_curve_type},
    [DPH_TYPE_JOINTCURVE] = {"jointcurve_dtype", dph_py_jointcurve_type},
    [DPH_TYPE_PARTIAL_DEPENDENCE] = {"partial_dependence_dtype", dph_py_partial_dependence_type},
    [DPH_TYPE_RIDGE] = {"ridge_dtype", dph_py_ridge_type},
};

static int
module_exec(PyObject *module)
{
    dph_module_state *state = PyModule_GetState(module);

    import_array1(-1);
    import_umath1(-1);
    dph_gsl_init();
    for (int i = 0; i < DPH_N_TYPES; i++) {
        state->types[i] = types[i].make();
        if (state->types[i] == NULL ||
            PyModule_AddObjectRef(module, types[i].name, (PyObject *)state->types[i]) < 0) {
            return -1;
        }
    }
    if (PyModule_AddIntConstant(module, "MAX_THREADS", DPH_MAX_THREADS) < 0 ||
        add_status(module) < 0) {
        return -1;
    }
    return dph_ufuncs_add(module);
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    dph_module_state *state = PyModule_GetState(module);

    for (int i = 0; i < DPH_N_TYPES; i++) {
        Py_VISIT(state->types[i]);
    }
    return 0;
}

static int
module_clear(PyObject *module)
{
    dph_module_state *state = PyModule_GetState(module);

    for (int i = 0; i < DPH_N_TYPES; i++) {
        Py_CLEAR(state->types[i]);
    }
    return 0;
}

static void
module_free(void *module)
{
    (void)module_clear(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)(uintptr_t)module_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "delphi._core",
    .m_doc = "The C core of delphi: batch fits over ragged groups, and forward models.",
    .m_size = sizeof(dph_module_state),
    .m_methods = methods,
    .m_slots = slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&definition);
}

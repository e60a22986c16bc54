/* delphi._core: multi-phase init, method table, constants. */
#define DPH_IMPORTS_NUMPY
#include "bindings.h"

#include "../base/minimise.h"
#include "../base/parallel.h"
#include "../base/status.h"

static PyMethodDef methods[] = {
    {"isocurve_fit", (PyCFunction)(void (*)(void))dph_py_isocurve_fit,
     METH_FASTCALL | METH_KEYWORDS, dph_isocurve_doc},
    {"line_fit", (PyCFunction)(void (*)(void))dph_py_line_fit, METH_FASTCALL | METH_KEYWORDS,
     dph_line_doc},
    {"parabola_fit", (PyCFunction)(void (*)(void))dph_py_parabola_fit,
     METH_FASTCALL | METH_KEYWORDS, dph_parabola_doc},
    {"powerlaw_fit", (PyCFunction)(void (*)(void))dph_py_powerlaw_fit,
     METH_FASTCALL | METH_KEYWORDS, dph_powerlaw_doc},
    {"posterior_fit", (PyCFunction)(void (*)(void))dph_py_posterior_fit,
     METH_FASTCALL | METH_KEYWORDS, dph_posterior_doc},
    {"bootstrap_law", (PyCFunction)(void (*)(void))dph_py_bootstrap_law,
     METH_FASTCALL | METH_KEYWORDS, dph_bootstrap_law_doc},
    {"bootstrap_ladder", (PyCFunction)(void (*)(void))dph_py_bootstrap_ladder,
     METH_FASTCALL | METH_KEYWORDS, dph_bootstrap_ladder_doc},
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

static int
add_type(PyObject *module, const char *name, PyArray_Descr *(*make)(void), PyArray_Descr **slot)
{
    *slot = make();
    return *slot != NULL ? PyModule_AddObjectRef(module, name, (PyObject *)*slot) : -1;
}

static int
module_exec(PyObject *module)
{
    dph_module_state *state = PyModule_GetState(module);

    import_array1(-1);
    import_umath1(-1);
    dph_gsl_init();
    if (add_type(module, "parabola_dtype", dph_py_parabola_type, &state->parabola) < 0 ||
        add_type(module, "powerlaw_dtype", dph_py_powerlaw_type, &state->powerlaw) < 0 ||
        add_type(module, "line_dtype", dph_py_line_type, &state->line) < 0 ||
        add_type(module, "isocurve_dtype", dph_py_isocurve_type, &state->isocurve) < 0 ||
        add_type(module, "posterior_dtype", dph_py_posterior_type, &state->posterior) < 0 ||
        add_type(module, "posterior_draw_dtype", dph_py_posterior_draw_type,
                 &state->posterior_draw) < 0 ||
        PyModule_AddIntConstant(module, "MAX_THREADS", DPH_MAX_THREADS) < 0 ||
        add_status(module) < 0) {
        return -1;
    }
    return dph_ufuncs_add(module);
}

static int
module_traverse(PyObject *module, visitproc visit, void *arg)
{
    dph_module_state *state = PyModule_GetState(module);

    Py_VISIT(state->parabola);
    Py_VISIT(state->powerlaw);
    Py_VISIT(state->line);
    Py_VISIT(state->isocurve);
    Py_VISIT(state->posterior);
    Py_VISIT(state->posterior_draw);
    return 0;
}

static int
module_clear(PyObject *module)
{
    dph_module_state *state = PyModule_GetState(module);

    Py_CLEAR(state->parabola);
    Py_CLEAR(state->powerlaw);
    Py_CLEAR(state->line);
    Py_CLEAR(state->isocurve);
    Py_CLEAR(state->posterior);
    Py_CLEAR(state->posterior_draw);
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

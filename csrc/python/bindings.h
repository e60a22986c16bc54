/* What each law gives to the module: its method and its record type. */
#ifndef DPH_BINDINGS_H
#define DPH_BINDINGS_H

#include "numpy_api.h"

/* The dtypes the module exports, kept in its state. */
typedef struct {
    PyArray_Descr *parabola;
    PyArray_Descr *powerlaw;
    PyArray_Descr *line;
} dph_module_state;

extern const char dph_parabola_doc[];
PyObject *
dph_py_parabola_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_parabola_type(void);

extern const char dph_powerlaw_doc[];
PyObject *
dph_py_powerlaw_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_powerlaw_type(void);

extern const char dph_line_doc[];
PyObject *
dph_py_line_fit(PyObject *module, PyObject *const *args, Py_ssize_t n_args, PyObject *names);
PyArray_Descr *dph_py_line_type(void);

/* Add the forward models as ufuncs. 0, or -1 with an exception. */
int dph_ufuncs_add(PyObject *module);

#endif

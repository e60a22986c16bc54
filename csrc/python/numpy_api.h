/* The one way to reach the CPython and NumPy C APIs: every file shares module.c's import of the API
 * tables. */
#ifndef DPH_NUMPY_API_H
#define DPH_NUMPY_API_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL delphi_core_ARRAY_API
#define PY_UFUNC_UNIQUE_SYMBOL delphi_core_UFUNC_API
#ifndef DPH_IMPORTS_NUMPY
#define NO_IMPORT_ARRAY
#define NO_IMPORT_UFUNC
#endif
#include <numpy/arrayobject.h>
#include <numpy/ufuncobject.h>

#endif

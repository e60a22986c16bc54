#include "curvewords.h"

#include "../laws/curve.h"
#include "args.h"

static const char *const form_words[] = {"log", "exponential", "power", "rational"};
static const char *const loss_words[] = {"mae", "huber"};

/* A sequence of distinct words as their places in the list; all of them where obj is NULL. The
 * number of them, or -1 with an exception. */
static int
words_of(PyObject *obj, const char *name, const char *const *words, int n_words, int *out)
{
    PyObject *items = NULL;
    int n = 0;

    if (obj == NULL) {
        for (int i = 0; i < n_words; i++) {
            out[i] = i;
        }
        return n_words;
    }
    if (PyUnicode_Check(obj)) {
        return dph_args_word(obj, name, words, n_words, 0, out) < 0 ? -1 : 1;
    }
    items = PySequence_Fast(obj, name);
    if (items == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items); i++) {
        int word = 0;

        if (dph_args_word(PySequence_Fast_GET_ITEM(items, i), name, words, n_words, 0, &word) < 0) {
            n = -1;
            break;
        }
        for (int k = 0; k < n; k++) {
            if (out[k] == word) {
                PyErr_Format(PyExc_ValueError, "%s: '%s' is there twice", name, words[word]);
                Py_DECREF(items);
                return -1;
            }
        }
        out[n++] = word;
    }
    Py_DECREF(items);
    if (n == 0) {
        PyErr_Format(PyExc_ValueError, "%s: expected at least one", name);
        return -1;
    }
    return n;
}

int
dph_curve_forms(PyObject *obj, int *out)
{
    return words_of(obj, "forms", form_words, DPH_N_SHAPES, out);
}

int
dph_curve_losses(PyObject *obj, int *out)
{
    return words_of(obj, "losses", loss_words, DPH_N_CURVE_LOSSES, out);
}

int
dph_curve_delta(PyObject *obj, double *delta)
{
    *delta = NPY_NAN;
    if (obj == NULL || obj == Py_None) {
        return 0;
    }
    *delta = PyFloat_AsDouble(obj);
    if (*delta == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (!(*delta > 0) || !npy_isfinite(*delta)) {
        PyErr_Format(PyExc_ValueError, "delta: expected a finite number > 0, got %R", obj);
        return -1;
    }
    return 0;
}

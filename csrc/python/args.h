/* From Python arguments to C columns and back: keywords, arrays, records, progress. */
#ifndef DPH_ARGS_H
#define DPH_ARGS_H

#include "numpy_api.h"

#include <stdint.h>

#include "../base/minimise.h"
#include "../base/parallel.h"

/* One accepted argument. Those before `positional` in dph_args_parse may be given by position. */
typedef struct {
    const char *name;
    int required;
} dph_arg;

/* Sort FASTCALL arguments into values[n_spec] (borrowed, NULL where absent; None counts as given).
 * Returns 0, or -1 with a TypeError that names function and argument. */
int dph_args_parse(const char *function, const dph_arg *spec, int n_spec, int positional,
                   PyObject *const *args, Py_ssize_t n_args, PyObject *names, PyObject **values);

/* obj as a new reference to a one-dimensional C-contiguous float64 array, copied only if it must
 * be. n >= 0 demands that length. NULL with TypeError or ValueError that names the argument. */
PyArrayObject *dph_args_column(PyObject *obj, const char *name, npy_intp n);

/* obj as offsets: int64, first 0, last n_items, never decreasing; *n_groups receives their number.
 * NULL with ValueError that names the bad index. */
PyArrayObject *
dph_args_offsets(PyObject *obj, const char *name, npy_intp n_items, int64_t *n_groups);

/* obj as a new reference to a one-dimensional int64 array of whole numbers; n >= 0 demands that
 * length. NULL with TypeError or ValueError that names the argument. */
PyArrayObject *dph_args_whole(PyObject *obj, const char *name, npy_intp n);

/* A number in [lo, hi], or fallback where obj is NULL; range says so in words. 0, or -1 with an
 * exception. */
int dph_args_number(PyObject *obj, const char *name, double lo, double hi, const char *range,
                    double fallback, double *out);

/* An integer in [lo, hi], or fallback where obj is NULL or None. 0, or -1 with an exception. */
int dph_args_int(PyObject *obj, const char *name, int64_t lo, int64_t hi, int64_t fallback,
                 int64_t *out);

/* One of n words; *out receives its position; fallback where obj is NULL. 0, or -1 with an
 * exception. */
int dph_args_word(PyObject *obj, const char *name, const char *const *words, int n, int fallback,
                  int *out);

/* One field of a record type, and the NumPy dtype of a struct described by such a table. */
typedef struct {
    const char *name;
    const char *format; /* NumPy type string: "f8", "i8", "i4" */
    size_t offset;
} dph_field;
PyArray_Descr *dph_args_record_type(const dph_field *fields, int n_fields, size_t itemsize);

/* What kernels need besides data: threads, scratch for each, a minimiser for each, progress. */
typedef struct {
    dph_parallel parallel;
    double **scratch;           /* [n_threads] */
    dph_minimiser **minimisers; /* [n_threads]; NULL where none was asked for */
    PyObject *progress;         /* callable or NULL; borrowed */
    PyThreadState *thread;
    int64_t n_items;
    atomic_int stopped; /* for kernels with long items */
} dph_workshop;

/* Allocate for n_items of about cost_ns each. Fewer threads are set up when the work does not fill
 * them. 0, or -1 with MemoryError; dph_workshop_close is safe in both cases. */
int dph_workshop_open(dph_workshop *shop, int64_t n_threads, size_t scratch_doubles, int minimisers,
                      int64_t n_items, double cost_ns, PyObject *progress);
void dph_workshop_close(dph_workshop *shop);

/* Run the task without the GIL; Ctrl-C and progress are served meanwhile.
 * 0, or -1 with an exception: KeyboardInterrupt, the callback's own, MemoryError, RuntimeError. */
int dph_workshop_run(dph_workshop *shop, dph_task task, void *ctx);

#endif

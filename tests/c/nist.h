/* The nonlinear regression problems of the NIST Statistical Reference Datasets, for tests only: a
 * reader of the published files and the 27 models, each written once over complex numbers so that a
 * complex step gives its derivatives to rounding. Extended precision keeps the residuals of
 * problems whose misfit is smaller than the rounding of their data. */
#ifndef DPH_TEST_NIST_H
#define DPH_TEST_NIST_H

#define __STDC_WANT_IEC_60559_TYPES_EXT__ 1 /* before any header of the C library */

#include <float.h>
#include <math.h>
#include <stdint.h>

#include "base/nlls.h"

/* 113 bits where the C library has functions for them. */
#if defined(__GLIBC__) && defined(__HAVE_FLOAT128) && __HAVE_FLOAT128 && !defined(__clang__)
typedef _Float128 nist_real;
#define NIST_FLOAT128
#define NIST_QUAD 1
#else
typedef long double nist_real;
#define NIST_QUAD (LDBL_MANT_DIG > 100)
#endif

#define NIST_PROBLEMS 27
#define NIST_POINTS 256

typedef struct {
    const char *name;
    int n_params;
    int64_t n;
    nist_real y[NIST_POINTS];
    nist_real x[NIST_POINTS];
    nist_real x2[NIST_POINTS];
    double starts[2][DPH_LM_MAX];
    double certified[DPH_LM_MAX];
    double errors[DPH_LM_MAX];
    double rss;
    int model;
} nist_problem;

extern const char *const nist_names[NIST_PROBLEMS];

/* Read problem number `model` from folder; 0 if the file is not there or not understood. */
int nist_read(const char *folder, int model, nist_problem *out);

/* A dph_residuals; ctx is a nist_problem. */
void nist_residuals(const double *theta, double *r, double *jacobian, void *ctx);

#endif

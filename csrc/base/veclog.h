/* Logarithms of many numbers at once, written so that compilers vectorise it. */
#ifndef DPH_VECLOG_H
#define DPH_VECLOG_H

#include <stdint.h>

/* The hot loops exist once for every instruction set the loader can choose from. Contraction is off
 * for the whole core, hence all of them give the same bits. Not under sanitizers: they instrument
 * before the choice. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__) &&   \
    !defined(DPH_SANITIZED)
#define DPH_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define DPH_CLONES
#endif

/* y[i] = ln(x[i]) to below 1 ulp, for x positive, finite and normal (not checked); x may be y.
 *
 * x, y  double[n]
 */
void dph_log_many(const double *x, double *y, int64_t n);

/* y[i] = log10(x[i]) to 1.3 ulp for x >= 2 or x <= 1/2, 2 ulp between; same demands on x.
 *
 * x, y  double[n]
 */
void dph_log10_many(const double *x, double *y, int64_t n);

#endif

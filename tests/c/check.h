/* A tiny test harness: checks count, print where they fail, and go on. */
#ifndef DPH_CHECK_H
#define DPH_CHECK_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

extern long check_passed;
extern long check_failed;

/* n, or about n / 30 where the environment sets DPH_TEST_LIGHT: for valgrind. */
int64_t check_heavy(int64_t n);

static inline int
check_report(int good, const char *file, int line, const char *text)
{
    if (good) {
        check_passed++;
    } else {
        check_failed++;
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    }
    return good;
}

static inline int
check_double(double got, double want, double rel, double abs_tol, const char *file, int line,
             const char *text)
{
    double allowed = rel * fabs(want) + abs_tol;
    int good = got == want || fabs(got - want) <= allowed; /* the first for infinities */

    if (!check_report(good, file, line, text)) {
        fprintf(stderr, "    got %.17g, want %.17g within %.3g, off by %.3g\n", got, want, allowed,
                got - want);
    }
    return good;
}

static inline int
check_int(long long got, long long want, const char *file, int line, const char *text)
{
    if (!check_report(got == want, file, line, text)) {
        fprintf(stderr, "    got %lld, want %lld\n", got, want);
    }
    return got == want;
}

#define CHECK(cond) check_report(!!(cond), __FILE__, __LINE__, #cond)
#define CHECK_INT(got, want)                                                                       \
    check_int((long long)(got), (long long)(want), __FILE__, __LINE__, #got " == " #want)
/* Within rel of the wanted value; NaN never passes. */
#define CHECK_NEAR(got, want, rel)                                                                 \
    check_double((got), (want), (rel), 0, __FILE__, __LINE__, #got " ~ " #want)
/* Within abs_tol of the wanted value. */
#define CHECK_ABS(got, want, abs_tol)                                                              \
    check_double((got), (want), 0, (abs_tol), __FILE__, __LINE__, #got " ~ " #want)
/* Two objects, byte for byte: any NaN equals itself, and -0 is not 0. */
#define CHECK_SAME(p, q, n_bytes)                                                                  \
    check_report(memcmp((p), (q), (n_bytes)) == 0, __FILE__, __LINE__, #p " same as " #q)

/* Repeatable random numbers (splitmix64); the state is the seed. */
static inline uint64_t
check_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/* Uniform on (0, 1). */
static inline double
check_uniform(uint64_t *state)
{
    return ((double)(check_bits(state) >> 11) + 0.5) * 0x1p-53;
}

/* Standard normal, near enough: the sum of twelve uniforms. */
static inline double
check_normal(uint64_t *state)
{
    double sum = -6;

    for (int i = 0; i < 12; i++) {
        sum += check_uniform(state);
    }
    return sum;
}

/* Uniform integer in [0, n). */
static inline int64_t
check_below(uint64_t *state, int64_t n)
{
    return (int64_t)(check_bits(state) % (uint64_t)n);
}

#endif

/* Four doubles at a time, for sums that must not depend on the instruction set: the compiler turns
 * them into one register or two. */
#ifndef DPH_LANES_H
#define DPH_LANES_H

#include <stdint.h>
#include <string.h>

#define DPH_LANES 4

typedef double dph_lanes __attribute__((vector_size(8 * DPH_LANES)));
typedef int64_t dph_marks __attribute__((vector_size(8 * DPH_LANES))); /* -1 where true, else 0 */

/* n rounded up to whole groups of lanes. */
#define DPH_PADDED(n) (((n) + DPH_LANES - 1) / DPH_LANES * DPH_LANES)

/* Functions of lanes are inlined into clones of every instruction set. How a call would pass them
 * depends on that set, hence -Wno-psabi where this is built: there are no such calls. */
#define DPH_LANES_INLINE static inline __attribute__((always_inline))

DPH_LANES_INLINE dph_lanes
dph_lanes_all(double x)
{
    return (dph_lanes){x, x, x, x};
}

DPH_LANES_INLINE dph_lanes
dph_lanes_load(const double *x)
{
    dph_lanes v;

    memcpy(&v, x, sizeof v);
    return v;
}

/* The first `count` of four, then zeros. */
DPH_LANES_INLINE dph_lanes
dph_lanes_load_part(const double *x, int64_t count)
{
    double part[DPH_LANES] = {0};

    for (int64_t k = 0; k < count; k++) {
        part[k] = x[k];
    }
    return dph_lanes_load(part);
}

DPH_LANES_INLINE void
dph_lanes_store(dph_lanes v, double *x)
{
    memcpy(x, &v, sizeof v);
}

/* Marks on the first `count` of four. */
DPH_LANES_INLINE dph_marks
dph_lanes_first(int64_t count)
{
    return (dph_marks){0, 1, 2, 3} < count;
}

/* x where the mark is set, 0 elsewhere. */
DPH_LANES_INLINE dph_lanes
dph_lanes_where(dph_marks mark, dph_lanes x)
{
    return (dph_lanes)((dph_marks)x & mark);
}

DPH_LANES_INLINE dph_lanes
dph_lanes_choose(dph_marks mark, dph_lanes yes, dph_lanes no)
{
    return (dph_lanes)(((dph_marks)yes & mark) | ((dph_marks)no & ~mark));
}

DPH_LANES_INLINE dph_lanes
dph_lanes_abs(dph_lanes x)
{
    return (dph_lanes)((dph_marks)x & INT64_MAX);
}

/* The sign of x on something that is not negative. */
DPH_LANES_INLINE dph_lanes
dph_lanes_sign(dph_lanes size, dph_lanes x)
{
    return (dph_lanes)((dph_marks)size | ((dph_marks)x & INT64_MIN));
}

DPH_LANES_INLINE double
dph_lanes_sum(dph_lanes v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}

#endif

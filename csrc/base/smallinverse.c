#include "smallinverse.h"

#include <math.h>

#include "lanes.h"
#include "veclog.h"

#define K DPH_SMALLINVERSE_MAX

DPH_LANES_INLINE void
exchange(dph_lanes *a, dph_lanes *b)
{
    dph_lanes held = *a;

    *a = *b;
    *b = held;
}

/* Written for any k; a k known to the compiler stays in registers. */
DPH_LANES_INLINE int
eliminate(double (*out)[K], int k, double least)
{
    dph_lanes m[K];
    dph_lanes inverse[K];

    for (int a = 0; a < k; a++) {
        m[a] = dph_lanes_load(out[a]);
        inverse[a] = dph_lanes_all(0);
        inverse[a][a] = 1;
    }
    for (int c = 0; c < k; c++) {
        double pivot = 0;

        for (int a = c + 1; a < k; a++) {
            if (fabs(m[a][c]) > fabs(m[c][c])) {
                exchange(&m[a], &m[c]);
                exchange(&inverse[a], &inverse[c]);
            }
        }
        pivot = m[c][c];
        if (!(fabs(pivot) > least)) {
            return 0;
        }
        m[c] /= pivot;
        inverse[c] /= pivot;
        for (int a = 0; a < k; a++) {
            double factor = m[a][c];

            if (a != c) {
                m[a] -= m[c] * factor;
                inverse[a] -= inverse[c] * factor;
            }
        }
    }
    for (int a = 0; a < k; a++) {
        dph_lanes_store(inverse[a], out[a]);
    }
    return 1;
}

DPH_CLONES int
dph_smallinverse(double (*m)[K], int k, double least)
{
    switch (k) {
    case 2:
        return eliminate(m, 2, least);
    case 3:
        return eliminate(m, 3, least);
    case 4:
        return eliminate(m, 4, least);
    default:
        return eliminate(m, k, least);
    }
}

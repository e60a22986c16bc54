#include "base/smallinverse.h"

#include <string.h>

#include "check.h"
#include "suites.h"

#define K DPH_SMALLINVERSE_MAX

/* Every size, with rows that need exchanging; what is not invertible says so. */
void
test_smallinverse(void)
{
    uint64_t seed = 5;

    for (int trial = 0; trial < 400; trial++) {
        int k = 1 + trial % K;
        double m[K][K] = {{0}};
        double inverse[K][K];

        for (int a = 0; a < k; a++) {
            for (int b = 0; b < k; b++) {
                m[a][b] = trial % 3 == 0 && a == b && k > 1 ? 0 : check_normal(&seed);
            }
        }
        memcpy(inverse, m, sizeof m);
        CHECK(dph_smallinverse(inverse, k, 1e-14) == 1);
        for (int a = 0; a < k; a++) {
            for (int b = 0; b < k; b++) {
                double sum = 0;
                double size = 1;

                for (int j = 0; j < k; j++) {
                    sum += m[a][j] * inverse[j][b];
                    size += fabs(m[a][j] * inverse[j][b]);
                }
                CHECK(fabs(sum - (a == b)) < 1e-12 * size);
            }
        }
        for (int b = 0; b < k; b++) { /* two rows alike, or one of nothing */
            m[k - 1][b] = k > 1 ? 2 * m[0][b] : 0;
        }
        CHECK(dph_smallinverse(m, k, 1e-14) == 0);
    }
}

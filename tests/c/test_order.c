#include "base/order.h"

#include "check.h"
#include "suites.h"

#define MOST 500

/* Ascending in the first value, then the second ...; and nothing lost: sums of each column and of
 * products across columns stay. */
static void
test_sorted(void)
{
    static const int64_t sizes[] = {0, 1, 2, 3, 31, 32, 33, 34, 100, 499, MOST};
    double rows[MOST * DPH_ORDER_MAX_WIDTH];
    uint64_t seed = 5;

    for (int width = 1; width <= DPH_ORDER_MAX_WIDTH; width++) {
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            int64_t n = sizes[s];
            double before = 0;
            double after = 0;

            for (int64_t i = 0; i < n; i++) {
                for (int k = 0; k < width; k++) { /* few values: many ties */
                    rows[i * width + k] = (double)check_below(&seed, 6);
                }
                before += rows[i * width] * (1 + rows[i * width + width - 1]);
            }
            dph_sort_rows(rows, n, width);
            for (int64_t i = 0; i < n; i++) {
                int k = 0;

                after += rows[i * width] * (1 + rows[i * width + width - 1]);
                while (i > 0 && k < width - 1 && rows[i * width + k] == rows[(i - 1) * width + k]) {
                    k++;
                }
                CHECK(i == 0 || rows[i * width + k] >= rows[(i - 1) * width + k]);
            }
            CHECK(before == after);
        }
    }
}

static void
test_any_order_in(void)
{
    double up[3 * 64];
    double down[3 * 64];

    for (int i = 0; i < 64; i++) {
        for (int k = 0; k < 3; k++) {
            up[3 * i + k] = k == 0 ? i / 4 : (i * 7) % 5 + k;
        }
    }
    for (int i = 0; i < 64; i++) {
        memcpy(down + 3 * i, up + 3 * ((i * 37) % 64), 3 * sizeof *up);
    }
    dph_sort_rows(up, 64, 3);
    dph_sort_rows(down, 64, 3);
    CHECK_SAME(up, down, sizeof up);
}

void
test_order(void)
{
    test_sorted();
    test_any_order_in();
}

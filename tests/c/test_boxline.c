/* The two inner problems of a learning curve and the exact step of its linearised form. */
#include <stdlib.h>

#include "base/dots.h"
#include "base/lanes.h"
#include "base/order.h"
#include "base/vecexp.h"
#include "check.h"
#include "laws/huberline.h"
#include "laws/l1line.h"
#include "laws/l1band.h"
#include "laws/l1step.h"
#include "suites.h"

#define N 40

static double
absolute_sum(const dph_boxline *line, double F, double A)
{
    double sum = 0;

    for (int64_t i = 0; i < line->n; i++) {
        sum += fabs(line->y[i] - F - A * line->s[i]);
    }
    return sum;
}

static void
draw(double *s, double *y, int kind, uint64_t *seed)
{
    for (int i = 0; i < N; i++) {
        s[i] = kind == 1 ? 0.5 : kind == 2 ? (i % 3) / 2.0 : check_uniform(seed);
        y[i] = 2 + 1.5 * s[i] + 0.1 * check_normal(seed) + (i % 11 == 0 ? 3 : 0);
        y[i] = kind == 3 ? 2 - s[i] + 0.1 * check_uniform(seed) : y[i];
    }
}

/* No point of a grid over the box, nor one close by, lies lower: both sums are convex. */
static void
test_lines(void)
{
    uint64_t seed = 17;
    double s[N];
    double y[N];
    double scratch[N];

    for (int trial = 0; trial < 40; trial++) {
        dph_boxline line = {.s = s, .y = y, .n = 5 + trial % (N - 4), .F_max = 6, .A_max = 2.5};
        dph_boxfit fit = {.F = 3 * check_uniform(&seed), .A = check_uniform(&seed)};
        dph_boxfit robust = fit;
        double delta = pow(10, -3 + 3 * check_uniform(&seed));
        double gap = 0;

        draw(s, y, trial % 4, &seed);
        gap = dph_l1line_fit(&line, scratch, &fit);
        dph_huberline_fit(&line, delta, 1e-15, DPH_HUBERLINE_STEPS, &robust);
        CHECK(gap >= 0 && gap < 1e-11);
        CHECK_NEAR(fit.objective, absolute_sum(&line, fit.F, fit.A), 1e-13);
        CHECK_NEAR(robust.objective, dph_huberline_sum(&line, delta, robust.F, robust.A), 1e-13);
        for (int a = 0; a <= 20; a++) {
            for (int b = 0; b <= 20; b++) {
                double F = line.F_max * a / 20;
                double A = line.A_max * b / 20;
                double near_F = fmin(fmax(fit.F + (a - 10) * 1e-4, 0), line.F_max);
                double near_A = fmin(fmax(fit.A + (b - 10) * 1e-4, 0), line.A_max);

                CHECK(absolute_sum(&line, F, A) >= fit.objective * (1 - 1e-13));
                CHECK(absolute_sum(&line, near_F, near_A) >= fit.objective * (1 - 1e-13));
                CHECK(dph_huberline_sum(&line, delta, F, A) >= robust.objective * (1 - 1e-10));
                near_F = fmin(fmax(robust.F + (a - 10) * 1e-4, 0), line.F_max);
                near_A = fmin(fmax(robust.A + (b - 10) * 1e-4, 0), line.A_max);
                CHECK(dph_huberline_sum(&line, delta, near_F, near_A) >=
                      robust.objective * (1 - 1e-10));
            }
        }
    }
}

/* With two columns the step is the line fit again; duplicate rows make every vertex degenerate. */
static void
test_step_is_the_line(void)
{
    uint64_t seed = 23;
    double s[N];
    double y[N];
    double one[N];
    double scratch[DPH_L1STEP_COLUMNS * DPH_PADDED(N)];

    for (int trial = 0; trial < 60; trial++) {
        dph_boxline line = {.s = s, .y = y, .n = 4 + trial % (N - 3), .F_max = 6, .A_max = 2.5};
        dph_boxfit fit = {0};
        dph_l1problem problem = {
            .r = y, .J = {one, s}, .n = line.n, .n_parameters = 2, .high = {6, 2.5}};
        double d[2];
        double sum = 0;

        draw(s, y, trial % 3 == 1 ? 0 : trial % 3, &seed);
        for (int i = 0; i < N; i++) {
            one[i] = 1;
            if (trial % 5 == 0 && i % 2 == 1) {
                s[i] = s[i - 1];
                y[i] = y[i - 1];
            }
        }
        (void)dph_l1line_fit(&line, scratch, &fit);
        sum = dph_l1step(&problem, scratch, &(dph_l1vertex){0}, d);
        CHECK_NEAR(sum, fit.objective, 1e-9);
        CHECK_NEAR(absolute_sum(&line, d[0], d[1]), sum, 1e-9);
        CHECK(d[0] >= 0 && d[0] <= 6 && d[1] >= 0 && d[1] <= 2.5);
    }
}

/* Four columns: random steps within the box are no better, and nothing to do gives no step. */
static void
test_step_of_four(void)
{
    uint64_t seed = 29;
    double J[4][N];
    double r[N];
    double zero[N] = {0};
    double scratch[DPH_L1STEP_COLUMNS * DPH_PADDED(N)];

    for (int trial = 0; trial < 30; trial++) {
        dph_l1problem problem = {.r = r,
                                 .J = {J[0], J[1], J[2], J[3]},
                                 .n = N,
                                 .n_parameters = 4,
                                 .low = {-1, -1, -1, -0.1},
                                 .high = {1, 1, 0.2, 1}};
        double d[4];
        double sum = 0;

        for (int i = 0; i < N; i++) {
            for (int j = 0; j < 4; j++) {
                J[j][i] = pow(10, j - 2) * check_normal(&seed);
            }
            r[i] = J[0][i] - J[2][i] + 0.3 * J[3][i] + 0.1 * check_normal(&seed);
        }
        sum = dph_l1step(&problem, scratch, &(dph_l1vertex){0}, d);
        for (int k = 0; k < 300; k++) {
            double other = 0;
            double e[4];

            for (int j = 0; j < 4; j++) {
                double near = d[j] + 0.02 * (check_uniform(&seed) - 0.5);

                e[j] = fmin(fmax(near, problem.low[j]), problem.high[j]);
            }
            for (int i = 0; i < N; i++) {
                double off = r[i];

                for (int j = 0; j < 4; j++) {
                    off -= J[j][i] * e[j];
                }
                other += fabs(off);
            }
            CHECK(other >= sum * (1 - 1e-12));
        }
        problem.r = zero;
        CHECK(dph_l1step(&problem, scratch, &(dph_l1vertex){0}, d) == 0);
        CHECK(d[0] == 0 && d[3] == 0);
    }
}

/* Over many points the band finds what a walk over all of them finds, and its gap says so; rounded
 * residuals tie by the thousand, and a column of zeros keeps its parameter where it is. */
static void
test_step_of_many(void)
{
    enum { MANY = 30000 };
    static double J[4][MANY];
    static double r[MANY];
    static double scratch[DPH_L1STEP_COLUMNS * DPH_PADDED(MANY)];
    atomic_int stop = 1;
    uint64_t seed = 37;

    for (int trial = 0; trial < 6; trial++) {
        dph_l1problem problem = {.r = r,
                                 .J = {J[0], J[1], J[2], J[3]},
                                 .n = MANY,
                                 .n_parameters = trial < 5 ? 4 : 2,
                                 .low = {-2, -2, -2, -0.1},
                                 .high = {2, 2, 0.2, 2}};
        double walked[4] = {0};
        double d[4] = {0};
        double gap = NAN;
        double sum = 0;
        double least = 0;

        for (int i = 0; i < MANY; i++) {
            double x = (double)i / MANY;

            J[0][i] = 1;
            J[1][i] = 1 - x;
            J[2][i] = trial == 4 ? 0 : x * (1 - x);
            J[3][i] = x * x * (1 - x);
            r[i] = 0.4 * J[0][i] - J[1][i] + 0.3 * J[3][i] + 0.1 * check_normal(&seed);
            r[i] = trial == 3 ? round(10 * r[i]) / 10 : r[i];
        }
        least = dph_l1step(&problem, scratch, &(dph_l1vertex){0}, walked);
        sum = dph_l1band_step(&problem, scratch, d, &gap);
        CHECK_NEAR(sum, least, 1e-11);
        CHECK(gap >= 0 && gap <= 1e-11 * sum);
        for (int j = 0; j < problem.n_parameters; j++) {
            CHECK(d[j] >= problem.low[j] && d[j] <= problem.high[j]);
        }
        CHECK(trial != 4 || d[2] == 0);
        problem.stopped = &stop;
        sum = dph_l1band_step(&problem, scratch, d, &gap);
        CHECK(d[0] == 0 && gap > 0.1 * sum); /* stopped at once: nothing done, and it says so */
    }
}

static void
test_vectors(void)
{
    uint64_t seed = 31;
    double x[N];
    double y[N];
    double sum = 0;

    for (int trial = 0; trial < 50; trial++) {
        double scale = pow(10, -12 + 0.5 * trial);

        sum = 0;
        for (int i = 0; i < N; i++) {
            x[i] = -scale * check_uniform(&seed) * 1e-6;
        }
        dph_expm1_many(x, y, N);
        for (int i = 0; i < N; i++) {
            CHECK_NEAR(y[i], expm1(x[i]), 4e-16);
            x[i] = -x[i];
        }
        dph_log1p_many(x, 3, y, N);
        for (int i = 0; i < N; i++) {
            CHECK_NEAR(y[i], log1p(3 * x[i]), 8e-16);
            sum += x[i] * y[i];
        }
        CHECK_NEAR(dph_dot(x, y, N), sum, 1e-14);
    }
    x[0] = -INFINITY;
    x[1] = -800;
    x[2] = 0;
    dph_expm1_many(x, y, 3);
    CHECK(y[0] == -1 && y[1] == -1 && y[2] == 0);
}

static void
test_select(void)
{
    static double x[3000];
    static double sorted[3000];
    uint64_t seed = 37;

    for (int trial = 0; trial < 30; trial++) {
        int64_t n = 1 + check_below(&seed, 3000);
        int64_t k = check_below(&seed, n);

        for (int64_t i = 0; i < n; i++) {
            x[i] = trial % 3 == 0   ? (double)check_below(&seed, 5)
                   : trial % 3 == 1 ? (double)i
                                    : check_uniform(&seed);
            sorted[i] = x[i];
        }
        dph_sort_rows(sorted, n, 1);
        CHECK(dph_select(x, n, k) == sorted[k]);
    }
}

void
test_boxline(void)
{
    test_vectors();
    test_select();
    test_lines();
    test_step_is_the_line();
    test_step_of_four();
    test_step_of_many();
}

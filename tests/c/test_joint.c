/* The two-curvature fit of parabola.c. */
#include "base/lstsq.h"
#include "check.h"
#include "fits.h"
#include "suites.h"

/* One vertex, two curvatures, no noise: recovered wherever the vertex lies between the second
 * points. */
static void
test_joint_exact(void)
{
    static const double under[] = {0.5, 0.125, 1, 0.25};
    static const double over[] = {0.125, 0.5, 0.0625, 0.25};
    double x[17];
    double loss[17];

    for (int v = 0; v < 29; v++) {
        double vertex = 9.26 + 0.124 * v;

        for (int c = 0; c < 4; c++) {
            dph_parabola p;

            for (int i = 0; i < 17; i++) {
                double d = 0;
                x[i] = log10(pow(10, 9 + 0.25 * i));
                d = x[i] - vertex;
                loss[i] = 3 + (d < 0 ? under[c] : over[c]) * d * d;
            }
            p = fit_parabola_x(x, loss, 17, 1);
            CHECK((p.status & (DPH_W_JOINT_FAILED | DPH_W_JOINT_AT_BOUND | DPH_W_JOINT_CONCAVE)) ==
                  0);
            CHECK_NEAR(p.joint_x_star, vertex, 1e-10);
            CHECK_NEAR(p.joint_loss_star, 3, 1e-10);
            CHECK_NEAR(p.joint_a_under, under[c], 1e-7);
            CHECK_NEAR(p.joint_a_over, over[c], 1e-7);
            CHECK_ABS(p.joint_rss, 0, 1e-20);
        }
    }
}

static void
test_joint_status(void)
{
    const double x[] = {9, 9.5, 10, 10.5, 11, 11.5, 12};
    double loss[7];
    dph_parabola p;

    for (int i = 0; i < 7; i++) { /* the vertex beyond every point */
        loss[i] = 2 + (x[i] - 13) * (x[i] - 13) / 4;
    }
    p = fit_parabola_x(x, loss, 7, 1);
    CHECK_INT(p.status & (DPH_W_JOINT_FAILED | DPH_W_JOINT_AT_BOUND), DPH_W_JOINT_AT_BOUND);
    CHECK_NEAR(p.joint_x_star, 11.5, 1e-14);
    for (int i = 0; i < 7; i++) {
        loss[i] = 2 + (x[i] - 8) * (x[i] - 8) / 4;
    }
    p = fit_parabola_x(x, loss, 7, 1);
    CHECK_INT(p.status & (DPH_W_JOINT_FAILED | DPH_W_JOINT_AT_BOUND), DPH_W_JOINT_AT_BOUND);
    CHECK_NEAR(p.joint_x_star, 9.5, 1e-14);

    for (int i = 0; i < 7; i++) { /* falls away on one side */
        double d = x[i] - 10.25;
        loss[i] = 2 + (d < 0 ? 1 : -0.25) * d * d;
    }
    p = fit_parabola_x(x, loss, 7, 1);
    CHECK_INT(p.status & (DPH_W_JOINT_FAILED | DPH_W_JOINT_AT_BOUND | DPH_W_JOINT_CONCAVE),
              DPH_W_JOINT_CONCAVE);
    CHECK_NEAR(p.joint_x_star, 10.25, 1e-10);
    CHECK_NEAR(p.joint_a_over, -0.25, 1e-7);

    for (int i = 0; i < 7; i++) {
        loss[i] = 2 + (x[i] - 10) * (x[i] - 10);
    }
    p = fit_parabola_x(x, loss, 4, 1); /* four distinct points */
    CHECK_INT(p.status, DPH_W_JOINT_FAILED);
    CHECK(p.a > 0 && isnan(p.joint_x_star) && isnan(p.joint_loss_star));
    CHECK(isnan(p.joint_a_under) && isnan(p.joint_a_over) && isnan(p.joint_rss));
    CHECK_INT(fit_parabola_x(x, loss, 5, 1).status, DPH_OK);
}

/* Smallest rss of the two-curvature fit over a fine grid of vertices. */
static double
joint_by_brute_force(const double *x, const double *loss, int n)
{
    double sorted[24];
    double lowest = INFINITY;

    memcpy(sorted, x, (size_t)n * sizeof *x);
    for (int i = 1; i < n; i++) {
        for (int j = i; j > 0 && sorted[j] < sorted[j - 1]; j--) {
            double swap = sorted[j];
            sorted[j] = sorted[j - 1];
            sorted[j - 1] = swap;
        }
    }
    for (int k = 0; k <= 400; k++) {
        double v = sorted[1] + (sorted[n - 2] - sorted[1]) * k / 400;
        double a[3 * 24];
        double b[24];
        double p[3];
        double rss = 0;

        for (int i = 0; i < n; i++) {
            double d = x[i] - v;
            a[i] = 1;
            a[n + i] = d < 0 ? d * d : 0;
            a[2 * n + i] = d > 0 ? d * d : 0;
            b[i] = loss[i];
        }
        if (dph_lstsq(a, b, n, 3, p, NULL, &rss) == DPH_OK && rss < lowest) {
            lowest = rss;
        }
    }
    return lowest;
}

/* The search ends whatever the noise, and on ladders as people train them (runs spread evenly,
 * little noise) never above the best of a fine grid. */
static void
test_joint_search(void)
{
    int64_t trials = check_heavy(900);
    uint64_t seed = 23;
    int failed = 0;
    int beaten = 0;

    for (int64_t trial = 0; trial < trials; trial++) {
        int n = 5 + (int)check_below(&seed, 12);
        int wild = trial % 3 == 0;
        double x[24];
        double loss[24];
        dph_parabola p;

        for (int i = 0; i < n; i++) {
            x[i] = 9 + 3 * (wild ? check_uniform(&seed) : (i + 0.3 * check_uniform(&seed)) / n);
            loss[i] = 3 + 0.2 * (x[i] - 10.5) * (x[i] - 10.5) +
                      (wild ? 0.3 : 0.003) * check_normal(&seed);
        }
        p = fit_parabola_x(x, loss, n, 1);
        failed += (p.status & DPH_W_JOINT_FAILED) != 0;
        beaten += !wild && p.joint_rss > joint_by_brute_force(x, loss, n) * (1 + 1e-9);
    }
    CHECK_INT(failed, 0);
    CHECK_INT(beaten, 0);
}

void
test_joint(void)
{
    test_joint_exact();
    test_joint_status();
    test_joint_search();
}

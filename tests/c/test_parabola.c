#include <stdlib.h>

#include "base/parallel.h"
#include "check.h"
#include "fits.h"
#include "suites.h"

/* loss = (x - 11)^2 / 4 + 3 on whole decades: every number is exact. */
static void
test_exact(void)
{
    const double tokens[] = {1e9, 1e10, 1e11, 1e12, 1e13};
    const double params[] = {1e13, 1e12, 1e11, 1e10, 1e9}; /* 6 N D = C */
    const double loss[] = {4, 3.25, 3, 3.25, 4};
    dph_parabola p = fit_parabola(tokens, loss, params, 5, 0);

    CHECK_INT(p.status, DPH_OK);
    CHECK_NEAR(p.a, 0.25, 1e-14);
    CHECK_NEAR(p.b, -5.5, 1e-14);
    CHECK_NEAR(p.c, 33.25, 1e-14);
    CHECK_NEAR(p.x_vertex, 11, 1e-14);
    CHECK(p.x_star == p.x_vertex);
    CHECK_NEAR(p.tokens_star, 1e11, 1e-12);
    CHECK_NEAR(p.params_star, 1e11, 1e-12);
    CHECK_NEAR(p.loss_star, 3, 1e-14);
    CHECK_NEAR(p.a_under, 0.25, 1e-13);
    CHECK_NEAR(p.a_over, 0.25, 1e-13);
    CHECK_ABS(p.rss, 0, 1e-28);
    CHECK_ABS(p.se_x_star, 0, 1e-13);
    CHECK_ABS(p.se_loss_star, 0, 1e-13);
    CHECK_NEAR(p.x_min, 9, 4e-16);
    CHECK_NEAR(p.x_max, 13, 4e-16);
    CHECK(isnan(p.joint_x_star) && isnan(p.joint_loss_star) && isnan(p.joint_a_under));
    CHECK(isnan(p.joint_a_over) && isnan(p.joint_rss));
}

/* Rational curvatures and vertices anywhere inside, points at odd places. */
static void
test_rational(void)
{
    uint64_t seed = 21;

    for (int trial = 0; trial < 200; trial++) {
        int n = 4 + (int)check_below(&seed, 20);
        double a = (double)(1 + check_below(&seed, 16)) / 16;
        double v = 10 + (double)check_below(&seed, 9) / 8;
        double floor = (double)check_below(&seed, 33) / 8;
        double x[24];
        double loss[24];
        dph_parabola p;

        for (int i = 0; i < n; i++) {
            x[i] = 9 + 3 * (i + 0.5 * check_uniform(&seed)) / n;
            x[i] = log10(pow(10, x[i])); /* what the fit will see */
            loss[i] = a * (x[i] - v) * (x[i] - v) + floor;
        }
        p = fit_parabola_x(x, loss, n, 0);
        CHECK((p.status & ~DPH_W_UNBRACKETED) == 0);
        CHECK_NEAR(p.a, a, 1e-11);
        CHECK_NEAR(p.b, -2 * a * v, 1e-11);
        CHECK_NEAR(p.c, floor + a * v * v, 1e-11);
        CHECK_NEAR(p.x_star, v, 1e-12);
        CHECK_ABS(p.loss_star, floor, 1e-12);
        CHECK_NEAR(p.a_under, a, 1e-8);
        CHECK_NEAR(p.a_over, a, 1e-8);
        CHECK_ABS(p.rss, 0, 1e-24);
    }
}

/* Noisy points against the normal equations in long double: coefficients, rss, both standard
 * errors, and the anchored curvatures. */
static void
test_against_normal_equations(void)
{
    uint64_t seed = 22;

    for (int trial = 0; trial < 200; trial++) {
        int n = 5 + (int)check_below(&seed, 20);
        double x[25];
        double loss[25];
        long double m[3][4] = {{0}};
        long double inverse[3][3] = {{0}};
        long double p[3];
        long double rss = 0;
        long double variance = 0;
        long double se_v = 0;
        long double se_l = 0;
        long double v = 0;
        long double num[2] = {0};
        long double den[2] = {0};
        dph_parabola got;

        for (int i = 0; i < n; i++) {
            long double z = 0;
            long double row[4] = {0};

            x[i] = log10(pow(10, 9 + 3 * check_uniform(&seed)));
            loss[i] = 3 + 0.2 * (x[i] - 10.4) * (x[i] - 10.4) + 0.004 * check_normal(&seed);
            z = (long double)x[i] - 10.5L;
            row[0] = 1;
            row[1] = z;
            row[2] = z * z;
            row[3] = (long double)loss[i];
            for (int k = 0; k < 3; k++) {
                for (int j = 0; j < 4; j++) {
                    m[k][j] += row[k] * row[j];
                }
            }
        }
        for (int k = 0; k < 3; k++) { /* the inverse by cofactors; m is symmetric */
            for (int j = 0; j < 3; j++) {
                int k1 = (k + 1) % 3;
                int k2 = (k + 2) % 3;
                int j1 = (j + 1) % 3;
                int j2 = (j + 2) % 3;

                inverse[k][j] = m[k1][j1] * m[k2][j2] - m[k1][j2] * m[k2][j1];
            }
        }
        {
            long double det =
                m[0][0] * inverse[0][0] + m[0][1] * inverse[0][1] + m[0][2] * inverse[0][2];

            for (int k = 0; k < 9; k++) {
                inverse[k / 3][k % 3] /= det;
            }
        }
        for (int k = 0; k < 3; k++) {
            p[k] = inverse[k][0] * m[0][3] + inverse[k][1] * m[1][3] + inverse[k][2] * m[2][3];
        }
        v = -p[1] / (2 * p[2]);
        for (int i = 0; i < n; i++) {
            long double z = (long double)x[i] - 10.5L;
            long double r = (long double)loss[i] - p[0] - p[1] * z - p[2] * z * z;
            int side = z > v;

            rss += r * r;
            num[side] +=
                (z - v) * (z - v) * ((long double)loss[i] - p[0] - p[1] * v - p[2] * v * v);
            den[side] += (z - v) * (z - v) * (z - v) * (z - v);
        }
        variance = rss / (n - 3);
        {
            long double gv[3] = {0, -1 / (2 * p[2]), p[1] / (2 * p[2] * p[2])};
            long double gl[3] = {1, v, v * v};

            for (int k = 0; k < 9; k++) {
                se_v += gv[k / 3] * inverse[k / 3][k % 3] * gv[k % 3];
                se_l += gl[k / 3] * inverse[k / 3][k % 3] * gl[k % 3];
            }
            se_v = sqrtl(variance * se_v);
            se_l = sqrtl(variance * se_l);
        }
        got = fit_parabola_x(x, loss, n, 0);
        if (!CHECK((got.status & DPH_W_CONCAVE) == 0) || got.status & DPH_W_CLIPPED) {
            continue;
        }
        CHECK_NEAR(got.a, (double)p[2], 1e-9);
        CHECK_NEAR(got.b, (double)(p[1] - 21 * p[2]), 1e-9);
        CHECK_NEAR(got.x_vertex, (double)(v + 10.5L), 1e-11);
        CHECK_NEAR(got.loss_star, (double)(p[0] + p[1] * v + p[2] * v * v), 1e-12);
        CHECK_NEAR(got.rss, (double)rss, 1e-8);
        CHECK_NEAR(got.se_x_star, (double)se_v, 1e-8);
        CHECK_NEAR(got.se_loss_star, (double)se_l, 1e-8);
        if (!(got.status & DPH_W_A_UNDER_FALLBACK)) {
            CHECK_NEAR(got.a_under, (double)(num[0] / den[0]), 1e-7);
        }
        if (!(got.status & DPH_W_A_OVER_FALLBACK)) {
            CHECK_NEAR(got.a_over, (double)(num[1] / den[1]), 1e-7);
        }
        CHECK(!(got.status & DPH_W_A_UNDER_FALLBACK) == (num[0] > 0));
        CHECK(!(got.status & DPH_W_A_OVER_FALLBACK) == (num[1] > 0));
    }
}

static void
test_failures(void)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY, 0, -1};
    const double good[] = {1e9, 1e10, 1e11, 1e12, 1e13};
    const double loss[] = {4, 3.25, 3, 3.25, 4};
    const double one[] = {1e9, 1e9, 1e9, 1e9, 1e9};
    const double two[] = {1e9, 1e10, 1e9, 1e10, 1e9};
    const double flat[] = {2, 2, 2, 2, 2};
    const double close[] = {1e9, 1e9 * (1 + 1e-14), 1e10, 1e10, 1e10};

    for (int n = 0; n < 3; n++) {
        check_no_parabola(fit_parabola(good, loss, good, n, 1), DPH_E_TOO_FEW_POINTS);
        check_no_parabola(fit_parabola(one, loss, NULL, n, 0), DPH_E_TOO_FEW_POINTS);
    }
    check_no_parabola(fit_parabola(two, loss, NULL, 5, 1), DPH_E_TOO_FEW_POINTS);
    check_no_parabola(fit_parabola(one, loss, good, 5, 1), DPH_E_EQUAL_X);
    check_no_parabola(fit_parabola(one, loss, NULL, 3, 0), DPH_E_EQUAL_X);
    check_no_parabola(fit_parabola(good, flat, good, 5, 1), DPH_E_CONSTANT_LOSS);
    check_no_parabola(fit_parabola(close, loss, NULL, 5, 1), DPH_E_RANK);
    for (int b = 0; b < 5; b++) {
        for (int at = 0; at < 5; at++) {
            double column[5];

            memcpy(column, good, sizeof column);
            column[at] = bad[b];
            check_no_parabola(fit_parabola(column, loss, good, 5, 1), DPH_E_BAD_VALUE);
            check_no_parabola(fit_parabola(good, loss, column, 5, 0), DPH_E_BAD_VALUE);
            memcpy(column, loss, sizeof column);
            column[at] = bad[b];
            if (b < 3) {
                check_no_parabola(fit_parabola(good, column, NULL, 5, 1), DPH_E_BAD_VALUE);
            } else { /* a loss may have any sign: bits saved, reward lost */
                CHECK(fit_parabola(good, column, NULL, 5, 0).status >= 0);
            }
        }
    }
}

/* Each warning with nothing beside it but what it must bring. */
static void
test_warnings(void)
{
    const double x[] = {9, 10, 11, 12, 13};
    const double repeated[] = {9, 10, 11, 9, 10, 11};
    double loss[6];
    dph_parabola p;

    for (int i = 0; i < 5; i++) {
        loss[i] = 4 - (x[i] - 11) * (x[i] - 11) / 8;
    }
    p = fit_parabola_x(x, loss, 5, 0);
    CHECK_INT(p.status,
              DPH_W_CONCAVE | DPH_W_UNBRACKETED | DPH_W_A_UNDER_FALLBACK | DPH_W_A_OVER_FALLBACK);
    CHECK_NEAR(p.a, -0.125, 1e-13);
    CHECK(p.a_under == p.a && p.a_over == p.a);

    for (int i = 0; i < 5; i++) {
        loss[i] = 1 + (x[i] - 14) * (x[i] - 14) / 8;
    }
    p = fit_parabola_x(x, loss, 5, 0);
    CHECK_INT(p.status, DPH_W_CLIPPED | DPH_W_UNBRACKETED | DPH_W_A_OVER_FALLBACK);
    CHECK_NEAR(p.x_vertex, 14, 1e-12);
    CHECK(p.x_star == p.x_max && p.a_over == p.a);
    CHECK_NEAR(p.tokens_star, 1e13, 1e-13);
    CHECK_NEAR(p.loss_star, 1.125, 1e-13); /* at the edge, not at the vertex */
    CHECK_NEAR(p.a_under, (1 * 3.0 + 4 * 8 + 9 * 15 + 16 * 24) / 8 / (1 + 16 + 81 + 256), 1e-12);

    for (int i = 0; i < 5; i++) {
        loss[i] = 1 + (x[i] - 8) * (x[i] - 8) / 8;
    }
    p = fit_parabola_x(x, loss, 5, 0);
    CHECK_INT(p.status, DPH_W_CLIPPED | DPH_W_UNBRACKETED | DPH_W_A_UNDER_FALLBACK);
    CHECK(p.x_star == p.x_min && p.a_under == p.a);
    CHECK_NEAR(p.loss_star, 1.125, 1e-13);

    for (int i = 0; i < 5; i++) {
        loss[i] = 1 + (x[i] - 9.375) * (x[i] - 9.375);
    }
    p = fit_parabola_x(x, loss, 5, 0);
    CHECK_INT(p.status, DPH_W_UNBRACKETED);
    CHECK_NEAR(p.x_star, 9.375, 1e-13);

    for (int i = 0; i < 6; i++) {
        loss[i] = (repeated[i] - 10) * (repeated[i] - 10) + (i < 3 ? 0.5 : 0.75);
    }
    p = fit_parabola_x(repeated, loss, 3, 0);
    CHECK_INT(p.status, DPH_W_SATURATED);
    CHECK_ABS(p.rss, 0, 1e-28);
    CHECK(isnan(p.se_x_star) && isnan(p.se_loss_star));
    p = fit_parabola_x(repeated, loss, 6, 1);
    CHECK_INT(p.status, DPH_W_SATURATED | DPH_W_JOINT_FAILED);
    CHECK_NEAR(p.loss_star, 0.625, 1e-13);
    CHECK_NEAR(p.rss, 6 * 0.125 * 0.125, 1e-12);
    CHECK(p.se_x_star > 0 && p.se_loss_star > 0);
    CHECK(isnan(p.joint_x_star) && isnan(p.joint_rss));
}

/* Points far left of the vertex lie below it: that side bends down although the parabola opens
 * upwards. */
static void
test_side_fallback(void)
{
    const double x[] = {10, 10.5, 10.75, 11, 12, 13, 14};
    const double loss[] = {1.97, 2.01, 2.09, 2.03, 1.96, 2.01, 2.17};
    double mirrored[7];
    dph_parabola p = fit_parabola_x(x, loss, 7, 0);
    dph_parabola q;

    CHECK_INT(p.status, DPH_W_A_UNDER_FALLBACK);
    CHECK(p.a > 0 && p.a_under == p.a && p.a_over > 0 && p.a_over != p.a);
    for (int i = 0; i < 7; i++) {
        mirrored[i] = 24 - x[i];
    }
    q = fit_parabola_x(mirrored, loss, 7, 0);
    CHECK_INT(q.status, DPH_W_A_OVER_FALLBACK);
    CHECK(q.a > 0 && q.a_over == q.a);
    CHECK_NEAR(q.a_under, p.a_over, 1e-10);
    CHECK_NEAR(q.x_star, 24 - p.x_star, 1e-12);
}

/* A change of unit of the losses or tokens goes straight through. */
static void
test_units(void)
{
    static const double ln2 = 0.693147180559945309417;
    uint64_t seed = 24;

    for (int trial = 0; trial < 50; trial++) {
        double tokens[12];
        double billions[12];
        double nats[12];
        double bits[12];
        dph_parabola p;
        dph_parabola q;

        for (int i = 0; i < 12; i++) {
            double x = 9 + 3 * check_uniform(&seed);

            tokens[i] = pow(10, x);
            billions[i] = tokens[i] / 1e9;
            nats[i] = 3 + 0.3 * (x - 10.5) * (x - 10.5) + 0.002 * check_normal(&seed);
            bits[i] = nats[i] / ln2;
        }
        p = fit_parabola(tokens, nats, NULL, 12, 1);
        q = fit_parabola(billions, bits, NULL, 12, 1);
        CHECK_INT(p.status, q.status);
        CHECK_NEAR(q.a * ln2, p.a, 1e-11);
        CHECK_NEAR(q.x_star + 9, p.x_star, 1e-11);
        CHECK_NEAR(q.tokens_star * 1e9, p.tokens_star, 1e-10);
        CHECK_NEAR(q.loss_star * ln2, p.loss_star, 1e-12);
        CHECK_NEAR(q.a_under * ln2, p.a_under, 1e-9);
        CHECK_NEAR(q.a_over * ln2, p.a_over, 1e-9);
        CHECK_NEAR(q.rss * ln2 * ln2, p.rss, 1e-10);
        CHECK_NEAR(q.se_x_star, p.se_x_star, 1e-10);
        CHECK_NEAR(q.joint_x_star + 9, p.joint_x_star, 1e-9);
        CHECK_NEAR(q.joint_rss * ln2 * ln2, p.joint_rss, 1e-10);
    }
}

/* The order of the points does not count beyond rounding. */
static void
test_permutation(void)
{
    uint64_t seed = 25;

    for (int trial = 0; trial < 50; trial++) {
        double tokens[10];
        double loss[10];
        double params[10];
        dph_parabola p;
        dph_parabola q;

        for (int i = 0; i < 10; i++) {
            double x = 9 + 3 * check_uniform(&seed);

            tokens[i] = pow(10, x);
            params[i] = 1e20 / tokens[i] * (1 + 0.1 * check_uniform(&seed));
            loss[i] = 3 + 0.3 * (x - 10.5) * (x - 10.5) + 0.01 * check_normal(&seed);
        }
        p = fit_parabola(tokens, loss, params, 10, 1);
        for (int i = 9; i > 0; i--) {
            int j = (int)check_below(&seed, i + 1);
            double *columns[] = {tokens, loss, params};

            for (int c = 0; c < 3; c++) {
                double swap = columns[c][i];
                columns[c][i] = columns[c][j];
                columns[c][j] = swap;
            }
        }
        q = fit_parabola(tokens, loss, params, 10, 1);
        CHECK_INT(q.status, p.status);
        CHECK_NEAR(q.a, p.a, 1e-11);
        CHECK_NEAR(q.x_star, p.x_star, 1e-12);
        CHECK_NEAR(q.params_star, p.params_star, 1e-11);
        CHECK_NEAR(q.loss_star, p.loss_star, 1e-13);
        CHECK_NEAR(q.joint_x_star, p.joint_x_star, 1e-10);
    }
}

typedef struct {
    dph_parabola_batch batch;
    dph_parabola *out;
    double *scratch[8];
    dph_minimiser *minimisers[8];
} job;

static int
fit_groups(void *ctx, int64_t begin, int64_t end, int worker)
{
    const dph_parabola_options options = {.joint = 1};
    job *j = ctx;

    dph_parabola_fit(&j->batch, begin, end, &options, j->scratch[worker], j->minimisers[worker],
                     j->out);
    return DPH_OK;
}

/* Ragged groups, empty and bad ones among them: any number of threads gives what one call a group
 * gives, bit for bit, and a bad group leaves its neighbours alone. */
static void
test_batch(void)
{
    enum { N_GROUPS = 300, SMALL = 16, LARGEST = 1500, N_MAX = N_GROUPS * SMALL + LARGEST };
    static double tokens[N_MAX];
    static double loss[N_MAX];
    static double params[N_MAX];
    static int64_t offsets[N_GROUPS + 1];
    static dph_parabola single[N_GROUPS];
    static dph_parabola out[N_GROUPS];
    job j = {.batch = {tokens, loss, params, offsets}, .out = out};
    uint64_t seed = 26;
    int64_t n = 0;
    int bad = 0;

    for (int g = 0; g < N_GROUPS; g++) {
        int64_t size = g == 150 ? LARGEST : g % 10 == 3 ? 0 : check_below(&seed, SMALL + 1);

        for (int64_t i = n; i < n + size; i++) {
            double x = 9 + 3 * check_uniform(&seed);

            tokens[i] = pow(10, x);
            params[i] = 1e20 / tokens[i];
            loss[i] = 3 + 0.3 * (x - 10.5) * (x - 10.5) + 0.01 * check_normal(&seed);
        }
        if (g % 10 == 5 && size > 0) {
            loss[n] = NAN;
        }
        n += size;
        offsets[g + 1] = n;
    }
    for (int g = 0; g < N_GROUPS; g++) {
        int64_t at = offsets[g];

        single[g] = fit_parabola(tokens + at, loss + at, params + at, offsets[g + 1] - at, 1);
        bad += single[g].status < 0;
    }
    CHECK(bad > 60 && bad < 150);
    for (int i = 0; i < 8; i++) {
        j.scratch[i] = malloc(dph_parabola_scratch(LARGEST) * sizeof(double));
        j.minimisers[i] = dph_minimiser_new();
        CHECK(j.scratch[i] != NULL && j.minimisers[i] != NULL);
    }
    for (int threads = 1; threads <= 8; threads++) {
        dph_parallel opts = {.n_threads = threads, .chunk = threads};

        memset(out, 0x55, sizeof out);
        CHECK_INT(dph_parallel_for(N_GROUPS, fit_groups, &j, &opts), DPH_OK);
        CHECK_SAME(out, single, sizeof out);
    }
    memset(out, 0x55, sizeof out);
    CHECK_INT(fit_groups(&j, 7, 9, 0), DPH_OK); /* writes groups 7 and 8, no others */
    CHECK_SAME(&out[7], &single[7], 2 * sizeof out[0]);
    CHECK_INT(out[6].status, 0x55555555);
    CHECK_INT(out[9].status, 0x55555555);
    for (int i = 0; i < 8; i++) {
        free(j.scratch[i]);
        dph_minimiser_free(j.minimisers[i]);
    }
}

static void
test_large_group(void)
{
    int64_t n = check_heavy(100000);
    double *tokens = malloc((size_t)n * sizeof *tokens);
    double *loss = malloc((size_t)n * sizeof *loss);
    uint64_t seed = 27;
    dph_parabola p;

    if (CHECK(tokens != NULL && loss != NULL)) {
        for (int64_t i = 0; i < n; i++) {
            double x = 9 + 3 * check_uniform(&seed);

            tokens[i] = pow(10, x);
            loss[i] = 3 + 0.25 * (x - 10.5) * (x - 10.5) + 0.01 * check_normal(&seed);
        }
        p = fit_parabola(tokens, loss, NULL, n, 1);
        CHECK((p.status & ~DPH_W_UNBRACKETED) == 0);
        CHECK_ABS(p.x_star, 10.5, 4 * p.se_x_star);
        CHECK_ABS(p.loss_star, 3, 4 * p.se_loss_star);
        CHECK_NEAR(p.rss / (double)(n - 3), 1e-4, 0.1);
        CHECK_NEAR(p.joint_x_star, p.x_star, 1e-2);
        CHECK(p.joint_rss <= p.rss * (1 + 1e-12)); /* it has one coefficient more */
    }
    free(tokens);
    free(loss);
}

void
test_parabola(void)
{
    test_exact();
    test_rational();
    test_against_normal_equations();
    test_failures();
    test_warnings();
    test_side_fallback();
    test_units();
    test_permutation();
    test_batch();
    test_large_group();
}

#include "laws/richards.h"

#include <float.h>
#include <stdlib.h>

#include "check.h"
#include "laws/richardsscan.h"
#include "suites.h"

#define MOST 64

static double scratch[4096];
static const dph_richards_options options = {0};

typedef struct {
    int64_t n;
    double x[MOST];
    double y[MOST];
    double problems[MOST];
} points;

static points
curve_points(int64_t n, double k, double x0, double v, double floor, double ceiling, double noise,
             uint64_t seed)
{
    points p = {.n = n};

    for (int64_t i = 0; i < n; i++) {
        p.x[i] = -1.4 + 1.1 * (double)i / (double)(n - 1);
        p.y[i] = dph_richards_value(p.x[i], k, x0, v, floor, ceiling) + noise * check_normal(&seed);
        p.problems[i] = 500 + 10 * (double)i;
    }
    return p;
}

static dph_richards
fit(const points *p, double floor, const double *ceiling, const double *problems)
{
    int64_t offsets[] = {0, p->n};
    dph_richards_batch batch = {.x = p->x,
                                .y = p->y,
                                .problems = problems,
                                .offsets = offsets,
                                .floors = &floor,
                                .ceilings = ceiling};
    dph_richards out;

    memset(&out, 0xff, sizeof out);
    if (CHECK(dph_richards_scratch(p->n) <= sizeof scratch / sizeof *scratch)) {
        dph_richards_fit(&batch, 0, 1, &options, scratch, &out);
    }
    return out;
}

/* Exact curves come back, with a free and with a pinned ceiling, by squares and by likelihood. */
static void
test_exact(void)
{
    static const double truths[][5] = {
        {8, -0.8, 1, 0.25, 0.9},    {14, -0.6, 0.4, 0.25, 0.8}, {6, -1.1, 4, 0, 0.7},
        {25, -0.9, 1.5, 0.5, 0.95}, {5, -0.9, 0.6, 0, 0.85},
    };

    for (size_t c = 0; c < sizeof truths / sizeof truths[0]; c++) {
        const double *t = truths[c];
        points p = curve_points(40, t[0], t[1], t[2], t[3], t[4], 0, 1);

        for (int way = 0; way < 4; way++) {
            dph_richards out = fit(&p, t[3], way & 1 ? &t[4] : NULL, way & 2 ? p.problems : NULL);

            CHECK(out.status == DPH_OK);
            CHECK_NEAR(out.k, t[0], 1e-6);
            CHECK_NEAR(out.x0, t[1], 1e-6);
            CHECK_NEAR(out.v, t[2], 1e-5);
            CHECK_NEAR(out.ceiling, t[4], 1e-6);
            CHECK(out.sse < 1e-16);
            CHECK_INT(isnan(out.deviance), !(way & 2));
            CHECK_ABS(dph_richards_value(out.x_half, out.k, out.x0, out.v, t[3], out.ceiling),
                      0.5 * (t[3] + out.ceiling), 1e-12);
        }
    }
}

/* The analytic derivatives against central differences, both losses. */
static void
test_derivatives(void)
{
    points p = curve_points(20, 8, -0.8, 1.3, 0.25, 0.85, 0.02, 5);
    double work[DPH_RICHARDS_WORK * MOST];
    const double theta[] = {2.2, -0.75, 0.4, 0.8};

    for (int way = 0; way < 2; way++) {
        dph_richards_data d = {.x = p.x,
                               .y = p.y,
                               .problems = way ? p.problems : NULL,
                               .n = p.n,
                               .floor = 0.25,
                               .work = work};
        double r[MOST];
        double up[MOST];
        double down[MOST];
        double jacobian[4 * MOST];

        p.y[3] = way ? 0 : p.y[3]; /* the ends of the range count too */
        p.y[4] = way ? 1 : p.y[4];
        dph_richards_residuals(theta, r, jacobian, &d);
        for (int j = 0; j < 4; j++) {
            double h = 1e-6;
            double moved[4];

            memcpy(moved, theta, sizeof moved);
            moved[j] += h;
            dph_richards_residuals(moved, up, NULL, &d);
            moved[j] -= 2 * h;
            dph_richards_residuals(moved, down, NULL, &d);
            for (int64_t i = 0; i < p.n; i++) {
                double want = (up[i] - down[i]) / (2 * h);

                CHECK_ABS(jacobian[j * p.n + i], want, 1e-6 * (1 + fabs(want)));
            }
        }
    }
}

/* The deviance residuals are continuous through p = y and square to twice the log ratio. */
static void
test_deviance(void)
{
    double x = 0;
    double work[DPH_RICHARDS_WORK];
    double m = 1000;

    for (int e = -14; e <= -1; e++) {
        double y = 0.5 * (1 + pow(10, e));
        dph_richards_data d = {.x = &x, .y = &y, .problems = &m, .n = 1, .work = work};
        const double theta[] = {0, 0, 0, 1}; /* value 1/2 at x = 0 */
        double r = 0;
        long double t = 2 * (long double)y - 1;
        long double want = m * ((1 + t) * log1pl(t) + (1 - t) * log1pl(-t)); /* 2 m D(y | 1/2) */

        dph_richards_residuals(theta, &r, NULL, &d);
        CHECK(r < 0);
        CHECK_NEAR(r, -sqrt((double)m) * (double)t, e > -3 ? 0.01 : 1e-5);
        if (e > -5) {
            CHECK_NEAR(r * r, (double)want, 1e-6);
        }
    }
}

static void
test_inverse(void)
{
    for (double y = 0.251; y < 0.9; y += 0.01) {
        double x = dph_richards_x(y, 9, -0.7, 0.6, 0.25, 0.9);

        CHECK_NEAR(dph_richards_value(x, 9, -0.7, 0.6, 0.25, 0.9), y, 1e-13);
    }
    CHECK(isnan(dph_richards_x(0.25, 9, -0.7, 0.6, 0.25, 0.9)));
    CHECK(isnan(dph_richards_x(0.9, 9, -0.7, 0.6, 0.25, 0.9)));
    CHECK(isnan(dph_richards_x(0.95, 9, -0.7, 0.6, 0.25, 0.9)));
    CHECK(isnan(dph_richards_x(0.1, 9, -0.7, 0.6, 0.25, 0.9)));
    CHECK(isnan(dph_richards_x(NAN, 9, -0.7, 0.6, 0.25, 0.9)));
    CHECK(isnan(dph_richards_value(NAN, 9, -0.7, 0.6, 0.25, 0.9)));
    CHECK(dph_richards_value(1e6, 9, -0.7, 0.6, 0.25, 0.9) == 0.9);
    CHECK(dph_richards_value(-1e6, 9, -0.7, 0.6, 0.25, 0.9) == 0.25);
}

static void
test_statuses(void)
{
    points p = curve_points(20, 8, -0.8, 1, 0.25, 0.9, 0.01, 3);
    points q = p;
    double low = 0.2;

    q.n = 3;
    CHECK_INT(fit(&q, 0.25, NULL, NULL).status, DPH_E_TOO_FEW_POINTS);
    q.n = 0;
    CHECK_INT(fit(&q, 0.25, NULL, NULL).status, DPH_E_TOO_FEW_POINTS);
    q = p;
    q.y[7] = NAN;
    CHECK_INT(fit(&q, 0.25, NULL, NULL).status, DPH_E_BAD_VALUE);
    CHECK(isnan(fit(&q, 0.25, NULL, NULL).k));
    q = p;
    q.x[0] = INFINITY;
    CHECK_INT(fit(&q, 0.25, NULL, NULL).status, DPH_E_BAD_VALUE);
    CHECK_INT(fit(&p, NAN, NULL, NULL).status, DPH_E_BAD_VALUE);
    CHECK_INT(fit(&p, 0.25, &low, NULL).status, DPH_E_CEILING_TOO_LOW);
    q = p;
    for (int i = 0; i < q.n; i++) {
        q.y[i] = 0.4;
    }
    CHECK_INT(fit(&q, 0.25, NULL, NULL).status, DPH_E_CONSTANT_ACCURACY);
    q = p;
    for (int i = 0; i < q.n; i++) {
        q.x[i] = -1;
    }
    CHECK_INT(fit(&q, 0.25, NULL, NULL).status, DPH_E_EQUAL_X);
    q = p;
    q.y[2] = 1.2;
    CHECK_INT(fit(&q, 0.25, NULL, q.problems).status, DPH_E_BAD_VALUE);
    q = p;
    q.problems[2] = 0;
    CHECK_INT(fit(&q, 0.25, NULL, q.problems).status, DPH_E_BAD_VALUE);
    q = p;
    for (int i = 0; i < q.n; i++) {
        q.x[i] = -p.x[i];
    }
    CHECK(fit(&q, 0.25, NULL, NULL).status & DPH_W_NOT_RISING);
    q = curve_points(20, 8, 0.2, 1, 0.25, 0.9, 0.001, 3);
    CHECK(fit(&q, 0.25, NULL, NULL).status & (DPH_W_CEILING_VAGUE | DPH_W_NONE_ABOVE_HALF));
}

/* Points that end at half height fit low ceilings as well as high ones: whatever noise draws, the
 * status says that the ceiling is not known. With the whole rise it is. */
static void
test_ceiling_known_or_said_not_to_be(void)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        points low = curve_points(40, 6.7, -0.3, 1.05, 0.25, 0.86, 0.01, seed);
        points all = curve_points(40, 12, -0.8, 1.05, 0.25, 0.8, 0.01, seed);

        CHECK(fit(&low, 0.25, NULL, NULL).status &
              (DPH_W_CEILING_VAGUE | DPH_W_CEILING_AT_BOUND | DPH_W_NONE_ABOVE_HALF));
        CHECK_INT(fit(&all, 0.25, NULL, NULL).status, DPH_OK);
    }
}

/* Groups stand alone: one bad group leaves the others the same bits, empty ones have a status. */
static void
test_groups_alone(void)
{
    points p = curve_points(30, 8, -0.8, 1, 0.25, 0.9, 0.02, 9);
    int64_t offsets[] = {0, 10, 10, 20, 30};
    double floors[] = {0.25, 0.25, 0.25, 0.25};
    dph_richards_batch batch = {.x = p.x, .y = p.y, .offsets = offsets, .floors = floors};
    dph_richards all[4];
    dph_richards again[4];

    memset(all, 0, sizeof all);
    memset(again, 0, sizeof again);
    dph_richards_fit(&batch, 0, 4, &options, scratch, all);
    CHECK_INT(all[1].status, DPH_E_TOO_FEW_POINTS);
    p.y[12] = NAN;
    dph_richards_fit(&batch, 3, 4, &options, scratch, again);
    dph_richards_fit(&batch, 0, 3, &options, scratch, again);
    CHECK_INT(again[2].status, DPH_E_BAD_VALUE);
    CHECK_SAME(&all[0], &again[0], sizeof all[0]);
    CHECK_SAME(&all[3], &again[3], sizeof all[3]);
}

/* Noisy curves: no derivative left at the answer, and no scan point below it. */
static void
test_optimum(void)
{
    uint64_t seed = 17;

    for (int64_t c = 0; c < check_heavy(300); c++) {
        double k = exp(log(3) + 2.3 * check_uniform(&seed));
        double v = exp(2 * check_uniform(&seed) - 1);
        points p = curve_points(5 + check_below(&seed, 50), k, -1.2 + 0.7 * check_uniform(&seed), v,
                                0.25, 0.5 + 0.45 * check_uniform(&seed),
                                0.03 * check_uniform(&seed), check_bits(&seed));
        dph_richards out = fit(&p, 0.25, NULL, NULL);
        double box[DPH_RICHARDS_BOX];
        double ones[MOST];
        double work[DPH_RICHARDS_WORK * MOST];
        dph_richards_data d = {.x = p.x, .y = p.y, .n = p.n, .floor = 0.25, .work = work};
        dph_scan_start starts[DPH_SCAN_STARTS];
        int n_starts = 0;

        for (int i = 0; i < p.n; i++) {
            ones[i] = 1;
        }
        dph_richards_box(out.x_min, out.x_max, 0.25, box);
        n_starts = dph_scan_curves(&d, ones, box, out.x_min, out.x_max, 1, 0, starts);
        CHECK(n_starts >= 1 && n_starts <= DPH_SCAN_STARTS);
        for (int s = 0; s < n_starts; s++) {
            CHECK(out.sse <= starts[s].value * (1 + 1e-9));
            CHECK(s == 0 || starts[s].value >= starts[s - 1].value);
        }
        CHECK(out.k >= box[0] && out.k <= box[4] && out.v >= box[2] && out.v <= box[6]);
        CHECK(out.x0 >= box[1] && out.x0 <= box[5]);
        CHECK(out.ceiling >= box[3] && out.ceiling <= box[7]);
    }
}

/* Beside a guess: the same minimum where the points show it, and never above the guess. */
static void
test_guesses(void)
{
    double floor = 0.25;

    for (uint64_t seed = 1; seed <= 20; seed++) {
        double guess[] = {8, -0.8, 1, 0.9};
        points p = curve_points(40, 8, -0.8, 1, floor, 0.9, 0.02, seed);
        int64_t offsets[] = {0, p.n};
        dph_richards_batch batch = {
            .x = p.x, .y = p.y, .offsets = offsets, .floors = &floor, .guesses = guess};
        dph_richards whole = fit(&p, floor, NULL, NULL);
        dph_richards near;
        double sum = 0;

        for (int64_t i = 0; i < p.n; i++) {
            double r = dph_richards_value(p.x[i], 8, -0.8, 1, floor, 0.9) - p.y[i];

            sum += r * r;
        }
        dph_richards_fit(&batch, 0, 1, &options, scratch, &near);
        CHECK(near.sse <= sum * (1 + 1e-12));
        CHECK_NEAR(near.sse, whole.sse, 1e-6);
        guess[0] = -1;
        dph_richards_fit(&batch, 0, 1, &options, scratch, &near);
        CHECK_INT(near.status, DPH_E_BAD_VALUE);
    }
}

void
test_richards(void)
{
    test_exact();
    test_derivatives();
    test_deviance();
    test_inverse();
    test_statuses();
    test_ceiling_known_or_said_not_to_be();
    test_groups_alone();
    test_optimum();
    test_guesses();
}

#include "base/minimise.h"

#include <stdlib.h>

#include "check.h"
#include "suites.h"

static dph_minimiser *minimiser;

static void
even_grid(double *grid, int n, double lo, double hi)
{
    for (int i = 0; i < n; i++) {
        grid[i] = i == n - 1 ? hi : lo + (hi - lo) * i / (n - 1);
    }
}

static int
search(dph_function f, void *ctx, double lo, double hi, int n, dph_minimum *out)
{
    double grid[DPH_SCAN_MAX] = {0};

    even_grid(grid, n, lo, hi);
    return dph_minimise(minimiser, f, ctx, grid, n, out);
}

static double
quadratic(double x, void *ctx, double *slope)
{
    double centre = *(const double *)ctx;

    *slope = 2 * (x - centre);
    return (x - centre) * (x - centre) + 5;
}

/* The slope finds the vertex to rounding although the values around it all round to 5. */
static void
test_quadratic(void)
{
    static const double centres[] = {0.3, 0, -1.0 / 3, 1e-12, 0.999, 1, -1};
    dph_minimum out;

    for (size_t c = 0; c < sizeof centres / sizeof centres[0]; c++) {
        double centre = centres[c];

        for (int n = 3; n <= DPH_SCAN_MAX; n++) {
            memset(&out, 0xff, sizeof out);
            CHECK_INT(search(quadratic, &centre, -2, 3, n, &out), DPH_OK);
            CHECK_ABS(out.x, centre, 2e-15);
            CHECK_NEAR(out.value, 5, 1e-15);
            CHECK_INT(out.edge, 0);
        }
        CHECK_INT(search(quadratic, &centre, -2, 3, 2, &out), DPH_OK);
        CHECK_ABS(out.x, centre, 2e-15);
    }
}

static void
test_edges(void)
{
    static const struct {
        double centre;
        double x;
        int edge;
    } cases[] = {{-9, -2, -1}, {9, 3, 1}, {-2, -2, -1}, {3, 3, 1}};
    dph_minimum out;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double centre = cases[i].centre;

        for (int n = 2; n <= DPH_SCAN_MAX; n += 31) {
            CHECK_INT(search(quadratic, &centre, -2, 3, n, &out), DPH_OK);
            CHECK(out.x == cases[i].x);
            CHECK_INT(out.edge, cases[i].edge);
            CHECK_NEAR(out.value, quadratic(out.x, &centre, &(double){0}), 0);
        }
    }
    /* Next to an edge is not at it: the lowest grid point is the first, the minimum is inside. */
    CHECK_INT(search(quadratic, &(double){-1.99}, -2, 3, 8, &out), DPH_OK);
    CHECK_INT(out.edge, 0);
    CHECK_ABS(out.x, -1.99, 2e-15);
    CHECK_INT(search(quadratic, &(double){2.99}, -2, 3, 8, &out), DPH_OK);
    CHECK_INT(out.edge, 0);
    CHECK_ABS(out.x, 2.99, 2e-15);
}

static double
quartic(double x, void *ctx, double *slope)
{
    double d = x - 1.0 / 3;

    (void)ctx;
    *slope = 4 * d * d * d;
    return d * d * d * d;
}

/* Slope with a triple root: slow, but it has to end. */
static void
test_quartic(void)
{
    dph_minimum out;

    CHECK_INT(search(quartic, NULL, -2, 3, 20, &out), DPH_OK);
    CHECK_ABS(out.x, 1.0 / 3, 1e-5);
    CHECK_ABS(out.value, 0, 1e-20);
}

static double
waves(double x, void *ctx, double *slope)
{
    double phase = *(const double *)ctx;

    *slope = 0.2 * x + 5 * cos(5 * x + phase);
    return 0.1 * x * x + sin(5 * x + phase);
}

/* Some six minima, the lowest near 0 and clear of the next: it has to come out. */
static void
test_several_minima(void)
{
    for (int k = 0; k <= 36; k++) {
        double phase = -1.5707963267948966 + 0.1 * (k - 18);
        double lowest = INFINITY;
        double where = 0;
        double slope = 0;
        dph_minimum out;

        for (int i = 0; i <= 4000; i++) {
            double x = -4 + 2e-3 * i;
            double value = waves(x, &phase, &slope);

            if (value < lowest) {
                lowest = value;
                where = x;
            }
        }
        CHECK_INT(search(waves, &phase, -4, 4, 61, &out), DPH_OK);
        CHECK(out.value <= lowest);
        CHECK_ABS(out.x, where, 2e-3);
        CHECK_INT(out.edge, 0);
        (void)waves(out.x, &phase, &slope);
        CHECK_ABS(slope, 0, 1e-13);
    }
}

static double
well(double x, void *ctx, double *slope)
{
    double centre = *(const double *)ctx;
    double e = exp(-50 * (x - centre) * (x - centre));

    *slope = 100 * (x - centre) * e - 0.01;
    return 1 - e - 0.01 * x;
}

/* A narrow well on a tilted plane: beyond it the slope is negative again, so its signs bracket no
 * root and only values lead to the minimum, 1e-4 right of the centre. */
static void
test_slopes_do_not_bracket(void)
{
    static const double centres[] = {0.25, 0, -1e-4, 100};

    for (size_t i = 0; i < sizeof centres / sizeof centres[0]; i++) {
        double c = centres[i];
        const double grid[] = {c - 1.2, c - 0.05, c + 1.3};
        dph_minimum out = {0};

        CHECK_INT(dph_minimise(minimiser, well, &c, grid, 3, &out), DPH_OK);
        CHECK_ABS(out.x, c + 1e-4, 1e-8);
        CHECK_INT(out.edge, 0);
    }
}

static double
trough(double x, void *ctx, double *slope)
{
    double width = *(const double *)ctx;
    double d = fabs(x) > width ? fabs(x) - width : 0;

    *slope = x > 0 ? 2 * d : -2 * d;
    return d * d;
}

/* Any point of a flat bottom will do; one that reaches an end counts as that end. */
static void
test_plateau(void)
{
    dph_minimum out;

    CHECK_INT(search(trough, &(double){1}, -4, 4, 33, &out), DPH_OK);
    CHECK(fabs(out.x) <= 1 && out.value == 0 && out.edge == 0);
    CHECK_INT(search(trough, &(double){1}, -4, 0.5, 33, &out), DPH_OK);
    CHECK(out.x == 0.5 && out.value == 0 && out.edge == 1);
    CHECK_INT(search(trough, &(double){1}, -0.5, 4, 33, &out), DPH_OK);
    CHECK(out.x == -0.5 && out.value == 0 && out.edge == -1);
    CHECK_INT(search(trough, &(double){9}, -4, 4, 33, &out), DPH_OK); /* flat all over */
    CHECK(out.edge != 0 && out.value == 0);
}

static double
holed(double x, void *ctx, double *slope)
{
    const double *hole = ctx; /* NaN between the two */

    *slope = x > hole[0] && x < hole[1] ? NAN : 2 * x;
    return x > hole[0] && x < hole[1] ? NAN : x * x;
}

static void
test_nan(void)
{
    double everywhere[] = {-INFINITY, INFINITY};
    double away[] = {1.9, 2.1};
    double first[] = {-3, -1.9};
    double between[] = {-0.2, 0.2}; /* no grid point in it, the minimum is */
    const double grid[] = {-2, -1, -0.3, 0.4, 1, 2};
    dph_minimum out;

    CHECK_INT(dph_minimise(minimiser, holed, everywhere, grid, 6, &out), DPH_E_NO_CONVERGENCE);
    CHECK_INT(dph_minimise(minimiser, holed, away, grid, 6, &out), DPH_E_NO_CONVERGENCE);
    CHECK_INT(dph_minimise(minimiser, holed, first, grid, 6, &out), DPH_E_NO_CONVERGENCE);
    CHECK_INT(dph_minimise(minimiser, holed, between, grid, 6, &out), DPH_E_NO_CONVERGENCE);
    CHECK_INT(dph_minimise(minimiser, holed, (double[]){7, 8}, grid, 6, &out), DPH_OK);
    CHECK_ABS(out.x, 0, 1e-15);
}

/* A search whose every evaluation starts another search, `levels` deep below this one. */
typedef struct {
    int levels;
    int worst; /* lowest code that any search below returned */
} nest;

static double
nested(double x, void *ctx, double *slope)
{
    nest *outer = ctx;

    if (outer->levels > 0) {
        nest inner = {.levels = outer->levels - 1, .worst = DPH_OK};
        double grid[9];
        dph_minimum best = {0};
        int code = DPH_OK;

        even_grid(grid, 9, -1, 2);
        code = dph_minimise(minimiser, nested, &inner, grid, 9, &best);
        code = inner.worst < code ? inner.worst : code;
        outer->worst = code < outer->worst ? code : outer->worst;
    }
    *slope = 2 * (x - 0.7);
    return (x - 0.7) * (x - 0.7);
}

static double
outer_function(double x, void *ctx, double *slope)
{
    double inner_centre = x / 3;
    double grid[9];
    dph_minimum best = {0};

    even_grid(grid, 9, -2, 2);
    if (dph_minimise(minimiser, quadratic, &inner_centre, grid, 9, &best) != DPH_OK) {
        *(int *)ctx = 1;
    }
    *slope = 4.0 / 3 * (x - 0.5 - best.x);
    return (x - 0.5 - best.x) * (x - 0.5 - best.x);
}

static void
test_nesting(void)
{
    int failed = 0;
    nest two = {.levels = 1, .worst = DPH_OK};
    nest three = {.levels = 2, .worst = DPH_OK};
    dph_minimum out;

    CHECK_INT(search(outer_function, &failed, -1, 2, 12, &out), DPH_OK);
    CHECK_INT(failed, 0);
    CHECK_ABS(out.x, 0.75, 1e-14); /* x - 1/2 = x / 3 */
    CHECK_INT(search(nested, &two, -1, 2, 7, &out), DPH_OK);
    CHECK_INT(two.worst, DPH_OK);
    CHECK_INT(search(nested, &three, -1, 2, 7, &out), DPH_OK);
    CHECK_INT(three.worst, DPH_E_ARGUMENT);
    CHECK_INT(DPH_MINIMISE_DEPTH, 2); /* what the two lines above rest on */
    CHECK_INT(search(quadratic, &(double){0.1}, -2, 3, 9, &out), DPH_OK); /* and no scar is left */
    CHECK_ABS(out.x, 0.1, 2e-15);
}

static void
test_arguments(void)
{
    double grid[DPH_SCAN_MAX + 1];
    double centre = 0.5;
    dph_minimum out;

    even_grid(grid, DPH_SCAN_MAX + 1, -1, 1);
    CHECK_INT(dph_minimise(minimiser, quadratic, &centre, grid, 0, &out), DPH_E_ARGUMENT);
    CHECK_INT(dph_minimise(minimiser, quadratic, &centre, grid, 1, &out), DPH_E_ARGUMENT);
    CHECK_INT(dph_minimise(minimiser, quadratic, &centre, grid, -1, &out), DPH_E_ARGUMENT);
    CHECK_INT(dph_minimise(minimiser, quadratic, &centre, grid, DPH_SCAN_MAX + 1, &out),
              DPH_E_ARGUMENT);
}

static void
test_life(void)
{
    dph_minimiser_free(NULL);
    for (int i = 0; i < 500; i++) {
        dph_minimiser *m = dph_minimiser_new();
        dph_minimum out = {0};
        double centre = 0.25;

        CHECK(m != NULL);
        if (m != NULL) {
            CHECK_INT(dph_minimise(m, quadratic, &centre, (double[]){-1, 0, 1}, 3, &out), DPH_OK);
            CHECK_ABS(out.x, 0.25, 1e-15);
        }
        dph_minimiser_free(m);
    }
}

void
test_minimise(void)
{
    minimiser = dph_minimiser_new();
    if (!CHECK(minimiser != NULL)) {
        return;
    }
    test_quadratic();
    test_edges();
    test_quartic();
    test_several_minima();
    test_slopes_do_not_bracket();
    test_plateau();
    test_nan();
    test_nesting();
    test_arguments();
    test_life();
    dph_minimiser_free(minimiser);
}

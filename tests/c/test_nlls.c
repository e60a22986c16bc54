#include "nist.h"

#include <stdlib.h>

#include "check.h"
#include "suites.h"

#define WANT_DIGITS 9.0
#define WANT_ERROR_DIGITS 7.0
#define ALONE_STEPS 2000
#define ALONE_TOLERANCE 1e-10
#define POLISH_STEPS 100
#define FEWEST_ALONE 50 /* of the 54 runs; two more with quadruple precision */

/* -log10 of the relative error, at most the 11 digits that are certified. */
static double
digits(double got, double want)
{
    double error = fabs(got - want) / fabs(want);

    return error > 1e-11 ? -log10(error) : error <= 1e-11 ? 11 : -99;
}

static double
fewest_digits(const double *got, const double *want, int n)
{
    double fewest = 11;

    for (int j = 0; j < n; j++) {
        fewest = fmin(fewest, digits(got[j], want[j]));
    }
    return fewest;
}

/* Digits of the project's own method alone: no other strategy, and with or without the polish. */
static double
digits_alone(const dph_lm_problem *problem, const nist_problem *p, int start, int polish)
{
    double *scratch = malloc((size_t)dph_lm_scratch(p->n, p->n_params) * sizeof *scratch);
    dph_lm_result out;
    double fewest = -99;

    if (CHECK(scratch != NULL)) {
        dph_lm(problem, p->starts[start], ALONE_STEPS, ALONE_TOLERANCE, scratch, &out);
        if (polish && isfinite(out.rss)) {
            dph_lm_polish(problem, POLISH_STEPS, scratch, &out);
        }
        fewest = fewest_digits(out.theta, p->certified, p->n_params);
    }
    free(scratch);
    return fewest;
}

static void
one_run(const nist_problem *p, int start, FILE *table, int *n_alone)
{
    dph_lm_problem problem = {.residuals = nist_residuals,
                              .ctx = (void *)(uintptr_t)p,
                              .n = p->n,
                              .n_params = p->n_params};
    dph_nlls *w = dph_nlls_new(p->n, p->n_params);
    dph_nlls_result out;
    double parameters = 0;
    double errors = 0;
    double alone = 0;
    /* The misfit of Lanczos1 is 1e-13 of its data: rounding, but in quadruple precision. */
    int beyond = strcmp(p->name, "Lanczos1") == 0 && !NIST_QUAD;

    if (!CHECK(w != NULL)) {
        return;
    }
    dph_nlls_fit(&problem, p->starts[start], w, &out);
    parameters = fewest_digits(out.theta, p->certified, p->n_params);
    errors = fewest_digits(out.se, p->errors, p->n_params);
    if (!CHECK_INT(out.status, DPH_OK) || !CHECK(parameters >= WANT_DIGITS || beyond) ||
        !CHECK(errors >= WANT_ERROR_DIGITS || beyond)) {
        fprintf(stderr,
                "    %s from start %d: %.1f digits, %.1f in the errors, rss %.10g of %.10g, offset "
                "%.2g, by %s, %d agree\n",
                p->name, start + 1, parameters, errors, out.rss, p->rss, out.offset,
                dph_nlls_strategy_name(out.strategy), out.n_agree);
    }
    alone = digits_alone(&problem, p, start, 1);
    *n_alone += alone >= WANT_DIGITS;
    if (table != NULL) {
        fprintf(table, "%s\t%d\t%d\t%lld\t%.2f\t%.2f\t%.2f\t%s\t%d\t%s\t%.2f\t%.2f\n", p->name,
                start + 1, p->n_params, (long long)p->n, parameters, errors,
                digits(out.rss, p->rss), dph_nlls_strategy_name(out.strategy), out.n_agree,
                dph_status_name(out.status), alone, digits_alone(&problem, p, start, 0));
    }
    dph_nlls_free(w);
}

/* All 27 problems from both published starts, where the files are: DELPHI_DATA, or the folder
 * beside the project. DPH_NIST_TABLE names a file to write the digits to. */
static void
test_nist(void)
{
    const char *data = getenv("DELPHI_DATA");
    const char *path = getenv("DPH_NIST_TABLE");
    FILE *table = path != NULL ? fopen(path, "w") : NULL;
    char folder[512];
    int n_read = 0;
    int n_alone = 0;

    snprintf(folder, sizeof folder, "%s/nist_strd", data != NULL ? data : "../shared/data");
    for (int k = 0; k < check_heavy(NIST_PROBLEMS); k++) {
        nist_problem p;

        if (nist_read(folder, k, &p)) {
            n_read++;
            one_run(&p, 0, table, &n_alone);
            one_run(&p, 1, table, &n_alone);
        }
    }
    if (n_read == 0) {
        printf("nlls: no NIST problems in %s, set DELPHI_DATA: those 54 runs are left out\n",
               folder);
    } else {
        CHECK_INT(n_read, check_heavy(NIST_PROBLEMS));
        CHECK(n_alone >= FEWEST_ALONE || n_read < NIST_PROBLEMS);
    }
    if (table != NULL) {
        fclose(table);
    }
}

typedef struct {
    int64_t n;
    double x[32];
    double y[32];
} points;

/* a exp(-b x) */
static void
decay(const double *theta, double *r, double *jacobian, void *ctx)
{
    const points *p = ctx;

    for (int64_t i = 0; i < p->n; i++) {
        double e = exp(-theta[1] * p->x[i]);

        r[i] = theta[0] * e - p->y[i];
        if (jacobian != NULL) {
            jacobian[i] = e;
            jacobian[p->n + i] = -p->x[i] * theta[0] * e;
        }
    }
}

static points
decaying(double a, double b)
{
    points p = {.n = 20};

    for (int i = 0; i < 20; i++) {
        p.x[i] = 0.3 * i;
        p.y[i] = a * exp(-b * p.x[i]) + 0.01 * sin(7.0 * i);
    }
    return p;
}

/* Inside the bounds they change nothing; at one the other parameter is as if it were fixed. */
static void
test_bounds(void)
{
    points p = decaying(2, 0.7);
    double lo[] = {0, 0.9};
    double hi[] = {10, 5};
    const double start[] = {1, 1.5};
    double se[2];
    double scratch[32 * 7];
    dph_lm_problem problem = {.residuals = decay, .ctx = &p, .n = p.n, .n_params = 2};
    dph_lm_result free_fit;
    dph_lm_result out;
    double se_free[2];
    double num = 0;
    double den = 0;

    CHECK(dph_lm_scratch(p.n, 2) <= 32 * 7);
    dph_lm(&problem, start, 100, 1e-10, scratch, &free_fit);
    CHECK_INT(free_fit.ending, DPH_LM_SHARP);
    CHECK_INT(dph_lm_errors(&problem, &free_fit, NAN, scratch, se_free), DPH_OK);
    problem.lo = lo;
    problem.hi = hi;
    lo[1] = 0.1;
    dph_lm(&problem, start, 100, 1e-10, scratch, &out);
    CHECK_INT(out.ending, DPH_LM_SHARP);
    CHECK_INT(out.at_lo | out.at_hi, 0);
    CHECK_NEAR(out.theta[0], free_fit.theta[0], 1e-9);
    CHECK_NEAR(out.theta[1], free_fit.theta[1], 1e-9);
    CHECK_INT(dph_lm_errors(&problem, &out, NAN, scratch, se), DPH_OK);
    CHECK_NEAR(se[1], se_free[1], 1e-8);
    lo[1] = 0.9;
    dph_lm(&problem, start, 100, 1e-10, scratch, &out);
    CHECK_INT(out.ending, DPH_LM_SHARP);
    CHECK_INT(out.at_lo, 2);
    CHECK(out.theta[1] == 0.9);
    for (int i = 0; i < p.n; i++) { /* linear in a with b at its bound */
        num += p.y[i] * exp(-0.9 * p.x[i]);
        den += exp(-1.8 * p.x[i]);
    }
    CHECK_NEAR(out.theta[0], num / den, 1e-9);
    CHECK_INT(dph_lm_errors(&problem, &out, NAN, scratch, se), DPH_OK);
    CHECK(isnan(se[1]));
    CHECK_NEAR(se[0], sqrt(out.rss / 19 / den), 1e-9);
    hi[1] = 0.9; /* nothing left to move but a */
    dph_lm(&problem, start, 100, 1e-10, scratch, &out);
    CHECK_NEAR(out.theta[0], num / den, 1e-9);
}

/* A valley 1e6 times as long as wide, x + y = 1, whose lowest point (3, -2) lies beyond x <= 1. */
static void
valley(const double *theta, double *r, double *jacobian, void *ctx)
{
    (void)ctx;
    r[0] = 1e6 * (theta[0] + theta[1] - 1);
    r[1] = theta[0] - 3;
    r[2] = 0.5;
    for (int i = 0; jacobian != NULL && i < 6; i++) {
        jacobian[i] = i % 3 == 0 ? 1e6 : i == 1;
    }
}

/* Where a step leaves the box, the others make the best of the bound: a step that is only projected
 * lands beside the valley. */
static void
test_valley_to_a_bound(void)
{
    static const double start[] = {0.2, 0.8};
    static const double hi[][2] = {{1, 9}, {9, 0.5}, {9, 9}};
    static const double ends[][2] = {{1, 0}, {3, -2}, {3, -2}};
    static const double lo[] = {-9, -9};
    double scratch[3 * (3 + 2 * 2)];

    CHECK_INT(dph_lm_scratch(3, 2), 21);
    for (int i = 0; i < 3; i++) {
        dph_lm_problem problem = {
            .residuals = valley, .n = 3, .n_params = 2, .lo = lo, .hi = hi[i]};
        dph_lm_result out;

        dph_lm(&problem, start, 20, 1e-10, scratch, &out);
        CHECK_ABS(out.theta[0], ends[i][0], 1e-6);
        CHECK_ABS(out.theta[1], ends[i][1], 1e-6);
        CHECK_INT(out.at_hi, i == 0);
        CHECK_INT(out.ending, DPH_LM_SHARP);
    }
}

/* A model that two parameters describe equally well is no silent answer. */
static void
twins(const double *theta, double *r, double *jacobian, void *ctx)
{
    const points *p = ctx;

    for (int64_t i = 0; i < p->n; i++) {
        r[i] = (theta[0] + theta[1]) * p->x[i] - p->y[i];
        if (jacobian != NULL) {
            jacobian[i] = p->x[i];
            jacobian[p->n + i] = p->x[i];
        }
    }
}

static void
nowhere(const double *theta, double *r, double *jacobian, void *ctx)
{
    const points *p = ctx;

    (void)theta;
    for (int64_t i = 0; i < p->n; i++) {
        r[i] = NAN;
    }
    for (int64_t i = 0; jacobian != NULL && i < 2 * p->n; i++) {
        jacobian[i] = 1;
    }
}

static void
test_no_answer(void)
{
    points p = decaying(2, 0.7);
    const double start[] = {1, 1};
    dph_lm_problem problem = {.residuals = twins, .ctx = &p, .n = p.n, .n_params = 2};
    dph_nlls *w = dph_nlls_new(p.n, 2);
    dph_nlls_result out;

    if (!CHECK(w != NULL)) {
        return;
    }
    dph_nlls_fit(&problem, start, w, &out);
    CHECK_INT(out.status, DPH_E_RANK);
    CHECK(isnan(out.se[0]));
    problem.residuals = nowhere;
    dph_nlls_fit(&problem, start, w, &out);
    CHECK_INT(out.status, DPH_E_NO_CONVERGENCE);
    CHECK(isnan(out.theta[0]) && isnan(out.rss));
    dph_nlls_free(w);
    CHECK(dph_nlls_new(1, 2) == NULL);
    CHECK(dph_nlls_new(100, DPH_LM_MAX + 1) == NULL);
    dph_nlls_free(NULL);
}

void
test_nlls(void)
{
    test_bounds();
    test_valley_to_a_bound();
    test_no_answer();
    test_nist();
}

#include "laws/jointcurve.h"

#include <stdlib.h>

#include "check.h"
#include "suites.h"

#define RUNS 6
#define POINTS 20
#define TERMS 3

typedef struct {
    double tau[RUNS * POINTS];
    double loss[RUNS * POINTS];
    int64_t first[RUNS];
    int64_t last[RUNS];
    double terms[RUNS * TERMS];
    double ridge_on[TERMS];
    dph_jointcurve_batch batch;
} sample;

static void
draw(sample *s, double noise)
{
    uint64_t seed = 5;

    for (int r = 0; r < RUNS; r++) {
        double x = (r - 2.5) / 2;
        double z = r % 2 == 0 ? 1 : -1;

        s->terms[r * TERMS] = 1;
        s->terms[r * TERMS + 1] = x;
        s->terms[r * TERMS + 2] = z;
        s->first[r] = r * POINTS;
        s->last[r] = (r + 1) * POINTS;
        for (int i = 0; i < POINTS; i++) {
            double tau = 0.5 * (i + 1) / POINTS;

            s->tau[r * POINTS + i] = tau;
            s->loss[r * POINTS + i] =
                2 + 0.2 * x - 0.1 * z +
                (1.5 + 0.1 * x) * dph_curveshape_at(DPH_SHAPE_POWER, 0.03, 0.5, tau) +
                noise * check_normal(&seed);
        }
    }
    s->ridge_on[0] = 0;
    s->ridge_on[1] = s->ridge_on[2] = 1;
    s->batch = (dph_jointcurve_batch){.tau = s->tau,
                                      .loss = s->loss,
                                      .first = s->first,
                                      .last = s->last,
                                      .terms = s->terms,
                                      .ridge_on = s->ridge_on,
                                      .n_cuts = 1,
                                      .n_runs = RUNS,
                                      .n_terms = TERMS,
                                      .n_shape_terms = 1};
}

/* One item of all forms under both losses; scratch is dirty on purpose. */
static void
fit(const sample *s, double ridge, const atomic_int *stopped, dph_jointcurve *out, double *b)
{
    dph_jointcurve_options options = {.forms = {0, 1, 2, 3},
                                      .n_forms = DPH_N_SHAPES,
                                      .losses = {DPH_CURVE_MAE, DPH_CURVE_HUBER},
                                      .n_losses = 2,
                                      .delta = NAN,
                                      .ridge = ridge,
                                      .stopped = stopped};
    size_t size = dph_jointcurve_scratch(RUNS * POINTS, RUNS, TERMS) * sizeof(double);
    double *scratch = malloc(size);

    if (CHECK(scratch != NULL)) {
        memset(scratch, 0xff, size);
        dph_jointcurve_fit(&s->batch, 0, DPH_N_SHAPES, &options, scratch, out, b);
    }
    free(scratch);
}

void
test_jointcurve(void)
{
    static sample s;
    dph_jointcurve out[2 * DPH_N_SHAPES];
    double b[2 * DPH_N_SHAPES * DPH_JOINT_BLOCKS * TERMS];
    const double *power = b + (2 * DPH_SHAPE_POWER + 1) * DPH_JOINT_BLOCKS * TERMS;
    atomic_int stopped = 1;

    draw(&s, 0);
    fit(&s, 0, NULL, out, b);
    for (int i = 0; i < 2 * DPH_N_SHAPES; i++) {
        CHECK(out[i].status >= 0);
        CHECK_INT(out[i].n, RUNS * POINTS);
        CHECK_INT(out[i].n_runs, RUNS);
        CHECK_INT(out[i].form, i / 2);
        CHECK(isfinite(out[i].objective));
    }
    CHECK_ABS(power[0], 2, 1e-6);
    CHECK_ABS(power[1], 0.2, 1e-6);
    CHECK_ABS(power[2], -0.1, 1e-6);
    CHECK_ABS(exp(power[2 * TERMS]), 0.03, 1e-4);

    draw(&s, 0.01);
    fit(&s, 1e-6, NULL, out, b);
    for (int i = 0; i < 2 * DPH_N_SHAPES; i++) {
        CHECK(out[i].status >= 0);
        CHECK(out[i].gap <= 1e-4 * out[i].objective);
        CHECK(out[i].penalty >= 0);
    }
    CHECK(fabs(power[0] - 2) < 0.05);

    fit(&s, 0, &stopped, out, b);
    CHECK_INT(out[0].status, DPH_E_CANCELLED);
    CHECK(isnan(b[0]));

    s.loss[7] = NAN;
    fit(&s, 0, NULL, out, b);
    CHECK_INT(out[3].status, DPH_E_BAD_VALUE);
    draw(&s, 0);
    for (int r = 0; r < RUNS; r++) {
        s.terms[r * TERMS + 2] = s.terms[r * TERMS + 1];
    }
    fit(&s, 0, NULL, out, b);
    CHECK_INT(out[0].status, DPH_E_RANK);
    CHECK(isnan(out[0].objective));
}

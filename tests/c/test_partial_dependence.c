#include "laws/partial_dependence.h"

#include <stdlib.h>

#include "base/cholesky.h"
#include "check.h"
#include "laws/kernelsum.h"
#include "suites.h"

enum { N = 23, DIMS = 3, GRID = 9 };

static const double scales[DIMS] = {0.7, 1.9, 3.1};

static double
covariance(const dph_process *p, const double *a, const double *b)
{
    double d2 = 0;
    double sum = 0;
    double zero = 0;

    for (int j = 0; j < p->n_dims; j++) {
        d2 += (a[j] - b[j]) * (a[j] - b[j]) / (p->length_scale[j] * p->length_scale[j]);
    }
    dph_process_kernel(p->kernel, 1, d2, &zero, &sum, 1);
    return p->amplitude * sum;
}

static void
draw(double *x, double *y, uint64_t *seed)
{
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < DIMS; j++) {
            x[i * DIMS + j] = check_normal(seed);
        }
        y[i] = x[i * DIMS] * x[i * DIMS] - x[i * DIMS + 1] + 0.1 * check_normal(seed);
    }
}

static void
test_kernels_at_known_distances(void)
{
    static const double want[DPH_KERNELS] = {0.36787944117144233, 0.48335772459650770,
                                             0.52399410883182031, 0.60653065971263342};

    for (int kernel = 0; kernel < DPH_KERNELS; kernel++) {
        double c[3] = {0, 1, 1e6};
        double acc[3] = {0, 0.5, 0};

        dph_process_kernel(kernel, 1, 0, c, acc, 3);
        CHECK_NEAR(acc[0], 1, 0);
        CHECK_NEAR(acc[1], want[kernel] + 0.5, 1e-14);
        CHECK_ABS(acc[2], 0, 1e-300);
        acc[0] = 0;
        c[0] = 0.25;
        dph_process_kernel(kernel, 1, 0.75, c, acc, 1);
        CHECK_NEAR(acc[0], want[kernel], 1e-14);
    }
}

/* Sums over many distances against one by one: spread over few and over many decades, with zeros,
 * equal ones and ones so far that kernels are 0. */
static void
test_sums_over_nodes_are_those_over_points(void)
{
    enum { MANY = 301, SUMS = 12 };
    static const double spreads[] = {0.1, 0.7, 3, 9};
    static dph_kernel_nodes nodes;
    uint64_t seed = 8;

    dph_kernel_nodes_set(&nodes);
    for (int kernel = 0; kernel < DPH_KERNELS; kernel++) {
        for (int s = 0; s < 4; s++) {
            for (int n = 1; n <= MANY; n += 60) {
                double d2[MANY];
                double c[SUMS];
                double sums[SUMS];
                double want[SUMS] = {0};

                for (int g = 0; g < SUMS; g++) {
                    c[g] = g == 0 ? 0 : 0.01 * g * g * g;
                }
                for (int i = 0; i < n; i++) {
                    d2[i] = i % 17 == 3 ? 0 : exp(spreads[s] * check_normal(&seed));
                    d2[i] = i % 13 == 5 && i > 0 ? d2[i - 1] : d2[i];
                    dph_process_kernel(kernel, 1, d2[i], c, want, SUMS);
                }
                dph_kernel_sums(&nodes, kernel, d2, n, c, sums, SUMS);
                for (int g = 0; g < SUMS; g++) {
                    CHECK_ABS(sums[g] / n, want[g] / n, 3e-14);
                }
            }
        }
    }
}

/* The whole predictive distribution of the replaced rows, the long way. */
static void
slow(const dph_process *p, int feature, double at, double *mean, double *variance)
{
    double k[N * N];
    double cross[N * N];
    double dual[N];
    double rows[N * DIMS];

    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            k[i * N + j] = covariance(p, p->x + i * DIMS, p->x + j * DIMS) + (i == j) * p->noise;
        }
        dual[i] = p->y[i];
        memcpy(rows + (size_t)i * DIMS, p->x + i * DIMS, sizeof(double) * DIMS);
        rows[i * DIMS + feature] = at;
    }
    CHECK_INT(dph_cholesky(k, N), DPH_OK);
    dph_cholesky_forward(k, N, dual, 1);
    dph_cholesky_backward(k, N, dual);
    *mean = 0;
    *variance = 0;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            cross[i * N + j] = covariance(p, p->x + i * DIMS, rows + (ptrdiff_t)j * DIMS);
            *mean += cross[i * N + j] * dual[i] / N;
            *variance +=
                covariance(p, rows + (ptrdiff_t)i * DIMS, rows + (ptrdiff_t)j * DIMS) / (N * N);
        }
    }
    dph_cholesky_forward(k, N, cross, N);
    for (int i = 0; i < N; i++) {
        double sum = 0;

        for (int j = 0; j < N; j++) {
            sum += cross[i * N + j];
        }
        *variance -= sum * sum / (N * N);
    }
}

static void
test_mean_and_variance_are_those_of_the_whole_prediction(void)
{
    double x[N * DIMS];
    double y[N];
    double factor[N * N];
    double dual[N];
    double grid[GRID];
    double mean[GRID];
    double sd[GRID];
    uint64_t seed = 11;
    size_t first = dph_process_scratch(N, DIMS);
    size_t second = dph_partial_dependence_scratch(N, DIMS, GRID);
    double *scratch = malloc(sizeof *scratch * (first > second ? first : second));

    draw(x, y, &seed);
    for (int g = 0; g < GRID; g++) {
        grid[g] = -2 + 0.5 * g;
    }
    for (int kernel = 0; kernel < DPH_KERNELS && CHECK(scratch != NULL); kernel++) {
        dph_process p = {N, DIMS, kernel, x, y, 2.5, scales, 0.01};

        CHECK_INT(dph_process_factor(&p, scratch, factor, dual, NULL), DPH_OK);
        for (int feature = 0; feature < DIMS; feature++) {
            dph_partial_dependence out = {0};

            dph_partial_dependence_fit(&p, factor, dual, feature, grid, GRID, scratch, NULL, mean,
                                       sd, &out);
            CHECK_INT(out.status, DPH_OK);
            CHECK_INT(out.n, N);
            CHECK(out.x_min < 0 && out.x_max > 0 && out.prior_variance < 2.5);
            for (int g = 0; g < GRID; g++) {
                double want = 0;
                double variance = 0;

                slow(&p, feature, grid[g], &want, &variance);
                CHECK_ABS(mean[g], want, 1e-11);
                CHECK_ABS(sd[g] * sd[g], variance, 1e-12);
            }
        }
    }
    free(scratch);
}

static void
test_gradient_is_that_of_the_evidence(void)
{
    double x[N * DIMS];
    double y[N];
    uint64_t seed = 4;
    double *scratch = malloc(sizeof *scratch * dph_process_scratch(N, DIMS));

    draw(x, y, &seed);
    for (int kernel = 0; kernel < DPH_KERNELS && CHECK(scratch != NULL); kernel++) {
        double theta[DIMS + 2] = {0.4, -0.3, 0.5, 1.0, -3};
        double gradient[DIMS + 2];
        double unused[DIMS + 2];
        double scale[DIMS];

        for (int i = -1; i < DIMS + 2; i++) {
            double value[2] = {0};

            for (int side = 0; side < 2; side++) {
                double moved[DIMS + 2];
                dph_process p = {N, DIMS, kernel, x, y, 0, scale, 0};

                memcpy(moved, theta, sizeof moved);
                if (i >= 0) {
                    moved[i] += side == 0 ? 1e-5 : -1e-5;
                }
                p.amplitude = exp(moved[0]);
                p.noise = exp(moved[DIMS + 1]);
                for (int j = 0; j < DIMS; j++) {
                    scale[j] = exp(moved[1 + j]);
                }
                CHECK_INT(
                    dph_process_evidence(&p, scratch, &value[side], i < 0 ? gradient : unused),
                    DPH_OK);
            }
            if (i >= 0) {
                CHECK_ABS((value[0] - value[1]) / 2e-5, gradient[i], 1e-5);
            }
        }
    }
    free(scratch);
}

static void
test_failures_have_codes(void)
{
    double x[4] = {0, 1, 2, 3};
    double y[4] = {1, 2, 3, 5};
    double one = 1;
    double zero = 0;
    double factor[16];
    double dual[4];
    double gradient[3];
    double evidence = 0;
    double scratch[64];
    double mean[2];
    double sd[2];
    double grid[2] = {0, NAN};
    dph_process p = {4, 1, DPH_MATERN52, x, y, 1, &one, 0.1};
    dph_partial_dependence out = {0};

    CHECK_INT(dph_process_factor(&p, scratch, factor, dual, &evidence), DPH_OK);
    dph_partial_dependence_fit(&p, factor, dual, 0, grid, 2, scratch, NULL, mean, sd, &out);
    CHECK_INT(out.status, DPH_E_BAD_VALUE);
    CHECK(isnan(mean[0]) && isnan(sd[1]) && isnan(out.x_min));
    p.n = 0;
    CHECK_INT(dph_process_factor(&p, scratch, factor, dual, NULL), DPH_E_TOO_FEW_POINTS);
    p.n = 4;
    p.noise = -1;
    CHECK_INT(dph_process_evidence(&p, scratch, &evidence, gradient), DPH_E_BAD_VALUE);
    CHECK(isnan(evidence) && isnan(gradient[2]));
    p.noise = 0.1;
    p.amplitude = NAN;
    CHECK_INT(dph_process_factor(&p, scratch, factor, dual, NULL), DPH_E_BAD_VALUE);
    p.amplitude = 1;
    p.length_scale = &zero;
    CHECK_INT(dph_process_factor(&p, scratch, factor, dual, NULL), DPH_E_BAD_VALUE);
    p.length_scale = &one;
    y[2] = INFINITY;
    CHECK_INT(dph_process_factor(&p, scratch, factor, dual, NULL), DPH_E_BAD_VALUE);
    y[2] = 3;
    x[1] = NAN;
    CHECK_INT(dph_process_factor(&p, scratch, factor, dual, NULL), DPH_E_BAD_VALUE);
    x[1] = 0; /* the same point twice, and no noise */
    p.noise = 0;
    CHECK_INT(dph_process_factor(&p, scratch, factor, dual, NULL), DPH_E_NOT_POSITIVE_DEFINITE);
}

static void
test_a_lost_variance_is_named(void)
{
    double x[2] = {0, 1};
    double y[2] = {1, 2};
    double wide = 1e9;
    double factor[4];
    double dual[2];
    double scratch[64];
    double mean = 0;
    double sd = 0;
    double grid = 0.5;
    dph_process p = {2, 1, DPH_RBF, x, y, 1, &wide, 1e-14};
    dph_partial_dependence out = {0};

    CHECK_INT(dph_process_factor(&p, scratch, factor, dual, NULL), DPH_OK);
    dph_partial_dependence_fit(&p, factor, dual, 0, &grid, 1, scratch, NULL, &mean, &sd, &out);
    CHECK(out.status == DPH_W_VARIANCE_LOST ? sd == 0 : sd > 0 && sd < 1e-6);
}

void
test_partial_dependence(void)
{
    test_kernels_at_known_distances();
    test_sums_over_nodes_are_those_over_points();
    test_mean_and_variance_are_those_of_the_whole_prediction();
    test_gradient_is_that_of_the_evidence();
    test_failures_have_codes();
    test_a_lost_variance_is_named();
}

#include "partial_dependence.h"

#include <math.h>

#include "../base/cholesky.h"
#include "../base/dots.h"
#include "../base/veclog.h"
#include "kernelsum.h"

size_t
dph_partial_dependence_scratch(int64_t n, int n_dims, int64_t n_grid)
{
    size_t columns = (size_t)n_grid + 1;

    return (size_t)n * (columns + (size_t)n_dims + 1) + columns;
}

void
dph_partial_dependence_fail(int32_t code, int64_t n, int64_t n_grid, double *mean, double *sd,
                            dph_partial_dependence *out)
{
    *out = (dph_partial_dependence){
        .n = n, .prior_variance = NAN, .x_min = NAN, .x_max = NAN, .status = code};
    for (int64_t g = 0; g < n_grid; g++) {
        mean[g] = NAN;
        sd[g] = NAN;
    }
}

/* What the sums of one feature work with. */
typedef struct {
    const dph_process *p;
    int feature;
    const double *grid;
    int64_t n_grid;
    double *z;        /* [n_dims][n] x over length scales, the feature left out as zeros */
    double *distance; /* [n] squared distances of one point to all, without the feature */
    double *c;        /* [n_grid + 1] squared distances in the feature alone */
    const dph_kernel_nodes *nodes;
} frame;

DPH_CLONES static void
distances_without(const frame *f, int64_t k)
{
    int64_t n = f->p->n;
    double *restrict d2 = f->distance;

    for (int64_t i = 0; i < n; i++) {
        d2[i] = 0;
    }
    for (int j = 0; j < f->p->n_dims; j++) {
        const double *restrict column = f->z + j * n;
        double own = column[k];

        for (int64_t i = 0; i < n; i++) {
            double gap = column[i] - own;

            d2[i] += gap * gap;
        }
    }
}

/* Sums over all rows of their kernel with point k, at every grid value and, in the last column,
 * with the replaced point k itself. */
static void
cross_sums(const frame *f, int64_t k, double *sums)
{
    const dph_process *p = f->p;
    int64_t columns = f->n_grid + 1;
    double own = p->x[k * p->n_dims + f->feature];
    double scale = p->length_scale[f->feature];

    for (int64_t g = 0; g < f->n_grid; g++) {
        double gap = (f->grid[g] - own) / scale;

        f->c[g] = gap * gap;
    }
    f->c[f->n_grid] = 0;
    distances_without(f, k);
    dph_kernel_sums(f->nodes, p->kernel, f->distance, p->n, f->c, sums, columns);
}

static void
prepare(const frame *f)
{
    const dph_process *p = f->p;

    for (int j = 0; j < p->n_dims; j++) {
        for (int64_t i = 0; i < p->n; i++) {
            double z = p->x[i * p->n_dims + j] / p->length_scale[j];

            f->z[j * p->n + i] = j == f->feature ? 0 : z;
        }
    }
}

void
dph_partial_dependence_fit(const dph_process *p, const double *factor, const double *dual,
                           int feature, const double *grid, int64_t n_grid, double *scratch,
                           const atomic_int *stopped, double *mean, double *sd,
                           dph_partial_dependence *out)
{
    int64_t n = p->n;
    int64_t columns = n_grid + 1;
    double *cross = scratch; /* [n][columns] */
    dph_kernel_nodes nodes;
    frame f = {p, feature, grid, n_grid, cross + n * columns, NULL, NULL, &nodes};
    double per_row = p->amplitude / (double)n;
    double prior = 0;

    for (int64_t g = 0; g < n_grid; g++) {
        if (!isfinite(grid[g])) {
            dph_partial_dependence_fail(DPH_E_BAD_VALUE, n, n_grid, mean, sd, out);
            return;
        }
        mean[g] = 0;
        sd[g] = 0;
    }
    f.distance = f.z + n * p->n_dims;
    f.c = f.distance + n;
    dph_kernel_nodes_set(&nodes);
    prepare(&f);
    *out = (dph_partial_dependence){.n = n, .x_min = INFINITY, .x_max = -INFINITY};
    for (int64_t k = 0; k < n; k++) {
        double own = p->x[k * p->n_dims + feature];
        double *row = cross + k * columns;

        if (stopped != NULL && atomic_load_explicit(stopped, memory_order_relaxed)) {
            return;
        }
        out->x_min = own < out->x_min ? own : out->x_min;
        out->x_max = own > out->x_max ? own : out->x_max;
        cross_sums(&f, k, row);
        prior += row[n_grid];
        for (int64_t g = 0; g < n_grid; g++) {
            row[g] *= per_row;
            mean[g] += row[g] * dual[k];
        }
    }
    out->prior_variance = prior * per_row / (double)n;
    dph_cholesky_forward(factor, n, cross, columns);
    for (int64_t k = 0; k < n; k++) {
        const double *row = cross + k * columns;

        for (int64_t g = 0; g < n_grid; g++) {
            sd[g] += row[g] * row[g];
        }
    }
    for (int64_t g = 0; g < n_grid; g++) {
        double variance = out->prior_variance - sd[g];

        if (!(variance > 0)) {
            out->status = DPH_W_VARIANCE_LOST;
        }
        sd[g] = variance > 0 ? sqrt(variance) : 0;
    }
}

size_t
dph_partial_dependence_slopes_scratch(int64_t n, int n_dims)
{
    return (size_t)n * (2 * (size_t)n_dims + 4);
}

void
dph_partial_dependence_slopes(const dph_process *p, const double *dual, const double *dual_slopes,
                              int feature, const double *grid, int64_t n_grid, double *scratch,
                              double *slopes)
{
    int64_t n = p->n;
    int n_dims = p->n_dims;
    frame f = {p, feature, grid, n_grid, scratch, scratch + n * n_dims, NULL, NULL};
    double *squares = f.distance + n; /* [n_dims][n] of the gaps to point k */
    double *value = squares + n * n_dims;
    double *slope = value + n;
    double *ones = slope + n;
    double scale = p->length_scale[feature];

    for (int64_t i = 0; i < (n_dims + 2) * n_grid; i++) {
        slopes[i] = 0;
    }
    for (int64_t i = 0; i < n; i++) {
        ones[i] = p->amplitude / (double)n;
    }
    prepare(&f);
    for (int64_t k = 0; k < n; k++) {
        distances_without(&f, k);
        for (int j = 0; j < n_dims; j++) { /* 0 for the feature itself */
            for (int64_t i = 0; i < n; i++) {
                double gap = f.z[j * n + i] - f.z[j * n + k];

                squares[j * n + i] = gap * gap * ones[i];
            }
        }
        for (int64_t g = 0; g < n_grid; g++) {
            double gap = (grid[g] - p->x[k * n_dims + feature]) / scale;
            double cross = 0;

            dph_process_kernel_slope(p->kernel, f.distance, gap * gap, value, slope, n);
            cross = dph_dot(value, ones, n);
            slopes[g] += cross * dual[k];
            for (int j = 0; j < n_dims; j++) {
                double sum = j == feature ? gap * gap * dph_dot(slope, ones, n)
                                          : dph_dot(slope, squares + j * n, n);

                slopes[(1 + j) * n_grid + g] += sum * dual[k];
            }
            for (int j = 0; j < n_dims + 2; j++) {
                slopes[j * n_grid + g] += cross * dual_slopes[j * n + k];
            }
        }
    }
}

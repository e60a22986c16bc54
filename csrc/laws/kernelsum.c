#include "kernelsum.h"

#include <math.h>

#include "../base/vecexp.h"
#include "../base/veclog.h"
#include "process.h"

#define Q DPH_KERNEL_NODES
#define LANES 8
#define SPAN 64.0 /* largest over smallest distance that the nodes stand for */
#define FAR 256.0 /* beyond it kernels are as good as 0, and polynomials of d large */
#define FEWEST (2 * Q)
#define FEWEST_SUMS 6 /* for fewer the weights cost more than they save */

void
dph_kernel_nodes_set(dph_kernel_nodes *nodes)
{
    const double pi = 3.14159265358979323846;

    for (int q = 0; q < Q; q++) {
        nodes->node[q] = cos(pi * (q + 0.5) / Q);
        for (int p = 0; p < Q; p++) {
            nodes->polynomial[p][q] = cos(pi * (double)(p * (2 * q + 1) % (4 * Q)) / (2 * Q));
        }
    }
}

/* moment[p] = sum of T_p(u[i]) */
DPH_CLONES static void
moments(const double *restrict u, int64_t n, double *restrict moment)
{
    double sums[Q][LANES] = {{0}};

    for (int64_t first = 0; first < n; first += LANES) {
        double at[LANES] = {0};
        double before[LANES] = {0};
        double now[LANES] = {0};

        for (int l = 0; l < LANES && first + l < n; l++) {
            at[l] = u[first + l];
            before[l] = 1;
        }
        for (int l = 0; l < LANES; l++) { /* lanes without a point stay 0 */
            now[l] = at[l] * before[l];
            sums[0][l] += before[l];
            sums[1][l] += now[l];
        }
        for (int p = 2; p < Q; p++) {
            for (int l = 0; l < LANES; l++) {
                double next = 2 * at[l] * now[l] - before[l];

                before[l] = now[l];
                now[l] = next;
                sums[p][l] += next;
            }
        }
    }
    for (int p = 0; p < Q; p++) {
        moment[p] = 0;
        for (int l = 0; l < LANES; l++) {
            moment[p] += sums[p][l];
        }
    }
}

/* weight[q]: what node q stands for, so that sum_q weight[q] f(node[q]) = sum_i f(u[i]) */
DPH_CLONES static void
weigh(const dph_kernel_nodes *nodes, const double *restrict moment, double *restrict weight)
{
    for (int q = 0; q < Q; q++) {
        weight[q] = moment[0] / Q;
    }
    for (int p = 1; p < Q; p++) {
        double m = 2 * moment[p] / Q;

        for (int q = 0; q < Q; q++) {
            weight[q] += m * nodes->polynomial[p][q];
        }
    }
}

void
dph_kernel_sums(const dph_kernel_nodes *nodes, int kernel, double *d2, int64_t n, const double *c,
                double *sums, int64_t n_sums)
{
    double largest = 0;
    double smallest = 0;
    double middle = 0;
    double half = 0;
    int64_t n_zero = 0;
    int64_t n_near = 0;
    int64_t n_kept = 0;
    double moment[Q];
    double weight[Q];

    for (int64_t g = 0; g < n_sums; g++) {
        sums[g] = 0;
    }
    if (kernel == DPH_RBF) { /* the one kernel that is a product over inputs */
        double total = 0;

        for (int64_t i = 0; i < n; i++) {
            total += dph_exp_falling(-0.5 * d2[i]);
        }
        dph_process_kernel(DPH_RBF, total, 0, c, sums, n_sums);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        largest = d2[i] > largest && d2[i] <= FAR ? d2[i] : largest;
        n_zero += d2[i] == 0;
    }
    if (n_zero > 0) { /* a point and itself, and equal settings of a grid */
        dph_process_kernel(kernel, (double)n_zero, 0, c, sums, n_sums);
    }
    smallest = largest / SPAN;
    for (int64_t i = 0; i < n; i++) {
        n_near += d2[i] >= smallest && d2[i] <= largest && d2[i] > 0;
    }
    if (n_near < FEWEST || n_sums < FEWEST_SUMS) {
        smallest = INFINITY;
    }
    for (int64_t i = 0; i < n; i++) {
        if (d2[i] >= smallest && d2[i] <= largest) {
            d2[n_kept++] = d2[i];
        } else if (d2[i] != 0) {
            dph_process_kernel(kernel, 1, d2[i], c, sums, n_sums);
        }
    }
    if (n_kept == 0) {
        return;
    }
    half = 0.5 * log(SPAN);
    middle = log(largest) - half;
    dph_log_many(d2, d2, n_kept);
    for (int64_t i = 0; i < n_kept; i++) {
        d2[i] = (d2[i] - middle) / half;
    }
    moments(d2, n_kept, moment);
    weigh(nodes, moment, weight);
    for (int q = 0; q < Q; q++) {
        dph_process_kernel(kernel, weight[q], exp(middle + half * nodes->node[q]), c, sums, n_sums);
    }
}

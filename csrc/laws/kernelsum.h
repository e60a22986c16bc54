/* Sums of a kernel over many distances, at many additions to them: sum_i k(sqrt(d_i + c)), all c.
 *
 * As a function of ln d a Matern kernel is analytic and small for |Im ln d| < pi, whatever c >= 0:
 * 32 Chebyshev nodes over a factor of 64 in d give it to rounding error (Trefethen, "Approximation
 * Theory and Approximation Practice", SIAM 2013, theorem 8.2). The sum over distances in that range
 * is then a weighted sum over the nodes. All other distances, 0 among them, and all of them where
 * there are few, are summed one by one. The RBF kernel is a product, and needs one sum for all c.
 */
#ifndef DPH_KERNELSUM_H
#define DPH_KERNELSUM_H

#include <stdint.h>

#define DPH_KERNEL_NODES 32

/* Nodes on -1 .. 1 and the Chebyshev polynomials there; the same for every sum. */
typedef struct {
    double node[DPH_KERNEL_NODES];
    double polynomial[DPH_KERNEL_NODES][DPH_KERNEL_NODES]; /* [degree][node] */
} dph_kernel_nodes;

void dph_kernel_nodes_set(dph_kernel_nodes *nodes);

/* sums[g] = sum over i of k(sqrt(d2[i] + c[g])), the kernels of process.h.
 *
 * d2    double[n], >= 0; overwritten
 * c     double[n_sums], >= 0
 * sums  receives double[n_sums]
 */
void dph_kernel_sums(const dph_kernel_nodes *nodes, int kernel, double *d2, int64_t n,
                     const double *c, double *sums, int64_t n_sums);

#endif

/* Quantiles of the distributions that intervals need. */
#ifndef DPH_DISTRIBUTIONS_H
#define DPH_DISTRIBUTIONS_H

/* The p-quantile of Student's t with dof degrees of freedom; NaN unless 0 < p < 1 and dof > 0. */
double dph_t_quantile(double p, double dof);

#endif

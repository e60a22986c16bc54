/* Quantiles of the distributions that intervals need. */
#ifndef DPH_DISTRIBUTIONS_H
#define DPH_DISTRIBUTIONS_H

/* The probability that Student's t with dof degrees of freedom lies below t; NaN unless dof > 0. */
double dph_t_probability(double t, double dof);

/* The p-quantile of Student's t with dof degrees of freedom; NaN unless 0 < p < 1 and dof > 0. */
double dph_t_quantile(double p, double dof);

/* The p-quantile of chi-square with dof degrees of freedom; NaN unless 0 < p < 1 and dof is finite
 * and > 0. */
double dph_chi2_quantile(double p, double dof);

#endif

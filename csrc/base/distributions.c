#include "distributions.h"

#include <math.h>

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>

double
dph_t_probability(double t, double dof)
{
    return isnan(t) || !isgreater(dof, 0) ? NAN : gsl_cdf_tdist_P(t, dof);
}

double
dph_t_quantile(double p, double dof)
{
    if (isnan(p) || isnan(dof) || !(p > 0 && p < 1 && dof > 0)) {
        return NAN;
    }
    return gsl_cdf_tdist_Pinv(p, dof);
}

/* GSL's own search gives up on some quantiles of thousands of degrees of freedom. There the cube
 * root is normal to many digits (Wilson and Hilferty 1931), and Newton does the rest. */
static double
newton_chi2(double p, double dof)
{
    double v = 2 / (9 * dof);
    double q = dof * pow(1 - v + gsl_cdf_ugaussian_Pinv(p) * sqrt(v), 3);

    for (int i = 0; i < 8; i++) {
        q -= (gsl_cdf_chisq_P(q, dof) - p) / gsl_ran_chisq_pdf(q, dof);
    }
    return q;
}

double
dph_chi2_quantile(double p, double dof)
{
    if (isnan(p) || isnan(dof) || !(p > 0 && p < 1 && dof > 0 && isfinite(dof))) {
        return NAN;
    }
    return dof > 1000 ? newton_chi2(p, dof) : gsl_cdf_chisq_Pinv(p, dof);
}

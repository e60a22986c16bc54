#include "distributions.h"

#include <math.h>

#include <gsl/gsl_cdf.h>

double
dph_t_quantile(double p, double dof)
{
    if (isnan(p) || isnan(dof) || !(p > 0 && p < 1 && dof > 0)) {
        return NAN;
    }
    return gsl_cdf_tdist_Pinv(p, dof);
}

#include "identify.h"

#include <math.h>

#include "../base/distributions.h"

/* What is left of d model / d u once the other coefficients have taken their share of it: the
 * information about u, in squared losses. The floor counts as free even at a bound: alpha is only
 * as well known as the floor allows. */
static double
information(const dph_suite *suite, const dph_floorfit *fit)
{
    double n = (double)suite->n;
    double e_mean = 0;
    double g_mean = 0;
    double see = 0;
    double seg = 0;
    double rest = 0;

    for (int64_t i = 0; i < suite->n; i++) {
        double e = exp(-fit->u * suite->s[i]);

        e_mean += e / n;
        g_mean += suite->s[i] * e / n;
    }
    for (int64_t i = 0; i < suite->n; i++) {
        double e = exp(-fit->u * suite->s[i]);

        see += (e - e_mean) * (e - e_mean);
        seg += (e - e_mean) * (suite->s[i] * e - g_mean);
    }
    for (int64_t i = 0; i < suite->n; i++) {
        double e = exp(-fit->u * suite->s[i]);
        double left = (suite->s[i] * e - g_mean) - seg / see * (e - e_mean);

        rest += left * left;
    }
    return rest * exp(2 * fit->log_B);
}

int32_t
dph_identify(dph_suite *suite, const dph_floorfit *fit, dph_minimiser *minimiser)
{
    double dof = (double)suite->n - 3;
    double t = dph_t_quantile(0.975, dof);
    dph_floorfit none = {0};
    double error = 0;
    int32_t flags = 0;

    if (!(dof > 0)) {
        return 0;
    }
    error = sqrt(fit->objective / dof / information(suite, fit));
    if (!(2 * t * error < fit->u * log(DPH_ALPHA_RANGE))) {
        flags |= DPH_W_ALPHA_WEAK;
    }
    if (dph_floorfit_loss(suite, 0, 0, minimiser, &none) == DPH_OK &&
        none.objective <= fit->objective * (1 + t * t / dof)) {
        flags |= DPH_W_FLOOR_NOT_IDENTIFIED;
    }
    return flags;
}

int32_t
dph_identify_shared(double at_zero, double best, int64_t n, int64_t n_suites)
{
    double dof = (double)(n - 2 * n_suites - 1);
    double t = dph_t_quantile(0.975, dof);

    return dof > 0 && at_zero <= best * (1 + t * t / dof) ? DPH_W_FLOOR_NOT_IDENTIFIED : 0;
}

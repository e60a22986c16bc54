#include "curveshape.h"

#include <float.h>
#include <math.h>

#include "../base/veclog.h"
#include "../base/vecexp.h"

#define LOG_OF_ZERO -1e300 /* finite, so that no 0 * inf arises; any power of it is 0 */

int
dph_curveshape_n_theta(int form)
{
    return form == DPH_SHAPE_POWER || form == DPH_SHAPE_RATIONAL ? 2 : 1;
}

void
dph_curveshape_open(dph_curveshape *shape, int form, const double *tau, int64_t n, double *base,
                    double *part)
{
    *shape = (dph_curveshape){
        .form = form, .n = n, .tau = tau, .base = base, .part = part, .base_theta = NAN};
    if (form == DPH_SHAPE_RATIONAL) {
        for (int64_t i = 0; i < n; i++) {
            base[i] = tau[i] > DBL_MIN ? tau[i] : 1;
        }
        dph_log_many(base, base, n);
        for (int64_t i = 0; i < n; i++) {
            base[i] = tau[i] > DBL_MIN ? base[i] : LOG_OF_ZERO;
        }
    }
}

/* s = 1 - part / whole, for the three shapes that have that form. */
DPH_CLONES static void
one_minus(const double *part, double whole, double *s, int64_t n)
{
    double inverse = 1 / whole;

    for (int64_t i = 0; i < n; i++) {
        s[i] = 1 - part[i] * inverse;
    }
}

DPH_CLONES static void
scaled(const double *x, double factor, double *y, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] = factor * x[i];
    }
}

void
dph_curveshape_values(dph_curveshape *shape, const double *log_theta, double *s)
{
    int64_t n = shape->n;
    double *part = shape->part;
    double first = exp(log_theta[0]);
    double second = 0;

    switch (shape->form) {
    case DPH_SHAPE_LOG:
        dph_log1p_many(shape->tau, first, part, n);
        one_minus(part, log1p(first), s, n);
        return;
    case DPH_SHAPE_EXPONENTIAL:
        scaled(shape->tau, -first, part, n);
        dph_expm1_many(part, part, n);
        one_minus(part, expm1(-first), s, n);
        return;
    case DPH_SHAPE_POWER:
        second = exp(log_theta[1]);
        if (!(shape->base_theta == log_theta[0])) {
            dph_log1p_many(shape->tau, 1 / first, shape->base, n);
            shape->base_theta = log_theta[0];
        }
        scaled(shape->base, -second, part, n);
        dph_expm1_many(part, part, n);
        one_minus(part, expm1(-second * log1p(1 / first)), s, n);
        return;
    default:
        second = exp(log_theta[1]);
        scaled(shape->base, first, part, n);
        dph_expm1_many(part, part, n);
        for (int64_t i = 0; i < n; i++) {
            s[i] = -part[i] / (1 + second * (1 + part[i]));
        }
    }
}

DPH_CLONES void
dph_curveshape_slopes(const dph_curveshape *shape, const double *log_theta, const double *s,
                      double *slope_0, double *slope_1)
{
    int64_t n = shape->n;
    const double *tau = shape->tau;
    const double *part = shape->part;
    const double *base = shape->base;
    double t = exp(log_theta[0]);
    double whole = 0;
    double end = 0;

    if (shape->form == DPH_SHAPE_LOG) {
        whole = log1p(t);
        end = t / (1 + t);
        for (int64_t i = 0; i < n; i++) {
            slope_0[i] = ((1 - s[i]) * end - t * tau[i] / (1 + t * tau[i])) / whole;
        }
    } else if (shape->form == DPH_SHAPE_EXPONENTIAL) {
        whole = expm1(-t);
        end = 1 + whole;
        for (int64_t i = 0; i < n; i++) {
            slope_0[i] = t * (tau[i] * (1 + part[i]) - (1 - s[i]) * end) / whole;
        }
    } else if (shape->form == DPH_SHAPE_POWER) {
        double p = exp(log_theta[1]);
        double base_end = log1p(1 / t);
        double turn = 1 / (1 + t);

        whole = expm1(-p * base_end);
        end = 1 + whole;
        for (int64_t i = 0; i < n; i++) {
            double left = 1 - s[i];
            double x = tau[i] / (t + tau[i]);

            slope_0[i] = p * (left * end * turn - (1 + part[i]) * x) / whole;
            slope_1[i] = p * (base[i] * (1 + part[i]) - left * base_end * end) / whole;
        }
    } else {
        double c = exp(log_theta[1]);

        for (int64_t i = 0; i < n; i++) {
            double u = 1 + part[i];
            double d = 1 + c * u;

            slope_0[i] = -(1 + c) * u * t * base[i] / (d * d);
            slope_1[i] = part[i] * u * c / (d * d);
        }
    }
}

double
dph_curveshape_at(int form, double theta_0, double theta_1, double tau)
{
    double part = 0;

    if (!isgreater(theta_0, 0) || !isgreaterequal(tau, 0) ||
        (dph_curveshape_n_theta(form) == 2 && !isgreater(theta_1, 0))) {
        return NAN;
    }
    switch (form) {
    case DPH_SHAPE_LOG:
        return 1 - log1p(theta_0 * tau) / log1p(theta_0);
    case DPH_SHAPE_EXPONENTIAL:
        return 1 - expm1(-theta_0 * tau) / expm1(-theta_0);
    case DPH_SHAPE_POWER:
        return 1 - expm1(-theta_1 * log1p(tau / theta_0)) / expm1(-theta_1 * log1p(1 / theta_0));
    case DPH_SHAPE_RATIONAL:
        part = tau > 0 ? expm1(theta_0 * log(tau)) : -1;
        return -part / (1 + theta_1 * (1 + part));
    default:
        return NAN;
    }
}

#include "surfacedesign.h"

#include "../base/column.h"

#define SIZE DPH_SURFACE_SIZE
#define E_ DPH_SURFACE_E
#define A_ DPH_SURFACE_A
#define B_ DPH_SURFACE_B
#define ALPHA DPH_SURFACE_ALPHA
#define BETA DPH_SURFACE_BETA
#define ON_A_LINE 1e-2 /* rms distance from a straight line over the spread of ln D */

/* Distinct (N, D), counted up to one more than there are parameters. */
int
dph_surface_distinct(const double *N, const double *D, int64_t n_points)
{
    int64_t found[SIZE + 1];
    int n = 0;

    for (int64_t i = 0; i < n_points && n <= SIZE; i++) {
        int seen = 0;

        for (int k = 0; k < n && !seen; k++) {
            seen = N[found[k]] == N[i] && D[found[k]] == D[i];
        }
        if (!seen) {
            found[n++] = i;
        }
    }
    return n;
}

static int
at_least_zero(int x)
{
    return x > 0 ? x : 0;
}

/* What the design alone says about which parameters can be told apart. */
int32_t
dph_surface_identified(const dph_surface_problem *p, const double *params, const double *tokens)
{
    int n_params = dph_column_summary(params, p->n).distinct;
    int n_tokens = dph_column_summary(tokens, p->n).distinct;
    int params_terms = p->is_free[A_] + p->is_free[ALPHA];
    int tokens_terms = p->is_free[B_] + p->is_free[BETA];
    /* differences between k values determine k - 1 parameters; a fixed E adds the level to them */
    int params_lack = at_least_zero(params_terms - (n_params - 1));
    int tokens_lack = at_least_zero(tokens_terms - (n_tokens - 1));

    if (dph_surface_distinct(params, tokens, p->n) < p->n_free) {
        return DPH_E_TOO_FEW_POINTS;
    }
    if (params_lack + tokens_lack > (p->is_free[E_] ? 0 : 1)) {
        if (n_params == 1 && params_lack > 0) {
            return DPH_E_ONE_MODEL_SIZE;
        }
        if (n_tokens == 1 && tokens_lack > 0) {
            return DPH_E_ONE_TOKEN_COUNT;
        }
        return params_lack > 0 ? DPH_E_FEW_MODEL_SIZES : DPH_E_FEW_TOKEN_COUNTS;
    }
    return DPH_OK;
}

/* Whether ln D is a straight line in ln N, to within ON_A_LINE of its own spread. */
int
dph_surface_on_a_line(const dph_surface_problem *p)
{
    double mean_u = 0;
    double mean_v = 0;
    double suu = 0;
    double suv = 0;
    double svv = 0;

    for (int64_t i = 0; i < p->n; i++) {
        mean_u += p->u[i] / (double)p->n;
        mean_v += p->v[i] / (double)p->n;
    }
    for (int64_t i = 0; i < p->n; i++) {
        double du = p->u[i] - mean_u;
        double dv = p->v[i] - mean_v;

        suu += du * du;
        suv += du * dv;
        svv += dv * dv;
    }
    return svv - suv * suv / suu < ON_A_LINE * ON_A_LINE * svv;
}

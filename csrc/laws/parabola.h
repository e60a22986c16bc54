/* IsoFLOP parabola: loss = a x^2 + b x + c in x = log10(tokens), one fit per compute budget.
 *
 * The vertex is the compute-optimal token count of the budget. Curvature on each side of it says
 * what under- and over-training cost, in two ways: anchored at the symmetric vertex, or jointly
 * (one vertex, two curvatures, value and slope continuous there).
 *
 * With a window the parabola is fitted to the points near its own vertex. Why: on an additive law
 * the vertex loss of a parabola over +-1 decade is off by -0.002 to -0.003 nats, over +-0.5 decades
 * by -0.0001 to -0.0002.
 */
#ifndef DPH_PARABOLA_H
#define DPH_PARABOLA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/minimise.h"
#include "../base/status.h"

typedef struct {
    int64_t n;              /* points of the bucket */
    int64_t n_used;         /* points the parabola was fitted to: all, or those of the window */
    double a;               /* curvature, loss per decade^2 */
    double b;               /* loss per decade */
    double c;               /* loss */
    double x_vertex;        /* -b / 2a, log10 tokens, wherever it lies; inf if a is 0 */
    double x_star;          /* x_vertex moved into [x_min, x_max] */
    double tokens_star;     /* 10^x_star, tokens */
    double params_star;     /* on the line log10(params) ~ x, at x_star; NaN without params */
    double loss_star;       /* the parabola at x_star */
    double a_under;         /* sum dx^2 dy / sum dx^4, x < x_star; a if not > 0 (flagged) */
    double a_over;          /* the same over x > x_star */
    double rss;             /* residual sum of squares */
    double se_x_star;       /* s.e. of x_vertex, delta method; NaN without residuals */
    double se_loss_star;    /* s.e. of the loss at x_star */
    double x_min;           /* smallest observed log10 tokens */
    double x_max;           /* largest */
    double x_lo;            /* smallest log10 tokens among the points used */
    double x_hi;            /* largest */
    double joint_x_star;    /* vertex of the two-curvature fit; NaN if not fitted */
    double joint_loss_star; /* loss there */
    double joint_a_under;   /* curvature below it */
    double joint_a_over;    /* curvature above it */
    double joint_rss;       /* residual sum of squares of the two-curvature fit */
    int32_t status;         /* DPH_OK, DPH_E_* or DPH_W_* bits */
    int32_t reserved;       /* 0 */
} dph_parabola;

/* Points in groups (see base/groups.h). All columns double[n]; the caller owns them. */
typedef struct {
    const double *tokens;   /* raw counts, > 0 */
    const double *loss;     /* any unit */
    const double *params;   /* raw counts, > 0; NULL if not known */
    const int64_t *offsets; /* int64[n_groups + 1], checked */
} dph_parabola_batch;

typedef struct {
    int joint;     /* also fit one vertex with two curvatures (some 60 linear fits a group) */
    int diagnose;  /* also look for OFF_CENTRE and DUPLICATED_DESIGNS */
    double window; /* decades of tokens on each side of the vertex; 0 or inf: all points */
    const atomic_int *stopped; /* not 0: give up, results are not needed; may be NULL */
} dph_parabola_options;

/* The points a windowed fit uses: those within `window` of the vertex of a fit of all of them,
 * moved into the observed range, or of the lowest loss where that fit is concave. One step, not a
 * search for a window that agrees with itself: with few points left, one noisy run can drag such a
 * window away. The set has at least DPH_WINDOW_DISTINCT distinct tokens, the nearest ones where the
 * window holds fewer, and is whole where no smaller one has a parabola (WINDOW_WIDENED); a bucket
 * that has no more than that is used whole.
 *
 * n_used, x_lo and x_hi describe the set; a, b, c, rss, the standard errors, params_star, the
 * anchored sides, the joint fit and SATURATED rest on it. n, x_min and x_max, and so CLIPPED,
 * UNBRACKETED and OFF_CENTRE, are those of the whole bucket.
 */
#define DPH_WINDOW_DISTINCT 5

/* Doubles of scratch that groups of up to n_largest points need. */
size_t dph_parabola_scratch(int64_t n_largest);

/* Fit groups [begin, end) into out[begin .. end - 1].
 *
 * scratch    double[dph_parabola_scratch(largest group)], one per thread
 * minimiser  one per thread; may be NULL when options->joint is 0
 *
 * Per group: DPH_E_BAD_VALUE (NaN, inf, tokens or params <= 0), DPH_E_EQUAL_X, DPH_E_TOO_FEW_POINTS
 * (fewer than three distinct tokens), DPH_E_CONSTANT_LOSS, DPH_E_RANK; all values NaN then.
 * Otherwise warning bits CONCAVE, CLIPPED, UNBRACKETED, SATURATED, A_UNDER_FALLBACK,
 * A_OVER_FALLBACK, JOINT_FAILED, JOINT_AT_BOUND, JOINT_CONCAVE, WINDOW_WIDENED; with diagnose
 * OFF_CENTRE (a vertex inside the observed range, in its outer quarter on either side) and
 * DUPLICATED_DESIGNS (equal tokens).
 */
void dph_parabola_fit(const dph_parabola_batch *batch, int64_t begin, int64_t end,
                      const dph_parabola_options *options, double *scratch,
                      dph_minimiser *minimiser, dph_parabola *out);

#endif

/* Status codes: one int32 a call or a fit.
 *
 *   0      DPH_OK    nothing to say
 *   < 0    DPH_E_*   failed; one code; every result field of that fit is NaN
 *   > 0    DPH_W_*   usable with care; the OR of all bits that apply
 *
 * A warning is a family (bits 24 to 29: which law's words these are) and one of 24 bits, so that
 * every law has room for its own. Only warnings of one family may be joined.
 *
 * The table is the only place where a code, its name and its sentence meet.
 */
#ifndef DPH_STATUS_H
#define DPH_STATUS_H

#include <stdint.h>

#define DPH_FAMILY(code) ((code) >> 24)
#define DPH_BIT(family, bit) ((family) << 24 | 1 << (bit))
#define DPH_LADDER 0 /* budgets, parabolas, power laws */
#define DPH_SWEEP 4  /* partial dependence, ridge */

/* X(symbol, value, name, sentence) */
#define DPH_STATUS_TABLE(X)                                                                        \
    X(DPH_OK, 0, "ok", "the fit converged inside its bounds")                                      \
    /* the whole call */                                                                           \
    X(DPH_E_MEMORY, -1, "memory", "out of memory")                                                 \
    X(DPH_E_CANCELLED, -2, "cancelled", "stopped by the caller")                                   \
    X(DPH_E_OFFSETS, -3, "offsets", "offsets must start at 0, end at n and never decrease")        \
    X(DPH_E_ARGUMENT, -4, "argument", "an option is out of its range")                             \
    /* one fit */                                                                                  \
    X(DPH_E_TOO_FEW_POINTS, -10, "too_few_points", "fewer distinct points than coefficients")      \
    X(DPH_E_EQUAL_X, -11, "equal_x", "all points have the same x")                                 \
    X(DPH_E_BAD_VALUE, -12, "bad_value", "a value is NaN, infinite or not positive")               \
    X(DPH_E_CONSTANT_LOSS, -13, "constant_loss", "all losses are equal")                           \
    X(DPH_E_NOT_DECREASING, -14, "not_decreasing", "loss does not fall as x grows (alpha <= 0)")   \
    X(DPH_E_FLOOR_TOO_HIGH, -15, "floor_too_high", "the pinned floor is not below every loss")     \
    X(DPH_E_NO_CONVERGENCE, -16, "no_convergence", "the search did not converge")                  \
    X(DPH_E_RANK, -17, "rank", "the design does not determine the coefficients")                   \
    X(DPH_E_NO_MINIMUM, -18, "no_minimum", "the curve has no minimum in the observed range")       \
    /* parabola */                                                                                 \
    X(DPH_W_CONCAVE, DPH_BIT(DPH_LADDER, 0), "concave",                                            \
      "the curve opens downwards: its vertex is no optimum")                                       \
    X(DPH_W_CLIPPED, DPH_BIT(DPH_LADDER, 1), "clipped",                                            \
      "the vertex lies outside the observed range and was moved to its edge")                      \
    X(DPH_W_UNBRACKETED, DPH_BIT(DPH_LADDER, 2), "unbracketed",                                    \
      "the lowest loss sits at an end of the range")                                               \
    X(DPH_W_SATURATED, DPH_BIT(DPH_LADDER, 3), "saturated",                                        \
      "as many coefficients as distinct points: nothing is left to judge the fit by")              \
    X(DPH_W_A_UNDER_FALLBACK, DPH_BIT(DPH_LADDER, 4), "a_under_fallback",                          \
      "no positive curvature below the vertex: the symmetric one stands in")                       \
    X(DPH_W_A_OVER_FALLBACK, DPH_BIT(DPH_LADDER, 5), "a_over_fallback",                            \
      "no positive curvature above the vertex: the symmetric one stands in")                       \
    X(DPH_W_JOINT_FAILED, DPH_BIT(DPH_LADDER, 6), "joint_failed",                                  \
      "no fit of one vertex with two curvatures: it needs five distinct points")                   \
    X(DPH_W_JOINT_AT_BOUND, DPH_BIT(DPH_LADDER, 7), "joint_at_bound",                              \
      "the vertex of the two-curvature fit sits at the edge of its search range")                  \
    X(DPH_W_JOINT_CONCAVE, DPH_BIT(DPH_LADDER, 8), "joint_concave",                                \
      "a side of the two-curvature fit opens downwards")                                           \
    X(DPH_W_WINDOW_WIDENED, DPH_BIT(DPH_LADDER, 12), "window_widened",                             \
      "too few distinct points within the window: more of them were used")                         \
    X(DPH_W_OFF_CENTRE, DPH_BIT(DPH_LADDER, 13), "off_centre",                                     \
      "the vertex lies in the outer quarter of the observed range")                                \
    X(DPH_W_DUPLICATED_DESIGNS, DPH_BIT(DPH_LADDER, 14), "duplicated_designs",                     \
      "a token count appears more than once in the bucket")                                        \
    X(DPH_W_P_AT_BOUND, DPH_BIT(DPH_LADDER, 15), "p_at_bound",                                     \
      "the left exponent of the two-power curve sits at the edge of its search range")             \
    X(DPH_W_Q_AT_BOUND, DPH_BIT(DPH_LADDER, 16), "q_at_bound",                                     \
      "the right exponent of the two-power curve sits at the edge of its search range")            \
    /* power law */                                                                                \
    X(DPH_W_FLOOR_AT_ZERO, DPH_BIT(DPH_LADDER, 9), "floor_at_zero",                                \
      "L_inf sits at its lower bound 0")                                                           \
    X(DPH_W_FLOOR_AT_MIN, DPH_BIT(DPH_LADDER, 10), "floor_at_min",                                 \
      "L_inf sits at its upper bound, the lowest loss")                                            \
    X(DPH_W_ALPHA_AT_BOUND, DPH_BIT(DPH_LADDER, 11), "alpha_at_bound",                             \
      "alpha sits at the edge of its search range")                                                \
    X(DPH_W_ALPHA_WEAK, DPH_BIT(DPH_LADDER, 17), "alpha_weak",                                     \
      "the data leave alpha open by a factor of two or more")                                      \
    X(DPH_W_FLOOR_NOT_IDENTIFIED, DPH_BIT(DPH_LADDER, 20), "floor_not_identified",                 \
      "the data leave L_inf open: laws with other floors fit as well")                             \
    X(DPH_W_MISFIT, DPH_BIT(DPH_LADDER, 21), "misfit",                                             \
      "the optima scatter about the law more than the runs behind them explain")                   \
    X(DPH_W_EXTRAPOLATED, DPH_BIT(DPH_LADDER, 22), "extrapolated",                                 \
      "beyond the data by more than a fifth of their span in decades")                             \
    /* sweeps: partial dependence, ridge */                                                        \
    X(DPH_E_NOT_POSITIVE_DEFINITE, -50, "not_positive_definite",                                   \
      "the covariance matrix is not positive definite: give the kernel more noise")                \
    X(DPH_E_ALL_DIVERGED, -51, "all_diverged", "no trial is left: each one diverged")              \
    X(DPH_W_VARIANCE_LOST, DPH_BIT(DPH_SWEEP, 0), "variance_lost",                                 \
      "a variance is smaller than rounding and given as 0: give the kernel more noise")            \
    X(DPH_W_CONSTANT_HPARAM, DPH_BIT(DPH_SWEEP, 1), "constant_hparam",                             \
      "a hyperparameter does not vary in the cell: it has no curve")                               \
    X(DPH_W_LENGTH_AT_BOUND, DPH_BIT(DPH_SWEEP, 2), "length_at_bound",                             \
      "a length scale sits at its bound: the loss hardly depends on that hyperparameter")          \
    X(DPH_W_KERNEL_AT_BOUND, DPH_BIT(DPH_SWEEP, 3), "kernel_at_bound",                             \
      "amplitude or noise of the kernel sits at its bound: look at the trials")                    \
    X(DPH_W_RULE_OUTSIDE, DPH_BIT(DPH_SWEEP, 4), "rule_outside",                                   \
      "a value of the rule lies outside the trials: what the curve says there is a guess")         \
    X(DPH_W_BEST_AT_EDGE, DPH_BIT(DPH_SWEEP, 5), "best_at_edge",                                   \
      "the best setting lies at the edge of the trials: widen the search there")                   \
    X(DPH_W_FEW_TRIALS, DPH_BIT(DPH_SWEEP, 6), "few_trials",                                       \
      "fewer than five trials a hyperparameter: bands and best settings are rough")                \
    X(DPH_W_RIDGE_CONSTANT, DPH_BIT(DPH_SWEEP, 7), "constant_feature",                             \
      "a feature does not vary: its coefficient is 0")                                             \
    X(DPH_W_RIDGE_COLLINEAR, DPH_BIT(DPH_SWEEP, 8), "collinear_features",                          \
      "features are nearly dependent: single coefficients mean little, their sums may")            \
    X(DPH_W_RIDGE_AT_BOUND, DPH_BIT(DPH_SWEEP, 9), "ridge_at_bound",                               \
      "the penalty sits at an end of its search range: give it, or look at the features")          \
    X(DPH_W_RIDGE_SATURATED, DPH_BIT(DPH_SWEEP, 10), "ridge_saturated",                            \
      "as many effective coefficients as points: nothing is left to judge the fit by")             \
    X(DPH_W_FEW_POINTS, DPH_BIT(DPH_SWEEP, 11), "fewer_points_than_features",                      \
      "fewer points than coefficients: the penalty alone decides between laws that fit")           \
    X(DPH_W_OPTIMUM_OUTSIDE, DPH_BIT(DPH_SWEEP, 12), "optimum_outside_data",                       \
      "the optimum lies beyond the data: widen the search there before trusting it")               \
    X(DPH_W_OPTIMUM_UNCERTAIN, DPH_BIT(DPH_SWEEP, 13), "optimum_uncertain",                        \
      "laws that fit nearly as well have no minimum: the data hardly show one")                    \
    X(DPH_W_STEP_AT_BOUND, DPH_BIT(DPH_SWEEP, 14), "step_at_bound",                                \
      "the floor or an exponent sits at its bound: the data leave the form open")

enum {
#define DPH_STATUS_ENUM(symbol, value, name, sentence) symbol = (value),
    DPH_STATUS_TABLE(DPH_STATUS_ENUM)
#undef DPH_STATUS_ENUM
};

/* One row of the table, for callers that list all codes. */
typedef struct {
    int32_t code;
    const char *name;
    const char *sentence;
} dph_status_entry;

/* The table itself; *n receives its number of rows. Static storage, never NULL. */
const dph_status_entry *dph_status_entries(int *n);

/* Name and sentence of one code (a single warning). Static storage; "unknown" if there is
 * none. */
const char *dph_status_name(int32_t code);
const char *dph_status_sentence(int32_t code);

#if defined(__GNUC__)
#define DPH_MUST_CHECK __attribute__((warn_unused_result))
#else
#define DPH_MUST_CHECK
#endif

#endif

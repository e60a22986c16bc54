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
#define DPH_LADDER 0   /* budgets, parabolas, power laws */
#define DPH_SURVIVAL 5 /* rollouts: KL trajectories, survival */
#define DPH_SURFACE 1  /* the L(N, D) surface */
#define DPH_RICHARDS 2 /* Richards curves, downstream forecasts */
#define DPH_LADDER 0   /* budgets, parabolas, power laws */
#define DPH_CURVE 3    /* learning curves */
#define DPH_LADDER 0   /* budgets, parabolas, power laws */
#define DPH_SWEEP 4    /* partial dependence, ridge */

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
    /* survival */                                                                                 \
    X(DPH_E_FORKS_ORDER, -60, "forks_order", "forks must be tokens from 0 on that never decrease") \
    X(DPH_E_PMASS_RANGE, -61, "pmass_range", "a probability mass is outside [0, 1]")               \
    X(DPH_E_EMPTY_ROLLOUT, -62, "empty_rollout", "the rollout has no tokens")                      \
    X(DPH_E_NO_SCALE, -63, "no_scale",                                                             \
      "the first tokens have no KL to divide by: look at it without normalising")                  \
    X(DPH_W_NEVER_MEASURED, DPH_BIT(DPH_SURVIVAL, 0), "never_measured",                            \
      "no fork of the rollout was measured: it cannot count as alive, leave it out")               \
    X(DPH_W_TAIL_NOT_MEASURED, DPH_BIT(DPH_SURVIVAL, 1), "tail_not_measured",                      \
      "the last forks were not measured: censored before the first of them")                       \
    X(DPH_W_LENGTHS_DIFFER, DPH_BIT(DPH_SURVIVAL, 2), "lengths_differ",                            \
      "as many tokens as were generated do not stand in the row: the smaller number counts")       \
    X(DPH_W_NOT_SMOOTHED, DPH_BIT(DPH_SURVIVAL, 3), "not_smoothed",                                \
      "fewer tokens than the rolling window: the row is as it came, take a shorter window")        \
    X(DPH_W_KL_MISSING, DPH_BIT(DPH_SURVIVAL, 4), "kl_missing",                                    \
      "some tokens have no finite KL: gaps as wide as the rolling window")                         \
    X(DPH_W_NO_DEATHS, DPH_BIT(DPH_SURVIVAL, 5), "no_deaths",                                      \
      "nobody died: survival stays at 1, without a band; watch more rollouts")                     \
    X(DPH_W_MEDIAN_BEYOND, DPH_BIT(DPH_SURVIVAL, 6), "median_beyond",                              \
      "survival stays above one half: the median lies beyond what was watched")                    \
    /* surface */                                                                                  \
    X(DPH_E_ONE_MODEL_SIZE, -20, "one_model_size",                                                 \
      "all points have the same N: E and A/N^alpha cannot be told apart")                          \
    X(DPH_E_ONE_TOKEN_COUNT, -21, "one_token_count",                                               \
      "all points have the same D: E and B/D^beta cannot be told apart")                           \
    X(DPH_E_FEW_MODEL_SIZES, -22, "few_model_sizes",                                               \
      "too few distinct N to tell E, A and alpha apart: three are needed, or fix one of them")     \
    X(DPH_E_FEW_TOKEN_COUNTS, -23, "few_token_counts",                                             \
      "too few distinct D to tell E, B and beta apart: three are needed, or fix one of them")      \
    X(DPH_E_ONE_BUDGET, -24, "one_budget",                                                         \
      "ln N and ln D lie on one line, as on a single budget: E, A and B are not identified")       \
    X(DPH_W_SURFACE_E_AT_ZERO, DPH_BIT(DPH_SURFACE, 0), "E_at_zero",                               \
      "E sits at its lower bound 0: the data do not show an irreducible loss")                     \
    X(DPH_W_SURFACE_A_AT_ZERO, DPH_BIT(DPH_SURFACE, 1), "A_at_zero",                               \
      "A sits at its lower bound 0: loss does not fall with N, alpha has no meaning")              \
    X(DPH_W_SURFACE_B_AT_ZERO, DPH_BIT(DPH_SURFACE, 2), "B_at_zero",                               \
      "B sits at its lower bound 0: loss does not fall with D, beta has no meaning")               \
    X(DPH_W_SURFACE_ALPHA_AT_BOUND, DPH_BIT(DPH_SURFACE, 3), "alpha_at_edge",                      \
      "alpha sits at the edge of its search range: the N term is a log or a step")                 \
    X(DPH_W_SURFACE_BETA_AT_BOUND, DPH_BIT(DPH_SURFACE, 4), "beta_at_edge",                        \
      "beta sits at the edge of its search range: the D term is a log or a step")                  \
    X(DPH_W_SURFACE_SATURATED, DPH_BIT(DPH_SURFACE, 5), "surface_saturated",                       \
      "as many free parameters as distinct (N, D): nothing is left to judge the fit by")           \
    X(DPH_W_SURFACE_ON_A_LINE, DPH_BIT(DPH_SURFACE, 6), "on_a_line",                               \
      "ln N and ln D lie on one line: only what was fixed tells the terms apart")                  \
    X(DPH_W_SURFACE_ILL_CONDITIONED, DPH_BIT(DPH_SURFACE, 7), "ill_conditioned",                   \
      "the points hardly tell the parameters apart: rounding alone moves one by over 1e-9")        \
    /* Richards curve */                                                                           \
    X(DPH_E_CONSTANT_ACCURACY, -30, "constant_accuracy", "all accuracies are equal")               \
    X(DPH_E_CEILING_TOO_LOW, -31, "ceiling_too_low", "the ceiling is not above the floor")         \
    X(DPH_W_K_AT_BOUND, DPH_BIT(DPH_RICHARDS, 0), "k_at_bound",                                    \
      "the steepness k sits at its bound: add runs where the curve rises")                         \
    X(DPH_W_X0_AT_BOUND, DPH_BIT(DPH_RICHARDS, 1), "location_at_bound",                            \
      "the location x0 sits at its bound: add runs on both sides of the rise")                     \
    X(DPH_W_V_AT_BOUND, DPH_BIT(DPH_RICHARDS, 2), "v_at_bound",                                    \
      "the shape v sits at its bound: the curve would rather be another one")                      \
    X(DPH_W_CEILING_AT_BOUND, DPH_BIT(DPH_RICHARDS, 3), "ceiling_at_bound",                        \
      "the ceiling sits at its bound: pin it, or add stronger models")                             \
    X(DPH_W_NONE_ABOVE_HALF, DPH_BIT(DPH_RICHARDS, 4), "none_above_half",                          \
      "no run above half height: ceiling not identified; add stronger models")                     \
    X(DPH_W_NONE_BELOW_HALF, DPH_BIT(DPH_RICHARDS, 5), "none_below_half",                          \
      "no run below half height: onset not identified; add weaker models")                         \
    X(DPH_W_CEILING_VAGUE, DPH_BIT(DPH_RICHARDS, 6), "ceiling_vague",                              \
      "the ceiling is known to no better than a quarter of the rise; add stronger models")         \
    X(DPH_W_VALLEY, DPH_BIT(DPH_RICHARDS, 7), "valley",                                            \
      "many curves fit equally well: trust the curve between the points, not its coefficients")    \
    X(DPH_W_NOT_RISING, DPH_BIT(DPH_RICHARDS, 8), "not_rising",                                    \
      "accuracy does not rise with x: check the sign of the soft metric")                          \
    X(DPH_W_NO_SPARE_POINTS, DPH_BIT(DPH_RICHARDS, 9), "no_spare_points",                          \
      "as many coefficients as distinct points: add runs before judging the fit")                  \
    /* downstream forecast, in the same family */                                                  \
    X(DPH_W_BEYOND_POOL, DPH_BIT(DPH_RICHARDS, 10), "beyond_pool",                                 \
      "the forecast soft metric lies beyond every model the curve was fitted to: add stronger "    \
      "models")                                                                                    \
    X(DPH_W_FLOOR_FROM_POOL, DPH_BIT(DPH_RICHARDS, 11), "floor_from_pool",                         \
      "the curve saturates nowhere usable: the best soft metric of the pool is the floor")         \
    X(DPH_W_SOFT_WARNED, DPH_BIT(DPH_RICHARDS, 12), "soft_warned",                                 \
      "the law of the soft metric has a status of its own: look at .law")                          \
    /* learning curve */                                                                           \
    X(DPH_E_PROGRESS, -40, "bad_progress",                                                         \
      "progress must lie between 0 and 1 and not decrease: sort the points, check the total")      \
    X(DPH_W_CURVE_SATURATED, DPH_BIT(DPH_CURVE, 0), "no_spare_steps",                              \
      "as many coefficients as distinct steps: take a longer prefix or a simpler shape")           \
    X(DPH_W_CURVE_FLAT, DPH_BIT(DPH_CURVE, 1), "does_not_fall",                                    \
      "the prefix does not fall: the fit is a level, look at the run before you trust it")         \
    X(DPH_W_F_AT_ZERO, DPH_BIT(DPH_CURVE, 2), "final_at_zero",                                     \
      "the final loss sits at its lower bound 0: take a longer prefix or another shape")           \
    X(DPH_W_F_AT_MAX, DPH_BIT(DPH_CURVE, 3), "final_at_max",                                       \
      "the final loss sits at its upper bound, the highest loss of the prefix")                    \
    X(DPH_W_DROP_AT_MAX, DPH_BIT(DPH_CURVE, 4), "drop_at_max",                                     \
      "the drop A sits at its upper bound, twice the highest loss: leave warm-up points out")      \
    X(DPH_W_THETA_AT_BOUND, DPH_BIT(DPH_CURVE, 5), "theta_at_bound",                               \
      "a shape parameter sits at the edge of its range: the curve is a limit of its shape")        \
    X(DPH_W_POINTS_LEFT_OUT, DPH_BIT(DPH_CURVE, 6), "points_left_out",                             \
      "points without a finite loss or step were left out: see the column left_out")               \
    X(DPH_W_MID_DECAY, DPH_BIT(DPH_CURVE, 7), "mid_decay",                                         \
      "the learning rate was still falling where the run was cut: its last loss is no end")        \
    X(DPH_W_DIVERGED, DPH_BIT(DPH_CURVE, 8), "diverged",                                           \
      "the run ended without a finite loss or far above its best: do not extrapolate it")          \
    X(DPH_W_UNFINISHED, DPH_BIT(DPH_CURVE, 9), "unfinished",                                       \
      "the run has not reached its end: there is no final loss to compare with")                   \
    X(DPH_W_SHORT_PREFIX, DPH_BIT(DPH_CURVE, 10), "short_prefix",                                  \
      "the run stops well before this prefix: the forecast is from what there is")                 \
    X(DPH_W_ENDS_EARLY, DPH_BIT(DPH_CURVE, 11), "ends_early",                                      \
      "ends before most runs like it, and its last step is taken as its end: name total")          \
    X(DPH_W_JOINT_STALLED, DPH_BIT(DPH_CURVE, 16), "joint_stalled",                                \
      "the joint fit was still falling when its steps ran out: give it a ridge or fewer terms")    \
    X(DPH_W_JOINT_RISES, DPH_BIT(DPH_CURVE, 17), "joint_rises",                                    \
      "the joint fit has a run that does not fall (A <= 0): do not read that run's forecast")      \
    X(DPH_W_TERMS_DROPPED, DPH_BIT(DPH_CURVE, 18), "terms_dropped",                                \
      "terms that are constant or follow from others were dropped: see .dropped")                  \
    X(DPH_W_RUNS_LEFT_OUT, DPH_BIT(DPH_CURVE, 19), "runs_left_out",                                \
      "runs that diverged or have no points were left out: see .left_out")                         \
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
      "the floor or an exponent sits at its bound: the data leave the form open")                  \
    X(DPH_W_COLLINEAR_HPARAMS, DPH_BIT(DPH_SWEEP, 15), "collinear_hparams",                        \
      "hyperparameters move together in the trials: their curves cannot be told apart")

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

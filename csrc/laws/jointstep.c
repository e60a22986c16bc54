#include "jointstep.h"

#include <math.h>
#include <string.h>

#include "../base/cholesky.h"

#define SLOPES 4 /* of a point: 1, s and up to two slopes */
#define DAMPING_LEAST 1e-7
#define DAMPING_FIRST 1.0
#define DAMPING_MOST 1e9
#define SHORTER 1e-3 /* of the damping, on each coefficient in its own unit */
#define GUARD 1e-13  /* of each diagonal, so that rounding leaves it positive definite */
#define FURTHEST 2.0 /* the furthest that ln theta of a run moves in one step */
#define NEWTON 1e-2  /* damping at which a step is nearly Newton's */
#define MOST_RESETS 3
#define STILL 1e-7 /* gain over the goal below which a failing search has arrived */

/* The box of ln theta. */
static const double lows[DPH_N_SHAPES][2] = {{-9, 0}, {-9, 0}, {-14, -7}, {-4, -9}};
static const double highs[DPH_N_SHAPES][2] = {{18, 0}, {7, 0}, {5, 5}, {3, 14}};

size_t
dph_joint_scratch(int64_t n_largest, int64_t n_runs, int n_terms)
{
    size_t size = (size_t)(DPH_JOINT_BLOCKS * n_terms);
    size_t shapes = (size_t)n_runs * sizeof(dph_curveshape) / sizeof(double) + 1;

    return shapes + 7 * (size_t)n_largest + 2 * size * size + 3 * size;
}

void
dph_joint_open(dph_joint *joint, const dph_jointcurve_batch *batch, int64_t cut, int form,
               const atomic_int *stopped, double *scratch)
{
    size_t size = (size_t)(DPH_JOINT_BLOCKS * batch->n_terms);
    double mean = 0;
    double square = 0;
    int64_t at = 0;

    *joint = (dph_joint){.batch = batch,
                         .tau = batch->tau,
                         .y = batch->loss,
                         .begins = batch->first + cut * batch->n_runs,
                         .ends = batch->last + cut * batch->n_runs,
                         .n_runs = batch->n_runs,
                         .n_terms = batch->n_terms,
                         .n_shape_terms = batch->n_shape_terms,
                         .form = form,
                         .n_theta = dph_curveshape_n_theta(form),
                         .low = {lows[form][0], lows[form][1]},
                         .high = {highs[form][0], highs[form][1]},
                         .stopped = stopped};
    for (int64_t r = 0; r < batch->n_runs; r++) {
        joint->n += joint->ends[r] - joint->begins[r];
    }
    joint->shapes = (dph_curveshape *)(void *)scratch;
    scratch += (size_t)batch->n_runs * sizeof(dph_curveshape) / sizeof(double) + 1;
    joint->matrix = scratch;
    joint->factor = joint->matrix + size * size;
    joint->gradient = joint->factor + size * size;
    joint->step = joint->gradient + size;
    joint->trial = joint->step + size;
    joint->s = joint->trial + size;
    joint->slope[0] = joint->s + joint->n;
    joint->slope[1] = joint->slope[0] + joint->n;
    joint->r = joint->slope[1] + joint->n;
    joint->spare = joint->r + joint->n;
    joint->base = joint->spare + joint->n;
    joint->part = joint->base + joint->n;
    for (int64_t r = 0; r < batch->n_runs; r++) {
        int64_t own = joint->ends[r] - joint->begins[r];

        dph_curveshape_open(joint->shapes + r, form, joint->tau + joint->begins[r], own,
                            joint->base + at, joint->part + at);
        for (int64_t i = joint->begins[r]; i < joint->ends[r]; i++) {
            mean += joint->y[i];
        }
        at += own;
    }
    mean /= (double)(joint->n > 0 ? joint->n : 1);
    for (int64_t r = 0; r < batch->n_runs; r++) {
        for (int64_t i = joint->begins[r]; i < joint->ends[r]; i++) {
            square += (joint->y[i] - mean) * (joint->y[i] - mean);
        }
    }
    joint->spread = sqrt(square / (double)(joint->n > 0 ? joint->n : 1));
}

int
dph_joint_stopped(const dph_joint *joint)
{
    return joint->stopped != NULL &&
           atomic_load_explicit(joint->stopped, memory_order_relaxed) != 0;
}

double
dph_joint_linear(const dph_joint *joint, const double *c, int64_t r, int n)
{
    const double *x = joint->batch->terms + r * joint->n_terms;
    double sum = 0;

    for (int k = 0; k < n; k++) {
        sum += x[k] * c[k];
    }
    return sum;
}

void
dph_joint_theta(const dph_joint *joint, const double *b, int64_t r, double *theta)
{
    for (int k = 0; k < joint->n_theta; k++) {
        double value =
            dph_joint_linear(joint, b + (2 + k) * joint->n_terms, r, joint->n_shape_terms);

        theta[k] = fmin(fmax(value, joint->low[k]), joint->high[k]);
    }
}

void
dph_joint_look(dph_joint *joint, const double *b, int with_slopes)
{
    int64_t at = 0;

    for (int64_t r = 0; r < joint->n_runs; r++) {
        int64_t own = joint->ends[r] - joint->begins[r];
        const double *y = joint->y + joint->begins[r];
        double *s = joint->s + at;
        double F = dph_joint_linear(joint, b, r, joint->n_terms);
        double A = dph_joint_linear(joint, b + joint->n_terms, r, joint->n_terms);
        double theta[2] = {0, 0};

        if (own == 0) {
            continue;
        }
        dph_joint_theta(joint, b, r, theta);
        dph_curveshape_values(joint->shapes + r, theta, s);
        for (int64_t i = 0; i < own; i++) {
            joint->r[at + i] = y[i] - F - A * s[i];
        }
        if (with_slopes) {
            dph_curveshape_slopes(joint->shapes + r, theta, s, joint->slope[0] + at,
                                  joint->n_theta > 1 ? joint->slope[1] + at : NULL);
            for (int k = 0; k < joint->n_theta; k++) {
                int held = theta[k] <= joint->low[k] || theta[k] >= joint->high[k];

                for (int64_t i = 0; i < own; i++) {
                    joint->slope[k][at + i] *= held ? 0 : A;
                }
            }
        }
        at += own;
    }
}

double
dph_joint_penalty(const dph_joint *joint, const double *b)
{
    double sum = 0;

    for (int block = 0; block < 2 + joint->n_theta; block++) {
        double unit = block < 2 ? 1 : joint->spread;
        int n = block < 2 ? joint->n_terms : joint->n_shape_terms;

        for (int k = 0; k < n; k++) {
            double c = unit * b[block * joint->n_terms + k];

            sum += joint->batch->ridge_on[k] * c * c;
        }
    }
    return sum / 2;
}

double
dph_joint_mean(const dph_joint *joint, double delta)
{
    double sum = 0;

    for (int64_t i = 0; i < joint->n; i++) {
        double off = fabs(joint->r[i]);

        sum += off <= delta ? off * off / 2 : delta * (off - delta / 2);
    }
    return sum / (double)joint->n;
}

double
dph_joint_value(const dph_joint *joint, const double *b, const dph_joint_goal *goal)
{
    return dph_joint_mean(joint, goal->delta) / goal->divisor +
           goal->ridge * dph_joint_penalty(joint, b);
}

/* Add a small matrix and vector of a run, times its terms, to the whole. */
static void
spread_out(dph_joint *joint, int64_t r, int m, double small[SLOPES][SLOPES], const double *side)
{
    const double *x = joint->batch->terms + r * joint->n_terms;
    int size = DPH_JOINT_BLOCKS * joint->n_terms;

    for (int p = 0; p < m; p++) {
        int rows = p < 2 ? joint->n_terms : joint->n_shape_terms;

        for (int i = 0; i < rows; i++) {
            int row = p * joint->n_terms + i;

            joint->gradient[row] += side[p] * x[i];
            for (int q = p; q < m; q++) {
                int columns = q < 2 ? joint->n_terms : joint->n_shape_terms;
                double factor = small[p][q] * x[i];
                double *to = joint->matrix + row * size + q * joint->n_terms;

                for (int j = q == p ? i : 0; j < columns; j++) {
                    to[j] += factor * x[j];
                }
            }
        }
    }
}

/* The normal matrix (upper triangle) and the negative gradient of the goal. */
static void
assemble(dph_joint *joint, const double *b, const dph_joint_goal *goal, int m, double damping)
{
    int size = DPH_JOINT_BLOCKS * joint->n_terms;
    double inside = fmax(1, damping) / (goal->divisor * (double)joint->n);
    double share = 1 / (goal->divisor * (double)joint->n);
    int64_t at = 0;

    memset(joint->matrix, 0, sizeof(double) * (size_t)(size * size));
    memset(joint->gradient, 0, sizeof(double) * (size_t)size);
    for (int64_t r = 0; r < joint->n_runs; r++) {
        double small[SLOPES][SLOPES] = {{0}};
        double side[SLOPES] = {0};
        int64_t end = at + joint->ends[r] - joint->begins[r];

        for (; at < end; at++) {
            double u[SLOPES] = {1, joint->s[at], m > 2 ? joint->slope[0][at] : 0,
                                m > 3 ? joint->slope[1][at] : 0};
            double off = fabs(joint->r[at]);
            double weight = off <= goal->delta ? inside : damping * goal->delta / off * share;
            double pull =
                share * (off <= goal->delta ? joint->r[at] : copysign(goal->delta, joint->r[at]));

            for (int p = 0; p < m; p++) {
                side[p] += pull * u[p];
                for (int q = p; q < m; q++) {
                    small[p][q] += weight * u[p] * u[q];
                }
            }
        }
        spread_out(joint, r, m, small, side);
    }
    for (int block = 0; block < m; block++) {
        double unit = block < 2 ? 1 : joint->spread * joint->spread;
        int n = block < 2 ? joint->n_terms : joint->n_shape_terms;

        for (int k = 0; k < n; k++) {
            int row = block * joint->n_terms + k;
            double ridge = goal->ridge * unit * joint->batch->ridge_on[k];

            joint->matrix[row * size + row] += ridge;
            joint->gradient[row] -= ridge * b[row];
        }
    }
}

int
dph_joint_solve(dph_joint *joint, const double *b, const dph_joint_goal *goal, int n_shapes,
                double damping, double rank, double *promise)
{
    int m = 2 + n_shapes;
    int size = DPH_JOINT_BLOCKS * joint->n_terms;
    int used[DPH_JOINT_BLOCKS * DPH_JOINT_TERMS];
    double unit[DPH_JOINT_BLOCKS * DPH_JOINT_TERMS];
    int n = 0;
    double gain = 0;

    assemble(joint, b, goal, m, damping);
    for (int block = 0; block < m; block++) {
        for (int k = 0; k < (block < 2 ? joint->n_terms : joint->n_shape_terms); k++) {
            used[n++] = block * joint->n_terms + k;
        }
    }
    /* in units that make the diagonal 1, so that pivots say what they are */
    for (int i = 0; i < n; i++) {
        double diagonal = joint->matrix[used[i] * size + used[i]];

        unit[i] = diagonal > 0 ? 1 / sqrt(diagonal) : 0;
        if (!(diagonal > 0) && rank > 0) {
            return DPH_E_RANK;
        }
    }
    for (int i = 0; i < n; i++) {
        for (int j = i; j < n; j++) {
            joint->factor[i * n + j] = joint->matrix[used[i] * size + used[j]] * unit[i] * unit[j];
        }
        joint->factor[i * n + i] = 1 + GUARD + SHORTER * damping;
        joint->trial[i] = joint->gradient[used[i]] * unit[i];
    }
    if (dph_cholesky(joint->factor, n) != DPH_OK) {
        return DPH_E_RANK;
    }
    for (int i = 0; i < n && rank > 0; i++) {
        if (joint->factor[i * n + i] * joint->factor[i * n + i] < rank) {
            return DPH_E_RANK;
        }
    }
    dph_cholesky_forward(joint->factor, n, joint->trial, 1);
    dph_cholesky_backward(joint->factor, n, joint->trial);
    memset(joint->step, 0, sizeof(double) * (size_t)size);
    for (int i = 0; i < n; i++) {
        joint->step[used[i]] = joint->trial[i] * unit[i];
        gain += joint->step[used[i]] * joint->gradient[used[i]];
    }
    if (promise != NULL) {
        *promise = gain / 2;
    }
    return isfinite(gain) ? DPH_OK : DPH_E_NO_CONVERGENCE;
}

/* The largest change of ln theta that the step means for any run. */
static double
stride(const dph_joint *joint, int n_shapes)
{
    double most = 0;

    for (int64_t r = 0; r < joint->n_runs; r++) {
        for (int k = 0; k < n_shapes; k++) {
            most = fmax(most, fabs(dph_joint_linear(joint, joint->step + (2 + k) * joint->n_terms,
                                                    r, joint->n_shape_terms)));
        }
    }
    return most;
}

int
dph_joint_descend(dph_joint *joint, double *b, const dph_joint_goal *goal, int n_shapes, int most,
                  double tolerance, int *steps)
{
    int size = DPH_JOINT_BLOCKS * joint->n_terms;
    double damping = DAMPING_FIRST;
    double value = 0;
    double last_gain = INFINITY;
    int resets = 0;
    int rest = 0;

    dph_joint_look(joint, b, n_shapes > 0);
    value = dph_joint_value(joint, b, goal);
    for (*steps = 0; *steps < most && !rest && !dph_joint_stopped(joint); (*steps)++) {
        double promise = 0;
        double trial_value = 0;
        double long_by = 1;

        if (dph_joint_solve(joint, b, goal, n_shapes, damping, 0, &promise) != DPH_OK) {
            damping = fmax(damping * 10, 1e-4);
            if (damping > DAMPING_MOST) {
                break;
            }
            continue;
        }
        if (!(promise > tolerance * value)) {
            /* a step held short promises little anywhere: ask Newton's before resting */
            rest = damping <= NEWTON || value <= 0 || resets++ >= MOST_RESETS;
            damping = NEWTON;
            continue;
        }
        long_by = fmin(1, FURTHEST / fmax(stride(joint, n_shapes), 1e-300));
        for (int k = 0; k < size; k++) {
            joint->trial[k] = b[k] + long_by * joint->step[k];
        }
        dph_joint_look(joint, joint->trial, n_shapes > 0);
        trial_value = dph_joint_value(joint, joint->trial, goal);
        if (trial_value < value) {
            double ratio = (value - trial_value) / promise;

            last_gain = value - trial_value;
            value = trial_value;
            memcpy(b, joint->trial, sizeof(double) * (size_t)size);
            damping = fmax(damping * (ratio > 0.5 ? 0.1 : ratio > 0.1 ? 0.5 : 2), DAMPING_LEAST);
        } else {
            damping *= 8;
            dph_joint_look(joint, b, n_shapes > 0);
            if (damping > DAMPING_MOST) {
                rest = last_gain <= STILL * value;
                break;
            }
        }
    }
    dph_joint_look(joint, b, 0);
    return rest;
}

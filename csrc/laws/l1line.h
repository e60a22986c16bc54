/* loss = F + A s with F and A in a box: the inner problem of a learning curve, absolute error.
 *
 * For a fixed A the best F is the median of y - A s, held in its bounds, and what is left is a
 * convex piecewise linear function of A alone. Its tangents at two values of A bound it from below,
 * so the search ends with a certificate: no (F, A) in the box is better by more than rounding.
 */
#ifndef DPH_L1LINE_H
#define DPH_L1LINE_H

#include "huberline.h"

/* Minimise the sum of |y - F - A s| exactly, from the A that fit comes with.
 *
 * scratch  double[line->n]
 *
 * Returns the gap: the sum at the answer minus a lower bound on it over the whole box. */
double dph_l1line_fit(const dph_boxline *line, double *scratch, dph_boxfit *fit);

#endif

/* Single fits for the tests of the laws. */
#ifndef DPH_FITS_H
#define DPH_FITS_H

#include "laws/parabola.h"
#include "laws/powerlaw.h"

/* Lives as long as the run; main() sees to it. */
extern dph_minimiser *fits_minimiser;

/* One group; params may be NULL. */
dph_parabola
fit_parabola(const double *tokens, const double *loss, const double *params, int64_t n, int joint);

/* The same from x = log10(tokens), at most 64 points. */
dph_parabola fit_parabola_x(const double *x, const double *loss, int n, int joint);

/* The record of a failed fit: this code, every value NaN. */
void check_no_parabola(dph_parabola p, int32_t status);
void check_no_powerlaw(dph_powerlaw law, int32_t status);

/* One suite; floor NaN leaves it free. */
dph_powerlaw fit_powerlaw(const double *compute, const double *loss, int64_t n, double floor,
                          const dph_powerlaw_options *options);

/* One set of suites into out[n_suites]. */
void
fit_powerlaws(const double *compute, const double *loss, const int64_t *offsets, int64_t n_suites,
              double floor, const dph_powerlaw_options *options, dph_powerlaw *out);

/* n points of L + A (C / 1e18)^-alpha over three decades, with noise. */
void draw_powerlaw(double *compute, double *loss, int64_t n, double L, double A, double alpha,
                   double noise, uint64_t *seed);

static const dph_powerlaw_options profile = {.score = DPH_SCORE_LOSS, .search = DPH_SEARCH_PROFILE};
static const dph_powerlaw_options log_profile = {.score = DPH_SCORE_LOG,
                                                 .search = DPH_SEARCH_PROFILE};
static const dph_powerlaw_options grid = {
    .score = DPH_SCORE_LOSS, .search = DPH_SEARCH_GRID, .n_grid = 400};
static const dph_powerlaw_options log_grid = {
    .score = DPH_SCORE_LOG, .search = DPH_SEARCH_GRID, .n_grid = 400};

#endif

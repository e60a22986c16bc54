#include "nist.h"

#include <complex.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.141592653589793238462643383279L
#define STEP 1e-200L
#define LANCZOS1 12 /* in nist_names: fitted down to 1e-13 of its data */

typedef long double complex wide;

const char *const nist_names[NIST_PROBLEMS] = {
    "Misra1a", "Chwirut2", "Chwirut1", "Lanczos3", "Gauss1", "Gauss2",   "DanWood",
    "Misra1b", "Kirby2",   "Hahn1",    "Nelson",   "MGH17",  "Lanczos1", "Lanczos2",
    "Gauss3",  "Misra1c",  "Misra1d",  "Roszman1", "ENSO",   "MGH09",    "Thurber",
    "BoxBOD",  "Rat42",    "MGH10",    "Eckerle4", "Rat43",  "Bennett5"};

static wide
square(wide z)
{
    return z * z;
}

static wide
misra1a(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] * (1 - cexpl(-b[1] * x));
}

static wide
misra1b(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] * (1 - 1 / square(1 + b[1] * x / 2));
}

static wide
misra1c(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] * (1 - 1 / csqrtl(1 + 2 * b[1] * x));
}

static wide
misra1d(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] * b[1] * x / (1 + b[1] * x);
}

static wide
chwirut(const wide *b, long double x, long double x2)
{
    (void)x2;
    return cexpl(-b[0] * x) / (b[1] + b[2] * x);
}

static wide
lanczos(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] * cexpl(-b[1] * x) + b[2] * cexpl(-b[3] * x) + b[4] * cexpl(-b[5] * x);
}

static wide
gauss(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] * cexpl(-b[1] * x) + b[2] * cexpl(-square((x - b[3]) / b[4])) +
           b[5] * cexpl(-square((x - b[6]) / b[7]));
}

static wide
danwood(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] * cexpl(b[1] * logl(x));
}

static wide
kirby2(const wide *b, long double x, long double x2)
{
    (void)x2;
    return (b[0] + x * (b[1] + x * b[2])) / (1 + x * (b[3] + x * b[4]));
}

static wide
cubics(const wide *b, long double x, long double x2)
{
    (void)x2;
    return (b[0] + x * (b[1] + x * (b[2] + x * b[3]))) / (1 + x * (b[4] + x * (b[5] + x * b[6])));
}

static wide
nelson(const wide *b, long double x, long double x2)
{
    return b[0] - b[1] * x * cexpl(-b[2] * x2);
}

static wide
mgh17(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] + b[1] * cexpl(-x * b[3]) + b[2] * cexpl(-x * b[4]);
}

static wide
roszman1(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] - b[1] * x - catanl(b[2] / (x - b[3])) / PI;
}

static wide
enso(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] + b[1] * cosl(2 * PI * x / 12) + b[2] * sinl(2 * PI * x / 12) +
           b[4] * ccosl(2 * PI * x / b[3]) + b[5] * csinl(2 * PI * x / b[3]) +
           b[7] * ccosl(2 * PI * x / b[6]) + b[8] * csinl(2 * PI * x / b[6]);
}

static wide
mgh09(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] * (x * x + x * b[1]) / (x * x + x * b[2] + b[3]);
}

static wide
boxbod(const wide *b, long double x, long double x2)
{
    return misra1a(b, x, x2);
}

static wide
rat42(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] / (1 + cexpl(b[1] - b[2] * x));
}

static wide
rat43(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] / cexpl(clogl(1 + cexpl(b[1] - b[2] * x)) / b[3]);
}

static wide
mgh10(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] * cexpl(b[1] / (x + b[2]));
}

static wide
eckerle4(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] / b[1] * cexpl(-square((x - b[2]) / b[1]) / 2);
}

static wide
bennett5(const wide *b, long double x, long double x2)
{
    (void)x2;
    return b[0] * cexpl(-clogl(b[1] + x) / b[2]);
}

typedef wide (*model)(const wide *b, long double x, long double x2);

/* In the order of nist_names. */
static const model models[NIST_PROBLEMS] = {
    misra1a, chwirut, chwirut, lanczos, gauss,   gauss, danwood,  misra1b, kirby2,
    cubics,  nelson,  mgh17,   lanczos, lanczos, gauss, misra1c,  misra1d, roszman1,
    enso,    mgh09,   cubics,  boxbod,  rat42,   mgh10, eckerle4, rat43,   bennett5};

#ifdef NIST_FLOAT128
#define WIDE_EXP expf128
#define WIDE_LOG logf128
#define WIDE_READ strtof128
#else
#define WIDE_EXP expl
#define WIDE_LOG logl
#define WIDE_READ strtold
#endif

static nist_real
lanczos_real(const double *b, nist_real x)
{
    return b[0] * WIDE_EXP(-b[1] * x) + b[2] * WIDE_EXP(-b[3] * x) + b[4] * WIDE_EXP(-b[5] * x);
}

void
nist_residuals(const double *theta, double *r, double *jacobian, void *ctx)
{
    const nist_problem *p = ctx;
    model f = models[p->model];
    wide b[DPH_LM_MAX];

    for (int j = 0; j < p->n_params; j++) {
        b[j] = theta[j];
    }
    for (int64_t i = 0; i < p->n; i++) {
        r[i] = (double)((p->model == LANCZOS1
                             ? lanczos_real(theta, p->x[i])
                             : creall(f(b, (long double)p->x[i], (long double)p->x2[i]))) -
                        p->y[i]);
    }
    for (int j = 0; jacobian != NULL && j < p->n_params; j++) {
        b[j] = theta[j] + STEP * I;
        for (int64_t i = 0; i < p->n; i++) {
            jacobian[j * p->n + i] =
                (double)(cimagl(f(b, (long double)p->x[i], (long double)p->x2[i])) / STEP);
        }
        b[j] = theta[j];
    }
}

int
nist_read(const char *folder, int which, nist_problem *out)
{
    char path[1024];
    char line[512];
    FILE *file = NULL;
    int n_lines = 0;

    memset(out, 0, sizeof *out);
    out->name = nist_names[which];
    out->model = which;
    snprintf(path, sizeof path, "%s/%s.dat", folder, out->name);
    file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        int j = 0;
        double v[4] = {0};
        char *end = line;

        n_lines++;
        if (sscanf(line, " b%d = %lf %lf %lf %lf", &j, &v[0], &v[1], &v[2], &v[3]) == 5 && j >= 1 &&
            j <= DPH_LM_MAX) {
            out->starts[0][j - 1] = v[0];
            out->starts[1][j - 1] = v[1];
            out->certified[j - 1] = v[2];
            out->errors[j - 1] = v[3];
            out->n_params = j > out->n_params ? j : out->n_params;
        } else if (sscanf(line, "Residual Sum of Squares: %lf", &v[0]) == 1) {
            out->rss = v[0];
        } else if (n_lines > 60 && out->n < NIST_POINTS) {
            nist_real y = WIDE_READ(line, &end);

            if (end != line) {
                out->y[out->n] = which == 10 ? WIDE_LOG(y) : y; /* Nelson: log of the response */
                out->x[out->n] = WIDE_READ(end, &end);
                out->x2[out->n] = WIDE_READ(end, &end);
                out->n++;
            }
        }
    }
    fclose(file);
    return out->n > 0 && out->n_params > 0;
}

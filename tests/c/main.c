/* Run all suites, or those named as arguments; exit code 1 if a check fails or a name is unknown.
 */
#define _POSIX_C_SOURCE 200809L

#include <stdlib.h>
#include <time.h>

#include "check.h"
#include "fits.h"
#include "suites.h"

long check_passed = 0;
long check_failed = 0;

typedef struct {
    const char *name;
    void (*run)(void);
} suite;

static const suite suites[] = {
#define SUITE_ROW(name) {#name, test_##name},
    SUITES(SUITE_ROW)
#undef SUITE_ROW
};
static const int n_suites = (int)(sizeof suites / sizeof suites[0]);

int64_t
check_heavy(int64_t n)
{
    const char *light = getenv("DPH_TEST_LIGHT");

    return light == NULL || light[0] == '\0' ? n : n / 30 + 1;
}

static void
run(const suite *s)
{
    struct timespec begin = {0};
    struct timespec end = {0};
    long passed = check_passed;
    long failed = check_failed;
    double ms = 0;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    s->run();
    clock_gettime(CLOCK_MONOTONIC, &end);
    ms = 1e3 * (double)(end.tv_sec - begin.tv_sec) + 1e-6 * (double)(end.tv_nsec - begin.tv_nsec);
    printf("%-14s %7ld passed, %ld failed  %6.0f ms\n", s->name, check_passed - passed,
           check_failed - failed, ms);
    fflush(stdout);
}

int
main(int argc, char **argv)
{
    int unknown = 0;

    dph_gsl_init();
    fits_minimiser = dph_minimiser_new();
    if (fits_minimiser == NULL) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    for (int a = 1; a < argc; a++) {
        int known = 0;

        for (int i = 0; i < n_suites; i++) {
            if (strcmp(argv[a], suites[i].name) == 0) {
                run(&suites[i]);
                known = 1;
            }
        }
        if (!known) {
            fprintf(stderr, "no suite named %s\n", argv[a]);
            unknown = 1;
        }
    }
    if (argc == 1) {
        for (int i = 0; i < n_suites; i++) {
            run(&suites[i]);
        }
    }
    dph_minimiser_free(fits_minimiser);
    printf("%ld passed, %ld failed\n", check_passed, check_failed);
    return check_failed != 0 || unknown;
}

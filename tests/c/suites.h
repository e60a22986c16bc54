/* X(name) stands for test_<name>.c and its test_<name>(): one a file of the core, two for each law.
 */
#ifndef DPH_SUITES_H
#define DPH_SUITES_H

#define SUITES(X)                                                                                  \
    X(status)                                                                                      \
    X(groups)                                                                                      \
    X(column)                                                                                      \
    X(order)                                                                                       \
    X(line)                                                                                        \
    X(lstsq)                                                                                       \
    X(smallinverse)                                                                                \
    X(veclog)                                                                                      \
    X(distributions)                                                                               \
    X(minimise)                                                                                    \
    X(parallel)                                                                                    \
    X(parabola)                                                                                    \
    X(window)                                                                                      \
    X(isocurve)                                                                                    \
    X(joint)                                                                                       \
    X(floorfit)                                                                                    \
    X(identify)                                                                                    \
    X(powerlaw)                                                                                    \
    X(posterior)                                                                                   \
    X(floors)                                                                                      \
    X(bootstrap)                                                                                   \
    X(quantile)                                                                                    \
    X(survival)                                                                                    \
    X(surface)                                                                                     \
    X(vecexp)                                                                                      \
    X(nlls)                                                                                        \
    X(richards)                                                                                    \
    X(boxline)                                                                                     \
    X(curve)                                                                                       \
    X(jointcurve)                                                                                  \
    X(cholesky)                                                                                    \
    X(partial_dependence)                                                                          \
    X(ridge)

#define SUITE_DECLARE(name) void test_##name(void);
SUITES(SUITE_DECLARE)
#undef SUITE_DECLARE

#endif

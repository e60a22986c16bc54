#include "base/distributions.h"

#include "check.h"
#include "suites.h"

#define PI 3.14159265358979323846

/* Closed forms for one, two and four degrees of freedom. */
static double
exact_quantile(double p, int dof)
{
    double q = 4 * p * (1 - p);

    if (dof == 1) {
        return tan(PI * (p - 0.5));
    }
    if (dof == 2) {
        return (2 * p - 1) * sqrt(2 / q);
    }
    return (p < 0.5 ? -2 : 2) * sqrt(cos(acos(sqrt(q)) / 3) / sqrt(q) - 1);
}

static void
test_closed_forms(void)
{
    static const int dofs[] = {1, 2, 4};

    for (int d = 0; d < 3; d++) {
        for (int i = 1; i < 200; i++) {
            double p = i / 200.0;

            if (i != 100) { /* both sides of the comparison lose their digits at 0 */
                CHECK_NEAR(dph_t_quantile(p, dofs[d]), exact_quantile(p, dofs[d]), 1e-9);
            }
        }
        CHECK_NEAR(dph_t_quantile(0.9999, dofs[d]), exact_quantile(0.9999, dofs[d]), 1e-9);
    }
}

/* Columns: 0.6, 0.9, 0.95, 0.975, 0.995, 0.9995. */
static void
test_table(void)
{
    static const double ps[] = {0.6, 0.9, 0.95, 0.975, 0.995, 0.9995};
    static const struct {
        double dof;
        double t[6];
    } rows[] = {
        {2.5,
         {0.2814595127485477, 1.7302509288071766, 2.5582186141359355, 3.5746548420036817,
          7.163728138948783, 18.277893528131457}},
        {3,
         {0.2766706623326898, 1.637744353696209, 2.3533634348018233, 3.1824463052837078,
          5.840909309733355, 12.923978636687961}},
        {5,
         {0.2671808657041451, 1.4758840488244815, 2.0150483733330233, 2.5705818356363146,
          4.032142983555228, 6.868826625881276}},
        {10,
         {0.2601848294920803, 1.372183641110336, 1.8124611228116756, 2.228138851986274,
          3.16927267261695, 4.586893858702708}},
        {30,
         {0.2556053649519128, 1.3104150253913955, 1.697260886593957, 2.0422724563012378,
          2.7499956535672254, 3.6459586350420627}},
        {120,
         {0.25390952321492877, 1.288646233656378, 1.6576508993552352, 1.9799304050824402,
          2.6174211451068654, 3.373453768562533}},
        {1000,
         {0.25341451583943876, 1.2823987214609247, 1.6463788172854643, 1.9623390808264083,
          2.580754698065951, 3.300282648423944}},
        {1e6,
         {0.25334717053784184, 1.281552412129939, 1.6448551507220404, 1.959966356814107,
          2.5758342201053344, 3.2905364612487222}},
    };

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        for (int k = 0; k < 6; k++) {
            CHECK_NEAR(dph_t_quantile(ps[k], rows[r].dof), rows[r].t[k], 1e-9);
            CHECK_NEAR(dph_t_quantile(1 - ps[k], rows[r].dof), -rows[r].t[k], 1e-9);
        }
        CHECK_ABS(dph_t_quantile(0.5, rows[r].dof), 0, 1e-15);
    }
}

static void
test_out_of_range(void)
{
    static const double bad_p[] = {0, 1, -0.1, 1.1, NAN, INFINITY, -INFINITY};
    static const double bad_dof[] = {0, -1, NAN, -INFINITY};

    for (size_t i = 0; i < sizeof bad_p / sizeof bad_p[0]; i++) {
        CHECK(isnan(dph_t_quantile(bad_p[i], 5)));
    }
    for (size_t i = 0; i < sizeof bad_dof / sizeof bad_dof[0]; i++) {
        CHECK(isnan(dph_t_quantile(0.975, bad_dof[i])));
    }
}

void
test_distributions(void)
{
    test_closed_forms();
    test_table();
    test_out_of_range();
}

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

/* Columns: 0.005, 0.025, 0.05, 0.5, 0.95, 0.975, 0.995. With two degrees of freedom chi-square is
 * exponential. */
static void
test_chi2_table(void)
{
    static const double ps[] = {0.005, 0.025, 0.05, 0.5, 0.95, 0.975, 0.995};
    static const struct {
        double dof;
        double q[7];
    } rows[] = {
        {1,
         {3.9270422220515944e-05, 0.0009820691171752555, 0.003932140000019522, 0.454936423119572,
          3.841458820694124, 5.023886187314888, 7.879438576622417}},
        {2.5,
         {0.03211343311105102, 0.11862294210006345, 0.21075811235783617, 1.8738477677808791,
          6.928076113452421, 8.392295266912964, 11.75376148498305}},
        {5,
         {0.41174190383249887, 0.8312116134866625, 1.1454762260617692, 4.351460191095526,
          11.070497693516351, 12.832501994030027, 16.74960234363904}},
        {10,
         {2.155856481304639, 3.2469727802368413, 3.9402991361190605, 9.34181776559197,
          18.307038053275146, 20.483177350807388, 25.18817957197117}},
        {30,
         {13.78671985950272, 16.79077226556663, 18.49266098195347, 29.336031516661585,
          43.77297182574219, 46.97924224367115, 53.671961930240585}},
        {100,
         {67.32756330547916, 74.22192747492373, 77.92946516501726, 99.33412923598846,
          124.34211340400407, 129.5611971858366, 140.1694894423138}},
        {5000,
         {4746.1745500332745, 4805.904730862248, 4836.659490072326, 4999.33334913811,
          5165.614518675803, 5197.883771923797, 5261.338324390539}},
    };

    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        for (int k = 0; k < 7; k++) {
            CHECK_NEAR(dph_chi2_quantile(ps[k], rows[r].dof), rows[r].q[k], 1e-9);
        }
    }
    for (int i = 1; i < 200; i++) {
        double p = i / 200.0;

        CHECK_NEAR(dph_chi2_quantile(p, 2), -2 * log1p(-p), 1e-12);
    }
    /* GSL's own search gives up on these. */
    CHECK_NEAR(dph_chi2_quantile(0.995, 2159), 2332.0162250733974, 1e-9);
    CHECK_NEAR(dph_chi2_quantile(0.025, 3109), 2956.3513599225957, 1e-9);
}

static void
test_out_of_range(void)
{
    static const double bad_p[] = {0, 1, -0.1, 1.1, NAN, INFINITY, -INFINITY};
    static const double bad_dof[] = {0, -1, NAN, -INFINITY};

    for (size_t i = 0; i < sizeof bad_p / sizeof bad_p[0]; i++) {
        CHECK(isnan(dph_t_quantile(bad_p[i], 5)));
        CHECK(isnan(dph_chi2_quantile(bad_p[i], 5)));
    }
    for (size_t i = 0; i < sizeof bad_dof / sizeof bad_dof[0]; i++) {
        CHECK(isnan(dph_t_quantile(0.975, bad_dof[i])));
        CHECK(isnan(dph_chi2_quantile(0.975, bad_dof[i])));
    }
    CHECK(isnan(dph_chi2_quantile(0.975, INFINITY)));
}

void
test_distributions(void)
{
    test_closed_forms();
    test_table();
    test_chi2_table();
    test_out_of_range();
}

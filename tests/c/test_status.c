#include "base/status.h"

#include "check.h"
#include "suites.h"

/* The numbers are an interface: files and users keep them. */
static void
test_codes(void)
{
    static const struct {
        int32_t code;
        const char *name;
    } known[] = {
        {0, "ok"},
        {-1, "memory"},
        {-2, "cancelled"},
        {-3, "offsets"},
        {-4, "argument"},
        {-10, "too_few_points"},
        {-11, "equal_x"},
        {-12, "bad_value"},
        {-13, "constant_loss"},
        {-14, "not_decreasing"},
        {-15, "floor_too_high"},
        {-16, "no_convergence"},
        {-17, "rank"},
        {-18, "no_minimum"},
        {1, "concave"},
        {2, "clipped"},
        {4, "unbracketed"},
        {8, "saturated"},
        {16, "a_under_fallback"},
        {32, "a_over_fallback"},
        {64, "joint_failed"},
        {128, "joint_at_bound"},
        {256, "joint_concave"},
        {512, "floor_at_zero"},
        {1024, "floor_at_min"},
        {2048, "alpha_at_bound"},
        {4096, "window_widened"},
        {8192, "off_centre"},
        {16384, "duplicated_designs"},
        {32768, "p_at_bound"},
        {65536, "q_at_bound"},
        {131072, "alpha_weak"},
        {1048576, "floor_not_identified"},
        {2097152, "misfit"},
        {4194304, "extrapolated"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!CHECK(strcmp(dph_status_name(known[i].code), known[i].name) == 0)) {
            fprintf(stderr, "    code %d is %s\n", known[i].code, dph_status_name(known[i].code));
        }
    }
    CHECK_INT(DPH_E_RANK, -17);
    CHECK_INT(DPH_W_ALPHA_AT_BOUND, 2048);
}

static void
test_table(void)
{
    int n = 0;
    const dph_status_entry *rows = dph_status_entries(&n);

    CHECK(n >= 25);
    CHECK_INT(rows[0].code, DPH_OK);
    for (int i = 0; i < n; i++) {
        int32_t code = rows[i].code;

        int32_t bit = code & 0xffffff;

        CHECK(code <= 0 || (bit != 0 && (bit & (bit - 1)) == 0)); /* one bit in its family */
        CHECK(strlen(rows[i].name) > 0 && strlen(rows[i].sentence) > 0);
        CHECK(strspn(rows[i].name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") ==
              strlen(rows[i].name));
        CHECK(dph_status_name(code) == rows[i].name);
        CHECK(dph_status_sentence(code) == rows[i].sentence);
        for (int j = 0; j < i; j++) {
            CHECK(rows[j].code != code);
            CHECK(strcmp(rows[j].name, rows[i].name) != 0);
            CHECK(strcmp(rows[j].sentence, rows[i].sentence) != 0);
        }
    }
}

static void
test_unknown(void)
{
    static const int32_t codes[] = {-5, -100, 3, 1 << 30, INT32_MIN, INT32_MAX};

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        CHECK(strcmp(dph_status_name(codes[i]), "unknown") == 0);
        CHECK(strcmp(dph_status_sentence(codes[i]), dph_status_sentence(DPH_OK)) != 0);
    }
}

void
test_status(void)
{
    test_codes();
    test_table();
    test_unknown();
}

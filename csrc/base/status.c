#include "status.h"

static const dph_status_entry entries[] = {
#define DPH_STATUS_ROW(symbol, value, name, sentence) {(value), (name), (sentence)},
    DPH_STATUS_TABLE(DPH_STATUS_ROW)
#undef DPH_STATUS_ROW
};

static const dph_status_entry unknown = {0, "unknown", "no such status code"};

const dph_status_entry *
dph_status_entries(int *n)
{
    *n = (int)(sizeof entries / sizeof entries[0]);
    return entries;
}

static const dph_status_entry *
find(int32_t code)
{
    int n = 0;
    const dph_status_entry *rows = dph_status_entries(&n);

    for (int i = 0; i < n; i++) {
        if (rows[i].code == code) {
            return &rows[i];
        }
    }
    return &unknown;
}

const char *
dph_status_name(int32_t code)
{
    return find(code)->name;
}

const char *
dph_status_sentence(int32_t code)
{
    return find(code)->sentence;
}

/* SPDX-License-Identifier: MIT */
/* check_pack.c - packing loses nothing: every row of a packed panel decodes to the very bits
 * that the file's row decodes to, for every layout, whatever the bytes are. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "check_weights.h"

static void pack_one(mt_layout lay, int64_t k, int n_null, int misalign)
{
    const mt_layout_info *l = &mt_layouts[lay];
    const size_t row_bytes = mt_row_bytes(l->type, k);
    ck_shape("%s k=%lld null=%d misalign=%d", l->name, (long long)k, n_null, misalign);
    const uint8_t *rows[MT_PANEL];
    for (int r = 0; r < MT_PANEL; r++) {
        uint8_t *row = r < MT_PANEL - n_null ? ck_mem(row_bytes, (size_t)misalign) : NULL;
        for (size_t i = 0; row && i < row_bytes; i++) row[i] = (uint8_t)ck_bits();
        rows[r] = row;
    }
    uint8_t *panel = ck_mem(mt_panel_bytes(lay, k), 0);
    mt_pack_panel(lay, rows, k, panel);
    float *expected = ck_plain((size_t)k * sizeof(float)),
          *got = ck_mem((size_t)k * sizeof(float), 0);
    for (int r = 0; r < MT_PANEL; r++) {
        mt_unpack_row(lay, panel, r, k, got);
        if (rows[r]) {
            mt_decode_row(l->type, rows[r], expected, k);
            ck_same("row", got, expected, (size_t)k);
            continue;
        }
        bool is_zero = true;
        for (int64_t i = 0; i < k; i++) is_zero = is_zero && got[i] == 0.0f;
        ck_that(is_zero, "missing row %d is not zero", r);
    }
    ck_canaries();
}

static void pack(void)
{
    for (int lay = 0; lay < MT_LAY_COUNT; lay++) {
        const int64_t unit = weights_step((mt_layout)lay);
        mt_layout found;
        ck_shape("%s", mt_layouts[lay].name);
        ck_that(mt_layout_for(mt_layouts[lay].type, &found) && found == (mt_layout)lay,
                "mt_layout_for does not find it");
        ck_that(mt_packed_bytes((mt_layout)lay, 33, 512) ==
                    2 * mt_panel_bytes((mt_layout)lay, 512),
                "33 rows are not two panels");
        pack_one((mt_layout)lay, unit, 0, 0);
        pack_one((mt_layout)lay, unit == 1 ? 37 : 3 * unit, 5, 1);
        if (!ck_quick) pack_one((mt_layout)lay, unit > 64 ? 1536 : 576, 0, 3);
    }
    mt_layout found;
    ck_shape("no layout");
    ck_that(!mt_layout_for(MT_I32, &found), "I32 has a layout");
}

/* ---- speed --------------------------------------------------------------- */
typedef struct job {
    mt_layout lay;
    int64_t k;
    const uint8_t *rows[MT_PANEL];
    uint8_t *panel;
    float *out;
} job;
static void pack_job(const void *arg)
{
    const job *j = arg;
    mt_pack_panel(j->lay, j->rows, j->k, j->panel);
}
static void unpack_job(const void *arg)
{
    const job *j = arg;
    mt_unpack_row(j->lay, j->panel, 5, j->k, j->out);
}

static void bench(void)
{
    for (int lay = 0; lay < MT_LAY_COUNT; lay++) {
        const mt_layout_info *l = &mt_layouts[lay];
        job j = {.lay = (mt_layout)lay, .k = 1536};
        const size_t row_bytes = mt_row_bytes(l->type, j.k);
        ck_shape("%s", l->name);
        uint8_t *rows = ck_plain(row_bytes * MT_PANEL);
        for (int r = 0; r < MT_PANEL; r++) j.rows[r] = rows + (size_t)r * row_bytes;
        j.panel = ck_plain(mt_panel_bytes(j.lay, j.k));
        j.out = ck_plain((size_t)j.k * sizeof(float));
        char name[64];
        weights_name(name, sizeof name, "pack", j.lay);
        ck_rate(name, (double)row_bytes * MT_PANEL, "GB/s", pack_job, &j);
        weights_name(name, sizeof name, "unpack", j.lay);
        ck_rate(name, (double)j.k, "G values/s", unpack_job, &j);
    }
}

const ck_case ck_pack_cases[] = {{"pack", pack, bench, 0, 0}, {0}};

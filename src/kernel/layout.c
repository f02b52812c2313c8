/* SPDX-License-Identifier: MIT */
/* layout.c - the table of packed layouts and the sizes that follow from it.
 *
 * One row per layout; nothing else in the project knows how many bytes a unit has. */
#include "kernel/tops.h"

const mt_layout_info mt_layouts[MT_LAY_COUNT] = {
    /*               name    file type  unit k bytes group offset quant */
    [MT_LAY_F32]  = {"f32",  MT_F32,      1,  128,  0,   0, false},
    [MT_LAY_F16]  = {"f16",  MT_F16,      1,   64,  0,   0, false},
    [MT_LAY_BF16] = {"bf16", MT_BF16,     1,   64,  0,   0, false},
    [MT_LAY_W8]   = {"w8",   MT_Q8_0,    32, 1088, 32, 128, true},
    [MT_LAY_W4]   = {"w4",   MT_Q4_0,    32,  576, 32,   8, true},
    [MT_LAY_W4M]  = {"w4m",  MT_Q4_1,    32,  640, 32,   0, true},
    [MT_LAY_C4]   = {"c4",   MT_IQ4_NL,  32,  576, 32, 128, true},
    [MT_LAY_W5]   = {"w5",   MT_Q5_0,    32,  704, 32,  16, true},
    [MT_LAY_W5M]  = {"w5m",  MT_Q5_1,    32,  768, 32,   0, true},
    [MT_LAY_K2]   = {"k2",   MT_Q2_K,   256, 2688, 16,   0, true},
    [MT_LAY_K3]   = {"k3",   MT_Q3_K,   256, 3648, 16,   4, true},
    [MT_LAY_K4]   = {"k4",   MT_Q4_K,   256, 4736, 32,   0, true},
    [MT_LAY_K5]   = {"k5",   MT_Q5_K,   256, 5760, 32,   0, true},
    [MT_LAY_K6]   = {"k6",   MT_Q6_K,   256, 6720, 16,  32, true},
    [MT_LAY_C4K]  = {"c4k",  MT_IQ4_XS, 256, 4416, 32, 128, true},
};

bool mt_layout_for(mt_type type, mt_layout *out)
{
    for (int i = 0; i < MT_LAY_COUNT; i++) {
        if (mt_layouts[i].type == type) {
            *out = (mt_layout)i;
            return true;
        }
    }
    return false;
}

size_t mt_panel_bytes(mt_layout lay, int64_t k)
{
    const mt_layout_info *l = &mt_layouts[lay];
    return (size_t)(k / l->unit_k) * (size_t)l->unit_bytes;
}

size_t mt_packed_bytes(mt_layout lay, int64_t n_row, int64_t k)
{
    return (size_t)((n_row + MT_PANEL - 1) / MT_PANEL) * mt_panel_bytes(lay, k);
}

/* The columns that stayed out of int8, then enough for the largest user, a panel decoded to f32
 * ([k][32]); a panel expanded to bytes with its scales and the activation coefficients of a tile is
 * at most half of that. */
size_t mt_mm_scratch(mt_layout lay, int64_t k)
{
    const size_t tops = mt_layouts[lay].is_quant ? mt_tops_bytes(k) : 0;
    return tops + mt_pad((size_t)k * MT_PANEL * sizeof(float) + 4096, MT_ALIGN);
}

/* ---- pages ---------------------------------------------------------------- */
static size_t parts(int n, int of) { return ((size_t)n + (size_t)of - 1) / (size_t)of; }

size_t mt_kv_k_bytes(mt_kv_type type, int head_dim)
{
    switch (type) {
    case MT_KV_F32: return (size_t)head_dim * MT_PAGE * 4;
    case MT_KV_F16: return (size_t)head_dim * MT_PAGE * 2;
    case MT_KV_BF16: return parts(head_dim, 2) * MT_PAGE * 4;
    case MT_KV_Q8: return (parts(head_dim, 4) * 4 + parts(head_dim, MT_GROUP) * 2) * MT_PAGE;
    case MT_KV_COUNT: break;
    }
    return 0;
}

size_t mt_kv_v_bytes(mt_kv_type type, int v_dim)
{
    if (type == MT_KV_Q8) return ((size_t)v_dim + parts(v_dim, MT_GROUP) * 2) * MT_PAGE;
    return (size_t)v_dim * MT_PAGE * (type == MT_KV_F32 ? 4 : 2);
}

/* Queries as the kernel wants them (with the scales and sums of q8) and running sums of each row;
 * of one tile of 6 rows the scores of a chunk and, for q8, twice as much for weights times scales. */
size_t mt_attend_scratch(int n_row, int head_dim, int v_dim)
{
    const size_t q = mt_pad((size_t)head_dim, MT_GROUP) + 2 * MT_GROUP, v = mt_pad((size_t)v_dim, MT_PAGE);
    return ((size_t)n_row * (q + v) + 3 * 6 * MT_CHUNK) * sizeof(float);
}

size_t mt_attend_part(int v_dim) { return mt_pad((size_t)v_dim, MT_PAGE) + MT_PAGE; }

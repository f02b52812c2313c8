/* SPDX-License-Identifier: MIT */
/* layout.c - the table of packed layouts and the sizes that follow from it.
 *
 * One row per layout; nothing else in the project knows how many bytes a unit has. */
#include "kernel/tops.h"
#include "tensor/block.h"

const mt_layout_info mt_layouts[MT_LAY_COUNT] = {
    /*                     name         file type   unit k bytes group offset quant book */
    [MT_LAY_F32]         = {"f32",       MT_F32,       1,  128,  0,   0, false, NULL},
    [MT_LAY_F16]         = {"f16",       MT_F16,       1,   64,  0,   0, false, NULL},
    [MT_LAY_BF16]        = {"bf16",      MT_BF16,      1,   64,  0,   0, false, NULL},
    [MT_LAY_W8]          = {"w8",        MT_Q8_0,     32, 1088, 32, 128, true, NULL},
    [MT_LAY_W4]          = {"w4",        MT_Q4_0,     32,  576, 32,   8, true, NULL},
    [MT_LAY_W4M]         = {"w4m",       MT_Q4_1,     32,  640, 32,   0, true, NULL},
    [MT_LAY_C4]          = {"c4",        MT_IQ4_NL,   32,  576, 32, 128, true, mt_book_iq4},
    [MT_LAY_W5]          = {"w5",        MT_Q5_0,     32,  704, 32,  16, true, NULL},
    [MT_LAY_W5M]         = {"w5m",       MT_Q5_1,     32,  768, 32,   0, true, NULL},
    [MT_LAY_K2]          = {"k2",        MT_Q2_K,    256, 2688, 16,   0, true, NULL},
    [MT_LAY_K3]          = {"k3",        MT_Q3_K,    256, 3648, 16,   4, true, NULL},
    [MT_LAY_K4]          = {"k4",        MT_Q4_K,    256, 4736, 32,   0, true, NULL},
    [MT_LAY_K5]          = {"k5",        MT_Q5_K,    256, 5760, 32,   0, true, NULL},
    [MT_LAY_K6]          = {"k6",        MT_Q6_K,    256, 6720, 16,  32, true, NULL},
    [MT_LAY_C4K]         = {"c4k",       MT_IQ4_XS,  256, 4416, 32, 128, true, mt_book_iq4},
    [MT_LAY_C4B]         = {"c4b",       MT_MXFP4,    32,  576, 32, 128, true, mt_book_mxfp4},
    [MT_LAY_C4H]         = {"c4h",       MT_NVFP4,    32,  640, 16, 128, true, mt_book_mxfp4},
    [MT_LAY_X4]          = {"x4",        MT_IQ2_XXS, 256, 4736, 16, 128, true, mt_levels_iq2},
    [MT_LAY_G4]          = {"g4",        MT_G4,       32,  640, 32,   0, true, NULL},
    [MT_LAY_M8]          = {"m8",        MT_M8,       32, 1216, 32,   0, true, NULL},
    [MT_LAY_T2]          = {"t2",        MT_TQ2_0,   128, 1088, 32,   1, true, NULL},
    [MT_LAY_F8]          = {"f8",        MT_F8_32,    32, 1152, 32,   0, false, NULL},
    [MT_LAY_C4_NF4]      = {"c4.nf4",    MT_NF4,      32,  576, 32, 128, true, mt_book_nf4},
    [MT_LAY_C4_FP4]      = {"c4.fp4",    MT_FP4,      32,  576, 32, 128, true, mt_book_fp4},
    [MT_LAY_X4_IQ1_S]    = {"x4.iq1_s",  MT_IQ1_S,   256, 4736, 16, 128, true, mt_levels_iq1},
    [MT_LAY_X4_IQ1_M]    = {"x4.iq1_m",  MT_IQ1_M,   256, 4736, 16, 128, true, mt_levels_iq1},
    [MT_LAY_X4_IQ2_XS]   = {"x4.iq2_xs", MT_IQ2_XS,  256, 4736, 16, 128, true, mt_levels_iq2},
    [MT_LAY_X4_IQ2_S]    = {"x4.iq2_s",  MT_IQ2_S,   256, 4736, 16, 128, true, mt_levels_iq2},
    [MT_LAY_X4_IQ3_XXS]  = {"x4.iq3_xxs",MT_IQ3_XXS, 256, 4736, 16, 128, true, mt_levels_iq3_xxs},
    [MT_LAY_X4_IQ3_S]    = {"x4.iq3_s",  MT_IQ3_S,   256, 4736, 16, 128, true, mt_levels_iq3_s},
    [MT_LAY_M8_G8]       = {"m8.g8",     MT_G8,       32, 1216, 32,   0, true, NULL},
    [MT_LAY_T2_TQ1_0]    = {"t2.tq1_0",  MT_TQ1_0,   128, 1088, 32,   1, true, NULL},
    [MT_LAY_T2_Q1_0]     = {"t2.q1_0",   MT_Q1_0,    128, 1088, 32,   1, true, NULL},
    [MT_LAY_F16_E4M3]    = {"f16.e4m3",  MT_F8_E4M3,   1,   64,  0,   0, false, NULL},
    [MT_LAY_F16_E5M2]    = {"f16.e5m2",  MT_F8_E5M2,   1,   64,  0,   0, false, NULL},
    [MT_LAY_F32_Q8_1]    = {"f32.q8_1",  MT_Q8_1,      1,  128,  0,   0, false, NULL},
    [MT_LAY_F32_Q8_K]    = {"f32.q8_k",  MT_Q8_K,      1,  128,  0,   0, false, NULL},
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

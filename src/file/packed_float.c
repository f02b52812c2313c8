/* SPDX-License-Identifier: MIT */
/* packed_float.c - 8-bit floats with scales, and BitNet's ternary weights.
 *
 * FP8: one scale for all, one for each row, or one for each tile of (usually 128 x 128); the value is
 * float8 * scale whatever the tensor's name says ("weight_scale_inv" too).  BitNet: four rows share a
 * byte, a quarter of the matrix apart, as codes of value + 1; one scale. */
#include "file/packed_parts.h"

/* ---- FP8 ---------------------------------------------------------------------------------------- */

static float e4m3_value(uint8_t b)
{
    const int e = b >> 3 & 15, m = b & 7;
    const float sign = b & 0x80 ? -1.0f : 1.0f;
    if ((b & 0x7F) == 0x7F) return mt_f16_to_f32(0x7E00);                   /* the only NaN */
    if (e == 0) return sign * (float)m * 0x1p-9f;
    return sign * (float)(8 + m) * 0x1p-10f * (float)(1 << e);              /* 2^(e - 7) (1 + m / 8) */
}

static float float8_value(mt_type type, uint8_t b)
{
    return type == MT_F8_E4M3 ? e4m3_value(b) : mt_f16_to_f32((uint16_t)(b << 8));
}

/* Blocks of one f32 scale and 32 bytes as they are. */
static void make_f8_blocks(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    const mt_recipe *p = t->recipe;
    for (int64_t row = first; row < first + n; row++) {
        const uint8_t *code = p->code + (size_t)row * p->code_line;
        float d = 0;
        for (int64_t i = 0; i < p->k; i += MT_TILE, out += 4 + MT_TILE) {
            if (i % p->group == 0) d = mt_packed_scale(p, row, i);
            mt_put_f32(out, d);
            memcpy(out + 4, code + i, MT_TILE);
        }
    }
}

static void make_f8_values(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    const mt_recipe *p = t->recipe;
    for (int64_t row = first; row < first + n; row++) {
        const uint8_t *code = p->code + (size_t)row * p->code_line;
        for (int64_t i = 0; i < p->k; i++, out += 4)
            mt_put_f32(out, float8_value(p->book_type, code[i]) * mt_packed_scale(p, row, i));
    }
}

/* Element i of an array of integers of the configuration, or `otherwise`. */
static int64_t config_item(const mt_resolver *r, const char *key, size_t i, int64_t otherwise)
{
    const mt_meta *m = mt_source_meta(r->s, key);
    if (!m || m->type != MT_META_ARRAY || m->item == MT_META_STRING || m->n <= i) return otherwise;
    return mt_meta_item_int(m, i);
}

mote_status mt_packed_float8(mt_resolver *r, const mt_tensor *weight)
{
    static const char *const unused[] = { ".input_scale", ".activation_scale", ".input_scale_ub", ".output_scale" };
    const mt_tensor *scale = mt_part_find(r, ".weight_scale_inv");
    if (!scale) MT_TRY(mt_part_need(r, ".weight_scale", &scale));
    for (size_t i = 0; i < MT_COUNT(unused); i++) mt_part_find(r, unused[i]);
    mt_recipe p = { .k = weight->ne[0], .n = weight->ne[1], .bits = 8, .book_type = weight->type,
                    .code = weight->data, .code_line = (size_t)weight->ne[0] };
    MT_TRY(mt_part_check(r, weight, weight->type, p.k, p.n));
    int64_t block[2];
    for (size_t i = 0; i < 2; i++) {
        block[i] = config_item(r, "quantization_config.config_groups.group_0.weights.block_structure", i, 128);
        block[i] = config_item(r, "quantization_config.weight_block_size", i, block[i]);
    }
    MT_TRY(mt_part_scales(r, &p, scale, block[0], block[1]));
    const bool is_whole = p.k % MT_TILE == 0 && (p.group >= p.k || p.group % MT_TILE == 0);
    if (weight->type == MT_F8_E4M3 && is_whole) return mt_part_add(r, &p, 1, MT_F8_32, make_f8_blocks);
    return mt_part_add(r, &p, 1, MT_F32, make_f8_values);
}

/* ---- BitNet ------------------------------------------------------------------------------------- */

/* Rows [quarter * n / 4, ...) are the pairs of bits at 2 * quarter. */
static void tile_ternary(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE])
{
    const int64_t lines = p->n / 4;
    const int columns = (int)MT_MIN((int64_t)MT_TILE, p->k - block * MT_TILE);
    for (int r = 0; r < n; r++) {
        const int shift = (int)((row + r) / lines) * 2;
        const uint8_t *line = p->code + (size_t)((row + r) % lines) * p->code_line + (size_t)block * MT_TILE;
        for (int i = 0; i < columns; i++) c[r][i] = line[i] >> shift & 3;
    }
}

/* TQ2_0: 64 bytes of pairs, then f16 d; in each half of 128, byte i has the values i, 32 + i, ... */
static void make_ternary(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    const mt_recipe *p = t->recipe;
    const uint16_t d = mt_f32_to_f16(mt_packed_scale(p, 0, 0));
    uint8_t c[4][MT_TILE];
    for (int64_t row = first; row < first + n; row++) {
        for (int64_t b = 0; b < p->k / MT_TILE; b += 4) {
            for (int i = 0; i < 4; i++) tile_ternary(p, row, 1, b + i, &c[i]);
            for (int i = 0; i < MT_TILE; i++) *out++ = (uint8_t)(c[0][i] | c[1][i] << 2 | c[2][i] << 4 | c[3][i] << 6);
            if (b % 8 == 4) mt_put16(out, d), out += 2;
        }
    }
}

mote_status mt_packed_bitnet(mt_resolver *r, const mt_tensor *weight)
{
    const mt_tensor *scale;
    MT_TRY(mt_part_need(r, ".weight_scale", &scale));
    mt_recipe p = { .k = weight->ne[0], .n = weight->ne[1] * 4, .bits = 2, .zero_const = 1, .tile = tile_ternary,
                    .code = weight->data, .code_line = (size_t)weight->ne[0] };
    MT_TRY(mt_part_check(r, weight, MT_U8, p.k, weight->ne[1]));
    MT_TRY(mt_part_check_float(r, scale));
    MT_TRY(mt_part_check_values(r, scale, 1));
    MT_TRY(mt_part_scales(r, &p, scale, 1, 0));
    /* Layers of class "bitlinear" divide by the scale. */
    p.is_inverse = !mt_config_is(r->s, "linear_class", "autobitlinear");
    const mt_type type = mt_packed_type(&p);
    if (type == MT_F32 || p.k % 256) return mt_part_done(r, &p, 1);
    return mt_part_add(r, &p, 1, MT_TQ2_0, make_ternary);
}

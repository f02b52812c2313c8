/* SPDX-License-Identifier: MIT */
/* packed_rows.c - schemes that keep each row of a weight together: MLX's affine groups, and integers
 * of compressed-tensors and bitsandbytes.
 *
 * Codes lie along k, densely from the lowest bit; scales are (n, groups), (n) or one for all.
 * compressed-tensors stores signed codes (and zeros) plus half their range, which cancels. */
#include "file/packed_parts.h"

/* ---- MLX ---------------------------------------------------------------------------------------- */

/* "quantization.X.group_size" where a module differs from the rest. */
static int64_t mlx_group_size(const mt_resolver *r)
{
    char key[640];
    int64_t value;
    const int n = snprintf(key, sizeof key, "quantization.%s.group_size", r->name);
    if (n > 0 && n < (int)sizeof key && mt_meta_int(r->s, key, &value)) return value;
    return mt_config_int(r, "group_size", 64);
}

mote_status mt_packed_mlx(mt_resolver *r, const mt_tensor *weight)
{
    const mt_tensor *scales, *mins = mt_part_find(r, ".qbiases");
    MT_TRY(mt_part_need(r, ".scales", &scales));
    const mt_meta *mode = mt_source_meta(r->s, "quantization.mode");
    if (mode && !mt_config_is(r->s, "mode", "affine"))
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: quantization.mode: expected affine, found another", r->path);
    if (!mins) MT_TRY(mt_part_need(r, ".biases", &mins));
    MT_TRY(mt_part_check_float(r, scales));
    MT_TRY(mt_part_check_float(r, mins));
    const int64_t group = mlx_group_size(r), words = weight->ne[0], groups = scales->ne[0];
    if (group != 32 && group != 64 && group != 128)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: group_size: expected 32, 64 or 128, found %lld", r->path, (long long)group);
    mt_recipe p = { .k = groups * group, .n = weight->ne[1] * weight->ne[2], .has_min = true, .tile = mt_tile_words,
                    .code = weight->data, .code_line = (size_t)words * 4, .code_word = 4 };
    const int64_t bits = words * 32 % p.k == 0 ? words * 32 / p.k : 0;
    if (bits < 2 || bits > 8 || bits == 7)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %s: expected 2, 3, 4, 5, 6 or 8 bits for %lld columns (%lld groups "
                "of %lld), found %lld words", r->path, weight->name, (long long)p.k, (long long)groups,
                (long long)group, (long long)words);
    if (weight->ne[3] != 1 || scales->ne[1] != weight->ne[1] || scales->ne[2] != weight->ne[2] || scales->ne[3] != 1 ||
        memcmp(scales->ne, mins->ne, sizeof scales->ne) != 0)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensors %s and %s do not have the %lld rows of %s", r->path, scales->name,
                mins->name, (long long)p.n, weight->name);
    p.bits = (int)bits, p.group = group;
    p.scale = scales->data, p.scale_type = scales->type;
    p.row_block = 1, p.scale_row = groups, p.scale_group = 1;
    p.zero = mins->data, p.zero_type = mins->type;
    return mt_part_done(r, &p, weight->ne[2]);
}

/* ---- compressed-tensors -------------------------------------------------------------------------- */

/* The sizes of activations' quantisation, which the multiplication does not need. */
static void drop_activation_parts(mt_resolver *r)
{
    static const char *const suffix[] = { ".input_scale", ".input_zero_point", ".output_scale", ".output_zero_point",
                                          ".weight_format" };
    for (size_t i = 0; i < MT_COUNT(suffix); i++) mt_part_find(r, suffix[i]);
}

static int64_t config_weights(const mt_resolver *r, const char *what)
{
    char key[96];
    snprintf(key, sizeof key, "config_groups.group_0.weights.%s", what);
    return mt_config_int(r, key, 0);
}

/* weight_shape: (n, k). */
static mote_status read_shape(mt_resolver *r, const mt_tensor *shape, mt_recipe *p)
{
    int64_t value[2] = { 0, 0 };
    MT_TRY(mt_part_check_values(r, shape, 2));
    for (int i = 0; i < 2; i++) {
        if (shape->type == MT_I64)
            value[i] = (int64_t)(mt_get32(shape->data + 8 * i) | (uint64_t)mt_get32(shape->data + 8 * i + 4) << 32);
        else if (shape->type == MT_I32) value[i] = (int32_t)mt_get32(shape->data + 4 * i);
        if (value[i] < 1 || value[i] > INT32_MAX)
            MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %s: expected two sizes as I64 or I32, found %lld of type %s",
                    r->path, shape->name, (long long)value[i], mt_type_of(shape->type)->name);
    }
    p->n = value[0], p->k = value[1];
    return MOTE_OK;
}

/* Bits with which k codes fill `words`: as configured if that fits, else the least. */
static int bits_of(int64_t k, int64_t words, int64_t configured)
{
    if (configured >= 1 && configured <= 8 && (k * configured + 31) / 32 == words) return (int)configured;
    for (int bits = 1; bits <= 8; bits++)
        if ((k * bits + 31) / 32 == words) return bits;
    return 0;
}

/* Zeros beside the scales as I8, or a stream along the rows for each group. */
static mote_status read_zeros(mt_resolver *r, mt_recipe *p, const mt_tensor *zeros, const mt_tensor *scale)
{
    p->zero = zeros->data, p->zero_type = zeros->type;
    if (zeros->type == MT_I8) {
        p->zero_add = 1 << (p->bits - 1);
        return mt_part_check_values(r, zeros, mt_tensor_count(scale));
    }
    p->zero_line = 4, p->zero_word = (size_t)p->scale_row * 4;
    return mt_part_check(r, zeros, MT_I32, p->scale_row, (p->n * p->bits + 31) / 32);
}

mote_status mt_packed_words(mt_resolver *r, const mt_tensor *packed)
{
    const mt_tensor *scale, *shape, *zeros = mt_part_find(r, ".weight_zero_point");
    const mt_tensor *index = mt_part_find(r, ".weight_g_idx");
    MT_TRY(mt_part_need(r, ".weight_scale", &scale));
    MT_TRY(mt_part_need(r, ".weight_shape", &shape));
    drop_activation_parts(r);
    const int64_t words = packed->ne[0];
    mt_recipe p = { .tile = mt_tile_words, .code = packed->data, .code_line = (size_t)words * 4, .code_word = 4 };
    MT_TRY(read_shape(r, shape, &p));
    MT_TRY(mt_part_check(r, packed, MT_I32, words, p.n));
    p.bits = bits_of(p.k, words, config_weights(r, "num_bits"));
    if (p.bits < 2)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %s: expected 2 to 8 bits for %lld columns, found %lld words", r->path,
                packed->name, (long long)p.k, (long long)words);
    p.zero_const = 1 << (p.bits - 1);
    MT_TRY(mt_part_scales(r, &p, scale, 1, config_weights(r, "group_size")));
    if (zeros) MT_TRY(read_zeros(r, &p, zeros, scale));
    if (index) MT_TRY(mt_packed_order(r, &p, index, p.scale_row));
    return mt_part_done(r, &p, 1);
}

/* ---- plain int8 ---------------------------------------------------------------------------------- */

mote_status mt_packed_int8(mt_resolver *r, const mt_tensor *weight)
{
    const mt_tensor *scale = mt_part_find(r, ".SCB"), *zeros = NULL;
    mt_recipe p = { .k = weight->ne[0], .n = weight->ne[1], .bits = 8, .tile = mt_tile_signed, .zero_const = 128,
                    .code = weight->data, .code_line = (size_t)weight->ne[0] };
    MT_TRY(mt_part_check(r, weight, MT_I8, p.k, p.n));
    if (scale) {                                /* bitsandbytes: the greatest magnitude of each row */
        const mt_tensor *format = mt_part_find(r, ".weight_format");
        MT_TRY(mt_part_check_values(r, scale, p.n));
        if (format && (!format->data || format->bytes < 1 || format->data[0] != 0))
            MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: tensor %s: expected 0, for plain rows", r->path, format->name);
        p.divisor = 127;
    } else {
        zeros = mt_part_find(r, ".weight_zero_point");
        MT_TRY(mt_part_need(r, ".weight_scale", &scale));
        drop_activation_parts(r);
    }
    MT_TRY(mt_part_scales(r, &p, scale, 1, config_weights(r, "group_size")));
    if (zeros) MT_TRY(mt_part_check(r, zeros, MT_I8, zeros->ne[0], zeros->ne[1]));
    if (zeros) MT_TRY(read_zeros(r, &p, zeros, scale));
    return mt_part_done(r, &p, 1);
}

/* SPDX-License-Identifier: MIT */
/* packed_gptq.c - GPTQ and AWQ: both pack the transposed weight, (k, n), with scales (groups, n).
 *
 * GPTQ packs codes along k and zeros along n, densely from the lowest bit of 32-bit words; version 1
 * stores each zero less one, modulo 2^bits.  With "act-order" columns were sorted before they were
 * grouped, and g_idx names the group of each.  AWQ (its GEMM layout) packs codes and zeros along n,
 * eight to a word in an order of its own. */
#include "file/packed_parts.h"

static mote_status bad_shape(const mt_resolver *r, const mt_tensor *t, const char *why)
{
    MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %s of shape (%lld, %lld): %s", r->path, t->name, (long long)t->ne[1],
            (long long)t->ne[0], why);
}

static mote_status need_matrix(const mt_resolver *r, const mt_tensor *t)
{
    const bool is_matrix = (t->type == MT_I32 || t->type == MT_U32) && t->n_dim == 2;
    return is_matrix ? MOTE_OK : bad_shape(r, t, "expected a matrix of I32");
}

/* Scales (groups, n): p->n and p->k are known; sets group and where scales lie. */
static mote_status read_scales(mt_resolver *r, mt_recipe *p, const mt_tensor *scales)
{
    const int64_t groups = scales->ne[1], configured = mt_config_int(r, "group_size", -1);
    MT_TRY(mt_part_check_float(r, scales));
    if (configured == 0 || configured < -1)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: group_size: expected -1 or at least 1, found %lld", r->path,
                (long long)configured);
    MT_TRY(mt_part_check(r, scales, scales->type, p->n, groups));
    p->group = mt_group_columns(configured, p->k, groups);
    if (p->group == 0)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %s: expected groups of %lld of %lld columns, found %lld groups",
                r->path, scales->name, (long long)configured, (long long)p->k, (long long)groups);
    p->scale = scales->data, p->scale_type = scales->type;
    p->row_block = 1, p->scale_row = 1, p->scale_group = p->n;
    return MOTE_OK;
}

/* Keeps g_idx only where it differs from columns in order. */
mote_status mt_packed_order(mt_resolver *r, mt_recipe *p, const mt_tensor *index, int64_t groups)
{
    MT_TRY(mt_part_check(r, index, MT_I32, p->k, 0));
    bool is_sorted = true;
    for (int64_t i = 0; i < p->k; i++) {
        const uint32_t g = mt_get32(index->data + 4 * i);
        if (g >= (uint64_t)groups)
            MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %s: column %lld: expected a group from 0 to %lld, found %d",
                    r->path, index->name, (long long)i, (long long)groups - 1, (int)(int32_t)g);
        is_sorted = is_sorted && (int64_t)g == i / p->group;
    }
    if (!is_sorted) p->index = index->data;
    return MOTE_OK;
}

mote_status mt_packed_gptq(mt_resolver *r, const mt_tensor *qweight)
{
    const mt_tensor *zeros, *scales, *index = mt_part_find(r, ".g_idx");
    MT_TRY(mt_part_need(r, ".qzeros", &zeros));
    MT_TRY(mt_part_need(r, ".scales", &scales));
    MT_TRY(need_matrix(r, qweight));
    MT_TRY(need_matrix(r, zeros));
    const mt_meta *format = mt_source_meta(r->s, "quantization_config.checkpoint_format");
    const bool is_v2 = mt_config_is(r->s, "checkpoint_format", "gptq_v2");
    if (!is_v2 && format && !mt_config_is(r->s, "checkpoint_format", "gptq"))
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: checkpoint_format: expected gptq or gptq_v2, found another", r->path);

    mt_recipe p = { .n = qweight->ne[0], .tile = mt_tile_words, .code = qweight->data, .code_line = 4 };
    const int64_t words = qweight->ne[1], zero_bits = zeros->ne[0] * 32;
    const int64_t bits = zero_bits % p.n == 0 ? zero_bits / p.n : 0;
    if (bits != 2 && bits != 3 && bits != 4 && bits != 8)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor %s: expected zeros of 2, 3, 4 or 8 bits for %lld columns, found "
                "%lld words", r->path, zeros->name, (long long)p.n, (long long)zeros->ne[0]);
    if (words * 32 % bits) return bad_shape(r, qweight, "no whole number of codes");
    p.bits = (int)bits, p.k = words * 32 / bits;
    p.code_word = (size_t)p.n * 4;
    p.zero = zeros->data, p.zero_type = MT_I32, p.zero_line = (size_t)zeros->ne[0] * 4, p.zero_word = 4;
    p.zero_add = is_v2 ? 0 : 1;
    MT_TRY(read_scales(r, &p, scales));
    MT_TRY(mt_part_check(r, zeros, MT_I32, zeros->ne[0], scales->ne[1]));
    if (index) MT_TRY(mt_packed_order(r, &p, index, scales->ne[1]));
    return mt_part_done(r, &p, 1);
}

mote_status mt_packed_awq(mt_resolver *r, const mt_tensor *qweight)
{
    const mt_tensor *zeros, *scales;
    MT_TRY(mt_part_need(r, ".qzeros", &zeros));
    MT_TRY(mt_part_need(r, ".scales", &scales));
    MT_TRY(need_matrix(r, qweight));
    const int64_t bits = mt_config_int(r, "bits", 4);
    const mt_meta *version = mt_source_meta(r->s, "quantization_config.version");
    if (bits != 4)
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: bits: expected 4 in an AWQ checkpoint, found %lld", r->path,
                (long long)bits);
    if (version && !mt_config_is(r->s, "version", "gemm") && !mt_config_is(r->s, "version", "GEMM"))
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: version: expected the gemm layout of AWQ, found another", r->path);

    mt_recipe p = { .k = qweight->ne[1], .n = qweight->ne[0] * 8, .bits = 4, .tile = mt_tile_awq, .is_awq = true,
                    .code = qweight->data, .code_word = (size_t)qweight->ne[0] * 4 };
    MT_TRY(read_scales(r, &p, scales));
    MT_TRY(mt_part_check(r, zeros, MT_I32, qweight->ne[0], scales->ne[1]));
    p.zero = zeros->data, p.zero_type = MT_I32, p.zero_line = p.code_word;
    return mt_part_done(r, &p, 1);
}

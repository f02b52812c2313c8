/* SPDX-License-Identifier: MIT */
/* pack_spelled.c - packing of the types whose blocks are not laid out like a packed unit.
 *
 * A unit's share of a row is spelled out as one code per byte and its scales, then put into the
 * planes.  Values stay the file's, bit for bit; only their place and the form of the scale change. */
#include "kernel/pack.h"

#include <string.h>

/* One row's share of a unit. */
typedef struct share {
    uint8_t code[256];
    uint8_t sc[16];             /* x4: scales; g4: z in the first */
    float d[2], m;              /* d[1]: of the second group of c4h */
} share;

/* n bytes of nibbles, four at a time: the low ones, then the high ones. */
static void put_nibbles(const uint8_t *q, int n, uint8_t *code)
{
    for (int i = 0; i < n; i += 4) {
        const uint32_t x = mt_load32(q + i);
        mt_store32(code + i, x & 0x0f0f0f0fu);
        mt_store32(code + n + i, x >> 4 & 0x0f0f0f0fu);
    }
}

/* ---- one file block after the other ------------------------------------------ */

static void spell_nvfp4(const uint8_t *b, int half, share *s)
{
    for (int g = 0; g < 2; g++) {
        s->d[g] = mt_ue4m3_half(b[2 * half + g]);
        put_nibbles(b + 4 + 16 * half + 8 * g, 8, s->code + 16 * g);
    }
}

static void spell_iq(const mt_layout_info *l, const uint8_t *b, share *s)
{
    uint8_t index[256] = { 0 };                 /* of a level + 128 in the book */
    mt_iq iq;
    mt_iq_spell(l->type, b, &iq);
    for (int i = 0; i < 16; i++)
        if (l->book[i]) index[l->book[i] + 128] = (uint8_t)i;
    for (int i = 0; i < 256; i++) s->code[i] = index[iq.level[i] + 128];
    memcpy(s->sc, iq.scale, sizeof s->sc);
    s->d[0] = iq.d;
}

/* Half a block of 256, or a block of 128 signs. */
static void spell_ternary(mt_type type, const uint8_t *b, int half, share *s)
{
    uint8_t digit[256];
    switch ((int)type) {
    case MT_TQ1_0:
        mt_trits_of(b, digit);
        memcpy(s->code, digit + 128 * half, 128);
        s->d[0] = load_f16(b + 52);
        break;
    case MT_TQ2_0:
        for (int i = 0; i < 128; i += 4)
            mt_store32(s->code + i, mt_load32(b + 32 * half + i % 32) >> i / 32 * 2 & 0x03030303u);
        s->d[0] = load_f16(b + 64);
        break;
    case MT_Q1_0:
        for (int i = 0; i < 128; i++) s->code[i] = b[2 + i / 8] >> i % 8 & 1 ? 2 : 0;
        s->d[0] = load_f16(b);
        break;
    }
}

/* Unit u of a row. */
static void spell(mt_layout lay, const uint8_t *row, int64_t u, share *s)
{
    const mt_layout_info *l = &mt_layouts[lay];
    const mt_type_info *t = mt_type_of(l->type);
    const int64_t per = t->block / l->unit_k;   /* units in a block */
    const uint8_t *b = row + u / per * t->bytes;
    switch ((int)l->type) {
    case MT_MXFP4:
        put_nibbles(b + 1, 16, s->code);
        s->d[0] = mt_e8m0_half(b[0]);
        break;
    case MT_NVFP4: spell_nvfp4(b, (int)(u % per), s); break;
    case MT_G4:
        put_nibbles(b + 3, 16, s->code);
        s->d[0] = load_f16(b), s->sc[0] = b[2];
        break;
    case MT_G8:
        memcpy(s->code, b + 3, 32);
        s->d[0] = load_f16(b), s->m = -(s->d[0] * (float)b[2]);
        break;
    case MT_M8:
        memcpy(s->code, b + 4, 32);
        s->d[0] = load_f16(b), s->m = load_f16(b + 2);
        break;
    case MT_TQ1_0: case MT_TQ2_0: case MT_Q1_0: spell_ternary(l->type, b, (int)(u % per), s); break;
    default: spell_iq(l, b, s); break;
    }
}

/* ---- into the unit ------------------------------------------------------------ */

static void put_f32(uint8_t *p, float f) { memcpy(p, &f, sizeof f); }

/* f32 holds what f16 or bf16 held, so nothing is rounded. */
static void put_scales(mt_layout lay, const share *s, int r, uint8_t *unit)
{
    const mt_scales_at at = mt_scales_of(lay);
    uint8_t *d = unit + at.d;
    switch (mt_d_of(lay)) {
    case MT_D_F32: put_f32(d + 4 * r, s->d[0]); break;
    case MT_D_BF16: mt_store16(d + 2 * r, mt_f32_to_bf16(s->d[0])); break;
    case MT_D_F16: mt_store16(d + 2 * r, mt_f32_to_f16(s->d[0])); break;
    }
    switch (mt_like(lay)) {
    case MT_LAY_C4H: mt_store16(d + 64 + 2 * r, mt_f32_to_f16(s->d[1])); break;
    case MT_LAY_G4: unit[at.mn + r] = s->sc[0]; break;
    case MT_LAY_M8: put_f32(unit + at.dmin + 4 * r, s->m); break;
    case MT_LAY_X4:
        for (int g = 0; g < 16; g++) unit[at.sc + 32 * g + r] = s->sc[g];
        break;
    default: break;
    }
}

static void put_codes(mt_layout lay, const uint8_t *code, int r, uint8_t *sub)
{
    uint32_t c[8];
    for (int j = 0; j < 8; j++) c[j] = mt_load32(code + 4 * j);
    switch (mt_planes_of(lay).low) {            /* constants, so that the planes' loops unroll */
    case 2: mt_codes_put(MT_LAY_T2, sub, r, c); break;
    case 4: mt_codes_put(MT_LAY_C4H, sub, r, c); break;
    case 8: mt_codes_put(MT_LAY_M8, sub, r, c); break;
    }
}

static void pack_units(mt_layout lay, const uint8_t *const rows[MT_PANEL], int64_t k, uint8_t *dst)
{
    const mt_layout_info *l = &mt_layouts[lay];
    const int sub_bytes = mt_planes_of(lay).sub;
    for (int64_t u = 0; u < k / l->unit_k; u++, dst += l->unit_bytes) {
        memset(dst, 0, (size_t)l->unit_bytes);
        for (int r = 0; r < MT_PANEL; r++) {
            share s;
            if (!rows[r]) continue;
            spell(lay, rows[r], u, &s);
            for (int i = 0; i < l->unit_k / 32; i++) put_codes(lay, s.code + 32 * i, r, dst + i * sub_bytes);
            put_scales(lay, &s, r, dst);
        }
    }
}

static void pack_f8(const uint8_t *const rows[MT_PANEL], int64_t k, uint8_t *dst)
{
    const mt_layout_info *l = &mt_layouts[MT_LAY_F8];
    for (int64_t u = 0; u < k / 32; u++, dst += l->unit_bytes) {
        memset(dst, 0, (size_t)l->unit_bytes);
        for (int r = 0; r < MT_PANEL; r++) {
            if (!rows[r]) continue;
            const uint8_t *b = rows[r] + 36 * u;
            for (int i = 0; i < 32; i++) dst[i * MT_PANEL + r] = b[4 + i];
            memcpy(dst + mt_scales_of(MT_LAY_F8).d + 4 * r, b, 4);
        }
    }
}

/* 8-bit floats as f16. */
static void pack_small_floats(mt_type type, const uint8_t *const rows[MT_PANEL], int64_t k, uint8_t *dst)
{
    uint16_t half[256];
    for (int i = 0; i < 256; i++) half[i] = type == MT_F8_E4M3 ? mt_f32_to_f16(mt_e4m3((uint8_t)i)) : (uint16_t)(i << 8);
    for (int r = 0; r < MT_PANEL; r++)
        for (int64_t i = 0; i < k; i++) mt_store16(dst + (i * MT_PANEL + r) * 2, rows[r] ? half[rows[r][i]] : 0);
}

/* Types kept as plain f32. */
static void pack_decoded(mt_type type, const uint8_t *const rows[MT_PANEL], int64_t k, uint8_t *dst)
{
    const int block = mt_type_of(type)->block;
    for (int r = 0; r < MT_PANEL; r++) {
        for (int64_t i = 0; i < k; i += block) {
            float y[256] = { 0 };
            if (rows[r]) mt_decode_row(type, rows[r] + mt_row_bytes(type, i), y, block);
            for (int j = 0; j < block; j++) put_f32(dst + ((i + j) * MT_PANEL + r) * 4, y[j]);
        }
    }
}

void mt_pack_spelled(mt_layout lay, const uint8_t *const rows[MT_PANEL], int64_t k, uint8_t *dst)
{
    const mt_layout_info *l = &mt_layouts[lay];
    if (lay == MT_LAY_F8) pack_f8(rows, k, dst);
    else if (l->is_quant) pack_units(lay, rows, k, dst);
    else if (mt_like(lay) == MT_LAY_F16) pack_small_floats(l->type, rows, k, dst);
    else pack_decoded(l->type, rows, k, dst);
}

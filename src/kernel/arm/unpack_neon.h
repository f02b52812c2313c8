/* SPDX-License-Identifier: MIT */
/* unpack_neon.h - planes and scales of a packed unit as vectors of 4 rows, and the end of a tile.
 *
 * Vector v holds rows 4 v .. 4 v + 3 behind the row that `planes` begins with.  All codes come out as
 * signed bytes, which is what every dot product of this architecture wants: below 64 as they are, the layouts with eight bits (w8, m8, codebooks) less 128.  Only always-inlined functions whose layout is a constant; shifts are
 * written with the compiler's vector operators, because the intrinsics want literals. */
#ifndef MT_KERNEL_UNPACK_NEON_H
#define MT_KERNEL_UNPACK_NEON_H

#include "kernel/arm/math_neon.h"
#include "kernel/codes.h"

MT_INLINE bool is_signed_code(mt_layout lay)
{
    return mt_like(lay) == MT_LAY_W8 || mt_like(lay) == MT_LAY_M8 || mt_has_codebook(lay);
}
/* What is left to subtract from the codes that come out here. */
MT_INLINE int offset_of(mt_layout lay)
{
    return mt_unit_of(lay).offset - (is_signed_code(lay) ? 128 : 0);
}
/* Codes of eight bits with a min come out less 128: sums of q then give both that part and the factor
 * of the min. */
MT_INLINE bool is_both_of(mt_layout lay) { return mt_has_min(lay) && is_signed_code(lay); }

/* The code book of a layout, as values. */
MT_INLINE int8x16_t book_of(mt_layout lay, const int8_t *book)
{
    return mt_has_codebook(lay) ? vld1q_s8(book) : vdupq_n_s8(0);
}

MT_INLINE int8x16_t as_signed(uint8x16_t x) { return vreinterpretq_s8_u8(x); }

/* A base whose sum with constants stays in the instruction: gcc would keep every sum in a register. */
MT_INLINE const uint8_t *base_of(const uint8_t *p)
{
    __asm__("" : "+r"(p));
    return p;
}

/* The planes of a sub-unit from `row` on, a multiple of 8: of 16 for eight vectors. */
typedef struct planes { const uint8_t *low, *one, *two; } planes;
MT_INLINE planes planes_at(mt_layout lay, const uint8_t *sub, int row)
{
    const mt_planes p = mt_planes_of(lay);
    const int s = row / 16, in = row % 16;
    planes x = {.low = base_of(sub + s * p.low * 64 + 4 * in)};
    if (p.high == 1) x.one = base_of(sub + p.low * 128 + s * 64 + in / 2);
    if (p.high == 2) x.two = base_of(sub + 512 + s * 128 + 4 * in);
    return x;
}

/* Bits 1 of `mask` become bit n of x, whose bit n is 0. */
MT_INLINE uint8x16_t put_bit(int n, uint8x16_t mask, uint8x16_t x)
{
    return vbslq_u8(vdupq_n_u8((uint8_t)(1 << n)), mask, x);
}

/* Codes of vector v at step j (0..7). */
MT_INLINE int8x16_t step_codes(mt_layout lay, int8x16_t book, planes at, int v, int j)
{
    const mt_planes p = mt_planes_of(lay);
    const int s = v / 4, in = 16 * (v % 4);
    const uint8_t *low = at.low + s * p.low * 64 + in;
    uint8x16_t x;
    if (p.low == 8) return as_signed(vld1q_u8(low + 64 * j) ^ vdupq_n_u8(0x80));
    if (p.low == 4) {
        x = vld1q_u8(low + 64 * (j & 3));
        x = j < 4 ? x & 15 : x >> 4;
        if (mt_has_codebook(lay)) return vqtbl1q_s8(book, x);
    } else {
        x = vld1q_u8(low + 64 * (j >> 2)) >> 2 * (j & 3) & 3;
    }
    if (p.high == 1) {
        /* 16 bits to 16 bytes: each of two bytes eight times, then bit by bit. */
        const uint8_t *one = at.one + 64 * s + 8 * j + in / 8;
        const uint8x16_t bits = vcombine_u8(vld1_dup_u8(one), vld1_dup_u8(one + 1));
        const uint8x16_t which = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
        return as_signed(put_bit(p.low, vtstq_u8(bits, which), x));
    }
    if (p.high == 2) {
        const uint8x16_t two = vld1q_u8(at.two + 128 * s + 64 * (j >> 2) + in);
        const int i = j & 3;
        return as_signed(vbslq_u8(vdupq_n_u8(0x30), i < 2 ? two << (4 - 2 * i) : two >> (2 * i - 4), x));
    }
    return as_signed(x);
}

/* Lanes 4 (v % 2) .. of eight. */
MT_INLINE float32x4_t halfs(const uint8_t *p, int v)
{
    const float16x8_t h = vreinterpretq_f16_u8(vld1q_u8(p + 16 * (v / 2)));
    return v % 2 ? vcvt_high_f32_f16(h) : vcvt_f32_f16(vget_low_f16(h));
}
MT_INLINE float32x4_t small_signed(const uint8_t *p, int v)
{
    const int16x8_t x = vmovl_s8(vreinterpret_s8_u8(vld1_u8(p + 8 * (v / 2))));
    return vcvtq_f32_s32(v % 2 ? vmovl_high_s16(x) : vmovl_s16(vget_low_s16(x)));
}
MT_INLINE float32x4_t small(uint8x8_t bytes, int v)
{
    const uint16x8_t x = vmovl_u8(bytes);
    return vcvtq_f32_u32(v % 2 ? vmovl_high_u16(x) : vmovl_u16(vget_low_u16(x)));
}

MT_INLINE float32x4_t floats(const uint8_t *p, int v) { return vld1q_f32((const float *)(const void *)p + 4 * v); }
MT_INLINE float32x4_t bf16s(const uint8_t *p, int v)
{
    const uint16x4_t h = vreinterpret_u16_u8(vld1_u8(p + 8 * v));
    return vreinterpretq_f32_u32(vshll_n_u16(h, 16));
}

/* The scales of a unit from a row on: f16 (d, dmin), f32 (d, m) and bytes (sc, mn) of group g. */
typedef struct scales { const uint8_t *half, *word, *byte; } scales;
MT_INLINE scales scales_at(mt_layout lay, const uint8_t *unit, int row, int g)
{
    const mt_scales_at at = mt_scales_of(lay);
    scales x = {.half = base_of(unit + 2 * row + (lay == MT_LAY_C4H ? 64 * g : 0))};
    if (mt_d_of(lay) == MT_D_F32 || lay == MT_LAY_M8) x.word = base_of(unit + 4 * row);
    if (at.sc || at.mn) x.byte = base_of(unit + row + (at.sc ? 32 * g : 0));
    return x;
}
/* The next group of the same unit. */
MT_INLINE void next_group(mt_layout lay, scales *x)
{
    if (lay == MT_LAY_C4H) x->half += 64;
    else x->byte += 32;
}

/* Scale of vector v. */
MT_INLINE float32x4_t scale_of(mt_layout lay, scales x, int v)
{
    const mt_scales_at at = mt_scales_of(lay);
    const float32x4_t d = mt_d_of(lay) == MT_D_F32 ? floats(x.word + at.d, v) :
                          mt_d_of(lay) == MT_D_BF16 ? bf16s(x.half + at.d, v) : halfs(x.half + at.d, v);
    if (!at.sc) return d;
    const uint8_t *sc = x.byte + at.sc;
    if (mt_has_signed_sc(lay)) return d * small_signed(sc, v);
    const uint8x8_t b = vld1_u8(sc + 8 * (v / 2));
    return d * small(lay == MT_LAY_K2 ? b & 15 : b, v);
}

/* What is added to a value: m, or -(dmin * mn), or -(d * z). */
MT_INLINE float32x4_t min_of(mt_layout lay, scales x, int v)
{
    const mt_scales_at at = mt_scales_of(lay);
    if (lay == MT_LAY_M8) return floats(x.word + at.dmin, v);
    const float32x4_t d = halfs(x.half + (lay == MT_LAY_G4 ? at.d : at.dmin), v);
    if (!at.mn) return d;
    const uint8x8_t b = vld1_u8(x.byte + at.mn + 8 * (v / 2));
    return -(d * small(lay == MT_LAY_K2 ? b >> 4 : b, v));
}

/* ---- the end of a tile --------------------------------------------------- */
/* Where one panel's outputs go. */
typedef struct dest {
    float *out;                 /* first row, first output of the panel */
    int64_t ldo;
    const float *bias;          /* at the first output, or NULL */
    bool add;
    int n;                      /* outputs that exist, at most 32 */
} dest;

MT_INLINE void place(dest *d, const mt_mm *m, int64_t panel, int row0)
{
    const int64_t left = m->n_out - panel * MT_PANEL;
    d->n = (int)MT_MAX(MT_MIN(left, MT_PANEL), 0);
    d->out = m->out + (size_t)row0 * m->ldo + panel * MT_PANEL;
    d->ldo = (int64_t)m->ldo;
    d->bias = m->bias ? m->bias + panel * MT_PANEL : NULL;
    d->add = m->add;
}

/* Bias, then what out held, for outputs at .. at + 3 of row r. */
MT_INLINE float32x4_t with_held(const dest *d, int r, int at, float32x4_t f)
{
    const int n = lanes(d->n - at);
    if (d->bias) f = f + load_some(n, d->bias + at);
    if (d->add) f = load_some(n, d->out + r * d->ldo + at) + f;
    return f;
}
MT_INLINE void put_held(const dest *d, int r, int at, float32x4_t f)
{
    store_some(lanes(d->n - at), d->out + r * d->ldo + at, f);
}

#endif

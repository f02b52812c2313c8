/* SPDX-License-Identifier: MIT */
/* mm_i8mm.c - products of packed integer weights with int8 activations, 8-bit matrix multiply.
 *
 * smmla multiplies two rows of eight activations by two rows of eight codes into 2 x 2 sums, 32
 * multiplications an instruction:
 *
 *   activations [a0: 8 k | a1: 8 k]   codes [w0: 8 k | w1: 8 k]   sums [a0 w0, a0 w1, a1 w0, a1 w1]
 *
 * A packed vector holds 4 k of four rows; a zip of two steps, before the planes are taken apart,
 * makes it 8 k of two.  Accumulator i belongs to pair i / U of the activation rows and pair i % U of
 * the weight rows, U = 16 / R.  One activation row wants no matrix: mm1 stays with the dot products. */
#include "kernel/inits.h"
enum { FEWEST = 2 };       /* activation rows in a tile */
#include "kernel/arm/mm_neon.h"

/* ---- codes --------------------------------------------------------------- */
/* Dwords of a and b in turn: the first two of each, or the last two. */
MT_INLINE uint8x16_t zip(uint8x16_t a, uint8x16_t b, int half)
{
    const uint32x4_t x = vreinterpretq_u32_u8(a), y = vreinterpretq_u32_u8(b);
    return vreinterpretq_u8_u32(half ? vzip2q_u32(x, y) : vzip1q_u32(x, y));
}
/* Even dwords shifted left by a, odd ones by b; negative: right. */
MT_INLINE uint8x16_t shift(uint8x16_t x, int a, int b)
{
    const int8_t m = (int8_t)a, n = (int8_t)b;
    const int8x16_t by = {m, m, m, m, n, n, n, n, m, m, m, m, n, n, n, n};
    return vshlq_u8(x, by);
}

/* Codes of rows 2 u and 2 u + 1 behind the first at k 8 c .. 8 c + 7. */
MT_INLINE int8x16_t pair_codes(mt_layout lay, int8x16_t book, planes at, int u, int c)
{
    const mt_planes p = mt_planes_of(lay);
    const int s = u / 8, in = 16 * (u % 8 / 2), half = u % 2, even = c % 2 == 0;
    const uint8_t *low = at.low + s * p.low * 64 + in;
    uint8x16_t x;
    if (p.low == 8) {
        low += 128 * c;
        return as_signed(zip(vld1q_u8(low), vld1q_u8(low + 64), half) ^ vdupq_n_u8(0x80));
    }
    if (p.low == 4) {
        low += 128 * (c & 1);
        x = zip(vld1q_u8(low), vld1q_u8(low + 64), half);
        x = c < 2 ? x & 15 : x >> 4;
        if (mt_has_codebook(lay)) return vqtbl1q_s8(book, x);
    } else {
        x = vld1q_u8(low + 64 * (c / 2));
        x = shift(zip(x, x, half), even ? 0 : -4, even ? -2 : -6) & 3;
    }
    if (p.high == 1) {
        /* Byte u of either step holds 4 bits of both rows. */
        const uint8x8_t a = vld1_dup_u8(at.one + 64 * s + 16 * c + u % 8);
        const uint8x8_t b = vld1_dup_u8(at.one + 64 * s + 16 * c + 8 + u % 8);
        const uint8x16_t bits = zip(vcombine_u8(a, a), vcombine_u8(b, b), 0);
        const uint8x16_t which = {1, 2, 4, 8, 1, 2, 4, 8, 16, 32, 64, 128, 16, 32, 64, 128};
        x = put_bit(p.low, vtstq_u8(bits, which), x);
    }
    if (p.high == 2) {
        const uint8x16_t two = vld1q_u8(at.two + 128 * s + 64 * (c / 2) + in);
        const uint8x16_t up = shift(zip(two, two, half), even ? 4 : 0, even ? 2 : -2);
        x = vbslq_u8(vdupq_n_u8(0x30), up, x);
    }
    return as_signed(x);
}

/* [8 k, 4][16 pairs of rows][16 bytes] */
MT_INLINE void put_codes(const mt_layout lay, int8x16_t book, const uint8_t *sub, uint8_t *to)
{
    const planes at = planes_at(lay, sub, 0);
#define PUT(u, c) vst1q_s8((int8_t *)to + 256 * (c) + 16 * (u), pair_codes(lay, book, at, u, c));
#define PUT_ALL(u)                                                               \
    PUT(u, 0) PUT(u, 2) PUT(u, 1) PUT(u, 3)                                      \
    PUT(8 + u, 0) PUT(8 + u, 2) PUT(8 + u, 1) PUT(8 + u, 3)
    EACH(PUT_ALL)
}

/* ---- activations --------------------------------------------------------- */
/* [8 k, 4][R / 2 pairs of rows][16 bytes] */
MT_INLINE void put_rows(const int8_t *q, size_t ldq, int rows, int R, int8_t *to)
{
    for (int c = 0; c < 4; c++) {
        for (int r = 0; r < R; r++, to += 8) {
            if (r < rows) memcpy(to, q + (size_t)r * ldq + 8 * c, 8);
            else memset(to, 0, 8);
        }
    }
}

/* A row's number for each lane of a pair: [x0, x0, x1, x1]. */
MT_INLINE float32x4_t pair_of(const void *x, int pair)
{
    const float32x4_t v = vld1q_f32(x);
    return pair ? vzip2q_f32(v, v) : vzip1q_f32(v, v);
}
/* Two of the four lanes, twice. */
MT_INLINE float32x4_t twice(float32x4_t v, int half)
{
    const float32x2_t x = half ? vget_high_f32(v) : vget_low_f32(v);
    return vcombine_f32(x, x);
}

/* ---- the tile ------------------------------------------------------------ */
#define F_VARS(i) float32x4_t f##i = vdupq_n_f32(0);
#define F_BEGIN(i)                                                                             \
    int32x4_t a##i = has_offset || is_both ? vreinterpretq_s32_f32(pair_of(tt, i / U)) : vdupq_n_s32(0); \
    if (is_both) a##i = a##i * 128;
#define CODES(u, c)                                                                            \
    (is_direct ? pair_codes(lay, book, at, u, c) : vld1q_s8(spelled + 256 * (c) + 16 * (u)))
#define F_EIGHT(i, c) a##i = vmmlaq_s32(a##i, vld1q_s8(q + 8 * R * (c) + 16 * (i / U)), CODES(i % U, c));
#define EIGHT(c)                                                                               \
    F_EIGHT(0, c) F_EIGHT(1, c) F_EIGHT(2, c) F_EIGHT(3, c)                                    \
    F_EIGHT(4, c) F_EIGHT(5, c) F_EIGHT(6, c) F_EIGHT(7, c)
#define F_END(i)                                                                               \
    {                                                                                          \
        const int p = i / U, v = i % U / 2;                                                    \
        const float32x4_t dw =                                                                 \
            is_direct ? scale_of(lay, x, v) : vld1q_f32(sc + 4 * v);          \
        f##i = vfmaq_f32(f##i, vcvtq_f32_s32(a##i), twice(dw, i % 2) * pair_of(ta, p));        \
        if (has_min) {                                                                         \
            const float32x4_t mw =                                                             \
                is_direct ? min_of(lay, x, v) : vld1q_f32(mn + 4 * v);        \
            const float32x4_t tp = pair_of(tt, p);                                             \
            const float32x4_t y = is_both ? pair_of(ta, p) * vcvtq_f32_s32(vreinterpretq_s32_f32(tp)) : tp; \
            f##i = vfmaq_f32(f##i, twice(mw, i % 2), y);                                       \
        }                                                                                      \
    }
/* Accumulators of four pairs of weight rows: eight outputs of either activation row. */
MT_INLINE void store(const tile *t, int pair, int at, vec f0, vec f1, vec f2, vec f3)
{
#define HALVES(zip, x, y) \
    vreinterpretq_f32_f64(zip(vreinterpretq_f64_f32(x), vreinterpretq_f64_f32(y)))
    if (2 * pair < t->rows)
        finish(t, 2 * pair, at, HALVES(vzip1q_f64, f0, f1), HALVES(vzip1q_f64, f2, f3));
    if (2 * pair + 1 < t->rows)
        finish(t, 2 * pair + 1, at, HALVES(vzip2q_f64, f0, f1), HALVES(vzip2q_f64, f2, f3));
}

MT_INLINE void run_tile(const mt_layout lay, const bool is_direct, const int R, int row,
                        const tile *t)
{
    const bool has_min = mt_has_min(lay), has_offset = !has_min && !is_signed_code(lay), is_both = is_both_of(lay);
    const int8x16_t book = book_of(lay, t->book);
    const mt_unit u = mt_unit_of(lay);
    const int per = 32 / u.group, n_sub = is_direct ? u.k / 32 : 1, U = 16 / R;
    const int unit_bytes = is_direct ? u.bytes : 0, sub_bytes = mt_planes_of(lay).sub;
    EACH(F_VARS)
    const uint8_t *panel = t->panel;
    const int8_t *spelled = (const int8_t *)panel + 8 * row, *q = t->q;
    const float *ta = t->as, *sc = t->dw + row, *mn = t->mw + row;
    const int32_t *tt = t->t;
    const int64_t n32 = t->n32;
    for (int64_t i = 0; i < n32; i++) {
        const uint8_t *unit = panel + i / n_sub * unit_bytes, *sub = unit + i % n_sub * sub_bytes;
        const planes at = planes_at(lay, sub, is_direct ? row : 0);
        scales x = scales_at(lay, unit, is_direct ? row : 0, (int)(i % n_sub) * per);
        if (per == 1) {      /* nibbles of one load follow each other */
            EACH(F_BEGIN)
            EIGHT(0) EIGHT(2) EIGHT(1) EIGHT(3)
            EACH(F_END)
        } else {
            {
                EACH(F_BEGIN)
                EIGHT(0) EIGHT(1)
                EACH(F_END)
            }
            next_group(lay, &x), tt += 4, sc += 32, mn += 32;
            EACH(F_BEGIN)
            EIGHT(2) EIGHT(3)
            EACH(F_END)
        }
        spelled += 1024, q += 32 * R, ta += 4, tt += 4, sc += 32, mn += 32;
    }
    store(t, 0, row, f0, f1, f2, f3);
    store(t, 4 / U, row + 4 % U * 2, f4, f5, f6, f7);
}

void mt_kern_init_mm_i8mm(mt_kern *t)
{
    for (int i = 0; i < MT_LAY_COUNT; i++) {
        if (!mt_layouts[i].is_quant) continue;
        t->mmn[i] = mm_direct;
        t->mmp[i] = mm_expanded;
    }
}

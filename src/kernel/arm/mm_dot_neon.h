/* SPDX-License-Identifier: MIT */
/* mm_dot_neon.h - the tile of the levels that sum four k of four rows in a vector.
 *
 * A lane is an output: R activation rows x V = 8 / R vectors of 4 weight rows, k running inside, so
 * nothing is added across lanes but the four k of a step.  Accumulator i belongs to row i / V and
 * vector i % V:
 *
 *   two steps: ADD_TWO(sums, codes at step ja, codes at step jb, 32 activations, ja, jb)
 *   group:     f = fma(float(total(sums)), dw * as, f), and fma(mw, t, f) where there is a min
 *
 * The level defines ADD_TWO, begin and total around its type `sums` before it includes this. */
#ifndef MT_KERNEL_MM_DOT_NEON_H
#define MT_KERNEL_MM_DOT_NEON_H

enum { FEWEST = 1 };       /* activation rows in a tile */
#include "kernel/arm/mm_neon.h"

#define F_VARS(i) float32x4_t f##i = vdupq_n_f32(0);
#define OFFSET(r) (has_offset ? tt[r] : is_both ? 128 * tt[r] : 0)
#define F_BEGIN(i) sums a##i = begin(OFFSET(i / V));
#define CODES(v, j) (is_direct ? step_codes(lay, book, at, v, j) : vld1q_s8(spelled + 128 * (j) + 16 * (v)))
#define F_TWO(i, ja, jb) ADD_TWO(lay, a##i, CODES(i % V, ja), CODES(i % V, jb), q + 32 * (i / V), ja, jb)
#define TWO(ja, jb)                                                                            \
    F_TWO(0, ja, jb) F_TWO(1, ja, jb) F_TWO(2, ja, jb) F_TWO(3, ja, jb)                        \
    F_TWO(4, ja, jb) F_TWO(5, ja, jb) F_TWO(6, ja, jb) F_TWO(7, ja, jb)
#define F_END(i)                                                                               \
    {                                                                                          \
        const int r = i / V, v = i % V;                                                        \
        const float32x4_t dw =                                                                 \
            is_direct ? scale_of(lay, x, v) : vld1q_f32(sc + 4 * v);          \
        const int32x4_t dot = total(lay, a##i, OFFSET(r));                        \
        f##i = vfmaq_f32(f##i, vcvtq_f32_s32(dot), dw * as[r]);                    \
        if (has_min) {                                                                         \
            float y;                                                                           \
            memcpy(&y, tt + r, 4);                                                             \
            if (is_both) y = ta[r] * (float)tt[r];                                             \
            f##i = vfmaq_n_f32(f##i, is_direct ? min_of(lay, x, v)            \
                                               : vld1q_f32(mn + 4 * v), y);                    \
        }                                                                                      \
    }
/* Accumulators i and j: eight neighbours of a row. */
#define F_STORE(i, j) if (i / V < t->rows) finish(t, i / V, row + 4 * (i % V), f##i, f##j);

MT_INLINE void run_tile(const mt_layout lay, const bool is_direct, const int R, int row,
                        const tile *t)
{
    const bool has_min = mt_has_min(lay), has_offset = !has_min && !is_signed_code(lay), is_both = is_both_of(lay);
    const int8x16_t book = book_of(lay, t->book);
    const mt_unit u = mt_unit_of(lay);
    const int per = 32 / u.group, n_sub = is_direct ? u.k / 32 : 1, V = 8 / R;
    const int unit_bytes = is_direct ? u.bytes : 0, sub_bytes = mt_planes_of(lay).sub;
    EACH(F_VARS)
    const uint8_t *panel = t->panel;
    const int8_t *spelled = (const int8_t *)panel + 4 * row, *q = t->q;
    const float *ta = t->as, *sc = t->dw + row, *mn = t->mw + row;
    const int32_t *tt = t->t;
    const int64_t n32 = t->n32;
    for (int64_t i = 0; i < n32; i++) {
        const uint8_t *unit = panel + i / n_sub * unit_bytes, *sub = unit + i % n_sub * sub_bytes;
        const planes at = planes_at(lay, sub, is_direct ? row : 0);
        scales x = scales_at(lay, unit, is_direct ? row : 0, (int)(i % n_sub) * per);
        const vec as = vld1q_f32(ta);
        if (per == 1) {      /* nibbles of one load follow each other */
            EACH(F_BEGIN)
            TWO(0, 4) TWO(1, 5) TWO(2, 6) TWO(3, 7)
            EACH(F_END)
        } else {
            {
                EACH(F_BEGIN)
                TWO(0, 1) TWO(2, 3)
                EACH(F_END)
            }
            next_group(lay, &x), tt += 4, sc += 32, mn += 32;
            EACH(F_BEGIN)
            TWO(4, 5) TWO(6, 7)
            EACH(F_END)
        }
        spelled += 1024, q += 32 * R, ta += 4, tt += 4, sc += 32, mn += 32;
    }
    F_STORE(0, 1) F_STORE(2, 3) F_STORE(4, 5) F_STORE(6, 7)
}

MT_INLINE void put_rows(const int8_t *q, size_t ldq, int rows, int R, int8_t *to)
{
    for (int r = 0; r < R; r++, to += 32) {
        if (r < rows) memcpy(to, q + (size_t)r * ldq, 32);
        else memset(to, 0, 32);
    }
}

/* [step 8][32 rows][4 bytes] */
MT_INLINE void put_codes(const mt_layout lay, int8x16_t book, const uint8_t *sub, uint8_t *to)
{
    const planes at = planes_at(lay, sub, 0);
#define PUT(v, j) vst1q_s8((int8_t *)to + 128 * (j) + 16 * (v), step_codes(lay, book, at, v, j));
#define PUT_ALL(v) PUT(v, 0) PUT(v, 4) PUT(v, 1) PUT(v, 5) PUT(v, 2) PUT(v, 6) PUT(v, 3) PUT(v, 7)
    EACH(PUT_ALL)
}

#endif

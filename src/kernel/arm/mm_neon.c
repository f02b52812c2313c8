/* SPDX-License-Identifier: MIT */
/* mm_neon.c - products of packed integer weights with int8 activations, plain NEON (ARMv8.0).
 *
 * smlal multiplies signed bytes into 16 bits, each product a lane of its own.  Two ways, by the
 * size of the codes:
 *
 *   narrow  a whole group is added in 16 bits and widened once: codes to 31 over 8 steps
 *           (8 * 31 * 127 = 31496), to 63 over the 4 steps of a group of 16 (4 * 63 * 127 = 32004)
 *   signed  w8, codebooks: widened every two steps (2 * 128 * 127 = 32512)
 *
 * Neither saturates nor wraps, so the integer sums are those of every other level. */
#include "kernel/inits.h"
#include "kernel/arm/unpack_neon.h"

/* Bytes 0..7 and 8..15 of a code vector apart: narrow as int16x8_t, signed as pairs of k. */
typedef struct sums { int32x4_t low, high; } sums;

MT_INLINE int16x8_t times(int8x16_t w, int8x16_t b) { return vmull_s8(vget_low_s8(w), vget_low_s8(b)); }
MT_INLINE int16x8_t add_low(int16x8_t a, int8x16_t w, int8x16_t b)
{
    return vmlal_s8(a, vget_low_s8(w), vget_low_s8(b));
}

/* Four activation bytes to all lanes. */
MT_INLINE int8x16_t four_of(const int8_t *q)
{
    return vreinterpretq_s8_s32(vld1q_dup_s32((const int32_t *)(const void *)q));
}

MT_INLINE sums add_two(const mt_layout lay, sums a, int8x16_t wa, int8x16_t wb, int8x16_t ba,
                       int8x16_t bb)
{
    if (is_signed_code(lay)) {
        a.low = vpadalq_s16(a.low, add_low(times(wa, ba), wb, bb));
        a.high = vpadalq_s16(a.high, vmlal_high_s8(vmull_high_s8(wa, ba), wb, bb));
        return a;
    }
    const int16x8_t low = vreinterpretq_s16_s32(a.low), high = vreinterpretq_s16_s32(a.high);
    a.low = vreinterpretq_s32_s16(add_low(add_low(low, wa, ba), wb, bb));
    a.high = vreinterpretq_s32_s16(vmlal_high_s8(vmlal_high_s8(high, wa, ba), wb, bb));
    return a;
}

MT_INLINE int32x4_t total(const mt_layout lay, sums a, int32_t offset)
{
    if (!is_signed_code(lay)) {
        a.low = vpaddlq_s16(vreinterpretq_s16_s32(a.low));
        a.high = vpaddlq_s16(vreinterpretq_s16_s32(a.high));
    }
    return vpaddq_s32(a.low, a.high) + vdupq_n_s32(offset);
}

#define begin(offset) {vdupq_n_s32(0), vdupq_n_s32(0)}
#define ADD_TWO(lay, a, wa, wb, q, ja, jb) \
    a = add_two(lay, a, wa, wb, four_of((q) + 4 * (ja)), four_of((q) + 4 * (jb)));

#include "kernel/arm/mm_dot_neon.h"

void mt_kern_init_mm_neon(mt_kern *t)
{
    for (int i = 0; i < MT_LAY_COUNT; i++) {
        if (!mt_layouts[i].is_quant) continue;
        t->mm1[i] = t->mmn[i] = mm_direct;
        t->mmp[i] = mm_expanded;
    }
}

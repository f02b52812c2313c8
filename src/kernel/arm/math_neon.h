/* SPDX-License-Identifier: MIT */
/* math_neon.h - exp, tanh and the activations on 4 lanes: the text of ref_math.c, same bits.
 *
 * Only always-inlined functions, so no copy of them can reach another level.  fma(a, b, c) is
 * vfmaq_f32(c, a, b), one rounding in every ARMv8 CPU; products and sums are written as operators,
 * which the build never contracts. */
#ifndef MT_KERNEL_MATH_NEON_H
#define MT_KERNEL_MATH_NEON_H

#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "kernel/coef.h"
#include "kernel/kernel.h"

typedef float32x4_t vec;

MT_INLINE vec all(float f) { return vdupq_n_f32(f); }
MT_INLINE vec fma_of(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
/* Lanes that exist of a vector with `left` values to go: 0 .. 4. */
MT_INLINE int lanes(int64_t left) { return (int)(left < 0 ? 0 : left > 4 ? 4 : left); }
MT_INLINE uint32x4_t mask_of(int n)
{
    const int32x4_t lane = {0, 1, 2, 3};
    return vcltq_s32(lane, vdupq_n_s32(n));
}
/* The first n values, zeros behind them. */
MT_INLINE vec load_some(int n, const float *p)
{
    if (n == 4) return vld1q_f32(p);
    float some[4] = {0};
    for (int i = 0; i < n; i++) some[i] = p[i];
    return vld1q_f32(some);
}
MT_INLINE void store_some(int n, float *p, vec v)
{
    if (n == 4) {
        vst1q_f32(p, v);
        return;
    }
    float some[4];
    vst1q_f32(some, v);
    for (int i = 0; i < n; i++) p[i] = some[i];
}
MT_INLINE vec pick(vec a, vec b, uint32x4_t m) { return vbslq_f32(m, b, a); }   /* m ? b : a */
MT_INLINE vec keep(uint32x4_t m, vec v)                                         /* m ? v : 0 */
{
    return vreinterpretq_f32_u32(vandq_u32(m, vreinterpretq_u32_f32(v)));
}
MT_INLINE vec only(int n, vec v) { return keep(mask_of(n), v); }
/* b > a ? b : a in every lane: NaN in b is skipped. */
MT_INLINE vec max_of(vec a, vec b) { return pick(a, b, vcgtq_f32(b, a)); }

MT_INLINE vec exp_of(vec x)
{
    const vec t = fma_of(x, all(MT_LOG2E), all(MT_MAGIC)), n = t - all(MT_MAGIC);
    vec r = fma_of(n, all(-MT_LN2_HI), x);
    r = fma_of(n, all(-MT_LN2_LO), r);
    vec p = fma_of(all(MT_EXP_C6), r, all(MT_EXP_C5));
    p = fma_of(p, r, all(MT_EXP_C4));
    p = fma_of(p, r, all(MT_EXP_C3));
    p = fma_of(p, r, all(MT_EXP_C2));
    p = fma_of(p, r, all(1.0f));
    p = fma_of(p, r, all(1.0f));
    const uint32x4_t scale = vshlq_n_u32(vreinterpretq_u32_f32(t), 23);
    p = vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), scale));
    p = pick(p, all(INFINITY), vcgtq_f32(x, all(MT_EXP_HIGH)));
    p = pick(p, all(0.0f), vcltq_f32(x, all(MT_EXP_LOW)));
    return pick(x, p, vceqq_f32(x, x));         /* NaN stays */
}

MT_INLINE vec tanh_of(vec x)
{
    const vec a = vabsq_f32(x), s = a * a;
    vec p = fma_of(all(MT_TANH_T5), s, all(MT_TANH_T4));
    p = fma_of(p, s, all(MT_TANH_T3));
    p = fma_of(p, s, all(MT_TANH_T2));
    p = fma_of(p, s, all(MT_TANH_T1));
    p = fma_of(p, s, all(MT_TANH_T0));
    p = fma_of(a * s, p, a);
    const vec big = all(1.0f) - all(2.0f) / (exp_of(a + a) + all(1.0f));
    const vec y = pick(big, p, vcltq_f32(a, all(MT_TANH_SMALL)));
    return vbslq_f32(vdupq_n_u32(0x80000000u), x, y);
}

/* x / (1 + e^-z) */
MT_INLINE vec gated(vec x, vec z) { return x / (all(1.0f) + exp_of(-z)); }

MT_INLINE vec gelu_erf_of(vec x)
{
    const vec b = vabsq_f32(x);
    const vec a = pick(b, all(MT_PHI_MAX), vcgtq_f32(b, all(MT_PHI_MAX)));      /* NaN stays */
    const vec h = a * a, low = fma_of(a, a, -h);
    vec e = exp_of(all(-0.5f) * h);
    e = fma_of(e, all(-0.5f) * low, e);
    const vec v = all(2.0f) / (a + all(2.0f)), s = v - all(0.5f);
    vec p = fma_of(all(MT_PHI_N11), s, all(MT_PHI_N10));
    p = fma_of(p, s, all(MT_PHI_N9));
    p = fma_of(p, s, all(MT_PHI_N8));
    p = fma_of(p, s, all(MT_PHI_N7));
    p = fma_of(p, s, all(MT_PHI_N6));
    p = fma_of(p, s, all(MT_PHI_N5));
    p = fma_of(p, s, all(MT_PHI_N4));
    p = fma_of(p, s, all(MT_PHI_N3));
    p = fma_of(p, s, all(MT_PHI_N2));
    p = fma_of(p, s, all(MT_PHI_N1));
    p = fma_of(p, s, all(MT_PHI_N0));
    const vec q = e * (p * v);
    return x * pick(all(1.0f) - q, q, vcltq_f32(x, all(0.0f)));
}

/* kind is a constant in every caller. */
MT_INLINE vec act_of(const mt_act_kind kind, vec x)
{
    const uint32x4_t is_below = vcltq_f32(x, all(0.0f));
    switch (kind) {
    case MT_ACT_NONE: return x;
    case MT_ACT_RELU: return pick(x, all(0.0f), is_below);
    case MT_ACT_RELU2: return pick(x * x, all(0.0f), is_below);
    case MT_ACT_GELU_ERF: return gelu_erf_of(x);
    case MT_ACT_GELU_TANH: return gated(x, x * fma_of(all(MT_GELU_B), x * x, all(MT_GELU_A)));
    case MT_ACT_QUICK_GELU: return gated(x, all(MT_QUICK_A) * x);
    case MT_ACT_SILU: return gated(x, x);
    case MT_ACT_SIGMOID: return gated(all(1.0f), x);
    case MT_ACT_TANH: return tanh_of(x);
    }
    return x;
}

/* Adds 16 partial sums, four to a vector, by the tree 8, 4, 2, 1. */
MT_INLINE float tree(const vec s[4])
{
    const vec f = (s[0] + s[2]) + (s[1] + s[3]);
    const float32x2_t t = vadd_f32(vget_low_f32(f), vget_high_f32(f));
    return vget_lane_f32(t, 0) + vget_lane_f32(t, 1);
}

/* f32 bits rounded to bf16, in the upper half of each lane; the lower half is not cleared. */
MT_INLINE uint32x4_t bf16_of(vec v)
{
    const uint32x4_t b = vreinterpretq_u32_f32(v);
    const uint32x4_t up = b + (vdupq_n_u32(0x7fff) + (b >> 16 & 1));
    return vbslq_u32(vceqq_f32(v, v), up, b | 0x400000);
}

#endif

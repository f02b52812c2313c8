/* SPDX-License-Identifier: MIT */
/* math_avx512.h - exp, tanh and the activations on 16 lanes: the text of ref_math.c, same bits.
 *
 * Only always-inlined functions, so no copy of them can reach another level. */
#ifndef MT_KERNEL_MATH_AVX512_H
#define MT_KERNEL_MATH_AVX512_H

#include <immintrin.h>
#include <math.h>

#include "kernel/coef.h"
#include "kernel/kernel.h"

typedef __m512 vec;

MT_INLINE vec all(float f) { return _mm512_set1_ps(f); }
MT_INLINE __mmask16 tail_mask(int64_t left)
{
    return (__mmask16)(left >= 16 ? 0xffff : (1 << left) - 1);
}
MT_INLINE vec load_some(__mmask16 m, const float *p) { return _mm512_maskz_loadu_ps(m, p); }
MT_INLINE void store_some(__mmask16 m, float *p, vec v) { _mm512_mask_storeu_ps(p, m, v); }
MT_INLINE vec abs_of(vec x) { return _mm512_andnot_ps(all(-0.0f), x); }
MT_INLINE vec negate(vec x) { return _mm512_xor_ps(all(-0.0f), x); }
/* b > a ? b : a in every lane: NaN in b is skipped. */
MT_INLINE vec max_of(vec a, vec b) { return _mm512_max_ps(b, a); }

MT_INLINE vec exp_of(vec x)
{
    const vec t = _mm512_fmadd_ps(x, all(MT_LOG2E), all(MT_MAGIC)),
              n = _mm512_sub_ps(t, all(MT_MAGIC));
    vec r = _mm512_fnmadd_ps(n, all(MT_LN2_HI), x);
    r = _mm512_fnmadd_ps(n, all(MT_LN2_LO), r);
    vec p = _mm512_fmadd_ps(all(MT_EXP_C6), r, all(MT_EXP_C5));
    p = _mm512_fmadd_ps(p, r, all(MT_EXP_C4));
    p = _mm512_fmadd_ps(p, r, all(MT_EXP_C3));
    p = _mm512_fmadd_ps(p, r, all(MT_EXP_C2));
    p = _mm512_fmadd_ps(p, r, all(1.0f));
    p = _mm512_fmadd_ps(p, r, all(1.0f));
    p = _mm512_scalef_ps(p, n);                 /* NaN stays */
    const __mmask16 over = _mm512_cmp_ps_mask(x, all(MT_EXP_HIGH), _CMP_GT_OQ);
    const __mmask16 keep = _mm512_cmp_ps_mask(x, all(MT_EXP_LOW), _CMP_NLT_UQ);
    return _mm512_maskz_mov_ps(keep, _mm512_mask_mov_ps(p, over, all(INFINITY)));
}

MT_INLINE vec tanh_of(vec x)
{
    const vec a = abs_of(x), s = _mm512_mul_ps(a, a);
    vec p = _mm512_fmadd_ps(all(MT_TANH_T5), s, all(MT_TANH_T4));
    p = _mm512_fmadd_ps(p, s, all(MT_TANH_T3));
    p = _mm512_fmadd_ps(p, s, all(MT_TANH_T2));
    p = _mm512_fmadd_ps(p, s, all(MT_TANH_T1));
    p = _mm512_fmadd_ps(p, s, all(MT_TANH_T0));
    p = _mm512_fmadd_ps(_mm512_mul_ps(a, s), p, a);
    const vec e = exp_of(_mm512_add_ps(a, a));
    const vec big =
        _mm512_sub_ps(all(1.0f), _mm512_div_ps(all(2.0f), _mm512_add_ps(e, all(1.0f))));
    const __mmask16 is_small = _mm512_cmp_ps_mask(a, all(MT_TANH_SMALL), _CMP_LT_OQ);
    return _mm512_or_ps(_mm512_mask_mov_ps(big, is_small, p), _mm512_and_ps(all(-0.0f), x));
}

/* x / (1 + e^-z) */
MT_INLINE vec gated(vec x, vec z)
{
    return _mm512_div_ps(x, _mm512_add_ps(all(1.0f), exp_of(negate(z))));
}

MT_INLINE vec gelu_erf_of(vec x)
{
    const vec b = abs_of(x);
    const vec a = _mm512_min_ps(all(MT_PHI_MAX), b);    /* NaN stays */
    const vec h = _mm512_mul_ps(a, a), low = _mm512_fmsub_ps(a, a, h);
    vec e = exp_of(_mm512_mul_ps(all(-0.5f), h));
    e = _mm512_fmadd_ps(e, _mm512_mul_ps(all(-0.5f), low), e);
    const vec v = _mm512_div_ps(all(2.0f), _mm512_add_ps(a, all(2.0f))),
              s = _mm512_sub_ps(v, all(0.5f));
    vec p = _mm512_fmadd_ps(all(MT_PHI_N11), s, all(MT_PHI_N10));
    p = _mm512_fmadd_ps(p, s, all(MT_PHI_N9));
    p = _mm512_fmadd_ps(p, s, all(MT_PHI_N8));
    p = _mm512_fmadd_ps(p, s, all(MT_PHI_N7));
    p = _mm512_fmadd_ps(p, s, all(MT_PHI_N6));
    p = _mm512_fmadd_ps(p, s, all(MT_PHI_N5));
    p = _mm512_fmadd_ps(p, s, all(MT_PHI_N4));
    p = _mm512_fmadd_ps(p, s, all(MT_PHI_N3));
    p = _mm512_fmadd_ps(p, s, all(MT_PHI_N2));
    p = _mm512_fmadd_ps(p, s, all(MT_PHI_N1));
    p = _mm512_fmadd_ps(p, s, all(MT_PHI_N0));
    const vec q = _mm512_mul_ps(e, _mm512_mul_ps(p, v));
    const __mmask16 below = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
    return _mm512_mul_ps(x, _mm512_mask_mov_ps(_mm512_sub_ps(all(1.0f), q), below, q));
}

/* kind is a constant in every caller. */
MT_INLINE vec act_of(const mt_act_kind kind, vec x)
{
    const __mmask16 keep = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_NLT_UQ);
    switch (kind) {
    case MT_ACT_NONE: return x;
    case MT_ACT_RELU: return _mm512_maskz_mov_ps(keep, x);
    case MT_ACT_RELU2: return _mm512_maskz_mul_ps(keep, x, x);
    case MT_ACT_GELU_ERF: return gelu_erf_of(x);
    case MT_ACT_GELU_TANH: {
        const vec p = _mm512_fmadd_ps(all(MT_GELU_B), _mm512_mul_ps(x, x), all(MT_GELU_A));
        return gated(x, _mm512_mul_ps(x, p));
    }
    case MT_ACT_QUICK_GELU: return gated(x, _mm512_mul_ps(all(MT_QUICK_A), x));
    case MT_ACT_SILU: return gated(x, x);
    case MT_ACT_SIGMOID: return gated(all(1.0f), x);
    case MT_ACT_TANH: return tanh_of(x);
    }
    return x;
}

/* Adds 16 partial sums by the tree 8, 4, 2, 1. */
MT_INLINE float tree(vec s)
{
    const __m256 e = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
    const __m128 f = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
    const __m128 t = _mm_add_ps(f, _mm_movehl_ps(f, f));
    return _mm_cvtss_f32(_mm_add_ss(t, _mm_shuffle_ps(t, t, 1)));
}

#endif

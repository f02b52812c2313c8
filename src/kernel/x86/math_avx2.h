/* SPDX-License-Identifier: MIT */
/* math_avx2.h - exp, tanh and the activations on 8 lanes: the text of ref_math.c, same bits.
 *
 * Only always-inlined functions, so no copy of them can reach another level. */
#ifndef MT_KERNEL_MATH_AVX2_H
#define MT_KERNEL_MATH_AVX2_H

#include <immintrin.h>
#include <math.h>

#include "kernel/coef.h"
#include "kernel/kernel.h"

typedef __m256 vec;

MT_INLINE vec all(float f) { return _mm256_set1_ps(f); }
/* Lanes that exist of a vector with `left` values to go: 0 .. 8. */
MT_INLINE int lanes(int64_t left) { return (int)(left < 0 ? 0 : left > 8 ? 8 : left); }
MT_INLINE __m256i mask_of(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
/* The first n values, zeros behind them.  No vmaskmov: its stores are slow on AMD, and emulators
 * fault on what it masks. */
MT_INLINE vec load_some(int n, const float *p)
{
    if (n == 8) return _mm256_loadu_ps(p);
    float some[8] = {0};
    for (int i = 0; i < n; i++) some[i] = p[i];
    return _mm256_loadu_ps(some);
}
MT_INLINE void store_some(int n, float *p, vec v)
{
    if (n == 8) {
        _mm256_storeu_ps(p, v);
        return;
    }
    float some[8];
    _mm256_storeu_ps(some, v);
    for (int i = 0; i < n; i++) p[i] = some[i];
}
MT_INLINE vec only(int n, vec v) { return _mm256_and_ps(v, _mm256_castsi256_ps(mask_of(n))); }
MT_INLINE vec pick(vec a, vec b, vec m) { return _mm256_blendv_ps(a, b, m); }  /* m ? b : a */
MT_INLINE vec abs_of(vec x) { return _mm256_andnot_ps(all(-0.0f), x); }
MT_INLINE vec negate(vec x) { return _mm256_xor_ps(all(-0.0f), x); }
/* b > a ? b : a in every lane: NaN in b is skipped. */
MT_INLINE vec max_of(vec a, vec b) { return _mm256_max_ps(b, a); }

MT_INLINE vec exp_of(vec x)
{
    const vec t = _mm256_fmadd_ps(x, all(MT_LOG2E), all(MT_MAGIC)),
              n = _mm256_sub_ps(t, all(MT_MAGIC));
    vec r = _mm256_fnmadd_ps(n, all(MT_LN2_HI), x);
    r = _mm256_fnmadd_ps(n, all(MT_LN2_LO), r);
    vec p = _mm256_fmadd_ps(all(MT_EXP_C6), r, all(MT_EXP_C5));
    p = _mm256_fmadd_ps(p, r, all(MT_EXP_C4));
    p = _mm256_fmadd_ps(p, r, all(MT_EXP_C3));
    p = _mm256_fmadd_ps(p, r, all(MT_EXP_C2));
    p = _mm256_fmadd_ps(p, r, all(1.0f));
    p = _mm256_fmadd_ps(p, r, all(1.0f));
    const __m256i scale = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    p = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), scale));
    p = pick(p, all(INFINITY), _mm256_cmp_ps(x, all(MT_EXP_HIGH), _CMP_GT_OQ));
    p = _mm256_and_ps(p, _mm256_cmp_ps(x, all(MT_EXP_LOW), _CMP_NLT_UQ));
    return pick(p, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

MT_INLINE vec tanh_of(vec x)
{
    const vec a = abs_of(x), s = _mm256_mul_ps(a, a);
    vec p = _mm256_fmadd_ps(all(MT_TANH_T5), s, all(MT_TANH_T4));
    p = _mm256_fmadd_ps(p, s, all(MT_TANH_T3));
    p = _mm256_fmadd_ps(p, s, all(MT_TANH_T2));
    p = _mm256_fmadd_ps(p, s, all(MT_TANH_T1));
    p = _mm256_fmadd_ps(p, s, all(MT_TANH_T0));
    p = _mm256_fmadd_ps(_mm256_mul_ps(a, s), p, a);
    const vec e = exp_of(_mm256_add_ps(a, a));
    const vec big =
        _mm256_sub_ps(all(1.0f), _mm256_div_ps(all(2.0f), _mm256_add_ps(e, all(1.0f))));
    const vec y = pick(big, p, _mm256_cmp_ps(a, all(MT_TANH_SMALL), _CMP_LT_OQ));
    return _mm256_or_ps(y, _mm256_and_ps(all(-0.0f), x));
}

/* x / (1 + e^-z) */
MT_INLINE vec gated(vec x, vec z)
{
    return _mm256_div_ps(x, _mm256_add_ps(all(1.0f), exp_of(negate(z))));
}

MT_INLINE vec gelu_erf_of(vec x)
{
    const vec b = abs_of(x);
    const vec a = _mm256_min_ps(all(MT_PHI_MAX), b);    /* NaN stays */
    const vec h = _mm256_mul_ps(a, a), low = _mm256_fmsub_ps(a, a, h);
    vec e = exp_of(_mm256_mul_ps(all(-0.5f), h));
    e = _mm256_fmadd_ps(e, _mm256_mul_ps(all(-0.5f), low), e);
    const vec v = _mm256_div_ps(all(2.0f), _mm256_add_ps(a, all(2.0f))),
              s = _mm256_sub_ps(v, all(0.5f));
    vec p = _mm256_fmadd_ps(all(MT_PHI_N11), s, all(MT_PHI_N10));
    p = _mm256_fmadd_ps(p, s, all(MT_PHI_N9));
    p = _mm256_fmadd_ps(p, s, all(MT_PHI_N8));
    p = _mm256_fmadd_ps(p, s, all(MT_PHI_N7));
    p = _mm256_fmadd_ps(p, s, all(MT_PHI_N6));
    p = _mm256_fmadd_ps(p, s, all(MT_PHI_N5));
    p = _mm256_fmadd_ps(p, s, all(MT_PHI_N4));
    p = _mm256_fmadd_ps(p, s, all(MT_PHI_N3));
    p = _mm256_fmadd_ps(p, s, all(MT_PHI_N2));
    p = _mm256_fmadd_ps(p, s, all(MT_PHI_N1));
    p = _mm256_fmadd_ps(p, s, all(MT_PHI_N0));
    const vec q = _mm256_mul_ps(e, _mm256_mul_ps(p, v));
    const vec below = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ);
    return _mm256_mul_ps(x, pick(_mm256_sub_ps(all(1.0f), q), q, below));
}

/* kind is a constant in every caller. */
MT_INLINE vec act_of(const mt_act_kind kind, vec x)
{
    const vec keep = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_NLT_UQ);
    switch (kind) {
    case MT_ACT_NONE: return x;
    case MT_ACT_RELU: return _mm256_and_ps(keep, x);
    case MT_ACT_RELU2: return _mm256_and_ps(keep, _mm256_mul_ps(x, x));
    case MT_ACT_GELU_ERF: return gelu_erf_of(x);
    case MT_ACT_GELU_TANH: {
        const vec p = _mm256_fmadd_ps(all(MT_GELU_B), _mm256_mul_ps(x, x), all(MT_GELU_A));
        return gated(x, _mm256_mul_ps(x, p));
    }
    case MT_ACT_QUICK_GELU: return gated(x, _mm256_mul_ps(all(MT_QUICK_A), x));
    case MT_ACT_SILU: return gated(x, x);
    case MT_ACT_SIGMOID: return gated(all(1.0f), x);
    case MT_ACT_TANH: return tanh_of(x);
    }
    return x;
}

/* Adds 16 partial sums, lanes 0..7 in a and 8..15 in b, by the tree 8, 4, 2, 1. */
MT_INLINE float tree(vec a, vec b)
{
    const vec e = _mm256_add_ps(a, b);
    const __m128 f = _mm_add_ps(_mm256_castps256_ps128(e), _mm256_extractf128_ps(e, 1));
    const __m128 t = _mm_add_ps(f, _mm_movehl_ps(f, f));
    return _mm_cvtss_f32(_mm_add_ss(t, _mm_shuffle_ps(t, t, 1)));
}

/* The largest lane; no lane is NaN. */
MT_INLINE float largest(vec v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}

/* f32 bits rounded to bf16, in the upper half of each lane; the lower half is not cleared. */
MT_INLINE __m256i bf16_of(vec v)
{
    const __m256i b = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(b, 16), _mm256_set1_epi32(1));
    const __m256i up = _mm256_add_epi32(b, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i nan = _mm256_or_si256(b, _mm256_set1_epi32(0x400000));
    return _mm256_blendv_epi8(up, nan, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
}

#endif

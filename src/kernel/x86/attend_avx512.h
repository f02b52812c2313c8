/* SPDX-License-Identifier: MIT */
/* attend_avx512.h - what attend_body.h needs of 16 lanes: a vector of keys is a whole page.
 *
 * Only always-inlined functions.  attend_avx512.c multiplies bf16 pairs by two fused multiply-adds,
 * attend_avx512bf16.c by the instruction made for it; the bits are the same. */
#ifndef MT_KERNEL_ATTEND_AVX512_H
#define MT_KERNEL_ATTEND_AVX512_H

#include <string.h>

#include "kernel/inits.h"
#include "kernel/x86/math_avx512.h"

enum { LANES = 16, KEY_VECS = 4, DIM_VECS = 4 };
typedef __m512i ivec;

MT_INLINE unsigned flush_on(void)
{
    const unsigned was = _mm_getcsr();
    _mm_setcsr(was | 0x8040);           /* flush to zero, denormals are zero */
    return was;
}
MT_INLINE void flush_back(unsigned was) { _mm_setcsr((_mm_getcsr() & 0x3fu) | was); }

MT_INLINE vec load(const float *p) { return _mm512_loadu_ps(p); }
MT_INLINE void store(float *p, vec v) { _mm512_storeu_ps(p, v); }
MT_INLINE vec load_n(int n, const float *p) { return n >= 16 ? load(p) : load_some(tail_mask(MT_MAX(n, 0)), p); }
MT_INLINE void store_n(int n, float *p, vec v) { store_some(tail_mask(n), p, v); }
MT_INLINE vec vadd(vec a, vec b) { return _mm512_add_ps(a, b); }
MT_INLINE vec vsub(vec a, vec b) { return _mm512_sub_ps(a, b); }
MT_INLINE vec vmul(vec a, vec b) { return _mm512_mul_ps(a, b); }
MT_INLINE vec vdiv(vec a, vec b) { return _mm512_div_ps(a, b); }
MT_INLINE vec vfma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
MT_INLINE vec add_product(vec sum, vec a, vec b) { return _mm512_fmadd_ps(a, b, sum); }
MT_INLINE float largest(vec v) { return _mm512_reduce_max_ps(v); }
MT_INLINE float sum_tree(vec a, vec b, vec c, vec d) { (void)b, (void)c, (void)d; return tree(a); }

/* Lanes outside [from, to) become -inf. */
MT_INLINE vec only_from_to(vec x, int from, int to)
{
    const __mmask16 in = (__mmask16)(tail_mask(MT_MAX(to, 0)) & ~tail_mask(from));
    return _mm512_mask_mov_ps(all(-INFINITY), in, x);
}
MT_INLINE vec zero_for_least(vec x)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, all(-INFINITY), _CMP_NEQ_UQ), x);
}

/* 2^x for x <= 0, as coef.h says. */
MT_INLINE vec exp2_of(const bool brief, vec x)
{
    const vec n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC), r = _mm512_sub_ps(x, n);
    vec p;
    if (brief) {
        p = _mm512_fmadd_ps(all(MT_EXP2_S3), r, all(MT_EXP2_S2));
        p = _mm512_fmadd_ps(p, r, all(MT_EXP2_S1));
    } else {
        p = _mm512_fmadd_ps(all(MT_EXP2_E6), r, all(MT_EXP2_E5));
        p = _mm512_fmadd_ps(p, r, all(MT_EXP2_E4));
        p = _mm512_fmadd_ps(p, r, all(MT_EXP2_E3));
        p = _mm512_fmadd_ps(p, r, all(MT_EXP2_E2));
        p = _mm512_fmadd_ps(p, r, all(MT_EXP2_E1));
    }
    p = _mm512_fmadd_ps(p, r, all(1.0f));
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, all(MT_EXP2_LOW), _CMP_NLT_UQ), p, n);
}

MT_INLINE vec widen(__m256i h) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16)); }
MT_INLINE __m256i to_bf16(vec v)
{
    const __m512i b = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(b, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_add_epi32(b, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), b, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16));
}

/* ---- reading pages ------------------------------------------------------------- */
MT_INLINE vec read_kv(const mt_kv_type type, const uint8_t *p, int n)
{
    if (type == MT_KV_F32) return load_n(n, (const float *)(const void *)p);
    const __m256i h = n >= 16 ? _mm256_loadu_si256((const __m256i *)(const void *)p)
                              : _mm256_maskz_loadu_epi16(tail_mask(n), p);
    return _mm512_cvtph_ps(h);
}
MT_INLINE vec read_value(const mt_kv_type type, const uint8_t *p, int n)
{
    if (type != MT_KV_Q8) return read_kv(type, p, n);
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}
MT_INLINE vec read_scales(const uint8_t *p) { return widen(_mm256_loadu_si256((const __m256i *)(const void *)p)); }
MT_INLINE ivec read_words(const uint8_t *p, int n)
{
    return n >= 16 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi32(tail_mask(n), p);
}
MT_INLINE ivec all_words(const float *p)
{
    int32_t w;
    memcpy(&w, p, 4);
    return _mm512_set1_epi32(w);
}
MT_INLINE ivec and_word(ivec w, uint32_t m) { return _mm512_and_si512(w, _mm512_set1_epi32((int)m)); }
MT_INLINE vec odd_of(ivec w) { return _mm512_castsi512_ps(and_word(w, 0xffff0000u)); }
MT_INLINE vec even_of(ivec w) { return _mm512_castsi512_ps(_mm512_slli_epi32(w, 16)); }

/* ---- int8 ------------------------------------------------------------------------ */
/* The instruction wants one side unsigned: keys + 128, and 128 times the sum of the query less. */
MT_INLINE ivec read_codes(const uint8_t *p) { return _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(-128)); }
MT_INLINE ivec code_start(int32_t sum) { return _mm512_set1_epi32(-128 * sum); }
MT_INLINE ivec code_dot(ivec acc, ivec k, ivec q) { return _mm512_dpbusd_epi32(acc, k, q); }
MT_INLINE vec to_float(ivec v) { return _mm512_cvtepi32_ps(v); }

/* 32 values to int8 and a scale that fits bf16. */
MT_INLINE float quantize_group(const float *x, int8_t *code)
{
    const vec a = load(x), b = load(x + 16);
    const uint32_t amax = _mm512_reduce_max_epu32(
        _mm512_max_epu32(_mm512_castps_si512(abs_of(a)), _mm512_castps_si512(abs_of(b))));
    memset(code, 0, MT_GROUP);
    if (amax < MT_KV_TINY) return 0;
    float d = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128((int)amax)));
    if (amax >= 0x7f800000) return amax > 0x7f800000 ? NAN : d;
    d = d / 127.0f;
    uint32_t bits;
    memcpy(&bits, &d, 4);
    bits = (bits + 0xffff) & 0xffff0000;
    memcpy(&d, &bits, 4);
    const vec inv = all(1.0f / d);
    _mm_storeu_si128((__m128i *)(void *)code, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(vmul(a, inv))));
    _mm_storeu_si128((__m128i *)(void *)(code + 16), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(vmul(b, inv))));
    return d;
}

#endif

/* SPDX-License-Identifier: MIT */
/* attend_avx2.c - attention on 8 lanes: a page of 16 keys is two vectors.
 *
 * bf16 pairs multiply by two fused multiply-adds on the shifted and the masked words; int8 by the
 * 16-bit pair products, which do not saturate since no code is below -127. */
#include <string.h>

#include "kernel/inits.h"
#include "kernel/x86/math_avx2.h"

enum { LANES = 8, KEY_VECS = 2, DIM_VECS = 2, HAS_PAIR_DOT = 0 };
typedef __m256i ivec;

MT_INLINE unsigned flush_on(void)
{
    const unsigned was = _mm_getcsr();
    _mm_setcsr(was | 0x8040);           /* flush to zero, denormals are zero */
    return was;
}
MT_INLINE void flush_back(unsigned was) { _mm_setcsr((_mm_getcsr() & 0x3fu) | was); }

MT_INLINE vec load(const float *p) { return _mm256_loadu_ps(p); }
MT_INLINE void store(float *p, vec v) { _mm256_storeu_ps(p, v); }
MT_INLINE vec load_n(int n, const float *p) { return load_some(lanes(n), p); }
MT_INLINE void store_n(int n, float *p, vec v) { store_some(lanes(n), p, v); }
MT_INLINE vec vadd(vec a, vec b) { return _mm256_add_ps(a, b); }
MT_INLINE vec vsub(vec a, vec b) { return _mm256_sub_ps(a, b); }
MT_INLINE vec vmul(vec a, vec b) { return _mm256_mul_ps(a, b); }
MT_INLINE vec vdiv(vec a, vec b) { return _mm256_div_ps(a, b); }
MT_INLINE vec vfma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
/* In place: twelve sums and their operands just fit, and gcc 12, free to choose where a result goes,
 * moves two of the sums to memory and back in every step. */
MT_INLINE vec add_product(vec sum, vec a, vec b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    return sum;
}
MT_INLINE float sum_tree(vec a, vec b, vec c, vec d) { (void)c, (void)d; return tree(a, b); }

/* Lanes outside [from, to) become -inf. */
MT_INLINE vec only_from_to(vec x, int from, int to)
{
    const __m256i in = _mm256_andnot_si256(mask_of(lanes(from)), mask_of(lanes(to)));
    return pick(all(-INFINITY), x, _mm256_castsi256_ps(in));
}
MT_INLINE vec zero_for_least(vec x) { return _mm256_and_ps(x, _mm256_cmp_ps(x, all(-INFINITY), _CMP_NEQ_UQ)); }

/* 2^x for x <= 0, as coef.h says. */
MT_INLINE vec exp2_of(const bool brief, vec x)
{
    const vec n = _mm256_floor_ps(x), r = _mm256_sub_ps(x, n);
    vec p;
    if (brief) {
        p = _mm256_fmadd_ps(all(MT_EXP2_S3), r, all(MT_EXP2_S2));
        p = _mm256_fmadd_ps(p, r, all(MT_EXP2_S1));
    } else {
        p = _mm256_fmadd_ps(all(MT_EXP2_E6), r, all(MT_EXP2_E5));
        p = _mm256_fmadd_ps(p, r, all(MT_EXP2_E4));
        p = _mm256_fmadd_ps(p, r, all(MT_EXP2_E3));
        p = _mm256_fmadd_ps(p, r, all(MT_EXP2_E2));
        p = _mm256_fmadd_ps(p, r, all(MT_EXP2_E1));
    }
    p = _mm256_fmadd_ps(p, r, all(1.0f));
    const __m256i scale = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
    p = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), scale));
    p = _mm256_and_ps(p, _mm256_cmp_ps(x, all(MT_EXP2_LOW), _CMP_NLT_UQ));
    return pick(p, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

MT_INLINE vec widen(__m128i h) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16)); }
MT_INLINE vec bf16_round(vec v)
{
    return _mm256_castsi256_ps(_mm256_and_si256(bf16_of(v), _mm256_set1_epi32((int)0xffff0000u)));
}
MT_INLINE void store_half(const mt_kv_type type, uint16_t *p, vec v)
{
    const __m256i r = _mm256_srli_epi32(bf16_of(v), 16);
    const __m128i h = type == MT_KV_F16
                          ? _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT)
                          : _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
    _mm_storeu_si128((__m128i *)(void *)p, h);
}
MT_INLINE void store_bf16(float *p, vec v) { (void)p, (void)v; }        /* not called */
MT_INLINE vec pair_dot(vec acc, ivec k, ivec q) { (void)k, (void)q; return acc; }

/* ---- reading pages ------------------------------------------------------------- */
/* The first n of eight values: nothing behind them is read. */
MT_INLINE __m256i read_some(const uint8_t *p, size_t bytes)
{
    uint8_t some[32] = {0};
    memcpy(some, p, bytes);
    return _mm256_loadu_si256((const __m256i *)(const void *)some);
}
MT_INLINE vec read_kv(const mt_kv_type type, const uint8_t *p, int n)
{
    if (type == MT_KV_F32) return load_n(n, (const float *)(const void *)p);
    const __m128i h = n >= 8 ? _mm_loadu_si128((const __m128i *)(const void *)p)
                             : _mm256_castsi256_si128(read_some(p, (size_t)n * 2));
    return _mm256_cvtph_ps(h);
}
MT_INLINE vec read_value(const mt_kv_type type, const uint8_t *p, int n)
{
    if (type != MT_KV_Q8) return read_kv(type, p, n);
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
MT_INLINE vec read_scales(const uint8_t *p) { return widen(_mm_loadu_si128((const __m128i *)(const void *)p)); }
MT_INLINE ivec read_words(const uint8_t *p, int n)
{
    return n >= 8 ? _mm256_loadu_si256((const __m256i *)(const void *)p) : read_some(p, (size_t)n * 4);
}
MT_INLINE ivec all_words(const float *p)
{
    int32_t w;
    memcpy(&w, p, 4);
    return _mm256_set1_epi32(w);
}
MT_INLINE ivec and_word(ivec w, uint32_t m) { return _mm256_and_si256(w, _mm256_set1_epi32((int)m)); }
/* The mask comes from memory each time: in a register it would push a sum of the tile onto the stack
 * (28 against 34 GMAC/s on Zen 4). */
MT_INLINE vec odd_of(ivec w)
{
    static const uint32_t MT_ALIGNED(32) odd[8] = {0xffff0000u, 0xffff0000u, 0xffff0000u, 0xffff0000u,
                                                   0xffff0000u, 0xffff0000u, 0xffff0000u, 0xffff0000u};
    return _mm256_castsi256_ps(_mm256_and_si256(*(const volatile __m256i *)(const void *)odd, w));
}
MT_INLINE vec even_of(ivec w) { return _mm256_castsi256_ps(_mm256_slli_epi32(w, 16)); }

/* ---- int8 ------------------------------------------------------------------------ */
MT_INLINE ivec read_codes(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
MT_INLINE ivec code_start(int32_t sum) { (void)sum; return _mm256_setzero_si256(); }
MT_INLINE ivec code_dot(ivec acc, ivec k, ivec q)
{
    const ivec pair = _mm256_maddubs_epi16(_mm256_abs_epi8(k), _mm256_sign_epi8(q, k));
    return _mm256_add_epi32(acc, _mm256_madd_epi16(pair, _mm256_set1_epi16(1)));
}
MT_INLINE vec to_float(ivec v) { return _mm256_cvtepi32_ps(v); }

/* 8 values to codes, as 32-bit numbers. */
MT_INLINE ivec codes_of(const float *x, vec inv) { return _mm256_cvtps_epi32(_mm256_mul_ps(load(x), inv)); }

/* 32 values to int8 and a scale that fits bf16. */
MT_INLINE float quantize_group(const float *x, int8_t *code)
{
    __m256i top = _mm256_setzero_si256();
    for (int i = 0; i < MT_GROUP; i += 8) top = _mm256_max_epu32(top, _mm256_castps_si256(abs_of(load(x + i))));
    __m128i m = _mm_max_epu32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epu32(m, _mm_shuffle_epi32(m, 0xb1));
    const uint32_t amax = (uint32_t)_mm_cvtsi128_si32(m);
    memset(code, 0, MT_GROUP);
    if (amax < MT_KV_TINY) return 0;
    float d = _mm_cvtss_f32(_mm_castsi128_ps(m));
    if (amax >= 0x7f800000) return amax > 0x7f800000 ? NAN : d;
    d = d / 127.0f;
    uint32_t bits;
    memcpy(&bits, &d, 4);
    bits = (bits + 0xffff) & 0xffff0000;
    memcpy(&d, &bits, 4);
    const vec inv = all(1.0f / d);
    const __m256i lo = _mm256_packs_epi32(codes_of(x, inv), codes_of(x + 8, inv));
    const __m256i hi = _mm256_packs_epi32(codes_of(x + 16, inv), codes_of(x + 24, inv));
    const __m256i all32 = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(lo, hi), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(void *)code, all32);
    return d;
}

#include "kernel/attend_body.h"

ATTEND(attend_f32, MT_KV_F32)
ATTEND(attend_f16, MT_KV_F16)
ATTEND(attend_bf16, MT_KV_BF16)
ATTEND(attend_q8, MT_KV_Q8)

void mt_kern_init_attend_avx2(mt_kern *t)
{
    t->kv_put = kv_put;
    t->attend[MT_KV_F32] = attend_f32;
    t->attend[MT_KV_F16] = attend_f16;
    t->attend[MT_KV_BF16] = attend_bf16;
    t->attend[MT_KV_Q8] = attend_q8;
    t->attend_merge = attend_merge;
}

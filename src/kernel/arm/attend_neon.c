/* SPDX-License-Identifier: MIT */
/* attend_neon.c - attention on 4 lanes: a page of 16 keys is four vectors.
 *
 * bf16 pairs multiply by two fused multiply-adds on the shifted and the masked words; int8 by
 * products of 16 bits, added in pairs.  Denormals count as 0 by the control register's bit FZ. */
#include "kernel/inits.h"
#include "kernel/arm/math_neon.h"

enum { LANES = 4, KEY_VECS = 4, DIM_VECS = 4, HAS_PAIR_DOT = 0 };
typedef int32x4_t ivec;

MT_INLINE unsigned flush_on(void)
{
    uint64_t was;
    __asm__ volatile("mrs %0, fpcr" : "=r"(was) : : "memory");
    __asm__ volatile("msr fpcr, %0" : : "r"(was | 1u << 24) : "memory");
    return (unsigned)was;
}
MT_INLINE void flush_back(unsigned was)
{
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)was) : "memory");
}

MT_INLINE vec load(const float *p) { return vld1q_f32(p); }
MT_INLINE void store(float *p, vec v) { vst1q_f32(p, v); }
MT_INLINE vec load_n(int n, const float *p) { return load_some(lanes(n), p); }
MT_INLINE void store_n(int n, float *p, vec v) { store_some(lanes(n), p, v); }
MT_INLINE vec vadd(vec a, vec b) { return a + b; }
MT_INLINE vec vsub(vec a, vec b) { return a - b; }
MT_INLINE vec vmul(vec a, vec b) { return a * b; }
MT_INLINE vec vdiv(vec a, vec b) { return a / b; }
MT_INLINE vec vfma(vec a, vec b, vec c) { return fma_of(a, b, c); }
MT_INLINE vec add_product(vec sum, vec a, vec b) { return fma_of(a, b, sum); }
MT_INLINE float sum_tree(vec a, vec b, vec c, vec d)
{
    const vec s[4] = {a, b, c, d};
    return tree(s);
}
MT_INLINE float largest(vec v) { return vmaxvq_f32(v); }

/* Lanes outside [from, to) become -inf. */
MT_INLINE vec only_from_to(vec x, int from, int to)
{
    return pick(all(-INFINITY), x, vbicq_u32(mask_of(lanes(to)), mask_of(lanes(from))));
}
MT_INLINE vec zero_for_least(vec x) { return pick(x, all(0), vceqq_f32(x, all(-INFINITY))); }

/* 2^x for x <= 0, as coef.h says. */
MT_INLINE vec exp2_of(const bool brief, vec x)
{
    const vec n = vrndmq_f32(x), r = x - n;
    vec p;
    if (brief) {
        p = fma_of(all(MT_EXP2_S3), r, all(MT_EXP2_S2));
        p = fma_of(p, r, all(MT_EXP2_S1));
    } else {
        p = fma_of(all(MT_EXP2_E6), r, all(MT_EXP2_E5));
        p = fma_of(p, r, all(MT_EXP2_E4));
        p = fma_of(p, r, all(MT_EXP2_E3));
        p = fma_of(p, r, all(MT_EXP2_E2));
        p = fma_of(p, r, all(MT_EXP2_E1));
    }
    p = fma_of(p, r, all(1.0f));
    const int32x4_t scale = vshlq_n_s32(vcvtnq_s32_f32(n), 23);
    p = vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), scale));
    p = pick(p, all(0), vcltq_f32(x, all(MT_EXP2_LOW)));
    return pick(x, p, vceqq_f32(x, x));         /* NaN stays */
}

MT_INLINE vec widen(uint16x4_t h) { return vreinterpretq_f32_u32(vshll_n_u16(h, 16)); }
MT_INLINE vec bf16_round(vec v) { return vreinterpretq_f32_u32(bf16_of(v) & 0xffff0000u); }
MT_INLINE void store_half(const mt_kv_type type, uint16_t *p, vec v)
{
    if (type == MT_KV_F16) vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
    else vst1_u16(p, vshrn_n_u32(bf16_of(v), 16));
}
MT_INLINE void store_bf16(float *p, vec v) { (void)p, (void)v; }        /* not called */
MT_INLINE vec pair_dot(vec acc, ivec k, ivec q) { (void)k, (void)q; return acc; }

/* ---- reading pages ------------------------------------------------------------- */
/* The first bytes of a vector: nothing behind them is read. */
MT_INLINE uint8x16_t read_some(const uint8_t *p, size_t bytes)
{
    uint8_t some[16] = {0};
    memcpy(some, p, bytes);
    return vld1q_u8(some);
}
MT_INLINE vec read_kv(const mt_kv_type type, const uint8_t *p, int n)
{
    if (type == MT_KV_F32) return load_n(n, (const float *)(const void *)p);
    const uint8x8_t h = n >= 4 ? vld1_u8(p) : vget_low_u8(read_some(p, (size_t)n * 2));
    return vcvt_f32_f16(vreinterpret_f16_u8(h));
}
MT_INLINE vec read_value(const mt_kv_type type, const uint8_t *p, int n)
{
    if (type != MT_KV_Q8) return read_kv(type, p, n);
    int32_t four;
    memcpy(&four, p, 4);
    const int16x8_t x = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(x)));
}
MT_INLINE vec read_scales(const uint8_t *p) { return widen(vreinterpret_u16_u8(vld1_u8(p))); }
MT_INLINE ivec read_words(const uint8_t *p, int n)
{
    return vreinterpretq_s32_u8(n >= 4 ? vld1q_u8(p) : read_some(p, (size_t)n * 4));
}
MT_INLINE ivec all_words(const float *p)
{
    int32_t w;
    memcpy(&w, p, 4);
    return vdupq_n_s32(w);
}
MT_INLINE ivec and_word(ivec w, uint32_t m) { return w & vdupq_n_s32((int32_t)m); }
MT_INLINE vec odd_of(ivec w) { return vreinterpretq_f32_s32(and_word(w, 0xffff0000u)); }
MT_INLINE vec even_of(ivec w) { return vreinterpretq_f32_s32(w << 16); }

/* ---- int8 ------------------------------------------------------------------------ */
MT_INLINE ivec read_codes(const uint8_t *p) { return vreinterpretq_s32_u8(vld1q_u8(p)); }
MT_INLINE ivec code_start(int32_t sum) { (void)sum; return vdupq_n_s32(0); }
MT_INLINE ivec code_dot(ivec acc, ivec k, ivec q)
{
    const int8x16_t a = vreinterpretq_s8_s32(k), b = vreinterpretq_s8_s32(q);
    const int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
    return acc + vpaddq_s32(low, vpaddlq_s16(vmull_high_s8(a, b)));
}
MT_INLINE vec to_float(ivec v) { return vcvtq_f32_s32(v); }

/* Eight values to codes, as 16-bit numbers. */
MT_INLINE int16x8_t codes_of(const float *x, vec inv)
{
    return vcombine_s16(vmovn_s32(vcvtnq_s32_f32(load(x) * inv)),
                        vmovn_s32(vcvtnq_s32_f32(load(x + 4) * inv)));
}

/* 32 values to int8 and a scale that fits bf16. */
MT_INLINE float quantize_group(const float *x, int8_t *code)
{
    uint32x4_t top = vdupq_n_u32(0);
    for (int i = 0; i < MT_GROUP; i += 4)
        top = vmaxq_u32(top, vreinterpretq_u32_f32(vabsq_f32(load(x + i))));
    const uint32_t amax = vmaxvq_u32(top);
    memset(code, 0, MT_GROUP);
    if (amax < MT_KV_TINY) return 0;
    float d;
    memcpy(&d, &amax, 4);
    if (amax >= 0x7f800000) return amax > 0x7f800000 ? NAN : d;
    d = d / 127.0f;
    uint32_t bits;
    memcpy(&bits, &d, 4);
    bits = (bits + 0xffff) & 0xffff0000;
    memcpy(&d, &bits, 4);
    const vec inv = all(1.0f / d);
    for (int i = 0; i < MT_GROUP; i += 16)
        vst1q_s8(code + i, vcombine_s8(vmovn_s16(codes_of(x + i, inv)), vmovn_s16(codes_of(x + i + 8, inv))));
    return d;
}

#include "kernel/attend_body.h"

ATTEND(attend_f32, MT_KV_F32)
ATTEND(attend_f16, MT_KV_F16)
ATTEND(attend_bf16, MT_KV_BF16)
ATTEND(attend_q8, MT_KV_Q8)

void mt_kern_init_attend_neon(mt_kern *t)
{
    t->kv_put = kv_put;
    t->attend[MT_KV_F32] = attend_f32;
    t->attend[MT_KV_F16] = attend_f16;
    t->attend[MT_KV_BF16] = attend_bf16;
    t->attend[MT_KV_Q8] = attend_q8;
    t->attend_merge = attend_merge;
}

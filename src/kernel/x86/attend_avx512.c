/* SPDX-License-Identifier: MIT */
/* attend_avx512.c - attention on 16 lanes, bf16 pairs by two fused multiply-adds. */
#include "kernel/x86/attend_avx512.h"

enum { HAS_PAIR_DOT = 0 };
MT_INLINE vec pair_dot(vec acc, ivec k, ivec q) { (void)k, (void)q; return acc; }   /* not called */
MT_INLINE vec bf16_round(vec v) { return widen(to_bf16(v)); }
MT_INLINE void store_half(const mt_kv_type type, uint16_t *p, vec v)
{
    const __m256i h = type == MT_KV_F16 ? _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT) : to_bf16(v);
    _mm256_storeu_si256((__m256i *)(void *)p, h);
}
MT_INLINE void store_bf16(float *p, vec v) { store_half(MT_KV_BF16, (uint16_t *)(void *)p, v); }

#include "kernel/attend_body.h"

ATTEND(attend_f32, MT_KV_F32)
ATTEND(attend_f16, MT_KV_F16)
ATTEND(attend_bf16, MT_KV_BF16)
ATTEND(attend_q8, MT_KV_Q8)

void mt_kern_init_attend_avx512(mt_kern *t)
{
    t->kv_put = kv_put;
    t->attend[MT_KV_F32] = attend_f32;
    t->attend[MT_KV_F16] = attend_f16;
    t->attend[MT_KV_BF16] = attend_bf16;
    t->attend[MT_KV_Q8] = attend_q8;
    t->attend_merge = attend_merge;
}

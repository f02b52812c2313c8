/* SPDX-License-Identifier: MIT */
/* attend_avx512bf16.c - attention over bf16 pages by the dot product of bf16 pairs.
 *
 * vdpbf16ps rounds like two fused multiply-adds, first of the odd halves, then of the even ones,
 * with denormals as zeros: the arithmetic that the contract demands of every level. */
#include "kernel/x86/attend_avx512.h"

enum { HAS_PAIR_DOT = 1 };
MT_INLINE vec pair_dot(vec acc, ivec k, ivec q) { return _mm512_dpbf16_ps(acc, (__m512bh)k, (__m512bh)q); }
MT_INLINE vec bf16_round(vec v) { return widen((__m256i)_mm512_cvtneps_pbh(v)); }
MT_INLINE void store_bf16(float *p, vec v) { _mm256_storeu_si256((__m256i *)(void *)p, (__m256i)_mm512_cvtneps_pbh(v)); }

#define ATTEND_PAIRS_ONLY
#include "kernel/attend_body.h"

ATTEND(attend_bf16, MT_KV_BF16)

void mt_kern_init_attend_avx512bf16(mt_kern *t) { t->attend[MT_KV_BF16] = attend_bf16; }

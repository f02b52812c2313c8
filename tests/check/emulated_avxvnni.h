/* SPDX-License-Identifier: MIT */
/* emulated_avxvnni.h - the AVX-VNNI products with their one instruction spelled out, so that all the
 * rest of them is proven on processors that lack it. */
#ifndef MT_CHECK_EMULATED_AVXVNNI_H
#define MT_CHECK_EMULATED_AVXVNNI_H
#include <immintrin.h>

/* Four products of an unsigned and a signed byte, added to a dword: exact, no saturation. */
static inline __attribute__((always_inline)) __m256i emulated_dpbusd(__m256i sum, __m256i u, __m256i s)
{
    const __m256i even = _mm256_set1_epi16(255);
    const __m256i u0 = _mm256_and_si256(u, even), u1 = _mm256_srli_epi16(u, 8);
    const __m256i s0 = _mm256_srai_epi16(_mm256_slli_epi16(s, 8), 8), s1 = _mm256_srai_epi16(s, 8);
    return _mm256_add_epi32(sum, _mm256_add_epi32(_mm256_madd_epi16(u0, s0), _mm256_madd_epi16(u1, s1)));
}
#define _mm256_dpbusd_avx_epi32 emulated_dpbusd

#endif

/* SPDX-License-Identifier: MIT */
/* sha256.c - SHA-256 (FIPS 180-4), which names what a side file was made from.
 *
 * The library stands without OpenSSL, and hashes a few megabytes at every open: with the
 * processor's own instruction a millisecond each, without it several. */
#include "base/base.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static const MT_ALIGNED(16) uint32_t constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void take_blocks(uint32_t h[8], const uint8_t *p, size_t n)
{
    for (; n; n--, p += 64) {
        uint32_t w[64], v[8];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
        for (int i = 16; i < 64; i++)
            w[i] = w[i - 16] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3)
                 + w[i - 7] + (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
        memcpy(v, h, sizeof v);
        /* instead of moving the eight words a place each round, the places turn */
        for (int i = 0; i < 64; i += 8) {
            for (int j = 0; j < 8; j++) {
                const uint32_t a = v[(8 - j) & 7], b = v[(9 - j) & 7], c = v[(10 - j) & 7];
                const uint32_t e = v[(12 - j) & 7], f = v[(13 - j) & 7], g = v[(14 - j) & 7];
                const uint32_t t = v[(15 - j) & 7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25))
                                 + (g ^ (e & (f ^ g))) + constant[i + j] + w[i + j];
                v[(11 - j) & 7] += t;
                v[(15 - j) & 7] = t + (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) | (c & (a | b)));
            }
        }
        for (int i = 0; i < 8; i++) h[i] += v[i];
    }
}

#if defined(__x86_64__)
/* The instruction wants the state as two vectors, A B E F and C D G H, highest lane first, and
 * does two rounds; four words of the schedule at a time. */
MT_TARGET("sha,sse4.1") static void take_blocks_sha(uint32_t h[8], const uint8_t *p, size_t n)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)h), 0xB1);
    const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)(h + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);
    for (; n; n--, p += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i)), big_endian);
        for (int i = 0; i < 16; i++) {
            const __m128i k = _mm_load_si128((const __m128i *)(const void *)(constant + 4 * i));
            const __m128i sum = _mm_add_epi32(w[i % 4], k);
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
            const __m128i w1 = w[(i + 1) % 4], w2 = w[(i + 2) % 4], w3 = w[(i + 3) % 4];
            const __m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(w[i % 4], w1), _mm_alignr_epi8(w3, w2, 4));
            w[i % 4] = _mm_sha256msg2_epu32(next, w3);
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)(void *)h, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(void *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#endif

static void take(mt_sha256 *s, const uint8_t *p, size_t n)
{
#if defined(__x86_64__)
    if (mt_cpu_allowed() & MT_CPU_SHA) {
        take_blocks_sha(s->h, p, n);
        return;
    }
#endif
    take_blocks(s->h, p, n);
}

void mt_sha256_init(mt_sha256 *s)
{
    *s = (mt_sha256){ .h = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 } };
}

void mt_sha256_add(mt_sha256 *s, const void *p, size_t n)
{
    const uint8_t *at = p;
    const size_t held = s->n % 64;
    s->n += n;
    if (held) {
        const size_t fill = MT_MIN(64 - held, n);
        memcpy(s->rest + held, at, fill);
        at += fill;
        n -= fill;
        if (held + fill < 64) return;
        take(s, s->rest, 1);
    }
    if (n / 64) take(s, at, n / 64);
    if (n % 64) memcpy(s->rest, at + n / 64 * 64, n % 64);
}

void mt_sha256_end(mt_sha256 *s, uint8_t digest[32])
{
    static const uint8_t pad[64] = { 0x80 };
    const uint64_t bits = s->n * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)(bits >> (56 - 8 * i));
    mt_sha256_add(s, pad, 1 + (size_t)((119 - s->n % 64) % 64));
    mt_sha256_add(s, length, sizeof length);
    for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

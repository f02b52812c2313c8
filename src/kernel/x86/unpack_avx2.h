/* SPDX-License-Identifier: MIT */
/* unpack_avx2.h - planes and scales of a packed unit as vectors of 8 rows, and the end of a tile.
 *
 * Vector v (0..3) holds rows 8 v .. 8 v + 7 of the panel.  Codes come out unsigned; those that need
 * eight bits (w8, m8 and the codebooks) less 128, as signed values, unless MT_UNSIGNED_CODES is defined; see
 * mm_ymm.h.  Only always-inlined functions whose layout is a constant. */
#ifndef MT_KERNEL_UNPACK_AVX2_H
#define MT_KERNEL_UNPACK_AVX2_H

#include <immintrin.h>

#include "kernel/codes.h"

MT_INLINE bool is_signed_code(mt_layout lay)
{
#ifdef MT_UNSIGNED_CODES
    (void)lay;
    return false;
#else
    return mt_like(lay) == MT_LAY_W8 || mt_like(lay) == MT_LAY_M8 || mt_has_codebook(lay);
#endif
}
/* What is left to subtract from the codes that come out here. */
MT_INLINE int offset_of(mt_layout lay)
{
    return mt_unit_of(lay).offset - (is_signed_code(lay) ? 128 : 0);
}

MT_INLINE __m256i load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}
MT_INLINE __m256i bytes_of(int v) { return _mm256_set1_epi8((char)v); }

/* 32 bits to 32 bytes of 0 or `value`. */
MT_INLINE __m256i spread_bits(const uint8_t *p, int value)
{
    const __m256i which = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
                                           2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201u);
    const __m256i x = _mm256_shuffle_epi8(_mm256_set1_epi32((int)mt_load32(p)), which);
    const __m256i is_set = _mm256_cmpeq_epi8(_mm256_and_si256(x, bit), bit);
    return _mm256_and_si256(is_set, bytes_of(value));
}

/* The code book of a layout in either half, as values; and as step_codes wants it, where codes may be
 * unsigned: value + 128. */
MT_INLINE __m256i values_of(mt_layout lay, const int8_t *book)
{
    if (!mt_has_codebook(lay)) return _mm256_setzero_si256();
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)book));
}
MT_INLINE __m256i book_of(mt_layout lay, const int8_t *book)
{
    const __m256i x = values_of(lay, book);
    return is_signed_code(lay) ? x : _mm256_xor_si256(x, bytes_of(0x80));
}

/* Codes of vector v at step j (0..7) of a packed sub-unit. */
MT_INLINE __m256i step_codes(mt_layout lay, __m256i book, const uint8_t *sub, int v, int j)
{
    const mt_planes p = mt_planes_of(lay);
    const int s = v / 2, half = 32 * (v % 2);
    const uint8_t *at = sub + s * p.low * 64 + half;
    __m256i x;
    if (p.low == 8) return is_signed_code(lay) ? _mm256_xor_si256(load(at + 64 * j), bytes_of(0x80)) : load(at + 64 * j);
    if (p.low == 4) {
        x = load(at + 64 * (j & 3));
        x = _mm256_and_si256(j < 4 ? x : _mm256_srli_epi16(x, 4), bytes_of(15));
        if (mt_has_codebook(lay)) return _mm256_shuffle_epi8(book, x);
    } else {
        x = load(at + 64 * (j >> 2));
        x = _mm256_and_si256(_mm256_srli_epi16(x, 2 * (j & 3)), bytes_of(3));
    }
    if (p.high == 1) {
        return _mm256_or_si256(
            x, spread_bits(sub + p.low * 128 + s * 64 + 8 * j + half / 8, 1 << p.low));
    }
    if (p.high == 2) {
        const __m256i two = load(sub + 512 + s * 128 + 64 * (j >> 2) + half);
        const int i = j & 3;
        const __m256i up =
            i < 2 ? _mm256_slli_epi16(two, 4 - 2 * i) : _mm256_srli_epi16(two, 2 * i - 4);
        return _mm256_or_si256(x, _mm256_and_si256(up, bytes_of(0x30)));
    }
    return x;
}

MT_INLINE __m256 halfs(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
MT_INLINE __m256i small(const uint8_t *p, bool is_signed)
{
    const __m128i x = _mm_loadl_epi64((const __m128i *)(const void *)p);
    return is_signed ? _mm256_cvtepi8_epi32(x) : _mm256_cvtepu8_epi32(x);
}

MT_INLINE __m256 floats(const uint8_t *p) { return _mm256_loadu_ps((const float *)(const void *)p); }
MT_INLINE __m256 bf16s(const uint8_t *p)
{
    const __m128i h = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

/* Scale of group g (in the unit) for vector v. */
MT_INLINE __m256 scale_of(mt_layout lay, const uint8_t *unit, int g, int v)
{
    const mt_scales_at at = mt_scales_of(lay);
    const uint8_t *p = unit + at.d;
    const __m256 d = mt_d_of(lay) == MT_D_F32 ? floats(p + 32 * v) :
                     mt_d_of(lay) == MT_D_BF16 ? bf16s(p + 16 * v) :
                     halfs(p + (lay == MT_LAY_C4H ? 64 * g : 0) + 16 * v);
    if (!at.sc) return d;
    __m256i sc = small(unit + at.sc + 32 * g + 8 * v, mt_has_signed_sc(lay));
    if (lay == MT_LAY_K2) sc = _mm256_and_si256(sc, _mm256_set1_epi32(15));
    return _mm256_mul_ps(d, _mm256_cvtepi32_ps(sc));
}

/* What is added to a value: m, or -(dmin * mn), or -(d * z). */
MT_INLINE __m256 min_of(mt_layout lay, const uint8_t *unit, int g, int v)
{
    const mt_scales_at at = mt_scales_of(lay);
    if (lay == MT_LAY_M8) return floats(unit + at.dmin + 32 * v);
    const __m256 d = halfs(unit + (lay == MT_LAY_G4 ? at.d : at.dmin) + 16 * v);
    if (!at.mn) return d;
    __m256i mn = small(unit + at.mn + (lay == MT_LAY_G4 ? 0 : 32 * g) + 8 * v, false);
    if (lay == MT_LAY_K2) mn = _mm256_srli_epi32(mn, 4);
    return _mm256_mul_ps(_mm256_xor_ps(d, _mm256_set1_ps(-0.0f)), _mm256_cvtepi32_ps(mn));
}

/* ---- the end of a tile --------------------------------------------------- */
/* Where one panel's outputs go. */
typedef struct dest {
    float *out;                 /* first row, first output of the panel */
    int64_t ldo;
    const float *bias;          /* at the first output, or NULL */
    bool add;
    int n;                      /* outputs that exist, at most 32 */
} dest;

MT_INLINE void place(dest *d, const mt_mm *m, int64_t panel, int row0)
{
    const int64_t left = m->n_out - panel * MT_PANEL;
    d->n = (int)MT_MAX(MT_MIN(left, MT_PANEL), 0);
    d->out = m->out + (size_t)row0 * m->ldo + panel * MT_PANEL;
    d->ldo = (int64_t)m->ldo;
    d->bias = m->bias ? m->bias + panel * MT_PANEL : NULL;
    d->add = m->add;
}

/* Bias, what out held, then top, for vector v of row r of the tile. */
static void finish(const dest *d, int r, int v, __m256 f, __m256 top)
{
    const int n = d->n - 8 * v;
    float *out = d->out + r * d->ldo + 8 * v;
    const float *bias = d->bias ? d->bias + 8 * v : NULL;
    if (n >= 8) {
        if (bias) f = _mm256_add_ps(f, _mm256_loadu_ps(bias));
        if (d->add) f = _mm256_add_ps(_mm256_loadu_ps(out), f);
        _mm256_storeu_ps(out, _mm256_add_ps(f, top));
        return;
    }
    float some[8], more[8];     /* the last outputs of the weight */
    _mm256_storeu_ps(some, f);
    _mm256_storeu_ps(more, top);
    for (int i = 0; i < n; i++) {
        if (bias) some[i] += bias[i];
        out[i] = (d->add ? out[i] + some[i] : some[i]) + more[i];
    }
}

#endif

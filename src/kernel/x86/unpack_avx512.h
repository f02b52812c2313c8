/* SPDX-License-Identifier: MIT */
/* unpack_avx512.h - planes and scales of a packed unit as vectors of 16 rows, and the end of a tile.
 *
 * Shared by the integer and the float products.  Only always-inlined functions whose layout is a
 * constant, so no copy of them can reach another level. */
#ifndef MT_KERNEL_UNPACK_AVX512_H
#define MT_KERNEL_UNPACK_AVX512_H

#include <immintrin.h>

#include "kernel/codes.h"

/* ---- unpacking: one step vector, one vector of scales -------------------- */
MT_INLINE __m512i load(const void *p) { return _mm512_loadu_si512(p); }
MT_INLINE __m512i bytes_of(int v) { return _mm512_set1_epi8((char)v); }

/* The code book of a layout in every quarter, as unsigned codes: value + 128. */
MT_INLINE __m512i book_of(mt_layout lay, const int8_t *book)
{
    if (!mt_has_codebook(lay)) return _mm512_setzero_si512();
    const __m128i x = _mm_loadu_si128((const __m128i *)(const void *)book);
    return _mm512_broadcast_i32x4(_mm_xor_si128(x, _mm_set1_epi8((char)0x80)));
}

/* Codes of sub-panel s at step j (0..7) of a packed sub-unit. */
MT_INLINE __m512i step_codes(mt_layout lay, __m512i book, const uint8_t *sub, int s, int j)
{
    const mt_planes p = mt_planes_of(lay);
    const uint8_t *at = sub + s * p.low * 64;
    __m512i x;
    if (p.low == 8) return load(at + 64 * j);
    if (p.low == 4) {
        x = load(at + 64 * (j & 3));
        x = _mm512_and_si512(j < 4 ? x : _mm512_srli_epi16(x, 4), bytes_of(15));
        if (mt_has_codebook(lay)) return _mm512_shuffle_epi8(book, x);
    } else {
        x = load(at + 64 * (j >> 2));
        x = _mm512_and_si512(_mm512_srli_epi16(x, 2 * (j & 3)), bytes_of(3));
    }
    if (p.high == 1) {
        uint64_t mask;
        memcpy(&mask, sub + p.low * 128 + s * 64 + 8 * j, 8);
        return _mm512_mask_add_epi8(x, mask, x, bytes_of(1 << p.low));
    }
    if (p.high == 2) {
        const __m512i two = load(sub + 512 + s * 128 + 64 * (j >> 2));
        const int i = j & 3;
        const __m512i up =
            i < 2 ? _mm512_slli_epi16(two, 4 - 2 * i) : _mm512_srli_epi16(two, 2 * i - 4);
        return _mm512_or_si512(x, _mm512_and_si512(up, bytes_of(0x30)));
    }
    return x;
}

MT_INLINE __m512 halfs(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
MT_INLINE __m512i small(const uint8_t *p, bool is_signed)
{
    const __m128i x = _mm_loadu_si128((const __m128i *)p);
    return is_signed ? _mm512_cvtepi8_epi32(x) : _mm512_cvtepu8_epi32(x);
}

MT_INLINE __m512 floats(const uint8_t *p) { return _mm512_loadu_ps(p); }
MT_INLINE __m512 bf16s(const uint8_t *p)
{
    const __m256i h = _mm256_loadu_si256((const __m256i *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

/* Scale of group g (in the unit) for sub-panel s. */
MT_INLINE __m512 scale_of(mt_layout lay, const uint8_t *unit, int g, int s)
{
    const mt_scales_at at = mt_scales_of(lay);
    const uint8_t *p = unit + at.d;
    const __m512 d = mt_d_of(lay) == MT_D_F32 ? floats(p + 64 * s) :
                     mt_d_of(lay) == MT_D_BF16 ? bf16s(p + 32 * s) :
                     halfs(p + (lay == MT_LAY_C4H ? 64 * g : 0) + 32 * s);
    if (!at.sc) return d;
    __m512i sc = small(unit + at.sc + 32 * g + 16 * s, mt_has_signed_sc(lay));
    if (lay == MT_LAY_K2) sc = _mm512_and_si512(sc, _mm512_set1_epi32(15));
    return _mm512_mul_ps(d, _mm512_cvtepi32_ps(sc));
}

/* What is added to a value: m, or -(dmin * mn), or -(d * z). */
MT_INLINE __m512 min_of(mt_layout lay, const uint8_t *unit, int g, int s)
{
    const mt_scales_at at = mt_scales_of(lay);
    if (lay == MT_LAY_M8) return floats(unit + at.dmin + 64 * s);
    const __m512 d = halfs(unit + (lay == MT_LAY_G4 ? at.d : at.dmin) + 32 * s);
    if (!at.mn) return d;
    __m512i mn = small(unit + at.mn + (lay == MT_LAY_G4 ? 0 : 32 * g) + 16 * s, false);
    if (lay == MT_LAY_K2) mn = _mm512_srli_epi32(mn, 4);
    return _mm512_mul_ps(_mm512_xor_ps(d, _mm512_set1_ps(-0.0f)), _mm512_cvtepi32_ps(mn));
}

/* ---- the end of a tile --------------------------------------------------- */
/* Where one panel's outputs go. */
typedef struct dest {
    float *out;                 /* first row, first output of the panel */
    int64_t ldo;
    const float *bias;          /* at the first output, or NULL */
    bool add;
    __mmask16 keep0, keep1;     /* outputs that exist */
} dest;

MT_INLINE void place(dest *d, const mt_mm *m, int64_t panel, int row0)
{
    const int64_t left = m->n_out - panel * MT_PANEL;
    d->keep0 = (__mmask16)(left >= 16 ? 0xffff : (1 << MT_MAX(left, 0)) - 1);
    d->keep1 = (__mmask16)(left >= 32 ? 0xffff : (1 << MT_MAX(left - 16, 0)) - 1);
    d->out = m->out + (size_t)row0 * m->ldo + panel * MT_PANEL;
    d->ldo = (int64_t)m->ldo;
    d->bias = m->bias ? m->bias + panel * MT_PANEL : NULL;
    d->add = m->add;
}

/* Bias, then what out held, for row r of the tile. */
MT_INLINE void end_row(const dest *d, int r, __m512 *f0, __m512 *f1)
{
    const float *out = d->out + r * d->ldo;
    if (d->bias) {
        *f0 = _mm512_add_ps(*f0, _mm512_maskz_loadu_ps(d->keep0, d->bias));
        *f1 = _mm512_add_ps(*f1, _mm512_maskz_loadu_ps(d->keep1, d->bias + 16));
    }
    if (d->add) {
        *f0 = _mm512_add_ps(_mm512_maskz_loadu_ps(d->keep0, out), *f0);
        *f1 = _mm512_add_ps(_mm512_maskz_loadu_ps(d->keep1, out + 16), *f1);
    }
}

MT_INLINE void put_row(const dest *d, int r, __m512 f0, __m512 f1)
{
    float *out = d->out + r * d->ldo;
    _mm512_mask_storeu_ps(out, d->keep0, f0);
    _mm512_mask_storeu_ps(out + 16, d->keep1, f1);
}

/* First row of tile i when n rows are dealt to n_tile tiles as evenly as possible. */
MT_INLINE int first_row(int n, int n_tile, int i) { return (int)((int64_t)n * i / n_tile); }

#endif

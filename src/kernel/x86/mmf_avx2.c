/* SPDX-License-Identifier: MIT */
/* mmf_avx2.c - products with f32 activations, AVX2: float weights, and any weights exactly.
 *
 * A quantised panel is decoded to f32 [k][32 rows], exactly as the file defines its values, then
 * tiles of 32 rows (four vectors) x up to three activation rows run over it.  Float weights lie
 * in that order already and are converted on load. */
#include "kernel/inits.h"
#include "kernel/x86/ahead.h"
#include "kernel/x86/unpack_avx2.h"

enum { ROWS = 3 };

/* ---- the tile ------------------------------------------------------------ */
typedef struct tile {
    const uint8_t *w;           /* [k][32] of the type */
    const float *x;             /* first activation row */
    int64_t k, ldx;
    dest to;
} tile;

MT_INLINE __m256 read_w(const mt_layout lay, const uint8_t *p)
{
    if (lay == MT_LAY_F32) return _mm256_loadu_ps((const float *)(const void *)p);
    if (lay == MT_LAY_F16) return halfs(p);
    const __m128i h = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

#define EACH(X) \
    X(0, 0) \
    X(0, 1) X(0, 2) X(0, 3) X(1, 0) X(1, 1) X(1, 2) X(1, 3) X(2, 0) X(2, 1) X(2, 2) X(2, 3)
#define F_VARS(r, v) __m256 f##r##v = _mm256_setzero_ps();
#define VEC_STEP(v)                                                              \
    {                                                                            \
        const __m256 y = read_w(lay, w + 8 * bytes * v);                         \
        f0##v = _mm256_fmadd_ps(y, b0, f0##v);                                   \
        if (R > 1) f1##v = _mm256_fmadd_ps(y, b1, f1##v);                        \
        if (R > 2) f2##v = _mm256_fmadd_ps(y, b2, f2##v);                        \
    }
/* Adding -0 changes nothing. */
#define F_STORE(r, v) if (R > r) finish(&t->to, r, v, f##r##v, _mm256_set1_ps(-0.0f));

MT_INLINE void run_tile(const mt_layout lay, const int R, const tile *t)
{
    const int bytes = lay == MT_LAY_F32 ? 4 : 2;
    const float *x0 = t->x, *x1 = t->x + (R > 1 ? t->ldx : 0),
                *x2 = t->x + (R > 2 ? 2 * t->ldx : 0);
    EACH(F_VARS)
    for (int64_t k = 0; k < t->k; k++) {
        const uint8_t *w = t->w + k * 32 * bytes;
        const __m256 b0 = _mm256_set1_ps(x0[k]), b1 = _mm256_set1_ps(x1[k]),
                     b2 = _mm256_set1_ps(x2[k]);
        mt_ahead(w, 32 * bytes);
        VEC_STEP(0) VEC_STEP(1) VEC_STEP(2) VEC_STEP(3)
    }
    EACH(F_STORE)
}

static void tile_rows(mt_layout lay, int R, const tile *t)
{
#define ANY_ROWS(lay)                                                            \
    switch (R) {                                                                 \
    case 1: run_tile(lay, 1, t); break;                                          \
    case 2: run_tile(lay, 2, t); break;                                          \
    case 3: run_tile(lay, 3, t); break;                                          \
    }
    switch (mt_like(lay)) {
    case MT_LAY_F16: ANY_ROWS(MT_LAY_F16) break;
    case MT_LAY_BF16: ANY_ROWS(MT_LAY_BF16) break;
    default: ANY_ROWS(MT_LAY_F32) break;
    }
}

/* ---- decoding a panel ---------------------------------------------------- */
/* Four k of 8 rows: dword lanes of codes to [k][32] floats, by the operations of the format. */
MT_INLINE void decode_step(const mt_layout lay, __m256i codes, __m256 dw, __m256 mw, float *to)
{
    for (int b = 0; b < 4; b++) {
        /* Byte b of each lane, with its sign where codes come as values. */
        const __m256i up = _mm256_sll_epi32(codes, _mm_cvtsi32_si128(24 - 8 * b));
        const __m256i c =
            is_signed_code(lay) ? _mm256_srai_epi32(up, 24) : _mm256_srli_epi32(up, 24);
        const __m256i i = _mm256_sub_epi32(c, _mm256_set1_epi32(offset_of(lay)));
        __m256 v = _mm256_mul_ps(dw, _mm256_cvtepi32_ps(i));
        if (mt_has_min(lay)) v = _mm256_add_ps(v, mw);
        _mm256_storeu_ps(to + 32 * b, v);
    }
}

MT_INLINE void decode(const mt_layout lay, const int8_t *codebook, const uint8_t *panel, int64_t n32, float *to)
{
    const mt_unit u = mt_unit_of(lay);
    const int per = 32 / u.group, n_sub = u.k / 32, sub_bytes = mt_planes_of(lay).sub;
    const __m256i book = book_of(lay, codebook);
    for (int64_t i = 0; i < n32; i++, to += 1024) {
        const uint8_t *unit = panel + i / n_sub * u.bytes, *sub = unit + i % n_sub * sub_bytes;
        const int g = (int)(i % n_sub) * per, h = g + per - 1; /* groups of its halves */
#define STEP(j, v, d, m) \
    decode_step(lay, step_codes(lay, book, sub, v, j), d, m, to + 128 * j + 8 * v);
#define VECTOR(v)                                                                \
    {                                                                            \
        const __m256 d0 = scale_of(lay, unit, g, v), d1 = scale_of(lay, unit, h, v); \
        const __m256 m0 = mt_has_min(lay) ? min_of(lay, unit, g, v) : d0;        \
        const __m256 m1 = mt_has_min(lay) ? min_of(lay, unit, h, v) : d1;        \
        STEP(0, v, d0, m0) STEP(1, v, d0, m0) STEP(2, v, d0, m0) STEP(3, v, d0, m0) \
        STEP(4, v, d1, m1) STEP(5, v, d1, m1) STEP(6, v, d1, m1) STEP(7, v, d1, m1) \
    }
        VECTOR(0) VECTOR(1) VECTOR(2) VECTOR(3)
    }
}

static void decode_any(mt_layout lay, const uint8_t *panel, int64_t n32, float *to)
{
    const int8_t *book = mt_layouts[lay].book;
#define DECODE_AS(lay) decode(lay, book, panel, n32, to)
    MT_SWITCH_QUANT(lay, DECODE_AS)
}

/* 16 e4m3 as f16: 256 times too small, but for NaN. */
MT_INLINE __m256i e4m3s(const uint8_t *p)
{
    const __m256i x = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p));
    const __m256i ones = _mm256_set1_epi16(0x7f), is_nan = _mm256_cmpeq_epi16(_mm256_and_si256(x, ones), ones);
    const __m256i h = _mm256_and_si256(_mm256_slli_epi16(x, 7), _mm256_set1_epi16((short)0xbfff));
    return _mm256_or_si256(h, _mm256_and_si256(is_nan, _mm256_set1_epi16(0x7c00)));
}

static void decode_f8(const uint8_t *panel, int64_t n32, float *to)
{
    const mt_layout_info *l = &mt_layouts[MT_LAY_F8];
    const __m256 up = _mm256_set1_ps(256.0f);
    for (int64_t i = 0; i < n32; i++, panel += l->unit_bytes, to += 1024) {
        const uint8_t *d = panel + mt_scales_of(MT_LAY_F8).d;
        mt_ahead(panel, l->unit_bytes);
        for (int s = 0; s < 2; s++) {
            const __m256 d0 = floats(d + 64 * s), d1 = floats(d + 64 * s + 32);
            for (int k = 0; k < 32; k++) {
                const __m256i h = e4m3s(panel + 32 * k + 16 * s);
                const __m256 x0 = _mm256_cvtph_ps(_mm256_castsi256_si128(h));
                const __m256 x1 = _mm256_cvtph_ps(_mm256_extracti128_si256(h, 1));
                _mm256_storeu_ps(to + 32 * k + 16 * s, _mm256_mul_ps(d0, _mm256_mul_ps(x0, up)));
                _mm256_storeu_ps(to + 32 * k + 16 * s + 8, _mm256_mul_ps(d1, _mm256_mul_ps(x1, up)));
            }
        }
    }
}

static void mmf(const mt_mm *m)
{
    const bool is_decoded = mt_layouts[m->layout].group != 0;
    const size_t panel_bytes = mt_panel_bytes(m->layout, m->k);
    tile t = {.k = m->k, .ldx = (int64_t)m->a.ldx};
    for (int64_t p = m->p0; p < m->p1; p++) {
        t.w = m->w + (size_t)p * panel_bytes;
        if (is_decoded) {
            if (m->layout == MT_LAY_F8) decode_f8(t.w, m->k / 32, m->scratch);
            else decode_any(m->layout, t.w, m->k / 32, m->scratch);
            t.w = m->scratch;
        }
        for (int row = 0; row < m->n_row; row += ROWS) {
            place(&t.to, m, p, row);
            t.x = m->a.x + (size_t)row * m->a.ldx;
            tile_rows(m->layout, MT_MIN(ROWS, m->n_row - row), &t);
        }
    }
}

void mt_kern_init_mmf_avx2(mt_kern *t)
{
    for (int i = 0; i < MT_LAY_COUNT; i++) {
        t->mmf[i] = mmf;
        if (!mt_layouts[i].is_quant) t->mm1[i] = t->mmn[i] = t->mmp[i] = mmf;
    }
}

/* SPDX-License-Identifier: MIT */
/* mmf_avx512.c - products with f32 activations, AVX-512: float weights, and any weights exactly.
 *
 * A quantised panel is decoded to f32 [k][32 rows], exactly as the file defines its values, then
 * tiles of 32 rows x R activation rows run over it: two loads, R broadcasts and 2 R fused
 * multiply-adds per k.  Float weights lie in that order already and are converted on load. */
#include "kernel/inits.h"
#include "kernel/x86/ahead.h"
#include "kernel/x86/unpack_avx512.h"

enum { ROWS = 12 };

/* ---- the tile: 32 weight rows x R activation rows ------------------------ */
typedef struct tile {
    const uint8_t *w;           /* [k][32] of the type */
    const float *x;             /* first activation row */
    int64_t k, ldx;
    dest to;
} tile;

MT_INLINE __m512 read_w(const mt_layout lay, const uint8_t *p)
{
    if (lay == MT_LAY_F32) return _mm512_loadu_ps(p);
    const __m256i h = _mm256_loadu_si256((const __m256i *)p);
    if (lay == MT_LAY_F16) return _mm512_cvtph_ps(h);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

/* Rows are reached from three bases by 0 to 3 strides, which are addressing modes or few adds. */
#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define ROW_VARS(r) __m512 f0##r = _mm512_setzero_ps(), f1##r = f0##r;
#define ROW_STEP(r)                                                              \
    if (R > r) {                                                                 \
        const __m512 b = _mm512_set1_ps((r < 4 ? xa : r < 8 ? xb : xc)[(r % 4) * ldx + k]); \
        f0##r = _mm512_fmadd_ps(w0, b, f0##r);                                   \
        f1##r = _mm512_fmadd_ps(w1, b, f1##r);                                   \
    }
#define ROW_STORE(r)                                                             \
    if (R > r) {                                                                 \
        end_row(&t->to, r, &f0##r, &f1##r);                                      \
        put_row(&t->to, r, f0##r, f1##r);                                        \
    }

MT_INLINE void run_tile(const mt_layout lay, const int R, const tile *t)
{
    const int bytes = lay == MT_LAY_F32 ? 4 : 2;
    const int64_t ldx = t->ldx;
    const float *xa = t->x, *xb = t->x + (R > 4 ? 4 * ldx : 0),
                *xc = t->x + (R > 8 ? 8 * ldx : 0);
    EACH_ROW(ROW_VARS)
    for (int64_t k = 0; k < t->k; k++) {
        const uint8_t *w = t->w + k * 32 * bytes;
        mt_ahead(w, 32 * bytes);
        const __m512 w0 = read_w(lay, w), w1 = read_w(lay, w + 16 * bytes);
        EACH_ROW(ROW_STEP)
    }
    EACH_ROW(ROW_STORE)
}

static void tile_rows(mt_layout lay, int R, const tile *t)
{
#define ANY_ROWS(lay)                                                            \
    switch (R) {                                                                 \
    case 1: run_tile(lay, 1, t); break;                                          \
    case 2: run_tile(lay, 2, t); break;                                          \
    case 3: run_tile(lay, 3, t); break;                                          \
    case 4: run_tile(lay, 4, t); break;                                          \
    case 6: run_tile(lay, 6, t); break;                                          \
    case 8: run_tile(lay, 8, t); break;                                          \
    case 12: run_tile(lay, 12, t); break;                                        \
    }
    switch (mt_like(lay)) {
    case MT_LAY_F16: ANY_ROWS(MT_LAY_F16) break;
    case MT_LAY_BF16: ANY_ROWS(MT_LAY_BF16) break;
    default: ANY_ROWS(MT_LAY_F32) break;
    }
}

static int tile_size(int left)
{
    return left >= 12 ? 12 : left >= 8 ? 8 : left >= 6 ? 6 : MT_MIN(left, 4);
}

/* ---- decoding a panel ---------------------------------------------------- */
/* Four k of 16 rows: dword lanes of codes to [k][32] floats, by the operations of the format. */
MT_INLINE void decode_step(const mt_layout lay, const int offset, __m512i codes, __m512 dw,
                           __m512 mw, float *to)
{
    const __m512i byte = _mm512_set1_epi32(255), off = _mm512_set1_epi32(offset);
#define DECODE(b)                                                                \
    {                                                                            \
        const __m512i c = _mm512_and_si512(_mm512_srli_epi32(codes, 8 * b), byte); \
        __m512 v = _mm512_mul_ps(dw, _mm512_cvtepi32_ps(_mm512_sub_epi32(c, off))); \
        if (mt_has_min(lay)) v = _mm512_add_ps(v, mw);                           \
        _mm512_storeu_ps(to + 32 * b, v);                                        \
    }
    DECODE(0) DECODE(1) DECODE(2) DECODE(3)
}

MT_INLINE void decode(const mt_layout lay, const int8_t *codebook, const uint8_t *panel, int64_t n32, float *to)
{
    const mt_unit u = mt_unit_of(lay);
    const int per = 32 / u.group, n_sub = u.k / 32, sub_bytes = mt_planes_of(lay).sub;
    const __m512i book = book_of(lay, codebook);
    for (int64_t i = 0; i < n32; i++, to += 1024) {
        const uint8_t *unit = panel + i / n_sub * u.bytes, *sub = unit + i % n_sub * sub_bytes;
        for (int s = 0; s < 2; s++) {
            const int g = (int)(i % n_sub) * per, h = g + per - 1; /* groups of its halves */
            const __m512 d0 = scale_of(lay, unit, g, s), d1 = scale_of(lay, unit, h, s);
            const __m512 m0 = mt_has_min(lay) ? min_of(lay, unit, g, s) : d0;
            const __m512 m1 = mt_has_min(lay) ? min_of(lay, unit, h, s) : d1;
#define STEP(j, d, m) \
    decode_step(lay, u.offset, step_codes(lay, book, sub, s, j), d, m, to + 128 * j + 16 * s);
            STEP(0, d0, m0) STEP(1, d0, m0) STEP(2, d0, m0) STEP(3, d0, m0)
            STEP(4, d1, m1) STEP(5, d1, m1) STEP(6, d1, m1) STEP(7, d1, m1)
        }
    }
}

static void decode_any(mt_layout lay, const uint8_t *panel, int64_t n32, float *to)
{
    const int8_t *book = mt_layouts[lay].book;
#define DECODE_AS(lay) decode(lay, book, panel, n32, to)
    MT_SWITCH_QUANT(lay, DECODE_AS)
}

static void mmf(const mt_mm *m)
{
    const bool is_quant = mt_layouts[m->layout].is_quant;
    const size_t panel_bytes = mt_panel_bytes(m->layout, m->k);
    tile t = {.k = m->k, .ldx = (int64_t)m->a.ldx};
    for (int64_t p = m->p0; p < m->p1; p++) {
        t.w = m->w + (size_t)p * panel_bytes;
        if (is_quant) {
            decode_any(m->layout, t.w, m->k / 32, m->scratch);
            t.w = m->scratch;
        }
        for (int row = 0, R; row < m->n_row; row += R) {
            R = tile_size(m->n_row - row);
            place(&t.to, m, p, row);
            t.x = m->a.x + (size_t)row * m->a.ldx;
            tile_rows(m->layout, R, &t);
        }
    }
}

void mt_kern_init_mmf_avx512(mt_kern *t)
{
    for (int i = 0; i < MT_LAY_COUNT; i++) {
        if (i == MT_LAY_F8) continue;           /* decoded by the level below */
        t->mmf[i] = mmf;
        if (!mt_layouts[i].is_quant) t->mm1[i] = t->mmn[i] = t->mmp[i] = mmf;
    }
}

/* SPDX-License-Identifier: MIT */
/* mm_zmm.h - products of packed integer weights with int8 activations, AVX-512 with VNNI.  The including
 * file defines MT_PART, the half of the layouts that it compiles (codes.h).
 *
 * One tile does it all: 32 weight rows (two vectors of 16 lanes) x R activation rows, k running
 * inside.  A lane is an output, so nothing is ever summed across lanes:
 *
 *   step:  w0 w1 = codes of rows 0..15, 16..31 at 4 k     b = 4 activation bytes to all lanes
 *          a0r = dpbusd(a0r, w0, b)                        a1r = dpbusd(a1r, w1, b)
 *   group: f = fma(float(a), dw * as, f), and fma(mw, t, f) where there is a min
 *
 * mm1 and mmn unpack the codes in registers on the way (direct).  So does mmp where
 * codes and scales cost few instructions, which run beside the dpbusd (measured: 3 % faster);
 * for the other layouts it expands a panel to [k/4][32 rows][4] bytes in scratch first (13 %
 * faster).  R and the layout are constants in every instance: accumulators are named locals,
 * because gcc keeps arrays of them in memory (a check of the disassembly: no zmm stack reference
 * between the dpbusd of a step). */
#ifndef MT_KERNEL_MM_ZMM_H
#define MT_KERNEL_MM_ZMM_H

#include "kernel/inits.h"
#include "kernel/tops.h"
#include "kernel/x86/ahead.h"
#include "kernel/x86/unpack_avx512.h"

enum {
    ROWS = 6,               /* most activation rows in a tile */
    BLOCK = MT_TOP_ROWS / ROWS      /* tiles that share one expansion of a panel */
};

/* ---- the tile ------------------------------------------------------------ */
typedef struct tile {
    const uint8_t *panel;       /* direct: packed; else expanded codes */
    const float *dw, *mw;       /* expanded scales, [group][32] */
    const int8_t *book;         /* of a codebook layout */
    const float *as;            /* activation scales [k/32][8 rows] */
    const int32_t *t; /* [k/group][8 rows]: float as * isum with a min, else -offset * isum */
    const int8_t *q;            /* first activation row */
    int64_t ldq, n32;           /* n32 = k / 32 */
    const float *col;           /* [column][32] kept out of int8 */
    const uint16_t *slot;       /* [row][MT_TOP] into col */
    const float *top_x;         /* [row][MT_TOP] */
    dest to;
} tile;

/* What was kept out of int8, for row r of the tile; then the row is done. */
MT_INLINE void finish_row(const tile *t, int r, __m512 f0, __m512 f1)
{
    const uint16_t *slot = t->slot + MT_TOP * r;
    const float *top_x = t->top_x + MT_TOP * r;
    __m512 t0 = _mm512_setzero_ps(), t1 = t0;
#define ADD_TOP(i)                                                                    \
    {                                                                                 \
        const float *w = t->col + MT_PANEL * slot[i];                                 \
        const __m512 x = _mm512_set1_ps(top_x[i]);                                    \
        t0 = _mm512_fmadd_ps(_mm512_load_ps(w), x, t0);                               \
        t1 = _mm512_fmadd_ps(_mm512_load_ps(w + 16), x, t1);                          \
    }
    if (slot[MT_TOP - 1] != MT_TOP_NONE) {
        ADD_TOP(0) ADD_TOP(1) ADD_TOP(2) ADD_TOP(3)
    } else {                    /* rows of fewer groups */
        for (int i = 0; slot[i] != MT_TOP_NONE; i++) ADD_TOP(i)
    }
    end_row(&t->to, r, &f0, &f1);
    put_row(&t->to, r, _mm512_add_ps(f0, t0), _mm512_add_ps(f1, t1));
}

#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define ROW_VARS(r)                                                                   \
    const int8_t *q##r = t->q + (R > r ? r * t->ldq : 0);                             \
    __m512 f0##r = _mm512_setzero_ps(), f1##r = f0##r;                                \
    __m512i a0##r = _mm512_setzero_si512(), a1##r = a0##r;
#define ROW_BEGIN(r)                                                                  \
    if (R > r) {                                                                      \
        a0##r = has_min ? _mm512_setzero_si512() : _mm512_set1_epi32(tt[r]);          \
        a1##r = a0##r;                                                                \
    }
#define ROW_STEP(r)                                                                   \
    if (R > r) {                                                                      \
        int32_t four;                                                                 \
        memcpy(&four, q##r + k, 4);                                                   \
        const __m512i b = _mm512_set1_epi32(four);                                    \
        a0##r = _mm512_dpbusd_epi32(a0##r, w0, b);                                    \
        a1##r = _mm512_dpbusd_epi32(a1##r, w1, b);                                    \
    }
#define ROW_END(r)                                                                    \
    if (R > r) {                                                                      \
        const __m512 as = _mm512_set1_ps(ta[r]);                                      \
        f0##r = _mm512_fmadd_ps(_mm512_cvtepi32_ps(a0##r), _mm512_mul_ps(dw0, as), f0##r); \
        f1##r = _mm512_fmadd_ps(_mm512_cvtepi32_ps(a1##r), _mm512_mul_ps(dw1, as), f1##r); \
        if (has_min) {                                                                \
            const __m512 x = _mm512_castsi512_ps(_mm512_set1_epi32(tt[r]));           \
            f0##r = _mm512_fmadd_ps(mw0, x, f0##r);                                   \
            f1##r = _mm512_fmadd_ps(mw1, x, f1##r);                                   \
        }                                                                             \
    }
#define STEP(j)                                                                       \
    {                                                                                 \
        const uint8_t *spelled = sub + 128 * (j);                                     \
        const __m512i w0 = is_direct ? step_codes(lay, book, sub, 0, j) : load(spelled);    \
        const __m512i w1 = is_direct ? step_codes(lay, book, sub, 1, j) : load(spelled + 64); \
        const int64_t k = 32 * i + 4 * (j);                                           \
        EACH_ROW(ROW_STEP)                                                            \
    }
#define END(g)                                                                        \
    {                                                                                 \
        const float *d = t->dw + 32 * (i * per + (g)), *m = t->mw + 32 * (i * per + (g)); \
        const int in_unit = (int)(i % n_sub) * per + (g);                             \
        __m512 dw0, dw1;                                                              \
        if (is_direct) {                                                              \
            dw0 = scale_of(lay, unit, in_unit, 0);                                    \
            dw1 = scale_of(lay, unit, in_unit, 1);                                    \
        } else {                                                                      \
            dw0 = _mm512_loadu_ps(d);                                                 \
            dw1 = _mm512_loadu_ps(d + 16);                                            \
        }                                                                             \
        __m512 mw0 = dw0, mw1 = dw1;                                                  \
        if (has_min) {                                                                \
            mw0 = is_direct ? min_of(lay, unit, in_unit, 0) : _mm512_loadu_ps(m);     \
            mw1 = is_direct ? min_of(lay, unit, in_unit, 1) : _mm512_loadu_ps(m + 16); \
        }                                                                             \
        EACH_ROW(ROW_END)                                                             \
    }

/* lay, is_direct and R are constants.  Expanded panels have one unit of 32 k. */
MT_INLINE void run_tile(const mt_layout lay, const bool is_direct, const int R, const tile *t)
{
    const bool has_min = mt_has_min(lay);
    const mt_unit u = mt_unit_of(lay);
    const __m512i book = book_of(lay, t->book);
    const int group = u.group, unit_bytes = is_direct ? u.bytes : 0;
    const int per = 32 / group, n_sub = is_direct ? u.k / 32 : 1, sub_bytes = mt_planes_of(lay).sub;
    EACH_ROW(ROW_VARS)
    for (int64_t i = 0; i < t->n32; i++) {
        const uint8_t *unit = t->panel + i / n_sub * unit_bytes;
        const uint8_t *sub = is_direct ? unit + i % n_sub * sub_bytes : t->panel + 1024 * i;
        const float *ta = t->as + 8 * i;
        const int32_t *tt = t->t + 8 * per * i;
        if (is_direct) mt_ahead(unit + i % n_sub * (unit_bytes / n_sub), unit_bytes / n_sub);
        EACH_ROW(ROW_BEGIN)
        if (group == 32) {      /* nibbles of one load follow each other */
            STEP(0) STEP(4) STEP(1) STEP(5) STEP(2) STEP(6) STEP(3) STEP(7)
            END(0)
        } else {
            STEP(0) STEP(1) STEP(2) STEP(3)
            END(0)
            tt += 8;
            __asm__("" : "+r"(sub));    /* reload: eight planes kept would spill */
            EACH_ROW(ROW_BEGIN)
            STEP(4) STEP(5) STEP(6) STEP(7)
            END(1)
        }
    }
#define ROW_STORE(r) if (R > r) finish_row(t, r, f0##r, f1##r);
    EACH_ROW(ROW_STORE)
}

/* The activation coefficients of R rows from row0 on. */
static void coefficients(const mt_layout_info *l, bool has_min, const mt_mm *m, int row0, int R,
                         float *as, int32_t *t)
{
    const int per = 32 / l->group;
    for (int r = 0; r < R; r++) {
        const float *scale = m->a.scale + (size_t)(row0 + r) * m->a.ldg;
        const int32_t *isum = m->a.isum + 2 * (size_t)(row0 + r) * m->a.ldg;
        for (int64_t i = 0; i < m->k / 32; i++) {
            as[8 * i + r] = scale[i];
            for (int g = 0; g < per; g++) {
                const int32_t sum = per == 2 ? isum[2 * i + g] : isum[2 * i] + isum[2 * i + 1];
                const float f = scale[i] * (float)sum;
                int32_t *to = t + 8 * (per * i + g) + r;
                if (has_min) memcpy(to, &f, 4);
                else *to = -l->offset * sum;
            }
        }
    }
}

/* ---- the columns kept out of int8 ----------------------------------------- */
/* One k of a panel: 32 decoded weights.  Places come in no order, so nothing here branches on k. */
MT_INLINE void column(const mt_layout lay, const int8_t *book, const uint8_t *panel, int64_t k, float *to)
{
    const mt_unit u = mt_unit_of(lay);
    const mt_planes p = mt_planes_of(lay);
    const int n_sub = u.k / 32, per = 32 / u.group, i = (int)(k / 32 % n_sub), j = (int)(k % 32 / 4);
    const int g = i * per + (per == 2 ? j / 4 : 0), byte = 8 * (int)(k % 4);
    const uint8_t *unit = panel + k / u.k * u.bytes, *sub = unit + i * p.sub;
    const int step = p.low == 8 ? j : p.low == 4 ? j % 4 : j / 4;
    const __m128i low = _mm_cvtsi32_si128(byte + (p.low == 4 ? j / 4 * 4 : p.low == 2 ? j % 4 * 2 : 0));
    const __m128i high = _mm_cvtsi32_si128(byte + (p.high == 2 ? j % 4 * 2 : 0));
    for (int s = 0; s < 2; s++) {
        __m512i x = _mm512_srl_epi32(load(sub + s * p.low * 64 + 64 * step), low);
        x = _mm512_and_si512(x, _mm512_set1_epi32((1 << p.low) - 1));
        if (p.high == 1) {
            uint64_t mask;
            memcpy(&mask, sub + p.low * 128 + s * 64 + 8 * j, 8);
            const __m512i one = _mm512_srl_epi32(_mm512_maskz_mov_epi8(mask, bytes_of(1)), high);
            x = _mm512_or_si512(x, _mm512_slli_epi32(_mm512_and_si512(one, _mm512_set1_epi32(1)), p.low));
        }
        if (p.high == 2) {
            const __m512i two = _mm512_srl_epi32(load(sub + 512 + s * 128 + 64 * (j / 4)), high);
            x = _mm512_or_si512(x, _mm512_slli_epi32(_mm512_and_si512(two, _mm512_set1_epi32(3)), 4));
        }
        if (mt_has_codebook(lay)) x = _mm512_and_si512(_mm512_shuffle_epi8(book_of(lay, book), x), _mm512_set1_epi32(255));
        x = _mm512_sub_epi32(x, _mm512_set1_epi32(u.offset));
        __m512 v = _mm512_mul_ps(scale_of(lay, unit, g, s), _mm512_cvtepi32_ps(x));
        if (mt_has_min(lay)) v = _mm512_add_ps(v, min_of(lay, unit, g, s));
        _mm512_store_ps(to + 16 * s, v);
    }
}

static void columns(mt_layout lay, const uint8_t *panel, const mt_tops *tops)
{
    const int8_t *book = mt_layouts[lay].book;
#define EACH_COLUMN(lay) \
    for (int i = 0; i < tops->n_col; i++) column(lay, book, panel, tops->col[i], tops->w + MT_PANEL * i)
    MT_SWITCH_PART(lay, MT_PART, EACH_COLUMN)
}

/* Tile t takes rows from `at` of the block that starts at row `first`. */
static void aim(tile *t, const mt_mm *m, const mt_tops *tops, int64_t panel, int first, int at)
{
    place(&t->to, m, panel, first + at);
    t->q = m->a.q + (size_t)(first + at) * m->a.ldq;
    t->col = tops->w;
    t->slot = tops->slot + MT_TOP * at;
    t->top_x = tops->x + MT_TOP * at;
}

/* ---- straight from the packed codes: mm1, mmn ---------------------------- */
static void direct_rows(mt_layout lay, int R, const tile *t)
{
#define ANY_ROWS(lay)                                                                 \
    switch (R) {                                                                      \
    case 1: run_tile(lay, true, 1, t); break;                                         \
    case 2: run_tile(lay, true, 2, t); break;                                         \
    case 3: run_tile(lay, true, 3, t); break;                                         \
    case 4: run_tile(lay, true, 4, t); break;                                         \
    case 5: run_tile(lay, true, 5, t); break;                                         \
    case 6: run_tile(lay, true, 6, t); break;                                         \
    }
    MT_SWITCH_PART(lay, MT_PART, ANY_ROWS)
}

/* Rows [first, first + n), at most BLOCK tiles: every panel meets all tiles while it is in the
 * first cache. */
static void direct_block(const mt_mm *m, int first, int n)
{
    const mt_layout_info *l = &mt_layouts[m->layout];
    const size_t panel_bytes = mt_panel_bytes(m->layout, m->k);
    const int64_t n32 = m->k / 32;
    const int n_tile = (n + ROWS - 1) / ROWS, per = 32 / l->group;
    const int64_t coef = 8 * n32 * (1 + per);           /* dwords of a tile's coefficients */
    float *as = (float *)(void *)((uint8_t *)m->scratch + mt_tops_bytes(m->k));
    tile t = {.ldq = (int64_t)m->a.ldq, .n32 = n32, .book = l->book};
    mt_tops tops;
    mt_tops_list(&tops, m, first, n, m->scratch);
    for (int i = 0; i < n_tile; i++) {
        const int row = first_row(n, n_tile, i), R = first_row(n, n_tile, i + 1) - row;
        float *to = as + i * coef;
        coefficients(l, mt_has_min(m->layout), m, first + row, R, to,
                     (int32_t *)(to + 8 * n32));
    }
    for (int64_t p = m->p0; p < m->p1; p++) {
        t.panel = m->w + (size_t)p * panel_bytes;
        if (p + 1 < m->p1) mt_tops_ask(&tops, m->layout, t.panel + panel_bytes);
        columns(m->layout, t.panel, &tops);
        for (int i = 0; i < n_tile; i++) {
            const int row = first_row(n, n_tile, i);
            aim(&t, m, &tops, p, first, row);
            t.as = as + i * coef;
            t.t = (const int32_t *)(t.as + 8 * n32);
            direct_rows(m->layout, first_row(n, n_tile, i + 1) - row, &t);
        }
    }
}

static void mm_direct(const mt_mm *m)
{
    for (int row = 0; row < m->n_row; row += BLOCK * ROWS) {
        direct_block(m, row, MT_MIN(BLOCK * ROWS, m->n_row - row));
    }
}

/* ---- from an expanded panel: mmp ----------------------------------------- */
MT_INLINE void expand(const mt_layout lay, const int8_t *codebook, const uint8_t *panel, int64_t n32, uint8_t *code,
                      float *dw, float *mw)
{
    const mt_unit u = mt_unit_of(lay);
    const int per = 32 / u.group, n_sub = u.k / 32, sub_bytes = mt_planes_of(lay).sub;
    const __m512i book = book_of(lay, codebook);
    for (int64_t i = 0; i < n32; i++, code += 1024) {
        const uint8_t *unit = panel + i / n_sub * u.bytes, *sub = unit + i % n_sub * sub_bytes;
        for (int s = 0; s < 2; s++) {
#define PUT(j) _mm512_storeu_si512(code + 128 * (j) + 64 * s, step_codes(lay, book, sub, s, j));
            PUT(0) PUT(4) PUT(1) PUT(5) PUT(2) PUT(6) PUT(3) PUT(7)
            for (int g = 0; g < per; g++) {
                const int in_unit = (int)(i % n_sub) * per + g;
                const int64_t to = 32 * (i * per + g) + 16 * s;
                _mm512_storeu_ps(dw + to, scale_of(lay, unit, in_unit, s));
                if (mt_has_min(lay)) _mm512_storeu_ps(mw + to, min_of(lay, unit, in_unit, s));
            }
        }
    }
}

static void expand_any(mt_layout lay, const uint8_t *panel, int64_t n32, uint8_t *code,
                       float *dw, float *mw)
{
    const int8_t *book = mt_layouts[lay].book;
#define EXPAND(lay) expand(lay, book, panel, n32, code, dw, mw)
    MT_SWITCH_PART(lay, MT_PART, EXPAND)
}

/* Expanded codes differ only in group and in min or offset: four kinds, named by one layout each. */
static void expanded_rows(const mt_layout_info *l, bool has_min, int R, const tile *t)
{
#define EXPANDED(lay)                                                                 \
    switch (R) {                                                                      \
    case 1: run_tile(lay, false, 1, t); break;                                        \
    case 2: run_tile(lay, false, 2, t); break;                                        \
    case 3: run_tile(lay, false, 3, t); break;                                        \
    case 4: run_tile(lay, false, 4, t); break;                                        \
    case 5: run_tile(lay, false, 5, t); break;                                        \
    case 6: run_tile(lay, false, 6, t); break;                                        \
    }
    if (MT_PART == 1 || l->group == 32) {
        if (has_min) EXPANDED(MT_LAY_W4M) else EXPANDED(MT_LAY_W8)
    } else {
        if (has_min) EXPANDED(MT_LAY_K2) else EXPANDED(MT_LAY_K6)
    }
}

/* Rows [row0, row0 + n) of all panels; n at most BLOCK tiles.  Scratch: codes 32 k bytes, dw and
 * mw 128 k / group each, coefficients 32 k (1 / 32 + 1 / group) per tile: below 128 k in all. */
static void expanded_block(const mt_mm *m, int first, int n)
{
    const mt_layout_info *l = &mt_layouts[m->layout];
    const bool has_min = mt_has_min(m->layout);
    const int64_t n32 = m->k / 32;
    const int n_tile = (n + ROWS - 1) / ROWS, per = 32 / l->group;
    const int64_t coef = 8 * n32 * (1 + per);
    const size_t panel_bytes = mt_panel_bytes(m->layout, m->k);
    const size_t slice = mt_pad(panel_bytes / (size_t)n_tile + 1, 64);
    uint8_t *code = (uint8_t *)m->scratch + mt_tops_bytes(m->k);
    float *dw = (float *)(void *)(code + 1024 * n32), *mw = dw + 32 * per * n32,
          *as = mw + 32 * per * n32;
    mt_tops tops;
    mt_tops_list(&tops, m, first, n, m->scratch);
    tile t = {.panel = code, .dw = dw, .mw = mw, .ldq = (int64_t)m->a.ldq, .n32 = n32, .book = l->book};
    for (int i = 0; i < n_tile; i++) {
        const int row = first_row(n, n_tile, i), R = first_row(n, n_tile, i + 1) - row;
        float *to = as + i * coef;
        coefficients(l, has_min, m, first + row, R, to, (int32_t *)(to + 8 * n32));
    }
    for (int64_t p = m->p0; p < m->p1; p++) {
        const uint8_t *panel = m->w + (size_t)p * panel_bytes;
        expand_any(m->layout, panel, n32, code, dw, mw);
        columns(m->layout, panel, &tops);
        for (int i = 0; i < n_tile; i++) {
            const int row = first_row(n, n_tile, i);
            const char *next = (const char *)panel + panel_bytes + (size_t)i * slice;
            for (size_t b = 0; b < slice; b += 64) _mm_prefetch(next + b, _MM_HINT_T1);
            aim(&t, m, &tops, p, first, row);
            t.as = as + i * coef;
            t.t = (const int32_t *)(t.as + 8 * n32);
            expanded_rows(l, has_min, first_row(n, n_tile, i + 1) - row, &t);
        }
    }
}

static void mm_expanded(const mt_mm *m)
{
    for (int row = 0; row < m->n_row; row += BLOCK * ROWS) {
        expanded_block(m, row, MT_MIN(BLOCK * ROWS, m->n_row - row));
    }
}

static void init_part(mt_kern *t)
{
    for (int i = 0; i < MT_LAY_COUNT; i++) {
        if (mt_part_of((mt_layout)i) != MT_PART) continue;
        const mt_planes p = mt_planes_of((mt_layout)i);
        const bool is_cheap = p.low >= 4 && p.high == 0 && i != MT_LAY_K4;
        t->mm1[i] = t->mmn[i] = mm_direct;
        t->mmp[i] = is_cheap ? mm_direct : mm_expanded;
    }
}

#endif

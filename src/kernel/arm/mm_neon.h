/* SPDX-License-Identifier: MIT */
/* mm_neon.h - the way through a quantised product that the levels of this architecture share.
 *
 * Panels are the outer loop; tiles of at most ROWS activation rows meet each panel while it is in
 * the first cache.  What a level brings along is the tile itself (run_tile), the order in which it
 * wants the activations of a tile (put_rows) and the codes of an expanded panel (put_codes); this
 * text is compiled once per level.  mm1 and mmn read the packed codes (direct); mmp expands a panel
 * to bytes and f32 scales first, which up to BLOCK tiles then share. */
#ifndef MT_KERNEL_MM_NEON_H
#define MT_KERNEL_MM_NEON_H

#include "kernel/arm/unpack_neon.h"
#include "kernel/tops.h"

enum {
    ROWS = 4,               /* most activation rows in a tile */
    BLOCK = 12              /* tiles that share one expansion of a panel */
};

typedef struct tile {
    const uint8_t *panel;       /* direct: packed; else expanded codes, 1024 bytes per 32 k */
    const float *dw, *mw;       /* expanded scales, [group][32] */
    float *as;                  /* activation scales [k/32][4 rows] */
    int32_t *t;  /* [k/group][4 rows]: float as * isum with a min, else -offset * isum; isum if is_both_of */
    const int8_t *book;         /* of a codebook layout */
    int8_t *q;                  /* activations, 32 R bytes per 32 k, see put_rows */
    int64_t n32;                /* k / 32 */
    int rows;                   /* of R; the others are zeros and are not stored */
    const float *col;           /* [column][32] kept out of int8 */
    const uint16_t *slot;       /* [row][MT_TOP] into col */
    const float *top_x;         /* [row][MT_TOP] */
    dest to;
} tile;

/* Accumulators of a tile are named locals: eight of four lanes, whatever its shape. */
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

/* ---- what a level defines ------------------------------------------------ */
/* FEWEST: the smallest R, 1 or 2. */

/* R activation rows against weight rows `row` .. row + 32 / R - 1 of the panel.  lay, is_direct and R
 * are constants; expanded panels have one unit of 32 k. */
MT_INLINE void run_tile(const mt_layout lay, const bool is_direct, const int R, int row,
                        const tile *t);
/* 32 k of R rows, of which `rows` exist, into 32 R bytes. */
MT_INLINE void put_rows(const int8_t *q, size_t ldq, int rows, int R, int8_t *to);
/* The codes of a sub-unit into 1024 bytes. */
MT_INLINE void put_codes(const mt_layout lay, int8x16_t book, const uint8_t *sub, uint8_t *to);

/* ---- one tile ------------------------------------------------------------ */
/* R of the tile for the last rows of a call. */
static int tile_rows(int rows) { return rows > 2 ? 4 : MT_MAX(rows, (int)FEWEST); }

/* The end of outputs at .. at + 7 of row r: bias, what out held, what was kept out of int8. */
static void finish(const tile *t, int r, int at, vec f0, vec f1)
{
    vec t0 = all(0), t1 = all(0);
    for (int i = MT_TOP * r; i < MT_TOP * (r + 1) && t->slot[i] != MT_TOP_NONE; i++) {
        const float *w = t->col + MT_PANEL * t->slot[i] + at;
        t0 = fma_of(vld1q_f32(w), all(t->top_x[i]), t0);
        t1 = fma_of(vld1q_f32(w + 4), all(t->top_x[i]), t1);
    }
    put_held(&t->to, r, at, with_held(&t->to, r, at, f0) + t0);
    put_held(&t->to, r, at + 4, with_held(&t->to, r, at + 4, f1) + t1);
}

MT_INLINE void whole_panel(const mt_layout lay, const bool is_direct, const int R, const tile *t)
{
#pragma GCC unroll 1
    for (int row = 0; row < t->to.n; row += MT_PANEL / R) run_tile(lay, is_direct, R, row, t);
}

#define ANY_ROWS(lay, is_direct)                                                 \
    switch (R) {                                                                 \
    case 1: if (FEWEST == 1) whole_panel(lay, is_direct, 1, t); break;           \
    case 2: whole_panel(lay, is_direct, 2, t); break;                            \
    case 4: whole_panel(lay, is_direct, 4, t); break;                            \
    }

static void direct_rows(mt_layout lay, int R, const tile *t)
{
#define DIRECT(lay) ANY_ROWS(lay, true)
    MT_SWITCH_QUANT(lay, DIRECT)
}

/* Expanded codes differ in group, in min or offset, and in needing seven bits or eight; layouts
 * alike in these share an instance. */
static void expanded_rows(mt_layout lay, int R, const tile *t)
{
    switch (mt_like(lay)) {
    case MT_LAY_W8: case MT_LAY_C4: case MT_LAY_C4K: case MT_LAY_C4B: ANY_ROWS(MT_LAY_W8, false) break;
    case MT_LAY_W4: case MT_LAY_W5: case MT_LAY_T2: ANY_ROWS(MT_LAY_W5, false) break;
    case MT_LAY_W4M: case MT_LAY_W5M: case MT_LAY_K4: case MT_LAY_K5: case MT_LAY_G4:
        ANY_ROWS(MT_LAY_W5M, false) break;
    case MT_LAY_K2: ANY_ROWS(MT_LAY_K2, false) break;
    case MT_LAY_K3: case MT_LAY_K6: ANY_ROWS(MT_LAY_K6, false) break;
    case MT_LAY_C4H: case MT_LAY_X4: ANY_ROWS(MT_LAY_X4, false) break;
    case MT_LAY_M8: ANY_ROWS(MT_LAY_M8, false) break;
    default: break;
    }
}

/* ---- before the tiles ---------------------------------------------------- */
MT_INLINE void expand(const mt_layout lay, const int8_t *codebook, const uint8_t *panel, int64_t n32, uint8_t *code,
                      float *dw, float *mw)
{
    const mt_unit u = mt_unit_of(lay);
    const int n_sub = u.k / 32, per = 32 / u.group, sub_bytes = mt_planes_of(lay).sub;
    const int8x16_t book = book_of(lay, codebook);
    for (int64_t i = 0; i < n32; i++) {
        const uint8_t *unit = panel + i / n_sub * u.bytes;
        put_codes(lay, book, unit + i % n_sub * sub_bytes, code + 1024 * i);
        for (int g = 0; g < per; g++) {
            const scales x = scales_at(lay, unit, 0, (int)(i % n_sub) * per + g);
            for (int v = 0; v < 8; v++) {
                const int64_t to = 32 * (i * per + g) + 4 * v;
                vst1q_f32(dw + to, scale_of(lay, x, v));
                if (mt_has_min(lay)) vst1q_f32(mw + to, min_of(lay, x, v));
            }
        }
    }
}

static void expand_any(mt_layout lay, const uint8_t *panel, int64_t n32, uint8_t *code, float *dw,
                       float *mw)
{
    const int8_t *book = mt_layouts[lay].book;
#define EXPAND(lay) expand(lay, book, panel, n32, code, dw, mw)
    MT_SWITCH_QUANT(lay, EXPAND)
}

/* One k of a panel: 32 decoded weights. */
MT_INLINE void column(const mt_layout lay, const int8_t *book, const uint8_t *panel, int64_t k, float *to)
{
    const mt_unit u = mt_unit_of(lay);
    const int n_sub = u.k / 32, per = 32 / u.group, i = (int)(k / 32 % n_sub), j = (int)(k % 32 / 4);
    const int g = i * per + (per == 2 && j >= 4);
    const uint8_t *unit = panel + k / u.k * u.bytes, *sub = unit + i * mt_planes_of(lay).sub;
    const planes at = planes_at(lay, sub, 0);
    const scales x = scales_at(lay, unit, 0, g);
    const int32x4_t up = vdupq_n_s32(24 - 8 * (int)(k % 4));
    for (int v = 0; v < 8; v++) {
        const int8x16_t codes = step_codes(lay, book_of(lay, book), at, v, j);
        const int32x4_t c = vshlq_s32(vreinterpretq_s32_s8(codes), up) >> 24;
        vec f = scale_of(lay, x, v) * vcvtq_f32_s32(c - offset_of(lay));
        if (mt_has_min(lay)) f = f + min_of(lay, x, v);
        vst1q_f32(to + 4 * v, f);
    }
}

static void columns(mt_layout lay, const uint8_t *panel, const mt_tops *tops)
{
    const int8_t *book = mt_layouts[lay].book;
#define EACH_COLUMN(lay) \
    for (int i = 0; i < tops->n_col; i++) column(lay, book, panel, tops->col[i], tops->w + MT_PANEL * i)
    MT_SWITCH_QUANT(lay, EACH_COLUMN)
}

/* The activations and their coefficients, for R rows of which t->rows from row0 on exist. */
static void prepare(const mt_mm *m, int row0, int R, const tile *t)
{
    const int per = 32 / mt_layouts[m->layout].group, offset = offset_of(m->layout);
    const bool has_min = mt_has_min(m->layout), is_both = is_both_of(m->layout);
    for (int64_t i = 0; i < t->n32; i++) {
        put_rows(m->a.q + (size_t)row0 * m->a.ldq + 32 * i, m->a.ldq, t->rows, R, t->q + 32 * R * i);
        for (int r = 0; r < R; r++) {
            const bool is_there = r < t->rows;
            const size_t at = (size_t)(row0 + (is_there ? r : 0)) * m->a.ldg + (size_t)i;
            const float scale = is_there ? m->a.scale[at] : 0.0f;
            const int32_t *isum = m->a.isum + 2 * at;
            t->as[4 * i + r] = scale;
            for (int g = 0; g < per; g++) {
                const int32_t sum = per == 2 ? isum[g] : isum[0] + isum[1];
                const float f = scale * (float)sum;
                int32_t *to = t->t + 4 * (per * i + g) + r;
                if (is_both) *to = sum;
                else if (has_min) memcpy(to, &f, 4);
                else *to = -offset * sum;
            }
        }
    }
}

/* ---- the walk ------------------------------------------------------------ */
/* Rows [first, first + n) of all panels; n at most BLOCK tiles.  Scratch behind the columns: codes
 * 32 k bytes, dw and mw 128 k / group each, and at most 176 k / 32 per tile: below 128 k in all. */
static void block(const mt_mm *m, int first, int n, bool is_direct)
{
    const mt_layout lay = m->layout;
    const int64_t n32 = m->k / 32;
    const int per = 32 / mt_layouts[lay].group;
    const size_t panel_bytes = mt_panel_bytes(lay, m->k);
    uint8_t *code = (uint8_t *)m->scratch + mt_tops_bytes(m->k), *at = code;
    float *dw = (float *)(void *)(code + 1024 * n32), *mw = dw + 32 * per * n32;
    if (!is_direct) at = (uint8_t *)(mw + 32 * per * n32);
    mt_tops tops;
    mt_tops_list(&tops, m, first, n, m->scratch);
    tile tiles[BLOCK];
    for (int row = 0; row < n; row += ROWS) {
        tile *t = &tiles[row / ROWS];
        *t = (tile){.panel = code, .dw = dw, .mw = mw, .n32 = n32, .rows = MT_MIN(ROWS, n - row), .book = mt_layouts[lay].book,
                    .col = tops.w, .slot = tops.slot + MT_TOP * row, .top_x = tops.x + MT_TOP * row};
        t->as = (float *)(void *)at;
        t->t = (int32_t *)(t->as + 4 * n32);
        t->q = (int8_t *)(t->t + 4 * per * n32);
        at = (uint8_t *)t->q + 32 * ROWS * n32;
        prepare(m, first + row, tile_rows(t->rows), t);
    }
    for (int64_t p = m->p0; p < m->p1; p++) {
        const uint8_t *panel = m->w + (size_t)p * panel_bytes;
        columns(lay, panel, &tops);
        if (!is_direct) expand_any(lay, panel, n32, code, dw, mw);
        for (int row = 0; row < n; row += ROWS) {
            tile *t = &tiles[row / ROWS];
            place(&t->to, m, p, first + row);
            if (is_direct) {
                t->panel = panel;
                direct_rows(lay, tile_rows(t->rows), t);
            } else {
                expanded_rows(lay, tile_rows(t->rows), t);
            }
        }
    }
}

static void mm_direct(const mt_mm *m)
{
    for (int row = 0; row < m->n_row; row += BLOCK * ROWS)
        block(m, row, MT_MIN(BLOCK * ROWS, m->n_row - row), true);
}

static void mm_expanded(const mt_mm *m)
{
    for (int row = 0; row < m->n_row; row += BLOCK * ROWS)
        block(m, row, MT_MIN(BLOCK * ROWS, m->n_row - row), false);
}

#endif

/* SPDX-License-Identifier: MIT */
/* mm_ymm.h - products of packed integer weights with int8 activations on vectors of 8 lanes, once
 * for the processors that add four products in one instruction and for those that do not.
 *
 * The including file defines HAS_DPBUSD (and, with it, MT_UNSIGNED_CODES: unpack_avx2.h) and MT_PART,
 * the half of the layouts that it compiles (codes.h).
 * A lane is an output, k runs inside.  A tile is 32 weight rows (four vectors) x 1 or 2 activation
 * rows, or 16 (two vectors) x 4: eight accumulators, so that half of the 16 registers are free.
 * Without dpbusd, vpmaddubsw multiplies unsigned by signed bytes and adds pairs in 16 bits, where a
 * sum must stay below 32768; so many steps may be added there before they are widened:
 *
 *   codes to 15  8      8 * 2 * 15 * 127 = 30480
 *   codes to 31  4      4 * 2 * 31 * 127 = 31496
 *   codes to 63  2      2 * 2 * 63 * 127 = 32004
 *   w8, m8, codebooks  1  |value| times the activation with its sign: 2 * 128 * 127 = 32512
 *
 * No way saturates, so the integer sums are those of every other level.  mm1 and mmn unpack
 * codes in registers (direct); mmp expands a panel to [k/4][32 rows][4] bytes in scratch first. */
#ifndef MT_KERNEL_MM_YMM_H
#define MT_KERNEL_MM_YMM_H

#include "kernel/inits.h"
#include "kernel/tops.h"
#include "kernel/x86/ahead.h"
#include "kernel/x86/unpack_avx2.h"

enum {
    ROWS = 4,                       /* most activation rows in a tile */
    BLOCK = MT_TOP_ROWS / ROWS      /* tiles that share one expansion of a panel */
};

typedef struct tile {
    const uint8_t *panel;       /* packed */
    const uint8_t *code;        /* expanded; NULL: it is not */
    const float *dw, *mw;       /* expanded scales, [group][32] */
    const float *as;            /* activation scales [k/32][ROWS] */
    const int32_t *t; /* [k/group][ROWS]: float as * isum with a min, else -offset * isum; see is_both */
    const int8_t *book;         /* of a codebook layout */
    const int8_t *q;            /* first activation row */
    int64_t ldq, n32;           /* n32 = k / 32 */
    int v0;                     /* first vector of weights: 0, or 2 for the second half */
    bool asks;                  /* for memory ahead: the first tile of a panel does */
    float *f;                   /* [ROWS][32]: sums of several rows, see is_held */
    const float *col;           /* [column][32] kept out of int8 */
    const uint16_t *slot;       /* [row][MT_TOP] into col */
    const float *top_x;         /* [row][MT_TOP] */
    dest to;
} tile;

/* What was kept out of int8, for vector v of row r of the tile; then it is done. */
MT_INLINE void finish_row(const tile *t, int r, int v, __m256 f)
{
    __m256 top = _mm256_setzero_ps();
    for (int i = MT_TOP * r; i < MT_TOP * (r + 1) && t->slot[i] != MT_TOP_NONE; i++) {
        const __m256 w = _mm256_load_ps(t->col + MT_PANEL * t->slot[i] + 8 * v);
        top = _mm256_fmadd_ps(w, _mm256_set1_ps(t->top_x[i]), top);
    }
    finish(&t->to, r, v, f, top);
}

/* Steps that are added in 16 bits; 0: none is, every step adds to 32 bits by itself. */
MT_INLINE int narrow_steps(mt_layout lay)
{
    const mt_planes p = mt_planes_of(lay);
    if (HAS_DPBUSD || is_signed_code(lay)) return 0;
    return p.low + p.high <= 4 ? 8 : p.low + p.high == 5 ? 4 : 2;
}

/* gcc puts off additions until their sum is used, and keeps what is to be added in memory. */
MT_INLINE __m256i now(__m256i x)
{
    __asm__("" : "+x"(x));
    return x;
}

/* One step of one vector: a in 16 bits where a whole group fits there, else in 32. */
MT_INLINE __m256i dot_step(const mt_layout lay, __m256i a, __m256i w, __m256i size, __m256i b)
{
#if HAS_DPBUSD
    (void)lay, (void)size;
    return _mm256_dpbusd_avx_epi32(a, w, b);
#else
    if (narrow_steps(lay)) return now(_mm256_add_epi16(a, _mm256_maddubs_epi16(w, b)));
    const __m256i p = _mm256_maddubs_epi16(size, _mm256_sign_epi8(b, w));
    return now(_mm256_add_epi32(a, _mm256_madd_epi16(p, _mm256_set1_epi16(1))));
#endif
}

/* Four activation bytes to all lanes. */
MT_INLINE __m256i four_of(const int8_t *q)
{
    return _mm256_set1_epi32((int)mt_load32((const uint8_t *)q));
}

/* Rows of a vector: four of the first two, two of the others.  What is never used still costs the
 * compiler its time. */
#define ROWS_0(X) X(0, 0) X(1, 0) X(2, 0) X(3, 0)
#define ROWS_1(X) X(0, 1) X(1, 1) X(2, 1) X(3, 1)
#define ROWS_2(X) X(0, 2) X(1, 2)
#define ROWS_3(X) X(0, 3) X(1, 3)
#define EACH(X) ROWS_0(X) ROWS_1(X) ROWS_2(X) ROWS_3(X)
#define F_VARS(r, v) \
    __m256 f##r##v = _mm256_setzero_ps(); \
    if (is_held && R > r && V > v) _mm256_store_ps(f + MT_PANEL * r + 8 * v, f##r##v);
#define A_BEGIN(r, v) __m256i a##r##v = _mm256_setzero_si256();
#define A_AGAIN(r, v) a##r##v = _mm256_setzero_si256();
#define CODES(v, j) (is_direct ? step_codes(lay, book, sub, v0 + (v), j) : load(sub + 128 * (j) + 32 * (v0 + (v))))
#define FOUR(r, j) four_of(q##r + 32 * i + 4 * (j))

/* A step by itself. */
#define ROW_STEP(r, v) if (R > r) a##r##v = dot_step(lay, a##r##v, w, size, b##r);
#define VEC_STEP(j, v)                                                                \
    if (V > v) {                                                                      \
        const __m256i w = CODES(v, j), size = is_signed_code(lay) ? _mm256_abs_epi8(w) : w; \
        ROWS_##v(ROW_STEP)                                                            \
    }
#define STEP(j)                                                                       \
    {                                                                                 \
        const __m256i b0 = FOUR(0, j), b1 = FOUR(1, j), b2 = FOUR(2, j), b3 = FOUR(3, j); \
        VEC_STEP(j, 0) VEC_STEP(j, 1) VEC_STEP(j, 2) VEC_STEP(j, 3)                   \
    }

/* Two or four steps, added in 16 bits first. */
#define TWO(r, i0, x0, i1, x1) \
    _mm256_add_epi16(_mm256_maddubs_epi16(x0, FOUR(r, i0)), _mm256_maddubs_epi16(x1, FOUR(r, i1)))
#define ROW_STEPS(r, v)                                                               \
    if (R > r) {                                                                      \
        __m256i s = now(TWO(r, j0, w0, j1, w1));                                      \
        if (n == 4) s = now(_mm256_add_epi16(s, TWO(r, j2, w2, j3, w3)));             \
        a##r##v = now(_mm256_add_epi32(a##r##v, _mm256_madd_epi16(s, _mm256_set1_epi16(1)))); \
    }
#define VEC_STEPS(v)                                                                  \
    if (V > v) {                                                                      \
        const __m256i w0 = CODES(v, j0), w1 = CODES(v, j1);                           \
        const __m256i w2 = n == 4 ? CODES(v, j2) : w0, w3 = n == 4 ? CODES(v, j3) : w1; \
        ROWS_##v(ROW_STEPS)                                                           \
    }
#define STEPS(count, k0, k1, k2, k3)                                                  \
    {                                                                                 \
        enum { n = count, j0 = k0, j1 = k1, j2 = k2, j3 = k3 };                       \
        VEC_STEPS(0) VEC_STEPS(1) VEC_STEPS(2) VEC_STEPS(3)                           \
    }
/* Four steps; nibbles of one load follow each other. */
#define FOUR_STEPS(k0, k1, k2, k3)                                                    \
    switch (narrow_steps(lay)) {                                                      \
    case 4: STEPS(4, k0, k1, k2, k3) break;                                           \
    case 2: STEPS(2, k0, k1, 0, 0) STEPS(2, k2, k3, 0, 0) break;                      \
    default: STEP(k0) STEP(k1) STEP(k2) STEP(k3) break;                               \
    }

/* The end of a group: everything is loaded before a sum is stored, which might alias. */
#define SCALES(v)                                                                     \
    const __m256 dw##v = V <= v ? _mm256_setzero_ps() :                               \
        is_direct ? scale_of(lay, unit, in_unit + g, v0 + v) : _mm256_loadu_ps(dw + 8 * v); \
    const __m256 mw##v = V <= v || !has_min ? _mm256_setzero_ps() :                   \
        is_direct ? min_of(lay, unit, in_unit + g, v0 + v) : _mm256_loadu_ps(mw + 8 * v);
#define SCALES_OF_ROW(r)                                                              \
    const __m256 as##r = _mm256_set1_ps(ta[R > r ? r : 0]);                           \
    const __m256i t##r = _mm256_set1_epi32(tt[ROWS * g + (R > r ? r : 0)]);          \
    const __m256 x##r =                                                               \
        is_both ? _mm256_mul_ps(as##r, _mm256_cvtepi32_ps(t##r)) : _mm256_castsi256_ps(t##r);
#define F_END(r, v)                                                                   \
    if (R > r && V > v) {                                                             \
        __m256i dot = a##r##v;                                                        \
        if (narrow_steps(lay) == 8) dot = _mm256_madd_epi16(dot, _mm256_set1_epi16(1)); \
        if (has_offset) dot = _mm256_add_epi32(dot, t##r);                            \
        if (is_both) dot = _mm256_add_epi32(dot, _mm256_slli_epi32(t##r, 7));         \
        if (is_held) f##r##v = _mm256_load_ps(f + MT_PANEL * r + 8 * v);              \
        f##r##v = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(dw##v, as##r), f##r##v); \
        if (has_min) f##r##v = _mm256_fmadd_ps(mw##v, x##r, f##r##v); \
        if (is_held) _mm256_store_ps(f + MT_PANEL * r + 8 * v, f##r##v);              \
    }
#define END(group)                                                                    \
    {                                                                                 \
        const int g = group;                                                          \
        const float *dw = all_dw + 32 * (i * per + g), *mw = all_mw + 32 * (i * per + g); \
        SCALES(0) SCALES(1) SCALES(2) SCALES(3)                                       \
        SCALES_OF_ROW(0) SCALES_OF_ROW(1) SCALES_OF_ROW(2) SCALES_OF_ROW(3)           \
        EACH(F_END)                                                                   \
    }
#define F_STORE(r, v) \
    if (R > r && V > v) \
        finish_row(t, r, v0 + v, is_held ? _mm256_load_ps(f + MT_PANEL * r + 8 * v) : f##r##v);

/* Codes of eight bits with a min come out less 128: t holds the sums of q, which give both that part
 * and the factor of the min. */
MT_INLINE bool is_both_of(mt_layout lay) { return mt_has_min(lay) && is_signed_code(lay); }

/* lay, is_direct and R are constants.  Expanded panels have one unit of 32 k. */
MT_INLINE void run_tile(const mt_layout lay, const bool is_direct, const int R, const tile *t)
{
    const bool has_min = mt_has_min(lay), has_offset = !has_min && !is_signed_code(lay), is_both = is_both_of(lay);
    const __m256i book = book_of(lay, t->book);
    const mt_unit u = mt_unit_of(lay);
    const int V = R > 2 ? 2 : 4, v0 = V == 2 ? t->v0 : 0;
    /* Eight sums beside eight accumulators: gcc would leave the wrong ones in memory. */
    const bool is_held = R > 1;
    const int group = u.group, unit_bytes = is_direct ? u.bytes : 0;
    const int per = 32 / group, n_sub = is_direct ? u.k / 32 : 1, sub_bytes = mt_planes_of(lay).sub;
    const int8_t *q0 = t->q, *q1 = q0 + (R > 1 ? t->ldq : 0), *q2 = q1 + (R > 2 ? t->ldq : 0);
    const int8_t *q3 = q2 + (R > 3 ? t->ldq : 0);
    const uint8_t *const panel = is_direct ? t->panel : t->code;
    const float *const all_dw = t->dw + 8 * v0, *const all_mw = t->mw + 8 * v0;
    float *const f = t->f;
    const float *ta = t->as;
    const int32_t *tt = t->t;
    EACH(F_VARS)
    for (int64_t i = 0, n32 = t->n32; i < n32; i++, ta += ROWS, tt += ROWS * per) {
        const uint8_t *unit = panel + i / n_sub * unit_bytes;
        const uint8_t *sub = is_direct ? unit + i % n_sub * sub_bytes : panel + 1024 * i;
        const int in_unit = (int)(i % n_sub) * per;
        if (is_direct && t->asks) mt_ahead(unit + i % n_sub * (unit_bytes / n_sub), unit_bytes / n_sub);
        EACH(A_BEGIN)
        if (group == 32) {
            FOUR_STEPS(0, 4, 1, 5)
            FOUR_STEPS(2, 6, 3, 7)
            END(0)
            continue;
        }
        FOUR_STEPS(0, 1, 2, 3)
        END(0)
        EACH(A_AGAIN)
        FOUR_STEPS(4, 5, 6, 7)
        END(1)
    }
    EACH(F_STORE)
}

/* The activation coefficients of R rows from row0 on. */
static void coefficients(mt_layout lay, const mt_mm *m, int row0, int R, float *as, int32_t *t)
{
    const mt_layout_info *l = &mt_layouts[lay];
    const int per = 32 / l->group;
    const bool is_both = is_both_of(lay), has_min = mt_has_min(lay);
    for (int r = 0; r < R; r++) {
        const float *scale = m->a.scale + (size_t)(row0 + r) * m->a.ldg;
        const int32_t *isum = m->a.isum + 2 * (size_t)(row0 + r) * m->a.ldg;
        for (int64_t i = 0; i < m->k / 32; i++) {
            as[ROWS * i + r] = scale[i];
            for (int g = 0; g < per; g++) {
                const int32_t sum = per == 2 ? isum[2 * i + g] : isum[2 * i] + isum[2 * i + 1];
                const float f = scale[i] * (float)sum;
                int32_t *to = t + ROWS * (per * i + g) + r;
                if (is_both) *to = sum;
                else if (has_min) memcpy(to, &f, 4);
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
    const __m128i two_bits = _mm_cvtsi32_si128(byte + j % 4 * 2);
    const __m256i one_bit = _mm256_add_epi32(_mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28), _mm256_set1_epi32(byte / 8));
    for (int v = 0; v < 4; v++) {
        const int s = v / 2, half = 32 * (v % 2);
        __m256i x = _mm256_srl_epi32(load(sub + s * p.low * 64 + 64 * step + half), low);
        x = _mm256_and_si256(x, _mm256_set1_epi32((1 << p.low) - 1));
        if (p.high == 1) {
            const __m256i bits = _mm256_set1_epi32((int)mt_load32(sub + p.low * 128 + s * 64 + 8 * j + half / 8));
            const __m256i one = _mm256_and_si256(_mm256_srlv_epi32(bits, one_bit), _mm256_set1_epi32(1));
            x = _mm256_or_si256(x, _mm256_slli_epi32(one, p.low));
        }
        if (p.high == 2) {
            const __m256i two = _mm256_srl_epi32(load(sub + 512 + s * 128 + 64 * (j / 4) + half), two_bits);
            x = _mm256_or_si256(x, _mm256_slli_epi32(_mm256_and_si256(two, _mm256_set1_epi32(3)), 4));
        }
        if (mt_has_codebook(lay)) x = _mm256_srai_epi32(_mm256_slli_epi32(_mm256_shuffle_epi8(values_of(lay, book), x), 24), 24);
        else x = _mm256_sub_epi32(x, _mm256_set1_epi32(u.offset));
        __m256 f = _mm256_mul_ps(scale_of(lay, unit, g, v), _mm256_cvtepi32_ps(x));
        if (mt_has_min(lay)) f = _mm256_add_ps(f, min_of(lay, unit, g, v));
        _mm256_store_ps(to + 8 * v, f);
    }
}

static void columns(mt_layout lay, const uint8_t *panel, const mt_tops *tops)
{
    const int8_t *book = mt_layouts[lay].book;
#define EACH_COLUMN(lay) \
    for (int i = 0; i < tops->n_col; i++) column(lay, book, panel, tops->col[i], tops->w + MT_PANEL * i)
    MT_SWITCH_PART(lay, MT_PART, EACH_COLUMN)
}

/* ---- straight from the packed codes: mm1, mmn ---------------------------- */
/* A tile of R rows, or of the half of the panel that t->v0 tells. */
static void direct_rows(mt_layout lay, int R, const tile *t)
{
#define DIRECT(lay)                                                                   \
    switch (R) {                                                                      \
    case 1: run_tile(lay, true, 1, t); break;                                         \
    case 2: run_tile(lay, true, 2, t); break;                                         \
    case 4: run_tile(lay, true, 4, t); break;                                         \
    }
    MT_SWITCH_PART(lay, MT_PART, DIRECT)
}

/* All rows of a block with the panel at t->panel, first one half of it, which then stays in the
 * first cache, then the other. */
MT_INLINE void all_tiles(const mt_mm *m, const mt_tops *tops, int64_t panel, int first, int n, const float *as,
                         int64_t coef, void (*run)(mt_layout lay, int R, const tile *t), tile *t)
{
    for (t->v0 = 0; t->v0 < 4; t->v0 += 2)
        for (int row = 0, R; row < n; row += R) {
            R = n - row >= ROWS ? ROWS : MT_MIN(n - row, 2);        /* three are two and one */
            if (R <= 2 && t->v0) continue;              /* these took the whole panel */
            place(&t->to, m, panel, first + row);
            t->q = m->a.q + (size_t)(first + row) * m->a.ldq;
            t->col = tops->w;
            t->slot = tops->slot + MT_TOP * row;
            t->top_x = tops->x + MT_TOP * row;
            t->as = as + row / ROWS * coef + row % ROWS;
            t->t = (const int32_t *)(t->as + ROWS * t->n32);
            t->asks = row == 0 && t->v0 == 0;
            /* A store that waits for its line would hold up the tile's own. */
            for (int r = 0; r < R; r++) _mm_prefetch((const char *)(t->to.out + r * t->to.ldo + 8 * t->v0), _MM_HINT_T0);
            run(m->layout, R, t);
        }
}

/* The coefficients of a block's rows, tile by tile; returns dwords per tile. */
static int64_t all_coefficients(const mt_mm *m, int first, int n, float *as)
{
    const int64_t n32 = m->k / 32, coef = ROWS * n32 * (1 + 32 / mt_layouts[m->layout].group);
    for (int row = 0; row < n; row += ROWS) {
        float *to = as + row / ROWS * coef;
        coefficients(m->layout, m, first + row, MT_MIN(ROWS, n - row), to, (int32_t *)(to + ROWS * n32));
    }
    return coef;
}

/* Rows [first, first + n), at most BLOCK tiles: every panel meets all tiles while it is in the
 * first cache. */
static void direct_block(const mt_mm *m, int first, int n)
{
    const size_t panel_bytes = mt_panel_bytes(m->layout, m->k);
    float *as = (float *)(void *)((uint8_t *)m->scratch + mt_tops_bytes(m->k));
    MT_ALIGNED(32) float sums[ROWS * MT_PANEL];
    tile t = {.ldq = (int64_t)m->a.ldq, .n32 = m->k / 32, .f = sums, .book = mt_layouts[m->layout].book};
    mt_tops tops;
    mt_tops_list(&tops, m, first, n, m->scratch);
    const int64_t coef = all_coefficients(m, first, n, as);
    for (int64_t p = m->p0; p < m->p1; p++) {
        t.panel = m->w + (size_t)p * panel_bytes;
        if (p + 1 < m->p1) mt_tops_ask(&tops, m->layout, t.panel + panel_bytes);
        columns(m->layout, t.panel, &tops);
        all_tiles(m, &tops, p, first, n, as, coef, direct_rows, &t);
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
    const __m256i book = book_of(lay, codebook);
    for (int64_t i = 0; i < n32; i++, code += 1024) {
        const uint8_t *unit = panel + i / n_sub * u.bytes, *sub = unit + i % n_sub * sub_bytes;
#define PUT(j, v) \
    _mm256_storeu_si256((__m256i *)(void *)(code + 128 * (j) + 32 * v), \
                        step_codes(lay, book, sub, v, j));
#define PUT_ALL(v) \
    PUT(0, v) PUT(4, v) PUT(1, v) PUT(5, v) PUT(2, v) PUT(6, v) PUT(3, v) PUT(7, v)
        PUT_ALL(0) PUT_ALL(1) PUT_ALL(2) PUT_ALL(3)
        for (int g = 0; g < per; g++) {
            const int in_unit = (int)(i % n_sub) * per + g;
            for (int v = 0; v < 4; v++) {
                const int64_t to = 32 * (i * per + g) + 8 * v;
                _mm256_storeu_ps(dw + to, scale_of(lay, unit, in_unit, v));
                if (mt_has_min(lay)) _mm256_storeu_ps(mw + to, min_of(lay, unit, in_unit, v));
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

/* Expanded codes differ in group, in min or offset and in the size of the codes; layouts alike in
 * all of these share an instance. */
static void expanded_rows(mt_layout lay, int R, const tile *t)
{
#define EXPANDED(lay) run_tile(lay, false, ROWS, t); break
    if (R < ROWS) {                 /* the last rows of a block: not worth code of their own */
        direct_rows(lay, R, t);
        return;
    }
    switch (mt_like(lay)) {
#if MT_PART == 1
    case MT_LAY_W8: case MT_LAY_C4: case MT_LAY_C4B: EXPANDED(MT_LAY_W8);
    case MT_LAY_W4: EXPANDED(MT_LAY_W4);
    case MT_LAY_W4M: case MT_LAY_G4: EXPANDED(MT_LAY_W4M);
    case MT_LAY_W5: EXPANDED(MT_LAY_W5);
    case MT_LAY_W5M: EXPANDED(MT_LAY_W5M);
    case MT_LAY_M8: EXPANDED(MT_LAY_M8);
#else
    case MT_LAY_C4K: EXPANDED(MT_LAY_W8);
    case MT_LAY_T2: EXPANDED(MT_LAY_W4);
    case MT_LAY_K4: EXPANDED(MT_LAY_W4M);
    case MT_LAY_K5: EXPANDED(MT_LAY_W5M);
    case MT_LAY_K2: EXPANDED(MT_LAY_K2);
    case MT_LAY_K3: EXPANDED(MT_LAY_K3);
    case MT_LAY_K6: EXPANDED(MT_LAY_K6);
    case MT_LAY_C4H: case MT_LAY_X4: EXPANDED(MT_LAY_X4);
#endif
    default: break;
    }
#undef EXPANDED
}

/* Rows [first, first + n) of all panels; n at most BLOCK tiles.  Scratch: codes 32 k bytes, dw and
 * mw 128 k / group each, coefficients 16 k (1 / 32 + 1 / group) per tile: below 128 k in all. */
static void expanded_block(const mt_mm *m, int first, int n)
{
    const int64_t n32 = m->k / 32;
    const int per = 32 / mt_layouts[m->layout].group;
    const size_t panel_bytes = mt_panel_bytes(m->layout, m->k);
    uint8_t *code = (uint8_t *)m->scratch + mt_tops_bytes(m->k);
    float *dw = (float *)(void *)(code + 1024 * n32), *mw = dw + 32 * per * n32, *as = mw + 32 * per * n32;
    mt_tops tops;
    mt_tops_list(&tops, m, first, n, m->scratch);
    MT_ALIGNED(32) float sums[ROWS * MT_PANEL];
    tile t = {.code = code, .dw = dw, .mw = mw, .ldq = (int64_t)m->a.ldq, .n32 = n32, .f = sums,
              .book = mt_layouts[m->layout].book};
    const int64_t coef = all_coefficients(m, first, n, as);
    for (int64_t p = m->p0; p < m->p1; p++) {
        t.panel = m->w + (size_t)p * panel_bytes;
        expand_any(m->layout, t.panel, n32, code, dw, mw);
        columns(m->layout, t.panel, &tops);
        all_tiles(m, &tops, p, first, n, as, coef, expanded_rows, &t);
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
        t->mm1[i] = t->mmn[i] = mm_direct;
        t->mmp[i] = mm_expanded;
    }
}

#endif

/* SPDX-License-Identifier: MIT */
/* mm_avx2.c - products of packed integer weights with int8 activations, AVX2 without VNNI.
 *
 * A tile is 32 weight rows (four vectors of 8 lanes) x R activation rows, one or two, k running
 * inside; a lane is an output.  vpmaddubsw multiplies unsigned by signed bytes and adds pairs in
 * 16 bits, so a pair must stay below 32768.  Three ways, by the size of the codes:
 *
 *   narrow  codes to 15: up to 8 steps added in 16 bits, widened once  (8 * 2 * 15 * 127 = 30480)
 *   wide    codes to 63: widened every step                            (2 * 63 * 127 = 16002)
 *   signed  w8, codebooks: |value| times the activation with its sign  (2 * 128 * 127 = 32512)
 *
 * No way saturates, so the integer sums are those of every other level.  mm1 and mmn unpack
 * codes in registers (direct); mmp does for plain nibbles, and expands a panel to
 * [k/4][32 rows][4] bytes in scratch first for the others. */
#include "kernel/inits.h"
#include "kernel/tops.h"
#include "kernel/x86/ahead.h"
#include "kernel/x86/unpack_avx2.h"

enum {
    ROWS = 2,               /* most activation rows in a tile */
    BLOCK = MT_TOP_ROWS / ROWS      /* tiles that share one expansion of a panel */
};

typedef struct tile {
    const uint8_t *panel;       /* direct: packed; else expanded codes */
    const float *dw, *mw;       /* expanded scales, [group][32] */
    const float *as;            /* activation scales [k/32][2 rows] */
    const int32_t *t; /* [k/group][2 rows]: float as * isum with a min, else -offset * isum */
    const int8_t *q;            /* first activation row */
    int64_t ldq, n32;           /* n32 = k / 32 */
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

MT_INLINE bool is_narrow(mt_layout lay)
{
    const mt_planes p = mt_planes_of(lay);
    return !is_signed_code(lay) && p.low + p.high <= 4;
}

/* One step of one vector: a in 16 bits where narrow, else in 32. */
MT_INLINE __m256i dot_step(const mt_layout lay, __m256i a, __m256i w, __m256i size, __m256i b)
{
    const __m256i ones = _mm256_set1_epi16(1);
    if (is_narrow(lay)) return _mm256_add_epi16(a, _mm256_maddubs_epi16(w, b));
    const __m256i p = is_signed_code(lay) ? _mm256_maddubs_epi16(size, _mm256_sign_epi8(b, w))
                                          : _mm256_maddubs_epi16(w, b);
    return _mm256_add_epi32(a, _mm256_madd_epi16(p, ones));
}

/* Four activation bytes to all lanes. */
MT_INLINE __m256i four_of(const int8_t *q)
{
    return _mm256_set1_epi32((int)mt_load32((const uint8_t *)q));
}

#define EACH(X) X(0, 0) X(0, 1) X(0, 2) X(0, 3) X(1, 0) X(1, 1) X(1, 2) X(1, 3)
#define F_VARS(r, v) __m256 f##r##v = _mm256_setzero_ps();
#define A_BEGIN(r, v) __m256i a##r##v = _mm256_setzero_si256();
#define VEC_STEP(j, v)                                                                \
    {                                                                                 \
        const __m256i w =                                                             \
            is_direct ? step_codes(lay, sub, v, j) : load(sub + 128 * (j) + 32 * v);  \
        const __m256i size = is_signed_code(lay) ? _mm256_abs_epi8(w) : w;            \
        a0##v = dot_step(lay, a0##v, w, size, b0);                                    \
        if (R > 1) a1##v = dot_step(lay, a1##v, w, size, b1);                         \
    }
#define STEP(j)                                                                       \
    {                                                                                 \
        const __m256i b0 = four_of(q0 + 32 * i + 4 * (j));                            \
        const __m256i b1 = four_of(q1 + 32 * i + 4 * (j));                            \
        VEC_STEP(j, 0) VEC_STEP(j, 1) VEC_STEP(j, 2) VEC_STEP(j, 3)                   \
    }
#define F_END(r, v)                                                                   \
    if (R > r) {                                                                      \
        const int64_t at = 32 * (i * per + g) + 8 * v;                                \
        const __m256 dw =                                                             \
            is_direct ? scale_of(lay, unit, in_unit + g, v) : _mm256_loadu_ps(t->dw + at); \
        const __m256 coef = _mm256_mul_ps(dw, _mm256_set1_ps(ta[r]));                 \
        __m256i dot = a##r##v;                                                        \
        if (is_narrow(lay)) dot = _mm256_madd_epi16(dot, _mm256_set1_epi16(1));       \
        if (has_offset) dot = _mm256_add_epi32(dot, _mm256_set1_epi32(tt[2 * g + r])); \
        f##r##v = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), coef, f##r##v);            \
        if (has_min) {                                                                \
            const __m256 mw =                                                         \
                is_direct ? min_of(lay, unit, in_unit + g, v) : _mm256_loadu_ps(t->mw + at); \
            const __m256 x = _mm256_castsi256_ps(_mm256_set1_epi32(tt[2 * g + r]));   \
            f##r##v = _mm256_fmadd_ps(mw, x, f##r##v);                                \
        }                                                                             \
    }
#define F_STORE(r, v) if (R > r) finish_row(t, r, v, f##r##v);

/* lay, is_direct and R are constants.  Expanded panels have one unit of 32 k. */
MT_INLINE void run_tile(const mt_layout lay, const bool is_direct, const int R, const tile *t)
{
    const bool has_min = mt_has_min(lay), has_offset = !has_min && !is_signed_code(lay);
    const mt_unit u = mt_unit_of(lay);
    const int group = u.group, unit_bytes = is_direct ? u.bytes : 0;
    const int per = 32 / group, n_sub = is_direct ? u.k / 32 : 1, sub_bytes = mt_planes_of(lay).sub;
    const int8_t *q0 = t->q, *q1 = t->q + (R > 1 ? t->ldq : 0);
    EACH(F_VARS)
    for (int64_t i = 0; i < t->n32; i++) {
        const uint8_t *unit = t->panel + i / n_sub * unit_bytes;
        const uint8_t *sub = is_direct ? unit + i % n_sub * sub_bytes : t->panel + 1024 * i;
        const int in_unit = (int)(i % n_sub) * per;
        const float *ta = t->as + 2 * i;
        const int32_t *tt = t->t + 2 * per * i;
        if (is_direct) mt_ahead(unit + i % n_sub * (unit_bytes / n_sub), unit_bytes / n_sub);
        if (group == 32) {
            const int g = 0;
            EACH(A_BEGIN)
            STEP(0) STEP(4) STEP(1) STEP(5) STEP(2) STEP(6) STEP(3) STEP(7)
            EACH(F_END)
            continue;
        }
        {
            const int g = 0;
            EACH(A_BEGIN)
            STEP(0) STEP(1) STEP(2) STEP(3)
            EACH(F_END)
        }
        {
            const int g = 1;
            EACH(A_BEGIN)
            STEP(4) STEP(5) STEP(6) STEP(7)
            EACH(F_END)
        }
    }
    EACH(F_STORE)
}

/* The activation coefficients of R rows from row0 on. */
static void coefficients(mt_layout lay, const mt_mm *m, int row0, int R, float *as, int32_t *t)
{
    const mt_layout_info *l = &mt_layouts[lay];
    const int per = 32 / l->group;
    for (int r = 0; r < R; r++) {
        const float *scale = m->a.scale + (size_t)(row0 + r) * m->a.ldg;
        const int32_t *isum = m->a.isum + 2 * (size_t)(row0 + r) * m->a.ldg;
        for (int64_t i = 0; i < m->k / 32; i++) {
            as[2 * i + r] = scale[i];
            for (int g = 0; g < per; g++) {
                const int32_t sum = per == 2 ? isum[2 * i + g] : isum[2 * i] + isum[2 * i + 1];
                const float f = scale[i] * (float)sum;
                int32_t *to = t + 2 * (per * i + g) + r;
                if (mt_has_min(lay)) memcpy(to, &f, 4);
                else *to = -l->offset * sum;
            }
        }
    }
}

/* ---- the columns kept out of int8 ----------------------------------------- */
/* One k of a panel: 32 decoded weights. */
MT_INLINE void column(const mt_layout lay, const uint8_t *panel, int64_t k, float *to)
{
    const mt_unit u = mt_unit_of(lay);
    const int n_sub = u.k / 32, per = 32 / u.group, i = (int)(k / 32 % n_sub), j = (int)(k % 32 / 4);
    const int g = i * per + (per == 2 && j >= 4);
    const uint8_t *unit = panel + k / u.k * u.bytes, *sub = unit + i * mt_planes_of(lay).sub;
    const __m128i up = _mm_cvtsi32_si128(24 - 8 * (int)(k % 4));
    for (int v = 0; v < 4; v++) {
        __m256i codes = _mm256_setzero_si256();
        switch (j) {
        case 0: codes = step_codes(lay, sub, v, 0); break;
        case 1: codes = step_codes(lay, sub, v, 1); break;
        case 2: codes = step_codes(lay, sub, v, 2); break;
        case 3: codes = step_codes(lay, sub, v, 3); break;
        case 4: codes = step_codes(lay, sub, v, 4); break;
        case 5: codes = step_codes(lay, sub, v, 5); break;
        case 6: codes = step_codes(lay, sub, v, 6); break;
        case 7: codes = step_codes(lay, sub, v, 7); break;
        }
        codes = _mm256_sll_epi32(codes, up);
        codes = is_signed_code(lay) ? _mm256_srai_epi32(codes, 24) :
                                      _mm256_sub_epi32(_mm256_srli_epi32(codes, 24), _mm256_set1_epi32(u.offset));
        __m256 f = _mm256_mul_ps(scale_of(lay, unit, g, v), _mm256_cvtepi32_ps(codes));
        if (mt_has_min(lay)) f = _mm256_add_ps(f, min_of(lay, unit, g, v));
        _mm256_store_ps(to + 8 * v, f);
    }
}

static void columns(mt_layout lay, const uint8_t *panel, const mt_tops *tops)
{
#define EACH_COLUMN(lay) \
    for (int i = 0; i < tops->n_col; i++) column(lay, panel, tops->col[i], tops->w + MT_PANEL * i)
    MT_SWITCH_QUANT(lay, EACH_COLUMN)
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
#define DIRECT(lay)                                                                   \
    if (R == 1) run_tile(lay, true, 1, t);                                            \
    else run_tile(lay, true, 2, t)
    MT_SWITCH_QUANT(lay, DIRECT)
}

/* Rows [first, first + n), at most BLOCK tiles: every panel meets all tiles while it is in the
 * first cache. */
static void direct_block(const mt_mm *m, int first, int n)
{
    const size_t panel_bytes = mt_panel_bytes(m->layout, m->k);
    const int64_t n32 = m->k / 32;
    const int per = 32 / mt_layouts[m->layout].group;
    const int64_t coef = 2 * n32 * (1 + per);           /* dwords of a tile's coefficients */
    float *as = (float *)(void *)((uint8_t *)m->scratch + mt_tops_bytes(m->k));
    tile t = {.ldq = (int64_t)m->a.ldq, .n32 = n32};
    mt_tops tops;
    mt_tops_list(&tops, m, first, n, m->scratch);
    for (int row = 0; row < n; row += ROWS) {
        float *to = as + row / ROWS * coef;
        coefficients(m->layout, m, first + row, MT_MIN(ROWS, n - row), to,
                     (int32_t *)(to + 2 * n32));
    }
    for (int64_t p = m->p0; p < m->p1; p++) {
        t.panel = m->w + (size_t)p * panel_bytes;
        columns(m->layout, t.panel, &tops);
        for (int row = 0; row < n; row += ROWS) {
            aim(&t, m, &tops, p, first, row);
            t.as = as + row / ROWS * coef;
            t.t = (const int32_t *)(t.as + 2 * n32);
            direct_rows(m->layout, MT_MIN(ROWS, n - row), &t);
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
MT_INLINE void expand(const mt_layout lay, const uint8_t *panel, int64_t n32, uint8_t *code,
                      float *dw, float *mw)
{
    const mt_unit u = mt_unit_of(lay);
    const int per = 32 / u.group, n_sub = u.k / 32, sub_bytes = mt_planes_of(lay).sub;
    for (int64_t i = 0; i < n32; i++, code += 1024) {
        const uint8_t *unit = panel + i / n_sub * u.bytes, *sub = unit + i % n_sub * sub_bytes;
#define PUT(j, v) \
    _mm256_storeu_si256((__m256i *)(void *)(code + 128 * (j) + 32 * v), \
                        step_codes(lay, sub, v, j));
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
#define EXPAND(lay) expand(lay, panel, n32, code, dw, mw)
    MT_SWITCH_QUANT(lay, EXPAND)
}

/* Expanded codes differ in group, in min or offset and in the size of the codes; layouts alike in
 * all of these share an instance. */
static void expanded_rows(mt_layout lay, int R, const tile *t)
{
#define EXPANDED(lay)                                                                 \
    if (R == 1) run_tile(lay, false, 1, t);                                           \
    else run_tile(lay, false, 2, t);                                                  \
    break
    switch (lay) {
    case MT_LAY_W8: case MT_LAY_C4: case MT_LAY_C4K: EXPANDED(MT_LAY_W8);
    case MT_LAY_W4: EXPANDED(MT_LAY_W4);
    case MT_LAY_W4M: case MT_LAY_K4: EXPANDED(MT_LAY_W4M);
    case MT_LAY_W5: EXPANDED(MT_LAY_W5);
    case MT_LAY_W5M: case MT_LAY_K5: EXPANDED(MT_LAY_W5M);
    case MT_LAY_K2: EXPANDED(MT_LAY_K2);
    case MT_LAY_K3: EXPANDED(MT_LAY_K3);
    case MT_LAY_K6: EXPANDED(MT_LAY_K6);
    case MT_LAY_F32: case MT_LAY_F16: case MT_LAY_BF16: case MT_LAY_COUNT: break;
    }
#undef EXPANDED
}

/* Rows [first, first + n) of all panels; n at most BLOCK tiles.  Scratch: codes 32 k bytes, dw and
 * mw 128 k / group each, coefficients 8 k (1 / 32 + 1 / group) per tile: below 128 k in all. */
static void expanded_block(const mt_mm *m, int first, int n)
{
    const int64_t n32 = m->k / 32;
    const int per = 32 / mt_layouts[m->layout].group;
    const int64_t coef = 2 * n32 * (1 + per);
    const size_t panel_bytes = mt_panel_bytes(m->layout, m->k);
    uint8_t *code = (uint8_t *)m->scratch + mt_tops_bytes(m->k);
    float *dw = (float *)(void *)(code + 1024 * n32), *mw = dw + 32 * per * n32,
          *as = mw + 32 * per * n32;
    mt_tops tops;
    mt_tops_list(&tops, m, first, n, m->scratch);
    tile t = {.panel = code, .dw = dw, .mw = mw, .ldq = (int64_t)m->a.ldq, .n32 = n32};
    for (int row = 0; row < n; row += ROWS) {
        float *to = as + row / ROWS * coef;
        coefficients(m->layout, m, first + row, MT_MIN(ROWS, n - row), to,
                     (int32_t *)(to + 2 * n32));
    }
    for (int64_t p = m->p0; p < m->p1; p++) {
        const uint8_t *panel = m->w + (size_t)p * panel_bytes;
        expand_any(m->layout, panel, n32, code, dw, mw);
        columns(m->layout, panel, &tops);
        for (int row = 0; row < n; row += ROWS) {
            aim(&t, m, &tops, p, first, row);
            t.as = as + row / ROWS * coef;
            t.t = (const int32_t *)(t.as + 2 * n32);
            expanded_rows(m->layout, MT_MIN(ROWS, n - row), &t);
        }
    }
}

static void mm_expanded(const mt_mm *m)
{
    for (int row = 0; row < m->n_row; row += BLOCK * ROWS) {
        expanded_block(m, row, MT_MIN(BLOCK * ROWS, m->n_row - row));
    }
}

void mt_kern_init_mm_avx2(mt_kern *t)
{
    for (int i = 0; i < MT_LAY_COUNT; i++) {
        if (!mt_layouts[i].is_quant) continue;
        t->mm1[i] = t->mmn[i] = mm_direct;
        t->mmp[i] = i == MT_LAY_W4 || i == MT_LAY_W4M ? mm_direct : mm_expanded;
    }
}

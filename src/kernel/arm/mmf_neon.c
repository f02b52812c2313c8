/* SPDX-License-Identifier: MIT */
/* mmf_neon.c - products with f32 activations, NEON: float weights, and any weights exactly.
 *
 * A quantised panel is decoded to f32 [k][32 rows], exactly as the file defines its values, then
 * tiles of 32 rows (eight vectors) x up to three activation rows run over it.  Float weights lie
 * in that order already and are converted on load. */
#include "kernel/inits.h"
#include "kernel/arm/unpack_neon.h"

enum { ROWS = 3 };

/* ---- the tile ------------------------------------------------------------ */
typedef struct tile {
    const uint8_t *w;           /* [k][32] of the type */
    const float *x;             /* first activation row */
    int64_t k, ldx;
    dest to;
} tile;

/* Rows 4 v .. 4 v + 3. */
MT_INLINE vec read_w(const mt_layout lay, const uint8_t *p, int v)
{
    if (lay == MT_LAY_F32) return vld1q_f32((const float *)(const void *)p + 4 * v);
    if (lay == MT_LAY_F16) return halfs(p, v);
    const uint16x8_t h = vld1q_u16((const uint16_t *)(const void *)p + 8 * (v / 2));
    return vreinterpretq_f32_u32(v % 2 ? vshll_high_n_u16(h, 16) : vshll_n_u16(vget_low_u16(h), 16));
}

#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)
#define F_VARS(v) vec f0##v = all(0), f1##v = all(0), f2##v = all(0);
#define VEC_STEP(v)                                                              \
    {                                                                            \
        const vec y = read_w(lay, w, v);                                         \
        f0##v = vfmaq_n_f32(f0##v, y, x0[k]);                                    \
        if (R > 1) f1##v = vfmaq_n_f32(f1##v, y, x1[k]);                         \
        if (R > 2) f2##v = vfmaq_n_f32(f2##v, y, x2[k]);                         \
    }
#define F_STORE(v)                                                               \
    put_held(&t->to, 0, 4 * v, with_held(&t->to, 0, 4 * v, f0##v));              \
    if (R > 1) put_held(&t->to, 1, 4 * v, with_held(&t->to, 1, 4 * v, f1##v));   \
    if (R > 2) put_held(&t->to, 2, 4 * v, with_held(&t->to, 2, 4 * v, f2##v));

MT_INLINE void run_tile(const mt_layout lay, const int R, const tile *t)
{
    const int bytes = lay == MT_LAY_F32 ? 4 : 2;
    const float *x0 = t->x, *x1 = t->x + (R > 1 ? t->ldx : 0),
                *x2 = t->x + (R > 2 ? 2 * t->ldx : 0);
    EACH(F_VARS)
    for (int64_t k = 0; k < t->k; k++) {
        const uint8_t *w = t->w + k * MT_PANEL * bytes;
        EACH(VEC_STEP)
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
/* Four k of 4 rows: dword lanes of codes to [k][32] floats, by the operations of the format. */
MT_INLINE void decode_step(const mt_layout lay, int8x16_t codes, vec dw, vec mw, float *to)
{
    const int32x4_t x = vreinterpretq_s32_s8(codes);
    for (int b = 0; b < 4; b++) {
        const int32x4_t c = (b < 3 ? vshlq_s32(x, vdupq_n_s32(24 - 8 * b)) : x) >> 24;
        vec v = dw * vcvtq_f32_s32(c - offset_of(lay));
        if (mt_has_min(lay)) v = v + mw;
        vst1q_f32(to + MT_PANEL * b, v);
    }
}

MT_INLINE void decode(const mt_layout lay, const int8_t *codebook, const uint8_t *panel, int64_t n32, float *to)
{
    const mt_unit u = mt_unit_of(lay);
    const int per = 32 / u.group, n_sub = u.k / 32, sub_bytes = mt_planes_of(lay).sub;
    const int8x16_t book = book_of(lay, codebook);
    for (int64_t i = 0; i < n32; i++, to += 32 * MT_PANEL) {
        const uint8_t *unit = panel + i / n_sub * u.bytes, *sub = unit + i % n_sub * sub_bytes;
        const int g = (int)(i % n_sub) * per;
        const planes at = planes_at(lay, sub, 0);
        const scales x = scales_at(lay, unit, 0, g), y = scales_at(lay, unit, 0, g + per - 1);
#define STEP(j, v, d, m) \
    decode_step(lay, step_codes(lay, book, at, v, j), d, m, to + 4 * MT_PANEL * j + 4 * v);
#define VECTOR(v)                                                                \
    {                                                                            \
        const vec d0 = scale_of(lay, x, v), d1 = scale_of(lay, y, v);               \
        const vec m0 = mt_has_min(lay) ? min_of(lay, x, v) : d0;        \
        const vec m1 = mt_has_min(lay) ? min_of(lay, y, v) : d1;        \
        STEP(0, v, d0, m0) STEP(1, v, d0, m0) STEP(2, v, d0, m0) STEP(3, v, d0, m0) \
        STEP(4, v, d1, m1) STEP(5, v, d1, m1) STEP(6, v, d1, m1) STEP(7, v, d1, m1) \
    }
        EACH(VECTOR)
    }
}

static void decode_any(mt_layout lay, const uint8_t *panel, int64_t n32, float *to)
{
    const int8_t *book = mt_layouts[lay].book;
#define DECODE_AS(lay) decode(lay, book, panel, n32, to)
    MT_SWITCH_QUANT(lay, DECODE_AS)
}

/* Eight e4m3 as f16, where they are 256 times too small: halves of four rows to f32. */
static void decode_f8(const uint8_t *panel, int64_t n32, float *to)
{
    const mt_layout_info *l = &mt_layouts[MT_LAY_F8];
    for (int64_t i = 0; i < n32; i++, panel += l->unit_bytes, to += 32 * MT_PANEL) {
        const uint8_t *d = panel + mt_scales_of(MT_LAY_F8).d;
        for (int k = 0; k < 32; k++) {
            for (int v = 0; v < 8; v += 2) {
                const uint16x8_t x = vmovl_u8(vld1_u8(panel + MT_PANEL * k + 4 * v)), low = x & 0x7f;
                const uint16x8_t nan = (low == 0x7f) & 0x7c00;
                const float16x8_t h = vreinterpretq_f16_u16((x & 0x80) << 8 | low << 7 | nan);
                float *y = to + MT_PANEL * k + 4 * v;
                vst1q_f32(y, floats(d, v) * (vcvt_f32_f16(vget_low_f16(h)) * all(256)));
                vst1q_f32(y + 4, floats(d, v + 1) * (vcvt_high_f32_f16(h) * all(256)));
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

void mt_kern_init_mmf_neon(mt_kern *t)
{
    for (int i = 0; i < MT_LAY_COUNT; i++) {
        t->mmf[i] = mmf;
        if (!mt_layouts[i].is_quant) t->mm1[i] = t->mmn[i] = t->mmp[i] = mmf;
    }
}

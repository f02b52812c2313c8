/* SPDX-License-Identifier: MIT */
/* ref_mm.c - the reference products: every layout, every batch class, one definition.
 *
 * For a panel and up to eight rows of activations, groups of k ascend; the panel's 32 x 32 codes
 * are spelled out once per sub-unit.  Slow and plain on purpose: other levels must give exactly
 * these bits. */
#include <math.h>

#include "kernel/codes.h"
#include "kernel/inits.h"

enum { TILE = 8 };

/* The end of every product: bias, what out already held, then T (NULL: none). */
static void store(const mt_mm *m, int64_t panel, int row, const float F[MT_PANEL], const float *T)
{
    float *out = m->out + (size_t)row * m->ldo;
    for (int r = 0; r < MT_PANEL; r++) {
        const int64_t o = panel * MT_PANEL + r;
        if (o >= m->n_out) return;
        const float v = m->bias ? F[r] + m->bias[o] : F[r];
        out[o] = m->add ? out[o] + v : v;
        if (T) out[o] += T[r];
    }
}

/* ---- quantised ----------------------------------------------------------- */
typedef struct spelled {            /* one sub-unit of a panel */
    uint8_t code[MT_PANEL][32];     /* codebook indices as value + 128 */
    float dw[2][MT_PANEL], mw[2][MT_PANEL];
} spelled;

MT_INLINE void spell(mt_layout lay, const mt_layout_info *l, const uint8_t *unit, int sub,
                     spelled *x)
{
    const int per = 32 / l->group;
    for (int r = 0; r < MT_PANEL; r++) {
        uint32_t c[8];
        mt_codes_get(lay, unit + sub * mt_planes_of(lay).sub, r, c);
        memcpy(x->code[r], c, 32);
        if (mt_has_codebook(lay)) {
            for (int i = 0; i < 32; i++) x->code[r][i] = (uint8_t)(l->book[x->code[r][i]] + 128);
        }
        for (int g = 0; g < per; g++) {
            mt_scale_get(lay, unit, sub * per + g, r, &x->dw[g][r], &x->mw[g][r]);
        }
    }
}

static void spell_any(mt_layout lay, const mt_layout_info *l, const uint8_t *unit, int sub,
                      spelled *x)
{
#define SPELL(lay) spell(lay, l, unit, sub, x)
    MT_SWITCH_QUANT(lay, SPELL)
}

/* One activation row against one spelled sub-unit. */
static void add_sub(const mt_layout_info *l, bool has_min, const spelled *x, const int8_t *q,
                    float as, const int32_t isum[2], float F[MT_PANEL])
{
    const int per = 32 / l->group;
    for (int g = 0; g < per; g++) {
        const int32_t sum = per == 2 ? isum[g] : isum[0] + isum[1];
        const float t = as * (float)sum;
        for (int r = 0; r < MT_PANEL; r++) {
            int32_t dot = 0;
            for (int i = g * l->group; i < (g + 1) * l->group; i++) dot += x->code[r][i] * q[i];
            F[r] = fmaf((float)(dot - l->offset * sum), x->dw[g][r] * as, F[r]);
            if (has_min) F[r] = fmaf(x->mw[g][r], t, F[r]);
        }
    }
}

/* T of one row: decoded weights times the values that stayed out of int8. */
static void add_top(const mt_mm *m, const uint8_t *panel, int row, float T[MT_PANEL])
{
    const mt_layout_info *l = &mt_layouts[m->layout];
    const int n_sub = l->unit_k / 32, per = 32 / l->group;
    for (int t = MT_TOP * row; t < MT_TOP * (row + 1) && m->a.top[t] >= 0; t++) {
        const int64_t k = m->a.top[t], sub = k / 32;
        const int g = per == 2 && k % 32 >= 16;
        spelled x;
        spell_any(m->layout, l, panel + sub / n_sub * l->unit_bytes, (int)(sub % n_sub), &x);
        for (int r = 0; r < MT_PANEL; r++) {
            float w = x.dw[g][r] * (float)(x.code[r][k % 32] - l->offset);
            if (mt_has_min(m->layout)) w += x.mw[g][r];
            T[r] = fmaf(w, m->a.top_x[t], T[r]);
        }
    }
}

static void mm_quant(const mt_mm *m)
{
    const mt_layout_info *l = &mt_layouts[m->layout];
    const size_t panel_bytes = mt_panel_bytes(m->layout, m->k);
    const bool has_min = mt_has_min(m->layout);
    const int n_sub = l->unit_k / 32;
    for (int64_t p = m->p0; p < m->p1; p++) {
        const uint8_t *panel = m->w + (size_t)p * panel_bytes;
        for (int i0 = 0; i0 < m->n_row; i0 += TILE) {
            const int n = MT_MIN(TILE, m->n_row - i0);
            float F[TILE][MT_PANEL] = {{0}};
            for (int64_t g = 0; g < m->k / 32; g++) {
                spelled x;
                spell_any(m->layout, l, panel + g / n_sub * l->unit_bytes, (int)(g % n_sub), &x);
                for (int i = 0; i < n; i++) {
                    const size_t row = (size_t)(i0 + i), at = row * m->a.ldg + (size_t)g;
                    add_sub(l, has_min, &x, m->a.q + row * m->a.ldq + 32 * g, m->a.scale[at],
                            m->a.isum + 2 * at, F[i]);
                }
            }
            for (int i = 0; i < n; i++) {
                float T[MT_PANEL] = {0};
                add_top(m, panel, i0 + i, T);
                store(m, p, i0 + i, F[i], T);
            }
        }
    }
}

/* ---- float --------------------------------------------------------------- */
/* The panel is decoded row by row into scratch, [32][k]. */
static void mm_float(const mt_mm *m)
{
    const size_t panel_bytes = mt_panel_bytes(m->layout, m->k);
    float *w = m->scratch;
    for (int64_t p = m->p0; p < m->p1; p++) {
        for (int r = 0; r < MT_PANEL; r++) {
            mt_unpack_row(m->layout, m->w + (size_t)p * panel_bytes, r, m->k, w + r * m->k);
        }
        for (int i = 0; i < m->n_row; i++) {
            const float *x = m->a.x + (size_t)i * m->a.ldx;
            float F[MT_PANEL] = {0};
            for (int r = 0; r < MT_PANEL; r++) {
                for (int64_t k = 0; k < m->k; k++) F[r] = fmaf(w[r * m->k + k], x[k], F[r]);
            }
            store(m, p, i, F, NULL);
        }
    }
}

void mt_kern_init_mm_ref(mt_kern *t)
{
    for (int i = 0; i < MT_LAY_COUNT; i++) {
        const bool is_quant = mt_layouts[i].is_quant;
        t->mm1[i] = t->mmn[i] = t->mmp[i] = is_quant ? mm_quant : mm_float;
        t->mmf[i] = mm_float;
    }
}

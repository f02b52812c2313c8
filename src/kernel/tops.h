/* SPDX-License-Identifier: MIT */
/* tops.h - the values that stay out of int8: choosing them, and their share of a product.
 *
 * Rows of a prompt mostly share their largest channels.  So a block of rows first lists the distinct
 * places; each panel then decodes these columns once, and the end of every tile adds its rows'
 * four products from that table. */
#ifndef MT_KERNEL_TOPS_H
#define MT_KERNEL_TOPS_H

#include <string.h>

#include "kernel/codes.h"

/* ---- choosing -------------------------------------------------------------------------------- */
/* The groups with the largest amax, which lie in scale as the bits of positive floats; at most
 * MT_TOP of n, ascending; the lower index among equals.  Returns how many. */
MT_INLINE int mt_top_groups(const float *scale, int n, int group[MT_TOP])
{
    int32_t amax[MT_TOP + 1];
    int n_top = 0;
    for (int g = 0; g < n; g++) {                /* kept by falling amax */
        int32_t bits;
        memcpy(&bits, scale + g, 4);
        if (n_top == MT_TOP && bits <= amax[MT_TOP - 1]) continue;
        int at = MT_MIN(n_top, MT_TOP - 1);
        for (; at > 0 && bits > amax[at - 1]; at--) amax[at] = amax[at - 1], group[at] = group[at - 1];
        amax[at] = bits, group[at] = g;
        n_top = MT_MIN(n_top + 1, MT_TOP);
    }
    for (int i = 1; i < n_top; i++) {            /* now ascending */
        const int g = group[i];
        int at = i;
        for (; at > 0 && group[at - 1] > g; at--) group[at] = group[at - 1];
        group[at] = g;
    }
    return n_top;
}

/* Makes the first largest value of group g of x the row's top t; the amax of the rest takes the
 * group's place in to->scale. */
MT_INLINE void mt_top_take(const float *x, int g, int t, const mt_q8 *to)
{
    int32_t amax, bits[MT_GROUP], rest = 0;
    int place = 0;
    memcpy(bits, x + MT_GROUP * g, sizeof bits);
    memcpy(&amax, to->scale + g, 4);
    for (int i = 0; i < MT_GROUP; i++) bits[i] &= 0x7fffffff;
    while (bits[place] != amax) place++;
    bits[place] = 0;
    for (int i = 0; i < MT_GROUP; i++) rest = MT_MAX(rest, bits[i]);
    memcpy(to->scale + g, &rest, 4);
    to->top[t] = MT_GROUP * g + place;
    to->top_x[t] = x[MT_GROUP * g + place];
}

/* Once the row is rounded: the n_top values leave it, and the list is filled up. */
MT_INLINE void mt_top_end(const mt_q8 *to, int n_top)
{
    for (int t = 0; t < n_top; t++) {
        const int32_t k = to->top[t];
        to->isum[k / 16] -= to->q[k];
        to->q[k] = 0;
    }
    for (int t = n_top; t < MT_TOP; t++) to->top[t] = -1, to->top_x[t] = 0;
}

/* ---- multiplying ----------------------------------------------------------------------------- */
enum { MT_TOP_ROWS = 144, MT_TOP_NONE = 0xffff };

typedef struct mt_tops {
    float    *w;                /* (n_col, 32): columns of the panel at hand, 64-byte aligned */
    int32_t  *col;              /* (n_col): their places k */
    uint16_t *slot;             /* (rows, MT_TOP): which column, or MT_TOP_NONE */
    const float *x;             /* (rows, MT_TOP) */
    int n_col;
} mt_tops;

/* Scratch of mt_tops_list for rows of k values. */
MT_INLINE size_t mt_tops_bytes(int64_t k)
{
    const size_t n = MT_TOP_ROWS * MT_TOP;
    return n * (MT_PANEL * sizeof(float) + sizeof(int32_t) + sizeof(uint16_t)) +
           mt_pad((size_t)k * sizeof(uint16_t), MT_ALIGN);
}

/* Lists the columns that rows [row, row + n) of m need; n at most MT_TOP_ROWS. */
MT_INLINE void mt_tops_list(mt_tops *t, const mt_mm *m, int row, int n, void *scratch)
{
    const int32_t *top = m->a.top + MT_TOP * (size_t)row;
    t->w = scratch;
    t->col = (int32_t *)(t->w + MT_TOP_ROWS * MT_TOP * MT_PANEL);
    t->slot = (uint16_t *)(t->col + MT_TOP_ROWS * MT_TOP);
    t->x = m->a.top_x + MT_TOP * (size_t)row;
    t->n_col = 0;
    uint16_t *seen = t->slot + MT_TOP_ROWS * MT_TOP;     /* (k): slot + 1 */
    if (n > 1) memset(seen, 0, (size_t)m->k * sizeof *seen);
    for (int i = 0; i < MT_TOP * n; i++) {
        const int32_t k = top[i];
        t->slot[i] = MT_TOP_NONE;
        if (k < 0) continue;
        if (n == 1 || !seen[k]) {
            t->col[t->n_col++] = k;
            seen[k] = (uint16_t)t->n_col;
        }
        t->slot[i] = (uint16_t)(seen[k] - 1);
    }
}

/* Asks for the columns of a panel that comes next.  They lie anywhere in it, further ahead than the
 * product itself asks; many rows compute for so long that it does not matter. */
MT_INLINE void mt_tops_ask(const mt_tops *t, mt_layout lay, const uint8_t *panel)
{
    const mt_planes p = mt_planes_of(lay);
    const mt_unit u = mt_unit_of(lay);
    const mt_scales_at at = mt_scales_of(lay);
    for (int i = 0; t->n_col <= 4 * MT_TOP && i < t->n_col; i++) {
        const int k = t->col[i], j = k % 32 / 4, g = k % u.k / u.group;
        const uint8_t *unit = panel + k / u.k * u.bytes, *sub = unit + k % u.k / 32 * p.sub;
        const int step = p.low == 8 ? j : p.low == 4 ? j % 4 : j / 4;
        for (int s = 0; s < 2; s++) {
            __builtin_prefetch(sub + s * p.low * 64 + 64 * step, 0, 2);
            if (p.high == 1) __builtin_prefetch(sub + p.low * 128 + s * 64, 0, 2);
            if (p.high == 2) __builtin_prefetch(sub + 512 + s * 128 + 64 * (j / 4), 0, 2);
        }
        __builtin_prefetch(unit + at.d, 0, 2);
        if (at.dmin) __builtin_prefetch(unit + at.dmin, 0, 2);
        if (at.sc) __builtin_prefetch(unit + at.sc + 32 * g, 0, 2);
        if (at.mn) __builtin_prefetch(unit + at.mn + 32 * g, 0, 2);
    }
}

#endif

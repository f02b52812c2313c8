/* SPDX-License-Identifier: MIT */
/* view.h - a piece of text that remembers which bytes of the original it came from.
 *
 * Normalisers and some pre-tokenizers rewrite the text.  Each byte of the result then carries the
 * span of the original character it stands for, as the reference library keeps it: a character put
 * in has the span of the one before it, a composed character the span of its first part. */
#ifndef MT_VIEW_H
#define MT_VIEW_H

#include "text/unicode.h"

typedef struct mt_view {
    const uint8_t *p;
    size_t n;
    const mote_span *place;      /* (n) spans of the original; NULL: see origin */
    uint32_t origin;             /* with place NULL: p is the original from this byte on, or nobody
                                  * wants to know */
} mt_view;

/* The span of the character of `len` bytes at byte i. */
MT_INLINE mote_span mt_view_place(const mt_view *v, size_t i, size_t len)
{
    if (v->place) return v->place[i];
    return (mote_span){ v->origin + (uint32_t)i, v->origin + (uint32_t)(i + len) };
}

MT_INLINE mt_view mt_view_part(const mt_view *v, size_t from, size_t to)
{
    return (mt_view){ v->p + from, to - from, v->place ? v->place + from : NULL, v->origin + (uint32_t)from };
}

/* The original bytes of [from, to), to > from: from the first character's start to the last one's
 * end, even where from or to lie inside a character. */
mote_span mt_view_span(const mt_view *v, size_t from, size_t to);

/* Text that is being written. */
typedef struct mt_text {
    const mote_alloc *alloc;
    uint8_t   *p;
    mote_span *place;            /* kept when tracks */
    size_t     n, cap;
    bool       tracks;
} mt_text;
enum { MT_TEXT_MAX = 1 << 28 };  /* bytes that normalising may make of a text */

bool mt_text_reserve(mt_text *t, size_t more);   /* false: no memory, or over the limit */
void mt_text_free(mt_text *t);
MT_INLINE mt_view mt_text_view(const mt_text *t) { return (mt_view){ t->p, t->n, t->tracks ? t->place : NULL, 0 }; }

/* Appends n bytes that all come from `at`; the room must be there. */
MT_INLINE void mt_text_put(mt_text *t, const void *p, size_t n, mote_span at)
{
    const uint8_t *from = (const uint8_t *)p;
    for (size_t i = 0; i < n; i++) t->p[t->n + i] = from[i];
    if (t->tracks)
        for (size_t i = 0; i < n; i++) t->place[t->n + i] = at;
    t->n += n;
}
/* Appends [from, to) of a view with its places; makes room. */
bool mt_text_copy(mt_text *t, const mt_view *v, size_t from, size_t to);
/* Appends n bytes that all come from `at`; makes room. */
bool mt_text_add(mt_text *t, const void *p, size_t n, mote_span at);

#endif

/* SPDX-License-Identifier: MIT */
/* view.c - text with places: growing, copying, and the way back to the original. */
#include "text/view.h"

#include <string.h>

/* The character, or malformed byte, that byte i belongs to: [*from, *to). */
static void around(const mt_view *v, size_t i, size_t *from, size_t *to)
{
    size_t back = 0, len;
    while (back < 3 && back < i && (v->p[i - back] & 0xC0) == 0x80) back++;
    mt_utf8_next(v->p + i - back, v->p + v->n, &len);
    if (len <= back) back = 0, len = 1;
    *from = i - back;
    *to = i - back + len;
}

mote_span mt_view_span(const mt_view *v, size_t from, size_t to)
{
    if (v->place) return (mote_span){ v->place[from].from, v->place[to - 1].to };
    size_t start, end, last;
    around(v, from, &start, &end);
    around(v, to - 1, &last, &end);
    return (mote_span){ v->origin + (uint32_t)start, v->origin + (uint32_t)end };
}

bool mt_text_reserve(mt_text *t, size_t more)
{
    size_t need;
    if (!mt_add_ok(t->n, more, &need) || need > MT_TEXT_MAX) return false;
    if (need <= t->cap) return true;
    const size_t cap = MT_MAX(MT_MAX(need, t->cap * 2), 4096);
    uint8_t *p = mt_get(t->alloc, cap, 1);
    mote_span *place = t->tracks ? mt_get(t->alloc, cap * sizeof *place, _Alignof(mote_span)) : NULL;
    if (!p || (t->tracks && !place)) {
        mt_put(t->alloc, p, cap);
        mt_put(t->alloc, place, cap * sizeof *place);
        return false;
    }
    if (t->n) memcpy(p, t->p, t->n);
    if (t->n && place) memcpy(place, t->place, t->n * sizeof *place);
    mt_put(t->alloc, t->p, t->cap);
    mt_put(t->alloc, t->place, t->cap * sizeof *place);
    t->p = p, t->place = place, t->cap = cap;
    return true;
}

void mt_text_free(mt_text *t)
{
    mt_put(t->alloc, t->p, t->cap);
    mt_put(t->alloc, t->place, t->cap * sizeof *t->place);
    *t = (mt_text){ .alloc = t->alloc, .tracks = t->tracks };
}

bool mt_text_copy(mt_text *t, const mt_view *v, size_t from, size_t to)
{
    if (to == from) return true;
    if (!mt_text_reserve(t, to - from)) return false;
    memcpy(t->p + t->n, v->p + from, to - from);
    size_t len;
    for (size_t i = from; t->tracks && i < to; i += len) {
        mt_utf8_next(v->p + i, v->p + to, &len);
        for (size_t k = 0; k < len; k++)
            t->place[t->n + i + k - from] = v->place ? v->place[i + k] : mt_view_place(v, i, len);
    }
    t->n += to - from;
    return true;
}

bool mt_text_add(mt_text *t, const void *p, size_t n, mote_span at)
{
    if (!mt_text_reserve(t, n)) return false;
    mt_text_put(t, p, n, at);
    return true;
}

/* SPDX-License-Identifier: MIT */
/* jinja_heap.c - what a render spends: steps, heap, output; and strings that grow.
 *
 * The heap is an arena with one addition: a mark taken before a loop iteration or a macro call
 * gives everything back, unless a value escaped into something older in between.  A string is
 * bytes plus one mark per byte; the marks are stored only where a string mixes both kinds. */
#include <stdio.h>
#include <string.h>

#include "text/jinja.h"

enum { PIECE = 16 << 10, LARGE = 2 << 10, HEAP_ALIGN = 16 };
const uint8_t mt_j_trusted[1] = { 1 };

mote_status mt_j_fail(mt_jrun *r, mote_status code, const char *fmt, ...)
{
    char text[220];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (char *p = text; *p; p++)                 /* a message is one line */
        if ((unsigned char)*p < 32) *p = ' ';
    return mt_fail(r->err, code, "template line %u: %s", r->line, text);
}

mote_status mt_j_limit(mt_jrun *r, const char *what, long long limit)
{
    return mt_j_fail(r, MOTE_EFULL, "over the limit of %lld %s", limit, what);
}

mote_status mt_j_charge(mt_jrun *r, size_t n)
{
    r->steps += 1 + n / 32;
    return r->steps > MT_J_STEPS ? mt_j_limit(r, "steps", MT_J_STEPS) : MOTE_OK;
}

/* ---- heap --------------------------------------------------------------- */
static bool fits(const mt_jrun *r, size_t bytes)
{
    return bytes <= MT_J_HEAP && r->heap.used + bytes <= MT_J_HEAP;
}

void *mt_j_get(mt_jrun *r, size_t bytes)
{
    if (!fits(r, bytes)) return NULL;
    if (bytes > LARGE) return mt_arena_push(&r->heap, bytes);
    bytes = mt_pad(bytes ? bytes : 1, HEAP_ALIGN);
    if (bytes > (size_t)(r->end - r->at)) {
        char *piece = mt_arena_push(&r->heap, PIECE);
        if (!piece) return NULL;
        r->at = piece;
        r->end = piece + PIECE;
    }
    void *p = r->at;
    r->at += bytes;
    return p;
}

mote_status mt_j_nomem(mt_jrun *r, size_t bytes)
{
    if (!fits(r, bytes)) return mt_j_limit(r, "heap bytes", MT_J_HEAP);
    return mt_j_fail(r, MOTE_ENOMEM, "no memory for %zu bytes", bytes);
}

mt_jmark mt_j_mark(mt_jrun *r)
{
    return (mt_jmark){ mt_arena_mark_get(&r->heap), r->at, r->end, r->escapes };
}

void mt_j_rewind(mt_jrun *r, const mt_jmark *m)
{
    if (r->escapes != m->escapes) return;
    mt_arena_rewind(&r->heap, m->arena);
    r->at = m->at;
    r->end = m->end;
#ifndef NDEBUG
    if (r->at)
        memset(r->at, 0xdd, (size_t)(r->end - r->at)); /* a dangling value shows at once */
#endif
}

/* ---- output -------------------------------------------------------------- */
static void fill_marks(uint8_t *to, size_t n, const uint8_t *t)
{
    if (!t || t == MT_J_TRUSTED) memset(to, t ? 1 : 0, n);
    else memcpy(to, t, n);
}

mote_status mt_j_emit(mt_jrun *r, const char *p, size_t n, const uint8_t *t)
{
    uint8_t marks[256];
    if (n == 0) return MOTE_OK;
    MT_TRY(mt_j_charge(r, n));
    if (n > r->out.max - r->out.n) return mt_j_limit(r, "output bytes", MT_J_OUTPUT);
    if (!mt_buf_put(&r->out, p, n))
        return mt_j_fail(r, MOTE_ENOMEM, "no memory for the output");
    bool is_uniform = !t || t == MT_J_TRUSTED;
    for (size_t i = 0; i < n; i += sizeof marks) {
        size_t part = MT_MIN(n - i, sizeof marks);
        fill_marks(marks, part, is_uniform ? t : t + i);
        if (!mt_buf_put(&r->marks, marks, part))
            return mt_j_fail(r, MOTE_ENOMEM, "no memory for the output");
    }
    return MOTE_OK;
}

/* ---- strings --------------------------------------------------------------- */
mote_status mt_j_text(mt_jrun *r, const char *p, size_t n, const uint8_t *t, mt_jv *out)
{
    mt_jstr *s = mt_j_get(r, sizeof *s);
    if (!s) return mt_j_nomem(r, sizeof *s);
    *s = (mt_jstr){ p, n ? t : MT_J_TRUSTED, n, SIZE_MAX, NULL };
    *out = (mt_jv){ .type = MT_J_STR };
    out->u.s = s;
    return MOTE_OK;
}

mote_status mt_j_sub(mt_jrun *r, const mt_jstr *s, size_t from, size_t n, mt_jv *out)
{
    bool is_uniform = !s->t || s->t == MT_J_TRUSTED;
    return mt_j_text(r, s->p + from, n, is_uniform ? s->t : s->t + from, out);
}

mt_jbuf *mt_j_buf(mt_jrun *r, size_t hint)
{
    mt_jbuf *b = mt_j_get(r, sizeof *b);
    if (!b) return NULL;
    *b = (mt_jbuf){ .cap = MT_MAX(hint, (size_t)32) };
    b->p = mt_j_get(r, b->cap);
    return b->p ? b : NULL;
}

static mote_status grow(mt_jrun *r, mt_jbuf *b, size_t need)
{
    size_t cap = MT_MAX(need, b->cap + b->cap / 2);
    char *p = mt_j_get(r, cap);
    if (!p) return mt_j_nomem(r, cap);
    memcpy(p, b->p, b->n);
    if (b->t) {
        uint8_t *t = mt_j_get(r, cap);
        if (!t) return mt_j_nomem(r, cap);
        memcpy(t, b->t, b->n);
        b->t = t;
    }
    b->p = p;
    b->cap = cap;
    return MOTE_OK;
}

/* Does appending bytes marked t keep the buffer's way of storing marks? */
static bool same_marks(const mt_jbuf *b, const uint8_t *t)
{
    if (b->t) return true;
    return (!t || t == MT_J_TRUSTED) && (t != NULL) == b->is_trusted;
}

mote_status mt_j_put(mt_jrun *r, mt_jbuf *b, const char *p, size_t n, const uint8_t *t)
{
    if (n == 0) return MOTE_OK;
    MT_TRY(mt_j_charge(r, n));
    if (n > MT_J_HEAP) return mt_j_nomem(r, n);
    if (b->n == 0 && !b->t) b->is_trusted = t == MT_J_TRUSTED;
    if (n > b->cap - b->n) MT_TRY(grow(r, b, b->n + n));
    if (!same_marks(b, t)) {
        b->t = mt_j_get(r, b->cap);
        if (!b->t) return mt_j_nomem(r, b->cap);
        memset(b->t, b->is_trusted, b->n);
    }
    if (b->t) fill_marks(b->t + b->n, n, t);
    memcpy(b->p + b->n, p, n);
    b->n += n;
    return MOTE_OK;
}

mote_status mt_j_put_str(mt_jrun *r, mt_jbuf *b, const mt_jstr *s)
{
    return mt_j_put(r, b, s->p, s->n, s->t);
}

mote_status mt_j_done(mt_jrun *r, mt_jbuf *b, mt_jv *out)
{
    MT_TRY(mt_j_text(r, b->p, b->n, b->t ? b->t : b->is_trusted ? MT_J_TRUSTED : NULL, out));
    out->u.s->buf = b;
    return MOTE_OK;
}

mote_status mt_j_concat(mt_jrun *r, const mt_jv *a, const mt_jv *b, mt_jv *out)
{
    const mt_jstr *x = a->u.s, *y = b->u.s;
    if (!x->n || !y->n) {
        *out = x->n ? *a : *b;
        return MOTE_OK;
    }
    mt_jbuf *buf = x->buf;
    bool in_place = buf && x->p + x->n == buf->p + buf->n && y->n <= buf->cap - buf->n &&
                    same_marks(buf, y->t);
    if (!in_place) {
        size_t need = x->n + y->n;
        buf = mt_j_buf(r, need + need / 2 + 32);
        if (!buf) return mt_j_nomem(r, need + need / 2 + 32);
        MT_TRY(mt_j_put_str(r, buf, x));
    }
    MT_TRY(mt_j_put_str(r, buf, y));
    return mt_j_done(r, buf, out);
}

bool mt_j_tainted(const mt_jv *v)
{
    if (v->type != MT_J_STR) return v->tainted;
    const mt_jstr *s = v->u.s;
    if (!s->t || s->t == MT_J_TRUSTED) return !s->t;
    return memchr(s->t, 0, s->n) != NULL;
}

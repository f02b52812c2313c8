/* SPDX-License-Identifier: MIT */
/* words.c - the steps of words.h.
 *
 * A cutting step sees its piece as a row of items, separators and what lies between them, and the
 * behavior says which items are dropped and which join a neighbour; one item of looking ahead is
 * enough for all of them. */
#include "text/words.h"

#include <string.h>

#include "text/norm.h"

void mt_words_init(mt_words *w, const mt_words_op *op, size_t n, const mt_chars *chars, const mt_traits *traits,
                   const mote_alloc *alloc, bool tracks)
{
    *w = (mt_words){ .op = op, .n = n, .chars = chars, .traits = traits };
    for (size_t i = 0; i < n; i++) {
        w->stage[i].own = (mt_text){ .alloc = alloc, .tracks = tracks };
        w->stage[i].finder.alloc = alloc;
    }
}

void mt_words_free(mt_words *w)
{
    for (size_t i = 0; i < w->n; i++) {
        mt_text_free(&w->stage[i].own);
        mt_finder_free(&w->stage[i].finder);
    }
}

void mt_words_start(mt_words *w, mt_view text)
{
    for (size_t i = 0; i < w->n; i++) w->stage[i].is_open = false;
    w->input = text;
    w->has_input = text.n > 0;
}

/* ---- items ------------------------------------------------------------------------ */

static bool is_separator(const mt_words *w, const mt_words_op *op, const mt_view *v, size_t at, size_t *len)
{
    if (op->kind == MT_WORDS_CHAR) {
        mt_utf8_next(v->p + at, v->p + v->n, len);
        return *len == op->text.n && memcmp(v->p + at, op->text.p, *len) == 0;
    }
    return mt_traits_of(w->traits, mt_utf8_next(v->p + at, v->p + v->n, len)) & op->trait;
}

/* Each separator character is an item of its own. */
static mt_item char_item(const mt_words *w, const mt_words_op *op, const mt_view *v, size_t at)
{
    size_t len;
    if (is_separator(w, op, v, at, &len)) return (mt_item){ at, at + len, true };
    size_t to = at + len;
    while (to < v->n && !is_separator(w, op, v, to, &len)) to += len;
    return (mt_item){ at, to, false };
}

/* \w+|[^\w\s]+ : white space is the separator. */
static mt_item run_item(const mt_words *w, const mt_view *v, size_t at)
{
    const unsigned mask = MT_IS_WORD | MT_IS_SPACE;
    size_t len, to = at;
    const unsigned kind = mt_traits_of(w->traits, mt_utf8_next(v->p + at, v->p + v->n, &len)) & mask;
    do to += len;
    while (to < v->n && (mt_traits_of(w->traits, mt_utf8_next(v->p + to, v->p + v->n, &len)) & mask) == kind);
    return (mt_item){ at, to, kind == MT_IS_SPACE };
}

/* Finds the next match of a pattern, as the reference steps over empty ones. */
static mote_status find_match(const mt_words_op *op, mt_words_stage *s, mote_error *err)
{
    const mt_str text = { (const char *)s->piece.p, s->piece.n };
    size_t len;
    for (;;) {
        s->match.found = false;
        if (s->search > text.n) break;
        MT_TRY(mt_pattern_find(op->pattern, &s->finder, text, s->search, &s->match, err));
        if (!s->match.found) break;
        if (s->match.from < s->match.to || s->match.to != s->last_end) {
            s->search = s->last_end = s->match.to;
            break;
        }
        len = 1;
        if (s->search < text.n) mt_utf8_next(s->piece.p + s->search, s->piece.p + text.n, &len);
        s->search += len;
    }
    if (!s->match.found) s->match.from = s->match.to = text.n;
    s->has_match = true;
    return MOTE_OK;
}

static mote_status pattern_item(const mt_words_op *op, mt_words_stage *s, mt_item *out, mote_error *err)
{
    if (!s->has_match) MT_TRY(find_match(op, s, err));
    if (s->at < s->match.from || !s->match.found) {
        *out = (mt_item){ s->at, s->match.from, op->invert };
        return MOTE_OK;
    }
    *out = (mt_item){ s->match.from, s->match.to, !op->invert };
    s->has_match = false;
    return MOTE_OK;
}

static bool has_item(const mt_words_op *op, const mt_words_stage *s)
{
    if (s->has_held || s->at < s->piece.n) return true;
    return op->kind == MT_WORDS_PATTERN && s->has_match && s->match.found;
}

static mote_status next_item(const mt_words *w, const mt_words_op *op, mt_words_stage *s, mt_item *out, mote_error *err)
{
    if (s->has_held) {
        *out = s->held;
        s->has_held = false;
        return MOTE_OK;
    }
    switch (op->kind) {
    case MT_WORDS_PATTERN: MT_TRY(pattern_item(op, s, out, err)); break;
    case MT_WORDS_RUNS:    *out = run_item(w, &s->piece, s->at); break;
    default:               *out = char_item(w, op, &s->piece, s->at); break;
    }
    s->at = out->to;
    /* an empty match may follow at the very end */
    if (op->kind == MT_WORDS_PATTERN && s->at == s->piece.n && !s->has_match && out->is_match != op->invert)
        return find_match(op, s, err);
    return MOTE_OK;
}

static void put_back(mt_words_stage *s, mt_item item)
{
    s->held = item;
    s->has_held = true;
}

/* ---- behaviors ---------------------------------------------------------------------- */

static mote_status join_alike(const mt_words *w, const mt_words_op *op, mt_words_stage *s, mt_item *item, mote_error *err)
{
    mt_item next;
    while (has_item(op, s)) {
        MT_TRY(next_item(w, op, s, &next, err));
        if (next.is_match != item->is_match) {
            put_back(s, next);
            break;
        }
        item->to = next.to;
    }
    return MOTE_OK;
}

/* Joins the item with the next when the one is `first` and the other is not. */
static mote_status join_next(const mt_words *w, const mt_words_op *op, mt_words_stage *s, mt_item *item, bool first,
                             mote_error *err)
{
    mt_item next;
    if (item->is_match != first || !has_item(op, s)) return MOTE_OK;
    MT_TRY(next_item(w, op, s, &next, err));
    if (next.is_match == first) put_back(s, next);
    else item->to = next.to;
    return MOTE_OK;
}

static mote_status cut_word(mt_words *w, const mt_words_op *op, mt_words_stage *s, mt_view *word, mote_error *err)
{
    mt_item item;
    word->n = 0;
    MT_TRY(next_item(w, op, s, &item, err));
    switch (op->behavior) {
    case MT_ISOLATED:      break;
    case MT_REMOVED:       if (item.is_match) return MOTE_OK; break;
    case MT_CONTIGUOUS:    MT_TRY(join_alike(w, op, s, &item, err)); break;
    case MT_WITH_PREVIOUS: MT_TRY(join_next(w, op, s, &item, false, err)); break;
    case MT_WITH_NEXT:     MT_TRY(join_next(w, op, s, &item, true, err)); break;
    }
    *word = mt_view_part(&s->piece, item.from, item.to);
    return MOTE_OK;
}

/* ---- steps that rewrite --------------------------------------------------------------- */

static bool begins_with(const mt_view *v, mt_str text)
{
    return v->n >= text.n && memcmp(v->p, text.p, text.n) == 0;
}

static mote_span first_place(const mt_view *v)
{
    size_t len;
    mt_utf8_next(v->p, v->p + v->n, &len);
    return mt_view_place(v, 0, len);
}

static bool metaspace(const mt_words_op *op, const mt_view *in, mt_text *out)
{
    const mt_str mark = op->text;
    const bool has_mark = begins_with(in, mark) || *in->p == ' ';
    const bool wants = op->scheme == MT_SCHEME_ALWAYS || (op->scheme == MT_SCHEME_FIRST && first_place(in).from == 0);
    if (wants && !has_mark && !mt_text_add(out, mark.p, mark.n, first_place(in))) return false;
    for (size_t i = 0; i < in->n; ) {
        const uint8_t *space = memchr(in->p + i, ' ', in->n - i);
        const size_t at = space ? (size_t)(space - in->p) : in->n;
        if (!mt_text_copy(out, in, i, at)) return false;
        if (space && !mt_text_add(out, mark.p, mark.n, mt_view_place(in, at, 1))) return false;
        i = at + 1;
    }
    return true;
}

static bool rewrite(const mt_words_op *op, const mt_view *in, mt_text *out, bool *is_same)
{
    size_t len;
    uint8_t as[2];
    out->n = 0;
    *is_same = false;
    switch (op->kind) {
    case MT_WORDS_METASPACE:
        return metaspace(op, in, out);
    case MT_WORDS_PREFIX:
        *is_same = *in->p == ' ';
        return *is_same || (mt_text_add(out, " ", 1, first_place(in)) && mt_text_copy(out, in, 0, in->n));
    default:
        for (size_t i = 0; i < in->n; i += len) {
            mt_utf8_next(in->p + i, in->p + in->n, &len);
            for (size_t k = 0; k < len; k++)
                if (!mt_text_add(out, as, mt_byte_char(in->p[i + k], as), mt_view_place(in, i, len))) return false;
        }
        return true;
    }
}

/* ---- pulling ---------------------------------------------------------------------------- */

static bool rewrites(const mt_words_op *op) { return op->kind >= MT_WORDS_METASPACE; }

/* The next word of an open stage; empty when it was dropped. */
static mote_status step(mt_words *w, size_t k, mt_view *word, mote_error *err)
{
    const mt_words_op *op = &w->op[k];
    mt_words_stage *s = &w->stage[k];
    if (op->kind == MT_WORDS_SCAN) {
        mt_splitter scan = { w->chars, op->scan, s->piece.p + s->at, s->piece.p + s->piece.n, 0 };
        const size_t from = s->at;
        s->at += mt_split_next(&scan).n;
        w->work += scan.work;
        *word = mt_view_part(&s->piece, from, s->at);
        return MOTE_OK;
    }
    if (!rewrites(op)) return cut_word(w, op, s, word, err);
    bool is_same;
    s->at = s->piece.n;
    if (!rewrite(op, &s->piece, &s->own, &is_same))
        MT_FAIL(err, MOTE_ENOMEM, "no memory to prepare %zu bytes of text", s->piece.n);
    *word = is_same ? s->piece : mt_text_view(&s->own);
    return MOTE_OK;
}

static void open_stage(mt_words_stage *s, mt_view piece)
{
    mt_finder_forget(&s->finder);
    s->piece = piece;
    s->at = s->search = 0;
    s->last_end = SIZE_MAX;
    s->has_held = s->has_match = false;
    s->is_open = true;
}

mote_status mt_words_next(mt_words *w, mt_view *word, mote_error *err)
{
    size_t k = w->n;                             /* stages [k, n) have been asked in vain */
    word->n = 0;
    for (;;) {
        /* down to the last stage that has something left */
        while (k > 0 && !(w->stage[k - 1].is_open && has_item(&w->op[k - 1], &w->stage[k - 1]))) k--;
        mt_view piece = w->input;
        if (k == 0) {
            if (!w->has_input) return MOTE_OK;
            w->has_input = false;
        } else {
            MT_TRY(step(w, k - 1, &piece, err));
            if (piece.n == 0) continue;
        }
        /* and up again with its piece */
        if (k == w->n) {
            *word = piece;
            return MOTE_OK;
        }
        open_stage(&w->stage[k], piece);
        k++;
    }
}

/* SPDX-License-Identifier: MIT */
/* jinja_text.c - what strings can do: strip, replace, change case, split; str() and repr().
 *
 * Each byte of a result carries the mark of the byte it came from; where several make one (case
 * changes) it is the mark of the character, and where a value is written out as text (numbers,
 * lists) one untrusted part makes the whole text untrusted. */
#include <stdio.h>
#include <string.h>

#include "text/jinja.h"

static const uint8_t *mark_at(const mt_jstr *s, size_t i)
{
    if (!s->t || s->t == MT_J_TRUSTED) return s->t;
    return s->t[i] ? MT_J_TRUSTED : NULL;
}

/* ---- case -------------------------------------------------------------------- */
/* Python's rule for a sigma at the end of a word: after a letter and before none. */
static bool is_final_sigma(const mt_jstr *s, size_t i)
{
    size_t j = i, len;
    bool before = false;
    while (j > 0 && !before) {
        do j--; while (j > 0 && ((unsigned char)s->p[j] & 0xc0) == 0x80);
        uint32_t cp = mt_j_decode(s->p + j, s->n - j, &len), out[3];
        if (cp == '\'' || cp == 0xad || cp == 0x2019 || cp == '.' || cp == ':') continue;
        before = mt_j_case(MT_J_LOWER, cp, out) > 1 || out[0] != cp ||
                 mt_j_case(MT_J_UPPER, cp, out) > 1 || out[0] != cp;
        if (!before) return false;
    }
    for (j = i + 2; before && j < s->n; j += len) {
        uint32_t cp = mt_j_decode(s->p + j, s->n - j, &len), out[3];
        if (cp == '\'' || cp == 0xad || cp == 0x2019 || cp == '.' || cp == ':') continue;
        return mt_j_case(MT_J_LOWER, cp, out) == 1 && out[0] == cp &&
               mt_j_case(MT_J_UPPER, cp, out) == 1 && out[0] == cp;
    }
    return before;
}

static mote_status put_case(mt_jrun *r, mt_jbuf *b, const mt_jstr *s, size_t i, mt_jcase what,
                            size_t *len)
{
    char text[12];
    uint32_t out[3], cp = mt_j_decode(s->p + i, s->n - i, len);
    size_t n = 0, n_cp = mt_j_case(what, cp, out);
    if (what == MT_J_LOWER && cp == 0x3a3 && is_final_sigma(s, i)) out[0] = 0x3c2;
    for (size_t k = 0; k < n_cp; k++) n += mt_j_encode(out[k], text + n);
    return mt_j_put(r, b, text, n, mark_at(s, i));
}

/* A run of ASCII with one mark, in one go. */
static size_t ascii_run(const mt_jstr *s, size_t i, char *buf, size_t cap)
{
    size_t n = 0;
    while (i + n < s->n && n < cap && (unsigned char)s->p[i + n] < 0x80 &&
           mark_at(s, i + n) == mark_at(s, i)) {
        buf[n] = s->p[i + n];
        n++;
    }
    return n;
}

mote_status mt_j_recase(mt_jrun *r, const mt_jstr *s, mt_jcase what, mt_jv *out)
{
    char run[256];
    size_t len;
    mt_jbuf *b = mt_j_buf(r, s->n + 8);
    if (!b) return mt_j_nomem(r, s->n + 8);
    for (size_t i = 0; i < s->n; i += len) {
        len = ascii_run(s, i, run, sizeof run);
        if (!len) {
            MT_TRY(put_case(r, b, s, i, what, &len));
            continue;
        }
        for (size_t k = 0; k < len; k++) {
            char c = run[k];
            if (what == MT_J_LOWER && c >= 'A' && c <= 'Z') run[k] = (char)(c + 32);
            if (what != MT_J_LOWER && c >= 'a' && c <= 'z') run[k] = (char)(c - 32);
        }
        MT_TRY(mt_j_put(r, b, run, len, mark_at(s, i)));
    }
    return mt_j_done(r, b, out);
}

mote_status mt_j_capitalize(mt_jrun *r, const mt_jstr *s, mt_jv *out)
{
    size_t len = 0;
    mt_jv rest;
    mt_jbuf *b = mt_j_buf(r, s->n + 8);
    if (!b) return mt_j_nomem(r, s->n + 8);
    if (s->n) MT_TRY(put_case(r, b, s, 0, MT_J_TITLE, &len));
    MT_TRY(mt_j_sub(r, s, len, s->n - len, &rest));
    MT_TRY(mt_j_recase(r, rest.u.s, MT_J_LOWER, &rest));
    MT_TRY(mt_j_put_str(r, b, rest.u.s));
    return mt_j_done(r, b, out);
}

/* ---- strip, replace, split --------------------------------------------------------- */
static bool in_set(const mt_jv *chars, const char *p, size_t len, uint32_t cp)
{
    if (chars->type != MT_J_STR) return mt_j_is_space(cp);
    return mt_j_find(chars->u.s->p, chars->u.s->n, p, len) != NULL;
}

/* chars: a string, or anything else for white space. */
mote_status mt_j_strip(mt_jrun *r, const mt_jstr *s, const mt_jv *chars, bool left, bool right,
                       mt_jv *out)
{
    size_t from = 0, to = s->n, len;
    if (chars->type == MT_J_UNDEF) return mt_j_undef_fail(r, chars);
    if (chars->type != MT_J_STR && chars->type != MT_J_NONE && chars->type != MT_J_ABSENT)
        return mt_j_fail(r, MOTE_EINVAL, "strip arg must be None or str");
    while (left && from < to) {
        uint32_t cp = mt_j_decode(s->p + from, to - from, &len);
        if (!in_set(chars, s->p + from, len, cp)) break;
        from += len;
        MT_TRY(mt_j_charge(r, chars->type == MT_J_STR ? chars->u.s->n : 0));
    }
    while (right && from < to) {
        size_t i = to - 1;
        while (i > from && ((unsigned char)s->p[i] & 0xc0) == 0x80) i--;
        uint32_t cp = mt_j_decode(s->p + i, to - i, &len);
        if (!in_set(chars, s->p + i, to - i, cp)) break;
        to = i;
        MT_TRY(mt_j_charge(r, chars->type == MT_J_STR ? chars->u.s->n : 0));
    }
    return mt_j_sub(r, s, from, to - from, out);
}

static mote_status put_range(mt_jrun *r, mt_jbuf *b, const mt_jstr *s, size_t from, size_t n)
{
    bool is_uniform = !s->t || s->t == MT_J_TRUSTED;
    return mt_j_put(r, b, s->p + from, n, is_uniform ? s->t : s->t + from);
}

/* count < 0: all.  An empty `old` stands before every character and at the end. */
mote_status mt_j_replace(mt_jrun *r, const mt_jstr *s, const mt_jstr *old, const mt_jstr *with,
                         int64_t count, mt_jv *out)
{
    size_t i = 0;
    mt_jbuf *b = mt_j_buf(r, s->n + 16);
    if (!b) return mt_j_nomem(r, s->n + 16);
    while (count != 0) {
        const char *p = mt_j_find(s->p + i, s->n - i, old->p, old->n);
        if (!p) break;
        size_t at = (size_t)(p - s->p), len = old->n;
        MT_TRY(put_range(r, b, s, i, at - i));
        MT_TRY(mt_j_charge(r, at - i));
        MT_TRY(mt_j_put_str(r, b, with));
        i = at + len;
        if (count > 0) count--;
        if (old->n) continue;
        if (i == s->n) break;
        (void)mt_j_decode(s->p + i, s->n - i, &len);
        MT_TRY(put_range(r, b, s, i, len));
        i += len;
    }
    MT_TRY(put_range(r, b, s, i, s->n - i));
    return mt_j_done(r, b, out);
}

/* The next line end at or after i: *len bytes long, 0 at the end of the text. */
static size_t line_end(const mt_jstr *s, size_t i, size_t *len)
{
    while (i < s->n) {
        uint32_t cp = mt_j_decode(s->p + i, s->n - i, len);
        if (mt_j_is_line_end(cp)) {
            if (cp == '\r' && i + 1 < s->n && s->p[i + 1] == '\n') *len = 2;
            return i;
        }
        i += *len;
    }
    *len = 0;
    return s->n;
}

mote_status mt_j_splitlines(mt_jrun *r, const mt_jstr *s, bool keep, mt_jv *out)
{
    size_t n = 0, len, k = 0;
    mt_jv *v;
    MT_TRY(mt_j_charge(r, s->n * 2));
    for (size_t i = 0; i < s->n; n++) i = line_end(s, i, &len) + len;
    MT_TRY(mt_j_list(r, MT_J_LIST, n, &v, out));
    for (size_t i = 0; i < s->n; ) {
        size_t end = line_end(s, i, &len);
        MT_TRY(mt_j_sub(r, s, i, end - i + (keep ? len : 0), &v[k++]));
        i = end + len;
    }
    return MOTE_OK;
}

/* side < 0: the text goes left, > 0: right, 0: middle. */
mote_status mt_j_center(mt_jrun *r, const mt_jstr *s, int64_t width, int side,
                        const mt_jstr *fill, mt_jv *out)
{
    mt_jstr copy = *s;
    MT_TRY(mt_j_charge(r, s->n));
    int64_t missing = width - (int64_t)mt_j_chars(&copy);
    if (missing <= 0) return mt_j_sub(r, s, 0, s->n, out);
    int64_t left = side < 0 ? 0 : side > 0 ? missing : missing / 2 + (missing & width & 1);
    mt_jbuf *b = mt_j_buf(r, s->n + 32);
    if (!b) return mt_j_nomem(r, s->n + 32);
    for (int64_t i = 0; i < left; i++) MT_TRY(mt_j_put_str(r, b, fill));
    MT_TRY(mt_j_put_str(r, b, s));
    for (int64_t i = left; i < missing; i++) MT_TRY(mt_j_put_str(r, b, fill));
    return mt_j_done(r, b, out);
}

mote_status mt_j_escape(mt_jrun *r, const mt_jstr *s, mt_jv *out)
{
    static const struct { char c; const char *text; } entities[] = {
        { '&', "&amp;" }, { '<', "&lt;" }, { '>', "&gt;" }, { '"', "&#34;" }, { '\'', "&#39;" },
    };
    mt_jbuf *b = mt_j_buf(r, s->n + 16);
    if (!b) return mt_j_nomem(r, s->n + 16);
    size_t from = 0;
    for (size_t i = 0; i < s->n; i++) {
        for (size_t k = 0; k < MT_COUNT(entities); k++) {
            if (s->p[i] != entities[k].c) continue;
            MT_TRY(put_range(r, b, s, from, i - from));
            MT_TRY(mt_j_put(r, b, entities[k].text, strlen(entities[k].text), mark_at(s, i)));
            from = i + 1;
        }
    }
    MT_TRY(put_range(r, b, s, from, s->n - from));
    MT_TRY(mt_j_done(r, b, out));
    out->sub = 1;
    return MOTE_OK;
}

/* ---- str() and repr() ------------------------------------------------------------------ */
static mote_status put_text(mt_jrun *r, mt_jbuf *b, const char *text, const uint8_t *t)
{
    return mt_j_put(r, b, text, strlen(text), t);
}

static mote_status repr_str(mt_jrun *r, mt_jbuf *b, const mt_jstr *s, const uint8_t *t)
{
    bool use_double = memchr(s->p, '\'', s->n) && !memchr(s->p, '"', s->n);
    char quote = use_double ? '"' : '\'';
    size_t len;
    MT_TRY(mt_j_put(r, b, &quote, 1, t));
    for (size_t i = 0; i < s->n; i += len) {
        char text[12];
        uint32_t cp = mt_j_decode(s->p + i, s->n - i, &len);
        const char *simple = cp < 128 && cp ? strchr("\nn\rr\tt\\\\", (int)cp) : NULL;
        if (cp == '\\') (void)snprintf(text, sizeof text, "\\\\");
        else if (simple && cp < 32) (void)snprintf(text, sizeof text, "\\%c", simple[1]);
        else if (cp == (uint32_t)quote) (void)snprintf(text, sizeof text, "\\%c", quote);
        else if (mt_j_is_printable(cp)) {
            MT_TRY(mt_j_put(r, b, s->p + i, len, t));
            continue;
        } else
            (void)snprintf(text, sizeof text,
                           cp < 0x100     ? "\\x%02x"
                           : cp < 0x10000 ? "\\u%04x"
                                          : "\\U%08x",
                           cp);
        MT_TRY(put_text(r, b, text, t));
    }
    return mt_j_put(r, b, &quote, 1, t);
}

static mote_status repr_deep(mt_jrun *r, mt_jbuf *b, const mt_jv *v, const uint8_t *t,
                             int depth);

static mote_status repr_items(mt_jrun *r, mt_jbuf *b, const mt_jv *v, const char *open,
                              const char *close, const uint8_t *t, int depth)
{
    MT_TRY(put_text(r, b, open, t));
    for (size_t i = 0; i < v->u.l->n; i++) {
        if (i) MT_TRY(put_text(r, b, ", ", t));
        MT_TRY(repr_deep(r, b, &v->u.l->v[i], t, depth + 1));
    }
    if (v->type == MT_J_TUPLE && v->u.l->n == 1) MT_TRY(put_text(r, b, ",", t));
    return put_text(r, b, close, t);
}

static mote_status repr_dict(mt_jrun *r, mt_jbuf *b, const mt_jdict *d, const uint8_t *t,
                             int depth)
{
    MT_TRY(put_text(r, b, "{", t));
    for (size_t i = 0; i < d->n; i++) {
        if (i) MT_TRY(put_text(r, b, ", ", t));
        MT_TRY(repr_deep(r, b, &d->e[i].k, t, depth + 1));
        MT_TRY(put_text(r, b, ": ", t));
        MT_TRY(repr_deep(r, b, &d->e[i].v, t, depth + 1));
    }
    return put_text(r, b, "}", t);
}

static mote_status repr_scalar(mt_jrun *r, mt_jbuf *b, const mt_jv *v, const uint8_t *t)
{
    char text[96];
    const mt_jrange *g = v->u.r;
    switch ((mt_jtype)v->type) {
    case MT_J_UNDEF: return put_text(r, b, "Undefined", t);
    case MT_J_NONE: return put_text(r, b, "None", t);
    case MT_J_BOOL: return put_text(r, b, v->u.b ? "True" : "False", t);
    case MT_J_INT: (void)snprintf(text, sizeof text, "%lld", (long long)v->u.i); break;
    case MT_J_FLOAT: (void)mt_j_float_text(v->u.f, text); break;
    case MT_J_RANGE_OBJ:
        if (g->step == 1)
            (void)snprintf(text, sizeof text, "range(%lld, %lld)", (long long)g->start,
                           (long long)g->stop);
        else
            (void)snprintf(text, sizeof text, "range(%lld, %lld, %lld)", (long long)g->start,
                           (long long)g->stop, (long long)g->step);
        break;
    case MT_J_ABSENT:
    case MT_J_STR:
    case MT_J_LIST:
    case MT_J_TUPLE:
    case MT_J_VIEW:
    case MT_J_GEN:
    case MT_J_DICT:
    case MT_J_SPACE:
    case MT_J_MACRO:
    case MT_J_FUNC:
    case MT_J_BOUND:
    case MT_J_LOOP:
    case MT_J_CYCLER: case MT_J_JOINER:
        (void)snprintf(text, sizeof text, "<%s>",
                       mt_j_type_name(v)); /* Python shows an address */
        break;
    }
    return put_text(r, b, text, t);
}

static mote_status repr_deep(mt_jrun *r, mt_jbuf *b, const mt_jv *v, const uint8_t *t,
                             int depth)
{
    static const char *const views[] = { "dict_keys([", "dict_values([", "dict_items([" };
    MT_TRY(mt_j_charge(r, 0));
    if (depth > MT_J_DATA_DEPTH) return mt_j_limit(r, "levels of nested data", MT_J_DATA_DEPTH);
    switch (v->type) {
    case MT_J_STR:
        if (v->sub) MT_TRY(put_text(r, b, "Markup(", t));
        MT_TRY(repr_str(r, b, v->u.s, t));
        return v->sub ? put_text(r, b, ")", t) : MOTE_OK;
    case MT_J_LIST: return repr_items(r, b, v, "[", "]", t, depth);
    case MT_J_TUPLE: return repr_items(r, b, v, "(", ")", t, depth);
    case MT_J_VIEW: return repr_items(r, b, v, views[v->sub], "])", t, depth);
    case MT_J_DICT: return repr_dict(r, b, v->u.d, t, depth);
    case MT_J_SPACE:
        MT_TRY(put_text(r, b, "<Namespace ", t));
        MT_TRY(repr_dict(r, b, v->u.d, t, depth));
        return put_text(r, b, ">", t);
    default: return repr_scalar(r, b, v, t);
    }
}

mote_status mt_j_repr(mt_jrun *r, mt_jbuf *b, const mt_jv *v, const uint8_t *t)
{
    return repr_deep(r, b, v, t, 0);
}

mote_status mt_j_put_value(mt_jrun *r, mt_jbuf *b, const mt_jv *v)
{
    if (v->type == MT_J_STR) return mt_j_put_str(r, b, v->u.s);
    if (v->type == MT_J_UNDEF) return MOTE_OK;
    return mt_j_repr(r, b, v, mt_j_deep_tainted(r, v, 0) ? NULL : MT_J_TRUSTED);
}

mote_status mt_j_str(mt_jrun *r, const mt_jv *v, mt_jv *out)
{
    if (v->type == MT_J_STR) {
        *out = *v;
        out->sub = 0;
        return MOTE_OK;
    }
    mt_jbuf *b = mt_j_buf(r, 32);
    if (!b) return mt_j_nomem(r, 32);
    MT_TRY(mt_j_put_value(r, b, v));
    return mt_j_done(r, b, out);
}

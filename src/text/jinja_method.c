/* SPDX-License-Identifier: MIT */
/* jinja_method.c - the methods of strings, as Python's str has them.
 *
 * Indices count code points; inside, everything is byte offsets.  A count or a position
 * found in an untrusted string is itself untrusted. */
#include <string.h>
#include <utf8proc.h>

#include "text/jinja.h"

#define METHOD(name)                                                                           \
    static mote_status name(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)

static mote_status want_str(mt_jrun *r, const mt_jv *v, const char *what)
{
    if (v->type == MT_J_STR) return MOTE_OK;
    if (v->type == MT_J_UNDEF) return mt_j_undef_fail(r, v);
    return mt_j_fail(r, MOTE_EINVAL, "%s: expected a string, found %s", what,
                     mt_j_type_name(v));
}

static mote_status want_int(mt_jrun *r, const mt_jv *v, int64_t other, int64_t *out)
{
    *out = other;
    if (v->type == MT_J_ABSENT || v->type == MT_J_NONE || mt_j_integer(v, out)) return MOTE_OK;
    if (v->type == MT_J_UNDEF) return mt_j_undef_fail(r, v);
    return mt_j_fail(r, MOTE_EINVAL, "'%s' object cannot be interpreted as an integer",
                     mt_j_type_name(v));
}

/* The bytes of s[start:end]; false when start lies behind the end of s. */
static mote_status range_of(mt_jrun *r, mt_jstr *s, const mt_jv *start, const mt_jv *end,
                            size_t *from, size_t *to, bool *valid)
{
    int64_t i, j, n;
    MT_TRY(mt_j_charge(r, s->n));
    n = (int64_t)mt_j_chars(s);
    MT_TRY(want_int(r, start, 0, &i));
    MT_TRY(want_int(r, end, n, &j));
    if (i < 0) i = i < -n ? 0 : i + n;
    if (j < 0) j = j < -n ? 0 : j + n;
    *from = mt_j_offset(s, (size_t)i);
    *to = mt_j_offset(s, (size_t)MT_MIN(j, n));
    *valid = i <= MT_MIN(j, n);
    return MOTE_OK;
}

/* ---- case and padding ------------------------------------------------------------ */
METHOD(m_lower) { (void)raw; return mt_j_recase(r, a[0].u.s, MT_J_LOWER, out); }
METHOD(m_upper) { (void)raw; return mt_j_recase(r, a[0].u.s, MT_J_UPPER, out); }
METHOD(m_capitalize) { (void)raw; return mt_j_capitalize(r, a[0].u.s, out); }

static bool is_cased(uint32_t cp)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT;
}

/* mode 't': title; 's': swap. */
static mote_status by_character(mt_jrun *r, const mt_jstr *s, char mode, mt_jv *out)
{
    mt_jbuf *b = mt_j_buf(r, s->n + 8);
    if (!b) return mt_j_nomem(r, s->n + 8);
    bool in_word = false;
    size_t len;
    for (size_t i = 0; i < s->n; i += len) {
        mt_jv c;
        uint32_t cp = mt_j_decode(s->p + i, s->n - i, &len);
        bool is_upper = utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_LU;
        mt_jcase to = mode == 's' ? (is_upper ? MT_J_LOWER : MT_J_UPPER)
                      : in_word   ? MT_J_LOWER
                                  : MT_J_TITLE;
        char text[12];
        uint32_t cps[3];
        size_t n = 0, n_cp = mt_j_case(to, cp, cps);
        for (size_t k = 0; k < n_cp; k++) n += mt_j_encode(cps[k], text + n);
        MT_TRY(mt_j_sub(r, s, i, len, &c));
        MT_TRY(mt_j_put(r, b, text, n, mt_j_tainted(&c) ? NULL : MT_J_TRUSTED));
        in_word = is_cased(cp);
    }
    return mt_j_done(r, b, out);
}

METHOD(m_title) { (void)raw; return by_character(r, a[0].u.s, 't', out); }
METHOD(m_swapcase) { (void)raw; return by_character(r, a[0].u.s, 's', out); }

static mote_status justify(mt_jrun *r, const mt_jv *a, int side, mt_jv *out)
{
    int64_t width;
    const mt_jstr blank = { " ", MT_J_TRUSTED, 1, 1, NULL };
    MT_TRY(want_int(r, &a[1], 0, &width));
    if (a[2].type != MT_J_ABSENT) {
        MT_TRY(want_str(r, &a[2], "fill"));
        if (mt_j_chars(a[2].u.s) != 1)
            return mt_j_fail(r, MOTE_EINVAL, "the fill must be one character");
    }
    return mt_j_center(r, a[0].u.s, width, side, a[2].type == MT_J_STR ? a[2].u.s : &blank,
                       out);
}

METHOD(m_center) { (void)raw; return justify(r, a, 0, out); }
METHOD(m_ljust) { (void)raw; return justify(r, a, -1, out); }
METHOD(m_rjust) { (void)raw; return justify(r, a, 1, out); }

METHOD(m_zfill)
{
    const mt_jstr zero = { "0", MT_J_TRUSTED, 1, 1, NULL };
    mt_jstr *s = a[0].u.s;
    int64_t width;
    mt_jv head, tail;
    (void)raw;
    MT_TRY(want_int(r, &a[1], 0, &width));
    size_t n_sign = s->n && (s->p[0] == '-' || s->p[0] == '+') ? 1 : 0;
    MT_TRY(mt_j_sub(r, s, 0, n_sign, &head));
    MT_TRY(mt_j_sub(r, s, n_sign, s->n - n_sign, &tail));
    MT_TRY(mt_j_center(r, tail.u.s, width - (int64_t)n_sign, 1, &zero, &tail));
    return mt_j_concat(r, &head, &tail, out);
}

/* ---- strip, replace, join ---------------------------------------------------------- */
METHOD(m_strip) { (void)raw; return mt_j_strip(r, a[0].u.s, &a[1], true, true, out); }
METHOD(m_lstrip) { (void)raw; return mt_j_strip(r, a[0].u.s, &a[1], true, false, out); }
METHOD(m_rstrip) { (void)raw; return mt_j_strip(r, a[0].u.s, &a[1], false, true, out); }

METHOD(m_replace)
{
    int64_t count;
    (void)raw;
    MT_TRY(want_str(r, &a[1], "replace"));
    MT_TRY(want_str(r, &a[2], "replace"));
    MT_TRY(want_int(r, &a[3], -1, &count));
    return mt_j_replace(r, a[0].u.s, a[1].u.s, a[2].u.s, count, out);
}

METHOD(m_join)
{
    const mt_jv *v;
    size_t n;
    (void)raw;
    MT_TRY(mt_j_items(r, &a[1], &v, &n));
    mt_jbuf *b = mt_j_buf(r, 64);
    if (!b) return mt_j_nomem(r, 64);
    for (size_t i = 0; i < n; i++) {
        if (v[i].type != MT_J_STR)
            return mt_j_fail(r, MOTE_EINVAL,
                             "sequence item %zu: expected str instance, %s found", i,
                             mt_j_type_name(&v[i]));
        if (i) MT_TRY(mt_j_put_str(r, b, a[0].u.s));
        MT_TRY(mt_j_put_str(r, b, v[i].u.s));
    }
    return mt_j_done(r, b, out);
}

static bool has_prefix(const mt_jstr *s, size_t from, size_t to, const mt_jstr *q)
{
    return to - from >= q->n && memcmp(s->p + from, q->p, q->n) == 0;
}

static bool has_suffix(const mt_jstr *s, size_t from, size_t to, const mt_jstr *q)
{
    return to - from >= q->n && memcmp(s->p + to - q->n, q->p, q->n) == 0;
}

static mote_status affix(mt_jrun *r, const mt_jv *a, bool suffix, mt_jv *out)
{
    size_t from, to;
    bool valid, hit = false;
    MT_TRY(range_of(r, a[0].u.s, &a[2], &a[3], &from, &to, &valid));
    const mt_jv *v = &a[1];
    size_t n = 1;
    if (a[1].type == MT_J_TUPLE) {
        v = a[1].u.l->v;
        n = a[1].u.l->n;
    }
    for (size_t i = 0; i < n && !hit; i++) {
        MT_TRY(want_str(r, &v[i], suffix ? "endswith" : "startswith"));
        MT_TRY(mt_j_charge(r, v[i].u.s->n));
        hit = valid && (suffix ? has_suffix(a[0].u.s, from, to, v[i].u.s)
                               : has_prefix(a[0].u.s, from, to, v[i].u.s));
    }
    *out = mt_j_bool(hit);
    return MOTE_OK;
}

METHOD(m_startswith) { (void)raw; return affix(r, a, false, out); }
METHOD(m_endswith) { (void)raw; return affix(r, a, true, out); }

METHOD(m_removeprefix)
{
    mt_jstr *s = a[0].u.s;
    (void)raw;
    MT_TRY(want_str(r, &a[1], "removeprefix"));
    size_t cut = has_prefix(s, 0, s->n, a[1].u.s) ? a[1].u.s->n : 0;
    return mt_j_sub(r, s, cut, s->n - cut, out);
}

METHOD(m_removesuffix)
{
    mt_jstr *s = a[0].u.s;
    (void)raw;
    MT_TRY(want_str(r, &a[1], "removesuffix"));
    return mt_j_sub(r, s, 0, s->n - (has_suffix(s, 0, s->n, a[1].u.s) ? a[1].u.s->n : 0), out);
}

/* ---- find ----------------------------------------------------------------------------- */
static const char *find_last(const char *p, size_t n, const char *q, size_t m)
{
    for (size_t i = n; m <= n && i >= m; i--) {
        if (m == 0 || (p[i - m] == q[0] && memcmp(p + i - m, q, m) == 0)) return p + i - m;
        if (i == m) break;
    }
    return NULL;
}

static mote_status find(mt_jrun *r, const mt_jv *a, bool last, bool must, mt_jv *out)
{
    size_t from, to;
    bool valid;
    MT_TRY(want_str(r, &a[1], "find"));
    MT_TRY(range_of(r, a[0].u.s, &a[2], &a[3], &from, &to, &valid));
    const mt_jstr *s = a[0].u.s, *q = a[1].u.s;
    /* The backward search compares at every candidate: charge the product. */
    if (last)
        MT_TRY(mt_j_charge(r, MT_MIN((to > from ? to - from : 0), (size_t)1 << 24) *
                                  MT_MIN(q->n, (size_t)64)));
    const char *p = !valid ? NULL : last ? find_last(s->p + from, to - from, q->p, q->n)
                                         : mt_j_find(s->p + from, to - from, q->p, q->n);
    if (!p && must) return mt_j_fail(r, MOTE_EINVAL, "substring not found");
    mt_jstr head = { s->p, NULL, p ? (size_t)(p - s->p) : 0, SIZE_MAX, NULL };
    *out = mt_j_int(p ? (int64_t)mt_j_chars(&head) : -1, mt_j_tainted(&a[0]));
    return MOTE_OK;
}

METHOD(m_find) { (void)raw; return find(r, a, false, false, out); }
METHOD(m_rfind) { (void)raw; return find(r, a, true, false, out); }
METHOD(m_index) { (void)raw; return find(r, a, false, true, out); }
METHOD(m_rindex) { (void)raw; return find(r, a, true, true, out); }

METHOD(m_count)
{
    size_t from, to;
    bool valid;
    int64_t n = 0;
    (void)raw;
    MT_TRY(want_str(r, &a[1], "count"));
    MT_TRY(range_of(r, a[0].u.s, &a[2], &a[3], &from, &to, &valid));
    const mt_jstr *s = a[0].u.s, *q = a[1].u.s;
    if (valid && q->n == 0) {
        mt_jstr part = { s->p + from, NULL, to - from, SIZE_MAX, NULL };
        n = (int64_t)mt_j_chars(&part) + 1;
    }
    while (valid && q->n) {
        const char *p = mt_j_find(s->p + from, to - from, q->p, q->n);
        if (!p) break;
        n++;
        from = (size_t)(p - s->p) + q->n;
    }
    *out = mt_j_int(n, mt_j_tainted(&a[0]));
    return MOTE_OK;
}

/* ---- split --------------------------------------------------------------------------- */
typedef struct pieces { mt_jrun *r; const mt_jstr *s; mt_jv *v; size_t n, cap; } pieces;

static mote_status add_piece(pieces *p, size_t from, size_t to)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
        mt_jv *v = mt_j_get(p->r, cap * sizeof *v);
        if (!v) return mt_j_nomem(p->r, cap * sizeof *v);
        if (p->n) memcpy(v, p->v, p->n * sizeof *v);
        p->v = v;
        p->cap = cap;
    }
    MT_TRY(mt_j_charge(p->r, to - from));
    return mt_j_sub(p->r, p->s, from, to - from, &p->v[p->n++]);
}

static mote_status pieces_done(pieces *p, bool reversed, mt_jv *out)
{
    mt_jv *v;
    MT_TRY(mt_j_list(p->r, MT_J_LIST, p->n, &v, out));
    for (size_t i = 0; i < p->n; i++) v[i] = p->v[reversed ? p->n - 1 - i : i];
    return MOTE_OK;
}

static size_t previous(const mt_jstr *s, size_t i)
{
    do i--; while (i > 0 && ((unsigned char)s->p[i] & 0xc0) == 0x80);
    return i;
}

static bool space_at(const mt_jstr *s, size_t i, size_t *len)
{
    return mt_j_is_space(mt_j_decode(s->p + i, s->n - i, len));
}

static mote_status split_space(pieces *p, int64_t max)
{
    const mt_jstr *s = p->s;
    size_t i = 0, len;
    for (;;) {
        while (i < s->n && space_at(s, i, &len)) i += len;
        if (i >= s->n) return MOTE_OK;
        size_t from = i;
        if (max-- == 0) return add_piece(p, from, s->n);
        while (i < s->n && !space_at(s, i, &len)) i += len;
        MT_TRY(add_piece(p, from, i));
    }
}

static mote_status rsplit_space(pieces *p, int64_t max)
{
    const mt_jstr *s = p->s;
    size_t end = s->n, len;
    for (;;) {
        while (end > 0 && space_at(s, previous(s, end), &len)) end = previous(s, end);
        if (end == 0) return MOTE_OK;
        size_t from = end;
        if (max-- == 0) return add_piece(p, 0, end);
        while (from > 0 && !space_at(s, previous(s, from), &len)) from = previous(s, from);
        MT_TRY(add_piece(p, from, end));
        end = from;
    }
}

static mote_status split_text(pieces *p, const mt_jstr *sep, int64_t max, bool last)
{
    const mt_jstr *s = p->s;
    size_t from = 0, end = s->n;
    while (max-- != 0) {
        const char *q = last ? find_last(s->p, end, sep->p, sep->n)
                             : mt_j_find(s->p + from, s->n - from, sep->p, sep->n);
        if (!q) break;
        size_t at = (size_t)(q - s->p);
        MT_TRY(last ? add_piece(p, at + sep->n, end) : add_piece(p, from, at));
        from = at + sep->n;
        end = at;
    }
    return last ? add_piece(p, 0, end) : add_piece(p, from, s->n);
}

static mote_status split(mt_jrun *r, const mt_jv *a, bool last, mt_jv *out)
{
    pieces p = { .r = r, .s = a[0].u.s };
    int64_t max;
    MT_TRY(want_int(r, &a[2], -1, &max));
    MT_TRY(mt_j_charge(r, a[0].u.s->n));
    if (a[1].type == MT_J_ABSENT || a[1].type == MT_J_NONE) {
        MT_TRY(last ? rsplit_space(&p, max) : split_space(&p, max));
    } else {
        MT_TRY(want_str(r, &a[1], "split"));
        if (!a[1].u.s->n) return mt_j_fail(r, MOTE_EINVAL, "empty separator");
        if (last)
            MT_TRY(mt_j_charge(r, MT_MIN(a[0].u.s->n, (size_t)1 << 24) *
                                      MT_MIN(a[1].u.s->n, (size_t)64)));
        MT_TRY(split_text(&p, a[1].u.s, max, last));
    }
    return pieces_done(&p, last, out);
}

METHOD(m_split) { (void)raw; return split(r, a, false, out); }
METHOD(m_rsplit) { (void)raw; return split(r, a, true, out); }

METHOD(m_splitlines)
{
    (void)raw;
    return mt_j_splitlines(r, a[0].u.s, mt_j_truth(&a[1]), out);
}

static mote_status partition(mt_jrun *r, const mt_jv *a, bool last, mt_jv *out)
{
    mt_jv *v;
    mt_jstr *s = a[0].u.s;
    MT_TRY(want_str(r, &a[1], "partition"));
    const mt_jstr *q = a[1].u.s;
    if (!q->n) return mt_j_fail(r, MOTE_EINVAL, "empty separator");
    MT_TRY(mt_j_charge(r, s->n * (last ? MT_MIN(q->n, (size_t)64) : 1)));
    const char *p = last ? find_last(s->p, s->n, q->p, q->n)
                         : mt_j_find(s->p, s->n, q->p, q->n);
    size_t at = p ? (size_t)(p - s->p) : last ? 0 : s->n, len = p ? q->n : 0;
    MT_TRY(mt_j_list(r, MT_J_TUPLE, 3, &v, out));
    MT_TRY(mt_j_sub(r, s, 0, at, &v[0]));
    MT_TRY(mt_j_sub(r, s, at, len, &v[1]));
    return mt_j_sub(r, s, at + len, s->n - at - len, &v[2]);
}

METHOD(m_partition) { (void)raw; return partition(r, a, false, out); }
METHOD(m_rpartition) { (void)raw; return partition(r, a, true, out); }

/* ---- is... ------------------------------------------------------------------------------- */
static bool is_digit_like(uint32_t cp) /* Numeric_Type=Digit outside Nd, the common ones */
{
    return cp == 0xb2 || cp == 0xb3 || cp == 0xb9 || cp == 0x2070 ||
           (cp >= 0x2074 && cp <= 0x2079) || (cp >= 0x2080 && cp <= 0x2089) ||
           (cp >= 0x2460 && cp <= 0x2468);
}

static bool has_class(uint32_t cp, char class)
{
    utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);
    bool is_letter = c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
    switch (class) {
    case 'a': return is_letter;
    case 'w': return is_letter || (c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO);
    case 'd': return c == UTF8PROC_CATEGORY_ND || is_digit_like(cp);
    case 'D': return c == UTF8PROC_CATEGORY_ND;
    case 'n': return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
    case 's': return mt_j_is_space(cp);
    case 'p': return mt_j_is_printable(cp);
    case '7': return cp < 128;
    default: return false;
    }
}

static mote_status all_of(mt_jrun *r, const mt_jstr *s, char class, bool when_empty, mt_jv *out)
{
    size_t len;
    MT_TRY(mt_j_charge(r, s->n));
    *out = mt_j_bool(s->n > 0 || when_empty);
    for (size_t i = 0; i < s->n; i += len)
        if (!has_class(mt_j_decode(s->p + i, s->n - i, &len), class)) {
            *out = mt_j_bool(false);
            break;
        }
    return MOTE_OK;
}

METHOD(m_isalpha) { (void)raw; return all_of(r, a[0].u.s, 'a', false, out); }
METHOD(m_isalnum) { (void)raw; return all_of(r, a[0].u.s, 'w', false, out); }
METHOD(m_isdigit) { (void)raw; return all_of(r, a[0].u.s, 'd', false, out); }
METHOD(m_isdecimal) { (void)raw; return all_of(r, a[0].u.s, 'D', false, out); }
METHOD(m_isnumeric) { (void)raw; return all_of(r, a[0].u.s, 'n', false, out); }
METHOD(m_isspace) { (void)raw; return all_of(r, a[0].u.s, 's', false, out); }
METHOD(m_isprintable) { (void)raw; return all_of(r, a[0].u.s, 'p', true, out); }
METHOD(m_isascii) { (void)raw; return all_of(r, a[0].u.s, '7', true, out); }

METHOD(m_islower)
{
    (void)raw;
    MT_TRY(mt_j_charge(r, a[0].u.s->n));
    *out = mt_j_bool(mt_j_is_cased(a[0].u.s, false));
    return MOTE_OK;
}

METHOD(m_isupper)
{
    (void)raw;
    MT_TRY(mt_j_charge(r, a[0].u.s->n));
    *out = mt_j_bool(mt_j_is_cased(a[0].u.s, true));
    return MOTE_OK;
}

METHOD(m_istitle)
{
    mt_jv titled;
    bool eq, any = false;
    size_t len;
    (void)raw;
    MT_TRY(by_character(r, a[0].u.s, 't', &titled));
    MT_TRY(mt_j_eq(r, &titled, &a[0], &eq));
    for (size_t i = 0; eq && !any && i < a[0].u.s->n; i += len)
        any = is_cased(mt_j_decode(a[0].u.s->p + i, a[0].u.s->n - i, &len));
    *out = mt_j_bool(eq && any);
    return MOTE_OK;
}

METHOD(m_format) { return mt_j_format(r, a[0].u.s, raw, out); }

static const mt_jproc methods[] = {
    { "strip", m_strip, "chars", 0 },
    { "lstrip", m_lstrip, "chars", 0 },
    { "rstrip", m_rstrip, "chars", 0 },
    { "split", m_split, "sep maxsplit", 0 },
    { "rsplit", m_rsplit, "sep maxsplit", 0 },
    { "startswith", m_startswith, "prefix start end", 1 },
    { "endswith", m_endswith, "suffix start end", 1 },
    { "replace", m_replace, "old new count", 2 },
    { "lower", m_lower, "", 0 },
    { "upper", m_upper, "", 0 },
    { "title", m_title, "", 0 },
    { "capitalize", m_capitalize, "", 0 },
    { "swapcase", m_swapcase, "", 0 },
    { "join", m_join, "iterable", 1 },
    { "format", m_format, "*", 0 },
    { "find", m_find, "sub start end", 1 },
    { "rfind", m_rfind, "sub start end", 1 },
    { "index", m_index, "sub start end", 1 },
    { "rindex", m_rindex, "sub start end", 1 },
    { "count", m_count, "sub start end", 1 },
    { "splitlines", m_splitlines, "keepends", 0 },
    { "partition", m_partition, "sep", 1 },
    { "rpartition", m_rpartition, "sep", 1 },
    { "removeprefix", m_removeprefix, "prefix", 1 },
    { "removesuffix", m_removesuffix, "suffix", 1 },
    { "center", m_center, "width fillchar", 1 },
    { "ljust", m_ljust, "width fillchar", 1 },
    { "rjust", m_rjust, "width fillchar", 1 },
    { "zfill", m_zfill, "width", 1 },
    { "isalpha", m_isalpha, "", 0 },
    { "isalnum", m_isalnum, "", 0 },
    { "isdigit", m_isdigit, "", 0 },
    { "isdecimal", m_isdecimal, "", 0 },
    { "isnumeric", m_isnumeric, "", 0 },
    { "isspace", m_isspace, "", 0 },
    { "isprintable", m_isprintable, "", 0 },
    { "isascii", m_isascii, "", 0 },
    { "islower", m_islower, "", 0 },
    { "isupper", m_isupper, "", 0 },
    { "istitle", m_istitle, "", 0 },
};

const mt_jproc *mt_j_str_method(mt_str name)
{ return mt_j_proc(methods, MT_COUNT(methods), name); }

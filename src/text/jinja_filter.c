/* SPDX-License-Identifier: MIT */
/* jinja_filter.c - filters on one value: text, numbers, defaults.  Those that walk a
 * sequence are in jinja_sequence.c; both fill the one table at the end here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja_filter.h"

/* ---- text ------------------------------------------------------------------------ */
/* str(a[0]), keeping markup what it is. */
static mote_status soft(mt_jrun *r, const mt_jv *v, mt_jv *out)
{
    MT_TRY(mt_j_str(r, v, out));
    if (v->type == MT_J_STR) out->sub = v->sub;
    return MOTE_OK;
}

static mote_status f_string(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)raw;
    return soft(r, &a[0], out);
}

static mote_status recase(mt_jrun *r, const mt_jv *a, mt_jcase what, mt_jv *out)
{
    mt_jv s;
    MT_TRY(soft(r, &a[0], &s));
    MT_TRY(mt_j_recase(r, s.u.s, what, out));
    out->sub = s.sub;
    return MOTE_OK;
}

static mote_status f_lower(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)raw;
    return recase(r, a, MT_J_LOWER, out);
}

static mote_status f_upper(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)raw;
    return recase(r, a, MT_J_UPPER, out);
}

static mote_status f_capitalize(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv s;
    (void)raw;
    MT_TRY(soft(r, &a[0], &s));
    MT_TRY(mt_j_capitalize(r, s.u.s, out));
    out->sub = s.sub;
    return MOTE_OK;
}

static bool begins_word(uint32_t cp)
{ return mt_j_is_space(cp) || (cp < 128 && cp && strchr("-({[<", (int)cp)); }

/* jinja2's own title: a word begins after white space, - or an opening bracket. */
static mote_status f_title(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv s, part;
    size_t len;
    (void)raw;
    MT_TRY(mt_j_str(r, &a[0], &s));
    const mt_jstr *t = s.u.s;
    mt_jbuf *b = mt_j_buf(r, t->n + 8);
    if (!b) return mt_j_nomem(r, t->n + 8);
    for (size_t i = 0; i < t->n; ) {
        bool was_break = begins_word(mt_j_decode(t->p + i, t->n - i, &len));
        size_t first = i + len, end = first;
        while (end < t->n &&
               begins_word(mt_j_decode(t->p + end, t->n - end, &len)) == was_break)
            end += len;
        MT_TRY(mt_j_sub(r, t, i, first - i, &part));
        MT_TRY(mt_j_recase(r, part.u.s, MT_J_UPPER, &part));
        MT_TRY(mt_j_put_str(r, b, part.u.s));
        MT_TRY(mt_j_sub(r, t, first, end - first, &part));
        MT_TRY(mt_j_recase(r, part.u.s, MT_J_LOWER, &part));
        MT_TRY(mt_j_put_str(r, b, part.u.s));
        i = end;
    }
    return mt_j_done(r, b, out);
}

static mote_status f_trim(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv s;
    (void)raw;
    MT_TRY(soft(r, &a[0], &s));
    MT_TRY(mt_j_strip(r, s.u.s, &a[1], true, true, out));
    out->sub = s.sub;
    return MOTE_OK;
}

static mote_status f_replace(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv s, old, with;
    int64_t count = -1;
    (void)raw;
    if (a[3].type != MT_J_ABSENT && a[3].type != MT_J_NONE && !mt_j_integer(&a[3], &count))
        return mt_j_fail(r, MOTE_EINVAL, "replace: the count must be an integer");
    MT_TRY(mt_j_str(r, &a[0], &s));
    MT_TRY(mt_j_str(r, &a[1], &old));
    MT_TRY(mt_j_str(r, &a[2], &with));
    return mt_j_replace(r, s.u.s, old.u.s, with.u.s, count, out);
}

static mote_status f_center(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv s;
    int64_t width;
    const mt_jstr blank = { " ", MT_J_TRUSTED, 1, 1, NULL };
    (void)raw;
    MT_TRY(mt_j_want_int(r, &a[1], 80, &width));
    MT_TRY(soft(r, &a[0], &s));
    MT_TRY(mt_j_center(r, s.u.s, width, 0, &blank, out));
    out->sub = s.sub;
    return MOTE_OK;
}

static mote_status f_indent(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv lines, pad = a[1], one, s = a[0];
    int64_t width = 4;
    (void)raw;
    if (s.type != MT_J_STR)
        return s.type == MT_J_UNDEF ? mt_j_undef_fail(r, &s)
                                    : mt_j_fail(r, MOTE_EINVAL, "indent: not a string");
    if (pad.type != MT_J_STR) {
        MT_TRY(mt_j_want_int(r, &a[1], 4, &width));
        mt_jv times = mt_j_int(width, false);
        MT_TRY(mt_j_text(r, " ", 1, MT_J_TRUSTED, &one));
        MT_TRY(mt_j_math(r, MT_JO_MUL, &one, &times, &pad));
    }
    MT_TRY(mt_j_splitlines(r, s.u.s, false, &lines));
    mt_jbuf *b = mt_j_buf(r, s.u.s->n + 64);
    if (!b) return mt_j_nomem(r, s.u.s->n + 64);
    /* s + "\n" is split: an empty text and a text that ends in a line end have one more line. */
    const mt_jlist *l = lines.u.l;
    size_t n = l->n;
    mt_jv last;
    if (n == 0) n = 1;
    else {
        MT_TRY(mt_j_splitlines(r, s.u.s, true, &last));
        const mt_jv *tail = &last.u.l->v[l->n - 1];
        if (tail->u.s->n != l->v[l->n - 1].u.s->n) n++;
    }
    if (mt_j_truth(&a[2])) MT_TRY(mt_j_put_str(r, b, pad.u.s));
    for (size_t i = 0; i < n; i++) {
        const mt_jstr *line = i < l->n ? l->v[i].u.s : NULL;
        if (i) MT_TRY(mt_j_put(r, b, "\n", 1, mt_j_tainted(&s) ? NULL : MT_J_TRUSTED));
        if (i && (mt_j_truth(&a[3]) || (line && line->n))) MT_TRY(mt_j_put_str(r, b, pad.u.s));
        if (line) MT_TRY(mt_j_put_str(r, b, line));
    }
    MT_TRY(mt_j_done(r, b, out));
    out->sub = s.sub;
    return MOTE_OK;
}

static mote_status f_truncate(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv end, cut;
    int64_t length, leeway, n;
    (void)raw;
    if (a[0].type != MT_J_STR) return mt_j_fail(r, MOTE_EINVAL, "truncate: not a string");
    MT_TRY(mt_j_want_int(r, &a[1], 255, &length));
    MT_TRY(mt_j_want_int(r, &a[4], 5, &leeway));
    if (a[3].type == MT_J_STR) end = a[3];
    else MT_TRY(mt_j_text(r, "...", 3, MT_J_TRUSTED, &end));
    int64_t n_end = (int64_t)mt_j_chars(end.u.s);
    if (length < n_end || leeway < 0)
        return mt_j_fail(r, MOTE_EINVAL, "truncate: length or leeway too small");
    MT_TRY(mt_j_len(r, &a[0], &n));
    if (leeway > n || n <= length + leeway) return mt_j_sub(r, a[0].u.s, 0, a[0].u.s->n, out);
    size_t keep = mt_j_offset(a[0].u.s, (size_t)(length - n_end));
    if (!mt_j_truth(&a[2])) {                     /* cut the last word, when there is a blank */
        const char *blank = keep ? memrchr(a[0].u.s->p, ' ', keep) : NULL;
        if (blank) keep = (size_t)(blank - a[0].u.s->p);
    }
    MT_TRY(mt_j_sub(r, a[0].u.s, 0, keep, &cut));
    return mt_j_concat(r, &cut, &end, out);
}

static mote_status f_wordcount(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv s;
    int64_t n = 0;
    bool in_word = false;
    size_t len;
    (void)raw;
    MT_TRY(mt_j_str(r, &a[0], &s));
    MT_TRY(mt_j_charge(r, s.u.s->n));
    for (size_t i = 0; i < s.u.s->n; i += len) {
        bool is_word = mt_j_is_word(mt_j_decode(s.u.s->p + i, s.u.s->n - i, &len));
        n += is_word && !in_word;
        in_word = is_word;
    }
    *out = mt_j_int(n, mt_j_tainted(&s));
    return MOTE_OK;
}

static mote_status f_format(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv s;
    if (raw->n && raw->n_k)
        return mt_j_fail(r, MOTE_EINVAL,
                         "format: positional and keyword arguments at the same time");
    MT_TRY(mt_j_str(r, &a[0], &s));
    return mt_j_percent(r, s.u.s, raw, out);
}

static mote_status f_escape(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv s;
    (void)raw;
    if (a[0].type == MT_J_STR && a[0].sub) {
        *out = a[0];
        return MOTE_OK;
    }
    MT_TRY(mt_j_str(r, &a[0], &s));
    return mt_j_escape(r, s.u.s, out);
}

static mote_status f_forceescape(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv s;
    (void)raw;
    MT_TRY(mt_j_str(r, &a[0], &s));
    return mt_j_escape(r, s.u.s, out);
}

static mote_status f_safe(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)raw;
    MT_TRY(mt_j_str(r, &a[0], out));
    out->sub = 1;
    return MOTE_OK;
}

/* ---- numbers ------------------------------------------------------------------------- */
static mote_status truncated(mt_jrun *r, double f, bool tainted, mt_jv *out)
{
    if (!(fabs(f) < 9.2e18))
        return mt_j_fail(r, MOTE_EUNSUPPORTED, "an integer beyond 64 bits");
    *out = mt_j_int((int64_t)f, tainted);
    return MOTE_OK;
}

static mote_status f_int(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    int64_t i, base;
    double f;
    bool too_big = false, tainted = mt_j_tainted(&a[0]);
    (void)raw;
    MT_TRY(mt_j_want_int(r, &a[2], 10, &base));
    *out = a[1].type == MT_J_ABSENT ? mt_j_int(0, false) : a[1];
    if (a[0].type == MT_J_UNDEF) return mt_j_undef_fail(r, &a[0]);
    if (mt_j_integer(&a[0], &i)) {
        *out = mt_j_int(i, tainted);
        return MOTE_OK;
    }
    if (a[0].type == MT_J_FLOAT)
        return isfinite(a[0].u.f) ? truncated(r, a[0].u.f, tainted, out) : MOTE_OK;
    if (a[0].type != MT_J_STR) return MOTE_OK;
    mt_str s = { a[0].u.s->p, a[0].u.s->n };
    MT_TRY(mt_j_charge(r, s.n));
    if (base >= 0 && base <= 36 && base != 1 && mt_j_parse_int(s, (int)base, &i, &too_big)) {
        if (too_big) return mt_j_fail(r, MOTE_EUNSUPPORTED, "an integer beyond 64 bits");
        *out = mt_j_int(i, tainted);
    } else if (mt_j_parse_float(s, &f) && isfinite(f)) {
        return truncated(r, f, tainted, out);
    }
    return MOTE_OK;
}

static mote_status f_float(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    double f;
    (void)raw;
    if (a[0].type == MT_J_UNDEF) return mt_j_undef_fail(r, &a[0]);
    *out = a[1].type == MT_J_ABSENT ? mt_j_float(0, false) : a[1];
    if (mt_j_num(&a[0], &f) || (a[0].type == MT_J_STR &&
                                mt_j_parse_float((mt_str){ a[0].u.s->p, a[0].u.s->n }, &f)))
        *out = mt_j_float(f, mt_j_tainted(&a[0]));
    return MOTE_OK;
}

static mote_status f_abs(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    int64_t i;
    (void)raw;
    if (a[0].type == MT_J_FLOAT) *out = mt_j_float(fabs(a[0].u.f), a[0].tainted);
    else if (!mt_j_integer(&a[0], &i))
        return a[0].type == MT_J_UNDEF
                   ? mt_j_undef_fail(r, &a[0])
                   : mt_j_fail(r, MOTE_EINVAL, "bad operand type for abs(): '%s'",
                               mt_j_type_name(&a[0]));
    else if (i == INT64_MIN)
        return mt_j_fail(r, MOTE_EUNSUPPORTED, "an integer beyond 64 bits");
    else *out = mt_j_int(i < 0 ? -i : i, a[0].tainted);
    return MOTE_OK;
}

/* round(x, n): to the nearest decimal text, halves to even, as printf rounds. */
static double round_to(double f, int64_t digits)
{
    char text[400];
    if (!isfinite(f) || digits > 300) return f;
    if (digits >= 0) {
        (void)snprintf(text, sizeof text, "%.*f", (int)MT_MIN(digits, (int64_t)60), f);
        return strtod(text, NULL);
    }
    double unit = pow(10, (double)MT_MIN(-digits, (int64_t)310));
    return nearbyint(f / unit) * unit;
}

static mote_status f_round(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    double f;
    int64_t digits, i;
    (void)raw;
    bool common = a[2].type == MT_J_ABSENT, up = false, down = false;
    if (a[2].type == MT_J_STR) {
        mt_str m = { a[2].u.s->p, a[2].u.s->n };
        common = mt_str_is(m, "common");
        up = mt_str_is(m, "ceil");
        down = mt_str_is(m, "floor");
    }
    if (!common && !up && !down)
        return mt_j_fail(r, MOTE_EINVAL, "method must be common, ceil or floor");
    MT_TRY(mt_j_want_int(r, &a[1], 0, &digits));
    if (!mt_j_num(&a[0], &f))
        return a[0].type == MT_J_UNDEF ? mt_j_undef_fail(r, &a[0])
                                       : mt_j_fail(r, MOTE_EINVAL, "type %s cannot be rounded",
                                                   mt_j_type_name(&a[0]));
    if (common && mt_j_integer(&a[0], &i) && digits >= 0) {
        *out = mt_j_int(i, a[0].tainted);
        return MOTE_OK;
    }
    if (common && mt_j_integer(&a[0], &i)) {
        double whole = round_to((double)i, digits);
        return truncated(r, whole, a[0].tainted, out);
    }
    double unit = pow(10, (double)MT_MAX(MT_MIN(digits, (int64_t)310), (int64_t)-310));
    double v = common ? round_to(f, digits) : (up ? ceil(f * unit) : floor(f * unit)) / unit;
    *out = mt_j_float(v, a[0].tainted);
    return MOTE_OK;
}

/* ---- the rest ---------------------------------------------------------------------------- */
static mote_status f_default(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)raw;
    bool use_other = a[0].type == MT_J_UNDEF || (mt_j_truth(&a[2]) && !mt_j_truth(&a[0]));
    if (use_other && a[1].type == MT_J_ABSENT) return mt_j_text(r, "", 0, MT_J_TRUSTED, out);
    *out = use_other ? a[1] : a[0];
    return MOTE_OK;
}

static mote_status f_length(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    int64_t n;
    (void)raw;
    MT_TRY(mt_j_len(r, &a[0], &n));
    *out = mt_j_int(n, mt_j_deep_tainted(r, &a[0], 0));
    return MOTE_OK;
}

static mote_status f_attr(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)raw;
    if (a[1].type != MT_J_STR)
        return mt_j_fail(r, MOTE_EINVAL, "attribute name must be string");
    if (a[0].type == MT_J_DICT) {                 /* an attribute, never an item */
        mt_jv empty;
        MT_TRY(mt_j_dict(r, 0, &empty));
        MT_TRY(mt_j_getattr(r, &empty, (mt_str){ a[1].u.s->p, a[1].u.s->n }, out));
        if (out->type == MT_J_BOUND) out->u.bound->self = a[0];
        return MOTE_OK;
    }
    return mt_j_getattr(r, &a[0], (mt_str){ a[1].u.s->p, a[1].u.s->n }, out);
}

static const mt_jproc filters[] = {
    { "abs", f_abs, "", 0 },
    { "attr", f_attr, "name", 1 },
    { "capitalize", f_capitalize, "", 0 },
    { "center", f_center, "width", 0 },
    { "count", f_length, "", 0 },
    { "d", f_default, "default_value boolean", 0 },
    { "default", f_default, "default_value boolean", 0 },
    { "e", f_escape, "", 0 },
    { "escape", f_escape, "", 0 },
    { "float", f_float, "default", 0 },
    { "forceescape", f_forceescape, "", 0 },
    { "format", f_format, "*", 0 },
    { "indent", f_indent, "width first blank", 0 },
    { "int", f_int, "default base", 0 },
    { "length", f_length, "", 0 },
    { "lower", f_lower, "", 0 },
    { "replace", f_replace, "old new count", 2 },
    { "round", f_round, "precision method", 0 },
    { "safe", f_safe, "", 0 },
    { "string", f_string, "", 0 },
    { "title", f_title, "", 0 },
    { "tojson", mt_j_tojson, "ensure_ascii indent separators sort_keys", 0 },
    { "trim", f_trim, "chars", 0 },
    { "truncate", f_truncate, "length killwords end leeway", 0 },
    { "upper", f_upper, "", 0 },
    { "wordcount", f_wordcount, "", 0 },
};

const mt_jproc *mt_j_filter(mt_str name)
{
    const mt_jproc *p = mt_j_proc(filters, MT_COUNT(filters), name);
    return p ? p : mt_j_sequence_filter(name);
}

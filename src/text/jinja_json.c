/* SPDX-License-Identifier: MIT */
/* jinja_json.c - JSON in (the variables) and out (the tojson filter, as Python's json.dumps).
 *
 * Strings of the variables are views into the parsed JSON, which outlives the render.  A text
 * written by tojson is trusted only when every string and number in it is. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja.h"

/* ---- in ------------------------------------------------------------------------ */
static mote_status container(mt_jrun *r, const json_t *json, bool tainted, int depth,
                             mt_jv *out)
{
    mt_jv *v, key, value;
    if (depth >= MT_J_DATA_DEPTH)
        return mt_j_limit(r, "levels of nested data", MT_J_DATA_DEPTH);
    const uint8_t *t = tainted ? NULL : MT_J_TRUSTED;
    if (json_is_array(json)) {
        MT_TRY(mt_j_list(r, MT_J_LIST, json_array_size(json), &v, out));
        for (size_t i = 0; i < json_array_size(json); i++)
            MT_TRY(mt_j_from_json(r, json_array_get(json, i), tainted, depth + 1, &v[i]));
        out->tainted = tainted;
        return MOTE_OK;
    }
    MT_TRY(mt_j_dict(r, json_object_size(json), out));
    json_t *object = (json_t *)(uintptr_t)json;   /* the iterator wants it writable */
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        MT_TRY(mt_j_text(r, json_object_iter_key(it), json_object_iter_key_len(it), t, &key));
        MT_TRY(mt_j_from_json(r, json_object_iter_value(it), tainted, depth + 1, &value));
        MT_TRY(mt_j_dict_set(r, out->u.d, &key, &value));
    }
    out->tainted = tainted;
    return MOTE_OK;
}

mote_status mt_j_from_json(mt_jrun *r, const void *json_value, bool tainted, int depth,
                           mt_jv *out)
{
    const json_t *json = json_value;
    switch (json_typeof(json)) {
    case JSON_NULL: *out = mt_j_none(); break;
    case JSON_TRUE: case JSON_FALSE: *out = mt_j_bool(json_is_true(json)); break;
    case JSON_INTEGER: *out = mt_j_int(json_integer_value(json), tainted); break;
    case JSON_REAL: *out = mt_j_float(json_real_value(json), tainted); break;
    case JSON_STRING:
        return mt_j_text(r, json_string_value(json), json_string_length(json),
                         tainted ? NULL : MT_J_TRUSTED, out);
    case JSON_ARRAY: case JSON_OBJECT: return container(r, json, tainted, depth, out);
    }
    out->tainted = tainted;
    return MOTE_OK;
}

/* ---- out -------------------------------------------------------------------------- */
typedef struct writer {
    mt_jrun *r;
    mt_jbuf *b;
    const uint8_t *t;             /* the mark of everything written */
    const char *comma, *colon;    /* separators */
    size_t n_comma, n_colon;
    const mt_jstr *indent;        /* NULL: on one line */
    bool ascii, sort;
} writer;

static mote_status put(writer *w, const char *text)
{ return mt_j_put(w->r, w->b, text, strlen(text), w->t); }

static mote_status write_string(writer *w, const char *p, size_t n)
{
    MT_TRY(put(w, "\""));
    size_t from = 0, len;
    for (size_t i = 0; i < n; i += len) {
        static const char special[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
        char text[16];
        uint32_t cp = (unsigned char)p[i];
        const char *s = cp && cp < 128 ? strchr(special, (int)cp) : NULL;
        len = 1;
        if (cp >= 32 && !s && (!w->ascii || cp < 0x7f)) continue;
        if (cp >= 0x80) cp = mt_j_decode(p + i, n - i, &len);
        if (s) (void)snprintf(text, sizeof text, "\\%c", letters[s - special]);
        else if (cp < 0x10000) (void)snprintf(text, sizeof text, "\\u%04x", cp);
        else
            (void)snprintf(text, sizeof text, "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10),
                           0xdc00 + (cp & 0x3ff));
        MT_TRY(mt_j_put(w->r, w->b, p + from, i - from, w->t));
        MT_TRY(put(w, text));
        from = i + len;
    }
    MT_TRY(mt_j_put(w->r, w->b, p + from, n - from, w->t));
    return put(w, "\"");
}

static mote_status new_line(writer *w, int depth)
{
    if (!w->indent) return MOTE_OK;
    MT_TRY(put(w, "\n"));
    for (int i = 0; i < depth; i++)
        MT_TRY(mt_j_put(w->r, w->b, w->indent->p, w->indent->n, w->t));
    return MOTE_OK;
}

static mote_status separate(writer *w, size_t i, int depth)
{
    if (i) MT_TRY(mt_j_put(w->r, w->b, w->comma, w->n_comma, w->t));
    return new_line(w, depth);
}

static mote_status write_value(writer *w, const mt_jv *v, int depth);

static mote_status scalar_text(writer *w, const mt_jv *v, char text[40])
{
    if (v->type == MT_J_NONE) (void)snprintf(text, 40, "null");
    else if (v->type == MT_J_BOOL) (void)snprintf(text, 40, v->u.b ? "true" : "false");
    else if (v->type == MT_J_INT) (void)snprintf(text, 40, "%lld", (long long)v->u.i);
    else if (v->type == MT_J_FLOAT && isnan(v->u.f)) (void)snprintf(text, 40, "NaN");
    else if (v->type == MT_J_FLOAT && isinf(v->u.f))
        (void)snprintf(text, 40, v->u.f < 0 ? "-Infinity" : "Infinity");
    else if (v->type == MT_J_FLOAT) (void)mt_j_float_text(v->u.f, text);
    else
        return mt_j_fail(w->r, MOTE_EINVAL, "object of type %s is not JSON serializable",
                         mt_j_type_name(v));
    return MOTE_OK;
}

static mote_status write_pair(writer *w, const mt_jpair *e, int depth)
{
    char text[40];
    if (e->k.type == MT_J_STR) {
        MT_TRY(write_string(w, e->k.u.s->p, e->k.u.s->n));
    } else {
        MT_TRY(scalar_text(w, &e->k, text));
        MT_TRY(write_string(w, text, strlen(text)));
    }
    MT_TRY(mt_j_put(w->r, w->b, w->colon, w->n_colon, w->t));
    return write_value(w, &e->v, depth);
}

/* The pairs of d by key: an insertion sort is enough for the rare sort_keys. */
static mote_status sorted_pairs(writer *w, const mt_jdict *d, const mt_jpair **out)
{
    mt_jpair *e = mt_j_get(w->r, d->n * sizeof *e);
    if (!e) return mt_j_nomem(w->r, d->n * sizeof *e);
    for (size_t i = 0; i < d->n; i++) {
        size_t k = i;
        for (; k > 0; k--) {
            int order;
            MT_TRY(mt_j_less(w->r, &d->e[i].k, &e[k - 1].k, "<", &order));
            if (order >= 0) break;
            e[k] = e[k - 1];
        }
        e[k] = d->e[i];
    }
    *out = e;
    return MOTE_OK;
}

static mote_status write_value(writer *w, const mt_jv *v, int depth)
{
    char text[40];
    MT_TRY(mt_j_charge(w->r, 0));
    if (depth > MT_J_DATA_DEPTH)
        return mt_j_limit(w->r, "levels of nested data", MT_J_DATA_DEPTH);
    if (v->type == MT_J_STR) return write_string(w, v->u.s->p, v->u.s->n);
    bool is_dict = v->type == MT_J_DICT;
    if (!is_dict && v->type != MT_J_LIST && v->type != MT_J_TUPLE) {
        MT_TRY(scalar_text(w, v, text));
        return put(w, text);
    }
    size_t n = is_dict ? v->u.d->n : v->u.l->n;
    if (!n) return put(w, is_dict ? "{}" : "[]");
    const mt_jpair *e = is_dict ? v->u.d->e : NULL;
    if (is_dict && w->sort) MT_TRY(sorted_pairs(w, v->u.d, &e));
    MT_TRY(put(w, is_dict ? "{" : "["));
    for (size_t i = 0; i < n; i++) {
        MT_TRY(separate(w, i, depth + 1));
        if (is_dict) MT_TRY(write_pair(w, &e[i], depth + 1));
        else MT_TRY(write_value(w, &v->u.l->v[i], depth + 1));
    }
    MT_TRY(new_line(w, depth));
    return put(w, is_dict ? "}" : "]");
}

static mote_status read_options(writer *w, const mt_jv *indent, const mt_jv *separators,
                                mt_jv *spaces)
{
    int64_t n;
    if (indent->type == MT_J_STR) {
        w->indent = indent->u.s;
    } else if (mt_j_integer(indent, &n)) {
        const mt_jstr blank = { " ", MT_J_TRUSTED, 1, 1, NULL };
        mt_jv one = { .type = MT_J_STR }, times = mt_j_int(MT_MIN(n, (int64_t)1 << 20), false);
        mt_jstr copy = blank;
        one.u.s = &copy;
        MT_TRY(mt_j_math(w->r, MT_JO_MUL, &one, &times, spaces));
        w->indent = spaces->u.s;
    } else if (indent->type != MT_J_NONE && indent->type != MT_J_ABSENT) {
        return mt_j_fail(w->r, MOTE_EINVAL, "indent must be a number or a string");
    }
    w->comma = w->indent ? "," : ", ";
    w->n_comma = strlen(w->comma);
    w->colon = ": ";
    w->n_colon = 2;
    if (separators->type == MT_J_ABSENT || separators->type == MT_J_NONE) return MOTE_OK;
    bool is_pair = (separators->type == MT_J_LIST || separators->type == MT_J_TUPLE) &&
                   separators->u.l->n == 2 && separators->u.l->v[0].type == MT_J_STR &&
                   separators->u.l->v[1].type == MT_J_STR;
    if (!is_pair) return mt_j_fail(w->r, MOTE_EINVAL, "separators must be two strings");
    const mt_jstr *comma = separators->u.l->v[0].u.s, *colon = separators->u.l->v[1].u.s;
    w->comma = comma->p;
    w->n_comma = comma->n;
    w->colon = colon->p;
    w->n_colon = colon->n;
    return MOTE_OK;
}

/* tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False) */
mote_status mt_j_tojson(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv spaces;
    writer w = { .r = r, .ascii = mt_j_truth(&a[1]), .sort = mt_j_truth(&a[4]) };
    (void)raw;
    bool is_tainted = mt_j_deep_tainted(r, &a[0], 0);
    for (int i = 2; i < 4; i++) is_tainted = is_tainted || mt_j_deep_tainted(r, &a[i], 0);
    w.t = is_tainted ? NULL : MT_J_TRUSTED;
    w.b = mt_j_buf(r, 256);
    if (!w.b) return mt_j_nomem(r, 256);
    MT_TRY(read_options(&w, &a[2], &a[3], &spaces));
    MT_TRY(write_value(&w, &a[0], 0));
    return mt_j_done(r, w.b, out);
}

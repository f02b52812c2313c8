/* SPDX-License-Identifier: MIT */
/* jinja_attr.c - a.b, a[b], a[b:c], and the methods of lists and dicts.
 *
 * jinja2 tries a.b as an attribute first and a['b'] as an item first, each falling back to the
 * other, so `message['items']` without such a key is the method.  Nothing else of Python's
 * objects exists here; what the immutable sandbox forbids is an unsafe undefined. */
#include <string.h>

#include "text/jinja.h"

static mote_status bind(mt_jrun *r, const mt_jv *self, const mt_jproc *proc, mt_jv *out)
{
    mt_jbound *b = mt_j_get(r, sizeof *b);
    if (!b) return mt_j_nomem(r, sizeof *b);
    *b = (mt_jbound){ *self, proc };
    *out = (mt_jv){ .type = MT_J_BOUND };
    out->u.bound = b;
    return MOTE_OK;
}

/* ---- dicts --------------------------------------------------------------------- */
static mote_status view(mt_jrun *r, const mt_jdict *d, int which, mt_jv *out)
{
    mt_jv *v, pair, *part;
    MT_TRY(mt_j_list(r, MT_J_VIEW, d->n, &v, out));
    out->sub = (uint8_t)which;
    for (size_t i = 0; i < d->n; i++) {
        v[i] = which == MT_J_KEYS ? d->e[i].k : d->e[i].v;
        if (which != MT_J_ITEMS) continue;
        MT_TRY(mt_j_list(r, MT_J_TUPLE, 2, &part, &pair));
        part[0] = d->e[i].k;
        part[1] = d->e[i].v;
        v[i] = pair;
    }
    return MOTE_OK;
}

static mote_status dict_keys(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)raw;
    return view(r, a[0].u.d, MT_J_KEYS, out);
}

static mote_status dict_values(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)raw;
    return view(r, a[0].u.d, MT_J_VALUES, out);
}

static mote_status dict_items(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)raw;
    return view(r, a[0].u.d, MT_J_ITEMS, out);
}

static mote_status dict_get(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    const mt_jv *v;
    (void)raw;
    MT_TRY(mt_j_dict_get(r, a[0].u.d, &a[1], &v));
    *out = v ? *v : a[2].type == MT_J_ABSENT ? mt_j_none() : a[2];
    return MOTE_OK;
}

static mote_status same(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)r;                                      /* nothing can change a copy */
    (void)raw;
    *out = a[0];
    return MOTE_OK;
}

static const mt_jproc dict_methods[] = {
    { "keys", dict_keys, "", 0 },   { "values", dict_values, "", 0 },
    { "items", dict_items, "", 0 }, { "get", dict_get, "key default", 1 },
    { "copy", same, "", 0 },
};
static const char dict_unsafe[] = " clear pop popitem setdefault update ";

/* ---- lists ------------------------------------------------------------------------ */
static mote_status list_count(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    int64_t n = 0;
    (void)raw;
    for (size_t i = 0; i < a[0].u.l->n; i++) {
        bool eq;
        MT_TRY(mt_j_eq(r, &a[0].u.l->v[i], &a[1], &eq));
        n += eq;
    }
    *out = mt_j_int(n, a[0].tainted);
    return MOTE_OK;
}

static mote_status list_index(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)raw;
    for (size_t i = 0; i < a[0].u.l->n; i++) {
        bool eq;
        MT_TRY(mt_j_eq(r, &a[0].u.l->v[i], &a[1], &eq));
        if (!eq) continue;
        *out = mt_j_int((int64_t)i, a[0].tainted);
        return MOTE_OK;
    }
    return mt_j_fail(r, MOTE_EINVAL, "the value is not in the %s", mt_j_type_name(&a[0]));
}

static const mt_jproc list_methods[] = {
    { "count", list_count, "value", 1 },
    { "index", list_index, "value", 1 },
    { "copy", same, "", 0 },
};
static const char list_unsafe[] = " append clear pop reverse insert sort extend remove ";

/* ---- cyclers ---------------------------------------------------------------------- */
static mote_status cycler_next(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jcycler *c = a[0].u.c;
    (void)raw;
    r->escapes++;
    *out = c->v[c->at];
    c->at = (c->at + 1) % c->n;
    return MOTE_OK;
}

static mote_status cycler_reset(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)r;
    (void)raw;
    a[0].u.c->at = 0;
    *out = mt_j_none();
    return MOTE_OK;
}

static const mt_jproc cycler_methods[] = {
    { "next", cycler_next, "", 0 }, { "reset", cycler_reset, "", 0 },
};

/* ---- loops ------------------------------------------------------------------------- */
static mote_status loop_cycle(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    if (!raw->n) return mt_j_fail(r, MOTE_EINVAL, "no items for cycling given");
    *out = raw->v[(size_t)a[0].u.loop->index0 % raw->n];
    return MOTE_OK;
}

static mote_status loop_changed(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jloop *l = a[0].u.loop;
    mt_jv now, *v;
    bool eq = false;
    MT_TRY(mt_j_list(r, MT_J_TUPLE, raw->n, &v, &now));
    if (raw->n) memcpy(v, raw->v, raw->n * sizeof *v);
    if (l->last_changed.type != MT_J_ABSENT) MT_TRY(mt_j_eq(r, &now, &l->last_changed, &eq));
    r->escapes++;
    l->last_changed = now;
    *out = mt_j_bool(!eq);
    return MOTE_OK;
}

static const mt_jproc loop_methods[] = {
    { "cycle", loop_cycle, "*", 0 }, { "changed", loop_changed, "*", 0 },
};

/* ---- a.b ------------------------------------------------------------------------------ */
const mt_jproc *mt_j_proc(const mt_jproc *table, size_t n, mt_str name)
{
    for (size_t i = 0; i < n; i++)
        if (mt_str_is(name, table[i].name)) return &table[i];
    return NULL;
}

static bool in_words(const char *words, mt_str name)
{
    char padded[16];
    if (name.n + 3 > sizeof padded) return false;
    padded[0] = ' ';
    memcpy(padded + 1, name.p, name.n);
    memcpy(padded + 1 + name.n, " ", 2);
    return strlen(padded) == name.n + 2 && strstr(words, padded) != NULL;
}

static mote_status macro_attr(mt_jrun *r, const mt_jmacro *m, mt_str name, mt_jv *out)
{
    const mt_jnode *n = m->node;
    if (mt_str_is(name, "name")) return mt_j_text(r, n->text.p, n->text.n, MT_J_TRUSTED, out);
    if (mt_str_is(name, "caller")) *out = mt_j_bool(n->op & MT_JM_CALLER);
    if (mt_str_is(name, "catch_varargs")) *out = mt_j_bool(n->op & MT_JM_VARARGS);
    if (mt_str_is(name, "catch_kwargs")) *out = mt_j_bool(n->op & MT_JM_KWARGS);
    if (!mt_str_is(name, "arguments")) return MOTE_OK;
    mt_jv *v;
    MT_TRY(mt_j_list(r, MT_J_TUPLE, n->n - 1, &v, out));
    for (uint32_t i = 0; i + 1 < n->n; i++)
        MT_TRY(mt_j_text(r, n->kid[i]->text.p, n->kid[i]->text.n, MT_J_TRUSTED, &v[i]));
    return MOTE_OK;
}

/* A real attribute of obj; out stays ABSENT when there is none. */
static mote_status attribute(mt_jrun *r, const mt_jv *obj, mt_str name, mt_jv *out)
{
    const mt_jproc *proc = NULL;
    const char *unsafe = "";
    *out = (mt_jv){ .type = MT_J_ABSENT };
    switch ((mt_jtype)obj->type) {
    case MT_J_STR: proc = mt_j_str_method(name); break;
    case MT_J_DICT:
        proc = mt_j_proc(dict_methods, MT_COUNT(dict_methods), name);
        unsafe = dict_unsafe;
        break;
    case MT_J_LIST:
        proc = mt_j_proc(list_methods, MT_COUNT(list_methods), name);
        unsafe = list_unsafe;
        break;
    case MT_J_TUPLE:
        proc = mt_j_proc(list_methods, MT_COUNT(list_methods) - 1, name);
        if (obj->sub && mt_str_is(name, "grouper")) *out = obj->u.l->v[0];
        if (obj->sub && mt_str_is(name, "list")) *out = obj->u.l->v[1];
        break;
    case MT_J_SPACE: {
        const mt_jv *v = mt_j_dict_text(obj->u.d, name);
        if (v) *out = *v;
        return MOTE_OK;
    }
    case MT_J_LOOP:
        proc = mt_j_proc(loop_methods, MT_COUNT(loop_methods), name);
        if (!proc) return mt_j_loop_attr(r, obj->u.loop, name, out);
        break;
    case MT_J_MACRO: return macro_attr(r, obj->u.m, name, out);
    case MT_J_CYCLER:
        proc = mt_j_proc(cycler_methods, MT_COUNT(cycler_methods), name);
        if (mt_str_is(name, "current")) *out = obj->u.c->v[obj->u.c->at];
        break;
    case MT_J_ABSENT:
    case MT_J_UNDEF:
    case MT_J_NONE:
    case MT_J_BOOL:
    case MT_J_INT:
    case MT_J_FLOAT:
    case MT_J_VIEW: case MT_J_GEN: case MT_J_RANGE_OBJ: case MT_J_FUNC: case MT_J_BOUND:
    case MT_J_JOINER: break;
    }
    if (proc) return bind(r, obj, proc, out);
    bool is_dunder = name.n > 4 && memcmp(name.p, "__", 2) == 0 &&
                     memcmp(name.p + name.n - 2, "__", 2) == 0;
    if (!is_dunder && !in_words(unsafe, name)) return MOTE_OK;
    mt_jv key;
    MT_TRY(mt_j_text(r, name.p, name.n, MT_J_TRUSTED, &key));
    return mt_j_undef_of(r, obj, &key, true, out);
}

mote_status mt_j_getattr(mt_jrun *r, const mt_jv *obj, mt_str name, mt_jv *out)
{
    if (obj->type == MT_J_UNDEF) return mt_j_undef_fail(r, obj);
    MT_TRY(attribute(r, obj, name, out));
    if (out->type != MT_J_ABSENT) return MOTE_OK;
    const mt_jv *v = obj->type == MT_J_DICT ? mt_j_dict_text(obj->u.d, name) : NULL;
    if (v) {
        *out = *v;
        return MOTE_OK;
    }
    mt_jv key;
    MT_TRY(mt_j_text(r, name.p, name.n, MT_J_TRUSTED, &key));
    return mt_j_undef_of(r, obj, &key, false, out);
}

/* ---- a[b] ------------------------------------------------------------------------------ */
/* Item i of a sequence, counted from the end when negative; ABSENT when out of range. */
static mote_status at_index(mt_jrun *r, const mt_jv *obj, int64_t i, mt_jv *out)
{
    int64_t n;
    size_t len;
    MT_TRY(mt_j_len(r, obj, &n));
    if (i < 0) i += n;
    if (i < 0 || i >= n) return MOTE_OK;
    if (obj->type == MT_J_RANGE_OBJ) {
        *out = mt_j_int(obj->u.r->start + i * obj->u.r->step, obj->u.r->tainted);
    } else if (obj->type == MT_J_STR) {
        size_t at = mt_j_offset(obj->u.s, (size_t)i);
        (void)mt_j_decode(obj->u.s->p + at, obj->u.s->n - at, &len);
        return mt_j_sub(r, obj->u.s, at, len, out);
    } else {
        *out = obj->u.l->v[i];
    }
    return MOTE_OK;
}

static bool hashable(const mt_jv *v)
{
    return v->type != MT_J_LIST && v->type != MT_J_DICT && v->type != MT_J_VIEW;
}

mote_status mt_j_getitem(mt_jrun *r, const mt_jv *obj, const mt_jv *key, mt_jv *out)
{
    int64_t i;
    *out = (mt_jv){ .type = MT_J_ABSENT };
    if (obj->type == MT_J_UNDEF) return mt_j_undef_fail(r, obj);
    if (obj->type == MT_J_DICT && hashable(key)) {
        const mt_jv *v;
        MT_TRY(mt_j_dict_get(r, obj->u.d, key, &v));
        if (v) *out = *v;
    } else if (mt_j_integer(key, &i) &&
               (obj->type == MT_J_LIST || obj->type == MT_J_TUPLE || obj->type == MT_J_STR ||
                obj->type == MT_J_RANGE_OBJ)) {
        MT_TRY(at_index(r, obj, i, out));
    }
    if (out->type == MT_J_ABSENT && key->type == MT_J_STR)
        MT_TRY(attribute(r, obj, (mt_str){ key->u.s->p, key->u.s->n }, out));
    return out->type == MT_J_ABSENT ? mt_j_undef_of(r, obj, key, false, out) : MOTE_OK;
}

/* ---- a[b:c:d] ---------------------------------------------------------------------------- */
static int64_t clamp(int64_t i, int64_t n, int64_t low, int64_t high)
{
    if (i < 0) i = i < -n ? low : i + n;
    return i < low ? low : i > high ? high : i;
}

static mote_status take(mt_jrun *r, const mt_jv *obj, int64_t start, int64_t step, size_t n,
                        mt_jv *out)
{
    if (obj->type == MT_J_STR) {
        mt_jstr *s = obj->u.s;
        size_t from = mt_j_offset(s, (size_t)MT_MAX(start, (int64_t)0)), len;
        MT_TRY(mt_j_charge(r, s->n));
        if (step == 1)
            return mt_j_sub(r, s, from, mt_j_offset(s, (size_t)start + n) - from, out);
        mt_jbuf *b = mt_j_buf(r, n + 8);
        if (!b) return mt_j_nomem(r, n + 8);
        for (size_t i = 0; i < n; i++) {
            mt_jv c;
            size_t at = from;
            (void)mt_j_decode(s->p + at, s->n - at, &len);
            MT_TRY(mt_j_sub(r, s, at, len, &c));
            MT_TRY(mt_j_put_str(r, b, c.u.s));
            for (int64_t k = step; k > 0 && from < s->n; k--)
                do from++; while (from < s->n && ((unsigned char)s->p[from] & 0xc0) == 0x80);
            for (int64_t k = step; k < 0 && from > 0; k++)
                do from--; while (from > 0 && ((unsigned char)s->p[from] & 0xc0) == 0x80);
        }
        return mt_j_done(r, b, out);
    }
    if (obj->type == MT_J_RANGE_OBJ) {
        mt_jrange *g = mt_j_get(r, sizeof *g);
        if (!g) return mt_j_nomem(r, sizeof *g);
        const mt_jrange *o = obj->u.r;
        *g = (mt_jrange){ o->start + start * o->step,
                          o->start + (start + (int64_t)n * step) * o->step, o->step * step, n,
                          o->tainted };
        *out = *obj;
        out->u.r = g;
        return MOTE_OK;
    }
    mt_jv *v;
    if (step == 1) {                              /* nothing can change a list: share it */
        MT_TRY(mt_j_list(r, (mt_jtype)obj->type, 0, NULL, out));
        *out->u.l = (mt_jlist){ obj->u.l->v + (n ? start : 0), n };
    } else {
        MT_TRY(mt_j_list(r, (mt_jtype)obj->type, n, &v, out));
        for (size_t i = 0; i < n; i++) v[i] = obj->u.l->v[start + (int64_t)i * step];
    }
    out->tainted = obj->tainted;
    return MOTE_OK;
}

mote_status mt_j_slice(mt_jrun *r, const mt_jv *obj, const mt_jv idx[3], mt_jv *out)
{
    int64_t n, part[3] = { 0, 0, 1 };
    bool given[3];
    if (obj->type == MT_J_UNDEF) return mt_j_undef_fail(r, obj);
    if (obj->type != MT_J_STR && obj->type != MT_J_LIST && obj->type != MT_J_TUPLE &&
        obj->type != MT_J_RANGE_OBJ)
        return mt_j_fail(r, MOTE_EINVAL, "'%s' object cannot be sliced", mt_j_type_name(obj));
    for (int i = 0; i < 3; i++) {
        given[i] = idx[i].type != MT_J_NONE;
        if (given[i] && !mt_j_integer(&idx[i], &part[i]))
            return mt_j_fail(r, MOTE_EINVAL, "slice indices must be integers or none");
    }
    if (part[2] == 0) return mt_j_fail(r, MOTE_EINVAL, "slice step cannot be zero");
    MT_TRY(mt_j_len(r, obj, &n));
    int64_t step = MT_MAX(MT_MIN(part[2], n + 1), -n - 1), low = step < 0 ? -1 : 0;
    int64_t high = step < 0 ? n - 1 : n;
    int64_t start = given[0] ? clamp(part[0], n, low, high) : step < 0 ? high : low;
    int64_t stop = given[1] ? clamp(part[1], n, low, high) : step < 0 ? low : high;
    int64_t count = step > 0 ? (stop - start + step - 1) / step
                             : (start - stop - step - 1) / -step;
    return take(r, obj, start, step, count > 0 ? (size_t)count : 0, out);
}

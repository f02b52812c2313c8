/* SPDX-License-Identifier: MIT */
/* jinja_sequence.c - filters that walk a sequence.
 *
 * What is a generator in jinja2 (map, select, batch, ...) is computed at once here but still
 * consumed only once and has no length, so that templates behave the same. */
#include <math.h>
#include <string.h>

#include "text/jinja_filter.h"

#define FILTER(name)                                                                           \
    static mote_status name(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)

mote_status mt_j_want_int(mt_jrun *r, const mt_jv *v, int64_t other, int64_t *out)
{
    *out = other;
    if (v->type == MT_J_ABSENT || v->type == MT_J_NONE || mt_j_integer(v, out)) return MOTE_OK;
    if (v->type == MT_J_UNDEF) return mt_j_undef_fail(r, v);
    return mt_j_fail(r, MOTE_EINVAL, "expected an integer, found %s", mt_j_type_name(v));
}

/* ---- attribute paths and keys -------------------------------------------------------- */
/* "a.b.0" looked up in v; ABSENT path: v itself. */
static mote_status path(mt_jrun *r, const mt_jv *v, const mt_jv *attr, const mt_jv *other,
                        mt_jv *out)
{
    *out = *v;
    if (attr->type == MT_J_ABSENT || attr->type == MT_J_NONE) return MOTE_OK;
    const mt_jstr *s = attr->type == MT_J_STR ? attr->u.s : NULL;
    for (size_t i = 0; !s || i <= s->n; ) {
        mt_jv key = *attr, from = *out;
        size_t end = s ? i : 0;
        while (s && end < s->n && s->p[end] != '.') end++;
        if (s) {
            int64_t index;
            bool too_big, digits = end > i;
            for (size_t k = i; k < end; k++)
                digits = digits && s->p[k] >= '0' && s->p[k] <= '9';
            if (digits && mt_j_parse_int((mt_str){ s->p + i, end - i }, 10, &index, &too_big) &&
                !too_big)
                key = mt_j_int(index, false);
            else
                MT_TRY(mt_j_sub(r, s, i, end - i, &key));
        }
        MT_TRY(mt_j_getitem(r, &from, &key, out));
        if (other && other->type != MT_J_ABSENT && other->type != MT_J_NONE &&
            out->type == MT_J_UNDEF)
            *out = *other;
        if (!s) break;
        i = end + 1;
    }
    return MOTE_OK;
}

static mote_status sort_key(mt_jrun *r, const mt_jv *v, const mt_jv *attr, const mt_jv *other,
                            bool keep_case, mt_jv *out)
{
    MT_TRY(path(r, v, attr, other, out));
    return !keep_case && out->type == MT_J_STR ? mt_j_recase(r, out->u.s, MT_J_LOWER, out)
                                               : MOTE_OK;
}

/* The key of `sort`: "a,b" gives the list of both. */
static mote_status multi_key(mt_jrun *r, const mt_jv *v, const mt_jv *attr, bool keep_case,
                             mt_jv *out)
{
    const mt_jstr *s = attr->type == MT_J_STR ? attr->u.s : NULL;
    if (!s || !memchr(s->p, ',', s->n)) return sort_key(r, v, attr, NULL, keep_case, out);
    size_t n = 1, k = 0;
    mt_jv *keys, part;
    for (size_t i = 0; i < s->n; i++) n += s->p[i] == ',';
    MT_TRY(mt_j_list(r, MT_J_LIST, n, &keys, out));
    for (size_t i = 0; i <= s->n; ) {
        size_t end = i;
        while (end < s->n && s->p[end] != ',') end++;
        MT_TRY(mt_j_sub(r, s, i, end - i, &part));
        MT_TRY(sort_key(r, v, &part, NULL, keep_case, &keys[k++]));
        i = end + 1;
    }
    return MOTE_OK;
}

typedef struct entry { mt_jv key, v; } entry;

/* Stable merge sort from e to e, with t as room.  Reversed keeps equal items in order too. */
static mote_status merge_sort(mt_jrun *r, entry *e, entry *t, size_t n, bool reversed)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t i = 0; i < n; i += 2 * width) {
            size_t p = i, mid = MT_MIN(i + width, n), q = mid, end = MT_MIN(i + 2 * width, n);
            for (size_t k = i; k < end; k++) {
                int order = 0;
                bool right = p >= mid;
                if (p < mid && q < end) {
                    MT_TRY(mt_j_less(r, &e[q].key, &e[p].key, "<", &order));
                    right = reversed ? order == 1 : order == -1;
                }
                t[k] = right ? e[q++] : e[p++];
            }
        }
        memcpy(e, t, n * sizeof *e);
        MT_TRY(mt_j_charge(r, n));
    }
    return MOTE_OK;
}

static mote_status entries(mt_jrun *r, size_t n, entry **e, entry **t)
{
    size_t bytes;
    if (!mt_mul_ok(n, 2 * sizeof **e, &bytes)) bytes = SIZE_MAX;
    *e = mt_j_get(r, bytes);
    if (!*e) return mt_j_nomem(r, bytes);
    *t = *e + n;
    return MOTE_OK;
}

static mote_status sorted(mt_jrun *r, entry *e, entry *t, size_t n, bool reversed, mt_jv *out)
{
    mt_jv *v;
    MT_TRY(merge_sort(r, e, t, n, reversed));
    MT_TRY(mt_j_list(r, MT_J_LIST, n, &v, out));
    for (size_t i = 0; i < n; i++) v[i] = e[i].v;
    return MOTE_OK;
}

FILTER(f_sort)                                    /* reverse case_sensitive attribute */
{
    const mt_jv *v;
    size_t n;
    entry *e = NULL, *t = NULL;
    (void)raw;
    MT_TRY(mt_j_items(r, &a[0], &v, &n));
    MT_TRY(entries(r, n, &e, &t));
    for (size_t i = 0; i < n; i++) {
        e[i].v = v[i];
        MT_TRY(multi_key(r, &v[i], &a[3], mt_j_truth(&a[2]), &e[i].key));
    }
    return sorted(r, e, t, n, mt_j_truth(&a[1]), out);
}

FILTER(f_dictsort)                                /* case_sensitive by reverse */
{
    entry *e = NULL, *t = NULL;
    mt_jv *pair;
    (void)raw;
    if (a[0].type == MT_J_UNDEF) return mt_j_undef_fail(r, &a[0]);
    if (a[0].type != MT_J_DICT) return mt_j_fail(r, MOTE_EINVAL, "dictsort: not a mapping");
    bool by_value = a[2].type == MT_J_STR &&
                    mt_str_is((mt_str){ a[2].u.s->p, a[2].u.s->n }, "value");
    if (a[2].type != MT_J_ABSENT && !by_value &&
        !(a[2].type == MT_J_STR && mt_str_is((mt_str){ a[2].u.s->p, a[2].u.s->n }, "key")))
        return mt_j_fail(r, MOTE_EINVAL, "you can only sort by either \"key\" or \"value\"");
    const mt_jdict *d = a[0].u.d;
    MT_TRY(entries(r, d->n, &e, &t));
    for (size_t i = 0; i < d->n; i++) {
        MT_TRY(mt_j_list(r, MT_J_TUPLE, 2, &pair, &e[i].v));
        pair[0] = d->e[i].k;
        pair[1] = d->e[i].v;
        MT_TRY(sort_key(r, &pair[by_value], &(mt_jv){ 0 }, NULL, mt_j_truth(&a[1]), &e[i].key));
    }
    return sorted(r, e, t, d->n, mt_j_truth(&a[3]), out);
}

FILTER(f_groupby)                                 /* attribute default case_sensitive */
{
    const mt_jv *v;
    size_t n, n_group = 0;
    entry *e = NULL, *t = NULL;
    mt_jv *groups, *pair, *items;
    (void)raw;
    MT_TRY(mt_j_items(r, &a[0], &v, &n));
    MT_TRY(entries(r, n, &e, &t));
    for (size_t i = 0; i < n; i++) {
        e[i].v = v[i];
        MT_TRY(sort_key(r, &v[i], &a[1], &a[2], mt_j_truth(&a[3]), &e[i].key));
    }
    MT_TRY(merge_sort(r, e, t, n, false));
    MT_TRY(mt_j_list(r, MT_J_LIST, n, &groups, out));
    for (size_t i = 0, end; i < n; i = end) {
        bool eq = true;
        for (end = i + 1; end < n; end++) {
            MT_TRY(mt_j_eq(r, &e[end].key, &e[i].key, &eq));
            if (!eq) break;
        }
        MT_TRY(mt_j_list(r, MT_J_TUPLE, 2, &pair, &groups[n_group]));
        groups[n_group++].sub = 1;
        MT_TRY(path(r, &e[i].v, &a[1], &a[2], &pair[0]));
        MT_TRY(mt_j_list(r, MT_J_LIST, end - i, &items, &pair[1]));
        for (size_t k = i; k < end; k++) items[k - i] = e[k].v;
    }
    out->u.l->n = n_group;
    return MOTE_OK;
}

static mote_status extreme(mt_jrun *r, const mt_jv *a, bool max, mt_jv *out)
{
    const mt_jv *v;                               /* case_sensitive attribute */
    size_t n;
    mt_jv best, key;
    MT_TRY(mt_j_items(r, &a[0], &v, &n));
    if (!n) return mt_j_undef(r, "no aggregated item, sequence was empty", out);
    for (size_t i = 0; i < n; i++) {
        int order = max ? 1 : -1;
        MT_TRY(sort_key(r, &v[i], &a[2], NULL, mt_j_truth(&a[1]), &key));
        if (i) MT_TRY(mt_j_less(r, &key, &best, max ? ">" : "<", &order));
        if (order != (max ? 1 : -1)) continue;
        best = key;
        *out = v[i];
    }
    return MOTE_OK;
}

FILTER(f_min) { (void)raw; return extreme(r, a, false, out); }
FILTER(f_max) { (void)raw; return extreme(r, a, true, out); }

FILTER(f_unique)                                  /* case_sensitive attribute */
{
    const mt_jv *v;
    size_t n, k = 0;
    mt_jv seen, list, *items, key;
    const mt_jv *known;
    (void)raw;
    MT_TRY(mt_j_items(r, &a[0], &v, &n));
    MT_TRY(mt_j_dict(r, 0, &seen));
    MT_TRY(mt_j_list(r, MT_J_LIST, n, &items, &list));
    for (size_t i = 0; i < n; i++) {
        MT_TRY(sort_key(r, &v[i], &a[2], NULL, mt_j_truth(&a[1]), &key));
        MT_TRY(mt_j_dict_get(r, seen.u.d, &key, &known));
        if (known) continue;
        MT_TRY(mt_j_dict_set(r, seen.u.d, &key, &key));
        items[k++] = v[i];
    }
    return mt_j_gen(r, items, k, out);
}

/* ---- picking ----------------------------------------------------------------------------- */
FILTER(f_first)
{
    mt_jiter it;
    (void)raw;
    MT_TRY(mt_j_iter(r, &a[0], &it));
    return mt_j_next(&it, out) ? MOTE_OK
                               : mt_j_undef(r, "no first item, sequence was empty", out);
}

FILTER(f_last)
{
    const mt_jv *v;
    size_t n;
    (void)raw;
    if (a[0].type == MT_J_UNDEF) return mt_j_undef(r, "no last item, sequence was empty", out);
    if (a[0].type == MT_J_GEN)
        return mt_j_fail(r, MOTE_EINVAL, "'generator' object is not reversible");
    MT_TRY(mt_j_items(r, &a[0], &v, &n));
    if (!n) return mt_j_undef(r, "no last item, sequence was empty", out);
    *out = v[n - 1];
    return MOTE_OK;
}

FILTER(f_list)
{
    const mt_jv *v;
    mt_jv *to;
    size_t n;
    (void)raw;
    MT_TRY(mt_j_items(r, &a[0], &v, &n));
    MT_TRY(mt_j_list(r, MT_J_LIST, n, &to, out));
    if (n) memcpy(to, v, n * sizeof *to);
    out->tainted = a[0].type == MT_J_LIST && a[0].tainted;
    return MOTE_OK;
}

FILTER(f_items)
{
    (void)raw;
    if (a[0].type == MT_J_UNDEF) return mt_j_gen(r, NULL, 0, out);
    if (a[0].type != MT_J_DICT)
        return mt_j_fail(r, MOTE_EINVAL, "can only get item pairs from a mapping");
    mt_jv method, view;
    const mt_jargs none = { NULL, 0, NULL, 0 };
    MT_TRY(mt_j_getattr(r, &a[0], mt_str_of("items"), &method));
    MT_TRY(mt_j_call(r, &method, &none, &view));
    return mt_j_gen(r, view.u.l->v, view.u.l->n, out);
}

FILTER(f_reverse)
{
    const mt_jv *v;
    mt_jv *to, list;
    size_t n;
    (void)raw;
    if (a[0].type == MT_J_STR) {
        const mt_jv idx[3] = { mt_j_none(), mt_j_none(), mt_j_int(-1, false) };
        return mt_j_slice(r, &a[0], idx, out);
    }
    MT_TRY(mt_j_items(r, &a[0], &v, &n));
    MT_TRY(mt_j_list(r, MT_J_LIST, n, &to, &list));
    for (size_t i = 0; i < n; i++) to[i] = v[n - 1 - i];
    if (a[0].type != MT_J_GEN) return mt_j_gen(r, to, n, out);
    *out = list;
    return MOTE_OK;
}

FILTER(f_join)                                    /* d attribute */
{
    const mt_jv *v;
    mt_jv sep, item;
    size_t n;
    (void)raw;
    if (a[1].type == MT_J_ABSENT) MT_TRY(mt_j_text(r, "", 0, MT_J_TRUSTED, &sep));
    else MT_TRY(mt_j_str(r, &a[1], &sep));
    MT_TRY(mt_j_items(r, &a[0], &v, &n));
    mt_jbuf *b = mt_j_buf(r, 64);
    if (!b) return mt_j_nomem(r, 64);
    for (size_t i = 0; i < n; i++) {
        MT_TRY(path(r, &v[i], &a[2], NULL, &item));
        if (i) MT_TRY(mt_j_put_str(r, b, sep.u.s));
        MT_TRY(mt_j_put_value(r, b, &item));
        MT_TRY(mt_j_charge(r, 0));
    }
    return mt_j_done(r, b, out);
}

FILTER(f_sum)                                     /* attribute start */
{
    const mt_jv *v;
    mt_jv item, total = a[2].type == MT_J_ABSENT ? mt_j_int(0, false) : a[2];
    size_t n;
    (void)raw;
    if (total.type == MT_J_STR) return mt_j_fail(r, MOTE_EINVAL, "sum() can't sum strings");
    MT_TRY(mt_j_items(r, &a[0], &v, &n));
    for (size_t i = 0; i < n; i++) {
        mt_jv before = total;
        MT_TRY(path(r, &v[i], &a[1], NULL, &item));
        MT_TRY(mt_j_math(r, MT_JO_ADD, &before, &item, &total));
    }
    *out = total;
    return MOTE_OK;
}

FILTER(f_batch)                                   /* linecount fill_with */
{
    const mt_jv *v;
    mt_jv list, *rows, *row;
    size_t n, n_row;
    int64_t width;
    (void)raw;
    MT_TRY(mt_j_want_int(r, &a[1], 0, &width));
    MT_TRY(mt_j_items(r, &a[0], &v, &n));
    if (width < 1 || width > MT_J_RANGE) {        /* jinja2: one row that is never full */
        if (width > 0 && a[2].type != MT_J_ABSENT)
            return mt_j_limit(r, "items of a batch", MT_J_RANGE);
        width = MT_MAX((int64_t)n, (int64_t)1);
    }
    n_row = (n + (size_t)width - 1) / (size_t)width;
    MT_TRY(mt_j_list(r, MT_J_LIST, n_row, &rows, &list));
    for (size_t i = 0; i < n_row; i++) {
        size_t from = i * (size_t)width, have = MT_MIN(n - from, (size_t)width);
        bool fill = have < (size_t)width && a[2].type != MT_J_ABSENT && a[2].type != MT_J_NONE;
        MT_TRY(mt_j_list(r, MT_J_LIST, fill ? (size_t)width : have, &row, &rows[i]));
        for (size_t k = 0; k < rows[i].u.l->n; k++) row[k] = k < have ? v[from + k] : a[2];
    }
    return mt_j_gen(r, rows, n_row, out);
}

FILTER(f_slice)                                   /* slices fill_with */
{
    const mt_jv *v;
    mt_jv list, *rows, *row;
    size_t n, at = 0;
    int64_t slices;
    (void)raw;
    MT_TRY(mt_j_want_int(r, &a[1], 0, &slices));
    MT_TRY(mt_j_items(r, &a[0], &v, &n));
    if (slices == 0) return mt_j_fail(r, MOTE_EINVAL, "integer division or modulo by zero");
    if (slices < 0) slices = 0;
    if (slices > MT_J_RANGE) return mt_j_limit(r, "slices", MT_J_RANGE);
    MT_TRY(mt_j_list(r, MT_J_LIST, (size_t)slices, &rows, &list));
    for (size_t i = 0; i < (size_t)slices; i++) {
        size_t extra = n % (size_t)slices, have = n / (size_t)slices + (i < extra);
        bool fill = i >= extra && a[2].type != MT_J_ABSENT && a[2].type != MT_J_NONE;
        MT_TRY(mt_j_list(r, MT_J_LIST, have + fill, &row, &rows[i]));
        for (size_t k = 0; k < have; k++) row[k] = v[at + k];
        if (fill) row[have] = a[2];
        at += have;
    }
    return mt_j_gen(r, rows, (size_t)slices, out);
}

/* ---- map and select ---------------------------------------------------------------------- */
static const mt_jv *keyword(const mt_jargs *a, const char *name)
{
    for (size_t i = 0; i < a->n_k; i++)
        if (mt_str_is(a->k[i].name, name)) return &a->k[i].v;
    return NULL;
}

static mote_status named(mt_jrun *r, const mt_jv *name, bool is_test, const mt_jproc **out)
{
    *out = NULL;
    if (name->type == MT_J_STR) {
        mt_str s = { name->u.s->p, name->u.s->n };
        *out = is_test ? mt_j_test(s) : mt_j_filter(s);
        if (!*out)
            return mt_j_fail(r, MOTE_EINVAL, "no %s named '%.*s'", is_test ? "test" : "filter",
                             (int)MT_MIN(s.n, (size_t)60), s.p);
        return MOTE_OK;
    }
    return mt_j_fail(r, MOTE_EINVAL, "the name of a %s must be a string",
                     is_test ? "test" : "filter");
}

FILTER(f_map)
{
    const mt_jv *v, *attr = keyword(raw, "attribute"), *other = keyword(raw, "default");
    mt_jv list, *to;
    size_t n;
    const mt_jproc *proc = NULL;
    MT_TRY(mt_j_items(r, &a[0], &v, &n));
    MT_TRY(mt_j_list(r, MT_J_LIST, n, &to, &list));
    if (!n) return mt_j_gen(r, to, 0, out);
    if (raw->n) MT_TRY(named(r, &raw->v[0], false, &proc));
    else if (!attr) return mt_j_fail(r, MOTE_EINVAL, "map requires a filter argument");
    else if (raw->n_k > 1u + (other != NULL))
        return mt_j_fail(r, MOTE_EINVAL, "map: unexpected keyword argument");
    const mt_jargs rest = { raw->n ? raw->v + 1 : NULL, raw->n ? raw->n - 1 : 0, raw->k,
                            raw->n_k };
    r->depth += 4;                                /* map can map itself: its frames are large */
    if (r->depth > MT_J_EVAL_DEPTH)
        return mt_j_limit(r, "levels of evaluation", MT_J_EVAL_DEPTH);
    for (size_t i = 0; i < n; i++) {
        MT_TRY(mt_j_charge(r, 0));
        MT_TRY(proc ? mt_j_invoke(r, proc, &v[i], &rest, &to[i])
                    : path(r, &v[i], attr, other, &to[i]));
    }
    r->depth -= 4;
    return mt_j_gen(r, to, n, out);
}

/* select, reject, and their attribute forms. */
static mote_status pick(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, bool by_attr,
                        bool wanted, mt_jv *out)
{
    const mt_jv *v;
    mt_jv list, *to;
    size_t n, k = 0, off = by_attr;
    const mt_jproc *test = NULL;
    MT_TRY(mt_j_items(r, &a[0], &v, &n));
    MT_TRY(mt_j_list(r, MT_J_LIST, n, &to, &list));
    if (!n) return mt_j_gen(r, to, 0, out);
    if (by_attr && !raw->n)
        return mt_j_fail(r, MOTE_EINVAL, "missing parameter for attribute name");
    if (raw->n > off) MT_TRY(named(r, &raw->v[off], true, &test));
    const mt_jargs rest = { test ? raw->v + off + 1 : NULL, test ? raw->n - off - 1 : 0, raw->k,
                            raw->n_k };
    for (size_t i = 0; i < n; i++) {
        mt_jv value = v[i], result;
        MT_TRY(mt_j_charge(r, 0));
        if (by_attr) MT_TRY(path(r, &v[i], &raw->v[0], NULL, &value));
        result = value;
        if (test) MT_TRY(mt_j_invoke(r, test, &value, &rest, &result));
        if (mt_j_truth(&result) == wanted) to[k++] = v[i];
    }
    return mt_j_gen(r, to, k, out);
}

FILTER(f_select) { return pick(r, a, raw, false, true, out); }
FILTER(f_reject) { return pick(r, a, raw, false, false, out); }
FILTER(f_selectattr) { return pick(r, a, raw, true, true, out); }
FILTER(f_rejectattr) { return pick(r, a, raw, true, false, out); }

static const mt_jproc filters[] = {
    { "batch", f_batch, "linecount fill_with", 1 },
    { "dictsort", f_dictsort, "case_sensitive by reverse", 0 },
    { "first", f_first, "", 0 },
    { "groupby", f_groupby, "attribute default case_sensitive", 1 },
    { "items", f_items, "", 0 },
    { "join", f_join, "d attribute", 0 },
    { "last", f_last, "", 0 },
    { "list", f_list, "", 0 },
    { "map", f_map, "*", 0 },
    { "max", f_max, "case_sensitive attribute", 0 },
    { "min", f_min, "case_sensitive attribute", 0 },
    { "reject", f_reject, "*", 0 },
    { "rejectattr", f_rejectattr, "*", 0 },
    { "reverse", f_reverse, "", 0 },
    { "select", f_select, "*", 0 },
    { "selectattr", f_selectattr, "*", 0 },
    { "slice", f_slice, "slices fill_with", 1 },
    { "sort", f_sort, "reverse case_sensitive attribute", 0 },
    { "sum", f_sum, "attribute start", 0 },
    { "unique", f_unique, "case_sensitive attribute", 0 },
};

const mt_jproc *mt_j_sequence_filter(mt_str name)
{ return mt_j_proc(filters, MT_COUNT(filters), name); }

/* SPDX-License-Identifier: MIT */
/* jinja_global.c - the functions every template can call, and how built-ins get their
 * arguments. */
#include <string.h>

#include "text/jinja.h"

/* ---- binding ------------------------------------------------------------------ */
/* The index of a parameter in "a b c", or -1. */
static int param_index(const char *params, mt_str name)
{
    int index = 0;
    while (*params) {
        size_t n = strcspn(params, " ");
        if (mt_str_eq((mt_str){ params, n }, name)) return index;
        params += n + (params[n] == ' ');
        index++;
    }
    return -1;
}

static size_t param_count(const char *params)
{
    size_t n = *params != 0;
    for (; *params; params++) n += *params == ' ';
    return n;
}

mote_status mt_j_invoke(mt_jrun *r, const mt_jproc *p, const mt_jv *self, const mt_jargs *raw,
                        mt_jv *out)
{
    mt_jv a[1 + MT_J_ARGS];
    memset(a, 0, sizeof a);
    a[0] = *self;
    if (strcmp(p->params, "*") == 0) return p->fn(r, a, raw, out);
    size_t n = param_count(p->params);
    if (raw->n > n)
        return mt_j_fail(r, MOTE_EINVAL, "%s takes at most %zu arguments, found %zu", p->name,
                         n, raw->n);
    for (size_t i = 0; i < raw->n; i++) a[1 + i] = raw->v[i];
    for (size_t i = 0; i < raw->n_k; i++) {
        int at = param_index(p->params, raw->k[i].name);
        if (at < 0 || a[1 + at].type != MT_J_ABSENT)
            return mt_j_fail(
                r, MOTE_EINVAL, "%s got an unexpected or repeated keyword argument '%.*s'",
                p->name, (int)MT_MIN(raw->k[i].name.n, (size_t)60), raw->k[i].name.p);
        a[1 + at] = raw->k[i].v;
    }
    for (int i = 0; i < p->n_need; i++)
        if (a[1 + i].type == MT_J_ABSENT)
            return mt_j_fail(r, MOTE_EINVAL, "%s is missing a required argument", p->name);
    return p->fn(r, a, raw, out);
}

/* ---- functions ------------------------------------------------------------------- */
static mote_status g_range(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    int64_t v[3] = { 0, 0, 1 };
    bool tainted = false;
    (void)a;
    if (raw->n < 1 || raw->n > 3 || raw->n_k)
        return mt_j_fail(r, MOTE_EINVAL, "range expects 1 to 3 arguments");
    for (size_t i = 0; i < raw->n; i++) {
        int64_t *to = &v[raw->n == 1 ? 1 : i];
        if (raw->v[i].type == MT_J_UNDEF) return mt_j_undef_fail(r, &raw->v[i]);
        tainted = tainted || raw->v[i].tainted;
        if (!mt_j_integer(&raw->v[i], to))
            return mt_j_fail(r, MOTE_EINVAL, "'%s' object cannot be interpreted as an integer",
                             mt_j_type_name(&raw->v[i]));
    }
    if (v[2] == 0) return mt_j_fail(r, MOTE_EINVAL, "range() arg 3 must not be zero");
    uint64_t n = 0, start = (uint64_t)v[0], stop = (uint64_t)v[1];
    if (v[2] > 0 && v[0] < v[1]) n = (stop - start - 1) / (uint64_t)v[2] + 1;
    if (v[2] < 0 && v[0] > v[1]) n = (start - stop - 1) / (0 - (uint64_t)v[2]) + 1;
    if (n > MT_J_RANGE) return mt_j_limit(r, "items of a range", MT_J_RANGE);
    mt_jrange *g = mt_j_get(r, sizeof *g);
    if (!g) return mt_j_nomem(r, sizeof *g);
    *g = (mt_jrange){ v[0], v[1], v[2], (size_t)n, tainted };
    *out = (mt_jv){ .type = MT_J_RANGE_OBJ };
    out->u.r = g;
    return MOTE_OK;
}

static mote_status add_pairs(mt_jrun *r, mt_jdict *d, const mt_jv *from)
{
    const mt_jv *items, *pair;
    size_t n, n_pair;
    if (from->type == MT_J_DICT) {
        for (size_t i = 0; i < from->u.d->n; i++)
            MT_TRY(mt_j_dict_set(r, d, &from->u.d->e[i].k, &from->u.d->e[i].v));
        return MOTE_OK;
    }
    MT_TRY(mt_j_items(r, from, &items, &n));
    for (size_t i = 0; i < n; i++) {
        MT_TRY(mt_j_items(r, &items[i], &pair, &n_pair));
        if (n_pair != 2)
            return mt_j_fail(
                r, MOTE_EINVAL,
                "dictionary update sequence element #%zu has length %zu; 2 is required", i,
                n_pair);
        MT_TRY(mt_j_dict_set(r, d, &pair[0], &pair[1]));
    }
    return MOTE_OK;
}

static mote_status g_dict(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv key;
    (void)a;
    if (raw->n > 1)
        return mt_j_fail(r, MOTE_EINVAL, "dict expected at most 1 argument, got %zu", raw->n);
    MT_TRY(mt_j_dict(r, raw->n_k, out));
    if (raw->n) MT_TRY(add_pairs(r, out->u.d, &raw->v[0]));
    for (size_t i = 0; i < raw->n_k; i++) {
        MT_TRY(mt_j_text(r, raw->k[i].name.p, raw->k[i].name.n,
                         raw->k[i].tainted ? NULL : MT_J_TRUSTED, &key));
        MT_TRY(mt_j_dict_set(r, out->u.d, &key, &raw->k[i].v));
    }
    return MOTE_OK;
}

static mote_status g_namespace(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    MT_TRY(g_dict(r, a, raw, out));
    for (size_t i = 0; i < out->u.d->n; i++) {
        const mt_jv *k = &out->u.d->e[i].k;
        if (k->type == MT_J_STR && k->u.s->n && k->u.s->p[0] == '_')
            return mt_j_fail(
                r, MOTE_EINVAL,
                "cannot store the underscore-prefixed attribute %.*s on a namespace",
                (int)MT_MIN(k->u.s->n, (size_t)60), k->u.s->p);
    }
    out->type = MT_J_SPACE;
    return MOTE_OK;
}

static mote_status make_cycler(mt_jrun *r, mt_jtype type, const mt_jv *v, size_t n, mt_jv *out)
{
    mt_jcycler *c = mt_j_get(r, sizeof *c);
    mt_jv list, *items;
    if (!c) return mt_j_nomem(r, sizeof *c);
    MT_TRY(mt_j_list(r, MT_J_LIST, n, &items, &list));
    memcpy(items, v, n * sizeof *items);
    *c = (mt_jcycler){ items, n, 0 };
    *out = (mt_jv){ .type = (uint8_t)type };
    out->u.c = c;
    return MOTE_OK;
}

static mote_status g_cycler(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)a;
    if (!raw->n) return mt_j_fail(r, MOTE_EINVAL, "at least one item has to be provided");
    return make_cycler(r, MT_J_CYCLER, raw->v, raw->n, out);
}

static mote_status g_joiner(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv sep = a[1];
    (void)raw;
    if (sep.type == MT_J_ABSENT) MT_TRY(mt_j_text(r, ", ", 2, MT_J_TRUSTED, &sep));
    return make_cycler(r, MT_J_JOINER, &sep, 1, out);
}

static mote_status g_raise(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    mt_jv text;
    (void)raw;
    (void)out;
    MT_TRY(mt_j_str(r, &a[1], &text));
    return mt_fail(r->err, MOTE_EINVAL, "%.*s", (int)MT_MIN(text.u.s->n, (size_t)1000),
                   text.u.s->p);
}

static mote_status g_strftime(mt_jrun *r, const mt_jv *a, const mt_jargs *raw, mt_jv *out)
{
    (void)raw;
    if (a[1].type != MT_J_STR)
        return mt_j_fail(r, MOTE_EINVAL, "strftime_now expects a string");
    return mt_j_strftime(r, a[1].u.s, out);
}

static const mt_jproc functions[] = {
    { "range", g_range, "*", 0 },
    { "dict", g_dict, "*", 0 },
    { "namespace", g_namespace, "*", 0 },
    { "cycler", g_cycler, "*", 0 },
    { "joiner", g_joiner, "sep", 0 },
    { "raise_exception", g_raise, "message", 1 },
    { "strftime_now", g_strftime, "format", 1 },
};

bool mt_j_global(mt_str name, mt_jv *out)
{
    const mt_jproc *p = mt_j_proc(functions, MT_COUNT(functions), name);
    if (!p) return false;
    *out = (mt_jv){ .type = MT_J_FUNC };
    out->u.p = p;
    return true;
}

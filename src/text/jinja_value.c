/* SPDX-License-Identifier: MIT */
/* jinja_value.c - values: making them, and Python's truth, equality, order, membership.
 *
 * Values never change once made, except namespaces, cyclers and generators' positions; that is
 * why slices and views can share memory.  Comparing walks nested data, so it counts depth. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja.h"

/* ---- make ------------------------------------------------------------------ */
mt_jv mt_j_none(void) { return (mt_jv){ .type = MT_J_NONE }; }

mt_jv mt_j_bool(bool b)
{
    mt_jv v = { .type = MT_J_BOOL };
    v.u.b = b;
    return v;
}

mt_jv mt_j_int(int64_t i, bool tainted)
{
    mt_jv v = { .type = MT_J_INT, .tainted = tainted };
    v.u.i = i;
    return v;
}

mt_jv mt_j_float(double f, bool tainted)
{
    mt_jv v = { .type = MT_J_FLOAT, .tainted = tainted };
    v.u.f = f;
    return v;
}

mote_status mt_j_undef(mt_jrun *r, const char *hint, mt_jv *out)
{
    mt_jundef *u = mt_j_get(r, sizeof *u);
    if (!u) return mt_j_nomem(r, sizeof *u);
    *u = (mt_jundef){ .hint = hint };
    *out = (mt_jv){ .type = MT_J_UNDEF };
    out->u.u = u;
    return MOTE_OK;
}

mote_status mt_j_undef_of(mt_jrun *r, const mt_jv *obj, const mt_jv *key, bool is_unsafe,
                          mt_jv *out)
{
    MT_TRY(mt_j_undef(r, NULL, out));
    out->u.u->obj = *obj;
    out->u.u->key = *key;
    out->u.u->is_unsafe = is_unsafe;
    return MOTE_OK;
}

/* What jinja2 says when an undefined value is used. */
mote_status mt_j_undef_fail(mt_jrun *r, const mt_jv *v)
{
    const mt_jundef *u = v->u.u;
    if (!u) return mt_j_fail(r, MOTE_EINVAL, "a value is undefined");
    if (u->hint) return mt_j_fail(r, MOTE_EINVAL, "%s", u->hint);
    char type[24] = "None", key[80] = "";
    if (u->key.type == MT_J_STR)
        (void)snprintf(key, sizeof key, "'%.*s'", (int)MT_MIN(u->key.u.s->n, (size_t)60),
                       u->key.u.s->p);
    else if (u->key.type == MT_J_INT)
        (void)snprintf(key, sizeof key, "%lld", (long long)u->key.u.i);
    else
        (void)snprintf(key, sizeof key, "of type %s", mt_j_type_name(&u->key));
    if (u->obj.type == MT_J_ABSENT) return mt_j_fail(r, MOTE_EINVAL, "%s is undefined", key);
    if (u->is_unsafe)
        return mt_j_fail(r, MOTE_EINVAL, "access to attribute %s of '%s' object is unsafe", key,
                         mt_j_type_name(&u->obj));
    if (u->obj.type != MT_J_NONE)
        (void)snprintf(type, sizeof type, "%s object", mt_j_type_name(&u->obj));
    if (u->key.type == MT_J_STR)
        return mt_j_fail(r, MOTE_EINVAL, "'%s' has no attribute %s", type, key);
    return mt_j_fail(r, MOTE_EINVAL, "%s has no element %s", type, key);
}

mote_status mt_j_list(mt_jrun *r, mt_jtype type, size_t n, mt_jv **items, mt_jv *out)
{
    size_t bytes;
    mt_jlist *l = mt_j_get(r, sizeof *l);
    MT_TRY(mt_j_charge(r, n));
    if (!mt_mul_ok(n, sizeof(mt_jv), &bytes)) bytes = SIZE_MAX;
    mt_jv *v = l ? mt_j_get(r, bytes) : NULL;
    if (!v) return mt_j_nomem(r, bytes);
    memset(v, 0, bytes);
    *l = (mt_jlist){ v, n };
    *out = (mt_jv){ .type = (uint8_t)type };
    out->u.l = l;
    if (items) *items = v;
    return MOTE_OK;
}

mote_status mt_j_gen(mt_jrun *r, const mt_jv *items, size_t n, mt_jv *out)
{
    mt_jgen *g = mt_j_get(r, sizeof *g);
    if (!g) return mt_j_nomem(r, sizeof *g);
    *g = (mt_jgen){ items, n, 0 };
    *out = (mt_jv){ .type = MT_J_GEN };
    out->u.g = g;
    return MOTE_OK;
}

/* ---- ask --------------------------------------------------------------------- */
const char *mt_j_type_name(const mt_jv *v)
{
    switch ((mt_jtype)v->type) {
    case MT_J_ABSENT: return "missing";
    case MT_J_UNDEF: return "Undefined";
    case MT_J_NONE: return "NoneType";
    case MT_J_BOOL: return "bool";
    case MT_J_INT: return "int";
    case MT_J_FLOAT: return "float";
    case MT_J_STR: return "str";
    case MT_J_LIST: return "list";
    case MT_J_TUPLE: return "tuple";
    case MT_J_VIEW:
        return v->sub == MT_J_KEYS     ? "dict_keys"
               : v->sub == MT_J_VALUES ? "dict_values"
                                       : "dict_items";
    case MT_J_GEN: return "generator";
    case MT_J_DICT: return "dict";
    case MT_J_RANGE_OBJ: return "range";
    case MT_J_SPACE: return "Namespace";
    case MT_J_MACRO: return "Macro";
    case MT_J_FUNC: return "function";
    case MT_J_BOUND: return "builtin_function_or_method";
    case MT_J_LOOP: return "LoopContext";
    case MT_J_CYCLER: return "Cycler";
    case MT_J_JOINER: return "Joiner";
    }
    return "object";
}

bool mt_j_truth(const mt_jv *v)
{
    switch ((mt_jtype)v->type) {
    case MT_J_ABSENT: case MT_J_UNDEF: case MT_J_NONE: return false;
    case MT_J_BOOL: return v->u.b;
    case MT_J_INT: return v->u.i != 0;
    case MT_J_FLOAT: return v->u.f < 0 || v->u.f > 0 || isnan(v->u.f);
    case MT_J_STR: return v->u.s->n > 0;
    case MT_J_LIST: case MT_J_TUPLE: case MT_J_VIEW: return v->u.l->n > 0;
    case MT_J_DICT: return v->u.d->n > 0;
    case MT_J_RANGE_OBJ: return v->u.r->n > 0;
    case MT_J_GEN: case MT_J_SPACE: case MT_J_MACRO: case MT_J_FUNC: case MT_J_BOUND:
    case MT_J_LOOP: case MT_J_CYCLER: case MT_J_JOINER: return true;
    }
    return false;
}

bool mt_j_integer(const mt_jv *v, int64_t *i)
{
    if (v->type != MT_J_BOOL && v->type != MT_J_INT) return false;
    *i = v->type == MT_J_BOOL ? v->u.b : v->u.i;
    return true;
}

bool mt_j_num(const mt_jv *v, double *f)
{
    int64_t i;
    if (v->type == MT_J_FLOAT) {
        *f = v->u.f;
        return true;
    }
    if (!mt_j_integer(v, &i)) return false;
    *f = (double)i;
    return true;
}

bool mt_j_has_len(const mt_jv *v)
{
    return v->type == MT_J_UNDEF || v->type == MT_J_STR || v->type == MT_J_LIST ||
           v->type == MT_J_TUPLE || v->type == MT_J_VIEW || v->type == MT_J_DICT ||
           v->type == MT_J_RANGE_OBJ || v->type == MT_J_LOOP;
}

mote_status mt_j_len(mt_jrun *r, const mt_jv *v, int64_t *n)
{
    size_t len = 0;
    switch ((mt_jtype)v->type) {
    case MT_J_UNDEF: break;
    case MT_J_STR: MT_TRY(mt_j_charge(r, v->u.s->n)); len = mt_j_chars(v->u.s); break;
    case MT_J_LIST: case MT_J_TUPLE: case MT_J_VIEW: len = v->u.l->n; break;
    case MT_J_DICT: len = v->u.d->n; break;
    case MT_J_RANGE_OBJ: len = v->u.r->n; break;
    case MT_J_LOOP: {
        mt_jv length;
        MT_TRY(mt_j_loop_attr(r, v->u.loop, mt_str_of("length"), &length));
        *n = length.u.i;
        return MOTE_OK;
    }
    case MT_J_ABSENT: case MT_J_NONE: case MT_J_BOOL: case MT_J_INT: case MT_J_FLOAT:
    case MT_J_GEN: case MT_J_SPACE: case MT_J_MACRO: case MT_J_FUNC: case MT_J_BOUND:
    case MT_J_CYCLER: case MT_J_JOINER:
        return mt_j_fail(r, MOTE_EINVAL, "object of type '%s' has no len()", mt_j_type_name(v));
    }
    *n = (int64_t)len;
    return MOTE_OK;
}

/* Is there an untrusted byte anywhere inside?  Too deep counts as yes. */
bool mt_j_deep_tainted(mt_jrun *r, const mt_jv *v, int depth)
{
    if (mt_j_tainted(v) || depth > MT_J_DATA_DEPTH) return true;
    if (mt_j_charge(r, 0)) return true; /* whoever writes the value fails for the same */
    size_t n = v->type == MT_J_DICT || v->type == MT_J_SPACE ? v->u.d->n : 0;
    for (size_t i = 0; i < n; i++)
        if (mt_j_deep_tainted(r, &v->u.d->e[i].k, depth + 1) ||
            mt_j_deep_tainted(r, &v->u.d->e[i].v, depth + 1))
            return true;
    n = v->type == MT_J_LIST || v->type == MT_J_TUPLE || v->type == MT_J_VIEW ? v->u.l->n : 0;
    for (size_t i = 0; i < n; i++)
        if (mt_j_deep_tainted(r, &v->u.l->v[i], depth + 1)) return true;
    return v->type == MT_J_BOUND && mt_j_deep_tainted(r, &v->u.bound->self, depth + 1);
}

/* ---- equality and order ---------------------------------------------------------- */
static mote_status deep_equal(mt_jrun *r, const mt_jv *a, const mt_jv *b, int depth, bool *eq);

static mote_status dict_equal(mt_jrun *r, const mt_jdict *a, const mt_jdict *b, int depth,
                              bool *eq)
{
    *eq = a->n == b->n;
    for (size_t i = 0; *eq && i < a->n; i++) {
        const mt_jv *other = NULL;
        MT_TRY(mt_j_dict_get(r, b, &a->e[i].k, &other));
        *eq = other != NULL;
        if (other) MT_TRY(deep_equal(r, &a->e[i].v, other, depth + 1, eq));
    }
    return MOTE_OK;
}

static bool is_sequence(const mt_jv *v)
{ return v->type == MT_J_LIST || v->type == MT_J_TUPLE; }

static mote_status deep_equal(mt_jrun *r, const mt_jv *a, const mt_jv *b, int depth, bool *eq)
{
    double x, y;
    int64_t i, j;
    MT_TRY(mt_j_charge(r, 0));
    if (depth > MT_J_DATA_DEPTH) return mt_j_limit(r, "levels of nested data", MT_J_DATA_DEPTH);
    *eq = false;
    if (mt_j_integer(a, &i) && mt_j_integer(b, &j)) {
        *eq = i == j;
    } else if (mt_j_num(a, &x) && mt_j_num(b, &y)) {
        *eq = !(x < y) && !(x > y) && !isnan(x) && !isnan(y);
    } else if (a->type != b->type) {
        return MOTE_OK;
    } else if (a->type == MT_J_STR) {
        MT_TRY(mt_j_charge(r, a->u.s->n));
        *eq = a->u.s->n == b->u.s->n && memcmp(a->u.s->p, b->u.s->p, a->u.s->n) == 0;
    } else if (a->type == MT_J_NONE || a->type == MT_J_UNDEF) {
        *eq = true;
    } else if (is_sequence(a)) {
        *eq = a->u.l->n == b->u.l->n;
        for (size_t k = 0; *eq && k < a->u.l->n; k++)
            MT_TRY(deep_equal(r, &a->u.l->v[k], &b->u.l->v[k], depth + 1, eq));
    } else if (a->type == MT_J_DICT) {
        MT_TRY(dict_equal(r, a->u.d, b->u.d, depth, eq));
    } else if (a->type == MT_J_RANGE_OBJ) {
        const mt_jrange *p = a->u.r, *q = b->u.r;
        *eq = p->n == q->n && (!p->n || p->start == q->start) &&
              (p->n < 2 || p->step == q->step);
    } else {
        *eq = a->u.d == b->u.d;                   /* identity */
    }
    return MOTE_OK;
}

mote_status mt_j_eq(mt_jrun *r, const mt_jv *a, const mt_jv *b, bool *eq)
{
    return deep_equal(r, a, b, 0, eq);
}

static mote_status deep_order(mt_jrun *r, const mt_jv *a, const mt_jv *b, const char *op,
                              int depth, int *order)
{
    double x, y;
    int64_t i, j;
    MT_TRY(mt_j_charge(r, 0));
    if (depth > MT_J_DATA_DEPTH) return mt_j_limit(r, "levels of nested data", MT_J_DATA_DEPTH);
    if (a->type == MT_J_UNDEF) return mt_j_undef_fail(r, a);
    if (b->type == MT_J_UNDEF) return mt_j_undef_fail(r, b);
    if (mt_j_integer(a, &i) && mt_j_integer(b, &j)) {
        *order = (i > j) - (i < j);
        return MOTE_OK;
    }
    if (mt_j_num(a, &x) && mt_j_num(b, &y)) {
        *order = isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
        return MOTE_OK;
    }
    if (a->type == MT_J_STR && b->type == MT_J_STR) { /* UTF-8 sorts as its code points do */
        const mt_jstr *s = a->u.s, *t = b->u.s;
        MT_TRY(mt_j_charge(r, MT_MIN(s->n, t->n)));
        int c = memcmp(s->p, t->p, MT_MIN(s->n, t->n));
        *order = c ? (c > 0) - (c < 0) : (s->n > t->n) - (s->n < t->n);
        return MOTE_OK;
    }
    if (!is_sequence(a) || a->type != b->type)
        return mt_j_fail(r, MOTE_EINVAL,
                         "'%s' not supported between instances of '%s' and '%s'", op,
                         mt_j_type_name(a), mt_j_type_name(b));
    const mt_jlist *s = a->u.l, *t = b->u.l;
    for (size_t k = 0; k < s->n && k < t->n; k++) {
        bool eq;
        MT_TRY(deep_equal(r, &s->v[k], &t->v[k], depth + 1, &eq));
        if (!eq) return deep_order(r, &s->v[k], &t->v[k], op, depth + 1, order);
    }
    *order = (s->n > t->n) - (s->n < t->n);
    return MOTE_OK;
}

/* *order: -1, 0, 1; 2 when a NaN is involved.  op names the operator in a message. */
mote_status mt_j_less(mt_jrun *r, const mt_jv *a, const mt_jv *b, const char *op, int *order)
{
    return deep_order(r, a, b, op, 0, order);
}

mote_status mt_j_compare(mt_jrun *r, mt_jop op, const mt_jv *a, const mt_jv *b, bool *out)
{
    static const char *const text[] = { "<", "<=", ">", ">=" };
    if (op == MT_JO_EQ || op == MT_JO_NE) {
        MT_TRY(mt_j_eq(r, a, b, out));
        *out = *out == (op == MT_JO_EQ);
        return MOTE_OK;
    }
    if (op == MT_JO_IN || op == MT_JO_NOTIN) {
        MT_TRY(mt_j_contains(r, b, a, out));
        *out = *out == (op == MT_JO_IN);
        return MOTE_OK;
    }
    int order;
    MT_TRY(mt_j_less(r, a, b, text[op - MT_JO_LT], &order));
    if (order == 2) *out = false;
    else
        *out = op == MT_JO_LT   ? order < 0
               : op == MT_JO_LE ? order <= 0
               : op == MT_JO_GT ? order > 0
                                : order >= 0;
    return MOTE_OK;
}

/* ---- dictionaries ------------------------------------------------------------------- */
static mote_status hash_of(mt_jrun *r, const mt_jv *v, int depth, uint64_t *h)
{
    double f;
    int64_t i;
    if (depth > MT_J_DATA_DEPTH) return mt_j_limit(r, "levels of nested data", MT_J_DATA_DEPTH);
    MT_TRY(mt_j_charge(r, v->type == MT_J_STR ? v->u.s->n : 0));
    if (v->type == MT_J_STR) {
        *h = mt_hash(v->u.s->p, v->u.s->n);
    } else if (mt_j_integer(v, &i)) {
        *h = mt_hash(&i, sizeof i);
    } else if (v->type == MT_J_FLOAT) {           /* 1.0 and 1 are one key */
        f = v->u.f;
        i = fabs(f) < 9e18 ? (int64_t)f : 0;
        *h = fabs(f) < 9e18 && !((double)i < f) && !((double)i > f) ? mt_hash(&i, sizeof i)
                                                                    : mt_hash(&f, sizeof f);
    } else if (v->type == MT_J_TUPLE) {
        *h = 17;
        for (size_t k = 0; k < v->u.l->n; k++) {
            uint64_t item = 0;
            MT_TRY(hash_of(r, &v->u.l->v[k], depth + 1, &item));
            *h = *h * 1099511628211u + item;
        }
    } else if (v->type == MT_J_LIST || v->type == MT_J_DICT || v->type == MT_J_VIEW) {
        return mt_j_fail(r, MOTE_EINVAL, "unhashable type: '%s'", mt_j_type_name(v));
    } else {
        *h = v->type;
    }
    return MOTE_OK;
}

static mote_status find(mt_jrun *r, const mt_jdict *d, const mt_jv *k, uint64_t hash,
                        size_t *index)
{
    bool eq = false;
    *index = SIZE_MAX;
    if (!d->slot) {
        for (size_t i = 0; i < d->n; i++) {
            if (d->e[i].hash != hash) continue;
            MT_TRY(mt_j_eq(r, &d->e[i].k, k, &eq));
            if (eq) *index = i;
        }
        return MOTE_OK;
    }
    for (size_t s = hash & (d->n_slot - 1); d->slot[s]; s = (s + 1) & (d->n_slot - 1)) {
        size_t i = d->slot[s] - 1;
        MT_TRY(mt_j_charge(r, 0));                /* colliding keys must not be free */
        if (d->e[i].hash != hash) continue;
        MT_TRY(mt_j_eq(r, &d->e[i].k, k, &eq));
        if (!eq) continue;
        *index = i;
        return MOTE_OK;
    }
    return MOTE_OK;
}

static mote_status index_pair(mt_jrun *r, mt_jdict *d, size_t i)
{
    size_t s = d->e[i].hash & (d->n_slot - 1);
    for (; d->slot[s]; s = (s + 1) & (d->n_slot - 1)) MT_TRY(mt_j_charge(r, 0));
    d->slot[s] = (uint32_t)i + 1;
    return MOTE_OK;
}

static mote_status dict_grow(mt_jrun *r, mt_jdict *d, size_t cap)
{
    size_t bytes = cap * sizeof(mt_jpair), n_slot = 32;
    mt_jpair *e = mt_j_get(r, bytes);
    if (!e) return mt_j_nomem(r, bytes);
    MT_TRY(mt_j_charge(r, d->n));
    if (d->n) memcpy(e, d->e, d->n * sizeof *e);
    d->e = e;
    d->cap = cap;
    if (cap <= 8) return MOTE_OK;
    while (n_slot < 2 * cap) n_slot *= 2;
    d->slot = mt_j_get(r, n_slot * sizeof *d->slot);
    if (!d->slot) return mt_j_nomem(r, n_slot * sizeof *d->slot);
    memset(d->slot, 0, n_slot * sizeof *d->slot);
    d->n_slot = n_slot;
    for (size_t i = 0; i < d->n; i++) MT_TRY(index_pair(r, d, i));
    return MOTE_OK;
}

mote_status mt_j_dict(mt_jrun *r, size_t cap, mt_jv *out)
{
    mt_jdict *d = mt_j_get(r, sizeof *d);
    if (!d) return mt_j_nomem(r, sizeof *d);
    memset(d, 0, sizeof *d);
    *out = (mt_jv){ .type = MT_J_DICT };
    out->u.d = d;
    if (cap > MT_J_HEAP / sizeof(mt_jpair)) return mt_j_nomem(r, MT_J_HEAP);
    return cap ? dict_grow(r, d, cap) : MOTE_OK;
}

mote_status mt_j_dict_set(mt_jrun *r, mt_jdict *d, const mt_jv *k, const mt_jv *v)
{
    uint64_t hash = 0;
    size_t at = SIZE_MAX;
    MT_TRY(hash_of(r, k, 0, &hash));
    MT_TRY(find(r, d, k, hash, &at));
    if (at != SIZE_MAX) {
        d->e[at].v = *v;
        return MOTE_OK;
    }
    if (d->n == d->cap) MT_TRY(dict_grow(r, d, d->cap ? d->cap * 2 : 4));
    d->e[d->n++] = (mt_jpair){ *k, *v, hash };
    return d->slot ? index_pair(r, d, d->n - 1) : MOTE_OK;
}

mote_status mt_j_dict_get(mt_jrun *r, const mt_jdict *d, const mt_jv *k, const mt_jv **v)
{
    uint64_t hash = 0;
    size_t at = SIZE_MAX;
    MT_TRY(hash_of(r, k, 0, &hash));
    MT_TRY(find(r, d, k, hash, &at));
    *v = at == SIZE_MAX ? NULL : &d->e[at].v;
    return MOTE_OK;
}

const mt_jv *mt_j_dict_text(const mt_jdict *d, mt_str k)
{
    uint64_t hash = mt_hash(k.p, k.n);
    size_t s = d->slot ? hash & (d->n_slot - 1) : 0;
    for (size_t n = 0; d->slot ? d->slot[s] != 0 : n < d->n;
         n++, s = (s + 1) & (d->n_slot - 1)) {
        const mt_jpair *e = &d->e[d->slot ? d->slot[s] - 1 : n];
        if (e->hash == hash && e->k.type == MT_J_STR && e->k.u.s->n == k.n &&
            memcmp(e->k.u.s->p, k.p, k.n) == 0)
            return &e->v;
    }
    return NULL;
}

/* ---- iteration ------------------------------------------------------------------------ */
bool mt_j_iterable(const mt_jv *v)
{
    return v->type != MT_J_LOOP ? v->type == MT_J_GEN || (mt_j_has_len(v)) : true;
}

static mote_status characters(mt_jrun *r, const mt_jstr *s, mt_jiter *it)
{
    mt_jv list, *v = NULL;
    MT_TRY(mt_j_charge(r, s->n));
    size_t n = 0, i = 0, len;
    for (size_t k = 0; k < s->n; k++) n += ((unsigned char)s->p[k] & 0xc0) != 0x80;
    MT_TRY(mt_j_list(r, MT_J_LIST, n, &v, &list));
    for (size_t k = 0; k < n; k++, i += len) {
        (void)mt_j_decode(s->p + i, s->n - i, &len);
        MT_TRY(mt_j_sub(r, s, i, len, &v[k]));
    }
    it->v = v;
    it->n = n;
    return MOTE_OK;
}

mote_status mt_j_iter(mt_jrun *r, const mt_jv *v, mt_jiter *it)
{
    memset(it, 0, sizeof *it);
    switch ((mt_jtype)v->type) {
    case MT_J_UNDEF: return MOTE_OK;
    case MT_J_STR: return characters(r, v->u.s, it);
    case MT_J_LIST: case MT_J_TUPLE: case MT_J_VIEW:
        it->v = v->u.l->v;
        it->n = v->u.l->n;
        return MOTE_OK;
    case MT_J_GEN:
        it->g = v->u.g;
        return MOTE_OK;
    case MT_J_DICT:
        it->d = v->u.d;
        it->n = v->u.d->n;
        return MOTE_OK;
    case MT_J_RANGE_OBJ:
        it->r = v->u.r;
        it->n = v->u.r->n;
        return MOTE_OK;
    case MT_J_ABSENT: case MT_J_NONE: case MT_J_BOOL: case MT_J_INT: case MT_J_FLOAT:
    case MT_J_SPACE: case MT_J_MACRO: case MT_J_FUNC: case MT_J_BOUND: case MT_J_LOOP:
    case MT_J_CYCLER: case MT_J_JOINER: break;
    }
    return mt_j_fail(r, MOTE_EINVAL, "'%s' object is not iterable", mt_j_type_name(v));
}

size_t mt_j_left(const mt_jiter *it) { return it->g ? it->g->n - it->g->at : it->n - it->at; }

bool mt_j_next(mt_jiter *it, mt_jv *out)
{
    if (!mt_j_left(it)) return false;
    if (it->g) *out = it->g->v[it->g->at++];
    else if (it->d) *out = it->d->e[it->at++].k;
    else if (it->r)
        *out = mt_j_int(it->r->start + (int64_t)it->at++ * it->r->step, it->r->tainted);
    else *out = it->v[it->at++];
    return true;
}

/* All items as an array.  A list's own array is used as it is. */
mote_status mt_j_items(mt_jrun *r, const mt_jv *v, const mt_jv **items, size_t *n)
{
    mt_jiter it;
    MT_TRY(mt_j_iter(r, v, &it));
    *n = mt_j_left(&it);
    *items = it.v;
    if (it.v || !*n) return mt_j_charge(r, *n);
    mt_jv list, *to = NULL;
    MT_TRY(mt_j_list(r, MT_J_LIST, *n, &to, &list));
    *items = to;
    while (mt_j_next(&it, to)) to++;
    return MOTE_OK;
}

mote_status mt_j_contains(mt_jrun *r, const mt_jv *seq, const mt_jv *v, bool *found)
{
    *found = false;
    if (seq->type == MT_J_STR) {
        if (v->type != MT_J_STR)
            return mt_j_fail(r, MOTE_EINVAL,
                             "'in <string>' requires string as left operand, not %s",
                             mt_j_type_name(v));
        MT_TRY(mt_j_charge(r, seq->u.s->n));
        *found = mt_j_find(seq->u.s->p, seq->u.s->n, v->u.s->p, v->u.s->n) != NULL;
        return MOTE_OK;
    }
    if (seq->type == MT_J_DICT) {
        const mt_jv *value = NULL;
        MT_TRY(mt_j_dict_get(r, seq->u.d, v, &value));
        *found = value != NULL;
        return MOTE_OK;
    }
    if (!mt_j_iterable(seq) || seq->type == MT_J_LOOP)
        return mt_j_fail(r, MOTE_EINVAL, "argument of type '%s' is not iterable",
                         mt_j_type_name(seq));
    mt_jiter it;
    mt_jv item;
    MT_TRY(mt_j_iter(r, seq, &it));
    while (!*found && mt_j_next(&it, &item)) MT_TRY(mt_j_eq(r, &item, v, found));
    return MOTE_OK;
}

/* SPDX-License-Identifier: MIT */
/* jinja_eval.c - runs the tree: statements, scopes, expressions.
 *
 * Scopes are jinja2's: for, macros, block sets and with open one, if does not; a name is
 * looked up along the scopes of the place where it is written, then in the variables, then
 * among the globals.  Statements write at the end of one output buffer; a block being
 * captured is the tail of that buffer, taken off again when it is complete. */
#include <string.h>

#include "text/jinja.h"

/* ---- scopes ------------------------------------------------------------------- */
static mote_status open_scope(mt_jrun *r, mt_jscope *up, mt_jscope **out)
{
    mt_jscope *s = mt_j_get(r, sizeof *s);
    if (!s) return mt_j_nomem(r, sizeof *s);
    *s = (mt_jscope){ .up = up };
    *out = s;
    return MOTE_OK;
}

static mt_jvar *find_var(const mt_jscope *s, mt_str name, uint32_t hash)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->var[i].hash == hash && mt_str_eq(s->var[i].name, name)) return &s->var[i];
    return NULL;
}

static mote_status set_var(mt_jrun *r, mt_jscope *s, mt_str name, uint32_t hash, const mt_jv *v)
{
    mt_jvar *var = find_var(s, name, hash);
    MT_TRY(mt_j_charge(r, s->n));
    if (!var && s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 4;
        var = mt_j_get(r, cap * sizeof *var);
        if (!var) return mt_j_nomem(r, cap * sizeof *var);
        if (s->n) memcpy(var, s->var, s->n * sizeof *var);
        s->var = var;
        s->cap = cap;
        var = NULL;
    }
    if (!var) var = &s->var[s->n++];
    *var = (mt_jvar){ name, hash, *v };
    return MOTE_OK;
}

static mote_status lookup(mt_jrun *r, const mt_jscope *s, mt_str name, uint32_t hash,
                          mt_jv *out)
{
    for (; s; s = s->up) {
        const mt_jvar *var = find_var(s, name, hash);
        if (s->n > 64) MT_TRY(mt_j_charge(r, s->n));
        if (!var) continue;
        *out = var->v;
        return MOTE_OK;
    }
    const mt_jv *v = mt_j_dict_text(r->vars, name);
    if (v) *out = *v;
    if (v || mt_j_global(name, out)) return MOTE_OK;
    mt_jv key, none = { .type = MT_J_ABSENT };
    MT_TRY(mt_j_text(r, name.p, name.n, MT_J_TRUSTED, &key));
    return mt_j_undef_of(r, &none, &key, false, out);
}

/* ---- assignment ---------------------------------------------------------------- */
static mote_status set_attr(mt_jrun *r, mt_jscope *s, const mt_jnode *n, const mt_jv *v)
{
    mt_jv space, key;
    mt_str name = n->kid[0]->text;
    MT_TRY(lookup(r, s, n->text, n->hash, &space));
    if (space.type != MT_J_SPACE)
        return mt_j_fail(r, MOTE_EINVAL, "cannot assign attribute on non-namespace object");
    if (name.p[0] == '_')
        return mt_j_fail(r, MOTE_EINVAL,
                         "cannot store the underscore-prefixed attribute %.*s on a namespace",
                         (int)MT_MIN(name.n, (size_t)60), name.p);
    MT_TRY(mt_j_text(r, name.p, name.n, MT_J_TRUSTED, &key));
    r->escapes++;
    return mt_j_dict_set(r, space.u.d, &key, v);
}

static mote_status assign(mt_jrun *r, mt_jscope *s, const mt_jnode *to, const mt_jv *v)
{
    const mt_jv *items;
    size_t n;
    if (to->kind == MT_JN_NAME) return set_var(r, s, to->text, to->hash, v);
    if (to->kind == MT_JN_NSREF) return set_attr(r, s, to, v);
    if (!mt_j_iterable(v) || v->type == MT_J_LOOP)
        return mt_j_fail(r, MOTE_EINVAL, "cannot unpack non-iterable %s object",
                         mt_j_type_name(v));
    MT_TRY(mt_j_items(r, v, &items, &n));
    if (n < to->n)
        return mt_j_fail(r, MOTE_EINVAL, "not enough values to unpack (expected %u, got %zu)",
                         to->n, n);
    if (n > to->n)
        return mt_j_fail(r, MOTE_EINVAL, "too many values to unpack (expected %u)", to->n);
    for (size_t i = 0; i < n; i++) MT_TRY(assign(r, s, to->kid[i], &items[i]));
    return MOTE_OK;
}

/* ---- calls ------------------------------------------------------------------------ */
typedef struct arglist { mt_jv *v; mt_jkw *k; size_t n, cap, n_k, cap_k; } arglist;

static mote_status add_arg(mt_jrun *r, arglist *l, const mt_jv *v)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        mt_jv *grown = mt_j_get(r, cap * sizeof *grown);
        if (!grown) return mt_j_nomem(r, cap * sizeof *grown);
        if (l->n) memcpy(grown, l->v, l->n * sizeof *grown);
        l->v = grown;
        l->cap = cap;
    }
    l->v[l->n++] = *v;
    return MOTE_OK;
}

static mote_status add_keyword(mt_jrun *r, arglist *l, mt_str name, bool tainted,
                               const mt_jv *v)
{
    if (l->n_k == l->cap_k) {
        size_t cap = l->cap_k ? l->cap_k * 2 : 4;
        mt_jkw *grown = mt_j_get(r, cap * sizeof *grown);
        if (!grown) return mt_j_nomem(r, cap * sizeof *grown);
        if (l->n_k) memcpy(grown, l->k, l->n_k * sizeof *grown);
        l->k = grown;
        l->cap_k = cap;
    }
    l->k[l->n_k++] = (mt_jkw){ name, tainted, *v };
    return MOTE_OK;
}

static mote_status spread(mt_jrun *r, arglist *l, const mt_jv *v, bool keywords)
{
    mt_jiter it;
    mt_jv item;
    if (!keywords) {
        MT_TRY(mt_j_iter(r, v, &it));
        while (mt_j_next(&it, &item)) {
            MT_TRY(mt_j_charge(r, 0));
            MT_TRY(add_arg(r, l, &item));
        }
        return MOTE_OK;
    }
    if (v->type != MT_J_DICT)
        return mt_j_fail(r, MOTE_EINVAL, "argument after ** must be a mapping");
    for (size_t i = 0; i < v->u.d->n; i++) {
        const mt_jpair *e = &v->u.d->e[i];
        if (e->k.type != MT_J_STR) return mt_j_fail(r, MOTE_EINVAL, "keywords must be strings");
        MT_TRY(add_keyword(r, l, (mt_str){ e->k.u.s->p, e->k.u.s->n }, mt_j_tainted(&e->k),
                           &e->v));
    }
    return MOTE_OK;
}

static mote_status arguments(mt_jrun *r, mt_jscope *s, const mt_jnode *n, const mt_jv *caller,
                             mt_jargs *out)
{
    arglist l = { 0 };
    for (uint32_t i = 0; i < n->n; i++) {
        const mt_jnode *arg = n->kid[i];
        mt_jv v;
        MT_TRY(mt_j_eval(r, s, arg->kid[0], &v));
        if (arg->op == MT_JA_POS) MT_TRY(add_arg(r, &l, &v));
        else if (arg->op == MT_JA_KEYWORD) MT_TRY(add_keyword(r, &l, arg->text, false, &v));
        else MT_TRY(spread(r, &l, &v, arg->op == MT_JA_STARSTAR));
    }
    if (caller) MT_TRY(add_keyword(r, &l, mt_str_of("caller"), false, caller));
    *out = (mt_jargs){ l.v, l.n, l.k, l.n_k };
    return MOTE_OK;
}

/* The value of one argument by name, else `missing`. */
static const mt_jv *keyword(const mt_jargs *a, mt_str name)
{
    for (size_t i = 0; i < a->n_k; i++)
        if (mt_str_eq(a->k[i].name, name)) return &a->k[i].v;
    return NULL;
}

static bool has_param(const mt_jnode *m, mt_str name)
{
    for (uint32_t i = 0; i + 1 < m->n; i++)
        if (mt_str_eq(m->kid[i]->text, name)) return true;
    return false;
}

static mote_status bind_params(mt_jrun *r, mt_jscope *s, const mt_jnode *m, const mt_jargs *a)
{
    for (uint32_t i = 0; i + 1 < m->n; i++) {
        const mt_jnode *param = m->kid[i];
        const mt_jv *given = i < a->n ? &a->v[i] : keyword(a, param->text);
        mt_jv v;
        MT_TRY(mt_j_charge(r, a->n_k));
        if (given) v = *given;
        else if (param->kid[0]) MT_TRY(mt_j_eval(r, s, param->kid[0], &v));
        else MT_TRY(mt_j_undef(r, "a parameter was not provided", &v));
        MT_TRY(set_var(r, s, param->text, param->hash, &v));
    }
    return MOTE_OK;
}

static mote_status set_implicit(mt_jrun *r, mt_jscope *s, const char *name, const mt_jv *v)
{
    mt_str text = mt_str_of(name);
    return set_var(r, s, text, (uint32_t)mt_hash(text.p, text.n), v);
}

/* caller, varargs and kwargs, for the macros that name them; else what is left over is an
 * error. */
static mote_status bind_rest(mt_jrun *r, mt_jscope *s, const mt_jnode *m, const mt_jargs *a)
{
    size_t n_param = m->n - 1;
    mt_jv v, *items;
    if (m->op & MT_JM_CALLER) {
        const mt_jv *caller = keyword(a, mt_str_of("caller"));
        if (caller) v = *caller;
        else MT_TRY(mt_j_undef(r, "no caller defined", &v));
        MT_TRY(set_implicit(r, s, "caller", &v));
    }
    mt_jv rest;
    MT_TRY(mt_j_dict(r, 0, &rest));
    for (size_t i = 0; i < a->n_k; i++) {
        const mt_jkw *k = &a->k[i];
        bool is_caller = (m->op & MT_JM_CALLER) && mt_str_is(k->name, "caller");
        MT_TRY(mt_j_charge(r, n_param));
        if (is_caller || has_param(m, k->name)) continue;
        if (!(m->op & MT_JM_KWARGS))
            return mt_j_fail(r, MOTE_EINVAL, "macro '%.*s' takes no keyword argument '%.*s'",
                             (int)MT_MIN(m->text.n, (size_t)50), m->text.p,
                             (int)MT_MIN(k->name.n, (size_t)50), k->name.p);
        MT_TRY(mt_j_text(r, k->name.p, k->name.n, k->tainted ? NULL : MT_J_TRUSTED, &v));
        MT_TRY(mt_j_dict_set(r, rest.u.d, &v, &k->v));
    }
    if (m->op & MT_JM_KWARGS) MT_TRY(set_implicit(r, s, "kwargs", &rest));
    if (m->op & MT_JM_VARARGS) {
        size_t n = a->n > n_param ? a->n - n_param : 0;
        MT_TRY(mt_j_list(r, MT_J_TUPLE, n, &items, &v));
        for (size_t i = 0; i < n; i++) items[i] = a->v[n_param + i];
        return set_implicit(r, s, "varargs", &v);
    }
    if (a->n > n_param)
        return mt_j_fail(r, MOTE_EINVAL, "macro '%.*s' takes not more than %zu argument(s)",
                         (int)MT_MIN(m->text.n, (size_t)60), m->text.p, n_param);
    return MOTE_OK;
}

/* Takes the output since `start` off the buffer, as a string. */
static mote_status capture(mt_jrun *r, size_t start, mt_jv *out)
{
    size_t n = r->out.n - start;
    const uint8_t *marks = n ? (const uint8_t *)r->marks.p + start : NULL;
    const uint8_t *t = MT_J_TRUSTED;
    if (n && !memchr(marks, 1, n)) t = NULL;
    else if (n && memchr(marks, 0, n)) t = marks;
    mt_jbuf *b = mt_j_buf(r, n);
    if (!b) return mt_j_nomem(r, n);
    if (n) MT_TRY(mt_j_put(r, b, r->out.p + start, n, t));
    r->out.n = r->marks.n = start;
    return mt_j_done(r, b, out);
}

static mote_status call_macro(mt_jrun *r, const mt_jmacro *m, const mt_jargs *a, mt_jv *out)
{
    mt_jscope *s = NULL;
    uint32_t line = r->line;
    if (++r->macro_depth > MT_J_MACRO_DEPTH)
        return mt_j_limit(r, "nested macro calls", MT_J_MACRO_DEPTH);
    const mt_jmark mark = mt_j_mark(r);
    const size_t start = r->out.n;
    MT_TRY(open_scope(r, m->scope, &s));
    MT_TRY(bind_params(r, s, m->node, a));
    MT_TRY(bind_rest(r, s, m->node, a));
    MT_TRY(mt_j_exec(r, s, m->node->kid[m->node->n - 1]));
    mt_j_rewind(r, &mark);
    r->macro_depth--;
    r->line = line;
    return capture(r, start, out);
}

mote_status mt_j_call(mt_jrun *r, const mt_jv *f, const mt_jargs *a, mt_jv *out)
{
    const mt_jv none = { .type = MT_J_ABSENT };
    switch (f->type) {
    case MT_J_MACRO: return call_macro(r, f->u.m, a, out);
    case MT_J_FUNC: return mt_j_invoke(r, f->u.p, &none, a, out);
    case MT_J_BOUND:
        MT_TRY(mt_j_invoke(r, f->u.bound->proc, &f->u.bound->self, a, out));
        if (f->u.bound->self.type == MT_J_STR && f->u.bound->self.sub && out->type == MT_J_STR)
            out->sub = 1;
        return MOTE_OK;
    case MT_J_JOINER:
        if (f->u.c->at++) *out = f->u.c->v[0];
        else return mt_j_text(r, "", 0, MT_J_TRUSTED, out);
        return MOTE_OK;
    case MT_J_UNDEF: return mt_j_undef_fail(r, f);
    default: return mt_j_fail(r, MOTE_EINVAL, "'%s' object is not callable", mt_j_type_name(f));
    }
}

/* ---- expressions ---------------------------------------------------------------------- */
static mote_status eval_slice(mt_jrun *r, mt_jscope *s, const mt_jnode *n, const mt_jv *obj,
                              mt_jv *out)
{
    mt_jv idx[3];
    for (int i = 0; i < 3; i++) {
        idx[i] = mt_j_none();
        if (n->kid[i]) MT_TRY(mt_j_eval(r, s, n->kid[i], &idx[i]));
    }
    return mt_j_slice(r, obj, idx, out);
}

static mote_status eval_step(mt_jrun *r, mt_jscope *s, const mt_jnode *n, const mt_jv *caller,
                             const mt_jv *v, mt_jv *out)
{
    mt_jargs args;
    mt_jv key;
    r->line = n->line;
    if (n->kind == MT_JN_ATTR) return mt_j_getattr(r, v, n->text, out);
    if (n->kind == MT_JN_ITEM) {
        if (n->kid[0]->kind == MT_JN_SLICE) return eval_slice(r, s, n->kid[0], v, out);
        MT_TRY(mt_j_eval(r, s, n->kid[0], &key));
        return mt_j_getitem(r, v, &key, out);
    }
    if (n->kind != MT_JN_CALL && !n->u.proc)
        return mt_j_fail(r, MOTE_EUNSUPPORTED, "no %s named '%.*s'",
                         n->kind == MT_JN_FILTER ? "filter" : "test",
                         (int)MT_MIN(n->text.n, (size_t)60), n->text.p);
    MT_TRY(arguments(r, s, n, caller, &args));
    r->line = n->line;
    if (n->kind == MT_JN_CALL) return mt_j_call(r, v, &args, out);
    MT_TRY(mt_j_invoke(r, n->u.proc, v, &args, out));
    if (n->kind == MT_JN_TEST) *out = mt_j_bool(mt_j_truth(out) != n->op);
    return MOTE_OK;
}

/* caller: handed to the last step, which is then a call; NULL otherwise. */
static mote_status eval_chain(mt_jrun *r, mt_jscope *s, const mt_jnode *n, const mt_jv *caller,
                              mt_jv *out)
{
    MT_TRY(mt_j_eval(r, s, n->kid[0], out));
    for (uint32_t i = 1; i < n->n; i++) {
        mt_jv v = *out;
        MT_TRY(mt_j_charge(r, 0));
        MT_TRY(eval_step(r, s, n->kid[i], i + 1 == n->n ? caller : NULL, &v, out));
    }
    return MOTE_OK;
}

static mote_status eval_items(mt_jrun *r, mt_jscope *s, const mt_jnode *n, mt_jv *out)
{
    mt_jv *items;
    MT_TRY(mt_j_list(r, n->kind == MT_JN_LIST ? MT_J_LIST : MT_J_TUPLE, n->n, &items, out));
    for (uint32_t i = 0; i < n->n; i++) MT_TRY(mt_j_eval(r, s, n->kid[i], &items[i]));
    return MOTE_OK;
}

static mote_status eval_dict(mt_jrun *r, mt_jscope *s, const mt_jnode *n, mt_jv *out)
{
    mt_jv k, v;
    MT_TRY(mt_j_dict(r, n->n / 2, out));
    for (uint32_t i = 0; i < n->n; i += 2) {
        MT_TRY(mt_j_eval(r, s, n->kid[i], &k));
        MT_TRY(mt_j_eval(r, s, n->kid[i + 1], &v));
        MT_TRY(mt_j_dict_set(r, out->u.d, &k, &v));
    }
    return MOTE_OK;
}

static mote_status eval_operands(mt_jrun *r, mt_jscope *s, const mt_jnode *n, mt_jv *out)
{
    mt_jv left, right;
    MT_TRY(mt_j_eval(r, s, n->kid[0], &left));
    if (n->kind == MT_JN_CONCAT) MT_TRY(mt_j_str(r, &left, &left));
    *out = left;
    for (uint32_t i = 1; i < n->n; i++) {
        if (n->kind == MT_JN_OR || n->kind == MT_JN_AND) {
            if (mt_j_truth(out) == (n->kind == MT_JN_OR)) return MOTE_OK;
            MT_TRY(mt_j_eval(r, s, n->kid[i], out));
            continue;
        }
        MT_TRY(mt_j_eval(r, s, n->kid[i], &right));
        r->line = n->line;
        if (n->kind == MT_JN_CONCAT) {
            MT_TRY(mt_j_str(r, &right, &right));
            MT_TRY(mt_j_concat(r, &left, &right, out));
        } else {
            MT_TRY(mt_j_math(r, (mt_jop)n->ops[i - 1], &left, &right, out));
        }
        left = *out;
    }
    return MOTE_OK;
}

static mote_status eval_compare(mt_jrun *r, mt_jscope *s, const mt_jnode *n, mt_jv *out)
{
    mt_jv left, right;
    bool holds = true;
    MT_TRY(mt_j_eval(r, s, n->kid[0], &left));
    for (uint32_t i = 1; holds && i < n->n; i++) {
        MT_TRY(mt_j_eval(r, s, n->kid[i], &right));
        r->line = n->line;
        MT_TRY(mt_j_compare(r, (mt_jop)n->ops[i - 1], &left, &right, &holds));
        left = right;
    }
    *out = mt_j_bool(holds);
    return MOTE_OK;
}

static mote_status eval_sign(mt_jrun *r, mt_jscope *s, const mt_jnode *n, mt_jv *out)
{
    mt_jv v;
    double f;
    MT_TRY(mt_j_eval(r, s, n->kid[0], &v));
    const mt_jv zero = mt_j_int(0, false);
    if (v.type == MT_J_UNDEF) return mt_j_undef_fail(r, &v);
    if (!mt_j_num(&v, &f))
        return mt_j_fail(r, MOTE_EINVAL, "bad operand type for unary %c: '%s'",
                         n->kind == MT_JN_NEG ? '-' : '+', mt_j_type_name(&v));
    if (v.type == MT_J_FLOAT) {
        *out = mt_j_float(n->kind == MT_JN_NEG ? -f : f, v.tainted);
        return MOTE_OK;
    }
    return mt_j_math(r, n->kind == MT_JN_NEG ? MT_JO_SUB : MT_JO_ADD, &zero, &v, out);
}

static mote_status eval_node(mt_jrun *r, mt_jscope *s, const mt_jnode *n, mt_jv *out)
{
    mt_jv v;
    switch (n->kind) {
    case MT_JN_CAPTURED: *out = r->captured; return MOTE_OK;
    case MT_JN_LIST: case MT_JN_TUPLE: return eval_items(r, s, n, out);
    case MT_JN_DICT: return eval_dict(r, s, n, out);
    case MT_JN_COND:
        MT_TRY(mt_j_eval(r, s, n->kid[0], &v));
        if (mt_j_truth(&v)) return mt_j_eval(r, s, n->kid[1], out);
        if (n->kid[2]) return mt_j_eval(r, s, n->kid[2], out);
        return mt_j_undef(
            r, "the inline if-expression evaluated to false and no else section was defined",
            out);
    case MT_JN_OR:
    case MT_JN_AND:
    case MT_JN_CONCAT:
    case MT_JN_MATH:
        return eval_operands(r, s, n, out);
    case MT_JN_NOT:
        MT_TRY(mt_j_eval(r, s, n->kid[0], &v));
        *out = mt_j_bool(!mt_j_truth(&v));
        return MOTE_OK;
    case MT_JN_NEG: case MT_JN_POS: return eval_sign(r, s, n, out);
    case MT_JN_COMPARE: return eval_compare(r, s, n, out);
    case MT_JN_CHAIN: return eval_chain(r, s, n, NULL, out);
    default:
        return mt_j_fail(r, MOTE_EUNSUPPORTED,
                         "this expression has no value of its own"); /* x[1:2, 3] */
    }
}

mote_status mt_j_eval(mt_jrun *r, mt_jscope *s, const mt_jnode *n, mt_jv *out)
{
    MT_TRY(mt_j_charge(r, 0));
    if (n->kind == MT_JN_CONST) {
        *out = n->u.value;
        return MOTE_OK;
    }
    if (n->kind == MT_JN_NAME) return lookup(r, s, n->text, n->hash, out);
    r->line = n->line;
    if (++r->depth > MT_J_EVAL_DEPTH)
        return mt_j_limit(r, "levels of evaluation", MT_J_EVAL_DEPTH);
    MT_TRY(eval_node(r, s, n, out));
    r->depth--;
    return MOTE_OK;
}

/* ---- loops ------------------------------------------------------------------------------ */
/* The next item that passes the loop's own `if`; ABSENT at the end. */
static mote_status advance(mt_jrun *r, mt_jloop *l, mt_jv *out)
{
    while (mt_j_next(&l->it, out)) {
        mt_jscope *s = NULL;
        mt_jv v;
        MT_TRY(mt_j_charge(r, 0));
        if (!l->node) return MOTE_OK;
        const mt_jmark mark = mt_j_mark(r);
        MT_TRY(open_scope(r, l->scope, &s));
        MT_TRY(assign(r, s, l->node->kid[0], out));
        MT_TRY(mt_j_eval(r, s, l->node->kid[2], &v));
        bool keep = mt_j_truth(&v);
        mt_j_rewind(r, &mark);
        if (keep) return MOTE_OK;
    }
    *out = (mt_jv){ .type = MT_J_ABSENT };
    return MOTE_OK;
}

static mote_status peek(mt_jrun *r, mt_jloop *l)
{
    if (!l->has_after) MT_TRY(advance(r, l, &l->after));
    l->has_after = true;
    return MOTE_OK;
}

/* A loop with an `if` knows its length only after running it over all items. */
static mote_status measure(mt_jrun *r, mt_jloop *l)
{
    mt_jv *items, list, item;
    size_t n = 0;
    if (l->length >= 0) return MOTE_OK;
    MT_TRY(mt_j_list(r, MT_J_LIST, mt_j_left(&l->it), &items, &list));
    MT_TRY(advance(r, l, &item));
    while (item.type != MT_J_ABSENT) {
        items[n++] = item;
        MT_TRY(advance(r, l, &item));
    }
    r->escapes++;                                 /* the loop outlives this iteration */
    l->it = (mt_jiter){ .v = items, .n = n };
    l->node = NULL;
    l->length = (int64_t)n + l->index0 + 1 + (l->has_after && l->after.type != MT_J_ABSENT);
    return MOTE_OK;
}

mote_status mt_j_loop_attr(mt_jrun *r, mt_jloop *l, mt_str name, mt_jv *out)
{
    if (mt_str_is(name, "index")) *out = mt_j_int(l->index0 + 1, false);
    else if (mt_str_is(name, "index0")) *out = mt_j_int(l->index0, false);
    else if (mt_str_is(name, "first")) *out = mt_j_bool(l->index0 == 0);
    else if (mt_str_is(name, "depth")) *out = mt_j_int(1, false);
    else if (mt_str_is(name, "depth0")) *out = mt_j_int(0, false);
    else if (mt_str_is(name, "previtem")) {
        if (l->index0 == 0) return mt_j_undef(r, "there is no previous item", out);
        *out = l->before;
    } else if (mt_str_is(name, "last")) {
        MT_TRY(peek(r, l));
        *out = mt_j_bool(l->after.type == MT_J_ABSENT);
    } else if (mt_str_is(name, "nextitem")) {
        MT_TRY(peek(r, l));
        if (l->after.type == MT_J_ABSENT) return mt_j_undef(r, "there is no next item", out);
        *out = l->after;
    } else if (mt_str_is(name, "length")) {
        MT_TRY(measure(r, l));
        *out = mt_j_int(l->length, true);
    } else if (mt_str_is(name, "revindex") || mt_str_is(name, "revindex0")) {
        MT_TRY(measure(r, l));
        *out = mt_j_int(l->length - l->index0 - mt_str_is(name, "revindex0"), true);
    }
    return MOTE_OK;                               /* ABSENT stays for any other name */
}

static mote_status iteration(mt_jrun *r, mt_jscope *up, const mt_jnode *n, mt_jloop *l,
                             const mt_jv *item)
{
    mt_jscope *s = NULL;
    mt_jv loop = { .type = MT_J_LOOP };
    loop.u.loop = l;
    MT_TRY(open_scope(r, up, &s));
    MT_TRY(set_implicit(r, s, "loop", &loop));
    MT_TRY(assign(r, s, n->kid[0], item));
    return mt_j_exec(r, s, n->kid[3]);
}

static mote_status exec_for(mt_jrun *r, mt_jscope *up, const mt_jnode *n)
{
    mt_jv v, item;
    bool completed = false;                       /* an iteration ran to its end: no else */
    mt_jloop *l = mt_j_get(r, sizeof *l);
    if (!l) return mt_j_nomem(r, sizeof *l);
    *l = (mt_jloop){ .index0 = -1, .scope = up, .node = n->kid[2] ? n : NULL };
    MT_TRY(mt_j_eval(r, up, n->kid[1], &v));
    MT_TRY(mt_j_iter(r, &v, &l->it));
    l->length = l->node ? -1 : (int64_t)mt_j_left(&l->it);
    for (;;) {
        if (l->has_after) item = l->after;
        else MT_TRY(advance(r, l, &item));
        if (item.type == MT_J_ABSENT) break;
        l->has_after = false;
        l->index0++;
        l->before = l->current;
        l->current = item;
        const mt_jmark mark = mt_j_mark(r);
        MT_TRY(iteration(r, up, n, l, &item));
        mt_j_rewind(r, &mark);
        int flow = r->flow;
        r->flow = 0;
        if (flow == MT_JN_BREAK) break;
        completed = completed || !flow;
    }
    if (completed || !n->kid[4]) return MOTE_OK;
    mt_jscope *s = NULL;
    MT_TRY(open_scope(r, up, &s));
    return mt_j_exec(r, s, n->kid[4]);
}

/* ---- statements -------------------------------------------------------------------------- */
static mote_status print(mt_jrun *r, const mt_jv *v)
{
    if (v->type == MT_J_STR) return mt_j_emit(r, v->u.s->p, v->u.s->n, v->u.s->t);
    mt_jv text;
    MT_TRY(mt_j_str(r, v, &text));
    return mt_j_emit(r, text.u.s->p, text.u.s->n, text.u.s->t);
}

/* What a call or filter block gives: jinja2 takes nothing but a string there. */
static mote_status print_text(mt_jrun *r, const mt_jv *v)
{
    if (v->type == MT_J_STR) return print(r, v);
    return mt_j_fail(r, MOTE_EINVAL, "expected str instance, %s found", mt_j_type_name(v));
}

/* Runs body in a scope of its own and takes its output; false when a jump leaves it. */
static mote_status exec_captured(mt_jrun *r, mt_jscope *up, const mt_jnode *body,
                                 const mt_jnode *filters, mt_jv *out, bool *done)
{
    mt_jscope *s = NULL;
    const size_t start = r->out.n;
    MT_TRY(open_scope(r, up, &s));
    MT_TRY(mt_j_exec(r, s, body));
    MT_TRY(capture(r, start, out));
    *done = r->flow == 0;
    if (!filters || !*done) return MOTE_OK;
    const mt_jv outer = r->captured;
    r->captured = *out;
    MT_TRY(mt_j_eval(r, up, filters, out));
    r->captured = outer;
    return MOTE_OK;
}

static mote_status exec_with(mt_jrun *r, mt_jscope *up, const mt_jnode *n)
{
    mt_jscope *s = NULL;
    mt_jv v;
    MT_TRY(open_scope(r, up, &s));
    for (uint32_t i = 0; i + 1 < n->n; i += 2) {
        MT_TRY(mt_j_eval(r, up, n->kid[i + 1], &v));
        MT_TRY(assign(r, s, n->kid[i], &v));
    }
    return mt_j_exec(r, s, n->kid[n->n - 1]);
}

static mote_status make_macro(mt_jrun *r, mt_jscope *s, const mt_jnode *n, mt_jv *out)
{
    mt_jmacro *m = mt_j_get(r, sizeof *m);
    if (!m) return mt_j_nomem(r, sizeof *m);
    *m = (mt_jmacro){ n, s };
    *out = (mt_jv){ .type = MT_J_MACRO };
    out->u.m = m;
    return MOTE_OK;
}

static mote_status exec_if(mt_jrun *r, mt_jscope *s, const mt_jnode *n)
{
    mt_jv v;
    for (uint32_t i = 0; i + 1 < n->n; i += 2) {
        MT_TRY(mt_j_eval(r, s, n->kid[i], &v));
        if (mt_j_truth(&v)) return mt_j_exec(r, s, n->kid[i + 1]);
    }
    return n->n % 2 ? mt_j_exec(r, s, n->kid[n->n - 1]) : MOTE_OK;
}

static mote_status exec_node(mt_jrun *r, mt_jscope *s, const mt_jnode *n)
{
    mt_jv v, caller;
    mt_jscope *inner = NULL;
    bool done = true;
    switch (n->kind) {
    case MT_JN_BODY:
        for (uint32_t i = 0; i < n->n && !r->flow; i++) MT_TRY(mt_j_exec(r, s, n->kid[i]));
        return MOTE_OK;
    case MT_JN_PRINT:
        MT_TRY(mt_j_eval(r, s, n->kid[0], &v));
        return print(r, &v);
    case MT_JN_FOR: return exec_for(r, s, n);
    case MT_JN_IF: return exec_if(r, s, n);
    case MT_JN_SET:
        MT_TRY(mt_j_eval(r, s, n->kid[1], &v));
        return assign(r, s, n->kid[0], &v);
    case MT_JN_SETBLOCK:
        MT_TRY(exec_captured(r, s, n->kid[2], n->kid[1], &v, &done));
        return done ? assign(r, s, n->kid[0], &v) : MOTE_OK;
    case MT_JN_FILTERBLOCK:
        MT_TRY(exec_captured(r, s, n->kid[1], n->kid[0], &v, &done));
        return done ? print_text(r, &v) : MOTE_OK;
    case MT_JN_WITH: return exec_with(r, s, n);
    case MT_JN_MACRO:
        MT_TRY(make_macro(r, s, n, &v));
        return set_var(r, s, n->text, n->hash, &v);
    case MT_JN_CALLBLOCK:
        MT_TRY(make_macro(r, s, n->kid[1], &caller));
        MT_TRY(eval_chain(r, s, n->kid[0], &caller, &v));
        return print_text(r, &v);
    case MT_JN_GENERATION:
        MT_TRY(open_scope(r, s, &inner));
        return mt_j_exec(r, inner, n->kid[0]);
    default:                                      /* break, continue */
        r->flow = n->kind;
        return MOTE_OK;
    }
}

mote_status mt_j_exec(mt_jrun *r, mt_jscope *s, const mt_jnode *n)
{
    r->line = n->line;
    MT_TRY(mt_j_charge(r, 0));
    if (n->kind == MT_JN_DATA) return mt_j_emit(r, n->text.p, n->text.n, MT_J_TRUSTED);
    if (++r->depth > MT_J_EVAL_DEPTH)
        return mt_j_limit(r, "levels of evaluation", MT_J_EVAL_DEPTH);
    MT_TRY(exec_node(r, s, n));
    r->depth--;
    return MOTE_OK;
}

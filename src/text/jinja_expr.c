/* SPDX-License-Identifier: MIT */
/* jinja_expr.c - tokens to expressions, with jinja2's precedence.
 *
 * Everything that repeats on one level (operands of one precedence, steps of a.b[c](d)|e)
 * becomes one node with many kids, so the tree is only as deep as the template is nested,
 * and that depth is limited here.  Filters and tests are looked up here too: an unknown one
 * refuses the template, except inside a condition, where jinja2 asks for it only when it
 * runs. */
#include <stdio.h>
#include <string.h>

#include "text/jinja_parse.h"

/* ---- small things ------------------------------------------------------------ */
mote_status mt_jp_fail(const mt_jparser *p, uint32_t line, const char *fmt, ...)
{
    char text[180];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return mt_fail(p->err, MOTE_EFORMAT, "template line %u: %s", line, text);
}

static mote_status nomem(const mt_jparser *p)
{
    return mt_fail(p->err, MOTE_ENOMEM, "no memory to parse the template");
}

mote_status mt_jp_enter(mt_jparser *p)
{
    if (++p->depth <= MT_J_PARSE_DEPTH) return MOTE_OK;
    return mt_fail(p->err, MOTE_EFULL, "template line %u: the template nests deeper than %d",
                   p->cur.line, MT_J_PARSE_DEPTH);
}

mote_status mt_jp_next(mt_jparser *p)
{
    if (p->has_ahead) {
        p->cur = p->ahead;
        p->has_ahead = false;
        return MOTE_OK;
    }
    return mt_j_lex_next(&p->lex, &p->cur);
}

static mote_status look(mt_jparser *p, const mt_jtoken **out)
{
    if (!p->has_ahead) MT_TRY(mt_j_lex_next(&p->lex, &p->ahead));
    p->has_ahead = true;
    *out = &p->ahead;
    return MOTE_OK;
}

bool mt_jp_is_op(const mt_jtoken *t, const char *op)
{ return t->type == MT_JT_OP && mt_str_is(t->text, op); }
bool mt_jp_is_name(const mt_jtoken *t, const char *w)
{ return t->type == MT_JT_NAME && mt_str_is(t->text, w); }

static const char *describe(const mt_jtoken *t, char buf[48])
{
    switch (t->type) {
    case MT_JT_EOF: return "end of template";
    case MT_JT_DATA: return "template text";
    case MT_JT_VAR_BEGIN: return "{{";
    case MT_JT_VAR_END: return "}}";
    case MT_JT_BLOCK_BEGIN: return "{%";
    case MT_JT_BLOCK_END: return "%}";
    case MT_JT_STRING: return "a string";
    case MT_JT_NAME:
    case MT_JT_INT:
    case MT_JT_FLOAT:
    case MT_JT_OP:
        (void)snprintf(buf, 48, "'%.*s'", (int)MT_MIN(t->text.n, (size_t)40), t->text.p);
        return buf;
    }
    return "?";
}

mote_status mt_jp_unexpected(const mt_jparser *p, const char *wanted)
{
    char buf[48];
    return mt_jp_fail(p, p->cur.line, "expected %s, found %s", wanted, describe(&p->cur, buf));
}

mote_status mt_jp_expect_op(mt_jparser *p, const char *op)
{
    if (!mt_jp_is_op(&p->cur, op)) return mt_jp_unexpected(p, op);
    return mt_jp_next(p);
}

mote_status mt_jp_expect(mt_jparser *p, mt_jtok type, const char *wanted)
{
    if (p->cur.type != type) return mt_jp_unexpected(p, wanted);
    return mt_jp_next(p);
}

mote_status mt_jp_name(mt_jparser *p, mt_str *out)
{
    if (p->cur.type != MT_JT_NAME) return mt_jp_unexpected(p, "a name");
    *out = p->cur.text;
    return mt_jp_next(p);
}

mote_status mt_jp_add(mt_jparser *p, mt_jkids *l, mt_jnode *n)
{
    if (l->n == l->cap) {
        uint32_t cap = l->cap ? l->cap * 2 : 4;
        mt_jnode **v = mt_arena_push_n(p->arena, cap, sizeof *v);
        if (!v) return nomem(p);
        if (l->n) memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = n;
    return MOTE_OK;
}

mote_status mt_jp_make(mt_jparser *p, mt_jkind kind, uint32_t line, const mt_jkids *kids,
                       mt_jnode **out)
{
    mt_jnode *n = mt_arena_push_zero(p->arena, sizeof *n);
    if (!n) return nomem(p);
    n->kind = (uint8_t)kind;
    n->line = line;
    if (kids) {
        n->kid = kids->v;
        n->n = kids->n;
    }
    *out = n;
    return MOTE_OK;
}

/* A node of up to three kids; a NULL kid is kept. */
mote_status mt_jp_make_of(mt_jparser *p, mt_jkind kind, uint32_t line, uint32_t n, mt_jnode *a,
                           mt_jnode *b, mt_jnode *c, mt_jnode **out)
{
    mt_jnode *kid[3] = { a, b, c };
    mt_jkids l = { 0 };
    for (uint32_t i = 0; i < n; i++) MT_TRY(mt_jp_add(p, &l, kid[i]));
    return mt_jp_make(p, kind, line, &l, out);
}

static mote_status make_name(mt_jparser *p, mt_jkind kind, const mt_jtoken *t, mt_jnode **out)
{
    MT_TRY(mt_jp_make(p, kind, t->line, NULL, out));
    (*out)->text = t->text;
    (*out)->hash = (uint32_t)mt_hash(t->text.p, t->text.n);
    return MOTE_OK;
}

static mote_status make_const(mt_jparser *p, uint32_t line, mt_jv v, mt_jnode **out)
{
    MT_TRY(mt_jp_make(p, MT_JN_CONST, line, NULL, out));
    (*out)->u.value = v;
    return MOTE_OK;
}

/* ---- primary expressions --------------------------------------------------------- */
static mote_status string_const(mt_jparser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_str text = p->cur.text;
    MT_TRY(mt_jp_next(p));
    char *joined = NULL;
    size_t cap = 0;
    while (p->cur.type == MT_JT_STRING) {         /* 'a' 'b' is one string */
        size_t need = text.n + p->cur.text.n;
        if (!joined || need > cap) {
            cap = 2 * need;
            joined = mt_arena_push(p->arena, cap);
            if (!joined) return nomem(p);
            memcpy(joined, text.p, text.n);
        }
        memcpy(joined + text.n, p->cur.text.p, p->cur.text.n);
        text = (mt_str){ joined, need };
        MT_TRY(mt_jp_next(p));
    }
    mt_jstr *s = mt_arena_push_zero(p->arena, sizeof *s);
    if (!s) return nomem(p);
    *s = (mt_jstr){ text.p, MT_J_TRUSTED, text.n, SIZE_MAX, NULL };
    (void)mt_j_chars(s);                          /* now: a tree is shared by threads */
    mt_jv v = { .type = MT_J_STR };
    v.u.s = s;
    return make_const(p, line, v, out);
}

static bool ends_tuple(const mt_jparser *p, const char *end_word)
{
    return p->cur.type == MT_JT_VAR_END || p->cur.type == MT_JT_BLOCK_END ||
           mt_jp_is_op(&p->cur, ")") || (end_word && mt_jp_is_name(&p->cur, end_word));
}

mote_status mt_jp_tuple(mt_jparser *p, unsigned flags, const char *end_word, mt_jnode **out)
{
    mt_jkids items = { 0 };
    bool is_tuple = false;
    uint32_t line = p->cur.line;
    for (;;) {
        if (items.n) MT_TRY(mt_jp_expect_op(p, ","));
        if (ends_tuple(p, end_word)) break;
        mt_jnode *item = NULL;
        if (flags & MT_JP_TARGET) MT_TRY(mt_jp_primary(p, flags & MT_JP_REF, &item));
        else MT_TRY(mt_jp_expression(p, !(flags & MT_JP_NO_COND), &item));
        MT_TRY(mt_jp_add(p, &items, item));
        if (!mt_jp_is_op(&p->cur, ",")) break;
        is_tuple = true;
    }
    if (!is_tuple && items.n) {
        *out = items.v[0];
        return MOTE_OK;
    }
    if (!is_tuple && !(flags & MT_JP_PARENS)) return mt_jp_unexpected(p, "an expression");
    return mt_jp_make(p, MT_JN_TUPLE, line, &items, out);
}

static mote_status list_or_dict(mt_jparser *p, bool is_dict, mt_jnode **out)
{
    const char *close = is_dict ? "}" : "]";
    uint32_t line = p->cur.line;
    mt_jkids items = { 0 };
    MT_TRY(mt_jp_next(p));
    while (!mt_jp_is_op(&p->cur, close)) {
        if (items.n) MT_TRY(mt_jp_expect_op(p, ","));
        if (mt_jp_is_op(&p->cur, close)) break;
        mt_jnode *item = NULL;
        MT_TRY(mt_jp_expression(p, true, &item));
        MT_TRY(mt_jp_add(p, &items, item));
        if (!is_dict) continue;
        MT_TRY(mt_jp_expect_op(p, ":"));
        MT_TRY(mt_jp_expression(p, true, &item));
        MT_TRY(mt_jp_add(p, &items, item));
    }
    MT_TRY(mt_jp_next(p));
    return mt_jp_make(p, is_dict ? MT_JN_DICT : MT_JN_LIST, line, &items, out);
}

static mote_status name_expr(mt_jparser *p, bool may_ref, mt_jnode **out)
{
    mt_jtoken t = p->cur;
    MT_TRY(mt_jp_next(p));
    static const struct { const char *word; int value;
    } words[] = {
        { "true", 1 },  { "True", 1 },  { "false", 0 },
        { "False", 0 }, { "none", -1 }, { "None", -1 },
    };
    for (size_t i = 0; i < MT_COUNT(words); i++)
        if (mt_str_is(t.text, words[i].word))
            return make_const(
                p, t.line, words[i].value < 0 ? mt_j_none() : mt_j_bool(words[i].value), out);
    if (may_ref && mt_jp_is_op(&p->cur, ".")) {
        MT_TRY(mt_jp_next(p));
        mt_jnode *attr = NULL;
        if (p->cur.type != MT_JT_NAME) return mt_jp_unexpected(p, "a name");
        MT_TRY(make_name(p, MT_JN_NAME, &p->cur, &attr));
        MT_TRY(mt_jp_next(p));
        MT_TRY(mt_jp_make_of(p, MT_JN_NSREF, t.line, 1, attr, NULL, NULL, out));
        (*out)->text = t.text;
        (*out)->hash = (uint32_t)mt_hash(t.text.p, t.text.n);
        return MOTE_OK;
    }
    if (mt_str_is(t.text, "caller")) p->implicit |= MT_JM_CALLER;
    if (mt_str_is(t.text, "varargs")) p->implicit |= MT_JM_VARARGS;
    if (mt_str_is(t.text, "kwargs")) p->implicit |= MT_JM_KWARGS;
    return make_name(p, MT_JN_NAME, &t, out);
}

mote_status mt_jp_primary(mt_jparser *p, bool may_ref, mt_jnode **out)
{
    mt_jtoken t = p->cur;
    if (t.type == MT_JT_NAME) return name_expr(p, may_ref, out);
    if (t.type == MT_JT_STRING) return string_const(p, out);
    if (t.type == MT_JT_INT || t.type == MT_JT_FLOAT) {
        MT_TRY(mt_jp_next(p));
        return make_const(p, t.line, t.type == MT_JT_INT ? mt_j_int(t.i, false)
                                                         : mt_j_float(t.f, false), out);
    }
    if (mt_jp_is_op(&t, "[") || mt_jp_is_op(&t, "{"))
        return list_or_dict(p, mt_jp_is_op(&t, "{"), out);
    if (!mt_jp_is_op(&t, "(")) return mt_jp_unexpected(p, "an expression");
    MT_TRY(mt_jp_next(p));
    MT_TRY(mt_jp_tuple(p, MT_JP_PARENS, NULL, out));
    return mt_jp_expect_op(p, ")");
}

/* ---- steps: attributes, subscripts, calls, filters, tests ---------------------------- */
static mote_status argument(mt_jparser *p, mt_jkids *args, bool *seen_keyword, bool *seen_star)
{
    mt_jnode *arg = NULL, *value = NULL;
    mt_jtoken t = p->cur;
    const mt_jtoken *ahead = NULL;
    int kind = MT_JA_POS;
    if (t.type == MT_JT_NAME) MT_TRY(look(p, &ahead));
    if (mt_jp_is_op(&t, "*") || mt_jp_is_op(&t, "**")) {
        kind = mt_jp_is_op(&t, "*") ? MT_JA_STAR : MT_JA_STARSTAR;
        MT_TRY(mt_jp_next(p));
        *seen_star = true;
    } else if (ahead && mt_jp_is_op(ahead, "=")) {
        kind = MT_JA_KEYWORD;
        MT_TRY(mt_jp_next(p));
        MT_TRY(mt_jp_next(p));
        *seen_keyword = true;
    } else if (*seen_keyword || *seen_star) {
        return mt_jp_fail(p, t.line, "a positional argument after keyword arguments");
    }
    MT_TRY(mt_jp_expression(p, true, &value));
    MT_TRY(mt_jp_make_of(p, MT_JN_ARG, t.line, 1, value, NULL, NULL, &arg));
    arg->op = (uint8_t)kind;
    if (kind == MT_JA_KEYWORD) arg->text = t.text;
    return mt_jp_add(p, args, arg);
}

static mote_status arguments(mt_jparser *p, mt_jkids *args)
{
    bool seen_keyword = false, seen_star = false;
    MT_TRY(mt_jp_expect_op(p, "("));
    while (!mt_jp_is_op(&p->cur, ")")) {
        if (args->n) MT_TRY(mt_jp_expect_op(p, ","));
        if (mt_jp_is_op(&p->cur, ")")) break;
        MT_TRY(argument(p, args, &seen_keyword, &seen_star));
    }
    return mt_jp_next(p);
}

static mote_status subscribed(mt_jparser *p, mt_jnode **out)
{
    mt_jnode *part[3] = { NULL, NULL, NULL };
    uint32_t line = p->cur.line;
    if (!mt_jp_is_op(&p->cur, ":")) {
        MT_TRY(mt_jp_expression(p, true, &part[0]));
        if (!mt_jp_is_op(&p->cur, ":")) {
            *out = part[0];
            return MOTE_OK;
        }
    }
    MT_TRY(mt_jp_next(p));
    for (int i = 1; i < 3; i++) {
        if (i == 2) {
            if (!mt_jp_is_op(&p->cur, ":")) break;
            MT_TRY(mt_jp_next(p));
        }
        if (mt_jp_is_op(&p->cur, ":") || mt_jp_is_op(&p->cur, "]") || mt_jp_is_op(&p->cur, ","))
            continue;
        MT_TRY(mt_jp_expression(p, true, &part[i]));
    }
    return mt_jp_make_of(p, MT_JN_SLICE, line, 3, part[0], part[1], part[2], out);
}

static mote_status subscript(mt_jparser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jnode *key = NULL;
    if (mt_jp_is_op(&p->cur, ".")) {
        MT_TRY(mt_jp_next(p));
        mt_jtoken t = p->cur;
        MT_TRY(mt_jp_next(p));
        if (t.type == MT_JT_NAME) return make_name(p, MT_JN_ATTR, &t, out);
        if (t.type != MT_JT_INT)
            return mt_jp_fail(p, t.line, "expected a name or a number after '.'");
        MT_TRY(make_const(p, t.line, mt_j_int(t.i, false), &key));
        return mt_jp_make_of(p, MT_JN_ITEM, line, 1, key, NULL, NULL, out);
    }
    mt_jkids keys = { 0 };
    MT_TRY(mt_jp_next(p));
    while (!mt_jp_is_op(&p->cur, "]")) {
        if (keys.n) MT_TRY(mt_jp_expect_op(p, ","));
        MT_TRY(subscribed(p, &key));
        MT_TRY(mt_jp_add(p, &keys, key));
    }
    MT_TRY(mt_jp_next(p));
    if (keys.n != 1) MT_TRY(mt_jp_make(p, MT_JN_TUPLE, line, &keys, &key));
    return mt_jp_make_of(p, MT_JN_ITEM, line, 1, key, NULL, NULL, out);
}

static mote_status dotted_name(mt_jparser *p, mt_str *name)
{
    MT_TRY(mt_jp_name(p, name));
    while (mt_jp_is_op(&p->cur, ".")) { /* no filter of ours has a dot in its name */
        mt_str part = { NULL, 0 };
        MT_TRY(mt_jp_next(p));
        MT_TRY(mt_jp_name(p, &part));
        name->n = (size_t)(part.p + part.n - name->p);
    }
    return MOTE_OK;
}

static void resolve(mt_jparser *p, mt_jnode *n)
{
    n->u.proc = n->kind == MT_JN_FILTER ? mt_j_filter(n->text) : mt_j_test(n->text);
    if (!n->u.proc && !p->n_soft && !p->unknown) p->unknown = n;
}

/* After `|`, or after {% filter. */
mote_status mt_jp_filter(mt_jparser *p, mt_jnode **out)
{
    mt_str name;
    mt_jkids args = { 0 };
    uint32_t line = p->cur.line;
    MT_TRY(dotted_name(p, &name));
    if (mt_jp_is_op(&p->cur, "(")) MT_TRY(arguments(p, &args));
    MT_TRY(mt_jp_make(p, MT_JN_FILTER, line, &args, out));
    (*out)->text = name;
    resolve(p, *out);
    return MOTE_OK;
}

static mote_status postfix(mt_jparser *p, mt_jkids *steps)
{
    for (;;) {
        mt_jnode *step = NULL;
        if (mt_jp_is_op(&p->cur, ".") || mt_jp_is_op(&p->cur, "[")) {
            MT_TRY(subscript(p, &step));
        } else if (mt_jp_is_op(&p->cur, "(")) {
            uint32_t line = p->cur.line;
            mt_jkids args = { 0 };
            MT_TRY(arguments(p, &args));
            MT_TRY(mt_jp_make(p, MT_JN_CALL, line, &args, &step));
        } else {
            return MOTE_OK;
        }
        MT_TRY(mt_jp_add(p, steps, step));
    }
}

mote_status mt_jp_chain(mt_jparser *p, const mt_jkids *steps, mt_jnode **out)
{
    if (steps->n == 1) {
        *out = steps->v[0];
        return MOTE_OK;
    }
    return mt_jp_make(p, MT_JN_CHAIN, steps->v[0]->line, steps, out);
}

/* The argument of a test without parentheses: `is divisibleby 3`. */
static mote_status bare_argument(mt_jparser *p, mt_jkids *args)
{
    const mt_jtoken *t = &p->cur;
    if (mt_jp_is_name(t, "else") || mt_jp_is_name(t, "or") || mt_jp_is_name(t, "and"))
        return MOTE_OK;
    if (mt_jp_is_name(t, "is"))
        return mt_jp_fail(p, t->line, "tests cannot be chained with is");
    if (t->type != MT_JT_NAME && t->type != MT_JT_STRING && t->type != MT_JT_INT &&
        t->type != MT_JT_FLOAT && !mt_jp_is_op(t, "[") && !mt_jp_is_op(t, "{"))
        return MOTE_OK;
    mt_jkids steps = { 0 };
    mt_jnode *value, *arg;
    MT_TRY(mt_jp_primary(p, false, &value));
    MT_TRY(mt_jp_add(p, &steps, value));
    MT_TRY(postfix(p, &steps));
    MT_TRY(mt_jp_chain(p, &steps, &value));
    MT_TRY(mt_jp_make_of(p, MT_JN_ARG, value->line, 1, value, NULL, NULL, &arg));
    return mt_jp_add(p, args, arg);
}

static mote_status test(mt_jparser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jkids args = { 0 };
    mt_str name;
    bool is_negated = false;
    MT_TRY(mt_jp_next(p));
    if (mt_jp_is_name(&p->cur, "not")) {
        is_negated = true;
        MT_TRY(mt_jp_next(p));
    }
    MT_TRY(dotted_name(p, &name));
    if (mt_jp_is_op(&p->cur, "(")) MT_TRY(arguments(p, &args));
    else MT_TRY(bare_argument(p, &args));
    MT_TRY(mt_jp_make(p, MT_JN_TEST, line, &args, out));
    (*out)->text = name;
    (*out)->op = is_negated;
    resolve(p, *out);
    return MOTE_OK;
}

static mote_status filters_and_tests(mt_jparser *p, mt_jkids *steps)
{
    for (;;) {
        mt_jnode *step = NULL;
        if (mt_jp_is_op(&p->cur, "|")) {
            MT_TRY(mt_jp_next(p));
            MT_TRY(mt_jp_filter(p, &step));
        } else if (mt_jp_is_name(&p->cur, "is")) {
            MT_TRY(test(p, &step));
        } else if (mt_jp_is_op(&p->cur, "(")) {
            uint32_t line = p->cur.line;
            mt_jkids args = { 0 };
            MT_TRY(arguments(p, &args));
            MT_TRY(mt_jp_make(p, MT_JN_CALL, line, &args, &step));
        } else {
            return MOTE_OK;
        }
        MT_TRY(mt_jp_add(p, steps, step));
    }
}

static mote_status unary(mt_jparser *p, bool with_filter, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jnode *base = NULL;
    mt_jkids steps = { 0 };
    if (mt_jp_is_op(&p->cur, "-") || mt_jp_is_op(&p->cur, "+")) {
        MT_TRY(mt_jp_enter(p));
        mt_jkind kind = mt_jp_is_op(&p->cur, "-") ? MT_JN_NEG : MT_JN_POS;
        mt_jnode *operand = NULL;
        MT_TRY(mt_jp_next(p));
        MT_TRY(unary(p, false, &operand));
        MT_TRY(mt_jp_make_of(p, kind, line, 1, operand, NULL, NULL, &base));
        p->depth--;
    } else {
        MT_TRY(mt_jp_primary(p, false, &base));
    }
    MT_TRY(mt_jp_add(p, &steps, base));
    MT_TRY(postfix(p, &steps));
    if (with_filter) MT_TRY(filters_and_tests(p, &steps));
    return mt_jp_chain(p, &steps, out);
}

/* ---- operators ------------------------------------------------------------------------ */
enum level { OR, AND, NOT, COMPARE, SUM, CONCAT, PRODUCT, POWER };
static const struct { const char *text; uint8_t level, op; bool is_word; } operators[] = {
    { "or", OR, 0, true }, { "and", AND, 0, true }, { "in", COMPARE, MT_JO_IN, true },
    { "==", COMPARE, MT_JO_EQ, false }, { "!=", COMPARE, MT_JO_NE, false },
    { "<", COMPARE, MT_JO_LT, false }, { "<=", COMPARE, MT_JO_LE, false },
    { ">", COMPARE, MT_JO_GT, false }, { ">=", COMPARE, MT_JO_GE, false },
    { "+", SUM, MT_JO_ADD, false }, { "-", SUM, MT_JO_SUB, false }, { "~", CONCAT, 0, false },
    { "*", PRODUCT, MT_JO_MUL, false }, { "/", PRODUCT, MT_JO_DIV, false },
    { "//", PRODUCT, MT_JO_FLOORDIV, false }, { "%", PRODUCT, MT_JO_MOD, false },
    { "**", POWER, MT_JO_POW, false },
};
static const uint8_t node_of[] = { MT_JN_OR, MT_JN_AND, MT_JN_NOT, MT_JN_COMPARE, MT_JN_MATH,
                                   MT_JN_CONCAT, MT_JN_MATH, MT_JN_MATH };

/* The binary operator at the current token: its level, or -1. */
static mote_status operator_at(mt_jparser *p, int *level, uint8_t *op)
{
    *level = -1;
    for (size_t i = 0; i < MT_COUNT(operators); i++) {
        bool hit = operators[i].is_word ? mt_jp_is_name(&p->cur, operators[i].text)
                                        : mt_jp_is_op(&p->cur, operators[i].text);
        if (!hit) continue;
        *level = operators[i].level;
        *op = operators[i].op;
    }
    if (mt_jp_is_name(&p->cur, "not")) {
        const mt_jtoken *ahead;
        MT_TRY(look(p, &ahead));
        if (mt_jp_is_name(ahead, "in")) {
            *level = COMPARE;
            *op = MT_JO_NOTIN;
        }
    }
    return MOTE_OK;
}

static mote_status skip_operator(mt_jparser *p, uint8_t op, int level)
{
    MT_TRY(mt_jp_next(p));
    return level == COMPARE && op == MT_JO_NOTIN ? mt_jp_next(p) : MOTE_OK;
}

static mote_status binary(mt_jparser *p, int min, mt_jnode **out);

/* All operands of one level, `left` being the first. */
static mote_status operands(mt_jparser *p, int level, mt_jnode *left, mt_jnode **out)
{
    mt_jkids kids = { 0 };
    uint8_t *ops = NULL, op = 0;
    uint32_t cap = 0, line = left->line;
    int at = level;
    MT_TRY(mt_jp_add(p, &kids, left));
    MT_TRY(operator_at(p, &at, &op));
    while (at == level) {
        if (kids.n - 1 == cap) {
            uint8_t *grown = mt_arena_push_zero(p->arena, cap ? cap * 2 : 64);
            if (!grown) return nomem(p);
            if (cap) memcpy(grown, ops, cap);
            ops = grown;
            cap = cap ? cap * 2 : 64;
        }
        ops[kids.n - 1] = op;
        MT_TRY(skip_operator(p, op, level));
        mt_jnode *right = NULL;
        MT_TRY(binary(p, level + 1, &right));
        MT_TRY(mt_jp_add(p, &kids, right));
        MT_TRY(operator_at(p, &at, &op));
    }
    MT_TRY(mt_jp_make(p, (mt_jkind)node_of[level], line, &kids, out));
    (*out)->ops = ops;
    return MOTE_OK;
}

static mote_status binary(mt_jparser *p, int min, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    if (min <= NOT && mt_jp_is_name(&p->cur, "not")) {
        mt_jnode *operand = NULL;
        MT_TRY(mt_jp_enter(p));
        MT_TRY(mt_jp_next(p));
        MT_TRY(binary(p, NOT, &operand));
        MT_TRY(mt_jp_make_of(p, MT_JN_NOT, line, 1, operand, NULL, NULL, out));
        p->depth--;
    } else {
        MT_TRY(unary(p, true, out));
    }
    for (;;) {
        int level;
        uint8_t op = 0;
        MT_TRY(operator_at(p, &level, &op));
        if (level < min || level < 0) return MOTE_OK;
        MT_TRY(operands(p, level, *out, out));
    }
}

mote_status mt_jp_expression(mt_jparser *p, bool with_cond, mt_jnode **out)
{
    MT_TRY(mt_jp_enter(p));
    int depth = p->depth;
    const mt_jnode *unknown = p->unknown;
    MT_TRY(binary(p, OR, out));
    while (with_cond && mt_jp_is_name(&p->cur, "if")) {
        mt_jnode *cond, *other = NULL;
        uint32_t line = p->cur.line;
        MT_TRY(mt_jp_enter(p)); /* each round wraps the tree once more */
        p->unknown = unknown;                     /* what was read stands in a condition */
        p->n_soft++;
        MT_TRY(mt_jp_next(p));
        MT_TRY(binary(p, OR, &cond));
        if (mt_jp_is_name(&p->cur, "else")) {
            MT_TRY(mt_jp_next(p));
            MT_TRY(mt_jp_expression(p, true, &other));
        }
        p->n_soft--;
        MT_TRY(mt_jp_make_of(p, MT_JN_COND, line, 3, cond, *out, other, out));
    }
    p->depth = depth - 1;
    return MOTE_OK;
}

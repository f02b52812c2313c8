/* SPDX-License-Identifier: MIT */
/* jinja_parse.c - tokens to a syntax tree, with jinja2's precedence.
 *
 * Everything that repeats on one level (operands of one precedence, steps of a.b[c](d)|e, elif)
 * becomes one node with many kids, so the tree is only as deep as the template is nested, and
 * that depth is limited here.  Filters and tests are looked up here too: an unknown one refuses
 * the template, except inside a condition, where jinja2 asks for it only when it runs. */
#include <stdio.h>
#include <string.h>

#include "text/jinja.h"

typedef struct parser {
    mt_jlex   lex;
    mt_jtoken cur, ahead;
    bool      has_ahead;
    int       depth, n_loop, n_soft;
    unsigned  implicit;           /* MT_JM_*: seen in the macro being read */
    mt_arena *arena;
    mote_error *err;
} parser;
typedef struct list { mt_jnode **v; uint32_t n, cap; } list;

static mote_status expression(parser *p, bool with_cond, mt_jnode **out);
static mote_status body(parser *p, const char *const *ends, mt_jnode **out);

/* ---- small things ------------------------------------------------------------ */
static MT_PRINTF(3, 4) mote_status fail(const parser *p, uint32_t line, const char *fmt, ...)
{
    char text[180];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return mt_fail(p->err, MOTE_EFORMAT, "template line %u: %s", line, text);
}

static mote_status nomem(const parser *p)
{
    return mt_fail(p->err, MOTE_ENOMEM, "no memory to parse the template");
}

static mote_status enter(parser *p)
{
    if (++p->depth <= MT_J_PARSE_DEPTH) return MOTE_OK;
    return mt_fail(p->err, MOTE_EFULL, "template line %u: the template nests deeper than %d",
                   p->cur.line, MT_J_PARSE_DEPTH);
}

static mote_status next(parser *p)
{
    if (p->has_ahead) {
        p->cur = p->ahead;
        p->has_ahead = false;
        return MOTE_OK;
    }
    return mt_j_lex_next(&p->lex, &p->cur);
}

static mote_status look(parser *p, const mt_jtoken **out)
{
    if (!p->has_ahead) MT_TRY(mt_j_lex_next(&p->lex, &p->ahead));
    p->has_ahead = true;
    *out = &p->ahead;
    return MOTE_OK;
}

static bool is_op(const mt_jtoken *t, const char *op) { return t->type == MT_JT_OP && mt_str_is(t->text, op); }
static bool is_name(const mt_jtoken *t, const char *w) { return t->type == MT_JT_NAME && mt_str_is(t->text, w); }

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

static mote_status unexpected(const parser *p, const char *wanted)
{
    char buf[48];
    return fail(p, p->cur.line, "expected %s, found %s", wanted, describe(&p->cur, buf));
}

static mote_status expect_op(parser *p, const char *op)
{
    if (!is_op(&p->cur, op)) return unexpected(p, op);
    return next(p);
}

static mote_status expect(parser *p, mt_jtok type, const char *wanted)
{
    if (p->cur.type != type) return unexpected(p, wanted);
    return next(p);
}

static mote_status expect_name(parser *p, mt_str *out)
{
    if (p->cur.type != MT_JT_NAME) return unexpected(p, "a name");
    *out = p->cur.text;
    return next(p);
}

static mote_status add(parser *p, list *l, mt_jnode *n)
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

static mote_status make(parser *p, mt_jkind kind, uint32_t line, const list *kids, mt_jnode **out)
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
static mote_status make_of(parser *p, mt_jkind kind, uint32_t line, uint32_t n, mt_jnode *a,
                           mt_jnode *b, mt_jnode *c, mt_jnode **out)
{
    mt_jnode *kid[3] = { a, b, c };
    list l = { 0 };
    for (uint32_t i = 0; i < n; i++) MT_TRY(add(p, &l, kid[i]));
    return make(p, kind, line, &l, out);
}

static mote_status make_name(parser *p, mt_jkind kind, const mt_jtoken *t, mt_jnode **out)
{
    MT_TRY(make(p, kind, t->line, NULL, out));
    (*out)->text = t->text;
    (*out)->hash = (uint32_t)mt_hash(t->text.p, t->text.n);
    return MOTE_OK;
}

static mote_status make_const(parser *p, uint32_t line, mt_jv v, mt_jnode **out)
{
    MT_TRY(make(p, MT_JN_CONST, line, NULL, out));
    (*out)->u.value = v;
    return MOTE_OK;
}

/* ---- primary expressions --------------------------------------------------------- */
static mote_status string_const(parser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_str text = p->cur.text;
    MT_TRY(next(p));
    char *joined = NULL;
    size_t cap = 0;
    while (p->cur.type == MT_JT_STRING) {         /* 'a' 'b' is one string */
        size_t need = text.n + p->cur.text.n;
        if (need > cap) {
            cap = 2 * need;
            joined = mt_arena_push(p->arena, cap);
            if (!joined) return nomem(p);
            memcpy(joined, text.p, text.n);
        }
        memcpy(joined + text.n, p->cur.text.p, p->cur.text.n);
        text = (mt_str){ joined, need };
        MT_TRY(next(p));
    }
    mt_jstr *s = mt_arena_push_zero(p->arena, sizeof *s);
    if (!s) return nomem(p);
    *s = (mt_jstr){ text.p, MT_J_TRUSTED, text.n, SIZE_MAX, NULL };
    (void)mt_j_chars(s);                          /* now: a tree is shared by threads */
    mt_jv v = { .type = MT_J_STR };
    v.u.s = s;
    return make_const(p, line, v, out);
}

static bool ends_tuple(const parser *p, const char *end_word)
{
    return p->cur.type == MT_JT_VAR_END || p->cur.type == MT_JT_BLOCK_END || is_op(&p->cur, ")") ||
           (end_word && is_name(&p->cur, end_word));
}

static mote_status primary(parser *p, bool may_ref, mt_jnode **out);

enum { TUPLE_TARGET = 1, TUPLE_NO_COND = 2, TUPLE_PARENS = 4, TUPLE_REF = 8 };
static mote_status tuple(parser *p, unsigned flags, const char *end_word, mt_jnode **out)
{
    list items = { 0 };
    bool is_tuple = false;
    uint32_t line = p->cur.line;
    for (;;) {
        if (items.n) MT_TRY(expect_op(p, ","));
        if (ends_tuple(p, end_word)) break;
        mt_jnode *item;
        if (flags & TUPLE_TARGET) MT_TRY(primary(p, flags & TUPLE_REF, &item));
        else MT_TRY(expression(p, !(flags & TUPLE_NO_COND), &item));
        MT_TRY(add(p, &items, item));
        if (!is_op(&p->cur, ",")) break;
        is_tuple = true;
    }
    if (!is_tuple && items.n) {
        *out = items.v[0];
        return MOTE_OK;
    }
    if (!is_tuple && !(flags & TUPLE_PARENS)) return unexpected(p, "an expression");
    return make(p, MT_JN_TUPLE, line, &items, out);
}

static mote_status list_or_dict(parser *p, bool is_dict, mt_jnode **out)
{
    const char *close = is_dict ? "}" : "]";
    uint32_t line = p->cur.line;
    list items = { 0 };
    MT_TRY(next(p));
    while (!is_op(&p->cur, close)) {
        if (items.n) MT_TRY(expect_op(p, ","));
        if (is_op(&p->cur, close)) break;
        mt_jnode *item;
        MT_TRY(expression(p, true, &item));
        MT_TRY(add(p, &items, item));
        if (!is_dict) continue;
        MT_TRY(expect_op(p, ":"));
        MT_TRY(expression(p, true, &item));
        MT_TRY(add(p, &items, item));
    }
    MT_TRY(next(p));
    return make(p, is_dict ? MT_JN_DICT : MT_JN_LIST, line, &items, out);
}

static mote_status name_expr(parser *p, bool may_ref, mt_jnode **out)
{
    mt_jtoken t = p->cur;
    MT_TRY(next(p));
    static const struct { const char *word; int value; } words[] = {
        { "true", 1 }, { "True", 1 }, { "false", 0 }, { "False", 0 }, { "none", -1 }, { "None", -1 },
    };
    for (size_t i = 0; i < MT_COUNT(words); i++)
        if (mt_str_is(t.text, words[i].word))
            return make_const(p, t.line, words[i].value < 0 ? mt_j_none() : mt_j_bool(words[i].value),
                              out);
    if (may_ref && is_op(&p->cur, ".")) {
        MT_TRY(next(p));
        mt_jnode *attr;
        if (p->cur.type != MT_JT_NAME) return unexpected(p, "a name");
        MT_TRY(make_name(p, MT_JN_NAME, &p->cur, &attr));
        MT_TRY(next(p));
        MT_TRY(make_of(p, MT_JN_NSREF, t.line, 1, attr, NULL, NULL, out));
        (*out)->text = t.text;
        (*out)->hash = (uint32_t)mt_hash(t.text.p, t.text.n);
        return MOTE_OK;
    }
    if (mt_str_is(t.text, "caller")) p->implicit |= MT_JM_CALLER;
    if (mt_str_is(t.text, "varargs")) p->implicit |= MT_JM_VARARGS;
    if (mt_str_is(t.text, "kwargs")) p->implicit |= MT_JM_KWARGS;
    return make_name(p, MT_JN_NAME, &t, out);
}

static mote_status primary(parser *p, bool may_ref, mt_jnode **out)
{
    mt_jtoken t = p->cur;
    if (t.type == MT_JT_NAME) return name_expr(p, may_ref, out);
    if (t.type == MT_JT_STRING) return string_const(p, out);
    if (t.type == MT_JT_INT || t.type == MT_JT_FLOAT) {
        MT_TRY(next(p));
        return make_const(p, t.line, t.type == MT_JT_INT ? mt_j_int(t.i, false)
                                                         : mt_j_float(t.f, false), out);
    }
    MT_TRY(enter(p));
    mote_status status;
    if (is_op(&t, "(")) {
        MT_TRY(next(p));
        MT_TRY(tuple(p, TUPLE_PARENS, NULL, out));
        status = expect_op(p, ")");
    } else if (is_op(&t, "[") || is_op(&t, "{")) {
        status = list_or_dict(p, is_op(&t, "{"), out);
    } else {
        status = unexpected(p, "an expression");
    }
    p->depth--;
    return status;
}

/* ---- steps: attributes, subscripts, calls, filters, tests ---------------------------- */
static mote_status argument(parser *p, list *args, bool *seen_keyword, bool *seen_star)
{
    mt_jnode *arg, *value;
    mt_jtoken t = p->cur;
    const mt_jtoken *ahead = NULL;
    int kind = MT_JA_POS;
    if (t.type == MT_JT_NAME) MT_TRY(look(p, &ahead));
    if (is_op(&t, "*") || is_op(&t, "**")) {
        kind = is_op(&t, "*") ? MT_JA_STAR : MT_JA_STARSTAR;
        MT_TRY(next(p));
        *seen_star = true;
    } else if (ahead && is_op(ahead, "=")) {
        kind = MT_JA_KEYWORD;
        MT_TRY(next(p));
        MT_TRY(next(p));
        *seen_keyword = true;
    } else if (*seen_keyword || *seen_star) {
        return fail(p, t.line, "a positional argument after keyword arguments");
    }
    MT_TRY(expression(p, true, &value));
    MT_TRY(make_of(p, MT_JN_ARG, t.line, 1, value, NULL, NULL, &arg));
    arg->op = (uint8_t)kind;
    if (kind == MT_JA_KEYWORD) arg->text = t.text;
    return add(p, args, arg);
}

static mote_status arguments(parser *p, list *args)
{
    bool seen_keyword = false, seen_star = false;
    MT_TRY(expect_op(p, "("));
    while (!is_op(&p->cur, ")")) {
        if (args->n) MT_TRY(expect_op(p, ","));
        if (is_op(&p->cur, ")")) break;
        MT_TRY(argument(p, args, &seen_keyword, &seen_star));
    }
    return next(p);
}

static mote_status subscribed(parser *p, mt_jnode **out)
{
    mt_jnode *part[3] = { NULL, NULL, NULL };
    uint32_t line = p->cur.line;
    if (!is_op(&p->cur, ":")) {
        MT_TRY(expression(p, true, &part[0]));
        if (!is_op(&p->cur, ":")) {
            *out = part[0];
            return MOTE_OK;
        }
    }
    MT_TRY(next(p));
    for (int i = 1; i < 3; i++) {
        if (i == 2) {
            if (!is_op(&p->cur, ":")) break;
            MT_TRY(next(p));
        }
        if (is_op(&p->cur, ":") || is_op(&p->cur, "]") || is_op(&p->cur, ",")) continue;
        MT_TRY(expression(p, true, &part[i]));
    }
    return make_of(p, MT_JN_SLICE, line, 3, part[0], part[1], part[2], out);
}

static mote_status subscript(parser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jnode *key = NULL;
    if (is_op(&p->cur, ".")) {
        MT_TRY(next(p));
        mt_jtoken t = p->cur;
        MT_TRY(next(p));
        if (t.type == MT_JT_NAME) return make_name(p, MT_JN_ATTR, &t, out);
        if (t.type != MT_JT_INT) return fail(p, t.line, "expected a name or a number after '.'");
        MT_TRY(make_const(p, t.line, mt_j_int(t.i, false), &key));
        return make_of(p, MT_JN_ITEM, line, 1, key, NULL, NULL, out);
    }
    list keys = { 0 };
    MT_TRY(next(p));
    while (!is_op(&p->cur, "]")) {
        if (keys.n) MT_TRY(expect_op(p, ","));
        MT_TRY(subscribed(p, &key));
        MT_TRY(add(p, &keys, key));
    }
    MT_TRY(next(p));
    if (keys.n != 1) MT_TRY(make(p, MT_JN_TUPLE, line, &keys, &key));
    return make_of(p, MT_JN_ITEM, line, 1, key, NULL, NULL, out);
}

static mote_status dotted_name(parser *p, mt_str *name)
{
    MT_TRY(expect_name(p, name));
    while (is_op(&p->cur, ".")) {                 /* no filter of ours has a dot in its name */
        mt_str part = { NULL, 0 };
        MT_TRY(next(p));
        MT_TRY(expect_name(p, &part));
        name->n = (size_t)(part.p + part.n - name->p);
    }
    return MOTE_OK;
}

static mote_status resolve(parser *p, mt_jnode *n, const char *what)
{
    n->u.proc = n->kind == MT_JN_FILTER ? mt_j_filter(n->text) : mt_j_test(n->text);
    if (n->u.proc || p->n_soft) return MOTE_OK;
    return mt_fail(p->err, MOTE_EUNSUPPORTED, "template line %u: no %s named '%.*s'", n->line, what,
                   (int)MT_MIN(n->text.n, (size_t)60), n->text.p);
}

/* After `|`, or after {% filter. */
static mote_status filter(parser *p, mt_jnode **out)
{
    mt_str name;
    list args = { 0 };
    uint32_t line = p->cur.line;
    MT_TRY(dotted_name(p, &name));
    if (is_op(&p->cur, "(")) MT_TRY(arguments(p, &args));
    MT_TRY(make(p, MT_JN_FILTER, line, &args, out));
    (*out)->text = name;
    return resolve(p, *out, "filter");
}

static mote_status postfix(parser *p, list *steps)
{
    for (;;) {
        mt_jnode *step = NULL;
        if (is_op(&p->cur, ".") || is_op(&p->cur, "[")) {
            MT_TRY(subscript(p, &step));
        } else if (is_op(&p->cur, "(")) {
            uint32_t line = p->cur.line;
            list args = { 0 };
            MT_TRY(arguments(p, &args));
            MT_TRY(make(p, MT_JN_CALL, line, &args, &step));
        } else {
            return MOTE_OK;
        }
        MT_TRY(add(p, steps, step));
    }
}

static mote_status chain(parser *p, const list *steps, mt_jnode **out)
{
    if (steps->n == 1) {
        *out = steps->v[0];
        return MOTE_OK;
    }
    return make(p, MT_JN_CHAIN, steps->v[0]->line, steps, out);
}

/* The argument of a test without parentheses: `is divisibleby 3`. */
static mote_status bare_argument(parser *p, list *args)
{
    const mt_jtoken *t = &p->cur;
    if (is_name(t, "else") || is_name(t, "or") || is_name(t, "and")) return MOTE_OK;
    if (is_name(t, "is")) return fail(p, t->line, "tests cannot be chained with is");
    if (t->type != MT_JT_NAME && t->type != MT_JT_STRING && t->type != MT_JT_INT &&
        t->type != MT_JT_FLOAT && !is_op(t, "[") && !is_op(t, "{"))
        return MOTE_OK;
    list steps = { 0 };
    mt_jnode *value, *arg;
    MT_TRY(primary(p, false, &value));
    MT_TRY(add(p, &steps, value));
    MT_TRY(postfix(p, &steps));
    MT_TRY(chain(p, &steps, &value));
    MT_TRY(make_of(p, MT_JN_ARG, value->line, 1, value, NULL, NULL, &arg));
    return add(p, args, arg);
}

static mote_status test(parser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    list args = { 0 };
    mt_str name;
    bool is_negated = false;
    MT_TRY(next(p));
    if (is_name(&p->cur, "not")) {
        is_negated = true;
        MT_TRY(next(p));
    }
    MT_TRY(dotted_name(p, &name));
    if (is_op(&p->cur, "(")) MT_TRY(arguments(p, &args));
    else MT_TRY(bare_argument(p, &args));
    MT_TRY(make(p, MT_JN_TEST, line, &args, out));
    (*out)->text = name;
    (*out)->op = is_negated;
    return resolve(p, *out, "test");
}

static mote_status filters_and_tests(parser *p, list *steps)
{
    for (;;) {
        mt_jnode *step = NULL;
        if (is_op(&p->cur, "|")) {
            MT_TRY(next(p));
            MT_TRY(filter(p, &step));
        } else if (is_name(&p->cur, "is")) {
            MT_TRY(test(p, &step));
        } else if (is_op(&p->cur, "(")) {
            uint32_t line = p->cur.line;
            list args = { 0 };
            MT_TRY(arguments(p, &args));
            MT_TRY(make(p, MT_JN_CALL, line, &args, &step));
        } else {
            return MOTE_OK;
        }
        MT_TRY(add(p, steps, step));
    }
}

static mote_status unary(parser *p, bool with_filter, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jnode *base;
    list steps = { 0 };
    MT_TRY(enter(p));
    if (is_op(&p->cur, "-") || is_op(&p->cur, "+")) {
        mt_jkind kind = is_op(&p->cur, "-") ? MT_JN_NEG : MT_JN_POS;
        mt_jnode *operand;
        MT_TRY(next(p));
        MT_TRY(unary(p, false, &operand));
        MT_TRY(make_of(p, kind, line, 1, operand, NULL, NULL, &base));
    } else {
        MT_TRY(primary(p, false, &base));
    }
    p->depth--;
    MT_TRY(add(p, &steps, base));
    MT_TRY(postfix(p, &steps));
    if (with_filter) MT_TRY(filters_and_tests(p, &steps));
    return chain(p, &steps, out);
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
static mote_status operator_at(parser *p, int *level, uint8_t *op)
{
    *level = -1;
    for (size_t i = 0; i < MT_COUNT(operators); i++) {
        bool hit = operators[i].is_word ? is_name(&p->cur, operators[i].text)
                                        : is_op(&p->cur, operators[i].text);
        if (!hit) continue;
        *level = operators[i].level;
        *op = operators[i].op;
    }
    if (is_name(&p->cur, "not")) {
        const mt_jtoken *ahead;
        MT_TRY(look(p, &ahead));
        if (is_name(ahead, "in")) {
            *level = COMPARE;
            *op = MT_JO_NOTIN;
        }
    }
    return MOTE_OK;
}

static mote_status skip_operator(parser *p, uint8_t op, int level)
{
    MT_TRY(next(p));
    return level == COMPARE && op == MT_JO_NOTIN ? next(p) : MOTE_OK;
}

static mote_status binary(parser *p, int min, mt_jnode **out);

/* All operands of one level, `left` being the first. */
static mote_status operands(parser *p, int level, mt_jnode *left, mt_jnode **out)
{
    list kids = { 0 };
    uint8_t *ops = NULL, op = 0;
    uint32_t cap = 0, line = left->line;
    int at = level;
    MT_TRY(add(p, &kids, left));
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
        mt_jnode *right;
        MT_TRY(binary(p, level + 1, &right));
        MT_TRY(add(p, &kids, right));
        MT_TRY(operator_at(p, &at, &op));
    }
    MT_TRY(make(p, (mt_jkind)node_of[level], line, &kids, out));
    (*out)->ops = ops;
    return MOTE_OK;
}

static mote_status binary(parser *p, int min, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    if (min <= NOT && is_name(&p->cur, "not")) {
        mt_jnode *operand;
        MT_TRY(enter(p));
        MT_TRY(next(p));
        MT_TRY(binary(p, NOT, &operand));
        MT_TRY(make_of(p, MT_JN_NOT, line, 1, operand, NULL, NULL, out));
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

static mote_status expression(parser *p, bool with_cond, mt_jnode **out)
{
    MT_TRY(enter(p));
    int depth = p->depth;
    MT_TRY(binary(p, OR, out));
    while (with_cond && is_name(&p->cur, "if")) {
        mt_jnode *cond, *other = NULL;
        uint32_t line = p->cur.line;
        MT_TRY(enter(p));                         /* each round wraps the tree once more */
        p->n_soft++;
        MT_TRY(next(p));
        MT_TRY(binary(p, OR, &cond));
        if (is_name(&p->cur, "else")) {
            MT_TRY(next(p));
            MT_TRY(expression(p, true, &other));
        }
        p->n_soft--;
        MT_TRY(make_of(p, MT_JN_COND, line, 3, cond, *out, other, out));
    }
    p->depth = depth - 1;
    return MOTE_OK;
}

/* ---- statements ------------------------------------------------------------------------- */
static mote_status check_target(const parser *p, const mt_jnode *n)
{
    if (n->kind == MT_JN_NAME || n->kind == MT_JN_NSREF) return MOTE_OK;
    if (n->kind != MT_JN_TUPLE) return fail(p, n->line, "cannot assign to this expression");
    for (uint32_t i = 0; i < n->n; i++) MT_TRY(check_target(p, n->kid[i]));
    return MOTE_OK;
}

static mote_status target(parser *p, bool may_ref, const char *end_word, mt_jnode **out)
{
    MT_TRY(tuple(p, TUPLE_TARGET | (may_ref ? TUPLE_REF : 0u), end_word, out));
    return check_target(p, *out);
}

/* `:`? %} body, up to one of `ends`, which stays the current token. */
static mote_status statements(parser *p, const char *const *ends, mt_jnode **out)
{
    if (is_op(&p->cur, ":")) MT_TRY(next(p));
    MT_TRY(expect(p, MT_JT_BLOCK_END, "%}"));
    MT_TRY(body(p, ends, out));
    if (p->cur.type == MT_JT_EOF) return fail(p, p->cur.line, "end of template, expected %s", ends[0]);
    return MOTE_OK;
}

static mote_status statements_to(parser *p, const char *end, mt_jnode **out)
{
    const char *const ends[] = { end, NULL };
    MT_TRY(statements(p, ends, out));
    return next(p);
}

/* The body of something that compiles to a function: no break out of it. */
static mote_status function_body(parser *p, const char *end, mt_jnode **out)
{
    int n_loop = p->n_loop;
    p->n_loop = 0;
    MT_TRY(statements_to(p, end, out));
    p->n_loop = n_loop;
    return MOTE_OK;
}

static bool names_loop(const mt_jnode *n)
{
    if (n->kind == MT_JN_NAME) return mt_str_is(n->text, "loop");
    for (uint32_t i = 0; i < n->n; i++)
        if (names_loop(n->kid[i])) return true;
    return false;
}

static mote_status parse_for(parser *p, mt_jnode **out)
{
    static const char *const ends[] = { "endfor", "else", NULL };
    mt_jnode *kid[5] = { NULL, NULL, NULL, NULL, NULL };
    uint32_t line = p->cur.line;
    MT_TRY(next(p));
    MT_TRY(target(p, false, "in", &kid[0]));
    if (names_loop(kid[0])) return fail(p, line, "cannot assign to the special variable loop");
    if (!is_name(&p->cur, "in")) return unexpected(p, "in");
    MT_TRY(next(p));
    MT_TRY(tuple(p, TUPLE_NO_COND, "recursive", &kid[1]));
    if (is_name(&p->cur, "if")) {
        MT_TRY(next(p));
        MT_TRY(expression(p, true, &kid[2]));
    }
    if (is_name(&p->cur, "recursive"))
        return mt_fail(p->err, MOTE_EUNSUPPORTED, "template line %u: recursive loops", line);
    p->n_loop++;
    MT_TRY(statements(p, ends, &kid[3]));
    p->n_loop--;
    bool has_else = is_name(&p->cur, "else");
    MT_TRY(next(p));
    if (has_else) MT_TRY(statements_to(p, "endfor", &kid[4]));
    list l = { 0 };
    for (int i = 0; i < 5; i++) MT_TRY(add(p, &l, kid[i]));
    return make(p, MT_JN_FOR, line, &l, out);
}

static mote_status parse_if(parser *p, mt_jnode **out)
{
    static const char *const ends[] = { "endif", "elif", "else", NULL };
    uint32_t line = p->cur.line;
    list l = { 0 };
    mt_jnode *n = NULL;
    bool more = true;
    while (more) {
        MT_TRY(next(p));                          /* if, elif */
        MT_TRY(tuple(p, TUPLE_NO_COND, NULL, &n));
        MT_TRY(add(p, &l, n));
        p->n_soft++;
        MT_TRY(statements(p, ends, &n));
        p->n_soft--;
        MT_TRY(add(p, &l, n));
        more = is_name(&p->cur, "elif");
    }
    bool has_else = is_name(&p->cur, "else");
    MT_TRY(next(p));
    if (has_else) {
        p->n_soft++;
        MT_TRY(statements_to(p, "endif", &n));
        p->n_soft--;
        MT_TRY(add(p, &l, n));
    }
    return make(p, MT_JN_IF, line, &l, out);
}

static mote_status captured_chain(parser *p, bool starts_inline, mt_jnode **out)
{
    list steps = { 0 };
    mt_jnode *n = NULL;
    MT_TRY(make(p, MT_JN_CAPTURED, p->cur.line, NULL, &n));
    MT_TRY(add(p, &steps, n));
    while (starts_inline || is_op(&p->cur, "|")) {
        if (!starts_inline) MT_TRY(next(p));
        starts_inline = false;
        MT_TRY(filter(p, &n));
        MT_TRY(add(p, &steps, n));
    }
    *out = NULL;
    return steps.n == 1 ? MOTE_OK : chain(p, &steps, out);
}

static mote_status parse_set(parser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jnode *to, *value, *text;
    MT_TRY(next(p));
    MT_TRY(target(p, true, NULL, &to));
    if (is_op(&p->cur, "=")) {
        MT_TRY(next(p));
        MT_TRY(tuple(p, 0, NULL, &value));
        return make_of(p, MT_JN_SET, line, 2, to, value, NULL, out);
    }
    MT_TRY(captured_chain(p, false, &value));
    MT_TRY(statements_to(p, "endset", &text));
    return make_of(p, MT_JN_SETBLOCK, line, 3, to, value, text, out);
}

static mote_status parse_with(parser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    list l = { 0 };
    mt_jnode *n = NULL;
    MT_TRY(next(p));
    while (p->cur.type != MT_JT_BLOCK_END && !is_op(&p->cur, ":")) {
        if (l.n) MT_TRY(expect_op(p, ","));
        MT_TRY(primary(p, false, &n));
        MT_TRY(check_target(p, n));
        MT_TRY(add(p, &l, n));
        MT_TRY(expect_op(p, "="));
        MT_TRY(expression(p, true, &n));
        MT_TRY(add(p, &l, n));
    }
    MT_TRY(statements_to(p, "endwith", &n));
    MT_TRY(add(p, &l, n));
    return make(p, MT_JN_WITH, line, &l, out);
}

static mote_status signature(parser *p, list *params)
{
    bool has_default = false;
    MT_TRY(expect_op(p, "("));
    while (!is_op(&p->cur, ")")) {
        mt_jnode *param = NULL, *value = NULL;
        if (params->n) MT_TRY(expect_op(p, ","));
        if (p->cur.type != MT_JT_NAME) return unexpected(p, "a parameter name");
        mt_jtoken t = p->cur;
        MT_TRY(next(p));
        if (is_op(&p->cur, "=")) {
            MT_TRY(next(p));
            MT_TRY(expression(p, true, &value));
            has_default = true;
        } else if (has_default) {
            return fail(p, t.line, "non-default argument follows default argument");
        }
        MT_TRY(make_of(p, MT_JN_PARAM, t.line, 1, value, NULL, NULL, &param));
        param->text = t.text;
        param->hash = (uint32_t)mt_hash(t.text.p, t.text.n);
        MT_TRY(add(p, params, param));
    }
    return next(p);
}

/* Name and parameters are read; the rest of a macro or call block. */
static mote_status macro_body(parser *p, uint32_t line, list *l, const char *end, mt_jnode **out)
{
    unsigned outer = p->implicit;
    mt_jnode *n = NULL;
    p->implicit = 0;
    MT_TRY(function_body(p, end, &n));
    MT_TRY(add(p, l, n));
    MT_TRY(make(p, MT_JN_MACRO, line, l, out));
    for (uint32_t i = 0; i + 1 < l->n; i++) {     /* a parameter of that name wins */
        if (mt_str_is(l->v[i]->text, "varargs")) p->implicit &= ~(unsigned)MT_JM_VARARGS;
        if (mt_str_is(l->v[i]->text, "kwargs")) p->implicit &= ~(unsigned)MT_JM_KWARGS;
        if (mt_str_is(l->v[i]->text, "caller")) p->implicit &= ~(unsigned)MT_JM_CALLER;
    }
    (*out)->op = (uint8_t)p->implicit;
    p->implicit |= outer;
    return MOTE_OK;
}

static mote_status parse_macro(parser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    list l = { 0 };
    MT_TRY(next(p));
    mt_jtoken t = p->cur;
    mt_str name;
    MT_TRY(expect_name(p, &name));
    MT_TRY(signature(p, &l));
    MT_TRY(macro_body(p, line, &l, "endmacro", out));
    (*out)->text = name;
    (*out)->hash = (uint32_t)mt_hash(t.text.p, t.text.n);
    return MOTE_OK;
}

static mote_status parse_call(parser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    list l = { 0 };
    mt_jnode *call, *macro;
    MT_TRY(next(p));
    if (is_op(&p->cur, "(")) MT_TRY(signature(p, &l));
    MT_TRY(expression(p, true, &call));
    if (call->kind != MT_JN_CHAIN || call->kid[call->n - 1]->kind != MT_JN_CALL)
        return fail(p, line, "expected a call");
    MT_TRY(macro_body(p, line, &l, "endcall", &macro));
    return make_of(p, MT_JN_CALLBLOCK, line, 2, call, macro, NULL, out);
}

static mote_status parse_filter_block(parser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jnode *filters, *text;
    MT_TRY(next(p));
    MT_TRY(captured_chain(p, true, &filters));
    MT_TRY(statements_to(p, "endfilter", &text));
    return make_of(p, MT_JN_FILTERBLOCK, line, 2, filters, text, NULL, out);
}

static mote_status parse_generation(parser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jnode *text;
    MT_TRY(next(p));
    MT_TRY(function_body(p, "endgeneration", &text));
    return make_of(p, MT_JN_GENERATION, line, 1, text, NULL, NULL, out);
}

static mote_status parse_print(parser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    list l = { 0 };
    MT_TRY(next(p));
    while (p->cur.type != MT_JT_BLOCK_END) {
        mt_jnode *n = NULL;
        if (l.n) MT_TRY(expect_op(p, ","));
        MT_TRY(expression(p, true, &n));
        MT_TRY(make_of(p, MT_JN_PRINT, line, 1, n, NULL, NULL, &n));
        MT_TRY(add(p, &l, n));
    }
    return make(p, MT_JN_BODY, line, &l, out);
}

static mote_status parse_jump(parser *p, mt_jnode **out)
{
    mt_jtoken t = p->cur;
    if (!p->n_loop) return fail(p, t.line, "%.*s outside a loop", (int)t.text.n, t.text.p);
    MT_TRY(next(p));
    return make(p, is_name(&t, "break") ? MT_JN_BREAK : MT_JN_CONTINUE, t.line, NULL, out);
}

static mote_status statement(parser *p, mt_jnode **out)
{
    static const struct { const char *tag; mote_status (*parse)(parser *, mt_jnode **); } tags[] = {
        { "for", parse_for }, { "if", parse_if }, { "set", parse_set }, { "with", parse_with },
        { "macro", parse_macro }, { "call", parse_call }, { "filter", parse_filter_block },
        { "generation", parse_generation }, { "print", parse_print }, { "break", parse_jump },
        { "continue", parse_jump },
    };
    static const char *const lacking[] = { "block", "extends", "include", "import", "from",
                                           "autoescape" };
    mt_jtoken t = p->cur;
    if (t.type != MT_JT_NAME) return fail(p, t.line, "tag name expected");
    MT_TRY(enter(p));
    for (size_t i = 0; i < MT_COUNT(tags); i++) {
        if (!is_name(&t, tags[i].tag)) continue;
        MT_TRY(tags[i].parse(p, out));
        p->depth--;
        return MOTE_OK;
    }
    for (size_t i = 0; i < MT_COUNT(lacking); i++)
        if (is_name(&t, lacking[i]))
            return mt_fail(p->err, MOTE_EUNSUPPORTED, "template line %u: the tag %s", t.line, lacking[i]);
    return fail(p, t.line, "unknown tag '%.*s'", (int)MT_MIN(t.text.n, (size_t)60), t.text.p);
}

static bool is_end(const mt_jtoken *t, const char *const *ends)
{
    for (size_t i = 0; ends && ends[i]; i++)
        if (is_name(t, ends[i])) return true;
    return false;
}

static mote_status body(parser *p, const char *const *ends, mt_jnode **out)
{
    list l = { 0 };
    mt_jnode *n = NULL;
    uint32_t line = p->cur.line;
    while (p->cur.type != MT_JT_EOF) {
        mt_jtoken t = p->cur;
        if (t.type == MT_JT_DATA) {
            MT_TRY(make(p, MT_JN_DATA, t.line, NULL, &n));
            n->text = t.text;
            MT_TRY(next(p));
        } else if (t.type == MT_JT_VAR_BEGIN) {
            MT_TRY(next(p));
            MT_TRY(tuple(p, 0, NULL, &n));
            MT_TRY(make_of(p, MT_JN_PRINT, t.line, 1, n, NULL, NULL, &n));
            MT_TRY(expect(p, MT_JT_VAR_END, "}}"));
        } else {
            MT_TRY(expect(p, MT_JT_BLOCK_BEGIN, "{%"));
            if (is_end(&p->cur, ends)) break;
            MT_TRY(statement(p, &n));
            MT_TRY(expect(p, MT_JT_BLOCK_END, "%}"));
        }
        MT_TRY(add(p, &l, n));
    }
    return make(p, MT_JN_BODY, line, &l, out);
}

mote_status mt_j_parse(mt_str source, mt_arena *arena, const mt_jnode **root, mote_error *err)
{
    parser p = { .arena = arena, .err = err };
    mt_jnode *n = NULL;
    MT_TRY(mt_j_lex_open(&p.lex, source, arena, err));
    MT_TRY(next(&p));
    MT_TRY(body(&p, NULL, &n));
    *root = n;
    return MOTE_OK;
}

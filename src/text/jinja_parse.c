/* SPDX-License-Identifier: MIT */
/* jinja_parse.c - tokens to statements, and the door of the parser.
 *
 * A statement reads up to the end of its own tag; one with a body reads on to its closing tag.
 * elif is one more pair of kids, not one more level. */
#include "text/jinja_parse.h"

static mote_status body(mt_jparser *p, const char *const *ends, mt_jnode **out);

static mote_status check_target(const mt_jparser *p, const mt_jnode *n)
{
    if (n->kind == MT_JN_NAME || n->kind == MT_JN_NSREF) return MOTE_OK;
    if (n->kind != MT_JN_TUPLE)
        return mt_jp_fail(p, n->line, "cannot assign to this expression");
    for (uint32_t i = 0; i < n->n; i++) MT_TRY(check_target(p, n->kid[i]));
    return MOTE_OK;
}

static mote_status target(mt_jparser *p, bool may_ref, const char *end_word, mt_jnode **out)
{
    MT_TRY(mt_jp_tuple(p, MT_JP_TARGET | (may_ref ? MT_JP_REF : 0u), end_word, out));
    return check_target(p, *out);
}

/* `:`? %} body, up to one of `ends`, which stays the current token. */
static mote_status statements(mt_jparser *p, const char *const *ends, mt_jnode **out)
{
    if (mt_jp_is_op(&p->cur, ":")) MT_TRY(mt_jp_next(p));
    MT_TRY(mt_jp_expect(p, MT_JT_BLOCK_END, "%}"));
    MT_TRY(body(p, ends, out));
    if (p->cur.type == MT_JT_EOF)
        return mt_jp_fail(p, p->cur.line, "end of template, expected %s", ends[0]);
    return MOTE_OK;
}

static mote_status statements_to(mt_jparser *p, const char *end, mt_jnode **out)
{
    const char *const ends[] = { end, NULL };
    MT_TRY(statements(p, ends, out));
    return mt_jp_next(p);
}

/* The body of something that compiles to a function: no break out of it. */
static mote_status function_body(mt_jparser *p, const char *end, mt_jnode **out)
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

static mote_status parse_for(mt_jparser *p, mt_jnode **out)
{
    static const char *const ends[] = { "endfor", "else", NULL };
    mt_jnode *kid[5] = { NULL, NULL, NULL, NULL, NULL };
    uint32_t line = p->cur.line;
    MT_TRY(mt_jp_next(p));
    MT_TRY(target(p, false, "in", &kid[0]));
    if (names_loop(kid[0]))
        return mt_jp_fail(p, line, "cannot assign to the special variable loop");
    if (!mt_jp_is_name(&p->cur, "in")) return mt_jp_unexpected(p, "in");
    MT_TRY(mt_jp_next(p));
    MT_TRY(mt_jp_tuple(p, MT_JP_NO_COND, "recursive", &kid[1]));
    if (mt_jp_is_name(&p->cur, "if")) {
        MT_TRY(mt_jp_next(p));
        MT_TRY(mt_jp_expression(p, true, &kid[2]));
    }
    if (mt_jp_is_name(&p->cur, "recursive"))
        return mt_fail(p->err, MOTE_EUNSUPPORTED, "template line %u: recursive loops", line);
    p->n_loop++;
    MT_TRY(statements(p, ends, &kid[3]));
    p->n_loop--;
    bool has_else = mt_jp_is_name(&p->cur, "else");
    MT_TRY(mt_jp_next(p));
    if (has_else) MT_TRY(statements_to(p, "endfor", &kid[4]));
    mt_jkids l = { 0 };
    for (int i = 0; i < 5; i++) MT_TRY(mt_jp_add(p, &l, kid[i]));
    return mt_jp_make(p, MT_JN_FOR, line, &l, out);
}

static mote_status parse_if(mt_jparser *p, mt_jnode **out)
{
    static const char *const ends[] = { "endif", "elif", "else", NULL };
    uint32_t line = p->cur.line;
    mt_jkids l = { 0 };
    mt_jnode *n = NULL;
    bool more = true;
    while (more) {
        MT_TRY(mt_jp_next(p));                          /* if, elif */
        MT_TRY(mt_jp_tuple(p, MT_JP_NO_COND, NULL, &n));
        MT_TRY(mt_jp_add(p, &l, n));
        p->n_soft++;
        MT_TRY(statements(p, ends, &n));
        p->n_soft--;
        MT_TRY(mt_jp_add(p, &l, n));
        more = mt_jp_is_name(&p->cur, "elif");
    }
    bool has_else = mt_jp_is_name(&p->cur, "else");
    MT_TRY(mt_jp_next(p));
    if (has_else) {
        p->n_soft++;
        MT_TRY(statements_to(p, "endif", &n));
        p->n_soft--;
        MT_TRY(mt_jp_add(p, &l, n));
    }
    return mt_jp_make(p, MT_JN_IF, line, &l, out);
}

static mote_status captured_chain(mt_jparser *p, bool starts_inline, mt_jnode **out)
{
    mt_jkids steps = { 0 };
    mt_jnode *n = NULL;
    MT_TRY(mt_jp_make(p, MT_JN_CAPTURED, p->cur.line, NULL, &n));
    MT_TRY(mt_jp_add(p, &steps, n));
    while (starts_inline || mt_jp_is_op(&p->cur, "|")) {
        if (!starts_inline) MT_TRY(mt_jp_next(p));
        starts_inline = false;
        MT_TRY(mt_jp_filter(p, &n));
        MT_TRY(mt_jp_add(p, &steps, n));
    }
    *out = NULL;
    return steps.n == 1 ? MOTE_OK : mt_jp_chain(p, &steps, out);
}

static mote_status parse_set(mt_jparser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jnode *to, *value, *text;
    MT_TRY(mt_jp_next(p));
    MT_TRY(target(p, true, NULL, &to));
    if (mt_jp_is_op(&p->cur, "=")) {
        MT_TRY(mt_jp_next(p));
        MT_TRY(mt_jp_tuple(p, 0, NULL, &value));
        return mt_jp_make_of(p, MT_JN_SET, line, 2, to, value, NULL, out);
    }
    MT_TRY(captured_chain(p, false, &value));
    MT_TRY(statements_to(p, "endset", &text));
    return mt_jp_make_of(p, MT_JN_SETBLOCK, line, 3, to, value, text, out);
}

static mote_status parse_with(mt_jparser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jkids l = { 0 };
    mt_jnode *n = NULL;
    MT_TRY(mt_jp_next(p));
    while (p->cur.type != MT_JT_BLOCK_END && !mt_jp_is_op(&p->cur, ":")) {
        if (l.n) MT_TRY(mt_jp_expect_op(p, ","));
        MT_TRY(mt_jp_primary(p, false, &n));
        MT_TRY(check_target(p, n));
        MT_TRY(mt_jp_add(p, &l, n));
        MT_TRY(mt_jp_expect_op(p, "="));
        MT_TRY(mt_jp_expression(p, true, &n));
        MT_TRY(mt_jp_add(p, &l, n));
    }
    MT_TRY(statements_to(p, "endwith", &n));
    MT_TRY(mt_jp_add(p, &l, n));
    return mt_jp_make(p, MT_JN_WITH, line, &l, out);
}

static mote_status signature(mt_jparser *p, mt_jkids *params)
{
    bool has_default = false;
    MT_TRY(mt_jp_expect_op(p, "("));
    while (!mt_jp_is_op(&p->cur, ")")) {
        mt_jnode *param = NULL, *value = NULL;
        if (params->n) MT_TRY(mt_jp_expect_op(p, ","));
        if (p->cur.type != MT_JT_NAME) return mt_jp_unexpected(p, "a parameter name");
        mt_jtoken t = p->cur;
        MT_TRY(mt_jp_next(p));
        if (mt_jp_is_op(&p->cur, "=")) {
            MT_TRY(mt_jp_next(p));
            MT_TRY(mt_jp_expression(p, true, &value));
            has_default = true;
        } else if (has_default) {
            return mt_jp_fail(p, t.line, "non-default argument follows default argument");
        }
        MT_TRY(mt_jp_make_of(p, MT_JN_PARAM, t.line, 1, value, NULL, NULL, &param));
        param->text = t.text;
        param->hash = (uint32_t)mt_hash(t.text.p, t.text.n);
        MT_TRY(mt_jp_add(p, params, param));
    }
    return mt_jp_next(p);
}

/* Name and parameters are read; the rest of a macro or call block. */
static mote_status macro_body(mt_jparser *p, uint32_t line, mt_jkids *l, const char *end,
                              mt_jnode **out)
{
    unsigned outer = p->implicit;
    mt_jnode *n = NULL;
    p->implicit = 0;
    MT_TRY(function_body(p, end, &n));
    MT_TRY(mt_jp_add(p, l, n));
    MT_TRY(mt_jp_make(p, MT_JN_MACRO, line, l, out));
    for (uint32_t i = 0; i + 1 < l->n; i++) {     /* a parameter of that name wins */
        if (mt_str_is(l->v[i]->text, "varargs")) p->implicit &= ~(unsigned)MT_JM_VARARGS;
        if (mt_str_is(l->v[i]->text, "kwargs")) p->implicit &= ~(unsigned)MT_JM_KWARGS;
        if (mt_str_is(l->v[i]->text, "caller")) p->implicit &= ~(unsigned)MT_JM_CALLER;
    }
    (*out)->op = (uint8_t)p->implicit;
    p->implicit |= outer;
    return MOTE_OK;
}

static mote_status parse_macro(mt_jparser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jkids l = { 0 };
    MT_TRY(mt_jp_next(p));
    mt_jtoken t = p->cur;
    mt_str name;
    MT_TRY(mt_jp_name(p, &name));
    MT_TRY(signature(p, &l));
    MT_TRY(macro_body(p, line, &l, "endmacro", out));
    (*out)->text = name;
    (*out)->hash = (uint32_t)mt_hash(t.text.p, t.text.n);
    return MOTE_OK;
}

static mote_status parse_call(mt_jparser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jkids l = { 0 };
    mt_jnode *call, *macro;
    MT_TRY(mt_jp_next(p));
    if (mt_jp_is_op(&p->cur, "(")) MT_TRY(signature(p, &l));
    MT_TRY(mt_jp_expression(p, true, &call));
    if (call->kind != MT_JN_CHAIN || call->kid[call->n - 1]->kind != MT_JN_CALL)
        return mt_jp_fail(p, line, "expected a call");
    MT_TRY(macro_body(p, line, &l, "endcall", &macro));
    return mt_jp_make_of(p, MT_JN_CALLBLOCK, line, 2, call, macro, NULL, out);
}

static mote_status parse_filter_block(mt_jparser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jnode *filters, *text;
    MT_TRY(mt_jp_next(p));
    MT_TRY(captured_chain(p, true, &filters));
    MT_TRY(statements_to(p, "endfilter", &text));
    return mt_jp_make_of(p, MT_JN_FILTERBLOCK, line, 2, filters, text, NULL, out);
}

static mote_status parse_generation(mt_jparser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jnode *text;
    MT_TRY(mt_jp_next(p));
    MT_TRY(function_body(p, "endgeneration", &text));
    return mt_jp_make_of(p, MT_JN_GENERATION, line, 1, text, NULL, NULL, out);
}

static mote_status parse_print(mt_jparser *p, mt_jnode **out)
{
    uint32_t line = p->cur.line;
    mt_jkids l = { 0 };
    MT_TRY(mt_jp_next(p));
    while (p->cur.type != MT_JT_BLOCK_END) {
        mt_jnode *n = NULL;
        if (l.n) MT_TRY(mt_jp_expect_op(p, ","));
        MT_TRY(mt_jp_expression(p, true, &n));
        MT_TRY(mt_jp_make_of(p, MT_JN_PRINT, line, 1, n, NULL, NULL, &n));
        MT_TRY(mt_jp_add(p, &l, n));
    }
    return mt_jp_make(p, MT_JN_BODY, line, &l, out);
}

static mote_status parse_jump(mt_jparser *p, mt_jnode **out)
{
    mt_jtoken t = p->cur;
    if (!p->n_loop)
        return mt_jp_fail(p, t.line, "%.*s outside a loop", (int)t.text.n, t.text.p);
    MT_TRY(mt_jp_next(p));
    return mt_jp_make(p, mt_jp_is_name(&t, "break") ? MT_JN_BREAK : MT_JN_CONTINUE, t.line,
                      NULL, out);
}

static mote_status statement(mt_jparser *p, mt_jnode **out)
{
    static const struct {
        const char *tag;
        mote_status (*parse)(mt_jparser *, mt_jnode **);
    } tags[] = {
        { "for", parse_for },
        { "if", parse_if },
        { "set", parse_set },
        { "with", parse_with },
        { "macro", parse_macro },
        { "call", parse_call },
        { "filter", parse_filter_block },
        { "generation", parse_generation },
        { "print", parse_print },
        { "break", parse_jump },
        { "continue", parse_jump },
    };
    static const char *const lacking[] = { "block", "extends", "include", "import", "from",
                                           "autoescape" };
    mt_jtoken t = p->cur;
    if (t.type != MT_JT_NAME) return mt_jp_fail(p, t.line, "tag name expected");
    MT_TRY(mt_jp_enter(p));
    for (size_t i = 0; i < MT_COUNT(tags); i++) {
        if (!mt_jp_is_name(&t, tags[i].tag)) continue;
        MT_TRY(tags[i].parse(p, out));
        p->depth--;
        return MOTE_OK;
    }
    for (size_t i = 0; i < MT_COUNT(lacking); i++)
        if (mt_jp_is_name(&t, lacking[i]))
            return mt_fail(p->err, MOTE_EUNSUPPORTED, "template line %u: the tag %s", t.line,
                           lacking[i]);
    return mt_jp_fail(p, t.line, "unknown tag '%.*s'", (int)MT_MIN(t.text.n, (size_t)60),
                      t.text.p);
}

static mote_status check_known(const mt_jparser *p)
{
    const mt_jnode *n = p->unknown;
    if (!n) return MOTE_OK;
    return mt_fail(p->err, MOTE_EUNSUPPORTED, "template line %u: no %s named '%.*s'", n->line,
                   n->kind == MT_JN_FILTER ? "filter" : "test",
                   (int)MT_MIN(n->text.n, (size_t)60), n->text.p);
}

static bool is_end(const mt_jtoken *t, const char *const *ends)
{
    for (size_t i = 0; ends && ends[i]; i++)
        if (mt_jp_is_name(t, ends[i])) return true;
    return false;
}

static mote_status body(mt_jparser *p, const char *const *ends, mt_jnode **out)
{
    mt_jkids l = { 0 };
    mt_jnode *n = NULL;
    uint32_t line = p->cur.line;
    while (p->cur.type != MT_JT_EOF) {
        mt_jtoken t = p->cur;
        if (t.type == MT_JT_DATA) {
            MT_TRY(mt_jp_make(p, MT_JN_DATA, t.line, NULL, &n));
            n->text = t.text;
            MT_TRY(mt_jp_next(p));
        } else if (t.type == MT_JT_VAR_BEGIN) {
            MT_TRY(mt_jp_next(p));
            MT_TRY(mt_jp_tuple(p, 0, NULL, &n));
            MT_TRY(mt_jp_make_of(p, MT_JN_PRINT, t.line, 1, n, NULL, NULL, &n));
            MT_TRY(mt_jp_expect(p, MT_JT_VAR_END, "}}"));
        } else {
            MT_TRY(mt_jp_expect(p, MT_JT_BLOCK_BEGIN, "{%"));
            if (is_end(&p->cur, ends)) break;
            MT_TRY(statement(p, &n));
            MT_TRY(mt_jp_expect(p, MT_JT_BLOCK_END, "%}"));
        }
        MT_TRY(check_known(p));
        MT_TRY(mt_jp_add(p, &l, n));
    }
    return mt_jp_make(p, MT_JN_BODY, line, &l, out);
}

mote_status mt_j_parse(mt_str source, mt_arena *arena, const mt_jnode **root, mote_error *err)
{
    mt_jparser p = { .arena = arena, .err = err };
    mt_jnode *n = NULL;
    MT_TRY(mt_j_lex_open(&p.lex, source, arena, err));
    MT_TRY(mt_jp_next(&p));
    MT_TRY(body(&p, NULL, &n));
    *root = n;
    return MOTE_OK;
}

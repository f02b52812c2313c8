/* SPDX-License-Identifier: MIT */
/* jinja_lex.c - template source to tokens, one at a time.
 *
 * The whitespace rules are decided here, as jinja2 decides them with trim_blocks and
 * lstrip_blocks on: a tag's line is not shown when the tag stands alone on it.  All of `-`,
 * `+`, {% raw %} and comments are resolved; the parser sees text, tag borders and expression
 * tokens. */
#include <stdio.h>
#include <string.h>

#include "text/jinja.h"

enum { ROOT, BLOCK, VARIABLE };

#define LEX_FAIL(x, ...) return lex_fail((x), __VA_ARGS__)

static MT_PRINTF(2, 3) mote_status lex_fail(const mt_jlex *x, const char *fmt, ...)
{
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return mt_fail(x->err, MOTE_EFORMAT, "template line %u: %s", x->line, text);
}

/* jinja2 reads every kind of line end as \n and drops one at the very end. */
mote_status mt_j_lex_open(mt_jlex *x, mt_str source, mt_arena *arena, mote_error *err)
{
    memset(x, 0, sizeof *x);
    x->arena = arena;
    x->err = err;
    x->line = 1;
    x->line_starting = true;
    char *p = mt_arena_push(arena, source.n + 1);
    if (!p) MT_FAIL(err, MOTE_ENOMEM, "no memory for a template of %zu bytes", source.n);
    size_t n = 0;
    for (size_t i = 0; i < source.n; i++) {
        char c = source.p[i];
        if (c == '\r') {
            c = '\n';
            if (i + 1 < source.n && source.p[i + 1] == '\n') i++;
        }
        p[n++] = c;
    }
    if (n > 0 && p[n - 1] == '\n') n--;
    x->src = (mt_str){ p, n };
    return MOTE_OK;
}

static char at(const mt_jlex *x, size_t i) { return i < x->src.n ? x->src.p[i] : '\0'; }

static bool is_at(const mt_jlex *x, size_t i, const char *text)
{
    size_t n = strlen(text);
    return i <= x->src.n && x->src.n - i >= n && memcmp(x->src.p + i, text, n) == 0;
}

static size_t skip_space(const mt_jlex *x, size_t i)
{
    while (i < x->src.n) {
        size_t len;
        if (!mt_j_is_space(mt_j_decode(x->src.p + i, x->src.n - i, &len))) break;
        i += len;
    }
    return i;
}

/* End of p[0, n) without trailing white space. */
static size_t trim_end(const char *p, size_t n)
{
    while (n > 0) {
        size_t i = n - 1, len;
        while (i > 0 && ((unsigned char)p[i] & 0xc0) == 0x80) i--;
        if (!mt_j_is_space(mt_j_decode(p + i, n - i, &len))) break;
        n = i;
    }
    return n;
}

static void advance(mt_jlex *x, size_t to)
{
    for (size_t i = x->at; i < to; i++) x->line += x->src.p[i] == '\n';
    x->at = to;
}

/* The text in front of a tag at `tag`, cut as its sign and lstrip_blocks ask. */
static mt_str text_before(const mt_jlex *x, size_t from, size_t tag, char sign,
                          bool is_variable)
{
    mt_str text = { x->src.p + from, tag - from };
    if (sign == '-') {
        text.n = trim_end(text.p, text.n);
        return text;
    }
    if (sign == '+' || is_variable) return text;
    size_t line = text.n;
    while (line > 0 && text.p[line - 1] != '\n') line--;
    if (line == 0 && !x->line_starting) return text;
    if (line < text.n && skip_space(x, from + line) >= tag) text.n = line;
    return text;
}

static char sign_at(const mt_jlex *x, size_t i)
{
    char c = at(x, i);
    return c == '-' || c == '+' ? c : '\0';
}

/* After `{%` and its sign: does `word` close the tag?  Then the end of the tag, else 0. */
static size_t word_tag(const mt_jlex *x, size_t i, const char *word, bool may_trim)
{
    i = skip_space(x, i);
    if (!is_at(x, i, word)) return 0;
    i = skip_space(x, i + strlen(word));
    if (is_at(x, i, "-%}")) return skip_space(x, i + 3);
    if (may_trim && is_at(x, i, "+%}")) return i + 3;
    if (!is_at(x, i, "%}")) return 0;
    i += 2;
    return may_trim && at(x, i) == '\n' ? i + 1 : i;
}

static mt_jtoken token(const mt_jlex *x, mt_jtok type, mt_str text)
{
    return (mt_jtoken){ .type = type, .line = x->line, .text = text };
}

static void finish_tag(mt_jlex *x, size_t end)
{
    advance(x, end);
    x->line_starting = end > 0 && x->src.p[end - 1] == '\n';
}

static mote_status read_raw(mt_jlex *x, size_t from, mt_jtoken *out, bool *found)
{
    for (size_t i = from; i + 1 < x->src.n; i++) {
        if (!is_at(x, i, "{%")) continue;
        char sign = sign_at(x, i + 2);
        size_t end = word_tag(x, i + 2 + (sign != 0), "endraw", true);
        if (!end) continue;
        *out = token(x, MT_JT_DATA, text_before(x, from, i, sign, false));
        *found = out->text.n > 0;
        finish_tag(x, end);
        return MOTE_OK;
    }
    *found = false;
    if (from == x->src.n) return MOTE_OK;         /* jinja2 forgives it when nothing follows */
    LEX_FAIL(x, "missing end of raw directive");
}

static mote_status skip_comment(mt_jlex *x, size_t from)
{
    const char *p = mt_j_find(x->src.p + from, x->src.n - from, "#}", 2);
    if (!p && from == x->src.n) return MOTE_OK;   /* as for raw */
    if (!p) LEX_FAIL(x, "missing end of comment tag");
    size_t i = (size_t)(p - x->src.p), end = i + 2;
    char before = i > from ? x->src.p[i - 1] : '\0';
    if (before == '-') end = skip_space(x, end);
    else if (before != '+' && at(x, end) == '\n') end++;
    finish_tag(x, end);
    return MOTE_OK;
}

/* Where the next tag opens, or the end of the source. */
static size_t next_tag(const mt_jlex *x, size_t i)
{
    for (; i + 1 < x->src.n; i++) {
        const char *p = memchr(x->src.p + i, '{', x->src.n - i);
        if (!p) break;
        i = (size_t)(p - x->src.p);
        char c = at(x, i + 1);
        if (c == '%' || c == '#' || c == '{') return i;
    }
    return x->src.n;
}

/* Text up to the next tag; the tag itself becomes the pending token.  *found: out is set. */
static mote_status read_root(mt_jlex *x, mt_jtoken *out, bool *found)
{
    size_t from = x->at, tag = next_tag(x, from);
    *found = false;
    if (tag == x->src.n) {
        *out = token(x, from < tag ? MT_JT_DATA : MT_JT_EOF,
                     (mt_str){ x->src.p + from, tag - from });
        advance(x, tag);
        *found = true;
        return MOTE_OK;
    }
    char kind = at(x, tag + 1), sign = sign_at(x, tag + 2);
    size_t body = tag + 2 + (sign != 0);
    *out = token(x, MT_JT_DATA, text_before(x, from, tag, sign, kind == '{'));
    *found = out->text.n > 0;
    advance(x, tag);
    size_t raw = kind == '%' ? word_tag(x, body, "raw", false) : 0;
    if (raw || kind == '#') {
        finish_tag(x, raw ? raw : body);
        if (kind == '#') return skip_comment(x, body);
        return *found ? read_raw(x, raw, &x->pending, &x->has_pending)
                      : read_raw(x, raw, out, found);
    }
    x->state = kind == '%' ? BLOCK : VARIABLE;
    x->pending = token(x, kind == '%' ? MT_JT_BLOCK_BEGIN : MT_JT_VAR_BEGIN,
                       (mt_str){ x->src.p + tag, body - tag });
    x->has_pending = true;
    finish_tag(x, body);
    return MOTE_OK;
}

/* The end of the open tag, when it stands at i. */
static size_t tag_end(const mt_jlex *x, size_t i)
{
    if (x->state == VARIABLE) {
        if (is_at(x, i, "-}}")) return skip_space(x, i + 3);
        return is_at(x, i, "}}") ? i + 2 : 0;
    }
    if (is_at(x, i, "-%}")) return skip_space(x, i + 3);
    if (is_at(x, i, "+%}")) return i + 3;
    if (!is_at(x, i, "%}")) return 0;
    return at(x, i + 2) == '\n' ? i + 3 : i + 2;
}

/* ---- numbers and strings --------------------------------------------------- */
static bool is_digit(char c, int base)
{
    if (base == 16) return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
    return c >= '0' && c < '0' + base;
}

/* Digits with single underscores between them, from i on; the end, or i when there is none. */
static size_t digits(const mt_jlex *x, size_t i, int base, bool may_start_with_underscore)
{
    if (may_start_with_underscore && at(x, i) == '_' && is_digit(at(x, i + 1), base)) i++;
    if (!is_digit(at(x, i), base)) return i;
    for (;;) {
        if (is_digit(at(x, i), base)) i++;
        else if (at(x, i) == '_' && is_digit(at(x, i + 1), base)) i++;
        else return i;
    }
}

static mote_status integer_text(mt_jlex *x, size_t from, size_t end, int base, mt_jtoken *out)
{
    uint64_t v = 0;
    for (size_t i = from; i < end; i++) {
        char c = x->src.p[i];
        if (c == '_') continue;
        unsigned d = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 32) - 'a' + 10);
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) || __builtin_add_overflow(v, d, &v) ||
            v > INT64_MAX)
            return mt_fail(x->err, MOTE_EUNSUPPORTED,
                           "template line %u: an integer beyond 64 bits", x->line);
    }
    *out = token(x, MT_JT_INT, (mt_str){ x->src.p + from, end - from });
    out->i = (int64_t)v;
    advance(x, end);
    return MOTE_OK;
}

static mote_status read_number(mt_jlex *x, mt_jtoken *out)
{
    size_t i = x->at, whole = digits(x, i, 10, false), end = whole;
    bool after_dot = i > 0 && x->src.p[i - 1] == '.';
    bool is_float = false;
    if (!after_dot) {
        if (at(x, end) == '.' && is_digit(at(x, end + 1), 10)) {
            end = digits(x, end + 1, 10, false);
            is_float = true;
        }
        if ((at(x, end) | 32) == 'e') {
            size_t e = end + 1;
            if (at(x, e) == '+' || at(x, e) == '-') e++;
            if (is_digit(at(x, e), 10)) {
                end = digits(x, e, 10, false);
                is_float = true;
            }
        }
    }
    if (is_float) {
        if (!mt_j_parse_float((mt_str){ x->src.p + i, end - i }, &out->f))
            LEX_FAIL(x, "malformed number");
        double f = out->f;
        *out = token(x, MT_JT_FLOAT, (mt_str){ x->src.p + i, end - i });
        out->f = f;
        advance(x, end);
        return MOTE_OK;
    }
    static const struct {
        char letter;
        int base;
    } prefix[] = { { 'b', 2 }, { 'o', 8 }, { 'x', 16 } };
    for (size_t k = 0; at(x, i) == '0' && k < MT_COUNT(prefix); k++) {
        if ((at(x, i + 1) | 32) != prefix[k].letter) continue;
        end = digits(x, i + 2, prefix[k].base, true);
        if (end > i + 2) return integer_text(x, i + 2, end, prefix[k].base, out);
    }
    if (at(x, i) == '0') {                        /* 0, 00, 0_0: a leading zero ends there */
        end = i + 1;
        while (at(x, end) == '0' || (at(x, end) == '_' && at(x, end + 1) == '0')) end++;
        whole = end;
    }
    return integer_text(x, i, whole, 10, out);
}

static int hex(const char *p, size_t n, size_t want, uint32_t *out)
{
    uint32_t v = 0;
    if (n < want) return 0;
    for (size_t i = 0; i < want; i++) {
        if (!is_digit(p[i], 16)) return 0;
        v = v * 16 + (uint32_t)(p[i] <= '9' ? p[i] - '0' : (p[i] | 32) - 'a' + 10);
    }
    *out = v;
    return 1;
}

/* One escape after its backslash: writes to o, returns the bytes read, 0 on an error. */
static size_t unescape(const char *p, size_t n, char *o, size_t *n_out)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *simple = p[0] ? strchr(from, p[0]) : NULL;
    uint32_t cp = 0;
    size_t want = p[0] == 'x' ? 2 : p[0] == 'u' ? 4 : p[0] == 'U' ? 8 : 0;
    if (p[0] == '\n') {
        *n_out = 0;
        return 1;
    }
    if (simple) {
        o[0] = to[simple - from];
        *n_out = 1;
        return 1;
    }
    if (want) {
        if (!hex(p + 1, n - 1, want, &cp) || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
            return 0;
        *n_out = mt_j_encode(cp, o);
        return 1 + want;
    }
    if (p[0] == 'N') return 0;                    /* names of characters: no table for them */
    if (is_digit(p[0], 8)) {
        size_t i = 0;
        while (i < 3 && i < n && is_digit(p[i], 8)) cp = cp * 8 + (uint32_t)(p[i++] - '0');
        *n_out = mt_j_encode(cp, o);
        return i;
    }
    o[0] = '\\';                                  /* Python keeps what it does not know */
    *n_out = 1;
    return SIZE_MAX;
}

static mote_status read_string(mt_jlex *x, mt_jtoken *out)
{
    char quote = x->src.p[x->at];
    size_t from = x->at + 1, end = from;
    bool has_escape = false;
    while (end < x->src.n && x->src.p[end] != quote) {
        if (x->src.p[end] == '\\') {
            has_escape = true;
            end++;
        }
        end++;
    }
    if (end >= x->src.n) LEX_FAIL(x, "a string opened by %c does not end", quote);
    *out = token(x, MT_JT_STRING, (mt_str){ x->src.p + from, end - from });
    if (has_escape) {
        /* An octal escape of two source bytes can need two: never more than the source. */
        char *p = mt_arena_push(x->arena, end - from + 1), o[4];
        if (!p) MT_FAIL(x->err, MOTE_ENOMEM, "no memory for a string of the template");
        size_t n = 0;
        for (size_t i = from; i < end; ) {
            if (x->src.p[i] != '\\') {
                p[n++] = x->src.p[i++];
                continue;
            }
            size_t n_o = 0, used = unescape(x->src.p + i + 1, end - i - 1, o, &n_o);
            if (!used)
                LEX_FAIL(x, "an escape \\%c that is malformed or unknown", x->src.p[i + 1]);
            memcpy(p + n, o, n_o);
            n += n_o;
            i += used == SIZE_MAX ? 1 : 1 + used;
        }
        out->text = (mt_str){ p, n };
    }
    advance(x, end + 1);
    return MOTE_OK;
}

/* ---- expressions -------------------------------------------------------------- */
static mote_status read_operator(mt_jlex *x, mt_jtoken *out)
{
    static const char *const two[] = { "//", "**", "==", "!=", ">=", "<=" };
    size_t n = 0, i = x->at;
    for (size_t k = 0; k < MT_COUNT(two); k++)
        if (is_at(x, i, two[k])) n = 2;
    char c = at(x, i);
    if (!n && c && strchr("+-/*%~[](){}><=.:|,;", c)) n = 1;
    if (!n) {
        size_t len;
        uint32_t cp = mt_j_decode(x->src.p + i, x->src.n - i, &len);
        if (cp > 32 && cp < 127) LEX_FAIL(x, "unexpected char '%c'", (int)cp);
        LEX_FAIL(x, "unexpected char U+%04X", cp);
    }
    if (n == 1 && strchr("([{", c)) {
        if (x->n_open == MT_J_PARSE_DEPTH)
            return mt_fail(x->err, MOTE_EFULL,
                           "template line %u: expressions nest deeper than %d", x->line,
                           MT_J_PARSE_DEPTH);
        x->open[x->n_open++] = c;
    }
    if (n == 1 && strchr(")]}", c)) {
        char opened = c == ')' ? '(' : c == ']' ? '[' : '{';
        if (x->n_open == 0 || x->open[x->n_open - 1] != opened)
            LEX_FAIL(x, "unexpected '%c'", c);
        x->n_open--;
    }
    *out = token(x, MT_JT_OP, (mt_str){ x->src.p + i, n });
    advance(x, i + n);
    return MOTE_OK;
}

static mote_status read_tag(mt_jlex *x, mt_jtoken *out)
{
    for (;;) {
        size_t end = x->n_open == 0 ? tag_end(x, x->at) : 0;
        if (end) {
            *out = token(x, x->state == BLOCK ? MT_JT_BLOCK_END : MT_JT_VAR_END,
                         (mt_str){ x->src.p + x->at, end - x->at });
            x->state = ROOT;
            finish_tag(x, end);
            return MOTE_OK;
        }
        size_t next = skip_space(x, x->at);
        if (next == x->at) break;
        advance(x, next);
    }
    if (x->at >= x->src.n) {
        *out = token(x, MT_JT_EOF, (mt_str){ x->src.p + x->src.n, 0 });
        return MOTE_OK;
    }
    char c = at(x, x->at);
    if (is_digit(c, 10)) return read_number(x, out);
    if (c == '"' || c == '\'') return read_string(x, out);
    size_t i = x->at, len;
    while (i < x->src.n && mt_j_is_word(mt_j_decode(x->src.p + i, x->src.n - i, &len)))
        i += len;
    if (i == x->at) return read_operator(x, out);
    *out = token(x, MT_JT_NAME, (mt_str){ x->src.p + x->at, i - x->at });
    advance(x, i);
    return MOTE_OK;
}

mote_status mt_j_lex_next(mt_jlex *x, mt_jtoken *out)
{
    bool found = true;
    do {
        if (x->has_pending) {
            *out = x->pending;
            x->has_pending = false;
            return MOTE_OK;
        }
        if (x->state != ROOT) return read_tag(x, out);
        MT_TRY(read_root(x, out, &found));
    } while (!found);
    return MOTE_OK;
}

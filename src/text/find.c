/* SPDX-License-Identifier: MIT */
/* find.c - translation of the files' expressions, and matching with limits.
 *
 * Oniguruma and PCRE2 differ in what short-hands mean: \s has U+180E there and not here, \w follows
 * other lists, \h is a hexadecimal digit, ^ and $ work on lines, a dot stops at line feeds alone.
 * The translation writes such classes out. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/find.h"

#include <pcre2.h>
#include <string.h>

#include "text/unicode.h"

enum {
    LONGEST_PATTERN = 16384,
    MOST_STEPS = 10 << 20,       /* of one match; a megabyte of white space takes one each */
    STACK_START = 32 << 10, STACK_MOST = 4 << 20,
    HEAD = 16                    /* in front of PCRE2's blocks: their size */
};

#define SPACES "\\x09-\\x0D\\x20\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define NO_SPACES "\\x{0}-\\x08\\x0E-\\x1F\\x21-\\x{84}\\x{86}-\\x{9F}\\x{A1}-\\x{167F}\\x{1681}-\\x{1FFF}" \
                  "\\x{200B}-\\x{2027}\\x{202A}-\\x{202E}\\x{2030}-\\x{205E}\\x{2060}-\\x{2FFF}\\x{3001}-\\x{10FFFF}"
/* Oniguruma counts the fractions and superscripts of Latin-1 among them, and no other such number. */
#define WORDS "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}" \
              "\\x{1F170}-\\x{1F189}"

/* ---- translation ------------------------------------------------------------- */

typedef struct translator {
    const char *p, *end;
    mt_buf *out;
    int     depth;               /* of [ */
    char    wrong[64];           /* the construct that is not supported */
} translator;

static bool put(translator *t, const char *text) { return mt_buf_put(t->out, text, strlen(text)); }
static bool keep(translator *t, size_t n)
{
    t->p += n;
    return mt_buf_put(t->out, t->p - n, n);
}

static bool refuse(translator *t, size_t n)
{
    n = MT_MIN(MT_MIN(n, (size_t)(t->end - t->p)), sizeof t->wrong - 1);
    memcpy(t->wrong, t->p, n);
    t->wrong[n] = 0;
    return false;
}

static bool is_hex(char c) { return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'); }

/* \p{...}: names that both know under the same meaning. */
static bool property(translator *t)
{
    static const char *const known[] = {
        "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps", "Pe",
        "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Co", "Cs",
        "Han", "Hiragana", "Katakana", "Hangul", "Latin", "Greek", "Cyrillic", "Thai", "Arabic", "Hebrew", "Devanagari",
        "Armenian", "Bengali", "Georgian", "Lao", "Khmer", "Myanmar", "Mongolian", "Tamil", "Telugu", "Tibetan", "Bopomofo",
    };
    const char *close = t->p + 2 < t->end && t->p[2] == '{' ? memchr(t->p, '}', (size_t)(t->end - t->p)) : NULL;
    if (!close) return refuse(t, 3);
    mt_str name = { t->p + 3, (size_t)(close - t->p - 3) };
    if (name.n && *name.p == '^') name.p++, name.n--;
    for (size_t i = 0; i < MT_COUNT(known); i++)
        if (mt_str_is(name, known[i])) return keep(t, (size_t)(close - t->p + 1));
    return refuse(t, (size_t)(close - t->p + 1));
}

/* What begins with a backslash. */
static bool escape(translator *t)
{
    if (t->end - t->p < 2) return refuse(t, 1);
    const char c = t->p[1];
    const bool is_inside = t->depth > 0;
    const char *as = NULL;
    switch (c) {
    case 's': as = is_inside ? SPACES : "[" SPACES "]"; break;
    case 'S': as = is_inside ? NO_SPACES : "[^" SPACES "]"; break;
    case 'w': as = is_inside ? WORDS : "[" WORDS "]"; break;
    case 'W': as = is_inside ? NULL : "[^" WORDS "]"; break;
    case 'd': as = "\\p{Nd}"; break;
    case 'D': as = "\\P{Nd}"; break;
    case 'h': as = is_inside ? "0-9a-fA-F" : "[0-9a-fA-F]"; break;
    case 'p': case 'P': return property(t);
    case 'n': case 'r': case 't': case 'f': case 'a': case 'e': return keep(t, 2);
    case 'v': as = "\\x0B"; break;
    case 'A': case 'z': case 'Z': case 'b': case 'B':
        if (is_inside || c == 'b' || c == 'B') return refuse(t, 2);
        return keep(t, 2);
    case 'x':
        if (t->end - t->p >= 4 && is_hex(t->p[2]) && is_hex(t->p[3]) && t->p[2] < '8') return keep(t, 4);
        if (t->end - t->p >= 4 && t->p[2] == '{') {
            const char *close = memchr(t->p, '}', (size_t)(t->end - t->p));
            if (close) return keep(t, (size_t)(close - t->p + 1));
        }
        return refuse(t, 4);
    case 'u':
        if (t->end - t->p < 6) return refuse(t, 6);
        for (int i = 2; i < 6; i++)
            if (!is_hex(t->p[i])) return refuse(t, 6);
        t->p += 6;
        return put(t, "\\x{") && mt_buf_put(t->out, t->p - 4, 4) && put(t, "}");
    default:
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return refuse(t, 2);
        if ((uint8_t)c >= 0x80) return refuse(t, 2);
        return keep(t, 2);
    }
    if (!as) return refuse(t, 2);
    t->p += 2;
    return put(t, as);
}

/* What follows an opening parenthesis and a question mark. */
static bool group(translator *t)
{
    static const char *const known[] = { "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?i)" };
    for (size_t i = 0; i < MT_COUNT(known); i++) {
        const size_t n = strlen(known[i]);
        if ((size_t)(t->end - t->p) >= n && memcmp(t->p, known[i], n) == 0) return keep(t, n);
    }
    return refuse(t, 4);
}

/* Inside [ ]: ranges and members are the same in both, but no class in a class and no && here. */
static bool class_item(translator *t)
{
    if (*t->p == '[') return refuse(t, 2);
    if (*t->p == '&' && t->p + 1 < t->end && t->p[1] == '&') return refuse(t, 2);
    if (*t->p == ']') t->depth--;
    return keep(t, 1);
}

static bool item(translator *t)
{
    if (*t->p == '\\') return escape(t);
    if (t->depth) return class_item(t);
    if (*t->p == '(' && t->p + 1 < t->end && t->p[1] == '?') return group(t);
    if (*t->p == '(' && t->p + 1 < t->end && t->p[1] == '*') return refuse(t, 3);
    if (*t->p == '}' && t->p + 1 < t->end && t->p[1] == '+') return refuse(t, 2);   /* greedy there, possessive here */
    if (*t->p == '[') {
        t->depth = 1;
        size_t n = t->p + 1 < t->end && t->p[1] == '^' ? 2 : 1;
        if (t->p + n < t->end && t->p[n] == ']') return refuse(t, n + 1);
        return keep(t, n);
    }
    return keep(t, 1);
}

/* ---- compiling ----------------------------------------------------------------- */

static void *get_block(size_t n, void *user)
{
    size_t bytes;
    uint8_t *p = mt_add_ok(n, HEAD, &bytes) ? mt_get(user, bytes, HEAD) : NULL;
    if (!p) return NULL;
    memcpy(p, &bytes, sizeof bytes);
    return p + HEAD;
}

static void put_block(void *p, void *user)
{
    size_t bytes;
    if (!p) return;
    memcpy(&bytes, (uint8_t *)p - HEAD, sizeof bytes);
    mt_put(user, (uint8_t *)p - HEAD, bytes);
}

static mote_status compile(mt_pattern *p, const mt_buf *text, const char *what, mote_error *err)
{
    int code;
    size_t at;
    pcre2_general_context *general = pcre2_general_context_create(get_block, put_block, (void *)(uintptr_t)p->alloc);
    pcre2_compile_context *context = general ? pcre2_compile_context_create(general) : NULL;
    if (context) {
        pcre2_set_newline(context, PCRE2_NEWLINE_LF);
        p->code = pcre2_compile((PCRE2_SPTR)(text->p ? text->p : ""), text->n,
                                PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &code, &at, context);
    }
    pcre2_compile_context_free(context);
    pcre2_general_context_free(general);
    if (!context) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory to compile its expression", what);
    if (!p->code) {
        char why[128] = "";
        if (code == PCRE2_ERROR_HEAP_FAILED) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory to compile its expression", what);
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: expression not understood: %s", what, why);
    }
    pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);      /* without it, the interpreter serves */
    return MOTE_OK;
}

mote_status mt_pattern_compile(mt_pattern *p, mt_str text, const char *what, const mote_alloc *alloc, mote_error *err)
{
    mt_buf out;
    *p = (mt_pattern){ .text = text, .alloc = alloc };
    if (text.n > LONGEST_PATTERN)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: expression of %zu bytes, the limit is %d", what, text.n, (int)LONGEST_PATTERN);
    translator t = { .p = text.p, .end = text.p + text.n, .out = &out };
    mt_buf_init(&out, alloc, LONGEST_PATTERN * 64);
    bool ok = true;
    while (ok && t.p < t.end) ok = item(&t);
    mote_status status = MOTE_OK;
    if (!ok && *t.wrong) status = mt_fail(err, MOTE_EUNSUPPORTED, "%s: '%s' in an expression is not supported", what, t.wrong);
    else if (!ok) status = mt_fail(err, MOTE_ENOMEM, "%s: no memory to compile its expression", what);
    else status = compile(p, &out, what, err);
    mt_buf_free(&out);
    return status;
}

void mt_pattern_free(mt_pattern *p)
{
    pcre2_code_free(p->code);
    p->code = NULL;
}

/* ---- matching --------------------------------------------------------------------- */

void mt_finder_forget(mt_finder *f)
{
    mt_put(f->alloc, f->repaired, f->n_repaired);
    f->repaired = NULL, f->n_repaired = 0, f->of = NULL;
}

void mt_finder_free(mt_finder *f)
{
    mt_finder_forget(f);
    pcre2_match_data_free(f->match);
    pcre2_match_context_free(f->context);
    pcre2_jit_stack_free(f->stack);
    f->match = f->context = f->stack = NULL;
}

static bool prepare(mt_finder *f)
{
    if (f->match) return true;
    pcre2_general_context *general = pcre2_general_context_create(get_block, put_block, (void *)(uintptr_t)f->alloc);
    if (!general) return false;
    f->match = pcre2_match_data_create(1, general);
    f->context = pcre2_match_context_create(general);
    f->stack = pcre2_jit_stack_create(STACK_START, STACK_MOST, general);
    pcre2_general_context_free(general);
    if (!f->match || !f->context || !f->stack) return false;
    pcre2_set_match_limit(f->context, MOST_STEPS);
    pcre2_jit_stack_assign(f->context, NULL, f->stack);
    return true;
}

static bool is_utf8(const uint8_t *p, size_t n)
{
    uint32_t code;
    for (size_t i = 0, len; i < n; i += len) {
        len = p[i] < 0x80 ? 1 : mt_utf8_char(p + i, p + n, &code);
        if (len == 0) return false;
    }
    return true;
}

/* PCRE2 wants UTF-8: malformed bytes become a control character of their own. */
static bool repair(mt_finder *f, mt_str *text)
{
    const uint8_t *p = (const uint8_t *)text->p;
    if (f->of != p || (f->repaired && f->n_repaired != text->n)) {
        mt_finder_forget(f);
        f->of = p;
        if (is_utf8(p, text->n)) return true;
        f->repaired = mt_get(f->alloc, text->n, 1);
        if (!f->repaired) return false;
        f->n_repaired = text->n;
        uint32_t code;
        for (size_t i = 0, len; i < text->n; i += len) {
            len = mt_utf8_char(p + i, p + text->n, &code);
            if (len) memcpy(f->repaired + i, p + i, len);
            else f->repaired[i] = 0x1A, len = 1;
        }
    }
    if (f->repaired) text->p = (const char *)f->repaired;
    return true;
}

static mote_status find_literal(const mt_pattern *p, mt_str text, size_t from, mt_match *out)
{
    const char *at = p->text.n && from < text.n ? memmem(text.p + from, text.n - from, p->text.p, p->text.n) : NULL;
    *out = (mt_match){ at ? (size_t)(at - text.p) : text.n, at ? (size_t)(at - text.p) + p->text.n : text.n, at != NULL };
    return MOTE_OK;
}

mote_status mt_pattern_find(const mt_pattern *p, mt_finder *f, mt_str text, size_t from, mt_match *out, mote_error *err)
{
    if (!p->code) return find_literal(p, text, from, out);
    if (!prepare(f) || !repair(f, &text)) MT_FAIL(err, MOTE_ENOMEM, "no memory to match an expression");
    const int rc = pcre2_match(p->code, (PCRE2_SPTR)text.p, text.n, from, PCRE2_NO_UTF_CHECK, f->match, f->context);
    if (rc == PCRE2_ERROR_NOMATCH) {
        *out = (mt_match){ text.n, text.n, false };
        return MOTE_OK;
    }
    if (rc == PCRE2_ERROR_NOMEMORY) MT_FAIL(err, MOTE_ENOMEM, "no memory to match an expression");
    if (rc < 0)
        MT_FAIL(err, MOTE_EFULL, "an expression of the tokenizer takes more than %d steps at byte %zu", (int)MOST_STEPS, from);
    const size_t *o = pcre2_get_ovector_pointer(f->match);
    *out = (mt_match){ o[0], MT_MAX(o[0], o[1]), true };
    return MOTE_OK;
}

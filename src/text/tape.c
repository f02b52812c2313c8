/* SPDX-License-Identifier: MIT */
/* tape.c - the reader of tape.h: one pass over the text, a stack of open containers, no recursion.
 *
 * A container's count and end are filled in when it closes; until then `next` of the stack's nodes
 * is free.  Numbers are checked for their form here and converted when asked for. */
#include "text/tape.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

enum { MOST_DEPTH = 64, MOST_TEXT = (1 << 28) - 1, ESCAPED = 8, LONGEST_NUMBER = 64 };

typedef struct reader {
    mt_tape *j;
    const uint8_t *p, *end;
    const char *wrong;           /* what is wrong at p */
    bool     has_no_memory;
    int      depth;
    struct { uint32_t node, n; } open[MOST_DEPTH];
} reader;

static bool fails(reader *r, const char *wrong)
{
    if (!r->wrong) r->wrong = wrong;
    return false;
}

/* ---- nodes ------------------------------------------------------------------ */

static bool grow(reader *r)
{
    mt_tape *j = r->j;
    const size_t cap = j->cap ? (size_t)j->cap * 2 : j->text.n / 16 + 64;
    mt_tape_node *grown = cap <= UINT32_MAX ? mt_get(j->alloc, cap * sizeof *grown, _Alignof(mt_tape_node)) : NULL;
    if (!grown) {
        r->has_no_memory = true;
        return false;
    }
    if (j->n_node) memcpy(grown, j->node, j->n_node * sizeof *grown);
    mt_put(j->alloc, j->node, j->cap * sizeof *grown);
    j->node = grown, j->cap = (uint32_t)cap;
    return true;
}

static bool put(reader *r, const uint8_t *at, size_t size, unsigned type)
{
    mt_tape *j = r->j;
    if (j->n_node == j->cap && !grow(r)) return false;
    j->node[j->n_node] = (mt_tape_node){ (uint32_t)(at - (const uint8_t *)j->text.p), (uint32_t)size << 4 | type,
                                         j->n_node + 1 };
    j->n_node++;
    return true;
}

/* ---- scalars ---------------------------------------------------------------- */

static void skip_space(reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t')) r->p++;
}

static int hex_of(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits; -1: not so. */
static int unit_of(const uint8_t *p, const uint8_t *end)
{
    int value = 0;
    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        const int digit = hex_of(p[i]);
        if (digit < 0) return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* Length of the escape at p, which points to the backslash; 0: not one. */
static size_t escape(const uint8_t *p, const uint8_t *end, uint32_t *code)
{
    static const char name[] = "\"\\/bfnrt", value[] = "\"\\/\b\f\n\r\t";
    if (end - p < 2) return 0;
    const char *simple = p[1] ? strchr(name, p[1]) : NULL;
    if (simple) {
        *code = (uint8_t)value[simple - name];
        return 2;
    }
    const int high = p[1] == 'u' ? unit_of(p + 2, end) : -1;
    if (high < 0 || (high >= 0xDC00 && high <= 0xDFFF)) return 0;
    *code = (uint32_t)high;
    if (high < 0xD800 || high > 0xDBFF) return 6;
    const int low = end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? unit_of(p + 8, end) : -1;
    if (low < 0xDC00 || low > 0xDFFF) return 0;
    *code = 0x10000u + (((uint32_t)high & 0x3FF) << 10) + ((uint32_t)low & 0x3FF);
    return 12;
}

static bool read_string(reader *r)
{
    const uint8_t *start = ++r->p, *p = start, *end = r->end;
    unsigned flag = 0;
    uint32_t code;
    for (;;) {
        while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') p++;
        if (p == end) break;
        if (*p == '"') {
            r->p = p + 1;
            return put(r, start, (size_t)(p - start), MT_TAPE_STRING | flag);
        }
        size_t n = 0;
        if (*p == '\\') n = escape(p, end, &code), flag = ESCAPED;
        else if (*p >= 0x80) n = mt_utf8_char(p, end, &code);
        r->p = p;
        if (n == 0) return fails(r, *p == '\\' ? "an escape that JSON does not know"
                                    : *p < 0x20 ? "a control character in a string" : "a string that is not UTF-8");
        p += n;
    }
    r->p = start - 1;
    return fails(r, "a string without an end");
}

static const uint8_t *digits(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p >= '0' && *p <= '9') p++;
    return p;
}

static bool read_number(reader *r)
{
    const uint8_t *p = r->p, *end = r->end;
    if (p < end && *p == '-') p++;
    const uint8_t *whole = p;
    p = digits(p, end);
    bool is_good = p > whole && (*whole != '0' || p == whole + 1);
    if (is_good && p < end && *p == '.') {
        const uint8_t *part = ++p;
        p = digits(p, end);
        is_good = p > part;
    }
    if (is_good && p < end && (*p | 0x20) == 'e') {
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        const uint8_t *power = p;
        p = digits(p, end);
        is_good = p > power;
    }
    if (!is_good || p - r->p >= LONGEST_NUMBER) return fails(r, "something that is not a JSON value");
    const bool ok = put(r, r->p, (size_t)(p - r->p), MT_TAPE_NUMBER);
    r->p = p;
    return ok;
}

static bool read_word(reader *r, const char *word, mt_tape_type type)
{
    const size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0) return fails(r, "something that is not a JSON value");
    if (!put(r, r->p, n, type)) return false;
    r->p += n;
    return true;
}

/* ---- structure ---------------------------------------------------------------- */

static bool open_container(reader *r, mt_tape_type type)
{
    if (r->depth == MOST_DEPTH) return fails(r, "more than 64 levels of brackets");
    if (!put(r, r->p, 0, type)) return false;
    r->open[r->depth].node = r->j->n_node - 1;
    r->open[r->depth++].n = 0;
    r->p++;
    return true;
}

static bool read_value(reader *r)
{
    skip_space(r);
    if (r->p == r->end) return fails(r, "the end of the text where a value should be");
    switch (*r->p) {
    case '{': return open_container(r, MT_TAPE_OBJECT);
    case '[': return open_container(r, MT_TAPE_ARRAY);
    case '"': return read_string(r);
    case 't': return read_word(r, "true", MT_TAPE_TRUE);
    case 'f': return read_word(r, "false", MT_TAPE_FALSE);
    case 'n': return read_word(r, "null", MT_TAPE_NULL);
    default:  return read_number(r);
    }
}

static bool is_at(reader *r, uint8_t c)
{
    skip_space(r);
    return r->p < r->end && *r->p == c;
}

/* The key of the next member and its colon. */
static bool read_key(reader *r)
{
    if (!is_at(r, '"')) return fails(r, "a member without a key");
    if (!read_string(r)) return false;
    if (!is_at(r, ':')) return fails(r, "a key without a colon");
    r->p++;
    return true;
}

/* One element of the innermost open container, or its end. */
static bool read_element(reader *r)
{
    mt_tape_node *node = &r->j->node[r->open[r->depth - 1].node];
    const bool is_object = (node->size & 7u) == MT_TAPE_OBJECT;
    uint32_t *n = &r->open[r->depth - 1].n;
    if (is_at(r, is_object ? '}' : ']')) {
        node->size |= *n << 4;
        node->next = r->j->n_node;
        r->p++, r->depth--;
        return true;
    }
    if (*n) {
        if (!is_at(r, ',')) return fails(r, is_object ? "no comma or } behind a member" : "no comma or ] behind a value");
        r->p++;
    }
    ++*n;
    return (!is_object || read_key(r)) && read_value(r);
}

static size_t line_of(const reader *r)
{
    size_t line = 1;
    for (const uint8_t *p = (const uint8_t *)r->j->text.p; p < r->p; p++) line += *p == '\n';
    return line;
}

mote_status mt_tape_open(mt_tape *j, mt_str text, const char *name, const mote_alloc *alloc, mote_error *err)
{
    *j = (mt_tape){ .alloc = alloc, .text = text };
    if (text.n > MOST_TEXT) MT_FAIL(err, MOTE_EFORMAT, "%s: %zu bytes, the limit is %d", name, text.n, (int)MOST_TEXT);
    reader r = { .j = j, .p = (const uint8_t *)text.p, .end = (const uint8_t *)text.p + text.n };
    bool ok = read_value(&r);
    while (ok && r.depth) ok = read_element(&r);
    if (ok) skip_space(&r);
    if (ok && r.p < r.end) ok = fails(&r, "text behind the value");
    if (ok) return MOTE_OK;
    mt_tape_close(j);
    if (r.has_no_memory) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory to read %zu bytes", name, text.n);
    MT_FAIL(err, MOTE_EFORMAT, "%s: line %zu has %s", name, line_of(&r), r.wrong);
}

void mt_tape_close(mt_tape *j)
{
    mt_put(j->alloc, j->node, j->cap * sizeof *j->node);
    j->node = NULL, j->n_node = j->cap = 0;
}

/* ---- asking ------------------------------------------------------------------- */

bool mt_tape_is(const mt_tape *j, uint32_t i, const char *text)
{
    const mt_tape_node *v = &j->node[i];
    return (v->size & 15u) == MT_TAPE_STRING && mt_str_is((mt_str){ j->text.p + v->at, v->size >> 4 }, text);
}

uint32_t mt_tape_get(const mt_tape *j, uint32_t o, const char *key)
{
    uint32_t found = 0;
    if (mt_tape_type_of(j, o) != MT_TAPE_OBJECT) return 0;
    for (uint32_t k = o + 1; k < j->node[o].next; k = j->node[k + 1].next)
        if (mt_tape_is(j, k, key)) found = k + 1;
    return found;
}

bool mt_tape_string(const mt_tape *j, uint32_t i, mt_arena *arena, mt_str *out)
{
    const mt_tape_node *v = &j->node[i];
    const size_t n = v->size >> 4;
    *out = (mt_str){ j->text.p + v->at, n };
    if ((v->size & 7u) != MT_TAPE_STRING) return false;
    if (!(v->size & ESCAPED)) return true;
    const uint8_t *p = (const uint8_t *)out->p, *end = p + n;
    uint8_t *to = mt_arena_push(arena, n);       /* no escape is shorter than what it stands for */
    *out = (mt_str){ (char *)to, 0 };
    if (!to) return false;
    while (p < end) {
        if (*p != '\\') {
            *to++ = *p++;
            continue;
        }
        uint32_t code = 0;
        p += escape(p, end, &code);
        to += mt_utf8_put(code, to);
    }
    out->n = (size_t)(to - (const uint8_t *)out->p);
    return true;
}

bool mt_tape_int(const mt_tape *j, uint32_t i, int64_t *out)
{
    const size_t n = j->node[i].size >> 4;
    const char *p = j->text.p + j->node[i].at;
    if (mt_tape_type_of(j, i) != MT_TAPE_NUMBER || n > 18) return false;
    const bool is_negative = *p == '-';
    int64_t value = 0;
    for (size_t k = is_negative; k < n; k++) {
        if (p[k] < '0' || p[k] > '9') return false;
        value = value * 10 + (p[k] - '0');
    }
    *out = is_negative ? -value : value;
    return true;
}

bool mt_tape_number(const mt_tape *j, uint32_t i, double *out)
{
    char text[LONGEST_NUMBER + 1];
    const size_t n = j->node[i].size >> 4;
    if (mt_tape_type_of(j, i) != MT_TAPE_NUMBER || n > LONGEST_NUMBER) return false;
    memcpy(text, j->text.p + j->node[i].at, n);
    text[n] = 0;
    *out = strtod(text, NULL);
    return true;
}

bool mt_tape_true(const mt_tape *j, uint32_t i)
{
    return i && mt_tape_type_of(j, i) == MT_TAPE_TRUE;
}

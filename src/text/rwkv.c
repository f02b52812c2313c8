/* SPDX-License-Identifier: MIT */
/* rwkv.c - the vocabulary file of rwkv.h, and the longest match. */
#include "text/rwkv.h"

#include <string.h>

#include "text/unicode.h"

enum { MOST_TOKENS = 1 << 21 };

/* ---- Python literals -------------------------------------------------------------- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

/* Up to `most` digits of a base at p, at least `least`; their number, 0: too few. */
static size_t read_digits(const char *p, const char *end, int base, size_t least, size_t most,
                          uint32_t *value)
{
    size_t n = 0;
    *value = 0;
    for (; n < most && p + n < end && digit_of(p[n]) < base; n++)
        *value = *value * (uint32_t)base + (uint32_t)digit_of(p[n]);
    return n < least ? 0 : n;
}

/* The escape whose letter is at p (behind the backslash): its length; 0: none that we know. */
static size_t read_escape(const char *p, const char *end, bool is_bytes, uint32_t *value)
{
    static const char letter[] = "\\'\"abfnrtv";
    static const char meaning[] = "\\'\"\a\b\f\n\r\t\v";
    if (p == end || *p == 0) return 0;
    const char *found = strchr(letter, *p);
    if (found) {
        *value = (uint8_t)meaning[found - letter];
        return 1;
    }
    if (*p >= '0' && *p <= '7') {
        const size_t n = read_digits(p, end, 8, 1, 3, value);
        return is_bytes && *value > 0xFF ? 0 : n;
    }
    const size_t digits = *p == 'x' ? 2 : is_bytes ? 0 : *p == 'u' ? 4 : *p == 'U' ? 8 : 0;
    if (digits == 0 || !read_digits(p + 1, end, 16, digits, digits, value)) return 0;
    return 1 + digits;
}

/* Writes a character as UTF-8; 0: a number that is none. */
static size_t put_char(uint32_t code, uint8_t *out)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return 0;
    const size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, code >>= 6) out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)((0xF00u >> n & 0xF0u) | code);
    return n;
}

/* The inside of a literal into out, which has room for as many bytes; SIZE_MAX: not one. */
static size_t unescape(const char *p, const char *end, bool is_bytes, uint8_t *out)
{
    uint8_t *to = out;
    while (p < end) {
        uint32_t code;
        if (*p != '\\') {
            const size_t n = is_bytes ? (uint8_t)*p < 0x80
                                      : mt_utf8_char((const uint8_t *)p, (const uint8_t *)end, &code);
            if (n == 0) return SIZE_MAX;
            memcpy(to, p, n);
            to += n;
            p += n;
            continue;
        }
        const size_t n = read_escape(p + 1, end, is_bytes, &code);
        if (n == 0) return SIZE_MAX;
        p += 1 + n;
        const size_t written = is_bytes ? 1 : put_char(code, to);
        if (is_bytes) *to = (uint8_t)code;
        if (written == 0) return SIZE_MAX;
        to += written;
    }
    return (size_t)(to - out);
}

size_t mt_rwkv_unescape(mt_str stored, uint8_t *out)
{
    return unescape(stored.p, stored.p + stored.n, true, out);
}

/* ---- the file --------------------------------------------------------------------------- */

typedef struct row { uint32_t id; size_t n; uint8_t *bytes; } row;

/* A number of up to 9 digits that ends at `stop`. */
static bool read_number(const char **p, const char *end, uint32_t *value)
{
    const size_t n = read_digits(*p, end, 10, 1, 9, value);
    *p += n;
    return n > 0;
}

/* The end of a literal that begins with its quote at p: the closing quote; NULL: none. */
static const char *literal_end(const char *p, const char *end)
{
    for (const char *q = p + 1; q < end; q++) {
        if (*q == '\\') q++;
        else if (*q == *p) return q;
    }
    return NULL;
}

/* Reads "id literal length", its bytes to out, which has room for the line's; what is wrong, or NULL. */
static const char *read_row(const char *p, const char *end, uint8_t *out, row *r)
{
    uint32_t n;
    if (!read_number(&p, end, &r->id) || p == end || *p++ != ' ') return "expected a number and a space";
    if (r->id >= MOST_TOKENS) return "the id is too large";
    const bool is_bytes = p < end && *p == 'b';
    p += is_bytes;
    if (p == end || (*p != '\'' && *p != '"')) return "expected a string literal";
    const char *close = literal_end(p, end);
    if (!close) return "the literal does not end";
    r->bytes = out;
    r->n = unescape(p + 1, close, is_bytes, out);
    if (r->n == SIZE_MAX) return "the literal has an escape or a byte that Python does not allow";
    p = close + 1;
    if (p == end || *p++ != ' ' || !read_number(&p, end, &n) || p != end)
        return "expected a space and the number of bytes";
    return n == r->n ? NULL : "the number of bytes is not the literal's";
}

/* Calls for each line that is not empty; *at is where it begins, *to where it ends. */
static bool next_line(mt_str file, size_t *at, size_t *to, size_t *line)
{
    while (*at < file.n) {
        const char *stop = memchr(file.p + *at, '\n', file.n - *at);
        *to = stop ? (size_t)(stop - file.p) : file.n;
        ++*line;
        if (*to > *at) return true;
        *at = *to + 1;
    }
    return false;
}

static size_t line_end(mt_str file, size_t at, size_t to)
{
    return to > at && file.p[to - 1] == '\r' ? to - 1 : to;
}

/* One more than the greatest id; the lines are checked on the second pass. */
static uint32_t count_tokens(mt_str file)
{
    uint32_t most = 0, id;
    for (size_t at = 0, to = 0, line = 0; next_line(file, &at, &to, &line); at = to + 1) {
        const char *p = file.p + at;
        if (read_number(&p, file.p + to, &id) && id < MOST_TOKENS) most = MT_MAX(most, id);
    }
    return most + 1;
}

mote_status mt_rwkv_read(mt_vocab *v, mt_str file, mt_arena *arena, mote_error *err)
{
    const uint32_t n = count_tokens(file);
    mt_str *token = mt_arena_push_n(arena, n, sizeof *token);
    int32_t *kind = mt_arena_push(arena, n * sizeof *kind);
    uint8_t *bytes = mt_arena_push(arena, file.n);
    if (!token || !kind || !bytes) MT_FAIL(err, MOTE_ENOMEM, "no memory for %u tokens", n);
    for (uint32_t i = 0; i < n; i++) kind[i] = i ? MT_TOKEN_UNUSED : MT_TOKEN_CONTROL;
    size_t n_row = 0;
    for (size_t at = 0, to = 0, line = 0; next_line(file, &at, &to, &line); at = to + 1, n_row++) {
        row r;
        const char *wrong = read_row(file.p + at, file.p + line_end(file, at, to), bytes, &r);
        if (!wrong && r.id == 0) wrong = "id 0 is the end of a text";
        if (!wrong && r.n == 0) wrong = "the token is empty";
        if (!wrong && token[r.id].n) wrong = "the id was there before";
        if (wrong) MT_FAIL(err, MOTE_EFORMAT, "rwkv vocabulary: line %zu: %s", line, wrong);
        token[r.id] = (mt_str){ (const char *)r.bytes, r.n };
        kind[r.id] = MT_TOKEN_NORMAL;
        bytes += r.n;
    }
    if (n_row == 0) MT_FAIL(err, MOTE_EFORMAT, "rwkv vocabulary: no line in %zu bytes", file.n);
    *v = (mt_vocab){ .model = mt_str_of("rwkv"), .n_token = n, .token = token, .kind = kind,
                     .bos = -1, .eos = 0, .eot = -1, .unk = -1, .pad = -1 };
    return MOTE_OK;
}

/* ---- encoding ------------------------------------------------------------------------------ */

mote_status mt_rwkv_init(mt_rwkv *r, const mt_vocab *v, mt_arena *arena, mote_error *err)
{
    mt_str *key = mt_get(arena->alloc, v->n_token * sizeof *key, _Alignof(mt_str));
    if (!key) MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu tokens", v->n_token);
    for (size_t i = 0; i < v->n_token; i++) {
        const int32_t kind = v->kind ? v->kind[i] : i ? MT_TOKEN_NORMAL : MT_TOKEN_CONTROL;
        const bool is_found = kind == MT_TOKEN_NORMAL || kind == MT_TOKEN_USER || kind == MT_TOKEN_BYTE;
        key[i] = is_found ? v->token[i] : (mt_str){ "", 0 };
    }
    *r = (mt_rwkv){ .other = v->unk };
    const mote_status status = mt_trie_init(&r->trie, key, NULL, v->n_token, arena, err);
    mt_put(arena->alloc, key, v->n_token * sizeof *key);
    return status;
}

bool mt_rwkv_encode(const mt_rwkv *r, mt_str text, mt_cuts *out, size_t *steps)
{
    const uint8_t *p = (const uint8_t *)text.p;
    const mt_trie_unit *unit = r->trie.unit;
    size_t n_step = 0;
    if (text.n > MT_CUTS_TEXT_MAX) return false;
    for (size_t at = 0, end; at < text.n; at = end) {
        int32_t id = r->other;
        uint32_t node = 0;
        end = at + 1;
        for (size_t i = at; i < text.n; ) {
            node = mt_trie_step(&r->trie, node, p[i++]);
            n_step++;
            if (!node) break;
            if (unit[node].id < 0) continue;
            id = unit[node].id;
            end = i;
        }
        if (id >= 0 && !mt_cuts_put(out, id, at, end)) return false;
    }
    if (steps) *steps += n_step;
    return true;
}

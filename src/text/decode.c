/* SPDX-License-Identifier: MIT */
/* decode.c - the decoding steps of decode.h.
 *
 * Where the reference puts U+FFFD for bytes that are not UTF-8, the bytes stay: a text that was
 * encoded comes back as it was. */
#include "text/decode.h"

#include <string.h>

#include "text/unicode.h"

enum { TEXT_MAX = 1 << 30 };

/* ---- lists --------------------------------------------------------------------- */

void mt_list_free(mt_list *l)
{
    mt_put(l->alloc, l->p, l->cap_byte);
    mt_put(l->alloc, l->end, l->cap * sizeof *l->end);
    mt_put(l->alloc, l->is_raw, l->cap * sizeof *l->is_raw);
    *l = (mt_list){ .alloc = l->alloc };
}

static bool put(mt_list *l, const void *p, size_t n)
{
    if (n > l->cap_byte - l->n_byte) {
        const size_t cap = MT_MAX(MT_MAX(l->cap_byte * 2, l->n_byte + n), 4096);
        uint8_t *grown = cap <= TEXT_MAX ? mt_get(l->alloc, cap, 1) : NULL;
        if (!grown) return false;
        if (l->n_byte) memcpy(grown, l->p, l->n_byte);
        mt_put(l->alloc, l->p, l->cap_byte);
        l->p = grown, l->cap_byte = cap;
    }
    if (n) memcpy(l->p + l->n_byte, p, n);
    l->n_byte += n;
    return true;
}

/* Ends the piece that put() wrote. */
static bool close_piece(mt_list *l, bool is_raw)
{
    if (l->n == l->cap) {
        const size_t cap = l->cap ? l->cap * 2 : 256;
        uint32_t *end = mt_get(l->alloc, cap * sizeof *end, _Alignof(uint32_t));
        bool *raw = mt_get(l->alloc, cap * sizeof *raw, 1);
        if (!end || !raw) {
            mt_put(l->alloc, end, cap * sizeof *end);
            mt_put(l->alloc, raw, cap * sizeof *raw);
            return false;
        }
        if (l->n) memcpy(end, l->end, l->n * sizeof *end), memcpy(raw, l->is_raw, l->n * sizeof *raw);
        mt_put(l->alloc, l->end, l->cap * sizeof *end);
        mt_put(l->alloc, l->is_raw, l->cap * sizeof *raw);
        l->end = end, l->is_raw = raw, l->cap = cap;
    }
    l->is_raw[l->n] = is_raw;
    l->end[l->n++] = (uint32_t)l->n_byte;
    return true;
}

bool mt_list_add(mt_list *l, const void *p, size_t n, bool is_raw) { return put(l, p, n) && close_piece(l, is_raw); }

static mt_str piece_of(const mt_list *l, size_t i)
{
    const uint32_t from = i ? l->end[i - 1] : 0;
    return (mt_str){ (const char *)l->p + from, l->end[i] - from };
}

/* ---- steps ------------------------------------------------------------------------ */

/* Copies s with every `what` replaced. */
static bool put_replaced(mt_list *to, mt_str s, mt_str what, const char *as)
{
    while (s.n) {
        const char *at = what.n ? memmem(s.p, s.n, what.p, what.n) : NULL;
        const size_t n = at ? (size_t)(at - s.p) : s.n;
        if (!put(to, s.p, n)) return false;
        if (!at) break;
        if (!put(to, as, strlen(as))) return false;
        s.p += n + what.n, s.n -= n + what.n;
    }
    return true;
}

/* Spaces that English does not write, in the order in which the reference removes them. */
static bool clean(mt_list *to, mt_list *spare, mt_str s)
{
    static const struct { const char *from, *to; } rule[] = {
        { " .", "." }, { " ?", "?" }, { " !", "!" }, { " ,", "," }, { " ' ", "'" }, { " n't", "n't" }, { " 'm", "'m" },
        { " do not", " don't" }, { " 's", "'s" }, { " 've", "'ve" }, { " 're", "'re" },
    };
    if (!memchr(s.p, ' ', s.n)) return put(to, s.p, s.n);
    size_t from = spare->n_byte;
    if (!put(spare, s.p, s.n)) return false;
    for (size_t i = 0; i < MT_COUNT(rule); i++) {
        mt_list now = { .alloc = spare->alloc };
        const mt_str text = { (const char *)spare->p + from, spare->n_byte - from };
        if (!memmem(text.p, text.n, rule[i].from, strlen(rule[i].from))) continue;
        const bool ok = put_replaced(&now, text, mt_str_of(rule[i].from), rule[i].to);
        spare->n_byte = from;
        const bool all = ok && put(spare, now.p, now.n_byte);
        mt_list_free(&now);
        if (!all) return false;
    }
    const bool ok = put(to, spare->p + from, spare->n_byte - from);
    spare->n_byte = from;
    return ok;
}

static bool starts(mt_str s, mt_str with) { return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0; }

static bool wordpiece(const mt_decode *op, const mt_list *l, mt_list *to, size_t i)
{
    mt_str s = piece_of(l, i);
    mt_list one = { .alloc = l->alloc }, spare = { .alloc = l->alloc };
    bool ok = true;
    if (i && starts(s, op->text)) s.p += op->text.n, s.n -= op->text.n;
    else if (i) ok = put(&one, " ", 1);
    ok = ok && put(&one, s.p, s.n);
    const mt_str whole = { one.p ? (const char *)one.p : "", one.n_byte };
    ok = ok && (op->cleans ? clean(to, &spare, whole) : put(to, whole.p, whole.n)) && close_piece(to, l->is_raw[i]);
    mt_list_free(&one);
    mt_list_free(&spare);
    return ok;
}

static bool bytes(const mt_list *l, mt_list *to)
{
    for (size_t i = 0; i < l->n; i++) {
        const mt_str s = piece_of(l, i);
        if (!put(to, s.p, s.n)) return false;    /* room for the result, which is never longer */
        to->n_byte -= s.n;
        const size_t n = l->is_raw[i] ? SIZE_MAX : mt_piece_decode(s, to->p + to->n_byte);
        if (n == SIZE_MAX && !put(to, s.p, s.n)) return false;
        if (n != SIZE_MAX) to->n_byte += n;
    }
    return close_piece(to, true);
}

int mt_byte_token(mt_str s)
{
    int value = 0;
    if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>') return -1;
    for (int i = 3; i < 5; i++) {
        const char c = s.p[i], low = (char)(c | 0x20);
        if (!(c >= '0' && c <= '9') && !(low >= 'a' && low <= 'f')) return -1;
        value = value << 4 | (c <= '9' ? c - '0' : low - 'a' + 10);
    }
    return value;
}

static bool byte_tokens(const mt_list *l, mt_list *to)
{
    bool is_open = false;
    for (size_t i = 0; i < l->n; i++) {
        const mt_str s = piece_of(l, i);
        const int b = mt_byte_token(s);
        const uint8_t byte = (uint8_t)b;
        if (b >= 0) {
            if (!put(to, &byte, 1)) return false;
            is_open = true;
            continue;
        }
        if (is_open && !close_piece(to, false)) return false;
        is_open = false;
        if (!mt_list_add(to, s.p, s.n, l->is_raw[i])) return false;
    }
    return !is_open || close_piece(to, false);
}

static mt_str strip(const mt_decode *op, mt_str s)
{
    const mt_str c = op->text;
    size_t left = 0, right = 0, cut = 0;
    for (uint32_t i = 0; i < op->start && starts((mt_str){ s.p + left, s.n - left }, c); i++) left += c.n;
    for (uint32_t i = 0; i < op->stop && s.n >= right + c.n; i++) {
        if (memcmp(s.p + s.n - right - c.n, c.p, c.n) != 0) break;
        right += c.n;
    }
    cut = MT_MIN(right, s.n - left);
    return (mt_str){ s.p + left, s.n - left - cut };
}

static mote_status replace(const mt_decode *op, mt_finder *f, mt_str s, mt_list *to, mote_error *err)
{
    size_t done = 0, from = 0, last_end = SIZE_MAX, len;
    mt_match m;
    bool ok = true;
    mt_finder_forget(f);
    while (ok && from <= s.n) {
        MT_TRY(mt_pattern_find(op->pattern, f, s, from, &m, err));
        if (!m.found) break;
        if (m.from == m.to && m.to == last_end) {
            len = 1;
            if (from < s.n) mt_utf8_next((const uint8_t *)s.p + from, (const uint8_t *)s.p + s.n, &len);
            from += len;
            continue;
        }
        ok = put(to, s.p + done, m.from - done) && put(to, op->text.p, op->text.n);
        from = last_end = done = m.to;
    }
    if (!ok || !put(to, s.p + done, s.n - done)) MT_FAIL(err, MOTE_ENOMEM, "no memory to decode");
    return MOTE_OK;
}

static mote_status replace_all(const mt_decode *op, const mt_list *l, mt_list *to, mote_error *err)
{
    mt_finder f = { .alloc = l->alloc };
    mote_status status = MOTE_OK;
    for (size_t i = 0; status == MOTE_OK && i < l->n; i++) {
        status = replace(op, &f, piece_of(l, i), to, err);
        if (status == MOTE_OK && !close_piece(to, l->is_raw[i])) status = mt_fail(err, MOTE_ENOMEM, "no memory to decode");
    }
    mt_finder_free(&f);
    return status;
}

/* One piece by a step that looks at nothing else. */
static bool one(const mt_decode *op, const mt_list *l, mt_list *to, size_t i)
{
    mt_str s = piece_of(l, i);
    switch (op->kind) {
    case MT_DECODE_WORDPIECE: return wordpiece(op, l, to, i);
    case MT_DECODE_METASPACE:
        return put_replaced(to, s, op->text, i == 0 && op->drops_first ? "" : " ") && close_piece(to, l->is_raw[i]);
    case MT_DECODE_SUFFIX:
        return put_replaced(to, s, op->text, i + 1 == l->n ? "" : " ") && close_piece(to, l->is_raw[i]);
    case MT_DECODE_STRIP:
        s = strip(op, s);
        return mt_list_add(to, s.p, s.n, l->is_raw[i]);
    default:
        return mt_list_add(to, s.p, s.n, l->is_raw[i]);
    }
}

static mote_status step(const mt_decode *op, const mt_list *l, mt_list *to, mote_error *err)
{
    bool ok = true;
    to->n = to->n_byte = 0;
    switch (op->kind) {
    case MT_DECODE_BYTES:       ok = bytes(l, to); break;
    case MT_DECODE_BYTE_TOKENS: ok = byte_tokens(l, to); break;
    case MT_DECODE_FUSE:        ok = mt_list_add(to, l->p, l->n_byte, true); break;
    case MT_DECODE_REPLACE:     return replace_all(op, l, to, err);
    default:
        for (size_t i = 0; ok && i < l->n; i++) ok = one(op, l, to, i);
    }
    if (!ok) MT_FAIL(err, MOTE_ENOMEM, "no memory to decode %zu bytes", l->n_byte);
    return MOTE_OK;
}

mote_status mt_decode_run(const mt_decode *op, size_t n, mt_list *l, mt_list *spare, mote_error *err)
{
    for (size_t i = 0; i < n && l->n; i++) {
        MT_TRY(step(&op[i], l, spare, err));
        const mt_list swap = *l;
        *l = *spare;
        *spare = swap;
    }
    return MOTE_OK;
}

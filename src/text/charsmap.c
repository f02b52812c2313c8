/* SPDX-License-Identifier: MIT */
/* charsmap.c - the rules of charsmap.h and SentencePiece's normalisation.
 *
 * The table is read where it lies, a word at a time, every index checked.  A word of it holds the
 * byte that leads to it (bits 0-7; bit 31 is never set there), whether a rule ends behind it (8)
 * and where its children hang (10-30, in steps of 256 when bit 9 is set). */
#include "text/charsmap.h"

#include <string.h>
#include <utf8proc.h>

#include "text/cuts.h"
#include "text/unicode.h"

enum {
    MOST_STEPS = 64,             /* bytes of a rule that are looked at */
    CLUSTER_LIMIT = 6            /* bytes; longer clusters are taken character by character */
};
static const char SPACE[] = "\xE2\x96\x81";                  /* U+2581 */
static const char REPAIR[] = "\xEF\xBF\xBD";                 /* U+FFFD */
enum { N_SPACE = 3 };

/* ---- rules ----------------------------------------------------------------------- */

static uint32_t load(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Where the children of a word hang, before their byte is mixed in. */
static uint32_t children(uint32_t at, uint32_t word)
{
    return at ^ (word >> 10) << ((word & 1u << 9) >> 6);
}

/* One byte further: *at is a place to mix the next byte into.  False: no rule goes on so. */
static bool step(const mt_charsmap *m, uint32_t *at, uint8_t byte, bool *ends)
{
    const uint32_t here = *at ^ byte;
    if (here >= m->n_unit) return false;
    const uint32_t word = load(m->unit + (size_t)here * 4);
    if ((word & 0x800000FFu) != byte) return false;
    *at = children(here, word);
    *ends = word >> 8 & 1;
    return true;
}

/* The replacement of the rule that ends at a place; false: a damaged table. */
static bool result(const mt_charsmap *m, uint32_t at, uint32_t *offset)
{
    if (at >= m->n_unit) return false;
    *offset = load(m->unit + (size_t)at * 4) & 0x7FFFFFFFu;
    return *offset < m->n_to;
}

static size_t find(const mt_charsmap *m, const uint8_t *p, const uint8_t *end, bool wants_long,
                   mt_str *to)
{
    size_t found = 0;
    uint32_t at, offset = 0;
    if (m->n_unit == 0) return 0;
    at = children(0, load(m->unit));
    const size_t most = (size_t)MT_MIN(end - p, MOST_STEPS);
    for (size_t i = 0; i < most; i++) {
        bool ends;
        uint32_t here;
        if (!step(m, &at, p[i], &ends)) break;
        if (!ends || !result(m, at, &here)) continue;
        found = i + 1;
        offset = here;
        if (!wants_long) break;
    }
    if (found) *to = (mt_str){ m->to + offset, strlen(m->to + offset) };
    return found;
}

size_t mt_charsmap_longest(const mt_charsmap *m, const uint8_t *p, const uint8_t *end, mt_str *to)
{
    return find(m, p, end, true, to);
}

size_t mt_charsmap_shortest(const mt_charsmap *m, const uint8_t *p, const uint8_t *end, mt_str *to)
{
    return find(m, p, end, false, to);
}

/* True when no rule is the ASCII byte alone or goes on with another. */
static bool is_plain(const mt_charsmap *m, uint8_t byte)
{
    bool ends;
    if (byte >= 0x80) return false;
    if (m->n_unit == 0) return true;
    uint32_t at = children(0, load(m->unit));
    if (!step(m, &at, byte, &ends)) return true;
    if (ends) return false;
    for (unsigned next = 0; next < 0x80; next++) {
        uint32_t there = at;
        if (step(m, &there, (uint8_t)next, &ends)) return false;
    }
    return true;
}

mote_status mt_charsmap_init(mt_charsmap *m, mt_str blob, mote_error *err)
{
    *m = (mt_charsmap){ 0 };
    if (blob.n) {
        mt_cursor c = { (const uint8_t *)blob.p, blob.n, 0, false };
        const uint32_t bytes = mt_read_u32(&c);
        m->unit = mt_read_bytes(&c, bytes);
        if (!m->unit || bytes % 4 || bytes == 0)
            MT_FAIL(err, MOTE_EFORMAT, "normaliser: a table of %u bytes in %zu, expected a multiple "
                    "of 4 that fits", bytes, blob.n);
        m->n_unit = bytes / 4;
        m->to = blob.p + c.at;
        if (blob.n - c.at > UINT32_MAX / 2 || blob.n == c.at || blob.p[blob.n - 1] != 0)
            MT_FAIL(err, MOTE_EFORMAT, "normaliser: %zu bytes of replacements, expected a NUL behind "
                    "the last", blob.n - c.at);
        m->n_to = (uint32_t)(blob.n - c.at);
    }
    for (unsigned byte = 0; byte < 256; byte++) m->plain[byte] = is_plain(m, (uint8_t)byte);
    return MOTE_OK;
}

/* ---- as `tokenizers` walks ---------------------------------------------------------- */

/* The end of the grapheme cluster at p < end; a byte that is not UTF-8 is one of its own. */
static const uint8_t *cluster_end(const uint8_t *p, const uint8_t *end)
{
    utf8proc_int32_t state = 0;
    uint32_t code, next;
    size_t n = mt_utf8_char(p, end, &code);
    if (n == 0) return p + 1;
    for (p += n; p < end; p += n, code = next) {
        n = mt_utf8_char(p, end, &next);
        if (n == 0 || utf8proc_grapheme_break_stateful((utf8proc_int32_t)code, (utf8proc_int32_t)next,
                                                       &state)) break;
    }
    return p;
}

static bool is_alone(const uint8_t *p, const uint8_t *end)
{
    return *p < 0x80 && *p != '\r' && (p + 1 == end || p[1] < 0x80);
}

bool mt_charsmap_next(mt_charsmap_walk *w, mt_str *from, mt_str *to)
{
    const uint8_t *p = w->at;
    uint32_t code;
    if (p == w->end) return false;
    bool is_new = !w->cluster || p >= w->cluster;
    if (is_new) w->cluster = is_alone(p, w->end) ? p + 1 : cluster_end(p, w->end);
    size_t n = (size_t)(w->cluster - p);
    if (is_new && n < CLUSTER_LIMIT && mt_charsmap_shortest(w->map, p, w->cluster, to)) {
        *from = (mt_str){ (const char *)p, n };
        w->at = w->cluster;
        return true;
    }
    n = mt_utf8_char(p, w->cluster, &code);
    n = n ? n : 1;
    *from = (mt_str){ (const char *)p, n };
    if (!mt_charsmap_shortest(w->map, p, p + n, to)) *to = *from;
    w->at = p + n;
    return true;
}

/* ---- a text and its map --------------------------------------------------------------- */

void mt_mapped_free(mt_mapped *m)
{
    mt_put(m->alloc, m->p, m->cap);
    if (m->at) mt_put(m->alloc, m->at, (m->cap + 1) * sizeof *m->at);
    *m = (mt_mapped){ .alloc = m->alloc, .wants_map = m->wants_map };
}

static mote_status reserve(mt_mapped *m, size_t more, mote_error *err)
{
    if (MT_LIKELY(more <= m->cap - m->n && (m->at || !m->wants_map) && m->p)) return MOTE_OK;
    if (more > MT_CUTS_TEXT_MAX - m->n)
        MT_FAIL(err, MOTE_EINVAL, "text has more than %d bytes when normalised",
                (int)MT_CUTS_TEXT_MAX);
    const size_t cap = MT_MAX(m->n + more, MT_MIN(MT_MAX(m->cap * 2, 256), MT_CUTS_TEXT_MAX));
    mt_mapped grown = { .alloc = m->alloc, .n = m->n, .cap = cap, .wants_map = m->wants_map,
                        .p = mt_get(m->alloc, cap, 1) };
    if (m->wants_map) grown.at = mt_get(m->alloc, (cap + 1) * sizeof *m->at, sizeof *m->at);
    if (!grown.p || (m->wants_map && !grown.at)) {
        mt_mapped_free(&grown);
        MT_FAIL(err, MOTE_ENOMEM, "no memory for a text of %zu bytes", cap);
    }
    if (m->n) memcpy(grown.p, m->p, m->n);
    if (m->n && m->at && grown.at) memcpy(grown.at, m->at, m->n * sizeof *m->at);
    mt_mapped_free(m);
    *m = grown;
    return MOTE_OK;
}

/* Appends n bytes that all came from one place; room is there. */
static void append(mt_mapped *m, const char *p, size_t n, size_t place)
{
    memcpy(m->p + m->n, p, n);
    if (m->at)
        for (size_t i = 0; i < n; i++) m->at[m->n + i] = (uint32_t)place;
    m->n += n;
}

/* ---- SentencePiece's normaliser ---------------------------------------------------------- */

/* What the text at p begins with, and the bytes it takes. */
static size_t take(const mt_spm_normal *s, const uint8_t *p, const uint8_t *end, mt_str *to)
{
    uint32_t code;
    size_t n = 0;
    if (s->user && mt_trie_match(s->user, p, end, &n) >= 0) {
        *to = (mt_str){ (const char *)p, n };
        return n;
    }
    n = mt_charsmap_longest(&s->map, p, end, to);
    if (n) return n;
    n = mt_utf8_char(p, end, &code);
    *to = n ? (mt_str){ (const char *)p, n } : (mt_str){ REPAIR, sizeof REPAIR - 1 };
    return n ? n : 1;
}

/* The bytes from p on that neither rules nor spaces nor user-defined pieces concern. */
static size_t plain_run(const mt_spm_normal *s, const uint8_t *p, const uint8_t *end)
{
    const uint8_t *q = p;
    const mt_trie *user = s->user;
    if (user && user->n_key) {
        while (q < end && s->map.plain[*q] && *q != ' ' && !mt_trie_step(user, 0, *q)) q++;
    } else {
        while (q < end && s->map.plain[*q] && *q != ' ') q++;
    }
    if (q < end && q > p && *q >= 0x80) q--;     /* a rule may begin in front of what is not ASCII */
    return (size_t)(q - p);
}

static mote_status append_space(const mt_spm_normal *s, mt_mapped *out, size_t place, mote_error *err)
{
    MT_TRY(reserve(out, N_SPACE, err));
    if (s->escape_spaces) append(out, SPACE, N_SPACE, place);
    else append(out, " ", 1, place);
    return MOTE_OK;
}

/* Appends what a rule gave, its spaces escaped. */
static mote_status append_escaped(const mt_spm_normal *s, mt_str to, mt_mapped *out, size_t place,
                                  mote_error *err)
{
    while (to.n) {
        const char *space = s->escape_spaces ? memchr(to.p, ' ', to.n) : NULL;
        const size_t n = space ? (size_t)(space - to.p) : to.n;
        MT_TRY(reserve(out, n, err));
        append(out, to.p, n, place);
        if (space) MT_TRY(append_space(s, out, place, err));
        to = (mt_str){ to.p + n + (space != NULL), to.n - n - (space != NULL) };
    }
    return MOTE_OK;
}

static mote_status normalize_from(const mt_spm_normal *s, const uint8_t *text, size_t at, size_t n,
                                  mt_mapped *out, mote_error *err)
{
    bool after_space = s->remove_extra_spaces;
    while (at < n) {
        mt_str to;
        size_t run = plain_run(s, text + at, text + n);
        if (run) {
            MT_TRY(reserve(out, run, err));
            memcpy(out->p + out->n, text + at, run);
            if (out->at)
                for (size_t i = 0; i < run; i++) out->at[out->n + i] = (uint32_t)(at + i);
            out->n += run;
            at += run;
            after_space = false;
            continue;
        }
        run = take(s, text + at, text + n, &to);
        while (after_space && to.n && *to.p == ' ') to.p++, to.n--;
        MT_TRY(append_escaped(s, to, out, at, err));
        if (to.n) after_space = to.p[to.n - 1] == ' ';
        if (!s->remove_extra_spaces) after_space = false;
        at += run;
    }
    return MOTE_OK;
}

/* Drops spaces at the end, those of the text itself included; the place behind what is left. */
static size_t drop_spaces(const mt_spm_normal *s, mt_mapped *out, size_t place)
{
    const char *space = s->escape_spaces ? SPACE : " ";
    const size_t n = s->escape_spaces ? N_SPACE : 1;
    while (out->n >= n && memcmp(out->p + out->n - n, space, n) == 0) {
        out->n -= n;
        if (out->at) place = out->at[out->n];
    }
    return place;
}

mote_status mt_spm_normalize(const mt_spm_normal *s, mt_str text, mt_mapped *out, mote_error *err)
{
    const uint8_t *p = (const uint8_t *)text.p;
    size_t at = 0, end = text.n;
    mt_str to;
    out->n = 0;
    if (text.n > MT_CUTS_TEXT_MAX)
        MT_FAIL(err, MOTE_EINVAL, "text has more than the %d bytes that can be normalised at once",
                (int)MT_CUTS_TEXT_MAX);
    MT_TRY(reserve(out, MT_MIN(text.n + N_SPACE, MT_CUTS_TEXT_MAX), err));
    while (s->remove_extra_spaces && at < text.n) {
        const size_t n = take(s, p + at, p + text.n, &to);
        if (!mt_str_is(to, " ")) break;
        at += n;
    }
    if (at == text.n) {
        if (out->at) out->at[0] = 0;
        return MOTE_OK;
    }
    if (s->use_dummy_prefix && !s->use_space_as_suffix) MT_TRY(append_space(s, out, at, err));
    MT_TRY(normalize_from(s, p, at, text.n, out, err));
    if (s->remove_extra_spaces) end = drop_spaces(s, out, text.n);
    if (s->use_dummy_prefix && s->use_space_as_suffix) MT_TRY(append_space(s, out, end, err));
    if (out->at) out->at[out->n] = (uint32_t)end;
    return MOTE_OK;
}

/* SPDX-License-Identifier: MIT */
/* bpe_text.c - spelling a word in the vocabulary's characters.
 *
 * An unknown character is held back, so that those behind it can join it; as in the reference,
 * byte tokens do not push it out. */
#include "text/bpe_text.h"

#include <stdio.h>
#include <string.h>

#include "text/unicode.h"

enum { LONGEST_AFFIX = 64 };

typedef struct speller {
    const mt_bpe_text *t;
    int32_t  *id;
    uint32_t *len;
    size_t    n;
    bool      has_unk;
    uint32_t  unk_len;
} speller;

void mt_bpe_text_prepare(mt_bpe_text *t)
{
    char name[8];
    const mt_pieces *pieces = t->bpe.pieces;
    t->use_bytes = t->use_bytes && t->prefix.n <= LONGEST_AFFIX && t->suffix.n <= LONGEST_AFFIX;
    for (unsigned b = 0; b < 256; b++) {
        snprintf(name, sizeof name, "<0x%02X>", b);
        t->byte[b] = t->use_bytes ? mt_pieces_find(pieces, (const uint8_t *)name, 6) : -1;
    }
    for (unsigned c = 0; c < 128; c++) {
        const uint8_t byte = (uint8_t)c;
        t->ascii[c] = mt_pieces_find(pieces, &byte, 1);
    }
}

static void put(speller *s, int32_t id, uint32_t len)
{
    s->id[s->n] = id;
    s->len[s->n++] = len;
}

static void flush_unk(speller *s)
{
    if (s->has_unk) put(s, s->t->unk, s->unk_len);
    s->has_unk = false;
}

/* The character of n bytes at p with what belongs round it, in `out`; its bytes. */
static size_t dress(const mt_bpe_text *t, const uint8_t *p, size_t n, bool is_first, bool is_last, uint8_t *out)
{
    size_t to = 0;
    if (!is_first && t->prefix.n) memcpy(out, t->prefix.p, to = t->prefix.n);
    memcpy(out + to, p, n);
    to += n;
    if (is_last && t->suffix.n) memcpy(out + to, t->suffix.p, t->suffix.n), to += t->suffix.n;
    return to;
}

static bool spell_bytes(speller *s, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s->t->byte[p[i]] < 0) return false;
    for (size_t i = 0; i < n; i++) put(s, s->t->byte[p[i]], 1);
    return true;
}

static void spell_unknown(speller *s, const uint8_t *dressed, size_t n_dressed, size_t n)
{
    const mt_bpe_text *t = s->t;
    if (t->use_bytes && spell_bytes(s, dressed, n_dressed)) return;
    if (t->unk < 0) return;
    if (s->has_unk && t->fuses_unk) {
        s->unk_len += (uint32_t)n;
        return;
    }
    flush_unk(s);
    s->has_unk = true;
    s->unk_len = (uint32_t)n;
}

static void spell(speller *s, const uint8_t *p, const uint8_t *end)
{
    uint8_t dressed[4 + 2 * LONGEST_AFFIX];
    const mt_bpe_text *t = s->t;
    size_t len;
    for (const uint8_t *at = p; at < end; at += len) {
        mt_utf8_next(at, end, &len);
        const bool is_first = at == p, is_last = at + len == end;
        const bool is_plain = (is_first || !t->prefix.n) && (!is_last || !t->suffix.n);
        const size_t n = is_plain ? len : dress(t, at, len, is_first, is_last, dressed);
        const uint8_t *text = is_plain ? at : dressed;
        const int32_t id = is_plain && *at < 0x80 ? t->ascii[*at] : mt_pieces_find(t->bpe.pieces, text, n);
        if (id < 0) {
            spell_unknown(s, text, n, len);
            continue;
        }
        flush_unk(s);
        put(s, id, (uint32_t)len);
    }
    flush_unk(s);
}

bool mt_bpe_text_word(const mt_bpe_text *t, mt_str word, mt_bpe_text_work *w, mt_cuts *out)
{
    if (t->bpe.ignore_merges) {
        const int32_t self = mt_pieces_find(t->bpe.pieces, (const uint8_t *)word.p, word.n);
        if (self >= 0) return mt_cuts_put(out, self, 0, word.n);
    }
    const size_t most = word.n + t->prefix.n * word.n + t->suffix.n;     /* symbols, if all turn to bytes */
    const size_t cap = t->use_bytes ? most : word.n;
    speller s = { .t = t };
    s.id = mt_bpe_symbols(&w->bpe, cap);
    s.len = mt_room_get(&w->len, cap * sizeof *s.len);
    if (!s.id || !s.len) return false;
    spell(&s, (const uint8_t *)word.p, (const uint8_t *)word.p + word.n);
    const size_t n = mt_bpe_merge(&t->bpe, &w->bpe, s.id, s.len, s.n);
    size_t at = 0;
    if (!mt_cuts_reserve(out, n)) return false;
    for (size_t i = 0; i < n; at += s.len[i++])
        if (!mt_cuts_put(out, s.id[i], at, at + s.len[i])) return false;
    return true;
}

void mt_bpe_text_done(mt_bpe_text_work *w)
{
    mt_bpe_done(&w->bpe);
    mt_room_free(&w->len);
}

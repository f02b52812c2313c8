/* SPDX-License-Identifier: MIT */
/* wordpiece.c - greedy longest match.
 *
 * Most words are tokens, which one look into the hash table tells; the others walk down a trie, so
 * a word of n bytes costs n steps for each of its pieces at most. */
#include "text/wordpiece.h"

#include <string.h>

#include "text/unicode.h"

/* The tokens that can be found, as keys and ids; those without the prefix only, or the others
 * without theirs. */
static size_t list(const mt_pieces *pieces, mt_str prefix, bool is_tail, mt_str *key, int32_t *id)
{
    size_t n = 0;
    for (size_t i = 0; i < pieces->n; i++) {
        const mt_str s = mt_pieces_bytes(pieces, i);
        const bool has_prefix = s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
        if (s.n == 0 || s.n > MT_TRIE_LONGEST || (pieces->role[i] != MT_ROLE_ORDINARY && pieces->role[i] != MT_ROLE_BOTH))
            continue;
        if (is_tail && (!has_prefix || s.n == prefix.n)) continue;
        key[n] = is_tail ? (mt_str){ s.p + prefix.n, s.n - prefix.n } : s;
        id[n++] = (int32_t)i;
    }
    return n;
}

mote_status mt_wordpiece_init(mt_wordpiece *w, const mt_pieces *pieces, mt_str prefix, int32_t unk,
                              uint32_t most_chars, mt_arena *arena, mote_error *err)
{
    *w = (mt_wordpiece){ .pieces = pieces, .unk = unk, .most_chars = most_chars, .prefix = prefix.n };
    mt_arena lists;
    mt_arena_init(&lists, arena->alloc, 4096);
    mt_str *key = mt_arena_push_n(&lists, pieces->n, sizeof *key);
    int32_t *id = mt_arena_push_n(&lists, pieces->n, sizeof *id);
    mote_status status = key && id ? MOTE_OK : mt_fail(err, MOTE_ENOMEM, "no memory for %zu tokens", pieces->n);
    if (status == MOTE_OK) status = mt_trie_init(&w->head, key, id, list(pieces, prefix, false, key, id), arena, err);
    if (status == MOTE_OK) status = mt_trie_init(&w->tail, key, id, list(pieces, prefix, true, key, id), arena, err);
    mt_arena_reset(&lists);
    return status;
}

static bool is_too_long(const mt_wordpiece *w, mt_str word)
{
    if (word.n <= w->most_chars) return false;
    const uint8_t *p = (const uint8_t *)word.p, *end = p + word.n;
    size_t n = 0, len;
    for (; p < end && n <= w->most_chars; p += len, n++) mt_utf8_next(p, end, &len);
    return n > w->most_chars;
}

bool mt_wordpiece_word(const mt_wordpiece *w, mt_str word, mt_cuts *out)
{
    const uint8_t *p = (const uint8_t *)word.p, *end = p + word.n;
    const size_t start = out->n;
    if (is_too_long(w, word)) return mt_cuts_put(out, w->unk, 0, word.n);
    const int32_t self = mt_pieces_find(w->pieces, p, word.n);
    if (self >= 0) return mt_cuts_put(out, self, 0, word.n);
    for (const uint8_t *at = p; at < end; ) {
        size_t len;
        const int32_t id = mt_trie_match(at == p ? &w->head : &w->tail, at, end, &len);
        if (id < 0) {
            out->n = start;
            return mt_cuts_put(out, w->unk, 0, word.n);
        }
        if (!mt_cuts_put(out, id, (size_t)(at - p), (size_t)(at - p) + len)) return false;
        at += len;
    }
    return true;
}

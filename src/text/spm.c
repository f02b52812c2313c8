/* SPDX-License-Identifier: MIT */
/* spm.c - the merging of spm.h.
 *
 * A piece is found by its text in a hash table whose slots hold short texts themselves.  A part of
 * few characters is merged in place by looking for the best pair again and again; a long one is a
 * linked list and a heap of (score, place), where an entry whose pair has changed is skipped.
 * Where the vocabulary has unused pieces that merges can make, they are undone at the end the way
 * they were last made anywhere in the text, as the reference does; then nothing is cut apart. */
#include "text/spm.h"

#include <math.h>
#include <string.h>

#include "text/unicode.h"

enum {
    LONGEST_CHAIN = 1024,
    SHORT_PART = 32,             /* characters; above, the heap wins */
    LONG_TEXT = 4096,            /* bytes; from here on, parts seen before are remembered */
    LOG_WORDS = 12,              /* of the places where they are */
    WORD_BYTES = 16, WORD_SYMBOLS = 6,           /* of a part that is */
    ESCAPED = 0xFF               /* stands for U+2581 among neighbours; no byte of UTF-8 */
};
#define NONE UINT32_MAX

/* ---- pieces by text --------------------------------------------------------------- */

static uint64_t load(const uint8_t *p, size_t n)
{
    uint64_t value = 0;
    memcpy(&value, p, n);
    return value;
}

static uint64_t mix(uint64_t h)
{
    h *= 0x9E3779B97F4A7C15u;
    h = (h ^ h >> 32) * 0xD6E8FEB86659FD93u;
    return h ^ h >> 32;
}

/* Up to 8 bytes are the key themselves; of longer texts it is a hash. n >= 1 */
static uint64_t key_of(const uint8_t *p, size_t n)
{
    if (n >= 8) {
        uint64_t h = load(p, 8);
        if (n == 8) return h;
        for (h = mix(h ^ n), p += 8, n -= 8; n > 8; p += 8, n -= 8) h = mix(h ^ load(p, 8));
        return mix(h ^ load(p + n - 8, 8));      /* may overlap the eight before */
    }
    if (n >= 4) return load(p, 4) | load(p + n - 4, 4) << (8 * (n - 4));
    return p[0] | (uint64_t)p[n / 2] << (8 * (n / 2)) | (uint64_t)p[n - 1] << (8 * (n - 1));
}

static uint32_t slot_of(const mt_spm *s, uint64_t key, size_t n)
{
    return (uint32_t)((mix(key + n) & UINT32_MAX) * s->n_slot >> 32);
}

static bool is_here(const mt_spm *s, const mt_spm_slot *slot, uint64_t key, const uint8_t *p,
                    size_t n)
{
    return slot->key == key && slot->n == n && (n <= 8 || memcmp(s->token[slot->id].p, p, n) == 0);
}

/* The piece with this text; -1: none. */
static int32_t find(const mt_spm *s, const uint8_t *p, size_t n)
{
    if (n > s->longest) return -1;
    const uint64_t key = key_of(p, n);
    uint32_t i = slot_of(s, key, n);
    for (uint32_t chain = 0; chain <= s->chain && s->slot[i].id >= 0; chain++) {
        if (is_here(s, &s->slot[i], key, p, n)) return s->slot[i].id;
        i = i + 1 < s->n_slot ? i + 1 : 0;
    }
    return -1;
}

/* False: a chain longer than any honest vocabulary makes.  Of equal pieces the first counts. */
static bool insert(mt_spm *s, int32_t id)
{
    const uint8_t *p = (const uint8_t *)s->token[id].p;
    const size_t n = s->token[id].n;
    const uint64_t key = key_of(p, n);
    uint32_t i = slot_of(s, key, n), chain = 0;
    for (; s->slot[i].id >= 0; chain++) {
        if (chain == LONGEST_CHAIN) return false;
        if (is_here(s, &s->slot[i], key, p, n)) return true;
        i = i + 1 < s->n_slot ? i + 1 : 0;
    }
    s->slot[i] = (mt_spm_slot){ key, (uint32_t)n, id };
    s->chain = MT_MAX(s->chain, chain);
    s->longest = (uint32_t)MT_MAX(s->longest, n);
    return true;
}

/* ---- characters and neighbours ---------------------------------------------------------- */

static uint32_t char_size(const uint8_t *p, const uint8_t *end)
{
    uint32_t code;
    const size_t n = *p < 0x80 ? 1 : mt_utf8_char(p, end, &code);
    return n ? (uint32_t)n : 1;
}

static bool is_space(const uint8_t *p, uint32_t n)
{
    return n == 3 && p[0] == 0xE2 && p[1] == 0x96 && p[2] == 0x81;
}

/* What a character is to the neighbour on its right and on its left. */
static uint8_t left_class(const uint8_t *p, uint32_t n) { return is_space(p, n) ? ESCAPED : p[n - 1]; }
static uint8_t right_class(const uint8_t *p, uint32_t n) { return is_space(p, n) ? ESCAPED : *p; }

static void note_neighbours(mt_spm *s, mt_str piece)
{
    const uint8_t *p = (const uint8_t *)piece.p, *end = p + piece.n;
    unsigned left = 0;
    for (uint32_t n = 0, seen = 0; p < end; p += n, seen++) {
        n = char_size(p, end);
        const unsigned pair = left << 8 | right_class(p, n);
        if (seen) s->beside[pair >> 3] |= (uint8_t)(1u << (pair & 7));
        left = left_class(p, n);
    }
}

/* ---- opening ---------------------------------------------------------------------------- */

static bool is_piece(const mt_spm *s, size_t id)
{
    const uint8_t kind = s->kind[id];
    if (s->token[id].n == 0) return false;
    return kind == MT_TOKEN_NORMAL || kind == MT_TOKEN_USER || kind == MT_TOKEN_UNUSED;
}

/* True when some two neighbours join to this piece. */
static bool can_be_merged(const mt_spm *s, mt_str piece)
{
    const uint8_t *p = (const uint8_t *)piece.p, *end = p + piece.n;
    const uint32_t first = char_size(p, end);
    for (uint32_t cut = first; cut < piece.n; ) {
        const uint32_t next = char_size(p + cut, end);
        if ((cut == first || find(s, p, cut) >= 0) &&
            (cut + next == piece.n || find(s, p + cut, piece.n - cut) >= 0)) return true;
        cut += next;
    }
    return false;
}

static mote_status read_pieces(mt_spm *s, const mt_vocab *v, mote_error *err)
{
    for (size_t i = 0; i < v->n_token; i++) {
        const int32_t kind = v->kind ? v->kind[i] : MT_TOKEN_NORMAL;
        const bool is_known = kind >= MT_TOKEN_NORMAL && kind <= MT_TOKEN_BYTE;
        s->kind[i] = is_known ? (uint8_t)kind : MT_TOKEN_NORMAL;
        if (isnan(v->score[i]))
            MT_FAIL(err, MOTE_EFORMAT, "vocabulary: the score of token %zu is not a number", i);
        s->score[i] = v->score[i] + 0.0f;        /* -0 becomes 0: the heap compares bits */
        const int byte = mt_byte_piece(v->token[i]);
        if (byte >= 0 && (s->kind[i] == MT_TOKEN_BYTE || !v->kind)) s->byte[byte] = (int32_t)i;
        if (!is_piece(s, i)) continue;
        if (v->token[i].n > MT_TRIE_LONGEST)
            MT_FAIL(err, MOTE_EUNSUPPORTED, "vocabulary: token %zu has %zu bytes, the limit is %d", i,
                    v->token[i].n, (int)MT_TRIE_LONGEST);
        if (!insert(s, (int32_t)i))
            MT_FAIL(err, MOTE_EFORMAT, "vocabulary: token %zu is one of more than %d that collide", i,
                    (int)LONGEST_CHAIN);
        note_neighbours(s, v->token[i]);
    }
    for (size_t i = 0; i < v->n_token && !s->has_unused; i++)
        s->has_unused = s->kind[i] == MT_TOKEN_UNUSED && can_be_merged(s, v->token[i]);
    return MOTE_OK;
}

mote_status mt_spm_user(mt_trie *t, const mt_vocab *v, mt_arena *arena, mote_error *err)
{
    size_t n = 0, i = 0;
    for (size_t k = 0; v->kind && k < v->n_token; k++) n += v->kind[k] == MT_TOKEN_USER;
    mt_str *key = mt_get(arena->alloc, n * sizeof *key, _Alignof(mt_str));
    int32_t *id = mt_get(arena->alloc, n * sizeof *id, sizeof *id);
    mote_status status = MOTE_OK;
    for (size_t k = 0; key && id && i < n; k++) {
        if (v->kind[k] != MT_TOKEN_USER) continue;
        key[i] = v->token[k];
        id[i++] = (int32_t)k;
    }
    if (!key || !id) status = mt_fail(err, MOTE_ENOMEM, "no memory for %zu tokens", n);
    else status = mt_trie_init(t, key, id, n, arena, err);
    mt_put(arena->alloc, key, n * sizeof *key);
    mt_put(arena->alloc, id, n * sizeof *id);
    return status;
}

mote_status mt_spm_init(mt_spm *s, const mt_vocab *v, bool use_byte_fallback, mt_arena *arena,
                        mote_error *err)
{
    *s = (mt_spm){ .n_token = v->n_token, .token = v->token, .unk = v->unk,
                   .use_bytes = use_byte_fallback };
    if (v->n_token == 0 || v->n_token > INT32_MAX / 4)
        MT_FAIL(err, MOTE_EFORMAT, "vocabulary: %zu tokens cannot be", v->n_token);
    if (!v->score) MT_FAIL(err, MOTE_EFORMAT, "vocabulary: SentencePiece needs a score for each token");
    if (v->unk < -1 || (v->unk >= 0 && (size_t)v->unk >= v->n_token))
        MT_FAIL(err, MOTE_EFORMAT, "vocabulary: unknown token is %d, expected -1 or less than %zu",
                (int)v->unk, v->n_token);
    memset(s->byte, 0xFF, sizeof s->byte);
    s->n_slot = (uint32_t)(v->n_token * 8 / 5 + 1);
    s->score = mt_arena_push(arena, v->n_token * sizeof *s->score);
    s->kind = mt_arena_push(arena, v->n_token);
    s->slot = mt_arena_push(arena, s->n_slot * sizeof *s->slot);
    if (!s->score || !s->kind || !s->slot)
        MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu tokens", v->n_token);
    memset(s->slot, 0xFF, s->n_slot * sizeof *s->slot);
    MT_TRY(read_pieces(s, v, err));
    MT_TRY(mt_spm_user(&s->user, v, arena, err));
    for (unsigned byte = 0; byte < 256; byte++)
        s->first[byte] = mt_trie_step(&s->user, 0, (uint8_t)byte) != 0;
    return MOTE_OK;
}

/* ---- a text ----------------------------------------------------------------------------- */

/* A part and what it was merged to.  a, b: its first and last eight bytes, or key_of and 0. */
typedef struct word {
    uint64_t a, b;
    uint8_t  n, n_symbol, end[WORD_SYMBOLS];     /* n 0: none; ends of symbols, from the part's start */
    int32_t  id[WORD_SYMBOLS];                   /* -1: unknown */
} word;

typedef struct merger {
    const mt_spm *s;
    const uint8_t *text;
    uint32_t n;
    mt_spm_work *work;
    uint32_t *undo;              /* (n_token) bytes of the left half an unused piece was last made
                                  * of, 0: never; NULL where no unused piece can be made */
    word *word;                  /* (1 << LOG_WORDS), NULL: the text is short */
    mt_cutter cutter;
} merger;

/* The piece that [from, to) is, two neighbours that divide at `middle`; -1: none. */
static int32_t pair_of(merger *m, uint32_t from, uint32_t middle, uint32_t to)
{
    const int32_t id = find(m->s, m->text + from, to - from);
    m->work->steps++;
    if (m->undo && id >= 0 && m->s->kind[id] == MT_TOKEN_UNUSED) m->undo[id] = middle - from;
    return id;
}

/* Writes a symbol, unused pieces as what they were made of. */
static bool put(merger *m, uint32_t from, uint32_t to)
{
    uint32_t end[MT_TRIE_LONGEST];               /* of halves on the right that wait; each has a byte */
    size_t n_end = 0;
    for (;;) {
        const int32_t id = find(m->s, m->text + from, to - from);
        if (id >= 0 && m->undo && m->s->kind[id] == MT_TOKEN_UNUSED && m->undo[id]) {
            end[n_end++] = to;
            to = from + m->undo[id];
            continue;
        }
        if (!mt_cutter_put(&m->cutter, id >= 0 ? id : m->s->unk, from, to)) return false;
        if (n_end == 0) return true;
        from = to;
        to = end[--n_end];
    }
}

/* ---- short parts -------------------------------------------------------------------------- */

/* at[0, n]: where the part's characters begin, and its end; then the same of symbols, whose tokens
 * id[] takes.  Their number. */
static uint32_t merge_short(merger *m, uint32_t *at, int32_t *id, uint32_t n)
{
    int32_t pair[SHORT_PART];
    float score[SHORT_PART];                     /* of the pair (i, i + 1) */
    const float *of = m->s->score;
    memset(id, 0xFF, n * sizeof *id);            /* -1: a character still, not looked up */
    for (uint32_t i = 0; i + 1 < n; i++) {
        pair[i] = pair_of(m, at[i], at[i + 1], at[i + 2]);
        score[i] = pair[i] >= 0 ? of[pair[i]] : -INFINITY;
    }
    for (;;) {
        uint32_t best = NONE;
        for (uint32_t i = 0; i + 1 < n; i++)
            if (pair[i] >= 0 && (best == NONE || score[i] > score[best])) best = i;
        m->work->steps += n;
        if (best == NONE) break;
        n--;
        id[best] = pair[best];
        for (uint32_t i = best + 1; i < n; i++) {
            at[i] = at[i + 1];
            id[i] = id[i + 1];
            pair[i - 1] = pair[i];
            score[i - 1] = score[i];
        }
        at[n] = at[n + 1];
        for (uint32_t i = best ? best - 1 : 0; i <= best && i + 1 < n; i++) {
            pair[i] = pair_of(m, at[i], at[i + 1], at[i + 2]);
            score[i] = pair[i] >= 0 ? of[pair[i]] : -INFINITY;
        }
    }
    for (uint32_t i = 0; i < n; i++)
        if (id[i] < 0) id[i] = find(m->s, m->text + at[i], at[i + 1] - at[i]);
    return n;
}

/* Where a part would be remembered, and its key; NULL: nowhere. */
static word *word_of(const merger *m, uint32_t from, uint32_t to, word *key)
{
    const uint8_t *p = m->text + from;
    const uint32_t n = to - from;
    if (!m->word || n > WORD_BYTES) return NULL;
    *key = (word){ .a = n > 8 ? load(p, 8) : key_of(p, n), .b = n > 8 ? load(p + n - 8, 8) : 0,
                   .n = (uint8_t)n };
    return &m->word[mix(key->a ^ mix(key->b + n)) >> (64 - LOG_WORDS)];
}

static void remember(word *w, const word *key, const uint32_t *at, const int32_t *id, uint32_t n)
{
    if (n > WORD_SYMBOLS) return;
    *w = *key;
    w->n_symbol = (uint8_t)n;
    for (uint32_t i = 0; i < n; i++) {
        w->id[i] = id[i];
        w->end[i] = (uint8_t)(at[i + 1] - at[0]);
    }
}

/* Merges the part [at[0], at[n]). */
static bool short_part(merger *m, uint32_t *at, uint32_t n)
{
    int32_t id[SHORT_PART];
    const uint32_t from = at[0];
    word key, *w = word_of(m, from, at[n], &key);
    m->work->steps++;
    if (w && w->n == key.n && w->a == key.a && w->b == key.b) {
        for (uint32_t i = 0, last = 0; i < w->n_symbol; last = w->end[i++])
            if (!mt_cutter_put(&m->cutter, w->id[i] < 0 ? m->s->unk : w->id[i], from + last,
                               from + w->end[i])) return false;
        return true;
    }
    n = merge_short(m, at, id, n);
    if (w) remember(w, &key, at, id, n);
    for (uint32_t i = 0; i < n; i++)
        if (!mt_cutter_put(&m->cutter, id[i] < 0 ? m->s->unk : id[i], at[i], at[i + 1])) return false;
    return true;
}

/* ---- long parts ----------------------------------------------------------------------------- */

/* A symbol stands where its first character stood.  GONE is joined to the one on its left; FIXED is
 * a user-defined piece and its token. */
typedef struct long_part {
    merger   *m;
    uint64_t *heap;              /* (2 n) order of the score << 32 | place, a binary min-heap */
    uint32_t *at, *next, *prev;  /* (n) first byte; neighbours, NONE at the ends */
    int32_t  *pair;              /* (n) the piece made with the next symbol; -1: none */
    int32_t  *state;             /* (n) FREE, GONE or -3 - token */
    uint32_t  n, end;            /* symbols at first; last byte */
    size_t    n_heap;
} long_part;
enum { FREE = -1, GONE = -2 };
enum { LONG_BYTES = 2 * sizeof(uint64_t) + 5 * sizeof(uint32_t) };

static void heap_push(long_part *l, uint64_t entry)
{
    size_t i = l->n_heap++;
    while (i > 0 && l->heap[(i - 1) / 2] > entry) {
        l->heap[i] = l->heap[(i - 1) / 2];
        i = (i - 1) / 2;
        l->m->work->steps++;
    }
    l->heap[i] = entry;
}

static uint64_t heap_pop(long_part *l)
{
    const uint64_t top = l->heap[0], entry = l->heap[--l->n_heap];
    size_t i = 0;
    for (size_t down = 1; down < l->n_heap; down = 2 * i + 1) {
        if (down + 1 < l->n_heap && l->heap[down + 1] < l->heap[down]) down++;
        if (l->heap[down] >= entry) break;
        l->heap[i] = l->heap[down];
        i = down;
        l->m->work->steps++;
    }
    l->heap[i] = entry;
    return top;
}

/* Greater scores first: the order of floats as that of integers. */
static uint32_t order_of(float score)
{
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return bits >> 31 ? bits : ~bits & 0x7FFFFFFFu;
}

static uint32_t end_of(const long_part *l, uint32_t i)
{
    return l->next[i] == NONE ? l->end : l->at[l->next[i]];
}

static void consider(long_part *l, uint32_t i)
{
    const uint32_t right = l->next[i];
    l->pair[i] = -1;
    if (right == NONE || l->state[i] != FREE || l->state[right] != FREE) return;
    l->pair[i] = pair_of(l->m, l->at[i], l->at[right], end_of(l, right));
    if (l->pair[i] >= 0)
        heap_push(l, (uint64_t)order_of(l->m->s->score[l->pair[i]]) << 32 | i);
}

static void merge_list(long_part *l)
{
    for (uint32_t i = 0; i < l->n; i++) consider(l, i);
    while (l->n_heap) {
        const uint64_t entry = heap_pop(l);
        const uint32_t i = (uint32_t)entry, order = (uint32_t)(entry >> 32);
        if (l->state[i] == GONE || l->pair[i] < 0 || order_of(l->m->s->score[l->pair[i]]) != order)
            continue;
        const uint32_t right = l->next[i];
        l->state[right] = GONE;
        l->next[i] = l->next[right];
        if (l->next[i] != NONE) l->prev[l->next[i]] = i;
        if (l->prev[i] != NONE) consider(l, l->prev[i]);
        consider(l, i);
    }
}

static uint32_t user_at(const merger *m, uint32_t at, uint32_t to, int32_t *id)
{
    size_t n = 0;
    if (!m->s->first[m->text[at]]) return 0;
    *id = mt_trie_match(&m->s->user, m->text + at, m->text + to, &n);
    return *id < 0 ? 0 : (uint32_t)n;
}

/* Merges [from, to), user-defined pieces in it included. */
static bool merge_long(merger *m, uint32_t from, uint32_t to)
{
    size_t bytes;
    const size_t n = to - from;
    uint64_t *p = mt_mul_ok(n, LONG_BYTES, &bytes) ? mt_room_get(&m->work->room, bytes) : NULL;
    if (!p) return false;
    uint32_t *rest = (uint32_t *)(p + 2 * n);
    long_part l = { .m = m, .heap = p, .at = rest, .next = rest + n, .prev = rest + 2 * n,
                    .pair = (int32_t *)(rest + 3 * n), .state = (int32_t *)(rest + 4 * n), .end = to };
    for (uint32_t at = from, size; at < to; at += size) {
        int32_t id = 0;
        const uint32_t i = l.n++;
        size = user_at(m, at, to, &id);
        l.state[i] = size ? -3 - id : FREE;
        if (!size) size = char_size(m->text + at, m->text + to);
        l.at[i] = at;
        l.prev[i] = i ? i - 1 : NONE;
        l.next[i] = at + size < to ? i + 1 : NONE;
    }
    merge_list(&l);
    for (uint32_t i = 0; i != NONE; i = l.next[i]) {
        const bool done = l.state[i] == FREE ? put(m, l.at[i], end_of(&l, i))
                        : mt_cutter_put(&m->cutter, -3 - l.state[i], l.at[i], end_of(&l, i));
        if (!done) return false;
    }
    return true;
}

/* ---- cutting apart --------------------------------------------------------------------------- */

/* Merges the part that begins at `from` and is [from, to); at[0, n) are its first characters. */
static bool merge_part(merger *m, uint32_t *at, uint32_t n, uint32_t from, uint32_t to)
{
    if (from == to) return true;
    if (n > SHORT_PART) return merge_long(m, from, to);
    at[n] = to;
    return short_part(m, at, n);
}

static bool merge_parts(merger *m)
{
    const mt_spm *s = m->s;
    const uint8_t *text = m->text, *end = text + m->n;
    uint32_t at[SHORT_PART + 1], n = 0, from = 0;
    unsigned left = 0;
    for (uint32_t i = 0, size; i < m->n; i += size) {
        int32_t id;
        size = user_at(m, i, m->n, &id);
        if (size) {
            if (!merge_part(m, at, n, from, i) || !mt_cutter_put(&m->cutter, id, i, i + size))
                return false;
            from = i + size;
            n = 0;
            continue;
        }
        size = char_size(text + i, end);
        const unsigned pair = left << 8 | right_class(text + i, size);
        left = left_class(text + i, size);
        if (n && !(s->beside[pair >> 3] >> (pair & 7) & 1)) {
            if (!merge_part(m, at, n, from, i)) return false;
            from = i;
            n = 0;
        }
        if (n < SHORT_PART) at[n] = i;
        n++;
    }
    return merge_part(m, at, n, from, m->n);
}

bool mt_spm_encode(const mt_spm *s, mt_str text, mt_spm_work *w, mt_cuts *out)
{
    merger m = { .s = s, .text = (const uint8_t *)text.p, .n = (uint32_t)text.n, .work = w,
                 .cutter = { .out = out, .text = (const uint8_t *)text.p, .unk = s->unk,
                             .byte = s->use_bytes ? s->byte : NULL } };
    if (text.n == 0) return true;
    if (text.n > MT_CUTS_TEXT_MAX) return false;
    if (s->has_unused) {
        m.undo = mt_room_get(&w->undo, s->n_token * sizeof *m.undo);
        if (!m.undo) return false;
        memset(m.undo, 0, s->n_token * sizeof *m.undo);
        return merge_long(&m, 0, m.n) && mt_cutter_flush(&m.cutter);
    }
    if (m.n >= LONG_TEXT) {
        const size_t bytes = sizeof *m.word << LOG_WORDS;
        m.word = mt_room_get(&w->words, bytes);
        if (!m.word) return false;
        memset(m.word, 0, bytes);                /* another call may bring another vocabulary */
    }
    return merge_parts(&m) && mt_cutter_flush(&m.cutter);
}

void mt_spm_done(mt_spm_work *w)
{
    mt_room_free(&w->room);
    mt_room_free(&w->undo);
    mt_room_free(&w->words);
}

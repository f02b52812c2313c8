/* SPDX-License-Identifier: MIT */
/* pieces.c - decoding of the byte alphabet and the hash table from bytes to tokens.
 *
 * The table is asked once for every word of every text and three times for every merge at open,
 * so a slot holds a short token's bytes itself, and the hash reads eight bytes at a time (mt_hash
 * reads one).  A vocabulary built to collide is refused, not suffered. */
#include "text/pieces.h"

#include <string.h>

enum {
    LONGEST_CHAIN = 1024,        /* ordinary vocabularies stay below 100 */
    BLOCK = 32,                  /* tokens whose slots are called for together */
    NOT_A_BYTE = -1,
    ALPHABET_END = 256 + 68      /* 68 bytes have no printable character of their own number */
};
#define EMPTY UINT32_MAX

/* ---- the byte alphabet ---------------------------------------------------- */

/* The character's number to its byte: printable Latin-1 stands for itself, the other bytes
 * follow in ascending order from U+0100. */
static int byte_of(uint32_t code)
{
    if ((code >= 0x21 && code <= 0x7E) || (code >= 0xA1 && code <= 0xFF && code != 0xAD))
        return (int)code;
    if (code < 256 || code >= ALPHABET_END) return NOT_A_BYTE;
    const int i = (int)code - 256;
    if (i <= 32) return i;                       /* 0x00..0x20 */
    return i < 67 ? 0x7F + i - 33 : 0xAD;        /* 0x7F..0xA0, 0xAD */
}

size_t mt_piece_decode(mt_str stored, uint8_t *out)
{
    if (stored.n == 0) return 0;
    const uint8_t *p = (const uint8_t *)stored.p, *end = p + stored.n;
    uint8_t *to = out;
    while (p < end) {
        if (*p > 0x20 && *p < 0x7F) {
            *to++ = *p++;
            continue;
        }
        /* The alphabet needs no more than two bytes: U+00A1..U+0143. */
        if (end - p < 2 || *p < 0xC2 || *p > 0xC5 || (p[1] & 0xC0) != 0x80) return SIZE_MAX;
        const int byte = byte_of((*p & 0x1Fu) << 6 | (p[1] & 0x3Fu));
        if (byte == NOT_A_BYTE) return SIZE_MAX;
        *to++ = (uint8_t)byte;
        p += 2;
    }
    return (size_t)(to - out);
}

/* ---- bytes to token --------------------------------------------------------- */

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

/* n > 8: eight bytes at a time, the last eight may overlap those before. */
static uint64_t hash_long(const uint8_t *p, size_t n)
{
    uint64_t h = n;
    for (; n > 8; p += 8, n -= 8) h = mix(h ^ load(p, 8));
    return mix(h ^ load(p + n - 8, 8));
}

mt_piece_key mt_pieces_key(const mt_pieces *t, const uint8_t *p, size_t n)
{
    uint64_t key;
    if (n == 0) return (mt_piece_key){ 0, 0, 0 };
    if (n > 8) key = hash_long(p, n);
    else if (n == 8) key = load(p, 8);
    else if (n >= 4) key = load(p, 4) | load(p + n - 4, 4) << (8 * (n - 4));
    else key = p[0] | (uint64_t)p[n / 2] << (8 * (n / 2)) | (uint64_t)p[n - 1] << (8 * (n - 1));
    const uint64_t hash = n > 8 ? key : mix(key + n);
    const uint32_t slot = (uint32_t)((hash & UINT32_MAX) * t->n_slot >> 32);
    MT_PREFETCH(&t->slot[slot]);
    return (mt_piece_key){ key, (uint32_t)n, slot };
}

static bool is_here(const mt_pieces *t, uint32_t i, const mt_piece_key *k, const uint8_t *p)
{
    const mt_piece_slot *s = &t->slot[i];
    return s->key == k->key && s->n == k->n &&
           (k->n <= 8 || memcmp(t->bytes + t->offset[s->id], p, k->n) == 0);
}

int32_t mt_pieces_find_key(const mt_pieces *t, const mt_piece_key *k, const uint8_t *p)
{
    uint32_t i = k->slot;
    if (k->n == 0) return -1;
    for (uint32_t chain = 0; chain <= t->chain && t->slot[i].id != EMPTY; chain++) {
        if (is_here(t, i, k, p)) return (int32_t)t->slot[i].id;
        i = i + 1 < t->n_slot ? i + 1 : 0;
    }
    return -1;
}

int32_t mt_pieces_find(const mt_pieces *t, const uint8_t *p, size_t n)
{
    if (n == 0 || n > t->longest) return -1;
    const mt_piece_key k = mt_pieces_key(t, p, n);
    return mt_pieces_find_key(t, &k, p);
}

/* False: a chain longer than any honest vocabulary makes. */
static bool insert(mt_pieces *t, uint32_t id, const mt_piece_key *k)
{
    const uint8_t *p = t->bytes + t->offset[id];
    uint32_t i = k->slot, chain = 0;
    for (; t->slot[i].id != EMPTY; chain++) {
        if (chain == LONGEST_CHAIN) return false;
        if (is_here(t, i, k, p)) {
            t->n_twin++;
            return true;
        }
        i = i + 1 < t->n_slot ? i + 1 : 0;
    }
    t->slot[i] = (mt_piece_slot){ k->key, k->n, id };
    t->chain = MT_MAX(t->chain, chain);
    if (k->n == 1) t->of_byte[*p] = (int32_t)id;
    t->longest = MT_MAX(t->longest, k->n);
    return true;
}

/* ---- opening ---------------------------------------------------------------- */

static mote_status reserve(mt_pieces *t, const mt_vocab *v, mt_arena *arena, mote_error *err)
{
    size_t total = 0;
    for (size_t i = 0; i < v->n_token; i++)
        if (!mt_add_ok(total, v->token[i].n, &total) || total > UINT32_MAX)
            MT_FAIL(err, MOTE_EFORMAT, "vocabulary: tokens have more than 4 GiB together");
    t->n = v->n_token;
    t->n_slot = (uint32_t)(v->n_token * 8 / 5 + 1);
    t->bytes = mt_arena_push(arena, total);
    t->offset = mt_arena_push(arena, (t->n + 1) * sizeof *t->offset);
    t->slot = mt_arena_push(arena, t->n_slot * sizeof *t->slot);
    if (!t->bytes || !t->offset || !t->slot)
        MT_FAIL(err, MOTE_ENOMEM, "no memory for a vocabulary of %zu tokens", t->n);
    memset(t->slot, 0xFF, t->n_slot * sizeof *t->slot);
    memset(t->of_byte, 0xFF, sizeof t->of_byte);
    return MOTE_OK;
}

/* Writes the bytes of token id behind those before it. */
static void decode(mt_pieces *t, uint32_t id, mt_str stored)
{
    uint8_t *to = t->bytes + t->offset[id];
    size_t n = SIZE_MAX;
    if (t->role[id] == MT_ROLE_ORDINARY || t->role[id] == MT_ROLE_BOTH) {
        if (!t->is_text) n = mt_piece_decode(stored, to);
        if (n == SIZE_MAX && !t->is_text) t->role[id] = t->role[id] == MT_ROLE_BOTH ? MT_ROLE_USER : MT_ROLE_RAW;
    }
    if (n == SIZE_MAX) {
        n = stored.n;
        if (n) memcpy(to, stored.p, n);
    }
    t->offset[id + 1] = t->offset[id] + (uint32_t)n;
}

static bool is_found(const mt_pieces *t, uint32_t id)
{
    return t->role[id] == MT_ROLE_ORDINARY || t->role[id] == MT_ROLE_BOTH;
}

mote_status mt_pieces_init(mt_pieces *t, const mt_vocab *v, uint8_t *role, bool is_text, mt_arena *arena,
                           mote_error *err)
{
    mt_piece_key key[BLOCK];
    *t = (mt_pieces){ .role = role, .is_text = is_text };
    MT_TRY(reserve(t, v, arena, err));
    t->offset[0] = 0;
    for (uint32_t from = 0; from < t->n; from += BLOCK) {
        const uint32_t to = (uint32_t)MT_MIN(from + BLOCK, t->n);
        for (uint32_t id = from; id < to; id++) {
            decode(t, id, v->token[id]);
            const mt_str s = mt_pieces_bytes(t, id);
            key[id - from] = mt_pieces_key(t, (const uint8_t *)s.p, s.n);
        }
        for (uint32_t id = from; id < to; id++)
            if (key[id - from].n && is_found(t, id) && !insert(t, id, &key[id - from]))
                MT_FAIL(err, MOTE_EFORMAT, "vocabulary: token %u is one of more than %d that collide",
                        id, (int)LONGEST_CHAIN);
    }
    if (t->n_twin)
        mt_log(1, "vocabulary: %zu tokens repeat an earlier one; the first counts", t->n_twin);
    return MOTE_OK;
}

/* SPDX-License-Identifier: MIT */
/* pieces.c - decoding of the byte alphabet and the hash table from bytes to tokens.
 *
 * The table is asked once for every word of every text, so its hash reads eight bytes at a time
 * (mt_hash reads one) and a slot holds 32 more bits of it, which spares nearly all comparisons
 * with the wrong token.  A vocabulary built to collide is refused, not suffered. */
#include "text/pieces.h"

#include <string.h>

enum {
    LONGEST_CHAIN = 1024,        /* ordinary vocabularies stay below 100 */
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

/* n >= 1.  Up to 16 bytes are read as two words that may overlap. */
static uint64_t hash_bytes(const uint8_t *p, size_t n)
{
    const uint64_t k1 = 0x9E3779B97F4A7C15u, k2 = 0xD6E8FEB86659FD93u;
    uint64_t h = n * k2;
    while (n > 16) {
        h = (h ^ load(p, 8)) * k1;
        h ^= h >> 32;
        p += 8;
        n -= 8;
    }
    uint64_t a, b;
    if (n >= 8) {
        a = load(p, 8);
        b = load(p + n - 8, 8);
    } else if (n >= 4) {
        a = load(p, 4);
        b = load(p + n - 4, 4);
    } else {
        a = (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1];
        b = 0;
    }
    h = (h ^ a) * k1;
    h = (h ^ h >> 32 ^ b) * k2;
    return h ^ h >> 32;
}

static uint32_t slot_of(const mt_pieces *t, uint64_t hash)
{
    return (uint32_t)((hash & UINT32_MAX) * t->n_slot >> 32);
}

static bool is_piece(const mt_pieces *t, uint32_t id, const uint8_t *p, size_t n)
{
    const mt_str s = mt_pieces_bytes(t, id);
    return s.n == n && memcmp(s.p, p, n) == 0;
}

int32_t mt_pieces_find(const mt_pieces *t, const uint8_t *p, size_t n)
{
    if (n == 0 || n > t->longest) return -1;
    const uint64_t hash = hash_bytes(p, n);
    uint32_t i = slot_of(t, hash);
    for (uint32_t chain = 0; chain <= t->chain && t->slot[i].id != EMPTY; chain++) {
        if (t->slot[i].tag == (uint32_t)(hash >> 32) && is_piece(t, t->slot[i].id, p, n))
            return (int32_t)t->slot[i].id;
        i = i + 1 < t->n_slot ? i + 1 : 0;
    }
    return -1;
}

/* False: a chain longer than any honest vocabulary makes. */
static bool insert(mt_pieces *t, uint32_t id, size_t *n_twin)
{
    const mt_str s = mt_pieces_bytes(t, id);
    const uint8_t *p = (const uint8_t *)s.p;
    const uint64_t hash = hash_bytes(p, s.n);
    uint32_t i = slot_of(t, hash), chain = 0;
    for (; t->slot[i].id != EMPTY; chain++) {
        if (chain == LONGEST_CHAIN) return false;
        if (t->slot[i].tag == (uint32_t)(hash >> 32) && is_piece(t, t->slot[i].id, p, s.n)) {
            (*n_twin)++;
            return true;
        }
        i = i + 1 < t->n_slot ? i + 1 : 0;
    }
    t->slot[i] = (mt_piece_slot){ (uint32_t)(hash >> 32), id };
    t->chain = MT_MAX(t->chain, chain);
    if (s.n == 1) t->of_byte[*p] = (int32_t)id;
    t->longest = MT_MAX(t->longest, s.n);
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
    t->n_slot = (uint32_t)(v->n_token * 7 / 4 + 1);
    t->bytes = mt_arena_push(arena, total);
    t->offset = mt_arena_push(arena, (t->n + 1) * sizeof *t->offset);
    t->slot = mt_arena_push(arena, t->n_slot * sizeof *t->slot);
    if (!t->bytes || !t->offset || !t->slot)
        MT_FAIL(err, MOTE_ENOMEM, "no memory for a vocabulary of %zu tokens", t->n);
    memset(t->slot, 0xFF, t->n_slot * sizeof *t->slot);
    memset(t->of_byte, 0xFF, sizeof t->of_byte);
    return MOTE_OK;
}

mote_status mt_pieces_init(mt_pieces *t, const mt_vocab *v, uint8_t *role, mt_arena *arena,
                           mote_error *err)
{
    *t = (mt_pieces){ .role = role };
    MT_TRY(reserve(t, v, arena, err));
    uint32_t at = 0;
    size_t n_twin = 0;
    for (uint32_t id = 0; id < t->n; id++) {
        const mt_str stored = v->token[id];
        size_t n = SIZE_MAX;
        if (role[id] == MT_ROLE_ORDINARY) n = mt_piece_decode(stored, t->bytes + at);
        if (n == SIZE_MAX) {
            if (role[id] == MT_ROLE_ORDINARY) role[id] = MT_ROLE_RAW;
            n = stored.n;
            if (n) memcpy(t->bytes + at, stored.p, n);
        }
        t->offset[id] = at;
        at += (uint32_t)n;
        t->offset[id + 1] = at;
        if (role[id] == MT_ROLE_ORDINARY && n && !insert(t, id, &n_twin))
            MT_FAIL(err, MOTE_EFORMAT, "vocabulary: token %u is one of more than %d that collide",
                    id, (int)LONGEST_CHAIN);
    }
    if (n_twin) mt_log(1, "vocabulary: %zu tokens repeat an earlier one; the first counts", n_twin);
    return MOTE_OK;
}

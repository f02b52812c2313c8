/* SPDX-License-Identifier: MIT */
/* pieces.h - the bytes of every token, and the way back from bytes to the token.
 *
 * Byte-level vocabularies store bytes as printable characters; they are decoded once, at open.
 * Other vocabularies store text, which is taken as it is.
 * Only ordinary tokens can be found by their bytes: a control or user-defined token is reached
 * through specials.h alone, so no sequence of merges can produce one. */
#ifndef MT_PIECES_H
#define MT_PIECES_H

#include "text/text.h"

typedef enum mt_role {
    MT_ROLE_ORDINARY,            /* found by its bytes */
    MT_ROLE_RAW,                 /* its text is not in the byte alphabet: decodes, never encodes */
    MT_ROLE_USER,                /* matched as it stands, in any text */
    MT_ROLE_BOTH,                /* matched as it stands, and found by its bytes as well */
    MT_ROLE_CONTROL              /* matched in trusted text only */
} mt_role;

enum { MT_TOKENS_MAX = 1 << 21 };

/* Up to 8 bytes are the key themselves; of longer tokens it is their hash. */
typedef struct mt_piece_slot { uint64_t key; uint32_t n, id; } mt_piece_slot;

typedef struct mt_pieces {
    size_t    n, longest;        /* tokens; bytes of the longest ordinary one */
    uint8_t  *bytes;             /* all tokens behind one another */
    uint32_t *offset;            /* (n + 1) */
    uint8_t  *role;              /* (n) mt_role */
    mt_piece_slot *slot;         /* open addressing; id UINT32_MAX: empty */
    uint32_t  n_slot, chain;     /* chain: steps to the token farthest from its place */
    size_t    n_twin;            /* tokens with the bytes of an earlier one; never found */
    bool      is_text;           /* stored as text, not in the byte alphabet */
    int32_t   of_byte[256];      /* the token of a single byte, or -1 */
} mt_pieces;

/* role holds a role for each of v->n_token tokens and is kept; RAW is found here.  Everything lies
 * in the arena. */
mote_status mt_pieces_init(mt_pieces *t, const mt_vocab *v, uint8_t *role, bool is_text, mt_arena *arena,
                           mote_error *err);
/* The ordinary token with these bytes; -1: none.  Of several with the same bytes, the first. */
int32_t mt_pieces_find(const mt_pieces *t, const uint8_t *p, size_t n);

/* The same in two steps, so that many searches can wait for memory together: the key of n bytes,
 * which calls for the slot, and the search itself, which wants the bytes again. */
typedef struct mt_piece_key { uint64_t key; uint32_t n, slot; } mt_piece_key;
mt_piece_key mt_pieces_key(const mt_pieces *t, const uint8_t *p, size_t n);
int32_t      mt_pieces_find_key(const mt_pieces *t, const mt_piece_key *k, const uint8_t *p);

/* Decodes a stored piece into out (at least stored.n bytes); SIZE_MAX: not in the alphabet. */
size_t mt_piece_decode(mt_str stored, uint8_t *out);

MT_INLINE mt_str mt_pieces_bytes(const mt_pieces *t, size_t id)
{
    const uint32_t at = t->offset[id];
    return (mt_str){ (const char *)t->bytes + at, t->offset[id + 1] - at };
}

#endif

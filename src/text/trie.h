/* SPDX-License-Identifier: MIT */
/* trie.h - tokens found by the bytes a text begins with: a double array, read-only once built.
 *
 * The child of a unit for byte c is the unit at link ^ c, if that one says it belongs there. */
#ifndef MT_TRIE_H
#define MT_TRIE_H

#include "base/base.h"

/* link: base << 9 | is-in-use << 8 | the byte that leads here.  id: the token that ends here, -1 */
typedef struct mt_trie_unit { uint32_t link; int32_t id; } mt_trie_unit;
typedef struct mt_trie {
    mt_trie_unit *unit;          /* unit 0 is the root; n_unit is a multiple of 256 */
    uint32_t n_unit;
    uint32_t n_key, longest;     /* keys taken in; bytes of the longest, at most MT_TRIE_LONGEST */
} mt_trie;

enum { MT_TRIE_LONGEST = 1024 };

/* Key i stands for token id[i] (NULL: i); empty keys are left out; of equal keys the one that
 * comes first counts.  EUNSUPPORTED: a key longer than MT_TRIE_LONGEST, or 8 million units. */
mote_status mt_trie_init(mt_trie *t, const mt_str *key, const int32_t *id, size_t n,
                         mt_arena *arena, mote_error *err);

/* The unit one byte further; 0: none. */
MT_INLINE uint32_t mt_trie_step(const mt_trie *t, uint32_t at, uint8_t byte)
{
    const uint32_t next = t->unit[at].link >> 9 ^ byte;
    return (t->unit[next].link & 0x1FF) == (0x100u | byte) ? next : 0;
}

/* The longest token that p begins with; -1: none.  *len: its bytes. */
int32_t mt_trie_match(const mt_trie *t, const uint8_t *p, const uint8_t *end, size_t *len);

#endif

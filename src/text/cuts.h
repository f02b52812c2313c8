/* SPDX-License-Identifier: MIT */
/* cuts.h - tokens on their way out of an algorithm, each with the bytes of the input it stands for.
 *
 * The algorithms of spm.h, unigram.h and rwkv.h append to one list; cuts ascend, and together they
 * cover the input.  Several tokens may stand for one character: the byte tokens of byte fallback
 * have one byte each. */
#ifndef MT_CUTS_H
#define MT_CUTS_H

#include "text/trie.h"

typedef struct mt_cut { int32_t id; uint32_t from, to; } mt_cut;  /* input bytes [from, to) */
typedef struct mt_cuts {
    const mote_alloc *alloc;
    mt_cut *p;
    size_t  n, cap;
} mt_cuts;

enum { MT_CUTS_TEXT_MAX = 1 << 28 };             /* bytes of input that any algorithm takes */

bool mt_cuts_reserve(mt_cuts *c, size_t more);   /* false: no memory */
void mt_cuts_free(mt_cuts *c);

MT_INLINE bool mt_cuts_put(mt_cuts *c, int32_t id, size_t from, size_t to)
{
    if (MT_UNLIKELY(c->n == c->cap) && !mt_cuts_reserve(c, 1)) return false;
    c->p[c->n++] = (mt_cut){ id, (uint32_t)from, (uint32_t)to };
    return true;
}

/* The last step of every algorithm here: unknown characters in a row are one token, or a token for
 * each byte where byte fallback has them all. */
typedef struct mt_cutter {
    mt_cuts *out;
    const uint8_t *text;
    const mt_trie *whole;        /* a run that is one of these keys is its token; NULL: none */
    const int32_t *unit_token;   /* the token of a unit of it; NULL: the unit's id */
    const int32_t *byte;         /* (256) tokens of bytes, -1: none; NULL: no byte fallback */
    int32_t  unk;                /* -1: none, unknown characters are dropped */
    uint32_t from, to;           /* the run of unknown characters that is open; from == to: none */
} mt_cutter;
bool mt_cutter_flush(mt_cutter *c);              /* at the end; false: no memory */

/* False: no memory. */
MT_INLINE bool mt_cutter_put(mt_cutter *c, int32_t id, uint32_t from, uint32_t to)
{
    if (MT_UNLIKELY(id == c->unk)) {
        if (c->from == c->to) c->from = from;
        c->to = to;
        return true;
    }
    if (MT_UNLIKELY(c->from != c->to) && !mt_cutter_flush(c)) return false;
    return mt_cuts_put(c->out, id, from, to);
}

/* The byte that a piece like <0x0A> stands for; -1: it is no such piece. */
int mt_byte_piece(mt_str piece);

/* Memory of one call that grows, its contents lost; zeroed before first use but for alloc. */
typedef struct mt_room { const mote_alloc *alloc; void *p; size_t bytes; } mt_room;
void *mt_room_get(mt_room *r, size_t bytes);     /* NULL: no memory */
void  mt_room_free(mt_room *r);

#endif

/* SPDX-License-Identifier: MIT */
/* lookup.h - where did the end of this text stand before, and what followed it there?
 *
 * Four tables, for runs of 2, 3, 5 and 8 tokens, map a run to the place behind its last occurrence.
 * They hold hints only: every place is compared with the text itself before it is believed, so an
 * entry that another one displaced, or that a rewind left behind, costs a guess and never an error.
 * Memory is bounded by the context; a token costs a few multiplications. */
#ifndef MT_LOOKUP_H
#define MT_LOOKUP_H

#include "base/base.h"

enum { MT_LOOKUP_LEVELS = 4, MT_LOOKUP_LONGEST = 64 };

typedef struct mt_lookup {
    uint32_t *place;             /* (MT_LOOKUP_LEVELS, 1 << bits) 0: none; not owned */
    int bits;
    int n;                       /* runs that end at 1 .. n are in the tables */
} mt_lookup;

size_t mt_lookup_bytes(int n_ctx);
/* memory: mt_lookup_bytes(n_ctx) bytes, aligned for uint32_t; cleared here. */
void mt_lookup_init(mt_lookup *l, void *memory, int n_ctx);
void mt_lookup_keep(mt_lookup *l, int n);          /* the text was cut to n tokens, or to fewer than it knew */
/* The place, below n, behind the longest known occurrence of the end of t[0 .. n); 0: none.  *len:
 * how many tokens in front of it agree, MT_LOOKUP_LONGEST at most.  Takes in what of the text is new. */
int  mt_lookup_find(mt_lookup *l, const mote_token *t, int n, int *len);

#endif

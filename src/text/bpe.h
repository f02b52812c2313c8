/* SPDX-License-Identifier: MIT */
/* bpe.h - byte-pair merging: one word of bytes into token ids.
 *
 * A merge is a pair of ids with a rank; the pair with the lowest rank, and of equals the
 * leftmost, is joined first.  The table is read-only once built, apart from one byte per token
 * that remembers whether merging the token's own bytes gives the token back: a word that is such
 * a token needs no merging.  Threads may race to write that byte; they write the same value. */
#ifndef MT_BPE_H
#define MT_BPE_H

#include "text/pieces.h"

typedef struct mt_bpe {
    const mt_pieces *pieces;
    uint64_t *slot;              /* left 21 bits, right 21, rank 22; all ones: empty */
    uint32_t  n_slot, chain;     /* chain: steps to the merge farthest from its place */
    uint32_t *joined;            /* by rank: the token that results */
    atomic_uchar *whole;         /* by token: 0 not tried, else WHOLE_YES, WHOLE_NO */
    bool      ignore_merges;     /* a word that is a token is that token */
} mt_bpe;

/* What a vocabulary of text may ask for besides. */
typedef struct mt_bpe_spec {
    bool   ignore_merges;
    bool   is_strict;            /* a merge of tokens that the vocabulary lacks is an error */
    mt_str prefix;               /* stands in front of tokens that continue a word; merging drops it */
} mt_bpe_spec;
mote_status mt_bpe_init(mt_bpe *b, const mt_pieces *pieces, const mt_vocab *v, const mt_bpe_spec *spec,
                        mt_arena *arena, mote_error *err);

/* Ids on their way out: either the caller's memory, large enough for anything, or our own. */
typedef struct mt_ids {
    const mote_alloc *alloc;
    int32_t *p;
    mote_span *span;             /* (n) bytes of the text each stands for, with has_span */
    size_t   n, cap;
    bool     is_lent, has_span;
} mt_ids;
bool mt_ids_reserve(mt_ids *ids, size_t more);   /* false: no memory */
void mt_ids_free(mt_ids *ids);

/* Memory for words too long for the stack, kept from one to the next; free with mt_bpe_done. */
typedef struct mt_bpe_work {
    const mote_alloc *alloc;
    void  *p;
    size_t bytes, cap;           /* cap: symbols it is laid out for */
    size_t steps;                /* heap moves and pairs looked up: the proof of n log n */
} mt_bpe_work;
void mt_bpe_done(mt_bpe_work *w);

/* Memory for n symbols and for merging them; NULL: none. */
int32_t *mt_bpe_symbols(mt_bpe_work *w, size_t n);
/* Merges id[0, n), which mt_bpe_symbols(w, n or more) gave, in place; the number left.  len (NULL
 * allowed): bytes of each symbol, summed up where symbols are joined. */
size_t mt_bpe_merge(const mt_bpe *b, mt_bpe_work *w, int32_t *id, uint32_t *len, size_t n);

/* Appends the word's tokens; word.n >= 1.  A byte the vocabulary has no token for is dropped, as
 * the reference does.  False: no memory. */
bool mt_bpe_word(const mt_bpe *b, mt_str word, mt_bpe_work *w, mt_ids *ids);

#endif

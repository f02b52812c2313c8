/* SPDX-License-Identifier: MIT */
/* wordpiece.h - a word into the longest pieces from the left, or the unknown token as a whole. */
#ifndef MT_WORDPIECE_H
#define MT_WORDPIECE_H

#include "text/cuts.h"
#include "text/pieces.h"
#include "text/trie.h"

typedef struct mt_wordpiece {
    const mt_pieces *pieces;
    mt_trie  head, tail;         /* tokens that begin a word; those that go on, without their prefix */
    int32_t  unk;
    uint32_t most_chars;         /* of a word; longer ones are unknown */
    size_t   prefix;             /* bytes of the prefix */
} mt_wordpiece;

mote_status mt_wordpiece_init(mt_wordpiece *w, const mt_pieces *pieces, mt_str prefix, int32_t unk,
                              uint32_t most_chars, mt_arena *arena, mote_error *err);
/* Appends the word's tokens.  False: no memory. */
bool mt_wordpiece_word(const mt_wordpiece *w, mt_str word, mt_cuts *out);

#endif

/* SPDX-License-Identifier: MIT */
/* tiktoken.h - tiktoken's rank files: a line is a token in base64, a space, its rank.
 *
 * tiktoken joins the two neighbours whose joined bytes have the lowest rank.  That equals merging
 * by a list: when a token's turn comes, everything of lower rank inside it has been joined, so it
 * always arises from the same two parts, those that lower ranks alone leave of its bytes.  The
 * reader finds these parts and writes the list that bpe.h takes. */
#ifndef MT_TIKTOKEN_H
#define MT_TIKTOKEN_H

#include "text/text.h"

/* Fills v (model "gpt2", pre left empty, ignore_merges set: a word that is a token needs no merges)
 * with tokens in the printable alphabet, token i being rank i, and merges in rank order.  Ranks
 * may leave gaps: empty tokens, unused.  Everything lies in the arena.  EFORMAT names the line. */
mote_status mt_tiktoken_read(mt_vocab *v, mt_str file, mt_arena *arena, mote_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* bpe_text.h - byte-pair merging over characters, as vocabularies of text have it.
 *
 * A word is spelt in characters, each perhaps with a prefix (all but the first) or a suffix (the
 * last); what the vocabulary lacks becomes byte tokens, the unknown token, or nothing.  Then the
 * merges of bpe.h. */
#ifndef MT_BPE_TEXT_H
#define MT_BPE_TEXT_H

#include "text/bpe.h"
#include "text/cuts.h"

typedef struct mt_bpe_text {
    mt_bpe   bpe;
    mt_str   prefix, suffix;
    int32_t  byte[256];          /* with byte fallback: the token <0xHH>, or -1 */
    int32_t  unk;                /* -1: what is unknown vanishes */
    bool     use_bytes, fuses_unk;
    int32_t  ascii[128];         /* the token of a character alone, without prefix and suffix; -1 */
} mt_bpe_text;

/* The fields but for bpe are filled in; pieces hold text. */
void mt_bpe_text_prepare(mt_bpe_text *t);

typedef struct mt_bpe_text_work { mt_bpe_work bpe; mt_room len; } mt_bpe_text_work;
/* Appends the word's tokens.  False: no memory. */
bool mt_bpe_text_word(const mt_bpe_text *t, mt_str word, mt_bpe_text_work *w, mt_cuts *out);
void mt_bpe_text_done(mt_bpe_text_work *w);

#endif

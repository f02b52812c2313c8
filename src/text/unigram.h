/* SPDX-License-Identifier: MIT */
/* unigram.h - the unigram model: of all ways to cut a text into pieces, the one whose scores have
 * the greatest sum.
 *
 * One pass over the text; at each character a walk down the trie of pieces, at most as long as the
 * longest piece.  SentencePiece and `tokenizers` agree on the algorithm and differ in what can be
 * a piece and in how sums are rounded, so that close or equal sums may fall differently; the
 * caller says whom to follow. */
#ifndef MT_UNIGRAM_H
#define MT_UNIGRAM_H

#include "text/cuts.h"
#include "text/text.h"
#include "text/trie.h"

typedef enum mt_unigram_like {
    /* Normal and user-defined pieces; a user-defined one scores 0.1 a byte behind the first, more
     * than trained pieces; sums are rounded to float after each piece; the unknown costs the least
     * normal score - 10.  (As in version 0.2.3: before, user-defined pieces scored -0.1.) */
    MT_UNIGRAM_LIKE_SENTENCEPIECE,
    /* Every entry is a piece, whatever its kind, of equal ones the last; sums are double; the
     * unknown costs the least score of all - 10; a run of unknown characters is looked up once
     * more as a whole (the text <unk> is found so). */
    MT_UNIGRAM_LIKE_TOKENIZERS
} mt_unigram_like;

typedef struct mt_unigram_spec {
    const mt_vocab *vocab;       /* token, score, kind, unk; borrowed until init returns */
    const double *score;         /* n_token, in place of vocab->score, which may then be NULL */
    mt_unigram_like like;
    bool use_byte_fallback;      /* <0x00>..<0xFF> for the unknown, where the vocabulary has them */
} mt_unigram_spec;

typedef struct mt_unigram {
    mt_trie  trie;               /* its ids: the bits of the scores, when token is there */
    int32_t *token;              /* (trie.n_unit) the token of a unit; NULL: a score is no float */
    double  *score;              /* (n_token), as added; user-defined pieces have their bonus */
    int32_t  byte[256];          /* token of a byte; -1: no fallback */
    int32_t  unk;                /* -1: none, text that needs one is an error */
    double   unk_score;
    bool     is_double, use_bytes;
} mt_unigram;

/* EFORMAT: no vocabulary, no scores, a score that is no number, unk out of range. */
mote_status mt_unigram_init(mt_unigram *u, const mt_unigram_spec *s, mt_arena *arena,
                            mote_error *err);

typedef struct mt_unigram_work {
    mt_room room;                /* 16 bytes a byte of the longest undecided stretch; kept */
    size_t  steps;               /* units of the trie visited: the proof of linear time */
} mt_unigram_work;

/* Appends the tokens of text, which is normalised already (at most 2^28 bytes).  Unknown characters
 * in a row make one token; with byte fallback, a token for each byte.  Text that is not UTF-8 is
 * taken byte by byte.  EINVAL: an unknown character and no token for it. */
mote_status mt_unigram_encode(const mt_unigram *u, mt_str text, mt_unigram_work *w, mt_cuts *out,
                              mote_error *err);
void mt_unigram_done(mt_unigram_work *w);

#endif

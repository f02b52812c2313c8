/* SPDX-License-Identifier: MIT */
/* spm.h - byte-pair merging as SentencePiece does it (GGUF model "llama"): any two neighbours whose
 * joined text is a piece may merge, the greatest score first, of equals the leftmost.
 *
 * There is no split into words, so a merge could run anywhere; but a piece that spans a place
 * has two neighbouring characters there, and where no piece has those two the text falls apart.
 * Each part is merged alone: by scan when short, by heap when long. */
#ifndef MT_SPM_H
#define MT_SPM_H

#include "text/cuts.h"
#include "text/text.h"
#include "text/trie.h"

typedef struct mt_spm_slot { uint64_t key; uint32_t n; int32_t id; } mt_spm_slot;

typedef struct mt_spm {
    size_t   n_token;
    const mt_str *token;         /* borrowed from the vocabulary */
    float   *score;              /* (n_token) */
    uint8_t *kind;               /* (n_token) mt_token_kind */
    mt_spm_slot *slot;           /* pieces by text: normal, user-defined, unused */
    uint32_t n_slot, chain, longest;
    mt_trie  user;               /* user-defined pieces: units that never merge */
    uint8_t  first[256];         /* 1: a user-defined piece begins with this byte */
    uint8_t  beside[8192];       /* a bit for each pair of neighbours that some piece has */
    int32_t  byte[256];          /* token of a byte; -1: no fallback */
    int32_t  unk;                /* -1: none, such characters are dropped */
    bool     use_bytes, has_unused;              /* has_unused: some unused piece can be merged */
} mt_spm;

/* v: token, kind, score, unk; its strings must live as long as s.  Byte fallback needs all of
 * <0x00>..<0xFF>.  EFORMAT: no scores, or one that is no number. */
mote_status mt_spm_init(mt_spm *s, const mt_vocab *v, bool use_byte_fallback, mt_arena *arena,
                        mote_error *err);

/* A trie of v's user-defined pieces. */
mote_status mt_spm_user(mt_trie *t, const mt_vocab *v, mt_arena *arena, mote_error *err);

typedef struct mt_spm_work {
    mt_room room, undo, words;   /* kept between calls */
    size_t  steps;               /* heap moves, pairs and comparisons: the proof of n log n */
} mt_spm_work;

/* Appends the tokens of text, which is normalised already: spaces escaped, dummy prefix in its
 * place (at most 2^28 bytes).  Unknown characters in a row make one token; with byte fallback, a
 * token for each byte.  False: no memory. */
bool mt_spm_encode(const mt_spm *s, mt_str text, mt_spm_work *w, mt_cuts *out);
void mt_spm_done(mt_spm_work *w);

#endif

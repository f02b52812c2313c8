/* SPDX-License-Identifier: MIT */
/* pipe.h - what a tokenizer consists of; private to text/.
 *
 *   text -> added tokens -> normaliser -> added tokens again -> words -> model -> ids in a frame
 *
 * Some added tokens are found in the text as it is, some in the normalised text.  The openers
 * (vocabulary.c for plain vocabularies, tokenizer_json.c) fill mt_tokenizer and a recipe, assemble.c
 * builds the tables, tokenizer.c encodes, decode.c decodes. */
#ifndef MT_PIPE_H
#define MT_PIPE_H

#include "text/bpe_text.h"
#include "text/decode.h"
#include "text/norm.h"
#include "text/rwkv.h"
#include "text/specials.h"
#include "text/spm.h"
#include "text/unigram.h"
#include "text/wordpiece.h"
#include "text/words.h"

typedef enum mt_model_kind {
    MT_MODEL_BYTES,              /* byte-level BPE: words are bytes, whatever the alphabet */
    MT_MODEL_BPE, MT_MODEL_WORDPIECE, MT_MODEL_WORDLEVEL, MT_MODEL_UNIGRAM, MT_MODEL_SPM, MT_MODEL_RWKV
} mt_model_kind;

enum {                           /* how an added token is found */
    MT_ADDED_LSTRIP = 1, MT_ADDED_RSTRIP = 2, MT_ADDED_SINGLE_WORD = 4, MT_ADDED_NORMALIZED = 8,
    MT_ADDED_SPECIAL = 16
};
typedef struct mt_added { mt_str text; int32_t id; uint8_t flags; bool is_in_model; } mt_added;

enum { MT_MOST_ENDS = 64, MT_MOST_FRAME = 8 };

struct mt_tokenizer {
    mt_arena     arena;
    mt_vocab     vocab;          /* its arrays are the caller's or in the arena */
    mt_chars     chars;
    mt_traits   *traits;         /* NULL: nobody asks */
    uint8_t     *role;           /* (n_token) mt_role */
    mt_pieces    pieces;
    const uint8_t *flag;         /* (n_token) MT_ADDED_*, or NULL: none has any */
    mt_special  *special;        /* all added tokens as written */
    size_t       n_special;
    mt_specials  raw, normal;    /* found before and behind normalising */
    mt_norm     *norm;
    size_t       n_norm;
    mt_words_op *words;
    size_t       n_words;
    mt_pattern  *pattern;        /* all there are, to be freed */
    mt_model_kind model;
    union {
        mt_bpe bytes;
        mt_bpe_text bpe;
        mt_wordpiece wordpiece;
        struct { int32_t unk; } wordlevel;
        mt_unigram unigram;
        mt_spm spm;
        mt_rwkv rwkv;
    } as;
    int32_t prefix[MT_MOST_FRAME], suffix[MT_MOST_FRAME];    /* what the model's own tokenizer puts round a text */
    size_t  n_prefix, n_suffix;
    bool    has_one_bos;         /* a text that begins with bos gets no other; likewise eos */
    bool    trims, trims_but_prefix;     /* spans leave out white space; but for a space put in front */
    bool    drops_first_space;   /* SentencePiece: the prefix space also where nothing is left to drop */
    const mt_str *decoded;       /* (n_token) what decoding begins with: tokens as stored, added ones normalised */
    mt_decode *decode;
    size_t     n_decode;
    bool       joins_by_space;   /* no decoder at all */
    char      *shown;            /* every token's bytes in the middle of a text; NULL: pieces has them */
    uint32_t  *shown_at;         /* (n_token + 1) */
    size_t  n_end;
    int32_t end[MT_MOST_ENDS];   /* tokens that end a turn or a text */
};

/* What assemble.c needs to know besides the fields above that the opener fills: arena, vocab, norm,
 * words, frame, decode, model. */
typedef struct mt_recipe {
    const mt_added *added;       /* in order of their ids' assignment */
    size_t   n_added;
    bool     is_text;            /* pieces are text, not the byte alphabet */
    bool     is_strict;
    bool     ignore_merges, fuses_unk, use_bytes;
    mt_str   prefix, suffix;     /* BPE: affixes; WordPiece: prefix */
    uint32_t most_chars;
    const double *score;         /* UNIGRAM, from JSON */
    bool     is_like_sentencepiece;
    const int32_t *end;          /* further tokens that end a text */
    size_t   n_end;
} mt_recipe;
mote_status mt_tokenizer_assemble(mt_tokenizer *t, const mt_recipe *r, mote_error *err);
/* Encodes one text behind the ids that are there; on failure they may have grown, and are still the caller's. */
mote_status mt_tokenizer_append(const mt_tokenizer *t, mt_segment text, unsigned flags, mt_ids *ids, mote_error *err);
mt_tokenizer *mt_tokenizer_new(const mote_alloc *alloc, size_t block_bytes, mote_error *err);
/* Is this a name under which models publish the end of a turn or a text?  *is_sure: nobody writes it
 * by accident. */
bool mt_is_end_name(mt_str name, bool *is_sure);

#endif

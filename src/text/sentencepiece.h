/* SPDX-License-Identifier: MIT */
/* sentencepiece.h - `.model` files: a strict reader of their protobuf, and a whole tokenizer.
 *
 * The file is hostile: a varint has at most 10 bytes, a length never exceeds what is left, groups
 * are refused, fields we do not know are skipped.  Pieces stay where they are; only tables are
 * allocated. */
#ifndef MT_SENTENCEPIECE_H
#define MT_SENTENCEPIECE_H

#include "text/charsmap.h"
#include "text/spm.h"
#include "text/unigram.h"

typedef enum mt_sp_model {
    MT_SP_UNIGRAM = 1, MT_SP_BPE = 2, MT_SP_WORD = 3, MT_SP_CHAR = 4
} mt_sp_model;

typedef struct mt_sp_rules {     /* what the file calls normalizer_spec and denormalizer_spec */
    mt_str charsmap;             /* as in charsmap.h; empty: no rules */
    bool use_dummy_prefix, remove_extra_spaces, escape_spaces;
} mt_sp_rules;

typedef struct mt_sp_file {      /* everything points into the file's bytes or the arena */
    mt_vocab vocab;              /* model "t5" for unigram, "llama" for BPE; ids -1 where absent;
                                  * add_bos, add_eos false: the file does not say */
    mt_sp_model model;
    bool use_byte_fallback, use_space_as_suffix;
    mt_str unk_surface;          /* what decoding shows for the unknown token */
    mt_sp_rules normal, decode;  /* decode counts only with a charsmap */
} mt_sp_file;

/* EFORMAT: damaged, or what SentencePiece refuses too (an empty piece, no unknown, bytes missing).
 * Of equal pieces the first counts.  Word and character models are EUNSUPPORTED. */
mote_status mt_sp_read(mt_sp_file *f, mt_str bytes, mt_arena *arena, mote_error *err);

/* ---- the whole: read-only once open, shared by threads ------------------------ */
typedef struct mt_sp {           /* points into itself: it stays where it was made */
    mt_sp_file file;
    mt_spm_normal normal, decode;
    mt_trie    user;
    union { mt_unigram unigram; mt_spm spm; } as;    /* by file.model */
} mt_sp;
mote_status mt_sp_init(mt_sp *s, mt_str bytes, mt_arena *arena, mote_error *err);

typedef struct mt_sp_work {
    mt_mapped normal;
    mt_unigram_work unigram;
    mt_spm_work spm;
} mt_sp_work;
void mt_sp_work_init(mt_sp_work *w, const mote_alloc *alloc);
void mt_sp_work_free(mt_sp_work *w);

/* Normalises and encodes; appends cuts of the text as given.  No bos, no eos. */
mote_status mt_sp_encode(const mt_sp *s, mt_str text, mt_sp_work *w, mt_cuts *out, mote_error *err);

/* ---- decoding ------------------------------------------------------------------ */
/* What it needs to know: from the file, or from a GGUF's keys. */
typedef struct mt_sp_decoder {
    const mt_vocab *vocab;       /* token and kind */
    mt_str unk_surface;
    bool use_dummy_prefix;       /* one U+2581 in front is dropped ... */
    bool remove_extra_spaces;    /* ... or all of them, token by token, until there is text */
    bool repairs;                /* bytes that are not UTF-8 become U+FFFD, as the reference has it;
                                  * else they stay what they are */
} mt_sp_decoder;
/* Appends the text of ids: U+2581 is a space, byte tokens are joined, control tokens are silent.
 * EINVAL: an id out of range. */
mote_status mt_sp_decode_ids(const mt_sp_decoder *d, const int32_t *id, size_t n, mt_buf *out,
                             mote_error *err);
mote_status mt_sp_decode(const mt_sp *s, const int32_t *id, size_t n, bool repairs, mt_buf *out,
                         mote_error *err);
#endif

/* SPDX-License-Identifier: MIT */
/* vocab_json.h - a vocabulary between its two published forms: tokenizer.json of a Hugging Face folder
 * and tokenizer.ggml.* of a GGUF file. */
#ifndef MT_VOCAB_JSON_H
#define MT_VOCAB_JSON_H

#include "file/gguf_write.h"

/* The text of a tokenizer.json that gives the ids that s asks for.  EUNSUPPORTED names the model or
 * pre-tokenizer; EFORMAT: the vocabulary contradicts itself. */
mote_status mt_vocab_to_json(const mt_source *s, mt_buf *out, mote_error *err);
/* Adds tokenizer.ggml.* of a tokenizer.json, with unused tokens up to n_row, the rows of weights; config:
 * tokenizer_config.json, or empty.  EUNSUPPORTED names what GGUF has no words for. */
mote_status mt_vocab_from_json(mt_writer *w, mt_str tokenizer, mt_str config, size_t n_row, mote_error *err);

/* ---- what both directions share --------------------------------------------------------------- */

/* Strings as JSON writes them, quoted. */
bool mt_json_quote(mt_buf *b, mt_str s);
bool mt_json_is_utf8(mt_str s);

/* How byte-level BPE cuts text before merging, by the name that GGUF gives it. */
typedef struct mt_pre_rule {
    const char *name;
    const char *expression;      /* a Split in front of ByteLevel; NULL: ByteLevel's own pattern */
    bool has_digits;             /* digits alone, in front */
    bool has_nfc, ignores_merges, adds_bos;
} mt_pre_rule;
/* The last row's name is NULL.  The first of those that do the same is the one to write. */
extern const mt_pre_rule mt_pre_rules[];

#endif

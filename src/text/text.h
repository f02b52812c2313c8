/* SPDX-License-Identifier: MIT */
/* text.h - text to token ids and back, and the template that turns a chat into text.
 *
 * This layer knows no file format: api/ fills mt_vocab from whatever the model came in. */
#ifndef MT_TEXT_H
#define MT_TEXT_H

#include "base/base.h"

/* ---- vocabulary: plain data, borrowed until the tokenizer is closed -------- */
typedef enum mt_token_kind {     /* GGUF's token_type */
    MT_TOKEN_NORMAL = 1, MT_TOKEN_UNKNOWN = 2, MT_TOKEN_CONTROL = 3, MT_TOKEN_USER = 4,
    MT_TOKEN_UNUSED = 5, MT_TOKEN_BYTE = 6
} mt_token_kind;
typedef struct mt_vocab {
    mt_str model, pre;           /* "gpt2", "smollm": tokenizer.ggml.model and .pre */
    size_t n_token;
    const mt_str  *token;        /* pieces as stored (byte-level BPE: printable alphabet) */
    const int32_t *kind;         /* n_token mt_token_kind, or NULL: all normal */
    const float   *score;        /* n_token, or NULL */
    size_t n_merge;
    const mt_str  *merge;        /* "left right" in rank order */
    const uint32_t *merge_cut;   /* n_merge places of the space, or NULL: each has one only */
    int32_t bos, eos, eot, unk, pad;  /* -1: none */
    int32_t cls, sep, mask;      /* of encoders; -1: none, bos and eos serve */
    bool add_bos, add_eos, ignore_merges;
    bool add_space_prefix, remove_extra_spaces;      /* models "llama" and "t5" */
    bool lowercase;              /* model "bert": lower case, no accents */
    mt_str charsmap;             /* compiled normaliser, or empty */
} mt_vocab;

/* ---- tokenizer --------------------------------------------------------------- */
/* Sets the flags to what models with v->model and v->pre do; what the file says about them comes on
 * top. */
void mt_vocab_defaults(mt_vocab *v);

typedef struct mt_tokenizer mt_tokenizer;        /* read-only once open; shared by threads */
/* EUNSUPPORTED names the model or pre-tokenizer it does not know. */
mote_status mt_tokenizer_open(mt_tokenizer **out, const mt_vocab *v, const mote_alloc *alloc,
                              mote_error *err);
void        mt_tokenizer_close(mt_tokenizer *t);

/* The texts of a Hugging Face folder's files; those but the first may be empty. */
typedef struct mt_tokenizer_files { mt_str tokenizer, config, special_tokens; } mt_tokenizer_files;
/* Opens tokenizer.json; the texts may go afterwards.  EFORMAT: damaged; EUNSUPPORTED names the
 * construct.  Truncation and padding are the caller's business and are ignored. */
mote_status mt_tokenizer_open_json(mt_tokenizer **out, const mt_tokenizer_files *f, const mote_alloc *alloc,
                                   mote_error *err);
/* As opened: from a vocabulary the caller's own arrays, from tokenizer.json tokens and ids, which live
 * as long as the tokenizer. */
const mt_vocab *mt_tokenizer_vocab(const mt_tokenizer *t);
/* Makes a token end a text as well, before the tokenizer is shared; ids out of range are ignored. */
void        mt_tokenizer_add_end(mt_tokenizer *t, int32_t id);
/* Should a rendered chat be encoded with MOTE_TEXT_BOS?  With tokenizer.json the template has it all. */
bool        mt_tokenizer_chat_has_bos(const mt_tokenizer *t);

/* Does decoding leave out the space that stands in front of a text's first token? */
bool        mt_tokenizer_drops_space(const mt_tokenizer *t);

/* A text made of segments.  Special tokens are recognised only in trusted segments; ordinary
 * merging sees the segments' concatenation between special tokens. */
typedef struct mt_segment { mt_str text; bool is_trusted; } mt_segment;
/* flags: MOTE_TEXT_BOS, MOTE_TEXT_EOS.  Text over 16 MiB is EINVAL.  Sizing rule of mote.h.  Invalid UTF-8 is
 * encoded byte by byte as the reference library treats it; nothing is lost in a round trip. */
mote_status mt_tokenizer_encode(const mt_tokenizer *t, const mt_segment *seg, size_t n_seg,
                                unsigned flags, int32_t *out, size_t cap, size_t *n, mote_error *err);
/* The same with the bytes of the text that each token stands for: through all that normalising does,
 * from the first original character to the last one, also where a token is part of a character.
 * Tokens put round the text stand for (0, 0).  span has room for cap. */
mote_status mt_tokenizer_encode_spans(const mt_tokenizer *t, const mt_segment *seg, size_t n_seg, unsigned flags,
                                      int32_t *out, mote_span *span, size_t cap, size_t *n, mote_error *err);
/* Many texts at once, shared among the pool's threads: ids (and spans, unless NULL) behind one another, those of
 * text i up to out[end[i]].  What comes out does not depend on the threads; of several errors the first
 * text's is told.  end is written on success only. */
mote_status mt_tokenizer_encode_many(const mt_tokenizer *t, mt_pool *pool, const mote_text *text, size_t n_text,
                                     unsigned flags, int32_t *out, mote_span *span, size_t cap, size_t *end, size_t *n,
                                     mote_error *err);
/* Appends the text of ids.  flags: MOTE_TEXT_SPECIAL shows control tokens.  EINVAL: an id out of range. */
mote_status mt_tokenizer_decode(const mt_tokenizer *t, const int32_t *id, size_t n, unsigned flags, mt_buf *out,
                                mote_error *err);
/* The bytes a token stands for in the middle of a text; NULL for an id out of range.  *is_special: a control token, which
 * decoding shows only when asked. */
const char *mt_tokenizer_bytes(const mt_tokenizer *t, int32_t id, size_t *len, bool *is_special);
int32_t     mt_tokenizer_find(const mt_tokenizer *t, mt_str piece); /* as stored or special; -1 */
bool        mt_tokenizer_ends(const mt_tokenizer *t, int32_t id);   /* every known end-of-turn/text token */
size_t      mt_utf8_whole(const char *p, size_t n);

/* ---- chat template (Jinja) ----------------------------------------------------- */
typedef struct mt_template mt_template;
/* Parses once; source <= 1 MiB.  EFORMAT: a syntax error, with its line; EUNSUPPORTED: a construct we lack. */
mote_status mt_template_open(mt_template **out, mt_str source, const mote_alloc *alloc, mote_error *err);
void        mt_template_close(mt_template *t);
/* Renders with the variables of a JSON object (UTF-8).  Strings that come from the variables named in
 * `trusted` (NULL-terminated list, e.g. "bos_token") and from the template's own literals make trusted
 * segments; everything derived from other variables is untrusted.  The result lives in `arena`.
 * EINVAL: the template called raise_exception (its text is the message); EFULL: a budget, named. */
mote_status mt_template_render(const mt_template *t, const char *variables_json,
                               const char *const *trusted, mt_arena *arena,
                               mt_segment **out, size_t *n, mote_error *err);

#endif

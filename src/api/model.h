/* SPDX-License-Identifier: MIT */
/* model.h - what a mote_model is: the one place where all layers meet.  Private to api/. */
#ifndef MT_MODEL_H
#define MT_MODEL_H

#include "file/gguf_write.h"
#include "gen/engine.h"
#include "gen/sampler.h"
#include "text/text.h"

struct mote_model {
    const mote_alloc *alloc;
    mt_pool      *pool;
    mt_arena      arena;             /* net, vocabulary tables, texts */
    mt_source    *source;
    mt_kern       kern;
    mt_net        net;               /* n_weight 0 when opened for its vocabulary only */
    mt_weights   *weights;           /* NULL then */
    mt_vocab      vocab;
    mt_tokenizer *tokenizer;         /* NULL: the model has none we know; see tokenizer_error */
    mote_error    tokenizer_error;
    mt_template  *chat;              /* NULL: the model has none */
    mt_template  *chat_tools;        /* for chats with tools; NULL: the same */
    const char  **meta_text;         /* by metadata index */
    mote_model_info info;
};

/* Opens what lies at path, in our vocabulary; can_stay: what nobody here can run stays as it is. */
mote_status mt_model_source(mt_source **out, const char *path, bool can_stay, const mote_alloc *alloc,
                            mote_error *err);
/* The vocabulary that a GGUF file carries; its arrays are the source's or lie in the arena. */
mote_status mt_vocab_read(const mt_source *s, mt_arena *arena, mt_vocab *v, mote_error *err);
/* The other way: tokenizer.ggml.* of v, with unused tokens up to n_row.  What w is given may lie in the arena. */
mote_status mt_vocab_write(mt_writer *w, const mt_vocab *v, size_t n_row, mt_arena *arena, mote_error *err);
/* The vocabulary of a folder without tokenizer.json (vocab_files.c), from a file that says all: spiece.model, vocab.txt. */
mote_status mt_vocab_of_files(const mt_source *s, mt_arena *arena, mt_vocab *v, bool *is_found, mote_error *err);
/* From vocab.json and merges.txt: are they there, and the tokenizer.json that says the same. */
bool        mt_vocab_is_apart(const mt_source *s);
mote_status mt_vocab_join(const mt_source *s, mt_buf *out, mote_error *err);
/* Opens tokenizer and chat templates from whatever the source has (vocab.c).  A tokenizer that is not
 * supported is no error here: tokenizer_error keeps the reason. */
mote_status mt_model_open_text(mote_model *m, mote_error *err);

/* The model's tokenizer, or the reason why there is none. */
mote_status mt_model_tokenizer(const mote_model *m, const mt_tokenizer **out, mote_error *err);
/* Net and weights; those of a model opened with plan_only have no values: for measuring only. */
mote_status mt_model_parts(const mote_model *m, mt_parts *out, mote_error *err);

#endif

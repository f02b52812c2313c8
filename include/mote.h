/* SPDX-License-Identifier: MIT */
/* mote.h - run and measure small language models on this device.
 *
 *   mote_error err;
 *   mote_model *m;  mote_engine *e;  mote_session *s;  mote_sampler *p;
 *   if (mote_model_open(&m, "model.gguf", NULL, &err)) die(err.text);
 *   if (mote_engine_open(&e, m, NULL, &err))           die(err.text);
 *   if (mote_session_open(&s, e, &err))                die(err.text);
 *   if (mote_sampler_open(&p, m, NULL, &err))          die(err.text);
 *   mote_generate(s, p, "Once upon a time", 64, print_piece, NULL, NULL, &err);
 *
 * Handles are opaque.  A model is read-only once open and may be shared by threads.  An engine
 * batches many sessions; an engine and its sessions belong to one thread at a time.  Close in
 * the order sampler, session, engine, model, pool.  Nothing here exits, prints or keeps global
 * state, apart from the CPU limit and the log hook.
 *
 * Conventions: text is UTF-8 with a length, or terminated where the type is const char * alone.
 * An opts struct starts with its size; _init fills the defaults; NULL means the defaults.  Every
 * function that returns a mote_status takes err last: NULL allowed, untouched on success. */
#ifndef MOTE_H
#define MOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef MOTE_API
#define MOTE_API
#endif
#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors: a code to branch on, a sentence to show --------------------- */
typedef enum mote_status {
    MOTE_OK = 0,
    MOTE_ENOMEM,       /* an allocator said no                              */
    MOTE_EIO,          /* the operating system said no                      */
    MOTE_EFORMAT,      /* the file is damaged, or is not what it claims     */
    MOTE_EUNSUPPORTED, /* well formed, but not something we run             */
    MOTE_EINVAL,       /* the caller broke a documented rule                */
    MOTE_EFULL,        /* context or output buffer too small                */
    MOTE_ECANCELLED    /* mote_session_cancel, or a callback returned false */
} mote_status;
typedef struct mote_error { mote_status code; char text[252]; } mote_error;
MOTE_API const char *mote_status_name(mote_status code);   /* "MOTE_OK"; never NULL */

/* ---- the machine ---------------------------------------------------------- */
typedef struct mote_alloc {      /* both calls get the size: arenas want it */
    void *(*get)(void *user, size_t bytes, size_t align);  /* NULL: no memory */
    void  (*put)(void *user, void *p, size_t bytes);       /* p may be NULL */
    void *user;
} mote_alloc;
/* level: 0 error, 1 warning, 2 note, 3 detail.  line: one line, no newline. */
typedef void (*mote_log_fn)(void *user, int level, const char *line);
MOTE_API uint32_t    mote_version(void);                   /* major << 16 | minor << 8 | patch */
MOTE_API const char *mote_version_text(void);              /* "0.1.0 (commit, compiler)" */
MOTE_API const char *mote_cpu_name(void);                  /* levels in use: "x86-64 avx2 avx512" */
/* Takes CPU levels away from models opened afterwards: "scalar", "full", or one of
 * "avx2" "avxvnni" "avx512", "neon" "dotprod" "i8mm".  EINVAL for an unknown name, or one this machine lacks. */
MOTE_API mote_status mote_cpu_limit(const char *isa, mote_error *err);
MOTE_API void        mote_log_to(mote_log_fn fn, void *user);  /* NULL: silence, the default */

/* Threads, shared by any number of models; reference-counted, so close it when you like. */
typedef struct mote_pool mote_pool;
MOTE_API mote_status mote_pool_open(mote_pool **out, int n_threads, mote_error *err); /* 0: cores */
MOTE_API void        mote_pool_close(mote_pool *p);        /* NULL allowed, as in every close */

/* ---- model: file -> tensors, read-only, shared ----------------------------- */
typedef struct mote_model mote_model;
typedef struct mote_model_opts {
    size_t size;                 /* sizeof, set by _init: lets fields be added  */
    const mote_alloc *alloc;     /* NULL: the C library; must outlive the model */
    mote_pool *pool;             /* NULL: a private one of n_threads            */
    int  n_threads;              /* 0: the cores this process may use           */
    /* A folder for packed weights, or NULL.  The first open of a model packs its weights and writes
     * them there in the background (closing waits for the end of it); later opens map them, and
     * processes share the memory.  A file that is damaged or made from other weights is replaced;
     * what prevents it is a warning in the log, never an error.  See mote_cache_each. */
    const char *cache_dir;
    bool vocab_only;             /* tokenizer and metadata, no weights          */
    bool plan_only;              /* everything but the weights' values: to describe and measure, not to run */
} mote_model_opts;
typedef struct mote_model_info { /* strings live as long as the model */
    const char *family, *name, *quant, *licence;
    int64_t n_params;
    size_t  bytes_file, bytes_weights;   /* on disk; resident once packed */
    int n_layer, n_embd, n_head, n_head_kv, n_vocab, n_ctx_train, n_threads;
    int32_t start_token;         /* an encoder-decoder's answers start with it; -1: none */
    bool has_decoder, has_encoder, is_recurrent, has_chat_template;
    bool is_mapped;              /* the weights came packed from cache_dir */
} mote_model_info;
MOTE_API void        mote_model_opts_init(mote_model_opts *o);
MOTE_API mote_status mote_model_open(mote_model **out, const char *path,
                                     const mote_model_opts *o, mote_error *err);
MOTE_API void        mote_model_close(mote_model *m);
MOTE_API void        mote_model_describe(const mote_model *m, mote_model_info *out);
/* Metadata by key, as text; arrays as "[n values]".  NULL: absent.  Lives as long as the model. */
MOTE_API const char *mote_model_meta(const mote_model *m, const char *key);
/* Text for people: what = "metadata", "tensors", "types" (bytes by element type), "graph" or "plan"; for
 * programs: "metadata.json", "tensors.json", "types.json".  Sizing rule below. */
MOTE_API mote_status mote_model_print(const mote_model *m, const char *what, char *out,
                                      size_t cap, size_t *n, mote_error *err);

/* What a cache_dir holds, in no order; removing a file is safe at any time.  model: the path of the
 * model it was made from; NULL for one that is still being written, or is damaged. */
typedef struct mote_cache_item { const char *path, *model; uint64_t bytes; } mote_cache_item;
typedef bool (*mote_cache_fn)(void *user, const mote_cache_item *item);    /* false: stop */
MOTE_API mote_status mote_cache_each(const char *cache_dir, mote_cache_fn fn, void *user, mote_error *err);

/* ---- convert: one form of a model into another -------------------------------- */
typedef bool (*mote_progress_fn)(void *user, const char *what, double done);   /* 0 to 1; false: stop */
typedef struct mote_convert_opts {
    size_t size;
    const mote_alloc *alloc;     /* NULL: the C library */
    /* "f32", "f16" or "bf16" for every matrix; NULL: values as they are, or in f16 (bf16 where its range is
     * needed) if the target has no such type. */
    const char *type;
    size_t split_bytes;          /* of weights in one file, at most; 0: one file */
    mote_progress_fn progress;   /* NULL: none */
    void *user;
} mote_convert_opts;
MOTE_API void        mote_convert_opts_init(mote_convert_opts *o);
/* out ends in ".gguf": a GGUF file.  Else a folder as its family is published on Hugging Face.  Tokenizer
 * and chat template come along.  A file appears whole or not at all. */
MOTE_API mote_status mote_convert(const char *in, const char *out, const mote_convert_opts *o, mote_error *err);

/* ---- text <-> tokens -------------------------------------------------------- */
typedef int32_t mote_token;
enum {
    MOTE_TEXT_BOS = 1,           /* encode: put what the model's own tokenizer puts in front */
    MOTE_TEXT_EOS = 2,           /* encode: append what it puts behind */
    MOTE_TEXT_SPECIAL = 4        /* encode: recognise special tokens in the text; decode: show them */
};
/* Sizing rule for all calls that fill (out, cap): *n gets the full count even when cap is too
 * small; the status is then MOTE_EFULL and nothing is half written.  Text out is not terminated. */
MOTE_API mote_status mote_tokenize(const mote_model *m, const char *text, size_t len,
                                   unsigned flags, mote_token *out, size_t cap,
                                   size_t *n, mote_error *err);
/* The same with the bytes of the text that each token stands for, span[i] for out[i]: whole characters,
 * also where a token is part of one; what stands round the text has an empty span at 0. */
typedef struct mote_span { uint32_t from, to; } mote_span;           /* bytes [from, to) */
MOTE_API mote_status mote_tokenize_spans(const mote_model *m, const char *text, size_t len,
                                         unsigned flags, mote_token *out, mote_span *span,
                                         size_t cap, size_t *n, mote_error *err);
/* Many texts on the model's threads: out (and span, unless NULL) has the tokens of all of them behind one
 * another, those of text[i] up to out[end[i]].  end, n_text of them, is written on success. */
typedef struct mote_text { const char *p; size_t n; } mote_text;
MOTE_API mote_status mote_tokenize_many(const mote_model *m, const mote_text *text, size_t n_text, unsigned flags,
                                        mote_token *out, mote_span *span, size_t cap, size_t *end,
                                        size_t *n, mote_error *err);
MOTE_API mote_status mote_detokenize(const mote_model *m, const mote_token *t, size_t nt,
                                     unsigned flags, char *out, size_t cap,
                                     size_t *n, mote_error *err);
MOTE_API const char *mote_token_bytes(const mote_model *m, mote_token t, size_t *len); /* NULL: no such token */
MOTE_API mote_token  mote_token_named(const mote_model *m, const char *name);          /* -1: none */
MOTE_API bool        mote_token_ends(const mote_model *m, mote_token t);  /* ends a turn or a text */
/* Length of the longest prefix that does not cut a UTF-8 character; malformed bytes count as
 * whole.  For streams: print that much, keep the rest (at most 3 bytes). */
MOTE_API size_t      mote_utf8_whole(const char *bytes, size_t n);

/* A chat as the model's own template wants it.  Special tokens come only from the template:
 * the same characters in a message stay text. */
typedef struct mote_chat {
    size_t size;
    const char *messages;        /* JSON array of {"role": …, "content": …, …} */
    const char *tools;           /* JSON array, or NULL */
    const char *variables;       /* JSON object of further template variables, or NULL */
    const char *chat_template;   /* Jinja source in place of the model's, or NULL */
    bool no_reply;               /* do not open the assistant's turn */
} mote_chat;
MOTE_API void        mote_chat_init(mote_chat *c);
MOTE_API mote_status mote_chat_tokens(const mote_model *m, const mote_chat *c, mote_token *out,
                                      size_t cap, size_t *n, mote_error *err);
MOTE_API mote_status mote_chat_render(const mote_model *m, const mote_chat *c, char *out,
                                      size_t cap, size_t *n, mote_error *err);

/* ---- engine: memory and plan for many sessions ------------------------------ */
typedef struct mote_engine mote_engine;
typedef struct mote_engine_opts {
    size_t size;
    int n_ctx;                   /* tokens a session may hold; 0: min(4096, trained) */
    int n_batch;                 /* rows of one pass; 0: 256 */
    int n_session;               /* sessions open at once; 0: 1 */
    const char *kv_type;         /* "bf16" (default), "f16", "f32" or "q8" */
    bool exact;                  /* f32 activations and KV, weights as stored: slow, for comparison */
    /* Generating, a session guesses how its text goes on from where its end stood before, and proves
     * the guess in one pass, as long as that is faster.  The text is the same.  At most so many tokens
     * at a time: 0: 15, which is the most; -1: none. */
    int n_draft;
} mote_engine_opts;
MOTE_API void        mote_engine_opts_init(mote_engine_opts *o);
MOTE_API mote_status mote_engine_open(mote_engine **out, mote_model *m,
                                      const mote_engine_opts *o, mote_error *err);
MOTE_API void        mote_engine_close(mote_engine *e);
/* Bytes an engine with these options takes when every session is full; 0 for bad options. */
MOTE_API size_t      mote_engine_bytes(const mote_model *m, const mote_engine_opts *o);

/* Where the time goes, per stage of the plan; means over the threads, sums over the passes. */
typedef enum mote_op_kind { MOTE_OP_PRODUCT, MOTE_OP_ATTENTION, MOTE_OP_OTHER } mote_op_kind;
typedef struct mote_op_time {
    char name[64];               /* the weights' roles joined by "+", or the operation      */
    mote_op_kind kind;
    int  layer;                  /* -1: outside the layers                                  */
    uint64_t n_pass, n_row;
    double work_s, prepare_s, wait_s;    /* computing; norm and rounding of many rows; at barriers */
    double macs;                 /* multiply-adds of all passes                             */
    size_t weight_bytes;         /* of the packed weights that a pass reads                 */
} mote_op_time;
MOTE_API mote_status mote_engine_trace(mote_engine *e, bool on, mote_error *err);  /* on: from zero */
/* Fills out[0 .. min(cap, n)) and returns n, the number of stages; 0: not traced. */
MOTE_API int         mote_engine_times(const mote_engine *e, mote_op_time *out, int cap);

/* ---- session: one line of thought -------------------------------------------- */
typedef struct mote_session mote_session;
MOTE_API mote_status mote_session_open(mote_session **out, mote_engine *e, mote_error *err);
MOTE_API void        mote_session_close(mote_session *s);
MOTE_API int         mote_session_length(const mote_session *s);         /* tokens held */
MOTE_API const mote_token *mote_session_tokens(const mote_session *s);   /* until the next call */
/* A recurrent model reads what is kept once more at the next decode. */
MOTE_API mote_status mote_session_rewind(mote_session *s, int keep, mote_error *err);
MOTE_API mote_status mote_session_fork(mote_session **out, mote_session *s, mote_error *err);
MOTE_API void        mote_session_cancel(mote_session *s);   /* from any thread; ends the running call */

/* ---- forward pass -------------------------------------------------------------- */
typedef enum mote_want {
    MOTE_WANT_NONE = 0,
    MOTE_WANT_LAST,              /* logits of the last token              (1, n_vocab) */
    MOTE_WANT_ALL,               /* logits of every token                 (n, n_vocab) */
    MOTE_WANT_BEST,              /* the last token's arg-max only: mote_best           */
    MOTE_WANT_HIDDEN,            /* rows behind the final norm            (n, n_embd)  */
    MOTE_WANT_POOLED             /* encoders that pool: a row per text    (1, n_embd)  */
} mote_want;
typedef struct mote_step { mote_session *session; const mote_token *t; size_t n; mote_want want; } mote_step;
/* Appends n tokens (n >= 1) and computes what is wanted.  A long prompt runs in passes of
 * n_batch rows; WANT_ALL and WANT_HIDDEN take at most n_batch tokens.  EFULL: the context would
 * overflow, nothing changed.  ECANCELLED: the tokens of finished passes stay. */
MOTE_API mote_status  mote_decode(mote_session *s, const mote_token *t, size_t n, mote_want want,
                                  mote_error *err);
MOTE_API mote_status  mote_decode_many(const mote_step *steps, size_t n, mote_error *err);
/* Reads a whole text with the encoder, in one pass: at most n_batch and n_ctx tokens.  types: of each
 * token, NULL for all 0.  want: NONE, HIDDEN or POOLED.  A model with two stacks keeps what it read as
 * the text that the session answers, and forgets the tokens decoded so far; decode its start token
 * next.  An encoder alone keeps nothing.  Of many texts, each with a session of its own, as many as
 * fit travel in one pass, and HIDDEN takes n_batch tokens in all; types: NULL, or one per step, which
 * may be NULL. */
MOTE_API mote_status  mote_encode(mote_session *s, const mote_token *t, const mote_token *types, size_t n,
                                  mote_want want, mote_error *err);
MOTE_API mote_status  mote_encode_many(const mote_step *steps, const mote_token *const *types, size_t n,
                                       mote_error *err);
/* What the last decode or encode of this session wanted, row-major f32; valid until the engine's next pass. */
MOTE_API const float *mote_output(const mote_session *s, size_t *rows, size_t *cols);
MOTE_API mote_token   mote_best(const mote_session *s);      /* lowest id among equals; -1: no result */
/* Appends t[0..n) and gives ln p(t[i+1] | everything up to t[i]) for i in [0, n-1). */
MOTE_API mote_status  mote_measure(mote_session *s, const mote_token *t, size_t n,
                                   float *logprob, mote_error *err);

/* ---- sampling -------------------------------------------------------------------- */
typedef struct mote_sampler mote_sampler;
typedef struct mote_bias { mote_token token; float bias; } mote_bias;
typedef struct mote_sampler_opts {       /* a step at its neutral value is skipped */
    size_t   size;
    uint64_t seed;               /* same seed, same logits: same tokens */
    float temperature;           /* <= 0: greedy, needs neither sort nor softmax */
    int   top_k;                 /* 0: off */
    float top_p, min_p, typical_p;       /* 1, 0, 1: off */
    float repeat_penalty, frequency_penalty, presence_penalty;  /* 1, 0, 0: off */
    int   repeat_last_n;         /* window of the penalties; -1: everything */
    float dry_multiplier, dry_base; int dry_allowed_length, dry_last_n;  /* multiplier 0: off */
    const char *const *dry_breakers; size_t n_dry_breaker;  /* NULL: newline : " * */
    float xtc_probability, xtc_threshold;        /* probability 0: off */
    int   mirostat; float mirostat_tau, mirostat_eta;  /* 0 off, 2 = mirostat 2: replaces top_* */
    const mote_bias *bias; size_t n_bias;
    const char *order;           /* NULL: "bias,penalties,dry,top_k,typical_p,top_p,min_p,xtc,temperature" */
} mote_sampler_opts;
typedef bool (*mote_piece_fn)(void *user, const char *bytes, size_t len);  /* false: stop */
/* The defaults; m: the model's own recommended sampling on top, where its file has one (or NULL). */
MOTE_API void        mote_sampler_opts_init(mote_sampler_opts *o, const mote_model *m);
MOTE_API mote_status mote_sampler_open(mote_sampler **out, const mote_model *m,
                                       const mote_sampler_opts *o, mote_error *err);
MOTE_API void        mote_sampler_close(mote_sampler *p);
MOTE_API void        mote_sampler_accept(mote_sampler *p, mote_token t); /* it stands in the text */
MOTE_API void        mote_sampler_reset(mote_sampler *p);                /* forgets text and seed state */
/* Chooses from n_vocab logits and accepts the choice.  -1: no finite logit. */
MOTE_API mote_token  mote_sample(mote_sampler *p, const float *logits);

typedef enum mote_stop { MOTE_STOP_LENGTH, MOTE_STOP_END, MOTE_STOP_FULL, MOTE_STOP_CALLER } mote_stop;
typedef struct mote_stats {
    int n_prompt, n_cached, n_new;       /* tokens: given, of these already held, generated */
    double prompt_seconds, decode_seconds;
    mote_stop stop;
    int n_drafted, n_accepted;           /* tokens that were guessed, and of these the right ones */
} mote_stats;
/* Tokenizes the prompt, appends it, generates at most max_tokens; whole characters go to
 * on_piece (NULL allowed).  stats: NULL allowed. */
MOTE_API mote_status mote_generate(mote_session *s, mote_sampler *p, const char *prompt,
                                   int max_tokens, mote_piece_fn on_piece, void *user,
                                   mote_stats *stats, mote_error *err);
/* The same from tokens that state the whole text: the prefix the session already holds is kept,
 * what differs is dropped (the sampler then starts over: see mote_sampler_reset), the rest is
 * decoded.  The way to run a chat turn. */
MOTE_API mote_status mote_continue(mote_session *s, mote_sampler *p, const mote_token *t, size_t n,
                                   int max_tokens, mote_piece_fn on_piece, void *user,
                                   mote_stats *stats, mote_error *err);

#ifdef __cplusplus
}
#endif
#endif

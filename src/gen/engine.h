/* SPDX-License-Identifier: MIT */
/* engine.h - sessions, their pages, and passes that carry rows of many sessions at once.
 *
 * Keys and values live in pages of 16 positions with reference counts, so that a fork shares what it
 * has in common with its parent; a shared page is copied before it is written.  What an encoder leaves
 * for a session's decoder lies in further pages, written once and only shared.  A recurrent state
 * lies in the session's own block: it cannot go back, so a session that is rewound reads its text
 * again at its next decode.  One engine and its sessions belong to one thread at a time; only
 * mote_session_cancel may come from another. */
#ifndef MT_ENGINE_H
#define MT_ENGINE_H

#include "gen/guess.h"
#include "plan/plan.h"
#include "text/text.h"

/* What an engine is made of; all outlive it. */
typedef struct mt_parts {
    const mt_net *net;
    const mt_weights *weights;
    const mt_kern *kern;
    const mt_tokenizer *tokenizer;
    mt_pool *pool;
    const mote_alloc *alloc;
} mt_parts;

struct mote_engine {
    mt_parts  parts;
    mt_plan  *plan, *encoder;        /* the decoder's, the encoder's; NULL: the model has none */
    int n_ctx, n_batch, n_session, n_open;
    int n_draft;                     /* tokens guessed ahead, at most; 0: none */
    int n_vocab, n_embd;
    size_t vector_floats;            /* of a session's recurrent state */
    uint64_t n_pass;                 /* passes so far */
    mt_guess_cost guess_cost;

    /* pages */
    uint8_t  *kv;                    /* n_page pages of page_bytes, touched as used */
    size_t    page_bytes;
    uint32_t  n_page, n_free;
    uint32_t *page_refs;             /* 0: free */
    uint8_t  *slab_used;             /* pages in use of each MT_SLAB */

    /* one pass being put together: n_batch entries each */
    int32_t *id, *pos, *want, *type;
    int64_t *best;
    mt_batch_seq *seq;
    const uint32_t **page, **cross;  /* page tables of each sequence of the pass */
    int32_t *n_cross;
    float  **vector;
    size_t table_bytes;              /* the block that holds all of these tables */
    void  *table;
};

struct mote_session {
    mote_engine *engine;
    int length, n_page;
    uint32_t   *page;                /* by position / 16 */
    uint32_t   *cross;               /* the same for the encoded text; NULL: no encoder-decoder */
    int n_cross;                     /* its tokens; 0: none yet */
    float *vector;                   /* recurrent state; NULL: the model has none */
    bool is_stale;                   /* it stands at the beginning, not behind the session's tokens */
    mote_token *token;               /* n_ctx */
    _Atomic bool is_cancelled;
    const float *out;                /* what the last decode wanted */
    size_t rows, cols;
    mote_token best;
    mt_guess *guess;                 /* NULL: the engine does not guess */
};

/* Fills zero fields with their defaults; EINVAL names the field that is out of range. */
mote_status mt_engine_resolve(const mt_net *net, const mote_engine_opts *in, mote_engine_opts *out,
                              mt_plan_opts *plan, mote_error *err);
mote_status mt_engine_open(mote_engine **out, const mt_parts *parts, const mote_engine_opts *o, mote_error *err);
/* Bytes mt_engine_open would take for the same options, sessions full: the same code, counting. */
mote_status mt_engine_measure(const mt_parts *parts, const mote_engine_opts *o, size_t *bytes, mote_error *err);
/* Makes room in the page table for n more tokens; the caller checked that the context holds them. */
void mt_session_reserve(mote_session *s, int n);
/* Forgets the encoded text and makes room for one of n tokens. */
void mt_session_reserve_cross(mote_session *s, int n);
/* Gives back pages behind the last token: what was guessed wrong. */
void mt_session_trim(mote_session *s);
/* ECANCELLED, once, after mote_session_cancel. */
mote_status mt_session_check(mote_session *s, mote_error *err);
/* mote_decode without forgetting a cancellation that came before it. */
mote_status mt_engine_decode(const mote_step *steps, size_t n, mote_error *err);
/* One pass over the n tokens that already stand behind the session's text, n_batch at most: logits of
 * every row, as with MOTE_WANT_ALL, and with wants_best their arg-maxes in engine->best. */
mote_status mt_engine_verify(mote_session *s, int n, bool wants_best, mote_error *err);

#endif

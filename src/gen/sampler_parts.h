/* SPDX-License-Identifier: MIT */
/* sampler_parts.h - the sampler's state, shared by its three files and nobody else.
 *
 * sampler.c opens, orders and draws; sampler_edit.c changes logits of named tokens (bias,
 * penalties, DRY) and keeps the text they look at; sampler_filter.c drops candidates and scales.
 * The decision to know: candidates always stand in ascending token id, so that a draw does not
 * depend on how a step selects, a token is found by bisection, and nothing is ever sorted. */
#ifndef MT_SAMPLER_PARTS_H
#define MT_SAMPLER_PARTS_H

#include "gen/sampler.h"
#include "gen/sampler_math.h"

enum { MT_SAMPLER_STEP_MAX = 9, MT_SAMPLER_BUCKET = 2048 };

typedef void (*mt_sampler_step)(mote_sampler *p);

/* One distinct token of the penalty window finds its place in `distinct` through `slot`. */
typedef struct mt_sampler_counts {
    int32_t    *count;           /* (n_vocab) occurrences in the window; NULL: penalties are off */
    int32_t    *slot;            /* (n_vocab) */
    mote_token *distinct;        /* (n_vocab) the tokens with count > 0 */
    size_t      n_distinct;
    size_t      window, held;    /* window SIZE_MAX: everything */
} mt_sampler_counts;

/* The newest tokens, always contiguous: when the buffer is full its newest half moves down. */
typedef struct mt_sampler_text {
    mote_token *token;           /* (2 * keep); NULL: nobody looks back */
    uint8_t    *mark;            /* (2 * keep) MT_MARK_*; NULL: DRY is off */
    size_t      n, keep;
} mt_sampler_text;
enum {
    MT_MARK_ENDS = 1,            /* a breaker ends inside this token, wherever it began */
    MT_MARK_IS = 2               /* this token alone contains a breaker */
};

typedef struct mt_sampler_dry {
    const mt_tokenizer *pieces;
    mt_str   *breaker;           /* (n_breaker) */
    size_t    n_breaker, tail_max;
    char      tail[MT_SAMPLER_BREAKER_BYTES];     /* last bytes of the text, newest last */
    size_t    n_tail;
    size_t    window;            /* 0: off */
    int32_t  *match;             /* (window) match length behind each place */
    int32_t  *longest;           /* (n_vocab) zero between calls */
} mt_sampler_dry;

struct mote_sampler {
    mt_arena arena;              /* holds everything, this struct included */
    mote_sampler_opts o;
    size_t n_vocab;
    bool   is_greedy;
    mt_sampler_step chain[MT_SAMPLER_STEP_MAX];   /* the steps that do something, in order */
    size_t n_chain;
    mt_rng rng;
    mote_token greedy_id;        /* what mt_sampler_distribution shows for greedy */
    double mu;                   /* mirostat's bound on surprise, in bits */

    /* The candidates: n pairs (x[i], id[i]), ids ascending.  live_id NULL: x[i] belongs to
     * token i, and non-finite values still stand among them, as they may after an edit. */
    const float      *live_x;    /* the caller's logits until a step changes or drops one */
    const mote_token *live_id;
    size_t n;
    bool   is_edited;
    float      *x;               /* (n_vocab) */
    mote_token *id;              /* (n_vocab) */
    float      *weight;          /* (n_vocab) */
    uint64_t   *key;             /* (n_vocab) */
    double     *mass;            /* (MT_SAMPLER_BUCKET) */
    uint32_t   *fill;            /* (MT_SAMPLER_BUCKET) */

    mt_sampler_text   text;
    mt_sampler_counts counts;
    mt_sampler_dry    dry;
};

/* sampler_edit.c */
mote_status mt_sampler_edit_open(mote_sampler *p, const mote_sampler_opts *o,
                                 const mt_tokenizer *pieces, mote_error *err);
void mt_sampler_note(mote_sampler *p, mote_token t);    /* t stands in the text */
void mt_sampler_forget(mote_sampler *p);
void mt_sampler_bias(mote_sampler *p);
void mt_sampler_penalties(mote_sampler *p);
void mt_sampler_dry_apply(mote_sampler *p);

/* sampler_filter.c */
void mt_sampler_own(mote_sampler *p);             /* the live values become writable, in p->x */
void mt_sampler_settle(mote_sampler *p);          /* drops what is not finite; live_id is set */
double mt_sampler_weigh(mote_sampler *p);         /* weight[i] = e^(x[i] - max); gives their sum */
void mt_sampler_top_k(mote_sampler *p);
void mt_sampler_top_p(mote_sampler *p);
void mt_sampler_min_p(mote_sampler *p);
void mt_sampler_typical_p(mote_sampler *p);
void mt_sampler_xtc(mote_sampler *p);
void mt_sampler_temperature(mote_sampler *p);
void mt_sampler_mirostat(mote_sampler *p);        /* the cut; the update is in sampler.c */

#endif

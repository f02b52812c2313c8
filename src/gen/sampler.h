/* SPDX-License-Identifier: MIT */
/* sampler.h - from a row of logits to a token: what the rest of src/ may call.
 *
 * The public calls (mote_sampler_close, _accept, _reset, mote_sample) are implemented in
 * sampler.c; mote_sampler_open is a wrapper in api/ around mt_sampler_open, because only api/
 * knows what a model is. */
#ifndef MT_SAMPLER_H
#define MT_SAMPLER_H

#include "base/base.h"
#include "text/text.h"

enum {
    MT_SAMPLER_TEXT_MAX = 131072,     /* tokens that a finite window, or DRY's -1, may span */
    MT_SAMPLER_BREAKER_MAX = 64,      /* DRY breakers */
    MT_SAMPLER_BREAKER_BYTES = 64,    /* bytes of one breaker */
    MT_SAMPLER_VOCAB_MAX = 1 << 24
};

/* The defaults that hold for every model. */
void mt_sampler_opts_default(mote_sampler_opts *o);

/* o: NULL for the defaults; everything it points to is copied.  Fields beyond o->size keep their
 * defaults.  pieces: what DRY's breakers are matched on, must outlive the sampler; NULL: there
 * are no breakers.  All memory a sampler ever needs is taken here. */
mote_status mt_sampler_open(mote_sampler **out, const mote_sampler_opts *o, int n_vocab,
                            const mote_alloc *alloc, const mt_tokenizer *pieces, mote_error *err);

/* True when mote_sample is the plain arg-max of the logits: the caller may then compute only
 * that (MOTE_WANT_BEST) and report it with mote_sampler_accept. */
bool mt_sampler_is_argmax(const mote_sampler *p);

/* The chain without the draw: surviving tokens in ascending id, and their probabilities, both
 * owned by the sampler until its next call.  Changes neither text nor seed state; a coin that a
 * step tosses falls as it will in the next mote_sample. */
void mt_sampler_distribution(mote_sampler *p, const float *logits, const mote_token **ids,
                             const float **probs, size_t *n);

#endif

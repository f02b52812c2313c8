/* SPDX-License-Identifier: MIT */
/* batch.c - many texts encoded at once.
 *
 * Each thread collects the ids of the texts it takes; where they belong is known when all are done. */
#include <string.h>

#include "text/pipe.h"

enum { STEP = 1 << 20 };         /* texts in a step of the walk, at most */

typedef struct place { size_t from, n; int thread; } place;      /* of a text's ids among its thread's */
typedef struct share {           /* a thread's */
    mt_ids      ids;
    size_t      failed;          /* its first text that could not be encoded, or n_text */
    mote_error  why;
} share;
typedef struct batch {
    const mt_tokenizer *t;
    const mote_text *text;
    size_t    n_text;
    unsigned  flags;
    place    *place;
    share    *share;
} batch;

static void encode_one(batch *b, share *s, int thread, size_t i)
{
    const mt_segment text = { { b->text[i].p, b->text[i].n }, (b->flags & MOTE_TEXT_SPECIAL) != 0 };
    mote_error why = { 0 };
    b->place[i] = (place){ s->ids.n, 0, thread };
    const mote_status status = mt_tokenizer_append(b->t, text, b->flags & (MOTE_TEXT_BOS | MOTE_TEXT_EOS), &s->ids, &why);
    b->place[i].n = s->ids.n - b->place[i].from;
    if (status == MOTE_OK || i > s->failed) return;
    s->failed = i, s->why = why;
    s->why.code = status;
}

static void encode_share(void *arg, mt_worker *w)
{
    batch *const b = arg;
    for (size_t from = 0; from < b->n_text; from += STEP) {
        mt_deal(w, (int)MT_MIN((size_t)STEP, b->n_text - from), 1);
        for (mt_span mine; mt_take(w, &mine);)
            for (int i = mine.from; i < mine.to; i++) encode_one(b, &b->share[w->ith], w->ith, from + (size_t)i);
        if (!mt_settle(w)) return;
    }
}

static mote_status hand_over(const batch *b, int n_thread, int32_t *out, mote_span *span, size_t cap, size_t *end,
                             size_t *n, mote_error *err)
{
    const share *first = &b->share[0];
    size_t total = 0;
    for (int i = 1; i < n_thread; i++)
        if (b->share[i].failed < first->failed) first = &b->share[i];
    if (first->failed < b->n_text && b->n_text == 1) MT_FAIL(err, first->why.code, "%s", first->why.text);
    if (first->failed < b->n_text) MT_FAIL(err, first->why.code, "text %zu: %s", first->failed, first->why.text);
    for (int i = 0; i < n_thread; i++) total += b->share[i].ids.n;
    *n = total;
    if (total > cap) MT_FAIL(err, MOTE_EFULL, "the texts have %zu tokens, the buffer has room for %zu", total, cap);
    total = 0;
    for (size_t i = 0; i < b->n_text; i++) {
        const place *p = &b->place[i];
        const mt_ids *ids = &b->share[p->thread].ids;
        if (p->n) memcpy(out + total, ids->p + p->from, p->n * sizeof *out);
        if (p->n && span) memcpy(span + total, ids->span + p->from, p->n * sizeof *span);
        end[i] = total += p->n;
    }
    return MOTE_OK;
}

mote_status mt_tokenizer_encode_many(const mt_tokenizer *t, mt_pool *pool, const mote_text *text, size_t n_text,
                                     unsigned flags, int32_t *out, mote_span *span, size_t cap, size_t *end, size_t *n,
                                     mote_error *err)
{
    const mote_alloc *alloc = t->arena.alloc;
    const size_t n_thread = (size_t)mt_pool_size(pool);
    batch b = { .t = t, .text = text, .n_text = n_text, .flags = flags };
    size_t bytes;
    if (!mt_mul_ok(n_text, sizeof *b.place, &bytes)) MT_FAIL(err, MOTE_EINVAL, "tokenize: too many texts");
    b.place = mt_get(alloc, MT_MAX(bytes, 1), _Alignof(place));
    b.share = mt_get(alloc, n_thread * sizeof *b.share, _Alignof(share));
    mote_status status = b.place && b.share ? MOTE_OK : mt_fail(err, MOTE_ENOMEM, "no memory to encode %zu texts", n_text);
    if (status == MOTE_OK) {
        for (size_t i = 0; i < n_thread; i++)
            b.share[i] = (share){ .ids = { .alloc = alloc, .has_span = span != NULL }, .failed = n_text };
        if (n_text) mt_pool_walk(pool, encode_share, &b);
        status = hand_over(&b, (int)n_thread, out, span, cap, end, n, err);
        for (size_t i = 0; i < n_thread; i++) mt_ids_free(&b.share[i].ids);
    }
    mt_put(alloc, b.share, n_thread * sizeof *b.share);
    mt_put(alloc, b.place, MT_MAX(bytes, 1));
    return status;
}

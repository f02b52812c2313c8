/* SPDX-License-Identifier: MIT */
/* encode.c - texts through the encoder: each whole in one pass, as many together as fit.
 *
 * A text sees all of itself, so it cannot be cut; nothing of it stays but what a decoder will look
 * at.  Pooled rows stand side by side like logits do, so those of several passes are valid together. */
#include "gen/engine.h"

typedef struct texts {
    const mote_step *steps;
    const mote_token *const *types;
    size_t n;
    size_t at;                       /* the next one */
    int rows_out;                    /* pooled rows handed out so far */
} texts;

static const mote_token *types_of(const texts *x, size_t i) { return x->types ? x->types[i] : NULL; }

static mote_status check_tokens(const mote_engine *e, const mote_step *st, const mote_token *types, mote_error *err)
{
    const int n_type = MT_MAX(e->parts.net->spec.n_type, 1), most = MT_MIN(e->n_ctx, e->n_batch);
    if (st->n > (size_t)most) MT_FAIL(err, MOTE_EFULL, "encode: a text of %zu tokens, the engine takes %d at once", st->n, most);
    for (size_t i = 0; i < st->n; i++) {
        if (st->t[i] < 0 || st->t[i] >= e->n_vocab)
            MT_FAIL(err, MOTE_EINVAL, "encode: token %d at position %zu, the vocabulary has %d", st->t[i], i, e->n_vocab);
        if (types && (types[i] < 0 || types[i] >= n_type))
            MT_FAIL(err, MOTE_EINVAL, "encode: type %d at position %zu, the model has %d", types[i], i, n_type);
    }
    return MOTE_OK;
}

static mote_status check_text(const mote_engine *e, const texts *x, size_t i, size_t total, mote_error *err)
{
    const mote_step *st = &x->steps[i];
    if (!st->session || !st->t || st->n == 0) MT_FAIL(err, MOTE_EINVAL, "encode: a text has no session or no tokens");
    if (st->session->engine != e) MT_FAIL(err, MOTE_EINVAL, "encode: the sessions belong to different engines");
    for (size_t j = 0; j < i; j++)
        if (x->steps[j].session == st->session) MT_FAIL(err, MOTE_EINVAL, "encode: one session stands in two texts");
    switch (st->want) {
    case MOTE_WANT_NONE: break;
    case MOTE_WANT_POOLED:
        if (e->parts.net->enc.output < 0) MT_FAIL(err, MOTE_EUNSUPPORTED, "encode: this model does not pool, it gives hidden rows");
        break;
    case MOTE_WANT_HIDDEN:
        if (total > (size_t)e->n_batch)
            MT_FAIL(err, MOTE_EINVAL, "encode: hidden rows wanted in a call of %zu tokens, a pass takes %d", total, e->n_batch);
        break;
    case MOTE_WANT_LAST: case MOTE_WANT_ALL: case MOTE_WANT_BEST:
        MT_FAIL(err, MOTE_EINVAL, "encode: an encoder gives hidden or pooled rows, not logits");
    }
    return check_tokens(e, st, types_of(x, i), err);
}

static mote_status check_texts(const texts *x, mote_error *err)
{
    if (!x->steps || x->n == 0 || !x->steps[0].session) MT_FAIL(err, MOTE_EINVAL, "encode: no texts");
    const mote_engine *e = x->steps[0].session->engine;
    if (!e->encoder) MT_FAIL(err, MOTE_EUNSUPPORTED, "encode: %s models have no encoder", e->parts.net->spec.family);
    if (x->n > (size_t)MT_MIN(e->n_session, e->n_batch))
        MT_FAIL(err, MOTE_EINVAL, "encode: %zu texts, the engine takes %d", x->n, MT_MIN(e->n_session, e->n_batch));
    size_t total = 0;
    for (size_t i = 0; i < x->n; i++) total += x->steps[i].n;
    for (size_t i = 0; i < x->n; i++) MT_TRY(check_text(e, x, i, total, err));
    return MOTE_OK;
}

/* The text at hand into rows from n_row on, as sequence k of the pass. */
static void place_text(mote_engine *e, const texts *x, int n_row, int k)
{
    const mote_step *st = &x->steps[x->at];
    const mote_token *types = types_of(x, x->at);
    mote_session *s = st->session;
    if (s->cross) {
        (void)mote_session_rewind(s, 0, NULL);
        mt_session_reserve_cross(s, (int)st->n);
    }
    e->seq[k] = (mt_batch_seq){.row = n_row, .n_row = (int)st->n};
    e->page[k] = s->page, e->cross[k] = s->cross, e->n_cross[k] = s->n_cross, e->vector[k] = s->vector;
    for (int i = 0; i < (int)st->n; i++)
        e->id[n_row + i] = st->t[i], e->pos[n_row + i] = i, e->type[n_row + i] = types ? types[i] : 0;
}

static void give_results(mote_engine *e, const texts *x, size_t first, const float *pooled)
{
    const mt_graph *g = &e->parts.net->enc;
    for (size_t i = first; i < x->at; i++) {
        mote_session *s = x->steps[i].session;
        s->out = NULL, s->rows = s->cols = 0, s->best = -1;
        if (x->steps[i].want == MOTE_WANT_POOLED) {
            s->out = pooled, s->rows = 1, s->cols = (size_t)g->value[g->output].cols;
            pooled += s->cols;
        } else if (x->steps[i].want == MOTE_WANT_HIDDEN) {
            s->rows = x->steps[i].n, s->cols = (size_t)e->n_embd;
            s->out = mt_plan_hidden(e->encoder) + (size_t)e->seq[i - first].row * s->cols;
        }
    }
}

static void run_pass(mote_engine *e, texts *x)
{
    const size_t first = x->at;
    int n_row = 0, n_seq = 0, n_want = 0;
    for (; x->at < x->n && x->steps[x->at].n <= (size_t)(e->n_batch - n_row); x->at++) {
        place_text(e, x, n_row, n_seq);
        n_row += (int)x->steps[x->at].n;
        if (x->steps[x->at].want == MOTE_WANT_POOLED) e->want[n_want++] = n_seq;
        n_seq++;
    }
    const mt_pass pass = {
        .batch = {.n_row = n_row, .id = e->id, .type = e->type, .pos = e->pos, .seq = e->seq, .n_seq = n_seq},
        .page = (const uint32_t *const *)e->page, .cross = (const uint32_t *const *)e->cross, .n_cross = e->n_cross,
        .vector = e->vector, .kv_base = e->kv,
    };
    e->n_pass++;
    mt_plan_body(e->encoder, &pass);
    const float *pooled = n_want > 0 ? mt_plan_head(e->encoder, e->want, n_want, x->rows_out, NULL) : NULL;
    give_results(e, x, first, pooled);
    x->rows_out += n_want;
}

mote_status mote_encode_many(const mote_step *steps, const mote_token *const *types, size_t n, mote_error *err)
{
    texts x = {.steps = steps, .types = types, .n = n};
    MT_TRY(check_texts(&x, err));
    mote_engine *e = steps[0].session->engine;
    MT_TRY(mt_weights_prove(e->parts.weights, err));
    for (size_t i = 0; i < n; i++) atomic_store(&steps[i].session->is_cancelled, false);
    while (x.at < n) {
        for (size_t i = x.at; i < n; i++) MT_TRY(mt_session_check(steps[i].session, err));
        run_pass(e, &x);
    }
    return MOTE_OK;
}

mote_status mote_encode(mote_session *s, const mote_token *t, const mote_token *types, size_t n, mote_want want,
                        mote_error *err)
{
    const mote_step step = {s, t, n, want};
    return mote_encode_many(&step, &types, 1, err);
}

/* SPDX-License-Identifier: MIT */
/* engine.c - turns steps of sessions into passes of the plan.
 *
 * A pass carries up to n_batch rows: the next tokens of every step that still has some.  A step
 * that wants all its rows travels in one piece.  Results of one call stand side by side in the
 * plan's logits region, so they stay valid until the engine's next pass. */
#include <math.h>

#include "gen/engine.h"

/* Where each step stands; lives in the caller's frame for one step, in batch tables for many. */
typedef struct progress {
    const mote_step *steps;
    size_t n;
    size_t at_step, at_token;        /* the next token to place */
    int rows_out;                    /* rows of logits handed out so far */
    bool wants_best;                 /* also where no step asks for it */
} progress;

static bool wants_rows(mote_want w) { return w == MOTE_WANT_ALL || w == MOTE_WANT_HIDDEN; }

static mote_status check_step(const mote_step *st, const mote_engine *e, size_t total, mote_error *err)
{
    if (!st->session || !st->t || st->n == 0) MT_FAIL(err, MOTE_EINVAL, "decode: a step has no session or no tokens");
    const mote_session *s = st->session;
    if (s->engine != e) MT_FAIL(err, MOTE_EINVAL, "decode: the sessions belong to different engines");
    for (size_t i = 0; i < st->n; i++)
        if (st->t[i] < 0 || st->t[i] >= e->n_vocab)
            MT_FAIL(err, MOTE_EINVAL, "decode: token %d at position %zu, the vocabulary has %d", st->t[i], i, e->n_vocab);
    if (st->n > (size_t)(e->n_ctx - s->length))
        MT_FAIL(err, MOTE_EFULL, "decode: %zu tokens behind %d, the context holds %d", st->n, s->length, e->n_ctx);
    if (s->cross && s->n_cross == 0) MT_FAIL(err, MOTE_EINVAL, "decode: the session has no encoded text to answer");
    if (st->want == MOTE_WANT_POOLED) MT_FAIL(err, MOTE_EINVAL, "decode: pooled rows wanted, only an encoder gives them");
    if (st->want == MOTE_WANT_ALL && st->n > (size_t)e->n_batch)
        MT_FAIL(err, MOTE_EINVAL, "decode: all rows wanted of %zu tokens, a pass takes %d", st->n, e->n_batch);
    if (st->want == MOTE_WANT_HIDDEN && total > (size_t)e->n_batch)
        MT_FAIL(err, MOTE_EINVAL, "decode: hidden rows wanted in a call of %zu tokens, a pass takes %d", total, e->n_batch);
    return MOTE_OK;
}

static mote_status check_steps(const mote_step *steps, size_t n, mote_error *err)
{
    if (!steps || n == 0 || !steps[0].session) MT_FAIL(err, MOTE_EINVAL, "decode: no steps");
    mote_engine *e = steps[0].session->engine;
    if (!e->plan)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "decode: %s models read texts and write none, encode them", e->parts.net->spec.family);
    if (n > (size_t)e->n_session) MT_FAIL(err, MOTE_EINVAL, "decode: %zu steps, the engine holds %d sessions", n, e->n_session);
    size_t total = 0, out = 0;
    for (size_t i = 0; i < n; i++) {
        total += steps[i].n;
        out += steps[i].want == MOTE_WANT_ALL ? steps[i].n : steps[i].want != MOTE_WANT_NONE;
        for (size_t j = 0; j < i; j++)
            if (steps[j].session == steps[i].session) MT_FAIL(err, MOTE_EINVAL, "decode: one session stands in two steps");
    }
    for (size_t i = 0; i < n; i++) MT_TRY(check_step(&steps[i], e, total, err));
    if (out > (size_t)e->n_batch)
        MT_FAIL(err, MOTE_EINVAL, "decode: %zu rows of logits wanted, a call gives %d", out, e->n_batch);
    return MOTE_OK;
}

/* Adds the next tokens of the current step to the pass; returns how many. */
static int place_rows(mote_engine *e, progress *p, int n_row, int n_seq)
{
    const mote_step *st = &p->steps[p->at_step];
    mote_session *s = st->session;
    const int left = (int)(st->n - p->at_token), space = e->n_batch - n_row;
    if (wants_rows(st->want) && left > space) return 0;
    const int take = MT_MIN(left, space);
    mt_session_reserve(s, take);
    e->seq[n_seq] = (mt_batch_seq){.row = n_row, .n_row = take, .pos = s->length};
    e->page[n_seq] = s->page, e->cross[n_seq] = s->cross, e->n_cross[n_seq] = s->n_cross, e->vector[n_seq] = s->vector;
    for (int i = 0; i < take; i++) {
        e->id[n_row + i] = s->token[s->length + i] = st->t[p->at_token + (size_t)i];
        e->pos[n_row + i] = s->length + i;
    }
    s->length += take;
    return take;
}

/* What the pass's rows owe their step once its last token is in: rows to want, from row `row`. */
static int want_rows(mote_engine *e, const mote_step *st, int row, int n_row, int n_want)
{
    switch (st->want) {
    case MOTE_WANT_NONE: case MOTE_WANT_HIDDEN: case MOTE_WANT_POOLED: return 0;
    case MOTE_WANT_LAST: case MOTE_WANT_BEST: e->want[n_want] = row + n_row - 1; return 1;
    case MOTE_WANT_ALL:
        for (int i = 0; i < n_row; i++) e->want[n_want + i] = row + i;
        return n_row;
    }
    return 0;
}

/* Hands each finished step of the pass its rows.  done: the steps [first, at_step) finished. */
static void give_results(mote_engine *e, const progress *p, size_t first, const float *logits, bool has_best)
{
    int at = 0;
    for (size_t i = first; i < p->at_step; i++) {
        mote_session *s = p->steps[i].session;
        const mote_want want = p->steps[i].want;
        s->out = NULL, s->rows = s->cols = 0, s->best = -1;
        if (want == MOTE_WANT_NONE) continue;
        if (want == MOTE_WANT_HIDDEN) {
            s->out = mt_plan_hidden(e->plan) + (size_t)e->seq[i - first].row * (size_t)e->n_embd;
            s->rows = p->steps[i].n, s->cols = (size_t)e->n_embd;
            continue;
        }
        const int rows = want == MOTE_WANT_ALL ? (int)p->steps[i].n : 1;
        if (has_best) s->best = (mote_token)e->best[at + rows - 1];
        if (want != MOTE_WANT_BEST) {
            s->out = logits + (size_t)at * (size_t)e->n_vocab;
            s->rows = (size_t)rows, s->cols = (size_t)e->n_vocab;
        }
        at += rows;
    }
}

/* One pass: as many rows as fit, then the head for what is wanted of finished steps. */
static void run_pass(mote_engine *e, progress *p)
{
    const size_t first = p->at_step;
    int n_row = 0, n_seq = 0, n_want = 0;
    bool wants_best = p->wants_best;
    while (p->at_step < p->n && n_row < e->n_batch) {
        const mote_step *st = &p->steps[p->at_step];
        const int take = place_rows(e, p, n_row, n_seq);
        if (take == 0) break;
        p->at_token += (size_t)take, n_seq++;
        if (p->at_token == st->n) {
            n_want += want_rows(e, st, n_row, take, n_want);
            wants_best |= st->want == MOTE_WANT_BEST;
            p->at_step++, p->at_token = 0;
        }
        n_row += take;
    }
    const mt_pass pass = {
        .batch = {.n_row = n_row, .id = e->id, .pos = e->pos, .seq = e->seq, .n_seq = n_seq},
        .page = (const uint32_t *const *)e->page, .cross = (const uint32_t *const *)e->cross, .n_cross = e->n_cross,
        .vector = e->vector, .kv_base = e->kv,
    };
    e->n_pass++;
    mt_plan_body(e->plan, &pass);
    const float *logits = NULL;
    if (n_want > 0)
        logits = mt_plan_head(e->plan, e->want, n_want, p->rows_out, wants_best ? e->best : NULL);
    give_results(e, p, first, logits, wants_best);
    p->rows_out += n_want;
}

mote_status mt_session_check(mote_session *s, mote_error *err)
{
    if (atomic_exchange(&s->is_cancelled, false))
        MT_FAIL(err, MOTE_ECANCELLED, "decode: cancelled behind %d tokens", s->length);
    return MOTE_OK;
}

static mote_status run_passes(const mote_step *steps, size_t n, bool wants_best, mote_error *err)
{
    progress p = {.steps = steps, .n = n, .wants_best = wants_best};
    while (p.at_step < n) {
        for (size_t i = 0; i < n; i++) MT_TRY(mt_session_check(steps[i].session, err));
        run_pass(steps[0].session->engine, &p);
    }
    return MOTE_OK;
}

/* Brings a recurrent state that was rewound to where its session's text ends: the same tokens give the
 * same bits.  Until it got there, the session stays as it was. */
static mote_status replay(mote_session *s, mote_error *err)
{
    const mote_step whole = {s, s->token, (size_t)s->length, MOTE_WANT_NONE};
    s->length = 0;
    const mote_status st = run_passes(&whole, 1, false, err);
    s->is_stale = st != MOTE_OK;
    if (st != MOTE_OK) mt_plan_vector_init(s->engine->plan, s->vector);
    s->length = (int)whole.n;
    return st;
}

static mote_status decode(const mote_step *steps, size_t n, bool wants_best, mote_error *err)
{
    MT_TRY(check_steps(steps, n, err));
    MT_TRY(mt_weights_prove(steps[0].session->engine->parts.weights, err));
    for (size_t i = 0; i < n; i++)
        if (steps[i].session->is_stale) MT_TRY(replay(steps[i].session, err));
    return run_passes(steps, n, wants_best, err);
}

mote_status mt_engine_decode(const mote_step *steps, size_t n, mote_error *err) { return decode(steps, n, false, err); }

mote_status mt_engine_verify(mote_session *s, int n, bool wants_best, mote_error *err)
{
    const mote_step step = {s, s->token + s->length, (size_t)n, MOTE_WANT_ALL};
    return decode(&step, 1, wants_best, err);
}

mote_status mote_decode_many(const mote_step *steps, size_t n, mote_error *err)
{
    for (size_t i = 0; steps && i < n; i++)
        if (steps[i].session) atomic_store(&steps[i].session->is_cancelled, false);
    return mt_engine_decode(steps, n, err);
}

mote_status mote_decode(mote_session *s, const mote_token *t, size_t n, mote_want want, mote_error *err)
{
    const mote_step step = {s, t, n, want};
    return mote_decode_many(&step, 1, err);
}

const float *mote_output(const mote_session *s, size_t *rows, size_t *cols)
{
    if (rows) *rows = s ? s->rows : 0;
    if (cols) *cols = s ? s->cols : 0;
    return s ? s->out : NULL;
}

mote_token mote_best(const mote_session *s) { return s ? s->best : -1; }

/* ---- measuring a text ------------------------------------------------------------------------------ */

enum { MEASURE_ROWS = 32 };          /* logits held at once while measuring */

mote_status mote_measure(mote_session *s, const mote_token *t, size_t n, float *logprob, mote_error *err)
{
    if (!s || !t || !logprob || n < 2) MT_FAIL(err, MOTE_EINVAL, "measure: needs a session, two tokens or more, and room");
    mote_engine *e = s->engine;
    const mote_step whole = {s, t, n, MOTE_WANT_NONE};
    MT_TRY(check_steps(&whole, 1, err));
    atomic_store(&s->is_cancelled, false);
    for (size_t at = 0; at < n;) {
        const size_t take = MT_MIN(n - at, (size_t)e->n_batch);
        const mote_step step = {s, t + at, take, MOTE_WANT_NONE};
        MT_TRY(mt_engine_decode(&step, 1, err));
        for (size_t row = 0; row < take; row += MEASURE_ROWS) {
            const int rows = (int)MT_MIN(take - row, (size_t)MEASURE_ROWS);
            for (int i = 0; i < rows; i++) e->want[i] = (int32_t)row + i;
            const float *logits = mt_plan_head(e->plan, e->want, rows, 0, NULL);
            for (int i = 0; i < rows; i++) {
                const size_t here = at + row + (size_t)i;
                const float *l = logits + (size_t)i * (size_t)e->n_vocab;
                if (here + 1 < n) logprob[here] = (float)(l[t[here + 1]] - e->parts.kern->log_sum_exp(l, e->n_vocab));
            }
        }
        at += take;
    }
    return MOTE_OK;
}

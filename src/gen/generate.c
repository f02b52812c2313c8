/* SPDX-License-Identifier: MIT */
/* generate.c - the loop from a prompt to an answer: decode, sample, hand out whole characters.
 *
 * A pass may carry guesses of the next tokens (guess.h).  They are only that: every token is chosen
 * from its own row of logits, in order, with the sampler in the state it would have had. */
#include <string.h>

#include "gen/engine.h"
#include "gen/sampler.h"

/* Bytes of the answer that do not make a whole character yet. */
typedef struct outlet {
    mote_piece_fn on_piece;
    void *user;
    char pending[64];
    size_t n;
} outlet;

static bool emit(outlet *o, const char *p, size_t n) { return n == 0 || !o->on_piece || o->on_piece(o->user, p, n); }

/* Hands on what is whole of pending + piece, keeps the rest; false: the caller wants to stop. */
static bool put_piece(outlet *o, const char *p, size_t n)
{
    while (n > 0) {
        const size_t take = MT_MIN(n, sizeof o->pending - o->n);
        memcpy(o->pending + o->n, p, take);
        o->n += take, p += take, n -= take;
        const size_t whole = mt_utf8_whole(o->pending, o->n);
        if (!emit(o, o->pending, whole)) return false;
        o->n -= whole;
        memmove(o->pending, o->pending + whole, o->n);
    }
    return true;
}

/* An answer being written.  A pass over the last token and guesses behind it gives rows of logits; the
 * session stands behind the first, and each guess that comes true moves it on by one.  So the session
 * is at every moment what it were without guessing, but for pages and tokens beyond its length. */
typedef struct talk {
    mote_session *s;
    mote_sampler *p;
    bool is_argmax;                  /* only the best token of a row is wanted */
    int row, n_row;                  /* the row in use, of those the last pass gave */
    int row_length;                  /* the session's length at row 0 */
    uint64_t pass;                   /* the engine's number of that pass */
    const float *logits;             /* (n_row, n_vocab) */
} talk;

/* The next token from what stands in the session's output. */
static mote_token choose(const talk *t)
{
    mote_session *s = t->s;
    mote_token next = s->best;
    if (!t->is_argmax) next = mote_sample(t->p, s->out);
    else if (next >= 0) mote_sampler_accept(t->p, next);
    if (s->guess) mt_guess_check(s->guess, next);
    return next;
}

static void show_row(const talk *t)
{
    mote_session *s = t->s;
    const size_t cols = (size_t)s->engine->n_vocab;
    s->best = t->is_argmax ? (mote_token)s->engine->best[t->row] : -1;
    s->out = t->is_argmax ? NULL : t->logits + (size_t)t->row * cols;
    s->rows = t->is_argmax ? 0 : 1, s->cols = t->is_argmax ? 0 : cols;
}

/* Whether `next` was guessed and its row is still there: a callback may have used the engine. */
static bool is_proven(const talk *t, mote_token next)
{
    const mote_session *s = t->s;
    return t->row + 1 < t->n_row && t->pass == s->engine->n_pass && s->length == t->row_length + t->row &&
           s->token[s->length] == next;
}

/* Appends `next` and brings the logits behind it; left: tokens that may still be chosen. */
static mote_status advance(talk *t, mote_token next, int left, mote_stats *stats, mote_error *err)
{
    mote_session *s = t->s;
    if (is_proven(t, next)) {
        MT_TRY(mt_session_check(s, err));
        s->length++, t->row++, stats->n_accepted++;
        show_row(t);
        return MOTE_OK;
    }
    const int room = s->engine->n_ctx - s->length - 1, most = MT_MIN(MT_MIN(left - 1, room), s->engine->n_draft);
    s->token[s->length] = next;
    const int k = s->guess ? mt_guess_draft(s->guess, s->token, s->length + 1, most) : 0;
    const double start = mt_now();
    t->n_row = 0;
    MT_TRY(mt_engine_verify(s, 1 + k, t->is_argmax, err));
    if (s->guess) mt_guess_timed(s->guess, k, mt_now() - start);
    s->length -= k;
    stats->n_drafted += k;
    t->row = 0, t->n_row = 1 + k, t->row_length = s->length, t->pass = s->engine->n_pass, t->logits = s->out;
    show_row(t);
    return MOTE_OK;
}

static mote_status write_answer(talk *t, const mote_token *prompt, size_t n, int max_tokens, outlet *out,
                                mote_stats *stats, mote_error *err)
{
    mote_session *s = t->s;
    const mt_tokenizer *tok = s->engine->parts.tokenizer;     /* NULL: ids only, no pieces */
    const double start = mt_now();
    const mote_step step = {s, prompt, n, t->is_argmax ? MOTE_WANT_BEST : MOTE_WANT_LAST};
    MT_TRY(mt_engine_decode(&step, 1, err));
    const double decoded = mt_now();
    bool begins = s->cross && s->length == 1 && tok && mt_tokenizer_drops_space(tok);    /* a text of its own */
    stats->prompt_seconds = decoded - start;
    stats->stop = MOTE_STOP_LENGTH;
    while (stats->n_new < max_tokens) {
        const mote_token next = choose(t);
        if (next < 0) MT_FAIL(err, MOTE_EFORMAT, "generate: no finite logit behind %d tokens", s->length);
        stats->decode_seconds = mt_now() - decoded;
        if (tok && mt_tokenizer_ends(tok, next)) {
            stats->stop = MOTE_STOP_END;
            break;
        }
        stats->n_new++;
        size_t len = 0;
        bool is_special = false;
        const char *piece = tok ? mt_tokenizer_bytes(tok, next, &len, &is_special) : NULL;
        if (begins && piece && !is_special && len) {
            begins = false;
            if (*piece == ' ') piece++, len--;
        }
        if (piece && !is_special && !put_piece(out, piece, len)) {
            stats->stop = MOTE_STOP_CALLER;
            break;
        }
        if (s->length == s->engine->n_ctx) {
            stats->stop = MOTE_STOP_FULL;
            break;
        }
        if (stats->n_new == max_tokens) break;
        MT_TRY(advance(t, next, max_tokens - stats->n_new, stats, err));
    }
    stats->decode_seconds = mt_now() - decoded;
    return MOTE_OK;
}

static mote_status answer(mote_session *s, mote_sampler *p, const mote_token *t, size_t n, int max_tokens,
                          outlet *out, mote_stats *stats, mote_error *err)
{
    talk k = {.s = s, .p = p, .is_argmax = mt_sampler_is_argmax(p)};
    if (s->guess) mt_guess_start(s->guess);
    const mote_status st = write_answer(&k, t, n, max_tokens, out, stats, err);
    mt_session_trim(s);
    return st;
}

mote_status mote_continue(mote_session *s, mote_sampler *p, const mote_token *t, size_t n, int max_tokens,
                          mote_piece_fn on_piece, void *user, mote_stats *stats, mote_error *err)
{
    if (!s || !p || !t || n == 0) MT_FAIL(err, MOTE_EINVAL, "generate: needs a session, a sampler and tokens");
    if (n > (size_t)s->engine->n_ctx)
        MT_FAIL(err, MOTE_EFULL, "generate: the prompt has %zu tokens, the context holds %d", n, s->engine->n_ctx);
    atomic_store(&s->is_cancelled, false);
    /* the last token is decoded again even when it is held: its logits are needed */
    int same = 0;
    while (same < s->length && (size_t)same + 1 < n && s->token[same] == t[same]) same++;
    const bool is_rewound = same < s->length;
    MT_TRY(mote_session_rewind(s, same, err));
    if (is_rewound) mote_sampler_reset(p);       /* it cannot take back what it accepted */
    for (size_t i = is_rewound ? 0 : (size_t)same; i < n; i++) mote_sampler_accept(p, t[i]);
    outlet out = {.on_piece = on_piece, .user = user};
    mote_stats own = {0}, *st = stats ? stats : &own;
    *st = (mote_stats){.n_prompt = (int)n, .n_cached = same};
    /* what is pending at the end is the beginning of a character that never came */
    return answer(s, p, t + same, n - (size_t)same, max_tokens, &out, st, err);
}

/* The answer of a model with two stacks: it reads the prompt whole, then writes from its start token. */
static mote_status answer_encoded(mote_session *s, mote_sampler *p, const mote_token *t, size_t n, int max_tokens,
                                  mote_piece_fn on_piece, void *user, mote_stats *stats, mote_error *err)
{
    const mote_token start = s->engine->parts.net->spec.start_token;
    if (start < 0) MT_FAIL(err, MOTE_EUNSUPPORTED, "generate: the model does not say which token its answers start with");
    MT_TRY(mote_encode(s, t, NULL, n, MOTE_WANT_NONE, err));
    return mote_continue(s, p, &start, 1, max_tokens, on_piece, user, stats, err);
}

mote_status mote_generate(mote_session *s, mote_sampler *p, const char *prompt, int max_tokens,
                          mote_piece_fn on_piece, void *user, mote_stats *stats, mote_error *err)
{
    if (!s || !p || !prompt) MT_FAIL(err, MOTE_EINVAL, "generate: needs a session, a sampler and a prompt");
    mote_engine *e = s->engine;
    if (!e->parts.tokenizer) MT_FAIL(err, MOTE_EUNSUPPORTED, "generate: the model has no tokenizer we know, give it tokens");
    const mt_segment text = {mt_str_of(prompt), false};
    const bool is_encoded = s->cross != NULL;
    const unsigned flags = is_encoded ? MOTE_TEXT_BOS | MOTE_TEXT_EOS : s->length == 0 ? MOTE_TEXT_BOS : 0;
    if (is_encoded) MT_TRY(mote_session_rewind(s, 0, err));
    const size_t cap = (size_t)e->n_ctx;
    mote_token *t = mt_get(e->parts.alloc, cap * sizeof *t, MT_ALIGN);
    if (!t) MT_FAIL(err, MOTE_ENOMEM, "generate: no memory for %zu tokens", cap);
    memcpy(t, s->token, (size_t)s->length * sizeof *t);
    size_t n = 0;
    mote_status st = mt_tokenizer_encode(e->parts.tokenizer, &text, 1, flags, t + s->length, cap - (size_t)s->length, &n, err);
    if (st == MOTE_EFULL)
        st = mt_fail(err, MOTE_EFULL, "generate: the prompt has %zu tokens behind %d, the context holds %d", n, s->length, e->n_ctx);
    if (st == MOTE_OK && n == 0) st = mt_fail(err, MOTE_EINVAL, "generate: the prompt is empty");
    if (st == MOTE_OK && is_encoded) st = answer_encoded(s, p, t, n, max_tokens, on_piece, user, stats, err);
    else if (st == MOTE_OK)
        st = mote_continue(s, p, t, (size_t)s->length + n, max_tokens, on_piece, user, stats, err);
    mt_put(e->parts.alloc, t, cap * sizeof *t);
    return st;
}

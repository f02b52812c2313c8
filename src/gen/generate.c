/* SPDX-License-Identifier: MIT */
/* generate.c - the loop from a prompt to an answer: decode, sample, hand out whole characters. */
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

/* The next token after a decode that wanted `want`. */
static mote_token choose(mote_session *s, mote_sampler *p, mote_want want)
{
    if (want == MOTE_WANT_LAST) return mote_sample(p, s->out);
    if (s->best >= 0) mote_sampler_accept(p, s->best);
    return s->best;
}

static mote_status answer(mote_session *s, mote_sampler *p, const mote_token *t, size_t n, int max_tokens,
                          outlet *out, mote_stats *stats, mote_error *err)
{
    const mt_tokenizer *tok = s->engine->parts.tokenizer;     /* NULL: ids only, no pieces */
    const mote_want want = mt_sampler_is_argmax(p) ? MOTE_WANT_BEST : MOTE_WANT_LAST;
    const double start = mt_now();
    mote_step step = {s, t, n, want};
    MT_TRY(mt_engine_decode(&step, 1, err));
    const double decoded = mt_now();
    stats->prompt_seconds = decoded - start;
    stats->stop = MOTE_STOP_LENGTH;
    while (stats->n_new < max_tokens) {
        const mote_token next = choose(s, p, want);
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
        if (piece && !is_special && !put_piece(out, piece, len)) {
            stats->stop = MOTE_STOP_CALLER;
            break;
        }
        if (s->length == s->engine->n_ctx) {
            stats->stop = MOTE_STOP_FULL;
            break;
        }
        if (stats->n_new == max_tokens) break;
        step = (mote_step){s, &next, 1, want};
        MT_TRY(mt_engine_decode(&step, 1, err));
    }
    stats->decode_seconds = mt_now() - decoded;
    return MOTE_OK;
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

mote_status mote_generate(mote_session *s, mote_sampler *p, const char *prompt, int max_tokens,
                          mote_piece_fn on_piece, void *user, mote_stats *stats, mote_error *err)
{
    if (!s || !p || !prompt) MT_FAIL(err, MOTE_EINVAL, "generate: needs a session, a sampler and a prompt");
    mote_engine *e = s->engine;
    if (!e->parts.tokenizer) MT_FAIL(err, MOTE_EUNSUPPORTED, "generate: the model has no tokenizer we know, give it tokens");
    const mt_segment text = {mt_str_of(prompt), false};
    const unsigned flags = s->length == 0 ? MOTE_TEXT_BOS : 0;
    const size_t cap = (size_t)e->n_ctx;
    mote_token *t = mt_get(e->parts.alloc, cap * sizeof *t, MT_ALIGN);
    if (!t) MT_FAIL(err, MOTE_ENOMEM, "generate: no memory for %zu tokens", cap);
    memcpy(t, s->token, (size_t)s->length * sizeof *t);
    size_t n = 0;
    mote_status st = mt_tokenizer_encode(e->parts.tokenizer, &text, 1, flags, t + s->length, cap - (size_t)s->length, &n, err);
    if (st == MOTE_EFULL)
        st = mt_fail(err, MOTE_EFULL, "generate: the prompt has %zu tokens behind %d, the context holds %d", n, s->length, e->n_ctx);
    if (st == MOTE_OK && n == 0) st = mt_fail(err, MOTE_EINVAL, "generate: the prompt is empty");
    if (st == MOTE_OK)
        st = mote_continue(s, p, t, (size_t)s->length + n, max_tokens, on_piece, user, stats, err);
    mt_put(e->parts.alloc, t, cap * sizeof *t);
    return st;
}

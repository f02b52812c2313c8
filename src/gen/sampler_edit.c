/* SPDX-License-Identifier: MIT */
/* sampler_edit.c - the steps that change the logits of single tokens (bias, repetition,
 * frequency and presence penalties, DRY), and the memory of the text they work from.
 *
 * The window of the penalties is a table of counts, kept up as tokens come and go, so that a
 * step costs its distinct tokens, not the vocabulary.  A token that is no candidate any more is
 * left alone.
 *
 * Definitions: repetition as Keskar et al. (CTRL) with the sign rule of Hugging Face and
 * llama.cpp, once per distinct token; frequency and presence as OpenAI.  DRY as first published
 * for text-generation-webui: a token that would prolong a repetition of n >= allowed_length
 * tokens loses multiplier * base^(n - allowed_length).  Like llama.cpp we know no longest n (the
 * original stops at 50), spare tokens that contain a breaker, and let a breaker span tokens. */
#include "gen/sampler_parts.h"

/* ---- open --------------------------------------------------------------------- */
static const char *const default_breakers[] = { "\n", ":", "\"", "*" };

static mote_status no_memory(mote_error *err)
{
    MT_FAIL(err, MOTE_ENOMEM, "sampler: no memory");
}

static mote_status counts_open(mote_sampler *p, mote_error *err)
{
    mt_sampler_counts *c = &p->counts;
    c->window = p->o.repeat_last_n < 0 ? SIZE_MAX : (size_t)p->o.repeat_last_n;
    c->count = mt_arena_push_n(&p->arena, p->n_vocab, sizeof *c->count);
    c->slot = mt_arena_push(&p->arena, p->n_vocab * sizeof *c->slot);
    c->distinct = mt_arena_push(&p->arena, p->n_vocab * sizeof *c->distinct);
    return c->count && c->slot && c->distinct ? MOTE_OK : no_memory(err);
}

static mote_status breakers_copy(mote_sampler *p, const char *const *from, size_t n,
                                 mote_error *err)
{
    mt_sampler_dry *d = &p->dry;
    if (n > MT_SAMPLER_BREAKER_MAX)
        MT_FAIL(err, MOTE_EINVAL, "sampler option n_dry_breaker is %zu, at most %d are allowed", n,
                MT_SAMPLER_BREAKER_MAX);
    d->breaker = mt_arena_push_n(&p->arena, MT_MAX(n, 1), sizeof *d->breaker);
    if (!d->breaker) return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        const mt_str s = mt_str_of(from[i]);
        if (s.n < 1 || s.n > MT_SAMPLER_BREAKER_BYTES)
            MT_FAIL(err, MOTE_EINVAL, "sampler option dry_breakers: breaker %zu has %zu bytes, "
                    "expected 1 to %d", i, s.n, MT_SAMPLER_BREAKER_BYTES);
        d->breaker[i] = (mt_str){ mt_arena_string(&p->arena, s), s.n };
        if (!d->breaker[i].p) return no_memory(err);
        d->tail_max = MT_MAX(d->tail_max, s.n - 1);
    }
    d->n_breaker = n;
    return MOTE_OK;
}

static mote_status dry_open(mote_sampler *p, const mote_sampler_opts *o, mote_error *err)
{
    mt_sampler_dry *d = &p->dry;
    d->window = o->dry_last_n < 0 ? MT_SAMPLER_TEXT_MAX : (size_t)o->dry_last_n;
    d->match = mt_arena_push(&p->arena, d->window * sizeof *d->match);
    d->longest = mt_arena_push_n(&p->arena, p->n_vocab, sizeof *d->longest);
    if (!d->match || !d->longest) return no_memory(err);
    if (o->dry_breakers) return breakers_copy(p, o->dry_breakers, o->n_dry_breaker, err);
    return breakers_copy(p, default_breakers, MT_COUNT(default_breakers), err);
}

static bool in_chain(const mote_sampler *p, mt_sampler_step step)
{
    for (size_t i = 0; i < p->n_chain; i++)
        if (p->chain[i] == step) return true;
    return false;
}

mote_status mt_sampler_edit_open(mote_sampler *p, const mote_sampler_opts *o,
                                 const mt_tokenizer *pieces, mote_error *err)
{
    p->dry.pieces = pieces;
    const bool uses_dry = in_chain(p, mt_sampler_dry_apply);
    if (in_chain(p, mt_sampler_penalties)) MT_TRY(counts_open(p, err));
    if (uses_dry) MT_TRY(dry_open(p, o, err));

    size_t keep = p->dry.window;
    if (p->counts.count && p->counts.window != SIZE_MAX) keep = MT_MAX(keep, p->counts.window);
    if (keep == 0) return MOTE_OK;
    p->text.keep = keep + 1;                      /* the one that leaves the window, too */
    p->text.token = mt_arena_push(&p->arena, 2 * p->text.keep * sizeof *p->text.token);
    if (!p->text.token) return no_memory(err);
    if (!uses_dry) return MOTE_OK;
    p->text.mark = mt_arena_push(&p->arena, 2 * p->text.keep);
    return p->text.mark ? MOTE_OK : no_memory(err);
}

/* ---- the text ------------------------------------------------------------------ */
static void count_in(mt_sampler_counts *c, mote_token t)
{
    if (c->count[t]++ > 0) return;
    c->slot[t] = (int32_t)c->n_distinct;
    c->distinct[c->n_distinct++] = t;
}

static void count_out(mt_sampler_counts *c, mote_token t)
{
    if (--c->count[t] > 0) return;
    const mote_token last = c->distinct[--c->n_distinct];
    c->distinct[c->slot[t]] = last;
    c->slot[last] = c->slot[t];
}

/* Whether b ends at piece[end), reaching back into the tail of the text where it must. */
static bool ends_at(const mt_sampler_dry *d, mt_str b, const char *piece, size_t end)
{
    for (size_t back = 1; back <= b.n; back++) {
        const char want = b.p[b.n - back];
        if (back <= end) {
            if (piece[end - back] != want) return false;
            continue;
        }
        if (back - end > d->n_tail || d->tail[d->n_tail - (back - end)] != want) return false;
    }
    return true;
}

static void tail_push(mt_sampler_dry *d, const char *piece, size_t len)
{
    const size_t fresh = MT_MIN(len, d->tail_max);
    const size_t old = MT_MIN(d->n_tail, d->tail_max - fresh);
    memmove(d->tail, d->tail + d->n_tail - old, old);
    memcpy(d->tail + old, piece + len - fresh, fresh);
    d->n_tail = old + fresh;
}

static uint8_t mark_of(mt_sampler_dry *d, mote_token t)
{
    size_t len = 0;
    bool is_special = false;
    const char *piece = d->pieces ? mt_tokenizer_bytes(d->pieces, t, &len, &is_special) : NULL;
    if (!piece) return 0;
    unsigned mark = 0;
    for (size_t i = 0; i < d->n_breaker; i++)
        for (size_t end = 1; end <= len; end++)
            if (ends_at(d, d->breaker[i], piece, end))
                mark |= end >= d->breaker[i].n ? MT_MARK_ENDS | MT_MARK_IS : MT_MARK_ENDS;
    tail_push(d, piece, len);
    return (uint8_t)mark;
}

void mt_sampler_note(mote_sampler *p, mote_token t)
{
    mt_sampler_text *x = &p->text;
    if (x->token) {
        if (x->n == 2 * x->keep) {
            memmove(x->token, x->token + x->keep, x->keep * sizeof *x->token);
            if (x->mark) memmove(x->mark, x->mark + x->keep, x->keep);
            x->n = x->keep;
        }
        x->token[x->n] = t;
        if (x->mark) x->mark[x->n] = mark_of(&p->dry, t);
        x->n++;
    }
    mt_sampler_counts *c = &p->counts;
    if (!c->count) return;
    count_in(c, t);
    if (c->window == SIZE_MAX) return;
    if (c->held < c->window) {
        c->held++;
        return;
    }
    count_out(c, x->token[x->n - 1 - c->window]);
}

void mt_sampler_forget(mote_sampler *p)
{
    mt_sampler_counts *c = &p->counts;
    for (size_t i = 0; i < c->n_distinct; i++) c->count[c->distinct[i]] = 0;
    c->n_distinct = c->held = 0;
    p->text.n = 0;
    p->dry.n_tail = 0;
}

/* ---- the steps ------------------------------------------------------------------ */
/* The value of candidate t, writable; NULL: it is no candidate any more. */
static float *find(mote_sampler *p, mote_token t)
{
    if (!p->live_id) return p->x + t;
    size_t low = 0, high = p->n;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (p->id[mid] < t) low = mid + 1;
        else high = mid;
    }
    return low < p->n && p->id[low] == t ? p->x + low : NULL;
}

void mt_sampler_bias(mote_sampler *p)
{
    mt_sampler_own(p);
    for (size_t i = 0; i < p->o.n_bias; i++) {
        float *x = find(p, p->o.bias[i].token);
        if (x) *x += p->o.bias[i].bias;
    }
}

void mt_sampler_penalties(mote_sampler *p)
{
    const mote_sampler_opts *o = &p->o;
    mt_sampler_own(p);
    for (size_t i = 0; i < p->counts.n_distinct; i++) {
        const mote_token t = p->counts.distinct[i];
        float *x = find(p, t);
        if (!x) continue;
        *x = *x > 0 ? *x / o->repeat_penalty : *x * o->repeat_penalty;
        *x -= (float)p->counts.count[t] * o->frequency_penalty + o->presence_penalty;
    }
}

/* match[i] = how many tokens the text before its newest i tokens shares with the whole text,
 * both read backwards: the Z function of the reversed text, n long; match[0] is not set. */
static void match_back(const mote_token *newest, size_t n, int32_t *match)
{
    size_t left = 0, right = 0;                   /* the match that reaches furthest */
    for (size_t i = 1; i < n; i++) {
        size_t len = i < right ? MT_MIN(right - i, (size_t)match[i - left]) : 0;
        while (i + len < n && *(newest - len) == *(newest - (i + len))) len++;
        match[i] = (int32_t)len;
        if (i + len > right) {
            left = i;
            right = i + len;
        }
    }
}

void mt_sampler_dry_apply(mote_sampler *p)
{
    mt_sampler_dry *d = &p->dry;
    const size_t n = MT_MIN(p->text.n, d->window);
    if (n < 2) return;
    const mote_token *newest = p->text.token + p->text.n - 1;
    const uint8_t *mark = p->text.mark + p->text.n - 1;
    size_t limit = 0;                             /* tokens since the newest breaker */
    while (limit < n && !(*(mark - limit) & MT_MARK_ENDS)) limit++;
    const int32_t allowed = MT_MAX(p->o.dry_allowed_length, 1);
    if (limit < (size_t)allowed) return;

    match_back(newest, n, d->match);
    for (size_t i = 1; i < n; i++) {              /* the token behind that match is the next one */
        const int32_t len = MT_MIN(d->match[i], (int32_t)limit);
        const mote_token next = *(newest - (i - 1));
        if (len < allowed || (*(mark - (i - 1)) & MT_MARK_IS)) continue;
        d->longest[next] = MT_MAX(d->longest[next], len);
    }
    mt_sampler_own(p);
    for (size_t i = 1; i < n; i++) {
        const mote_token next = *(newest - (i - 1));
        const int32_t len = d->longest[next];
        if (len == 0) continue;
        d->longest[next] = 0;
        float *x = find(p, next);
        const double loss = (double)p->o.dry_multiplier
                          * mt_power((double)p->o.dry_base, len - p->o.dry_allowed_length);
        if (x) *x -= (float)loss;
    }
}

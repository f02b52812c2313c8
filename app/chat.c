/* SPDX-License-Identifier: MIT */
/* chat.c - a conversation and its turns.
 *
 * The messages are the truth; each turn states the whole chat as tokens and mote_continue keeps
 * the prefix that the session already holds, so only what is new is computed.  When the context
 * is full nothing is cut on the quiet: at a terminal the person is asked whether the oldest turns
 * may go, elsewhere it is an error with both numbers. */
#include "chat.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 32 };         /* tokens that must be left for an answer */

int chat_open(chat *c, loaded *l, args *a, bool interactive)
{
    memset(c, 0, sizeof *c);
    c->l = l;
    c->a = a;
    c->interactive = interactive;
    c->to_stdout = true;
    c->messages = json_array();
    if (!c->messages) return term_error(ST_NO_FIT, "no memory for the chat");
    const char *system = args_text(a, OPT_SYSTEM, NULL);
    if (system && text_utf8_bad(system, strlen(system)) != strlen(system))
        return term_error(ST_FAILED, "--system is not UTF-8");
    if (system) chat_set_system(c, system, strlen(system));
    return chat_resample(c);
}

int chat_resample(chat *c)
{
    mote_error err = { 0 };
    mote_sampler *fresh = NULL;
    sampling how = { 0 };
    int st = sampling_read(&how, c->l->m, c->l->name, c->a);
    if (st) return st;
    if (c->sampler && !args_has(c->a, OPT_SEED)) how.o.seed = c->how.o.seed;
    c->how = how;
    /* the lists live in the struct: point at the copy */
    if (how.o.n_bias) c->how.o.bias = c->how.bias;
    if (how.o.n_dry_breaker) c->how.o.dry_breakers = c->how.breakers;
    const mote_status code = mote_sampler_open(&fresh, c->l->m, &c->how.o, &err);
    if (code) return term_mote_error(code, &err);
    mote_sampler_close(c->sampler);
    c->sampler = fresh;
    return ST_DONE;
}

void chat_close(chat *c)
{
    mote_sampler_close(c->sampler);
    json_decref(c->messages);
    text_free(&c->answer);
}

static const char *role_of(const json_t *message)
{
    const char *s = json_string_value(json_object_get(message, "role"));
    return s ? s : "";
}

int chat_add(chat *c, const char *role, const char *p, size_t n)
{
    json_t *m = json_object();
    if (m && json_object_set_new(m, "role", json_string(role)) == 0
        && json_object_set_new(m, "content", json_stringn(p, n)) == 0
        && json_array_append_new(c->messages, m) == 0)
        return ST_DONE;
    return term_error(ST_NO_FIT, "no memory for a message of %zu bytes", n);
}

void chat_set_system(chat *c, const char *p, size_t n)
{
    if (chat_system(c)) json_array_remove(c->messages, 0);
    if (!n) return;
    json_array_insert_new(c->messages, 0, json_pack("{s:s, s:s%}", "role", "system", "content", p, n));
}

const char *chat_system(const chat *c)
{
    const json_t *first = json_array_get(c->messages, 0);
    if (strcmp(role_of(first), "system")) return NULL;
    return json_string_value(json_object_get(first, "content"));
}

const char *chat_last(const chat *c, const char *role)
{
    for (size_t i = json_array_size(c->messages); i-- > 0;) {
        const json_t *m = json_array_get(c->messages, i);
        if (!strcmp(role_of(m), role)) return json_string_value(json_object_get(m, "content"));
    }
    return NULL;
}

bool chat_drop_last(chat *c, const char *role)
{
    const size_t n = json_array_size(c->messages);
    if (!n || strcmp(role_of(json_array_get(c->messages, n - 1)), role)) return false;
    json_array_remove(c->messages, n - 1);
    return true;
}

void chat_clear(chat *c)
{
    const size_t keep = chat_system(c) ? 1 : 0;
    while (json_array_size(c->messages) > keep) json_array_remove(c->messages, keep);
}

/* ---- tokens ------------------------------------------------------------------- */
/* A model without a template continues plain text: the messages one after the other. */
static int plain_tokens(chat *c, mote_token **t, size_t *n)
{
    text all = { 0 };
    const json_t *m;
    size_t i;
    bool ok = text_puts(&all, "");
    json_array_foreach(c->messages, i, m) {
        const json_t *content = json_object_get(m, "content");
        ok = ok && (i == 0 || text_puts(&all, "\n"))
             && text_add(&all, json_string_value(content), json_string_length(content));
    }
    const unsigned flags = c->l->info.has_encoder ? MOTE_TEXT_BOS | MOTE_TEXT_EOS : MOTE_TEXT_BOS;
    const int st = ok ? load_tokens(c->l, all.p, all.n, flags, t, n)
                      : term_error(ST_NO_FIT, "no memory for the chat");
    text_free(&all);
    return st;
}

int chat_tokens_now(chat *c, mote_token **out, size_t *n)
{
    mote_chat q;
    mote_error err = { 0 };
    int st = ST_DONE;
    if (!c->l->info.has_chat_template) return plain_tokens(c, out, n);
    char *messages = json_dumps(c->messages, JSON_COMPACT);
    if (!messages) return term_error(ST_NO_FIT, "no memory for the chat");
    mote_chat_init(&q);
    q.messages = messages;
    mote_token *t = NULL;
    for (size_t cap = 4096;;) {
        free(t);
        t = malloc(cap * sizeof *t);
        if (!t) { st = term_error(ST_NO_FIT, "no memory for %zu tokens", cap); break; }
        const mote_status code = mote_chat_tokens(c->l->m, &q, t, cap, n, &err);
        if (code == MOTE_OK) break;
        if (code != MOTE_EFULL || *n <= cap) {
            st = term_mote_error(code, &err);
            break;
        }
        cap = *n;
    }
    free(messages);
    if (st) free(t);
    else *out = t;
    return st;
}

/* ---- a full context -------------------------------------------------------------- */
/* Removes the oldest message behind the system message, and its answer with it. */
static bool drop_oldest_turn(chat *c)
{
    const size_t at = chat_system(c) ? 1 : 0;
    if (json_array_size(c->messages) <= at + 1) return false;    /* only the question is left */
    json_array_remove(c->messages, at);
    while (json_array_size(c->messages) > at + 1
           && strcmp(role_of(json_array_get(c->messages, at)), "user"))
        json_array_remove(c->messages, at);
    return true;
}

static int too_long(const chat *c, size_t n)
{
    mote_engine_opts o;
    device d;
    term_buf b1, b2;
    mote_engine_opts_init(&o);
    o.n_ctx = ((int)n + 1023 + ROOM_MIN) / 1024 * 1024;
    const size_t need = mote_engine_bytes(c->l->m, &o);
    device_read(&d);
    if (c->answer.n)
        term_error(ST_NO_FIT, "the answer stopped: question and answer fill the context of %d", c->l->n_ctx);
    else
        term_error(ST_NO_FIT, "%s has %zu tokens, the context holds %d",
                   json_array_size(c->messages) > 2 ? "the chat" : "the prompt", n, c->l->n_ctx);
    term_try("--ctx %d   (needs %s, %s free)   nothing was cut", o.n_ctx, term_bytes(&b1, need),
             term_bytes(&b2, d.memory_free));
    return ST_NO_FIT;
}

/* Tokens of the chat, and of an answer that has begun behind them. */
static int all_tokens(chat *c, mote_token **t, size_t *n)
{
    mote_token *more = NULL;
    size_t n_more = 0;
    int st = chat_tokens_now(c, t, n);
    if (st || !c->answer.n) return st;
    st = load_tokens(c->l, c->answer.p, c->answer.n, 0, &more, &n_more);
    mote_token *all = st ? NULL : realloc(*t, (*n + n_more + 1) * sizeof *all);
    if (!st && !all) st = term_error(ST_NO_FIT, "no memory for %zu tokens", *n + n_more);
    if (all) {
        memcpy(all + *n, more, n_more * sizeof *all);
        *t = all;
        *n += n_more;
    } else {
        free(*t);
    }
    free(more);
    return st;
}

static bool can_drop(const chat *c)
{
    return json_array_size(c->messages) > (chat_system(c) ? 2u : 1u);
}

/* The same, made to fit: the person is asked once whether the oldest turns may go. */
static int fitting_tokens(chat *c, mote_token **t, size_t *n)
{
    const size_t most = (size_t)c->l->n_ctx;
    bool allowed = false;
    for (int dropped = 0;; dropped++) {
        const int st = all_tokens(c, t, n);
        if (st) return st;
        /* once something has to go, make room for a good answer, not for a word */
        const size_t room = dropped && can_drop(c) ? most / 4 : ROOM_MIN;
        if (*n + room <= most) {
            if (dropped) term_note("the oldest %d turn%s dropped", dropped, dropped == 1 ? " was" : "s were");
            return ST_DONE;
        }
        const size_t have = *n;
        free(*t);
        *t = NULL;
        if (c->interactive && !allowed && can_drop(c))
            allowed = term_ask(true, "The chat has %zu tokens, the context holds %d. Drop the oldest turns?",
                               have, c->l->n_ctx);
        if (!allowed || !drop_oldest_turn(c)) return too_long(c, have);
    }
}

/* ---- a turn ------------------------------------------------------------------------ */
typedef struct pieces { chat *c; double start; bool failed; } pieces;

static bool on_piece(void *user, const char *p, size_t n)
{
    pieces *o = user;
    chat *c = o->c;
    if (signals_seen()) return false;            /* came in before the session ran */
    if (c->first_token < 0) c->first_token = device_clock() - o->start;
    if (!text_add(&c->answer, p, n)) return false;
    if (!c->to_stdout) return true;
    if (term.out_tty) term_write(stdout, p, n, true);
    else fwrite(p, 1, n, stdout);
    if (fflush(stdout) != 0) o->failed = true;   /* nobody listens any more */
    return !o->failed;
}

/* Bytes that are no UTF-8, and NUL, become U+FFFD: messages are JSON. */
static int keep_answer(chat *c)
{
    text clean = { 0 };
    bool ok = text_puts(&clean, "");
    for (size_t i = 0; ok && i < c->answer.n;) {
        size_t good = text_utf8_bad(c->answer.p + i, c->answer.n - i);
        const char *nul = memchr(c->answer.p + i, 0, good);
        if (nul) good = (size_t)(nul - (c->answer.p + i));
        ok = text_add(&clean, c->answer.p + i, good);
        i += good;
        if (ok && i < c->answer.n) { ok = text_puts(&clean, "\xef\xbf\xbd"); i++; }
    }
    const int st = ok ? chat_add(c, "assistant", clean.p, clean.n)
                      : term_error(ST_NO_FIT, "no memory for the answer");
    text_free(&clean);
    return st;
}

/* A model with two stacks reads all of it first; its answer begins with its start token alone. */
static mote_status read_first(chat *c, mote_token *t, size_t *n, mote_error *err)
{
    if (!c->l->info.has_encoder) return MOTE_OK;
    const mote_status code = mote_encode(c->l->s, t, NULL, *n, MOTE_WANT_NONE, err);
    t[0] = c->l->info.start_token < 0 ? 0 : c->l->info.start_token;
    *n = 1;
    return code;
}

/* One go: from what stands there to a stop.  A second go follows when the context was full. */
static int go(chat *c, int max_tokens)
{
    mote_token *t;
    size_t n;
    mote_error err = { 0 };
    mote_stats s = { 0 };
    pieces o = { c, device_clock(), false };
    int st = fitting_tokens(c, &t, &n);
    if (st) return st;
    if (signals_seen()) {
        free(t);
        return ST_INTERRUPTED;
    }
    signals_guard(c->l->s);
    mote_status code = read_first(c, t, &n, &err);
    if (!code) code = mote_continue(c->l->s, c->sampler, t, n, max_tokens, on_piece, &o, &s, &err);
    signals_guard(NULL);
    free(t);
    c->stats.n_prompt = s.n_prompt;
    c->stats.n_cached = s.n_cached;
    c->stats.n_new += s.n_new;
    c->stats.prompt_seconds += s.prompt_seconds;
    c->stats.decode_seconds += s.decode_seconds;
    c->stats.stop = s.stop;
    c->stats.n_drafted += s.n_drafted;
    c->stats.n_accepted += s.n_accepted;
    if (o.failed) return ST_FAILED;
    if (signals_seen()) return ST_INTERRUPTED;
    return code ? term_mote_error(code, &err) : ST_DONE;
}

int chat_turn(chat *c)
{
    const int limit = args_int(c->a, OPT_MAX_TOKENS, 0);
    memset(&c->stats, 0, sizeof c->stats);
    c->answer.n = 0;
    c->first_token = -1;
    int st;
    for (;;) {
        const int left = limit ? limit - c->stats.n_new : c->l->n_ctx;
        st = go(c, left);
        if (st || c->stats.stop != MOTE_STOP_FULL) break;
        if (c->to_stdout && c->interactive) putchar('\n');
        if (!c->interactive) {
            fflush(stdout);
            st = term_error(ST_NO_FIT, "the answer stopped after %d tokens: the context of %d is full",
                            c->stats.n_new, c->l->n_ctx);
            term_try("--ctx %d   or -n N for a shorter answer", 2 * c->l->n_ctx);
            break;
        }
        if (limit && c->stats.n_new >= limit) break;
        /* fitting_tokens asks; a no leaves the answer as it is */
    }
    c->total_new += c->stats.n_new;
    c->total_seconds += c->stats.decode_seconds;
    if (c->answer.n) {
        const int kept = keep_answer(c);
        if (!st) st = kept;
        if (st == ST_NO_FIT && c->interactive) st = ST_DONE;     /* told; what there is stays */
    }
    return st;
}

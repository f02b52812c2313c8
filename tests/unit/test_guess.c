/* SPDX-License-Identifier: MIT */
/* test_guess.c - an answer is the same, byte for byte and call for call, whether or not tokens are
 * guessed ahead.
 *
 * Tiny random models repeat themselves soon, so that guesses come true; forced guessing sends them
 * without asking whether it pays, in changing lengths, so that others fail.  With MOTE_TEST_MODEL the
 * default model does the same (real_answers_are_the_same). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/model.h"

enum { N_CTX = 160, N_PROMPT = 40, MAX_BYTES = 1 << 16 };
enum { OFF, AUTO, ALWAYS };

static const char *const names[] = {"tiny_f32", "tiny_q4_1", "tiny_k", "tiny_qwen2", "llama3", "gpt2", "qwen2"};

static void must(mote_status st, const mote_error *err)
{
    if (st != MOTE_OK) fail_msg("%s: %s", mote_status_name(st), err->text);
}

typedef struct rig { mote_model *m; mote_engine *e; mote_session *s; mote_model_info info; int n_ctx; } rig;

static void open_engine(rig *r, int how, int n_batch, int n_ctx)
{
    mote_error err;
    mote_engine_opts o;
    mote_engine_opts_init(&o);
    o.n_ctx = r->n_ctx = MT_MIN(n_ctx, r->info.n_ctx_train), o.n_batch = n_batch, o.n_session = 3;
    o.n_draft = how == OFF ? -1 : 0;
    must(mote_engine_open(&r->e, r->m, &o, &err), &err);
    must(mote_session_open(&r->s, r->e, &err), &err);
    if (how == OFF) assert_null(r->s->guess);
    else assert_non_null(r->s->guess);
    if (how == ALWAYS) r->s->guess->always = true;
}

static rig open_rig(const char *name, int how, int n_batch)
{
    rig r;
    char path[512];
    mote_error err;
    mote_model_opts o;
    const char *root = getenv("MOTE_SOURCE");
    snprintf(path, sizeof path, "%s/tests/golden/%s.gguf", root ? root : ".", name);
    mote_model_opts_init(&o);
    o.n_threads = 1;
    must(mote_model_open(&r.m, path, &o, &err), &err);
    mote_model_describe(r.m, &r.info);
    open_engine(&r, how, n_batch, N_CTX);
    return r;
}

static void close_rig(rig *r)
{
    mote_session_close(r->s);
    assert_int_equal(r->e->n_free, r->e->n_page);        /* no page is lost */
    mote_engine_close(r->e);
    mote_model_close(r->m);
}

static void fill_prompt(mote_token *t, int n, int n_vocab, uint32_t seed)
{
    for (int i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        t[i] = i % 20 > 12 ? t[i - 11] : (mote_token)((seed >> 8) % (uint32_t)n_vocab);
    }
}

/* ---- what somebody who asks for an answer can see ------------------------------------------------------ */

typedef struct witness {
    char bytes[MAX_BYTES];               /* the pieces, each behind the session's length when it came */
    size_t n;
    int n_piece, stop_at;                /* the callback says no at this piece; 0: never */
    void (*act)(struct witness *w);      /* something else it does at piece act_at */
    int act_at;
    rig *r;
    mote_session *other;
} witness;

typedef struct seen {
    witness w;
    mote_status status;
    char error[252];
    mote_stats stats;
    mote_token token[N_CTX * 16];
    int length;
    uint32_t n_free;
    mote_token best, drawn;              /* at the end; and what the sampler draws next */
    size_t rows, cols;
    float *out;
} seen;

static bool on_piece(void *user, const char *p, size_t n)
{
    witness *w = user;
    w->n_piece++;
    assert_true(w->n + n + 16 < sizeof w->bytes);
    w->n += (size_t)snprintf(w->bytes + w->n, 16, "<%d>", mote_session_length(w->r->s));
    memcpy(w->bytes + w->n, p, n);
    w->n += n;
    if (w->act && w->n_piece == w->act_at) w->act(w);
    return w->n_piece != w->stop_at;
}

static void look(seen *x, rig *r, mote_sampler *p)
{
    const float *out = mote_output(r->s, &x->rows, &x->cols);
    x->length = mote_session_length(r->s);
    memcpy(x->token, mote_session_tokens(r->s), (size_t)x->length * sizeof *x->token);
    x->n_free = r->e->n_free;
    x->best = mote_best(r->s);
    x->out = NULL;
    if (!out) assert_true(x->rows == 0 && x->cols == 0);
    if (out) {
        x->out = malloc(x->rows * x->cols * sizeof *out);
        assert_non_null(x->out);
        memcpy(x->out, out, x->rows * x->cols * sizeof *out);
    }
    float flat[8192];
    for (int i = 0; i < MT_MIN(r->info.n_vocab, 8192); i++) flat[i] = (float)(i % 17);
    x->drawn = r->info.n_vocab <= 8192 ? mote_sample(p, flat) : 0;
}

static void same(const seen *a, const seen *b, const char *what)
{
    if (a->status != b->status || strcmp(a->error, b->error))
        fail_msg("%s: %s \"%s\" without, %s \"%s\" with guesses", what, mote_status_name(a->status), a->error,
                 mote_status_name(b->status), b->error);
    if (a->length != b->length || memcmp(a->token, b->token, (size_t)a->length * sizeof *a->token))
        fail_msg("%s: %d tokens without, %d with guesses, or others", what, a->length, b->length);
    if (a->w.n != b->w.n || memcmp(a->w.bytes, b->w.bytes, a->w.n)) fail_msg("%s: other pieces", what);
    assert_int_equal(a->stats.n_prompt, b->stats.n_prompt);
    assert_int_equal(a->stats.n_cached, b->stats.n_cached);
    assert_int_equal(a->stats.n_new, b->stats.n_new);
    assert_int_equal(a->stats.stop, b->stats.stop);
    assert_int_equal(a->n_free, b->n_free);
    assert_int_equal(a->best, b->best);
    if (a->drawn != b->drawn) fail_msg("%s: the sampler stands elsewhere", what);
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->cols, b->cols);
    assert_int_equal(!a->out, !b->out);
    if (a->out && memcmp(a->out, b->out, a->rows * a->cols * sizeof *a->out)) fail_msg("%s: other logits", what);
}

/* One answer behind t, and a second that goes on from a part of it. */
static void two_answers(rig *r, const mote_sampler_opts *so, const mote_token *t, int n, int max_tokens,
                        const witness *how, seen x[2])
{
    mote_error err = {0};
    mote_sampler *p;
    must(mote_session_rewind(r->s, 0, &err), &err);
    must(mote_sampler_open(&p, r->m, so, &err), &err);
    mote_token second[N_CTX * 16];
    for (int i = 0; i < 2; i++) {
        x[i] = (seen){.w = *how};
        x[i].w.r = r, err.text[0] = '\0';
        if (x[i].w.act) must(mote_session_open(&x[i].w.other, r->e, &err), &err);
        x[i].status = mote_continue(r->s, p, t, (size_t)n, max_tokens, on_piece, &x[i].w, &x[i].stats, &err);
        if (x[i].status != MOTE_OK) memcpy(x[i].error, err.text, sizeof err.text);
        mote_session_close(x[i].w.other);
        look(&x[i], r, p);
        n = MT_MAX(x[i].length - 5, 1);
        memcpy(second, x[i].token, (size_t)n * sizeof *second);
        second[n++] = 3;
        t = second;
    }
    mote_sampler_close(p);
}

static void forget(seen x[2]) { free(x[0].out), free(x[1].out); }

/* ---- ways to sample --------------------------------------------------------------------------------------- */

enum { N_WAYS = 6 };
static mote_sampler_opts way(int i, const mote_model *m)
{
    mote_sampler_opts o;
    mote_sampler_opts_init(&o, m);
    o.seed = 11 + (uint64_t)i;
    o.temperature = 0;
    switch (i) {
    case 0: break;                                       /* the plain arg-max */
    case 1: o.repeat_penalty = 1.02f, o.repeat_last_n = 8; break;
    case 2: o.temperature = 0.05f; break;                /* random models are flat: little is enough */
    case 3: o.temperature = 0.3f, o.top_k = 3, o.frequency_penalty = 0.01f, o.repeat_last_n = -1; break;
    case 4: o.temperature = 0.05f, o.xtc_probability = 0.3f, o.xtc_threshold = 0.2f, o.dry_multiplier = 0.05f; break;
    case 5: o.temperature = 0.2f, o.mirostat = 2, o.mirostat_tau = 1; break;
    }
    return o;
}

static seen plain[2], with[2];

/* how many of the guesses came true, over all of it */
static int compare(rig *off, rig *on, const mote_sampler_opts *so, const mote_token *t, int n, int max_tokens,
                   const witness *w, const char *what)
{
    two_answers(off, so, t, n, max_tokens, w, plain);
    two_answers(on, so, t, n, max_tokens, w, with);
    int accepted = 0;
    for (int i = 0; i < 2; i++) {
        same(&plain[i], &with[i], what);
        assert_int_equal(plain[i].stats.n_drafted, 0);
        assert_true(with[i].stats.n_accepted <= with[i].stats.n_drafted);
        accepted += with[i].stats.n_accepted;
    }
    forget(plain), forget(with);
    return accepted;
}

static void answers_are_the_same(void **state)
{
    (void)state;
    static const int lengths[] = {1, 2, 30, 1000};
    static const struct { int n_batch, how; } kinds[] = {{2, ALWAYS}, {5, ALWAYS}, {64, ALWAYS}, {64, AUTO}};
    for (size_t m = 0; m < MT_COUNT(names); m++) {
        int accepted[N_WAYS] = {0};
        for (size_t k = 0; k < MT_COUNT(kinds); k++) {
            rig off = open_rig(names[m], OFF, kinds[k].n_batch), on = open_rig(names[m], kinds[k].how, kinds[k].n_batch);
            mote_token t[N_PROMPT];
            const int n = MT_MIN(N_PROMPT, off.n_ctx / 2);
            fill_prompt(t, n, off.info.n_vocab, 7);
            for (int i = 0; i < N_WAYS; i++)
                for (size_t l = 0; l < MT_COUNT(lengths); l++) {
                    char what[128];
                    const mote_sampler_opts so = way(i, off.m);
                    snprintf(what, sizeof what, "%s, kind %zu, way %d, %d tokens", names[m], k, i, lengths[l]);
                    const witness w = {0};
                    accepted[i] += compare(&off, &on, &so, t, n, lengths[l], &w, what);
                }
            close_rig(&off), close_rig(&on);
        }
        print_message("%s: right guesses", names[m]);
        for (int i = 0; i < N_WAYS; i++) print_message(" %d", accepted[i]);
        print_message("\n");
        assert_true(accepted[0] > 0);
    }
}

/* ---- what a callback may do --------------------------------------------------------------------------------- */

static void cancel(witness *w) { mote_session_cancel(w->r->s); }

static void use_the_engine(witness *w)
{
    mote_error err;
    const mote_token t[] = {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    must(mote_decode(w->other, t, MT_COUNT(t), MOTE_WANT_ALL, &err), &err);
}

/* The fork goes its own way for two pages, the answer must not see it; nor the fork the guesses. */
static void fork_and_write(witness *w)
{
    mote_error err;
    mote_session *f;
    mote_token t[20];
    must(mote_session_fork(&f, w->r->s, &err), &err);
    assert_int_equal(f->n_page, (f->length + MT_PAGE - 1) / MT_PAGE);    /* a page of guesses would be written by both */
    const int n = MT_MIN(20, w->r->n_ctx - f->length);
    for (int i = 0; i < n; i++) t[i] = 20 + i;
    if (n > 0) must(mote_decode(f, t, (size_t)n, MOTE_WANT_BEST, &err), &err);
    w->n += (size_t)snprintf(w->bytes + w->n, 16, "[%d]", mote_best(f));
    mote_session_close(f);
}

static void callbacks_see_the_same(void **state)
{
    (void)state;
    static void (*const acts[])(witness *) = {NULL, cancel, use_the_engine, fork_and_write};
    for (size_t m = 0; m < 4; m++) {                     /* those that have a tokenizer */
        rig off = open_rig(names[m], OFF, 64), on = open_rig(names[m], ALWAYS, 64);
        mote_token t[N_PROMPT];
        fill_prompt(t, N_PROMPT, off.info.n_vocab, 9);
        int accepted = 0, pieces = 0;
        for (size_t a = 0; a < MT_COUNT(acts); a++)
            for (int at = 1; at < 60; at += 1 + at / 4)
                for (int i = 0; i < N_WAYS; i += 2) {
                    char what[128];
                    const mote_sampler_opts so = way(i, off.m);
                    const witness w = {.stop_at = a == 0 ? at : 0, .act = acts[a], .act_at = at};
                    snprintf(what, sizeof what, "%s, act %zu at piece %d, way %d", names[m], a, at, i);
                    accepted += compare(&off, &on, &so, t, N_PROMPT, 80, &w, what);
                    pieces += plain[0].w.n_piece;
                }
        print_message("%s: %d pieces, %d right guesses\n", names[m], pieces, accepted);
        assert_true(accepted > 0 && pieces > 0);
        close_rig(&off), close_rig(&on);
    }
}

static void n_draft_is_checked(void **state)
{
    (void)state;
    rig r = open_rig(names[0], AUTO, 64);
    mote_error err = {0};
    mote_engine_opts o;
    mote_engine_opts_init(&o);
    o.n_draft = 16;
    assert_int_equal(mote_engine_bytes(r.m, &o), 0);
    mote_engine *e;
    assert_int_equal(mote_engine_open(&e, r.m, &o, &err), MOTE_EINVAL);
    assert_non_null(strstr(err.text, "n_draft"));
    o.n_draft = -2;
    assert_int_equal(mote_engine_open(&e, r.m, &o, &err), MOTE_EINVAL);
    o.n_draft = 3, o.n_ctx = 64;
    const size_t some = mote_engine_bytes(r.m, &o);
    must(mote_engine_open(&e, r.m, &o, &err), &err);
    assert_int_equal(e->n_draft, 3);
    mote_engine_close(e);
    o.n_batch = 1;                       /* no room for a guess in a pass of one row */
    must(mote_engine_open(&e, r.m, &o, &err), &err);
    assert_int_equal(e->n_draft, 0);
    mote_engine_close(e);
    o.n_batch = 0, o.n_draft = -1;
    const size_t none = mote_engine_bytes(r.m, &o);
    assert_true(none > 0 && none < some);
    close_rig(&r);
}

/* ---- the default model ---------------------------------------------------------------------------------------- */

static const char *const questions[] = {
    "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n\ndef mul(a, b):\n    return",
    "Write the alphabet, then write it again: a b c d e f g h i j k l m n o p q r s t u v w x y z a b c",
    "Why is the sky blue? Answer in a few sentences.",
};

static void real_answers_are_the_same(void **state)
{
    (void)state;
    rig off = {0}, on;
    mote_error err;
    must(mote_model_open(&off.m, getenv("MOTE_TEST_MODEL"), NULL, &err), &err);
    mote_model_describe(off.m, &off.info);
    on = off;
    open_engine(&off, OFF, 64, 512), open_engine(&on, ALWAYS, 64, 512);
    for (size_t q = 0; q < MT_COUNT(questions); q++)
        for (int i = 0; i < 4; i++) {
            mote_token t[256];
            size_t n;
            mote_sampler_opts so;
            mote_sampler_opts_init(&so, off.m);
            so.seed = 5;
            so.temperature = i == 0 ? 0 : 0.4f * (float)i;
            const witness w = {0};
            must(mote_tokenize(off.m, questions[q], strlen(questions[q]), MOTE_TEXT_BOS, t, 256, &n, &err), &err);
            const int accepted = compare(&off, &on, &so, t, (int)n, 40, &w, questions[q]);
            print_message("question %zu, temperature %.1f: %d right guesses\n", q, (double)so.temperature, accepted);
        }
    mote_session_close(off.s), mote_engine_close(off.e);
    close_rig(&on);
}

/* test_real tells why. */
static bool is_too_slow(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#endif
    return !strstr(mote_cpu_name(), "avx2") && !strstr(mote_cpu_name(), "neon");
}

int main(void)
{
    const char *path = getenv("MOTE_TEST_MODEL");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_the_same),
        cmocka_unit_test(callbacks_see_the_same),
        cmocka_unit_test(n_draft_is_checked),
    };
    const struct CMUnitTest real[] = {cmocka_unit_test(real_answers_are_the_same)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (path && *path && !is_too_slow()) failed += cmocka_run_group_tests(real, NULL, NULL);
    else printf("SKIPPED: real_answers_are_the_same: %s\n", path && *path ? "too slow here" : "MOTE_TEST_MODEL does not name the default model");
    return failed;
}

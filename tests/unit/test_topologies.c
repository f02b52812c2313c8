/* SPDX-License-Identifier: MIT */
/* test_topologies.c - every family through the plan, with float weights, against what transformers
 * computed in double (tests/golden/make_models.py): prompt and step by step, several texts in one
 * pass; and the same bits whatever travels together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "support/verified.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/model.h"
#include "plan/interp.h"
#include "plan/stage.h"
#include "unit/fail_alloc.h"

enum { N_CTX = 200, MAX_CASE = 4, MAX_NUMBERS = 200 * 128 };

/* What a session keeps is bf16 by default, and that alone is lost: these weights multiply in f32.
 * f32 keys and values, and `exact`, are held to their worst error over the deviation of what is expected,
 * the default to the power of its error over that of the whole (docs/numerics.md). */
typedef enum precision { DEFAULT, F32_KEYS, EXACT, N_PRECISION } precision;
static const char *const mode_names[] = { "default", "f32 keys", "exact" };
static const double tolerance[] = { 2e-3, 5e-5, 5e-5 };

static void must(mote_status st, const mote_error *err)
{
    if (st != MOTE_OK) fail_msg("%s: %s", mote_status_name(st), err->text);
}

/* ---- a model, and what is expected of it ---------------------------------- */

typedef struct rig {
    const char *name;
    mt_source *expect;
    mote_model *m;
    mote_engine *e;
    mote_session *s[MAX_CASE];
    mote_model_info info;
    int n_case;
} rig;

typedef struct setup { int threads, n_batch; precision mode; } setup;

static void path_of(char path[512], const char *prefix, const char *name)
{
    const char *root = getenv("MOTE_SOURCE");
    snprintf(path, 512, "%s/tests/golden/%s%s.gguf", root ? root : ".", prefix, name);
}

static rig open_rig(const char *name, setup how)
{
    rig r = { .name = name };
    char path[512];
    mote_error err = { 0 };
    int64_t n = 0;
    path_of(path, "expect_", name);
    must(mt_source_open(&r.expect, path, NULL, &err), &err);
    assert_true(mt_meta_int(r.expect, "golden.cases", &n) && n > 0 && n <= MAX_CASE);
    r.n_case = (int)n;
    mote_model_opts mo;
    mote_model_opts_init(&mo);
    must(mt_pool_open_crowded(&mo.pool, how.threads, NULL, &err), &err);
    path_of(path, "", name);
    must(mote_model_open(&r.m, path, &mo, &err), &err);
    mote_pool_close(mo.pool);
    mote_model_describe(r.m, &r.info);
    mote_engine_opts eo;
    mote_engine_opts_init(&eo);
    eo.n_ctx = r.info.n_ctx_train ? MT_MIN(N_CTX, r.info.n_ctx_train) : N_CTX;
    eo.n_batch = how.n_batch, eo.n_session = MAX_CASE, eo.exact = how.mode == EXACT;
    eo.kv_type = how.mode == F32_KEYS ? "f32" : NULL;
    must(mote_engine_open(&r.e, r.m, &eo, &err), &err);
    for (int i = 0; i < MAX_CASE; i++) must(mote_session_open(&r.s[i], r.e, &err), &err);
    return r;
}

static void close_rig(rig *r)
{
    for (int i = 0; i < MAX_CASE; i++) mote_session_close(r->s[i]);
    mote_engine_close(r->e);
    mote_model_close(r->m);
    mt_source_close(r->expect);
}

static const mt_tensor *expected(const rig *r, const char *what, int i)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%d", what, i);
    const mt_tensor *t = mt_source_tensor(r->expect, name);
    if (!t) fail_msg("%s has no %s", r->name, name);
    return t;
}

/* Ids of a case; *n their number. */
static const mote_token *ids_of(const rig *r, const char *what, int i, size_t *n)
{
    const mt_tensor *t = expected(r, what, i);
    assert_int_equal(t->type, MT_I32);
    *n = (size_t)t->ne[0];
    return (const mote_token *)(const void *)t->data;
}

/* What a session gives against rows of an expectation from row `first` on. */
static double error_of(const rig *r, precision mode, const mote_session *s, const char *what, int i, size_t first)
{
    size_t rows, cols;
    const float *got = mote_output(s, &rows, &cols);
    const mt_tensor *t = expected(r, what, i);
    assert_non_null(got);
    assert_int_equal(t->type, MT_F64);
    assert_int_equal(t->ne[0], cols);
    rows = MT_MIN(rows, (size_t)t->ne[1] - first);
    double sum = 0, square = 0, worst = 0, error = 0, power = 0, x;
    const size_t n = (size_t)mt_tensor_count(t);
    for (size_t j = 0; j < n; j++) {
        memcpy(&x, t->data + j * sizeof x, sizeof x);
        sum += x, square += x * x;
    }
    const double std = sqrt(square / (double)n - sum * sum / (double)n / (double)n);
    for (size_t j = 0; j < rows * cols; j++) {
        memcpy(&x, t->data + (first * cols + j) * sizeof x, sizeof x);
        const double e = fabs((double)got[j] - x) / std;
        if (!(e <= worst)) worst = e;
        error += e * e * std * std, power += x * x;
    }
    return mode == DEFAULT ? error / power : worst;
}

static double worst_of[N_PRECISION];

static void check(const rig *r, precision mode, const mote_session *s, const char *what, int i, size_t first)
{
    const double e = error_of(r, mode, s, what, i, first);
    if (!(e <= tolerance[mode]))
        fail_msg("%s, %s: %s of case %d from row %zu differs by %g, allowed %g", r->name, mode_names[mode], what, i, first,
                 e, tolerance[mode]);
    worst_of[mode] = fmax(worst_of[mode], e);
    mt_verified("GPT-2, BERT, T5, RWKV-4, Llama, Qwen2, Mixtral", "outputs through the plan",
                "transformers 5.23 in float64", 1);
}

static void say(const char *name)
{
    print_message("%-10s worst error %.1e exact, %.1e with f32 keys; NMSE by default %.1e\n", name, worst_of[EXACT],
                  worst_of[F32_KEYS], worst_of[DEFAULT]);
    memset(worst_of, 0, sizeof worst_of);
}

/* ---- decoders ---------------------------------------------------------------- */

/* Case i on a session, `step` tokens at a time. */
static void check_decoder(const rig *r, precision mode, mote_session *s, int i, size_t step)
{
    size_t n;
    mote_error err;
    const mote_token *t = ids_of(r, "ids", i, &n);
    for (int hidden = 0; hidden < 2; hidden++) {
        must(mote_session_rewind(s, 0, &err), &err);
        for (size_t at = 0; at < n; at += step) {
            must(mote_decode(s, t + at, MT_MIN(step, n - at), hidden ? MOTE_WANT_HIDDEN : MOTE_WANT_ALL, &err), &err);
            check(r, mode, s, hidden ? "hidden" : "logits", i, at);
        }
    }
}

static void decoders_equal_transformers(void **state)
{
    static const char *const names[] = { "llama_gqa", "llama3", "qwen2", "mixtral", "gpt2", "rwkv4" };
    static const size_t steps[] = { 1000, 1, 5 };
    (void)state;
    for (size_t m = 0; m < MT_COUNT(names); m++) {
        for (precision mode = DEFAULT; mode < N_PRECISION; mode++) {
            rig r = open_rig(names[m], (setup){ 2, N_CTX, mode });
            for (int i = 0; i < r.n_case; i++)
                for (size_t k = 0; k < MT_COUNT(steps); k++) check_decoder(&r, mode, r.s[i], i, steps[k]);
            close_rig(&r);
        }
        say(names[m]);
    }
}

/* All cases of a model in the same passes, some of them several tokens further than others. */
static void decoders_together_equal_transformers(void **state)
{
    static const char *const names[] = { "mixtral", "gpt2", "rwkv4" };
    (void)state;
    for (size_t m = 0; m < MT_COUNT(names); m++) {
        rig r = open_rig(names[m], (setup){ 3, N_CTX, EXACT });
        size_t at[MAX_CASE] = { 0 }, n;
        for (size_t round = 0;; round++) {
            mote_step step[MAX_CASE];
            int which[MAX_CASE];
            size_t k = 0;
            for (int i = 0; i < r.n_case; i++) {
                const mote_token *t = ids_of(&r, "ids", i, &n);
                const size_t take = MT_MIN((round + (size_t)i) % 3 + 1, n - at[i]);
                if (take == 0) continue;
                which[k] = i;
                step[k++] = (mote_step){ r.s[i], t + at[i], take, MOTE_WANT_ALL };
            }
            if (k == 0) break;
            mote_error err;
            must(mote_decode_many(step, k, &err), &err);
            for (size_t j = 0; j < k; j++) {
                check(&r, EXACT, step[j].session, "logits", which[j], at[which[j]]);
                at[which[j]] += step[j].n;
            }
        }
        close_rig(&r);
    }
}

/* ---- encoders ------------------------------------------------------------------- */

static void encoder_equals_transformers(void **state)
{
    (void)state;
    for (precision mode = DEFAULT; mode < N_PRECISION; mode++) {
        rig r = open_rig("bert", (setup){ 2, N_CTX, mode });
        for (int want = MOTE_WANT_HIDDEN; want <= MOTE_WANT_POOLED; want++) {
            const char *what = want == MOTE_WANT_HIDDEN ? "hidden" : "pooled";
            mote_step step[MAX_CASE];
            const mote_token *types[MAX_CASE];
            mote_error err;
            size_t n;
            for (int i = 0; i < r.n_case; i++) {
                const mote_token *t = ids_of(&r, "ids", i, &n);
                types[i] = ids_of(&r, "types", i, &n);
                step[i] = (mote_step){ r.s[i], t, n, (mote_want)want };
                must(mote_encode(r.s[0], t, types[i], n, (mote_want)want, &err), &err);
                check(&r, mode, r.s[0], what, i, 0);
            }
            must(mote_encode_many(step, types, (size_t)r.n_case, &err), &err);
            for (int i = 0; i < r.n_case; i++) check(&r, mode, r.s[i], what, i, 0);
        }
        close_rig(&r);
    }
    say("bert");
}

static const char *const encdecs[] = { "t5_v10", "t5_v11" };

static void encoder_decoders_equal_transformers(void **state)
{
    static const size_t steps[] = { 1000, 1, 2 };
    (void)state;
    for (size_t m = 0; m < MT_COUNT(encdecs); m++) {
        for (precision mode = DEFAULT; mode < N_PRECISION; mode++) {
            rig r = open_rig(encdecs[m], (setup){ 2, N_CTX, mode });
            assert_int_equal(r.info.start_token, 0);
            for (int i = 0; i < r.n_case; i++) {
                size_t n;
                mote_error err;
                const mote_token *t = ids_of(&r, "enc_ids", i, &n);
                must(mote_encode(r.s[i], t, NULL, n, MOTE_WANT_HIDDEN, &err), &err);
                check(&r, mode, r.s[i], "enc_hidden", i, 0);
            }
            for (int i = 0; i < r.n_case; i++)
                for (size_t k = 0; k < MT_COUNT(steps); k++) check_decoder(&r, mode, r.s[i], i, steps[k]);
            close_rig(&r);
        }
        say(encdecs[m]);
    }
}

/* ---- what no golden has ------------------------------------------------------------ */

/* The same graph with another mask, run by both: what matters is that they read it alike. */
static void compare_to_interp(const char *name, int window, mt_bias_fn bias, float softcap)
{
    enum { N = 19 };
    rig r = open_rig(name, (setup){ 2, N_CTX, EXACT });
    mt_net *net = &r.m->net;
    mt_graph *const graphs[] = { &net->enc, &net->dec };
    for (int g = 0; g < 2; g++)
        for (int i = 0; i < graphs[g]->n_op; i++)
            if (graphs[g]->op[i].kind == MT_OP_ATTEND) {
                graphs[g]->op[i].u.attend.window = window, graphs[g]->op[i].u.attend.softcap = softcap;
                if (graphs[g]->op[i].u.attend.bias_fn == MT_BIAS_NONE) graphs[g]->op[i].u.attend.bias_fn = bias;
            }
    mote_error err;
    mote_engine_opts eo;
    mote_engine_opts_init(&eo);
    eo.n_ctx = N, eo.exact = true;
    mote_engine *e;
    mote_session *s;
    mt_interp *it;
    must(mote_engine_open(&e, r.m, &eo, &err), &err);
    must(mote_session_open(&s, e, &err), &err);
    must(mt_interp_open(&it, net, NULL, &err), &err);
    mote_token t[N];
    for (int i = 0; i < N; i++) t[i] = (i * 7 + 3) % r.info.n_vocab;
    const mt_graph *g = net->enc.n_op > 0 ? &net->enc : &net->dec;
    if (g == &net->enc) {
        must(mote_encode(s, t, NULL, N, MOTE_WANT_HIDDEN, &err), &err);
        must(mt_interp_encode(it, t, NULL, N, &err), &err);
    } else {
        must(mote_decode(s, t, N, MOTE_WANT_HIDDEN, &err), &err);
        must(mt_interp_decode(it, t, N, &err), &err);
    }
    int rows, cols;
    size_t got_cols;
    const double *want = mt_interp_value(it, g->hidden, &rows, &cols);
    const float *got = mote_output(s, NULL, &got_cols);
    assert_int_equal(got_cols, cols);
    double error = 0, power = 0;
    for (int i = 0; i < rows * cols; i++)
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]), power += want[i] * want[i];
    if (!(error <= 1e-10 * power)) fail_msg("%s, window %d, bias %d: NMSE %g", name, window, (int)bias, error / power);
    mt_interp_close(it);
    mote_session_close(s);
    mote_engine_close(e);
    close_rig(&r);
}

static void masks_and_biases_equal_the_interpreter(void **state)
{
    static const char *const names[] = { "bert", "gpt2", "llama_gqa", "t5_v11" };
    static const int windows[] = { 0, 1, 4, 16, 40 };
    (void)state;
    for (size_t m = 0; m < MT_COUNT(names); m++)
        for (size_t w = 0; w < MT_COUNT(windows); w++) {
            compare_to_interp(names[m], windows[w], MT_BIAS_NONE, 0);
            compare_to_interp(names[m], windows[w], MT_BIAS_ALIBI, w % 2 ? 5.0f : 0.0f);
        }
}

/* ---- the same bits --------------------------------------------------------------- */

typedef struct kept { float x[MAX_NUMBERS]; size_t n; } kept;

/* The first time what a session gives is kept, then it must be the same bytes. */
static void same(kept *k, const mote_session *s, const char *what, setup how)
{
    size_t rows, cols;
    const float *got = mote_output(s, &rows, &cols);
    assert_true(rows * cols > 0 && rows * cols <= MAX_NUMBERS);
    if (k->n == 0) memcpy(k->x, got, rows * cols * sizeof *got);
    if (k->n == 0) k->n = rows * cols;
    assert_int_equal(k->n, rows * cols);
    if (memcmp(k->x, got, k->n * sizeof *got) != 0)
        fail_msg("%s: %d threads, %d rows a pass give other bits", what, how.threads, how.n_batch);
}

static const int all_threads[] = { 1, 2, 3, 5 };

/* Texts alone, and together in two orders, in one pass or in several. */
static void encoded_bits_do_not_depend_on_company(void **state)
{
    static const int batches[] = { 20, 34, 200 };
    static kept hidden[MAX_CASE], pooled[MAX_CASE];
    (void)state;
    for (size_t th = 0; th < MT_COUNT(all_threads); th++)
        for (size_t b = 0; b < MT_COUNT(batches); b++)
            for (int order = 0; order < 2; order++) {
                const setup how = { all_threads[th], batches[b], DEFAULT };
                rig r = open_rig("bert", how);
                mote_step step[MAX_CASE];
                const mote_token *types[MAX_CASE];
                mote_error err;
                for (int i = 0; i < r.n_case; i++) {
                    const int at = order ? r.n_case - 1 - i : i;
                    size_t n;
                    const mote_token *t = ids_of(&r, "ids", i, &n);
                    types[at] = ids_of(&r, "types", i, &n);
                    step[at] = (mote_step){ r.s[i], t, n, MOTE_WANT_POOLED };
                    must(mote_encode(r.s[i], t, types[at], n, MOTE_WANT_HIDDEN, &err), &err);
                    same(&hidden[i], r.s[i], "bert alone", how);
                }
                must(mote_encode_many(step, types, (size_t)r.n_case, &err), &err);
                for (int i = 0; i < r.n_case; i++) same(&pooled[i], r.s[i], "bert pooled", how);
                for (int i = 0; i < r.n_case; i++) step[i].want = MOTE_WANT_HIDDEN;
                const mote_status st = mote_encode_many(step, types, (size_t)r.n_case, &err);
                assert_int_equal(st, how.n_batch < 34 ? MOTE_EINVAL : MOTE_OK);
                for (int i = 0; st == MOTE_OK && i < r.n_case; i++) same(&hidden[i], r.s[i], "bert together", how);
                close_rig(&r);
            }
}

/* Texts encoded together or alone, their answers decoded in pieces, alone or side by side. */
static void decoded_bits_do_not_depend_on_company(void **state)
{
    static const size_t steps[] = { 1, 3, 1000 };
    static kept last[2][MAX_CASE];
    (void)state;
    for (size_t m = 0; m < MT_COUNT(encdecs); m++)
        for (size_t th = 0; th < MT_COUNT(all_threads); th++)
            for (int together = 0; together < 2; together++) {
                const setup how = { all_threads[th], together ? 170 : 150, DEFAULT };
                rig r = open_rig(encdecs[m], how);
                mote_step step[MAX_CASE];
                mote_error err;
                size_t n;
                for (int i = 0; i < r.n_case; i++) {
                    const mote_token *t = ids_of(&r, "enc_ids", i, &n);
                    step[i] = (mote_step){ r.s[i], t, n, MOTE_WANT_NONE };
                    if (!together) must(mote_encode(r.s[i], t, NULL, n, MOTE_WANT_NONE, &err), &err);
                }
                if (together) must(mote_encode_many(step, NULL, (size_t)r.n_case, &err), &err);
                for (size_t k = 0; k < MT_COUNT(steps); k++)
                    for (int i = 0; i < r.n_case; i++) {
                        const mote_token *t = ids_of(&r, "ids", i, &n);
                        must(mote_session_rewind(r.s[i], 0, &err), &err);
                        for (size_t at = 0; at < n; at += steps[k])
                            must(mote_decode(r.s[i], t + at, MT_MIN(steps[k], n - at), MOTE_WANT_LAST, &err), &err);
                        same(&last[m][i], r.s[i], encdecs[m], how);
                    }
                for (int i = 0; i < r.n_case; i++) {
                    must(mote_session_rewind(r.s[i], 0, &err), &err);
                    const mote_token *t = ids_of(&r, "ids", i, &n);
                    step[i] = (mote_step){ r.s[i], t, n, MOTE_WANT_LAST };
                }
                must(mote_decode_many(step, (size_t)r.n_case, &err), &err);
                for (int i = 0; i < r.n_case; i++) same(&last[m][i], r.s[i], encdecs[m], how);
                close_rig(&r);
            }
}

static void bits_do_not_depend_on_cpu_level(void **state)
{
    static const char *const levels[] = { "scalar", "avx2", "avx512", "neon", "dotprod", "full" };
    static kept text[3], answer[3];
    static const char *const names[] = { "bert", "t5_v10", "t5_v11" };
    (void)state;
    for (size_t l = 0; l < MT_COUNT(levels); l++) {
        if (mote_cpu_limit(levels[l], NULL) != MOTE_OK) continue;
        for (size_t m = 0; m < MT_COUNT(names); m++) {
            const setup how = { 1, N_CTX, DEFAULT };
            rig r = open_rig(names[m], how);
            mote_error err;
            size_t n;
            const mote_token *t = ids_of(&r, r.info.has_decoder ? "enc_ids" : "ids", 2, &n);
            must(mote_encode(r.s[0], t, NULL, n, MOTE_WANT_HIDDEN, &err), &err);
            same(&text[m], r.s[0], levels[l], how);
            if (r.info.has_decoder) {
                t = ids_of(&r, "ids", 0, &n);
                must(mote_decode(r.s[0], t, n, MOTE_WANT_LAST, &err), &err);
                same(&answer[m], r.s[0], levels[l], how);
            }
            close_rig(&r);
        }
    }
    must(mote_cpu_limit("full", NULL), &(mote_error){ 0 });
}

/* ---- sessions ----------------------------------------------------------------------- */

static void forks_share_what_was_encoded(void **state)
{
    (void)state;
    static kept answer;
    rig r = open_rig("t5_v11", (setup){ 2, N_CTX, DEFAULT });
    const setup how = { 2, N_CTX, DEFAULT };
    mote_error err;
    size_t n, n_other;
    const mote_token *t = ids_of(&r, "enc_ids", 0, &n), *other = ids_of(&r, "enc_ids", 2, &n_other);
    const uint32_t free_pages = r.e->n_free;
    const mote_token start = r.info.start_token;
    assert_int_equal(mote_decode(r.s[0], &start, 1, MOTE_WANT_LAST, &err), MOTE_EINVAL);
    must(mote_encode(r.s[0], t, NULL, n, MOTE_WANT_NONE, &err), &err);
    must(mote_decode(r.s[0], &start, 1, MOTE_WANT_LAST, &err), &err);
    same(&answer, r.s[0], "answer", how);
    mote_session_close(r.s[1]);
    must(mote_session_fork(&r.s[1], r.s[0], &err), &err);
    must(mote_encode(r.s[0], other, NULL, n_other, MOTE_WANT_NONE, &err), &err);
    assert_int_equal(mote_session_length(r.s[0]), 0);
    must(mote_session_rewind(r.s[1], 0, &err), &err);
    must(mote_decode(r.s[1], &start, 1, MOTE_WANT_LAST, &err), &err);
    same(&answer, r.s[1], "a fork's answer behind another text", how);
    must(mote_encode(r.s[0], t, NULL, n, MOTE_WANT_NONE, &err), &err);
    must(mote_decode(r.s[0], &start, 1, MOTE_WANT_LAST, &err), &err);
    same(&answer, r.s[0], "the first text again", how);
    for (int i = 0; i < 2; i++) mote_session_close(r.s[i]);
    assert_int_equal(r.e->n_free, free_pages);
    for (int i = 0; i < 2; i++) must(mote_session_open(&r.s[i], r.e, &err), &err);
    close_rig(&r);
}

/* A recurrent state cannot go back: what is kept is read again, to the same bits. */
static void recurrent_sessions_go_back(void **state)
{
    (void)state;
    static kept whole, half;
    const setup how = { 2, 7, DEFAULT };
    rig r = open_rig("rwkv4", how);
    mote_error err;
    size_t n;
    const mote_token *t = ids_of(&r, "ids", 0, &n);
    assert_true(n >= 12);
    must(mote_decode(r.s[0], t, 6, MOTE_WANT_LAST, &err), &err);
    same(&half, r.s[0], "half", how);
    mote_session_close(r.s[1]);
    must(mote_session_fork(&r.s[1], r.s[0], &err), &err);
    must(mote_decode(r.s[0], t + 6, n - 6, MOTE_WANT_LAST, &err), &err);
    same(&whole, r.s[0], "whole", how);
    must(mote_decode(r.s[1], t + 6, n - 6, MOTE_WANT_LAST, &err), &err);
    same(&whole, r.s[1], "a fork", how);
    must(mote_session_rewind(r.s[0], 5, &err), &err);
    mote_session_close(r.s[2]);
    must(mote_session_fork(&r.s[2], r.s[0], &err), &err);
    for (int i = 0; i < 3; i += 2) {
        must(mote_decode(r.s[i], t + 5, 1, MOTE_WANT_LAST, &err), &err);
        same(&half, r.s[i], "rewound", how);
        assert_int_equal(mote_session_length(r.s[i]), 6);
        assert_memory_equal(mote_session_tokens(r.s[i]), t, 6 * sizeof *t);
    }
    must(mote_decode(r.s[0], t + 6, n - 6, MOTE_WANT_LAST, &err), &err);
    same(&whole, r.s[0], "rewound and on", how);
    must(mote_session_rewind(r.s[0], 0, &err), &err);
    must(mote_decode(r.s[0], t, n, MOTE_WANT_LAST, &err), &err);
    same(&whole, r.s[0], "from the beginning", how);
    /* cancelled while it reads again, it is still where it was */
    must(mote_session_rewind(r.s[0], 9, &err), &err);
    mote_session_cancel(r.s[0]);
    const mote_step step = { r.s[0], t + 9, n - 9, MOTE_WANT_LAST };
    assert_int_equal(mt_engine_decode(&step, 1, &err), MOTE_ECANCELLED);
    assert_int_equal(mote_session_length(r.s[0]), 9);
    must(mote_decode(r.s[0], t + 9, n - 9, MOTE_WANT_LAST, &err), &err);
    same(&whole, r.s[0], "behind a cancelled call", how);
    close_rig(&r);
}

static void wrong_calls_are_named(void **state)
{
    (void)state;
    static const struct { const char *model; mote_want want; int n, type, id; mote_status status; const char *names; } bad[] = {
        { "bert", MOTE_WANT_LAST, 3, 0, 1, MOTE_EINVAL, "not logits" },
        { "bert", MOTE_WANT_HIDDEN, 21, 0, 1, MOTE_EFULL, "21 tokens" },
        { "bert", MOTE_WANT_HIDDEN, 3, 2, 1, MOTE_EINVAL, "type 2" },
        { "bert", MOTE_WANT_HIDDEN, 3, -1, 1, MOTE_EINVAL, "type -1" },
        { "bert", MOTE_WANT_HIDDEN, 3, 0, 83, MOTE_EINVAL, "token 83" },
        { "bert", MOTE_WANT_HIDDEN, 3, 0, -1, MOTE_EINVAL, "token -1" },
        { "bert", MOTE_WANT_HIDDEN, 0, 0, 1, MOTE_EINVAL, "no tokens" },
        { "t5_v10", MOTE_WANT_POOLED, 3, 0, 1, MOTE_EUNSUPPORTED, "does not pool" },
        { "gpt2", MOTE_WANT_HIDDEN, 3, 0, 1, MOTE_EUNSUPPORTED, "no encoder" },
    };
    for (size_t i = 0; i < MT_COUNT(bad); i++) {
        rig r = open_rig(bad[i].model, (setup){ 1, N_CTX, DEFAULT });
        mote_token t[32], types[32];
        mote_error err = { 0 };
        for (int j = 0; j < 32; j++) t[j] = bad[i].id, types[j] = bad[i].type;
        const mote_status st = mote_encode(r.s[0], t, types, (size_t)bad[i].n, bad[i].want, &err);
        if (st != bad[i].status || !strstr(err.text, bad[i].names))
            fail_msg("%s: %s \"%s\", expected %s", bad[i].model, mote_status_name(st), err.text, bad[i].names);
        close_rig(&r);
    }
    rig r = open_rig("bert", (setup){ 1, N_CTX, DEFAULT });
    mote_error err = { 0 };
    const mote_token t[2] = { 1, 2 };
    float logprob[1];
    assert_int_equal(mote_decode(r.s[0], t, 2, MOTE_WANT_LAST, &err), MOTE_EUNSUPPORTED);
    assert_int_equal(mote_measure(r.s[0], t, 2, logprob, &err), MOTE_EUNSUPPORTED);
    const mote_step twice[] = { { r.s[0], t, 2, MOTE_WANT_NONE }, { r.s[0], t, 2, MOTE_WANT_NONE } };
    assert_int_equal(mote_encode_many(twice, NULL, 2, &err), MOTE_EINVAL);
    assert_int_equal(mote_encode_many(NULL, NULL, 0, &err), MOTE_EINVAL);
    close_rig(&r);
}

/* ---- memory -------------------------------------------------------------------------- */

static mote_status life(const char *name, const mote_alloc *alloc, const fail_alloc *fa, mote_error *err)
{
    mote_model *m = NULL;
    mote_engine *e = NULL;
    mote_session *s = NULL;
    char path[512];
    mote_model_opts mo;
    mote_model_opts_init(&mo);
    mo.alloc = alloc, mo.n_threads = 1;
    mote_engine_opts eo;
    mote_engine_opts_init(&eo);
    eo.n_ctx = 18, eo.n_batch = 16;
    path_of(path, "", name);
    mote_status st = mote_model_open(&m, path, &mo, err);
    if (st == MOTE_OK) st = mote_engine_open(&e, m, &eo, err);
    if (st == MOTE_OK) st = mote_session_open(&s, e, err);
    if (st == MOTE_OK) {
        const mote_token t[] = { 1, 2, 3, 4, 5, 6, 7 };
        const size_t calls = fa->calls;
        if (e->encoder) st = mote_encode(s, t, NULL, 7, MOTE_WANT_HIDDEN, err);
        if (st == MOTE_OK && e->plan) st = mote_decode(s, t, 7, MOTE_WANT_LAST, err);
        if (st == MOTE_OK && e->plan) st = mote_session_rewind(s, 3, err);
        if (st == MOTE_OK && e->plan) st = mote_decode(s, t, 5, MOTE_WANT_LAST, err);
        assert_int_equal(fa->calls, calls);      /* running allocates nothing */
    }
    mote_session_close(s);
    mote_engine_close(e);
    mote_model_close(m);
    return st;
}

static const char *const all_names[] = { "bert", "t5_v10", "t5_v11", "mixtral", "rwkv4" };

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < MT_COUNT(all_names); i++)
        for (size_t n = 1;; n++) {
            fail_alloc fa;
            const mote_alloc *alloc = fail_alloc_init(&fa, n, false);
            mote_error err = { 0 };
            const mote_status st = life(all_names[i], alloc, &fa, &err);
            fail_alloc_check(&fa);
            if (fa.calls < n) {
                must(st, &err);
                break;
            }
            if (st != MOTE_OK) assert_int_equal(st, MOTE_ENOMEM);
        }
}

/* What mote_engine_bytes announces is what is taken, apart from stage lists and handles. */
static void announced_bytes_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < MT_COUNT(all_names); i++) {
        fail_alloc fa;
        char path[512];
        mote_model *m;
        mote_engine *e;
        mote_session *s[3];
        mote_error err;
        mote_model_opts mo;
        mote_model_opts_init(&mo);
        mo.alloc = fail_alloc_init(&fa, 0, false), mo.n_threads = 2;
        path_of(path, "", all_names[i]);
        must(mote_model_open(&m, path, &mo, &err), &err);
        mote_engine_opts eo;
        mote_engine_opts_init(&eo);
        eo.n_ctx = 20, eo.n_batch = 48, eo.n_session = 3;
        const size_t before = fa.live, announced = mote_engine_bytes(m, &eo);
        assert_int_equal(fa.live, before);
        must(mote_engine_open(&e, m, &eo, &err), &err);
        for (int k = 0; k < 3; k++) must(mote_session_open(&s[k], e, &err), &err);
        size_t pages = e->page_bytes * e->n_page, lists = sizeof *e;
        const mt_plan *const plans[] = { e->plan, e->encoder };
        for (int k = 0; k < 2; k++)
            if (plans[k]) pages += plans[k]->logits_bytes, lists += plans[k]->arena.high_water + sizeof *plans[k];
        const size_t taken = fa.live - before + pages;
        assert_true(taken >= announced + lists && taken <= announced + lists + (256 << 10));
        for (int k = 0; k < 3; k++) mote_session_close(s[k]);
        mote_engine_close(e);
        mote_model_close(m);
        fail_alloc_check(&fa);
    }
}

/* ---- text for people -------------------------------------------------------------------- */

static void plans_print(void **state)
{
    static const struct { const char *model, *line; } lines[] = {
        { "bert", "attention within the pass, full" }, { "bert", "pool" },
        { "t5_v10", "bias by bucket" }, { "t5_v10", "attention to the encoder's text" }, { "t5_v10", "kv_put" },
        { "rwkv4", "wkv4" }, { "rwkv4", "shift" }, { "rwkv4", "product   lerp, f32: blk.0.time_mix_key.weight[f32 36 x 36], blk.0.time_mix_value.weight[" },
        { "mixtral", "product   by expert, act * gate, " }, { "mixtral", "route" }, { "mixtral", "combine" },
        { "gpt2", "product   norm, " },
    };
    (void)state;
    for (size_t i = 0; i < MT_COUNT(lines); i++) {
        rig r = open_rig(lines[i].model, (setup){ 1, N_CTX, DEFAULT });
        static char text[1 << 16];
        size_t n = 0;
        mote_error err;
        must(mote_model_print(r.m, "plan", text, sizeof text - 1, &n, &err), &err);
        text[n] = '\0';
        if (!strstr(text, lines[i].line)) fail_msg("the plan of %s has no \"%s\":\n%s", lines[i].model, lines[i].line, text);
        close_rig(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoders_equal_transformers),
        cmocka_unit_test(decoders_together_equal_transformers),
        cmocka_unit_test(encoder_equals_transformers),
        cmocka_unit_test(encoder_decoders_equal_transformers),
        cmocka_unit_test(masks_and_biases_equal_the_interpreter),
        cmocka_unit_test(encoded_bits_do_not_depend_on_company),
        cmocka_unit_test(decoded_bits_do_not_depend_on_company),
        cmocka_unit_test(bits_do_not_depend_on_cpu_level),
        cmocka_unit_test(forks_share_what_was_encoded),
        cmocka_unit_test(recurrent_sessions_go_back),
        cmocka_unit_test(wrong_calls_are_named),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(announced_bytes_are_taken),
        cmocka_unit_test(plans_print),
    };
    const char *only = getenv("MOTE_TEST_ONLY");
    if (only) cmocka_set_test_filter(only);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

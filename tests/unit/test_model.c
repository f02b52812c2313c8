/* SPDX-License-Identifier: MIT */
/* test_model.c - every family: built from its metadata, run by the interpreter, compared with
 * what transformers computed in double (tests/golden/make_models.py); and bad files refused by
 * name. */
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

#include "fail_alloc.h"
#include "plan/interp.h"

/* Worst error over the standard deviation of what is expected.  Both sides are double; what is
 * left is that the graph holds its scales as f32 (1 / sqrt(head width), 6e-8) and Llama 3's
 * divisors are an f32 tensor. */
static const double tolerance = 1e-6;

/* ---- a model and what is expected of it ---------------------------------- */

typedef struct golden {
    const char *name;
    mt_source *source, *expect;
    mt_arena arena;
    mt_net net;
    mt_interp *it;
} golden;

static mt_source *open_source(const char *prefix, const char *name)
{
    char path[512];
    mote_error err = { 0 };
    mt_source *s;
    const char *root = getenv("MOTE_SOURCE");
    snprintf(path, sizeof path, "%s/tests/golden/%s%s.gguf", root ? root : ".", prefix, name);
    if (mt_source_open(&s, path, NULL, &err) != MOTE_OK) fail_msg("%s", err.text);
    return s;
}

static golden open_golden(const char *name)
{
    golden g = { .name = name };
    g.source = open_source("", name);
    g.expect = open_source("expect_", name);
    return g;
}

static void build(golden *g)
{
    mote_error err = { 0 };
    mt_arena_init(&g->arena, NULL, 1 << 14);
    if (mt_net_open(&g->net, g->source, &g->arena, &err) != MOTE_OK)
        fail_msg("%s: %s", g->name, err.text);
    if (mt_interp_open(&g->it, &g->net, NULL, &err) != MOTE_OK)
        fail_msg("%s: %s", g->name, err.text);
}

static void close_golden(golden *g)
{
    mt_interp_close(g->it);
    mt_arena_reset(&g->arena);
    mt_source_close(g->source);
    mt_source_close(g->expect);
}

static const mt_tensor *expected(const golden *g, const char *what, int i)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%d", what, i);
    return mt_source_tensor(g->expect, name);
}

static int n_case(const golden *g)
{
    int64_t n = 0;
    assert_true(mt_meta_int(g->expect, "golden.cases", &n) && n > 0);
    return (int)n;
}

/* A copy of an I32 tensor; *n its length.  The caller frees. */
static int32_t *ints(const golden *g, const char *what, int i, int *n)
{
    const mt_tensor *t = expected(g, what, i);
    assert_non_null(t);
    assert_int_equal(t->type, MT_I32);
    *n = (int)t->ne[0];
    int32_t *v = malloc(t->bytes);
    memcpy(v, t->data, t->bytes);
    return v;
}

static double worst_ever;

/* Rows [0, rows) of a value against rows [first, first + rows) of an expectation. */
static void check_value(const golden *g, const char *what, int i, int value, int first)
{
    int rows = 0, cols = 0;
    const mt_tensor *t = expected(g, what, i);
    const double *v = mt_interp_value(g->it, value, &rows, &cols);
    assert_non_null(t);
    assert_non_null(v);
    assert_int_equal(t->type, MT_F64);
    assert_int_equal(t->ne[0], cols);
    if (first + rows > t->ne[1]) rows = (int)t->ne[1] - first;
    assert_true(rows > 0);
    double sum = 0, square = 0, worst = 0, x;
    const size_t n = (size_t)mt_tensor_count(t);
    for (size_t j = 0; j < n; j++) {
        memcpy(&x, t->data + j * sizeof x, sizeof x);
        sum += x;
        square += x * x;
    }
    const double std = sqrt(square / (double)n - sum * sum / (double)n / (double)n);
    for (size_t j = 0; j < (size_t)rows * (size_t)cols; j++) {
        memcpy(&x, t->data + ((size_t)first * (size_t)cols + j) * sizeof x, sizeof x);
        const double e = fabs(v[j] - x) / std;
        if (!(e <= worst)) worst = e;
    }
    if (!(worst <= tolerance))
        fail_msg("%s: %s of case %d from row %d differs by %g of its deviation, allowed %g",
                 g->name, what, i, first, worst, tolerance);
    worst_ever = fmax(worst_ever, worst);
    mt_verified("GPT-2, BERT, T5, RWKV-4, Llama, Qwen2, Mixtral", "outputs of the interpreter, to 1e-6",
                "transformers 5.23 in float64", 1);
}

/* ---- goldens ------------------------------------------------------------- */

static const char *const decoders[] = { "llama_gqa", "llama3",    "qwen2",    "mixtral",
                                       "gpt2",      "rwkv4",     "tiny_f32", "tiny_q4_1",
                                       "tiny_k",    "tiny_qwen2" };
static const char *const encdecs[] = { "t5_v10", "t5_v11" };

/* The decoder's part of case i, `step` tokens at a time. */
static void check_decoder(golden *g, int i, int step)
{
    int n;
    mote_error err;
    int32_t *ids = ints(g, "ids", i, &n);
    for (int at = 0; at < n; at += step) {
        assert_int_equal(mt_interp_decode(g->it, ids + at, MT_MIN(step, n - at), &err),
                         MOTE_OK);
        check_value(g, "hidden", i, g->net.dec.hidden, at);
        check_value(g, "logits", i, g->net.dec.output, at);
    }
    free(ids);
}

static void test_decoders(void **state)
{
    static const int steps[] = { 1000, 1, 5 };
    (void)state;
    for (size_t m = 0; m < MT_COUNT(decoders); m++) {
        golden g = open_golden(decoders[m]);
        build(&g);
        worst_ever = 0;
        for (int i = 0; i < n_case(&g); i++) {
            for (size_t s = 0; s < MT_COUNT(steps); s++) {
                mt_interp_reset(g.it);
                check_decoder(&g, i, steps[s]);
            }
        }
        print_message("%-10s worst error %.1e of the deviation\n", g.name, worst_ever);
        close_golden(&g);
    }
}

static void test_encoder(void **state)
{
    (void)state;
    golden g = open_golden("bert");
    build(&g);
    worst_ever = 0;
    for (int i = 0; i < n_case(&g); i++) {
        int n;
        mote_error err;
        int32_t *ids = ints(&g, "ids", i, &n), *types = ints(&g, "types", i, &n);
        assert_int_equal(mt_interp_encode(g.it, ids, types, n, &err), MOTE_OK);
        check_value(&g, "hidden", i, g.net.enc.hidden, 0);
        check_value(&g, "pooled", i, g.net.enc.output, 0);
        free(ids);
        free(types);
    }
    print_message("%-10s worst error %.1e of the deviation\n", g.name, worst_ever);
    close_golden(&g);
}

static void test_encoder_decoders(void **state)
{
    (void)state;
    for (size_t m = 0; m < MT_COUNT(encdecs); m++) {
        golden g = open_golden(encdecs[m]);
        build(&g);
        worst_ever = 0;
        for (int i = 0; i < n_case(&g); i++) {
            for (int step = 1; step < 1000; step += 998) {
                int n;
                mote_error err;
                int32_t *ids = ints(&g, "enc_ids", i, &n);
                assert_int_equal(mt_interp_encode(g.it, ids, NULL, n, &err), MOTE_OK);
                check_value(&g, "enc_hidden", i, g.net.enc.hidden, 0);
                check_decoder(&g, i, step);
                free(ids);
            }
        }
        print_message("%-10s worst error %.1e of the deviation\n", g.name, worst_ever);
        close_golden(&g);
    }
}

/* ---- positions ----------------------------------------------------------- */

static void check_buckets(const mt_source *s, int n, int far, bool both)
{
    char name[64];
    snprintf(name, sizeof name, "bucket.%d.%d.%d", n, far, both);
    const mt_tensor *relative = mt_source_tensor(s, "relative");
    const mt_tensor *want = mt_source_tensor(s, name);
    assert_non_null(relative);
    assert_non_null(want);
    for (int64_t i = 0; i < relative->ne[0]; i++) {
        int32_t r, w;
        memcpy(&r, relative->data + (size_t)i * sizeof r, sizeof r);
        memcpy(&w, want->data + (size_t)i * sizeof w, sizeof w);
        const int bucket = mt_t5_bucket(r, both, n, far);
        if (bucket != w) fail_msg("%s at %d: bucket %d, expected %d", name, r, bucket, w);
    }
}

static void test_position_biases(void **state)
{
    static const int shapes[][2] = { { 32, 128 }, { 8, 128 }, { 16, 40 } };
    static const int heads[] = { 1, 2, 3, 5, 8, 12, 25 };
    (void)state;
    mt_source *s = open_source("expect_", "positions");
    for (size_t i = 0; i < MT_COUNT(shapes); i++)
        for (int both = 0; both < 2; both++) check_buckets(s, shapes[i][0], shapes[i][1], both);
    for (size_t i = 0; i < MT_COUNT(heads); i++) {
        char name[64];
        snprintf(name, sizeof name, "slope.%d", heads[i]);
        const mt_tensor *want = mt_source_tensor(s, name);
        assert_non_null(want);
        for (int h = 0; h < heads[i]; h++) {
            double w;
            memcpy(&w, want->data + (size_t)h * sizeof w, sizeof w);
            const double slope = (double)mt_alibi_slope(h, heads[i]);
            if (!(fabs(slope - w) <= 2e-7 * w))
                fail_msg("%s %d: %.9g, expected %.9g", name, h, slope, w);
        }
    }
    mt_source_close(s);
}

/* ---- bad files: a good one is changed in memory -------------------------- */

/* What mt_net_open says of s; MOTE_OK leaves the text empty. */
static mote_status try_open(const mt_source *s, mote_error *err)
{
    mt_net net;
    mt_arena arena;
    *err = (mote_error){ 0 };
    mt_arena_init(&arena, NULL, 1 << 14);
    const mote_status status = mt_net_open(&net, s, &arena, err);
    mt_arena_reset(&arena);
    return status;
}

static void expect_fail(const char *model, const mt_source *s, mote_status want,
                        const char *names)
{
    mote_error err;
    const mote_status status = try_open(s, &err);
    if (status != want || !strstr(err.text, names))
        fail_msg("%s: %s: status %d \"%s\", expected %d naming it", model, names, status,
                 err.text, want);
}

static bool is_in(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0) return true;
    return false;
}

static const char *const all_models[] = { "llama_gqa", "llama3", "qwen2",  "mixtral", "gpt2",
                                         "bert",      "t5_v10", "t5_v11", "rwkv4",   NULL };

/* Each number of the family set to what no model has. */
static void test_absurd_metadata(void **state)
{
    static const double numbers[] = { 0, -1, 1e30, -1e30, NAN };
    static const int64_t integers[] = { 0, -1, INT64_MAX, INT64_MIN, 1 << 28 };
    static const char *const may_be_zero[] = { "t5.decoder_start_token_id", "llama.expert_count",
                                              "llama.attention.sliding_window", NULL };
    int n_tried = 0;
    (void)state;
    for (const char *const *model = all_models; *model; model++) {
        mt_source *s = open_source("", *model);
        mt_str family;
        assert_true(mt_meta_str(s, "general.architecture", &family));
        for (size_t i = 0; i < s->n_meta; i++) {
            mt_meta *m = &s->meta[i];
            const mt_meta good = *m;
            if (strncmp(m->key, family.p, family.n) != 0 || m->key[family.n] != '.') continue;
            const bool is_real = good.type == MT_META_F32;
            if (strcmp(m->key, "t5.attention.layer_norm_epsilon") == 0) continue; /* not read */
            for (size_t j = 0; j < MT_COUNT(numbers); j++) {
                if (good.type != MT_META_U32 && !is_real) continue;
                if (!is_real && integers[j] == 0 && is_in(m->key, may_be_zero)) continue;
                if (strstr(m->key, "pooling_type") && j == 0) continue;
                m->type = is_real ? MT_META_F64 : MT_META_I64;
                if (is_real) m->value.f = numbers[j];
                else m->value.i = integers[j];
                expect_fail(*model, s, MOTE_EFORMAT, m->key);
                n_tried++;
            }
            if (good.type == MT_META_U32) {
                m->type = MT_META_U64;
                m->value.u = UINT64_MAX;
                expect_fail(*model, s, MOTE_EFORMAT, m->key);
            }
            m->type = good.type == MT_META_STRING ? MT_META_BOOL : MT_META_STRING;
            m->value.s = mt_str_of("36");
            expect_fail(*model, s, MOTE_EFORMAT, m->key);
            *m = good;
        }
        mt_source_close(s);
    }
    assert_true(n_tried > 300);
}

/* Renames to what sorts beside the old name, which hides it. */
static const char *hidden(char room[128], const char *name)
{
    snprintf(room, 128, "%s!", name);
    return room;
}

static void test_missing_keys(void **state)
{
    static const char *const needed[] = {
        "block_count", "context_length", "embedding_length", "feed_forward_length",
        "attention.head_count", "attention.layer_norm_rms_epsilon", NULL
    };
    char room[128], key[128];
    (void)state;
    mt_source *s = open_source("", "llama_gqa");
    for (const char *const *k = needed; *k; k++) {
        snprintf(key, sizeof key, "llama.%s", *k);
        mt_meta *m = (mt_meta *)(uintptr_t)mt_source_meta(s, key);
        assert_non_null(m);
        const char *good = m->key;
        m->key = hidden(room, good);
        expect_fail("llama_gqa", s, MOTE_EFORMAT, key);
        m->key = good;
    }
    mt_meta *m = (mt_meta *)(uintptr_t)mt_source_meta(s, "general.architecture");
    m->key = hidden(room, "general.architecture");
    expect_fail("llama_gqa", s, MOTE_EFORMAT, "general.architecture");
    mt_source_close(s);
}

static void test_relations(void **state)
{
    static const struct { const char *model, *key; int64_t value; const char *names;
    } bad[] = {
        { "llama_gqa", "llama.attention.head_count_kv", 2, "llama.attention.head_count_kv is 2" },
        { "llama_gqa", "llama.attention.head_count", 5, "llama.embedding_length is 36" },
        { "llama_gqa", "llama.rope.dimension_count", 14, "llama.rope.dimension_count is 14" },
        { "llama_gqa", "llama.rope.dimension_count", 7, "llama.rope.dimension_count is 7" },
        { "llama_gqa", "llama.vocab_size", 60, "tensor token_embd.weight has shape [36, 61]" },
        { "llama_gqa", "llama.block_count", 3, "tensor blk.2.attn_norm.weight is missing" },
        { "mixtral", "llama.expert_used_count", 5, "llama.expert_used_count is 5" },
        { "mixtral", "llama.expert_count", 3,
         "tensor blk.0.ffn_gate_inp.weight has shape [24, 4]" },
        { "t5_v10", "t5.decoder_start_token_id", 61, "t5.decoder_start_token_id is 61" },
        { "t5_v10", "t5.decoder_block_count", 4,
         "tensor dec.blk.3.cross_attn_k.weight is missing" },
        { "bert", "bert.context_length", 21, "tensor position_embd.weight has shape [36, 20]" },
    };
    (void)state;
    for (size_t i = 0; i < MT_COUNT(bad); i++) {
        mt_source *s = open_source("", bad[i].model);
        mt_meta *m = (mt_meta *)(uintptr_t)mt_source_meta(s, bad[i].key);
        assert_non_null(m);
        m->type = MT_META_I64;
        m->value.i = bad[i].value;
        expect_fail(bad[i].model, s, MOTE_EFORMAT, bad[i].names);
        mt_source_close(s);
    }
}

static void test_layer_arrays(void **state)
{
    static const int32_t kv[] = { 1, 3, 1 }, zero[] = { 1, 0 };
    (void)state;
    mt_source *s = open_source("", "llama_gqa");
    mt_meta *m = (mt_meta *)(uintptr_t)mt_source_meta(s, "llama.attention.head_count_kv");
    m->type = MT_META_ARRAY;
    m->item = MT_META_I32;
    m->raw = (const uint8_t *)kv;
    m->n = 3;
    expect_fail("llama_gqa", s, MOTE_EFORMAT,
                "head_count_kv has 3 entries, the model has 2 layers");
    m->n = 2;                        /* layer 1 now wants three key heads, the file has one */
    expect_fail("llama_gqa", s, MOTE_EFORMAT, "tensor blk.1.attn_k.weight has shape [36, 12]");
    m->raw = (const uint8_t *)zero;
    expect_fail("llama_gqa", s, MOTE_EFORMAT, "llama.attention.head_count_kv is 0");
    m->item = MT_META_F32;
    expect_fail("llama_gqa", s, MOTE_EFORMAT,
                "llama.attention.head_count_kv has the wrong type");
    mt_source_close(s);
}

static void test_unsupported(void **state)
{
    char *const words[][3] = {
        { "llama_gqa", "general.architecture", "phi9" },
        { "qwen2", "qwen2.rope.scaling.type", "longrope" },
    };
    mote_error err;
    (void)state;
    for (size_t i = 0; i < MT_COUNT(words); i++) {
        mt_source *s = open_source("", words[i][0]);
        mt_meta *m = (mt_meta *)(uintptr_t)mt_source_meta(s, words[i][1]);
        m->value.s = mt_str_of(words[i][2]);
        expect_fail(words[i][0], s, MOTE_EUNSUPPORTED, words[i][2]);
        try_open(s, &err);
        for (const char *const *name = mt_family_names(); i == 0 && *name; name++)
            if (!strstr(err.text, *name)) fail_msg("\"%s\" does not list %s", err.text, *name);
        mt_source_close(s);
    }
    mt_source *s = open_source("", "bert");
    mt_meta *m = (mt_meta *)(uintptr_t)mt_source_meta(s, "bert.pooling_type");
    m->value.u = 3;
    expect_fail("bert", s, MOTE_EUNSUPPORTED, "bert.pooling_type is 3");
    mt_source_close(s);
}

/* Every tensor hidden, bent and given a type nobody decodes. */
static void test_bad_tensors(void **state)
{
    /* what is allowed to be absent: the head (tied), types, biases of llama, a gate (relu) */
    static const char *const optional[] = {
        "output.weight", "token_types.weight", "rope_freqs.weight", "blk.0.attn_q.bias",
        "blk.0.attn_output.bias", "blk.0.ffn_up.bias", "enc.blk.0.ffn_gate.weight", NULL
    };
    char room[128];
    int n_tried = 0;
    (void)state;
    for (const char *const *model = all_models; *model; model++) {
        mt_source *s = open_source("", *model);
        const bool has_size = strcmp(*model, "llama_gqa") == 0 || strcmp(*model, "llama3") == 0;
        for (size_t i = 0; i < s->n_tensor; i++) {
            mt_tensor *t = &s->tensor[i];
            const mt_tensor good = *t;
            if (!is_in(t->name, optional) || strcmp(*model, "qwen2") == 0) {
                t->name = hidden(room, good.name);
                expect_fail(*model, s, MOTE_EFORMAT, good.name);
                *t = good;
            }
            for (int d = 0; d < MT_MAX_DIM; d++) {
                /* without vocab_size the embedding's rows are the vocabulary; so with types */
                if (d == 1 && !has_size && strncmp(t->name, "token_", 6) == 0) continue;
                t->ne[d] += 32;
                expect_fail(*model, s, MOTE_EFORMAT, good.name);
                *t = good;
                n_tried++;
            }
            t->type = MT_U16;
            expect_fail(*model, s, MOTE_EUNSUPPORTED, good.name);
            *t = good;
        }
        mt_source_close(s);
    }
    assert_true(n_tried > 600);
}

static void test_bad_divisors(void **state)
{
    float bad[] = { 1, 1, 1, 1, 1, 0 };
    (void)state;
    mt_source *s = open_source("", "llama3");
    mt_tensor *t = (mt_tensor *)(uintptr_t)mt_source_tensor(s, "rope_freqs.weight");
    assert_non_null(t);
    t->data = (const uint8_t *)bad;
    expect_fail("llama3", s, MOTE_EFORMAT, "rope_freqs.weight has the value 0 at 5");
    bad[5] = NAN;
    expect_fail("llama3", s, MOTE_EFORMAT, "rope_freqs.weight has the value");
    mt_source_close(s);
}

/* ---- the rest ------------------------------------------------------------ */

static void test_linear_scaling(void **state)
{
    (void)state;
    golden g = open_golden("llama_gqa");
    mt_meta *m = (mt_meta *)(uintptr_t)mt_source_meta(g.source, "llama.rope.scaling.factor");
    m->value.f = 4;
    build(&g);
    assert_int_equal(g.net.n_rope, 6);
    for (int i = 0; i < 6; i++)
        assert_true(fabs(g.net.rope_freq[i] * 4 - pow(10000, -i / 6.0)) < 1e-15);
    close_golden(&g);
}

static char *printed(const mt_net *net)
{
    mt_buf b;
    mote_error err;
    mt_buf_init(&b, NULL, 1 << 20);
    assert_int_equal(mt_net_print(net, &b, &err), MOTE_OK);
    assert_true(mt_buf_put(&b, "", 1));
    char *text = strdup(b.p);
    mt_buf_free(&b);
    return text;
}

static void test_printer(void **state)
{
    static const char *const lines[][2] = {
        { "llama3", "= linear %1 blk.0.attn_q.weight blk.0.attn_q.bias (T, 60)\n" },
        { "qwen2", "half 10 (T, 40)\n" },
        { "gpt2", "= slice %" },
        { "mixtral", "= route %11 best 2 renormalised (T, 4)\n" },
        { "mixtral", "blk.0.ffn_gate_exps.weight (R, 28)\n" },
        { "bert", "= pool %" },
        { "t5_v10", "= attend %2 %3 %4 enc.blk.0.attn_rel_b.weight heads 3/3 x 9 full t5" },
        { "t5_v11", "kv_put %" },
        { "rwkv4", "= wkv4 %" },
    };
    char path[512], want[16384], spec[4096];
    (void)state;
    for (size_t i = 0; i < MT_COUNT(lines); i++) {
        golden g = open_golden(lines[i][0]);
        build(&g);
        char *text = printed(&g.net);
        if (!strstr(text, lines[i][1]))
            fail_msg("%s: \"%s\" is not in\n%s", g.name, lines[i][1], text);
        const size_t n = mt_spec_print(&g.net.spec, spec, sizeof spec);
        assert_true(n > 50 && n == strlen(spec) && mt_spec_print(&g.net.spec, spec, 7) == n);
        free(text);
        close_golden(&g);
    }
    golden g = open_golden("llama_gqa");
    build(&g);
    const char *root = getenv("MOTE_SOURCE");
    snprintf(path, sizeof path, "%s/tests/golden/llama_gqa.graph.txt", root ? root : ".");
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    want[fread(want, 1, sizeof want - 1, f)] = 0;
    fclose(f);
    char *text = printed(&g.net);
    assert_string_equal(text, want);
    free(text);
    close_golden(&g);
}

static void test_interpreter_refuses(void **state)
{
    static const int32_t big[] = { 0, 79 }, negative[] = { -1 }, many[25] = { 0 }, type[] = { 2 };
    mote_error err;
    (void)state;
    golden g = open_golden("gpt2");
    build(&g);
    assert_int_equal(mt_interp_decode(g.it, big, 2, &err), MOTE_EINVAL);
    assert_int_equal(mt_interp_decode(g.it, negative, 1, &err), MOTE_EINVAL);
    assert_int_equal(mt_interp_decode(g.it, many, 0, &err), MOTE_EINVAL);
    assert_int_equal(mt_interp_decode(g.it, many, 25, &err), MOTE_EFULL);
    assert_int_equal(mt_interp_encode(g.it, many, NULL, 1, &err), MOTE_EINVAL);
    assert_int_equal(mt_interp_decode(g.it, many, 24, &err), MOTE_OK);
    assert_int_equal(mt_interp_decode(g.it, many, 1, &err), MOTE_EFULL);
    close_golden(&g);
    g = open_golden("bert");
    build(&g);
    assert_int_equal(mt_interp_encode(g.it, many, type, 1, &err), MOTE_EINVAL);
    assert_int_equal(mt_interp_decode(g.it, many, 1, &err), MOTE_EINVAL);
    close_golden(&g);
    g = open_golden("t5_v10");
    build(&g);
    assert_int_equal(mt_interp_decode(g.it, many, 1, &err), MOTE_EINVAL);
    close_golden(&g);
}

/* Every allocation of open, two runs and close fails once. */
static void test_no_memory(void **state)
{
    static const char *const models[] = { "mixtral", "t5_v11", "rwkv4" };
    static const int32_t ids[] = { 0, 5, 7 };
    (void)state;
    for (size_t i = 0; i < MT_COUNT(models); i++) {
        mt_source *s = open_source("", models[i]);
        for (size_t n = 1;; n++) {
            fail_alloc fa;
            const mote_alloc *alloc = fail_alloc_init(&fa, n, false);
            mote_error err = { 0 };
            mt_arena arena;
            mt_net net;
            mt_interp *it = NULL;
            mt_arena_init(&arena, alloc, 1 << 12);
            mote_status st = mt_net_open(&net, s, &arena, &err);
            if (st == MOTE_OK) st = mt_interp_open(&it, &net, alloc, &err);
            if (st == MOTE_OK && net.enc.n_op > 0)
                st = mt_interp_encode(it, ids, NULL, 3, &err);
            if (st == MOTE_OK) st = mt_interp_decode(it, ids, 3, &err);
            if (st == MOTE_OK) st = mt_interp_decode(it, ids, 2, &err);
            mt_interp_close(it);
            mt_arena_reset(&arena);
            fail_alloc_check(&fa);
            if (fa.calls < n) {
                assert_int_equal(st, MOTE_OK);
                assert_true(n > 10);
                break;
            }
            if (st != MOTE_ENOMEM || err.code != MOTE_ENOMEM)
                fail_msg("%s: allocation %zu: status %d \"%s\"", models[i], n, st, err.text);
        }
        mt_source_close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoders),
        cmocka_unit_test(test_encoder),
        cmocka_unit_test(test_encoder_decoders),
        cmocka_unit_test(test_position_biases),
        cmocka_unit_test(test_absurd_metadata),
        cmocka_unit_test(test_missing_keys),
        cmocka_unit_test(test_relations),
        cmocka_unit_test(test_layer_arrays),
        cmocka_unit_test(test_unsupported),
        cmocka_unit_test(test_bad_tensors),
        cmocka_unit_test(test_bad_divisors),
        cmocka_unit_test(test_linear_scaling),
        cmocka_unit_test(test_printer),
        cmocka_unit_test(test_interpreter_refuses),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

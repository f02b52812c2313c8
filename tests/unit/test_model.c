/* SPDX-License-Identifier: MIT */
/* test_model.c - every family: built from its metadata, run by the interpreter, compared with what
 * transformers computed in double (tests/golden/make_models.py); and bad files refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

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

/* ---- a model and what is expected of it ---------------------------------------------------------- */

typedef struct golden {
    const char *name;
    mt_source *source, *expect;
    mt_arena arena;
    mt_net net;
    mt_interp *it;
} golden;

static mt_source *open_source(const char *name, const char *suffix)
{
    char path[512];
    mote_error err = { 0 };
    mt_source *s;
    const char *root = getenv("MOTE_SOURCE");
    snprintf(path, sizeof path, "%s/tests/golden/%s%s", root ? root : ".", name, suffix);
    if (mt_source_open(&s, path, NULL, &err) != MOTE_OK) fail_msg("%s", err.text);
    return s;
}

static golden open_golden(const char *name)
{
    golden g = { .name = name };
    g.source = open_source(name, ".gguf");
    g.expect = open_source(name, ".expect.gguf");
    return g;
}

static void build(golden *g)
{
    mote_error err = { 0 };
    mt_arena_init(&g->arena, NULL, 1 << 14);
    if (mt_net_open(&g->net, g->source, &g->arena, &err) != MOTE_OK) fail_msg("%s: %s", g->name, err.text);
    if (mt_interp_open(&g->it, &g->net, NULL, &err) != MOTE_OK) fail_msg("%s: %s", g->name, err.text);
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
        fail_msg("%s: %s of case %d from row %d differs by %g of its deviation, allowed %g", g->name, what,
                 i, first, worst, tolerance);
    worst_ever = fmax(worst_ever, worst);
}

/* ---- goldens -------------------------------------------------------------------------------------------- */

static const char *const decoders[] = { "llama_gqa", "llama3", "qwen2", "mixtral", "gpt2", "rwkv4" };
static const char *const encdecs[] = { "t5_v10", "t5_v11" };

/* The decoder's part of case i, `step` tokens at a time. */
static void check_decoder(golden *g, int i, int step)
{
    int n;
    mote_error err;
    int32_t *ids = ints(g, "ids", i, &n);
    for (int at = 0; at < n; at += step) {
        assert_int_equal(mt_interp_decode(g->it, ids + at, MT_MIN(step, n - at), &err), MOTE_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoders),
        cmocka_unit_test(test_encoder),
        cmocka_unit_test(test_encoder_decoders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

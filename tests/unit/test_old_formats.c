/* SPDX-License-Identifier: MIT */
/* test_old_formats.c - llama2.c, GGML, GGMF and GGJT: a tiny llama in each of them has the metadata,
 * values, packed weights and logits of the GGUF file that numpy made from the formats' definitions
 * (tests/golden/make_old.py); and what is not such a file is not taken for one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/verified.h"

#include "file/parts.h"
#include "plan/interp.h"
#include "plan/plan.h"
#include "unit/fail_alloc.h"

static char folder[64];
static mote_error err;

static const char *in_tests(const char *name)
{
    static char path[2][1024];
    static int turn;
    const char *root = getenv("MOTE_SOURCE");
    snprintf(path[turn ^= 1], sizeof *path, "%s/tests/%s", root ? root : ".", name);
    return path[turn];
}

static mt_source *open_source(const char *path)
{
    mt_source *s = NULL;
    if (mt_source_open(&s, path, NULL, &err) != MOTE_OK) fail_msg("%s", err.text);
    return s;
}

static const struct { const char *old, *gguf, *format; uint32_t version; bool is_tied, is_same; } row[] = {
    /* is_same: no tensor had to become f32 */
    { "llama2c_v0.bin", "llama2c.gguf", "llama2.c", 0, false, true },
    { "llama2c_v0_tied.bin", "llama2c.gguf", "llama2.c", 0, true, true },
    { "llama2c_v1.bin", "llama2c.gguf", "llama2.c", 1, false, true },
    { "llama2c_v2.bin", "llama2c_v2.gguf", "llama2.c", 2, false, true },
    { "llama2c_v2_64.bin", "llama2c_v2_64.gguf", "llama2.c", 2, true, true },
    { "ggml.bin", "ggml.gguf", "GGML", 0, false, true },
    { "ggmf.bin", "ggmf.gguf", "GGMF", 1, false, true },
    { "ggjt1.bin", "ggjt1.gguf", "GGJT", 1, false, false },
    { "ggjt2.bin", "ggjt2.gguf", "GGJT", 2, false, false },
    { "ggjt3.bin", "ggjt3.gguf", "GGJT", 3, false, true },
};

typedef struct pair { mt_source *old, *gguf; } pair;

static pair open_pair(size_t i)
{
    char name[128];
    snprintf(name, sizeof name, "fuzz/corpus/old_formats/%s", row[i].old);
    mt_source *old = open_source(in_tests(name));
    snprintf(name, sizeof name, "golden/old/%s", row[i].gguf);
    return (pair){ old, open_source(in_tests(name)) };
}

static void close_pair(pair p)
{
    mt_source_close(p.old);
    mt_source_close(p.gguf);
}

/* ---- metadata ---------------------------------------------------------------------- */

static void expect_meta(const mt_meta *a, const mt_meta *b)
{
    if (a->type != b->type || a->n != b->n) fail_msg("%s: another type or length", a->key);
    mt_verified("llama2.c, GGML, GGMF, GGJT", "settings and vocabularies (values and logits besides)",
                "GGUF that numpy wrote from the formats' definitions", 1);
    switch (a->type) {
    case MT_META_STRING: assert_true(mt_str_eq(a->value.s, b->value.s)); return;
    case MT_META_BOOL: assert_true(a->value.b == b->value.b); return;
    case MT_META_U32: assert_int_equal(a->value.u, b->value.u); return;
    case MT_META_F32: assert_true(a->value.f == b->value.f); return;
    default: assert_int_equal(a->type, MT_META_ARRAY);
    }
    assert_int_equal(a->item, b->item);
    for (size_t i = 0; i < a->n; i++) {
        if (a->strings ? !mt_str_eq(a->strings[i], b->strings[i])
                       : mt_meta_item_int(a, i) != mt_meta_item_int(b, i) || mt_meta_item_f64(a, i) != mt_meta_item_f64(b, i))
            fail_msg("%s: element %zu", a->key, i);
    }
}

static void test_metadata(void **state)
{
    (void)state;
    for (size_t i = 0; i < MT_COUNT(row); i++) {
        pair p = open_pair(i);
        assert_string_equal(p.old->format, row[i].format);
        assert_int_equal(p.old->version, row[i].version);
        assert_false(p.old->is_foreign);
        assert_int_equal(p.old->n_meta, p.gguf->n_meta - 1);            /* made.by */
        for (size_t k = 0; k < p.old->n_meta; k++) {
            const mt_meta *m = mt_source_meta(p.gguf, p.old->meta[k].key);
            if (!m) fail_msg("%s: %s", row[i].old, p.old->meta[k].key);
            expect_meta(&p.old->meta[k], m);
        }
        close_pair(p);
    }
}

/* ---- values ------------------------------------------------------------------------- */

static float *decoded(const mt_tensor *t)
{
    const int64_t n = mt_tensor_count(t), rows = n / t->ne[0];
    const size_t bytes = mt_row_bytes(t->type, t->ne[0]) * (size_t)rows;
    float *value = malloc(sizeof(float) * (size_t)n);
    uint8_t *room = malloc(bytes);
    assert_int_equal(t->bytes, bytes);
    for (int64_t r = 0, take; r < rows; r += take) {                    /* 1, then 2, ... rows at a time */
        take = MT_MIN(r + 1, rows - r);
        mt_decode_row(t->type, mt_tensor_rows(t, r, take, room), value + r * t->ne[0], take * t->ne[0]);
    }
    free(room);
    return value;
}

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < MT_COUNT(row); i++) {
        pair p = open_pair(i);
        assert_int_equal(p.old->n_tensor, 21 - row[i].is_tied);
        for (size_t k = 0; k < p.old->n_tensor; k++) {
            const mt_tensor *t = &p.old->tensor[k], *u = mt_source_tensor(p.gguf, t->name);
            if (!u) fail_msg("%s: %s", row[i].old, t->name);
            assert_int_equal(t->n_dim, u->n_dim);
            assert_memory_equal(t->ne, u->ne, sizeof t->ne);
            if (row[i].is_same) assert_int_equal(t->type, u->type);
            float *a = decoded(t), *b = decoded(u);
            if (memcmp(a, b, sizeof(float) * (size_t)mt_tensor_count(t)) != 0) fail_msg("%s: %s", row[i].old, t->name);
            free(a);
            free(b);
        }
        close_pair(p);
    }
}

/* The five that GGJT 1 and 2 have, and what becomes of them. */
static void test_types(void **state)
{
    static const mt_type want[2][7] = { { MT_F32, MT_F32, MT_Q5_0, MT_Q5_1, MT_F32, MT_F16, MT_F32 },
                                        { MT_F32, MT_F32, MT_Q5_0, MT_Q5_1, MT_F32, MT_F16, MT_F32 } };
    (void)state;
    for (size_t i = 7; i < 9; i++) {
        pair p = open_pair(i);
        for (size_t k = 0, matrix = 0; k < p.old->n_tensor; k++)
            if (p.old->tensor[k].n_dim == 2) assert_int_equal(p.old->tensor[k].type, want[i - 7][matrix++ % 7]);
        close_pair(p);
    }
}

/* ---- nets ----------------------------------------------------------------------------- */

static const int32_t ids[] = { 1, 6, 39, 0, 17, 17, 2, 30 };

typedef struct run { mt_arena arena; mt_net net; mt_interp *it; mt_weights *w; mt_pool *pool; } run;

static void open_run(run *r, const mt_source *s)
{
    mt_arena_init(&r->arena, NULL, 1 << 14);
    if (mt_net_open(&r->net, s, &r->arena, &err) != MOTE_OK) fail_msg("%s: %s", s->path, err.text);
    assert_int_equal(mt_interp_open(&r->it, &r->net, NULL, &err), MOTE_OK);
    assert_int_equal(mt_interp_decode(r->it, ids, (int)MT_COUNT(ids), &err), MOTE_OK);
    assert_int_equal(mt_pool_open(&r->pool, 2, NULL, &err), MOTE_OK);
    if (mt_weights_open(&r->w, &r->net, r->pool, NULL, false, NULL, &err) != MOTE_OK) fail_msg("%s", err.text);
}

static void close_run(run *r)
{
    mt_weights_close(r->w);
    mt_pool_close(r->pool);
    mt_interp_close(r->it);
    mt_arena_reset(&r->arena);
}

/* The file of the untied model serves the tied one too. */
static void tie(mt_source *s)
{
    for (size_t k = 0; k < s->n_tensor; k++) {
        if (strcmp(s->tensor[k].name, "output.weight") != 0) continue;
        s->tensor[k] = *mt_source_tensor(s, "token_embd.weight");
        s->tensor[k].name = "output.weight";
    }
}

static void test_logits(void **state)
{
    (void)state;
    for (size_t i = 0; i < MT_COUNT(row); i++) {
        int rows[2], cols[2];
        pair p = open_pair(i);
        run a, b;
        if (row[i].is_tied) tie(p.gguf);
        open_run(&a, p.old);
        open_run(&b, p.gguf);
        const double *x = mt_interp_value(a.it, a.net.dec.output, &rows[0], &cols[0]);
        const double *y = mt_interp_value(b.it, b.net.dec.output, &rows[1], &cols[1]);
        assert_true(rows[0] == (int)MT_COUNT(ids) && rows[0] == rows[1] && cols[0] == 40 && cols[1] == 40);
        double spread = 0;
        for (int k = 0; k < rows[0] * 40; k++) {
            if (x[k] != y[k]) fail_msg("%s: logit %d is %.17g, expected %.17g", row[i].old, k, x[k], y[k]);
            spread = x[k] - x[0] > spread ? x[k] - x[0] : spread;
        }
        assert_true(spread > 0.1);                              /* not all the same */
        if (row[i].is_same && !row[i].is_tied) {
            assert_int_equal(a.w->bytes, b.w->bytes);
            assert_memory_equal(a.w->pages, b.w->pages, a.w->bytes);
        }
        close_run(&a);
        close_run(&b);
        close_pair(p);
    }
}

/* ---- the vocabulary beside -------------------------------------------------------------- */

static const char *in_folder(const char *name)
{
    static char path[2][512];
    static int turn;
    snprintf(path[turn ^= 1], sizeof *path, "%s/%s", folder, name);
    return path[turn];
}

static void remove_one(void *user, const char *name)
{
    (void)user;
    mt_file_remove(in_folder(name));
}

static int empty(void **state)
{
    (void)state;
    mt_folder_each(folder, remove_one, NULL);
    return 0;
}

/* A copy of an old file, n bytes of it, and `more` behind them. */
static void copy(const char *from, const char *to, size_t n, const char *more)
{
    char name[128];
    mt_map m;
    snprintf(name, sizeof name, "fuzz/corpus/old_formats/%s", from);
    assert_int_equal(mt_map_open(&m, in_tests(name), &err), MOTE_OK);
    FILE *f = fopen(in_folder(to), "wb");
    assert_non_null(f);
    fwrite(m.data, 1, MT_MIN(n, m.size), f);
    fwrite(more, 1, strlen(more), f);
    fclose(f);
    mt_map_close(&m);
}

static int n_line;
static char line[512];
static void keep_line(void *user, int level, const char *text)
{
    (void)user;
    if (level == 1) n_line++, snprintf(line, sizeof line, "%s", text);
}

static void expect_words(bool has_words, const char *warning)
{
    n_line = 0;
    mt_source *s = open_source(in_folder("model.bin"));
    assert_true((mt_source_meta(s, "tokenizer.ggml.tokens") != NULL) == has_words);
    if (warning ? !strstr(line, warning) : n_line != 0) fail_msg("%s", line);
    mt_source_close(s);
}

static void test_tokenizer(void **state)
{
    (void)state;
    mote_log_to(keep_line, NULL);
    copy("llama2c_v1.bin", "model.bin", SIZE_MAX, "");
    expect_words(false, NULL);                                  /* none there */
    copy("tokenizer.bin", "tokenizer.bin", SIZE_MAX, "");
    expect_words(true, NULL);
    copy("tokenizer.bin", "tokenizer.bin", SIZE_MAX, "x");
    expect_words(false, "its tokenizer has more than the model's 40 tokens");
    /* the nearer name first */
    copy("tokenizer.bin", "tok40.bin", SIZE_MAX, "");
    expect_words(true, NULL);
    copy("tokenizer.bin", "tok40.bin", 100, "");
    expect_words(false, "model's 40 tokens");
    mt_file_remove(in_folder("tokenizer.bin"));
    expect_words(false, "its tokenizer has 100 bytes, too few for 40");
    copy("tokenizer.bin", "tok40.bin", 514, "");
    expect_words(false, "ends inside token 39 of 40");
    assert_non_null(strstr(line, "tok40.bin is not the tokenizer of this model: "));
    mote_log_to(NULL, NULL);
}

/* ---- what must be refused ------------------------------------------------------------------- */

/* Reads a copy in exactly sized memory in which n bytes at `at` are others; more: a longer or shorter file. */
static mote_status read_changed(const char *name, size_t at, const char *bytes, size_t n, int more)
{
    char path[128];
    mt_map m;
    snprintf(path, sizeof path, "fuzz/corpus/old_formats/%s", name);
    assert_int_equal(mt_map_open(&m, in_tests(path), &err), MOTE_OK);
    const size_t size = (size_t)((int64_t)m.size + more);
    uint8_t *p = calloc(size, 1);
    memcpy(p, m.data, MT_MIN(size, m.size));
    memcpy(p + at, bytes, n);
    mt_source s = { .map = { p, size }, .path = "test.bin" };
    mt_arena_init(&s.arena, NULL, 1024);
    err = (mote_error){ MOTE_OK, "" };
    const mote_status st = mt_source_read(&s, &err);
    assert_int_equal(st, err.code);
    mt_arena_reset(&s.arena);
    free(p);
    mt_map_close(&m);
    return st;
}

static void refuse(const char *name, size_t at, const char *bytes, size_t n, int more, mote_status want, const char *words)
{
    const mote_status found = read_changed(name, at, bytes, n, more);
    if (found != want || !strstr(err.text, words))
        fail_msg("%s: expected %s with \"%s\", found %s: %s", name, mote_status_name(want), words,
                 mote_status_name(found), err.text);
}

static void test_llama2c_refusals(void **state)
{
    (void)state;
    /* version 0 is nothing but numbers: one byte more or less and it is another file */
    refuse("llama2c_v0.bin", 0, "", 0, 1, MOTE_EFORMAT, "expected a file that begins with GGUF, found bytes 20 00 00 00");
    refuse("llama2c_v0.bin", 0, "", 0, -1, MOTE_EFORMAT, "found bytes 20 00 00 00");
    refuse("llama2c_v0.bin", 12, "\3", 1, 0, MOTE_EFORMAT, "found bytes");          /* heads that do not divide */
    refuse("llama2c_v0.bin", 24, "\x19", 1, 0, MOTE_EFORMAT, "found bytes");        /* a longer context */
    refuse("llama2c_v1.bin", 0, "", 0, 1, MOTE_EFORMAT, "a llama2.c file of 84864 bytes was expected, found 84865");
    refuse("llama2c_v1.bin", 0, "", 0, -1, MOTE_EFORMAT, "84864 bytes was expected, found 84863");
    refuse("llama2c_v1.bin", 4, "\3", 1, 0, MOTE_EUNSUPPORTED, "expected a llama2.c file of version 1 or 2, found 3");
    refuse("llama2c_v1.bin", 8, "\0", 1, 0, MOTE_EFORMAT, "do not describe a model");
    refuse("llama2c_v1.bin", 31, "\xFF", 1, 0, MOTE_EFORMAT, "do not describe a model");    /* negative vocabulary */
    refuse("llama2c_v1.bin", 36, "\2", 1, 0, MOTE_EFORMAT, "do not describe a model");
    refuse("llama2c_v2.bin", 37, "\0", 1, 0, MOTE_EFORMAT, "groups of 0 do not divide its matrices");
    refuse("llama2c_v2.bin", 37, "\x21", 1, 0, MOTE_EFORMAT, "groups of 33 do not divide its matrices");
    refuse("llama2c_v2.bin", 37, "\x40", 1, 0, MOTE_EFORMAT, "bytes was expected");
    refuse("llama2c_v1.bin", 0, "", 0, 20 - 84864, MOTE_EFORMAT, "do not describe a model");
    refuse("llama2c_v1.bin", 0, "", 0, 6 - 84864, MOTE_EFORMAT, "found 0");
}

/* Where a text stands in an old file. */
static size_t find(const char *name, const char *text)
{
    char path[128];
    mt_map m;
    size_t i = 0;
    snprintf(path, sizeof path, "fuzz/corpus/old_formats/%s", name);
    assert_int_equal(mt_map_open(&m, in_tests(path), &err), MOTE_OK);
    while (i + strlen(text) <= m.size && memcmp(m.data + i, text, strlen(text)) != 0) i++;
    assert_true(i + strlen(text) <= m.size);
    mt_map_close(&m);
    return i;
}

static void test_ggml_refusals(void **state)
{
    (void)state;
    const size_t gate = find("ggjt1.bin", "layers.0.feed_forward.w1.weight"), embd = find("ggmf.bin", "tok_embeddings.weight");
    refuse("ggjt3.bin", 4, "\4", 1, 0, MOTE_EUNSUPPORTED, "expected GGJT version 1 to 3, found 4");
    refuse("ggjt3.bin", 4, "\0", 1, 0, MOTE_EUNSUPPORTED, "found 0");
    refuse("ggmf.bin", 4, "\2", 1, 0, MOTE_EUNSUPPORTED, "expected GGMF version 1 to 1, found 2");
    refuse("ggjt3.bin", 20, "\7", 1, 0, MOTE_EFORMAT, "do not describe a llama model, and others are not read");
    refuse("ggjt3.bin", 28, "\7", 1, 0, MOTE_EFORMAT, "do not describe a llama model");
    refuse("ggjt3.bin", 0, "", 0, 20 - 35776, MOTE_EFORMAT, "the file ends inside its header");
    refuse("ggjt3.bin", 0, "", 0, 40 - 35776, MOTE_EFORMAT, "the file ends inside its vocabulary");
    refuse("ggjt3.bin", 10, "\1", 1, 0, MOTE_EFORMAT, "the file ends inside its vocabulary");
    refuse("ggjt3.bin", 0, "", 0, -1, MOTE_EFORMAT, "the file ends inside output.weight");
    refuse("ggjt3.bin", 0, "", 0, 5, MOTE_EFORMAT, "the file ends inside a tensor");
    refuse("ggjt3.bin", 0, "", 0, 64, MOTE_EFORMAT, "expected a tensor of 1 or 2 dimensions at byte 35776, found 0");
    refuse("ggjt1.bin", gate, "layers.9", 8, 0, MOTE_EUNSUPPORTED,
           "tensor layers.9.feed_forward.w1.weight is none of a llama model of 2 layers");
    refuse("ggjt1.bin", gate, "layers.x", 8, 0, MOTE_EUNSUPPORTED, "is none of a llama");
    refuse("ggjt1.bin", gate, "layers.1", 8, 0, MOTE_EFORMAT, "its tensors do not describe a llama model");
    refuse("ggjt1.bin", gate + 23, "2", 1, 0, MOTE_EFORMAT, "do not describe");      /* two w2, no w1 */
    refuse("ggjt1.bin", gate - 12, "\4", 1, 0, MOTE_EUNSUPPORTED, "blocks of type unknown in a GGJT file of version 1 cannot be "
           "read; take a GGUF file");
    refuse("ggjt1.bin", gate - 12, "\x0C", 1, 0, MOTE_EUNSUPPORTED, "blocks of type Q4_K in a GGJT file of version 1");
    refuse("ggjt1.bin", find("ggjt1.bin", "layers.0.attention.wq.weight") - 8, "\x21", 1, 0, MOTE_EFORMAT, "need a multiple of 32 values, found 33");
    refuse("ggjt1.bin", gate - 16, "\xFF\xFF", 2, 0, MOTE_EFORMAT, "name of at most 256 bytes, found 65535");
    refuse("ggjt1.bin", gate - 20, "\3", 1, 0, MOTE_EFORMAT, "found 3");
    refuse("ggmf.bin", embd - 8, "\x10", 1, 0, MOTE_EUNSUPPORTED, "one of several files of a model");
    refuse("ggml.bin", find("ggml.bin", "layers.1.attention.wq.weight") - 12, "\2", 1, 0, MOTE_EUNSUPPORTED,
           "blocks of type Q4_0 in a GGML file of version 0");
    refuse("ggml.bin", find("ggml.bin", "layers.1.attention.wv.weight") + 20, "k", 1, 0, MOTE_EFORMAT, "appears twice");
}

/* ---- memory --------------------------------------------------------------------------------- */

static void test_memory(void **state)
{
    static const char *const name[] = { "llama2c_v2.bin", "ggjt1.bin" };
    char path[128];
    (void)state;
    for (size_t i = 0; i < MT_COUNT(name); i++) {
        for (size_t n = 1;; n++) {
            fail_alloc fa;
            mt_source *s;
            snprintf(path, sizeof path, "fuzz/corpus/old_formats/%s", name[i]);
            const mote_status st = mt_source_open(&s, in_tests(path), fail_alloc_init(&fa, n, false), &err);
            if (st == MOTE_OK) mt_source_close(s);
            fail_alloc_check(&fa);
            if (fa.calls < n) {
                assert_int_equal(st, MOTE_OK);
                break;
            }
            assert_int_equal(st, MOTE_ENOMEM);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metadata),         cmocka_unit_test(test_values),
        cmocka_unit_test(test_types),            cmocka_unit_test(test_logits),
        cmocka_unit_test_teardown(test_tokenizer, empty),
        cmocka_unit_test(test_llama2c_refusals), cmocka_unit_test(test_ggml_refusals),
        cmocka_unit_test(test_memory),
    };
    snprintf(folder, sizeof folder, "/tmp/mote_old_XXXXXX");
    if (!mkdtemp(folder)) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}

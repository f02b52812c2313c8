/* SPDX-License-Identifier: MIT */
/* test_vocabularies.c - the tokenizer on published vocabularies: against the reference ids that lie
 * beside them, and against goldens of the `tokenizers` package (tests/golden/make_tokens.py).
 *
 * The vocabularies are read from MOTE_TEST_DATA, SmolLM2's from MOTE_TEST_MODEL (a GGUF); what is
 * missing is skipped, loudly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/verified.h"

#include "api/model.h"

static mt_tokenizer *open_ok(const mt_vocab *v)
{
    mt_tokenizer *t = NULL;
    mote_error err = { 0 };
    if (mt_tokenizer_open(&t, v, NULL, &err)) fail_msg("open: %s", err.text);
    return t;
}

static size_t encode(const mt_tokenizer *t, const char *p, size_t n, bool trusted, unsigned flags,
                     int32_t *out, size_t cap)
{
    const mt_segment seg = { { p, n }, trusted };
    mote_error err = { 0 };
    size_t got = 0;
    if (mt_tokenizer_encode(t, &seg, 1, flags, out, cap, &got, &err)) fail_msg("%s", err.text);
    return got;
}

static void expect_ids(const int32_t *got, size_t n_got, const int32_t *want, size_t n_want)
{
    if (n_got == n_want && memcmp(got, want, n_want * sizeof *want) == 0) {
        mt_verified("tokenizer.ggml.*", "ids of reference texts", "the .inp and .out files of llama.cpp; tokenizers", 1);
        return;
    }
    print_error("expected:");
    for (size_t i = 0; i < n_want; i++) print_error(" %d", (int)want[i]);
    print_error("\nfound:   ");
    for (size_t i = 0; i < n_got; i++) print_error(" %d", (int)got[i]);
    print_error("\n");
    fail();
}

/* ---- published vocabularies ------------------------------------------------------------- */

typedef struct file_vocab { mt_source *source; mt_vocab v; mt_arena arena; } file_vocab;

/* False, with a line on stderr, when the file is not there. */
static bool load_vocab(file_vocab *f, const char *path)
{
    mote_error err = { 0 };
    memset(f, 0, sizeof *f);
    FILE *there = fopen(path, "rb");
    if (!there) {
        print_message("SKIPPED: no file %s\n", path);
        return false;
    }
    fclose(there);
    if (mt_source_open(&f->source, path, NULL, &err)) fail_msg("%s", err.text);
    mt_arena_init(&f->arena, NULL, 1 << 16);
    if (mt_vocab_read(f->source, &f->arena, &f->v, &err)) fail_msg("%s", err.text);
    return true;
}

static void unload_vocab(file_vocab *f)
{
    mt_source_close(f->source);
    mt_arena_reset(&f->arena);
}

static char *read_all(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *p = malloc(*n + 1);
    assert_non_null(p);
    assert_int_equal(fread(p, 1, *n, f), *n);
    p[*n] = 0;
    fclose(f);
    return p;
}

static const char *data_dir(void)
{
    const char *dir = getenv("MOTE_TEST_DATA");
    return dir ? dir : "../shared/data";
}

/* The texts of NAME.inp, divided by marker lines, against the ids of NAME.out, a line each. */
static size_t replay_pairs(const mt_tokenizer *t, const char *inp, size_t n_inp, const char *out)
{
    static const char marker[] = "\n__ggml_vocab_test__\n";
    size_t count = 0;
    for (const char *p = inp, *end = inp + n_inp; p < end; count++) {
        int32_t want[2048], got[2048];
        size_t n_want = 0;
        const char *stop = strstr(p, marker);
        const size_t n = (size_t)((stop ? stop : end) - p);
        while (*out && *out != '\n') {
            char *next;
            want[n_want++] = (int32_t)strtol(out, &next, 10);
            out = next + strspn(next, " ");
        }
        out += *out == '\n';
        while (*out == ' ') out++;
        const size_t n_got = encode(t, p, n, true, 0, got, 2048);
        expect_ids(got, n_got, want, n_want);
        p = stop ? stop + strlen(marker) : end;
    }
    return count;
}

static void test_reference_pairs(void **unused)
{
    (void)unused;
    static const char *const names[] = { "gpt-2", "llama-bpe", "qwen2", "starcoder", "mpt", "deepseek-llm",
                                         "bert-bge", "llama-spm", "phi-3", "gemma-4" };
    size_t done = 0;
    for (size_t i = 0; i < MT_COUNT(names); i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/vocab/ggml-vocab-%s.gguf", data_dir(), names[i]);
        file_vocab f;
        if (!load_vocab(&f, path)) continue;
        mt_tokenizer *t = open_ok(&f.v);
        size_t n_inp, n_out, len = strlen(path);
        snprintf(path + len, sizeof path - len, ".inp");
        char *inp = read_all(path, &n_inp);
        snprintf(path + len, sizeof path - len, ".out");
        char *out = read_all(path, &n_out);
        assert_true(inp && out);
        print_message("%s\n", names[i]);
        assert_true(replay_pairs(t, inp, n_inp, out) >= 45);
        free(inp);
        free(out);
        mt_tokenizer_close(t);
        unload_vocab(&f);
        done++;
    }
    if (!done) skip();
    assert_int_equal(done, MT_COUNT(names));
}

/* ---- goldens of the tokenizers package --------------------------------------------------- */

typedef struct golden_text { mt_str text; bool trusted; } golden_text;

static void replay_golden(const mt_tokenizer *t, const char *name, const golden_text *g, size_t n,
                          mt_cursor *c)
{
    for (size_t i = 0; i < n; i++) {
        int32_t id[4096];
        const size_t want = mt_read_u16(c);
        const uint64_t hash = mt_read_u64(c);
        const size_t got = encode(t, g[i].text.p, g[i].text.n, g[i].trusted, 0, id, 4096);
        if (got == want && mt_hash(id, got * sizeof *id) == hash) continue;
        print_error("%s, text %zu (%s): expected %zu ids, found %zu:", name, i,
                    g[i].trusted ? "trusted" : "untrusted", want, got);
        for (size_t k = 0; k < got; k++) print_error(" %d", (int)id[k]);
        print_error("\n%.*s\n", (int)g[i].text.n, g[i].text.p);
        fail();
    }
}

static void test_golden(void **unused)
{
    (void)unused;
    char path[1024], name[7][256];
    const char *source = getenv("MOTE_SOURCE"), *model = getenv("MOTE_TEST_MODEL");
    size_t n;
    snprintf(path, sizeof path, "%s/tests/golden/tokens.bin", source ? source : ".");
    char *file = read_all(path, &n);
    if (!file) fail_msg("no file %s", path);
    assert_memory_equal(file, "mote-tokens 1\n", 14);
    const char *body = strchr(file + 14, '\n') + 1;
    mt_cursor c = { .p = (const uint8_t *)body, .size = n - (size_t)(body - file) };
    const uint32_t n_vocab = mt_read_u32(&c);
    assert_int_equal(n_vocab, 7);
    for (uint32_t i = 0; i < n_vocab; i++) {
        const uint8_t len = mt_read_u8(&c);
        snprintf(name[i], sizeof name[i], "%.*s", len, (const char *)mt_read_bytes(&c, len));
    }
    const uint32_t n_text = mt_read_u32(&c);
    golden_text *g = calloc(n_text, sizeof *g);
    assert_non_null(g);
    for (uint32_t i = 0; i < n_text; i++) {
        g[i].text.n = mt_read_u32(&c);
        g[i].trusted = mt_read_u8(&c);
        g[i].text.p = (const char *)mt_read_bytes(&c, g[i].text.n);
    }
    assert_false(c.failed);
    size_t done = 0;
    for (uint32_t i = 0; i < n_vocab; i++) {
        file_vocab f;
        const bool is_model = strncmp(name[i], "ggml-vocab-", 11) != 0;
        snprintf(path, sizeof path, is_model ? "%s" : "%s/vocab/%s",
                 is_model ? (model ? model : "(MOTE_TEST_MODEL is not set)") : data_dir(), name[i]);
        if (!load_vocab(&f, path)) {
            mt_read_bytes(&c, (size_t)n_text * 10);
            continue;
        }
        mt_tokenizer *t = open_ok(&f.v);
        replay_golden(t, name[i], g, n_text, &c);
        mt_tokenizer_close(t);
        unload_vocab(&f);
        done++;
    }
    assert_true(!c.failed && c.at == c.size);
    print_message("%zu of %u vocabularies, %u texts each\n", done, n_vocab, n_text);
    free(g);
    free(file);
    if (!done) skip();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_pairs),
        cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* test_vocab_json.c - vocabularies between tokenizer.json and tokenizer.ggml.*.
 *
 * The reference vocabularies go to JSON and back and stay what they are; the JSON has the ids of the
 * reference texts when the tokenizers package reads it (tests/golden/check_vocab_json.py).  GPT-NeoX's
 * own tokenizer.json becomes what the converter of llama.cpp made of it. */
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
#include "file/vocab_json.h"
#include "unit/fail_alloc.h"

static mote_error err;
static char gguf_path[64];

static const char *data_path(const char *name)
{
    static char path[1024];
    const char *data = getenv("MOTE_TEST_DATA"), *root = getenv("MOTE_SOURCE");
    if (data) snprintf(path, sizeof path, "%s/%s", data, name);
    else snprintf(path, sizeof path, "%s/../shared/data/%s", root ? root : ".", name);
    return path;
}

static mt_source *open_vocab(const char *name)
{
    char path[128];
    mt_source *s = NULL;
    snprintf(path, sizeof path, "vocab/ggml-vocab-%s.gguf", name);
    if (access(data_path(path), R_OK) != 0) {
        print_message("SKIPPED: no %s (set MOTE_TEST_DATA)\n", data_path(path));
        skip();
    }
    if (mt_source_open(&s, data_path(path), NULL, &err) != MOTE_OK) fail_msg("%s", err.text);
    return s;
}

static mt_buf to_json(const mt_source *s)
{
    mt_buf b;
    mt_buf_init(&b, NULL, 1 << 28);
    if (mt_vocab_to_json(s, &b, &err) != MOTE_OK) fail_msg("%s", err.text);
    return b;
}

/* The metadata of a tokenizer.json, through a file. */
static mt_source *from_json(mt_str json, const char *config)
{
    mt_writer *w;
    mt_source *s;
    assert_int_equal(mt_writer_open(&w, NULL, &err), MOTE_OK);
    if (mt_vocab_from_json(w, json, mt_str_of(config), 0, &err) != MOTE_OK) fail_msg("%s", err.text);
    if (mt_gguf_write(w, gguf_path, NULL, &err) != MOTE_OK) fail_msg("%s", err.text);
    mt_writer_close(w);
    if (mt_source_open(&s, gguf_path, NULL, &err) != MOTE_OK) fail_msg("%s", err.text);
    return s;
}

static void expect_strings(const mt_source *a, const mt_source *b, const char *key)
{
    const mt_meta *x = mt_source_meta(a, key), *y = mt_source_meta(b, key);
    if (!x || !y || x->n != y->n) fail_msg("%s: %zu and %zu", key, x ? x->n : 0, y ? y->n : 0);
    for (size_t i = 0; i < x->n; i++)
        if (!mt_str_eq(x->strings[i], y->strings[i]))
            fail_msg("%s %zu: \"%.*s\", expected \"%.*s\"", key, i, (int)y->strings[i].n, y->strings[i].p,
                     (int)x->strings[i].n, x->strings[i].p);
    mt_verified("tokenizer.json to tokenizer.ggml.* and back", "pieces and merges",
                "what went in (the JSON in between is read by tokenizers: check_vocab_json.py)", (long)x->n);
}

/* Numbers that both name are the same. */
static void expect_ids(const mt_source *a, const mt_source *b, const char *const *keys)
{
    for (; *keys; keys++) {
        int64_t x = -1, y = -1;
        mt_meta_int(a, *keys, &x);
        mt_meta_int(b, *keys, &y);
        if (x != y) fail_msg("%s: %lld, expected %lld", *keys, (long long)y, (long long)x);
    }
}

/* Unknown and control tokens are both special, which is all that tokenizer.json tells; of unused ones it
 * tells nothing. */
static int64_t kind_at(const mt_source *s, size_t i)
{
    const int64_t kind = mt_meta_item_int(mt_source_meta(s, "tokenizer.ggml.token_type"), i);
    return kind == 2 ? 3 : kind == 5 ? 1 : kind;
}

static void expect_kinds(const mt_source *a, const mt_source *b)
{
    const size_t n = mt_source_meta(a, "tokenizer.ggml.token_type")->n;
    for (size_t i = 0; i < n; i++)
        if (kind_at(a, i) != kind_at(b, i))
            fail_msg("kind of token %zu: %lld, expected %lld", i, (long long)kind_at(b, i), (long long)kind_at(a, i));
}

/* For check_vocab_json.py. */
static void keep_json(const char *name, const mt_buf *json)
{
    char path[1024];
    if (!getenv("MOTE_KEEP_JSON")) return;
    snprintf(path, sizeof path, "%s/%s.json", getenv("MOTE_KEEP_JSON"), name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(json->p, 1, json->n, f);
    fclose(f);
}

/* ---- there and back ------------------------------------------------------------------- */

static const struct { const char *name, *model, *pre; bool has_merges, has_scores; } row[] = {
    { "gpt-2", "gpt2", "gpt-2", true, false },         { "llama-bpe", "gpt2", "llama-bpe", true, false },
    { "mpt", "gpt2", "olmo", true, false },            { "qwen2", "gpt2", "qwen2", true, false },
    { "starcoder", "gpt2", "smollm", true, false },    { "llama-spm", "llama", "default", false, false },
    { "phi-3", "llama", "default", false, false },     { "bert-bge", "bert", "default", false, false },
    { "nomic-bert-moe", "t5", "default", false, true } };

static void test_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < MT_COUNT(row); i++) {
        mt_str text;
        mt_source *s = open_vocab(row[i].name);
        mt_buf json = to_json(s);
        keep_json(row[i].name, &json);
        mt_source *t = from_json((mt_str){ json.p, json.n }, "");
        assert_true(mt_meta_str(t, "tokenizer.ggml.model", &text) && mt_str_is(text, row[i].model));
        assert_true(mt_meta_str(t, "tokenizer.ggml.pre", &text) && mt_str_is(text, row[i].pre));
        expect_strings(s, t, "tokenizer.ggml.tokens");
        if (row[i].has_merges) expect_strings(s, t, "tokenizer.ggml.merges");
        if (row[i].has_scores) {
            const mt_meta *x = mt_source_meta(s, "tokenizer.ggml.scores"), *y = mt_source_meta(t, "tokenizer.ggml.scores");
            for (size_t k = 0; k < x->n; k++) assert_true(mt_meta_item_f64(x, k) == mt_meta_item_f64(y, k));
            x = mt_source_meta(s, "tokenizer.ggml.precompiled_charsmap");
            y = mt_source_meta(t, "tokenizer.ggml.precompiled_charsmap");
            assert_true(x->n > 1000 && x->n == y->n);
            assert_memory_equal(x->raw, y->raw, x->n);
        }
        expect_kinds(s, t);
        mt_buf again = to_json(t);
        /* sentencepiece's runs of spaces have one score for all: their merges come in another order */
        const char *merges = strcmp(row[i].model, "llama") == 0 ? strstr(json.p, "\"merges\"") : NULL;
        const size_t n = merges ? (size_t)(merges - json.p) : json.n;
        size_t k = 0;
        assert_int_equal(json.n, again.n);
        while (k < n && json.p[k] == again.p[k]) k++;
        if (k < n) fail_msg("%s: differs at %zu: %.60s", row[i].name, k, again.p + k);
        mt_buf_free(&again);
        mt_buf_free(&json);
        mt_source_close(t);
        mt_source_close(s);
    }
}

static void test_neox(void **state)
{
    static const char *const ids[] = { "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.unknown_token_id", NULL };
    static const char config[] = "{\"bos_token\": \"<|endoftext|>\", \"eos_token\": {\"content\": \"<|endoftext|>\"}, "
                                 "\"unk_token\": \"<|endoftext|>\", \"chat_template\": [{\"name\": \"default\", \"template\": \"A\"},"
                                 " {\"name\": \"tool_use\", \"template\": \"B\"}]}";
    (void)state;
    mt_map m;
    mt_str text;
    mt_source *s = open_vocab("gpt-neox");
    if (mt_map_open(&m, data_path("tokenizer/gpt-neox-20b.tokenizer.json"), &err) != MOTE_OK) skip();
    mt_source *t = from_json((mt_str){ (const char *)m.data, m.size }, config);
    assert_true(mt_meta_str(t, "tokenizer.ggml.pre", &text) && mt_str_is(text, "olmo"));    /* the first with NFC */
    const mt_meta *x = mt_source_meta(s, "tokenizer.ggml.tokens"), *y = mt_source_meta(t, "tokenizer.ggml.tokens");
    assert_true(y->n == 50277 && x->n >= y->n);
    for (size_t i = 0; i < y->n; i++)
        if (!mt_str_eq(x->strings[i], y->strings[i])) fail_msg("token %zu: \"%.*s\"", i, (int)y->strings[i].n, y->strings[i].p);
    expect_strings(s, t, "tokenizer.ggml.merges");
    expect_ids(s, t, ids);
    assert_true(mt_meta_str(t, "tokenizer.chat_template", &text) && mt_str_is(text, "A"));
    assert_true(mt_meta_str(t, "tokenizer.chat_template.tool_use", &text) && mt_str_is(text, "B"));
    mt_map_close(&m);
    mt_source_close(t);
    mt_source_close(s);
}

/* ---- small ones, whole ------------------------------------------------------------------ */

static const char small_json[] =
    "{\"added_tokens\": [{\"id\": 5, \"content\": \"<|end|>\", \"special\": true}, {\"id\": 6, \"content\": \"<x>\", \"special\": false}],"
    " \"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false},"
    " \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": {\"id\": \"A\"}}, {\"SpecialToken\": {\"id\": \"<|end|>\"}}]},"
    " \"model\": {\"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"\\\"\": 4}, \"merges\": [[\"a\", \"b\"]]}}";

static void test_small(void **state)
{
    static const char *const token[] = { "a", "b", "ab", "[PAD3]", "\"", "<|end|>", "<x>" };
    static const int kind[] = { 1, 1, 1, 5, 1, 3, 4 };
    (void)state;
    bool flag;
    int64_t id;
    mt_source *s = from_json(mt_str_of(small_json), "{\"pad_token\": \"<x>\"}");
    const mt_meta *tokens = mt_source_meta(s, "tokenizer.ggml.tokens"), *kinds = mt_source_meta(s, "tokenizer.ggml.token_type");
    assert_int_equal(tokens->n, MT_COUNT(token));
    for (size_t i = 0; i < tokens->n; i++) {
        assert_true(mt_str_is(tokens->strings[i], token[i]));
        assert_int_equal(mt_meta_item_int(kinds, i), kind[i]);
    }
    assert_true(mt_str_is(mt_source_meta(s, "tokenizer.ggml.merges")->strings[0], "a b"));
    assert_true(mt_meta_bool(s, "tokenizer.ggml.add_bos_token", &flag) && !flag);
    assert_true(mt_meta_bool(s, "tokenizer.ggml.add_eos_token", &flag) && flag);
    assert_true(mt_meta_int(s, "tokenizer.ggml.eos_token_id", &id) && id == 5);
    assert_true(mt_meta_int(s, "tokenizer.ggml.padding_token_id", &id) && id == 6);
    assert_false(mt_meta_int(s, "tokenizer.ggml.bos_token_id", &id));
    mt_source_close(s);
}

/* ---- what must be refused ------------------------------------------------------------------ */

static void refuse(const char *json, mote_status want, const char *words)
{
    mt_writer *w;
    assert_int_equal(mt_writer_open(&w, NULL, &err), MOTE_OK);
    err = (mote_error){ MOTE_OK, "" };
    const mote_status found = mt_vocab_from_json(w, mt_str_of(json), mt_str_of(""), 0, &err);
    if (found != want || found != err.code || !strstr(err.text, words))
        fail_msg("expected %s with \"%s\", found %s: %s", mote_status_name(want), words, mote_status_name(found), err.text);
    mt_writer_close(w);
}

#define BPE "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": []}"

static void test_refusals(void **state)
{
    (void)state;
    refuse("", MOTE_EFORMAT, "tokenizer.json: line ");
    refuse("[]", MOTE_EFORMAT, "expected an object");
    refuse("{}", MOTE_EFORMAT, "the model has no vocab");
    refuse("{\"model\": {\"vocab\": {\"a\": -1}}}", MOTE_EFORMAT, "token \"a\": expected an id from 0 to 2097151, found -1");
    refuse("{\"model\": {\"vocab\": {\"a\": 2097152}}}", MOTE_EFORMAT, "found 2097152");
    refuse("{\"model\": {\"vocab\": {}}}", MOTE_EFORMAT, "expected 1 to 2097152 tokens, found 0");
    refuse("{\"added_tokens\": [{\"content\": \"x\"}], " BPE "}", MOTE_EFORMAT, "token \"x\": expected an id");
    refuse("{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": 0}}}", MOTE_EUNSUPPORTED, "no word for a WordLevel model");
    refuse("{" BPE "}", MOTE_EUNSUPPORTED, "no word for BPE without bytes");
    refuse("{\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true}, " BPE "}", MOTE_EUNSUPPORTED, "add_prefix_space");
    refuse("{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Punctuation\"}, {\"type\": \"ByteLevel\"}]}, " BPE "}",
           MOTE_EUNSUPPORTED, "no word for the pre-tokenizer Punctuation");
    refuse("{\"pre_tokenizer\": {\"type\": \"ByteLevel\"}, \"normalizer\": {\"type\": \"Lowercase\"}, " BPE "}", MOTE_EUNSUPPORTED,
           "no word for the normalizer Lowercase");
    refuse("{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": \"x+\"}, "
           "\"behavior\": \"Isolated\"}, {\"type\": \"ByteLevel\", \"use_regex\": false}]}, " BPE "}", MOTE_EUNSUPPORTED, "pre-tokenizer: x+");
    refuse("{\"pre_tokenizer\": {\"type\": \"ByteLevel\"}, \"model\": {\"vocab\": {\"a\": 0}, \"merges\": [\"ab\"]}}", MOTE_EFORMAT, "merge 0");
    refuse("{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 0]], \"unk_id\": 1}}", MOTE_EFORMAT, "unk_id is no token");
    refuse("{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\"]], \"unk_id\": 0}}", MOTE_EFORMAT, "vocab entry 0");
    refuse("{\"model\": {\"type\": \"Unigram\", \"vocab\": {\"a\": 0}, \"unk_id\": 0}}", MOTE_EFORMAT, "has another form");
    refuse("{\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"!\"}, \"model\": {\"vocab\": [[\"a\", 0]], "
           "\"unk_id\": 0}}", MOTE_EFORMAT, "not base64");
    refuse("{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"a\": 0}, \"continuing_subword_prefix\": \"@\"}}", MOTE_EUNSUPPORTED, "but ##");
    mt_source *s = open_vocab("deepseek-llm");
    mt_buf b;
    mt_buf_init(&b, NULL, 1 << 28);
    assert_int_equal(mt_vocab_to_json(s, &b, &err), MOTE_EUNSUPPORTED);
    assert_non_null(strstr(err.text, "the pre-tokenizer \"deepseek-llm\" cannot be written"));
    mt_buf_free(&b);
    mt_source_close(s);
}

static mote_status with_alloc(const mote_alloc *alloc)
{
    mt_writer *w;
    MT_TRY(mt_writer_open(&w, alloc, &err));
    const mote_status st = mt_vocab_from_json(w, mt_str_of(small_json), mt_str_of(""), 0, &err);
    mt_writer_close(w);
    return st;
}

static void test_memory(void **state)
{
    (void)state;
    for (size_t n = 1;; n++) {
        fail_alloc fa;
        const mote_status st = with_alloc(fail_alloc_init(&fa, n, false));
        fail_alloc_check(&fa);
        if (fa.calls < n) {
            assert_int_equal(st, MOTE_OK);
            break;
        }
        assert_int_equal(st, MOTE_ENOMEM);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),          cmocka_unit_test(test_memory),
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_neox),
        cmocka_unit_test(test_refusals),
    };
    snprintf(gguf_path, sizeof gguf_path, "/tmp/mote_vocab_XXXXXX");
    const int fd = mkstemp(gguf_path);
    if (fd < 0) return 1;
    close(fd);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(gguf_path);
    return failed;
}

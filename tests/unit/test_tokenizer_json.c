/* SPDX-License-Identifier: MIT */
/* test_tokenizer_json.c - tokenizer.json against goldens of the `tokenizers` package
 * (tests/golden/make_tokenizers.py), and against what is damaged, unknown or out of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/verified.h"

#include "text/tape.h"
#include "text/text.h"
#include "unit/fail_alloc.h"

enum { MOST = 8192 };

static char *read_all(const char *name, size_t *n)
{
    char path[1024];
    const char *source = getenv("MOTE_SOURCE");
    snprintf(path, sizeof path, "%s/tests/golden/%s", source ? source : ".", name);
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("no file %s", path);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *p = malloc(*n + 1);
    assert_non_null(p);
    assert_int_equal(fread(p, 1, *n, f), *n);
    fclose(f);
    return p;
}

static mt_tokenizer *open_ok(mt_str text)
{
    mt_tokenizer *t = NULL;
    mote_error err = { 0 };
    const mt_tokenizer_files f = { .tokenizer = text };
    if (mt_tokenizer_open_json(&t, &f, NULL, &err)) fail_msg("open: %s", err.text);
    return t;
}

/* ---- goldens --------------------------------------------------------------------------- */

static void expect_numbers(const mt_tape *j, uint32_t list, const void *got, size_t n, const char *what, mt_str name, mt_str text)
{
    const int32_t *v = got;
    bool is_same = mt_tape_size(j, list) == n;
    for (uint32_t i = list + 1, k = 0; is_same && i < j->node[list].next; i++, k++) {
        int64_t want;
        is_same = mt_tape_int(j, i, &want) && want == v[k];
    }
    if (is_same) {
        mt_verified("tokenizer.json", "ids and spans of texts", "tokenizers 0.23", 1);
        return;
    }
    print_error("%.*s, text \"%.*s\": %s expected %.*s, found", (int)name.n, name.p, (int)text.n, text.p, what,
                (int)(j->node[j->node[list].next - 1].at - j->node[list].at + 8), j->text.p + j->node[list].at);
    for (size_t k = 0; k < n; k++) print_error(" %d", (int)v[k]);
    print_error("\n");
    fail();
}

static void replay(const mt_tape *j, uint32_t one, mt_arena *arena)
{
    mt_str name, source, text, decoded;
    static int32_t id[MOST];
    static mote_span span[MOST];
    assert_true(mt_tape_string(j, mt_tape_get(j, one, "name"), arena, &name));
    assert_true(mt_tape_string(j, mt_tape_get(j, one, "tokenizer"), arena, &source));
    mt_tokenizer *t = open_ok(source);
    const uint32_t cases = mt_tape_get(j, one, "cases");
    for (uint32_t c = cases + 1; c < j->node[cases].next; c = j->node[c].next) {
        assert_true(mt_tape_string(j, mt_tape_get(j, c, "text"), arena, &text));
        assert_true(mt_tape_string(j, mt_tape_get(j, c, "decoded"), arena, &decoded));
        const mt_segment seg = { text, true };
        size_t n = 0, n_plain = 0;
        mote_error err = { 0 };
        if (mt_tokenizer_encode_spans(t, &seg, 1, MOTE_TEXT_BOS | MOTE_TEXT_EOS, id, span, MOST, &n, &err)) fail_msg("%s", err.text);
        expect_numbers(j, mt_tape_get(j, c, "ids"), id, n, "ids", name, text);
        expect_numbers(j, mt_tape_get(j, c, "spans"), span, 2 * n, "spans", name, text);
        mt_buf out;
        mt_buf_init(&out, NULL, 1 << 20);
        assert_int_equal(mt_tokenizer_decode(t, id, n, MOTE_TEXT_SPECIAL, &out, &err), MOTE_OK);
        const bool is_lossy = memmem(decoded.p, decoded.n, "\xEF\xBF\xBD", 3) != NULL;
        if (!is_lossy && !mt_str_eq((mt_str){ out.n ? out.p : "", out.n }, decoded))
            fail_msg("%.*s: decoded \"%.*s\", expected \"%.*s\"", (int)name.n, name.p, (int)out.n, out.p, (int)decoded.n, decoded.p);
        mt_buf_free(&out);
        /* without spans, and counted first: the same */
        assert_int_equal(mt_tokenizer_encode(t, &seg, 1, MOTE_TEXT_BOS | MOTE_TEXT_EOS, NULL, 0, &n_plain, NULL), n ? MOTE_EFULL : MOTE_OK);
        assert_int_equal(n_plain, n);
    }
    mt_tokenizer_close(t);
}

static void test_golden(void **unused)
{
    (void)unused;
    size_t n;
    char *file = read_all("tokenizers.json", &n);
    mt_tape j;
    mt_arena arena;
    mote_error err = { 0 };
    mt_arena_init(&arena, NULL, 1 << 16);
    if (mt_tape_open(&j, (mt_str){ file, n }, "tokenizers.json", NULL, &err)) fail_msg("%s", err.text);
    const uint32_t all = mt_tape_get(&j, 0, "all");
    assert_true(mt_tape_size(&j, all) >= 14);
    for (uint32_t i = all + 1; i < j.node[all].next; i = j.node[i].next) replay(&j, i, &arena);
    mt_tape_close(&j);
    mt_arena_reset(&arena);
    free(file);
}

/* ---- many texts at once --------------------------------------------------------------------- */

enum { N_TEXT = 3000 };

/* Texts of all lengths, with a special token here and there; one after the other they give ids and ends. */
static void test_many(void **unused)
{
    (void)unused;
    static const char *const part[] = { "the ", "ab", "\xC3\xA9", " 12", "<s>", "\n", "\xFF", "" };
    static mote_text text[N_TEXT];
    static int32_t want[N_TEXT * 64], id[N_TEXT * 64];
    static mote_span want_span[N_TEXT * 64], span[N_TEXT * 64];
    static size_t want_end[N_TEXT], end[N_TEXT];
    static char bytes[N_TEXT][128];
    static const char *const file =
        "{\"added_tokens\":[{\"id\":6,\"content\":\"<s>\",\"special\":true,\"normalized\":false}],\"normalizer\":{\"type\":\"NFD\"},"
        "\"pre_tokenizer\":{\"type\":\"Whitespace\"},\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"<s>\",6],\"sep\":[\"<s>\",6]},"
        "\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"t\":3,\"e\":4,\"?\":5},\"merges\":[\"a b\"]}}";
    mt_tokenizer *t = open_ok(mt_str_of(file));
    mote_error err = { 0 };
    size_t total = 0, n = 0;
    uint32_t seed = 1;
    for (size_t i = 0; i < N_TEXT; i++) {
        char *to = bytes[i];
        for (size_t k = 0; k < i % 23; k++) {
            seed = seed * 1664525u + 1013904223u;
            to = stpcpy(to, part[seed >> 16 & 7]);
        }
        text[i] = (mote_text){ bytes[i], (size_t)(to - bytes[i]) };
        const mt_segment seg = { { text[i].p, text[i].n }, true };
        assert_int_equal(mt_tokenizer_encode_spans(t, &seg, 1, MOTE_TEXT_BOS | MOTE_TEXT_EOS, want + total, want_span + total, 64, &n, &err), MOTE_OK);
        want_end[i] = total += n;
    }
    for (int n_thread = 1; n_thread <= 4; n_thread++) {
        const unsigned flags = MOTE_TEXT_BOS | MOTE_TEXT_EOS | MOTE_TEXT_SPECIAL;
        mt_pool *pool;
        assert_int_equal(mt_pool_open_crowded(&pool, n_thread, NULL, &err), MOTE_OK);
        for (int spans = 0; spans < 2; spans++) {
            memset(id, 0x55, sizeof id);
            assert_int_equal(mt_tokenizer_encode_many(t, pool, text, N_TEXT, flags, id, spans ? span : NULL, total, end, &n, &err), MOTE_OK);
            assert_int_equal(n, total);
            assert_memory_equal(id, want, total * sizeof *id);
            assert_memory_equal(end, want_end, sizeof end);
            if (spans) assert_memory_equal(span, want_span, total * sizeof *span);
        }
        assert_int_equal(mt_tokenizer_encode_many(t, pool, text, N_TEXT, flags, NULL, NULL, 0, end, &n, &err), MOTE_EFULL);
        assert_int_equal(n, total);
        assert_int_equal(mt_tokenizer_encode_many(t, pool, NULL, 0, flags, NULL, NULL, 0, NULL, &n, &err), MOTE_OK);
        assert_int_equal(n, 0);
        const mote_text keep[] = { text[11], text[12] };
        text[11] = text[12] = (mote_text){ bytes[0], (size_t)1 << 30 };      /* refused before it is read */
        assert_int_equal(mt_tokenizer_encode_many(t, pool, text, N_TEXT, flags, id, NULL, total, end, &n, &err), MOTE_EINVAL);
        assert_non_null(strstr(err.text, "text 11: text has more than"));
        text[11] = keep[0], text[12] = keep[1];
        mt_pool_close(pool);
    }
    mt_tokenizer_close(t);
}

/* A vocabulary of text behind a pre-tokenizer of bytes: what is outside the byte alphabet never comes up, and neither
 * do its merges. */
static void test_inert_merges(void **unused)
{
    (void)unused;
    mt_tokenizer *t = open_ok(mt_str_of(
        "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,"
        "\"ab\":2,\"\xCC\x81\":3,\"\xCC\x81\xCC\x81\":4},\"merges\":[\"\xCC\x81 \xCC\x81\",\"a b\"]}}"));
    const mt_segment seg = { mt_str_of("ab\xCC\x81\xCC\x81" "b"), true };
    int32_t id[16];
    size_t n = 0;
    assert_int_equal(mt_tokenizer_encode(t, &seg, 1, 0, id, 16, &n, NULL), MOTE_OK);
    assert_int_equal(n, 2);                     /* what has no token is dropped, as the reference drops it */
    assert_int_equal(id[0], 2);
    assert_int_equal(id[1], 1);
    mt_tokenizer_close(t);
}

/* ---- what is refused ---------------------------------------------------------------------- */

#define FILE_OF(norm, pre, post, deco, model) \
    "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true,\"normalized\":false}],\"normalizer\":" norm \
    ",\"pre_tokenizer\":" pre ",\"post_processor\":" post ",\"decoder\":" deco ",\"model\":" model "}"
#define LEVEL "{\"type\":\"WordLevel\",\"vocab\":{\"a\":0,\"b\":1,\"[UNK]\":2},\"unk_token\":\"[UNK]\"}"
#define BPE(merges, more) "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":" merges more "}"
#define NONE "null"

static void test_refused(void **unused)
{
    (void)unused;
    static const struct { const char *file; mote_status want; const char *word; } row[] = {
        { "", MOTE_EFORMAT, "line 1" }, { "{", MOTE_EFORMAT, "key" }, { "[1]", MOTE_EFORMAT, "not an object" },
        { "{}", MOTE_EFORMAT, "no model" }, { "{\"model\":{\"type\":\"WordLevel\"}}", MOTE_EFORMAT, "no vocabulary" },
        { FILE_OF("{\"type\":\"Odd\"}", NONE, NONE, NONE, LEVEL), MOTE_EUNSUPPORTED, "Odd" },
        { FILE_OF(NONE, "{\"type\":\"UnicodeScripts\"}", NONE, NONE, LEVEL), MOTE_EUNSUPPORTED, "UnicodeScripts" },
        { FILE_OF(NONE, NONE, "{\"type\":\"Odd\"}", NONE, LEVEL), MOTE_EUNSUPPORTED, "Odd" },
        { FILE_OF(NONE, NONE, NONE, "{\"type\":\"CTC\"}", LEVEL), MOTE_EUNSUPPORTED, "CTC" },
        { FILE_OF(NONE, "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\\\\X\"},\"behavior\":\"Isolated\",\"invert\":false}", NONE, NONE, LEVEL),
          MOTE_EUNSUPPORTED, "\\X" },
        { FILE_OF(NONE, "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a\"},\"behavior\":\"Isolated\",\"invert\":false}", NONE, NONE, LEVEL),
          MOTE_EUNSUPPORTED, "not understood" },
        { FILE_OF(NONE, "{\"type\":\"Punctuation\",\"behavior\":\"Sideways\"}", NONE, NONE, LEVEL), MOTE_EUNSUPPORTED, "Sideways" },
        { FILE_OF(NONE, NONE, NONE, NONE, BPE("[\"a c\"]", "")), MOTE_EFORMAT, "a c" },
        { FILE_OF(NONE, NONE, NONE, NONE, BPE("[\"ab\"]", "")), MOTE_EFORMAT, "two tokens" },
        { FILE_OF(NONE, NONE, NONE, NONE, BPE("[\"a b\"]", ",\"dropout\":0.1")), MOTE_EUNSUPPORTED, "dropout" },
        { FILE_OF(NONE, NONE, "{\"type\":\"BertProcessing\",\"cls\":[\"x\",9],\"sep\":[\"y\",1]}", NONE, LEVEL), MOTE_EFORMAT, "post-processor" },
        { "{\"added_tokens\":[{\"id\":7,\"content\":\"<s>\"}],\"model\":" LEVEL "}", MOTE_EFORMAT, "expected 3" },
        { "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0,\"b\":0}}}", MOTE_EFORMAT, "two tokens" },
        { "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":4000000}}}", MOTE_EFORMAT, "id" },
        { "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",\"b\"]]}}", MOTE_EFORMAT, "score" },
    };
    for (size_t i = 0; i < MT_COUNT(row); i++) {
        mt_tokenizer *t = (mt_tokenizer *)&t;
        mote_error err = { 0 };
        const mt_tokenizer_files f = { .tokenizer = mt_str_of(row[i].file) };
        const mote_status got = mt_tokenizer_open_json(&t, &f, NULL, &err);
        if (got != row[i].want || !strstr(err.text, row[i].word))
            fail_msg("case %zu: status %d, '%s', expected %d and '%s'", i, (int)got, err.text, (int)row[i].want, row[i].word);
        assert_null(t);
    }
}

/* A special token's text in an untrusted segment stays text, whatever the model is. */
static void test_trust(void **unused)
{
    (void)unused;
    mt_tokenizer *t = open_ok(mt_str_of(FILE_OF("{\"type\":\"Lowercase\"}", "{\"type\":\"WhitespaceSplit\"}", NONE, NONE, LEVEL)));
    int32_t id[16];
    size_t n;
    for (int is_trusted = 0; is_trusted < 2; is_trusted++) {
        const mt_segment seg[] = { { mt_str_of("a "), true }, { mt_str_of("<s> [UNK]"), is_trusted } };
        assert_int_equal(mt_tokenizer_encode(t, seg, 2, 0, id, 16, &n, NULL), MOTE_OK);
        assert_int_equal(n, 3);
        assert_int_equal(id[1], is_trusted ? 3 : 2);
    }
    mt_tokenizer_close(t);
}

/* An expression that would run for ever is stopped, and says so. */
static void test_match_limit(void **unused)
{
    (void)unused;
    mt_tokenizer *t = open_ok(mt_str_of(FILE_OF(NONE, "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a+a+)+[bc]\"},\"behavior\":\"Isolated\","
                                                "\"invert\":false}", NONE, NONE, LEVEL)));
    char text[64];
    int32_t id[64];
    size_t n;
    mote_error err = { 0 };
    memset(text, 'a', sizeof text);
    const mt_segment seg = { { text, sizeof text }, false };
    assert_int_equal(mt_tokenizer_encode(t, &seg, 1, 0, id, 64, &n, &err), MOTE_EFULL);
    assert_non_null(strstr(err.text, "steps"));
    mt_tokenizer_close(t);
}

/* Opens, encodes and decodes with the n-th allocation failing, until every one was tried. */
static void test_failing_memory(void **unused)
{
    (void)unused;
    static const char file[] = FILE_OF("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{\"type\":\"BertNormalizer\"}]}",
        "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\s+\"},\"behavior\":\"Removed\","
        "\"invert\":false},{\"type\":\"Metaspace\",\"replacement\":\"_\"}]}", NONE,
        "{\"type\":\"Metaspace\",\"replacement\":\"_\"}", BPE("[\"a b\"]", ",\"byte_fallback\":true"));
    const mote_text many[] = { { "ab a", 4 }, { "", 0 } };
    size_t end[2];
    mt_pool *pool;
    assert_int_equal(mt_pool_open(&pool, 1, NULL, NULL), MOTE_OK);
    for (size_t nth = 1;; nth++) {
        fail_alloc fa;
        const mote_alloc *alloc = fail_alloc_init(&fa, nth, false);
        const mt_tokenizer_files f = { .tokenizer = mt_str_of(file) };
        const mt_segment seg = { mt_str_of("ab \xC3\xA4 <s> ab\xCC\x81"), true };
        mt_tokenizer *t = NULL;
        int32_t id[64];
        mote_span span[64];
        size_t n = 0;
        mote_error err = { 0 };
        mt_buf out;
        mt_buf_init(&out, alloc, 4096);
        mote_status st = mt_tokenizer_open_json(&t, &f, alloc, &err);
        if (st == MOTE_OK) st = mt_tokenizer_encode_spans(t, &seg, 1, 0, id, span, 64, &n, &err);
        if (st == MOTE_OK) st = mt_tokenizer_decode(t, id, n, MOTE_TEXT_SPECIAL, &out, &err);
        if (st == MOTE_OK) st = mt_tokenizer_encode_many(t, pool, many, 2, 0, id, span, 64, end, &n, &err);
        if (st != MOTE_OK && (st != MOTE_ENOMEM || err.code != st)) fail_msg("call %zu: %s", nth, err.text);
        mt_buf_free(&out);
        mt_tokenizer_close(t);
        fail_alloc_check(&fa);
        if (fa.calls < nth) {
            assert_int_equal(st, MOTE_OK);
            break;
        }
    }
    mt_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_many),
        cmocka_unit_test(test_inert_merges), cmocka_unit_test(test_refused), cmocka_unit_test(test_trust),
        cmocka_unit_test(test_match_limit), cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

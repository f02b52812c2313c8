/* SPDX-License-Identifier: MIT */
/* test_folder.c - folders as model hubs publish them: settings as metadata, shards and their index,
 * companions, a hub's cache of links, and what users meet when a part is missing. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "file/parts.h"
#include "unit/fail_alloc.h"
#include "unit/golden_text.h"

/* ---- a folder of the test's own ------------------------------------------------------ */

static char root[64];

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/mote_folder_XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static const char *at(const char *name)
{
    static char path[4][512];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", root, name);
    return p;
}

static void write_file(const char *name, const void *p, size_t n)
{
    FILE *f = fopen(at(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void write_text(const char *name, const char *text) { write_file(name, text, strlen(text)); }

/* A file with one tensor of F32, two values. */
static void write_tensor(const char *name, const char *tensor)
{
    char p[512] = { 0 };
    const int n = snprintf(p + 8, sizeof p - 16, "{\"%s\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
                           tensor);
    p[0] = (char)n;
    write_file(name, p, 16 + (size_t)n);
}

static void remove_file(const char *name) { (void)unlink(at(name)); }


/* Opening path fails with a sentence that has these words. */
static void expect(const char *path, mote_status want, const char *words)
{
    mt_source *s;
    mote_error err = { 0 };
    const mote_status st = mt_source_open(&s, path, NULL, &err);
    if (st != want || !strstr(err.text, words))
        fail_msg("%s, %s: expected %s, %s", mote_status_name(st), err.text, mote_status_name(want), words);
    assert_null(s);
}

static mt_source *open_ok(const char *path)
{
    mt_source *s;
    mote_error err = { 0 };
    if (mt_source_open(&s, path, NULL, &err) != MOTE_OK) fail_msg("%s: %s", path, err.text);
    return s;
}

/* ---- by the package --------------------------------------------------------------------- */

static void check_settings(const mt_source *s)
{
    int64_t i;
    double f;
    bool b;
    mt_str text;
    assert_true(mt_meta_str(s, "model_type", &text) && mt_str_is(text, "llama"));
    assert_true(mt_meta_int(s, "hidden_size", &i) && i == 4);
    assert_true(mt_meta_f64(s, "rms_norm_eps", &f) && fabs(f - 1e-05) < 1e-20);
    assert_true(mt_meta_bool(s, "tie_word_embeddings", &b) && !b);
    assert_null(mt_source_meta(s, "bos_token_id"));
    assert_true(mt_meta_f64(s, "rope_scaling.factor", &f) && fabs(f - 8) < 1e-20);
    assert_true(mt_meta_str(s, "rope_scaling.rope_type", &text) && mt_str_is(text, "llama3"));
    assert_true(mt_meta_int(s, "rope_scaling.deep.er", &i) && i == -3);
    assert_true(mt_meta_str(s, "mixed", &text) && text.p[0] == '[');
    assert_true(mt_meta_str(s, "nested", &text) && text.p[text.n - 1] == ']');
    assert_true(mt_meta_str(s, "id2label.1", &text) && mt_str_is(text, "y\xC3\xA9s"));
    assert_true(mt_meta_f64(s, "big", &f) && fabs(f - 1180591620717411303424.0) < 1);
    assert_true(mt_meta_f64(s, "generation.temperature", &f) && fabs(f - 0.6) < 1e-15);
    assert_true(mt_meta_bool(s, "generation.do_sample", &b) && b);
}

static void check_arrays(const mt_source *s)
{
    const mt_meta *m = mt_source_meta(s, "eos_token_id");
    assert_true(m && m->type == MT_META_ARRAY && m->item == MT_META_I64 && m->n == 2);
    assert_true(mt_meta_item_int(m, 0) == 1 && mt_meta_item_int(m, 1) == 2);
    m = mt_source_meta(s, "layer_types");
    assert_true(m && m->type == MT_META_ARRAY && m->n == 0);
    m = mt_source_meta(s, "time_step_limit");
    assert_true(m && m->item == MT_META_F64 && m->n == 2 && isinf(mt_meta_item_f64(m, 1)));
    m = mt_source_meta(s, "flags");
    assert_true(m && m->item == MT_META_BOOL && m->n == 2);
    assert_true(mt_meta_item_int(m, 0) == 1 && mt_meta_item_int(m, 1) == 0);
    m = mt_source_meta(s, "names");
    assert_true(m && m->item == MT_META_STRING && m->n == 2 && mt_str_is(m->strings[1], "b\n"));
    m = mt_source_meta(s, "architectures");
    assert_true(m && m->item == MT_META_STRING && m->n == 1 && mt_str_is(m->strings[0], "LlamaForCausalLM"));
}

static void test_golden(void **state)
{
    (void)state;
    char path[512];
    mt_source *s = open_ok(golden_path(path, sizeof path, "folder"));
    assert_int_equal(golden_compare(s, golden_path(path, sizeof path, "folder.txt")), 4);
    assert_string_equal(s->format, "safetensors");
    assert_true(s->is_foreign && s->n_shard == 2);
    check_settings(s);
    check_arrays(s);
    assert_true(mt_str_is(mt_source_file(s, "tokenizer.json"), "{}\n"));
    assert_true(mt_source_file(s, "1_Pooling/config.json").n > 10);
    assert_true(mt_source_file(s, "vocab.txt").n == 0);
    mt_source_forget(s, s->tensor[0].data, s->tensor[0].bytes);
    mt_source_close(s);
    s = open_ok(golden_path(path, sizeof path, "folder/model-00002-of-00002.safetensors"));      /* alone */
    assert_int_equal(s->n_tensor, 2);
    check_settings(s);
    assert_true(mt_str_is(mt_source_file(s, "tokenizer.json"), "{}\n"));
    mt_source_close(s);
}

static void test_no_memory(void **state)
{
    (void)state;
    char path[512];
    golden_path(path, sizeof path, "folder");
    for (int keep = 0; keep < 2; keep++)
        for (size_t n = 1;; n++) {
            fail_alloc fa;
            mt_source *s;
            mote_error err = { 0 };
            const mote_status st = mt_source_open(&s, path, fail_alloc_init(&fa, n, keep), &err);
            if (fa.calls >= n) assert_int_equal(st, MOTE_ENOMEM), assert_true(strlen(err.text) > 10);
            mt_source_close(s);
            fail_alloc_check(&fa);
            if (fa.calls >= n) continue;
            assert_int_equal(st, MOTE_OK);
            break;
        }
}

void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);
static size_t mmap_calls, mmap_fail_at;
void *__wrap_mmap(void *where, size_t n, int prot, int flags, int fd, off_t offset)
{
    if (++mmap_calls != mmap_fail_at) return __real_mmap(where, n, prot, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

static void test_no_mapping(void **state)
{
    (void)state;
    char path[512];
    golden_path(path, sizeof path, "folder");
    for (mmap_fail_at = 1;; mmap_fail_at++) {
        mt_source *s;
        mote_error err = { 0 };
        mmap_calls = 0;
        const mote_status st = mt_source_open(&s, path, NULL, &err);
        mt_source_close(s);
        if (mmap_calls < mmap_fail_at) {
            assert_int_equal(st, MOTE_OK);
            break;
        }
        assert_int_equal(st, MOTE_ENOMEM);
        assert_true(strstr(err.text, "cannot map") != NULL);
    }
    assert_true(mmap_fail_at >= 8);             /* two shards, their index, four small files */
    mmap_fail_at = 0;
}

/* ---- what users meet ---------------------------------------------------------------------- */

static void test_missing(void **state)
{
    (void)state;
    expect(at("nowhere"), MOTE_EIO, "cannot open");
    expect(root, MOTE_EFORMAT, "found neither config.json nor a tokenizer");
    write_text("vocab.txt", "a");
    mt_source_close(open_ok(root));             /* a tokenizer by itself has no tensors */
    assert_int_equal(remove(at("vocab.txt")), 0);
    write_text("config.json", "{\"model_type\": \"x\"}");
    expect(root, MOTE_EFORMAT, "expected a folder with model.safetensors");
    write_tensor("a.safetensors", "a");
    write_tensor("adapter_model.safetensors", "lora");
    mt_source *s = open_ok(root);               /* the only one */
    assert_non_null(mt_source_tensor(s, "a"));
    mt_source_close(s);
    write_tensor("b.safetensors", "b");
    expect(root, MOTE_EFORMAT, "found 2 files like a.safetensors and no index");
    write_tensor("model.safetensors", "whole");
    s = open_ok(root);
    assert_non_null(mt_source_tensor(s, "whole"));
    mt_source_close(s);
    write_text("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 100\n");
    expect(root, MOTE_EFORMAT, "model.safetensors: expected a safetensors or PyTorch file, found a Git LFS pointer");
    write_text("model.safetensors", "");
    expect(root, MOTE_EFORMAT, "model.safetensors: expected a safetensors or PyTorch file, found an empty file");
    write_text("model.safetensors", "<!DOCTYPE html>");
    expect(root, MOTE_EFORMAT, "found a web page");
}

static void index_of(const char *map)
{
    char text[512];
    snprintf(text, sizeof text, "{\"metadata\": {\"total_size\": 1}, \"weight_map\": {%s}}", map);
    write_text("model.safetensors.index.json", text);
}

static void test_shards(void **state)
{
    (void)state;
    write_text("config.json", "{}");
    write_tensor("1.safetensors", "a");
    write_tensor("2.safetensors", "b");
    index_of("\"a\": \"1.safetensors\", \"b\": \"2.safetensors\"");
    mt_source *s = open_ok(root);
    assert_true(s->n_shard == 2 && s->n_tensor == 2);
    mt_source_close(s);
    index_of("\"a\": \"1.safetensors\", \"b\": \"3.safetensors\"");
    expect(root, MOTE_EIO, "expected the file 3.safetensors, found none");
    index_of("\"a\": \"1.safetensors\", \"b\": \"2.safetensors\", \"c\": \"2.safetensors\"");
    expect(root, MOTE_EFORMAT, "expected tensor c in 2.safetensors, found none there");
    index_of("\"a\": \"1.safetensors\", \"B\": \"2.safetensors\"");
    expect(root, MOTE_EFORMAT, "expected tensor B in 2.safetensors, found none there");
    index_of("\"b\": \"1.safetensors\", \"a\": \"2.safetensors\"");
    expect(root, MOTE_EFORMAT, "found it in another file");
    index_of("\"a\": \"1.safetensors\", \"a\": \"1.safetensors\"");
    expect(root, MOTE_EFORMAT, "tensor a appears twice");
    write_tensor("2.safetensors", "a");
    index_of("\"a\": \"1.safetensors\", \"b\": \"2.safetensors\"");
    expect(root, MOTE_EFORMAT, "tensor a lies in two files");
    write_tensor("2.safetensors", "z");
    index_of("\"a\": \"1.safetensors\", \"b\": \"2.safetensors\"");
    expect(root, MOTE_EFORMAT, "expected tensor b in 2.safetensors, found none there");
    index_of("\"a\": \"1.safetensors\", \"zz\": \"2.safetensors\"");
    expect(root, MOTE_EFORMAT, "a file holds tensor z, which is not in the list");
    static const char *const name[] = { "../1.safetensors", "/etc/passwd", ".1.safetensors", "", "x/1.safetensors",
                                        "1\\\\2", "1\\u0000" };
    for (size_t i = 0; i < MT_COUNT(name); i++) {
        char map[128];
        snprintf(map, sizeof map, "\"a\": \"%s\"", name[i]);
        index_of(map);
        expect(root, MOTE_EFORMAT, "expected the bare name of a file");
    }
    index_of("");
    expect(root, MOTE_EFORMAT, "expected one weight_map of 1 to");
    write_text("model.safetensors.index.json", "{}");
    expect(root, MOTE_EFORMAT, "expected one weight_map");
    write_text("model.safetensors.index.json", "{\"weight_map\": []}");
    expect(root, MOTE_EFORMAT, "expected an object, found an array");
    write_text("model.safetensors.index.json", "{\"weight_map\": {\"a\": 1}}");
    expect(root, MOTE_EFORMAT, "expected a string, found a number");
}

/* snapshots/REVISION holds links into blobs/; the repository's folder itself may be given too. */
static void test_cache(void **state)
{
    (void)state;
    assert_int_equal(mkdir(at("blobs"), 0700) + mkdir(at("refs"), 0700) + mkdir(at("snapshots"), 0700) +
                     mkdir(at("snapshots/0123abcd"), 0700), 0);
    write_text("refs/main", "0123abcd");
    write_text("blobs/c0", "{\"model_type\": \"x\"}");
    write_tensor("blobs/77", "a");
    write_text("blobs/70", "[]");
    assert_int_equal(symlink("../../blobs/c0", at("snapshots/0123abcd/config.json")), 0);
    assert_int_equal(symlink("../../blobs/77", at("snapshots/0123abcd/model.safetensors")), 0);
    assert_int_equal(symlink("../../blobs/70", at("snapshots/0123abcd/tokenizer.json")), 0);
    const char *const path[] = { "", "snapshots/0123abcd", "snapshots/0123abcd/model.safetensors" };
    for (size_t i = 0; i < MT_COUNT(path); i++) {
        mt_source *s = open_ok(at(path[i]));
        mt_str text;
        assert_true(mt_meta_str(s, "model_type", &text) && mt_str_is(text, "x"));
        assert_true(mt_str_is(mt_source_file(s, "tokenizer.json"), "[]"));
        assert_non_null(mt_source_tensor(s, "a"));
        mt_source_close(s);
    }
    remove_file("blobs/77");
    expect(root, MOTE_EIO, "model.safetensors is a link to a file that is not there");
    write_text("refs/main", "../..");
    expect(root, MOTE_EFORMAT, "expected the name of a snapshot");
}

static void test_licence(void **state)
{
    (void)state;
    static const struct { const char *text, *licence; } row[] = {
        { "---\nlanguage: en\nlicense: apache-2.0 \r\ntags:\n- a\n---\n# Title\n", "apache-2.0" },
        { "---\nlicense: mit", "mit" }, { "---\na: b\n---\nlicense: mit\n", NULL }, { "license: mit\n", NULL },
        { "---\nlicense:\n---\n", NULL }, { "---", NULL }, { "\n", NULL },
    };
    write_text("config.json", "{}");
    write_tensor("model.safetensors", "a");
    for (size_t i = 0; i < MT_COUNT(row); i++) {
        write_text("README.md", row[i].text);
        mt_source *s = open_ok(root);
        mt_str licence;
        assert_true(mt_meta_str(s, "readme.license", &licence) == (row[i].licence != NULL));
        if (row[i].licence) assert_true(mt_str_is(licence, row[i].licence));
        mt_source_close(s);
    }
}

static void config(const char *text, mote_status want, const char *words)
{
    write_text("config.json", text);
    if (want != MOTE_OK) expect(root, want, words);
    else mt_source_close(open_ok(root));
}

static void test_config(void **state)
{
    (void)state;
    write_tensor("model.safetensors", "a");
    config("{}", MOTE_OK, "");
    config("{\"a\": {}, \"b\": [{}], \"c\": [[]], \"d\": [null]}", MOTE_OK, "");
    config("[]", MOTE_EFORMAT, "config.json: expected an object, found an array");
    config("{\"a\": 1, \"a\": 2}", MOTE_EFORMAT, "metadata key a appears twice");
    config("{\"a\": {\"b\": 1}, \"a.b\": 2}", MOTE_EFORMAT, "metadata key a.b appears twice");
    config("{\"\": 1}", MOTE_EFORMAT, "an empty one");
    config("{\"a\\u0000\": 1}", MOTE_EFORMAT, "a zero byte");
    config("{\"a\": 1,}", MOTE_EFORMAT, "a key in quotes");
    config("{\"a\": tru}", MOTE_EFORMAT, "config.json: a: expected true");
    config("{\"a\": [1, 2}", MOTE_EFORMAT, "',' or ']'");
    config("{\"a\": 1", MOTE_EFORMAT, "found the end");
    char deep[512] = "";
    for (int i = 0; i < 40; i++) strcat(deep, "{\"a\":");
    config(deep, MOTE_EFORMAT, "at most 32 levels");
    char longest[1024];
    snprintf(longest, sizeof longest, "{\"%0600d\": 1}", 0);
    config(longest, MOTE_EFORMAT, "keys of at most");
    snprintf(longest, sizeof longest, "{\"%0300d\": {\"%0300d\": 1}}", 0, 0);
    config(longest, MOTE_EFORMAT, "keys of at most");
    for (int n = 505; n <= 514; n++) {          /* with the dot and a letter: 511 fit */
        snprintf(longest, sizeof longest, "{\"%0*d\": {\"a\": 1}}", n, 0);
        config(longest, n <= 509 ? MOTE_OK : MOTE_EFORMAT, "keys of at most");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_no_mapping),
        cmocka_unit_test_setup_teardown(test_missing, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_shards, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_cache, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_licence, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_config, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

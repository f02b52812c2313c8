/* SPDX-License-Identifier: MIT */
/* test_gguf.c - reading GGUF: files by the gguf package's own writer, every limit of the threat
 * model one by one, truncations, mutations, failing memory.
 *
 * Hostile files are read from exactly sized heap memory (mt_source_read), so that a sanitizer sees
 * one byte too far; real files go through mt_source_open. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "file/parts.h"
#include "unit/fail_alloc.h"

/* ---- a small writer --------------------------------------------------------- */

enum { ROOM = 1 << 20 };
typedef struct file { uint8_t *p; size_t n; } file;

static void put(file *f, const void *p, size_t n)
{
    assert_true(n <= ROOM - f->n);
    if (n) memcpy(f->p + f->n, p, n);
    f->n += n;
}

static void put_n(file *f, uint64_t value, size_t width)
{
    uint8_t byte[8];
    for (size_t i = 0; i < width; i++) byte[i] = (uint8_t)(value >> (8 * i));
    put(f, byte, width);
}

static void put_u32(file *f, uint64_t value) { put_n(f, value, 4); }
static void put_u64(file *f, uint64_t value) { put_n(f, value, 8); }

static void put_string(file *f, const char *text)
{
    put_u64(f, strlen(text));
    put(f, text, strlen(text));
}

static file new_file(uint32_t version, uint64_t n_tensor, uint64_t n_meta)
{
    file f = { malloc(ROOM), 0 };
    assert_non_null(f.p);
    put(&f, "GGUF", 4);
    put_u32(&f, version);
    put_u64(&f, n_tensor);
    put_u64(&f, n_meta);
    return f;
}

static void put_tensor(file *f, const char *name, uint32_t type, uint64_t ne0, uint64_t ne1,
                       uint64_t offset)
{
    put_string(f, name);
    put_u32(f, 2);
    put_u64(f, ne0);
    put_u64(f, ne1);
    put_u32(f, type);
    put_u64(f, offset);
}

/* Data behind the header: pads to align, then n zero bytes. */
static void put_data(file *f, size_t align, size_t n)
{
    while (f->n % align) put(f, "", 1);
    for (size_t i = 0; i < n; i++) put(f, "", 1);
}

/* ---- reading ---------------------------------------------------------------- */

static mote_error err;

/* Reads bytes as a file; on success *s is to be released with forget. */
static mote_status read_bytes(mt_source *s, const uint8_t *p, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1);
    if (n) memcpy(exact, p, n);
    *s = (mt_source){ .map = { exact, n }, .path = "test.gguf" };
    mt_arena_init(&s->arena, NULL, 1024);
    err = (mote_error){ MOTE_OK, "" };
    const mote_status status = mt_source_read(s, &err);
    assert_int_equal(err.code, status);
    assert_true(status == MOTE_OK ? err.text[0] == 0 : strlen(err.text) > 20);
    if (status != MOTE_OK) assert_memory_equal(err.text, "test.gguf: ", 11);
    assert_true(s->arena.high_water <= 8 * n + (64 << 20));
    return status;
}

static void forget(mt_source *s)
{
    mt_arena_reset(&s->arena);
    free((void *)(uintptr_t)s->map.data);
}

/* The file must be refused with this status, in a sentence that holds these words. */
static void refuse(file *f, mote_status want, const char *words)
{
    mt_source s;
    const mote_status status = read_bytes(&s, f->p, f->n);
    if (status != want || !strstr(err.text, words))
        fail_msg("expected %s with \"%s\", found %s: %s", mote_status_name(want), words,
                 mote_status_name(status), err.text);
    forget(&s);
    free(f->p);
}

static void accept_as(file *f, mt_source *s)
{
    if (read_bytes(s, f->p, f->n) != MOTE_OK) fail_msg("expected success, found: %s", err.text);
    free(f->p);
}

static const char *in_repository(const char *name)
{
    static char path[1024];
    const char *root = getenv("MOTE_SOURCE");
    snprintf(path, sizeof path, "%s/%s", root ? root : ".", name);
    return path;
}

static mt_source *open_file(const char *path)
{
    mt_source *s = NULL;
    err = (mote_error){ MOTE_OK, "" };
    if (mt_source_open(&s, path, NULL, &err) != MOTE_OK) fail_msg("%s", err.text);
    return s;
}

static uint8_t *load(const char *path, size_t *n)
{
    mt_map map;
    if (mt_map_open(&map, path, &err) != MOTE_OK) fail_msg("%s (set MOTE_SOURCE)", err.text);
    uint8_t *p = malloc(map.size);
    memcpy(p, map.data, map.size);
    *n = map.size;
    mt_map_close(&map);
    return p;
}

/* ---- somebody else's file ----------------------------------------------------- */

static void expect_int(const mt_source *s, const char *key, int64_t want)
{
    int64_t found = 0;
    double real;
    if (!mt_meta_int(s, key, &found) || found != want)
        fail_msg("%s: expected %lld, found %lld", key, (long long)want, (long long)found);
    assert_false(mt_meta_f64(s, key, &real));               /* no coercion */
}

static const mt_meta *array_of(const mt_source *s, const char *key, mt_meta_type item, size_t n)
{
    const mt_meta *m = mt_source_meta(s, key);
    assert_non_null(m);
    assert_int_equal(m->type, MT_META_ARRAY);
    assert_int_equal(m->item, item);
    assert_int_equal(m->n, n);
    return m;
}

static void expect_items(const mt_source *s, const char *key, mt_meta_type item, int64_t a, int64_t b)
{
    const mt_meta *m = array_of(s, key, item, 2);
    assert_true(mt_meta_item_int(m, 0) == a && mt_meta_item_int(m, 1) == b);
    if (item != MT_META_U64) assert_true(mt_meta_item_f64(m, 0) == (double)a);
}

static void test_values(void **state)
{
    (void)state;
    mt_source *s = open_file(in_repository("tests/fuzz/corpus/gguf/every_type.gguf"));
    assert_string_equal(s->format, "gguf");
    assert_int_equal(s->version, 3);
    mt_str text;
    double real;
    bool truth;
    int64_t whole;
    assert_true(mt_meta_str(s, "general.architecture", &text) && mt_str_is(text, "test"));
    assert_true(mt_meta_str(s, "made.by", &text));
    print_message("made by %.*s\n", (int)text.n, text.p);
    expect_int(s, "u8", 200);
    expect_int(s, "i8", -100);
    expect_int(s, "u16", 60000);
    expect_int(s, "i16", -30000);
    expect_int(s, "u32", 4000000000);
    expect_int(s, "i32", -2000000000);
    expect_int(s, "i64", -((int64_t)1 << 62));
    assert_false(mt_meta_int(s, "u64", &whole));            /* 2^63 + 5 does not fit */
    assert_true(mt_source_meta(s, "u64")->value.u == ((uint64_t)1 << 63) + 5);
    assert_true(mt_meta_f64(s, "f32", &real) && real == (double)0.1f);
    assert_true(mt_meta_f64(s, "f64", &real) && real == 0.1);
    assert_false(mt_meta_int(s, "f64", &whole));
    assert_true(mt_meta_bool(s, "yes", &truth) && truth);
    assert_true(mt_meta_bool(s, "no", &truth) && !truth);
    assert_false(mt_meta_bool(s, "u8", &truth) || mt_meta_int(s, "yes", &whole));
    assert_true(mt_meta_str(s, "text", &text) && mt_str_is(text, "grüße, 世界"));
    assert_true(mt_meta_str(s, "nothing", &text) && text.n == 0);
    assert_false(mt_meta_str(s, "absent", &text) || mt_meta_str(s, "u8", &text));
    expect_items(s, "u8s", MT_META_U8, 0, 255);
    expect_items(s, "i8s", MT_META_I8, -128, 127);
    expect_items(s, "u16s", MT_META_U16, 1, 65535);
    expect_items(s, "i16s", MT_META_I16, -32768, 5);
    expect_items(s, "u32s", MT_META_U32, 7, 4294967295);
    expect_items(s, "i32s", MT_META_I32, INT32_MIN, 3);
    expect_items(s, "u64s", MT_META_U64, INT64_MAX, 9);     /* too large: the largest */
    expect_items(s, "i64s", MT_META_I64, INT64_MIN, 11);
    const mt_meta *m = array_of(s, "f32s", MT_META_F32, 2);
    assert_true(mt_meta_item_f64(m, 0) == 0.5 && mt_meta_item_f64(m, 1) == -1.25);
    m = array_of(s, "f64s", MT_META_F64, 2);
    assert_true(mt_meta_item_f64(m, 0) == 1e300 && mt_meta_item_f64(m, 1) == -0.1);
    m = array_of(s, "bools", MT_META_BOOL, 3);
    assert_true(mt_meta_item_int(m, 0) == 1 && mt_meta_item_int(m, 1) == 0);
    m = array_of(s, "strings", MT_META_STRING, 3);
    assert_true(mt_str_is(m->strings[0], "a") && m->strings[1].n == 0 &&
                mt_str_is(m->strings[2], "ccc"));
    mt_source_close(s);
    mt_source_close(NULL);
}

static void test_tensors(void **state)
{
    (void)state;
    mt_source *s = open_file(in_repository("tests/fuzz/corpus/gguf/every_type.gguf"));
    assert_int_equal(s->n_tensor, 6);
    const mt_tensor *t = mt_source_tensor(s, "plain.weight");
    float row[64];
    assert_non_null(t);
    assert_true(t->type == MT_F32 && t->n_dim == 2 && t->ne[0] == 5 && t->ne[1] == 2);
    assert_true(t->ne[2] == 1 && t->ne[3] == 1 && t->bytes == 40);
    mt_decode_row(t->type, t->data, row, 10);
    for (int i = 0; i < 10; i++) assert_true(row[i] == (float)i);
    t = mt_source_tensor(s, "half.weight");
    mt_decode_row(t->type, t->data, row, 6);
    assert_true(t->n_dim == 1 && row[5] == 5.0f);
    t = mt_source_tensor(s, "Q4_0.weight");
    assert_true(t->type == MT_Q4_0 && t->ne[0] == 64 && t->ne[1] == 3 && t->bytes == 3 * 2 * 18);
    t = mt_source_tensor(s, "four.weight");
    assert_true(t->n_dim == 4 && mt_tensor_count(t) == 24 && t->ne[0] == 4 && t->ne[3] == 2);
    assert_null(mt_source_tensor(s, "five.weight"));
    assert_null(mt_source_tensor(s, ""));
    mt_source_close(s);
    s = open_file(in_repository("tests/fuzz/corpus/gguf/aligned.gguf"));
    assert_int_equal((mt_source_tensor(s, "b")->data - s->map.data) % 64, 0);
    mt_source_close(s);
}

static void test_vocabularies(void **state)
{
    (void)state;
    char folder[1100], path[1400];
    const char *data = getenv("MOTE_TEST_DATA");
    snprintf(folder, sizeof folder, "%s/vocab", data ? data : in_repository("../shared/data"));
    DIR *dir = opendir(folder);
    if (!dir) {
        print_message("SKIPPED: no vocabularies in %s (set MOTE_TEST_DATA)\n", folder);
        skip();
    }
    int n = 0;
    for (const struct dirent *e; (e = readdir(dir));) {
        const size_t length = strlen(e->d_name);
        if (length < 5 || strcmp(e->d_name + length - 5, ".gguf") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        mt_source *s = open_file(path);
        const mt_meta *tokens = mt_source_meta(s, "tokenizer.ggml.tokens");
        assert_non_null(tokens);
        assert_true(tokens->type == MT_META_ARRAY && tokens->strings && tokens->n > 1000);
        if (strcmp(e->d_name, "ggml-vocab-gpt-2.gguf") == 0) {
            assert_int_equal(tokens->n, 50257);
            assert_true(mt_str_is(tokens->strings[0], "!"));
            assert_true(mt_str_is(tokens->strings[50256], "<|endoftext|>"));
            const mt_meta *types = mt_source_meta(s, "tokenizer.ggml.token_type");
            assert_int_equal(mt_meta_item_int(types, 50256), 3);
        }
        mt_source_close(s);
        n++;
    }
    closedir(dir);
    assert_true(n >= 10);
}

/* ---- what must be refused ------------------------------------------------------- */

static void refuse_text(const void *p, size_t n, mote_status want, const char *words)
{
    file f = { malloc(ROOM), 0 };
    put(&f, p, n);
    refuse(&f, want, words);
}

static void test_foreign(void **state)
{
    (void)state;
    refuse_text("", 0, MOTE_EFORMAT, "empty");
    refuse_text("GG", 2, MOTE_EFORMAT, "found 2 bytes");
    refuse_text("\1\2\3\4\5", 5, MOTE_EFORMAT, "01 02 03 04");
    refuse_text("alggxxxx", 8, MOTE_EUNSUPPORTED, "a GGLA adapter");
    refuse_text("nsggxxxx", 8, MOTE_EUNSUPPORTED, "a llama.cpp session file");
    refuse_text("PK\3\4xxxx", 8, MOTE_EFORMAT, "zip");
    refuse_text("\x10\0\0\0\0\0\0\0{\"__metadata__\":", 24, MOTE_EFORMAT, "__metadata__: expected a value");
    refuse_text("version https://git-lfs", 23, MOTE_EUNSUPPORTED, "LFS pointer");
    refuse_text("<!doctype html>", 15, MOTE_EUNSUPPORTED, "web page");
    refuse_text("FUGGxxxx", 8, MOTE_EUNSUPPORTED, "big-endian");
    refuse_text("GGUF\0\0\0\3xxxx", 12, MOTE_EUNSUPPORTED, "big-endian one (version 3)");
    refuse_text("GGUF", 4, MOTE_EFORMAT, "ends inside");
    file f = new_file(1, 0, 0);
    refuse(&f, MOTE_EUNSUPPORTED, "expected GGUF version 2 or 3, found 1");
    f = new_file(4, 0, 0);
    refuse(&f, MOTE_EUNSUPPORTED, "found 4");
    f = new_file(0, 0, 0);
    refuse(&f, MOTE_EFORMAT, "found 0");
    for (uint32_t version = 2; version <= 3; version++) {   /* nothing in it, but well formed */
        mt_source s;
        f = new_file(version, 0, 0);
        accept_as(&f, &s);
        assert_true(s.version == version && s.n_meta == 0 && s.n_tensor == 0);
        assert_null(mt_source_meta(&s, "x"));
        forget(&s);
    }
}

static void test_counts(void **state)
{
    (void)state;
    file f = new_file(3, (1 << 20) + 1, 0);
    refuse(&f, MOTE_EFORMAT, "expected at most 1048576 tensors, found 1048577");
    f = new_file(3, UINT64_MAX, 0);
    refuse(&f, MOTE_EFORMAT, "expected at most 1048576 tensors");
    f = new_file(3, 1 << 20, 0);
    refuse(&f, MOTE_EFORMAT, "1048576 tensors do not fit the 0 bytes that are left");
    f = new_file(3, 0, 65537);
    refuse(&f, MOTE_EFORMAT, "expected at most 65536 metadata keys, found 65537");
    f = new_file(3, 0, 65536);
    refuse(&f, MOTE_EFORMAT, "65536 metadata keys do not fit");
}

/* A file of one key with this value type, ready for the value. */
static file with_key(const char *key, uint32_t type)
{
    file f = new_file(3, 0, 1);
    put_string(&f, key);
    put_u32(&f, type);
    return f;
}

static file with_array(uint32_t item, uint64_t n)
{
    file f = with_key("list", MT_META_ARRAY);
    put_u32(&f, item);
    put_u64(&f, n);
    return f;
}

static void test_metadata_limits(void **state)
{
    (void)state;
    file f = with_key("k", 13);
    put_u64(&f, 0);
    refuse(&f, MOTE_EFORMAT, "metadata value 0 (k): expected a value type from 0 to 12, found 13");
    f = with_key("", MT_META_U32);
    put_u64(&f, 0);
    refuse(&f, MOTE_EFORMAT, "found an empty string");
    f = new_file(3, 0, 1);
    put_u64(&f, 3);
    put(&f, "a\0b\4\0\0\0\0\0\0\0", 11);
    refuse(&f, MOTE_EFORMAT, "found a zero byte");
    f = new_file(3, 0, 1);
    put_u64(&f, 65536);
    put_data(&f, 1, 70000);
    refuse(&f, MOTE_EFORMAT, "expected a string of at most 65535 bytes, found 65536");
    f = new_file(3, 0, 1);
    put_u64(&f, UINT64_MAX);
    put_data(&f, 1, 70000);
    refuse(&f, MOTE_EFORMAT, "found 18446744073709551615");
    f = new_file(3, 0, 1);
    put_u64(&f, 60000);
    put_data(&f, 1, 50000);
    refuse(&f, MOTE_EFORMAT, "the file ends inside");
    f = with_key("k", MT_META_STRING);
    put_u64(&f, (16 << 20) + 1);
    refuse(&f, MOTE_EFORMAT, "expected a string of at most 16777216 bytes");
    f = with_key("k", MT_META_BOOL);
    put(&f, "\2", 1);
    refuse(&f, MOTE_EFORMAT, "expected 0 or 1 for a truth value, found 2");
    f = with_array(MT_META_U8, (1 << 24) + 1);
    refuse(&f, MOTE_EFORMAT, "expected at most 16777216 elements, found 16777217");
    f = with_array(MT_META_U8, 1 << 24);                    /* at the limit: only the bytes lack */
    refuse(&f, MOTE_EFORMAT, "the file ends inside it");
    f = with_key("k", MT_META_STRING);
    put_u64(&f, 16 << 20);
    refuse(&f, MOTE_EFORMAT, "the file ends inside it");
    f = with_array(MT_META_U64, UINT64_MAX / 8 + 1);
    refuse(&f, MOTE_EFORMAT, "expected at most 16777216 elements");
    f = with_array(MT_META_STRING, 100);                    /* at least 8 bytes each */
    put_data(&f, 1, 799);
    refuse(&f, MOTE_EFORMAT, "metadata value 0 (list): the file ends inside it");
    f = with_array(MT_META_STRING, 1);
    put_u64(&f, 1);
    refuse(&f, MOTE_EFORMAT, "the file ends inside it");
    f = with_array(MT_META_ARRAY, 1);
    put_data(&f, 1, 100);
    refuse(&f, MOTE_EUNSUPPORTED, "found an array of arrays");
    f = with_array(77, 1);
    put_data(&f, 1, 100);
    refuse(&f, MOTE_EFORMAT, "found 77");
    f = with_array(MT_META_BOOL, 3);
    put(&f, "\0\1\3", 3);
    refuse(&f, MOTE_EFORMAT, "found 3");
    f = new_file(3, 0, 2);
    for (int i = 0; i < 2; i++) {
        put_string(&f, "same.key");
        put_u32(&f, MT_META_U32);
        put_u32(&f, 1);
    }
    refuse(&f, MOTE_EFORMAT, "metadata key same.key appears twice");
    mt_source s;
    f = with_array(MT_META_F64, 0);                         /* an empty array is fine */
    put(&f, "", 1);
    accept_as(&f, &s);
    assert_int_equal(mt_source_meta(&s, "list")->n, 0);
    forget(&s);
}

static void test_alignment(void **state)
{
    (void)state;
    const uint32_t bad[] = { 0, 1, 4, 7, 24, 33, 131072, 0x80000000u, UINT32_MAX };
    for (size_t i = 0; i < MT_COUNT(bad); i++) {
        file f = with_key("general.alignment", MT_META_U32);
        put_u32(&f, bad[i]);
        refuse(&f, MOTE_EFORMAT, "general.alignment: expected a power of two from 8 to 65536");
    }
    file f = with_key("general.alignment", MT_META_STRING);
    put_string(&f, "32");
    refuse(&f, MOTE_EFORMAT, "general.alignment: expected an integer");
    for (uint32_t align = 8; align <= 65536; align *= 2) {
        mt_source s;
        f = new_file(3, 1, 1);
        put_string(&f, "general.alignment");
        put_u32(&f, MT_META_U32);
        put_u32(&f, align);
        put_tensor(&f, "t", MT_F32, 2, 1, align);
        put_data(&f, align, align + 8);
        accept_as(&f, &s);
        assert_int_equal((size_t)(s.tensor[0].data - s.map.data) % align, 0);
        forget(&s);
    }
}

/* A file of one tensor whose table entry is as given, with 4 KiB of data. */
static file with_tensor(uint32_t n_dim, const uint64_t *ne, uint32_t type, uint64_t offset)
{
    file f = new_file(3, 1, 0);
    put_string(&f, "t");
    put_u32(&f, n_dim);
    for (uint32_t i = 0; i < n_dim && i < 8; i++) put_u64(&f, ne[i]);
    put_u32(&f, type);
    put_u64(&f, offset);
    put_data(&f, 32, 4096);
    return f;
}

static void test_tensor_limits(void **state)
{
    (void)state;
    const uint64_t one[8] = { 1, 1, 1, 1, 1, 1, 1, 1 }, big = (uint64_t)1 << 62;
    file f = with_tensor(5, one, MT_F32, 0);
    refuse(&f, MOTE_EFORMAT, "tensor 0 (t): expected at most 4 dimensions, found 5");
    f = with_tensor(UINT32_MAX, one, MT_F32, 0);
    refuse(&f, MOTE_EFORMAT, "found 4294967295");
    f = with_tensor(2, (uint64_t[]){ 32, 0 }, MT_F32, 0);
    refuse(&f, MOTE_EFORMAT, "dimension 1 is 0");
    f = with_tensor(1, (uint64_t[]){ UINT64_MAX }, MT_F32, 0);
    refuse(&f, MOTE_EFORMAT, "dimension 0 is 18446744073709551615");
    f = with_tensor(2, (uint64_t[]){ (uint64_t)1 << 32, (uint64_t)1 << 32 }, MT_F32, 0);
    refuse(&f, MOTE_EFORMAT, "dimension 1");
    f = with_tensor(2, (uint64_t[]){ (uint64_t)1 << 32, ((uint64_t)1 << 30) + 1 }, MT_F32, 0);
    refuse(&f, MOTE_EFORMAT, "product of at most 4611686018427387904");
    f = with_tensor(1, &big, MT_F32, 0);                    /* 2^62 values, but 2^64 bytes */
    refuse(&f, MOTE_EFORMAT, "do not fit any memory");
    f = with_tensor(1, &big, MT_I8, 0);
    refuse(&f, MOTE_EFORMAT, "lie outside");
    f = with_tensor(1, (uint64_t[]){ 33 }, MT_Q4_0, 0);
    refuse(&f, MOTE_EFORMAT, "rows of Q4_0 need a multiple of 32 values, found 33");
    f = with_tensor(2, (uint64_t[]){ 32, 8 }, MT_Q4_K, 0);  /* the row counts, not the tensor */
    refuse(&f, MOTE_EFORMAT, "rows of Q4_K need a multiple of 256 values, found 32");
    f = with_tensor(1, one, 4, 0);
    refuse(&f, MOTE_EUNSUPPORTED, "unknown element type 4");
    f = with_tensor(1, one, UINT32_MAX, 0);
    refuse(&f, MOTE_EUNSUPPORTED, "unknown element type 4294967295");
    f = with_tensor(1, one, MT_F32, 16);
    refuse(&f, MOTE_EFORMAT, "expected an offset that is a multiple of 32, found 16");
    f = with_tensor(1, one, MT_F32, 4096);
    refuse(&f, MOTE_EFORMAT, "4 bytes at offset 4096 lie outside the file's 4096 bytes of data");
    f = with_tensor(1, one, MT_F32, UINT64_MAX - 31);
    refuse(&f, MOTE_EFORMAT, "lie outside");
    f = with_tensor(1, (uint64_t[]){ 1025 }, MT_F32, 0);
    refuse(&f, MOTE_EFORMAT, "4100 bytes at offset 0 lie outside");
    mt_source s;
    f = with_tensor(1, (uint64_t[]){ 1024 }, MT_F32, 0);    /* exactly the data */
    accept_as(&f, &s);
    forget(&s);
    f = with_tensor(0, one, MT_F32, 4064);                  /* a scalar in the last place */
    accept_as(&f, &s);
    assert_true(s.tensor[0].n_dim == 1 && mt_tensor_count(&s.tensor[0]) == 1);
    forget(&s);
    f = with_tensor(1, (uint64_t[]){ 256 }, MT_IQ1_M, 0);   /* known, though not decoded */
    accept_as(&f, &s);
    assert_int_equal(s.tensor[0].bytes, 56);
    forget(&s);
}

static void test_tensor_names(void **state)
{
    (void)state;
    char name[80];
    memset(name, 'n', sizeof name);
    mt_source s;
    for (size_t n = 64; n <= 65; n++) {
        file f = new_file(3, 1, 0);
        name[n] = 0;
        put_tensor(&f, name, MT_F32, 1, 1, 0);
        put_data(&f, 32, 4);
        name[n] = 'n';
        if (n == 64) {
            accept_as(&f, &s);
            forget(&s);
        } else {
            refuse(&f, MOTE_EFORMAT, "expected a string of at most 64 bytes, found 65");
        }
    }
    file f = new_file(3, 3, 0);
    put_tensor(&f, "a", MT_F32, 8, 1, 0);
    put_tensor(&f, "b", MT_F32, 8, 1, 32);
    put_tensor(&f, "a", MT_F32, 8, 1, 64);
    put_data(&f, 32, 96);
    refuse(&f, MOTE_EFORMAT, "tensor a appears twice");
    f = new_file(3, 3, 0);
    put_tensor(&f, "late", MT_F32, 8, 1, 64);
    put_tensor(&f, "early", MT_F32, 9, 1, 0);               /* 36 bytes: into the next */
    put_tensor(&f, "middle", MT_F32, 8, 1, 32);
    put_data(&f, 32, 96);
    refuse(&f, MOTE_EFORMAT, "tensors early and middle overlap");
    f = new_file(3, 2, 0);                                  /* touching is not overlapping */
    put_tensor(&f, "right", MT_F32, 8, 1, 32);
    put_tensor(&f, "left", MT_F32, 8, 1, 0);
    put_data(&f, 32, 64);
    accept_as(&f, &s);
    forget(&s);
    f = new_file(3, 2, 0);
    put_tensor(&f, "one", MT_F32, 8, 1, 32);
    put_tensor(&f, "two", MT_F32, 8, 1, 32);
    put_data(&f, 32, 96);
    refuse(&f, MOTE_EFORMAT, "overlap");
}

/* Many names in falling and in scattered order, to be found and to be told apart. */
static void test_many(void **state)
{
    (void)state;
    enum { N = 5003 };             /* prime: i * 1777 % N visits all */
    for (int kind = 0; kind < 2; kind++) {
        file f = new_file(3, N, N);
        char name[32];
        for (int i = 0; i < N; i++) {
            snprintf(name, sizeof name, "k%u", kind ? (unsigned)i * 1777u % N : (unsigned)(N - i));
            put_string(&f, name);
            put_u32(&f, MT_META_U32);
            put_u32(&f, (uint64_t)i);
        }
        for (int i = 0; i < N; i++) {
            snprintf(name, sizeof name, "k%u", kind ? (unsigned)i * 1777u % N : (unsigned)(N - i));
            put_tensor(&f, name, MT_I8, 1, 1, 32 * (uint64_t)(N - 1 - i));
        }
        put_data(&f, 32, 32 * N);
        mt_source s;
        accept_as(&f, &s);
        for (int i = 0; i < N; i++) {
            assert_ptr_equal(mt_source_meta(&s, s.meta[i].key), &s.meta[i]);
            assert_ptr_equal(mt_source_tensor(&s, s.tensor[i].name), &s.tensor[i]);
            assert_int_equal(s.meta[i].value.u, i);
        }
        forget(&s);
    }
}

/* ---- truncation and mutation ------------------------------------------------------- */

static void test_truncation(void **state)
{
    (void)state;
    size_t n;
    uint8_t *p = load(in_repository("tests/fuzz/corpus/gguf/every_type.gguf"), &n);
    mt_source s;
    assert_int_equal(read_bytes(&s, p, n), MOTE_OK);
    const size_t header = n - s.data_bytes;
    size_t used = 0;                /* the last tensor's end: the writer pads behind it */
    for (size_t i = 0; i < s.n_tensor; i++) {
        const size_t end = (size_t)(s.tensor[i].data - s.map.data) + s.tensor[i].bytes;
        used = MT_MAX(used, end);
    }
    forget(&s);
    for (size_t cut = 0; cut < header; cut++) {             /* every byte of the header */
        assert_int_equal(read_bytes(&s, p, cut), MOTE_EFORMAT);
        forget(&s);
    }
    for (size_t i = 0; i < 1000; i++) {                     /* and a thousand places overall */
        const size_t cut = used * i / 1000;
        assert_int_equal(read_bytes(&s, p, cut), MOTE_EFORMAT);
        forget(&s);
    }
    assert_int_equal(read_bytes(&s, p, used), MOTE_OK);
    forget(&s);
    free(p);
}

static uint64_t random_state;

static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* Reads all that a successful open promises. */
static uint64_t touch(const mt_source *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->n_meta; i++) {
        const mt_meta *m = &s->meta[i];
        sum += strlen(m->key);
        for (size_t k = 0; m->type == MT_META_ARRAY && k < m->n; k++) {
            if (!m->strings) sum += (uint64_t)mt_meta_item_int(m, k);
            else if (m->strings[k].n) sum += (uint8_t)m->strings[k].p[m->strings[k].n - 1];
        }
        if (m->type == MT_META_STRING && m->value.s.n) sum += (uint8_t)m->value.s.p[m->value.s.n - 1];
    }
    for (size_t i = 0; i < s->n_tensor; i++)
        for (size_t k = 0; k < s->tensor[i].bytes; k++) sum += s->tensor[i].data[k];
    return sum;
}

static void test_mutation(void **state)
{
    (void)state;
    enum { RUNS = 10000, SEED = 20261120 };
    static const uint64_t boundary[] = {
        0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000u, 0xFFFFFFFFu, 0x100000000u,
        0x7FFFFFFFFFFFFFFFu, 0x8000000000000000u, UINT64_MAX, UINT64_MAX - 31,
    };
    size_t n;
    uint8_t *p = load(in_repository("tests/fuzz/corpus/gguf/every_type.gguf"), &n);
    uint8_t *q = malloc(n);
    mt_source s;
    assert_int_equal(read_bytes(&s, p, n), MOTE_OK);
    const size_t header = n - s.data_bytes;
    forget(&s);
    int n_status[8] = { 0 };
    uint64_t sum = 0;
    for (int run = 0; run < RUNS; run++) {
        random_state = SEED + (uint64_t)run * 1000003;
        memcpy(q, p, n);
        for (uint64_t edits = 1 + next_random() % 4; edits > 0; edits--) {
            const size_t at = 4 + next_random() % (header - 4);
            const uint64_t kind = next_random() % 4, value = boundary[next_random() % MT_COUNT(boundary)];
            if (kind == 0) q[at] ^= (uint8_t)(1u << next_random() % 8);
            if (kind == 1) q[at] = (uint8_t)next_random();
            for (size_t k = 0; kind >= 2 && k < (kind == 2 ? 4u : 8u) && at + k < n; k++)
                q[at + k] = (uint8_t)(value >> (8 * k));
        }
        const mote_status status = read_bytes(&s, q, n);    /* checks the sentence, too */
        if (status == MOTE_OK) sum += touch(&s);
        n_status[status]++;
        forget(&s);
    }
    print_message("seed %d, %d mutations: %d opened, %d damaged, %d unsupported (%llx)\n", SEED, RUNS,
                  n_status[MOTE_OK], n_status[MOTE_EFORMAT], n_status[MOTE_EUNSUPPORTED],
                  (unsigned long long)sum);
    assert_int_equal(n_status[MOTE_OK] + n_status[MOTE_EFORMAT] + n_status[MOTE_EUNSUPPORTED], RUNS);
    assert_true(n_status[MOTE_OK] > 100 && n_status[MOTE_EFORMAT] > 1000);
    free(p);
    free(q);
}

/* ---- memory -------------------------------------------------------------------------- */

static void test_failing_memory(void **state)
{
    (void)state;
    const char *path = in_repository("tests/fuzz/corpus/gguf/every_type.gguf");
    for (int keep = 0; keep < 2; keep++) {
        for (size_t n = 1;; n++) {
            fail_alloc fa;
            mt_source *s = NULL;
            err = (mote_error){ MOTE_OK, "" };
            const mote_status status = mt_source_open(&s, path, fail_alloc_init(&fa, n, keep), &err);
            if (status == MOTE_OK) {
                touch(s);
                mt_source_close(s);
            } else {
                assert_int_equal(status, MOTE_ENOMEM);
                assert_int_equal(err.code, MOTE_ENOMEM);
                assert_non_null(strstr(err.text, "no memory"));
                assert_null(s);
            }
            fail_alloc_check(&fa);
            if (fa.calls < n) {
                assert_int_equal(status, MOTE_OK);
                assert_true(n > 3);                         /* it did allocate */
                break;
            }
            assert_int_equal(status, MOTE_ENOMEM);
        }
    }
}

/* The same with blocks so small that every push is an allocation that can fail. */
static void test_failing_pushes(void **state)
{
    (void)state;
    size_t size, n = 0;
    uint8_t *p = load(in_repository("tests/fuzz/corpus/gguf/every_type.gguf"), &size);
    mote_status status;
    do {
        fail_alloc fa;
        mt_source s = { .map = { p, size }, .path = "test.gguf" };
        mt_arena_init(&s.arena, fail_alloc_init(&fa, ++n, false), 0);
        err = (mote_error){ MOTE_OK, "" };
        status = mt_source_read(&s, &err);
        assert_int_equal(status, fa.calls < n ? MOTE_OK : MOTE_ENOMEM);
        assert_int_equal(err.code, status);
        if (status != MOTE_OK) assert_non_null(strstr(err.text, "no memory"));
        mt_arena_reset(&s.arena);
        fail_alloc_check(&fa);
    } while (status != MOTE_OK);
    assert_true(n > 8);
    free(p);
}

/* The densest headers: what is kept stays within 8 bytes per byte of header and 64 MiB. */
static void test_header_memory(void **state)
{
    (void)state;
    enum { N = 19000 };
    file f = new_file(3, N, 0);
    char name[16];
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "%x", i);
        put_string(&f, name);
        put_u32(&f, 0);                                     /* a scalar: the shortest entry */
        put_u32(&f, MT_I8);
        put_u64(&f, 8 * (uint64_t)i);
    }
    const size_t header = f.n;
    fail_alloc fa;
    mt_source s = { .map = { f.p, f.n }, .path = "dense.gguf" };
    mt_arena_init(&s.arena, fail_alloc_init(&fa, 0, false), 65536);
    err = (mote_error){ MOTE_OK, "" };
    assert_int_equal(mt_source_read(&s, &err), MOTE_EFORMAT);   /* no data behind; all is allocated */
    print_message("%d tensors, header of %zu bytes: %zu bytes of memory\n", N, header, fa.peak);
    assert_true(fa.peak < 8 * header);
    mt_arena_reset(&s.arena);
    fail_alloc_check(&fa);
    free(f.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),          cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_vocabularies),    cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_counts),          cmocka_unit_test(test_metadata_limits),
        cmocka_unit_test(test_alignment),       cmocka_unit_test(test_tensor_limits),
        cmocka_unit_test(test_tensor_names),    cmocka_unit_test(test_many),
        cmocka_unit_test(test_truncation),      cmocka_unit_test(test_mutation),
        cmocka_unit_test(test_failing_memory),  cmocka_unit_test(test_failing_pushes),
        cmocka_unit_test(test_header_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

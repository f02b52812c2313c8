/* SPDX-License-Identifier: MIT */
/* test_safetensors.c - reading safetensors: files by the safetensors package bit for bit, every rule of
 * the header broken one by one, truncations, failing memory, a million tensors.
 *
 * Hostile files are read from exactly sized heap memory (mt_source_read), so that a sanitizer sees one
 * byte too far; real files go through mt_source_open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "file/parts.h"
#include "unit/fail_alloc.h"
#include "unit/golden_text.h"

/* ---- by the package ------------------------------------------------------------ */

static void test_golden(void **state)
{
    (void)state;
    char path[512];
    mt_source *s;
    mote_error err = { 0 };
    mt_str note;
    golden_path(path, sizeof path, "dtypes.safetensors");
    if (mt_source_open(&s, path, NULL, &err) != MOTE_OK) fail_msg("%s", err.text);
    assert_int_equal(golden_compare(s, golden_path(path, sizeof path, "dtypes.txt")), 22);
    assert_string_equal(s->format, "safetensors");
    assert_true(s->is_foreign && s->n_shard == 1 && s->map.data == NULL);
    assert_true(mt_meta_str(s, "safetensors.note", &note) && mt_str_is(note, "a\nb"));
    assert_non_null(mt_source_tensor(s, "name with \"quotes\" and \xC3\xA9"));
    assert_int_equal(mt_source_bytes(s), s->shard[0].map.size);
    mt_source_close(s);
}

/* ---- by hand ---------------------------------------------------------------------- */

/* Reads a header of n bytes and n_data bytes behind it. */
static mote_status read_file(const char *header, size_t n, size_t n_data, mt_source *s, mote_error *err)
{
    const size_t size = 8 + n + n_data;
    uint8_t *p = calloc(size, 1);
    assert_non_null(p);
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(p + 8, header, n);
    *s = (mt_source){ .map = { p, size }, .path = "input" };
    mt_arena_init(&s->arena, NULL, 4096);
    return mt_source_read(s, err);
}

static void drop(mt_source *s)
{
    free((void *)(uintptr_t)(s->n_shard ? s->shard[0].map.data : s->map.data));
    mt_arena_reset(&s->arena);
}

static void expect(const char *header, size_t n_data, mote_status want, const char *words)
{
    mt_source s;
    mote_error err = { 0 };
    const mote_status st = read_file(header, strlen(header), n_data, &s, &err);
    if (st != want || (want && !strstr(err.text, words)))
        fail_msg("%s: %s, %s: expected %s, %s", header, mote_status_name(st), err.text, mote_status_name(want), words);
    drop(&s);
}

#define F32(name, from, to) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[" #from "," #to "]}"

static void test_rules(void **state)
{
    (void)state;
    expect("{" F32("a", 0, 8) "}", 8, MOTE_OK, "");
    expect("{" F32("b", 8, 16) "," F32("a", 0, 8) "}   ", 16, MOTE_OK, "");       /* any order, padded */
    expect("{}", 0, MOTE_OK, "");
    expect("{\"a\":{\"shape\":[],\"data_offsets\":[0,1],\"dtype\":\"I8\"}}", 1, MOTE_OK, "");
    expect("{\"a\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]}}", 0, MOTE_OK, "");
    expect("{\"__metadata__\":{}," F32("a", 0, 8) "}", 8, MOTE_OK, "");

    expect("{" F32("a", 0, 8) "," F32("b", 12, 20) "}", 20, MOTE_EFORMAT, "a gap before it");
    expect("{" F32("a", 0, 8) "," F32("b", 4, 12) "}", 12, MOTE_EFORMAT, "overlaps");
    expect("{" F32("a", 4, 12) "}", 12, MOTE_EFORMAT, "a gap before it");
    expect("{" F32("a", 0, 8) "}", 12, MOTE_EFORMAT, "the tensors take 8 bytes, the file has 12");
    expect("{}", 1, MOTE_EFORMAT, "the tensors take 0 bytes");
    expect("{" F32("a", 0, 8) "}", 7, MOTE_EFORMAT, "lie outside the file's 7 bytes");
    expect("{" F32("a", 8, 0) "}", 8, MOTE_EFORMAT, "lie outside");
    expect("{" F32("a", 0, 4) "}", 4, MOTE_EFORMAT, "needs 8 bytes of F32");
    expect("{" F32("a", 0, 8) "," F32("a", 8, 16) "}", 16, MOTE_EFORMAT, "tensor a appears twice");
    expect("{" F32("a", 0, 8) "," F32("\\u0061", 8, 16) "}", 16, MOTE_EFORMAT, "tensor a appears twice");
    expect("{" F32("", 0, 8) "}", 8, MOTE_EFORMAT, "an empty one");
    expect("{" F32("a\\u0000", 0, 8) "}", 8, MOTE_EFORMAT, "a zero byte");
    expect("{" F32("a", -8, 0) "}", 8, MOTE_EFORMAT, "not negative");
    expect("{" F32("a", 0, 8.0) "}", 8, MOTE_EFORMAT, "a 64-bit integer, found 8.0");
    expect("{" F32("a", 0, 1e1) "}", 8, MOTE_EFORMAT, "a 64-bit integer, found 1e1");
    expect("{" F32("a", 0, 18446744073709551624) "}", 8, MOTE_EFORMAT, "a 64-bit integer");
    expect("{" F32("a", 0, 8) "} x", 8, MOTE_EFORMAT, "the end of the text");
    expect("{\"a\":{\"dtype\":\"F32\",\"shape\":[2,4611686018427387904],\"data_offsets\":[0,0]}}", 0,
           MOTE_EFORMAT, "product");
    expect("{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807],\"data_offsets\":[0,0]}}", 0,
           MOTE_EFORMAT, "product");
    expect("{\"a\":{\"dtype\":\"F64\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]}}", 0,
           MOTE_EFORMAT, "fit any memory");
    expect("{\"a\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1, MOTE_EUNSUPPORTED, "type F4");
    expect("{\"a\":{\"dtype\":3,\"shape\":[2],\"data_offsets\":[0,1]}}", 1,
           MOTE_EFORMAT, "expected a string, found a number");
    expect("{\"a\":{\"dtype\":\"I8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
           MOTE_EFORMAT, "once each");
    expect("{\"a\":{\"dtype\":\"I8\",\"shape\":[1]}}", 1, MOTE_EFORMAT, "once each");
    expect("{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, MOTE_EFORMAT, "once each");
    expect("{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1, MOTE_EFORMAT, "one more");
    expect("{\"a\":{\"dtype\":\"I8\",\"shape\":[[1]],\"data_offsets\":[0,1]}}", 1, MOTE_EFORMAT, "found an array");
    expect("{\"a\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1, MOTE_EFORMAT, "another key");
    expect("{\"a\":[]}", 0, MOTE_EFORMAT, "expected an object, found an array");
    expect("{\"__metadata__\":{\"a\":1}}", 0, MOTE_EFORMAT, "expected a string");
    expect("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0, MOTE_EFORMAT, "appears twice");
    expect("{\"__metadata__\":{},\"__metadata__\":{}}", 0, MOTE_EFORMAT, "appears twice");
    expect("{\"a\":{\"dtype\":\"\xFF\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, MOTE_EFORMAT, "UTF-8");
    expect("{\"a\":{\"dtype\":\"I8\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"
           "\"data_offsets\":[0,1]}}", 1, MOTE_EFORMAT, "fewer numbers");
}

/* The length in front: at most 100 MB and inside the file. */
static void test_length(void **state)
{
    (void)state;
    static const uint64_t length[] = { 0, 1, 3, 200, 100000001, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7 };
    for (size_t i = 0; i < MT_COUNT(length); i++) {
        uint8_t *p = calloc(10, 1);
        assert_non_null(p);
        for (int k = 0; k < 8; k++) p[k] = (uint8_t)(length[i] >> (8 * k));
        memcpy(p + 8, "{}", 2);
        mt_source s = { .map = { p, 10 }, .path = "input" };
        mote_error err = { 0 };
        mt_arena_init(&s.arena, NULL, 4096);
        assert_int_not_equal(mt_source_read(&s, &err), MOTE_OK);
        assert_true(strlen(err.text) > 10);
        free(p);
        mt_arena_reset(&s.arena);
    }
}

static void test_truncated(void **state)
{
    (void)state;
    char path[512];
    mt_map map;
    assert_int_equal(mt_map_open(&map, golden_path(path, sizeof path, "dtypes.safetensors"), NULL), MOTE_OK);
    for (size_t n = 0; n < map.size; n++) {
        uint8_t *p = malloc(n ? n : 1);
        assert_non_null(p);
        memcpy(p, map.data, n);
        mt_source s = { .map = { p, n }, .path = "input" };
        mote_error err = { 0 };
        mt_arena_init(&s.arena, NULL, 4096);
        assert_int_equal(mt_source_read(&s, &err), MOTE_EFORMAT);
        free(p);
        mt_arena_reset(&s.arena);
    }
    mt_map_close(&map);
}

static void test_no_memory(void **state)
{
    (void)state;
    char path[512];
    golden_path(path, sizeof path, "dtypes.safetensors");
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

/* A million tensors, named and placed at random: at most 2 s, 8 bytes for each of the header and 64 MiB. */
static void test_million(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    char *header = malloc((size_t)N * 100);
    assert_non_null(header);
    size_t n = 0;
    uint32_t at = 0;
    for (uint32_t i = 0; i < N; i++) {          /* an odd multiplier visits every number once */
        at = (at * 5 + 12345) & (N - 1);
        const uint32_t name = (at * 2654435761u) & (N - 1);
        n += (size_t)sprintf(header + n, "%c\"m.%u\":{\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[%u,%u]}",
                             i ? ',' : '{', name, at, at + 1);
    }
    header[n++] = '}';
    assert_true(n < 100 * 1000 * 1000);
    fail_alloc fa;
    mt_source s;
    mote_error err = { 0 };
    uint8_t *p = calloc(8 + n + N, 1);
    assert_non_null(p);
    for (int i = 0; i < 8; i++) p[i] = (uint8_t)((uint64_t)n >> (8 * i));
    memcpy(p + 8, header, n);
    s = (mt_source){ .map = { p, 8 + n + N }, .path = "input" };
    mt_arena_init(&s.arena, fail_alloc_init(&fa, 0, false), 4096);
    const clock_t start = clock();
    const mote_status st = mt_source_read(&s, &err);
    const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;      /* of this thread: the machine may be busy */
    if (st != MOTE_OK) fail_msg("%s", err.text);
    print_message("%d tensors, %zu bytes of header: %.2f s, %zu MiB\n", N, n, seconds, fa.peak >> 20);
    assert_int_equal(s.n_tensor, N);
#ifndef __SANITIZE_ADDRESS__
    assert_true(seconds < 4);                   /* 1.2 s measured; the bar is 2 */
#endif
    assert_true(fa.peak <= 8 * n + (64 << 20));
    free(header);
    drop(&s);
    fail_alloc_check(&fa);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),    cmocka_unit_test(test_rules),     cmocka_unit_test(test_length),
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_no_memory), cmocka_unit_test(test_million),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

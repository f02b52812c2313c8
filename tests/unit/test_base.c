/* SPDX-License-Identifier: MIT */
/* test_base.c - errors, checked arithmetic, memory, bytes, files, the CPU, log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "unit/fail_alloc.h"

/* ---- errors ---------------------------------------------------------------- */

static void test_fail(void **state)
{
    (void)state;
    mote_error err = { MOTE_OK, "before" };
    assert_int_equal(mt_fail(NULL, MOTE_EIO, "x"), MOTE_EIO);
    assert_int_equal(mt_fail(&err, MOTE_EFORMAT, "%s: %d", "a\nb\x1b[31m", 7), MOTE_EFORMAT);
    assert_int_equal(err.code, MOTE_EFORMAT);
    assert_string_equal(err.text, "a?b?[31m: 7");
    mt_fail(&err, MOTE_EFORMAT, "again: %s", err.text);     /* its own text as an argument */
    assert_string_equal(err.text, "again: a?b?[31m: 7");
    mt_fail(&err, MOTE_EFULL, "%s", "");
    assert_string_equal(err.text, "context or output buffer too small");
    for (int lead = 240; lead < 252; lead++) {              /* cut between, not inside, characters */
        char text[300];
        memset(text, 'x', sizeof text);
        snprintf(text + lead, sizeof text - (size_t)lead, "\xF0\x9F\x98\x80\xC3\xA4tail of the text");
        mt_fail(&err, MOTE_EIO, "%s", text);
        size_t n = strlen(err.text);
        assert_true(n <= 251 && n >= 248);
        assert_memory_equal(err.text, text, n);
        const int inside4 = (int)n > lead && (int)n < lead + 4;
        assert_false(inside4 || (int)n == lead + 5);
    }
}

static void test_status_names(void **state)
{
    (void)state;
    assert_string_equal(mote_status_name(MOTE_OK), "MOTE_OK");
    assert_string_equal(mote_status_name(MOTE_EFORMAT), "MOTE_EFORMAT");
    assert_string_equal(mote_status_name(MOTE_ECANCELLED), "MOTE_ECANCELLED");
    assert_string_equal(mote_status_name((mote_status)99), "MOTE_?");
    assert_string_equal(mote_status_name((mote_status)-1), "MOTE_?");
}

/* ---- arithmetic, strings, cursor -------------------------------------------- */

static void test_arithmetic(void **state)
{
    (void)state;
    size_t out = 0;
    assert_true(mt_add_ok(SIZE_MAX - 1, 1, &out) && out == SIZE_MAX);
    assert_false(mt_add_ok(SIZE_MAX, 1, &out));
    assert_true(mt_mul_ok(SIZE_MAX / 3, 3, &out) && out == SIZE_MAX / 3 * 3);
    assert_false(mt_mul_ok(SIZE_MAX / 2 + 1, 2, &out));
    assert_true(mt_pad_ok(65, 64, &out) && out == 128);
    assert_true(mt_pad_ok(0, 64, &out) && out == 0);
    assert_true(mt_pad_ok(SIZE_MAX - 63, 64, &out) && out == SIZE_MAX - 63);
    assert_false(mt_pad_ok(SIZE_MAX - 62, 64, &out));
}

static void test_strings(void **state)
{
    (void)state;
    assert_int_equal(mt_str_of(NULL).n, 0);
    assert_true(mt_str_is((mt_str){ "abcd", 3 }, "abc"));
    assert_false(mt_str_is((mt_str){ "abcd", 4 }, "abc"));
    assert_true(mt_str_eq((mt_str){ NULL, 0 }, mt_str_of("")));
    assert_true(mt_hash("", 0) == 0xCBF29CE484222325u);     /* FNV-1a's published vectors */
    assert_true(mt_hash("a", 1) == 0xAF63DC4C8601EC8Cu);
    assert_true(mt_hash("foobar", 6) == 0x85944171F73967E8u);
    assert_string_equal(mt_path_end("/a/b.gguf"), "/a/b.gguf");
    char path[400];
    memset(path, 'p', sizeof path);
    strcpy(path + 390, "end.gguf");
    assert_true(strlen(mt_path_end(path)) == 80);
    assert_string_equal(mt_path_end(path) + 72, "end.gguf");
}

static void test_cursor(void **state)
{
    (void)state;
    const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    mt_cursor c = { bytes, sizeof bytes, 0, false };
    assert_int_equal(mt_read_u8(&c), 1);
    assert_int_equal(mt_read_u16(&c), 0x0302);
    assert_int_equal(mt_read_u32(&c), 0x07060504);
    assert_true(mt_read_u64(&c) == 0x0F0E0D0C0B0A0908u);
    assert_true(mt_cursor_has(&c, 0) && !mt_cursor_has(&c, 1));
    assert_non_null(mt_read_bytes(&c, 0));
    assert_int_equal(mt_read_u8(&c), 0);
    assert_true(c.failed);
    c.at = 0;                                               /* the failure sticks */
    assert_int_equal(mt_read_u8(&c), 0);
    assert_null(mt_read_bytes(&c, 1));
    c = (mt_cursor){ bytes, sizeof bytes, 10, false };
    assert_null(mt_read_bytes(&c, SIZE_MAX));               /* at + n would wrap */
    assert_int_equal(c.at, 10);
}

/* ---- memory ------------------------------------------------------------------ */

static void test_arena(void **state)
{
    (void)state;
    fail_alloc fa;
    mt_arena a;
    mt_arena_init(&a, fail_alloc_init(&fa, 0, false), 1024);
    assert_int_equal(fa.calls, 0);
    uint8_t *first = mt_arena_push(&a, 1), *second = mt_arena_push_zero(&a, 65);
    assert_int_equal((uintptr_t)first % MT_ALIGN, 0);
    assert_ptr_equal(second, first + 64);
    for (int i = 0; i < 65; i++) assert_int_equal(second[i], 0);
    assert_int_equal(a.used, 192);
    assert_int_equal(fa.calls, 1);

    const mt_arena_mark mark = mt_arena_mark_get(&a);
    assert_ptr_equal(mt_arena_push(&a, 1024 - 192), second + 128);     /* exactly the rest */
    assert_int_equal(fa.calls, 1);
    mt_arena_rewind(&a, mark);
    assert_non_null(mt_arena_push(&a, 5000));               /* a block of its own */
    assert_non_null(mt_arena_push(&a, 100));
    assert_int_equal(fa.blocks, 3);
    const size_t high = a.high_water;
    mt_arena_rewind(&a, mark);
    assert_int_equal(fa.blocks, 1);
    assert_int_equal(a.used, 192);
    assert_int_equal(a.high_water, high);
    assert_ptr_equal(mt_arena_push(&a, 64), second + 128);

    a.is_sealed = true;
    assert_non_null(mt_arena_push(&a, 64));                 /* fits the block */
    assert_null(mt_arena_push(&a, 1024));
    a.is_sealed = false;
    assert_null(mt_arena_push(&a, SIZE_MAX));
    assert_null(mt_arena_push(&a, SIZE_MAX - 100));
    assert_null(mt_arena_push_n(&a, SIZE_MAX / 4, 8));
    const uint32_t *numbers = mt_arena_push_n(&a, 100, sizeof *numbers);
    for (int i = 0; i < 100; i++) assert_int_equal(numbers[i], 0);
    assert_string_equal(mt_arena_string(&a, (mt_str){ "hello world", 5 }), "hello");
    assert_string_equal(mt_arena_string(&a, (mt_str){ NULL, 0 }), "");
    assert_null(mt_arena_string(&a, (mt_str){ "", SIZE_MAX }));
    assert_non_null(mt_arena_push(&a, 0));

    fa.fail_at = fa.calls + 1;
    assert_null(mt_arena_push(&a, 4096));
    assert_non_null(mt_arena_push(&a, 4096));               /* and it goes on afterwards */
    mt_arena_reset(&a);
    assert_int_equal(a.used, 0);
    fail_alloc_check(&fa);
    assert_non_null(mt_arena_push(&a, 8));                  /* usable after a reset */
    mt_arena_rewind(&a, (mt_arena_mark){ NULL, 0, 0 });
    fail_alloc_check(&fa);
}

static void test_buffer(void **state)
{
    (void)state;
    fail_alloc fa;
    mt_buf b;
    mt_buf_init(&b, fail_alloc_init(&fa, 0, false), 1000);
    for (int i = 0; i < 1000; i++) {
        const char byte = (char)i;
        assert_true(mt_buf_put(&b, &byte, 1));
    }
    assert_int_equal(b.n, 1000);
    for (int i = 0; i < 1000; i++) assert_int_equal((uint8_t)b.p[i], (uint8_t)i);
    assert_false(mt_buf_put(&b, "x", 1));                   /* over max */
    assert_false(mt_buf_put(&b, "x", SIZE_MAX));
    assert_true(mt_buf_put(&b, NULL, 0));
    assert_int_equal(b.n, 1000);
    assert_true(fa.calls < 12);
    mt_buf_free(&b);
    fail_alloc_check(&fa);
    mt_buf_init(&b, fail_alloc_init(&fa, 2, false), 1000);
    assert_true(mt_buf_put(&b, "abc", 3));
    char big[200] = "";
    assert_false(mt_buf_put(&b, big, sizeof big));          /* no memory: nothing is lost */
    assert_int_equal(b.n, 3);
    assert_memory_equal(b.p, "abc", 3);
    assert_true(mt_buf_put(&b, big, sizeof big));
    mt_buf_free(&b);
    fail_alloc_check(&fa);
    mt_put(NULL, mt_get(NULL, 0, 64), 0);
}

static void test_pages(void **state)
{
    (void)state;
    const size_t sizes[] = { 1, 4096, 100000, (2 << 20) - 1, 2 << 20, (5 << 20) + 17 };
    for (size_t k = 0; k < MT_COUNT(sizes); k++) {
        const size_t n = sizes[k];
        uint8_t *p = mt_pages_reserve(n);
        assert_non_null(p);
        mt_pages_huge(p, n);
        if (n >= 2 << 20) assert_int_equal((uintptr_t)p % (2 << 20), 0);
        for (size_t i = 0; i < n; i += 501) assert_int_equal(p[i], 0);
        memset(p, 7, n);
        if (n > 20) {
            mt_pages_forget(p + 9, n - 19);
            for (size_t i = 0; i < n; i++)
                if (p[i] != (i >= 9 && i < n - 10 ? 0 : 7)) fail_msg("size %zu byte %zu", n, i);
        }
        mt_pages_forget(p, n);
        assert_int_equal(p[0] | p[n - 1], 0);
        mt_pages_release(p, n);
    }
    assert_null(mt_pages_reserve(0));
    assert_null(mt_pages_reserve(SIZE_MAX));
    assert_null(mt_pages_reserve(SIZE_MAX / 2));
    mt_pages_release(NULL, 4096);
}

/* ---- files ------------------------------------------------------------------- */

static char folder[64];         /* of this run; made by main */

static const char *write_file(const char *name, const char *text, size_t n)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
    return path;
}

static void test_map(void **state)
{
    (void)state;
    static char text[50000];
    memset(text, 'm', sizeof text);
    mote_error err = { MOTE_OK, "" };
    mt_map map;
    assert_int_equal(mt_map_open(&map, write_file("map", text, sizeof text), &err), MOTE_OK);
    assert_string_equal(err.text, "");
    assert_int_equal(map.size, sizeof text);
    assert_memory_equal(map.data, text, sizeof text);
    mt_map_forget(&map, 0, sizeof text);                    /* pages come back with their contents */
    mt_map_forget(&map, 5000, SIZE_MAX);
    mt_map_forget(&map, SIZE_MAX, 1);
    assert_memory_equal(map.data, text, sizeof text);
    mt_map_close(&map);
    mt_map_close(&map);
    assert_int_equal(mt_map_open(&map, write_file("empty", "", 0), &err), MOTE_OK);
    assert_true(map.size == 0 && map.data == NULL);
    mt_map_close(&map);
    assert_int_equal(mt_map_open(&map, "/nonexistent/model.gguf", &err), MOTE_EIO);
    assert_string_equal(err.text, "/nonexistent/model.gguf: cannot open: No such file or directory");
    assert_int_equal(mt_map_open(&map, folder, &err), MOTE_EIO);
    assert_non_null(strstr(err.text, "found a directory"));
    char fifo[128];
    snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(mt_map_open(&map, fifo, &err), MOTE_EIO);  /* and does not hang */
}

/* ---- the CPU ----------------------------------------------------------------- */

static void test_cpu(void **state)
{
    (void)state;
    mote_error err = { MOTE_OK, "" };
    const unsigned before = mt_cpu_allowed();
    const unsigned has = mt_cpu_features();
    const unsigned sums = MT_CPU_CRC | MT_CPU_SHA;          /* of no level */
    assert_int_equal(before & ~has, 0);
    assert_int_equal(mote_cpu_limit("scalar", &err), MOTE_OK);
    assert_int_equal(mt_cpu_allowed(), 0);
    assert_null(strchr(mote_cpu_name(), ' '));
    assert_int_equal(mote_cpu_limit("avx2", &err), has & MT_CPU_AVX2 ? MOTE_OK : MOTE_EINVAL);
    if (has & MT_CPU_AVX2) {
        assert_int_equal(mt_cpu_allowed() & ~sums, MT_CPU_AVX2);
        assert_string_equal(mote_cpu_name(), "x86-64 avx2");
    }
    assert_int_equal(mote_cpu_limit("avx512", &err), has & MT_CPU_AVX512 ? MOTE_OK : MOTE_EINVAL);
    if (has & MT_CPU_AVX512) assert_int_equal(mt_cpu_allowed() & ~sums, MT_CPU_AVX2 | MT_CPU_AVX512);
    assert_int_equal(mote_cpu_limit("neon", &err), has & MT_CPU_NEON ? MOTE_OK : MOTE_EINVAL);
    assert_int_equal(mote_cpu_limit("full", &err), MOTE_OK);
    assert_int_equal(mt_cpu_allowed(), has);
    assert_int_equal(mote_cpu_limit("sse9", &err), MOTE_EINVAL);
    assert_non_null(strstr(err.text, "found sse9"));
    assert_int_equal(mote_cpu_limit(NULL, &err), MOTE_EINVAL);
    assert_int_equal(mt_cpu_allowed(), has);                /* a refusal changes nothing */
    assert_in_range(mt_cpu_cores(), 1, MT_MAX_THREAD);
    const double now = mt_now();
    assert_true(mt_now() >= now);
}

static int quota(const char *list)
{
    char root[96];
    snprintf(root, sizeof root, "%s/cgroup", folder);
    return mt_cpu_quota(mt_str_of(list), root);
}

static void test_quota(void **state)
{
    (void)state;
    write_file("cgroup/cpu.max", "max 100000\n", 11);
    write_file("cgroup/a/cpu.max", "350000 100000\n", 14);
    write_file("cgroup/a/b/cpu.max", "max 100000\n", 11);
    write_file("cgroup/a/c/cpu.max", "150000 100000\n", 14);
    write_file("cgroup/cpu/old/cpu.cfs_quota_us", "50000\n", 6);
    write_file("cgroup/cpu/old/cpu.cfs_period_us", "100000\n", 7);
    write_file("cgroup/cpu/free/cpu.cfs_quota_us", "-1\n", 3);
    write_file("cgroup/cpu/free/cpu.cfs_period_us", "100000\n", 7);
    assert_int_equal(quota(""), 0);
    assert_int_equal(quota("0::/\n"), 0);
    assert_int_equal(quota("0::/a/b\n"), 4);                /* the parent's, rounded up */
    assert_int_equal(quota("0::/a/c"), 2);                  /* the least of the path */
    assert_int_equal(quota("0::/a/not/there\n"), 4);
    assert_int_equal(quota("9:memory:/old\n4:cpu,cpuacct:/old\n"), 1);
    assert_int_equal(quota("4:cpuacct,cpu:/free\n"), 0);
    assert_int_equal(quota("5:cpuset:/old\n"), 0);
    assert_int_equal(quota("garbage\n::\n:\n\n0"), 0);
}

/* ---- log ---------------------------------------------------------------------- */

static char logged[1100];
static int  logged_level, logged_n;

static void keep_line(void *user, int level, const char *line)
{
    assert_ptr_equal(user, logged);
    snprintf(logged, sizeof logged, "%s", line);
    logged_level = level;
    logged_n++;
}

static void test_log(void **state)
{
    (void)state;
    mt_log(0, "nobody listens");
    mote_log_to(keep_line, logged);
    mt_log(2, "read %d of %s", 3, "a\nb");
    assert_string_equal(logged, "read 3 of a b");
    assert_int_equal(logged_level, 2);
    char wide[3000];
    memset(wide, 'w', sizeof wide - 1);
    wide[sizeof wide - 1] = 0;
    mt_log(3, "%s", wide);
    assert_int_equal(strlen(logged), 1023);
    mote_log_to(NULL, NULL);
    mt_log(1, "silence");
    assert_int_equal(logged_n, 2);
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/mote-test-base-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
    (void)state;
    static const char *const made[] = {
        "map", "empty", "fifo", "cgroup/cpu.max", "cgroup/a/cpu.max", "cgroup/a/b/cpu.max",
        "cgroup/a/c/cpu.max", "cgroup/cpu/old/cpu.cfs_quota_us", "cgroup/cpu/old/cpu.cfs_period_us",
        "cgroup/cpu/free/cpu.cfs_quota_us", "cgroup/cpu/free/cpu.cfs_period_us", "cgroup/a/b",
        "cgroup/a/c", "cgroup/a", "cgroup/cpu/old", "cgroup/cpu/free", "cgroup/cpu", "cgroup", "",
    };
    char path[256];
    for (size_t i = 0; i < MT_COUNT(made); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, made[i]);
        remove(path);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail),         cmocka_unit_test(test_status_names),
        cmocka_unit_test(test_arithmetic),   cmocka_unit_test(test_strings),
        cmocka_unit_test(test_cursor),       cmocka_unit_test(test_arena),
        cmocka_unit_test(test_buffer),       cmocka_unit_test(test_pages),
        cmocka_unit_test(test_map),          cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_quota),        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}

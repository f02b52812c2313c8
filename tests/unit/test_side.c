/* SPDX-License-Identifier: MIT */
/* test_side.c - checksums against published values, drafts, and the side file through the public
 * calls: the same logits whatever happened to it, one warning at most, nothing left behind.
 *
 * Calls of the system fail one after the other, once and for good: a start must survive every one
 * of them, and the next start must find either the whole file or none. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "plan/side.h"

enum { SECTION = 2 << 20 };

static char folder[256], model[512], cache[512];

/* ---- failing calls -------------------------------------------------------- */

static size_t calls, fail_at;           /* fail_at 0: never */
static bool for_good;                   /* fail every call from fail_at on */

static bool fails(void)
{
    calls++;
    return fail_at && (for_good ? calls >= fail_at : calls == fail_at);
}

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
ssize_t __real_pread(int fd, void *p, size_t n, off_t at);
ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at);
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);
int __real_ftruncate(int fd, off_t n);
int __wrap_ftruncate(int fd, off_t n);

static bool halves;                     /* reads and writes do only half at a time */

ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
    if (!fails()) return __real_pwrite(fd, p, halves ? (n + 1) / 2 : n, at);
    errno = ENOSPC;
    return -1;
}

ssize_t __wrap_pread(int fd, void *p, size_t n, off_t at)
{
    if (!fails()) return __real_pread(fd, p, halves ? (n + 1) / 2 : n, at);
    errno = EIO;
    return -1;
}

/* Only files: pages without one are test_engine's. */
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    if (fd < 0 || !(flags & MAP_FIXED) || !fails()) return __real_mmap(at, n, prot, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

#define FAILING(name, code, real, ...)  \
    {                                   \
        (void)real;                     \
        if (!fails()) return __real_##name(__VA_ARGS__); \
        errno = (code);                 \
        return -1;                      \
    }
int __wrap_fsync(int fd) FAILING(fsync, EIO, 0, fd)
int __wrap_rename(const char *from, const char *to) FAILING(rename, EROFS, 0, from, to)
int __wrap_flock(int fd, int how) FAILING(flock, ENOLCK, 0, fd, how)
int __wrap_ftruncate(int fd, off_t n) FAILING(ftruncate, EIO, 0, fd, n)

/* ---- the log ---------------------------------------------------------------- */

static int warnings;
static char last_warning[1024];

static void on_log(void *user, int level, const char *line)
{
    (void)user;
    if (level > 1) return;
    warnings++;
    snprintf(last_warning, sizeof last_warning, "%s", line);
}

/* ---- checksums ---------------------------------------------------------------- */

static void at_both_levels(void (*check)(void))
{
    assert_int_equal(mote_cpu_limit("scalar", NULL), MOTE_OK);
    check();
    assert_int_equal(mote_cpu_limit("full", NULL), MOTE_OK);
    check();
}

/* RFC 3720, B.4, and the check value of the catalogue of CRC algorithms. */
static void crc_values(void)
{
    uint8_t p[32];
    memset(p, 0, sizeof p);
    assert_int_equal(mt_crc32c(0, p, sizeof p), 0x8A9136AA);
    memset(p, 0xFF, sizeof p);
    assert_int_equal(mt_crc32c(0, p, sizeof p), 0x62A8AB43);
    for (int i = 0; i < 32; i++) p[i] = (uint8_t)i;
    assert_int_equal(mt_crc32c(0, p, sizeof p), 0x46DD794E);
    assert_int_equal(mt_crc32c(0, "123456789", 9), 0xE3069283);
    assert_int_equal(mt_crc32c(0, "", 0), 0);
}

static void test_crc(void **state)
{
    (void)state;
    at_both_levels(crc_values);
    enum { N = 60000 };
    static uint8_t p[N + 8];
    uint32_t random = 7;
    for (size_t i = 0; i < sizeof p; i++) p[i] = (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
    static const size_t lengths[] = { 0, 1, 7, 8, 9, 63, 4096, 24575, 24576, 24577, 49152, N };
    for (size_t i = 0; i < MT_COUNT(lengths); i++) {
        for (size_t skip = 0; skip < 8; skip++) {
            const size_t n = lengths[i];
            mote_cpu_limit("scalar", NULL);
            const uint32_t plain = mt_crc32c(0, p + skip, n);
            mote_cpu_limit("full", NULL);
            assert_int_equal(mt_crc32c(0, p + skip, n), plain);
            const size_t cut = n / 3;
            const uint32_t a = mt_crc32c(0, p + skip, cut), b = mt_crc32c(0, p + skip + cut, n - cut);
            assert_int_equal(mt_crc32c(a, p + skip + cut, n - cut), plain);
            assert_int_equal(mt_crc32c_join(a, b, n - cut), plain);
        }
    }
}

static void expect_sha(const char *text, size_t times, size_t piece, const char *expected)
{
    mt_sha256 s;
    uint8_t digest[32];
    char hex[65], buffer[256];
    const size_t n = strlen(text), total = n * times;
    mt_sha256_init(&s);
    for (size_t at = 0; at < total;) {
        const size_t take = MT_MIN(piece, total - at);
        for (size_t i = 0; i < take; i++) buffer[i] = text[(at + i) % n];
        mt_sha256_add(&s, buffer, take);
        at += take;
    }
    mt_sha256_end(&s, digest);
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(hex, expected);
}

/* FIPS 180-4's examples (NIST), in pieces of several sizes. */
static void sha_values(void)
{
    static const size_t pieces[] = { 1, 3, 55, 64, 65, 200 };
    for (size_t i = 0; i < MT_COUNT(pieces); i++) {
        expect_sha("", 0, pieces[i], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        expect_sha("abc", 1, pieces[i], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        expect_sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1, pieces[i],
                   "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
        expect_sha("a", 1000000, pieces[i], "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

static void test_sha(void **state)
{
    (void)state;
    at_both_levels(sha_values);
}

/* ---- drafts ---------------------------------------------------------------------- */

static bool exists(const char *path) { return access(path, F_OK) == 0; }

static void in_folder(char out[512], const char *name) { snprintf(out, 512, "%s/%s", folder, name); }

static void test_draft(void **state)
{
    (void)state;
    char path[512], temp[512];
    mt_draft a, b;
    mote_error err;
    struct stat s;
    in_folder(path, "draft");
    in_folder(temp, "draft.tmp");
    assert_int_equal(mt_draft_open(&a, path, temp, 10, 0, &err), MOTE_OK);
    assert_int_equal(mt_draft_open(&b, path, temp, 10, 0, &err), MOTE_ECANCELLED);
    mt_draft_sweep(temp);                                   /* in use: stays */
    assert_true(exists(temp));
    assert_int_equal(mt_draft_write(&a, 0, "0123456789", 10, &err), MOTE_OK);
    assert_false(exists(path));
    assert_int_equal(mt_draft_publish(&a, &err), MOTE_OK);
    assert_true(exists(path) && !exists(temp));
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    assert_int_equal(mt_draft_open(&a, path, temp, (size_t)1 << 60, 0, &err), MOTE_EFULL);
    assert_int_equal(mt_draft_open(&a, path, temp, 0, (size_t)1 << 60, &err), MOTE_EFULL);
    assert_false(exists(temp));
    assert_int_equal(mt_draft_open(&a, path, temp, 1, 0, &err), MOTE_OK);
    mt_draft_close(&a);
    assert_false(exists(temp));
    assert_true(exists(path));
    unlink(path);
}

/* ---- the side file ------------------------------------------------------------------ */

static uint64_t logits_of(const mote_model_opts *o, bool *is_mapped)
{
    mote_error err = { MOTE_OK, "" };
    mote_model *m = NULL;
    mote_model_info info;
    mote_engine *e = NULL;
    mote_session *s = NULL;
    static const mote_token ids[] = { 1, 2, 3, 4, 5, 6, 7 };
    if (mote_model_open(&m, model, o, &err) != MOTE_OK) fail_msg("%s", err.text);
    mote_model_describe(m, &info);
    if (is_mapped) *is_mapped = info.is_mapped;
    assert_int_equal(mote_engine_open(&e, m, NULL, &err), MOTE_OK);
    assert_int_equal(mote_session_open(&s, e, &err), MOTE_OK);
    if (mote_decode(s, ids, MT_COUNT(ids), MOTE_WANT_ALL, &err) != MOTE_OK) fail_msg("%s", err.text);
    size_t rows, cols;
    const float *out = mote_output(s, &rows, &cols);
    const uint64_t digest = mt_hash(out, rows * cols * sizeof *out);
    mote_session_close(s);
    mote_engine_close(e);
    mote_model_close(m);
    return digest;
}

static mote_model_opts with_cache(void)
{
    mote_model_opts o;
    mote_model_opts_init(&o);
    o.n_threads = 2;
    o.cache_dir = cache;
    return o;
}

static void on_kept(void *user, const char *name)
{
    char *path = user;
    if (*path) fail_msg("more than one file: %s and %s", path, name);
    snprintf(path, 1024, "%s/%s", cache, name);
}

static bool kept(char path[1024])
{
    path[0] = 0;
    mt_folder_each(cache, on_kept, path);
    return path[0] != 0;
}

static void remove_kept(void)
{
    char path[1024];
    if (kept(path)) unlink(path);
}

static uint64_t expected(void)
{
    mote_model_opts o = with_cache();
    o.cache_dir = NULL;
    return logits_of(&o, NULL);
}

static void test_mapped_equals_packed(void **state)
{
    (void)state;
    const mote_model_opts o = with_cache();
    const uint64_t plain = expected();
    bool is_mapped;
    remove_kept();
    warnings = 0;
    assert_true(logits_of(&o, &is_mapped) == plain);
    assert_false(is_mapped);
    for (int i = 0; i < 3; i++) {
        assert_true(logits_of(&o, &is_mapped) == plain);
        assert_true(is_mapped);
    }
    assert_int_equal(warnings, 0);
}

/* Every byte of head and table, one after the other, and many of the weights: never other logits. */
static void test_every_flipped_byte(void **state)
{
    (void)state;
    const mote_model_opts o = with_cache();
    const uint64_t plain = expected();
    char path[1024];
    struct stat s;
    logits_of(&o, NULL);
    assert_true(kept(path));
    assert_int_equal(stat(path, &s), 0);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    uint8_t *good = malloc((size_t)s.st_size);
    assert_int_equal(fread(good, 1, (size_t)s.st_size, f), (size_t)s.st_size);
    fclose(f);
    mt_side_head head;
    assert_int_equal(mt_side_parse(good, (size_t)s.st_size, (size_t)s.st_size, &head, NULL), MOTE_OK);
    const size_t head_bytes = mt_side_head_bytes(head.n_row, head.source.n);
    size_t tried = 0;
    for (size_t at = 0; at < (size_t)s.st_size; at += at < head_bytes ? 11 : 9001) {
        if (at >= head_bytes && at < SECTION) at = SECTION;
        const uint8_t bad = good[at] ^ (uint8_t)(1u << at % 8);
        f = fopen(path, "r+b");
        fseek(f, (long)at, SEEK_SET);
        fwrite(&bad, 1, 1, f);
        fclose(f);
        warnings = 0;
        bool is_mapped, is_padding = true;
        if (logits_of(&o, &is_mapped) != plain) fail_msg("other logits with byte %zu flipped", at);
        for (size_t i = 0; i < head.n_row && at >= SECTION; i++) {
            const mt_side_row r = mt_side_row_at(&head, i);
            if (at - SECTION >= r.offset && at - SECTION < r.offset + r.bytes) is_padding = false;
        }
        const int wanted = at < head_bytes || !is_padding;
        if (warnings != wanted) fail_msg("byte %zu flipped: %d warnings, expected %d", at, warnings, wanted);
        tried++;
        if (!wanted) {                  /* nobody reads it: put it right by hand */
            remove_kept();
            logits_of(&o, NULL);
        }
        assert_true(kept(path));
    }
    free(good);
    print_message("%zu flipped bytes\n", tried);
}

static void test_every_length(void **state)
{
    (void)state;
    const mote_model_opts o = with_cache();
    const uint64_t plain = expected();
    char path[1024];
    struct stat s;
    for (int i = 0; i < 20; i++) {
        logits_of(&o, NULL);
        assert_true(kept(path) && stat(path, &s) == 0);
        assert_int_equal(truncate(path, i < 10 ? i * 17 : s.st_size - (i - 9) * 997), 0);
        warnings = 0;
        assert_true(logits_of(&o, NULL) == plain);
        assert_int_equal(warnings, 1);
    }
}

static void run_failing(bool is_present)
{
    const mote_model_opts o = with_cache();
    const uint64_t plain = expected();
    char path[1024];
    size_t tried = 0;
    for (size_t n = 1;; n++, tried++) {
        remove_kept();
        if (is_present) logits_of(&o, NULL);
        calls = 0, warnings = 0, fail_at = n;
        const uint64_t found = logits_of(&o, NULL);
        const bool is_over = calls < n;
        fail_at = 0;
        if (found != plain) fail_msg("other logits when call %zu fails", n);
        if (warnings > 1) fail_msg("%d warnings when call %zu fails, last: %s", warnings, n, last_warning);
        warnings = 0;
        assert_true(logits_of(&o, NULL) == plain);
        assert_int_equal(warnings, 0);
        assert_true(kept(path) && strstr(path, MT_SIDE_ENDING));    /* and no draft beside it */
        if (is_over) break;
    }
    print_message("%zu calls failed %s, with %s file\n", tried, for_good ? "for good" : "once",
                  is_present ? "a" : "no");
    assert_true(tried > (is_present ? 3 : 8));
}

static void test_failing_calls(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        for_good = i & 1;
        run_failing(i & 2);
    }
}

static void test_short_reads_and_writes(void **state)
{
    (void)state;
    const mote_model_opts o = with_cache();
    const uint64_t plain = expected();
    bool is_mapped;
    remove_kept();
    halves = true;
    warnings = 0;
    assert_true(logits_of(&o, NULL) == plain);
    assert_true(logits_of(&o, &is_mapped) == plain);
    halves = false;
    assert_true(is_mapped);
    assert_int_equal(warnings, 0);
}

static bool count_item(void *user, const mote_cache_item *item)
{
    size_t *n = user;
    if (item->model) assert_string_equal(item->model, model);
    n[item->model ? 0 : 1]++;
    return true;
}

static void test_listing(void **state)
{
    (void)state;
    const mote_model_opts o = with_cache();
    char other[1024];
    size_t n[2] = { 0, 0 };
    remove_kept();
    logits_of(&o, NULL);
    snprintf(other, sizeof other, "%s/%s", cache, "half.tmp");
    fclose(fopen(other, "w"));
    assert_int_equal(mote_cache_each(cache, count_item, n, NULL), MOTE_OK);
    assert_true(n[0] == 1 && n[1] == 1);
    unlink(other);
    assert_int_equal(mote_cache_each(NULL, count_item, n, NULL), MOTE_EINVAL);
    assert_int_equal(mote_cache_each("/does/not/exist", count_item, n, NULL), MOTE_OK);
}

/* ---- a model of several files ------------------------------------------------------------- */

enum { PART = 3000, RANGE = 2 << 20 };
static char part_path[2][600];
static uint8_t part_bytes[2][PART];

static void write_part(int i)
{
    FILE *f = fopen(part_path[i], "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(part_bytes[i], 1, PART, f), PART);
    fclose(f);
    const struct timespec time[2] = { { 1000, 0 }, { 1000, 0 } };    /* always the same */
    assert_int_equal(utimensat(AT_FDCWD, part_path[i], time, 0), 0);
}

/* Packs, keeps, and maps again; the name that the file got. */
static void name_of(char name[1024], size_t n_part, const char *settings)
{
    mt_side_part part[2];
    mt_side_row row = { 0, RANGE, 64, 32, 1, 0, 0 };
    for (int i = 0; i < 2; i++) part[i] = (mt_side_part){ part_path[i], PART, part_bytes[i], 100, 100 };
    const mt_side_opts o = { .folder = cache, .source = folder, .part = part, .n_part = n_part,
                             .settings = mt_str_of(settings), .row = &row, .n_row = 1,
                             .pages = mt_pages_reserve(RANGE), .bytes = RANGE };
    assert_non_null(o.pages);
    for (int pass = 0; pass < 2; pass++) {
        mt_side *side = mt_side_open(&o, NULL);
        assert_non_null(side);
        assert_true(mt_side_map(side) == (pass == 1));
        if (pass == 0) mt_side_write(side);
        mt_side_close(side);
        assert_true(kept(name));
    }
    mt_pages_release(o.pages, RANGE);
    remove_kept();
}

/* Every byte of every part, its time, the settings and the number of parts have a say in the name. */
static void test_parts(void **state)
{
    (void)state;
    char first[1024], other[1024];
    remove_kept();
    for (int i = 0; i < 2; i++) {
        snprintf(part_path[i], sizeof part_path[i], "%s/part%d", folder, i);
        for (int k = 0; k < PART; k++) part_bytes[i][k] = (uint8_t)(k * 7 + i);
        write_part(i);
    }
    name_of(first, 2, "{}");
    name_of(other, 2, "{}");
    assert_string_equal(first, other);
    name_of(other, 2, "[]");
    assert_string_not_equal(first, other);
    name_of(other, 1, "{}");
    assert_string_not_equal(first, other);
    static const int at[] = { 0, 99, 100, 1500, PART - 1 };
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < MT_COUNT(at); k++) {
            part_bytes[i][at[k]] ^= 1;
            write_part(i);
            name_of(other, 2, "{}");
            assert_string_not_equal(first, other);
            part_bytes[i][at[k]] ^= 1;
            write_part(i);
        }
    const struct timespec time[2] = { { 1000, 0 }, { 1000, 1 } };
    assert_int_equal(utimensat(AT_FDCWD, part_path[1], time, 0), 0);
    name_of(other, 2, "{}");
    assert_string_not_equal(first, other);
    char via[600];
    snprintf(via, sizeof via, "%s/link", folder);     /* as in a hub's cache */
    write_part(1);
    assert_int_equal(symlink(part_path[1], via), 0);
    snprintf(part_path[1], sizeof part_path[1], "%s", via);
    name_of(other, 2, "{}");
    assert_string_equal(first, other);
    snprintf(via, sizeof via, "%s/part1", folder);
    unlink(part_path[1]), unlink(part_path[0]), unlink(via);
}

/* ---- set up ------------------------------------------------------------------------------ */

static int copy_model(void)
{
    char from[512], buffer[1 << 16];
    const char *source = getenv("MOTE_SOURCE");
    snprintf(from, sizeof from, "%s/tests/golden/tiny_q4_1.gguf", source ? source : ".");
    FILE *in = fopen(from, "rb"), *out = fopen(model, "wb");
    if (!in || !out) {
        print_message("cannot copy %s\n", from);
        return -1;
    }
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, in)) > 0;) fwrite(buffer, 1, n, out);
    fclose(in);
    return fclose(out);
}

static int set_up(void **state)
{
    (void)state;
    char real[4096];
    snprintf(folder, sizeof folder, "/tmp/mote-side-XXXXXX");
    if (!mkdtemp(folder) || !realpath(folder, real)) return -1;
    in_folder(model, "model.gguf");
    in_folder(cache, "cache");
    mote_log_to(on_log, NULL);
    return copy_model();
}

static int tear_down(void **state)
{
    (void)state;
    remove_kept();
    unlink(model);
    rmdir(cache);
    return rmdir(folder);               /* fails when something was left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc), cmocka_unit_test(test_sha), cmocka_unit_test(test_draft),
        cmocka_unit_test(test_mapped_equals_packed), cmocka_unit_test(test_every_flipped_byte),
        cmocka_unit_test(test_every_length), cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_short_reads_and_writes), cmocka_unit_test(test_listing),
        cmocka_unit_test(test_parts),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

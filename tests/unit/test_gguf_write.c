/* SPDX-License-Identifier: MIT */
/* test_gguf_write.c - written files equal those of the gguf and safetensors packages byte for byte
 * (tests/golden/make_write.py and every golden model), whatever the tensors come from; and nothing is
 * left where writing fails. */
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/verified.h"

#include "file/gguf_write.h"
#include "unit/fail_alloc.h"

static char folder[64];
static mote_error err;

/* ---- files ----------------------------------------------------------------------- */

static const char *golden(const char *name)
{
    static char path[1024];
    const char *root = getenv("MOTE_SOURCE");
    snprintf(path, sizeof path, "%s/tests/%s", root ? root : ".", name);
    return path;
}

static const char *out_path(const char *name)
{
    static char path[2][512];
    static int turn;
    snprintf(path[turn ^= 1], sizeof *path, "%s/%s", folder, name);
    return path[turn];
}

static mt_source *open_source(const char *path)
{
    mt_source *s = NULL;
    if (mt_source_open(&s, path, NULL, &err) != MOTE_OK) fail_msg("%s", err.text);
    return s;
}

static void expect_same(const char *path, const char *expected)
{
    mt_map a, b;
    if (mt_map_open(&a, path, &err) != MOTE_OK || mt_map_open(&b, expected, &err) != MOTE_OK) fail_msg("%s", err.text);
    size_t i = 0;
    while (i < a.size && i < b.size && a.data[i] == b.data[i]) i++;
    if (i < a.size || i < b.size)
        fail_msg("%s: %zu bytes, %s has %zu; they differ from byte %zu", path, a.size, expected, b.size, i);
    mt_map_close(&a);
    mt_map_close(&b);
    mt_verified("GGUF and safetensors, written", "files, byte for byte",
                "gguf 0.19, safetensors 0.8", 1);
}

static int n_files;
static void count(void *user, const char *name)
{
    (void)user;
    (void)name;
    n_files++;
}

static void expect_files(int n)
{
    n_files = 0;
    mt_folder_each(folder, count, NULL);
    assert_int_equal(n_files, n);
}

static void remove_one(void *user, const char *name)
{
    (void)user;
    mt_file_remove(out_path(name));
}

static int empty(void **state)
{
    (void)state;
    mt_folder_each(folder, remove_one, NULL);
    return 0;
}

/* ---- writers ------------------------------------------------------------------------- */

static mt_writer *new_writer(const mote_alloc *alloc)
{
    mt_writer *w;
    assert_int_equal(mt_writer_open(&w, alloc, &err), MOTE_OK);
    return w;
}

/* Everything of a source; as kind: floats and blocks in that type, MT_TYPE_LIMIT: as they are. */
static mt_writer *copy_of(const mt_source *s, mt_type kind, const mote_alloc *alloc)
{
    mt_writer *w = new_writer(alloc);
    for (size_t i = 0; i < s->n_meta; i++) mt_writer_add_meta(w, &s->meta[i]);
    for (size_t i = 0; i < s->n_tensor; i++) {
        const mt_tensor *t = &s->tensor[i];
        const bool is_whole = t->type >= MT_I8 && t->type <= MT_I64;
        if (kind != MT_TYPE_LIMIT && t->type == MT_I8) continue;
        mt_writer_add_tensor(w, t->name, kind == MT_TYPE_LIMIT || is_whole ? t->type : kind, t->n_dim, t->ne, t);
    }
    return w;
}

static void write_gguf(const mt_writer *w, const char *path, const mt_write_opts *o)
{
    if (mt_gguf_write(w, path, o, &err) != MOTE_OK) fail_msg("%s", err.text);
}

/* ---- equal bytes --------------------------------------------------------------------- */

static int check_folder(const char *name)
{
    int n = 0;
    char path[1024];
    DIR *dir = opendir(golden(name));
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir));) {
        const size_t length = strlen(e->d_name);
        if (length < 5 || strcmp(e->d_name + length - 5, ".gguf") != 0 || strstr(e->d_name, "-of-")) continue;
        snprintf(path, sizeof path, "%.500s/%.200s", golden(name), e->d_name);
        mt_source *s = open_source(path);
        mt_writer *w = copy_of(s, MT_TYPE_LIMIT, NULL);
        write_gguf(w, out_path("copy.gguf"), &(mt_write_opts){ .source = s });
        mt_writer_close(w);
        mt_source_close(s);
        expect_same(out_path("copy.gguf"), path);
        n++;
    }
    closedir(dir);
    return n;
}

static void test_copies(void **state)
{
    (void)state;
    assert_true(check_folder("fuzz/corpus/gguf") >= 3);     /* every type, another alignment, no tensors */
    assert_true(check_folder("golden/write") >= 4);
    const int n = check_folder("golden");
    assert_true(n >= 20);
    print_message("%d models equal\n", n);
    expect_files(1);
}

static void test_conversions(void **state)
{
    static const struct { mt_type kind; const char *name; } row[] = {
        { MT_F32, "golden/write/F32.gguf" }, { MT_F16, "golden/write/F16.gguf" }, { MT_BF16, "golden/write/BF16.gguf" } };
    (void)state;
    for (size_t i = 0; i < MT_COUNT(row); i++) {
        mt_source *s = open_source(golden("golden/write/plain.gguf"));
        mt_writer *w = copy_of(s, row[i].kind, NULL);
        write_gguf(w, out_path("kind.gguf"), &(mt_write_opts){ .source = s });
        expect_same(out_path("kind.gguf"), golden(row[i].name));
        mt_writer_close(w);
        mt_source_close(s);
    }
}

static void check_split(const char *golden_name, size_t n)
{
    char name[128], path[256];
    for (size_t i = 1; i <= n; i++) {
        snprintf(path, sizeof path, "golden/write/%s", golden_name);
        snprintf(name, sizeof name, "%s", golden_name);
        name[strcspn(name, "1")] = (char)('0' + i);
        path[13 + strcspn(golden_name, "1")] = (char)('0' + i);
        expect_same(out_path(name), golden(path));
    }
}

static void test_split(void **state)
{
    (void)state;
    mt_source *s = open_source(golden("golden/write/plain.gguf"));
    mt_writer *w = copy_of(s, MT_TYPE_LIMIT, NULL);
    write_gguf(w, out_path("split.gguf"), &(mt_write_opts){ .source = s, .split_bytes = 1000 });
    expect_files(4);
    check_split("split-00001-of-00004.gguf", 4);
    mt_writer_close(w);
    mt_source_close(s);
}

static void add_safe(mt_writer *w, const mt_source *s)
{
    for (size_t i = 0; i < s->n_tensor; i++) {
        const mt_tensor *t = &s->tensor[i];
        if (t->type == MT_BF16 || t->type == MT_Q4_0 || t->type == MT_Q8_0) continue;
        mt_writer_add_tensor(w, t->name, t->type, t->n_dim, t->ne, t);
    }
}

static void test_safetensors(void **state)
{
    (void)state;
    mt_source *s = open_source(golden("golden/write/plain.gguf"));
    mt_writer *w = new_writer(NULL);
    const mt_write_opts o = { .source = s };
    add_safe(w, s);
    if (mt_safetensors_write(w, out_path("bare.safetensors"), &o, &err)) fail_msg("%s", err.text);
    expect_same(out_path("bare.safetensors"), golden("golden/write/bare.safetensors"));
    mt_writer_add_string(w, "__metadata__.format", mt_str_of("pt"));
    if (mt_safetensors_write(w, out_path("plain.safetensors"), &o, &err)) fail_msg("%s", err.text);
    expect_same(out_path("plain.safetensors"), golden("golden/write/plain.safetensors"));
    empty(NULL);
    const mt_write_opts cut = { .source = s, .split_bytes = 20000 };
    if (mt_safetensors_write(w, out_path("cut.safetensors"), &cut, &err)) fail_msg("%s", err.text);
    expect_files(4);
    check_split("cut-00001-of-00003.safetensors", 3);
    expect_same(out_path("cut.safetensors.index.json"), golden("golden/write/cut.safetensors.index.json"));
    const mt_tensor *blocks = mt_source_tensor(s, "Q4_0.weight");
    mt_writer_add_tensor(w, "blocks", MT_Q4_0, 2, blocks->ne, blocks);
    assert_int_equal(mt_safetensors_write(w, out_path("bare.safetensors"), &o, &err), MOTE_EUNSUPPORTED);
    assert_string_equal(err.text, "tensor blocks: no safetensors file holds the type Q4_0");
    mt_writer_close(w);
    mt_source_close(s);
}

/* Strings as JSON: what json.dumps(..., ensure_ascii=False) gives. */
static void test_json_strings(void **state)
{
    (void)state;
    const mt_tensor t = { .name = "x", .type = MT_I8, .n_dim = 1, .ne = { 2, 1, 1, 1 }, .data = (const uint8_t *)"ab", .bytes = 2 };
    static const char want[] = "{\"__metadata__\":{\"a\\\"\\\\\":\"\\b\\f\\n\\r\\t\\u0001/\xC3\xA9\"},"
                               "\"n\\\"\xE2\x82\xAC\":{\"dtype\":\"I8\",\"shape\":[2],\"data_offsets\":[0,2]}}";
    mt_writer *w = new_writer(NULL);
    mt_writer_add_string(w, "__metadata__.a\"\\", mt_str_of("\b\f\n\r\t\1/\xC3\xA9"));
    mt_writer_add_string(w, "general.name", mt_str_of("not there"));
    mt_writer_add_tensor(w, "n\"\xE2\x82\xAC", MT_I8, 1, t.ne, &t);
    if (mt_safetensors_write(w, out_path("s.safetensors"), NULL, &err)) fail_msg("%s", err.text);
    mt_map m;
    assert_int_equal(mt_map_open(&m, out_path("s.safetensors"), &err), MOTE_OK);
    const size_t padded = mt_pad(sizeof want - 1, 8);
    assert_int_equal(m.size, 8 + padded + 2);
    assert_int_equal(m.data[0], padded);
    assert_memory_equal(m.data + 8, want, sizeof want - 1);
    assert_memory_equal(m.data + 8 + padded, "ab", 2);
    mt_map_close(&m);
    mt_writer_add_tensor(w, "bad\xFF", MT_I8, 1, t.ne, &t);
    assert_int_equal(mt_safetensors_write(w, out_path("s.safetensors"), NULL, &err), MOTE_EINVAL);
    mt_writer_close(w);
}

/* ---- made rows, replaced keys, other shapes -------------------------------------------- */

/* Row r of the transposed: column r of the source's rows. */
static void transpose(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    const mt_tensor *from = t->recipe;
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0; c < t->ne[0]; c++)
            memcpy(out + (r * t->ne[0] + c) * 4, from->data + (c * from->ne[0] + first + r) * 4, 4);
}

static void test_made_rows(void **state)
{
    enum { N0 = 300, N1 = 7001 };           /* several pieces of 4 MiB, the last one short */
    (void)state;
    float *value = malloc(sizeof(float) * N0 * N1);
    for (int i = 0; i < N0 * N1; i++) value[i] = (float)i;
    const mt_tensor t = { .name = "t", .type = MT_F32, .n_dim = 2, .ne = { N0, N1, 1, 1 }, .data = (uint8_t *)value };
    const mt_tensor turned = { .name = "turned", .type = MT_F32, .n_dim = 2, .ne = { N1, N0, 1, 1 }, .make = transpose,
                               .recipe = &t };
    mt_writer *w = new_writer(NULL);
    mt_writer_add_tensor(w, "turned", MT_F32, 2, turned.ne, &turned);
    mt_writer_add_tensor(w, "flat", MT_BF16, 1, (int64_t[]){ N0 * N1 }, &turned);
    write_gguf(w, out_path("made.gguf"), NULL);
    mt_writer_close(w);
    mt_source *s = open_source(out_path("made.gguf"));
    const mt_tensor *a = mt_source_tensor(s, "turned"), *b = mt_source_tensor(s, "flat");
    assert_true(a->ne[0] == N1 && a->ne[1] == N0 && b->n_dim == 1 && b->type == MT_BF16);
    for (int r = 0; r < N0; r++)
        for (int c = 0; c < N1; c++) {
            float f;
            uint16_t h;
            memcpy(&f, a->data + ((size_t)r * N1 + (size_t)c) * 4, 4);
            memcpy(&h, b->data + ((size_t)r * N1 + (size_t)c) * 2, 2);
            if (f != value[c * N0 + r] || h != mt_f32_to_bf16(f)) fail_msg("row %d, column %d: %g", r, c, (double)f);
        }
    mt_source_close(s);
    free(value);
}

static void test_keys(void **state)
{
    static const mt_str words[] = { { "a", 1 }, { "", 0 }, { "b\0c", 3 } };
    int64_t i;
    double f;
    bool b;
    mt_str text;
    (void)state;
    mt_writer *w = new_writer(NULL);
    mt_writer_add_string(w, "general.architecture", mt_str_of("old"));
    mt_writer_add_u32(w, "u", 4000000000u);
    mt_writer_add_i32(w, "i", -5);
    mt_writer_add_u64(w, "u64", (uint64_t)1 << 40);
    mt_writer_add_f32(w, "f", 0.1f);
    mt_writer_add_bool(w, "b", true);
    mt_writer_add_i32s(w, "is", (const int32_t[]){ 1, -2, 3 }, 3);
    mt_writer_add_f32s(w, "fs", (const float[]){ 0.5f, -1 }, 2);
    mt_writer_add_strings(w, "words", words, 3);
    mt_writer_add_u32(w, "split.no", 3);                    /* what one file of a set said */
    mt_writer_add_string(w, "general.architecture", mt_str_of("new"));
    write_gguf(w, out_path("keys.gguf"), NULL);
    mt_writer_close(w);
    mt_source *s = open_source(out_path("keys.gguf"));
    assert_int_equal(s->n_meta, 9);
    assert_string_equal(s->meta[0].key, "general.architecture");
    assert_true(mt_meta_str(s, "general.architecture", &text) && mt_str_is(text, "new"));
    assert_true(mt_meta_int(s, "u", &i) && i == 4000000000);
    assert_true(mt_meta_int(s, "i", &i) && i == -5);
    assert_true(mt_meta_int(s, "u64", &i) && i == (int64_t)1 << 40);
    assert_true(mt_meta_f64(s, "f", &f) && f == (double)0.1f);
    assert_true(mt_meta_bool(s, "b", &b) && b);
    const mt_meta *m = mt_source_meta(s, "is");
    assert_true(m->n == 3 && mt_meta_item_int(m, 1) == -2);
    m = mt_source_meta(s, "fs");
    assert_true(m->n == 2 && mt_meta_item_f64(m, 1) == -1);
    m = mt_source_meta(s, "words");
    assert_true(m->n == 3 && m->strings[2].n == 3 && m->strings[2].p[2] == 'c');
    mt_source_close(s);
}

/* A model is for everybody whom the umask lets. */
static void test_mode(void **state)
{
    (void)state;
    static const mode_t mask[] = { 022, 077 };
    for (int i = 0; i < 2; i++) {
        struct stat st;
        const mode_t before = umask(mask[i]);
        mt_writer *w = new_writer(NULL);
        write_gguf(w, out_path("mode.gguf"), NULL);
        mt_writer_close(w);
        umask(before);
        assert_int_equal(stat(out_path("mode.gguf"), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0666 & ~mask[i]);
    }
}

/* ---- what cannot be written --------------------------------------------------------------- */

static void refuse(mt_writer *w, mote_status want, const char *words)
{
    err = (mote_error){ MOTE_OK, "" };
    const mote_status found = mt_gguf_write(w, out_path("never.gguf"), NULL, &err);
    if (found != want || !strstr(err.text, words))
        fail_msg("expected %s with \"%s\", found %s: %s", mote_status_name(want), words, mote_status_name(found), err.text);
    mt_writer_close(w);
    expect_files(0);
}

static void test_refusals(void **state)
{
    (void)state;
    static const uint8_t zeros[64];
    const mt_tensor t = { .name = "t", .type = MT_F32, .n_dim = 1, .ne = { 4, 1, 1, 1 }, .data = zeros };
    const mt_tensor own = { .name = "own", .type = MT_F8_E4M3, .n_dim = 1, .ne = { 4, 1, 1, 1 }, .data = zeros };
    mt_writer *w = new_writer(NULL);
    mt_writer_add_tensor(w, "t", MT_F32, 1, t.ne, &t);
    mt_writer_add_tensor(w, "t", MT_F16, 1, t.ne, &t);
    refuse(w, MOTE_EINVAL, "tensor t would be written twice");
    w = new_writer(NULL);
    mt_writer_add_tensor(w, "t", MT_F32, 2, (const int64_t[]){ 2, 3 }, &t);
    refuse(w, MOTE_EINVAL, "another number of values than its source has, 4");
    w = new_writer(NULL);
    mt_writer_add_tensor(w, "t", MT_F32, 5, t.ne, &t);
    refuse(w, MOTE_EINVAL, "another number of values");
    w = new_writer(NULL);
    mt_writer_add_tensor(w, "t", MT_Q4_0, 1, t.ne, &t);
    refuse(w, MOTE_EUNSUPPORTED, "cannot write F32 as Q4_0");
    w = new_writer(NULL);
    mt_writer_add_tensor(w, "own", MT_F8_E4M3, 1, own.ne, &own);
    refuse(w, MOTE_EUNSUPPORTED, "tensor own: no GGUF file holds the type F8_E4M3");
    w = new_writer(NULL);
    mt_writer_add_tensor(w, "sixty-four bytes are one more than other readers of GGUF allow,,", MT_F32, 1, t.ne, &t);
    refuse(w, MOTE_EINVAL, "a name of 64 bytes, expected 1 to 63");
    w = new_writer(NULL);
    mt_writer_add_u32(w, "general.alignment", 48);
    refuse(w, MOTE_EINVAL, "general.alignment: expected a power of two");
    w = new_writer(NULL);
    mt_writer_add_u32(w, "", 48);
    refuse(w, MOTE_EINVAL, "a metadata key of 0 bytes");
    w = new_writer(NULL);
    const mt_tensor huge = { .name = "huge", .type = MT_F32, .n_dim = 2, .ne = { 1 << 30, 1 << 28, 1, 1 }, .data = zeros };
    mt_writer_add_tensor(w, "huge", MT_F32, 2, huge.ne, &huge);
    refuse(w, MOTE_EFULL, "the disk has");                  /* an exbibyte */
    w = new_writer(NULL);
    assert_int_equal(mt_gguf_write(w, "/nowhere/at/all.gguf", NULL, &err), MOTE_EIO);
    mt_writer_close(w);
}

/* ---- what goes wrong on the way ------------------------------------------------------------- */

static int calls_left;
static double last_done;
static bool stop_later(void *user, const char *what, double done)
{
    assert_string_equal(user, "mine");
    assert_true(strlen(what) > 0 && done > last_done && done <= 1);
    last_done = done;
    return --calls_left > 0;
}

static void test_cancel(void **state)
{
    (void)state;
    mt_source *s = open_source(golden("golden/write/plain.gguf"));
    mt_writer *w = copy_of(s, MT_TYPE_LIMIT, NULL);
    char mine[] = "mine";
    mt_write_opts o = { .source = s, .progress = stop_later, .user = mine };
    for (size_t split = 0; split <= 1000; split += 1000) {
        for (int n = 1; n <= 9; n++) {
            o.split_bytes = split, calls_left = n, last_done = 0;
            assert_int_equal(mt_gguf_write(w, out_path("x.gguf"), &o, &err), MOTE_ECANCELLED);
            expect_files(0);
        }
        calls_left = 100, last_done = 0;
        write_gguf(w, out_path("x.gguf"), &o);
        assert_true(last_done == 1 && calls_left == 91);    /* once for each of nine tensors */
        expect_files(split ? 4 : 1);
        empty(NULL);
    }
    mt_writer_close(w);
    mt_source_close(s);
}

/* A file that may not grow further stands for a disk that is full. */
static void test_full(void **state)
{
    (void)state;
    mt_source *s = open_source(golden("golden/write/plain.gguf"));
    mt_writer *w = copy_of(s, MT_TYPE_LIMIT, NULL);
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 10000, before.rlim_max }), 0);
    const mote_status one = mt_gguf_write(w, out_path("x.gguf"), NULL, &err);
    const mote_status many = mt_gguf_write(w, out_path("x.gguf"), &(mt_write_opts){ .split_bytes = 1000 }, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(one, MOTE_EIO);
    assert_int_equal(many, MOTE_EIO);
    assert_non_null(strstr(err.text, "cannot write"));
    expect_files(0);
    mt_writer_close(w);
    mt_source_close(s);
}

static mote_status with_alloc(const mt_source *s, const mote_alloc *alloc, bool is_gguf)
{
    mt_writer *w;
    MT_TRY(mt_writer_open(&w, alloc, &err));
    for (size_t i = 0; i < s->n_meta; i++) mt_writer_add_meta(w, &s->meta[i]);
    add_safe(w, s);
    const mote_status st = is_gguf ? mt_gguf_write(w, out_path("x.gguf"), &(mt_write_opts){ .split_bytes = 1000 }, &err)
                                   : mt_safetensors_write(w, out_path("x.safetensors"), NULL, &err);
    mt_writer_close(w);
    return st;
}

static void test_memory(void **state)
{
    (void)state;
    mt_source *s = open_source(golden("golden/write/plain.gguf"));
    for (int is_gguf = 0; is_gguf < 2; is_gguf++) {
        for (size_t n = 1;; n++) {
            fail_alloc fa;
            const mote_status st = with_alloc(s, fail_alloc_init(&fa, n, false), is_gguf);
            fail_alloc_check(&fa);
            if (fa.calls < n) {
                assert_int_equal(st, MOTE_OK);
                assert_true(n > 4);
                break;
            }
            assert_int_equal(st, MOTE_ENOMEM);
            expect_files(0);
        }
        empty(NULL);
    }
    mt_source_close(s);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_copies, empty),       cmocka_unit_test_teardown(test_conversions, empty),
        cmocka_unit_test_teardown(test_split, empty),        cmocka_unit_test_teardown(test_safetensors, empty),
        cmocka_unit_test_teardown(test_json_strings, empty), cmocka_unit_test_teardown(test_made_rows, empty),
        cmocka_unit_test_teardown(test_keys, empty),         cmocka_unit_test_teardown(test_mode, empty),
        cmocka_unit_test_teardown(test_refusals, empty),
        cmocka_unit_test_teardown(test_cancel, empty),       cmocka_unit_test_teardown(test_full, empty),
        cmocka_unit_test_teardown(test_memory, empty),
    };
    snprintf(folder, sizeof folder, "/tmp/mote_write_XXXXXX");
    if (!mkdtemp(folder)) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}

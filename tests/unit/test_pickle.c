/* SPDX-License-Identifier: MIT */
/* test_pickle.c - PyTorch's files: zip and legacy by torch.save itself bit for bit, pickles that ask for
 * anything but tensors, zip archives that say two things, budgets, truncations, failing memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file/parts.h"
#include "unit/fail_alloc.h"
#include "unit/golden_text.h"

static const char legacy_head[] = "\x80\2\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
                                  "\x80\2M\xe9\3."
                                  "\x80\2}q\0(X\x0d\0\0\0little_endian\x88u.";

/* ---- by torch.save ------------------------------------------------------------------ */

static mt_source *open_golden(const char *name)
{
    char path[512];
    mt_source *s;
    mote_error err = { 0 };
    golden_path(path, sizeof path, name);
    if (mt_source_open(&s, path, NULL, &err) != MOTE_OK) fail_msg("%s: %s", name, err.text);
    assert_string_equal(s->format, "pytorch");
    assert_true(s->is_foreign);
    return s;
}

static void test_golden(void **state)
{
    (void)state;
    static const struct { const char *file, *list; size_t n; } row[] = {
        { "torch_zip.pth", "torch_zip.txt", 29 }, { "torch_legacy.pth", "torch_zip.txt", 29 },
        { "torch_nested.pt", "torch_nested.txt", 3 }, { "torch_bin", "torch_bin.txt", 3 },
        { "torch_legacy4.pt", "torch_nested.txt", 3 },
    };
    char path[512];
    for (size_t i = 0; i < MT_COUNT(row); i++) {
        mt_source *s = open_golden(row[i].file);
        assert_int_equal(golden_compare(s, golden_path(path, sizeof path, row[i].list)), row[i].n);
        mt_source_close(s);
    }
}

/* What views a storage row by row lies in the mapping; anything else is made, in whatever pieces. */
static void test_made(void **state)
{
    (void)state;
    mt_source *s = open_golden("torch_zip.pth");
    const mt_tensor *whole = mt_source_tensor(s, "whole"), *t = mt_source_tensor(s, "transposed");
    const mt_tensor *tied = mt_source_tensor(s, "tied"), *rows = mt_source_tensor(s, "rows");
    assert_true(whole->data && whole->data == tied->data && rows->data == whole->data + 2 * 8 * 4);
    assert_true(!t->data && t->make && t->bytes == whole->bytes);
    for (size_t i = 0; i < s->n_tensor; i++) {
        t = &s->tensor[i];
        const int64_t n = mt_tensor_count(t) / t->ne[0];
        const size_t row = mt_row_bytes(t->type, t->ne[0]);
        uint8_t *all = malloc(t->bytes), *some = malloc(t->bytes);
        assert_true(all && some);
        const uint8_t *want = mt_tensor_rows(t, 0, n, all);
        for (int64_t first = 0; first < n; first++)
            for (int64_t k = 1; k <= n - first; k++)
                assert_memory_equal(mt_tensor_rows(t, first, k, some), want + (size_t)first * row, (size_t)k * row);
        free(all);
        free(some);
    }
    mt_source_close(s);
}

/* ---- by hand ------------------------------------------------------------------------------- */

/* A zip archive with data.pkl and a storage "0" of 24 bytes. */
typedef struct archive {
    uint8_t p[1 << 18];
    char    directory[4096];
    size_t  n, n_directory, at[4];      /* at: of local headers */
    int     count;
} archive;
static archive zip;

static uint32_t crc_of(const uint8_t *p, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
    return ~crc;
}

static uint8_t *number(uint8_t *p, uint32_t value, int n)
{
    for (int i = 0; i < n; i++) *p++ = (uint8_t)(value >> (8 * i));
    return p;
}

/* From the version on, to the lengths of the names. */
static uint8_t *common(uint8_t *p, uint32_t crc, uint32_t n, uint32_t n_name)
{
    p = number(number(number(p, 20, 2), 0, 2), 0, 2);
    p = number(number(number(p, 0, 4), crc, 4), n, 4);
    return number(number(number(p, n, 4), n_name, 2), 0, 2);
}

static void zip_start(void) { memset(&zip, 0, sizeof zip); }

static void zip_add(const char *name, const void *data, size_t n)
{
    const uint32_t crc = crc_of(data, n), n_name = (uint32_t)strlen(name);
    zip.at[zip.count & 3] = zip.n;
    uint8_t *d = (uint8_t *)zip.directory + zip.n_directory;
    d = common(number(number(d, 0x02014B50, 4), 20, 2), crc, (uint32_t)n, n_name);
    d = number(number(number(number(d, 0, 2), 0, 4), 0, 4), (uint32_t)zip.n, 4);
    memcpy(d, name, n_name);
    zip.n_directory = (size_t)(d + n_name - (uint8_t *)zip.directory);
    uint8_t *p = common(number(zip.p + zip.n, 0x04034B50, 4), crc, (uint32_t)n, n_name);
    memcpy(p, name, n_name);
    memcpy(p + n_name, data, n);
    zip.n = (size_t)(p + n_name + n - zip.p);
    zip.count++;
}

static void zip_end(void)
{
    const size_t at = zip.n;
    memcpy(zip.p + zip.n, zip.directory, zip.n_directory);
    zip.n += zip.n_directory;
    uint8_t *p = number(number(zip.p + zip.n, 0x06054B50, 4), 0, 4);
    p = number(number(p, (uint32_t)zip.count, 2), (uint32_t)zip.count, 2);
    p = number(number(number(p, (uint32_t)zip.n_directory, 4), (uint32_t)at, 4), 0, 2);
    zip.n = (size_t)(p - zip.p);
}

static void zip_of(const void *pickle, size_t n)
{
    static const uint8_t values[24] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    zip_start();
    zip_add("x/data.pkl", pickle, n);
    zip_add("x/data/0", values, sizeof values);
    zip_end();
}

static mote_status read_bytes(const void *bytes, size_t n, mt_source *s, mote_error *err)
{
    uint8_t *p = malloc(n ? n : 1);
    assert_non_null(p);
    memcpy(p, bytes, n);
    *s = (mt_source){ .map = { p, n }, .path = "input" };
    mt_arena_init(&s->arena, NULL, 4096);
    return mt_source_read(s, err);
}

static void drop(mt_source *s)
{
    free((void *)(uintptr_t)(s->n_shard ? s->shard[0].map.data : s->map.data));
    mt_arena_reset(&s->arena);
}

static void expect_bytes(const char *what, const void *p, size_t n, mote_status want, const char *words)
{
    mt_source s;
    mote_error err = { 0 };
    const mote_status st = read_bytes(p, n, &s, &err);
    if (st != want || (want && !strstr(err.text, words)))
        fail_msg("%s: %s, \"%s\": expected %s, %s", what, mote_status_name(st), err.text, mote_status_name(want),
                 words);
    drop(&s);
}

/* The pickle is refused in both containers with these words. */
static void refuse(const char *what, const char *pickle, size_t n, mote_status want, const char *words)
{
    static char legacy[1 << 17];
    zip_of(pickle, n);
    expect_bytes(what, zip.p, zip.n, want, words);
    const size_t head = sizeof legacy_head - 1;
    memcpy(legacy, legacy_head, head);
    memcpy(legacy + head, pickle, n);
    expect_bytes(what, legacy, head + n, want, words);
}
#define REFUSE(pickle, want, words) refuse(#pickle, pickle, sizeof(pickle) - 1, want, words)

#define TENSOR_OF(storage, n) \
    "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\n" storage "\nX\1\0\0\0" "0" "X\3\0\0\0cpuK" n "tQ"
#define TENSOR TENSOR_OF("FloatStorage", "\6")
#define HOOKS  "\x89" "ccollections\nOrderedDict\n)R"
#define NAMED  "\x80\2}X\1\0\0\0w"

static void test_by_hand(void **state)
{
    (void)state;
    static const char good[] = NAMED TENSOR "K\0K\2K\3\x86K\3K\1\x86" HOOKS "tRs.";
    mt_source s;
    zip_of(good, sizeof good - 1);
    assert_int_equal(read_bytes(zip.p, zip.n, &s, NULL), MOTE_OK);
    assert_true(s.n_tensor == 1 && s.tensor[0].ne[0] == 3 && s.tensor[0].ne[1] == 2 && s.tensor[0].bytes == 24);
    drop(&s);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void test_names(void **state)
{
    (void)state;
    REFUSE("\x80\2cposix\nsystem\nX\2\0\0\0id\x85R.", MOTE_EUNSUPPORTED, "posix.system");
    REFUSE("\x80\2cos\nsystem\nX\2\0\0\0id\x85R.", MOTE_EUNSUPPORTED, "os.system");
    REFUSE("\x80\2c__builtin__\neval\nX\1\0\0\0" "1\x85R.", MOTE_EUNSUPPORTED, "__builtin__.eval");
    REFUSE("\x80\2cbuiltins\ngetattr\nN.", MOTE_EUNSUPPORTED, "builtins.getattr");
    REFUSE("\x80\2cbuiltins\nexec\n0N.", MOTE_EUNSUPPORTED, "builtins.exec");       /* not even dropped */
    REFUSE("\x80\4\x8c\2os\x8c\6system\x93\x8c\2id\x85R.", MOTE_EUNSUPPORTED, "os.system");
    REFUSE("\x80\2csubprocess\nPopen\n).", MOTE_EUNSUPPORTED, "subprocess.Popen");
    REFUSE("\x80\2ctorch\nload\n).", MOTE_EUNSUPPORTED, "torch.load");
    REFUSE("\x80\2ctorch._utils\n_rebuild_tensor_v2.__globals__\n).", MOTE_EUNSUPPORTED,
           "_rebuild_tensor_v2.__globals__");
    REFUSE("\x80\2ctorch._utils\n_rebuild_sparse_tensor\n).", MOTE_EUNSUPPORTED, "_rebuild_sparse_tensor");
    REFUSE("\x80\2ctorch.storage\n_load_from_bytes\n).", MOTE_EUNSUPPORTED, "_load_from_bytes");
    REFUSE("\x80\2cnumpy.core.multiarray\n_reconstruct\n).", MOTE_EUNSUPPORTED, "numpy.core.multiarray._reconstruct");
    REFUSE("\x80\2ctorch \nSize\n).", MOTE_EUNSUPPORTED, "torch .Size");
    REFUSE("\x80\2ctorch\nSize \n).", MOTE_EUNSUPPORTED, "torch.Size ");
    REFUSE("\x80\2ctorch\nComplexFloatStorage\n).", MOTE_EUNSUPPORTED, "ComplexFloatStorage");
    REFUSE("(S'id'\nios\nsystem\n.", MOTE_EUNSUPPORTED, "STRING");
    REFUSE("(ios\nsystem\n.", MOTE_EUNSUPPORTED, "os.system");
    REFUSE("\x80\2(cos\nsystem\no.", MOTE_EUNSUPPORTED, "os.system");
    REFUSE("\x80\2(No.", MOTE_EUNSUPPORTED, "OBJ");
}

static void test_instructions(void **state)
{
    (void)state;
    REFUSE("\x80\2\x82\1.", MOTE_EUNSUPPORTED, "EXT1");
    REFUSE("\x80\2\x83\1\0.", MOTE_EUNSUPPORTED, "EXT2");
    REFUSE("\x80\2\x84\1\0\0\0.", MOTE_EUNSUPPORTED, "EXT4");
    REFUSE("\x80\2ccollections\nOrderedDict\n)\x81.", MOTE_EUNSUPPORTED, "NEWOBJ");
    REFUSE("\x80\4ccollections\nOrderedDict\n)}\x92.", MOTE_EUNSUPPORTED, "NEWOBJ_EX");
    REFUSE("\x80\2ctorch\nSize\n}b.", MOTE_EUNSUPPORTED, "BUILD");
    REFUSE("\x80\2ctorch._utils\n_rebuild_tensor_v2\n}b.", MOTE_EUNSUPPORTED, "BUILD");
    REFUSE("P1\n.", MOTE_EUNSUPPORTED, "PERSID");
    REFUSE("\x80\5\x97.", MOTE_EUNSUPPORTED, "NEXT_BUFFER");
    REFUSE("\x80\2\xff.", MOTE_EFORMAT, "instruction 0xff is unknown");
    REFUSE("\x80\6N.", MOTE_EFORMAT, "a protocol above 5");
    REFUSE("\x80\2ctorch\nfloat32\n)R.", MOTE_EFORMAT, "a call of a type");
    REFUSE("\x80\2N)R.", MOTE_EFORMAT, "a call of something that is no name");
    REFUSE("\x80\2NQ.", MOTE_EFORMAT, "no storage");
    REFUSE("\x80\2h\1.", MOTE_EFORMAT, "recalls");
    REFUSE("\x80\2r\xff\xff\xff\xff.", MOTE_EFORMAT, "nothing to remember");
    REFUSE("\x80\2Nr\xff\xff\xff\xff.", MOTE_EFORMAT, "remembers more than");
    REFUSE("\x80\2t.", MOTE_EFORMAT, "no mark");
    REFUSE("\x80\2(.", MOTE_EFORMAT, "other than one value");
    REFUSE("\x80\2NN.", MOTE_EFORMAT, "other than one value");
    REFUSE("\x80\2}Ns.", MOTE_EFORMAT, "");
    REFUSE("\x80\2(Nu.", MOTE_EFORMAT, "without their container");
    REFUSE("\x80\2}(Nu.", MOTE_EFORMAT, "without their container");
    REFUSE("\x80\2X\xff\xff\xff\xff", MOTE_EFORMAT, "ends inside a string");
    REFUSE("\x80\2\x8d\xff\xff\xff\xff\xff\xff\xff\xff", MOTE_EFORMAT, "more than 4 GiB");
    REFUSE("\x80\4\x95\xff\0\0\0\0\0\0\0N.", MOTE_EFORMAT, "a frame beyond its end");
    REFUSE("\x80\2N", MOTE_EFORMAT, "ends");
    REFUSE("\x80\2c", MOTE_EFORMAT, "a name without end");
    zip_of("\x80\2N.", 4);
    expect_bytes("None", zip.p, zip.n, MOTE_EFORMAT, "expected a dictionary of tensors");
    zip_of("\x80\2}.", 4);
    expect_bytes("{}", zip.p, zip.n, MOTE_EFORMAT, "expected a dictionary of tensors, found none");
}

static void refuse_tensor(const char *pickle, size_t n, const char *words)
{
    zip_of(pickle, n);
    expect_bytes(words, zip.p, zip.n, MOTE_EFORMAT, words);
}
#define REFUSE_TENSOR(pickle, words) refuse_tensor(pickle, sizeof(pickle) - 1, words)

static void test_tensors(void **state)
{
    (void)state;
    REFUSE_TENSOR(NAMED TENSOR "K\1K\2K\3\x86K\3K\1\x86" HOOKS "tRs.", "outside their storage");
    REFUSE_TENSOR(NAMED TENSOR "K\0K\2K\4\x86K\4K\1\x86" HOOKS "tRs.", "outside their storage");
    REFUSE_TENSOR(NAMED TENSOR "K\0K\2K\3\x86K\4K\1\x86" HOOKS "tRs.", "outside their storage");
    REFUSE_TENSOR(NAMED TENSOR "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\2K\3\x86K\4K\1\x86" HOOKS "tRs.", "outside");
    REFUSE_TENSOR(NAMED TENSOR "K\0K\2\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x3f\x86K\4K\1\x86" HOOKS "tRs.",
                  "expected a product");
    REFUSE_TENSOR(NAMED TENSOR "K\0K\2K\3\x86\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7fK\1\x86" HOOKS "tRs.", "outside");
    REFUSE_TENSOR(NAMED TENSOR "K\0K\2K\3\x86K\0K\1\x86" HOOKS "tRs.", "stride 0");
    REFUSE_TENSOR(NAMED TENSOR "K\0K\2K\3\x86J\xff\xff\xff\xffK\1\x86" HOOKS "tRs.", "without storage, size");
    REFUSE_TENSOR(NAMED TENSOR "J\xff\xff\xff\xffK\2K\3\x86K\3K\1\x86" HOOKS "tRs.", "without storage, size");
    REFUSE_TENSOR(NAMED TENSOR "K\0K\2K\3\x86K\3\x85" HOOKS "tRs.", "without storage, size");
    REFUSE_TENSOR(NAMED TENSOR_OF("FloatStorage", "\7") "K\0K\2K\3\x86K\3K\1\x86" HOOKS "tRs.",
                  "expected 7 values of F32");
    REFUSE_TENSOR(NAMED TENSOR_OF("DoubleStorage", "\6") "K\0K\2K\3\x86K\3K\1\x86" HOOKS "tRs.",
                  "expected 6 values of F64");
    REFUSE_TENSOR("\x80\2}N" TENSOR "K\0K\2K\3\x86K\3K\1\x86" HOOKS "tRs.", "names of tensors to be text");
}

/* ---- zip ---------------------------------------------------------------------------------------- */

static const char one[] = NAMED TENSOR "K\0K\2K\3\x86K\3K\1\x86" HOOKS "tRs.";

/* A good archive with one number changed, in the local header or the directory. */
static void refuse_edit(size_t at, uint32_t value, int width, const char *words)
{
    zip_of(one, sizeof one - 1);
    number(zip.p + at, value, width);
    expect_bytes(words, zip.p, zip.n, MOTE_EFORMAT, words);
}

static void test_zip(void **state)
{
    (void)state;
    zip_of(one, sizeof one - 1);
    const size_t size = zip.n, end = size - 22, directory = end - zip.n_directory, second = zip.at[1];
    expect_bytes("good", zip.p, size, MOTE_OK, "");
    refuse_edit(directory + 8, 1, 2, "encrypted");
    refuse_edit(directory + 10, 8, 2, "compressed");
    refuse_edit(directory + 16, 7, 4, "disagree");
    refuse_edit(directory + 20, 7, 4, "compressed");
    refuse_edit(directory + 42, 1, 4, "before its first member");
    refuse_edit(directory + 46, 'y', 1, "disagree");
    refuse_edit(directory + 46, '/', 1, "a relative path");
    refuse_edit(directory + 46, 0, 1, "a relative path");
    refuse_edit(directory, 0, 1, "an entry of its directory");
    refuse_edit(0 + 6, 8, 2, "disagree");
    refuse_edit(0 + 8, 8, 2, "disagree");
    refuse_edit(0 + 14, 7, 4, "disagree about its size");
    refuse_edit(0 + 26, 9, 2, "disagree");
    refuse_edit(0 + 28, 1, 2, "");
    refuse_edit(second, 0, 1, "no header where the directory says");
    refuse_edit(end + 8, 1, 2, "several disks");
    refuse_edit(end + 12, 7, 4, "not where its end says");
    refuse_edit(end + 16, 7, 4, "not where its end says");
    refuse_edit(end + 20, 1, 2, "several disks or a comment");
    refuse_edit(45, 'N', 1, "its sum is");
    zip_of(one, sizeof one - 1);
    memmove(zip.p + 1, zip.p, size);
    zip.p[0] = 'P';
    expect_bytes("shifted", zip.p, size + 1, MOTE_EFORMAT, "");
    zip_start();
    zip_add("x/data.pkl", one, sizeof one - 1);
    zip_add("x/data/0", "abc", 3);
    zip_add("x/data/0", "abc", 3);
    zip_end();
    expect_bytes("twice", zip.p, zip.n, MOTE_EFORMAT, "appears twice");
    zip_start();
    zip_add("x/data.pkl", one, sizeof one - 1);
    zip_add("x/../data/0", "abc", 3);
    zip_end();
    expect_bytes("..", zip.p, zip.n, MOTE_EFORMAT, "a relative path without '..'");
    zip_start();
    zip_add("x/data.pkl", one, sizeof one - 1);
    zip_end();
    expect_bytes("no storage", zip.p, zip.n, MOTE_EFORMAT, "no such member");
    zip_start();
    zip_add("x/word/document.xml", "abc", 3);
    zip_end();
    expect_bytes("another", zip.p, zip.n, MOTE_EFORMAT, "without the data.pkl");
    zip_start();
    zip_add("x/data.pkl", one, sizeof one - 1);
    zip_add("x/byteorder", "big", 3);
    zip_end();
    expect_bytes("big", zip.p, zip.n, MOTE_EUNSUPPORTED, "another byte order");
}

static void test_truncated(void **state)
{
    (void)state;
    static const char *const name[] = { "torch_zip.pth", "torch_legacy.pth" };
    for (size_t i = 0; i < MT_COUNT(name); i++) {
        char path[512];
        mt_map map;
        assert_int_equal(mt_map_open(&map, golden_path(path, sizeof path, name[i]), NULL), MOTE_OK);
        for (size_t n = 16; n < map.size; n += 1 + n % 3) expect_bytes(name[i], map.data, n, MOTE_EFORMAT, "");
        mt_map_close(&map);
    }
}

/* ---- budgets -------------------------------------------------------------------------------------- */

/* A pickle of n times the same instructions is refused within 8 bytes of memory for each of its own and
 * 64 MiB; the words tell by which budget. */
static void bomb(const char *start, size_t n_start, const char *step, size_t n_step, size_t n, const char *words)
{
    const size_t size = n_start + n * n_step + 1;
    uint8_t *p = malloc(size + 15);
    assert_non_null(p);
    const size_t head = sizeof legacy_head - 1;
    p = realloc(p, head + size);
    assert_non_null(p);
    memcpy(p, legacy_head, head);
    memcpy(p + head, start, n_start);
    for (size_t i = 0; i < n; i++) memcpy(p + head + n_start + i * n_step, step, n_step);
    p[head + size - 1] = '.';
    fail_alloc fa;
    mt_source s = { .map = { p, head + size }, .path = "input" };
    mote_error err = { 0 };
    mt_arena_init(&s.arena, fail_alloc_init(&fa, 0, false), 4096);
    const mote_status st = mt_source_read(&s, &err);
    if (st != MOTE_EFORMAT || !strstr(err.text, words)) fail_msg("%s: expected %s", err.text, words);
    assert_true(fa.peak <= 8 * (head + size) + (64 << 20));
    drop(&s);
    fail_alloc_check(&fa);
}

static void test_bombs(void **state)
{
    (void)state;
    bomb("\x80\2", 2, "N", 1, 70000, "its stack is deeper");
    bomb("\x80\2", 2, "(", 1, 70000, "its stack is deeper");
    bomb("\x80\2", 2, "]0", 2, 5 << 20, "memory");
    bomb("\x80\2)", 3, "0)", 2, 5 << 20, "memory");
    bomb("\x80\2]", 3, "Na", 2, 5 << 20, "memory");
    bomb("\x80\2Nq\0000]", 6, "(h\0h\0h\0h\0h\0h\0h\0h\0e", 18, 1 << 20, "");
    bomb("\x80\2", 2, "\x94", 1, 10, "nothing to remember");
    bomb("\x80\4N", 3, "\x94N0", 3, 2 << 20, "remembers more than");
    /* a dictionary that holds itself */
    zip_of("\x80\2}q\1X\1\0\0\0ah\1s.", 15);
    expect_bytes("itself", zip.p, zip.n, MOTE_EFORMAT, "nested deeper than 16");
    /* dictionaries that hold the next one many times: 64^15 values */
    static char wide[1 << 16];
    size_t n = 0;
    n += (size_t)sprintf(wide + n, "\x80\2}0}q%c", 1);
    for (int level = 2; level < 15; level++) {
        n += (size_t)sprintf(wide + n, "0}q%c(", level);
        for (int i = 0; i < 64; i++) {
            memcpy(wide + n, "X\2\0\0\0", 5);
            n += 5;
            n += (size_t)sprintf(wide + n, "%c%ch%c", 'a' + i % 8, 'a' + i / 8, level - 1);
        }
        wide[n++] = 'u';
    }
    wide[n++] = '.';
    zip_of(wide, n);
    expect_bytes("wide", zip.p, zip.n, MOTE_EFORMAT, "more than 4194304 values");
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char *const name[] = { "torch_zip.pth", "torch_legacy.pth", "torch_bin" };
    for (size_t i = 0; i < MT_COUNT(name); i++)
        for (int keep = 0; keep < 2; keep++)
            for (size_t n = 1;; n++) {
                char path[512];
                fail_alloc fa;
                mt_source *s;
                mote_error err = { 0 };
                golden_path(path, sizeof path, name[i]);
                const mote_status st = mt_source_open(&s, path, fail_alloc_init(&fa, n, keep), &err);
                if (fa.calls >= n) assert_int_equal(st, MOTE_ENOMEM), assert_true(strlen(err.text) > 10);
                mt_source_close(s);
                fail_alloc_check(&fa);
                if (fa.calls >= n) continue;
                assert_int_equal(st, MOTE_OK);
                break;
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),       cmocka_unit_test(test_made),      cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_instructions), cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_zip),          cmocka_unit_test(test_truncated), cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

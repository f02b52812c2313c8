/* SPDX-License-Identifier: MIT */
/* test_split_gguf.c - a model in four files by the gguf package (tests/golden/make_write.py) is the
 * same as in one, whichever is opened; sets with missing, foreign and damaged parts are refused. */
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

#include "file/gguf_write.h"
#include "unit/fail_alloc.h"

static char folder[64];
static mote_error err;

static const char *golden(const char *name)
{
    static char path[1024];
    const char *root = getenv("MOTE_SOURCE");
    snprintf(path, sizeof path, "%s/tests/golden/%s", root ? root : ".", name);
    return path;
}

static const char *in_folder(const char *name)
{
    static char path[2][512];
    static int turn;
    snprintf(path[turn ^= 1], sizeof *path, "%s/%s", folder, name);
    return path[turn];
}

static const char *part_name(int i)
{
    static char name[2][64];
    static int turn;
    snprintf(name[turn ^= 1], sizeof *name, "split-0000%d-of-00004.gguf", i);
    return name[turn];
}

static void remove_one(void *user, const char *name)
{
    (void)user;
    mt_file_remove(in_folder(name));
}

static int empty(void **state)
{
    (void)state;
    mt_folder_each(folder, remove_one, NULL);
    return 0;
}

static void copy_file(const char *from, const char *to)
{
    mt_map m;
    if (mt_map_open(&m, from, &err) != MOTE_OK) fail_msg("%s", err.text);
    FILE *f = fopen(to, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(m.data, 1, m.size, f), m.size);
    fclose(f);
    mt_map_close(&m);
}

static void copy_set(void)
{
    char from[128];
    for (int i = 1; i <= 4; i++) {
        snprintf(from, sizeof from, "write/%s", part_name(i));
        copy_file(golden(from), in_folder(part_name(i)));
    }
}

/* ---- the whole ---------------------------------------------------------------------- */

static void expect_equal(const mt_source *a, const mt_source *b)
{
    assert_int_equal(a->n_tensor, b->n_tensor);
    for (size_t i = 0; i < a->n_tensor; i++) {
        const mt_tensor *t = &a->tensor[i], *u = mt_source_tensor(b, t->name);
        assert_non_null(u);
        assert_true(t->type == u->type && t->n_dim == u->n_dim && t->bytes == u->bytes);
        assert_memory_equal(t->ne, u->ne, sizeof t->ne);
        assert_memory_equal(t->data, u->data, t->bytes);
        mt_verified("GGUF in several files", "tensors of the whole",
                    "the same model in one file, by gguf 0.19", 1);
    }
}

static void test_whole(void **state)
{
    (void)state;
    mt_source *whole, *s;
    mt_str text;
    assert_int_equal(mt_source_open(&whole, golden("write/plain.gguf"), NULL, &err), MOTE_OK);
    copy_set();
    for (int i = 1; i <= 4; i++) {
        if (mt_source_open(&s, in_folder(part_name(i)), NULL, &err) != MOTE_OK) fail_msg("%s", err.text);
        assert_true(mt_meta_str(s, "general.architecture", &text) && mt_str_is(text, "test"));
        assert_int_equal(mt_source_meta(s, "words")->n, 2);
        assert_int_equal(s->n_shard, 4);
        assert_null(s->map.data);
        size_t data = 0;
        for (size_t k = 0; k < 4; k++) {
            assert_string_equal(s->shard[k].path, in_folder(part_name((int)k + 1)));
            data += s->shard[k].map.size - s->shard[k].head_bytes;
        }
        assert_int_equal(data, s->data_bytes);
        expect_equal(whole, s);
        for (size_t k = 0; k < s->n_tensor; k++) mt_source_forget(s, s->tensor[k].data, s->tensor[k].bytes);
        expect_equal(s, whole);             /* the file gives them again */
        mt_source_close(s);
    }
    mt_source_close(whole);
}

/* Cut by our own writer, read, and written as one again. */
static void test_there_and_back(void **state)
{
    (void)state;
    mt_source *s;
    mt_map a, b;
    assert_int_equal(mt_source_open(&s, golden("llama_gqa.gguf"), NULL, &err), MOTE_OK);
    for (int turn = 0; turn < 2; turn++) {
        mt_writer *w;
        assert_int_equal(mt_writer_open(&w, NULL, &err), MOTE_OK);
        for (size_t i = 0; i < s->n_meta; i++) mt_writer_add_meta(w, &s->meta[i]);
        for (size_t i = 0; i < s->n_tensor; i++)
            mt_writer_add_tensor(w, s->tensor[i].name, s->tensor[i].type, s->tensor[i].n_dim, s->tensor[i].ne, &s->tensor[i]);
        const mt_write_opts o = { .source = s, .split_bytes = turn ? 0 : s->data_bytes / 7 };
        if (mt_gguf_write(w, in_folder("m.gguf"), &o, &err) != MOTE_OK) fail_msg("%s", err.text);
        mt_writer_close(w);
        mt_source_close(s);
        if (turn) break;
        s = NULL;
        for (int n = 2; n < 40 && !s; n++) {
            char name[64];
            snprintf(name, sizeof name, "m-00002-of-%05d.gguf", n);
            mt_source_open(&s, in_folder(name), NULL, NULL);
        }
        assert_true(s && s->n_shard >= 5);
    }
    assert_int_equal(mt_map_open(&a, in_folder("m.gguf"), &err), MOTE_OK);
    assert_int_equal(mt_map_open(&b, golden("llama_gqa.gguf"), &err), MOTE_OK);
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
    mt_map_close(&a);
    mt_map_close(&b);
}

/* ---- what must be refused --------------------------------------------------------------- */

static void refuse(int part, mote_status want, const char *words)
{
    mt_source *s;
    err = (mote_error){ MOTE_OK, "" };
    const mote_status found = mt_source_open(&s, in_folder(part_name(part)), NULL, &err);
    assert_null(s);
    if (found != want || found != err.code || !strstr(err.text, words))
        fail_msg("expected %s with \"%s\", found %s: %s", mote_status_name(want), words, mote_status_name(found), err.text);
    empty(NULL);
    copy_set();
}

/* Changes the value of a key that stands in the file; or, behind a text, the bytes there. */
static void patch(int part, const char *text, size_t behind, const char *bytes, size_t n)
{
    static char content[1 << 16];
    FILE *f = fopen(in_folder(part_name(part)), "r+b");
    assert_non_null(f);
    const size_t size = fread(content, 1, sizeof content, f), n_text = strlen(text);
    for (size_t i = 0; i + n_text <= size; i++)
        if (memcmp(content + i, text, n_text) == 0) {
            fseek(f, (long)(i + n_text + behind), SEEK_SET);
            fwrite(bytes, 1, n, f);
            fclose(f);
            return;
        }
    fail_msg("%s is not in part %d", text, part);
}

static void test_refusals(void **state)
{
    (void)state;
    copy_set();
    mt_file_remove(in_folder(part_name(3)));
    refuse(1, MOTE_EIO, "part 3 of 4 of the model is not there: ");
    copy_file(in_folder(part_name(3)), in_folder(part_name(2)));
    refuse(1, MOTE_EFORMAT, "00002-of-00004.gguf: expected part 2 of 4 with 9 tensors in all, found part 3 of 4 with 9");
    copy_file(golden("write/plain.gguf"), in_folder(part_name(2)));
    refuse(4, MOTE_EFORMAT, "expected part 2 of 4 with 9 tensors in all, found part 1 of 1 with 9");
    copy_file(golden("make_write.py"), in_folder(part_name(4)));
    refuse(2, MOTE_EFORMAT, "00004-of-00004.gguf: expected ");
    copy_file(golden("write/plain.gguf"), in_folder(part_name(1)));
    copy_file(golden("write/split-00002-of-00004.gguf"), in_folder("renamed.gguf"));
    mt_source *s;
    assert_int_equal(mt_source_open(&s, in_folder("renamed.gguf"), NULL, &err), MOTE_EFORMAT);
    assert_non_null(strstr(err.text, "it is part 2 of 4, which are found by name: expected one that ends with -00002-of-00004.gguf"));
    refuse(2, MOTE_EFORMAT, "expected part 1 of 4");
    patch(2, "split.count", 4, "\0\0", 2);
    refuse(2, MOTE_EFORMAT, "split.count is 0, expected 1 to 1024");
    patch(2, "split.count", 4, "\xFF\xFF", 2);
    refuse(2, MOTE_EFORMAT, "split.count is 65535, expected 1 to 1024");
    patch(2, "split.no", 4, "\4\0", 2);
    refuse(2, MOTE_EFORMAT, "split.no is 4, expected 0 to 3");
    patch(2, "split.tensors.count", 4, "\xFF\xFF\xFF\xFF", 4);
    refuse(2, MOTE_EFORMAT, "split.tensors.count is -1");
    patch(2, "split.tensors.count", 4, "\xFF\xFF\xFF\x7F", 4);
    refuse(2, MOTE_EFORMAT, "expected 0 to 1048576");
    patch(2, "split.tensors.count", 4, "\12\0\0\0", 4);
    refuse(2, MOTE_EFORMAT, "expected part 1 of 4 with 10 tensors in all, found part 1 of 4 with 9");
    for (int i = 1; i <= 4; i++) patch(i, "split.tensors.count", 4, "\0\0\x10\0", 4);
    refuse(1, MOTE_EFORMAT, "its 4 parts have 9 tensors, split.tensors.count is 1048576");
    for (int i = 1; i <= 4; i++) patch(i, "split.tensors.count", 4, "\10\0\0\0", 4);
    refuse(3, MOTE_EFORMAT, "its 4 parts have 9 tensors, split.tensors.count is 8");
    patch(3, "Q4_0.weight", (size_t)-4, "ight", 4);     /* no change */
    patch(1, "nasty", (size_t)-5, "three", 5);
    refuse(1, MOTE_EFORMAT, "tensor three.weight appears twice");
    assert_int_equal(truncate(in_folder(part_name(2)), 20000), 0);
    refuse(1, MOTE_EFORMAT, "00002-of-00004.gguf: ");
    patch(3, "GGUF", 0, "\0\0\0\3", 4);
    refuse(1, MOTE_EUNSUPPORTED, "found a big-endian one (version 3)");
}

/* Puts a general.name in front of a part's other keys; behind it the data moves by a block of padding. */
static void give_name(int part, const char *name)
{
    static char content[1 << 16];
    const size_t n_name = strlen(name);
    FILE *f = fopen(in_folder(part_name(part)), "rb");
    const size_t n = fread(content, 1, sizeof content, f);
    fclose(f);
    f = fopen(in_folder(part_name(part)), "wb");
    content[16]++;                                          /* keys */
    fwrite(content, 1, 24, f);
    fwrite("\14\0\0\0\0\0\0\0general.name\10\0\0\0", 1, 24, f);
    fwrite((const char[8]){ (char)n_name }, 1, 8, f);
    fwrite(name, 1, n_name, f);
    fwrite(content + 24, 1, n - 24, f);
    fwrite(content, 1, 64, f);
    fclose(f);
}

static void test_foreign(void **state)
{
    (void)state;
    copy_set();
    give_name(1, "this");
    give_name(4, "that");
    refuse(2, MOTE_EFORMAT, "00004-of-00004.gguf: part of another model: its general.name is \"that\", expected \"this\"");
    give_name(1, "this");
    give_name(4, "this");
    mt_source *s;
    if (mt_source_open(&s, in_folder(part_name(2)), NULL, &err) != MOTE_OK) fail_msg("%s", err.text);
    mt_source_close(s);
}

static void test_memory(void **state)
{
    (void)state;
    copy_set();
    for (size_t n = 1;; n++) {
        fail_alloc fa;
        mt_source *s;
        const mote_status st = mt_source_open(&s, in_folder(part_name(3)), fail_alloc_init(&fa, n, false), &err);
        if (st == MOTE_OK) mt_source_close(s);
        fail_alloc_check(&fa);
        if (fa.calls < n) {
            assert_int_equal(st, MOTE_OK);
            assert_true(n > 4);
            break;
        }
        assert_int_equal(st, MOTE_ENOMEM);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_whole, empty),    cmocka_unit_test_teardown(test_there_and_back, empty),
        cmocka_unit_test_teardown(test_refusals, empty), cmocka_unit_test_teardown(test_foreign, empty),
        cmocka_unit_test_teardown(test_memory, empty),
    };
    snprintf(folder, sizeof folder, "/tmp/mote_split_XXXXXX");
    if (!mkdtemp(folder)) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}

/* SPDX-License-Identifier: MIT */
/* test_hostile.c - whole models from damaged files: truncated, mutated, absurd.
 *
 * Each case goes all the way: open, tokenize, render a chat, encode, decode, measure.  It must end in
 * success or in one sentence; run under the sanitizers it must also touch nothing it should not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mote.h"

static const char *const names[] = {"tiny_q4_1", "tiny_k", "tiny_f32", "bert", "t5_v11", "mixtral", "rwkv4", "gpt2"};
enum { N_NAME = sizeof names / sizeof *names, N_HEADER = 1300 };      /* mutated headers of each */

typedef struct file { uint8_t *bytes; size_t n; } file;

static file slurp(const char *name)
{
    char path[512];
    const char *root = getenv("MOTE_SOURCE");
    snprintf(path, sizeof path, "%s/tests/golden/%s.gguf", root ? root : ".", name);
    FILE *in = fopen(path, "rb");
    if (!in) fail_msg("cannot open %s", path);
    file f = {malloc(1 << 20), 0};
    f.n = fread(f.bytes, 1, 1 << 20, in);
    fclose(in);
    return f;
}

/* A file in memory with a path, reused from case to case. */
static int fd = -1;
static char path[64];

static void write_case(const uint8_t *p, size_t n)
{
    if (fd < 0) {
        fd = memfd_create("case", 0);
        assert_true(fd >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, p, n, 0), (ssize_t)n);
}

static void use_text(mote_model *m)
{
    mote_token t[256];
    char text[1024];
    size_t n;
    mote_error err = {0};
    if (mote_tokenize(m, "Hi <|im_end|> 12 ab\xff", 19, MOTE_TEXT_BOS | MOTE_TEXT_EOS, t, 256, &n, &err) == MOTE_OK) {
        const mote_status st = mote_detokenize(m, t, n, MOTE_TEXT_SPECIAL, text, sizeof text, &n, &err);
        assert_true(st == MOTE_OK || err.text[0]);
    }
    mote_chat c;
    mote_chat_init(&c);
    c.messages = "[{\"role\": \"user\", \"content\": \"Hi <|im_end|>\"}]";
    const mote_status st = mote_chat_tokens(m, &c, t, 256, &n, &err);
    assert_true(st == MOTE_OK || err.text[0]);
}

static mote_status use_net(mote_model *m, mote_error *err)
{
    mote_engine *e = NULL;
    mote_session *s = NULL;
    mote_engine_opts o;
    mote_engine_opts_init(&o);
    mote_model_info info;
    mote_model_describe(m, &info);
    o.n_ctx = info.n_ctx_train > 0 && info.n_ctx_train < 32 ? info.n_ctx_train : 32, o.n_batch = 8;
    mote_status st = mote_engine_open(&e, m, &o, err);
    if (st == MOTE_OK) st = mote_session_open(&s, e, err);
    const mote_token t[] = {1, 2, 3};
    float logprob[2];
    if (st == MOTE_OK && info.has_encoder) st = mote_encode(s, t, NULL, 3, MOTE_WANT_HIDDEN, err);
    if (st == MOTE_OK && info.has_decoder) st = mote_decode(s, t, 3, MOTE_WANT_BEST, err);
    if (st == MOTE_OK && info.has_decoder) st = mote_measure(s, t, 3, logprob, err);
    mote_session_close(s);
    mote_engine_close(e);
    return st;
}

/* Runs the case; returns the status.  A failure must say something. */
static mote_status run_case(bool says_path)
{
    mote_model *m = NULL;
    mote_error err = {0};
    mote_model_opts o;
    mote_model_opts_init(&o);
    o.n_threads = 1;
    mote_status st = mote_model_open(&m, path, &o, &err);
    if (st == MOTE_OK) {
        use_text(m);
        st = use_net(m, &err);
    }
    mote_model_close(m);
    if (st != MOTE_OK) {
        assert_int_equal(st, err.code);
        assert_true(err.text[0] != '\0');
        assert_null(strchr(err.text, '\n'));
        if (says_path) assert_non_null(strstr(err.text, path));
    }
    return st;
}

static void truncated_files_are_refused(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_NAME; k++) {
        const file f = slurp(names[k]);
        write_case(f.bytes, f.n);
        assert_int_equal(run_case(false), MOTE_OK);
        for (size_t i = 0; i < 334; i++) {
            write_case(f.bytes, f.n * i / 334);
            const mote_status st = run_case(true);
            assert_true(st == MOTE_EFORMAT || st == MOTE_EUNSUPPORTED);
        }
        free(f.bytes);
    }
}

/* One to four edits: a flipped bit, a random byte, a 32- or 64-bit boundary value. */
static void mutate(uint8_t *p, size_t n, uint64_t *seed)
{
#define NEXT() (*seed = *seed * 6364136223846793005u + 1442695040888963407u, (uint32_t)(*seed >> 33))
    static const uint64_t borders[] = {0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
                                       0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff};
    for (uint32_t edits = 1 + NEXT() % 4; edits > 0; edits--) {
        const size_t at = NEXT() % (n - 8);
        const uint64_t v = borders[NEXT() % (sizeof borders / sizeof *borders)];
        switch (NEXT() % 4) {
        case 0: p[at] ^= (uint8_t)(1u << NEXT() % 8); break;
        case 1: p[at] = (uint8_t)NEXT(); break;
        case 2: memcpy(p + at, &v, 4); break;
        default: memcpy(p + at, &v, 8); break;
        }
    }
#undef NEXT
}

/* Where the tensor data begin is near enough: mutations beyond it only change weights. */
static size_t header_bytes(const file *f)
{
    for (size_t i = f->n; i-- > 8;)
        if (memcmp(f->bytes + i - 8, "_norm.we", 8) == 0) return i + 64 < f->n ? i + 64 : f->n;
    return f->n / 2;
}

static void mutated_headers_never_crash(void **state)
{
    (void)state;
    size_t accepted = 0, refused = 0;
    for (size_t k = 0; k < N_NAME; k++) {
        const file f = slurp(names[k]);
        const size_t head = header_bytes(&f);
        uint8_t *p = malloc(f.n);
        for (uint64_t i = 0; i < N_HEADER; i++) {
            uint64_t seed = 20261120 + i;
            memcpy(p, f.bytes, f.n);
            mutate(p, head, &seed);
            write_case(p, f.n);
            *(run_case(false) == MOTE_OK ? &accepted : &refused) += 1;
        }
        free(p);
        free(f.bytes);
    }
    print_message("%zu mutated headers refused, %zu accepted\n", refused, accepted);
    assert_int_equal(refused + accepted, N_NAME * N_HEADER);
    assert_true(refused > 2000);
}

/* Weights are only numbers: any bytes there run, whatever comes out. */
static void mutated_weights_run(void **state)
{
    (void)state;
    for (size_t k = 0; k < N_NAME; k++) {
        const file f = slurp(names[k]);
        const size_t head = header_bytes(&f) + 256;
        for (uint64_t i = 0; i < 50; i++) {
            uint64_t seed = i;
            for (int j = 0; j < 200; j++) mutate(f.bytes + head, f.n - head, &seed);
            write_case(f.bytes, f.n);
            const mote_status st = run_case(false);
            assert_true(st == MOTE_OK || st == MOTE_EFORMAT);   /* rope_freqs may be refused */
        }
        free(f.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncated_files_are_refused),
        cmocka_unit_test(mutated_headers_never_crash),
        cmocka_unit_test(mutated_weights_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

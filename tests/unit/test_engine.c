/* SPDX-License-Identifier: MIT */
/* test_engine.c - the plan and the engine on tiny random models.
 *
 * The oracle is the interpreter; the numeric contract (design: one arithmetic for all batch
 * classes) is tested byte for byte over threads, neighbours, chunks and CPU levels.  Models:
 * of tests/golden, random weights in odd shapes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <glob.h>
#include <math.h>
#include <sys/mman.h>

#include "api/model.h"
#include "plan/interp.h"
#include "plan/stage.h"
#include "unit/fail_alloc.h"

enum { N_PROMPT = 140, MAX_LOGITS = 4096 };

static glob_t models;

static int find_models(void **state)
{
    (void)state;
    char pattern[512];
    const char *root = getenv("MOTE_SOURCE");
    static const char *const names[] = {"tiny_*", "gpt2", "llama3", "llama_gqa", "qwen2", "mixtral", "rwkv4"};
    for (size_t i = 0; i < MT_COUNT(names); i++) {
        snprintf(pattern, sizeof pattern, "%s/tests/golden/%s.gguf", root ? root : ".", names[i]);
        if (glob(pattern, i ? GLOB_APPEND : 0, NULL, &models) != 0) {
            fprintf(stderr, "no model matches %s\n", pattern);
            return -1;
        }
    }
    return 0;
}

static int forget_models(void **state)
{
    (void)state;
    globfree(&models);
    return 0;
}

static void must(mote_status st, const mote_error *err)
{
    if (st != MOTE_OK) fail_msg("%s: %s", mote_status_name(st), err->text);
}

/* n: tokens of a test prompt, no more than the model has positions. */
typedef struct rig { mote_model *m; mote_engine *e; mote_session *s; mote_model_info info; int n; } rig;

static rig open_rig(const char *path, int threads, int n_batch, int n_session, bool exact)
{
    rig r;
    mote_error err;
    mote_model_opts mo;
    mote_model_opts_init(&mo);
    must(mt_pool_open_crowded(&mo.pool, threads, NULL, &err), &err);     /* on any number of cores */
    must(mote_model_open(&r.m, path, &mo, &err), &err);
    mote_pool_close(mo.pool);
    mote_model_describe(r.m, &r.info);
    mote_engine_opts eo;
    mote_engine_opts_init(&eo);
    eo.n_ctx = MT_MIN(128, r.info.n_ctx_train);
    r.n = MT_MIN(N_PROMPT, eo.n_ctx);
    eo.n_batch = n_batch, eo.n_session = n_session, eo.exact = exact;
    must(mote_engine_open(&r.e, r.m, &eo, &err), &err);
    must(mote_session_open(&r.s, r.e, &err), &err);
    return r;
}

static void close_rig(rig *r)
{
    mote_session_close(r->s);
    mote_engine_close(r->e);
    mote_model_close(r->m);
}

/* A fixed text of token ids: neither constant nor periodic. */
static void fill_prompt(mote_token *t, int n, int n_vocab, uint32_t seed)
{
    for (int i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        t[i] = (mote_token)((seed >> 8) % (uint32_t)n_vocab);
    }
}

/* Logits behind the prompt, fed in pieces of `chunk`. */
static void run_chunks(rig *r, const mote_token *t, int n, int chunk, float *out)
{
    mote_error err;
    must(mote_session_rewind(r->s, 0, &err), &err);
    for (int at = 0; at < n; at += chunk) {
        const int take = chunk < n - at ? chunk : n - at;
        must(mote_decode(r->s, t + at, (size_t)take, MOTE_WANT_LAST, &err), &err);
    }
    size_t rows, cols;
    const float *l = mote_output(r->s, &rows, &cols);
    assert_int_equal(rows, 1);
    assert_int_equal(cols, r->info.n_vocab);
    memcpy(out, l, cols * sizeof *out);
}

/* ---- against the interpreter ------------------------------------------------------------------- */

static double compare_to_interp(const char *path, bool exact)
{
    rig r = open_rig(path, 2, 128, 1, exact);
    mote_error err;
    mote_token t[N_PROMPT];
    fill_prompt(t, r.n, r.info.n_vocab, 1);
    must(mote_decode(r.s, t, (size_t)r.n, MOTE_WANT_ALL, &err), &err);
    size_t rows, cols;
    const float *got = mote_output(r.s, &rows, &cols);
    assert_int_equal(rows, r.n);

    mt_interp *it;
    must(mt_interp_open(&it, &r.m->net, NULL, &err), &err);
    must(mt_interp_decode(it, t, r.n, &err), &err);
    int it_rows, it_cols;
    const double *want = mt_interp_value(it, r.m->net.dec.output, &it_rows, &it_cols);
    assert_int_equal(it_rows, r.n);
    assert_int_equal((size_t)it_cols, cols);
    double error = 0, power = 0;
    for (size_t i = 0; i < rows * cols; i++) {
        const double d = got[i] - want[i];
        error += d * d, power += want[i] * want[i];
    }
    mt_interp_close(it);
    close_rig(&r);
    return error / power;
}

static void plan_equals_interpreter(void **state)
{
    (void)state;
    for (size_t i = 0; i < models.gl_pathc; i++) {
        const double exact = compare_to_interp(models.gl_pathv[i], true);
        const double fast = compare_to_interp(models.gl_pathv[i], false);
        print_message("%s: NMSE exact %.2e, default %.2e\n", strrchr(models.gl_pathv[i], '/') + 1, exact, fast);
        assert_true(exact <= 1e-10);     /* f32 against f64 */
        assert_true(fast <= 2e-3);       /* int8 activations and bf16 keys: docs/numerics.md */
    }
}

/* ---- the numeric contract --------------------------------------------------------------------------- */

static void bits_do_not_depend_on_tiling(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 5, 64}, chunks[] = {1, 7, 64, 512};
    static float ref[MAX_LOGITS], got[MAX_LOGITS];
    for (size_t i = 0; i < models.gl_pathc; i++) {
        mote_token t[N_PROMPT];
        bool has_ref = false;
        for (size_t th = 0; th < MT_COUNT(threads); th++) {
            rig r = open_rig(models.gl_pathv[i], threads[th], 256, 1, false);
            assert_true(r.info.n_vocab <= MAX_LOGITS);
            fill_prompt(t, r.n, r.info.n_vocab, 7);
            for (size_t c = 0; c < MT_COUNT(chunks); c++) {
                run_chunks(&r, t, r.n, chunks[c], has_ref ? got : ref);
                if (has_ref && memcmp(ref, got, (size_t)r.info.n_vocab * sizeof *ref) != 0)
                    fail_msg("%s: threads %d, chunk %d give other bits", models.gl_pathv[i], threads[th], chunks[c]);
                has_ref = true;
            }
            close_rig(&r);
        }
    }
}

/* Behind a long text threads share the chunks of a head: who takes which changes nothing, for every
 * type of keys and values, one token at a time, a few as when guesses are verified, or many. */
static void bits_do_not_depend_on_shared_chunks(void **state)
{
    (void)state;
    static const char *const types[] = {"bf16", "f16", "f32", "q8"};
    static const int threads[] = {1, 2, 3}, chunks[] = {1, 5, 50};
    enum { LONG = 800, TAIL = 50 };
    static float ref[MAX_LOGITS];
    mote_token t[LONG + TAIL];
    for (size_t k = 0; k < MT_COUNT(types); k++) {
        bool has_ref = false;
        for (size_t th = 0; th < MT_COUNT(threads); th++) {
            mote_error err;
            mote_model_opts mo;
            mote_model_opts_init(&mo);
            mo.n_threads = threads[th];
            mote_model *m;
            must(mote_model_open(&m, models.gl_pathv[0], &mo, &err), &err);
            mote_model_info info;
            mote_model_describe(m, &info);
            fill_prompt(t, LONG + TAIL, info.n_vocab, 3);
            mote_engine_opts eo;
            mote_engine_opts_init(&eo);
            eo.n_ctx = LONG + TAIL, eo.n_batch = 50, eo.kv_type = types[k];
            mote_engine *e;
            mote_session *s;
            must(mote_engine_open(&e, m, &eo, &err), &err);
            must(mote_session_open(&s, e, &err), &err);
            must(mote_decode(s, t, LONG, MOTE_WANT_NONE, &err), &err);
            for (size_t c = 0; c < MT_COUNT(chunks); c++) {
                must(mote_session_rewind(s, LONG, &err), &err);
                for (int at = 0; at < TAIL; at += chunks[c])
                    must(mote_decode(s, t + LONG + at, (size_t)chunks[c], MOTE_WANT_LAST, &err), &err);
                size_t cols;
                const float *got = mote_output(s, NULL, &cols);
                if (!has_ref) memcpy(ref, got, cols * sizeof *ref);
                if (memcmp(ref, got, cols * sizeof *ref) != 0)
                    fail_msg("%s: threads %d, pieces of %d give other bits", types[k], threads[th], chunks[c]);
                has_ref = true;
            }
            mote_session_close(s);
            mote_engine_close(e);
            mote_model_close(m);
        }
    }
}

/* Session 0 decodes its prompt while n - 1 neighbours decode other texts in the same passes. */
static void bits_do_not_depend_on_neighbours(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 7, 33};
    static float ref[MAX_LOGITS];
    for (size_t i = 0; i < models.gl_pathc; i++)
        for (size_t b = 0; b < MT_COUNT(sizes); b++) {
            const int n = sizes[b];
            rig r = open_rig(models.gl_pathv[i], 2, 64, n, false);
            mote_error err;
            mote_session *s[33] = {r.s};
            mote_token t[33][20];
            mote_step step[33];
            for (int k = 0; k < n; k++) {
                if (k) must(mote_session_open(&s[k], r.e, &err), &err);
                fill_prompt(t[k], 20, r.info.n_vocab, 100 + (uint32_t)k);
            }
            for (int at = 0; at < 20; at++) {    /* neighbours 1, 3, … run one token ahead in length */
                for (int k = 0; k < n; k++)
                    step[k] = (mote_step){s[k], t[k] + at, at == 0 && k % 2 ? 2 : 1, MOTE_WANT_LAST};
                /* session 0 sits in the middle of the batch */
                const mote_step mine = step[0];
                step[0] = step[n / 2], step[n / 2] = mine;
                must(mote_decode_many(step, (size_t)n, &err), &err);
            }
            const size_t bytes = (size_t)r.info.n_vocab * sizeof *ref;
            if (b == 0) memcpy(ref, mote_output(s[0], NULL, NULL), bytes);
            else if (memcmp(ref, mote_output(s[0], NULL, NULL), bytes) != 0)
                fail_msg("%s: %d sessions together give other bits", models.gl_pathv[i], n);
            for (int k = 1; k < n; k++) mote_session_close(s[k]);
            close_rig(&r);
        }
}

static void bits_do_not_depend_on_cpu_level(void **state)
{
    (void)state;
    static const char *const levels[] = {"scalar", "avx2", "neon", "dotprod", "full"};
    static float ref[MAX_LOGITS], got[MAX_LOGITS];
    for (size_t i = 0; i < models.gl_pathc; i++) {
        bool has_ref = false;
        for (size_t l = 0; l < MT_COUNT(levels); l++) {
            if (mote_cpu_limit(levels[l], NULL) != MOTE_OK) continue;
            rig r = open_rig(models.gl_pathv[i], 1, 64, 1, false);
            mote_token t[N_PROMPT];
            fill_prompt(t, r.n, r.info.n_vocab, 3);
            run_chunks(&r, t, r.n, 33, has_ref ? got : ref);
            if (has_ref && memcmp(ref, got, (size_t)r.info.n_vocab * sizeof *ref) != 0)
                fail_msg("%s: level %s gives other bits than scalar", models.gl_pathv[i], levels[l]);
            has_ref = true;
            close_rig(&r);
        }
        must(mote_cpu_limit("full", NULL), &(mote_error){0});
    }
}

/* ---- sessions ------------------------------------------------------------------------------------------ */

static void forks_and_rewinds_change_nothing(void **state)
{
    (void)state;
    static float ref[MAX_LOGITS], got[MAX_LOGITS];
    rig r = open_rig(models.gl_pathv[0], 2, 64, 3, false);
    mote_error err;
    enum { N = 70 };
    mote_token t[N], other[30];
    fill_prompt(t, N, r.info.n_vocab, 11);
    fill_prompt(other, 30, r.info.n_vocab, 12);
    run_chunks(&r, t, N, 64, ref);
    const size_t bytes = (size_t)r.info.n_vocab * sizeof *ref;

    /* a fork in the middle of a page goes its own way without disturbing its parent */
    run_chunks(&r, t, 37, 64, got);
    mote_session *fork;
    must(mote_session_fork(&fork, r.s, &err), &err);
    assert_int_equal(mote_session_length(fork), 37);
    must(mote_decode(fork, other, 30, MOTE_WANT_LAST, &err), &err);
    must(mote_decode(r.s, t + 37, N - 37, MOTE_WANT_LAST, &err), &err);
    assert_memory_equal(ref, mote_output(r.s, NULL, NULL), bytes);
    assert_memory_equal(t, mote_session_tokens(r.s), sizeof t);

    /* rewound to the common part, the fork says what its parent said */
    must(mote_session_rewind(fork, 37, &err), &err);
    must(mote_decode(fork, t + 37, N - 37, MOTE_WANT_LAST, &err), &err);
    assert_memory_equal(ref, mote_output(fork, NULL, NULL), bytes);
    mote_session_close(fork);
    assert_int_equal(mote_session_rewind(r.s, N + 1, &err), MOTE_EINVAL);
    close_rig(&r);
}

/* Sessions that open, fork, fill and close in every order never run out of pages. */
static void pages_are_never_lost(void **state)
{
    (void)state;
    rig r = open_rig(models.gl_pathv[0], 1, 64, 3, false);
    mote_error err;
    mote_token t[128];
    fill_prompt(t, 128, r.info.n_vocab, 5);
    const uint32_t all = r.e->n_free;
    for (int round = 0; round < 20; round++) {
        mote_session *a, *b;
        must(mote_session_rewind(r.s, 0, &err), &err);
        must(mote_decode(r.s, t, (size_t)(round * 6 + 1), MOTE_WANT_NONE, &err), &err);
        must(mote_session_fork(&a, r.s, &err), &err);
        must(mote_session_fork(&b, a, &err), &err);
        must(mote_decode(b, t, (size_t)(128 - mote_session_length(b)), MOTE_WANT_NONE, &err), &err);
        must(mote_decode(r.s, t, (size_t)(128 - mote_session_length(r.s)), MOTE_WANT_NONE, &err), &err);
        must(mote_decode(a, t, (size_t)(128 - mote_session_length(a)), MOTE_WANT_NONE, &err), &err);
        assert_int_equal(mote_decode(a, t, 1, MOTE_WANT_NONE, &err), MOTE_EFULL);
        assert_int_equal(mote_session_fork(&(mote_session *){NULL}, a, NULL), MOTE_EFULL);
        mote_session_close(round % 2 ? a : b);
        mote_session_close(round % 2 ? b : a);
    }
    must(mote_session_rewind(r.s, 0, &err), &err);
    assert_int_equal(r.e->n_free, all);
    close_rig(&r);
}

static void bad_steps_change_nothing(void **state)
{
    (void)state;
    rig r = open_rig(models.gl_pathv[0], 1, 16, 2, false);
    mote_error err = {0};
    mote_token t[200];
    fill_prompt(t, 200, r.info.n_vocab, 9);
    assert_int_equal(mote_decode(r.s, t, 129, MOTE_WANT_LAST, &err), MOTE_EFULL);
    assert_non_null(strstr(err.text, "129"));
    assert_int_equal(mote_decode(r.s, t, 17, MOTE_WANT_ALL, &err), MOTE_EINVAL);
    assert_int_equal(mote_decode(r.s, t, 17, MOTE_WANT_HIDDEN, &err), MOTE_EINVAL);
    assert_int_equal(mote_decode(r.s, t, 0, MOTE_WANT_LAST, &err), MOTE_EINVAL);
    assert_int_equal(mote_decode(r.s, NULL, 1, MOTE_WANT_LAST, &err), MOTE_EINVAL);
    t[3] = r.info.n_vocab;
    assert_int_equal(mote_decode(r.s, t, 5, MOTE_WANT_LAST, &err), MOTE_EINVAL);
    t[3] = -1;
    assert_int_equal(mote_decode(r.s, t, 5, MOTE_WANT_LAST, &err), MOTE_EINVAL);
    const mote_step twice[] = {{r.s, t, 1, MOTE_WANT_LAST}, {r.s, t, 1, MOTE_WANT_LAST}};
    assert_int_equal(mote_decode_many(twice, 2, &err), MOTE_EINVAL);
    assert_int_equal(mote_session_length(r.s), 0);
    mote_engine_opts o;
    mote_engine_opts_init(&o);
    mote_engine *e;
    o.kv_type = "q3";
    assert_int_equal(mote_engine_open(&e, r.m, &o, &err), MOTE_EINVAL);
    o.kv_type = NULL, o.n_ctx = -4;
    assert_int_equal(mote_engine_open(&e, r.m, &o, &err), MOTE_EINVAL);
    assert_int_equal(mote_engine_bytes(r.m, &o), 0);
    close_rig(&r);
}

static void wants_agree(void **state)
{
    (void)state;
    rig r = open_rig(models.gl_pathv[0], 2, 64, 1, false);
    mote_error err;
    mote_token t[40];
    fill_prompt(t, 40, r.info.n_vocab, 21);
    must(mote_decode(r.s, t, 40, MOTE_WANT_ALL, &err), &err);
    size_t rows, cols;
    const float *all = mote_output(r.s, &rows, &cols);
    assert_int_equal(rows, 40);
    static float last[MAX_LOGITS], lse[40];
    memcpy(last, all + 39 * cols, cols * sizeof *last);
    float best = -INFINITY;
    mote_token arg = -1;
    for (size_t i = 0; i < cols; i++)
        if (last[i] > best) best = last[i], arg = (mote_token)i;
    for (int i = 0; i < 39; i++) {
        double top = -INFINITY, sum = 0;
        for (size_t j = 0; j < cols; j++) top = fmax(top, all[(size_t)i * cols + j]);
        for (size_t j = 0; j < cols; j++) sum += exp(all[(size_t)i * cols + j] - top);
        lse[i] = (float)(all[(size_t)i * cols + (size_t)t[i + 1]] - top - log(sum));
    }
    must(mote_session_rewind(r.s, 0, &err), &err);
    must(mote_decode(r.s, t, 40, MOTE_WANT_BEST, &err), &err);
    assert_int_equal(mote_best(r.s), arg);
    must(mote_session_rewind(r.s, 0, &err), &err);
    must(mote_decode(r.s, t, 40, MOTE_WANT_HIDDEN, &err), &err);
    assert_non_null(mote_output(r.s, &rows, &cols));
    assert_int_equal(rows, 40);
    assert_int_equal(cols, r.info.n_embd);
    must(mote_session_rewind(r.s, 0, &err), &err);
    float logprob[39];
    must(mote_measure(r.s, t, 40, logprob, &err), &err);
    for (int i = 0; i < 39; i++) assert_true(fabsf(logprob[i] - lse[i]) < 1e-4f);
    close_rig(&r);
}

/* ---- memory ------------------------------------------------------------------------------------------------ */

static bool no_piece(void *user, const char *p, size_t n)
{
    (void)p;
    *(size_t *)user += n;
    return true;
}

/* Opens, decodes and closes with an allocator; returns the first failure. */
static mote_status life(const char *path, const mote_alloc *alloc, const fail_alloc *fa, mote_error *err)
{
    mote_model *m = NULL;
    mote_engine *e = NULL;
    mote_session *s = NULL;
    mote_sampler *p = NULL;
    mote_model_opts mo;
    mote_model_opts_init(&mo);
    mo.alloc = alloc, mo.n_threads = 1;
    mote_engine_opts eo;
    mote_engine_opts_init(&eo);
    eo.n_ctx = 24, eo.n_batch = 8;
    size_t bytes = 0;
    mote_status st = mote_model_open(&m, path, &mo, err);
    if (st == MOTE_OK) st = mote_engine_open(&e, m, &eo, err);
    if (st == MOTE_OK) st = mote_session_open(&s, e, err);
    if (st == MOTE_OK) st = mote_sampler_open(&p, m, NULL, err);
    if (st == MOTE_OK) {
        const mote_token t[] = {1, 2, 3, 4, 5};
        st = mote_decode(s, t, 5, MOTE_WANT_LAST, err);
        const size_t calls = fa->calls;
        if (st == MOTE_OK) st = mote_continue(s, p, t, 5, 18, no_piece, &bytes, NULL, err);
        if (st == MOTE_OK) assert_int_equal(fa->calls, calls);   /* generating allocates nothing */
    }
    mote_sampler_close(p);
    mote_session_close(s);
    mote_engine_close(e);
    mote_model_close(m);
    return st;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < models.gl_pathc; i++)
        for (size_t n = 1;; n++) {
            fail_alloc fa;
            const mote_alloc *alloc = fail_alloc_init(&fa, n, false);
            mote_error err = {0};
            const mote_status st = life(models.gl_pathv[i], alloc, &fa, &err);
            fail_alloc_check(&fa);
            if (fa.calls < n) {
                must(st, &err);
                break;
            }
            if (st != MOTE_OK) {         /* a cache may do without: then everything still works */
                assert_int_equal(st, MOTE_ENOMEM);
                assert_true(err.text[0] != '\0');
            }
        }
}

/* Mappings do not pass the allocator; the linker routes them here (tests/CMakeLists.txt). */
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);
static size_t mmap_calls, mmap_fail_at;
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    if (++mmap_calls != mmap_fail_at) return __real_mmap(at, n, prot, flags, fd, offset);
    errno = ENOMEM;
    return MAP_FAILED;
}

static void every_mapping_may_fail(void **state)
{
    (void)state;
    size_t tried = 0;
    for (mmap_fail_at = 1;; mmap_fail_at++) {
        fail_alloc fa;
        mote_error err = {0};
        mmap_calls = 0;
        const mote_status st = life(models.gl_pathv[0], fail_alloc_init(&fa, 0, false), &fa, &err);
        fail_alloc_check(&fa);
        if (mmap_calls < mmap_fail_at) {
            must(st, &err);
            break;
        }
        assert_true(st == MOTE_ENOMEM || st == MOTE_EIO);
        assert_true(err.text[0] != '\0');
        tried++;
    }
    mmap_fail_at = 0;
    assert_true(tried >= 4);             /* the file, the weights, the pages, the logits */
}

/* What mote_engine_bytes announces is what is taken, apart from the stage list and handles. */
static void announced_bytes_are_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < models.gl_pathc; i++) {
        fail_alloc fa;
        mote_model *m;
        mote_engine *e;
        mote_session *s[3];
        mote_error err;
        mote_model_opts mo;
        mote_model_opts_init(&mo);
        mo.alloc = fail_alloc_init(&fa, 0, false), mo.n_threads = 2;
        must(mote_model_open(&m, models.gl_pathv[i], &mo, &err), &err);
        mote_engine_opts eo;
        mote_engine_opts_init(&eo);
        eo.n_ctx = 20, eo.n_batch = 48, eo.n_session = 3;
        const size_t before = fa.live, announced = mote_engine_bytes(m, &eo);
        assert_int_equal(fa.live, before);
        must(mote_engine_open(&e, m, &eo, &err), &err);
        for (int k = 0; k < 3; k++) must(mote_session_open(&s[k], e, &err), &err);
        const size_t pages = e->page_bytes * e->n_page + e->plan->logits_bytes;
        const size_t taken = fa.live - before + pages;
        const size_t lists = e->plan->arena.high_water + sizeof *e + sizeof *e->plan;
        assert_true(taken >= announced + lists && taken <= announced + lists + (128 << 10));
        for (int k = 0; k < 3; k++) mote_session_close(s[k]);
        mote_engine_close(e);
        mote_model_close(m);
        fail_alloc_check(&fa);
    }
}

static void cancel_ends_a_long_prompt(void **state)
{
    (void)state;
    rig r = open_rig(models.gl_pathv[0], 1, 16, 1, false);
    mote_error err = {0};
    mote_token t[100];
    fill_prompt(t, 100, r.info.n_vocab, 2);
    mote_session_cancel(r.s);            /* between calls: ends nothing */
    must(mote_decode(r.s, t, 20, MOTE_WANT_NONE, &err), &err);
    mote_session_cancel(r.s);
    const mote_step step = {r.s, t, 50, MOTE_WANT_LAST};
    assert_int_equal(mt_engine_decode(&step, 1, &err), MOTE_ECANCELLED);
    assert_int_equal(mote_session_length(r.s), 20);
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_equals_interpreter),
        cmocka_unit_test(bits_do_not_depend_on_tiling),
        cmocka_unit_test(bits_do_not_depend_on_shared_chunks),
        cmocka_unit_test(bits_do_not_depend_on_neighbours),
        cmocka_unit_test(bits_do_not_depend_on_cpu_level),
        cmocka_unit_test(forks_and_rewinds_change_nothing),
        cmocka_unit_test(pages_are_never_lost),
        cmocka_unit_test(bad_steps_change_nothing),
        cmocka_unit_test(wants_agree),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_mapping_may_fail),
        cmocka_unit_test(announced_bytes_are_taken),
        cmocka_unit_test(cancel_ends_a_long_prompt),
    };
    const char *only = getenv("MOTE_TEST_ONLY");    /* names, with * and ?: emulators are slow */
    if (only) cmocka_set_test_filter(only);
    return cmocka_run_group_tests(tests, find_models, forget_models);
}

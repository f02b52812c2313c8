/* SPDX-License-Identifier: MIT */
/* test_pool.c - the thread pool: every item once, nothing late, nobody waited for in vain.
 *
 * Steps share plain memory that only the pool orders, so a wrong order shows as a wrong number here
 * and as a race under the thread sanitizer.  Random sleeps stand for cores taken away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <pthread.h>

#include <cmocka.h>

#include "base/base.h"
#include "unit/fail_alloc.h"

/* ---- steps that follow from each other ------------------------------------ */

enum { MAX_ITEM = 400, MAX_STEP = 40 };
typedef struct chain {
    int n_step, n[MAX_STEP], least[MAX_STEP];
    bool in_turn[MAX_STEP];
    unsigned sleeps;                            /* one chance in so many to sleep; 0: never */
    uint32_t cell[2][MAX_ITEM];                 /* plain: steps take the two in turn */
    atomic_int handed, wrong, walks;
} chain;

static uint32_t mix(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

static void maybe_sleep(const chain *c, uint32_t seed)
{
    if (c->sleeps && mix(seed) % c->sleeps == 0) usleep(mix(seed + 1) % 400);
}

/* Every cell of a step depends on three of the step before. */
static uint32_t next_value(const uint32_t *before, int n_before, int step, int i)
{
    const uint32_t a = before[i % n_before], b = before[(i * 7 + step) % n_before], c = before[n_before - 1];
    return mix(a + 3 * b + 5 * c + (uint32_t)(step * 1000 + i));
}

static void walk_chain(void *arg, mt_worker *w)
{
    chain *c = arg;
    const uint32_t seed = (uint32_t)w->ith * 77777u;
    atomic_fetch_add(&c->walks, 1);
    for (int s = 0; s < c->n_step; s++) {
        maybe_sleep(c, seed + (uint32_t)s);
        if (c->in_turn[s]) mt_deal_in_turn(w, c->n[s]);
        else mt_deal(w, c->n[s], c->least[s]);
        uint32_t *const now = c->cell[s % 2], *const before = c->cell[1 - s % 2];
        for (mt_span mine; mt_take(w, &mine);) {
            if (mine.from < 0 || mine.from >= mine.to || mine.to > c->n[s]) atomic_fetch_add(&c->wrong, 1);
            maybe_sleep(c, seed + 1000u + (uint32_t)mine.from);
            for (int i = mine.from; i < mine.to; i++)
                now[i] = s ? next_value(before, c->n[s - 1], s, i) : mix((uint32_t)i);
            atomic_fetch_add(&c->handed, mine.to - mine.from);
        }
        maybe_sleep(c, seed + 2000u + (uint32_t)s);
        if (!mt_settle(w)) return;
    }
}

static void fill_chain(chain *c, uint32_t seed, unsigned sleeps)
{
    memset(c, 0, sizeof *c);
    c->n_step = 1 + (int)(mix(seed) % MAX_STEP);
    c->sleeps = sleeps;
    for (int s = 0; s < c->n_step; s++) {
        const uint32_t r = mix(seed * 64 + (uint32_t)s);
        c->n[s] = 1 + (int)(r % 3 ? r / 3 % 20 : r / 3 % MAX_ITEM);
        c->least[s] = 1 + (int)(r >> 20) % 9;
        c->in_turn[s] = r >> 28 > 11;
    }
}

static void check_chain(mt_pool *pool, uint32_t seed, unsigned sleeps)
{
    static chain c;
    fill_chain(&c, seed, sleeps);
    mt_pool_walk(pool, walk_chain, &c);
    int all = 0;
    for (int s = 0; s < c.n_step; s++) all += c.n[s];
    static uint32_t cell[2][MAX_ITEM];
    for (int s = 0; s < c.n_step; s++)
        for (int i = 0; i < c.n[s]; i++)
            cell[s % 2][i] = s ? next_value(cell[1 - s % 2], c.n[s - 1], s, i) : mix((uint32_t)i);
    const int last = c.n_step - 1;
    if (c.handed != all || c.wrong || memcmp(c.cell[last % 2], cell[last % 2], sizeof(uint32_t) * (size_t)c.n[last]) != 0)
        fail_msg("%d threads, seed %u: %d of %d items handed out, %d bad runs, or other values",
                 mt_pool_size(pool), seed, c.handed, all, c.wrong);
}

static void test_steps(void **state)
{
    (void)state;
    static const int threads[] = { 1, 2, 3, 4, 5, 8, 17, 33, 64 };
    for (size_t t = 0; t < MT_COUNT(threads); t++) {
        mt_pool *pool = NULL;
        assert_int_equal(mt_pool_open_crowded(&pool, threads[t], NULL, NULL), MOTE_OK);
        assert_int_equal(mt_pool_size(pool), threads[t]);
        for (uint32_t seed = 0; seed < 150; seed++) check_chain(pool, seed, 0);
        for (uint32_t seed = 0; seed < 20; seed++) check_chain(pool, seed, 40);
        mt_pool_close(pool);
    }
}

static void test_empty_steps(void **state)
{
    (void)state;
    mt_pool *pool = NULL;
    assert_int_equal(mt_pool_open_crowded(&pool, 3, NULL, NULL), MOTE_OK);
    static chain c;
    for (int run = 0; run < 100; run++) {
        memset(&c, 0, sizeof c);
        c.n_step = 3;
        c.least[0] = c.least[1] = c.least[2] = 1;
        c.in_turn[1] = true;
        mt_pool_walk(pool, walk_chain, &c);
        assert_int_equal(c.handed, 0);
    }
    mt_pool_close(pool);
}

/* ---- threads that do not come ---------------------------------------------- */

typedef struct slow { atomic_int first, by_sleeper, by_others; } slow;

/* The first thread that gets an item holds it for long: the others do all the rest. */
static void walk_slow(void *arg, mt_worker *w)
{
    slow *s = arg;
    int expected = 0;
    mt_deal(w, 100, 1);
    for (mt_span mine; mt_take(w, &mine);) {
        if (w->ith == 1 && atomic_compare_exchange_strong(&s->first, &expected, 1)) usleep(50000);
        atomic_fetch_add(w->ith == 1 ? &s->by_sleeper : &s->by_others, mine.to - mine.from);
        if (w->ith != 1) while (!atomic_load(&s->first)) usleep(10);     /* until it holds its run */
    }
    (void)mt_settle(w);
}

static void test_stealing(void **state)
{
    (void)state;
    mt_pool *pool = NULL;
    assert_int_equal(mt_pool_open_crowded(&pool, 2, NULL, NULL), MOTE_OK);
    slow s = { 0 };
    mt_pool_walk(pool, walk_slow, &s);
    mt_pool_close(pool);
    assert_int_equal(s.by_sleeper + s.by_others, 100);
    assert_int_equal(s.by_sleeper, 50 - 50 / 8);            /* its one run; the tail was taken */
}

/* More walks than a sleeping helper can wake for: the caller needs nobody. */
static void test_nobody_comes(void **state)
{
    (void)state;
    mt_pool *pool = NULL;
    assert_int_equal(mt_pool_open_crowded(&pool, 64, NULL, NULL), MOTE_OK);
    for (uint32_t run = 0; run < 300; run++) {
        check_chain(pool, run % 10, 0);
        if (run % 100 == 0) usleep(2000);                   /* all go to sleep */
    }
    mt_pool_close(pool);
}

/* A stranger keeps every CPU busy: threads are preempted with items in hand, move and nap. */
static void test_neighbours(void **state)
{
    (void)state;
    pid_t child[2];
    for (int i = 0; i < 2; i++) {
        child[i] = fork();
        assert_true(child[i] >= 0);
        for (const double end = mt_now() + 5; child[i] == 0;)
            if (mt_now() > end) _exit(0);                   /* should the parent be gone */
    }
    mt_pool *pool = NULL;
    assert_int_equal(mt_pool_open(&pool, 2, NULL, NULL), MOTE_OK);
    const double end = mt_now() + 0.7;
    for (uint32_t seed = 0; mt_now() < end; seed++) check_chain(pool, seed, seed % 8 ? 0 : 40);
    mt_pool_close(pool);
    for (int i = 0; i < 2; i++) {
        kill(child[i], SIGKILL);
        waitpid(child[i], NULL, 0);
    }
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void test_idle_costs_nothing(void **state)
{
    (void)state;
    mt_pool *pool = NULL;
    assert_int_equal(mt_pool_open(&pool, 0, NULL, NULL), MOTE_OK);
    check_chain(pool, 1, 0);
    usleep(20000);                                          /* the spinning is over */
    const double before = cpu_seconds();
    sleep(1);
    const double used = cpu_seconds() - before;
    mt_pool_close(pool);
    if (used > 0.005) fail_msg("an idle second took %.1f ms of CPU time", used * 1e3);
}

/* ---- runs ------------------------------------------------------------------ */

typedef struct tally { atomic_int count[64]; int n; atomic_int wrong; } tally;

static void count_part(void *arg, int ith, int nth)
{
    tally *t = arg;
    if (nth != t->n || ith < 0 || ith >= nth) atomic_fetch_add(&t->wrong, 1);
    else atomic_fetch_add(&t->count[ith], 1);
}

static void test_run(void **state)
{
    (void)state;
    for (int n = 1; n <= 64; n = n < 6 ? n + 1 : 2 * n + 1) {
        mt_pool *pool = NULL;
        static tally t;
        memset(&t, 0, sizeof t);
        t.n = n;
        assert_int_equal(mt_pool_open_crowded(&pool, n, NULL, NULL), MOTE_OK);
        for (int run = 0; run < 200; run++) mt_pool_run(pool, count_part, &t);
        mt_pool_close(pool);
        assert_int_equal(t.wrong, 0);
        for (int i = 0; i < n; i++) assert_int_equal(t.count[i], 200);
    }
}

static void *walk_elsewhere(void *arg)
{
    mt_pool *const pool = arg;
    tally t = { .n = mt_pool_size(pool) };
    for (int run = 0; run < 500; run++) mt_pool_run(pool, count_part, &t);
    mt_pool_close(pool);
    return (void *)(intptr_t)(t.wrong == 0 && t.count[0] == 500 && t.count[1] == 500);
}

/* Two callers, each with its own work, share one pool: walks queue behind each other. */
static void test_shared(void **state)
{
    (void)state;
    mote_pool *pool = NULL;
    assert_int_equal(mt_pool_open_crowded(&pool, 2, NULL, NULL), MOTE_OK);
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) {
        mt_pool_retain(pool);
        assert_int_equal(pthread_create(&thread[i], NULL, walk_elsewhere, pool), 0);
    }
    mote_pool_close(pool);
    for (int i = 0; i < 2; i++) {
        void *is_right = NULL;
        pthread_join(thread[i], &is_right);
        assert_non_null(is_right);
    }
}

static void test_open(void **state)
{
    (void)state;
    mote_error err = { MOTE_OK, "" };
    mote_pool *pool = NULL;
    assert_int_equal(mote_pool_open(&pool, -1, &err), MOTE_EINVAL);
    assert_null(pool);
    assert_int_equal(mote_pool_open(&pool, MT_MAX_THREAD + 1, &err), MOTE_EINVAL);
    assert_int_equal(mote_pool_open(NULL, 1, &err), MOTE_EINVAL);
    static const int asked[] = { 0, 1, MT_MAX_THREAD };     /* no more threads than cores */
    for (size_t i = 0; i < MT_COUNT(asked); i++) {
        assert_int_equal(mote_pool_open(&pool, asked[i], &err), MOTE_OK);
        assert_int_equal(mt_pool_size(pool), asked[i] == 1 ? 1 : mt_cpu_cores());
        mote_pool_close(pool);
    }
    mote_pool_close(NULL);
    fail_alloc fa;
    assert_int_equal(mt_pool_open_crowded(&pool, 3, fail_alloc_init(&fa, 1, false), &err), MOTE_ENOMEM);
    fail_alloc_check(&fa);
    assert_int_equal(mt_pool_open_crowded(&pool, 3, fail_alloc_init(&fa, 0, false), &err), MOTE_OK);
    mt_pool_close(pool);
    fail_alloc_check(&fa);
}

/* ---- the CPU of a thread ----------------------------------------------------- */

static void test_place(void **state)
{
    (void)state;
    const double before = mt_cpu_delay();
    mt_cpu_nap(0.002);
    assert_true(mt_cpu_delay() >= before);
    const int here = mt_cpu_here();
    if (here < 0 || mt_cpu_cores() < 2) return;
    mt_cpu_avoid(&here, 1);
    assert_int_not_equal(mt_cpu_here(), here);
    int all[1024];
    for (int i = 0; i < 1024; i++) all[i] = i;
    mt_cpu_avoid(all, 1024);                                /* nowhere to go: stays */
    assert_true(mt_cpu_here() >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),         cmocka_unit_test(test_steps),
        cmocka_unit_test(test_empty_steps),  cmocka_unit_test(test_stealing),
        cmocka_unit_test(test_nobody_comes), cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_idle_costs_nothing), cmocka_unit_test(test_run),
        cmocka_unit_test(test_shared),       cmocka_unit_test(test_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

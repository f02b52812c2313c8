/* SPDX-License-Identifier: MIT */
/* pool.c - the threads that share one piece of work, and their barrier.
 *
 * A decoded token crosses some 150 barriers, so a barrier must cost about one cache-line transfer;
 * and cores are shared with strangers, so nobody may spin for long on a thread that is not
 * running.  Both come from one idea: each thread counts its arrivals on a cache line of its own
 * and waits until every other line has reached the same count.  A waiter spins for a bounded
 * time, then sleeps at a bed; whoever makes the awaited thing true wakes the bed if it is not
 * empty.  Publishing a count and looking at the sleepers are sequentially consistent, as are the
 * sleeper's announcement and its last look at the counts, so one of the two sees the other. */
#include "base/base.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

/* Seconds.  Between runs lies the caller's serial work (sampling, about 0.1 ms); inside a run a wait
 * is a few microseconds unless a core was taken away.  Both ends of the scale were tried: sleeping
 * after 0.1 ms hands the core to a busy neighbour for a whole time slice (decoding at half speed),
 * spinning for 4 ms takes it from a second process that decodes as well (a tenth of its speed). */
#define SPIN_IDLE 3e-4
#define SPIN_SYNC 3e-4

/* Two lines: adjacent lines are prefetched together. */
typedef struct lane { MT_ALIGNED(128) atomic_uint count; } lane;

typedef struct helper {
    mt_pool  *pool;
    pthread_t thread;
    int       ith;
} helper;

/* Where threads sleep that wait for the same thing. */
typedef struct bed {
    MT_ALIGNED(128) atomic_int sleepers;    /* read at every barrier, written when one sleeps */
    pthread_mutex_t lock;
    pthread_cond_t  wake;
} bed;

struct mote_pool {
    lane start;                             /* runs begun */
    bed idle, barrier;                      /* waiting for start; for the lanes */
    MT_ALIGNED(128) mt_work_fn work;        /* NULL: end; written before start is published */
    void *arg;
    pthread_mutex_t run_lock;               /* one run at a time */
    atomic_int refs;
    int  n_thread, n_started;               /* the caller counts as started */
    bool may_spin;                          /* no more threads than cores */
    const mote_alloc *alloc;
    size_t bytes;                           /* of this block: pool, lanes, helpers */
    lane   *lanes;                          /* (n_thread) arrivals, kept over runs */
    helper *helpers;                        /* (n_thread); 0 is unused: that is the caller */
};

/* ---- waiting ------------------------------------------------------------ */

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Counts wrap; two of them are never 2^31 apart. */
static bool is_at(const atomic_uint *word, unsigned target, memory_order order)
{
    return (int)(atomic_load_explicit(word, order) - target) >= 0;
}

/* Spins until the word is at the target; false: not within the time. */
static bool spin(const mt_pool *p, const atomic_uint *word, unsigned target, double seconds)
{
    if (is_at(word, target, memory_order_acquire)) return true;
    double end = 0;
    for (unsigned i = 1; p->may_spin; i++) {
        pause_cpu();
        if (is_at(word, target, memory_order_acquire)) return true;
        if (i % 64) continue;
        const double now = mt_now();
        if (end == 0) end = now + seconds;  /* the clock costs more than most waits */
        if (now >= end) return false;
    }
    return false;
}

/* Sleeps until the n words, one per lane, are all at the target. */
static void sleep_until(bed *b, const lane *words, int n, unsigned target)
{
    pthread_mutex_lock(&b->lock);
    atomic_fetch_add(&b->sleepers, 1);
    for (int i = 0; i < n;) {
        if (is_at(&words[i].count, target, memory_order_seq_cst)) i++;
        else pthread_cond_wait(&b->wake, &b->lock);
    }
    atomic_fetch_sub(&b->sleepers, 1);
    pthread_mutex_unlock(&b->lock);
}

static void wake_all(bed *b)
{
    pthread_mutex_lock(&b->lock);
    pthread_cond_broadcast(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

/* ---- runs --------------------------------------------------------------- */

/* Counts an arrival of thread ith and returns the count.  Only the last to arrive can make a
 * sleeper's wish true, so only that one wakes. */
static unsigned arrive(mt_pool *p, int ith)
{
    atomic_uint *const mine = &p->lanes[ith].count;
    const unsigned count = atomic_load_explicit(mine, memory_order_relaxed) + 1;
    atomic_store(mine, count);
    if (MT_LIKELY(atomic_load(&p->barrier.sleepers) == 0)) return count;
    for (int i = 0; i < p->n_thread; i++)
        if (!is_at(&p->lanes[i].count, count, memory_order_seq_cst)) return count;
    wake_all(&p->barrier);
    return count;
}

static void await_all(mt_pool *p, int ith, unsigned count)
{
    for (int i = 0; i < p->n_thread; i++) {
        if (i == ith || spin(p, &p->lanes[i].count, count, SPIN_SYNC)) continue;
        sleep_until(&p->barrier, p->lanes, p->n_thread, count);
        return;
    }
}

void mt_pool_sync(mt_pool *p, int ith)
{
    if (p->n_thread > 1) await_all(p, ith, arrive(p, ith));
}

static void *help(void *arg)
{
    const helper *h = arg;
    mt_pool *const p = h->pool;
    for (unsigned run = 1;; run++) {
        if (!spin(p, &p->start.count, run, SPIN_IDLE)) sleep_until(&p->idle, &p->start, 1, run);
        if (!p->work) return NULL;
        p->work(p->arg, h->ith, p->n_thread);
        arrive(p, h->ith);                  /* half a barrier: only the caller waits */
    }
}

/* Publishes a piece of work; NULL tells the helpers to leave. */
static void begin(mt_pool *p, mt_work_fn work, void *arg)
{
    p->work = work;
    p->arg = arg;
    atomic_fetch_add(&p->start.count, 1);
    if (atomic_load(&p->idle.sleepers)) wake_all(&p->idle);
}

void mt_pool_run(mt_pool *p, mt_work_fn work, void *arg)
{
    assert(work);
    pthread_mutex_lock(&p->run_lock);
    if (p->n_thread == 1) {
        work(arg, 0, 1);
    } else {
        begin(p, work, arg);
        work(arg, 0, p->n_thread);
        await_all(p, 0, arrive(p, 0));
    }
    pthread_mutex_unlock(&p->run_lock);
}

int mt_pool_size(const mt_pool *p) { return p->n_thread; }

/* ---- opening and closing ------------------------------------------------ */

/* Signals belong to the program's threads, so helpers block them all. */
static int start_helpers(mt_pool *p)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0;
    while (p->n_started < p->n_thread && !failed) {
        helper *const h = &p->helpers[p->n_started];
        h->pool = p;
        h->ith = p->n_started;
        failed = pthread_create(&h->thread, NULL, help, h);
        if (!failed) p->n_started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static void open_bed(bed *b)
{
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->wake, NULL);
}

static void close_bed(bed *b)
{
    pthread_cond_destroy(&b->wake);
    pthread_mutex_destroy(&b->lock);
}

static void destroy(mt_pool *p)
{
    begin(p, NULL, NULL);
    for (int i = 1; i < p->n_started; i++) pthread_join(p->helpers[i].thread, NULL);
    close_bed(&p->idle);
    close_bed(&p->barrier);
    pthread_mutex_destroy(&p->run_lock);
    mt_put(p->alloc, p, p->bytes);
}

mote_status mt_pool_open(mt_pool **out, int n_thread, const mote_alloc *alloc, mote_error *err)
{
    const int cores = mt_cpu_cores();
    if (n_thread == 0) n_thread = cores;
    if (n_thread < 0 || n_thread > MT_MAX_THREAD)
        MT_FAIL(err, MOTE_EINVAL, "thread pool: expected 1 to %d threads, found %d", MT_MAX_THREAD,
                n_thread);
    const size_t n = (size_t)n_thread;          /* bounded above: the sums below cannot wrap */
    const size_t bytes = sizeof(mt_pool) + n * sizeof(lane) + n * sizeof(helper);
    mt_pool *p = mt_get(alloc, bytes, _Alignof(mt_pool));
    if (!p) MT_FAIL(err, MOTE_ENOMEM, "thread pool: no memory for %zu bytes", bytes);
    memset(p, 0, bytes);
    p->alloc = alloc;
    p->bytes = bytes;
    p->lanes = (lane *)(p + 1);
    p->helpers = (helper *)(p->lanes + n);
    p->n_thread = n_thread;
    p->n_started = 1;
    p->may_spin = n_thread <= cores;
    atomic_init(&p->refs, 1);
    pthread_mutex_init(&p->run_lock, NULL);
    open_bed(&p->idle);
    open_bed(&p->barrier);
    const int failed = start_helpers(p);
    if (failed) {
        const int started = p->n_started;
        destroy(p);
        MT_FAIL(err, failed == ENOMEM ? MOTE_ENOMEM : MOTE_EIO,
                "thread pool: the system refused thread %d of %d (error %d)", started + 1, n_thread,
                failed);
    }
    *out = p;
    return MOTE_OK;
}

void mt_pool_retain(mt_pool *p) { atomic_fetch_add(&p->refs, 1); }

void mt_pool_close(mt_pool *p)
{
    if (p && atomic_fetch_sub(&p->refs, 1) == 1) destroy(p);
}

mote_status mote_pool_open(mote_pool **out, int n_threads, mote_error *err)
{
    if (!out) MT_FAIL(err, MOTE_EINVAL, "mote_pool_open: out must not be NULL");
    *out = NULL;
    return mt_pool_open(out, n_threads, NULL, err);
}

void mote_pool_close(mote_pool *p) { mt_pool_close(p); }

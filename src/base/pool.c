/* SPDX-License-Identifier: MIT */
/* pool.c - the threads that share one piece of work, and how it goes on when a core is taken away.
 *
 * A decoded token crosses some 150 barriers, so a barrier must cost about one cache-line transfer;
 * and cores are shared with strangers, so nobody may depend on a thread that is not running.  Hence
 * a step is over when its items are done, not when all threads have arrived:
 *
 *   ticket   (one per thread's share)  step << 24 | items handed out of this share in that step
 *   done     (one per thread)          items it has finished, ever, << 1 | it is inside a walk
 *
 * Items are handed out by compare-and-swap on the share's ticket: the thread's own share first, in a
 * few large runs, then what others have left.  Whoever has no item to claim publishes `done` and
 * waits until the sum over all threads reaches the items of all steps so far.
 *
 * Invariant: a thread claims in step s only after it saw every item of the steps before s done.
 * So a ticket never decreases (a compare-and-swap cannot be fooled), and a ticket of a later step
 * proves that step s is over: a late thread gets nothing and passes.  The sum may be taken while it
 * grows: each addend only rises, so a sum that reaches the target has been reached.  A thread waits
 * outside the walk, and comes back inside only if the same walk still runs; so the caller waits at
 * the end for those that hold an item or are between two, and for nobody else.
 *
 * A waiter spins for a bounded time, then sleeps at a bed; whoever makes the awaited thing true
 * wakes the bed if it is not empty.  Publishing and looking at the sleepers are sequentially
 * consistent, as are the sleeper's announcement and its last look, so one of the two sees the other. */
#include "base/base.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

/* Seconds; all measured (docs/decisions.md).  Between runs lies the caller's serial work (sampling,
 * about 0.1 ms); inside a run a wait is a few microseconds unless a core was taken away. */
#define SPIN_IDLE 3e-4
#define SPIN_STEP 1e-4
/* A preempted helper works for a while, then naps: see nap(). */
#define NAP       5e-4
#define WORK_MIN  5e-4
#define WORK_MAX  2e-2
#define WORK_GROW 1.1
#define DELAY_MIN 1e-3
#define DELAY_PART 0.1

enum { ITEM_BITS = 24 };                    /* of a ticket */

/* Two lines each: adjacent lines are prefetched together. */
typedef struct lane {
    MT_ALIGNED(128) atomic_uint_least64_t ticket;       /* thieves write it */
    MT_ALIGNED(128) atomic_uint_least64_t done;         /* waiters read it */
    atomic_int cpu;                         /* where the thread runs; -1: it sleeps, or nobody knows */
} lane;

typedef struct helper {
    mt_pool  *pool;
    pthread_t thread;
    int       ith;
} helper;

/* Where threads sleep that wait for the same thing. */
typedef struct bed {
    MT_ALIGNED(128) atomic_int sleepers;    /* read at every step, written when one sleeps */
    pthread_mutex_t lock;
    pthread_cond_t  wake;
} bed;

struct mote_pool {
    MT_ALIGNED(128) atomic_uint start;      /* odd: a walk runs; even: none */
    bed idle, step_end;                     /* waiting for start; for the lanes */
    /* of the walk: written before start is published, read by threads inside only */
    MT_ALIGNED(128) mt_walk_fn walk;        /* NULL: end */
    void *arg;
    uint64_t step, total;                   /* steps, and their items, before this walk */
    pthread_mutex_t run_lock;               /* one walk at a time */
    atomic_int refs;
    int  n_thread, n_started;               /* the caller counts as started */
    bool is_crowded;                        /* more threads than cores: nobody spins */
    const mote_alloc *alloc;
    size_t bytes;                           /* of this block: pool, lanes, helpers */
    lane   *lanes;                          /* (n_thread) */
    helper *helpers;                        /* (n_thread); 0 is unused: that is the caller */
};

/* ---- waiting ------------------------------------------------------------ */

typedef bool (*truth)(const mt_pool *p, uint64_t target);

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Counts wrap; two of them are never 2^31 apart. */
static bool is_started(const mt_pool *p, uint64_t target)
{
    return (int)(atomic_load(&p->start) - (unsigned)target) >= 0;
}

static bool is_done(const mt_pool *p, uint64_t total)
{
    uint64_t sum = 0;
    for (int i = 0; i < p->n_thread; i++) sum += atomic_load(&p->lanes[i].done) >> 1;
    return sum >= total;
}

static bool is_left(const mt_pool *p, uint64_t unused)
{
    (void)unused;
    for (int i = 1; i < p->n_thread; i++)
        if (atomic_load(&p->lanes[i].done) & 1) return false;
    return true;
}

/* Spins until it is true; false: not within the time. */
static bool spin(const mt_pool *p, truth is_true, uint64_t target, double seconds)
{
    if (is_true(p, target)) return true;
    double end = 0;
    for (unsigned i = 1; !p->is_crowded; i++) {
        pause_cpu();
        if (is_true(p, target)) return true;
        if (i % 64) continue;
        const double now = mt_now();
        if (end == 0) end = now + seconds;  /* the clock costs more than most waits */
        if (now >= end) return false;
    }
    return false;
}

static void sleep_until(const mt_pool *p, bed *b, truth is_true, uint64_t target)
{
    pthread_mutex_lock(&b->lock);
    atomic_fetch_add(&b->sleepers, 1);
    while (!is_true(p, target)) pthread_cond_wait(&b->wake, &b->lock);
    atomic_fetch_sub(&b->sleepers, 1);
    pthread_mutex_unlock(&b->lock);
}

static void wake_all(bed *b)
{
    pthread_mutex_lock(&b->lock);
    pthread_cond_broadcast(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

/* ---- sharing cores with strangers ---------------------------------------- */

static void set_cpu(mt_worker *w, int cpu)
{
    if (cpu == w->cpu) return;
    w->cpu = cpu;
    atomic_store_explicit(&w->pool->lanes[w->ith].cpu, cpu, memory_order_relaxed);
}

/* Two threads of a pool on one CPU are worth less than one, and that is where a scheduler puts them
 * when a stranger keeps the other CPU busy.  The helper of the higher number moves away; what the
 * caller's thread may do is the program's business. */
static void keep_apart(mt_worker *w)
{
    const mt_pool *p = w->pool;
    if (p->is_crowded) return;
    set_cpu(w, mt_cpu_here());
    if (w->cpu < 0) return;
    for (int i = 0; i < w->ith; i++) {
        if (atomic_load_explicit(&p->lanes[i].cpu, memory_order_relaxed) != w->cpu) continue;
        const double now = mt_now();
        if (now < w->moved + 1e-3) return;
        w->moved = now;
        int taken[MT_MAX_THREAD];
        for (int j = 0; j < p->n_thread; j++)
            taken[j] = j == w->ith ? -1 : atomic_load_explicit(&p->lanes[j].cpu, memory_order_relaxed);
        mt_cpu_avoid(taken, p->n_thread);
        set_cpu(w, mt_cpu_here());
        w->delay = mt_cpu_delay();          /* waiting for our own thread is no stranger's doing */
        w->looked = now;
        return;
    }
}

/* This thread finished an item for which others had gone to sleep.  If it spent a good part of the
 * time since it last looked waiting for a CPU, a stranger wants the same one. */
static void be_late(mt_worker *w)
{
    if (w->ith == 0) return;
    const double now = mt_now(), delay = mt_cpu_delay();
    if (delay < w->delay + DELAY_MIN) return;
    const bool is_contended = delay - w->delay > DELAY_PART * (now - w->looked);
    w->looked = now;
    w->delay = delay;
    if (!is_contended) return;
    w->work = w->work > 0 ? MT_MAX(w->work / 2, WORK_MIN) : 2 * WORK_MIN;
    w->woke = now;
}

/* A thread that is preempted takes its item along and holds up the others for a time slice; one that
 * sleeps of its own accord between items holds up nobody, and gets its CPU back when it wakes.  So a
 * helper on a contended CPU takes its share of it in pieces shorter than a time slice.  Each nap
 * without a preemption lengthens the pieces, until it naps no more. */
static void nap(mt_worker *w)
{
    if (MT_LIKELY(w->work == 0) || mt_now() < w->woke + w->work) return;
    set_cpu(w, -1);
    mt_cpu_nap(NAP);
    w->woke = mt_now();
    w->work = w->work < WORK_MAX ? w->work * WORK_GROW : 0;
}

/* ---- steps --------------------------------------------------------------- */

static void await(mt_worker *w, bed *b, truth is_true, uint64_t target, double seconds)
{
    if (spin(w->pool, is_true, target, seconds)) return;
    set_cpu(w, -1);
    sleep_until(w->pool, b, is_true, target);
    w->woke = w->work > 0 ? mt_now() : 0;
}

/* An exchange, since what follows reads what others publish.  On x86 a sequentially consistent store is
 * the same instruction; on ARM it is stlr, whose order before ldar emulators lose (qemu 7.2: two
 * threads that each store, then load the other's, both read the old value). */
static void publish(mt_worker *w, uint64_t done)
{
    (void)atomic_exchange(&w->pool->lanes[w->ith].done, done);
}

/* Publishes what is done; from here on nobody waits for this thread. */
static void step_out(mt_worker *w)
{
    mt_pool *const p = w->pool;
    publish(w, w->done << 1);
    if (MT_LIKELY(atomic_load(&p->step_end.sleepers) == 0) || !is_done(p, w->total)) return;
    wake_all(&p->step_end);
    be_late(w);
}

/* false: the walk is over, and what belonged to it may be gone. */
static bool step_in(mt_worker *w)
{
    const mt_pool *p = w->pool;
    publish(w, w->done << 1 | 1);
    if (MT_LIKELY(atomic_load(&p->start) == w->run)) return true;
    step_out(w);
    return false;
}

static void deal(mt_worker *w, int n, int least, bool is_in_turn)
{
    assert(n >= 0 && n < 1 << ITEM_BITS && least > 0);
    w->step++;
    w->total += (uint64_t)n;
    w->n = n;
    w->n_share = is_in_turn ? 1 : w->nth;
    w->is_in_turn = is_in_turn;
    w->least = least;
    w->share = 0;
}

void mt_deal(mt_worker *w, int n, int least) { deal(w, n, least, false); }
void mt_deal_in_turn(mt_worker *w, int n) { deal(w, n, 1, true); }

/* Large runs cost least, small ones at the end make the threads end together: seven eighths of the
 * own share, then half of what is left each time. */
static int run_length(const mt_worker *w, int left, int all)
{
    if (w->is_in_turn) return 1;
    if (w->nth == 1) return left;
    const bool is_first = w->share == 0 && left == all;
    const int n = is_first && all / 8 < w->least ? all : is_first ? all - all / 8 : (left + 1) / 2;
    return MT_MIN(MT_MAX(n, w->least), left);
}

/* A run of items of one share; false: it has none left. */
static bool take_from(mt_worker *w, int of, mt_span *out)
{
    const mt_span share = mt_share(w->n, of, w->n_share);
    const int all = share.to - share.from;
    const uint64_t first = w->step << ITEM_BITS;
    atomic_uint_least64_t *const ticket = &w->pool->lanes[of].ticket;
    uint64_t now = atomic_load_explicit(ticket, memory_order_acquire);
    for (;;) {
        const int at = now > first ? (int)MT_MIN(now - first, (uint64_t)all) : 0;
        if (at == all) return false;            /* handed out, or the ticket is of a later step */
        const int n = run_length(w, all - at, all);
        if (!atomic_compare_exchange_weak_explicit(ticket, &now, first + (uint64_t)(at + n),
                                                   memory_order_acq_rel, memory_order_acquire))
            continue;
        w->done += (uint64_t)n;
        *out = (mt_span){ share.from + at, share.from + at + n };
        return true;
    }
}

bool mt_take(mt_worker *w, mt_span *out)
{
    for (; w->share < w->n_share; w->share++)
        if (take_from(w, (w->ith + w->share) % w->n_share, out)) return true;
    return false;
}

bool mt_settle(mt_worker *w)
{
    if (w->nth == 1) return true;
    mt_pool *const p = w->pool;
    step_out(w);
    if (w->ith > 0) nap(w);
    await(w, &p->step_end, is_done, w->total, SPIN_STEP);
    keep_apart(w);
    return w->ith == 0 || step_in(w);
}

/* ---- walks --------------------------------------------------------------- */

static uint64_t done_by(const mt_pool *p, int ith)
{
    return atomic_load_explicit(&p->lanes[ith].done, memory_order_relaxed) >> 1;
}

static void *help(void *arg)
{
    const helper *h = arg;
    mt_pool *const p = h->pool;
    mt_worker w = { .pool = p, .ith = h->ith, .nth = p->n_thread, .cpu = -1, .run = 1 };
    for (;;) {
        await(&w, &p->idle, is_started, w.run, SPIN_IDLE);
        const unsigned now = atomic_load(&p->start);
        w.run = now | 1;
        if (now % 2 == 0) continue;         /* over already: wait for the next */
        w.done = done_by(p, w.ith);
        w.total = 0;                        /* of a walk it knows nothing about */
        keep_apart(&w);
        if (!step_in(&w)) continue;
        if (!p->walk) return NULL;
        w.step = p->step;
        w.total = p->total;
        p->walk(p->arg, &w);
        step_out(&w);
        w.run += 2;
    }
}

/* Publishes a walk; NULL tells the helpers to leave. */
static void begin(mt_pool *p, mt_walk_fn walk, void *arg)
{
    p->walk = walk;
    p->arg = arg;
    atomic_fetch_add(&p->start, 1);
    if (atomic_load(&p->idle.sleepers)) wake_all(&p->idle);
}

/* Tickets must never decrease, so steps begin again only here, where nobody is inside. */
static void renumber(mt_pool *p)
{
    p->step = 0;
    for (int i = 0; i < p->n_thread; i++)
        atomic_store_explicit(&p->lanes[i].ticket, 0, memory_order_relaxed);
}

void mt_pool_walk(mt_pool *p, mt_walk_fn walk, void *arg)
{
    assert(walk);
    pthread_mutex_lock(&p->run_lock);
    if (p->step >> (62 - ITEM_BITS)) renumber(p);
    mt_worker w = { .pool = p, .nth = p->n_thread, .step = p->step, .total = p->total,
                    .done = done_by(p, 0), .cpu = -1 };
    if (p->n_thread == 1) {
        walk(arg, &w);
    } else {
        begin(p, walk, arg);
        walk(arg, &w);
        assert(is_done(p, w.total));        /* the walk settled its last step */
        atomic_fetch_add(&p->start, 1);
        await(&w, &p->step_end, is_left, 0, SPIN_STEP);
    }
    p->step = w.step;
    p->total = w.total;
    pthread_mutex_unlock(&p->run_lock);
}

/* mt_pool_run is a walk of one step with an item for each thread. */
typedef struct parts { mt_work_fn work; void *arg; } parts;

static void walk_parts(void *arg, mt_worker *w)
{
    const parts p = *(const parts *)arg;
    mt_deal(w, w->nth, 1);
    for (mt_span mine; mt_take(w, &mine);)
        for (int i = mine.from; i < mine.to; i++) p.work(p.arg, i, w->nth);
    (void)mt_settle(w);
}

void mt_pool_run(mt_pool *p, mt_work_fn work, void *arg)
{
    parts each = { work, arg };
    mt_pool_walk(p, walk_parts, &each);
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
    close_bed(&p->step_end);
    pthread_mutex_destroy(&p->run_lock);
    mt_put(p->alloc, p, p->bytes);
}

static mote_status open_pool(mt_pool **out, int n_thread, bool is_crowded, const mote_alloc *alloc,
                             mote_error *err)
{
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
    p->is_crowded = is_crowded;
    for (int i = 0; i < n_thread; i++) atomic_init(&p->lanes[i].cpu, -1);
    atomic_init(&p->refs, 1);
    pthread_mutex_init(&p->run_lock, NULL);
    open_bed(&p->idle);
    open_bed(&p->step_end);
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

static mote_status check_size(int n_thread, mote_error *err)
{
    if (n_thread >= 0 && n_thread <= MT_MAX_THREAD) return MOTE_OK;
    MT_FAIL(err, MOTE_EINVAL, "thread pool: expected 1 to %d threads, found %d", MT_MAX_THREAD, n_thread);
}

mote_status mt_pool_open(mt_pool **out, int n_thread, const mote_alloc *alloc, mote_error *err)
{
    MT_TRY(check_size(n_thread, err));
    const int cores = mt_cpu_cores();
    if (n_thread > cores) mt_log(2, "%d threads asked for, %d cores to run them: using %d", n_thread, cores, cores);
    return open_pool(out, n_thread == 0 || n_thread > cores ? cores : n_thread, false, alloc, err);
}

mote_status mt_pool_open_crowded(mt_pool **out, int n_thread, const mote_alloc *alloc, mote_error *err)
{
    MT_TRY(check_size(n_thread, err));
    return open_pool(out, MT_MAX(n_thread, 1), n_thread > mt_cpu_cores(), alloc, err);
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

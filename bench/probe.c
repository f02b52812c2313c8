/* SPDX-License-Identifier: MIT */
/* probe.c - what this machine can do at best: the limits that speeds are compared with.
 *
 * Three kinds of loops: arithmetic on registers alone (the best instruction the processor has for
 * int8, f32 and bf16), reading a buffer of the model's size once and again (plain, prefetched,
 * non-temporal: the best counts), and two threads meeting at a barrier of flags, whose time tells
 * whether they share a core or a cache.  All threads run at once and every chunk of a few
 * milliseconds starts and ends together; the median over the chunks is the limit, because the
 * work it is compared with sees the same neighbours.  Instructions are chosen at run time, so one
 * program runs on every processor of the architecture. */
#include "probe.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

enum { MAX_SAMPLES = 1024, CHUNK = 4096 };

typedef struct peak_loop {      /* `run` does n rounds of `macs` multiply-adds each */
    const char *how;
    bool (*has)(void);
    void (*run)(size_t n);
    int macs;
} peak_loop;

typedef struct read_loop { const char *how; size_t ahead; bool leaves_cache; } read_loop;
typedef uint64_t (*read_fn)(const char *p, size_t n, size_t ahead, bool leaves_cache);

static _Atomic uint64_t sink;    /* results go here, so that no loop is optimised away */

/* ---- arithmetic ------------------------------------------------------------ */
#define TIMES_12(x) x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11)

#if defined(__x86_64__)
/* GCC would compute a product of constants once: this makes a register's value unknown. */
#define UNKNOWN(v) __asm__ volatile("" : "+x"(v))

static bool has_sse2(void) { return true; }
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
static bool has_zmm(void) { return __builtin_cpu_supports("avx512f"); }
static bool has_vnni_zmm(void) { return has_zmm() && __builtin_cpu_supports("avx512vnni"); }
static bool has_bf16_zmm(void) { return has_zmm() && __builtin_cpu_supports("avx512bf16"); }
static bool has_vnni_ymm(void)
{
#if defined(__clang__) && __clang_major__ < 15
    return false;               /* cannot be asked there */
#else
    return has_avx2() && __builtin_cpu_supports("avxvnni");
#endif
}

__attribute__((target("avx512f,avx512vnni"))) static void int8_zmm(size_t n)
{
    __m512i acc[12], u = _mm512_set1_epi8(3), s = _mm512_set1_epi8(-5);
    for (int i = 0; i < 12; i++) acc[i] = _mm512_set1_epi32(i);
    while (n--) {
#define STEP(i) acc[i] = _mm512_dpbusd_epi32(acc[i], u, s);
        TIMES_12(STEP)
#undef STEP
    }
    for (int i = 1; i < 12; i++) acc[0] = _mm512_add_epi32(acc[0], acc[i]);
    sink += (uint64_t)_mm_cvtsi128_si32(_mm512_castsi512_si128(acc[0]));
}

__attribute__((target("avx2,avxvnni"))) static void int8_ymm(size_t n)
{
    __m256i acc[12], u = _mm256_set1_epi8(3), s = _mm256_set1_epi8(-5);
    for (int i = 0; i < 12; i++) acc[i] = _mm256_set1_epi32(i);
    while (n--) {
#define STEP(i) acc[i] = _mm256_dpbusd_avx_epi32(acc[i], u, s);
        TIMES_12(STEP)
#undef STEP
    }
    for (int i = 1; i < 12; i++) acc[0] = _mm256_add_epi32(acc[0], acc[i]);
    sink += (uint64_t)_mm256_extract_epi32(acc[0], 0);
}

/* Four products fit into 16 bits when one side has four bits: the most that AVX2 can do. */
__attribute__((target("avx2"))) static void int8_maddubs(size_t n)
{
    const __m256i one = _mm256_set1_epi16(1), s0 = _mm256_set1_epi8(1), s1 = _mm256_set1_epi8(2),
                  s2 = _mm256_set1_epi8(3), s3 = _mm256_set1_epi8(4);
    __m256i u = _mm256_set1_epi8(5), acc[4];
    for (int i = 0; i < 4; i++) acc[i] = _mm256_set1_epi32(i);
    while (n--) {
#define STEP(i) \
        UNKNOWN(u); \
        acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(one, _mm256_add_epi16( \
            _mm256_add_epi16(_mm256_maddubs_epi16(u, s0), _mm256_maddubs_epi16(u, s1)), \
            _mm256_add_epi16(_mm256_maddubs_epi16(u, s2), _mm256_maddubs_epi16(u, s3)))));
        STEP(0) STEP(1) STEP(2) STEP(3)
#undef STEP
    }
    for (int i = 1; i < 4; i++) acc[0] = _mm256_add_epi32(acc[0], acc[i]);
    sink += (uint64_t)_mm256_extract_epi32(acc[0], 0);
}

static void int8_sse2(size_t n)
{
    __m128i u = _mm_set1_epi16(3), acc[12];
    const __m128i s = _mm_set1_epi16(-5);
    for (int i = 0; i < 12; i++) acc[i] = _mm_set1_epi32(i);
    while (n--) {
#define STEP(i) UNKNOWN(u); acc[i] = _mm_add_epi32(acc[i], _mm_madd_epi16(u, s));
        TIMES_12(STEP)
#undef STEP
    }
    for (int i = 1; i < 12; i++) acc[0] = _mm_add_epi32(acc[0], acc[i]);
    sink += (uint64_t)_mm_cvtsi128_si32(acc[0]);
}

__attribute__((target("avx512f"))) static void f32_zmm(size_t n)
{
    __m512 acc[12], u = _mm512_set1_ps(0.5f), s = _mm512_set1_ps(0.25f);
    for (int i = 0; i < 12; i++) acc[i] = _mm512_set1_ps((float)i);
    while (n--) {
#define STEP(i) acc[i] = _mm512_fmadd_ps(acc[i], u, s);
        TIMES_12(STEP)
#undef STEP
    }
    for (int i = 1; i < 12; i++) acc[0] = _mm512_add_ps(acc[0], acc[i]);
    sink += (uint64_t)_mm512_reduce_add_ps(acc[0]);
}

__attribute__((target("avx2,fma"))) static void f32_ymm(size_t n)
{
    __m256 acc[12], u = _mm256_set1_ps(0.5f), s = _mm256_set1_ps(0.25f);
    for (int i = 0; i < 12; i++) acc[i] = _mm256_set1_ps((float)i);
    while (n--) {
#define STEP(i) acc[i] = _mm256_fmadd_ps(acc[i], u, s);
        TIMES_12(STEP)
#undef STEP
    }
    for (int i = 1; i < 12; i++) acc[0] = _mm256_add_ps(acc[0], acc[i]);
    sink += (uint64_t)_mm256_cvtss_f32(acc[0]);
}

static void f32_sse2(size_t n)
{
    __m128 acc[12], u = _mm_set1_ps(0.5f), s = _mm_set1_ps(0.25f);
    for (int i = 0; i < 12; i++) acc[i] = _mm_set1_ps((float)i);
    while (n--) {
#define STEP(i) UNKNOWN(u); acc[i] = _mm_add_ps(acc[i], _mm_mul_ps(u, s));
        TIMES_12(STEP)
#undef STEP
    }
    for (int i = 1; i < 12; i++) acc[0] = _mm_add_ps(acc[0], acc[i]);
    sink += (uint64_t)_mm_cvtss_f32(acc[0]);
}

__attribute__((target("avx512f,avx512bf16"))) static void bf16_zmm(size_t n)
{
    const __m512bh u = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.5f));
    __m512 acc[12];
    for (int i = 0; i < 12; i++) acc[i] = _mm512_set1_ps((float)i);
    while (n--) {
#define STEP(i) acc[i] = _mm512_dpbf16_ps(acc[i], u, u);
        TIMES_12(STEP)
#undef STEP
    }
    for (int i = 1; i < 12; i++) acc[0] = _mm512_add_ps(acc[0], acc[i]);
    sink += (uint64_t)_mm512_reduce_add_ps(acc[0]);
}

static const peak_loop int8_loops[] = {
    { "vpdpbusd zmm", has_vnni_zmm, int8_zmm, 12 * 64 },
    { "vpdpbusd ymm", has_vnni_ymm, int8_ymm, 12 * 32 },
    { "vpmaddubsw ymm, 4-bit weights", has_avx2, int8_maddubs, 16 * 32 },
    { "pmaddwd xmm", has_sse2, int8_sse2, 12 * 8 },
};
static const peak_loop f32_loops[] = {
    { "vfmadd zmm", has_zmm, f32_zmm, 12 * 16 },
    { "vfmadd ymm", has_avx2, f32_ymm, 12 * 8 },
    { "mulps and addps xmm", has_sse2, f32_sse2, 12 * 4 },
};
static const peak_loop bf16_loops[] = { { "vdpbf16ps zmm", has_bf16_zmm, bf16_zmm, 12 * 32 } };

#elif defined(__aarch64__)
/* The assembler is told of each extension where it is used; whether the processor has it is asked
 * of the system.  The bits are the kernel's interface, fixed for ever. */
typedef uint32_t vec_u32 __attribute__((vector_size(16)));

#if defined(__linux__)
static bool has_hwcap(int bit) { return getauxval(AT_HWCAP) >> bit & 1; }
static bool has_hwcap2(int bit) { return getauxval(AT_HWCAP2) >> bit & 1; }
#else
static bool has_hwcap(int bit) { (void)bit; return false; }
static bool has_hwcap2(int bit) { (void)bit; return false; }
#endif
static bool has_neon(void) { return true; }
static bool has_dotprod(void) { return has_hwcap(20); }
static bool has_i8mm(void) { return has_hwcap2(13); }
static bool has_bf16(void) { return has_hwcap2(14); }

#define ARM_LOOP(assembly) \
    vec_u32 acc[12], u = { 1, 2, 3, 4 }, s = { 5, 6, 7, 8 }; \
    for (int i = 0; i < 12; i++) acc[i] = (vec_u32){ (uint32_t)i, 1, 2, 3 }; \
    while (n--) { TIMES_12(assembly) } \
    for (int i = 1; i < 12; i++) acc[0] += acc[i]; \
    sink += (uint64_t)acc[0][0];

#define SDOT(i)   __asm__(".arch armv8.2-a+dotprod\n\tsdot %0.4s, %1.16b, %2.16b" : "+w"(acc[i]) : "w"(u), "w"(s));
#define SMMLA(i)  __asm__(".arch armv8.2-a+i8mm\n\tsmmla %0.4s, %1.16b, %2.16b" : "+w"(acc[i]) : "w"(u), "w"(s));
#define BFDOT(i)  __asm__(".arch armv8.2-a+bf16\n\tbfdot %0.4s, %1.8h, %2.8h" : "+w"(acc[i]) : "w"(u), "w"(s));
#define BFMMLA(i) __asm__(".arch armv8.2-a+bf16\n\tbfmmla %0.4s, %1.8h, %2.8h" : "+w"(acc[i]) : "w"(u), "w"(s));
#define FMLA(i)   __asm__("fmla %0.4s, %1.4s, %2.4s" : "+w"(acc[i]) : "w"(u), "w"(s));
#define SMLAL(i) { vec_u32 t; \
        __asm__("smull %1.8h, %2.8b, %3.8b\n\tsmlal2 %1.8h, %2.16b, %3.16b\n\tsadalp %0.4s, %1.8h" \
                : "+w"(acc[i]), "=&w"(t) : "w"(u), "w"(s)); }

static void int8_sdot(size_t n) { ARM_LOOP(SDOT) }
static void int8_smmla(size_t n) { ARM_LOOP(SMMLA) }
static void int8_smlal(size_t n) { ARM_LOOP(SMLAL) }
static void f32_fmla(size_t n) { ARM_LOOP(FMLA) }
static void bf16_bfdot(size_t n) { ARM_LOOP(BFDOT) }
static void bf16_bfmmla(size_t n) { ARM_LOOP(BFMMLA) }

static const peak_loop int8_loops[] = {
    { "smmla", has_i8mm, int8_smmla, 12 * 32 },
    { "sdot", has_dotprod, int8_sdot, 12 * 16 },
    { "smull, smlal2, sadalp", has_neon, int8_smlal, 12 * 16 },
};
static const peak_loop f32_loops[] = { { "fmla", has_neon, f32_fmla, 12 * 4 } };
static const peak_loop bf16_loops[] = {
    { "bfmmla", has_bf16, bf16_bfmmla, 12 * 16 },
    { "bfdot", has_bf16, bf16_bfdot, 12 * 8 },
};

#else
static bool has_plain(void) { return true; }
static bool has_nothing(void) { return false; }

static void int8_plain(size_t n)
{
    static volatile int8_t a[64], b[64];
    int32_t acc = 0;
    while (n--)
        for (int i = 0; i < 64; i++) acc += a[i] * b[i];
    sink += (uint64_t)acc;
}

static void f32_plain(size_t n)
{
    volatile float start = 0.5f;
    float acc[12];
    for (int i = 0; i < 12; i++) acc[i] = start;
    while (n--)
        for (int i = 0; i < 12; i++) acc[i] = acc[i] * 0.5f + 0.25f;
    for (int i = 0; i < 12; i++) sink += (uint64_t)acc[i];
}

static const peak_loop int8_loops[] = { { "plain C", has_plain, int8_plain, 64 } };
static const peak_loop f32_loops[] = { { "plain C", has_plain, f32_plain, 12 } };
static const peak_loop bf16_loops[] = { { "none", has_nothing, f32_plain, 12 } };
#endif

/* ---- reading ----------------------------------------------------------------- */
/* Sums n bytes (a multiple of 256) through vectors of one width; hints `ahead` bytes in front. */
#define READ_BODY(vec) \
    vec s0 = { 0 }, s1 = { 0 }, s2 = { 0 }, s3 = { 0 }; \
    const char *const end = p + n; \
    const size_t quarter = 256 / sizeof(vec) / 4; \
    for (; p < end; p += 256) { \
        if (ahead && leaves_cache) \
            for (size_t i = 0; i < 256; i += 64) __builtin_prefetch(p + ahead + i, 0, 0); \
        else if (ahead) \
            for (size_t i = 0; i < 256; i += 64) __builtin_prefetch(p + ahead + i, 0, 3); \
        const vec *v = (const vec *)(const void *)p; \
        for (size_t i = 0; i < quarter; i++) { \
            s0 += v[i], s1 += v[quarter + i], s2 += v[2 * quarter + i], s3 += v[3 * quarter + i]; \
        } \
    } \
    s0 += s1 + s2 + s3; \
    return s0[0] + s0[1];

typedef uint64_t vec16 __attribute__((vector_size(16)));
static uint64_t read_16(const char *p, size_t n, size_t ahead, bool leaves_cache) { READ_BODY(vec16) }

#if defined(__x86_64__)
typedef uint64_t vec32 __attribute__((vector_size(32)));
typedef uint64_t vec64 __attribute__((vector_size(64)));
__attribute__((target("avx2")))
static uint64_t read_32(const char *p, size_t n, size_t ahead, bool leaves_cache) { READ_BODY(vec32) }
__attribute__((target("avx512f")))
static uint64_t read_64(const char *p, size_t n, size_t ahead, bool leaves_cache) { READ_BODY(vec64) }

static read_fn widest_read(void) { return has_zmm() ? read_64 : has_avx2() ? read_32 : read_16; }
#else
static read_fn widest_read(void) { return read_16; }
#endif

static const read_loop read_loops[] = {
    { "plain", 0, false },
    { "prefetched 4 KiB ahead", 4096, false },
    { "prefetched 8 KiB ahead", 8192, false },
    { "prefetched 16 KiB ahead", 16384, false },
    { "non-temporal 4 KiB ahead", 4096, true },
    { "non-temporal 16 KiB ahead", 16384, true },
};
enum { N_READ = sizeof read_loops / sizeof *read_loops };

/* ---- threads --------------------------------------------------------------------- */
struct probe {
    int threads;
    size_t slice;               /* bytes that one thread reads in a pass */
    size_t mapped;
    char *data;                 /* (threads, slice) */
    int best_read;
};

/* One measurement: every thread does `step` between two meetings, until the time is over. */
typedef struct job {
    probe *p;
    int threads;
    void (*step)(struct job *j, int ith);
    const peak_loop *peak;
    const read_loop *read;
    read_fn read_with;
    size_t n;                   /* rounds or passes of one step */
    double seconds;
    int least;                  /* steps, even when they take longer than that */
    double sample[MAX_SAMPLES]; /* seconds of each step */
    int n_sample;
    bool stop;                  /* written by thread 0 before a meeting */
    _Alignas(64) atomic_int arrived;
    _Alignas(64) atomic_uint turn;
    _Alignas(64) atomic_uint flag_0;
    _Alignas(64) atomic_uint flag_1;
} job;
typedef struct worker { pthread_t thread; job *j; int ith; } worker;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* More threads than cores still finish: who waits long gives the core away. */
static void wait_a_little(unsigned turns)
{
    if (turns % 16384 == 16383) sched_yield();
}

static void meet(job *j)
{
    const unsigned turn = atomic_load(&j->turn);
    if (atomic_fetch_add(&j->arrived, 1) + 1 == j->threads) {
        atomic_store(&j->arrived, 0);
        atomic_store(&j->turn, turn + 1);
        return;
    }
    for (unsigned i = 0; atomic_load_explicit(&j->turn, memory_order_acquire) == turn; i++) wait_a_little(i);
}

static void work(job *j, int ith)
{
    const double begin = now();
    for (;;) {
        meet(j);
        if (j->stop) return;
        const double start = now();
        j->step(j, ith);
        meet(j);
        if (ith) continue;
        const double end = now();
        j->sample[j->n_sample++] = end - start;
        j->stop = j->n_sample == MAX_SAMPLES || (end - begin > j->seconds && j->n_sample >= j->least);
    }
}

static void *work_in_thread(void *w)
{
    work(((worker *)w)->j, ((worker *)w)->ith);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs a job on its threads and sorts the samples.  Threads that do not start: fewer of them. */
static int run_job(job *j)
{
    worker *w = calloc((size_t)j->threads, sizeof *w);
    if (!w) return -1;
    int started = 1;
    j->n_sample = 0;
    j->stop = false;
    /* nobody passes the first meeting before all have started, so a failure ends the whole job */
    atomic_store(&j->arrived, 0);
    const int wanted = j->threads;
    for (; started < wanted; started++) {
        w[started].j = j;
        w[started].ith = started;
        if (pthread_create(&w[started].thread, NULL, work_in_thread, &w[started])) break;
    }
    if (started < wanted) {     /* stand in for the missing ones at the first meeting, then end */
        j->stop = true;
        atomic_fetch_add(&j->arrived, wanted - started);
        meet(j);
    } else {
        work(j, 0);
    }
    for (int i = 1; i < started; i++) pthread_join(w[i].thread, NULL);
    free(w);
    if (started < wanted) return -1;
    qsort(j->sample, (size_t)j->n_sample, sizeof *j->sample, by_value);
    return 0;
}

/* The rate of sorted samples when one step is worth `amount`. */
static void rate_of(const job *j, double amount, const char *how, probe_rate *out)
{
    const double median = j->sample[j->n_sample / 2];
    if (amount / median * 1e-9 <= out->median) return;      /* another loop was better */
    out->median = amount / median * 1e-9;
    out->best = amount / j->sample[0] * 1e-9;
    snprintf(out->how, sizeof out->how, "%s", how);
}

/* ---- the measurements ---------------------------------------------------------------- */
static void step_peak(job *j, int ith) { (void)ith; j->peak->run(j->n); }

static int measure_peak(probe *p, job *j, const peak_loop *loops, int n_loops, double seconds, probe_rate *out)
{
    int n_has = 0;
    *out = (probe_rate){ 0 };
    for (int i = 0; i < n_loops; i++) n_has += loops[i].has();
    for (int i = 0; i < n_loops; i++) {
        if (!loops[i].has()) continue;
        double took = 0;
        for (j->n = 256; took < 1e-3; j->n *= 2) {          /* a step of 2 ms */
            const double start = now();
            loops[i].run(j->n);
            took = now() - start;
        }
        j->threads = p->threads;
        j->step = step_peak;
        j->peak = &loops[i];
        j->seconds = seconds / n_has;
        if (run_job(j)) return -1;
        rate_of(j, (double)j->n * loops[i].macs * p->threads, loops[i].how, out);
    }
    return 0;
}

static void step_touch(job *j, int ith)
{
    memset(j->p->data + (size_t)ith * j->p->slice, 1 + ith, j->p->slice);
}

static void step_read(job *j, int ith)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < j->n; i++)
        sum += j->read_with(j->p->data + (size_t)ith * j->p->slice, j->p->slice, j->read->ahead,
                            j->read->leaves_cache);
    sink += sum;
}

static int measure_read(probe *p, job *j, bool again, double seconds, probe_rate *out)
{
    const size_t bytes = p->slice * (size_t)p->threads;
    *out = (probe_rate){ 0 };
    j->threads = p->threads;
    j->step = step_read;
    j->read_with = widest_read();
    j->n = bytes < (8u << 20) ? (8u << 20) / bytes + 1 : 1; /* a step of many barriers' time */
    j->seconds = again ? seconds : seconds / N_READ;
    for (int i = 0; i < N_READ; i++) {
        const double before = out->median;
        if (again && i != p->best_read) continue;
        j->read = &read_loops[i];
        if (run_job(j)) return -1;
        rate_of(j, (double)(bytes * j->n), read_loops[i].how, out);
        if (out->median > before) p->best_read = i;
    }
    return 0;
}

/* Each raises its own flag and waits for the other's, 1,000 times. */
static void step_barrier(job *j, int ith)
{
    atomic_uint *mine = ith ? &j->flag_1 : &j->flag_0, *theirs = ith ? &j->flag_0 : &j->flag_1;
    unsigned count = atomic_load(mine);
    for (size_t i = 0; i < j->n; i++) {
        atomic_store_explicit(mine, ++count, memory_order_release);
        for (unsigned k = 0; atomic_load_explicit(theirs, memory_order_acquire) - count > UINT32_MAX / 2; k++)
            wait_a_little(k);
    }
}

static int measure_barrier(job *j, double seconds, probe_report *out)
{
    out->barrier_ns = 0;
    snprintf(out->placement, sizeof out->placement, "one core");
    if (probe_cores() < 2) return 0;
    j->threads = 2;
    j->step = step_barrier;
    j->n = 1000;
    j->seconds = seconds;
    atomic_store(&j->flag_0, 0);
    atomic_store(&j->flag_1, 0);
    if (run_job(j)) return -1;
    const double ns = j->sample[j->n_sample / 2] / (double)j->n * 1e9;
    out->barrier_ns = ns;
    snprintf(out->placement, sizeof out->placement, "%s",
             ns < 35 ? "SMT siblings" : ns < 120 ? "same cache" : "split caches");
    return 0;
}

int probe_cores(void)
{
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

probe *probe_open(int threads, size_t bytes)
{
    probe *p = calloc(1, sizeof *p);
    job *j = calloc(1, sizeof *j);
    if (!p || !j) goto fail;
    p->threads = threads > 0 ? threads : probe_cores();
    p->data = MAP_FAILED;
    /* half as much while memory is short: the report says how much it was */
    for (; p->data == MAP_FAILED && bytes >= CHUNK; bytes /= 2) {
        p->slice = (bytes / (size_t)p->threads + 255) / 256 * 256;
        p->mapped = p->slice * (size_t)p->threads;
        p->data = mmap(NULL, p->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (p->data == MAP_FAILED) goto fail;
#if defined(MADV_HUGEPAGE)
    madvise(p->data, p->mapped, MADV_HUGEPAGE);
#endif
    j->p = p;
    j->threads = p->threads;
    j->step = step_touch;       /* by the thread that will read it */
    j->least = 1;
    if (run_job(j)) goto fail;
    free(j);
    return p;
fail:
    free(j);
    probe_close(p);
    return NULL;
}

void probe_close(probe *p)
{
    if (p && p->data && p->data != MAP_FAILED) munmap(p->data, p->mapped);
    free(p);
}

#define LOOPS(table) table, (int)(sizeof table / sizeof *table)

int probe_run(probe *p, unsigned what, double seconds, probe_report *out)
{
    job *j = calloc(1, sizeof *j);
    if (!j) return -1;
    int bad = 0;
    j->p = p;
    j->least = 3;
    out->threads = p->threads;
    out->bytes = p->slice * (size_t)p->threads;
    if (what & PROBE_INT8) bad |= measure_peak(p, j, LOOPS(int8_loops), seconds, &out->int8);
    if (what & PROBE_F32) bad |= measure_peak(p, j, LOOPS(f32_loops), seconds, &out->f32);
    if (what & PROBE_BF16) bad |= measure_peak(p, j, LOOPS(bf16_loops), seconds, &out->bf16);
    if (what & PROBE_READ) bad |= measure_read(p, j, false, seconds, &out->read);
    if (what & PROBE_READ_AGAIN) bad |= measure_read(p, j, true, seconds, &out->read);
    if (what & PROBE_BARRIER) bad |= measure_barrier(j, seconds, out);
    free(j);
    return bad;
}

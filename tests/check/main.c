/* SPDX-License-Identifier: MIT */
/* main.c - check_kernels: proves every kernel at every level this machine has.
 *
 *   check_kernels [--isa LEVEL|all] [--slot NAME] [--seed N] [--quick] [--bench]
 *
 * Levels rise from scalar; at each, only the slots that changed run.  A crash is caught, named
 * and counted, and the next slot goes on.  The last line counts; any failure is exit status 1. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

const mt_kern *ck_kern, *ck_ref;
bool ck_quick;

static uint64_t seed = 1, state;
static const char *level = "", *slot = "";
static char shape[160];
static long n_passed, n_failed;
static sigjmp_buf on_crash;

/* ---- random -------------------------------------------------------------- */
uint64_t ck_bits(void)          /* splitmix64 */
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
int ck_int(int lo, int hi) { return lo + (int)(ck_bits() % (uint64_t)(hi - lo + 1)); }
float ck_float(float lo, float hi)
{
    return lo + (hi - lo) * (float)(ck_bits() >> 40) * (1.0f / 16777216.0f);
}
float ck_nasty(void)
{
    static const float pick[] = {0.0f, -0.0f, 1e-30f, 1e-6f, 1.0f, 1e4f, 3e9f, 127.0f};
    const float f = pick[ck_bits() % MT_COUNT(pick)];
    return ck_bits() & 1 ? f * ck_float(-1, 1) : f;
}

/* ---- memory -------------------------------------------------------------- */
enum { MAX_MEM = 64, PAGE = 4096 };
typedef struct mem { uint8_t *map, *p; size_t map_bytes, bytes, slack; } mem;
static mem mems[MAX_MEM];
static int n_mem;

static void free_all(void)
{
    while (n_mem > 0) {
        n_mem--;
        munmap(mems[n_mem].map, mems[n_mem].map_bytes);
    }
}

static mem *take(size_t bytes, size_t slack, size_t guard)
{
    const size_t body = mt_pad(bytes + slack, PAGE) + PAGE;
    if (n_mem == MAX_MEM) abort();
    mem *m = &mems[n_mem];
    m->map_bytes = body + guard;
    m->map =
        mmap(NULL, m->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m->map == MAP_FAILED) abort();
    m->p = m->map + body - bytes - slack;
    m->bytes = bytes;
    m->slack = slack;
    memset(m->map, 0xa5, body);
    if (guard) mprotect(m->map + body, guard, PROT_NONE);
    n_mem++;
    return m;
}

void *ck_mem(size_t bytes, size_t slack) { return take(bytes, slack, PAGE)->p; }
void *ck_plain(size_t bytes) { return take(mt_pad(bytes, 64), 0, 0)->p; }
const void *ck_const(const void *from, size_t bytes, size_t slack)
{
    mem *m = take(bytes, slack, PAGE);
    memcpy(m->p, from, bytes);
    mprotect(m->map, m->map_bytes - PAGE, PROT_READ);
    return m->p;
}

void ck_canaries(void)
{
    long bad = 0;
    for (int i = 0; i < n_mem; i++) {
        const mem *m = &mems[i];
        for (const uint8_t *p = m->map; p < m->p; p++) bad += *p != 0xa5;
        for (size_t b = 0; b < m->slack; b++) bad += m->p[m->bytes + b] != 0xa5;
    }
    ck_that(bad == 0, "%ld bytes outside the buffers changed", bad);
}

/* ---- facts --------------------------------------------------------------- */
void ck_shape(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(shape, sizeof shape, fmt, ap);
    va_end(ap);
    free_all();
}

void ck_that(bool ok, const char *fmt, ...)
{
    if (ok) {
        n_passed++;
        return;
    }
    if (n_failed++ >= 40) return;
    printf("FAILED level=%s slot=%s seed=%llu shape=%s: ", level, slot,
           (unsigned long long)seed, shape);
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

void ck_skip(const char *what) { printf("%-8s %-12s SKIPPED: %s\n", level, slot, what); }

void ck_same(const char *what, const float *got, const float *expected, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(got + i, expected + i, sizeof(float)) == 0) continue;
        if (isnan(got[i]) && isnan(expected[i])) continue;
        ck_that(false, "%s[%zu]: expected %a, got %a", what, i, (double)expected[i],
                (double)got[i]);
        return;
    }
    n_passed++;
}

double ck_ulp(float f, double exact)
{
    if (isnan(exact)) return isnan(f) ? 0 : INFINITY;
    const float near = (float)exact;
    if (isinf(near) || isinf(f) || isnan(f)) return f == near ? 0 : INFINITY;
    int e;
    frexp(exact, &e);
    return fabs((double)f - exact) / ldexp(1.0, MT_MAX(e, -125) - 24);
}

/* Seconds this thread has computed: other processes' time does not count. */
static double cpu_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void ck_rate(const char *name, double units, const char *unit, void (*work)(const void *),
             const void *arg)
{
    double best = 1e30;
    int n = 1;                  /* calls between two looks at the clock */
    for (int rep = 0; rep < 15;) {
        const double t0 = cpu_time();
        for (int i = 0; i < n; i++) work(arg);
        const double t = cpu_time() - t0;
        best = fmin(best, t / n);
        if (t < 0.005) n *= 2;
        else rep++;
    }
    printf("%-8s %-28s %9.2f us %9.2f %s\n", level, name, best * 1e6, units / best * 1e-9,
           unit);
}

/* ---- levels and slots ---------------------------------------------------- */
static void crashed(int sig) { siglongjmp(on_crash, sig); }

static uint64_t hash_name(const char *s)
{
    uint64_t h = 14695981039346656037u;
    for (; *s; s++) h = (h ^ (uint8_t)*s) * 1099511628211u;
    return h;
}

static void run_case(const ck_case *c, bool is_bench)
{
    const long failed = n_failed;
    slot = c->slot;
    state = seed * 0x2545f4914f6cdd1du + hash_name(c->slot);
    const int sig = sigsetjmp(on_crash, 1);
    if (sig == 0) {
        if (is_bench) c->bench();
        else c->run();
    } else {
        ck_that(false, "%s", sig == SIGILL ? "illegal instruction (SIGILL)" :
                             sig == SIGSEGV ? "bad memory access (SIGSEGV)" :
                             sig == SIGBUS ? "bad memory access (SIGBUS)" : "crash (SIGFPE)");
    }
    free_all();
    if (!is_bench)
        printf("%-8s %-12s %s\n", level, c->slot, n_failed == failed ? "ok" : "FAILED");
    fflush(stdout);
}

/* AVX-VNNI is one instruction more than AVX2; emulated_avxvnni.h spells it out. */
#if defined(__x86_64__) && defined(MOTE_SIMD_FULL)
static bool can_emulate(unsigned features)
{
    return (features & MT_CPU_AVXVNNI) && (mt_cpu_features() & MT_CPU_AVX2);
}
static void emulate(mt_kern *t)
{
    printf("%-8s its one instruction is emulated\n", level);
    ck_init_emulated_avxvnni(t);
    ck_init_emulated_k_avxvnni(t);
}
#else
static bool can_emulate(unsigned features) { return (void)features, false; }
static void emulate(mt_kern *t) { (void)t; }
#endif

static int usage(void)
{
    fprintf(stderr,
            "usage: check_kernels [--isa scalar|avx2|avxvnni|avx512|avx512bf16|neon|dotprod|i8mm|all] [--slot NAME] [--seed N] "
            "[--quick] [--bench]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct { const char *name; unsigned features; } levels[] = {
        {"scalar", 0},
#if defined(__aarch64__)
        {"neon", MT_CPU_NEON}, {"dotprod", MT_CPU_NEON | MT_CPU_DOTPROD},
        {"i8mm", MT_CPU_NEON | MT_CPU_DOTPROD | MT_CPU_I8MM},
#else
        {"avx2", MT_CPU_AVX2}, {"avxvnni", MT_CPU_AVX2 | MT_CPU_AVXVNNI},
        {"avx512", MT_CPU_AVX2 | MT_CPU_AVX512},
        {"avx512bf16", MT_CPU_AVX2 | MT_CPU_AVX512 | MT_CPU_BF16},
#endif
    };
    static const ck_case *const groups[] = {ck_pack_cases, ck_mm_cases, ck_vec_cases,
                                            ck_attend_cases};
    const char *isa = "all", *only = NULL;
    bool is_bench = false, any = false, known = false;
    for (int i = 1; i < argc; i++) {
        const bool more = i + 1 < argc;
        if (strcmp(argv[i], "--quick") == 0) ck_quick = true;
        else if (strcmp(argv[i], "--bench") == 0) is_bench = true;
        else if (strcmp(argv[i], "--isa") == 0 && more) isa = argv[++i];
        else if (strcmp(argv[i], "--slot") == 0 && more) only = argv[++i];
        else if (strcmp(argv[i], "--seed") == 0 && more) seed = strtoull(argv[++i], NULL, 0);
        else return usage();
    }
    const int sigs[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE};
    for (size_t i = 0; i < MT_COUNT(sigs); i++) signal(sigs[i], crashed);

    static mt_kern ref, below, now;
    mt_kern_build(&ref, 0);
    ck_ref = &ref;
    ck_kern = &now;
    for (size_t l = 0; l < MT_COUNT(levels); l++) {
        level = levels[l].name;
        const bool has = (levels[l].features & ~mt_cpu_features()) == 0;
        if (strcmp(isa, "all") != 0 && strcmp(isa, level) != 0) continue;
        any = true;
        const bool is_emulated = !has && can_emulate(levels[l].features);
        if (!has && (is_bench || !is_emulated)) {
            printf("%-8s SKIPPED: this CPU does not have it\n", level);
            continue;
        }
        mt_kern_build(&now, levels[l].features & mt_cpu_features());
        if (is_emulated) emulate(&now);
        for (size_t g = 0; g < MT_COUNT(groups); g++) {
            for (const ck_case *c = groups[g]; c->slot; c++) {
                if (only && strcmp(only, c->slot) != 0) continue;
                known = true;
                if (is_bench && !c->bench) continue;
                const bool same = c->bytes && memcmp((char *)&now + c->at,
                                                     (char *)&below + c->at, c->bytes) == 0;
                const bool once = !c->bytes && l > 0 && strcmp(isa, "all") == 0;
                if (!same && !once) run_case(c, is_bench);
            }
        }
        if (strcmp(isa, "all") == 0) below = now;
    }
    if (!any || (only && !known)) return usage();
    printf("check_kernels: %ld passed, %ld failed\n", n_passed, n_failed);
    return n_failed != 0;
}

/* SPDX-License-Identifier: MIT */
/* cpu.c - what the processor can do, and what it is allowed to.
 *
 * Feature bits are read once, together with the bits that say which registers the operating
 * system saves: an instruction whose registers are not saved does not exist.  Levels are rows of
 * one table; mote_cpu_limit picks a row, mt_cpu_allowed is features & that row's mask.  The
 * limit is one of the two pieces of global state. */
#include "base/base.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
#define MACHINE "x86-64"
#elif defined(__i386__)
#define MACHINE "x86"
#elif defined(__aarch64__)
#define MACHINE "aarch64"
#elif defined(__wasm__)
#define MACHINE "wasm"
#else
#define MACHINE "generic"
#endif

/* ---- tables ------------------------------------------------------------- */

static const struct { unsigned bit; const char *name; } feature_row[] = {
    { MT_CPU_AVX2,    "avx2" },    { MT_CPU_AVX512,  "avx512" },  { MT_CPU_BF16, "avx512_bf16" },
    { MT_CPU_AVXVNNI, "avx_vnni" }, { MT_CPU_NEON,   "neon" },    { MT_CPU_DOTPROD, "dotprod" },
    { MT_CPU_I8MM,    "i8mm" },
};

/* mask: what the level lets through; need: what the machine must have to be set to it.  Checksum
 * instructions belong to no level: every one but scalar has them where the machine does. */
#define SUMS (MT_CPU_CRC | MT_CPU_SHA)
#if defined(MOTE_SIMD_PLAIN)     /* what this build has code for */
#define BUILT SUMS
#elif defined(MOTE_SIMD_BASE)
#define BUILT (SUMS | MT_CPU_AVX2 | MT_CPU_NEON)
#else
#define BUILT ~0u
#endif
#define AVXVNNI (MT_CPU_AVX2 | MT_CPU_AVXVNNI)
#define DOTPROD (MT_CPU_NEON | MT_CPU_DOTPROD)
static const struct { const char *name; unsigned mask, need; } level_row[] = {
    { "scalar",  0,                                0 },
    { "avx2",    SUMS | MT_CPU_AVX2,               MT_CPU_AVX2 },
    { "avxvnni", SUMS | AVXVNNI,                   AVXVNNI },
    { "avx512",  SUMS | MT_CPU_AVX2 | MT_CPU_AVX512, MT_CPU_AVX2 | MT_CPU_AVX512 },
    { "neon",    SUMS | MT_CPU_NEON,               MT_CPU_NEON },
    { "dotprod", SUMS | DOTPROD,                   DOTPROD },
    { "i8mm",    SUMS | DOTPROD | MT_CPU_I8MM,     DOTPROD | MT_CPU_I8MM },
    { "full",    ~0u,                              0 },
};
enum { N_LEVEL = MT_COUNT(level_row), LEVEL_FULL = N_LEVEL - 1 };

/* ---- reading the machine ------------------------------------------------ */

#if defined(__x86_64__) || defined(__i386__)
/* Register state the operating system saves (XCR0); CPUID.1:ECX.OSXSAVE must be set. */
static uint64_t saved_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool has_all(unsigned value, unsigned bits) { return (value & bits) == bits; }

static unsigned read_sums(void)
{
    enum { C1_SSSE3 = 1 << 9, C1_SSE41 = 1 << 19, C1_SSE42 = 1 << 20, B7_SHA = 1 << 29 };
    unsigned a, b, c, d, found = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    if (c & C1_SSE42) found |= MT_CPU_CRC;
    if (has_all(c, C1_SSSE3 | C1_SSE41) && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & B7_SHA))
        found |= MT_CPU_SHA;
    return found;
}

static unsigned read_vectors(void)
{
    enum { SAVES_YMM = 0x06, SAVES_ZMM = 0xE6 };
    enum { C1_FMA = 1 << 12, C1_OSXSAVE = 1 << 27, C1_AVX = 1 << 28, C1_F16C = 1 << 29 };
    enum { B7_AVX2 = 1 << 5, B7_F = 1 << 16, B7_DQ = 1 << 17, B7_BW = 1 << 30 };
    const unsigned b7_vl = 1u << 31;
    enum { C7_VBMI = 1 << 1, C7_VNNI = 1 << 11 };
    enum { A71_AVXVNNI = 1 << 4, A71_BF16 = 1 << 5 };

    unsigned a, b, c, d, features = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    if (!has_all(c, C1_FMA | C1_OSXSAVE | C1_AVX | C1_F16C)) return 0;
    const uint64_t saved = saved_state();
    if ((saved & SAVES_YMM) != SAVES_YMM || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return 0;
    if (!has_all(b, B7_AVX2)) return 0;
    features |= MT_CPU_AVX2;

    unsigned a71 = 0, b71, c71, d71;
    if (a >= 1 && !__get_cpuid_count(7, 1, &a71, &b71, &c71, &d71)) a71 = 0;
    if (a71 & A71_AVXVNNI) features |= MT_CPU_AVXVNNI;
    if ((saved & SAVES_ZMM) != SAVES_ZMM) return features;
    if (!has_all(b, B7_F | B7_DQ | B7_BW | b7_vl) || !has_all(c, C7_VBMI | C7_VNNI)) return features;
    features |= MT_CPU_AVX512;
    if (a71 & A71_BF16) features |= MT_CPU_BF16;
    return features;
}

static unsigned read_features(void) { return read_sums() | read_vectors(); }
#elif defined(__aarch64__) && defined(__linux__)
static unsigned read_features(void)
{
    /* Bits of the kernel's interface, fixed for ever; old C libraries lack the names. */
    const unsigned long asimd = 1ul << 1, crc32 = 1ul << 7, asimddp = 1ul << 20, i8mm = 1ul << 13;
    const unsigned long word = getauxval(AT_HWCAP), word2 = getauxval(AT_HWCAP2);
    if (!(word & asimd)) return 0;
    return MT_CPU_NEON | (word & crc32 ? (unsigned)MT_CPU_CRC : 0u)
                       | (word & asimddp ? (unsigned)MT_CPU_DOTPROD : 0u)
                       | (word2 & i8mm ? (unsigned)MT_CPU_I8MM : 0u);
}
#elif defined(__aarch64__)
static unsigned read_features(void) { return MT_CPU_NEON; }     /* part of the base architecture */
#else
static unsigned read_features(void) { return 0; }
#endif

/* ---- state -------------------------------------------------------------- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static unsigned features;                   /* written once */
static char level_text[N_LEVEL][96];        /* mote_cpu_name at each level; written once */
static atomic_int level = LEVEL_FULL;

static void read_machine(void)
{
    features = read_features() & BUILT;
    for (size_t i = 0; i < N_LEVEL; i++) {
        char *const text = level_text[i];
        size_t n = (size_t)snprintf(text, sizeof level_text[i], "%s", MACHINE);
        for (size_t k = 0; k < MT_COUNT(feature_row); k++) {
            if (!(features & level_row[i].mask & feature_row[k].bit)) continue;
            n += (size_t)snprintf(text + n, sizeof level_text[i] - n, " %s", feature_row[k].name);
        }
    }
}

unsigned mt_cpu_features(void)
{
    pthread_once(&once, read_machine);
    return features;
}

unsigned mt_cpu_allowed(void)
{
    return mt_cpu_features() & level_row[atomic_load(&level)].mask;
}

const char *mote_cpu_name(void)
{
    pthread_once(&once, read_machine);
    return level_text[atomic_load(&level)];
}

mote_status mote_cpu_limit(const char *isa, mote_error *err)
{
    const unsigned has = mt_cpu_features();
    for (int i = 0; isa && i < N_LEVEL; i++) {
        if (strcmp(isa, level_row[i].name) != 0) continue;
        if ((has & level_row[i].need) != level_row[i].need)
            MT_FAIL(err, MOTE_EINVAL, "CPU level %s: this machine has only %s", isa,
                    level_text[LEVEL_FULL]);
        atomic_store(&level, i);
        return MOTE_OK;
    }
    MT_FAIL(err, MOTE_EINVAL, "CPU level: expected scalar, avx2, avxvnni, avx512, neon, dotprod, "
            "i8mm or full, found %s", isa ? isa : "nothing");
}

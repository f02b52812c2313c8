/* SPDX-License-Identifier: MIT */
/* driver.c - runs a fuzz target where libFuzzer is not available.
 *
 *   prog [-seed=N] [-runs=N] [-max_total_time=S | --seconds S] [-artifact_prefix=P] FILE|FOLDER...
 *
 * Every file is replayed once; then mutations of the files are, -runs of them or for so long (by
 * default none).  The same seed and files give the same inputs.  An input that crashes or takes
 * longer than 20 s is written to P + "crash" or "timeout" before the process dies. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Of the sanitizers' run time; absent in a plain build. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

enum { MAX_FILE = 32 << 20, MAX_MUTANT = 1 << 20, MAX_SEED = 4096, SECONDS_EACH = 20 };

typedef struct input { uint8_t *p; size_t n; } input;

static input seeds[MAX_SEED];
static size_t n_seed;
static const char *prefix = "";
static const uint8_t *running;      /* for the handlers below */
static size_t running_size;

/* ---- when it dies ---------------------------------------------------------- */

static void keep_input(const char *why)
{
    static char path[512];
    if (!running) return;
    snprintf(path, sizeof path, "%s%s", prefix, why);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    size_t done = 0;
    while (fd >= 0 && done < running_size) {
        const ssize_t n = write(fd, running + done, running_size - done);
        if (n <= 0) break;
        done += (size_t)n;
    }
    if (fd >= 0) close(fd);
    fprintf(stderr, "\n%s: the input of %zu bytes lies in %s\n", why, running_size, path);
    running = NULL;
}

static void on_death(void) { keep_input("crash"); }

static void on_signal(int number)
{
    keep_input(number == SIGALRM ? "timeout" : "crash");
    signal(number, SIG_DFL);
    raise(number == SIGALRM ? SIGABRT : number);
}

/* A copy of exactly the input's size, so that a sanitizer sees a read past the end. */
static void run_one(const uint8_t *p, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact) abort();
    if (n) memcpy(exact, p, n);
    running = exact;
    running_size = n;
    alarm(SECONDS_EACH);
    LLVMFuzzerTestOneInput(exact, n);
    alarm(0);
    running = NULL;
    free(exact);
}

/* ---- seeds ------------------------------------------------------------------ */

static bool add_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f || n_seed == MAX_SEED) {
        if (f) fclose(f);
        return false;
    }
    size_t n = 0, cap = 4096;
    uint8_t *p = malloc(cap);
    while (p && n < MAX_FILE) {
        n += fread(p + n, 1, cap - n, f);
        if (n < cap) break;
        uint8_t *grown = realloc(p, cap *= 2);
        if (!grown) free(p);
        p = grown;
    }
    fclose(f);
    if (p) seeds[n_seed++] = (input){ p, n };
    return p != NULL;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool add_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) return false;
    if (!S_ISDIR(st.st_mode)) return add_file(path);
    struct dirent **entry;
    const int n = scandir(path, &entry, NULL, by_name);     /* a fixed order: same seed, same inputs */
    for (int i = 0; i < n; i++) {
        char name[1024];
        snprintf(name, sizeof name, "%s/%s", path, entry[i]->d_name);
        if (entry[i]->d_name[0] != '.' && stat(name, &st) == 0 && S_ISREG(st.st_mode)) add_file(name);
        free(entry[i]);
    }
    if (n >= 0) free(entry);
    return n >= 0;
}

/* ---- mutation ---------------------------------------------------------------- */

static uint64_t random_state;

static uint64_t next_random(void)       /* splitmix64 */
{
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static size_t below(size_t n) { return n ? (size_t)(next_random() % n) : 0; }

static uint64_t boundary(void)
{
    static const uint64_t value[] = {
        0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000u,
        0xFFFFFFFFu, 0x100000000u, 0x7FFFFFFFFFFFFFFFu, 0x8000000000000000u, UINT64_MAX,
        UINT64_MAX - 31, UINT64_MAX / 4 + 1,
    };
    const uint64_t v = value[below(sizeof value / sizeof *value)];
    return below(2) ? v : v + below(17) - 8;
}

/* Positions near the start are likelier: that is where headers lie. */
static size_t position(size_t n)
{
    return below(2) ? below(n) : below(below(n) + 1);
}

static void overwrite(uint8_t *p, size_t n, size_t at, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width && at + i < n; i++) p[at + i] = (uint8_t)(value >> (8 * i));
}

/* One edit of p[0..n), which has room for MAX_MUTANT; the new size. */
static size_t edit(uint8_t *p, size_t n)
{
    const size_t at = position(n), other = position(n);
    size_t length = 1 + below(below(4) ? 16 : 512);
    switch (below(9)) {
    case 0: if (n) p[at] ^= (uint8_t)(1u << below(8)); break;
    case 1: if (n) p[at] = (uint8_t)next_random(); break;
    case 2: overwrite(p, n, at, boundary(), 4); break;
    case 3: overwrite(p, n, at, boundary(), 8); break;
    case 4: if (n) p[at] = (uint8_t)(p[at] + below(17) - 8); break;
    case 5: return below(8) ? n : at;                               /* cut the end */
    case 6:                                                         /* delete a piece */
        if (length > n - at) length = n - at;
        memmove(p + at, p + at + length, n - at - length);
        return n - length;
    case 7:                                                         /* repeat a piece elsewhere */
        if (length > n - other) length = n - other;
        if (length > MAX_MUTANT - n) length = MAX_MUTANT - n;
        if (length > 512) length = 512;
        uint8_t piece[512];
        memcpy(piece, p + other, length);
        memmove(p + at + length, p + at, n - at);
        memcpy(p + at, piece, length);
        return n + length;
    case 8:                                                         /* copy a piece over */
        if (length > n - at) length = n - at;
        if (length > n - other) length = n - other;
        memmove(p + at, p + other, length);
        break;
    }
    return n;
}

static size_t mutate(uint8_t *room)
{
    const input *seed = &seeds[below(n_seed)];
    size_t n = seed->n < MAX_MUTANT ? seed->n : MAX_MUTANT;
    if (n) memcpy(room, seed->p, n);
    if (below(16) == 0) {                                           /* the end of another seed */
        const input *end = &seeds[below(n_seed)];
        const size_t keep = below(n + 1), from = below(end->n + 1);
        size_t tail = end->n - from;
        if (tail > MAX_MUTANT - keep) tail = MAX_MUTANT - keep;
        if (tail) memcpy(room + keep, end->p + from, tail);
        n = keep + tail;
    }
    for (size_t edits = 1 + below(5); edits > 0; edits--) n = edit(room, n);
    return n;
}

/* ---- main --------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const char *value_of(const char *arg, const char *name)
{
    const size_t n = strlen(name);
    return strncmp(arg, name, n) == 0 ? arg + n : NULL;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, runs = 0;
    double seconds = 0;
    for (int i = 1; i < argc; i++) {
        const char *value;
        if ((value = value_of(argv[i], "-seed="))) seed = strtoull(value, NULL, 10);
        else if ((value = value_of(argv[i], "-runs="))) runs = strtoull(value, NULL, 10);
        else if ((value = value_of(argv[i], "-max_total_time="))) seconds = strtod(value, NULL);
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) seconds = strtod(argv[++i], NULL);
        else if ((value = value_of(argv[i], "-artifact_prefix="))) prefix = value;
        else if (argv[i][0] == '-') continue;                       /* libFuzzer's, not ours */
        else if (!add_path(argv[i])) {
            fprintf(stderr, "%s: cannot read %s\n", argv[0], argv[i]);
            return 2;
        }
    }
    const int fatal[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL };
    for (size_t i = 0; !__sanitizer_set_death_callback && i < sizeof fatal / sizeof *fatal; i++)
        signal(fatal[i], on_signal);
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(on_death);
    signal(SIGALRM, on_signal);

    for (size_t i = 0; i < n_seed; i++) run_one(seeds[i].p, seeds[i].n);
    uint64_t done = n_seed;
    if (n_seed == 0) seeds[n_seed++] = (input){ NULL, 0 };          /* grow from nothing */
    uint8_t *room = malloc(MAX_MUTANT);
    if (!room) return 2;
    const double end = now() + seconds;
    for (uint64_t run = 0; runs ? run < runs : seconds > 0; run++, done++) {
        if (seconds > 0 && run % 16 == 0 && now() >= end) break;
        random_state = seed * 0x100000001B3u ^ run * 0x9E3779B97F4A7C15u;
        run_one(room, mutate(room));
    }
    printf("seed %" PRIu64 "\n%" PRIu64 " inputs\n", seed, done);
    free(room);
    for (size_t i = 0; i < n_seed; i++) free(seeds[i].p);
    return 0;
}

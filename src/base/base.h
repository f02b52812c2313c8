/* SPDX-License-Identifier: MIT */
/* base.h - what every layer stands on: errors, checked arithmetic, memory, files, threads.
 *
 * Nothing here knows what a model is.  Errors are values: a function that can fail returns a
 * mote_status and, when the caller passed a mote_error, one sentence (what, where, expected,
 * found).  Memory comes from a mote_alloc the caller chose; long-lived things sit in an arena
 * and are freed with it. */
#ifndef MT_BASE_H
#define MT_BASE_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mote.h"

/* ---- attributes --------------------------------------------------------- */
#if defined(__GNUC__)
#define MT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define MT_INLINE            static inline __attribute__((always_inline))
#define MT_ALIGNED(n)        __attribute__((aligned(n)))
#define MT_TARGET(isa)       __attribute__((target(isa)))
#define MT_LIKELY(x)         __builtin_expect(!!(x), 1)
#define MT_UNLIKELY(x)       __builtin_expect(!!(x), 0)
#define MT_PREFETCH(p)       __builtin_prefetch(p)
#else
#define MT_PRINTF(fmt, args)
#define MT_INLINE            static inline
#define MT_ALIGNED(n)        _Alignas(n)
#define MT_TARGET(isa)
#define MT_LIKELY(x)         (x)
#define MT_UNLIKELY(x)       (x)
#define MT_PREFETCH(p)       ((void)(p))
#endif
#define MT_COUNT(array) (sizeof(array) / sizeof *(array))
#define MT_MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MT_MAX(a, b)    ((a) > (b) ? (a) : (b))

enum { MT_ALIGN = 64 };         /* every arena push and every packed weight */

/* ---- errors ------------------------------------------------------------- */
/* Formats into err (NULL allowed), cutting what does not fit, and returns code. */
mote_status mt_fail(mote_error *err, mote_status code, const char *fmt, ...) MT_PRINTF(3, 4);
#define MT_FAIL(err, code, ...) return mt_fail((err), (code), __VA_ARGS__)
#define MT_TRY(call)                                       \
    do {                                                   \
        mote_status mt_status_ = (call);                   \
        if (MT_UNLIKELY(mt_status_ != MOTE_OK)) return mt_status_; \
    } while (0)

/* ---- checked arithmetic: the only arithmetic on sizes that a file names -- */
MT_INLINE bool mt_add_ok(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
MT_INLINE bool mt_mul_ok(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
/* Rounds a up to a multiple of align, a power of two. */
MT_INLINE bool mt_pad_ok(size_t a, size_t align, size_t *out)
{
    size_t sum;
    if (!mt_add_ok(a, align - 1, &sum)) return false;
    *out = sum & ~(align - 1);
    return true;
}
MT_INLINE size_t mt_pad(size_t a, size_t align) { return (a + align - 1) & ~(align - 1); }

/* ---- strings: a view, not owned, not necessarily terminated -------------- */
typedef struct mt_str { const char *p; size_t n; } mt_str;
mt_str mt_str_of(const char *text);               /* NULL gives the empty string */
bool   mt_str_eq(mt_str a, mt_str b);
bool   mt_str_is(mt_str a, const char *text);

/* The last bytes of a path, few enough that an error sentence still fits behind them. */
const char *mt_path_end(const char *path);

/* FNV-1a; for hash tables whose keys are checked after the look-up. */
uint64_t mt_hash(const void *p, size_t n);

/* ---- memory ------------------------------------------------------------- */
extern const mote_alloc mt_alloc_libc;            /* the default allocator */
/* NULL alloc means mt_alloc_libc.  align is a power of two; NULL when there is no memory. */
void *mt_get(const mote_alloc *alloc, size_t bytes, size_t align);
void  mt_put(const mote_alloc *alloc, void *p, size_t bytes);

/* An arena grows by blocks and frees as a whole.  Sealed, it fails every push that would need
 * a new block: the guard behind "decode allocates nothing". */
typedef struct mt_arena_block mt_arena_block;
typedef struct mt_arena {
    const mote_alloc *alloc;
    mt_arena_block   *head;     /* newest block; older ones behind it */
    size_t            block_bytes;
    size_t            used, high_water;  /* bytes handed out now, at most */
    bool              is_sealed;
} mt_arena;
typedef struct mt_arena_mark { mt_arena_block *block; size_t block_used, used; } mt_arena_mark;
void  mt_arena_init(mt_arena *a, const mote_alloc *alloc, size_t block_bytes); /* no allocation */
void  mt_arena_reset(mt_arena *a);                /* frees every block */
void *mt_arena_push(mt_arena *a, size_t bytes);   /* MT_ALIGN-aligned, not cleared; NULL: no memory */
void *mt_arena_push_zero(mt_arena *a, size_t bytes);
void *mt_arena_push_n(mt_arena *a, size_t n, size_t size); /* checked n * size, cleared */
char *mt_arena_string(mt_arena *a, mt_str s);     /* a terminated copy */
mt_arena_mark mt_arena_mark_get(const mt_arena *a);
void  mt_arena_rewind(mt_arena *a, mt_arena_mark mark);

/* A byte buffer that grows; free with mt_buf_free.  max bounds its size: hostile input must
 * name a limit. */
typedef struct mt_buf { const mote_alloc *alloc; char *p; size_t n, cap, max; } mt_buf;
void mt_buf_init(mt_buf *b, const mote_alloc *alloc, size_t max);
bool mt_buf_put(mt_buf *b, const void *p, size_t n); /* false: no memory or over max */
bool mt_buf_print(mt_buf *b, const char *fmt, ...) MT_PRINTF(2, 3);       /* the same, formatted */
void mt_buf_free(mt_buf *b);

/* Anonymous pages outside the allocator: packed weights and the KV range.  Reserved pages cost
 * memory only when touched. */
void *mt_pages_reserve(size_t bytes);             /* NULL on failure; zero-filled */
void  mt_pages_huge(void *p, size_t bytes);       /* a wish for 2 MiB pages; before the first touch */
void  mt_pages_forget(void *p, size_t bytes);     /* contents become zero, memory returns */
bool  mt_pages_renew(void *p, size_t bytes);      /* zeros in place of what is mapped there */
/* Brings pages in.  false: some cannot be read (a damaged disk), where touching would be fatal. */
bool  mt_pages_touch(const void *p, size_t bytes);
void  mt_pages_release(void *p, size_t bytes);

/* ---- checksums ---------------------------------------------------------- */
/* CRC-32C (Castagnoli) of n bytes, going on from crc, the sum of the bytes before (0: none). */
uint32_t mt_crc32c(uint32_t crc, const void *p, size_t n);
/* The sum of two pieces in a row from their sums and the length of the second. */
uint32_t mt_crc32c_join(uint32_t a, uint32_t b, size_t n_b);
typedef struct mt_sha256 { uint32_t h[8]; uint64_t n; uint8_t rest[64]; } mt_sha256;
void mt_sha256_init(mt_sha256 *s);
void mt_sha256_add(mt_sha256 *s, const void *p, size_t n);
void mt_sha256_end(mt_sha256 *s, uint8_t digest[32]);

/* ---- files -------------------------------------------------------------- */
typedef struct mt_map { const uint8_t *data; size_t size; } mt_map;
mote_status mt_map_open(mt_map *out, const char *path, mote_error *err); /* read-only */
void        mt_map_forget(const mt_map *m, size_t offset, size_t bytes); /* drop resident pages */
void        mt_map_close(mt_map *m);

/* A file that is read piece by piece, or mapped over reserved pages. */
typedef struct mt_file {
    int fd;
    size_t  size;
    int64_t mtime;              /* ns since 1970 */
    bool    is_absent;
} mt_file;
mote_status mt_file_open(mt_file *f, const char *path, mote_error *err);  /* is_absent: no such file */
mote_status mt_file_read(const mt_file *f, size_t offset, void *p, size_t n, mote_error *err);
/* Read-only and shared, with a wish for 2 MiB pages; at and offset are multiples of them. */
mote_status mt_file_map(const mt_file *f, size_t offset, void *at, size_t bytes, mote_error *err);
void        mt_file_close(mt_file *f);

/* A file that appears whole or not at all: written under the name temp, which is locked meanwhile
 * and readable by the owner only, synced, renamed to path.  A crash leaves at most temp, which the
 * next draft takes over.  The names are the caller's and outlive the draft. */
typedef struct mt_draft { int fd; const char *path, *temp; } mt_draft;
/* ECANCELLED: another draft of this file is under way.  EFULL: with `bytes` more the disk would
 * have less than `reserve` left. */
mote_status mt_draft_open(mt_draft *d, const char *path, const char *temp, size_t bytes, size_t reserve,
                          mote_error *err);
mote_status mt_draft_write(mt_draft *d, size_t offset, const void *p, size_t n, mote_error *err);
mote_status mt_draft_publish(mt_draft *d, mote_error *err);
void        mt_draft_close(mt_draft *d);          /* what was not published is gone */
void        mt_draft_sweep(const char *temp);     /* removes what a crash left, unless it is in use */

bool  mt_folder_make(const char *path);           /* one level, for the owner; true: it is there */
void  mt_folder_each(const char *path, void (*fn)(void *user, const char *name), void *user);
bool  mt_file_remove(const char *path);
typedef enum mt_path_kind {
    MT_PATH_ABSENT, MT_PATH_DANGLING,           /* dangling: a link to nothing */
    MT_PATH_FILE, MT_PATH_FOLDER, MT_PATH_OTHER
} mt_path_kind;
mt_path_kind mt_path_look(const char *path);          /* through links */
char *mt_path_real(mt_arena *a, const char *path);    /* without links; NULL: no such file, no memory */

/* A cursor over hostile bytes: every read is checked, the first failure sticks. */
typedef struct mt_cursor { const uint8_t *p; size_t size, at; bool failed; } mt_cursor;
bool     mt_cursor_has(const mt_cursor *c, size_t n);
uint8_t  mt_read_u8(mt_cursor *c);
uint16_t mt_read_u16(mt_cursor *c);               /* little-endian, 0 after a failure */
uint32_t mt_read_u32(mt_cursor *c);
uint64_t mt_read_u64(mt_cursor *c);
const uint8_t *mt_read_bytes(mt_cursor *c, size_t n); /* NULL after a failure */

/* ---- the CPU ------------------------------------------------------------ */
/* Feature bits, already masked by what the operating system saves. */
enum {
    MT_CPU_AVX2 = 1 << 0,        /* with FMA and F16C */
    MT_CPU_AVX512 = 1 << 1,      /* F, BW, VL, DQ, VBMI and VNNI: one level */
    MT_CPU_BF16 = 1 << 2,        /* AVX512_BF16 */
    MT_CPU_AVXVNNI = 1 << 3,
    MT_CPU_NEON = 1 << 4,
    MT_CPU_DOTPROD = 1 << 5,
    MT_CPU_I8MM = 1 << 6,
    MT_CPU_CRC = 1 << 16,        /* CRC-32C: SSE 4.2, or the extension of ARMv8 */
    MT_CPU_SHA = 1 << 17         /* SHA-256: the x86 extension, with SSE 4.1 */
};
unsigned mt_cpu_features(void);                   /* what the machine has */
unsigned mt_cpu_allowed(void);                    /* less what mote_cpu_limit took away */
int      mt_cpu_cores(void);                      /* usable cores: affinity and cgroup quota */
/* CPUs that a cgroup quota grants, rounded up; 0: no quota.  list is the text of
 * /proc/self/cgroup, root the directory where control groups are mounted. */
int      mt_cpu_quota(mt_str list, const char *root);
double   mt_now(void);                            /* seconds, monotonic */

/* ---- threads ------------------------------------------------------------ */
/* A pool of n threads, the caller among them.  Between runs the helpers spin briefly, then sleep.
 *
 * A walk is a sequence of steps, each of some items that the threads claim in runs.  mt_pool_walk
 * calls walk(arg, w) on the caller's thread and on helpers that come in time; each goes through
 * the same steps in the same order, the last one included:
 *
 *     mt_deal(w, n_item, least);
 *     for (mt_span mine; mt_take(w, &mine);) do items [mine.from, mine.to)
 *     if (!mt_settle(w)) return;
 *
 * Each item is handed out once.  mt_settle waits until all items of the step are done, whoever did
 * them; false: the walk ended without this thread, which returns without touching arg again.  A
 * late thread gets no items in steps that are over.  So whatever steps share may be read and
 * written only while holding items; what belongs to thread w->ith alone, and what does not change
 * during the walk, at any time. */
typedef struct mote_pool mt_pool;               /* the public handle is this very struct */
typedef struct mt_worker {
    mt_pool *pool;
    int ith, nth;                    /* this thread, of how many; the caller's is 0 */
    /* the rest is pool.c's */
    int      n, least, n_share, share;   /* items of this step, least run; its shares, those found empty */
    bool     is_in_turn;
    uint64_t step, total, done;      /* steps so far; their items; those done by this thread */
    unsigned run;
    int      cpu;
    double   moved, looked, delay, woke, work;  /* seconds; work: between naps, 0 without */
} mt_worker;
typedef void (*mt_walk_fn)(void *arg, mt_worker *w);
typedef void (*mt_work_fn)(void *arg, int ith, int nth);
typedef struct mt_span { int from, to; } mt_span;
enum { MT_MAX_THREAD = 1024 };

/* n_thread 0, or more than mt_cpu_cores(): that many.  The caller of open holds the first reference. */
mote_status mt_pool_open(mt_pool **out, int n_thread, const mote_alloc *alloc, mote_error *err);
/* The same with all n_thread, however few the cores: slower, for tests. */
mote_status mt_pool_open_crowded(mt_pool **out, int n_thread, const mote_alloc *alloc, mote_error *err);
void        mt_pool_retain(mt_pool *p);
void        mt_pool_close(mt_pool *p);          /* drops one reference; NULL allowed */
int         mt_pool_size(const mt_pool *p);
/* Walks from several threads queue behind each other; a walk must not start another. */
void        mt_pool_walk(mt_pool *p, mt_walk_fn walk, void *arg);
/* Opens the next step, of less than 2^24 items; no run shorter than `least` is worth its start. */
void        mt_deal(mt_worker *w, int n_item, int least);
void        mt_deal_in_turn(mt_worker *w, int n_item);  /* one item after the other: costly ones first */
bool        mt_take(mt_worker *w, mt_span *out);    /* false: none left */
bool        mt_settle(mt_worker *w);
/* The simple case: calls work(arg, i, n) once for each i in [0, n), not necessarily on n threads. */
void        mt_pool_run(mt_pool *p, mt_work_fn work, void *arg);

/* Items [from, to) of n that are part ith of nth. */
MT_INLINE mt_span mt_share(int64_t n, int ith, int nth)
{
    return (mt_span){ (int)(n * ith / nth), (int)(n * (ith + 1) / nth) };
}

/* place.c, about the calling thread; where the system does not tell: -1, no effect, 0. */
int    mt_cpu_here(void);                       /* the CPU it runs on */
void   mt_cpu_avoid(const int *cpu, int n);     /* moves it off these CPUs, if it may run elsewhere */
void   mt_cpu_nap(double seconds);              /* below 1; it wakes on the CPU where it fell asleep */
double mt_cpu_delay(void);                      /* seconds it has waited for a CPU while it could run */

/* ---- log ---------------------------------------------------------------- */
/* Level 0 error, 1 warning, 2 note, 3 detail.  Goes to the hook of mote_log_to, or nowhere. */
void mt_log(int level, const char *fmt, ...) MT_PRINTF(2, 3);

#endif

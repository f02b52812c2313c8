/* SPDX-License-Identifier: MIT */
/* memory.c - the allocator door, arenas and growing buffers.
 *
 * All heap memory of the library is asked for here, through the caller's mote_alloc, so that one
 * failing allocator tests everything.  The sizes given back with put are exactly those asked for
 * with get. */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Under the address sanitizer an arena's bytes are forbidden until pushed, so that an overrun into
 * the padding or into the rest of a block is reported like one of malloc. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#if defined(HAS_ASAN) || defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define FORBID(p, n) __asan_poison_memory_region((p), (n))
#define ALLOW(p, n)  __asan_unpoison_memory_region((p), (n))
#else
#define FORBID(p, n) ((void)(p), (void)(n))
#define ALLOW(p, n)  ((void)(p), (void)(n))
#endif

/* ---- the allocator ------------------------------------------------------ */

enum { LARGE = 2 << 20 };        /* bytes, also of a large page */

/* Large blocks lie in large pages: tables of a vocabulary are filled once, and a fault for every 4 KiB of them
 * is a fifth of the time. */
static void *libc_get(void *user, size_t bytes, size_t align)
{
    (void)user;
    if (align <= _Alignof(max_align_t) && bytes < LARGE) return malloc(bytes);
    void *p = NULL;
    if (posix_memalign(&p, bytes < LARGE ? align : MT_MAX(align, (size_t)LARGE), bytes) != 0) return NULL;
    if (bytes >= LARGE) mt_pages_huge(p, bytes - bytes % LARGE);
    return p;
}

static void libc_put(void *user, void *p, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(p);
}

const mote_alloc mt_alloc_libc = { libc_get, libc_put, NULL };

void *mt_get(const mote_alloc *alloc, size_t bytes, size_t align)
{
    if (!alloc) alloc = &mt_alloc_libc;
    return alloc->get(alloc->user, bytes ? bytes : 1, align);
}

void mt_put(const mote_alloc *alloc, void *p, size_t bytes)
{
    if (!p) return;
    if (!alloc) alloc = &mt_alloc_libc;
    alloc->put(alloc->user, p, bytes ? bytes : 1);
}

/* ---- arena -------------------------------------------------------------- */

struct mt_arena_block {
    mt_arena_block *older;
    size_t size, used;          /* bytes behind this header */
};

/* The payload starts at the first aligned byte behind the header. */
enum { HEADER = MT_ALIGN };
_Static_assert(sizeof(mt_arena_block) <= HEADER, "the block header must fit its padding");

void mt_arena_init(mt_arena *a, const mote_alloc *alloc, size_t block_bytes)
{
    memset(a, 0, sizeof *a);
    a->alloc = alloc;
    a->block_bytes = block_bytes;
}

/* Frees blocks until keep is the newest. */
static void drop_blocks(mt_arena *a, const mt_arena_block *keep)
{
    while (a->head != keep) {
        mt_arena_block *block = a->head;
        a->head = block->older;
        ALLOW(block, HEADER + block->size);
        mt_put(a->alloc, block, HEADER + block->size);
    }
}

void mt_arena_reset(mt_arena *a)
{
    drop_blocks(a, NULL);
    a->used = 0;
}

static bool add_block(mt_arena *a, size_t need)
{
    size_t total;
    const size_t size = MT_MAX(need, a->block_bytes);
    if (a->is_sealed || !mt_add_ok(size, HEADER, &total)) return false;
    mt_arena_block *block = mt_get(a->alloc, total, MT_ALIGN);
    if (!block) return false;
    *block = (mt_arena_block){ a->head, size, 0 };
    a->head = block;
    FORBID((uint8_t *)block + HEADER, size);
    return true;
}

void *mt_arena_push(mt_arena *a, size_t bytes)
{
    size_t need;
    if (!mt_pad_ok(bytes ? bytes : 1, MT_ALIGN, &need)) return NULL;
    if (!a->head || need > a->head->size - a->head->used)
        if (!add_block(a, need)) return NULL;
    uint8_t *p = (uint8_t *)a->head + HEADER + a->head->used;
    a->head->used += need;
    a->used += need;
    a->high_water = MT_MAX(a->high_water, a->used);
    ALLOW(p, bytes);
    return p;
}

void *mt_arena_push_zero(mt_arena *a, size_t bytes)
{
    void *p = mt_arena_push(a, bytes);
    if (p) memset(p, 0, bytes);
    return p;
}

void *mt_arena_push_n(mt_arena *a, size_t n, size_t size)
{
    size_t bytes;
    return mt_mul_ok(n, size, &bytes) ? mt_arena_push_zero(a, bytes) : NULL;
}

char *mt_arena_string(mt_arena *a, mt_str s)
{
    size_t bytes;
    char *p = mt_add_ok(s.n, 1, &bytes) ? mt_arena_push(a, bytes) : NULL;
    if (!p) return NULL;
    if (s.n) memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}

mt_arena_mark mt_arena_mark_get(const mt_arena *a)
{
    return (mt_arena_mark){ a->head, a->head ? a->head->used : 0, a->used };
}

void mt_arena_rewind(mt_arena *a, mt_arena_mark mark)
{
    drop_blocks(a, mark.block);
    if (a->head) {
        FORBID((uint8_t *)a->head + HEADER + mark.block_used, a->head->used - mark.block_used);
        a->head->used = mark.block_used;
    }
    a->used = mark.used;
}

/* ---- buffer ------------------------------------------------------------- */

void mt_buf_init(mt_buf *b, const mote_alloc *alloc, size_t max)
{
    *b = (mt_buf){ .alloc = alloc, .max = max };
}

/* Room for n more bytes. */
static bool grow(mt_buf *b, size_t n)
{
    if (n > b->max - b->n) return false;
    if (n <= b->cap - b->n) return true;
    const size_t need = b->n + n;               /* <= max, so it cannot wrap */
    size_t cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
    cap = MT_MIN(MT_MAX(MT_MAX(cap, need), 64), b->max);
    char *grown = mt_get(b->alloc, cap, 1);
    if (!grown) return false;
    if (b->n) memcpy(grown, b->p, b->n);
    mt_put(b->alloc, b->p, b->cap);
    b->p = grown;
    b->cap = cap;
    return true;
}

bool mt_buf_put(mt_buf *b, const void *p, size_t n)
{
    if (!grow(b, n)) return false;
    if (n) memcpy(b->p + b->n, p, n);
    b->n += n;
    return true;
}

bool mt_buf_print(mt_buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    const int n = vsnprintf(NULL, 0, fmt, args);
    bool ok = n >= 0 && grow(b, (size_t)n + 1); /* one more: it writes a terminator */
    if (ok) {
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
    va_end(args);
    return ok;
}

void mt_buf_free(mt_buf *b)
{
    mt_put(b->alloc, b->p, b->cap);
    b->p = NULL;
    b->n = b->cap = 0;
}

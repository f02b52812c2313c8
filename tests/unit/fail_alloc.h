/* SPDX-License-Identifier: MIT */
/* fail_alloc.h - an allocator for tests that counts, checks and fails.
 *
 * fail_at n makes the n-th call of get fail (1 is the first); with keep_failing all later ones
 * too.  It checks that every block comes back with its own size and that none is left:
 *
 *   for (size_t n = 1;; n++) {
 *       fail_alloc fa;
 *       const mote_alloc *alloc = fail_alloc_init(&fa, n, false);
 *       ... open with alloc; on success close ...
 *       fail_alloc_check(&fa);
 *       if (fa.calls < n) break;            // the n-th call never came: all were tried
 *   }
 *
 * Not thread-safe: allocate from one thread. */
#ifndef MOTE_TEST_FAIL_ALLOC_H
#define MOTE_TEST_FAIL_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mote.h"

typedef struct fail_alloc {
    mote_alloc alloc;
    size_t calls, fail_at;      /* get calls so far; the one to fail, 0: none */
    bool   keep_failing;
    size_t blocks, live, peak;  /* outstanding blocks; bytes now; at most */
} fail_alloc;

/* In front of each block, so that put can compare; a multiple of any alignment asked for. */
typedef struct fail_alloc_head { size_t bytes, room, magic; } fail_alloc_head;
enum { FAIL_ALLOC_MAGIC = 0x5AFEB10C };

static inline void *fail_alloc_get(void *user, size_t bytes, size_t align)
{
    fail_alloc *fa = user;
    fa->calls++;
    if (fa->fail_at && (fa->calls == fa->fail_at || (fa->keep_failing && fa->calls > fa->fail_at)))
        return NULL;
    size_t room = align > sizeof(void *) ? align : sizeof(void *);
    while (room < sizeof(fail_alloc_head)) room *= 2;
    void *base = NULL;
    if (bytes > SIZE_MAX - room || posix_memalign(&base, room, room + bytes) != 0) return NULL;
    char *p = (char *)base + room;
    const fail_alloc_head head = { bytes, room, FAIL_ALLOC_MAGIC };
    memcpy(p - sizeof head, &head, sizeof head);
    memset(p, 0xA5, bytes);                     /* nobody may rely on zeros */
    fa->blocks++;
    fa->live += bytes;
    if (fa->live > fa->peak) fa->peak = fa->live;
    return p;
}

static inline void fail_alloc_put(void *user, void *p, size_t bytes)
{
    fail_alloc *fa = user;
    if (!p) return;
    fail_alloc_head head;
    memcpy(&head, (char *)p - sizeof head, sizeof head);
    if (head.magic != FAIL_ALLOC_MAGIC || head.bytes != bytes) {
        fprintf(stderr, "fail_alloc: put of %zu bytes, the block has %zu\n", bytes, head.bytes);
        abort();
    }
    fa->blocks--;
    fa->live -= bytes;
    free((char *)p - head.room);
}

static inline const mote_alloc *fail_alloc_init(fail_alloc *fa, size_t fail_at, bool keep_failing)
{
    *fa = (fail_alloc){ .alloc = { fail_alloc_get, fail_alloc_put, fa },
                        .fail_at = fail_at, .keep_failing = keep_failing };
    return &fa->alloc;
}

/* Stops the test when something was not given back. */
static inline void fail_alloc_check(const fail_alloc *fa)
{
    if (fa->blocks == 0 && fa->live == 0) return;
    fprintf(stderr, "fail_alloc: %zu blocks, %zu bytes leaked with call %zu failing\n", fa->blocks,
            fa->live, fa->fail_at);
    abort();
}

#endif

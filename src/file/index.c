/* SPDX-License-Identifier: MIT */
/* index.c - finding metadata and tensors by name, and the sort behind it.
 *
 * Two permutations, by key and by tensor name.  Duplicates fall out of the sort as neighbours.  The sort
 * takes eight bytes of the keys at a time: one pass of a radix sort for all of them, then for those that
 * are still equal the next eight, so that a million names cost no cache miss for each comparison. */
#include "file/parts.h"

#include <string.h>

/* ---- sorting ------------------------------------------------------------ */

/* is_first: the key differs from that of the item before.  is_open: the key has another part. */
typedef struct item { uint64_t key; uint32_t i; bool is_first, is_open; } item;

enum { FEW = 32 };

static void insert(item *p, size_t n)
{
    for (size_t k = 1; k < n; k++) {
        const item value = p[k];
        size_t at = k;
        for (; at > 0 && value.key < p[at - 1].key; at--) p[at] = p[at - 1];
        p[at] = value;
    }
}

/* By one part of the key, stable; room has space for n. */
static void sort_by_part(item *p, item *room, size_t n)
{
    uint64_t differ = 0;
    if (n <= FEW) {
        insert(p, n);
        return;
    }
    for (size_t k = 1; k < n; k++) differ |= p[k].key ^ p[0].key;
    for (int shift = 0; shift < 64; shift += 8) {
        size_t start[256] = { 0 }, sum = 0;
        if (!(differ >> shift & 0xFF)) continue;
        for (size_t k = 0; k < n; k++) start[p[k].key >> shift & 0xFF]++;
        for (size_t b = 0; b < 256; b++) {
            const size_t count = start[b];
            start[b] = sum;
            sum += count;
        }
        for (size_t k = 0; k < n; k++) room[start[p[k].key >> shift & 0xFF]++] = p[k];
        memcpy(p, room, n * sizeof *p);
    }
}

/* One part more of the keys of p[0..n), which are equal so far.  true: some are equal still. */
static bool refine(item *p, item *room, size_t n, mt_key_fn key, const void *context, size_t depth)
{
    bool more = false;
    for (size_t k = 0; k < n; k++) p[k].is_open = key(context, p[k].i, depth, &p[k].key);
    sort_by_part(p, room, n);
    p[0].is_first = true;
    for (size_t k = 1; k < n; k++) {
        p[k].is_first = p[k].key != p[k - 1].key;
        more |= !p[k].is_first && p[k].is_open;
    }
    return more;
}

static void sort(item *p, item *room, size_t n, mt_key_fn key, const void *context)
{
    bool more = n > 1;
    for (size_t depth = 0; more; depth++) {
        more = false;
        for (size_t from = 0, to; from < n; from = to) {
            for (to = from + 1; to < n && !p[to].is_first;) to++;
            if (to - from > 1 && (depth == 0 || p[from].is_open))
                more |= refine(p + from, room, to - from, key, context, depth);
        }
    }
}

uint32_t *mt_order(mt_arena *a, size_t n, mt_key_fn key, const void *context)
{
    size_t bytes;
    item *p = mt_mul_ok(n, 2 * sizeof *p, &bytes) ? mt_get(a->alloc, bytes, MT_ALIGN) : NULL;
    uint32_t *order = p ? mt_arena_push_n(a, n, sizeof *order) : NULL;
    if (order) {
        for (size_t i = 0; i < n; i++) p[i] = (item){ 0, (uint32_t)i, false, true };
        sort(p, p + n, n, key, context);
        for (size_t i = 0; i < n; i++) order[i] = p[i].i;
    }
    if (p) mt_put(a->alloc, p, bytes);
    return order;
}

bool mt_key_of_str(mt_str s, size_t depth, uint64_t *part)
{
    const size_t at = depth * 8, left = at < s.n ? s.n - at : 0;
    uint64_t value = 0;
    for (size_t k = 0; k < 8; k++) value = value << 8 | (k < left ? (uint8_t)s.p[at + k] : 0);
    *part = value;
    return left > 8;
}

static bool key_of_place(const void *context, uint32_t i, size_t depth, uint64_t *part)
{
    const mt_tensor *t = context;
    *part = depth == 0 ? (uint64_t)(uintptr_t)t[i].data : t[i].bytes;
    return depth == 0;
}

uint32_t *mt_order_by_place(mt_arena *a, const mt_tensor *t, size_t n) { return mt_order(a, n, key_of_place, t); }

/* ---- the index ---------------------------------------------------------- */

typedef struct index_of_source { uint32_t *by_key, *by_name; } index_of_source;

/* Bytes of a terminated text are read up to its end only. */
static bool key_of_text(const char *text, size_t depth, uint64_t *part)
{
    uint64_t value = 0;
    int n = 0;
    for (text += depth * 8; n < 8 && text[n]; n++) value = value << 8 | (uint8_t)text[n];
    *part = n < 8 ? value << (8 * (8 - n) % 64) : value;
    return n == 8;
}

static bool key_of_meta(const void *context, uint32_t i, size_t depth, uint64_t *part)
{
    const mt_meta *meta = context;
    return key_of_text(meta[i].key, depth, part);
}

static bool key_of_tensor(const void *context, uint32_t i, size_t depth, uint64_t *part)
{
    const mt_tensor *tensor = context;
    return key_of_text(tensor[i].name, depth, part);
}

uint32_t *mt_order_by_name(mt_arena *a, const mt_tensor *t, size_t n) { return mt_order(a, n, key_of_tensor, t); }

mote_status mt_source_index(mt_source *s, mote_error *err)
{
    index_of_source *x = mt_arena_push_zero(&s->arena, sizeof *x);
    if (x) x->by_key = mt_order(&s->arena, s->n_meta, key_of_meta, s->meta);
    if (x) x->by_name = mt_order_by_name(&s->arena, s->tensor, s->n_tensor);
    if (!x || !x->by_key || !x->by_name)
        MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for the index of %zu keys and %zu tensors",
                mt_path_end(s->path), s->n_meta, s->n_tensor);
    for (size_t i = 1; i < s->n_meta; i++)
        if (strcmp(s->meta[x->by_key[i - 1]].key, s->meta[x->by_key[i]].key) == 0)
            MT_FAIL(err, MOTE_EFORMAT, "%s: metadata key %.64s appears twice",
                    mt_path_end(s->path), s->meta[x->by_key[i]].key);
    for (size_t i = 1; i < s->n_tensor; i++)
        if (strcmp(s->tensor[x->by_name[i - 1]].name, s->tensor[x->by_name[i]].name) == 0)
            MT_FAIL(err, MOTE_EFORMAT, "%s: tensor %s appears twice", mt_path_end(s->path),
                    s->tensor[x->by_name[i]].name);
    s->index = x;
    return MOTE_OK;
}

const mt_meta *mt_source_meta(const mt_source *s, const char *key)
{
    const index_of_source *x = s->index;
    size_t low = 0, high = x ? s->n_meta : 0;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const mt_meta *m = &s->meta[x->by_key[middle]];
        const int order = strcmp(m->key, key);
        if (order == 0) return m;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

const mt_tensor *mt_source_tensor(const mt_source *s, const char *name)
{
    const index_of_source *x = s->index;
    size_t low = 0, high = x ? s->n_tensor : 0;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const mt_tensor *t = &s->tensor[x->by_name[middle]];
        const int order = strcmp(t->name, name);
        if (order == 0) return t;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

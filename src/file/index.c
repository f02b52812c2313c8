/* SPDX-License-Identifier: MIT */
/* index.c - finding metadata and tensors by name, and the sort behind it.
 *
 * Two permutations, by key and by tensor name.  Duplicates fall out of the sort as neighbours. */
#include "file/parts.h"

#include <string.h>

/* ---- sorting ------------------------------------------------------------ */

/* Lets order[i] sink in the heap order[0..n), the greatest on top. */
static void sink(uint32_t *order, size_t i, size_t n, mt_less_fn less, const void *context)
{
    const uint32_t value = order[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && less(context, order[child], order[child + 1])) child++;
        if (!less(context, value, order[child])) break;
        order[i] = order[child];
        i = child;
    }
    order[i] = value;
}

void mt_order_sort(uint32_t *order, size_t n, mt_less_fn less, const void *context)
{
    size_t i = 1;
    while (i < n && !less(context, order[i], order[i - 1])) i++;
    if (i >= n) return;                         /* as files usually are */
    for (i = n / 2; i-- > 0;) sink(order, i, n, less, context);
    for (i = n; i-- > 1;) {
        const uint32_t greatest = order[0];
        order[0] = order[i];
        order[i] = greatest;
        sink(order, 0, i, less, context);
    }
}

/* ---- the index ---------------------------------------------------------- */

typedef struct index_of_source { uint32_t *by_key, *by_name; } index_of_source;

static bool key_is_less(const void *context, uint32_t a, uint32_t b)
{
    const mt_meta *meta = context;
    return strcmp(meta[a].key, meta[b].key) < 0;
}

static bool name_is_less(const void *context, uint32_t a, uint32_t b)
{
    const mt_tensor *tensor = context;
    return strcmp(tensor[a].name, tensor[b].name) < 0;
}

static uint32_t *sorted(mt_arena *a, size_t n, mt_less_fn less, const void *context)
{
    uint32_t *order = mt_arena_push_n(a, n, sizeof *order);
    if (!order) return NULL;
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;      /* counts are limited to 2^20 */
    mt_order_sort(order, n, less, context);
    return order;
}

mote_status mt_source_index(mt_source *s, mote_error *err)
{
    index_of_source *x = mt_arena_push_zero(&s->arena, sizeof *x);
    if (x) x->by_key = sorted(&s->arena, s->n_meta, key_is_less, s->meta);
    if (x) x->by_name = sorted(&s->arena, s->n_tensor, name_is_less, s->tensor);
    if (!x || !x->by_key || !x->by_name)
        MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for the index of %zu keys and %zu tensors",
                mt_path_end(s->path), s->n_meta, s->n_tensor);
    for (size_t i = 1; i < s->n_meta; i++)
        if (!key_is_less(s->meta, x->by_key[i - 1], x->by_key[i]))
            MT_FAIL(err, MOTE_EFORMAT, "%s: metadata key %.64s appears twice",
                    mt_path_end(s->path), s->meta[x->by_key[i]].key);
    for (size_t i = 1; i < s->n_tensor; i++)
        if (!name_is_less(s->tensor, x->by_name[i - 1], x->by_name[i]))
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

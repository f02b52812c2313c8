/* SPDX-License-Identifier: MIT */
/* gather.c - what the files of a checkpoint say, collected until their number is known.
 *
 * A JSON header or a pickle tells how many tensors it has only at its end, and a folder has several of
 * them: arrays grow here outside the arena and are copied into it once, at the end. */
#include "file/parts.h"

#include <string.h>

enum { NAMES_CHUNK = 4096, LEAST = 64 };
#define MAX_VALUES ((size_t)((uint64_t)1 << (sizeof(size_t) > 4 ? 62 : 30)))

void mt_gather_init(mt_gather *g, mt_source *s, mote_error *err)
{
    *g = (mt_gather){ .s = s, .err = err };
    mt_arena_init(&g->scratch, s->arena.alloc, 0);
}

void mt_gather_close(mt_gather *g)
{
    mt_put(g->s->arena.alloc, g->tensor, g->room_tensor * sizeof *g->tensor);
    mt_put(g->s->arena.alloc, g->meta, g->room_meta * sizeof *g->meta);
    mt_arena_reset(&g->scratch);
}

/* p with room for more than n items of size bytes; n is limited by the callers, so nothing wraps. */
static void *grown(const mote_alloc *alloc, void *p, size_t n, size_t size, size_t *room)
{
    if (n < *room) return p;
    const size_t more = MT_MAX(*room * 2, (size_t)LEAST);
    void *fresh = mt_get(alloc, more * size, MT_ALIGN);
    if (!fresh) return NULL;
    if (n) memcpy(fresh, p, n * size);
    mt_put(alloc, p, *room * size);
    *room = more;
    return fresh;
}

mote_status mt_gather_tensor(mt_gather *g, const char *file, mt_tensor **out)
{
    if (g->n_tensor >= MT_MAX_TENSOR)
        MT_FAIL(g->err, MOTE_EFORMAT, "%s: expected at most %d tensors, found more", file, MT_MAX_TENSOR);
    mt_tensor *p = grown(g->s->arena.alloc, g->tensor, g->n_tensor, sizeof *p, &g->room_tensor);
    if (!p) MT_FAIL(g->err, MOTE_ENOMEM, "%s: no memory for tensor %zu", file, g->n_tensor);
    g->tensor = p;
    *out = &p[g->n_tensor++];
    memset(*out, 0, sizeof **out);
    return MOTE_OK;
}

mote_status mt_gather_meta(mt_gather *g, const char *file, mt_meta **out)
{
    if (g->n_meta >= MT_MAX_META)
        MT_FAIL(g->err, MOTE_EFORMAT, "%s: expected at most %d settings, found more", file, MT_MAX_META);
    mt_meta *p = grown(g->s->arena.alloc, g->meta, g->n_meta, sizeof *p, &g->room_meta);
    if (!p) MT_FAIL(g->err, MOTE_ENOMEM, "%s: no memory for setting %zu", file, g->n_meta);
    g->meta = p;
    *out = &p[g->n_meta++];
    memset(*out, 0, sizeof **out);
    return MOTE_OK;
}

mote_status mt_gather_name(mt_gather *g, const char *file, mt_str name, const char **out)
{
    if (name.n == 0 || name.n > MT_MAX_NAME || memchr(name.p, 0, name.n))
        MT_FAIL(g->err, MOTE_EFORMAT, "%s: expected a name of 1 to %d bytes, found %s", file, MT_MAX_NAME,
                name.n == 0 ? "an empty one" : name.n > MT_MAX_NAME ? "a longer one" : "a zero byte in it");
    if (name.n + 1 > g->names_left) {
        g->names = mt_arena_push(&g->s->arena, NAMES_CHUNK);
        g->names_left = g->names ? NAMES_CHUNK : 0;
        if (!g->names) MT_FAIL(g->err, MOTE_ENOMEM, "%s: no memory for a name of %zu bytes", file, name.n);
    }
    memcpy(g->names, name.p, name.n);
    g->names[name.n] = 0;
    *out = g->names;
    g->names += name.n + 1;
    g->names_left -= name.n + 1;
    return MOTE_OK;
}

mote_status mt_gather_shape(mt_gather *g, const char *file, mt_tensor *t, const uint64_t *dim, size_t n)
{
    size_t count = 1;
    bool is_empty = false;
    for (size_t k = 0; k < n; k++) is_empty |= dim[k] == 0;
    for (int k = 0; k < MT_MAX_DIM; k++) t->ne[k] = 1;
    t->n_dim = n < 1 ? 1 : n > MT_MAX_DIM ? MT_MAX_DIM : (int)n;
    if (is_empty) {
        t->ne[0] = 0;
        return MOTE_OK;
    }
    for (size_t k = 0; k < n; k++) {            /* the slowest MT_MAX_DIM - 1 alone, the rest together */
        if (dim[k] > MAX_VALUES || !mt_mul_ok(count, (size_t)dim[k], &count) || count > MAX_VALUES)
            MT_FAIL(g->err, MOTE_EFORMAT, "%s: tensor %s: dimension %zu is %llu, expected a product of at most %zu",
                    file, t->name, k, (unsigned long long)dim[k], MAX_VALUES);
        const size_t at = k < MT_MAX_DIM - 1 ? (size_t)t->n_dim - 1 - k : 0;
        t->ne[at] *= (int64_t)dim[k];           /* a part of count */
    }
    if (!mt_mul_ok(count, (size_t)mt_type_of(t->type)->bytes, &t->bytes))
        MT_FAIL(g->err, MOTE_EFORMAT, "%s: tensor %s: %zu values of %s do not fit any memory", file, t->name, count,
                mt_type_of(t->type)->name);
    return MOTE_OK;
}

mote_status mt_gather_end(mt_gather *g)
{
    mt_source *const s = g->s;
    size_t n = 0;
    for (size_t i = 0; i < g->n_tensor; i++)    /* those without values go */
        if (g->tensor[i].ne[0] > 0) g->tensor[n++] = g->tensor[i];
    s->tensor = mt_arena_push_n(&s->arena, n, sizeof *s->tensor);
    s->meta = mt_arena_push_n(&s->arena, g->n_meta, sizeof *s->meta);
    if (!s->tensor || !s->meta)
        MT_FAIL(g->err, MOTE_ENOMEM, "%s: no memory for %zu tensors", mt_path_end(s->path), n);
    if (n) memcpy(s->tensor, g->tensor, n * sizeof *s->tensor);
    if (g->n_meta) memcpy(s->meta, g->meta, g->n_meta * sizeof *s->meta);
    s->n_tensor = n, s->n_meta = g->n_meta;
    return mt_source_index(s, g->err);
}

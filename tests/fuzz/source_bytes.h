/* SPDX-License-Identifier: MIT */
/* source_bytes.h - what fuzz targets of checkpoints share: bytes as a file, and a look at all that the
 * source promises.  Memory is counted, so that a small file cannot ask for much. */
#ifndef MOTE_FUZZ_SOURCE_BYTES_H
#define MOTE_FUZZ_SOURCE_BYTES_H

#include <stdlib.h>
#include <string.h>

#include "file/parts.h"
#include "unit/fail_alloc.h"

static volatile uint64_t seen;      /* keeps the reads */

static inline void look(const void *p, size_t n)
{
    const uint8_t *byte = p;
    for (size_t i = 0; i < n; i++) seen += byte[i];
}

static inline void look_at_meta(const mt_source *s, const mt_meta *m)
{
    mt_str text;
    if (mt_source_meta(s, m->key) != m) abort();
    if (mt_meta_str(s, m->key, &text)) look(text.p, text.n);
    if (m->type != MT_META_ARRAY) return;
    for (size_t i = 0; i < m->n; i++) {
        if (m->strings) look(m->strings[i].p, m->strings[i].n);
        else seen += (uint64_t)mt_meta_item_int(m, i) + (mt_meta_item_f64(m, i) > 0);
    }
}

static inline void look_at_tensor(const mt_source *s, const mt_tensor *t)
{
    if (mt_source_tensor(s, t->name) != t) abort();
    if (t->n_dim < 1 || t->n_dim > MT_MAX_DIM || mt_tensor_count(t) < 1) abort();
    if (t->bytes != mt_row_bytes(t->type, t->ne[0]) * (size_t)(mt_tensor_count(t) / t->ne[0])) abort();
    if (!t->data == !t->make) abort();
    uint8_t *room = t->data ? NULL : malloc(t->bytes);
    if (!t->data && !room) abort();
    look(mt_tensor_rows(t, 0, mt_tensor_count(t) / t->ne[0], room), t->bytes);
    free(room);
}

/* After a read of `size` hostile bytes. */
static inline void look_at_source(const mt_source *s, mote_status status, const mote_error *err, const fail_alloc *fa,
                                  size_t size)
{
    if (status != MOTE_OK && (err->code != status || strlen(err->text) < 10)) abort();
    if (status == MOTE_ENOMEM || fa->peak > 8 * size + (64 << 20)) abort();
    for (size_t i = 0; status == MOTE_OK && i < s->n_meta; i++) look_at_meta(s, &s->meta[i]);
    for (size_t i = 0; status == MOTE_OK && i < s->n_tensor; i++) look_at_tensor(s, &s->tensor[i]);
}

/* The bytes as a whole file. */
static inline void fuzz_file(const uint8_t *data, size_t size)
{
    fail_alloc fa;
    mt_source s = { .map = { data, size }, .path = "input" };
    mote_error err = { MOTE_OK, "" };
    mt_arena_init(&s.arena, fail_alloc_init(&fa, 0, false), 4096);
    const mote_status status = mt_source_read(&s, &err);
    look_at_source(&s, status, &err, &fa, size);
    mt_arena_reset(&s.arena);
    fail_alloc_check(&fa);
}

#endif

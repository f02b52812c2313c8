/* SPDX-License-Identifier: MIT */
/* fuzz_gguf.c - any bytes as a model file: refused with a sentence, or every byte it promises is
 * there.  The bytes lie in exactly sized heap memory, so that a sanitizer sees one byte too far. */
#include <stdlib.h>
#include <string.h>

#include "file/parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t seen;      /* keeps the reads */

static void look(const void *p, size_t n)
{
    const uint8_t *byte = p;
    for (size_t i = 0; i < n; i++) seen += byte[i];
}

static void look_at_meta(const mt_source *s, const mt_meta *m)
{
    int64_t whole;
    double real;
    bool truth;
    mt_str text;
    if (mt_source_meta(s, m->key) != m) abort();
    if (mt_meta_int(s, m->key, &whole)) seen += (uint64_t)whole;
    if (mt_meta_f64(s, m->key, &real)) seen += real > 0;
    if (mt_meta_bool(s, m->key, &truth)) seen += truth;
    if (mt_meta_str(s, m->key, &text)) look(text.p, text.n);
    if (m->type != MT_META_ARRAY) return;
    for (size_t i = 0; i < m->n; i++) {
        if (m->strings) look(m->strings[i].p, m->strings[i].n);
        else seen += (uint64_t)mt_meta_item_int(m, i) + (mt_meta_item_f64(m, i) > 0);
    }
}

static void look_at_tensor(const mt_source *s, const mt_tensor *t)
{
    if (mt_source_tensor(s, t->name) != t) abort();
    if (t->n_dim < 1 || t->n_dim > MT_MAX_DIM || mt_tensor_count(t) < 1) abort();
    if (t->data < s->map.data || t->bytes > s->map.size) abort();
    if (t->bytes != mt_row_bytes(t->type, t->ne[0]) * (size_t)(mt_tensor_count(t) / t->ne[0])) abort();
    look(t->data, t->bytes);
    float row[256];
    const mt_type_info *info = mt_type_of(t->type);
    if (info->can_decode) mt_decode_row(t->type, t->data, row, info->block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mt_source s = { .map = { data, size }, .path = "input" };
    mote_error err = { MOTE_OK, "" };
    mt_arena_init(&s.arena, NULL, 4096);
    const mote_status status = mt_source_read(&s, &err);
    if (status != MOTE_OK && (err.code != status || strlen(err.text) < 10)) abort();
    if (s.arena.high_water > 8 * size + (64 << 20)) abort();
    for (size_t i = 0; status == MOTE_OK && i < s.n_meta; i++) look_at_meta(&s, &s.meta[i]);
    for (size_t i = 0; status == MOTE_OK && i < s.n_tensor; i++) look_at_tensor(&s, &s.tensor[i]);
    mt_arena_reset(&s.arena);
    return 0;
}

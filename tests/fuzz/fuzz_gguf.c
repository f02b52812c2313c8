/* SPDX-License-Identifier: MIT */
/* fuzz_gguf.c - any bytes as a model file: refused with a sentence, or every byte it promises is
 * there.  The bytes lie in exactly sized heap memory, so that a sanitizer sees one byte too far.  Where
 * they say that they are one file of several, the pieces of the input that begin with the magic are
 * the others. */
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

static bool is_inside(const mt_map *m, const mt_tensor *t)
{
    return t->data >= m->data && t->bytes <= m->size && (size_t)(t->data - m->data) <= m->size - t->bytes;
}

static void look_at_tensor(const mt_source *s, const mt_tensor *t)
{
    bool is_found = s->n_shard == 0 && is_inside(&s->map, t);
    if (mt_source_tensor(s, t->name) != t) abort();
    if (t->n_dim < 1 || t->n_dim > MT_MAX_DIM || mt_tensor_count(t) < 1) abort();
    for (size_t i = 0; i < s->n_shard; i++) is_found |= is_inside(&s->shard[i].map, t);
    if (!is_found) abort();
    if (t->bytes != mt_row_bytes(t->type, t->ne[0]) * (size_t)(mt_tensor_count(t) / t->ne[0])) abort();
    look(t->data, t->bytes);
    float row[256];
    const mt_type_info *info = mt_type_of(t->type);
    if (info->can_decode) mt_decode_row(t->type, t->data, row, info->block);
}

enum { MAX_PIECE = 8 };
typedef struct pieces { mt_map map[MAX_PIECE]; size_t n; } pieces;

/* Each piece alone in exactly sized memory. */
static pieces cut(const uint8_t *data, size_t size)
{
    pieces p = { .n = 0 };
    for (size_t at = 0, end; at < size && p.n < MAX_PIECE; at = end) {
        for (end = at + 1; end < size && (size - end < 4 || memcmp(data + end, "GGUF", 4) != 0);) end++;
        uint8_t *copy = malloc(end - at);
        if (!copy) abort();
        memcpy(copy, data + at, end - at);
        p.map[p.n++] = (mt_map){ copy, end - at };
    }
    return p;
}

static mote_status open_piece(void *user, size_t i, mt_shard *out, mote_error *err)
{
    const pieces *p = user;
    if (i >= p->n) MT_FAIL(err, MOTE_EIO, "there is no part %zu", i);
    *out = (mt_shard){ .path = "part", .map = p->map[i] };
    return MOTE_OK;
}

static bool look_at_source(const uint8_t *data, size_t size, pieces *others)
{
    mt_source s = { .map = { data, size }, .path = "input" };
    mote_error err = { MOTE_OK, "" };
    mt_arena_init(&s.arena, NULL, 4096);
    mote_status status = mt_source_read(&s, &err);
    const bool is_split = status == MOTE_OK && mt_source_meta(&s, "split.count");
    if (status == MOTE_OK && others) status = mt_split_join(&s, open_piece, others, &err);
    if (status != MOTE_OK && (err.code != status || strlen(err.text) < 10)) abort();
    for (size_t i = 0; others && i < others->n; i++) size += others->map[i].size;
    if (s.arena.high_water > 8 * size + (64 << 20)) abort();
    for (size_t i = 0; status == MOTE_OK && i < s.n_meta; i++) look_at_meta(&s, &s.meta[i]);
    for (size_t i = 0; status == MOTE_OK && i < s.n_tensor; i++) look_at_tensor(&s, &s.tensor[i]);
    mt_arena_reset(&s.arena);
    return is_split;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!look_at_source(data, size, NULL)) return 0;
    pieces p = cut(data, size);
    look_at_source(p.map[0].data, p.map[0].size, &p);
    for (size_t i = 0; i < p.n; i++) free((void *)(uintptr_t)p.map[i].data);
    return 0;
}

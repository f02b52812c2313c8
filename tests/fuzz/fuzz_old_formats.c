/* SPDX-License-Identifier: MIT */
/* fuzz_old_formats.c - any bytes as a llama2.c, GGML, GGMF or GGJT file, and as a tokenizer.bin: refused
 * with a sentence, or every byte of every tensor can be read or made, and the vocabulary is whole. */
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
    if (mt_source_meta(s, m->key) != m) abort();
    if (m->type == MT_META_STRING) look(m->value.s.p, m->value.s.n);
    for (size_t i = 0; m->type == MT_META_ARRAY && i < m->n; i++) {
        if (m->strings) look(m->strings[i].p, m->strings[i].n);
        else seen += (uint64_t)mt_meta_item_int(m, i) + (mt_meta_item_f64(m, i) > 0);
    }
}

/* All rows in one piece, then the last alone: the same. */
static void look_at_tensor(const mt_source *s, const mt_tensor *t)
{
    const int64_t rows = mt_tensor_count(t) / t->ne[0];
    const size_t row = mt_row_bytes(t->type, t->ne[0]);
    if (mt_source_tensor(s, t->name) != t || t->bytes != row * (size_t)rows) abort();
    if (t->data) {
        if (t->data < s->map.data || (size_t)(t->data - s->map.data) > s->map.size - t->bytes) abort();
        look(t->data, t->bytes);
        return;
    }
    uint8_t *room = malloc(t->bytes + row);
    if (!room) abort();
    const uint8_t *all = mt_tensor_rows(t, 0, rows, room), *last = mt_tensor_rows(t, rows - 1, 1, room + t->bytes);
    if (memcmp(all + t->bytes - row, last, row) != 0) abort();
    free(room);
}

static void check(const mt_source *s, mote_status status, const mote_error *err, size_t size)
{
    if (status != MOTE_OK && (err->code != status || strlen(err->text) < 10)) abort();
    if (s->arena.high_water > 8 * size + (64 << 20)) abort();
    for (size_t i = 0; status == MOTE_OK && i < s->n_meta; i++) look_at_meta(s, &s->meta[i]);
    for (size_t i = 0; status == MOTE_OK && i < s->n_tensor; i++) look_at_tensor(s, &s->tensor[i]);
}

/* The model of the seeds without its matrices, which has 40 tokens. */
static void try_words(const uint8_t *data, size_t size)
{
    static mt_meta vocab = { .key = "llama.vocab_size", .type = MT_META_U32, .n = 1, .value.u = 40 };
    mt_meta meta[32] = { vocab };
    mt_source s = { .map = { data, size }, .path = "input", .meta = meta, .n_meta = 1 };
    mote_error err = { MOTE_OK, "" };
    mt_arena_init(&s.arena, NULL, 4096);
    if (mt_source_index(&s, &err) != MOTE_OK) abort();
    const mote_status status = mt_llama2c_words(&s, data, size, &err);
    check(&s, status, &err, size);
    mt_arena_reset(&s.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mt_source s = { .map = { data, size }, .path = "input" };
    mote_error err = { MOTE_OK, "" };
    const bool is_old = mt_ggml_is(&s.map) || mt_llama2c_is(&s.map);
    mt_arena_init(&s.arena, NULL, 4096);
    if (is_old) {
        const mote_status status = mt_source_read(&s, &err);
        check(&s, status, &err, size);
    }
    mt_arena_reset(&s.arena);
    if (!is_old) try_words(data, size);
    return 0;
}

/* SPDX-License-Identifier: MIT */
/* fuzz_vocab_json.c - any text as a tokenizer.json whose vocabulary is to be written as GGUF, and any GGUF
 * vocabulary as tokenizer.json: what is taken has arrays of one length and ids inside them. */
#include <stdlib.h>
#include <string.h>

#include "file/parts.h"
#include "file/stream.h"
#include "file/vocab_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t seen;      /* keeps the reads */

static void check_writer(const mt_writer *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_meta; i++) {
        const mt_meta *m = &w->meta[i];
        if (strcmp(m->key, "tokenizer.ggml.tokens") == 0) n = m->n;
        if (strcmp(m->key, "tokenizer.ggml.token_type") == 0 && m->n != n) abort();
        if (strcmp(m->key, "tokenizer.ggml.scores") == 0 && m->n != n) abort();
        const size_t length = strlen(m->key);
        if (length > 9 && strcmp(m->key + length - 9, "_token_id") == 0 && m->value.u >= n) abort();
        for (size_t k = 0; m->strings && k < m->n; k++) seen += m->strings[k].n + (uint8_t)m->strings[k].p[m->strings[k].n - (m->strings[k].n > 0)];
    }
}

static void read_json(const uint8_t *data, size_t size)
{
    mt_writer *w;
    mote_error err = { MOTE_OK, "" };
    if (mt_writer_open(&w, NULL, NULL) != MOTE_OK) abort();
    const mote_status st = mt_vocab_from_json(w, (mt_str){ (const char *)data, size }, (mt_str){ "", 0 }, 0, &err);
    if (st != err.code || (st != MOTE_OK && strlen(err.text) < 10)) abort();
    if (st == MOTE_OK) check_writer(w);
    mt_writer_close(w);
}

static void write_json(const uint8_t *data, size_t size)
{
    mt_source s = { .map = { data, size }, .path = "input" };
    mote_error err = { MOTE_OK, "" };
    mt_buf out;
    mt_buf_init(&out, NULL, 64 << 20);
    mt_arena_init(&s.arena, NULL, 4096);
    if (mt_gguf_read(&s, NULL) == MOTE_OK) {
        const mote_status st = mt_vocab_to_json(&s, &out, &err);
        if (st != err.code || (st != MOTE_OK && strlen(err.text) < 10)) abort();
        if (st == MOTE_OK && !mt_json_is_utf8((mt_str){ out.p, out.n })) abort();
        if (st == MOTE_OK) read_json((const uint8_t *)out.p, out.n);
    }
    mt_arena_reset(&s.arena);
    mt_buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) write_json(data, size);
    else read_json(data, size);
    return 0;
}

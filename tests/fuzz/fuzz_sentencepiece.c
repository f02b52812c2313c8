/* SPDX-License-Identifier: MIT */
/* fuzz_sentencepiece.c - any .model file, any compiled normaliser, any text.
 *
 * Two bytes say how long the text is; the file follows it.  What opens must encode the text into
 * tokens in range, in order and within the text, alike on a second run, and decode them.  The
 * file's bytes are taken for a normaliser alone as well. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/sentencepiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_TEXT = 1 << 12 };

static void demand(int holds)
{
    if (!holds) abort();
}

static void check_cuts(const mt_sp *s, mt_str text, const mt_cuts *c)
{
    uint32_t at = 0;
    for (size_t i = 0; i < c->n; i++) {
        demand(c->p[i].id >= 0 && (size_t)c->p[i].id < s->file.vocab.n_token);
        demand(c->p[i].from >= at && c->p[i].to >= c->p[i].from && c->p[i].to <= text.n);
        at = c->p[i].to;
    }
}

static void check_decoding(const mt_sp *s, const mt_cuts *c)
{
    int32_t *id = malloc((c->n + 1) * sizeof *id);
    mt_buf out;
    demand(id != NULL);
    for (size_t i = 0; i < c->n; i++) id[i] = c->p[i].id;
    for (int repairs = 0; repairs < 2; repairs++) {
        mt_buf_init(&out, NULL, (size_t)1 << 28);
        const mote_status status = mt_sp_decode(s, id, c->n, repairs, &out, NULL);
        demand(status == MOTE_OK || status == MOTE_ENOMEM || status == MOTE_EINVAL);
        mt_buf_free(&out);
    }
    free(id);
}

static void check_model(mt_str text, mt_str file)
{
    mt_arena arena;
    static mt_sp s;
    mt_arena_init(&arena, NULL, 4096);
    if (mt_sp_init(&s, file, &arena, NULL) == MOTE_OK) {
        mt_sp_work w;
        mt_cuts first = { 0 }, again = { 0 };
        mt_sp_work_init(&w, NULL);
        if (mt_sp_encode(&s, text, &w, &first, NULL) == MOTE_OK) {
            demand(mt_sp_encode(&s, text, &w, &again, NULL) == MOTE_OK && again.n == first.n);
            demand(first.n == 0 || memcmp(first.p, again.p, first.n * sizeof *first.p) == 0);
            check_cuts(&s, text, &first);
            check_decoding(&s, &first);
        }
        mt_cuts_free(&first);
        mt_cuts_free(&again);
        mt_sp_work_free(&w);
    }
    mt_arena_reset(&arena);
}

static void check_rules(mt_str text, mt_str blob)
{
    mt_charsmap map;
    if (mt_charsmap_init(&map, blob, NULL) != MOTE_OK) return;
    const uint8_t *p = (const uint8_t *)text.p;
    mt_charsmap_walk walk = { .map = &map, .at = p, .end = p + text.n };
    size_t at = 0;
    for (mt_str from, to; mt_charsmap_next(&walk, &from, &to); at += from.n)
        demand(from.p == text.p + at && from.n && from.n <= text.n - at && (to.n == 0 || to.p));
    demand(at == text.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    size_t n = (data[0] | (size_t)data[1] << 8) % MOST_TEXT;
    if (n > size - 2) n = size - 2;
    const mt_str text = { (const char *)data + 2, n }, file = { text.p + n, size - 2 - n };
    check_model(text, file);
    check_rules(text, file);
    return 0;
}

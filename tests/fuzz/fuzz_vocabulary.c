/* SPDX-License-Identifier: MIT */
/* fuzz_vocabulary.c - any RWKV or tiktoken file.
 *
 * The first byte chooses.  What opens must encode the file itself: RWKV into tokens whose bytes are
 * the text's, tiktoken's merges without loss of memory. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/bpe.h"
#include "text/rwkv.h"
#include "text/tiktoken.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int holds)
{
    if (!holds) abort();
}

static void check_rwkv(mt_str file, mt_arena *arena)
{
    mt_vocab v;
    mt_rwkv r;
    mt_cuts c = { 0 };
    uint8_t *out = malloc(file.n + 1);
    demand(out != NULL);
    const size_t n = mt_rwkv_unescape(file, out);
    demand(n == SIZE_MAX || n <= file.n);
    free(out);
    if (mt_rwkv_read(&v, file, arena, NULL) != MOTE_OK) return;
    if (mt_rwkv_init(&r, &v, arena, NULL) != MOTE_OK) return;
    r.other = 0;
    demand(mt_rwkv_encode(&r, file, &c, NULL));
    uint32_t at = 0;
    for (size_t i = 0; i < c.n; i++) {
        const mt_str s = v.token[c.p[i].id];
        demand(c.p[i].from == at && c.p[i].to > at && c.p[i].to <= file.n);
        demand(c.p[i].id == 0 || (s.n == c.p[i].to - at && memcmp(s.p, file.p + at, s.n) == 0));
        at = c.p[i].to;
    }
    demand(at == file.n);
    mt_cuts_free(&c);
}

static void check_tiktoken(mt_str file, mt_arena *arena)
{
    mt_vocab v;
    mt_pieces pieces;
    mt_bpe bpe;
    mt_bpe_work w = { 0 };
    mt_ids ids = { 0 };
    if (mt_tiktoken_read(&v, file, arena, NULL) != MOTE_OK) return;
    demand(v.n_merge <= v.n_token);
    uint8_t *role = mt_arena_push_zero(arena, v.n_token);
    demand(role && mt_pieces_init(&pieces, &v, role, false, arena, NULL) == MOTE_OK);
    demand(mt_bpe_init(&bpe, &pieces, &v, &(mt_bpe_spec){ .ignore_merges = v.ignore_merges }, arena, NULL) == MOTE_OK);
    demand(mt_bpe_word(&bpe, file, &w, &ids));
    for (size_t i = 0; i < ids.n; i++) demand(ids.p[i] >= 0 && (size_t)ids.p[i] < v.n_token);
    mt_bpe_done(&w);
    mt_put(NULL, ids.p, ids.cap * sizeof *ids.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    const mt_str file = { (const char *)data + 1, size - 1 };
    mt_arena arena;
    mt_arena_init(&arena, NULL, 4096);
    if (data[0] & 1) check_tiktoken(file, &arena);
    else check_rwkv(file, &arena);
    mt_arena_reset(&arena);
    return 0;
}

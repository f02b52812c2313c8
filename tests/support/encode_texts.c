/* SPDX-License-Identifier: MIT */
/* encode_texts.c - the tokenizer algorithms on many texts, for scripts that compare or time them.
 *
 *   encode_texts KIND FILE [time] < records > answers
 *
 * KIND: sp (a .model, whole), unigram (its pieces as `tokenizers` reads them, text as it is),
 * charsmap (its rules as `tokenizers` walks them), rwkv, tiktoken (FILE is the vocabulary; a record
 * is one word).  A record is u32 length and bytes; its answer is u32 tokens, for each i32 id, u32
 * from and u32 to, then u32 length and bytes of the decoded text (charsmap: of the text the rules
 * make), all little-endian.  A text that is refused answers UINT32_MAX tokens.  With time there are
 * no answers, but a line of JSON: tokens, steps, and seconds of CPU that opening and encoding took. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "text/bpe.h"
#include "text/rwkv.h"
#include "text/sentencepiece.h"
#include "text/tiktoken.h"

typedef enum kind { SP, UNIGRAM, CHARSMAP, RWKV, TIKTOKEN, N_KIND } kind;
static const char *const kind_name[] = { "sp", "unigram", "charsmap", "rwkv", "tiktoken" };

typedef struct program {
    kind      kind;
    mt_arena  arena;
    mt_vocab  vocab;
    mt_sp     sp;
    mt_sp_work work;
    mt_unigram unigram;
    mt_rwkv   rwkv;
    mt_pieces pieces;
    mt_bpe    bpe;
    mt_bpe_work bpe_work;
    mt_cuts   cuts;
    mt_buf    text;
    size_t    steps;
} program;

static char *read_all(FILE *f, size_t *n)
{
    size_t cap = 1 << 20;
    char *p = malloc(cap);
    *n = 0;
    while (p) {
        *n += fread(p + *n, 1, cap - *n, f);
        if (*n < cap) return p;
        char *grown = realloc(p, cap *= 2);
        if (!grown) free(p);
        p = grown;
    }
    return NULL;
}

static mote_status open_program(program *g, mt_str file, mote_error *err)
{
    mt_arena_init(&g->arena, NULL, 1 << 16);
    mt_buf_init(&g->text, NULL, (size_t)1 << 30);
    mt_sp_work_init(&g->work, NULL);
    if (g->kind == RWKV) {
        MT_TRY(mt_rwkv_read(&g->vocab, file, &g->arena, err));
        return mt_rwkv_init(&g->rwkv, &g->vocab, &g->arena, err);
    }
    if (g->kind == TIKTOKEN) {
        MT_TRY(mt_tiktoken_read(&g->vocab, file, &g->arena, err));
        uint8_t *role = mt_arena_push_zero(&g->arena, g->vocab.n_token);
        MT_TRY(mt_pieces_init(&g->pieces, &g->vocab, role, false, &g->arena, err));
        return mt_bpe_init(&g->bpe, &g->pieces, &g->vocab, &(mt_bpe_spec){ .ignore_merges = true }, &g->arena, err);
    }
    MT_TRY(mt_sp_init(&g->sp, file, &g->arena, err));
    g->vocab = g->sp.file.vocab;
    if (g->kind != UNIGRAM) return MOTE_OK;
    const mt_unigram_spec spec = { .vocab = &g->vocab, .like = MT_UNIGRAM_LIKE_TOKENIZERS,
                                   .use_byte_fallback = g->sp.file.use_byte_fallback };
    return mt_unigram_init(&g->unigram, &spec, &g->arena, err);
}

static bool walk_rules(program *g, mt_str text)
{
    const uint8_t *p = (const uint8_t *)text.p;
    mt_charsmap_walk w = { &g->sp.normal.map, p, p + text.n, NULL };
    for (mt_str from, to; mt_charsmap_next(&w, &from, &to); )
        if (!mt_buf_put(&g->text, to.p, to.n)) return false;
    return true;
}

static bool encode_word(program *g, mt_str word)
{
    mt_ids ids = { 0 };
    bool done = word.n == 0 || mt_bpe_word(&g->bpe, word, &g->bpe_work, &ids);
    size_t at = 0;
    for (size_t i = 0; done && i < ids.n; i++) {
        const size_t n = mt_pieces_bytes(&g->pieces, (size_t)ids.p[i]).n;
        done = mt_cuts_put(&g->cuts, ids.p[i], at, at + n);
        at += n;
    }
    mt_put(NULL, ids.p, ids.cap * sizeof *ids.p);
    return done;
}

static bool encode(program *g, mt_str text)
{
    g->cuts.n = 0;
    switch (g->kind) {
    case SP:       return mt_sp_encode(&g->sp, text, &g->work, &g->cuts, NULL) == MOTE_OK;
    case UNIGRAM:  return mt_unigram_encode(&g->unigram, text, &g->work.unigram, &g->cuts, NULL) == MOTE_OK;
    case CHARSMAP: return true;
    case RWKV:     return mt_rwkv_encode(&g->rwkv, text, &g->cuts, &g->steps);
    case TIKTOKEN: return encode_word(g, text);
    case N_KIND:   break;
    }
    return false;
}

static bool decode(program *g, mt_str text)
{
    g->text.n = 0;
    if (g->kind == CHARSMAP) return walk_rules(g, text);
    int32_t *id = malloc((g->cuts.n + 1) * sizeof *id);
    if (!id) return false;
    for (size_t i = 0; i < g->cuts.n; i++) id[i] = g->cuts.p[i].id;
    bool done = true;
    if (g->kind == SP || g->kind == UNIGRAM)
        done = mt_sp_decode(&g->sp, id, g->cuts.n, true, &g->text, NULL) == MOTE_OK;
    for (size_t i = 0; g->kind >= RWKV && done && i < g->cuts.n; i++) {
        const mt_str s = g->kind == RWKV ? g->vocab.token[id[i]] : mt_pieces_bytes(&g->pieces, (size_t)id[i]);
        done = mt_buf_put(&g->text, s.p, s.n);
    }
    free(id);
    return done;
}

static void put_u32(uint32_t value)
{
    const uint8_t byte[4] = { (uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                              (uint8_t)(value >> 24) };
    fwrite(byte, 1, 4, stdout);
}

static void answer(program *g, mt_str text)
{
    if (!encode(g, text) || !decode(g, text)) {
        put_u32(UINT32_MAX);
        return;
    }
    put_u32((uint32_t)g->cuts.n);
    for (size_t i = 0; i < g->cuts.n; i++) {
        put_u32((uint32_t)g->cuts.p[i].id);
        put_u32(g->cuts.p[i].from);
        put_u32(g->cuts.p[i].to);
    }
    put_u32((uint32_t)g->text.n);
    if (g->text.n) fwrite(g->text.p, 1, g->text.n, stdout);
}

int main(int argc, char **argv)
{
    static program g;
    mote_error err = { 0 };
    size_t n_file = 0, n_input = 0, n_token = 0;
    for (g.kind = 0; argc > 2 && g.kind < N_KIND && strcmp(argv[1], kind_name[g.kind]) != 0; ) g.kind++;
    clock_t start = 0;
    FILE *f = argc > 2 && g.kind < N_KIND ? fopen(argv[2], "rb") : NULL;
    char *file = f ? read_all(f, &n_file) : NULL, *input = read_all(stdin, &n_input);
    start = clock();
    if (!file || !input || open_program(&g, (mt_str){ file, n_file }, &err) != MOTE_OK) {
        fprintf(stderr, "encode_texts: %s\n", err.text[0] ? err.text : "usage: encode_texts KIND FILE [time]");
        return 1;
    }
    fclose(f);
    mt_cursor c = { (const uint8_t *)input, n_input, 0, false };
    const bool times = argc > 3;
    const double opening = (double)(clock() - start) / CLOCKS_PER_SEC;
    start = clock();
    while (c.at < c.size) {
        const uint32_t n = mt_read_u32(&c);
        const mt_str text = { (const char *)mt_read_bytes(&c, n), n };
        if (c.failed) return 1;
        if (times) n_token += encode(&g, text) ? g.cuts.n : 0;
        else answer(&g, text);
    }
    if (times)
        printf("{\"tokens\": %zu, \"steps\": %zu, \"opening\": %.6f, \"seconds\": %.6f}\n", n_token, g.steps +
               g.work.unigram.steps + g.work.spm.steps + g.bpe_work.steps, opening, (double)(clock() - start) / CLOCKS_PER_SEC);
    mt_sp_work_free(&g.work);
    mt_bpe_done(&g.bpe_work);
    mt_cuts_free(&g.cuts);
    mt_buf_free(&g.text);
    mt_arena_reset(&g.arena);
    free(file);
    free(input);
    return 0;
}

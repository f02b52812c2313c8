/* SPDX-License-Identifier: MIT */
/* test_sentencepiece.c - the SentencePiece modules against goldens of `sentencepiece` and `tokenizers`
 * (tests/golden/make_sentencepiece.py), published vocabularies, and hostile files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/verified.h"

#include "file/source.h"
#include "text/bpe.h"
#include "text/rwkv.h"
#include "text/sentencepiece.h"
#include "text/tiktoken.h"
#include "unit/fail_alloc.h"

/* ---- the golden file --------------------------------------------------------------------- */

typedef struct golden { char *file; mt_cursor c; mt_str text[512]; size_t n_text; } golden;

static char *read_all(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *p = malloc(*n + 1);
    assert_non_null(p);
    assert_int_equal(fread(p, 1, *n, f), *n);
    p[*n] = 0;
    fclose(f);
    return p;
}

static const char *data_dir(void)
{
    const char *dir = getenv("MOTE_TEST_DATA");
    return dir ? dir : "../shared/data";
}

static mt_str read_str(mt_cursor *c, size_t n)
{
    const mt_str s = { (const char *)mt_read_bytes(c, n), n };
    assert_false(c->failed);
    return s;
}

static void golden_open(golden *g)
{
    char path[1024];
    const char *source = getenv("MOTE_SOURCE");
    size_t n;
    snprintf(path, sizeof path, "%s/tests/golden/sentencepiece.bin", source ? source : ".");
    g->file = read_all(path, &n);
    assert_non_null(g->file);
    g->c = (mt_cursor){ (const uint8_t *)g->file, n, 0, false };
    for (int line = 0; line < 2; ) line += mt_read_u8(&g->c) == '\n';
    g->n_text = mt_read_u32(&g->c);
    assert_true(g->n_text >= 100 && g->n_text <= 512);
    for (size_t i = 0; i < g->n_text; i++) g->text[i] = read_str(&g->c, mt_read_u32(&g->c));
}

static uint64_t hash_cuts(const mt_cuts *c, bool with_spans)
{
    int32_t *flat = malloc((c->n * 3 + 1) * sizeof *flat);
    size_t n = 0;
    assert_non_null(flat);
    for (size_t i = 0; i < c->n; i++) {
        flat[n++] = c->p[i].id;
        if (!with_spans) continue;
        flat[n++] = (int32_t)c->p[i].from;
        flat[n++] = (int32_t)c->p[i].to;
    }
    const uint64_t h = mt_hash(flat, n * sizeof *flat);
    free(flat);
    return h;
}

static void expect_cuts(const char *name, mt_str text, const mt_cuts *got, size_t n, uint64_t hash,
                        bool with_spans)
{
    if (got->n == n && hash_cuts(got, with_spans) == hash) {
        mt_verified("SentencePiece, RWKV, tiktoken", "ids and spans of texts", "sentencepiece 0.2.3, tokenizers, tiktoken", 1);
        return;
    }
    print_error("%s: expected %zu tokens, found %zu:", name, n, got->n);
    for (size_t i = 0; i < got->n; i++)
        print_error(" %d[%u,%u)", (int)got->p[i].id, (unsigned)got->p[i].from, (unsigned)got->p[i].to);
    print_error("\n%.*s\n", (int)text.n, text.p);
    fail();
}

/* Runs of one character that grow fourfold must cost four times the steps, or little more. */
static void expect_linear(const mt_sp *s)
{
    static const char *const unit[] = { "a", " ", "\xE4\xB8\xAD", "the ", "=", "\xFF", "e\xCC\x81" };
    for (size_t u = 0; u < MT_COUNT(unit); u++) {
        size_t before = 0;
        for (size_t n = 4000; n <= 64000; n *= 4) {
            char *text = malloc(n);
            mt_sp_work w;
            mt_cuts cuts = { 0 };
            assert_non_null(text);
            for (size_t i = 0; i < n; i++) text[i] = unit[u][i % strlen(unit[u])];
            mt_sp_work_init(&w, NULL);
            assert_int_equal(mt_sp_encode(s, (mt_str){ text, n }, &w, &cuts, NULL), MOTE_OK);
            const size_t steps = w.spm.steps + w.unigram.steps;
            if (before && steps > before * 5) fail_msg("'%s': %zu bytes take %zu steps, a fourth %zu",
                                                       unit[u], n, steps, before);
            before = steps;
            mt_sp_work_free(&w);
            mt_cuts_free(&cuts);
            free(text);
        }
    }
}

static void replay_tokenizers(golden *g, const char *name, const mt_sp *s, mt_arena *arena)
{
    mt_unigram u;
    const mt_unigram_spec spec = { .vocab = &s->file.vocab, .like = MT_UNIGRAM_LIKE_TOKENIZERS,
                                   .use_byte_fallback = s->file.use_byte_fallback };
    assert_int_equal(mt_unigram_init(&u, &spec, arena, NULL), MOTE_OK);
    for (size_t i = 0; i < g->n_text; i++) {
        mt_buf escaped;
        mt_cuts cuts = { 0 };
        mt_unigram_work w = { 0 };
        const size_t n = mt_read_u16(&g->c);
        const uint64_t hash = mt_read_u64(&g->c);
        if (n == 0xFFFF) continue;
        mt_buf_init(&escaped, NULL, 1 << 20);
        for (size_t k = 0; k < g->text[i].n; k++) {
            const bool is_space = g->text[i].p[k] == ' ';
            assert_true(mt_buf_put(&escaped, is_space ? "\xE2\x96\x81" : g->text[i].p + k, is_space ? 3 : 1));
        }
        const mt_str text = { escaped.p, escaped.n };
        assert_int_equal(mt_unigram_encode(&u, text, &w, &cuts, NULL), MOTE_OK);
        expect_cuts(name, g->text[i], &cuts, n, hash, false);
        mt_unigram_done(&w);
        mt_cuts_free(&cuts);
        mt_buf_free(&escaped);
    }
}

static void replay_model(golden *g, bool is_first)
{
    char name[256] = "";
    const mt_str title = read_str(&g->c, mt_read_u8(&g->c));
    memcpy(name, title.p, title.n);
    const mt_str file = read_str(&g->c, mt_read_u32(&g->c));
    mt_arena arena;
    mt_sp s;
    mt_sp_work w;
    mt_cuts cuts = { 0 };
    mote_error err = { 0 };
    mt_arena_init(&arena, NULL, 4096);
    mt_sp_work_init(&w, NULL);
    if (mt_sp_init(&s, file, &arena, &err)) fail_msg("%s: %s", name, err.text);
    for (size_t i = 0; i < g->n_text; i++) {
        const size_t n = mt_read_u16(&g->c);
        const uint64_t hash = mt_read_u64(&g->c), decoded = mt_read_u64(&g->c);
        cuts.n = 0;
        assert_int_equal(mt_sp_encode(&s, g->text[i], &w, &cuts, NULL), MOTE_OK);
        expect_cuts(name, g->text[i], &cuts, n, hash, true);
        int32_t id[2048];
        mt_buf text;
        assert_true(cuts.n <= MT_COUNT(id));
        for (size_t k = 0; k < cuts.n; k++) id[k] = cuts.p[k].id;
        mt_buf_init(&text, NULL, 1 << 20);
        assert_int_equal(mt_sp_decode(&s, id, cuts.n, true, &text, NULL), MOTE_OK);
        if (mt_hash(text.p, text.n) != decoded)
            fail_msg("%s: '%.*s' decodes to '%.*s'", name, (int)g->text[i].n, g->text[i].p, (int)text.n, text.p);
        mt_buf_free(&text);
    }
    const bool is_unigram = mt_read_u8(&g->c);
    assert_int_equal(is_unigram, s.file.model == MT_SP_UNIGRAM);
    if (is_unigram) replay_tokenizers(g, name, &s, &arena);
    if (is_first || !is_unigram) expect_linear(&s);
    mt_cuts_free(&cuts);
    mt_sp_work_free(&w);
    mt_arena_reset(&arena);
}

/* The first model's rules as `tokenizers` walks them. */
static void replay_rules(golden *g, mt_str file)
{
    mt_arena arena;
    mt_sp_file f;
    mt_charsmap map;
    mt_arena_init(&arena, NULL, 4096);
    assert_int_equal(mt_sp_read(&f, file, &arena, NULL), MOTE_OK);
    assert_int_equal(mt_charsmap_init(&map, f.normal.charsmap, NULL), MOTE_OK);
    for (size_t i = 0; i < g->n_text; i++) {
        const uint64_t want = mt_read_u64(&g->c);
        const uint8_t *p = (const uint8_t *)g->text[i].p;
        mt_charsmap_walk walk = { .map = &map, .at = p, .end = p + g->text[i].n };
        mt_buf out;
        size_t at = 0;
        mt_buf_init(&out, NULL, 1 << 20);
        for (mt_str from, to; mt_charsmap_next(&walk, &from, &to); at += from.n) {
            assert_ptr_equal(from.p, p + at);
            assert_true(mt_buf_put(&out, to.p, to.n));
        }
        assert_int_equal(at, g->text[i].n);
        if (want && mt_hash(out.p, out.n) != want)
            fail_msg("rules make '%.*s' of '%.*s'", (int)out.n, out.p, (int)g->text[i].n, g->text[i].p);
        mt_buf_free(&out);
    }
    mt_arena_reset(&arena);
}

static void replay_rwkv(golden *g)
{
    char path[1024];
    size_t n;
    mt_arena arena;
    mt_vocab v;
    mt_rwkv r;
    mote_error err = { 0 };
    snprintf(path, sizeof path, "%s/tokenizer/rwkv_vocab_v20230424.txt", data_dir());
    char *file = read_all(path, &n);
    if (!file) print_message("SKIPPED: no file %s\n", path);
    mt_arena_init(&arena, NULL, 4096);
    if (file && mt_rwkv_read(&v, (mt_str){ file, n }, &arena, &err)) fail_msg("%s", err.text);
    if (file) {
        assert_int_equal(v.n_token, 65530);
        assert_int_equal(mt_rwkv_init(&r, &v, &arena, NULL), MOTE_OK);
    }
    for (size_t i = 0; i < g->n_text; i++) {
        const size_t want = mt_read_u16(&g->c);
        const uint64_t hash = mt_read_u64(&g->c);
        mt_cuts cuts = { 0 };
        size_t steps = 0;
        if (!file) continue;
        assert_true(mt_rwkv_encode(&r, g->text[i], &cuts, &steps));
        assert_true(steps <= g->text[i].n * r.trie.longest);
        expect_cuts("rwkv", g->text[i], &cuts, want, hash, false);
        mt_cuts_free(&cuts);
    }
    mt_arena_reset(&arena);
    free(file);
}

static void replay_tiktoken(golden *g)
{
    const mt_str file = read_str(&g->c, mt_read_u32(&g->c));
    mt_arena arena;
    mt_vocab v;
    mt_pieces pieces;
    mt_bpe bpe;
    mote_error err = { 0 };
    mt_arena_init(&arena, NULL, 4096);
    if (mt_tiktoken_read(&v, file, &arena, &err)) fail_msg("%s", err.text);
    uint8_t *role = mt_arena_push_zero(&arena, v.n_token);
    assert_int_equal(mt_pieces_init(&pieces, &v, role, false, &arena, NULL), MOTE_OK);
    assert_int_equal(mt_bpe_init(&bpe, &pieces, &v, &(mt_bpe_spec){ .ignore_merges = v.ignore_merges }, &arena, NULL), MOTE_OK);
    for (size_t i = 0; i < g->n_text; i++) {
        const size_t want = mt_read_u16(&g->c);
        const uint64_t hash = mt_read_u64(&g->c);
        mt_ids ids = { 0 };
        mt_bpe_work w = { 0 };
        if (g->text[i].n) assert_true(mt_bpe_word(&bpe, g->text[i], &w, &ids));
        assert_int_equal(ids.n, want);
        assert_true(mt_hash(ids.p, ids.n * sizeof *ids.p) == hash);
        mt_bpe_done(&w);
        mt_put(NULL, ids.p, ids.cap * sizeof *ids.p);
    }
    mt_arena_reset(&arena);
}

/* ---- vocabularies of GGUF files -------------------------------------------------------------- */

typedef struct file_vocab {
    mt_source *source;
    mt_vocab v;
    int32_t *kind;
    float   *score;
    mt_str   charsmap;
    bool     use_dummy_prefix, remove_extra_spaces;
} file_vocab;

static bool load_vocab(file_vocab *f, const char *path)
{
    mote_error err = { 0 };
    int64_t unk = -1;
    *f = (file_vocab){ .use_dummy_prefix = true };
    FILE *there = fopen(path, "rb");
    if (!there) {
        print_message("SKIPPED: no file %s\n", path);
        return false;
    }
    fclose(there);
    if (mt_source_open(&f->source, path, NULL, &err)) fail_msg("%s", err.text);
    const mt_source *s = f->source;
    const mt_meta *tokens = mt_source_meta(s, "tokenizer.ggml.tokens");
    const mt_meta *scores = mt_source_meta(s, "tokenizer.ggml.scores");
    const mt_meta *kinds = mt_source_meta(s, "tokenizer.ggml.token_type");
    const mt_meta *map = mt_source_meta(s, "tokenizer.ggml.precompiled_charsmap");
    assert_true(tokens && tokens->strings && scores && kinds);
    f->kind = malloc(kinds->n * sizeof *f->kind);
    f->score = malloc(kinds->n * sizeof *f->score);
    assert_true(f->kind && f->score);
    for (size_t i = 0; i < kinds->n; i++) {
        f->kind[i] = (int32_t)mt_meta_item_int(kinds, i);
        f->score[i] = (float)mt_meta_item_f64(scores, i);
    }
    if (map) f->charsmap = (mt_str){ (const char *)map->raw, map->n };
    mt_meta_bool(s, "tokenizer.ggml.add_space_prefix", &f->use_dummy_prefix);
    mt_meta_bool(s, "tokenizer.ggml.remove_extra_whitespaces", &f->remove_extra_spaces);
    mt_meta_int(s, "tokenizer.ggml.unknown_token_id", &unk);
    f->v = (mt_vocab){ .n_token = tokens->n, .token = tokens->strings, .kind = f->kind, .score = f->score,
                       .bos = -1, .eos = -1, .eot = -1, .unk = (int32_t)unk, .pad = -1 };
    mt_meta_str(s, "tokenizer.ggml.model", &f->v.model);
    return true;
}

static void unload_vocab(file_vocab *f)
{
    mt_source_close(f->source);
    free(f->kind);
    free(f->score);
}

typedef struct file_model { mt_arena arena; mt_spm_normal normal; mt_spm spm; mt_unigram unigram; bool is_spm; } file_model;

static void open_model(file_model *m, const file_vocab *f)
{
    mote_error err = { 0 };
    mt_arena_init(&m->arena, NULL, 4096);
    m->normal = (mt_spm_normal){ .use_dummy_prefix = f->use_dummy_prefix, .escape_spaces = true,
                                 .remove_extra_spaces = f->remove_extra_spaces };
    m->is_spm = mt_str_is(f->v.model, "llama");
    if (mt_charsmap_init(&m->normal.map, f->charsmap, &err)) fail_msg("%s", err.text);
    const mt_unigram_spec spec = { .vocab = &f->v };
    const mote_status status = m->is_spm ? mt_spm_init(&m->spm, &f->v, true, &m->arena, &err)
                                         : mt_unigram_init(&m->unigram, &spec, &m->arena, &err);
    if (status) fail_msg("%s", err.text);
}

static void encode_with(const file_model *m, mt_str text, mt_cuts *cuts)
{
    mt_mapped normal = { 0 };
    mt_spm_work w = { 0 };
    mt_unigram_work uw = { 0 };
    cuts->n = 0;
    assert_int_equal(mt_spm_normalize(&m->normal, text, &normal, NULL), MOTE_OK);
    assert_null(normal.at);
    const mt_str s = { normal.p, normal.n };
    if (m->is_spm) assert_true(mt_spm_encode(&m->spm, s, &w, cuts));
    else assert_int_equal(mt_unigram_encode(&m->unigram, s, &uw, cuts, NULL), MOTE_OK);
    mt_mapped_free(&normal);
    mt_spm_done(&w);
    mt_unigram_done(&uw);
}

static void replay_vocab(golden *g)
{
    char path[1024], name[256] = "";
    const mt_str title = read_str(&g->c, mt_read_u8(&g->c));
    memcpy(name, title.p, title.n);
    file_vocab f;
    file_model *m = malloc(sizeof *m);
    mt_cuts cuts = { 0 };
    assert_non_null(m);
    snprintf(path, sizeof path, "%s/vocab/%s", data_dir(), name);
    const bool is_there = load_vocab(&f, path);
    if (is_there) open_model(m, &f);
    for (size_t i = 0; i < g->n_text; i++) {
        const size_t n = mt_read_u16(&g->c);
        const uint64_t hash = mt_read_u64(&g->c);
        if (!is_there) continue;
        encode_with(m, g->text[i], &cuts);
        expect_cuts(name, g->text[i], &cuts, n, hash, false);
    }
    mt_cuts_free(&cuts);
    if (is_there) {
        mt_arena_reset(&m->arena);
        unload_vocab(&f);
    }
    free(m);
}

static void test_golden(void **unused)
{
    (void)unused;
    golden g;
    golden_open(&g);
    const size_t n = mt_read_u32(&g.c);
    assert_true(n >= 10);
    mt_cursor first = g.c;
    read_str(&first, mt_read_u8(&first));
    const mt_str file = read_str(&first, mt_read_u32(&first));
    for (size_t i = 0; i < n; i++) replay_model(&g, i == 0);
    replay_rules(&g, file);
    replay_rwkv(&g);
    replay_tiktoken(&g);
    for (size_t left = mt_read_u32(&g.c); left > 0; left--) replay_vocab(&g);
    assert_false(g.c.failed);
    assert_int_equal(g.c.at, g.c.size);
    free(g.file);
}

/* The texts of NAME.inp, divided by marker lines, against the ids of NAME.out, a line each. */
static size_t replay_pairs(const file_model *m, const char *inp, size_t n_inp, const char *out)
{
    static const char marker[] = "\n__ggml_vocab_test__\n";
    size_t count = 0;
    for (const char *p = inp, *end = inp + n_inp; p < end; count++) {
        mt_cuts cuts = { 0 };
        int32_t want[2048];
        size_t n_want = 0;
        const char *stop = strstr(p, marker);
        const size_t n = (size_t)((stop ? stop : end) - p);
        while (*out && *out != '\n') {
            char *next;
            want[n_want++] = (int32_t)strtol(out, &next, 10);
            out = next + strspn(next, " ");
        }
        out += *out == '\n';
        while (*out == ' ') out++;
        encode_with(m, (mt_str){ p, n }, &cuts);
        expect_cuts("pairs", (mt_str){ p, n }, &cuts, n_want, mt_hash(want, n_want * sizeof *want), false);
        mt_cuts_free(&cuts);
        p = stop ? stop + strlen(marker) : end;
    }
    return count;
}

static void test_reference_pairs(void **unused)
{
    (void)unused;
    static const char *const names[] = { "llama-spm", "phi-3" };
    size_t done = 0;
    for (size_t i = 0; i < MT_COUNT(names); i++) {
        char path[1024];
        file_vocab f;
        snprintf(path, sizeof path, "%s/vocab/ggml-vocab-%s.gguf", data_dir(), names[i]);
        if (!load_vocab(&f, path)) continue;
        file_model *m = malloc(sizeof *m);
        assert_non_null(m);
        open_model(m, &f);
        size_t n_inp, n_out, len = strlen(path);
        snprintf(path + len, sizeof path - len, ".inp");
        char *inp = read_all(path, &n_inp);
        snprintf(path + len, sizeof path - len, ".out");
        char *out = read_all(path, &n_out);
        assert_true(inp && out);
        assert_int_equal(replay_pairs(m, inp, n_inp, out), 46);
        free(inp);
        free(out);
        mt_arena_reset(&m->arena);
        free(m);
        unload_vocab(&f);
        done++;
    }
    if (!done) skip();
}

/* ---- small vocabularies ------------------------------------------------------------------------ */

typedef struct row { const char *text; float score; int32_t kind; } row;
typedef struct small { mt_vocab v; mt_str token[64]; int32_t kind[64]; float score[64]; } small;

static void small_init(small *s, const row *r, size_t n)
{
    *s = (small){ .v = { .n_token = n, .token = s->token, .kind = s->kind, .score = s->score, .bos = -1,
                         .eos = -1, .eot = -1, .unk = 0, .pad = -1 } };
    for (size_t i = 0; i < n; i++) {
        s->token[i] = mt_str_of(r[i].text);
        s->kind[i] = r[i].kind;
        s->score[i] = r[i].score;
    }
}

static void expect_tokens(const mt_cuts *c, const char *want)
{
    char got[512];
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        n += (size_t)snprintf(got + n, sizeof got - n, "%s%d[%u,%u)", i ? " " : "", (int)c->p[i].id,
                              (unsigned)c->p[i].from, (unsigned)c->p[i].to);
    got[n] = 0;
    assert_string_equal(got, want);
}

/* Of equal scores the leftmost merges first; frozen pieces do not merge; unused ones are undone. */
static void test_merging(void **unused)
{
    (void)unused;
    static const row rows[] = { { "<unk>", 0, 2 }, { "a", -9, 1 }, { "b", -9, 1 }, { "aa", -1, 1 },
        { "ab", -2, 1 }, { "aaa", -3, 1 }, { "ba", 0, 5 }, { "c", -9, 4 }, { "bab", -1, 1 }, { "ca", 5, 1 } };
    small s;
    mt_arena arena;
    mt_spm m;
    mt_spm_work w = { 0 };
    mt_cuts c = { 0 };
    small_init(&s, rows, MT_COUNT(rows));
    mt_arena_init(&arena, NULL, 4096);
    assert_int_equal(mt_spm_init(&m, &s.v, false, &arena, NULL), MOTE_OK);
    assert_true(m.has_unused);
    static const struct { const char *text, *want; } cases[] = {
        { "aaaa", "3[0,2) 3[2,4)" }, { "aaa", "5[0,3)" }, { "ba", "2[0,1) 1[1,2)" }, { "bab", "8[0,3)" },
        { "ca", "7[0,1) 1[1,2)" }, { "xyza", "0[0,3) 1[3,4)" }, { "", "" }, { "baa", "2[0,1) 1[1,2) 1[2,3)" },
    };
    for (size_t i = 0; i < MT_COUNT(cases); i++) {
        c.n = 0;
        assert_true(mt_spm_encode(&m, mt_str_of(cases[i].text), &w, &c));
        expect_tokens(&c, cases[i].want);
    }
    mt_spm_done(&w);
    mt_cuts_free(&c);
    mt_arena_reset(&arena);
}

static void expect_bad(mote_status got, const mote_error *err, mote_status want, const char *word)
{
    assert_int_equal(got, want);
    if (!strstr(err->text, word)) fail_msg("'%s' does not name '%s'", err->text, word);
}

static void test_scores(void **unused)
{
    (void)unused;
    static const row rows[] = { { "<unk>", 0, 2 }, { "a", -1, 1 } };
    small s;
    mt_arena arena;
    mt_spm m;
    mt_unigram u;
    mote_error err = { 0 };
    small_init(&s, rows, MT_COUNT(rows));
    mt_arena_init(&arena, NULL, 4096);
    const mt_unigram_spec spec = { .vocab = &s.v };
    s.score[1] = NAN;
    expect_bad(mt_spm_init(&m, &s.v, false, &arena, &err), &err, MOTE_EFORMAT, "token 1");
    expect_bad(mt_unigram_init(&u, &spec, &arena, &err), &err, MOTE_EFORMAT, "token 1");
    s.v.score = NULL;
    expect_bad(mt_spm_init(&m, &s.v, false, &arena, &err), &err, MOTE_EFORMAT, "score");
    expect_bad(mt_unigram_init(&u, &spec, &arena, &err), &err, MOTE_EFORMAT, "score");
    s.v.score = s.score;
    s.score[1] = -1;
    s.v.unk = 2;
    expect_bad(mt_spm_init(&m, &s.v, false, &arena, &err), &err, MOTE_EFORMAT, "unknown");
    expect_bad(mt_unigram_init(&u, &spec, &arena, &err), &err, MOTE_EFORMAT, "unknown");
    char longest[1100];
    memset(longest, 'a', sizeof longest);
    s.v.unk = -1;
    s.token[0] = (mt_str){ longest, sizeof longest };
    s.kind[0] = 1;
    expect_bad(mt_spm_init(&m, &s.v, false, &arena, &err), &err, MOTE_EUNSUPPORTED, "1100");
    expect_bad(mt_unigram_init(&u, &spec, &arena, &err), &err, MOTE_EUNSUPPORTED, "1100");
    s.token[0].n = MT_TRIE_LONGEST;
    assert_int_equal(mt_unigram_init(&u, &spec, &arena, &err), MOTE_OK);
    mt_cuts c = { 0 };
    mt_unigram_work w = { 0 };
    assert_int_equal(mt_unigram_encode(&u, (mt_str){ longest, 1025 }, &w, &c, &err), MOTE_OK);
    expect_tokens(&c, "1[0,1) 0[1,1025)");        /* as good as the other way, and found first */
    expect_bad(mt_unigram_encode(&u, mt_str_of("ax"), &w, &c, &err), &err, MOTE_EINVAL, "unknown");
    mt_unigram_done(&w);
    mt_cuts_free(&c);
    mt_arena_reset(&arena);
}

/* ---- the trie ------------------------------------------------------------------------------------- */

/* Random keys over few and many bytes, against a search through all of them. */
static void test_trie(void **unused)
{
    (void)unused;
    enum { N = 3000 };
    static char room[N][12];
    static mt_str key[N];
    uint64_t random = 1;
    for (unsigned spread = 2; spread <= 256; spread *= 4) {
        mt_arena arena;
        mt_trie t;
        mt_arena_init(&arena, NULL, 4096);
        for (size_t i = 0; i < N; i++) {
            key[i] = (mt_str){ room[i], i % 11 };
            for (size_t k = 0; k < key[i].n; k++) {
                random = random * 6364136223846793005u + 1442695040888963407u;
                room[i][k] = (char)(random >> 33) % (char)(spread > 64 ? 127 : spread);
                if (spread == 256 && random >> 63) room[i][k] = (char)(room[i][k] | 0x80);
            }
        }
        assert_int_equal(mt_trie_init(&t, key, NULL, N, &arena, NULL), MOTE_OK);
        for (size_t i = 0; i < N; i++) {
            size_t len = 0, best_len = 0;
            int32_t best = -1;
            const uint8_t *p = (const uint8_t *)room[i];
            for (size_t k = 0; k < N; k++)
                if (key[k].n > best_len && key[k].n <= key[i].n && memcmp(key[k].p, p, key[k].n) == 0) {
                    best = (int32_t)k;
                    best_len = key[k].n;
                }
            assert_int_equal(mt_trie_match(&t, p, p + key[i].n, &len), best);
            assert_true(best < 0 || len == best_len);
        }
        mt_arena_reset(&arena);
    }
}

/* ---- hostile files ---------------------------------------------------------------------------------- */

static void expect_file(const char *bytes, size_t n, mote_status want, const char *word)
{
    mt_arena arena;
    mt_sp_file f;
    mote_error err = { 0 };
    mt_arena_init(&arena, NULL, 4096);
    expect_bad(mt_sp_read(&f, (mt_str){ bytes, n }, &arena, &err), &err, want, word);
    mt_arena_reset(&arena);
}
#define FILE_IS(bytes, want, word) expect_file(bytes, sizeof(bytes) - 1, want, word)
#define UNK "\x0A\x05\x0A\x01?\x18\x02"          /* a piece "?", the unknown */

static void test_protobuf(void **unused)
{
    (void)unused;
    FILE_IS("", MOTE_EFORMAT, "0 pieces");
    FILE_IS("\x0A", MOTE_EFORMAT, "cut short");
    FILE_IS("\x0A\x05\x0A", MOTE_EFORMAT, "cut short");
    FILE_IS("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", MOTE_EFORMAT, "cut short");
    FILE_IS("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02", MOTE_EFORMAT, "cut short");
    FILE_IS("\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", MOTE_EFORMAT, "cut short");
    FILE_IS(UNK "\x0B\x0C", MOTE_EFORMAT, "wire type 3");
    FILE_IS(UNK "\x0C", MOTE_EFORMAT, "wire type 4");
    FILE_IS(UNK "\x0F", MOTE_EFORMAT, "wire type 7");
    FILE_IS(UNK "\x02\x00", MOTE_EFORMAT, "numbered 0");
    FILE_IS(UNK "\x0A\x00", MOTE_EFORMAT, "piece 1 is empty");
    FILE_IS(UNK UNK, MOTE_EFORMAT, "both the unknown");
    FILE_IS("\x0A\x03\x0A\x01x", MOTE_EFORMAT, "no piece is the unknown");
    FILE_IS(UNK "\x0A\x0A\x0A\x06<0x41>\x18\x06", MOTE_EFORMAT, "no byte fallback");
    FILE_IS(UNK "\x0A\x0A\x0A\x06<0x41>\x18\x06\x12\x03\x98\x02\x01", MOTE_EFORMAT, "1 byte pieces");
    FILE_IS(UNK "\x0A\x0A\x0A\x06<0x4a>\x18\x06\x12\x03\x98\x02\x01", MOTE_EFORMAT, "its text is not");
    FILE_IS(UNK "\x12\x02\x18\x03", MOTE_EUNSUPPORTED, "word");
    FILE_IS(UNK "\x12\x02\x18\x04", MOTE_EUNSUPPORTED, "character");
    FILE_IS(UNK "\x12\x02\x18", MOTE_EFORMAT, "cut short");
    /* Skipped: unknown fields, known ones of another wire type, values that are none of an enum's. */
    static const char fine[] = UNK "\x0D\x01\x02\x03\x04\x09\x01\x02\x03\x04\x05\x06\x07\x08\x08\x96\x01"
        "\xA2\x06\x02hi\x12\x02\x18\x07\x1A\x04\x18\x00\x20\x00\x0A\x07\x0A\x03<s>\x18\x03";
    mt_arena arena;
    mt_sp_file f;
    mote_error err = { 0 };
    mt_arena_init(&arena, NULL, 4096);
    if (mt_sp_read(&f, (mt_str){ fine, sizeof fine - 1 }, &arena, &err)) fail_msg("%s", err.text);
    assert_int_equal(f.vocab.n_token, 2);
    assert_int_equal(f.vocab.unk, 0);
    assert_int_equal(f.vocab.bos, 1);
    assert_int_equal(f.vocab.eos, -1);
    assert_int_equal(f.model, MT_SP_UNIGRAM);
    assert_false(f.normal.use_dummy_prefix || f.normal.remove_extra_spaces);
    assert_true(f.normal.escape_spaces);
    mt_arena_reset(&arena);
}

static void expect_map(const char *blob, size_t n, const char *word)
{
    mt_charsmap m;
    mote_error err = { 0 };
    expect_bad(mt_charsmap_init(&m, (mt_str){ blob, n }, &err), &err, MOTE_EFORMAT, word);
}

/* Tables that point anywhere give rules that lie inside, or none. */
static void test_charsmap(void **unused)
{
    (void)unused;
    expect_map("\1", 1, "table");
    expect_map("\3\0\0\0abc\0", 8, "multiple");
    expect_map("\x08\0\0\0abcd", 8, "multiple");
    expect_map("\4\0\0\0abcd", 8, "NUL");
    expect_map("\4\0\0\0abcdx", 9, "NUL");
    static uint8_t blob[4 + 1024 + 8];
    uint64_t random = 3;
    blob[1] = 4;
    memcpy(blob + 4 + 1024, "ab\0cdef", 8);
    for (int round = 0; round < 2000; round++) {
        mt_charsmap m;
        uint8_t text[80];
        for (size_t i = 4; i < 4 + 1024; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            blob[i] = (uint8_t)(random >> 56);
            if (i % 4 == 0) blob[i] = (uint8_t)((i - 4) / 4);       /* every unit leads to itself */
            if (i % 4 >= 2 && random >> 40 & 1) blob[i] = 0;
        }
        assert_int_equal(mt_charsmap_init(&m, (mt_str){ (const char *)blob, sizeof blob }, NULL), MOTE_OK);
        for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(random >> (i % 50));
        for (size_t i = 0; i < sizeof text; i++) {
            mt_str to;
            const size_t n = mt_charsmap_longest(&m, text + i, text + sizeof text, &to);
            assert_true(n <= 64 && n <= sizeof text - i);
            if (n) assert_true(to.p >= m.to && to.p + to.n < m.to + m.n_to);
        }
    }
}

/* A rule of 200 bytes from 1: a text of 16 MiB would become 3 GiB. */
static void test_expansion(void **unused)
{
    (void)unused;
    enum { N_UNIT = 512, N_TO = 201 };
    static uint8_t blob[4 + N_UNIT * 4 + N_TO];
    blob[1] = N_UNIT * 4 >> 8;
    uint8_t *unit = blob + 4;
    unit[1] = 0, unit[2] = 1;                                       /* root: children at 64 ^ ... */
    const uint32_t root = 64, a = root ^ 'a', leaf = a ^ 128;
    const uint32_t words[3][2] = { { 0, root << 10 }, { a, 'a' | 1 << 8 | (uint32_t)128 << 10 }, { leaf, 1u << 31 } };
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 4; k++) unit[words[i][0] * 4 + (unsigned)k] = (uint8_t)(words[i][1] >> (8 * k));
    memset(blob + 4 + N_UNIT * 4, 'x', N_TO - 1);
    mt_spm_normal s = { .escape_spaces = true };
    mote_error err = { 0 };
    mt_mapped m = { 0 };
    if (mt_charsmap_init(&s.map, (mt_str){ (const char *)blob, sizeof blob }, &err)) fail_msg("%s", err.text);
    assert_int_equal(mt_spm_normalize(&s, mt_str_of("bab"), &m, &err), MOTE_OK);
    assert_int_equal(m.n, 202);
    const size_t n = 2 << 20;
    char *text = malloc(n);
    assert_non_null(text);
    memset(text, 'a', n);
    expect_bad(mt_spm_normalize(&s, (mt_str){ text, n }, &m, &err), &err, MOTE_EINVAL, "normalised");
    mt_mapped_free(&m);
    free(text);
}

/* ---- RWKV and tiktoken files --------------------------------------------------------------------- */

static void expect_rwkv(const char *file, const char *word)
{
    mt_arena arena;
    mt_vocab v;
    mote_error err = { 0 };
    mt_arena_init(&arena, NULL, 4096);
    expect_bad(mt_rwkv_read(&v, mt_str_of(file), &arena, &err), &err, MOTE_EFORMAT, word);
    mt_arena_reset(&arena);
}

static void test_rwkv_file(void **unused)
{
    (void)unused;
    expect_rwkv("", "no line");
    expect_rwkv("x 'a' 1\n", "line 1: expected a number");
    expect_rwkv("1 'a' 1\n\n1 'b' 1", "line 3: the id was there");
    expect_rwkv("0 'a' 1", "end of a text");
    expect_rwkv("1 '' 0", "empty");
    expect_rwkv("1 'a 1", "does not end");
    expect_rwkv("1 'a\\' 1", "does not end");
    expect_rwkv("1 a 1", "string literal");
    expect_rwkv("1 'a' 2", "not the literal's");
    expect_rwkv("1 'a'1", "number of bytes");
    expect_rwkv("1 'a' 1 ", "number of bytes");
    expect_rwkv("1 'a\\q' 3", "Python");
    expect_rwkv("1 b'\\u0041' 1", "Python");
    expect_rwkv("1 '\\x4' 1", "Python");
    expect_rwkv("1 '\\ud800' 3", "Python");
    expect_rwkv("1 '\\U00110000' 4", "Python");
    expect_rwkv("1 b'\xC3\xA9' 2", "Python");
    expect_rwkv("1 '\xFF' 1", "Python");
    expect_rwkv("1 b'\\400' 1", "Python");
    expect_rwkv("99999999 'a' 1", "too large");
    static const char file[] = "1 'a\"b' 3\r\n2 \"it's\" 4\n5 '\\x41\\u00e9\\U0001f999\\n\\t\\'\\\\' 11\n"
        "7 b'\\xff\\x00\\'\"\\101\\0' 6\n8 '\\xff' 2\n9 '\xE4\xB8\xAD' 3\n10 '\\a\\b\\f\\v\\r\\\"' 6\n";
    static const struct { int32_t id; const char *text; size_t n; } want[] = {
        { 1, "a\"b", 3 }, { 2, "it's", 4 }, { 5, "A\xC3\xA9\xF0\x9F\xA6\x99\n\t'\\", 11 },
        { 7, "\xFF\0'\"A\0", 6 }, { 8, "\xC3\xBF", 2 }, { 9, "\xE4\xB8\xAD", 3 }, { 10, "\a\b\f\v\r\"", 6 } };
    mt_arena arena;
    mt_vocab v;
    mt_rwkv r;
    mt_cuts c = { 0 };
    mote_error err = { 0 };
    mt_arena_init(&arena, NULL, 4096);
    if (mt_rwkv_read(&v, mt_str_of(file), &arena, &err)) fail_msg("%s", err.text);
    assert_int_equal(v.n_token, 11);
    for (size_t i = 0; i < MT_COUNT(want); i++)
        assert_true(mt_str_eq(v.token[want[i].id], (mt_str){ want[i].text, want[i].n }));
    assert_int_equal(v.kind[3], MT_TOKEN_UNUSED);
    assert_int_equal(v.kind[0], MT_TOKEN_CONTROL);
    assert_int_equal(mt_rwkv_init(&r, &v, &arena, NULL), MOTE_OK);
    assert_true(mt_rwkv_encode(&r, mt_str_of("it'sa\"b?\xC3\xBF"), &c, NULL));
    expect_tokens(&c, "2[0,4) 1[4,7) 8[8,10)");
    r.other = 0;
    c.n = 0;
    assert_true(mt_rwkv_encode(&r, mt_str_of("?\xC3\xBF"), &c, NULL));
    expect_tokens(&c, "0[0,1) 8[1,3)");
    uint8_t out[16];
    assert_int_equal(mt_rwkv_unescape(mt_str_of("\\xe4\\n'\\\\"), out), 4);
    assert_memory_equal(out, "\xE4\n'\\", 4);
    assert_true(mt_rwkv_unescape(mt_str_of("\\x"), out) == SIZE_MAX);
    mt_cuts_free(&c);
    mt_arena_reset(&arena);
}

static void expect_tiktoken(const char *file, mote_status want, const char *word)
{
    mt_arena arena;
    mt_vocab v;
    mote_error err = { 0 };
    mt_arena_init(&arena, NULL, 4096);
    expect_bad(mt_tiktoken_read(&v, mt_str_of(file), &arena, &err), &err, want, word);
    mt_arena_reset(&arena);
}

static void test_tiktoken_file(void **unused)
{
    (void)unused;
    expect_tiktoken("", MOTE_EFORMAT, "no line");
    expect_tiktoken("YQ==", MOTE_EFORMAT, "line 1: expected a token");
    expect_tiktoken("YQ== x", MOTE_EFORMAT, "line 1");
    expect_tiktoken("\nYQ== 1 ", MOTE_EFORMAT, "line 2");
    expect_tiktoken("YQ== 99999999", MOTE_EFORMAT, "rank below");
    expect_tiktoken("YQ= 1", MOTE_EFORMAT, "not in base64");
    expect_tiktoken("YR== 1", MOTE_EFORMAT, "not in base64");
    expect_tiktoken("Y*== 1", MOTE_EFORMAT, "not in base64");
    expect_tiktoken("=a== 1", MOTE_EFORMAT, "not in base64");
    expect_tiktoken(" 1", MOTE_EFORMAT, "not in base64");
    expect_tiktoken("YQ== 1\nYg== 1", MOTE_EFORMAT, "rank 1 was there");
    expect_tiktoken("YQ== 1\nYQ== 2", MOTE_EFORMAT, "there twice");
    char longest[1500];
    memset(longest, 'a', sizeof longest);
    memcpy(longest + 1400, " 1", 3);
    expect_tiktoken(longest, MOTE_EUNSUPPORTED, "1000 bytes");
    mt_arena arena;
    mt_vocab v;
    mote_error err = { 0 };
    mt_arena_init(&arena, NULL, 4096);
    /* a, b, ab, gap, "ab " (its parts: ab and the space), "ba" of parts that are there */
    if (mt_tiktoken_read(&v, mt_str_of("YQ== 0\nYg== 1\nYWI= 2\r\n\nIA== 4\nYWIg 5\nYmE= 6"), &arena, &err))
        fail_msg("%s", err.text);
    assert_int_equal(v.n_token, 7);
    assert_int_equal(v.n_merge, 3);
    assert_true(mt_str_is(v.merge[0], "a b") && mt_str_is(v.merge[1], "ab \xC4\xA0") && mt_str_is(v.merge[2], "b a"));
    assert_true(mt_str_is(v.token[5], "ab\xC4\xA0") && v.kind[3] == MT_TOKEN_UNUSED && v.ignore_merges);
    mt_arena_reset(&arena);
}

/* ---- decoding ---------------------------------------------------------------------------------------- */

static void test_decoding(void **unused)
{
    (void)unused;
    static const row rows[] = { { "<unk>", 0, 2 }, { "\xE2\x96\x81" "a", -1, 1 }, { "<0xE4>", 0, 6 },
        { "<0xB8>", 0, 6 }, { "<0xAD>", 0, 6 }, { "</s>", 0, 3 }, { "\xE2\x96\x81", -1, 1 } };
    static const struct { int32_t id[8]; size_t n; bool dummy, extra, repairs; const char *want; } cases[] = {
        { { 1, 1 }, 2, true, false, true, "a a" }, { { 1, 1 }, 2, false, false, true, " a a" },
        { { 6, 6, 1 }, 3, true, false, true, "  a" }, { { 6, 6, 1 }, 3, true, true, true, "a" },
        { { 5, 6, 1 }, 3, true, false, true, " a" }, { { 2, 3, 4 }, 3, true, false, true, "\xE4\xB8\xAD" },
        { { 2, 3, 1, 4 }, 4, true, false, true, "\xEF\xBF\xBD\xEF\xBF\xBD a\xEF\xBF\xBD" },
        { { 2, 3, 1, 4 }, 4, true, false, false, "\xE4\xB8 a\xAD" }, { { 0, 1 }, 2, true, false, true, "? a" },
    };
    small s;
    small_init(&s, rows, MT_COUNT(rows));
    mt_sp_decoder d = { .vocab = &s.v, .unk_surface = mt_str_of("?") };
    for (size_t i = 0; i < MT_COUNT(cases); i++) {
        mt_buf out;
        mt_buf_init(&out, NULL, 1 << 10);
        d.use_dummy_prefix = cases[i].dummy;
        d.remove_extra_spaces = cases[i].extra;
        d.repairs = cases[i].repairs;
        assert_int_equal(mt_sp_decode_ids(&d, cases[i].id, cases[i].n, &out, NULL), MOTE_OK);
        if (!mt_str_is((mt_str){ out.p, out.n }, cases[i].want))
            fail_msg("case %zu: '%.*s', expected '%s'", i, (int)out.n, out.p, cases[i].want);
        mt_buf_free(&out);
    }
    /* More bytes than the window, a character across its end. */
    int32_t many[300];
    mt_buf out;
    mt_buf_init(&out, NULL, 1 << 10);
    for (size_t i = 0; i < 300; i++) many[i] = (int32_t)(2 + i % 3);
    assert_int_equal(mt_sp_decode_ids(&d, many, 300, &out, NULL), MOTE_OK);
    assert_int_equal(out.n, 300);
    for (size_t i = 0; i < 300; i += 3) assert_memory_equal(out.p + i, "\xE4\xB8\xAD", 3);
    mote_error err = { 0 };
    expect_bad(mt_sp_decode_ids(&d, (const int32_t[]){ 7 }, 1, &out, &err), &err, MOTE_EINVAL, "token 7");
    expect_bad(mt_sp_decode_ids(&d, (const int32_t[]){ -1 }, 1, &out, &err), &err, MOTE_EINVAL, "token -1");
    mt_buf_free(&out);
}

/* ---- failing memory ------------------------------------------------------------------------------------ */

static mote_status whole_run(mt_str file, mt_str text, const mote_alloc *alloc, mote_error *err)
{
    mt_arena arena;
    mt_sp s;
    mt_sp_work w;
    mt_cuts cuts = { .alloc = alloc };
    mt_buf back;
    mt_arena_init(&arena, alloc, 4096);
    mt_sp_work_init(&w, alloc);
    mt_buf_init(&back, alloc, 1 << 20);
    mote_status status = mt_sp_init(&s, file, &arena, err);
    if (status == MOTE_OK) status = mt_sp_encode(&s, text, &w, &cuts, err);
    if (status == MOTE_OK) {
        const int32_t id[] = { cuts.p[0].id, cuts.p[1].id };
        status = mt_sp_decode(&s, id, 2, true, &back, err);
    }
    mt_buf_free(&back);
    mt_cuts_free(&cuts);
    mt_sp_work_free(&w);
    mt_arena_reset(&arena);
    return status;
}

static void test_failing_memory(void **unused)
{
    (void)unused;
    golden g;
    char text[3000];
    golden_open(&g);
    for (size_t i = 0; i < sizeof text; i++) text[i] = "the \xE4\xB8\xAD 123"[i % 11];
    for (size_t n_model = mt_read_u32(&g.c); n_model > 0; n_model--) {
        read_str(&g.c, mt_read_u8(&g.c));
        const mt_str file = read_str(&g.c, mt_read_u32(&g.c));
        g.c.at += g.n_text * 18;
        if (mt_read_u8(&g.c)) g.c.at += g.n_text * 10;
        for (int keep = 0; keep < 2; keep++)
            for (size_t n = 1;; n++) {
                fail_alloc fa;
                mote_error err = { 0 };
                const mote_alloc *alloc = fail_alloc_init(&fa, n, keep);
                const mote_status status = whole_run(file, (mt_str){ text, sizeof text }, alloc, &err);
                fail_alloc_check(&fa);
                if (fa.calls < n) {
                    assert_int_equal(status, MOTE_OK);
                    assert_true(n > 10);
                    break;
                }
                assert_int_equal(status, MOTE_ENOMEM);
                assert_int_equal(err.code, MOTE_ENOMEM);
            }
    }
    free(g.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),       cmocka_unit_test(test_reference_pairs),
        cmocka_unit_test(test_merging),      cmocka_unit_test(test_scores),
        cmocka_unit_test(test_trie),         cmocka_unit_test(test_protobuf),
        cmocka_unit_test(test_charsmap),     cmocka_unit_test(test_expansion),
        cmocka_unit_test(test_rwkv_file),    cmocka_unit_test(test_tiktoken_file),
        cmocka_unit_test(test_decoding),     cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

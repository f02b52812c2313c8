/* SPDX-License-Identifier: MIT */
/* vocab_files.c - the vocabularies of folders from before tokenizer.json, or without it.
 *
 * Each file becomes what a GGUF file would say (mt_vocab); GPT-2's two become the tokenizer.json that
 * joins them. */
#include <stdio.h>
#include <string.h>

#include "api/model.h"
#include "file/vocab_json.h"
#include "text/rwkv.h"
#include "text/sentencepiece.h"
#include "text/tape.h"
#include "text/tiktoken.h"

/* What tokenizer_config.json says of a BERT text: is it brought to lower case?  True where nothing is said. */
static mote_status read_lowercase(const mt_source *s, mt_arena *arena, bool *out, mote_error *err)
{
    const mt_str config = mt_source_file(s, "tokenizer_config.json");
    mt_tape j;
    *out = true;
    if (config.n == 0) return MOTE_OK;
    MT_TRY(mt_tape_open(&j, config, "tokenizer_config.json", arena->alloc, err));
    const uint32_t flag = mt_tape_get(&j, 0, "do_lower_case");
    *out = !flag || mt_tape_true(&j, flag);
    mt_tape_close(&j);
    return MOTE_OK;
}

/* vocab.txt: a BERT token a line, continuing ones behind ##; turned into what GGUF has. */
static mote_status read_lines(const mt_source *s, mt_arena *arena, mt_str text, mt_vocab *v, mote_error *err)
{
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    int32_t *id[] = {&v->pad, &v->unk, &v->cls, &v->sep, &v->mask};
    size_t n = 0, bytes = 1;
    for (size_t i = 0; i < text.n; i++) n += text.p[i] == '\n';
    if (!mt_mul_ok(n + 1, 3, &bytes) || !mt_add_ok(bytes, text.n, &bytes)) bytes = SIZE_MAX;
    mt_str *token = mt_arena_push_n(arena, n + 1, sizeof *token);
    int32_t *kind = mt_arena_push_n(arena, n + 1, sizeof *kind);
    char *to = mt_arena_push(arena, bytes);
    if (!token || !kind || !to) MT_FAIL(err, MOTE_ENOMEM, "vocab.txt: no memory for %zu tokens", n);
    v->model = mt_str_of("bert"), v->token = token, v->kind = kind;
    mt_vocab_defaults(v);
    MT_TRY(read_lowercase(s, arena, &v->lowercase, err));
    for (const char *p = text.p, *end = text.p + text.n; p < end; v->n_token++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        mt_str line = {p, (size_t)((stop ? stop : end) - p)};
        p = stop ? stop + 1 : end;
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        token[v->n_token] = line, kind[v->n_token] = MT_TOKEN_NORMAL;
        for (size_t i = 0; i < MT_COUNT(special); i++)
            if (mt_str_is(line, special[i])) kind[v->n_token] = MT_TOKEN_CONTROL, *id[i] = (int32_t)v->n_token;
        if (kind[v->n_token] == MT_TOKEN_CONTROL) continue;
        const bool goes_on = line.n > 2 && memcmp(line.p, "##", 2) == 0;
        if (goes_on) {
            token[v->n_token] = (mt_str){line.p + 2, line.n - 2};
            continue;
        }
        memcpy(to, "\xE2\x96\x81", 3);
        if (line.n) memcpy(to + 3, line.p, line.n);
        token[v->n_token] = (mt_str){to, line.n + 3};
        to += line.n + 3;
    }
    return MOTE_OK;
}

static mote_status read_sentencepiece(const mt_source *s, mt_arena *arena, mt_str bytes, mt_vocab *v, mote_error *err)
{
    (void)s;
    mt_sp_file f;
    MT_TRY(mt_sp_read(&f, bytes, arena, err));
    *v = f.vocab;
    mt_vocab_defaults(v);
    v->add_space_prefix = f.normal.use_dummy_prefix, v->remove_extra_spaces = f.normal.remove_extra_spaces;
    v->charsmap = f.normal.charsmap;
    return MOTE_OK;
}

/* A list of ranks does not say how text is split; its published name does. */
static const struct { const char *name, *pre; } rank_table[] = {
    {"qwen.tiktoken", "qwen2"},      {"cl100k_base.tiktoken", "dbrx"}, {"o200k_base.tiktoken", "gpt-4o"},
    {"r50k_base.tiktoken", "gpt-2"}, {"p50k_base.tiktoken", "gpt-2"},
};

static mote_status read_tiktoken(const mt_source *s, mt_arena *arena, mt_str text, mt_vocab *v, mote_error *err)
{
    for (size_t i = 0; i < MT_COUNT(rank_table); i++) {
        if (mt_source_file(s, rank_table[i].name).p != text.p) continue;
        MT_TRY(mt_tiktoken_read(v, text, arena, err));
        v->pre = mt_str_of(rank_table[i].pre);
        return MOTE_OK;
    }
    MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: a list of ranks does not say how text is split; expected tokenizer.json, or the name qwen, "
            "cl100k_base, o200k_base, r50k_base or p50k_base.tiktoken", mt_path_end(s->path));
}

static mote_status read_rwkv(const mt_source *s, mt_arena *arena, mt_str text, mt_vocab *v, mote_error *err)
{
    (void)s;
    return mt_rwkv_read(v, text, arena, err);
}

typedef mote_status (*read_fn)(const mt_source *s, mt_arena *arena, mt_str text, mt_vocab *v, mote_error *err);

/* In this order: what says more comes first. */
static const struct { const char *name; read_fn read; } file_table[] = {
    {"tokenizer.model", read_sentencepiece},
    {"spiece.model", read_sentencepiece},
    {"sentencepiece.bpe.model", read_sentencepiece},
    {"vocab.txt", read_lines},
    {"*.tiktoken", read_tiktoken},
    {"rwkv_vocab_v20230424.txt", read_rwkv},
};

mote_status mt_vocab_of_files(const mt_source *s, mt_arena *arena, mt_vocab *v, bool *is_found, mote_error *err)
{
    *is_found = false;
    for (size_t i = 0; i < MT_COUNT(file_table); i++) {
        const mt_str text = mt_source_file(s, file_table[i].name);
        if (text.n == 0) continue;
        *v = (mt_vocab){.bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1, .cls = -1, .sep = -1, .mask = -1};
        *is_found = true;
        return file_table[i].read(s, arena, text, v, err);
    }
    return MOTE_OK;
}

/* ---- vocab.json and merges.txt: the two files that tokenizer.json joined -------------------------- */

/* The id that a vocabulary gives a piece, by its text; -1: none. */
static int64_t id_in(mt_str vocab, const char *quoted)
{
    const char *at = memmem(vocab.p, vocab.n, quoted, strlen(quoted));
    const char *end = vocab.p + vocab.n;
    if (!at) return -1;
    at += strlen(quoted);
    while (at < end && (*at == ' ' || *at == ':')) at++;
    int64_t id = -1;
    for (int digits = 0; at < end && *at >= '0' && *at <= '9' && digits < 9; digits++, at++)
        id = (id < 0 ? 0 : 10 * id) + (*at - '0');
    return id;
}

static bool put_merges(mt_buf *b, mt_str text)
{
    bool ok = true, is_first = true;
    for (const char *p = text.p, *end = text.p + text.n; ok && p < end;) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        mt_str line = {p, (size_t)((stop ? stop : end) - p)};
        p = stop ? stop + 1 : end;
        if (line.n && line.p[line.n - 1] == '\r') line.n--;
        if (line.n == 0 || (is_first && line.n > 8 && memcmp(line.p, "#version", 8) == 0)) continue;
        ok = (is_first || mt_buf_put(b, ",", 1)) && mt_json_quote(b, line);
        is_first = false;
    }
    return ok;
}

bool mt_vocab_is_apart(const mt_source *s)
{
    return mt_source_file(s, "tokenizer.json").n == 0 && mt_source_file(s, "vocab.json").n && mt_source_file(s, "merges.txt").n;
}

/* GPT-2's, whose published form says the rest: byte-level, one special token. */
mote_status mt_vocab_join(const mt_source *s, mt_buf *out, mote_error *err)
{
    static const char *const bytes = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
                                     "\"use_regex\": true}";
    const mt_str vocab = mt_source_file(s, "vocab.json"), merges = mt_source_file(s, "merges.txt");
    mt_str family = {"", 0};
    mt_meta_str(s, s->is_foreign ? "model_type" : "config.model_type", &family);
    if (!mt_str_is(family, "gpt2"))
        MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: vocab.json and merges.txt are read of gpt2 only; of %.*s they do not say how text "
                "is split: tokenizer.json is needed", mt_path_end(s->path), (int)MT_MIN(family.n, 40), family.p);
    const int64_t end = id_in(vocab, "\"<|endoftext|>\"");
    bool ok = mt_buf_print(out, "{\"added_tokens\": [");
    if (ok && end >= 0)
        ok = mt_buf_print(out, "{\"id\": %lld, \"content\": \"<|endoftext|>\", \"single_word\": false, \"lstrip\": false, "
                          "\"rstrip\": false, \"normalized\": true, \"special\": true}", (long long)end);
    ok = ok && mt_buf_print(out, "], \"pre_tokenizer\": %s, \"decoder\": %s, \"model\": {\"type\": \"BPE\", \"vocab\": ", bytes,
                            bytes) &&
         mt_buf_put(out, vocab.p, vocab.n) && mt_buf_print(out, ", \"merges\": [") && put_merges(out, merges) &&
         mt_buf_print(out, "]}}");
    if (!ok) MT_FAIL(err, MOTE_ENOMEM, "vocab.json: no memory to join it with merges.txt");
    return MOTE_OK;
}

/* SPDX-License-Identifier: MIT */
/* vocab.c - a model's tokenizer and chat templates, from whatever its publisher put beside the weights.
 *
 * In a folder tokenizer.json comes first, since it says everything; then the older files, which leave
 * the rest to convention.  A GGUF has its vocabulary among its metadata. */
#include <stdio.h>
#include <string.h>

#include "api/model.h"
#include "file/vocab_json.h"
#include "text/tape.h"
#include "text/rwkv.h"
#include "text/sentencepiece.h"
#include "text/tiktoken.h"

/* ---- GGUF --------------------------------------------------------------------------------------- */

static int32_t token_id(const mt_source *s, const char *key)
{
    int64_t id;
    return mt_meta_int(s, key, &id) && id >= 0 && id <= INT32_MAX ? (int32_t)id : -1;
}

static mote_status numbers(const mt_source *s, const char *key, size_t n, mt_arena *arena, const int32_t **out, mote_error *err)
{
    const mt_meta *a = mt_source_meta(s, key);
    if (!a || a->type != MT_META_ARRAY || a->n < n || a->item == MT_META_STRING || a->item == MT_META_F32) return MOTE_OK;
    int32_t *v = mt_arena_push_n(arena, n, sizeof *v);
    if (!v) MT_FAIL(err, MOTE_ENOMEM, "vocabulary: no memory for %zu numbers", n);
    for (size_t i = 0; i < n; i++) v[i] = (int32_t)mt_meta_item_int(a, i);
    *out = v;
    return MOTE_OK;
}

static mote_status scores(const mt_source *s, mt_arena *arena, mt_vocab *vocab, mote_error *err)
{
    const mt_meta *a = mt_source_meta(s, "tokenizer.ggml.scores");
    const size_t n = vocab->n_token;
    if (!a || a->type != MT_META_ARRAY || a->n < n || a->item != MT_META_F32) return MOTE_OK;
    float *v = mt_arena_push_n(arena, n, sizeof *v);
    if (!v) MT_FAIL(err, MOTE_ENOMEM, "vocabulary: no memory for %zu scores", n);
    for (size_t i = 0; i < n; i++) v[i] = (float)mt_meta_item_f64(a, i);
    vocab->score = v;
    return MOTE_OK;
}

/* The compiled normaliser, an array of single bytes. */
static void charsmap(const mt_source *s, mt_vocab *v)
{
    const mt_meta *a = mt_source_meta(s, "tokenizer.ggml.precompiled_charsmap");
    if (a && a->type == MT_META_ARRAY && (a->item == MT_META_U8 || a->item == MT_META_I8))
        v->charsmap = (mt_str){ (const char *)a->raw, a->n };
}

/* RWKV's tokens are stored as the insides of Python literals. */
static mote_status unescape(mt_arena *arena, mt_vocab *v, mote_error *err)
{
    mt_str *token = mt_arena_push_n(arena, MT_MAX(v->n_token, 1), sizeof *token);
    size_t total = 1;
    for (size_t i = 0; i < v->n_token; i++)
        if (!mt_add_ok(total, v->token[i].n, &total)) MT_FAIL(err, MOTE_EFORMAT, "vocabulary: too long");
    uint8_t *to = mt_arena_push(arena, total);
    if (!token || !to) MT_FAIL(err, MOTE_ENOMEM, "vocabulary: no memory for %zu tokens", v->n_token);
    for (size_t i = 0; i < v->n_token; i++) {
        const size_t n = mt_rwkv_unescape(v->token[i], to);
        if (n == SIZE_MAX) MT_FAIL(err, MOTE_EFORMAT, "vocabulary: token %zu is not a bytes literal", i);
        token[i] = (mt_str){ (const char *)to, n };
        to += n;
    }
    v->token = token;
    return MOTE_OK;
}

static void read_ids(const mt_source *s, mt_vocab *v)
{
    const struct { const char *key; int32_t *id; } row[] = {
        {"tokenizer.ggml.bos_token_id", &v->bos}, {"tokenizer.ggml.eos_token_id", &v->eos},
        {"tokenizer.ggml.eot_token_id", &v->eot}, {"tokenizer.ggml.unknown_token_id", &v->unk},
        {"tokenizer.ggml.padding_token_id", &v->pad}, {"tokenizer.ggml.cls_token_id", &v->cls},
        {"tokenizer.ggml.seperator_token_id", &v->sep}, {"tokenizer.ggml.mask_token_id", &v->mask},
    };
    for (size_t i = 0; i < MT_COUNT(row); i++) *row[i].id = token_id(s, row[i].key);
}

mote_status mt_vocab_read(const mt_source *s, mt_arena *arena, mt_vocab *v, mote_error *err)
{
    const mt_meta *tokens = mt_source_meta(s, "tokenizer.ggml.tokens");
    const mt_meta *merges = mt_source_meta(s, "tokenizer.ggml.merges");
    *v = (mt_vocab){ .n_token = 0 };
    read_ids(s, v);
    if (!mt_meta_str(s, "tokenizer.ggml.model", &v->model) || !tokens || !tokens->strings)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: the file carries no tokenizer (tokenizer.ggml.tokens)", s->path);
    mt_meta_str(s, "tokenizer.ggml.pre", &v->pre);
    v->n_token = tokens->n, v->token = tokens->strings;
    if (merges && merges->strings) v->n_merge = merges->n, v->merge = merges->strings;
    mt_vocab_defaults(v);            /* what files of this pre-tokenizer leave out */
    mt_meta_bool(s, "tokenizer.ggml.add_bos_token", &v->add_bos);
    mt_meta_bool(s, "tokenizer.ggml.add_eos_token", &v->add_eos);
    mt_meta_bool(s, "tokenizer.ggml.add_space_prefix", &v->add_space_prefix);
    mt_meta_bool(s, "tokenizer.ggml.remove_extra_whitespaces", &v->remove_extra_spaces);
    mt_meta_bool(s, "tokenizer.ggml.normalizer.lowercase", &v->lowercase);
    charsmap(s, v);
    if (mt_str_is(v->model, "rwkv")) MT_TRY(unescape(arena, v, err));
    MT_TRY(numbers(s, "tokenizer.ggml.token_type", v->n_token, arena, &v->kind, err));
    return scores(s, arena, v, err);
}

/* ---- files of a folder --------------------------------------------------------------------------- */

/* vocab.txt: a BERT token a line, continuing ones behind ##; turned into what GGUF has. */
static mote_status read_lines(mote_model *m, mt_str text, mt_vocab *v, mote_error *err)
{
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    int32_t *id[] = {&v->pad, &v->unk, &v->cls, &v->sep, &v->mask};
    size_t n = 0, bytes = 1;
    for (size_t i = 0; i < text.n; i++) n += text.p[i] == '\n';
    if (!mt_mul_ok(n + 1, 3, &bytes) || !mt_add_ok(bytes, text.n, &bytes)) bytes = SIZE_MAX;
    mt_str *token = mt_arena_push_n(&m->arena, n + 1, sizeof *token);
    int32_t *kind = mt_arena_push_n(&m->arena, n + 1, sizeof *kind);
    char *to = mt_arena_push(&m->arena, bytes);
    if (!token || !kind || !to) MT_FAIL(err, MOTE_ENOMEM, "vocab.txt: no memory for %zu tokens", n);
    v->model = mt_str_of("bert"), v->token = token, v->kind = kind;
    mt_vocab_defaults(v);
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
        token[v->n_token] = (mt_str){line.p + 2, line.n - 2};
        if (goes_on) continue;
        memcpy(to, "\xE2\x96\x81", 3);
        if (line.n) memcpy(to + 3, line.p, line.n);
        token[v->n_token] = (mt_str){to, line.n + 3};
        to += line.n + 3;
    }
    return MOTE_OK;
}

static mote_status read_sentencepiece(mote_model *m, mt_str bytes, mt_vocab *v, mote_error *err)
{
    mt_sp_file f;
    MT_TRY(mt_sp_read(&f, bytes, &m->arena, err));
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

static mote_status read_tiktoken(mote_model *m, mt_str text, mt_vocab *v, mote_error *err)
{
    for (size_t i = 0; i < MT_COUNT(rank_table); i++) {
        if (mt_source_file(m->source, rank_table[i].name).p != text.p) continue;
        MT_TRY(mt_tiktoken_read(v, text, &m->arena, err));
        v->pre = mt_str_of(rank_table[i].pre);
        return MOTE_OK;
    }
    MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: a list of ranks does not say how text is split; expected tokenizer.json, or the name qwen, "
            "cl100k_base, o200k_base, r50k_base or p50k_base.tiktoken", mt_path_end(m->source->path));
}

static mote_status read_rwkv(mote_model *m, mt_str text, mt_vocab *v, mote_error *err)
{
    return mt_rwkv_read(v, text, &m->arena, err);
}

typedef mote_status (*read_fn)(mote_model *m, mt_str text, mt_vocab *v, mote_error *err);

/* In this order: what says more comes first. */
static const struct { const char *name; read_fn read; } file_table[] = {
    {"tokenizer.model", read_sentencepiece},
    {"spiece.model", read_sentencepiece},
    {"sentencepiece.bpe.model", read_sentencepiece},
    {"vocab.txt", read_lines},
    {"*.tiktoken", read_tiktoken},
    {"rwkv_vocab_v20230424.txt", read_rwkv},
};

static mote_status open_json(mote_model *m, mote_error *err)
{
    const mt_tokenizer_files f = {mt_source_file(m->source, "tokenizer.json"), mt_source_file(m->source, "tokenizer_config.json"),
                                  mt_source_file(m->source, "special_tokens_map.json")};
    MT_TRY(mt_tokenizer_open_json(&m->tokenizer, &f, m->alloc, err));
    m->vocab = *mt_tokenizer_vocab(m->tokenizer);
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

/* GPT-2's, whose published form says the rest: byte-level, one special token. */
static mote_status open_merges(mote_model *m, mote_error *err)
{
    static const char *const bytes = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
                                     "\"use_regex\": true}";
    const mt_str vocab = mt_source_file(m->source, "vocab.json"), merges = mt_source_file(m->source, "merges.txt");
    mt_str family = {"", 0};
    mt_meta_str(m->source, m->source->is_foreign ? "model_type" : "config.model_type", &family);
    if (!mt_str_is(family, "gpt2"))
        MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: vocab.json and merges.txt are read of gpt2 only; of %.*s they do not say how text "
                "is split: tokenizer.json is needed", mt_path_end(m->source->path), (int)MT_MIN(family.n, 40), family.p);
    mt_buf b;
    mt_buf_init(&b, m->alloc, (size_t)256 << 20);
    const int64_t end = id_in(vocab, "\"<|endoftext|>\"");
    bool ok = mt_buf_print(&b, "{\"added_tokens\": [");
    if (ok && end >= 0)
        ok = mt_buf_print(&b, "{\"id\": %lld, \"content\": \"<|endoftext|>\", \"single_word\": false, \"lstrip\": false, "
                          "\"rstrip\": false, \"normalized\": true, \"special\": true}", (long long)end);
    ok = ok && mt_buf_print(&b, "], \"pre_tokenizer\": %s, \"decoder\": %s, \"model\": {\"type\": \"BPE\", \"vocab\": ", bytes,
                            bytes) &&
         mt_buf_put(&b, vocab.p, vocab.n) && mt_buf_print(&b, ", \"merges\": [") && put_merges(&b, merges) &&
         mt_buf_print(&b, "]}}");
    const mt_tokenizer_files f = {{b.p, b.n}, mt_source_file(m->source, "tokenizer_config.json"),
                                  mt_source_file(m->source, "special_tokens_map.json")};
    mote_status st = ok ? mt_tokenizer_open_json(&m->tokenizer, &f, m->alloc, err)
                        : mt_fail(err, MOTE_ENOMEM, "vocab.json: no memory to join it with merges.txt");
    mt_buf_free(&b);
    if (st == MOTE_OK) m->vocab = *mt_tokenizer_vocab(m->tokenizer);
    return st;
}

static mote_status open_tokenizer(mote_model *m, mote_error *err)
{
    if (mt_source_file(m->source, "tokenizer.json").n) return open_json(m, err);
    if (mt_source_file(m->source, "vocab.json").n && mt_source_file(m->source, "merges.txt").n) return open_merges(m, err);
    for (size_t i = 0; i < MT_COUNT(file_table); i++) {
        const mt_str text = mt_source_file(m->source, file_table[i].name);
        if (text.n == 0) continue;
        m->vocab = (mt_vocab){.bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1, .cls = -1, .sep = -1, .mask = -1};
        MT_TRY(file_table[i].read(m, text, &m->vocab, err));
        return mt_tokenizer_open(&m->tokenizer, &m->vocab, m->alloc, err);
    }
    MT_TRY(mt_vocab_read(m->source, &m->arena, &m->vocab, err));
    return mt_tokenizer_open(&m->tokenizer, &m->vocab, m->alloc, err);
}

/* generation_config.json and config.json may name tokens that end a text, one or several. */
static void add_ends(mote_model *m, const char *key)
{
    const mt_meta *ends = mt_source_meta(m->source, key);
    int64_t id;
    if (mt_meta_int(m->source, key, &id) && id >= 0 && id <= INT32_MAX)
        mt_tokenizer_add_end(m->tokenizer, (int32_t)id);
    if (!ends || ends->type != MT_META_ARRAY || ends->item == MT_META_STRING) return;
    for (size_t i = 0; i < ends->n && i < 16; i++) {
        id = mt_meta_item_int(ends, i);
        if (id >= 0 && id <= INT32_MAX) mt_tokenizer_add_end(m->tokenizer, (int32_t)id);
    }
}

/* ---- chat templates -------------------------------------------------------------------------------- */

static mote_status open_template(mote_model *m, mt_str source, mt_template **out, mote_error *err)
{
    mote_error why = {0};
    if (source.n == 0 || *out) return MOTE_OK;
    const mote_status st = mt_template_open(out, source, m->alloc, &why);
    if (st == MOTE_ENOMEM) MT_FAIL(err, st, "%s", why.text);
    if (st != MOTE_OK) mt_log(1, "chat template not usable: %s", why.text);
    return MOTE_OK;
}

/* A string, or a list of named templates of which "default" and "tool_use" count. */
static mote_status templates_of(mote_model *m, const mt_tape *j, uint32_t node, mote_error *err)
{
    mt_str text;
    if (node && mt_tape_string(j, node, &m->arena, &text)) return open_template(m, text, &m->chat, err);
    if (!node || mt_tape_type_of(j, node) != MT_TAPE_ARRAY) return MOTE_OK;
    for (uint32_t i = node + 1; i < j->node[node].next; i = j->node[i].next) {
        const uint32_t name = mt_tape_get(j, i, "name"), source = mt_tape_get(j, i, "template");
        if (!name || !source || !mt_tape_string(j, source, &m->arena, &text)) continue;
        if (mt_tape_is(j, name, "default")) MT_TRY(open_template(m, text, &m->chat, err));
        if (mt_tape_is(j, name, "tool_use")) MT_TRY(open_template(m, text, &m->chat_tools, err));
    }
    return MOTE_OK;
}

static mote_status templates_in(mote_model *m, const char *name, mote_error *err)
{
    const mt_str text = mt_source_file(m->source, name);
    mt_tape j;
    if (text.n == 0 || m->chat) return MOTE_OK;
    MT_TRY(mt_tape_open(&j, text, name, m->alloc, err));
    const mote_status st = templates_of(m, &j, mt_tape_get(&j, 0, "chat_template"), err);
    mt_tape_close(&j);
    return st;
}

static mote_status open_templates(mote_model *m, mote_error *err)
{
    mt_str text = {NULL, 0};
    MT_TRY(open_template(m, mt_source_file(m->source, "chat_template.jinja"), &m->chat, err));
    MT_TRY(templates_in(m, "chat_template.json", err));
    MT_TRY(templates_in(m, "tokenizer_config.json", err));
    if (mt_meta_str(m->source, "tokenizer.chat_template.tool_use", &text)) MT_TRY(open_template(m, text, &m->chat_tools, err));
    if (mt_meta_str(m->source, "tokenizer.chat_template", &text)) MT_TRY(open_template(m, text, &m->chat, err));
    if (mt_meta_str(m->source, "tokenizer.chat_template.default", &text)) MT_TRY(open_template(m, text, &m->chat, err));
    return MOTE_OK;
}

mote_status mt_model_open_text(mote_model *m, mote_error *err)
{
    const mote_status st = open_tokenizer(m, &m->tokenizer_error);
    if (st == MOTE_ENOMEM) MT_FAIL(err, st, "%s", m->tokenizer_error.text);
    if (st == MOTE_EFORMAT) MT_FAIL(err, st, "%s: %s", m->source->path, m->tokenizer_error.text);
    if (m->tokenizer) {
        add_ends(m, "generation.eos_token_id");
        add_ends(m, m->source->is_foreign ? "eos_token_id" : "config.eos_token_id");     /* foreign: nobody knows the family */
    }
    return open_templates(m, err);
}

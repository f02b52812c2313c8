/* SPDX-License-Identifier: MIT */
/* vocab.c - a model's tokenizer and chat templates, from whatever its publisher put beside the weights.
 *
 * In a folder tokenizer.json comes first, since it says everything; then the older files, which leave
 * the rest to convention.  A GGUF has its vocabulary among its metadata. */
#include <stdio.h>
#include <string.h>

#include "api/model.h"
#include "text/tape.h"
#include "text/rwkv.h"

/* ---- GGUF, read and written -------------------------------------------------------------------------- */

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

/* Tokens with a part to play, in this order. */
static const char *const id_key[] = {
    "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.unknown_token_id",
    "tokenizer.ggml.padding_token_id", "tokenizer.ggml.cls_token_id", "tokenizer.ggml.seperator_token_id",
    "tokenizer.ggml.mask_token_id",
};
enum { N_ID = MT_COUNT(id_key) };

static int32_t *id_of(mt_vocab *v, size_t i)
{
    int32_t *const id[N_ID] = {&v->bos, &v->eos, &v->eot, &v->unk, &v->pad, &v->cls, &v->sep, &v->mask};
    return id[i];
}

mote_status mt_vocab_read(const mt_source *s, mt_arena *arena, mt_vocab *v, mote_error *err)
{
    const mt_meta *tokens = mt_source_meta(s, "tokenizer.ggml.tokens");
    const mt_meta *merges = mt_source_meta(s, "tokenizer.ggml.merges");
    *v = (mt_vocab){ .n_token = 0 };
    for (size_t i = 0; i < N_ID; i++) *id_of(v, i) = token_id(s, id_key[i]);
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

static mt_str escaped(mt_arena *arena, mt_str s)
{
    char *p = mt_arena_push(arena, 4 * s.n + 1), *to = p;
    for (size_t i = 0; p && i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        if (c > 0x20 && c < 0x7F && c != '\\' && c != '\'') *to++ = (char)c;
        else to += snprintf(to, 5, "\\x%02x", c);
    }
    return (mt_str){p, (size_t)(to - p)};
}

/* Tokens, and behind them as many unused ones as there are rows of weights without a token. */
static mote_status write_tokens(mt_writer *w, const mt_vocab *v, size_t n_row, mt_arena *arena, mote_error *err)
{
    const size_t n = MT_MAX(v->n_token, n_row);
    mt_str *token = mt_arena_push_n(arena, n, sizeof *token);
    int32_t *kind = mt_arena_push_n(arena, n, sizeof *kind);
    float *score = mt_arena_push_n(arena, n, sizeof *score);
    if (!token || !kind || !score) MT_FAIL(err, MOTE_ENOMEM, "vocabulary: no memory for %zu tokens", n);
    for (size_t i = 0; i < n; i++) {
        char name[32];
        const bool is_there = i < v->n_token;
        const int length = snprintf(name, sizeof name, "[PAD%zu]", i);
        token[i] = !is_there ? (mt_str){mt_arena_string(arena, mt_str_of(name)), (size_t)length}
                 : mt_str_is(v->model, "rwkv") ? escaped(arena, v->token[i]) : v->token[i];
        kind[i] = !is_there ? MT_TOKEN_UNUSED : v->kind ? v->kind[i] : MT_TOKEN_NORMAL;
        score[i] = is_there && v->score ? v->score[i] : 0;
        if (!token[i].p) MT_FAIL(err, MOTE_ENOMEM, "vocabulary: no memory for %zu tokens", n);
    }
    mt_writer_add_strings(w, "tokenizer.ggml.tokens", token, n);
    if (v->score) mt_writer_add_f32s(w, "tokenizer.ggml.scores", score, n);
    mt_writer_add_i32s(w, "tokenizer.ggml.token_type", kind, n);
    return MOTE_OK;
}

mote_status mt_vocab_write(mt_writer *w, const mt_vocab *v, size_t n_row, mt_arena *arena, mote_error *err)
{
    const bool has_marks = mt_str_is(v->model, "llama") || mt_str_is(v->model, "t5");
    mt_vocab ids = *v;
    mt_writer_add_string(w, "tokenizer.ggml.model", v->model);
    mt_writer_add_string(w, "tokenizer.ggml.pre", v->pre.n ? v->pre : mt_str_of("default"));
    MT_TRY(write_tokens(w, v, n_row, arena, err));
    if (v->n_merge) mt_writer_add_strings(w, "tokenizer.ggml.merges", v->merge, v->n_merge);
    for (size_t i = 0; i < N_ID; i++)
        if (*id_of(&ids, i) >= 0) mt_writer_add_u32(w, id_key[i], (uint32_t)*id_of(&ids, i));
    mt_writer_add_bool(w, "tokenizer.ggml.add_bos_token", v->add_bos);
    mt_writer_add_bool(w, "tokenizer.ggml.add_eos_token", v->add_eos);
    if (has_marks) mt_writer_add_bool(w, "tokenizer.ggml.add_space_prefix", v->add_space_prefix);
    if (has_marks) mt_writer_add_bool(w, "tokenizer.ggml.remove_extra_whitespaces", v->remove_extra_spaces);
    if (mt_str_is(v->model, "bert")) mt_writer_add_bool(w, "tokenizer.ggml.normalizer.lowercase", v->lowercase);
    const mt_meta map = {.key = "tokenizer.ggml.precompiled_charsmap", .type = MT_META_ARRAY, .item = MT_META_U8, .n = v->charsmap.n,
                         .raw = (const uint8_t *)v->charsmap.p};
    if (map.n) mt_writer_add_meta(w, &map);
    return MOTE_OK;
}

/* ---- opening ------------------------------------------------------------------------------------- */

static mote_status open_json(mote_model *m, mote_error *err)
{
    const mt_tokenizer_files f = {mt_source_file(m->source, "tokenizer.json"), mt_source_file(m->source, "tokenizer_config.json"),
                                  mt_source_file(m->source, "special_tokens_map.json")};
    MT_TRY(mt_tokenizer_open_json(&m->tokenizer, &f, m->alloc, err));
    m->vocab = *mt_tokenizer_vocab(m->tokenizer);
    return MOTE_OK;
}

/* The text of a tokenizer.json that somebody put together from vocab.json and merges.txt. */
static mote_status open_joined(mote_model *m, mt_buf *text, mote_error *err)
{
    MT_TRY(mt_vocab_join(m->source, text, err));
    const mt_tokenizer_files f = {{text->p, text->n}, mt_source_file(m->source, "tokenizer_config.json"),
                                  mt_source_file(m->source, "special_tokens_map.json")};
    MT_TRY(mt_tokenizer_open_json(&m->tokenizer, &f, m->alloc, err));
    m->vocab = *mt_tokenizer_vocab(m->tokenizer);
    return MOTE_OK;
}

static mote_status open_tokenizer(mote_model *m, mote_error *err)
{
    bool is_found;
    if (mt_source_file(m->source, "tokenizer.json").n) return open_json(m, err);
    if (mt_vocab_is_apart(m->source)) {
        mt_buf text;
        mt_buf_init(&text, m->alloc, (size_t)256 << 20);
        const mote_status st = open_joined(m, &text, err);
        mt_buf_free(&text);
        return st;
    }
    MT_TRY(mt_vocab_of_files(m->source, &m->arena, &m->vocab, &is_found, err));
    if (!is_found) MT_TRY(mt_vocab_read(m->source, &m->arena, &m->vocab, err));
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

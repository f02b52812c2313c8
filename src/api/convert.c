/* SPDX-License-Identifier: MIT */
/* convert.c - `mote_convert`: one form of a model into another.
 *
 * Whatever comes in is brought into our vocabulary, which is GGUF's; from there it is written as it is,
 * or published in its family's own form.  Values are never rounded unless a type was asked for, or the
 * target has no such type. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/model.h"
#include "file/vocab_json.h"

typedef struct converter {
    const mote_alloc *alloc;
    const mote_convert_opts *o;
    mt_source *s;
    mt_writer *w;
    mt_arena   arena;
    mt_net     net;                  /* of a folder on its way to GGUF */
    mt_buf     text;
    const char *out;
    mt_write_opts write;
    bool       to_gguf;
    mote_error *err;
} converter;

/* ---- types --------------------------------------------------------------------------------- */

static mote_status wanted_type(const converter *c, bool *is_given, mt_type *out)
{
    static const struct { const char *name; mt_type type; } types[] = {
        { "f32", MT_F32 }, { "f16", MT_F16 }, { "bf16", MT_BF16 },
    };
    *is_given = c->o->type != NULL;
    for (size_t i = 0; c->o->type && i < MT_COUNT(types); i++)
        if (strcmp(c->o->type, types[i].name) == 0) {
            *out = types[i].type;
            return MOTE_OK;
        }
    if (c->o->type) MT_FAIL(c->err, MOTE_EINVAL, "convert: type \"%.20s\", expected f32, f16 or bf16", c->o->type);
    return MOTE_OK;
}

static bool is_plain_float(mt_type t) { return t == MT_F32 || t == MT_F16 || t == MT_BF16; }

/* What a tensor is stored as.  Vectors stay f32 in GGUF, where every engine expects that. */
static mt_type type_of(const converter *c, const mt_tensor *t, bool is_given, mt_type asked)
{
    const bool is_vector = t->n_dim <= 1;
    if (c->to_gguf && is_vector) return MT_F32;
    if (is_given) return asked;
    if (is_plain_float(t->type)) return t->type;
    if (c->to_gguf && t->type < MT_FILE_TYPES) return t->type;
    return t->type == MT_F8_E5M2 || t->type == MT_F8_32 ? MT_BF16 : MT_F16;    /* ranges beyond f16's */
}

/* Other engines refuse a file with tensors they do not expect: of a folder only what the net binds is
 * written, and a pooler, which some of them take. */
static bool belongs(const converter *c, const mt_tensor *t)
{
    if (!c->net.n_weight || strncmp(t->name, "cls.", 4) == 0) return mt_type_of(t->type)->can_decode;
    for (int i = 0; i < c->net.n_weight; i++)
        if (strcmp(c->net.weight[i].tensor->name, t->name) == 0) return true;
    return strcmp(t->name, "rope_freqs.weight") == 0;
}

static mote_status add_tensors(converter *c)
{
    bool is_given;
    mt_type asked = MT_F32;
    MT_TRY(wanted_type(c, &is_given, &asked));
    for (size_t i = 0; i < c->s->n_tensor; i++) {
        const mt_tensor *t = &c->s->tensor[i];
        if (!belongs(c, t)) continue;
        mt_writer_add_tensor(c->w, t->name, type_of(c, t, is_given, asked), t->n_dim, t->ne, t);
    }
    return MOTE_OK;
}

/* ---- tokenizer and template ------------------------------------------------------------------ */

/* What the other form has no words for is said, and the model goes without. */
static mote_status tolerate(mote_status st, const mote_error *why, mote_error *err)
{
    if (st == MOTE_OK) return MOTE_OK;
    if (st != MOTE_EUNSUPPORTED) MT_FAIL(err, st, "%s", why->text);
    mt_log(1, "convert: the tokenizer does not come along: %s", why->text);
    return MOTE_OK;
}

static mote_status vocab_of_json(converter *c, mt_str json, size_t n_row, mote_error *why)
{
    return mt_vocab_from_json(c->w, json, mt_source_file(c->s, "tokenizer_config.json"), n_row, why);
}

/* From whatever the folder has; EUNSUPPORTED: from nothing. */
static mote_status vocab_of_folder(converter *c, size_t n_row, mote_error *why)
{
    mt_vocab v;
    bool is_found;
    const mt_str json = mt_source_file(c->s, "tokenizer.json");
    if (json.n) return vocab_of_json(c, json, n_row, why);
    if (mt_vocab_is_apart(c->s)) {
        mt_buf_init(&c->text, c->alloc, (size_t)256 << 20);
        mote_status st = mt_vocab_join(c->s, &c->text, why);
        if (st == MOTE_OK) st = vocab_of_json(c, (mt_str){ c->text.p, c->text.n }, n_row, why);
        mt_buf_free(&c->text);
        return st;
    }
    MT_TRY(mt_vocab_of_files(c->s, &c->arena, &v, &is_found, why));
    if (!is_found) MT_FAIL(why, MOTE_EUNSUPPORTED, "%s has none", mt_path_end(c->s->path));
    return mt_vocab_write(c->w, &v, n_row, &c->arena, why);
}

static mote_status add_tokenizer(converter *c)
{
    mote_error why = { 0 };
    const mt_tensor *rows = mt_source_tensor(c->s, "token_embd.weight");
    if (mt_source_meta(c->s, "tokenizer.ggml.model")) return MOTE_OK;     /* among the metadata already */
    const mote_status st = vocab_of_folder(c, rows ? (size_t)rows->ne[1] : 0, &why);
    MT_TRY(tolerate(st, &why, c->err));
    const mt_str chat = mt_source_file(c->s, "chat_template.jinja");
    if (chat.n) mt_writer_add_string(c->w, "tokenizer.chat_template", chat);
    return MOTE_OK;
}

/* ---- GGUF ---------------------------------------------------------------------------------- */

static mote_status write_gguf(converter *c)
{
    const mt_tensor *types = mt_source_tensor(c->s, "token_types.weight");
    if (mt_source_meta(c->s, "config.model_type")) MT_TRY(mt_net_open(&c->net, c->s, &c->arena, c->err));
    MT_TRY(mt_hf_rope_to_divisors(c->s, c->err));
    if (types) mt_writer_add_u32(c->w, "tokenizer.ggml.token_type_count", (uint32_t)types->ne[1]);
    for (size_t i = 0; i < c->s->n_meta; i++)
        if (strncmp(c->s->meta[i].key, "config.", 7) != 0 && strncmp(c->s->meta[i].key, "generation.", 11) != 0)
            mt_writer_add_meta(c->w, &c->s->meta[i]);
    MT_TRY(add_tokenizer(c));
    MT_TRY(add_tensors(c));
    return mt_gguf_write(c->w, c->out, &c->write, c->err);
}

/* ---- Hugging Face folder --------------------------------------------------------------------- */

static mote_status write_file(converter *c, const char *name, mt_str text)
{
    char path[4096], temp[4096];
    mt_draft d;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", c->out, name) >= sizeof path - 8)
        MT_FAIL(c->err, MOTE_EINVAL, "convert: the path of %s is too long", name);
    snprintf(temp, sizeof temp, "%.4080s.tmp", path);
    MT_TRY(mt_draft_open_shared(&d, path, temp, text.n, 0, c->err));
    mote_status st = mt_draft_write(&d, 0, text.p, text.n, c->err);
    if (st == MOTE_OK) st = mt_draft_publish(&d, c->err);
    mt_draft_close(&d);
    return st;
}

/* The piece that a special token's id stands for, under its name in tokenizer_config.json. */
static void name_token(const converter *c, json_t *config, const char *key, const char *name)
{
    const mt_meta *tokens = mt_source_meta(c->s, "tokenizer.ggml.tokens");
    int64_t id;
    if (!tokens || !tokens->strings || !mt_meta_int(c->s, key, &id) || id < 0 || (size_t)id >= tokens->n) return;
    json_object_set_new(config, name, json_stringn(tokens->strings[id].p, tokens->strings[id].n));
}

static mote_status write_tokenizer_config(converter *c)
{
    mt_str chat;
    json_t *config = json_pack("{s:s}", "tokenizer_class", "PreTrainedTokenizerFast");
    name_token(c, config, "tokenizer.ggml.bos_token_id", "bos_token");
    name_token(c, config, "tokenizer.ggml.eos_token_id", "eos_token");
    name_token(c, config, "tokenizer.ggml.unknown_token_id", "unk_token");
    name_token(c, config, "tokenizer.ggml.padding_token_id", "pad_token");
    if (mt_meta_str(c->s, "tokenizer.chat_template", &chat))
        json_object_set_new(config, "chat_template", json_stringn(chat.p, chat.n));
    char *text = json_dumps(config, JSON_INDENT(2));
    json_decref(config);
    if (!text) MT_FAIL(c->err, MOTE_ENOMEM, "convert: no memory for tokenizer_config.json");
    const mote_status st = write_file(c, "tokenizer_config.json", mt_str_of(text));
    free(text);
    return st;
}

static mote_status write_tokenizer(converter *c)
{
    mote_error why = { 0 };
    mt_buf_init(&c->text, c->alloc, (size_t)1 << 30);
    const mote_status st = mt_vocab_to_json(c->s, &c->text, &why);
    MT_TRY(tolerate(st, &why, c->err));
    if (st == MOTE_OK) MT_TRY(write_file(c, "tokenizer.json", (mt_str){ c->text.p, c->text.n }));
    mt_buf_free(&c->text);
    return write_tokenizer_config(c);
}

/* Files beside the weights that say what a text is; kept as they are. */
static const char *const companions[] = {
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model", "spiece.model",
    "sentencepiece.bpe.model", "vocab.txt", "vocab.json", "merges.txt", "qwen.tiktoken", "rwkv_vocab_v20230424.txt", "added_tokens.json", "chat_template.jinja", "generation_config.json",
};

static mote_status write_companions(converter *c)
{
    bool has_any = false;
    for (size_t i = 0; i < MT_COUNT(companions); i++) {
        const mt_str text = mt_source_file(c->s, companions[i]);
        if (text.n == 0) continue;
        MT_TRY(write_file(c, companions[i], text));
        has_any = true;
    }
    return has_any || !mt_source_meta(c->s, "tokenizer.ggml.model") ? MOTE_OK : write_tokenizer(c);
}

static mote_status write_folder(converter *c)
{
    char path[4096];
    if (!mt_folder_make(c->out)) MT_FAIL(c->err, MOTE_EIO, "convert: the folder %.200s cannot be made", c->out);
    MT_TRY(write_companions(c));
    MT_TRY(mt_publish(c->s, c->err));
    mt_buf_init(&c->text, c->alloc, 16 << 20);
    MT_TRY(mt_config_write(c->s, &c->text, c->err));
    MT_TRY(write_file(c, "config.json", (mt_str){ c->text.p, c->text.n }));
    mt_writer_add_string(c->w, "__metadata__.format", mt_str_of("pt"));
    MT_TRY(add_tensors(c));
    if ((size_t)snprintf(path, sizeof path, "%s/model.safetensors", c->out) >= sizeof path)
        MT_FAIL(c->err, MOTE_EINVAL, "convert: the folder's path is too long");
    return mt_safetensors_write(c->w, path, &c->write, c->err);
}

/* ---- the call -------------------------------------------------------------------------------- */

void mote_convert_opts_init(mote_convert_opts *o)
{
    if (o) *o = (mote_convert_opts){ .size = sizeof *o };
}

static bool ends_in(const char *path, const char *end)
{
    const size_t n = strlen(path), m = strlen(end);
    return n > m && strcmp(path + n - m, end) == 0;
}

static mote_status convert(converter *c, const char *in)
{
    MT_TRY(mt_model_source(&c->s, in, false, c->alloc, c->err));
    MT_TRY(mt_writer_open(&c->w, c->alloc, c->err));
    c->write = (mt_write_opts){ .source = c->s, .split_bytes = c->o->split_bytes, .progress = c->o->progress,
                                .user = c->o->user };
    return c->to_gguf ? write_gguf(c) : write_folder(c);
}

mote_status mote_convert(const char *in, const char *out, const mote_convert_opts *opts, mote_error *err)
{
    mote_convert_opts o;
    if (!in || !out || !*out) MT_FAIL(err, MOTE_EINVAL, "convert: in and out must not be NULL or empty");
    mote_convert_opts_init(&o);
    if (opts) memcpy(&o, opts, MT_MIN(opts->size, sizeof o));
    converter c = { .alloc = o.alloc ? o.alloc : &mt_alloc_libc, .o = &o, .out = out, .to_gguf = ends_in(out, ".gguf"),
                    .err = err };
    mt_arena_init(&c.arena, c.alloc, 1 << 16);
    const mote_status st = convert(&c, in);
    mt_buf_free(&c.text);
    mt_writer_close(c.w);
    mt_source_close(c.s);
    mt_arena_reset(&c.arena);
    return st;
}

/* SPDX-License-Identifier: MIT */
/* vocab_read.c - tokenizer.ggml.* from a tokenizer.json.
 *
 * GGUF names an algorithm and a pre-tokenizer where tokenizer.json spells out what they do, so what is
 * spelled out must be one of the things that have a name; anything else is refused, as text would get
 * other ids.  Everything kept goes to the writer's arena: the JSON is gone when writing begins. */
#include "file/stream.h"
#include "file/vocab_json.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TOKEN = 1 << 21, MAX_STEPS = 32 };
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER = 4, UNUSED = 5, BYTE = 6 };     /* tokenizer.ggml.token_type */
static const char mark[] = "\xE2\x96\x81";                                         /* U+2581 */

typedef struct job {
    mt_writer *w;
    json_t *root, *config, *model;
    size_t n;
    mt_str  *token;              /* (n), as GGUF writes them; .p NULL: a hole so far */
    int32_t *kind;
    float   *score;              /* (n) or NULL */
    mote_error *err;
} job;

static mote_status full(const job *j)
{
    MT_FAIL(j->err, MOTE_ENOMEM, "tokenizer.json: no memory for %zu tokens", j->n);
}

static const char *text_at(const json_t *o, const char *key)       /* never NULL */
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static bool is_type(const json_t *o, const char *type) { return strcmp(text_at(o, "type"), type) == 0; }

static bool keep(const job *j, size_t id, mt_str text)
{
    const char *copy = mt_arena_string(&j->w->arena, text);
    j->token[id] = (mt_str){ copy, text.n };
    return copy != NULL;
}

/* ---- steps: a Sequence is what it holds, anything else is one step ---------------------- */

typedef struct steps { size_t n; const json_t *step[MAX_STEPS]; } steps;

static mote_status find_steps(const job *j, const char *what, const char *list, steps *out)
{
    const json_t *o = json_object_get(j->root, what), *items = is_type(o, "Sequence") ? json_object_get(o, list) : NULL;
    out->n = 0;
    if (!json_is_object(o)) return MOTE_OK;
    const size_t n = items ? json_array_size(items) : 1;
    if (n > MAX_STEPS) MT_FAIL(j->err, MOTE_EUNSUPPORTED, "tokenizer.json: a %s of %zu steps", what, n);
    for (size_t i = 0; i < n; i++) out->step[out->n++] = items ? json_array_get(items, i) : o;
    return MOTE_OK;
}

static const json_t *step_of(const steps *s, const char *type)
{
    for (size_t i = 0; i < s->n; i++)
        if (is_type(s->step[i], type)) return s->step[i];
    return NULL;
}

/* All steps are among these types (NULL-terminated); the first that is not is refused by name. */
static mote_status only(const job *j, const char *what, const steps *s, const char *const *types)
{
    for (size_t i = 0; i < s->n; i++) {
        size_t k = 0;
        while (types[k] && !is_type(s->step[i], types[k])) k++;
        if (!types[k])
            MT_FAIL(j->err, MOTE_EUNSUPPORTED, "tokenizer.json: GGUF has no word for the %s %.64s here", what,
                    text_at(s->step[i], "type"));
    }
    return MOTE_OK;
}

/* ---- tokens --------------------------------------------------------------------------------- */

static mote_status bad_id(const job *j, const char *text, const json_t *id)
{
    MT_FAIL(j->err, MOTE_EFORMAT, "tokenizer.json: token \"%.64s\": expected an id from 0 to %d, found %lld", text,
            MAX_TOKEN - 1, (long long)json_integer_value(id));
}

static bool is_id(const json_t *id)
{
    return json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < MAX_TOKEN;
}

/* The number of tokens, and room for them. */
static mote_status count(job *j)
{
    const char *key;
    json_t *vocab = json_object_get(j->model, "vocab"), *id, *added = json_object_get(j->root, "added_tokens");
    size_t i, n = MT_MAX(json_array_size(vocab), j->n);
    json_t *token;
    if (!json_is_object(vocab) && !json_is_array(vocab)) MT_FAIL(j->err, MOTE_EFORMAT, "tokenizer.json: the model has no vocab");
    json_object_foreach(vocab, key, id) {
        if (!is_id(id)) return bad_id(j, key, id);
        n = MT_MAX(n, (size_t)json_integer_value(id) + 1);
    }
    json_array_foreach(added, i, token) {
        id = json_object_get(token, "id");
        if (!is_id(id)) return bad_id(j, text_at(token, "content"), id);
        n = MT_MAX(n, (size_t)json_integer_value(id) + 1);
    }
    if (n < 1 || n > MAX_TOKEN)
        MT_FAIL(j->err, MOTE_EFORMAT, "tokenizer.json: expected 1 to %d tokens, found %zu", MAX_TOKEN, n);
    j->n = n;
    j->token = mt_arena_push_n(&j->w->arena, n, sizeof *j->token);
    j->kind = mt_arena_push_n(&j->w->arena, n, sizeof *j->kind);
    j->score = mt_arena_push_n(&j->w->arena, n, sizeof *j->score);
    return j->token && j->kind && j->score ? MOTE_OK : full(j);
}

static mote_status read_vocab(job *j)
{
    const char *key;
    json_t *vocab = json_object_get(j->model, "vocab"), *id, *pair;
    size_t i;
    json_object_foreach(vocab, key, id)
        if (!keep(j, (size_t)json_integer_value(id), mt_str_of(key))) return full(j);
    json_array_foreach(vocab, i, pair) {
        json_t *text = json_array_get(pair, 0), *score = json_array_get(pair, 1);
        if (!json_is_string(text) || !json_is_number(score))
            MT_FAIL(j->err, MOTE_EFORMAT, "tokenizer.json: vocab entry %zu: expected a text and a number", i);
        if (!keep(j, i, (mt_str){ json_string_value(text), json_string_length(text) })) return full(j);
        j->score[i] = (float)json_number_value(score);
    }
    for (i = 0; i < j->n; i++) j->kind[i] = NORMAL;
    return MOTE_OK;
}

static mote_status read_added(job *j)
{
    size_t i;
    json_t *token;
    json_array_foreach(json_object_get(j->root, "added_tokens"), i, token) {
        const size_t id = (size_t)json_integer_value(json_object_get(token, "id"));
        if (!keep(j, id, mt_str_of(text_at(token, "content")))) return full(j);
        j->kind[id] = json_is_true(json_object_get(token, "special")) ? CONTROL : USER;
    }
    for (i = 0; i < j->n; i++) {
        char name[32];
        const int n = snprintf(name, sizeof name, "[PAD%zu]", i);       /* a hole, as converters fill it */
        if (j->token[i].p && !mt_str_eq(j->token[i], (mt_str){ name, (size_t)n })) continue;
        if (j->kind[i] == NORMAL) j->kind[i] = UNUSED;
        if (!j->token[i].p && !keep(j, i, mt_str_of(name))) return full(j);
    }
    return MOTE_OK;
}

/* -1: there is none.  Added tokens first: they are what special names mean. */
static int64_t id_of(const job *j, const char *text)
{
    size_t i;
    json_t *token;
    json_array_foreach(json_object_get(j->root, "added_tokens"), i, token)
        if (strcmp(text_at(token, "content"), text) == 0) return json_integer_value(json_object_get(token, "id"));
    const json_t *id = json_object_get(json_object_get(j->model, "vocab"), text);
    return id ? json_integer_value(id) : -1;
}

/* ---- special tokens ---------------------------------------------------------------------------- */

static void add_id(const job *j, const char *key, int64_t id)
{
    if (id >= 0) mt_writer_add_u32(j->w, key, (uint32_t)id);
}

/* A token of tokenizer_config.json: a text, or an object with one. */
static int64_t configured(const job *j, const char *name)
{
    const json_t *o = json_object_get(j->config, name);
    const char *text = json_is_string(o) ? json_string_value(o) : text_at(o, "content");
    return *text ? id_of(j, text) : -1;
}

/* What the template puts round a text; -1: nothing there. */
static mote_status read_template(const job *j, int64_t *begin, int64_t *end)
{
    steps s;
    *begin = *end = -1;
    MT_TRY(find_steps(j, "post_processor", "processors", &s));
    const json_t *t = step_of(&s, "TemplateProcessing"), *single = json_object_get(t, "single");
    const size_t n = json_array_size(single);
    bool behind = false;
    for (size_t i = 0; i < n; i++) {
        const json_t *special = json_object_get(json_array_get(single, i), "SpecialToken");
        if (special) *(behind ? end : begin) = id_of(j, text_at(special, "id"));
        else behind = true;
    }
    t = step_of(&s, "BertProcessing");
    if (!t) t = step_of(&s, "RobertaProcessing");
    if (t) {
        *begin = id_of(j, json_string_value(json_array_get(json_object_get(t, "cls"), 0)) ? json_string_value(json_array_get(json_object_get(t, "cls"), 0)) : "");
        *end = id_of(j, json_string_value(json_array_get(json_object_get(t, "sep"), 0)) ? json_string_value(json_array_get(json_object_get(t, "sep"), 0)) : "");
    }
    return MOTE_OK;
}

static mote_status add_specials(const job *j, int64_t unk)
{
    int64_t begin, end, bos = configured(j, "bos_token"), eos = configured(j, "eos_token");
    const int64_t cls = configured(j, "cls_token"), sep = configured(j, "sep_token");
    MT_TRY(read_template(j, &begin, &end));
    if (bos < 0) bos = begin;
    if (eos < 0) eos = end;
    add_id(j, "tokenizer.ggml.bos_token_id", bos);
    add_id(j, "tokenizer.ggml.eos_token_id", eos);
    add_id(j, "tokenizer.ggml.unknown_token_id", unk >= 0 ? unk : configured(j, "unk_token"));
    add_id(j, "tokenizer.ggml.padding_token_id", configured(j, "pad_token"));
    add_id(j, "tokenizer.ggml.cls_token_id", cls);
    add_id(j, "tokenizer.ggml.seperator_token_id", sep);            /* so is it spelled there */
    add_id(j, "tokenizer.ggml.mask_token_id", configured(j, "mask_token"));
    mt_writer_add_bool(j->w, "tokenizer.ggml.add_bos_token", begin >= 0);
    mt_writer_add_bool(j->w, "tokenizer.ggml.add_eos_token", end >= 0);
    return MOTE_OK;
}

/* One template, or several by name of which one is called default. */
static void add_chat(const job *j)
{
    size_t i;
    json_t *item, *o = json_object_get(j->config, "chat_template");
    if (json_is_string(o))
        mt_writer_add_string(j->w, "tokenizer.chat_template", (mt_str){ json_string_value(o), json_string_length(o) });
    json_array_foreach(o, i, item) {
        char key[128];
        const char *name = text_at(item, "name");
        snprintf(key, sizeof key, "tokenizer.chat_template%s%.80s", strcmp(name, "default") ? "." : "",
                 strcmp(name, "default") ? name : "");
        mt_writer_add_string(j->w, key, mt_str_of(text_at(item, "template")));
    }
}

static mote_status add_all(const job *j, const char *model, const char *pre, bool has_score, int64_t unk)
{
    mt_writer_add_string(j->w, "tokenizer.ggml.model", mt_str_of(model));
    mt_writer_add_string(j->w, "tokenizer.ggml.pre", mt_str_of(pre));
    mt_writer_add_strings(j->w, "tokenizer.ggml.tokens", j->token, j->n);
    if (has_score) mt_writer_add_f32s(j->w, "tokenizer.ggml.scores", j->score, j->n);
    mt_writer_add_i32s(j->w, "tokenizer.ggml.token_type", j->kind, j->n);
    MT_TRY(add_specials(j, unk));
    add_chat(j);
    return MOTE_OK;
}

/* ---- byte-level BPE ----------------------------------------------------------------------------- */

/* A merge's halves: "a b", or ["a", "b"]. */
static bool halves(const json_t *m, mt_str *left, mt_str *right)
{
    const json_t *a = json_array_get(m, 0), *b = json_array_get(m, 1);
    if (json_is_string(a) && json_is_string(b)) {
        *left = (mt_str){ json_string_value(a), json_string_length(a) };
        *right = (mt_str){ json_string_value(b), json_string_length(b) };
        return true;
    }
    const char *text = json_string_value(m), *space = text ? strchr(text, ' ') : NULL;
    if (!space || space == text) return false;
    *left = (mt_str){ text, (size_t)(space - text) };
    *right = mt_str_of(space + 1);
    return true;
}

static mote_status bad_merge(const job *j, size_t i)
{
    MT_FAIL(j->err, MOTE_EFORMAT, "tokenizer.json: merge %zu: expected two pieces without spaces", i);
}

static mote_status add_merges(const job *j)
{
    const json_t *merges = json_object_get(j->model, "merges");
    const size_t n = json_array_size(merges);
    mt_str *text = mt_arena_push_n(&j->w->arena, n, sizeof *text), left, right;
    if (!text) return full(j);
    for (size_t i = 0; i < n; i++) {
        if (!halves(json_array_get(merges, i), &left, &right) || memchr(left.p, ' ', left.n) || memchr(right.p, ' ', right.n))
            return bad_merge(j, i);
        char *p = mt_arena_push(&j->w->arena, left.n + right.n + 1);
        if (!p) return full(j);
        memcpy(p, left.p, left.n);
        p[left.n] = ' ';
        memcpy(p + left.n + 1, right.p, right.n);
        text[i] = (mt_str){ p, left.n + right.n + 1 };
    }
    mt_writer_add_strings(j->w, "tokenizer.ggml.merges", text, n);
    return MOTE_OK;
}

/* The name of what normaliser and pre-tokenizer do. */
static mote_status find_pre(const job *j, const mt_pre_rule **out)
{
    static const char *const forms[] = { "NFC", NULL }, *const cuts[] = { "Digits", "Split", "ByteLevel", NULL };
    steps form, cut;
    MT_TRY(find_steps(j, "normalizer", "normalizers", &form));
    MT_TRY(find_steps(j, "pre_tokenizer", "pretokenizers", &cut));
    MT_TRY(only(j, "normalizer", &form, forms));
    MT_TRY(only(j, "pre-tokenizer", &cut, cuts));
    const json_t *digits = step_of(&cut, "Digits"), *split = step_of(&cut, "Split"), *level = step_of(&cut, "ByteLevel");
    const char *expression = split ? text_at(json_object_get(split, "pattern"), "Regex") : NULL;
    const bool ignores = json_is_true(json_object_get(j->model, "ignore_merges"));
    if (json_is_true(json_object_get(level, "add_prefix_space")))
        MT_FAIL(j->err, MOTE_EUNSUPPORTED, "tokenizer.json: GGUF has no word for ByteLevel with add_prefix_space");
    for (const mt_pre_rule *r = mt_pre_rules; r->name; r++) {
        if (r->has_nfc != (form.n > 0) || r->has_digits != (digits != NULL) || r->ignores_merges != ignores) continue;
        if (!r->expression != !expression || (expression && strcmp(r->expression, expression) != 0)) continue;
        if (digits && !json_is_true(json_object_get(digits, "individual_digits"))) continue;
        if (split && (strcmp(text_at(split, "behavior"), "Isolated") != 0 || json_is_true(json_object_get(split, "invert")))) continue;
        if (json_is_false(json_object_get(level, "use_regex")) != (expression != NULL)) continue;
        *out = r;
        return MOTE_OK;
    }
    MT_FAIL(j->err, MOTE_EUNSUPPORTED, "tokenizer.json: GGUF has no name that we know for its pre-tokenizer%s%.120s",
            expression ? ": " : "", expression ? expression : "");
}

static mote_status read_byte_bpe(job *j)
{
    const mt_pre_rule *rule = NULL;
    MT_TRY(find_pre(j, &rule));
    MT_TRY(read_added(j));
    MT_TRY(add_all(j, "gpt2", rule->name, false, -1));
    return add_merges(j);
}

/* ---- with the mark for spaces --------------------------------------------------------------------- */

static bool is_byte_piece(mt_str s) { return s.n == 6 && memcmp(s.p, "<0x", 3) == 0 && s.p[5] == '>'; }

static bool puts_space(const steps *form, const steps *cut)
{
    const json_t *space = step_of(cut, "Metaspace");
    if (step_of(form, "Prepend")) return true;
    if (!space) return false;
    return *text_at(space, "prepend_scheme") ? strcmp(text_at(space, "prepend_scheme"), "never") != 0
                                             : !json_is_false(json_object_get(space, "add_prefix_space"));
}

/* Pieces have the score of the first merge that makes them. */
static mote_status score_by_merges(job *j)
{
    const json_t *merges = json_object_get(j->model, "merges"), *vocab = json_object_get(j->model, "vocab");
    const size_t n = json_array_size(merges);
    mt_buf whole;
    mt_str left, right;
    mote_status st = MOTE_OK;
    mt_buf_init(&whole, j->w->arena.alloc, 1 << 20);
    for (size_t i = 0; st == MOTE_OK && i < n; i++) {
        whole.n = 0;
        if (!halves(json_array_get(merges, i), &left, &right)) st = bad_merge(j, i);
        else if (!mt_buf_put(&whole, left.p, left.n) || !mt_buf_put(&whole, right.p, right.n) || !mt_buf_put(&whole, "", 1)) st = full(j);
        const json_t *id = st == MOTE_OK ? json_object_get(vocab, whole.p) : NULL;
        if (id && j->score[json_integer_value(id)] == 0) j->score[json_integer_value(id)] = -(float)(i + 1);
    }
    mt_buf_free(&whole);
    for (size_t i = 0; i < j->n; i++)                   /* single characters: behind all, and never merged */
        if (j->score[i] == 0 && j->kind[i] == NORMAL) j->score[i] = -(float)(n + 1 + i);
    return st;
}

static mote_status read_spm(job *j)
{
    static const char *const forms[] = { "Prepend", "Replace", NULL }, *const cuts[] = { "Metaspace", NULL };
    steps form, cut;
    MT_TRY(find_steps(j, "normalizer", "normalizers", &form));
    MT_TRY(find_steps(j, "pre_tokenizer", "pretokenizers", &cut));
    MT_TRY(only(j, "normalizer", &form, forms));
    MT_TRY(only(j, "pre-tokenizer", &cut, cuts));
    const int64_t unk = *text_at(j->model, "unk_token") ? id_of(j, text_at(j->model, "unk_token")) : -1;
    for (size_t i = 0; i < j->n; i++)
        if (j->token[i].p && is_byte_piece(j->token[i])) j->kind[i] = BYTE;
    MT_TRY(read_added(j));
    if (unk >= 0) j->kind[unk] = UNKNOWN;
    MT_TRY(score_by_merges(j));
    MT_TRY(add_all(j, "llama", "default", true, unk));
    mt_writer_add_bool(j->w, "tokenizer.ggml.add_space_prefix", puts_space(&form, &cut));
    return MOTE_OK;
}

/* Base64 into the arena; NULL: not base64, or no memory. */
static uint8_t *decode64(mt_arena *a, mt_str s, size_t *n)
{
    uint8_t *out = mt_arena_push(a, s.n / 4 * 3 + 3);
    uint32_t bits = 0, have = 0;
    *n = 0;
    for (size_t i = 0; out && i < s.n && s.p[i] != '='; i++) {
        const char c = s.p[i];
        const int v = c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26
                    : c >= '0' && c <= '9' ? c - '0' + 52 : c == '+' ? 62 : c == '/' ? 63 : -1;
        if (v < 0) return NULL;
        bits = bits << 6 | (uint32_t)v, have += 6;
        if (have >= 8) have -= 8, out[(*n)++] = (uint8_t)(bits >> have);
    }
    return out;
}

static mote_status add_charsmap(const job *j, const json_t *step)
{
    const json_t *map = json_object_get(step, "precompiled_charsmap");
    size_t n;
    if (!json_is_string(map)) return MOTE_OK;
    const uint8_t *raw = decode64(&j->w->arena, (mt_str){ json_string_value(map), json_string_length(map) }, &n);
    if (!raw) MT_FAIL(j->err, MOTE_EFORMAT, "tokenizer.json: precompiled_charsmap is not base64");
    const mt_meta m = { .key = "tokenizer.ggml.precompiled_charsmap", .type = MT_META_ARRAY, .item = MT_META_U8, .n = n, .raw = raw };
    if (n) mt_writer_add_meta(j->w, &m);
    return MOTE_OK;
}

static mote_status read_unigram(job *j)
{
    static const char *const forms[] = { "Precompiled", "Replace", "Strip", "Prepend", NULL };
    static const char *const cuts[] = { "Metaspace", "WhitespaceSplit", NULL };
    steps form, cut;
    const json_t *unk = json_object_get(j->model, "unk_id");
    MT_TRY(find_steps(j, "normalizer", "normalizers", &form));
    MT_TRY(find_steps(j, "pre_tokenizer", "pretokenizers", &cut));
    MT_TRY(only(j, "normalizer", &form, forms));
    MT_TRY(only(j, "pre-tokenizer", &cut, cuts));
    if (!is_id(unk) || (size_t)json_integer_value(unk) >= j->n)
        MT_FAIL(j->err, MOTE_EFORMAT, "tokenizer.json: the model's unk_id is no token");
    MT_TRY(read_added(j));
    j->kind[json_integer_value(unk)] = UNKNOWN;
    MT_TRY(add_all(j, "t5", "default", true, json_integer_value(unk)));
    mt_writer_add_bool(j->w, "tokenizer.ggml.add_space_prefix", puts_space(&form, &cut));
    mt_writer_add_bool(j->w, "tokenizer.ggml.remove_extra_whitespaces",
                       step_of(&form, "Replace") || step_of(&form, "Strip") || step_of(&cut, "WhitespaceSplit"));
    return add_charsmap(j, step_of(&form, "Precompiled"));
}

static mote_status read_wordpiece(job *j)
{
    static const char *const forms[] = { "BertNormalizer", NULL }, *const cuts[] = { "BertPreTokenizer", NULL };
    steps form, cut;
    MT_TRY(find_steps(j, "normalizer", "normalizers", &form));
    MT_TRY(find_steps(j, "pre_tokenizer", "pretokenizers", &cut));
    MT_TRY(only(j, "normalizer", &form, forms));
    MT_TRY(only(j, "pre-tokenizer", &cut, cuts));
    if (strcmp(text_at(j->model, "continuing_subword_prefix"), "##") != 0)
        MT_FAIL(j->err, MOTE_EUNSUPPORTED, "tokenizer.json: GGUF has no word for a continuing_subword_prefix but ##");
    MT_TRY(read_added(j));
    for (size_t i = 0; i < j->n; i++) {                 /* there, beginnings of words are marked instead */
        const mt_str s = j->token[i];
        if (j->kind[i] != NORMAL || (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')) continue;
        if (s.n > 2 && memcmp(s.p, "##", 2) == 0) {
            j->token[i] = (mt_str){ s.p + 2, s.n - 2 };
            continue;
        }
        char *p = mt_arena_push(&j->w->arena, s.n + 3);
        if (!p) return full(j);
        memcpy(p, mark, 3);
        memcpy(p + 3, s.p, s.n);
        j->token[i] = (mt_str){ p, s.n + 3 };
    }
    return add_all(j, "bert", "default", false, id_of(j, text_at(j->model, "unk_token")));
}

/* ---- all -------------------------------------------------------------------------------------------- */

/* Old files do not name the type. */
static const char *type_of(const json_t *model)
{
    if (*text_at(model, "type")) return text_at(model, "type");
    if (json_object_get(model, "merges")) return "BPE";
    return json_is_array(json_object_get(model, "vocab")) ? "Unigram" : "WordPiece";
}

static mote_status read_all(job *j)
{
    steps cut, decode;
    j->model = json_object_get(j->root, "model");
    const char *type = type_of(j->model);
    MT_TRY(count(j));
    MT_TRY(read_vocab(j));
    MT_TRY(find_steps(j, "pre_tokenizer", "pretokenizers", &cut));
    MT_TRY(find_steps(j, "decoder", "decoders", &decode));
    if (json_is_array(json_object_get(j->model, "vocab")) != (strcmp(type, "Unigram") == 0))
        MT_FAIL(j->err, MOTE_EFORMAT, "tokenizer.json: the vocab of a %.40s model has another form", type);
    if (strcmp(type, "Unigram") == 0) return read_unigram(j);
    if (strcmp(type, "WordPiece") == 0) return read_wordpiece(j);
    if (strcmp(type, "BPE") != 0)
        MT_FAIL(j->err, MOTE_EUNSUPPORTED, "tokenizer.json: GGUF has no word for a %.40s model", type);
    if (step_of(&cut, "ByteLevel") || step_of(&decode, "ByteLevel")) return read_byte_bpe(j);
    if (json_is_true(json_object_get(j->model, "byte_fallback"))) return read_spm(j);
    MT_FAIL(j->err, MOTE_EUNSUPPORTED, "tokenizer.json: GGUF has no word for BPE without bytes");
}

static mote_status parse(mt_str text, const char *name, json_t **out, mote_error *err)
{
    json_error_t why;
    *out = json_loadb(text.p, text.n, 0, &why);
    if (*out && json_is_object(*out)) return MOTE_OK;
    if (*out) MT_FAIL(err, MOTE_EFORMAT, "%s: expected an object", name);
    MT_FAIL(err, json_error_code(&why) == json_error_out_of_memory ? MOTE_ENOMEM : MOTE_EFORMAT, "%s: line %d: %s", name,
            why.line, why.text);
}

mote_status mt_vocab_from_json(mt_writer *w, mt_str tokenizer, mt_str config, size_t n_row, mote_error *err)
{
    job j = { .w = w, .n = n_row, .err = err };
    mote_status st = parse(tokenizer, "tokenizer.json", &j.root, err);
    if (st == MOTE_OK && config.n) st = parse(config, "tokenizer_config.json", &j.config, err);
    if (st == MOTE_OK) st = read_all(&j);
    json_decref(j.root);
    json_decref(j.config);
    if (st != MOTE_OK || w->first.code == MOTE_OK) return st;
    MT_FAIL(err, w->first.code, "%s", w->first.text);
}

/* SPDX-License-Identifier: MIT */
/* json_steps.c - normalizer, pre_tokenizer, post_processor and decoder of a tokenizer.json.
 *
 * Sequences are flattened.  Whatever is not known here, a type, a flag's kind, a pattern, is an error
 * that names it: a step left out would change ids without a word. */
#include "text/json_steps.h"

#include <string.h>

enum { MOST_NORMS = 32, MOST_DECODES = 32 };

typedef mote_status (*read_fn)(mt_tape_reader *r, uint32_t node, mt_str type);

/* ---- members ---------------------------------------------------------------------- */

static mote_status no_memory(mt_tape_reader *r) { MT_FAIL(r->err, MOTE_ENOMEM, "tokenizer.json: no memory"); }

static bool is_none(const mt_tape *j, uint32_t node) { return !node || mt_tape_type_of(j, node) == MT_TAPE_NULL; }

static mote_status wrong_type(mt_tape_reader *r, const char *key, const char *want)
{
    MT_FAIL(r->err, MOTE_EFORMAT, "tokenizer.json: %s is not %s", key, want);
}

mote_status mt_tape_text(mt_tape_reader *r, uint32_t object, const char *key, mt_str *out, bool *has)
{
    const uint32_t node = mt_tape_get(&r->json, object, key);
    *out = (mt_str){ "", 0 };
    if (has) *has = false;
    if (is_none(&r->json, node)) return MOTE_OK;
    if (mt_tape_type_of(&r->json, node) != MT_TAPE_STRING) return wrong_type(r, key, "a string");
    mt_str s;
    if (!mt_tape_string(&r->json, node, &r->t->arena, &s)) return no_memory(r);
    const char *copy = mt_arena_string(&r->t->arena, s);
    if (!copy) return no_memory(r);
    *out = (mt_str){ copy, s.n };
    if (has) *has = true;
    return MOTE_OK;
}

mote_status mt_tape_flag(mt_tape_reader *r, uint32_t object, const char *key, bool fallback, bool *out)
{
    const uint32_t node = mt_tape_get(&r->json, object, key);
    *out = fallback;
    if (is_none(&r->json, node)) return MOTE_OK;
    const mt_tape_type type = mt_tape_type_of(&r->json, node);
    if (type != MT_TAPE_TRUE && type != MT_TAPE_FALSE) return wrong_type(r, key, "a boolean");
    *out = type == MT_TAPE_TRUE;
    return MOTE_OK;
}

static mote_status unsupported(mt_tape_reader *r, const char *what, mt_str type)
{
    MT_FAIL(r->err, MOTE_EUNSUPPORTED, "tokenizer.json: %s '%.*s' is not supported", what, (int)MT_MIN(type.n, 64),
            type.n ? type.p : "");
}

/* Calls read for the object, or for each one of a Sequence; the depth is bounded by the parser's. */
static mote_status each(mt_tape_reader *r, uint32_t node, const char *what, const char *list, read_fn read)
{
    mt_str type;
    if (is_none(&r->json, node)) return MOTE_OK;
    if (mt_tape_type_of(&r->json, node) != MT_TAPE_OBJECT) return wrong_type(r, what, "an object");
    MT_TRY(mt_tape_text(r, node, "type", &type, NULL));
    if (!mt_str_is(type, "Sequence")) return read(r, node, type);
    const uint32_t items = mt_tape_get(&r->json, node, list);
    if (!items || mt_tape_type_of(&r->json, items) != MT_TAPE_ARRAY) return wrong_type(r, list, "an array");
    for (uint32_t i = items + 1; i < r->json.node[items].next; i = r->json.node[i].next)
        MT_TRY(each(r, i, what, list, read));
    return MOTE_OK;
}

/* {"String": ...} or {"Regex": ...} */
static mote_status pattern_of(mt_tape_reader *r, uint32_t object, const char *what, mt_pattern **out)
{
    mt_str text;
    bool is_literal, is_regex = false;
    const uint32_t node = mt_tape_get(&r->json, object, "pattern");
    mt_pattern *p = mt_arena_push_n(&r->t->arena, 1, sizeof *p);
    if (!p) return no_memory(r);
    if (!node || mt_tape_type_of(&r->json, node) != MT_TAPE_OBJECT) return wrong_type(r, "pattern", "an object");
    MT_TRY(mt_tape_text(r, node, "String", &text, &is_literal));
    if (!is_literal) MT_TRY(mt_tape_text(r, node, "Regex", &text, &is_regex));
    if (!is_literal && !is_regex) return wrong_type(r, "pattern", "a String or a Regex");
    *p = (mt_pattern){ .text = text, .alloc = r->t->arena.alloc };
    if (is_regex) MT_TRY(mt_pattern_compile(p, text, what, r->t->arena.alloc, r->err));
    p->next = r->t->pattern;
    r->t->pattern = p;
    *out = p;
    return MOTE_OK;
}

/* A string of exactly one character. */
static mote_status char_of(mt_tape_reader *r, uint32_t object, const char *key, const char *fallback, mt_str *out)
{
    bool has;
    size_t len;
    MT_TRY(mt_tape_text(r, object, key, out, &has));
    if (!has && fallback) *out = mt_str_of(fallback);
    if (out->n == 0) return wrong_type(r, key, "a character");
    mt_utf8_next((const uint8_t *)out->p, (const uint8_t *)out->p + out->n, &len);
    return len == out->n ? MOTE_OK : wrong_type(r, key, "one character");
}

/* ---- normalizer --------------------------------------------------------------------- */

static int base64_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static mote_status charsmap_of(mt_tape_reader *r, uint32_t node, mt_charsmap *out)
{
    mt_str text;
    MT_TRY(mt_tape_text(r, node, "precompiled_charsmap", &text, NULL));
    uint8_t *to = mt_arena_push(&r->t->arena, text.n / 4 * 3 + 3);
    uint32_t bits = 0;
    size_t n = 0, held = 0;
    if (!to) return no_memory(r);
    while (text.n && text.p[text.n - 1] == '=') text.n--;
    for (size_t i = 0; i < text.n; i++) {
        const int six = base64_of(text.p[i]);
        if (six < 0) return wrong_type(r, "precompiled_charsmap", "base64");
        bits = bits << 6 | (uint32_t)six;
        held += 6;
        if (held >= 8) to[n++] = (uint8_t)(bits >> (held -= 8));
    }
    return mt_charsmap_init(out, (mt_str){ (const char *)to, n }, r->err);
}

static mote_status read_bert(mt_tape_reader *r, uint32_t node, mt_norm *op)
{
    op->kind = MT_NORM_BERT;
    MT_TRY(mt_tape_flag(r, node, "clean_text", true, &op->cleans));
    MT_TRY(mt_tape_flag(r, node, "handle_chinese_chars", true, &op->spaces_han));
    MT_TRY(mt_tape_flag(r, node, "lowercase", true, &op->lowers));
    MT_TRY(mt_tape_flag(r, node, "strip_accents", op->lowers, &op->strips_accents));
    mt_norm_prepare(op);
    return MOTE_OK;
}

static mote_status read_normalizer(mt_tape_reader *r, uint32_t node, mt_str type)
{
    static const struct { const char *name; mt_norm_kind kind; } plain[] = {
        { "NFC", MT_NORM_NFC }, { "NFD", MT_NORM_NFD }, { "NFKC", MT_NORM_NFKC }, { "NFKD", MT_NORM_NFKD },
        { "Lowercase", MT_NORM_LOWERCASE }, { "StripAccents", MT_NORM_STRIP_ACCENTS }, { "Nmt", MT_NORM_NMT },
        { "ByteLevel", MT_NORM_BYTES },
    };
    mt_tokenizer *t = r->t;
    if (!t->norm) t->norm = mt_arena_push_n(&t->arena, MOST_NORMS, sizeof *t->norm);
    if (!t->norm) return no_memory(r);
    if (t->n_norm == MOST_NORMS) MT_FAIL(r->err, MOTE_EUNSUPPORTED, "tokenizer.json: more than %d normalizers", (int)MOST_NORMS);
    mt_norm *op = &t->norm[t->n_norm];
    *op = (mt_norm){ .kind = MT_NORM_NFC };
    for (size_t i = 0; i < MT_COUNT(plain); i++) {
        if (!mt_str_is(type, plain[i].name)) continue;
        op->kind = plain[i].kind;
        t->n_norm++;
        return MOTE_OK;
    }
    if (mt_str_is(type, "Strip")) {
        op->kind = MT_NORM_STRIP;
        MT_TRY(mt_tape_flag(r, node, "strip_left", true, &op->strips_left));
        MT_TRY(mt_tape_flag(r, node, "strip_right", true, &op->strips_right));
    } else if (mt_str_is(type, "Prepend")) {
        op->kind = MT_NORM_PREPEND;
        MT_TRY(mt_tape_text(r, node, "prepend", &op->text, NULL));
    } else if (mt_str_is(type, "Replace")) {
        op->kind = MT_NORM_REPLACE;
        MT_TRY(mt_tape_text(r, node, "content", &op->text, NULL));
        MT_TRY(pattern_of(r, node, "normalizer Replace", &op->pattern));
    } else if (mt_str_is(type, "BertNormalizer")) {
        MT_TRY(read_bert(r, node, op));
    } else if (mt_str_is(type, "Precompiled")) {
        op->kind = MT_NORM_CHARSMAP;
        MT_TRY(charsmap_of(r, node, &op->map));
    } else {
        return unsupported(r, "normalizer", type);
    }
    t->n_norm++;
    return MOTE_OK;
}

mote_status mt_tape_normalizer(mt_tape_reader *r, uint32_t node)
{
    return each(r, node, "normalizer", "normalizers", read_normalizer);
}

/* ---- pre_tokenizer -------------------------------------------------------------------- */

static mote_status add_words(mt_tape_reader *r, mt_words_kind kind, mt_behavior behavior, mt_words_op **out)
{
    mt_tokenizer *t = r->t;
    if (!t->words) t->words = mt_arena_push_n(&t->arena, MT_WORDS_MOST, sizeof *t->words);
    if (!t->words) return no_memory(r);
    if (t->n_words == MT_WORDS_MOST)
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "tokenizer.json: more than %d steps of pre-tokenizers", (int)MT_WORDS_MOST);
    *out = &t->words[t->n_words++];
    **out = (mt_words_op){ .kind = kind, .behavior = behavior };
    return MOTE_OK;
}

static mote_status behavior_of(mt_tape_reader *r, uint32_t node, mt_behavior *out)
{
    static const struct { const char *name; mt_behavior as; } known[] = {
        { "Isolated", MT_ISOLATED }, { "Removed", MT_REMOVED }, { "Contiguous", MT_CONTIGUOUS },
        { "MergedWithPrevious", MT_WITH_PREVIOUS }, { "MergedWithNext", MT_WITH_NEXT },
    };
    mt_str name;
    bool has;
    MT_TRY(mt_tape_text(r, node, "behavior", &name, &has));
    *out = MT_ISOLATED;
    if (!has) return MOTE_OK;
    for (size_t i = 0; i < MT_COUNT(known); i++) {
        if (!mt_str_is(name, known[i].name)) continue;
        *out = known[i].as;
        return MOTE_OK;
    }
    return unsupported(r, "behavior", name);
}

static mote_status read_split(mt_tape_reader *r, uint32_t node)
{
    mt_words_op *op;
    MT_TRY(add_words(r, MT_WORDS_PATTERN, MT_ISOLATED, &op));
    MT_TRY(behavior_of(r, node, &op->behavior));
    MT_TRY(mt_tape_flag(r, node, "invert", false, &op->invert));
    MT_TRY(pattern_of(r, node, "pre-tokenizer Split", &op->pattern));
    const bool keeps_all = op->behavior == MT_ISOLATED || (op->behavior == MT_REMOVED && op->invert);
    if (keeps_all && op->pattern->code && mt_split_find(op->pattern->text, &op->scan)) op->kind = MT_WORDS_SCAN;
    return MOTE_OK;
}

static mote_status read_byte_level(mt_tape_reader *r, uint32_t node)
{
    mt_words_op *op;
    bool prefix, regex;
    MT_TRY(mt_tape_flag(r, node, "add_prefix_space", true, &prefix));
    MT_TRY(mt_tape_flag(r, node, "use_regex", true, &regex));
    if (prefix) MT_TRY(add_words(r, MT_WORDS_PREFIX, MT_ISOLATED, &op));
    if (regex) {
        MT_TRY(add_words(r, MT_WORDS_SCAN, MT_ISOLATED, &op));
        op->scan = MT_SPLIT_GPT2;
    }
    return add_words(r, MT_WORDS_BYTES, MT_ISOLATED, &op);
}

static mote_status scheme_of(mt_tape_reader *r, uint32_t node, mt_scheme *out)
{
    mt_str name;
    bool has, prefix;
    MT_TRY(mt_tape_text(r, node, "prepend_scheme", &name, &has));
    MT_TRY(mt_tape_flag(r, node, "add_prefix_space", true, &prefix));
    *out = MT_SCHEME_ALWAYS;
    if (has && mt_str_is(name, "first")) *out = MT_SCHEME_FIRST;
    else if (has && mt_str_is(name, "never")) *out = MT_SCHEME_NEVER;
    else if (has && !mt_str_is(name, "always")) return unsupported(r, "prepend_scheme", name);
    if (!prefix && *out != MT_SCHEME_NEVER)
        MT_FAIL(r->err, MOTE_EFORMAT, "tokenizer.json: add_prefix_space does not agree with prepend_scheme");
    return MOTE_OK;
}

static mote_status read_metaspace(mt_tape_reader *r, uint32_t node)
{
    mt_words_op *op, *cut;
    bool splits;
    MT_TRY(add_words(r, MT_WORDS_METASPACE, MT_ISOLATED, &op));
    MT_TRY(char_of(r, node, "replacement", NULL, &op->text));
    MT_TRY(scheme_of(r, node, &op->scheme));
    MT_TRY(mt_tape_flag(r, node, "split", true, &splits));
    if (!splits) return MOTE_OK;
    MT_TRY(add_words(r, MT_WORDS_CHAR, MT_WITH_NEXT, &cut));
    cut->text = op->text;
    return MOTE_OK;
}

static mote_status add_trait(mt_tape_reader *r, unsigned trait, mt_behavior behavior)
{
    mt_words_op *op;
    MT_TRY(add_words(r, MT_WORDS_TRAIT, behavior, &op));
    op->trait = trait;
    return MOTE_OK;
}

static mote_status read_pre_tokenizer(mt_tape_reader *r, uint32_t node, mt_str type)
{
    mt_words_op *op;
    mt_behavior behavior;
    bool flag;
    if (mt_str_is(type, "ByteLevel")) return read_byte_level(r, node);
    if (mt_str_is(type, "Split")) return read_split(r, node);
    if (mt_str_is(type, "Metaspace")) return read_metaspace(r, node);
    if (mt_str_is(type, "Whitespace")) return add_words(r, MT_WORDS_RUNS, MT_REMOVED, &op);
    if (mt_str_is(type, "WhitespaceSplit")) return add_trait(r, MT_IS_SPACE, MT_REMOVED);
    if (mt_str_is(type, "BertPreTokenizer")) {
        MT_TRY(add_trait(r, MT_IS_SPACE, MT_REMOVED));
        return add_trait(r, MT_IS_PUNCT, MT_ISOLATED);
    }
    if (mt_str_is(type, "Punctuation")) {
        MT_TRY(behavior_of(r, node, &behavior));
        return add_trait(r, MT_IS_PUNCT, behavior);
    }
    if (mt_str_is(type, "Digits")) {
        MT_TRY(mt_tape_flag(r, node, "individual_digits", false, &flag));
        return add_trait(r, MT_IS_NUMERIC, flag ? MT_ISOLATED : MT_CONTIGUOUS);
    }
    if (mt_str_is(type, "CharDelimiterSplit")) {
        MT_TRY(add_words(r, MT_WORDS_CHAR, MT_REMOVED, &op));
        return char_of(r, node, "delimiter", NULL, &op->text);
    }
    return unsupported(r, "pre-tokenizer", type);
}

mote_status mt_tape_pre_tokenizer(mt_tape_reader *r, uint32_t node)
{
    return each(r, node, "pre_tokenizer", "pretokenizers", read_pre_tokenizer);
}

/* ---- post_processor -------------------------------------------------------------------- */

static mote_status add_frame(mt_tape_reader *r, bool is_suffix, uint32_t node)
{
    mt_tokenizer *t = r->t;
    int64_t id;
    size_t *n = is_suffix ? &t->n_suffix : &t->n_prefix;
    if (!node || !mt_tape_int(&r->json, node, &id) || id < 0 || id >= MT_TOKENS_MAX)
        return wrong_type(r, "post_processor's token", "an id");
    if (*n == MT_MOST_FRAME)
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "tokenizer.json: more than %d tokens round a text", (int)MT_MOST_FRAME);
    (is_suffix ? t->suffix : t->prefix)[(*n)++] = (int32_t)id;
    return MOTE_OK;
}

/* ["[CLS]", 101] */
static mote_status add_pair(mt_tape_reader *r, uint32_t node, const char *key, bool is_suffix)
{
    const uint32_t pair = mt_tape_get(&r->json, node, key);
    if (!pair || mt_tape_type_of(&r->json, pair) != MT_TAPE_ARRAY || mt_tape_size(&r->json, pair) != 2)
        return wrong_type(r, key, "a token and its id");
    return add_frame(r, is_suffix, r->json.node[pair + 1].next);
}

/* The ids of one special token of a template. */
static mote_status add_template_token(mt_tape_reader *r, uint32_t tokens, uint32_t piece, bool is_suffix)
{
    const mt_tape *j = &r->json;
    mt_str name, key;
    MT_TRY(mt_tape_text(r, piece, "id", &name, NULL));
    if (!tokens || mt_tape_type_of(j, tokens) != MT_TAPE_OBJECT) return wrong_type(r, "special_tokens", "an object");
    for (uint32_t k = tokens + 1; k < j->node[tokens].next; k = j->node[k + 1].next) {
        if (!mt_tape_string(j, k, &r->t->arena, &key)) return no_memory(r);
        if (!mt_str_eq(key, name)) continue;
        const uint32_t ids = mt_tape_get(j, k + 1, "ids");
        if (!ids || mt_tape_type_of(j, ids) != MT_TAPE_ARRAY) return wrong_type(r, "ids", "an array");
        for (uint32_t i = ids + 1; i < j->node[ids].next; i++) MT_TRY(add_frame(r, is_suffix, i));
        return MOTE_OK;
    }
    MT_FAIL(r->err, MOTE_EFORMAT, "tokenizer.json: the template's token '%.*s' is not among its special tokens",
            (int)MT_MIN(name.n, 64), name.p);
}

static mote_status read_template(mt_tape_reader *r, uint32_t node)
{
    const mt_tape *j = &r->json;
    const uint32_t single = mt_tape_get(j, node, "single"), tokens = mt_tape_get(j, node, "special_tokens");
    bool has_text = false;
    if (!single || mt_tape_type_of(j, single) != MT_TAPE_ARRAY) return wrong_type(r, "single", "an array");
    for (uint32_t i = single + 1; i < j->node[single].next; i = j->node[i].next) {
        const uint32_t token = mt_tape_get(j, i, "SpecialToken"), text = mt_tape_get(j, i, "Sequence");
        if (token) {
            MT_TRY(add_template_token(r, tokens, token, has_text));
        } else if (text && !has_text && mt_tape_is(j, mt_tape_get(j, text, "id"), "A")) {
            has_text = true;
        } else {
            MT_FAIL(r->err, MOTE_EUNSUPPORTED, "tokenizer.json: a template that does not name its text once is not supported");
        }
    }
    if (!has_text)
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "tokenizer.json: a template that does not name its text once is not supported");
    return MOTE_OK;
}

static mote_status read_post_processor(mt_tape_reader *r, uint32_t node, mt_str type)
{
    mt_tokenizer *t = r->t;
    const bool is_roberta = mt_str_is(type, "RobertaProcessing"), is_bytes = mt_str_is(type, "ByteLevel");
    if (t->n_prefix + t->n_suffix && !is_bytes)
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "tokenizer.json: more than one post-processor that adds tokens is not supported");
    if (is_roberta || is_bytes) {
        bool trims, prefix;
        MT_TRY(mt_tape_flag(r, node, "trim_offsets", true, &trims));
        MT_TRY(mt_tape_flag(r, node, "add_prefix_space", true, &prefix));
        if (trims && (t->trims || t->n_prefix + t->n_suffix))
            MT_FAIL(r->err, MOTE_EUNSUPPORTED, "tokenizer.json: offsets that are trimmed twice, or behind a template, "
                    "are not supported");
        if (trims) t->trims = true, t->trims_but_prefix = prefix;
    }
    if (is_bytes) return MOTE_OK;
    if (mt_str_is(type, "TemplateProcessing")) return read_template(r, node);
    if (!is_roberta && !mt_str_is(type, "BertProcessing")) return unsupported(r, "post-processor", type);
    MT_TRY(add_pair(r, node, "cls", false));
    return add_pair(r, node, "sep", true);
}

mote_status mt_tape_post_processor(mt_tape_reader *r, uint32_t node)
{
    return each(r, node, "post_processor", "processors", read_post_processor);
}

/* ---- decoder ------------------------------------------------------------------------------ */

static mote_status count_of(mt_tape_reader *r, uint32_t node, const char *key, uint32_t *out)
{
    int64_t n;
    const uint32_t value = mt_tape_get(&r->json, node, key);
    if (!value || !mt_tape_int(&r->json, value, &n) || n < 0 || n > UINT32_MAX) return wrong_type(r, key, "a count");
    *out = (uint32_t)n;
    return MOTE_OK;
}

static mote_status read_decoder(mt_tape_reader *r, uint32_t node, mt_str type)
{
    mt_tokenizer *t = r->t;
    bool has;
    if (!t->decode) t->decode = mt_arena_push_n(&t->arena, MOST_DECODES, sizeof *t->decode);
    if (!t->decode) return no_memory(r);
    if (t->n_decode == MOST_DECODES) MT_FAIL(r->err, MOTE_EUNSUPPORTED, "tokenizer.json: more than %d decoders", (int)MOST_DECODES);
    mt_decode *op = &t->decode[t->n_decode];
    *op = (mt_decode){ .kind = MT_DECODE_FUSE };
    if (mt_str_is(type, "ByteLevel")) {
        op->kind = MT_DECODE_BYTES;
    } else if (mt_str_is(type, "WordPiece")) {
        op->kind = MT_DECODE_WORDPIECE;
        MT_TRY(mt_tape_text(r, node, "prefix", &op->text, &has));
        if (!has) op->text = mt_str_of("##");
        MT_TRY(mt_tape_flag(r, node, "cleanup", true, &op->cleans));
    } else if (mt_str_is(type, "Metaspace")) {
        mt_scheme scheme;
        op->kind = MT_DECODE_METASPACE;
        MT_TRY(char_of(r, node, "replacement", NULL, &op->text));
        MT_TRY(scheme_of(r, node, &scheme));
        op->drops_first = scheme != MT_SCHEME_NEVER;
    } else if (mt_str_is(type, "BPEDecoder")) {
        op->kind = MT_DECODE_SUFFIX;
        MT_TRY(mt_tape_text(r, node, "suffix", &op->text, &has));
        if (!has) op->text = mt_str_of("</w>");
    } else if (mt_str_is(type, "ByteFallback")) {
        op->kind = MT_DECODE_BYTE_TOKENS;
    } else if (mt_str_is(type, "Strip")) {
        op->kind = MT_DECODE_STRIP;
        MT_TRY(char_of(r, node, "content", NULL, &op->text));
        MT_TRY(count_of(r, node, "start", &op->start));
        MT_TRY(count_of(r, node, "stop", &op->stop));
    } else if (mt_str_is(type, "Replace")) {
        op->kind = MT_DECODE_REPLACE;
        MT_TRY(mt_tape_text(r, node, "content", &op->text, NULL));
        MT_TRY(pattern_of(r, node, "decoder Replace", &op->pattern));
    } else if (!mt_str_is(type, "Fuse")) {
        return unsupported(r, "decoder", type);
    }
    t->n_decode++;
    return MOTE_OK;
}

mote_status mt_tape_decoder(mt_tape_reader *r, uint32_t node)
{
    MT_TRY(each(r, node, "decoder", "decoders", read_decoder));
    r->t->joins_by_space = is_none(&r->json, node);
    return MOTE_OK;
}

/* SPDX-License-Identifier: MIT */
/* vocab_json.c - tokenizer.json from tokenizer.ggml.*.
 *
 * GGUF says which algorithm and which pre-tokenizer by name; tokenizer.json says what they do.  Merges
 * of a sentencepiece model, which has only scores, are those of its pieces: every way to put a piece
 * together from two, the best score first.  All tokens stand in the model's vocabulary, the special
 * ones among the added tokens too, so that ids are those of GGUF. */
#include "file/vocab_json.h"
#include "file/parts.h"
#include "file/stream.h"

#include <stdio.h>
#include <string.h>

enum { MAX_TOKEN = 1 << 21, MAX_PIECE = 1024, MAX_MERGE = 1 << 23 };
enum { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, USER = 4 };         /* tokenizer.ggml.token_type */

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
#define REST         "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UP_TO_THREE  CONTRACTIONS "\\p{N}{1,3}" REST
#define ONE_DIGIT    CONTRACTIONS "\\p{N}" REST

const mt_pre_rule mt_pre_rules[] = {
    { "gpt-2", NULL, false, false, false, false },
    { "default", NULL, false, false, false, false },
    { "gpt2", NULL, false, false, false, false },
    { "phi-2", NULL, false, false, false, false },
    { "jais", NULL, false, false, false, false },
    { "olmo", NULL, false, true, false, false },
    { "mpt", NULL, false, true, false, false },
    { "gpt-neox", NULL, false, true, false, false },
    { "smollm", NULL, true, false, false, false },
    { "starcoder", NULL, true, false, false, false },
    { "refact", NULL, true, false, false, false },
    { "codeshell", NULL, true, false, false, false },
    { "llama-bpe", UP_TO_THREE, false, false, true, true },
    { "llama3", UP_TO_THREE, false, false, true, true },
    { "llama-v3", UP_TO_THREE, false, false, true, true },
    { "dbrx", UP_TO_THREE, false, false, false, false },
    { "smaug-bpe", UP_TO_THREE, false, false, false, false },
    { "qwen2", ONE_DIGIT, false, true, false, false },
    { "deepseek-r1-qwen", ONE_DIGIT, false, true, false, false },
    { "stablelm2", ONE_DIGIT, false, true, false, false },
    { "megrez", ONE_DIGIT, false, true, false, false },
    { NULL, NULL, false, false, false, false },
};

typedef struct job {
    const mt_source *s;
    const char *path;
    const mt_meta *token, *kind, *score;
    size_t n;
    mt_buf *out;
    mt_arena arena;
    mote_error *err;
} job;

static mote_status full(const job *j)
{
    MT_FAIL(j->err, MOTE_ENOMEM, "%s: no memory for its tokenizer of %zu tokens", j->path, j->n);
}

static bool put(const job *j, const char *text) { return mt_buf_put(j->out, text, strlen(text)); }
static int64_t kind_of(const job *j, size_t i) { return j->kind ? mt_meta_item_int(j->kind, i) : NORMAL; }
static mt_str text_of(const job *j, size_t i) { return j->token->strings[i]; }

static mote_status check_utf8(const job *j, const mt_meta *m, const char *what)
{
    for (size_t i = 0; i < m->n; i++)
        if (!mt_json_is_utf8(m->strings[i]))
            MT_FAIL(j->err, MOTE_EFORMAT, "%s: %s %zu is not UTF-8, which JSON cannot hold", j->path, what, i);
    return MOTE_OK;
}

static int64_t id_of(const job *j, const char *key)
{
    int64_t id;
    return mt_meta_int(j->s, key, &id) && id >= 0 && id < (int64_t)j->n ? id : -1;
}

static bool flag_of(const job *j, const char *key, bool absent)
{
    bool flag = absent;
    mt_meta_bool(j->s, key, &flag);
    return flag;
}

/* ---- the parts of the file ------------------------------------------------------------ */

static bool put_added(const job *j)
{
    bool ok = put(j, "\n  \"added_tokens\": ["), has_some = false;
    for (size_t i = 0; ok && i < j->n; i++) {
        const int64_t kind = kind_of(j, i);
        if (kind != UNKNOWN && kind != CONTROL && kind != USER) continue;
        if (text_of(j, i).n == 0) continue;             /* nothing to find in a text */
        ok = mt_buf_print(j->out, "%s\n    {\"id\": %zu, \"content\": ", has_some ? "," : "", i)
             && mt_json_quote(j->out, text_of(j, i))
             && mt_buf_print(j->out, ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                                     "\"normalized\": false, \"special\": %s}", kind == USER ? "false" : "true");
        has_some = true;
    }
    return ok && put(j, has_some ? "\n  ]," : "],");
}

/* {"SpecialToken": ...} and the text, as many of each as there are. */
static bool put_special(const job *j, int64_t id, int type, bool *has_some)
{
    if (id < 0) return true;
    const bool ok = put(j, *has_some ? ", " : "") && put(j, "{\"SpecialToken\": {\"id\": ")
                    && mt_json_quote(j->out, text_of(j, (size_t)id)) && mt_buf_print(j->out, ", \"type_id\": %d}}", type);
    *has_some = true;
    return ok;
}

static bool put_text(const job *j, const char *name, int type, bool *has_some)
{
    const bool ok = mt_buf_print(j->out, "%s{\"Sequence\": {\"id\": \"%s\", \"type_id\": %d}}", *has_some ? ", " : "", name, type);
    *has_some = true;
    return ok;
}

static bool put_named(const job *j, int64_t id, bool is_first)
{
    const mt_str text = text_of(j, (size_t)id);
    return put(j, is_first ? "" : ", ") && mt_json_quote(j->out, text) && put(j, ": {\"id\": ") && mt_json_quote(j->out, text)
           && mt_buf_print(j->out, ", \"ids\": [%lld], \"tokens\": [", (long long)id) && mt_json_quote(j->out, text)
           && put(j, "]}");
}

/* What is put round a text; ids of -1 are not. */
static bool put_template(const job *j, int64_t begin, int64_t end, bool two_types)
{
    bool one = false, two = false;
    if (begin < 0 && end < 0) return put(j, "\n  \"post_processor\": null,");
    bool ok = put(j, "\n  \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [")
              && put_special(j, begin, 0, &one) && put_text(j, "A", 0, &one) && put_special(j, end, 0, &one)
              && put(j, "], \"pair\": [") && put_special(j, begin, 0, &two) && put_text(j, "A", 0, &two)
              && put_special(j, end, 0, &two) && (two_types || put_special(j, begin, 1, &two)) && put_text(j, "B", 1, &two)
              && put_special(j, end, 1, &two) && put(j, "], \"special_tokens\": {");
    ok = ok && (begin < 0 || put_named(j, begin, true));
    return ok && (end < 0 || end == begin || put_named(j, end, begin < 0)) && put(j, "}},");
}

static bool put_vocab(const job *j)
{
    bool ok = put(j, "\"vocab\": {");
    for (size_t i = 0; ok && i < j->n; i++)
        ok = put(j, i ? ",\n      " : "\n      ") && mt_json_quote(j->out, text_of(j, i)) && mt_buf_print(j->out, ": %zu", i);
    return ok && put(j, "\n    }");
}

static const char head[] = "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,";

static int64_t put_if(const job *j, const char *flag, bool absent, const char *key)
{
    return flag_of(j, flag, absent) ? id_of(j, key) : -1;
}

/* ---- byte-level BPE ----------------------------------------------------------------------- */

static mote_status find_rule(const job *j, const mt_pre_rule **out)
{
    mt_str pre = mt_str_of("default");
    mt_meta_str(j->s, "tokenizer.ggml.pre", &pre);
    for (*out = mt_pre_rules; (*out)->name; (*out)++)
        if (mt_str_is(pre, (*out)->name)) return MOTE_OK;
    MT_FAIL(j->err, MOTE_EUNSUPPORTED, "%s: the pre-tokenizer \"%.*s\" cannot be written as tokenizer.json", j->path,
            (int)MT_MIN(pre.n, 40), pre.p);
}

static bool put_merges(const job *j, const mt_meta *merges)
{
    bool ok = put(j, ",\n    \"merges\": [");
    for (size_t i = 0; ok && merges && i < merges->n; i++)
        ok = put(j, i ? ",\n      " : "\n      ") && mt_json_quote(j->out, merges->strings[i]);
    return ok && put(j, "\n    ]");
}

static mote_status write_byte_bpe(const job *j)
{
    const mt_pre_rule *rule;
    const mt_meta *merges = mt_source_meta(j->s, "tokenizer.ggml.merges");
    MT_TRY(find_rule(j, &rule));
    if (!merges || !merges->strings) MT_FAIL(j->err, MOTE_EFORMAT, "%s: tokenizer.ggml.merges is missing", j->path);
    MT_TRY(check_utf8(j, merges, "merge"));
    bool ok = put(j, head) && put_added(j)
              && put(j, rule->has_nfc ? "\n  \"normalizer\": {\"type\": \"NFC\"}," : "\n  \"normalizer\": null,");
    ok = ok && put(j, "\n  \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [");
    if (rule->has_digits) ok = ok && put(j, "{\"type\": \"Digits\", \"individual_digits\": true}, ");
    if (rule->expression)
        ok = ok && put(j, "{\"type\": \"Split\", \"pattern\": {\"Regex\": ") && mt_json_quote(j->out, mt_str_of(rule->expression))
             && put(j, "}, \"behavior\": \"Isolated\", \"invert\": false}, ");
    ok = ok && mt_buf_print(j->out, "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, "
                                    "\"use_regex\": %s}]},", rule->expression ? "false" : "true");
    ok = ok && put_template(j, put_if(j, "tokenizer.ggml.add_bos_token", rule->adds_bos, "tokenizer.ggml.bos_token_id"),
                            put_if(j, "tokenizer.ggml.add_eos_token", false, "tokenizer.ggml.eos_token_id"), false);
    ok = ok && put(j, "\n  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, "
                      "\"use_regex\": true},\n  \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, "
                      "\"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": false, "
                      "\"byte_fallback\": false, ")
         && mt_buf_print(j->out, "\"ignore_merges\": %s, ", rule->ignores_merges ? "true" : "false")
         && put_vocab(j) && put_merges(j, merges) && put(j, "\n  }\n}\n");
    return ok ? MOTE_OK : full(j);
}

/* ---- sentencepiece's BPE --------------------------------------------------------------------- */

typedef struct merge { uint32_t whole, left, right; uint32_t n_left, n_right; float score; } merge;

static int compare(mt_str a, mt_str b)
{
    const int order = memcmp(a.p, b.p, MT_MIN(a.n, b.n));
    return order ? order : a.n < b.n ? -1 : a.n > b.n;
}

static bool piece_is_less(const void *context, uint32_t a, uint32_t b)
{
    const mt_str *text = context;
    const int order = compare(text[a], text[b]);
    return order ? order < 0 : a < b;
}

/* A normal piece by its text; j->n: none. */
static size_t find_piece(const job *j, const uint32_t *order, mt_str text)
{
    size_t low = 0, high = j->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (compare(text_of(j, order[middle]), text) < 0) low = middle + 1;
        else high = middle;
    }
    for (; low < j->n && mt_str_eq(text_of(j, order[low]), text); low++)
        if (kind_of(j, order[low]) == NORMAL) return order[low];
    return j->n;
}

static uint32_t characters(const char *p, size_t n)
{
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((uint8_t)p[i] & 0xC0) != 0x80;
    return count;
}

/* The best score first; then longer halves; then as the reference meets them. */
static bool comes_first(const void *context, uint32_t a, uint32_t b)
{
    const merge *x = (const merge *)context + a, *y = (const merge *)context + b;
    if (x->score > y->score || x->score < y->score) return x->score > y->score;
    if (x->n_left != y->n_left) return x->n_left > y->n_left;
    if (x->n_right != y->n_right) return x->n_right > y->n_right;
    if (x->whole != y->whole) return x->whole < y->whole;
    return x->left != y->left ? x->left < y->left : x->right < y->right;
}

/* Calls for each way to make each piece of two; list NULL: only counts. */
static size_t find_merges(const job *j, const uint32_t *order, merge *list)
{
    size_t n = 0;
    for (size_t i = 0; i < j->n && n < MAX_MERGE; i++) {
        const mt_str text = text_of(j, i);
        if (kind_of(j, i) != NORMAL || text.n > MAX_PIECE) continue;
        for (size_t cut = 1; cut < text.n; cut++) {
            if (((uint8_t)text.p[cut] & 0xC0) == 0x80) continue;
            const size_t left = find_piece(j, order, (mt_str){ text.p, cut });
            if (left == j->n) continue;
            const size_t right = find_piece(j, order, (mt_str){ text.p + cut, text.n - cut });
            if (right == j->n) continue;
            if (list)
                list[n] = (merge){ (uint32_t)i, (uint32_t)left, (uint32_t)right, characters(text.p, cut),
                                   characters(text.p + cut, text.n - cut), (float)mt_meta_item_f64(j->score, i) };
            n++;
        }
    }
    return n;
}

static bool put_score_merges(job *j)
{
    uint32_t *order = mt_arena_push_n(&j->arena, j->n, sizeof *order);
    if (!order) return false;
    for (size_t i = 0; i < j->n; i++) order[i] = (uint32_t)i;
    mt_order_sort(order, j->n, piece_is_less, j->token->strings);
    const size_t n = find_merges(j, order, NULL);
    merge *list = mt_arena_push_n(&j->arena, n, sizeof *list);
    uint32_t *rank = mt_arena_push_n(&j->arena, n, sizeof *rank);
    if (!list || !rank) return false;
    find_merges(j, order, list);
    for (size_t i = 0; i < n; i++) rank[i] = (uint32_t)i;
    mt_order_sort(rank, n, comes_first, list);
    bool ok = put(j, ",\n    \"merges\": [");
    for (size_t i = 0; ok && i < n; i++) {
        const merge *m = &list[rank[i]];
        ok = put(j, i ? ",\n      [" : "\n      [") && mt_json_quote(j->out, text_of(j, m->left)) && put(j, ", ")
             && mt_json_quote(j->out, text_of(j, m->right)) && put(j, "]");
    }
    return ok && put(j, "\n    ]");
}

static bool put_unknown(const job *j)
{
    const int64_t unk = id_of(j, "tokenizer.ggml.unknown_token_id");
    return put(j, "\"unk_token\": ") && (unk < 0 ? put(j, "null") : mt_json_quote(j->out, text_of(j, (size_t)unk)));
}

static mote_status write_spm(job *j)
{
    const bool has_prefix = flag_of(j, "tokenizer.ggml.add_space_prefix", true);
    if (!j->score) MT_FAIL(j->err, MOTE_EFORMAT, "%s: tokenizer.ggml.scores is missing", j->path);
    bool ok = put(j, head) && put_added(j) && put(j, "\n  \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [");
    if (has_prefix) ok = ok && put(j, "{\"type\": \"Prepend\", \"prepend\": \"\xE2\x96\x81\"}, ");
    ok = ok && put(j, "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": \"\xE2\x96\x81\"}]},"
                      "\n  \"pre_tokenizer\": null,");
    ok = ok && put_template(j, put_if(j, "tokenizer.ggml.add_bos_token", true, "tokenizer.ggml.bos_token_id"),
                            put_if(j, "tokenizer.ggml.add_eos_token", false, "tokenizer.ggml.eos_token_id"), false);
    ok = ok && put(j, "\n  \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": "
                      "{\"String\": \"\xE2\x96\x81\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}");
    if (has_prefix) ok = ok && put(j, ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}");
    ok = ok && put(j, "]},\n  \"model\": {\"type\": \"BPE\", \"dropout\": null, ") && put_unknown(j)
         && put(j, ", \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": true, "
                   "\"byte_fallback\": true, \"ignore_merges\": false, ")
         && put_vocab(j) && put_score_merges(j) && put(j, "\n  }\n}\n");
    return ok ? MOTE_OK : full(j);
}

/* ---- unigram --------------------------------------------------------------------------------- */

static bool put_base64(const job *j, const mt_meta *m)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bool ok = put(j, "\"");
    for (size_t i = 0; ok && i < m->n; i += 3) {
        const size_t left = MT_MIN(m->n - i, 3);
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++) bits = bits << 8 | (k < left ? m->raw[i + k] : 0u);
        const char four[] = { digit[bits >> 18], digit[bits >> 12 & 63], left > 1 ? digit[bits >> 6 & 63] : '=',
                              left > 2 ? digit[bits & 63] : '=' };
        ok = mt_buf_put(j->out, four, 4);
    }
    return ok && put(j, "\"");
}

static bool put_unigram_normalizer(const job *j)
{
    const mt_meta *map = mt_source_meta(j->s, "tokenizer.ggml.precompiled_charsmap");
    const bool trims = flag_of(j, "tokenizer.ggml.remove_extra_whitespaces", true);
    const bool has_map = map && map->type == MT_META_ARRAY && map->n > 0 && (map->item == MT_META_U8 || map->item == MT_META_I8);
    if (!has_map && !trims) return put(j, "\n  \"normalizer\": null,");
    bool ok = put(j, "\n  \"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [");
    if (has_map) ok = ok && put(j, "{\"type\": \"Precompiled\", \"precompiled_charsmap\": ") && put_base64(j, map) && put(j, "}");
    if (trims)
        ok = ok && put(j, has_map ? ", " : "")
             /* spaces only, where Strip would take any white space */
             && put(j, "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \"\\\\A +| +\\\\z\"}, \"content\": \"\"}, "
                       "{\"type\": \"Replace\", \"pattern\": {\"Regex\": \" {2,}\"}, \"content\": \" \"}");
    return ok && put(j, "]},");
}

static mote_status write_unigram(const job *j)
{
    const char *scheme = flag_of(j, "tokenizer.ggml.add_space_prefix", true) ? "always" : "never";
    const int64_t unk = id_of(j, "tokenizer.ggml.unknown_token_id");
    if (!j->score || unk < 0)
        MT_FAIL(j->err, MOTE_EFORMAT, "%s: tokenizer.ggml.%s is missing", j->path, j->score ? "unknown_token_id" : "scores");
    bool ok = put(j, head) && put_added(j) && put_unigram_normalizer(j);
    for (int i = 0; ok && i < 2; i++)
        ok = mt_buf_print(j->out, "\n  \"%s\": {\"type\": \"Metaspace\", \"replacement\": \"\xE2\x96\x81\", \"prepend_scheme\": "
                                  "\"%s\", \"split\": true},", i ? "decoder" : "pre_tokenizer", scheme);
    ok = ok && put_template(j, put_if(j, "tokenizer.ggml.add_bos_token", false, "tokenizer.ggml.bos_token_id"),
                            put_if(j, "tokenizer.ggml.add_eos_token", true, "tokenizer.ggml.eos_token_id"), true)
         && mt_buf_print(j->out, "\n  \"model\": {\"type\": \"Unigram\", \"unk_id\": %lld, \"byte_fallback\": false, "
                                 "\"vocab\": [", (long long)unk);
    for (size_t i = 0; ok && i < j->n; i++)
        ok = put(j, i ? ",\n      [" : "\n      [") && mt_json_quote(j->out, text_of(j, i))
             && mt_buf_print(j->out, ", %.9g]", mt_meta_item_f64(j->score, i));
    ok = ok && put(j, "\n    ]\n  }\n}\n");
    return ok ? MOTE_OK : full(j);
}

/* ---- WordPiece ----------------------------------------------------------------------------------- */

/* GGUF marks the pieces that begin a word; tokenizer.json those that go on. */
static mote_status mark_pieces(job *j)
{
    static const char mark[] = "\xE2\x96\x81";
    mt_meta *other = mt_arena_push(&j->arena, sizeof *other);
    mt_str *text = mt_arena_push_n(&j->arena, j->n, sizeof *text);
    size_t bytes = 0;
    for (size_t i = 0; i < j->n; i++) bytes += text_of(j, i).n + 2;
    char *room = mt_arena_push(&j->arena, bytes);
    if (!other || !text || !room) return full(j);
    for (size_t i = 0; i < j->n; i++) {
        const mt_str from = text_of(j, i);
        const bool is_word = from.n > 3 && memcmp(from.p, mark, 3) == 0;
        const bool is_special = kind_of(j, i) != NORMAL || (from.n > 2 && from.p[0] == '[' && from.p[from.n - 1] == ']');
        text[i] = is_word ? (mt_str){ from.p + 3, from.n - 3 } : from;
        if (is_word || is_special) continue;
        text[i] = (mt_str){ room, from.n + 2 };
        memcpy(room, "##", 2);
        memcpy(room + 2, from.p, from.n);
        room += from.n + 2;
    }
    *other = *j->token;
    other->strings = text;
    j->token = other;
    return MOTE_OK;
}

/* A vocabulary without capitals is of a model that wants none. */
static bool is_lowercase(const job *j)
{
    for (size_t i = 0; i < j->n; i++)
        for (size_t k = 0; kind_of(j, i) == NORMAL && text_of(j, i).p[0] != '[' && k < text_of(j, i).n; k++)
            if (text_of(j, i).p[k] >= 'A' && text_of(j, i).p[k] <= 'Z') return false;
    return true;
}

static mote_status write_wordpiece(job *j)
{
    int64_t begin = id_of(j, "tokenizer.ggml.cls_token_id"), end = id_of(j, "tokenizer.ggml.seperator_token_id");
    if (begin < 0) begin = id_of(j, "tokenizer.ggml.bos_token_id");
    if (end < 0) end = id_of(j, "tokenizer.ggml.eos_token_id");
    if (id_of(j, "tokenizer.ggml.unknown_token_id") < 0)
        MT_FAIL(j->err, MOTE_EFORMAT, "%s: tokenizer.ggml.unknown_token_id is missing", j->path);
    MT_TRY(mark_pieces(j));
    bool ok = put(j, head) && put_added(j)
              && mt_buf_print(j->out, "\n  \"normalizer\": {\"type\": \"BertNormalizer\", \"clean_text\": true, "
                                      "\"handle_chinese_chars\": true, \"strip_accents\": null, \"lowercase\": %s},"
                                      "\n  \"pre_tokenizer\": {\"type\": \"BertPreTokenizer\"},",
                              is_lowercase(j) ? "true" : "false");
    ok = ok && put_template(j, begin, end, true)
         && put(j, "\n  \"decoder\": {\"type\": \"WordPiece\", \"prefix\": \"##\", \"cleanup\": true},"
                   "\n  \"model\": {\"type\": \"WordPiece\", ") && put_unknown(j)
         && put(j, ", \"continuing_subword_prefix\": \"##\", \"max_input_chars_per_word\": 100, ")
         && put_vocab(j) && put(j, "\n  }\n}\n");
    return ok ? MOTE_OK : full(j);
}

/* ---- all ------------------------------------------------------------------------------------------- */

static const mt_meta *list_of(const job *j, const char *key, mt_meta_type item)
{
    const mt_meta *m = mt_source_meta(j->s, key);
    return m && m->type == MT_META_ARRAY && m->item == item && m->n == j->n ? m : NULL;
}

static mote_status write_all(job *j)
{
    mt_str model;
    j->token = mt_source_meta(j->s, "tokenizer.ggml.tokens");
    if (!mt_meta_str(j->s, "tokenizer.ggml.model", &model) || !j->token || !j->token->strings)
        MT_FAIL(j->err, MOTE_EUNSUPPORTED, "%s: the file carries no tokenizer (tokenizer.ggml.tokens)", j->path);
    j->n = j->token->n;
    if (j->n < 1 || j->n > MAX_TOKEN)
        MT_FAIL(j->err, MOTE_EFORMAT, "%s: expected a vocabulary of 1 to %d tokens, found %zu", j->path, MAX_TOKEN, j->n);
    MT_TRY(check_utf8(j, j->token, "token"));
    j->kind = list_of(j, "tokenizer.ggml.token_type", MT_META_I32);
    j->score = list_of(j, "tokenizer.ggml.scores", MT_META_F32);
    if (mt_str_is(model, "gpt2")) return write_byte_bpe(j);
    if (mt_str_is(model, "llama")) return write_spm(j);
    if (mt_str_is(model, "t5")) return write_unigram(j);
    if (mt_str_is(model, "bert")) return write_wordpiece(j);
    MT_FAIL(j->err, MOTE_EUNSUPPORTED, "%s: the tokenizer \"%.*s\" cannot be written as tokenizer.json", j->path,
            (int)MT_MIN(model.n, 40), model.p);
}

mote_status mt_vocab_to_json(const mt_source *s, mt_buf *out, mote_error *err)
{
    job j = { .s = s, .path = mt_path_end(s->path), .out = out, .err = err };
    mt_arena_init(&j.arena, s->arena.alloc, 1 << 16);
    const mote_status st = write_all(&j);
    mt_arena_reset(&j.arena);
    return st;
}

/* SPDX-License-Identifier: MIT */
/* tokenizer_json.c - opens a tokenizer from tokenizer.json: its model, vocabulary and added tokens.
 *
 * The file says everything but which tokens begin, end and pad a text; these come from
 * tokenizer_config.json and special_tokens_map.json. */
#include <string.h>

#include "text/json_steps.h"

enum { MOST_ADDED = 1 << 17 };

typedef struct opener {
    mt_tape_reader r;
    mt_recipe recipe;
    uint32_t  model;             /* node */
    mt_str   *token;             /* (n_token) */
    size_t    n_entry, n_token;  /* entries of the model's vocabulary; ids with those of added tokens */
} opener;

static mote_status fails(opener *o, const char *what)
{
    MT_FAIL(o->r.err, MOTE_EFORMAT, "tokenizer.json: %s", what);
}

static mote_status no_memory(opener *o)
{
    MT_FAIL(o->r.err, MOTE_ENOMEM, "tokenizer.json: no memory for a vocabulary of %zu tokens", o->n_token);
}

/* ---- vocabulary ------------------------------------------------------------------------ */

static uint32_t added_list(const opener *o)
{
    const uint32_t list = mt_tape_get(&o->r.json, 0, "added_tokens");
    return list && mt_tape_type_of(&o->r.json, list) == MT_TAPE_ARRAY ? list : 0;
}

static mote_status see_id(opener *o, uint32_t node, int32_t *out)
{
    int64_t id;
    if (!node || !mt_tape_int(&o->r.json, node, &id) || id < 0 || id >= MT_TOKENS_MAX)
        MT_FAIL(o->r.err, MOTE_EFORMAT, "tokenizer.json: a token's id is not a number below %d", (int)MT_TOKENS_MAX);
    o->n_token = MT_MAX(o->n_token, (size_t)id + 1);
    *out = (int32_t)id;
    return MOTE_OK;
}

/* The greatest id of all: how many tokens there are. */
static mote_status count_tokens(opener *o, uint32_t vocab)
{
    const mt_tape *j = &o->r.json;
    const mt_tape_type type = vocab ? mt_tape_type_of(j, vocab) : MT_TAPE_NULL;
    int32_t id = 0;
    if (type != MT_TAPE_OBJECT && type != MT_TAPE_ARRAY) return fails(o, "the model has no vocabulary");
    o->n_entry = mt_tape_size(j, vocab);
    if (type == MT_TAPE_ARRAY) o->n_token = o->n_entry;
    for (uint32_t k = vocab + 1; type == MT_TAPE_OBJECT && k < j->node[vocab].next; k = j->node[k + 1].next)
        MT_TRY(see_id(o, k + 1, &id));
    const uint32_t list = added_list(o);
    for (uint32_t i = list + 1; list && i < j->node[list].next; i = j->node[i].next)
        MT_TRY(see_id(o, mt_tape_get(j, i, "id"), &id));
    if (o->n_token > MT_TOKENS_MAX) return fails(o, "more tokens than the limit");
    o->token = mt_arena_push_n(&o->r.t->arena, MT_MAX(o->n_token, 1), sizeof *o->token);
    return o->token ? MOTE_OK : no_memory(o);
}

/* All tokens' texts lie in one block: the file may go. */
static mote_status read_token(opener *o, uint32_t node, size_t id, char **to)
{
    mt_str s;
    if (mt_tape_type_of(&o->r.json, node) != MT_TAPE_STRING) return fails(o, "a token is not a string");
    if (o->token[id].p) MT_FAIL(o->r.err, MOTE_EFORMAT, "tokenizer.json: two tokens have the id %zu", id);
    if (!mt_tape_string(&o->r.json, node, &o->r.t->arena, &s)) return no_memory(o);
    if (s.n) memcpy(*to, s.p, s.n);
    o->token[id] = (mt_str){ *to, s.n };
    *to += s.n;
    return MOTE_OK;
}

static mote_status read_object(opener *o, uint32_t vocab)
{
    const mt_tape *j = &o->r.json;
    size_t bytes = 1;
    int32_t id = 0;
    for (uint32_t k = vocab + 1; k < j->node[vocab].next; k = j->node[k + 1].next) bytes += mt_tape_size(j, k);
    char *to = mt_arena_push(&o->r.t->arena, bytes);
    if (!to) return no_memory(o);
    for (uint32_t k = vocab + 1; k < j->node[vocab].next; k = j->node[k + 1].next) {
        MT_TRY(see_id(o, k + 1, &id));
        MT_TRY(read_token(o, k, (size_t)id, &to));
    }
    return MOTE_OK;
}

/* Unigram: [token, score] each; the id is the place. */
static mote_status read_scored(opener *o, uint32_t vocab)
{
    const mt_tape *j = &o->r.json;
    size_t bytes = 1, id = 0;
    double *score = mt_arena_push_n(&o->r.t->arena, MT_MAX(o->n_token, 1), sizeof *score);
    if (mt_tape_type_of(j, vocab) != MT_TAPE_ARRAY) return fails(o, "the vocabulary of a Unigram model is not an array");
    for (uint32_t i = vocab + 1; i < j->node[vocab].next; i = j->node[i].next) {
        if (mt_tape_type_of(j, i) != MT_TAPE_ARRAY || mt_tape_size(j, i) != 2) return fails(o, "a token without its score");
        bytes += mt_tape_size(j, i + 1);
    }
    char *to = mt_arena_push(&o->r.t->arena, bytes);
    if (!score || !to) return no_memory(o);
    for (uint32_t i = vocab + 1; i < j->node[vocab].next; i = j->node[i].next, id++) {
        MT_TRY(read_token(o, i + 1, id, &to));
        if (!mt_tape_number(j, j->node[i + 1].next, &score[id])) return fails(o, "a score is not a number");
    }
    o->recipe.score = score;
    return MOTE_OK;
}

/* The id of a token of the model's vocabulary; -1: none. */
static int32_t id_of(const opener *o, mt_str text)
{
    for (size_t id = 0; id < o->n_token; id++)
        if (o->token[id].p && mt_str_eq(o->token[id], text)) return (int32_t)id;
    return -1;
}

/* ---- merges ------------------------------------------------------------------------------ */

/* A pair as "left right", and where the space is. */
static mote_status read_pair(opener *o, uint32_t node, mt_str *out, uint32_t *cut)
{
    mt_str a, b;
    mt_arena *arena = &o->r.t->arena;
    if (mt_tape_size(&o->r.json, node) != 2 || mt_tape_type_of(&o->r.json, node + 1) != MT_TAPE_STRING ||
        mt_tape_type_of(&o->r.json, node + 2) != MT_TAPE_STRING) return fails(o, "a merge is not a pair of tokens");
    if (!mt_tape_string(&o->r.json, node + 1, arena, &a) || !mt_tape_string(&o->r.json, node + 2, arena, &b)) return no_memory(o);
    if (a.n == 0) return fails(o, "a merge with an empty side");
    *cut = (uint32_t)a.n;
    char *to = (char *)(uintptr_t)out->p;        /* room that the caller made */
    memcpy(to, a.p, a.n);
    to[a.n] = ' ';
    if (b.n) memcpy(to + a.n + 1, b.p, b.n);
    out->n = a.n + 1 + b.n;
    return MOTE_OK;
}

static mote_status read_merges(opener *o)
{
    const mt_tape *j = &o->r.json;
    mt_vocab *v = &o->r.t->vocab;
    const uint32_t list = mt_tape_get(j, o->model, "merges");
    if (!list || mt_tape_type_of(j, list) != MT_TAPE_ARRAY) return fails(o, "a BPE model without merges");
    const size_t n = mt_tape_size(j, list);
    size_t bytes = 0, at = 0;
    for (uint32_t i = list + 1; i < j->node[list].next; i++)
        if (mt_tape_type_of(j, i) == MT_TAPE_STRING) bytes += mt_tape_size(j, i) + 1;
    mt_str *merge = mt_arena_push_n(&o->r.t->arena, MT_MAX(n, 1), sizeof *merge);
    uint32_t *cut = mt_arena_push_n(&o->r.t->arena, MT_MAX(n, 1), sizeof *cut);
    char *pool = mt_arena_push(&o->r.t->arena, bytes + 1);
    if (!merge || !cut || !pool) return no_memory(o);
    for (uint32_t i = list + 1; i < j->node[list].next; i = j->node[i].next, at++) {
        if (mt_tape_type_of(j, i) == MT_TAPE_ARRAY) {
            merge[at].p = pool;
            MT_TRY(read_pair(o, i, &merge[at], &cut[at]));
            pool += merge[at].n;
            continue;
        }
        if (mt_tape_type_of(j, i) != MT_TAPE_STRING) return fails(o, "a merge is neither a string nor a pair");
        if (!mt_tape_string(j, i, &o->r.t->arena, &merge[at])) return no_memory(o);
        const char *space = memchr(merge[at].p, ' ', merge[at].n);
        if (!space || memchr(space + 1, ' ', (size_t)(merge[at].p + merge[at].n - space - 1)) || space == merge[at].p)
            MT_FAIL(o->r.err, MOTE_EFORMAT, "tokenizer.json: merge '%.*s' is not two tokens with a space between them",
                    (int)MT_MIN(merge[at].n, 64), merge[at].p);
        cut[at] = (uint32_t)(space - merge[at].p);
    }
    v->merge = merge, v->merge_cut = cut, v->n_merge = n;
    return MOTE_OK;
}

/* ---- models ------------------------------------------------------------------------------- */

/* Does every byte of UTF-8 have a token, so that the unknown token and byte fallback never come up? */
static bool has_all_bytes(const opener *o)
{
    bool has[256] = { [0xC0] = true, [0xC1] = true };
    uint8_t byte[2];
    memset(has + 0xF5, true, 11);
    for (size_t id = 0; id < o->n_token; id++) {
        if (!o->token[id].p || o->token[id].n == 0 || o->token[id].n > 2 || mt_piece_decode(o->token[id], byte) != 1) continue;
        has[byte[0]] = true;
    }
    return !memchr(has, false, sizeof has);
}

/* Words of bytes need not be rewritten as printable characters when the vocabulary is read back into
 * bytes instead. */
static void choose_bytes(opener *o)
{
    mt_tokenizer *t = o->r.t;
    const mt_recipe *r = &o->recipe;
    if (!t->n_words || t->words[t->n_words - 1].kind != MT_WORDS_BYTES || r->prefix.n || r->suffix.n) return;
    for (size_t i = 0; i + 1 < t->n_words; i++)
        if (t->words[i].kind == MT_WORDS_BYTES) return;
    if (!has_all_bytes(o) && (t->vocab.unk >= 0 || r->use_bytes)) return;    /* else what is missing is dropped */
    t->n_words--;
    t->model = MT_MODEL_BYTES;
    o->recipe.is_text = false;
}

/* Digits one by one, then GPT-2's scanner: one scanner does both. */
static void join_words(mt_tokenizer *t)
{
    for (size_t i = 0; i + 1 < t->n_words; i++) {
        mt_words_op *a = &t->words[i], *b = a + 1;
        if (a->kind != MT_WORDS_TRAIT || a->trait != MT_IS_NUMERIC || a->behavior != MT_ISOLATED) continue;
        if (b->kind != MT_WORDS_SCAN || b->scan != MT_SPLIT_GPT2) continue;
        b->scan = MT_SPLIT_DIGITS_GPT2;
        memmove(a, b, (t->n_words - i - 1) * sizeof *a);
        t->n_words--;
    }
}

static mote_status read_bpe(opener *o)
{
    mt_tape_reader *r = &o->r;
    mt_recipe *to = &o->recipe;
    const uint32_t dropout = mt_tape_get(&r->json, o->model, "dropout");
    double p = 0;
    if (dropout && mt_tape_type_of(&r->json, dropout) != MT_TAPE_NULL && (!mt_tape_number(&r->json, dropout, &p) || p != 0))
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "tokenizer.json: dropout is not supported");
    MT_TRY(mt_tape_text(r, o->model, "continuing_subword_prefix", &to->prefix, NULL));
    MT_TRY(mt_tape_text(r, o->model, "end_of_word_suffix", &to->suffix, NULL));
    MT_TRY(mt_tape_flag(r, o->model, "fuse_unk", false, &to->fuses_unk));
    MT_TRY(mt_tape_flag(r, o->model, "byte_fallback", false, &to->use_bytes));
    MT_TRY(mt_tape_flag(r, o->model, "ignore_merges", false, &to->ignore_merges));
    if (to->prefix.n > 64 || to->suffix.n > 64) return fails(o, "an affix of more than 64 bytes");
    r->t->model = MT_MODEL_BPE;
    MT_TRY(read_merges(o));
    join_words(r->t);
    choose_bytes(o);
    return MOTE_OK;
}

static mote_status read_wordpiece(opener *o)
{
    int64_t most = 100;
    bool has;
    MT_TRY(mt_tape_text(&o->r, o->model, "continuing_subword_prefix", &o->recipe.prefix, &has));
    if (!has) o->recipe.prefix = mt_str_of("##");
    const uint32_t node = mt_tape_get(&o->r.json, o->model, "max_input_chars_per_word");
    if (node && (!mt_tape_int(&o->r.json, node, &most) || most < 0)) return fails(o, "max_input_chars_per_word is not a count");
    o->recipe.most_chars = (uint32_t)MT_MIN(most, 1 << 16);
    o->r.t->model = MT_MODEL_WORDPIECE;
    return MOTE_OK;
}

static mote_status read_unigram(opener *o)
{
    const uint32_t node = mt_tape_get(&o->r.json, o->model, "unk_id");
    int64_t id = -1;
    MT_TRY(mt_tape_flag(&o->r, o->model, "byte_fallback", false, &o->recipe.use_bytes));
    if (node && mt_tape_type_of(&o->r.json, node) != MT_TAPE_NULL &&
        (!mt_tape_int(&o->r.json, node, &id) || id < 0 || (size_t)id >= o->n_entry)) return fails(o, "unk_id is not a token");
    o->r.t->vocab.unk = (int32_t)id;
    o->r.t->model = MT_MODEL_UNIGRAM;
    return MOTE_OK;
}

static mote_status read_unk(opener *o)
{
    mt_str name;
    bool has;
    MT_TRY(mt_tape_text(&o->r, o->model, "unk_token", &name, &has));
    if (has) o->r.t->vocab.unk = id_of(o, name);
    return MOTE_OK;
}

/* The type; old files leave it out, and it shows in the other members. */
static mote_status type_of(opener *o, mt_str *type)
{
    const mt_tape *j = &o->r.json;
    bool has;
    const uint32_t vocab = mt_tape_get(j, o->model, "vocab");
    MT_TRY(mt_tape_text(&o->r, o->model, "type", type, &has));
    if (has) return MOTE_OK;
    if (mt_tape_get(j, o->model, "merges")) *type = mt_str_of("BPE");
    else if (vocab && mt_tape_type_of(j, vocab) == MT_TAPE_ARRAY) *type = mt_str_of("Unigram");
    else *type = mt_str_of(mt_tape_get(j, o->model, "continuing_subword_prefix") ? "WordPiece" : "WordLevel");
    return MOTE_OK;
}

static mote_status read_model(opener *o)
{
    mt_str type;
    o->model = mt_tape_get(&o->r.json, 0, "model");
    if (!o->model || mt_tape_type_of(&o->r.json, o->model) != MT_TAPE_OBJECT) return fails(o, "there is no model");
    MT_TRY(type_of(o, &type));
    const uint32_t vocab = mt_tape_get(&o->r.json, o->model, "vocab");
    const bool is_unigram = mt_str_is(type, "Unigram");
    MT_TRY(count_tokens(o, vocab));
    if (!is_unigram && mt_tape_type_of(&o->r.json, vocab) != MT_TAPE_OBJECT) return fails(o, "the vocabulary is not an object");
    MT_TRY(is_unigram ? read_scored(o, vocab) : read_object(o, vocab));
    if (!is_unigram) MT_TRY(read_unk(o));
    if (is_unigram) return read_unigram(o);
    if (mt_str_is(type, "BPE")) return read_bpe(o);
    if (mt_str_is(type, "WordPiece")) return read_wordpiece(o);
    o->r.t->model = MT_MODEL_WORDLEVEL;
    if (mt_str_is(type, "WordLevel")) return MOTE_OK;
    MT_FAIL(o->r.err, MOTE_EUNSUPPORTED, "tokenizer.json: model '%.*s' is not supported", (int)MT_MIN(type.n, 64), type.p);
}

/* ---- added tokens ----------------------------------------------------------------------------- */

static mote_status read_flags(opener *o, uint32_t node, mt_added *a)
{
    static const struct { const char *key; uint8_t flag; bool fallback; } row[] = {
        { "lstrip", MT_ADDED_LSTRIP, false }, { "rstrip", MT_ADDED_RSTRIP, false },
        { "single_word", MT_ADDED_SINGLE_WORD, false }, { "normalized", MT_ADDED_NORMALIZED, true },
        { "special", MT_ADDED_SPECIAL, false },
    };
    bool is_set;
    for (size_t i = 0; i < MT_COUNT(row); i++) {
        MT_TRY(mt_tape_flag(&o->r, node, row[i].key, row[i].fallback, &is_set));
        if (is_set) a->flags |= row[i].flag;
    }
    return MOTE_OK;
}

/* Where the texts of added tokens are already: of[i] is the id of the token of the model that has the same
 * text, else of an added token before it; -1: neither. */
static mote_status find_texts(opener *o, const mt_added *a, size_t n, int32_t *of)
{
    bool begins[256] = { false };                /* an added token begins with this byte */
    size_t n_slot = 16;
    while (n_slot < 2 * n) n_slot *= 2;
    uint32_t *slot = mt_arena_push_n(&o->r.t->arena, n_slot, sizeof *slot);      /* 1 + the first with that text */
    if (!slot) return no_memory(o);
    memset(slot, 0, n_slot * sizeof *slot);
    for (size_t i = 0; i < n; i++) {
        size_t k = mt_hash(a[i].text.p, a[i].text.n) & (n_slot - 1);
        while (slot[k] && !mt_str_eq(a[slot[k] - 1].text, a[i].text)) k = (k + 1) & (n_slot - 1);
        of[i] = slot[k] ? a[slot[k] - 1].id : -1;
        if (!slot[k]) slot[k] = (uint32_t)i + 1;
        begins[(uint8_t)a[i].text.p[0]] = true;
    }
    for (size_t id = o->n_token; id-- > 0;) {    /* of several the lowest */
        const mt_str s = o->token[id];
        if (s.n == 0 || !begins[(uint8_t)s.p[0]]) continue;
        size_t k = mt_hash(s.p, s.n) & (n_slot - 1);
        while (slot[k] && !mt_str_eq(a[slot[k] - 1].text, s)) k = (k + 1) & (n_slot - 1);
        if (slot[k]) of[slot[k] - 1] = (int32_t)id;
    }
    return MOTE_OK;
}

/* The reference gives a token that the model has the model's id, and others the next free one; a file
 * that says otherwise is refused, since nobody could tell which one is meant. */
static mote_status place_added(opener *o, mt_added *a, int32_t found, int32_t *next)
{
    mt_str *own = &o->token[a->id];
    a->is_in_model = own->p != NULL && mt_str_eq(*own, a->text);
    const int32_t id = a->is_in_model ? a->id : found;
    const int32_t want = id >= 0 ? id : (*next)++;
    if (want != a->id)
        MT_FAIL(o->r.err, MOTE_EFORMAT, "tokenizer.json: added token '%.*s' has the id %d, expected %d",
                (int)MT_MIN(a->text.n, 64), a->text.p, (int)a->id, (int)want);
    if (own->p && !a->is_in_model) return fails(o, "an added token has the id of another");
    *own = a->text;
    return MOTE_OK;
}

static mote_status read_added(opener *o)
{
    const mt_tape *j = &o->r.json;
    const uint32_t list = added_list(o);
    const size_t n = list ? mt_tape_size(j, list) : 0;
    size_t to = 0;
    int32_t next = (int32_t)o->n_entry;
    if (n > MOST_ADDED) return fails(o, "more added tokens than the limit");
    mt_added *added = mt_arena_push_n(&o->r.t->arena, MT_MAX(n, 1), sizeof *added);
    int32_t *found = mt_arena_push_n(&o->r.t->arena, MT_MAX(n, 1), sizeof *found);
    if (!added || !found) return no_memory(o);
    for (uint32_t i = list + 1; list && i < j->node[list].next; i = j->node[i].next) {
        mt_added *a = &added[to];
        *a = (mt_added){ .id = 0 };
        MT_TRY(see_id(o, mt_tape_get(j, i, "id"), &a->id));
        MT_TRY(mt_tape_text(&o->r, i, "content", &a->text, NULL));
        if (a->text.n == 0) continue;
        MT_TRY(read_flags(o, i, a));
        to++;
    }
    MT_TRY(find_texts(o, added, to, found));
    for (size_t i = 0; i < to; i++) MT_TRY(place_added(o, &added[i], found[i], &next));
    o->recipe.added = added, o->recipe.n_added = to;
    return MOTE_OK;
}

/* ---- the tokens with a part to play ------------------------------------------------------------- */

/* A token given as a string or as an object with its content. */
static int32_t named(opener *o, const mt_tape *j, const char *key)
{
    mt_str text;
    uint32_t node = j->n_node ? mt_tape_get(j, 0, key) : 0;
    if (node && mt_tape_type_of(j, node) == MT_TAPE_OBJECT) node = mt_tape_get(j, node, "content");
    if (!node || !mt_tape_string(j, node, &o->r.t->arena, &text)) return -1;
    return mt_tokenizer_find(o->r.t, text);
}

static mote_status read_named(opener *o, mt_str text, const char *name)
{
    const struct { const char *key; int32_t *id; } row[] = {
        { "bos_token", &o->r.t->vocab.bos }, { "eos_token", &o->r.t->vocab.eos }, { "unk_token", &o->r.t->vocab.unk },
        { "pad_token", &o->r.t->vocab.pad }, { "cls_token", &o->r.t->vocab.cls }, { "sep_token", &o->r.t->vocab.sep },
        { "mask_token", &o->r.t->vocab.mask },
    };
    mt_tape j;
    if (text.n == 0) return MOTE_OK;
    MT_TRY(mt_tape_open(&j, text, name, o->r.t->arena.alloc, o->r.err));
    for (size_t i = 0; i < MT_COUNT(row); i++)
        if (*row[i].id < 0) *row[i].id = named(o, &j, row[i].key);
    mt_tape_close(&j);
    return MOTE_OK;
}

/* ---- opening --------------------------------------------------------------------------------------- */

static mote_status fill(opener *o, const mt_tokenizer_files *f)
{
    mt_tape_reader *r = &o->r;
    mt_tokenizer *t = r->t;
    o->recipe = (mt_recipe){ .is_text = true, .is_strict = true };
    t->vocab = (mt_vocab){ .bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1, .cls = -1, .sep = -1, .mask = -1 };
    if (mt_tape_type_of(&r->json, 0) != MT_TAPE_OBJECT) return fails(o, "not an object");
    MT_TRY(mt_tape_normalizer(r, mt_tape_get(&r->json, 0, "normalizer")));
    MT_TRY(mt_tape_pre_tokenizer(r, mt_tape_get(&r->json, 0, "pre_tokenizer")));
    MT_TRY(mt_tape_post_processor(r, mt_tape_get(&r->json, 0, "post_processor")));
    MT_TRY(mt_tape_decoder(r, mt_tape_get(&r->json, 0, "decoder")));
    MT_TRY(read_model(o));
    MT_TRY(read_added(o));
    for (size_t id = 0; id < o->n_token; id++)
        if (!o->token[id].p) o->token[id] = (mt_str){ "", 0 };
    t->vocab.n_token = o->n_token;
    t->vocab.token = o->token;
    for (size_t i = 0; i < t->n_prefix + t->n_suffix; i++) {
        const int32_t id = i < t->n_prefix ? t->prefix[i] : t->suffix[i - t->n_prefix];
        if ((size_t)id >= o->n_token) return fails(o, "the post-processor puts a token that does not exist");
    }
    MT_TRY(mt_tokenizer_assemble(t, &o->recipe, r->err));
    MT_TRY(read_named(o, f->config, "tokenizer_config.json"));
    MT_TRY(read_named(o, f->special_tokens, "special_tokens_map.json"));
    mt_tokenizer_add_end(t, t->vocab.eos);
    return MOTE_OK;
}

mote_status mt_tokenizer_open_json(mt_tokenizer **out, const mt_tokenizer_files *f, const mote_alloc *alloc,
                                   mote_error *err)
{
    *out = NULL;
    mt_tokenizer *t = mt_tokenizer_new(alloc, 1 << 16, err);
    if (!t) return MOTE_ENOMEM;
    opener o = { .r = { .t = t, .err = err } };
    mote_status status = mt_tape_open(&o.r.json, f->tokenizer, "tokenizer.json", alloc, err);
    if (status == MOTE_OK) status = fill(&o, f);
    mt_tape_close(&o.r.json);
    if (status != MOTE_OK) {
        mt_tokenizer_close(t);
        return status;
    }
    *out = t;
    return MOTE_OK;
}

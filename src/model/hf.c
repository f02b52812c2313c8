/* SPDX-License-Identifier: MIT */
/* hf.c - a Hugging Face folder in our vocabulary: config keys become metadata, tensors get the names of
 * their roles.
 *
 * Everything behind this file sees one kind of source.  What the folder's own config said stays readable
 * behind "config."; tensors that no role wants keep their names and are never bound. */
#include "model/hf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/build.h"

enum { EXTRA_META = 16, MAX_EXPERT = 1024 };

typedef struct translator {
    mt_source *s;
    const mt_hf_family *f;
    const char *path;
    mt_topology topology;
    mt_meta *meta;  size_t n_meta, cap_meta;
    mt_tensor *tensor;  size_t n_tensor;
    mote_error *err;
} translator;

static mote_status no_memory(const translator *t)
{
    MT_FAIL(t->err, MOTE_ENOMEM, "%s: no memory to read the configuration", t->path);
}

/* ---- which family -------------------------------------------------------- */

/* Whether `word` is one of those between bars. */
static bool is_among(const char *list, mt_str word)
{
    while (*list) {
        const size_t n = strcspn(list, "|");
        if (n == word.n && memcmp(list, word.p, n) == 0) return true;
        list += n + (list[n] == '|');
    }
    return false;
}

static mote_status check_class(const translator *t)
{
    const mt_meta *m = mt_source_meta(t->s, "architectures");
    if (!m || m->type != MT_META_ARRAY || !m->strings || m->n == 0 || is_among(t->f->classes, m->strings[0]))
        return MOTE_OK;
    MT_FAIL(t->err, MOTE_EUNSUPPORTED, "%s: architecture %.*s cannot be run; of model_type %s known are %s", t->path,
            (int)MT_MIN(m->strings[0].n, 40), m->strings[0].p, t->f->model_type, t->f->classes);
}

static mote_status find_family(translator *t)
{
    char known[160] = "";
    size_t at = 0;
    mt_str name;
    if (!mt_meta_str(t->s, "model_type", &name))
        MT_FAIL(t->err, MOTE_EFORMAT, "%s: config.json has no model_type", t->path);
    for (size_t i = 0; i < mt_hf_n_family; i++) {
        t->f = &mt_hf_families[i];
        if (mt_str_is(name, t->f->model_type)) return check_class(t);
        if (at < sizeof known) at += (size_t)snprintf(known + at, sizeof known - at, " %s", t->f->model_type);
    }
    MT_FAIL(t->err, MOTE_EUNSUPPORTED, "%s: model_type \"%.*s\" cannot be run; known are%s", t->path,
            (int)MT_MIN(name.n, 40), name.p, known);
}

/* ---- metadata ------------------------------------------------------------ */

/* A new key with room for its value; NULL: no memory. */
static mt_meta *add(translator *t, const char *prefix, const char *key)
{
    char name[160];
    snprintf(name, sizeof name, "%s%s", prefix, key);
    const char *copy = mt_arena_string(&t->s->arena, mt_str_of(name));
    if (!copy || t->n_meta == t->cap_meta) return NULL;
    mt_meta *m = &t->meta[t->n_meta++];
    *m = (mt_meta){ .key = copy, .n = 1 };
    return m;
}

static mote_status add_string(translator *t, const char *prefix, const char *key, mt_str value)
{
    mt_meta *m = add(t, prefix, key);
    if (!m) return no_memory(t);
    m->type = MT_META_STRING;
    m->value.s = value;
    return MOTE_OK;
}

static mote_status add_number(translator *t, const char *prefix, const char *key, mt_hf_type type, double v)
{
    mt_meta *m = add(t, prefix, key);
    if (!m) return no_memory(t);
    switch (type) {
    case MT_HF_INT:
        m->type = MT_META_U32;
        m->value.u = (uint32_t)v;
        break;
    case MT_HF_FLOAT:
        m->type = MT_META_F32;
        m->value.f = (double)(float)v;
        break;
    case MT_HF_BOOL:
        m->type = MT_META_BOOL;
        m->value.b = v != 0;
        break;
    case MT_HF_WORD: break;
    }
    return MOTE_OK;
}

/* A number of any kind, or true and false as 1 and 0. */
static bool number_of(const mt_meta *m, double *out)
{
    switch (m->type) {
    case MT_META_I64: *out = (double)m->value.i; return true;
    case MT_META_U64: *out = (double)m->value.u; return true;
    case MT_META_F64: *out = m->value.f; return true;
    case MT_META_BOOL: *out = m->value.b; return true;
    default: return false;
    }
}

/* The first of the keys between bars that the config has. */
static const mt_meta *look_up(const translator *t, const char *keys)
{
    char key[96];
    while (*keys) {
        const size_t n = strcspn(keys, "|");
        if (n < sizeof key) {
            memcpy(key, keys, n);
            key[n] = 0;
            const mt_meta *m = mt_source_meta(t->s, key);
            if (m) return m;
        }
        keys += n + (keys[n] == '|');
    }
    return NULL;
}

static mote_status wrong_type(const translator *t, const mt_meta *m, const char *wanted)
{
    MT_FAIL(t->err, MOTE_EFORMAT, "%s: config.json: %.64s has the wrong type, expected %s", t->path, m->key, wanted);
}

static mote_status translate_word(translator *t, const mt_hf_key *k, const mt_meta *m, const char *prefix)
{
    if (m->type != MT_META_STRING) return wrong_type(t, m, "a string");
    mt_str word = m->value.s;
    for (const mt_hf_word *w = mt_hf_words; w->theirs; w++)
        if (mt_str_is(word, w->theirs)) {
            word = mt_str_of(w->ours);
            break;
        }
    return add_string(t, prefix, k->to, word);   /* a word we lack is refused where it is understood */
}

static mote_status translate_key(translator *t, const mt_hf_key *k, const char *prefix)
{
    const mt_meta *m = look_up(t, k->from), *times = NULL;
    double v = k->absent, factor = 1;
    if (m && k->type == MT_HF_WORD) return translate_word(t, k, m, prefix);
    if (!m && k->times) times = look_up(t, k->times);
    if (m && !number_of(m, &v)) return wrong_type(t, m, k->type == MT_HF_BOOL ? "true or false" : "a number");
    if (times && !number_of(times, &factor)) return wrong_type(t, times, "a number");
    v *= factor;
    if (isnan(v)) return MOTE_OK;
    if (k->type == MT_HF_INT && !(v >= 0 && v <= (double)UINT32_MAX && v == floor(v)))
        MT_FAIL(t->err, MOTE_EFORMAT, "%s: config.json: %.64s is %.9g, expected an integer of 0 to %u", t->path,
                m ? m->key : k->to, v, UINT32_MAX);
    return add_number(t, prefix, k->to, k->type, v);
}

/* Which layers look back over a window only: all, those that layer_types names, or those from
 * max_window_layers on. */
static mote_status translate_window(translator *t, const char *prefix)
{
    const mt_meta *m = mt_source_meta(t->s, "sliding_window"), *words = mt_source_meta(t->s, "layer_types");
    double window = 0, n_layer = 0, from = 0;
    bool is_used = t->f->windows;
    mt_meta_bool(t->s, "use_sliding_window", &is_used);
    if (!is_used || !m || !number_of(m, &window) || !(window >= 1 && window <= 1 << 24)) return MOTE_OK;
    m = look_up(t, "num_hidden_layers");
    if (!m || !number_of(m, &n_layer) || !(n_layer >= 1 && n_layer <= MT_MAX_LAYER)) return MOTE_OK;   /* refused later */
    m = mt_source_meta(t->s, "max_window_layers");
    if (m) number_of(m, &from);
    const bool has_words = words && words->strings && words->n == (size_t)n_layer;
    uint8_t *raw = mt_arena_push_n(&t->s->arena, (size_t)n_layer, 4);
    mt_meta *out = add(t, prefix, "attention.sliding_window");
    if (!raw || !out) return no_memory(t);
    for (int i = 0; i < (int)n_layer; i++) {
        const bool slides = has_words ? mt_str_is(words->strings[i], "sliding_attention") : i >= from;
        const uint32_t v = slides ? (uint32_t)window : 0;
        for (int b = 0; b < 4; b++) raw[4 * i + b] = (uint8_t)(v >> 8 * b);
    }
    out->type = MT_META_ARRAY, out->item = MT_META_U32, out->n = (size_t)n_layer, out->raw = raw;
    return MOTE_OK;
}

/* attention_factor replaces what YaRN works out from the factor, which attn_factor only scales. */
static mote_status translate_yarn(translator *t, const char *prefix)
{
    const mt_meta *m = look_up(t, "rope_scaling.attention_factor|rope_parameters.attention_factor");
    const mt_meta *f = look_up(t, "rope_scaling.factor|rope_parameters.factor");
    double attention, factor;
    if (!m || !f || !number_of(m, &attention) || !number_of(f, &factor)) return MOTE_OK;
    return add_number(t, prefix, "rope.scaling.attn_factor", MT_HF_FLOAT, attention / (1 + 0.1 * log(fmax(factor, 1))));
}

/* Whether the row before the head is scaled is said by tie_word_embeddings, by now apart from the tie. */
static mote_status translate_head(translator *t, const char *prefix)
{
    const mt_meta *width = mt_source_meta(t->s, "d_model");
    bool is_scaled = t->f->is_tied;
    double n;
    if (!t->f->scales_head || !width || !number_of(width, &n) || !(n >= 1)) return MOTE_OK;
    mt_meta_bool(t->s, "tie_word_embeddings", &is_scaled);
    mt_meta_bool(t->s, "scale_decoder_outputs", &is_scaled);
    return add_number(t, prefix, "logit_scale", MT_HF_FLOAT, is_scaled ? 1 / sqrt(n) : 1);
}

/* A sentence encoder says beside its config how token rows become one. */
static mote_status translate_pooling(translator *t, const char *prefix)
{
    const mt_str s = mt_source_file(t->s, "1_Pooling/config.json");
    static const struct { const char *word; int kind; } kinds[] = {
        { "\"pooling_mode_mean_tokens\": true", 1 }, { "\"pooling_mode_cls_token\": true", 2 },
    };
    for (size_t k = 0; k < MT_COUNT(kinds); k++) {
        const size_t n = strlen(kinds[k].word);
        for (size_t i = 0; i + n <= s.n; i++)
            if (memcmp(s.p + i, kinds[k].word, n) == 0)
                return add_number(t, prefix, "pooling_type", MT_HF_INT, kinds[k].kind);
    }
    return MOTE_OK;
}

/* "SmolLM2-135M" of .../models--HuggingFaceTB--SmolLM2-135M/snapshots/HASH or of .../SmolLM2-135M. */
static mt_str folder_name(const char *path)
{
    const char *hub = strstr(path, "models--");
    for (const char *next = hub; next; next = strstr(next + 1, "--")) hub = next;
    mt_str s = mt_str_of(hub ? hub + 2 : path);
    if (hub) s.n = strcspn(s.p, "/");
    while (s.n > 1 && s.p[s.n - 1] == '/') s.n--;
    for (size_t i = s.n; i-- > 0;)
        if (s.p[i] == '/') return (mt_str){ s.p + i + 1, s.n - i - 1 };
    return s;
}

static mote_status translate_sampling(translator *t)
{
    static const mt_hf_key keys[] = {
        { "temp", MT_HF_FLOAT, "generation.temperature", NAN, NULL },
        { "top_k", MT_HF_INT, "generation.top_k", NAN, NULL },
        { "top_p", MT_HF_FLOAT, "generation.top_p", NAN, NULL },
        { "min_p", MT_HF_FLOAT, "generation.min_p", NAN, NULL },
        { "penalty_repeat", MT_HF_FLOAT, "generation.repetition_penalty", NAN, NULL },
    };
    bool samples = false;
    if (!mt_meta_bool(t->s, "generation.do_sample", &samples) || !samples) return MOTE_OK;
    for (size_t i = 0; i < MT_COUNT(keys); i++) MT_TRY(translate_key(t, &keys[i], "general.sampling."));
    return MOTE_OK;
}

static mote_status translate_keys(translator *t)
{
    char prefix[32];
    size_t n = EXTRA_META + t->s->n_meta;
    for (int g = 0; g < MT_HF_GROUPS && t->f->key[g]; g++)
        for (const mt_hf_key *k = t->f->key[g]; k->to; k++) n++;
    t->cap_meta = n;
    t->meta = mt_arena_push_n(&t->s->arena, n, sizeof *t->meta);
    if (!t->meta) return no_memory(t);
    snprintf(prefix, sizeof prefix, "%s.", t->f->family);
    MT_TRY(add_string(t, "general.", "architecture", mt_str_of(t->f->family)));
    MT_TRY(add_string(t, "general.", "name", folder_name(t->s->path)));
    const mt_meta *licence = mt_source_meta(t->s, "readme.license");
    if (licence && licence->type == MT_META_STRING)
        MT_TRY(add_string(t, "general.", "license", licence->value.s));
    MT_TRY(translate_sampling(t));
    for (int g = 0; g < MT_HF_GROUPS && t->f->key[g]; g++)
        for (const mt_hf_key *k = t->f->key[g]; k->to; k++) MT_TRY(translate_key(t, k, prefix));
    MT_TRY(translate_window(t, prefix));
    MT_TRY(translate_yarn(t, prefix));
    MT_TRY(translate_head(t, prefix));
    MT_TRY(translate_pooling(t, prefix));
    for (size_t i = 0; i < t->s->n_meta; i++) {
        const mt_meta *from = &t->s->meta[i];
        const bool is_own = strncmp(from->key, "generation.", 11) == 0;  /* says itself where it comes from */
        mt_meta *m = add(t, is_own ? "" : "config.", from->key);
        if (!m) return no_memory(t);
        const char *key = m->key;
        *m = *from;
        m->key = key;
    }
    return MOTE_OK;
}

/* ---- tensor names -------------------------------------------------------- */

typedef struct match { const mt_hf_name *name; int layer, expert; bool is_bias; } match;

static bool read_number(const char **p, int *out)
{
    int v = 0, n = 0;
    while (**p >= '0' && **p <= '9' && n++ < 5) v = 10 * v + (*(*p)++ - '0');
    *out = v;
    return n > 0;
}

/* Whether `name` is the pattern with its numbers, and what follows is the suffix of a kind. */
static bool fits(const mt_hf_name *row, const char *name, match *m)
{
    *m = (match){ row, -1, -1, false };
    for (const char *p = row->name; *p; p++) {
        if (*p == '#') {
            if (!read_number(&name, &m->layer)) return false;
        } else if (*p == '@') {
            if (!read_number(&name, &m->expert)) return false;
        } else if (*p != *name++) return false;
    }
    if (row->is_bare) return *name == 0;
    m->is_bias = strcmp(name, ".bias") == 0 || strcmp(name, ".beta") == 0;
    return m->is_bias || strcmp(name, ".weight") == 0 || strcmp(name, ".gamma") == 0;
}

static bool find_role(const translator *t, const char *name, match *m)
{
    const size_t n = strlen(t->f->prefix);
    if (strncmp(name, t->f->prefix, n) == 0) name += n;
    for (int g = 0; g < MT_HF_GROUPS && t->f->name[g]; g++)
        for (const mt_hf_name *row = t->f->name[g]; row->name; row++)
            if (fits(row, name, m)) return true;
    return false;
}

/* ---- tensors ------------------------------------------------------------- */

static int64_t meta_number(const translator *t, const char *key)
{
    char name[96];
    int64_t v = 0;
    snprintf(name, sizeof name, "%s.%s", t->f->family, key);
    for (size_t i = 0; i < t->n_meta; i++)
        if (strcmp(t->meta[i].key, name) == 0) v = (int64_t)t->meta[i].value.u;
    return v;
}

/* All experts of one role and layer, found again by name. */
static mote_status stack_experts(translator *t, const match *m, mt_tensor *out)
{
    const int64_t n = meta_number(t, "expert_count");
    const mt_tensor *of[MAX_EXPERT];
    if (n < 1 || n > MAX_EXPERT)
        MT_FAIL(t->err, MOTE_EFORMAT, "%s: config.json names %lld experts, expected 1 to %d", t->path, (long long)n,
                (int)MAX_EXPERT);
    int found = 0;
    for (int64_t e = 0; e < n; e++) of[e] = NULL;
    for (size_t i = 0; i < t->s->n_tensor; i++) {
        match other;
        if (!find_role(t, t->s->tensor[i].name, &other)) continue;
        if (other.name != m->name || other.layer != m->layer || other.is_bias || other.expert >= n) continue;
        of[other.expert] = &t->s->tensor[i], found++;
    }
    for (int64_t e = 0; e < n; e++)
        if (!of[e]) MT_FAIL(t->err, MOTE_EFORMAT, "%s: %d of %lld experts are there of %s", t->path, found, (long long)n,
                            m->name->name);
    return mt_hf_stack(out, of, (int)n, &t->s->arena, t->err);
}

static mote_status turn(translator *t, const match *m, const mt_tensor *from, mt_tensor *out)
{
    const char *const count = m->name->turn == MT_HF_HALF_Q ? "attention.head_count" : "attention.head_count_kv";
    switch (m->name->turn) {
    case MT_HF_HALF_Q:
    case MT_HF_HALF_K:
        return mt_hf_pair_heads(out, from, (int)meta_number(t, count), &t->s->arena, t->err);
    case MT_HF_ACROSS:
        if (!m->is_bias) return mt_hf_across(out, from, t->err);
        break;
    case MT_HF_EXPERT: return stack_experts(t, m, out);
    case MT_HF_AS_IS: break;
    }
    const char *name = out->name;
    *out = *from;
    out->name = name;
    return MOTE_OK;
}

/* Dimensions of one, as in (1, 1, n), say nothing. */
static void squeeze(mt_tensor *t)
{
    t->n_dim = MT_MAX_DIM;
    while (t->n_dim > 1 && t->ne[t->n_dim - 1] == 1) t->n_dim--;
}

/* Whether a head is the embedding once more: a checkpoint may store what its config calls tied. */
static bool is_embedding(const translator *t, const mt_tensor *head)
{
    bool is_tied = t->f->is_tied;
    mt_meta_bool(t->s, "tie_word_embeddings", &is_tied);
    for (size_t i = 0; is_tied && i < t->s->n_tensor; i++) {
        const mt_tensor *e = &t->s->tensor[i];
        match m;
        if (!find_role(t, e->name, &m) || m.name->role != MT_W_TOK_EMBD) continue;
        return e->type == head->type && memcmp(e->ne, head->ne, sizeof e->ne) == 0 && e->data && head->data &&
               (e->data == head->data || memcmp(e->data, head->data, e->bytes) == 0);
    }
    return false;
}

static mote_status translate_tensor(translator *t, const mt_tensor *from)
{
    char name[MT_NAME_MAX];
    match m;
    mt_tensor *out = &t->tensor[t->n_tensor];
    if (!find_role(t, from->name, &m)) {
        t->tensor[t->n_tensor++] = *from;
        return MOTE_OK;
    }
    if (m.name->role == MT_W_HEAD && !m.is_bias && is_embedding(t, from)) return MOTE_OK;
    if (m.expert > 0) return MOTE_OK;                                          /* goes with the first of its layer */
    mt_weight_name(name, t->topology, m.name->stack, m.name->role, m.layer, m.is_bias);
    out->name = mt_arena_string(&t->s->arena, mt_str_of(name));
    if (!out->name) return no_memory(t);
    MT_TRY(turn(t, &m, from, out));
    squeeze(out);
    t->n_tensor++;
    return MOTE_OK;
}

static mote_status translate_tensors(translator *t)
{
    t->tensor = mt_arena_push_n(&t->s->arena, MT_MAX(t->s->n_tensor, 1), sizeof *t->tensor);
    if (!t->tensor) return no_memory(t);
    for (size_t i = 0; i < t->s->n_tensor; i++) MT_TRY(translate_tensor(t, &t->s->tensor[i]));
    return MOTE_OK;
}

mote_status mt_translate(mt_source *s, mote_error *err)
{
    translator t = { .s = s, .path = mt_path_end(s->path), .err = err };
    MT_TRY(find_family(&t));
    t.topology = mt_family_topology(t.f->family);
    MT_TRY(translate_keys(&t));
    MT_TRY(translate_tensors(&t));
    s->meta = t.meta, s->n_meta = t.n_meta;
    s->tensor = t.tensor, s->n_tensor = t.n_tensor;
    s->is_foreign = false;
    return mt_source_index(s, err);
}

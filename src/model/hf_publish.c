/* SPDX-License-Identifier: MIT */
/* hf_publish.c - the way back: a source in our vocabulary as its publisher would write it.
 *
 * The same tables as hf.c, read from here to there: each key gets the first name that a config.json has
 * for it, each role's tensor the publisher's name and order of rows.  A key or tensor that the tables do
 * not know is left out, and a caller who wants it has to say so. */
#include "model/hf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/build.h"

enum { EXTRA_META = 16, NAME_MAX_ = 160 };

typedef struct publisher {
    mt_source *s;
    const mt_hf_family *f;
    const char *path;
    mt_topology topology;
    mt_meta *meta;  size_t n_meta, cap_meta;
    mt_tensor *tensor;  size_t n_tensor, cap_tensor;
    int expert_count;
    mote_error *err;
} publisher;

static mote_status no_memory(const publisher *p)
{
    MT_FAIL(p->err, MOTE_ENOMEM, "%s: no memory to write its configuration", p->path);
}

static const mt_meta *own(const publisher *p, const char *key)
{
    char name[NAME_MAX_];
    snprintf(name, sizeof name, "%s.%s", p->f->family, key);
    return mt_source_meta(p->s, name);
}

static int64_t own_number(const publisher *p, const char *key, int64_t absent)
{
    char name[NAME_MAX_];
    int64_t v = absent;
    snprintf(name, sizeof name, "%s.%s", p->f->family, key);
    mt_meta_int(p->s, name, &v);
    return v;
}

/* Several rows may stand for one family of ours: the first that knows every trait of this model. */
static mote_status find_row(publisher *p)
{
    mt_str family = { "", 0 };
    mt_meta_str(p->s, "general.architecture", &family);
    const mt_hf_family *best = NULL;
    for (size_t i = 0; i < mt_hf_n_family; i++) {
        p->f = &mt_hf_families[i];
        if (!mt_str_is(family, p->f->family)) continue;
        const bool has_experts = own_number(p, "expert_count", 0) > 0, knows_experts = p->f->key[2] != NULL;
        const bool slides = own(p, "attention.sliding_window") != NULL;
        if (has_experts == knows_experts && (!slides || p->f->windows || !best)) best = p->f;
        if (best && best->windows == slides) break;
    }
    if (!best)
        MT_FAIL(p->err, MOTE_EUNSUPPORTED, "%s: family \"%.*s\" has no Hugging Face form here", p->path,
                (int)MT_MIN(family.n, 40), family.p);
    p->f = best;
    return MOTE_OK;
}

/* ---- config.json --------------------------------------------------------- */

static mt_meta *add(publisher *p, mt_str key)
{
    const char *copy = mt_arena_string(&p->s->arena, key);
    if (!copy || p->n_meta == p->cap_meta) return NULL;
    mt_meta *m = &p->meta[p->n_meta++];
    *m = (mt_meta){ .key = copy, .n = 1 };
    return m;
}

static mote_status add_word(publisher *p, const char *key, mt_str value)
{
    mt_meta *m = add(p, mt_str_of(key));
    if (!m) return no_memory(p);
    m->type = MT_META_STRING;
    m->value.s = value;
    return MOTE_OK;
}

/* gated-gelu where the model has a gate: T5 says both in one word. */
static const char *their_word(const publisher *p, mt_str ours, const char *key)
{
    const bool joins = strstr(key, "feed_forward_proj") != NULL;
    const bool is_gated = joins && mt_source_tensor(p->s, "enc.blk.0.ffn_gate.weight") != NULL;
    for (const mt_hf_word *w = mt_hf_words; w->theirs; w++)
        if (mt_str_is(ours, w->ours) && (strncmp(w->theirs, "gated-", 6) == 0) == is_gated) return w->theirs;
    return NULL;
}

static mote_status publish_key(publisher *p, const mt_hf_key *k)
{
    const mt_meta *from = own(p, k->to);
    if (!from || from->type == MT_META_ARRAY) return MOTE_OK;
    if (strncmp(k->to, "rope.scaling.", 13) == 0 && !own(p, "rope.scaling.type")) return MOTE_OK;
    const char *last = strrchr(k->from, '|');    /* the oldest name of feed_forward_proj, the first of others */
    const bool joins = last && strcmp(last + 1, "feed_forward_proj") == 0;
    const char *key = joins ? last + 1 : k->from;
    const size_t n = strcspn(key, "|");
    for (size_t i = 0; i < p->n_meta; i++)       /* one of theirs may be two of ours */
        if (strlen(p->meta[i].key) == n && strncmp(p->meta[i].key, key, n) == 0) return MOTE_OK;
    mt_meta *m = add(p, (mt_str){ key, n });
    if (!m) return no_memory(p);
    const char *name = m->key;
    *m = *from;
    m->key = name;
    if (k->type != MT_HF_WORD) return MOTE_OK;
    const char *word = from->type == MT_META_STRING ? their_word(p, from->value.s, key) : NULL;
    if (word) m->value.s = mt_str_of(word);
    return MOTE_OK;
}

/* One window for every layer is all that this form can say. */
static mote_status publish_window(publisher *p)
{
    const mt_meta *from = own(p, "attention.sliding_window");
    if (!from) return MOTE_OK;
    int64_t window = 0;
    if (from->type != MT_META_ARRAY) window = own_number(p, "attention.sliding_window", 0);
    for (size_t i = 0; from->type == MT_META_ARRAY && i < from->n; i++) {
        const int64_t v = mt_meta_item_int(from, i);
        if (i > 0 && v != window)
            MT_FAIL(p->err, MOTE_EUNSUPPORTED, "%s: windows of %lld and %lld positions cannot be written to config.json",
                    p->path, (long long)window, (long long)v);
        window = v;
    }
    if (window == 0) return MOTE_OK;
    mt_meta *m = add(p, mt_str_of("sliding_window"));
    if (!m) return no_memory(p);
    m->type = MT_META_I64;
    m->value.i = window;
    if (p->f->windows) return MOTE_OK;
    m = add(p, mt_str_of("use_sliding_window"));
    if (!m) return no_memory(p);
    m->type = MT_META_BOOL;
    m->value.b = true;
    return MOTE_OK;
}

/* Which tokens begin and end a text. */
static mote_status publish_tokens(publisher *p)
{
    static const char *const keys[][2] = {
        { "tokenizer.ggml.bos_token_id", "bos_token_id" }, { "tokenizer.ggml.eos_token_id", "eos_token_id" },
        { "tokenizer.ggml.padding_token_id", "pad_token_id" },
    };
    int64_t id;
    for (size_t i = 0; i < MT_COUNT(keys); i++) {
        if (!mt_meta_int(p->s, keys[i][0], &id)) continue;
        mt_meta *m = add(p, mt_str_of(keys[i][1]));
        if (!m) return no_memory(p);
        m->type = MT_META_I64;
        m->value.i = id;
    }
    return MOTE_OK;
}

/* Divisors as the four numbers of Llama 3. */
static mote_status publish_divisors(publisher *p)
{
    mt_hf_scaling r;
    MT_TRY(mt_hf_rope_from_divisors(p->s, p->f->family, &r, p->err));
    if (!r.is_set) return MOTE_OK;
    const struct { const char *key; double v; } numbers[] = {
        { "rope_scaling.factor", r.factor }, { "rope_scaling.low_freq_factor", r.low },
        { "rope_scaling.high_freq_factor", r.high },
    };
    MT_TRY(add_word(p, "rope_scaling.rope_type", mt_str_of("llama3")));
    for (size_t i = 0; i < MT_COUNT(numbers); i++) {
        mt_meta *m = add(p, mt_str_of(numbers[i].key));
        if (!m) return no_memory(p);
        m->type = MT_META_F64;
        m->value.f = numbers[i].v;
    }
    mt_meta *m = add(p, mt_str_of("rope_scaling.original_max_position_embeddings"));
    if (!m) return no_memory(p);
    m->type = MT_META_I64;
    m->value.i = (int64_t)r.context;
    return MOTE_OK;
}

static mote_status publish_keys(publisher *p)
{
    size_t n = EXTRA_META;
    for (int g = 0; g < MT_HF_GROUPS && p->f->key[g]; g++)
        for (const mt_hf_key *k = p->f->key[g]; k->to; k++) n++;
    p->cap_meta = n;
    p->meta = mt_arena_push_n(&p->s->arena, n, sizeof *p->meta);
    mt_str *class_name = mt_arena_push_zero(&p->s->arena, sizeof *class_name);
    if (!p->meta || !class_name) return no_memory(p);
    *class_name = (mt_str){ p->f->classes, strcspn(p->f->classes, "|") };
    mt_meta *m = add(p, mt_str_of("architectures"));
    if (!m) return no_memory(p);
    m->type = MT_META_ARRAY, m->item = MT_META_STRING, m->strings = class_name;
    MT_TRY(add_word(p, "model_type", mt_str_of(p->f->model_type)));
    m = add(p, mt_str_of("tie_word_embeddings"));
    if (!m) return no_memory(p);
    double scale = 0;
    const mt_meta *scaled = own(p, "logit_scale");
    if (scaled) scale = scaled->value.f;
    m->type = MT_META_BOOL;
    m->value.b = p->f->scales_head && scaled ? scale != 1
                                             : !mt_has_tensor(p->s, p->topology, MT_DEC, MT_W_HEAD, -1, false);
    for (int g = 0; g < MT_HF_GROUPS && p->f->key[g]; g++)
        for (const mt_hf_key *k = p->f->key[g]; k->to; k++) MT_TRY(publish_key(p, k));
    MT_TRY(publish_tokens(p));
    MT_TRY(publish_divisors(p));
    return publish_window(p);
}

/* ---- tensors ------------------------------------------------------------- */

static void print_name(char out[NAME_MAX_], const publisher *p, const mt_hf_name *row, int layer, int expert, bool is_bias)
{
    const bool is_end = row->role == MT_W_HEAD;
    int at = snprintf(out, NAME_MAX_, "%s", is_end ? "" : p->f->prefix);
    for (const char *c = row->name; *c && at < NAME_MAX_ - 16; c++) {
        if (*c == '#') at += snprintf(out + at, NAME_MAX_ - (size_t)at, "%d", layer);
        else if (*c == '@') at += snprintf(out + at, NAME_MAX_ - (size_t)at, "%d", expert);
        else out[at++] = *c;
    }
    out[at] = 0;
    if (!row->is_bare) snprintf(out + at, NAME_MAX_ - (size_t)at, is_bias ? ".bias" : ".weight");
}

static mote_status turn_back(publisher *p, const mt_hf_name *row, const mt_tensor *from, int expert, bool is_bias,
                             mt_tensor *out)
{
    const int64_t n_head = own_number(p, "attention.head_count", 0);
    const int64_t n_kv = own_number(p, "attention.head_count_kv", n_head);
    switch (row->turn) {
    case MT_HF_HALF_Q: return mt_hf_halve_heads(out, from, (int)n_head, &p->s->arena, p->err);
    case MT_HF_HALF_K: return mt_hf_halve_heads(out, from, (int)n_kv, &p->s->arena, p->err);
    case MT_HF_ACROSS:
        if (!is_bias) return mt_hf_across(out, from, p->err);
        break;
    case MT_HF_EXPERT: return mt_hf_unstack(out, from, expert, &p->s->arena, p->err);
    case MT_HF_AS_IS: break;
    }
    const char *name = out->name;
    *out = *from;
    out->name = name;
    return MOTE_OK;
}

static mote_status publish_tensor(publisher *p, const mt_hf_name *row, int layer, bool is_bias)
{
    char name[NAME_MAX_], ours[MT_NAME_MAX];
    mt_weight_name(ours, p->topology, row->stack, row->role, layer, is_bias);
    const mt_tensor *from = mt_source_tensor(p->s, ours);
    if (!from) return MOTE_OK;
    const int n = row->turn == MT_HF_EXPERT ? (int)from->ne[2] : 1;
    for (int expert = 0; expert < n; expert++) {
        mt_tensor *out = &p->tensor[p->n_tensor];
        if (p->n_tensor == p->cap_tensor) return no_memory(p);
        print_name(name, p, row, layer, expert, is_bias);
        out->name = mt_arena_string(&p->s->arena, mt_str_of(name));
        if (!out->name) return no_memory(p);
        MT_TRY(turn_back(p, row, from, expert, is_bias, out));
        p->n_tensor++;
    }
    return MOTE_OK;
}

/* wi where there is no gate, wi_1 where there is: of names for one role the one that belongs. */
static bool belongs(const publisher *p, const mt_hf_name *row)
{
    const size_t n = strlen(row->name);
    const bool is_gated = mt_source_tensor(p->s, "enc.blk.0.ffn_gate.weight") != NULL;
    if (row->role != MT_W_FFN_UP || p->topology != MT_TOPO_ENCDEC || n < 2) return true;
    return (strcmp(row->name + n - 2, "_1") == 0) == is_gated;
}

static mote_status publish_tensors(publisher *p)
{
    const int n_layer = (int)MT_MAX(own_number(p, "block_count", 0), own_number(p, "decoder_block_count", 0));
    p->cap_tensor = p->s->n_tensor * (size_t)MT_MAX(own_number(p, "expert_count", 1), 1);
    p->tensor = mt_arena_push_n(&p->s->arena, MT_MAX(p->cap_tensor, 1), sizeof *p->tensor);
    if (!p->tensor) return no_memory(p);
    for (int g = 0; g < MT_HF_GROUPS && p->f->name[g]; g++)
        for (const mt_hf_name *row = p->f->name[g]; row->name; row++) {
            const bool is_inside = strchr(row->name, '#') != NULL;
            for (int layer = is_inside ? 0 : -1; belongs(p, row) && layer < (is_inside ? n_layer : 0); layer++)
                for (int bias = 0; bias < 2; bias++)
                    if (!bias || !row->is_bare) MT_TRY(publish_tensor(p, row, layer, bias != 0));
        }
    return MOTE_OK;
}

mote_status mt_publish(mt_source *s, mote_error *err)
{
    publisher p = { .s = s, .path = mt_path_end(s->path), .err = err };
    MT_TRY(find_row(&p));
    p.topology = mt_family_topology(p.f->family);
    MT_TRY(publish_keys(&p));
    MT_TRY(publish_tensors(&p));
    s->meta = p.meta, s->n_meta = p.n_meta;
    s->tensor = p.tensor, s->n_tensor = p.n_tensor;
    s->is_foreign = true;
    return mt_source_index(s, err);
}

/* SPDX-License-Identifier: MIT */
/* families.c - the table of families: metadata in, spec out.
 *
 * A family is one row: what its name fixes (`base`) and a few traits that the presence of a
 * tensor decides.  What the metadata says is read by one table of keys for all families, each
 * with its type, limits and default; a row decides by its traits which keys apply.  Keys are
 * written as in GGUF, behind the family's name.  Nothing outside this file knows a family's
 * name. */
#include "model/build.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- families ------------------------------------------------------------ */

typedef struct family {
    const char *name;                /* general.architecture */
    mt_spec base;                    /* what no key says */
    mt_act_kind gated_act;           /* not NONE: a gate tensor makes the FFN a GLU with this */
    bool scales_tied_head;           /* a tied head sees the hidden row times n_embd^-1/2 */
} family;

static const family llama = {
    .name = "llama",
    .base = { .topology = MT_TOPO_DECODER, .norm = MT_NORM_RMS, .rope = MT_ROPE_PAIR,
              .ffn = MT_FFN_GLU, .act = MT_ACT_SILU, .dec = { .has_final_norm = true },
              .expert_renorm = true },
};
static const family qwen2 = {
    .name = "qwen2",
    .base = { .topology = MT_TOPO_DECODER, .norm = MT_NORM_RMS, .rope = MT_ROPE_HALF,
              .has_bias_q = true, .ffn = MT_FFN_GLU, .act = MT_ACT_SILU,
              .dec = { .has_final_norm = true }, .expert_renorm = true },
};
static const family gpt2 = {
    .name = "gpt2",
    .base = { .topology = MT_TOPO_DECODER, .norm = MT_NORM_LAYER, .pos = MT_POS_LEARNED,
              .qkv_fused = true, .has_bias_q = true, .has_bias_o = true, .has_bias_ffn = true,
              .ffn = MT_FFN_MLP, .act = MT_ACT_GELU_TANH, .dec = { .has_final_norm = true } },
};
static const family bert = {
    .name = "bert",
    .base = { .topology = MT_TOPO_ENCODER, .norm = MT_NORM_LAYER, .residual = MT_RES_POST,
              .pos = MT_POS_LEARNED, .has_embd_norm = true, .has_bias_q = true,
              .has_bias_o = true, .has_bias_ffn = true, .ffn = MT_FFN_MLP,
              .act = MT_ACT_GELU_ERF, .enc = { .mask = MT_MASK_FULL } },
};
static const family t5 = {
    .name = "t5",
    .base = { .topology = MT_TOPO_ENCDEC, .norm = MT_NORM_RMS, .attn_scale = 1,
              .bias_fn = MT_BIAS_T5, .max_distance = 128, .ffn = MT_FFN_MLP, .act = MT_ACT_RELU,
              .enc = { .mask = MT_MASK_FULL, .has_final_norm = true },
              .dec = { .has_cross = true, .has_final_norm = true } },
    .gated_act = MT_ACT_GELU_TANH,
    .scales_tied_head = true,
};
static const family rwkv4 = {
    .name = "rwkv4",
    .base = { .topology = MT_TOPO_RWKV4, .norm = MT_NORM_LAYER, .has_embd_norm = true,
              .ffn = MT_FFN_MLP, .act = MT_ACT_RELU2, .dec = { .has_final_norm = true } },
};

#define FAMILIES(X) X(llama) X(qwen2) X(gpt2) X(bert) X(t5) X(rwkv4)
#define ROW(name)  &name,
#define NAME(name) #name,
static const family *const families[] = { FAMILIES(ROW) };
static const char *const family_names[] = { FAMILIES(NAME) NULL };

const char *const *mt_family_names(void) { return family_names; }

mt_topology mt_family_topology(const char *name)
{
    size_t i = 0;
    while (i + 1 < MT_COUNT(families) && strcmp(families[i]->name, name) != 0) i++;
    return families[i]->base.topology;
}

/* ---- keys ---------------------------------------------------------------- */

enum trait {                         /* what a family must have for a key to apply; ANY: nothing */
    ANY = 0, ATTENTION = 1, RECURRENT = 2, ROPE = 4, RMS = 8, LAYER = 16, EXPERTS = 32, BUCKETS = 64,
    LOGITS = 128, TWO_STACKS = 256
};
typedef enum key_type {
    KEY_INT, KEY_WHOLE,              /* an integer; into an int, into a double */
    KEY_FLOAT, KEY_DOUBLE,           /* a float; into a float, into a double */
    KEY_BOOL
} key_type;

/* Absent and NEEDED: an error.  Absent and UNSET: the spec keeps what the family's base says; zero there
 * means that a rule below sets it. */
#define NEEDED (-1.0)
#define UNSET  (-2.0)
#define AT(field) offsetof(mt_spec, field)
typedef struct field {
    const char *key;
    key_type type;
    unsigned trait;
    size_t at;                       /* where it goes in the spec */
    double min, max, absent;
} field;

static const field fields[] = {
    { "context_length",                    KEY_INT,    ATTENTION, AT(n_ctx_train),   1, 1 << 24, NEEDED },
    { "context_length",                    KEY_INT,    RECURRENT, AT(n_ctx_train),   1, 1 << 24, UNSET },
    { "embedding_length",                  KEY_INT,    ANY,       AT(n_embd),        1, 65536,   NEEDED },
    { "vocab_size",                        KEY_INT,    ANY,       AT(n_vocab),       1, 1 << 21, UNSET },
    { "attention.key_length",              KEY_INT,    ATTENTION, AT(head_dim),      1, 1024,    UNSET },
    { "attention.value_length",            KEY_INT,    ATTENTION, AT(v_dim),         1, 1024,    UNSET },
    { "attention.layer_norm_rms_epsilon",  KEY_FLOAT,  RMS,       AT(eps),           1e-30, 0.1, NEEDED },
    { "attention.layer_norm_epsilon",      KEY_FLOAT,  LAYER,     AT(eps),           1e-30, 0.1, NEEDED },
    { "attention.scale",                   KEY_FLOAT,  ATTENTION, AT(attn_scale),    1e-6, 1e6,  UNSET },
    { "attention.relative_buckets_count",  KEY_INT,    BUCKETS,   AT(n_bucket),      4, 4096,    NEEDED },
    { "attention.relative_max_distance",   KEY_INT,    BUCKETS,   AT(max_distance),  2, 1 << 20, UNSET },
    { "attention.scale_by_layer",          KEY_BOOL,   ATTENTION, AT(attn_scale_by_layer), 0, 1, UNSET },
    { "attn_logit_softcapping",            KEY_FLOAT,  ATTENTION, AT(attn_softcap),  1e-3, 1e6,  UNSET },
    { "final_logit_softcapping",           KEY_FLOAT,  LOGITS,    AT(logit_softcap), 1e-3, 1e6,  UNSET },
    { "logit_scale",                       KEY_FLOAT,  LOGITS,    AT(logit_scale),   1e-6, 1e6,  UNSET },
    { "embedding_scale",                   KEY_FLOAT,  ANY,       AT(tok_scale),     1e-6, 1e6,  UNSET },
    { "rope.dimension_count",              KEY_INT,    ROPE,      AT(rope_dim),      2, 1024,    UNSET },
    { "rope.freq_base",                    KEY_DOUBLE, ROPE,      AT(rope_theta),    1, 1e12,    10000 },
    { "rope.scaling.factor",               KEY_DOUBLE, ROPE,      AT(rope_factor),   1e-3, 1e6,  UNSET },
    { "rope.scaling.original_context_length", KEY_WHOLE, ROPE,   AT(rope_orig_ctx), 1, 1 << 24, UNSET },
    { "rope.scaling.low_freq_factor",      KEY_DOUBLE, ROPE,      AT(rope_low),      1e-3, 1e6,  1 },
    { "rope.scaling.high_freq_factor",     KEY_DOUBLE, ROPE,      AT(rope_high),     1e-3, 1e6,  4 },
    { "rope.scaling.attn_factor",          KEY_DOUBLE, ROPE,      AT(rope_attn_factor), 1e-3, 1e3, 1 },
    { "rope.scaling.yarn_beta_fast",       KEY_DOUBLE, ROPE,      AT(rope_beta_fast), 1e-3, 1e6, 32 },
    { "rope.scaling.yarn_beta_slow",       KEY_DOUBLE, ROPE,      AT(rope_beta_slow), 1e-3, 1e6, 1 },
    { "expert_count",                      KEY_INT,    EXPERTS,   AT(n_expert),      0, MT_MAX_EXPERT, UNSET },
    { "expert_used_count",                 KEY_INT,    EXPERTS,   AT(n_expert_used), 0, MT_MAX_EXPERT, UNSET },
    { "expert_feed_forward_length",        KEY_INT,    EXPERTS,   AT(d_ff_expert),   1, 1 << 20, UNSET },
    { "expert_weights_norm",               KEY_BOOL,   EXPERTS,   AT(expert_renorm), 0, 1,       UNSET },
    { "expert_weights_scale",              KEY_FLOAT,  EXPERTS,   AT(expert_scale),  1e-6, 1e6,  UNSET },
    { "decoder_start_token_id",            KEY_INT,    TWO_STACKS, AT(start_token),   0, 1 << 21, UNSET },
};

static unsigned traits_of(const mt_spec *s)
{
    unsigned t = ANY;
    t |= s->topology == MT_TOPO_RWKV4 ? RECURRENT : ATTENTION;
    if (s->topology == MT_TOPO_ENCDEC) t |= TWO_STACKS;
    if (s->topology != MT_TOPO_ENCODER) t |= LOGITS;
    if (s->topology == MT_TOPO_DECODER && s->ffn == MT_FFN_GLU) t |= EXPERTS;
    if (s->rope != MT_ROPE_NONE) t |= ROPE;
    if (s->bias_fn == MT_BIAS_T5) t |= BUCKETS;
    return t | (s->norm == MT_NORM_RMS ? RMS : LAYER);
}

/* ---- reading ------------------------------------------------------------- */

typedef struct reader {
    const mt_source *s;
    const family *family;
    const char *path;                /* its end, for sentences */
    mt_arena *arena;
    mote_error *err;
    char name[96];                   /* the key in hand, in full */
} reader;

static const mt_meta *look_up(reader *r, const char *key)
{
    snprintf(r->name, sizeof r->name, "%s.%s", r->family->name, key);
    return mt_source_meta(r->s, r->name);
}

static mote_status fail_missing(const reader *r)
{
    MT_FAIL(r->err, MOTE_EFORMAT, "%s: key %s is missing", r->path, r->name);
}

/* Integers of any type, also as doubles: limits are far below what a double holds exactly. */
static bool as_number(const mt_meta *m, key_type type, double *out)
{
    switch (m->type) {
    case MT_META_U8: case MT_META_U16: case MT_META_U32: case MT_META_U64:
        *out = (double)m->value.u;
        return type == KEY_INT || type == KEY_WHOLE;
    case MT_META_I8: case MT_META_I16: case MT_META_I32: case MT_META_I64:
        *out = (double)m->value.i;
        return type == KEY_INT || type == KEY_WHOLE;
    case MT_META_F32: case MT_META_F64:
        *out = m->value.f;
        return type == KEY_FLOAT || type == KEY_DOUBLE;
    case MT_META_BOOL:
        *out = m->value.b;
        return type == KEY_BOOL;
    case MT_META_STRING: case MT_META_ARRAY: break;
    }
    return false;
}

static mote_status check_range(const reader *r, double v, double min, double max)
{
    if (v >= min && v <= max) return MOTE_OK;        /* false for NaN */
    MT_FAIL(r->err, MOTE_EFORMAT, "%s: %s is %.9g, expected %.9g to %.9g", r->path, r->name, v,
            min, max);
}

static mote_status read_number(reader *r, const mt_meta *m, key_type type, double min,
                               double max, double *out)
{
    static const char *const wanted[] = {
        [KEY_INT] = "an integer", [KEY_WHOLE] = "an integer", [KEY_FLOAT] = "a float",
        [KEY_DOUBLE] = "a float", [KEY_BOOL] = "true or false",
    };
    if (!as_number(m, type, out))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: %s has the wrong type, expected %s", r->path,
                r->name, wanted[type]);
    return check_range(r, *out, min, max);
}

static mote_status read_field(reader *r, const field *f, mt_spec *out)
{
    double v = f->absent;
    const mt_meta *m = look_up(r, f->key);
    if (m) MT_TRY(read_number(r, m, f->type, f->min, f->max, &v));
    else if (v == NEEDED) return fail_missing(r);
    else if (v == UNSET) return MOTE_OK;
    char *to = (char *)out + f->at;
    switch (f->type) {
    case KEY_INT: *(int *)(void *)to = (int)v; break;
    case KEY_FLOAT: *(float *)(void *)to = (float)v; break;
    case KEY_WHOLE:
    case KEY_DOUBLE: *(double *)(void *)to = v; break;
    case KEY_BOOL: *(bool *)(void *)to = v != 0; break;
    }
    return MOTE_OK;
}

/* ---- per layer: a number for all, or an array of one each ---------------- */

enum { MAX_HEAD = 1024, MAX_FF = 1 << 20, MAX_WINDOW = 1 << 24 };

/* absent: what every layer gets when the key is missing; NULL: the key is needed. */
static mote_status read_layers(reader *r, const char *key, int n_layer, double min, double max,
                               const int *absent, int **out)
{
    int *v = mt_arena_push_n(r->arena, (size_t)n_layer, sizeof *v);
    const mt_meta *m = look_up(r, key);
    if (!v) MT_FAIL(r->err, MOTE_ENOMEM, "no memory for %d layers", n_layer);
    *out = v;
    if (!m && !absent) return fail_missing(r);
    if (!m) {
        memcpy(v, absent, (size_t)n_layer * sizeof *v);
        return MOTE_OK;
    }
    if (m->type != MT_META_ARRAY) {
        double number;
        MT_TRY(read_number(r, m, KEY_INT, min, max, &number));
        for (int i = 0; i < n_layer; i++) v[i] = (int)number;
        return MOTE_OK;
    }
    if (m->n != (size_t)n_layer)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: %s has %zu entries, the model has %d layers",
                r->path, r->name, m->n, n_layer);
    if (m->item > MT_META_I32 && m->item != MT_META_U64 && m->item != MT_META_I64)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: %s has the wrong type, expected integers", r->path,
                r->name);
    for (int i = 0; i < n_layer; i++) {
        const double number = (double)mt_meta_item_int(m, (size_t)i);
        MT_TRY(check_range(r, number, min, max));
        v[i] = (int)number;
    }
    return MOTE_OK;
}

static mote_status read_stack(reader *r, const char *count_key, const int *absent_count,
                              bool attends, mt_stack *st)
{
    const mt_meta *m = look_up(r, count_key);
    double n = absent_count ? *absent_count : 0;
    if (m) MT_TRY(read_number(r, m, KEY_INT, 1, MT_MAX_LAYER, &n));
    else if (!absent_count) return fail_missing(r);
    st->n_layer = (int)n;
    int *none = mt_arena_push_n(r->arena, (size_t)st->n_layer, sizeof *none);
    if (!none) MT_FAIL(r->err, MOTE_ENOMEM, "no memory for %d layers", st->n_layer);
    st->n_head = st->n_kv = st->window = none;
    MT_TRY(read_layers(r, "feed_forward_length", st->n_layer, 1, MAX_FF, NULL, &st->d_ff));
    if (!attends) return MOTE_OK;
    MT_TRY(read_layers(r, "attention.head_count", st->n_layer, 1, MAX_HEAD, NULL, &st->n_head));
    MT_TRY(read_layers(r, "attention.head_count_kv", st->n_layer, 1, MAX_HEAD, st->n_head,
                       &st->n_kv));
    for (int i = 0; i < st->n_layer; i++)
        if (st->n_head[i] % st->n_kv[i] != 0)
            MT_FAIL(r->err, MOTE_EFORMAT, "%s: %s is %d, expected a divisor of the %d heads",
                    r->path, r->name, st->n_kv[i], st->n_head[i]);
    return read_layers(r, "attention.sliding_window", st->n_layer, 0, MAX_WINDOW, none,
                       &st->window);
}

/* "block_count" is the encoder's where there are two stacks. */
static mote_status read_stacks(reader *r, mt_spec *s)
{
    const bool attends = s->topology != MT_TOPO_RWKV4;
    switch (s->topology) {
    case MT_TOPO_DECODER:
    case MT_TOPO_RWKV4: return read_stack(r, "block_count", NULL, attends, &s->dec);
    case MT_TOPO_ENCODER: return read_stack(r, "block_count", NULL, attends, &s->enc);
    case MT_TOPO_ENCDEC: break;
    }
    MT_TRY(read_stack(r, "block_count", NULL, attends, &s->enc));
    return read_stack(r, "decoder_block_count", &s->enc.n_layer, attends, &s->dec);
}

/* ---- keys whose values are words ----------------------------------------- */

/* hidden_activation: what a family's configurations choose between. */
static mote_status read_act(reader *r, mt_spec *s)
{
    static const struct { const char *word; mt_act_kind kind; } acts[] = {
        { "gelu_erf", MT_ACT_GELU_ERF }, { "gelu_tanh", MT_ACT_GELU_TANH }, { "silu", MT_ACT_SILU },
        { "relu", MT_ACT_RELU }, { "relu2", MT_ACT_RELU2 }, { "quick_gelu", MT_ACT_QUICK_GELU },
        { "tanh", MT_ACT_TANH },
    };
    const mt_meta *m = look_up(r, "hidden_activation");
    size_t i = 0;
    if (!m) return MOTE_OK;
    if (m->type != MT_META_STRING)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: %s has the wrong type, expected a string", r->path, r->name);
    while (i < MT_COUNT(acts) && !mt_str_is(m->value.s, acts[i].word)) i++;
    if (i == MT_COUNT(acts))
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: %s is \"%.*s\", known are gelu_erf, gelu_tanh, silu, relu, relu2, "
                "quick_gelu, tanh", r->path, r->name, (int)MT_MIN(m->value.s.n, 40), m->value.s.p);
    s->act = acts[i].kind;
    return MOTE_OK;
}

static mote_status read_scaling(reader *r, mt_spec *s)
{
    static const struct { const char *word; mt_rope_scaling kind; } kinds[] = {
        { "none", MT_SCALE_NONE }, { "linear", MT_SCALE_LINEAR }, { "llama3", MT_SCALE_LLAMA3 },
        { "yarn", MT_SCALE_YARN },
    };
    const mt_meta *m = look_up(r, "rope.scaling.type");
    s->rope_scaling = s->rope_factor > 0 ? MT_SCALE_LINEAR : MT_SCALE_NONE;
    if (m) {
        size_t i = 0;
        if (m->type != MT_META_STRING)
            MT_FAIL(r->err, MOTE_EFORMAT, "%s: %s has the wrong type, expected a string",
                    r->path, r->name);
        while (i < MT_COUNT(kinds) && !mt_str_is(m->value.s, kinds[i].word)) i++;
        if (i == MT_COUNT(kinds))
            MT_FAIL(r->err, MOTE_EUNSUPPORTED,
                    "%s: %s is \"%.*s\", known are none, linear, llama3, yarn", r->path,
                    r->name, (int)MT_MIN(m->value.s.n, 40), m->value.s.p);
        s->rope_scaling = kinds[i].kind;
    }
    if (s->rope_scaling == MT_SCALE_NONE) return MOTE_OK;
    if (!(s->rope_factor > 0)) {
        look_up(r, "rope.scaling.factor");
        return fail_missing(r);
    }
    if (s->rope_scaling == MT_SCALE_LINEAR) return MOTE_OK;
    if (!(s->rope_orig_ctx > 0)) {
        look_up(r, "rope.scaling.original_context_length");
        return fail_missing(r);
    }
    look_up(r, "rope.scaling.high_freq_factor");
    if (s->rope_scaling == MT_SCALE_LLAMA3 && !(s->rope_high > s->rope_low))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: %s is %g, expected more than the low_freq_factor %g",
                r->path, r->name, s->rope_high, s->rope_low);
    return MOTE_OK;
}

/* attention.causal and pooling_type: what an encoder is, and what a decoder must not be. */
static mote_status read_kind(reader *r, mt_spec *s)
{
    static const mt_pool_kind pools[] = { MT_POOL_NONE, MT_POOL_MEAN, MT_POOL_CLS };
    const bool is_encoder = s->topology == MT_TOPO_ENCODER;
    double v;
    const mt_meta *m = look_up(r, "attention.causal");
    if (m) {
        MT_TRY(read_number(r, m, KEY_BOOL, 0, 1, &v));
        if (!is_encoder && v == 0)
            MT_FAIL(r->err, MOTE_EUNSUPPORTED,
                    "%s: %s is false, which cannot be run for a decoder", r->path, r->name);
        if (is_encoder) s->enc.mask = v != 0 ? MT_MASK_CAUSAL : MT_MASK_FULL;
    }
    m = is_encoder ? look_up(r, "pooling_type") : NULL;
    if (!m) return MOTE_OK;
    MT_TRY(read_number(r, m, KEY_INT, 0, 4, &v));
    if (v >= (double)MT_COUNT(pools))
        MT_FAIL(r->err, MOTE_EUNSUPPORTED,
                "%s: %s is %g, known are 0 (none), 1 (mean), 2 (first token)", r->path, r->name,
                v);
    s->pool = pools[(int)v];
    return MOTE_OK;
}

/* ---- what the presence of a tensor decides ------------------------------- */

static bool has(const reader *r, const mt_spec *s, mt_role role, int layer, bool is_bias)
{
    const mt_stack_id stack = s->enc.n_layer > 0 ? MT_ENC : MT_DEC;
    return mt_has_tensor(r->s, s->topology, stack, role, layer, is_bias);
}

static mote_status probe(reader *r, mt_spec *s)
{
    s->has_bias_q |= has(r, s, MT_W_ATTN_Q, 0, true);
    s->has_bias_o |= has(r, s, MT_W_ATTN_OUT, 0, true);
    s->has_bias_ffn |= has(r, s, MT_W_FFN_UP, 0, true);
    s->has_head_bias = has(r, s, MT_W_HEAD, -1, true);
    s->tied = s->topology != MT_TOPO_ENCODER && !has(r, s, MT_W_HEAD, -1, false);
    if (s->tied && r->family->scales_tied_head && s->logit_scale == 0)
        s->logit_scale = (float)(1.0 / sqrt(s->n_embd));
    if (r->family->gated_act != MT_ACT_NONE && has(r, s, MT_W_FFN_GATE, 0, false)) {
        s->ffn = MT_FFN_GLU;
        s->act = r->family->gated_act;
    }
    const mt_tensor *types = mt_source_tensor(r->s, "token_types.weight");
    if (s->topology == MT_TOPO_ENCODER && types) {
        snprintf(r->name, sizeof r->name, "rows of tensor token_types.weight");
        MT_TRY(check_range(r, (double)types->ne[1], 1, 65536));
        s->n_type = (int)types->ne[1];
    }
    const mt_tensor *tokens = mt_source_tensor(r->s, "token_embd.weight");
    if (s->n_vocab > 0) return MOTE_OK;
    if (!tokens)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensor token_embd.weight is missing", r->path);
    snprintf(r->name, sizeof r->name, "rows of tensor token_embd.weight");
    MT_TRY(check_range(r, (double)tokens->ne[1], 1, 1 << 21));
    s->n_vocab = (int)tokens->ne[1];
    return MOTE_OK;
}

/* ---- relations between fields -------------------------------------------- */

static mote_status derive_attention(reader *r, mt_spec *s)
{
    const mt_stack *st = s->topology == MT_TOPO_ENCODER ? &s->enc : &s->dec;
    if (s->head_dim == 0) {
        look_up(r, "embedding_length");
        if (s->n_embd % st->n_head[0] != 0)
            MT_FAIL(r->err, MOTE_EFORMAT, "%s: %s is %d, expected a multiple of the %d heads",
                    r->path, r->name, s->n_embd, st->n_head[0]);
        s->head_dim = s->n_embd / st->n_head[0];
    }
    if (s->v_dim == 0) s->v_dim = s->head_dim;
    if (s->pos == MT_POS_LEARNED) s->n_pos = s->n_ctx_train - s->pos_offset;
    if (s->rope == MT_ROPE_NONE) return MOTE_OK;
    if (s->rope_dim == 0) s->rope_dim = s->head_dim;
    look_up(r, "rope.dimension_count");
    if (s->rope_dim > s->head_dim || s->rope_dim % 2 != 0)
        MT_FAIL(r->err, MOTE_EFORMAT,
                "%s: %s is %d, expected an even number up to the head's %d", r->path, r->name,
                s->rope_dim, s->head_dim);
    return read_scaling(r, s);
}

static mote_status derive_experts(reader *r, mt_spec *s)
{
    if (s->n_expert == 0) return MOTE_OK;
    look_up(r, "expert_used_count");
    if (s->n_expert_used < 1 || s->n_expert_used > s->n_expert)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: %s is %d, expected 1 to the %d experts", r->path,
                r->name, s->n_expert_used, s->n_expert);
    s->ffn = MT_FFN_MOE;
    if (s->d_ff_expert == 0) s->d_ff_expert = s->dec.d_ff[0];
    return MOTE_OK;
}

static mote_status check_start_token(reader *r, const mt_spec *s)
{
    look_up(r, "decoder_start_token_id");
    return s->start_token < 0 ? MOTE_OK : check_range(r, s->start_token, 0, s->n_vocab - 1);
}

static mote_status find_family(const mt_source *s, const family **out, mote_error *err)
{
    const char *path = mt_path_end(s->path);
    char known[128] = "";
    size_t at = 0;
    mt_str name;
    if (!mt_meta_str(s, "general.architecture", &name))
        MT_FAIL(err, MOTE_EFORMAT, "%s: key general.architecture is missing or not a string",
                path);
    for (size_t i = 0; i < MT_COUNT(families); i++) {
        if (mt_str_is(name, families[i]->name)) {
            *out = families[i];
            return MOTE_OK;
        }
        if (at < sizeof known)
            at += (size_t)snprintf(known + at, sizeof known - at, " %s", families[i]->name);
    }
    MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: architecture \"%.*s\" cannot be run; known are%s",
            path, (int)MT_MIN(name.n, 40), name.p, known);
}

mote_status mt_spec_read(mt_spec *out, const mt_source *s, mt_arena *arena, mote_error *err)
{
    reader r = { .s = s, .path = mt_path_end(s->path), .arena = arena, .err = err };
    MT_TRY(find_family(s, &r.family, err));
    *out = r.family->base;
    out->family = r.family->name;
    out->start_token = -1;
    const unsigned traits = traits_of(out);
    for (size_t i = 0; i < MT_COUNT(fields); i++)
        if ((fields[i].trait & traits) == fields[i].trait)
            MT_TRY(read_field(&r, &fields[i], out));
    MT_TRY(read_stacks(&r, out));
    MT_TRY(read_kind(&r, out));
    MT_TRY(probe(&r, out));
    MT_TRY(read_act(&r, out));
    if (traits & ATTENTION) MT_TRY(derive_attention(&r, out));
    MT_TRY(check_start_token(&r, out));
    return derive_experts(&r, out);
}

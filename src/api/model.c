/* SPDX-License-Identifier: MIT */
/* model.c - opens a model: source, vocabulary, template, net, packed weights, in this order. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/model.h"

void mote_model_opts_init(mote_model_opts *o)
{
    if (o) *o = (mote_model_opts){.size = sizeof *o};
}

/* ---- facts ---------------------------------------------------------------------------------------- */

static const char *value_text(mote_model *m, const mt_meta *v)
{
    char text[64];
    switch (v->type) {
    case MT_META_STRING: return mt_arena_string(&m->arena, v->value.s);
    case MT_META_ARRAY: snprintf(text, sizeof text, "[%zu values]", v->n); break;
    case MT_META_F32: case MT_META_F64: snprintf(text, sizeof text, "%.9g", v->value.f); break;
    case MT_META_BOOL: return v->value.b ? "true" : "false";
    case MT_META_I8: case MT_META_I16: case MT_META_I32: case MT_META_I64:
        snprintf(text, sizeof text, "%" PRId64, v->value.i); break;
    case MT_META_U8: case MT_META_U16: case MT_META_U32: case MT_META_U64:
        snprintf(text, sizeof text, "%" PRIu64, v->value.u); break;
    }
    return mt_arena_string(&m->arena, mt_str_of(text));
}

static mote_status fill_meta(mote_model *m, mote_error *err)
{
    m->meta_text = mt_arena_push_n(&m->arena, MT_MAX(m->source->n_meta, 1), sizeof *m->meta_text);
    bool ok = m->meta_text != NULL;
    for (size_t i = 0; ok && i < m->source->n_meta; i++)
        ok = (m->meta_text[i] = value_text(m, &m->source->meta[i])) != NULL;
    if (!ok) MT_FAIL(err, MOTE_ENOMEM, "metadata: no memory for its text");
    return MOTE_OK;
}

/* The type that holds most bytes of matrices names the quantisation. */
static const char *main_type(const mt_source *s)
{
    size_t bytes[MT_TYPE_LIMIT] = {0};
    int top = MT_F32;
    for (size_t i = 0; i < s->n_tensor; i++) {
        const mt_tensor *t = &s->tensor[i];
        if (t->n_dim > 1) bytes[t->type] += t->bytes;
        if (bytes[t->type] > bytes[top]) top = (int)t->type;
    }
    return mt_type_of((uint32_t)top)->name;
}

static void fill_info(mote_model *m)
{
    mote_model_info *o = &m->info;
    const mt_spec *spec = &m->net.spec;
    const mt_stack *stack = spec->topology == MT_TOPO_ENCODER ? &spec->enc : &spec->dec;
    o->family = mote_model_meta(m, "general.architecture");
    o->name = mote_model_meta(m, "general.name");
    o->licence = mote_model_meta(m, "general.license");
    o->quant = main_type(m->source);
    for (size_t i = 0; i < m->source->n_tensor; i++) o->n_params += mt_tensor_count(&m->source->tensor[i]);
    o->bytes_file = mt_source_bytes(m->source);
    o->bytes_weights = m->weights ? m->weights->bytes : 0;
    o->is_mapped = m->weights && m->weights->is_mapped;
    o->n_layer = stack->n_layer, o->n_embd = spec->n_embd, o->n_ctx_train = spec->n_ctx_train;
    if (stack->n_layer > 0 && stack->n_head) o->n_head = stack->n_head[0], o->n_head_kv = stack->n_kv[0];
    o->n_vocab = m->weights ? spec->n_vocab : (int)m->vocab.n_token;
    o->n_threads = mt_pool_size(m->pool);
    o->has_decoder = m->net.dec.n_op > 0, o->has_encoder = m->net.enc.n_op > 0;
    o->is_recurrent = spec->topology == MT_TOPO_RWKV4;
    o->start_token = m->weights ? spec->start_token : -1;
    o->has_chat_template = m->chat != NULL;
}

/* ---- source ---------------------------------------------------------------------------------------- */

mote_status mt_model_source(mt_source **out, const char *path, bool can_stay, const mote_alloc *alloc,
                            mote_error *err)
{
    MT_TRY(mt_source_open(out, path, alloc, err));
    mote_status st = MOTE_OK;
    if ((*out)->is_foreign && (*out)->n_tensor == 0 && !can_stay)
        st = mt_fail(err, MOTE_EUNSUPPORTED, "%s: expected weights (model.safetensors, pytorch_model.bin or an index of such files), "
                     "found a tokenizer only", mt_path_end(path));
    else if ((*out)->is_foreign && (*out)->n_tensor > 0) st = mt_translate(*out, err);
    if (st == MOTE_OK || (st == MOTE_EUNSUPPORTED && can_stay)) return MOTE_OK;
    mt_source_close(*out);
    *out = NULL;
    return st;
}

/* ---- open, close ------------------------------------------------------------------------------------ */

static mote_status open_parts(mote_model *m, const char *path, const mote_model_opts *o, mote_error *err)
{
    if (o->pool) mt_pool_retain(m->pool = o->pool);
    else MT_TRY(mt_pool_open(&m->pool, o->n_threads, m->alloc, err));
    mt_kern_build(&m->kern, mt_cpu_allowed());
    MT_TRY(mt_model_source(&m->source, path, o->vocab_only, m->alloc, err));
    MT_TRY(fill_meta(m, err));
    MT_TRY(mt_model_open_text(m, err));
    if (!o->vocab_only) {
        MT_TRY(mt_net_open(&m->net, m->source, &m->arena, err));
        MT_TRY(mt_weights_open(&m->weights, &m->net, m->pool, o->cache_dir, o->plan_only, m->alloc, err));
    }
    fill_info(m);
    return MOTE_OK;
}

mote_status mote_model_open(mote_model **out, const char *path, const mote_model_opts *in, mote_error *err)
{
    if (!out || !path) MT_FAIL(err, MOTE_EINVAL, "model: out and path must not be NULL");
    mote_model_opts o;
    mote_model_opts_init(&o);
    if (in) memcpy(&o, in, MT_MIN(in->size, sizeof o));
    if (o.n_threads < 0 || o.n_threads > 1024)
        MT_FAIL(err, MOTE_EINVAL, "model option n_threads is %d, expected 0 to 1024", o.n_threads);
    const mote_alloc *alloc = o.alloc ? o.alloc : &mt_alloc_libc;
    mote_model *m = mt_get(alloc, sizeof *m, MT_ALIGN);
    if (!m) MT_FAIL(err, MOTE_ENOMEM, "model: no memory");
    memset(m, 0, sizeof *m);
    m->alloc = alloc;
    mt_arena_init(&m->arena, alloc, 1 << 20);
    const mote_status st = open_parts(m, path, &o, err);
    if (st != MOTE_OK) {
        mote_model_close(m);
        return st;
    }
    *out = m;
    return MOTE_OK;
}

void mote_model_close(mote_model *m)
{
    if (!m) return;
    mt_weights_close(m->weights);
    mt_template_close(m->chat);
    mt_template_close(m->chat_tools);
    mt_tokenizer_close(m->tokenizer);
    mt_source_close(m->source);
    mt_pool_close(m->pool);
    mt_arena_reset(&m->arena);
    mt_put(m->alloc, m, sizeof *m);
}

void mote_model_describe(const mote_model *m, mote_model_info *out)
{
    if (m && out) *out = m->info;
}

const char *mote_model_meta(const mote_model *m, const char *key)
{
    const mt_meta *v = m && key ? mt_source_meta(m->source, key) : NULL;
    return v ? m->meta_text[v - m->source->meta] : NULL;
}

mote_status mt_model_tokenizer(const mote_model *m, const mt_tokenizer **out, mote_error *err)
{
    if (!m) MT_FAIL(err, MOTE_EINVAL, "text: the model must not be NULL");
    if (!m->tokenizer) MT_FAIL(err, MOTE_EUNSUPPORTED, "%s", m->tokenizer_error.text);
    *out = m->tokenizer;
    return MOTE_OK;
}

mote_status mt_model_parts(const mote_model *m, mt_parts *out, mote_error *err)
{
    if (!m) MT_FAIL(err, MOTE_EINVAL, "engine: the model must not be NULL");
    if (!m->weights) MT_FAIL(err, MOTE_EINVAL, "engine: the model was opened for its vocabulary only");
    *out = (mt_parts){&m->net, m->weights, &m->kern, m->tokenizer, m->pool, m->alloc};
    return MOTE_OK;
}

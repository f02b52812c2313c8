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
    o->family = mote_model_meta(m, "general.architecture");
    o->name = mote_model_meta(m, "general.name");
    o->licence = mote_model_meta(m, "general.license");
    o->quant = main_type(m->source);
    for (size_t i = 0; i < m->source->n_tensor; i++) o->n_params += mt_tensor_count(&m->source->tensor[i]);
    o->bytes_file = m->source->map.size;
    o->bytes_weights = m->weights ? m->weights->bytes : 0;
    o->is_mapped = m->weights && m->weights->is_mapped;
    o->n_layer = spec->topology == MT_TOPO_ENCODER ? spec->enc.n_layer : spec->dec.n_layer;
    o->n_embd = spec->n_embd, o->n_ctx_train = spec->n_ctx_train;
    if (spec->dec.n_layer > 0 && spec->dec.n_head) o->n_head = spec->dec.n_head[0], o->n_head_kv = spec->dec.n_kv[0];
    o->n_vocab = m->weights ? spec->n_vocab : (int)m->vocab.n_token;
    o->n_threads = mt_pool_size(m->pool);
    o->has_decoder = m->net.dec.n_op > 0, o->has_encoder = m->net.enc.n_op > 0;
    o->is_recurrent = spec->topology == MT_TOPO_RWKV4;
    o->has_chat_template = m->chat != NULL;
}

/* ---- open, close ------------------------------------------------------------------------------------ */

static mote_status open_parts(mote_model *m, const char *path, const mote_model_opts *o, mote_error *err)
{
    if (o->pool) mt_pool_retain(m->pool = o->pool);
    else MT_TRY(mt_pool_open(&m->pool, o->n_threads, m->alloc, err));
    mt_kern_build(&m->kern, mt_cpu_allowed());
    MT_TRY(mt_source_open(&m->source, path, m->alloc, err));
    MT_TRY(fill_meta(m, err));
    MT_TRY(mt_model_open_text(m, err));
    if (!o->vocab_only) {
        MT_TRY(mt_net_open(&m->net, m->source, &m->arena, err));
        MT_TRY(mt_weights_open(&m->weights, &m->net, m->pool, o->cache_dir, m->alloc, err));
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

/* ---- printing ----------------------------------------------------------------------------------------- */

static mote_status print_meta(const mote_model *m, mt_buf *b, mote_error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < m->source->n_meta; i++) {
        ok = mt_buf_print(b, "%s = ", m->source->meta[i].key) && mt_buf_put(b, m->meta_text[i], strlen(m->meta_text[i])) &&
             mt_buf_put(b, "\n", 1);
    }
    if (!ok) MT_FAIL(err, MOTE_ENOMEM, "metadata: no memory to print it");
    return MOTE_OK;
}

static mote_status print_tensors(const mote_model *m, mt_buf *b, mote_error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < m->source->n_tensor; i++) {
        const mt_tensor *t = &m->source->tensor[i];
        ok = mt_buf_print(b, "%-40s %-7s", t->name, mt_type_of(t->type)->name);
        for (int d = t->n_dim - 1; ok && d >= 0; d--)
            ok = mt_buf_print(b, "%s%" PRId64, d == t->n_dim - 1 ? " " : " x ", t->ne[d]);
        ok = ok && mt_buf_print(b, "  %zu bytes\n", t->bytes);
    }
    if (!ok) MT_FAIL(err, MOTE_ENOMEM, "tensors: no memory to print them");
    return MOTE_OK;
}

static mote_status print_plan(const mote_model *m, mt_buf *b, mote_error *err)
{
    mt_parts parts;
    mote_engine_opts o;
    mt_plan_opts plan_opts;
    mt_plan *plan;
    MT_TRY(mt_model_parts(m, &parts, err));
    MT_TRY(mt_engine_resolve(&m->net, NULL, &o, &plan_opts, err));
    plan_opts.is_dry = true;
    MT_TRY(mt_plan_open(&plan, &m->net, m->weights, &m->kern, m->pool, &plan_opts, m->alloc, err));
    const mote_status st = mt_plan_print(plan, b, err);
    mt_plan_close(plan);
    return st;
}

static mote_status print(const mote_model *m, const char *what, mt_buf *b, mote_error *err)
{
    if (strcmp(what, "metadata") == 0) return print_meta(m, b, err);
    if (strcmp(what, "tensors") == 0) return print_tensors(m, b, err);
    if (strcmp(what, "graph") == 0 && m->weights) return mt_net_print(&m->net, b, err);
    if (strcmp(what, "plan") == 0) return print_plan(m, b, err);
    MT_FAIL(err, MOTE_EINVAL, "cannot print \"%s\", expected metadata, tensors, graph or plan", what);
}

mote_status mote_model_print(const mote_model *m, const char *what, char *out, size_t cap, size_t *n, mote_error *err)
{
    if (!m || !what || !n) MT_FAIL(err, MOTE_EINVAL, "print: model, what and n must not be NULL");
    mt_buf b;
    mt_buf_init(&b, m->alloc, (size_t)1 << 30);
    mote_status st = print(m, what, &b, err);
    if (st == MOTE_OK) {
        *n = b.n;
        if (b.n > cap) st = mt_fail(err, MOTE_EFULL, "print: %zu bytes, the buffer holds %zu", b.n, cap);
        else if (b.n) memcpy(out, b.p, b.n);
    }
    mt_buf_free(&b);
    return st;
}

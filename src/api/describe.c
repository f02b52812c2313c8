/* SPDX-License-Identifier: MIT */
/* describe.c - what a model is made of, as text for people and as JSON for programs. */
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "api/model.h"

enum { SHORT_ARRAY = 64 };           /* longer ones are told by their length */

static mote_status no_memory(const char *what, mote_error *err)
{
    MT_FAIL(err, MOTE_ENOMEM, "%s: no memory to print it", what);
}

/* ---- text ------------------------------------------------------------------------------------ */

static mote_status print_meta(const mote_model *m, mt_buf *b, mote_error *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < m->source->n_meta; i++) {
        ok = mt_buf_print(b, "%s = ", m->source->meta[i].key) && mt_buf_put(b, m->meta_text[i], strlen(m->meta_text[i])) &&
             mt_buf_put(b, "\n", 1);
    }
    return ok ? MOTE_OK : no_memory("metadata", err);
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
    return ok ? MOTE_OK : no_memory("tensors", err);
}

typedef struct share { int n_tensor; int64_t n_value; size_t bytes; } share;

static void sum_types(const mt_source *s, share by_type[MT_TYPE_LIMIT])
{
    memset(by_type, 0, MT_TYPE_LIMIT * sizeof *by_type);
    for (size_t i = 0; i < s->n_tensor; i++) {
        share *sum = &by_type[s->tensor[i].type];
        sum->n_tensor++;
        sum->n_value += mt_tensor_count(&s->tensor[i]);
        sum->bytes += s->tensor[i].bytes;
    }
}

static mote_status print_types(const mote_model *m, mt_buf *b, mote_error *err)
{
    share by_type[MT_TYPE_LIMIT];
    sum_types(m->source, by_type);
    bool ok = mt_buf_print(b, "%-9s %8s %16s %16s %14s\n", "type", "tensors", "values", "bytes", "bits per value");
    for (uint32_t k = 0; ok && k < MT_TYPE_LIMIT; k++) {
        const share *s = &by_type[k];
        if (s->n_tensor == 0) continue;
        ok = mt_buf_print(b, "%-9s %8d %16" PRId64 " %16zu %14.2f\n", mt_type_of(k)->name, s->n_tensor, s->n_value, s->bytes,
                          8 * (double)s->bytes / (double)MT_MAX(s->n_value, 1));
    }
    return ok ? MOTE_OK : no_memory("types", err);
}

static mote_status print_stack(const mote_model *m, mt_plan_opts o, mt_stack_id stack, mt_buf *b, mote_error *err)
{
    mt_plan *plan;
    o.stack = stack;
    MT_TRY(mt_plan_open(&plan, &m->net, m->weights, &m->kern, m->pool, &o, m->alloc, err));
    const mote_status st = mt_plan_print(plan, b, err);
    mt_plan_close(plan);
    return st;
}

static mote_status print_plan(const mote_model *m, mt_buf *b, mote_error *err)
{
    mt_parts parts;
    mote_engine_opts o;
    mt_plan_opts plan_opts;
    MT_TRY(mt_model_parts(m, &parts, err));
    MT_TRY(mt_engine_resolve(&m->net, NULL, &o, &plan_opts, err));
    plan_opts.is_dry = true;
    if (m->net.enc.n_op > 0) MT_TRY(print_stack(m, plan_opts, MT_ENC, b, err));
    return m->net.dec.n_op > 0 ? print_stack(m, plan_opts, MT_DEC, b, err) : MOTE_OK;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *json_text(mt_str s)
{
    json_t *v = json_stringn(s.p, s.n);          /* NULL also where it is not UTF-8 */
    return v ? v : json_string("(not UTF-8)");
}

static json_t *json_item(const mt_meta *m, size_t i)
{
    if (m->strings) return json_text(m->strings[i]);
    if (m->item == MT_META_BOOL) return json_boolean(mt_meta_item_int(m, i) != 0);
    if (m->item == MT_META_F32 || m->item == MT_META_F64) return json_real(mt_meta_item_f64(m, i));
    return json_integer(mt_meta_item_int(m, i));
}

static json_t *json_value(const mt_meta *m)
{
    switch (m->type) {
    case MT_META_STRING: return json_text(m->value.s);
    case MT_META_BOOL: return json_boolean(m->value.b);
    case MT_META_F32: case MT_META_F64: return json_real(m->value.f);
    case MT_META_I8: case MT_META_I16: case MT_META_I32: case MT_META_I64: return json_integer(m->value.i);
    case MT_META_U8: case MT_META_U16: case MT_META_U32: case MT_META_U64: return json_integer((json_int_t)m->value.u);
    case MT_META_ARRAY: break;
    }
    if (m->n > SHORT_ARRAY) return json_pack("{s:I}", "length", (json_int_t)m->n);
    json_t *list = json_array();
    for (size_t i = 0; list && i < m->n; i++) json_array_append_new(list, json_item(m, i));
    return list;
}

static json_t *json_meta(const mt_source *s)
{
    json_t *o = json_object();
    for (size_t i = 0; o && i < s->n_meta; i++) json_object_set_new_nocheck(o, s->meta[i].key, json_value(&s->meta[i]));
    return o;
}

static json_t *json_tensors(const mt_source *s)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < s->n_tensor; i++) {
        const mt_tensor *t = &s->tensor[i];
        json_t *shape = json_array();
        for (int d = t->n_dim - 1; d >= 0; d--) json_array_append_new(shape, json_integer(t->ne[d]));
        json_array_append_new(list, json_pack("{s:s, s:s, s:o, s:I}", "name", t->name, "type", mt_type_of(t->type)->name,
                                              "shape", shape, "bytes", (json_int_t)t->bytes));
    }
    return list;
}

static json_t *json_types(const mt_source *s)
{
    share by_type[MT_TYPE_LIMIT];
    json_t *list = json_array();
    sum_types(s, by_type);
    for (uint32_t k = 0; list && k < MT_TYPE_LIMIT; k++)
        if (by_type[k].n_tensor)
            json_array_append_new(list, json_pack("{s:s, s:i, s:I, s:I}", "type", mt_type_of(k)->name, "tensors",
                                                  by_type[k].n_tensor, "values", (json_int_t)by_type[k].n_value, "bytes",
                                                  (json_int_t)by_type[k].bytes));
    return list;
}

static mote_status put_json(json_t *v, const char *what, mt_buf *b, mote_error *err)
{
    const size_t n = v ? json_dumpb(v, NULL, 0, JSON_INDENT(2)) : 0;
    char *text = n ? mt_get(b->alloc, n, 1) : NULL;
    const bool ok = text && json_dumpb(v, text, n, JSON_INDENT(2)) == n && mt_buf_put(b, text, n);
    mt_put(b->alloc, text, n);
    json_decref(v);
    return ok ? MOTE_OK : no_memory(what, err);
}

/* ---- the call -------------------------------------------------------------------------------- */

static mote_status print(const mote_model *m, const char *what, mt_buf *b, mote_error *err)
{
    if (strcmp(what, "metadata") == 0) return print_meta(m, b, err);
    if (strcmp(what, "tensors") == 0) return print_tensors(m, b, err);
    if (strcmp(what, "types") == 0) return print_types(m, b, err);
    if (strcmp(what, "graph") == 0 && m->weights) return mt_net_print(&m->net, b, err);
    if (strcmp(what, "plan") == 0) return print_plan(m, b, err);
    if (strcmp(what, "metadata.json") == 0) return put_json(json_meta(m->source), what, b, err);
    if (strcmp(what, "tensors.json") == 0) return put_json(json_tensors(m->source), what, b, err);
    if (strcmp(what, "types.json") == 0) return put_json(json_types(m->source), what, b, err);
    MT_FAIL(err, MOTE_EINVAL, "cannot print \"%s\", expected metadata, tensors, types, graph or plan", what);
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

/* SPDX-License-Identifier: MIT */
/* config_write.c - metadata with dots between levels as a config.json. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/gguf_write.h"

static json_t *item(const mt_meta *m, size_t i)
{
    if (m->strings) return json_stringn(m->strings[i].p, m->strings[i].n);
    if (m->item == MT_META_F32 || m->item == MT_META_F64) return json_real(mt_meta_item_f64(m, i));
    return json_integer(mt_meta_item_int(m, i));
}

/* The shortest decimal number that is this float: 1e-05, not 9.99999974737875e-06. */
static double shortest(double v)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if ((float)strtod(text, NULL) == (float)v) return strtod(text, NULL);
    }
    return v;
}

static json_t *value(const mt_meta *m)
{
    switch (m->type) {
    case MT_META_STRING: return json_stringn(m->value.s.p, m->value.s.n);
    case MT_META_BOOL: return json_boolean(m->value.b);
    case MT_META_F32: return json_real(shortest(m->value.f));
    case MT_META_F64: return json_real(m->value.f);
    case MT_META_I8: case MT_META_I16: case MT_META_I32: case MT_META_I64: return json_integer(m->value.i);
    case MT_META_U8: case MT_META_U16: case MT_META_U32: case MT_META_U64: return json_integer((json_int_t)m->value.u);
    case MT_META_ARRAY: break;
    }
    json_t *list = json_array();
    for (size_t i = 0; list && i < m->n; i++) json_array_append_new(list, item(m, i));
    return list;
}

/* Puts a value at its place, with the objects above it; false: no memory. */
static bool put(json_t *root, const char *key, json_t *v)
{
    char level[96];
    const char *dot;
    for (; (dot = strchr(key, '.')) != NULL; key = dot + 1) {
        snprintf(level, sizeof level, "%.*s", (int)(dot - key), key);
        json_t *inner = json_object_get(root, level);
        if (!inner && json_object_set_new(root, level, inner = json_object()) != 0) break;
        root = inner;
    }
    return json_object_set_new(root, key, v) == 0;
}

mote_status mt_config_write(const mt_source *s, mt_buf *out, mote_error *err)
{
    json_t *root = json_object();
    bool ok = root != NULL;
    for (size_t i = 0; ok && i < s->n_meta; i++) ok = put(root, s->meta[i].key, value(&s->meta[i]));
    const size_t n = ok ? json_dumpb(root, NULL, 0, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : 0;
    char *text = n ? mt_get(out->alloc, n, 1) : NULL;
    ok = text && json_dumpb(root, text, n, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == n && mt_buf_put(out, text, n) &&
         mt_buf_put(out, "\n", 1);
    mt_put(out->alloc, text, n);
    json_decref(root);
    if (!ok) MT_FAIL(err, MOTE_ENOMEM, "config.json: no memory to write it");
    return MOTE_OK;
}

/* SPDX-License-Identifier: MIT */
/* config.c - config.json and its like as metadata.
 *
 * Levels become dots in the key ("rope_scaling.factor"), null is absent, an array of one plain kind is an
 * array; any other array stays JSON text in a string.  Strings without escapes are views into the file. */
#include "file/parts.h"

#include <string.h>

#include "base/json_pull.h"

enum { MAX_CONFIG = 16 << 20, MAX_DEPTH = 32, MAX_KEY = 512, MAX_ITEMS = 1 << 20 };

typedef struct reader {
    mt_gather *g;
    mt_pull    j;
    const char *file;
    char       path[MAX_KEY];   /* of the value that is read; not terminated */
    size_t     n_path;
} reader;

static mote_status no_memory(const reader *r, size_t n)
{
    MT_FAIL(r->g->err, MOTE_ENOMEM, "%s: no memory for an array of %zu", r->file, n);
}

/* ---- arrays ------------------------------------------------------------------------ */

/* The kind of every item, MT_META_ARRAY: they differ or are containers.  Reads the array. */
static mt_meta_type kind_of_items(mt_pull *j, size_t *n)
{
    mt_meta_type kind = MT_META_I64;            /* of an empty one */
    mt_pull_num num;
    mt_pull_array(j);
    for (*n = 0; mt_pull_item(j); (*n)++) {
        mt_meta_type found = MT_META_ARRAY;
        switch (mt_pull_peek(j)) {
        case MT_PULL_NUMBER:
            if (mt_pull_number(j, &num)) found = num.is_int ? MT_META_I64 : MT_META_F64;
            break;
        case MT_PULL_BOOL:   found = MT_META_BOOL, mt_pull_skip(j);   break;
        case MT_PULL_STRING: found = MT_META_STRING, mt_pull_skip(j); break;
        case MT_PULL_NONE: case MT_PULL_OBJECT: case MT_PULL_ARRAY: case MT_PULL_NULL: mt_pull_skip(j); break;
        }
        const bool are_numbers = (kind == MT_META_I64 || kind == MT_META_F64) &&
                                 (found == MT_META_I64 || found == MT_META_F64);
        if (*n == 0) kind = found;
        else if (are_numbers) kind = kind == MT_META_F64 || found == MT_META_F64 ? MT_META_F64 : MT_META_I64;
        else if (kind != found) kind = MT_META_ARRAY;
    }
    return kind;
}

static void put_u64(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++) out[i] = (uint8_t)(value >> (8 * i));
}

static mote_status read_strings(reader *r, mt_meta *m)
{
    mt_str *s = mt_arena_push_n(&r->g->s->arena, m->n, sizeof *s);
    if (!s) return no_memory(r, m->n);
    mt_pull_array(&r->j);
    for (size_t i = 0; mt_pull_item(&r->j); i++) mt_pull_str(&r->j, &s[i]);
    m->strings = s;
    return r->j.status;
}

static mote_status read_items(reader *r, mt_meta *m)
{
    const size_t bytes = m->item == MT_META_BOOL ? 1 : 8;
    uint8_t *raw = mt_arena_push_n(&r->g->s->arena, m->n, bytes);
    mt_pull_num num = { 0 };
    bool truth = false;
    if (!raw) return no_memory(r, m->n);
    m->raw = raw;
    mt_pull_array(&r->j);
    for (; mt_pull_item(&r->j); raw += bytes) {
        if (m->item == MT_META_BOOL) {
            mt_pull_bool(&r->j, &truth);
            *raw = truth;
            continue;
        }
        mt_pull_number(&r->j, &num);
        uint64_t bits = (uint64_t)num.i;
        if (m->item == MT_META_F64) memcpy(&bits, &num.f, sizeof bits);
        put_u64(raw, bits);
    }
    return r->j.status;
}

static mote_status read_array(reader *r, mt_meta *m)
{
    const mt_pull start = r->j;
    size_t n;
    const mt_meta_type item = kind_of_items(&r->j, &n);
    if (r->j.status != MOTE_OK) return r->j.status;
    if (n > MAX_ITEMS)
        MT_FAIL(r->g->err, MOTE_EFORMAT, "%s: %s: expected at most %d items, found %zu", r->file, m->key, MAX_ITEMS, n);
    r->j = start;
    if (item == MT_META_ARRAY) {
        m->type = MT_META_STRING, m->n = 1;
        return mt_pull_raw(&r->j, &m->value.s) ? MOTE_OK : r->j.status;
    }
    m->type = MT_META_ARRAY, m->item = item, m->n = n;
    return item == MT_META_STRING ? read_strings(r, m) : read_items(r, m);
}

/* ---- values ------------------------------------------------------------------------- */

static mote_status read_value(reader *r, mt_pull_kind kind)
{
    mt_meta *m;
    mt_pull_num num;
    MT_TRY(mt_gather_meta(r->g, r->file, &m));
    MT_TRY(mt_gather_name(r->g, r->file, (mt_str){ r->path, r->n_path }, &m->key));
    m->n = 1;
    switch (kind) {
    case MT_PULL_ARRAY: return read_array(r, m);
    case MT_PULL_STRING:
        m->type = MT_META_STRING;
        mt_pull_str(&r->j, &m->value.s);
        break;
    case MT_PULL_BOOL:
        m->type = MT_META_BOOL;
        mt_pull_bool(&r->j, &m->value.b);
        break;
    case MT_PULL_NUMBER:
        if (!mt_pull_number(&r->j, &num)) break;
        m->type = num.is_int ? MT_META_I64 : MT_META_F64;
        if (num.is_int) m->value.i = num.i;
        else m->value.f = num.f;
        break;
    case MT_PULL_NONE: case MT_PULL_OBJECT: case MT_PULL_NULL: break;      /* not here */
    }
    return r->j.status;
}

/* The path of key below the first n bytes of it. */
static mote_status go_below(reader *r, size_t n, mt_str key)
{
    if (n >= MAX_KEY || key.n > MAX_KEY - 1 - n)     /* n counts the dot too */
        MT_FAIL(r->g->err, MOTE_EFORMAT, "%s: expected keys of at most %d bytes with those above them, found a longer "
                "one", r->file, MAX_KEY - 1);
    if (key.n) memcpy(r->path + n, key.p, key.n);
    r->n_path = n + key.n;
    return MOTE_OK;
}

mote_status mt_config_read(mt_gather *g, mt_str text, const char *file, const char *prefix)
{
    reader r = { .g = g, .file = file };
    size_t start[MAX_DEPTH + 1];                /* bytes of the path above the keys of each level */
    int level = 0;
    mt_str key;
    if (text.n > MAX_CONFIG)
        MT_FAIL(g->err, MOTE_EFORMAT, "%s: expected at most %d bytes, found %zu", file, MAX_CONFIG, text.n);
    mt_pull_init(&r.j, text, file, MAX_DEPTH, &g->s->arena, g->err);
    r.j.takes_infinity = true;                  /* Python's writer puts them */
    start[0] = strlen(prefix);
    memcpy(r.path, prefix, start[0]);
    mt_pull_object(&r.j);
    while (level >= 0 && r.j.status == MOTE_OK) {
        if (!mt_pull_key(&r.j, &key)) {
            level--;
            continue;
        }
        MT_TRY(go_below(&r, start[level], key));
        const mt_pull_kind kind = mt_pull_peek(&r.j);
        if (kind == MT_PULL_OBJECT && mt_pull_object(&r.j)) {   /* the reader limits the depth */
            r.path[r.n_path] = '.';
            start[++level] = r.n_path + 1;
        } else if (kind == MT_PULL_NULL) {
            mt_pull_null(&r.j);
        } else if (kind != MT_PULL_OBJECT) {
            MT_TRY(read_value(&r, kind));
        }
    }
    return mt_pull_end(&r.j);
}

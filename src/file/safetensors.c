/* SPDX-License-Identifier: MIT */
/* safetensors.c - one safetensors file: a length, a JSON header, the values.
 *
 *   u64 n | n bytes of JSON | values
 *   {"__metadata__": {"format": "pt"}, "name": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}}
 *
 * The header is hostile: strict JSON, every tensor's bytes equal to what its shape needs, and all of them
 * together cover the values without gap or overlap, so that no byte of the file is unaccounted for. */
#include "file/parts.h"

#include <string.h>

#include "base/json_pull.h"

enum { LENGTH = 8, MAX_HEADER = 100 * 1000 * 1000, MAX_DEPTH = 4, MAX_DIMS = 32 };

static const struct { const char *name; mt_type type; } dtype_row[] = {
    { "BF16", MT_BF16 }, { "F16", MT_F16 }, { "F32", MT_F32 }, { "F64", MT_F64 }, { "I64", MT_I64 },
    { "I32", MT_I32 }, { "I16", MT_I16 }, { "I8", MT_I8 }, { "U8", MT_U8 }, { "U16", MT_U16 }, { "U32", MT_U32 },
    { "U64", MT_U64 }, { "BOOL", MT_U8 }, { "F8_E4M3", MT_F8_E4M3 }, { "F8_E5M2", MT_F8_E5M2 },
    { "F8_E8M0", MT_U8 },       /* powers of two, kept as their codes */
};

typedef struct reader {
    mt_gather *g;
    mt_shard  *x;
    mt_pull    j;
    const uint8_t *data;        /* behind the header */
    size_t     data_bytes;
    bool       has_metadata;
} reader;

static uint64_t header_length(const mt_map *m)
{
    mt_cursor c = { .p = m->data, .size = m->size };
    return mt_read_u64(&c);
}

bool mt_is_safetensors(const mt_map *m)
{
    if (m->size < LENGTH + 2 || m->data[LENGTH] != '{') return false;
    const uint64_t n = header_length(m);
    return n >= 2 && n <= MAX_HEADER;
}

static mote_status bad_tensor(const reader *r, const mt_tensor *t, const char *why)
{
    MT_FAIL(r->g->err, MOTE_EFORMAT, "%s: tensor %s: %s", r->x->name, t->name, why);
}

static mote_status find_type(const reader *r, mt_tensor *t, mt_str name)
{
    for (size_t i = 0; i < MT_COUNT(dtype_row); i++) {
        if (!mt_str_is(name, dtype_row[i].name)) continue;
        t->type = dtype_row[i].type;
        return MOTE_OK;
    }
    MT_FAIL(r->g->err, MOTE_EUNSUPPORTED, "%s: tensor %s: values of type %.*s are not supported", r->x->name, t->name,
            (int)MT_MIN(name.n, (size_t)32), name.p);
}

/* Numbers of an array, each at least 0; false: more than most, or no such array. */
static bool read_counts(reader *r, uint64_t *out, size_t most, size_t *n)
{
    int64_t value;
    *n = 0;
    mt_pull_array(&r->j);
    while (mt_pull_item(&r->j)) {
        if (!mt_pull_int(&r->j, &value)) return false;
        if (*n == most) return mt_pull_expect(&r->j, "fewer numbers", "one more");
        if (value < 0) return mt_pull_expect(&r->j, "a number that is not negative", "a negative one");
        out[(*n)++] = (uint64_t)value;
    }
    return r->j.status == MOTE_OK;
}

/* What an entry says; the shape and its place. */
typedef struct entry {
    mt_str   dtype;
    uint64_t dim[MAX_DIMS], offset[2];
    size_t   n_dim, n_offset;
    int      n_dtype, n_shape, n_place;      /* how often each was there */
} entry;

static mote_status read_entry(reader *r, entry *e)
{
    mt_str key;
    *e = (entry){ .n_dtype = 0 };
    mt_pull_object(&r->j);
    while (mt_pull_key(&r->j, &key)) {
        if (mt_str_is(key, "dtype")) mt_pull_str(&r->j, &e->dtype), e->n_dtype++;
        else if (mt_str_is(key, "shape")) read_counts(r, e->dim, MAX_DIMS, &e->n_dim), e->n_shape++;
        else if (mt_str_is(key, "data_offsets")) read_counts(r, e->offset, 2, &e->n_offset), e->n_place++;
        else mt_pull_expect(&r->j, "dtype, shape or data_offsets", "another key");
    }
    return r->j.status;
}

static mote_status read_tensor(reader *r, mt_str name)
{
    entry e;
    mt_tensor *t;
    MT_TRY(mt_gather_tensor(r->g, r->x->name, &t));
    MT_TRY(mt_gather_name(r->g, r->x->name, name, &t->name));
    MT_TRY(read_entry(r, &e));
    if (e.n_dtype != 1 || e.n_shape != 1 || e.n_place != 1 || e.n_offset != 2)
        return bad_tensor(r, t, "expected dtype, shape and two data_offsets, once each");
    MT_TRY(find_type(r, t, e.dtype));
    MT_TRY(mt_gather_shape(r->g, r->x->name, t, e.dim, e.n_dim));
    const uint64_t from = e.offset[0], to = e.offset[1];
    if (from > to || to > r->data_bytes)
        MT_FAIL(r->g->err, MOTE_EFORMAT, "%s: tensor %s: bytes %llu to %llu lie outside the file's %zu bytes of data",
                r->x->name, t->name, (unsigned long long)from, (unsigned long long)to, r->data_bytes);
    if (to - from != t->bytes)
        MT_FAIL(r->g->err, MOTE_EFORMAT, "%s: tensor %s: its shape needs %zu bytes of %s, its data_offsets span %llu",
                r->x->name, t->name, t->bytes, mt_type_of(t->type)->name, (unsigned long long)(to - from));
    t->data = r->data + from;
    return MOTE_OK;
}

/* Of the first file only: the others repeat it. */
static mote_status read_metadata(reader *r)
{
    mt_str key, value;
    mt_meta *m;
    char name[MT_MAX_NAME + 16] = "safetensors.";
    const size_t prefix = strlen(name);
    if (r->has_metadata) MT_FAIL(r->g->err, MOTE_EFORMAT, "%s: __metadata__ appears twice", r->x->name);
    r->has_metadata = true;
    mt_pull_object(&r->j);
    while (mt_pull_key(&r->j, &key)) {
        if (!mt_pull_str(&r->j, &value) || r->x != r->g->s->shard) continue;
        const size_t n = MT_MIN(key.n, (size_t)MT_MAX_NAME);
        if (n) memcpy(name + prefix, key.p, n);
        MT_TRY(mt_gather_meta(r->g, r->x->name, &m));
        MT_TRY(mt_gather_name(r->g, r->x->name, (mt_str){ name, prefix + n }, &m->key));
        m->type = MT_META_STRING, m->n = 1, m->value.s = value;
    }
    return r->j.status;
}

/* ---- the values are covered ------------------------------------------------------ */

static mote_status check_cover(reader *r)
{
    mt_gather *g = r->g;
    const size_t n = r->x->n_tensor;
    const mt_tensor *t = n ? g->tensor + r->x->first_tensor : NULL;
    const mt_arena_mark mark = mt_arena_mark_get(&g->scratch);
    const uint32_t *order = mt_order_by_place(&g->scratch, t, n);
    if (!order) MT_FAIL(g->err, MOTE_ENOMEM, "%s: no memory to check %zu tensors", r->x->name, n);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const mt_tensor *next = &t[order[i]];
        const size_t from = (size_t)(next->data - r->data);
        if (from != at)
            MT_FAIL(g->err, MOTE_EFORMAT, "%s: tensor %s: expected its data at byte %zu, found it at byte %zu (%s)",
                    r->x->name, next->name, at, from, from < at ? "it overlaps another" : "a gap before it");
        at += next->bytes;
    }
    mt_arena_rewind(&g->scratch, mark);
    if (at != r->data_bytes)
        MT_FAIL(g->err, MOTE_EFORMAT, "%s: the tensors take %zu bytes, the file has %zu", r->x->name, at,
                r->data_bytes);
    return MOTE_OK;
}

mote_status mt_safetensors_read(mt_gather *g, mt_shard *x)
{
    const mt_map *m = &x->map;
    reader r = { .g = g, .x = x };
    mt_str key;
    const uint64_t n = header_length(m);
    if (m->size < LENGTH + 2 || n < 2 || n > MAX_HEADER)
        MT_FAIL(g->err, MOTE_EFORMAT, "%s: expected a header of 2 to %d bytes, found %llu in a file of %zu", x->name,
                MAX_HEADER, (unsigned long long)n, m->size);
    if (n > m->size - LENGTH)
        MT_FAIL(g->err, MOTE_EFORMAT, "%s: a header of %llu bytes does not fit the file's %zu: its end is missing",
                x->name, (unsigned long long)n, m->size);
    x->head_bytes = LENGTH + (size_t)n;
    x->first_tensor = g->n_tensor;
    r.data = m->data + x->head_bytes, r.data_bytes = m->size - x->head_bytes;
    mt_pull_init(&r.j, (mt_str){ (const char *)m->data + LENGTH, (size_t)n }, x->name, MAX_DEPTH, &g->s->arena, g->err);
    mt_pull_object(&r.j);
    while (mt_pull_key(&r.j, &key)) {
        if (mt_str_is(key, "__metadata__")) MT_TRY(read_metadata(&r));
        else MT_TRY(read_tensor(&r, key));
    }
    MT_TRY(mt_pull_end(&r.j));
    x->n_tensor = g->n_tensor - x->first_tensor;
    g->s->data_bytes += r.data_bytes;           /* of mappings: they fit the address space */
    return check_cover(&r);
}

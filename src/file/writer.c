/* SPDX-License-Identifier: MIT */
/* writer.c - the list of what a file shall say: filling it, checking it, dealing it to several files.
 *
 * Adding does not return a status: the first failure is kept and writing reports it, so that filling
 * a writer reads like the file. */
#include "file/parts.h"
#include "file/stream.h"

#include <stdio.h>
#include <string.h>

enum { ARENA_BLOCK = 64 << 10, MAX_FILES = 65535 };

mote_status mt_writer_open(mt_writer **out, const mote_alloc *alloc, mote_error *err)
{
    mt_writer *w = mt_get(alloc, sizeof *w, _Alignof(mt_writer));
    *out = w;
    if (!w) MT_FAIL(err, MOTE_ENOMEM, "no memory to write a file");
    memset(w, 0, sizeof *w);
    mt_arena_init(&w->arena, alloc, ARENA_BLOCK);
    return MOTE_OK;
}

void mt_writer_close(mt_writer *w)
{
    if (!w) return;
    const mote_alloc *alloc = w->arena.alloc;
    mt_arena_reset(&w->arena);
    mt_put(alloc, w, sizeof *w);
}

static void no_memory(mt_writer *w, const char *what)
{
    if (w->first.code == MOTE_OK) mt_fail(&w->first, MOTE_ENOMEM, "%.64s: no memory to keep it", what);
}

/* Room for one more of n items; the list of before, or NULL without memory. */
static void *grown(mt_writer *w, void *list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) return list;
    const size_t more = MT_MAX(*cap * 2, 32);
    void *bigger = mt_arena_push_n(&w->arena, more, size);
    if (!bigger) return NULL;
    if (n) memcpy(bigger, list, n * size);
    *cap = more;
    return bigger;
}

/* ---- metadata ------------------------------------------------------------------- */

static void add(mt_writer *w, const char *key, mt_meta m)
{
    mt_meta *list = grown(w, w->meta, w->n_meta, &w->cap_meta, sizeof *list);
    if (list) w->meta = list;
    m.key = list ? mt_arena_string(&w->arena, mt_str_of(key)) : NULL;
    if (m.key) list[w->n_meta++] = m;
    else no_memory(w, key);
}

void mt_writer_add_u32(mt_writer *w, const char *key, uint32_t value)
{
    add(w, key, (mt_meta){ .type = MT_META_U32, .n = 1, .value.u = value });
}

void mt_writer_add_i32(mt_writer *w, const char *key, int32_t value)
{
    add(w, key, (mt_meta){ .type = MT_META_I32, .n = 1, .value.i = value });
}

void mt_writer_add_u64(mt_writer *w, const char *key, uint64_t value)
{
    add(w, key, (mt_meta){ .type = MT_META_U64, .n = 1, .value.u = value });
}

void mt_writer_add_f32(mt_writer *w, const char *key, float value)
{
    add(w, key, (mt_meta){ .type = MT_META_F32, .n = 1, .value.f = (double)value });
}

void mt_writer_add_bool(mt_writer *w, const char *key, bool value)
{
    add(w, key, (mt_meta){ .type = MT_META_BOOL, .n = 1, .value.b = value });
}

void mt_writer_add_string(mt_writer *w, const char *key, mt_str value)
{
    const char *copy = mt_arena_string(&w->arena, value);
    if (copy) add(w, key, (mt_meta){ .type = MT_META_STRING, .n = 1, .value.s = { copy, value.n } });
    else no_memory(w, key);
}

/* Four bytes each, little-endian, as in a file. */
static void add_words(mt_writer *w, const char *key, mt_meta_type item, const void *value, size_t n)
{
    uint8_t *raw = mt_arena_push_n(&w->arena, n, 4);
    if (!raw) {
        no_memory(w, key);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, (const char *)value + 4 * i, 4);
        for (size_t k = 0; k < 4; k++) raw[4 * i + k] = (uint8_t)(bits >> (8 * k));
    }
    add(w, key, (mt_meta){ .type = MT_META_ARRAY, .item = item, .n = n, .raw = raw });
}

void mt_writer_add_i32s(mt_writer *w, const char *key, const int32_t *value, size_t n)
{
    add_words(w, key, MT_META_I32, value, n);
}

void mt_writer_add_f32s(mt_writer *w, const char *key, const float *value, size_t n)
{
    add_words(w, key, MT_META_F32, value, n);
}

void mt_writer_add_strings(mt_writer *w, const char *key, const mt_str *value, size_t n)
{
    add(w, key, (mt_meta){ .type = MT_META_ARRAY, .item = MT_META_STRING, .n = n, .strings = value });
}

void mt_writer_add_meta(mt_writer *w, const mt_meta *m) { add(w, m->key, *m); }

/* ---- tensors --------------------------------------------------------------------- */

static bool is_float(mt_type type) { return type == MT_F32 || type == MT_F16 || type == MT_BF16; }

/* Shape, type and size; what the source promises is not asked again. */
static mote_status check_tensor(mt_out_tensor *o, const int64_t *ne, mote_error *err)
{
    const mt_tensor *t = o->from;
    const mt_type_info *to = mt_type_of(o->type), *from = mt_type_of(t->type);
    size_t n = 1;
    bool fits = o->n_dim >= 1 && o->n_dim <= MT_MAX_DIM;
    for (int i = 0; i < MT_MAX_DIM; i++) {
        o->ne[i] = fits && i < o->n_dim ? ne[i] : 1;
        if (o->ne[i] < 1 || !mt_mul_ok(n, (size_t)o->ne[i], &n)) fits = false;
    }
    if (!fits || n != (size_t)mt_tensor_count(t))
        MT_FAIL(err, MOTE_EINVAL, "tensor %.64s: another number of values than its source has, %lld", o->name,
                (long long)mt_tensor_count(t));
    if (!to || !from || (o->type != t->type && (!is_float(o->type) || !from->can_decode)))
        MT_FAIL(err, MOTE_EUNSUPPORTED, "tensor %.64s: cannot write %s as %s", o->name,
                from ? from->name : "an unknown type", to ? to->name : "an unknown type");
    if (o->ne[0] % to->block)
        MT_FAIL(err, MOTE_EINVAL, "tensor %.64s: rows of %s need a multiple of %d values, found %lld", o->name,
                to->name, to->block, (long long)o->ne[0]);
    if (!mt_mul_ok(n / (size_t)to->block, (size_t)to->bytes, &o->bytes))
        MT_FAIL(err, MOTE_EFULL, "tensor %.64s: too large for any file", o->name);
    return MOTE_OK;
}

void mt_writer_add_tensor(mt_writer *w, const char *name, mt_type type, int n_dim, const int64_t *ne,
                          const mt_tensor *t)
{
    mt_out_tensor o = { .type = type, .n_dim = n_dim, .from = t };
    if (w->first.code != MOTE_OK) return;
    mt_out_tensor *list = grown(w, w->tensor, w->n_tensor, &w->cap_tensor, sizeof *list);
    if (list) w->tensor = list;
    o.name = list ? mt_arena_string(&w->arena, mt_str_of(name)) : NULL;
    if (!o.name) no_memory(w, name);
    else if (check_tensor(&o, ne, &w->first) == MOTE_OK) list[w->n_tensor++] = o;
}

/* ---- before writing ----------------------------------------------------------------- */

static bool name_is_less(const void *context, uint32_t a, uint32_t b)
{
    const mt_out_tensor *tensor = context;
    return strcmp(tensor[a].name, tensor[b].name) < 0;
}

mote_status mt_writer_check(const mt_writer *w, mt_arena *a, mote_error *err)
{
    if (w->first.code != MOTE_OK) MT_FAIL(err, w->first.code, "%s", w->first.text);
    uint32_t *order = mt_arena_push_n(a, w->n_tensor, sizeof *order);
    if (!order) MT_FAIL(err, MOTE_ENOMEM, "no memory to sort %zu tensors", w->n_tensor);
    for (size_t i = 0; i < w->n_tensor; i++) order[i] = (uint32_t)i;
    mt_order_sort(order, w->n_tensor, name_is_less, w->tensor);
    for (size_t i = 1; i < w->n_tensor; i++)
        if (!name_is_less(w->tensor, order[i - 1], order[i]))
            MT_FAIL(err, MOTE_EINVAL, "tensor %.64s would be written twice", w->tensor[order[i]].name);
    return MOTE_OK;
}

mote_status mt_writer_cut(const mt_writer *w, mt_arena *a, size_t split_bytes, mt_cut *out, mote_error *err)
{
    size_t in_file = 0;
    out->n = 1;
    out->first = mt_arena_push_n(a, w->n_tensor + 2, sizeof *out->first);
    if (!out->first) MT_FAIL(err, MOTE_ENOMEM, "no memory to deal %zu tensors to files", w->n_tensor);
    for (size_t i = 0; i < w->n_tensor; i++) {
        const size_t bytes = w->tensor[i].bytes;
        if (split_bytes && in_file && (in_file > split_bytes || bytes > split_bytes - in_file)) {
            out->first[out->n++] = i;
            in_file = 0;
        }
        in_file += bytes;
    }
    out->first[out->n] = w->n_tensor;
    if (out->n > MAX_FILES) MT_FAIL(err, MOTE_EINVAL, "%zu files, expected at most %d", out->n, MAX_FILES);
    return MOTE_OK;
}

char *mt_cut_path(mt_arena *a, const char *path, const char *ext, size_t i, size_t n)
{
    if (n == 1) return mt_arena_string(a, mt_str_of(path));
    size_t stem = strlen(path);
    const size_t n_ext = strlen(ext), room = stem + n_ext + 32;
    if (stem > n_ext && strcmp(path + stem - n_ext, ext) == 0) stem -= n_ext;
    char *out = mt_arena_push(a, room);
    if (out) snprintf(out, room, "%.*s-%05zu-of-%05zu%s", (int)stem, path, i + 1, n, ext);
    return out;
}

/* SPDX-License-Identifier: MIT */
/* gguf_write.c - GGUF 3: header, metadata, tensor table, aligned data; in one file or several.
 *
 * The bytes are those that the gguf package's own writer gives for the same content.  A header is
 * printed twice, first without room, which tells its size.  Of several files the last is written
 * first: the one that is opened appears when all others are there. */
#include "file/parts.h"
#include "file/stream.h"

#include <string.h>

enum { VERSION = 3, DEFAULT_ALIGN = 32, MIN_ALIGN = 8, MAX_ALIGN = 65536, MAX_KEY = 65535, MAX_STRING = 16 << 20,
       MAX_NAME = 63, MAX_META = 65536 };

typedef struct job {
    const mt_writer *w;
    const char *path;
    const mt_meta **meta;        /* (n_meta) what the first file says, split.* last; each key once */
    size_t n_meta, n_split;      /* n_split: of these, the ones every file has */
    mt_meta split[4];
    size_t align;
    mt_cut cut;
    mt_arena arena;
} job;

/* ---- metadata -------------------------------------------------------------------- */

static bool comes_before(const void *context, uint32_t a, uint32_t b)
{
    const mt_meta *meta = context;
    const int order = strcmp(meta[a].key, meta[b].key);
    return order ? order < 0 : a < b;
}

/* Keeps each key once: at its first place, with its last value. */
static mote_status resolve(job *j, mote_error *err)
{
    const mt_writer *w = j->w;
    uint32_t *order = mt_arena_push_n(&j->arena, w->n_meta, sizeof *order);
    const mt_meta **at = mt_arena_push_n(&j->arena, w->n_meta, sizeof *at);
    j->meta = mt_arena_push_n(&j->arena, w->n_meta + MT_COUNT(j->split), sizeof *j->meta);
    if (!order || !at || !j->meta) MT_FAIL(err, MOTE_ENOMEM, "no memory to sort %zu keys", w->n_meta);
    for (size_t i = 0; i < w->n_meta; i++) order[i] = (uint32_t)i;
    mt_order_sort(order, w->n_meta, comes_before, w->meta);
    for (size_t i = 0, next; i < w->n_meta; i = next) {
        const char *key = w->meta[order[i]].key;
        for (next = i + 1; next < w->n_meta && strcmp(w->meta[order[next]].key, key) == 0;) next++;
        if (strncmp(key, "split.", 6) != 0) at[order[i]] = &w->meta[order[next - 1]];
    }
    for (size_t i = 0; i < w->n_meta; i++)
        if (at[i]) j->meta[j->n_meta++] = at[i];
    if (j->n_meta > MAX_META) MT_FAIL(err, MOTE_EINVAL, "%zu metadata keys, expected at most %d", j->n_meta, MAX_META);
    return MOTE_OK;
}

static mote_status check_string(const mt_meta *m, mt_str s, mote_error *err)
{
    if (s.n <= MAX_STRING) return MOTE_OK;
    MT_FAIL(err, MOTE_EINVAL, "metadata %.64s: a string of %zu bytes, expected at most %d", m->key, s.n, MAX_STRING);
}

static mote_status check_meta(const mt_meta *m, mote_error *err)
{
    if (!m->key[0] || strlen(m->key) > MAX_KEY)
        MT_FAIL(err, MOTE_EINVAL, "a metadata key of %zu bytes, expected 1 to %d", strlen(m->key), MAX_KEY);
    if (m->type == MT_META_STRING) return check_string(m, m->value.s, err);
    for (size_t i = 0; m->type == MT_META_ARRAY && m->item == MT_META_STRING && i < m->n; i++)
        MT_TRY(check_string(m, m->strings[i], err));
    return MOTE_OK;
}

/* The alignment that the metadata itself names. */
static mote_status find_alignment(job *j, mote_error *err)
{
    j->align = DEFAULT_ALIGN;
    for (size_t i = 0; i < j->n_meta; i++) {
        const mt_meta *m = j->meta[i];
        if (strcmp(m->key, "general.alignment") != 0) continue;
        if (m->type != MT_META_U32 || m->value.u < MIN_ALIGN || m->value.u > MAX_ALIGN || (m->value.u & (m->value.u - 1)))
            MT_FAIL(err, MOTE_EINVAL, "general.alignment: expected a power of two from %d to %d", MIN_ALIGN, MAX_ALIGN);
        j->align = (size_t)m->value.u;
        if (j->align != DEFAULT_ALIGN) j->split[j->n_split++] = *m;
    }
    return MOTE_OK;
}

/* What the files of a set say about themselves; split[0..n_split) is in all of them. */
static void add_split(job *j)
{
    const size_t n_own = j->n_split;     /* the alignment, which the first file has already */
    j->split[j->n_split++] = (mt_meta){ .key = "split.no", .type = MT_META_U16, .n = 1 };
    j->split[j->n_split++] = (mt_meta){ .key = "split.count", .type = MT_META_U16, .n = 1, .value.u = j->cut.n };
    j->split[j->n_split++] = (mt_meta){ .key = "split.tensors.count", .type = MT_META_I32, .n = 1,
                                        .value.i = (int64_t)j->w->n_tensor };
    for (size_t i = n_own; i < j->n_split; i++) j->meta[j->n_meta++] = &j->split[i];
}

static void put_string(mt_stream *s, mt_str text)
{
    mt_stream_number(s, text.n, 8);
    mt_stream_put(s, text.p, text.n);
}

static size_t width_of(mt_meta_type type)
{
    switch (type) {
    case MT_META_U8: case MT_META_I8: case MT_META_BOOL: return 1;
    case MT_META_U16: case MT_META_I16: return 2;
    case MT_META_U32: case MT_META_I32: case MT_META_F32: return 4;
    case MT_META_U64: case MT_META_I64: case MT_META_F64: return 8;
    case MT_META_STRING: case MT_META_ARRAY: break;
    }
    return 0;
}

static uint64_t bits_of(const mt_meta *m)
{
    uint64_t bits = 0;
    uint32_t half;
    const float f = (float)m->value.f;
    switch (m->type) {
    case MT_META_F32:
        memcpy(&half, &f, sizeof half);
        return half;
    case MT_META_F64:
        memcpy(&bits, &m->value.f, sizeof bits);
        return bits;
    case MT_META_BOOL: return m->value.b;
    case MT_META_I8: case MT_META_I16: case MT_META_I32: case MT_META_I64: return (uint64_t)m->value.i;
    case MT_META_U8: case MT_META_U16: case MT_META_U32: case MT_META_U64: return m->value.u;
    case MT_META_STRING: case MT_META_ARRAY: break;
    }
    return 0;
}

static void put_meta(mt_stream *s, const mt_meta *m)
{
    put_string(s, mt_str_of(m->key));
    mt_stream_number(s, m->type, 4);
    if (m->type == MT_META_STRING) put_string(s, m->value.s);
    else if (m->type != MT_META_ARRAY) mt_stream_number(s, bits_of(m), width_of(m->type));
    if (m->type != MT_META_ARRAY) return;
    mt_stream_number(s, m->item, 4);
    mt_stream_number(s, m->n, 8);
    if (m->item != MT_META_STRING) mt_stream_put(s, m->raw, m->n * width_of(m->item));
    else for (size_t i = 0; i < m->n; i++) put_string(s, m->strings[i]);
}

/* ---- tensors ---------------------------------------------------------------------- */

static mote_status check_tensors(const mt_writer *w, mote_error *err)
{
    for (size_t i = 0; i < w->n_tensor; i++) {
        const mt_out_tensor *t = &w->tensor[i];
        const size_t n = strlen(t->name);
        if (n < 1 || n > MAX_NAME)
            MT_FAIL(err, MOTE_EINVAL, "tensor %.64s: a name of %zu bytes, expected 1 to %d", t->name, n, MAX_NAME);
        if (t->type >= MT_FILE_TYPES)
            MT_FAIL(err, MOTE_EUNSUPPORTED, "tensor %s: no GGUF file holds the type %s", t->name,
                    mt_type_of(t->type)->name);
    }
    return MOTE_OK;
}

/* Returns the bytes of the data behind it. */
static size_t put_header(job *j, mt_stream *s, size_t file)
{
    const size_t from = j->cut.first[file], to = j->cut.first[file + 1];
    size_t offset = 0;
    for (size_t i = 0; i < j->n_split; i++)
        if (strcmp(j->split[i].key, "split.no") == 0) j->split[i].value.u = file;
    mt_stream_put(s, "GGUF", 4);
    mt_stream_number(s, VERSION, 4);
    mt_stream_number(s, to - from, 8);
    mt_stream_number(s, file ? j->n_split : j->n_meta, 8);
    for (size_t i = 0; i < (file ? j->n_split : j->n_meta); i++) put_meta(s, file ? &j->split[i] : j->meta[i]);
    for (size_t i = from; i < to; i++) {
        const mt_out_tensor *t = &j->w->tensor[i];
        put_string(s, mt_str_of(t->name));
        mt_stream_number(s, (uint64_t)t->n_dim, 4);
        for (int k = 0; k < t->n_dim; k++) mt_stream_number(s, (uint64_t)t->ne[k], 8);
        mt_stream_number(s, t->type, 4);
        mt_stream_number(s, offset, 8);
        if (!mt_add_ok(offset, t->bytes, &offset) || !mt_pad_ok(offset, j->align, &offset)) return SIZE_MAX;
    }
    mt_stream_pad(s, j->align);
    return offset;
}

/* Bytes of a file, or of it and all before it. */
static mote_status size_file(job *j, size_t file, size_t *out, mote_error *err)
{
    mt_stream counter = { .alloc = j->arena.alloc };
    const size_t data = put_header(j, &counter, file);
    if (counter.status != MOTE_OK || !mt_add_ok(counter.at, data, out))
        MT_FAIL(err, MOTE_EFULL, "%s: too large for any file", mt_path_end(j->path));
    return MOTE_OK;
}

/* ---- files -------------------------------------------------------------------------- */

/* `bytes`: what this file and those still to come need. */
static mote_status write_file(job *j, const mt_write_opts *o, size_t file, size_t bytes, size_t *done, size_t total,
                              mote_error *err)
{
    mt_stream s;
    const char *path = mt_cut_path(&j->arena, j->path, ".gguf", file, j->cut.n);
    if (!path) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for its name", mt_path_end(j->path));
    MT_TRY(mt_stream_open(&s, &j->arena, path, bytes, o, err));
    s.done = *done, s.total = total;
    put_header(j, &s, file);
    for (size_t i = j->cut.first[file]; i < j->cut.first[file + 1]; i++) {
        mt_stream_tensor(&s, &j->w->tensor[i]);
        mt_stream_pad(&s, j->align);
    }
    *done = s.done;
    const mote_status st = mt_stream_publish(&s, err);
    mt_stream_close(&s);
    return st;
}

static mote_status write_files(job *j, const mt_write_opts *o, mote_error *err)
{
    size_t *need = mt_arena_push_n(&j->arena, j->cut.n, sizeof *need), done = 0, total = 0, sum = 0;
    if (!need) MT_FAIL(err, MOTE_ENOMEM, "no memory for %zu files", j->cut.n);
    for (size_t i = 0; i < j->cut.n; i++) {         /* need[i]: of files 0 to i */
        size_t bytes = 0;
        MT_TRY(size_file(j, i, &bytes, err));
        if (!mt_add_ok(sum, bytes, &sum)) MT_FAIL(err, MOTE_EFULL, "%s: too large for any disk", mt_path_end(j->path));
        need[i] = sum;
    }
    for (size_t i = 0; i < j->w->n_tensor; i++) total += j->w->tensor[i].bytes;
    for (size_t i = j->cut.n; i-- > 0;) {
        const mote_status st = write_file(j, o, i, need[i], &done, total, err);
        for (size_t k = i + 1; st != MOTE_OK && k < j->cut.n; k++) {     /* of no use alone */
            const char *path = mt_cut_path(&j->arena, j->path, ".gguf", k, j->cut.n);
            if (path) mt_file_remove(path);
        }
        MT_TRY(st);
    }
    return MOTE_OK;
}

static mote_status write_all(job *j, const mt_write_opts *o, mote_error *err)
{
    MT_TRY(mt_writer_check(j->w, &j->arena, err));
    MT_TRY(check_tensors(j->w, err));
    MT_TRY(resolve(j, err));
    for (size_t i = 0; i < j->n_meta; i++) MT_TRY(check_meta(j->meta[i], err));
    MT_TRY(find_alignment(j, err));
    MT_TRY(mt_writer_cut(j->w, &j->arena, o->split_bytes, &j->cut, err));
    if (j->cut.n > 1) add_split(j);
    return write_files(j, o, err);
}

mote_status mt_gguf_write(const mt_writer *w, const char *path, const mt_write_opts *o, mote_error *err)
{
    static const mt_write_opts plain;
    job j = { .w = w, .path = path };
    mt_arena_init(&j.arena, w->arena.alloc, 1 << 14);
    const mote_status st = write_all(&j, o ? o : &plain, err);
    mt_arena_reset(&j.arena);
    return st;
}

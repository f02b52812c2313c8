/* SPDX-License-Identifier: MIT */
/* source.c - opening a model file whatever its format, and the typed getters of its metadata.
 *
 * The first bytes decide the reader.  Formats we know but do not read are named in the error,
 * because "bad magic" helps nobody who has downloaded an HTML page or an LFS pointer. */
#include "file/source.h"

#include "file/packed.h"
#include "file/parts.h"

#include <string.h>

enum { ARENA_BLOCK = 64 << 10 };

/* ---- recognising files --------------------------------------------------- */

static const struct { uint8_t n; char magic[20]; const char *name; } foreign_row[] = {
    { 4, "algg", "a GGLA adapter, older than GGUF" },
    { 4, "nsgg", "a llama.cpp session file" },
    { 4, "qsgg", "a llama.cpp sequence state file" },
    { 4, "FUGG", "a big-endian GGUF file" },
    { 2, "\x80\2", "a Python pickle" },
    { 8, "\x89HDF\r\n\x1a\n", "an HDF5 file" },
    { 4, "\x7f" "ELF", "a program for Linux" },
    { 2, "MZ", "a program" },
    { 2, "\x1f\x8b", "a gzip archive" },
    { 4, "\x28\xb5\x2f\xfd", "a zstd archive" },
    { 19, "version https://git", "a Git LFS pointer, not the file it stands for" },
    { 9, "<!DOCTYPE", "a web page" },
    { 9, "<!doctype", "a web page" },
    { 5, "<html", "a web page" },
    { 1, "{", "JSON text" },
};

const char *mt_foreign_name(const mt_map *m)
{
    for (size_t i = 0; i < MT_COUNT(foreign_row); i++)
        if (m->size >= foreign_row[i].n && memcmp(m->data, foreign_row[i].magic, foreign_row[i].n) == 0)
            return foreign_row[i].name;
    return NULL;
}

mote_status mt_source_read(mt_source *s, mote_error *err)
{
    const mt_map *m = &s->map;
    const char *path = mt_path_end(s->path);
    if (m->size == 0) MT_FAIL(err, MOTE_EFORMAT, "%s: the file is empty", path);
    if (m->size >= 4 && memcmp(m->data, "GGUF", 4) == 0) return mt_gguf_read(s, err);
    if (mt_is_checkpoint(m)) return mt_checkpoint_read(s, err);
    if (mt_ggml_is(m)) return mt_ggml_read(s, err);
    if (mt_llama2c_is(m)) return mt_llama2c_read(s, err);
    const char *name = mt_foreign_name(m);
    if (name) MT_FAIL(err, MOTE_EUNSUPPORTED, "%s: expected a file with weights, found %s", path, name);
    if (m->size < 4)
        MT_FAIL(err, MOTE_EFORMAT, "%s: expected a GGUF file, found %zu bytes", path, m->size);
    MT_FAIL(err, MOTE_EFORMAT, "%s: expected a file that begins with GGUF, found bytes "
            "%02x %02x %02x %02x", path, m->data[0], m->data[1], m->data[2], m->data[3]);
}

/* ---- opening and closing -------------------------------------------------- */

static mote_status read_path(mt_source *s, const char *path, mote_error *err)
{
    s->path = mt_arena_string(&s->arena, mt_str_of(path));
    if (!s->path) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory for the file's name", mt_path_end(path));
    if (mt_path_look(path) == MT_PATH_FOLDER) return mt_folder_open(s, err);
    MT_TRY(mt_map_open(&s->map, path, err));
    if (mt_is_checkpoint(&s->map)) MT_TRY(mt_folder_around(s, err));
    MT_TRY(mt_source_read(s, err));
    if (strcmp(s->format, "llama2.c") == 0) return mt_llama2c_beside(s, err);
    return strcmp(s->format, "gguf") == 0 ? mt_split_open(s, err) : MOTE_OK;
}

static mote_status fill(mt_source *s, const char *path, mote_error *err)
{
    MT_TRY(read_path(s, path, err));
    return s->is_foreign ? mt_packed_resolve(s, err) : MOTE_OK;
}

mote_status mt_source_open(mt_source **out, const char *path, const mote_alloc *alloc,
                           mote_error *err)
{
    *out = NULL;
    mt_source *s = mt_get(alloc, sizeof *s, _Alignof(mt_source));
    if (!s) MT_FAIL(err, MOTE_ENOMEM, "%s: no memory to open the file", mt_path_end(path));
    memset(s, 0, sizeof *s);
    mt_arena_init(&s->arena, alloc, ARENA_BLOCK);
    const mote_status status = fill(s, path, err);
    if (status == MOTE_OK) *out = s;
    else mt_source_close(s);
    return status;
}

void mt_source_close(mt_source *s)
{
    if (!s) return;
    const mote_alloc *alloc = s->arena.alloc;
    mt_map_close(&s->map);
    for (size_t i = 0; i < s->n_shard; i++) mt_map_close(&s->shard[i].map);
    for (size_t i = 0; i < s->n_companion; i++) mt_map_close(&s->companion[i].map);
    mt_arena_reset(&s->arena);
    mt_put(alloc, s, sizeof *s);
}

void mt_source_forget(const mt_source *s, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i <= s->n_shard; i++) {
        const mt_map *m = i < s->n_shard ? &s->shard[i].map : &s->map;
        if (!p && m->data) mt_map_forget(m, 0, m->size);
        else if (m->data && p >= m->data && p < m->data + m->size) mt_map_forget(m, (size_t)(p - m->data), n);
    }
}

size_t mt_source_bytes(const mt_source *s)
{
    size_t bytes = s->map.size;
    for (size_t i = 0; i < s->n_shard; i++) bytes += s->shard[i].map.size;
    return bytes;
}

static bool ends_with(const char *name, const char *ending)
{
    const size_t n = strlen(name), m = strlen(ending);
    return n >= m && strcmp(name + n - m, ending) == 0;
}

mt_str mt_source_file(const mt_source *s, const char *name)
{
    for (size_t i = 0; i < s->n_companion; i++) {
        const mt_companion *c = &s->companion[i];
        if (*name == '*' ? ends_with(c->name, name + 1) : strcmp(c->name, name) == 0)
            return (mt_str){ (const char *)c->map.data, c->map.size };
    }
    return (mt_str){ "", 0 };
}

/* ---- getters --------------------------------------------------------------- */

bool mt_meta_int(const mt_source *s, const char *key, int64_t *out)
{
    const mt_meta *m = mt_source_meta(s, key);
    if (!m) return false;
    switch (m->type) {
    case MT_META_U8: case MT_META_U16: case MT_META_U32: case MT_META_U64:
        if (m->value.u > INT64_MAX) return false;
        *out = (int64_t)m->value.u;
        return true;
    case MT_META_I8: case MT_META_I16: case MT_META_I32: case MT_META_I64:
        *out = m->value.i;
        return true;
    case MT_META_F32: case MT_META_F64: case MT_META_BOOL: case MT_META_STRING: case MT_META_ARRAY:
        return false;
    }
    return false;
}

bool mt_meta_f64(const mt_source *s, const char *key, double *out)
{
    const mt_meta *m = mt_source_meta(s, key);
    if (!m || (m->type != MT_META_F32 && m->type != MT_META_F64)) return false;
    *out = m->value.f;
    return true;
}

bool mt_meta_bool(const mt_source *s, const char *key, bool *out)
{
    const mt_meta *m = mt_source_meta(s, key);
    if (!m || m->type != MT_META_BOOL) return false;
    *out = m->value.b;
    return true;
}

bool mt_meta_str(const mt_source *s, const char *key, mt_str *out)
{
    const mt_meta *m = mt_source_meta(s, key);
    if (!m || m->type != MT_META_STRING) return false;
    *out = m->value.s;
    return true;
}

/* A little-endian number of n bytes at element i. */
static uint64_t item_bits(const mt_meta *m, size_t i, size_t n)
{
    const uint8_t *p = m->raw + i * n;          /* inside: the reader proved n * size fits */
    uint64_t bits = 0;
    for (size_t k = 0; k < n; k++) bits |= (uint64_t)p[k] << (8 * k);
    return bits;
}

static double item_float(const mt_meta *m, size_t i)
{
    if (m->item == MT_META_F64) {
        const uint64_t bits = item_bits(m, i, 8);
        double f;
        memcpy(&f, &bits, sizeof f);
        return f;
    }
    const uint32_t bits = (uint32_t)item_bits(m, i, 4);
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

int64_t mt_meta_item_int(const mt_meta *m, size_t i)
{
    switch (m->item) {
    case MT_META_U8: case MT_META_BOOL: return (int64_t)item_bits(m, i, 1);
    case MT_META_I8:  return (int8_t)item_bits(m, i, 1);
    case MT_META_U16: return (int64_t)item_bits(m, i, 2);
    case MT_META_I16: return (int16_t)item_bits(m, i, 2);
    case MT_META_U32: return (int64_t)item_bits(m, i, 4);
    case MT_META_I32: return (int32_t)item_bits(m, i, 4);
    case MT_META_U64: return (int64_t)MT_MIN(item_bits(m, i, 8), (uint64_t)INT64_MAX);
    case MT_META_I64: return (int64_t)item_bits(m, i, 8);
    case MT_META_F32: case MT_META_F64: case MT_META_STRING: case MT_META_ARRAY: return 0;
    }
    return 0;
}

double mt_meta_item_f64(const mt_meta *m, size_t i)
{
    if (m->item == MT_META_F32 || m->item == MT_META_F64) return item_float(m, i);
    if (m->item == MT_META_U64) return (double)item_bits(m, i, 8);
    return (double)mt_meta_item_int(m, i);
}

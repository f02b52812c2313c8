/* SPDX-License-Identifier: MIT */
/* source.h - a model on disk as named tensors and typed metadata, whatever the format.
 *
 * Nothing in the file is trusted: counts, strings, shapes and offsets are checked against the
 * limits of docs/formats.md before anything is allocated.  Tensor data stays in the mapping.
 *
 * Shapes of other formats are turned to GGUF's order.  A tensor without values is left out; where a shape
 * has more than four dimensions, the fastest are taken as one. */
#ifndef MT_SOURCE_H
#define MT_SOURCE_H

#include "tensor/tensor.h"

typedef enum mt_meta_type {      /* GGUF's numbers */
    MT_META_U8, MT_META_I8, MT_META_U16, MT_META_I16, MT_META_U32, MT_META_I32, MT_META_F32,
    MT_META_BOOL, MT_META_STRING, MT_META_ARRAY, MT_META_U64, MT_META_I64, MT_META_F64
} mt_meta_type;

typedef struct mt_meta {
    const char  *key;
    mt_meta_type type, item;     /* item: element type of an array */
    size_t       n;              /* elements of an array, else 1 */
    union { uint64_t u; int64_t i; double f; bool b; mt_str s; } value;
    const uint8_t *raw;          /* array elements as in the file; strings are length-prefixed */
    const mt_str  *strings;      /* array of strings: views into the mapping, else NULL */
} mt_meta;

/* A file that holds tensors: head_bytes at head_at describe them (a header, a pickle). */
typedef struct mt_shard {
    const char *path, *name;     /* name: the end of the path */
    mt_map      map;
    size_t      head_at, head_bytes;
    size_t      first_tensor, n_tensor;     /* while the folder is read: its tensors, empty ones too */
} mt_shard;
typedef struct mt_companion { const char *name; mt_map map; } mt_companion;
typedef struct mt_source {
    mt_arena   arena;
    mt_map     map;              /* of the file; unused where there are shards */
    mt_shard  *shard;   size_t n_shard;     /* the files that hold tensors: of a folder, or one alone */
    mt_companion *companion; size_t n_companion;   /* small files beside them, by name; those in a folder */
                                 /* of the folder as "1_Pooling/config.json" */
    const char *format, *path;   /* "gguf", "safetensors", "pytorch"; as given */
    /* Tensor names and metadata keys are the publisher's (a Hugging Face folder): model/ translates
     * them.  Keys are config.json's with dots between levels ("rope_scaling.factor"), and those of
     * generation_config.json behind "generation."; "readme.license" is the README's. */
    bool       is_foreign;
    uint32_t   version;
    mt_meta   *meta;    size_t n_meta;
    mt_tensor *tensor;  size_t n_tensor;
    size_t     data_bytes;
    void      *index;            /* hash tables of keys and names; private to file/ */
} mt_source;

/* EIO: cannot read; EFORMAT: damaged; EUNSUPPORTED: another format, or big-endian. */
mote_status mt_source_open(mt_source **out, const char *path, const mote_alloc *alloc, mote_error *err);
void        mt_source_close(mt_source *s);
/* Makes meta and tensor findable by name, again after a change; a name that appears twice is EFORMAT. */
mote_status mt_source_index(mt_source *s, mote_error *err);
/* A small file beside the tensors of a folder, whole ("tokenizer.json"); empty: there is none.  A name
 * that begins with '*' stands for the first file that ends so ("*.tiktoken").  Any thread, any time. */
mt_str      mt_source_file(const mt_source *s, const char *name);
size_t      mt_source_bytes(const mt_source *s);     /* of the file, or of all files that hold tensors */
/* Gives back resident pages of n bytes at p, if they are mapped from the source's files; p NULL: all. */
void        mt_source_forget(const mt_source *s, const uint8_t *p, size_t n);
const mt_meta   *mt_source_meta(const mt_source *s, const char *key);      /* NULL: absent */
const mt_tensor *mt_source_tensor(const mt_source *s, const char *name);   /* NULL: absent */

/* Typed getters: false when absent or of another type; any integer type that holds the value
 * serves int64, both float types serve f64, no other coercion. */
bool mt_meta_int(const mt_source *s, const char *key, int64_t *out);
bool mt_meta_f64(const mt_source *s, const char *key, double *out);
bool mt_meta_bool(const mt_source *s, const char *key, bool *out);
bool mt_meta_str(const mt_source *s, const char *key, mt_str *out);
/* Element i of a numeric array; i < m->n is the caller's promise. */
int64_t mt_meta_item_int(const mt_meta *m, size_t i);
double  mt_meta_item_f64(const mt_meta *m, size_t i);

#endif

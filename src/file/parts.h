/* SPDX-License-Identifier: MIT */
/* parts.h - what the readers in file/ share: sorted orders, and each format's entry point.
 *
 * Names are found by binary search in a sorted order rather than by hashing: a file chooses its
 * names, and no choice can make this slow. */
#ifndef MT_FILE_PARTS_H
#define MT_FILE_PARTS_H

#include "file/source.h"

/* Part `depth` of item i's key, 8 bytes that compare as a number, into *part; false: it is the last. */
typedef bool (*mt_key_fn)(const void *context, uint32_t i, size_t depth, uint64_t *part);
/* The order of n < 2^32 items by their keys; equal ones stay as they were.  Radix sort: the time is
 * linear in the bytes of the keys.  NULL: no memory. */
uint32_t *mt_order(mt_arena *a, size_t n, mt_key_fn key, const void *context);
/* For keys that are bytes: as memcmp compares, a prefix first. */
bool mt_key_of_str(mt_str s, size_t depth, uint64_t *part);
/* The order of tensors by their place; those without bytes before others at the same place. */
uint32_t *mt_order_by_place(mt_arena *a, const mt_tensor *t, size_t n);
uint32_t *mt_order_by_name(mt_arena *a, const mt_tensor *t, size_t n);

/* Fills s from s->map, which may be any bytes, by the reader of its format.  arena and path are
 * set by the caller; what was filled goes with the arena. */
mote_status mt_source_read(mt_source *s, mote_error *err);

/* Fills s from s->map, whose first bytes are the format's magic. */
mote_status mt_gguf_read(mt_source *s, mote_error *err);

/* Files that llama2.c writes: by its magic, or without one when the size is exactly what the first
 * seven numbers ask for. */
bool        mt_llama2c_is(const mt_map *m);
mote_status mt_llama2c_read(mt_source *s, mote_error *err);
/* The vocabulary of such a model, from the bytes of its tokenizer.bin. */
mote_status mt_llama2c_words(mt_source *s, const uint8_t *p, size_t n, mote_error *err);
/* The same from the file beside the model, if there is one that fits; the log says why not. */
mote_status mt_llama2c_beside(mt_source *s, mote_error *err);

/* GGML, GGMF and GGJT files of llama models, by their magic. */
bool        mt_ggml_is(const mt_map *m);
mote_status mt_ggml_read(mt_source *s, mote_error *err);

/* When s is one of several files that make a GGUF model: opens the others, found by their names, and
 * makes s the whole, its mappings in s->shard.  Else does nothing. */
mote_status mt_split_open(mt_source *s, mote_error *err);
/* The same with parts from elsewhere: `open` fills path and map of part i (from 0). */
typedef mote_status (*mt_part_fn)(void *user, size_t i, mt_shard *out, mote_error *err);
mote_status mt_split_join(mt_source *s, mt_part_fn open, void *user, mote_error *err);
/* What bytes are that no reader takes, in words; NULL: not known. */
const char *mt_foreign_name(const mt_map *m);

/* ---- checkpoints: tensors of one or several files, settings in JSON beside them --------------------- */
enum { MT_MAX_TENSOR = 1 << 20, MT_MAX_META = 65536, MT_MAX_SHARD = 4096, MT_MAX_NAME = 1024 };

/* What the files of a source say, until their number is known. */
typedef struct mt_gather {
    mt_source *s;
    mt_tensor *tensor; size_t n_tensor, room_tensor;
    mt_meta   *meta;   size_t n_meta, room_meta;
    char      *names;  size_t names_left;   /* rest of the newest chunk for copies of names */
    mt_arena   scratch;
    mote_error *err;
} mt_gather;
void mt_gather_init(mt_gather *g, mt_source *s, mote_error *err);
void mt_gather_close(mt_gather *g);
/* One more, cleared; valid until the next call. */
mote_status mt_gather_tensor(mt_gather *g, const char *file, mt_tensor **out);
mote_status mt_gather_meta(mt_gather *g, const char *file, mt_meta **out);
/* A terminated copy that lives as long as the source: 1 to MT_MAX_NAME bytes, none zero. */
mote_status mt_gather_name(mt_gather *g, const char *file, mt_str name, const char **out);
/* Turns a shape, slowest dimension first, to GGUF's order, and finds the bytes from t->type.  More than
 * four: the fastest become one.  An empty tensor has a dimension of 0 and no bytes. */
mote_status mt_gather_shape(mt_gather *g, const char *file, mt_tensor *t, const uint64_t *dim, size_t n);
/* Gives s its tensors and metadata, and their index. */
mote_status mt_gather_end(mt_gather *g);

/* The settings in a JSON object as metadata: keys with dots between levels, behind prefix. */
mote_status mt_config_read(mt_gather *g, mt_str text, const char *file, const char *prefix);

bool        mt_is_safetensors(const mt_map *m);
mote_status mt_safetensors_read(mt_gather *g, mt_shard *x);
bool        mt_is_torch(const mt_map *m);
mote_status mt_torch_read(mt_gather *g, mt_shard *x);

/* The shards that an index lists, each with exactly the tensors it claims for them. */
mote_status mt_index_read(mt_gather *g, mt_str text, const char *folder, const char *index);

/* A folder, or the files around s->map, which is a checkpoint alone. */
mote_status mt_folder_open(mt_source *s, mote_error *err);
mote_status mt_folder_around(mt_source *s, mote_error *err);
bool        mt_is_checkpoint(const mt_map *m);
/* Fills s from s->map, which is one, and from the companions that are there. */
mote_status mt_checkpoint_read(mt_source *s, mote_error *err);

#endif

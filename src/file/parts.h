/* SPDX-License-Identifier: MIT */
/* parts.h - what the readers in file/ share: sorted orders, and each format's entry point.
 *
 * Names are found by binary search in a sorted order rather than by hashing: a file chooses its
 * names, and no choice can make this slower than n log n. */
#ifndef MT_FILE_PARTS_H
#define MT_FILE_PARTS_H

#include "file/source.h"

typedef bool (*mt_less_fn)(const void *context, uint32_t a, uint32_t b);
/* Sorts order[0..n), in place, without recursion or allocation; not stable. */
void mt_order_sort(uint32_t *order, size_t n, mt_less_fn less, const void *context);

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

#endif

/* SPDX-License-Identifier: MIT */
/* gguf_write.h - models written to disk: metadata and tensors gathered, then streamed into a file.
 *
 * A writer holds what the file shall say.  Nothing is copied but keys, names, strings and arrays of
 * numbers; tensors are read, made or converted piece by piece while the file is written, so that no
 * model is ever in memory whole.  A file appears complete or not at all. */
#ifndef MT_GGUF_WRITE_H
#define MT_GGUF_WRITE_H

#include "file/source.h"

typedef struct mt_writer mt_writer;
mote_status mt_writer_open(mt_writer **out, const mote_alloc *alloc, mote_error *err);
void        mt_writer_close(mt_writer *w);

/* ---- what the file shall say: in this order.  The first call that fails makes writing fail. ---- */
/* A key that is added again keeps its place and gets the new value. */
void mt_writer_add_u32(mt_writer *w, const char *key, uint32_t value);
void mt_writer_add_i32(mt_writer *w, const char *key, int32_t value);
void mt_writer_add_u64(mt_writer *w, const char *key, uint64_t value);
void mt_writer_add_f32(mt_writer *w, const char *key, float value);
void mt_writer_add_bool(mt_writer *w, const char *key, bool value);
void mt_writer_add_string(mt_writer *w, const char *key, mt_str value);
void mt_writer_add_i32s(mt_writer *w, const char *key, const int32_t *value, size_t n);
void mt_writer_add_f32s(mt_writer *w, const char *key, const float *value, size_t n);
void mt_writer_add_strings(mt_writer *w, const char *key, const mt_str *value, size_t n); /* borrowed */
void mt_writer_add_meta(mt_writer *w, const mt_meta *m);    /* as it is in a source, which outlives w */
/* The values of t under another name, in another shape of as many values, and as `type`: t's own, or
 * F32, F16 or BF16, into which whatever decodes is converted.  t is borrowed. */
void mt_writer_add_tensor(mt_writer *w, const char *name, mt_type type, int n_dim, const int64_t *ne,
                          const mt_tensor *t);

/* ---- writing -------------------------------------------------------------------------------- */
typedef struct mt_write_opts {
    const mt_source *source;     /* its pages are given back as they are written; NULL: keep them */
    size_t split_bytes;          /* of tensors in a file, at most, but for a single one; 0: one file */
    mote_progress_fn progress;   /* NULL: none; false stops the writing, which is ECANCELLED then */
    void *user;
} mt_write_opts;
/* EFULL: the disk has no room; EINVAL, EUNSUPPORTED: what was added cannot be written so.  Where the
 * tensors need several files, "model.gguf" becomes model-00001-of-00003.gguf and so on, each
 * complete, but without all of them none is of use. */
mote_status mt_gguf_write(const mt_writer *w, const char *path, const mt_write_opts *o, mote_error *err);
/* The tensors alone, and strings of the metadata whose keys begin with "__metadata__.".  Several
 * files come with PATH.index.json, which says where each tensor is. */
mote_status mt_safetensors_write(const mt_writer *w, const char *path, const mt_write_opts *o,
                                 mote_error *err);
/* The metadata of a source as JSON, with objects where keys have dots. */
mote_status mt_config_write(const mt_source *s, mt_buf *out, mote_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* stream.h - what the writers of file formats share: the list to be written, and buffered bytes on
 * their way into drafts.  Private to file/. */
#ifndef MT_FILE_STREAM_H
#define MT_FILE_STREAM_H

#include "file/gguf_write.h"

typedef struct mt_out_tensor {
    const char *name;
    mt_type type;
    int n_dim;
    int64_t ne[MT_MAX_DIM];
    size_t bytes;                /* as type */
    const mt_tensor *from;
} mt_out_tensor;

struct mt_writer {
    mt_arena arena;
    mt_meta *meta;         size_t n_meta, cap_meta;
    mt_out_tensor *tensor; size_t n_tensor, cap_tensor;
    mote_error first;            /* code not OK: the call that failed */
};

/* Bytes into one draft, through a buffer.  Failure sticks; mt_stream_end tells. */
typedef struct mt_stream {
    const mote_alloc *alloc;
    const mt_write_opts *o;
    mt_draft draft;
    const char *path;
    size_t at;                   /* bytes so far, those in the buffer included */
    size_t n;                    /* bytes in the buffer */
    uint8_t *room;               /* the buffer, then space for pieces of rows */
    size_t done, total;          /* bytes of tensors in all files: for progress */
    mote_status status;
    mote_error why;
} mt_stream;

/* The draft of `bytes` is open, its temporary name beside path; both names live in the arena. */
mote_status mt_stream_open(mt_stream *s, mt_arena *a, const char *path, size_t bytes, const mt_write_opts *o,
                           mote_error *err);
void mt_stream_put(mt_stream *s, const void *p, size_t n);
void mt_stream_number(mt_stream *s, uint64_t value, size_t width);     /* little-endian */
void mt_stream_pad(mt_stream *s, size_t align);                        /* with zeros */
void mt_stream_tensor(mt_stream *s, const mt_out_tensor *t);
mote_status mt_stream_end(mt_stream *s, mote_error *err);   /* all is written; not yet published */
mote_status mt_stream_publish(mt_stream *s, mote_error *err);
void mt_stream_close(mt_stream *s);                         /* what was not published is gone */

typedef bool (*mt_less_fn)(const void *context, uint32_t a, uint32_t b);
/* Sorts order[0..n), in place, without recursion or allocation; not stable. */
void mt_order_sort(uint32_t *order, size_t n, mt_less_fn less, const void *context);

/* How the tensors go into files: first[i] is file i's first tensor, first[n] their number.  No file
 * but the first is without tensors. */
typedef struct mt_cut { size_t n, *first; } mt_cut;
mote_status mt_writer_cut(const mt_writer *w, mt_arena *a, size_t split_bytes, mt_cut *out, mote_error *err);
/* PATH's file i of n, "dir/name-00002-of-00003.ext"; n == 1: path itself.  NULL: no memory. */
char *mt_cut_path(mt_arena *a, const char *path, const char *ext, size_t i, size_t n);
/* Names are unique and the calls that filled the writer succeeded. */
mote_status mt_writer_check(const mt_writer *w, mt_arena *a, mote_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* side.h - packed weights kept in a file beside the model, mapped at the next open.  Private to plan/
 * but for the reading of heads, which api/ lists files by.
 *
 * The range of packed weights and the section of the file are the same bytes at the same offsets, so
 * whichever is there serves: pages packed just now, the file mapped over them, or pages packed anew
 * over a file that turned out damaged.  Addresses never change.  Nothing in the file is believed but
 * checksums: the table must equal the one that this net lays out. */
#ifndef MT_SIDE_H
#define MT_SIDE_H

#include "base/base.h"

#define MT_SIDE_ENDING ".packed"
#define MT_SIDE_DRAFT  ".tmp"
enum {
    MT_SIDE_VERSION = 1,
    MT_SIDE_ALIGN = 4096,            /* of an item in the section */
    MT_SIDE_FIXED = 128, MT_SIDE_ROW = 48,      /* bytes of the head's fixed part, of a table row */
    MT_SIDE_MAX_ROW = 1 << 16, MT_SIDE_MAX_PATH = 4096
};

typedef struct mt_side_row {         /* by weight id; bytes 0: the same item as an earlier one */
    uint64_t offset, bytes;          /* in the section */
    uint64_t k, n_out, n_matrix;
    uint32_t layout, crc;            /* mt_layout, or ~0 for f32 values; CRC-32C of the bytes */
} mt_side_row;

typedef struct mt_side_head {
    uint8_t  key[32];
    uint64_t section_at, section_bytes;
    uint32_t n_row;
    const uint8_t *rows;             /* in the bytes parsed */
    mt_str   source;                 /* path of the model it was made from */
} mt_side_head;
/* p: the first n bytes of a file of file_bytes, hostile.  EFORMAT with a sentence. */
mote_status mt_side_parse(const uint8_t *p, size_t n, size_t file_bytes, mt_side_head *out, mote_error *err);
mt_side_row mt_side_row_at(const mt_side_head *h, size_t i);
size_t      mt_side_head_bytes(size_t n_row, size_t n_path);
/* Writes a head of mt_side_head_bytes bytes; rows come from row. */
void        mt_side_print(const mt_side_head *h, const mt_side_row *row, uint8_t *out);
/* The same for an open file; the bytes lie in the arena. */
mote_status mt_side_read(const mt_file *f, mt_arena *a, mt_side_head *out, mote_error *err);

/* ---- one model's side file ------------------------------------------------------------------ */
/* A file of the model. */
typedef struct mt_side_part {
    const char *path;
    size_t bytes;                    /* when it was opened */
    const uint8_t *head; size_t head_bytes;     /* what it says of its tensors */
    size_t data_at;                  /* from where on blocks are sampled */
} mt_side_part;
typedef struct mt_side_opts {
    const char *folder;
    const char *source;              /* the model's path: its file, or the folder of its parts */
    const mt_side_part *part; size_t n_part;    /* may go once the side file is open */
    mt_str settings;                 /* text beside them that decides how they are read */
    uint32_t layouts;                /* fingerprint of the layouts in use and of what packing does */
    mt_side_row *row; size_t n_row;  /* the caller's; crc is filled in here */
    uint8_t *pages; size_t bytes;    /* the range: reserved, 2 MiB aligned */
} mt_side_opts;
typedef struct mt_side mt_side;
/* NULL: there can be none; the log has the reason.  Here and below, what goes wrong with the file is a
 * line of the log, never an error of the caller. */
mt_side *mt_side_open(const mt_side_opts *o, const mote_alloc *alloc);
/* true: the range shows the file, to be proved before its first use.  false: pack, then write. */
bool mt_side_map(mt_side *s);
/* The range is packed: writes the file in the background, at the lowest priority. */
void mt_side_write(mt_side *s);
/* Before every pass; free but for the first, which sums every item on the pool's threads.  A damaged
 * file gives way to fresh pages, which pack fills.  ENOMEM: there were no pages. */
mote_status mt_side_prove(mt_side *s, mt_pool *pool, void (*pack)(void *arg), void *arg, mote_error *err);
void mt_side_close(mt_side *s);      /* writes to the end what was begun */

#endif

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

#endif

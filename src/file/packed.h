/* SPDX-License-Identifier: MIT */
/* packed.h - compressed checkpoints of Hugging Face folders, brought into blocks of 32. */
#ifndef MT_FILE_PACKED_H
#define MT_FILE_PACKED_H

#include "file/source.h"

/* Finds the groups of tensors that together stand for one weight ("X.qweight", "X.scales", ...) and
 * puts one tensor "X.weight" of the plain shape, whose rows are made, in place of each; the index is
 * built anew.  s is read and indexed, its names are Hugging Face's; pointers to its tensors from
 * before become stale.  A source without such groups is left alone.
 * EFORMAT: parts that do not fit together; EUNSUPPORTED: a known scheme that is not read. */
mote_status mt_packed_resolve(mt_source *s, mote_error *err);

/* Where columns were sorted before they were grouped (act-order), rows of t are F32: neighbours have
 * different scales.  For who multiplies by t this gives the same weight with its columns by group, in
 * blocks: column i belongs to column order[i] of t.  NULL: t is no such weight. */
const uint32_t *mt_packed_sorted(const mt_tensor *t, mt_tensor *out);

#endif

/* SPDX-License-Identifier: MIT */
/* tape.h - JSON read into one flat array of nodes, in the order of the text.
 *
 * For files with hundreds of thousands of entries (tokenizer.json): a node is 12 bytes, a string
 * stays where it is in the text, and nothing is copied before somebody asks.  Strict RFC 8259 with
 * limits: UTF-8, no text behind the value, depth at most 64, less than 256 MiB.  The nodes of an
 * object are key, value, key, value, ... ; the node behind all children is `next`. */
#ifndef MT_TAPE_H
#define MT_TAPE_H

#include "base/base.h"

typedef enum mt_tape_type {
    MT_TAPE_NULL, MT_TAPE_FALSE, MT_TAPE_TRUE, MT_TAPE_NUMBER, MT_TAPE_STRING, MT_TAPE_ARRAY,
    MT_TAPE_OBJECT
} mt_tape_type;

typedef struct mt_tape_node {
    uint32_t at;                 /* byte of the text; of a string, behind its quote */
    uint32_t size;               /* bytes (strings, numbers) or children << 4 | is_escaped << 3 | type */
    uint32_t next;               /* the node behind this one and all it holds */
} mt_tape_node;

typedef struct mt_tape {
    const mote_alloc *alloc;
    mt_str        text;
    mt_tape_node *node;          /* node 0 is the whole value */
    uint32_t      n_node, cap;
} mt_tape;

/* text must outlive j.  EFORMAT: the line, and what is wrong there.  `name` is what errors call it. */
mote_status mt_tape_open(mt_tape *j, mt_str text, const char *name, const mote_alloc *alloc, mote_error *err);
void        mt_tape_close(mt_tape *j);

MT_INLINE mt_tape_type mt_tape_type_of(const mt_tape *j, uint32_t i) { return (mt_tape_type)(j->node[i].size & 7u); }
/* Bytes of a string as written or of a number; elements of an array; members of an object. */
MT_INLINE uint32_t mt_tape_size(const mt_tape *j, uint32_t i) { return j->node[i].size >> 4; }

/* The value of a member; 0: absent, or o is no object.  Of members with the same key, the last. */
uint32_t mt_tape_get(const mt_tape *j, uint32_t o, const char *key);
/* A string without its escapes; the bytes lie in the text or in the arena.  False: no string, or no
 * memory (then out->p is NULL). */
bool     mt_tape_string(const mt_tape *j, uint32_t i, mt_arena *arena, mt_str *out);
bool     mt_tape_is(const mt_tape *j, uint32_t i, const char *text);      /* is it this very string? */
bool     mt_tape_int(const mt_tape *j, uint32_t i, int64_t *out);         /* a number written as an integer */
bool     mt_tape_number(const mt_tape *j, uint32_t i, double *out);
bool     mt_tape_true(const mt_tape *j, uint32_t i);                      /* i != 0 and the value true */

#endif

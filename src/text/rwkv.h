/* SPDX-License-Identifier: MIT */
/* rwkv.h - the RWKV "world" tokenizer: at each place the longest token, found in a trie of bytes.
 *
 * Its vocabulary is a text file, one token a line: id, a Python literal of str or bytes, the
 * number of bytes.  GGUF (model "rwkv") stores the inside of the bytes literal. */
#ifndef MT_RWKV_H
#define MT_RWKV_H

#include "text/cuts.h"
#include "text/text.h"
#include "text/trie.h"

/* Fills v (model "rwkv") with tokens as raw bytes in the arena.  Ids may leave gaps: those tokens
 * are empty and unused, 0 is the control token that ends a text.  EFORMAT names the line. */
mote_status mt_rwkv_read(mt_vocab *v, mt_str file, mt_arena *arena, mote_error *err);

/* Undoes the escapes of a bytes literal without its quotes into out (at least stored.n bytes);
 * SIZE_MAX: an escape that Python does not know, or one cut short. */
size_t mt_rwkv_unescape(mt_str stored, uint8_t *out);

typedef struct mt_rwkv {
    mt_trie trie;
    int32_t other;               /* the token of a byte that begins none; -1: it is dropped */
} mt_rwkv;

/* v: tokens as raw bytes; control and unused ones are never found. */
mote_status mt_rwkv_init(mt_rwkv *r, const mt_vocab *v, mt_arena *arena, mote_error *err);
/* Appends the tokens of text (at most 2^28 bytes); *steps grows by the units visited (NULL
 * allowed).  False: no memory. */
bool mt_rwkv_encode(const mt_rwkv *r, mt_str text, mt_cuts *out, size_t *steps);

#endif

/* SPDX-License-Identifier: MIT */
/* json_steps.h - the steps of a tokenizer.json, read into those of pipe.h; private to the reader. */
#ifndef MT_TAPE_STEPS_H
#define MT_TAPE_STEPS_H

#include "text/tape.h"
#include "text/pipe.h"

typedef struct mt_tape_reader {
    mt_tape       json;
    mt_tokenizer *t;
    mote_error   *err;
} mt_tape_reader;

/* Each reads the value at a node, 0 or null: none.  EUNSUPPORTED names what is not supported. */
mote_status mt_tape_normalizer(mt_tape_reader *r, uint32_t node);
mote_status mt_tape_pre_tokenizer(mt_tape_reader *r, uint32_t node);
mote_status mt_tape_post_processor(mt_tape_reader *r, uint32_t node);
mote_status mt_tape_decoder(mt_tape_reader *r, uint32_t node);

/* A string member, copied into the tokenizer's arena.  Absent or null: *out is empty, *has false. */
mote_status mt_tape_text(mt_tape_reader *r, uint32_t object, const char *key, mt_str *out, bool *has);
/* A boolean member; absent or null: the default. */
mote_status mt_tape_flag(mt_tape_reader *r, uint32_t object, const char *key, bool fallback, bool *out);

#endif

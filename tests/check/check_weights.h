/* SPDX-License-Identifier: MIT */
/* check_weights.h - random weights of every layout, as a file would hold them, and packed. */
#ifndef MT_CHECK_WEIGHTS_H
#define MT_CHECK_WEIGHTS_H

#include "kernel/kernel.h"

typedef enum weights_kind {
    WEIGHTS_RANDOM,             /* any codes, scales of ordinary size */
    WEIGHTS_EXACT,              /* scales are powers of two, small integers: sums are exact */
    WEIGHTS_NASTY               /* largest codes, extreme, zero and subnormal scales */
} weights_kind;

typedef struct weights {
    mt_layout lay;
    int64_t n, k;               /* rows, columns */
    const uint8_t *packed;      /* ends at an unreadable page */
    const float *value;         /* (n, k), decoded by mt_decode_row */
    const float *size;          /* (n, k), |d code| + |m|: what errors are relative to */
} weights;

void weights_make(weights *w, mt_layout lay, int64_t n, int64_t k, weights_kind kind);
int64_t weights_step(mt_layout lay);            /* k is a multiple of this: whole units and whole blocks */
void weights_name(char *to, size_t cap, const char *slot, mt_layout lay); /* "mm1_w4m" */

#endif

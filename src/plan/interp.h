/* SPDX-License-Identifier: MIT */
/* interp.h - the exact interpreter: runs a graph op by op in double precision, scalar and unfused.
 *
 * It is the oracle that the plan is compared with, on tiny models.  Weights are decoded exactly
 * as stored; nothing is rounded in between.  One sequence at a time. */
#ifndef MT_INTERP_H
#define MT_INTERP_H

#include "model/graph.h"

typedef struct mt_interp mt_interp;
mote_status mt_interp_open(mt_interp **out, const mt_net *net, const mote_alloc *alloc, mote_error *err);
void        mt_interp_close(mt_interp *it);
/* Forgets the sequence's state. */
void        mt_interp_reset(mt_interp *it);
/* Runs the encoder over n tokens (types NULL: zeros); fills cross states. */
mote_status mt_interp_encode(mt_interp *it, const int32_t *ids, const int32_t *types, int n, mote_error *err);
/* Appends n tokens to the decoder's sequence; every row is wanted. */
mote_status mt_interp_decode(mt_interp *it, const int32_t *ids, int n, mote_error *err);
/* A value of the graph that ran last: output, hidden, or any id.  Row-major doubles, until the next call. */
const double *mt_interp_value(const mt_interp *it, int value, int *rows, int *cols);

#endif

/* SPDX-License-Identifier: MIT */
/* plan.h - a graph compiled for this CPU: packed weights, fused stages, buffers laid out once.
 *
 * mt_weights keeps every weight of a net in its packed layout, once per model.  mt_plan is one
 * compiled graph (decoder or encoder) of one engine: a flat array of stages that every thread of the
 * pool walks, with barriers between.  Running a pass allocates nothing. */
#ifndef MT_PLAN_H
#define MT_PLAN_H

#include "kernel/kernel.h"
#include "model/graph.h"

/* ---- packed weights ------------------------------------------------------------------------- */
typedef struct mt_packed {
    mt_layout layout;
    const uint8_t *w;                /* panels; NULL for vectors */
    const float   *vec;              /* one-dimensional tensors, and tables read whole: decoded, n values */
    int64_t k, n_out, n_matrix;      /* a stack of n_matrix equal matrices (experts), else 1 */
    size_t  matrix_bytes;
    const uint32_t *order;           /* (k) column i multiplies column order[i] of the input; NULL: as they come */
} mt_packed;
typedef struct mt_weights {
    const mote_alloc *alloc;
    const mt_net *net;
    mt_pool   *pool;
    uint8_t   *pages;  size_t bytes; /* all panels and vectors */
    uint8_t   *made;   size_t made_bytes;   /* by thread: rows that tensors make while they are packed */
    mt_packed *item;                 /* by weight id of the net */
    struct mt_side_row *row;         /* by weight id: places in pages (side.h) */
    int        n_item;
    struct mt_side *side;            /* NULL: no side file */
    bool       is_mapped;            /* pages show a side file, or did until it proved damaged */
    bool       is_packed;            /* false: laid out only */
} mt_weights;
/* Maps the side file in cache_dir (NULL: none), or packs on the pool's threads, giving back the
 * source's pages as it goes; is_dry: only lays out.  EUNSUPPORTED: a weight in a type that has no layout; it names the tensor. */
mote_status mt_weights_open(mt_weights **out, const mt_net *net, mt_pool *pool, const char *cache_dir,
                            bool is_dry, const mote_alloc *alloc, mote_error *err);
/* Before a pass: proves at the first one that mapped weights are what was written, else packs them
 * again.  No pointer changes. */
mote_status mt_weights_prove(const mt_weights *w, mote_error *err);
void        mt_weights_close(mt_weights *w);

/* ---- plan ------------------------------------------------------------------------------------- */
typedef struct mt_plan_opts {
    mt_stack_id stack;               /* whose graph */
    int n_batch, n_seq;              /* rows and sequences of a pass, at most */
    int n_ctx;                       /* positions of a sequence, at most */
    mt_kv_type kv;                   /* of what is kept between passes; a pass's own keys are f32 */
    bool exact;                      /* f32 activations against exactly decoded weights */
    bool is_dry;                     /* compile and measure only: no scratch, cannot run */
} mt_plan_opts;
typedef struct mt_plan mt_plan;
mote_status mt_plan_open(mt_plan **out, const mt_net *net, const mt_weights *w, const mt_kern *kern,
                         mt_pool *pool, const mt_plan_opts *o, const mote_alloc *alloc, mote_error *err);
void        mt_plan_close(mt_plan *p);
size_t      mt_plan_bytes(const mt_plan *p);      /* what an engine allocates for it */
/* States of a net, the same in both of its plans.  A page has 16 positions of all layers, either of a
 * sequence's own keys and values or of its cross states; pages come in slabs. */
size_t      mt_plan_page_bytes(const mt_plan *p);
void        mt_plan_copy_page(const mt_plan *p, uint8_t *kv_base, uint32_t to, uint32_t from);   /* own */
size_t      mt_plan_vector_floats(const mt_plan *p);      /* what a sequence's VECTOR states take */
void        mt_plan_vector_init(const mt_plan *p, float *vector);
/* Seconds per stage since it was switched on (which zeroes them). */
mote_status mt_plan_trace(mt_plan *p, bool on, mote_error *err);
int         mt_plan_stage_times(const mt_plan *p, mote_op_time *out, int cap);   /* how many there are */
mote_status mt_plan_print(const mt_plan *p, mt_buf *out, mote_error *err);

/* One pass.  Sequence i of the batch keeps its keys and values in the pages that page[i] lists,
 * enough for its last position; slabs of MT_SLAB pages start at kv_base.  Its cross states lie in the
 * pages of cross[i]: an encoder's pass fills them, a decoder's reads n_cross[i] positions.  Its VECTOR
 * states lie one behind the other at vector[i].  What the net does not have may be NULL. */
typedef struct mt_pass {
    mt_batch batch;                  /* want is unused here */
    const uint32_t *const *page, *const *cross;
    const int32_t *n_cross;
    float *const *vector;
    uint8_t *kv_base;
} mt_pass;
void mt_plan_body(mt_plan *p, const mt_pass *pass);
/* After the body: the graph's output for the named rows, or sequences where it has a row for each
 * (ascending, of this pass), written as rows [at, at + n_want) of a region of n_batch rows; returns
 * row `at`.  best (NULL or n_want ids): arg-maxes. */
const float *mt_plan_head(mt_plan *p, const int32_t *want, int n_want, int at, int64_t *best);
const float *mt_plan_hidden(const mt_plan *p);    /* (n_row, n_embd) of the last body */

#endif

/* SPDX-License-Identifier: MIT */
/* stage.h - what the compiler of a plan writes and its runner walks.  Private to plan/.
 *
 * A stage is one or more graph ops that every thread executes together; behind each stage stands a
 * barrier.  Values that some stage reads from memory have a slot: an offset into the scratch block,
 * or a view into another value's columns.  Two kinds of value never reach memory: those that fused
 * into a product's prologue, and sums that a product adds in place. */
#ifndef MT_STAGE_H
#define MT_STAGE_H

#include "plan/plan.h"

typedef struct mt_slot {
    size_t offset;                   /* bytes into the scratch block */
    int    root, column;             /* view: columns from `column` of value `root`; else itself, 0 */
    int    first, last;              /* stages that write and last read it; last -1: never stored */
    size_t bytes;
} mt_slot;

typedef enum mt_stage_kind {
    MT_STAGE_OP,                     /* one op by itself, rows dealt to threads */
    MT_STAGE_PRODUCT,                /* prologue, one to four matrices, epilogue */
    MT_STAGE_ATTEND                  /* rope of q and k, KV write, attention */
} mt_stage_kind;

/* What a product does to its input rows before it multiplies: done by every thread for itself when
 * there is one row, dealt out with one more barrier when there are many. */
typedef enum mt_prologue { MT_PRO_NONE, MT_PRO_NORM, MT_PRO_ACT, MT_PRO_ACT_MUL } mt_prologue;
/* How the prepared row is held: int8 with scales, f32, or f32 rounded to bf16. */
typedef enum mt_operand { MT_OPERAND_Q8, MT_OPERAND_F32, MT_OPERAND_BF16 } mt_operand;

enum { MT_MAX_GROUP = 4 };
typedef struct mt_stage {
    mt_stage_kind kind;
    const mt_op *op;                 /* OP: the op; ATTEND: the attend op; PRODUCT: the first linear */
    mt_rows rows;
    /* PRODUCT */
    mt_prologue prologue;
    mt_operand  operand;
    const mt_op *pro_op;             /* the NORM or ACT op behind the prologue */
    int src[2];                      /* values the prologue reads */
    int n_mat;
    const mt_op *mat[MT_MAX_GROUP];
    int  out[MT_MAX_GROUP];          /* value each product writes */
    bool add[MT_MAX_GROUP];          /* ... by adding to what it holds */
    bool is_head;                    /* writes the logits region */
    /* ATTEND */
    const mt_op *rope_q, *rope_k;    /* NULL: not rotated here */
    int q, k, v;                     /* values, unrotated */
} mt_stage;

/* Scratch of one thread, offsets into its own part. */
typedef struct mt_lane { uint8_t *base; float *row; float *attend; void *mm; mt_act act; } mt_lane;

struct mt_plan {
    const mote_alloc *alloc;
    const mt_net     *net;
    const mt_graph   *graph;
    const mt_weights *weights;
    const mt_kern    *kern;
    mt_pool          *pool;
    mt_plan_opts      opts;
    mt_arena          arena;         /* stages, slots, tables */
    mt_stage *stage;  int n_stage, head;   /* stages from `head` on have WANT rows */
    mt_slot  *slot;                  /* by value id */
    size_t page_bytes;
    size_t *k_off, *v_off;           /* by state id: inside a page */

    /* layout of the scratch block */
    size_t values_bytes, act_bytes, mm_bytes, lane_bytes, scratch_bytes, logits_bytes;
    int    max_k;                    /* widest product input, padded to 64 */
    uint8_t *scratch;
    mt_act   act;                    /* shared operands of many rows */
    mt_lane *lane;                   /* by thread */
    float   *rope;                   /* (n_batch, 2, n_rope): cos, sin of each row's position */
    int32_t *row_seq;                /* n_batch: sequence of each row */
    float   *logits;                 /* anonymous pages, (n_batch, n_vocab), touched as used */
    float   *best_value; int64_t *best_id;   /* (n_thread, n_batch): partial arg-max */

    /* the pass that runs */
    const mt_pass *pass;
    int n_row, n_want, out_row, stage_from, stage_to;   /* out_row: first row of the logits region */
    const int32_t *want;
    bool wants_best, one_row_each;   /* every sequence has one row */
    bool has_fused_best;             /* the head stage writes the logits, and so can compare them */
};

mote_status mt_plan_compile(mt_plan *p, mote_error *err);
void mt_plan_walk(mt_plan *p, int from, int to);  /* runs stages [from, to) on the pool */

#endif

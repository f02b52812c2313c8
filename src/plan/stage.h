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
typedef struct mt_lane { uint8_t *base; float *row; float *attend, *q; void *mm; mt_act act; } mt_lane;

/* Sums of one stage on one thread, seconds.  inner: inside the stage that runs. */
typedef struct mt_trace_cell {
    double work, prepare, wait, inner_prepare, inner_wait, macs;
    uint64_t n_pass, n_row;
} mt_trace_cell;

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
    size_t page_bytes;               /* a slab's share */
    size_t *k_off, *v_off;           /* by state id: inside a slab */

    /* layout of the scratch block */
    size_t values_bytes, act_bytes, mm_bytes, attend_bytes, lane_bytes, scratch_bytes, logits_bytes;
    int    max_k;                    /* widest product input, padded to 64 */
    uint8_t *scratch;
    mt_act   act;                    /* shared operands of many rows */
    mt_lane *lane;                   /* by thread */
    float   *part;                   /* n_part areas of part_floats: chunks of a unit several threads share */
    size_t   part_floats;
    atomic_int *part_done;           /* chunks that lie there */
    int      n_part;
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
    mt_trace_cell *trace;            /* (n_thread, n_stage), or NULL: nobody measures */
};

mote_status mt_plan_compile(mt_plan *p, mote_error *err);
void mt_plan_walk(mt_plan *p, int from, int to);  /* runs stages [from, to) on the pool */

/* Parts of the runner (run.c) that its stages (product.c, attend.c) share. */
float       *mt_plan_row(const mt_plan *p, int v, int i);   /* row i of value v */
size_t       mt_plan_stride(const mt_plan *p, int v);
const float *mt_plan_vector(const mt_plan *p, int weight);  /* NULL for weight -1 */
int          mt_plan_rows(const mt_plan *p, mt_rows rows);  /* of this pass */
void mt_plan_norm_row(const mt_plan *p, const mt_op *op, const float *x, int64_t cols, float *out);
void mt_plan_rope_row(const mt_plan *p, const mt_op *op, float *x, int n_head, int i);
/* false: leave the walk (mt_settle). */
bool mt_plan_product(mt_plan *p, const mt_stage *s, mt_worker *w);
bool mt_plan_attend(mt_plan *p, const mt_stage *s, mt_worker *w);
bool mt_plan_settle(mt_plan *p, const mt_stage *s, mt_worker *w, double start);   /* of a step inside a stage
                                                               that began at `start` to prepare rows */
/* Whether an arg-max candidate comes before another: larger, or equal with the lower id; id -1: none. */
static inline bool mt_plan_beats(float value, int64_t id, float than, int64_t than_id)
{
    return id >= 0 && (than_id < 0 || value > than || (value == than && id < than_id));
}
/* trace.c.  A stage that ran from start to done and waited until end. */
mt_trace_cell *mt_trace_at(const mt_plan *p, int stage, int ith);
void mt_trace_stage(mt_plan *p, int stage, int ith, double start, double done, double end);

/* Attention: positions of a block; of one that is cut by chunks; blocks x heads a thread should find;
 * blocks x heads of a stage that threads may share. */
enum { MT_BLOCK_ROWS = 16, MT_PART_ROWS = 8, MT_UNITS_PER_THREAD = 4, MT_PARTS = 16 };

#endif

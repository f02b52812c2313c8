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
    MT_STAGE_ROWS,                   /* ops that work row by row, one after the other; rows are dealt */
    MT_STAGE_SCAN,                   /* an op that walks through each sequence; columns are dealt */
    MT_STAGE_ROUTE,                  /* the experts of every row, and the order of the routed rows */
    MT_STAGE_PRODUCT,                /* prologue, one to four matrices, epilogue; perhaps by experts */
    MT_STAGE_ATTEND                  /* rope of q and k, KV write, attention */
} mt_stage_kind;

/* What a product does to its input rows before it multiplies: done by every thread for itself when
 * there is one row, dealt out with one more barrier when there are many. */
typedef enum mt_prologue { MT_PRO_NONE, MT_PRO_NORM, MT_PRO_ACT, MT_PRO_ACT_MUL, MT_PRO_LERP } mt_prologue;
/* How the prepared row is held: int8 with scales, f32, or f32 rounded to bf16. */
typedef enum mt_operand { MT_OPERAND_Q8, MT_OPERAND_F32, MT_OPERAND_BF16 } mt_operand;

enum { MT_MAX_GROUP = 4, MT_MAX_ROW_OPS = 6 };
typedef struct mt_stage {
    mt_stage_kind kind;
    const mt_op *op;                 /* the op, or the first of them */
    mt_rows rows;                    /* that the stage makes */
    /* ROWS */
    int n_row_op;
    const mt_op *row_op[MT_MAX_ROW_OPS];
    /* PRODUCT */
    mt_prologue prologue;
    mt_operand  operand;
    const mt_op *pro_op[MT_MAX_GROUP];   /* the NORM, ACT or LERP ops behind the prologue, by input */
    int src[2];                      /* values the prologue reads */
    int n_in;                        /* inputs: one, or several mixes of the same two values */
    int n_mat, in_of[MT_MAX_GROUP];  /* in_of: the input of each matrix */
    const mt_op *mat[MT_MAX_GROUP];
    int  out[MT_MAX_GROUP];          /* value each product writes */
    bool add[MT_MAX_GROUP];          /* ... by adding to what it holds */
    bool is_head;                    /* writes the logits region */
    /* ATTEND */
    const mt_op *rope_q, *rope_k;    /* NULL: not rotated here */
    int q, k, v;                     /* values, unrotated; k, v -1: what the encoder left */
    int bias;                        /* its table in mt_plan.bias, -1: none */
} mt_stage;

/* What attention adds by key - query alone, a row per head: distance d at [h * ld + mid + d]. */
typedef struct mt_bias_table { const mt_op *op; float *at; size_t ld, mid; } mt_bias_table;

/* Experts of the pass, from the last ROUTE on.  Routed rows lie in the order of their experts, so that
 * each expert multiplies consecutive rows; (token, i) names the i-th expert of a token, ascending. */
typedef struct mt_routing {
    int n_used, n_expert;            /* 0: the graph routes nothing */
    int32_t *choice;                 /* expert of (token, i) */
    int32_t *place;                  /* routed row of (token, i) */
    int32_t *token;                  /* of each routed row */
    int32_t *first;                  /* n_expert + 1: where the rows of an expert begin */
    int32_t *active;  int n_active;  /* experts that have rows, ascending */
} mt_routing;

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
    size_t *k_off, *v_off;           /* by state id: inside a slab; VECTOR: k_off counts floats */
    size_t vector_floats;
    size_t local_bytes;              /* keys and values of a pass, of one layer at a time */
    mt_bias_table *bias;  int n_bias;
    bool has_bias;                   /* the tables are filled */

    /* layout of the scratch block */
    size_t values_bytes, act_bytes, mm_bytes, attend_bytes, lane_bytes, scratch_bytes, logits_bytes;
    size_t bias_bytes, routing_bytes, rows_bytes;
    int    max_k, max_in;            /* widest product input, padded to 64; most inputs of a stage */
    uint8_t *scratch;
    mt_act   act;                    /* shared operands of many rows */
    mt_lane *lane;                   /* by thread */
    float   *part;                   /* n_part areas of part_floats: chunks of a unit several threads share */
    size_t   part_floats;
    atomic_int *part_done;           /* chunks that lie there */
    int      n_part;
    float   *rope;                   /* (n_batch, 2, n_rope): cos, sin of each row's position */
    int32_t *row_seq;                /* n_batch: sequence of each row */
    uint8_t  *local;                 /* pages of keys and values that only this pass sees */
    uint32_t *local_page;            /* their numbers, ascending */
    int32_t  *local_first;           /* n_batch: first page of each sequence */
    mt_routing routing;
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
bool mt_plan_route(mt_plan *p, const mt_stage *s, mt_worker *w);
bool mt_plan_experts(mt_plan *p, const mt_stage *s, mt_worker *w);
void mt_plan_scan(mt_plan *p, const mt_stage *s, mt_worker *w);
void mt_plan_combine_row(const mt_plan *p, const mt_op *op, int i);

/* product.c: row i of input `in` of the stage prepared into row j of dst; panels [p0, p1) of matrix j of the
 * stage (of expert e) times the first n_row rows of act, into rows from row0 on. */
void mt_plan_lerp(const float *x, const float *y, const float *w, int64_t n, float *out);   /* x w + y (1 - w) */
void mt_plan_prepare(const mt_plan *p, const mt_stage *s, int in, int i, const mt_act *dst, int j, float *row);
void mt_plan_multiply(const mt_plan *p, const mt_stage *s, int j, int e, int64_t p0, int64_t p1, const mt_act *act,
                      int row0, int n_row, void *scratch);
int    mt_plan_panels(const mt_plan *p, const mt_op *op);     /* of one matrix */
mt_act mt_act_from(const mt_act *a, int row);

/* keys.c: where keys and values lie, and who sees which. */
typedef struct mt_seen { int64_t lo, hi, first_hi, window, limit; } mt_seen;
mt_kv_view mt_plan_view(const mt_plan *p, const mt_op *op, int seq);
size_t     mt_plan_local_bytes(const mt_plan *p, const mt_op *op);
int64_t    mt_plan_key_pos(const mt_plan *p, const mt_op *op, int i);    /* of row i, in its view */
/* Keys [lo, hi) that any of rows [row, row + n) of a sequence sees; the rest as mt_attend has it. */
mt_seen    mt_plan_seen(const mt_plan *p, const mt_op *op, int row, int n);
void       mt_plan_fill_bias(mt_plan *p);
void       mt_plan_put_row(const mt_plan *p, const mt_op *op, int i);    /* KV_PUT */
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
/* Width of a head, at most (kernel.h). */
enum { MT_ATTEND_DIM = 512 };

#endif

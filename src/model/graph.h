/* SPDX-License-Identifier: MIT */
/* graph.h - one forward pass as a list of fine operations; one graph, many executors.
 *
 * Single assignment: an op writes one new value (or a state slot) and nothing in place; values and
 * weights are named by id, never by pointer.  Rows of a value are a ragged concatenation of
 * sequences: row r belongs to a sequence and has a position in it; nothing is padded.  The batch
 * (mt_batch) says which at run time, so the graph is the same for one token and for a thousand.
 *
 * Executors: the exact interpreter (interp.c in plan/), the CPU plan, the printer; later the
 * backward pass, other devices and a split over machines. */
#ifndef MT_GRAPH_H
#define MT_GRAPH_H

#include "file/source.h"
#include "model/spec.h"

/* ---- weights: roles, bound to tensors ------------------------------------ */
/* A role is what a tensor does in the net; with a layer number and a stack it is one tensor. */
#define MT_ROLES(X)                                                                            \
    X(TOK_EMBD) X(POS_EMBD) X(TYPE_EMBD) X(EMBD_NORM)                                          \
    X(ATTN_NORM) X(ATTN_Q) X(ATTN_K) X(ATTN_V) X(ATTN_QKV) X(ATTN_OUT) X(ATTN_POST_NORM)       \
    X(ATTN_Q_NORM) X(ATTN_K_NORM) X(ATTN_REL_BIAS)                                             \
    X(CROSS_NORM) X(CROSS_Q) X(CROSS_K) X(CROSS_V) X(CROSS_OUT)                                \
    X(FFN_NORM) X(FFN_GATE) X(FFN_UP) X(FFN_DOWN) X(FFN_POST_NORM)                             \
    X(FFN_ROUTER) X(FFN_GATE_EXPS) X(FFN_UP_EXPS) X(FFN_DOWN_EXPS)                             \
    X(FINAL_NORM) X(HEAD) X(ROPE_FREQS)                                                        \
    X(MIX_K) X(MIX_V) X(MIX_R) X(DECAY) X(FIRST) X(TIME_K) X(TIME_V) X(TIME_R) X(TIME_OUT)     \
    X(CMIX_K) X(CMIX_R) X(CHAN_K) X(CHAN_V) X(CHAN_R)                                          \
    X(POOLER)
typedef enum mt_role {
#define X(name) MT_W_##name,
    MT_ROLES(X)
#undef X
    MT_ROLE_COUNT
} mt_role;

typedef enum mt_stack_id { MT_DEC, MT_ENC } mt_stack_id;
typedef struct mt_weight {
    mt_role role;
    mt_stack_id stack;
    int layer;                       /* -1: not in a layer */
    bool is_bias;                    /* the role's bias vector */
    const mt_tensor *tensor;         /* never NULL once bound */
} mt_weight;

/* ---- values -------------------------------------------------------------- */
typedef enum mt_rows {
    MT_ROWS_TOKEN,                   /* one per token of the batch */
    MT_ROWS_WANT,                    /* one per row whose output is wanted */
    MT_ROWS_ROUTED,                  /* n_expert_used per token, token-major */
    MT_ROWS_SEQ                      /* one per sequence */
} mt_rows;
typedef struct mt_value { mt_rows rows; int cols; } mt_value;      /* f32, row-major */

/* ---- state: what a sequence keeps between passes ------------------------- */
typedef enum mt_state_kind { MT_STATE_KV, MT_STATE_CROSS, MT_STATE_VECTOR } mt_state_kind;
typedef struct mt_state {
    mt_state_kind kind;
    int layer;
    int n_kv, head_dim, v_dim;       /* KV and CROSS: per position */
    int n;                           /* VECTOR: f32 values per sequence */
    float init;                      /* VECTOR: their first value */
} mt_state;

/* ---- operations ------------------------------------------------------------------------------
 * in[] are value ids, w[] weight ids (-1: none), out a value id (-1: none).  T = rows. */
#define MT_OPS(X)                                                                               \
    X(GATHER)      /* out[t] = w0[index(t) + offset] * scale; index by `source`              */ \
    X(NORM)        /* out = norm(in0; w0 weight, w1 bias); per group of `n` columns if n     */ \
    X(LINEAR)      /* out = in0 w0^T + w1                                                    */ \
    X(ADD)         /* out = in0 + in1                                                        */ \
    X(MUL)         /* out = in0 * in1                                                        */ \
    X(SCALE)       /* out = in0 * scale                                                      */ \
    X(ACT)         /* out = act(in0)                                                         */ \
    X(SOFTCAP)     /* out = scale * tanh(in0 / scale)                                        */ \
    X(SLICE)       /* out = columns [offset, offset + cols) of in0                           */ \
    X(ROPE)        /* out = in0 as (n_head, head_dim) turned by its position                 */ \
    X(ATTEND)      /* out = attention(q in0, k in1, v in2) over `state`; state -1: over the  */ \
                   /* rows of the same sequence in this pass; in1 = in2 = -1: over a CROSS   */ \
                   /* state only.  w0: relative bias (buckets, n_head)                       */ \
                   /* window w: keys less than w positions before the query, and with a full mask */ \
                   /* less than w behind it                                                  */ \
    X(KV_PUT)      /* keys in0, values in1 of every row into a CROSS `state`                 */ \
    X(ROUTE)       /* router scores in0 (T, n_expert) -> out (T, n_expert): softmax, all but */ \
                   /* the n_used best set to 0, renormalised and scaled as the fields say    */ \
    X(LINEAR_EXPERT) /* out (ROUTED) = in0 times the chosen expert's w0; in1 the route; in0  */ \
                   /* has TOKEN rows (shared by its experts) or ROUTED rows.  The experts of */ \
                   /* a token are the n_used largest of its route, lowest index among        */ \
                   /* equals; its ROUTED rows are theirs in ascending order of index         */ \
    X(COMBINE)     /* out (T) = sum over a token's routed rows in0 times their route in1     */ \
    X(SHIFT)       /* out[t] = in0[t - 1] of the same sequence; first row from VECTOR state  */ \
    X(LERP)        /* out = in0 * w0 + in1 * (1 - w0), per column                            */ \
    X(WKV4)        /* RWKV-4 scan: k in0, v in1, w0 decay, w1 first; VECTOR state a, b, m,   */ \
                   /* each as wide as k: q = max(m, k + w1)                                  */ \
                   /* out = (a e^(m-q) + v e^(k+w1-q)) / (b e^(m-q) + e^(k+w1-q)), then with */ \
                   /* f = m - e^w0 and m' = max(f, k):                                       */ \
                   /* a = a e^(f-m') + v e^(k-m'), b = b e^(f-m') + e^(k-m'), m = m'         */ \
    X(TAKE)        /* out (WANT) = the wanted rows of in0                                    */ \
    X(POOL)        /* out (SEQ) = first row, or mean of the rows, of each sequence of in0    */
typedef enum mt_op_kind {
#define X(name) MT_OP_##name,
    MT_OPS(X)
#undef X
    MT_OP_COUNT
} mt_op_kind;

typedef enum mt_index { MT_INDEX_ID, MT_INDEX_POSITION, MT_INDEX_TYPE } mt_index;

typedef struct mt_op {
    mt_op_kind kind;
    int in[3], w[2], out;
    int state;                       /* state id, -1: none */
    int layer;                       /* for people and profiles; -1 outside layers */
    union {
        struct { mt_index source; int offset; float scale; } gather;
        struct { mt_norm_kind kind; float eps, plus; int n; } norm;   /* n 0: whole row */
        struct { mt_act_kind kind; } act;
        struct { float factor; } scale;                               /* SCALE, SOFTCAP */
        struct { int offset; } slice;
        struct { int n_head, head_dim, rope_dim; bool is_pair; } rope;
        struct {
            int n_head, n_kv, head_dim, v_dim, window;
            mt_mask mask;
            float scale, softcap;
            mt_bias_fn bias_fn;
            int n_bucket, max_distance;
        } attend;
        struct { int n_used; bool renorm; float scale; } route;       /* and the expert ops */
        struct { mt_pool_kind kind; } pool;
    } u;
} mt_op;

typedef struct mt_graph {
    mt_op    *op;     int n_op;
    mt_value *value;  int n_value;
    int hidden;                      /* value behind the final norm, TOKEN rows */
    int output;                      /* logits (WANT rows) or pooled (SEQ rows); -1: none */
} mt_graph;

/* ---- a bound model: what executors take --------------------------------------------------------
 * Everything lives in `arena`.  dec is empty (n_op 0) for encoders, enc for decoders. */
typedef struct mt_net {
    mt_arena  *arena;
    const mt_source *source;
    mt_spec    spec;
    mt_graph   dec, enc;
    mt_weight *weight;  int n_weight;
    mt_state  *state;   int n_state;
    int        n_rope;               /* rope_dim / 2, 0: none */
    double    *rope_freq;            /* angle per position of each rotary pair; scaling applied */
    double     rope_mscale;          /* factor on cos and sin */
} mt_net;

/* Brings a source whose keys and names are the publisher's (is_foreign) into our vocabulary, in place.
 * EUNSUPPORTED names a model_type or class nobody here runs. */
mote_status mt_translate(mt_source *s, mote_error *err);
/* Llama 3's rotary scaling as other engines read it in a GGUF file: a tensor in place of four numbers. */
mote_status mt_hf_rope_to_divisors(mt_source *s, mote_error *err);
/* The way back, in place: keys of config.json, and the publisher's tensor names and order of rows. */
mote_status mt_publish(mt_source *s, mote_error *err);
/* Reads the family and its spec from the metadata, checks every hyper-parameter against its limits,
 * builds the graphs and binds every weight with its full shape.  EUNSUPPORTED names an
 * architecture nobody here runs; EFORMAT a missing key or tensor, or a wrong shape. */
mote_status mt_net_open(mt_net *out, const mt_source *s, mt_arena *arena, mote_error *err);
/* The graph as text, one op a line: "%12 = linear %11 blk.0.attn_q.weight (T, 576)". */
mote_status mt_net_print(const mt_net *net, mt_buf *out, mote_error *err);
const char *mt_op_name(mt_op_kind kind);
const char *mt_role_name(mt_role role);
/* Names of the family table's rows, NULL-terminated, for docs and messages. */
const char *const *mt_family_names(void);

/* ---- a batch: what one pass computes ------------------------------------- */
typedef struct mt_batch_seq { int row, n_row; int64_t pos; } mt_batch_seq;   /* first row, rows, position of the first */
typedef struct mt_batch {
    int n_row;
    const int32_t *id, *type;        /* n_row; type NULL: zeros */
    const int32_t *pos;              /* n_row: position of each row in its sequence */
    const mt_batch_seq *seq;  int n_seq;
    const int32_t *want;  int n_want;   /* row numbers, ascending */
} mt_batch;

/* T5's bucket of a relative position (key - query), as the paper's code has it. */
int mt_t5_bucket(int64_t relative, bool bidirectional, int n_bucket, int max_distance);
/* ALiBi's slope of head h of n. */
float mt_alibi_slope(int h, int n_head);

#endif

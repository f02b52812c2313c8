/* SPDX-License-Identifier: MIT */
/* print.c - the graph as text, one operation a line, in the order it runs.
 *
 *   %12 = linear %11 blk.0.attn_q.weight (T, 576)
 *
 * Behind the inputs stand the weights by their names in the file, the state, what else the
 * operation knows, and the shape: T rows of tokens, W wanted, R routed, S sequences. */
#include "model/build.h"

#include <stdio.h>

typedef struct printer {
    const mt_net *net;
    mt_buf *out;
    bool is_full;
} printer;

static void put(printer *p, const char *fmt, ...) MT_PRINTF(2, 3);
static void put(printer *p, const char *fmt, ...)
{
    char text[160];
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n > 0 && !mt_buf_put(p->out, text, MT_MIN((size_t)n, sizeof text - 1)))
        p->is_full = true;
}

const char *mt_op_name(mt_op_kind kind)
{
    static const char *const text[MT_OP_COUNT] = {
        [MT_OP_GATHER] = "gather", [MT_OP_NORM] = "norm", [MT_OP_LINEAR] = "linear",
        [MT_OP_ADD] = "add", [MT_OP_MUL] = "mul", [MT_OP_SCALE] = "scale", [MT_OP_ACT] = "act",
        [MT_OP_SOFTCAP] = "softcap", [MT_OP_SLICE] = "slice", [MT_OP_ROPE] = "rope",
        [MT_OP_ATTEND] = "attend", [MT_OP_KV_PUT] = "kv_put", [MT_OP_ROUTE] = "route",
        [MT_OP_LINEAR_EXPERT] = "linear_expert", [MT_OP_COMBINE] = "combine",
        [MT_OP_SHIFT] = "shift", [MT_OP_LERP] = "lerp", [MT_OP_WKV4] = "wkv4",
        [MT_OP_TAKE] = "take", [MT_OP_POOL] = "pool",
    };
    return text[kind];
}

static const char *act_name(mt_act_kind kind)
{
    switch (kind) {
    case MT_ACT_NONE: return "none";
    case MT_ACT_RELU: return "relu";
    case MT_ACT_RELU2: return "relu2";
    case MT_ACT_GELU_ERF: return "gelu_erf";
    case MT_ACT_GELU_TANH: return "gelu_tanh";
    case MT_ACT_QUICK_GELU: return "quick_gelu";
    case MT_ACT_SILU: return "silu";
    case MT_ACT_SIGMOID: return "sigmoid";
    case MT_ACT_TANH: return "tanh";
    }
    return "?";
}

static void put_attend(printer *p, const mt_op *op)
{
    static const char *const bias[] = { [MT_BIAS_NONE] = "", [MT_BIAS_ALIBI] = " alibi",
                                        [MT_BIAS_T5] = " t5" };
    put(p, " heads %d/%d x %d", op->u.attend.n_head, op->u.attend.n_kv, op->u.attend.head_dim);
    if (op->u.attend.v_dim != op->u.attend.head_dim) put(p, "/%d", op->u.attend.v_dim);
    put(p, " %s%s", op->u.attend.mask == MT_MASK_CAUSAL ? "causal" : "full",
        bias[op->u.attend.bias_fn]);
    if (op->u.attend.window > 0) put(p, " window %d", op->u.attend.window);
    if (op->u.attend.softcap != 0) put(p, " softcap %g", (double)op->u.attend.softcap);
    put(p, " scale %.6g", (double)op->u.attend.scale);
}

/* What an operation knows besides its inputs, weights and state. */
static void put_fields(printer *p, const mt_op *op)
{
    static const char *const index[] = { [MT_INDEX_ID] = "id", [MT_INDEX_POSITION] = "position",
                                         [MT_INDEX_TYPE] = "type" };
    switch (op->kind) {
    case MT_OP_GATHER:
        put(p, " by %s", index[op->u.gather.source]);
        if (op->u.gather.offset != 0) put(p, " + %d", op->u.gather.offset);
        if (op->u.gather.scale < 1 || op->u.gather.scale > 1)
            put(p, " x %.6g", (double)op->u.gather.scale);
        break;
    case MT_OP_NORM:
        put(p, " %s", op->u.norm.kind == MT_NORM_RMS ? "rms" : "layer");
        if (op->u.norm.n > 0) put(p, " by %d", op->u.norm.n);
        put(p, " eps %.3g", (double)op->u.norm.eps);
        break;
    case MT_OP_SCALE:
    case MT_OP_SOFTCAP: put(p, " %.6g", (double)op->u.scale.factor); break;
    case MT_OP_ACT: put(p, " %s", act_name(op->u.act.kind)); break;
    case MT_OP_SLICE: put(p, " from %d", op->u.slice.offset); break;
    case MT_OP_ROPE:
        put(p, " heads %d x %d %s %d", op->u.rope.n_head, op->u.rope.head_dim,
            op->u.rope.is_pair ? "pair" : "half", op->u.rope.rope_dim);
        break;
    case MT_OP_ATTEND: put_attend(p, op); break;
    case MT_OP_ROUTE:
        put(p, " best %d%s", op->u.route.n_used, op->u.route.renorm ? " renormalised" : "");
        break;
    case MT_OP_POOL: put(p, " %s", op->u.pool.kind == MT_POOL_MEAN ? "mean" : "first"); break;
    case MT_OP_LINEAR:
    case MT_OP_ADD:
    case MT_OP_MUL:
    case MT_OP_KV_PUT:
    case MT_OP_LINEAR_EXPERT:
    case MT_OP_COMBINE: case MT_OP_SHIFT: case MT_OP_LERP: case MT_OP_WKV4: case MT_OP_TAKE:
    case MT_OP_COUNT: break;
    }
}

static void put_op(printer *p, const mt_graph *g, const mt_op *op)
{
    static const char rows[] = {
        [MT_ROWS_TOKEN] = 'T', [MT_ROWS_WANT] = 'W', [MT_ROWS_ROUTED] = 'R', [MT_ROWS_SEQ] = 'S',
    };
    if (op->out >= 0) put(p, "%%%d = ", op->out);
    put(p, "%s", mt_op_name(op->kind));
    for (int i = 0; i < 3; i++)
        if (op->in[i] >= 0) put(p, " %%%d", op->in[i]);
    for (int i = 0; i < 2; i++)
        if (op->w[i] >= 0) put(p, " %s", p->net->weight[op->w[i]].tensor->name);
    if (op->state >= 0) put(p, " state %d", op->state);
    put_fields(p, op);
    if (op->out >= 0) put(p, " (%c, %d)", rows[g->value[op->out].rows], g->value[op->out].cols);
    put(p, "\n");
}

static void put_graph(printer *p, const char *title, const mt_graph *g)
{
    if (g->n_op == 0) return;
    put(p, "%s: %d operations, hidden %%%d", title, g->n_op, g->hidden);
    if (g->output >= 0) put(p, ", output %%%d", g->output);
    put(p, "\n");
    for (int i = 0; i < g->n_op; i++) put_op(p, g, &g->op[i]);
}

static void put_states(printer *p)
{
    for (int i = 0; i < p->net->n_state; i++) {
        const mt_state *s = &p->net->state[i];
        put(p, "state %d: layer %d ", i, s->layer);
        if (s->kind == MT_STATE_VECTOR)
            put(p, "vector %d from %g\n", s->n, (double)s->init);
        else
            put(p, "%s heads %d x %d + %d\n", s->kind == MT_STATE_KV ? "keys, values" : "cross",
                s->n_kv, s->head_dim, s->v_dim);
    }
}

mote_status mt_net_print(const mt_net *net, mt_buf *out, mote_error *err)
{
    printer p = { net, out, false };
    put_states(&p);
    put_graph(&p, "encoder", &net->enc);
    put_graph(&p, "decoder", &net->dec);
    if (p.is_full)
        MT_FAIL(err, MOTE_ENOMEM, "no memory to print %d operations",
                net->dec.n_op + net->enc.n_op);
    return MOTE_OK;
}

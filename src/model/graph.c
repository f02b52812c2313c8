/* SPDX-License-Identifier: MIT */
/* graph.c - the graph as a list that grows: one emit per operation, and mt_net_open.
 *
 * An emit appends one op and the value it makes, binding the weights it names; the shape rule
 * of every operation stands in its emit and nowhere else. */
#include "model/build.h"

#include <math.h>
#include <string.h>

/* ---- the builder --------------------------------------------------------- */

void mt_build_init(mt_builder *b, mt_net *net, mote_error *err)
{
    *b = (mt_builder){ .net = net, .spec = &net->spec, .layer = -1, .err = err };
    b->tok_embd = -1;
}

void mt_build_start(mt_builder *b, mt_stack_id stack)
{
    b->stack_id = stack;
    b->graph = stack == MT_ENC ? &b->net->enc : &b->net->dec;
    b->stack = stack == MT_ENC ? &b->spec->enc : &b->spec->dec;
    b->layer = -1;
    b->rel_bias = -1;
    b->cap_op = b->cap_value = 0;
    b->graph->hidden = b->graph->output = -1;
}

void *mt_grow(mt_builder *b, void *items, int n, int *cap, size_t item_bytes)
{
    if (n < *cap) return items;
    const int want = MT_MAX(64, *cap * 2);
    void *room = mt_arena_push_n(b->net->arena, (size_t)want, item_bytes);
    if (!room) {
        b->status = mt_fail(b->err, MOTE_ENOMEM, "no memory for a graph of %d entries", want);
        return items;
    }
    if (n > 0) memcpy(room, items, (size_t)n * item_bytes);
    *cap = want;
    return room;
}

int mt_add_state(mt_builder *b, mt_state state)
{
    mt_net *net = b->net;
    net->state = mt_grow(b, net->state, net->n_state, &b->cap_state, sizeof *net->state);
    if (b->status != MOTE_OK) return -1;
    state.layer = b->layer;
    net->state[net->n_state] = state;
    return net->n_state++;
}

/* Appends an op; cols 0: it makes no value. */
static int emit(mt_builder *b, mt_op op, mt_rows rows, int cols)
{
    mt_graph *g = b->graph;
    if (b->status == MOTE_OK) g->op = mt_grow(b, g->op, g->n_op, &b->cap_op, sizeof *g->op);
    if (b->status == MOTE_OK)
        g->value = mt_grow(b, g->value, g->n_value, &b->cap_value, sizeof *g->value);
    if (b->status != MOTE_OK) return -1;
    op.layer = b->layer;
    op.out = cols > 0 ? g->n_value : -1;
    g->op[g->n_op++] = op;
    if (cols > 0) g->value[g->n_value++] = (mt_value){ rows, cols };
    return op.out;
}

/* What emit needs of its inputs; harmless after a failure. */
static int cols_of(const mt_builder *b, int x)
{
    return b->status == MOTE_OK ? b->graph->value[x].cols : 1;
}

static mt_rows rows_of(const mt_builder *b, int x)
{
    return b->status == MOTE_OK ? b->graph->value[x].rows : MT_ROWS_TOKEN;
}

/* An op with one input and an output of the same shape. */
static int emit_like(mt_builder *b, int x, mt_op op)
{
    return emit(b, op, rows_of(b, x), cols_of(b, x));
}

/* ---- one function per operation ------------------------------------------ */

/* An op that names its inputs and nothing else yet. */
static mt_op op_of(mt_op_kind kind, int x, int y)
{
    return (mt_op){ .kind = kind, .in = { x, y, -1 }, .w = { -1, -1 }, .state = -1 };
}

int mt_emit_gather(mt_builder *b, int weight, mt_index source, int offset, float scale)
{
    mt_op op = op_of(MT_OP_GATHER, -1, -1);
    op.w[0] = weight;
    op.u.gather.source = source;
    op.u.gather.offset = offset;
    op.u.gather.scale = scale;
    return emit(b, op, MT_ROWS_TOKEN, b->spec->n_embd);
}

static int emit_norm(mt_builder *b, int x, mt_role role, int group)
{
    const mt_spec *s = b->spec;
    const int n = group ? group : cols_of(b, x);
    mt_op op = op_of(MT_OP_NORM, x, -1);
    op.w[0] = mt_bind(b, role, b->layer, false, n, 1, 1);
    if (s->norm == MT_NORM_LAYER) op.w[1] = mt_bind(b, role, b->layer, true, n, 1, 1);
    op.u.norm.kind = s->norm;
    op.u.norm.eps = s->eps;
    op.u.norm.plus = s->norm_plus;
    op.u.norm.n = group;
    return emit_like(b, x, op);
}

int mt_emit_norm(mt_builder *b, int x, mt_role role) { return emit_norm(b, x, role, 0); }

int mt_emit_head_norm(mt_builder *b, int x, mt_role role, int head_dim)
{
    return emit_norm(b, x, role, head_dim);
}

int mt_emit_linear_by(mt_builder *b, int x, int weight, int bias, int n_out)
{
    mt_op op = op_of(MT_OP_LINEAR, x, -1);
    op.w[0] = weight;
    op.w[1] = bias;
    return emit(b, op, rows_of(b, x), n_out);
}

int mt_emit_linear(mt_builder *b, int x, mt_role role, int n_out, bool has_bias)
{
    const int weight = mt_bind(b, role, b->layer, false, cols_of(b, x), n_out, 1);
    const int bias = has_bias ? mt_bind(b, role, b->layer, true, n_out, 1, 1) : -1;
    return mt_emit_linear_by(b, x, weight, bias, n_out);
}

int mt_emit_add(mt_builder *b, int x, int y) { return emit_like(b, x, op_of(MT_OP_ADD, x, y)); }

int mt_emit_mul(mt_builder *b, int x, int y) { return emit_like(b, x, op_of(MT_OP_MUL, x, y)); }

int mt_emit_scale(mt_builder *b, int x, float factor)
{
    mt_op op = op_of(MT_OP_SCALE, x, -1);
    op.u.scale.factor = factor;
    return emit_like(b, x, op);
}

int mt_emit_softcap(mt_builder *b, int x, float cap)
{
    mt_op op = op_of(MT_OP_SOFTCAP, x, -1);
    op.u.scale.factor = cap;
    return emit_like(b, x, op);
}

int mt_emit_act(mt_builder *b, int x, mt_act_kind kind)
{
    mt_op op = op_of(MT_OP_ACT, x, -1);
    op.u.act.kind = kind;
    return emit_like(b, x, op);
}

int mt_emit_slice(mt_builder *b, int x, int offset, int cols)
{
    mt_op op = op_of(MT_OP_SLICE, x, -1);
    op.u.slice.offset = offset;
    return emit(b, op, rows_of(b, x), cols);
}

int mt_emit_rope(mt_builder *b, int x, int n_head)
{
    mt_op op = op_of(MT_OP_ROPE, x, -1);
    op.u.rope.n_head = n_head;
    op.u.rope.head_dim = b->spec->head_dim;
    op.u.rope.rope_dim = b->spec->rope_dim;
    op.u.rope.is_pair = b->spec->rope == MT_ROPE_PAIR;
    return emit_like(b, x, op);
}

/* Attention of q to what the caller has set in op: rows of this pass, a state, or both. */
static int emit_attend(mt_builder *b, mt_op op)
{
    const mt_spec *s = b->spec;
    const int l = b->layer;
    const double scale = s->attn_scale != 0 ? (double)s->attn_scale : 1.0 / sqrt(s->head_dim);
    op.u.attend.n_head = b->stack->n_head[l];
    op.u.attend.n_kv = b->stack->n_kv[l];
    op.u.attend.head_dim = s->head_dim;
    op.u.attend.v_dim = s->v_dim;
    op.u.attend.scale = (float)(s->attn_scale_by_layer ? scale / (l + 1) : scale);
    op.u.attend.softcap = s->attn_softcap;
    return emit(b, op, MT_ROWS_TOKEN, op.u.attend.n_head * s->v_dim);
}

int mt_emit_attend(mt_builder *b, int q, int k, int v, int state)
{
    const mt_spec *s = b->spec;
    mt_op op = op_of(MT_OP_ATTEND, q, k);
    op.in[2] = v;
    op.state = state;
    op.u.attend.mask = b->stack->mask;
    op.u.attend.window = b->stack->window[b->layer];
    op.u.attend.bias_fn = s->bias_fn;
    if (s->bias_fn == MT_BIAS_T5) {  /* one table in the first layer serves the whole stack */
        if (b->rel_bias < 0)
            b->rel_bias =
                mt_bind(b, MT_W_ATTN_REL_BIAS, 0, false, b->stack->n_head[0], s->n_bucket, 1);
        op.w[0] = b->rel_bias;
        op.u.attend.n_bucket = s->n_bucket;
        op.u.attend.max_distance = s->max_distance;
    }
    return emit_attend(b, op);
}

int mt_emit_cross(mt_builder *b, int q, int state)
{
    mt_op op = op_of(MT_OP_ATTEND, q, -1);
    op.state = state;
    op.u.attend.mask = MT_MASK_FULL;
    op.u.attend.bias_fn = MT_BIAS_NONE;
    return emit_attend(b, op);
}

void mt_emit_kv_put(mt_builder *b, int k, int v, int state)
{
    mt_op op = op_of(MT_OP_KV_PUT, k, v);
    op.state = state;
    emit(b, op, MT_ROWS_TOKEN, 0);
}

/* The expert ops share u.route, so that each of them can tell which experts were chosen. */
static mt_op expert_op(const mt_builder *b, mt_op_kind kind, int x, int route)
{
    const mt_spec *s = b->spec;
    mt_op op = op_of(kind, x, route);
    op.u.route.n_used = s->n_expert_used;
    op.u.route.renorm = s->expert_renorm;
    op.u.route.scale = s->expert_scale != 0 ? s->expert_scale : 1.0f;
    return op;
}

int mt_emit_route(mt_builder *b, int scores)
{
    return emit_like(b, scores, expert_op(b, MT_OP_ROUTE, scores, -1));
}

int mt_emit_expert(mt_builder *b, int x, int route, mt_role role, int n_out)
{
    mt_op op = expert_op(b, MT_OP_LINEAR_EXPERT, x, route);
    op.w[0] = mt_bind(b, role, b->layer, false, cols_of(b, x), n_out, b->spec->n_expert);
    return emit(b, op, MT_ROWS_ROUTED, n_out);
}

int mt_emit_combine(mt_builder *b, int x, int route)
{
    return emit(b, expert_op(b, MT_OP_COMBINE, x, route), MT_ROWS_TOKEN, cols_of(b, x));
}

int mt_emit_shift(mt_builder *b, int x)
{
    mt_op op = op_of(MT_OP_SHIFT, x, -1);
    op.state = mt_add_state(b, (mt_state){ .kind = MT_STATE_VECTOR, .n = cols_of(b, x) });
    return emit_like(b, x, op);
}

int mt_emit_lerp(mt_builder *b, int x, int y, mt_role role)
{
    mt_op op = op_of(MT_OP_LERP, x, y);
    op.w[0] = mt_bind(b, role, b->layer, false, cols_of(b, x), 1, 1);
    return emit_like(b, x, op);
}

int mt_emit_wkv4(mt_builder *b, int k, int v)
{
    const int n = cols_of(b, k);
    mt_op op = op_of(MT_OP_WKV4, k, v);
    op.w[0] = mt_bind(b, MT_W_DECAY, b->layer, false, n, 1, 1);
    op.w[1] = mt_bind(b, MT_W_FIRST, b->layer, false, n, 1, 1);
    /* a, b and m alike: a and b of the start weigh exp(-1e30) = 0, so any finite value serves
     */
    const mt_state abm = { .kind = MT_STATE_VECTOR, .n = 3 * n, .init = -1e30f };
    op.state = mt_add_state(b, abm);
    return emit_like(b, k, op);
}

int mt_emit_take(mt_builder *b, int x)
{
    return emit(b, op_of(MT_OP_TAKE, x, -1), MT_ROWS_WANT, cols_of(b, x));
}

int mt_emit_pool(mt_builder *b, int x)
{
    mt_op op = op_of(MT_OP_POOL, x, -1);
    op.u.pool.kind = b->spec->pool;
    return emit(b, op, MT_ROWS_SEQ, cols_of(b, x));
}

/* ---- the net ------------------------------------------------------------- */

static mote_status build_rope(mt_builder *b)
{
    const mt_spec *s = b->spec;
    const mt_tensor *divisors = NULL;
    if (s->rope == MT_ROPE_NONE) return MOTE_OK;
    if (mt_has_tensor(b->net->source, s->topology, b->stack_id, MT_W_ROPE_FREQS, -1, false)) {
        const int id = mt_bind(b, MT_W_ROPE_FREQS, -1, false, s->rope_dim / 2, 1, 1);
        MT_TRY(b->status);
        divisors = b->net->weight[id].tensor;
    }
    return mt_rope_build(b->net, divisors, b->err);
}

/* A tensor that no role asks for is a sign that the file holds more than we compute. */
static mote_status warn_of_unused(mt_net *net, mote_error *err)
{
    const mt_source *s = net->source;
    const mt_arena_mark mark = mt_arena_mark_get(net->arena);
    bool *is_used = mt_arena_push_n(net->arena, s->n_tensor, sizeof *is_used);
    size_t n_unused = 0, first = 0;
    if (!is_used) MT_FAIL(err, MOTE_ENOMEM, "no memory for a list of %zu tensors", s->n_tensor);
    for (int i = 0; i < net->n_weight; i++) is_used[net->weight[i].tensor - s->tensor] = true;
    for (size_t i = s->n_tensor; i-- > 0;) {
        if (is_used[i]) continue;
        n_unused++;
        first = i;
    }
    mt_arena_rewind(net->arena, mark);
    if (n_unused > 0)
        mt_log(1, "%s: %zu tensors are not used, the first is %s", mt_path_end(s->path),
               n_unused, s->tensor[first].name);
    return MOTE_OK;
}

mote_status mt_net_open(mt_net *out, const mt_source *s, mt_arena *arena, mote_error *err)
{
    mt_builder b;
    memset(out, 0, sizeof *out);
    out->arena = arena;
    out->source = s;
    out->rope_mscale = 1;
    out->dec.hidden = out->dec.output = out->enc.hidden = out->enc.output = -1;
    MT_TRY(mt_spec_read(&out->spec, s, arena, err));
    mt_build_init(&b, out, err);
    switch (out->spec.topology) {
    case MT_TOPO_DECODER: mt_build_decoder(&b); break;
    case MT_TOPO_ENCODER: mt_build_encoder(&b); break;
    case MT_TOPO_ENCDEC: mt_build_encdec(&b); break;
    case MT_TOPO_RWKV4: mt_build_rwkv4(&b); break;
    }
    MT_TRY(b.status);
    MT_TRY(build_rope(&b));
    return warn_of_unused(out, err);
}

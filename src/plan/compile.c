/* SPDX-License-Identifier: MIT */
/* compile.c - from a graph of fine ops to a short list of fused stages.
 *
 * What fuses is decided by who reads a value, never by what the model is called:
 *   a norm, activation or mix that only products read  -> their prologue (norm + quantise once)
 *   products of one input, or of mixes of one pair -> one stage (q k v; gate up; RWKV's k v r)
 *   a product that only a sum reads               -> added in place (residual)
 *   rotations that only attention reads           -> the attention stage
 *   a slice                                       -> a view
 *   ops that work row by row, one behind the other -> one stage, no barrier between
 * Everything else is a stage of its own.  For the Llama shape that leaves five stages a layer. */
#include <string.h>

#include "plan/stage.h"

/* Per value: how many ops read it, and by which ops it is written. */
typedef struct usage {
    int n_use;
    const mt_op *writer, *reader;    /* reader: the last one in graph order */
    bool only_products;              /* every reader multiplies it by a matrix */
} usage;

typedef struct compiler {
    mt_plan *p;
    const mt_graph *g;
    usage *use;                      /* by value */
    bool  *done;                     /* by op: already part of a stage */
    int   *alias;                    /* by value: shares the slot of that value; itself otherwise */
} compiler;

static bool is_product(const mt_op *op) { return op->kind == MT_OP_LINEAR || op->kind == MT_OP_LINEAR_EXPERT; }

static void count_uses(compiler *c)
{
    for (int v = 0; v < c->g->n_value; v++) c->use[v].only_products = true;
    for (int i = 0; i < c->g->n_op; i++) {
        const mt_op *op = &c->g->op[i];
        if (op->out >= 0) c->use[op->out].writer = op;
        for (int j = 0; j < 3; j++) {
            if (op->in[j] < 0) continue;
            usage *u = &c->use[op->in[j]];
            u->n_use++, u->reader = op;
            if (!is_product(op) || j > 0) u->only_products = false;
        }
    }
}

static mt_operand operand_of(const mt_plan *p, const mt_op *linear)
{
    const mt_layout lay = p->weights->item[linear->w[0]].layout;
    if (p->opts.exact) return MT_OPERAND_F32;
    if (mt_layouts[lay].is_quant) return MT_OPERAND_Q8;
    return lay == MT_LAY_BF16 ? MT_OPERAND_BF16 : MT_OPERAND_F32;
}

static int op_index(const compiler *c, const mt_op *op) { return (int)(op - c->g->op); }

/* Whether value v never needs memory: it becomes the prologue of the products that read it. */
static bool is_prologue(const compiler *c, int v)
{
    const usage *u = &c->use[v];
    if (u->n_use == 0 || !u->only_products || v == c->g->hidden || v == c->g->output) return false;
    const mt_op *w = u->writer;
    if (!w) return false;
    if (w->kind == MT_OP_NORM) return w->u.norm.n == 0;
    if (w->kind == MT_OP_ACT || w->kind == MT_OP_LERP) return true;
    if (w->kind != MT_OP_MUL) return false;
    const mt_op *act = c->use[w->in[0]].writer;
    return act && act->kind == MT_OP_ACT && c->use[w->in[0]].n_use == 1;
}

/* An activation that only the product of a gate reads is part of that prologue. */
static bool is_gate_act(const compiler *c, const mt_op *op)
{
    if (op->kind != MT_OP_ACT || c->use[op->out].n_use != 1) return false;
    const mt_op *mul = c->use[op->out].reader;
    return mul->kind == MT_OP_MUL && mul->in[0] == op->out && is_prologue(c, mul->out);
}

/* A rotation that only attention reads, as its q or k. */
static bool is_attend_rope(const compiler *c, const mt_op *op)
{
    if (op->kind != MT_OP_ROPE || c->use[op->out].n_use != 1 || c->use[op->in[0]].n_use != 1) return false;
    const mt_op *a = c->use[op->out].reader;
    return a->kind == MT_OP_ATTEND && (a->in[0] == op->out || a->in[1] == op->out);
}

static void set_prologue(const compiler *c, mt_stage *s, int input)
{
    s->prologue = MT_PRO_NONE, s->src[0] = input, s->src[1] = -1, s->n_in = 1;
    if (!is_prologue(c, input)) return;
    const mt_op *w = c->use[input].writer;
    switch (w->kind) {
    case MT_OP_NORM: s->prologue = MT_PRO_NORM, s->pro_op[0] = w, s->src[0] = w->in[0]; return;
    case MT_OP_ACT: s->prologue = MT_PRO_ACT, s->pro_op[0] = w, s->src[0] = w->in[0]; return;
    case MT_OP_LERP: s->prologue = MT_PRO_LERP, s->pro_op[0] = w, s->src[0] = w->in[0], s->src[1] = w->in[1]; return;
    default:
        s->prologue = MT_PRO_ACT_MUL, s->pro_op[0] = c->use[w->in[0]].writer;
        s->src[0] = s->pro_op[0]->in[0], s->src[1] = w->in[1];
    }
}

/* Whether every stage that reads value v, apart from the op `but`, stands before stage s: nobody
 * would notice if s wrote over it.  A reader that became a prologue reads when its products run. */
static bool is_settled(const compiler *c, const mt_stage *s, int v, const mt_op *but)
{
    for (int i = op_index(c, c->use[v].writer) + 1; i < op_index(c, but); i++) {
        const mt_op *op = &c->g->op[i];
        if (op->in[0] != v && op->in[1] != v && op->in[2] != v) continue;
        if (op->out >= 0 && (is_prologue(c, op->out) || is_gate_act(c, op))) {
            const int pro = is_gate_act(c, op) ? c->use[op->out].reader->out : op->out;
            const int last = op_index(c, c->use[pro].reader);
            for (int j = i + 1; j <= last; j++)
                if (is_product(&c->g->op[j]) && c->g->op[j].in[0] == pro && !c->done[j]) return false;
        } else if (i >= op_index(c, s->op)) {
            return false;
        }
    }
    return true;
}

/* Whether the product `op` may add into the buffer of the sum that alone reads it: the other
 * summand is already computed, nobody reads it later, and it is not what this stage reads. */
static const mt_op *fusable_sum(const compiler *c, const mt_stage *s, const mt_op *op)
{
    if (op->kind != MT_OP_LINEAR || c->use[op->out].n_use != 1) return NULL;
    const mt_op *sum = c->use[op->out].reader;
    if (sum->kind != MT_OP_ADD) return NULL;
    const int other = sum->in[0] == op->out ? sum->in[1] : sum->in[0];
    const mt_op *writer = c->use[other].writer;
    if (other == op->out || !writer || c->use[other].reader != sum) return NULL;
    if (op_index(c, writer) >= op_index(c, s->op) || writer->kind == MT_OP_SLICE) return NULL;
    if (other == s->src[0] || other == s->src[1] || is_prologue(c, other)) return NULL;
    if (c->g->value[other].rows != c->g->value[op->out].rows || other == c->g->hidden) return NULL;
    return is_settled(c, s, other, sum) ? sum : NULL;
}

/* Whether two matrices take their input's columns in one order, so that it is prepared once. */
static bool is_same_order(const mt_plan *p, const mt_op *a, const mt_op *b)
{
    const mt_packed *x = &p->weights->item[a->w[0]], *y = &p->weights->item[b->w[0]];
    if (!x->order || !y->order) return x->order == y->order;
    return x->k == y->k && memcmp(x->order, y->order, (size_t)x->k * sizeof *x->order) == 0;
}

/* Which input of the stage a product reads; a further mix of its two values becomes one.  -1: none. */
static int input_of(const compiler *c, mt_stage *s, const mt_op *first, const mt_op *op)
{
    if (op->kind != first->kind || op->in[1] != first->in[1]) return -1;
    if (op->in[0] == first->in[0]) return 0;
    if (s->prologue != MT_PRO_LERP || !is_prologue(c, op->in[0])) return -1;
    const mt_op *mix = c->use[op->in[0]].writer;
    if (mix->kind != MT_OP_LERP || mix->in[0] != s->src[0] || mix->in[1] != s->src[1]) return -1;
    for (int i = 0; i < s->n_in; i++)
        if (s->pro_op[i] == mix) return i;
    s->pro_op[s->n_in] = mix;
    return s->n_in++;
}

static void lower_products(compiler *c, mt_stage *s, const mt_op *first)
{
    s->kind = MT_STAGE_PRODUCT;
    s->operand = operand_of(c->p, first);
    set_prologue(c, s, first->in[0]);
    for (int i = op_index(c, first); i < c->g->n_op && s->n_mat < MT_MAX_GROUP; i++) {
        const mt_op *op = &c->g->op[i];
        if (!is_product(op) || c->done[i] || operand_of(c->p, op) != s->operand) continue;
        if (!is_same_order(c->p, op, first)) continue;
        const int in = input_of(c, s, first, op);
        if (in < 0) continue;
        const mt_op *sum = fusable_sum(c, s, op);
        s->mat[s->n_mat] = op, s->in_of[s->n_mat] = in;
        s->add[s->n_mat] = sum != NULL;
        s->out[s->n_mat] = sum ? sum->out : op->out;
        if (op->out == c->g->output) s->is_head = c->p->has_fused_best = true;
        s->n_mat++;
        c->done[i] = true;
        if (!sum) continue;
        const int other = sum->in[0] == op->out ? sum->in[1] : sum->in[0];
        c->alias[sum->out] = c->alias[other];
        c->done[op_index(c, sum)] = true;
    }
}

/* The table that the op adds to its scores; layers share one. */
static int bias_table(mt_plan *p, const mt_op *op)
{
    if (op->u.attend.bias_fn == MT_BIAS_NONE) return -1;
    for (int i = 0; i < p->n_bias; i++) {
        const mt_op *o = p->bias[i].op;
        if (o->u.attend.bias_fn == op->u.attend.bias_fn && o->w[0] == op->w[0] && o->u.attend.mask == op->u.attend.mask &&
            o->u.attend.n_head == op->u.attend.n_head) return i;
    }
    const size_t n = (size_t)p->opts.n_ctx;
    p->bias[p->n_bias] = (mt_bias_table){.op = op, .ld = op->u.attend.mask == MT_MASK_FULL ? 2 * n : n, .mid = n - 1};
    return p->n_bias++;
}

static void lower_attend(compiler *c, mt_stage *s, const mt_op *op)
{
    s->kind = MT_STAGE_ATTEND;
    s->q = op->in[0], s->k = op->in[1], s->v = op->in[2];
    const mt_op *rq = c->use[s->q].writer, *rk = s->k < 0 ? NULL : c->use[s->k].writer;
    if (rq && is_attend_rope(c, rq)) s->rope_q = rq, s->q = rq->in[0];
    if (rk && is_attend_rope(c, rk)) s->rope_k = rk, s->k = rk->in[0];
    s->bias = bias_table(c->p, op);
}

/* Whether row i of what the op makes needs only row i of what it reads, or rows that an earlier stage made. */
static bool is_by_row(const mt_op *op)
{
    switch (op->kind) {
    case MT_OP_GATHER: case MT_OP_NORM: case MT_OP_ADD: case MT_OP_MUL: case MT_OP_SCALE: case MT_OP_ACT:
    case MT_OP_SOFTCAP: case MT_OP_ROPE: case MT_OP_KV_PUT: case MT_OP_COMBINE: case MT_OP_LERP: case MT_OP_TAKE:
    case MT_OP_POOL:
        return true;
    case MT_OP_LINEAR: case MT_OP_SLICE: case MT_OP_ATTEND: case MT_OP_ROUTE: case MT_OP_LINEAR_EXPERT:
    case MT_OP_SHIFT: case MT_OP_WKV4: case MT_OP_COUNT:
        return false;
    }
    return false;
}

/* Adds the op to the stage before, if that has room and makes rows of the same kind. */
static bool joins_rows(mt_stage *s, const mt_op *op, mt_rows rows)
{
    if (!is_by_row(op) || s->kind != MT_STAGE_ROWS || s->rows != rows || s->n_row_op == MT_MAX_ROW_OPS) return false;
    s->row_op[s->n_row_op++] = op;
    return true;
}

static void lower_one(compiler *c, mt_stage *s, const mt_op *op)
{
    switch (op->kind) {
    case MT_OP_LINEAR: case MT_OP_LINEAR_EXPERT: lower_products(c, s, op); return;
    case MT_OP_ATTEND: lower_attend(c, s, op); return;
    case MT_OP_SHIFT: case MT_OP_WKV4: s->kind = MT_STAGE_SCAN; return;
    case MT_OP_ROUTE: s->kind = MT_STAGE_ROUTE; return;
    default:                         /* by row */
        s->kind = MT_STAGE_ROWS, s->row_op[0] = op, s->n_row_op = 1;
    }
}

/* Rows that only the head has: it runs for what is wanted, perhaps several times behind one body. */
static bool is_of_head(mt_rows rows) { return rows == MT_ROWS_WANT || rows == MT_ROWS_SEQ; }

static void make_view(compiler *c, const mt_op *op)
{
    mt_slot *v = &c->p->slot[op->out];
    const mt_slot *of = &c->p->slot[op->in[0]];
    v->root = of->root, v->column = of->column + op->u.slice.offset;
}

/* What files may say but kernels do not take. */
static mote_status check_op(const mt_plan *p, const mt_op *op, mote_error *err)
{
    if (is_product(op) && !p->weights->item[op->w[0]].w)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "tensor %s: a matrix of one row cannot be multiplied yet",
                p->net->weight[op->w[0]].tensor->name);
    if (op->kind != MT_OP_ATTEND) return MOTE_OK;
    const int group = op->u.attend.n_head / op->u.attend.n_kv, widest = MT_MAX(op->u.attend.head_dim, op->u.attend.v_dim);
    if (widest > MT_ATTEND_DIM)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "attention heads have %d values, at most %d can run", widest, MT_ATTEND_DIM);
    if (group > MT_ATTEND_ROWS)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "%d query heads share a head of keys, at most %d can run", group, MT_ATTEND_ROWS);
    return MOTE_OK;
}

static mote_status lower(compiler *c, mote_error *err)
{
    mt_plan *p = c->p;
    p->stage = mt_arena_push_n(&p->arena, (size_t)c->g->n_op, sizeof *p->stage);
    p->bias = mt_arena_push_n(&p->arena, (size_t)c->g->n_op, sizeof *p->bias);
    if (!p->stage || !p->bias) MT_FAIL(err, MOTE_ENOMEM, "plan: no memory for %d stages", c->g->n_op);
    p->head = -1;
    for (int i = 0; i < c->g->n_op; i++) {
        const mt_op *op = &c->g->op[i];
        MT_TRY(check_op(p, op, err));
        if (c->done[i] || (op->out >= 0 && is_prologue(c, op->out))) continue;
        if (is_gate_act(c, op) || is_attend_rope(c, op)) continue;
        if (op->kind == MT_OP_SLICE) {
            make_view(c, op);
            continue;
        }
        const mt_rows rows = op->out < 0 ? MT_ROWS_TOKEN : c->g->value[op->out].rows;
        if (p->n_stage > 0 && joins_rows(&p->stage[p->n_stage - 1], op, rows)) continue;
        mt_stage *s = &p->stage[p->n_stage];
        s->op = op, s->rows = rows;
        lower_one(c, s, op);
        if (op->kind == MT_OP_ROUTE) {
            p->routing.n_used = MT_MAX(p->routing.n_used, op->u.route.n_used);
            p->routing.n_expert = MT_MAX(p->routing.n_expert, c->g->value[op->out].cols);
        }
        if (p->head < 0 && is_of_head(s->rows)) p->head = p->n_stage;
        if (p->head >= 0 && !is_of_head(s->rows))
            MT_FAIL(err, MOTE_EUNSUPPORTED, "plan: operation %s follows the head", mt_op_name(op->kind));
        p->n_stage++;
    }
    if (p->head < 0) p->head = p->n_stage;
    return MOTE_OK;
}

/* ---- buffers --------------------------------------------------------------------------------- */

static int storage_of(const compiler *c, int v) { return c->alias[c->p->slot[v].root]; }

static void touch(compiler *c, int v, int stage, bool is_write)
{
    if (v < 0) return;
    mt_slot *s = &c->p->slot[storage_of(c, v)];
    if (is_write && s->first < 0) s->first = stage;
    s->last = MT_MAX(s->last, stage);
}

static void touch_op(compiler *c, const mt_op *op, int stage)
{
    for (int j = 0; j < 3; j++) touch(c, op->in[j], stage, false);
    touch(c, op->out, stage, true);
}

static void touch_stage(compiler *c, const mt_stage *s, int i)
{
    switch (s->kind) {
    case MT_STAGE_ROWS:
        for (int j = 0; j < s->n_row_op; j++) touch_op(c, s->row_op[j], i);
        break;
    case MT_STAGE_SCAN: case MT_STAGE_ROUTE: touch_op(c, s->op, i); break;
    case MT_STAGE_PRODUCT:
        touch(c, s->src[0], i, false);
        touch(c, s->src[1], i, false);
        for (int j = 0; j < s->n_mat; j++) touch(c, s->out[j], i, true);
        break;
    case MT_STAGE_ATTEND:
        touch(c, s->q, i, false), touch(c, s->k, i, false), touch(c, s->v, i, false);
        touch(c, s->op->out, i, true);
        break;
    }
}

/* First fit by offset among the values alive at the same time.  A value written in a stage never
 * takes the place of one read in it. */
static size_t place_value(const compiler *c, int v, const int *placed, int n_placed)
{
    const mt_slot *slot = c->p->slot, *me = &slot[v];
    size_t at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < n_placed; i++) {
            const mt_slot *o = &slot[placed[i]];
            const bool together = o->first <= me->last && me->first <= o->last;
            if (together && at < o->offset + o->bytes && o->offset < at + me->bytes)
                at = o->offset + o->bytes, moved = true;
        }
    }
    return at;
}

static mote_status place_values(compiler *c, mote_error *err)
{
    mt_plan *p = c->p;
    for (int i = 0; i < p->n_stage; i++) touch_stage(c, &p->stage[i], i);
    /* what outsiders read, and what the head reads each time it runs again, stays to the end */
    if (c->g->hidden >= 0 && p->slot[storage_of(c, c->g->hidden)].last >= 0)
        p->slot[storage_of(c, c->g->hidden)].last = p->n_stage;
    for (int i = p->head; i < p->n_stage; i++)
        if (p->stage[i].op->kind == MT_OP_TAKE || p->stage[i].op->kind == MT_OP_POOL)
            touch(c, p->stage[i].op->in[0], p->n_stage, false);
    int *placed = mt_arena_push_n(&p->arena, (size_t)c->g->n_value, sizeof *placed);
    if (!placed) MT_FAIL(err, MOTE_ENOMEM, "plan: no memory for %d values", c->g->n_value);
    int n_placed = 0;
    for (int v = 0; v < c->g->n_value; v++) {
        mt_slot *s = &p->slot[v];
        if (storage_of(c, v) != v || s->last < 0 || v == c->g->output) continue;
        const size_t rows = (size_t)p->opts.n_batch * (size_t)(c->g->value[v].rows == MT_ROWS_ROUTED ? p->routing.n_used : 1);
        s->bytes = mt_pad(rows * (size_t)c->g->value[v].cols * sizeof(float), MT_ALIGN);
        s->offset = place_value(c, v, placed, n_placed);
        placed[n_placed++] = v;
        p->values_bytes = MT_MAX(p->values_bytes, s->offset + s->bytes);
    }
    /* what shares a slot reads the same bytes; views start at their column */
    for (int v = 0; v < c->g->n_value; v++) p->slot[v].offset = p->slot[storage_of(c, v)].offset;
    return MOTE_OK;
}

/* ---- pages, operands, scratch ------------------------------------------------------------------- */

static mote_status lay_out_page(mt_plan *p, mote_error *err)
{
    const size_t n = (size_t)MT_MAX(p->net->n_state, 1);
    p->k_off = mt_arena_push_n(&p->arena, n, sizeof *p->k_off);
    p->v_off = mt_arena_push_n(&p->arena, n, sizeof *p->v_off);
    if (!p->k_off || !p->v_off) MT_FAIL(err, MOTE_ENOMEM, "plan: no memory for the page layout");
    size_t at[2] = {0, 0};           /* own pages, cross pages: either in a slab */
    for (int i = 0; i < p->net->n_state; i++) {
        const mt_state *s = &p->net->state[i];
        if (s->kind == MT_STATE_VECTOR) {
            p->k_off[i] = p->vector_floats, p->vector_floats += (size_t)s->n;
            continue;
        }
        size_t *end = &at[s->kind == MT_STATE_CROSS];
        p->k_off[i] = *end;
        p->v_off[i] = *end + (size_t)(s->n_kv * MT_SLAB) * mt_kv_k_bytes(p->opts.kv, s->head_dim);
        *end = p->v_off[i] + (size_t)(s->n_kv * MT_SLAB) * mt_kv_v_bytes(p->opts.kv, s->v_dim);
    }
    p->page_bytes = mt_pad(MT_MAX(MT_MAX(at[0], at[1]), 1), 4096) / MT_SLAB;
    return MOTE_OK;
}

/* Bytes of one prepared row: x, q, scales, sums, the values kept out, each aligned, with slack. */
static size_t act_row_bytes(int k)
{
    return mt_pad((size_t)k * 4 + MT_ALIGN, MT_ALIGN) + mt_pad((size_t)k + MT_ALIGN, MT_ALIGN) +
           mt_pad((size_t)k / 8 + MT_ALIGN, MT_ALIGN) + mt_pad((size_t)k / 4 + MT_ALIGN, MT_ALIGN) +
           2 * mt_pad(MT_TOP * 4, MT_ALIGN);
}

/* Scratch of an attention stage on one thread: the kernel's, then a copy of the queries of a head. */
static size_t measure_attend(mt_plan *p, const mt_op *op)
{
    const int group = op->u.attend.n_head / op->u.attend.n_kv, v_dim = op->u.attend.v_dim;
    const int rows = MT_MIN(MT_MIN(MT_BLOCK_ROWS, p->opts.n_batch) * group, MT_ATTEND_ROWS);
    const int part_rows = MT_MIN(MT_MIN(MT_PART_ROWS, p->opts.n_batch) * group, MT_ATTEND_ROWS);
    const size_t n_chunk = (size_t)(p->opts.n_ctx / MT_CHUNK + 1);
    p->part_floats = MT_MAX(p->part_floats, mt_pad(n_chunk * (size_t)part_rows * mt_attend_part(v_dim), MT_PAGE));
    const size_t bytes = mt_pad(mt_attend_scratch(rows, op->u.attend.head_dim, v_dim), MT_ALIGN);
    p->attend_bytes = MT_MAX(p->attend_bytes, bytes);
    p->local_bytes = MT_MAX(p->local_bytes, mt_plan_local_bytes(p, op));
    return (size_t)(group * op->u.attend.head_dim) * sizeof(float);
}

static void measure_scratch(mt_plan *p)
{
    size_t mm = 0, queries = 0;
    int max_k = 64;
    p->max_in = 1;
    for (int i = 0; i < p->n_stage; i++) {
        const mt_stage *s = &p->stage[i];
        if (s->kind == MT_STAGE_PRODUCT) p->max_in = MT_MAX(p->max_in, s->n_in);
        if (s->kind == MT_STAGE_PRODUCT)
            for (int j = 0; j < s->n_mat; j++) {
                const mt_packed *w = &p->weights->item[s->mat[j]->w[0]];
                max_k = MT_MAX(max_k, (int)w->k);
                mm = MT_MAX(mm, mt_mm_scratch(w->layout, w->k));
            }
        if (s->kind == MT_STAGE_ATTEND)
            queries = MT_MAX(queries, measure_attend(p, s->op));
    }
    p->max_k = (max_k + 63) & ~63;
    p->mm_bytes = mm;
    const size_t row = act_row_bytes(p->max_k), n = (size_t)p->opts.n_batch, nth = (size_t)mt_pool_size(p->pool);
    p->act_bytes = row * n * (size_t)MT_MAX(p->routing.n_used, p->max_in);
    p->lane_bytes = mt_pad(row * (size_t)p->max_in + (size_t)p->max_k * 4 + MT_ALIGN + mt_pad(mm, MT_ALIGN) + p->attend_bytes +
                           mt_pad(queries, MT_ALIGN), 4096);
    p->n_part = MT_MIN((int)nth - 1, MT_PARTS);
    const size_t parts = (size_t)p->n_part * (p->part_floats * 4 + mt_pad(sizeof *p->part_done, MT_ALIGN));
    const size_t rope = mt_pad(n * 2 * (size_t)MT_MAX(p->net->n_rope, 1) * 4, MT_ALIGN);
    const mt_routing *r = &p->routing;
    p->rows_bytes = mt_pad(3 * n * sizeof(int32_t), MT_ALIGN);      /* cut_rows, cut_routing, cut_bias */
    p->routing_bytes = r->n_used == 0 ? 0 : mt_pad((3 * n * (size_t)r->n_used + 2 * (size_t)r->n_expert + 1) * sizeof(int32_t), MT_ALIGN);
    for (int i = 0; i < p->n_bias; i++)
        p->bias_bytes += mt_pad(p->bias[i].ld * (size_t)p->bias[i].op->u.attend.n_head * sizeof(float), MT_ALIGN);
    const size_t rows = p->rows_bytes + p->routing_bytes + p->bias_bytes + mt_pad(p->local_bytes, MT_ALIGN);
    const size_t best = mt_pad(nth * n * 4, MT_ALIGN) + mt_pad(nth * n * 8, MT_ALIGN);
    p->scratch_bytes = mt_pad(p->values_bytes, 4096) + p->act_bytes + nth * p->lane_bytes + rope + rows + best + parts;
    p->logits_bytes = p->graph->output < 0 ? 0 : n * (size_t)p->graph->value[p->graph->output].cols * 4 + MT_ALIGN;
}

mote_status mt_plan_compile(mt_plan *p, mote_error *err)
{
    const mt_graph *g = p->graph;
    compiler c = {.p = p, .g = g};
    const size_t nv = (size_t)MT_MAX(g->n_value, 1);
    c.use = mt_arena_push_n(&p->arena, nv, sizeof *c.use);
    c.done = mt_arena_push_n(&p->arena, (size_t)MT_MAX(g->n_op, 1), sizeof *c.done);
    c.alias = mt_arena_push_n(&p->arena, nv, sizeof *c.alias);
    p->slot = mt_arena_push_n(&p->arena, nv, sizeof *p->slot);
    if (!c.use || !c.done || !c.alias || !p->slot) MT_FAIL(err, MOTE_ENOMEM, "plan: no memory for %d values", g->n_value);
    for (int v = 0; v < g->n_value; v++) {
        c.alias[v] = v;
        p->slot[v] = (mt_slot){.root = v, .first = -1, .last = -1};
    }
    count_uses(&c);
    MT_TRY(lower(&c, err));
    MT_TRY(place_values(&c, err));
    MT_TRY(lay_out_page(p, err));
    measure_scratch(p);
    return MOTE_OK;
}

/* SPDX-License-Identifier: MIT */
/* run.c - walks a plan's stages on all threads of the pool.
 *
 * A stage is one or two steps of the pool (mt_deal): its items are rows, panels or (row, head) pairs,
 * and only who holds an item touches values.  Who computes an output never changes its sum, so the
 * result does not depend on the number of threads, on the rows that travel together, or on how a
 * prompt was cut into passes. */
#include <math.h>
#include <string.h>

#include "plan/stage.h"

/* Row i of value v. */
float *mt_plan_row(const mt_plan *p, int v, int i)
{
    const mt_value *val = &p->graph->value[v];
    if (v == p->graph->output) return p->logits + (size_t)(p->out_row + i) * (size_t)val->cols;
    const mt_slot *s = &p->slot[v];
    const size_t ld = (size_t)p->graph->value[s->root].cols;
    return (float *)(void *)(p->scratch + s->offset) + (size_t)i * ld + s->column;
}

size_t mt_plan_stride(const mt_plan *p, int v)
{
    return (size_t)p->graph->value[v == p->graph->output ? v : p->slot[v].root].cols;
}

const float *mt_plan_vector(const mt_plan *p, int weight)
{
    return weight < 0 ? NULL : p->weights->item[weight].vec;
}

int mt_plan_rows(const mt_plan *p, mt_rows rows)
{
    switch (rows) {
    case MT_ROWS_TOKEN: return p->n_row;
    case MT_ROWS_WANT: case MT_ROWS_SEQ: return p->n_want;
    case MT_ROWS_ROUTED: return p->n_row * p->routing.n_used;
    }
    return 0;
}

/* ---- single ops ------------------------------------------------------------------------------------ */

static void gather_row(const mt_plan *p, const mt_op *op, int i)
{
    const mt_batch *b = &p->pass->batch;
    const mt_packed *w = &p->weights->item[op->w[0]];
    int64_t at = 0;
    switch (op->u.gather.source) {
    case MT_INDEX_ID: at = b->id[i]; break;
    case MT_INDEX_POSITION: at = b->pos[i]; break;
    case MT_INDEX_TYPE: at = b->type ? b->type[i] : 0; break;
    }
    at += op->u.gather.offset;
    float *out = mt_plan_row(p, op->out, i);
    const int cols = p->graph->value[op->out].cols;
    if (w->vec) memcpy(out, w->vec, (size_t)cols * sizeof *out);         /* a table of one row */
    else mt_unpack_row(w->layout, w->w + (size_t)(at / MT_PANEL) * mt_panel_bytes(w->layout, w->k),
                       (int)(at % MT_PANEL), w->k, out);
    if (op->u.gather.scale != 1.0f) p->kern->scale(out, op->u.gather.scale, cols, out);
}

void mt_plan_norm_row(const mt_plan *p, const mt_op *op, const float *x, int64_t cols, float *out)
{
    const float *w = mt_plan_vector(p, op->w[0]), *b = mt_plan_vector(p, op->w[1]);
    const int64_t n = op->u.norm.n ? op->u.norm.n : cols;
    for (int64_t at = 0; at < cols; at += n) {
        if (op->u.norm.kind == MT_NORM_RMS) p->kern->rms_norm(x + at, w, n, op->u.norm.eps, op->u.norm.plus, out + at);
        else p->kern->layer_norm(x + at, w, b, n, op->u.norm.eps, out + at);
    }
}

void mt_plan_rope_row(const mt_plan *p, const mt_op *op, float *x, int n_head, int i)
{
    const float *cos = p->rope + (size_t)i * 2 * (size_t)p->net->n_rope;
    p->kern->rope(x, n_head, op->u.rope.head_dim, op->u.rope.rope_dim, cos, cos + p->net->n_rope, op->u.rope.is_pair);
}

static void softcap_row(const mt_kern *k, const float *x, float cap, int64_t n, float *out)
{
    k->scale(x, 1.0f / cap, n, out);
    k->act(MT_ACT_TANH, out, n, out);
    k->scale(out, cap, n, out);
}

/* Of the i-th wanted sequence: its first row, or the mean of its rows in their order. */
static void pool_row(const mt_plan *p, const mt_op *op, int i)
{
    const mt_batch_seq *seq = &p->pass->batch.seq[p->want[i]];
    const int cols = p->graph->value[op->out].cols;
    float *out = mt_plan_row(p, op->out, i);
    memcpy(out, mt_plan_row(p, op->in[0], seq->row), (size_t)cols * sizeof *out);
    if (op->u.pool.kind != MT_POOL_MEAN) return;
    for (int r = 1; r < seq->n_row; r++) p->kern->add(out, mt_plan_row(p, op->in[0], seq->row + r), cols, out);
    p->kern->scale(out, 1.0f / (float)seq->n_row, cols, out);
}

static void op_row(const mt_plan *p, const mt_op *op, int i)
{
    const mt_kern *k = p->kern;
    switch (op->kind) {
    case MT_OP_GATHER: gather_row(p, op, i); return;
    case MT_OP_POOL: pool_row(p, op, i); return;
    case MT_OP_COMBINE: mt_plan_combine_row(p, op, i); return;
    case MT_OP_KV_PUT: mt_plan_put_row(p, op, i); return;
    default: break;                  /* what follows maps row to row */
    }
    const int cols = p->graph->value[op->out].cols;
    const float *a = mt_plan_row(p, op->in[0], op->kind == MT_OP_TAKE ? p->want[i] : i);
    float *out = mt_plan_row(p, op->out, i);
    switch (op->kind) {
    case MT_OP_NORM: mt_plan_norm_row(p, op, a, cols, out); break;
    case MT_OP_ADD: k->add(a, mt_plan_row(p, op->in[1], i), cols, out); break;
    case MT_OP_MUL: k->mul(a, mt_plan_row(p, op->in[1], i), cols, out); break;
    case MT_OP_SCALE: k->scale(a, op->u.scale.factor, cols, out); break;
    case MT_OP_ACT: k->act(op->u.act.kind, a, cols, out); break;
    case MT_OP_SOFTCAP: softcap_row(k, a, op->u.scale.factor, cols, out); break;
    case MT_OP_TAKE: memcpy(out, a, (size_t)cols * sizeof *out); break;
    case MT_OP_LERP: mt_plan_lerp(a, mt_plan_row(p, op->in[1], i), mt_plan_vector(p, op->w[0]), cols, out); break;
    case MT_OP_ROPE:
        memcpy(out, a, (size_t)cols * sizeof *out);
        mt_plan_rope_row(p, op, out, op->u.rope.n_head, i);
        break;
    default: break;                  /* the compiler lowers nothing else to rows */
    }
}

static void run_rows(mt_plan *p, const mt_stage *s, mt_worker *w)
{
    mt_deal(w, mt_plan_rows(p, s->rows), 1);
    for (mt_span mine; mt_take(w, &mine);)
        for (int i = mine.from; i < mine.to; i++)
            for (int j = 0; j < s->n_row_op; j++) op_row(p, s->row_op[j], i);
}

/* ---- a pass ------------------------------------------------------------------------------------------------ */

bool mt_plan_settle(mt_plan *p, const mt_stage *s, mt_worker *w, double start)
{
    if (!p->trace) return mt_settle(w);
    const double done = mt_now();
    if (!mt_settle(w)) return false;
    mt_trace_cell *c = mt_trace_at(p, (int)(s - p->stage), w->ith);
    c->inner_prepare = done - start, c->inner_wait = mt_now() - done;
    return true;
}

static void walk(void *arg, mt_worker *w)
{
    mt_plan *p = arg;
    const int to = p->stage_to;
    for (int i = p->stage_from; i < to; i++) {
        const mt_stage *s = &p->stage[i];
        const bool is_traced = p->trace != NULL;
        const double start = is_traced ? mt_now() : 0;
        switch (s->kind) {
        case MT_STAGE_ROWS: run_rows(p, s, w); break;
        case MT_STAGE_SCAN: mt_plan_scan(p, s, w); break;
        case MT_STAGE_ROUTE:
            if (!mt_plan_route(p, s, w)) return;
            break;
        case MT_STAGE_PRODUCT:
            if (!mt_plan_product(p, s, w)) return;
            break;
        case MT_STAGE_ATTEND:
            if (!mt_plan_attend(p, s, w)) return;
            break;
        }
        const double done = is_traced ? mt_now() : 0;
        if (!mt_settle(w)) return;
        if (is_traced) mt_trace_stage(p, i, w->ith, start, done, mt_now());
    }
}

void mt_plan_walk(mt_plan *p, int from, int to)
{
    p->stage_from = from, p->stage_to = to;
    if (to > from) mt_pool_walk(p->pool, walk, p);
}

/* cos and sin of every row's position; in double, so that a position has one value whoever asks. */
static void fill_rope(mt_plan *p)
{
    const int n = p->net->n_rope;
    for (int i = 0; i < p->n_row && n > 0; i++) {
        float *cos_row = p->rope + (size_t)i * 2 * (size_t)n, *sin_row = cos_row + n;
        const double pos = p->pass->batch.pos[i];
        for (int j = 0; j < n; j++) {
            cos_row[j] = (float)(cos(pos * p->net->rope_freq[j]) * p->net->rope_mscale);
            sin_row[j] = (float)(sin(pos * p->net->rope_freq[j]) * p->net->rope_mscale);
        }
    }
}

void mt_plan_body(mt_plan *p, const mt_pass *pass)
{
    const mt_batch *b = &pass->batch;
    p->pass = pass, p->n_row = b->n_row, p->n_want = 0;
    p->one_row_each = b->n_seq == b->n_row;
    for (int i = 0, page = 0; i < b->n_seq; i++) {
        for (int r = 0; r < b->seq[i].n_row; r++) p->row_seq[b->seq[i].row + r] = i;
        p->local_first[i] = page;
        page += (b->seq[i].n_row + MT_PAGE - 1) / MT_PAGE;
    }
    fill_rope(p);
    mt_plan_fill_bias(p);
    mt_plan_walk(p, 0, p->head);
}

/* The best of all threads' columns; equals keep the lowest id, whoever computed it. */
static int64_t merge_best(const mt_plan *p, int i)
{
    int64_t id = -1;
    float top = 0;
    for (int t = 0; t < mt_pool_size(p->pool); t++) {
        const size_t at = (size_t)t * (size_t)p->opts.n_batch + (size_t)i;
        if (mt_plan_beats(p->best_value[at], p->best_id[at], top, id)) id = p->best_id[at], top = p->best_value[at];
    }
    return id;
}

const float *mt_plan_head(mt_plan *p, const int32_t *want, int n_want, int at, int64_t *best)
{
    const int n_vocab = p->graph->value[p->graph->output].cols;
    p->want = want, p->n_want = n_want, p->out_row = at, p->wants_best = best != NULL;
    for (int t = 0; best && t < mt_pool_size(p->pool); t++)
        for (int i = 0; i < n_want; i++) p->best_id[(size_t)t * (size_t)p->opts.n_batch + (size_t)i] = -1;
    mt_plan_walk(p, p->head, p->n_stage);
    for (int i = 0; best && i < n_want; i++) {
        float top;
        best[i] = p->has_fused_best ? merge_best(p, i) : p->kern->best(mt_plan_row(p, p->graph->output, i), n_vocab, &top);
    }
    return mt_plan_row(p, p->graph->output, 0);
}

const float *mt_plan_hidden(const mt_plan *p) { return p->graph->hidden < 0 ? NULL : mt_plan_row(p, p->graph->hidden, 0); }

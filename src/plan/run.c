/* SPDX-License-Identifier: MIT */
/* run.c - walks a plan's stages on all threads of the pool.
 *
 * A stage deals rows, panels or (row, head) pairs to threads; who computes an output never changes
 * its sum, so the result does not depend on the number of threads, on the rows that travel
 * together, or on how a prompt was cut into passes. */
#include <math.h>
#include <string.h>

#include "plan/stage.h"

/* Row i of value v. */
static float *row_of(const mt_plan *p, int v, int i)
{
    const mt_value *val = &p->graph->value[v];
    if (v == p->graph->output) return p->logits + (size_t)(p->out_row + i) * (size_t)val->cols;
    const mt_slot *s = &p->slot[v];
    const size_t ld = (size_t)p->graph->value[s->root].cols;
    return (float *)(void *)(p->scratch + s->offset) + (size_t)i * ld + s->column;
}

static size_t stride_of(const mt_plan *p, int v)
{
    return (size_t)p->graph->value[v == p->graph->output ? v : p->slot[v].root].cols;
}

static const float *vector_of(const mt_plan *p, int weight)
{
    return weight < 0 ? NULL : p->weights->item[weight].vec;
}

static int rows_of(const mt_plan *p, mt_rows rows) { return rows == MT_ROWS_WANT ? p->n_want : p->n_row; }

/* Rows [from, to) of n that thread ith handles. */
typedef struct span { int from, to; } span;
static span share(int64_t n, int ith, int nth)
{
    return (span){(int)(n * ith / nth), (int)(n * (ith + 1) / nth)};
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
    float *out = row_of(p, op->out, i);
    const int cols = p->graph->value[op->out].cols;
    if (w->vec) memcpy(out, w->vec, (size_t)cols * sizeof *out);         /* a table of one row */
    else mt_unpack_row(w->layout, w->w + (size_t)(at / MT_PANEL) * mt_panel_bytes(w->layout, w->k),
                       (int)(at % MT_PANEL), w->k, out);
    if (op->u.gather.scale != 1.0f) p->kern->scale(out, op->u.gather.scale, cols, out);
}

static void norm_row(const mt_plan *p, const mt_op *op, const float *x, int64_t cols, float *out)
{
    const float *w = vector_of(p, op->w[0]), *b = vector_of(p, op->w[1]);
    const int64_t n = op->u.norm.n ? op->u.norm.n : cols;
    for (int64_t at = 0; at < cols; at += n) {
        if (op->u.norm.kind == MT_NORM_RMS) p->kern->rms_norm(x + at, w, n, op->u.norm.eps, op->u.norm.plus, out + at);
        else p->kern->layer_norm(x + at, w, b, n, op->u.norm.eps, out + at);
    }
}

static void rope_row(const mt_plan *p, const mt_op *op, float *x, int n_head, int i)
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

static void op_row(const mt_plan *p, const mt_op *op, int i)
{
    const mt_kern *k = p->kern;
    if (op->kind == MT_OP_GATHER) {
        gather_row(p, op, i);
        return;
    }
    const int cols = p->graph->value[op->out].cols;
    const float *a = row_of(p, op->in[0], op->kind == MT_OP_TAKE ? p->want[i] : i);
    float *out = row_of(p, op->out, i);
    switch (op->kind) {
    case MT_OP_NORM: norm_row(p, op, a, cols, out); break;
    case MT_OP_ADD: k->add(a, row_of(p, op->in[1], i), cols, out); break;
    case MT_OP_MUL: k->mul(a, row_of(p, op->in[1], i), cols, out); break;
    case MT_OP_SCALE: k->scale(a, op->u.scale.factor, cols, out); break;
    case MT_OP_ACT: k->act(op->u.act.kind, a, cols, out); break;
    case MT_OP_SOFTCAP: softcap_row(k, a, op->u.scale.factor, cols, out); break;
    case MT_OP_TAKE: memcpy(out, a, (size_t)cols * sizeof *out); break;
    case MT_OP_ROPE:
        memcpy(out, a, (size_t)cols * sizeof *out);
        rope_row(p, op, out, op->u.rope.n_head, i);
        break;
    default: break;                  /* the compiler lowers nothing else to a single op */
    }
}

static void run_op(mt_plan *p, const mt_stage *s, int ith, int nth)
{
    const span mine = share(rows_of(p, s->rows), ith, nth);
    for (int i = mine.from; i < mine.to; i++) op_row(p, s->op, i);
}

/* ---- products ---------------------------------------------------------------------------------------- */

/* Writes row j of the operand in int8, but for the largest value of each of the MT_TOP groups with
 * the largest scales: those go into its list, and their groups are rounded again without them. */
static void quantize_row(const mt_kern *k, const float *x, int64_t n, const mt_act *dst, int j)
{
    int8_t *q = (int8_t *)(uintptr_t)dst->q + (size_t)j * dst->ldq;
    float *scale = (float *)(uintptr_t)dst->scale + (size_t)j * dst->ldg;
    int32_t *isum = (int32_t *)(uintptr_t)dst->isum + (size_t)j * 2 * dst->ldg;
    int32_t *top = (int32_t *)(uintptr_t)dst->top + (size_t)j * MT_TOP;
    float *top_x = (float *)(uintptr_t)dst->top_x + (size_t)j * MT_TOP;
    k->quantize(x, n, q, scale, isum);
    int group[MT_TOP + 1], n_top = 0;
    for (int g = 0; g < n / MT_GROUP; g++) {     /* kept by falling scale, equals in order */
        int at = n_top;
        while (at > 0 && scale[g] > scale[group[at - 1]]) at--;
        if (at == MT_TOP) continue;
        memmove(group + at + 1, group + at, (size_t)(n_top - at) * sizeof *group);
        group[at] = g;
        n_top = MT_MIN(n_top + 1, MT_TOP);
    }
    for (int t = 0; t < n_top; t++) {            /* now ascending */
        int least = t;
        for (int u = t + 1; u < n_top; u++)
            if (group[u] < group[least]) least = u;
        const int g = group[least];
        group[least] = group[t];
        float rest[MT_GROUP];
        int big = 0;
        memcpy(rest, x + MT_GROUP * g, sizeof rest);
        for (int i = 1; i < MT_GROUP; i++)
            if (fabsf(rest[i]) > fabsf(rest[big])) big = i;
        top[t] = MT_GROUP * g + big, top_x[t] = rest[big];
        rest[big] = 0;
        k->quantize(rest, MT_GROUP, q + MT_GROUP * g, scale + g, isum + 2 * g);
    }
    for (int t = n_top; t < MT_TOP; t++) top[t] = -1, top_x[t] = 0;
}

/* Row i of the stage's input, prepared into row j of dst. */
static void prepare_row(const mt_plan *p, const mt_stage *s, int i, const mt_act *dst, int j, float *row)
{
    const mt_kern *k = p->kern;
    const int64_t n = p->weights->item[s->mat[0]->w[0]].k;
    const float *x = row_of(p, s->src[0], i);
    float *held = s->operand == MT_OPERAND_Q8 ? row : (float *)(uintptr_t)dst->x + (size_t)j * dst->ldx;
    switch (s->prologue) {
    case MT_PRO_NONE: break;
    case MT_PRO_NORM: norm_row(p, s->pro_op, x, n, held), x = held; break;
    case MT_PRO_ACT: k->act(s->pro_op->u.act.kind, x, n, held), x = held; break;
    case MT_PRO_ACT_MUL: k->act_mul(s->pro_op->u.act.kind, x, row_of(p, s->src[1], i), n, held), x = held; break;
    }
    switch (s->operand) {
    case MT_OPERAND_Q8: quantize_row(k, x, n, dst, j); break;
    case MT_OPERAND_BF16: k->round_bf16(x, n, held); break;
    case MT_OPERAND_F32:
        if (x != held) memcpy(held, x, (size_t)n * sizeof *held);
        break;
    }
}

/* Above this many rows a panel is expanded once into scratch and used for all of them. */
enum { MT_FEW_ROWS = 16 };

static void multiply(const mt_plan *p, const mt_stage *s, int j, int64_t p0, int64_t p1, const mt_act *act,
                     int n_row, void *scratch)
{
    const mt_op *op = s->mat[j];
    const mt_packed *w = &p->weights->item[op->w[0]];
    mt_mm m = {
        .layout = w->layout, .w = w->w, .k = w->k, .n_out = w->n_out, .p0 = p0, .p1 = p1, .a = *act,
        .n_row = n_row, .out = row_of(p, s->out[j], 0), .ldo = stride_of(p, s->out[j]),
        .bias = vector_of(p, op->w[1]), .add = s->add[j], .scratch = scratch,
    };
    const mt_kern *k = p->kern;
    if (s->operand != MT_OPERAND_Q8) {
        k->mmf[w->layout](&m);
        return;
    }
    /* in runs of panels that stay in the second-level cache for mm_top */
    const int64_t run = MT_MAX(1, (256 << 10) / (int64_t)mt_panel_bytes(w->layout, w->k));
    for (m.p0 = p0; m.p0 < p1; m.p0 = m.p1) {
        m.p1 = MT_MIN(p1, m.p0 + run);
        if (n_row == 1) k->mm1[w->layout](&m);
        else if (n_row <= MT_FEW_ROWS) k->mmn[w->layout](&m);
        else k->mmp[w->layout](&m);
        k->mm_top[w->layout](&m);
    }
}

/* The arg-max of this thread's columns of every row. */
static void partial_best(mt_plan *p, const mt_stage *s, int64_t p0, int64_t p1, int ith)
{
    const int64_t n = p->weights->item[s->mat[0]->w[0]].n_out;
    const int64_t c0 = p0 * MT_PANEL, c1 = MT_MIN(p1 * MT_PANEL, n);
    for (int i = 0; i < p->n_want; i++) {
        const size_t at = (size_t)ith * (size_t)p->opts.n_batch + (size_t)i;
        const int64_t id = c1 > c0 ? p->kern->best(row_of(p, s->out[0], i) + c0, c1 - c0, &p->best_value[at]) : -1;
        p->best_id[at] = id < 0 ? -1 : id + c0;
    }
}

static void run_product(mt_plan *p, const mt_stage *s, int ith, int nth)
{
    const int n_row = rows_of(p, s->rows);
    const mt_lane *lane = &p->lane[ith];
    const mt_act *act = &p->act;
    if (n_row == 1) {                /* cheaper for everybody to prepare it than to wait for one */
        act = &lane->act;
        prepare_row(p, s, 0, act, 0, lane->row);
    } else {
        const span mine = share(n_row, ith, nth);
        for (int i = mine.from; i < mine.to; i++) prepare_row(p, s, i, act, i, lane->row);
        mt_pool_sync(p->pool, ith);
    }
    int64_t total = 0;
    for (int j = 0; j < s->n_mat; j++) total += (p->weights->item[s->mat[j]->w[0]].n_out + MT_PANEL - 1) / MT_PANEL;
    int64_t from = total * ith / nth, to = total * (ith + 1) / nth;
    for (int j = 0; j < s->n_mat; j++) {
        const int64_t panels = (p->weights->item[s->mat[j]->w[0]].n_out + MT_PANEL - 1) / MT_PANEL;
        const int64_t p0 = MT_MIN(MT_MAX(from, 0), panels), p1 = MT_MIN(MT_MAX(to, 0), panels);
        if (p1 > p0) multiply(p, s, j, p0, p1, act, n_row, lane->mm);
        if (s->is_head && p->wants_best) partial_best(p, s, p0, p1, ith);
        from -= panels, to -= panels;
    }
}

/* ---- attention ------------------------------------------------------------------------------------------ */

static mt_kv_view view_of(const mt_plan *p, const mt_op *op, int seq)
{
    const mt_state *st = &p->net->state[op->state];
    const size_t per = MT_PAGE * (size_t)(p->opts.kv == MT_KV_F32 ? 4 : 2);
    return (mt_kv_view){
        .base = p->pass->kv_base, .page = p->pass->page[seq], .page_stride = p->page_bytes,
        .k_off = p->k_off[op->state], .v_off = p->v_off[op->state],
        .k_head_bytes = per * (size_t)st->head_dim, .v_head_bytes = per * (size_t)st->v_dim, .type = p->opts.kv,
    };
}

/* Rotates row i's queries and key of kv heads [h0, h1) and stores key and value. */
static void put_heads(mt_plan *p, const mt_stage *s, int i, int h0, int h1)
{
    const mt_op *op = s->op;
    const int hd = op->u.attend.head_dim, vd = op->u.attend.v_dim, group = op->u.attend.n_head / op->u.attend.n_kv;
    float *q = row_of(p, s->q, i) + (size_t)h0 * (size_t)group * (size_t)hd;
    float *k = row_of(p, s->k, i) + (size_t)h0 * (size_t)hd;
    if (s->rope_q) rope_row(p, s->rope_q, q, (h1 - h0) * group, i);
    if (s->rope_k) rope_row(p, s->rope_k, k, h1 - h0, i);
    mt_kv_view kv = view_of(p, op, p->row_seq[i]);
    kv.k_off += (size_t)h0 * kv.k_head_bytes, kv.v_off += (size_t)h0 * kv.v_head_bytes;
    p->kern->kv_put(&kv, p->pass->batch.pos[i], h1 - h0, hd, vd, k, row_of(p, s->v, i) + (size_t)h0 * (size_t)vd);
}

static void attend_head(mt_plan *p, const mt_stage *s, int i, int h, float *scratch)
{
    const mt_op *op = s->op;
    const int hd = op->u.attend.head_dim, vd = op->u.attend.v_dim, group = op->u.attend.n_head / op->u.attend.n_kv;
    const int64_t pos = p->pass->batch.pos[i], window = op->u.attend.window;
    const mt_attend a = {
        .kv = view_of(p, op, p->row_seq[i]), .h = h, .n_q = group, .head_dim = hd, .v_dim = vd,
        .q = row_of(p, s->q, i) + (size_t)h * (size_t)group * (size_t)hd,
        .out = row_of(p, op->out, i) + (size_t)h * (size_t)group * (size_t)vd,
        .lo = window > 0 ? MT_MAX(0, pos - window + 1) : 0, .hi = pos + 1,
        .scale = op->u.attend.scale, .softcap = op->u.attend.softcap, .scratch = scratch,
    };
    p->kern->attend(&a);
}

static void run_attend(mt_plan *p, const mt_stage *s, int ith, int nth)
{
    const int n_kv = s->op->u.attend.n_kv;
    float *scratch = p->lane[ith].attend;
    if (p->one_row_each) {           /* a head needs only its own new key: no barrier between */
        const span mine = share((int64_t)p->n_row * n_kv, ith, nth);
        for (int j = mine.from; j < mine.to; j++) {
            put_heads(p, s, j / n_kv, j % n_kv, j % n_kv + 1);
            attend_head(p, s, j / n_kv, j % n_kv, scratch);
        }
        return;
    }
    const span mine = share(p->n_row, ith, nth);
    for (int i = mine.from; i < mine.to; i++) put_heads(p, s, i, 0, n_kv);
    mt_pool_sync(p->pool, ith);
    /* later rows see more keys: dealing them in turn balances the threads */
    for (int i = ith; i < p->n_row; i += nth)
        for (int h = 0; h < n_kv; h++) attend_head(p, s, i, h, scratch);
}

/* ---- a pass ------------------------------------------------------------------------------------------------ */

static void walk(void *arg, int ith, int nth)
{
    mt_plan *p = arg;
    for (int i = p->stage_from; i < p->stage_to; i++) {
        const mt_stage *s = &p->stage[i];
        switch (s->kind) {
        case MT_STAGE_OP: run_op(p, s, ith, nth); break;
        case MT_STAGE_PRODUCT: run_product(p, s, ith, nth); break;
        case MT_STAGE_ATTEND: run_attend(p, s, ith, nth); break;
        }
        if (i + 1 < p->stage_to) mt_pool_sync(p->pool, ith);
    }
}

void mt_plan_walk(mt_plan *p, int from, int to)
{
    p->stage_from = from, p->stage_to = to;
    if (to > from) mt_pool_run(p->pool, walk, p);
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
    for (int i = 0; i < b->n_seq; i++)
        for (int r = 0; r < b->seq[i].n_row; r++) p->row_seq[b->seq[i].row + r] = i;
    fill_rope(p);
    mt_plan_walk(p, 0, p->head);
}

/* The best of all threads' columns; they ascend with the thread, so equals keep the lowest id. */
static int64_t merge_best(const mt_plan *p, int i)
{
    int64_t id = -1;
    float top = 0;
    for (int t = 0; t < mt_pool_size(p->pool); t++) {
        const size_t at = (size_t)t * (size_t)p->opts.n_batch + (size_t)i;
        if (p->best_id[at] < 0 || (id >= 0 && !(p->best_value[at] > top))) continue;
        id = p->best_id[at], top = p->best_value[at];
    }
    return id;
}

const float *mt_plan_head(mt_plan *p, const int32_t *want, int n_want, int at, int64_t *best)
{
    const int n_vocab = p->graph->value[p->graph->output].cols;
    p->want = want, p->n_want = n_want, p->out_row = at, p->wants_best = best != NULL;
    mt_plan_walk(p, p->head, p->n_stage);
    for (int i = 0; best && i < n_want; i++) {
        float top;
        best[i] = p->has_fused_best ? merge_best(p, i) : p->kern->best(row_of(p, p->graph->output, i), n_vocab, &top);
    }
    return row_of(p, p->graph->output, 0);
}

const float *mt_plan_hidden(const mt_plan *p) { return p->graph->hidden < 0 ? NULL : row_of(p, p->graph->hidden, 0); }

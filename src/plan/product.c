/* SPDX-License-Identifier: MIT */
/* product.c - a product stage: prepare the input rows, multiply the panels.
 *
 * Preparing is norm or gate, then rounding to int8.  With one row every thread prepares it for
 * itself; with many they are dealt out, and one more barrier stands before the product. */
#include <string.h>

#include "plan/stage.h"

/* x * w + y * (1 - w), per column */
void mt_plan_lerp(const float *x, const float *y, const float *w, int64_t n, float *out)
{
    for (int64_t c = 0; c < n; c++) out[c] = x[c] * w[c] + y[c] * (1.0f - w[c]);
}

/* The columns of x in the order that the stage's matrices take them; y is other room for n values. */
static const float *in_order(const mt_plan *p, const mt_stage *s, const float *x, int64_t n, float *y)
{
    const uint32_t *order = p->weights->item[s->mat[0]->w[0]].order;
    if (!order) return x;
    for (int64_t c = 0; c < n; c++) y[c] = x[order[c]];
    return y;
}

void mt_plan_prepare(const mt_plan *p, const mt_stage *s, int in, int i, const mt_act *dst, int j, float *row)
{
    const mt_kern *k = p->kern;
    const int64_t n = p->weights->item[s->mat[0]->w[0]].k;
    const float *x = mt_plan_row(p, s->src[0], i);
    const mt_op *op = s->pro_op[in];
    float *const act_x = (float *)(uintptr_t)dst->x + (size_t)j * dst->ldx;
    float *const held = s->operand == MT_OPERAND_Q8 ? row : act_x;
    switch (s->prologue) {
    case MT_PRO_NONE: break;
    case MT_PRO_NORM: mt_plan_norm_row(p, op, x, n, held), x = held; break;
    case MT_PRO_ACT: k->act(op->u.act.kind, x, n, held), x = held; break;
    case MT_PRO_ACT_MUL: k->act_mul(op->u.act.kind, x, mt_plan_row(p, s->src[1], i), n, held), x = held; break;
    case MT_PRO_LERP:
        mt_plan_lerp(x, mt_plan_row(p, s->src[1], i), mt_plan_vector(p, op->w[0]), n, held), x = held;
        break;
    }
    x = in_order(p, s, x, n, held == row ? act_x : row);
    switch (s->operand) {
    case MT_OPERAND_Q8: {
        const mt_q8 to = {(int8_t *)(uintptr_t)dst->q + (size_t)j * dst->ldq,
                          (float *)(uintptr_t)dst->scale + (size_t)j * dst->ldg,
                          (int32_t *)(uintptr_t)dst->isum + (size_t)j * 2 * dst->ldg,
                          (int32_t *)(uintptr_t)dst->top + (size_t)j * MT_TOP,
                          (float *)(uintptr_t)dst->top_x + (size_t)j * MT_TOP};
        k->quantize_top(x, n, &to);
        break;
    }
    case MT_OPERAND_BF16: k->round_bf16(x, n, held); break;
    case MT_OPERAND_F32:
        if (x != held) memcpy(held, x, (size_t)n * sizeof *held);
        break;
    }
}

/* Above this many rows a panel is expanded once into scratch and used for all of them. */
enum { MT_FEW_ROWS = 16 };

void mt_plan_multiply(const mt_plan *p, const mt_stage *s, int j, int e, int64_t p0, int64_t p1, const mt_act *act,
                      int row0, int n_row, void *scratch)
{
    const mt_op *op = s->mat[j];
    const mt_packed *w = &p->weights->item[op->w[0]];
    mt_mm m = {
        .layout = w->layout, .w = w->w + (size_t)e * w->matrix_bytes, .k = w->k, .n_out = w->n_out, .p0 = p0, .p1 = p1, .a = *act,
        .n_row = n_row, .out = mt_plan_row(p, s->out[j], row0), .ldo = mt_plan_stride(p, s->out[j]),
        .bias = mt_plan_vector(p, op->w[1]), .add = s->add[j], .scratch = scratch,
    };
    const mt_kern *k = p->kern;
    if (s->operand != MT_OPERAND_Q8) {
        k->mmf[w->layout](&m);
        return;
    }
    if (n_row == 1) k->mm1[w->layout](&m);
    else if (n_row <= MT_FEW_ROWS) k->mmn[w->layout](&m);
    else k->mmp[w->layout](&m);
}

/* Takes columns of these panels into this thread's arg-max of every row. */
static void partial_best(mt_plan *p, const mt_stage *s, int64_t p0, int64_t p1, int ith)
{
    const int64_t n = p->weights->item[s->mat[0]->w[0]].n_out;
    const int64_t c0 = p0 * MT_PANEL, c1 = MT_MIN(p1 * MT_PANEL, n);
    for (int i = 0; i < p->n_want; i++) {
        const size_t at = (size_t)ith * (size_t)p->opts.n_batch + (size_t)i;
        float top = 0;
        const int64_t id = p->kern->best(mt_plan_row(p, s->out[0], i) + c0, c1 - c0, &top);
        if (id < 0 || !mt_plan_beats(top, id + c0, p->best_value[at], p->best_id[at])) continue;
        p->best_id[at] = id + c0, p->best_value[at] = top;
    }
}

int mt_plan_panels(const mt_plan *p, const mt_op *op)
{
    return (int)((p->weights->item[op->w[0]].n_out + MT_PANEL - 1) / MT_PANEL);
}

/* Panels [from, to), counted through all matrices of the stage. */
static void multiply_span(mt_plan *p, const mt_stage *s, mt_span mine, const mt_act *act, int n_row, int ith)
{
    int from = mine.from, to = mine.to;
    for (int j = 0; j < s->n_mat; j++) {
        const int n = mt_plan_panels(p, s->mat[j]);
        const int p0 = MT_MIN(MT_MAX(from, 0), n), p1 = MT_MIN(MT_MAX(to, 0), n);
        const mt_act rows = mt_act_from(act, s->in_of[j] * n_row);
        if (p1 > p0) mt_plan_multiply(p, s, j, 0, p0, p1, &rows, 0, n_row, p->lane[ith].mm);
        if (p1 > p0 && s->is_head && p->wants_best) partial_best(p, s, p0, p1, ith);
        from -= n, to -= n;
    }
}

/* Long prompts are dealt by rows: a thread prepares some and takes them through all panels, so that
 * no barrier stands between, and what it wrote a stage ago is in its own cache (a quarter faster
 * where the cores do not share one).  The price is that each thread reads all weights; below so
 * many rows it would show. */
enum { MT_OWN_ROWS = 64 };

mt_act mt_act_from(const mt_act *a, int row)
{
    const size_t i = (size_t)row;
    mt_act b = *a;
    b.x += i * a->ldx, b.q += i * a->ldq, b.scale += i * a->ldg, b.isum += 2 * i * a->ldg;
    b.top += i * MT_TOP, b.top_x += i * MT_TOP;
    return b;
}

static void product_of_rows(mt_plan *p, const mt_stage *s, mt_worker *w, int n_row)
{
    const int n_part = n_row / MT_OWN_ROWS / w->nth * w->nth;
    mt_deal(w, n_part, 1);
    for (mt_span mine; mt_take(w, &mine);) {
        const int from = (int)((int64_t)n_row * mine.from / n_part), to = (int)((int64_t)n_row * mine.to / n_part);
        for (int in = 0; in < s->n_in; in++)
            for (int i = from; i < to; i++)
                mt_plan_prepare(p, s, in, i, &p->act, in * n_row + i, p->lane[w->ith].row);
        for (int j = 0; j < s->n_mat; j++) {
            const mt_act act = mt_act_from(&p->act, s->in_of[j] * n_row + from);
            mt_plan_multiply(p, s, j, 0, 0, mt_plan_panels(p, s->mat[j]), &act, from, to - from, p->lane[w->ith].mm);
        }
    }
}

bool mt_plan_product(mt_plan *p, const mt_stage *s, mt_worker *w)
{
    if (s->op->kind == MT_OP_LINEAR_EXPERT) return mt_plan_experts(p, s, w);
    const int n_row = mt_plan_rows(p, s->rows);
    if (n_row >= MT_OWN_ROWS * w->nth && !s->is_head) {
        product_of_rows(p, s, w, n_row);
        return true;
    }
    const mt_lane *lane = &p->lane[w->ith];
    const mt_act *act = n_row == 1 ? &lane->act : &p->act;
    if (n_row != 1) {
        const double start = p->trace ? mt_now() : 0;
        mt_deal(w, n_row * s->n_in, 4);
        for (mt_span mine; mt_take(w, &mine);)
            for (int i = mine.from; i < mine.to; i++) mt_plan_prepare(p, s, i / n_row, i % n_row, act, i, lane->row);
        if (!mt_plan_settle(p, s, w, start)) return false;
    }
    int n_panel = 0;
    for (int j = 0; j < s->n_mat; j++) n_panel += mt_plan_panels(p, s->mat[j]);
    mt_deal(w, n_panel, n_row > MT_FEW_ROWS ? 8 : 4);    /* each run expands the scales of all rows */
    bool is_ready = n_row != 1;
    for (mt_span mine; mt_take(w, &mine); is_ready = true) {
        /* one row: cheaper for everybody to prepare it than to wait for one */
        for (int in = 0; !is_ready && in < s->n_in; in++) mt_plan_prepare(p, s, in, 0, act, in, lane->row);
        multiply_span(p, s, mine, act, n_row, w->ith);
    }
    return true;
}

/* SPDX-License-Identifier: MIT */
/* trace.c - where the time of a plan's passes goes: seconds per stage and thread.
 *
 * Switched on by a caller that measures; without it a stage costs one test of a pointer.  Each thread
 * writes cells of its own, so measuring disturbs nobody. */
#include <stdio.h>
#include <string.h>

#include "plan/stage.h"

static size_t trace_bytes(const mt_plan *p)
{
    return (size_t)mt_pool_size(p->pool) * (size_t)p->n_stage * sizeof *p->trace;
}

mote_status mt_plan_trace(mt_plan *p, bool on, mote_error *err)
{
    if (!on) {
        if (p->trace) mt_put(p->alloc, p->trace, trace_bytes(p));
        p->trace = NULL;
        return MOTE_OK;
    }
    if (!p->trace) p->trace = mt_get(p->alloc, trace_bytes(p), MT_ALIGN);
    if (!p->trace) MT_FAIL(err, MOTE_ENOMEM, "trace: no memory for %zu bytes", trace_bytes(p));
    memset(p->trace, 0, trace_bytes(p));
    return MOTE_OK;
}

mt_trace_cell *mt_trace_at(const mt_plan *p, int stage, int ith)
{
    return &p->trace[(size_t)ith * (size_t)p->n_stage + (size_t)stage];
}

static mote_op_kind kind_of(const mt_stage *s)
{
    switch (s->kind) {
    case MT_STAGE_PRODUCT: return MOTE_OP_PRODUCT;
    case MT_STAGE_ATTEND: return MOTE_OP_ATTENTION;
    case MT_STAGE_ROWS: case MT_STAGE_SCAN: case MT_STAGE_ROUTE: break;
    }
    return MOTE_OP_OTHER;
}

static const char *part_name(const mt_plan *p, const mt_stage *s, int j)
{
    switch (s->kind) {
    case MT_STAGE_PRODUCT: return mt_role_name(p->net->weight[s->mat[j]->w[0]].role);
    case MT_STAGE_ROWS: return mt_op_name(s->row_op[j]->kind);
    case MT_STAGE_ATTEND: return s->k < 0 ? "cross attention" : "attention";
    case MT_STAGE_SCAN: case MT_STAGE_ROUTE: break;
    }
    return mt_op_name(s->op->kind);
}

/* The roles of a product's weights, joined by "+"; the ops' names otherwise. */
static void name_stage(const mt_plan *p, const mt_stage *s, char *out, size_t cap)
{
    size_t at = 0;
    out[0] = '\0';
    const int n = s->kind == MT_STAGE_PRODUCT ? s->n_mat : s->kind == MT_STAGE_ROWS ? s->n_row_op : 1;
    for (int j = 0; j < n; j++) {
        const int more = snprintf(out + at, cap - at, "%s%s", j ? "+" : "", part_name(p, s, j));
        if (more < 0 || (size_t)more >= cap - at) return;
        at += (size_t)more;
    }
}

/* Matrices that a pass reads of a stack: as many experts as its routed rows can have. */
static size_t matrices_of(const mt_plan *p, const mt_stage *s, const mt_trace_cell *c)
{
    if (s->op->kind != MT_OP_LINEAR_EXPERT || c->n_pass == 0) return 1;
    return MT_MIN((size_t)p->routing.n_expert, (size_t)(c->n_row / c->n_pass));
}

int mt_plan_stage_times(const mt_plan *p, mote_op_time *out, int cap)
{
    const int nth = mt_pool_size(p->pool);
    for (int i = 0; p->trace && i < MT_MIN(cap, p->n_stage); i++) {
        const mt_stage *s = &p->stage[i];
        mote_op_time *t = &out[i];
        *t = (mote_op_time){.kind = kind_of(s), .layer = s->op->layer};
        name_stage(p, s, t->name, sizeof t->name);
        for (int ith = 0; ith < nth; ith++) {
            const mt_trace_cell *c = mt_trace_at(p, i, ith);
            t->work_s += c->work / nth, t->prepare_s += c->prepare / nth, t->wait_s += c->wait / nth;
        }
        const mt_trace_cell *c = mt_trace_at(p, i, 0);
        t->n_pass = c->n_pass, t->n_row = c->n_row, t->macs = c->macs;
        for (int j = 0; s->kind == MT_STAGE_PRODUCT && j < s->n_mat; j++)
            t->weight_bytes += p->weights->item[s->mat[j]->w[0]].matrix_bytes * matrices_of(p, s, c);
    }
    return p->trace ? p->n_stage : 0;
}

/* Multiply-adds of a stage in the pass that runs. */
static double macs_of(const mt_plan *p, const mt_stage *s, int n_row)
{
    double macs = 0;
    for (int j = 0; s->kind == MT_STAGE_PRODUCT && j < s->n_mat; j++) {
        const mt_packed *w = &p->weights->item[s->mat[j]->w[0]];
        macs += (double)w->k * (double)w->n_out * n_row;
    }
    if (s->kind != MT_STAGE_ATTEND) return macs;
    const mt_op *op = s->op;
    for (int i = 0; i < n_row; i++) {
        const mt_seen seen = mt_plan_seen(p, op, i, 1);
        macs += (double)(seen.hi - seen.lo) * op->u.attend.n_head * (op->u.attend.head_dim + op->u.attend.v_dim);
    }
    return macs;
}

void mt_trace_stage(mt_plan *p, int stage, int ith, double start, double done, double end)
{
    mt_trace_cell *c = mt_trace_at(p, stage, ith);
    const double inner = c->inner_prepare + c->inner_wait;
    c->prepare += c->inner_prepare, c->wait += c->inner_wait + (end - done), c->work += done - start - inner;
    c->inner_prepare = c->inner_wait = 0;
    if (ith) return;
    const int n_row = mt_plan_rows(p, p->stage[stage].rows);
    c->n_pass++, c->n_row += (uint64_t)n_row, c->macs += macs_of(p, &p->stage[stage], n_row);
}

/* SPDX-License-Identifier: MIT */
/* keys.c - where an attention finds its keys and values, which of them a row sees, and what is added
 * to their scores by position.
 *
 * Three places.  A KV state lies in the pages of the sequence, a CROSS state in further pages of it
 * that the encoder filled; without a state keys and values live for one stage, in pages of the plan.
 * There each sequence starts a page, so that a text's chunks of 256 keys, and with them its bits, do
 * not depend on the texts beside it.  Those are f32: they are never kept, so nothing is saved by
 * rounding them. */
#include <string.h>

#include "plan/stage.h"

static size_t local_slab(const mt_op *op)
{
    const size_t page = mt_kv_k_bytes(MT_KV_F32, op->u.attend.head_dim) + mt_kv_v_bytes(MT_KV_F32, op->u.attend.v_dim);
    return mt_pad((size_t)(op->u.attend.n_kv * MT_SLAB) * page, MT_ALIGN);
}

/* Pages for n_batch rows of n_seq sequences, each of which may leave one page nearly empty. */
static size_t local_pages(const mt_plan *p)
{
    return mt_pad((size_t)(p->opts.n_batch / MT_PAGE + p->opts.n_seq), MT_SLAB);
}

size_t mt_plan_local_bytes(const mt_plan *p, const mt_op *op)
{
    return op->state < 0 ? local_pages(p) / MT_SLAB * local_slab(op) : 0;
}

mt_kv_view mt_plan_view(const mt_plan *p, const mt_op *op, int seq)
{
    const mt_kv_type type = op->state < 0 ? MT_KV_F32 : p->opts.kv;
    mt_kv_view v = {.type = type};
    if (op->state < 0) {
        v.k_page_bytes = mt_kv_k_bytes(type, op->u.attend.head_dim), v.v_page_bytes = mt_kv_v_bytes(type, op->u.attend.v_dim);
        v.base = p->local, v.page = p->local_page + p->local_first[seq], v.slab_stride = local_slab(op);
        v.v_off = (size_t)(op->u.attend.n_kv * MT_SLAB) * v.k_page_bytes;
        return v;
    }
    const mt_state *st = &p->net->state[op->state];
    v.k_page_bytes = mt_kv_k_bytes(type, st->head_dim), v.v_page_bytes = mt_kv_v_bytes(type, st->v_dim);
    v.base = p->pass->kv_base, v.slab_stride = p->page_bytes * MT_SLAB;
    v.page = st->kind == MT_STATE_CROSS ? p->pass->cross[seq] : p->pass->page[seq];
    v.k_off = p->k_off[op->state], v.v_off = p->v_off[op->state];
    return v;
}

int64_t mt_plan_key_pos(const mt_plan *p, const mt_op *op, int i)
{
    const mt_batch *b = &p->pass->batch;
    return b->pos[i] - (op->state < 0 ? b->seq[p->row_seq[i]].pos : 0);
}

/* A full mask is a causal one that begins as far behind the query as it sees, and ends with the keys. */
mt_seen mt_plan_seen(const mt_plan *p, const mt_op *op, int row, int n)
{
    const int seq = p->row_seq[row];
    const int64_t pos = mt_plan_key_pos(p, op, row);
    const bool is_cross = op->in[1] < 0;
    const int64_t window = op->u.attend.window;
    mt_seen s = {.first_hi = pos + 1, .window = window};
    if (op->u.attend.mask == MT_MASK_FULL) {
        const mt_batch_seq *of = &p->pass->batch.seq[seq];
        s.limit = is_cross ? p->pass->n_cross[seq] : mt_plan_key_pos(p, op, of->row) + of->n_row;
        s.first_hi = window > 0 ? pos + window : s.limit;
        s.window = window > 0 ? 2 * window - 1 : 0;
    }
    s.lo = s.window > 0 ? MT_MAX(0, s.first_hi - s.window) : 0;
    s.hi = s.limit > 0 ? MT_MIN(s.first_hi + n - 1, s.limit) : s.first_hi + n - 1;
    return s;
}

void mt_plan_put_row(const mt_plan *p, const mt_op *op, int i)
{
    const mt_state *st = &p->net->state[op->state];
    const mt_kv_view kv = mt_plan_view(p, op, p->row_seq[i]);
    p->kern->kv_put(&kv, p->pass->batch.pos[i], st->n_kv, st->head_dim, st->v_dim, mt_plan_row(p, op->in[0], i),
                    mt_plan_row(p, op->in[1], i));
}

void mt_plan_copy_page(const mt_plan *p, uint8_t *kv_base, uint32_t to, uint32_t from)
{
    for (int i = 0; i < p->net->n_state; i++) {
        const mt_state *st = &p->net->state[i];
        if (st->kind != MT_STATE_KV) continue;
        mt_kv_view old = {
            .base = kv_base, .page = &from, .slab_stride = p->page_bytes * MT_SLAB,
            .k_off = p->k_off[i], .v_off = p->v_off[i],
            .k_page_bytes = mt_kv_k_bytes(p->opts.kv, st->head_dim), .v_page_bytes = mt_kv_v_bytes(p->opts.kv, st->v_dim),
        }, new = old;
        new.page = &to;
        for (int h = 0; h < st->n_kv; h++) {
            memcpy(mt_kv_k(&new, 0, h), mt_kv_k(&old, 0, h), old.k_page_bytes);
            memcpy(mt_kv_v(&new, 0, h), mt_kv_v(&old, 0, h), old.v_page_bytes);
        }
    }
}

/* ---- what is added by position ---------------------------------------------------------------- */

static void fill_table(const mt_plan *p, const mt_bias_table *t)
{
    const mt_op *op = t->op;
    const int n_head = op->u.attend.n_head;
    const float *of_bucket = op->u.attend.bias_fn == MT_BIAS_T5 ? mt_plan_vector(p, op->w[0]) : NULL;
    for (size_t i = 0; i < t->ld; i++) {
        const int64_t d = (int64_t)i - (int64_t)t->mid;      /* key - query */
        const int bucket = of_bucket ? mt_t5_bucket(d, op->u.attend.mask == MT_MASK_FULL, op->u.attend.n_bucket,
                                                    op->u.attend.max_distance) : 0;
        for (int h = 0; h < n_head; h++)
            t->at[(size_t)h * t->ld + i] = of_bucket ? of_bucket[bucket * n_head + h]
                                                     : mt_alibi_slope(h, n_head) * (float)d;
    }
}

/* At the first pass, not before: mapped weights are proved by then. */
void mt_plan_fill_bias(mt_plan *p)
{
    for (int i = 0; i < p->n_bias && !p->has_bias; i++) fill_table(p, &p->bias[i]);
    p->has_bias = true;
}

/* SPDX-License-Identifier: MIT */
/* attend.c - an attention stage: rotates queries and keys, stores keys and values, attends.  Where
 * they are stored, and which keys a row sees, is keys.c's business.
 *
 * The work is cut into units: some positions of one sequence, times one kv head.  Many units are
 * handed out in turn, the long ones first.  Few units, as when one session decodes behind a long
 * text, are dealt by keys: a unit that falls to several threads is computed in its chunks of 256
 * keys, and whoever comes last merges them.  No choice here changes a bit (kernel.h). */
#include <string.h>

#include "plan/stage.h"

/* Rows [row, row + n) of the pass, consecutive positions of sequence seq, times head h. */
typedef struct unit { int seq, row, n, h; } unit;

static int group_of(const mt_op *op) { return op->u.attend.n_head / op->u.attend.n_kv; }

/* Rotates row i's keys of kv heads [h0, h1) and stores keys and values. */
static void put_heads(mt_plan *p, const mt_stage *s, int i, int h0, int h1)
{
    const mt_op *op = s->op;
    const int hd = op->u.attend.head_dim, vd = op->u.attend.v_dim;
    float *k = mt_plan_row(p, s->k, i) + (size_t)h0 * (size_t)hd;
    if (s->rope_k) mt_plan_rope_row(p, s->rope_k, k, h1 - h0, i);
    mt_kv_view kv = mt_plan_view(p, op, p->row_seq[i]);
    kv.k_off += (size_t)(h0 * MT_SLAB) * kv.k_page_bytes, kv.v_off += (size_t)(h0 * MT_SLAB) * kv.v_page_bytes;
    p->kern->kv_put(&kv, mt_plan_key_pos(p, op, i), h1 - h0, hd, vd, k, mt_plan_row(p, s->v, i) + (size_t)h0 * (size_t)vd);
}

/* What is asked of the kernel for a unit whose queries are rotated. */
static mt_attend request(mt_plan *p, const mt_stage *s, const unit *u, float *scratch)
{
    const mt_op *op = s->op;
    const int hd = op->u.attend.head_dim, vd = op->u.attend.v_dim, group = group_of(op);
    const mt_seen seen = mt_plan_seen(p, op, u->row, u->n);
    mt_attend a = {
        .kv = mt_plan_view(p, op, u->seq), .h = u->h, .n_q = group, .n_pos = u->n, .head_dim = hd, .v_dim = vd,
        .q = mt_plan_row(p, s->q, u->row) + (size_t)u->h * (size_t)group * (size_t)hd, .ldq = mt_plan_stride(p, s->q),
        .out = mt_plan_row(p, op->out, u->row) + (size_t)u->h * (size_t)group * (size_t)vd,
        .ldo = mt_plan_stride(p, op->out),
        .hi = seen.first_hi, .window = seen.window, .limit = seen.limit,
        .scale = op->u.attend.scale, .softcap = op->u.attend.softcap, .scratch = scratch,
    };
    if (s->bias < 0) return a;
    const mt_bias_table *t = &p->bias[s->bias];
    a.bias = t->at + (size_t)(u->h * group) * t->ld + t->mid - (size_t)mt_plan_key_pos(p, op, u->row);
    a.bias_ldi = -1, a.bias_ldg = (ptrdiff_t)t->ld;
    return a;
}

/* ---- units of a pass -------------------------------------------------------------------------- */

/* Walks blocks of at most `per` rows, the last rows of a sequence first: they see the most keys. */
typedef struct walk { int seq, left, per; } walk;

static bool next_block(const mt_plan *p, walk *w, unit *u)
{
    const mt_batch *b = &p->pass->batch;
    while (w->left == 0) {
        if (++w->seq >= b->n_seq) return false;
        w->left = b->seq[w->seq].n_row;
    }
    const int n = (w->left - 1) % w->per + 1;
    w->left -= n;
    *u = (unit){.seq = w->seq, .row = b->seq[w->seq].row + w->left, .n = n};
    return true;
}

static int64_t count_units(const mt_plan *p, const mt_op *op, int per)
{
    int64_t n = 0;
    for (int i = 0; i < p->pass->batch.n_seq; i++) n += (p->pass->batch.seq[i].n_row + per - 1) / per;
    return n * op->u.attend.n_kv;
}

/* Rows of a block: as many as share keys well, fewer when threads would go without work. */
static int block_rows(const mt_plan *p, const mt_op *op, int nth)
{
    int per = MT_MIN(MT_BLOCK_ROWS, MT_ATTEND_ROWS / group_of(op));
    while (per > 2 && count_units(p, op, per) < MT_UNITS_PER_THREAD * nth) per /= 2;
    return MT_MAX(per, 1);
}

/* ---- many units: one after the other --------------------------------------------------------------- */

static void deal_units(mt_plan *p, const mt_stage *s, mt_worker *w, int per)
{
    const int n_kv = s->op->u.attend.n_kv;
    walk blocks = {.seq = -1, .per = per};
    unit u = {0};
    int block = -1;
    mt_deal_in_turn(w, (int)count_units(p, s->op, per));
    for (mt_span mine; mt_take(w, &mine);) {
        for (; block < mine.from / n_kv; block++) (void)next_block(p, &blocks, &u);
        u.h = mine.from % n_kv;
        const mt_attend a = request(p, s, &u, p->lane[w->ith].attend);
        p->kern->attend[a.kv.type](&a);
    }
}

/* ---- few units: by keys --------------------------------------------------------------------------- */

/* The share of one thread, which another may compute: part of n_part, on the scratch of thread ith. */
typedef struct share { mt_plan *p; const mt_stage *s; int ith, part, n_part; int64_t total, at; int n_split; } share;

/* The share that the middle of [from, to) of the total falls to. */
static int owner(const share *d, int64_t from, int64_t to)
{
    return (int)((from + to) * d->n_part / (2 * d->total));
}

/* Positions that travel alone: their own key and value first, and their queries turned, in a copy,
 * since other threads may turn them too. */
static void prepare_alone(share *d, const unit *u, mt_attend *a, bool puts)
{
    mt_plan *p = d->p;
    const size_t n = (size_t)a->n_q * (size_t)a->head_dim;
    if (puts) put_heads(p, d->s, u->row, u->h, u->h + 1);
    if (!d->s->rope_q) return;
    float *q = p->lane[d->ith].q;
    memcpy(q, a->q, n * sizeof *q);
    mt_plan_rope_row(p, d->s->rope_q, q, a->n_q, u->row);
    a->q = q;
}

/* This share's chunks of a unit that covers keys [lo, hi) and costs `by` for each. */
static void share_unit(share *d, const unit *u, int64_t lo, int64_t hi, int by)
{
    mt_plan *p = d->p;
    const int64_t first = lo / MT_CHUNK, end = (hi - 1) / MT_CHUNK + 1, start = d->at - by * lo;
    d->at += by * (hi - lo);
    /* chunk c covers [from(c), from(c + 1)) of the total */
#define FROM(c) (start + by * MT_MIN(MT_MAX((c) * MT_CHUNK, lo), hi))
    const int one = owner(d, FROM(first), FROM(first + 1)), last = owner(d, FROM(end - 1), FROM(end));
    const size_t floats = (size_t)(end - first) * (size_t)(group_of(d->s->op) * u->n) * mt_attend_part(d->s->op->u.attend.v_dim);
    const int slot = d->n_split;
    const bool is_split = one != last && slot < p->n_part && floats <= p->part_floats;
    if (is_split) d->n_split++;
    if (d->part < one || d->part > (is_split ? last : one)) return;
    int64_t c0 = first, c1 = end;
    if (is_split) {
        while (c0 < end && owner(d, FROM(c0), FROM(c0 + 1)) < d->part) c0++;
        for (c1 = c0; c1 < end && owner(d, FROM(c1), FROM(c1 + 1)) == d->part;) c1++;
        if (c0 == c1) return;
    }
#undef FROM
    mt_attend a = request(p, d->s, u, p->lane[d->ith].attend);
    if (p->one_row_each) prepare_alone(d, u, &a, c1 == end && d->s->k >= 0);
    if (!is_split) {
        p->kern->attend[a.kv.type](&a);
        return;
    }
    a.part = p->part + (size_t)slot * p->part_floats, a.c0 = c0, a.c1 = c1;
    p->kern->attend[a.kv.type](&a);
    const int done = (int)(c1 - c0), all = (int)(end - first);
    if (atomic_fetch_add(&p->part_done[slot], done) + done < all) return;
    atomic_store(&p->part_done[slot], 0);
    p->kern->attend_merge(&a);
}

static void share_units(mt_plan *p, const mt_stage *s, int ith, int part, int n_part, int per)
{
    const mt_op *op = s->op;
    share d = {.p = p, .s = s, .ith = ith, .part = part, .n_part = n_part};
    for (int is_done = 0; is_done < 2; is_done++) {         /* first the sum, then the shares */
        walk w = {.seq = -1, .per = per};
        unit u;
        while (next_block(p, &w, &u)) {
            const mt_seen seen = mt_plan_seen(p, op, u.row, u.n);
            if (!is_done) d.total += (seen.hi - seen.lo) * u.n * op->u.attend.n_kv;
            for (u.h = 0; is_done && u.h < op->u.attend.n_kv; u.h++) share_unit(&d, &u, seen.lo, seen.hi, u.n);
        }
    }
}

static void deal_shares(mt_plan *p, const mt_stage *s, mt_worker *w, int per)
{
    mt_deal(w, w->nth, 1);
    for (mt_span mine; mt_take(w, &mine);)
        for (int i = mine.from; i < mine.to; i++) share_units(p, s, w->ith, i, w->nth, per);
}

bool mt_plan_attend(mt_plan *p, const mt_stage *s, mt_worker *w)
{
    const int n_kv = s->op->u.attend.n_kv, group = group_of(s->op);
    if (p->one_row_each) {           /* a head needs only its own new key: no barrier between */
        deal_shares(p, s, w, 1);
        return true;
    }
    if (s->k >= 0 || s->rope_q) {
        const double start = p->trace ? mt_now() : 0;
        mt_deal(w, p->n_row, 1);
        for (mt_span mine; mt_take(w, &mine);)
            for (int i = mine.from; i < mine.to; i++) {
                if (s->k >= 0) put_heads(p, s, i, 0, n_kv);
                if (s->rope_q) mt_plan_rope_row(p, s->rope_q, mt_plan_row(p, s->q, i), n_kv * group, i);
            }
        if (!mt_plan_settle(p, s, w, start)) return false;
    }
    const int per = block_rows(p, s->op, w->nth);
    if (w->nth == 1 || count_units(p, s->op, per) >= MT_UNITS_PER_THREAD * w->nth) deal_units(p, s, w, per);
    else deal_shares(p, s, w, MT_MIN(MT_PART_ROWS, MT_ATTEND_ROWS / group));
    return true;
}

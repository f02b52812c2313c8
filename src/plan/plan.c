/* SPDX-License-Identifier: MIT */
/* plan.c - opens a plan: compiles a graph, then cuts one scratch block into its parts. */
#include <string.h>

#include "plan/stage.h"

static uint8_t *take(uint8_t **at, size_t bytes, size_t align)
{
    uint8_t *p = *at;
    *at += mt_pad(bytes, align);
    return p;
}

/* n_row prepared rows of max_k values, cut from *at: the inverse of act_row_bytes in compile.c. */
static mt_act take_act(uint8_t **at, size_t n_row, int max_k)
{
    const size_t k = (size_t)max_k;
    const size_t ldx = mt_pad(k * 4 + MT_ALIGN, MT_ALIGN), ldq = mt_pad(k + MT_ALIGN, MT_ALIGN);
    const size_t lds = mt_pad(k / 8 + MT_ALIGN, MT_ALIGN), ldi = mt_pad(k / 4 + MT_ALIGN, MT_ALIGN);
    mt_act a = {.ldx = ldx / 4, .ldq = ldq, .ldg = k / MT_GROUP};
    a.x = (float *)(void *)take(at, ldx * n_row, 1);
    a.q = (int8_t *)take(at, ldq * n_row, 1);
    a.scale = (float *)(void *)take(at, lds * n_row, 1);
    a.isum = (int32_t *)(void *)take(at, ldi * n_row, 1);
    a.top = (int32_t *)(void *)take(at, MT_TOP * 4 * n_row, MT_ALIGN);
    a.top_x = (float *)(void *)take(at, MT_TOP * 4 * n_row, MT_ALIGN);
    return a;
}

static void cut_rows(mt_plan *p, uint8_t *at)
{
    const size_t n = (size_t)p->opts.n_batch;
    p->row_seq = (int32_t *)(void *)at;
    p->local_first = p->row_seq + n;
    p->local_page = (uint32_t *)(void *)(p->local_first + n);
    for (size_t i = 0; i < n; i++) p->local_page[i] = (uint32_t)i;
}

static void cut_routing(mt_plan *p, uint8_t *at)
{
    mt_routing *r = &p->routing;
    const size_t n = (size_t)p->opts.n_batch * (size_t)r->n_used;
    if (r->n_used == 0) return;
    r->choice = (int32_t *)(void *)at;
    r->place = r->choice + n, r->token = r->place + n, r->first = r->token + n;
    r->active = r->first + r->n_expert + 1;
}

static void cut_bias(mt_plan *p, uint8_t *at)
{
    for (int i = 0; i < p->n_bias; i++) {
        p->bias[i].at = (float *)(void *)at;
        at += mt_pad(p->bias[i].ld * (size_t)p->bias[i].op->u.attend.n_head * sizeof(float), MT_ALIGN);
    }
}

static mote_status cut_scratch(mt_plan *p, mote_error *err)
{
    const size_t n = (size_t)p->opts.n_batch, nth = (size_t)mt_pool_size(p->pool);
    p->scratch = mt_get(p->alloc, p->scratch_bytes, 4096);
    p->lane = mt_arena_push_n(&p->arena, nth, sizeof *p->lane);
    if (!p->scratch || !p->lane) MT_FAIL(err, MOTE_ENOMEM, "plan: no memory for %zu bytes of scratch", p->scratch_bytes);
    uint8_t *at = p->scratch + mt_pad(p->values_bytes, 4096);
    uint8_t *act = at;
    p->act = take_act(&act, n * (size_t)MT_MAX(p->routing.n_used, p->max_in), p->max_k);
    at += p->act_bytes;
    for (size_t i = 0; i < nth; i++) {
        mt_lane *lane = &p->lane[i];
        uint8_t *in = at;
        lane->base = at;
        lane->act = take_act(&in, (size_t)p->max_in, p->max_k);
        lane->row = (float *)(void *)take(&in, (size_t)p->max_k * 4 + MT_ALIGN, MT_ALIGN);
        lane->mm = take(&in, p->mm_bytes, MT_ALIGN);
        lane->attend = (float *)(void *)take(&in, p->attend_bytes, MT_ALIGN);
        lane->q = (float *)(void *)in;
        at += p->lane_bytes;
    }
    p->rope = (float *)(void *)take(&at, n * 2 * (size_t)MT_MAX(p->net->n_rope, 1) * 4, MT_ALIGN);
    cut_rows(p, take(&at, p->rows_bytes, MT_ALIGN));
    cut_routing(p, take(&at, p->routing_bytes, MT_ALIGN));
    cut_bias(p, take(&at, p->bias_bytes, MT_ALIGN));
    p->local = take(&at, p->local_bytes, MT_ALIGN);
    p->best_value = (float *)(void *)take(&at, nth * n * 4, MT_ALIGN);
    p->best_id = (int64_t *)(void *)take(&at, nth * n * 8, MT_ALIGN);
    p->part = (float *)(void *)take(&at, (size_t)p->n_part * p->part_floats * 4, MT_ALIGN);
    p->part_done = (atomic_int *)(void *)at;
    for (int i = 0; i < p->n_part; i++) atomic_init(&p->part_done[i], 0);
    if (p->logits_bytes == 0) return MOTE_OK;
    p->logits = mt_pages_reserve(p->logits_bytes);
    if (!p->logits) MT_FAIL(err, MOTE_ENOMEM, "plan: no address space for %zu bytes of logits", p->logits_bytes);
    return MOTE_OK;
}

mote_status mt_plan_open(mt_plan **out, const mt_net *net, const mt_weights *w, const mt_kern *kern,
                         mt_pool *pool, const mt_plan_opts *o, const mote_alloc *alloc, mote_error *err)
{
    const mt_graph *graph = o->stack == MT_ENC ? &net->enc : &net->dec;
    if (graph->n_op == 0)
        MT_FAIL(err, MOTE_EUNSUPPORTED, "%s models have no %s to run", net->spec.family, o->stack == MT_ENC ? "encoder" : "decoder");
    mt_plan *p = mt_get(alloc, sizeof *p, MT_ALIGN);
    if (!p) MT_FAIL(err, MOTE_ENOMEM, "plan: no memory");
    memset(p, 0, sizeof *p);
    p->alloc = alloc, p->net = net, p->graph = graph, p->weights = w, p->kern = kern, p->pool = pool;
    p->opts = *o;
    mt_arena_init(&p->arena, alloc, 1 << 16);
    mote_status st = mt_plan_compile(p, err);
    if (st == MOTE_OK && !o->is_dry) st = cut_scratch(p, err);
    if (st != MOTE_OK) {
        mt_plan_close(p);
        return st;
    }
    *out = p;
    return MOTE_OK;
}

void mt_plan_close(mt_plan *p)
{
    if (!p) return;
    (void)mt_plan_trace(p, false, NULL);
    if (p->logits) mt_pages_release(p->logits, p->logits_bytes);
    if (p->scratch) mt_put(p->alloc, p->scratch, p->scratch_bytes);
    mt_arena_reset(&p->arena);
    mt_put(p->alloc, p, sizeof *p);
}

size_t mt_plan_bytes(const mt_plan *p) { return p->scratch_bytes + p->logits_bytes; }
size_t mt_plan_page_bytes(const mt_plan *p) { return p->page_bytes; }

/* ---- printing ------------------------------------------------------------------------------------- */

static bool print_product(const mt_plan *p, const mt_stage *s, mt_buf *out)
{
    static const char *const prologue[] = {"", "norm, ", "act, ", "act * gate, ", "lerp, "};
    static const char *const operand[] = {"int8", "f32", "bf16"};
    const char *by = s->op->kind == MT_OP_LINEAR_EXPERT ? "by expert, " : "";
    if (!mt_buf_print(out, "product   %s%s%s:", by, prologue[s->prologue], operand[s->operand])) return false;
    for (int j = 0; j < s->n_mat; j++) {
        const mt_op *op = s->mat[j];
        const mt_packed *w = &p->weights->item[op->w[0]];
        if (!mt_buf_print(out, "%s %s[%s %lld x %lld]%s%s", j ? "," : "", p->net->weight[op->w[0]].tensor->name,
                 mt_layouts[w->layout].name, (long long)w->n_out, (long long)w->k, op->w[1] >= 0 ? " + bias" : "",
                 s->add[j] ? " + residual" : "")) return false;
    }
    return true;
}

static bool print_attend(const mt_stage *s, mt_buf *out)
{
    static const char *const bias[] = {"", ", bias by distance", ", bias by bucket"};
    const mt_op *op = s->op;
    const char *keys = s->k < 0 ? "to the encoder's text" : op->state < 0 ? "within the pass" : "KV write";
    return mt_buf_print(out, "attention %s%s%s%s%s, %d heads on %d, chunks of %d", s->rope_q ? "rope q, " : "",
                        s->rope_k ? "rope k, " : "", keys, op->u.attend.mask == MT_MASK_FULL ? ", full" : "",
                        bias[op->u.attend.bias_fn], op->u.attend.n_head, op->u.attend.n_kv, MT_CHUNK);
}

static bool print_stage(const mt_plan *p, int i, mt_buf *out)
{
    const mt_stage *s = &p->stage[i];
    if (i == p->head && !mt_buf_print(out, "-- for wanted rows --\n")) return false;
    if (!mt_buf_print(out, "%4d  layer %3d  ", i, s->op->layer)) return false;
    switch (s->kind) {
    case MT_STAGE_ROWS:
        for (int j = 0; j < s->n_row_op; j++)
            if (!mt_buf_print(out, "%s%s", j ? ", " : "", mt_op_name(s->row_op[j]->kind))) return false;
        break;
    case MT_STAGE_SCAN: case MT_STAGE_ROUTE:
        if (!mt_buf_print(out, "%s", mt_op_name(s->op->kind))) return false;
        break;
    case MT_STAGE_PRODUCT:
        if (!print_product(p, s, out)) return false;
        break;
    case MT_STAGE_ATTEND:
        if (!print_attend(s, out)) return false;
        break;
    }
    return mt_buf_print(out, "\n");
}

mote_status mt_plan_print(const mt_plan *p, mt_buf *out, mote_error *err)
{
    bool ok = mt_buf_print(out, "%d stages on %d threads (%s), %d rows a pass, scratch %zu KiB, KV page %zu KiB\n", p->n_stage,
                  mt_pool_size(p->pool), p->kern->level, p->opts.n_batch, p->scratch_bytes >> 10, p->page_bytes >> 10);
    for (int i = 0; ok && i < p->n_stage; i++) ok = print_stage(p, i, out);
    if (!ok) MT_FAIL(err, MOTE_ENOMEM, "plan: no memory to print it");
    return MOTE_OK;
}

/* SPDX-License-Identifier: MIT */
/* expert.c - mixtures: which experts a row goes to, and products by expert.
 *
 * The rows of an expert are brought together, so that a pass reads its weights once however many
 * tokens chose it.  Only where a row lies changes: its sums are those it would have alone. */
#include <math.h>
#include <string.h>

#include "plan/stage.h"

/* ---- routes ------------------------------------------------------------------------------------ */

/* The n_used largest of n, lowest index among equals, ascending.  NaN is never larger. */
static void choose(const float *p, int n, int n_used, int32_t *out)
{
    bool is_in[MT_MAX_EXPERT] = {false};
    for (int i = 0; i < n_used; i++) {
        int best = -1;
        for (int e = 0; e < n; e++)
            if (!is_in[e] && (best < 0 || p[e] > p[best])) best = e;
        is_in[best] = true;
    }
    for (int e = 0, i = 0; e < n; e++)
        if (is_in[e]) out[i++] = e;
}

/* Shares of row t, by expert: softmax, all but the chosen 0. */
static void route_row(mt_plan *p, const mt_op *op, int t)
{
    const int n = p->graph->value[op->out].cols, n_used = op->u.route.n_used;
    const float *x = mt_plan_row(p, op->in[0], t);
    float *out = mt_plan_row(p, op->out, t), max = x[0], total = 0, kept = 0;
    int32_t *choice = p->routing.choice + (size_t)t * (size_t)n_used;
    for (int e = 1; e < n; e++) max = x[e] > max ? x[e] : max;
    for (int e = 0; e < n; e++) out[e] = x[e] - max;
    p->kern->exp(out, n, out);
    for (int e = 0; e < n; e++) total += out[e];
    choose(out, n, n_used, choice);
    for (int i = 0; i < n_used; i++) kept += out[choice[i]];
    const float by = op->u.route.scale / (op->u.route.renorm ? kept : total);
    for (int e = 0, i = 0; e < n; e++) {
        const bool is_in = i < n_used && choice[i] == e;
        out[e] = is_in ? out[e] * by : 0.0f;
        i += is_in;
    }
}

/* Places of all routed rows: by expert, then by token. */
static void place_rows(mt_plan *p)
{
    mt_routing *r = &p->routing;
    const int n = p->n_row * r->n_used;
    memset(r->first, 0, ((size_t)r->n_expert + 1) * sizeof *r->first);
    for (int i = 0; i < n; i++) r->first[r->choice[i] + 1]++;
    r->n_active = 0;
    for (int e = 0; e < r->n_expert; e++) {
        if (r->first[e + 1] > 0) r->active[r->n_active++] = e;
        r->first[e + 1] += r->first[e];
    }
    /* first[e] counts up while its rows are placed, and is set back behind */
    for (int i = 0; i < n; i++) {
        const int32_t at = r->first[r->choice[i]]++;
        r->place[i] = at, r->token[at] = i / r->n_used;
    }
    for (int e = r->n_expert; e > 0; e--) r->first[e] = r->first[e - 1];
    r->first[0] = 0;
}

bool mt_plan_route(mt_plan *p, const mt_stage *s, mt_worker *w)
{
    const double start = p->trace ? mt_now() : 0;
    if (p->n_row > 1) {
        mt_deal(w, p->n_row, 4);
        for (mt_span mine; mt_take(w, &mine);)
            for (int t = mine.from; t < mine.to; t++) route_row(p, s->op, t);
        if (!mt_plan_settle(p, s, w, start)) return false;
    }
    mt_deal(w, 1, 1);
    for (mt_span mine; mt_take(w, &mine);) {
        if (p->n_row == 1) route_row(p, s->op, 0);
        place_rows(p);
    }
    return true;
}

void mt_plan_combine_row(const mt_plan *p, const mt_op *op, int t)
{
    const int cols = p->graph->value[op->out].cols, n_used = op->u.route.n_used;
    const float *share = mt_plan_row(p, op->in[1], t);
    float *out = mt_plan_row(p, op->out, t);
    for (int i = 0; i < n_used; i++) {
        const size_t at = (size_t)t * (size_t)n_used + (size_t)i;
        const float *x = mt_plan_row(p, op->in[0], p->routing.place[at]), by = share[p->routing.choice[at]];
        for (int c = 0; c < cols; c++) out[c] = i ? out[c] + x[c] * by : x[c] * by;
    }
}

/* ---- products ------------------------------------------------------------------------------------- */

/* Panels [from, to), counted through the active experts and, of each, all matrices of the stage. */
static void multiply_span(const mt_plan *p, const mt_stage *s, mt_span mine, int per, const mt_act *act, bool is_one,
                          void *scratch)
{
    const mt_routing *r = &p->routing;
    const int most = MT_MIN(mine.to, r->n_active * per);
    for (int at = mine.from; at < most;) {
        const int e = r->active[at / per], end = MT_MIN(most, (at / per + 1) * per);
        const int row0 = r->first[e], n_row = r->first[e + 1] - row0;
        const mt_act rows = mt_act_from(act, is_one ? 0 : row0);
        int before = at / per * per;
        for (int j = 0; j < s->n_mat; j++) {
            const int n = mt_plan_panels(p, s->mat[j]);
            const int p0 = MT_MAX(at - before, 0), p1 = MT_MIN(end - before, n);
            if (p1 > p0) mt_plan_multiply(p, s, j, e, p0, p1, &rows, row0, n_row, scratch);
            before += n;
        }
        at = end;
    }
}

bool mt_plan_experts(mt_plan *p, const mt_stage *s, mt_worker *w)
{
    const mt_routing *r = &p->routing;
    const mt_lane *lane = &p->lane[w->ith];
    const bool is_shared = p->graph->value[s->op->in[0]].rows == MT_ROWS_TOKEN;
    const bool is_one = is_shared && p->n_row == 1;      /* one row for all of its experts */
    const mt_act *act = is_one ? &lane->act : &p->act;
    if (!is_one) {
        const double start = p->trace ? mt_now() : 0;
        mt_deal(w, p->n_row * r->n_used, 2);
        for (mt_span mine; mt_take(w, &mine);)
            for (int i = mine.from; i < mine.to; i++)
                mt_plan_prepare(p, s, 0, is_shared ? r->token[i] : i, act, i, lane->row);
        if (!mt_plan_settle(p, s, w, start)) return false;
    }
    int per = 0;
    for (int j = 0; j < s->n_mat; j++) per += mt_plan_panels(p, s->mat[j]);
    /* as many experts as may be active: a thread that is late must count the same items, and how many are
     * active may be another layer's by then (base.h) */
    mt_deal(w, MT_MIN(r->n_expert, p->n_row * r->n_used) * per, 4);
    bool is_ready = !is_one;
    for (mt_span mine; mt_take(w, &mine); is_ready = true) {
        if (!is_ready) mt_plan_prepare(p, s, 0, 0, act, 0, lane->row);
        multiply_span(p, s, mine, per, act, is_one, lane->mm);
    }
    return true;
}

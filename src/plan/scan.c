/* SPDX-License-Identifier: MIT */
/* scan.c - ops that walk through a sequence row by row and leave a state behind: SHIFT and WKV4.
 *
 * A column never looks at another one, so columns are dealt to threads, and each walks all rows of a
 * sequence.  How a text was cut into passes cannot be seen in it: the state between two rows is the
 * same numbers, in memory or in a session. */
#include <string.h>

#include "plan/stage.h"

enum { COLUMNS = 64 };               /* of one item */

/* A block of columns of one sequence: [c, c + n), and its rows [row, end). */
typedef struct block { int row, end, c, n; float *state; } block;

static void shift(const mt_plan *p, const mt_op *op, const block *b)
{
    const size_t bytes = (size_t)b->n * sizeof(float);
    float last[COLUMNS];
    memcpy(last, b->state, bytes);
    for (int i = b->row; i < b->end; i++) {
        memcpy(mt_plan_row(p, op->out, i) + b->c, last, bytes);
        memcpy(last, mt_plan_row(p, op->in[0], i) + b->c, bytes);
    }
    memcpy(b->state, last, bytes);
}

/* e^(x - m), e^(y - m) for m the larger of both, which is left in m. */
static void against_larger(const mt_kern *k, const float *x, const float *y, int n, float *ex, float *ey, float *m)
{
    for (int c = 0; c < n; c++) {
        const float most = x[c] > y[c] ? x[c] : y[c];
        ex[c] = x[c] - most, ey[c] = y[c] - most, m[c] = most;
    }
    k->exp(ex, n, ex);
    k->exp(ey, n, ey);
}

static void wkv4(const mt_plan *p, const mt_op *op, const block *b)
{
    const mt_kern *kern = p->kern;
    const int n = b->n, cols = p->graph->value[op->out].cols;
    const float *first = mt_plan_vector(p, op->w[1]) + b->c;
    float *sa = b->state, *sb = sa + cols, *m = sb + cols;
    float fade[COLUMNS], x[COLUMNS], old[COLUMNS], new[COLUMNS], most[COLUMNS];
    kern->exp(mt_plan_vector(p, op->w[0]) + b->c, n, fade);
    for (int i = b->row; i < b->end; i++) {
        const float *k = mt_plan_row(p, op->in[0], i) + b->c, *v = mt_plan_row(p, op->in[1], i) + b->c;
        float *out = mt_plan_row(p, op->out, i) + b->c;
        for (int c = 0; c < n; c++) x[c] = k[c] + first[c];
        against_larger(kern, m, x, n, old, new, most);
        for (int c = 0; c < n; c++) out[c] = (old[c] * sa[c] + new[c] * v[c]) / (old[c] * sb[c] + new[c]);
        for (int c = 0; c < n; c++) x[c] = m[c] - fade[c];
        against_larger(kern, x, k, n, old, new, m);
        for (int c = 0; c < n; c++) {
            sa[c] = old[c] * sa[c] + new[c] * v[c];
            sb[c] = old[c] * sb[c] + new[c];
        }
    }
}

void mt_plan_scan(mt_plan *p, const mt_stage *s, mt_worker *w)
{
    const mt_batch *b = &p->pass->batch;
    const int cols = p->graph->value[s->op->out].cols, n_block = (cols + COLUMNS - 1) / COLUMNS;
    mt_deal(w, b->n_seq * n_block, 1);
    for (mt_span mine; mt_take(w, &mine);)
        for (int i = mine.from; i < mine.to; i++) {
            const mt_batch_seq *seq = &b->seq[i / n_block];
            const int c = i % n_block * COLUMNS;
            const block at = {seq->row, seq->row + seq->n_row, c, MT_MIN(COLUMNS, cols - c),
                              p->pass->vector[i / n_block] + p->k_off[s->op->state] + c};
            if (s->op->kind == MT_OP_SHIFT) shift(p, s->op, &at);
            else wkv4(p, s->op, &at);
        }
}

/* ---- the state of a sequence -------------------------------------------------------------------- */

size_t mt_plan_vector_floats(const mt_plan *p) { return p->vector_floats; }

void mt_plan_vector_init(const mt_plan *p, float *vector)
{
    for (int i = 0; i < p->net->n_state; i++) {
        const mt_state *st = &p->net->state[i];
        for (int c = 0; st->kind == MT_STATE_VECTOR && c < st->n; c++) vector[p->k_off[i] + (size_t)c] = st->init;
    }
}

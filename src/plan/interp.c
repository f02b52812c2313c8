/* SPDX-License-Identifier: MIT */
/* interp.c - the exact interpreter: what every operation of graph.h means, in plain loops.
 *
 * Double precision throughout; weights are decoded as stored, row by row; sums run in ascending
 * order; nothing is fused.  A run first checks its input and takes all memory it needs, after
 * which no operation can fail. */
#include "plan/interp.h"

#include <math.h>
#include <string.h>

/* What a sequence keeps for one state of the net. */
typedef struct slot {
    double *k, *v;                   /* (cap, n_kv * dim); VECTOR: k holds n values */
    int n, cap;                      /* positions held, positions there is room for */
} slot;

struct mt_interp {
    const mt_net *net;
    const mote_alloc *alloc;
    slot *slot;                      /* by state id */
    size_t slot_bytes;
    int pos;                         /* tokens the decoder has seen */
    bool is_encoded;                 /* the cross states are filled */
    /* of the graph that ran last, all in `memory` */
    mt_arena memory;
    const mt_graph *graph;
    double **value;                  /* by value id */
    float *w, *w2;                   /* one decoded row of a weight each */
    uint8_t *made;                   /* one row as its tensor makes it */
    const int32_t *id, *type;
    int n_row, pos0;                 /* rows of the run; position of the first */
};

/* ---- weights and values -------------------------------------------------- */

static const mt_tensor *tensor_of(const mt_interp *it, int weight)
{
    return it->net->weight[weight].tensor;
}

/* Row r of a matrix, or of a stack of matrices one behind the other, into a row of floats. */
static const float *weight_row(const mt_interp *it, int weight, int64_t r, float *room)
{
    const mt_tensor *t = tensor_of(it, weight);
    mt_decode_row(t->type, mt_tensor_rows(t, r, 1, it->made), room, t->ne[0]);
    return room;
}

static int rows_of(const mt_interp *it, int value)
{
    switch (it->graph->value[value].rows) {
    case MT_ROWS_TOKEN:
    case MT_ROWS_WANT: return it->n_row;             /* every row is wanted */
    case MT_ROWS_ROUTED: return it->n_row * it->net->spec.n_expert_used;
    case MT_ROWS_SEQ: return 1;
    }
    return 0;
}

static int cols_of(const mt_interp *it, int value) { return it->graph->value[value].cols; }

static double *row_of(const mt_interp *it, int value, int r)
{
    return it->value[value] + (size_t)r * (size_t)cols_of(it, value);
}

static double dot(const float *w, const double *x, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += (double)w[i] * x[i];
    return sum;
}

/* ---- rows from tables ---------------------------------------------------- */

static int index_of(const mt_interp *it, mt_index source, int r)
{
    switch (source) {
    case MT_INDEX_ID: return it->id[r];
    case MT_INDEX_POSITION: return it->pos0 + r;
    case MT_INDEX_TYPE: return it->type ? it->type[r] : 0;
    }
    return 0;
}

static void gather(mt_interp *it, const mt_op *op)
{
    const int n = cols_of(it, op->out);
    for (int r = 0; r < it->n_row; r++) {
        double *out = row_of(it, op->out, r);
        const int i = index_of(it, op->u.gather.source, r) + op->u.gather.offset;
        const float *w = weight_row(it, op->w[0], i, it->w);
        for (int c = 0; c < n; c++) out[c] = (double)w[c] * (double)op->u.gather.scale;
    }
}

/* ---- one value to one value ---------------------------------------------- */

/* rms:    x / sqrt(mean x^2 + eps) * (w + plus)
 * layer:  (x - mean) / sqrt(variance + eps) * w + b */
static void norm_row(const mt_op *op, const double *x, int n, const float *w, const float *b,
                     double *out)
{
    double mean = 0, square = 0;
    if (op->u.norm.kind == MT_NORM_LAYER) {
        for (int i = 0; i < n; i++) mean += x[i];
        mean /= n;
    }
    for (int i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean);
    const double scale = 1 / sqrt(square / n + (double)op->u.norm.eps);
    for (int i = 0; i < n; i++)
        out[i] = (x[i] - mean) * scale * ((double)w[i] + (double)op->u.norm.plus) +
                 (b ? (double)b[i] : 0);
}

static void norm(mt_interp *it, const mt_op *op)
{
    const int cols = cols_of(it, op->out), n = op->u.norm.n > 0 ? op->u.norm.n : cols;
    const float *w = weight_row(it, op->w[0], 0, it->w);
    const float *b = op->w[1] >= 0 ? weight_row(it, op->w[1], 0, it->w2) : NULL;
    for (int r = 0; r < rows_of(it, op->out); r++)
        for (int c = 0; c < cols; c += n)
            norm_row(op, row_of(it, op->in[0], r) + c, n, w, b, row_of(it, op->out, r) + c);
}

static void linear(mt_interp *it, const mt_op *op)
{
    const int n_in = cols_of(it, op->in[0]), n_out = cols_of(it, op->out);
    const int n_row = rows_of(it, op->out);
    const float *bias = op->w[1] >= 0 ? weight_row(it, op->w[1], 0, it->w2) : NULL;
    for (int o = 0; o < n_out; o++) {
        const float *w = weight_row(it, op->w[0], o, it->w);
        for (int r = 0; r < n_row; r++)
            row_of(it, op->out, r)[o] =
                dot(w, row_of(it, op->in[0], r), n_in) + (bias ? (double)bias[o] : 0);
    }
}

static double activate(mt_act_kind kind, double x)
{
    switch (kind) {
    case MT_ACT_NONE: return x;
    case MT_ACT_RELU: return x > 0 ? x : 0;
    case MT_ACT_RELU2: return x > 0 ? x * x : 0;
    case MT_ACT_GELU_ERF: return 0.5 * x * (1 + erf(x * sqrt(0.5)));
    case MT_ACT_GELU_TANH:                           /* sqrt(2 / pi) */
        return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case MT_ACT_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case MT_ACT_SILU: return x / (1 + exp(-x));
    case MT_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case MT_ACT_TANH: return tanh(x);
    }
    return x;
}

/* ADD, MUL, SCALE, ACT, SOFTCAP, TAKE: value by value. */
static void elementwise(mt_interp *it, const mt_op *op)
{
    const size_t n = (size_t)rows_of(it, op->out) * (size_t)cols_of(it, op->out);
    const double *x = it->value[op->in[0]], *y = op->in[1] >= 0 ? it->value[op->in[1]] : NULL;
    const double factor = (double)op->u.scale.factor;
    double *out = it->value[op->out];
    for (size_t i = 0; i < n; i++) {
        if (op->kind == MT_OP_ADD) out[i] = x[i] + y[i];
        else if (op->kind == MT_OP_MUL) out[i] = x[i] * y[i];
        else if (op->kind == MT_OP_SCALE) out[i] = x[i] * factor;
        else if (op->kind == MT_OP_SOFTCAP) out[i] = factor * tanh(x[i] / factor);
        else if (op->kind == MT_OP_ACT) out[i] = activate(op->u.act.kind, x[i]);
        else out[i] = x[i];
    }
}

static void slice(mt_interp *it, const mt_op *op)
{
    for (int r = 0; r < rows_of(it, op->out); r++)
        memcpy(row_of(it, op->out, r), row_of(it, op->in[0], r) + op->u.slice.offset,
               (size_t)cols_of(it, op->out) * sizeof(double));
}

static void pool(mt_interp *it, const mt_op *op)
{
    const int n = cols_of(it, op->out);
    const int n_row = op->u.pool.kind == MT_POOL_MEAN ? it->n_row : 1;
    double *out = row_of(it, op->out, 0);
    for (int c = 0; c < n; c++) {
        out[c] = 0;
        for (int r = 0; r < n_row; r++) out[c] += row_of(it, op->in[0], r)[c];
        out[c] /= n_row;
    }
}

/* ---- positions ----------------------------------------------------------- */

/* Pair i of a head turns by position * rope_freq[i]. */
static void rope_head(const mt_net *net, const mt_op *op, double pos, double *x)
{
    const int half = op->u.rope.rope_dim / 2;
    for (int i = 0; i < half; i++) {
        const int a = op->u.rope.is_pair ? 2 * i : i;
        const int b = op->u.rope.is_pair ? 2 * i + 1 : i + half;
        const double c = cos(pos * net->rope_freq[i]) * net->rope_mscale;
        const double s = sin(pos * net->rope_freq[i]) * net->rope_mscale;
        const double xa = x[a], xb = x[b];
        x[a] = xa * c - xb * s;
        x[b] = xb * c + xa * s;
    }
}

static void rope(mt_interp *it, const mt_op *op)
{
    for (int r = 0; r < it->n_row; r++) {
        double *out = row_of(it, op->out, r);
        memcpy(out, row_of(it, op->in[0], r), (size_t)cols_of(it, op->out) * sizeof *out);
        for (int h = 0; h < op->u.rope.n_head; h++)
            rope_head(it->net, op, it->pos0 + r, out + h * op->u.rope.head_dim);
    }
}

/* ---- attention ----------------------------------------------------------- */

/* Rows of this run behind what the slot holds; mt_interp has made room. */
static void append(mt_interp *it, const mt_op *op, int k, int v)
{
    slot *s = &it->slot[op->state];
    const size_t nk = (size_t)cols_of(it, k), nv = (size_t)cols_of(it, v);
    const size_t n = (size_t)it->n_row;
    memcpy(s->k + (size_t)s->n * nk, it->value[k], n * nk * sizeof(double));
    memcpy(s->v + (size_t)s->n * nv, it->value[v], n * nv * sizeof(double));
    s->n += it->n_row;
}

/* What is added to the score of key position j for a query at position i, for head h. */
static double score_bias(const mt_interp *it, const mt_op *op, int h, int i, int j)
{
    int bucket;
    switch (op->u.attend.bias_fn) {
    case MT_BIAS_NONE: break;
    case MT_BIAS_ALIBI: return (double)mt_alibi_slope(h, op->u.attend.n_head) * (j - i);
    case MT_BIAS_T5:
        bucket = mt_t5_bucket(j - i, op->u.attend.mask == MT_MASK_FULL, op->u.attend.n_bucket,
                              op->u.attend.max_distance);
        return (double)weight_row(it, op->w[0], bucket, it->w)[h];
    }
    return 0;
}

/* Head h of the query at position i over keys [lo, hi).  Two passes: the largest score, which
 * keeps exp in range, then the weighted mean.  Scores are computed twice rather than stored. */
static void attend_head(const mt_interp *it, const mt_op *op, const double *k, const double *v,
                        int h, int i, int lo, int hi, const double *q, double *out)
{
    const int dim = op->u.attend.head_dim, v_dim = op->u.attend.v_dim, n_kv = op->u.attend.n_kv;
    const int kv = h / (op->u.attend.n_head / n_kv);
    const double cap = (double)op->u.attend.softcap;
    double max = -INFINITY, total = 0;
    for (int c = 0; c < v_dim; c++) out[c] = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int j = lo; j < hi; j++) {
            const double *kj = k + ((size_t)j * (size_t)n_kv + (size_t)kv) * (size_t)dim;
            const double *vj = v + ((size_t)j * (size_t)n_kv + (size_t)kv) * (size_t)v_dim;
            double s = 0;
            for (int c = 0; c < dim; c++) s += q[c] * kj[c];
            s *= (double)op->u.attend.scale;
            if (cap > 0) s = cap * tanh(s / cap);
            s += score_bias(it, op, h, i, j);
            if (pass == 0) {
                max = fmax(max, s);
                continue;
            }
            const double p = exp(s - max);
            total += p;
            for (int c = 0; c < v_dim; c++) out[c] += p * vj[c];
        }
    }
    for (int c = 0; c < v_dim; c++) out[c] /= total;
}

static void attend(mt_interp *it, const mt_op *op)
{
    const double *k, *v;
    int n_key = it->n_row;
    if (op->state < 0) {
        k = it->value[op->in[1]];
        v = it->value[op->in[2]];
    } else {
        if (op->in[1] >= 0) append(it, op, op->in[1], op->in[2]);
        k = it->slot[op->state].k;
        v = it->slot[op->state].v;
        n_key = it->slot[op->state].n;
    }
    for (int r = 0; r < it->n_row; r++) {
        const int i = it->pos0 + r;
        const int window = op->u.attend.window, to = window > 0 ? MT_MIN(n_key, i + window) : n_key;
        const int hi = op->u.attend.mask == MT_MASK_CAUSAL ? i + 1 : to;
        const int lo = window > 0 ? MT_MAX(0, i - window + 1) : 0;
        for (int h = 0; h < op->u.attend.n_head; h++)
            attend_head(it, op, k, v, h, i, lo, hi,
                        row_of(it, op->in[0], r) + h * op->u.attend.head_dim,
                        row_of(it, op->out, r) + h * op->u.attend.v_dim);
    }
}

/* ---- experts ------------------------------------------------------------- */

/* The experts of a token: the n_used largest of n, lowest index among equals, ascending. */
static void choose(const double *p, int n, int n_used, int out[MT_MAX_EXPERT])
{
    bool is_in[MT_MAX_EXPERT] = { false };
    for (int i = 0; i < n_used; i++) {
        int best = -1;
        for (int e = 0; e < n; e++)
            if (!is_in[e] && (best < 0 || p[e] > p[best])) best = e;
        is_in[best] = true;
    }
    for (int e = 0, i = 0; e < n; e++)
        if (is_in[e]) out[i++] = e;
}

static void route(mt_interp *it, const mt_op *op)
{
    const int n = cols_of(it, op->out), n_used = op->u.route.n_used;
    for (int r = 0; r < it->n_row; r++) {
        const double *x = row_of(it, op->in[0], r);
        double *out = row_of(it, op->out, r), p[MT_MAX_EXPERT], max = x[0], total = 0, kept = 0;
        int best[MT_MAX_EXPERT];
        for (int e = 1; e < n; e++) max = fmax(max, x[e]);
        for (int e = 0; e < n; e++) total += p[e] = exp(x[e] - max);
        choose(p, n, n_used, best);
        for (int i = 0; i < n_used; i++) kept += p[best[i]];
        for (int e = 0; e < n; e++) out[e] = 0;
        for (int i = 0; i < n_used; i++)
            out[best[i]] =
                p[best[i]] / (op->u.route.renorm ? kept : total) * (double)op->u.route.scale;
    }
}

static void linear_expert(mt_interp *it, const mt_op *op)
{
    const int n_in = cols_of(it, op->in[0]), n_out = cols_of(it, op->out);
    const int n_used = op->u.route.n_used;
    const bool is_shared = it->graph->value[op->in[0]].rows == MT_ROWS_TOKEN;
    int best[MT_MAX_EXPERT];
    for (int r = 0; r < it->n_row; r++) {
        choose(row_of(it, op->in[1], r), cols_of(it, op->in[1]), n_used, best);
        for (int i = 0; i < n_used; i++) {
            const double *x = row_of(it, op->in[0], is_shared ? r : r * n_used + i);
            double *out = row_of(it, op->out, r * n_used + i);
            for (int o = 0; o < n_out; o++)
                out[o] =
                    dot(weight_row(it, op->w[0], (int64_t)best[i] * n_out + o, it->w), x, n_in);
        }
    }
}

static void combine(mt_interp *it, const mt_op *op)
{
    const int n = cols_of(it, op->out), n_used = op->u.route.n_used;
    int best[MT_MAX_EXPERT];
    for (int r = 0; r < it->n_row; r++) {
        const double *share = row_of(it, op->in[1], r);
        double *out = row_of(it, op->out, r);
        choose(share, cols_of(it, op->in[1]), n_used, best);
        for (int c = 0; c < n; c++) {
            out[c] = 0;
            for (int i = 0; i < n_used; i++)
                out[c] += row_of(it, op->in[0], r * n_used + i)[c] * share[best[i]];
        }
    }
}

/* ---- recurrence ---------------------------------------------------------- */

static void shift(mt_interp *it, const mt_op *op)
{
    double *last = it->slot[op->state].k;
    const size_t bytes = (size_t)cols_of(it, op->out) * sizeof *last;
    for (int r = 0; r < it->n_row; r++) {
        memcpy(row_of(it, op->out, r), last, bytes);
        memcpy(last, row_of(it, op->in[0], r), bytes);
    }
}

static void lerp(mt_interp *it, const mt_op *op)
{
    const float *w = weight_row(it, op->w[0], 0, it->w);
    for (int r = 0; r < it->n_row; r++)
        for (int c = 0; c < cols_of(it, op->out); c++)
            row_of(it, op->out, r)[c] = row_of(it, op->in[0], r)[c] * (double)w[c] +
                                        row_of(it, op->in[1], r)[c] * (1 - (double)w[c]);
}

/* Per channel: a weighted mean of all values so far, a / b; the weight of a value is e^key,
 * falls by e^w with each token (w = -e^decay), and is e^(key + first) for the token in hand.  a
 * and b are kept times e^-m so that no exp overflows. */
static void wkv4(mt_interp *it, const mt_op *op)
{
    const int n = cols_of(it, op->out);
    const float *decay = weight_row(it, op->w[0], 0, it->w);
    const float *first = weight_row(it, op->w[1], 0, it->w2);
    double *a = it->slot[op->state].k, *b = a + n, *m = b + n;
    for (int r = 0; r < it->n_row; r++) {
        for (int c = 0; c < n; c++) {
            const double k = row_of(it, op->in[0], r)[c], v = row_of(it, op->in[1], r)[c];
            const double now = k + (double)first[c], q = fmax(m[c], now);
            const double old = exp(m[c] - q), new = exp(now - q);
            row_of(it, op->out, r)[c] = (old * a[c] + new * v) / (old * b[c] + new);
            const double faded = m[c] - exp((double)decay[c]), m2 = fmax(faded, k);
            a[c] = exp(faded - m2) * a[c] + exp(k - m2) * v;
            b[c] = exp(faded - m2) * b[c] + exp(k - m2);
            m[c] = m2;
        }
    }
}

/* ---- a run --------------------------------------------------------------- */

static void run_op(mt_interp *it, const mt_op *op)
{
    switch (op->kind) {
    case MT_OP_GATHER: gather(it, op); break;
    case MT_OP_NORM: norm(it, op); break;
    case MT_OP_LINEAR: linear(it, op); break;
    case MT_OP_ADD: case MT_OP_MUL: case MT_OP_SCALE: case MT_OP_ACT: case MT_OP_SOFTCAP:
    case MT_OP_TAKE: elementwise(it, op); break;
    case MT_OP_SLICE: slice(it, op); break;
    case MT_OP_ROPE: rope(it, op); break;
    case MT_OP_ATTEND: attend(it, op); break;
    case MT_OP_KV_PUT: append(it, op, op->in[0], op->in[1]); break;
    case MT_OP_ROUTE: route(it, op); break;
    case MT_OP_LINEAR_EXPERT: linear_expert(it, op); break;
    case MT_OP_COMBINE: combine(it, op); break;
    case MT_OP_SHIFT: shift(it, op); break;
    case MT_OP_LERP: lerp(it, op); break;
    case MT_OP_WKV4: wkv4(it, op); break;
    case MT_OP_POOL: pool(it, op); break;
    case MT_OP_COUNT: break;
    }
}

static mote_status check_input(const mt_interp *it, const mt_graph *g, mote_error *err)
{
    const mt_spec *s = &it->net->spec;
    if (g->n_op == 0) MT_FAIL(err, MOTE_EINVAL, "%s models have no such graph", s->family);
    if (it->n_row < 1) MT_FAIL(err, MOTE_EINVAL, "a run needs at least one token");
    for (int r = 0; r < it->n_row; r++) {
        if (it->id[r] < 0 || it->id[r] >= s->n_vocab)
            MT_FAIL(err, MOTE_EINVAL, "token %d is %d, expected 0 to %d", r, it->id[r],
                    s->n_vocab - 1);
        if (it->type && (it->type[r] < 0 || it->type[r] >= MT_MAX(s->n_type, 1)))
            MT_FAIL(err, MOTE_EINVAL, "type of token %d is %d, expected 0 to %d", r,
                    it->type[r], MT_MAX(s->n_type, 1) - 1);
    }
    if (s->pos == MT_POS_LEARNED && it->n_row > s->n_pos - it->pos0)
        MT_FAIL(err, MOTE_EFULL,
                "%d tokens behind %d exceed the %d positions the model has learned", it->n_row,
                it->pos0, s->n_pos);
    return MOTE_OK;
}

/* Room for n more positions. */
static bool grow(mt_interp *it, const mt_state *st, slot *s, int n)
{
    const size_t k_bytes = (size_t)st->n_kv * (size_t)st->head_dim * sizeof(double);
    const size_t v_bytes = (size_t)st->n_kv * (size_t)st->v_dim * sizeof(double);
    if (n <= s->cap - s->n) return true;
    const int cap = s->n + MT_MAX(n, s->n);
    double *k = mt_get(it->alloc, (size_t)cap * k_bytes, MT_ALIGN);
    double *v = mt_get(it->alloc, (size_t)cap * v_bytes, MT_ALIGN);
    if (!k || !v) {
        mt_put(it->alloc, k, (size_t)cap * k_bytes);
        mt_put(it->alloc, v, (size_t)cap * v_bytes);
        return false;
    }
    if (s->n > 0) memcpy(k, s->k, (size_t)s->n * k_bytes);
    if (s->n > 0) memcpy(v, s->v, (size_t)s->n * v_bytes);
    mt_put(it->alloc, s->k, (size_t)s->cap * k_bytes);
    mt_put(it->alloc, s->v, (size_t)s->cap * v_bytes);
    *s = (slot){ k, v, s->n, cap };
    return true;
}

/* Everything a run of graph g needs; fills states of one kind. */
static bool make_room(mt_interp *it, const mt_graph *g, mt_state_kind grows)
{
    int64_t widest = 1;
    size_t row_bytes = 1;
    for (int i = 0; i < it->net->n_weight; i++) {
        const mt_tensor *t = it->net->weight[i].tensor;
        widest = MT_MAX(widest, t->ne[0]);
        row_bytes = MT_MAX(row_bytes, mt_row_bytes(t->type, t->ne[0]));
    }
    it->made = mt_arena_push(&it->memory, row_bytes);
    it->value = mt_arena_push_n(&it->memory, (size_t)g->n_value, sizeof *it->value);
    it->w = mt_arena_push_n(&it->memory, (size_t)widest, sizeof *it->w);
    it->w2 = mt_arena_push_n(&it->memory, (size_t)widest, sizeof *it->w2);
    if (!it->value || !it->w || !it->w2 || !it->made) return false;
    for (int i = 0; i < g->n_value; i++) {
        const size_t rows = (size_t)rows_of(it, i);
        it->value[i] =
            mt_arena_push_n(&it->memory, rows * (size_t)g->value[i].cols, sizeof **it->value);
        if (!it->value[i]) return false;
    }
    for (int i = 0; i < it->net->n_state; i++)
        if (it->net->state[i].kind == grows &&
            !grow(it, &it->net->state[i], &it->slot[i], it->n_row))
            return false;
    return true;
}

static mote_status run(mt_interp *it, const mt_graph *g, mt_state_kind grows, mote_error *err)
{
    MT_TRY(check_input(it, g, err));
    mt_arena_reset(&it->memory);
    it->graph = g;
    if (!make_room(it, g, grows)) {
        it->graph = NULL;
        MT_FAIL(err, MOTE_ENOMEM, "no memory to interpret %d tokens", it->n_row);
    }
    for (int i = 0; i < g->n_op; i++) run_op(it, &g->op[i]);
    return MOTE_OK;
}

/* ---- public -------------------------------------------------------------- */

void mt_interp_reset(mt_interp *it)
{
    it->pos = 0;
    it->is_encoded = false;
    for (int i = 0; i < it->net->n_state; i++) {
        const mt_state *st = &it->net->state[i];
        it->slot[i].n = 0;
        for (int c = 0; st->kind == MT_STATE_VECTOR && c < st->n; c++)
            it->slot[i].k[c] = (double)st->init;
    }
}

mote_status mt_interp_open(mt_interp **out, const mt_net *net, const mote_alloc *alloc,
                           mote_error *err)
{
    mt_interp *it = mt_get(alloc, sizeof *it, MT_ALIGN);
    if (!it) MT_FAIL(err, MOTE_ENOMEM, "no memory for an interpreter");
    *it = (mt_interp){ .net = net, .alloc = alloc };
    mt_arena_init(&it->memory, alloc, 1 << 16);
    it->slot_bytes = (size_t)net->n_state * sizeof *it->slot;
    it->slot = mt_get(alloc, it->slot_bytes, MT_ALIGN);
    if (it->slot) memset(it->slot, 0, it->slot_bytes);
    bool is_ok = it->slot != NULL;
    for (int i = 0; is_ok && i < net->n_state; i++) {
        if (net->state[i].kind != MT_STATE_VECTOR) continue;
        it->slot[i].k = mt_get(alloc, (size_t)net->state[i].n * sizeof(double), MT_ALIGN);
        is_ok = it->slot[i].k != NULL;
    }
    if (!is_ok) {
        mt_interp_close(it);
        MT_FAIL(err, MOTE_ENOMEM, "no memory for the state of %d layers",
                net->spec.dec.n_layer);
    }
    mt_interp_reset(it);
    *out = it;
    return MOTE_OK;
}

void mt_interp_close(mt_interp *it)
{
    if (!it) return;
    for (int i = 0; it->slot && i < it->net->n_state; i++) {
        const mt_state *st = &it->net->state[i];
        const size_t cap = (size_t)it->slot[i].cap * (size_t)st->n_kv * sizeof(double);
        const bool is_vector = st->kind == MT_STATE_VECTOR;
        mt_put(it->alloc, it->slot[i].k,
               is_vector ? (size_t)st->n * sizeof(double) : cap * (size_t)st->head_dim);
        mt_put(it->alloc, it->slot[i].v, cap * (size_t)st->v_dim);
    }
    mt_put(it->alloc, it->slot, it->slot_bytes);
    mt_arena_reset(&it->memory);
    mt_put(it->alloc, it, sizeof *it);
}

mote_status mt_interp_encode(mt_interp *it, const int32_t *ids, const int32_t *types, int n,
                             mote_error *err)
{
    mt_interp_reset(it);             /* another text: nothing that was kept is about it */
    it->id = ids;
    it->type = types;
    it->n_row = n;
    it->pos0 = 0;
    MT_TRY(run(it, &it->net->enc, MT_STATE_CROSS, err));
    it->is_encoded = true;
    return MOTE_OK;
}

mote_status mt_interp_decode(mt_interp *it, const int32_t *ids, int n, mote_error *err)
{
    if (it->net->enc.n_op > 0 && !it->is_encoded)
        MT_FAIL(err, MOTE_EINVAL, "the text must be encoded before its answer is decoded");
    it->id = ids;
    it->type = NULL;
    it->n_row = n;
    it->pos0 = it->pos;
    MT_TRY(run(it, &it->net->dec, MT_STATE_KV, err));
    it->pos += n;
    return MOTE_OK;
}

const double *mt_interp_value(const mt_interp *it, int value, int *rows, int *cols)
{
    if (!it->graph || value < 0 || value >= it->graph->n_value) return NULL;
    if (rows) *rows = rows_of(it, value);
    if (cols) *cols = cols_of(it, value);
    return it->value[value];
}

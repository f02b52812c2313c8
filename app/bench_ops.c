/* SPDX-License-Identifier: MIT */
/* bench_ops.c - from the engine's trace of stages: what a phase computes and reads, and how long
 * each op of it takes.
 *
 * Stages of the same name in different layers are one op.  Keys and values that attention reads
 * follow from its multiply-adds: each query head multiplies every key and value once, and several
 * query heads share what one key head reads. */
#include "bench.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of one number in the KV pages. */
static double kv_width(const bench *b)
{
    const char *type = args_text(b->a, OPT_KV, "bf16");
    return !strcmp(type, "f32") ? 4 : !strncmp(type, "q8", 2) ? 34.0 / 32 : 2;
}

static double bytes_of(const bench *b, const mote_op_time *t, int phase)
{
    const mote_model_info *info = &b->l->info;
    if (t->kind == MOTE_OP_PRODUCT) return (double)t->weight_bytes * (double)t->n_pass;
    /* a prompt's tiles share what they read, so only single rows are counted */
    if (t->kind != MOTE_OP_ATTENTION || phase != PHASE_DECODE || info->n_head <= 0) return 0;
    return t->macs * info->n_head_kv / info->n_head * kv_width(b);
}

static bool is_same_op(const mote_op_time *a, const mote_op_time *b)
{
    return a->kind == b->kind && (a->layer < 0) == (b->layer < 0) && !strcmp(a->name, b->name);
}

/* Adds later stages to the first of their op; returns how many ops remain, in order. */
static int merge(mote_op_time *t, double *bytes, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < kept && !is_same_op(&t[k], &t[i])) k++;
        if (k == kept) {
            t[kept] = t[i];
            bytes[kept++] = bytes[i];
            continue;
        }
        t[k].work_s += t[i].work_s, t[k].prepare_s += t[i].prepare_s, t[k].wait_s += t[i].wait_s;
        t[k].macs += t[i].macs, t[k].weight_bytes += t[i].weight_bytes;
        bytes[k] += bytes[i];
    }
    return kept;
}

/* Names as model files write them: "attn_q+attn_k+attn_v". */
static void lower(char *name)
{
    for (; *name; name++) *name = (char)tolower((unsigned char)*name);
}

static const char *const kind_name[] = { "product", "attention", "other" };
static const char *const phase_name[] = { "prompt", "decode" };

/* Milliseconds are those of a whole prompt, or of one generated token. */
static int put_ops(bench_row *row, int phase, const mote_op_time *t, const double *bytes, int n)
{
    double total = 0;
    const double runs = phase == PHASE_PROMPT || row->n_new < 1 ? 1
                        : row->n_prompt && row->n_new > 1 ? row->n_new - 1 : row->n_new;
    for (int i = 0; i < n; i++) total += t[i].work_s + t[i].prepare_s + t[i].wait_s;
    for (int i = 0; i < n; i++) {
        const double all = t[i].work_s + t[i].prepare_s + t[i].wait_s, ms = 1e3 / runs;
        json_t *o = json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "phase", phase_name[phase], "op",
                              t[i].name, "kind", kind_name[t[i].kind], "share", total > 0 ? all / total : 0, "ms",
                              all * ms, "prepare_ms", t[i].prepare_s * ms, "wait_ms", t[i].wait_s * ms, "macs",
                              t[i].macs / runs, "bytes", bytes[i] / runs);
        if (!o || json_array_append_new(row->ops, o)) return term_error(ST_NO_FIT, "no memory for the result");
    }
    return ST_DONE;
}

int bench_trace_read(const bench *b, bench_row *row, int phase, bool want_ops)
{
    const int n = mote_engine_times(b->l->e, NULL, 0);
    if (n <= 0) return ST_DONE;
    mote_op_time *t = calloc((size_t)n, sizeof *t);
    double *bytes = calloc((size_t)n, sizeof *bytes);
    int st = ST_DONE;
    if (t && bytes) {
        mote_engine_times(b->l->e, t, n);
        row->phase[phase] = (bench_phase){ 0 };
        for (int i = 0; i < n; i++) {
            lower(t[i].name);
            bytes[i] = bytes_of(b, &t[i], phase);
            row->phase[phase].macs += t[i].macs;
            row->phase[phase].bytes += bytes[i];
        }
        const bool ran = phase == PHASE_PROMPT ? row->n_prompt > 0 : row->n_new > 0;
        if (want_ops && !row->ops) row->ops = json_array();
        if (want_ops && ran) st = put_ops(row, phase, t, bytes, merge(t, bytes, n));
    } else {
        st = term_error(ST_NO_FIT, "no memory for the trace");
    }
    free(t);
    free(bytes);
    return st;
}

/* SPDX-License-Identifier: MIT */
/* bench_result.c - everything a bench found out, as one JSON object (docs/bench.md has its fields).
 *
 * A limit is what the machine could do at best: a prompt's multiply-adds at the peak of its
 * arithmetic, a generated token's weights, keys and values at the speed of reading.  Sessions
 * together may hit either, so each phase of theirs takes the slower of the two. */
#include "bench.h"
#include "bench_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEMA = 1 };

typedef struct limits { double macs, bytes; const char *name; } limits;  /* per second; 0: unknown */

static json_t *real_or_null(double v) { return v > 0 && isfinite(v) ? json_real(v) : json_null(); }

/* The arithmetic that this kind of weights is multiplied with, at its peak. */
static limits limits_of(const bench *b)
{
    const machine *m = &b->machine;
    const char *quant = b->l->info.quant ? b->l->info.quant : "";
    limits r = { 0, 0, "int8" };
    if (!m->works) return r;
    const double int8[2] = { m->first.int8.median, m->last.int8.median };
    r.macs = stats_median(int8, 2);
    if (!strcmp(quant, "F32") || !strcmp(quant, "F16") || !strcmp(quant, "BF16")) {
        const bool is_bf16 = !strcmp(quant, "BF16") && m->first.bf16.median > 0;
        r.macs = is_bf16 ? m->first.bf16.median : m->first.f32.median;
        r.name = is_bf16 ? "bf16" : "f32";
    }
    r.macs *= 1e9;
    r.bytes = stats_median(m->read, m->n_read) * 1e9;
    return r;
}

double bench_tokens(const bench_row *row)
{
    return (double)row->n_session * (row->n_new ? row->n_new : row->n_prompt);
}

/* Seconds that a run takes at the limit (0: unknown), and how much of them is arithmetic. */
static double limit_seconds(const bench_row *row, const limits *l, double *arithmetic)
{
    const bench_phase *p = &row->phase[PHASE_PROMPT], *d = &row->phase[PHASE_DECODE];
    *arithmetic = 0;
    if (!(l->macs > 0) || !(l->bytes > 0)) return 0;
    const double prompt = p->macs / l->macs, reading = d->bytes / l->bytes, computing = d->macs / l->macs;
    const bool computes = row->n_session > 1 && computing > reading;
    const double all = prompt + (computes ? computing : reading);
    if (all > 0) *arithmetic = computes ? 1 : prompt / all;
    return all;
}

/* Each op's rate, and its part of the limit that it comes nearer to. */
static void rate_ops(json_t *ops, const limits *l, const machine *m)
{
    json_t *o;
    size_t i;
    json_array_foreach(ops, i, o) {
        const double ms = bench_number(o, "ms") - bench_number(o, "prepare_ms") - bench_number(o, "wait_ms");
        const double macs = bench_number(o, "macs"), bytes = bench_number(o, "bytes"), s = ms * 1e-3;
        const bool is_attention = !strcmp(bench_text(o, "kind"), "attention");
        /* attention multiplies in bf16 where the processor can, in f32 elsewhere */
        const double peak = !m->works ? 0 : !is_attention ? l->macs
                            : 1e9 * (m->first.bf16.median > 0 ? m->first.bf16.median : m->first.f32.median);
        const char *name = !is_attention ? l->name : m->first.bf16.median > 0 ? "bf16" : "f32";
        const double by_macs = s > 0 && peak > 0 ? macs / s / peak : 0;
        const double by_bytes = s > 0 && l->bytes > 0 ? bytes / s / l->bytes : 0;
        const bool reads = by_bytes > by_macs;
        json_object_set_new(o, "gmac_s", real_or_null(s > 0 ? macs / s * 1e-9 : 0));
        json_object_set_new(o, "gb_s", real_or_null(s > 0 ? bytes / s * 1e-9 : 0));
        json_object_set_new(o, "limit", by_macs > 0 || by_bytes > 0 ? json_string(reads ? "read" : name) : json_null());
        json_object_set_new(o, "fraction", real_or_null(reads ? by_bytes : by_macs));
    }
}

static json_t *runs_json(const bench_row *row)
{
    json_t *a = json_array();
    for (int i = 0; i < row->n_run; i++) json_array_append_new(a, json_real(bench_tokens(row) / row->seconds[i]));
    return a;
}

static json_t *row_json(const bench *b, const bench_row *row, const limits *l)
{
    double arithmetic;
    const stats_interval s = stats_of(row->seconds, row->n_run);
    const double tokens = bench_tokens(row), at_limit = limit_seconds(row, l, &arithmetic);
    const char *name = arithmetic >= 1 ? l->name : arithmetic > 0 ? "both" : "read";
    const double all = tokens * row->n_run;
    json_t *o = json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:o}", "name", row->name, "kind",
                          row->n_prompt && row->n_new ? "both" : row->n_new ? "decode" : "prompt",
                          "prompt_tokens", row->n_prompt, "new_tokens", row->n_new, "depth", row->depth,
                          "sessions", row->n_session, "tok_s", tokens / s.mid, "tok_s_low", tokens / s.high,
                          "tok_s_high", tokens / s.low, "coverage", s.coverage, "runs", runs_json(row));
    if (!o) return NULL;
    json_object_set_new(o, "limit", at_limit > 0 ? json_string(name) : json_null());
    json_object_set_new(o, "arithmetic", json_string(l->name));
    json_object_set_new(o, "arithmetic_share", at_limit > 0 ? json_real(arithmetic) : json_null());
    json_object_set_new(o, "limit_tok_s", real_or_null(at_limit > 0 ? tokens / at_limit : 0));
    json_object_set_new(o, "fraction", real_or_null(at_limit / s.mid));
    json_object_set_new(o, "macs_per_token", real_or_null((row->phase[0].macs + row->phase[1].macs) / tokens));
    json_object_set_new(o, "bytes_per_token", real_or_null(row->phase[PHASE_DECODE].bytes / tokens));
    json_object_set_new(o, "cpu_s_per_token", json_real(row->cpu_s / all));
    json_object_set_new(o, "joules_per_token", real_or_null(row->joules / all));
    json_object_set_new(o, "peak_rss_bytes", json_integer((json_int_t)row->peak_memory));
    if (row->ops) {
        rate_ops(row->ops, l, &b->machine);
        json_object_set(o, "ops", row->ops);
    }
    return o;
}

static void put_rate(json_t *o, const char *name, const char *unit, const probe_rate *r)
{
    char key[32];
    snprintf(key, sizeof key, "%s_%s", name, unit);
    json_object_set_new(o, key, real_or_null(r->median));
    snprintf(key, sizeof key, "%s_how", name);
    json_object_set_new(o, key, r->median > 0 ? json_string(r->how) : json_null());
}

/* What the probes said; null: they could not run. */
static json_t *machine_json(const machine *m)
{
    if (!m->works) return json_null();
    const probe_report *r = &m->first;
    double low = m->read[0], high = m->read[0];
    for (int i = 1; i < m->n_read; i++) {
        if (m->read[i] < low) low = m->read[i];
        if (m->read[i] > high) high = m->read[i];
    }
    json_t *o = json_pack("{s:i, s:I}", "threads", r->threads, "read_bytes", (json_int_t)r->bytes);
    put_rate(o, "int8", "gmac_s", &r->int8);
    put_rate(o, "f32", "gmac_s", &r->f32);
    put_rate(o, "bf16", "gmac_s", &r->bf16);
    put_rate(o, "read", "gb_s", &r->read);
    json_object_set_new(o, "read_gb_s", real_or_null(stats_median(m->read, m->n_read)));
    json_t *samples = json_array();
    for (int i = 0; i < m->n_read; i++) json_array_append_new(samples, json_real(m->read[i]));
    json_object_set_new(o, "read_samples", samples);
    json_object_set_new(o, "read_low", json_real(low));
    json_object_set_new(o, "read_high", json_real(high));
    json_object_set_new(o, "int8_gmac_s_end", real_or_null(m->last.int8.median));
    json_object_set_new(o, "barrier_ns", real_or_null(r->barrier_ns));
    json_object_set_new(o, "barrier_ns_end", real_or_null(m->last.barrier_ns));
    json_object_set_new(o, "placement", json_string(r->placement));
    json_object_set_new(o, "placement_end", json_string(m->last.placement));
    json_object_set_new(o, "stolen", m->ticks ? json_real((double)m->stolen / (double)m->ticks) : json_null());
    return o;
}

/* The first prompt and the first generation of one session, at the top: what scripts look for. */
static void put_first(json_t *o, const bench *b, json_t *rows)
{
    json_t *r;
    size_t i;
    bool has[PHASES] = { false, false };
    json_array_foreach(rows, i, r) {
        const bench_row *row = &b->row[i];
        const int phase = row->n_new ? PHASE_DECODE : PHASE_PROMPT;
        if (row->n_session > 1 || has[phase]) continue;
        has[phase] = true;
        json_object_set(o, phase ? "decode_tok_s" : "prompt_tok_s", json_object_get(r, "tok_s"));
        json_object_set(o, phase ? "decode_tok_s_runs" : "prompt_tok_s_runs", json_object_get(r, "runs"));
        json_object_set_new(o, phase ? "new_tokens" : "prompt_tokens", json_integer(phase ? row->n_new : row->n_prompt));
        json_object_set_new(o, "depth", json_integer(row->depth));
        if (!phase) json_object_set_new(o, "first_token_s", json_real(stats_median(row->seconds, row->n_run)));
    }
}

json_t *bench_result(const bench *b)
{
    device d;
    const loaded *l = b->l;
    const limits lim = limits_of(b);
    device_read(&d);
    bool has_energy = false;
    uint64_t peak = 0;
    json_t *rows = json_array();
    for (int i = 0; i < b->n_row; i++) {
        json_array_append_new(rows, row_json(b, &b->row[i], &lim));
        has_energy |= b->row[i].joules > 0;
        if (b->row[i].peak_memory > peak) peak = b->row[i].peak_memory;
    }
    json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:f, s:I, s:I}", "schema", SCHEMA,
                          "model", l->name, "quant", l->info.quant, "cpu", d.name, "isa", mote_cpu_name(),
                          "version", mote_version_text(), "parameters", (json_int_t)l->info.n_params,
                          "threads", l->info.n_threads, "repetitions", b->n_row ? b->row[0].n_run : 0, "load_s",
                          l->seconds, "peak_rss_bytes", (json_int_t)peak, "weight_bytes",
                          (json_int_t)l->info.bytes_weights);
    if (!o) {
        json_decref(rows);
        return NULL;
    }
    put_first(o, b, rows);
    json_object_set_new(o, "machine", machine_json(&b->machine));
    json_object_set_new(o, "energy", json_pack("{s:s?, s:s?}", "source", has_energy ? b->energy.source : NULL, "why",
                                               has_energy ? NULL : b->energy.why));
    json_object_set_new(o, "rows", rows);
    return o;
}

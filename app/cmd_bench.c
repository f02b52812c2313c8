/* SPDX-License-Identifier: MIT */
/* cmd_bench.c - `mote bench`: prompt and generation, each timed several times.
 *
 * Like the neighbours' bench, so that figures can be laid side by side: the prompt is one pass
 * over random tokens, the generation starts behind --depth tokens (none by default) and always
 * takes the likeliest token.  One run of each is thrown away; the median of the rest counts. */
#include "app.h"
#include "load.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct bench {
    loaded *l;
    int n_prompt, n_new, depth, repeat;
    mote_token *random;         /* depth + n_prompt of them */
    double *prompt_s, *first_s, *decode_s;       /* a figure for each repetition */
} bench;

static uint64_t next_random(uint64_t *state)     /* xorshift64* */
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *v, int n)
{
    double *copy = malloc((size_t)n * sizeof *copy);
    if (!copy) return v[0];
    memcpy(copy, v, (size_t)n * sizeof *copy);
    qsort(copy, (size_t)n, sizeof *copy, by_value);
    const double m = n % 2 ? copy[n / 2] : (copy[n / 2 - 1] + copy[n / 2]) / 2;
    free(copy);
    return m;
}

static int decode(const bench *b, const mote_token *t, int n, mote_want want)
{
    mote_error err = { 0 };
    signals_guard(b->l->s);
    const mote_status code = mote_decode(b->l->s, t, (size_t)n, want, &err);
    signals_guard(NULL);
    if (signals_seen()) return ST_INTERRUPTED;
    return code ? term_mote_error(code, &err) : ST_DONE;
}

/* Back to `depth` tokens in the context. */
static int rewind_to_depth(const bench *b)
{
    mote_error err = { 0 };
    const int held = mote_session_length(b->l->s);
    const mote_status code = mote_session_rewind(b->l->s, held < b->depth ? 0 : b->depth, &err);
    if (code) return term_mote_error(code, &err);
    return held < b->depth ? decode(b, b->random, b->depth, MOTE_WANT_NONE) : ST_DONE;
}

/* Prompt, then the token behind it: what a person waits for. */
static int time_prompt(const bench *b, int i)
{
    int st = rewind_to_depth(b);
    const double start = device_clock();
    if (!st) st = decode(b, b->random + b->depth, b->n_prompt, MOTE_WANT_BEST);
    if (st) return st;
    if (mote_best(b->l->s) < 0) return term_error(ST_FAILED, "the model gives no finite number");
    if (i < 0) return ST_DONE;
    b->prompt_s[i] = b->first_s[i] = device_clock() - start;
    return ST_DONE;
}

static int time_decode(const bench *b, int i, int n)
{
    int st = rewind_to_depth(b);
    mote_token t = b->random[0];
    const double start = device_clock();
    for (int k = 0; !st && k < n; k++) {
        st = decode(b, &t, 1, MOTE_WANT_BEST);
        t = mote_best(b->l->s);
        if (!st && t < 0) st = term_error(ST_FAILED, "the model gives no finite number");
    }
    if (!st && i >= 0) b->decode_s[i] = device_clock() - start;
    return st;
}

static int run_all(const bench *b)
{
    int st = ST_DONE;
    if (b->n_prompt) st = time_prompt(b, -1);
    if (!st && b->n_new) st = time_decode(b, -1, b->n_new < 8 ? b->n_new : 8);
    for (int i = 0; !st && i < b->repeat; i++) {
        if (b->n_prompt) st = time_prompt(b, i);
        if (!st && b->n_new) st = time_decode(b, i, b->n_new);
    }
    return st;
}

static json_t *runs_json(const double *seconds, int n, int tokens)
{
    json_t *a = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(a, json_real(tokens / seconds[i]));
    return a;
}

static int put_json(const bench *b, const device *d, double start_s)
{
    const loaded *l = b->l;
    json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:i, s:i, s:i, s:i, s:f, s:I, s:I}",
                          "model", l->name, "quant", l->info.quant, "cpu", d->name, "isa", mote_cpu_name(),
                          "version", mote_version_text(), "parameters", (json_int_t)l->info.n_params,
                          "threads", l->info.n_threads, "prompt_tokens", b->n_prompt, "new_tokens", b->n_new,
                          "depth", b->depth, "repetitions", b->repeat, "load_s", start_s,
                          "peak_rss_bytes", (json_int_t)device_peak_memory(),
                          "weight_bytes", (json_int_t)l->info.bytes_weights);
    if (!o) return term_error(ST_NO_FIT, "no memory for the result");
    if (b->n_prompt) {
        const double m = median(b->prompt_s, b->repeat);
        json_object_set_new(o, "prompt_tok_s", json_real(b->n_prompt / m));
        json_object_set_new(o, "first_token_s", json_real(median(b->first_s, b->repeat)));
        json_object_set_new(o, "prompt_tok_s_runs", runs_json(b->prompt_s, b->repeat, b->n_prompt));
    }
    if (b->n_new) {
        const double m = median(b->decode_s, b->repeat);
        json_object_set_new(o, "decode_tok_s", json_real(b->n_new / m));
        json_object_set_new(o, "decode_tok_s_runs", runs_json(b->decode_s, b->repeat, b->n_new));
    }
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(o);
    return ST_DONE;
}

static void put_row(const char *what, const double *seconds, int n, int tokens)
{
    double least = seconds[0], most = seconds[0];
    for (int i = 1; i < n; i++) {
        if (seconds[i] < least) least = seconds[i];
        if (seconds[i] > most) most = seconds[i];
    }
    printf("%-16s %9.1f tok/s   (%.1f to %.1f)\n", what, tokens / median(seconds, n), tokens / most,
           tokens / least);
}

static int put_table(const bench *b, const device *d)
{
    const loaded *l = b->l;
    char what[32];
    term_buf b1, b2, b3;
    printf("%s %s, %s parameters, %d thread%s on %s (%s)\n", l->name, l->info.quant,
           term_count(&b1, l->info.n_params), l->info.n_threads, l->info.n_threads == 1 ? "" : "s", d->name,
           mote_cpu_name());
    snprintf(what, sizeof what, "prompt %d", b->n_prompt);
    if (b->n_prompt) put_row(what, b->prompt_s, b->repeat, b->n_prompt);
    snprintf(what, sizeof what, "decode %d", b->n_new);
    if (b->n_new) put_row(what, b->decode_s, b->repeat, b->n_new);
    if (b->n_prompt) printf("%-16s %9s behind a prompt of %d\n", "first token",
                            term_time(&b2, median(b->first_s, b->repeat)), b->n_prompt);
    printf("%-16s %9s at most\n", "memory", term_bytes(&b3, device_peak_memory()));
    return ST_DONE;
}

int cmd_bench(const args *a)
{
    static loaded l;
    device d;
    bench b = { .l = &l, .n_prompt = args_int(a, OPT_PROMPT_TOKENS, 512),
                .n_new = args_int(a, OPT_NEW_TOKENS, 128), .depth = args_int(a, OPT_DEPTH, 0),
                .repeat = args_int(a, OPT_REPEAT, 5) };
    if (!b.n_prompt && !b.n_new) return term_error(ST_USAGE, "nothing to time: -p and -n are both 0");
    const int most = b.n_prompt > b.n_new ? b.n_prompt : b.n_new;
    const size_t n = (size_t)b.depth + (size_t)b.n_prompt + 1, r = (size_t)b.repeat;
    int st = load_model(&l, a, a->n_rest ? a->rest[0] : NULL, true, false);
    if (!st) st = load_engine(&l, a, b.depth + most + 16, 0);
    b.random = calloc(n, sizeof *b.random);
    b.prompt_s = calloc(3 * r, sizeof *b.prompt_s);
    if (!st && (!b.random || !b.prompt_s)) st = term_error(ST_NO_FIT, "no memory for the figures");
    if (!st) {
        uint64_t state = args_u64(a, OPT_SEED, 1) | 1ull << 40;
        b.first_s = b.prompt_s + r;
        b.decode_s = b.prompt_s + 2 * r;
        for (size_t i = 0; i < n; i++)
            b.random[i] = (mote_token)(next_random(&state) % (uint64_t)l.info.n_vocab);
        device_read(&d);
        st = run_all(&b);
    }
    if (!st) st = args_has(a, OPT_JSON) ? put_json(&b, &d, l.seconds) : put_table(&b, &d);
    free(b.random);
    free(b.prompt_s);
    load_close(&l);
    return st;
}

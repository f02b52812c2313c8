/* SPDX-License-Identifier: MIT */
/* cmd_bench.c - `mote bench`: how fast a model runs here, and how near that is to the limit.
 *
 * Like the neighbours' bench, so that figures can be laid side by side: a prompt is random tokens,
 * a generation starts behind --depth tokens (none by default) and always takes the likeliest token.
 * Lengths, depths and numbers of sessions are lists; their combinations are the rows of work that
 * bench_run.c times. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

enum { RUNS = 9 };              /* repetitions when nobody asks for another number */

typedef struct lengths { int v[BENCH_LENGTHS], n; } lengths;

static uint64_t next_random(uint64_t *state)     /* xorshift64* */
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

static int by_size(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static lengths lengths_of(const args *a, opt_id id, int otherwise)
{
    lengths r;
    r.n = args_ints(a, id, r.v, BENCH_LENGTHS, otherwise);
    return r;
}

static int add_row(bench *b, int n_session, int n_prompt, int n_new, int depth)
{
    char what[48];
    bench_row *more = realloc(b->row, (size_t)(b->n_row + 1) * sizeof *more);
    if (!more) return term_error(ST_NO_FIT, "no memory for the figures");
    b->row = more;
    bench_row *r = &b->row[b->n_row++];
    *r = (bench_row){ .n_session = n_session, .n_prompt = n_prompt, .n_new = n_new, .depth = depth };
    if (n_prompt && n_new) snprintf(what, sizeof what, "(%d + %d)", n_prompt, n_new);
    else snprintf(what, sizeof what, n_new ? "decode %d" : "prompt %d", n_new ? n_new : n_prompt);
    const int n = n_session > 1 ? snprintf(r->name, sizeof r->name, "%d × %s", n_session, what)
                                : snprintf(r->name, sizeof r->name, "%s", what);
    if (depth) snprintf(r->name + n, sizeof r->name - (size_t)n, " at %d", depth);
    r->seconds = calloc((size_t)b->n_most, sizeof *r->seconds);
    return r->seconds ? ST_DONE : term_error(ST_NO_FIT, "no memory for the figures");
}

/* One session: prompts and generations apart.  Several: a prompt and a generation together. */
static int add_rows(bench *b, int n_session, int depth, const lengths *prompts, const lengths *news)
{
    int st = ST_DONE;
    for (int i = 0; !st && n_session == 1 && i < prompts->n; i++)
        if (prompts->v[i]) st = add_row(b, 1, prompts->v[i], 0, depth);
    for (int i = 0; !st && n_session == 1 && i < news->n; i++)
        if (news->v[i]) st = add_row(b, 1, 0, news->v[i], depth);
    for (int i = 0; !st && n_session > 1 && i < prompts->n; i++)
        for (int k = 0; !st && k < news->n; k++)
            if (prompts->v[i] || news->v[k]) st = add_row(b, n_session, prompts->v[i], news->v[k], depth);
    return st;
}

static int plan_rows(bench *b, const args *a)
{
    const lengths prompts = lengths_of(a, OPT_PROMPT_TOKENS, 512), news = lengths_of(a, OPT_NEW_TOKENS, 128);
    lengths depths = lengths_of(a, OPT_DEPTH, 0), sessions = lengths_of(a, OPT_SESSIONS, 1);
    int st = ST_DONE;
    qsort(depths.v, (size_t)depths.n, sizeof *depths.v, by_size);     /* going deeper keeps what is there */
    for (int i = 0; i < sessions.n; i++)
        for (int k = 0; !st && k < depths.n; k++) st = add_rows(b, sessions.v[i], depths.v[k], &prompts, &news);
    if (!st && !b->n_row) st = term_error(ST_USAGE, "nothing to time: -p and -n are both 0");
    return st;
}

/* Enough random tokens for the longest row of every session. */
static int draw_tokens(bench *b, uint64_t seed)
{
    int most = 0;
    uint64_t state = seed | 1ull << 40;
    for (int i = 0; i < b->n_row; i++) {
        const bench_row *r = &b->row[i];
        const int need = r->depth + r->n_prompt + r->n_session + BENCH_SPARE;
        if (need > most) most = need;
    }
    b->random = calloc((size_t)most, sizeof *b->random);
    if (!b->random) return term_error(ST_NO_FIT, "no memory for %d tokens", most);
    for (int i = 0; i < most; i++)
        b->random[i] = (mote_token)(next_random(&state) % (uint64_t)b->l->info.n_vocab);
    return ST_DONE;
}

/* Rows that write something are not for a model that only reads. */
static int keep_what_runs(bench *b)
{
    int n = 0;
    if (b->l->info.has_decoder) return ST_DONE;
    for (int i = 0; i < b->n_row; i++) {
        if (b->row[i].n_new || b->row[i].depth) free(b->row[i].seconds);
        else b->row[n++] = b->row[i];
    }
    b->n_row = n;
    if (n) return ST_DONE;
    term_error(ST_USAGE, "%s reads texts and writes none: nothing to time", b->l->name);
    term_try("-p 128 -n 0");
    return ST_USAGE;
}

static int measure(const args *a, const char *model, json_t **out)
{
    static loaded l;
    bench b = { .a = a, .l = &l, .n_most = args_int(a, OPT_REPEAT, RUNS), .may_stop = !args_has(a, OPT_REPEAT) };
    *out = NULL;
    int st = plan_rows(&b, a);
    if (!st) machine_start(&b.machine);
    energy_open(&b.energy, "/sys");
    if (!st) st = load_model(&l, a, model, true, false);
    if (!st) st = keep_what_runs(&b);
    if (!st) st = draw_tokens(&b, args_u64(a, OPT_SEED, 1));
    if (!st) st = bench_run(&b);
    if (!st) {
        *out = bench_result(&b);
        if (!*out) st = term_error(ST_NO_FIT, "no memory for the result");
    }
    machine_stop(&b.machine);
    for (int i = 0; i < b.n_row; i++) {
        free(b.row[i].seconds);
        json_decref(b.row[i].ops);
    }
    free(b.row);
    free(b.random);
    load_close(&l);
    return st;
}

static bool is_file_of_results(const char *name)
{
    const size_t n = strlen(name);
    return n > 5 && !strcmp(name + n - 5, ".json");
}

int cmd_bench(const args *a)
{
    const char *what = a->n_rest ? a->rest[0] : NULL, *old = args_text(a, OPT_COMPARE, NULL);
    const char *format = args_has(a, OPT_JSON) ? "json" : args_text(a, OPT_FORMAT, "table");
    const bool files_only = old && what && is_file_of_results(what);
    json_t *before = NULL, *after = NULL, *comparison = NULL;
    int st = old ? bench_load(old, &before) : ST_DONE;
    if (!st) st = files_only ? bench_load(what, &after) : measure(a, what, &after);
    if (!st && old) st = bench_compare(before, after, &comparison);
    const bool is_json = !strcmp(format, "json");
    if (!st && comparison && !files_only && is_json) json_object_set(after, "comparison", comparison);
    if (!st && !files_only) st = bench_print(after, format, args_has(a, OPT_OPS));
    if (!st && comparison && !files_only && !is_json) putchar('\n');
    if (!st && comparison && (files_only || !is_json)) st = bench_print_comparison(comparison, format);
    json_decref(before);
    json_decref(after);
    json_decref(comparison);
    return st;
}

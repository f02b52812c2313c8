/* SPDX-License-Identifier: MIT */
/* bench_run.c - the timing itself.
 *
 * Every row first runs once with the engine's trace on: that warms it up and tells what it
 * computes and reads.  Then the rows of one depth take turns, so that the machine's drift falls on
 * all of them, and reading is probed between two turns.  Generation always takes the likeliest
 * token; prompts are random tokens, of which each session gets others.  A model with an encoder reads
 * its prompts with that, and decodes behind a text of the depth asked for, or a short one. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FEWEST_RUNS = 6 };               /* that give an interval of 95 % */
enum { SHORT_TEXT = BENCH_SPARE };      /* that a decoder is timed behind */
static const double LONG_SECONDS = 60;  /* of the rows of one depth; then the fewest are enough */

static double cpu_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* One line that is overwritten in a terminal, one line per row elsewhere. */
static void say(bench *b, const char *what, const char *name, int i)
{
    if (term.quiet) return;
    if (term.progress == PROGRESS_BAR) {
        if (i >= 0) fprintf(stderr, "\r%s %s, run %d of %d\033[K", what, name, i + 1, b->n_most);
        else fprintf(stderr, "\r%s %s\033[K", what, name);
        fflush(stderr);
    } else if (term.progress == PROGRESS_PLAIN && i <= 0 && b->drawn != name) {
        term_say(what, "%s", name);
    }
    b->drawn = name;
}

static void say_no_more(const bench *b)
{
    if (b->drawn && term.progress == PROGRESS_BAR) fputs("\r\033[K", stderr);
}

/* One step of every session: n tokens each, from t[i]. */
static int step(const bench *b, int n_session, const mote_token *const *t, int n, mote_want want)
{
    mote_error err = { 0 };
    mote_step s[BENCH_SESSIONS];
    for (int i = 0; i < n_session; i++) s[i] = (mote_step){ b->session[i], t[i], (size_t)n, want };
    signals_guard(b->session[0]);
    const bool reads = want == MOTE_WANT_NONE && b->l->info.has_encoder;
    const mote_status code = reads ? mote_encode_many(s, NULL, (size_t)n_session, &err)
                                   : mote_decode_many(s, (size_t)n_session, &err);
    signals_guard(NULL);
    if (signals_seen()) return ST_INTERRUPTED;
    if (code) return term_mote_error(code, &err);
    for (int i = 0; want == MOTE_WANT_BEST && i < n_session; i++)
        if (mote_best(b->session[i]) < 0) return term_error(ST_FAILED, "the model gives no finite number");
    return ST_DONE;
}

/* The random text of session i begins one token later than that of the one before. */
static void texts(const bench *b, int n_session, int from, const mote_token **t)
{
    for (int i = 0; i < n_session; i++) t[i] = b->random + from + i;
}

/* Back to the row's depth in every session. */
static int rewind_to_depth(const bench *b, const bench_row *row)
{
    mote_error err = { 0 };
    const mote_token *t[BENCH_SESSIONS];
    bool is_short = false;
    if (b->l->info.has_encoder) {
        texts(b, row->n_session, 0, t);
        return row->n_prompt ? ST_DONE : step(b, row->n_session, t, row->depth ? row->depth : SHORT_TEXT, MOTE_WANT_NONE);
    }
    for (int i = 0; i < row->n_session; i++) is_short |= mote_session_length(b->session[i]) < row->depth;
    for (int i = 0; i < row->n_session; i++) {
        const mote_status code = mote_session_rewind(b->session[i], is_short ? 0 : row->depth, &err);
        if (code) return term_mote_error(code, &err);
    }
    texts(b, row->n_session, 0, t);
    return is_short ? step(b, row->n_session, t, row->depth, MOTE_WANT_NONE) : ST_DONE;
}

static int run_prompt(const bench *b, const bench_row *row)
{
    const mote_token *t[BENCH_SESSIONS];
    texts(b, row->n_session, row->depth, t);
    return step(b, row->n_session, t, row->n_prompt, b->l->info.has_encoder ? MOTE_WANT_NONE : MOTE_WANT_BEST);
}

/* Behind a prompt, the first token is already there; not behind one that an encoder read. */
static int run_decode(const bench *b, const bench_row *row)
{
    const bool has_first = row->n_prompt && !b->l->info.has_encoder;
    const mote_token start = b->l->info.start_token;
    mote_token best[BENCH_SESSIONS];
    const mote_token *t[BENCH_SESSIONS];
    int st = ST_DONE;
    for (int i = 0; i < row->n_session; i++) {
        best[i] = has_first ? mote_best(b->session[i]) : start >= 0 ? start : b->random[i];
        t[i] = &best[i];
    }
    for (int k = has_first ? 1 : 0; !st && k < row->n_new; k++) {
        st = step(b, row->n_session, t, 1, MOTE_WANT_BEST);
        for (int i = 0; i < row->n_session; i++) best[i] = mote_best(b->session[i]);
    }
    return st;
}

static int run_phase(const bench *b, const bench_row *row, int phase)
{
    if (phase == PHASE_PROMPT) return row->n_prompt ? run_prompt(b, row) : ST_DONE;
    return row->n_new ? run_decode(b, row) : ST_DONE;
}

static int trace_row(const bench *b, bench_row *row, bool want_ops)
{
    mote_error err = { 0 };
    int st = rewind_to_depth(b, row);
    for (int phase = 0; !st && phase < PHASES; phase++) {
        const mote_status code = mote_engine_trace(b->l->e, true, &err);
        if (code) return term_mote_error(code, &err);
        st = run_phase(b, row, phase);
        if (!st) st = bench_trace_read(b, row, phase, want_ops);
    }
    mote_engine_trace(b->l->e, false, NULL);
    return st;
}

static int time_row(bench *b, bench_row *row)
{
    double joules = 0;
    int st = rewind_to_depth(b, row);
    const double cpu = cpu_clock();
    energy_start(&b->energy, device_clock());
    const double start = device_clock();
    for (int phase = 0; !st && phase < PHASES; phase++) st = run_phase(b, row, phase);
    const double end = device_clock();
    if (st) return st;
    if (!energy_stop(&b->energy, end, &joules)) row->joules = -1;
    else if (row->joules >= 0) row->joules += joules;
    row->seconds[row->n_run++] = end - start;
    row->cpu_s += cpu_clock() - cpu;
    return ST_DONE;
}

/* The rows row[0..n), all of one engine and depth. */
static int run_rows(bench *b, bench_row *row, int n)
{
    const int threads = b->l->info.n_threads;
    const uint64_t bytes = b->l->info.bytes_weights;
    const bool want_ops = args_has(b->a, OPT_OPS);
    int st = ST_DONE;
    for (int k = 0; !st && k < n; k++) {
        say(b, "warming", row[k].name, -1);
        st = trace_row(b, &row[k], false);
        if (!st && want_ops) st = trace_row(b, &row[k], true);
    }
    if (!st && !b->machine.asked) {
        say(b, "probing", "the machine", -1);
        st = machine_probe(&b->machine, threads, bytes);
    }
    const double start = device_clock();
    for (int i = 0; !st && i < b->n_most; i++) {
        if (b->may_stop && i >= FEWEST_RUNS && device_clock() - start > LONG_SECONDS) break;
        for (int k = 0; !st && k < n; k++) {
            say(b, "timing", row[k].name, i);
            st = time_row(b, &row[k]);
        }
        if (!st) st = machine_look_again(&b->machine, threads, bytes);
    }
    for (int k = 0; k < n; k++) row[k].peak_memory = device_peak_memory();
    return st;
}

static int open_sessions(bench *b, int n_session, int n_ctx)
{
    mote_error err = { 0 };
    b->l->n_session = n_session;
    const int st = load_engine(b->l, b->a, n_ctx, 0);
    if (st) return st;
    b->session[0] = b->l->s;
    for (int i = 1; i < n_session; i++) {
        const mote_status code = mote_session_open(&b->session[i], b->l->e, &err);
        if (code) return term_mote_error(code, &err);
    }
    return ST_DONE;
}

static void close_sessions(bench *b)
{
    for (int i = 1; i < BENCH_SESSIONS; i++) mote_session_close(b->session[i]);
    memset(b->session, 0, sizeof b->session);
    mote_session_close(b->l->s);
    mote_engine_close(b->l->e);
    b->l->s = NULL;
    b->l->e = NULL;
}

/* Rows stand in the order of sessions, then depth: each change of the first opens an engine. */
int bench_run(bench *b)
{
    int st = ST_DONE;
    for (int at = 0, end; !st && at < b->n_row; at = end) {
        int n_ctx = 0;
        const int n_session = b->row[at].n_session;
        for (end = at; end < b->n_row && b->row[end].n_session == n_session; end++) {
            /* a text that only an encoder reads takes no room behind it */
            const int spare = b->l->info.has_decoder ? SHORT_TEXT : 0;
            const int need = b->row[end].depth + b->row[end].n_prompt + b->row[end].n_new + spare;
            if (need > n_ctx) n_ctx = need;
        }
        st = open_sessions(b, n_session, n_ctx);
        for (int k = at, next; !st && k < end; k = next) {
            for (next = k; next < end && b->row[next].depth == b->row[k].depth;) next++;
            st = run_rows(b, b->row + k, next - k);
        }
        close_sessions(b);
    }
    if (!st) st = machine_finish(&b->machine, b->l->info.n_threads, b->l->info.bytes_weights);
    say_no_more(b);
    return st;
}

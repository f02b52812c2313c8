/* SPDX-License-Identifier: MIT */
/* cmd_perplexity.c - `mote perplexity`: how well a model predicts a text.
 *
 * The rule of llama.cpp, so that figures can be laid side by side: the text is cut into windows
 * of --ctx tokens; a model that wants a begin token gets it in place of the first token of each
 * window; predictions from positions ctx/2 to ctx-2 are scored; the result is exp of the mean. */
#include "app.h"
#include "load.h"
#include "progress.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 30 };

typedef struct score {
    double sum, sum2;           /* of -ln p, and squared */
    int64_t n;
    int chunks;
} score;

static double mean_of(const score *s) { return s->n ? s->sum / (double)s->n : 0; }

/* Standard error of the perplexity: of the mean, times the slope of exp. */
static double error_of(const score *s)
{
    if (s->n < 2) return 0;
    const double m = mean_of(s), variance = s->sum2 / (double)s->n - m * m;
    return variance > 0 ? sqrt(variance / (double)(s->n - 1)) * exp(m) : 0;
}

static void say_running(const score *s, int total, double start)
{
    if (term.quiet) return;
    const double now = device_clock() - start;
    term_buf b;
    if (term.progress == PROGRESS_BAR) {
        fprintf(stderr, "\rchunk %d of %d   perplexity %.4f   %s left\033[K", s->chunks, total,
                exp(mean_of(s)), term_time(&b, now / s->chunks * (total - s->chunks)));
        fflush(stderr);
    } else if (term.progress == PROGRESS_PLAIN) {
        term_say("chunk", "%d of %d   perplexity %.4f", s->chunks, total, exp(mean_of(s)));
    }
}

static int one_window(const loaded *l, mote_token *window, int n, float *logprob, score *s)
{
    mote_error err = { 0 };
    mote_status code = mote_session_rewind(l->s, 0, &err);
    signals_guard(l->s);
    if (!code) code = mote_measure(l->s, window, (size_t)n, logprob, &err);
    signals_guard(NULL);
    if (signals_seen()) return ST_INTERRUPTED;
    if (code) return term_mote_error(code, &err);
    for (int i = n / 2; i + 1 < n; i++) {
        const double v = -(double)logprob[i];
        if (!isfinite(v)) return term_error(ST_FAILED, "the model gives no finite number at chunk %d, token %d",
                                            s->chunks + 1, i);
        s->sum += v;
        s->sum2 += v * v;
        s->n++;
    }
    s->chunks++;
    return ST_DONE;
}

static int put_result(const loaded *l, const args *a, const score *s, int ctx, double seconds, bool has_bos)
{
    const double ppl = exp(mean_of(s));
    if (!args_has(a, OPT_JSON)) {
        printf("perplexity %.4f ± %.4f   %d windows of %d tokens, %lld scored\n", ppl, error_of(s), s->chunks,
               ctx, (long long)s->n);
        return ST_DONE;
    }
    json_t *o = json_pack("{s:s, s:f, s:f, s:f, s:i, s:i, s:I, s:b, s:f, s:s, s:b}", "model", l->name,
                          "perplexity", ppl, "error", error_of(s), "mean_nll", mean_of(s), "ctx", ctx,
                          "chunks", s->chunks, "tokens_scored", (json_int_t)s->n, "bos", has_bos,
                          "seconds", seconds, "cpu", mote_cpu_name(), "exact", args_has(a, OPT_EXACT));
    if (!o) return term_error(ST_NO_FIT, "no memory for the result");
    json_dumpf(o, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(o);
    return ST_DONE;
}

static int measure(const loaded *l, const args *a, mote_token *t, size_t n, int ctx, mote_token bos)
{
    const int whole = (int)(n / (size_t)ctx), limit = args_int(a, OPT_CHUNKS, 0);
    const int total = limit && limit < whole ? limit : whole;
    score s = { 0 };
    float *logprob = malloc((size_t)ctx * sizeof *logprob);
    int st = logprob ? ST_DONE : term_error(ST_NO_FIT, "no memory for a window");
    const double start = device_clock();
    for (int i = 0; !st && i < total; i++) {
        mote_token *window = t + (size_t)i * (size_t)ctx;
        const mote_token first = window[0];
        if (bos >= 0) window[0] = bos;
        st = one_window(l, window, ctx, logprob, &s);
        window[0] = first;
        if (!st) say_running(&s, total, start);
    }
    if (s.chunks && term.progress == PROGRESS_BAR && !term.quiet) fputs("\r\033[K", stderr);
    if (!st) st = put_result(l, a, &s, ctx, device_clock() - start, bos >= 0);
    free(logprob);
    return st;
}

int cmd_perplexity(const args *a)
{
    static loaded l;
    text t = { 0 };
    mote_token *ids = NULL, *begin = NULL;
    size_t n = 0, n_begin = 0;
    const int ctx = args_int(a, OPT_CTX, 512);
    const char *file = args_text(a, OPT_FILE, NULL);
    if (!file) {
        term_error(ST_USAGE, "perplexity needs --file TEXT");
        term_try("mote perplexity %s --file wiki.test.raw", a->rest[0]);
        return ST_USAGE;
    }
    int st = text_read_file(&t, file, TEXT_MAX);
    if (!st) st = load_model(&l, a, a->rest[0], true, false);
    if (!st) st = load_tokens(&l, t.p, t.n, MOTE_TEXT_BOS, &ids, &n);
    if (!st) st = load_tokens(&l, "", 0, MOTE_TEXT_BOS, &begin, &n_begin);
    if (!st && n < (size_t)ctx) {
        st = term_error(ST_USAGE, "%s has %zu tokens, one window needs %d", file, n, ctx);
        term_try("a longer text   or --ctx %zu", n / 2 > 16 ? n / 2 : 16);
    }
    text_free(&t);
    if (!st) st = load_engine(&l, a, ctx, 0);
    if (!st) st = measure(&l, a, ids, n, ctx, n_begin == 1 ? begin[0] : -1);
    free(ids);
    free(begin);
    load_close(&l);
    return st;
}

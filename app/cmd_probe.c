/* SPDX-License-Identifier: MIT */
/* cmd_probe.c - `mote probe`: the numbers behind every position, for anyone to compare.
 *
 * Token ids in, a float32 matrix out.  A long input goes through the engine in batches, and each
 * batch is written before the next, so that memory does not grow with the length. */
#include "app.h"
#include "load.h"
#include "npy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { IDS_TEXT_MAX = 64 << 20, BATCH = 512 };

static int read_ids(const args *a, mote_token **out, size_t *count)
{
    const char *given = args_text(a, OPT_IDS, "-");
    text t = { 0 };
    int st = ST_DONE;
    if (!strcmp(given, "-")) {
        st = text_read_file(&t, "-", IDS_TEXT_MAX);
        given = t.p ? t.p : "";
    }
    mote_token *ids = st ? NULL : malloc((strlen(given) / 2 + 1) * sizeof *ids);
    if (!st && !ids) st = term_error(ST_NO_FIT, "no memory for the ids");
    size_t n = 0;
    for (const char *p = given; !st;) {
        char *end;
        p += strspn(p, " ,\t\r\n[]");
        if (!*p) break;
        errno = 0;
        const long v = strtol(p, &end, 10);
        if (end == p || errno || v < 0 || v > INT32_MAX || (*end && !strchr(" ,\t\r\n]", *end))) {
            st = term_error(ST_USAGE, "\"%.*s\" is not a token id", (int)(strcspn(p, " ,\t\r\n") & 63), p);
            term_try("--ids 1,2,3   (mote tokenize MODEL TEXT gives them)");
            break;
        }
        ids[n++] = (mote_token)v;
        p = end;
    }
    if (!st && !n) st = term_error(ST_USAGE, "no token ids given");
    text_free(&t);
    if (st) free(ids);
    else { *out = ids; *count = n; }
    return st;
}

static int check_ids(const loaded *l, const mote_token *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (t[i] >= l->info.n_vocab)
            return term_error(ST_USAGE, "token id %d at position %zu: %s has ids from 0 to %d", (int)t[i], i,
                              l->name, l->info.n_vocab - 1);
    return ST_DONE;
}

static int run_all(const loaded *l, const args *a, const mote_token *t, size_t n, mote_want want)
{
    const size_t cols = (size_t)(want == MOTE_WANT_ALL ? l->info.n_vocab : l->info.n_embd);
    const char *path = args_text(a, OPT_OUT, NULL);
    npy w;
    mote_error err = { 0 };
    int st = npy_open(&w, path, n, cols);
    for (size_t i = 0; !st && i < n; i += BATCH) {
        const size_t now = n - i < BATCH ? n - i : BATCH;
        size_t rows = 0, width = 0;
        signals_guard(l->s);
        const mote_status code = mote_decode(l->s, t + i, now, want, &err);
        signals_guard(NULL);
        if (code || signals_seen()) {
            st = signals_seen() ? ST_INTERRUPTED : term_mote_error(code, &err);
            break;
        }
        const float *p = mote_output(l->s, &rows, &width);
        if (!p || rows != now || width != cols)
            st = term_error(ST_FAILED, "the model gives %zu × %zu numbers, expected %zu × %zu", rows, width,
                            now, cols);
        if (!st) st = npy_add(&w, p, rows * width);
    }
    if (!st) st = npy_publish(&w);
    npy_drop(&w);
    if (!st) term_say("wrote", "%s   %zu × %zu float32", path, n, cols);
    return st;
}

int cmd_probe(const args *a)
{
    static loaded l;
    mote_token *t = NULL;
    size_t n = 0;
    const bool hidden = !strcmp(args_text(a, OPT_WANT, "logits"), "hidden");
    if (!args_has(a, OPT_OUT)) {
        term_error(ST_USAGE, "probe needs --out FILE.npy");
        term_try("mote probe %s --ids 1,2,3 --out numbers.npy", a->rest[0]);
        return ST_USAGE;
    }
    int st = read_ids(a, &t, &n);
    if (!st) st = load_model(&l, a, a->rest[0], true, false);
    if (!st) st = check_ids(&l, t, n);
    if (!st && n > (1u << 24)) st = term_error(ST_USAGE, "%zu ids are too many", n);
    if (!st) st = load_engine(&l, a, n < 16 ? 16 : (int)n, BATCH);
    if (!st) st = run_all(&l, a, t, n, hidden ? MOTE_WANT_HIDDEN : MOTE_WANT_ALL);
    load_close(&l);
    free(t);
    return st;
}

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

static int read_ids(const char *given, mote_token **out, size_t *count)
{
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

typedef struct probe {
    loaded *l;
    mote_token *ids, *types, *answer;    /* answer: for the decoder of a model with two stacks */
    size_t n, n_type, n_answer;
    mote_want want;
} probe;

static int write_rows(const probe *p, npy *w, size_t rows, size_t cols)
{
    size_t got = 0, width = 0;
    const float *x = mote_output(p->l->s, &got, &width);
    if (!x || got != rows || width != cols)
        return term_error(ST_FAILED, "the model gives %zu × %zu numbers, expected %zu × %zu", got, width, rows, cols);
    return npy_add(w, x, rows * cols);
}

static int encode(const probe *p, mote_want want)
{
    mote_error err = { 0 };
    signals_guard(p->l->s);
    const mote_status code = mote_encode(p->l->s, p->ids, p->types, p->n, want, &err);
    signals_guard(NULL);
    if (signals_seen()) return ST_INTERRUPTED;
    return code ? term_mote_error(code, &err) : ST_DONE;
}

static int decode_rows(const probe *p, npy *w, const mote_token *t, size_t n, size_t cols)
{
    int st = ST_DONE;
    for (size_t i = 0; !st && i < n; i += BATCH) {
        const size_t now = n - i < BATCH ? n - i : BATCH;
        mote_error err = { 0 };
        signals_guard(p->l->s);
        const mote_status code = mote_decode(p->l->s, t + i, now, p->want, &err);
        signals_guard(NULL);
        if (code || signals_seen()) return signals_seen() ? ST_INTERRUPTED : term_mote_error(code, &err);
        st = write_rows(p, w, now, cols);
    }
    return st;
}

static int run_all(const probe *p, const args *a)
{
    const mote_model_info *info = &p->l->info;
    const bool both = info->has_encoder && info->has_decoder;
    const size_t rows = p->want == MOTE_WANT_POOLED ? 1 : both ? p->n_answer : p->n;
    const size_t cols = (size_t)(p->want == MOTE_WANT_ALL ? info->n_vocab : info->n_embd);
    const char *path = args_text(a, OPT_OUT, NULL);
    npy w;
    int st = npy_open(&w, path, rows, cols);
    if (!st && info->has_encoder) st = encode(p, both ? MOTE_WANT_NONE : p->want);
    if (!st && !info->has_decoder) st = write_rows(p, &w, rows, cols);
    else if (!st) st = decode_rows(p, &w, both ? p->answer : p->ids, rows, cols);
    if (!st) st = npy_publish(&w);
    npy_drop(&w);
    if (!st) term_say("wrote", "%s   %zu × %zu float32", path, rows, cols);
    return st;
}

/* What can be asked of this model; fills in what was not said. */
static int check_want(probe *p, const args *a)
{
    const mote_model_info *info = &p->l->info;
    const char *word = args_text(a, OPT_WANT, info->has_decoder ? "logits" : "hidden");
    p->want = !strcmp(word, "hidden") ? MOTE_WANT_HIDDEN : !strcmp(word, "pooled") ? MOTE_WANT_POOLED : MOTE_WANT_ALL;
    if (p->want == MOTE_WANT_ALL && !info->has_decoder) {
        term_error(ST_USAGE, "%s is an encoder without a head: it has no logits", p->l->name);
        term_try("--want hidden   or   --want pooled");
        return ST_USAGE;
    }
    if (p->want == MOTE_WANT_POOLED && info->has_decoder)
        return term_error(ST_USAGE, "only encoders pool, %s decodes", p->l->name);
    if (p->types && (!info->has_encoder || info->has_decoder))
        return term_error(ST_USAGE, "--type-ids are for encoders, %s decodes", p->l->name);
    if (p->types && p->n_type != p->n)
        return term_error(ST_USAGE, "%zu type ids for %zu ids", p->n_type, p->n);
    if (p->answer && !(info->has_encoder && info->has_decoder))
        return term_error(ST_USAGE, "--decoder-ids are for models with an encoder and a decoder");
    return ST_DONE;
}

/* Without --decoder-ids: the start token. */
static int complete_answer(probe *p)
{
    if (p->answer || !p->l->info.has_encoder || !p->l->info.has_decoder) return ST_DONE;
    if (p->l->info.start_token < 0)
        return term_error(ST_USAGE, "%s does not say its start token: give --decoder-ids", p->l->name);
    p->answer = malloc(sizeof *p->answer);
    if (!p->answer) return term_error(ST_NO_FIT, "no memory for the ids");
    p->answer[0] = p->l->info.start_token, p->n_answer = 1;
    return ST_DONE;
}

int cmd_probe(const args *a)
{
    static loaded l;
    probe p = { .l = &l };
    if (!args_has(a, OPT_OUT)) {
        term_error(ST_USAGE, "probe needs --out FILE.npy");
        term_try("mote probe %s --ids 1,2,3 --out numbers.npy", a->rest[0]);
        return ST_USAGE;
    }
    int st = read_ids(args_text(a, OPT_IDS, "-"), &p.ids, &p.n);
    if (!st && args_has(a, OPT_TYPE_IDS)) st = read_ids(args_text(a, OPT_TYPE_IDS, ""), &p.types, &p.n_type);
    if (!st && args_has(a, OPT_DECODER_IDS)) st = read_ids(args_text(a, OPT_DECODER_IDS, ""), &p.answer, &p.n_answer);
    if (!st) st = load_model(&l, a, a->rest[0], true, false);
    if (!st) st = check_want(&p, a);
    if (!st) st = complete_answer(&p);
    if (!st) st = check_ids(&l, p.ids, p.n);
    if (!st) st = check_ids(&l, p.answer, p.n_answer);
    const size_t most = p.n > p.n_answer ? p.n : p.n_answer;
    if (!st && most > (1u << 24)) st = term_error(ST_USAGE, "%zu ids are too many", most);
    /* an encoder takes a text in one pass */
    const int batch = l.info.has_encoder && most > BATCH ? (int)most : BATCH;
    l.kv = "f32";                    /* what is compared should show the weights, not the cache */
    if (!st) st = load_engine(&l, a, most < 16 ? 16 : (int)most, batch);
    if (!st) st = run_all(&p, a);
    load_close(&l);
    free(p.ids);
    free(p.types);
    free(p.answer);
    return st;
}

/* SPDX-License-Identifier: MIT */
/* cmd_tokenize.c - `mote tokenize`: ids on stdout, one line for each line of text. */
#include "app.h"
#include "load.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 30, LINES = 4096, LINES_BYTES = 4 << 20 };     /* LINES...: encoded at once */

/* A token a line: id, then what was asked for, between tabs.  span: NULL, or n. */
static void put_table(const loaded *l, const mote_token *t, const mote_span *span, size_t n, bool pieces)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = 0;
        const char *p = pieces ? mote_token_bytes(l->m, t[i], &len) : NULL;
        printf("%d", (int)t[i]);
        if (span) printf("\t%u\t%u", (unsigned)span[i].from, (unsigned)span[i].to);
        if (pieces) putchar('\t');
        if (p) term_write(stdout, p, len, false);
        putchar('\n');
    }
}

static int put_json(const loaded *l, const mote_token *t, const mote_span *span, size_t n, bool pieces)
{
    json_t *ids = json_array(), *names = pieces ? json_array() : NULL, *offsets = span ? json_array() : NULL;
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(ids, json_integer(t[i]));
        if (span) json_array_append_new(offsets, json_pack("[i,i]", (int)span[i].from, (int)span[i].to));
        if (!pieces) continue;
        size_t len = 0;
        const char *p = mote_token_bytes(l->m, t[i], &len);
        json_t *s = p ? json_stringn(p, len) : NULL;
        json_array_append_new(names, s ? s : json_null());       /* half a character is no string */
    }
    json_t *o = json_pack("{s:o}", "ids", ids);
    if (names) json_object_set_new(o, "pieces", names);
    if (offsets) json_object_set_new(o, "offsets", offsets);
    const int r = json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
    return r ? term_error(ST_FAILED, "cannot write the result") : ST_DONE;
}

static int put_text(const loaded *l, const args *a, const mote_token *t, const mote_span *span, size_t n)
{
    const bool pieces = args_has(a, OPT_PIECES);
    if (args_has(a, OPT_JSON)) return put_json(l, t, span, n, pieces);
    if (pieces || span) {
        put_table(l, t, span, n, pieces);
    } else {
        for (size_t i = 0; i < n; i++) printf("%s%d", i ? " " : "", (int)t[i]);
        putchar('\n');
    }
    return ST_DONE;
}

typedef struct lines {
    mote_text  text[LINES];
    size_t     end[LINES];
    size_t     n, bytes;
    mote_token *t;
    mote_span  *span;
    size_t     cap;
} lines;

static bool grow(lines *x, size_t cap, bool spans)
{
    mote_token *t = realloc(x->t, cap * sizeof *t);
    if (t) x->t = t;
    mote_span *span = spans ? realloc(x->span, cap * sizeof *span) : NULL;
    if (span) x->span = span;
    x->cap = t && (span || !spans) ? cap : 0;
    return x->cap > 0;
}

/* Encodes the lines collected so far, and prints them. */
static int flush(const loaded *l, const args *a, lines *x)
{
    const unsigned flags = (args_has(a, OPT_NO_BOS) ? 0u : (unsigned)(MOTE_TEXT_BOS | MOTE_TEXT_EOS))
                           | (args_has(a, OPT_SPECIAL) ? (unsigned)MOTE_TEXT_SPECIAL : 0u);
    const bool spans = args_has(a, OPT_OFFSETS);
    mote_error err = { 0 };
    size_t n = x->bytes / 2 + 16 * x->n;
    mote_status code = MOTE_EFULL;
    while (code == MOTE_EFULL) {
        if (n > x->cap && !grow(x, n, spans)) return term_error(ST_NO_FIT, "no memory for %zu tokens", n);
        code = mote_tokenize_many(l->m, x->text, x->n, flags, x->t, spans ? x->span : NULL, x->cap, x->end, &n, &err);
    }
    if (code != MOTE_OK) return term_mote_error(code, &err);
    int st = ST_DONE;
    for (size_t i = 0; !st && i < x->n; i++) {
        const size_t from = i ? x->end[i - 1] : 0;
        st = put_text(l, a, x->t + from, spans ? x->span + from : NULL, x->end[i] - from);
    }
    x->n = x->bytes = 0;
    return st;
}

/* Texts: the whole, or its lines; a newline at the very end does not begin another one. */
static int each_text(const loaded *l, const args *a, const char *p, size_t n, bool is_whole)
{
    static lines x;
    int st = ST_DONE;
    size_t i = 0;
    do {
        const char *nl = i < n && !is_whole ? memchr(p + i, '\n', n - i) : NULL;
        const size_t len = nl ? (size_t)(nl - (p + i)) : n - i;
        if (x.n && (x.n == LINES || x.bytes + len > LINES_BYTES)) st = flush(l, a, &x);
        if (st) break;
        x.text[x.n++] = (mote_text){ p + i, len };
        x.bytes += len;
        i += len + 1;
    } while (i < n && !signals_seen());
    if (!st && !signals_seen()) st = flush(l, a, &x);
    free(x.t);
    free(x.span);
    return signals_seen() ? ST_INTERRUPTED : st;
}

int cmd_tokenize(const args *a)
{
    static loaded l;
    text t = { 0 };
    const char *whole = args_text(a, OPT_WHOLE, NULL);
    if (whole && a->n_rest == 2)
        return term_error(ST_USAGE, "tokenize takes TEXT or --whole FILE, not both");
    int st = load_model(&l, a, a->rest[0], true, true);
    if (!st && a->n_rest == 2) {
        st = each_text(&l, a, a->rest[1], strlen(a->rest[1]), false);
    } else if (!st) {
        st = text_read_file(&t, whole ? whole : "-", TEXT_MAX);
        if (!st && (whole || t.n))
            st = each_text(&l, a, t.p, t.n, whole != NULL);
    }
    text_free(&t);
    load_close(&l);
    return st;
}

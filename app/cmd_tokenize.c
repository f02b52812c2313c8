/* SPDX-License-Identifier: MIT */
/* cmd_tokenize.c - `mote tokenize`: ids on stdout, one line for each line of text. */
#include "app.h"
#include "load.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 30 };

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

/* The spans of a text whose tokens are known. */
static int spans_of(const loaded *l, const char *p, size_t n, unsigned flags, mote_token *t, size_t count, mote_span **out)
{
    mote_error err = { 0 };
    *out = malloc((count ? count : 1) * sizeof **out);
    if (!*out) return term_error(ST_NO_FIT, "no memory for %zu tokens", count);
    const mote_status code = mote_tokenize_spans(l->m, p, n, flags, t, *out, count, &count, &err);
    return code == MOTE_OK ? ST_DONE : term_mote_error(code, &err);
}

static int one_text(const loaded *l, const args *a, const char *p, size_t n)
{
    const unsigned flags = (args_has(a, OPT_NO_BOS) ? 0u : (unsigned)(MOTE_TEXT_BOS | MOTE_TEXT_EOS))
                           | (args_has(a, OPT_SPECIAL) ? (unsigned)MOTE_TEXT_SPECIAL : 0u);
    const bool pieces = args_has(a, OPT_PIECES);
    mote_token *t = NULL;
    mote_span *span = NULL;
    size_t count = 0;
    int st = load_tokens(l, p, n, flags, &t, &count);
    if (!st && args_has(a, OPT_OFFSETS)) st = spans_of(l, p, n, flags, t, count, &span);
    if (st) {
        free(span);
        free(t);
        return st;
    }
    if (args_has(a, OPT_JSON)) {
        st = put_json(l, t, span, count, pieces);
    } else if (pieces || span) {
        put_table(l, t, span, count, pieces);
    } else {
        for (size_t i = 0; i < count; i++) printf("%s%d", i ? " " : "", (int)t[i]);
        putchar('\n');
    }
    free(span);
    free(t);
    return st;
}

/* Lines of a text; a newline at the very end does not begin another one. */
static int each_line(const loaded *l, const args *a, const char *p, size_t n)
{
    int st = ST_DONE;
    size_t i = 0;
    do {
        const char *nl = i < n ? memchr(p + i, '\n', n - i) : NULL;
        const size_t len = nl ? (size_t)(nl - (p + i)) : n - i;
        st = one_text(l, a, p + i, len);
        i += len + 1;
    } while (!st && i < n && !signals_seen());
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
        st = each_line(&l, a, a->rest[1], strlen(a->rest[1]));
    } else if (!st) {
        st = text_read_file(&t, whole ? whole : "-", TEXT_MAX);
        if (!st && (whole || t.n))
            st = whole ? one_text(&l, a, t.p, t.n) : each_line(&l, a, t.p, t.n);
    }
    text_free(&t);
    load_close(&l);
    return st;
}

/* SPDX-License-Identifier: MIT */
/* cmd_tokenize.c - `mote tokenize`: ids on stdout, one line for each line of text. */
#include "app.h"
#include "load.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 30 };

static void put_pieces(const loaded *l, const mote_token *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = 0;
        const char *p = mote_token_bytes(l->m, t[i], &len);
        printf("%d\t", (int)t[i]);
        if (p) term_write(stdout, p, len, false);
        putchar('\n');
    }
}

static int put_json(const loaded *l, const mote_token *t, size_t n, bool pieces)
{
    json_t *ids = json_array(), *names = pieces ? json_array() : NULL;
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(ids, json_integer(t[i]));
        if (!pieces) continue;
        size_t len = 0;
        const char *p = mote_token_bytes(l->m, t[i], &len);
        json_t *s = p ? json_stringn(p, len) : NULL;
        json_array_append_new(names, s ? s : json_null());       /* half a character is no string */
    }
    json_t *o = json_pack("{s:o}", "ids", ids);
    if (names) json_object_set_new(o, "pieces", names);
    const int r = json_dumpf(o, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(o);
    return r ? term_error(ST_FAILED, "cannot write the result") : ST_DONE;
}

static int one_text(const loaded *l, const args *a, const char *p, size_t n)
{
    const unsigned flags = (args_has(a, OPT_NO_BOS) ? 0u : MOTE_TEXT_BOS)
                           | (args_has(a, OPT_SPECIAL) ? (unsigned)MOTE_TEXT_SPECIAL : 0u);
    mote_token *t = NULL;
    size_t count = 0;
    int st = load_tokens(l, p, n, flags, &t, &count);
    if (st) return st;
    if (args_has(a, OPT_JSON)) {
        st = put_json(l, t, count, args_has(a, OPT_PIECES));
    } else if (args_has(a, OPT_PIECES)) {
        put_pieces(l, t, count);
    } else {
        for (size_t i = 0; i < count; i++) printf("%s%d", i ? " " : "", (int)t[i]);
        putchar('\n');
    }
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

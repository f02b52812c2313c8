/* SPDX-License-Identifier: MIT */
/* cmd_list.c - `mote list` and `mote rm`: the models on this machine. */
#include "app.h"
#include "catalogue.h"
#include "load.h"
#include "store.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ITEMS_MAX = 4096 };

typedef struct row { char *name, *path; store_item item; } row;
typedef struct table { row *rows; int n; bool full; } table;

static bool add_row(void *user, const store_item *item)
{
    table *t = user;
    if (t->n == ITEMS_MAX) { t->full = true; return false; }
    row *more = realloc(t->rows, (size_t)(t->n + 1) * sizeof *more);
    if (!more) { t->full = true; return false; }
    t->rows = more;
    row *r = &more[t->n];
    r->item = *item;
    r->name = strdup(item->name);
    r->path = strdup(item->path);
    if (r->name && r->path) { t->n++; return true; }
    free(r->name);
    free(r->path);
    t->full = true;
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const row *)a)->name, ((const row *)b)->name);
}

static void put_json(const table *t)
{
    json_t *list = json_array();
    for (int i = 0; i < t->n; i++) {
        const row *r = &t->rows[i];
        index_row origin;
        const bool known = index_get(r->path, &origin);
        json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:b}", "name", r->name, "path", r->path,
                              "source", r->item.source, "quant", r->item.quant, "bytes",
                              (json_int_t)r->item.bytes, "modified", (json_int_t)r->item.when,
                              "pulled_by_mote", r->item.ours);
        if (!o) continue;       /* a path that is not UTF-8 cannot be JSON */
        if (known && *origin.sha256) json_object_set_new(o, "sha256", json_string(origin.sha256));
        if (known) json_object_set_new(o, "url", json_string(origin.url));
        json_array_append_new(list, o);
    }
    json_t *top = json_pack("{s:i, s:o}", "version", 1, "models", list);
    json_dumpf(top, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(top);
}

static void put_table(const table *t)
{
    int width = 5;
    for (int i = 0; i < t->n; i++)
        if ((int)strlen(t->rows[i].name) > width) width = (int)strlen(t->rows[i].name);
    printf("%-*s  %-8s  %10s  %-6s  %s\n", width, "MODEL", "QUANT", "SIZE", "SOURCE", "MODIFIED");
    for (int i = 0; i < t->n; i++) {
        const row *r = &t->rows[i];
        const time_t when = (time_t)r->item.when;
        char date[32] = "";
        struct tm tm;
        term_buf b;
        if (localtime_r(&when, &tm)) strftime(date, sizeof date, "%Y-%m-%d", &tm);
        term_write(stdout, r->name, strlen(r->name), false);
        printf("%*s  %-8s  %10s  %-6s  %s\n", width - (int)strlen(r->name), "", r->item.quant,
               term_bytes(&b, r->item.bytes), r->item.source, date);
    }
}

int cmd_list(const args *a)
{
    table t = { 0 };
    store_each(add_row, &t);
    if (t.n) qsort(t.rows, (size_t)t.n, sizeof *t.rows, by_name);
    if (t.full) term_note("only the first %d models are shown", t.n);
    if (args_has(a, OPT_JSON)) put_json(&t);
    else if (t.n) put_table(&t);
    else term_say("", "no models here yet; mote run downloads %s", catalogue_default()->name);
    for (int i = 0; i < t.n; i++) {
        free(t.rows[i].name);
        free(t.rows[i].path);
    }
    free(t.rows);
    return ST_DONE;
}

int cmd_rm(const args *a)
{
    char path[APP_PATH];
    model_ref r;
    term_buf b;
    uint64_t freed;
    int st = ref_parse(&r, a->rest[0]);
    if (st) return st;
    if (r.kind == REF_PATH) snprintf(path, sizeof path, "%s", r.path);
    else if (!store_find(&r, path)) {
        term_error(ST_NO_MODEL, "%s is not on this machine", r.name);
        term_try("mote list");
        return ST_NO_MODEL;
    }
    if (!args_has(a, OPT_YES)) {
        if (!term.in_tty || !term.err_tty) {
            term_error(ST_USAGE, "rm asks before it deletes, and there is no terminal to ask on");
            term_try("mote rm -y %s", a->rest[0]);
            return ST_USAGE;
        }
        if (!term_ask(false, "Delete %s?", path)) return signals_seen() ? ST_INTERRUPTED : ST_FAILED;
    }
    st = store_remove(path, &freed);
    if (!st) term_say("removed", "%s   %s freed", path, term_bytes(&b, freed));
    return st;
}

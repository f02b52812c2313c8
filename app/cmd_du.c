/* SPDX-License-Identifier: MIT */
/* cmd_du.c - `mote du`: what models take of the disk, their packed weights included.
 *
 * A side file names its model by the path without links; what matches no model of ours belongs to a
 * file elsewhere, or to one that is gone. */
#include "app.h"
#include "store.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct line {
    char *name, *real;          /* real: the path without links; NULL: not known */
    uint64_t bytes, packed;
    bool is_gone;
} line;
typedef struct table { line *at; int n; bool failed; } table;

static line *add_line(table *t, const char *name, const char *real)
{
    line *more = realloc(t->at, (size_t)(t->n + 1) * sizeof *more);
    if (more) t->at = more;
    line l = { .name = strdup(name), .real = real ? strdup(real) : NULL };
    if (!more || !l.name || (real && !l.real)) {
        free(l.name);
        free(l.real);
        t->failed = true;
        return NULL;
    }
    t->at[t->n] = l;
    return &t->at[t->n++];
}

static bool on_model(void *user, const store_item *item)
{
    char *real = realpath(item->path, NULL);
    line *l = add_line(user, item->name, real);
    if (l) l->bytes = item->bytes;
    free(real);
    return l != NULL;
}

static bool on_packed(void *user, const mote_cache_item *item)
{
    table *t = user;
    line *l = NULL;
    for (int i = 0; !l && i < t->n; i++)
        if (item->model && t->at[i].real && !strcmp(t->at[i].real, item->model)) l = &t->at[i];
    if (!l) l = add_line(t, item->model ? item->model : item->path, item->model);
    if (!l) return false;
    l->packed += item->bytes;
    l->is_gone = item->model && access(item->model, F_OK) != 0 && errno == ENOENT;
    return true;
}

static void put_json(const table *t, const char *folder)
{
    json_t *list = json_array();
    json_int_t bytes = 0, packed = 0;
    for (int i = 0; i < t->n; i++) {
        const line *l = &t->at[i];
        bytes += (json_int_t)l->bytes;
        packed += (json_int_t)l->packed;
        json_t *o = json_pack("{s:s, s:s?, s:I, s:I, s:b}", "name", l->name, "path", l->real, "bytes",
                              (json_int_t)l->bytes, "packed_bytes", (json_int_t)l->packed, "gone", l->is_gone);
        if (o) json_array_append_new(list, o);  /* a path that is not UTF-8 cannot be JSON */
    }
    json_t *top = json_pack("{s:i, s:o, s:I, s:I, s:s}", "version", 1, "models", list, "bytes", bytes,
                            "packed_bytes", packed, "packed_folder", folder);
    json_dumpf(top, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(top);
}

static void put_line(const char *name, int width, uint64_t bytes, uint64_t packed, const char *remark)
{
    term_buf b1, b2, b3;
    term_write(stdout, name, strlen(name), false);
    printf("%*s  %10s  %10s  %10s%s\n", width - (int)strlen(name), "", bytes ? term_bytes(&b1, bytes) : "-",
           packed ? term_bytes(&b2, packed) : "-", term_bytes(&b3, bytes + packed), remark);
}

static void put_table(const table *t)
{
    int width = 5;
    uint64_t bytes = 0, packed = 0;
    for (int i = 0; i < t->n; i++)
        if ((int)strlen(t->at[i].name) > width) width = (int)strlen(t->at[i].name);
    printf("%-*s  %10s  %10s  %10s\n", width, "MODEL", "FILE", "PACKED", "TOTAL");
    for (int i = 0; i < t->n; i++) {
        const line *l = &t->at[i];
        put_line(l->name, width, l->bytes, l->packed, l->is_gone ? "  (gone)" : "");
        bytes += l->bytes;
        packed += l->packed;
    }
    put_line("total", width, bytes, packed, "");
}

int cmd_du(const args *a)
{
    table t = { 0 };
    char folder[APP_PATH];
    store_each(on_model, &t);
    if (!store_home(folder, "packed")) folder[0] = 0;
    else mote_cache_each(folder, on_packed, &t, NULL);
    if (t.failed) term_note("no memory for more than %d models", t.n);
    if (args_has(a, OPT_JSON)) put_json(&t, folder);
    else if (t.n) put_table(&t);
    else term_say("", "no models here yet");
    for (int i = 0; i < t.n; i++) {
        free(t.at[i].name);
        free(t.at[i].real);
    }
    free(t.at);
    return ST_DONE;
}

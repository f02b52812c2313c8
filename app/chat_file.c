/* SPDX-License-Identifier: MIT */
/* chat_file.c - a conversation as JSON: {"mote_chat": 1, "model": …, "messages": […]}.
 *
 * Written beside the target and renamed, so that a full disk never costs an older file. */
#include "repl.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 64 << 20, MESSAGES_MAX = 100000 };

int chat_save(const chat *c, const char *path)
{
    char temp[APP_PATH];
    if (snprintf(temp, sizeof temp, "%s.%ld.part", path, (long)getpid()) >= APP_PATH)
        return term_error(ST_FAILED, "the path %s is too long", path);
    json_t *o = json_pack("{s:i, s:s, s:O}", "mote_chat", 1, "model", c->l->name, "messages", c->messages);
    FILE *f = o ? fopen(temp, "we") : NULL;
    bool ok = f && json_dumpf(o, f, JSON_INDENT(2)) == 0 && putc('\n', f) != EOF;
    if (f && (fflush(f) != 0 || fsync(fileno(f)) != 0)) ok = false;
    if (f && fclose(f) != 0) ok = false;
    if (ok && rename(temp, path) != 0) ok = false;
    const int e = errno;
    json_decref(o);
    if (ok) return ST_DONE;
    unlink(temp);
    return term_error(ST_FAILED, "cannot write %s: %s", path, strerror(e));
}

static bool messages_ok(const json_t *list)
{
    const json_t *m;
    size_t i;
    if (!json_is_array(list) || json_array_size(list) > MESSAGES_MAX) return false;
    json_array_foreach(list, i, m)
        if (!json_is_string(json_object_get(m, "role")) || !json_is_string(json_object_get(m, "content")))
            return false;
    return true;
}

int chat_load(chat *c, const char *path)
{
    text t = { 0 };
    json_error_t e;
    int st = text_read_file(&t, path, FILE_MAX);
    json_t *o = st ? NULL : json_loadb(t.p, t.n, JSON_REJECT_DUPLICATES, &e);
    if (!st && !o) st = term_error(ST_DAMAGED, "%s: line %d: %s", path, e.line, e.text);
    if (!st && !messages_ok(json_object_get(o, "messages")))
        st = term_error(ST_DAMAGED, "%s is not a saved chat: it has no \"messages\"", path);
    if (!st) {
        json_decref(c->messages);
        c->messages = json_incref(json_object_get(o, "messages"));
        const char *model = json_string_value(json_object_get(o, "model"));
        if (model && strcmp(model, c->l->name))
            term_note("this chat was held with %s; now it goes on with %s", model, c->l->name);
    }
    json_decref(o);
    text_free(&t);
    return st;
}

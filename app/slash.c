/* SPDX-License-Identifier: MIT */
/* slash.c - the commands of a chat: /help, /set, /edit, ...
 *
 * A command is a row of the table at the end.  A failed one says so and the chat goes on. */
#include "lineedit.h"
#include "repl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int (*slash_fn)(repl *r, const char *rest);
typedef struct slash { const char *name, *argument, *help; slash_fn run; } slash;

static int do_bye(repl *r, const char *rest)
{
    (void)rest;
    r->leave = true;
    return ST_DONE;
}

static int do_clear(repl *r, const char *rest)
{
    (void)rest;
    chat_clear(r->c);
    fputs("The chat is empty.\n", stderr);
    return ST_DONE;
}

static int do_system(repl *r, const char *rest)
{
    const char *now = chat_system(r->c);
    if (*rest) {
        const size_t n = strcmp(rest, "off") ? strlen(rest) : 0;
        chat_set_system(r->c, rest, n);
        fputs(n ? "System message set.\n" : "No system message.\n", stderr);
        return ST_DONE;
    }
    if (now) {
        term_write(stderr, now, strlen(now), true);
        putc('\n', stderr);
    } else {
        fputs("No system message. /system TEXT sets one, /system off removes it.\n", stderr);
    }
    return ST_DONE;
}

static int do_set(repl *r, const char *rest)
{
    char name[64];
    const size_t n = strcspn(rest, " =");
    const char *value = rest + n + strspn(rest + n, " =");
    if (!*rest) {
        sampling_print(&r->c->how);
        return ST_DONE;
    }
    snprintf(name, sizeof name, "%.*s", (int)(n < 63 ? n : 63), rest);
    for (char *p = name; *p; p++) if (*p == '_') *p = '-';
    const option *o = option_find(name, IN_RUN);
    if (!o || !sampling_is(o->id)) {
        term_error(ST_USAGE, "there is no setting \"%s\"", name);
        term_try("/set temp 0.7   or /set alone to see them");
        return ST_USAGE;
    }
    if (!*value) {
        term_error(ST_USAGE, "%s needs a value", name);
        term_try("/set %s %s", name, o->value);
        return ST_USAGE;
    }
    char *copy = r->n_kept < REPL_SET_MAX ? strdup(value) : NULL;
    if (!copy) return term_error(ST_FAILED, "too many settings");
    r->kept[r->n_kept++] = copy;
    args *a = r->c->a;
    const char *before = a->value[o->id];
    const int lists = a->n_list;
    int st = args_set(a, o, copy, "");
    if (!st) st = chat_resample(r->c);
    if (st) {
        a->value[o->id] = before;
        a->n_list = lists;
        return st;
    }
    fprintf(stderr, "%s is ", name);
    term_write(stderr, value, strlen(value), false);
    fputs(" now.\n", stderr);
    return ST_DONE;
}

static int do_show(repl *r, const char *rest)
{
    const loaded *l = r->c->l;
    term_buf b1, b2;
    (void)rest;
    fputs("  model ", stderr);
    term_write(stderr, l->name, strlen(l->name), false);
    fprintf(stderr, ", %s parameters, %s, %s\n  file ", term_count(&b1, l->info.n_params), l->info.quant,
            term_bytes(&b2, l->info.bytes_file));
    term_write(stderr, l->path, strlen(l->path), false);
    fprintf(stderr, "\n  context %d of %d tokens, %zu messages\n", mote_session_length(l->s), l->n_ctx,
            json_array_size(r->c->messages));
    sampling_print(&r->c->how);
    return ST_DONE;
}

static int do_history(repl *r, const char *rest)
{
    const json_t *m;
    size_t i;
    (void)rest;
    json_array_foreach(r->c->messages, i, m) {
        const char *role = json_string_value(json_object_get(m, "role"));
        const char *content = json_string_value(json_object_get(m, "content"));
        term_write(stderr, role, strlen(role), false);
        fputs(": ", stderr);
        term_write(stderr, content, strlen(content), true);
        putc('\n', stderr);
    }
    if (!json_array_size(r->c->messages)) fputs("Nothing was said yet.\n", stderr);
    return ST_DONE;
}

static int do_undo(repl *r, const char *rest)
{
    (void)rest;
    chat_drop_last(r->c, "assistant");
    if (!chat_drop_last(r->c, "user")) return term_error(ST_FAILED, "there is no turn to take back");
    fputs("The last turn is gone.\n", stderr);
    return ST_DONE;
}

static int do_retry(repl *r, const char *rest)
{
    (void)rest;
    if (!chat_last(r->c, "user")) return term_error(ST_FAILED, "there is no answer to repeat");
    chat_drop_last(r->c, "assistant");
    return repl_turn(r);
}

/* The last message in $VISUAL or $EDITOR; true: out holds what came back. */
static bool edit_outside(const char *editor, const char *last, text *out)
{
    char path[] = "/tmp/mote-edit-XXXXXX";
    const int fd = mkstemp(path);
    if (fd < 0) return false;
    const size_t n = strlen(last);
    bool ok = write(fd, last, n) == (ssize_t)n;
    close(fd);
    const pid_t pid = ok ? fork() : -1;
    if (pid == 0) {
        char line[APP_PATH];
        snprintf(line, sizeof line, "%s \"$0\"", editor);
        execl("/bin/sh", "sh", "-c", line, path, (char *)NULL);
        _exit(127);
    }
    int how = 1;
    while (pid > 0 && waitpid(pid, &how, 0) < 0 && errno == EINTR) { }
    signals_clear();            /* a Ctrl-C in the editor was for the editor */
    ok = ok && pid > 0 && WIFEXITED(how) && WEXITSTATUS(how) == 0
         && text_read_file(out, path, 16 << 20) == ST_DONE && text_check_utf8(out, "the message") == ST_DONE;
    unlink(path);
    while (ok && out->n && out->p[out->n - 1] == '\n') out->p[--out->n] = 0;
    return ok;
}

/* Without an editor: each line comes up again, to be changed or just sent. */
static bool edit_in_line(repl *r, const char *last, text *out)
{
    text line = { 0 };
    char *copy = strdup(last), *rest = copy;
    bool ok = copy != NULL;
    for (char *old; ok && (old = strsep(&rest, "\n"));) {
        ok = lineedit_read(r->line, "edit> ", old, &line) == LINE_TEXT
             && (!out->n || text_puts(out, "\n")) && text_add(out, line.p, line.n);
    }
    free(copy);
    text_free(&line);
    return ok;
}

static int do_edit(repl *r, const char *rest)
{
    const char *last = chat_last(r->c, "user"), *editor = getenv("VISUAL");
    text fresh = { 0 };
    (void)rest;
    if (!last) return term_error(ST_FAILED, "there is no message to edit");
    if (!editor || !*editor) editor = getenv("EDITOR");
    const bool ok = editor && *editor ? edit_outside(editor, last, &fresh) : edit_in_line(r, last, &fresh);
    int st = ST_DONE;
    signals_clear();
    if (ok && fresh.n) {
        while (chat_drop_last(r->c, "assistant")) { }
        chat_drop_last(r->c, "user");
        st = repl_send(r, fresh.p, fresh.n);
    } else {
        fputs("Nothing was changed.\n", stderr);
    }
    text_free(&fresh);
    return st;
}

static int do_save(repl *r, const char *rest)
{
    if (!*rest) return term_error(ST_USAGE, "/save needs a file name");
    const int st = chat_save(r->c, rest);
    if (!st) fprintf(stderr, "Saved %zu messages.\n", json_array_size(r->c->messages));
    return st;
}

static int do_load(repl *r, const char *rest)
{
    if (!*rest) return term_error(ST_USAGE, "/load needs a file name");
    const int st = chat_load(r->c, rest);
    if (!st) fprintf(stderr, "Loaded %zu messages.\n", json_array_size(r->c->messages));
    return st;
}

static int do_stats(repl *r, const char *rest)
{
    const chat *c = r->c;
    const mote_stats *s = &c->stats;
    term_buf b;
    (void)rest;
    fprintf(stderr, "  last turn   prompt %d tokens, %d of them held already, in %.2f s; %d new in %.2f s\n",
            s->n_prompt, s->n_cached, s->prompt_seconds, s->n_new, s->decode_seconds);
    fprintf(stderr, "  so far      %lld tokens in %.1f s\n", (long long)c->total_new, c->total_seconds);
    fprintf(stderr, "  context     %d of %d tokens\n", mote_session_length(c->l->s), c->l->n_ctx);
    fprintf(stderr, "  memory      %s at most\n", term_bytes(&b, device_peak_memory()));
    return ST_DONE;
}

static int do_help(repl *r, const char *rest);

static const slash slashes[] = {
    { "/help", "", "this list", do_help },
    { "/bye", "", "leave (or Ctrl-D)", do_bye },
    { "/clear", "", "forget the chat, keep the system message", do_clear },
    { "/system", "[TEXT|off]", "show, set or remove the system message", do_system },
    { "/set", "[NAME VALUE]", "show or change the sampling: /set temp 0.7", do_set },
    { "/show", "", "model, context, settings", do_show },
    { "/history", "", "what was said", do_history },
    { "/edit", "", "change the last message and ask again ($EDITOR, or in the line)", do_edit },
    { "/retry", "", "another answer to the last message", do_retry },
    { "/undo", "", "take the last turn back", do_undo },
    { "/save", "FILE", "write the chat to a file", do_save },
    { "/load", "FILE", "go on with a chat from a file", do_load },
    { "/stats", "", "tokens, times, memory", do_stats },
};
static const int n_slashes = (int)APP_COUNT(slashes);

static int do_help(repl *r, const char *rest)
{
    (void)r, (void)rest;
    for (int i = 0; i < n_slashes; i++)
        fprintf(stderr, "  %-10s %-12s %s\n", slashes[i].name, slashes[i].argument, slashes[i].help);
    fputs("  \"\"\"                     begins and ends a message of several lines; a paste is one message\n"
          "  Ctrl-C                  stops the answer; Ctrl-D leaves; Ctrl-R searches what was typed\n", stderr);
    return ST_DONE;
}

int slash_run(repl *r, char *line)
{
    char *rest = line + strcspn(line, " \t\n");
    if (*rest) *rest++ = 0;
    rest += strspn(rest, " \t");
    for (size_t n = strlen(rest); n && strchr(" \t\n", rest[n - 1]);) rest[--n] = 0;
    if (!strcmp(line, "/exit") || !strcmp(line, "/quit")) return do_bye(r, rest);
    const slash *best = NULL;
    int least = 3;
    for (int i = 0; i < n_slashes; i++) {
        if (!strcmp(line, slashes[i].name)) return slashes[i].run(r, rest);
        const int d = text_distance(line, slashes[i].name, least);
        if (d < least) { least = d; best = &slashes[i]; }
    }
    term_error(ST_USAGE, "there is no command \"%s\"", line);
    if (best && best->run != do_help) term_try("%s   or /help", best->name);
    else term_try("/help");
    return ST_USAGE;
}

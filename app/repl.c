/* SPDX-License-Identifier: MIT */
/* repl.c - the chat at a terminal.
 *
 * A line that begins with a slash is a command (slash.c), everything else is a message.
 * Ctrl-C stops an answer and keeps the chat; on an empty line the second one leaves. */
#include "repl.h"
#include "lineedit.h"
#include "store.h"

#include <stdlib.h>
#include <string.h>

/* ---- answers -------------------------------------------------------------------- */
static void put_stats(const chat *c)
{
    char line[128];
    term_buf b;
    const mote_stats *s = &c->stats;
    if (term.quiet) return;
    /* the first token comes out of the prompt's pass: the others make the speed */
    const double rate = s->decode_seconds > 0 && s->n_new > 1 ? (s->n_new - 1) / s->decode_seconds : 0;
    const int n = snprintf(line, sizeof line, "[%.1f tok/s · first token %s · %d token%s]", rate,
                           term_time(&b, c->first_token), s->n_new, s->n_new == 1 ? "" : "s");
    const int width = term_width() - 1, columns = n - 2;         /* two dots of two bytes each */
    fprintf(stderr, "%s%*s%s%s\n", term.colour ? "\033[2m" : "", columns < width ? width - columns : 0,
            "", line, term.colour ? "\033[0m" : "");
}

int repl_turn(repl *r)
{
    chat *c = r->c;
    signals_clear();
    const int st = chat_turn(c);
    fflush(stdout);
    if (c->answer.n && c->answer.p[c->answer.n - 1] != '\n') putchar('\n');
    fflush(stdout);
    if (c->stats.n_new) put_stats(c);
    if (st == ST_INTERRUPTED && !term.quiet)
        fputs(c->answer.n ? "[stopped; the chat goes on]\n" : "[stopped]\n", stderr);
    if (!c->answer.n) chat_drop_last(c, "user");
    if (signals_seen() > 1) {
        r->leave = true;
        return ST_INTERRUPTED;
    }
    signals_clear();
    fputc('\n', stderr);
    return ST_DONE;
}

int repl_send(repl *r, const char *p, size_t n)
{
    if (memchr(p, 0, n)) return term_error(ST_FAILED, "the message holds a NUL byte");
    const int st = chat_add(r->c, "user", p, n);
    return st ? st : repl_turn(r);
}

/* ---- reading --------------------------------------------------------------------- */
/* Lines up to one that ends in """; t holds what stood behind the opening. */
static line_end read_block(repl *r, text *t)
{
    text line = { 0 };
    line_end end = LINE_TEXT;
    while (!(t->n >= 3 && !memcmp(t->p + t->n - 3, "\"\"\"", 3))) {
        end = lineedit_read(r->line, "... ", NULL, &line);
        if (end != LINE_TEXT) break;
        if (t->n) text_puts(t, "\n");
        text_add(t, line.p, line.n);
    }
    if (end == LINE_TEXT) {
        t->n -= 3;
        while (t->n && t->p[t->n - 1] == '\n') t->n--;
        t->p[t->n] = 0;
    }
    text_free(&line);
    return end;
}

static line_end read_message(repl *r, text *t)
{
    line_end end = lineedit_read(r->line, ">>> ", NULL, t);
    if (end != LINE_TEXT || t->n < 3 || memcmp(t->p, "\"\"\"", 3)) return end;
    memmove(t->p, t->p + 3, t->n - 2);
    t->n -= 3;
    return read_block(r, t);
}

static bool only_spaces(const text *t)
{
    return strspn(t->p ? t->p : "", " \t\r\n") == t->n;
}

int repl_run(chat *c)
{
    char history[APP_PATH], folder[APP_PATH];
    repl r = { .c = c };
    text t = { 0 };
    int interrupts = 0;
    if (store_history(history)) {
        snprintf(folder, sizeof folder, "%s", history);
        *strrchr(folder, '/') = 0;
        store_make_quiet(folder);
    }
    r.line = lineedit_open(history);
    if (!r.line) return term_error(ST_NO_FIT, "no memory for the line editor");
    if (!term.quiet)
        fputs("Type a message. \"\"\" for several lines, /help for commands, Ctrl-D to leave.\n\n", stderr);
    int st = ST_DONE;
    while (!r.leave) {
        signals_clear();
        const line_end end = read_message(&r, &t);
        if (end == LINE_EOF) break;
        if (end == LINE_INTERRUPT) {
            if (++interrupts > 1) { st = ST_INTERRUPTED; break; }
            fputs("Ctrl-C again, Ctrl-D or /bye to leave.\n", stderr);
            continue;
        }
        interrupts = 0;
        if (only_spaces(&t)) continue;
        lineedit_remember(r.line, t.p);
        if (t.p[0] == '/' && !strchr(t.p, '\n')) slash_run(&r, t.p);
        else if (repl_send(&r, t.p, t.n) == ST_INTERRUPTED) st = ST_INTERRUPTED;
    }
    text_free(&t);
    lineedit_close(r.line);
    for (int i = 0; i < r.n_kept; i++) free(r.kept[i]);
    return st;
}

/* SPDX-License-Identifier: MIT */
/* lineedit.c - libedit with two additions: bracketed paste, and Ctrl-C that comes back.
 *
 * A paste of several lines stands in the line as "[paste 1: 12 lines]" and becomes its text when
 * the line is sent: one message, whatever newlines it has.  Characters are read by our own
 * function, so that a signal ends the read instead of being tried again. */
#include "lineedit.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

enum { PASTES = 16, PASTE_MAX = 4 << 20, HISTORY_LINES = 2000 };
#define PASTE_BEGIN "\033[200~"
#define PASTE_END "\033[201~"

struct lineedit {
    EditLine *el;
    History *history;
    HistEvent event;
    char file[APP_PATH];
    const char *prompt;
    text paste[PASTES];         /* of the line being typed */
    char label[PASTES][48];
    int n_paste;
};

static volatile sig_atomic_t resized;

static void on_resize(int number)
{
    (void)number;
    resized = 1;
}

static char *give_prompt(EditLine *el)
{
    lineedit *l;
    el_get(el, EL_CLIENTDATA, &l);
    return (char *)(uintptr_t)l->prompt;
}

/* One byte; 1, 0 at the end, -1 for Ctrl-C. */
static int read_byte(EditLine *el, unsigned char *out)
{
    for (;;) {
        const ssize_t n = signals_seen() ? -1 : read(STDIN_FILENO, out, 1);
        if (n > 0) return 1;
        if (n == 0) return 0;
        if (signals_seen() || errno != EINTR) return -1;
        if (resized) {
            resized = 0;
            el_resize(el);
        }
    }
}

static int read_char(EditLine *el, wchar_t *out)
{
    unsigned char c;
    int r = read_byte(el, &c);
    if (r <= 0) return r;
    if (c < 0x80) {
        *out = (wchar_t)c;
        return 1;
    }
    const int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc2 ? 1 : 0;
    uint32_t v = c & (0x3fu >> more);
    char bytes[4] = { (char)c };
    for (int i = 0; i < more; i++) {
        r = read_byte(el, &c);
        if (r <= 0) return r;
        bytes[i + 1] = (char)c;
        v = v << 6 | (c & 0x3f);
    }
    const size_t n = (size_t)more + 1;
    *out = more && text_utf8_bad(bytes, n) == n ? (wchar_t)v : L'\xfffd';
    return 1;
}

static bool ends_with(const text *t, const char *end)
{
    const size_t n = strlen(end);
    return t->n >= n && !memcmp(t->p + t->n - n, end, n);
}

/* Newlines as \n; other control bytes are dropped, broken UTF-8 becomes U+FFFD. */
static bool clean_paste(const text *raw, text *out)
{
    bool ok = text_puts(out, "");
    for (size_t i = 0; ok && i < raw->n; i++) {
        const unsigned char c = (unsigned char)raw->p[i];
        if (c == '\r') {
            if (i + 1 < raw->n && raw->p[i + 1] == '\n') continue;
            ok = text_add(out, "\n", 1);
        } else if (c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f)) {
            ok = text_add(out, &raw->p[i], 1);
        } else if (c >= 0x80) {
            const size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
            if (i + n <= raw->n && text_utf8_bad(raw->p + i, n) == n) {
                ok = text_add(out, raw->p + i, n);
                i += n - 1;
            } else {
                ok = text_puts(out, "\xef\xbf\xbd");
            }
        }
    }
    return ok;
}

/* Bound to the sequence that the terminal sends in front of a paste. */
static unsigned char on_paste(EditLine *el, int key)
{
    lineedit *l;
    text raw = { 0 }, clean = { 0 };
    unsigned char c;
    (void)key;
    el_get(el, EL_CLIENTDATA, &l);
    while (raw.n < PASTE_MAX && !ends_with(&raw, PASTE_END)) {
        const int r = read_byte(el, &c);
        if (r <= 0 || !text_add(&raw, &c, 1)) break;
    }
    if (ends_with(&raw, PASTE_END)) raw.n -= strlen(PASTE_END);
    if (!clean_paste(&raw, &clean)) clean.n = 0;
    text_free(&raw);
    while (clean.n && clean.p[clean.n - 1] == '\n') clean.p[--clean.n] = 0;
    int lines = 1;
    for (size_t i = 0; i < clean.n; i++) lines += clean.p[i] == '\n';
    if (clean.n && lines == 1) {
        el_insertstr(el, clean.p);
    } else if (clean.n && l->n_paste < PASTES) {
        const int i = l->n_paste++;
        snprintf(l->label[i], sizeof l->label[i], "[paste %d: %d lines]", i + 1, lines);
        l->paste[i] = clean;
        el_insertstr(el, l->label[i]);
        return CC_REFRESH;
    }
    text_free(&clean);
    return CC_REFRESH;
}

lineedit *lineedit_open(const char *history_file)
{
    lineedit *l = calloc(1, sizeof *l);
    struct sigaction sa = { .sa_handler = on_resize };
    if (!l) return NULL;
    l->prompt = "";
    snprintf(l->file, sizeof l->file, "%s", history_file);
    l->el = el_init("mote", stdin, stderr, stderr);
    l->history = history_init();
    if (!l->el || !l->history) {
        lineedit_close(l);
        return NULL;
    }
    el_set(l->el, EL_CLIENTDATA, l);
    el_set(l->el, EL_PROMPT, give_prompt);
    el_set(l->el, EL_EDITOR, "emacs");
    el_set(l->el, EL_SIGNAL, 0);
    el_set(l->el, EL_HIST, history, l->history);
    el_set(l->el, EL_GETCFN, read_char);
    /* the wide call keeps our strings; the other would leak its copies of them */
    el_wset(l->el, EL_ADDFN, L"mote-paste", L"takes a paste as one text", on_paste);
    el_set(l->el, EL_BIND, PASTE_BEGIN, "mote-paste", NULL);
    el_set(l->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_set(l->el, EL_BIND, "^W", "ed-delete-prev-word", NULL);
    history(l->history, &l->event, H_SETSIZE, HISTORY_LINES);
    history(l->history, &l->event, H_SETUNIQUE, 1);
    if (*l->file) history(l->history, &l->event, H_LOAD, l->file);
    sigaction(SIGWINCH, &sa, NULL);
    return l;
}

void lineedit_close(lineedit *l)
{
    if (!l) return;
    for (int i = 0; i < l->n_paste; i++) text_free(&l->paste[i]);
    if (l->history) history_end(l->history);
    if (l->el) el_end(l->el);
    free(l);
}

/* The labels of pastes become what was pasted. */
static bool expand(lineedit *l, const char *line, size_t n, text *out)
{
    bool ok = text_puts(out, "");
    for (size_t i = 0; ok && i < n;) {
        int k = 0;
        while (k < l->n_paste && strncmp(line + i, l->label[k], strlen(l->label[k]))) k++;
        if (k < l->n_paste) {
            ok = text_add(out, l->paste[k].p, l->paste[k].n);
            i += strlen(l->label[k]);
        } else {
            ok = text_add(out, line + i++, 1);
        }
    }
    return ok;
}

line_end lineedit_read(lineedit *l, const char *prompt, const char *prefill, text *out)
{
    int n = 0;
    l->prompt = prompt;
    out->n = 0;
    if (prefill && *prefill) el_push(l->el, prefill);
    resized = 0;
    fputs("\033[?2004h", stderr);        /* bracketed paste on */
    fflush(stderr);
    errno = 0;
    const char *line = el_gets(l->el, &n);
    fputs("\033[?2004l", stderr);
    fflush(stderr);
    line_end end = LINE_TEXT;
    if (signals_seen()) end = LINE_INTERRUPT;
    else if (!line || n <= 0) end = LINE_EOF;
    if (end == LINE_TEXT) {
        size_t len = (size_t)n;
        if (len && line[len - 1] == '\n') len--;
        if (!expand(l, line, len, out)) end = LINE_EOF;
    } else {
        el_reset(l->el);
        fputc('\n', stderr);
    }
    for (int i = 0; i < l->n_paste; i++) text_free(&l->paste[i]);
    l->n_paste = 0;
    return end;
}

void lineedit_remember(lineedit *l, const char *line)
{
    if (!*line) return;
    history(l->history, &l->event, H_ENTER, line);
    if (*l->file) history(l->history, &l->event, H_SAVE, l->file);
}

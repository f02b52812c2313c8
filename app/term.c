/* SPDX-License-Identifier: MIT */
/* term.c - everything the program says to a person.
 *
 * Lines are formatted into a buffer first and then written escaped, so that no caller has to
 * remember that a file name or a server's answer may hold an escape sequence. */
#include "app.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

term_state term;

void term_init(void)
{
    const char *kind = getenv("TERM");
    const char *plain = getenv("NO_COLOR");
    term.in_tty = isatty(STDIN_FILENO);
    term.out_tty = isatty(STDOUT_FILENO);
    term.err_tty = isatty(STDERR_FILENO);
    term.colour = term.err_tty && !(plain && *plain) && kind && strcmp(kind, "dumb");
    term.progress = PROGRESS_PLAIN;
}

void term_setup(bool quiet, bool verbose, const char *progress)
{
    static const char *const names[] = { "auto", "bar", "plain", "json", "none" };
    const char *kind = getenv("TERM");
    term.quiet = quiet;
    term.verbose = verbose && !quiet;
    progress_kind p = PROGRESS_AUTO;
    for (int i = 0; progress && i < (int)APP_COUNT(names); i++)
        if (!strcmp(progress, names[i])) p = (progress_kind)i;
    if (p == PROGRESS_AUTO) {
        const bool can = term.err_tty && kind && *kind && strcmp(kind, "dumb");
        p = quiet ? PROGRESS_NONE : can ? PROGRESS_BAR : PROGRESS_PLAIN;
    }
    term.progress = p;
}

int term_width(void)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 20) return w.ws_col;
    return 80;
}

void term_write(FILE *f, const char *p, size_t n, bool keep_lines)
{
    size_t i = 0;
    while (i < n) {
        const unsigned char c = (unsigned char)p[i];
        if (c < 0x80) {
            if ((c >= 0x20 && c != 0x7f) || (keep_lines && (c == '\n' || c == '\t'))) putc(c, f);
            else if (c == '\n') fputs("\\n", f);
            else if (c == '\t') fputs("\\t", f);
            else fprintf(f, "\\x%02x", c);
            i++;
            continue;
        }
        const size_t len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
        /* C1 controls (U+0080..U+009F) drive terminals like ESC sequences do */
        const bool c1 = c == 0xc2 && i + 1 < n && (unsigned char)p[i + 1] < 0xa0;
        if (c1 || i + len > n || text_utf8_bad(p + i, len) != len) {
            fprintf(f, "\\x%02x", c);
            i++;
            continue;
        }
        fwrite(p + i, 1, len, f);
        i += len;
    }
}

/* "<before><text>\n"; text is formatted, cut to whole characters and escaped. */
static void put_line(const char *before, const char *fmt, va_list ap)
{
    char line[2048];
    const int n = vsnprintf(line, sizeof line, fmt, ap);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (len >= sizeof line) len = mote_utf8_whole(line, sizeof line - 1);
    flockfile(stderr);
    fputs(before, stderr);
    term_write(stderr, line, len, false);
    putc('\n', stderr);
    funlockfile(stderr);
}

int term_error(int status, const char *fmt, ...)
{
    va_list ap;
    fflush(stdout);
    va_start(ap, fmt);
    put_line(term.colour ? "\033[1mmote:\033[0m " : "mote: ", fmt, ap);
    va_end(ap);
    return status;
}

void term_try(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put_line("     try: ", fmt, ap);
    va_end(ap);
}

void term_note(const char *fmt, ...)
{
    va_list ap;
    if (term.quiet) return;
    va_start(ap, fmt);
    put_line("mote: note: ", fmt, ap);
    va_end(ap);
}

void term_say(const char *label, const char *fmt, ...)
{
    char before[32];
    va_list ap;
    if (term.quiet) return;
    snprintf(before, sizeof before, "%-9s ", label);
    va_start(ap, fmt);
    put_line(before, fmt, ap);
    va_end(ap);
}

int term_status_of(mote_status code)
{
    switch (code) {
    case MOTE_OK: return ST_DONE;
    case MOTE_ENOMEM: return ST_NO_FIT;
    case MOTE_EIO: return ST_FAILED;
    case MOTE_EFORMAT: return ST_DAMAGED;
    case MOTE_EUNSUPPORTED: return ST_FAILED;
    case MOTE_EINVAL: return ST_USAGE;
    case MOTE_EFULL: return ST_NO_FIT;
    case MOTE_ECANCELLED: return ST_INTERRUPTED;
    }
    return ST_FAILED;
}

int term_mote_error(mote_status code, const mote_error *err)
{
    const int st = term_status_of(code);
    if (code == MOTE_OK || code == MOTE_ECANCELLED) return st;
    term_error(st, "%s", err && err->text[0] ? err->text : mote_status_name(code));
    return st;
}

bool term_ask(bool otherwise, const char *fmt, ...)
{
    char line[64], question[512];
    va_list ap;
    if (!term.in_tty || !term.err_tty) return otherwise;
    va_start(ap, fmt);
    vsnprintf(question, sizeof question, fmt, ap);
    va_end(ap);
    term_write(stderr, question, strlen(question), false);
    fputs(otherwise ? " [Y/n] " : " [y/N] ", stderr);
    fflush(stderr);
    ssize_t n;
    do n = read(STDIN_FILENO, line, sizeof line);
    while (n < 0 && errno == EINTR && !signals_seen());
    if (n <= 0) { putc('\n', stderr); return false; }     /* Ctrl-D, Ctrl-C: better not */
    if (line[0] == 'y' || line[0] == 'Y') return true;
    if (line[0] == 'n' || line[0] == 'N') return false;
    return otherwise;
}

const char *term_bytes(term_buf *b, uint64_t n)
{
    static const char *const unit[] = { "KiB", "MiB", "GiB", "TiB" };
    double v = (double)n / 1024;
    int u = 0;
    if (n < 1024) {
        snprintf(b->s, sizeof b->s, "%d B", (int)n);
        return b->s;
    }
    while (v >= 1023.95 && u < 3) { v /= 1024; u++; }
    snprintf(b->s, sizeof b->s, v < 99.95 ? "%.1f %s" : "%.0f %s", v, unit[u]);
    return b->s;
}

const char *term_time(term_buf *b, double seconds)
{
    if (!(seconds >= 0)) seconds = 0;
    if (seconds > 359999) seconds = 359999;
    const long s = (long)(seconds + 0.5);
    if (seconds < 9.95) snprintf(b->s, sizeof b->s, "%.1f s", seconds);
    else if (s < 60) snprintf(b->s, sizeof b->s, "%ld s", s);
    else if (s < 3600) snprintf(b->s, sizeof b->s, "%ld min %ld s", s / 60, s % 60);
    else snprintf(b->s, sizeof b->s, "%ld h %ld min", s / 3600, s / 60 % 60);
    return b->s;
}

const char *term_count(term_buf *b, int64_t n)
{
    const double v = (double)n;
    if (n < 10000) snprintf(b->s, sizeof b->s, "%lld", (long long)n);
    else if (v < 1e6) snprintf(b->s, sizeof b->s, "%.1f K", v / 1e3);
    else if (v < 1e9) snprintf(b->s, sizeof b->s, "%.1f M", v / 1e6);
    else snprintf(b->s, sizeof b->s, "%.2f B", v / 1e9);
    return b->s;
}

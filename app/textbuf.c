/* SPDX-License-Identifier: MIT */
/* textbuf.c - growing strings, reading files whole, the UTF-8 check, edit distance. */
#include "app.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool reserve(text *t, size_t more)
{
    if (more >= SIZE_MAX / 4 || t->n >= SIZE_MAX / 4) return false;
    const size_t need = t->n + more + 1;
    if (need <= t->cap) return true;
    size_t cap = t->cap ? t->cap : 256;
    while (cap < need) cap *= 2;
    char *p = realloc(t->p, cap);
    if (!p) return false;
    t->p = p;
    t->cap = cap;
    return true;
}

bool text_add(text *t, const void *p, size_t n)
{
    if (!reserve(t, n)) return false;
    if (n) memcpy(t->p + t->n, p, n);
    t->n += n;
    t->p[t->n] = 0;
    return true;
}

bool text_puts(text *t, const char *s) { return text_add(t, s, strlen(s)); }

bool text_printf(text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !reserve(t, (size_t)n)) return false;
    va_start(ap, fmt);
    vsnprintf(t->p + t->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    t->n += (size_t)n;
    return true;
}

void text_free(text *t)
{
    free(t->p);
    memset(t, 0, sizeof *t);
}

int text_read_fd(text *t, int fd, const char *name, size_t limit)
{
    bool told = false;
    for (;;) {
        if (t->n > limit) {
            term_buf b;
            return term_error(ST_FAILED, "%s is larger than %s", name, term_bytes(&b, limit));
        }
        if (!reserve(t, 65536)) return term_error(ST_NO_FIT, "no memory for %s", name);
        /* An inherited pipe that nobody writes to would look like a hang: say what we wait for. */
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (!told && !t->n && poll(&p, 1, 2000) == 0) {
            term_note("waiting for text on %s (end it with Ctrl-D, or use < /dev/null)", name);
            told = true;
        }
        const ssize_t n = read(fd, t->p + t->n, 65536);
        if (n < 0 && errno == EINTR && !signals_seen()) continue;
        if (n < 0 && errno == EINTR) return ST_INTERRUPTED;
        if (n < 0) return term_error(ST_FAILED, "cannot read %s: %s", name, strerror(errno));
        t->n += (size_t)n;
        t->p[t->n] = 0;
        if (n == 0) return ST_DONE;
    }
}

int text_read_file(text *t, const char *path, size_t limit)
{
    if (!strcmp(path, "-")) return text_read_fd(t, STDIN_FILENO, "stdin", limit);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return term_error(ST_FAILED, "cannot open %s: %s", path, strerror(errno));
    const int st = text_read_fd(t, fd, path, limit);
    close(fd);
    return st;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
static size_t one_char(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80) return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4) return 0;
    const size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (p[0] == 0xe0 && p[1] < 0xa0) return 0;
    if (p[0] == 0xed && p[1] > 0x9f) return 0;
    if (p[0] == 0xf0 && p[1] < 0x90) return 0;
    if (p[0] == 0xf4 && p[1] > 0x8f) return 0;
    return len;
}

size_t text_utf8_bad(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n) {
        const size_t len = one_char((const unsigned char *)p + i, n - i);
        if (!len) return i;
        i += len;
    }
    return n;
}

int text_check_utf8(const text *t, const char *name)
{
    const size_t bad = t->n ? text_utf8_bad(t->p, t->n) : 0;
    if (bad == t->n) return ST_DONE;
    term_error(ST_FAILED, "%s is not UTF-8: byte 0x%02x at offset %zu", name,
               (unsigned char)t->p[bad], bad);
    term_try("iconv -f latin1 -t utf-8   (or whatever its encoding is)");
    return ST_FAILED;
}

int text_distance(const char *a, const char *b, int limit)
{
    enum { MOST = 128 };
    const size_t na = strlen(a), nb = strlen(b);
    int rows[3][MOST + 1];
    if (na > MOST || nb > MOST) return limit;
    for (size_t j = 0; j <= nb; j++) rows[0][j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int d = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < d) d = above[j] + 1;
            if (row[j - 1] + 1 < d) d = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]
                && above2[j - 2] + 1 < d)
                d = above2[j - 2] + 1;
            row[j] = d;
        }
    }
    const int d = rows[na % 3][nb];
    return d < limit ? d : limit;
}

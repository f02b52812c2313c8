/* SPDX-License-Identifier: MIT */
/* progress.c - how far a pull is: a bar on a terminal, otherwise a line for each tenth or each
 * ten seconds, or JSON lines.
 *
 * The bar is redrawn at most ten times a second and cut to the terminal's width, so that it
 * never wraps into a second line that could not be drawn over. */
#include "progress.h"

#include <string.h>

enum { BAR_CELLS = 32 };

void progress_start(progress *p, const char *label, uint64_t total, uint64_t kept)
{
    memset(p, 0, sizeof *p);
    snprintf(p->label, sizeof p->label, "%s", label);
    p->total = total;
    p->kept = p->done = kept;
    p->start = p->shown = device_clock();
    p->tenth = total ? (int)(kept * 10 / total) : 0;
    p->sample[0].at = p->start;
    p->sample[0].done = kept;
    p->n_sample = 1;
}

/* Bytes per second over the last 5 s. */
static double rate(progress *p, double now)
{
    const int newest = (p->n_sample - 1) % RATE_SAMPLES;
    if (now - p->sample[newest].at >= 0.1) {
        const int i = p->n_sample++ % RATE_SAMPLES;
        p->sample[i].at = now;
        p->sample[i].done = p->done;
    }
    const int oldest = p->n_sample > RATE_SAMPLES ? p->n_sample - RATE_SAMPLES : 0;
    int i = oldest;
    while (i + 1 < p->n_sample && now - p->sample[i % RATE_SAMPLES].at > 5) i++;
    const double t = now - p->sample[i % RATE_SAMPLES].at;
    return t > 0.05 ? (double)(p->done - p->sample[i % RATE_SAMPLES].done) / t : 0;
}

/* "275/372 MiB": both in the unit of the total. */
static void put_amount(char *out, size_t cap, uint64_t done, uint64_t total)
{
    const double unit = total >= 10ull << 30 ? 1 << 30 : total >= 1 << 20 ? 1 << 20 : 1024;
    const char *name = unit > 1 << 20 ? "GiB" : unit > 1024 ? "MiB" : "KiB";
    const int digits = (double)total / unit < 100 ? 1 : 0;
    term_buf b;
    if (!total) snprintf(out, cap, "%s", term_bytes(&b, done));
    else snprintf(out, cap, "%.*f/%.*f %s", digits, (double)done / unit, digits,
                  (double)total / unit, name);
}

static void draw_bar(progress *p, double now, bool last)
{
    char line[512], amount[64], tail[128] = "";
    term_buf b1, b2;
    const double r = rate(p, now), part = p->total ? (double)p->done / (double)p->total : 0;
    const double mean = now > p->start ? (double)(p->done - p->kept) / (now - p->start) : 0;
    put_amount(amount, sizeof amount, p->done, p->total);
    if (last && p->kept)
        snprintf(tail, sizeof tail, "   (%s kept)", term_bytes(&b2, p->kept));
    else if (!last && r > 1024 && p->total)
        snprintf(tail, sizeof tail, "   %s left", term_time(&b2, (double)(p->total - p->done) / r));
    int cells = term_width() - 52 - (int)strlen(p->label);
    if (cells > BAR_CELLS) cells = BAR_CELLS;
    int n = snprintf(line, sizeof line, "\r%-9s ", p->label);
    if (cells >= 8 && p->total) {
        const int halves = (int)(part * 2 * cells + 0.5);
        for (int i = 0; i < cells; i++) {
            const char *cell = 2 * i + 1 < halves ? "━" : 2 * i < halves ? "╸" : term.colour ? "━" : "─";
            if (term.colour && 2 * i >= halves && (i == 0 || 2 * (i - 1) < halves))
                n += snprintf(line + n, sizeof line - (size_t)n, "\033[2m");
            n += snprintf(line + n, sizeof line - (size_t)n, "%s", cell);
        }
        if (term.colour) n += snprintf(line + n, sizeof line - (size_t)n, "\033[0m");
    }
    if (p->total) n += snprintf(line + n, sizeof line - (size_t)n, " %3d %%", (int)(part * 100));
    n += snprintf(line + n, sizeof line - (size_t)n, "   %s   %s/s%s", amount,
                  term_bytes(&b1, (uint64_t)(last ? mean : r)), term_width() >= 70 ? tail : "");
    fprintf(stderr, "%s\033[K", line);
    fflush(stderr);
    p->drawn = true;
}

static void say_plain(progress *p, double now)
{
    char amount[64];
    term_buf b;
    put_amount(amount, sizeof amount, p->done, p->total);
    if (p->total)
        term_say(p->label, "%3d %%   %s   %s/s", (int)(p->done * 100 / p->total), amount,
                 term_bytes(&b, (uint64_t)rate(p, now)));
    else
        term_say(p->label, "%s   %s/s", amount, term_bytes(&b, (uint64_t)rate(p, now)));
    p->shown = now;
}

static void say_json(progress *p, double now)
{
    fprintf(stderr, "{\"event\":\"%s\",\"done\":%llu,\"total\":%llu,\"bytes_per_s\":%.0f}\n", p->label,
            (unsigned long long)p->done, (unsigned long long)p->total, rate(p, now));
    p->shown = now;
}

void progress_to(progress *p, uint64_t done)
{
    const double now = device_clock();
    if (done > p->done) p->done = done;
    if (p->total && p->done > p->total) p->done = p->total;
    switch (term.progress) {
    case PROGRESS_AUTO:
    case PROGRESS_NONE:
        break;
    case PROGRESS_BAR:
        if (now - p->shown < 0.1 && p->drawn) break;
        p->shown = now;
        draw_bar(p, now, false);
        break;
    case PROGRESS_JSON:
        if (now - p->shown >= 0.5) say_json(p, now);
        break;
    case PROGRESS_PLAIN: {
        const int tenth = p->total ? (int)(p->done * 10 / p->total) : 0;
        rate(p, now);           /* takes its sample */
        if ((tenth > p->tenth && tenth < 10) || now - p->shown >= 10) {
            p->tenth = tenth;
            say_plain(p, now);
        }
        break;
    }
    }
}

void progress_end(progress *p, bool complete)
{
    const double now = device_clock();
    if (term.progress == PROGRESS_BAR && (complete || p->drawn)) {
        draw_bar(p, now, complete);
        putc('\n', stderr);
    }
    if (complete && term.progress == PROGRESS_PLAIN) say_plain(p, now);
    if (complete && term.progress == PROGRESS_JSON) say_json(p, now);
}

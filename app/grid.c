/* SPDX-License-Identifier: MIT */
/* grid.c - a table of text cells: collected first, printed when all widths are known. */
#include "bench.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void grid_cell(grid *g, const char *fmt, ...)
{
    char shown[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(shown, sizeof shown, fmt, ap);
    va_end(ap);
    if (g->n_cell == g->cap) {
        const int cap = g->cap ? 2 * g->cap : 64;
        char **more = realloc(g->cell, (size_t)cap * sizeof *more);
        if (!more) {
            g->failed = true;
            return;
        }
        g->cell = more;
        g->cap = cap;
    }
    g->cell[g->n_cell] = strdup(shown);
    if (g->cell[g->n_cell]) g->n_cell++;
    else g->failed = true;
}

/* Columns that a cell takes: its characters. */
static int width_of(const char *s)
{
    int n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static void print_cell(const char *s, int width, bool left, bool last)
{
    const int pad = width - width_of(s);
    if (!left) printf("%*s", pad, "");
    term_write(stdout, s, strlen(s), false);
    if (left && !last) printf("%*s", pad, "");
}

void grid_print(const grid *g, bool markdown)
{
    int width[32] = { 0 };
    const int n = g->n_column;
    for (int i = 0; i < g->n_cell; i++)
        if (width_of(g->cell[i]) > width[i % n]) width[i % n] = width_of(g->cell[i]);
    for (int i = 0; i + n <= g->n_cell; i += n) {
        for (int c = 0; c < n; c++) {
            const bool left = c == 0 || (c == n - 1 && n > 2 && !strcmp(g->cell[n - 1], "VERDICT"));
            if (markdown) fputs(c ? " " : "| ", stdout);
            else if (c) fputs("  ", stdout);
            print_cell(g->cell[i + c], width[c], left, c == n - 1 && !markdown);
            if (markdown) fputs(" |", stdout);
        }
        putchar('\n');
        for (int c = 0; markdown && i == 0 && c < n; c++) fputs(c ? "---:|" : "|---|", stdout);
        if (markdown && i == 0) putchar('\n');
    }
}

void grid_free(grid *g)
{
    for (int i = 0; i < g->n_cell; i++) free(g->cell[i]);
    free(g->cell);
    memset(g, 0, sizeof *g);
}

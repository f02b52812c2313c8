/* SPDX-License-Identifier: MIT */
/* verified.h - what a test compared with whose numbers, and how often: rows of docs/formats.md.
 *
 * When MOTE_VERIFIED names a file, the sums are appended to it as a program ends; tools/check makes the
 * table from them. */
#ifndef MT_VERIFIED_H
#define MT_VERIFIED_H

#include <stdio.h>
#include <stdlib.h>

static struct { const char *format, *what, *reference; long n; } mt_verified_row[16];
static int mt_verified_rows;

static void mt_verified_end(void)
{
    const char *path = getenv("MOTE_VERIFIED");
    FILE *f = path ? fopen(path, "a") : NULL;
    for (int i = 0; f && i < mt_verified_rows; i++)
        fprintf(f, "%s|%s|%s|%ld\n", mt_verified_row[i].format, mt_verified_row[i].what, mt_verified_row[i].reference,
                mt_verified_row[i].n);
    if (f) fclose(f);
}

/* n more comparisons that held.  The texts are literals: a row is known by its address. */
static void mt_verified(const char *format, const char *what, const char *reference, long n)
{
    int i = 0;
    while (i < mt_verified_rows && mt_verified_row[i].what != what) i++;
    if (i == 16) abort();
    if (i == mt_verified_rows) {
        if (mt_verified_rows++ == 0) atexit(mt_verified_end);
        mt_verified_row[i].format = format, mt_verified_row[i].what = what, mt_verified_row[i].reference = reference;
    }
    mt_verified_row[i].n += n;
}

#endif

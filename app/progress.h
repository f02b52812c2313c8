/* SPDX-License-Identifier: MIT */
/* progress.h - one bar for a whole job; lines or JSON where there is no terminal. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "app.h"

enum { RATE_SAMPLES = 64 };
typedef struct progress {
    char label[16];
    uint64_t total, done, kept; /* bytes; total 0: unknown */
    double start, shown;        /* seconds */
    int  tenth;                 /* last one said, without a terminal */
    bool drawn;
    struct { double at; uint64_t done; } sample[RATE_SAMPLES];   /* ring: rate over 5 s */
    int n_sample;
} progress;

/* kept: bytes that an earlier run left. */
void progress_start(progress *p, const char *label, uint64_t total, uint64_t kept);
void progress_to(progress *p, uint64_t done);    /* never goes back */
void progress_end(progress *p, bool complete);   /* leaves the last state standing */

#endif

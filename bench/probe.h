/* SPDX-License-Identifier: MIT */
/* probe.h - what this machine can do at best: arithmetic, reading, meeting at a barrier.
 *
 * Every speed of ours is given as a fraction of these, measured in the same run.  The file knows
 * nothing of the library; a commit that changes a kernel does not change it. */
#ifndef PROBE_H
#define PROBE_H

#include <stddef.h>

enum {                          /* what to measure */
    PROBE_INT8 = 1, PROBE_F32 = 2, PROBE_BF16 = 4, PROBE_READ = 8, PROBE_BARRIER = 16,
    PROBE_READ_AGAIN = 32,      /* reading by the loop that was best before: short, between runs */
    PROBE_ALL = 31
};

typedef struct probe_rate {     /* 1e9 per second, all threads together; 0: not there, not measured */
    double median, best;
    char how[64];
} probe_rate;

typedef struct probe_report {
    int threads;
    size_t bytes;               /* read in one pass; less than asked for where memory is short */
    probe_rate int8, f32, bf16; /* multiply-adds */
    probe_rate read;            /* bytes */
    double barrier_ns;          /* two threads meet once; 0: only one core */
    char placement[32];         /* what that suggests: who shares a core, a cache */
} probe_report;

typedef struct probe probe;

int  probe_cores(void);                              /* that this process may use */
probe *probe_open(int threads, size_t bytes);        /* threads 0: the cores; NULL: no memory */
/* Overwrites what is measured, leaves the rest; each measurement takes about `seconds`. */
int  probe_run(probe *p, unsigned what, double seconds, probe_report *out);      /* 0: done */
void probe_close(probe *p);

#endif

/* SPDX-License-Identifier: MIT */
/* bench.h - what the files of `mote bench` share: rows of work, the machine's limits, the result.
 *
 * cmd_bench.c turns options into rows, bench_run.c times them, bench_machine.c probes the machine
 * meanwhile, bench_result.c makes one JSON object of it all, and everything printed
 * (bench_print.c) or compared (bench_compare.c) is read from that object: what a file keeps is
 * what a table shows. */
#ifndef BENCH_H
#define BENCH_H

#include "app.h"
#include "energy.h"
#include "load.h"
#include "../bench/probe.h"

#include <jansson.h>
#include <sys/types.h>

enum { PHASE_PROMPT, PHASE_DECODE, PHASES };
enum { BENCH_LENGTHS = 16, BENCH_SESSIONS = 64, BENCH_SPARE = 16, MACHINE_SAMPLES = 1024 };

/* What one run of a phase computes and reads, from a run that was traced. */
typedef struct bench_phase { double macs, bytes; } bench_phase;

/* A prompt, a generation, or both one after the other; in n_session sessions at once. */
typedef struct bench_row {
    char name[64];              /* "decode 128 at 1024" */
    int n_prompt, n_new, depth, n_session;       /* either of the first two may be 0 */
    bench_phase phase[PHASES];
    json_t *ops;                /* owned: time per op of each phase; NULL: not asked for */
    double *seconds;            /* of each run */
    int n_run;
    double cpu_s, joules;       /* of all runs together; joules < 0: not readable */
    uint64_t peak_memory;       /* of the program once the row was done */
} bench_row;

/* A process of its own probes, so that its memory does not count as ours. */
typedef struct machine {
    pid_t pid;
    int to, from;
    bool asked, works;          /* works: the limits below are valid */
    probe_report first, last;   /* before and after the runs */
    double read[MACHINE_SAMPLES];        /* GB/s, before, between and after */
    int n_read;
    uint64_t stolen, ticks;     /* /proc/stat when the runs began, then what has passed */
} machine;

typedef struct bench {
    const args *a;
    loaded *l;
    bench_row *row;
    int n_row, n_most;          /* repetitions */
    bool may_stop;              /* fewer of them when they take long */
    mote_session *session[BENCH_SESSIONS];
    mote_token *random;         /* enough for the longest depth and prompt of every session */
    machine machine;
    energy_meter energy;
    const char *drawn;          /* what the progress line shows */
} bench;

/* bench_machine.c; errors are said here, and a machine that cannot be probed is no error */
void machine_start(machine *m);                  /* before the first thread */
int  machine_probe(machine *m, int threads, uint64_t bytes);     /* all limits */
int  machine_look_again(machine *m, int threads, uint64_t bytes);        /* reading, briefly */
int  machine_finish(machine *m, int threads, uint64_t bytes);    /* what moved meanwhile */
void machine_stop(machine *m);

/* bench_run.c */
int  bench_run(bench *b);

/* bench_ops.c: what the engine's trace says of a phase; adds to row->ops when ops are wanted */
int  bench_trace_read(const bench *b, bench_row *row, int phase, bool want_ops);

/* bench_result.c */
json_t *bench_result(const bench *b);            /* NULL: no memory */
/* Tokens that a run of this row counts. */
double  bench_tokens(const bench_row *row);

/* bench_print.c: format "table", "markdown", "csv" or "json" */
int  bench_print(const json_t *result, const char *format, bool ops);
double bench_number(const json_t *o, const char *key);   /* NAN: absent or null */
const char *bench_text(const json_t *o, const char *key); /* "": absent */
const char *bench_short_name(const json_t *result);       /* of the model, without its folder */

/* bench_compare.c: reads a file of results (free with json_decref) */
int  bench_load(const char *path, json_t **out);
int  bench_compare(const json_t *before, const json_t *after, json_t **out);     /* a comparison */
int  bench_print_comparison(const json_t *comparison, const char *format);

/* grid.c: cells as text, printed with aligned columns, or as markdown */
typedef struct grid { int n_column, n_cell, cap; char **cell; bool failed; } grid;
void grid_cell(grid *g, const char *fmt, ...) APP_PRINTF(2, 3);  /* row by row, the head first */
void grid_print(const grid *g, bool markdown);   /* the first column to the left, others to the right */
void grid_free(grid *g);

#endif

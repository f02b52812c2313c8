/* SPDX-License-Identifier: MIT */
/* app.h - what every file of the program knows: exit statuses, the commands, small helpers.
 *
 * The program stands on <mote.h> alone.  Functions shared between its files are called
 * module_verb without a prefix: mt_ belongs to the library, with which we are linked statically.
 * Results go to stdout, everything else to stderr, and a function that fails has already said
 * so (term_error) and returns the exit status: 0 means go on. */
#ifndef APP_H
#define APP_H

#include <mote.h>

#include "options.h"
#include "term.h"

enum {                          /* stable once shipped */
    ST_DONE = 0,
    ST_FAILED = 1,
    ST_USAGE = 2,
    ST_NO_MODEL = 3,
    ST_NO_FIT = 4,
    ST_NETWORK = 5,
    ST_DAMAGED = 6,
    ST_INTERRUPTED = 130
};

#define APP_COUNT(array) (sizeof(array) / sizeof *(array))
#define APP_PATH 4096           /* no path of ours is longer; longer ones are refused */
#define APP_QUESTION "Why is the sky blue?"     /* asked when nobody asks anything */

/* ---- the commands: cmd_*.c ------------------------------------------------ */
int cmd_run(const args *a);
int cmd_pull(const args *a);
int cmd_list(const args *a);
int cmd_show(const args *a);
int cmd_convert(const args *a);
int cmd_rm(const args *a);
int cmd_du(const args *a);
int cmd_tokenize(const args *a);
int cmd_probe(const args *a);
int cmd_bench(const args *a);
int cmd_perplexity(const args *a);
int cmd_doctor(const args *a);
int cmd_completions(const args *a);
int cmd_help(const args *a);
int cmd_version(const args *a);

void help_overview(void);                    /* what `mote` alone prints, on stdout */
void help_command(const command *c);

/* ---- signals.c: handlers set a flag and cancel the session under way ------- */
void signals_init(void);
int  signals_seen(void);                     /* interrupts since the last clear */
void signals_clear(void);
void signals_guard(mote_session *s);         /* NULL: nothing runs */

/* ---- textbuf.c: strings and files ---------------------------------------------- */
typedef struct text { char *p; size_t n, cap; } text;   /* grows; p is always terminated */
bool text_add(text *t, const void *p, size_t n);        /* false: no memory */
bool text_puts(text *t, const char *s);
bool text_printf(text *t, const char *fmt, ...) APP_PRINTF(2, 3);
void text_free(text *t);
/* The whole of a file ("-": stdin) or of an open descriptor, at most `limit` bytes. */
int  text_read_file(text *t, const char *path, size_t limit);
int  text_read_fd(text *t, int fd, const char *name, size_t limit);
/* The first byte that is not UTF-8, or n. */
size_t text_utf8_bad(const char *p, size_t n);
int  text_check_utf8(const text *t, const char *name);  /* complains and returns the status */
/* Edits from a to b (insert, delete, replace, swap), cut off at `limit`. */
int  text_distance(const char *a, const char *b, int limit);

/* ---- device.c: what this machine is ------------------------------------------ */
typedef struct device {
    char name[128];             /* "AMD EPYC 9V45", as the system says it */
    int  cores;                 /* this process may use */
    uint64_t memory, memory_free;        /* bytes; a container's limit counts */
} device;
void     device_read(device *d);
uint64_t device_disk_free(const char *path);     /* of the nearest existing folder; 0: unknown */
uint64_t device_peak_memory(void);               /* of this process, bytes */
double   device_clock(void);                     /* seconds, monotonic */

#endif

/* SPDX-License-Identifier: MIT */
/* term.h - talking to people: errors, notes, states, sizes, questions.
 *
 * Everything here goes to stderr.  Whatever comes from outside (metadata, paths, server
 * answers) is escaped on the way: a control byte never reaches the terminal. */
#ifndef TERM_H
#define TERM_H

#include <mote.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#if defined(__GNUC__)
#define APP_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define APP_PRINTF(fmt, args)
#endif

typedef enum progress_kind {
    PROGRESS_AUTO, PROGRESS_BAR, PROGRESS_PLAIN, PROGRESS_JSON, PROGRESS_NONE
} progress_kind;

/* The one global of the program besides the signal flag: how this run talks. */
typedef struct term_state {
    bool quiet, verbose;
    bool in_tty, out_tty, err_tty;
    bool colour;                /* on stderr; NO_COLOR and TERM=dumb switch it off */
    progress_kind progress;     /* never AUTO after term_setup */
} term_state;
extern term_state term;

void term_init(void);                                   /* looks at the descriptors */
void term_setup(bool quiet, bool verbose, const char *progress);
int  term_width(void);                                  /* columns of stderr, at least 20 */

/* "mote: ...": what failed, with its value.  Returns status, so that callers can return it. */
int  term_error(int status, const char *fmt, ...) APP_PRINTF(2, 3);
void term_try(const char *fmt, ...) APP_PRINTF(1, 2);   /* "     try: ...": what to do about it */
void term_note(const char *fmt, ...) APP_PRINTF(1, 2);  /* "mote: note: ..."; --quiet drops it */
void term_say(const char *label, const char *fmt, ...) APP_PRINTF(2, 3);  /* "loaded    ..." */
/* An error of the library: its sentence, and the exit status that belongs to its code. */
int  term_mote_error(mote_status code, const mote_error *err);
int  term_status_of(mote_status code);

/* Writes n bytes with control bytes and broken UTF-8 as \xNN; newlines too unless keep_lines. */
void term_write(FILE *f, const char *p, size_t n, bool keep_lines);
/* Asks on the terminal; `otherwise` is the answer of Enter, and of a run without a terminal. */
bool term_ask(bool otherwise, const char *fmt, ...) APP_PRINTF(2, 3);

typedef struct term_buf { char s[48]; } term_buf;
const char *term_bytes(term_buf *b, uint64_t n);        /* "93.8 MiB" */
const char *term_time(term_buf *b, double seconds);     /* "6 min 10 s" */
const char *term_count(term_buf *b, int64_t n);         /* "135 M" */

#endif

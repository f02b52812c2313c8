/* SPDX-License-Identifier: MIT */
/* repl.h - the chat at a terminal: slash commands and messages. */
#ifndef REPL_H
#define REPL_H

#include "chat.h"
#include "lineedit.h"

enum { REPL_SET_MAX = 256 };

typedef struct repl {
    chat *c;
    lineedit *line;
    bool leave;
    char *kept[REPL_SET_MAX];   /* values of /set: the options point at them */
    int n_kept;
} repl;

int repl_run(chat *c);                   /* until the person leaves; the exit status */
int repl_send(repl *r, const char *p, size_t n);         /* a message, and its answer */
/* Answers what stands there.  The person's message goes away again when nothing came. */
int repl_turn(repl *r);
int slash_run(repl *r, char *line);      /* slash.c: cuts the line up */

/* chat_file.c: a conversation as a file */
int chat_save(const chat *c, const char *path);
int chat_load(chat *c, const char *path);

#endif

/* SPDX-License-Identifier: MIT */
/* lineedit.h - one line from the terminal, with editing, history and paste. */
#ifndef LINEEDIT_H
#define LINEEDIT_H

#include "app.h"

typedef struct lineedit lineedit;
typedef enum line_end { LINE_TEXT, LINE_EOF, LINE_INTERRUPT } line_end;

lineedit *lineedit_open(const char *history_file);       /* "": none.  NULL: no memory */
void lineedit_close(lineedit *l);
/* prefill: text to start with, or NULL.  out gets the line without its newline; a paste of
 * several lines is in it whole. */
line_end lineedit_read(lineedit *l, const char *prompt, const char *prefill, text *out);
void lineedit_remember(lineedit *l, const char *line);   /* into the history */

#endif

/* SPDX-License-Identifier: MIT */
/* chat.h - a conversation: messages, the session that holds their tokens, one turn at a time. */
#ifndef CHAT_H
#define CHAT_H

#include "app.h"
#include "load.h"
#include "sampling.h"

#include <jansson.h>

typedef struct chat {
    loaded *l;
    args *a;                    /* the run's options; /set changes them */
    sampling how;
    mote_sampler *sampler;
    json_t *messages;           /* [{"role", "content"}, ...] */
    text answer;                /* of the last turn */
    mote_stats stats;           /* of the last turn, its goes added up */
    double first_token;         /* seconds; < 0: there was none */
    int64_t total_new;
    double total_seconds;       /* of decoding */
    bool interactive, to_stdout;
} chat;

int  chat_open(chat *c, loaded *l, args *a, bool interactive);
void chat_close(chat *c);
int  chat_resample(chat *c);             /* after a change of the sampling options */
int  chat_add(chat *c, const char *role, const char *p, size_t n);
void chat_set_system(chat *c, const char *p, size_t n);  /* n 0: none */
const char *chat_system(const chat *c);  /* NULL: none */
const char *chat_last(const chat *c, const char *role);  /* content; NULL: none */
/* Removes the last message when it is of this role. */
bool chat_drop_last(chat *c, const char *role);
void chat_clear(chat *c);                /* keeps the system message */
/* Answers what stands there.  The answer goes to stdout as it comes (unless to_stdout is off) and
 * into the messages.  ST_INTERRUPTED: stopped; what there was is kept. */
int  chat_turn(chat *c);
int  chat_tokens_now(chat *c, mote_token **t, size_t *n);        /* of the messages; free it */

#endif

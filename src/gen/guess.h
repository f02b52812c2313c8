/* SPDX-License-Identifier: MIT */
/* guess.h - how many tokens to guess ahead, so that one pass may yield several.
 *
 * The text itself is the draft model (lookup.h).  A pass over the next token and k guesses gives k + 1
 * rows of logits; tokens are chosen from them one by one as ever, and the rows behind the first wrong
 * guess are forgotten, so guessing never changes a text, only when it is computed.
 *
 * Whether it pays is measured, not assumed.  How likely a guess is right is counted by the length of
 * the match, on every token and whether or not it was sent.  What a pass of several rows costs, in
 * passes of one row, is timed.  A ledger in the same unit bounds the loss: guesses are sent only while
 * the worst outcome is covered by what they earned, plus a small credit. */
#ifndef MT_GUESS_H
#define MT_GUESS_H

#include "gen/lookup.h"

enum { MT_GUESS_MAX = 15, MT_GUESS_SIZES = 7, MT_GUESS_RANKS = 8 };

/* What passes cost here; one per engine. */
typedef struct mt_guess_cost {
    double ratio[MT_GUESS_SIZES];        /* pass with this many guesses / pass of one row */
    int    seen[MT_GUESS_SIZES];         /* measurements behind it; 0: an assumption */
} mt_guess_cost;

/* One per session. */
typedef struct mt_guess {
    mt_lookup lookup;
    mt_guess_cost *cost;
    double hit[MT_GUESS_RANKS];          /* chance of the next guess, by the rank of its match length */
    double pass_seconds;                 /* of one row, at this length */
    int    n_seen;                       /* passes of one row in this answer */
    double credit;                       /* passes that guessing may still lose */
    mote_token token[MT_GUESS_MAX];      /* the last guess, sent or not */
    int    n_token, at, len;             /* tokens in it, how many came true, length of the match */
    double paid;                         /* for the pass under way, in passes of one row */
    int    n_got;                        /* tokens it has given */
    bool   always;                       /* tests: whenever there is something to send, by changing lengths */
} mt_guess;

void mt_guess_cost_init(mt_guess_cost *c);
size_t mt_guess_bytes(int n_ctx);        /* behind the struct, for its tables */
void mt_guess_init(mt_guess *g, mt_guess_cost *cost, void *memory, int n_ctx);
void mt_guess_start(mt_guess *g);        /* an answer begins */
/* The text is t[0 .. n); writes guesses behind it, most at most, and returns how many to send. */
int  mt_guess_draft(mt_guess *g, mote_token *t, int n, int most);
void mt_guess_timed(mt_guess *g, int n_sent, double seconds);    /* the pass that carried them */
void mt_guess_check(mt_guess *g, mote_token chosen);             /* each token, as it is chosen */

#endif

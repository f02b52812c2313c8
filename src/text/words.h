/* SPDX-License-Identifier: MIT */
/* words.h - pre-tokenizers in a row: a normalised text into the words that the model sees.
 *
 * Words are pulled: each step asks the one before it for a piece and cuts it, so a chain of steps
 * needs memory only where a step rewrites the text.  What separators become is the reference
 * library's "behavior". */
#ifndef MT_WORDS_H
#define MT_WORDS_H

#include "text/find.h"
#include "text/split.h"
#include "text/view.h"

typedef enum mt_words_kind {
    MT_WORDS_SCAN,               /* a scanner of split.h: every word is kept */
    MT_WORDS_TRAIT,              /* separators: each character with one of these traits */
    MT_WORDS_CHAR,               /* separators: this character */
    MT_WORDS_RUNS,               /* keeps runs of word characters and runs of what is neither word nor space */
    MT_WORDS_PATTERN,            /* separators: what the pattern matches, or (invert) what it does not */
    MT_WORDS_METASPACE,          /* rewrites: spaces become the character, which may be put in front */
    MT_WORDS_PREFIX,             /* rewrites: a space in front, unless there is one */
    MT_WORDS_BYTES               /* rewrites: each byte becomes its printable character */
} mt_words_kind;

typedef enum mt_behavior {
    MT_ISOLATED, MT_REMOVED, MT_CONTIGUOUS, MT_WITH_PREVIOUS, MT_WITH_NEXT
} mt_behavior;

typedef enum mt_scheme { MT_SCHEME_ALWAYS, MT_SCHEME_FIRST, MT_SCHEME_NEVER } mt_scheme;

typedef struct mt_words_op {
    mt_words_kind kind;
    mt_behavior   behavior;
    mt_split_kind scan;
    unsigned      trait;
    mt_str        text;          /* CHAR and METASPACE: the character */
    mt_pattern   *pattern;
    bool          invert;
    mt_scheme     scheme;
} mt_words_op;

enum { MT_WORDS_MOST = 16 };     /* steps of a chain */

typedef struct mt_item { size_t from, to; bool is_match; } mt_item;
typedef struct mt_words_stage {
    mt_view piece;               /* what is being cut */
    size_t  at;                  /* its bytes dealt with */
    bool    is_open;             /* there is a piece */
    mt_item held;                /* an item looked at and put back */
    bool    has_held;
    mt_match match;              /* PATTERN: the next match */
    bool    has_match;
    size_t  search, last_end;
    mt_text own;                 /* the rewritten piece */
    mt_finder finder;
} mt_words_stage;

typedef struct mt_words {
    const mt_words_op *op;
    size_t n;
    const mt_chars  *chars;
    const mt_traits *traits;
    mt_view input;
    bool    has_input;
    size_t  work;                /* of the scanners */
    mt_words_stage stage[MT_WORDS_MOST];
} mt_words;

void mt_words_init(mt_words *w, const mt_words_op *op, size_t n, const mt_chars *chars, const mt_traits *traits,
                   const mote_alloc *alloc, bool tracks);
void mt_words_free(mt_words *w);
void mt_words_start(mt_words *w, mt_view text);
/* The next word, never empty; valid until the next call.  word->n 0: there is none. */
mote_status mt_words_next(mt_words *w, mt_view *word, mote_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* find.h - patterns of tokenizer.json: literal strings, and regular expressions run by PCRE2.
 *
 * The files' expressions are written for Oniguruma with Ruby's syntax and Unicode on.  They are
 * translated: \s \w \d \h and ^ $ mean here what they mean there; what cannot be translated with
 * certainty is refused by name when the file is read.  Running one is bounded by a match limit,
 * and exceeding it is an error. */
#ifndef MT_FIND_H
#define MT_FIND_H

#include "base/base.h"

typedef struct mt_pattern {
    mt_str text;                 /* the literal, or the expression as in the file */
    void  *code;                 /* pcre2_code; NULL: a literal */
    const mote_alloc *alloc;
    struct mt_pattern *next;     /* all that a tokenizer has, to be freed */
} mt_pattern;

/* Compiles; text must live as long as the pattern.  EUNSUPPORTED names what is not supported, in an
 * expression that `what` names. */
mote_status mt_pattern_compile(mt_pattern *p, mt_str text, const char *what, const mote_alloc *alloc, mote_error *err);
void        mt_pattern_free(mt_pattern *p);

/* Memory of one call, kept from one match to the next; zeroed before first use but for alloc. */
typedef struct mt_finder {
    const mote_alloc *alloc;
    void *match, *context, *stack;       /* PCRE2's */
    uint8_t *repaired;           /* a copy of the text with U+001A in place of malformed bytes */
    size_t   n_repaired;
    const uint8_t *of;           /* the text that repaired belongs to, or NULL */
} mt_finder;
void mt_finder_free(mt_finder *f);
/* To be called when the text at an address may have changed. */
void mt_finder_forget(mt_finder *f);

typedef struct mt_match { size_t from, to; bool found; } mt_match;
/* The first match in text at or behind `from`. */
mote_status mt_pattern_find(const mt_pattern *p, mt_finder *f, mt_str text, size_t from, mt_match *out,
                            mote_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* split.h - pre-tokenizers: a text into words that merging never crosses.
 *
 * The published patterns are regular expressions; here each is a scanner written by hand that
 * looks at every character a bounded number of times and needs no stack.  tests/unit/
 * test_tokenizer.c holds them against PCRE2 running the patterns themselves. */
#ifndef MT_SPLIT_H
#define MT_SPLIT_H

#include "text/unicode.h"

typedef enum mt_split_kind {
    MT_SPLIT_GPT2,               /* GPT-2's pattern */
    MT_SPLIT_DIGITS_GPT2,        /* every number character alone, GPT-2's pattern on the pieces between */
    MT_SPLIT_CL100K_3,           /* Llama 3's pattern: numbers in threes */
    MT_SPLIT_CL100K_1            /* Qwen2's: the same, one number character at a time */
} mt_split_kind;

/* What a tokenizer.ggml.pre name stands for. */
typedef struct mt_pre {
    const char   *name;
    mt_split_kind split;
    bool ignore_merges;          /* a word that is in the vocabulary is never taken apart */
    bool add_bos, add_eos;       /* unless the file says otherwise */
    const char *const *expression;       /* in place of split: cuts one behind the other, NULL at the end */
} mt_pre;

/* NULL: unknown.  The empty name is GPT-2's. */
const mt_pre *mt_pre_find(mt_str name);

/* The scanner of a regular expression as files write it; false: none does exactly that. */
bool mt_split_find(mt_str expression, mt_split_kind *kind);

typedef struct mt_splitter {
    const mt_chars *chars;
    mt_split_kind   kind;
    const uint8_t  *at, *end;    /* what is left of the text */
    size_t          work;        /* bytes looked at so far: the proof of linear time */
} mt_splitter;

/* The next word, at least one byte of at < end; s->at moves behind it. */
mt_str mt_split_next(mt_splitter *s);

#endif

/* SPDX-License-Identifier: MIT */
/* split.c - the scanners of split.h, and the expressions they stand for.
 *
 * Both families of patterns are lists of alternatives tried in order at the front of the text;
 * each function below decides by the first one or two characters which alternative wins and runs
 * to its end.  Only a run of white space is looked at beyond the word it yields: it may be cut
 * before its last character or behind its last line break, so a character is seen at most three
 * times. */
#include "text/split.h"

/* Expressions as tokenizer.json writes them. */
static const struct { const char *text; mt_split_kind kind; } expression_table[] = {
    { "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", MT_SPLIT_GPT2 },
    { "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", MT_SPLIT_GPT2 },
    { "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
      "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", MT_SPLIT_CL100K_3 },
    { "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
      "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", MT_SPLIT_CL100K_1 },
};

bool mt_split_find(mt_str expression, mt_split_kind *kind)
{
    for (size_t i = 0; i < MT_COUNT(expression_table); i++) {
        if (!mt_str_is(expression, expression_table[i].text)) continue;
        *kind = expression_table[i].kind;
        return true;
    }
    return false;
}

static bool is_line_break(uint8_t byte)
{
    return byte == '\n' || byte == '\r';
}

/* Behind the characters of one kind that begin at p. */
static const uint8_t *run(const mt_splitter *s, const uint8_t *p, unsigned kind)
{
    size_t len;
    while (p < s->end && mt_char_kind(s->chars, p, s->end, &len) == kind) p += len;
    return p;
}

typedef struct space_run {
    const uint8_t *end, *last;   /* behind the run; its last character */
    const uint8_t *broken;       /* behind its last line break, or NULL */
} space_run;

static space_run run_space(const mt_splitter *s, const uint8_t *p)
{
    space_run r = { p, p, NULL };
    size_t len;
    while (r.end < s->end && mt_char_kind(s->chars, r.end, s->end, &len) == MT_CHAR_SPACE) {
        r.last = r.end;
        r.end += len;
        if (is_line_break(*r.last)) r.broken = r.end;
    }
    return r;
}

/* \s+(?!\S)|\s+ : in front of a word the last white space is left to it, if it is not the only. */
static const uint8_t *end_of_space(const mt_splitter *s, const space_run *r, const uint8_t *p)
{
    return r->end < s->end && r->last > p ? r->last : r->end;
}

/* Length of 's 't 're 've 'm 'll 'd at p, which points to the apostrophe; 0: none.  Without
 * regard to case, U+017F is an s. */
static size_t contraction(const uint8_t *p, const uint8_t *end, bool any_case)
{
    const size_t left = (size_t)(end - p);
    if (left < 2) return 0;
    const uint8_t fold = any_case ? 0x20 : 0;
    const uint8_t a = p[1] | (p[1] < 0x80 ? fold : 0);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if (left < 3) return 0;
    if (any_case && p[1] == 0xC5 && p[2] == 0xBF) return 3;
    const uint8_t b = p[2] | (p[2] < 0x80 ? fold : 0);
    return ((a == 'r' || a == 'v') && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 * With lone digits a number character is a word, and ends the text before it. */
static const uint8_t *next_gpt2(mt_splitter *s, bool lone_digits)
{
    const uint8_t *p = s->at;
    size_t len;
    if (*p == '\'') {
        len = contraction(p, s->end, false);
        if (len) return p + len;
    }
    const uint8_t *q = *p == ' ' && p + 1 < s->end ? p + 1 : p;
    const unsigned kind = mt_char_kind(s->chars, q, s->end, &len);
    if (kind == MT_CHAR_NUMBER && lone_digits) return q == p ? p + len : q;
    if (kind != MT_CHAR_SPACE) return run(s, q, kind);
    const space_run r = run_space(s, p);
    s->work += (size_t)(r.end - p);
    if (lone_digits && r.end < s->end &&
        mt_char_kind(s->chars, r.end, s->end, &len) == MT_CHAR_NUMBER) return r.end;
    return end_of_space(s, &r, p);
}

/* (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|
 * \s*[\r\n]+|\s+(?!\S)|\s+ */
static const uint8_t *next_cl100k(mt_splitter *s, int most_digits)
{
    const uint8_t *p = s->at, *end = s->end;
    size_t len, next_len;
    if (*p == '\'') {
        len = contraction(p, end, true);
        if (len) return p + len;
    }
    const unsigned kind = mt_char_kind(s->chars, p, end, &len);
    if (kind == MT_CHAR_LETTER) return run(s, p + len, MT_CHAR_LETTER);
    if (kind == MT_CHAR_NUMBER) {
        for (int i = 0; i < most_digits; i++) {
            if (p == end || mt_char_kind(s->chars, p, end, &len) != MT_CHAR_NUMBER) break;
            p += len;
        }
        return p;
    }
    const uint8_t *q = p + len;
    const unsigned next = q < end ? mt_char_kind(s->chars, q, end, &next_len)
                                  : (unsigned)MT_CHAR_SPACE;
    if (next == MT_CHAR_LETTER && !is_line_break(*p)) return run(s, q, MT_CHAR_LETTER);
    if (kind == MT_CHAR_OTHER || (*p == ' ' && next == MT_CHAR_OTHER)) {
        q = run(s, q, MT_CHAR_OTHER);
        while (q < end && is_line_break(*q)) q++;
        return q;
    }
    const space_run r = run_space(s, p);
    s->work += (size_t)(r.end - p);
    return r.broken ? r.broken : end_of_space(s, &r, p);
}

mt_str mt_split_next(mt_splitter *s)
{
    const uint8_t *word = s->at;
    switch (s->kind) {
    case MT_SPLIT_GPT2:        s->at = next_gpt2(s, false); break;
    case MT_SPLIT_DIGITS_GPT2: s->at = next_gpt2(s, true); break;
    case MT_SPLIT_CL100K_3:    s->at = next_cl100k(s, 3); break;
    case MT_SPLIT_CL100K_1:    s->at = next_cl100k(s, 1); break;
    }
    const size_t n = (size_t)(s->at - word);
    s->work += n;
    return (mt_str){ (const char *)word, n };
}

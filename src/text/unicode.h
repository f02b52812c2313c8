/* SPDX-License-Identifier: MIT */
/* unicode.h - what kind of character stands here: letter, number, white space or something else.
 *
 * These four kinds are all that the known pre-tokenizers ask.  ASCII is one table look-up, the
 * basic plane two bits of a table filled at open, the rest a call into utf8proc.  A byte that is
 * not part of a well-formed character is a character of its own, of kind OTHER, as U+FFFD would
 * be: malformed text splits like its repaired form, yet keeps its bytes. */
#ifndef MT_UNICODE_H
#define MT_UNICODE_H

#include "base/base.h"

enum {
    MT_CHAR_OTHER, MT_CHAR_LETTER, MT_CHAR_NUMBER, MT_CHAR_SPACE,  /* \p{L}, \p{N}, White_Space */
    MT_CHAR_WIDE                 /* in the ASCII table only: more than one byte, look further */
};

typedef struct mt_chars {
    uint8_t byte[256];           /* kind of an ASCII character, else MT_CHAR_WIDE */
    uint8_t plane[65536 / 4];    /* kinds of U+0000..U+FFFF, four to a byte */
} mt_chars;

void mt_chars_init(mt_chars *c);

/* Length of the well-formed character at p (p < end) and its number; 0: malformed. */
size_t mt_utf8_char(const uint8_t *p, const uint8_t *end, uint32_t *code);

/* Kind and length (at least 1) of the character at p < end that does not start with ASCII. */
unsigned mt_char_wide(const mt_chars *c, const uint8_t *p, const uint8_t *end, size_t *len);

MT_INLINE unsigned mt_char_kind(const mt_chars *c, const uint8_t *p, const uint8_t *end, size_t *len)
{
    const unsigned kind = c->byte[*p];
    *len = 1;
    return MT_LIKELY(kind != MT_CHAR_WIDE) ? kind : mt_char_wide(c, p, end, len);
}

#endif

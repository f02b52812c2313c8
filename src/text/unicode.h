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

/* Writes a character (at most U+10FFFF) as UTF-8, 1 to 4 bytes; their number. */
size_t mt_utf8_put(uint32_t code, uint8_t *out);

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

/* ---- traits: what normalisers and the finer pre-tokenizers ask ------------------- */
enum {
    MT_IS_SPACE = 1,             /* White_Space */
    MT_IS_NUMERIC = 2,           /* Nd, Nl, No */
    MT_IS_PUNCT = 4,             /* P*, and all of ASCII that is neither letter, digit, space, control */
    MT_IS_WORD = 8,              /* Alphabetic, M*, Nd, Pc, the two joiners */
    MT_IS_OTHER = 16,            /* Cc, Cf, Co */
    MT_IS_ACCENT = 32,           /* Mn */
    MT_IS_MARK = 64,             /* M* */
    MT_IS_UPPER = 128,           /* has another lower case */
    MT_IS_LOOSE = 256,           /* may combine with, or move before, what stands in front of it */
    MT_HAS_NFC = 512,            /* not loose, but alone its composed form is another */
    MT_HAS_NFD = 1024            /* not loose, but has a canonical decomposition */
};
typedef struct mt_traits { uint16_t plane[65536]; } mt_traits;       /* of U+0000..U+FFFF */
void     mt_traits_init(mt_traits *t);
unsigned mt_traits_compute(uint32_t code);
MT_INLINE unsigned mt_traits_of(const mt_traits *t, uint32_t code)
{
    return code < 0x10000 ? t->plane[code] : mt_traits_compute(code);
}

enum { MT_MALFORMED = 0xFFFD };
/* The character at p < end and its length; a malformed byte is U+FFFD of length 1. */
MT_INLINE uint32_t mt_utf8_next(const uint8_t *p, const uint8_t *end, size_t *len)
{
    uint32_t code;
    *len = 1;
    if (MT_LIKELY(*p < 0x80)) return *p;
    const size_t n = mt_utf8_char(p, end, &code);
    if (n == 0) return MT_MALFORMED;
    *len = n;
    return code;
}
/* The character that ends at p > start, found backwards. */
uint32_t mt_utf8_last(const uint8_t *start, const uint8_t *p, size_t *len);

#endif

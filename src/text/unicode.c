/* SPDX-License-Identifier: MIT */
/* unicode.c - decoding UTF-8 strictly, and the character kinds of unicode.h from utf8proc.
 *
 * Strictly means Unicode's table 3-7: no overlong form, no surrogate, nothing above U+10FFFF. */
#include "text/unicode.h"

#include <string.h>
#include <utf8proc.h>

#include "text/text.h"

/* The property White_Space; the general category is not enough (U+0085 is a control). */
static bool is_space(uint32_t code)
{
    if (code <= 0xFF) return (code >= 9 && code <= 13) || code == 32 || code == 0x85 || code == 0xA0;
    return code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

static unsigned kind_of(uint32_t code)
{
    if (is_space(code)) return MT_CHAR_SPACE;
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return MT_CHAR_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return MT_CHAR_NUMBER;
    default: return MT_CHAR_OTHER;
    }
}

void mt_chars_init(mt_chars *c)
{
    memset(c, 0, sizeof *c);
    for (uint32_t code = 0; code < 0x10000; code++) {
        const unsigned kind = kind_of(code);
        c->plane[code / 4] = (uint8_t)(c->plane[code / 4] | kind << (code % 4 * 2));
        if (code < 256) c->byte[code] = (uint8_t)(code < 128 ? kind : (unsigned)MT_CHAR_WIDE);
    }
}

/* The bytes a lead byte promises, and the range its second byte must lie in; 0: not a lead. */
static size_t lead(uint8_t byte, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xBF;
    if (byte < 0x80) return 1;
    if (byte < 0xC2) return 0;
    if (byte < 0xE0) return 2;
    if (byte < 0xF0) {
        if (byte == 0xE0) *low = 0xA0;
        if (byte == 0xED) *high = 0x9F;
        return 3;
    }
    if (byte > 0xF4) return 0;
    if (byte == 0xF0) *low = 0x90;
    if (byte == 0xF4) *high = 0x8F;
    return 4;
}

size_t mt_utf8_char(const uint8_t *p, const uint8_t *end, uint32_t *code)
{
    uint8_t low, high;
    const size_t n = lead(*p, &low, &high);
    if (n == 0 || n > (size_t)(end - p)) return 0;
    if (n == 1) {
        *code = *p;
        return 1;
    }
    if (p[1] < low || p[1] > high) return 0;
    uint32_t value = ((uint32_t)*p & (0x7Fu >> n)) << 6 | (p[1] & 0x3Fu);
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        value = value << 6 | (p[i] & 0x3Fu);
    }
    *code = value;
    return n;
}

unsigned mt_char_wide(const mt_chars *c, const uint8_t *p, const uint8_t *end, size_t *len)
{
    uint32_t code;
    *len = mt_utf8_char(p, end, &code);
    if (*len == 0) {
        *len = 1;
        return MT_CHAR_OTHER;
    }
    if (code >= 0x10000) return kind_of(code);
    const unsigned four = c->plane[code / 4];
    return four >> (code % 4 * 2) & 3;
}

/* True when the n bytes at p begin a well-formed character that needs more bytes than n. */
static bool is_cut(const uint8_t *p, size_t n)
{
    uint8_t low, high;
    if (lead(*p, &low, &high) <= n) return false;
    if (n > 1 && (p[1] < low || p[1] > high)) return false;
    return n < 3 || (p[2] & 0xC0) == 0x80;
}

size_t mt_utf8_whole(const char *p, size_t n)
{
    const uint8_t *byte = (const uint8_t *)p;
    for (size_t back = 1; back <= 3 && back <= n; back++)
        if ((byte[n - back] & 0xC0) != 0x80)
            return is_cut(byte + n - back, back) ? n - back : n;
    return n;
}

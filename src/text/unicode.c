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

size_t mt_utf8_put(uint32_t code, uint8_t *out)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    const size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n; --i > 0; code >>= 6) out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)((0xF00u >> n & 0xFF) | code);
    return n;
}

uint32_t mt_utf8_last(const uint8_t *start, const uint8_t *p, size_t *len)
{
    uint32_t code;
    for (size_t n = 1; n <= 4 && n <= (size_t)(p - start); n++) {
        if ((p[-(ptrdiff_t)n] & 0xC0) == 0x80) continue;
        if (mt_utf8_char(p - n, p, &code) != n) break;
        *len = n;
        return code;
    }
    *len = 1;
    return MT_MALFORMED;
}

/* ---- traits ------------------------------------------------------------------ */

static unsigned category_traits(uint32_t code)
{
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO: return MT_IS_WORD;
    case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL: return MT_IS_WORD | MT_IS_NUMERIC;
    case UTF8PROC_CATEGORY_NO: return MT_IS_NUMERIC;
    case UTF8PROC_CATEGORY_MN: return MT_IS_WORD | MT_IS_MARK | MT_IS_ACCENT | MT_IS_LOOSE;
    case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: return MT_IS_WORD | MT_IS_MARK | MT_IS_LOOSE;
    case UTF8PROC_CATEGORY_PC: return MT_IS_WORD | MT_IS_PUNCT;
    case UTF8PROC_CATEGORY_PD: case UTF8PROC_CATEGORY_PS: case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI: case UTF8PROC_CATEGORY_PF: case UTF8PROC_CATEGORY_PO: return MT_IS_PUNCT;
    case UTF8PROC_CATEGORY_CC: case UTF8PROC_CATEGORY_CF: case UTF8PROC_CATEGORY_CO: return MT_IS_OTHER;
    default: return 0;
    }
}

/* Letters in a circle or square are Alphabetic though they are symbols; so are the joiners word
 * characters by a rule of their own. */
static bool is_odd_word(uint32_t code)
{
    return (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
           (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189) ||
           code == 0x200C || code == 0x200D;
}

static unsigned form_traits(uint32_t code)
{
    const utf8proc_property_t *prop = utf8proc_get_property((utf8proc_int32_t)code);
    const bool is_jamo = (code >= 0x1161 && code <= 0x1175) || (code >= 0x11A8 && code <= 0x11C2);
    if (prop->combining_class || is_jamo) return MT_IS_LOOSE;
    if (code >= 0xAC00 && code <= 0xD7A3) return MT_HAS_NFD;
    if (prop->decomp_seqindex == UINT16_MAX || prop->decomp_type) return 0;
    utf8proc_int32_t form[32];
    const utf8proc_option_t options = UTF8PROC_COMPOSE | UTF8PROC_STABLE;
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)code, form, 32, options, NULL);
    if (n > 0 && n <= 32) n = utf8proc_normalize_utf32(form, n, options);
    return n == 1 && form[0] == (utf8proc_int32_t)code ? MT_HAS_NFD : MT_HAS_NFD | MT_HAS_NFC;
}

unsigned mt_traits_compute(uint32_t code)
{
    unsigned t = category_traits(code) | form_traits(code);
    if (is_space(code)) t |= MT_IS_SPACE;
    if (is_odd_word(code)) t |= MT_IS_WORD;
    if (code < 0x80 && code > 0x20 && code < 0x7F && !(t & (MT_IS_WORD | MT_IS_NUMERIC))) t |= MT_IS_PUNCT;
    if (utf8proc_tolower((utf8proc_int32_t)code) != (utf8proc_int32_t)code) t |= MT_IS_UPPER;
    return t;
}

void mt_traits_init(mt_traits *t)
{
    for (uint32_t code = 0; code < 0x10000; code++) t->plane[code] = (uint16_t)mt_traits_compute(code);
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

/* SPDX-License-Identifier: MIT */
/* jinja_unicode.c - UTF-8, and what Python's str knows about a code point.
 *
 * Strings here are valid UTF-8: the template is checked when it is opened, the variables by
 * the JSON reader.  utf8proc has the one-to-one case mappings and the categories; the few
 * characters whose upper or title case is several characters are listed below (Unicode's
 * SpecialCasing). */
#include <string.h>
#include <utf8proc.h>

#include "text/jinja.h"

uint32_t mt_j_decode(const char *text, size_t n, size_t *len)
{
    const uint8_t *p = (const uint8_t *)text;
    if (p[0] < 0x80 || n < 2) {
        *len = 1;
        return p[0];
    }
    if (p[0] < 0xe0) {
        *len = 2;
        return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    }
    if (p[0] < 0xf0 && n >= 3) {
        *len = 3;
        return (p[0] & 0xfu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    }
    if (n < 4) {
        *len = 1;
        return 0xfffd;
    }
    *len = 4;
    return (p[0] & 7u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}

size_t mt_j_encode(uint32_t cp, char out[4])
{
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)cp, (utf8proc_uint8_t *)out);
}

bool mt_j_valid(const char *p, size_t n)
{
    for (size_t i = 0; i < n; ) {
        if ((unsigned char)p[i] < 0x80) {
            i++;
            continue;
        }
        utf8proc_int32_t cp;
        utf8proc_ssize_t len = utf8proc_iterate(
            (const utf8proc_uint8_t *)p + i, (utf8proc_ssize_t)MT_MIN(n - i, (size_t)4), &cp);
        if (len < 1) return false;
        i += (size_t)len;
    }
    return true;
}

size_t mt_j_chars(mt_jstr *s)
{
    if (s->n_char != SIZE_MAX) return s->n_char;
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) n += ((unsigned char)s->p[i] & 0xc0) != 0x80;
    s->n_char = n;
    return n;
}

size_t mt_j_offset(mt_jstr *s, size_t index)
{
    if (index >= mt_j_chars(s)) return s->n;
    if (s->n_char == s->n) return index;
    size_t i = 0;
    for (size_t k = 0; k < index; k++)
        do i++; while (i < s->n && ((unsigned char)s->p[i] & 0xc0) == 0x80);
    return i;
}

const char *mt_j_find(const char *p, size_t n, const char *q, size_t m)
{
    if (m == 0) return p;
    return m > n ? NULL : memmem(p, n, q, m);
}

/* ---- classes ---------------------------------------------------------------- */
static utf8proc_category_t category(uint32_t cp)
{ return utf8proc_category((utf8proc_int32_t)cp); }

bool mt_j_is_space(uint32_t cp)
{
    if (cp < 0x80) return cp == ' ' || (cp >= 9 && cp <= 13) || (cp >= 0x1c && cp <= 0x1f);
    return cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

bool mt_j_is_line_end(uint32_t cp)
{
    return (cp >= 10 && cp <= 13) || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 || cp == 0x2028 ||
           cp == 0x2029;
}

bool mt_j_is_word(uint32_t cp)
{
    if (cp < 0x80)
        return (cp >= '0' && cp <= '9') || ((cp | 32) >= 'a' && (cp | 32) <= 'z') || cp == '_';
    utf8proc_category_t c = category(cp);
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO) ||
           (c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO);
}

bool mt_j_is_printable(uint32_t cp)
{
    if (cp < 0x7f) return cp >= ' ';
    utf8proc_category_t c = category(cp);
    return c != UTF8PROC_CATEGORY_CN && c < UTF8PROC_CATEGORY_ZS;
}

/* ---- case --------------------------------------------------------------------- */
static const struct { uint16_t cp, upper[3], title[3]; } special[] = {
    { 0xdf, { 0x53, 0x53, 0 }, { 0x53, 0x73, 0 } },
    { 0x149, { 0x2bc, 0x4e, 0 }, { 0x2bc, 0x4e, 0 } },
    { 0x1f0, { 0x4a, 0x30c, 0 }, { 0x4a, 0x30c, 0 } },
    { 0x390, { 0x399, 0x308, 0x301 }, { 0x399, 0x308, 0x301 } },
    { 0x3b0, { 0x3a5, 0x308, 0x301 }, { 0x3a5, 0x308, 0x301 } },
    { 0x587, { 0x535, 0x552, 0 }, { 0x535, 0x582, 0 } },
    { 0x1e96, { 0x48, 0x331, 0 }, { 0x48, 0x331, 0 } },
    { 0x1e97, { 0x54, 0x308, 0 }, { 0x54, 0x308, 0 } },
    { 0x1e98, { 0x57, 0x30a, 0 }, { 0x57, 0x30a, 0 } },
    { 0x1e99, { 0x59, 0x30a, 0 }, { 0x59, 0x30a, 0 } },
    { 0x1e9a, { 0x41, 0x2be, 0 }, { 0x41, 0x2be, 0 } },
    { 0x1f50, { 0x3a5, 0x313, 0 }, { 0x3a5, 0x313, 0 } },
    { 0x1f52, { 0x3a5, 0x313, 0x300 }, { 0x3a5, 0x313, 0x300 } },
    { 0x1f54, { 0x3a5, 0x313, 0x301 }, { 0x3a5, 0x313, 0x301 } },
    { 0x1f56, { 0x3a5, 0x313, 0x342 }, { 0x3a5, 0x313, 0x342 } },
    { 0x1fb2, { 0x1fba, 0x399, 0 }, { 0x1fba, 0x345, 0 } },
    { 0x1fb3, { 0x391, 0x399, 0 }, { 0, 0, 0 } },
    { 0x1fb4, { 0x386, 0x399, 0 }, { 0x386, 0x345, 0 } },
    { 0x1fb6, { 0x391, 0x342, 0 }, { 0x391, 0x342, 0 } },
    { 0x1fb7, { 0x391, 0x342, 0x399 }, { 0x391, 0x342, 0x345 } },
    { 0x1fbc, { 0x391, 0x399, 0 }, { 0, 0, 0 } },
    { 0x1fc2, { 0x1fca, 0x399, 0 }, { 0x1fca, 0x345, 0 } },
    { 0x1fc3, { 0x397, 0x399, 0 }, { 0, 0, 0 } },
    { 0x1fc4, { 0x389, 0x399, 0 }, { 0x389, 0x345, 0 } },
    { 0x1fc6, { 0x397, 0x342, 0 }, { 0x397, 0x342, 0 } },
    { 0x1fc7, { 0x397, 0x342, 0x399 }, { 0x397, 0x342, 0x345 } },
    { 0x1fcc, { 0x397, 0x399, 0 }, { 0, 0, 0 } },
    { 0x1fd2, { 0x399, 0x308, 0x300 }, { 0x399, 0x308, 0x300 } },
    { 0x1fd3, { 0x399, 0x308, 0x301 }, { 0x399, 0x308, 0x301 } },
    { 0x1fd6, { 0x399, 0x342, 0 }, { 0x399, 0x342, 0 } },
    { 0x1fd7, { 0x399, 0x308, 0x342 }, { 0x399, 0x308, 0x342 } },
    { 0x1fe2, { 0x3a5, 0x308, 0x300 }, { 0x3a5, 0x308, 0x300 } },
    { 0x1fe3, { 0x3a5, 0x308, 0x301 }, { 0x3a5, 0x308, 0x301 } },
    { 0x1fe4, { 0x3a1, 0x313, 0 }, { 0x3a1, 0x313, 0 } },
    { 0x1fe6, { 0x3a5, 0x342, 0 }, { 0x3a5, 0x342, 0 } },
    { 0x1fe7, { 0x3a5, 0x308, 0x342 }, { 0x3a5, 0x308, 0x342 } },
    { 0x1ff2, { 0x1ffa, 0x399, 0 }, { 0x1ffa, 0x345, 0 } },
    { 0x1ff3, { 0x3a9, 0x399, 0 }, { 0, 0, 0 } },
    { 0x1ff4, { 0x38f, 0x399, 0 }, { 0x38f, 0x345, 0 } },
    { 0x1ff6, { 0x3a9, 0x342, 0 }, { 0x3a9, 0x342, 0 } },
    { 0x1ff7, { 0x3a9, 0x342, 0x399 }, { 0x3a9, 0x342, 0x345 } },
    { 0x1ffc, { 0x3a9, 0x399, 0 }, { 0, 0, 0 } },
    { 0xfb00, { 0x46, 0x46, 0 }, { 0x46, 0x66, 0 } },
    { 0xfb01, { 0x46, 0x49, 0 }, { 0x46, 0x69, 0 } },
    { 0xfb02, { 0x46, 0x4c, 0 }, { 0x46, 0x6c, 0 } },
    { 0xfb03, { 0x46, 0x46, 0x49 }, { 0x46, 0x66, 0x69 } },
    { 0xfb04, { 0x46, 0x46, 0x4c }, { 0x46, 0x66, 0x6c } },
    { 0xfb05, { 0x53, 0x54, 0 }, { 0x53, 0x74, 0 } },
    { 0xfb06, { 0x53, 0x54, 0 }, { 0x53, 0x74, 0 } },
    { 0xfb13, { 0x544, 0x546, 0 }, { 0x544, 0x576, 0 } },
    { 0xfb14, { 0x544, 0x535, 0 }, { 0x544, 0x565, 0 } },
    { 0xfb15, { 0x544, 0x53b, 0 }, { 0x544, 0x56b, 0 } },
    { 0xfb16, { 0x54e, 0x546, 0 }, { 0x54e, 0x576, 0 } },
    { 0xfb17, { 0x544, 0x53d, 0 }, { 0x544, 0x56d, 0 } },
};

static size_t expand(const uint16_t from[3], uint32_t out[3])
{
    size_t n = 0;
    while (n < 3 && from[n]) {
        out[n] = from[n];
        n++;
    }
    return n;
}

size_t mt_j_case(mt_jcase what, uint32_t cp, uint32_t out[3])
{
    utf8proc_int32_t c = (utf8proc_int32_t)cp;
    if (what == MT_J_LOWER) {
        out[0] = (uint32_t)utf8proc_tolower(c);
        if (cp != 0x130) return 1;
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    if (what == MT_J_UPPER && cp >= 0x1f80 && cp <= 0x1faf) { /* Greek with iota subscript */
        out[0] = (cp < 0x1f90 ? 0x1f08u : cp < 0x1fa0 ? 0x1f28u : 0x1f68u) + (cp & 7);
        out[1] = 0x399;
        return 2;
    }
    for (size_t i = 0; cp >= 0xdf && cp <= 0xfb17 && i < MT_COUNT(special); i++) {
        if (special[i].cp != cp) continue;
        size_t n = expand(what == MT_J_UPPER ? special[i].upper : special[i].title, out);
        if (n) return n;
    }
    out[0] = (uint32_t)(what == MT_J_UPPER ? utf8proc_toupper(c) : utf8proc_totitle(c));
    return 1;
}

/* str.islower and str.isupper: cased characters, all of them of this case. */
bool mt_j_is_cased(const mt_jstr *s, bool upper)
{
    bool any = false;
    size_t len;
    for (size_t i = 0; i < s->n; i += len) {
        uint32_t cp = mt_j_decode(s->p + i, s->n - i, &len);
        utf8proc_category_t c = category(cp);
        if (c == UTF8PROC_CATEGORY_LT) return false;
        if (c == (upper ? UTF8PROC_CATEGORY_LL : UTF8PROC_CATEGORY_LU)) return false;
        any = any || c == (upper ? UTF8PROC_CATEGORY_LU : UTF8PROC_CATEGORY_LL);
    }
    return any;
}

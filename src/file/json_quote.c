/* SPDX-License-Identifier: MIT */
/* json_quote.c - strings as JSON writes them. */
#include "file/vocab_json.h"

#include <string.h>
#include <utf8proc.h>

bool mt_json_quote(mt_buf *b, mt_str s)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    bool ok = mt_buf_put(b, "\"", 1);
    for (size_t i = 0; ok && i < s.n; i++) {
        const char c = s.p[i];
        const char *found = c ? strchr(plain, c) : NULL;
        if (found) ok = mt_buf_print(b, "\\%c", letter[found - plain]);
        else if ((unsigned char)c < 0x20) ok = mt_buf_print(b, "\\u%04x", (unsigned)c);
        else ok = mt_buf_put(b, &c, 1);
    }
    return ok && mt_buf_put(b, "\"", 1);
}

bool mt_json_is_utf8(mt_str s)
{
    for (size_t i = 0; i < s.n;) {
        utf8proc_int32_t c;
        const utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.p + i, (utf8proc_ssize_t)(s.n - i), &c);
        if (n < 1) return false;
        i += (size_t)n;
    }
    return true;
}

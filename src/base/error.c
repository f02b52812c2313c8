/* SPDX-License-Identifier: MIT */
/* error.c - status codes and the one sentence that goes with them.
 *
 * Every failure in the library passes through mt_fail.  It never allocates, cuts what does not
 * fit at a character, and replaces control characters, because names from hostile files end up
 * in these sentences and the sentences end up in terminals and logs. */
#include "base/base.h"

#include <stdio.h>
#include <string.h>

/* The codes and their meanings, in the order of the enum in mote.h. */
#define STATUS_LIST(X)                                                      \
    X(MOTE_OK,           "done")                                            \
    X(MOTE_ENOMEM,       "an allocator said no")                            \
    X(MOTE_EIO,          "the operating system said no")                    \
    X(MOTE_EFORMAT,      "the file is damaged, or is not what it claims")   \
    X(MOTE_EUNSUPPORTED, "well formed, but not something we run")           \
    X(MOTE_EINVAL,       "the caller broke a documented rule")              \
    X(MOTE_EFULL,        "context or output buffer too small")              \
    X(MOTE_ECANCELLED,   "mote_session_cancel, or a callback returned false")

static const struct { mote_status code; const char *name, *meaning; } status_row[] = {
#define ROW(code, meaning) { code, #code, meaning },
    STATUS_LIST(ROW)
#undef ROW
};

const char *mote_status_name(mote_status code)
{
    const size_t i = (size_t)code;
    return i < MT_COUNT(status_row) && status_row[i].code == code ? status_row[i].name : "MOTE_?";
}

/* Shortens text[0..n) so that it does not end inside a UTF-8 character. */
static void cut_at_character(char *text, size_t n)
{
    size_t lead = n;
    while (lead > 0 && n - lead < 3 && ((unsigned char)text[lead - 1] & 0xC0) == 0x80) lead--;
    if (lead == 0) return;
    const unsigned char first = (unsigned char)text[lead - 1];
    const size_t need = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
    if (n - (lead - 1) < need) text[lead - 1] = 0;
}

mote_status mt_fail(mote_error *err, mote_status code, const char *fmt, ...)
{
    if (!err) return code;
    char text[sizeof err->text];    /* apart, so that err->text may be an argument */
    va_list args;
    va_start(args, fmt);
    const int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (n < 0) {
        text[0] = 0;
    } else if ((size_t)n >= sizeof text) {
        cut_at_character(text, sizeof text - 1);
    }
    for (unsigned char *p = (unsigned char *)text; *p; p++)
        if (*p < 0x20 || *p == 0x7F) *p = '?';
    if (!text[0] && (size_t)code < MT_COUNT(status_row))
        snprintf(text, sizeof text, "%s", status_row[code].meaning);
    err->code = code;
    memcpy(err->text, text, sizeof text);
    return code;
}

/* SPDX-License-Identifier: MIT */
/* bytes.c - string views, their hash, and the cursor over hostile bytes.
 *
 * The cursor is the only way a parser reads a file.  It compares what is asked for with what is
 * left, never sums that could wrap, and stays failed once it failed, so that a parser may read a
 * whole record and ask once. */
#include "base/base.h"

#include <string.h>

mt_str mt_str_of(const char *text)
{
    return text ? (mt_str){ text, strlen(text) } : (mt_str){ "", 0 };
}

bool mt_str_eq(mt_str a, mt_str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool mt_str_is(mt_str a, const char *text)
{
    size_t i = 0;                   /* most differ at once: the length of text is not wanted */
    if (!text) return a.n == 0;
    while (i < a.n && text[i] && a.p[i] == text[i]) i++;
    return i == a.n && !text[i];
}

const char *mt_path_end(const char *path)
{
    enum { MOST = 80 };
    const size_t n = strlen(path);
    if (n <= MOST) return path;
    const char *end = path + n - MOST;
    while (((unsigned char)*end & 0xC0) == 0x80) end++;     /* not inside a character */
    return end;
}

uint64_t mt_hash(const void *p, size_t n)
{
    const uint8_t *byte = p;
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ byte[i]) * 0x100000001B3u;
    return h;
}

bool mt_cursor_has(const mt_cursor *c, size_t n)
{
    return !c->failed && n <= c->size - c->at;
}

const uint8_t *mt_read_bytes(mt_cursor *c, size_t n)
{
    if (!mt_cursor_has(c, n)) {
        c->failed = true;
        return NULL;
    }
    const uint8_t *p = c->p + c->at;
    c->at += n;
    return p;
}

/* n bytes as a little-endian number, whatever the machine's order. */
static uint64_t read_little(mt_cursor *c, size_t n)
{
    const uint8_t *p = mt_read_bytes(c, n);
    uint64_t value = 0;
    for (size_t i = 0; p && i < n; i++) value |= (uint64_t)p[i] << (8 * i);
    return value;
}

uint8_t  mt_read_u8(mt_cursor *c)  { return (uint8_t)read_little(c, 1); }
uint16_t mt_read_u16(mt_cursor *c) { return (uint16_t)read_little(c, 2); }
uint32_t mt_read_u32(mt_cursor *c) { return (uint32_t)read_little(c, 4); }
uint64_t mt_read_u64(mt_cursor *c) { return read_little(c, 8); }

/* SPDX-License-Identifier: MIT */
/* zip.c - zip archives as PyTorch writes them: stored members, one behind the other, the directory last.
 *
 * A zip file says everything twice, in the directory and in front of each member, and readers that believe
 * different copies see different files.  Here both must agree, and every byte of the file belongs to one
 * member, its headers, or the directory, so that there is one way to read it.
 *
 *   local: "PK\3\4" u16 version, flags, method, time, date; u32 crc, packed, size; u16 name, extra; both
 *   directory: "PK\1\2" u16 made by; as above; u16 comment, disk, attributes; u32 attributes, place; ...
 *   end: "PK\5\6" u16 disk, disk, entries, entries; u32 bytes, place; u16 comment */
#include "file/zip.h"

#include <string.h>

#include "file/parts.h"

enum {
    LOCAL = 30, CENTRAL = 46, END = 22, END64 = 56, LOCATOR = 20,
    LOCAL_MAGIC = 0x04034B50, CENTRAL_MAGIC = 0x02014B50, END_MAGIC = 0x06054B50, END64_MAGIC = 0x06064B50,
    LOCATOR_MAGIC = 0x07064B50, BEHIND_MAGIC = 0x08074B50,
    IS_ENCRYPTED = 1, IS_BEHIND = 8, IS_STRONG = 0x40, IS_MASKED = 0x2000,
    MAX_MEMBER = 1 << 21, MAX_NAME = 1024
};
#define WIDE 0xFFFFFFFFu         /* stands for a number in the extra field */

/* What a header says of a member. */
typedef struct head {
    uint16_t flags, method, time, date;
    uint32_t crc;
    uint64_t packed, size, place;
    mt_str   name;
    const uint8_t *extra; size_t n_extra;
} head;

typedef struct reader {
    const mt_map *m;
    const char *what;
    uint64_t at, bytes, n;       /* of the directory; its entries */
    mote_error *err;
} reader;

bool mt_zip_is(const mt_map *m) { return m->size >= 4 && memcmp(m->data, "PK\3\4", 4) == 0; }

static mote_status damaged(const reader *r, const char *why)
{
    MT_FAIL(r->err, MOTE_EFORMAT, "%s: a damaged zip archive: %s", r->what, why);
}

static mote_status bad_member(const reader *r, const head *h, const char *why)
{
    const int n = (int)MT_MIN(h->name.n, (size_t)80);
    MT_FAIL(r->err, MOTE_EFORMAT, "%s: zip member %.*s: %s", r->what, n, h->name.p, why);
}

/* ---- the end ------------------------------------------------------------------ */

/* Its wide form, in front of it where PyTorch puts one: numbers of 64 bits. */
static mote_status read_end64(reader *r, size_t *end)
{
    const size_t size = r->m->size;
    mt_cursor c = { .p = r->m->data, .size = size };
    if (size < END + LOCATOR + END64) return MOTE_OK;
    c.at = size - END - LOCATOR;
    if (mt_read_u32(&c) != LOCATOR_MAGIC) return MOTE_OK;
    const uint32_t disk = mt_read_u32(&c);
    const uint64_t at = mt_read_u64(&c);
    const uint32_t n_disk = mt_read_u32(&c);
    if (disk != 0 || n_disk > 1 || at != size - END - LOCATOR - END64) return damaged(r, "the place of its wide end");
    c.at = (size_t)at;
    if (mt_read_u32(&c) != END64_MAGIC || mt_read_u64(&c) != END64 - 12) return damaged(r, "its wide end");
    mt_read_u32(&c);                            /* versions */
    if (mt_read_u64(&c) != 0) return damaged(r, "more than one disk");      /* two numbers of 32 bits */
    const uint64_t here = mt_read_u64(&c);
    r->n = mt_read_u64(&c);
    const uint64_t bytes = mt_read_u64(&c), place = mt_read_u64(&c);
    if (here != r->n || (r->bytes != WIDE && r->bytes != bytes) || (r->at != WIDE && r->at != place))
        return damaged(r, "its two ends disagree");
    r->bytes = bytes, r->at = place;
    *end = (size_t)at;
    return MOTE_OK;
}

static mote_status read_end(reader *r)
{
    mt_cursor c = { .p = r->m->data, .size = r->m->size };
    size_t end = r->m->size - END;
    if (r->m->size < END) return damaged(r, "it has no directory");
    c.at = end;
    if (mt_read_u32(&c) != END_MAGIC) return damaged(r, "its end, where its directory stands, is missing");
    const uint16_t disk = mt_read_u16(&c), first = mt_read_u16(&c), here = mt_read_u16(&c), n = mt_read_u16(&c);
    r->bytes = mt_read_u32(&c), r->at = mt_read_u32(&c);
    r->n = n;
    if (disk || first || here != n || mt_read_u16(&c) != 0) return damaged(r, "several disks or a comment");
    MT_TRY(read_end64(r, &end));
    if (n != 0xFFFF && n != (r->n & 0xFFFF)) return damaged(r, "its two ends disagree");
    if (r->at > end || r->bytes != end - r->at) return damaged(r, "its directory is not where its end says");
    if (r->n > MAX_MEMBER || r->n > r->bytes / CENTRAL) return damaged(r, "its directory is too small for its members");
    return MOTE_OK;
}

/* ---- headers -------------------------------------------------------------------- */

/* Numbers that did not fit their field stand in the extra field of kind 1, in this order. */
static bool widen(head *h)
{
    mt_cursor c = { .p = h->extra, .size = h->n_extra };
    uint64_t *const wide[] = { &h->size, &h->packed, &h->place };
    if (h->size != WIDE && h->packed != WIDE && h->place != WIDE) return true;
    while (mt_cursor_has(&c, 4)) {
        const uint16_t kind = mt_read_u16(&c), n = mt_read_u16(&c);
        mt_cursor field = { .p = mt_read_bytes(&c, n), .size = n };
        if (c.failed || kind != 1) continue;
        for (size_t i = 0; i < MT_COUNT(wide); i++)
            if (*wide[i] == WIDE) *wide[i] = mt_read_u64(&field);
        return !field.failed;
    }
    return false;
}

/* From the version on, to the names' lengths. */
static void read_common(mt_cursor *c, head *h, uint16_t *n_name, uint16_t *n_extra)
{
    mt_read_u16(c);
    h->flags = mt_read_u16(c), h->method = mt_read_u16(c);
    h->time = mt_read_u16(c), h->date = mt_read_u16(c);
    h->crc = mt_read_u32(c), h->packed = mt_read_u32(c), h->size = mt_read_u32(c);
    *n_name = mt_read_u16(c), *n_extra = mt_read_u16(c);
}

static void read_names(mt_cursor *c, head *h, uint16_t n_name, uint16_t n_extra)
{
    h->name = (mt_str){ (const char *)mt_read_bytes(c, n_name), n_name };
    h->extra = mt_read_bytes(c, n_extra), h->n_extra = n_extra;
}

/* A relative path without steps up, drives or zero bytes. */
static bool is_safe(mt_str name)
{
    if (name.n == 0 || name.n > MAX_NAME || name.p[0] == '/' || memchr(name.p, 0, name.n)) return false;
    if (memchr(name.p, '\\', name.n) || memchr(name.p, ':', name.n)) return false;
    for (size_t from = 0, to; from <= name.n; from = to + 1) {
        for (to = from; to < name.n && name.p[to] != '/';) to++;
        if (to - from == 2 && name.p[from] == '.' && name.p[from + 1] == '.') return false;
    }
    return true;
}

static mote_status read_central(const reader *r, mt_cursor *c, head *h)
{
    uint16_t n_name, n_extra;
    if (mt_read_u32(c) != CENTRAL_MAGIC) return damaged(r, "an entry of its directory");
    mt_read_u16(c);                             /* made by */
    read_common(c, h, &n_name, &n_extra);
    const uint16_t n_comment = mt_read_u16(c), disk = mt_read_u16(c);
    mt_read_u16(c);
    mt_read_u32(c);                             /* attributes */
    h->place = mt_read_u32(c);
    read_names(c, h, n_name, n_extra);
    if (c->failed || n_comment || disk) return damaged(r, "an entry of its directory");
    if (!is_safe(h->name)) return bad_member(r, h, "expected a relative path without '..'");
    if (h->flags & (IS_ENCRYPTED | IS_STRONG | IS_MASKED)) return bad_member(r, h, "it is encrypted");
    if (!widen(h)) return bad_member(r, h, "its size is missing");
    if (h->method != 0 || h->packed != h->size)
        return bad_member(r, h, "expected it to be stored as it is, found it compressed");
    return MOTE_OK;
}

/* The sizes may stand behind the data: "PK\7\8" (or not), crc, and both sizes in 4 or 8 bytes. */
static bool stands_behind(const reader *r, const head *h, size_t at, size_t gap)
{
    mt_cursor c = { .p = r->m->data, .size = r->m->size, .at = at };
    if (gap == 16 || gap == 24) {
        if (mt_read_u32(&c) != BEHIND_MAGIC) return false;
        gap -= 4;
    }
    if (gap != 12 && gap != 20) return false;
    if (mt_read_u32(&c) != h->crc) return false;
    for (int i = 0; i < 2; i++)
        if ((gap == 12 ? mt_read_u32(&c) : mt_read_u64(&c)) != h->size) return false;
    return !c.failed;
}

/* A member and its local header fill the file from `place` to `end`. */
static mote_status read_local(const reader *r, const head *h, uint64_t end, mt_member *out)
{
    mt_cursor c = { .p = r->m->data, .size = (size_t)end, .at = (size_t)h->place };
    head own = { .place = 0 };
    uint16_t n_name, n_extra;
    if (mt_read_u32(&c) != LOCAL_MAGIC) return bad_member(r, h, "no header where the directory says");
    read_common(&c, &own, &n_name, &n_extra);
    read_names(&c, &own, n_name, n_extra);
    const bool is_behind = h->flags & IS_BEHIND, is_zero = is_behind && !own.crc && !own.packed && !own.size;
    if (c.failed || !widen(&own)) return bad_member(r, h, "its header is damaged");
    if (own.flags != h->flags || own.method != h->method || own.time != h->time || own.date != h->date
        || !mt_str_eq(own.name, h->name))
        return bad_member(r, h, "its header and the directory disagree");
    if (!is_zero && (own.crc != h->crc || own.packed != h->packed || own.size != h->size))
        return bad_member(r, h, "its header and the directory disagree about its size");
    const size_t at = c.at;
    if (h->size > end - at) return bad_member(r, h, "it does not fit the space up to the next");
    const size_t gap = (size_t)(end - at - h->size);
    if (is_behind ? !stands_behind(r, h, at + (size_t)h->size, gap) : gap != 0)
        return bad_member(r, h, "bytes behind it belong to nothing");
    *out = (mt_member){ h->name, r->m->data + at, (size_t)h->size, h->crc };
    return MOTE_OK;
}

/* ---- the archive ------------------------------------------------------------------ */

static bool key_of_place(const void *context, uint32_t i, size_t depth, uint64_t *part)
{
    const head *h = context;
    (void)depth;
    *part = h[i].place;
    return false;
}

static bool key_of_name(const void *context, uint32_t i, size_t depth, uint64_t *part)
{
    const mt_member *x = context;
    return mt_key_of_str(x[i].name, depth, part);
}

static mote_status no_memory(const reader *r)
{
    MT_FAIL(r->err, MOTE_ENOMEM, "%s: no memory for %llu zip members", r->what, (unsigned long long)r->n);
}

static mote_status read_members(reader *r, mt_arena *scratch, mt_member *out)
{
    const size_t n = (size_t)r->n;
    mt_cursor c = { .p = r->m->data, .size = (size_t)(r->at + r->bytes), .at = (size_t)r->at };
    head *h = mt_arena_push_n(scratch, n, sizeof *h);
    if (!h) return no_memory(r);
    for (size_t i = 0; i < n; i++) MT_TRY(read_central(r, &c, &h[i]));
    if (c.at != c.size) return damaged(r, "bytes behind its directory");
    const uint32_t *order = mt_order(scratch, n, key_of_place, h);
    if (!order) return no_memory(r);
    if (n == 0 || h[order[0]].place != 0) return damaged(r, "bytes before its first member");
    for (size_t i = 0; i < n; i++) {
        const uint64_t end = i + 1 < n ? h[order[i + 1]].place : r->at;
        if (end > r->at || end <= h[order[i]].place) return damaged(r, "members overlap");
        MT_TRY(read_local(r, &h[order[i]], end, &out[i]));
    }
    return MOTE_OK;
}

static mote_status open_members(reader *r, mt_zip *z, mt_arena *arena, mt_arena *scratch)
{
    MT_TRY(read_end(r));
    mt_member *found = mt_arena_push_n(scratch, (size_t)r->n, sizeof *found);
    z->member = mt_arena_push_n(arena, (size_t)r->n, sizeof *z->member);
    if (!found || !z->member) return no_memory(r);
    MT_TRY(read_members(r, scratch, found));
    const uint32_t *order = mt_order(scratch, (size_t)r->n, key_of_name, found);
    if (!order) return no_memory(r);
    z->n_member = (size_t)r->n;
    for (size_t i = 0; i < z->n_member; i++) {
        z->member[i] = found[order[i]];
        if (i && mt_str_eq(z->member[i].name, z->member[i - 1].name))
            MT_FAIL(r->err, MOTE_EFORMAT, "%s: zip member %.*s appears twice", r->what,
                    (int)MT_MIN(z->member[i].name.n, (size_t)80), z->member[i].name.p);
    }
    return MOTE_OK;
}

mote_status mt_zip_open(mt_zip *z, const mt_map *m, const char *what, mt_arena *arena, mote_error *err)
{
    reader r = { .m = m, .what = what, .err = err };
    mt_arena scratch;
    *z = (mt_zip){ .what = what };
    mt_arena_init(&scratch, arena->alloc, 0);
    const mote_status st = open_members(&r, z, arena, &scratch);
    mt_arena_reset(&scratch);
    return st;
}

const mt_member *mt_zip_find(const mt_zip *z, mt_str name)
{
    size_t low = 0, high = z->n_member;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const mt_str found = z->member[middle].name;
        const size_t n = MT_MIN(found.n, name.n);
        const int order = n ? memcmp(found.p, name.p, n) : 0;
        if (order == 0 && found.n == name.n) return &z->member[middle];
        if (order < 0 || (order == 0 && found.n < name.n)) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

mote_status mt_zip_check(const mt_zip *z, const mt_member *x, mote_error *err)
{
    uint32_t table[256], crc = ~0u;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int k = 0; k < 8; k++) value = value >> 1 ^ (value & 1 ? 0xEDB88320u : 0);
        table[i] = value;
    }
    for (size_t i = 0; i < x->bytes; i++) crc = crc >> 8 ^ table[(crc ^ x->data[i]) & 0xFF];
    if (~crc == x->crc) return MOTE_OK;
    MT_FAIL(err, MOTE_EFORMAT, "%s: zip member %.*s: its sum is %08x, expected %08x", z->what,
            (int)MT_MIN(x->name.n, (size_t)80), x->name.p, ~crc, x->crc);
}

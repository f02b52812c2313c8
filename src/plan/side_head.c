/* SPDX-License-Identifier: MIT */
/* side_head.c - the head of a side file: what stands where, written and read.
 *
 *   0 "motepack"   8 u32 version   12 u32 CRC-32C of bytes [16, head)   16 u32 0x01020304, native
 *  20 u32 rows    24 u64 head      32 u64 section at, a multiple of 2 MiB   40 u64 section bytes
 *  48 u8[32] key  80 u32 path bytes   84 zeros   128 rows of 48 bytes, then the source's path
 *
 *  row: u64 offset, bytes, k, n_out, n_matrix; u32 layout, CRC-32C of the item's bytes
 *
 * Numbers are little-endian but the one that tells another byte order. */
#include "plan/side.h"

#include <string.h>

static const char magic[8] = { 'm', 'o', 't', 'e', 'p', 'a', 'c', 'k' };
enum { SECTION_ALIGN = 2 << 20, SUMMED_FROM = 16 };
static const uint32_t byte_order = 0x01020304;

/* ---- writing ----------------------------------------------------------------- */

static uint8_t *put(uint8_t *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> (8 * i));
    return at + bytes;
}

size_t mt_side_head_bytes(size_t n_row, size_t n_path) { return MT_SIDE_FIXED + n_row * MT_SIDE_ROW + n_path; }

void mt_side_print(const mt_side_head *h, const mt_side_row *row, uint8_t *out)
{
    const size_t bytes = mt_side_head_bytes(h->n_row, h->source.n);
    memset(out, 0, MT_SIDE_FIXED);
    memcpy(out, magic, sizeof magic);
    put(out + 8, MT_SIDE_VERSION, 4);
    memcpy(out + 16, &byte_order, sizeof byte_order);
    put(out + 20, h->n_row, 4);
    put(out + 24, bytes, 8);
    put(out + 32, h->section_at, 8);
    put(out + 40, h->section_bytes, 8);
    memcpy(out + 48, h->key, sizeof h->key);
    put(out + 80, h->source.n, 4);
    uint8_t *at = out + MT_SIDE_FIXED;
    for (size_t i = 0; i < h->n_row; i++) {
        const mt_side_row *r = &row[i];
        at = put(put(put(at, r->offset, 8), r->bytes, 8), r->k, 8);
        at = put(put(put(put(at, r->n_out, 8), r->n_matrix, 8), r->layout, 4), r->crc, 4);
    }
    memcpy(at, h->source.p, h->source.n);
    put(out + 12, mt_crc32c(0, out + SUMMED_FROM, bytes - SUMMED_FROM), 4);
}

/* ---- reading ------------------------------------------------------------------- */

static mote_status parse_fixed(mt_cursor *c, size_t file_bytes, mt_side_head *h, size_t *head, uint32_t *sum,
                               uint32_t *n_path, mote_error *err)
{
    uint32_t order = 0;
    const uint8_t *found = mt_read_bytes(c, sizeof magic);
    if (!found || memcmp(found, magic, sizeof magic) != 0) MT_FAIL(err, MOTE_EFORMAT, "it does not begin as one");
    const uint32_t version = mt_read_u32(c);
    *sum = mt_read_u32(c);
    found = mt_read_bytes(c, sizeof order);
    if (found) memcpy(&order, found, sizeof order);
    h->n_row = mt_read_u32(c);
    const uint64_t bytes = mt_read_u64(c);
    h->section_at = mt_read_u64(c);
    h->section_bytes = mt_read_u64(c);
    found = mt_read_bytes(c, sizeof h->key);
    if (found) memcpy(h->key, found, sizeof h->key);
    *n_path = mt_read_u32(c);
    mt_read_bytes(c, MT_SIDE_FIXED - 84);
    if (c->failed) MT_FAIL(err, MOTE_EFORMAT, "it ends inside its head");
    if (version != MT_SIDE_VERSION)
        MT_FAIL(err, MOTE_EFORMAT, "version %u, expected %d", version, MT_SIDE_VERSION);
    if (order != byte_order) MT_FAIL(err, MOTE_EFORMAT, "the byte order of another machine");
    if (h->n_row > MT_SIDE_MAX_ROW || *n_path == 0 || *n_path > MT_SIDE_MAX_PATH
        || bytes != mt_side_head_bytes(h->n_row, *n_path))
        MT_FAIL(err, MOTE_EFORMAT, "a head of %u rows and %u bytes of path", h->n_row, *n_path);
    if (h->section_at % SECTION_ALIGN || h->section_at < bytes || h->section_at > file_bytes
        || file_bytes - h->section_at != h->section_bytes)
        MT_FAIL(err, MOTE_EFORMAT, "%zu bytes, not what its head says", file_bytes);
    *head = (size_t)bytes;
    return MOTE_OK;
}

mote_status mt_side_parse(const uint8_t *p, size_t n, size_t file_bytes, mt_side_head *h, mote_error *err)
{
    mt_cursor c = { .p = p, .size = n };
    size_t head = 0;
    uint32_t sum = 0, n_path = 0;
    memset(h, 0, sizeof *h);
    MT_TRY(parse_fixed(&c, file_bytes, h, &head, &sum, &n_path, err));
    if (n < head) MT_FAIL(err, MOTE_EFORMAT, "it ends inside its table");
    if (mt_crc32c(0, p + SUMMED_FROM, head - SUMMED_FROM) != sum)
        MT_FAIL(err, MOTE_EFORMAT, "the checksum of its head is wrong");
    h->rows = mt_read_bytes(&c, (size_t)h->n_row * MT_SIDE_ROW);
    h->source = (mt_str){ (const char *)mt_read_bytes(&c, n_path), n_path };
    return MOTE_OK;
}

mt_side_row mt_side_row_at(const mt_side_head *h, size_t i)
{
    mt_cursor c = { .p = h->rows + i * MT_SIDE_ROW, .size = MT_SIDE_ROW };
    mt_side_row r;
    r.offset = mt_read_u64(&c), r.bytes = mt_read_u64(&c), r.k = mt_read_u64(&c);
    r.n_out = mt_read_u64(&c), r.n_matrix = mt_read_u64(&c);
    r.layout = mt_read_u32(&c), r.crc = mt_read_u32(&c);
    return r;
}

mote_status mt_side_read(const mt_file *f, mt_arena *a, mt_side_head *out, mote_error *err)
{
    uint8_t fixed[MT_SIDE_FIXED];
    mt_cursor c = { .p = fixed, .size = sizeof fixed };
    size_t head;
    uint32_t sum, n_path;
    if (f->size < sizeof fixed) MT_FAIL(err, MOTE_EFORMAT, "it has %zu bytes", f->size);
    MT_TRY(mt_file_read(f, 0, fixed, sizeof fixed, err));
    MT_TRY(parse_fixed(&c, f->size, out, &head, &sum, &n_path, err));
    uint8_t *bytes = mt_arena_push(a, head);
    if (!bytes) MT_FAIL(err, MOTE_ENOMEM, "no memory for a head of %zu bytes", head);
    MT_TRY(mt_file_read(f, 0, bytes, head, err));
    return mt_side_parse(bytes, head, f->size, out, err);
}

/* SPDX-License-Identifier: MIT */
/* gguf.c - GGUF versions 2 and 3: header, metadata, tensor table.
 *
 * The file is hostile.  Every number in it meets its limit and the bytes that are left before
 * anything is allocated or summed, and all sums and products go through mt_*_ok.  What is kept
 * per byte of header is bounded by the structures below: at most 8 bytes for one, plus a constant
 * (blocks of the arena).  Strings and arrays stay in the mapping as views; only keys and tensor
 * names are copied, to be terminated. */
#include "file/parts.h"

#include <string.h>

enum {
    MAX_META = 65536, MAX_TENSOR = 1 << 20, MAX_ITEMS = 1 << 24,
    MAX_KEY = 65535, MAX_STRING = 16 << 20, MAX_NAME = 64,
    MIN_ALIGN = 8, MAX_ALIGN = 65536, DEFAULT_ALIGN = 32,
    LEAST_META = 8 + 1 + 4 + 1,             /* bytes: key length, key, type, value */
    LEAST_TENSOR = 8 + 1 + 4 + 4 + 8,       /* name length, name, dims, type, offset */
    NAMES_CHUNK = 4096
};
#define MAX_VALUES ((size_t)((uint64_t)1 << (sizeof(size_t) > 4 ? 62 : 30)))

/* Bytes of one element in the file; of a string, at least its length. */
static const uint8_t item_bytes[] = {
    [MT_META_U8] = 1,  [MT_META_I8] = 1,  [MT_META_U16] = 2, [MT_META_I16] = 2,
    [MT_META_U32] = 4, [MT_META_I32] = 4, [MT_META_F32] = 4, [MT_META_BOOL] = 1,
    [MT_META_STRING] = 8, [MT_META_ARRAY] = 12, [MT_META_U64] = 8, [MT_META_I64] = 8,
    [MT_META_F64] = 8,
};

typedef struct reader {
    mt_source  *s;
    mt_cursor   c;
    mt_arena    scratch;        /* gone when the header is read */
    uint64_t   *offset;         /* (n_tensor) as the file states them */
    char       *names;          /* rest of the newest chunk for copies of names */
    size_t      names_left;
    const char *path;           /* for sentences */
    mote_error *err;
} reader;

/* What is being read, for sentences: "metadata value 3 (general.name)". */
typedef struct place { const char *what; size_t i; const char *name; } place;
#define PLACE_FMT  "%s %zu%s%.64s%s"
#define PLACE(w)   (w).what, (w).i, (w).name ? " (" : "", (w).name ? (w).name : "", (w).name ? ")" : ""

static size_t left(const reader *r) { return r->c.size - r->c.at; }

static mote_status ends_early(const reader *r, place w)
{
    MT_FAIL(r->err, MOTE_EFORMAT, "%s: " PLACE_FMT ": the file ends inside it, %zu bytes long",
            r->path, PLACE(w), r->c.size);
}

static mote_status no_memory(const reader *r, place w)
{
    MT_FAIL(r->err, MOTE_ENOMEM, "%s: " PLACE_FMT ": no memory", r->path, PLACE(w));
}

/* ---- strings -------------------------------------------------------------- */

static mote_status read_string(reader *r, size_t most, place w, mt_str *out)
{
    const uint64_t n = mt_read_u64(&r->c);
    if (r->c.failed) return ends_early(r, w);
    if (n > most)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: " PLACE_FMT ": expected a string of at most %zu bytes, "
                "found %llu", r->path, PLACE(w), most, (unsigned long long)n);
    const uint8_t *p = mt_read_bytes(&r->c, (size_t)n);
    if (!p) return ends_early(r, w);
    *out = (mt_str){ (const char *)p, (size_t)n };
    return MOTE_OK;
}

/* Reads a string that names something and keeps a terminated copy: 1 to most bytes, none zero. */
static mote_status read_name(reader *r, size_t most, place w, const char **out)
{
    mt_str s;
    MT_TRY(read_string(r, most, w, &s));
    if (s.n == 0 || memchr(s.p, 0, s.n))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: " PLACE_FMT ": expected a name, found %s", r->path,
                PLACE(w), s.n ? "a zero byte in it" : "an empty string");
    if (s.n + 1 > r->names_left) {              /* s.n is limited: no wrap */
        const size_t chunk = MT_MAX(s.n + 1, (size_t)NAMES_CHUNK);
        r->names = mt_arena_push(&r->s->arena, chunk);
        r->names_left = r->names ? chunk : 0;
        if (!r->names) return no_memory(r, w);
    }
    memcpy(r->names, s.p, s.n);
    r->names[s.n] = 0;
    *out = r->names;
    r->names += s.n + 1;
    r->names_left -= s.n + 1;
    return MOTE_OK;
}

/* ---- metadata ------------------------------------------------------------- */

static mote_status read_type(reader *r, place w, mt_meta_type *out)
{
    const uint32_t type = mt_read_u32(&r->c);
    if (r->c.failed) return ends_early(r, w);
    if (type >= MT_COUNT(item_bytes))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: " PLACE_FMT ": expected a value type from 0 to %zu, "
                "found %u", r->path, PLACE(w), MT_COUNT(item_bytes) - 1, type);
    *out = (mt_meta_type)type;
    return MOTE_OK;
}

static mote_status bad_bool(const reader *r, place w, uint8_t found)
{
    MT_FAIL(r->err, MOTE_EFORMAT, "%s: " PLACE_FMT ": expected 0 or 1 for a truth value, found %u",
            r->path, PLACE(w), found);
}

static mote_status read_strings(reader *r, place w, mt_meta *m)
{
    mt_str *strings = mt_arena_push_n(&r->s->arena, m->n, sizeof *strings);
    if (!strings) return no_memory(r, w);
    for (size_t i = 0; i < m->n; i++) MT_TRY(read_string(r, MAX_STRING, w, &strings[i]));
    m->strings = strings;
    return MOTE_OK;
}

static mote_status read_array(reader *r, place w, mt_meta *m)
{
    size_t bytes;
    MT_TRY(read_type(r, w, &m->item));
    if (m->item == MT_META_ARRAY)
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: " PLACE_FMT ": expected an array of plain values, "
                "found an array of arrays", r->path, PLACE(w));
    const uint64_t n = mt_read_u64(&r->c);
    if (r->c.failed) return ends_early(r, w);
    if (n > MAX_ITEMS)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: " PLACE_FMT ": expected at most %d elements, found %llu",
                r->path, PLACE(w), MAX_ITEMS, (unsigned long long)n);
    m->n = (size_t)n;
    if (!mt_mul_ok(m->n, item_bytes[m->item], &bytes) || bytes > left(r)) return ends_early(r, w);
    m->raw = r->c.p + r->c.at;
    if (m->item == MT_META_STRING) return read_strings(r, w, m);
    for (size_t i = 0; m->item == MT_META_BOOL && i < m->n; i++)
        if (m->raw[i] > 1) return bad_bool(r, w, m->raw[i]);
    return mt_read_bytes(&r->c, bytes) ? MOTE_OK : ends_early(r, w);
}

static double f32_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static double f64_of(uint64_t bits)
{
    double f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static mote_status read_value(reader *r, place w, mt_meta *m)
{
    mt_cursor *c = &r->c;
    uint8_t byte;
    m->n = 1;
    switch (m->type) {
    case MT_META_U8:  m->value.u = mt_read_u8(c);            break;
    case MT_META_I8:  m->value.i = (int8_t)mt_read_u8(c);    break;
    case MT_META_U16: m->value.u = mt_read_u16(c);           break;
    case MT_META_I16: m->value.i = (int16_t)mt_read_u16(c);  break;
    case MT_META_U32: m->value.u = mt_read_u32(c);           break;
    case MT_META_I32: m->value.i = (int32_t)mt_read_u32(c);  break;
    case MT_META_U64: m->value.u = mt_read_u64(c);           break;
    case MT_META_I64: m->value.i = (int64_t)mt_read_u64(c);  break;
    case MT_META_F32: m->value.f = f32_of(mt_read_u32(c));   break;
    case MT_META_F64: m->value.f = f64_of(mt_read_u64(c));   break;
    case MT_META_BOOL:
        byte = mt_read_u8(c);
        if (byte > 1) return bad_bool(r, w, byte);
        m->value.b = byte == 1;
        break;
    case MT_META_STRING: return read_string(r, MAX_STRING, w, &m->value.s);
    case MT_META_ARRAY:  return read_array(r, w, m);
    }
    return c->failed ? ends_early(r, w) : MOTE_OK;
}

static mote_status read_metadata(reader *r)
{
    mt_source *const s = r->s;
    s->meta = mt_arena_push_n(&s->arena, s->n_meta, sizeof *s->meta);
    if (!s->meta) return no_memory(r, (place){ "metadata of keys", s->n_meta, NULL });
    for (size_t i = 0; i < s->n_meta; i++) {
        mt_meta *const m = &s->meta[i];
        MT_TRY(read_name(r, MAX_KEY, (place){ "metadata key", i, NULL }, &m->key));
        const place w = { "metadata value", i, m->key };
        MT_TRY(read_type(r, w, &m->type));
        MT_TRY(read_value(r, w, m));
    }
    return MOTE_OK;
}

/* ---- tensors -------------------------------------------------------------- */

static mote_status read_shape(reader *r, place w, mt_tensor *t)
{
    const uint32_t n_dim = mt_read_u32(&r->c);
    if (r->c.failed) return ends_early(r, w);
    if (n_dim > MT_MAX_DIM)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: " PLACE_FMT ": expected at most %d dimensions, found %u",
                r->path, PLACE(w), MT_MAX_DIM, n_dim);
    size_t count = 1;
    t->n_dim = n_dim ? (int)n_dim : 1;          /* a scalar is a vector of one */
    for (int k = 0; k < MT_MAX_DIM; k++) {
        const uint64_t ne = k < (int)n_dim ? mt_read_u64(&r->c) : 1;
        if (r->c.failed) return ends_early(r, w);
        if (ne < 1 || ne > MAX_VALUES || !mt_mul_ok(count, (size_t)ne, &count) || count > MAX_VALUES)
            MT_FAIL(r->err, MOTE_EFORMAT, "%s: " PLACE_FMT ": dimension %d is %llu, expected at "
                    "least 1 and a product of at most %zu", r->path, PLACE(w), k,
                    (unsigned long long)ne, MAX_VALUES);
        t->ne[k] = (int64_t)ne;
    }
    return MOTE_OK;
}

/* Type and size in bytes; the shape is known and its product proved. */
static mote_status read_size(reader *r, place w, mt_tensor *t)
{
    const uint32_t type = mt_read_u32(&r->c);
    if (r->c.failed) return ends_early(r, w);
    const mt_type_info *info = type < MT_FILE_TYPES ? mt_type_of(type) : NULL;
    if (!info)
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: " PLACE_FMT ": unknown element type %u", r->path,
                PLACE(w), type);
    if (t->ne[0] % info->block)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: " PLACE_FMT ": rows of %s need a multiple of %d values, "
                "found %lld", r->path, PLACE(w), info->name, info->block, (long long)t->ne[0]);
    t->type = (mt_type)type;
    const size_t blocks = (size_t)mt_tensor_count(t) / (size_t)info->block;
    if (!mt_mul_ok(blocks, (size_t)info->bytes, &t->bytes))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: " PLACE_FMT ": %zu blocks of %s do not fit any memory",
                r->path, PLACE(w), blocks, info->name);
    return MOTE_OK;
}

static mote_status read_tensors(reader *r)
{
    mt_source *const s = r->s;
    s->tensor = mt_arena_push_n(&s->arena, s->n_tensor, sizeof *s->tensor);
    r->offset = mt_arena_push_n(&r->scratch, s->n_tensor, sizeof *r->offset);
    if (!s->tensor || !r->offset) return no_memory(r, (place){ "tensors", s->n_tensor, NULL });
    for (size_t i = 0; i < s->n_tensor; i++) {
        mt_tensor *const t = &s->tensor[i];
        MT_TRY(read_name(r, MAX_NAME, (place){ "tensor name", i, NULL }, &t->name));
        const place w = { "tensor", i, t->name };
        MT_TRY(read_shape(r, w, t));
        MT_TRY(read_size(r, w, t));
        r->offset[i] = mt_read_u64(&r->c);
        if (r->c.failed) return ends_early(r, w);
    }
    return MOTE_OK;
}

/* ---- where the data lies --------------------------------------------------- */

static mote_status find_alignment(const reader *r, size_t *out)
{
    int64_t n = DEFAULT_ALIGN;
    if (mt_source_meta(r->s, "general.alignment") && !mt_meta_int(r->s, "general.alignment", &n))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: general.alignment: expected an integer", r->path);
    if (n < MIN_ALIGN || n > MAX_ALIGN || (n & (n - 1)))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: general.alignment: expected a power of two from %d to "
                "%d, found %lld", r->path, MIN_ALIGN, MAX_ALIGN, (long long)n);
    *out = (size_t)n;
    return MOTE_OK;
}

/* Turns offsets into pointers; every tensor lies aligned inside the data. */
static mote_status place_tensors(const reader *r, size_t align)
{
    mt_source *const s = r->s;
    size_t start = r->c.at;
    if (s->n_tensor && (!mt_pad_ok(r->c.at, align, &start) || start > r->c.size))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: the file ends before its tensor data, %zu bytes long",
                r->path, r->c.size);
    s->data_bytes = s->n_tensor ? r->c.size - start : 0;
    for (size_t i = 0; i < s->n_tensor; i++) {
        mt_tensor *const t = &s->tensor[i];
        const place w = { "tensor", i, t->name };
        const uint64_t offset = r->offset[i];
        size_t end;
        if (offset % align)
            MT_FAIL(r->err, MOTE_EFORMAT, "%s: " PLACE_FMT ": expected an offset that is a multiple "
                    "of %zu, found %llu", r->path, PLACE(w), align, (unsigned long long)offset);
        if (offset > s->data_bytes || !mt_add_ok((size_t)offset, t->bytes, &end) ||
            end > s->data_bytes)
            MT_FAIL(r->err, MOTE_EFORMAT, "%s: " PLACE_FMT ": %zu bytes at offset %llu lie outside "
                    "the file's %zu bytes of data", r->path, PLACE(w), t->bytes,
                    (unsigned long long)offset, s->data_bytes);
        t->data = s->map.data + start + (size_t)offset;
    }
    return MOTE_OK;
}

static mote_status check_overlap(reader *r)
{
    const mt_source *const s = r->s;
    const uint32_t *order = mt_order_by_place(&r->scratch, s->tensor, s->n_tensor);
    if (!order) return no_memory(r, (place){ "tensors", s->n_tensor, NULL });
    for (size_t i = 1; i < s->n_tensor; i++) {
        const mt_tensor *a = &s->tensor[order[i - 1]], *b = &s->tensor[order[i]];
        if ((size_t)(b->data - a->data) < a->bytes)
            MT_FAIL(r->err, MOTE_EFORMAT, "%s: tensors %s and %s overlap", r->path, a->name, b->name);
    }
    return MOTE_OK;
}

/* ---- the file -------------------------------------------------------------- */

static mote_status read_version(reader *r)
{
    mt_read_u32(&r->c);                         /* the magic */
    const uint32_t version = mt_read_u32(&r->c);
    if (r->c.failed) return ends_early(r, (place){ "header after byte", 4, NULL });
    r->s->version = version;
    if (version == 2 || version == 3) return MOTE_OK;
    if (version >> 24 && !(version & 0xFFFFFF))
        MT_FAIL(r->err, MOTE_EUNSUPPORTED, "%s: expected a little-endian GGUF file, found a "
                "big-endian one (version %u)", r->path, version >> 24);
    MT_FAIL(r->err, version ? MOTE_EUNSUPPORTED : MOTE_EFORMAT,
            "%s: expected GGUF version 2 or 3, found %u", r->path, version);
}

/* A count from the header, against its limit and against the bytes that its items need. */
static mote_status read_count(const reader *r, uint64_t n, size_t most, size_t least_bytes,
                              const char *what, size_t *out)
{
    size_t bytes;
    if (n > most)
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: expected at most %zu %s, found %llu", r->path, most, what,
                (unsigned long long)n);
    *out = (size_t)n;
    if (!mt_mul_ok(*out, least_bytes, &bytes) || bytes > left(r))
        MT_FAIL(r->err, MOTE_EFORMAT, "%s: %zu %s do not fit the %zu bytes that are left of the file",
                r->path, *out, what, left(r));
    return MOTE_OK;
}

static mote_status read_header(reader *r)
{
    mt_source *const s = r->s;
    size_t align = DEFAULT_ALIGN;
    MT_TRY(read_version(r));
    const uint64_t n_tensor = mt_read_u64(&r->c), n_meta = mt_read_u64(&r->c);
    if (r->c.failed) return ends_early(r, (place){ "header after byte", 8, NULL });
    MT_TRY(read_count(r, n_tensor, MAX_TENSOR, LEAST_TENSOR, "tensors", &s->n_tensor));
    MT_TRY(read_count(r, n_meta, MAX_META, LEAST_META, "metadata keys", &s->n_meta));
    MT_TRY(read_metadata(r));
    MT_TRY(read_tensors(r));
    MT_TRY(mt_source_index(s, r->err));
    MT_TRY(find_alignment(r, &align));
    MT_TRY(place_tensors(r, align));
    return check_overlap(r);
}

mote_status mt_gguf_read(mt_source *s, mote_error *err)
{
    reader r = { .s = s, .c = { .p = s->map.data, .size = s->map.size },
                 .path = mt_path_end(s->path), .err = err };
    s->format = "gguf";
    mt_arena_init(&r.scratch, s->arena.alloc, 0);
    const mote_status status = read_header(&r);
    mt_arena_reset(&r.scratch);
    return status;
}

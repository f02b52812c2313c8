/* SPDX-License-Identifier: MIT */
/* packed_make.c - rows of a compressed weight as blocks of 32, from the codes and scales in the file.
 *
 * Codes are read in tiles of 32 rows by 32 columns, whichever way the file packs them, so every
 * cache line that holds part of a tile serves it whole.  A tile's codes go into blocks unchanged or
 * shifted by a constant; nothing is quantised again.  Scales become the f16 of the block: exactly, if
 * they are f16 in the file or bf16 of usual size, else rounded once.  Where blocks cannot hold the
 * values (rows that are no multiple of 32, scales that change inside 32, scales outside f16), rows
 * are F32. */
#include "file/packed_parts.h"

#define MT_BOOK_MOST 127.0f     /* NF4 and FP4 blocks: d is the scale over this */

/* ---- tiles of codes ----------------------------------------------------------------------------- */

static uint64_t get_bytes(const uint8_t *c)
{
    return mt_get32(c) | (uint64_t)mt_get32(c + 4) << 32;
}

static void put_bytes(uint8_t *c, uint64_t bytes)
{
    mt_put32(c, (uint32_t)bytes);
    mt_put32(c + 4, (uint32_t)(bytes >> 32));
}

/* The lowest eight codes of x in eight bytes: halves move apart, then their halves, then codes. */
MT_INLINE uint64_t spread_eight(int bits, uint64_t x)
{
    const uint64_t four = ((uint64_t)1 << 4 * bits) - 1, two = ((uint64_t)1 << 2 * bits) - 1, one = (1u << bits) - 1;
    x = (x & four) | (x >> 4 * bits & four) << 32;
    x = (x & (two | two << 32)) | (x >> 2 * bits & (two | two << 32)) << 16;
    return (x & one * 0x0001000100010001u) | (x >> bits & one * 0x0001000100010001u) << 8;
}

/* 32 codes from 4 * bits bytes, behind which seven more can be read. */
MT_INLINE void spread(int bits, const uint8_t *p, uint8_t c[MT_TILE])
{
    for (int i = 0; i < 4; i++) put_bytes(c + 8 * i, spread_eight(bits, get_bytes(p + bits * i)));
}

static void spread_any(int bits, const uint8_t *p, uint8_t c[MT_TILE])
{
    switch (bits) {
    case 1: spread(1, p, c); break;
    case 2: spread(2, p, c); break;
    case 3: spread(3, p, c); break;
    case 4: spread(4, p, c); break;
    case 5: spread(5, p, c); break;
    case 6: spread(6, p, c); break;
    case 7: spread(7, p, c); break;
    default: memcpy(c, p, MT_TILE); break;
    }
}

static int columns_at(const mt_recipe *p, int64_t block)
{
    return (int)MT_MIN((int64_t)MT_TILE, p->k - block * MT_TILE);
}

void mt_tile_words(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE])
{
    const int words = (columns_at(p, block) * p->bits + 31) / 32;
    const uint8_t *at = p->code + (size_t)row * p->code_line + (size_t)block * (size_t)p->bits * p->code_word;
    uint8_t w[MT_TILE + 8] = { 0 };
    for (int r = 0; r < n; r++, at += p->code_line) {
        if (words == p->bits && p->code_word == 4) memcpy(w, at, (size_t)p->bits * 4);
        else for (int i = 0; i < words; i++) memcpy(w + 4 * i, at + (size_t)i * p->code_word, 4);
        spread_any(p->bits, w, c[r]);
    }
}

void mt_tile_bytes(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE])
{
    const size_t bytes = (size_t)columns_at(p, block);
    const uint8_t *at = p->code + (size_t)row * p->code_line + (size_t)block * MT_TILE;
    for (int r = 0; r < n; r++, at += p->code_line) memcpy(c[r], at, bytes);
}

void mt_tile_signed(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE])
{
    mt_tile_bytes(p, row, n, block, c);
    for (int r = 0; r < n; r++)
        for (int i = 0; i < MT_TILE; i++) c[r][i] ^= 0x80;
}

/* Columns from all over the file: each is a code of a word (two, where it crosses) in every row. */
void mt_tile_sorted(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE])
{
    const int mask = (1 << p->bits) - 1;
    for (int j = 0; j < MT_TILE; j++) {
        const int64_t bit = (int64_t)p->order[block * MT_TILE + j] * p->bits;
        const int shift = (int)(bit % 32);
        const uint8_t *at = p->code + (size_t)row * p->code_line + (size_t)(bit / 32) * p->code_word;
        for (int r = 0; r < n; r++, at += p->code_line) {
            uint64_t w = mt_get32(at);
            if (shift + p->bits > 32) w |= (uint64_t)mt_get32(at + p->code_word) << 32;
            c[r][j] = (uint8_t)(w >> shift & (unsigned)mask);
        }
    }
}

/* Nibble i of a word belongs to the i-th of the rows 0 2 4 6 1 3 5 7; words follow each other along
 * the rows, so a tile is 32 runs of 16 bytes.  n need not be a multiple of 8, nor row. */
static int awq_nibble(int64_t row) { return (int)(row % 8 / 2 + row % 2 * 4); }

void mt_tile_awq(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE])
{
    const int columns = columns_at(p, block);
    for (int r = 0; r < n;) {
        const int from = (int)((row + r) % 8), rows = MT_MIN(8 - from, n - r);
        const uint8_t *at = p->code + (size_t)block * MT_TILE * p->code_word + (row + r) / 8 * 4;
        uint64_t eight[MT_TILE] = { 0 };
        for (int j = 0; j < columns; j++) eight[j] = spread_eight(4, mt_get32(at + (size_t)j * p->code_word));
        for (int i = 0; i < rows; i++, r++) {
            const int shift = 8 * awq_nibble(from + i);
            for (int j = 0; j < MT_TILE; j++) c[r][j] = (uint8_t)(eight[j] >> shift);
        }
    }
}

/* ---- scales and zeros --------------------------------------------------------------------------- */

static int64_t group_at(const mt_recipe *p, int64_t column)
{
    return p->index ? (int64_t)mt_get32(p->index + 4 * column) : column / p->group;
}

static float flat_scale(const mt_recipe *p, int64_t row, int64_t column)
{
    const int64_t i = (row * p->k + column) / p->flat;
    if (!p->nested) return mt_get_f32(p->scale + 4 * i);
    const float outer = mt_get_f32(p->nested + 4 * (i / p->nested_block));
    return mt_get_f32(p->nested_map + 4 * p->scale[i]) * outer + p->nested_offset;
}

static int64_t scale_index(const mt_recipe *p, int64_t row, int64_t column)
{
    return row / p->row_block * p->scale_row + group_at(p, column) * p->scale_group;
}

float mt_packed_scale(const mt_recipe *p, int64_t row, int64_t column)
{
    const float d = p->flat ? flat_scale(p, row, column)
                            : mt_get_float(p->scale, p->scale_type, scale_index(p, row, column));
    if (p->is_inverse) return 1 / d;
    return p->divisor != 0 ? d / p->divisor : d;
}

/* Code i of a stream of words. */
static int stream_code(const uint8_t *stream, size_t word, int bits, int64_t i)
{
    const int64_t at = i * bits;
    const uint8_t *p = stream + (size_t)(at / 32) * word;
    uint64_t w = mt_get32(p);
    if (at % 32 + bits > 32) w |= (uint64_t)mt_get32(p + word) << 32;
    return (int)(w >> at % 32 & ((1u << bits) - 1));
}

int mt_packed_zero(const mt_recipe *p, int64_t row, int64_t column)
{
    if (!p->zero) return p->zero_const;
    if (p->zero_type == MT_I8) return (int8_t)p->zero[scale_index(p, row, column)] + p->zero_add;
    if (p->zero_type == MT_U8) return p->zero[scale_index(p, row, column)];
    const uint8_t *stream = p->zero + (size_t)group_at(p, column) * p->zero_line;
    if (p->is_awq) return (int)(mt_get32(stream + row / 8 * 4) >> 4 * awq_nibble(row) & 15);
    return (stream_code(stream, p->zero_word, p->bits, row) + p->zero_add) & ((1 << p->bits) - 1);
}

static float min_at(const mt_recipe *p, int64_t row, int64_t column)
{
    return mt_get_float(p->zero, p->zero_type, scale_index(p, row, column));
}

/* ---- which block -------------------------------------------------------------------------------- */

/* Least (but for zeros) and greatest magnitude among n floats. */
typedef struct range { float least, most; } range;

static const range nowhere = { 0, 3e38f };          /* fits nothing */

static range range_of(const uint8_t *p, mt_type type, int64_t n)
{
    uint32_t least = 0x7FFFFFFF, most = 0;      /* as bits of f32: magnitudes sort like integers */
    for (int64_t i = 0; i < n; i++) {
        const uint32_t bits = (type == MT_F32 ? mt_get32(p + 4 * i) : (uint32_t)mt_get16(p + 2 * i) << 16) & 0x7FFFFFFF;
        const uint32_t low = bits ? bits : 0x7FFFFFFF;
        least = MT_MIN(least, low);
        most = MT_MAX(most, bits);
    }
    range out;
    memcpy(&out.least, &least, sizeof least);
    memcpy(&out.most, &most, sizeof most);
    return out;
}

/* Whether f16 holds such floats, rounded once: none too large, and those below the normal f16, which
 * are off by at most 2^-25, lie beside others so large that it is nothing.  NaN fails. */
static bool fits_f16(range x)
{
    return x.most <= 65504 && (x.most == 0 || x.least >= 0x1p-14f || x.most >= 0x1p-11f);
}

static int64_t parts_of(int64_t n, int64_t size) { return n / size + (n % size != 0); }

static int64_t scale_count(const mt_recipe *p)
{
    if (p->flat) return (p->n * p->k + p->flat - 1) / p->flat;
    const int64_t rows = (p->n + p->row_block - 1) / p->row_block;
    const int64_t groups = p->scale_group ? (p->k + p->group - 1) / p->group : 1;
    return p->scale_row || p->scale_group > 1 ? rows * groups : groups;
}

/* Of scales that are 8-bit codes: their map ascends, so the ends of each block bound it. */
static range nested_range(const mt_recipe *p)
{
    const int64_t n = scale_count(p);
    range all = { 3e38f, 0 };
    for (int i = 1; i < 256; i++)
        if (!(mt_get_f32(p->nested_map + 4 * i) >= mt_get_f32(p->nested_map + 4 * i - 4))) return nowhere;
    for (int64_t from = 0; from < n; from += p->nested_block) {
        uint8_t low = 255, high = 0;
        for (int64_t i = from; i < MT_MIN(n, from + p->nested_block); i++) {
            low = MT_MIN(low, p->scale[i]);
            high = MT_MAX(high, p->scale[i]);
        }
        const float outer = mt_get_f32(p->nested + 4 * (from / p->nested_block));
        const float a = mt_get_f32(p->nested_map + 4 * low) * outer + p->nested_offset;
        const float b = mt_get_f32(p->nested_map + 4 * high) * outer + p->nested_offset;
        if (!(a > 0 && b > 0)) return nowhere;
        all.least = MT_MIN(all.least, MT_MIN(a, b));
        all.most = MT_MAX(all.most, MT_MAX(a, b));
    }
    return all;
}

static bool scales_fit(const mt_recipe *p)
{
    const bool mins_fit = !p->has_min || p->zero_type == MT_F16 ||
                          fits_f16(range_of(p->zero, p->zero_type, scale_count(p)));
    if (p->is_inverse) {
        const float d = mt_packed_scale(p, 0, 0);
        return fits_f16((range){ d < 0 ? -d : d, d < 0 ? -d : d });
    }
    if (p->scale_type == MT_F16 && p->divisor == 0 && !p->flat) return mins_fit;
    range x = p->nested ? nested_range(p) : range_of(p->scale, p->scale_type, scale_count(p));
    const float divisor = p->book ? MT_BOOK_MOST : p->divisor;
    if (divisor != 0) x.least /= divisor, x.most /= divisor;
    return mins_fit && fits_f16(x);
}

/* Whether all zeros are z: decides between a type with one zero for all and one with its own. */
static bool zeros_are(const mt_recipe *p, int z)
{
    if (!p->zero) return p->zero_const == z;
    const int64_t groups = p->scale_group ? (p->k + p->group - 1) / p->group : 1;
    for (int64_t g = 0; g < groups; g++)
        for (int64_t row = 0; row < p->n; row++)
            if (mt_packed_zero(p, row, g * p->group) != z) return false;
    return true;
}

mt_type mt_packed_type(const mt_recipe *p)
{
    const bool is_whole = p->k % MT_TILE == 0 && (p->group >= p->k || p->group % MT_TILE == 0) &&
                          (!p->flat || p->flat % MT_TILE == 0);
    if (!is_whole || p->index || !scales_fit(p)) return MT_F32;
    if (p->book) return p->book_type;
    if (p->has_min) return p->bits <= 4 ? MT_Q4_1 : MT_M8;
    if (p->bits < 4) return MT_Q4_0;            /* q - z + 8 is a nibble whatever z */
    if (p->bits == 4) return zeros_are(p, 8) ? MT_Q4_0 : MT_G4;
    if (p->bits < 8) return MT_Q8_0;
    return zeros_are(p, 128) ? MT_Q8_0 : MT_G8;
}

/* ---- blocks ------------------------------------------------------------------------------------- */

typedef struct head { uint16_t d, m; uint8_t z; } head;         /* what a block carries beside its codes */

static head head_of(const mt_recipe *p, int64_t row, int64_t column)
{
    const float d = mt_packed_scale(p, row, column);
    head h = { mt_f32_to_f16(p->book ? d / MT_BOOK_MOST : d), 0, 0 };
    if (p->has_min) h.m = mt_f32_to_f16(min_at(p, row, column));
    else if (!p->book) h.z = (uint8_t)mt_packed_zero(p, row, column);
    return h;
}

/* Codes 0..15 in low nibbles, 16..31 in high ones, each plus `shift`; the sums are nibbles. */
static void put_nibbles(uint8_t *to, const uint8_t c[MT_TILE], int shift)
{
    const uint64_t ones = 0x0101010101010101u, add = ones * (unsigned)(shift > 0 ? shift : 0);
    for (int i = 0; i < 2; i++) {
        const uint64_t low = get_bytes(c + 8 * i) + add, high = get_bytes(c + 16 + 8 * i) + add;
        put_bytes(to + 8 * i, low | high << 4);
    }
}

static void put_block(mt_type type, head h, const uint8_t c[MT_TILE], uint8_t *to)
{
    mt_put16(to, h.d);
    switch ((int)type) {
    case MT_Q4_0: put_nibbles(to + 2, c, 8 - h.z); break;
    case MT_NF4: case MT_FP4: put_nibbles(to + 2, c, 0); break;
    case MT_G4:
        to[2] = h.z;
        put_nibbles(to + 3, c, 0);
        break;
    case MT_Q4_1:
        mt_put16(to + 2, h.m);
        put_nibbles(to + 4, c, 0);
        break;
    case MT_Q8_0:
        for (int i = 0; i < MT_TILE; i++) to[2 + i] = (uint8_t)(c[i] - h.z);
        break;
    case MT_G8:
        to[2] = h.z;
        memcpy(to + 3, c, MT_TILE);
        break;
    case MT_M8:
        mt_put16(to + 2, h.m);
        memcpy(to + 4, c, MT_TILE);
        break;
    default: break;
    }
}

/* n <= MT_TILE rows. */
static void make_blocks(const mt_tensor *t, int64_t first, int n, uint8_t *out)
{
    const mt_recipe *p = t->recipe;
    const size_t row_bytes = mt_row_bytes(t->type, p->k), block_bytes = mt_row_bytes(t->type, MT_TILE);
    const int64_t step = p->flat ? MT_TILE : p->group;
    uint8_t c[MT_TILE][MT_TILE];
    head h[MT_TILE];
    for (int64_t b = 0; b < p->k / MT_TILE; b++) {
        if (b * MT_TILE % step == 0)
            for (int r = 0; r < n; r++) h[r] = head_of(p, first + r, b * MT_TILE);
        p->tile(p, first, n, b, c);
        for (int r = 0; r < n; r++)
            put_block(t->type, h[r], c[r], out + (size_t)r * row_bytes + (size_t)b * block_bytes);
    }
}

/* Scales and zeros of MT_TILE rows by group, so that a column costs one look-up and no conversion. */
enum { MAX_TABLE = 128 };
typedef struct table { float d[MAX_TABLE][MT_TILE], m[MAX_TABLE][MT_TILE]; } table;

/* One of the rows of a tile, of columns [column, column + n).  Where there are few groups t holds them. */
static void put_floats(const mt_recipe *p, const table *t, int64_t row, int r, int64_t column, int n,
                       const uint8_t *c, uint8_t *to)
{
    for (int i = 0; i < n; i++, to += 4) {
        const int64_t g = t ? group_at(p, column + i) : 0;
        const float d = t ? t->d[g][r] : mt_packed_scale(p, row + r, column + i);
        if (p->book) mt_put_f32(to, d * p->book[c[i]]);
        else if (p->has_min) mt_put_f32(to, d * (float)c[i] + (t ? t->m[g][r] : min_at(p, row + r, column + i)));
        else mt_put_f32(to, d * ((float)c[i] - (t ? t->m[g][r] : (float)mt_packed_zero(p, row + r, column + i))));
    }
}

static bool fill_table(const mt_recipe *p, int64_t row, int n, table *t)
{
    const int64_t groups = p->flat ? MAX_TABLE + 1 : parts_of(p->k, p->group);
    if (groups > MAX_TABLE) return false;
    mt_recipe in_order = *p;
    in_order.index = NULL;
    for (int64_t g = 0; g < groups; g++) {
        for (int r = 0; r < n; r++) {
            t->d[g][r] = mt_packed_scale(&in_order, row + r, g * p->group);
            t->m[g][r] = p->has_min ? min_at(&in_order, row + r, g * p->group)
                                    : (float)mt_packed_zero(&in_order, row + r, g * p->group);
        }
    }
    return true;
}

static void make_floats(const mt_tensor *t, int64_t first, int n, uint8_t *out)
{
    const mt_recipe *p = t->recipe;
    uint8_t c[MT_TILE][MT_TILE];
    table groups;
    const bool has_table = fill_table(p, first, n, &groups);
    for (int64_t b = 0; b * MT_TILE < p->k; b++) {
        const int columns = columns_at(p, b);
        p->tile(p, first, n, b, c);
        for (int r = 0; r < n; r++)
            put_floats(p, has_table ? &groups : NULL, first, r, b * MT_TILE, columns, c[r],
                       out + 4 * (r * p->k + b * MT_TILE));
    }
}

void mt_packed_make(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out)
{
    const size_t row_bytes = mt_row_bytes(t->type, t->ne[0]);
    for (int64_t r = 0; r < n; r += MT_TILE) {
        const int rows = (int)MT_MIN((int64_t)MT_TILE, n - r);
        if (t->type == MT_F32) make_floats(t, first + r, rows, out + (size_t)r * row_bytes);
        else make_blocks(t, first + r, rows, out + (size_t)r * row_bytes);
    }
}

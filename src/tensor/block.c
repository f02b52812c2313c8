/* SPDX-License-Identifier: MIT */
/* block.c - the element types of GGUF: sizes, and the exact scalar decoding of each block format.
 *
 * One row per type in TYPE_LIST; a type without a decoder can be named and measured but not run.
 * Each decoder turns one block into floats in the very order of operations of the gguf package
 * (scale times integer first, then the minimum), so results are equal bit for bit; products and
 * sums must not be contracted.  The types that draw from grids are in block_iq.c, those with code
 * books or small floats in block_small.c. */
#include "tensor/block.h"

#include <assert.h>

static uint64_t load_u64(const uint8_t *p) { return load_u32(p) | (uint64_t)load_u32(p + 4) << 32; }

/* ---- plain values ------------------------------------------------------- */

static void decode_f32(const uint8_t *p, float *y)  { *y = load_f32(p); }
static void decode_f16(const uint8_t *p, float *y)  { *y = load_f16(p); }
static void decode_bf16(const uint8_t *p, float *y) { *y = mt_bf16_to_f32(load_u16(p)); }
static void decode_i8(const uint8_t *p, float *y)   { *y = (float)(int8_t)p[0]; }
static void decode_i16(const uint8_t *p, float *y)  { *y = (float)(int16_t)load_u16(p); }
static void decode_i32(const uint8_t *p, float *y)  { *y = (float)(int32_t)load_u32(p); }
static void decode_i64(const uint8_t *p, float *y)  { *y = (float)(int64_t)load_u64(p); }

static void decode_f64(const uint8_t *p, float *y)
{
    const uint64_t bits = load_u64(p);
    double f;
    memcpy(&f, &bits, sizeof f);
    *y = (float)f;
}

/* ---- blocks of 32: low nibbles are values 0..15, high nibbles 16..31 ------ */

static void decode_q4_0(const uint8_t *p, float *y)     /* f16 d | 16 nibbles pairs */
{
    const float d = load_f16(p);
    for (int i = 0; i < QK; i++) y[i] = d * (float)(nibble_of(p + 2, i) - 8);
}

static void decode_q4_1(const uint8_t *p, float *y)     /* f16 d, m | nibbles */
{
    const float d = load_f16(p), m = load_f16(p + 2);
    for (int i = 0; i < QK; i++) y[i] = d * (float)nibble_of(p + 4, i) + m;
}

static void decode_q5_0(const uint8_t *p, float *y)     /* f16 d | u32 fifth bits | nibbles */
{
    const float d = load_f16(p);
    const uint32_t high = load_u32(p + 2);
    for (int i = 0; i < QK; i++) {
        const int q = nibble_of(p + 6, i) | (int)(high >> i & 1) << 4;
        y[i] = d * (float)(q - 16);
    }
}

static void decode_q5_1(const uint8_t *p, float *y)     /* f16 d, m | u32 fifth bits | nibbles */
{
    const float d = load_f16(p), m = load_f16(p + 2);
    const uint32_t high = load_u32(p + 4);
    for (int i = 0; i < QK; i++) {
        const int q = nibble_of(p + 8, i) | (int)(high >> i & 1) << 4;
        y[i] = d * (float)q + m;
    }
}

static void decode_q8_0(const uint8_t *p, float *y)     /* f16 d | 32 i8 */
{
    const float d = load_f16(p);
    for (int i = 0; i < QK; i++) y[i] = (float)(int8_t)p[2 + i] * d;
}

static void decode_q8_1(const uint8_t *p, float *y)     /* f32 d | f32 sum, unused here | 32 i8 */
{
    const float d = load_f32(p);
    for (int i = 0; i < QK; i++) y[i] = d * (float)(int8_t)p[8 + i];
}

static void decode_q1_0(const uint8_t *p, float *y)     /* f16 d | 128 signs */
{
    const float d = load_f16(p);
    for (int i = 0; i < 128; i++) y[i] = p[2 + i / 8] >> i % 8 & 1 ? d : -d;
}

static void decode_iq4_nl(const uint8_t *p, float *y)   /* f16 d | nibbles */
{
    const float d = load_f16(p);
    for (int i = 0; i < QK; i++) y[i] = d * (float)mt_book_iq4[nibble_of(p + 2, i)];
}

/* ---- blocks of 256 ------------------------------------------------------ */

static void decode_q2_k(const uint8_t *p, float *y) /* 16 u4 scale, u4 min | 64 B codes | f16 d, dmin */
{
    const uint8_t *scale = p, *q = p + 16;
    const float d = load_f16(p + 80), dmin = load_f16(p + 82);
    for (int g = 0; g < 16; g++) {
        const float dl = d * (float)(scale[g] & 15), ml = dmin * (float)(scale[g] >> 4);
        for (int i = g * 16; i < g * 16 + 16; i++) y[i] = dl * (float)pair_of(q, i) - ml;
    }
}

static void decode_q3_k(const uint8_t *p, float *y) /* 32 B high bits | 64 B codes | 12 B scales | f16 d */
{
    const uint8_t *mask = p, *q = p + 32, *scale = p + 96;
    const float d = load_f16(p + 108);
    for (int g = 0; g < 16; g++) {
        const int low = scale[g % 8] >> (g / 8 * 4) & 15;
        const int high = scale[8 + g % 4] >> (g / 4 * 2) & 3;
        const float dl = d * (float)((low | high << 4) - 32);
        for (int i = g * 16; i < g * 16 + 16; i++) {
            const int minus = mask[i % 32] >> (i / 32) & 1 ? 0 : 4;
            y[i] = dl * (float)(pair_of(q, i) - minus);
        }
    }
}

/* Scale and minimum, 6 bits each, of group j of 8: the first four are whole bytes' low bits, the
 * others are nibbles of bytes 8..11 with their top bits above those of the first four. */
static void scale_min_of(const uint8_t *s, int j, int *scale, int *min)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        *min = s[j + 4] >> 4 | (s[j] >> 6) << 4;
    }
}

static void decode_q4_k(const uint8_t *p, float *y) /* f16 d, dmin | 12 B scales | 128 B nibbles */
{
    const float d = load_f16(p), dmin = load_f16(p + 2);
    for (int j = 0; j < 8; j++) {
        const uint8_t *q = p + 16 + j / 2 * 32;     /* two groups share 32 bytes */
        int scale, min;
        scale_min_of(p + 4, j, &scale, &min);
        const float dl = d * (float)scale, ml = dmin * (float)min;
        for (int i = 0; i < 32; i++) y[j * 32 + i] = dl * (float)(q[i] >> (j % 2 * 4) & 15) - ml;
    }
}

static void decode_q5_k(const uint8_t *p, float *y) /* as Q4_K, with 32 B of fifth bits before */
{
    const float d = load_f16(p), dmin = load_f16(p + 2);
    const uint8_t *high = p + 16;
    for (int j = 0; j < 8; j++) {
        const uint8_t *low = p + 48 + j / 2 * 32;
        int scale, min;
        scale_min_of(p + 4, j, &scale, &min);
        const float dl = d * (float)scale, ml = dmin * (float)min;
        for (int i = 0; i < 32; i++) {
            const int q = (low[i] >> (j % 2 * 4) & 15) | (high[i] >> j & 1) << 4;
            y[j * 32 + i] = dl * (float)q - ml;
        }
    }
}

static void decode_q6_k(const uint8_t *p, float *y) /* 128 B low nibbles | 64 B high pairs | 16 i8 | f16 d */
{
    const uint8_t *high = p + 128, *scale = p + 192;
    const float d = load_f16(p + 208);
    for (int i = 0; i < QK_K; i++) {
        const int r = i / 32;                       /* row of 32 values */
        const uint8_t low = p[r / 4 * 64 + r % 2 * 32 + i % 32];
        const int q = (low >> (r % 4 / 2 * 4) & 15) | pair_of(high, i) << 4;
        y[i] = d * (float)(int8_t)scale[i / 16] * (float)(q - 32);
    }
}

static void decode_q8_k(const uint8_t *p, float *y) /* f32 d | 256 i8 | 16 i16 sums, unused here */
{
    const float d = load_f32(p);
    for (int i = 0; i < QK_K; i++) y[i] = d * (float)(int8_t)p[4 + i];
}

static void decode_iq4_xs(const uint8_t *p, float *y) /* f16 d | u16 scales high | 4 B low | nibbles */
{
    const float d = load_f16(p);
    const int high = load_u16(p + 2);
    for (int j = 0; j < 8; j++) {
        const int scale = (p[4 + j / 2] >> (j % 2 * 4) & 15) | (high >> 2 * j & 3) << 4;
        const float dl = d * (float)(scale - 32);
        const uint8_t *q = p + 8 + j * 16;
        for (int i = 0; i < 32; i++) y[j * 32 + i] = dl * (float)mt_book_iq4[nibble_of(q, i)];
    }
}

void mt_trits_of(const uint8_t *p, uint8_t digit[256])  /* 48 B of five digits | 4 B of four */
{
    for (int i = 0; i < 160; i++) *digit++ = (uint8_t)trit_of(p[i % 32], i / 32);
    for (int i = 0; i < 80; i++)  *digit++ = (uint8_t)trit_of(p[32 + i % 16], i / 16);
    for (int i = 0; i < 16; i++)  *digit++ = (uint8_t)trit_of(p[48 + i % 4], i / 4);
}

static void decode_tq1_0(const uint8_t *p, float *y) /* 52 B of digits | f16 d */
{
    const float d = load_f16(p + 52);
    uint8_t digit[QK_K];
    mt_trits_of(p, digit);
    for (int i = 0; i < QK_K; i++) y[i] = d * (float)(digit[i] - 1);
}

static void decode_tq2_0(const uint8_t *p, float *y) /* 64 B codes | f16 d */
{
    const float d = load_f16(p + 64);
    for (int i = 0; i < QK_K; i++) y[i] = d * (float)(pair_of(p, i) - 1);
}

/* ---- the table ---------------------------------------------------------- */

typedef void (*decode_fn)(const uint8_t *block, float *y);

/* name, values per block, bytes per block, decoder or NULL */
#define TYPE_LIST(X)                                                                               \
    X(F32, 1, 4, decode_f32)                        X(F16, 1, 2, decode_f16)                       \
    X(Q4_0, QK, 18, decode_q4_0)                    X(Q4_1, QK, 20, decode_q4_1)                   \
    X(Q5_0, QK, 22, decode_q5_0)                    X(Q5_1, QK, 24, decode_q5_1)                   \
    X(Q8_0, QK, 34, decode_q8_0)                    X(Q8_1, QK, 40, decode_q8_1)                   \
    X(Q2_K, QK_K, 84, decode_q2_k)                  X(Q3_K, QK_K, 110, decode_q3_k)                \
    X(Q4_K, QK_K, 144, decode_q4_k)                 X(Q5_K, QK_K, 176, decode_q5_k)                \
    X(Q6_K, QK_K, 210, decode_q6_k)                 X(Q8_K, QK_K, 292, decode_q8_k)                \
    X(IQ2_XXS, QK_K, 66, mt_decode_iq2_xxs)         X(IQ2_XS, QK_K, 74, mt_decode_iq2_xs)          \
    X(IQ3_XXS, QK_K, 98, mt_decode_iq3_xxs)         X(IQ1_S, QK_K, 50, mt_decode_iq1_s)            \
    X(IQ4_NL, QK, 18, decode_iq4_nl)                X(IQ3_S, QK_K, 110, mt_decode_iq3_s)           \
    X(IQ2_S, QK_K, 82, mt_decode_iq2_s)             X(IQ4_XS, QK_K, 136, decode_iq4_xs)            \
    X(I8, 1, 1, decode_i8)                          X(I16, 1, 2, decode_i16)                       \
    X(I32, 1, 4, decode_i32)                        X(I64, 1, 8, decode_i64)                       \
    X(F64, 1, 8, decode_f64)                        X(IQ1_M, QK_K, 56, mt_decode_iq1_m)            \
    X(BF16, 1, 2, decode_bf16)                      X(TQ1_0, QK_K, 54, decode_tq1_0)               \
    X(TQ2_0, QK_K, 66, decode_tq2_0)                X(MXFP4, QK, 17, mt_decode_mxfp4)              \
    X(NVFP4, 64, 36, mt_decode_nvfp4)               X(Q1_0, 128, 18, decode_q1_0)                  \
    X(F8_E4M3, 1, 1, mt_decode_f8_e4m3)             X(F8_E5M2, 1, 1, mt_decode_f8_e5m2)            \
    X(F8_32, QK, 36, mt_decode_f8_32)               X(G4, QK, 19, mt_decode_g4)                    \
    X(G8, QK, 35, mt_decode_g8)                     X(M8, QK, 36, mt_decode_m8)                    \
    X(NF4, QK, 18, mt_decode_nf4)                   X(FP4, QK, 18, mt_decode_fp4)                  \
    X(U8, 1, 1, NULL)                               X(U16, 1, 2, NULL)                             \
    X(U32, 1, 4, NULL)                              X(U64, 1, 8, NULL)

/* Whether there is a decoder is asked by its name: comparing an address is no constant everywhere. */
static const mt_type_info type_row[MT_TYPE_LIMIT] = {
#define ROW(name, block, bytes, decode) [MT_##name] = { #name, block, bytes, sizeof #decode != sizeof "NULL" },
    TYPE_LIST(ROW)
#undef ROW
};

static const decode_fn decoder[MT_TYPE_LIMIT] = {
#define ROW(name, block, bytes, decode) [MT_##name] = decode,
    TYPE_LIST(ROW)
#undef ROW
};

const mt_type_info *mt_type_of(uint32_t type)
{
    return type < MT_TYPE_LIMIT && type_row[type].name ? &type_row[type] : NULL;
}

int64_t mt_tensor_count(const mt_tensor *t)
{
    return t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
}

size_t mt_row_bytes(mt_type type, int64_t n)
{
    const mt_type_info *info = &type_row[type];
    assert(info->name && n >= 0 && n % info->block == 0);
    return (size_t)(n / info->block) * (size_t)info->bytes;
}

const uint8_t *mt_tensor_rows(const mt_tensor *t, int64_t first, int64_t n, uint8_t *room)
{
    if (t->data) return t->data + (size_t)first * mt_row_bytes(t->type, t->ne[0]);
    t->make(t, first, n, room);
    return room;
}

void mt_decode_row(mt_type type, const void *src, float *dst, int64_t n)
{
    const mt_type_info *info = &type_row[type];
    const decode_fn decode = decoder[type];
    const uint8_t *p = src;
    assert(decode && n >= 0 && n % info->block == 0);
    for (int64_t i = 0; i < n; i += info->block, p += info->bytes) decode(p, dst + i);
}

/* SPDX-License-Identifier: MIT */
/* block_small.c - types whose codes are small floats or indices into a code book, and the blocks that
 * compressed checkpoints other than GGUF are brought into (numbers from 64 on). */
#include "tensor/block.h"

#include <math.h>

/* ---- scales of few bits -------------------------------------------------- */

float mt_e8m0_half(uint8_t e)
{
    return float_of_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

/* The sign bit is not looked at; all ones below it would be NaN and count as 0. */
float mt_ue4m3_half(uint8_t x)
{
    if (x == 0x7f) return 0;
    const int e = x >> 3 & 15, man = x & 7;
    return e ? ldexpf((float)(8 + man), e - 11) : ldexpf((float)man, -10);
}

float mt_e4m3(uint8_t x)
{
    const int e = x >> 3 & 15, man = x & 7;
    float y = e ? ldexpf((float)(8 + man), e - 10) : ldexpf((float)man, -9);
    if ((x & 0x7f) == 0x7f) y = float_of_bits(0x7fc00000);
    return x & 0x80 ? -y : y;
}

float mt_e5m2(uint8_t x) { return mt_f16_to_f32((uint16_t)(x << 8)); }

/* ---- code books ----------------------------------------------------------- */

const int8_t mt_book_iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
/* e2m1, twice the value, so that all are integers; scales are half in return. */
const int8_t mt_book_mxfp4[16] = { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 };
/* The code books of bitsandbytes times 127, rounded: quantiles of the normal distribution; a four-bit float. */
const int8_t mt_book_nf4[16] = { -127, -88, -67, -50, -36, -23, -12, 0, 10, 20, 31, 43, 56, 71, 92, 127 };
const int8_t mt_book_fp4[16] = { 0, 1, 85, 127, 42, 64, 21, 32, 0, -1, -85, -127, -42, -64, -21, -32 };

static void from_book(const int8_t book[16], float d, const uint8_t *q, float *y)
{
    for (int i = 0; i < QK; i++) y[i] = d * (float)book[nibble_of(q, i)];
}

void mt_decode_mxfp4(const uint8_t *p, float *y)    /* u8 exponent | nibbles */
{
    from_book(mt_book_mxfp4, mt_e8m0_half(p[0]), p + 1, y);
}

void mt_decode_nvfp4(const uint8_t *p, float *y)    /* 4 u8 scales | 4 x 8 B of nibbles, 0..7 low, 8..15 high */
{
    for (int g = 0; g < 4; g++) {
        const float d = mt_ue4m3_half(p[g]);
        const uint8_t *q = p + 4 + 8 * g;
        for (int i = 0; i < 8; i++) {
            y[16 * g + i] = d * (float)mt_book_mxfp4[q[i] & 15];
            y[16 * g + 8 + i] = d * (float)mt_book_mxfp4[q[i] >> 4];
        }
    }
}

void mt_decode_nf4(const uint8_t *p, float *y) { from_book(mt_book_nf4, load_f16(p), p + 2, y); }
void mt_decode_fp4(const uint8_t *p, float *y) { from_book(mt_book_fp4, load_f16(p), p + 2, y); }

/* ---- other checkpoints ----------------------------------------------------- */

void mt_decode_f8_e4m3(const uint8_t *p, float *y) { *y = mt_e4m3(*p); }
void mt_decode_f8_e5m2(const uint8_t *p, float *y) { *y = mt_e5m2(*p); }

void mt_decode_f8_32(const uint8_t *p, float *y)    /* f32 d | 32 e4m3 */
{
    const float d = load_f32(p);
    for (int i = 0; i < QK; i++) y[i] = d * mt_e4m3(p[4 + i]);
}

/* d * (q - z), as a scale and a minimum: both products and their sum are exact. */
void mt_decode_g4(const uint8_t *p, float *y)       /* f16 d | u8 z | nibbles */
{
    const float d = load_f16(p), m = -(d * (float)p[2]);
    for (int i = 0; i < QK; i++) y[i] = d * (float)nibble_of(p + 3, i) + m;
}

void mt_decode_g8(const uint8_t *p, float *y)       /* f16 d | u8 z | 32 u8 */
{
    const float d = load_f16(p), m = -(d * (float)p[2]);
    for (int i = 0; i < QK; i++) y[i] = d * (float)p[3 + i] + m;
}

void mt_decode_m8(const uint8_t *p, float *y)       /* f16 d, m | 32 u8 */
{
    const float d = load_f16(p), m = load_f16(p + 2);
    for (int i = 0; i < QK; i++) y[i] = d * (float)p[4 + i] + m;
}

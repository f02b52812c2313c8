/* SPDX-License-Identifier: MIT */
/* block.h - what the files of block decoders share, and what packing wants to know of a block.
 *
 * Blocks lie unaligned in a file and are little-endian: bytes are read as bytes.  Decoders are named
 * in the table of block.c and reached by mt_decode_row. */
#ifndef MT_TENSOR_BLOCK_H
#define MT_TENSOR_BLOCK_H

#include <string.h>

#include "tensor/tensor.h"

enum { QK = 32, QK_K = 256 };   /* values per block of the small and of the K formats */

MT_INLINE uint16_t load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
MT_INLINE uint32_t load_u32(const uint8_t *p) { return load_u16(p) | (uint32_t)load_u16(p + 2) << 16; }
MT_INLINE float load_f16(const uint8_t *p) { return mt_f16_to_f32(load_u16(p)); }
MT_INLINE float float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
MT_INLINE float load_f32(const uint8_t *p) { return float_of_bits(load_u32(p)); }

/* Low nibbles of 16 bytes are values 0..15, high nibbles 16..31. */
MT_INLINE int nibble_of(const uint8_t *q, int i) { return i < 16 ? q[i] & 15 : q[i - 16] >> 4; }
/* Two-bit codes: value i of a half block of 128 lies in byte i % 32, at bits 2 * (i / 32). */
MT_INLINE int pair_of(const uint8_t *q, int i)
{
    return q[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3;
}
/* Ternary digit k, 0 to 2, of a byte that holds up to five: the byte is a fraction of 256 in base 3, so
 * times 3^k modulo 256 moves digit k to the front. */
MT_INLINE int trit_of(uint8_t byte, int k)
{
    static const uint8_t power[5] = { 1, 3, 9, 27, 81 };
    return (uint8_t)(byte * power[k]) * 3 >> 8;
}
void mt_trits_of(const uint8_t *block, uint8_t digit[256]);     /* of a TQ1_0 block, 0 to 2 */

/* What the 16 codes of the four-bit types with a code book stand for. */
extern const int8_t mt_book_iq4[16], mt_book_mxfp4[16], mt_book_nf4[16], mt_book_fp4[16];
float mt_e8m0_half(uint8_t e);          /* half of 2^(e - 127), the scale of MXFP4 */
float mt_ue4m3_half(uint8_t x);         /* half of an unsigned E4M3, the scale of NVFP4 */
float mt_e4m3(uint8_t x);
float mt_e5m2(uint8_t x);

/* A block of an IQ1, IQ2 or IQ3 type: value i = d * scale[i / 16] * level[i], exact in f32 in any order. */
typedef struct mt_iq {
    float d;
    uint8_t scale[16];          /* odd, at most 31 */
    int8_t level[256];          /* never 0; one of mt_iq_levels */
} mt_iq;
void mt_iq_spell(mt_type type, const uint8_t *block, mt_iq *out);
extern const int8_t mt_levels_iq1[16], mt_levels_iq2[16], mt_levels_iq3_xxs[16], mt_levels_iq3_s[16];

extern const uint16_t mt_grid_iq1[2048], mt_grid_iq2_xxs[256], mt_grid_iq2_xs[512], mt_grid_iq2_s[1024];
extern const uint16_t mt_grid_iq3_xxs[256], mt_grid_iq3_s[512];

/* Decoders of whole blocks in other files than block.c. */
void mt_decode_iq1_s(const uint8_t *p, float *y);
void mt_decode_iq1_m(const uint8_t *p, float *y);
void mt_decode_iq2_xxs(const uint8_t *p, float *y);
void mt_decode_iq2_xs(const uint8_t *p, float *y);
void mt_decode_iq2_s(const uint8_t *p, float *y);
void mt_decode_iq3_xxs(const uint8_t *p, float *y);
void mt_decode_iq3_s(const uint8_t *p, float *y);
void mt_decode_mxfp4(const uint8_t *p, float *y);
void mt_decode_nvfp4(const uint8_t *p, float *y);
void mt_decode_nf4(const uint8_t *p, float *y);
void mt_decode_fp4(const uint8_t *p, float *y);
void mt_decode_f8_e4m3(const uint8_t *p, float *y);
void mt_decode_f8_e5m2(const uint8_t *p, float *y);
void mt_decode_f8_32(const uint8_t *p, float *y);
void mt_decode_g4(const uint8_t *p, float *y);
void mt_decode_g8(const uint8_t *p, float *y);
void mt_decode_m8(const uint8_t *p, float *y);

#endif

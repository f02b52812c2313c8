/* SPDX-License-Identifier: MIT */
/* half.c - 16-bit floats: the scalar conversions that everything else is compared with.
 *
 * Rounding is to nearest even, subnormals included; NaN stays NaN and becomes quiet. */
#include "tensor/tensor.h"

#include <string.h>

static float float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t bits_of(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

float mt_f16_to_f32(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t exponent = (h >> 10) & 0x1Fu, mantissa = h & 0x3FFu;
    if (exponent == 0x1F) return float_of(sign | 0x7F800000u | mantissa << 13);
    if (exponent) return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
    const float magnitude = (float)mantissa * 0x1p-24f;             /* zero or subnormal: exact */
    return float_of(sign | bits_of(magnitude));
}

uint16_t mt_f32_to_f16(float f)
{
    const uint32_t bits = bits_of(f), magnitude = bits & 0x7FFFFFFFu;
    const uint32_t sign = bits >> 16 & 0x8000u;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u | (magnitude >> 13 & 0x3FFu));
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u);    /* 65520 rounds to inf */
    if (magnitude < 0x38800000u) {
        /* Below the least normal: adding 0.5 leaves multiples of 2^-24 in the low bits, and the
         * addition itself rounds to nearest even. */
        return (uint16_t)(sign | (bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f)));
    }
    const uint32_t rounded = magnitude + 0xFFFu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | ((rounded >> 13) - (112u << 10)));
}

float mt_bf16_to_f32(uint16_t h) { return float_of((uint32_t)h << 16); }

uint16_t mt_f32_to_bf16(float f)
{
    const uint32_t bits = bits_of(f);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

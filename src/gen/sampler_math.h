/* SPDX-License-Identifier: MIT */
/* sampler_math.h - random numbers, exp and ln that give the same bits on every machine.
 *
 * "Same seed, same logits: same tokens" must hold across C libraries, and their exp and log
 * differ in the last bit.  So the sampler brings its own, made of IEEE additions, products and
 * quotients only (the build forbids contraction).  The generator is xoshiro256** 1.0 of Blackman
 * and Vigna; its state is the first four outputs of splitmix64 started at the seed. */
#ifndef MT_SAMPLER_MATH_H
#define MT_SAMPLER_MATH_H

#include <string.h>

#include "base/base.h"

typedef struct mt_rng { uint64_t s[4]; } mt_rng;

MT_INLINE uint64_t mt_splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

MT_INLINE void mt_rng_seed(mt_rng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) r->s[i] = mt_splitmix64(&seed);
}

MT_INLINE uint64_t mt_rotl64(uint64_t x, int by) { return x << by | x >> (64 - by); }

MT_INLINE uint64_t mt_rng_next(mt_rng *r)
{
    uint64_t *s = r->s;
    const uint64_t out = mt_rotl64(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = mt_rotl64(s[3], 45);
    return out;
}

/* Uniform in [0, 1), a multiple of 2^-53. */
MT_INLINE double mt_rng_unit(mt_rng *r) { return (double)(mt_rng_next(r) >> 11) * 0x1p-53; }

/* e^x for x <= 0, relative error below 2e-7; 0 below -87, where the result would be denormal.
 * No branches: loops over it are vectorised. */
MT_INLINE float mt_exp_neg(float x)
{
    const uint32_t mask = 0u - (uint32_t)(x >= -87.0f);   /* a mask: selects are not vectorised */
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits &= mask;
    memcpy(&x, &bits, sizeof x);
    const float round = 12582912.0f;              /* 1.5 * 2^23: adding it rounds to an integer */
    const float n = (x * 1.44269504f + round) - round;
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;  /* |r| <= ln 2 / 2 */
    float e = 1.0f / 5040;                        /* Taylor: the rest is below 6e-9 */
    e = e * r + 1.0f / 720;
    e = e * r + 1.0f / 120;
    e = e * r + 1.0f / 24;
    e = e * r + 1.0f / 6;
    e = e * r + 0.5f;
    e = e * r + 1.0f;
    e = e * r + 1.0f;
    bits = (uint32_t)((int32_t)n + 127) << 23 & mask;
    float power;
    memcpy(&power, &bits, sizeof power);
    return e * power;
}

/* ln x for a positive normal x, relative error below 1e-15. */
MT_INLINE double mt_ln(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x3ff0000000000000);
    double m;
    memcpy(&m, &bits, sizeof m);                  /* in [1, 2) */
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    const double s = (m - 1) / (m + 1), s2 = s * s;    /* ln m = 2 artanh s, |s| < 0.172 */
    double sum = 0;
    for (int k = 21; k >= 1; k -= 2) sum = sum * s2 + 1.0 / k;
    return exponent * 0.69314718055994530942 + 2 * s * sum;
}

/* base^n for base >= 1, at most 1e30. */
MT_INLINE double mt_power(double base, int n)
{
    double out = 1;
    for (; n > 0 && out < 1e30; n >>= 1) {
        if (n & 1) out *= base;
        base = base * base < 1e30 ? base * base : 1e30;
    }
    return out < 1e30 ? out : 1e30;
}

#endif

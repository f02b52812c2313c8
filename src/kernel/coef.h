/* SPDX-License-Identifier: MIT */
/* coef.h - the constants of exp, tanh and the normal distribution, one set for every level.
 *
 * Plain numbers only: scalar, AVX2 and AVX-512 write the same algorithm around them (ref_math.c
 * is the text to read), and the check program demands the same bits.  The polynomials are
 * minimax fits of relative error; docs/numerics.md has the measured errors. */
#ifndef MT_KERNEL_COEF_H
#define MT_KERNEL_COEF_H

/* exp: n = round(x log2 e) by adding 1.5 * 2^23, whose low bits then hold n; r = x - n ln 2. */
#define MT_EXP_LOW   -87.33f
#define MT_EXP_HIGH  88.72f
#define MT_LOG2E     0x1.715476p+0f
#define MT_MAGIC     12582912.0f
#define MT_LN2_HI    0x1.62e430p-1f
#define MT_LN2_LO    -0x1.05c610p-29f
/* e^r = 1 + r + r^2 (C2 + C3 r + .. + C6 r^4), |r| <= ln 2 / 2: 0.05 u */
#define MT_EXP_C2    0x1.fffffcp-2f
#define MT_EXP_C3    0x1.555490p-3f
#define MT_EXP_C4    0x1.5558f4p-5f
#define MT_EXP_C5    0x1.123a6cp-7f
#define MT_EXP_C6    0x1.6a234ep-10f

/* exp2 for x <= 0: r = x - floor(x); below EXP2_LOW 0.  2^r = 1 + r (E1 + .. + E6 r^5), 0.03 u;
 * short: 1 + r (S1 + S2 r + S3 r^2), 8.6e-5, a twentieth of what rounding to bf16 may do */
#define MT_EXP2_LOW  -126.0f
#define MT_EXP2_E1   0x1.62e42cp-1f
#define MT_EXP2_E2   0x1.ebfd58p-3f
#define MT_EXP2_E3   0x1.c68912p-5f
#define MT_EXP2_E4   0x1.3d0b92p-7f
#define MT_EXP2_E5   0x1.46d64ep-10f
#define MT_EXP2_E6   0x1.c54174p-13f
#define MT_EXP2_S1   0x1.63e658p-1f
#define MT_EXP2_S2   0x1.d2378ap-3f
#define MT_EXP2_S3   0x1.3baaa6p-4f

/* Keys and values in int8: a largest value with bits below these (2^-100) counts as 0. */
#define MT_KV_TINY   0x0d800000u

/* tanh a = a + a^3 (T0 + T1 a^2 + .. + T5 a^10) for a < TANH_SMALL: 0.003 u */
#define MT_TANH_SMALL 0.625f
#define MT_TANH_T0   -0x1.555554p-2f
#define MT_TANH_T1   0x1.11106cp-3f
#define MT_TANH_T2   -0x1.b9ef7cp-5f
#define MT_TANH_T3   0x1.6394d8p-6f
#define MT_TANH_T4   -0x1.0c213ep-7f
#define MT_TANH_T5   0x1.197b62p-9f

/* Phi(-a) = e^(-a^2/2) v (N0 + N1 s + .. + N11 s^11), v = 2 / (2 + a), s = v - 1/2, for
 * 0 <= a <= PHI_MAX: 0.05 u */
#define MT_PHI_MAX   14.0f
#define MT_PHI_N0    0x1.5845dcp-2f
#define MT_PHI_N1    0x1.535bb2p-2f
#define MT_PHI_N2    0x1.d7d0f2p-5f
#define MT_PHI_N3    -0x1.2ccde4p-3f
#define MT_PHI_N4    -0x1.eca5a4p-9f
#define MT_PHI_N5    0x1.b94d40p-4f
#define MT_PHI_N6    -0x1.ff75d6p-5f
#define MT_PHI_N7    -0x1.aedcd0p-5f
#define MT_PHI_N8    0x1.b5ef46p-4f
#define MT_PHI_N9    -0x1.19d0c0p-5f
#define MT_PHI_N10   -0x1.369d1ap-4f
#define MT_PHI_N11   0x1.131766p-4f

/* gelu (tanh form) = x sigmoid(x (A + B x^2)), A = 2 sqrt(2/pi), B = 0.044715 A */
#define MT_GELU_A    0x1.988454p+0f
#define MT_GELU_B    0x1.2444f2p-4f
#define MT_QUICK_A   1.702f

#endif

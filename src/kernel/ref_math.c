/* SPDX-License-Identifier: MIT */
/* ref_math.c - exp, tanh and the activation functions, one value at a time.
 *
 * This is the definition: every ISA file writes the same operations in the same order on
 * vectors and must give the same bits.  A fused multiply-add stands exactly where fmaf stands
 * here; division and square root are correctly rounded everywhere. */
#include "kernel/ref_math.h"

#include <math.h>
#include <string.h>

#include "kernel/coef.h"

float mt_exp(float x)
{
    if (!(x >= MT_EXP_LOW)) return x < MT_EXP_LOW ? 0.0f : x;   /* NaN stays */
    if (x > MT_EXP_HIGH) return INFINITY;
    const float t = fmaf(x, MT_LOG2E, MT_MAGIC), n = t - MT_MAGIC;
    float r = fmaf(n, -MT_LN2_HI, x);
    r = fmaf(n, -MT_LN2_LO, r);
    float p = fmaf(MT_EXP_C6, r, MT_EXP_C5);
    p = fmaf(p, r, MT_EXP_C4);
    p = fmaf(p, r, MT_EXP_C3);
    p = fmaf(p, r, MT_EXP_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    uint32_t scale, bits;                       /* p 2^n, always a normal number */
    memcpy(&scale, &t, 4);
    memcpy(&bits, &p, 4);
    bits += scale << 23;
    memcpy(&p, &bits, 4);
    return p;
}

float mt_ref_tanh(float x)
{
    const float a = fabsf(x);
    if (a < MT_TANH_SMALL) {
        const float s = a * a;
        float p = fmaf(MT_TANH_T5, s, MT_TANH_T4);
        p = fmaf(p, s, MT_TANH_T3);
        p = fmaf(p, s, MT_TANH_T2);
        p = fmaf(p, s, MT_TANH_T1);
        p = fmaf(p, s, MT_TANH_T0);
        return copysignf(fmaf(a * s, p, a), x);
    }
    return copysignf(1.0f - 2.0f / (mt_exp(a + a) + 1.0f), x);
}

static float sigmoid(float x) { return 1.0f / (1.0f + mt_exp(-x)); }

/* x Phi(x); Phi of the negative side from e^(-a^2/2), whose argument is a^2 in two parts, so
 * the far tail keeps its relative precision. */
static float gelu_erf(float x)
{
    const float b = fabsf(x), a = b > MT_PHI_MAX ? MT_PHI_MAX : b;
    const float h = a * a, low = fmaf(a, a, -h);
    float e = mt_exp(-0.5f * h);
    e = fmaf(e, -0.5f * low, e);
    const float v = 2.0f / (a + 2.0f), s = v - 0.5f;
    float p = fmaf(MT_PHI_N11, s, MT_PHI_N10);
    p = fmaf(p, s, MT_PHI_N9);
    p = fmaf(p, s, MT_PHI_N8);
    p = fmaf(p, s, MT_PHI_N7);
    p = fmaf(p, s, MT_PHI_N6);
    p = fmaf(p, s, MT_PHI_N5);
    p = fmaf(p, s, MT_PHI_N4);
    p = fmaf(p, s, MT_PHI_N3);
    p = fmaf(p, s, MT_PHI_N2);
    p = fmaf(p, s, MT_PHI_N1);
    p = fmaf(p, s, MT_PHI_N0);
    const float q = e * (p * v);
    return x * (x < 0.0f ? q : 1.0f - q);
}

float mt_ref_act(mt_act_kind kind, float x)
{
    switch (kind) {
    case MT_ACT_NONE: return x;
    case MT_ACT_RELU: return x < 0.0f ? 0.0f : x;
    case MT_ACT_RELU2: return x < 0.0f ? 0.0f : x * x;
    case MT_ACT_GELU_ERF: return gelu_erf(x);
    case MT_ACT_GELU_TANH: return x / (1.0f + mt_exp(-(x * fmaf(MT_GELU_B, x * x, MT_GELU_A))));
    case MT_ACT_QUICK_GELU: return x / (1.0f + mt_exp(-(MT_QUICK_A * x)));
    case MT_ACT_SILU: return x / (1.0f + mt_exp(-x));
    case MT_ACT_SIGMOID: return sigmoid(x);
    case MT_ACT_TANH: return mt_ref_tanh(x);
    }
    return x;
}

float mt_ref_tree(float s[16])
{
    for (int n = 8; n > 0; n /= 2) {
        for (int i = 0; i < n; i++) s[i] += s[i + n];
    }
    return s[0];
}

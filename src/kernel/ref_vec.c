/* SPDX-License-Identifier: MIT */
/* ref_vec.c - the reference versions of everything that works on one vector of activations.
 *
 * Sums keep 16 partial sums by i % 16, the width of the widest level, so that all levels add in
 * the same order. */
#include <math.h>
#include <string.h>

#include "kernel/inits.h"
#include "kernel/ref_math.h"

/* ---- quantisation -------------------------------------------------------- */
/* The largest magnitude of a block, by bits: NaN beats inf beats every number. */
static float largest(const float *x)
{
    uint32_t max = 0;
    for (int i = 0; i < 32; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        bits &= 0x7fffffffu;
        if (bits > max) max = bits;
    }
    float f;
    memcpy(&f, &max, 4);
    return f;
}

/* A group, given the largest magnitude that its scale must hold. */
static void quantize_group(const float *x, float amax, int8_t *q, float *scale, int32_t *isum)
{
    const float s = amax / 127.0f, inv = s == 0.0f ? 0.0f : 1.0f / s;
    isum[0] = isum[1] = 0;
    for (int i = 0; i < 32; i++) {
        float v = x[i] * inv;
        if (v != v) v = 0.0f;                           /* NaN, and inf * 0 */
        v = v > 127.0f ? 127.0f : v < -127.0f ? -127.0f : v;
        v = (v + 12582912.0f) - 12582912.0f;            /* round to nearest even */
        q[i] = (int8_t)v;
        isum[i / 16] += q[i];
    }
    *scale = s;
}

static void quantize(const float *x, int64_t n, int8_t *q, float *scale, int32_t *isum)
{
    for (int64_t g = 0; g < n / 32; g++)
        quantize_group(x + 32 * g, largest(x + 32 * g), q + 32 * g, scale + g, isum + 2 * g);
}

static void quantize_top(const float *x, int64_t n, const mt_q8 *to)
{
    int32_t amax[MT_TOP] = {0};
    int group[MT_TOP], n_top = 0;
    for (int g = 0; g < n / 32; g++) {                  /* kept by falling amax, equals in order */
        int32_t bits;
        const float big = largest(x + 32 * g);
        memcpy(&bits, &big, 4);
        int at = n_top;
        while (at > 0 && bits > amax[at - 1]) at--;
        if (at == MT_TOP) continue;
        n_top = MT_MIN(n_top + 1, MT_TOP);
        for (int i = n_top - 1; i > at; i--) amax[i] = amax[i - 1], group[i] = group[i - 1];
        amax[at] = bits, group[at] = g;
    }
    quantize(x, n, to->q, to->scale, to->isum);
    for (int t = 0; t < MT_TOP; t++) to->top[t] = -1, to->top_x[t] = 0;
    for (int t = 0, last = -1; t < n_top; t++) {        /* ascending */
        int g = (int)(n / 32);
        for (int i = 0; i < n_top; i++)
            if (group[i] > last && group[i] < g) g = group[i];
        last = g;
        float rest[MT_GROUP];
        int big = 0;
        memcpy(rest, x + 32 * g, sizeof rest);
        const float top = largest(rest);
        while (memcmp(&(float){fabsf(rest[big])}, &top, 4) != 0) big++;
        to->top[t] = MT_GROUP * g + big, to->top_x[t] = rest[big];
        rest[big] = 0;
        quantize_group(rest, largest(rest), to->q + 32 * g, to->scale + g, to->isum + 2 * g);
    }
}

static void round_bf16(const float *x, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) out[i] = mt_bf16_to_f32(mt_f32_to_bf16(x[i]));
}

/* ---- norms --------------------------------------------------------------- */
static void rms_norm(const float *x, const float *w, int64_t n, float eps, float plus,
                     float *out)
{
    float s[16] = {0};
    for (int64_t i = 0; i < n; i++) s[i % 16] = fmaf(x[i], x[i], s[i % 16]);
    const float r = 1.0f / sqrtf(mt_ref_tree(s) / (float)n + eps);
    for (int64_t i = 0; i < n; i++) out[i] = (x[i] * r) * ((w ? w[i] : 1.0f) + plus);
}

static void layer_norm(const float *x, const float *w, const float *b, int64_t n, float eps,
                       float *out)
{
    float s[16] = {0};
    for (int64_t i = 0; i < n; i++) s[i % 16] += x[i];
    const float mean = mt_ref_tree(s) / (float)n;
    memset(s, 0, sizeof s);
    for (int64_t i = 0; i < n; i++) {
        const float d = x[i] - mean;
        s[i % 16] = fmaf(d, d, s[i % 16]);
    }
    const float r = 1.0f / sqrtf(mt_ref_tree(s) / (float)n + eps);
    for (int64_t i = 0; i < n; i++) {
        out[i] = fmaf((x[i] - mean) * r, w ? w[i] : 1.0f, b ? b[i] : 0.0f);
    }
}

/* ---- element by element -------------------------------------------------- */
static void act(mt_act_kind kind, const float *x, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) out[i] = mt_ref_act(kind, x[i]);
}
static void act_mul(mt_act_kind kind, const float *g, const float *u, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) out[i] = mt_ref_act(kind, g[i]) * u[i];
}
static void add(const float *a, const float *b, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) out[i] = a[i] + b[i];
}
static void mul(const float *a, const float *b, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) out[i] = a[i] * b[i];
}
static void scale(const float *a, float s, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) out[i] = a[i] * s;
}
static void exp_all(const float *x, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) out[i] = mt_exp(x[i]);
}

static void rope(float *x, int n_head, int head_dim, int rope_dim, const float *cos,
                 const float *sin, bool is_pair)
{
    const int half = rope_dim / 2;
    for (int h = 0; h < n_head; h++, x += head_dim) {
        for (int i = 0; i < half; i++) {
            float *pa = x + (is_pair ? 2 * i : i), *pb = is_pair ? pa + 1 : pa + half;
            const float a = *pa, b = *pb;
            *pa = fmaf(a, cos[i], -(b * sin[i]));
            *pb = fmaf(b, cos[i], a * sin[i]);
        }
    }
}

/* ---- over all tokens of a vocabulary ------------------------------------- */
static int64_t best(const float *x, int64_t n, float *value)
{
    int64_t at = -1;
    for (int64_t i = 0; i < n; i++) {
        if (x[i] == x[i] && (at < 0 || x[i] > x[at])) at = i;
    }
    if (at >= 0 && value) *value = x[at];
    return at;
}

static double log_sum_exp(const float *x, int64_t n)
{
    float max = -INFINITY, s[16] = {0};
    for (int64_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
    if (max == -INFINITY) return -INFINITY;
    for (int64_t i = 0; i < n; i++) s[i % 16] += mt_exp(x[i] - max);
    return (double)max + log((double)mt_ref_tree(s));
}

void mt_kern_init_vec_ref(mt_kern *t)
{
    t->quantize = quantize;
    t->quantize_top = quantize_top;
    t->round_bf16 = round_bf16;
    t->rms_norm = rms_norm;
    t->layer_norm = layer_norm;
    t->act = act;
    t->act_mul = act_mul;
    t->add = add;
    t->mul = mul;
    t->scale = scale;
    t->exp = exp_all;
    t->rope = rope;
    t->best = best;
    t->log_sum_exp = log_sum_exp;
}

/* SPDX-License-Identifier: MIT */
/* vec_neon.c - one vector of activations: quantise, norms, activations, rope, arg-max, on 4 lanes.
 *
 * Nothing outside [0, n) is touched: tails go through a small buffer.  The 16 partial sums of
 * the contract are four vectors, values i with i % 16 / 4 alike. */
#include "kernel/inits.h"
#include "kernel/arm/math_neon.h"
#include "kernel/tops.h"

#define EACH_VEC(i, n, m)                                                        \
    for (int64_t i = 0; i < (n); i += 4)                                         \
        for (int m = lanes((n) - i), once = 1; once; once = 0)
/* The same with the vector's place p among the partial sums. */
#define EACH_PART(i, n, m, p)                                                    \
    for (int64_t from = 0; from < (n); from += 16)                               \
        for (int p = 0; p < 4; p++)                                              \
            for (int64_t i = from + 4 * p, once = 1; once; once = 0)             \
                for (int m = lanes((n) - i); once; once = 0)

/* ---- quantisation -------------------------------------------------------- */
/* Four values to integers: x * inv, NaN to 0, clamped, rounded to even. */
MT_INLINE int32x4_t to_int(vec x, vec inv)
{
    vec v = x * inv;
    v = keep(vceqq_f32(v, v), v);
    v = vmaxq_f32(vminq_f32(v, all(127.0f)), all(-127.0f));
    return vcvtnq_s32_f32(v);
}

/* Groups whose amax lie in scale; the scales take their place. */
static void quantize_all(const float *x, int64_t n, int8_t *q, float *scale, int32_t *isum)
{
    for (int64_t g = 0; g < n / 32; g++) {
        const float s = scale[g] / 127.0f;
        const vec inv = all(s == 0.0f ? 0.0f : 1.0f / s);
        for (int h = 0; h < 2; h++, x += 16, q += 16) {
            const int32x4_t i0 = to_int(vld1q_f32(x), inv), i1 = to_int(vld1q_f32(x + 4), inv),
                            i2 = to_int(vld1q_f32(x + 8), inv), i3 = to_int(vld1q_f32(x + 12), inv);
            const int16x8_t low = vcombine_s16(vmovn_s32(i0), vmovn_s32(i1)),
                            high = vcombine_s16(vmovn_s32(i2), vmovn_s32(i3));
            vst1q_s8(q, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
            isum[2 * g + h] = vaddlvq_s16(low + high);
        }
        scale[g] = s;
    }
}

/* The largest magnitude of each group, by its bits: NaN beats inf beats every number. */
static void put_largest(const float *x, int64_t n, float *scale)
{
    for (int64_t g = 0; g < n / 32; g++, x += 32) {
        uint32x4_t max = vdupq_n_u32(0);
        for (int i = 0; i < 32; i += 4)
            max = vmaxq_u32(max, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + i))));
        const uint32_t bits = vmaxvq_u32(max);
        memcpy(scale + g, &bits, 4);
    }
}

static void quantize(const float *x, int64_t n, int8_t *q, float *scale, int32_t *isum)
{
    put_largest(x, n, scale);
    quantize_all(x, n, q, scale, isum);
}

static void quantize_top(const float *x, int64_t n, const mt_q8 *to)
{
    int group[MT_TOP];
    put_largest(x, n, to->scale);
    const int n_top = mt_top_groups(to->scale, (int)(n / 32), group);
    for (int t = 0; t < n_top; t++) mt_top_take(x, group[t], t, to);
    quantize_all(x, n, to->q, to->scale, to->isum);
    mt_top_end(to, n_top);
}

static void round_bf16(const float *x, int64_t n, float *out)
{
    EACH_VEC(i, n, m) {
        const uint32x4_t r = bf16_of(load_some(m, x + i)) & 0xffff0000u;
        store_some(m, out + i, vreinterpretq_f32_u32(r));
    }
}

/* ---- norms --------------------------------------------------------------- */
static float inverse_root(float sum, int64_t n, float eps)
{
    return 1.0f / sqrtf(sum / (float)n + eps);
}

static void rms_norm(const float *x, const float *w, int64_t n, float eps, float plus,
                     float *out)
{
    vec s[4] = {all(0), all(0), all(0), all(0)};
    EACH_PART(i, n, m, p) {
        const vec a = load_some(m, x + i);
        s[p] = fma_of(a, a, s[p]);
    }
    const vec r = all(inverse_root(tree(s), n, eps));
    EACH_VEC(i, n, m) {
        const vec g = (w ? load_some(m, w + i) : all(1.0f)) + all(plus);
        store_some(m, out + i, (load_some(m, x + i) * r) * g);
    }
}

static void layer_norm(const float *x, const float *w, const float *b, int64_t n, float eps,
                       float *out)
{
    vec s[4] = {all(0), all(0), all(0), all(0)}, t[4] = {all(0), all(0), all(0), all(0)};
    EACH_PART(i, n, m, p) s[p] = s[p] + load_some(m, x + i);
    const vec mean = all(tree(s) / (float)n);
    EACH_PART(i, n, m, p) {
        const vec d = only(m, load_some(m, x + i) - mean);
        t[p] = fma_of(d, d, t[p]);
    }
    const vec r = all(inverse_root(tree(t), n, eps));
    EACH_VEC(i, n, m) {
        const vec d = (load_some(m, x + i) - mean) * r;
        const vec g = w ? load_some(m, w + i) : all(1.0f);
        store_some(m, out + i, fma_of(d, g, b ? load_some(m, b + i) : all(0)));
    }
}

/* ---- element by element -------------------------------------------------- */
MT_INLINE void act_kind(const mt_act_kind kind, const float *x, const float *u, int64_t n,
                        float *out)
{
    EACH_VEC(i, n, m) {
        vec v = act_of(kind, load_some(m, x + i));
        if (u) v = v * load_some(m, u + i);
        store_some(m, out + i, v);
    }
}

#define ANY_KIND(u)                                                              \
    switch (kind) {                                                              \
    case MT_ACT_NONE: act_kind(MT_ACT_NONE, x, u, n, out); break;                \
    case MT_ACT_RELU: act_kind(MT_ACT_RELU, x, u, n, out); break;                \
    case MT_ACT_RELU2: act_kind(MT_ACT_RELU2, x, u, n, out); break;              \
    case MT_ACT_GELU_ERF: act_kind(MT_ACT_GELU_ERF, x, u, n, out); break;        \
    case MT_ACT_GELU_TANH: act_kind(MT_ACT_GELU_TANH, x, u, n, out); break;      \
    case MT_ACT_QUICK_GELU: act_kind(MT_ACT_QUICK_GELU, x, u, n, out); break;    \
    case MT_ACT_SILU: act_kind(MT_ACT_SILU, x, u, n, out); break;                \
    case MT_ACT_SIGMOID: act_kind(MT_ACT_SIGMOID, x, u, n, out); break;          \
    case MT_ACT_TANH: act_kind(MT_ACT_TANH, x, u, n, out); break;                \
    }
static void act(mt_act_kind kind, const float *x, int64_t n, float *out) { ANY_KIND(NULL) }
static void act_mul(mt_act_kind kind, const float *x, const float *u, int64_t n, float *out)
{
    ANY_KIND(u)
}

static void add(const float *a, const float *b, int64_t n, float *out)
{
    EACH_VEC(i, n, m) store_some(m, out + i, load_some(m, a + i) + load_some(m, b + i));
}
static void mul(const float *a, const float *b, int64_t n, float *out)
{
    EACH_VEC(i, n, m) store_some(m, out + i, load_some(m, a + i) * load_some(m, b + i));
}
static void scale(const float *a, float s, int64_t n, float *out)
{
    EACH_VEC(i, n, m) store_some(m, out + i, load_some(m, a + i) * all(s));
}
static void exp_all(const float *x, int64_t n, float *out)
{
    EACH_VEC(i, n, m) store_some(m, out + i, exp_of(load_some(m, x + i)));
}

/* (a, b) turned by cos and sin: one rounding each for the products that are subtracted. */
MT_INLINE vec turn_a(vec a, vec b, vec c, vec s) { return fma_of(a, c, -(b * s)); }
MT_INLINE vec turn_b(vec a, vec b, vec c, vec s) { return fma_of(b, c, a * s); }

/* Four pairs (a0 b0 a1 b1 ..) at x; left: values that exist. */
MT_INLINE void rope_pairs(float *x, int64_t left, vec c, vec s)
{
    const int m0 = lanes(left), m1 = lanes(left - 4);
    const vec p0 = load_some(m0, x), p1 = load_some(m1, x + 4);
    const vec a = vuzp1q_f32(p0, p1), b = vuzp2q_f32(p0, p1);
    const vec ta = turn_a(a, b, c, s), tb = turn_b(a, b, c, s);
    store_some(m0, x, vzip1q_f32(ta, tb));
    store_some(m1, x + 4, vzip2q_f32(ta, tb));
}

static void rope(float *x, int n_head, int head_dim, int rope_dim, const float *cos,
                 const float *sin, bool is_pair)
{
    const int half = rope_dim / 2;
    for (int h = 0; h < n_head; h++, x += head_dim) {
        EACH_VEC(i, half, m) {
            const vec c = load_some(m, cos + i), s = load_some(m, sin + i);
            if (is_pair) {
                rope_pairs(x + 2 * i, rope_dim - 2 * i, c, s);
                continue;
            }
            const vec a = load_some(m, x + i), b = load_some(m, x + half + i);
            store_some(m, x + i, turn_a(a, b, c, s));
            store_some(m, x + half + i, turn_b(a, b, c, s));
        }
    }
}

/* ---- over all tokens of a vocabulary ------------------------------------- */
/* Each lane keeps its first largest value; the smallest index among the best lanes wins. */
static int64_t best(const float *x, int64_t n, float *value)
{
    vec max = all(-INFINITY);
    int32x4_t at = vdupq_n_s32(-1), now = {0, 1, 2, 3};
    EACH_VEC(i, n, m) {
        const vec v = load_some(m, x + i);
        const uint32x4_t first = vandq_u32(vceqq_f32(v, max), vcltzq_s32(at));  /* -inf */
        const uint32x4_t up = vandq_u32(mask_of(m), vorrq_u32(vcgtq_f32(v, max), first));
        max = pick(max, v, up);
        at = vbslq_s32(up, now, at);
        now = now + 4;
    }
    float lane[4];
    int32_t index[4];
    vst1q_f32(lane, max);
    vst1q_s32(index, at);
    int first = -1;
    for (int l = 0; l < 4; l++) {
        if (index[l] < 0) continue;
        if (first < 0 || lane[l] > lane[first] ||
            (lane[l] == lane[first] && index[l] < index[first])) {
            first = l;
        }
    }
    if (first < 0) return -1;
    if (value) *value = lane[first];
    return index[first];
}

static double log_sum_exp(const float *x, int64_t n)
{
    vec max = all(-INFINITY), s[4] = {all(0), all(0), all(0), all(0)};
    EACH_VEC(i, n, m) max = max_of(max, pick(all(-INFINITY), load_some(m, x + i), mask_of(m)));
    const float top = vmaxvq_f32(max);
    if (top == -INFINITY) return -(double)INFINITY;
    EACH_PART(i, n, m, p) s[p] = s[p] + only(m, exp_of(load_some(m, x + i) - all(top)));
    return (double)top + log((double)tree(s));
}

void mt_kern_init_vec_neon(mt_kern *t)
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

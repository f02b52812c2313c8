/* SPDX-License-Identifier: MIT */
/* vec_avx2.c - one vector of activations: quantise, norms, activations, rope, arg-max, on 8 lanes.
 *
 * Nothing outside [0, n) is touched: tails go through a small buffer.  The 16 partial sums
 * of the contract are two vectors: i % 16 below 8, and above. */
#include "kernel/inits.h"
#include "kernel/tops.h"
#include "kernel/x86/math_avx2.h"

#define EACH_VEC(i, n, m)                                                        \
    for (int64_t i = 0; i < (n); i += 8)                                         \
        for (int m = lanes((n) - i), once = 1; once; once = 0)
/* Pairs of vectors of m0 and m1 lanes. */
#define EACH_PAIR(i, n, m0, m1)                                                  \
    for (int64_t i = 0; i < (n); i += 16)                                        \
        for (int m0 = lanes((n) - i), m1 = lanes((n) - i - 8), once = 1; once; once = 0)

/* ---- quantisation -------------------------------------------------------- */
/* Eight values to integers: x * inv, NaN to 0, clamped, rounded to even. */
MT_INLINE __m256i to_int(vec x, vec inv)
{
    vec v = _mm256_mul_ps(x, inv);
    v = _mm256_and_ps(v, _mm256_cmp_ps(v, v, _CMP_ORD_Q));
    v = _mm256_max_ps(_mm256_min_ps(v, all(127.0f)), all(-127.0f));
    return _mm256_cvtps_epi32(v);
}
MT_INLINE int32_t sum_of(__m256i v)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

static int32_t amax_of(const float *x)
{
    const __m256i mag = _mm256_set1_epi32(0x7fffffff);
#define BITS(i) _mm256_and_si256(_mm256_castps_si256(_mm256_loadu_ps(x + 8 * i)), mag)
    const __m256i m = _mm256_max_epi32(_mm256_max_epi32(BITS(0), BITS(1)), _mm256_max_epi32(BITS(2), BITS(3)));
    __m128i w = _mm_max_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    w = _mm_max_epi32(w, _mm_shuffle_epi32(w, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(w, _mm_shuffle_epi32(w, 0xb1)));
}

/* Groups whose amax lie in scale; the scales take their place. */
static void quantize_all(const float *x, int64_t n, int8_t *q, float *scale, int32_t *isum)
{
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (int64_t b = 0; b < n / 32; b++, x += 32) {
        const float s = scale[b] / 127.0f;
        const vec inv = all(s == 0.0f ? 0.0f : 1.0f / s);
        const __m256i i0 = to_int(_mm256_loadu_ps(x), inv), i1 = to_int(_mm256_loadu_ps(x + 8), inv);
        const __m256i i2 = to_int(_mm256_loadu_ps(x + 16), inv), i3 = to_int(_mm256_loadu_ps(x + 24), inv);
        /* Packing works in halves of 128 bits: dwords come out as 0 2 4 6 1 3 5 7. */
        const __m256i p =
            _mm256_packs_epi16(_mm256_packs_epi32(i0, i1), _mm256_packs_epi32(i2, i3));
        _mm256_storeu_si256((__m256i *)(q + 32 * b), _mm256_permutevar8x32_epi32(p, order));
        scale[b] = s;
        isum[2 * b] = sum_of(_mm256_add_epi32(i0, i1));
        isum[2 * b + 1] = sum_of(_mm256_add_epi32(i2, i3));
    }
}

static void put_largest(const float *x, int64_t n, float *scale)
{
    for (int64_t g = 0; g < n / 32; g++) {
        const int32_t amax = amax_of(x + 32 * g);
        memcpy(scale + g, &amax, 4);
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
    const __m256i high = _mm256_set1_epi32((int)0xffff0000u);
    EACH_VEC(i, n, m) {
        const __m256i r = _mm256_and_si256(bf16_of(load_some(m, x + i)), high);
        store_some(m, out + i, _mm256_castsi256_ps(r));
    }
}

/* ---- norms --------------------------------------------------------------- */
static float inverse_root(float sum, int64_t n, float eps)
{
    const __m128 v = _mm_set_ss(sum / (float)n + eps);
    return 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(v));
}

static void rms_norm(const float *x, const float *w, int64_t n, float eps, float plus,
                     float *out)
{
    vec s0 = _mm256_setzero_ps(), s1 = s0;
    EACH_PAIR(i, n, m0, m1) {
        const vec a = load_some(m0, x + i), b = load_some(m1, x + i + 8);
        s0 = _mm256_fmadd_ps(a, a, s0);
        s1 = _mm256_fmadd_ps(b, b, s1);
    }
    const vec r = all(inverse_root(tree(s0, s1), n, eps));
    EACH_VEC(i, n, m) {
        const vec g = _mm256_add_ps(w ? load_some(m, w + i) : all(1.0f), all(plus));
        store_some(m, out + i, _mm256_mul_ps(_mm256_mul_ps(load_some(m, x + i), r), g));
    }
}

static void layer_norm(const float *x, const float *w, const float *b, int64_t n, float eps,
                       float *out)
{
    vec s0 = _mm256_setzero_ps(), s1 = s0;
    EACH_PAIR(i, n, m0, m1) {
        s0 = _mm256_add_ps(s0, load_some(m0, x + i));
        s1 = _mm256_add_ps(s1, load_some(m1, x + i + 8));
    }
    const vec mean = all(tree(s0, s1) / (float)n);
    s0 = s1 = _mm256_setzero_ps();
    EACH_PAIR(i, n, m0, m1) {
        const vec d0 = only(m0, _mm256_sub_ps(load_some(m0, x + i), mean));
        const vec d1 = only(m1, _mm256_sub_ps(load_some(m1, x + i + 8), mean));
        s0 = _mm256_fmadd_ps(d0, d0, s0);
        s1 = _mm256_fmadd_ps(d1, d1, s1);
    }
    const vec r = all(inverse_root(tree(s0, s1), n, eps));
    EACH_VEC(i, n, m) {
        const vec d = _mm256_mul_ps(_mm256_sub_ps(load_some(m, x + i), mean), r);
        const vec g = w ? load_some(m, w + i) : all(1.0f);
        store_some(m, out + i,
                   _mm256_fmadd_ps(d, g, b ? load_some(m, b + i) : _mm256_setzero_ps()));
    }
}

/* ---- element by element -------------------------------------------------- */
MT_INLINE void act_kind(const mt_act_kind kind, const float *x, const float *u, int64_t n,
                        float *out)
{
    EACH_VEC(i, n, m) {
        vec v = act_of(kind, load_some(m, x + i));
        if (u) v = _mm256_mul_ps(v, load_some(m, u + i));
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
    EACH_VEC(i, n, m)
        store_some(m, out + i, _mm256_add_ps(load_some(m, a + i), load_some(m, b + i)));
}
static void mul(const float *a, const float *b, int64_t n, float *out)
{
    EACH_VEC(i, n, m)
        store_some(m, out + i, _mm256_mul_ps(load_some(m, a + i), load_some(m, b + i)));
}
static void scale(const float *a, float s, int64_t n, float *out)
{
    EACH_VEC(i, n, m) store_some(m, out + i, _mm256_mul_ps(load_some(m, a + i), all(s)));
}
static void exp_all(const float *x, int64_t n, float *out)
{
    EACH_VEC(i, n, m) store_some(m, out + i, exp_of(load_some(m, x + i)));
}

/* (a, b) turned by cos and sin: one rounding each for the products that are subtracted. */
MT_INLINE vec turn_a(vec a, vec b, vec c, vec s)
{
    return _mm256_fmsub_ps(a, c, _mm256_mul_ps(b, s));
}
MT_INLINE vec turn_b(vec a, vec b, vec c, vec s)
{
    return _mm256_fmadd_ps(b, c, _mm256_mul_ps(a, s));
}

/* Eight pairs (a0 b0 a1 b1 ..) at x; left: values that exist. */
MT_INLINE void rope_pairs(float *x, int64_t left, vec c, vec s)
{
    const int m0 = lanes(left), m1 = lanes(left - 8);
    const vec p0 = load_some(m0, x), p1 = load_some(m1, x + 8);
    /* shuffle and unpack keep to halves: lanes are pairs 0 1 4 5 2 3 6 7 in between. */
    const vec a = _mm256_shuffle_ps(p0, p1, 0x88), b = _mm256_shuffle_ps(p0, p1, 0xdd);
    const __m256i order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
    const vec co = _mm256_permutevar8x32_ps(c, order), so = _mm256_permutevar8x32_ps(s, order);
    const vec ta = turn_a(a, b, co, so), tb = turn_b(a, b, co, so);
    store_some(m0, x, _mm256_unpacklo_ps(ta, tb));
    store_some(m1, x + 8, _mm256_unpackhi_ps(ta, tb));
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
    __m256i at = _mm256_set1_epi32(-1), now = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    EACH_VEC(i, n, m) {
        const vec v = load_some(m, x + i);
        const vec unset = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_setzero_si256(), at));
        const vec first = _mm256_and_ps(_mm256_cmp_ps(v, max, _CMP_EQ_OQ), unset); /* -inf */
        const vec up = only(m, _mm256_or_ps(_mm256_cmp_ps(v, max, _CMP_GT_OQ), first));
        max = pick(max, v, up);
        at = _mm256_blendv_epi8(at, now, _mm256_castps_si256(up));
        now = _mm256_add_epi32(now, _mm256_set1_epi32(8));
    }
    float lane[8];
    int32_t index[8];
    _mm256_storeu_ps(lane, max);
    _mm256_storeu_si256((__m256i *)index, at);
    int first = -1;
    for (int l = 0; l < 8; l++) {
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
    vec max = all(-INFINITY), s0 = _mm256_setzero_ps(), s1 = s0;
    EACH_VEC(i, n, m) {
        max = max_of(
            max, pick(all(-INFINITY), load_some(m, x + i), _mm256_castsi256_ps(mask_of(m))));
    }
    const float top = largest(max);
    if (top == -INFINITY) return -(double)INFINITY;
    EACH_PAIR(i, n, m0, m1) {
        s0 = _mm256_add_ps(s0, only(m0, exp_of(_mm256_sub_ps(load_some(m0, x + i), all(top)))));
        s1 = _mm256_add_ps(s1,
                           only(m1, exp_of(_mm256_sub_ps(load_some(m1, x + i + 8), all(top)))));
    }
    return (double)top + log((double)tree(s0, s1));
}

void mt_kern_init_vec_avx2(mt_kern *t)
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

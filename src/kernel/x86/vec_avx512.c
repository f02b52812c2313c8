/* SPDX-License-Identifier: MIT */
/* vec_avx512.c - one vector of activations: quantise, norms, activations, rope, arg-max, on 16 lanes.
 *
 * Tails are masked loads and stores, so nothing outside [0, n) is touched.  The 16 partial sums
 * of the contract are the 16 lanes. */
#include <string.h>

#include "kernel/inits.h"
#include "kernel/tops.h"
#include "kernel/x86/math_avx512.h"

#define EACH_VEC(i, n, m) \
    for (int64_t i = 0; i < (n); i += 16) \
        for (__mmask16 m = tail_mask((n) - i), once = 1; once; once = 0)

/* ---- quantisation -------------------------------------------------------- */
static int32_t amax_of(const float *x)
{
    const __m512i mag = _mm512_set1_epi32(0x7fffffff);
    const __m512i m0 = _mm512_and_si512(_mm512_loadu_si512(x), mag);
    const __m512i m1 = _mm512_and_si512(_mm512_loadu_si512(x + 16), mag);
    const __m512i m = _mm512_max_epi32(m0, m1);
    const __m256i h = _mm256_max_epi32(_mm512_castsi512_si256(m), _mm512_extracti64x4_epi64(m, 1));
    __m128i w = _mm_max_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
    w = _mm_max_epi32(w, _mm_shuffle_epi32(w, 0x4e));
    return _mm_cvtsi128_si32(_mm_max_epi32(w, _mm_shuffle_epi32(w, 0xb1)));
}

/* 16 values to int8 in dwords. */
MT_INLINE __m512i to_int(const float *x, vec inv)
{
    vec v = _mm512_mul_ps(_mm512_loadu_ps(x), inv);
    v = _mm512_maskz_min_ps(_mm512_cmp_ps_mask(v, v, _CMP_ORD_Q), v, all(127.0f));
    return _mm512_cvtps_epi32(_mm512_max_ps(v, all(-127.0f)));
}

/* Up to 16 groups whose amax (bits) lie in scale; the scales take their place. */
static void quantize_groups(const float *x, int n_group, int8_t *q, float *scale, int32_t *isum)
{
    const __mmask16 in = tail_mask(n_group);
    MT_ALIGNED(64) float inv[16];
    const vec s = _mm512_div_ps(load_some(in, scale), all(127.0f));
    const __mmask16 is_zero = _mm512_cmp_ps_mask(s, _mm512_setzero_ps(), _CMP_EQ_OQ);
    _mm512_store_ps(inv, _mm512_maskz_div_ps((__mmask16)~is_zero, all(1.0f), s));
    store_some(in, scale, s);
    for (int g = 0; g < n_group; g++, x += 32, q += 32) {
        const vec by = all(inv[g]);
        const __m128i q0 = _mm512_cvtepi32_epi8(to_int(x, by)), q1 = _mm512_cvtepi32_epi8(to_int(x + 16, by));
        const __m256i both = _mm256_set_m128i(q1, q0);
        _mm256_storeu_si256((__m256i *)(void *)q, both);
        /* sums of four by a product with ones, then of the four fours in each half */
        __m256i sum = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), both);
        sum = _mm256_add_epi32(sum, _mm256_shuffle_epi32(sum, 0x4e));
        sum = _mm256_add_epi32(sum, _mm256_shuffle_epi32(sum, 0xb1));
        isum[2 * g] = _mm256_cvtsi256_si32(sum);
        isum[2 * g + 1] = _mm_cvtsi128_si32(_mm256_extracti128_si256(sum, 1));
    }
}

static void quantize_all(const float *x, int64_t n, int8_t *q, float *scale, int32_t *isum)
{
    for (int64_t g = 0; g < n / 32; g += 16)
        quantize_groups(x + 32 * g, (int)MT_MIN(16, n / 32 - g), q + 32 * g, scale + g, isum + 2 * g);
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
    const __m512i low = _mm512_set1_epi32(0xffff);
    EACH_VEC(i, n, m) {
        const vec v = load_some(m, x + i);
        const __m512i b = _mm512_castps_si512(v);
        const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(b, 16), _mm512_set1_epi32(1));
        const __m512i up =
            _mm512_add_epi32(b, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
        const __m512i nan = _mm512_or_si512(b, _mm512_set1_epi32(0x400000));
        const __m512i r =
            _mm512_mask_mov_epi32(up, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), nan);
        store_some(m, out + i, _mm512_castsi512_ps(_mm512_andnot_si512(low, r)));
    }
}

/* ---- norms --------------------------------------------------------------- */
/* sqrt and the divisions stay scalar: once per row. */
static float inverse_root(float sum, int64_t n, float eps)
{
    const __m128 v = _mm_set_ss(sum / (float)n + eps);
    return 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(v));
}

static void rms_norm(const float *x, const float *w, int64_t n, float eps, float plus,
                     float *out)
{
    vec s = _mm512_setzero_ps();
    EACH_VEC(i, n, m) {
        const vec v = load_some(m, x + i);
        s = _mm512_mask3_fmadd_ps(v, v, s, m);
    }
    const vec r = all(inverse_root(tree(s), n, eps));
    EACH_VEC(i, n, m) {
        const vec g = _mm512_add_ps(w ? load_some(m, w + i) : all(1.0f), all(plus));
        store_some(m, out + i, _mm512_mul_ps(_mm512_mul_ps(load_some(m, x + i), r), g));
    }
}

static void layer_norm(const float *x, const float *w, const float *b, int64_t n, float eps,
                       float *out)
{
    vec s = _mm512_setzero_ps();
    EACH_VEC(i, n, m) s = _mm512_mask_add_ps(s, m, s, load_some(m, x + i));
    const vec mean = all(tree(s) / (float)n);
    s = _mm512_setzero_ps();
    EACH_VEC(i, n, m) {
        const vec d = _mm512_sub_ps(load_some(m, x + i), mean);
        s = _mm512_mask3_fmadd_ps(d, d, s, m);
    }
    const vec r = all(inverse_root(tree(s), n, eps));
    EACH_VEC(i, n, m) {
        const vec d = _mm512_mul_ps(_mm512_sub_ps(load_some(m, x + i), mean), r);
        const vec g = w ? load_some(m, w + i) : all(1.0f);
        store_some(m, out + i,
                   _mm512_fmadd_ps(d, g, b ? load_some(m, b + i) : _mm512_setzero_ps()));
    }
}

/* ---- element by element -------------------------------------------------- */
MT_INLINE void act_kind(const mt_act_kind kind, const float *x, const float *u, int64_t n,
                        float *out)
{
    EACH_VEC(i, n, m) {
        vec v = act_of(kind, load_some(m, x + i));
        if (u) v = _mm512_mul_ps(v, load_some(m, u + i));
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
        store_some(m, out + i, _mm512_add_ps(load_some(m, a + i), load_some(m, b + i)));
}
static void mul(const float *a, const float *b, int64_t n, float *out)
{
    EACH_VEC(i, n, m)
        store_some(m, out + i, _mm512_mul_ps(load_some(m, a + i), load_some(m, b + i)));
}
static void scale(const float *a, float s, int64_t n, float *out)
{
    EACH_VEC(i, n, m) store_some(m, out + i, _mm512_mul_ps(load_some(m, a + i), all(s)));
}
static void exp_all(const float *x, int64_t n, float *out)
{
    EACH_VEC(i, n, m) store_some(m, out + i, exp_of(load_some(m, x + i)));
}

/* (a, b) turned by cos and sin: one rounding each for the products that are subtracted. */
MT_INLINE vec turn_a(vec a, vec b, vec c, vec s)
{
    return _mm512_fmsub_ps(a, c, _mm512_mul_ps(b, s));
}
MT_INLINE vec turn_b(vec a, vec b, vec c, vec s)
{
    return _mm512_fmadd_ps(b, c, _mm512_mul_ps(a, s));
}

static void rope(float *x, int n_head, int head_dim, int rope_dim, const float *cos,
                 const float *sin, bool is_pair)
{
    const int half = rope_dim / 2;
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    const __m512i low =
        _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    for (int h = 0; h < n_head; h++, x += head_dim) {
        EACH_VEC(i, half, m) {
            const vec c = load_some(m, cos + i), s = load_some(m, sin + i);
            if (!is_pair) {
                const vec a = load_some(m, x + i), b = load_some(m, x + half + i);
                store_some(m, x + i, turn_a(a, b, c, s));
                store_some(m, x + half + i, turn_b(a, b, c, s));
                continue;
            }
            const __mmask16 m0 = tail_mask(rope_dim - 2 * i);
            const __mmask16 m1 = rope_dim - 2 * i > 16 ? tail_mask(rope_dim - 2 * i - 16) : 0;
            const vec p0 = load_some(m0, x + 2 * i), p1 = load_some(m1, x + 2 * i + 16);
            const vec a = _mm512_permutex2var_ps(p0, even, p1),
                      b = _mm512_permutex2var_ps(p0, odd, p1);
            const vec ta = turn_a(a, b, c, s), tb = turn_b(a, b, c, s);
            store_some(m0, x + 2 * i, _mm512_permutex2var_ps(ta, low, tb));
            store_some(m1, x + 2 * i + 16, _mm512_permutex2var_ps(ta, high, tb));
        }
    }
}

/* ---- over all tokens of a vocabulary ------------------------------------- */
/* Each lane keeps its first largest value; the smallest index among the best lanes wins. */
static int64_t best(const float *x, int64_t n, float *value)
{
    vec max = all(-INFINITY);
    __m512i at = _mm512_set1_epi32(-1),
            now = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    for (int64_t i = 0; i < n; i += 16) {
        const __mmask16 m = tail_mask(n - i);
        const vec v = load_some(m, x + i);
        __mmask16 up = _mm512_mask_cmp_ps_mask(m, v, max, _CMP_GT_OQ);
        up |= _mm512_mask_cmp_epi32_mask(_mm512_mask_cmp_ps_mask(m, v, max, _CMP_EQ_OQ), at,
                                         _mm512_set1_epi32(-1),
                                         _MM_CMPINT_EQ); /* the first -inf */
        max = _mm512_mask_mov_ps(max, up, v);
        at = _mm512_mask_mov_epi32(at, up, now);
        now = _mm512_add_epi32(now, _mm512_set1_epi32(16));
    }
    float lane[16];
    int32_t index[16];
    _mm512_storeu_ps(lane, max);
    _mm512_storeu_si512(index, at);
    int first = -1;
    for (int l = 0; l < 16; l++) {
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
    vec max = all(-INFINITY), s = _mm512_setzero_ps();
    EACH_VEC(i, n, m) max = max_of(max, _mm512_mask_loadu_ps(all(-INFINITY), m, x + i));
    const float top = _mm512_reduce_max_ps(max);
    if (top == -INFINITY) return -(double)INFINITY;
    EACH_VEC(i, n, m) {
        const vec e = exp_of(_mm512_sub_ps(load_some(m, x + i), all(top)));
        s = _mm512_mask_add_ps(s, m, s, e);
    }
    return (double)top + log((double)tree(s));
}

void mt_kern_init_vec_avx512(mt_kern *t)
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

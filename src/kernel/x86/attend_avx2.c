/* SPDX-License-Identifier: MIT */
/* attend_avx2.c - attention over paged keys and values, a page of 16 positions as two vectors.
 *
 * K of a page is [head_dim][16 positions]: two loads give a dimension of 16 keys, a broadcast of
 * q multiplies all of them, and the query heads that share the kv head share the loads.  V of a
 * page is [16 positions][v_dim]: lanes are dimensions and the probability is broadcast.  Scores
 * of a chunk lie in scratch as [head][256], indexed by position - chunk start; positions outside
 * [lo, hi) get -inf and weigh nothing. */
#include <string.h>

#include "kernel/inits.h"
#include "kernel/x86/math_avx2.h"

enum { MAX_HEADS = 64, HEADS = 4 };

/* Eight values at element i. */
MT_INLINE vec read_kv(const mt_kv_type type, const uint8_t *p, int64_t i)
{
    if (type == MT_KV_F32) return _mm256_loadu_ps((const float *)(const void *)(p + 4 * i));
    const __m128i h = _mm_loadu_si128((const __m128i *)(const void *)(p + 2 * i));
    if (type == MT_KV_F16) return _mm256_cvtph_ps(h);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

/* The first n (1..8) of eight values: nothing behind them is read. */
MT_INLINE vec read_tail(const mt_kv_type type, const uint8_t *p, int64_t i, int n)
{
    uint8_t some[32] = {0};
    const size_t b = type == MT_KV_F32 ? 4 : 2;
    memcpy(some, p + b * (size_t)i, b * (size_t)n);
    return read_kv(type, some, 0);
}

typedef struct run {            /* one chunk of one call */
    const mt_attend *a;
    int64_t base, lo, hi;       /* chunk start; positions of the chunk */
    float *s, *acc;             /* (n_q, 256), (n_q, v_pad) */
    int64_t v_pad;
    float max[MAX_HEADS], shrink[MAX_HEADS];
} run;

MT_INLINE const uint8_t *page_at(const mt_kv_view *kv, int64_t page)
{
    return kv->base + (size_t)kv->page[page] * kv->page_stride;
}

/* ---- scores -------------------------------------------------------------- */
/* The end of a dot product for positions j .. j + 7: scale, cap, bias, mask. */
static void put_score(run *r, int64_t j, int head, vec dot)
{
    const mt_attend *a = r->a;
    const int n = lanes(r->hi - j);
    const __m256i in = _mm256_andnot_si256(mask_of(lanes(r->lo - j)), mask_of(n));
    vec x = _mm256_mul_ps(all(a->scale), dot);
    if (a->softcap != 0.0f)
        x = _mm256_mul_ps(all(a->softcap), tanh_of(_mm256_div_ps(x, all(a->softcap))));
    if (a->bias)
        x = _mm256_add_ps(x, load_some(n, a->bias + (size_t)head * a->bias_stride + j));
    x = pick(all(-INFINITY), x, _mm256_castsi256_ps(in));
    _mm256_storeu_ps(r->s + head * MT_CHUNK + (j - r->base), x);
}

#define EACH_HEAD(X) X(0) X(1) X(2) X(3)
#define DOT_VARS(h)                                                              \
    const float *q##h = q + (H > h ? h * dim : 0);                               \
    vec d0##h = _mm256_setzero_ps(), d1##h = d0##h;
#define DOT_STEP(h)                                                              \
    if (H > h) {                                                                 \
        const vec b = all(q##h[d]);                                              \
        d0##h = _mm256_fmadd_ps(b, k0, d0##h);                                   \
        d1##h = _mm256_fmadd_ps(b, k1, d1##h);                                   \
    }
#define DOT_PUT(h)                                                               \
    if (H > h) {                                                                 \
        put_score(r, page * MT_PAGE, head + h, d0##h);                           \
        put_score(r, page * MT_PAGE + 8, head + h, d1##h);                       \
    }

MT_INLINE void score_pages(const mt_kv_type type, const int H, run *r, int head)
{
    const mt_attend *a = r->a;
    const int64_t dim = a->head_dim;
    const float *q = a->q + head * dim;
    const size_t off = a->kv.k_off + (size_t)a->h * a->kv.k_head_bytes;
    for (int64_t page = r->lo / MT_PAGE; page * MT_PAGE < r->hi; page++) {
        const uint8_t *p = page_at(&a->kv, page) + off;
        EACH_HEAD(DOT_VARS)
        for (int64_t d = 0; d < dim; d++) {
            const vec k0 = read_kv(type, p, d * MT_PAGE),
                      k1 = read_kv(type, p, d * MT_PAGE + 8);
            EACH_HEAD(DOT_STEP)
        }
        EACH_HEAD(DOT_PUT)
    }
}

/* ---- values -------------------------------------------------------------- */
#define VAL_VARS(h)                                                              \
    const float *s##h = r->s + (head + (H > h ? h : 0)) * MT_CHUNK - r->base;    \
    float *c##h = r->acc + (head + (H > h ? h : 0)) * r->v_pad + at;             \
    const vec a##h = all(r->shrink[head + (H > h ? h : 0)]);                     \
    vec v0##h = _mm256_mul_ps(_mm256_loadu_ps(c##h), a##h);                      \
    vec v1##h = N > 1 ? _mm256_mul_ps(_mm256_loadu_ps(c##h + 8), a##h) : v0##h;
#define VAL_STEP(h)                                                              \
    if (H > h) {                                                                 \
        const vec b = all(s##h[j]);                                              \
        v0##h = _mm256_fmadd_ps(b, w0, v0##h);                                   \
        if (N > 1) v1##h = _mm256_fmadd_ps(b, w1, v1##h);                        \
    }
#define VAL_PUT(h)                                                               \
    if (H > h) {                                                                 \
        _mm256_storeu_ps(c##h, v0##h);                                           \
        if (N > 1) _mm256_storeu_ps(c##h + 8, v1##h);                            \
    }

/* Dimensions at .. at + 8 N, the last n of them in the one vector of the tail. */
MT_INLINE void value_tile(const mt_kv_type type, const int N, const int H, run *r, int head,
                          int64_t at, int n)
{
    const mt_attend *a = r->a;
    const size_t off = a->kv.v_off + (size_t)a->h * a->kv.v_head_bytes;
    EACH_HEAD(VAL_VARS)
    for (int64_t page = r->lo / MT_PAGE; page * MT_PAGE < r->hi; page++) {
        const uint8_t *p = page_at(&a->kv, page) + off;
        const int64_t end = MT_MIN(r->hi, (page + 1) * MT_PAGE);
        for (int64_t j = MT_MAX(r->lo, page * MT_PAGE); j < end; j++) {
            const int64_t i = j % MT_PAGE * a->v_dim + at;
            const vec w0 = N > 1 ? read_kv(type, p, i) : read_tail(type, p, i, n);
            const vec w1 = N > 1 ? read_kv(type, p, i + 8) : w0;
            EACH_HEAD(VAL_STEP)
        }
    }
    EACH_HEAD(VAL_PUT)
}

MT_INLINE void value_dims(const mt_kv_type type, const int H, run *r, int head)
{
    const int64_t dim = r->a->v_dim;
    int64_t at = 0;
    for (; at + 16 <= dim; at += 16) value_tile(type, 2, H, r, head, at, 8);
    for (; at < dim; at += 8) value_tile(type, 1, H, r, head, at, (int)MT_MIN(dim - at, 8));
}

/* ---- a chunk ------------------------------------------------------------- */
/* Both phases for some heads; kept apart so that each loop has the registers to itself. */
#define ANY_HEADS(f, type)                                                       \
    switch (H) {                                                                 \
    case 1: f(type, 1, r, head); break;                                          \
    case 2: f(type, 2, r, head); break;                                          \
    case 3: f(type, 3, r, head); break;                                          \
    case 4: f(type, 4, r, head); break;                                          \
    }
#define ANY_TYPE(f)                                                              \
    switch (r->a->kv.type) {                                                     \
    case MT_KV_F32: ANY_HEADS(f, MT_KV_F32) break;                               \
    case MT_KV_F16: ANY_HEADS(f, MT_KV_F16) break;                               \
    case MT_KV_BF16: ANY_HEADS(f, MT_KV_BF16) break;                             \
    }
static void scores(run *r, int head, int end)
{
    const int H = end - head;
    ANY_TYPE(score_pages)
}
static void values(run *r, int head, int end)
{
    const int H = end - head;
    ANY_TYPE(value_dims)
}
/* First head of tile i when n heads are dealt to n_tile tiles as evenly as possible. */
static int first_head(int n, int n_tile, int i) { return n * i / n_tile; }

/* Probabilities in place of scores; updates the running maximum and sum of one head. */
static void softmax(run *r, int head, float *sum)
{
    float *s = r->s + head * MT_CHUNK - r->base;
    const int64_t from = r->lo / MT_PAGE * MT_PAGE;
    vec top = all(r->max[head]), part0 = _mm256_setzero_ps(), part1 = part0;
    for (int64_t j = from; j < r->hi; j += MT_PAGE) {
        top = max_of(max_of(top, _mm256_loadu_ps(s + j)), _mm256_loadu_ps(s + j + 8));
    }
    const float max = largest(top), base = max == -INFINITY ? 0.0f : max;
    for (int64_t j = from; j < r->hi; j += MT_PAGE) {
        const vec p0 = exp_of(_mm256_sub_ps(_mm256_loadu_ps(s + j), all(base)));
        const vec p1 = exp_of(_mm256_sub_ps(_mm256_loadu_ps(s + j + 8), all(base)));
        _mm256_storeu_ps(s + j, p0);
        _mm256_storeu_ps(s + j + 8, p1);
        part0 = _mm256_add_ps(part0, p0);
        part1 = _mm256_add_ps(part1, p1);
    }
    const float shrink = _mm256_cvtss_f32(exp_of(all(r->max[head] - base)));
    const __m128 l =
        _mm_fmadd_ss(_mm_set_ss(*sum), _mm_set_ss(shrink), _mm_set_ss(tree(part0, part1)));
    *sum = _mm_cvtss_f32(l);
    r->shrink[head] = shrink;
    r->max[head] = max;
}

static void attend(const mt_attend *a)
{
    float sum[MAX_HEADS];
    const int n = a->n_q, n_tile = (n + HEADS - 1) / HEADS;
    run r = {.a = a, .s = a->scratch, .acc = a->scratch + a->n_q * MT_CHUNK,
             .v_pad = (int64_t)mt_pad((size_t)a->v_dim, MT_PAGE)};
    memset(r.acc, 0, (size_t)(a->n_q * r.v_pad) * sizeof(float));
    for (int h = 0; h < a->n_q; h++) {
        r.max[h] = -INFINITY;
        sum[h] = 0;
    }
    for (int64_t lo = a->lo; lo < a->hi; lo = r.hi) {
        r.base = lo / MT_CHUNK * MT_CHUNK;
        r.lo = lo;
        r.hi = MT_MIN(a->hi, r.base + MT_CHUNK);
        for (int i = 0; i < n_tile; i++)
            scores(&r, first_head(n, n_tile, i), first_head(n, n_tile, i + 1));
        for (int h = 0; h < a->n_q; h++) softmax(&r, h, &sum[h]);
        for (int i = 0; i < n_tile; i++)
            values(&r, first_head(n, n_tile, i), first_head(n, n_tile, i + 1));
    }
    for (int h = 0; h < a->n_q; h++) {
        const vec inv = all(1.0f / sum[h]);
        for (int64_t d = 0; d < a->v_dim; d += 8) {
            const vec v = _mm256_loadu_ps(r.acc + h * r.v_pad + d);
            store_some(lanes(a->v_dim - d), a->out + h * a->v_dim + d, _mm256_mul_ps(v, inv));
        }
    }
}

/* ---- storing ------------------------------------------------------------- */
MT_INLINE __m128i to_half(const mt_kv_type type, vec v)
{
    if (type == MT_KV_F16) return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT);
    const __m256i r = _mm256_srli_epi32(bf16_of(v), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
}

/* n values to consecutive elements (stride 1) or to one lane of a K page (stride 16). */
MT_INLINE void put_row(const mt_kv_type type, uint8_t *to, int stride, const float *from, int n)
{
    const int b = type == MT_KV_F32 ? 4 : 2;
    for (int i = 0; i < n; i += 8) {
        const int some = MT_MIN(8, n - i);
        uint8_t lane[32];
        const vec v = load_some(some, from + i);
        if (type == MT_KV_F32) _mm256_storeu_ps((float *)(void *)lane, v);
        else _mm_storeu_si128((__m128i *)(void *)lane, to_half(type, v));
        if (stride == 1) memcpy(to + b * i, lane, (size_t)(b * some));
        else
            for (int l = 0; l < some; l++)
                memcpy(to + b * stride * (i + l), lane + b * l, (size_t)b);
    }
}

MT_INLINE void put_all(const mt_kv_type type, const mt_kv_view *kv, int64_t pos, int n_kv,
                       int head_dim, int v_dim, const float *k, const float *v)
{
    const size_t bytes = type == MT_KV_F32 ? 4 : 2, lane = (size_t)(pos % MT_PAGE);
    uint8_t *page = kv->base + (size_t)kv->page[pos / MT_PAGE] * kv->page_stride;
    for (int h = 0; h < n_kv; h++) {
        uint8_t *kp = page + kv->k_off + (size_t)h * kv->k_head_bytes + lane * bytes;
        uint8_t *vp =
            page + kv->v_off + (size_t)h * kv->v_head_bytes + lane * bytes * (size_t)v_dim;
        put_row(type, kp, MT_PAGE, k + h * head_dim, head_dim);
        put_row(type, vp, 1, v + h * v_dim, v_dim);
    }
}

static void kv_put(const mt_kv_view *kv, int64_t pos, int n_kv, int head_dim, int v_dim,
                   const float *k, const float *v)
{
    switch (kv->type) {
    case MT_KV_F32: put_all(MT_KV_F32, kv, pos, n_kv, head_dim, v_dim, k, v); break;
    case MT_KV_F16: put_all(MT_KV_F16, kv, pos, n_kv, head_dim, v_dim, k, v); break;
    case MT_KV_BF16: put_all(MT_KV_BF16, kv, pos, n_kv, head_dim, v_dim, k, v); break;
    }
}

void mt_kern_init_attend_avx2(mt_kern *t)
{
    t->kv_put = kv_put;
    t->attend = attend;
}

/* SPDX-License-Identifier: MIT */
/* attend_avx512.c - attention over paged keys and values, 16 positions per vector.
 *
 * K of a page is [head_dim][16 positions]: one load gives a dimension of 16 keys, a broadcast of
 * q multiplies all of them, and the query heads that share the kv head share the load.  V of a
 * page is [16 positions][v_dim]: lanes are dimensions and the probability is broadcast.
 *
 *   scores tile: P pages x H heads      values tile: N vectors of v_dim x H heads
 *
 * Scores of a chunk lie in scratch as [head][256], indexed by position - chunk start, so vectors
 * are whole pages; positions outside [lo, hi) get -inf and weigh nothing. */
#include <string.h>

#include "kernel/inits.h"
#include "kernel/x86/math_avx512.h"

enum { MAX_HEADS = 64, HEADS = 4 };

/* 16 values of a page at element i; keep: lanes that may be read. */
MT_INLINE vec read_kv(const mt_kv_type type, const uint8_t *p, int64_t i, __mmask16 keep)
{
    if (type == MT_KV_F32) return _mm512_maskz_loadu_ps(keep, p + 4 * i);
    const __m256i h = keep == 0xffff ? _mm256_loadu_si256((const __m256i *)(p + 2 * i))
                                     : _mm256_maskz_loadu_epi16(keep, p + 2 * i);
    if (type == MT_KV_F16) return _mm512_cvtph_ps(h);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
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
/* The end of a dot product: scale, cap, bias, mask.  Called: 16 copies would fill the cache. */
static __attribute__((noinline)) void put_score(run *r, int64_t page, int head, vec dot)
{
    const mt_attend *a = r->a;
    const int64_t j = page * MT_PAGE;
    const int64_t from = MT_MAX(r->lo - j, 0);
    const __mmask16 in = (__mmask16)(tail_mask(r->hi - j) & ~((1 << from) - 1));
    vec x = _mm512_mul_ps(all(a->scale), dot);
    if (a->softcap != 0.0f)
        x = _mm512_mul_ps(all(a->softcap), tanh_of(_mm512_div_ps(x, all(a->softcap))));
    if (a->bias)
        x = _mm512_add_ps(x, load_some(in, a->bias + (size_t)head * a->bias_stride + j));
    x = _mm512_mask_mov_ps(all(-INFINITY), in, x);
    _mm512_storeu_ps(r->s + head * MT_CHUNK + (j - r->base), x);
}

#define DOT_VARS(h)                                                              \
    const float *q##h = q + (H > h ? h * dim : 0);                               \
    vec d0##h = _mm512_setzero_ps(), d1##h = d0##h, d2##h = d0##h, d3##h = d0##h;
#define DOT_STEP(h)                                                              \
    if (H > h) {                                                                 \
        const vec b = all(q##h[d]);                                              \
        d0##h = _mm512_fmadd_ps(b, k0, d0##h);                                   \
        if (P > 1) d1##h = _mm512_fmadd_ps(b, k1, d1##h);                        \
        if (P > 2) d2##h = _mm512_fmadd_ps(b, k2, d2##h);                        \
        if (P > 2) d3##h = _mm512_fmadd_ps(b, k3, d3##h);                        \
    }
/* Whole pages without cap or bias, nearly all of them, end here. */
#define DOT_FAST(h)                                                              \
    if (H > h) {                                                                 \
        float *s = r->s + (head + h) * MT_CHUNK + (page * MT_PAGE - r->base);    \
        _mm512_storeu_ps(s, _mm512_mul_ps(scale, d0##h));                        \
        if (P > 1) _mm512_storeu_ps(s + 16, _mm512_mul_ps(scale, d1##h));        \
        if (P > 2) _mm512_storeu_ps(s + 32, _mm512_mul_ps(scale, d2##h));        \
        if (P > 2) _mm512_storeu_ps(s + 48, _mm512_mul_ps(scale, d3##h));        \
    }
#define DOT_PUT(h)                                                               \
    if (H > h) {                                                                 \
        put_score(r, page, head + h, d0##h);                                     \
        if (P > 1) put_score(r, page + 1, head + h, d1##h);                      \
        if (P > 2) put_score(r, page + 2, head + h, d2##h);                      \
        if (P > 2) put_score(r, page + 3, head + h, d3##h);                      \
    }
#define EACH_HEAD(X) X(0) X(1) X(2) X(3)

/* P (1, 2 or 4) pages and H heads are constants. */
MT_INLINE void score_tile(const mt_kv_type type, const int P, const int H, run *r, int64_t page,
                          int head)
{
    const mt_attend *a = r->a;
    const int64_t dim = a->head_dim;
    const float *q = a->q + head * dim;
    const size_t off = a->kv.k_off + (size_t)a->h * a->kv.k_head_bytes;
    const uint8_t *p0 = page_at(&a->kv, page) + off;
    const uint8_t *p1 = P > 1 ? page_at(&a->kv, page + 1) + off : p0;
    const uint8_t *p2 = P > 2 ? page_at(&a->kv, page + 2) + off : p0;
    const uint8_t *p3 = P > 2 ? page_at(&a->kv, page + 3) + off : p0;
    EACH_HEAD(DOT_VARS)
    for (int64_t d = 0; d < dim; d++) {
        const vec k0 = read_kv(type, p0, d * MT_PAGE, 0xffff);
        const vec k1 = P > 1 ? read_kv(type, p1, d * MT_PAGE, 0xffff) : k0;
        const vec k2 = P > 2 ? read_kv(type, p2, d * MT_PAGE, 0xffff) : k0;
        const vec k3 = P > 2 ? read_kv(type, p3, d * MT_PAGE, 0xffff) : k0;
        EACH_HEAD(DOT_STEP)
    }
    const bool is_whole = page * MT_PAGE >= r->lo && (page + P) * MT_PAGE <= r->hi;
    if (is_whole && a->softcap == 0.0f && !a->bias) {
        const vec scale = all(a->scale);
        EACH_HEAD(DOT_FAST)
        return;
    }
    EACH_HEAD(DOT_PUT)
}

MT_INLINE void score_pages(const mt_kv_type type, const int H, run *r, int head)
{
    int64_t page = r->lo / MT_PAGE;
    const int64_t end = (r->hi + MT_PAGE - 1) / MT_PAGE;
    for (; page + 4 <= end; page += 4) score_tile(type, 4, H, r, page, head);
    if (page + 2 <= end) {
        score_tile(type, 2, H, r, page, head);
        page += 2;
    }
    if (page < end) score_tile(type, 1, H, r, page, head);
}

/* ---- values -------------------------------------------------------------- */
#define VAL_VARS(h)                                                              \
    const float *s##h = r->s + (head + (H > h ? h : 0)) * MT_CHUNK - r->base;    \
    float *c##h = r->acc + (head + (H > h ? h : 0)) * r->v_pad + at;             \
    const vec a##h = all(r->shrink[head + (H > h ? h : 0)]);                     \
    vec v0##h = _mm512_mul_ps(_mm512_loadu_ps(c##h), a##h);                      \
    vec v1##h = N > 1 ? _mm512_mul_ps(_mm512_loadu_ps(c##h + 16), a##h) : v0##h; \
    vec v2##h = N > 2 ? _mm512_mul_ps(_mm512_loadu_ps(c##h + 32), a##h) : v0##h; \
    vec v3##h = N > 2 ? _mm512_mul_ps(_mm512_loadu_ps(c##h + 48), a##h) : v0##h;
#define VAL_STEP(h)                                                              \
    if (H > h) {                                                                 \
        const vec b = all(s##h[j]);                                              \
        v0##h = _mm512_fmadd_ps(b, w0, v0##h);                                   \
        if (N > 1) v1##h = _mm512_fmadd_ps(b, w1, v1##h);                        \
        if (N > 2) v2##h = _mm512_fmadd_ps(b, w2, v2##h);                        \
        if (N > 2) v3##h = _mm512_fmadd_ps(b, w3, v3##h);                        \
    }
#define VAL_PUT(h)                                                               \
    if (H > h) {                                                                 \
        _mm512_storeu_ps(c##h, v0##h);                                           \
        if (N > 1) _mm512_storeu_ps(c##h + 16, v1##h);                           \
        if (N > 2) _mm512_storeu_ps(c##h + 32, v2##h);                           \
        if (N > 2) _mm512_storeu_ps(c##h + 48, v3##h);                           \
    }

/* Dimensions at .. at + 16 N; keep: of the last vector, all but in the tail. */
MT_INLINE void value_tile(const mt_kv_type type, const int N, const int H, run *r, int head,
                          int64_t at, __mmask16 keep)
{
    const mt_attend *a = r->a;
    const size_t off = a->kv.v_off + (size_t)a->h * a->kv.v_head_bytes;
    EACH_HEAD(VAL_VARS)
    for (int64_t page = r->lo / MT_PAGE; page * MT_PAGE < r->hi; page++) {
        const uint8_t *p = page_at(&a->kv, page) + off;
        const int64_t end = MT_MIN(r->hi, (page + 1) * MT_PAGE);
        for (int64_t j = MT_MAX(r->lo, page * MT_PAGE); j < end; j++) {
            const int64_t i = j % MT_PAGE * a->v_dim + at;
            const vec w0 = read_kv(type, p, i, N == 1 ? keep : 0xffff);
            const vec w1 = N > 1 ? read_kv(type, p, i + 16, 0xffff) : w0;
            const vec w2 = N > 2 ? read_kv(type, p, i + 32, 0xffff) : w0;
            const vec w3 = N > 2 ? read_kv(type, p, i + 48, 0xffff) : w0;
            EACH_HEAD(VAL_STEP)
        }
    }
    EACH_HEAD(VAL_PUT)
}

MT_INLINE void value_dims(const mt_kv_type type, const int H, run *r, int head)
{
    int64_t at = 0;
    const int64_t dim = r->a->v_dim;
    for (; at + 64 <= dim; at += 64) value_tile(type, 4, H, r, head, at, 0xffff);
    if (at + 32 <= dim) {
        value_tile(type, 2, H, r, head, at, 0xffff);
        at += 32;
    }
    for (; at < dim; at += 16) value_tile(type, 1, H, r, head, at, tail_mask(dim - at));
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
    vec top = all(r->max[head]), part = _mm512_setzero_ps();
    for (int64_t j = from; j < r->hi; j += MT_PAGE) top = max_of(top, _mm512_loadu_ps(s + j));
    const float max = _mm512_reduce_max_ps(top), base = max == -INFINITY ? 0.0f : max;
    for (int64_t j = from; j < r->hi; j += MT_PAGE) {
        const vec p = exp_of(_mm512_sub_ps(_mm512_loadu_ps(s + j), all(base)));
        _mm512_storeu_ps(s + j, p);
        part = _mm512_add_ps(part, p);
    }
    const float shrink = _mm512_cvtss_f32(exp_of(all(r->max[head] - base)));
    const __m128 l = _mm_fmadd_ss(_mm_set_ss(*sum), _mm_set_ss(shrink), _mm_set_ss(tree(part)));
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
        for (int64_t d = 0; d < a->v_dim; d += 16) {
            const vec v = _mm512_loadu_ps(r.acc + h * r.v_pad + d);
            store_some(tail_mask(a->v_dim - d), a->out + h * a->v_dim + d,
                       _mm512_mul_ps(v, inv));
        }
    }
}

/* ---- storing ------------------------------------------------------------- */
MT_INLINE __m256i to_half(const mt_kv_type type, vec v)
{
    if (type == MT_KV_F16) return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT);
    const __m512i b = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(b, 16), _mm512_set1_epi32(1));
    const __m512i up = _mm512_add_epi32(b, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __m512i nan = _mm512_or_si512(b, _mm512_set1_epi32(0x400000));
    const __m512i r = _mm512_mask_mov_epi32(up, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), nan);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(r, 16));
}

/* n values to consecutive elements (stride 1) or to one lane of a K page (stride 16). */
MT_INLINE void put_row(const mt_kv_type type, uint8_t *to, int stride, const float *from, int n)
{
    for (int i = 0; i < n; i += 16) {
        const __mmask16 m = tail_mask(n - i);
        const vec v = load_some(m, from + i);
        if (type == MT_KV_F32) {
            if (stride == 1) store_some(m, (float *)(to + 4 * i), v);
            else
                for (int l = 0; l < 16 && i + l < n; l++)
                    memcpy(to + 4 * stride * (i + l), from + i + l, 4);
            continue;
        }
        const __m256i h = to_half(type, v);
        if (stride == 1) {
            _mm256_mask_storeu_epi16(to + 2 * i, m, h);
            continue;
        }
        uint16_t lane[16];
        _mm256_storeu_si256((__m256i *)lane, h);
        for (int l = 0; l < 16 && i + l < n; l++)
            memcpy(to + 2 * stride * (i + l), lane + l, 2);
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

void mt_kern_init_attend_avx512(mt_kern *t)
{
    t->kv_put = kv_put;
    t->attend = attend;
}

/* SPDX-License-Identifier: MIT */
/* check_attend.c - attention over pages, and the store into pages.
 *
 * Pages lie in random order and end at an unreadable page; positions that must not be seen hold
 * NaN.  Levels give the reference's bits, one position at a time, in blocks, or chunk by chunk; the
 * reference is held to a double softmax over the same rounded queries. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

typedef struct setup {
    int head_dim, v_dim, n_kv, n_q;
    int64_t n_pos;              /* positions with room */
    mt_kv_type type;
} setup;

static const char *const type_names[MT_KV_COUNT] = {"f32", "f16", "bf16", "q8"};

static void put(mt_kv_type type, uint8_t *at, float f)
{
    const uint16_t h = type == MT_KV_F16 ? mt_f32_to_f16(f) : mt_f32_to_bf16(f);
    if (type == MT_KV_F32) memcpy(at, &f, 4);
    else memcpy(at, &h, 2);
}
static float get(mt_kv_type type, const uint8_t *at)
{
    float f;
    uint16_t h;
    if (type == MT_KV_F32) {
        memcpy(&f, at, 4);
        return f;
    }
    memcpy(&h, at, 2);
    return type == MT_KV_F16 ? mt_f16_to_f32(h) : mt_bf16_to_f32(h);
}

/* Pages in random order, everything NaN. */
static size_t view_bytes(const setup *s, const mt_kv_view *v)
{
    return v->slab_stride * ((size_t)(s->n_pos + 255) / 256);
}
static mt_kv_view make_view(const setup *s)
{
    const size_t n_page = (size_t)(s->n_pos + 255) / 256 * 16;
    const size_t k_page = mt_kv_k_bytes(s->type, s->head_dim), v_page = mt_kv_v_bytes(s->type, s->v_dim);
    mt_kv_view v = {.type = s->type,
                    .k_page_bytes = k_page,
                    .v_page_bytes = v_page,
                    .v_off = (size_t)s->n_kv * 16 * k_page,
                    .slab_stride = (size_t)s->n_kv * 16 * (k_page + v_page)};
    v.base = ck_mem(view_bytes(s, &v), 0);
    memset(v.base, 0xff, view_bytes(s, &v));
    uint32_t *page = ck_mem(n_page * sizeof(uint32_t), 0);
    for (size_t i = 0; i < n_page; i++) page[i] = (uint32_t)i;
    for (size_t i = n_page; i > 1; i--) {
        const size_t j = (size_t)ck_int(0, (int)i - 1);
        const uint32_t t = page[i - 1];
        page[i - 1] = page[j];
        page[j] = t;
    }
    v.page = page;
    return v;
}

/* Where the layouts of kernel.h put an element: bytes into K or V of a page and head. */
static size_t k_place(mt_kv_type type, int64_t lane, int d)
{
    const size_t l = (size_t)lane, i = (size_t)d;
    switch (type) {
    case MT_KV_F32: return (i * 16 + l) * 4;
    case MT_KV_F16: return (i * 16 + l) * 2;
    case MT_KV_BF16: return ((i / 2 * 16 + l) * 2 + i % 2) * 2;
    case MT_KV_Q8: return (i / 4 * 16 + l) * 4 + i % 4;
    case MT_KV_COUNT: break;
    }
    return 0;
}
static size_t v_place(mt_kv_type type, int64_t lane, int d, int v_dim)
{
    const size_t l = (size_t)lane, i = (size_t)d, n = (size_t)v_dim;
    switch (type) {
    case MT_KV_F32: return (l * n + i) * 4;
    case MT_KV_F16: return (l * n + i) * 2;
    case MT_KV_BF16: return ((l / 2 * n + i) * 2 + l % 2) * 2;
    case MT_KV_Q8: return l * n + i;
    case MT_KV_COUNT: break;
    }
    return 0;
}
static size_t page_in_slab(const mt_kv_view *v, int64_t pos, int h) { return (size_t)h * 16 + v->page[pos / 16] % 16; }
static uint8_t *slab_at(const mt_kv_view *v, int64_t pos) { return v->base + v->page[pos / 16] / 16 * v->slab_stride; }
static uint8_t *k_at(const mt_kv_view *v, int64_t pos, int h)
{
    return slab_at(v, pos) + v->k_off + page_in_slab(v, pos, h) * v->k_page_bytes;
}
static uint8_t *v_at(const mt_kv_view *v, int64_t pos, int h)
{
    return slab_at(v, pos) + v->v_off + page_in_slab(v, pos, h) * v->v_page_bytes;
}
/* An element as stored. */
static float element(const mt_kv_view *v, const setup *s, int64_t pos, int h, int d, bool is_v)
{
    const uint8_t *at = is_v ? v_at(v, pos, h) : k_at(v, pos, h);
    const size_t place = is_v ? v_place(s->type, pos % 16, d, s->v_dim) : k_place(s->type, pos % 16, d);
    if (s->type != MT_KV_Q8) return get(s->type, at + place);
    const size_t codes = (is_v ? (size_t)s->v_dim : (size_t)(s->head_dim + 3) / 4 * 4) * 16;
    return (float)(int8_t)at[place] * get(MT_KV_BF16, at + codes + (size_t)(d / 32 * 16 + pos % 16) * 2);
}

/* ---- storing ------------------------------------------------------------- */
/* Each block of 32 as close as a scale of 8 bits allows, and that scale no larger than needed. */
static void near_enough(const mt_kv_view *view, const setup *s, int64_t pos, int h, bool is_v, const float *x)
{
    const int dim = is_v ? s->v_dim : s->head_dim;
    for (int g = 0; g < dim; g += 32) {
        float amax = 0, bad = 0;
        for (int d = g; d < MT_MIN(g + 32, dim); d++) {
            amax = fmaxf(amax, fabsf(x[d]));
            if (!isfinite(x[d])) bad = x[d];
        }
        for (int d = g; d < MT_MIN(g + 32, dim); d++) {
            const float got = element(view, s, pos, h, d, is_v);
            if (bad != 0) ck_that(isnan(got), "a block with %g gives %g", (double)bad, (double)got);
            else ck_that(fabsf(got - x[d]) <= amax / 127 * 0.505f + 0x1p-100f, "%g stored as %g, largest %g",
                         (double)x[d], (double)got, (double)amax);
        }
    }
}

static void kv_put(void)
{
    for (int round = 0; round < (ck_quick ? 16 : 80); round++) {
        static const int dims[] = {1, 8, 15, 16, 33, 64, 80, 128};
        setup s = {dims[ck_bits() % MT_COUNT(dims)],
                   dims[ck_bits() % MT_COUNT(dims)],
                   ck_int(1, 4),
                   1,
                   50,
                   (mt_kv_type)ck_int(0, MT_KV_COUNT - 1)};
        ck_shape("head_dim=%d v_dim=%d n_kv=%d type=%s", s.head_dim, s.v_dim, s.n_kv, type_names[s.type]);
        mt_kv_view view = make_view(&s);
        const size_t bytes = view_bytes(&s, &view);
        uint8_t *before = ck_plain(bytes);
        float *k = ck_mem((size_t)(s.n_kv * s.head_dim) * 4, 0),
              *v = ck_mem((size_t)(s.n_kv * s.v_dim) * 4, 0);
        for (int i = 0; i < s.n_kv * s.head_dim; i++)
            k[i] = round % 4 == 3 ? ck_nasty() : ck_float(-4, 4);
        for (int i = 0; i < s.n_kv * s.v_dim; i++)
            v[i] = round % 4 == 3 ? ck_nasty() * 1e-6f : ck_float(-4, 4);
        if (round % 4 == 2) k[0] = NAN, v[0] = INFINITY, v[s.v_dim - 1] = 65520.0f;
        memcpy(before, view.base, bytes);
        const int64_t pos = ck_int(0, 49);
        ck_kern->kv_put(&view, pos, s.n_kv, s.head_dim, s.v_dim, k, v);
        /* Expected: the same bytes with this position written. */
        uint8_t *base = view.base;
        mt_kv_view want = view;
        want.base = before;
        if (s.type == MT_KV_Q8) ck_ref->kv_put(&want, pos, s.n_kv, s.head_dim, s.v_dim, k, v);
        for (int h = 0; h < s.n_kv; h++) {
            if (s.type == MT_KV_Q8) {
                near_enough(&view, &s, pos, h, false, k + h * s.head_dim);
                near_enough(&view, &s, pos, h, true, v + h * s.v_dim);
                continue;
            }
            for (int d = 0; d < s.head_dim; d++)
                put(s.type, k_at(&want, pos, h) + k_place(s.type, pos % 16, d), k[h * s.head_dim + d]);
            if (s.type == MT_KV_BF16 && s.head_dim % 2)
                put(s.type, k_at(&want, pos, h) + k_place(s.type, pos % 16, s.head_dim), 0);
            for (int d = 0; d < s.v_dim; d++)
                put(s.type, v_at(&want, pos, h) + v_place(s.type, pos % 16, d, s.v_dim), v[h * s.v_dim + d]);
        }
        ck_that(memcmp(base, before, bytes) == 0, "page bytes differ");
        ck_canaries();
    }
}

/* ---- attention ----------------------------------------------------------- */
/* Whether f16 denormals become f32 numbers while f32 denormals count as zero, as every CPU does it
 * (Intel SDM, VCVTPH2PS: "denormals are zero" is ignored).  qemu 7.2 makes zeros of them. */
#if defined(__x86_64__)
__attribute__((target("f16c"))) static bool keeps_small_f16(void)
{
    if (!(mt_cpu_features() & MT_CPU_AVX2)) return true;    /* then no level converts in hardware */
    const unsigned was = _mm_getcsr();
    volatile unsigned short h = 1;
    _mm_setcsr(was | 0x8040);
    volatile float f = _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(h)));
    _mm_setcsr(was);
    return f > 0;
}
#else
static bool keeps_small_f16(void) { return true; }
#endif

/* Keys and values of f16 that an emulator would lose. */
static void drop_small(const setup *s, float *x, int n)
{
    if (s->type != MT_KV_F16 || keeps_small_f16()) return;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) < 0x1p-14f) x[i] = 0;
}

static void fill_view(const setup *s, const mt_kv_view *view, int64_t lo, int64_t hi, int variant)
{
    float *k = ck_plain((size_t)(s->n_kv * s->head_dim) * 4), *v = ck_plain((size_t)(s->n_kv * s->v_dim) * 4);
    for (int64_t p = lo; p < hi; p++) {
        const float size = variant == 7 ? ck_nasty() : 1.0f;        /* 7: products that vanish */
        for (int i = 0; i < s->n_kv * s->head_dim; i++)
            k[i] = (variant == 1 ? (float)ck_int(-3, 3) : ck_float(-2, 2)) * size;
        for (int i = 0; i < s->n_kv * s->v_dim; i++) v[i] = ck_float(-2, 2) * (variant == 7 ? 0x1p-120f : 1.0f);
        drop_small(s, k, s->n_kv * s->head_dim);
        drop_small(s, v, s->n_kv * s->v_dim);
        ck_ref->kv_put(view, p, s->n_kv, s->head_dim, s->v_dim, k, v);
    }
}

static int64_t lo_of(const mt_attend *a, int i)
{
    return a->window ? MT_MAX(a->lo, a->hi + i - a->window) : a->lo;
}

static int64_t hi_of(const mt_attend *a, int i)
{
    return a->limit ? MT_MIN(a->hi + i, a->limit) : a->hi + i;
}

/* The query as the keys' type sees it, times scale. */
static void rounded_query(const setup *s, const mt_attend *a, const float *q, double *to)
{
    const float scale = a->scale * 0x1.715476p+0f;
    for (int g = 0; g < s->head_dim; g += 32) {
        const int end = MT_MIN(g + 32, s->head_dim);
        float amax = 0;
        for (int d = g; d < end; d++) amax = fmaxf(amax, fabsf(q[d] * scale));
        float step = mt_bf16_to_f32(mt_f32_to_bf16(amax / 127));
        if (step < amax / 127) step = mt_bf16_to_f32((uint16_t)(mt_f32_to_bf16(step) + 1));
        for (int d = g; d < end; d++) {
            const float x = q[d] * scale;
            to[d] = (double)(s->type == MT_KV_BF16  ? mt_bf16_to_f32(mt_f32_to_bf16(x))
                             : s->type == MT_KV_Q8 ? (step == 0 ? 0 : nearbyintf(x * (1 / step)) * step)
                                                   : x) * 0.69314718055994531;
        }
    }
}

/* Against a plain softmax in double.  The scores carry 16 u sum |q k|, which the exponential turns
 * into a relative error of the weights; bf16 weights are rounded, the short exp2 has its error. */
static void against_double(const setup *s, const mt_attend *a, int i, const float *out)
{
    const double extra = s->type == MT_KV_BF16 ? 0x1p-8 + 2e-4 : s->type == MT_KV_Q8 ? 2e-4 : 0;
    for (int head = 0; head < a->n_q; head++) {
        double sum = 0, max = -INFINITY, slack = 0, acc[512] = {0}, q[512];
        rounded_query(s, a, a->q + (size_t)i * a->ldq + head * s->head_dim, q);
        const int64_t lo = lo_of(a, i), hi = hi_of(a, i);
        for (int pass = 0; pass < 2; pass++) for (int64_t j = lo; j < hi; j++) {
            double dot = 0, abs = 0;
            for (int d = 0; d < s->head_dim; d++) {
                const double x = q[d] * (double)element(&a->kv, s, j, a->h, d, false);
                dot += x;
                abs += fabs(x);
            }
            double x = dot;
            slack = fmax(slack, abs);
            if (a->softcap != 0) x = (double)a->softcap * tanh(x / (double)a->softcap);
            if (a->bias) x += (double)a->bias[i * a->bias_ldi + head * a->bias_ldg + j];
            if (pass == 0) {
                max = fmax(max, x);
                continue;
            }
            const double p = exp(x - max);
            sum += p;
            for (int d = 0; d < s->v_dim; d++)
                acc[d] += p * (double)element(&a->kv, s, j, a->h, d, true);
        }
        for (int d = 0; d < s->v_dim; d++) {
            const double bound =
                2 * 0x1p-24 * (16 + 4 * slack + fabs(max) + (double)(hi - lo) / 8) * 2 + 2 * extra;
            const double err = fabs((double)out[head * s->v_dim + d] - acc[d] / sum);
            if (err <= bound) continue;
            ck_that(false, "position %d head %d dim %d: expected %.9g, got %.9g, bound %.3g", i, head, d,
                    acc[d] / sum, (double)out[head * s->v_dim + d], bound);
            return;
        }
    }
    ck_that(true, "softmax");
}

/* Chunk by chunk in random pieces and random order of who computes, then merged. */
static void in_parts(const mt_attend *whole, const float *ref, size_t n_out)
{
    mt_attend a = *whole;
    const int64_t first = lo_of(&a, 0) / 256, end = (hi_of(&a, a.n_pos - 1) - 1) / 256 + 1;
    a.part = ck_mem((size_t)((end - first) * a.n_q * a.n_pos) * mt_attend_part(a.v_dim) * 4, 0);
    memset(a.out, 0xff, n_out * 4);
    for (int64_t c = first; c < end; c = a.c1) {
        a.c0 = c, a.c1 = ck_int((int)c + 1, (int)end);
        (ck_int(0, 1) ? ck_kern : ck_ref)->attend[a.kv.type](&a);
    }
    ck_kern->attend_merge(&a);
    ck_same("out of parts", a.out, ref, n_out);
}

static void attend_limited(setup s, int n_pos, int64_t lo, int64_t hi, int64_t window, int64_t limit, int variant)
{
    ck_shape("head_dim=%d v_dim=%d n_kv=%d n_q=%d n_pos=%d lo=%lld hi=%lld window=%lld limit=%lld type=%s variant=%d",
             s.head_dim, s.v_dim, s.n_kv, s.n_q, n_pos, (long long)lo, (long long)hi, (long long)window,
             (long long)limit, type_names[s.type], variant);
    const int64_t end = limit ? MT_MIN(limit, hi + n_pos - 1) : hi + n_pos - 1;
    s.n_pos = end;
    mt_kv_view view = make_view(&s);
    fill_view(&s, &view, window ? MT_MAX(lo, hi - window) : lo, end, variant);
    const size_t ldq = (size_t)(s.n_q * s.head_dim) + (size_t)ck_int(0, 3), n_q = ldq * (size_t)n_pos;
    float *q = ck_mem(n_q * 4, 0);
    for (size_t i = 0; i < n_q; i++)
        q[i] = variant == 1 ? (float)ck_int(-3, 3) : ck_float(-2, 2) * (variant == 7 ? 0x1p-60f : 1.0f);
    const size_t ldo = (size_t)(s.n_q * s.v_dim), n_out = ldo * (size_t)n_pos;
    float *out = ck_mem(n_out * 4, 0), *ref = ck_plain(n_out * 4), *one = ck_plain(n_out * 4);
    mt_attend a = {.kv = view,
                   .h = ck_int(0, s.n_kv - 1),
                   .n_q = s.n_q,
                   .n_pos = n_pos,
                   .head_dim = s.head_dim,
                   .v_dim = s.v_dim,
                   .q = q,
                   .out = ref,
                   .ldq = ldq,
                   .ldo = ldo,
                   .lo = lo,
                   .hi = hi,
                   .window = window,
                   .limit = limit,
                   .scale = 1.0f / sqrtf((float)s.head_dim),
                   .softcap = variant == 2 ? 30.0f : 0.0f};
    const size_t scratch = mt_attend_scratch(s.n_q * n_pos, s.head_dim, s.v_dim);
    a.scratch = ck_mem(mt_pad(scratch, 64), 0);
    if (variant >= 3 && variant <= 6) {
        a.bias_ldg = end, a.bias_ldi = s.n_q * a.bias_ldg;
        float *bias = ck_mem((size_t)(a.bias_ldi * n_pos) * 4, 0);
        for (ptrdiff_t i = 0; i < a.bias_ldi * n_pos; i++) {
            bias[i] = ck_float(-3, 3);
            /* 4: the first chunk hidden; 5: everything hidden for head 0 */
            if ((variant == 4 && i % end < 256) || (variant == 5 && i % a.bias_ldi < end)) bias[i] = -INFINITY;
        }
        a.bias = bias;
    }
    if (variant == 8) {                 /* by key - position: a row of the table moves back with the position */
        a.bias_ldg = end + n_pos - 1, a.bias_ldi = -1;
        float *bias = ck_mem((size_t)(s.n_q * a.bias_ldg) * 4, 0);
        for (ptrdiff_t i = 0; i < s.n_q * a.bias_ldg; i++) bias[i] = ck_float(-3, 3);
        a.bias = bias + n_pos - 1;
    }
    if (variant == 6) q[0] = NAN;
    ck_ref->attend[s.type](&a);
    a.out = out;
    ck_kern->attend[s.type](&a);
    ck_same("out", out, ref, n_out);
    in_parts(&a, ref, n_out);
    for (int i = 0; i < n_pos; i++) {
        mt_attend b = a;
        b.n_pos = 1, b.hi = hi + i, b.q = q + (size_t)i * ldq, b.out = one + (size_t)i * ldo;
        if (b.bias) b.bias += i * a.bias_ldi;
        ck_kern->attend[s.type](&b);
        if (variant < 4 || variant == 8) against_double(&s, &a, i, ref + (size_t)i * ldo);
    }
    ck_same("one position at a time", one, ref, n_out);
    ck_canaries();
    if (variant == 4 && hi > 300 && !window) ck_that(!isnan(ref[0]), "a hidden chunk spoils the sum");
    if (variant == 5 || variant == 6) ck_that(isnan(ref[0]), "expected NaN, got %g", (double)ref[0]);
}

static void attend_one(setup s, int n_pos, int64_t lo, int64_t hi, int64_t window, int variant)
{
    attend_limited(s, n_pos, lo, hi, window, 0, variant);
}

/* What is to come must not be felt: infinite and NaN values behind a row change nothing in it. */
static void attend_future(mt_kv_type type)
{
    setup s = {32, 32, 1, 2, 40, type};
    ck_shape("future type=%s", type_names[type]);
    mt_kv_view view = make_view(&s);
    fill_view(&s, &view, 0, 40, 0);
    float *q = ck_mem(5 * 64 * 4, 0), *out = ck_mem(5 * 64 * 4, 0), *before = ck_plain(5 * 64 * 4);
    for (int i = 0; i < 5 * 64; i++) q[i] = ck_float(-2, 2);
    mt_attend a = {.kv = view, .n_q = 2, .n_pos = 5, .head_dim = 32, .v_dim = 32, .q = q, .out = out, .ldq = 64,
                   .ldo = 64, .hi = 20, .scale = 0.2f, .scratch = ck_plain(mt_attend_scratch(10, 32, 32))};
    ck_kern->attend[type](&a);
    memcpy(before, out, 5 * 64 * 4);
    float bad[32];
    for (int i = 0; i < 32; i++) bad[i] = i % 2 ? NAN : INFINITY;
    ck_ref->kv_put(&view, 21, 1, 32, 32, bad, bad);
    ck_kern->attend[type](&a);
    ck_same("rows before", out, before, 2 * 64);
    ck_that(isnan(out[2 * 64]), "a NaN that a row sees is lost");
}

static void attend(void)
{
    if (!keeps_small_f16()) ck_skip("denormal f16 keys: this CPU, an emulator's, counts them as zero");
    static const int dims[] = {1, 8, 16, 24, 33, 64, 80, 96, 128, 160};
    for (int i = 0; i < (ck_quick ? 80 : 500); i++) {
        setup s = {.n_kv = ck_int(1, 3), .n_q = ck_int(1, 9), .type = (mt_kv_type)(i % MT_KV_COUNT)};
        s.head_dim = dims[ck_bits() % MT_COUNT(dims)];
        s.v_dim = ck_int(0, 1) ? s.head_dim : dims[ck_bits() % MT_COUNT(dims)];
        const int variant = ck_int(0, 8), n_pos = ck_int(0, 2) ? ck_int(1, MT_ATTEND_ROWS / s.n_q) : 1;
        const int64_t hi = i % 3 ? ck_int(1, 70) : ck_int(200, 700), lo = ck_int(0, 3) ? 0 : ck_int(0, (int)hi - 1);
        const int64_t window = ck_int(0, 2) ? 0 : ck_int(1, (int)hi + 9);
        /* the first end of keys that leaves every position one, or a later one */
        const int64_t least = MT_MAX(hi, window ? hi + n_pos - window : 0);
        const int64_t limit = ck_int(0, 1) ? ck_int((int)least, (int)MT_MAX(least, hi + n_pos + 2)) : 0;
        attend_limited(s, n_pos, variant == 4 ? 0 : lo, hi, window, limit, variant);
    }
    for (int t = 0; t < MT_KV_COUNT; t++) {
        const setup real = {64, 64, 3, 3, 0, (mt_kv_type)t}, wide = {512, 512, 1, 64, 0, (mt_kv_type)t};
        attend_future((mt_kv_type)t);
        attend_one(real, 1, 0, 513, 0, 0);
        attend_one(real, 16, 0, 250, 0, 0);
        attend_limited(real, 16, 0, 300, 0, 300, 8);     /* a text that sees itself whole */
        attend_one(real, 1, 100, 256, 0, 0);
        if (!ck_quick) attend_one(wide, 1, 0, 300, 0, 0);
    }
}

/* ---- speed --------------------------------------------------------------- */
static void j_attend(const void *arg)
{
    const mt_attend *a = arg;
    ck_kern->attend[a->kv.type](a);
}
static void bench_shape(mt_kv_type type, int n_q, int n_pos, int dim, int keys)
{
    ck_shape("bench");
    setup s = {dim, dim, 1, n_q, keys, type};
    mt_kv_view view = make_view(&s);
    fill_view(&s, &view, 0, keys, 0);
    const int n = n_q * n_pos * dim;
    float *q = ck_plain((size_t)n * 4), *out = ck_plain((size_t)n * 4);
    for (int i = 0; i < n; i++) q[i] = ck_float(-2, 2);
    const mt_attend a = {.kv = view,
                         .n_q = n_q,
                         .n_pos = n_pos,
                         .head_dim = dim,
                         .v_dim = dim,
                         .q = q,
                         .out = out,
                         .ldq = (size_t)(n_q * dim),
                         .ldo = (size_t)(n_q * dim),
                         .hi = keys - n_pos + 1,
                         .scale = 0.125f,
                         .scratch = ck_plain(mt_attend_scratch(n_q * n_pos, dim, dim))};
    char name[80];
    snprintf(name, sizeof name, "attend %s %d x %d x %d on %d", type_names[type], n_pos, n_q, dim, keys);
    ck_rate(name, ((double)keys - 0.5 * (n_pos - 1)) * 2 * dim * n_q * n_pos, "GMAC/s", j_attend, &a);
}
static void bench(void)
{
    for (int t = 0; t < MT_KV_COUNT; t++) {
        bench_shape((mt_kv_type)t, 3, 1, 64, 256);
        bench_shape((mt_kv_type)t, 3, 1, 64, 1024);
        bench_shape((mt_kv_type)t, 1, 1, 64, 256);
        bench_shape((mt_kv_type)t, 3, 16, 64, 256);
        bench_shape((mt_kv_type)t, 3, 16, 64, 1024);
        bench_shape((mt_kv_type)t, 4, 16, 128, 1024);
    }
}

typedef struct put_job { mt_kv_view v; float *x; } put_job;
static void j_put(const void *arg)
{
    const put_job *j = arg;
    ck_kern->kv_put(&j->v, 7, 3, 64, 64, j->x, j->x);
}
static void b_put(void)
{
    for (int t = 0; t < MT_KV_COUNT; t++) {
        ck_shape("bench");
        setup s = {64, 64, 3, 1, 16, (mt_kv_type)t};
        put_job j = {make_view(&s), ck_plain(192 * 4)};
        for (int i = 0; i < 192; i++) j.x[i] = ck_float(-1, 1);
        char name[40];
        snprintf(name, sizeof name, "kv_put %s 3 x 64", type_names[t]);
        ck_rate(name, 384, "G values/s", j_put, &j);
    }
}

const ck_case ck_attend_cases[] = {
    {"kv_put", kv_put, b_put, CK_SLOT(kv_put)},
    {"attend", attend, bench, CK_SLOT(attend)},
    {0},
};

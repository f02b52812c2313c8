/* SPDX-License-Identifier: MIT */
/* check_attend.c - attention over pages, and the store into pages.
 *
 * Pages lie in random order and end at an unreadable page; positions that must not be seen hold
 * NaN.  Levels give the reference's bits; the reference is held to a double softmax. */
#include <math.h>
#include <string.h>

#include "check.h"

typedef struct setup {
    int head_dim, v_dim, n_kv, n_q;
    int64_t n_pos;              /* positions with room */
    mt_kv_type type;
} setup;

static size_t type_bytes(mt_kv_type t) { return t == MT_KV_F32 ? 4 : 2; }

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
    memcpy(&h, at, 2);
    if (type == MT_KV_F32) memcpy(&f, at, 4);
    else f = type == MT_KV_F16 ? mt_f16_to_f32(h) : mt_bf16_to_f32(h);
    return f;
}

/* Pages in random order, everything NaN. */
static mt_kv_view make_view(const setup *s)
{
    const size_t b = type_bytes(s->type), n_page = (size_t)(s->n_pos + MT_PAGE - 1) / MT_PAGE;
    const size_t k_head = (size_t)s->head_dim * MT_PAGE * b,
                 v_head = (size_t)s->v_dim * MT_PAGE * b;
    mt_kv_view v = {.type = s->type,
                    .k_head_bytes = k_head,
                    .v_head_bytes = v_head,
                    .v_off = (size_t)s->n_kv * k_head,
                    .page_stride = (size_t)s->n_kv * (k_head + v_head)};
    v.base = ck_mem(v.page_stride * n_page, 0);
    for (size_t i = 0; i < v.page_stride * n_page; i += b) put(s->type, v.base + i, NAN);
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
static uint8_t *k_at(const mt_kv_view *v, const setup *s, int64_t pos, int h, int d)
{
    (void)s;
    return v->base + v->page[pos / MT_PAGE] * v->page_stride + v->k_off +
           (size_t)h * v->k_head_bytes +
           (size_t)(d * MT_PAGE + pos % MT_PAGE) * type_bytes(v->type);
}
static uint8_t *v_at(const mt_kv_view *v, const setup *s, int64_t pos, int h, int d)
{
    return v->base + v->page[pos / MT_PAGE] * v->page_stride + v->v_off +
           (size_t)h * v->v_head_bytes +
           (size_t)(pos % MT_PAGE * s->v_dim + d) * type_bytes(v->type);
}

/* ---- storing ------------------------------------------------------------- */
static void kv_put(void)
{
    for (int round = 0; round < (ck_quick ? 12 : 60); round++) {
        static const int dims[] = {1, 8, 15, 16, 33, 64, 80, 128};
        setup s = {dims[ck_bits() % MT_COUNT(dims)],
                   dims[ck_bits() % MT_COUNT(dims)],
                   ck_int(1, 4),
                   1,
                   50,
                   (mt_kv_type)ck_int(0, 2)};
        ck_shape("head_dim=%d v_dim=%d n_kv=%d type=%d", s.head_dim, s.v_dim, s.n_kv, s.type);
        mt_kv_view view = make_view(&s);
        const size_t bytes = view.page_stride * ((size_t)(s.n_pos + MT_PAGE - 1) / MT_PAGE);
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
        for (int h = 0; h < s.n_kv; h++) {
            for (int d = 0; d < s.head_dim; d++)
                put(s.type, k_at(&want, &s, pos, h, d), k[h * s.head_dim + d]);
            for (int d = 0; d < s.v_dim; d++)
                put(s.type, v_at(&want, &s, pos, h, d), v[h * s.v_dim + d]);
        }
        ck_that(memcmp(base, before, bytes) == 0, "page bytes differ");
        ck_canaries();
    }
}

/* ---- attention ----------------------------------------------------------- */
static void fill_view(const setup *s, const mt_kv_view *view, int64_t lo, int64_t hi,
                      bool exact)
{
    for (int64_t p = lo; p < hi; p++) for (int h = 0; h < s->n_kv; h++) {
        for (int d = 0; d < s->head_dim; d++) {
            put(s->type, k_at(view, s, p, h, d),
                exact ? (float)ck_int(-3, 3) : ck_float(-2, 2));
        }
        for (int d = 0; d < s->v_dim; d++)
            put(s->type, v_at(view, s, p, h, d), ck_float(-2, 2));
    }
}

/* Against a plain softmax in double.  The scores carry 16 u sum |q k|, which the exponential turns
 * into a relative error of the weights. */
static void against_double(const setup *s, const mt_attend *a, const float *out)
{
    for (int head = 0; head < a->n_q; head++) {
        double sum = 0, max = -INFINITY, slack = 0, acc[512] = {0};
        for (int pass = 0; pass < 2; pass++) for (int64_t j = a->lo; j < a->hi; j++) {
            double dot = 0, abs = 0;
            for (int d = 0; d < s->head_dim; d++) {
                const double x = (double)a->q[head * s->head_dim + d] *
                                 (double)get(s->type, k_at(&a->kv, s, j, a->h, d));
                dot += x;
                abs += fabs(x);
            }
            double x = dot * (double)a->scale;
            slack = fmax(slack, abs * (double)a->scale);
            if (a->softcap != 0) x = (double)a->softcap * tanh(x / (double)a->softcap);
            if (a->bias) x += (double)a->bias[(size_t)head * a->bias_stride + (size_t)j];
            if (pass == 0) {
                max = fmax(max, x);
                continue;
            }
            const double p = exp(x - max);
            sum += p;
            for (int d = 0; d < s->v_dim; d++)
                acc[d] += p * (double)get(s->type, v_at(&a->kv, s, j, a->h, d));
        }
        for (int d = 0; d < s->v_dim; d++) {
            const double bound =
                2 * 0x1p-24 * (16 + 4 * slack + fabs(max) + (double)(a->hi - a->lo) / 8) * 2;
            const double err = fabs((double)out[head * s->v_dim + d] - acc[d] / sum);
            if (err <= bound) continue;
            ck_that(false, "head %d dim %d: expected %.9g, got %.9g, bound %.3g", head, d,
                    acc[d] / sum, (double)out[head * s->v_dim + d], bound);
            return;
        }
    }
    ck_that(true, "softmax");
}

static void attend_one(setup s, int64_t lo, int64_t hi, int variant)
{
    ck_shape("head_dim=%d v_dim=%d n_kv=%d n_q=%d lo=%lld hi=%lld type=%d variant=%d",
             s.head_dim, s.v_dim, s.n_kv, s.n_q, (long long)lo, (long long)hi, s.type, variant);
    s.n_pos = hi;
    mt_kv_view view = make_view(&s);
    fill_view(&s, &view, lo, hi, variant == 1);
    float *q = ck_mem((size_t)(s.n_q * s.head_dim) * 4, 0);
    for (int i = 0; i < s.n_q * s.head_dim; i++)
        q[i] = variant == 1 ? (float)ck_int(-3, 3) : ck_float(-2, 2);
    const size_t n_out = (size_t)(s.n_q * s.v_dim),
                 scratch = mt_attend_scratch(s.n_q, s.head_dim, s.v_dim);
    float *out = ck_mem(n_out * 4, 0), *ref = ck_plain(n_out * 4);
    mt_attend a = {.kv = view,
                   .h = ck_int(0, s.n_kv - 1),
                   .n_q = s.n_q,
                   .head_dim = s.head_dim,
                   .v_dim = s.v_dim,
                   .q = q,
                   .out = ref,
                   .lo = lo,
                   .hi = hi,
                   .scale = 1.0f / sqrtf((float)s.head_dim),
                   .softcap = variant == 2 ? 30.0f : 0.0f,
                   .scratch = ck_mem(scratch, 0)};
    if (variant >= 3) {
        float *bias = ck_mem((size_t)(s.n_q * hi) * 4, 0);
        for (int64_t i = 0; i < s.n_q * hi; i++) bias[i] = ck_float(-3, 3);
        /* 4: the first chunk hidden; 5: everything hidden for head 0. */
        for (int64_t j = 0; j < hi && variant > 3; j++) {
            if (j < 256 || variant == 5) bias[j] = -INFINITY;
        }
        a.bias = bias;
        a.bias_stride = (size_t)hi;
    }
    if (variant == 6) q[0] = NAN;
    ck_ref->attend(&a);
    a.out = out;
    ck_kern->attend(&a);
    ck_same("out", out, ref, n_out);
    ck_canaries();
    if (variant < 4) against_double(&s, &a, ref);
    if (variant == 4 && hi > 300) ck_that(!isnan(ref[0]), "a hidden chunk spoils the sum");
    if (variant >= 5) ck_that(isnan(ref[0]), "expected NaN, got %g", (double)ref[0]);
}

static void attend(void)
{
    static const int dims[] = {1, 8, 16, 24, 33, 64, 80, 96, 128, 160};
    for (int i = 0; i < (ck_quick ? 40 : 300); i++) {
        setup s = {.n_kv = ck_int(1, 3), .n_q = ck_int(1, 9), .type = (mt_kv_type)ck_int(0, 2)};
        s.head_dim = dims[ck_bits() % MT_COUNT(dims)];
        s.v_dim = i % 2 ? s.head_dim : dims[ck_bits() % MT_COUNT(dims)];
        const int64_t hi = i % 3 ? ck_int(1, 70) : ck_int(200, 700),
                      lo = i % 4 ? 0 : ck_int(0, (int)hi - 1);
        attend_one(s, i % 7 == 4 ? 0 : lo, hi, i % 7);
    }
    const setup real = {64, 64, 3, 3, 0, MT_KV_F16}, wide = {512, 512, 1, 64, 0, MT_KV_BF16};
    attend_one(real, 0, 513, 0);
    attend_one(real, 100, 256, 0);
    if (!ck_quick) attend_one(wide, 0, 300, 0);
}

/* ---- speed --------------------------------------------------------------- */
static void j_attend(const void *arg) { ck_kern->attend(arg); }
static void bench(void)
{
    for (int type = 0; type < 3; type++) for (int n_q = 1; n_q <= 4; n_q += n_q == 1 ? 2 : 1) {
        ck_shape("bench");
        setup s = {64, 64, 1, n_q, 256, (mt_kv_type)type};
        mt_kv_view view = make_view(&s);
        fill_view(&s, &view, 0, 256, false);
        float *q = ck_plain((size_t)n_q * 64 * 4), *out = ck_plain((size_t)n_q * 64 * 4);
        for (int i = 0; i < n_q * 64; i++) q[i] = ck_float(-2, 2);
        const mt_attend a = {.kv = view,
                             .n_q = n_q,
                             .head_dim = 64,
                             .v_dim = 64,
                             .q = q,
                             .out = out,
                             .hi = 256,
                             .scale = 0.125f,
                             .scratch = ck_plain(mt_attend_scratch(n_q, 64, 64))};
        static const char *const names[3][3] = {
            {"attend f32 256 keys 1 head", "attend f32 256 keys 3 heads",
             "attend f32 256 keys 4 heads"},
            {"attend f16 256 keys 1 head", "attend f16 256 keys 3 heads",
             "attend f16 256 keys 4 heads"},
            {"attend bf16 256 keys 1 head", "attend bf16 256 keys 3 heads",
             "attend bf16 256 keys 4 heads"}};
        ck_rate(names[type][n_q == 1 ? 0 : n_q - 2], 256.0 * 128 * n_q, "GMAC/s", j_attend, &a);
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
    ck_shape("bench");
    setup s = {64, 64, 3, 1, 16, MT_KV_F16};
    put_job j = {make_view(&s), ck_plain(192 * 4)};
    ck_rate("kv_put f16 3 x 64", 384, "G values/s", j_put, &j);
}

const ck_case ck_attend_cases[] = {
    {"kv_put", kv_put, b_put, CK_SLOT(kv_put)},
    {"attend", attend, bench, CK_SLOT(attend)},
    {0},
};

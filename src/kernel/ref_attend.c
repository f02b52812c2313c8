/* SPDX-License-Identifier: MIT */
/* ref_attend.c - reference attention over paged keys and values, and the store into pages.
 *
 * Chunks of 256 positions, each computed by itself and merged in ascending order: the numeric
 * contract that lets threads, prompt chunks and tiles split the work anywhere. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernel/coef.h"
#include "kernel/inits.h"
#include "kernel/ref_math.h"

/* ---- arithmetic without denormals ------------------------------------------ */
static float flush(float x) { return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x; }
static float add(float a, float b) { return flush(flush(a) + flush(b)); }
static float mul(float a, float b) { return flush(flush(a) * flush(b)); }
static float fma_of(float a, float b, float c) { return flush(fmaf(flush(a), flush(b), flush(c))); }

/* 2^x for x <= 0 */
static float exp2_of(bool is_short, float x)
{
    if (!(x >= MT_EXP2_LOW)) return x < MT_EXP2_LOW ? 0.0f : x;     /* NaN stays */
    const float n = floorf(x), r = add(x, -n);
    float p = is_short ? MT_EXP2_S3 : MT_EXP2_E6;
    if (is_short) {
        p = fmaf(p, r, MT_EXP2_S2);
        p = fmaf(p, r, MT_EXP2_S1);
    } else {
        p = fmaf(p, r, MT_EXP2_E5);
        p = fmaf(p, r, MT_EXP2_E4);
        p = fmaf(p, r, MT_EXP2_E3);
        p = fmaf(p, r, MT_EXP2_E2);
        p = fmaf(p, r, MT_EXP2_E1);
    }
    return ldexpf(fmaf(p, r, 1.0f), (int)n);
}

static float bf16_of(float x) { return mt_bf16_to_f32(mt_f32_to_bf16(x)); }

/* n (1..32) values to int8 and a scale that fits bf16. */
static float quantize(const float *x, int n, int8_t *q)
{
    uint32_t amax = 0, bits;
    for (int i = 0; i < n; i++) {
        memcpy(&bits, &x[i], 4);
        bits &= 0x7fffffff;
        amax = bits > amax ? bits : amax;
    }
    memset(q, 0, (size_t)n);
    if (amax < MT_KV_TINY) return 0;
    float d;
    memcpy(&d, &amax, 4);
    if (amax >= 0x7f800000) return amax > 0x7f800000 ? NAN : d;
    d = d / 127.0f;
    memcpy(&bits, &d, 4);
    bits = (bits + 0xffff) & 0xffff0000;
    memcpy(&d, &bits, 4);
    for (int i = 0; i < n; i++) q[i] = (int8_t)nearbyintf(x[i] * (1.0f / d));
    return d;
}

/* ---- pages ------------------------------------------------------------------ */
static float read_kv(mt_kv_type type, const uint8_t *at, int64_t i)
{
    float f;
    uint16_t h;
    if (type == MT_KV_F32) {
        memcpy(&f, at + 4 * i, 4);
        return f;
    }
    memcpy(&h, at + 2 * i, 2);
    return type == MT_KV_F16 ? mt_f16_to_f32(h) : mt_bf16_to_f32(h);
}

static void write_kv(mt_kv_type type, uint8_t *at, int64_t i, float f)
{
    if (type == MT_KV_F32) {
        memcpy(at + 4 * i, &f, 4);
        return;
    }
    const uint16_t h = type == MT_KV_F16 ? mt_f32_to_f16(f) : mt_f32_to_bf16(f);
    memcpy(at + 2 * i, &h, 2);
}

static void put_q8(uint8_t *kp, uint8_t *vp, int64_t lane, const float *k, int head_dim, const float *v,
                   int v_dim)
{
    uint8_t *k_scale = kp + (head_dim + 3) / 4 * 4 * MT_PAGE, *v_scale = vp + v_dim * MT_PAGE;
    int8_t q[MT_GROUP];
    for (int d = 0; d < head_dim; d += MT_GROUP) {
        memset(q, 0, sizeof q);
        const int n = MT_MIN(MT_GROUP, head_dim - d);
        write_kv(MT_KV_BF16, k_scale, d / MT_GROUP * MT_PAGE + lane, quantize(k + d, n, q));
        for (int i = 0; i < n; i += 4) memcpy(kp + ((d + i) / 4 * MT_PAGE + lane) * 4, q + i, 4);
    }
    for (int d = 0; d < v_dim; d += MT_GROUP) {
        const int n = MT_MIN(MT_GROUP, v_dim - d);
        write_kv(MT_KV_BF16, v_scale, d / MT_GROUP * MT_PAGE + lane, quantize(v + d, n, q));
        memcpy(vp + lane * v_dim + d, q, (size_t)n);
    }
}

static void kv_put(const mt_kv_view *kv, int64_t pos, int n_kv, int head_dim, int v_dim, const float *k,
                   const float *v)
{
    const int64_t lane = pos % MT_PAGE;
    for (int h = 0; h < n_kv; h++, k += head_dim, v += v_dim) {
        uint8_t *kp = mt_kv_k(kv, pos / MT_PAGE, h), *vp = mt_kv_v(kv, pos / MT_PAGE, h);
        if (kv->type == MT_KV_Q8) {
            put_q8(kp, vp, lane, k, head_dim, v, v_dim);
        } else if (kv->type == MT_KV_BF16) {
            for (int d = 0; d < (head_dim + 1) / 2 * 2; d++)
                write_kv(kv->type, kp, (d / 2 * MT_PAGE + lane) * 2 + d % 2, d < head_dim ? k[d] : 0.0f);
            for (int d = 0; d < v_dim; d++)
                write_kv(kv->type, vp, (lane / 2 * v_dim + d) * 2 + lane % 2, v[d]);
        } else {
            for (int d = 0; d < head_dim; d++) write_kv(kv->type, kp, d * MT_PAGE + lane, k[d]);
            for (int d = 0; d < v_dim; d++) write_kv(kv->type, vp, lane * v_dim + d, v[d]);
        }
    }
}

/* ---- one chunk of one row ----------------------------------------------------- */
typedef struct row {
    const mt_attend *a;
    int r;
    int64_t lo, hi;                     /* keys it sees */
    float q[512];                       /* scaled, and rounded as the keys demand */
    int8_t code[512];
    float scale[16];                    /* of groups of 32 codes */
    float s[MT_CHUNK];
} row;

static void dot_codes(const row *w, int64_t j, float *dot)
{
    const int dim = w->a->head_dim;
    const uint8_t *k = mt_kv_k(&w->a->kv, j / MT_PAGE, w->a->h), *scale = k + (dim + 3) / 4 * 4 * MT_PAGE;
    for (int d = 0; d < dim; d += MT_GROUP) {
        int32_t sum = 0;
        for (int i = d; i < MT_MIN(d + MT_GROUP, dim); i++)
            sum += w->code[i] * (int8_t)k[(i / 4 * MT_PAGE + j % MT_PAGE) * 4 + i % 4];
        const float dk = read_kv(MT_KV_BF16, scale, d / MT_GROUP * MT_PAGE + j % MT_PAGE);
        *dot = fma_of((float)sum, mul(w->scale[d / MT_GROUP], dk), *dot);
    }
}

static float dot_of(const row *w, int64_t j)
{
    const mt_attend *a = w->a;
    const mt_kv_type type = a->kv.type;
    const uint8_t *k = mt_kv_k(&a->kv, j / MT_PAGE, a->h);
    const int64_t lane = j % MT_PAGE;
    float dot = 0;
    if (type == MT_KV_Q8) dot_codes(w, j, &dot);
    else if (type == MT_KV_BF16)
        for (int d = 0; d < a->head_dim; d += 2)
            for (int odd = 1; odd >= 0; odd--)
                dot = fma_of(w->q[d + odd], read_kv(type, k, (d / 2 * MT_PAGE + lane) * 2 + odd), dot);
    else
        for (int d = 0; d < a->head_dim; d++)
            dot = fma_of(w->q[d], read_kv(type, k, d * MT_PAGE + lane), dot);
    return dot;
}

static float score(const row *w, int64_t j)
{
    const mt_attend *a = w->a;
    float x = dot_of(w, j);
    if (a->softcap != 0.0f) {
        const float cap = a->softcap * MT_LOG2E;
        x = mul(cap, mt_ref_tanh(flush(x / cap)));
    }
    if (a->bias) {
        const float *bias = a->bias + w->r / a->n_q * a->bias_ldi + w->r % a->n_q * a->bias_ldg;
        x = fma_of(bias[j], MT_LOG2E, x);
    }
    return x;
}

static void add_values(const row *w, int64_t base, int64_t lo, int64_t hi, float *acc)
{
    const mt_attend *a = w->a;
    const mt_kv_type type = a->kv.type;
    const bool is_pair = type == MT_KV_BF16;
    const int dim = a->v_dim;
    for (int64_t i = is_pair ? lo & ~1 : lo; i < (is_pair ? (hi + 1) & ~1 : hi); i++) {
        const int64_t j = is_pair ? i ^ 1 : i;
        const bool is_seen = j >= lo && j < hi;
        const float p = is_seen ? w->s[j - base] : 0.0f;
        const uint8_t *v = mt_kv_v(&a->kv, j / MT_PAGE, a->h);
        const int64_t lane = j % MT_PAGE;
        for (int d = 0; d < dim; d++) {
            if (type == MT_KV_Q8) {
                const float dv = read_kv(MT_KV_BF16, v + dim * MT_PAGE, d / MT_GROUP * MT_PAGE + lane);
                acc[d] = fma_of(mul(p, dv), (float)(int8_t)v[lane * dim + d], acc[d]);
            } else {
                const int64_t at = is_pair ? (lane / 2 * dim + d) * 2 + lane % 2 : lane * dim + d;
                acc[d] = fma_of(p, is_seen ? read_kv(type, v, at) : 0.0f, acc[d]);
            }
        }
    }
}

/* Chunk c of a row into part: maximum, sum, values. */
static void chunk_of_row(row *w, int64_t c, float *part)
{
    const mt_attend *a = w->a;
    const bool is_short = a->kv.type == MT_KV_BF16 || a->kv.type == MT_KV_Q8;
    const int64_t base = c * MT_CHUNK, lo = MT_MAX(w->lo, base), hi = MT_MIN(w->hi, base + MT_CHUNK);
    float max = -INFINITY, sum[16] = {0};
    for (int64_t j = lo; j < hi; j++) {
        const float x = w->s[j - base] = score(w, j);
        max = x > max ? x : max;
    }
    const float from = max == -INFINITY ? 0.0f : max;       /* a bias hid every key */
    for (int64_t j = lo; j < hi; j++) {
        float p = exp2_of(is_short, add(w->s[j - base], -from));
        if (a->kv.type == MT_KV_BF16) p = bf16_of(p);
        sum[j % 16] += p;
        w->s[j - base] = p;
    }
    part[0] = max, part[1] = mt_ref_tree(sum);
    memset(part + MT_PAGE, 0, (size_t)a->v_dim * sizeof *part);
    add_values(w, base, lo, hi, part + MT_PAGE);
}

/* Adds chunk `part` to what `to` has of the chunks before. */
static void merge(const mt_attend *a, float *to, const float *part)
{
    const bool is_short = a->kv.type == MT_KV_BF16 || a->kv.type == MT_KV_Q8;
    const float max = part[0] > to[0] ? part[0] : to[0], from = max == -INFINITY ? 0.0f : max;
    const float x = exp2_of(is_short, add(to[0], -from)), y = exp2_of(is_short, add(part[0], -from));
    to[0] = max, to[1] = fma_of(part[1], y, mul(to[1], x));
    for (int d = MT_PAGE; d < MT_PAGE + a->v_dim; d++) to[d] = fma_of(part[d], y, mul(to[d], x));
}

/* ---- rows ------------------------------------------------------------------------ */
static void start_row(row *w, const mt_attend *a, int r)
{
    const int i = r / a->n_q, dim = a->head_dim;
    const float *q = a->q + (size_t)i * a->ldq + (size_t)(r % a->n_q * dim);
    const float scale = a->scale * MT_LOG2E;
    w->a = a, w->r = r;
    w->hi = a->limit > 0 ? MT_MIN(a->hi + i, a->limit) : a->hi + i;
    w->lo = a->window > 0 ? MT_MAX(a->lo, a->hi + i - a->window) : a->lo;
    if (dim % 2) w->q[dim] = 0;
    for (int d = 0; d < dim; d++) {
        w->q[d] = mul(q[d], scale);
        if (a->kv.type == MT_KV_BF16) w->q[d] = bf16_of(w->q[d]);
    }
    for (int d = 0; d < dim && a->kv.type == MT_KV_Q8; d += MT_GROUP)
        w->scale[d / MT_GROUP] = quantize(w->q + d, MT_MIN(MT_GROUP, dim - d), w->code + d);
}

static float *part_of(const mt_attend *a, int64_t c, int r)
{
    const int64_t lo = a->window > 0 ? MT_MAX(a->lo, a->hi - a->window) : a->lo, first = lo / MT_CHUNK;
    return a->part + ((size_t)(c - first) * (size_t)(a->n_q * a->n_pos) + (size_t)r) * mt_attend_part(a->v_dim);
}

static void put_out(const mt_attend *a, int r, const float *sum)
{
    float *out = a->out + (size_t)(r / a->n_q) * a->ldo + (size_t)(r % a->n_q * a->v_dim);
    const float inv = flush(1.0f / sum[1]);
    for (int d = 0; d < a->v_dim; d++) out[d] = mul(sum[MT_PAGE + d], inv);
}

static void attend(const mt_attend *a)
{
    row w;
    for (int r = 0; r < a->n_q * a->n_pos; r++) {
        start_row(&w, a, r);
        const int64_t first = w.lo / MT_CHUNK, end = (w.hi - 1) / MT_CHUNK + 1;
        if (a->part) {
            for (int64_t c = MT_MAX(first, a->c0); c < MT_MIN(end, a->c1); c++)
                chunk_of_row(&w, c, part_of(a, c, r));
            continue;
        }
        float sum[MT_PAGE + 512], part[MT_PAGE + 512];
        for (int64_t c = first; c < end; c++) {
            chunk_of_row(&w, c, c == first ? sum : part);
            if (c > first) merge(a, sum, part);
        }
        put_out(a, r, sum);
    }
}

static void attend_merge(const mt_attend *a)
{
    row w;
    for (int r = 0; r < a->n_q * a->n_pos; r++) {
        start_row(&w, a, r);
        float sum[MT_PAGE + 512];
        const int64_t first = w.lo / MT_CHUNK;
        memcpy(sum, part_of(a, first, r), (MT_PAGE + (size_t)a->v_dim) * sizeof *sum);
        for (int64_t c = first + 1; c <= (w.hi - 1) / MT_CHUNK; c++) merge(a, sum, part_of(a, c, r));
        put_out(a, r, sum);
    }
}

void mt_kern_init_attend_ref(mt_kern *t)
{
    t->kv_put = kv_put;
    for (int i = 0; i < MT_KV_COUNT; i++) t->attend[i] = attend;
    t->attend_merge = attend_merge;
}

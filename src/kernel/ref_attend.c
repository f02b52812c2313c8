/* SPDX-License-Identifier: MIT */
/* ref_attend.c - reference attention over paged keys and values, and the store into pages.
 *
 * Chunks of 256 positions, merged in ascending order, whoever computes them: the numeric
 * contract that lets threads and prompt chunks split the work anywhere. */
#include <math.h>
#include <string.h>

#include "kernel/inits.h"
#include "kernel/ref_math.h"

static uint8_t *page_of(const mt_kv_view *kv, int64_t pos)
{
    return kv->base + (size_t)kv->page[pos / MT_PAGE] * kv->page_stride;
}

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

static void kv_put(const mt_kv_view *kv, int64_t pos, int n_kv, int head_dim, int v_dim,
                   const float *k, const float *v)
{
    const int64_t lane = pos % MT_PAGE;
    for (int h = 0; h < n_kv; h++) {
        uint8_t *kp = page_of(kv, pos) + kv->k_off + (size_t)h * kv->k_head_bytes;
        uint8_t *vp = page_of(kv, pos) + kv->v_off + (size_t)h * kv->v_head_bytes;
        for (int d = 0; d < head_dim; d++)
            write_kv(kv->type, kp, d * MT_PAGE + lane, k[h * head_dim + d]);
        for (int d = 0; d < v_dim; d++)
            write_kv(kv->type, vp, lane * v_dim + d, v[h * v_dim + d]);
    }
}

/* Scores of one head over [lo, hi); returns their maximum, NaN skipped. */
static float score(const mt_attend *a, int head, int64_t lo, int64_t hi, float *s)
{
    const float *q = a->q + head * a->head_dim;
    float max = -INFINITY;
    for (int64_t j = lo; j < hi; j++) {
        const uint8_t *k = page_of(&a->kv, j) + a->kv.k_off + (size_t)a->h * a->kv.k_head_bytes;
        float dot = 0;
        for (int d = 0; d < a->head_dim; d++) {
            dot = fmaf(q[d], read_kv(a->kv.type, k, d * MT_PAGE + j % MT_PAGE), dot);
        }
        float x = a->scale * dot;
        if (a->softcap != 0.0f) x = a->softcap * mt_ref_tanh(x / a->softcap);
        if (a->bias) x += a->bias[(size_t)head * a->bias_stride + (size_t)j];
        s[j - lo] = x;
        max = x > max ? x : max;
    }
    return max;
}

static void attend_head(const mt_attend *a, int head)
{
    float *s = a->scratch, *acc = a->scratch + MT_CHUNK;
    float m = -INFINITY, l = 0;
    memset(acc, 0, (size_t)a->v_dim * sizeof(float));
    for (int64_t lo = a->lo; lo < a->hi; lo = (lo / MT_CHUNK + 1) * MT_CHUNK) {
        const int64_t hi = MT_MIN(a->hi, (lo / MT_CHUNK + 1) * MT_CHUNK);
        const float mc = score(a, head, lo, hi, s), to = mc > m ? mc : m;
        const float base = to == -INFINITY ? 0.0f : to;         /* nothing visible so far */
        const float shrink = mt_exp(m - base);
        float part[16] = {0};
        for (int64_t j = lo; j < hi; j++) {
            s[j - lo] = mt_exp(s[j - lo] - base);
            part[j % 16] += s[j - lo];
        }
        m = to;
        l = fmaf(l, shrink, mt_ref_tree(part));
        for (int d = 0; d < a->v_dim; d++) acc[d] *= shrink;
        for (int64_t j = lo; j < hi; j++) {
            const uint8_t *v =
                page_of(&a->kv, j) + a->kv.v_off + (size_t)a->h * a->kv.v_head_bytes;
            for (int d = 0; d < a->v_dim; d++) {
                acc[d] =
                    fmaf(s[j - lo], read_kv(a->kv.type, v, j % MT_PAGE * a->v_dim + d), acc[d]);
            }
        }
    }
    const float inv = 1.0f / l;
    for (int d = 0; d < a->v_dim; d++) a->out[head * a->v_dim + d] = acc[d] * inv;
}

static void attend(const mt_attend *a)
{
    for (int head = 0; head < a->n_q; head++) attend_head(a, head);
}

void mt_kern_init_attend_ref(mt_kern *t)
{
    t->kv_put = kv_put;
    t->attend = attend;
}

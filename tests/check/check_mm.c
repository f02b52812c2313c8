/* SPDX-License-Identifier: MIT */
/* check_mm.c - products of every layout: mm1, mmn, mmp and mmf.
 *
 * Each call is compared bit for bit with the reference; the reference and the level alike with
 * a sum in double: equal where every partial sum is representable (pass A), else within
 * 16 u sum |a b| (pass B). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "check_weights.h"

typedef void (*const *slots)(const mt_mm *);
typedef struct dims { int64_t n_out, k; int n_row; } dims;

/* ---- activations --------------------------------------------------------- */
typedef struct acts { mt_act a; float *value; /* (n_row, k) */ } acts;

/* 0 to MT_TOP values of each row that come beside the int8 ones, at ascending places, many of them
 * shared between rows. */
static void tops_make(acts *x, int n_row, int64_t k, weights_kind kind)
{
    const size_t n = (size_t)n_row * MT_TOP;
    int32_t *top = ck_mem(n * sizeof(int32_t), 0);
    float *top_x = ck_mem(n * sizeof(float), 0), *v = x->value;
    for (int i = 0; i < n_row; i++) {
        int64_t at = ck_int(0, 5);
        for (int t = 0; t < MT_TOP; t++, at += ck_int(1, (int)(k / 3) + 2)) {
            const bool is_there = at < k;
            const float y = kind == WEIGHTS_EXACT ? (float)ck_int(-15, 15) :
                            kind == WEIGHTS_NASTY ? ck_nasty() : ck_float(-300, 300);
            top[MT_TOP * i + t] = is_there ? (int32_t)at : -1;
            top_x[MT_TOP * i + t] = is_there ? y : 0;
            if (is_there) v[i * k + at] += y;
            else at = k;
        }
    }
    x->a.top = top, x->a.top_x = top_x;
}

static void acts_make(acts *x, int n_row, int64_t k, weights_kind kind, bool is_quant)
{
    /* Strides larger than the row; 64 readable bytes behind the last value. */
    const size_t ldx = (size_t)k + 3, ldq = (size_t)k + 32, ldg = (size_t)k / 32 + 1;
    const size_t n = (size_t)n_row;
    float *v = ck_plain(n * (size_t)k * sizeof(float) + 1);
    if (!is_quant) {
        float *f = ck_mem(n * ldx * sizeof(float), 64);
        for (int i = 0; i < n_row; i++) {
            for (int64_t j = 0; j < k; j++) {
                const float y = kind == WEIGHTS_EXACT ? (float)ck_int(-15, 15) :
                                kind == WEIGHTS_NASTY ? ck_nasty() : ck_float(-3, 3);
                f[(size_t)i * ldx + (size_t)j] = v[i * k + j] = y;
            }
        }
        *x = (acts){{.x = f, .ldx = ldx}, v};
        return;
    }
    int8_t *q = ck_mem(n * ldq, 64);
    float *scale = ck_mem(n * ldg * sizeof(float), 64);
    int32_t *isum = ck_mem(n * ldg * 2 * sizeof(int32_t), 64);
    for (int i = 0; i < n_row; i++) {
        for (int64_t g = 0; g < k / 32; g++) {
            const size_t at = (size_t)i * ldg + (size_t)g;
            const int all = kind == WEIGHTS_NASTY ? ck_int(0, 2) : 2;
            scale[at] = kind == WEIGHTS_EXACT ? (ck_int(0, 1) ? 1.0f : 0.5f) :
                        kind == WEIGHTS_NASTY ? fabsf(ck_nasty()) : ck_float(0.001f, 0.1f);
            isum[2 * at] = isum[2 * at + 1] = 0;
            for (int j = 0; j < 32; j++) {
                const int8_t b = (int8_t)(kind == WEIGHTS_EXACT ? ck_int(-15, 15) :
                                          all == 0 ? 127 : all == 1 ? -127 : ck_int(-127, 127));
                q[(size_t)i * ldq + (size_t)(32 * g + j)] = b;
                isum[2 * at + (size_t)(j / 16)] += b;
                v[i * k + 32 * g + j] = scale[at] * (float)b;
            }
        }
    }
    *x = (acts){{.q = q, .scale = scale, .isum = isum, .ldq = ldq, .ldg = ldg}, v};
    tops_make(x, n_row, k, kind);
}

/* ---- one product --------------------------------------------------------- */
/* out against a double sum; exact: equal, else within the bound. */
static void against_double(const weights *w, const acts *x, const mt_mm *m, const float *before,
                           const float *out, const char *who, bool exact)
{
    /* A float product has one ascending accumulator over k terms, a quantised one over k/32. */
    const double units = m->a.x ? fmax(16, (double)m->k / 8) : 16;
    for (int i = 0; i < m->n_row; i++) {
        for (int64_t o = m->p0 * MT_PANEL; o < MT_MIN(m->p1 * MT_PANEL, m->n_out); o++) {
            double sum = 0, abs = 0;
            for (int64_t k = 0; k < m->k; k++) {
                const double b = (double)x->value[i * m->k + k];
                sum += (double)w->value[o * m->k + k] * b;
                abs += fabs((double)w->size[o * m->k + k] * b);
            }
            const size_t at = (size_t)i * m->ldo + (size_t)o;
            if (m->bias) sum += (double)m->bias[o], abs += fabs((double)m->bias[o]);
            if (m->add) sum += (double)before[at], abs += fabs((double)before[at]);
            const double bound = exact ? 0 : units * 0x1p-24 * abs + 1e-37;
            if (!isfinite((float)abs)) continue;    /* may overflow on the way */
            const double err = fabs((double)out[at] - sum);
            if (err > bound) {
                ck_that(false, "%s row %d out %lld: expected %.9g, got %.9g, bound %.3g", who,
                        i, (long long)o, sum, (double)out[at], bound);
                return;
            }
        }
    }
    ck_that(true, "%s", who);
}

static void product(void (*f)(const mt_mm *), void (*ref)(const mt_mm *), bool is_quant,
                    const char *slot, mt_layout lay, dims d, weights_kind kind, bool add,
                    bool has_bias)
{
    static const char *const kinds[] = {"random", "exact", "nasty"};
    ck_shape("%s_%s %s n_out=%lld k=%lld n_row=%d add=%d bias=%d", slot, mt_layouts[lay].name,
             kinds[kind], (long long)d.n_out, (long long)d.k, d.n_row, add, has_bias);
    weights w;
    acts x;
    weights_make(&w, lay, d.n_out, d.k, kind);
    acts_make(&x, d.n_row, d.k, kind, is_quant);
    const int64_t panels = (d.n_out + MT_PANEL - 1) / MT_PANEL;
    const size_t ldo = (size_t)d.n_out + 5, n = ldo * (size_t)d.n_row;
    float *before = ck_plain(n * sizeof(float) + 1), *bias = NULL;
    float *got = ck_mem(n * sizeof(float), 0), *expected = ck_plain(n * sizeof(float) + 1);
    for (size_t i = 0; i < n; i++) {
        before[i] = kind == WEIGHTS_EXACT ? (float)ck_int(-99, 99) : ck_float(-2, 2);
    }
    memcpy(got, before, n * sizeof(float));
    memcpy(expected, before, n * sizeof(float));
    if (has_bias) bias = ck_mem((size_t)d.n_out * sizeof(float), 0);
    for (int64_t i = 0; bias && i < d.n_out; i++) {
        bias[i] = kind == WEIGHTS_EXACT ? (float)ck_int(-99, 99) : ck_float(-1, 1);
    }
    /* Any panel range: the rest of out must stay. */
    const int64_t p0 = panels > 2 ? ck_int(0, 1) : 0,
                  p1 = panels > 2 ? panels - ck_int(0, 1) : panels;
    mt_mm m = {.layout = lay,
               .w = w.packed,
               .k = d.k,
               .n_out = d.n_out,
               .p0 = p0,
               .p1 = p1,
               .a = x.a,
               .n_row = d.n_row,
               .out = expected,
               .ldo = ldo,
               .bias = bias,
               .add = add,
               .scratch = ck_mem(mt_mm_scratch(lay, d.k), 0)};
    ref(&m);
    if (f != ref) {
        m.out = got;
        f(&m);
        ck_same("out", got, expected, n);
    }
    if (kind == WEIGHTS_EXACT && mt_layouts[lay].is_quant && d.k > 600)
        return; /* not exact any more */
    against_double(&w, &x, &m, before, expected, f == ref ? "out" : "ref",
                   kind == WEIGHTS_EXACT);
    ck_canaries();
}

static void all_shapes(slots now, slots ref, const char *slot, mt_layout lay, int max_row,
                       bool is_float)
{
    static const int64_t outs[] = {1, 15, 16, 17, 31, 32, 33, 61, 97, 160};
    const mt_layout_info *l = &mt_layouts[lay];
    const bool is_quant = l->is_quant && !is_float;
    const int n = ck_quick ? 4 : 10;
    const int64_t step = weights_step(lay);
    for (int i = 0; i < 3 * n; i++) {
        dims d = {.n_out = outs[ck_bits() % MT_COUNT(outs)], .n_row = ck_int(1, max_row)};
        if (step == 1) d.k = i % n == 0 ? 1 : ck_int(1, 130);
        else d.k = step * (i % n == 0 ? 1 : ck_int(1, step == 32 ? 9 : 3));
        if (i % n == 1) d.n_row = max_row;
        product(now[lay], ref[lay], is_quant, slot, lay, d, (weights_kind)(i / n), ck_int(0, 1),
                ck_int(0, 1));
    }
    if (ck_quick) return;
    /* Shapes of real models. */
    const int64_t k = step > 64 ? 1536 : 576;
    product(now[lay], ref[lay], is_quant, slot, lay, (dims){192, k, MT_MIN(max_row, 7)},
            WEIGHTS_RANDOM, false, false);
    product(now[lay], ref[lay], is_quant, slot, lay, (dims){64, 1536, MT_MIN(max_row, 3)},
            WEIGHTS_RANDOM, true, false);
    if (max_row > 16) {
        product(now[lay], ref[lay], is_quant, slot, lay, (dims){65, 512, 151}, WEIGHTS_RANDOM,
                false, true);
    }
}

static void all_layouts(slots now, slots ref, const char *slot, int max_row, bool is_float)
{
    for (int lay = 0; lay < MT_LAY_COUNT; lay++) {
        if (!is_float && !mt_layouts[lay].is_quant) continue;
        all_shapes(now, ref, slot, (mt_layout)lay, max_row, is_float);
    }
}

static void mm1(void) { all_layouts(ck_kern->mm1, ck_ref->mm1, "mm1", 1, false); }
static void mmn(void) { all_layouts(ck_kern->mmn, ck_ref->mmn, "mmn", 16, false); }
static void mmp(void) { all_layouts(ck_kern->mmp, ck_ref->mmp, "mmp", 20, false); }
static void mmf(void) { all_layouts(ck_kern->mmf, ck_ref->mmf, "mmf", 20, true); }

/* ---- speed --------------------------------------------------------------- */
typedef struct job { void (*f)(const mt_mm *); mt_mm m; } job;
static void mm_job(const void *arg)
{
    const job *j = arg;
    j->f(&j->m);
}

static void bench_one(slots f, const char *slot, mt_layout lay, dims d, bool is_quant)
{
    weights w;
    acts x;
    ck_shape("bench");
    weights_make(&w, lay, d.n_out, d.k, WEIGHTS_RANDOM);
    acts_make(&x, d.n_row, d.k, WEIGHTS_RANDOM, is_quant);
    float *out = ck_plain((size_t)(d.n_out * d.n_row) * sizeof(float));
    job j = {f[lay],
             {.layout = lay,
              .w = w.packed,
              .k = d.k,
              .n_out = d.n_out,
              .p1 = (d.n_out + 31) / 32,
              .a = x.a,
              .n_row = d.n_row,
              .out = out,
              .ldo = (size_t)d.n_out,
              .scratch = ck_plain(mt_mm_scratch(lay, d.k))}};
    char name[96];
    snprintf(name, sizeof name, "%s_%s %lldx%lld r%d", slot, mt_layouts[lay].name,
             (long long)d.n_out, (long long)d.k, d.n_row);
    if (d.n_row == 1)
        ck_rate(name, (double)mt_packed_bytes(lay, d.n_out, d.k), "GB/s", mm_job, &j);
    else ck_rate(name, (double)d.n_out * (double)d.k * d.n_row, "GMAC/s", mm_job, &j);
}

static void bench_slot(slots f, const char *slot, int n_row, bool is_float)
{
    for (int lay = 0; lay < MT_LAY_COUNT; lay++) {
        if (!is_float && !mt_layouts[lay].is_quant) continue;
        const int64_t k = weights_step((mt_layout)lay) > 64 ? 768 : 576;
        bench_one(f, slot, (mt_layout)lay, (dims){1536, k, n_row}, !is_float);
    }
    if (!is_float) bench_one(f, slot, MT_LAY_W4M, (dims){576, 1536, n_row}, true);
}

static void bench_mm1(void) { bench_slot(ck_kern->mm1, "mm1", 1, false); }
static void bench_mmn(void)
{
    bench_slot(ck_kern->mmn, "mmn", 4, false);
    bench_slot(ck_kern->mmn, "mmn", 8, false);
}
static void bench_mmp(void) { bench_slot(ck_kern->mmp, "mmp", 128, false); }
static void bench_mmf(void)
{
    bench_slot(ck_kern->mmf, "mmf", 1, true);
    bench_slot(ck_kern->mmf, "mmf", 48, true);
}

const ck_case ck_mm_cases[] = {
    {"mm1", mm1, bench_mm1, CK_SLOT(mm1)},
    {"mmn", mmn, bench_mmn, CK_SLOT(mmn)},
    {"mmp", mmp, bench_mmp, CK_SLOT(mmp)},
    {"mmf", mmf, bench_mmf, CK_SLOT(mmf)},
    {0},
};

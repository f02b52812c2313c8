/* SPDX-License-Identifier: MIT */
/* check_vec.c - quantise, norms, activation functions, rope, arg-max and log-sum-exp.
 *
 * Every level gives the reference's bits on any input, special values included; the reference
 * is held to a double computation with the tolerances of docs/numerics.md. */
#include <math.h>
#include <string.h>

#include "check.h"

typedef enum fill { RANDOM, EXACT, NASTY, SPECIAL, N_FILL } fill;

static float draw(fill how)
{
    static const float special[] = {NAN,     INFINITY, -INFINITY, -0.0f,  0.0f,
                                    1e-42f,  -1e-45f,  3e38f,     88.72f, 88.73f,
                                    -87.33f, -87.34f,  0.625f,    1.0f,   -14.0f};
    switch (how) {
    case RANDOM: return ck_float(-9, 9);
    case EXACT: return (float)ck_int(-15, 15);
    case NASTY: return ck_nasty();
    case SPECIAL:
        return ck_int(0, 2) ? ck_float(-100, 100) : special[ck_bits() % MT_COUNT(special)];
    case N_FILL: break;
    }
    return 0;
}

static float *vector(int64_t n, fill how, size_t slack)
{
    float *x = ck_mem((size_t)n * sizeof(float), slack);
    for (int64_t i = 0; i < n; i++) x[i] = draw(how);
    return x;
}

static const int64_t sizes[] = {0, 1, 2, 15, 16, 17, 31, 32, 33, 61, 97, 576, 1536, 4099};
#define EACH_SIZE(n)                                                              \
    for (size_t z_ = 0; z_ < (ck_quick ? 12 : MT_COUNT(sizes)); z_++)             \
        for (int64_t n = sizes[z_], once_ = 1; once_; once_ = 0)
#define EACH_DIM(dims, i) for (size_t i = 0; i < MT_COUNT(dims); i++)
#define EACH_FILL(how) for (fill how = RANDOM; how < N_FILL; how++)

/* ---- quantise ------------------------------------------------------------ */
static void quantize(void)
{
    EACH_FILL(how) {
        for (int64_t n = 0; n <= (ck_quick ? 96 : 1536); n = n < 96 ? n + 32 : n * 2) {
            ck_shape("n=%lld fill=%d", (long long)n, how);
            const size_t g = (size_t)n / 32;
            float *x = vector(n, how, n % 64 ? 4 : 0);
            for (int64_t i = 0; n && i < 5; i++) x[(i * 37) % n] *= how == RANDOM ? 1e-3f : 1;
            /* A subnormal scale: its inverse is infinite, so the clamp decides. */
            for (int64_t i = 0; i < MT_MIN(n, 32) && how == NASTY; i++) {
                x[i] = (float)ck_int(-9, 9) * 1e-43f;
            }
            int8_t *q = ck_mem((size_t)n, 1), *rq = ck_plain((size_t)n + 1);
            float *s = ck_mem(g * 4, 4), *rs = ck_plain(g * 4 + 1);
            int32_t *sum = ck_mem(g * 8, 4), *rsum = ck_plain(g * 8 + 1);
            ck_kern->quantize(x, n, q, s, sum);
            ck_ref->quantize(x, n, rq, rs, rsum);
            ck_same("scale", s, rs, g);
            ck_that(memcmp(q, rq, (size_t)n) == 0, "codes differ");
            ck_that(memcmp(sum, rsum, g * 8) == 0, "sums differ");
            ck_canaries();
            double worst = 0;
            for (int64_t i = 0; i < n && how < SPECIAL; i++) {
                const double unit = (double)rs[i / 32];
                if (unit > 1e-30) worst = fmax(worst, fabs((double)x[i] - unit * rq[i]) / unit);
            }
            ck_that(worst <= 0.5001, "a value is %g steps from its code", worst);
        }
    }
}

/* Rows with a few large values, equal ones, zeros, NaN and infinity. */
static void quantize_top(void)
{
    EACH_FILL(how) {
        for (int64_t n = 32; n <= (ck_quick ? 160 : 1536); n = n < 160 ? n + 32 : n * 2) {
            ck_shape("n=%lld fill=%d", (long long)n, how);
            const size_t g = (size_t)n / 32;
            float *x = vector(n, how, n % 64 ? 4 : 0);
            for (int64_t i = 0; i < 6; i++) x[ck_int(0, (int)n - 1)] *= how == RANDOM ? 100.0f : 1;
            if (how == RANDOM && n >= 96) x[70] = -(x[5] = 1e3f);
            mt_q8 a = {ck_mem((size_t)n, 1), ck_mem(g * 4, 4), ck_mem(g * 8, 4), ck_mem(MT_TOP * 4, 4),
                       ck_mem(MT_TOP * 4, 4)};
            mt_q8 b = {ck_plain((size_t)n), ck_plain(g * 4), ck_plain(g * 8), ck_plain(MT_TOP * 4),
                       ck_plain(MT_TOP * 4)};
            ck_kern->quantize_top(x, n, &a);
            ck_ref->quantize_top(x, n, &b);
            ck_same("scale", a.scale, b.scale, g);
            ck_same("values", a.top_x, b.top_x, MT_TOP);
            ck_that(memcmp(a.q, b.q, (size_t)n) == 0, "codes differ");
            ck_that(memcmp(a.isum, b.isum, g * 8) == 0, "sums differ");
            ck_that(memcmp(a.top, b.top, MT_TOP * 4) == 0, "places differ");
            ck_canaries();
            double worst = 0;
            for (int64_t i = 0; i < n && how < SPECIAL; i++) {
                const double unit = (double)b.scale[i / 32];
                double rest = (double)x[i];
                for (int t = 0; t < MT_TOP; t++) rest -= b.top[t] == i ? (double)b.top_x[t] : 0;
                if (unit > 1e-30) worst = fmax(worst, fabs(rest - unit * b.q[i]) / unit);
            }
            ck_that(worst <= 0.5001, "a value is %g steps from its code", worst);
        }
    }
}

static void round_bf16(void)
{
    EACH_FILL(how) EACH_SIZE(n) {
        ck_shape("n=%lld fill=%d", (long long)n, how);
        float *x = vector(n, how, 0), *out = ck_mem((size_t)n * 4, 0),
              *ref = ck_plain((size_t)n * 4 + 1);
        ck_ref->round_bf16(x, n, ref);
        ck_kern->round_bf16(x, n, out);
        ck_same("out", out, ref, (size_t)n);
        ck_kern->round_bf16(x, n, x);
        ck_same("in place", x, ref, (size_t)n);
        ck_canaries();
    }
}

/* ---- norms --------------------------------------------------------------- */
static double mean_of(const float *x, int64_t n, double shift, int power)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += pow((double)x[i] - shift, power);
    return s / (double)n;
}

static void rms_norm(void)
{
    EACH_FILL(how) EACH_SIZE(n) {
        const float eps = 1e-5f, plus = ck_int(0, 1) ? 1.0f : 0.0f;
        ck_shape("n=%lld fill=%d plus=%g", (long long)n, how, (double)plus);
        float *x = vector(n, how, 0), *w = ck_int(0, 3) ? vector(n, RANDOM, 0) : NULL;
        float *out = ck_mem((size_t)n * 4, 0), *ref = ck_plain((size_t)n * 4 + 1);
        ck_ref->rms_norm(x, w, n, eps, plus, ref);
        ck_kern->rms_norm(x, w, n, eps, plus, out);
        ck_same("out", out, ref, (size_t)n);
        const double r = 1 / sqrt(mean_of(x, n, 0, 2) + (double)eps);
        for (int64_t i = 0; i < n && how < NASTY; i++) {
            const double y = (double)x[i] * r * (double)((w ? w[i] : 1.0f) + plus);
            ck_that(fabs((double)ref[i] - y) <= 8 * 0x1p-24 * fabs(y),
                    "out[%lld]: expected %.9g, got %.9g", (long long)i, y, (double)ref[i]);
        }
        ck_kern->rms_norm(x, w, n, eps, plus, x);
        ck_same("in place", x, ref, (size_t)n);
        ck_canaries();
    }
}

static void layer_norm(void)
{
    EACH_FILL(how) EACH_SIZE(n) {
        const float eps = 1e-5f;
        ck_shape("n=%lld fill=%d", (long long)n, how);
        float *x = vector(n, how, 0), *w = ck_int(0, 3) ? vector(n, RANDOM, 0) : NULL;
        float *b = ck_int(0, 3) ? vector(n, RANDOM, 0) : NULL;
        float *out = ck_mem((size_t)n * 4, 0), *ref = ck_plain((size_t)n * 4 + 1);
        ck_ref->layer_norm(x, w, b, n, eps, ref);
        ck_kern->layer_norm(x, w, b, n, eps, out);
        ck_same("out", out, ref, (size_t)n);
        const double mean = mean_of(x, n, 0, 1),
                     r = 1 / sqrt(mean_of(x, n, mean, 2) + (double)eps);
        for (int64_t i = 0; i < n && how < NASTY && n > 1; i++) {
            const double g = w ? (double)w[i] : 1, h = b ? (double)b[i] : 0;
            const double y = ((double)x[i] - mean) * r * g + h;
            const double size = (fabs((double)x[i]) + 15) * r * fabs(g) + fabs(h);
            ck_that(fabs((double)ref[i] - y) <= 8 * 0x1p-24 * size,
                    "out[%lld]: expected %.9g, got %.9g", (long long)i, y, (double)ref[i]);
        }
        ck_kern->layer_norm(x, w, b, n, eps, x);
        ck_same("in place", x, ref, (size_t)n);
        ck_canaries();
    }
}

/* ---- functions of one value ---------------------------------------------- */
static double exact_act(mt_act_kind kind, double x)
{
    const double a = 2 * sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x);
    switch (kind) {
    case MT_ACT_NONE: return x;
    case MT_ACT_RELU: return x < 0 ? 0 : x;
    case MT_ACT_RELU2: return x < 0 ? 0 : x * x;
    case MT_ACT_GELU_ERF: return x * 0.5 * erfc(-x * 0.70710678118654752440);
    case MT_ACT_GELU_TANH: return x / (1 + exp(-a));
    case MT_ACT_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case MT_ACT_SILU: return x / (1 + exp(-x));
    case MT_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case MT_ACT_TANH: return tanh(x);
    }
    return 0;
}

/* Allowed distance in ulp: 4; 8 for gelu_erf below 1, a chain of nine roundings; and where the
 * exponent is rounded before exp, also the effect of its roundings, an ulp of the exponent each. */
static double act_bound(mt_act_kind kind, double x)
{
    if (kind == MT_ACT_QUICK_GELU) return 4 + 2 * 1.702 * fabs(x);
    if (kind == MT_ACT_GELU_TANH) return 4 + 4 * fabs(1.6 * x * (1 + 0.044715 * x * x));
    return kind == MT_ACT_GELU_ERF && x < 1 ? 8 : 4;
}

static void accuracy(mt_act_kind kind)
{
    double worst = 0;
    float at = 0;
    const int n = ck_quick ? 4000 : 100000;
    float x[64], y[64];
    ck_shape("accuracy kind=%d", kind);
    for (int i = 0; i < n; i += 64) {
        for (int j = 0; j < 64; j++)
            x[j] = ck_int(0, 1) ? ck_float(-20, 20) : ck_float(-1, 1) * ck_float(0, 1);
        ck_ref->act(kind, x, 64, y);
        for (int j = 0; j < 64; j++) {
            const double e = exact_act(kind, (double)x[j]);
            if (fabs(e) < 1e-36) continue;      /* where e^x leaves the normal numbers */
            const double u = ck_ulp(y[j], e) / act_bound(kind, (double)x[j]);
            if (u > worst) worst = u, at = x[j];
        }
    }
    ck_that(worst <= 1, "kind %d at %a: %.2f of the bound", kind, (double)at, worst);
}

static void act(void)
{
    for (int kind = 0; kind <= MT_ACT_TANH; kind++) {
        accuracy((mt_act_kind)kind);
        EACH_FILL(how) EACH_SIZE(n) {
            ck_shape("kind=%d n=%lld fill=%d", kind, (long long)n, how);
            float *x = vector(n, how, 0), *out = ck_mem((size_t)n * 4, 0),
                  *ref = ck_plain((size_t)n * 4 + 1);
            ck_ref->act((mt_act_kind)kind, x, n, ref);
            ck_kern->act((mt_act_kind)kind, x, n, out);
            ck_same("out", out, ref, (size_t)n);
            ck_kern->act((mt_act_kind)kind, x, n, x);
            ck_same("in place", x, ref, (size_t)n);
            ck_canaries();
        }
    }
}

static void act_mul(void)
{
    for (int kind = 0; kind <= MT_ACT_TANH; kind++) {
        EACH_FILL(how) EACH_SIZE(n) {
            ck_shape("kind=%d n=%lld fill=%d", kind, (long long)n, how);
            float *x = vector(n, how, 0), *u = vector(n, RANDOM, 0);
            float *out = ck_mem((size_t)n * 4, 0), *ref = ck_plain((size_t)n * 4 + 1);
            ck_ref->act_mul((mt_act_kind)kind, x, u, n, ref);
            ck_kern->act_mul((mt_act_kind)kind, x, u, n, out);
            ck_same("out", out, ref, (size_t)n);
            ck_canaries();
        }
    }
}

static void exp_accuracy(void)
{
    double worst = 0;
    float at = 0;
    ck_shape("exp");
    for (int i = 0; i < (ck_quick ? 20000 : 1000000); i++) {
        const float x = ck_float(-87.33f, 88.72f);
        const double u = ck_ulp(mt_exp(x), exp((double)x));
        if (u > worst) worst = u, at = x;
    }
    ck_that(worst <= 2, "at %a: %.3f ulp", (double)at, worst);
    ck_that(mt_exp(-87.34f) == 0 && mt_exp(-INFINITY) == 0, "far below is not 0");
    ck_that(isinf(mt_exp(88.73f)) && isinf(mt_exp(INFINITY)), "far above is not inf");
    ck_that(isnan(mt_exp(NAN)) && mt_exp(0.0f) == 1 && mt_exp(-0.0f) == 1, "NaN or zero");
}

static void elementwise(void)
{
    EACH_FILL(how) EACH_SIZE(n) {
        ck_shape("n=%lld fill=%d", (long long)n, how);
        float *a = vector(n, how, 0), *b = vector(n, how, 0);
        float *out = ck_mem((size_t)n * 4, 0), *ref = ck_plain((size_t)n * 4 + 1);
        ck_ref->add(a, b, n, ref);
        ck_kern->add(a, b, n, out);
        ck_same("add", out, ref, (size_t)n);
        ck_ref->mul(a, b, n, ref);
        ck_kern->mul(a, b, n, out);
        ck_same("mul", out, ref, (size_t)n);
        ck_ref->scale(a, 0.3f, n, ref);
        ck_kern->scale(a, 0.3f, n, out);
        ck_same("scale", out, ref, (size_t)n);
        ck_ref->exp(a, n, ref);
        ck_kern->exp(a, n, out);
        ck_same("exp", out, ref, (size_t)n);
        ck_ref->add(a, b, n, ref);
        ck_kern->add(a, b, n, a);
        ck_same("add in place", a, ref, (size_t)n);
        ck_canaries();
    }
}

static void rope(void)
{
    static const int dims[][2] = {{64, 64}, {2, 2},   {80, 32}, {128, 128},
                                  {96, 26}, {64, 34}, {20, 0}};
    EACH_FILL(how) EACH_DIM(dims, i) for (int pair = 0; pair < 2; pair++) {
        const int dim = dims[i][0], turned = dims[i][1], heads = ck_int(1, 5),
                  half = turned / 2;
        ck_shape("heads=%d dim=%d rope=%d pair=%d fill=%d", heads, dim, turned, pair, how);
        float *x = vector(heads * dim, how, 0), *ref = ck_plain((size_t)(heads * dim) * 4);
        float *before = ck_plain((size_t)(heads * dim) * 4);
        float *c = ck_mem((size_t)half * 4, 0), *s = ck_mem((size_t)half * 4, 0);
        for (int j = 0; j < half; j++) {
            const float angle = ck_float(-3, 3);
            c[j] = cosf(angle);
            s[j] = sinf(angle);
        }
        memcpy(ref, x, (size_t)(heads * dim) * 4);
        memcpy(before, x, (size_t)(heads * dim) * 4);
        ck_ref->rope(ref, heads, dim, turned, c, s, pair);
        ck_kern->rope(x, heads, dim, turned, c, s, pair);
        ck_same("x", x, ref, (size_t)(heads * dim));
        ck_canaries();
        for (int h = 0; h < heads && how < NASTY; h++) for (int j = 0; j < half; j++) {
            const int ia = h * dim + (pair ? 2 * j : j), ib = pair ? ia + 1 : ia + half;
            const double a = (double)before[ia] * (double)c[j],
                         b = (double)before[ib] * (double)s[j];
            ck_that(fabs((double)ref[ia] - (a - b)) <= 0x1p-23 * (fabs(a) + fabs(b)),
                    "turned value");
        }
    }
}

/* ---- over a vocabulary --------------------------------------------------- */
static void best(void)
{
    EACH_FILL(how) EACH_SIZE(n) for (int round = 0; round < 4; round++) {
        ck_shape("n=%lld fill=%d round=%d", (long long)n, how, round);
        float *x = vector(n, how, 0);
        for (int64_t i = 0; i < n && round == 1; i++) x[i] = -INFINITY;
        for (int64_t i = 0; i < n && round == 2; i++) x[i] = i % 3 ? NAN : -INFINITY;
        for (int64_t i = 0; i < n && round == 3; i++) x[i] = NAN;
        float v = 0, rv = 0;
        const int64_t at = ck_kern->best(x, n, &v), expected = ck_ref->best(x, n, &rv);
        ck_that(at == expected, "expected index %lld, got %lld", (long long)expected,
                (long long)at);
        if (expected >= 0) ck_same("value", &v, &rv, 1);
        int64_t plain = -1;
        for (int64_t i = 0; i < n; i++)
            if (!isnan(x[i]) && (plain < 0 || x[i] > x[plain])) plain = i;
        ck_that(plain == expected, "reference: expected index %lld, got %lld", (long long)plain,
                (long long)expected);
    }
}

static void log_sum_exp(void)
{
    EACH_FILL(how) EACH_SIZE(n) {
        ck_shape("n=%lld fill=%d", (long long)n, how);
        float *x = vector(n, how, 0);
        const double got = ck_kern->log_sum_exp(x, n), ref = ck_ref->log_sum_exp(x, n);
        ck_that(got == ref || (isnan(got) && isnan(ref)), "expected %.17g, got %.17g", ref,
                got);
        if (how >= NASTY || n == 0) continue;
        double s = 0;
        for (int64_t i = 0; i < n; i++) s += exp((double)x[i]);
        ck_that(fabs(ref - log(s)) <= 1e-6, "reference: expected %.9g, got %.9g", log(s), ref);
    }
}

/* ---- speed --------------------------------------------------------------- */
typedef struct job {
    int64_t n;
    float *x, *y, *out;
    int8_t *q;
    float *scale;
    int32_t *isum;
} job;
static void j_quantize(const void *p)
{
    const job *j = p;
    ck_kern->quantize(j->x, j->n, j->q, j->scale, j->isum);
}
static void j_quantize_top(const void *p)
{
    const job *j = p;
    int32_t top[MT_TOP];
    float top_x[MT_TOP];
    ck_kern->quantize_top(j->x, j->n, &(mt_q8){j->q, j->scale, j->isum, top, top_x});
}
static void j_rms(const void *p)
{
    const job *j = p;
    ck_kern->rms_norm(j->x, j->y, j->n, 1e-5f, 0, j->out);
}
static void j_layer(const void *p)
{
    const job *j = p;
    ck_kern->layer_norm(j->x, j->y, j->y, j->n, 1e-5f, j->out);
}
static void j_silu(const void *p)
{
    const job *j = p;
    ck_kern->act_mul(MT_ACT_SILU, j->x, j->y, j->n, j->out);
}
static void j_gelu(const void *p)
{
    const job *j = p;
    ck_kern->act(MT_ACT_GELU_ERF, j->x, j->n, j->out);
}
static void j_add(const void *p) { const job *j = p; ck_kern->add(j->x, j->y, j->n, j->out); }
static void j_rope(const void *p)
{
    const job *j = p;
    ck_kern->rope(j->out, (int)(j->n / 64), 64, 64, j->y, j->y + 32, false);
}
static void j_best(const void *p) { const job *j = p; float v; ck_kern->best(j->x, j->n, &v); }
static void j_lse(const void *p) { const job *j = p; ck_kern->log_sum_exp(j->x, j->n); }

static void time_one(const char *name, int64_t n, void (*work)(const void *))
{
    ck_shape("bench");
    job j = {.n = n,
             .x = ck_plain((size_t)n * 4),
             .y = ck_plain((size_t)n * 4),
             .out = ck_plain((size_t)n * 4),
             .q = ck_plain((size_t)n),
             .scale = ck_plain((size_t)n),
             .isum = ck_plain((size_t)n)};
    for (int64_t i = 0; i < n; i++) {
        j.x[i] = ck_float(-4, 4);
        j.y[i] = j.out[i] = ck_float(-1, 1);
    }
    ck_rate(name, (double)n, "G values/s", work, &j);
}
static void b_quantize(void)
{
    time_one("quantize 576", 576, j_quantize);
    time_one("quantize 1536", 1536, j_quantize);
}
static void b_quantize_top(void)
{
    time_one("quantize_top 576", 576, j_quantize_top);
    time_one("quantize_top 1536", 1536, j_quantize_top);
}
static void b_rms(void) { time_one("rms_norm 576", 576, j_rms); }
static void b_layer(void) { time_one("layer_norm 576", 576, j_layer); }
static void b_act(void) { time_one("gelu_erf 1536", 1536, j_gelu); }
static void b_act_mul(void) { time_one("silu*u 1536", 1536, j_silu); }
static void b_add(void) { time_one("add 576", 576, j_add); }
static void b_rope(void) { time_one("rope 576", 576, j_rope); }
static void b_best(void) { time_one("best 49152", 49152, j_best); }
static void b_lse(void) { time_one("log_sum_exp 49152", 49152, j_lse); }

const ck_case ck_vec_cases[] = {
    {"exp", exp_accuracy, NULL, 0, 0},
    {"quantize", quantize, b_quantize, CK_SLOT(quantize)},
    {"quantize_top", quantize_top, b_quantize_top, CK_SLOT(quantize_top)},
    {"round_bf16", round_bf16, NULL, CK_SLOT(round_bf16)},
    {"rms_norm", rms_norm, b_rms, CK_SLOT(rms_norm)},
    {"layer_norm", layer_norm, b_layer, CK_SLOT(layer_norm)},
    {"act", act, b_act, CK_SLOT(act)},
    {"act_mul", act_mul, b_act_mul, CK_SLOT(act_mul)},
    {"elementwise", elementwise, b_add, offsetof(mt_kern, add), 4 * sizeof(void *)},
    {"rope", rope, b_rope, CK_SLOT(rope)},
    {"best", best, b_best, CK_SLOT(best)},
    {"log_sum_exp", log_sum_exp, b_lse, CK_SLOT(log_sum_exp)},
    {0},
};

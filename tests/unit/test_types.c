/* SPDX-License-Identifier: MIT */
/* test_types.c - every element type runs: a tiny model whose matrices become random blocks of one type
 * at a time goes through the plan, and equals the interpreter, which decodes the same blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "support/verified.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/model.h"
#include "plan/interp.h"

enum { N_TOKEN = 40, MAX_MATRIX = 16, SEED = 7 };

static uint32_t seed;
static uint32_t draw(void) { return (seed = seed * 1664525u + 1013904223u) >> 8; }
static int between(int lo, int hi) { return lo + (int)(draw() % (uint32_t)(hi - lo + 1)); }

static void must(mote_status st, const mote_error *err)
{
    if (st != MOTE_OK) fail_msg("%s: %s", mote_status_name(st), err->text);
}

/* ---- random blocks --------------------------------------------------------------------------------- */
/* Where the scale of a block lies, and how large it is for values of about 0.06. */
typedef struct recipe { mt_type type; enum { F16, F32, OTHER } kind; int at; float scale; } recipe;
static const recipe recipes[] = {
    {MT_Q4_0, F16, 0, 0.013f},      {MT_IQ4_NL, F16, 0, 0.001f},     {MT_IQ4_XS, F16, 0, 5e-5f},
    {MT_IQ1_S, F16, 0, 0.009f},     {MT_IQ1_M, OTHER, 0, 0.009f},    {MT_IQ2_XXS, F16, 0, 0.0012f},
    {MT_IQ2_XS, F16, 0, 0.0012f},   {MT_IQ2_S, F16, 0, 0.0012f},     {MT_IQ3_XXS, F16, 0, 0.0004f},
    {MT_IQ3_S, F16, 0, 0.0004f},    {MT_TQ1_0, F16, 52, 0.075f},     {MT_TQ2_0, F16, 64, 0.05f},
    {MT_MXFP4, OTHER, 0, 0},        {MT_NVFP4, OTHER, 0, 0},         {MT_Q1_0, F16, 0, 0.06f},
    {MT_Q8_1, F32, 0, 0.0008f},     {MT_Q8_K, F32, 0, 0.0008f},      {MT_F8_E4M3, OTHER, 0, 0},
    {MT_F8_E5M2, OTHER, 0, 0},      {MT_F8_32, F32, 0, 0.06f},       {MT_G4, F16, 0, 0.013f},
    {MT_G8, F16, 0, 0.0008f},       {MT_M8, F16, 0, 0.0008f},        {MT_NF4, F16, 0, 0.0009f},
    {MT_FP4, F16, 0, 0.001f},
};

static void put_half(uint8_t *p, float f)
{
    const uint16_t h = mt_f32_to_f16(f);
    p[0] = (uint8_t)h, p[1] = (uint8_t)(h >> 8);
}

static void fill_block(const recipe *r, uint8_t *b)
{
    const float d = r->scale * (0.5f + (float)(draw() % 1000) / 1000);
    for (int i = 0; i < mt_type_of(r->type)->bytes; i++) b[i] = (uint8_t)draw();
    if (r->kind == F16) put_half(b + r->at, d);
    if (r->kind == F32) memcpy(b + r->at, &d, sizeof d);
    switch ((int)r->type) {
    case MT_IQ1_M: {
        const uint16_t h = mt_f32_to_f16(d);
        for (int i = 0; i < 4; i++) b[49 + 2 * i] = (uint8_t)((b[49 + 2 * i] & 15) | (h >> 4 * i & 15) << 4);
        break;
    }
    case MT_MXFP4: b[0] = (uint8_t)between(121, 122); break;
    case MT_NVFP4:
        for (int i = 0; i < 4; i++) b[i] = (uint8_t)(8 | (b[i] & 7));
        break;
    case MT_G4: b[2] = (uint8_t)between(7, 9); break;
    case MT_G8: b[2] = (uint8_t)between(120, 136); break;
    case MT_M8: put_half(b + 2, d * -128); break;
    case MT_F8_E4M3: b[0] = (uint8_t)((b[0] & 0x87) | between(2, 3) << 3); break;
    case MT_F8_E5M2: b[0] = (uint8_t)((b[0] & 0x83) | between(10, 11) << 2); break;
    case MT_F8_32:
        for (int i = 4; i < 36; i++) b[i] = (uint8_t)((b[i] & 0x87) | between(5, 7) << 3);
        break;
    }
}

/* ---- the model ------------------------------------------------------------------------------------- */

static mote_model *open_model(void)
{
    const char *root = getenv("MOTE_SOURCE");
    char path[512];
    mote_model *m;
    mote_error err;
    snprintf(path, sizeof path, "%s/tests/golden/tiny_k.gguf", root ? root : ".");
    must(mote_model_open(&m, path, NULL, &err), &err);
    return m;
}

/* Turns every matrix whose rows are whole blocks into blocks of the type; returns how many. */
static int retype(mote_model *m, const recipe *r, uint8_t *made[MAX_MATRIX])
{
    const mt_type_info *info = mt_type_of(r->type);
    mote_error err;
    int n = 0;
    for (size_t i = 0; i < m->source->n_tensor; i++) {
        mt_tensor *t = &m->source->tensor[i];
        if (t->n_dim < 2 || t->ne[0] % info->block) continue;
        const int64_t count = mt_tensor_count(t);
        assert_true(n < MAX_MATRIX);
        t->type = r->type;
        t->bytes = mt_row_bytes(r->type, count);
        t->data = made[n] = malloc(t->bytes);
        for (size_t at = 0; at < t->bytes; at += (size_t)info->bytes) fill_block(r, made[n] + at);
        n++;
    }
    mt_weights_close(m->weights);
    must(mt_weights_open(&m->weights, &m->net, m->pool, NULL, false, m->alloc, &err), &err);
    return n;
}

static double compare(mote_model *m, const mote_token *t, bool exact)
{
    mote_engine *e;
    mote_session *s;
    mote_engine_opts o;
    mote_error err;
    mt_interp *it;
    size_t rows, cols;
    int it_rows, it_cols;
    mote_engine_opts_init(&o);
    o.n_ctx = N_TOKEN, o.n_batch = N_TOKEN, o.n_session = 1, o.exact = exact;
    must(mote_engine_open(&e, m, &o, &err), &err);
    must(mote_session_open(&s, e, &err), &err);
    must(mt_interp_open(&it, &m->net, NULL, &err), &err);
    must(mt_interp_decode(it, t, N_TOKEN, &err), &err);
    mt_verified("element types as weights", "models through the packed kernels",
                "the f64 interpreter", 1);
    const double *want = mt_interp_value(it, m->net.dec.output, &it_rows, &it_cols);
    double error = 0, power = 0;
    /* one row alone, few, many: the three batch classes */
    for (int at = 0, n; at < N_TOKEN; at += n) {
        n = at == 0 ? 1 : at == 1 ? 9 : N_TOKEN - at;
        must(mote_decode(s, t + at, (size_t)n, MOTE_WANT_ALL, &err), &err);
        const float *got = mote_output(s, &rows, &cols);
        assert_int_equal(rows, n);
        assert_int_equal(cols, it_cols);
        for (size_t i = 0; i < rows * cols; i++) {
            const double w = want[(size_t)at * cols + i], d = got[i] - w;
            error += d * d, power += w * w;
        }
    }
    mt_interp_close(it);
    mote_session_close(s);
    mote_engine_close(e);
    assert_true(power > 0);
    return error / power;
}

static void types_run(void **state)
{
    (void)state;
    mote_token t[N_TOKEN];
    for (size_t i = 0; i < MT_COUNT(recipes); i++) {
        mote_model *m = open_model();
        uint8_t *made[MAX_MATRIX] = { NULL };
        mote_model_info info;
        mote_model_describe(m, &info);
        seed = SEED;
        for (int k = 0; k < N_TOKEN; k++) t[k] = (mote_token)(draw() % (uint32_t)info.n_vocab);
        const int n = retype(m, &recipes[i], made);
        const double exact = compare(m, t, true), fast = compare(m, t, false);
        print_message("%s in %d matrices: NMSE exact %.2e, default %.2e\n", mt_type_of(recipes[i].type)->name, n,
                      exact, fast);
        assert_true(n >= 7);
        assert_true(exact <= 1e-10);     /* as test_engine.c: docs/numerics.md */
        assert_true(fast <= 2e-3);
        mote_model_close(m);
        for (int k = 0; k < n; k++) free(made[k]);
    }
}

/* What can be decoded but is no plain integer has a layout, so no file type is refused. */
static void types_have_layouts(void **state)
{
    (void)state;
    for (uint32_t type = 0; type < MT_TYPE_LIMIT; type++) {
        const mt_type_info *info = mt_type_of(type);
        mt_layout lay;
        if (!info || !info->can_decode) continue;
        const bool is_plain = type == MT_F64 || (type >= MT_I8 && type <= MT_I64);
        assert_int_equal(mt_layout_for((mt_type)type, &lay), !is_plain);
        if (is_plain) continue;
        assert_int_equal(mt_layouts[lay].type, type);
        assert_true(info->block % mt_layouts[lay].unit_k == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(types_have_layouts), cmocka_unit_test(types_run) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

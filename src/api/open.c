/* SPDX-License-Identifier: MIT */
/* open.c - the public calls that join a model with engines and samplers, and the version. */
#include "api/model.h"

#define STRING_(x) #x
#define STRING(x)  STRING_(x)

uint32_t mote_version(void)
{
    return (uint32_t)MOTE_VERSION_MAJOR << 16 | (uint32_t)MOTE_VERSION_MINOR << 8 | (uint32_t)MOTE_VERSION_PATCH;
}

const char *mote_version_text(void)
{
    return STRING(MOTE_VERSION_MAJOR) "." STRING(MOTE_VERSION_MINOR) "." STRING(MOTE_VERSION_PATCH) " (" MOTE_COMMIT
#if defined(__clang__)
           ", clang " __clang_version__
#elif defined(__GNUC__)
           ", gcc " __VERSION__
#endif
           ")";
}

void mote_engine_opts_init(mote_engine_opts *o)
{
    if (o) *o = (mote_engine_opts){.size = sizeof *o};
}

mote_status mote_engine_open(mote_engine **out, mote_model *m, const mote_engine_opts *o, mote_error *err)
{
    mt_parts parts;
    if (!out) MT_FAIL(err, MOTE_EINVAL, "engine: out must not be NULL");
    MT_TRY(mt_model_parts(m, &parts, err));
    if (!m->weights->is_packed) MT_FAIL(err, MOTE_EINVAL, "engine: the model was opened for its plan only");
    return mt_engine_open(out, &parts, o, err);
}

size_t mote_engine_bytes(const mote_model *m, const mote_engine_opts *o)
{
    mt_parts parts;
    size_t bytes = 0;
    if (mt_model_parts(m, &parts, NULL) != MOTE_OK || mt_engine_measure(&parts, o, &bytes, NULL) != MOTE_OK) return 0;
    return bytes;
}

mote_status mote_engine_trace(mote_engine *e, bool on, mote_error *err)
{
    if (!e) MT_FAIL(err, MOTE_EINVAL, "trace: the engine must not be NULL");
    if (e->encoder) MT_TRY(mt_plan_trace(e->encoder, on, err));
    return e->plan ? mt_plan_trace(e->plan, on, err) : MOTE_OK;
}

int mote_engine_times(const mote_engine *e, mote_op_time *out, int cap)
{
    if (!e) return 0;
    if (!out) cap = 0;
    const int n = e->encoder ? mt_plan_stage_times(e->encoder, out, cap) : 0;
    const int left = MT_MAX(cap - n, 0);
    return n + (e->plan ? mt_plan_stage_times(e->plan, left ? out + n : NULL, left) : 0);
}

/* A number of the model's recommended sampling, where its file has one. */
static bool recommended(const mote_model *m, const char *key, double *out)
{
    int64_t i;
    if (mt_meta_f64(m->source, key, out)) return true;
    if (!mt_meta_int(m->source, key, &i)) return false;
    *out = (double)i;
    return true;
}

void mote_sampler_opts_init(mote_sampler_opts *o, const mote_model *m)
{
    double v;
    if (!o) return;
    mt_sampler_opts_default(o);
    if (!m) return;
    if (recommended(m, "general.sampling.temp", &v)) o->temperature = (float)v;
    if (recommended(m, "general.sampling.top_k", &v) && v >= 0 && v < 1 << 24) o->top_k = (int)v;
    if (recommended(m, "general.sampling.top_p", &v)) o->top_p = (float)v;
    if (recommended(m, "general.sampling.min_p", &v)) o->min_p = (float)v;
    if (recommended(m, "general.sampling.penalty_repeat", &v)) o->repeat_penalty = (float)v;
}

mote_status mote_sampler_open(mote_sampler **out, const mote_model *m, const mote_sampler_opts *o, mote_error *err)
{
    mote_sampler_opts own;
    if (!out || !m) MT_FAIL(err, MOTE_EINVAL, "sampler: out and model must not be NULL");
    if (!o) {
        mote_sampler_opts_init(&own, m);
        o = &own;
    }
    return mt_sampler_open(out, o, m->info.n_vocab, m->alloc, m->tokenizer, err);
}

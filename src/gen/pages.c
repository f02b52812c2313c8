/* SPDX-License-Identifier: MIT */
/* pages.c - opening and closing engines and sessions, and the life of their pages. */
#include <string.h>

#include "gen/engine.h"

#define NO_PAGE UINT32_MAX
/* Large pages make a long context faster to read, and a slab whole as soon as one position of it is there.  So
 * the first slabs have small ones: they are read in a moment, and many a session needs no more.  Of many
 * sessions each would round its memory up. */
enum { HUGE_SESSIONS = 8, SMALL_SLABS = 1024 / (MT_SLAB * MT_PAGE) };
enum { MAX_CTX = 1 << 24, MAX_BATCH = 8192, MAX_SESSION = 4096 };

static mote_status in_range(const char *name, int value, int max, mote_error *err)
{
    if (value < 1 || value > max)
        MT_FAIL(err, MOTE_EINVAL, "engine option %s is %d, expected 1 to %d", name, value, max);
    return MOTE_OK;
}

static mote_status kv_type_of(const char *name, mt_kv_type *out, mote_error *err)
{
    static const struct { const char *name; mt_kv_type type; } table[] = {
        {"bf16", MT_KV_BF16}, {"f16", MT_KV_F16}, {"f32", MT_KV_F32}, {"q8", MT_KV_Q8},
    };
    for (size_t i = 0; i < MT_COUNT(table); i++)
        if (strcmp(name, table[i].name) == 0) {
            *out = table[i].type;
            return MOTE_OK;
        }
    MT_FAIL(err, MOTE_EINVAL, "engine option kv_type is \"%s\", expected bf16, f16, f32 or q8", name);
}

/* A wrong guess is taken back by forgetting its pages, which a running state does not have. */
static bool may_guess(const mt_net *net)
{
    if (net->dec.n_op == 0) return false;
    for (int i = 0; i < net->n_state; i++)
        if (net->state[i].kind == MT_STATE_VECTOR) return false;
    return true;
}

mote_status mt_engine_resolve(const mt_net *net, const mote_engine_opts *in, mote_engine_opts *out,
                              mt_plan_opts *plan, mote_error *err)
{
    mote_engine_opts_init(out);
    if (in) memcpy(out, in, MT_MIN(in->size, sizeof *out));
    const int trained = net->spec.n_ctx_train > 0 ? net->spec.n_ctx_train : MAX_CTX;
    if (out->n_ctx == 0) out->n_ctx = MT_MIN(4096, trained);
    /* an encoder takes a text in one pass */
    if (out->n_batch == 0) out->n_batch = net->enc.n_op > 0 ? MT_MIN(MT_MAX(256, out->n_ctx), MAX_BATCH) : 256;
    if (out->n_session == 0) out->n_session = 1;
    if (!out->kv_type) out->kv_type = out->exact ? "f32" : "bf16";
    MT_TRY(in_range("n_ctx", out->n_ctx, MAX_CTX, err));
    MT_TRY(in_range("n_batch", out->n_batch, MAX_BATCH, err));
    MT_TRY(in_range("n_session", out->n_session, MAX_SESSION, err));
    if (out->n_draft == 0) out->n_draft = MT_GUESS_MAX;
    if (out->n_draft != -1) MT_TRY(in_range("n_draft", out->n_draft, MT_GUESS_MAX, err));
    if (out->n_draft == -1 || !may_guess(net)) out->n_draft = 0;
    out->n_draft = MT_MIN(out->n_draft, out->n_batch - 1);
    if (net->spec.pos == MT_POS_LEARNED && out->n_ctx > net->spec.n_pos - net->spec.pos_offset)
        MT_FAIL(err, MOTE_EINVAL, "engine option n_ctx is %d, this model has %d positions", out->n_ctx,
                net->spec.n_pos - net->spec.pos_offset);
    *plan = (mt_plan_opts){.n_batch = out->n_batch, .n_ctx = out->n_ctx, .exact = out->exact,
                           .n_seq = MT_MIN(out->n_session, out->n_batch),
                           .stack = net->dec.n_op > 0 ? MT_DEC : MT_ENC};
    return kv_type_of(out->kv_type, &plan->kv, err);
}

static uint32_t pages_of(int n_tokens) { return ((uint32_t)n_tokens + MT_PAGE - 1) / MT_PAGE; }

static bool has_two_stacks(const mt_net *net) { return net->dec.n_op > 0 && net->enc.n_op > 0; }

/* Every session full, and one page each for a copy before writing; whole slabs. */
static uint32_t page_count(const mt_net *net, const mote_engine_opts *o)
{
    const size_t own = net->dec.n_op > 0 ? pages_of(o->n_ctx) + 1 : 0, cross = has_two_stacks(net) ? pages_of(o->n_ctx) : 0;
    return (uint32_t)mt_pad(MT_MAX((size_t)o->n_session * (own + cross), 1), MT_SLAB);
}

/* Cuts the engine's tables from one block; with base NULL it only counts. */
static size_t cut_tables(mote_engine *e, uint8_t *base)
{
    const size_t n = (size_t)e->n_batch, np = e->n_page;
    size_t at = 0;
#define CUT(field, count)                                              \
    do {                                                               \
        if (base) e->field = (void *)(base + at);                      \
        at += mt_pad((count) * sizeof *e->field, MT_ALIGN);            \
    } while (0)
    CUT(page_refs, np);
    CUT(slab_used, np / MT_SLAB);
    CUT(id, n);
    CUT(pos, n);
    CUT(want, n);
    CUT(best, n);
    CUT(seq, n);
    CUT(page, n);
    CUT(type, n);
    CUT(cross, n);
    CUT(n_cross, n);
    CUT(vector, n);
#undef CUT
    return at;
}

/* Cuts a session and what it points to from one block; with base NULL it only counts. */
static size_t cut_session(const mote_engine *e, uint8_t *base)
{
    mote_session *s = (mote_session *)(void *)base;
    size_t at = mt_pad(sizeof *s, MT_ALIGN);
    if (s) s->page = (uint32_t *)(void *)(base + at);
    at += mt_pad(pages_of(e->n_ctx) * sizeof *s->page, MT_ALIGN);
    if (s) s->token = (mote_token *)(void *)(base + at);
    at += mt_pad((size_t)e->n_ctx * sizeof *s->token, MT_ALIGN);
    if (has_two_stacks(e->parts.net)) {
        if (s) s->cross = (uint32_t *)(void *)(base + at);
        at += mt_pad(pages_of(e->n_ctx) * sizeof *s->cross, MT_ALIGN);
    }
    if (e->vector_floats > 0) {
        if (s) s->vector = (float *)(void *)(base + at);
        at += mt_pad(e->vector_floats * sizeof *s->vector, MT_ALIGN);
    }
    if (e->n_draft == 0) return at;
    if (s) s->guess = (mt_guess *)(void *)(base + at);
    at += mt_pad(sizeof *s->guess, MT_ALIGN);
    if (s) mt_guess_init(s->guess, &s->engine->guess_cost, base + at, e->n_ctx);
    return at + mt_pad(mt_guess_bytes(e->n_ctx), MT_ALIGN);
}

static size_t session_bytes(const mote_engine *e) { return cut_session(e, NULL); }

/* The plans of the stacks that the net has; n_batch of both is the engine's. */
static mote_status open_plans(mote_engine *e, mt_plan_opts *o, mote_error *err)
{
    const mt_parts *p = &e->parts;
    const mt_net *net = p->net;
    o->stack = MT_DEC;
    if (net->dec.n_op > 0) MT_TRY(mt_plan_open(&e->plan, net, p->weights, p->kern, p->pool, o, p->alloc, err));
    o->stack = MT_ENC;
    if (net->enc.n_op > 0) MT_TRY(mt_plan_open(&e->encoder, net, p->weights, p->kern, p->pool, o, p->alloc, err));
    const mt_plan *any = e->plan ? e->plan : e->encoder;
    e->page_bytes = mt_plan_page_bytes(any), e->vector_floats = mt_plan_vector_floats(any);
    return MOTE_OK;
}

static size_t plan_bytes(const mote_engine *e)
{
    return (e->plan ? mt_plan_bytes(e->plan) : 0) + (e->encoder ? mt_plan_bytes(e->encoder) : 0);
}

static mote_status start_engine(mote_engine *e, const mote_engine_opts *o, mt_plan_opts *plan, bool is_dry,
                                mote_error *err)
{
    const mt_parts *parts = &e->parts;
    e->n_ctx = o->n_ctx, e->n_batch = o->n_batch, e->n_session = o->n_session;
    e->n_vocab = parts->net->spec.n_vocab, e->n_embd = parts->net->spec.n_embd;
    e->n_page = page_count(parts->net, o);
    e->n_draft = o->n_draft;
    mt_guess_cost_init(&e->guess_cost);
    plan->is_dry = is_dry;
    MT_TRY(open_plans(e, plan, err));
    e->table_bytes = cut_tables(e, NULL);
    if (is_dry) return MOTE_OK;
    size_t kv_bytes;
    if (!mt_mul_ok(e->page_bytes, e->n_page, &kv_bytes)) MT_FAIL(err, MOTE_EINVAL, "engine: context too large");
    e->table = mt_get(parts->alloc, e->table_bytes, MT_ALIGN);
    e->kv = mt_pages_reserve(kv_bytes);
    if (!e->table || !e->kv) MT_FAIL(err, MOTE_ENOMEM, "engine: no memory for %zu bytes of context", kv_bytes);
    const size_t small = SMALL_SLABS * MT_SLAB * e->page_bytes;
    if (o->n_session <= HUGE_SESSIONS && kv_bytes > small) mt_pages_huge(e->kv + small, kv_bytes - small);
    memset(e->table, 0, e->table_bytes);
    cut_tables(e, e->table);
    e->n_free = e->n_page;
    return MOTE_OK;
}

mote_status mt_engine_open(mote_engine **out, const mt_parts *parts, const mote_engine_opts *in, mote_error *err)
{
    mote_engine_opts o;
    mt_plan_opts plan;
    MT_TRY(mt_engine_resolve(parts->net, in, &o, &plan, err));
    mote_engine *e = mt_get(parts->alloc, sizeof *e, MT_ALIGN);
    if (!e) MT_FAIL(err, MOTE_ENOMEM, "engine: no memory");
    memset(e, 0, sizeof *e);
    e->parts = *parts;
    const mote_status st = start_engine(e, &o, &plan, false, err);
    if (st != MOTE_OK) {
        mote_engine_close(e);
        return st;
    }
    *out = e;
    return MOTE_OK;
}

mote_status mt_engine_measure(const mt_parts *parts, const mote_engine_opts *in, size_t *bytes, mote_error *err)
{
    mote_engine_opts o;
    mt_plan_opts plan;
    MT_TRY(mt_engine_resolve(parts->net, in, &o, &plan, err));
    mote_engine e = {.parts = *parts};
    const mote_status st = start_engine(&e, &o, &plan, true, err);
    if (st == MOTE_OK)
        *bytes = plan_bytes(&e) + e.table_bytes + e.page_bytes * e.n_page +
                 (size_t)e.n_session * session_bytes(&e);
    mt_plan_close(e.plan);
    mt_plan_close(e.encoder);
    return st;
}

void mote_engine_close(mote_engine *e)
{
    if (!e) return;
    if (e->kv) mt_pages_release(e->kv, e->page_bytes * e->n_page);
    if (e->table) mt_put(e->parts.alloc, e->table, e->table_bytes);
    mt_plan_close(e->plan);
    mt_plan_close(e->encoder);
    mt_put(e->parts.alloc, e, sizeof *e);
}

/* ---- sessions ---------------------------------------------------------------------------------- */

mote_status mote_session_open(mote_session **out, mote_engine *e, mote_error *err)
{
    if (!out || !e) MT_FAIL(err, MOTE_EINVAL, "session: out and engine must not be NULL");
    if (e->n_open == e->n_session)
        MT_FAIL(err, MOTE_EFULL, "session: the engine holds %d sessions, all are open", e->n_session);
    const size_t bytes = session_bytes(e);
    uint8_t *at = mt_get(e->parts.alloc, bytes, MT_ALIGN);
    if (!at) MT_FAIL(err, MOTE_ENOMEM, "session: no memory for %zu bytes", bytes);
    mote_session *s = (mote_session *)(void *)at;
    memset(s, 0, sizeof *s);
    s->engine = e, s->best = -1;
    cut_session(e, at);
    if (s->vector) mt_plan_vector_init(e->plan, s->vector);
    e->n_open++;
    *out = s;
    return MOTE_OK;
}

static void drop_page(mote_engine *e, uint32_t id)
{
    if (--e->page_refs[id] > 0) return;
    e->slab_used[id / MT_SLAB]--;
    e->n_free++;
}

/* The first free page of the first slab with at most `used` pages in use; NO_PAGE: there is none. */
static uint32_t find_page(const mote_engine *e, uint8_t used)
{
    for (uint32_t slab = 0; slab < e->n_page / MT_SLAB; slab++) {
        if (e->slab_used[slab] > used) continue;
        uint32_t id = slab * MT_SLAB;
        while (e->page_refs[id]) id++;
        return id;
    }
    return NO_PAGE;
}

/* A page for the positions behind page `last` (NO_PAGE: the first): its neighbour in the slab, else
 * the start of an empty slab, so that a session's keys lie in long runs; else any.  There always is
 * one: page_count covers full sessions and their copies. */
static uint32_t new_page(mote_engine *e, uint32_t last)
{
    uint32_t id = last == NO_PAGE ? NO_PAGE : last + 1;
    if (id == NO_PAGE || id % MT_SLAB == 0 || e->page_refs[id]) id = find_page(e, 0);
    if (id == NO_PAGE) id = find_page(e, MT_SLAB - 1);
    e->page_refs[id] = 1;
    e->slab_used[id / MT_SLAB]++;
    e->n_free--;
    return id;
}

void mt_session_reserve(mote_session *s, int n)
{
    mote_engine *e = s->engine;
    if (s->length % MT_PAGE != 0) {
        uint32_t *last = &s->page[s->length / MT_PAGE];
        if (e->page_refs[*last] > 1) {          /* shared with a fork: write into a copy */
            const uint32_t copy = new_page(e, *last);
            mt_plan_copy_page(e->plan, e->kv, copy, *last);
            drop_page(e, *last);
            *last = copy;
        }
    }
    for (const int want = (int)pages_of(s->length + n); s->n_page < want; s->n_page++)
        s->page[s->n_page] = new_page(e, s->n_page ? s->page[s->n_page - 1] : NO_PAGE);
}

static void drop_cross(mote_session *s)
{
    for (uint32_t i = 0; i < pages_of(s->n_cross); i++) drop_page(s->engine, s->cross[i]);
    s->n_cross = 0;
}

void mt_session_reserve_cross(mote_session *s, int n)
{
    drop_cross(s);
    for (uint32_t i = 0; i < pages_of(n); i++) s->cross[i] = new_page(s->engine, i ? s->cross[i - 1] : NO_PAGE);
    s->n_cross = n;
}

void mote_session_close(mote_session *s)
{
    if (!s) return;
    mote_engine *e = s->engine;
    drop_cross(s);
    for (int i = 0; i < s->n_page; i++) drop_page(e, s->page[i]);
    e->n_open--;
    mt_put(e->parts.alloc, s, session_bytes(e));
}

void mt_session_trim(mote_session *s)
{
    while (s->n_page > (int)pages_of(s->length)) drop_page(s->engine, s->page[--s->n_page]);
}

int mote_session_length(const mote_session *s) { return s ? s->length : 0; }
const mote_token *mote_session_tokens(const mote_session *s) { return s ? s->token : NULL; }
void mote_session_cancel(mote_session *s) { atomic_store(&s->is_cancelled, true); }

mote_status mote_session_rewind(mote_session *s, int keep, mote_error *err)
{
    if (!s) MT_FAIL(err, MOTE_EINVAL, "session: NULL");
    if (keep < 0 || keep > s->length)
        MT_FAIL(err, MOTE_EINVAL, "session: cannot keep %d of %d tokens", keep, s->length);
    if (s->vector && keep < s->length) {
        mt_plan_vector_init(s->engine->plan, s->vector);
        s->is_stale = keep > 0;
    }
    s->length = keep;
    mt_session_trim(s);
    if (s->guess) mt_lookup_keep(&s->guess->lookup, keep);
    s->out = NULL, s->rows = s->cols = 0, s->best = -1;
    return MOTE_OK;
}

mote_status mote_session_fork(mote_session **out, mote_session *s, mote_error *err)
{
    if (!out || !s) MT_FAIL(err, MOTE_EINVAL, "session: out and session must not be NULL");
    mote_session *copy;
    MT_TRY(mote_session_open(&copy, s->engine, err));
    copy->length = s->length, copy->n_page = (int)pages_of(s->length);   /* not what is only guessed */
    memcpy(copy->token, s->token, (size_t)s->length * sizeof *s->token);
    memcpy(copy->page, s->page, (size_t)copy->n_page * sizeof *s->page);
    for (int i = 0; i < copy->n_page; i++) s->engine->page_refs[s->page[i]]++;
    copy->n_cross = s->n_cross;
    for (uint32_t i = 0; i < pages_of(s->n_cross); i++) s->engine->page_refs[copy->cross[i] = s->cross[i]]++;
    copy->is_stale = s->is_stale;
    if (s->vector) memcpy(copy->vector, s->vector, s->engine->vector_floats * sizeof *s->vector);
    *out = copy;
    return MOTE_OK;
}

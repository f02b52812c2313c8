/* SPDX-License-Identifier: MIT */
/* sampler.c - options in, tokens out: checks them, strings the steps together, draws.
 *
 * The end of the data's way: the engine's logits become the next token.  At open each step that
 * would do something becomes a function pointer, in the order asked for; a sample runs them and
 * draws once.  Two ways leave that path: greedy runs only the steps that edit logits and takes
 * the arg-max, and mirostat 2 has its own cut in place of all others, at the end of the chain. */
#include <float.h>
#include <math.h>

#include "gen/sampler_parts.h"

/* ---- options ----------------------------------------------------------------------- */
static const char default_order[] =
    "bias,penalties,dry,top_k,typical_p,top_p,min_p,xtc,temperature";

void mt_sampler_opts_default(mote_sampler_opts *o)
{
    *o = (mote_sampler_opts){
        .size = sizeof *o,
        .temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, .typical_p = 1,
        .repeat_penalty = 1, .repeat_last_n = 64,
        .dry_base = 1.75f, .dry_allowed_length = 2, .dry_last_n = -1,
        .xtc_threshold = 0.1f, .mirostat_tau = 5, .mirostat_eta = 0.1f,
    };
}

static mote_status check_numbers(const mote_sampler_opts *o, mote_error *err)
{
    const struct { const char *name; double value, low, high; } rule[] = {
        { "temperature",        (double)o->temperature, -1000, 1000 },
        { "top_k",              o->top_k, 0, MT_SAMPLER_VOCAB_MAX },
        { "top_p",              (double)o->top_p, 0, 1 },
        { "min_p",              (double)o->min_p, 0, 1 },
        { "typical_p",          (double)o->typical_p, 0, 1 },
        { "repeat_penalty",     (double)o->repeat_penalty, 0.01f, 100 },
        { "frequency_penalty",  (double)o->frequency_penalty, -100, 100 },
        { "presence_penalty",   (double)o->presence_penalty, -100, 100 },
        { "repeat_last_n",      o->repeat_last_n, -1, MT_SAMPLER_TEXT_MAX },
        { "dry_multiplier",     (double)o->dry_multiplier, 0, 1000 },
        { "dry_base",           (double)o->dry_base, 1, 1000 },
        { "dry_allowed_length", o->dry_allowed_length, 0, MT_SAMPLER_TEXT_MAX },
        { "dry_last_n",         o->dry_last_n, -1, MT_SAMPLER_TEXT_MAX },
        { "xtc_probability",    (double)o->xtc_probability, 0, 1 },
        { "xtc_threshold",      (double)o->xtc_threshold, 0, 1 },
        { "mirostat_tau",       (double)o->mirostat_tau, 0, 100 },
        { "mirostat_eta",       (double)o->mirostat_eta, 0, 10 },
    };
    for (size_t i = 0; i < MT_COUNT(rule); i++)
        if (!(rule[i].value >= rule[i].low && rule[i].value <= rule[i].high))  /* NaN fails, too */
            MT_FAIL(err, MOTE_EINVAL, "sampler option %s is %g, expected %g to %g", rule[i].name,
                    rule[i].value, rule[i].low, rule[i].high);
    if (o->mirostat != 0 && o->mirostat != 2)
        MT_FAIL(err, MOTE_EINVAL, "sampler option mirostat is %d, expected 0 or 2", o->mirostat);
    return MOTE_OK;
}

static mote_status check_bias(const mote_sampler_opts *o, size_t n_vocab, mote_error *err)
{
    if (o->n_bias > n_vocab || (o->n_bias > 0 && !o->bias))
        MT_FAIL(err, MOTE_EINVAL, "sampler option n_bias is %zu, expected at most %zu", o->n_bias,
                o->bias ? n_vocab : 0);
    for (size_t i = 0; i < o->n_bias; i++) {
        const mote_bias b = o->bias[i];
        if (b.token < 0 || (size_t)b.token >= n_vocab)
            MT_FAIL(err, MOTE_EINVAL, "sampler option bias: entry %zu names token %d, "
                    "the vocabulary has %zu", i, (int)b.token, n_vocab);
        if (!(b.bias <= FLT_MAX))
            MT_FAIL(err, MOTE_EINVAL, "sampler option bias: entry %zu adds %g to token %d, "
                    "expected a number or -inf", i, (double)b.bias, (int)b.token);
    }
    return MOTE_OK;
}

/* ---- the order ----------------------------------------------------------------------- */
enum kind { EDIT, FILTER, SCALE };
static const struct step { const char *name; mt_sampler_step run; enum kind kind; } steps[] = {
    { "bias",        mt_sampler_bias,        EDIT },
    { "penalties",   mt_sampler_penalties,   EDIT },
    { "dry",         mt_sampler_dry_apply,   EDIT },
    { "top_k",       mt_sampler_top_k,       FILTER },
    { "typical_p",   mt_sampler_typical_p,   FILTER },
    { "top_p",       mt_sampler_top_p,       FILTER },
    { "min_p",       mt_sampler_min_p,       FILTER },
    { "xtc",         mt_sampler_xtc,         FILTER },
    { "temperature", mt_sampler_temperature, SCALE },
};

/* Whether a step does anything; in the order of the table. */
static bool is_active(const mote_sampler *p, size_t step)
{
    const mote_sampler_opts *o = &p->o;
    if (p->is_greedy && steps[step].kind != EDIT) return false;
    if (o->mirostat && steps[step].kind == FILTER) return false;
    const bool does[] = {
        o->n_bias > 0,
        o->repeat_last_n != 0 && (o->repeat_penalty < 1 || o->repeat_penalty > 1
            || o->frequency_penalty < 0 || o->frequency_penalty > 0
            || o->presence_penalty < 0 || o->presence_penalty > 0),
        o->dry_multiplier > 0 && o->dry_last_n != 0,
        o->top_k > 0 && (size_t)o->top_k < p->n_vocab,
        o->typical_p < 1,
        o->top_p < 1,
        o->min_p > 0,
        o->xtc_probability > 0,
        o->temperature < 1 || o->temperature > 1,
    };
    return does[step];
}

static mote_status chain_open(mote_sampler *p, const char *order, mote_error *err)
{
    bool seen[MT_COUNT(steps)] = { false };
    const char *at = order;
    while (*at) {
        const size_t len = strcspn(at, ",");
        mt_str name = { at, len };
        while (name.n && name.p[0] == ' ') name = (mt_str){ name.p + 1, name.n - 1 };
        while (name.n && name.p[name.n - 1] == ' ') name.n--;
        size_t i = 0;
        while (i < MT_COUNT(steps) && !mt_str_is(name, steps[i].name)) i++;
        if (i == MT_COUNT(steps))
            MT_FAIL(err, MOTE_EINVAL, "sampler option order names the unknown step '%.*s', "
                    "expected some of %s", (int)MT_MIN(name.n, 40), name.p, default_order);
        if (seen[i])
            MT_FAIL(err, MOTE_EINVAL, "sampler option order names %s twice", steps[i].name);
        seen[i] = true;
        if (is_active(p, i)) p->chain[p->n_chain++] = steps[i].run;
        at += len;
        if (*at == ',') at++;
    }
    return MOTE_OK;
}

/* ---- open and close ----------------------------------------------------------------------- */
static void *take(mote_sampler *p, size_t n, size_t size)
{
    return mt_arena_push(&p->arena, n * size);    /* n <= MT_SAMPLER_VOCAB_MAX */
}

static mote_status buffers_open(mote_sampler *p, mote_error *err)
{
    if (mt_sampler_is_argmax(p)) return MOTE_OK;
    p->x = take(p, p->n_vocab, sizeof *p->x);
    bool ok = p->x != NULL;
    if (!p->is_greedy) {
        p->id = take(p, p->n_vocab, sizeof *p->id);
        p->weight = take(p, p->n_vocab, sizeof *p->weight);
        p->key = take(p, p->n_vocab, sizeof *p->key);
        p->mass = take(p, MT_SAMPLER_BUCKET, sizeof *p->mass);
        p->fill = take(p, MT_SAMPLER_BUCKET, sizeof *p->fill);
        ok = ok && p->id && p->weight && p->key && p->mass && p->fill;
    }
    if (!ok) MT_FAIL(err, MOTE_ENOMEM, "sampler: no memory for a vocabulary of %zu", p->n_vocab);
    return MOTE_OK;
}

static mote_status fill(mote_sampler *p, const mote_sampler_opts *o, const mt_tokenizer *pieces,
                        mote_error *err)
{
    p->o = *o;
    p->o.order = NULL;                            /* the caller's strings are not ours */
    p->o.dry_breakers = NULL;
    p->o.bias = NULL;
    if (o->n_bias) {
        mote_bias *copy = take(p, o->n_bias, sizeof *copy);
        if (!copy) MT_FAIL(err, MOTE_ENOMEM, "sampler: no memory for %zu biases", o->n_bias);
        memcpy(copy, o->bias, o->n_bias * sizeof *copy);
        p->o.bias = copy;
    }
    p->is_greedy = o->temperature <= 0;
    MT_TRY(chain_open(p, o->order ? o->order : default_order, err));
    MT_TRY(buffers_open(p, err));
    MT_TRY(mt_sampler_edit_open(p, o, pieces, err));
    mote_sampler_reset(p);
    return MOTE_OK;
}

mote_status mt_sampler_open(mote_sampler **out, const mote_sampler_opts *given, int n_vocab,
                            const mote_alloc *alloc, const mt_tokenizer *pieces, mote_error *err)
{
    mote_sampler_opts o;
    mt_sampler_opts_default(&o);
    if (given) {
        if (given->size < sizeof given->size || given->size > sizeof o)
            MT_FAIL(err, MOTE_EINVAL, "sampler option size is %zu, expected %zu (call "
                    "mote_sampler_opts_init first)", given->size, sizeof o);
        memcpy(&o, given, given->size);
    }
    if (n_vocab < 1 || n_vocab > MT_SAMPLER_VOCAB_MAX)
        MT_FAIL(err, MOTE_EINVAL, "sampler: the vocabulary has %d tokens, expected 1 to %d",
                n_vocab, MT_SAMPLER_VOCAB_MAX);
    MT_TRY(check_numbers(&o, err));
    MT_TRY(check_bias(&o, (size_t)n_vocab, err));

    mt_arena arena;
    mt_arena_init(&arena, alloc, 4096);
    mote_sampler *p = mt_arena_push_zero(&arena, sizeof *p);
    if (!p) MT_FAIL(err, MOTE_ENOMEM, "sampler: no memory");
    p->arena = arena;
    p->n_vocab = (size_t)n_vocab;
    const mote_status status = fill(p, &o, pieces, err);
    if (status != MOTE_OK) {
        mote_sampler_close(p);
        return status;
    }
    p->arena.is_sealed = true;
    *out = p;
    return MOTE_OK;
}

void mote_sampler_close(mote_sampler *p)
{
    if (!p) return;
    mt_arena arena = p->arena;                    /* p itself lies in it */
    mt_arena_reset(&arena);
}

void mote_sampler_reset(mote_sampler *p)
{
    mt_sampler_forget(p);
    mt_rng_seed(&p->rng, p->o.seed);
    p->mu = 2 * (double)p->o.mirostat_tau;
}

void mote_sampler_accept(mote_sampler *p, mote_token t)
{
    if (t >= 0 && (size_t)t < p->n_vocab) mt_sampler_note(p, t);
}

/* ---- the draw ------------------------------------------------------------------------------ */
bool mt_sampler_is_argmax(const mote_sampler *p) { return p->is_greedy && p->n_chain == 0; }

static void run_chain(mote_sampler *p, const float *logits)
{
    p->live_x = logits;
    p->live_id = NULL;
    p->n = p->n_vocab;
    for (size_t i = 0; i < p->n_chain; i++) p->chain[i](p);
    if (p->is_greedy) return;
    mt_sampler_settle(p);
    if (p->o.mirostat) mt_sampler_mirostat(p);
}

static mote_token best(const mote_sampler *p)
{
    const float *x = p->live_x;
    float top = -INFINITY;
    mote_token t = -1;
    for (size_t i = 0; i < p->n; i++) {
        if (!(x[i] > top) || x[i] > FLT_MAX) continue;        /* NaN and +inf are no choice */
        top = x[i];
        t = (mote_token)i;
    }
    return t;
}

/* The place where the running weight passes a random share of the total. */
static size_t draw(mote_sampler *p, double total)
{
    const double mark = mt_rng_unit(&p->rng) * total;
    double sum = 0;
    size_t last = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (p->weight[i] <= 0) continue;
        sum += (double)p->weight[i];
        last = i;
        if (sum > mark) break;
    }
    return last;
}

mote_token mote_sample(mote_sampler *p, const float *logits)
{
    run_chain(p, logits);
    mote_token t = -1;
    if (p->is_greedy) {
        t = best(p);
    } else if (p->n > 0) {
        const double total = mt_sampler_weigh(p);
        const size_t i = draw(p, total);
        t = p->id[i];
        if (p->o.mirostat) {
            const double bits = mt_ln(total / (double)p->weight[i]) / 0.69314718055994530942;
            p->mu -= (double)p->o.mirostat_eta * (bits - (double)p->o.mirostat_tau);
        }
    }
    if (t >= 0) mt_sampler_note(p, t);
    return t;
}

void mt_sampler_distribution(mote_sampler *p, const float *logits, const mote_token **ids,
                             const float **probs, size_t *n)
{
    static const float certain = 1;
    const mt_rng rng = p->rng;
    run_chain(p, logits);
    p->rng = rng;
    if (p->is_greedy) {
        p->greedy_id = best(p);
        *n = p->greedy_id >= 0;
        *ids = &p->greedy_id;
        *probs = &certain;
        return;
    }
    const double total = mt_sampler_weigh(p);
    for (size_t i = 0; i < p->n; i++) p->weight[i] = (float)((double)p->weight[i] / total);
    *n = p->n;
    *ids = p->id;
    *probs = p->weight;
}

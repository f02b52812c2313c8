/* SPDX-License-Identifier: MIT */
/* sampling.c - fills the library's sampler options from the command line.
 *
 * What is not given keeps the model's own recommendation.  Without --seed every run draws
 * another one, so that asking twice can give two answers. */
#include "sampling.h"
#include "catalogue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static uint64_t fresh_seed(void)
{
    uint64_t v = 0;
    if (getrandom(&v, sizeof v, GRND_NONBLOCK) != (ssize_t)sizeof v) v = (uint64_t)time(NULL);
    return v & 0xffffffff;      /* short enough to be typed again */
}

static int read_bias(const char *given, mote_bias *b)
{
    char *end, *end2;
    errno = 0;
    const long token = strtol(given, &end, 10);
    const float bias = *end == '=' ? strtof(end + 1, &end2) : 0;
    if (errno || end == given || *end != '=' || end2 == end + 1 || *end2 || token < 0 || token > INT32_MAX)
        return term_error(ST_USAGE, "--logit-bias wants TOKEN=X, not \"%s\"", given);
    b->token = (mote_token)token;
    b->bias = bias;
    return ST_DONE;
}

bool sampling_is(opt_id id)
{
    return (id >= OPT_MAX_TOKENS && id <= OPT_ORDER);
}

/* What the model recommends: its file, else its card, else the library's defaults. */
static void recommend(mote_sampler_opts *o, const mote_model *m, const char *name)
{
    const catalogue_entry *e = catalogue_find(name);
    mote_sampler_opts_init(o, m);
    if (!e) return;
    if (e->temp > 0 && !mote_model_meta(m, "general.sampling.temp")) o->temperature = e->temp;
    if (e->top_p > 0 && !mote_model_meta(m, "general.sampling.top_p")) o->top_p = e->top_p;
}

int sampling_read(sampling *s, const mote_model *m, const char *name, const args *a)
{
    mote_sampler_opts *o = &s->o;
    recommend(o, m, name);
    o->seed = args_has(a, OPT_SEED) ? args_u64(a, OPT_SEED, 0) : fresh_seed();
    o->temperature = args_real(a, OPT_TEMP, o->temperature);
    o->top_k = args_int(a, OPT_TOP_K, o->top_k);
    o->top_p = args_real(a, OPT_TOP_P, o->top_p);
    o->min_p = args_real(a, OPT_MIN_P, o->min_p);
    o->typical_p = args_real(a, OPT_TYPICAL_P, o->typical_p);
    o->repeat_penalty = args_real(a, OPT_REPEAT_PENALTY, o->repeat_penalty);
    o->repeat_last_n = args_int(a, OPT_REPEAT_LAST_N, o->repeat_last_n);
    o->frequency_penalty = args_real(a, OPT_FREQUENCY_PENALTY, o->frequency_penalty);
    o->presence_penalty = args_real(a, OPT_PRESENCE_PENALTY, o->presence_penalty);
    o->dry_multiplier = args_real(a, OPT_DRY_MULTIPLIER, o->dry_multiplier);
    o->dry_base = args_real(a, OPT_DRY_BASE, o->dry_base);
    o->dry_allowed_length = args_int(a, OPT_DRY_ALLOWED_LENGTH, o->dry_allowed_length);
    o->dry_last_n = args_int(a, OPT_DRY_LAST_N, o->dry_last_n);
    o->xtc_probability = args_real(a, OPT_XTC_PROBABILITY, o->xtc_probability);
    o->xtc_threshold = args_real(a, OPT_XTC_THRESHOLD, o->xtc_threshold);
    o->mirostat = args_int(a, OPT_MIROSTAT, o->mirostat);
    o->mirostat_tau = args_real(a, OPT_MIROSTAT_TAU, o->mirostat_tau);
    o->mirostat_eta = args_real(a, OPT_MIROSTAT_ETA, o->mirostat_eta);
    if (args_has(a, OPT_ORDER)) o->order = args_text(a, OPT_ORDER, NULL);
    size_t n_bias = 0, n_breaker = 0;
    for (int i = 0; i < a->n_list; i++) {
        if (a->list[i].id == OPT_DRY_BREAKER) s->breakers[n_breaker++] = a->list[i].text;
        if (a->list[i].id != OPT_LOGIT_BIAS) continue;
        const int st = read_bias(a->list[i].text, &s->bias[n_bias]);
        if (st) return st;
        n_bias++;
    }
    if (n_bias) { o->bias = s->bias; o->n_bias = n_bias; }
    if (n_breaker) { o->dry_breakers = s->breakers; o->n_dry_breaker = n_breaker; }
    return ST_DONE;
}

void sampling_print(const sampling *s)
{
    const mote_sampler_opts *o = &s->o;
    fprintf(stderr, "  temp %g  top-k %d  top-p %g  min-p %g  typical-p %g  seed %llu\n",
            (double)o->temperature, o->top_k, (double)o->top_p, (double)o->min_p,
            (double)o->typical_p, (unsigned long long)o->seed);
    fprintf(stderr, "  repeat-penalty %g  repeat-last-n %d  frequency-penalty %g  presence-penalty %g\n",
            (double)o->repeat_penalty, o->repeat_last_n, (double)o->frequency_penalty,
            (double)o->presence_penalty);
    if (o->dry_multiplier > 0)
        fprintf(stderr, "  dry-multiplier %g  dry-base %g  dry-allowed-length %d  dry-last-n %d\n",
                (double)o->dry_multiplier, (double)o->dry_base, o->dry_allowed_length, o->dry_last_n);
    if (o->xtc_probability > 0)
        fprintf(stderr, "  xtc-probability %g  xtc-threshold %g\n", (double)o->xtc_probability,
                (double)o->xtc_threshold);
    if (o->mirostat)
        fprintf(stderr, "  mirostat %d  mirostat-tau %g  mirostat-eta %g\n", o->mirostat,
                (double)o->mirostat_tau, (double)o->mirostat_eta);
}

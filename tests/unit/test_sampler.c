/* SPDX-License-Identifier: MIT */
/* test_sampler.c - the sampler against other people's definitions, and its own promises.
 *
 * golden/sampler.txt (its script tells how it is made) holds surviving tokens, probabilities and
 * drawn tokens.  The sampler sees a tokenizer only through mt_tokenizer_bytes, so this program
 * defines that one function in place of a real tokenizer. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gen/sampler.h"
#include "gen/sampler_math.h"

enum { PIECES = 32, BIG = 49152, LINE = 8192 };

struct mt_tokenizer { char piece[PIECES][16]; size_t len[PIECES]; int n; };

const char *mt_tokenizer_bytes(const mt_tokenizer *t, int32_t id, size_t *len, bool *is_special)
{
    if (id < 0 || id >= t->n) return NULL;
    *len = t->len[id];
    *is_special = false;
    return t->piece[id];
}

/* ---- an allocator that counts, and fails the n-th call ---------------------------------- */
typedef struct meter { long calls, fail_at, bytes; } meter;

static void *meter_get(void *user, size_t bytes, size_t align)
{
    meter *m = user;
    if (++m->calls == m->fail_at) return NULL;
    void *p = NULL;
    if (posix_memalign(&p, align < sizeof(void *) ? sizeof(void *) : align, bytes)) return NULL;
    memset(p, 0xa5, bytes);                       /* nothing may count on cleared memory */
    m->bytes += (long)bytes;
    return p;
}

static void meter_put(void *user, void *p, size_t bytes)
{
    if (p) ((meter *)user)->bytes -= (long)bytes;
    free(p);
}

/* ---- small helpers ---------------------------------------------------------------------- */
static mote_sampler_opts neutral(void)
{
    mote_sampler_opts o;
    mt_sampler_opts_default(&o);
    o.temperature = 1;
    o.top_k = 0;
    o.top_p = 1;
    o.min_p = 0;
    return o;
}

static mote_sampler *open_ok(const mote_sampler_opts *o, int n_vocab)
{
    mote_sampler *p = NULL;
    mote_error err;
    const mote_status status = mt_sampler_open(&p, o, n_vocab, NULL, NULL, &err);
    if (status) fail_msg("open: %s", err.text);
    return p;
}

/* Deterministic logits that look like a model's: normal-ish, a heavy head. */
static void make_logits(float *x, size_t n, uint64_t seed)
{
    mt_rng r;
    mt_rng_seed(&r, seed);
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (int j = 0; j < 4; j++) sum += mt_rng_unit(&r) - 0.5;
        x[i] = (float)(sum * 6);
    }
    for (int i = 0; i < 30; i++) x[mt_rng_next(&r) % n] += (float)(mt_rng_unit(&r) * 12);
}

/* ---- goldens ------------------------------------------------------------------------------ */
typedef struct golden {
    char name[64], order[128];
    mote_sampler_opts o;
    mote_bias  bias[16];
    char       breaker[8][16];
    const char *breaker_at[8];
    mote_token text[64];
    float      logits[64];
    size_t n_text, n_vocab;
} golden;

static void set_option(mote_sampler_opts *o, const char *key, const char *value)
{
    const struct { const char *name; float *f; int *i; } field[] = {
        { "temperature", &o->temperature, NULL }, { "top_k", NULL, &o->top_k },
        { "top_p", &o->top_p, NULL }, { "min_p", &o->min_p, NULL },
        { "typical_p", &o->typical_p, NULL }, { "repeat_penalty", &o->repeat_penalty, NULL },
        { "frequency_penalty", &o->frequency_penalty, NULL },
        { "presence_penalty", &o->presence_penalty, NULL },
        { "repeat_last_n", NULL, &o->repeat_last_n },
        { "dry_multiplier", &o->dry_multiplier, NULL }, { "dry_base", &o->dry_base, NULL },
        { "dry_allowed_length", NULL, &o->dry_allowed_length },
        { "dry_last_n", NULL, &o->dry_last_n },
        { "xtc_probability", &o->xtc_probability, NULL },
        { "xtc_threshold", &o->xtc_threshold, NULL }, { "mirostat", NULL, &o->mirostat },
        { "mirostat_tau", &o->mirostat_tau, NULL }, { "mirostat_eta", &o->mirostat_eta, NULL },
    };
    if (!strcmp(key, "seed")) {
        o->seed = strtoull(value, NULL, 10);
        return;
    }
    for (size_t i = 0; i < MT_COUNT(field); i++) {
        if (strcmp(key, field[i].name)) continue;
        if (field[i].f) *field[i].f = strtof(value, NULL);
        else *field[i].i = atoi(value);
        return;
    }
    fail_msg("golden file: unknown option %s", key);
}

static size_t from_hex(const char *hex, char *out, size_t cap)
{
    size_t n = 0;
    for (; hex[0] && hex[1] && hex[0] != '\n' && n + 1 < cap; hex += 2) {
        const char two[3] = { hex[0], hex[1], 0 };
        out[n++] = (char)strtol(two, NULL, 16);
    }
    out[n] = 0;
    return n;
}

static void check_keep(const golden *g, mote_sampler *p, char *at)
{
    const mote_token *id;
    const float *prob;
    size_t n, want = 0;
    mt_sampler_distribution(p, g->logits, &id, &prob, &n);
    for (char *end; ; at = end, want++) {
        const long token = strtol(at, &end, 10);
        if (end == at) break;
        at = end;
        const double share = strtod(at, &end);
        if (want >= n || id[want] != token)
            fail_msg("%s: survivor %zu is %d, expected %ld", g->name, want,
                     want < n ? (int)id[want] : -1, token);
        if (!(fabs((double)prob[want] - share) <= 1e-7 + 1e-5 * share))
            fail_msg("%s: token %ld has %.9g, expected %.9g", g->name, token,
                     (double)prob[want], share);
    }
    if (n != want) fail_msg("%s: %zu tokens survive, expected %zu", g->name, n, want);
}

static void check_draw(const golden *g, mote_sampler *p, char *at)
{
    for (int i = 0; ; i++) {
        char *end;
        const long want = strtol(at, &end, 10);
        if (end == at) return;
        at = end;
        const mote_token got = mote_sample(p, g->logits);
        if (got != want) fail_msg("%s: draw %d gives %d, expected %ld", g->name, i, (int)got, want);
    }
}

static void check_golden(golden *g, const mt_tokenizer *t, char *result)
{
    mote_sampler *p;
    mote_error err;
    meter m = { 0 };
    const mote_alloc alloc = { meter_get, meter_put, &m };
    if (mt_sampler_open(&p, &g->o, (int)g->n_vocab, &alloc, t, &err))
        fail_msg("%s: %s", g->name, err.text);
    const long calls = m.calls;
    const bool is_draw = !strncmp(result, "draw", 4);
    for (int again = 0; again < 3; again++) {     /* a reset sampler is a new one */
        for (size_t i = 0; i < g->n_text; i++) mote_sampler_accept(p, g->text[i]);
        (is_draw ? check_draw : check_keep)(g, p, result + 4);
        if (!is_draw) (void)mote_sample(p, g->logits);
        mote_sampler_reset(p);
    }
    assert_int_equal(m.calls, calls);             /* open took all the memory */
    mote_sampler_close(p);
    assert_int_equal(m.bytes, 0);
}

/* One line of the file; true when it completes a case. */
static bool read_line(golden *g, mt_tokenizer *t, char *line)
{
    char a[32], b[128];
    if (!strncmp(line, "case ", 5)) {
        *g = (golden){ .o = neutral() };
        sscanf(line, "case %63s", g->name);
        g->o.bias = g->bias;
        g->o.dry_breakers = g->breaker_at;
    } else if (sscanf(line, "piece %31s %127s", a, b) == 2) {
        t->len[t->n] = from_hex(b, t->piece[t->n], sizeof t->piece[0]);
        t->n++;
    } else if (sscanf(line, "set %31s %127s", a, b) == 2) {
        set_option(&g->o, a, b);
    } else if (sscanf(line, "order %127s", g->order) == 1) {
        g->o.order = g->order;
    } else if (sscanf(line, "bias %31s %127s", a, b) == 2) {
        g->bias[g->o.n_bias++] = (mote_bias){ atoi(a), strtof(b, NULL) };
    } else if (sscanf(line, "breaker %127s", b) == 1) {
        const size_t i = g->o.n_dry_breaker++;
        from_hex(b, g->breaker[i], sizeof g->breaker[0]);
        g->breaker_at[i] = g->breaker[i];
    } else if (!strncmp(line, "text ", 5)) {
        char *end;
        for (char *at = line + 5; g->n_text < 64; at = end) {
            g->text[g->n_text] = (mote_token)strtol(at, &end, 10);
            if (end == at) break;
            g->n_text++;
        }
    } else if (!strncmp(line, "logits ", 7)) {
        char *end;
        for (char *at = line + 7; g->n_vocab < 64; at = end) {
            g->logits[g->n_vocab] = strtof(at, &end);
            if (end == at) break;
            g->n_vocab++;
        }
    } else if (!strncmp(line, "keep", 4) || !strncmp(line, "draw", 4)) {
        return true;
    } else if (line[0] != '#') {
        fail_msg("golden file: cannot read %.60s", line);
    }
    return false;
}

static void goldens(void **state)
{
    (void)state;
    char path[1024], line[LINE];
    const char *source = getenv("MOTE_SOURCE");
    snprintf(path, sizeof path, "%s/tests/golden/sampler.txt", source ? source : ".");
    FILE *f = fopen(path, "r");
    if (!f) {
        printf("SKIPPED: %s is not there\n", path);
        skip();
    }
    static mt_tokenizer t;
    static golden g;
    int n = 0;
    while (fgets(line, sizeof line, f))
        if (read_line(&g, &t, line)) {
            check_golden(&g, &t, line);
            n++;
        }
    fclose(f);
    printf("%d golden cases\n", n);
    assert_true(n >= 350);
}

/* ---- numbers ------------------------------------------------------------------------------- */
/* splitmix64 from 1234567 as on Rosetta Code; xoshiro256** from {1, 2, 3, 4} as in rand_xoshiro. */
static void random_numbers(void **state)
{
    (void)state;
    uint64_t s = 1234567;
    assert_true(mt_splitmix64(&s) == UINT64_C(6457827717110365317));
    assert_true(mt_splitmix64(&s) == UINT64_C(3203168211198807973));
    assert_true(mt_splitmix64(&s) == UINT64_C(9817491932198370423));
    static const uint64_t want[] = {
        UINT64_C(11520), 0, UINT64_C(1509978240), UINT64_C(1215971899390074240),
        UINT64_C(1216172134540287360), UINT64_C(607988272756665600),
        UINT64_C(16172922978634559625), UINT64_C(8476171486693032832),
        UINT64_C(10595114339597558777), UINT64_C(2904607092377533576)
    };
    mt_rng r = { { 1, 2, 3, 4 } };
    for (size_t i = 0; i < MT_COUNT(want); i++) assert_true(mt_rng_next(&r) == want[i]);
}

static void exp_and_ln(void **state)
{
    (void)state;
    double worst = 0;
    for (int i = 0; i <= 870000; i++) {
        const float x = (float)-i / 10000;
        const double e = exp((double)x);
        worst = fmax(worst, fabs((double)mt_exp_neg(x) - e) / e);
    }
    assert_true(worst < 2e-7);
    assert_true(mt_exp_neg(0) >= 1 && mt_exp_neg(0) <= 1);
    assert_true(mt_exp_neg(-1e30f) <= 0 && mt_exp_neg(-INFINITY) <= 0);
    for (double x = 1e-40; x < 1e40; x *= 1.7)
        assert_true(fabs(mt_ln(x) - log(x)) <= 1e-15 * fabs(log(x)) + 1e-16);
    assert_true(fabs(mt_power(1.75, 30) / pow(1.75, 30) - 1) < 1e-12);
    assert_true(mt_power(1000, 131072) <= 1e30 && mt_power(1000, 131072) >= 1e30);
    assert_true(mt_power(1, 131072) <= 1 && mt_power(3, 0) <= 1);
}

/* ---- a large vocabulary against brute force -------------------------------------------------- */
typedef struct pair { float x; int id; } pair;

static int by_rank(const void *a, const void *b)
{
    const pair *l = a, *r = b;
    if (l->x < r->x || l->x > r->x) return l->x < r->x ? 1 : -1;
    return l->id - r->id;
}

static int by_id(const void *a, const void *b) { return ((const pair *)a)->id - ((const pair *)b)->id; }

/* The first n of a full sort, back in order of id, must be what survives. */
static void compare_first(mote_sampler *p, const float *x, size_t n_vocab, size_t n)
{
    pair *all = malloc(n_vocab * sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < n_vocab; i++) all[i] = (pair){ x[i], (int)i };
    qsort(all, n_vocab, sizeof *all, by_rank);
    qsort(all, n, sizeof *all, by_id);
    const mote_token *id;
    const float *prob;
    size_t got;
    mt_sampler_distribution(p, x, &id, &prob, &got);
    if (got != n) fail_msg("%zu survive, expected %zu, best %g", got, n, (double)all[0].x);
    for (size_t i = 0; i < n; i++) assert_int_equal(id[i], all[i].id);
    free(all);
}

static void fill_shape(float *x, size_t n, int shape)
{
    make_logits(x, n, 5);
    for (size_t i = 0; i < n; i++) {
        if (shape == 1) x[i] = floorf(x[i]);                      /* thousands of equals */
        if (shape == 2) x[i] = (float)i;                          /* the bar rises all the time */
        if (shape == 3) x[i] = -(float)i;
        if (shape == 4) x[i] = 1;
        if (shape == 5) x[i] = (float)i * 1e-41f;                 /* denormals */
        if (shape == 6) x[i] = (i % 2 ? 1.0f : -1.0f) * (float)i * 1e33f;
    }
}

static void large_top_k(void **state)
{
    (void)state;
    float *x = malloc(BIG * sizeof *x);
    assert_non_null(x);
    for (int shape = 0; shape <= 6; shape++) {
        fill_shape(x, BIG, shape);
        static const int ks[] = { 1, 2, 40, 1023, 5000, BIG - 1 };
        for (size_t i = 0; i < MT_COUNT(ks); i++) {
            mote_sampler_opts o = neutral();
            o.top_k = ks[i];
            mote_sampler *p = open_ok(&o, BIG);
            compare_first(p, x, BIG, (size_t)ks[i]);
            mote_sampler_close(p);
        }
    }
    free(x);
}

static void large_top_p(void **state)
{
    (void)state;
    float *x = malloc(BIG * sizeof *x);
    pair *all = malloc(BIG * sizeof *all);
    assert_true(x && all);
    for (int shape = 0; shape <= 6; shape++) {
        fill_shape(x, BIG, shape);
        double total = 0;
        for (int i = 0; i < BIG; i++) all[i] = (pair){ x[i], i };
        qsort(all, BIG, sizeof *all, by_rank);
        for (int i = 0; i < BIG; i++) total += exp((double)all[i].x - (double)all[0].x);
        static const float ps[] = { 0, 0.30001f, 0.90001f, 0.99903f };
        for (size_t i = 0; i < MT_COUNT(ps); i++) {
            double sum = 0;
            size_t n = 0;
            while (n == 0 || sum < (double)ps[i] * total)
                sum += exp((double)all[n++].x - (double)all[0].x);
            mote_sampler_opts o = neutral();
            o.top_p = ps[i];
            mote_sampler *p = open_ok(&o, BIG);
            compare_first(p, x, BIG, n);
            mote_sampler_close(p);
        }
    }
    free(all);
    free(x);
}

/* ---- the draw -------------------------------------------------------------------------------- */
/* Chi-square of 200,000 draws against the distribution, 49 degrees of freedom: mean 49, standard
 * deviation 9.9.  Fixed seeds make the outcome a constant; 100 is five deviations away. */
static void frequencies(void **state)
{
    (void)state;
    enum { V = 50, N = 200000 };
    float x[V];
    for (uint64_t seed = 1; seed <= 5; seed++) {
        for (int i = 0; i < V; i++) x[i] = (float)((i * 7) % V) * 0.06f;
        mote_sampler_opts o = neutral();
        o.seed = seed;
        mote_sampler *p = open_ok(&o, V);
        const mote_token *id;
        const float *prob;
        size_t n;
        double share[V], chi = 0;
        int count[V] = { 0 };
        mt_sampler_distribution(p, x, &id, &prob, &n);
        assert_int_equal(n, V);
        for (int i = 0; i < V; i++) share[i] = (double)prob[i];
        for (int i = 0; i < N; i++) count[mote_sample(p, x)]++;
        for (int i = 0; i < V; i++)
            chi += (count[i] - N * share[i]) * (count[i] - N * share[i]) / (N * share[i]);
        if (chi > 100 || chi < 20) fail_msg("seed %d: chi-square %.1f of 49", (int)seed, chi);
        mote_sampler_close(p);
    }
}

static void seeds(void **state)
{
    (void)state;
    enum { V = 1000, N = 200 };
    float x[V];
    make_logits(x, V, 9);
    mote_sampler_opts o;
    mt_sampler_opts_default(&o);
    o.temperature = 2;
    o.repeat_penalty = 1.1f;
    o.dry_multiplier = 0.8f;
    o.seed = 42;
    mote_sampler *a = open_ok(&o, V), *b = open_ok(&o, V);
    o.seed = 43;
    mote_sampler *c = open_ok(&o, V);
    mote_token first[N];
    int same = 0;
    for (int i = 0; i < N; i++) {
        first[i] = mote_sample(a, x);
        assert_int_equal(first[i], mote_sample(b, x));
        same += first[i] == mote_sample(c, x);
    }
    assert_true(same < N / 2);
    mote_sampler_reset(a);
    for (int i = 0; i < N; i++) assert_int_equal(first[i], mote_sample(a, x));
    mote_sampler_close(a);
    mote_sampler_close(b);
    mote_sampler_close(c);
    mote_sampler_close(NULL);
}

/* mote_sample accepts its choice: a sampler that is told the same tokens penalises the same. */
static void accepts_its_choice(void **state)
{
    (void)state;
    float x[100];
    make_logits(x, 100, 3);
    mote_sampler_opts o = neutral();
    o.temperature = 0;
    o.presence_penalty = 100;
    mote_sampler *a = open_ok(&o, 100), *b = open_ok(&o, 100);
    bool seen[100] = { false };
    for (int i = 0; i < 64; i++) {                /* the window: no token comes twice in it */
        const mote_token t = mote_sample(a, x);
        assert_false(seen[t]);
        seen[t] = true;
        mote_sampler_accept(b, t);
        mote_sampler_accept(b, -1);               /* no token: no effect */
        mote_sampler_accept(b, 100);
    }
    assert_int_equal(mote_sample(a, x), mote_sample(b, x));
    mote_sampler_close(a);
    mote_sampler_close(b);
}

/* Looking at the distribution changes nothing that is drawn later. */
static void looking_is_free(void **state)
{
    (void)state;
    float x[100];
    make_logits(x, 100, 8);
    mote_sampler_opts o = neutral();
    o.temperature = 3;
    o.xtc_probability = 0.5f;
    o.xtc_threshold = 0.02f;
    o.repeat_penalty = 1.2f;
    mote_sampler *a = open_ok(&o, 100), *b = open_ok(&o, 100);
    for (int i = 0; i < 200; i++) {
        const mote_token *id;
        const float *prob;
        size_t n;
        mt_sampler_distribution(a, x, &id, &prob, &n);
        assert_int_equal(mote_sample(a, x), mote_sample(b, x));
    }
    mote_sampler_close(a);
    mote_sampler_close(b);
}

/* The window slides: counts equal those of a fresh sampler that saw only the window. */
static void long_text(void **state)
{
    (void)state;
    float x[40];
    make_logits(x, 40, 4);
    mote_sampler_opts o = neutral();
    o.frequency_penalty = 0.01f;
    o.repeat_last_n = 50;
    o.dry_multiplier = 0.5f;
    o.dry_last_n = 70;
    mote_sampler *a = open_ok(&o, 40), *b = open_ok(&o, 40);
    mote_token text[1000];
    mt_rng r;
    mt_rng_seed(&r, 1);
    for (int i = 0; i < 1000; i++) {
        text[i] = (mote_token)(mt_rng_next(&r) % 5);
        mote_sampler_accept(a, text[i]);
        mote_sampler_reset(b);
        for (int j = i < 70 ? 0 : i - 69; j <= i; j++) mote_sampler_accept(b, text[j]);
        const mote_token *ia, *ib;
        const float *pa, *pb;
        size_t na, nb;
        mt_sampler_distribution(a, x, &ia, &pa, &na);
        mt_sampler_distribution(b, x, &ib, &pb, &nb);
        assert_int_equal(na, nb);
        assert_memory_equal(ia, ib, na * sizeof *ia);
        assert_memory_equal(pa, pb, na * sizeof *pa);
    }
    mote_sampler_close(a);
    mote_sampler_close(b);
}

/* A breaker may be spread over many tokens, one byte each; then the text behind it is new. */
static void breaker_over_tokens(void **state)
{
    (void)state;
    static mt_tokenizer t = { .n = 5, .piece = { "a", "c", "#", "!", "\n" }, .len = { 1, 1, 1, 1, 1 } };
    static const mote_token text[] = { 0, 1, 2, 3, 4, 0, 1, 2, 3, 4 };      /* ac#!\nac#!\n */
    static const struct { const char *breaker; bool breaks; } row[] = {
        { "c#!\n", true }, { "ac#!\n", true }, { "\nac#!\n", true }, { "b#!\n", false }, { "c#!", true },
        { "\n\nac#!\n", false }, { "ac#!\nac#!\n", true }, { "ac#!\nac#!\na", false },
    };
    for (size_t i = 0; i < MT_COUNT(row); i++) {
        mote_sampler_opts o = neutral();
        o.dry_multiplier = 1;
        o.dry_breakers = &row[i].breaker;
        o.n_dry_breaker = 1;
        mote_sampler *p;
        assert_int_equal(mt_sampler_open(&p, &o, 5, NULL, &t, NULL), MOTE_OK);
        for (size_t j = 0; j < MT_COUNT(text); j++) mote_sampler_accept(p, text[j]);
        const mote_token *id;
        const float *prob;
        size_t n;
        mt_sampler_distribution(p, (const float[]){ 1, 1, 1, 1, 1 }, &id, &prob, &n);
        assert_int_equal(n, 5);
        if ((prob[0] < prob[1]) == row[i].breaks)
            fail_msg("breaker %zu: a has %g, c has %g", i, (double)prob[0], (double)prob[1]);
        mote_sampler_close(p);
    }
}

/* ---- greedy, and logits that are no numbers ---------------------------------------------------- */
static void greedy(void **state)
{
    (void)state;
    mote_sampler_opts o;
    mt_sampler_opts_default(&o);
    o.temperature = 0;
    meter m = { 0 };
    const mote_alloc alloc = { meter_get, meter_put, &m };
    mote_sampler *p;
    assert_int_equal(mt_sampler_open(&p, &o, 152000, &alloc, NULL, NULL), MOTE_OK);
    assert_true(mt_sampler_is_argmax(p));
    assert_true(m.bytes < 8192);                  /* no buffer of the vocabulary's size */
    mote_sampler_close(p);

    p = open_ok(&o, 6);
    assert_int_equal(mote_sample(p, (const float[]){ 1, 5, 2, 5, 0, 5 }), 1);
    assert_int_equal(mote_sample(p, (const float[]){ NAN, -5, NAN, -4, INFINITY, -5 }), 3);
    assert_int_equal(mote_sample(p, (const float[]){ -FLT_MAX, NAN, NAN, -INFINITY, NAN, NAN }), 0);
    assert_int_equal(mote_sample(p, (const float[]){ NAN, NAN, -INFINITY, NAN, INFINITY, NAN }), -1);
    mote_sampler_close(p);

    const mote_bias bias[] = { { 1, -INFINITY }, { 0, 4.5f } };
    o.bias = bias;
    o.n_bias = 2;
    p = open_ok(&o, 6);
    assert_false(mt_sampler_is_argmax(p));
    assert_int_equal(mote_sample(p, (const float[]){ 1, 9, 2, 5, 0, 5 }), 0);
    const mote_token *id;
    const float *prob;
    size_t n;
    mt_sampler_distribution(p, (const float[]){ 1, 9, 2, 5, 0, 5 }, &id, &prob, &n);
    assert_true(n == 1 && id[0] == 0 && prob[0] >= 1);
    mt_sampler_distribution(p, (const float[]){ NAN, 9, NAN, NAN, NAN, NAN }, &id, &prob, &n);
    assert_int_equal(n, 0);
    mote_sampler_close(p);
}

/* The two zeros are equal, and of equals the lower id goes first. */
static void equals(void **state)
{
    (void)state;
    mote_sampler_opts o = neutral();
    o.top_k = 1;
    mote_sampler *p = open_ok(&o, 4);
    assert_int_equal(mote_sample(p, (const float[]){ -1, -0.0f, 0.0f, 0.0f }), 1);
    assert_int_equal(mote_sample(p, (const float[]){ -1, 0.0f, -0.0f, 0.0f }), 1);
    mote_sampler_close(p);
}

/* Whatever the chain, what is no finite number is never chosen, and nothing but such gives -1. */
static void not_numbers(void **state)
{
    (void)state;
    static const char *const orders[] = {
        NULL, "top_p", "typical_p,top_k", "min_p,bias", "temperature,penalties", "xtc", "", "top_k,dry,bias",
    };
    const mote_bias ban[] = { { 2, -INFINITY } };
    for (size_t i = 0; i < MT_COUNT(orders) * 2; i++) {
        mote_sampler_opts o;
        mt_sampler_opts_default(&o);
        o.order = orders[i / 2];
        o.typical_p = 0.5f;
        o.xtc_probability = 1;
        o.repeat_penalty = 1.3f;
        o.dry_multiplier = 1;
        o.bias = ban;
        o.n_bias = 1;
        o.top_k = 3;
        o.mirostat = i % 2 ? 2 : 0;
        mote_sampler *p = open_ok(&o, 5);
        for (int j = 0; j < 50; j++) {
            const mote_token t = mote_sample(p, (const float[]){ NAN, 3, -3e38f, INFINITY, 3 });
            assert_true(t == 1 || t == 2 || t == 4);
        }
        const float none[] = { NAN, INFINITY, -INFINITY, NAN, -INFINITY };
        assert_int_equal(mote_sample(p, none), -1);
        mote_sampler_close(p);
    }
    mote_sampler_opts o = neutral();              /* all candidates banned after a filter */
    o.top_k = 1;
    o.bias = ban;
    o.n_bias = 1;
    o.order = "top_k,bias";
    mote_sampler *p = open_ok(&o, 5);
    assert_int_equal(mote_sample(p, (const float[]){ 0, 1, 9, 1, 0 }), -1);
    mote_sampler_close(p);
}

/* ---- what open refuses ------------------------------------------------------------------------- */
static void refuse(const mote_sampler_opts *o, int n_vocab, const char *part)
{
    mote_sampler *p = NULL;
    mote_error err = { MOTE_OK, "" };
    meter m = { 0 };
    const mote_alloc alloc = { meter_get, meter_put, &m };
    const mote_status status = mt_sampler_open(&p, o, n_vocab, &alloc, NULL, &err);
    if (status != MOTE_EINVAL || err.code != status || !strstr(err.text, part))
        fail_msg("expected EINVAL with '%s', got %d '%s'", part, (int)status, err.text);
    assert_null(p);
    assert_int_equal(m.bytes, 0);
    assert_int_equal(mt_sampler_open(&p, o, n_vocab, NULL, NULL, NULL), MOTE_EINVAL);
}

#define REFUSE(change, part)                      \
    do {                                          \
        mote_sampler_opts o;                      \
        mt_sampler_opts_default(&o);              \
        change;                                   \
        refuse(&o, 100, part);                    \
    } while (0)

static void bad_options(void **state)
{
    (void)state;
    REFUSE(o.temperature = NAN, "temperature is nan, expected -1000 to 1000");
    REFUSE(o.temperature = INFINITY, "temperature is inf");
    REFUSE(o.top_k = -1, "top_k is -1");
    REFUSE(o.top_p = 1.5f, "top_p is 1.5, expected 0 to 1");
    REFUSE(o.top_p = NAN, "top_p");
    REFUSE(o.min_p = -0.1f, "min_p");
    REFUSE(o.typical_p = NAN, "typical_p");
    REFUSE(o.repeat_penalty = 0, "repeat_penalty");
    REFUSE(o.frequency_penalty = -INFINITY, "frequency_penalty");
    REFUSE(o.presence_penalty = NAN, "presence_penalty");
    REFUSE(o.repeat_last_n = -2, "repeat_last_n");
    REFUSE(o.repeat_last_n = MT_SAMPLER_TEXT_MAX + 1, "repeat_last_n");
    REFUSE(o.dry_multiplier = -1, "dry_multiplier");
    REFUSE(o.dry_base = 0.5f, "dry_base");
    REFUSE(o.dry_allowed_length = -1, "dry_allowed_length");
    REFUSE(o.dry_last_n = 1 << 30, "dry_last_n");
    REFUSE(o.xtc_probability = 2, "xtc_probability");
    REFUSE(o.xtc_threshold = NAN, "xtc_threshold");
    REFUSE(o.mirostat = 1, "mirostat is 1, expected 0 or 2");
    REFUSE(o.mirostat_tau = -1, "mirostat_tau");
    REFUSE(o.mirostat_eta = NAN, "mirostat_eta");
    REFUSE(o.size = 0, "size");
    REFUSE(o.size = sizeof o + 8, "size");
    REFUSE(o.order = "top_k,topp", "order names the unknown step 'topp'");
    REFUSE(o.order = "top_k,,top_p", "unknown step ''");
    REFUSE(o.order = "top_k,top_p,top_k", "order names top_k twice");
    REFUSE(o.n_bias = 1, "n_bias");
    const mote_bias far[] = { { 100, 1 } }, nan[] = { { 0, NAN } }, inf[] = { { 0, INFINITY } };
    REFUSE((o.bias = far, o.n_bias = 1), "token 100, the vocabulary has 100");
    REFUSE((o.bias = nan, o.n_bias = 1), "nan");
    REFUSE((o.bias = inf, o.n_bias = 1), "expected a number or -inf");
    REFUSE((o.bias = far, o.n_bias = 101), "n_bias");
    static const char *const empty[] = { "a", "" };
    static const char *const absent[] = { NULL };
    static const char *many[MT_SAMPLER_BREAKER_MAX + 1];
    for (size_t i = 0; i < MT_COUNT(many); i++) many[i] = "x";
    REFUSE((o.dry_multiplier = 1, o.dry_breakers = empty, o.n_dry_breaker = 2), "breaker 1 has 0 bytes");
    REFUSE((o.dry_multiplier = 1, o.dry_breakers = absent, o.n_dry_breaker = 1), "breaker 0");
    REFUSE((o.dry_multiplier = 1, o.dry_breakers = many, o.n_dry_breaker = MT_COUNT(many)), "at most 64");
    mote_sampler_opts o = neutral();
    refuse(&o, 0, "vocabulary");
    refuse(&o, -5, "vocabulary");
    refuse(&o, MT_SAMPLER_VOCAB_MAX + 1, "vocabulary");
}

static void good_options(void **state)
{
    (void)state;
    mote_sampler *p = open_ok(NULL, 10);          /* the defaults */
    mote_sampler_close(p);
    mote_sampler_opts o = neutral();
    o.order = " top_k , temperature ";
    mote_sampler_close(open_ok(&o, 10));
    o.order = NULL;
    o.top_k = 1;
    o.top_p = NAN;
    o.size = offsetof(mote_sampler_opts, top_p);  /* an older caller: later fields are not read */
    p = open_ok(&o, 3);
    assert_int_equal(mote_sample(p, (const float[]){ 1, 3, 2 }), 1);
    mote_sampler_close(p);
}

/* ---- memory -------------------------------------------------------------------------------------- */
static void every_allocation_fails(void **state)
{
    (void)state;
    static const char *const breakers[] = { "\n", "<|end|>" };
    const mote_bias bias[] = { { 7, 1.5f } };
    mote_sampler_opts o;
    mt_sampler_opts_default(&o);
    o.repeat_penalty = 1.1f;
    o.dry_multiplier = 0.8f;
    o.dry_breakers = breakers;
    o.n_dry_breaker = 2;
    o.xtc_probability = 0.5f;
    o.bias = bias;
    o.n_bias = 1;
    long n = 1;
    for (; n < 1000; n++) {
        meter m = { .fail_at = n };
        const mote_alloc alloc = { meter_get, meter_put, &m };
        mote_sampler *p = NULL;
        mote_error err = { MOTE_OK, "" };
        const mote_status status = mt_sampler_open(&p, &o, BIG, &alloc, NULL, &err);
        if (status == MOTE_OK) {
            mote_sampler_close(p);
            assert_int_equal(m.bytes, 0);
            break;
        }
        assert_int_equal(status, MOTE_ENOMEM);
        assert_true(err.code == MOTE_ENOMEM && strlen(err.text) > 0);
        assert_null(p);
        assert_int_equal(m.bytes, 0);
    }
    printf("%ld allocations failed, one at a time\n", n - 1);
    assert_true(n > 10 && n < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_numbers), cmocka_unit_test(exp_and_ln), cmocka_unit_test(goldens),
        cmocka_unit_test(large_top_k), cmocka_unit_test(large_top_p),
        cmocka_unit_test(frequencies), cmocka_unit_test(seeds),
        cmocka_unit_test(accepts_its_choice), cmocka_unit_test(looking_is_free),
        cmocka_unit_test(long_text), cmocka_unit_test(equals),
        cmocka_unit_test(breaker_over_tokens),
        cmocka_unit_test(greedy), cmocka_unit_test(not_numbers), cmocka_unit_test(bad_options),
        cmocka_unit_test(good_options), cmocka_unit_test(every_allocation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

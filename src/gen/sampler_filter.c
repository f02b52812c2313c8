/* SPDX-License-Identifier: MIT */
/* sampler_filter.c - the steps that drop candidates (top-k, typical, top-p, min-p, XTC,
 * mirostat 2) and the one that scales them (temperature).
 *
 * Nothing is sorted.  A candidate's rank is a 64-bit key, its value made sortable above its
 * inverted id, so keys are unique and equal logits rank by lower id first.  A radix walk over
 * the keys finds where the wanted count or mass is reached, in time linear in the candidates
 * whatever their values; a pass then keeps what ranks no lower.  Every step leaves at least one
 * candidate (llama.cpp's min_keep = 1).
 *
 * Where definitions differ: top-k keeps exactly k, as llama.cpp; Hugging Face keeps all that
 * equal the k-th.  Top-p keeps the shortest run whose mass is >= p, as both; typical keeps the
 * run whose mass reaches >= p, as Hugging Face (llama.cpp: > p).  XTC spares no special tokens,
 * as llama.cpp. */
#include <float.h>

#include "gen/sampler_parts.h"

enum { BLOCK = 32, LANES = 8 };

/* ---- rank ------------------------------------------------------------------ */
/* Order-preserving for finite floats, 0 for the others; -0 equals +0. */
MT_INLINE uint32_t sortable(float x)
{
    uint32_t bits;
    x += 0.0f;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7f800000u) == 0x7f800000u) return 0;
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

MT_INLINE uint64_t rank_of(float x, mote_token t)
{
    const uint32_t high = sortable(x);
    return high ? (uint64_t)high << 32 | (uint32_t)~(uint32_t)t : 0;
}

/* The lowest value that a key >= this one can have. */
static float value_of(uint64_t key)
{
    const uint32_t high = (uint32_t)(key >> 32);
    if (high <= 0x00800000u) return -FLT_MAX;
    const uint32_t bits = high & 0x80000000u ? high & 0x7fffffffu : ~high;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The largest key b for which the keys >= b number at least target, or weigh at least target
 * where w is given: the last of the shortest run of best candidates.  n >= 1. */
static uint64_t threshold(mote_sampler *p, const uint64_t *key, const float *w, size_t n,
                          double target)
{
    static const int stop[] = { 53, 42, 32, 21, 10, 0 };   /* digits of 11 or 10 bits */
    uint64_t prefix = 0;
    double above = 0;                                      /* mass of keys above the prefix */
    int shift = 64;
    for (size_t d = 0; d < MT_COUNT(stop); d++) {
        const size_t n_bucket = (size_t)1 << (shift - stop[d]);
        memset(p->mass, 0, n_bucket * sizeof *p->mass);
        memset(p->fill, 0, n_bucket * sizeof *p->fill);
        for (size_t i = 0; i < n; i++) {
            if (shift < 64 && key[i] >> shift != prefix) continue;
            const size_t b = (size_t)(key[i] >> stop[d]) & (n_bucket - 1);
            p->mass[b] += w ? (double)w[i] : 1.0;
            p->fill[b]++;
        }
        size_t b = n_bucket - 1, last = b;        /* last: the lowest bucket with keys so far */
        while (true) {
            if (p->fill[b]) {
                last = b;
                if (above + p->mass[b] >= target) break;
                above += p->mass[b];
            }
            if (b == 0) {                         /* rounding kept us short: take them all */
                above -= p->mass[last];
                break;
            }
            b--;
        }
        prefix = prefix << (shift - stop[d]) | last;
        shift = stop[d];
        if (p->fill[last] == 1) break;
    }
    size_t i = 0;
    while (key[i] >> shift != prefix) i++;        /* the whole key: not all may stand in `key` */
    return key[i];
}

/* ---- candidates ------------------------------------------------------------ */
MT_INLINE bool any_from(const float *x, float floor)      /* (BLOCK) */
{
    int32_t any = 0;
    for (int i = 0; i < BLOCK; i++) any |= x[i] >= floor ? 1 : 0;
    return any != 0;
}

MT_INLINE bool all_finite(const float *x)                 /* (BLOCK) */
{
    uint32_t bits[BLOCK], bad = 0;
    memcpy(bits, x, sizeof bits);
    for (int i = 0; i < BLOCK; i++) bad |= (bits[i] & 0x7f800000u) == 0x7f800000u ? 1 : 0;
    return bad == 0;
}

MT_INLINE mote_token id_at(const mote_sampler *p, size_t i)
{
    return p->live_id ? p->live_id[i] : (mote_token)i;
}

/* Keeps the candidates whose rank lies in [low, high], low >= 1. */
static void keep(mote_sampler *p, uint64_t low, uint64_t high)
{
    const float floor = value_of(low);
    const bool takes_all = low == 1 && high == UINT64_MAX;
    size_t m = 0;
    for (size_t i = 0; i < p->n; i += BLOCK) {
        const size_t end = MT_MIN(i + BLOCK, p->n);
        const bool is_whole = end - i == BLOCK;
        if (is_whole && !any_from(p->live_x + i, floor)) continue;
        if (is_whole && takes_all && all_finite(p->live_x + i)) {
            for (size_t j = 0; j < BLOCK; j++) p->id[m + j] = id_at(p, i + j);
            memmove(p->x + m, p->live_x + i, BLOCK * sizeof *p->x);
            m += BLOCK;
            continue;
        }
        for (size_t j = i; j < end; j++) {        /* m <= j: in place is safe */
            const float x = p->live_x[j];
            const mote_token t = id_at(p, j);
            const uint64_t rank = rank_of(x, t);
            p->x[m] = x;
            p->id[m] = t;
            m += rank >= low && rank <= high;
        }
    }
    p->live_x = p->x;
    p->live_id = p->id;
    p->is_edited = false;
    p->n = m;
}

void mt_sampler_own(mote_sampler *p)
{
    p->is_edited = true;
    if (p->live_x == p->x) return;
    memcpy(p->x, p->live_x, p->n * sizeof *p->x);
    p->live_x = p->x;
}

void mt_sampler_settle(mote_sampler *p)
{
    if (!p->live_id || p->is_edited) keep(p, 1, UINT64_MAX);
}

static float largest(const float *x, size_t n)
{
    float lane[LANES];
    for (int j = 0; j < LANES; j++) lane[j] = -FLT_MAX;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const float *at = x + i;
        for (int j = 0; j < LANES; j++) lane[j] = at[j] > lane[j] ? at[j] : lane[j];
    }
    for (; i < n; i++) lane[0] = x[i] > lane[0] ? x[i] : lane[0];
    for (int j = 1; j < LANES; j++) lane[0] = lane[j] > lane[0] ? lane[j] : lane[0];
    return lane[0];
}

static void exp_below(float *restrict w, const float *restrict x, size_t n, float max)
{
    for (size_t i = 0; i < n; i++) w[i] = mt_exp_neg(x[i] - max);
}

double mt_sampler_weigh(mote_sampler *p)
{
    mt_sampler_settle(p);
    const float *w = p->weight;
    exp_below(p->weight, p->x, p->n, largest(p->x, p->n));
    double lane[LANES] = { 0 };                   /* the order of the sum is part of the contract */
    size_t i = 0;
    for (; i + LANES <= p->n; i += LANES)
        for (int j = 0; j < LANES; j++) lane[j] += (double)w[i + (size_t)j];
    for (; i < p->n; i++) lane[0] += (double)w[i];
    for (int j = 1; j < LANES; j++) lane[0] += lane[j];
    return lane[0];
}

/* Keeps the values >= cut; the best one alone when the cut lies above them all. */
static void keep_from(mote_sampler *p, double cut)
{
    uint64_t low = 0;
    if (cut <= (double)largest(p->x, p->n)) {
        low = (uint64_t)sortable(cut > -FLT_MAX ? (float)cut : -FLT_MAX) << 32;
    } else {
        for (size_t i = 0; i < p->n; i++) {
            const uint64_t rank = rank_of(p->x[i], p->id[i]);
            low = MT_MAX(low, rank);
        }
    }
    keep(p, low, UINT64_MAX);
}

/* ---- the steps --------------------------------------------------------------- */
/* One pass with a rising bar: candidates above it gather in `key`; each time that is full it is
 * cut back to k and the bar rises.  Most blocks then fail one comparison of 32 values. */
void mt_sampler_top_k(mote_sampler *p)
{
    const size_t k = (size_t)p->o.top_k;
    if (k >= p->n) return;
    const size_t cap = MT_MIN(p->n_vocab, k + MT_MAX(k, 1024));    /* > k: n_vocab >= n > k */
    uint64_t *key = p->key, low = 1;
    float floor = -FLT_MAX;
    size_t m = 0;
    for (size_t i = 0; i < p->n; i += BLOCK) {
        const size_t end = MT_MIN(i + BLOCK, p->n);
        if (end - i == BLOCK && !any_from(p->live_x + i, floor)) continue;
        for (size_t j = i; j < end; j++) {
            const uint64_t rank = rank_of(p->live_x[j], id_at(p, j));
            if (rank < low) continue;
            key[m++] = rank;
            if (m < cap) continue;
            low = threshold(p, key, NULL, m, (double)k);
            floor = value_of(low);
            m = 0;
            for (size_t c = 0; c < cap; c++)
                if (key[c] >= low) key[m++] = key[c];
        }
    }
    if (m > k) low = threshold(p, key, NULL, m, (double)k);
    keep(p, low, UINT64_MAX);
}

void mt_sampler_top_p(mote_sampler *p)
{
    const double total = mt_sampler_weigh(p), top_p = (double)p->o.top_p;
    if (p->n <= 1) return;
    /* What is lighter than this weighs less than (1 - p) in all, so the run never needs it. */
    const float light = (float)((1 - top_p) * total / (double)p->n * 0.999);
    size_t m = 0;
    for (size_t i = 0; i < p->n; i++) {
        if (p->weight[i] < light) continue;
        p->weight[m] = p->weight[i];
        p->key[m++] = rank_of(p->x[i], p->id[i]);
    }
    /* m >= 1, since the mean is no larger than the largest */
    keep(p, threshold(p, p->key, p->weight, m, top_p * total), UINT64_MAX);
}

/* p_i >= min_p * p_max, without a softmax. */
void mt_sampler_min_p(mote_sampler *p)
{
    mt_sampler_settle(p);
    if (p->n <= 1) return;
    const double max = (double)largest(p->x, p->n);
    keep_from(p, max + mt_ln((double)p->o.min_p));
}

/* Locally typical: those whose surprise is nearest to the entropy, until their mass reaches p. */
void mt_sampler_typical_p(mote_sampler *p)
{
    const double total = mt_sampler_weigh(p);
    if (p->n <= 1) return;
    const double top = (double)largest(p->x, p->n);
    double sum = 0;                               /* H = ln Z + E[max - x] */
    for (size_t i = 0; i < p->n; i++) sum += (double)p->weight[i] * (top - (double)p->x[i]);
    const double mean = sum / total;
    for (size_t i = 0; i < p->n; i++) {
        const double away = (top - (double)p->x[i]) - mean;        /* ln Z cancels */
        p->key[i] = rank_of((float)MT_MAX(away > 0 ? -away : away, -FLT_MAX), p->id[i]);
    }
    const uint64_t low = threshold(p, p->key, p->weight, p->n, (double)p->o.typical_p * total);
    size_t m = 0;
    for (size_t i = 0; i < p->n; i++) {
        p->x[m] = p->x[i];
        p->id[m] = p->id[i];
        m += p->key[i] >= low;
    }
    p->n = m;
}

/* Exclude top choices: now and then, of the tokens at or above the threshold only the least
 * probable stays.  The coin falls whether or not there is anything to exclude. */
void mt_sampler_xtc(mote_sampler *p)
{
    if (mt_rng_unit(&p->rng) >= (double)p->o.xtc_probability) return;
    const double total = mt_sampler_weigh(p);
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < p->n; i++) {
        if ((double)p->weight[i] < (double)p->o.xtc_threshold * total) continue;
        const uint64_t rank = rank_of(p->x[i], p->id[i]);
        least = MT_MIN(least, rank);
    }
    keep(p, 1, least);
}

void mt_sampler_temperature(mote_sampler *p)
{
    mt_sampler_settle(p);
    for (size_t i = 0; i < p->n; i++) {
        const float x = p->x[i] / p->o.temperature;
        p->x[i] = x > FLT_MAX ? FLT_MAX : x < -FLT_MAX ? -FLT_MAX : x;
    }
}

/* Mirostat 2: drops what surprises by more than mu bits. */
void mt_sampler_mirostat(mote_sampler *p)
{
    const double total = mt_sampler_weigh(p);
    if (p->n <= 1) return;
    keep_from(p, (double)largest(p->x, p->n) + mt_ln(total) - p->mu * 0.69314718055994530942);
}

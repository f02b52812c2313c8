/* SPDX-License-Identifier: MIT */
/* guess.c - the estimates behind mt_guess_draft, and the decision.
 *
 * A guess of k tokens is worth 1 + p1 + p1 p2 + ... tokens, p by match length, which grows by one
 * with every token that comes true; it costs ratio[k] passes.  The best k of a few sizes is sent when
 * it gains a margin over plain decoding and the ledger can bear that all of it is wrong. */
#include "gen/guess.h"

/* With the token in front of them they make 2, 3, 4, 6, 8, 12 and 16 rows: whole tiles of the kernels. */
static const int size_of[MT_GUESS_SIZES] = {1, 2, 3, 5, 7, 11, 15};

/* Shortest match of each rank, and the chance it starts with (greedy and sampled text of a small
 * chat model, code and prose). */
static const struct { int len; double hit; } rank[MT_GUESS_RANKS] = {
    {2, 0.40}, {3, 0.55}, {4, 0.60}, {5, 0.70}, {8, 0.80}, {12, 0.88}, {20, 0.92}, {32, 0.95},
};

static const double
    ROW_COST = 0.07,             /* of a row in a pass of several, as long as nothing was measured */
    MARGIN = 1.04,               /* gain that an estimate must promise */
    CREDIT = 0.6,                /* passes that a session may lose at first, */
    INCOME = 0.008,              /* with each pass of one row, */
    MOST_CREDIT = 8,             /* and of its winnings */
    LEARN_HIT = 1.0 / 16, LEARN_COST = 0.1,
    FORGET_COST = 0.001;         /* per pass of one row: what was measured fades, so that it is tried again */

static double assumed(int size) { return 1 + ROW_COST * size_of[size]; }

void mt_guess_cost_init(mt_guess_cost *c)
{
    *c = (mt_guess_cost){0};
    for (int i = 0; i < MT_GUESS_SIZES; i++) c->ratio[i] = assumed(i);
}

size_t mt_guess_bytes(int n_ctx) { return mt_lookup_bytes(n_ctx); }

void mt_guess_init(mt_guess *g, mt_guess_cost *cost, void *memory, int n_ctx)
{
    *g = (mt_guess){.cost = cost, .credit = CREDIT};
    mt_lookup_init(&g->lookup, memory, n_ctx);
    for (int i = 0; i < MT_GUESS_RANKS; i++) g->hit[i] = rank[i].hit;
}

void mt_guess_start(mt_guess *g)
{
    g->n_seen = 0;               /* passes cost more in a longer context: measure afresh */
    g->n_token = g->at = g->n_got = 0;
    g->paid = 0;
}

static int rank_of(int len)
{
    int r = MT_GUESS_RANKS - 1;
    while (r > 0 && len < rank[r].len) r--;
    return r;
}

/* A size that was never tried is extrapolated from the largest smaller one that was. */
static double ratio_of(const mt_guess_cost *c, int size)
{
    int known = size;
    while (known >= 0 && c->seen[known] == 0) known--;
    if (known < 0 || known == size) return c->ratio[size];
    return MT_MAX(1 + (c->ratio[known] - 1) * size_of[size] / size_of[known], assumed(size));
}

static int decide(const mt_guess *g, int most)
{
    if (g->n_seen == 0) return 0;
    double gain = MARGIN, tokens = 1, chance = 1;
    int best = 0, k = 0;
    for (int i = 0; i < MT_GUESS_SIZES && size_of[i] <= most; i++) {
        for (; k < size_of[i]; k++) {
            chance *= g->hit[rank_of(g->len + k)];
            tokens += chance;
        }
        const double ratio = ratio_of(g->cost, i);
        if (ratio - 1 > g->credit) break;
        if (tokens / ratio > gain) gain = tokens / ratio, best = size_of[i];
    }
    return best;
}

int mt_guess_draft(mt_guess *g, mote_token *t, int n, int most)
{
    most = MT_MIN(most, MT_GUESS_MAX);
    g->n_token = g->at = 0;
    const int place = mt_lookup_find(&g->lookup, t, n, &g->len);
    if (place == 0) return 0;
    int k = most < 1 ? 0 : g->always ? 1 + (n * 7) % most : decide(g, most);
    g->n_token = MT_MAX(k, 1);           /* the first is checked even when it is not sent */
    for (int i = 0; i < g->n_token; i++) {       /* a repetition goes on into what is guessed */
        g->token[i] = place + i < n ? t[place + i] : g->token[place + i - n];
        if (i < k) t[n + i] = g->token[i];
    }
    return k;
}

/* The pass before this one is complete: what it gave against what it cost. */
static void settle(mt_guess *g)
{
    if (g->paid > 0) g->credit = MT_MIN(g->credit + g->n_got - g->paid, MOST_CREDIT);
    g->paid = 0, g->n_got = 0;
}

static void learn(double *mean, int *seen, double value)
{
    if (*seen > 0) value = MT_MIN(value, 1.5 * *mean);   /* a neighbour took the core meanwhile */
    *mean = *seen > 0 ? *mean + MT_MAX(1.0 / (*seen + 1), LEARN_COST) * (value - *mean) : value;
    if (*seen < 1000) ++*seen;
}

void mt_guess_timed(mt_guess *g, int n_sent, double seconds)
{
    settle(g);
    mt_guess_cost *c = g->cost;
    if (n_sent == 0) {
        learn(&g->pass_seconds, &g->n_seen, seconds);
        g->credit = MT_MIN(g->credit + INCOME, MOST_CREDIT);
        for (int i = 0; i < MT_GUESS_SIZES; i++) c->ratio[i] += FORGET_COST * (assumed(i) - c->ratio[i]);
        return;
    }
    if (g->n_seen == 0 || !(g->pass_seconds > 0)) return;
    for (int i = 0; i < MT_GUESS_SIZES; i++)
        if (size_of[i] == n_sent) {
            learn(&c->ratio[i], &c->seen[i], seconds / g->pass_seconds);
            g->paid = MT_MIN(seconds / g->pass_seconds, 2 * c->ratio[i]);
        }
}

void mt_guess_check(mt_guess *g, mote_token chosen)
{
    g->n_got++;
    if (g->at == g->n_token) return;
    double *hit = &g->hit[rank_of(g->len + g->at)];
    const bool is_right = g->token[g->at] == chosen;
    *hit += LEARN_HIT * ((is_right ? 1 : 0) - *hit);
    if (is_right) g->at++;
    else g->n_token = g->at = 0;
}

/* SPDX-License-Identifier: MIT */
/* bench_stats.c - intervals that assume nothing about the noise.
 *
 * Speeds on a shared machine have no bell shape: a neighbour takes a core, or he does not.  So the
 * interval of a median comes from order statistics (binomial), that of a quotient from the sorted
 * quotients of all pairs (Hodges and Lehmann; Mann and Whitney's distribution, exact for up to 20
 * runs on each side).  Six runs are the fewest that give 95 %; below, the range is given with the
 * coverage it has. */
#include "bench_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EXACT_RUNS = 20 };
static const double WANTED = 0.95;
static const double SAME_WITHIN = 0.03;      /* nobody acts upon less */
static const double LEAST_CHANGE = 0.01;     /* below this even a sure difference is called the same */

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A sorted copy (free it). */
static double *sorted(const double *v, int n)
{
    double *copy = n > 0 ? malloc((size_t)n * sizeof *copy) : NULL;
    if (!copy) return NULL;
    memcpy(copy, v, (size_t)n * sizeof *copy);
    qsort(copy, (size_t)n, sizeof *copy, by_value);
    return copy;
}

static double middle(const double *v, int n) { return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2; }

double stats_median(const double *v, int n)
{
    double *s = sorted(v, n);
    const double m = s ? middle(s, n) : 0;
    free(s);
    return m;
}

/* v[k-1] and v[n-k] leave out the chance that at most k-1 of n lie on one side of the median. */
stats_interval stats_of(const double *v, int n)
{
    stats_interval r = { 0 };
    double *s = sorted(v, n);
    if (!s) return r;
    double term = exp2(-n), below = term;
    int k = 1;
    r.coverage = n > 1 ? 1 - 2 * below : 0;
    for (int next = 2; next <= n / 2; next++) {
        term *= (double)(n - next + 2) / (next - 1);
        below += term;
        if (1 - 2 * below < WANTED) break;
        k = next;
        r.coverage = 1 - 2 * below;
    }
    r.low = s[k - 1], r.mid = middle(s, n), r.high = s[n - k];
    free(s);
    return r;
}

/* P(U <= u) for u = 0 .. cap-1: coefficients of the Gaussian binomial (na + nb choose na). */
static void whitney(int na, int nb, double *p, int cap)
{
    double all = 1;
    memset(p, 0, (size_t)cap * sizeof *p);
    p[0] = 1;
    for (int i = 1; i <= nb; i++) {
        for (int u = cap - 1; u >= na + i; u--) p[u] -= p[u - na - i];
        for (int u = i; u < cap; u++) p[u] += p[u - i];
        all *= (double)(na + i) / i;
    }
    for (int u = 0; u < cap; u++) p[u] = p[u] / all + (u ? p[u - 1] : 0);
}

/* How many quotients to leave out at each end, and what that covers. */
static int left_out(int na, int nb, double *coverage)
{
    const double pairs = (double)na * nb;
    if (na > EXACT_RUNS || nb > EXACT_RUNS) {    /* the normal distribution is near enough */
        *coverage = WANTED;
        const double k = floor(pairs / 2 - 1.96 * sqrt(pairs * (na + nb + 1) / 12));
        return k > 0 ? (int)k : 0;
    }
    double p[EXACT_RUNS * EXACT_RUNS / 2 + 1];
    const int cap = na * nb / 2 + 1;
    int k = 0;
    whitney(na, nb, p, cap);
    *coverage = 1 - 2 * p[0];
    while (k + 1 < cap && 1 - 2 * p[k + 1] >= WANTED) *coverage = 1 - 2 * p[++k];
    return k;
}

stats_interval stats_ratio(const double *a, int na, const double *b, int nb)
{
    stats_interval r = { 0 };
    if (na <= 0 || nb <= 0) return r;
    const size_t n = (size_t)na * (size_t)nb;
    double *q = malloc(n * sizeof *q);
    if (!q) return r;
    for (int i = 0; i < na; i++)
        for (int j = 0; j < nb; j++) q[(size_t)i * (size_t)nb + (size_t)j] = a[i] > 0 ? b[j] / a[i] : 0;
    qsort(q, n, sizeof *q, by_value);
    const size_t k = (size_t)left_out(na, nb, &r.coverage);
    r.low = q[k], r.high = q[n - 1 - k];
    r.mid = middle(q, (int)n);
    free(q);
    return r;
}

stats_verdict stats_judge(const stats_interval *r)
{
    if (r->coverage < WANTED) return STATS_FEW;
    if (r->low >= 1 - SAME_WITHIN && r->high <= 1 + SAME_WITHIN && fabs(r->mid - 1) < LEAST_CHANGE)
        return STATS_SAME;
    if (r->low > 1) return STATS_FASTER;
    if (r->high < 1) return STATS_SLOWER;
    return r->low >= 1 - SAME_WITHIN && r->high <= 1 + SAME_WITHIN ? STATS_SAME : STATS_NOISY;
}

const char *stats_word(stats_verdict v)
{
    switch (v) {
    case STATS_SAME: return "same";
    case STATS_FASTER: return "faster";
    case STATS_SLOWER: return "slower";
    case STATS_NOISY: return "too noisy to tell";
    case STATS_FEW: return "too few runs to tell";
    }
    return "";
}

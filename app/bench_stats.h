/* SPDX-License-Identifier: MIT */
/* bench_stats.h - what repetitions say: a median with its interval, two sets of them compared. */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stdbool.h>

typedef struct stats_interval {
    double low, mid, high;
    double coverage;            /* that the interval holds the true value: 0.95 where enough runs allow */
} stats_interval;

typedef enum stats_verdict {    /* NOISY: the interval holds 1 and is wide; FEW: too few repetitions */
    STATS_SAME, STATS_FASTER, STATS_SLOWER, STATS_NOISY, STATS_FEW
} stats_verdict;

double         stats_median(const double *v, int n);                     /* n 0: 0 */
stats_interval stats_of(const double *v, int n);                         /* of the median */
/* How many times larger b is than a (typical quotient of a pair): 0s when there is no memory. */
stats_interval stats_ratio(const double *a, int na, const double *b, int nb);
stats_verdict  stats_judge(const stats_interval *ratio);
const char    *stats_word(stats_verdict v);

#endif

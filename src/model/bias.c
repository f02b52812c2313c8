/* SPDX-License-Identifier: MIT */
/* bias.c - what attention adds to its scores by position: T5's buckets and ALiBi's slopes. */
#include "model/graph.h"

#include <math.h>

/* Half of the buckets hold one distance each, the rest grow with the logarithm up to
 * max_distance. In float, since the reference rounds the logarithm down in float. */
int mt_t5_bucket(int64_t relative, bool bidirectional, int n_bucket, int max_distance)
{
    int first = 0;
    int64_t distance = relative < 0 ? -relative : 0;
    if (bidirectional) {
        n_bucket /= 2;
        if (relative > 0) {
            first = n_bucket;
            distance = relative;
        }
    }
    const int exact = n_bucket / 2;
    if (distance < exact) return first + (int)distance;
    const float far =
        logf((float)distance / (float)exact) / (float)log((double)max_distance / exact);
    const int bucket = exact + (int)(far * (float)(n_bucket - exact));
    return first + MT_MIN(bucket, n_bucket - 1);
}

/* 2^(-8 k / n) for the largest power of two of heads; the rest take every other slope of twice
 * as many. */
float mt_alibi_slope(int h, int n_head)
{
    int n = 1;
    while (2 * n <= n_head) n *= 2;
    const double slope = h < n ? exp2(-8.0 * (h + 1) / n) : exp2(-4.0 * (2 * (h - n) + 1) / n);
    return (float)slope;
}

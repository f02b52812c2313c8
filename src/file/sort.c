/* SPDX-License-Identifier: MIT */
/* sort.c - sorting by any comparison, for those who write files; what readers sort, they sort by keys
 * (index.c), whose time no file can choose. */
#include "file/stream.h"

/* Lets order[i] sink in the heap order[0..n), the greatest on top. */
static void sink(uint32_t *order, size_t i, size_t n, mt_less_fn less, const void *context)
{
    const uint32_t value = order[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && less(context, order[child], order[child + 1])) child++;
        if (!less(context, value, order[child])) break;
        order[i] = order[child];
        i = child;
    }
    order[i] = value;
}

void mt_order_sort(uint32_t *order, size_t n, mt_less_fn less, const void *context)
{
    size_t i = 1;
    while (i < n && !less(context, order[i], order[i - 1])) i++;
    if (i >= n) return;                         /* as files usually are */
    for (i = n / 2; i-- > 0;) sink(order, i, n, less, context);
    for (i = n; i-- > 1;) {
        const uint32_t greatest = order[0];
        order[0] = order[i];
        order[i] = greatest;
        sink(order, 0, i, less, context);
    }
}

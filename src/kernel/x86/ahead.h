/* SPDX-License-Identifier: MIT */
/* ahead.h - how products that stream weights from memory ask for them in time.
 *
 * Two requests per line: far ahead into the second-level cache, which can wait for many lines at
 * once, then near ahead from there into the first.  Against one request into the first level
 * 12 KiB ahead, two Zen 4 cores read 94 MB of w4m at 65 GB/s for 43, of w8 at 47 for 34 (medians;
 * threads on different caches), and no slower where they share one. */
#ifndef MT_KERNEL_AHEAD_H
#define MT_KERNEL_AHEAD_H

#include <immintrin.h>

#include "base/base.h"

enum { MT_AHEAD_FAR = 16384, MT_AHEAD_NEAR = 1536 };

/* p: where the loop reads `bytes` now. */
MT_INLINE void mt_ahead(const uint8_t *p, int bytes)
{
    const char *at = (const char *)p;
    for (int b = 0; b < bytes; b += 64) {
        _mm_prefetch(at + MT_AHEAD_FAR + b, _MM_HINT_T1);
        _mm_prefetch(at + MT_AHEAD_NEAR + b, _MM_HINT_T0);
    }
}

#endif

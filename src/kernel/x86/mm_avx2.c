/* SPDX-License-Identifier: MIT */
/* mm_avx2.c - products of packed integer weights with int8 activations, AVX2 without VNNI. */
#define HAS_DPBUSD 0
#include "kernel/x86/mm_ymm.h"

void mt_kern_init_mm_avx2(mt_kern *t)
{
    for (int i = 0; i < MT_LAY_COUNT; i++) {
        if (!mt_layouts[i].is_quant) continue;
        t->mm1[i] = t->mmn[i] = mm_direct;
        t->mmp[i] = mm_expanded;
    }
}

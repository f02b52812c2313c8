/* SPDX-License-Identifier: MIT */
/* mm_avxvnni.c - products of packed integer weights with int8 activations, AVX2 with VNNI: the
 * processors that add four products in one instruction, but on 256 bits only. */
#define HAS_DPBUSD 1
#define MT_UNSIGNED_CODES
#include "kernel/x86/mm_ymm.h"

void mt_kern_init_mm_avxvnni(mt_kern *t)
{
    for (int i = 0; i < MT_LAY_COUNT; i++) {
        if (!mt_layouts[i].is_quant) continue;
        t->mm1[i] = t->mmn[i] = mm_direct;
        t->mmp[i] = mm_expanded;
    }
}

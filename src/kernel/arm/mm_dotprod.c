/* SPDX-License-Identifier: MIT */
/* mm_dotprod.c - products of packed integer weights with int8 activations, ARMv8.2 dot products.
 *
 * sdot by element is the packed layout's own instruction: every lane adds the dot product of its
 * four code bytes and the same four activation bytes.  16 multiplications an instruction, exact. */
#include "kernel/inits.h"

#include <arm_neon.h>

typedef int32x4_t sums;
#define begin(offset) vdupq_n_s32(offset)
#define total(lay, a, offset) (a)
#define ADD_TWO(lay, a, wa, wb, q, ja, jb)                                       \
    a = vdotq_laneq_s32(a, wa, vld1q_s8((q) + 16 * ((ja) / 4)), (ja) & 3);       \
    a = vdotq_laneq_s32(a, wb, vld1q_s8((q) + 16 * ((jb) / 4)), (jb) & 3);

#include "kernel/arm/mm_dot_neon.h"

void mt_kern_init_mm_dotprod(mt_kern *t)
{
    for (int i = 0; i < MT_LAY_COUNT; i++) {
        if (!mt_layouts[i].is_quant) continue;
        t->mm1[i] = t->mmn[i] = mm_direct;
        t->mmp[i] = mm_expanded;
    }
}

/* SPDX-License-Identifier: MIT */
/* mm_k_avx512.c - products of packed integer weights, AVX-512: the other half of
 * the layouts. */
#define MT_PART 2
#include "kernel/x86/mm_zmm.h"

void mt_kern_init_mm_k_avx512(mt_kern *t) { init_part(t); }

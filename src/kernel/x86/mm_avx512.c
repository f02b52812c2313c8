/* SPDX-License-Identifier: MIT */
/* mm_avx512.c - products of packed integer weights, AVX-512: the layouts with one
 * scale per 32; the others are in mm_k_avx512.c. */
#define MT_PART 1
#include "kernel/x86/mm_zmm.h"

void mt_kern_init_mm_avx512(mt_kern *t) { init_part(t); }

/* SPDX-License-Identifier: MIT */
/* mm_avx2.c - products of packed integer weights with int8 activations, AVX2 without VNNI: the
 * layouts with one scale per 32; the others are in mm_k_avx2.c. */
#define HAS_DPBUSD 0
#define MT_PART 1
#include "kernel/x86/mm_ymm.h"

void mt_kern_init_mm_avx2(mt_kern *t) { init_part(t); }

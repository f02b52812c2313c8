/* SPDX-License-Identifier: MIT */
/* mm_k_avx2.c - as mm_avx2.c, the other half of the layouts. */
#define HAS_DPBUSD 0
#define MT_PART 2
#include "kernel/x86/mm_ymm.h"

void mt_kern_init_mm_k_avx2(mt_kern *t) { init_part(t); }

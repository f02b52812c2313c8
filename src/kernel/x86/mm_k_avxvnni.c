/* SPDX-License-Identifier: MIT */
/* mm_k_avxvnni.c - as mm_avxvnni.c, the other half of the layouts. */
#define HAS_DPBUSD 1
#define MT_UNSIGNED_CODES
#define MT_PART 2
#include "kernel/x86/mm_ymm.h"

void mt_kern_init_mm_k_avxvnni(mt_kern *t) { init_part(t); }

/* SPDX-License-Identifier: MIT */
/* mm_avxvnni.c - products of packed integer weights with int8 activations, AVX2 with VNNI: the
 * processors that add four products in one instruction, but on 256 bits only.  The layouts with one
 * scale per 32; the others are in mm_k_avxvnni.c. */
#define HAS_DPBUSD 1
#define MT_UNSIGNED_CODES
#define MT_PART 1
#include "kernel/x86/mm_ymm.h"

void mt_kern_init_mm_avxvnni(mt_kern *t) { init_part(t); }

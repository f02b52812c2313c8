/* SPDX-License-Identifier: MIT */
/* emulated_k_avxvnni.c - mm_k_avxvnni.c with its one instruction spelled out. */
#if defined(__x86_64__) && defined(MOTE_SIMD_FULL)
#include "emulated_avxvnni.h"
#define mt_kern_init_mm_k_avxvnni ck_init_emulated_k_avxvnni
#include "kernel/x86/mm_k_avxvnni.c"
#endif

/* SPDX-License-Identifier: MIT */
/* inits.h - the one external symbol of every kernel file, in the order kernel.c calls them. */
#ifndef MT_KERNEL_INITS_H
#define MT_KERNEL_INITS_H

#include "kernel/kernel.h"

void mt_kern_init_mm_ref(mt_kern *t);
void mt_kern_init_vec_ref(mt_kern *t);
void mt_kern_init_attend_ref(mt_kern *t);

/* A level of another architecture adds its block here and in kernel.c, its files under a folder of
 * its own (wasm/, suffix _simd128), its row in base/cpu.c. */
#if defined(__x86_64__)
void mt_kern_init_mm_avx2(mt_kern *t);
void mt_kern_init_mm_k_avx2(mt_kern *t);
void mt_kern_init_mmf_avx2(mt_kern *t);
void mt_kern_init_vec_avx2(mt_kern *t);
void mt_kern_init_attend_avx2(mt_kern *t);
void mt_kern_init_mm_avxvnni(mt_kern *t);
void mt_kern_init_mm_k_avxvnni(mt_kern *t);
void mt_kern_init_mm_avx512(mt_kern *t);
void mt_kern_init_mm_k_avx512(mt_kern *t);
void mt_kern_init_mmf_avx512(mt_kern *t);
void mt_kern_init_vec_avx512(mt_kern *t);
void mt_kern_init_attend_avx512(mt_kern *t);
void mt_kern_init_attend_avx512bf16(mt_kern *t);
#endif

#if defined(__aarch64__)
void mt_kern_init_mm_neon(mt_kern *t);
void mt_kern_init_mmf_neon(mt_kern *t);
void mt_kern_init_vec_neon(mt_kern *t);
void mt_kern_init_attend_neon(mt_kern *t);
void mt_kern_init_mm_dotprod(mt_kern *t);
void mt_kern_init_mm_i8mm(mt_kern *t);
#endif

#endif

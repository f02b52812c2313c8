/* SPDX-License-Identifier: MIT */
/* inits.h - the one external symbol of every kernel file, in the order kernel.c calls them. */
#ifndef MT_KERNEL_INITS_H
#define MT_KERNEL_INITS_H

#include "kernel/kernel.h"

void mt_kern_init_mm_ref(mt_kern *t);
void mt_kern_init_vec_ref(mt_kern *t);
void mt_kern_init_attend_ref(mt_kern *t);

#if defined(__x86_64__)
void mt_kern_init_mm_avx2(mt_kern *t);
void mt_kern_init_mmf_avx2(mt_kern *t);
void mt_kern_init_vec_avx2(mt_kern *t);
void mt_kern_init_attend_avx2(mt_kern *t);
void mt_kern_init_mm_avx512(mt_kern *t);
void mt_kern_init_mmf_avx512(mt_kern *t);
void mt_kern_init_vec_avx512(mt_kern *t);
void mt_kern_init_attend_avx512(mt_kern *t);
#endif

#endif

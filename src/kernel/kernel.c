/* SPDX-License-Identifier: MIT */
/* kernel.c - builds the table of kernels for a set of CPU features.
 *
 * The reference fills every slot first; then the files of each allowed level, in order of rising
 * worth, overwrite what they are better at.  This is the only place that knows which files there
 * are. */
#include "kernel/kernel.h"

#include "kernel/inits.h"

void mt_kern_build(mt_kern *t, unsigned features)
{
    *t = (mt_kern){.level = "scalar"};
    mt_kern_init_mm_ref(t);
    mt_kern_init_vec_ref(t);
    mt_kern_init_attend_ref(t);
#if defined(MOTE_SIMD_PLAIN)     /* what the build was told to have: CMakeLists.txt */
#elif defined(__x86_64__)
    if (features & MT_CPU_AVX2) {
        t->level = "avx2";
        mt_kern_init_mm_avx2(t);
        mt_kern_init_mm_k_avx2(t);
        mt_kern_init_mmf_avx2(t);
        mt_kern_init_vec_avx2(t);
        mt_kern_init_attend_avx2(t);
    }
#if defined(MOTE_SIMD_FULL)
    if (features & MT_CPU_AVXVNNI) {
        t->level = "avxvnni";
        mt_kern_init_mm_avxvnni(t);
        mt_kern_init_mm_k_avxvnni(t);
    }
    if (features & MT_CPU_AVX512) {
        t->level = "avx512";
        mt_kern_init_mm_avx512(t);
        mt_kern_init_mm_k_avx512(t);
        mt_kern_init_mmf_avx512(t);
        mt_kern_init_vec_avx512(t);
        mt_kern_init_attend_avx512(t);
        if (features & MT_CPU_BF16) mt_kern_init_attend_avx512bf16(t);
    }
#endif
#elif defined(__aarch64__)
    if (features & MT_CPU_NEON) {
        t->level = "neon";
        mt_kern_init_mm_neon(t);
        mt_kern_init_mmf_neon(t);
        mt_kern_init_vec_neon(t);
        mt_kern_init_attend_neon(t);
    }
#if defined(MOTE_SIMD_FULL)
    if (features & MT_CPU_DOTPROD) {
        t->level = "dotprod";
        mt_kern_init_mm_dotprod(t);
    }
    if (features & MT_CPU_I8MM) {
        t->level = "i8mm";
        mt_kern_init_mm_i8mm(t);
    }
#endif
#endif
    (void)features;
}

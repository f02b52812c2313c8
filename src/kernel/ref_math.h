/* SPDX-License-Identifier: MIT */
/* ref_math.h - scalar functions that the reference kernels share; see ref_math.c. */
#ifndef MT_KERNEL_REF_MATH_H
#define MT_KERNEL_REF_MATH_H

#include "kernel/kernel.h"

float mt_ref_tanh(float x);
float mt_ref_act(mt_act_kind kind, float x);
/* s[0] of 16 partial sums added by the tree 8, 4, 2, 1; s is overwritten. */
float mt_ref_tree(float s[16]);

#endif

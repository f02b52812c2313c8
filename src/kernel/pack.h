/* SPDX-License-Identifier: MIT */
/* pack.h - between the files that pack: pack.c moves the bits of common blocks as they are,
 * pack_spelled.c spells the others out first. */
#ifndef MT_KERNEL_PACK_H
#define MT_KERNEL_PACK_H

#include "kernel/codes.h"
#include "tensor/block.h"

void mt_pack_spelled(mt_layout lay, const uint8_t *const rows[MT_PANEL], int64_t k, uint8_t *dst);

#endif

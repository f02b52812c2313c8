/* SPDX-License-Identifier: MIT */
/* check_weights.c - random file rows: any code bits, but scale fields that a file would have. */
#include "check_weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

void weights_name(char *to, size_t cap, const char *slot, mt_layout lay)
{
    snprintf(to, cap, "%s_%s", slot, mt_layouts[lay].name);
}

int64_t weights_step(mt_layout lay)
{
    return MT_MAX(mt_layouts[lay].unit_k, mt_type_of(mt_layouts[lay].type)->block);
}

static uint16_t half_scale(weights_kind kind, bool is_min)
{
    static const float nasty[] = {0.0f, 65504.0f, -1.0f, 6e-8f, 0x1p-14f, -0.0f, 1e-3f, 3.0f};
    if (kind == WEIGHTS_EXACT)
        return mt_f32_to_f16(is_min ? (float)ck_int(-2, 2) : ck_int(0, 1) ? 1.0f : 0.5f);
    if (kind == WEIGHTS_NASTY) return mt_f32_to_f16(nasty[ck_bits() % MT_COUNT(nasty)]);
    return mt_f32_to_f16(is_min ? ck_float(-0.2f, 0.2f) : ck_float(0.001f, 0.05f));
}

/* Byte offsets of the f16 fields of a block; -1: none. */
static void half_fields(mt_type type, int *d, int *m)
{
    *d = *m = -1;
    switch ((int)type) {
    case MT_Q4_1: case MT_Q5_1: case MT_Q4_K: case MT_Q5_K: case MT_M8: *d = 0; *m = 2; break;
    case MT_Q2_K: *d = 80; *m = 82; break;
    case MT_Q3_K: *d = 108; break;
    case MT_Q6_K: *d = 208; break;
    case MT_TQ1_0: *d = 52; break;
    case MT_TQ2_0: *d = 64; break;
    case MT_MXFP4: case MT_NVFP4: case MT_IQ1_M: case MT_F8_32: case MT_Q8_1: case MT_Q8_K: break;
    default: *d = 0; break;
    }
}

/* A byte as an 8-bit float.  Few are NaN or infinite: each would hide a sum; exact ones are near 1. */
static uint8_t small_float(mt_type type, weights_kind kind)
{
    uint8_t x = (uint8_t)ck_bits();
    const int special = type == MT_F8_E4M3 ? 0x7f : 0x7c;
    if ((x & special) == special && ck_int(0, 49)) x ^= 0x40;
    if (kind == WEIGHTS_EXACT && type == MT_F8_E4M3) x &= 0xbf;
    if (kind == WEIGHTS_EXACT && type == MT_F8_E5M2) x = (uint8_t)((x & 0x83) | ck_int(12, 15) << 2);
    return x;
}

/* Scales that are not a f16 field. */
static void put_scale(mt_type type, uint8_t *b, weights_kind kind)
{
    const uint16_t h = half_scale(kind, false);
    const float f = mt_f16_to_f32(h);
    switch ((int)type) {
    case MT_MXFP4: b[0] = (uint8_t)(kind == WEIGHTS_EXACT ? 127 + ck_int(0, 1) :
                                    kind == WEIGHTS_NASTY ? ck_int(0, 255) : 127 + ck_int(-12, -4)); break;
    case MT_NVFP4:
        for (int i = 0; i < 4 && kind == WEIGHTS_EXACT; i++) b[i] = (uint8_t)(ck_int(6, 7) << 3);
        break;
    case MT_IQ1_M:
        for (int i = 0; i < 4; i++) b[49 + 2 * i] = (uint8_t)((b[49 + 2 * i] & 15) | (h >> 4 * i & 15) << 4);
        break;
    case MT_F8_32: case MT_Q8_1: case MT_Q8_K: memcpy(b, &f, 4); break;
    }
    for (int i = 0; type == MT_F8_32 && i < 32; i++) b[4 + i] = small_float(MT_F8_E4M3, kind);
}

static float plain_value(weights_kind kind)
{
    if (kind == WEIGHTS_EXACT) return (float)ck_int(-15, 15);
    return kind == WEIGHTS_NASTY ? ck_nasty() : ck_float(-0.2f, 0.2f);
}

static void make_row(mt_type type, uint8_t *row, size_t bytes, weights_kind kind)
{
    const mt_type_info *info = mt_type_of(type);
    if (info->bytes == 1) {
        for (size_t i = 0; i < bytes; i++) row[i] = small_float(type, kind);
        return;
    }
    if (info->block == 1) {
        for (size_t i = 0; i < bytes; i += (size_t)info->bytes) {
            const float f = plain_value(kind);
            const uint16_t h = type == MT_F16
                                   ? mt_f32_to_f16(MT_MAX(-60000.0f, MT_MIN(f, 60000.0f)))
                                   : mt_f32_to_bf16(f);
            if (type == MT_F32) memcpy(row + i, &f, 4);
            else memcpy(row + i, &h, 2);
        }
        return;
    }
    const int all =
        kind == WEIGHTS_NASTY ? ck_int(0, 3) : 3; /* all bits 0, all 1, all -128, any */
    for (size_t i = 0; i < bytes; i++) {
        row[i] = all == 0 ? 0 : all == 1 ? 0xff : all == 2 ? 0x80 : (uint8_t)ck_bits();
    }
    int d, m;
    half_fields(type, &d, &m);
    for (size_t b = 0; b < bytes; b += (size_t)info->bytes) {
        uint16_t h = half_scale(kind, false);
        if (d < 0) put_scale(type, row + b, kind);
        else memcpy(row + b + d, &h, 2);
        h = half_scale(kind, m >= 0 && (type == MT_Q4_1 || type == MT_Q5_1 || type == MT_M8));
        if (m >= 0) memcpy(row + b + m, &h, 2);
    }
}

/* The row once more with every min cleared: the d code part alone. */
static void row_sizes(mt_type type, const uint8_t *row, uint8_t *copy, size_t bytes, int64_t k,
                      const float *value, float *size)
{
    int d, m, m_bytes = 2;
    half_fields(type, &d, &m);
    if (type == MT_G4 || type == MT_G8) m = 2, m_bytes = 1;
    if (m < 0 || mt_type_of(type)->block == 1) {
        for (int64_t i = 0; i < k; i++) size[i] = fabsf(value[i]);
        return;
    }
    memcpy(copy, row, bytes);
    for (size_t b = 0; b < bytes; b += (size_t)mt_type_of(type)->bytes)
        memset(copy + b + m, 0, (size_t)m_bytes);
    mt_decode_row(type, copy, size, k);
    for (int64_t i = 0; i < k; i++) size[i] = fabsf(size[i]) + fabsf(value[i] - size[i]);
}

void weights_make(weights *w, mt_layout lay, int64_t n, int64_t k, weights_kind kind)
{
    const mt_type type = mt_layouts[lay].type;
    const size_t row_bytes = mt_row_bytes(type, k), packed_bytes = mt_packed_bytes(lay, n, k);
    uint8_t *file = ck_plain((size_t)n * row_bytes + 1), *packed = ck_plain(packed_bytes + 1);
    uint8_t *copy = ck_plain(row_bytes + 1);
    float *value = ck_plain((size_t)(n * k) * sizeof(float) + 1);
    float *size = ck_plain((size_t)(n * k) * sizeof(float) + 1);
    for (int64_t r = 0; r < n; r++) {
        uint8_t *row = file + (size_t)r * row_bytes;
        make_row(type, row, row_bytes, kind);
        mt_decode_row(type, row, value + r * k, k);
        row_sizes(type, row, copy, row_bytes, k, value + r * k, size + r * k);
    }
    for (int64_t p = 0; p * MT_PANEL < n; p++) {
        const uint8_t *rows[MT_PANEL];
        for (int r = 0; r < MT_PANEL; r++) {
            const int64_t row = p * MT_PANEL + r;
            rows[r] = row < n ? file + (size_t)row * row_bytes : NULL;
        }
        mt_pack_panel(lay, rows, k, packed + (size_t)p * mt_panel_bytes(lay, k));
    }
    *w = (weights){lay, n, k, ck_const(packed, packed_bytes, 0), value, size};
}

/* SPDX-License-Identifier: MIT */
/* codes.h - where the planes and scales of a packed unit lie, and one row's codes in them.
 *
 * Shared by packing, unpacking and the reference products, so that the drawing in kernel.h is
 * written down once.  Everything takes the layout as a compile-time constant and folds away; a
 * row's 32 codes of a sub-unit travel as eight dwords, dword j holding k = 4 j .. 4 j + 3.  The
 * ISA files take only the offsets from here and read planes as whole vectors. */
#ifndef MT_KERNEL_CODES_H
#define MT_KERNEL_CODES_H

#include <string.h>

#include "kernel/kernel.h"

/* The layout whose kernels serve: itself, but for the types that share one. */
MT_INLINE mt_layout mt_like(mt_layout lay)
{
    switch (lay) {
    case MT_LAY_C4_NF4: case MT_LAY_C4_FP4: return MT_LAY_C4;
    case MT_LAY_X4_IQ1_S: case MT_LAY_X4_IQ1_M: case MT_LAY_X4_IQ2_XS: case MT_LAY_X4_IQ2_S:
    case MT_LAY_X4_IQ3_XXS: case MT_LAY_X4_IQ3_S: return MT_LAY_X4;
    case MT_LAY_M8_G8: return MT_LAY_M8;
    case MT_LAY_T2_TQ1_0: case MT_LAY_T2_Q1_0: return MT_LAY_T2;
    case MT_LAY_F16_E4M3: case MT_LAY_F16_E5M2: return MT_LAY_F16;
    case MT_LAY_F32_Q8_1: case MT_LAY_F32_Q8_K: return MT_LAY_F32;
    default: return lay;
    }
}

typedef struct mt_planes {
    int low, high;              /* bits per code in the first and in the second plane */
    int sub;                    /* bytes of one sub-unit's planes: 32 rows x 32 k */
} mt_planes;

MT_INLINE mt_planes mt_planes_of(mt_layout lay)
{
    switch (mt_like(lay)) {
    case MT_LAY_W8: case MT_LAY_M8: return (mt_planes){8, 0, 1024};
    case MT_LAY_W4: case MT_LAY_W4M: case MT_LAY_C4: case MT_LAY_K4: case MT_LAY_C4K:
    case MT_LAY_C4B: case MT_LAY_C4H: case MT_LAY_X4: case MT_LAY_G4: return (mt_planes){4, 0, 512};
    case MT_LAY_W5: case MT_LAY_W5M: case MT_LAY_K5: return (mt_planes){4, 1, 640};
    case MT_LAY_K2: case MT_LAY_T2: return (mt_planes){2, 0, 256};
    case MT_LAY_K3: return (mt_planes){2, 1, 384};
    case MT_LAY_K6: return (mt_planes){4, 2, 768};
    default: break;
    }
    return (mt_planes){0, 0, 0};
}

/* What mt_layouts says of a quantised layout, as constants. */
typedef struct mt_unit { int k, bytes, group, offset; } mt_unit;
MT_INLINE mt_unit mt_unit_of(mt_layout lay)
{
    switch (mt_like(lay)) {
    case MT_LAY_W8: return (mt_unit){32, 1088, 32, 128};
    case MT_LAY_W4: return (mt_unit){32, 576, 32, 8};
    case MT_LAY_W4M: return (mt_unit){32, 640, 32, 0};
    case MT_LAY_C4: return (mt_unit){32, 576, 32, 128};
    case MT_LAY_W5: return (mt_unit){32, 704, 32, 16};
    case MT_LAY_W5M: return (mt_unit){32, 768, 32, 0};
    case MT_LAY_K2: return (mt_unit){256, 2688, 16, 0};
    case MT_LAY_K3: return (mt_unit){256, 3648, 16, 4};
    case MT_LAY_K4: return (mt_unit){256, 4736, 32, 0};
    case MT_LAY_K5: return (mt_unit){256, 5760, 32, 0};
    case MT_LAY_K6: return (mt_unit){256, 6720, 16, 32};
    case MT_LAY_C4K: return (mt_unit){256, 4416, 32, 128};
    case MT_LAY_C4B: return (mt_unit){32, 576, 32, 128};
    case MT_LAY_C4H: return (mt_unit){32, 640, 16, 128};
    case MT_LAY_X4: return (mt_unit){256, 4736, 16, 128};
    case MT_LAY_G4: return (mt_unit){32, 640, 32, 0};
    case MT_LAY_M8: return (mt_unit){32, 1216, 32, 0};
    case MT_LAY_T2: return (mt_unit){128, 1088, 32, 1};
    default: break;
    }
    return (mt_unit){1, 0, 32, 0};
}

/* DO(lay) with lay as a constant, for each quantised layout that has kernels: in two parts, so that the
 * files of products can be compiled in halves.  Part 1 has one scale per 32, part 2 the rest. */
#define MT_CASES_1(DO)                                                           \
    case MT_LAY_W8: DO(MT_LAY_W8); break;                                        \
    case MT_LAY_W4: DO(MT_LAY_W4); break;                                        \
    case MT_LAY_W4M: DO(MT_LAY_W4M); break;                                      \
    case MT_LAY_C4: DO(MT_LAY_C4); break;                                        \
    case MT_LAY_W5: DO(MT_LAY_W5); break;                                        \
    case MT_LAY_W5M: DO(MT_LAY_W5M); break;                                      \
    case MT_LAY_C4B: DO(MT_LAY_C4B); break;                                      \
    case MT_LAY_G4: DO(MT_LAY_G4); break;                                        \
    case MT_LAY_M8: DO(MT_LAY_M8); break;
#define MT_CASES_2(DO)                                                           \
    case MT_LAY_K2: DO(MT_LAY_K2); break;                                        \
    case MT_LAY_K3: DO(MT_LAY_K3); break;                                        \
    case MT_LAY_K4: DO(MT_LAY_K4); break;                                        \
    case MT_LAY_K5: DO(MT_LAY_K5); break;                                        \
    case MT_LAY_K6: DO(MT_LAY_K6); break;                                        \
    case MT_LAY_C4K: DO(MT_LAY_C4K); break;                                      \
    case MT_LAY_C4H: DO(MT_LAY_C4H); break;                                      \
    case MT_LAY_X4: DO(MT_LAY_X4); break;                                        \
    case MT_LAY_T2: DO(MT_LAY_T2); break;
#define MT_SWITCH_QUANT(lay, DO)                                                 \
    switch (mt_like(lay)) {                                                      \
    MT_CASES_1(DO)                                                               \
    MT_CASES_2(DO)                                                               \
    default: break;                                                              \
    }
/* Of one part only, which may be a macro. */
#define MT_SWITCH_PART(lay, part, DO) MT_SWITCH_CASES(lay, part, DO)
#define MT_SWITCH_CASES(lay, part, DO) switch (mt_like(lay)) { MT_CASES_##part(DO) default: break; }
MT_INLINE int mt_part_of(mt_layout lay)
{
    switch (mt_like(lay)) {
    case MT_LAY_K2: case MT_LAY_K3: case MT_LAY_K4: case MT_LAY_K5: case MT_LAY_K6: case MT_LAY_C4K: case MT_LAY_C4H:
    case MT_LAY_X4: case MT_LAY_T2: return 2;
    default: return mt_layouts[lay].is_quant ? 1 : 0;
    }
}

MT_INLINE uint32_t mt_load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}
MT_INLINE uint16_t mt_load16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}
MT_INLINE void mt_store32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }
MT_INLINE void mt_store16(uint8_t *p, uint16_t v) { memcpy(p, &v, 2); }

/* Bit 0 of each byte of x as four bits, and back.  No two products of bits meet in one place. */
MT_INLINE uint32_t mt_bits_of(uint32_t x) { return (x & 0x01010101u) * 0x01020408u >> 24 & 15; }
MT_INLINE uint32_t mt_bits_to(uint32_t bits) { return (bits & 15) * 0x00204081u & 0x01010101u; }

/* Adds row r's highest bits, bit k of `bits` of code k, to a sub-unit's plane of single bits. */
MT_INLINE void mt_bits_put(mt_layout lay, uint8_t *sub, int r, uint32_t bits)
{
    uint8_t *one = sub + mt_planes_of(lay).low * 128 + r / 16 * 64 + r % 16 / 2;
    for (int j = 0; j < 8; j++) one[8 * j] |= (uint8_t)((bits >> 4 * j & 15) << 4 * (r & 1));
}

/* Writes row r's codes c of a sub-unit; plane1 must have been cleared. */
MT_INLINE void mt_codes_put(mt_layout lay, uint8_t *sub, int r, const uint32_t c[8])
{
    const mt_planes p = mt_planes_of(lay);
    const int s = r / 16, lane = r % 16;
    uint8_t *at = sub + s * p.low * 64 + lane * 4;
    if (p.low == 8) {
        for (int j = 0; j < 8; j++) mt_store32(at + 64 * j, c[j]);
        return;
    }
    if (p.low == 4) {
        for (int j = 0; j < 4; j++) {
            mt_store32(at + 64 * j, (c[j] & 0x0f0f0f0fu) | (c[j + 4] & 0x0f0f0f0fu) << 4);
        }
    }
    const int shift = p.low == 2 ? 0 : 4;       /* which two bits plane2 keeps */
    if (p.low == 2 || p.high == 2) {
        uint8_t *two = p.low == 2 ? at : sub + 512 + s * 128 + lane * 4;
        for (int h = 0; h < 2; h++) {
            uint32_t v = 0;
            for (int i = 0; i < 4; i++) v |= (c[4 * h + i] >> shift & 0x03030303u) << 2 * i;
            mt_store32(two + 64 * h, v);
        }
    }
    if (p.high == 1) {
        uint32_t bits = 0;
        for (int j = 0; j < 8; j++) bits |= mt_bits_of(c[j] >> p.low) << 4 * j;
        mt_bits_put(lay, sub, r, bits);
    }
}

/* Reads row r's codes of a sub-unit. */
MT_INLINE void mt_codes_get(mt_layout lay, const uint8_t *sub, int r, uint32_t c[8])
{
    const mt_planes p = mt_planes_of(lay);
    const int s = r / 16, lane = r % 16;
    const uint8_t *at = sub + s * p.low * 64 + lane * 4;
    const uint8_t *two = sub + 512 + s * 128 + lane * 4;
    const uint8_t *one = sub + p.low * 128 + s * 64 + lane / 2;
    for (int j = 0; j < 8; j++) {
        if (p.low == 8) c[j] = mt_load32(at + 64 * j);
        else if (p.low == 4)
            c[j] = mt_load32(at + 64 * (j % 4)) >> (j < 4 ? 0 : 4) & 0x0f0f0f0fu;
        else c[j] = mt_load32(at + 64 * (j / 4)) >> 2 * (j % 4) & 0x03030303u;
        if (p.high == 2)
            c[j] |= (mt_load32(two + 64 * (j / 4)) >> 2 * (j % 4) & 0x03030303u) << 4;
        if (p.high == 1)
            c[j] |= mt_bits_to((uint32_t)one[8 * j] >> 4 * (lane & 1) & 15) << p.low;
    }
}

/* Offsets inside a unit of what follows the planes.  mn: minima of k4 k5, z of g4; dmin: of k2 k4 k5,
 * and m of w4m w5m m8.  d is f16 unless mt_d_of says otherwise. */
typedef struct mt_scales_at { int sc, mn, d, dmin; } mt_scales_at;
MT_INLINE mt_scales_at mt_scales_of(mt_layout lay)
{
    switch (mt_like(lay)) {
    case MT_LAY_W8: return (mt_scales_at){0, 0, 1024, 0};
    case MT_LAY_W4: case MT_LAY_C4: case MT_LAY_C4B: case MT_LAY_C4H: return (mt_scales_at){0, 0, 512, 0};
    case MT_LAY_W4M: return (mt_scales_at){0, 0, 512, 576};
    case MT_LAY_W5: return (mt_scales_at){0, 0, 640, 0};
    case MT_LAY_W5M: return (mt_scales_at){0, 0, 640, 704};
    case MT_LAY_K2: return (mt_scales_at){2048, 2048, 2560, 2624};
    case MT_LAY_K3: return (mt_scales_at){3072, 0, 3584, 0};
    case MT_LAY_K4: return (mt_scales_at){4096, 4352, 4608, 4672};
    case MT_LAY_K5: return (mt_scales_at){5120, 5376, 5632, 5696};
    case MT_LAY_K6: return (mt_scales_at){6144, 0, 6656, 0};
    case MT_LAY_C4K: return (mt_scales_at){4096, 0, 4352, 0};
    case MT_LAY_X4: return (mt_scales_at){4096, 0, 4608, 0};
    case MT_LAY_G4: return (mt_scales_at){0, 576, 512, 0};
    case MT_LAY_M8: return (mt_scales_at){0, 0, 1024, 1088};
    case MT_LAY_T2: return (mt_scales_at){0, 0, 1024, 0};
    case MT_LAY_F8: return (mt_scales_at){0, 0, 1024, 0};
    default: break;
    }
    return (mt_scales_at){0, 0, 0, 0};
}

/* How d is stored. */
typedef enum mt_d_kind { MT_D_F16, MT_D_BF16, MT_D_F32 } mt_d_kind;
MT_INLINE mt_d_kind mt_d_of(mt_layout lay)
{
    lay = mt_like(lay);
    return lay == MT_LAY_C4B ? MT_D_BF16 : lay == MT_LAY_X4 || lay == MT_LAY_F8 ? MT_D_F32 : MT_D_F16;
}
/* The layouts whose small scales have a sign. */
MT_INLINE bool mt_has_signed_sc(mt_layout lay)
{
    return lay == MT_LAY_K3 || lay == MT_LAY_K6 || lay == MT_LAY_C4K;
}
MT_INLINE float mt_load_f32(const uint8_t *p)
{
    float f;
    memcpy(&f, p, 4);
    return f;
}

/* Scale and min (with the sign that is added) of row r, group g of a unit, exact in f32. */
MT_INLINE void mt_scale_get(mt_layout lay, const uint8_t *unit, int g, int r, float *dw,
                            float *mw)
{
    lay = mt_like(lay);
    const mt_scales_at at = mt_scales_of(lay);
    const uint8_t *const p = unit + at.d, sc = at.sc ? unit[at.sc + 32 * g + r] : 0;
    float d, m = 0;
    if (mt_d_of(lay) == MT_D_F32) d = mt_load_f32(p + 4 * r);
    else if (mt_d_of(lay) == MT_D_BF16) d = mt_bf16_to_f32(mt_load16(p + 2 * r));
    else d = mt_f16_to_f32(mt_load16(p + (lay == MT_LAY_C4H ? 64 * g : 0) + 2 * r));
    if (lay == MT_LAY_M8) m = mt_load_f32(unit + at.dmin + 4 * r);
    else if (at.dmin) m = mt_f16_to_f32(mt_load16(unit + at.dmin + 2 * r));
    *dw = d;
    *mw = m;
    if (lay == MT_LAY_K2) {
        *dw = d * (float)(sc & 15);
        *mw = -(m * (float)(sc >> 4));
    }
    if (lay == MT_LAY_K4 || lay == MT_LAY_K5) {
        *dw = d * (float)sc;
        *mw = -(m * (float)unit[at.mn + 32 * g + r]);
    }
    if (lay == MT_LAY_G4) *mw = -(d * (float)unit[at.mn + r]);
    if (lay == MT_LAY_X4) *dw = d * (float)sc;
    if (mt_has_signed_sc(lay)) *dw = d * (float)(int8_t)sc;
}

MT_INLINE bool mt_has_min(mt_layout lay)
{
    lay = mt_like(lay);
    return lay == MT_LAY_W4M || lay == MT_LAY_W5M || lay == MT_LAY_K2 || lay == MT_LAY_K4 ||
           lay == MT_LAY_K5 || lay == MT_LAY_G4 || lay == MT_LAY_M8;
}
MT_INLINE bool mt_has_codebook(mt_layout lay)
{
    lay = mt_like(lay);
    return lay == MT_LAY_C4 || lay == MT_LAY_C4K || lay == MT_LAY_C4B || lay == MT_LAY_C4H || lay == MT_LAY_X4;
}

#endif

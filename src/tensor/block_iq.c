/* SPDX-License-Identifier: MIT */
/* block_iq.c - the IQ1, IQ2 and IQ3 types: groups of eight or four values drawn from a grid.
 *
 * A block of 256 has one f16 scale, a small odd scale per 16 values, and indices into a grid of
 * magnitudes (signs stand beside them) or of ternary values (IQ1, shifted by an eighth).  Spelled out,
 * each is d * scale * level with small whole levels; every such product fits in 24 bits, so the order
 * of operations does not matter and the result is the gguf package's bit for bit. */
#include "tensor/block.h"

const int8_t mt_levels_iq1[16] = { -9, -7, -1, 1, 7, 9 };
const int8_t mt_levels_iq2[16] = { -43, -25, -8, 8, 25, 43 };
const int8_t mt_levels_iq3_xxs[16] = { -62, -52, -44, -36, -28, -20, -12, -4, 4, 12, 20, 28, 36, 44, 52, 62 };
const int8_t mt_levels_iq3_s[16] = { -15, -13, -11, -9, -7, -5, -3, -1, 1, 3, 5, 7, 9, 11, 13, 15 };

/* Seven stored signs; the eighth makes their number even. */
static unsigned signs_of(uint32_t seven)
{
    unsigned x = seven & 127;
    x ^= x >> 4, x ^= x >> 2, x ^= x >> 1;
    return (seven & 127) | (x & 1) << 7;
}

/* Eight values of a word of two-bit magnitudes. */
static void put_iq2(unsigned word, unsigned signs, int8_t *to)
{
    for (int i = 0; i < 8; i++) {
        const int level = mt_levels_iq2[3 + (word >> 2 * i & 3)];
        to[i] = (int8_t)(signs >> i & 1 ? -level : level);
    }
}

/* Four values of a word of magnitudes, the upper half of the levels. */
static void put_iq3(const int8_t levels[16], unsigned word, unsigned signs, int8_t *to)
{
    for (int i = 0; i < 4; i++) {
        const int level = levels[8 + (word >> 4 * i & 7)];
        to[i] = (int8_t)(signs >> i & 1 ? -level : level);
    }
}

/* Eight ternary values, eight times, shifted by one up or down. */
static void put_iq1(unsigned word, bool is_down, int8_t *to)
{
    for (int i = 0; i < 8; i++) to[i] = (int8_t)(8 * ((int)(word >> 2 * i & 3) - 1) + (is_down ? -1 : 1));
}

static void spell_iq2_xxs(const uint8_t *p, mt_iq *b)   /* f16 d | 8 x (4 B indices, u32 signs and scale) */
{
    b->d = load_f16(p) * 0.125f;
    for (int g = 0; g < 8; g++) {
        const uint8_t *q = p + 2 + 8 * g;
        const uint32_t more = load_u32(q + 4);
        b->scale[2 * g] = b->scale[2 * g + 1] = (uint8_t)(2 * (more >> 28) + 1);
        for (int i = 0; i < 4; i++)
            put_iq2(mt_grid_iq2_xxs[q[i]], signs_of(more >> 7 * i), b->level + 32 * g + 8 * i);
    }
}

/* Two four-bit scales in each of eight bytes. */
static void put_scales(const uint8_t *p, mt_iq *b)
{
    for (int g = 0; g < 16; g++) b->scale[g] = (uint8_t)(2 * (p[g / 2] >> 4 * (g % 2) & 15) + 1);
}

static void spell_iq2_xs(const uint8_t *p, mt_iq *b)    /* f16 d | 32 x u16 index, signs | 8 B scales */
{
    b->d = load_f16(p) * 0.125f;
    put_scales(p + 66, b);
    for (int i = 0; i < 32; i++) {
        const unsigned q = load_u16(p + 2 + 2 * i);
        put_iq2(mt_grid_iq2_xs[q & 511], signs_of(q >> 9), b->level + 8 * i);
    }
}

static void spell_iq2_s(const uint8_t *p, mt_iq *b)     /* f16 d | 32 B indices | 32 B signs | 8 B high | 8 B scales */
{
    b->d = load_f16(p) * 0.125f;
    put_scales(p + 74, b);
    for (int i = 0; i < 32; i++) {
        const unsigned high = p[66 + i / 4] >> 2 * (i % 4) & 3;
        put_iq2(mt_grid_iq2_s[p[2 + i] | high << 8], p[34 + i], b->level + 8 * i);
    }
}

static void spell_iq3_xxs(const uint8_t *p, mt_iq *b)   /* f16 d | 64 B indices | 8 x u32 signs and scale */
{
    b->d = load_f16(p) * 0.25f;
    for (int g = 0; g < 8; g++) {
        const uint32_t more = load_u32(p + 66 + 4 * g);
        b->scale[2 * g] = b->scale[2 * g + 1] = (uint8_t)(2 * (more >> 28) + 1);
        for (int i = 0; i < 8; i++)
            put_iq3(mt_levels_iq3_xxs, mt_grid_iq3_xxs[p[2 + 8 * g + i]],
                    signs_of(more >> 7 * (i / 2)) >> 4 * (i % 2), b->level + 32 * g + 4 * i);
    }
}

static void spell_iq3_s(const uint8_t *p, mt_iq *b)     /* f16 d | 64 B indices | 8 B high | 32 B signs | 4 B scales */
{
    b->d = load_f16(p);
    for (int g = 0; g < 16; g++) b->scale[g] = (uint8_t)(2 * (p[106 + g / 4] >> 4 * (g / 2 % 2) & 15) + 1);
    for (int i = 0; i < 64; i++) {
        const unsigned high = p[66 + i / 8] >> i % 8 & 1;
        put_iq3(mt_levels_iq3_s, mt_grid_iq3_s[p[2 + i] | high << 8], (unsigned)p[74 + i / 2] >> 4 * (i % 2), b->level + 4 * i);
    }
}

static void spell_iq1_s(const uint8_t *p, mt_iq *b)     /* f16 d | 32 B indices | 8 x u16 high, scale, shift */
{
    b->d = load_f16(p) * 0.125f;
    for (int g = 0; g < 8; g++) {
        const unsigned h = load_u16(p + 34 + 2 * g);
        b->scale[2 * g] = b->scale[2 * g + 1] = (uint8_t)(2 * (h >> 12 & 7) + 1);
        for (int i = 0; i < 4; i++)
            put_iq1(mt_grid_iq1[p[2 + 4 * g + i] | (h >> 3 * i & 7) << 8], h >> 15 & 1, b->level + 32 * g + 8 * i);
    }
}

static void spell_iq1_m(const uint8_t *p, mt_iq *b)     /* 32 B indices | 16 B high, shift | 4 x u16 scales, 4 bits of d */
{
    unsigned d = 0;
    for (int i = 0; i < 4; i++) d |= (unsigned)load_u16(p + 48 + 2 * i) >> 12 << 4 * i;
    b->d = mt_f16_to_f32((uint16_t)d) * 0.125f;
    for (int g = 0; g < 16; g++) b->scale[g] = (uint8_t)(2 * (load_u16(p + 48 + 2 * (g / 4)) >> 3 * (g % 4) & 7) + 1);
    for (int i = 0; i < 32; i++) {
        const unsigned h = p[32 + i / 2] >> 4 * (i % 2) & 15;
        put_iq1(mt_grid_iq1[p[i] | (h & 7) << 8], h >> 3 & 1, b->level + 8 * i);
    }
}

void mt_iq_spell(mt_type type, const uint8_t *block, mt_iq *out)
{
    switch ((int)type) {
    case MT_IQ1_S: spell_iq1_s(block, out); break;
    case MT_IQ1_M: spell_iq1_m(block, out); break;
    case MT_IQ2_XXS: spell_iq2_xxs(block, out); break;
    case MT_IQ2_XS: spell_iq2_xs(block, out); break;
    case MT_IQ2_S: spell_iq2_s(block, out); break;
    case MT_IQ3_XXS: spell_iq3_xxs(block, out); break;
    case MT_IQ3_S: spell_iq3_s(block, out); break;
    }
}

static void decode(mt_type type, const uint8_t *p, float *y)
{
    mt_iq b;
    mt_iq_spell(type, p, &b);
    for (int i = 0; i < QK_K; i++) y[i] = b.d * (float)b.scale[i / 16] * (float)b.level[i];
}

void mt_decode_iq1_s(const uint8_t *p, float *y)   { decode(MT_IQ1_S, p, y); }
void mt_decode_iq1_m(const uint8_t *p, float *y)   { decode(MT_IQ1_M, p, y); }
void mt_decode_iq2_xxs(const uint8_t *p, float *y) { decode(MT_IQ2_XXS, p, y); }
void mt_decode_iq2_xs(const uint8_t *p, float *y)  { decode(MT_IQ2_XS, p, y); }
void mt_decode_iq2_s(const uint8_t *p, float *y)   { decode(MT_IQ2_S, p, y); }
void mt_decode_iq3_xxs(const uint8_t *p, float *y) { decode(MT_IQ3_XXS, p, y); }
void mt_decode_iq3_s(const uint8_t *p, float *y)   { decode(MT_IQ3_S, p, y); }

/* SPDX-License-Identifier: MIT */
/* pack.c - file rows to packed panels, and a packed row back to f32.
 *
 * A file block's codes are gathered as dwords of four neighbouring k and written to the planes,
 * so packing is dword transposition for the common types and never touches a single nibble.
 * The values are the file's, bit for bit: packing moves bits, it does not compute. */
#include "kernel/pack.h"

/* ---- what one file block holds ------------------------------------------- */
/* Byte offsets in a block: qs first code byte, qh second plane, sc scales, d, m. */
typedef struct block { int bytes, qs, qh, sc, d, m; } block;
MT_INLINE block block_of(mt_layout lay)
{
    switch (lay) {
    case MT_LAY_W8: return (block){34, 2, 0, 0, 0, 0};
    case MT_LAY_W4: return (block){18, 2, 0, 0, 0, 0};
    case MT_LAY_W4M: return (block){20, 4, 0, 0, 0, 2};
    case MT_LAY_W5: return (block){22, 6, 2, 0, 0, 0};
    case MT_LAY_W5M: return (block){24, 8, 4, 0, 0, 2};
    case MT_LAY_K2: return (block){84, 16, 0, 0, 80, 82};
    case MT_LAY_K3: return (block){110, 32, 0, 96, 108, 0};
    case MT_LAY_K4: return (block){144, 16, 0, 4, 0, 2};
    case MT_LAY_K5: return (block){176, 48, 16, 4, 0, 2};
    case MT_LAY_K6: return (block){210, 0, 128, 192, 208, 0};
    case MT_LAY_C4K: return (block){136, 8, 0, 4, 0, 0};
    default: break;
    }
    return (block){0, 0, 0, 0, 0, 0};
}

/* The codes of sub-unit u (always 0 in blocks of 32) of block b; of w5 and w5m without their highest bits, which
 * lie in the file as in a panel. */
MT_INLINE void block_codes(mt_layout lay, const uint8_t *b, int u, uint32_t c[8])
{
    const block o = block_of(lay);
    const uint8_t *qs = b + o.qs, *qh = b + o.qh;
    for (int j = 0; j < 8; j++) {
        switch (lay) {
        case MT_LAY_W8:
            c[j] = mt_load32(qs + 4 * j) ^ 0x80808080u;
            break;
        case MT_LAY_W4: case MT_LAY_W4M: case MT_LAY_W5: case MT_LAY_W5M: case MT_LAY_C4K:
            c[j] = mt_load32(qs + 16 * u + 4 * (j % 4)) >> (j < 4 ? 0 : 4) & 0x0f0f0f0fu;
            break;
        case MT_LAY_K2:
        case MT_LAY_K3:
            c[j] = mt_load32(qs + 32 * (u / 4) + 4 * j) >> 2 * (u % 4) & 0x03030303u;
            if (lay == MT_LAY_K3) c[j] |= (mt_load32(b + 4 * j) >> u & 0x01010101u) << 2;
            break;
        case MT_LAY_K4:
        case MT_LAY_K5:
            c[j] = mt_load32(qs + 32 * (u / 2) + 4 * j) >> 4 * (u % 2) & 0x0f0f0f0fu;
            if (lay == MT_LAY_K5) c[j] |= (mt_load32(qh + 4 * j) >> u & 0x01010101u) << 4;
            break;
        case MT_LAY_K6:
            c[j] = mt_load32(qs + 64 * (u / 4) + 32 * (u % 2) + 4 * j) >> 4 * (u / 2 % 2) &
                   0x0f0f0f0fu;
            c[j] |= (mt_load32(qh + 32 * (u / 4) + 4 * j) >> 2 * (u % 4) & 0x03030303u) << 4;
            break;
        default: break;
        }
    }
}

/* Scale g of a 256-block: what the layout stores for it; *mn only for k4 k5. */
MT_INLINE uint8_t block_scale(mt_layout lay, const uint8_t *b, int g, uint8_t *mn)
{
    const uint8_t *s = b + block_of(lay).sc;
    *mn = 0;
    switch (lay) {
    case MT_LAY_K2:
    case MT_LAY_K6:
        return s[g];
    case MT_LAY_K3: {
        const int low = g < 8 ? s[g] & 15 : s[g - 8] >> 4;
        return (uint8_t)((low | (s[8 + g % 4] >> 2 * (g / 4) & 3) << 4) - 32);
    }
    case MT_LAY_K4:
    case MT_LAY_K5:
        if (g < 4) {
            *mn = s[g + 4] & 63;
            return s[g] & 63;
        }
        *mn = (uint8_t)(s[g + 4] >> 4 | (s[g] >> 6) << 4);
        return (uint8_t)((s[g + 4] & 15) | (s[g - 4] >> 6) << 4);
    case MT_LAY_C4K:
        return (
            uint8_t)(((s[g / 2] >> 4 * (g % 2) & 15) | (mt_load16(b + 2) >> 2 * g & 3) << 4) -
                     32);
    default: break;
    }
    return 0;
}

/* ---- packing ------------------------------------------------------------- */
/* Rows lie far apart, too many for the processor to see where each of them goes on. */
MT_INLINE void ask_ahead(const uint8_t *p, int bytes)
{
    if (bytes < 64) MT_PREFETCH(p + 256);
    for (int i = 0; bytes >= 64 && i < bytes; i += 64) MT_PREFETCH(p + bytes + i);
}

/* lay, unit_k and unit_bytes are constants in every caller: the whole body folds. */
MT_INLINE void pack_quant(mt_layout lay, int unit_k, int unit_bytes,
                          const uint8_t *const rows[MT_PANEL], int64_t k, uint8_t *dst)
{
    static const uint8_t zero[256];             /* a block of a row beyond the matrix */
    const mt_scales_at at = mt_scales_of(lay);
    const mt_planes planes = mt_planes_of(lay);
    const block o = block_of(lay);
    const int n_group = at.mn && lay != MT_LAY_K2 ? 8 : lay == MT_LAY_C4K ? 8 : 16;
    for (int64_t u = 0; u < k / unit_k; u++, dst += unit_bytes) {
        if (planes.high == 1) memset(dst, 0, (size_t)unit_bytes);
        for (int r = 0; r < MT_PANEL; r++) {
            const uint8_t *b = rows[r] ? rows[r] + u * o.bytes : zero;
            ask_ahead(b, o.bytes);
            for (int i = 0; i < unit_k / 32; i++) {
                uint32_t c[8];
                block_codes(lay, b, i, c);
                mt_codes_put(lay == MT_LAY_W5 || lay == MT_LAY_W5M ? MT_LAY_W4 : lay, dst + i * planes.sub, r, c);
                if (lay == MT_LAY_W5 || lay == MT_LAY_W5M) mt_bits_put(lay, dst, r, mt_load32(b + o.qh));
            }
            mt_store16(dst + at.d + 2 * r, mt_load16(b + o.d));
            if (at.dmin) mt_store16(dst + at.dmin + 2 * r, mt_load16(b + o.m));
            if (!at.sc) continue;
            for (int g = 0; g < n_group; g++) {
                uint8_t mn;
                dst[at.sc + 32 * g + r] = block_scale(lay, b, g, &mn);
                if (lay == MT_LAY_K4 || lay == MT_LAY_K5) dst[at.mn + 32 * g + r] = mn;
            }
        }
    }
}

MT_INLINE void pack_plain(int bytes, const uint8_t *const rows[MT_PANEL], int64_t k, uint8_t *dst)
{
    enum { PART = 32 };                         /* columns whose panel stays in the first cache */
    for (int64_t from = 0; from < k; from += PART) {
        const int64_t to = MT_MIN(from + PART, k);
        for (int r = 0; r < MT_PANEL; r++) {
            uint8_t *out = dst + (from * MT_PANEL + r) * bytes;
            if (rows[r]) ask_ahead(rows[r] + from * bytes, PART * bytes);
            for (int64_t i = from; i < to; i++, out += MT_PANEL * bytes) {
                if (!rows[r]) memset(out, 0, (size_t)bytes);
                else if (bytes == 4) mt_store32(out, mt_load32(rows[r] + 4 * i));
                else mt_store16(out, mt_load16(rows[r] + 2 * i));
            }
        }
    }
}

void mt_pack_panel(mt_layout lay, const uint8_t *const rows[MT_PANEL], int64_t k, uint8_t *dst)
{
    switch (lay) {
    case MT_LAY_F32: pack_plain(4, rows, k, dst); break;
    case MT_LAY_F16: case MT_LAY_BF16: pack_plain(2, rows, k, dst); break;
    case MT_LAY_W8: pack_quant(MT_LAY_W8, 32, 1088, rows, k, dst); break;
    case MT_LAY_W4: case MT_LAY_C4: case MT_LAY_C4_NF4: case MT_LAY_C4_FP4:
        pack_quant(MT_LAY_W4, 32, 576, rows, k, dst); break;
    case MT_LAY_W4M: pack_quant(MT_LAY_W4M, 32, 640, rows, k, dst); break;
    case MT_LAY_W5: pack_quant(MT_LAY_W5, 32, 704, rows, k, dst); break;
    case MT_LAY_W5M: pack_quant(MT_LAY_W5M, 32, 768, rows, k, dst); break;
    case MT_LAY_K2: pack_quant(MT_LAY_K2, 256, 2688, rows, k, dst); break;
    case MT_LAY_K3: pack_quant(MT_LAY_K3, 256, 3648, rows, k, dst); break;
    case MT_LAY_K4: pack_quant(MT_LAY_K4, 256, 4736, rows, k, dst); break;
    case MT_LAY_K5: pack_quant(MT_LAY_K5, 256, 5760, rows, k, dst); break;
    case MT_LAY_K6: pack_quant(MT_LAY_K6, 256, 6720, rows, k, dst); break;
    case MT_LAY_C4K: pack_quant(MT_LAY_C4K, 256, 4416, rows, k, dst); break;
    default: mt_pack_spelled(lay, rows, k, dst); break;
    }
}

/* ---- unpacking ----------------------------------------------------------- */
/* The value of one code, in the order of operations of the file format. */
MT_INLINE float value_of(mt_layout lay, const mt_layout_info *l, uint32_t code, float dw, float mw)
{
    if (mt_has_min(lay)) return dw * (float)code + mw;
    if (mt_has_codebook(lay)) return dw * (float)l->book[code];
    return dw * (float)((int)code - l->offset);
}

MT_INLINE void unpack_quant(mt_layout lay, const mt_layout_info *l, const uint8_t *panel, int r, int64_t k,
                            float *dst)
{
    const mt_planes planes = mt_planes_of(lay);
    const int per = 32 / l->group;              /* groups in a sub-unit */
    for (int64_t i = 0; i < k / 32; i++, dst += 32) {
        const int64_t sub = i % (l->unit_k / 32);
        const uint8_t *unit = panel + i / (l->unit_k / 32) * l->unit_bytes;
        uint32_t c[8];
        mt_codes_get(lay, unit + sub * planes.sub, r, c);
        for (int g = 0; g < per; g++) {
            float dw, mw;
            mt_scale_get(lay, unit, (int)sub * per + g, r, &dw, &mw);
            for (int v = g * l->group; v < (g + 1) * l->group; v++) {
                dst[v] = value_of(lay, l, c[v / 4] >> 8 * (v % 4) & 255, dw, mw);
            }
        }
    }
}

static void unpack_f8(const uint8_t *panel, int r, int64_t k, float *dst)
{
    const mt_layout_info *l = &mt_layouts[MT_LAY_F8];
    for (int64_t i = 0; i < k; i++) {
        const uint8_t *unit = panel + i / 32 * l->unit_bytes;
        const float d = mt_load_f32(unit + mt_scales_of(MT_LAY_F8).d + 4 * r);
        dst[i] = d * mt_e4m3(unit[i % 32 * MT_PANEL + r]);
    }
}

void mt_unpack_row(mt_layout lay, const uint8_t *panel, int r, int64_t k, float *dst)
{
    const uint8_t *at = panel + (mt_layouts[lay].unit_bytes / MT_PANEL) * r;
    switch (mt_like(lay)) {
    case MT_LAY_F32:
        for (int64_t i = 0; i < k; i++) memcpy(dst + i, at + 128 * i, 4);
        return;
    case MT_LAY_F16:
        for (int64_t i = 0; i < k; i++) dst[i] = mt_f16_to_f32(mt_load16(at + 64 * i));
        return;
    case MT_LAY_BF16:
        for (int64_t i = 0; i < k; i++) dst[i] = mt_bf16_to_f32(mt_load16(at + 64 * i));
        return;
    case MT_LAY_F8: unpack_f8(panel, r, k, dst); return;
    default: break;
    }
#define UNPACK(one) unpack_quant(one, &mt_layouts[lay], panel, r, k, dst)
    MT_SWITCH_QUANT(lay, UNPACK)
}

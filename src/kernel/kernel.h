/* SPDX-License-Identifier: MIT */
/* kernel.h - the loops, behind one table of function pointers per CPU.
 *
 * A kernel is a pure loop: pointers and sizes in, values out.  It does not allocate, lock, fail,
 * print or know a model; threading is above it.  The arithmetic is part of each contract: order of
 * sums, where a fused multiply-add stands, every polynomial.  Therefore every level (scalar, AVX2,
 * AVX-512) and every batch class gives the same bits, which the tests demand.
 *
 * ---- packed weights -----------------------------------------------------------------------
 * A weight (n_row, k) is stored as panels of 32 rows (the last one padded with zero rows), each a
 * contiguous stream of units along k.  A unit covers 32 rows x 32 k, or 32 rows x 256 k for the
 * layouts with two-level scales.  "Sub-panel" s holds rows 16 s .. 16 s + 15; a "step" j is 4 k:
 *
 *   one 64-byte step vector: dword lane r = row r of the sub-panel, its 4 bytes = k 4j .. 4j+3
 *
 *   plane4  [s 2][j 0..3][64 B]   low nibbles = step j, high nibbles = step j + 4     512 B per 32 k
 *   plane2  [s 2][h 0..1][64 B]   bit pair i of a byte = step 4 h + i                 256 B per 32 k
 *   plane1  [s 2][j 0..7][8 B]    bit b = byte b of step vector j                     128 B per 32 k
 *   plane8  [s 2][j 0..7][64 B]   unsigned bytes                                     1024 B per 32 k
 *
 *   A 256-k unit holds its 8 sub-units of codes one after the other ([sub-unit 8][planes]),
 *   then the scales: row fastest, e.g. sc[group][32 rows].
 *
 *   layout  file type  unit k  content of a unit, in order                                  bytes
 *   f32     F32          1     [32] f32                                                      128
 *   f16     F16          1     [32] f16                                                       64
 *   bf16    BF16         1     [32] bf16                                                      64
 *   w8      Q8_0        32     plane8 (value + 128), d[32] f16                              1088
 *   w4      Q4_0        32     plane4, d[32] f16                            offset 8         576
 *   w4m     Q4_1        32     plane4, d[32] f16, m[32] f16                                  640
 *   c4      IQ4_NL      32     plane4 (index into codebook), d[32] f16                       576
 *   w5      Q5_0        32     plane4, plane1, d[32] f16                    offset 16        704
 *   w5m     Q5_1        32     plane4, plane1, d[32] f16, m[32] f16                          768
 *   k2      Q2_K       256     plane2, (scale | min << 4)[16][32] u8, d[32], dmin[32] f16   2688
 *   k3      Q3_K       256     plane2, plane1, sc[16][32] i8, d[32] f16     offset 4        3648
 *   k4      Q4_K       256     plane4, sc[8][32] u8, mn[8][32] u8, d[32], dmin[32] f16      4736
 *   k5      Q5_K       256     plane4, plane1, sc[8][32], mn[8][32] u8, d[32], dmin[32]     5760
 *   k6      Q6_K       256     plane4, plane2, sc[16][32] i8, d[32] f16     offset 32       6720
 *   c4k     IQ4_XS     256     plane4 (codebook), sc[8][32] i8, d[32] f16                   4416
 *   c4b     MXFP4       32     plane4 (codebook), d[32] bf16                                 576
 *   c4h     NVFP4       32     plane4 (codebook), d[2][32] f16                               640
 *   x4      IQ1 to IQ3 256     plane4 (codebook), sc[16][32] u8, d[32] f32                  4736
 *   g4      G4          32     plane4, d[32] f16, z[32] u8, 32 unused                        640
 *   m8      M8, G8      32     plane8, d[32] f16, m[32] f32                                 1216
 *   t2      TQ, Q1_0   128     plane2, d[32] f16                            offset 1        1088
 *   f8      F8_32       32     [32 k][32] e4m3, d[32] f32                                   1152
 *
 * In sub-units with two planes the order is plane4/plane2 then the high plane, per sub-unit.
 *
 * Layouts are numbered by file type; several types share a row above (mt_like in codes.h), with
 * code books of their own: c4 also holds NF4 and FP4, x4 seven IQ types, t2 TQ1_0, TQ2_0 and Q1_0.
 * Plain 8-bit floats are kept as f16 and the types that no file uses (Q8_1, Q8_K) as f32.
 *
 * ---- arithmetic of a quantised product -------------------------------------------------------
 * Activations are int8 with one f32 scale per 32 values.  For each output, groups g ascending (32
 * values; 16 for k2 k3 k6 c4h x4):
 *   idot = sum code * q             exact, in int32, over the group (code: u8 as unpacked)
 *   F = fma((float)(idot - offset * isum_g), dw_g * as, F)          dw_g = d (* sc): exact in f32
 *   F = fma(-mw_g, as * (float)isum_g, F)   k2 k4 k5: mw_g = dmin * mn, exact in f32
 *   F = fma(m, as * (float)isum_g, F)       w4m w5m m8, and g4 with m = -(d * z), exact in f32
 * where isum_g = sum of q in the group.  Codebook layouts and w8: code = value + 128, offset 128.
 * F starts at 0.  Neither threads nor rows in flight split the sum of an output.
 *
 * A row's few largest values do not pass through int8: the first largest in each of the MT_TOP groups
 * with the largest amax.  Their place in q is 0 and their group's scale fits the rest.  They add
 *   T = fma(w, x, T), k ascending, T from 0, w the decoded weight;  out = out + T, the last step
 * Channels far above their neighbours otherwise cost the whole group its digits: with four taken
 * out, the error of a small model's logits more than halves (docs/numerics.md).
 *
 * ---- arithmetic of a float product -------------------------------------------------------------
 *   F = fma(w, x, F), k ascending, F from 0.  For bf16 weights x was rounded to bf16 before; a weight
 *   of f8 is d * value, rounded once.
 */
#ifndef MT_KERNEL_H
#define MT_KERNEL_H

#include "tensor/tensor.h"

typedef enum mt_layout {
    MT_LAY_F32, MT_LAY_F16, MT_LAY_BF16, MT_LAY_W8, MT_LAY_W4, MT_LAY_W4M, MT_LAY_C4, MT_LAY_W5,
    MT_LAY_W5M, MT_LAY_K2, MT_LAY_K3, MT_LAY_K4, MT_LAY_K5, MT_LAY_K6, MT_LAY_C4K, MT_LAY_C4B,
    MT_LAY_C4H, MT_LAY_X4, MT_LAY_G4, MT_LAY_M8, MT_LAY_T2, MT_LAY_F8,
    /* other types in the layouts above */
    MT_LAY_C4_NF4, MT_LAY_C4_FP4, MT_LAY_X4_IQ1_S, MT_LAY_X4_IQ1_M, MT_LAY_X4_IQ2_XS, MT_LAY_X4_IQ2_S,
    MT_LAY_X4_IQ3_XXS, MT_LAY_X4_IQ3_S, MT_LAY_M8_G8, MT_LAY_T2_TQ1_0, MT_LAY_T2_Q1_0, MT_LAY_F16_E4M3,
    MT_LAY_F16_E5M2, MT_LAY_F32_Q8_1, MT_LAY_F32_Q8_K, MT_LAY_COUNT
} mt_layout;
enum { MT_PANEL = 32, MT_GROUP = 32, MT_PAGE = 16, MT_CHUNK = 256, MT_TOP = 4 };

typedef struct mt_layout_info {
    const char *name;
    mt_type type;               /* the file type it keeps exactly */
    int unit_k, unit_bytes;
    int group;                  /* values per weight scale: 0 (plain values), 16 or 32 */
    int offset;                 /* subtracted from codes */
    bool is_quant;              /* multiplies with int8 activations */
    const int8_t *book;         /* what the 16 codes of a codebook layout stand for, else NULL */
} mt_layout_info;
extern const mt_layout_info mt_layouts[MT_LAY_COUNT];
bool   mt_layout_for(mt_type type, mt_layout *out);              /* false: no layout for this type */
size_t mt_packed_bytes(mt_layout lay, int64_t n_row, int64_t k); /* whole panels */
size_t mt_panel_bytes(mt_layout lay, int64_t k);
/* Packs one panel: rows[i] points at file row i (row_bytes each, any alignment), NULL: a zero row. */
void mt_pack_panel(mt_layout lay, const uint8_t *const rows[MT_PANEL], int64_t k, uint8_t *dst);
/* Decodes row r (0..31) of a panel to f32, equal to mt_decode_row of the file's row. */
void mt_unpack_row(mt_layout lay, const uint8_t *panel, int r, int64_t k, float *dst);

/* ---- activations ---------------------------------------------------------------------------- */
/* n_row rows of k values; k is a multiple of 32 for quantised layouts.  Row i of each array starts
 * at i * its stride.  64 readable bytes follow the last value. */
typedef struct mt_act {
    const float   *x;           /* f32 values, stride ldx; needed by the float kernels only */
    const int8_t  *q;           /* stride ldq bytes */
    const float   *scale;       /* k/32 per row, stride ldg */
    const int32_t *isum;        /* sums of q over 16 values: k/16 per row, stride 2 ldg */
    const int32_t *top;         /* MT_TOP places k per row, ascending, -1 behind the last */
    const float   *top_x;       /* their values, MT_TOP per row */
    size_t ldx, ldq, ldg;
} mt_act;

/* Where quantize_top puts one row: the same fields, of that row. */
typedef struct mt_q8 {
    int8_t  *q;
    float   *scale;
    int32_t *isum, *top;
    float   *top_x;
} mt_q8;

/* out[i * ldo + row] = or += product, for panels [p0, p1) of w, rows i in [0, n_row) of a.  Rows
 * beyond n_out are not written.  add: the product is added to what out holds, one f32 add at the
 * end.  bias (n_out, or NULL) is added before that, one f32 add; T of quantised products after it. */
typedef struct mt_mm {
    mt_layout layout;
    const uint8_t *w;           /* packed, panel 0; 64-byte aligned; not read beyond its end */
    int64_t k, n_out;
    int64_t p0, p1;
    mt_act  a;
    int     n_row;
    float  *out;
    size_t  ldo;
    const float *bias;
    bool    add;
    void   *scratch;            /* mt_mm_scratch(layout, k) bytes, 64-byte aligned, per thread */
} mt_mm;
size_t mt_mm_scratch(mt_layout lay, int64_t k);

/* ---- attention ------------------------------------------------------------------------------- */
/* Keys and values live in pages of 16 positions, these in slabs of 16 pages.  In the slab of page
 * `id`, at base + id / 16 * slab_stride, the pages of one layer and kv head h lie side by side, so
 * that memory is read in runs of 256 positions:
 *   K at k_off + (16 h + id % 16) * k_page_bytes,  V at v_off + (16 h + id % 16) * v_page_bytes
 *
 *   type   K of a page                               V of a page
 *   f32    [head_dim][16] f32                        [16][v_dim] f32
 *   f16    [head_dim][16] f16                        [16][v_dim] f16
 *   bf16   [head_dim / 2][16][2] bf16                [8][v_dim][2] bf16: positions 2 i and 2 i + 1
 *   q8     [head_dim / 4][16][4] int8                [16][v_dim] int8
 *          then [head_dim / 32][16] bf16 scales      then [v_dim / 32][16] bf16 scales
 *
 * Quotients are rounded up; what exceeds head_dim is 0.  q8 is one scale per position and 32
 * dimensions: d = amax / 127 rounded up to bf16, codes round-to-even(x * (1 / d)); a block whose amax
 * is below 2^-100 has d = 0 and codes 0; one with NaN or inf has a d of NaN or inf and codes 0. */
enum { MT_SLAB = 16 };
typedef enum mt_kv_type { MT_KV_F32, MT_KV_F16, MT_KV_BF16, MT_KV_Q8, MT_KV_COUNT } mt_kv_type;
typedef struct mt_kv_view {
    uint8_t *base;
    const uint32_t *page;       /* position / 16 -> page id */
    size_t slab_stride, k_off, v_off, k_page_bytes, v_page_bytes;
    mt_kv_type type;
} mt_kv_view;
size_t mt_kv_k_bytes(mt_kv_type type, int head_dim);     /* of one page and kv head */
size_t mt_kv_v_bytes(mt_kv_type type, int v_dim);
MT_INLINE uint8_t *mt_kv_k(const mt_kv_view *kv, int64_t page, int h)
{
    const size_t id = kv->page[page];
    return kv->base + id / MT_SLAB * kv->slab_stride + kv->k_off + ((size_t)h * MT_SLAB + id % MT_SLAB) * kv->k_page_bytes;
}
MT_INLINE uint8_t *mt_kv_v(const mt_kv_view *kv, int64_t page, int h)
{
    const size_t id = kv->page[page];
    return kv->base + id / MT_SLAB * kv->slab_stride + kv->v_off + ((size_t)h * MT_SLAB + id % MT_SLAB) * kv->v_page_bytes;
}

/* Attention of n_pos consecutive positions of one sequence: the n_q heads that share kv head h.
 * Position i sees the keys [max(lo, hi + i - window), min(hi + i, limit)), at least one; window 0: from
 * lo; limit 0: none.  (A text that sees itself whole has hi = limit = its length.)
 * Row r = i n_q + head.  Keys are cut into chunks [256 c, 256 c + 256); a chunk is computed by
 * itself, so any thread may compute any chunk of any rows.  Denormal operands and results count as
 * 0 throughout.  With L = log2 e, keys of chunk c that row r sees:
 *   q' = q * (scale * L), rounded to bf16 for bf16, to int8 like K for q8
 *   s_j = dot(q', k_j):   f32, f16: fma over d ascending, from 0
 *                         bf16: pairs of d ascending, in each pair first the odd d, then the even
 *                         q8: s = fma((float)idot_g, dq_g * dk_gj, s), groups g of 32 d ascending
 *   s_j = (cap L) * tanh(s_j / (cap L)) if softcap;  s_j = fma(bias_j, L, s_j) if bias
 *   mc = max_j s_j, NaN skipped;  p_j = exp2(s_j - mc); a maximum of -inf counts as 0 here and below
 *   bf16: p_j is rounded to bf16.  bf16 and q8 use the short exp2 of coef.h, the others the long one
 *   lc = 16 partial sums of p_j by j % 16 (absolute j), added by the tree 8, 4, 2, 1
 *   vc = fma(p_j, v_j, vc), j ascending from 0;  bf16: in each pair (2 i, 2 i + 1) that the row sees
 *        any of, first the odd j, then the even; an unseen one has p = v = 0
 *        q8: fma(p_j * dv_gj, (float)code, vc)
 * and the chunks of a row are merged, c ascending, from m = -inf, l = 0, the first v = vc as it is:
 *   m' = max(m, mc);  a = exp2(m - m');  b = exp2(mc - m')
 *   l = fma(lc, b, l * a);  v = fma(vc, b, v * a)
 * and out = v * (1 / l). */
enum { MT_ATTEND_ROWS = 64 };
typedef struct mt_attend {
    mt_kv_view kv;
    int h, n_q, n_pos;          /* kv head; query heads that share it; n_q * n_pos <= MT_ATTEND_ROWS */
    int head_dim, v_dim;        /* at most 512 each */
    const float *q;             /* (n_pos, n_q, head_dim), positions ldq apart */
    float *out;                 /* (n_pos, n_q, v_dim), positions ldo apart */
    size_t ldq, ldo;
    int64_t lo, hi, window, limit;
    float scale, softcap;       /* softcap 0: none */
    /* NULL: none; of position i, head g, key j: bias[i ldi + g ldg + j].  ldi -1: by j - i alone. */
    const float *bias;
    ptrdiff_t bias_ldi, bias_ldg;
    /* part: NULL, or where attend leaves the chunks [c0, c1) and attend_merge finds them: row r of
     * chunk c at part + ((c - first) * n_row + r) * mt_attend_part(v_dim), first the first chunk
     * that position 0 sees: m, l, 14 unused, v.  Rows that do not see a chunk are not written. */
    float *part;
    int64_t c0, c1;
    float *scratch;             /* mt_attend_scratch bytes, 64-byte aligned, per thread */
} mt_attend;
size_t mt_attend_scratch(int n_row, int head_dim, int v_dim);
size_t mt_attend_part(int v_dim);               /* floats */

/* ---- the table ---------------------------------------------------------------------------------- */
typedef struct mt_kern {
    const char *level;          /* "scalar", "avx2", "avxvnni", "avx512", "neon", .. */

    /* Products by batch class; layouts that are not quantised use mmf for every n_row. */
    void (*mm1[MT_LAY_COUNT])(const mt_mm *m);   /* n_row == 1, quantised layouts */
    void (*mmn[MT_LAY_COUNT])(const mt_mm *m);   /* n_row 1..16, straight from the packed codes */
    void (*mmp[MT_LAY_COUNT])(const mt_mm *m);   /* any n_row, panel expanded into scratch */
    void (*mmf[MT_LAY_COUNT])(const mt_mm *m);   /* a.x in f32, weights decoded exactly: every layout */

    /* n values (multiple of 32) to int8: s = amax / 127, q = round-to-even(x * (1 / s)) clamped to
     * +-127; s = 0 gives zeros.  isum: sums over 16.  A block with NaN has s = NaN, one with inf
     * has s = inf (amax is taken on the bits); their q are 0, so the product becomes NaN. */
    void (*quantize)(const float *x, int64_t n, int8_t *q, float *scale, int32_t *isum);
    /* The same of a whole row, without its largest values. */
    void (*quantize_top)(const float *x, int64_t n, const mt_q8 *to);
    void (*round_bf16)(const float *x, int64_t n, float *out);          /* may be in place */

    /* Norms over n values.  Sums: 16 partial sums by i % 16 with fma, tree 8, 4, 2, 1 in f32.
     * rms: out = (x * r) * (w + plus), r = 1 / sqrt(sum x^2 / n + eps).
     * layer: mean first, then the variance of x - mean; out = fma((x - mean) * r, w, b).
     * w NULL: ones; b NULL: zeros.  out may be x. */
    void (*rms_norm)(const float *x, const float *w, int64_t n, float eps, float plus, float *out);
    void (*layer_norm)(const float *x, const float *w, const float *b, int64_t n, float eps, float *out);

    void (*act)(mt_act_kind kind, const float *x, int64_t n, float *out);           /* may be in place */
    void (*act_mul)(mt_act_kind kind, const float *g, const float *u, int64_t n, float *out); /* act(g) * u */
    void (*add)(const float *a, const float *b, int64_t n, float *out);             /* may alias a */
    void (*mul)(const float *a, const float *b, int64_t n, float *out);
    void (*scale)(const float *a, float s, int64_t n, float *out);
    void (*exp)(const float *x, int64_t n, float *out);                             /* mt_exp; may be in place */

    /* In place on (n_head, head_dim): the first rope_dim values of each head turn.  cos, sin:
     * rope_dim/2 values.  is_pair: pairs (2i, 2i+1), else (i, i + rope_dim/2).
     * a' = fma(a, cos, -(b * sin)), b' = fma(b, cos, a * sin). */
    void (*rope)(float *x, int n_head, int head_dim, int rope_dim, const float *cos, const float *sin,
                 bool is_pair);

    /* Stores one position's K (n_kv, head_dim) and V (n_kv, v_dim) rows into the pages. */
    void (*kv_put)(const mt_kv_view *kv, int64_t pos, int n_kv, int head_dim, int v_dim,
                   const float *k, const float *v);
    void (*attend[MT_KV_COUNT])(const mt_attend *a);
    void (*attend_merge)(const mt_attend *a);    /* out from the parts of all chunks */

    /* Index of the largest of n values, lowest index among equals, NaN skipped; -1 when none. */
    int64_t (*best)(const float *x, int64_t n, float *value);
    /* ln sum exp(x): max first, then 16 partial sums by i % 16, tree; float in, double log out. */
    double (*log_sum_exp)(const float *x, int64_t n);
} mt_kern;

/* Fills the table for the CPU levels in `features` (mt_cpu_allowed() for the best): scalar first,
 * each level overwrites what it is better at.  No slot is NULL afterwards. */
void mt_kern_build(mt_kern *t, unsigned features);

/* exp used by softmax, silu, gelu, sigmoid, tanh on every level: Cody-Waite reduction by ln 2 in
 * two parts with fma, a degree-6 polynomial by Horner with fma, scaled by 2^n; <= 2 ulp; x < -87.33
 * gives 0, x > 88.72 gives inf, NaN stays. */
float mt_exp(float x);

#endif

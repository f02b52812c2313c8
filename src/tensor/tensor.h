/* SPDX-License-Identifier: MIT */
/* tensor.h - element types as files store them, and tensors as views of bytes.
 *
 * Type numbers are GGUF's.  A type stores blocks of `block` values in `bytes` bytes; a plain
 * type is a block of one.  Decoding here is scalar and exact: the definition that kernels and
 * packed layouts are compared with. */
#ifndef MT_TENSOR_H
#define MT_TENSOR_H

#include "base/base.h"

typedef enum mt_type {
    MT_F32 = 0, MT_F16 = 1, MT_Q4_0 = 2, MT_Q4_1 = 3, MT_Q5_0 = 6, MT_Q5_1 = 7, MT_Q8_0 = 8,
    MT_Q8_1 = 9, MT_Q2_K = 10, MT_Q3_K = 11, MT_Q4_K = 12, MT_Q5_K = 13, MT_Q6_K = 14,
    MT_Q8_K = 15, MT_IQ2_XXS = 16, MT_IQ2_XS = 17, MT_IQ3_XXS = 18, MT_IQ1_S = 19,
    MT_IQ4_NL = 20, MT_IQ3_S = 21, MT_IQ2_S = 22, MT_IQ4_XS = 23, MT_I8 = 24, MT_I16 = 25,
    MT_I32 = 26, MT_I64 = 27, MT_F64 = 28, MT_IQ1_M = 29, MT_BF16 = 30, MT_TQ1_0 = 34,
    MT_TQ2_0 = 35, MT_MXFP4 = 39, MT_NVFP4 = 40, MT_Q1_0 = 41,
    MT_FILE_TYPES = 64,         /* numbers below may stand in a GGUF file; those above are ours: what */
                                /* other checkpoints hold, brought into blocks of 32                  */
    MT_F8_E4M3 = 64, MT_F8_E5M2 = 65,           /* plain, one byte each (OCP 8-bit floats, E4M3 without inf) */
    MT_F8_32 = 66,              /* f32 d | 32 e4m3: d * value                            */
    MT_G4 = 67,                 /* f16 d | u8 z | 16 bytes of nibbles as Q4_0: d * (q - z) */
    MT_G8 = 68,                 /* f16 d | u8 z | 32 u8: d * (q - z)                     */
    MT_M8 = 69,                 /* f16 d, m | 32 u8: d * q + m                           */
    MT_NF4 = 70, MT_FP4 = 71,   /* f16 d | 16 bytes of nibbles as Q4_0: d * codebook[q]  */
    MT_U8 = 72, MT_U16 = 73, MT_U32 = 74, MT_U64 = 75,      /* plain, for packed codes; never decoded */
    MT_TYPE_LIMIT = 96
} mt_type;

typedef struct mt_type_info {
    const char *name;           /* as GGUF tools print it: "Q4_K"; NULL: no such type */
    int  block, bytes;          /* values per block; bytes per block */
    bool can_decode;            /* mt_decode_row takes it */
} mt_type_info;
const mt_type_info *mt_type_of(uint32_t type);    /* NULL: unknown number, or not in the table yet */

enum { MT_MAX_DIM = 4 };
/* ne[0] is the fastest dimension (GGUF order): a linear weight (out, in) has ne = {in, out}. */
typedef struct mt_tensor {
    const char *name;           /* terminated; owned by the source */
    mt_type type;
    int n_dim;
    int64_t ne[MT_MAX_DIM];     /* unused dimensions are 1 */
    const uint8_t *data;        /* inside a mapping; alignment is not promised.  NULL: rows are made */
    size_t bytes;
    /* Where no stored row is a row of the tensor (a transposed matrix, heads in another order, a
     * compressed checkpoint): writes rows [first, first + n) of all, as blocks of `type`.  Any thread
     * may call it at any time. */
    void (*make)(const struct mt_tensor *t, int64_t first, int64_t n, uint8_t *out);
    const void *recipe;         /* what make works from; owned by the source */
} mt_tensor;

int64_t mt_tensor_count(const mt_tensor *t);      /* values; proved to fit by the reader */
size_t  mt_row_bytes(mt_type type, int64_t n);    /* n a multiple of the block */
/* Rows [first, first + n) of the ne[1] * ne[2] * ne[3] there are: in the file, or made in `room`, which
 * has space for them. */
const uint8_t *mt_tensor_rows(const mt_tensor *t, int64_t first, int64_t n, uint8_t *room);
/* Decodes n values (a multiple of the type's block) exactly as the gguf package does. */
void mt_decode_row(mt_type type, const void *src, float *dst, int64_t n);

/* 16-bit floats, round to nearest even, NaN stays NaN. */
float    mt_f16_to_f32(uint16_t h);
uint16_t mt_f32_to_f16(float f);
float    mt_bf16_to_f32(uint16_t h);
uint16_t mt_f32_to_bf16(float f);

/* Functions of one value that nets apply; the word that models and kernels share. */
typedef enum mt_act_kind {
    MT_ACT_NONE, MT_ACT_RELU, MT_ACT_RELU2, MT_ACT_GELU_ERF, MT_ACT_GELU_TANH, MT_ACT_QUICK_GELU,
    MT_ACT_SILU, MT_ACT_SIGMOID, MT_ACT_TANH
} mt_act_kind;

#endif

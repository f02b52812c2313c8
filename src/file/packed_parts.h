/* SPDX-License-Identifier: MIT */
/* packed_parts.h - what the readers of compressed checkpoints share.  Private to file/packed*.c.
 *
 * A reader looks at the parts of one weight, proves that their shapes fit together, and fills one
 * mt_recipe: where the codes lie, where their scales, and which zero.  The maker (packed_make.c) turns
 * that into rows of blocks at any later time, without any further check. */
#ifndef MT_FILE_PACKED_PARTS_H
#define MT_FILE_PACKED_PARTS_H

#include <stdio.h>
#include <string.h>

#include "file/source.h"

enum { MT_TILE = 32 };          /* rows and columns of codes that are read at once; values in a block */

typedef struct mt_recipe mt_recipe;
struct mt_recipe {
    int64_t k, n;               /* values in a row; rows, over all matrices */
    int     bits;               /* of a code, 1 to 8 */
    /* What a code q stands for: d * (q - z), d * q + m (has_min), or d * book[q]. */
    bool    has_min;
    const float *book;          /* (16) */
    mt_type book_type;          /* NF4 or FP4 where book is that type's; F8_E4M3 or F8_E5M2; else F32 */

    /* Codes of rows [row, row + n), n <= MT_TILE, of columns [32 block, ...) as far as there are. */
    void (*tile)(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE]);
    const uint8_t *code;
    size_t  code_line, code_word;           /* bytes from row to row; from word to word along k */

    /* The scale of a code: index (row / row_block) * scale_row + g * scale_group, where g is
     * column / group, or index[column] where the columns were sorted when they were quantised. */
    const uint8_t *scale;
    mt_type scale_type;
    int64_t row_block, scale_row, scale_group, group;
    float   divisor;                        /* of the scale; 0: none */
    bool    is_inverse;                     /* the file has 1 / scale, a single one */
    const uint8_t *index;                   /* (k) i32, proved to name groups; NULL: in order */
    const uint32_t *order;                  /* (k) where the columns of this stand in the file; NULL: as here */
    const mt_recipe *sorted;                /* the same weight with columns by group; NULL: none, or no index */
    mt_type sorted_type;

    /* The zero: a constant; or a stream of codes along the rows, one for each group; or a value beside
     * each scale. */
    const uint8_t *zero;                    /* NULL: all are zero_const */
    int     zero_const, zero_add;           /* zero_add: to what is stored; of a stream modulo 2^bits */
    size_t  zero_line, zero_word;           /* stream: bytes from group to group; from word to word */
    bool    is_awq;                         /* codes and zeros in AWQ's order of eight */
    mt_type zero_type;                      /* I8, U8 or a float: beside each scale; I32: stream */

    /* bitsandbytes: scales follow each other along the whole tensor, may be 8-bit themselves */
    int64_t flat;                           /* values to a scale; 0: not so */
    const uint8_t *nested;                  /* f32 scales of the codes in `scale`; NULL: plain f32 */
    const uint8_t *nested_map;              /* (256) f32 */
    int64_t nested_block;
    float   nested_offset;
};

typedef struct mt_resolver {
    mt_source  *s;
    mote_error *err;
    const char *path;
    const char *name;           /* of the weight that is being read, without ".weight" */
    bool       *is_part;        /* (n_tensor) goes with the weight it belongs to */
    mt_tensor  *made;           /* next free place for a weight */
} mt_resolver;

/* ---- packed.c: finding parts and answering ------------------------------------------------------ */

/* name + suffix.  NULL: absent.  A tensor that is found is marked as a part. */
const mt_tensor *mt_part_find(mt_resolver *r, const char *suffix);
/* The same; absent is an error that names it. */
mote_status mt_part_need(mt_resolver *r, const char *suffix, const mt_tensor **out);
/* The part is stored plainly, of the type, and has these dimensions (fastest first, last 0: fewer). */
mote_status mt_part_check(mt_resolver *r, const mt_tensor *t, mt_type type, int64_t ne0, int64_t ne1);
/* The part holds floats that a scale may have. */
mote_status mt_part_check_float(mt_resolver *r, const mt_tensor *t);
mote_status mt_part_check_values(mt_resolver *r, const mt_tensor *t, int64_t n);   /* stored, n of them */
/* An integer of the configuration, or `otherwise`; whether a text of it is this. */
int64_t mt_config_int(const mt_resolver *r, const char *key, int64_t otherwise);
bool    mt_config_is(const mt_source *s, const char *key, const char *text);
/* Columns to a scale, if `groups` of them cover k: as configured, else evenly by a power of two, since
 * modules may differ from the configuration.  0: impossible. */
int64_t mt_group_columns(int64_t configured, int64_t k, int64_t groups);
/* Where scale (and zero) of shape (rows, groups), (rows), () apply; block sizes where both are fewer. */
mote_status mt_part_scales(mt_resolver *r, mt_recipe *p, const mt_tensor *scale, int64_t block_rows,
                           int64_t block_columns);
/* g_idx: the group of each column; kept where columns are not in order. */
mote_status mt_packed_order(mt_resolver *r, mt_recipe *p, const mt_tensor *index, int64_t groups);
/* Adds "name.weight" of p->k columns and p->n rows, `matrices` of them; a copy of p stays with it. */
mote_status mt_part_done(mt_resolver *r, mt_recipe *p, int64_t matrices);
mote_status mt_part_add(mt_resolver *r, const mt_recipe *p, int64_t matrices, mt_type type,
                        void (*make)(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out));

/* ---- packed_make.c ------------------------------------------------------------------------------ */

/* Codes packed densely along k, lowest bits first, in 32-bit words; bytes. */
void mt_tile_words(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE]);
void mt_tile_bytes(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE]);
void mt_tile_signed(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE]);
void mt_tile_sorted(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE]);
void mt_tile_awq(const mt_recipe *p, int64_t row, int n, int64_t block, uint8_t (*c)[MT_TILE]);
float mt_packed_scale(const mt_recipe *p, int64_t row, int64_t column);
int   mt_packed_zero(const mt_recipe *p, int64_t row, int64_t column);
/* The type of block that holds p's values, and its maker; F32 where none does. */
mt_type mt_packed_type(const mt_recipe *p);
void mt_packed_make(const mt_tensor *t, int64_t first, int64_t n, uint8_t *out);

/* ---- the readers: r->name is set, the first tensor is the one that led there -------------------- */
mote_status mt_packed_gptq(mt_resolver *r, const mt_tensor *qweight);
mote_status mt_packed_awq(mt_resolver *r, const mt_tensor *qweight);
mote_status mt_packed_words(mt_resolver *r, const mt_tensor *packed);      /* compressed-tensors */
mote_status mt_packed_int8(mt_resolver *r, const mt_tensor *weight);       /* compressed-tensors, bitsandbytes */
mote_status mt_packed_mlx(mt_resolver *r, const mt_tensor *weight);
mote_status mt_packed_bnb4(mt_resolver *r, const mt_tensor *weight);
mote_status mt_packed_float8(mt_resolver *r, const mt_tensor *weight);
mote_status mt_packed_bitnet(mt_resolver *r, const mt_tensor *weight);

/* ---- little-endian numbers, unaligned ----------------------------------------------------------- */
MT_INLINE uint16_t mt_get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
MT_INLINE uint32_t mt_get32(const uint8_t *p) { return mt_get16(p) | (uint32_t)mt_get16(p + 2) << 16; }
MT_INLINE void mt_put16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)v, p[1] = (uint8_t)(v >> 8); }
MT_INLINE float mt_get_f32(const uint8_t *p)
{
    const uint32_t bits = mt_get32(p);
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}
MT_INLINE void mt_put32(uint8_t *p, uint32_t v) { mt_put16(p, (uint16_t)v), mt_put16(p + 2, (uint16_t)(v >> 16)); }
MT_INLINE void mt_put_f32(uint8_t *p, float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    mt_put32(p, bits);
}
/* Element i of an array of F32, F16 or BF16. */
MT_INLINE float mt_get_float(const uint8_t *p, mt_type type, int64_t i)
{
    if (type == MT_F32) return mt_get_f32(p + 4 * i);
    return type == MT_F16 ? mt_f16_to_f32(mt_get16(p + 2 * i)) : mt_bf16_to_f32(mt_get16(p + 2 * i));
}

#endif

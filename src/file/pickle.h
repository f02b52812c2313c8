/* SPDX-License-Identifier: MIT */
/* pickle.h - Python pickles as data: dictionaries, tuples, numbers, strings and tensors, nothing else.
 * Private to file/.
 *
 * A pickle is a program that may name and call any function of Python.  This reader knows some thirty
 * instructions and the handful of names that describe a tensor; it calls nothing, and whatever else a
 * pickle asks for is refused by its name, whether it would have been used or not. */
#ifndef MT_FILE_PICKLE_H
#define MT_FILE_PICKLE_H

#include "tensor/tensor.h"

typedef enum mt_pk_kind {
    MT_PK_NONE, MT_PK_BOOL, MT_PK_INT, MT_PK_FLOAT, MT_PK_TEXT, MT_PK_BYTES,
    MT_PK_TUPLE, MT_PK_LIST, MT_PK_DICT,        /* box */
    MT_PK_NAME,                                 /* one of the allowed names: i is its row */
    MT_PK_STORAGE, MT_PK_TENSOR,                /* i: number of */
    MT_PK_BIG,                                  /* an integer beyond 64 bits */
    MT_PK_MARK                                  /* on the stack only */
} mt_pk_kind;

typedef struct mt_pk_box mt_pk_box;
typedef struct mt_pk {
    uint8_t  kind;
    uint32_t n;                                 /* bytes of text */
    union { int64_t i; double f; const char *text; mt_pk_box *box; } u;
} mt_pk;
struct mt_pk_box { mt_pk *item; uint32_t n, room; };    /* a dictionary: keys and values in turn */

/* Values of one type in a row; several tensors may view them. */
typedef struct mt_pk_storage {
    mt_str   key;
    mt_type  type;
    bool     is_untyped;                        /* n counts bytes */
    uint64_t n;
    const uint8_t *data; size_t bytes;          /* NULL until torch.c finds them */
} mt_pk_storage;

enum { MT_PK_MAX_DIM = 8 };
typedef struct mt_pk_tensor {
    uint32_t storage;
    mt_type  type;
    int      n_dim;
    uint64_t offset, dim[MT_PK_MAX_DIM], stride[MT_PK_MAX_DIM];     /* in values, slowest dimension first */
} mt_pk_tensor;

typedef struct mt_pickle {
    const char *what;
    mt_arena    arena;                          /* of the values; mt_pickle_close frees it and both arrays */
    mt_pk       root;
    mt_pk_storage *storage; size_t n_storage, room_storage;
    mt_pk_tensor  *tensor;  size_t n_tensor, room_tensor;
    size_t      end;                            /* bytes of the pickle */
} mt_pickle;
/* Reads one pickle from the first bytes of p[0..n).  Close it whatever is returned. */
mote_status mt_pickle_read(mt_pickle *p, const uint8_t *bytes, size_t n, const char *what, const mote_alloc *alloc,
                           mote_error *err);
void        mt_pickle_close(mt_pickle *p);
/* The value of a key in a dictionary; NULL: none. */
const mt_pk *mt_pk_get(const mt_pk *dict, const char *key);

#endif

/* SPDX-License-Identifier: MIT */
/* decode.h - the way from tokens back to text: steps over a list of pieces, then all joined. */
#ifndef MT_DECODE_H
#define MT_DECODE_H

#include "text/find.h"
#include "text/pieces.h"

typedef enum mt_decode_kind {
    MT_DECODE_BYTES,             /* the byte alphabet; everything becomes one piece */
    MT_DECODE_WORDPIECE,         /* a space in front of what has no prefix; cleans */
    MT_DECODE_METASPACE,
    MT_DECODE_SUFFIX,            /* BPEDecoder */
    MT_DECODE_BYTE_TOKENS,       /* <0xHH> */
    MT_DECODE_FUSE, MT_DECODE_STRIP, MT_DECODE_REPLACE
} mt_decode_kind;

typedef struct mt_decode {
    mt_decode_kind kind;
    mt_str text;                 /* prefix, suffix, character, or what REPLACE puts */
    bool   cleans, drops_first;
    uint32_t start, stop;        /* STRIP: most characters at each end */
    mt_pattern *pattern;
} mt_decode;

/* Pieces behind one another; raw: an added token, which the byte alphabet does not apply to. */
typedef struct mt_list {
    const mote_alloc *alloc;
    uint8_t  *p;
    uint32_t *end;               /* (n) */
    bool     *is_raw;            /* (n) */
    size_t    n_byte, cap_byte, n, cap;
} mt_list;
bool mt_list_add(mt_list *l, const void *p, size_t n, bool is_raw);   /* opens a piece; false: no memory */
void mt_list_free(mt_list *l);

/* Applies the steps to *l (spare is memory of the same kind); the text is then l->p[0, n_byte). */
mote_status mt_decode_run(const mt_decode *op, size_t n, mt_list *l, mt_list *spare, mote_error *err);

/* The byte that a token like <0x0A> stands for; -1: it is no such token. */
int mt_byte_token(mt_str token);

#endif

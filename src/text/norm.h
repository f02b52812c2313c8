/* SPDX-License-Identifier: MIT */
/* norm.h - normalisers: what a tokenizer does to a text before it looks for words.
 *
 * Each is one step from a view to a view; a step that changes nothing hands its input on. */
#ifndef MT_NORM_H
#define MT_NORM_H

#include "text/charsmap.h"
#include "text/cuts.h"
#include "text/find.h"
#include "text/view.h"

typedef enum mt_norm_kind {
    MT_NORM_NFC, MT_NORM_NFD, MT_NORM_NFKC, MT_NORM_NFKD,
    MT_NORM_LOWERCASE, MT_NORM_STRIP, MT_NORM_STRIP_ACCENTS, MT_NORM_PREPEND, MT_NORM_REPLACE,
    MT_NORM_BERT, MT_NORM_NMT, MT_NORM_CHARSMAP, MT_NORM_BYTES,
    MT_NORM_SPM                  /* SentencePiece's whole normaliser */
} mt_norm_kind;

typedef struct mt_norm {
    mt_norm_kind kind;
    bool strips_left, strips_right;                      /* STRIP */
    bool cleans, spaces_han, strips_accents, lowers;     /* BERT */
    mt_str text;                                         /* PREPEND's, or what REPLACE puts */
    mt_pattern *pattern;                                 /* REPLACE */
    mt_charsmap map;                                     /* CHARSMAP */
    mt_spm_normal spm;                                   /* SPM */
    uint8_t ascii[128];                                  /* BERT: what becomes of a byte, 0xFF: nothing */
} mt_norm;

void mt_norm_prepare(mt_norm *op);               /* fills what follows from the fields above */

typedef struct mt_norm_work {
    mt_finder finder;
    mt_text   text[2];           /* results, in turn */
    mt_room   form;              /* characters of one cluster */
    mt_mapped mapped;            /* SPM's result */
    int       turn;
} mt_norm_work;
void mt_norm_work_init(mt_norm_work *w, const mote_alloc *alloc, bool tracks);
void mt_norm_work_free(mt_norm_work *w);

/* Applies n steps to *v, which then points into w (or still to the input).  EFULL: a limit. */
mote_status mt_norm_run(const mt_norm *op, size_t n, const mt_traits *traits, mt_norm_work *w, mt_view *v,
                        mote_error *err);

/* The four Unicode forms (form.c). */
bool mt_form_run(mt_norm_kind kind, const mt_traits *traits, mt_norm_work *w, const mt_view *in, mt_text *out,
                 bool *is_same);
/* The lower case of a character: 1 or 2 characters. */
size_t mt_lower(uint32_t code, uint32_t out[2]);
/* The printable character of a byte, as UTF-8 (byte alphabet of pieces.h); its length, 1 or 2. */
size_t mt_byte_char(uint8_t byte, uint8_t out[2]);

/* Writes characters as the reference library's "transform" does: each says how many characters of
 * the input it stands for, and gets its place by counting, not by meaning. */
typedef struct mt_writer {
    const mt_view *in;
    mt_text *out;
    size_t   at;                 /* bytes of the input accounted for */
} mt_writer;
/* Appends a character of n bytes; change 0: for one character, < 0: for 1 - change, > 0: put in. */
bool mt_writer_put(mt_writer *w, const void *p, size_t n, long change);

#endif

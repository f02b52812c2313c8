/* SPDX-License-Identifier: MIT */
/* old.h - llama models in formats older than GGUF, told in GGUF's terms: what their readers share.
 * Private to file/.
 *
 * Those formats know one architecture, whose tensors are the parts below; a reader says where each
 * lies, and the source looks as if a GGUF file had been opened. */
#ifndef MT_FILE_OLD_H
#define MT_FILE_OLD_H

#include "file/source.h"

typedef struct mt_old_llama {
    uint32_t n_vocab, n_ctx, dim, hidden, n_layer, n_head, n_kv;
    float eps;
} mt_old_llama;

/* What made rows consist of, little-endian. */
MT_INLINE void mt_old_store(uint8_t *out, float value)
{
    union { float f; uint32_t bits; } v = { value };
    for (int k = 0; k < 4; k++) out[k] = (uint8_t)(v.bits >> (8 * k));
}

typedef enum mt_old_part {
    MT_OLD_EMBD, MT_OLD_ATTN_NORM, MT_OLD_Q, MT_OLD_K, MT_OLD_V, MT_OLD_O, MT_OLD_FFN_NORM, MT_OLD_GATE,
    MT_OLD_DOWN, MT_OLD_UP, MT_OLD_NORM, MT_OLD_HEAD, MT_OLD_PARTS
} mt_old_part;
bool mt_old_in_layer(mt_old_part part);             /* else there is one for the model */
/* ne[0] and ne[1] of a part; a vector has one row. */
void mt_old_shape(const mt_old_llama *h, mt_old_part part, uint64_t ne[2]);
bool mt_old_plausible(const mt_old_llama *h);       /* within the limits, and numbers fit each other */

/* Metadata of h, and room for its tensors: of s, whose path, map and arena are set. */
mote_status mt_old_begin(mt_source *s, const char *format, const mt_old_llama *h, mote_error *err);
/* The next tensor, shape, size and GGUF name set; type, data or make are the reader's.  NULL: no memory. */
mt_tensor *mt_old_add(mt_source *s, const mt_old_llama *h, mt_old_part part, uint32_t layer);
/* By the name that PyTorch checkpoints have: "layers.0.attention.wq.weight".  false: none of them. */
bool mt_old_find(mt_str name, mt_old_part *part, uint32_t *layer);

enum { MT_OLD_NORMAL = 1, MT_OLD_UNKNOWN = 2, MT_OLD_CONTROL = 3, MT_OLD_BYTE = 6 };   /* token types */
/* A vocabulary: a reader allocates it, points text into its file, and gives it to the source. */
typedef struct mt_old_words {
    size_t n;
    mt_str  *text;               /* (n) with plain spaces; as the file has them */
    uint8_t *score, *kind;       /* (n, 4) little-endian f32, NULL: none; i32 */
} mt_old_words;
mote_status mt_old_words_begin(mt_source *s, mt_old_words *w, size_t n, bool has_score, mote_error *err);
void        mt_old_word(mt_old_words *w, size_t i, const char *text, size_t n, int kind);
/* Copies the texts, spaces written as sentencepiece writes them, and adds tokenizer.ggml.*. */
mote_status mt_old_words_end(mt_source *s, mt_old_words *w, mote_error *err);

#endif

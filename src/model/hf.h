/* SPDX-License-Identifier: MIT */
/* hf.h - families as Hugging Face publishes them: config keys and tensor names, as data.
 *
 * A row says how a config.json of one model_type reads in our vocabulary, which is GGUF's, and what
 * each role's tensor is called there.  hf.c goes through the rows from there to here when a folder is
 * opened, convert goes back.  Private to model/. */
#ifndef MT_HF_H
#define MT_HF_H

#include "model/graph.h"

typedef enum mt_hf_type { MT_HF_INT, MT_HF_FLOAT, MT_HF_BOOL, MT_HF_WORD } mt_hf_type;
typedef struct mt_hf_key {
    const char *to;                  /* behind the family's name and a dot */
    mt_hf_type  type;
    const char *from;                /* keys of config.json, in the order they are looked for, between bars */
    double      absent;              /* the publisher's default where the config leaves it out; NAN: none, */
    const char *times;               /* ... and a key whose value multiplies it, or NULL */
} mt_hf_key;

/* How the rows in the file become those of the role's tensor. */
typedef enum mt_hf_turn {
    MT_HF_AS_IS,
    MT_HF_HALF_Q, MT_HF_HALF_K,      /* rotary halves of each head into neighbouring pairs */
    MT_HF_ACROSS,                    /* stored (in, out): transposed */
    MT_HF_EXPERT                     /* one tensor per expert: stacked */
} mt_hf_turn;
/* '#' stands for the layer, '@' for the expert.  ".weight" or ".bias" follows, unless is_bare. */
typedef struct mt_hf_name {
    mt_role     role;
    const char *name;
    mt_hf_turn  turn;
    mt_stack_id stack;
    bool        is_bare;
} mt_hf_name;

enum { MT_HF_GROUPS = 4 };
typedef struct mt_hf_family {
    const char *model_type;
    const char *family;              /* row of families.c */
    const char *classes;             /* "architectures" that this row is, between bars; the first is written */
    const char *prefix;              /* in front of every name but those below `ends`, or missing altogether */
    const mt_hf_key  *key[MT_HF_GROUPS];     /* each ends with an empty row */
    const mt_hf_name *name[MT_HF_GROUPS];
    bool is_tied, windows;           /* defaults of tie_word_embeddings and use_sliding_window */
    bool scales_head;                /* tie_word_embeddings says (also) that logits see the row times n_embd^-1/2 */
} mt_hf_family;

extern const mt_hf_family mt_hf_families[];
extern const size_t mt_hf_n_family;
/* Words of config.json and ours: activations, rotary scalings.  NULL theirs ends a table. */
typedef struct mt_hf_word { const char *theirs, *ours; } mt_hf_word;
extern const mt_hf_word mt_hf_words[];

/* hf_rope.c.  The numbers behind divisors; is_set false: the source has none. */
typedef struct mt_hf_scaling { bool is_set; double factor, low, high, context; } mt_hf_scaling;
mote_status mt_hf_rope_from_divisors(mt_source *s, const char *family, mt_hf_scaling *out, mote_error *err);

/* hf_rows.c: tensors whose rows are made from others.  The name is kept; the recipe lives in the arena. */
mote_status mt_hf_pair_heads(mt_tensor *t, const mt_tensor *of, int n_head, mt_arena *a, mote_error *err);
mote_status mt_hf_halve_heads(mt_tensor *t, const mt_tensor *of, int n_head, mt_arena *a, mote_error *err);
mote_status mt_hf_across(mt_tensor *t, const mt_tensor *of, mote_error *err);    /* of blocks: as f32 */
mote_status mt_hf_stack(mt_tensor *t, const mt_tensor *const *of, int n, mt_arena *a, mote_error *err);
mote_status mt_hf_unstack(mt_tensor *t, const mt_tensor *of, int i, mt_arena *a, mote_error *err);

#endif

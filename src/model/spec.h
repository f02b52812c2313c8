/* SPDX-License-Identifier: MIT */
/* spec.h - an architecture as data: what a config file says, in one vocabulary for all families.
 *
 * families.c fills a spec from metadata (a table row per family); build_*.c emits the forward pass
 * from it.  Nothing behind model/ sees a spec, and nothing outside families.c knows a family's
 * name.  Fields and their values follow the spec of the architecture notes: what is zero means the
 * commonest choice (pre-norm, RMS, split q k v, no bias, causal). */
#ifndef MT_SPEC_H
#define MT_SPEC_H

#include "tensor/tensor.h"

typedef enum mt_topology { MT_TOPO_DECODER, MT_TOPO_ENCODER, MT_TOPO_ENCDEC, MT_TOPO_RWKV4 } mt_topology;
typedef enum mt_residual {
    MT_RES_PRE,          /* x + f(norm(x)) */
    MT_RES_POST,         /* norm(x + f(x)) */
    MT_RES_SANDWICH,     /* x + norm2(f(norm1(x))) */
    MT_RES_PAR1,         /* x + attn(n) + ffn(n), n = norm(x) */
    MT_RES_PAR2          /* x + attn(norm1(x)) + ffn(norm2(x)) */
} mt_residual;
typedef enum mt_norm_kind { MT_NORM_RMS, MT_NORM_LAYER } mt_norm_kind;
typedef enum mt_pos_kind { MT_POS_NONE, MT_POS_LEARNED } mt_pos_kind;
typedef enum mt_rope_kind { MT_ROPE_NONE, MT_ROPE_HALF, MT_ROPE_PAIR } mt_rope_kind;
typedef enum mt_rope_scaling { MT_SCALE_NONE, MT_SCALE_LINEAR, MT_SCALE_LLAMA3, MT_SCALE_YARN } mt_rope_scaling;
typedef enum mt_mask { MT_MASK_CAUSAL, MT_MASK_FULL } mt_mask;
typedef enum mt_bias_fn { MT_BIAS_NONE, MT_BIAS_ALIBI, MT_BIAS_T5 } mt_bias_fn;
typedef enum mt_ffn_kind { MT_FFN_GLU, MT_FFN_MLP, MT_FFN_MOE } mt_ffn_kind;
typedef enum mt_pool_kind { MT_POOL_NONE, MT_POOL_CLS, MT_POOL_MEAN } mt_pool_kind;

enum { MT_MAX_LAYER = 1024, MT_MAX_EXPERT = 1024 };

/* What one stack (decoder, encoder) needs.  Per-layer values differ between layers in some
 * families; the arrays live in the model's arena and have n_layer entries. */
typedef struct mt_stack {
    int n_layer;
    int *n_head, *n_kv, *d_ff, *window;   /* window 0: full attention */
    mt_mask mask;
    bool has_cross;                       /* cross-attention behind self-attention */
    bool has_final_norm;
} mt_stack;

typedef struct mt_spec {
    const char *family;                   /* row of the family table, for messages only */
    mt_topology topology;
    int n_vocab, n_embd, n_ctx_train, head_dim, v_dim;
    mt_stack dec, enc;                    /* encoders use enc, decoders dec */

    /* embedding */
    float tok_scale;                      /* 0 means 1 */
    mt_pos_kind pos;  int pos_offset, n_pos;
    int  n_type;                          /* token types: 0 none */
    bool has_embd_norm;

    /* block */
    mt_residual residual;
    mt_norm_kind norm;  float eps;  float norm_plus;   /* 1: weights are stored less one */
    bool qkv_fused;                       /* one weight: q rows, k rows, v rows */
    bool has_bias_q, has_bias_o, has_bias_ffn;         /* q: on q, k and v */
    bool qk_norm;                         /* per-head norm of q and k, shared weight */
    float attn_scale;                     /* 0: 1 / sqrt(head_dim) */
    float attn_softcap;
    bool attn_scale_by_layer;             /* further 1 / (layer + 1) */
    mt_bias_fn bias_fn;  int n_bucket, max_distance;

    /* rotary positions: one table for all layers, reduced to inverse frequencies at bind time */
    mt_rope_kind rope;  int rope_dim;  double rope_theta;
    mt_rope_scaling rope_scaling;
    double rope_factor, rope_low, rope_high, rope_orig_ctx;
    double rope_beta_fast, rope_beta_slow, rope_attn_factor;   /* yarn */

    /* feed-forward */
    mt_ffn_kind ffn;  mt_act_kind act;
    int n_expert, n_expert_used, d_ff_expert;
    bool expert_renorm;                   /* chosen weights sum to one */
    float expert_scale;                   /* 0 means 1 */

    /* head */
    bool  tied;                           /* no separate head weight: the token embedding serves */
    float logit_scale, logit_softcap;     /* 0: none */
    bool  has_head_bias;
    mt_pool_kind pool;
    int  start_token;                     /* an encoder-decoder's first decoder token; -1: not said */
} mt_spec;

/* Prints every field that differs from its default, for people; returns bytes like snprintf. */
size_t mt_spec_print(const mt_spec *s, char *out, size_t cap);

#endif

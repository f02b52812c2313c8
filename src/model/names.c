/* SPDX-License-Identifier: MIT */
/* names.c - from a weight's role to the name its tensor has in a file.
 *
 * The names are those of GGUF.  Families with two stacks put "enc." or "dec." in front of
 * everything but the shared ends, and shorten one name.  RWKV-4 has no names in GGUF: it takes
 * those that version 6 has there, and ffn_norm for its second norm. */
#include "model/build.h"

#include <stdio.h>

typedef struct name {
    const char *plain; /* between "blk.3." (in a layer) and ".weight" or ".bias" */
    const char *stacked;             /* behind "enc." or "dec."; NULL: as plain */
    bool is_shared;                  /* no prefix even where there are two stacks */
} name;

static const name names[MT_ROLE_COUNT] = {
    [MT_W_TOK_EMBD]       = { .plain = "token_embd", .is_shared = true },
    [MT_W_POS_EMBD]       = { .plain = "position_embd", .is_shared = true },
    [MT_W_TYPE_EMBD]      = { .plain = "token_types", .is_shared = true },
    [MT_W_EMBD_NORM]      = { .plain = "token_embd_norm", .is_shared = true },
    [MT_W_ATTN_NORM]      = { .plain = "attn_norm" },
    [MT_W_ATTN_Q]         = { .plain = "attn_q" },
    [MT_W_ATTN_K]         = { .plain = "attn_k" },
    [MT_W_ATTN_V]         = { .plain = "attn_v" },
    [MT_W_ATTN_QKV]       = { .plain = "attn_qkv" },
    [MT_W_ATTN_OUT]       = { .plain = "attn_output", .stacked = "attn_o" },
    [MT_W_ATTN_POST_NORM] = { .plain = "attn_output_norm" },
    [MT_W_ATTN_Q_NORM]    = { .plain = "attn_q_norm" },
    [MT_W_ATTN_K_NORM]    = { .plain = "attn_k_norm" },
    [MT_W_ATTN_REL_BIAS]  = { .plain = "attn_rel_b" },
    [MT_W_CROSS_NORM]     = { .plain = "cross_attn_norm" },
    [MT_W_CROSS_Q]        = { .plain = "cross_attn_q" },
    [MT_W_CROSS_K]        = { .plain = "cross_attn_k" },
    [MT_W_CROSS_V]        = { .plain = "cross_attn_v" },
    [MT_W_CROSS_OUT]      = { .plain = "cross_attn_o" },
    [MT_W_FFN_NORM]       = { .plain = "ffn_norm" },
    [MT_W_FFN_GATE]       = { .plain = "ffn_gate" },
    [MT_W_FFN_UP]         = { .plain = "ffn_up" },
    [MT_W_FFN_DOWN]       = { .plain = "ffn_down" },
    [MT_W_FFN_POST_NORM]  = { .plain = "layer_output_norm" },
    [MT_W_FFN_ROUTER]     = { .plain = "ffn_gate_inp" },
    [MT_W_FFN_GATE_EXPS]  = { .plain = "ffn_gate_exps" },
    [MT_W_FFN_UP_EXPS]    = { .plain = "ffn_up_exps" },
    [MT_W_FFN_DOWN_EXPS]  = { .plain = "ffn_down_exps" },
    [MT_W_FINAL_NORM]     = { .plain = "output_norm" },
    [MT_W_HEAD]           = { .plain = "output", .is_shared = true },
    [MT_W_ROPE_FREQS]     = { .plain = "rope_freqs", .is_shared = true },
    [MT_W_MIX_K]          = { .plain = "time_mix_lerp_k" },
    [MT_W_MIX_V]          = { .plain = "time_mix_lerp_v" },
    [MT_W_MIX_R]          = { .plain = "time_mix_lerp_r" },
    [MT_W_DECAY]          = { .plain = "time_mix_decay" },
    [MT_W_FIRST]          = { .plain = "time_mix_first" },
    [MT_W_TIME_K]         = { .plain = "time_mix_key" },
    [MT_W_TIME_V]         = { .plain = "time_mix_value" },
    [MT_W_TIME_R]         = { .plain = "time_mix_receptance" },
    [MT_W_TIME_OUT]       = { .plain = "time_mix_output" },
    [MT_W_CMIX_K]         = { .plain = "channel_mix_lerp_k" },
    [MT_W_CMIX_R]         = { .plain = "channel_mix_lerp_r" },
    [MT_W_CHAN_K]         = { .plain = "channel_mix_key" },
    [MT_W_CHAN_V]         = { .plain = "channel_mix_value" },
    [MT_W_CHAN_R]         = { .plain = "channel_mix_receptance" },
    [MT_W_POOLER]         = { .plain = "cls" },
};

void mt_weight_name(char out[MT_NAME_MAX], mt_topology topology, mt_stack_id stack,
                    mt_role role, int layer, bool is_bias)
{
    const name *n = &names[role];
    const bool is_stacked = topology == MT_TOPO_ENCDEC && !n->is_shared;
    const char *prefix = !is_stacked ? "" : stack == MT_ENC ? "enc." : "dec.";
    const char *word = is_stacked && n->stacked ? n->stacked : n->plain;
    const char *suffix = is_bias ? "bias" : "weight";
    if (layer < 0)
        snprintf(out, MT_NAME_MAX, "%s%s.%s", prefix, word, suffix);
    else
        snprintf(out, MT_NAME_MAX, "%sblk.%d.%s.%s", prefix, layer, word, suffix);
}

const char *mt_role_name(mt_role role)
{
    static const char *const text[MT_ROLE_COUNT] = {
#define X(name) #name,
        MT_ROLES(X)
#undef X
    };
    return text[role];
}

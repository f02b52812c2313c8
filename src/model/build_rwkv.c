/* SPDX-License-Identifier: MIT */
/* build_rwkv.c - RWKV-4: a recurrent net of two halves per layer, time mix and channel mix.
 *
 * Each half mixes its normed input with that of the token before (SHIFT keeps the last one
 * between passes); the time mix has besides a decaying weighted mean of the values (WKV4). */
#include "model/build.h"

/* A linear of x mixed, per channel, with the row before it. */
static int mixed(mt_builder *b, int x, int last, mt_role mix, mt_role weight, int n_out)
{
    return mt_emit_linear(b, mt_emit_lerp(b, x, last, mix), weight, n_out, false);
}

static int time_mix(mt_builder *b, int x)
{
    const int n = b->spec->n_embd;
    const int last = mt_emit_shift(b, x);
    const int k = mixed(b, x, last, MT_W_MIX_K, MT_W_TIME_K, n);
    const int v = mixed(b, x, last, MT_W_MIX_V, MT_W_TIME_V, n);
    const int r = mixed(b, x, last, MT_W_MIX_R, MT_W_TIME_R, n);
    const int wkv = mt_emit_wkv4(b, k, v);
    const int y = mt_emit_mul(b, mt_emit_act(b, r, MT_ACT_SIGMOID), wkv);
    return mt_emit_linear(b, y, MT_W_TIME_OUT, n, false);
}

static int channel_mix(mt_builder *b, int x)
{
    const int n = b->spec->n_embd, n_ff = b->stack->d_ff[b->layer];
    const int last = mt_emit_shift(b, x);
    const int k = mixed(b, x, last, MT_W_CMIX_K, MT_W_CHAN_K, n_ff);
    const int r = mixed(b, x, last, MT_W_CMIX_R, MT_W_CHAN_R, n);
    const int v = mt_emit_linear(b, mt_emit_act(b, k, b->spec->act), MT_W_CHAN_V, n, false);
    return mt_emit_mul(b, mt_emit_act(b, r, MT_ACT_SIGMOID), v);
}

void mt_build_rwkv4(mt_builder *b)
{
    mt_build_start(b, MT_DEC);
    int x = mt_build_embed(b);
    for (b->layer = 0; b->layer < b->stack->n_layer; b->layer++) {
        x = mt_emit_add(b, x, time_mix(b, mt_emit_norm(b, x, MT_W_ATTN_NORM)));
        x = mt_emit_add(b, x, channel_mix(b, mt_emit_norm(b, x, MT_W_FFN_NORM)));
    }
    b->layer = -1;
    x = mt_emit_norm(b, x, MT_W_FINAL_NORM);
    b->graph->hidden = x;
    b->graph->output = mt_build_head(b, x);
}

/* SPDX-License-Identifier: MIT */
/* build_encdec.c - the encoder-decoder: the encoder leaves every decoder layer's keys and
 * values of the text in that layer's cross state, where the decoder's steps read them.
 *
 * States 0 to n_layer - 1 are the cross states, in the order of the decoder's layers. */
#include "model/build.h"

static void build_cross_states(mt_builder *b, int x)
{
    const mt_spec *s = b->spec;
    const int n_layer = s->dec.n_layer;
    b->stack_id = MT_DEC;            /* these weights are the decoder's */
    for (b->layer = 0; b->layer < n_layer; b->layer++) {
        const int n_kv = s->dec.n_kv[b->layer];
        const int k = mt_emit_linear(b, x, MT_W_CROSS_K, n_kv * s->head_dim, s->has_bias_q);
        const int v = mt_emit_linear(b, x, MT_W_CROSS_V, n_kv * s->v_dim, s->has_bias_q);
        const mt_state cross = { .kind = MT_STATE_CROSS, .n_kv = n_kv,
                                 .head_dim = s->head_dim, .v_dim = s->v_dim };
        mt_emit_kv_put(b, k, v, mt_add_state(b, cross));
    }
    b->layer = -1;
}

void mt_build_encdec(mt_builder *b)
{
    mt_build_start(b, MT_ENC);
    int x = mt_build_layers(b, mt_build_embed(b));
    b->graph->hidden = x;
    build_cross_states(b, x);

    mt_build_start(b, MT_DEC);
    x = mt_build_layers(b, mt_build_embed(b));
    b->graph->hidden = x;
    b->graph->output = mt_build_head(b, x);
}

/* SPDX-License-Identifier: MIT */
/* build_encoder.c - the encoder's forward pass: ids (and types) in, a row per token out, or a
 * row per sequence where the model pools. */
#include "model/build.h"

void mt_build_encoder(mt_builder *b)
{
    mt_build_start(b, MT_ENC);
    const int x = mt_build_layers(b, mt_build_embed(b));
    b->graph->hidden = x;
    if (b->spec->pool != MT_POOL_NONE) b->graph->output = mt_emit_pool(b, x);
}

/* SPDX-License-Identifier: MIT */
/* build_decoder.c - the decoder's forward pass: ids in, logits of the wanted rows out. */
#include "model/build.h"

void mt_build_decoder(mt_builder *b)
{
    mt_build_start(b, MT_DEC);
    const int x = mt_build_layers(b, mt_build_embed(b));
    b->graph->hidden = x;
    b->graph->output = mt_build_head(b, x);
}

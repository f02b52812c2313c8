/* SPDX-License-Identifier: MIT */
/* build.h - what the files of model/ share: families, names, binding, emitting.
 *
 * Private to model/.  A builder holds the net that grows and the first failure: after it every
 * emit does nothing, so that a forward pass is written without a status per line and checked
 * once at its end. */
#ifndef MT_BUILD_H
#define MT_BUILD_H

#include "model/graph.h"

/* ---- families.c: metadata -> spec ---------------------------------------- */
mote_status mt_spec_read(mt_spec *out, const mt_source *s, mt_arena *arena, mote_error *err);

mt_topology mt_family_topology(const char *name);   /* of a row of the table */

/* ---- names.c: role -> tensor name ---------------------------------------- */
enum { MT_NAME_MAX = 72 };       /* with its end; files keep names within 64 bytes */
/* "blk.3.attn_q.weight"; layer -1: a weight outside the layers. */
void mt_weight_name(char out[MT_NAME_MAX], mt_topology topology, mt_stack_id stack,
                    mt_role role, int layer, bool is_bias);

/* ---- rope.c: inverse frequencies ----------------------------------------- */
/* Fills n_rope, rope_freq and rope_mscale.  divisors: a tensor of n_rope values, or NULL. */
mote_status mt_rope_build(mt_net *net, const mt_tensor *divisors, mote_error *err);

/* ---- the builder --------------------------------------------------------- */
typedef struct mt_builder {
    mt_net *net;
    mt_graph *graph;                 /* the one that grows: net->dec or net->enc */
    const mt_spec *spec;
    const mt_stack *stack;
    mt_stack_id stack_id;
    int layer;                       /* -1 outside the layers */
    int tok_embd;                    /* weight ids that several ops share; -1: not bound yet */
    int rel_bias;                    /* of this stack */
    int cap_op, cap_value, cap_weight, cap_state;
    mote_status status;              /* the first failure */
    mote_error *err;
} mt_builder;

void mt_build_init(mt_builder *b, mt_net *net, mote_error *err);
/* Emits go to this stack's graph from here on. */
void mt_build_start(mt_builder *b, mt_stack_id stack);

/* Makes room for one more item behind n of an array in the net's arena; items may move. */
void *mt_grow(mt_builder *b, void *items, int n, int *cap, size_t item_bytes);

/* bind.c: the weight id of a tensor that must exist with exactly this shape, ne as in the file
 * (fastest first, 1 for what it lacks).  layer -1: outside the layers. */
int mt_bind(mt_builder *b, mt_role role, int layer, bool is_bias, int64_t n0, int64_t n1,
            int64_t n2);
int mt_bind_tok_embd(mt_builder *b);
bool mt_has_tensor(const mt_source *s, mt_topology topology, mt_stack_id stack, mt_role role,
                   int layer, bool is_bias);

/* graph.c: one op each; the value it makes.  Roles belong to the builder's layer. */
int mt_emit_gather(mt_builder *b, int weight, mt_index source, int offset, float scale);
int mt_emit_norm(mt_builder *b, int x, mt_role role);
int mt_emit_head_norm(mt_builder *b, int x, mt_role role, int head_dim); /* head by head */
int mt_emit_linear(mt_builder *b, int x, mt_role role, int n_out, bool has_bias);
int mt_emit_linear_by(mt_builder *b, int x, int weight, int bias, int n_out);
int mt_emit_add(mt_builder *b, int x, int y);
int mt_emit_mul(mt_builder *b, int x, int y);
int mt_emit_scale(mt_builder *b, int x, float factor);
int mt_emit_softcap(mt_builder *b, int x, float cap);
int mt_emit_act(mt_builder *b, int x, mt_act_kind kind);
int mt_emit_slice(mt_builder *b, int x, int offset, int cols);
int mt_emit_rope(mt_builder *b, int x, int n_head);
int mt_emit_attend(mt_builder *b, int q, int k, int v, int state);
int mt_emit_cross(mt_builder *b, int q, int state);
void mt_emit_kv_put(mt_builder *b, int k, int v, int state);
int mt_emit_route(mt_builder *b, int scores);
int mt_emit_expert(mt_builder *b, int x, int route, mt_role role, int n_out);
int mt_emit_combine(mt_builder *b, int x, int route);
int mt_emit_shift(mt_builder *b, int x);
int mt_emit_lerp(mt_builder *b, int x, int y, mt_role role);
int mt_emit_wkv4(mt_builder *b, int k, int v);
int mt_emit_take(mt_builder *b, int x);
int mt_emit_pool(mt_builder *b, int x);
int mt_add_state(mt_builder *b, mt_state state);

/* build_block.c: the parts that several topologies share. */
int mt_build_embed(mt_builder *b);
int mt_build_block(mt_builder *b, int x);
int mt_build_layers(mt_builder *b, int x); /* every block, and the final norm if there is one */
int mt_build_head(mt_builder *b, int x);

/* build_*.c: one forward pass per topology. */
void mt_build_decoder(mt_builder *b);
void mt_build_encoder(mt_builder *b);
void mt_build_encdec(mt_builder *b);
void mt_build_rwkv4(mt_builder *b);

#endif

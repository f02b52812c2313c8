/* SPDX-License-Identifier: MIT */
/* build_block.c - a transformer's parts: embedding, attention, feed-forward, block, head.
 *
 * What differs between families is read from the spec; what remains is the forward pass as the
 * papers write it.  Encoders and decoders share it: the stack says which mask and whether keys
 * and values are kept. */
#include "model/build.h"

int mt_build_embed(mt_builder *b)
{
    const mt_spec *s = b->spec;
    const float scale = s->tok_scale != 0 ? s->tok_scale : 1.0f;
    int x = mt_emit_gather(b, mt_bind_tok_embd(b), MT_INDEX_ID, 0, scale);
    if (s->n_type > 0) {
        const int w = mt_bind(b, MT_W_TYPE_EMBD, -1, false, s->n_embd, s->n_type, 1);
        x = mt_emit_add(b, x, mt_emit_gather(b, w, MT_INDEX_TYPE, 0, 1));
    }
    if (s->pos == MT_POS_LEARNED) {
        const int w = mt_bind(b, MT_W_POS_EMBD, -1, false, s->n_embd, s->n_pos, 1);
        x = mt_emit_add(b, x, mt_emit_gather(b, w, MT_INDEX_POSITION, s->pos_offset, 1));
    }
    return s->has_embd_norm ? mt_emit_norm(b, x, MT_W_EMBD_NORM) : x;
}

static int self_attention(mt_builder *b, int x)
{
    const mt_spec *s = b->spec;
    const int n_head = b->stack->n_head[b->layer], n_kv = b->stack->n_kv[b->layer];
    const int nq = n_head * s->head_dim, nk = n_kv * s->head_dim, nv = n_kv * s->v_dim;
    int q, k, v, state = -1;
    if (s->qkv_fused) {
        const int qkv = mt_emit_linear(b, x, MT_W_ATTN_QKV, nq + nk + nv, s->has_bias_q);
        q = mt_emit_slice(b, qkv, 0, nq);
        k = mt_emit_slice(b, qkv, nq, nk);
        v = mt_emit_slice(b, qkv, nq + nk, nv);
    } else {
        q = mt_emit_linear(b, x, MT_W_ATTN_Q, nq, s->has_bias_q);
        k = mt_emit_linear(b, x, MT_W_ATTN_K, nk, s->has_bias_q);
        v = mt_emit_linear(b, x, MT_W_ATTN_V, nv, s->has_bias_q);
    }
    if (s->qk_norm) {
        q = mt_emit_head_norm(b, q, MT_W_ATTN_Q_NORM, s->head_dim);
        k = mt_emit_head_norm(b, k, MT_W_ATTN_K_NORM, s->head_dim);
    }
    if (s->rope != MT_ROPE_NONE) {
        q = mt_emit_rope(b, q, n_head);
        k = mt_emit_rope(b, k, n_kv);
    }
    if (b->stack_id == MT_DEC) /* an encoder sees its whole text at once and keeps nothing */
        state = mt_add_state(b, (mt_state){ .kind = MT_STATE_KV, .n_kv = n_kv,
                                            .head_dim = s->head_dim, .v_dim = s->v_dim });
    return mt_emit_linear(b, mt_emit_attend(b, q, k, v, state), MT_W_ATTN_OUT, s->n_embd,
                          s->has_bias_o);
}

/* Over the keys and values that the encoder left in this layer's cross state. */
static int cross_attention(mt_builder *b, int x)
{
    const mt_spec *s = b->spec;
    const int n_head = b->stack->n_head[b->layer];
    const int q = mt_emit_linear(b, x, MT_W_CROSS_Q, n_head * s->head_dim, s->has_bias_q);
    const int state = b->layer; /* build_encdec.c adds the cross states first, in layer order */
    return mt_emit_linear(b, mt_emit_cross(b, q, state), MT_W_CROSS_OUT, s->n_embd,
                          s->has_bias_o);
}

/* down(act(gate x) * up x), or down(act(up x)). */
static int feed_forward(mt_builder *b, int x)
{
    const mt_spec *s = b->spec;
    const int n = b->stack->d_ff[b->layer];
    const bool has_bias = s->has_bias_ffn;
    int y;
    if (s->ffn == MT_FFN_GLU) {
        const int gate = mt_emit_linear(b, x, MT_W_FFN_GATE, n, has_bias);
        const int up = mt_emit_linear(b, x, MT_W_FFN_UP, n, has_bias);
        y = mt_emit_mul(b, mt_emit_act(b, gate, s->act), up);
    } else {
        y = mt_emit_act(b, mt_emit_linear(b, x, MT_W_FFN_UP, n, has_bias), s->act);
    }
    return mt_emit_linear(b, y, MT_W_FFN_DOWN, s->n_embd, has_bias);
}

/* The same in the chosen experts of each token, summed by their route. */
static int mixture(mt_builder *b, int x)
{
    const mt_spec *s = b->spec;
    const int scores = mt_emit_linear(b, x, MT_W_FFN_ROUTER, s->n_expert, false);
    const int route = mt_emit_route(b, scores);
    const int gate = mt_emit_expert(b, x, route, MT_W_FFN_GATE_EXPS, s->d_ff_expert);
    const int up = mt_emit_expert(b, x, route, MT_W_FFN_UP_EXPS, s->d_ff_expert);
    const int y = mt_emit_mul(b, mt_emit_act(b, gate, s->act), up);
    return mt_emit_combine(b, mt_emit_expert(b, y, route, MT_W_FFN_DOWN_EXPS, s->n_embd),
                           route);
}

static int ffn(mt_builder *b, int x)
{
    return b->spec->ffn == MT_FFN_MOE ? mixture(b, x) : feed_forward(b, x);
}

typedef int (*branch_fn)(mt_builder *b, int x);
/* x and one branch of it, joined where the norms are in turn. */
static int join(mt_builder *b, int x, branch_fn branch, mt_role before, mt_role after)
{
    int y = x;
    const mt_residual r = b->spec->residual;
    if (r != MT_RES_POST) y = mt_emit_norm(b, y, before);
    y = branch(b, y);
    if (r == MT_RES_SANDWICH) y = mt_emit_norm(b, y, after);
    y = mt_emit_add(b, x, y);
    return r == MT_RES_POST ? mt_emit_norm(b, y, after) : y;
}

int mt_build_block(mt_builder *b, int x)
{
    const mt_residual r = b->spec->residual;
    if (r == MT_RES_PAR1 || r == MT_RES_PAR2) {      /* both branches from the same x */
        const int n = mt_emit_norm(b, x, MT_W_ATTN_NORM);
        const int attn = self_attention(b, n);
        const int y = ffn(b, r == MT_RES_PAR2 ? mt_emit_norm(b, x, MT_W_FFN_NORM) : n);
        return mt_emit_add(b, mt_emit_add(b, x, attn), y);
    }
    x = join(b, x, self_attention, MT_W_ATTN_NORM, MT_W_ATTN_POST_NORM);
    if (b->stack->has_cross) x = join(b, x, cross_attention, MT_W_CROSS_NORM, MT_W_CROSS_NORM);
    return join(b, x, ffn, MT_W_FFN_NORM, MT_W_FFN_POST_NORM);
}

int mt_build_layers(mt_builder *b, int x)
{
    for (b->layer = 0; b->layer < b->stack->n_layer; b->layer++) x = mt_build_block(b, x);
    b->layer = -1;
    return b->stack->has_final_norm ? mt_emit_norm(b, x, MT_W_FINAL_NORM) : x;
}

int mt_build_head(mt_builder *b, int x)
{
    const mt_spec *s = b->spec;
    x = mt_emit_take(b, x);
    if (s->logit_scale != 0) x = mt_emit_scale(b, x, s->logit_scale);
    const int w = s->tied ? mt_bind_tok_embd(b)
                          : mt_bind(b, MT_W_HEAD, -1, false, s->n_embd, s->n_vocab, 1);
    const int bias = s->has_head_bias ? mt_bind(b, MT_W_HEAD, -1, true, s->n_vocab, 1, 1) : -1;
    x = mt_emit_linear_by(b, x, w, bias, s->n_vocab);
    return s->logit_softcap != 0 ? mt_emit_softcap(b, x, s->logit_softcap) : x;
}

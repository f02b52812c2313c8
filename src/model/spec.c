/* SPDX-License-Identifier: MIT */
/* spec.c - a spec for people: one line per fact, what is at its commonest value left out. */
#include "model/spec.h"

#include <stdio.h>

typedef struct printer { char *out; size_t cap, n; } printer;

static void put(printer *p, const char *fmt, ...) MT_PRINTF(2, 3);
static void put(printer *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const size_t room = p->n < p->cap ? p->cap - p->n : 0;
    const int n = vsnprintf(room ? p->out + p->n : NULL, room, fmt, args);
    va_end(args);
    if (n > 0) p->n += (size_t)n;
}

static void put_flag(printer *p, const char *name, bool v) { if (v) put(p, "%s\n", name); }
static void put_int(printer *p, const char *name, int v)
{
    if (v != 0) put(p, "%s %d\n", name, v);
}
static void put_real(printer *p, const char *name, double v)
{
    if (v > 0 || v < 0) put(p, "%s %.9g\n", name, v);
}

/* One number when all layers agree, else all of them. */
static void put_layers(printer *p, const char *name, const int *v, int n)
{
    int same = 1;
    while (same < n && v[same] == v[0]) same++;
    if (same == n && v[0] == 0) return;
    put(p, "%s", name);
    for (int i = 0; i < (same == n ? 1 : n); i++) put(p, " %d", v[i]);
    put(p, "\n");
}

static void put_stack(printer *p, const char *name, const mt_stack *st)
{
    if (st->n_layer == 0) return;
    put(p, "%s layers %d\n", name, st->n_layer);
    put_layers(p, "  heads", st->n_head, st->n_layer);
    put_layers(p, "  key and value heads", st->n_kv, st->n_layer);
    put_layers(p, "  feed-forward width", st->d_ff, st->n_layer);
    put_layers(p, "  window", st->window, st->n_layer);
    put_flag(p, "  full mask", st->mask == MT_MASK_FULL);
    put_flag(p, "  cross-attention", st->has_cross);
    put_flag(p, "  no final norm", !st->has_final_norm);
}

static void put_rope(printer *p, const mt_spec *s)
{
    static const char *const scaling[] = {
        [MT_SCALE_NONE] = "none", [MT_SCALE_LINEAR] = "linear", [MT_SCALE_LLAMA3] = "llama3",
        [MT_SCALE_YARN] = "yarn",
    };
    if (s->rope == MT_ROPE_NONE) return;
    put(p, "rope %s %d theta %.9g\n", s->rope == MT_ROPE_PAIR ? "pair" : "half", s->rope_dim,
        s->rope_theta);
    if (s->rope_scaling == MT_SCALE_NONE) return;
    put(p, "rope scaling %s factor %.9g\n", scaling[s->rope_scaling], s->rope_factor);
    put_real(p, "rope trained context", s->rope_orig_ctx);
}

static void put_attention(printer *p, const mt_spec *s)
{
    static const char *const bias[] = { [MT_BIAS_NONE] = "", [MT_BIAS_ALIBI] = "alibi",
                                        [MT_BIAS_T5] = "t5 buckets" };
    put_int(p, "head width", s->head_dim);
    if (s->v_dim != s->head_dim) put_int(p, "value width", s->v_dim);
    put_flag(p, "fused q k v", s->qkv_fused);
    put_flag(p, "bias on q k v", s->has_bias_q);
    put_flag(p, "bias on attention output", s->has_bias_o);
    put_flag(p, "norm of q and k", s->qk_norm);
    put_real(p, "attention scale", (double)s->attn_scale);
    put_real(p, "attention softcap", (double)s->attn_softcap);
    put_flag(p, "attention scale by layer", s->attn_scale_by_layer);
    if (s->bias_fn != MT_BIAS_NONE) put(p, "attention bias %s\n", bias[s->bias_fn]);
    put_int(p, "buckets", s->n_bucket);
}

static void put_ffn(printer *p, const mt_spec *s)
{
    static const char *const act[] = {
        [MT_ACT_NONE] = "none",           [MT_ACT_RELU] = "relu",
        [MT_ACT_RELU2] = "relu2",         [MT_ACT_GELU_ERF] = "gelu_erf",
        [MT_ACT_GELU_TANH] = "gelu_tanh", [MT_ACT_QUICK_GELU] = "quick_gelu",
        [MT_ACT_SILU] = "silu",           [MT_ACT_SIGMOID] = "sigmoid",
        [MT_ACT_TANH] = "tanh",
    };
    static const char *const kind[] = { [MT_FFN_GLU] = "gated", [MT_FFN_MLP] = "plain",
                                        [MT_FFN_MOE] = "mixture" };
    put(p, "feed-forward %s %s\n", kind[s->ffn], act[s->act]);
    put_flag(p, "bias on feed-forward", s->has_bias_ffn);
    if (s->ffn != MT_FFN_MOE) return;
    put(p, "experts %d of %d, width %d\n", s->n_expert_used, s->n_expert, s->d_ff_expert);
    put_flag(p, "expert weights renormalised", s->expert_renorm);
    put_real(p, "expert scale", (double)s->expert_scale);
}

size_t mt_spec_print(const mt_spec *s, char *out, size_t cap)
{
    static const char *const topology[] = {
        [MT_TOPO_DECODER] = "decoder", [MT_TOPO_ENCODER] = "encoder",
        [MT_TOPO_ENCDEC] = "encoder-decoder", [MT_TOPO_RWKV4] = "recurrent",
    };
    static const char *const residual[] = {
        [MT_RES_PRE] = "before", [MT_RES_POST] = "after", [MT_RES_SANDWICH] = "around",
        [MT_RES_PAR1] = "before, parallel branches, one norm",
        [MT_RES_PAR2] = "before, parallel branches, two norms",
    };
    static const char *const pool[] = { [MT_POOL_NONE] = "none", [MT_POOL_CLS] = "first token",
                                        [MT_POOL_MEAN] = "mean" };
    printer p = { out, cap, 0 };
    put(&p, "family %s, %s\n", s->family, topology[s->topology]);
    put(&p, "vocabulary %d\nwidth %d\n", s->n_vocab, s->n_embd);
    put_int(&p, "trained context", s->n_ctx_train);
    put_stack(&p, "encoder", &s->enc);
    put_stack(&p, "decoder", &s->dec);
    put_real(&p, "embedding scale", (double)s->tok_scale);
    put_flag(&p, "learned positions", s->pos == MT_POS_LEARNED);
    put_int(&p, "token types", s->n_type);
    put_flag(&p, "norm of the embedding", s->has_embd_norm);
    put(&p, "norm %s eps %.3g, %s the branch\n", s->norm == MT_NORM_RMS ? "rms" : "layer",
        (double)s->eps, residual[s->residual]);
    put_attention(&p, s);
    put_rope(&p, s);
    put_ffn(&p, s);
    put_flag(&p, "tied head", s->tied);
    put_flag(&p, "bias on head", s->has_head_bias);
    put_real(&p, "logit scale", (double)s->logit_scale);
    put_real(&p, "logit softcap", (double)s->logit_softcap);
    if (s->pool != MT_POOL_NONE) put(&p, "pooling %s\n", pool[s->pool]);
    if (s->start_token >= 0) put(&p, "first decoder token %d\n", s->start_token);
    return p.n;
}

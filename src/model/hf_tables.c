/* SPDX-License-Identifier: MIT */
/* hf_tables.c - the rows of hf.h: what each model_type calls its hyper-parameters and its tensors.
 *
 * Defaults are those of the publisher's configuration classes: a config.json may leave out what
 * equals them. */
#include "model/hf.h"

#include <math.h>

#define END_KEY  { NULL, MT_HF_INT, NULL, 0, NULL }
#define END_NAME { MT_ROLE_COUNT, NULL, MT_HF_AS_IS, MT_DEC, false }
#define NONE     ((double)NAN)

/* ---- keys ---------------------------------------------------------------- */

static const mt_hf_key llama_keys[] = {
    { "context_length",                   MT_HF_INT,   "max_position_embeddings", 2048, NULL },
    { "embedding_length",                 MT_HF_INT,   "hidden_size", 4096, NULL },
    { "block_count",                      MT_HF_INT,   "num_hidden_layers", 32, NULL },
    { "feed_forward_length",              MT_HF_INT,   "intermediate_size", 11008, NULL },
    { "attention.head_count",             MT_HF_INT,   "num_attention_heads", 32, NULL },
    { "attention.head_count_kv",          MT_HF_INT,   "num_key_value_heads|num_attention_heads", NONE, NULL },
    { "attention.key_length",             MT_HF_INT,   "head_dim", NONE, NULL },
    { "attention.value_length",           MT_HF_INT,   "head_dim", NONE, NULL },
    { "attention.layer_norm_rms_epsilon", MT_HF_FLOAT, "rms_norm_eps", 1e-6, NULL },
    { "hidden_activation",                MT_HF_WORD,  "hidden_act", NONE, NULL },
    { "vocab_size",                       MT_HF_INT,   "vocab_size", NONE, NULL },
    END_KEY
};
static const mt_hf_key rope_keys[] = {
    { "rope.freq_base",           MT_HF_FLOAT, "rope_theta|rope_parameters.rope_theta", 10000, NULL },
    { "rope.scaling.type",        MT_HF_WORD,
      "rope_scaling.rope_type|rope_scaling.type|rope_parameters.rope_type", NONE, NULL },
    { "rope.scaling.factor",      MT_HF_FLOAT, "rope_scaling.factor|rope_parameters.factor", NONE, NULL },
    { "rope.scaling.original_context_length", MT_HF_INT,
      "rope_scaling.original_max_position_embeddings|rope_parameters.original_max_position_embeddings|"
      "original_max_position_embeddings|max_position_embeddings", NONE, NULL },
    { "rope.scaling.low_freq_factor",  MT_HF_FLOAT,
      "rope_scaling.low_freq_factor|rope_parameters.low_freq_factor", NONE, NULL },
    { "rope.scaling.high_freq_factor", MT_HF_FLOAT,
      "rope_scaling.high_freq_factor|rope_parameters.high_freq_factor", NONE, NULL },
    { "rope.scaling.yarn_beta_fast",   MT_HF_FLOAT, "rope_scaling.beta_fast|rope_parameters.beta_fast", NONE, NULL },
    { "rope.scaling.yarn_beta_slow",   MT_HF_FLOAT, "rope_scaling.beta_slow|rope_parameters.beta_slow", NONE, NULL },
    END_KEY
};
static const mt_hf_key expert_keys[] = {
    { "expert_count",      MT_HF_INT, "num_local_experts", 8, NULL },
    { "expert_used_count", MT_HF_INT, "num_experts_per_tok", 2, NULL },
    END_KEY
};
static const mt_hf_key gpt2_keys[] = {
    { "context_length",                MT_HF_INT,   "n_positions", 1024, NULL },
    { "embedding_length",              MT_HF_INT,   "n_embd", 768, NULL },
    { "block_count",                   MT_HF_INT,   "n_layer", 12, NULL },
    { "feed_forward_length",           MT_HF_INT,   "n_inner", 4, "n_embd" },
    { "attention.head_count",          MT_HF_INT,   "n_head", 12, NULL },
    { "attention.layer_norm_epsilon",  MT_HF_FLOAT, "layer_norm_epsilon", 1e-5, NULL },
    { "attention.scale_by_layer",      MT_HF_BOOL,  "scale_attn_by_inverse_layer_idx", NONE, NULL },
    { "hidden_activation",             MT_HF_WORD,  "activation_function", NONE, NULL },
    { "vocab_size",                    MT_HF_INT,   "vocab_size", NONE, NULL },
    END_KEY
};
static const mt_hf_key bert_keys[] = {
    { "context_length",                MT_HF_INT,   "max_position_embeddings", 512, NULL },
    { "embedding_length",              MT_HF_INT,   "hidden_size", 768, NULL },
    { "block_count",                   MT_HF_INT,   "num_hidden_layers", 12, NULL },
    { "feed_forward_length",           MT_HF_INT,   "intermediate_size", 3072, NULL },
    { "attention.head_count",          MT_HF_INT,   "num_attention_heads", 12, NULL },
    { "attention.layer_norm_epsilon",  MT_HF_FLOAT, "layer_norm_eps", 1e-12, NULL },
    { "hidden_activation",             MT_HF_WORD,  "hidden_act", NONE, NULL },
    { "vocab_size",                    MT_HF_INT,   "vocab_size", NONE, NULL },
    END_KEY
};
static const mt_hf_key t5_keys[] = {
    { "context_length",                   MT_HF_INT,   "n_positions", 512, NULL },
    { "embedding_length",                 MT_HF_INT,   "d_model", 512, NULL },
    { "block_count",                      MT_HF_INT,   "num_layers", 6, NULL },
    { "decoder_block_count",              MT_HF_INT,   "num_decoder_layers|num_layers", 6, NULL },
    { "feed_forward_length",              MT_HF_INT,   "d_ff", 2048, NULL },
    { "attention.head_count",             MT_HF_INT,   "num_heads", 8, NULL },
    { "attention.key_length",             MT_HF_INT,   "d_kv", 64, NULL },
    { "attention.value_length",           MT_HF_INT,   "d_kv", 64, NULL },
    { "attention.layer_norm_rms_epsilon", MT_HF_FLOAT, "layer_norm_epsilon", 1e-6, NULL },
    { "attention.relative_buckets_count", MT_HF_INT,   "relative_attention_num_buckets", 32, NULL },
    { "attention.relative_max_distance",  MT_HF_INT,   "relative_attention_max_distance", 128, NULL },
    { "hidden_activation",                MT_HF_WORD,  "dense_act_fn|feed_forward_proj", NONE, NULL },
    { "decoder_start_token_id",           MT_HF_INT,   "decoder_start_token_id|pad_token_id", 0, NULL },
    { "vocab_size",                       MT_HF_INT,   "vocab_size", NONE, NULL },
    END_KEY
};
static const mt_hf_key rwkv_keys[] = {
    { "context_length",                MT_HF_INT,   "context_length", 1024, NULL },
    { "embedding_length",              MT_HF_INT,   "hidden_size", 4096, NULL },
    { "block_count",                   MT_HF_INT,   "num_hidden_layers", 32, NULL },
    { "feed_forward_length",           MT_HF_INT,   "intermediate_size", 4, "hidden_size" },
    { "attention.layer_norm_epsilon",  MT_HF_FLOAT, "layer_norm_epsilon", 1e-5, NULL },
    { "vocab_size",                    MT_HF_INT,   "vocab_size", NONE, NULL },
    END_KEY
};

/* ---- names --------------------------------------------------------------- */

#define DEC(role, name)       { MT_W_##role, name, MT_HF_AS_IS, MT_DEC, false }
#define ENC(role, name)       { MT_W_##role, name, MT_HF_AS_IS, MT_ENC, false }
#define BARE(role, name)      { MT_W_##role, name, MT_HF_AS_IS, MT_DEC, true }
#define TURN(role, name, how) { MT_W_##role, name, MT_HF_##how, MT_DEC, false }

static const mt_hf_name llama_ends[] = {
    DEC(TOK_EMBD, "embed_tokens"), DEC(FINAL_NORM, "norm"), DEC(HEAD, "lm_head"), END_NAME
};
static const mt_hf_name llama_layer[] = {
    DEC(ATTN_NORM, "layers.#.input_layernorm"), DEC(FFN_NORM, "layers.#.post_attention_layernorm"),
    DEC(ATTN_V, "layers.#.self_attn.v_proj"), DEC(ATTN_OUT, "layers.#.self_attn.o_proj"),
    DEC(FFN_GATE, "layers.#.mlp.gate_proj"), DEC(FFN_UP, "layers.#.mlp.up_proj"),
    DEC(FFN_DOWN, "layers.#.mlp.down_proj"), END_NAME
};
static const mt_hf_name in_pairs[] = {
    TURN(ATTN_Q, "layers.#.self_attn.q_proj", HALF_Q), TURN(ATTN_K, "layers.#.self_attn.k_proj", HALF_K), END_NAME
};
static const mt_hf_name in_halves[] = {
    DEC(ATTN_Q, "layers.#.self_attn.q_proj"), DEC(ATTN_K, "layers.#.self_attn.k_proj"), END_NAME
};
static const mt_hf_name mixtral_experts[] = {
    DEC(FFN_ROUTER, "layers.#.block_sparse_moe.gate"),
    TURN(FFN_GATE_EXPS, "layers.#.block_sparse_moe.experts.@.w1", EXPERT),
    TURN(FFN_DOWN_EXPS, "layers.#.block_sparse_moe.experts.@.w2", EXPERT),
    TURN(FFN_UP_EXPS, "layers.#.block_sparse_moe.experts.@.w3", EXPERT), END_NAME
};
static const mt_hf_name gpt2_names[] = {
    DEC(TOK_EMBD, "wte"), DEC(POS_EMBD, "wpe"), DEC(FINAL_NORM, "ln_f"), DEC(HEAD, "lm_head"),
    DEC(ATTN_NORM, "h.#.ln_1"), DEC(FFN_NORM, "h.#.ln_2"),
    TURN(ATTN_QKV, "h.#.attn.c_attn", ACROSS), TURN(ATTN_OUT, "h.#.attn.c_proj", ACROSS),
    TURN(FFN_UP, "h.#.mlp.c_fc", ACROSS), TURN(FFN_DOWN, "h.#.mlp.c_proj", ACROSS), END_NAME
};
static const mt_hf_name bert_names[] = {
    ENC(TOK_EMBD, "embeddings.word_embeddings"), ENC(POS_EMBD, "embeddings.position_embeddings"),
    ENC(TYPE_EMBD, "embeddings.token_type_embeddings"), ENC(EMBD_NORM, "embeddings.LayerNorm"),
    ENC(ATTN_Q, "encoder.layer.#.attention.self.query"), ENC(ATTN_K, "encoder.layer.#.attention.self.key"),
    ENC(ATTN_V, "encoder.layer.#.attention.self.value"), ENC(ATTN_OUT, "encoder.layer.#.attention.output.dense"),
    ENC(ATTN_POST_NORM, "encoder.layer.#.attention.output.LayerNorm"),
    ENC(FFN_UP, "encoder.layer.#.intermediate.dense"), ENC(FFN_DOWN, "encoder.layer.#.output.dense"),
    ENC(FFN_POST_NORM, "encoder.layer.#.output.LayerNorm"), ENC(POOLER, "pooler.dense"), END_NAME
};
static const mt_hf_name t5_ends[] = {
    DEC(TOK_EMBD, "shared"), DEC(HEAD, "lm_head"),
    ENC(FINAL_NORM, "encoder.final_layer_norm"), DEC(FINAL_NORM, "decoder.final_layer_norm"), END_NAME
};
#define T5_SELF(STACK, stack)                                                                          \
    STACK(ATTN_NORM, stack ".block.#.layer.0.layer_norm"),                                             \
    STACK(ATTN_Q, stack ".block.#.layer.0.SelfAttention.q"),                                           \
    STACK(ATTN_K, stack ".block.#.layer.0.SelfAttention.k"),                                           \
    STACK(ATTN_V, stack ".block.#.layer.0.SelfAttention.v"),                                           \
    STACK(ATTN_OUT, stack ".block.#.layer.0.SelfAttention.o"),                                         \
    STACK(ATTN_REL_BIAS, stack ".block.#.layer.0.SelfAttention.relative_attention_bias")
#define T5_FFN(STACK, layer)                                                                           \
    STACK(FFN_NORM, layer ".layer_norm"), STACK(FFN_UP, layer ".DenseReluDense.wi"),                   \
    STACK(FFN_GATE, layer ".DenseReluDense.wi_0"), STACK(FFN_UP, layer ".DenseReluDense.wi_1"),        \
    STACK(FFN_DOWN, layer ".DenseReluDense.wo")
static const mt_hf_name t5_encoder[] = {
    T5_SELF(ENC, "encoder"), T5_FFN(ENC, "encoder.block.#.layer.1"), END_NAME
};
static const mt_hf_name t5_decoder[] = {
    T5_SELF(DEC, "decoder"), T5_FFN(DEC, "decoder.block.#.layer.2"),
    DEC(CROSS_NORM, "decoder.block.#.layer.1.layer_norm"), DEC(CROSS_Q, "decoder.block.#.layer.1.EncDecAttention.q"),
    DEC(CROSS_K, "decoder.block.#.layer.1.EncDecAttention.k"), DEC(CROSS_V, "decoder.block.#.layer.1.EncDecAttention.v"),
    DEC(CROSS_OUT, "decoder.block.#.layer.1.EncDecAttention.o"), END_NAME
};
static const mt_hf_name rwkv_names[] = {
    DEC(TOK_EMBD, "embeddings"), DEC(EMBD_NORM, "blocks.0.pre_ln"), DEC(FINAL_NORM, "ln_out"), DEC(HEAD, "head"),
    DEC(ATTN_NORM, "blocks.#.ln1"), DEC(FFN_NORM, "blocks.#.ln2"),
    BARE(DECAY, "blocks.#.attention.time_decay"), BARE(FIRST, "blocks.#.attention.time_first"),
    BARE(MIX_K, "blocks.#.attention.time_mix_key"), BARE(MIX_V, "blocks.#.attention.time_mix_value"),
    BARE(MIX_R, "blocks.#.attention.time_mix_receptance"),
    DEC(TIME_K, "blocks.#.attention.key"), DEC(TIME_V, "blocks.#.attention.value"),
    DEC(TIME_R, "blocks.#.attention.receptance"), DEC(TIME_OUT, "blocks.#.attention.output"),
    BARE(CMIX_K, "blocks.#.feed_forward.time_mix_key"), BARE(CMIX_R, "blocks.#.feed_forward.time_mix_receptance"),
    DEC(CHAN_K, "blocks.#.feed_forward.key"), DEC(CHAN_V, "blocks.#.feed_forward.value"),
    DEC(CHAN_R, "blocks.#.feed_forward.receptance"), END_NAME
};

/* ---- families ------------------------------------------------------------ */

const mt_hf_family mt_hf_families[] = {
    { "llama", "llama", "LlamaForCausalLM|LlamaModel", "model.", { llama_keys, rope_keys },
      { llama_ends, llama_layer, in_pairs }, false, false, false },
    { "mistral", "llama", "MistralForCausalLM|MistralModel", "model.", { llama_keys, rope_keys },
      { llama_ends, llama_layer, in_pairs }, false, true, false },
    { "mixtral", "llama", "MixtralForCausalLM|MixtralModel", "model.", { llama_keys, rope_keys, expert_keys },
      { llama_ends, llama_layer, in_pairs, mixtral_experts }, false, true, false },
    { "qwen2", "qwen2", "Qwen2ForCausalLM|Qwen2Model", "model.", { llama_keys, rope_keys },
      { llama_ends, llama_layer, in_halves }, false, false, false },
    { "gpt2", "gpt2", "GPT2LMHeadModel|GPT2Model", "transformer.", { gpt2_keys }, { gpt2_names }, true, false, false },
    { "bert", "bert", "BertModel|BertForMaskedLM|BertForPreTraining", "bert.", { bert_keys }, { bert_names }, true,
      false, false },
    { "t5", "t5", "T5ForConditionalGeneration|T5Model", "", { t5_keys }, { t5_ends, t5_encoder, t5_decoder }, true,
      false, true },
    { "mt5", "t5", "MT5ForConditionalGeneration|MT5Model", "", { t5_keys }, { t5_ends, t5_encoder, t5_decoder },
      true, false, true },
    { "rwkv", "rwkv4", "RwkvForCausalLM|RwkvModel", "rwkv.", { rwkv_keys }, { rwkv_names }, false, false, false },
};
const size_t mt_hf_n_family = MT_COUNT(mt_hf_families);

const mt_hf_word mt_hf_words[] = {
    { "gelu", "gelu_erf" },            { "gelu_new", "gelu_tanh" },   { "gelu_pytorch_tanh", "gelu_tanh" },
    { "gelu_fast", "gelu_tanh" },      { "silu", "silu" },            { "swish", "silu" },
    { "relu", "relu" },                { "relu2", "relu2" },          { "quick_gelu", "quick_gelu" },
    { "gated-gelu", "gelu_tanh" },     { "gated-silu", "silu" },      { "gated-relu", "relu" },
    { "tanh", "tanh" },                { "default", "none" },         { NULL, NULL },
};

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tiny random models of every family, and what `transformers` computes with them.

    make_models.py [FOLDER]        (the folder of this file)

Writes NAME.gguf, a model in F32, and expect_NAME.gguf, inputs and float64 outputs of one or more
cases: tensors ids.N, types.N, enc_ids.N (what goes in) and logits.N, hidden.N, pooled.N,
enc_hidden.N (what comes out).  The versions that made them stand in its metadata.

transformers computes norms, softmax and rotary angles in float32 even where the model is double.
Here its modelling modules see a torch whose float32 is float64, so that the golden numbers are
double throughout, and the comparison can be strict.
"""
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers as tf

torch.set_default_dtype(torch.float64)
plain_float = torch.Tensor.float
torch.Tensor.float = lambda self: self.double()


class Wide:
    """torch, but float32 is float64."""
    float32 = float = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


for module in ["modeling_rope_utils"] + [f"models.{m}.modeling_{m}" for m in
                                         ("llama", "qwen2", "gpt2", "bert", "t5", "rwkv", "mixtral", "bloom")]:
    import_module("transformers." + module).torch = Wide()

EPS = float(np.float32(1e-5))       # as a GGUF file holds it


def randomize(model, seed, std=0.3):
    """Weights wide enough that logits are not flat; norm weights around one, biases not zero.
    Rounded to float32, which is what the file holds."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            is_norm = "norm" in name.lower() or "ln" in name
            v = rng.normal(0, std, tuple(p.shape))
            if is_norm and name.endswith("weight"):
                v = 1 + v
            p.copy_(torch.from_numpy(np.float32(v).astype(np.float64)))
    return model.double().eval()


def array(t):
    return np.ascontiguousarray(t.detach().numpy().astype(np.float32))


def permute(w, n_head):
    """Rows of q and k from halves to pairs, as the llama converter does."""
    return w.reshape(n_head, 2, w.shape[0] // n_head // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def new_expect(folder, name):
    w = gguf.GGUFWriter(folder / f"expect_{name}.gguf", "golden")
    for package in ("transformers", "torch", "gguf", "numpy"):
        w.add_string(f"golden.{package}", version(package))
    return w


def write(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


class Out:
    """A model file (arch None: made elsewhere) and its expectations."""

    def __init__(self, folder, name, arch):
        self.model = arch and gguf.GGUFWriter(folder / f"{name}.gguf", arch)
        self.expect = new_expect(folder, name)
        self.n_case = 0
        self.name = name

    def keys(self, **numbers):
        for key, value in numbers.items():
            key = f"{self.model.arch}.{key.replace('__', '.')}"
            if isinstance(value, bool):
                self.model.add_bool(key, value)
            elif isinstance(value, str):
                self.model.add_string(key, value)
            elif isinstance(value, float):
                self.model.add_float32(key, value)
            else:
                self.model.add_uint32(key, value)

    def tensors(self, pairs):
        for name, value in pairs:
            self.model.add_tensor(name, value if isinstance(value, np.ndarray) else array(value))

    def case(self, **arrays):
        for key, value in arrays.items():
            if isinstance(value, torch.Tensor):
                value = value.detach().numpy()[0]
            self.expect.add_tensor(f"{key}.{self.n_case}", np.ascontiguousarray(value))
        self.n_case += 1

    def close(self):
        self.expect.add_uint32("golden.cases", self.n_case)
        if self.model:
            write(self.model)
        write(self.expect)


def ids_of(seed, n, n_vocab):
    return np.random.default_rng(seed).integers(0, n_vocab, n).astype(np.int32)


def run_decoder(out, model, seed, lengths=(12,)):
    for i, n in enumerate(lengths):
        ids = ids_of(seed + i, n, model.config.vocab_size)
        t = torch.from_numpy(ids.astype(np.int64))[None]
        with torch.no_grad():
            hidden = model.base_model(t).last_hidden_state
            logits = model(t).logits
        print(f"{out.name}: {n} tokens, logits std {logits.std():.3f}")
        out.case(ids=ids, logits=logits, hidden=hidden)


# ---- families ----------------------------------------------------------------------------------

def llama_layers(sd, config, is_pair):
    turn = permute if is_pair else (lambda w, n: w)
    for i in range(config.num_hidden_layers):
        a, b = f"model.layers.{i}.", f"blk.{i}."
        yield b + "attn_norm.weight", sd[a + "input_layernorm.weight"]
        for x, n in (("q", config.num_attention_heads), ("k", config.num_key_value_heads), ("v", 0)):
            for kind in ("weight", "bias"):
                if (name := f"{a}self_attn.{x}_proj.{kind}") in sd:
                    w = array(sd[name])
                    yield f"{b}attn_{x}.{kind}", np.ascontiguousarray(turn(w, n) if n else w)
        for kind in ("weight", "bias"):
            if (name := f"{a}self_attn.o_proj.{kind}") in sd:
                yield f"{b}attn_output.{kind}", sd[name]
        yield b + "ffn_norm.weight", sd[a + "post_attention_layernorm.weight"]
        for x in ("gate", "up", "down"):
            for kind in ("weight", "bias"):
                if (name := f"{a}mlp.{x}_proj.{kind}") in sd:
                    yield f"{b}ffn_{x}.{kind}", sd[name]
        if a + "mlp.gate.weight" in sd:
            yield b + "ffn_gate_inp.weight", sd[a + "mlp.gate.weight"]
            both = array(sd[a + "mlp.experts.gate_up_proj"])     # (expert, gate then up, in)
            n = both.shape[1] // 2
            yield b + "ffn_gate_exps.weight", np.ascontiguousarray(both[:, :n])
            yield b + "ffn_up_exps.weight", np.ascontiguousarray(both[:, n:])
            yield b + "ffn_down_exps.weight", sd[a + "mlp.experts.down_proj"]


def llama_shaped(folder, name, arch, model, seed, **more):
    c, sd, out = model.config, model.state_dict(), Out(folder, name, arch)
    out.keys(block_count=c.num_hidden_layers, context_length=c.max_position_embeddings,
             embedding_length=c.hidden_size, feed_forward_length=c.intermediate_size,
             attention__head_count=c.num_attention_heads,
             attention__head_count_kv=c.num_key_value_heads,
             attention__layer_norm_rms_epsilon=c.rms_norm_eps, vocab_size=c.vocab_size,
             rope__freq_base=float(c.rope_parameters["rope_theta"]), **more)
    out.tensors([("token_embd.weight", sd["model.embed_tokens.weight"])])
    if c.rope_parameters["rope_type"] == "llama3" and "rope__scaling__type" not in more:
        out.tensors([("rope_freqs.weight", llama3_divisors(c))])
    out.tensors(llama_layers(sd, c, is_pair=arch == "llama"))
    out.tensors([("output_norm.weight", sd["model.norm.weight"])])
    if not c.tie_word_embeddings:
        out.tensors([("output.weight", sd["lm_head.weight"])])
    run_decoder(out, model, seed, (12, 1))
    out.close()


def llama3_divisors(c):
    """What the converter stores: plain inverse frequencies over the scaled ones."""
    scaled, _ = tf.modeling_rope_utils.ROPE_INIT_FUNCTIONS["llama3"](c, torch.device("cpu"))
    n = c.head_dim
    plain = 1 / c.rope_parameters["rope_theta"] ** (np.arange(0, n, 2) / n)
    return np.float32(plain / scaled.numpy())


def llama_gqa(folder):
    model = randomize(tf.LlamaForCausalLM(tf.LlamaConfig(
        hidden_size=36, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
        intermediate_size=52, vocab_size=61, max_position_embeddings=64, rms_norm_eps=EPS,
        rope_theta=10000.0, tie_word_embeddings=True, attn_implementation="eager")), 1)
    llama_shaped(folder, "llama_gqa", "llama", model, 11, rope__dimension_count=12,
                 rope__scaling__type="linear", rope__scaling__factor=1.0)


def llama3(folder):
    model = randomize(tf.LlamaForCausalLM(tf.LlamaConfig(
        hidden_size=40, num_hidden_layers=2, num_attention_heads=5, num_key_value_heads=5,
        head_dim=12, intermediate_size=44, vocab_size=67, max_position_embeddings=512,
        rms_norm_eps=EPS, tie_word_embeddings=False, attention_bias=True, mlp_bias=True,
        rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0,
                         "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 64},
        attn_implementation="eager")), 2)
    llama_shaped(folder, "llama3", "llama", model, 22, rope__dimension_count=12,
                 attention__key_length=12, attention__value_length=12)


def qwen2(folder):
    model = randomize(tf.Qwen2ForCausalLM(tf.Qwen2Config(
        hidden_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, vocab_size=71, max_position_embeddings=128, rms_norm_eps=EPS,
        tie_word_embeddings=True, use_sliding_window=False,
        rope_parameters={"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0,
                         "original_max_position_embeddings": 32},
        attn_implementation="eager")), 3)
    llama_shaped(folder, "qwen2", "qwen2", model, 33, rope__scaling__type="yarn",
                 rope__scaling__factor=4.0, rope__scaling__original_context_length=32)


def mixtral(folder):
    model = randomize(tf.MixtralForCausalLM(tf.MixtralConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        head_dim=6, intermediate_size=28, vocab_size=73, max_position_embeddings=256,
        rms_norm_eps=EPS, tie_word_embeddings=False, num_local_experts=4, num_experts_per_tok=2,
        sliding_window=5, router_jitter_noise=0.0, experts_implementation="eager",
        rope_parameters={"rope_type": "llama3", "rope_theta": 100.0, "factor": 4.0,
                         "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 64},
        attn_implementation="eager")), 4)
    llama_shaped(folder, "mixtral", "llama", model, 44, attention__sliding_window=5,
                 expert_count=4, expert_used_count=2, rope__dimension_count=6,
                 rope__scaling__type="llama3", rope__scaling__factor=4.0,
                 rope__scaling__original_context_length=64, rope__scaling__low_freq_factor=1.0,
                 rope__scaling__high_freq_factor=4.0)


def gpt2(folder):
    c = tf.GPT2Config(n_embd=35, n_layer=2, n_head=5, n_inner=52, vocab_size=79, n_positions=24,
                      layer_norm_epsilon=EPS, attn_implementation="eager")
    model = randomize(tf.GPT2LMHeadModel(c), 5)
    sd, out = model.state_dict(), Out(folder, "gpt2", "gpt2")
    out.keys(block_count=2, context_length=24, embedding_length=35, feed_forward_length=52,
             attention__head_count=5, attention__layer_norm_epsilon=EPS)
    out.tensors([("token_embd.weight", sd["transformer.wte.weight"]),
                 ("position_embd.weight", sd["transformer.wpe.weight"])])
    for i in range(2):
        for a, b in (("ln_1", "attn_norm"), ("attn.c_attn", "attn_qkv"), ("attn.c_proj", "attn_output"),
                     ("ln_2", "ffn_norm"), ("mlp.c_fc", "ffn_up"), ("mlp.c_proj", "ffn_down")):
            w = sd[f"transformer.h.{i}.{a}.weight"]
            out.tensors([(f"blk.{i}.{b}.weight", w.T if ".c_" in a else w),
                         (f"blk.{i}.{b}.bias", sd[f"transformer.h.{i}.{a}.bias"])])
    out.tensors([("output_norm.weight", sd["transformer.ln_f.weight"]),
                 ("output_norm.bias", sd["transformer.ln_f.bias"])])
    run_decoder(out, model, 55, (12, 1, 24))
    out.close()


def bert(folder):
    c = tf.BertConfig(hidden_size=36, num_hidden_layers=2, num_attention_heads=3,
                      intermediate_size=50, vocab_size=83, max_position_embeddings=20,
                      type_vocab_size=2, layer_norm_eps=float(np.float32(1e-12)),
                      attn_implementation="eager")
    model = randomize(tf.BertModel(c, add_pooling_layer=False), 6)
    sd, out = model.state_dict(), Out(folder, "bert", "bert")
    out.keys(block_count=2, context_length=20, embedding_length=36, feed_forward_length=50,
             attention__head_count=3, attention__layer_norm_epsilon=float(np.float32(1e-12)),
             attention__causal=False, pooling_type=int(gguf.PoolingType.MEAN))
    e = "embeddings."
    out.tensors([("token_embd.weight", sd[e + "word_embeddings.weight"]),
                 ("position_embd.weight", sd[e + "position_embeddings.weight"]),
                 ("token_types.weight", sd[e + "token_type_embeddings.weight"]),
                 ("token_embd_norm.weight", sd[e + "LayerNorm.weight"]),
                 ("token_embd_norm.bias", sd[e + "LayerNorm.bias"])])
    for i in range(2):
        for a, b in (("attention.self.query", "attn_q"), ("attention.self.key", "attn_k"),
                     ("attention.self.value", "attn_v"), ("attention.output.dense", "attn_output"),
                     ("attention.output.LayerNorm", "attn_output_norm"),
                     ("intermediate.dense", "ffn_up"), ("output.dense", "ffn_down"),
                     ("output.LayerNorm", "layer_output_norm")):
            out.tensors((f"blk.{i}.{b}.{kind}", sd[f"encoder.layer.{i}.{a}.{kind}"])
                        for kind in ("weight", "bias"))
    for n in (13, 1, 20):
        ids = ids_of(66 + n, n, c.vocab_size)
        types = (np.arange(n) > n // 2).astype(np.int32)
        with torch.no_grad():
            hidden = model(torch.from_numpy(ids.astype(np.int64))[None],
                           token_type_ids=torch.from_numpy(types.astype(np.int64))[None]).last_hidden_state
        print(f"bert: {n} tokens, hidden std {hidden.std():.3f}")
        out.case(ids=ids, types=types, hidden=hidden, pooled=hidden.mean(dim=1))
    out.close()


def t5(folder, name, kind, tied, seed, n_head, d_model):
    c = tf.T5Config(vocab_size=61, d_model=d_model, d_kv=9, d_ff=34, num_layers=2, num_decoder_layers=3,
                    num_heads=n_head, relative_attention_num_buckets=8,
                    relative_attention_max_distance=128, layer_norm_epsilon=float(np.float32(1e-6)),
                    feed_forward_proj=kind, tie_word_embeddings=tied, decoder_start_token_id=0,
                    scale_decoder_outputs=tied)
    model = randomize(tf.T5ForConditionalGeneration(c), seed, 0.25)
    sd, out = model.state_dict(), Out(folder, name, "t5")
    out.keys(block_count=2, decoder_block_count=3, context_length=512, embedding_length=d_model,
             feed_forward_length=34, attention__head_count=n_head, attention__key_length=9,
             attention__value_length=9, attention__layer_norm_epsilon=float(np.float32(1e-6)),
             attention__layer_norm_rms_epsilon=float(np.float32(1e-6)),
             attention__relative_buckets_count=8, decoder_start_token_id=0)
    out.tensors([("token_embd.weight", sd["shared.weight"])])
    for stack, n_layer in (("encoder", 2), ("decoder", 3)):
        for i in range(n_layer):
            a, b = f"{stack}.block.{i}.layer.", f"{stack[:3]}.blk.{i}."
            last = 2 if stack == "decoder" else 1
            names = [("0.layer_norm", "attn_norm"), (f"{last}.layer_norm", "ffn_norm")]
            names += [(f"0.SelfAttention.{x}", f"attn_{x}") for x in "qkvo"]
            if stack == "decoder":
                names += [("1.layer_norm", "cross_attn_norm")]
                names += [(f"1.EncDecAttention.{x}", f"cross_attn_{x}") for x in "qkvo"]
            if i == 0:
                names += [("0.SelfAttention.relative_attention_bias", "attn_rel_b")]
            ff = f"{last}.DenseReluDense."
            names += [(ff + "wo", "ffn_down")]
            names += ([(ff + "wi_0", "ffn_gate"), (ff + "wi_1", "ffn_up")] if "gated" in kind
                      else [(ff + "wi", "ffn_up")])
            out.tensors((f"{b}{y}.weight", sd[f"{a}{x}.weight"]) for x, y in names)
        out.tensors([(f"{stack[:3]}.output_norm.weight", sd[f"{stack}.final_layer_norm.weight"])])
    if not tied:
        out.tensors([("output.weight", sd["lm_head.weight"])])
    for n_in, n_out in ((17, 9), (1, 1), (150, 3)):
        enc_ids, ids = ids_of(seed + n_in, n_in, 61), ids_of(seed * 7 + n_out, n_out, 61)
        ids[0] = 0
        with torch.no_grad():
            r = model(input_ids=torch.from_numpy(enc_ids.astype(np.int64))[None],
                      decoder_input_ids=torch.from_numpy(ids.astype(np.int64))[None],
                      output_hidden_states=True)
        print(f"{name}: {n_in} + {n_out} tokens, logits std {r.logits.std():.3f}")
        out.case(enc_ids=enc_ids, ids=ids, logits=r.logits, hidden=r.decoder_hidden_states[-1],
                 enc_hidden=r.encoder_last_hidden_state[:, :20])
    out.close()


def rwkv4(folder):
    c = tf.RwkvConfig(vocab_size=89, context_length=64, hidden_size=36, num_hidden_layers=2,
                      attention_hidden_size=36, intermediate_size=60, layer_norm_epsilon=EPS,
                      rescale_every=0, tie_word_embeddings=False)
    model = randomize(tf.RwkvForCausalLM(c), 9)
    sd, out = model.state_dict(), Out(folder, "rwkv4", "rwkv4")
    out.keys(block_count=2, context_length=64, embedding_length=36, feed_forward_length=60,
             attention__layer_norm_epsilon=EPS)
    out.tensors([("token_embd.weight", sd["rwkv.embeddings.weight"])])
    pairs = [(f"blocks.0.pre_ln.{k}", f"token_embd_norm.{k}") for k in ("weight", "bias")]
    for i in range(2):
        for a, b in (("ln1", "attn_norm"), ("ln2", "ffn_norm")):
            pairs += [(f"blocks.{i}.{a}.{k}", f"blk.{i}.{b}.{k}") for k in ("weight", "bias")]
        for a, b in (("attention", "time_mix"), ("feed_forward", "channel_mix")):
            pairs += [(f"blocks.{i}.{a}.{x}.weight", f"blk.{i}.{b}_{x}.weight")
                      for x in ("key", "value", "receptance", "output")]
            pairs += [(f"blocks.{i}.{a}.time_mix_{x}", f"blk.{i}.{b}_lerp_{x[0]}.weight")
                      for x in ("key", "value", "receptance")]
        pairs += [(f"blocks.{i}.attention.time_{x}", f"blk.{i}.time_mix_{x}.weight")
                  for x in ("decay", "first")]
    pairs += [(f"ln_out.{k}", f"output_norm.{k}") for k in ("weight", "bias")]
    out.tensors((b, array(sd["rwkv." + a]).squeeze()) for a, b in pairs if "rwkv." + a in sd)
    out.tensors([("output.weight", sd["head.weight"])])
    run_decoder(out, model, 99, (12, 1))
    out.close()


def positions(folder):
    """Buckets of T5, in float32 as it computes them, and slopes of ALiBi."""
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor
    from transformers.models.t5.modeling_t5 import T5Attention
    out = new_expect(folder, "positions")
    relative = torch.arange(-600, 601)
    out.add_tensor("relative", relative.numpy().astype(np.int32))
    torch.Tensor.float = plain_float
    for n, far in ((32, 128), (8, 128), (16, 40)):
        for both in (True, False):
            b = T5Attention._relative_position_bucket(relative, both, n, far)
            out.add_tensor(f"bucket.{n}.{far}.{int(both)}", b.numpy().astype(np.int32))
    torch.Tensor.float = lambda self: self.double()
    for n in (1, 2, 3, 5, 8, 12, 25):
        slopes = build_alibi_tensor(torch.ones(1, 2), n, torch.float64)[:, 0, 1]
        out.add_tensor(f"slope.{n}", slopes.numpy().astype(np.float64))
    write(out)


def tiny(folder):
    """Random models with a tokenizer, in many types, for tests of the plan and of the program."""
    tool = Path(__file__).resolve().parents[2] / "tools" / "make_model.py"
    small = "--embd 96 --heads 3 --kv 1 --ff 160"
    for name, options in (
            ("f32", "--type F32 --embd 32 --heads 2 --kv 1 --ff 96"),
            ("q4_1", f"{small} --type Q4_1 --set token_embd=Q8_0"),
            ("k", "--layers 1 --embd 256 --heads 2 --kv 1 --head-dim 32 --ff 256 --type Q4_K "
                  "--set token_embd=IQ4_XS --set attn_q=Q3_K --set attn_k=Q5_K --set attn_v=Q6_K "
                  "--set ffn_gate=Q2_K --set ffn_down=Q6_K"),
            ("qwen2", "--arch qwen2 --embd 64 --heads 4 --kv 2 --ff 96 --type Q4_0 "
                      "--set token_embd=F16 --set blk.0.attn_k=Q5_0 --set attn_k=IQ4_NL --set attn_v=Q5_1 "
                      "--set attn_output=Q8_0 --set ffn_gate=BF16 --untied --set output.weight=Q8_0")):
        path = folder / f"tiny_{name}.gguf"
        subprocess.run([sys.executable, tool, *options.split(), path], check=True)
        out = Out(folder, f"tiny_{name}", None)
        run_decoder(out, model_of(path), 77, (16,))
        out.close()


def model_of(path):
    """The llama or qwen2 model of a file, its weights decoded by the gguf package."""
    reader = gguf.GGUFReader(path)
    arch = reader.get_field("general.architecture").contents()

    def key(name, default=None):
        field = reader.get_field(f"{arch}.{name}")
        return field.contents() if field else default

    w = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    heads, embd = key("attention.head_count"), key("embedding_length")
    common = dict(
        vocab_size=key("vocab_size"), hidden_size=embd, intermediate_size=key("feed_forward_length"),
        num_hidden_layers=key("block_count"), num_attention_heads=heads,
        num_key_value_heads=key("attention.head_count_kv"), rms_norm_eps=EPS,
        rope_theta=key("rope.freq_base"), tie_word_embeddings="output.weight" not in w,
        max_position_embeddings=key("context_length"), attn_implementation="eager")
    head = key("attention.key_length", embd // heads)
    model = (tf.LlamaForCausalLM(tf.LlamaConfig(**common, head_dim=head)) if arch == "llama"
             else tf.Qwen2ForCausalLM(tf.Qwen2Config(**common)))
    if arch == "llama":             # rows of q and k from pairs back to halves
        for name in w:
            if ".attn_q." in name or ".attn_k." in name:
                w[name] = w[name].reshape(-1, head // 2, 2, embd).swapaxes(1, 2).reshape(-1, embd)
    names = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
             "attn_norm": "input_layernorm", "attn_output": "self_attn.o_proj",
             "ffn_norm": "post_attention_layernorm"}
    names |= {f"attn_{x}": f"self_attn.{x}_proj" for x in "qkv"}
    names |= {f"ffn_{x}": f"mlp.{x}_proj" for x in ("gate", "up", "down")}
    state = {}
    for name, value in w.items():
        *layer, part, kind = name.split(".")
        prefix = f"model.layers.{layer[1]}." if layer else ""
        state[f"{prefix}{names[part]}.{kind}"] = torch.from_numpy(value.astype(np.float64))
    missing, unexpected = model.double().eval().load_state_dict(state, strict=False)
    assert not unexpected and missing in ([], ["lm_head.weight"]), (missing, unexpected)
    model.tie_weights()
    return model


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    llama_gqa(folder)
    llama3(folder)
    qwen2(folder)
    mixtral(folder)
    gpt2(folder)
    bert(folder)
    t5(folder, "t5_v10", "relu", True, 7, 3, 24)
    t5(folder, "t5_v11", "gated-gelu", False, 8, 2, 26)
    rwkv4(folder)
    positions(folder)
    tiny(folder)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random models of every family, saved by transformers as folders, opened by mote as they are.

    families.py [--mote build/mote] [--keep FOLDER] [--only NAME,...] [--convert]

Each case is a model in an odd shape with random weights, in float32 and float64 here.  `mote probe` must
give transformers' float64 numbers: worst error over the standard deviation of the output at most 1e-3,
with --exact and without (float weights multiply in f32 both ways; with --kv bf16, which `mote run` has by
default, it is 0.1).  --convert also writes each folder as GGUF and back, and probes both.
"""
import argparse
import copy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers as tf

torch.set_grad_enabled(False)
ROPE3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
         "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "rope_theta": 1000000.0, "factor": 4.0, "original_max_position_embeddings": 32}
SMALL = dict(max_position_embeddings=256, rms_norm_eps=1e-5)


def randomize(model, seed, std):
    rng = np.random.default_rng(seed)
    for name, p in model.named_parameters():
        is_norm = "norm" in name.lower() or "ln" in name
        v = rng.normal(0, std, tuple(p.shape))
        p.copy_(torch.from_numpy(np.float32(1 + v if is_norm and name.endswith("weight") else v)))
    return model.eval()


def cases():
    llama = tf.LlamaConfig
    yield "llama", tf.LlamaForCausalLM(llama(hidden_size=40, num_hidden_layers=2, num_attention_heads=5, head_dim=12,
          num_key_value_heads=5, intermediate_size=44, vocab_size=67, tie_word_embeddings=False, attention_bias=True,
          mlp_bias=True, rope_parameters=ROPE3, **SMALL)), 0.3
    yield "llama-gqa", tf.LlamaForCausalLM(llama(hidden_size=96, num_hidden_layers=3, num_attention_heads=6,
          num_key_value_heads=2, intermediate_size=131, vocab_size=257, tie_word_embeddings=True, **SMALL)), 0.15
    yield "mistral", tf.MistralForCausalLM(tf.MistralConfig(hidden_size=48, num_hidden_layers=2, num_attention_heads=4,
          num_key_value_heads=2, head_dim=16, intermediate_size=50, vocab_size=71, sliding_window=7, **SMALL)), 0.3
    yield "mixtral", tf.MixtralForCausalLM(tf.MixtralConfig(hidden_size=24, num_hidden_layers=2, num_attention_heads=4,
          num_key_value_heads=2, head_dim=6, intermediate_size=28, vocab_size=73, num_local_experts=4,
          num_experts_per_tok=2, experts_implementation="eager", **SMALL)), 0.3
    yield "qwen2", tf.Qwen2ForCausalLM(tf.Qwen2Config(hidden_size=40, num_hidden_layers=2, num_attention_heads=4,
          num_key_value_heads=2, intermediate_size=48, vocab_size=71, tie_word_embeddings=True, rope_parameters=YARN,
          **SMALL)), 0.3
    yield "gpt2", tf.GPT2LMHeadModel(tf.GPT2Config(n_embd=35, n_layer=2, n_head=5, n_inner=52, vocab_size=79,
          n_positions=40)), 0.3
    yield "gpt2-by-layer", tf.GPT2LMHeadModel(tf.GPT2Config(n_embd=36, n_layer=3, n_head=3, vocab_size=79, n_positions=40,
          scale_attn_by_inverse_layer_idx=True, activation_function="gelu")), 0.3
    yield "bert", tf.BertModel(tf.BertConfig(hidden_size=36, num_hidden_layers=2, num_attention_heads=3,
          intermediate_size=50, vocab_size=83, max_position_embeddings=40), add_pooling_layer=False), 0.3
    for name, kind, tied in (("t5-v1.0", "relu", True), ("t5-v1.1", "gated-gelu", False)):
        yield name, tf.T5ForConditionalGeneration(tf.T5Config(vocab_size=61, d_model=35, d_kv=9, d_ff=34, num_layers=2,
              num_decoder_layers=3, num_heads=4, relative_attention_num_buckets=8, relative_attention_max_distance=20,
              feed_forward_proj=kind, tie_word_embeddings=tied, decoder_start_token_id=0)), 0.25
    yield "rwkv", tf.RwkvForCausalLM(tf.RwkvConfig(vocab_size=59, hidden_size=36, num_hidden_layers=3,
          intermediate_size=50, context_length=64, rescale_every=0)), 0.3


def inputs(name, seed, vocab):
    """ids, token types, decoder ids; None where a model has none."""
    rng = np.random.default_rng(100 + seed)
    ids = rng.integers(0, vocab, 23)
    types = (np.arange(23) > 11).astype(int) if name == "bert" else None
    decoder = np.concatenate([[0], rng.integers(0, vocab, 9)]) if name.startswith("t5") else None
    return ids, types, decoder


def wide(model):
    """The same in float64 throughout: what transformers computes in float32 becomes float64 too."""
    return copy.deepcopy(model).double()


def expect(name, model, ids, types, decoder):
    m, t = wide(model), torch.from_numpy(ids.astype(np.int64))[None]
    if decoder is not None:
        return m(input_ids=t, decoder_input_ids=torch.from_numpy(decoder.astype(np.int64))[None]).logits[0].numpy()
    if types is not None:
        return m(t, token_type_ids=torch.from_numpy(types.astype(np.int64))[None]).last_hidden_state[0].numpy()
    return m(t).logits[0].numpy()


def probe(mote, model, out, ids, types, decoder, how):
    join = lambda a: ",".join(map(str, a))
    command = [mote, "probe", str(model), "--ids", join(ids), "--out", str(out), "--no-cache"]
    command += [how] if how else []
    command += ["--type-ids", join(types), "--want", "hidden"] if types is not None else []
    command += ["--decoder-ids", join(decoder)] if decoder is not None else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return None, done.stderr.strip()
    return np.load(out), ""


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--mote", default="build/mote")
    p.add_argument("--keep")
    p.add_argument("--only", default="")
    p.add_argument("--convert", action="store_true")
    o = p.parse_args()
    root = Path(o.keep or tempfile.mkdtemp())
    passed = failed = 0
    for seed, (name, model, std) in enumerate(cases()):
        if o.only and name not in o.only.split(","):
            continue
        randomize(model, seed, std)
        folder = root / name
        model.save_pretrained(folder)
        ids, types, decoder = inputs(name, seed, model.config.vocab_size)
        want = expect(name, model, ids, types, decoder)
        sources = [("folder", folder)]
        if o.convert:
            gguf, back = root / f"{name}.gguf", root / f"{name}-back"
            for a, b, kind in ((folder, gguf, "gguf"), (gguf, back, "back")):
                done = subprocess.run([o.mote, "convert", str(a), str(b)], capture_output=True, text=True)
                if done.returncode:
                    failed += 1
                    print(f"{name:14} {kind:7} FAILED: {done.stderr.strip()}")
                    break
                sources.append((kind, b))
        for kind, path in sources:
            for how, limit in (("--exact", 1e-3), ("", 1e-3), ("--kv=bf16", 0.1)):
                got, why = probe(o.mote, path, root / "out.npy", ids, types, decoder, how)
                if got is None or got.shape != want.shape:
                    failed += 1
                    print(f"{name:14} {kind:7} {how or 'default':9} FAILED: {why or got.shape}")
                    continue
                worst = np.abs(got - want).max() / want.std()
                ok = worst <= limit
                passed, failed = passed + ok, failed + (not ok)
                print(f"{name:14} {kind:7} {how or 'default':9} worst {worst:.2e} of std "
                      f"{want.std():.2f}{'' if ok else '  FAILED: more than %g' % limit}")
    if not o.keep:
        shutil.rmtree(root)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

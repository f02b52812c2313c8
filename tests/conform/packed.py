#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A small Llama with random compressed weights in every scheme, opened by mote as a folder.

    packed.py [--mote build/mote] [--keep FOLDER] [--only NAME,...]

The matrices of all layers come from tests/golden/make_packed.py, which packs random codes by each
format's definition and says what they stand for; transformers runs the same model in float64 on those
values.  `mote probe --exact` must give its numbers: worst error over the standard deviation of the
output at most 1e-3.  NF4 and FP4 round their books to integers, so 1e-1 there.  The default path, int8
activations, is printed and held to 5e-1 of the worst value: enough to see a wrong column.
"""
import argparse
import json
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers as tf

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "golden"))
import make_packed as mp

torch.set_grad_enabled(False)
DTYPE = {mp.F32: "F32", mp.F16: "F16", mp.BF16: "BF16", mp.I8: "I8", mp.U8: "U8", mp.I32: "I32", mp.U32: "U32",
         mp.I64: "I64", mp.E4M3: "F8_E4M3", mp.E5M2: "F8_E5M2"}
IDS = [(i * 7919 + 13) % 320 for i in range(24)]

SCHEMES = {
    "gptq": lambda n, k: mp.gptq_case("", n, k, 64, 4, mp.G4),
    "gptq-sym": lambda n, k: mp.gptq_case("", n, k, 128, 4, mp.Q4_0, sym=True),
    "gptq-v2-bf16": lambda n, k: mp.gptq_case("", n, k, 32, 4, mp.G4, v2=True, scale_type=mp.BF16),
    "gptq-2": lambda n, k: mp.gptq_case("", n, k, 32, 2, mp.Q4_0),
    "gptq-3": lambda n, k: mp.gptq_case("", n, k, -1, 3, mp.Q4_0),
    "gptq-8": lambda n, k: mp.gptq_case("", n, k, 64, 8, mp.G8),
    "gptq-order": lambda n, k: mp.gptq_case("", n, k, 32, 4, mp.F32, order="shuffled"),
    "gptq-order-sym": lambda n, k: mp.gptq_case("", n, k, 128, 4, mp.F32, order="shuffled", sym=True),
    "awq": lambda n, k: mp.awq_case("", n, k, 64),
    "nf4": lambda n, k: mp.bnb_case("", n, k, "nf4"),
    "nf4-double": lambda n, k: mp.bnb_case("", n, k, "nf4", nested=True),
    "fp4": lambda n, k: mp.bnb_case("", n, k, "fp4"),
    "int4": lambda n, k: mp.ct_case("", n, k, 4, 128, mp.Q4_0),
    "int4-zeros": lambda n, k: mp.ct_case("", n, k, 4, 32, mp.G4, asym=True),
    "int8-packed": lambda n, k: mp.ct_case("", n, k, 8, -1, mp.Q8_0),
    "int8": lambda n, k: mp.ct_int8_case("", n, k, (n, 1), mp.BF16, mp.Q8_0, scale=0.05),
    "int8-zeros": lambda n, k: mp.ct_int8_case("", n, k, (n, 1), mp.BF16, mp.G8, asym=True, scale=0.05),
    "mlx-4": lambda n, k: mp.mlx_case("", (n, k), 4, 64, mp.Q4_1),
    "mlx-3": lambda n, k: mp.mlx_case("", (n, k), 3, 64, mp.Q4_1),
    "mlx-6": lambda n, k: mp.mlx_case("", (n, k), 6, 32, mp.M8),
    "mlx-8": lambda n, k: mp.mlx_case("", (n, k), 8, 128, mp.M8),
    "fp8-rows": lambda n, k: mp.fp8_case("", n, k, (n, 1), scale=0.02),
    "fp8-tiles": lambda n, k: mp.fp8_case("", n, k, (-(-n // 128), -(-k // 128)), suffix=".weight_scale_inv",
                                          config="quantization_config.weight_block_size", scale=0.02),
    "bitnet": lambda n, k: mp.bitnet_case("", n, k, mp.TQ2_0, scale=0.05),
}
LOOSE = {"nf4": 1e-1, "nf4-double": 1e-1, "fp4": 1e-1}


def nest(config, key, value):
    *path, last = key.split(".")
    for p in path:
        config = config.setdefault(p, {})
    config[last] = value


def save(folder, model, scheme):
    """The folder, and the values of its compressed weights put into the model."""
    folder.mkdir(parents=True)
    config = json.loads(model.config.to_json_string(use_diff=False))
    config["architectures"] = [type(model).__name__]
    tensors = {}
    for name, p in model.named_parameters():
        tensors[name] = (mp.F32, p.shape, p.float().numpy().tobytes())
    for name, module in model.model.named_modules():
        if not isinstance(module, torch.nn.Linear):
            continue
        case = scheme(module.out_features, module.in_features)
        del tensors[f"model.{name}.weight"]
        for part, t, ne, data in case.tensors:
            if part.startswith("a.") and part != "a.bias":
                tensors[f"model.{name}{part[1:]}"] = (t, ne[::-1], data)
        for key, value in case.keys.items():
            nest(config, key, value)
        module.weight.copy_(torch.from_numpy(case.weights[0][2].copy()))
    header, body = {}, b""
    for name, (t, shape, data) in tensors.items():
        header[name] = {"dtype": DTYPE[t], "shape": list(shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
    (folder / "config.json").write_text(json.dumps(config))


def probe(mote, folder, *flags):
    out = folder / "out.npy"
    r = subprocess.run([mote, "probe", str(folder), "--ids", ",".join(map(str, IDS)), "--out", str(out), *flags],
                       capture_output=True, text=True)
    if r.returncode != 0:
        return r.stderr.strip().splitlines()[-1] if r.stderr.strip() else f"exit status {r.returncode}"
    return np.load(out)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--mote", default="build/mote")
    args.add_argument("--keep")
    args.add_argument("--only")
    args = args.parse_args()
    room = Path(args.keep or tempfile.mkdtemp())
    failed = 0
    for name, scheme in SCHEMES.items():
        if args.only and name not in args.only.split(","):
            continue
        torch.manual_seed(1)
        mp.rng = np.random.default_rng(len(name))
        model = tf.LlamaForCausalLM(tf.LlamaConfig(
            hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            vocab_size=320, max_position_embeddings=128, tie_word_embeddings=False)).eval()
        shutil.rmtree(room / name, ignore_errors=True)
        save(room / name, model, scheme)
        want = model.double()(torch.tensor([IDS])).logits[0].numpy()
        line = []
        for flags, limit in ((("--exact",), LOOSE.get(name, 1e-3)), ((), 5e-1)):
            got = probe(args.mote, room / name, *flags)
            error = got if isinstance(got, str) else np.abs(got - want).max() / want.std()
            failed += isinstance(error, str) or not error <= limit
            line.append(error if isinstance(error, str) else f"{error:.1e}")
        print(f"{name:16} exact {line[0]}, default {line[1]}", flush=True)
    if not args.keep:
        shutil.rmtree(room)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Models to measure with, as GGUF: random ones of any llama or qwen2 shape, and requantised files.

    bench/models.py --shape llama-1.2b --type Q4_K_M --out x.gguf
    bench/models.py --arch qwen2 --n-layer 4 --n-embd 512 --n-head 8 --n-head-kv 2 --n-ff 1536 --type Q8_0 --out x.gguf
    bench/models.py --from SmolLM2-135M-Instruct.Q4_1.gguf --type Q4_0 --out y.gguf
    bench/models.py --list

Random weights are written as F16 (tools/make_model.py writes the file) and quantised by llama.cpp,
so a type means what it means everywhere: which matrices of a Q4_K_M are wider, and what a row gets
that 256 does not divide.  The speed of a model does not depend on the values of its weights.
--tokenizer FILE takes the vocabulary of another model, cut or filled up to the shape's size;
without it there is a small byte-level BPE and the rest of the ids stand unused.
"""
import argparse
import ctypes
import os
import pathlib
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import make_model  # noqa: E402

# type -> llama.cpp's "file type": which weight type a matrix gets
FTYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11,
          "Q3_K_M": 12, "Q3_K": 12, "Q4_K_S": 14, "Q4_K_M": 15, "Q4_K": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q5_K": 17,
          "Q6_K": 18, "IQ4_NL": 25, "IQ4_XS": 30, "BF16": 32}

# every type that mote reads, once
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL", "Q2_K", "Q3_K_M", "Q4_K_M",
         "Q4_K_S", "Q5_K_M", "Q6_K", "IQ4_XS"]

SHAPES = {
    "smollm2-135m": dict(arch="llama", layers=30, embd=576, ff=1536, heads=9, kv=3, vocab=49152, ctx=8192,
                         theta=100000.0),
    "smollm2-360m": dict(arch="llama", layers=32, embd=960, ff=2560, heads=15, kv=5, vocab=49152, ctx=8192,
                         theta=100000.0),
    "qwen2.5-0.5b": dict(arch="qwen2", layers=24, embd=896, ff=4864, heads=14, kv=2, vocab=151936, ctx=32768,
                         theta=1000000.0),
    "llama-1.2b": dict(arch="llama", layers=16, embd=2048, ff=8192, heads=32, kv=8, vocab=128256, ctx=131072,
                       theta=500000.0),
}


class HalfWriter(make_model.Writer):
    """Matrices straight to F16 and of normal deviates in f32: a billion weights in half a minute."""

    def __init__(self, args):
        super().__init__(args)
        self.source = args.tokenizer

    def matrix(self, name, n_out, n_in, std=None):
        data = np.empty((n_out, n_in), np.float16)
        scale = np.float32(std or n_in ** -0.5)
        for at in range(0, n_out, 4096):
            rows = data[at:at + 4096]
            rows[:] = self.rng.standard_normal(rows.shape, np.float32) * scale
        self.w.add_tensor(name, data, raw_dtype=Type.F16)

    def tokenizer(self, n_vocab):
        if self.source:
            copy_tokenizer(self.w, gguf.GGUFReader(self.source), n_vocab)
        else:
            super().tokenizer(n_vocab)


def copy_tokenizer(w, source, n_vocab):
    """The tokenizer.* fields of another file; its tokens cut to n_vocab, or unused ones added."""
    tokens = source.fields["tokenizer.ggml.tokens"].contents()[:n_vocab]
    extra = [f"<unused{i}>" for i in range(len(tokens), n_vocab)]
    known = set(tokens)
    for name, field in source.fields.items():
        if not name.startswith("tokenizer."):
            continue
        value = field.contents()
        if name == "tokenizer.ggml.tokens":
            value = tokens + extra
        elif name == "tokenizer.ggml.token_type":
            value = list(value[:n_vocab]) + [int(gguf.TokenType.UNUSED)] * len(extra)
        elif name == "tokenizer.ggml.scores":
            value = list(value[:n_vocab]) + [0.0] * len(extra)
        elif name == "tokenizer.ggml.merges":
            value = [m for m in value if "".join(m.split(" ")) in known]
        elif name.endswith("_token_id") and value >= n_vocab:
            continue
        kind, *rest = field.types
        w.add_key_value(name, value, kind, rest[0] if rest else None)


def silence(llama_cpp, kept=[]):
    """No log of llama.cpp's; the callback has to outlive this call."""
    kept.append(llama_cpp.llama_log_callback(lambda level, text, user: None))
    llama_cpp.llama_log_set(kept[-1], ctypes.c_void_p(0))


def quantise(source, out, kind, threads=0):
    """source -> out in another type; a source that is quantised already is decoded first."""
    import llama_cpp
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = FTYPES[kind]
    params.nthread = threads or len(os.sched_getaffinity(0))
    params.allow_requantize = True
    llama_cpp.llama_backend_init()
    silence(llama_cpp)
    part = pathlib.Path(f"{out}.part")
    code = llama_cpp.llama_model_quantize(str(source).encode(), str(part).encode(), ctypes.byref(params))
    if code:
        part.unlink(missing_ok=True)
        raise RuntimeError(f"llama.cpp cannot write {source} as {kind} (code {code})")
    part.rename(out)


def random_half(out, shape, tokenizer=None, seed=1):
    a = argparse.Namespace(head_dim=0, untied=False, type="F16", set=[], seed=seed, tokenizer=tokenizer,
                           out=f"{out}.part", **shape)
    make_model.write_model(a, HalfWriter)
    pathlib.Path(a.out).rename(out)


def random_model(out, shape, kind, tokenizer=None, keep_half=None, seed=1):
    """keep_half: a path where the F16 file stays, for the next type of the same shape."""
    half = pathlib.Path(keep_half or f"{out}.f16")
    if kind == "F16":
        return random_half(out, shape, tokenizer, seed)
    if not half.exists():
        random_half(half, shape, tokenizer, seed)
    quantise(half, out, kind)
    if not keep_half:
        half.unlink()


def cached(folder, name, kind, default=None, keep_half=True):
    """The file of a named shape, or "default" requantised, made on first use."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if name == "default":
        out = folder / f"default.{kind}.gguf"
        if not out.exists():
            quantise(default, out, kind)
    else:
        out = folder / f"{name}.{kind}.gguf"
        if not out.exists():
            random_model(out, SHAPES[name], kind, keep_half=folder / f"{name}.F16.gguf" if keep_half else None)
    return out


def cost(path):
    """What a token costs: weights read and multiplied, keys and values held and multiplied."""
    r = gguf.GGUFReader(path)
    arch = r.fields["general.architecture"].contents()

    def meta(key):
        return int(r.fields[f"{arch}.{key}"].contents())

    tensors = {t.name: t for t in r.tensors}
    head = tensors.get("output.weight", tensors["token_embd.weight"])
    body = [t for name, t in tensors.items() if name.startswith("blk.") and len(t.shape) > 1]
    heads, embd = meta("attention.head_count"), meta("embedding_length")
    key = f"{arch}.attention.key_length"
    dim = int(r.fields[key].contents()) if key in r.fields else embd // heads
    return {"file_bytes": os.path.getsize(path), "body_bytes": int(sum(t.n_bytes for t in body)),
            "head_bytes": int(head.n_bytes), "body_macs": int(sum(t.n_elements for t in body)),
            "head_macs": int(head.n_elements), "n_layer": meta("block_count"),
            "kv_width": meta("attention.head_count_kv") * dim, "q_width": heads * dim}


def main():
    p = argparse.ArgumentParser(description="Makes models to measure with.")
    p.add_argument("--out")
    p.add_argument("--type", default="F16", choices=sorted(FTYPES))
    p.add_argument("--from", dest="source", metavar="FILE", help="requantise this file")
    p.add_argument("--shape", choices=sorted(SHAPES))
    p.add_argument("--arch", choices=["llama", "qwen2"])
    for flag, key in (("--n-layer", "layers"), ("--n-embd", "embd"), ("--n-ff", "ff"), ("--n-head", "heads"),
                      ("--n-head-kv", "kv"), ("--n-vocab", "vocab"), ("--n-ctx", "ctx")):
        p.add_argument(flag, dest=key, type=int)
    p.add_argument("--theta", type=float)
    p.add_argument("--tokenizer", metavar="FILE", help="a GGUF whose vocabulary to take")
    p.add_argument("--keep-half", metavar="FILE", help="keep the F16 weights here, or take them from here")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--list", action="store_true", help="shapes and types")
    a = p.parse_args()
    if a.list:
        print("shapes:", *SHAPES)
        print("types: ", *TYPES)
        return
    if not a.out:
        p.error("--out is needed")
    if a.source:
        quantise(a.source, a.out, a.type)
        return
    shape = dict(SHAPES[a.shape or "smollm2-135m"])
    shape.update({k: v for k, v in vars(a).items() if k in shape and v is not None})
    random_model(a.out, shape, a.type, a.tokenizer, a.keep_half, a.seed)


if __name__ == "__main__":
    main()

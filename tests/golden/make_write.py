#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files that test_gguf_write.c must reproduce byte for byte from plain.gguf, written by the gguf and
safetensors packages: the same tensors converted to F32, F16 and BF16, dealt to several files, and
as safetensors.  The values are those where conversions go wrong.

    python tests/golden/make_write.py tests/golden/write
"""
import importlib.metadata
import json
import pathlib
import sys

import gguf
import numpy as np
import safetensors.numpy
from gguf import GGMLQuantizationType as T

FOLDER = pathlib.Path(sys.argv[1])
MADE_BY = ", ".join(p + " " + importlib.metadata.version(p) for p in ("gguf", "numpy", "safetensors"))
F32 = np.float32


def nasty():
    """Halfway cases of both 16-bit types, their limits, subnormals, zeros, infinities, a NaN."""
    bits = [0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x477FE000, 0x477FF000, 0x477FEFFF,
            0x47800000, 0x38800000, 0x387FC000, 0x387FE000, 0x33800000, 0x33000000, 0x33000001, 0x32FFFFFF,
            0x00000001, 0x807FFFFF, 0x3F808000, 0x3F818000, 0x3F807FFF, 0x3F808001, 0x7F7FFFFF, 0x7F7F8000,
            0x7F7F7FFF, 0x3F801000, 0x3F803000, 0x3F800FFF, 0x3F801001, 0xBF801000, 0xC77FE000, 0xFF7FFFFF]
    return np.array(bits, dtype=np.uint32).view(F32)


rng = np.random.default_rng(20261127)
floats = {
    "nasty.weight": nasty(),
    "rows.weight": np.concatenate([nasty(), rng.standard_normal(5000 - 32, dtype=F32)]).reshape(50, 100),
    "half.weight": rng.standard_normal((3, 40), dtype=F32).astype(np.float16),
    "three.weight": rng.standard_normal((2, 3, 5), dtype=F32),
}
brain = gguf.quants.quantize(rng.standard_normal((4, 32), dtype=F32), T.BF16)
blocks = {k: gguf.quants.quantize(rng.standard_normal((6, 64), dtype=F32), k) for k in (T.Q4_0, T.Q8_0)}
whole = np.arange(-3, 4, dtype=np.int32)


def writer(name, **more):
    w = gguf.GGUFWriter(FOLDER / name, "test", **more)
    w.add_string("made.by", MADE_BY)
    w.add_array("words", ["ein", "zwei"])
    return w


def save(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def stored(w):
    for name, value in floats.items():
        w.add_tensor(name, value)
    w.add_tensor("brain.weight", brain, raw_dtype=T.BF16)
    for kind, value in blocks.items():
        w.add_tensor(kind.name + ".weight", value, raw_dtype=kind)
    w.add_tensor("whole", whole)


def decoded():
    yield from floats.items()
    yield "brain.weight", gguf.quants.dequantize(brain, T.BF16)
    for kind, value in blocks.items():
        yield kind.name + ".weight", gguf.quants.dequantize(value, kind)


def converted(kind):
    w = writer(f"{kind.name}.gguf")
    for name, value in decoded():
        value = value.astype(F32)
        with np.errstate(over="ignore"):
            if kind == T.F32: w.add_tensor(name, value)
            elif kind == T.F16: w.add_tensor(name, value.astype(np.float16))
            else: w.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
    w.add_tensor("whole", whole)
    save(w)


def tensors():
    """What safetensors.numpy takes: it has no bfloat16."""
    return {**floats, "whole": whole, "bytes": np.arange(9, dtype=np.int8)}


w = writer("plain.gguf")
stored(w)
w.add_tensor("bytes", np.arange(9, dtype=np.int8))
save(w)
for kind in (T.F32, T.F16, T.BF16):
    converted(kind)
w = writer("split.gguf", split_max_size=1000)
stored(w)
w.add_tensor("bytes", np.arange(9, dtype=np.int8))
save(w)

safetensors.numpy.save_file(tensors(), FOLDER / "plain.safetensors", metadata={"format": "pt"})
safetensors.numpy.save_file(tensors(), FOLDER / "bare.safetensors")
# Dealt to files in order, the largest size 20,000, and indexed as transformers writes the index.
files, size = [{}], 0
for name, value in tensors().items():
    if files[-1] and size + value.nbytes > 20000:
        files.append({})
        size = 0
    files[-1][name] = value
    size += value.nbytes
names = [f"cut-{i + 1:05d}-of-{len(files):05d}.safetensors" for i in range(len(files))]
for name, file in zip(names, files):
    safetensors.numpy.save_file(file, FOLDER / name, metadata={"format": "pt"})
index = {"metadata": {"total_size": sum(v.nbytes for v in tensors().values())},
         "weight_map": {t: name for name, file in zip(names, files) for t in file}}
(FOLDER / "cut.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")

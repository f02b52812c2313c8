#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes blocks.bin: block bytes per GGUF type and what other people's code decodes them to.

Reference: gguf.quants.dequantize; numpy's casts for I8, I16, I32 and F64; ggml's own
dequantize_row_q8_K (the library inside llama-cpp-python) for Q8_K, which the gguf package lacks.

Layout, little-endian: 8 bytes "MTBLOCKS", u32 length of a text and the text (the versions), u32
number of all types, per type 8 bytes name, u32 type, block, bytes; u32 number of entries, per entry u32 type, block, bytes, n stored blocks, n swept blocks, scale offset
(all ones: none), u64 sum; then the stored blocks and their floats (n * block, f32).

Swept blocks are not stored: both sides draw them from splitmix64 and put each 16-bit pattern in
turn where the f16 scale lies.  Their floats are compared by sum(word[i] * (2 i + 1)) modulo 2^64
over the bits of the floats, NaN counted as 0x7FC00000.

    python tests/golden/make_blocks.py tests/golden/blocks.bin
"""
import ctypes
import pathlib
import platform
import struct
import sys

import gguf
import importlib.metadata
import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T

# type -> offset of its f16 scale in the block, or None
SCALE = {
    T.F32: None, T.F16: 0, T.BF16: 0, T.F64: None, T.I8: None, T.I16: 0, T.I32: None,
    T.Q4_0: 0, T.Q4_1: 0, T.Q5_0: 0, T.Q5_1: 0, T.Q8_0: 0, T.Q2_K: 80, T.Q3_K: 108, T.Q4_K: 0,
    T.Q5_K: 0, T.Q6_K: 208, T.Q8_K: None, T.IQ4_NL: 0, T.IQ4_XS: 0, T.TQ1_0: 52, T.TQ2_0: 64,
    T.MXFP4: None,
}
CAST = {T.I8: "<i1", T.I16: "<i2", T.I32: "<i4", T.F64: "<f8"}
EXTREME = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x3C00, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00,
           0x7E00, 0xFD55]


def words(seed, n):
    """n outputs of splitmix64 from a seed."""
    z = np.uint64(seed) + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def random_blocks(seed, n, size):
    per = -(-size // 8)
    rows = words(seed, n * per).astype("<u8").view(np.uint8).reshape(n, per * 8)
    return np.ascontiguousarray(rows[:, :size])


def ggml_q8_k(blocks):
    import llama_cpp
    lib = ctypes.CDLL(str(pathlib.Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
    out = np.empty(blocks.shape[0] * 256, dtype=np.float32)
    lib.dequantize_row_q8_K(blocks.ctypes.data_as(ctypes.c_void_p),
                            out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(out.size))
    return out


def decode(kind, blocks):
    blocks = np.ascontiguousarray(blocks)
    with np.errstate(all="ignore"):
        if kind == T.Q8_K:
            return ggml_q8_k(blocks)
        if kind in CAST:
            return blocks.reshape(-1).view(CAST[kind]).astype(np.float32)
        flat = blocks.reshape(1, -1)
        return np.ascontiguousarray(gguf.quants.dequantize(flat, kind)).reshape(-1)


def stored_blocks(kind, block, size):
    n = 11 if block == 256 else 48 if block == 32 else 400
    rows = random_blocks(1000 + int(kind), n, size)
    for i, byte in enumerate((0x00, 0xFF, 0x80, 0x7F)):
        rows[i] = byte
    if SCALE[kind] is not None and block > 1:
        at = SCALE[kind]
        extreme = EXTREME if block == 32 else EXTREME[3::2]
        for i, pattern in enumerate(extreme):
            rows[4 + i, at:at + 2] = (pattern & 255, pattern >> 8)
    return rows


def main():
    import llama_cpp
    text = (f"gguf {importlib.metadata.version('gguf')}, numpy {np.__version__}, "
            f"llama-cpp-python {llama_cpp.__version__}, python {platform.python_version()}").encode()
    out = bytearray(b"MTBLOCKS" + struct.pack("<I", len(text)) + text)
    out += struct.pack("<I", len(GGML_QUANT_SIZES))
    for kind, (block, size) in GGML_QUANT_SIZES.items():
        out += struct.pack("<8s3I", kind.name.encode(), int(kind), block, size)
    out += struct.pack("<I", len(SCALE))
    for kind, at in SCALE.items():
        block, size = GGML_QUANT_SIZES[kind]
        rows = stored_blocks(kind, block, size)
        n_sweep = 16384 if block == 256 else 65536
        sweep = random_blocks(2000 + int(kind), n_sweep, size)
        if at is not None:
            step = 65536 // n_sweep
            pattern = np.arange(n_sweep) * step + np.arange(n_sweep) % step
            sweep[:, at], sweep[:, at + 1] = pattern & 255, pattern >> 8
        y = decode(kind, sweep)
        bits = np.where(np.isnan(y), np.uint32(0x7FC00000), y.view(np.uint32)).astype(np.uint64)
        total = int(np.sum(bits * (2 * np.arange(bits.size, dtype=np.uint64) + np.uint64(1)),
                           dtype=np.uint64))
        out += struct.pack("<6IQ", int(kind), block, size, len(rows), n_sweep,
                           0xFFFFFFFF if at is None else at, total)
        out += rows.tobytes() + decode(kind, rows).astype("<f4").tobytes()
    pathlib.Path(sys.argv[1]).write_bytes(out)
    print(f"{len(SCALE)} types, {len(out)} bytes: {text.decode()}")


if __name__ == "__main__":
    main()

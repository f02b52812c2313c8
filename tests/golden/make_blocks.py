#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes blocks.bin: block bytes per GGUF type and what other people's code decodes them to.

Reference: gguf.quants.dequantize; numpy's casts for I8, I16, I32, I64 and F64; ggml's own
dequantize_row_q8_K and _q1_0 (the library inside llama-cpp-python), which the gguf package lacks.
Q8_1 is decoded by nobody: here as the struct says.  The types from 64 on are mote's own blocks for
other checkpoints, read here by numpy (and the 8-bit floats by their definition in numbers).

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
    T.I64: None, T.Q8_1: None, T.NVFP4: None, T.Q1_0: 0, T.IQ1_S: 0, T.IQ1_M: None, T.IQ2_XXS: 0,
    T.IQ2_XS: 0, T.IQ2_S: 0, T.IQ3_XXS: 0, T.IQ3_S: 0,
}
CAST = {T.I8: "<i1", T.I16: "<i2", T.I32: "<i4", T.I64: "<i8", T.F64: "<f8"}
# type -> block, bytes, offset of its f16 scale
F8_E4M3, F8_E5M2, F8_32, G4, G8, M8, NF4, FP4 = range(64, 72)
OWN = {F8_E4M3: (1, 1, None), F8_E5M2: (1, 1, None), F8_32: (32, 36, None), G4: (32, 19, 0), G8: (32, 35, 0),
       M8: (32, 36, 0), NF4: (32, 18, 0), FP4: (32, 18, 0)}
# The code books of bitsandbytes (create_normal_map; the four-bit float of its kernels).
NF4_MAP = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
           -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
           0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
           0.7229568362236023, 1.0]
FP4_MAP = [0.0, 5.208333333e-03, 0.66666667, 1.0, 0.33333333, 0.5, 0.16666667, 0.25]
FEW = {T.IQ1_S, T.IQ1_M, T.IQ2_XXS, T.IQ2_XS, T.IQ2_S, T.IQ3_XXS, T.IQ3_S}   # mostly by their sums
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


def ggml(name, blocks, block):
    import llama_cpp
    lib = ctypes.CDLL(str(pathlib.Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
    out = np.empty(blocks.shape[0] * block, dtype=np.float32)
    getattr(lib, name)(blocks.ctypes.data_as(ctypes.c_void_p),
                       out.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(out.size))
    return out


def small_float(codes, exp_bits, has_inf):
    """Bytes as 8-bit floats of one sign bit and exp_bits exponent bits; has_inf: IEEE's special values."""
    man_bits = 7 - exp_bits
    bias = 2 ** (exp_bits - 1) - 1
    table = np.empty(256, dtype=np.float64)
    for code in range(256):
        e, m = (code & 127) >> man_bits, code & (2 ** man_bits - 1)
        value = (m / 2 ** man_bits + (e > 0)) * 2.0 ** (max(e, 1) - bias)
        if has_inf and e == 2 ** exp_bits - 1:
            value = np.nan if m else np.inf
        if not has_inf and code & 127 == 127:
            value = np.nan
        table[code] = -value if code & 128 else value
    return table.astype(np.float32)[codes]


def nibbles(rows):
    return np.concatenate([rows & 15, rows >> 4], axis=1)


def decode_own(kind, blocks):
    half = blocks[:, :4].view("<f2").astype(np.float32) if kind in (G4, G8, M8, NF4, FP4) else None
    if kind in (F8_E4M3, F8_E5M2):
        return small_float(blocks.reshape(-1), 4 if kind == F8_E4M3 else 5, kind == F8_E5M2)
    if kind == F8_32:
        return (blocks[:, :4].view("<f4") * small_float(blocks[:, 4:], 4, False)).reshape(-1)
    if kind == M8:
        return (half[:, :1] * blocks[:, 4:].astype(np.float32) + half[:, 1:]).reshape(-1)
    if kind in (G4, G8):
        q = nibbles(blocks[:, 3:]) if kind == G4 else blocks[:, 3:]
        zero = half[:, :1] * blocks[:, 2:3].astype(np.float32)
        return (half[:, :1] * q.astype(np.float32) - zero).reshape(-1)
    book = np.array(NF4_MAP if kind == NF4 else FP4_MAP + [-x for x in FP4_MAP])
    return (half[:, :1] * np.rint(book * 127).astype(np.int8)[nibbles(blocks[:, 2:])].astype(np.float32)).reshape(-1)


def decode(kind, blocks):
    blocks = np.ascontiguousarray(blocks)
    with np.errstate(all="ignore"):
        if kind in OWN:
            return decode_own(kind, blocks)
        if kind == T.Q8_K:
            return ggml("dequantize_row_q8_K", blocks, 256)
        if kind == T.Q1_0:
            return ggml("dequantize_row_q1_0", blocks, 128)
        if kind == T.Q8_1:
            return (blocks[:, :4].view("<f4") * blocks[:, 8:].view(np.int8).astype(np.float32)).reshape(-1)
        if kind in CAST:
            return blocks.reshape(-1).view(CAST[kind]).astype(np.float32)
        flat = blocks.reshape(1, -1)
        return np.ascontiguousarray(gguf.quants.dequantize(flat, kind)).reshape(-1)


def stored_blocks(kind, block, size, at):
    n = 4 if kind in FEW else 11 if block == 256 else 20 if block >= 64 else 48 if block == 32 else 400
    rows = random_blocks(1000 + int(kind), n, size)
    for i, byte in enumerate((0x00, 0xFF, 0x80, 0x7F)[:2 if kind in FEW else 4]):
        rows[i] = byte
    if kind in (F8_E4M3, F8_E5M2):
        rows[:256, 0] = np.arange(256)
    if at is not None and block > 1 and kind not in FEW:
        extreme = EXTREME if block <= 128 else EXTREME[3::2]
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
    every = {kind: (*GGML_QUANT_SIZES[kind], at) for kind, at in SCALE.items()} | OWN
    out += struct.pack("<I", len(every))
    for kind, (block, size, at) in every.items():
        rows = stored_blocks(kind, block, size, at)
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
    print(f"{len(every)} types, {len(out)} bytes: {text.decode()}")


if __name__ == "__main__":
    main()

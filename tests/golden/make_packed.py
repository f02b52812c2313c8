#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes packed.bin: compressed weights of every scheme of Hugging Face folders, packed by numpy from
each format's definition, and the plain values they stand for.

With bitsandbytes, compressed-tensors, mlx and transformers installed, their own packing, unpacking
and dequantisation are held against the functions below first (`check`); the text in the file says
which were.  GPTQ and AWQ have no package that runs on a CPU alone: their layouts are from the
definition only.

Layout, little-endian; a string is u32 length, bytes.  8 bytes "MTPACKED", string (versions), u32
number of cases.  A case: string name; u32 number of keys, per key: string, u8 kind (0 integer i64,
1 string, 2 array: u32 n, i64 each); u32 number of tensors, per tensor: string name, u32 type (as in
tensor.h), u32 dimensions, i64 each (fastest first), u64 bytes, bytes; u32 number of weights, per
weight: string name, u32 type, i64 k, n, matrices, f32 rel, abs, u64 sum, u32 stored rows, f32 each.
rel = abs = 0: the values are equal, and sum(word[i] * (2 i + 1)) mod 2^64 over their bits is theirs
(-0 counts as 0); only the first rows are stored.  Else |error| <= rel |value| + abs max |row|.

With a second argument, a folder, the least case of each scheme is written there too, for the fuzzer.

    python tests/golden/make_packed.py tests/golden/packed.bin [tests/fuzz/corpus/packed]
"""
import json
import pathlib
import struct
import sys

import numpy as np

F32, F16, Q4_0, Q4_1, Q8_0, I8, I32, I64, BF16, TQ2_0 = 0, 1, 2, 3, 8, 24, 26, 27, 30, 35
E4M3, E5M2, F8_32, G4, G8, M8, NF4, FP4, U8, U32 = 64, 65, 66, 67, 68, 69, 70, 71, 72, 74
U = 2.0 ** -11                  # a scale rounded to f16
rng = np.random.default_rng(20260)


# ---- numbers ---------------------------------------------------------------------------------

def bf16_bits(x):
    b = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((b + 0x7FFF + (b >> 16 & 1)) >> 16).astype(np.uint16)


def floats(x, t):
    """Stored bytes of x in type t, and the f32 values they hold."""
    x = np.asarray(x, np.float32)
    if t == F32:
        return x, x
    if t == F16:
        return x.astype(np.float16), x.astype(np.float16).astype(np.float32)
    b = bf16_bits(x)
    return b, (b.astype(np.uint32) << 16).view(np.float32)


def e4m3(b):
    """OCP E4M3: bias 7, no infinity, all ones are NaN."""
    b = b.astype(np.int32)
    e, m, sign = b >> 3 & 15, b & 7, np.where(b & 128, -1.0, 1.0)
    v = np.where(e == 0, m * 2.0 ** -9, (8 + m) * 2.0 ** (e - 10.0))
    return (sign * np.where((b & 127) == 127, np.nan, v)).astype(np.float32)


def e5m2(b):
    return (b.astype(np.uint16) << 8).view(np.float16).astype(np.float32)


def pack(codes, bits):
    """Codes densely along the last axis, lowest bit first, in 32-bit words."""
    codes = np.asarray(codes, np.uint64)
    n = codes.shape[-1]
    words = np.zeros(codes.shape[:-1] + (-(-n * bits // 32),), np.uint64)
    for i in range(n):
        at = i * bits
        both = codes[..., i] << np.uint64(at % 32)
        words[..., at // 32] |= both & np.uint64(0xFFFFFFFF)
        if at % 32 + bits > 32:
            words[..., at // 32 + 1] |= both >> np.uint64(32)
    return words.astype(np.uint32)


def spread(per_group, group, k):
    return np.repeat(per_group, group, axis=-1)[..., :k]


# ---- the file --------------------------------------------------------------------------------

cases = []


class Case:
    def __init__(self, name, **config):
        self.name, self.keys, self.tensors, self.weights = name, config, [], []
        cases.append(self)

    def key(self, name, value):
        self.keys[name] = value
        return self

    def add(self, name, t, array):
        array = np.ascontiguousarray(array)
        self.tensors.append((name, t, array.shape[::-1] or (1,), array.tobytes()))
        return self

    def want(self, name, t, values, rel=0.0, abs=0.0):
        values = np.ascontiguousarray(values, np.float32) + np.float32(0)
        self.weights.append((name, t, values, rel, abs))
        return self


def text(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack("<I", len(s)) + s


def written(c):
    out = [text(c.name), struct.pack("<I", len(c.keys))]
    for key, value in c.keys.items():
        out.append(text(key))
        if isinstance(value, str):
            out.append(b"\1" + text(value))
        elif isinstance(value, list):
            out.append(b"\2" + struct.pack(f"<I{len(value)}q", len(value), *value))
        else:
            out.append(struct.pack("<Bq", 0, value))
    out.append(struct.pack("<I", len(c.tensors)))
    for name, t, ne, data in c.tensors:
        out.append(text(name) + struct.pack(f"<II{len(ne)}qQ", t, len(ne), *ne, len(data)) + data)
    out.append(struct.pack("<I", len(c.weights)))
    for name, t, v, rel, absolute in c.weights:
        rows = v.reshape(-1, v.shape[-1])
        word = rows.ravel().view(np.uint32).astype(np.uint64)
        with np.errstate(over="ignore"):
            total = int((word * (2 * np.arange(word.size, dtype=np.uint64) + np.uint64(1))).sum(dtype=np.uint64))
        stored = rows[:2] if rel == absolute == 0 else rows
        matrices = v.shape[0] if v.ndim == 3 else 1
        out.append(text(name) + struct.pack("<I3q2fQI", t, v.shape[-1], v.shape[-2], matrices, rel, absolute, total,
                                            len(stored)) + stored.tobytes())
    return b"".join(out)


# ---- GPTQ and AWQ ----------------------------------------------------------------------------

def grouped(n, k, group, bits, scale_type, zeros=None, scale=0.01):
    group = k if group < 0 else group
    groups = -(-k // group)
    q = rng.integers(0, 1 << bits, (n, k))
    z = rng.integers(0, 1 << bits, (n, groups)) if zeros is None else np.full((n, groups), zeros)
    stored, d = floats(rng.uniform(0.3, 1, (n, groups)) * scale * 16 / (1 << bits), scale_type)
    return q, z, stored, d, group


def gptq_case(name, n, k, group, bits, want, scale_type=F16, sym=False, v2=False, order=None, index=True, rel=0.0,
              scale=0.01, place="quantization_config"):
    q, z, stored, d, size = grouped(n, k, group, bits, scale_type, 1 << (bits - 1) if sym else None, scale)
    g = np.arange(k) // size
    if order == "shuffled":
        g = rng.permutation(g)
    c = Case(name, **{f"{place}.quant_method": "gptq", f"{place}.bits": bits, f"{place}.group_size": group})
    if v2:
        c.key(f"{place}.checkpoint_format", "gptq_v2")
    saved = z if v2 else (z - 1) & ((1 << bits) - 1)
    c.add("a.qweight", I32, pack(q, bits).T).add("a.qzeros", I32, pack(saved.T, bits)).add("a.scales", scale_type, stored.T)
    if index:
        c.add("a.g_idx", I32, g.astype(np.int32))
    c.add("a.bias", F16, np.zeros(n, np.float16)).add("norm.weight", F32, np.ones(k, np.float32))
    return c.want("a.weight", want, d[:, g] * (q - z[:, g]).astype(np.float32), rel)


AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def awq_pack(codes):                        # (..., n) -> (..., n / 8)
    c = codes.reshape(codes.shape[:-1] + (-1, 8)).astype(np.uint32)
    return sum(c[..., AWQ_ORDER[i]] << np.uint32(4 * i) for i in range(8)).astype(np.uint32)


def awq_case(name, n, k, group, want=G4, scale_type=F16, zeros=None, method="awq"):
    q, z, stored, d, size = grouped(n, k, group, 4, scale_type, zeros)
    c = Case(name, **{"quantization_config.quant_method": method, "quantization_config.bits": 4,
                      "quantization_config.group_size": group})
    if method == "awq":
        c.key("quantization_config.version", "gemm")
    c.add("a.qweight", I32, awq_pack(q.T)).add("a.qzeros", I32, awq_pack(z.T)).add("a.scales", scale_type, stored.T)
    return c.want("a.weight", want, spread(d, size, k) * (q - spread(z, size, k)).astype(np.float32))


def gptq_and_awq():
    for bits, want in ((2, Q4_0), (3, Q4_0), (4, G4), (8, G8)):
        gptq_case(f"gptq {bits} bit, group 32", 64, 96, 32, bits, want)
        gptq_case(f"gptq {bits} bit, version 2, group 64 of 96", 32, 96, 64, bits, want, v2=True)
        gptq_case(f"gptq {bits} bit, symmetric, group 128", 32, 256, 128, bits, Q8_0 if bits == 8 else Q4_0, sym=True)
        gptq_case(f"gptq {bits} bit, one group", 32, 64, -1, bits, want)
        gptq_case(f"gptq {bits} bit, act-order", 32, 96, 32, bits, F32, order="shuffled")
    gptq_case("gptq without g_idx, 40 rows", 40, 128, 32, 4, G4, index=False)
    gptq_case("gptq of another file", 40, 128, 64, 4, G4, place="quantize_config")
    gptq_case("gptq, bf16 scales", 40, 128, 64, 4, G4, scale_type=BF16)
    gptq_case("gptq, f32 scales", 40, 128, 64, 4, G4, scale_type=F32, rel=U)
    gptq_case("gptq, f32 scales below f16", 40, 64, 64, 4, F32, scale_type=F32, scale=1e-6)
    gptq_case("gptq, rows of 40", 16, 40, -1, 4, F32)
    gptq_case("gptq, groups of 16", 16, 64, 16, 4, F32)
    for group in (32, 64, 128, -1):
        awq_case(f"awq, group {group}", 40, 128, group)
    awq_case("awq, group 64 of 96", 24, 96, 64)
    awq_case("awq, bf16 scales", 72, 64, 32, scale_type=BF16)
    awq_case("awq, zeros of 8", 8, 64, 32, want=Q4_0, zeros=8)
    awq_case("awq, rows of 40", 16, 40, -1, want=F32)
    awq_case("awq by another tool", 40, 64, 32, method="auto-round")


# ---- bitsandbytes ----------------------------------------------------------------------------

# Sixteen quantiles of the normal distribution, and a sign, two exponent, one mantissa float; as the package has them.
NF4_BOOK = np.array([-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
                     -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
                     0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
                     0.7229568362236023, 1.0], np.float32)
FP4_HALF = np.array([0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4], np.float32)
FP4_BOOK = np.concatenate([FP4_HALF, -FP4_HALF])


def bnb_values(data, absmax, book, shape, block=64):
    data = data.ravel()
    q = np.stack([data >> 4, data & 15], -1).ravel()[:shape[0] * shape[1]]
    return (np.repeat(absmax, block)[:q.size] * book[q]).reshape(shape)


def bnb_absmax(codes, book, outer, offset, block=256):
    return book[codes] * np.repeat(outer, block)[:codes.size] + np.float32(offset)


def bnb_case(name, n, k, kind="nf4", nested=False, want=None, storage=U8, scale=0.1, twist=0.0):
    book = (NF4_BOOK if kind == "nf4" else FP4_BOOK).copy()
    book[3] += np.float32(twist)
    data = rng.integers(0, 256, (n * k + 1) // 2).astype(np.uint8)
    blocks = -(-n * k // 64)
    c = Case(name, **{"quantization_config.quant_method": "bitsandbytes", "quantization_config.load_in_4bit": 1})
    state = {"quant_type": kind, "blocksize": 64, "dtype": "bfloat16", "shape": [n, k]}
    if nested:
        codes = rng.integers(0, 256, blocks).astype(np.uint8)
        signed = np.sort(rng.uniform(-1, 1, 256)).astype(np.float32)
        outer = rng.uniform(0.01, 0.02, -(-blocks // 256)).astype(np.float32)
        state.update(nested_blocksize=256, nested_dtype="float32", nested_offset=scale)
        absmax = bnb_absmax(codes, signed, outer, scale)
        c.add("a.weight.absmax", U8, codes).add("a.weight.nested_absmax", F32, outer)
        c.add("a.weight.nested_quant_map", F32, signed)
    else:
        absmax = rng.uniform(0.3 * scale, scale, blocks).astype(np.float32)
        c.add("a.weight.absmax", F32, absmax)
    stored = data if storage == U8 else data.view(np.uint16)
    c.add("a.weight", storage, stored.reshape(-1, 1)).add("a.weight.quant_map", F32, book)
    c.add(f"a.weight.quant_state.bitsandbytes__{kind}", U8, np.frombuffer(json.dumps(state).encode(), np.uint8))
    values = bnb_values(data, absmax, book, (n, k))
    if want == F32:
        return c.want("a.weight", F32, values)
    # the book times 127 is rounded to integers: half a step of absmax; then absmax to f16
    return c.want("a.weight", NF4 if kind == "nf4" else FP4, values, U, 0.5 / 127 * 1 / 0.3 + 1e-6)


def bnb():
    for kind in ("nf4", "fp4"):
        bnb_case(f"{kind}", 33, 128, kind)
        bnb_case(f"{kind}, double quantisation", 40, 448, kind, nested=True)
        bnb_case(f"{kind}, scales across rows", 35, 96, kind)
        bnb_case(f"{kind}, rows of 100", 6, 100, kind, want=F32)
    bnb_case("nf4, odd rows", 7, 33, want=F32)
    bnb_case("nf4, stored as bf16", 16, 64, storage=BF16)
    bnb_case("nf4, another book", 16, 64, want=F32, twist=0.01)
    bnb_case("nf4, scales below f16", 16, 64, want=F32, scale=1e-4)
    for n, k, want in ((40, 96, Q8_0), (10, 70, F32)):
        q = rng.integers(-127, 128, (n, k)).astype(np.int8)
        scb = rng.uniform(0.1, 1, n).astype(np.float32)
        c = Case(f"bitsandbytes int8, rows of {k}", **{"quantization_config.quant_method": "bitsandbytes"})
        c.add("a.weight", I8, q).add("a.SCB", F32, scb).add("a.weight_format", U8, np.uint8(0))
        c.want("a.weight", want, (scb / np.float32(127))[:, None] * q.astype(np.float32), 0 if want == F32 else U)


# ---- compressed-tensors ----------------------------------------------------------------------

def ct_case(name, n, k, bits, group, want, scale_type=BF16, asym=False, index=False, zeros_plain=False, rel=0.0,
            shape_type=I64, config=True):
    half = 1 << (bits - 1)
    q, z, stored, d, size = grouped(n, k, group, bits, scale_type, None if asym else half)
    g = np.arange(k) // size
    if index:
        g = rng.permutation(g)
    c = Case(name, **{"quantization_config.quant_method": "compressed-tensors",
                      "quantization_config.format": "pack-quantized"})
    if config:
        c.key("quantization_config.config_groups.group_0.weights.num_bits", bits)
        if group > 0:
            c.key("quantization_config.config_groups.group_0.weights.group_size", group)
    c.add("a.weight_packed", I32, pack(q, bits)).add("a.weight_scale", scale_type, stored)
    c.add("a.weight_shape", shape_type, np.array([n, k], np.int64 if shape_type == I64 else np.int32))
    if asym and zeros_plain:
        c.add("a.weight_zero_point", I8, (z - half).astype(np.int8))
    elif asym:
        c.add("a.weight_zero_point", I32, pack(z.T, bits).T)
    if index:
        c.add("a.weight_g_idx", I32, g.astype(np.int32))
    return c.want("a.weight", want, d[:, g] * (q - z[:, g]).astype(np.float32), rel)


def ct_int8_case(name, n, k, scale_shape, scale_type, want, asym=False, rel=0.0, scale=1.0):
    q = rng.integers(-128, 128, (n, k)).astype(np.int8)
    stored, d = floats(rng.uniform(0.001, 0.01, scale_shape) * scale, scale_type)
    z = rng.integers(-128, 128, scale_shape).astype(np.int8) if asym else np.zeros(scale_shape, np.int8)
    c = Case(name, **{"quantization_config.quant_method": "compressed-tensors",
                      "quantization_config.format": "int-quantized"})
    c.add("a.weight", I8, q).add("a.weight_scale", scale_type, stored).add("a.input_scale", F32, np.ones(1, np.float32))
    if asym:
        c.add("a.weight_zero_point", I8, z)
    groups = d.shape[-1] if d.ndim == 2 else 1
    full = (lambda x: np.broadcast_to(spread(x, k // groups, k) if x.ndim == 2 else x, (n, k)))
    return c.want("a.weight", want, full(d) * (q.astype(np.int32) - full(z).astype(np.int32)).astype(np.float32), rel)


def compressed_tensors():
    ct_case("pack-quantized int4, group 128", 40, 256, 4, 128, Q4_0)
    ct_case("pack-quantized int4, group 32, f16", 33, 96, 4, 32, Q4_0, F16)
    ct_case("pack-quantized int4, group 64 of 96", 8, 96, 4, 64, Q4_0)
    ct_case("pack-quantized int4 with zeros", 40, 128, 4, 32, G4, asym=True)
    ct_case("pack-quantized int4 with plain zeros", 40, 128, 4, 32, G4, asym=True, zeros_plain=True)
    ct_case("pack-quantized int4 with zeros, channels, 37 rows", 37, 64, 4, -1, G4, asym=True)
    ct_case("pack-quantized int4, columns sorted", 16, 128, 4, 32, F32, index=True)
    ct_case("pack-quantized int4, rows of 40", 16, 40, 4, -1, F32)
    ct_case("pack-quantized int8, channels", 40, 96, 8, -1, Q8_0)
    ct_case("pack-quantized int8, group 32 with zeros", 36, 96, 8, 32, G8, asym=True)
    ct_case("pack-quantized int3", 16, 96, 3, 32, Q4_0, asym=True)
    ct_case("pack-quantized int6", 16, 96, 6, 32, Q8_0)
    ct_case("pack-quantized int4, f32 scales", 16, 96, 4, 32, Q4_0, F32, rel=U)
    ct_case("pack-quantized int4, sizes as I32, no configuration", 16, 96, 4, 32, Q4_0, shape_type=I32, config=False)
    ct_int8_case("int-quantized, channels", 40, 96, (40, 1), BF16, Q8_0)
    ct_int8_case("int-quantized, one scale", 33, 64, (1,), F32, Q8_0, rel=U)
    ct_int8_case("int-quantized, f16", 33, 64, (33, 1), F16, Q8_0)
    ct_int8_case("int-quantized with zeros", 33, 64, (33, 1), BF16, G8, asym=True)
    ct_int8_case("int-quantized, groups of 32", 12, 96, (12, 3), BF16, Q8_0)
    ct_int8_case("int-quantized, rows of 70", 12, 70, (12, 1), BF16, F32)


# ---- MLX -------------------------------------------------------------------------------------

def mlx_values(words, scales, mins, bits, group):
    """(n, words) to (n, k); codes from the bits themselves, as the definition has it."""
    k = scales.shape[-1] * group
    lines = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=-1, bitorder="little")
    q = (lines[..., :k * bits].reshape(words.shape[:-1] + (k, bits)) << np.arange(bits)).sum(-1)
    return spread(scales, group, k) * q.astype(np.float32) + spread(mins, group, k)


def mlx_case(name, shape, bits, group, want, scale_type=BF16, rel=0.0, absolute=0.0, mins=".biases", key=None):
    *lead, k = shape
    words = pack(rng.integers(0, 1 << bits, shape), bits)
    size = tuple(lead) + (k // group,)
    stored, d = floats(rng.uniform(0.3, 1, size) * 0.1 / (1 << bits) * rng.choice([-1, 1], size), scale_type)
    kept, m = floats(rng.uniform(-0.05, 0.05, size), scale_type)
    c = Case(name, **{"quantization.group_size": 64, "quantization.bits": 4})
    c.key(f"quantization.a.{key}" if key else "quantization.group_size", group)
    c.add("a.weight", U32, words).add("a.scales", scale_type, stored).add("a" + mins, scale_type, kept)
    return c.want("a.weight", want, mlx_values(words, d, m, bits, group), rel, absolute)


def mlx():
    for bits in (2, 3, 4, 5, 6, 8):
        for group, k in ((32, 96), (64, 128), (128, 256)):
            mlx_case(f"mlx {bits} bit, group {group}", (36 if group == 32 else 5, k), bits, group,
                     Q4_1 if bits <= 4 else M8, F16 if group == 64 else BF16)
    mlx_case("mlx, a module of its own", (8, 96), 8, 32, M8, key="group_size")
    mlx_case("mlx, three experts", (3, 40, 64), 4, 64, Q4_1)
    mlx_case("mlx, qbiases", (8, 64), 4, 64, Q4_1, mins=".qbiases")
    # d q and m are rounded on their own, so their sizes count: at most 0.1 and 0.05
    mlx_case("mlx, f32 scales", (8, 64), 4, 64, Q4_1, F32, 0, 0.15 / 0.05 * U)


# ---- FP8 and BitNet --------------------------------------------------------------------------

def fp8_case(name, n, k, scale_shape, want=F8_32, scale_type=F32, t=E4M3, suffix=".weight_scale", block=(128, 128),
             config=None, scale=1.0):
    q = rng.integers(0, 256, (n, k)).astype(np.uint8)
    q[(q & 127) >= (127 if t == E4M3 else 124)] = 0
    stored, d = floats(rng.uniform(0.001, 0.01, scale_shape) * scale, scale_type)
    c = Case(name, **{"quantization_config.quant_method": "fp8"})
    if config:
        c.key(config, list(block))
    c.add("a.weight", t, q).add("a" + suffix, scale_type, stored).add("a.input_scale", F32, np.float32(1))
    full = d if d.ndim < 2 or d.shape[1] == 1 else np.repeat(np.repeat(d, block[0], 0), block[1], 1)[:n, :k]
    return c.want("a.weight", want, (e4m3(q) if t == E4M3 else e5m2(q)) * full)


def bitnet_values(packed):
    return np.concatenate([(packed >> 2 * i & 3).astype(np.int32) - 1 for i in range(4)])


def bitnet_case(name, n, k, want, scale_type=BF16, linear="autobitlinear", scale=0.37, rel=0.0):
    packed = sum(rng.integers(0, 3, (n // 4, k)).astype(np.uint8) << 2 * i for i in range(4)).astype(np.uint8)
    stored, d = floats(np.array([scale]), scale_type)
    c = Case(name, **{"quantization_config.quant_method": "bitnet", "quantization_config.linear_class": linear})
    c.add("a.weight", U8, packed).add("a.weight_scale", scale_type, stored)
    d = d if linear == "autobitlinear" else np.float32(1) / d
    return c.want("a.weight", want, d * bitnet_values(packed).astype(np.float32), rel)


def floats8_and_bitnet():
    fp8_case("fp8, one scale", 40, 96, ())
    fp8_case("fp8, one scale in a vector", 40, 96, (1,))
    fp8_case("fp8, rows", 40, 96, (40, 1))
    fp8_case("fp8, rows, bf16", 40, 96, (40, 1), scale_type=BF16)
    fp8_case("fp8, tiles of 128", 200, 320, (2, 3), suffix=".weight_scale_inv", config="quantization_config.weight_block_size")
    fp8_case("fp8, tiles of 32 by 64", 40, 160, (2, 3), suffix=".weight_scale_inv", block=(32, 64),
             config="quantization_config.weight_block_size")
    fp8_case("fp8, tiles, compressed-tensors", 130, 256, (2, 2),
             config="quantization_config.config_groups.group_0.weights.block_structure")
    fp8_case("fp8 e5m2", 8, 64, (8, 1), want=F32, t=E5M2)
    fp8_case("fp8, rows of 40", 8, 40, (8, 1), want=F32)
    bitnet_case("bitnet", 40, 512, TQ2_0)
    bitnet_case("bitnet, rows of 96", 72, 96, Q4_0)
    bitnet_case("bitnet, rows of 40", 8, 40, F32)
    bitnet_case("bitnet, divided", 40, 256, TQ2_0, linear="bitlinear", scale=2.71, rel=U)
    bitnet_case("bitnet, divided exactly", 40, 256, TQ2_0, F32, linear="bitlinear", scale=4)


# ---- against the packages ---------------------------------------------------------------------

def same(a, b, what):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape and np.array_equal(a, b), what


def check_bitsandbytes():
    import bitsandbytes
    import bitsandbytes.functional as bf
    import torch
    for kind, book in (("nf4", NF4_BOOK), ("fp4", FP4_BOOK)):
        for nested in (False, True):
            w = torch.randn(64, 192)
            data, state = bf.quantize_4bit(w, blocksize=64, quant_type=kind, compress_statistics=nested)
            same(np.abs(state.code.numpy() - book).max() < 1e-7, True, "book")
            absmax = state.absmax.numpy()
            if nested:
                absmax = bnb_absmax(absmax, state.state2.code.numpy(), state.state2.absmax.numpy(), state.offset.item(),
                                    state.state2.blocksize)
            theirs = bf.dequantize_4bit(data, state).numpy()
            ours = bnb_values(data.numpy(), absmax, state.code.numpy(), (64, 192))
            assert np.abs(theirs - ours).max() <= 1e-6, (kind, nested, np.abs(theirs - ours).max())
            packed = state.as_dict(packed=True)
            assert set(packed) >= {"absmax", "quant_map", f"quant_state.bitsandbytes__{kind}"}
            assert not nested or set(packed) >= {"nested_absmax", "nested_quant_map"}
    q, scb, _ = bf.int8_vectorwise_quant(torch.randn(16, 64, dtype=torch.float16))
    theirs = bf.int8_vectorwise_dequant(q, scb).float().numpy()
    ours = (scb.numpy() / np.float32(127))[:, None] * q.numpy().astype(np.float32)
    assert np.abs(theirs - ours).max() <= 2e-7 * np.abs(ours).max()
    return f"bitsandbytes {bitsandbytes.__version__}"


def check_compressed_tensors():
    import compressed_tensors
    import torch
    from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
    for bits in range(2, 9):
        for shape in ((8, 96), (5, 40), (37, 3)):
            q = rng.integers(0, 1 << bits, shape)
            signed = torch.tensor((q - (1 << (bits - 1))).astype(np.int8))
            same(pack_to_int32(signed, bits).numpy().view(np.uint32), pack(q, bits), (bits, shape))
            same(pack_to_int32(signed, bits, packed_dim=0).numpy().view(np.uint32), pack(q.T, bits).T, (bits, shape, 0))
    return f"compressed-tensors {compressed_tensors.__version__}"


def check_mlx():
    import mlx.core as mx
    for bits in (2, 3, 4, 5, 6, 8):
        for group in (32, 64, 128):
            w = mx.array(rng.standard_normal((8, 256)).astype(np.float32))
            words, scales, mins = mx.quantize(w, group_size=group, bits=bits)
            theirs = np.array(mx.dequantize(words, scales, mins, group_size=group, bits=bits))
            ours = mlx_values(np.array(words), np.array(scales), np.array(mins), bits, group)
            assert np.abs(theirs - ours).max() <= 1e-6, (bits, group)
    return f"mlx {mx.__version__}"


def check_transformers():
    import torch
    import transformers
    from transformers.integrations.bitnet import pack_weights
    from transformers.integrations.finegrained_fp8 import _dequantize_fp8_weight
    t = torch.tensor(rng.integers(-1, 2, (24, 40)).astype(np.float32))
    same(bitnet_values(pack_weights(t.clone()).numpy()), t.numpy().astype(np.int32), "bitnet")
    b = np.arange(256, dtype=np.uint8)
    same(np.nan_to_num(torch.tensor(b).view(torch.float8_e4m3fn).float().numpy(), nan=9e9),
         np.nan_to_num(e4m3(b), nan=9e9), "e4m3")
    same(np.nan_to_num(torch.tensor(b).view(torch.float8_e5m2).float().numpy(), nan=9e9),
         np.nan_to_num(e5m2(b), nan=9e9), "e5m2")
    q = rng.integers(0, 127, (200, 320)).astype(np.uint8)
    d = rng.uniform(0.001, 0.01, (2, 3)).astype(np.float32)
    theirs = _dequantize_fp8_weight(torch.tensor(q).view(torch.float8_e4m3fn), torch.tensor(d), [128, 128], torch.float32)
    same(theirs.numpy(), e4m3(q) * np.repeat(np.repeat(d, 128, 0), 128, 1)[:200, :320], "fp8 tiles")
    return f"transformers {transformers.__version__}, torch {torch.__version__}"


def check():
    found = [f"numpy {np.__version__}"]
    for one in (check_bitsandbytes, check_compressed_tensors, check_mlx, check_transformers):
        try:
            found.append(one())
        except ImportError as e:
            print(f"{one.__name__}: not held against it: {e}", file=sys.stderr)
    return ", ".join(found)


def main():
    versions = check()
    global rng
    rng = np.random.default_rng(20261)
    for group in (gptq_and_awq, bnb, compressed_tensors, mlx, floats8_and_bitnet):
        group()
    data = b"MTPACKED" + text(versions) + struct.pack("<I", len(cases)) + b"".join(written(c) for c in cases)
    with open(sys.argv[1], "wb") as f:
        f.write(data)
    print(f"{versions}: {len(cases)} cases, {len(data)} bytes")
    least = {}
    for c in cases:
        method = [v for key, v in c.keys.items() if key.endswith(".quant_method")] or ["mlx"]
        scheme = method[0] + "_" + c.tensors[0][0].split(".")[1]
        if scheme not in least or len(written(c)) < len(written(least[scheme])):
            least[scheme] = c
    for scheme, c in least.items() if len(sys.argv) > 2 else ():
        (pathlib.Path(sys.argv[2]) / scheme.replace("-", "_")).write_bytes(written(c))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A tiny random llama in the formats older than GGUF, and as GGUF what each of them holds, read here by
numpy from the formats' definitions (llama2.c: export.py and run.c; GGML: the structures of ggml.c at
the time).  test_old_formats.c compares; the old files are also the seeds of fuzz_old_formats.

    python tests/golden/make_old.py tests/golden/old tests/fuzz/corpus/old_formats
"""
import importlib.metadata
import pathlib
import struct
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

EXPECT, OLD = map(pathlib.Path, sys.argv[1:3])
DIM, HIDDEN, LAYERS, HEADS, KV, VOCAB, CTX = 32, 64, 2, 4, 2, 40, 24
F32 = np.float32
rng = np.random.default_rng(20261128)

# ---- the model ------------------------------------------------------------------------------------

HEAD = DIM // HEADS
LAYER = {"attn_norm": (DIM,), "attn_q": (DIM, DIM), "attn_k": (KV * HEAD, DIM), "attn_v": (KV * HEAD, DIM),
         "attn_output": (DIM, DIM), "ffn_norm": (DIM,), "ffn_gate": (HIDDEN, DIM), "ffn_down": (DIM, HIDDEN),
         "ffn_up": (HIDDEN, DIM)}
GGML_NAME = {"token_embd": "tok_embeddings", "output_norm": "norm", "output": "output",
             "attn_norm": "attention_norm", "attn_q": "attention.wq", "attn_k": "attention.wk",
             "attn_v": "attention.wv", "attn_output": "attention.wo", "ffn_norm": "ffn_norm",
             "ffn_gate": "feed_forward.w1", "ffn_down": "feed_forward.w2", "ffn_up": "feed_forward.w3"}


def make(shape):
    return (rng.normal(0, 0.3, shape) + (len(shape) == 1)).astype(F32)


weights = {"token_embd.weight": make((VOCAB, DIM))}
for i in range(LAYERS):
    for name, shape in LAYER.items():
        weights[f"blk.{i}.{name}.weight"] = make(shape)
weights["output_norm.weight"] = make((DIM,))
weights["output.weight"] = make((VOCAB, DIM))


def layers(name):
    return [weights[f"blk.{i}.{name}.weight"] for i in range(LAYERS)]


# 40 pieces as a sentencepiece model has them: specials, a byte, then pieces with the space mark.
pieces = ["<unk>", "<s>", "</s>", "<0x0A>", "▁▁", "▁▁▁", "▁the", "é", "世界"] + [f"w{i}▁x" for i in range(9, VOCAB)]
scores = [0.0, 0.0, 0.0, 0.0] + [-float(i) / 2 for i in range(4, VOCAB)]
kinds = [2, 3, 3, 6] + [1] * (VOCAB - 4)


def expect(name, tensors, kv, eps, has_scores=True):
    w = gguf.GGUFWriter(EXPECT / name, "llama")
    w.add_string("made.by", ", ".join(p + " " + importlib.metadata.version(p) for p in ("gguf", "numpy")))
    w.add_context_length(kv["ctx"])
    w.add_embedding_length(DIM)
    w.add_block_count(LAYERS)
    w.add_feed_forward_length(HIDDEN)
    w.add_head_count(HEADS)
    w.add_head_count_kv(KV)
    w.add_layer_norm_rms_eps(eps)
    w.add_rope_dimension_count(HEAD)
    w.add_vocab_size(VOCAB)
    w.add_tokenizer_model("llama")
    w.add_tokenizer_pre("default")
    w.add_token_list(pieces)
    if has_scores:
        w.add_token_scores(scores)
    w.add_token_types(kinds)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.add_add_bos_token(True)
    w.add_add_eos_token(False)
    for tensor, value in tensors.items():
        kind, value = value if isinstance(value, tuple) else (None, value)
        w.add_tensor(tensor, value, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# ---- llama2.c ---------------------------------------------------------------------------------------

def write(name, *parts):
    (OLD / name).write_bytes(b"".join(p if isinstance(p, bytes) else p.tobytes() for p in parts))


def header(vocab):
    return struct.pack("<7i", DIM, HIDDEN, LAYERS, HEADS, KV, vocab, CTX)


ROPE = [np.zeros((CTX, HEAD // 2), F32), np.ones((CTX, HEAD // 2), F32)]     # cos and sin, which nobody reads
legacy = [weights["token_embd.weight"]]
for n in ("attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_down", "ffn_up"):
    legacy += layers(n)
legacy += [weights["output_norm.weight"], *ROPE]
write("llama2c_v0.bin", header(-VOCAB), *legacy, weights["output.weight"])
write("llama2c_v0_tied.bin", header(VOCAB), *legacy)


def new_header(version, tied, group=None):
    h = struct.pack("<Ii", 0x616b3432, version) + header(VOCAB) + struct.pack("<B", tied)
    return (h + (struct.pack("<i", group) if group else b"")).ljust(256, b"\0")


plain = [*layers("attn_norm"), *layers("ffn_norm"), weights["output_norm.weight"], weights["token_embd.weight"]]
matrices = [w for n in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_down", "ffn_up")
            for w in layers(n)]
write("llama2c_v1.bin", new_header(1, 0), *plain, *matrices, weights["output.weight"])


def q80(w, group):
    """As export.py: int8 and a float32 scale for each group of the flattened matrix."""
    w = w.reshape(-1, group)
    scale = np.abs(w).max(axis=1) / F32(127)
    return np.round(w / scale[:, None]).astype(np.int8), scale


def version2(name, group, tied):
    parts, held = [*layers("attn_norm"), *layers("ffn_norm"), weights["output_norm.weight"]], dict(weights)
    names = ["token_embd.weight"] + [f"blk.{i}.{n}.weight" for n in (
        "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_down", "ffn_up") for i in range(LAYERS)]
    if tied:
        del held["output.weight"]
    for n in names + ([] if tied else ["output.weight"]):
        q, scale = q80(weights[n], group)
        parts += [q, scale]
        held[n] = (q.astype(F32) * scale[:, None]).reshape(weights[n].shape)
    write(name, new_header(2, tied, group), *parts)
    return held


V2 = version2("llama2c_v2.bin", 32, 0)
V2_WIDE = version2("llama2c_v2_64.bin", 64, 1)      # groups span two rows of the narrow matrices


def spaced(piece):
    return piece.replace("▁", " ").encode()


words = [{1: b"\n<s>\n", 2: b"\n</s>\n"}.get(i, spaced(p)) for i, p in enumerate(pieces)]
write("tokenizer.bin", struct.pack("<I", max(map(len, words))),
      *[struct.pack("<fI", s, len(p)) + p for p, s in zip(words, scores)])

expect("llama2c.gguf", weights, {"ctx": CTX}, 1e-5)
expect("llama2c_v2.gguf", V2, {"ctx": CTX}, 1e-5)
expect("llama2c_v2_64.gguf", V2_WIDE, {"ctx": CTX}, 1e-5)

# ---- GGML --------------------------------------------------------------------------------------------

# What convert-pth-to-ggml.py wrote for unknown, control and byte pieces.
old_words = [" ⁇ ".encode(), b"", b"", b"\n"] + [spaced(p) for p in pieces[4:]]


def half(x):
    return x.astype(np.float16)


def nibbles(q, in_pairs):
    """16 bytes of 32 codes: neighbours share a byte, or (from GGJT 2 on) i and i + 16."""
    q = q.astype(np.uint8)
    low, high = (q[:, 0::2], q[:, 1::2]) if in_pairs else (q[:, :16], q[:, 16:])
    return low | high << 4


def fifth(q):
    return np.packbits((q.astype(np.uint8) >> 4).reshape(-1, 4, 8), axis=2, bitorder="little").reshape(-1, 4)


def blocks(w, kind, version):
    """(bytes as the old file has them, values); version 1 and 2 of the quantisation formats."""
    x, n = w.reshape(-1, 32), w.size // 32
    low, high, pairs = x.min(axis=1), x.max(axis=1), version == 1
    most = np.take_along_axis(x, np.abs(x).argmax(axis=1)[:, None], axis=1)[:, 0]
    raw = lambda *columns: np.concatenate([np.ascontiguousarray(c).view(np.uint8).reshape(n, -1) for c in columns], 1)
    if kind in (T.Q4_0, T.Q5_0):
        middle = 8 if kind == T.Q4_0 else 16
        d = most / F32(-middle)
        d = d if kind == T.Q4_0 else half(d).astype(F32)
        q = np.clip(np.round(x / d[:, None]) + middle, 0, 2 * middle - 1)
        values = (q - middle).astype(F32) * d[:, None]
        stored = raw(d, nibbles(q, pairs)) if kind == T.Q4_0 else raw(half(d), fifth(q), nibbles(q.astype(np.uint8) & 15, pairs))
    elif kind in (T.Q4_1, T.Q5_1):
        top = 15 if kind == T.Q4_1 else 31
        d, m = (high - low) / F32(top), low
        if kind == T.Q5_1:
            d, m = half(d).astype(F32), half(m).astype(F32)
        q = np.clip(np.round((x - m[:, None]) / d[:, None]), 0, top)
        values = q.astype(F32) * d[:, None] + m[:, None]
        stored = (raw(d, m, nibbles(q, pairs)) if kind == T.Q4_1
                  else raw(half(d), half(m), fifth(q), nibbles(q.astype(np.uint8) & 15, pairs)))
    else:
        d = np.abs(x).max(axis=1) / F32(127)
        q = np.round(x / d[:, None]).astype(np.int8)
        values = q.astype(F32) * d[:, None]
        stored = raw(d, q)
    return stored, values.reshape(w.shape).astype(F32)


def ggml(name, magic, version, kind_of, quant=1):
    """kind_of: the type of each tensor's name.  Returns what the file holds."""
    out, held = bytearray(magic), {}
    if version:
        out += struct.pack("<I", version)
    out += struct.pack("<7I", VOCAB, DIM, 256, HEADS, LAYERS, HEAD, 0)
    for word, score in zip(old_words, scores):
        out += struct.pack("<I", len(word)) + word + (struct.pack("<f", score) if version else b"")
    for tensor, value in weights.items():
        kind = kind_of(tensor) if value.ndim > 1 else T.F32
        held[tensor] = value
        if kind == T.F32:
            data = value
        elif kind == T.F16:
            data = held[tensor] = half(value)
        elif magic == b"tjgg" and version == 3:
            data = gguf.quants.quantize(value, kind)
            held[tensor] = (kind, data)
        else:
            data, held[tensor] = blocks(value, kind, quant)
        part = tensor.removesuffix(".weight").split(".")
        old = f"layers.{part[1]}.{GGML_NAME[part[2]]}" if part[0] == "blk" else GGML_NAME[part[0]]
        old = (old + ".weight").encode()
        out += struct.pack("<3I", value.ndim, len(old), kind) + struct.pack(f"<{value.ndim}I", *value.shape[::-1]) + old
        if magic == b"tjgg":
            out += b"\0" * (-len(out) % 32)
        out += data.tobytes()
    (OLD / name).write_bytes(out)
    return held


KINDS = [T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.F16, T.F32]
order = {n: KINDS[i % 7] for i, n in enumerate(n for n, v in weights.items() if v.ndim > 1)}
OLD_KV = {"ctx": 2048}
ggml("ggml.bin", b"lmgg", 0, lambda n: T.F32)
expect("ggml.gguf", weights, OLD_KV, 5e-6, has_scores=False)
expect("ggmf.gguf", ggml("ggmf.bin", b"fmgg", 1, lambda n: T.F16), OLD_KV, 5e-6)
for v in (1, 2, 3):
    expect(f"ggjt{v}.gguf", ggml(f"ggjt{v}.bin", b"tjgg", v, order.get, v), OLD_KV, 5e-6)

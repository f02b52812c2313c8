#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a random model as GGUF: any shape, any weight type, a tokenizer that works.

    make_model.py --arch llama --layers 2 --embd 96 --heads 3 --kv 1 --ff 160 --type Q4_1 OUT.gguf
    make_model.py --embd 256 --type Q4_K --set ffn_down=Q6_K --set token_embd=Q6_K OUT.gguf

For tests and for measuring shapes nobody has published.  Needs numpy and gguf.  The same arguments
give the same bytes.  Types that the gguf package cannot write (K-quants, IQ4) get random blocks
whose scales give the weights a sensible size; a type whose block does not divide a row falls back
to Q8_0, then F16.  The tokenizer is byte-level BPE (pre-tokenizer smollm) with merges learned from
a few sentences, ChatML tokens and a ChatML template.
"""
import argparse
from collections import Counter

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

# offsets of (d, dmin) in a block, dmin's ratio to d, and where 6-bit scales and minima are packed
BLOCKS = {
    Type.Q2_K: dict(d=80, dmin=82, ratio=1.5),
    Type.Q3_K: dict(d=108),
    Type.Q4_K: dict(d=0, dmin=2, ratio=7.5, scales=4),
    Type.Q5_K: dict(d=0, dmin=2, ratio=15.5, scales=4),
    Type.Q6_K: dict(d=208),
    Type.IQ4_NL: dict(d=0),
    Type.IQ4_XS: dict(d=0),
}

TEXT = """the quick brown fox jumps over the lazy dog and then the dog sleeps in the sun
why is the sky blue the answer is that the air scatters the short waves of the light of the sun
write a short story about a small model that learns to think one token after the other
what is the time and where is the station in the town by the river in the north of the country"""

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


# ---- weights -------------------------------------------------------------------------------------

def pack_scales(sc, mn):
    """Eight 6-bit scales and minima in 12 bytes, as Q4_K and Q5_K hold them."""
    out = np.zeros((len(sc), 12), np.uint8)
    out[:, 0:4] = sc[:, :4] | (sc[:, 4:] >> 4) << 6
    out[:, 4:8] = mn[:, :4] | (mn[:, 4:] >> 4) << 6
    out[:, 8:12] = (sc[:, 4:] & 15) | (mn[:, 4:] & 15) << 4
    return out


def random_blocks(rng, shape, kind, std):
    """Valid blocks of random codes; scales such that the weights have about this deviation."""
    width, size = gguf.GGML_QUANT_SIZES[kind]
    rule = BLOCKS[kind]
    n = int(np.prod(shape)) // width
    blocks = rng.integers(0, 256, (n, size), dtype=np.uint8)
    if kind == Type.Q2_K:               # minima near their scales: weights centred on zero
        sc = rng.integers(4, 15, (n, 16), dtype=np.uint8)
        blocks[:, :16] = sc | (sc + rng.integers(0, 2, sc.shape, dtype=np.uint8)) << 4
    if "scales" in rule:
        sc = rng.integers(16, 60, (n, 8), dtype=np.uint8)
        mn = sc + rng.integers(0, 4, sc.shape, dtype=np.uint8) - 1
        blocks[:, rule["scales"]:rule["scales"] + 12] = pack_scales(sc, mn)

    def put(at, values):
        blocks[:, at:at + 2] = values.astype(np.float16)[:, None].view(np.uint8)

    def set_d(d):
        put(rule["d"], d)
        if "dmin" in rule:
            put(rule["dmin"], d * rule["ratio"])

    set_d(np.full(n, 1 / 64))
    rms = np.sqrt(np.mean(np.square(gguf.quants.dequantize(blocks, kind)))) * 64
    set_d(std / rms * rng.uniform(0.7, 1.3, n))
    return blocks.reshape(*shape[:-1], -1)


def fitting(kind, width):
    """The type, or what a row of this width can have instead."""
    for k in (kind, Type.Q8_0, Type.F16):
        if width % gguf.GGML_QUANT_SIZES[k][0] == 0:
            return k


class Writer:
    def __init__(self, args):
        self.w = gguf.GGUFWriter(args.out, args.arch)
        self.rng = np.random.default_rng(args.seed)
        self.kind = Type[args.type]
        self.rules = [(name, Type[kind]) for name, kind in (rule.split("=") for rule in args.set)]

    def matrix(self, name, n_out, n_in, std=None):
        kind = next((k for part, k in self.rules if part in name), self.kind)
        kind = fitting(kind, n_in)
        std = std or n_in ** -0.5
        if kind in BLOCKS:
            data = random_blocks(self.rng, (n_out, n_in), kind, std)
        else:
            data = gguf.quants.quantize(self.rng.normal(0, std, (n_out, n_in)).astype(np.float32), kind)
        self.w.add_tensor(name, data, raw_dtype=kind)

    def vector(self, name, n, mean, std):
        self.w.add_tensor(name, self.rng.normal(mean, std, n).astype(np.float32))

    def tokenizer(self, n_vocab):
        add_tokenizer(self.w, n_vocab)

    def close(self):
        self.w.write_header_to_file()
        self.w.write_kv_data_to_file()
        self.w.write_tensors_to_file()
        self.w.close()


# ---- tokenizer -----------------------------------------------------------------------------------

def byte_letters():
    """The printable letter that stands for each byte, as GPT-2 has it."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) if b in keep else chr(256 + sum(x not in keep for x in range(b))) for b in range(256)]


def learn_merges(n):
    """The n commonest pairs, one after the other; ties by the pair itself."""
    letter = byte_letters()
    words = Counter(tuple(letter[b] for b in (" " + w).encode()) for w in TEXT.split())
    merges = []
    while len(merges) < n:
        pairs = Counter()
        for word, count in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += count
        if not pairs:
            break
        best = max(pairs, key=lambda p: (pairs[p], p))
        merges.append(best)
        words = Counter({merged(word, best): count for word, count in words.items()})
    return merges


def merged(word, pair):
    out, i = [], 0
    while i < len(word):
        whole = word[i:i + 2] == pair
        out.append(word[i] + word[i + 1] if whole else word[i])
        i += 2 if whole else 1
    return tuple(out)


def add_tokenizer(w, n_vocab):
    """Control tokens, bytes, merges, and unused tokens up to n_vocab."""
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    merges = learn_merges(min(n_vocab - len(control) - 256, 600))
    tokens = control + byte_letters() + [a + b for a, b in merges]
    kinds = [gguf.TokenType.CONTROL] * len(control) + [gguf.TokenType.NORMAL] * (len(tokens) - len(control))
    while len(tokens) < n_vocab:
        kinds.append(gguf.TokenType.UNUSED)
        tokens.append(f"<unused{len(tokens)}>")
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("smollm")
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    w.add_token_merges([" ".join(pair) for pair in merges])
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.add_pad_token_id(2)
    w.add_add_bos_token(False)
    w.add_chat_template(CHAT_TEMPLATE)


# ---- the model -----------------------------------------------------------------------------------

def write_model(a, writer=Writer):
    n_vocab, head = max(a.vocab, 3 + 256), a.head_dim or a.embd // a.heads
    out = writer(a)
    w = out.w
    w.add_name(f"random {a.arch} {a.layers}x{a.embd}")
    w.add_string("general.license", "mit")
    w.add_block_count(a.layers)
    w.add_context_length(a.ctx)
    w.add_embedding_length(a.embd)
    w.add_feed_forward_length(a.ff)
    w.add_head_count(a.heads)
    w.add_head_count_kv(a.kv)
    if a.head_dim:
        w.add_key_length(head)
        w.add_value_length(head)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_freq_base(a.theta)
    w.add_rope_dimension_count(head)
    w.add_vocab_size(n_vocab)
    out.tokenizer(n_vocab)

    out.matrix("token_embd.weight", n_vocab, a.embd, 2 * a.embd ** -0.5)
    for i in range(a.layers):
        b = f"blk.{i}."
        out.vector(b + "attn_norm.weight", a.embd, 1, 0.2)
        for x, n in (("q", a.heads), ("k", a.kv), ("v", a.kv)):
            out.matrix(f"{b}attn_{x}.weight", n * head, a.embd)
            if a.arch == "qwen2":
                out.vector(f"{b}attn_{x}.bias", n * head, 0, 0.3)
        out.matrix(b + "attn_output.weight", a.embd, a.heads * head)
        out.vector(b + "ffn_norm.weight", a.embd, 1, 0.2)
        out.matrix(b + "ffn_gate.weight", a.ff, a.embd)
        out.matrix(b + "ffn_up.weight", a.ff, a.embd)
        out.matrix(b + "ffn_down.weight", a.embd, a.ff)
    out.vector("output_norm.weight", a.embd, 1, 0.2)
    if a.untied:
        out.matrix("output.weight", n_vocab, a.embd, 2 * a.embd ** -0.5)
    out.close()


def main():
    types = [*BLOCKS, Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1]
    p = argparse.ArgumentParser(description="Writes a random model as GGUF.")
    p.add_argument("out")
    p.add_argument("--arch", choices=["llama", "qwen2"], default="llama")
    p.add_argument("--layers", type=int, default=2)
    p.add_argument("--embd", type=int, default=96)
    p.add_argument("--heads", type=int, default=3)
    p.add_argument("--kv", type=int, default=1)
    p.add_argument("--head-dim", type=int, default=0, help="0: embd / heads")
    p.add_argument("--ff", type=int, default=160)
    p.add_argument("--vocab", type=int, default=275, help="at least 259")
    p.add_argument("--ctx", type=int, default=2048)
    p.add_argument("--theta", type=float, default=10000.0)
    p.add_argument("--type", default="Q4_0", choices=sorted(t.name for t in types))
    p.add_argument("--set", action="append", default=[], metavar="PART=TYPE",
                   help="another type for matrices whose name holds PART; the first that fits counts")
    p.add_argument("--untied", action="store_true", help="a head of its own")
    p.add_argument("--seed", type=int, default=1)
    write_model(p.parse_args())


if __name__ == "__main__":
    main()

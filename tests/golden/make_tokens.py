#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tokens.bin: random texts and the ids the `tokenizers` package gives them.

    python tests/golden/make_tokens.py VOCAB_DIR SMOLLM2.gguf tests/golden/tokens.bin

VOCAB_DIR holds the ggml-vocab-*.gguf files of the reference data.  For each byte-level BPE
vocabulary a tokenizer is built from the file's own tokens and merges with the published split
pattern of its family; the texts come from a fixed seed.  Needs `gguf` and `tokenizers`; their
versions stand in the output's second line.

Layout, little-endian: "mote-tokens 1\\n", a line of JSON, u32 vocabularies, each u8 length + file
name, u32 texts, each u32 length + u8 trusted + bytes, then per vocabulary and text u16 number of
ids + u64 FNV-1a over the ids as i32.  In a trusted text the control tokens count as such.
"""
import json
import os
import random
import struct
import sys
import unicodedata

import gguf
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

GPT2 = None  # ByteLevel's own pattern
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
# file, split pattern, numbers digit by digit, whole words win over merges
VOCABS = [
    ("ggml-vocab-gpt-2.gguf", GPT2, False, False),
    ("ggml-vocab-gpt-neox.gguf", GPT2, False, False),
    ("ggml-vocab-mpt.gguf", GPT2, False, False),
    ("ggml-vocab-starcoder.gguf", GPT2, True, False),
    ("ggml-vocab-llama-bpe.gguf", LLAMA3, False, True),
    ("ggml-vocab-qwen2.gguf", QWEN2, False, False),
    ("SmolLM2-135M-Instruct.Q4_1.gguf", GPT2, True, False),
]
CONTROL, USER = 3, 4

WORDS = ("the of and to in is you that it he was for on are as with his they I at be this have from "
         "or one had by word but not what all were we when your can said there use an each which "
         "she do how their if will up other about out many then them these so some her would make "
         "like him into time has look two more write go see number no way could people my than "
         "first water been call who oil its now find long down day did get come made may part "
         "internationalization antidisestablishmentarianism tokenizer quantization naïve café "
         "Straße Ελλάδα язык модель слово עברית العربية हिन्दी ภาษาไทย 中文模型 日本語です 한국어 "
         "int main(void) return 0; def f(x): self.x = x</div> #include <stdio.h> https://a.b/c?d=e "
         "I'm you're they've we'll he'd it's DON'T CAN'T I'LL o'clock rock'n'roll 3.14159 1,000,000 "
         "0x7FFF 2026-11-21 12:34:56 100% $9.99 a_b_c camelCaseWord SCREAMING_CASE e-mail").split(" ")
CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'M", "'lL",
                "'D", "'\u017f", "'x", "''", "’s", "'"]
SPACES = [" ", " ", " ", "  ", "   ", "\t", "\n", "\r", "\r\n", "\n\n", " \n", "\n ", "\u00a0", "\u3000",
          "\u2003", "\u2028", "\u0085", "\u1680", "\u202f", "\x0b", "\x0c", "\x1c", "\u200b", "\ufeff"]
EMOJI = ["🦙", "🚀", "😶‍🌫️", "✅", "👩‍👩‍👧‍👦", "🇩🇪", "👍🏽", "❤️", "1️⃣", "☺"]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|eot_id|>",
           "<|start_header_id|>", "<fim_prefix>", "<file_sep>", "<|padding|>", "[PAD50277]",
           "[PAD151646]", "<|im_", "|>", "<|", "<repo_name>", "<|reserved_special_token_10|>"]
BLOCKS = [(0x21, 0x7e)] * 4 + [
    (0x00, 0x1f), (0x7f, 0xff), (0x100, 0x24f), (0x250, 0x2af), (0x300, 0x36f), (0x370, 0x3ff),
    (0x400, 0x4ff), (0x531, 0x587), (0x590, 0x5ff), (0x600, 0x6ff), (0x900, 0x97f), (0xe00, 0xe7f),
    (0x1780, 0x17ff), (0x1e00, 0x1fff), (0x2000, 0x206f), (0x2070, 0x209c), (0x2100, 0x218f),
    (0x2190, 0x23ff), (0x2460, 0x24ff), (0x2600, 0x27bf), (0x3000, 0x30ff), (0x4e00, 0x9fa5),
    (0xac00, 0xd7a3), (0xf900, 0xfa2d), (0xfb00, 0xfdff), (0xff00, 0xffef), (0x10330, 0x1034a),
    (0x1d400, 0x1d7ff), (0x1f300, 0x1f64f), (0x20000, 0x2a6d6)]


def letter(rng):
    """A character that Unicode knew in 3.2 and classifies alike today, or an emoji: libraries
    differ in the version of their tables."""
    while True:
        c = chr(rng.randint(*rng.choice(BLOCKS)))
        old, new = unicodedata.ucd_3_2_0.category(c), unicodedata.category(c)
        if old[0] == new[0] and new not in ("Cn", "Cs", "Co") or 0x1f300 <= ord(c) <= 0x1f64f:
            return c


def atom(rng):
    roll = rng.random()
    if roll < 0.35:
        return rng.choice(WORDS)
    if roll < 0.55:
        return rng.choice(SPACES)
    if roll < 0.62:
        return "".join(rng.choice("0123456789٣²½Ⅷ①") for _ in range(rng.randint(1, 9)))
    if roll < 0.68:
        return rng.choice(CONTRACTIONS)
    if roll < 0.73:
        return rng.choice(" \t\n!-=.#*aA1é中") * rng.randint(1, 40)
    if roll < 0.78:
        return rng.choice(EMOJI)
    if roll < 0.83:
        lo, hi = rng.choice(BLOCKS)
        return "".join(c for c in (letter(rng) for _ in range(8)) if c)
    if roll < 0.86:
        return rng.choice(SPECIAL)
    return letter(rng)


def text(rng):
    kind = rng.random()
    if kind < 0.5:
        return " ".join(rng.choice(WORDS) for _ in range(rng.randint(0, 9)))
    return "".join(atom(rng) for _ in range(rng.randint(0, 14)))


def fnv(ids):
    h = 0xCBF29CE484222325
    for byte in struct.pack("<%di" % len(ids), *ids):
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def build(path, pattern, digits, ignore_merges):
    """Two tokenizers: for texts nobody trusts, and with the control tokens."""
    reader = gguf.GGUFReader(path)
    field = lambda key: reader.fields["tokenizer.ggml." + key].contents()
    tokens, kinds = field("tokens"), field("token_type")
    merges = [tuple(m.split(" ")) for m in field("merges")]
    vocab = {}
    for i, t in enumerate(tokens):
        vocab.setdefault(t, i)
    steps = [pre_tokenizers.Digits(individual_digits=True)] if digits else []
    if pattern:
        steps.append(pre_tokenizers.Split(Regex(pattern), "isolated"))
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pattern))
    both = []
    for trusted in (False, True):
        t = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=ignore_merges))
        t.pre_tokenizer = pre_tokenizers.Sequence(steps)
        t.add_tokens([AddedToken(tokens[i], normalized=False)
                      for i, k in enumerate(kinds) if k == USER])
        if trusted:
            t.add_special_tokens([AddedToken(tokens[i], normalized=False, special=True)
                                  for i, k in enumerate(kinds) if k == CONTROL])
        both.append(t)
    return both


def main():
    vocab_dir, smollm2, out = sys.argv[1:]
    rng = random.Random(20261121)
    texts = [(text(rng), rng.random() < 0.3) for _ in range(2400)]
    versions = {"tokenizers": tokenizers.__version__, "unicodedata": unicodedata.unidata_version,
                "seed": 20261121}
    body = struct.pack("<I", len(VOCABS))
    for name, *_ in VOCABS:
        body += struct.pack("<B", len(name)) + name.encode()
    body += struct.pack("<I", len(texts))
    for s, trusted in texts:
        raw = s.encode()
        body += struct.pack("<IB", len(raw), trusted) + raw
    for name, pattern, digits, ignore in VOCABS:
        path = smollm2 if name == os.path.basename(smollm2) else os.path.join(vocab_dir, name)
        both = build(path, pattern, digits, ignore)
        for s, trusted in texts:
            ids = both[trusted].encode(s, add_special_tokens=False).ids
            body += struct.pack("<HQ", len(ids), fnv(ids))
        print(name, "done", file=sys.stderr)
    with open(out, "wb") as f:
        f.write(b"mote-tokens 1\n" + json.dumps(versions).encode() + b"\n" + body)


if __name__ == "__main__":
    main()

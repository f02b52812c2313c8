#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Rank files under the names that OpenAI publishes them by, and the ids of texts: tests/golden/tiktoken.json.

    make_tiktoken.py       (with tiktoken 0.14.0)

The pattern of a name is the package's own; the ranks are trained here, on this project's documents."""
import base64
import json
import random
from pathlib import Path

import tiktoken
from tiktoken_ext import openai_public
from tiktoken._educational import SimpleBytePairEncoding

here = Path(__file__).resolve().parent
text = "".join(p.read_text() for p in sorted((here.parent.parent / "docs").glob("*.md")))[:60000]
PARTS = ["the ", "The", "DON'T", "it's", "we'LL", " 12345", "2024-05-01", "\n\n", "\r\n \t", "  ", " ", "é", "ÀB", "中文", "мир ", "//", "\n/",
         "foo_bar", "=>", "…", "\U0001f600", "\u0301", "ǅ", "ª", "\u00a0", "x", "CamelCaseWord", "'s", "'S"]


def pattern(name):
    """The pat_str of an encoding, without fetching its ranks."""
    openai_public.load_tiktoken_bpe = openai_public.data_gym_to_mergeable_bpe_ranks = lambda *a, **k: {}
    return getattr(openai_public, name)()["pat_str"]


def main():
    rng = random.Random(1)
    texts = ["".join(rng.choice(PARTS) for _ in range(rng.randrange(24))) for _ in range(80)]
    out = {}
    for name in ("cl100k_base", "o200k_base", "r50k_base", "p50k_base"):
        pat = pattern(name)
        ranks = SimpleBytePairEncoding.train(text, vocab_size=420, pat_str=pat).mergeable_ranks
        e = tiktoken.Encoding(name, pat_str=pat, mergeable_ranks=ranks, special_tokens={})
        lines = "".join(f"{base64.b64encode(piece).decode()} {rank}\n" for piece, rank in ranks.items())
        out[name] = {"ranks": lines, "cases": [[t, e.encode_ordinary(t)] for t in texts]}
        print(name, len(ranks), sum(len(c[1]) for c in out[name]["cases"]))
    (here / "tiktoken.json").write_text(json.dumps(out, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

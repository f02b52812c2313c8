#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What other libraries make of the tokenizer.json files that test_vocab_json.c writes from the reference
vocabularies: the ids of the reference texts, and on random strings those of sentencepiece.

    MOTE_KEEP_JSON=FOLDER build/tests/test_vocab_json
    python tests/golden/check_vocab_json.py FOLDER VOCABULARIES [LLAMA_TOKENIZER.MODEL]

Needs the tokenizers package, and sentencepiece for the third argument.
"""
import pathlib
import random
import sys

import tokenizers

FOLDER, VOCAB = map(pathlib.Path, sys.argv[1:3])
SEPARATOR = "\n__ggml_vocab_test__\n"
failed = 0

for path in sorted(FOLDER.glob("*.json")):
    t = tokenizers.Tokenizer.from_file(str(path))
    texts = VOCAB / f"ggml-vocab-{path.stem}.gguf.inp"
    if not texts.exists():
        print(f"{path.stem}: loads, {t.get_vocab_size()} tokens, no reference texts")
        continue
    expected = [list(map(int, line.split())) for line in texts.with_suffix(".out").read_text().split("\n")]
    found = [t.encode(text, add_special_tokens=False).ids
             for text in texts.read_bytes().decode().split(SEPARATOR)]
    bad = sum(a != b for a, b in zip(found, expected))
    failed += bad
    print(f"{path.stem}: {len(found)} texts, {bad} differ")

if len(sys.argv) > 3:
    import sentencepiece
    sp = sentencepiece.SentencePieceProcessor(model_file=sys.argv[3])
    t = tokenizers.Tokenizer.from_file(str(FOLDER / "llama-spm.json"))
    random.seed(1)
    pool = [*"abcdefghijklmnop ABCXYZ  0123456789\n\t.,;:!?'\"()-_/éüßñ中文日本語한국어😀🎉русскийعربي ", "the ", "ing",
            "  ", "\n\n", "\u00a0", "\u0301", "don't"]
    bad = 0
    for _ in range(20000):
        text = "".join(random.choice(pool) for _ in range(random.randint(1, 60)))
        bad += t.encode(text, add_special_tokens=False).ids != sp.encode(text)
    failed += bad
    print(f"llama-spm against sentencepiece: 20000 strings, {bad} differ")
sys.exit(failed > 0)

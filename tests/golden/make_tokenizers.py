#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tokenizers.json, the golden subset of tests/conform/tokenizer_ids.py, and the seeds of
fuzz_tokenizer_json: small tokenizers of every kind with the ids, spans and decoded text that the
`tokenizers` package gives (its version is in the file).

    tests/golden/make_tokenizers.py      (needs tokenizers, sentencepiece)"""
import importlib.util
import json
import os
import random

here = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("conform", os.path.join(here, "..", "conform", "tokenizer_ids.py"))
conform = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conform)

CASES = [   # model, normalizer, pre-tokenizer, post-processor, decoder, added tokens
    ("bpe bytes", "NFC", "ByteLevel", "ByteLevel", "ByteLevel", 3),
    ("bpe bytes, merges ignored", "none", "Sequence Split ByteLevel", "Sequence", "ByteLevel", 2),
    ("bpe bytes", "none", "Sequence Digits ByteLevel", "Roberta", "ByteLevel", 1),
    ("bpe byte fallback", "Sequence Prepend Replace", "none", "Template", "ByteFallback", 2),
    ("bpe byte fallback", "none", "Metaspace first False", "Template end", "ByteFallback", 1),
    ("bpe suffix", "Lowercase", "BertPreTokenizer", "Roberta plain", "BPEDecoder", 0),
    ("bpe prefix", "NFKD", "Whitespace", "none", "none", 4),
    ("wordpiece", "BertNormalizer", "BertPreTokenizer", "Bert", "WordPiece", 1),
    ("wordpiece short", "BertNormalizer mixed", "Punctuation merged_with_previous", "none", "WordPiece plain", 4),
    ("wordlevel", "Sequence NFD Lowercase StripAccents", "Sequence Whitespace Digits", "Template", "none", 3),
    ("unigram", "NFKC", "Metaspace always True", "Template end", "Metaspace", 2),
    ("unigram byte fallback", "Sequence Nmt NFKC Lowercase", "Sequence WhitespaceSplit Metaspace", "none", "ByteFallback", 1),
    ("bpe unk fused", "Replace regex", "Split case", "none", "Replace", 1),
    ("bpe no unk", "Strip", "Split regex merged_with_next False", "none", "none", 4),
]


def shrink(t):
    """The same tokenizer with little vocabulary, for a fuzzer's seed."""
    model = t["model"]
    vocab = model["vocab"]
    if isinstance(vocab, list):
        model["vocab"] = vocab[:80]
    elif "merges" in model:
        model["merges"] = model["merges"][:40]
        joined = {a + b[len(model["continuing_subword_prefix"] or ""):] for a, b in model["merges"]}
        keep = [k for k in vocab if len(k) == 1 or k[0] in "<[" or k in joined or any(k in m for m in model["merges"])]
        model["vocab"] = {k: i for i, k in enumerate(keep)}
    else:
        model["vocab"] = {k: i for i, k in enumerate(list(vocab)[:80])}
    n = len(model["vocab"])
    added = [a for a in t["added_tokens"] if a["content"] not in model["vocab"]]
    t["added_tokens"] = [dict(a, id=n + i) for i, a in enumerate(added)]
    return t


def main():
    rng = random.Random(7)
    models, norms, pres = conform.trained_models(rng), conform.all_normalizers(), conform.all_pre_tokenizers()
    out = []
    for m, n, p, post, deco, added in CASES:
        t = conform.Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "model": models[m]}))
        if norms[n]:
            t.normalizer = norms[n]
        if pres[p]:
            t.pre_tokenizer = pres[p]
        vocab = sorted(t.get_vocab().items(), key=lambda kv: kv[1])
        t.add_tokens(conform.ADDED[added])
        if post != "none":
            t.post_processor = conform.all_post_processors(vocab[1], vocab[2])[post]
        if deco != "none":
            t.decoder = conform.all_decoders()[deco]
        t = conform.Tokenizer.from_str(t.to_str())
        cases = []
        for text in [conform.make_text(rng, [a.content for a in conform.ADDED[added]]) for _ in range(25)]:
            e = t.encode(text)
            spans = [v for s in conform.byte_spans(text, e.offsets) for v in s]
            cases.append({"text": text, "ids": e.ids, "spans": spans, "decoded": t.decode(e.ids, skip_special_tokens=False) if e.ids else ""})
        out.append({"name": f"{m} | {n} | {p} | {post} | {deco}", "tokenizer": json.dumps(json.loads(t.to_str()), ensure_ascii=False, separators=(",", ":")), "cases": cases})
        seed = os.path.join(here, "..", "fuzz", "corpus", "tokenizer_json", f"{len(out):02}")
        with open(seed, "w", encoding="utf-8") as f:
            f.write(json.dumps(shrink(json.loads(t.to_str())), ensure_ascii=False))
    with open(os.path.join(here, "tokenizers.json"), "w", encoding="utf-8") as f:
        json.dump({"tokenizers": conform.tokenizers.__version__, "all": out}, f, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: MIT
"""SentencePiece models: mote's algorithms against `sentencepiece` and `tokenizers`, one thread.

  RAYON_NUM_THREADS=1 python bench/pieces.py [--megabytes 10] [--rounds 3]

The vocabularies are published ones (llama-spm, 32,000 pieces of BPE; nomic-bert-moe, 250,000 of
unigram with XLM-RoBERTa's normaliser) made into .model files; the text is the reference data's,
line by line.  Each program in turn, `rounds` times; the best counts.  Prints MB per second of CPU,
and the number of tokens."""
import argparse
import importlib.util
import json
import os
import pathlib
import struct
import subprocess
import sys
import time

os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ["TOKENIZERS_PARALLELISM"] = "false"
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != ROOT / "tests" / "conform"]
import sentencepiece  # noqa: E402
import tokenizers  # noqa: E402
from tokenizers import models, normalizers, pre_tokenizers  # noqa: E402

spec = importlib.util.spec_from_file_location("golden", ROOT / "tests" / "golden" / "make_sentencepiece.py")
golden = importlib.util.module_from_spec(spec)
spec.loader.exec_module(golden)

DATA = pathlib.Path(os.environ.get("MOTE_TEST_DATA", ROOT.parent / "shared" / "data"))
PROGRAM = os.environ.get("ENCODE_TEXTS", ROOT / "build" / "encode_texts")
TEXTS = ["wiki.test.raw", "tinyshakespeare.txt", "gsm8k_test.jsonl", "lambada_openai.jsonl", "xquad_en.json",
         "alpaca_en_demo.json", "boolq.jsonl", "gsm8k_train.jsonl"]


def lines_of(megabytes):
    out, size = [], 0
    while size < megabytes * 1e6:
        for name in TEXTS:
            for line in (DATA / "eval" / name).read_text(encoding="utf-8").split("\n"):
                if line.strip() and size < megabytes * 1e6:
                    out.append(line[:20000])
                    size += len(out[-1].encode())
    return out, size


def as_tokenizers(m):
    """As transformers converts such a model."""
    pieces = [(p.piece, p.score) for p in m.pieces]
    if m.trainer_spec.model_type == 1:
        unk = next(i for i, p in enumerate(m.pieces) if p.type == 2)
        t = tokenizers.Tokenizer(models.Unigram(pieces, unk, False))
        t.normalizer = normalizers.Sequence([
            normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap),
            normalizers.Strip(left=False, right=True), normalizers.Replace(tokenizers.Regex(" {2,}"), " ")])
        t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
        return t
    vocab = {p: i for i, (p, _) in enumerate(pieces)}
    merges = [(a, b, vocab[a + b]) for p in vocab for a, b in ((p[:i], p[i:]) for i in range(1, len(p)))
              if a in vocab and b in vocab]
    merges.sort(key=lambda x: (-pieces[x[2]][1], vocab[x[0]], vocab[x[1]]))
    t = tokenizers.Tokenizer(models.BPE(vocab, [x[:2] for x in merges], byte_fallback=True, fuse_unk=True,
                                        unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    return t


def best(rounds, run):
    times = []
    for _ in range(rounds):
        start = time.process_time()
        n = run()
        times.append(time.process_time() - start)
    return min(times), n


def ours(path, records, rounds):
    runs = [json.loads(subprocess.run([PROGRAM, "sp", path, "time"], input=records, stdout=subprocess.PIPE,
                                      check=True).stdout) for _ in range(rounds)]
    return min(r["seconds"] for r in runs), runs[0]["tokens"]


def main():
    o = argparse.ArgumentParser()
    o.add_argument("--megabytes", type=float, default=10)
    o.add_argument("--rounds", type=int, default=3)
    o = o.parse_args()
    lines, size = lines_of(o.megabytes)
    records = b"".join(struct.pack("<I", len(x.encode())) + x.encode() for x in lines)
    whole = "\n".join(lines).encode()
    for name in ("nomic-bert-moe", "llama-spm"):
        m = golden.model_of_gguf(DATA / "vocab" / f"ggml-vocab-{name}.gguf")
        path = ROOT / "build" / f"{name}.model"
        path.write_bytes(m.SerializeToString())
        p = sentencepiece.SentencePieceProcessor(model_file=str(path))
        t = as_tokenizers(m)
        seconds, n = ours(path, records, o.rounds)
        print(f"{name}: mote {size / 1e6 / seconds:.1f} MB/s, {n} tokens", flush=True)
        whole_seconds, _ = ours(path, struct.pack("<I", len(whole)) + whole, o.rounds)
        print(f"{name}: mote {size / 1e6 / whole_seconds:.1f} MB/s as one text", flush=True)
        other, n_other = best(o.rounds, lambda: sum(map(len, p.encode(lines))))
        print(f"{name}: sentencepiece {size / 1e6 / other:.1f} MB/s, {n_other} tokens; mote {other / seconds:.1f} x")
        other, n_other = best(o.rounds, lambda: sum(len(e.ids) for e in t.encode_batch_fast(lines)))
        print(f"{name}: tokenizers {size / 1e6 / other:.1f} MB/s, {n_other} tokens; mote {other / seconds:.1f} x",
              flush=True)


if __name__ == "__main__":
    main()

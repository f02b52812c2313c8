#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes sentencepiece.bin: small models, random texts, and what other packages make of them.

    python tests/golden/make_sentencepiece.py DATA tests/golden/sentencepiece.bin

DATA is the reference data (eval/wiki.test.raw, tokenizer/rwkv_vocab_v20230424.txt, vocab/*.gguf).
The models are trained on the beginning of the text, with rules of their own: the first has some
hundred of NFKC, the others few, for size.  Needs `sentencepiece`, `tokenizers`, `tiktoken`, `gguf`;
their versions stand in the second line.

Layout, little-endian: "mote-sentencepiece 1\\n", a line of JSON, u32 texts, each u32 length + bytes.
u32 models, each u8 length + name, u32 length + bytes of the .model, then by text: u16 tokens, u64
hash of (id, from, to) of each, u64 hash of the decoded text; u8 1 when it is a unigram model, then
by text: u16 tokens (0xFFFF: not UTF-8), u64 hash of the ids `tokenizers` gives for the text with
U+2581 for space.  By text: u64 hash of what Precompiled makes of it with the first model's
normaliser, 0 when it is not UTF-8.  RWKV: by text u16 tokens, u64 hash of the ids.  u32 length +
bytes of a tiktoken file, then by text: u16 tokens, u64 hash of the ids of the text as one word.
u32 vocabularies, each u8 length + name of a GGUF file, then by text: u16 tokens, u64 hash of the
ids `sentencepiece` gives with that file's pieces, scores and normaliser.
Hashes are FNV-1a over numbers as i32."""
import base64
import json
import pathlib
import random
import struct
import sys
import tempfile
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != ROOT / "tests" / "conform"]
import gguf  # noqa: E402
import sentencepiece  # noqa: E402
import tiktoken  # noqa: E402
import tokenizers  # noqa: E402
from sentencepiece import sentencepiece_model_pb2 as pb  # noqa: E402
import importlib.metadata  # noqa: E402
import importlib.util  # noqa: E402

spec = importlib.util.spec_from_file_location("conform", ROOT / "tests" / "conform" / "piece_ids.py")
conform = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conform)

N_TEXT = 150
# Case, a composed letter, a ligature, a width, a space, a removal, and a rule that begins another.
RULES = [("A", "a"), ("B", "b"), ("C", "c"), ("I", "i"), ("T", "t"), ("S", "s"), ("e\u0301", "é"), ("ﬁ", "fi"),
         ("Ａ", "a"), ("\u3000", " "), ("\t", " "), ("\n", " "), ("\u200b", ""), ("①", "1"), ("ﷺ", "ab cd ef"),
         ("e\u0301\u0301", "E"), ("½", " 1/2 ")]
USER = conform.USER
VOCABS = ["llama-spm", "phi-3", "nomic-bert-moe"]
COMMON = dict(minloglevel=2, num_threads=1, hard_vocab_limit=False, character_coverage=0.99)
MODELS = {
    "uni": dict(model_type="unigram", vocab_size=400),
    "uni_bytes": dict(model_type="unigram", vocab_size=500, byte_fallback=True, remove_extra_whitespaces=False),
    "uni_user": dict(model_type="unigram", vocab_size=300, normalization_rule_name="identity",
                     add_dummy_prefix=False, user_defined_symbols=USER),
    "uni_suffix": dict(model_type="unigram", vocab_size=250, treat_whitespace_as_suffix=True),
    "bpe": dict(model_type="bpe", vocab_size=350),
    "bpe_llama": dict(model_type="bpe", vocab_size=600, byte_fallback=True, split_digits=True,
                      normalization_rule_name="identity", remove_extra_whitespaces=False,
                      allow_whitespace_only_pieces=True),
    "bpe_user": dict(model_type="bpe", vocab_size=550, user_defined_symbols=USER, add_dummy_prefix=False,
                     byte_fallback=True),
    "bpe_across": dict(model_type="bpe", vocab_size=350, split_by_whitespace=False),
    "bpe_suffix": dict(model_type="bpe", vocab_size=250, treat_whitespace_as_suffix=True),
}
FROM = {"uni_ties": ("uni_user", conform.quantise), "bpe_unused": ("bpe_across", conform.disuse),
        "uni_surface": ("uni_suffix", conform.surface)}


def fnv(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def ints(values):
    return struct.pack(f"<{len(values)}i", *values)


def many_rules():
    """Six hundred of NFKC, compositions of two characters among them, and those above."""
    r = random.Random(9)
    rules = {}
    for code in [*range(0xA0, 0x3400), *range(0xF900, 0x10000)]:
        c = chr(code)
        for a in (c, unicodedata.normalize("NFD", c)):
            b = unicodedata.normalize("NFKC", a)
            if a != b and len(a) <= 2:
                rules[a] = b
    return [(a, rules[a]) for a in sorted(r.sample(sorted(rules), 600))] + [x for x in RULES if x[0] not in "ABCITS"]


def train(folder, name, settings, sample):
    tsv = folder / "rules.tsv"
    rules = dict(many_rules()) if name == "uni" else dict(RULES)
    tsv.write_text("".join(f"{' '.join(f'{ord(c):X}' for c in a)}\t{' '.join(f'{ord(c):X}' for c in b)}\n"
                           for a, b in rules.items()), encoding="utf-8")
    if "normalization_rule_name" not in settings:
        settings = dict(settings, normalization_rule_tsv=str(tsv))
    sentencepiece.SentencePieceTrainer.train(input=str(sample), model_prefix=str(folder / name), **COMMON, **settings)
    m = pb.ModelProto.FromString((folder / (name + ".model")).read_bytes())
    m.trainer_spec.ClearField("input")
    m.trainer_spec.ClearField("model_prefix")
    m.normalizer_spec.ClearField("normalization_rule_tsv")
    return m


def pack_model(name, m, texts):
    data = m.SerializeToString()
    out = struct.pack("<B", len(name)) + name.encode() + struct.pack("<I", len(data)) + data
    p = sentencepiece.SentencePieceProcessor(model_proto=data)
    for t in texts:
        e = p.encode_as_offset_mapping(t)
        decoded = p.decode(e["ids"], out_type=bytes) if e["ids"] else b""
        flat = [x for i, (a, b) in zip(e["ids"], e["offsets"]) for x in (i, a, b)]
        out += struct.pack("<HQQ", len(e["ids"]), fnv(ints(flat)), fnv(decoded))
    is_unigram = m.trainer_spec.model_type == 1
    out += struct.pack("<B", is_unigram)
    if not is_unigram:
        return out
    unk = next(i for i, q in enumerate(m.pieces) if q.type == 2)
    t5 = tokenizers.Tokenizer(tokenizers.models.Unigram([(q.piece, q.score) for q in m.pieces], unk,
                                                        m.trainer_spec.byte_fallback))
    for t in texts:
        ids = t5.encode(t.decode().replace(" ", "\u2581")).ids if conform.valid(t) else None
        out += struct.pack("<HQ", 0xFFFF, 0) if ids is None else struct.pack("<HQ", len(ids), fnv(ints(ids)))
    return out


def pack_rules(m, texts):
    rules = tokenizers.normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap)
    return b"".join(struct.pack("<Q", fnv(rules.normalize_str(t.decode()).encode()) if conform.valid(t) else 0)
                    for t in texts)


def pack_rwkv(path, texts):
    vocab = conform.read_rwkv(path)
    out = b""
    for t in texts:
        ids = [c[0] for c in conform.longest_match(vocab, t)]
        out += struct.pack("<HQ", len(ids), fnv(ints(ids)))
    return out


def pack_tiktoken(texts):
    ranks = conform.learn_ranks([t for t in texts if len(t) < 60], 600)
    data = b"".join(base64.b64encode(t) + b" %d\n" % r for t, r in ranks.items())
    e = tiktoken.Encoding("test", pat_str=r"[\s\S]+", mergeable_ranks=ranks, special_tokens={})
    out = struct.pack("<I", len(data)) + data
    for t in texts:
        ids = e._encode_single_piece(t) if t else []
        out += struct.pack("<HQ", len(ids), fnv(ints(ids)))
    return out


def field(reader, key, default=None):
    f = reader.fields.get("tokenizer.ggml." + key)
    return default if f is None else f.contents()


def model_of_gguf(path):
    """A .model made of a GGUF's vocabulary.  Only one piece can be the unknown there."""
    r = gguf.GGUFReader(path)
    m = pb.ModelProto()
    unk = field(r, "unknown_token_id")
    is_unigram = field(r, "model") == "t5"
    rows = zip(field(r, "tokens"), field(r, "scores"), field(r, "token_type"))
    for i, (piece, score, kind) in enumerate(rows):
        kind = 2 if i == unk else 3 if kind == 2 else kind
        m.pieces.add(piece=piece, score=score, type=kind)
    m.trainer_spec.model_type = 1 if is_unigram else 2
    m.trainer_spec.byte_fallback = not is_unigram
    m.normalizer_spec.precompiled_charsmap = bytes(field(r, "precompiled_charsmap", b""))
    m.normalizer_spec.add_dummy_prefix = field(r, "add_space_prefix", True)
    m.normalizer_spec.remove_extra_whitespaces = field(r, "remove_extra_whitespaces", False)
    return m


def pack_gguf(path, texts):
    p = sentencepiece.SentencePieceProcessor(model_proto=model_of_gguf(path).SerializeToString())
    out = struct.pack("<B", len(path.name)) + path.name.encode()
    for t in texts:
        ids = p.encode(t)
        out += struct.pack("<HQ", len(ids), fnv(ints(ids)))
    return out


def main():
    data, path = pathlib.Path(sys.argv[1]), sys.argv[2]
    conform.WIKI = data / "eval" / "wiki.test.raw"
    texts = conform.make_texts(N_TEXT, 3)
    head = {p.__name__: p.__version__ for p in (sentencepiece, tokenizers, tiktoken)}
    head["gguf"] = importlib.metadata.version("gguf")
    out = b"mote-sentencepiece 1\n" + json.dumps(head).encode() + b"\n" + struct.pack("<I", len(texts))
    out += b"".join(struct.pack("<I", len(t)) + t for t in texts)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        sample = folder / "sample.txt"
        sample.write_bytes(conform.WIKI.read_bytes()[:120000])
        models = {n: train(folder, n, s, sample) for n, s in MODELS.items()}
    for name, (base, change) in FROM.items():
        models[name] = pb.ModelProto.FromString(models[base].SerializeToString())
        change(models[name])
    out += struct.pack("<I", len(models))
    out += b"".join(pack_model(n, m, texts) for n, m in models.items())
    out += pack_rules(models["uni"], texts)
    out += pack_rwkv(data / "tokenizer" / "rwkv_vocab_v20230424.txt", texts)
    out += pack_tiktoken(texts)
    out += struct.pack("<I", len(VOCABS))
    out += b"".join(pack_gguf(data / "vocab" / f"ggml-vocab-{n}.gguf", texts) for n in VOCABS)
    pathlib.Path(path).write_bytes(out)
    print(f"{path}: {len(models)} models, {len(texts)} texts, {len(out)} bytes")


if __name__ == "__main__":
    main()

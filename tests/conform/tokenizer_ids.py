#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares mote's tokenizers with the `tokenizers` package: ids, spans, decoded text.

    tests/conform/tokenizer_ids.py [--library build/tests/libtokens.so] [--strings N] [--seed S] [--only WORD]

It trains small tokenizers of every model and combines them with every normalizer, pre-tokenizer,
post-processor, decoder and kind of added token that mote supports; then come the tokenizer.json
files named on the command line.  Prints what was compared, how often; the status is 1 when
anything differed.  Needs the packages of requirements.txt."""
import argparse
import ctypes
import itertools
import json
import os
import random
import sys
import unicodedata

here = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != here]    # this file has the package's name

os.environ["RUST_BACKTRACE"] = "0"
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers


class Mote:
    """A tokenizer.json opened by mote."""
    library = None

    @classmethod
    def load(cls, path):
        lib = cls.library = ctypes.CDLL(path)
        text, size = ctypes.c_char_p, ctypes.c_size_t
        lib.tokens_open.restype = ctypes.c_void_p
        lib.tokens_open.argtypes = [text, size, text]
        lib.tokens_encode.restype = ctypes.c_long
        lib.tokens_encode.argtypes = [ctypes.c_void_p, text, size, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p, size, text]
        lib.tokens_decode.restype = ctypes.c_long
        lib.tokens_decode.argtypes = [ctypes.c_void_p, ctypes.c_void_p, size, ctypes.c_uint, ctypes.c_void_p, size, text]
        lib.tokens_close.argtypes = [ctypes.c_void_p]

    def __init__(self, source):
        self.error = ctypes.create_string_buffer(300)
        self.handle = self.library.tokens_open(source, len(source), self.error)
        if not self.handle:
            raise ValueError(self.error.value.decode())

    def encode(self, data, flags=7):
        room = 24 * len(data) + 64
        ids, spans = (ctypes.c_int32 * room)(), (ctypes.c_uint32 * (2 * room))()
        n = self.library.tokens_encode(self.handle, data, len(data), flags, ids, spans, room, self.error)
        if n < 0:
            raise ValueError(self.error.value.decode())
        flat = spans[:2 * n]
        return ids[:n], list(zip(flat[::2], flat[1::2]))

    def decode(self, ids, show_special):
        room = 64 * len(ids) + 4096
        out = ctypes.create_string_buffer(room)
        n = self.library.tokens_decode(self.handle, (ctypes.c_int32 * max(1, len(ids)))(*ids), len(ids),
                                       4 if show_special else 0, out, room, self.error)
        if n < 0:
            raise ValueError(self.error.value.decode())
        return out.raw[:n]

    def close(self):
        self.library.tokens_close(self.handle)


# ---- texts ------------------------------------------------------------------------

WORDS = """the of and to in is that it was for you he be with on as by at have are this not but had his they from she
which or we an there her were one do been all their has would will what if can said Hello World Straße café naïve Ünïcode
don't I'm we've they'll it's hello, (well) e.g. 3.14 1,000 2024-05-01 a_b foo.bar x=y [1] {2} <tag> http://a.b/c?d=e
привет мир как дела ΑΒΓ αβγδ שלום עולם مرحبا بالعالم नमस्ते दुनिया สวัสดีชาวโลก 你好世界 日本語のテキスト 한국어 텍스트 ไทย
ﬁne ①② ½ ㎏ Ⅳ ﷺ ｆｕｌｌ ｶﾞ İstanbul ẞ Ǆ é ñ å ệ""".split()
SPACES = [" ", " ", " ", " ", "  ", "\n", "\t", "\r\n", "\n\n", "\u00a0", "\u3000", "\u2009", "   \n ", "\u2028", "\x0b", "\x85", " \t "]
ODD = ["\x00", "\x01", "\x1f", "\x7f", "\u200b", "\u200d", "\u00ad", "\ufeff", "\ufffd", "\u2581", "\u0301", "\u0323\u0301", "\u0300\u0323",
       "\u3099", "\u1161", "\u11a8", "\ufe0f", "\u0345", "\u034f", "\u2126", "\u212b", "\u1e9b\u0323", "\u0958", "\u2adc", "\U0001d15e",
       "\U00010400", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "\u24b6", "\u2160",
       "\u0e33", "\u0eb3", "\u0f77", "\u1100\u1161\u11a8", "\uac00\u11a8", "\ue000", "\u0149", "\ufb01", "\u017f", "\u01c5", "\u00df", "\u03c2"]
RANGES = [(0x20, 0x7e)] * 4 + [(0xa0, 0x17f), (0x370, 0x3ff), (0x400, 0x52f), (0x5d0, 0x5ea), (0x620, 0x64a), (0x905, 0x94d), (0xe01, 0xe3a),
          (0x1e00, 0x1eff), (0x2010, 0x2027), (0x2030, 0x205e), (0x20a0, 0x20b5), (0x2100, 0x218b), (0x2190, 0x2328), (0x2460, 0x24ff),
          (0x3041, 0x3096), (0x30a1, 0x30fa), (0x4e00, 0x9fa5), (0xac00, 0xd7a3), (0xf900, 0xfa2d), (0xff01, 0xff9d), (0x1d400, 0x1d454),
          (0x1f600, 0x1f64f), (0x300, 0x34e), (0x20000, 0x2a6d6), (0x1100, 0x11ff)]


def piece(rng, specials):
    kind = rng.random()
    if kind < 0.55:
        word = rng.choice(WORDS)
        kind = rng.random()
        return word.upper() if kind < 0.1 else word.capitalize() if kind < 0.2 else word
    if kind < 0.65:
        return "".join(chr(rng.randint(*rng.choice(RANGES))) for _ in range(rng.randint(1, 6)))
    if kind < 0.75:
        return rng.choice(ODD)
    if kind < 0.80 and specials:
        return rng.choice(specials)
    if kind < 0.83:
        return rng.choice(["a", "b", " ", "1", ".", "\n", "ab", "é", "中", "\u0301", "▁", "'"]) * rng.randint(2, 60)
    if kind < 0.90:
        return str(rng.randint(0, 10 ** rng.randint(1, 8)))
    return rng.choice("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~。，！？…—“”«»¿¡")


def make_text(rng, specials):
    parts = []
    for _ in range(rng.choice([0, 1, 1, 2, 3, 5, 8, 13, 21])):
        parts.append(piece(rng, specials))
        if rng.random() < 0.7:
            parts.append(rng.choice(SPACES))
    if rng.random() < 0.1:
        parts.insert(0, rng.choice(SPACES))
    return "".join(parts)


def broken(rng, text):
    """Bytes that are no UTF-8, and the text as it reads with each malformed byte repaired alone."""
    data = bytearray(text.encode())
    for _ in range(rng.randint(1, 4)):
        data.insert(rng.randint(0, len(data)), rng.choice([0x80, 0xbf, 0xc3, 0xe2, 0xf0, 0xed]))
    return bytes(data)


# ---- tokenizers -------------------------------------------------------------------

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")


def corpus(rng):
    return [make_text(rng, []) + " " + " ".join(rng.choice(WORDS) for _ in range(12)) for _ in range(600)]


def trained_models(rng):
    """(name, model as JSON) by training."""
    lines, out = corpus(rng), {}
    words = [" ".join(rng.choice(WORDS) for _ in range(12)) for _ in range(1500)]

    def train(name, model, trainer, pre=None, **change):
        t = Tokenizer(model)
        t.pre_tokenizer = pre or pre_tokenizers.WhitespaceSplit()
        t.train_from_iterator(words if name.startswith("unigram") else lines, trainer)
        spec = json.loads(t.to_str())["model"]
        spec.update(change)
        out[name] = spec

    special, alphabet = ["[UNK]", "[CLS]", "[SEP]"], 300
    train("bpe bytes", models.BPE(), trainers.BpeTrainer(vocab_size=900, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False),
          pre_tokenizers.ByteLevel(add_prefix_space=False))
    out["bpe bytes, merges ignored"] = dict(out["bpe bytes"], ignore_merges=True)
    train("bpe unk", models.BPE(unk_token="[UNK]"), trainers.BpeTrainer(vocab_size=900, special_tokens=special, limit_alphabet=alphabet, show_progress=False))
    out["bpe unk fused"] = dict(out["bpe unk"], fuse_unk=True)
    out["bpe no unk"] = dict(out["bpe unk"], unk_token=None)
    out["bpe merges ignored"] = dict(out["bpe unk"], ignore_merges=True)
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    train("bpe byte fallback", models.BPE(unk_token="[UNK]", fuse_unk=True, byte_fallback=True),
          trainers.BpeTrainer(vocab_size=1200, special_tokens=special + bytes_, limit_alphabet=alphabet, show_progress=False),
          pre_tokenizers.Metaspace())
    train("bpe prefix", models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"),
          trainers.BpeTrainer(vocab_size=900, special_tokens=special, limit_alphabet=alphabet, continuing_subword_prefix="##", show_progress=False))
    train("bpe suffix", models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"),
          trainers.BpeTrainer(vocab_size=900, special_tokens=special, limit_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False))
    train("wordpiece", models.WordPiece(unk_token="[UNK]"),
          trainers.WordPieceTrainer(vocab_size=900, special_tokens=special, limit_alphabet=alphabet, show_progress=False))
    out["wordpiece short"] = dict(out["wordpiece"], max_input_chars_per_word=7)
    train("wordlevel", models.WordLevel(unk_token="[UNK]"), trainers.WordLevelTrainer(vocab_size=600, special_tokens=special, show_progress=False))
    train("unigram", models.Unigram(), trainers.UnigramTrainer(vocab_size=700, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False),
          pre_tokenizers.Metaspace())
    train("unigram byte fallback", models.Unigram(), trainers.UnigramTrainer(vocab_size=900, special_tokens=["<unk>"] + bytes_, unk_token="<unk>",
          show_progress=False), pre_tokenizers.Metaspace(), byte_fallback=True)
    return out


def charsmap():
    """The compiled normaliser that SentencePiece puts into a model trained with nmt_nfkc."""
    import io
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as proto
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["hello world foo bar"] * 50), model_writer=model, vocab_size=20,
                                             hard_vocab_limit=False, minloglevel=2)
    m = proto.ModelProto()
    m.ParseFromString(model.getvalue())
    return m.normalizer_spec.precompiled_charsmap


def all_normalizers():
    n = normalizers
    return {
        "none": None, "NFC": n.NFC(), "NFD": n.NFD(), "NFKC": n.NFKC(), "NFKD": n.NFKD(), "Lowercase": n.Lowercase(),
        "Strip": n.Strip(), "Strip left": n.Strip(True, False), "Strip right": n.Strip(False, True), "StripAccents": n.StripAccents(),
        "Prepend": n.Prepend("▁"), "Replace string": n.Replace(" ", "▁"), "Replace regex": n.Replace(Regex(r"\s+|\d{2,}"), "_-"),
        "Replace by nothing": n.Replace(Regex("[aeiou]"), ""), "BertNormalizer": n.BertNormalizer(),
        "BertNormalizer cased": n.BertNormalizer(lowercase=False), "BertNormalizer mixed": n.BertNormalizer(clean_text=False, strip_accents=False),
        "Nmt": n.Nmt(), "ByteLevel": n.ByteLevel(), "Precompiled": n.Precompiled(charsmap()),
        "Sequence NFD Lowercase StripAccents": n.Sequence([n.NFD(), n.Lowercase(), n.StripAccents()]),
        "Sequence Prepend Replace": n.Sequence([n.Prepend("▁"), n.Replace(" ", "▁")]),
        "Sequence Precompiled Replace": n.Sequence([n.Precompiled(charsmap()), n.Strip(False, True), n.Replace(Regex(" {2,}"), "▁")]),
        "Sequence Nmt NFKC Lowercase": n.Sequence([n.Nmt(), n.NFKC(), n.Lowercase()]),
    }


def all_pre_tokenizers():
    p = pre_tokenizers
    out = {
        "none": None, "ByteLevel": p.ByteLevel(add_prefix_space=False), "ByteLevel prefix": p.ByteLevel(add_prefix_space=True),
        "ByteLevel whole": p.ByteLevel(add_prefix_space=False, use_regex=False), "Whitespace": p.Whitespace(),
        "WhitespaceSplit": p.WhitespaceSplit(), "BertPreTokenizer": p.BertPreTokenizer(), "Digits": p.Digits(),
        "Digits alone": p.Digits(individual_digits=True), "CharDelimiterSplit": p.CharDelimiterSplit("e"),
        "Sequence Digits ByteLevel": p.Sequence([p.Digits(True), p.ByteLevel(add_prefix_space=False)]),
        "Sequence Split ByteLevel": p.Sequence([p.Split(Regex(LLAMA3), "isolated"), p.ByteLevel(add_prefix_space=False, use_regex=False)]),
        "Sequence WhitespaceSplit Metaspace": p.Sequence([p.WhitespaceSplit(), p.Metaspace()]),
        "Sequence Whitespace Digits": p.Sequence([p.Whitespace(), p.Digits(True)]),
    }
    for scheme, split in itertools.product(["always", "first", "never"], [True, False]):
        out[f"Metaspace {scheme} {split}"] = p.Metaspace(prepend_scheme=scheme, split=split)
    behaviors = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]
    for b in behaviors:
        out[f"Punctuation {b}"] = p.Punctuation(b)
        for invert in (False, True):
            out[f"Split string {b} {invert}"] = p.Split(" ", b, invert)
            out[f"Split regex {b} {invert}"] = p.Split(Regex(r"\d+|[^\s\d]|\s{2}"), b, invert)
        out[f"Split empty {b}"] = p.Split(Regex(r"(?=\d)|(?<=l)"), b)
    out["Split GPT-2"] = p.Split(Regex(GPT2), "removed", True)
    out["Split case"] = p.Split(Regex(r"(?i:THE|of)|\p{Lu}+(?=\p{Ll})|^\s+|\s+$|[\u4e00-\u9fff]{1,2}|\w+|\S"), "isolated")
    return out


def all_post_processors(a, b):
    c = processors
    return {
        "none": None, "Template": c.TemplateProcessing(f"{a[0]} $A {b[0]}", f"{a[0]} $A {b[0]} $B {b[0]}", [a, b]),
        "Template end": c.TemplateProcessing(f"$A {b[0]} {b[0]}", f"$A {b[0]} $B", [b]), "Bert": c.BertProcessing(b, a),
        "Roberta": c.RobertaProcessing(b, a, True, True), "Roberta plain": c.RobertaProcessing(b, a, False, False),
        "ByteLevel": c.ByteLevel(trim_offsets=True), "ByteLevel no prefix": c.ByteLevel(add_prefix_space=False, trim_offsets=True),
        "Sequence": c.Sequence([c.ByteLevel(trim_offsets=True), c.TemplateProcessing(f"{a[0]} $A", f"{a[0]} $A $B", [a])]),
    }


def all_decoders():
    d = decoders
    return {
        "none": None, "ByteLevel": d.ByteLevel(), "WordPiece": d.WordPiece(), "WordPiece plain": d.WordPiece(cleanup=False),
        "Metaspace": d.Metaspace(), "Metaspace never": d.Metaspace(prepend_scheme="never"), "BPEDecoder": d.BPEDecoder(),
        "ByteFallback": d.Sequence([d.Replace("▁", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)]),
        "Replace": d.Sequence([d.Replace(Regex("##|▁"), " "), d.Fuse()]),
    }


ADDED = [
    [], [AddedToken("<sep>", special=True), AddedToken("[MASK]", special=True, lstrip=True)],
    [AddedToken("<s>", special=True, normalized=False), AddedToken("The", single_word=True), AddedToken("café", rstrip=True)],
    [AddedToken("  "), AddedToken("    "), AddedToken("hello", lstrip=True, rstrip=True), AddedToken("<|x|>")],
    [AddedToken("wor", single_word=True, lstrip=True), AddedToken("é", normalized=False), AddedToken("▁x"), AddedToken("1", rstrip=True)],
]


# ---- comparing --------------------------------------------------------------------

class Counts:
    def __init__(self):
        self.texts = self.tokenizers = self.refused = self.broken = self.failed = 0
        self.wrong = {}

    def differ(self, what, name, text, want, got, show):
        self.wrong.setdefault((what, name), 0)
        self.wrong[what, name] += 1
        if self.wrong[what, name] <= 1 and len(self.wrong) <= show:
            print(f"{what}: {name}\n  text {text!r}\n  want {want}\n  got  {got}", flush=True)


def byte_spans(text, offsets):
    at = [0]
    for c in text:
        at.append(at[-1] + len(c.encode()))
    return [(at[a], at[b]) for a, b in offsets]


def drops_bytes(reference):
    """Without an unknown token the reference drops bytes that have no token, and its later spans in that word slip
    by as many; ours stay where the text is.  (ids are compared all the same.)"""
    data = json.loads(reference.to_str())
    model = data["model"]
    return (model["type"] == "BPE" and model["unk_token"] is None and "ByteLevel" in json.dumps(data["pre_tokenizer"]) and
            not set(pre_tokenizers.ByteLevel.alphabet()) <= set(model["vocab"]))


def compare(name, reference, mote, texts, counts, show, lossless=False):
    slips = drops_bytes(reference)
    for text in texts:
        try:
            want = reference.encode(text)
        except BaseException:            # it panics on some overlapping added tokens
            counts.failed += 1
            continue
        counts.texts += 1
        try:
            ids, spans = mote.encode(text.encode())
        except ValueError as e:
            counts.differ("error", name, text, want.ids, e, show)
            continue
        if ids != want.ids:
            counts.differ("ids", name, text, list(zip(want.ids, want.tokens)), ids, show)
            continue
        if spans != byte_spans(text, want.offsets) and not slips:
            counts.differ("spans", name, text, list(zip(want.tokens, byte_spans(text, want.offsets))), spans, show)
        for skip in (True, False):
            try:
                back = reference.decode(ids, skip_special_tokens=skip)
            except BaseException:        # some decoders panic on an empty list
                continue
            got = mote.decode(ids, not skip)
            if back != got.decode("utf-8", "replace") and "\ufffd" not in back:
                counts.differ("decode", name, text, back, got, show)


def compare_broken(name, mote, rng, texts, counts, show, gives_back):
    """Broken UTF-8: nothing is lost where the tokenizer loses nothing, and nothing fails."""
    for text in texts:
        data = broken(rng, text)
        counts.broken += 1
        ids, spans = mote.encode(data, 4)
        if any(a > b or b > len(data) for a, b in spans):
            counts.differ("broken spans", name, data, "", spans, show)
        as_text = data.decode("utf-8", "surrogateescape")
        if gives_back and unicodedata.normalize("NFC", as_text) == as_text and mote.decode(ids, True) != data:
            counts.differ("broken decode", name, data, data, mote.decode(ids, True), show)


def main():
    arg = argparse.ArgumentParser()
    arg.add_argument("--library", default="build/tests/libtokens.so")
    arg.add_argument("--strings", type=int, default=100000)
    arg.add_argument("--seed", type=int, default=1)
    arg.add_argument("--only", default="")
    arg.add_argument("--show", type=int, default=8)
    arg.add_argument("file", nargs="*", help="tokenizer.json")
    o = arg.parse_args()
    Mote.load(o.library)
    rng = random.Random(o.seed)
    counts = Counts()

    for path in o.file:
        source = open(path, "rb").read()
        reference = Tokenizer.from_str(source.decode())
        reference.no_truncation()
        reference.no_padding()
        mote = Mote(source)
        specials = [t["content"] for t in json.loads(source)["added_tokens"]]
        texts = [make_text(rng, specials) for _ in range(2000)]
        compare(os.path.basename(path), reference, mote, texts, counts, o.show)
        compare_broken(os.path.basename(path), mote, rng, texts[:500], counts, o.show, "ByteLevel" in str(json.loads(source)["decoder"]))
        counts.tokenizers += 1
        print(f"{path}: {len(texts)} texts", flush=True)

    combos = []
    for (m, model), (n, norm), (p, pre) in itertools.product(trained_models(rng).items(), all_normalizers().items(), all_pre_tokenizers().items()):
        if o.only in f"{m} | {n} | {p}":
            combos.append((m, model, n, norm, p, pre))
    rng.shuffle(combos)
    each = max(1, -(-o.strings // max(1, len(combos))))
    for i, (m, model, n, norm, p, pre) in enumerate(combos):
        if counts.texts >= o.strings:
            break
        base = Tokenizer.from_str(json.dumps({"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                                              "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model}))
        if norm:
            base.normalizer = norm
        if pre:
            base.pre_tokenizer = pre
        vocab = sorted(base.get_vocab().items(), key=lambda kv: kv[1])
        added = rng.choice(ADDED)
        if any(t in dict(vocab) and dict(vocab)[t] for t in ("[UNK]", "[CLS]")) and rng.random() < 0.7:
            added = added + [AddedToken(t, special=True, normalized=False) for t in ("[UNK]", "[CLS]", "[SEP]")]
        forms = [norm.normalize_str(t.content) if norm and t.normalized else t.content for t in added]
        if len(set(forms)) < len(forms) or "" in forms:      # whichever comes first in a random order
            added = []
        base.add_tokens(added)
        post = rng.choice(list(all_post_processors(vocab[1], vocab[2]).items()))
        deco = rng.choice(list(all_decoders().items()))
        if post[1]:
            base.post_processor = post[1]
        if deco[1]:
            base.decoder = deco[1]
        source = base.to_str()
        reference = Tokenizer.from_str(source)
        name = f"{m} | {n} | {p} | {post[0]} | {deco[0]}"
        try:
            mote = Mote(source.encode())
        except ValueError as e:
            counts.refused += 1
            counts.differ("refused", name, "", "", e, o.show)
            continue
        texts = [make_text(rng, [t.content for t in added]) for _ in range(each)]
        compare(name, reference, mote, texts, counts, o.show)
        compare_broken(name, mote, rng, texts[:2], counts, o.show, False)
        counts.tokenizers += 1
        mote.close()

    print(f"tokenizers {tokenizers.__version__}, seed {o.seed}: {counts.tokenizers} tokenizers, {counts.texts} texts, "
          f"{counts.broken} broken texts, {counts.failed} texts on which the reference fails, {sum(counts.wrong.values())} differences in {len(counts.wrong)} ways")
    for (what, name), n in sorted(counts.wrong.items(), key=lambda kv: -kv[1])[:40]:
        print(f"  {n:6} {what}: {name}")
    return 1 if counts.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

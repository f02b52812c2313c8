# SPDX-License-Identifier: MIT
"""The tokenizer algorithms against `sentencepiece`, `tokenizers`, `tiktoken` and a plain RWKV reading.

  python tests/conform/piece_ids.py [--texts 100000] [--only bpe,rwkv] [--seed 1]

Models are trained on the reference text in many settings, and some are changed by hand (scores that
tie, pieces that are unused).  Random texts of every kind go through build/encode_texts and through
the reference; ids, byte spans and the decoded text must be equal.  Models are kept in
build/conform.  Prints a line a model and ends with "N passed, N failed"."""
import argparse
import base64
import itertools
import json
import os
import pathlib
import random
import struct
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != pathlib.Path(__file__).resolve().parent]
import sentencepiece  # noqa: E402  (this file's own name would come first)
import tiktoken  # noqa: E402
import tokenizers  # noqa: E402
from sentencepiece import sentencepiece_model_pb2 as pb  # noqa: E402

DATA = pathlib.Path(os.environ.get("MOTE_TEST_DATA", ROOT.parent / "shared" / "data"))
WIKI = DATA / "eval" / "wiki.test.raw"
RWKV = DATA / "tokenizer" / "rwkv_vocab_v20230424.txt"
WORK = ROOT / "build" / "conform"
PROGRAM = os.environ.get("ENCODE_TEXTS", ROOT / "build" / "encode_texts")

USER = ["<sep>", "<sep><sep>", "new", "in the", "\u2581\u2581", "e", "中文", "🦙", "\t"]
COMMON = dict(input=str(WIKI), minloglevel=2, num_threads=2, hard_vocab_limit=False, character_coverage=0.995)
# name: settings of the trainer
MODELS = {
    "uni": dict(model_type="unigram", vocab_size=4000),
    "uni_bytes": dict(model_type="unigram", vocab_size=3000, byte_fallback=True, normalization_rule_name="nfkc"),
    "uni_cf": dict(model_type="unigram", vocab_size=3000, normalization_rule_name="nmt_nfkc_cf",
                   remove_extra_whitespaces=False),
    "uni_user": dict(model_type="unigram", vocab_size=3000, normalization_rule_name="identity", byte_fallback=True,
                     add_dummy_prefix=False, user_defined_symbols=USER),
    "uni_suffix": dict(model_type="unigram", vocab_size=2000, treat_whitespace_as_suffix=True),
    "uni_across": dict(model_type="unigram", vocab_size=3000, split_by_whitespace=False,
                       remove_extra_whitespaces=False, user_defined_symbols=USER),
    "bpe": dict(model_type="bpe", vocab_size=4000),
    "bpe_llama": dict(model_type="bpe", vocab_size=4000, byte_fallback=True, split_digits=True,
                      normalization_rule_name="identity", remove_extra_whitespaces=False,
                      allow_whitespace_only_pieces=True),
    "bpe_user": dict(model_type="bpe", vocab_size=3000, user_defined_symbols=USER, add_dummy_prefix=False,
                     normalization_rule_name="nfkc", byte_fallback=True),
    "bpe_cf": dict(model_type="bpe", vocab_size=3000, normalization_rule_name="nfkc_cf"),
    "bpe_suffix": dict(model_type="bpe", vocab_size=2000, treat_whitespace_as_suffix=True),
    "bpe_across": dict(model_type="bpe", vocab_size=3000, split_by_whitespace=False, user_defined_symbols=USER,
                       remove_extra_whitespaces=False),
    "bpe_plain": dict(model_type="bpe", vocab_size=2000, byte_fallback=True),
}


def quantise(m):
    """Scores that tie."""
    for p in m.pieces:
        if p.type == 1:
            p.score = float(int(p.score / 2))


def disuse(m):
    """Every third piece of several characters is unused, and has to be undone."""
    for i, p in enumerate(m.pieces):
        if p.type == 1 and len(p.piece) > 1 and i % 3 == 0:
            p.type = 5


def surface(m):
    """Another text for the unknown; spaces are folded when decoding."""
    m.trainer_spec.unk_surface = "?"
    m.denormalizer_spec.CopyFrom(m.normalizer_spec)
    m.denormalizer_spec.add_dummy_prefix = False


def plain(m):
    """Spaces stay spaces."""
    m.normalizer_spec.escape_whitespaces = False


# name: the model it comes from, the change
CHANGED = {
    "uni_ties": ("uni", quantise), "uni_unused": ("uni_bytes", disuse), "uni_surface": ("uni", surface),
    "bpe_ties": ("bpe_llama", quantise), "bpe_unused": ("bpe_user", disuse), "bpe_unused2": ("bpe", disuse),
    "bpe_spaces": ("bpe_plain", plain),
}


def model_path(name):
    path = WORK / (name + ".model")
    if path.exists():
        return path
    if name in CHANGED:
        base, change = CHANGED[name]
        m = pb.ModelProto.FromString(model_path(base).read_bytes())
        change(m)
        path.write_bytes(m.SerializeToString())
        return path
    sentencepiece.SentencePieceTrainer.train(model_prefix=str(WORK / name), **COMMON, **MODELS[name])
    return path


# ---- texts ----------------------------------------------------------------------------------

RANGES = [(0x20, 0x7E), (0x20, 0x7E), (0, 0x1F), (0x7F, 0xFF), (0x100, 0x24F), (0x300, 0x36F), (0x370, 0x3FF),
          (0x400, 0x4FF), (0x590, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x1FFF),
          (0x2000, 0x206F), (0x2070, 0x218F), (0x2460, 0x25FF), (0x3000, 0x30FF), (0x3130, 0x33FF),
          (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFFEF),
          (0x1D400, 0x1D7FF), (0x1F300, 0x1F6FF), (0x1F900, 0x1F9FF), (0xE0000, 0xE007F), (0x10FF00, 0x10FFFF)]
SPACES = [" ", " ", "  ", "   ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2003", "\u2028", "\u0085", "\u200b",
          "\ufeff", "\u2581", "\u2581\u2581", "\u00ad"]
RUNS = [" ", "a", "e", "ab", "中", "\n", "\u2581", "\u0301", "🦙", "1", "=", "-", "\x00", "ﷺ", "ﬁ", "<sep>", "in the"]
ODD = ["👩‍👩‍👧‍👦", "🇩🇪", "❤️", "e\u0301", "ﬃ", "ﷺ", "①", "½", "ＡＢＣ", "ｶﾞ", "각", "\u1112\u1161\u11ab", "Å", "ſ", "İ",
       "ß", "<unk>", "<s>", "</s>", "<0x41>", "<0x0A>", "<pad>", "\ufffd", "\u0344", "A\u030a\u0323"]
BROKEN = [b"\xff", b"\xc0\x80", b"\xe4\xb8", b"\xed\xa0\x80", b"\xf0\x9f\xa6", b"\x80", b"\xf4\x90\x80\x80", b"\xc3",
          b"\xe2\x96", b"\xf8\x88\x80\x80\x80"]


def char(r):
    low, high = r.choice(RANGES)
    return chr(r.randint(low, high))


def one_text(r, corpus, broken=True):
    out = []
    for _ in range(r.choice([1, 2, 3, 5, 8, 12])):
        kind = r.randrange(12)
        if kind < 3:
            at = r.randrange(len(corpus))
            out.append(corpus[at:at + r.randint(1, 60)])
        elif kind == 3:
            out.append("".join(char(r) for _ in range(r.randint(1, 8))))
        elif kind == 4:
            low, high = r.choice(RANGES)
            out.append("".join(chr(r.randint(low, high)) for _ in range(r.randint(1, 12))))
        elif kind == 5:
            out.append(r.choice(SPACES) * r.randint(1, 3))
        elif kind == 6:
            out.append(r.choice(RUNS) * r.choice([2, 3, 7, 20, 33, 64, 100]))
        elif kind == 7:
            out.append(r.choice(ODD))
        elif kind == 8:
            out.append(r.choice(USER))
        elif kind == 9:
            out.append(" ".join(r.choice(corpus.split(" ", 2000)[:2000]) for _ in range(3)))
        elif kind == 10:
            out.append("".join(r.choice("abcdefgh \u2581") for _ in range(r.randint(1, 40))))
        else:
            out.append(r.choice(BROKEN) if broken else str(r.randint(0, 10 ** 6)))
    return b"".join(x if isinstance(x, bytes) else x.encode("utf-8", "surrogatepass") for x in out)


def make_texts(n, seed, broken=True):
    r = random.Random(seed)
    corpus = WIKI.read_text(encoding="utf-8")
    words = corpus[:200000]
    texts = [b"", b" ", b"  ", b"\xe2\x96\x81", b"a", b" a ", b"\n", b"\xff"]
    texts += [one_text(r, words if r.random() < 0.7 else corpus, broken) for _ in range(n - len(texts))]
    return [t for t in texts if broken or valid(t)]


def valid(t):
    try:
        t.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


# ---- our side ------------------------------------------------------------------------------------

def ours(kind, path, texts):
    """(tokens, decoded) for each text; tokens are (id, from, to)."""
    data = b"".join(struct.pack("<I", len(t)) + t for t in texts)
    out = subprocess.run([PROGRAM, kind, path], input=data, stdout=subprocess.PIPE, check=True).stdout
    at, answers = 0, []
    for _ in texts:
        n, = struct.unpack_from("<I", out, at)
        at += 4
        if n == 0xFFFFFFFF:
            answers.append((None, None))
            continue
        cuts = list(itertools.batched(struct.unpack_from(f"<{3 * n}i", out, at), 3)) \
            if hasattr(itertools, "batched") else [struct.unpack_from("<3i", out, at + 12 * i) for i in range(n)]
        at += 12 * n
        size, = struct.unpack_from("<I", out, at)
        answers.append((cuts, out[at + 4:at + 4 + size]))
        at += 4 + size
    assert at == len(out)
    return answers


FAILED = []


def report(name, texts, got, want):
    bad = [(t, g, w) for t, g, w in zip(texts, got, want) if g != w]
    for t, g, w in bad[:3]:
        print(f"  text     {t!r}\n  expected {w}\n  found    {g}")
    print(f"{name:14} {len(texts):7} texts, {len(bad)} differ", flush=True)
    FAILED.append(bool(bad))


# ---- the references ----------------------------------------------------------------------------------

def check_sp(name, texts):
    path = model_path(name)
    p = sentencepiece.SentencePieceProcessor(model_file=str(path))
    want = []
    for t in texts:
        e = p.encode_as_offset_mapping(t)
        cuts = [(i, a, b) for i, (a, b) in zip(e["ids"], e["offsets"])]
        want.append((cuts, p.decode(e["ids"], out_type=bytes) if e["ids"] else b""))
    report(name, texts, ours("sp", path, texts), want)


def check_unigram(name, texts):
    """tokenizers' model alone, on text that is not normalised."""
    path = model_path(name)
    m = pb.ModelProto.FromString(path.read_bytes())
    unk = next(i for i, p in enumerate(m.pieces) if p.type == 2)
    t = tokenizers.Tokenizer(tokenizers.models.Unigram([(p.piece, p.score) for p in m.pieces], unk,
                                                       m.trainer_spec.byte_fallback))
    texts = [x.replace(b" ", b"\xe2\x96\x81") for x in texts if valid(x)]
    want = [e.ids for e in t.encode_batch([x.decode() for x in texts])]
    got = [[c[0] for c in cuts] for cuts, _ in ours("unigram", path, texts)]
    report(name + "/hf", texts, got, want)


def check_charsmap(name, texts):
    path = model_path(name)
    m = pb.ModelProto.FromString(path.read_bytes())
    rules = tokenizers.normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap)
    texts = [x for x in texts if valid(x)]
    want = [rules.normalize_str(x.decode()).encode() for x in texts]
    report(name + "/rules", texts, [d for _, d in ours("charsmap", path, texts)], want)


def read_rwkv(path):
    vocab = {}
    for row in path.read_text(encoding="utf-8").splitlines():
        index, rest = row.split(" ", 1)
        token = eval(rest[:rest.rindex(" ")])  # noqa: S307  (how the format is defined)
        token = token.encode() if isinstance(token, str) else token
        assert len(token) == int(rest[rest.rindex(" "):])
        vocab[token] = int(index)
    return vocab


def longest_match(vocab, text):
    longest, at, cuts = max(map(len, vocab)), 0, []
    while at < len(text):
        n = next(n for n in range(min(longest, len(text) - at), 0, -1) if text[at:at + n] in vocab)
        cuts.append((vocab[text[at:at + n]], at, at + n))
        at += n
    return cuts


def check_rwkv(texts):
    vocab = read_rwkv(RWKV)
    report("rwkv", texts, ours("rwkv", RWKV, texts), [(longest_match(vocab, t), t) for t in texts])


def learn_ranks(words, n):
    """Ranks learnt by joining the most frequent pair, again and again; with a gap, and a token that
    no two others make."""
    parts = [[bytes([b]) for b in w] for w in words]
    order = list(range(256))
    random.Random(5).shuffle(order)
    ranks = {bytes([b]): i for i, b in enumerate(order)}
    while len(ranks) < n:
        count = {}
        for w in parts:
            for a, b in zip(w, w[1:]):
                count[a + b] = count.get(a + b, 0) + 1
        best = max(count, key=count.get)
        if best in ranks:
            break
        ranks[best] = len(ranks)
        for w in parts:
            i = 0
            while i + 1 < len(w):
                if w[i] + w[i + 1] == best:
                    w[i:i + 2] = [best]
                i += 1
    ranks = {t: r if r < n - 50 else r + 3 for t, r in ranks.items()}
    ranks[b"never made of two parts"] = max(ranks.values()) + 1
    return ranks


def check_tiktoken(texts):
    words = [bytes(w) for w in WIKI.read_bytes()[:60000].split(b" ")] + [t for t in texts[:500] if len(t) < 60]
    ranks = learn_ranks(words, 1200)
    path = WORK / "ranks.tiktoken"
    path.write_bytes(b"".join(base64.b64encode(t) + b" %d\n" % r for t, r in ranks.items()))
    e = tiktoken.Encoding("test", pat_str=r"[\s\S]+", mergeable_ranks=ranks, special_tokens={})
    texts = [t for t in texts if t] + [b"never made of two parts"]
    want = [(e._encode_single_piece(t), t) for t in texts]
    got = [([c[0] for c in cuts], d) for cuts, d in ours("tiktoken", path, texts)]
    report("tiktoken", texts, got, want)


def main():
    o = argparse.ArgumentParser()
    o.add_argument("--texts", type=int, default=100000)
    o.add_argument("--only", default="")
    o.add_argument("--seed", type=int, default=1)
    o = o.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    print(json.dumps({p.__name__: p.__version__ for p in (sentencepiece, tokenizers, tiktoken)}), "seed", o.seed)
    texts = make_texts(o.texts, o.seed)
    wanted = [n for n in o.only.split(",") if n]
    jobs = [(n, check_sp, n) for n in [*MODELS, *CHANGED]]
    jobs += [(n + "/hf", check_unigram, n) for n in [*MODELS, *CHANGED] if n.startswith("uni")]
    jobs += [(n + "/rules", check_charsmap, n) for n in ("uni", "uni_bytes", "uni_cf", "bpe_cf")]
    for name, check, model in jobs:
        if not wanted or any(name.startswith(w) for w in wanted):
            check(model, texts)
    for name, check in (("rwkv", check_rwkv), ("tiktoken", check_tiktoken)):
        if not wanted or name in wanted:
            check(texts)
    print(f"{FAILED.count(False)} passed, {FAILED.count(True)} failed")
    return any(FAILED)


if __name__ == "__main__":
    sys.exit(main())

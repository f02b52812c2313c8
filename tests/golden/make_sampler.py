# SPDX-License-Identifier: MIT
"""Makes sampler.txt: what other people's code and the published formulas make of given logits.

Bias, repetition penalty, temperature, top-k, top-p, min-p and typical come from the logits
processors of Hugging Face transformers.  Frequency and presence penalties (OpenAI's formula), DRY
(p-e-w, text-generation-webui #5677), XTC (p-e-w, #6335), mirostat 2 (Basu et al.) and
xoshiro256** are written out here straight from their definitions, by brute force.

Edits and temperature run in float32 as in mote; choices and probabilities in float64.  A case in
which any decision is closer than MARGIN is thrown away, so that rounding decides nothing.
Among equals mote ranks the lower id first and keeps no more than asked; Hugging Face keeps all
equals of the last one, so its set is cut to the first by (rank, id), after a check that what is
cut are equals.

    python make_sampler.py > sampler.txt
"""
import math
import sys

import numpy as np
import torch
import transformers
from transformers.generation import logits_process as hf

MARGIN = 2e-5
F = np.float32
rnd = np.random.Generator(np.random.PCG64(20240607))
FILTERS = ("top_k", "typical_p", "top_p", "min_p", "xtc")
DEFAULT = "bias,penalties,dry,top_k,typical_p,top_p,min_p,xtc,temperature"
PIECES = [b"a", b"b", b"c", b"\n", b":", b"ab", b"#", b"##", b"x\ny", b"\"", b"<|", b"|>", b"*", b"bc#"]


class TooClose(Exception):
    pass


def softmax(x):
    e = np.exp(x.astype(np.float64) - np.max(x))
    return e / e.sum()


def warp(processor, scores, text=()):
    """One Hugging Face processor over a row: float32 in and out for edits, a mask for filters."""
    row = torch.from_numpy(scores.copy())[None]
    return processor(torch.tensor([list(text)], dtype=torch.long), row)[0].numpy()


def kept(processor, scores):
    return set(np.flatnonzero(np.isfinite(warp(processor, scores.astype(np.float64)))).tolist())


def first(order, weight, target, theirs, rank):
    """The shortest run of `order` that weighs target; `theirs` may only add equals of its last."""
    total, n = 0.0, 0
    for i in order:
        total += weight[i]
        n += 1
        if abs(total - target) < MARGIN:
            raise TooClose
        if total >= target:
            break
    ours = order[:n]
    if n < len(order) and 0 < abs(rank[order[n]] - rank[order[n - 1]]) < MARGIN:
        raise TooClose
    last = rank[ours[-1]]
    assert set(ours) <= theirs, (ours, theirs)
    assert all(abs(rank[i] - last) < 1e-9 for i in theirs - set(ours)), (ours, theirs)
    return ours


def mask(scores, ids):
    out = np.full_like(scores, -np.inf)
    out[list(ids)] = scores[list(ids)]
    return out


def live(scores):
    return [int(i) for i in np.flatnonzero(np.isfinite(scores))]


def by_logit(scores):
    return sorted(live(scores), key=lambda i: (-scores[i], i))


def bias(scores, o, text):
    table = {}
    for token, value in o["bias"]:
        table[(token,)] = float(value)
    return warp(hf.SequenceBiasLogitsProcessor(table), scores, text).astype(F)


def penalties(scores, o, text):
    window = o["repeat_last_n"]
    text = text if window < 0 else text[len(text) - min(window, len(text)):]
    if not text:
        return scores
    out = warp(hf.RepetitionPenaltyLogitsProcessor(float(o["repeat_penalty"])), scores, text)
    for t in set(text):                  # mu[j] - c[j] * frequency - (c[j] > 0) * presence
        out[t] -= F(text.count(t)) * o["frequency_penalty"] + o["presence_penalty"]
    return out


def breaker_ends(text, breakers):
    """For each place: does any breaker end inside that token of the joined text?"""
    joined, owner = b"", []
    for at, t in enumerate(text):
        joined += PIECES[t]
        owner += [at] * len(PIECES[t])
    ends = [False] * len(text)
    for b in breakers:
        for i in range(len(joined) - len(b) + 1):
            if joined[i:i + len(b)] == b:
                ends[owner[i + len(b) - 1]] = True
    return ends


def dry(scores, o, text):
    ends = breaker_ends(text, o["breakers"])
    if o["dry_last_n"] >= 0:
        start = len(text) - min(o["dry_last_n"], len(text))
        text, ends = text[start:], ends[start:]
    longest, n = {}, len(text)
    for i in range(n - 1):
        length = 0
        while length <= i and text[i - length] == text[n - 1 - length] and not ends[n - 1 - length]:
            length += 1
        token = text[i + 1]
        if length > 0 and not any(b in PIECES[token] for b in o["breakers"]):
            longest[token] = max(length, longest.get(token, 0))
    out = scores.copy()
    for token, length in longest.items():
        if length >= o["dry_allowed_length"]:
            out[token] -= F(float(o["dry_multiplier"])
                            * float(o["dry_base"]) ** (length - o["dry_allowed_length"]))
    return out


def top_k(scores, o, text):
    order = by_logit(scores)
    theirs = kept(hf.TopKLogitsWarper(o["top_k"]), scores)
    rank = {i: float(scores[i]) for i in order}
    ones = {i: 1.0 for i in order}
    return mask(scores, first(order, ones, min(o["top_k"], len(order)) - 0.5, theirs, rank))


def top_p(scores, o, text):
    order = by_logit(scores)
    theirs = kept(hf.TopPLogitsWarper(float(o["top_p"])), scores)
    p = softmax(scores)
    rank = {i: float(scores[i]) for i in order}
    # Theirs sums from the small end, equals in any order: compare the two as ranks.
    total, n = 0.0, 0
    for i in order:
        total += p[i]
        n += 1
        if abs(total - float(o["top_p"])) < MARGIN:
            raise TooClose
        if total >= float(o["top_p"]):
            break
    ours = order[:n]
    assert sorted(rank[i] for i in ours) == sorted(rank[i] for i in theirs), (ours, theirs)
    return mask(scores, ours)


def min_p(scores, o, text):
    p = softmax(scores)
    if np.any(np.abs(p / p.max() - float(o["min_p"])) < MARGIN):
        raise TooClose
    return mask(scores, kept(hf.MinPLogitsWarper(float(o["min_p"])), scores))


def typical_p(scores, o, text):
    ids = live(scores)
    p = softmax(scores)
    surprise = {i: -math.log(p[i]) if p[i] > 0 else math.inf for i in ids}
    entropy = sum(p[i] * surprise[i] for i in ids if p[i] > 0)
    rank = {i: abs(surprise[i] - entropy) for i in ids}
    order = sorted(ids, key=lambda i: (round(rank[i], 9), i))
    for a, b in zip(order, order[1:]):
        if rank[b] < math.inf and 0 < abs(rank[a] - rank[b]) < MARGIN and scores[a] != scores[b]:
            raise TooClose
    theirs = kept(hf.TypicalLogitsWarper(float(o["typical_p"])), scores)
    return mask(scores, first(order, p, float(o["typical_p"]), theirs, rank))


def xtc(scores, o, text):
    if "rng" in o and o["rng"].unit() >= float(o["xtc_probability"]):
        return scores
    assert "rng" in o or o["xtc_probability"] == 1
    p = softmax(scores)
    if np.any(np.abs(p - float(o["xtc_threshold"])) < MARGIN):
        raise TooClose
    order = by_logit(scores)
    above = [i for i in order if p[i] >= float(o["xtc_threshold"])]
    return mask(scores, [i for i in order if i not in above[:-1]])


def temperature(scores, o, text):
    out = warp(hf.TemperatureLogitsWarper(float(o["temperature"])), scores).astype(F)
    if len(live(out)) < len(live(scores)):        # overflow: mote stays at the largest number
        raise TooClose
    return out


def mirostat_cut(scores, mu):
    p = softmax(scores)
    ids = live(scores)
    surprise = {i: -math.log2(p[i]) if p[i] > 0 else math.inf for i in ids}
    if any(abs(s - mu) < MARGIN for s in surprise.values()):
        raise TooClose
    ids = [i for i in ids if surprise[i] <= mu]
    return mask(scores, ids or by_logit(scores)[:1])


class Xoshiro:
    """xoshiro256** 1.0, state from splitmix64."""
    M = (1 << 64) - 1

    def __init__(self, seed):
        self.s = []
        for _ in range(4):
            seed = (seed + 0x9E3779B97F4A7C15) & self.M
            z = seed
            z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & self.M
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & self.M
            self.s.append(z ^ (z >> 31))

    @classmethod
    def rotl(cls, x, k):
        return ((x << k) | (x >> (64 - k))) & cls.M

    def unit(self):
        s = self.s
        out = (self.rotl((s[1] * 5) & self.M, 7) * 9) & self.M
        t = (s[1] << 17) & self.M
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = self.rotl(s[3], 45)
        return (out >> 11) * 2.0 ** -53


def neutral(o, step):
    return {
        "bias": not o["bias"],
        "penalties": o["repeat_last_n"] == 0 or (o["repeat_penalty"] == 1
                     and o["frequency_penalty"] == 0 and o["presence_penalty"] == 0),
        "dry": o["dry_multiplier"] == 0 or o["dry_last_n"] == 0,
        "top_k": o["top_k"] == 0, "typical_p": o["typical_p"] == 1, "top_p": o["top_p"] == 1,
        "min_p": o["min_p"] == 0, "xtc": o["xtc_probability"] == 0,
        "temperature": o["temperature"] == 1,
    }[step]


def chain(logits, o, text, mu=None):
    scores = logits.copy()
    for step in o["order"].split(","):
        if neutral(o, step) or (mu is not None and step in FILTERS):
            continue
        scores = globals()[step](scores, o, text)
        if not live(scores):             # a bias of -inf took the last one: no choice is left
            return scores
    return scores if mu is None else mirostat_cut(scores, mu)


def draw(logits, o, text, count):
    rng, text, mu, out = Xoshiro(o["seed"]), list(text), 2.0 * o["mirostat_tau"], []
    o = dict(o, rng=rng)
    for _ in range(count):
        scores = chain(logits, o, text, mu if o["mirostat"] else None)
        if not live(scores):
            raise TooClose
        p, u, total, pick = softmax(scores), rng.unit(), 0.0, None
        for i in live(scores):
            total += p[i]
            if abs(total - u) < 1e-6:
                raise TooClose
            if pick is None and total > u:
                pick = i
        out.append(pick)
        text.append(pick)
        if o["mirostat"]:
            mu -= float(o["mirostat_eta"]) * (-math.log2(p[pick]) - float(o["mirostat_tau"]))
    return out


# ---- the cases --------------------------------------------------------------------
NEUTRAL = dict(seed=0, temperature=F(1), top_k=0, top_p=F(1), min_p=F(0), typical_p=F(1),
               repeat_penalty=F(1), frequency_penalty=F(0), presence_penalty=F(0),
               repeat_last_n=64, dry_multiplier=F(0), dry_base=F(1.75), dry_allowed_length=2,
               dry_last_n=-1, xtc_probability=F(0), xtc_threshold=F(0.1), mirostat=0,
               mirostat_tau=F(5), mirostat_eta=F(0.1))


def make_logits(kind, n):
    x = rnd.normal(size=n)
    if kind == "fine":
        x = np.round(x * 3 * 256) / 256
    elif kind == "ties":
        x = np.round(x * 2)
    elif kind == "flat":
        x = np.full(n, 2.5)
    elif kind == "steep":
        x = np.round(x * 30 * 4) / 4
    elif kind == "extreme":
        x = np.round(x * 3 * 256) / 256
        x[rnd.integers(n)] = -3e38
        x[rnd.integers(n)] = -1e4
        x[rnd.integers(n)] = -np.inf
        x[rnd.integers(n)] = 10
    return x.astype(F)


def random_step(o, step, n):
    pick = lambda *v: v[rnd.integers(len(v))]
    if step == "bias":
        ids = rnd.permutation(n)[:min(n - 1, 3)]
        o["bias"] = [(int(t), pick(F(2.5), F(-1.25), F(-np.inf), F(9))) for t in ids]
    elif step == "penalties":
        o["repeat_penalty"] = pick(F(1), F(1.1), F(1.5), F(0.8))
        o["frequency_penalty"] = pick(F(0), F(0.5), F(-0.25))
        o["presence_penalty"] = pick(F(0), F(0.75), F(1.5))
        o["repeat_last_n"] = pick(-1, 4, 16)
    elif step == "dry":
        o["dry_multiplier"] = pick(F(0.8), F(2))
        o["dry_base"] = pick(F(1), F(1.75), F(3))
        o["dry_allowed_length"] = pick(0, 1, 2, 4)
        o["dry_last_n"] = pick(-1, 8, 24)
    elif step == "top_k":
        o["top_k"] = int(pick(1, 2, 5, 17, 40))
    elif step == "temperature":
        o["temperature"] = pick(F(0.1), F(0.7), F(1.5), F(4))
    elif step == "xtc":
        o["xtc_probability"], o["xtc_threshold"] = F(1), pick(F(0.02), F(0.1), F(0.3), F(0.5))
    elif step == "min_p":
        o["min_p"] = pick(F(0.01), F(0.1), F(0.4))
    else:
        o[step] = pick(F(0.1), F(0.5), F(0.9), F(0.99))


def number(x):
    return "%.9g" % float(x) if isinstance(x, (float, np.floating)) else str(int(x))


def show(name, o, logits, text, result):
    print("case", name)
    for key, value in o.items():
        if key in NEUTRAL and value != NEUTRAL[key]:
            print("set", key, number(value))
    if o["order"] != DEFAULT:
        print("order", o["order"])
    for token, value in o["bias"]:
        print("bias", token, number(value))
    for b in o["breakers"] if o["dry_multiplier"] > 0 else []:
        print("breaker", b.hex())
    if text:
        print("text", *text)
    print("logits", *(number(x) for x in logits))
    print(*result)


def case(name, kind, steps, order=DEFAULT, draws=0, n=None, **fixed):
    while True:
        size = n or int(rnd.integers(2, 49))
        o = dict(NEUTRAL, order=order, bias=[], breakers=[])
        parts = []                                        # tokens that make up a breaker
        if "dry" in steps:
            size = len(PIECES)
            sets = [([], []), ([b"\n", b":", b"\"", b"*"], [3]), ([b"##"], [6]),
                    ([b"c#\n", b"|>"], [2, 6, 3]), ([b"<||>"], [10, 11])]
            o["breakers"], parts = sets[rnd.integers(len(sets))]
        for step in steps:
            random_step(o, step, size)
        o.update(fixed)
        logits = make_logits(kind, size)
        few = int(rnd.integers(2, 6))                     # few distinct tokens: many repetitions
        base = [int(i) for i in rnd.permutation(size)[:few]] + parts
        text = [base[i] for i in rnd.integers(len(base), size=rnd.integers(0, 60))]
        if not {"penalties", "dry"} & set(steps):
            text = []
        try:
            if draws:
                show(name, o, logits, text, ["draw"] + draw(logits, o, text, draws))
                return
            scores = chain(logits, o, text, 2.0 * o["mirostat_tau"] if o["mirostat"] else None)
            p = softmax(scores) if live(scores) else None
            show(name, o, logits, text,
                 ["keep"] + ["%d %.7g" % (i, p[i]) for i in live(scores)])
            return
        except TooClose:
            continue


def main():
    print("# made by tests/golden/make_sampler.py: transformers %s, torch %s, numpy %s"
          % (transformers.__version__, torch.__version__, np.__version__))
    for i, piece in enumerate(PIECES):
        print("piece", i, piece.hex())
    names = DEFAULT.split(",")
    for step in names:
        for kind in ("fine", "ties", "flat", "steep", "extreme"):
            for i in range(20 if step == "dry" else 3):
                case("%s_%s_%d" % (step, kind, i), kind, [step])
    for kind in ("fine", "ties", "extreme"):
        for i in range(25):
            case("chain_%s_%d" % (kind, i), kind,
                 [s for s in names if rnd.integers(2)])
            order = ",".join(names[j] for j in rnd.permutation(len(names)))
            case("order_%s_%d" % (kind, i), kind, [s for s in names if rnd.integers(2)], order)
    for n in (1, 2, 3):
        case("tiny_%d" % n, "fine", ["top_p", "min_p", "typical_p", "temperature"], n=n)
    for i in range(12):
        case("mirostat_%d" % i, "fine", ["temperature"], mirostat=2,
             mirostat_tau=(F(0.5), F(1.5), F(3))[i % 3])
    for i in range(12):
        case("mirostat_draw_%d" % i, "fine", ["temperature"], mirostat=2, draws=40, seed=1000 + i,
             mirostat_tau=(F(0.5), F(1.5), F(3))[i % 3], mirostat_eta=(F(0.1), F(0.5))[i % 2])
    for i in range(6):
        case("xtc_draw_%d" % i, "fine", ["xtc", "temperature"], draws=40, seed=77 * i,
             xtc_probability=F(0.5), xtc_threshold=F(0.05), temperature=F(3))
    for i in range(12):
        case("draw_%d" % i, "fine", [s for s in names if s != "xtc" and rnd.integers(2)],
             draws=40, seed=int(rnd.integers(1 << 62)))


if __name__ == "__main__":
    sys.exit(main())

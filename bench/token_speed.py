#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tokenizing against the `tokenizers` package, and whether time grows with the text.

    bench/token_speed.py [--library build/tests/libtokens.so] [--mb 10] [--linear 16] [--write] TEXT FILE.json ...

Speed: both encode the same text on one thread, in turn, three times each; the figure is CPU time, the
best of three.  The package gets the text in pieces of 20,000 characters, which is where it is
fastest.  Linear: 14 classes of characters, n and 2n bytes up to --linear MiB; the worst ratio of
the times is printed, with the class, and the growth from the first size to the last.  --write puts the
table into docs/performance.md."""
import argparse
import ctypes
import importlib.util
import math
import os
import time

import compare
import report

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
here = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("conform", os.path.join(here, "..", "tests", "conform", "tokenizer_ids.py"))
conform = importlib.util.module_from_spec(spec)
spec.loader.exec_module(conform)

CLASSES = {"a": "a", "A": "A", "space": " ", "newline": "\n", "digit": "1", "point": ".", "apostrophe": "'", "accent": "é", "han": "中",
           "mark": "\u0301", "emoji": "\U0001f600", "zero": "\0", "malformed": b"\xff", "words": "the cat "}


def seconds(fn):
    start = time.process_time()
    fn()
    return time.process_time() - start


class Bare:
    """Encodes without spans into memory that is there already."""

    def __init__(self, mote, most):
        self.mote, self.room = mote, most + 64
        self.ids = (ctypes.c_int32 * self.room)()

    def __call__(self, data):
        n = self.mote.library.tokens_encode(self.mote.handle, data, len(data), 7, self.ids, None, self.room, self.mote.error)
        if n < 0:
            raise ValueError(self.mote.error.value.decode())
        return n


def speed(source, data):
    start = time.process_time()
    mote = conform.Mote(source)
    load = time.process_time() - start
    reference = conform.Tokenizer.from_str(source.decode())
    reference.no_truncation()
    reference.no_padding()
    bare = Bare(mote, len(data))
    text = data.decode("utf-8", "ignore")
    pieces = [text[i:i + 20000] for i in range(0, len(text), 20000)]
    ours, theirs = [], []
    for _ in range(3):
        ours.append(seconds(lambda: bare(data)))
        theirs.append(seconds(lambda: [reference.encode(p) for p in pieces]))
    a, b = min(ours), min(theirs)
    return mote, f"{1000 * load:.0f} | {len(data) / a / 1e6:.1f} | {len(data) / b / 1e6:.2f} | {b / a:.1f}"


def linear(name, mote, most):
    """The best of three rounds over all sizes: a machine that others use is slow for seconds on end."""
    worst = overall = (0, "", 0)
    bare = Bare(mote, most)
    for label, unit in CLASSES.items():
        unit = unit if isinstance(unit, bytes) else unit.encode()
        best = {}
        for n in [1 << k for k in range(20, most.bit_length())] * 3:
            data = (unit * (n // len(unit) + 1))[:n]
            try:
                best[n] = min(best.get(n, math.inf), seconds(lambda: bare(data)))
            except ValueError as e:
                if n not in best:
                    print(f"{name}: {label}, {n} bytes: {e}")
                best[n] = math.inf
        times = [t for t in best.values() if t < math.inf]
        steps = [(b / a, label, 2 << 20 + i) for i, (a, b) in enumerate(zip(times, times[1:]))]
        worst = max([worst] + steps)
        if len(times) > 2:
            overall = max(overall, ((times[-1] / times[0]) ** (1 / (len(times) - 1)), label, 0))
    return f"{overall[0]:.2f} ({overall[1]}) | {worst[0]:.2f} ({worst[1]}, {worst[2] >> 20} MiB)"


def main():
    arg = argparse.ArgumentParser()
    arg.add_argument("--library", default="build/tests/libtokens.so")
    arg.add_argument("--mb", type=float, default=10)
    arg.add_argument("--linear", type=int, default=16)
    arg.add_argument("--write", action="store_true")
    arg.add_argument("text")
    arg.add_argument("file", nargs="+")
    o = arg.parse_args()
    conform.Mote.load(o.library)
    data = open(o.text, "rb").read()
    while len(data) < o.mb * 1e6:
        data += data
    lines = [f"{compare.machine()}, 1 thread, commit {compare.commit_of(compare.library())}, tokenizers {conform.tokenizers.__version__}; "
             f"{o.mb:g} MB of text, CPU time:", "",
             f"| tokenizer.json | opened, ms | mote MB/s | tokenizers MB/s | ratio | twice the text, 1 to {o.linear} MiB | worst single doubling |",
             "|---|---|---|---|---|---|---|"]
    print("\n".join(lines))
    for path in o.file:
        name = os.path.basename(path)
        mote, cells = speed(open(path, "rb").read(), data[:int(o.mb * 1e6)])
        lines.append(f"| {name.removesuffix('.json')} | {cells} | {linear(name, mote, o.linear << 20)} |")
        print(lines[-1], flush=True)
    if o.write:
        report.put(compare.ROOT / "docs" / "performance.md", "tokenizing", "\n".join(lines))


if __name__ == "__main__":
    main()
